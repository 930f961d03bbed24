/* test_filters.c - filters: what they mean, where their errors lie, and limits. */
#include "store/filter_expression.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char python[] = "{\"lang\":\"python\",\"year\":2021,\"size\":\"9\",\"tags\":[\"a\",\"b c\",3],\"title\":\"Tom and Jerry\","
                             "\"ok\":true,\"none\":null,\"half\":0.5,\"q\":\"say \\\"hi\\\"\",\"when\":\"2024-03-01\",\"my key\":\"x\","
                             "\"f\":\"f(x)\",\"s\":\"a b \"}";

static sx_text text_of(const char *text)
{
    return (sx_text){text, strlen(text)};
}

static bool holds_for(const char *expression, const char *metadata)
{
    sx_error error;
    sx_filter *filter;
    bool damaged = false;
    if (sx_filter_parse(expression, &filter, &error))
        fail_msg("%s", error.message);
    sx_filter_subject subject = {.metadata = text_of(metadata), .document = text_of("src/deep/a.py"), .root = text_of("/home/r"),
                                 .modified_ns = 1709294400000000000};
    bool holds = sx_filter_holds(filter, &subject, &damaged);
    assert_false(damaged);
    sx_filter_close(filter);
    return holds;
}

static const struct {
    const char *expression;
    bool holds;
} cases[] = {
    /* the old forms */
    {"lang=python", true}, {"lang=go", false}, {"lang!=python", false}, {"lang!=go", true}, {"nokey=x", false}, {"nokey!=x", true},
    {"year=2021", true}, {"year=2021.0", false}, {"ok=true", true}, {"none=null", true}, {"half=0.5", true}, {"tags=a", true},
    {"tags=b c", true}, {"tags=3", true}, {"tags!=a", false}, {"title=Tom and Jerry", true}, {"title=Tom", false}, {"my key=x", true},
    {"lang=", false}, {"nokey=", false}, {"nokey!=", true}, {"f=f(x)", true}, {"s=a b ", true}, {"s=a b", false},
    {"q=say \"hi\"", true}, {"a=b=c", false}, {"document=src/deep/a.py", true}, {"root=/home/r", true}, {"document!=x", true},
    /* comparison: numbers as numbers, all else as text */
    {"year>2020", true}, {"year>2021", false}, {"year>=2021", true}, {"year<2021.5", true}, {"year <= 2021", true},
    {"size<10", true}, {"size>10", false}, {"size<1e1", true}, {"when>=2024-01-01", true}, {"when<2024-03", false},
    {"when<2024-03-02", true}, {"when>2024", true}, {"lang<q", true}, {"lang>q", false}, {"nokey<5", false}, {"nokey>=5", false},
    {"not nokey<5", true}, {"tags>2", true}, {"half<.6", true}, {"year>-1", true},
    /* the file's day where the metadata has no date */
    {"date=2024-03-01", true}, {"date>=2024-02-01 and date<2024-03-02", true}, {"date<2024", false}, {"date^=2024-03", true},
    /* prefix, glob, lists */
    {"lang^=pyt", true}, {"lang ^= go", false}, {"lang prefix py", true}, {"lang PREFIX go", false}, {"document^=src/", true},
    {"document~*.py", true}, {"document~src/*", true}, {"document~*.md", false}, {"document!~*.md", true}, {"document~src/d??p/?.py", true},
    {"document~*deep*y", true}, {"title~*and*", true}, {"lang in (go, python)", true}, {"lang in (go,rust)", false},
    {"lang not in (go, rust)", true}, {"nokey not in (a)", true}, {"tags in ('b c', x)", true}, {"title in (\"Tom and Jerry\")", true},
    {"year in (1, 2021)", true}, {"f in (f(x), g)", true}, {"document in (x, src/deep/a.py)", true},
    /* and, or, not, parentheses, quotes */
    {"lang=python and year=2021", true}, {"lang=python and year=1", false}, {"lang=go or year=2021", true},
    {"lang=go or year=1", false}, {"lang=python or lang=go and year=1", true}, {"(lang=python or lang=go) and year=1", false},
    {"not lang=go", true}, {"not (lang=python and year=2021)", false}, {"not not lang=python", true}, {"lang=python AND NOT year=1", true},
    {"lang=python and title=Tom and Jerry", true}, {"title=Tom and Jerry and lang=python", true}, {"(title=Tom and Jerry)", true},
    {"(f=f(x) and lang=python)", true}, {"title=\"Tom and Jerry\" and lang='python'", true}, {"'my key'=x", true}, {"\"my key\" = 'x'", true},
    {"q='say \"hi\"'", true}, {"q=\"say \\\"hi\\\"\"", true}, {"lang = python", true}, {"  ( lang=python ) ", true},
    {"lang=python and (year<2000 or (size=9 and not ok=false))", true}, {"lang=go or lang=python and not tags=zz", true},
    {"nokey= and lang=python", false}, {"nokey!= and lang=python", true}, {"lang=python and document in (a, b) or root^=/home", true},
    {"lang=\"\"", false}, {"lang!=''", true},
};

