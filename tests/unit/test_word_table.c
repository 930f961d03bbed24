/* test_word_table.c - the short way for words that are pieces and for those split before gives what the long way gives: ids,
 * offsets and what was dropped, on texts made at random, with one encoding for two tokenizers in turns. */
#include "tok/tokenizer_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 6000, LONGEST = 400 };

static uint32_t state = 7;
static uint32_t below(uint32_t count)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % count;
}

/* Pieces, words of several pieces and of thirteen letters, and what may stand at a word's ends. */
static const char *const parts[] = {"the",    "boats",     "harbour", "x",         "kubernetes", "tokenizers", "abcdefghijkl",
                                    "abcdefghijklm", "Zürich", "2026",    "0x1F600",   "é",          "\xcc\x81",   "中",
                                    "\x01",   "\xff",      "##ing",   "[SEP]",     "[CLS]",      "İ",          "ß",
                                    "qqqqqqqqqqqq",  "HTTP",   "a",       "unaffable", "1234567",    "\xc2\xa0",   "\xe2\x80\x8b"};
static const char *const between[] = {" ", " ", " ", "", "-", "_", ".", ",", "\t", "\n", "  ", "("};

static size_t make_text(char *text)
{
    size_t length = 0, words = below(30);
    for (size_t i = 0; i < words; i++) {
        const char *part = parts[below(sizeof parts / sizeof *parts)], *gap = between[below(sizeof between / sizeof *between)];
        length += (size_t)sprintf(text + length, "%s%s", part, gap);
        if (length > LONGEST)
            break;
    }
    return length ? length - below(length < 4 ? 1 : 4) : 0; /* also inside a character */
}

static void same(const sx_encoding *a, const sx_encoding *b, const char *text, size_t length)
{
    if (a->count != b->count || a->dropped != b->dropped || memcmp(a->ids, b->ids, a->count * sizeof *a->ids) ||
        memcmp(a->starts, b->starts, a->count * sizeof *a->starts) || memcmp(a->ends, b->ends, a->count * sizeof *a->ends))
        fail_msg("%zu tokens (%zu dropped) the short way, %zu (%zu) the long way: %.*s", a->count, a->dropped, b->count,
                 b->dropped, (int)length, text);
}

static void test_both_ways(void **unused)
{
    static const char *const files[] = {SX_FIXTURES "/minilm/tokenizer.json", SX_FIXTURES "/families/bert/tokenizer.json"};
    enum { FILES = sizeof files / sizeof *files };
    sx_tokenizer *tokenizers[FILES];
    sx_encoding quick = {0}, slow = {0};
    sx_error error = {0};
    char text[2 * LONGEST];
    for (size_t i = 0; i < FILES; i++) {
        assert_int_equal(sx_tokenizer_open(files[i], &tokenizers[i], &error), SX_OK);
        assert_non_null(tokenizers[i]->words.slots);
    }
    for (size_t round = 0; round < ROUNDS; round++) {
        sx_tokenizer *tokenizer = tokenizers[round / 1000 % FILES]; /* long enough for it to remember words */
        size_t length = make_text(text);
        sx_encode_options options = {.size = sizeof options, .max_length = below(3) ? 0 : 2 + below(20)};
        char *exact = malloc(length + 1); /* a read beyond its end is seen by the sanitizers */
        assert_non_null(exact);
        memcpy(exact, text, length);
        assert_int_equal(sx_tokenizer_encode(tokenizer, (sx_text){exact, length}, &options, &quick, &error), SX_OK);
        sx_word_slot *slots = tokenizer->words.slots;
        tokenizer->words.slots = NULL;
        assert_int_equal(sx_tokenizer_encode(tokenizer, (sx_text){exact, length}, &options, &slow, &error), SX_OK);
        tokenizer->words.slots = slots;
        same(&quick, &slow, text, length);
        free(exact);
    }
    const sx_encode_scratch *scratch = quick.scratch;
    assert_true(scratch && scratch->words.words);
    sx_encoding_clear(&quick);
    sx_encoding_clear(&slow);
    for (size_t i = 0; i < FILES; i++)
        sx_tokenizer_close(tokenizers[i]);
}

/* Every length at every distance from the end, so that all three ways to load sixteen bytes are taken. */
static void test_loads(void **unused)
{
    sx_word_table table = {.lowercase = true};
    for (size_t length = 1; length <= 20; length++)
        for (size_t before = 0; before <= 20; before++)
            for (size_t after = 0; after <= 20; after++) {
                size_t end = before + length + after;
                char *text = malloc(end);
                assert_non_null(text);
                memset(text, ' ', end);
                for (size_t i = 0; i < length; i++)
                    text[before + i] = (char)(i % 3 ? 'A' + (int)i : '0' + (int)(i % 10));
                sx_short_word word;
                bool found = sx_short_word_read(&table, text, before, end, &word);
                assert_int_equal(found, length <= SX_WORD_TABLE_LONGEST);
                for (size_t i = 0; found && i < 12; i++) {
                    unsigned char byte = (unsigned char)(i < 8 ? word.first >> 8 * i : (uint64_t)word.last >> 8 * (i - 8));
                    unsigned char wanted = (unsigned char)(i < length ? text[before + i] : 0);
                    assert_int_equal(byte, wanted >= 'A' && wanted <= 'Z' ? wanted | 0x20 : wanted);
                }
                if (found)
                    assert_int_equal(word.length, length);
                free(text);
            }
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[1] = {(char)byte};
        sx_short_word word;
        bool is_word = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
        assert_int_equal(sx_short_word_read(&table, text, 0, 1, &word), is_word);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_loads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
