/* test_chunk_properties.c - random documents through every strategy and several counters: all that chunk.h promises,
 * each time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "chunk_documents.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const strategies[] = {"auto", "recursive", "tokens", "chars", "sentences", "paragraphs",
                                         "markdown", "rst", "html", "semantic"};
enum { STRATEGIES = sizeof strategies / sizeof *strategies };

static uint64_t generator = 0x9e3779b97f4a7c15u;

static uint32_t below(uint32_t bound)
{
    generator ^= generator << 13;
    generator ^= generator >> 7;
    generator ^= generator << 17;
    return (uint32_t)(generator >> 32) % bound;
}

static void add_word(sx_buffer *buffer)
{
    static const char *const words[] = {
        "the", "model", "e.g.", "Dr.", "3.14", "Embedding", "vector.", "Really?", "\"Yes!\"", "(end.)",
        "caf\xc3\xa9", "e\xcc\x81",
        "\xe6\x9c\xac\xe3\x81\xaf\xe3\x80\x82\xe6\xac\xa1", "\xe4\xbd\xa0\xe5\xa5\xbd\xef\xbc\x81",
        "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7",
        "\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa\xf0\x9f\x87\xab\xf0\x9f\x87\xb7", "a\xc2\xa0z", "-", "*",
        "1.", "`code();`", "x_y", "I.", "No.",
        "\xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7\xd8\x9f",
        "\xe0\xa4\xa8\xe0\xa4\xae\xe0\xa4\xb8\xe0\xa5\x8d\xe0\xa4\xa4\xe0\xa5\x87\xe0\xa5\xa4"};
    uint32_t kind = below(40);
    if (kind == 0) { /* a word longer than any budget */
        for (uint32_t i = below(400); i > 0; i--)
            sx_buffer_append_byte(buffer, (char)('a' + below(26)));
    } else if (kind == 1) { /* a heap of combining marks */
        sx_buffer_append_byte(buffer, 'o');
        for (uint32_t i = below(40); i > 0; i--)
            sx_buffer_append_string(buffer, "\xcc\x88");
    } else {
        sx_buffer_append_string(buffer, words[below(sizeof words / sizeof *words)]);
    }
}

static void make_text(sx_buffer *buffer)
{
    static const char *const gaps[] = {" ", " ", " ", " ", " ", "  ", "\n", "\r\n", "\t", "\xe3\x80\x80", "", "\xc2\x85"};
    static const char *const breaks[] = {"\n\n", "\n", "\r\n\r\n", "\n \n", "\n\n\n\n", " ", "\r", "\n"};
    sx_buffer_reset(buffer);
    if (below(10) == 0)
        sx_buffer_append_string(buffer, "\xef\xbb\xbf");
    if (below(5) == 0)
        sx_buffer_append_string(buffer, breaks[below(8)]);
    for (uint32_t parts = below(30); parts > 0; parts--) {
        if (below(3) == 0) {
            sx_buffer_append_string(buffer, "\n");
            for (uint32_t level = 1 + below(4); level > 0; level--)
                sx_buffer_append_byte(buffer, '#');
            for (uint32_t words = below(5); words > 0; words--) {
                sx_buffer_append_byte(buffer, ' ');
                add_word(buffer);
            }
            sx_buffer_append_string(buffer, below(4) ? "\n" : "\n\n");
            continue;
        }
        for (uint32_t words = below(below(8) ? 25 : 150); words > 0; words--) {
            add_word(buffer);
            sx_buffer_append_string(buffer, gaps[below(sizeof gaps / sizeof *gaps)]);
        }
        sx_buffer_append_string(buffer, breaks[below(8)]);
    }
}

static void fail_with(const char *broken, const sx_chunk_plan *plan, int kind, const sx_document *document)
{
    fail_msg("%s: strategy %s, size %u, overlap %u, %s, counter %d, text of %zu bytes: %.300s", broken, plan->strategy,
             plan->size, plan->overlap, plan->in_tokens ? "tokens" : "units", kind, document->length, document->text);
}