/* A method of a class on pages 2 and 3, once in the middle of the document and once alone. */
static const char paged[] = "{\"language\":\"python\",\"page_starts\":\"0 100 200 900\",\"team\":\"x\"}";
static const char lined[] = "{\"source_lines\":\"1:11 50=70\"}";
static const char own[] = "{\"kind\":\"report\",\"page\":\"7\",\"symbol\":\"GOOG\",\"path\":\"elsewhere\",\"line\":null}";

static const struct {
    const char *metadata, *expression;
    bool may, holds; /* without the chunk, with it */
} chunk_cases[] = {
    {paged, "symbol=parse_line", true, true}, {paged, "symbol=Reader.parse_line", true, true},
    {paged, "symbol=Outer.Reader.parse_line", true, true}, {paged, "symbol=Outer", true, false}, {paged, "symbol=parse", true, false},
    {paged, "symbol=parse_*", true, true}, {paged, "symbol=*.parse_*", true, true}, {paged, "symbol!=parse_*", true, false},
    {paged, "symbol in (x, read*)", true, false}, {paged, "symbol in (x, par*)", true, true}, {paged, "symbol~parse?line", true, true},
    {paged, "symbol=empty?", true, true}, {paged, "symbol=empt?", true, false}, {paged, "symbol^=Outer.", true, true},
    {paged, "symbol=parse_line and kind=function", true, true}, {paged, "kind=method", true, true}, {paged, "kind=class", true, false},
    {paged, "kind!=class", true, true}, {paged, "not kind=method", true, false}, {paged, "kind in (class, function)", true, true},
    {paged, "heading=Reader", true, true}, {paged, "heading~Rea*", true, true}, {paged, "heading=x", true, false},
    {paged, "page=2", true, true}, {paged, "page=3", true, true}, {paged, "page=1", true, false}, {paged, "page=4", true, false},
    {paged, "page>=3", true, true}, {paged, "page>3", true, false}, {paged, "page<2", true, false}, {paged, "page<=2", true, true},
    {paged, "page<3 and page>2", true, true}, {paged, "page!=2", true, false}, {paged, "page in (9, 3)", true, true},
    {paged, "page=2.5", true, false}, {paged, "page=two", true, false}, {paged, "page^=3", true, true}, {paged, "page~?", true, true},
    {paged, "line=40", true, true}, {paged, "line=60", true, true}, {paged, "line=39", true, false}, {paged, "line>60", true, false},
    {paged, "line>=50 and line<=55", true, true}, {lined, "line=50", true, true}, {lined, "line=70", true, true},
    {lined, "line=40", true, false}, {lined, "page=1", true, false}, {lined, "page!=1", true, true},
    {paged, "path=src/deep/a.py", true, true}, {paged, "file=a.py", true, true}, {paged, "file=deep", false, false},
    {paged, "file~*.py and symbol=parse_line", true, true}, {paged, "file=b.py and symbol=parse_line", false, false},
    {paged, "team=x or kind=class", true, true}, {paged, "team=y or kind=class", true, false}, {paged, "team=y and kind=method", false, false},
    {paged, "not (team=x and kind=class)", true, true}, {paged, "not (team=x or kind=class)", false, false},
    {paged, "language=python and not symbol=parse_*", true, false},
    /* The metadata's own go first. */
    {own, "kind=report", true, true}, {own, "kind=method", false, false}, {own, "page=7", true, true}, {own, "page<7", false, false},
    {own, "symbol=GOOG", true, true}, {own, "path=elsewhere", true, true}, {own, "file=a.py", true, true}, {own, "symbol=G*", true, true},
    {own, "line=null", true, true},
};

static void filters_know_chunks(void **state)
{
    static const sx_filter_chunk chunk = {
        .start = 150, .end = 201, .start_line = 40, .end_line = 60, .headings = {"[\"Outer\",\"Reader\"]", 18},
        .symbols = {"[{\"name\":\"Outer.Reader.parse_line\",\"kind\":\"method\",\"line\":40},{\"name\":\"empty?\",\"kind\":\"function\",\"line\":50}]", 108}};
    (void)state;
    assert_int_equal(chunk.symbols.length, strlen(chunk.symbols.data));
    for (size_t i = 0; i < sizeof chunk_cases / sizeof *chunk_cases; i++) {
        sx_error error;
        sx_filter *filter;
        bool damaged = false;
        if (sx_filter_parse(chunk_cases[i].expression, &filter, &error))
            fail_msg("%s", error.message);
        for (int64_t id = 0; id < 2; id++) { /* kept and not kept */
            sx_filter_subject subject = {.id = id, .metadata = text_of(chunk_cases[i].metadata), .document = text_of("src/deep/a.py"),
                                         .root = text_of("/home/r")};
            bool may = sx_filter_holds(filter, &subject, &damaged);
            subject.chunk = &chunk;
            bool holds = sx_filter_holds(filter, &subject, &damaged);
            if (may != chunk_cases[i].may || holds != chunk_cases[i].holds || damaged)
                fail_msg("%s of %s: may hold %d, holds %d", chunk_cases[i].expression, chunk_cases[i].metadata, may, holds);
            /* What holds of no chunk of a document never holds of one; without symbols and pages only the opposites do. */
            const sx_filter_chunk bare = {.start_line = 1, .end_line = 1};
            subject.chunk = &bare;
            assert_true(may || !sx_filter_holds(filter, &subject, &damaged));
        }
        sx_filter_close(filter);
    }
}

