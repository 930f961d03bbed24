/* test_chunk.c - the chunker by example: options, each strategy's cuts, headings and headers, sentences, budget. What holds for
 * every input is in test_chunk_properties.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "chunk_documents.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- Options ---------------------------------------------------------------------------------------------------------- */

typedef struct plan_case {
    const char *strategy, *unit, *media_type;
    uint32_t size;
    int32_t overlap;
    uint32_t limit; /* of the counter; 0: there is none */
    const char *expected; /* the plan, or a part of the error */
} plan_case;

static const plan_case plan_cases[] = {
    {NULL, NULL, "text/markdown", 0, 0, 256, "recursive 256 50 tokens"},
    {"auto", NULL, "text/html", 0, 0, 8192, "html 256 32 tokens"},
    {"auto", NULL, "text/x-rst", 0, 0, 0, "recursive 1000 200 chars"},
    {NULL, NULL, "text/plain", 0, 0, 128, "recursive 128 32 tokens"},
    {NULL, NULL, NULL, 0, 0, 0, "recursive 1000 200 chars"},
    {"recursive", "chars", "text/plain", 0, 0, 256, "recursive 1000 200 chars"},
    {"tokens", NULL, "text/plain", 0, 0, 1024, "tokens 512 50 tokens"},
    {"tokens", NULL, "text/plain", 0, 0, 256, "tokens 256 50 tokens"},
    {"chars", NULL, "text/plain", 0, 0, 256, "chars 1000 200 chars"},
    {"chars", NULL, "text/plain", 40, 0, 0, "chars 40 10 chars"},
    {"chars", NULL, "text/plain", 1000, -1, 0, "chars 1000 0 chars"},
    {"sentences", NULL, "text/plain", 0, 0, 0, "sentences 5 1 chars"},
    {"sentences", NULL, "text/plain", 1, 0, 0, "sentences 1 0 chars"},
    {"paragraphs", NULL, "text/plain", 0, 0, 256, "paragraphs 3 0 chars"},
    {"markdown", NULL, "text/plain", 100, 7, 256, "markdown 100 7 tokens"},
    {"semantic", NULL, "text/html", 0, 0, 256, "semantic 256 0 tokens"},
    {"semantic", "chars", "text/plain", 0, 0, 256, "semantic 1000 0 chars"},
    {"semantics", NULL, "text/plain", 0, 0, 0, "strategy \"semantics\""},
    {"recursive", "words", "text/plain", 0, 0, 0, "unit \"words\""},
    {"recursive", "tokens", "text/plain", 0, 0, 0, "no model"},
    {"tokens", NULL, "text/plain", 0, 0, 0, "no model"},
    {"tokens", "chars", "text/plain", 0, 0, 256, "unit \"chars\""},
    {"chars", "tokens", "text/plain", 0, 0, 256, "unit \"tokens\""},
    {"sentences", "tokens", "text/plain", 0, 0, 256, "unit \"tokens\""},
    {"chars", NULL, "text/plain", 10, 10, 0, "overlap 10"},
    {"tokens", NULL, "text/plain", 512, 300, 256, "overlap 300"},
    {"chars", NULL, "text/plain", 10, -2, 0, "overlap -2"},
    {"tokens", NULL, "text/plain", 7, 0, 256, "no room"},
    {"chars", NULL, "text/plain", 100, 0, 7, "no room"},
};