static void chunk_and_check(const sx_document *document, const char *strategy, int kind)
{
    sx_token_counter counter = {0}, *counts = NULL;
    if (kind >= 0) {
        uint32_t special = below(3), prompt = below(4), limits[] = {0, special + prompt + 1 + below(10), 16 + below(300)};
        counter = make_counter((counter_kind)kind, special, prompt, limits[below(3)]);
        counts = &counter;
    }
    sx_chunk_options options = {.size = sizeof options, .strategy = strategy, .no_header = below(4) == 0};
    options.chunk_size = below(2) ? 0 : 1 + below(below(2) ? 20 : 300);
    options.overlap = below(3) ? (int32_t)below(3) - 1 : (int32_t)below(40);
    if (below(3) == 0 && strcmp(strategy, "auto") == 0)
        options.unit = below(2) ? "chars" : "tokens";
    sx_chunk_plan plan;
    sx_error error;
    sx_status status = sx_chunk_plan_make(&options, document->media_type, counts, &plan, &error);
    if (status != SX_OK) {
        assert_int_equal(status, SX_E_INVALID);
        return;
    }
    sx_chunk_list list, again;
    assert_int_equal(sx_chunk_document_in(document, &plan, &with_vectors, counts, &list, &error), SX_OK);
    const char *broken = broken_promise(document, &plan, counts, &list);
    if (broken)
        fail_with(broken, &plan, kind, document);
    assert_int_equal(sx_chunk_document_in(document, &plan, &with_vectors, counts, &again, &error), SX_OK);
    bool same = again.count == list.count;
    for (size_t i = 0; same && i < list.count; i++)
        same = list.chunks[i].start == again.chunks[i].start && list.chunks[i].end == again.chunks[i].end &&
               strcmp(list.chunks[i].header, again.chunks[i].header) == 0;
    if (!same)
        fail_with("not the same chunks again", &plan, kind, document);
    sx_chunk_list_clear(&list);
    sx_chunk_list_clear(&again);
}

static void test_random_documents(void **state)
{
    (void)state;
    sx_buffer text = {0};
    for (int round = 0; round < 300; round++) {
        make_text(&text);
        sx_document document;
        const char *title = below(3) ? "" : below(2) ? "the model" : "A title of the document";
        make_document(text.length ? text.data : "", text.length, title, below(3) != 0, &document);
        for (size_t strategy = 0; strategy < STRATEGIES; strategy++)
            for (int kind = -1; kind < COUNTER_KINDS; kind++)
                chunk_and_check(&document, strategies[strategy], kind);
        sx_arena_clear(&document.arena);
    }
    sx_buffer_clear(&text);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* 20 MB without a line end, without a space, and 4 MB of worse: each strategy in a time that only linear work allows.
 * The bound is wide, for sanitizers and busy machines; quadratic work would take hours. */
static void test_long_lines_take_linear_time(void **state)
{
    (void)state;
    size_t length = (size_t)20 << 20;
    char *text = malloc(length);
    assert_non_null(text);
    static const char *const patterns[] = {"x", "some words in a row ", "o\xcc\x88\xcc\x88", "\xcc\x88", "\xe6\x9c\xac",
                                           "A. ", "\n", "#\n", "# a\n", "## a\n\nb\n", "# a\n### b\n## c\nd\n"};
    for (size_t pattern = 0; pattern < sizeof patterns / sizeof *patterns; pattern++) {
        size_t step = strlen(patterns[pattern]), used = (pattern < 2 ? length : length / 5) / step * step;
        for (size_t at = 0; at < used; at += step)
            memcpy(text + at, patterns[pattern], step);
        sx_document document;
        make_document(text, used, "", patterns[pattern][0] == '#', &document);
        for (size_t strategy = 0; strategy < STRATEGIES; strategy++) {
            counter_kind kind = (counter_kind)((strategy + pattern) % COUNTER_KINDS);
            sx_token_counter counter = make_counter(kind, 2, 0, 256);
            sx_chunk_options options = {.size = sizeof options, .strategy = strategies[strategy]};
            sx_chunk_plan plan;
            sx_chunk_list list;
            double begun = seconds_now();
            assert_int_equal(sx_chunk_plan_make(&options, "text/plain", &counter, &plan, NULL), SX_OK);
            assert_int_equal(sx_chunk_document_in(&document, &plan, &with_vectors, &counter, &list, NULL), SX_OK);
            double taken = seconds_now() - begun;
            if (taken > 30)
                fail_msg("%s, pattern %zu, counter %d: %.1f s", strategies[strategy], pattern, (int)kind, taken);
            if (getenv("SX_TEST_TIMES"))
                print_message("%-10s pattern %zu counter %d: %7zu chunks %.2f s\n", strategies[strategy], pattern, (int)kind,
                              list.count, taken);
            for (size_t i = 0; i < list.count; i++)
                assert_true(list.chunks[i].tokens <= 256 || list.chunks[i].end - list.chunks[i].start <= 4);
            sx_chunk_list_clear(&list);
        }
        sx_arena_clear(&document.arena);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_documents),
        cmocka_unit_test(test_long_lines_take_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
