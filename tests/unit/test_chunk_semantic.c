/* test_chunk_semantic.c - strategy semantic by example. Words in capitals are subjects, and a text's vector counts them, so drift
 * is where the words change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "chunk_documents.h"
#include "base/error.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SUBJECTS = 26 };

typedef struct asked {
    size_t texts, longest; /* longest: in words */
    sx_buffer log;         /* every text on a line */
    bool unknown;          /* no vectors are to be had */
    sx_status status;
} asked;

static sx_status embed(void *user, const sx_text *texts, size_t count, float *vectors, sx_error *error)
{
    asked *all = user;
    if (all->status)
        return sx_fail(error, all->status, "nobody embeds");
    for (size_t i = 0; i < count; i++) {
        float *vector = vectors + i * SUBJECTS;
        for (size_t j = 0; j < SUBJECTS; j++)
            vector[j] = all->unknown ? NAN : 0;
        for (size_t j = 0; j < texts[i].length; j++)
            if (texts[i].data[j] >= 'A' && texts[i].data[j] <= 'Z')
                vector[texts[i].data[j] - 'A'] += 1;
        size_t words = count_words(NULL, texts[i].data, texts[i].length, NULL, 0);
        all->longest = words > all->longest ? words : all->longest;
        sx_buffer_append(&all->log, texts[i].data, texts[i].length);
        sx_buffer_append_byte(&all->log, '\n');
    }
    all->texts += count;
    return SX_OK;
}

typedef struct cut_case {
    const char *text;
    uint32_t size;
    int32_t overlap;
    bool structure;
    const char *expected; /* chunks with '|' between, line ends as '/' */
} cut_case;

static const cut_case cases[] = {
    /* The subject changes once, in the middle of a chunk's room. */
    {"A one. A two. A three. A four. B five. B six. B seven. B eight.", 14, 0, false,
     "A one. A two. A three. A four.|B five. B six. B seven. B eight."},
    /* Twice, at uneven places; all would fit in two chunks. */
    {"A one. A two. A three. B four. B five. B six. B seven. C eight. C nine. C ten.", 12, 0, false,
     "A one. A two. A three.|B four. B five. B six. B seven.|C eight. C nine. C ten."},
    /* A change too near to the beginning or the end does not make a tiny chunk. */
    {"A one. B two. B three. B four. B five. B six.", 12, 0, false, "A one. B two. B three. B four. B five. B six."},
    {"B one. B two. B three. B four. B five. A six.", 12, 0, false, "B one. B two. B three. B four. B five. A six."},
    /* What is too long is cut at the largest change there is, not where the room ends. */
    {"A one. A two. A three. AB four. AB five. AB six. AB seven. AB eight.", 10, 0, false,
     "A one. A two. A three.|AB four. AB five. AB six. AB seven. AB eight."},
    /* Without any change chunks are full. */
    {"A one. A two. A three. A four. A five. A six.", 8, 0, false, "A one. A two. A three. A four.|A five. A six."},
    /* Abbreviations end no sentence; one sentence that does not fit is cut inside. */
    {"A Dr. Who e.g. two. A three.", 100, 0, false, "A Dr. Who e.g. two. A three."},
    {"A one two three four five six seven eight nine ten.", 6, 0, false, "A one two three four five|six seven eight nine ten."},
    /* A section begins a chunk once the one before is fairly full, and a heading stays with what follows. */
    {"# Q\n\nA one. A two. A three.\n\n# R\n\nA four. A five. A six.", 30, 0, true,
     "# Q//A one. A two. A three.//# R//A four. A five. A six."},
    {"# Q\n\nA one. A two. A three.\n\n# R\n\nA four. A five. A six.", 17, 0, true,
     "# Q//A one. A two. A three.|# R//A four. A five. A six."},
    {"# Q\n\nA one. A two. A three.\n\n# R\n\n## S\n\nA four. A five. A six.", 20, 0, true,
     "# Q//A one. A two. A three.|# R//## S//A four. A five. A six."},
    /* What is repeated. */
    {"A one. A two. A three. A four. B five. B six. B seven. B eight.", 14, 3, false,
     "A one. A two. A three. A four.|A four. B five. B six. B seven. B eight."},
};

static void describe(const sx_document *document, const sx_chunk_list *list, char *out)
{
    size_t used = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            out[used++] = '|';
        for (uint64_t at = list->chunks[i].start; at < list->chunks[i].end; at++)
            out[used++] = document->text[at] == '\n' ? '/' : document->text[at];
    }
    out[used] = '\0';
}