static void test_plans(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof plan_cases / sizeof *plan_cases; i++) {
        const plan_case *given = &plan_cases[i];
        sx_token_counter counter = make_counter(BY_WORD, 2, 5, given->limit);
        sx_chunk_options options = {.size = sizeof options, .strategy = given->strategy, .unit = given->unit,
                                    .chunk_size = given->size, .overlap = given->overlap};
        sx_chunk_plan plan;
        sx_error error = {0};
        char found[1100];
        sx_status status = sx_chunk_plan_make(&options, given->media_type, given->limit ? &counter : NULL, &plan, &error);
        if (status == SX_OK)
            snprintf(found, sizeof found, "%s %u %u %s", plan.strategy, plan.size, plan.overlap,
                     plan.in_tokens ? "tokens" : "chars");
        else
            snprintf(found, sizeof found, "%s", error.message);
        if (status == SX_OK ? strcmp(found, given->expected) != 0 : !strstr(found, given->expected))
            fail_msg("case %zu: \"%s\", not \"%s\"", i, found, given->expected);
        assert_true(status == SX_OK || status == SX_E_INVALID);
    }
    assert_int_equal(sx_chunk_plan_make(NULL, NULL, NULL, NULL, NULL), SX_E_INVALID);
}

/* ---- Cuts ------------------------------------------------------------------------------------------------------------- */

enum { MOST_CHUNKS = 12 };

typedef struct cut_case {
    const char *strategy;
    uint32_t size;
    int32_t overlap;
    int kind;             /* of counter, -1: none */
    uint32_t limit;
    const char *title;    /* NULL: a plain text; else a document with structure and headers */
    const char *text;
    const char *expected[MOST_CHUNKS]; /* "headings|header|text" with a title, else the text */
} cut_case;