static void filters_mean_what_they_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (holds_for(cases[i].expression, python) != cases[i].holds)
            fail_msg("%s: is %s", cases[i].expression, cases[i].holds ? "not true" : "true");
    assert_true(holds_for("date=2020-01-01", "{\"date\":\"2020-01-01\"}"));
    assert_false(holds_for("date=2024-03-01", "{\"date\":\"2020-01-01\"}"));
    assert_true(holds_for("k=\xc3\xa4", "{\"k\":\"\\u00e4\"}"));
    assert_true(holds_for("k~?x", "{\"k\":\"\xc3\xa4x\"}"));
    assert_false(holds_for("k=x", "{}"));
}

static void damaged_metadata_is_told(void **state)
{
    (void)state;
    sx_error error;
    sx_filter *filter;
    bool damaged = false;
    assert_int_equal(sx_filter_parse("k=x", &filter, &error), SX_OK);
    assert_int_equal(sx_filter_needs(filter), SX_FILTER_METADATA);
    sx_filter_subject subject = {.metadata = text_of("{\"k\":\"x\"")};
    (void)sx_filter_holds(filter, &subject, &damaged);
    assert_true(damaged);
    sx_filter_close(filter);
}

static void errors_name_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *expression, *place, *what;
    } wrong[] = {
        {"", "at its end", "key=value"}, {"nonsense", "at its end", "expected"}, {"=x", "column 1,", "key=value"},
        {"a=b and (c=d", "column 9,", "never closed"}, {"lang in (a, b", "at its end", ")"}, {"lang in ()", "column 10,", "value"},
        {"lang in (a,,b)", "column 12,", "value"}, {"(a=b) c=d", "column 7,", "and or or"}, {"(a=b))", "column 6,", "open"},
        {"a=\"b", "column 3,", "never closed"}, {"a=\"b\" c", "column 7,", "and or or"}, {"\xc3\xa4=1 and (b=)c=1)", "column 13,", "and or or"},
        {"''=x", "column 1,", "empty"}, {"(a=b) and not (", "column 15,", "expected"}, {"f(x)=y", "column 2,", "expected"},
        {"()", "column 2,", "key=value"}, {"a prefix", "at its end", "expected"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sx_error error = {0};
        sx_filter *filter;
        sx_status status = sx_filter_parse(wrong[i].expression, &filter, &error);
        if (status != SX_E_INVALID || filter)
            fail_msg("%s: status %d", wrong[i].expression, status);
        if (!strstr(error.message, wrong[i].place) || !strstr(error.message, wrong[i].what))
            fail_msg("%s: %s", wrong[i].expression, error.message);
    }
}

static void too_much_is_refused(void **state)
{
    (void)state;
    char *text = malloc(3 << 20);
    sx_error error;
    sx_filter *filter;
    memset(text, '(', 100000);
    strcpy(text + 100000, "a=b");
    assert_int_equal(sx_filter_parse(text, &filter, &error), SX_E_LIMIT);
    assert_non_null(strstr(error.message, "levels"));
    for (int i = 0; i < 1000; i++)
        memcpy(text + i * 4, "not ", 4);
    strcpy(text + 4000, "a=b");
    assert_int_equal(sx_filter_parse(text, &filter, &error), SX_E_LIMIT);
    text[0] = '\0';
    for (int i = 0; i < 1001; i++)
        strcat(text, i ? " or a=b" : "a=b");
    assert_int_equal(sx_filter_parse(text, &filter, &error), SX_E_LIMIT);
    assert_non_null(strstr(error.message, "conditions"));
    text[strlen(text) - 7] = '\0'; /* exactly 1000 */
    assert_int_equal(sx_filter_parse(text, &filter, &error), SX_OK);
    sx_filter_close(filter);
    memset(text, 'x', 2 << 20);
    text[2 << 20] = '\0';
    assert_int_equal(sx_filter_parse(text, &filter, &error), SX_E_LIMIT);
    assert_int_equal(sx_filter_parse(NULL, &filter, &error), SX_E_INVALID);
    sx_filter_close(NULL);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_mean_what_they_say),
        cmocka_unit_test(filters_know_chunks),
        cmocka_unit_test(damaged_metadata_is_told),
        cmocka_unit_test(errors_name_the_place),
        cmocka_unit_test(too_much_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