static sx_status cut(const cut_case *given, asked *all, sx_document *document, sx_chunk_list *list, sx_error *error)
{
    sx_token_counter counter = make_counter(BY_WORD, 0, 0, 512);
    sx_chunk_options options = {.size = sizeof options, .strategy = "semantic", .chunk_size = given->size,
                                .overlap = given->overlap, .no_header = 1};
    sx_chunk_context context = {.embed = embed, .embed_user = all, .dimensions = SUBJECTS};
    sx_chunk_plan plan;
    make_document(given->text, strlen(given->text), "", given->structure, document);
    assert_int_equal(sx_chunk_plan_make(&options, document->media_type, &counter, &plan, NULL), SX_OK);
    sx_status status = sx_chunk_document_in(document, &plan, &context, &counter, list, error);
    if (status == SX_OK)
        assert_null(broken_promise(document, &plan, &counter, list));
    return status;
}

static void test_cuts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_document document;
        sx_chunk_list list;
        asked all = {0};
        char found[512];
        assert_int_equal(cut(&cases[i], &all, &document, &list, NULL), SX_OK);
        describe(&document, &list, found);
        if (strcmp(found, cases[i].expected) != 0)
            fail_msg("case %zu: %s\n  expected %s", i, found, cases[i].expected);
        assert_true(all.longest <= cases[i].size);
        sx_chunk_list_clear(&list);
        sx_buffer_clear(&all.log);
        sx_arena_clear(&document.arena);
    }
}

/* No window spans a heading, none is asked for twice, and sections that are too small to be cut are not asked for. */
static void test_what_is_embedded(void **state)
{
    (void)state;
    const cut_case given = {"# Q\n\nA one. A two.\n\n# R\n\nB one. B two. B three. B four. B five.\n", 12, 0, true, ""};
    sx_document document;
    sx_chunk_list list;
    asked all = {0};
    assert_int_equal(cut(&given, &all, &document, &list, NULL), SX_OK);
    assert_string_equal(all.log.data, "B one.\nB two. B three. B four.\nB one. B two.\nB three. B four. B five.\n"
                                      "B one. B two. B three.\nB four. B five.\nB five.\n");
    sx_chunk_list_clear(&list);
    sx_buffer_clear(&all.log);
    sx_arena_clear(&document.arena);

    const cut_case small = {"A one. B two.", 9, 0, false, ""};
    asked none = {0};
    assert_int_equal(cut(&small, &none, &document, &list, NULL), SX_OK);
    assert_int_equal(none.texts, 2);
    sx_chunk_list_clear(&list);
    sx_buffer_clear(&none.log);

    const cut_case tiny = {"A one. B two.", 40, 0, false, ""};
    asked nothing = {0};
    assert_int_equal(cut(&tiny, &nothing, &document, &list, NULL), SX_OK);
    assert_int_equal(nothing.texts, 0);
    sx_chunk_list_clear(&list);
}

/* Many blocks of windows give what one would: every hundredth sentence another subject. */
static void test_long_document(void **state)
{
    (void)state;
    sx_buffer text = {0};
    enum { SENTENCES = 1000, EACH = 20 };
    for (int i = 0; i < SENTENCES; i++)
        sx_buffer_printf(&text, "%c word %d. ", 'A' + i / EACH % 26, i);
    const cut_case given = {text.data, 3 * EACH + 6, 0, false, ""};
    sx_document document;
    sx_chunk_list list;
    asked all = {0};
    assert_int_equal(cut(&given, &all, &document, &list, NULL), SX_OK);
    assert_int_equal(list.count, SENTENCES / EACH);
    for (size_t i = 0; i < list.count; i++) {
        char begins[32];
        int length = snprintf(begins, sizeof begins, "%c word %zu.", (char)('A' + i % 26), i * EACH);
        assert_memory_equal(document.text + list.chunks[i].start, begins, (size_t)length);
    }
    assert_in_range(all.texts, SENTENCES, SENTENCES + SENTENCES / 10);
    sx_chunk_list_clear(&list);
    sx_buffer_clear(&all.log);
    sx_buffer_clear(&text);
}

static void test_without_vectors(void **state)
{
    (void)state;
    sx_document document;
    sx_chunk_list list;
    sx_error error = {0};
    asked all = {.unknown = true};
    const cut_case given = {"A one. A two. A three. B four. B five. B six.", 8, 0, false, ""};
    char found[512];
    assert_int_equal(cut(&given, &all, &document, &list, NULL), SX_OK);
    describe(&document, &list, found);
    assert_string_equal(found, "A one. A two. A three. B four.|B five. B six.");
    sx_chunk_list_clear(&list);
    sx_buffer_clear(&all.log);

    asked refuses = {.status = SX_E_NETWORK};
    assert_int_equal(cut(&given, &refuses, &document, &list, &error), SX_E_NETWORK);
    assert_int_equal(list.count, 0);

    sx_chunk_options options = {.size = sizeof options, .strategy = "semantic"};
    sx_chunk_plan plan;
    assert_int_equal(sx_chunk_plan_make(&options, "text/plain", NULL, &plan, NULL), SX_OK);
    assert_int_equal(sx_chunk_document(&document, &plan, NULL, &list, &error), SX_E_INVALID);
    assert_non_null(strstr(error.message, "semantic"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_what_is_embedded),
        cmocka_unit_test(test_long_document),
        cmocka_unit_test(test_without_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