static const cut_case cut_cases[] = {
    /* Characters: windows of 10, 4 repeated, blanks around them trimmed, never inside CR LF or a cluster. */
    {"chars", 10, 4, -1, 0, NULL, "abcdefghijklmnopqrstuvwxyz", {"abcdefghij", "ghijklmnop", "mnopqrstuv", "stuvwxyz"}},
    {"chars", 10, 4, -1, 0, NULL, "abcdefghij", {"abcdefghij"}},
    {"chars", 10, 4, -1, 0, NULL, "  abcdefg   hijkl  ", {"abcdefg", "efg   hijk", "hijkl"}},
    {"chars", 4, -1, -1, 0, NULL, "abc\r\ndef", {"abc", "de", "f"}},
    {"chars", 4, -1, -1, 0, NULL, "abce\xcc\x81xy", {"abc", "e\xcc\x81xy"}},
    {"chars", 3, -1, -1, 0, NULL, "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f", {"\xc3\xa4\xc3\xb6\xc3\xbc", "\xc3\x9f"}},
    {"chars", 3, -1, -1, 0, NULL, "ab\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7" "c",
     {"ab", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7", "c"}},
    /* A limit in tokens holds for characters too: here a token is a byte, two are special. */
    {"chars", 10, -1, BY_BYTE, 7, NULL, "abcdefghijkl", {"abcde", "fghij", "kl"}},

    /* Tokens: words, two of the size taken by special tokens. */
    {"tokens", 6, 1, BY_WORD, 0, NULL, "a b c d e f g h", {"a b c d", "d e f g", "g h"}},
    {"tokens", 600, -1, BY_WORD, 5, NULL, "a b c d e", {"a b c", "d e"}},
    {"tokens", 12, -1, BY_BYTE, 0, NULL, "one two three", {"one two", "three"}},
    {"tokens", 7, -1, BY_BYTE, 0, NULL, "unbreakable", {"unbre", "akabl", "e"}},
    /* Slices count more than the estimate: 4 words are 5 and length % 5, and there is room for 8. */
    {"tokens", 10, -1, MORE_FOR_SLICES, 0, NULL, "a b c d e f", {"a b c d", "e f"}},
    /* A character that costs more than there is stands alone. */
    {"tokens", 4, -1, BY_BYTE, 0, NULL, "ab\xe6\x9c\xac" "c", {"ab", "\xe6\x9c\xac", "c"}},

    /* Recursive: paragraphs, lines, sentences, words, characters, whichever fills a fair part. */
    {"recursive", 20, -1, -1, 0, NULL, "one two\n\nthree four\n\nfive six", {"one two\n\nthree four", "five six"}},
    {"recursive", 20, -1, -1, 0, NULL, "one two three\nfour five six\nseven", {"one two three", "four five six\nseven"}},
    {"recursive", 20, -1, -1, 0, NULL, "- one two\n- three\n  four five", {"- one two", "- three\n  four five"}},
    {"recursive", 24, -1, -1, 0, NULL, "Is it so. Perhaps not. Who knows.", {"Is it so. Perhaps not.", "Who knows."}},
    {"recursive", 12, -1, -1, 0, NULL, "one two three four five", {"one two", "three four", "five"}},
    {"recursive", 5, -1, -1, 0, NULL, "unbreakable", {"unbre", "akabl", "e"}},
    {"recursive", 12, -1, -1, 0, NULL, "a unbreakableword", {"a", "unbreakablew", "ord"}},
    {"recursive", 14, -1, -1, 0, NULL, "one two\r\n\r\nthree four\r\n", {"one two", "three four"}},
    {"recursive", 8, 4, -1, 0, NULL, "aa bb cc dd ee ff", {"aa bb cc", "cc dd ee", "ee ff"}},
    {"recursive", 5, -1, -1, 0, NULL, "\xe6\x9c\xac\xe3\x81\xaf\xe3\x80\x82\xe6\xac\xa1\xe3\x81\xae\xe6\x9c\xac",
     {"\xe6\x9c\xac\xe3\x81\xaf\xe3\x80\x82", "\xe6\xac\xa1\xe3\x81\xae\xe6\x9c\xac"}},
    {"recursive", 20, -1, -1, 0, NULL, "", {NULL}},
    {"recursive", 20, -1, -1, 0, NULL, " \n\t\xe3\x80\x80\n ", {NULL}},
    {"recursive", 20, -1, -1, 0, NULL, "\xef\xbb\xbf \n", {NULL}},

    /* Sentences. */
    {"sentences", 2, 1, -1, 0, NULL, "One. Two! Three? Four.", {"One. Two!", "Two! Three?", "Three? Four."}},
    {"sentences", 1, -1, -1, 0, NULL, "Dr. Who met J. Smith, e.g. at 3.14 km. Then (he left.) \"Why?\" she asked.",
     {"Dr. Who met J. Smith, e.g. at 3.14 km.", "Then (he left.)", "\"Why?\" she asked."}},
    {"sentences", 1, -1, -1, 0, NULL, "See no. 5 here. She said no. Then nothing.\n\nA title\n\n1. First\n2. Second",
     {"See no. 5 here.", "She said no.", "Then nothing.", "A title", "1. First", "2. Second"}},
    {"sentences", 1, -1, -1, 0, NULL, "Things:\n- one thing\n- another\nand so on",
     {"Things:", "- one thing", "- another\nand so on"}},
    {"sentences", 1, -1, -1, 0, NULL, "\xe4\xbd\xa0\xe5\xa5\xbd\xe3\x80\x82\xe3\x80\x8c\xe5\x90\x97\xef\xbc\x9f"
     "\xe3\x80\x8d\xe5\x90\x97",
     {"\xe4\xbd\xa0\xe5\xa5\xbd\xe3\x80\x82", "\xe3\x80\x8c\xe5\x90\x97\xef\xbc\x9f\xe3\x80\x8d", "\xe5\x90\x97"}},
    {"sentences", 1, -1, -1, 0, NULL, "Version 2.0 of example.com is out... and good. \xc3\x89t\xc3\xa9 came.",
     {"Version 2.0 of example.com is out... and good.", "\xc3\x89t\xc3\xa9 came."}},
    /* More than the model takes: fewer sentences, and a long one recursively. */
    {"sentences", 3, -1, BY_WORD, 6, NULL, "A b. C d. E f. One two three four five six.",
     {"A b. C d.", "E f.", "One two three four", "five six."}},

    /* Paragraphs. */
    {"paragraphs", 2, -1, -1, 0, NULL, "one\ntwo\n\nthree\n \nfour\n\n\n\nfive", {"one\ntwo\n\nthree", "four\n\n\n\nfive"}},
    {"paragraphs", 2, 1, -1, 0, NULL, "one\n\ntwo\n\nthree", {"one\n\ntwo", "two\n\nthree"}},
    {"paragraphs", 2, -1, BY_WORD, 5, NULL, "a b c\n\nd e\n\nf g h i j", {"a b c", "d e", "f g h", "i j"}},

    /* Sections: own heading in the text, the next outer one in the header, no title twice. */
    {"markdown", 12, -1, BY_WORD, 0, "T", "# A\n\nw w w w w\n\n## B\n\nw w w w w\n",
     {"A|T|# A\n\nw w w w w", "A > B|A|## B\n\nw w w w w"}},
    {"markdown", 12, -1, BY_WORD, 0, "A", "# A\n\nw w w w w\n\n## B\n\nw w w w w\n",
     {"A||# A\n\nw w w w w", "A > B|A|## B\n\nw w w w w"}},
    /* Small neighbours share a chunk and keep the headings they have in common. */
    {"markdown", 32, -1, BY_WORD, 0, "", "# P\n\n## A\n\nx y\n\n## B\n\nz", {"P||# P\n\n## A\n\nx y\n\n## B\n\nz"}},
    {"markdown", 20, -1, BY_WORD, 0, "", "# P\n\nw w w w w w w\n\n## A\n\nx\n\n## B\n\nz\n\n# Q\n\ny",
     {"P||# P\n\nw w w w w w w", "P|P|## A\n\nx\n\n## B\n\nz", "Q||# Q\n\ny"}},
    /* A bare heading goes with what follows, and one at the end with what is before. */
    {"markdown", 12, -1, BY_WORD, 0, "", "# A\n\n## B\n\nw w w w", {"A > B||# A\n\n## B\n\nw w w w"}},
    {"markdown", 12, -1, BY_WORD, 0, "", "# A\n\nw w w w\n\n## B\n", {"A||# A\n\nw w w w\n\n## B"}},
    /* A heading level that comes again is a new section; one that is skipped is no matter. */
    {"markdown", 8, -1, BY_WORD, 0, "", "### A\n\nw w w\n\n# B\n\nw w w\n\n### C\n\nw w",
     {"A||### A\n\nw w w", "B||# B\n\nw w w", "B > C|B|### C\n\nw w"}},
    /* A large section is cut between its blocks; its later pieces name it in the header. The text before all headings
     * has none. */
    {"markdown", 10, -1, BY_WORD, 0, "", "w w w w\n\n# A\n\na b c d e\n\nf g h i\n\nj k",
     {"||w w w w", "A||# A\n\na b c d e", "A|A|f g h i\n\nj k"}},
    {"markdown", 10, 3, BY_WORD, 0, "", "# A\n\na b c d\n\ne f g h", {"A||# A\n\na b c d", "A|A|b c d\n\ne f g h"}},
    /* A header of more than a third of the budget goes. */
    {"markdown", 14, -1, BY_WORD, 0, "a title of five words", "# A A\n\nw w w w w w\n\n## B\n\nw w w w w w w",
     {"A A||# A A\n\nw w w w w w", "A A > B|A A|## B\n\nw w w w w w w"}},
    {"markdown", 8, -1, BY_WORD, 0, "one two three", "# A\n\nw w w w", {"A||# A\n\nw w w w"}},
    {"html", 100, -1, BY_WORD, 0, "Page", "just text", {"|Page|just text"}},
    /* A byte order mark before the first heading belongs to its section. */
    {"markdown", 12, -1, BY_WORD, 0, "", "\xef\xbb\xbf\n# A\n\nw", {"A||\xef\xbb\xbf\n# A\n\nw"}},
    /* Other strategies carry the headings in force where they begin. */
    {"paragraphs", 1, -1, -1, 0, "T", "# A\n\none\n\n## B\ntwo",
     {"A|T|# A", "A|A|one", "A > B|A|## B", "A > B|B|two"}},
};

static void render(const sx_document *document, const sx_chunk *chunk, bool structure, sx_buffer *found)
{
    sx_buffer_reset(found);
    for (uint32_t i = 0; structure && i < chunk->heading_count; i++)
        sx_buffer_printf(found, "%s%s", i ? " > " : "", chunk->headings[i]);
    if (structure)
        sx_buffer_printf(found, "|%s|", chunk->header);
    sx_buffer_append(found, document->text + chunk->start, (size_t)(chunk->end - chunk->start));
}

static void test_cuts(void **state)
{
    (void)state;
    sx_buffer found = {0};
    for (size_t i = 0; i < sizeof cut_cases / sizeof *cut_cases; i++) {
        const cut_case *given = &cut_cases[i];
        sx_document document;
        make_document(given->text, strlen(given->text), given->title ? given->title : "", given->title != NULL, &document);
        sx_token_counter counter = make_counter(given->kind < 0 ? BY_WORD : (counter_kind)given->kind, 2, 0, given->limit);
        sx_token_counter *counts = given->kind < 0 ? NULL : &counter;
        sx_chunk_options options = {.size = sizeof options, .strategy = given->strategy, .chunk_size = given->size,
                                    .overlap = given->overlap};
        sx_chunk_plan plan;
        sx_chunk_list list;
        sx_error error = {0};
        assert_int_equal(sx_chunk_plan_make(&options, document.media_type, counts, &plan, &error), SX_OK);
        assert_int_equal(sx_chunk_document(&document, &plan, counts, &list, &error), SX_OK);
        const char *broken = broken_promise(&document, &plan, counts, &list);
        if (broken)
            fail_msg("case %zu (%s): %s", i, given->text, broken);
        for (size_t j = 0; j < list.count || (j < MOST_CHUNKS && given->expected[j]); j++) {
            const char *expected = j < MOST_CHUNKS && given->expected[j] ? given->expected[j] : "(no chunk)";
            sx_buffer_reset(&found);
            sx_buffer_append_string(&found, "(no chunk)");
            if (j < list.count)
                render(&document, &list.chunks[j], given->title != NULL, &found);
            if (strcmp(found.data, expected) != 0)
                fail_msg("case %zu (%s), chunk %zu: \"%s\", not \"%s\"", i, given->text, j, found.data, expected);
        }
        sx_chunk_list_clear(&list);
        sx_arena_clear(&document.arena);
    }
    sx_buffer_clear(&found);
}

/* The classic 1000 characters with 200 repeated: chunk k is text[800k, 800k + 1000). */
static void test_classic_characters(void **state)
{
    (void)state;
    char text[5001];
    for (size_t i = 0; i < 5000; i++)
        text[i] = (char)('a' + i * 7 % 26);
    sx_document document;
    make_document(text, 5000, "", false, &document);
    sx_chunk_options options = {.size = sizeof options, .strategy = "chars"};
    sx_chunk_plan plan;
    sx_chunk_list list;
    assert_int_equal(sx_chunk_plan_make(&options, "text/plain", NULL, &plan, NULL), SX_OK);
    assert_int_equal(sx_chunk_document(&document, &plan, NULL, &list, NULL), SX_OK);
    assert_int_equal(list.count, 6);
    for (size_t i = 0; i < list.count; i++) {
        assert_int_equal(list.chunks[i].start, 800 * i);
        assert_int_equal(list.chunks[i].end, i < 5 ? 800 * i + 1000 : 5000);
    }
    sx_chunk_list_clear(&list);
}

static void test_lines_and_tokens(void **state)
{
    (void)state;
    const char *text = "\n\n# A\n\none two\nthree\n\n# B\n\nfour five six seven";
    sx_document document;
    make_document(text, strlen(text), "Title", true, &document);
    sx_token_counter counter = make_counter(BY_WORD, 2, 3, 14);
    sx_chunk_options options = {.size = sizeof options, .strategy = "markdown"};
    sx_chunk_plan plan;
    sx_chunk_list list;
    assert_int_equal(sx_chunk_plan_make(&options, "text/markdown", &counter, &plan, NULL), SX_OK);
    assert_int_equal(sx_chunk_document(&document, &plan, &counter, &list, NULL), SX_OK);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.chunks[0].start_line, 3);
    assert_int_equal(list.chunks[0].end_line, 6);
    assert_int_equal(list.chunks[1].start_line, 8);
    assert_int_equal(list.chunks[1].end_line, 10);
    /* prompt 3, special 2, header 1, text 5 and 6 */
    assert_int_equal(list.chunks[0].tokens, 11);
    assert_int_equal(list.chunks[1].tokens, 12);
    sx_buffer embedded = {0};
    assert_true(sx_chunk_embedded_text(&list.chunks[1], text, &embedded));
    assert_string_equal(embedded.data, "Title\n# B\n\nfour five six seven");
    sx_buffer_clear(&embedded);
    sx_chunk_list_clear(&list);
    sx_arena_clear(&document.arena);
}

static size_t count_nothing(void *user, const char *text, size_t length, uint32_t *starts, size_t capacity)
{
    (void)text;
    (void)length;
    (void)starts;
    (void)capacity;
    unsigned *calls_left = user;
    return (*calls_left)-- ? 1 : SIZE_MAX;
}

/* A counter that fails, at its first call or a later one, fails the call and leaves nothing behind. */
static void test_counter_that_fails(void **state)
{
    (void)state;
    const char *text = "# A\n\none\n\n# B\n\ntwo";
    sx_document document;
    make_document(text, strlen(text), "Title", true, &document);
    for (unsigned calls = 0; calls < 3; calls++) {
        unsigned left = calls;
        sx_token_counter counter = {.count = count_nothing, .user = &left, .limit = 100};
        sx_chunk_plan plan;
        sx_chunk_list list;
        sx_error error = {0};
        assert_int_equal(sx_chunk_plan_make(NULL, "text/markdown", &counter, &plan, NULL), SX_OK);
        assert_int_equal(sx_chunk_document(&document, &plan, &counter, &list, &error), SX_E_NOMEM);
        assert_non_null(strstr(error.message, "counting"));
        assert_null(list.chunks);
        assert_int_equal(list.count, 0);
    }
    sx_arena_clear(&document.arena);
}

/* Blocks that overlap, run backwards or cut characters are passed over, not trusted. */
static void test_unsound_blocks(void **state)
{
    (void)state;
    const char *text = "\xc3\xa4" "bc def ghi";
    sx_block blocks[] = {{SX_BLOCK_HEADING, 1, 1, 4, "cuts"}, {SX_BLOCK_HEADING, 0, 5, 8, NULL},
                         {SX_BLOCK_PARAGRAPH, 0, 6, 7, NULL}, {SX_BLOCK_HEADING, 2, 9, 90, "beyond"},
                         {SX_BLOCK_HEADING, 2, 9, 9, "empty"}};
    sx_document document;
    make_document(text, strlen(text), "", false, &document);
    document.blocks = blocks;
    document.block_count = sizeof blocks / sizeof *blocks;
    sx_chunk_options options = {.size = sizeof options, .strategy = "markdown", .chunk_size = 5, .overlap = -1};
    sx_chunk_plan plan;
    sx_chunk_list list;
    assert_int_equal(sx_chunk_plan_make(&options, "text/markdown", NULL, &plan, NULL), SX_OK);
    assert_int_equal(sx_chunk_document(&document, &plan, NULL, &list, NULL), SX_OK);
    assert_null(broken_promise(&document, &plan, NULL, &list));
    for (size_t i = 0; i < list.count; i++)
        assert_int_equal(list.chunks[i].heading_count, 0);
    sx_chunk_list_clear(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plans),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_classic_characters),
        cmocka_unit_test(test_lines_and_tokens),
        cmocka_unit_test(test_counter_that_fails),
        cmocka_unit_test(test_unsound_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
