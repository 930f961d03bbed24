/* test_words.c - the words a keyword index counts: a table of texts, stems of the published algorithm, any bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "text/utf8.h"
#include "text/words.h"

#include <stdlib.h>
#include <string.h>

/* Plain words as they are, wholes in brackets, pairs in braces. */
static bool note(const char *word, size_t length, sx_word_kind kind, void *user)
{
    static const char *const open[] = {"", "[", "{"}, *const close[] = {"", "]", "}"};
    sx_buffer *buffer = user;
    assert_true(length > 0 && length <= SX_WORD_BYTES);
    if (buffer->length)
        sx_buffer_append_byte(buffer, ' ');
    sx_buffer_append_string(buffer, open[kind]);
    sx_buffer_append(buffer, word, length);
    return sx_buffer_append_string(buffer, close[kind]);
}

static void test_table(void **state)
{
    static const char *const table[][2] = {
        {"", ""},
        {" \t.,;!?", ""},
        {"Hello, World", "hello world"},
        {"HTTPServer", "http server [httpserver]"},
        {"get_user_id", "get user id [get_user_id]"},
        {"getUserId", "get user id [getuserid]"},
        {"__init__ _private", "init privat"},
        {"_torch_function_", "torch function [torch_function]"},
        {"GPUs GPUShare", "gpu gpu share [gpushare]"},
        {"conv2d B12", "conv 2 d [conv2d] b 12 [b12]"},
        {"torch.nn.functional", "torch nn {torch.nn} function {nn.functional}"},
        {"std::vector a->b", "std vector {std.vector} a b {a.b}"},
        {"src/index/hybrid.c", "src index {src.index} hybrid {index.hybrid} c {hybrid.c}"},
        {"C:\\Users", "c user"},
        {"vitamin-D", "vitamin d {vitamin.d}"},
        {"end. Next -- x", "end next x"},
        {"0x7fff", "0 x 7 fff [0x7fff]"},
        {"0.75 1,000", "0 75 {0.75} 1 000"},
        {"\xc3\x84rger Stra\xc3\x9f""e", "arger strass"},
        {"cafe\xcc\x81", "cafe"},
        {"o\xef\xac\x80""er \xef\xbc\xa1\xef\xbc\xa2", "offer ab"},
        {"\xd0\x81\xd0\xbb\xd0\xba\xd0\xb0", "\xd0\xb5\xd0\xbb\xd0\xba\xd0\xb0"},
        {"\xe6\x9d\xb1\xe4\xba\xac\xe9\x83\xbd", "\xe6\x9d\xb1 \xe4\xba\xac \xe6\x9d\xb1\xe4\xba\xac \xe9\x83\xbd \xe4\xba\xac\xe9\x83\xbd"},
        {"\xe6\x9d\xb1""a\xe4\xba\xac", "\xe6\x9d\xb1 a \xe4\xba\xac"},
        {"\xed\x95\x9c\xea\xb5\xad", "\xed\x95\x9c \xea\xb5\xad \xed\x95\x9c\xea\xb5\xad"},
        {"a\xff""b", "a b"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        sx_buffer buffer = {0};
        assert_true(sx_words_split(table[i][0], strlen(table[i][0]), note, &buffer));
        assert_string_equal(buffer.data ? buffer.data : "", table[i][1]);
        sx_buffer_clear(&buffer);
    }
}

/* Pairs of the paper, and of the departures its author published. */
static void test_stems(void **state)
{
    static const char *const table[][2] = {
        {"caresses", "caress"}, {"ponies", "poni"}, {"ties", "ti"}, {"caress", "caress"}, {"cats", "cat"}, {"feed", "feed"},
        {"agreed", "agre"}, {"plastered", "plaster"}, {"bled", "bled"}, {"motoring", "motor"}, {"sing", "sing"},
        {"conflated", "conflat"}, {"troubled", "troubl"}, {"sized", "size"}, {"hopping", "hop"}, {"tanned", "tan"},
        {"falling", "fall"}, {"hissing", "hiss"}, {"fizzed", "fizz"}, {"failing", "fail"}, {"filing", "file"}, {"happy", "happi"},
        {"sky", "sky"}, {"relational", "relat"}, {"conditional", "condit"}, {"rational", "ration"}, {"valenci", "valenc"},
        {"digitizer", "digit"}, {"radically", "radic"}, {"differently", "differ"}, {"vilely", "vile"},
        {"analogously", "analog"}, {"vietnamization", "vietnam"}, {"predication", "predic"}, {"operator", "oper"},
        {"feudalism", "feudal"}, {"decisiveness", "decis"}, {"hopefulness", "hope"}, {"callousness", "callous"},
        {"formality", "formal"}, {"sensitivity", "sensit"}, {"sensibility", "sensibl"}, {"triplicate", "triplic"},
        {"formative", "form"}, {"formalize", "formal"}, {"electrical", "electr"}, {"hopeful", "hope"}, {"goodness", "good"},
        {"revival", "reviv"}, {"allowance", "allow"}, {"inference", "infer"}, {"airliner", "airlin"}, {"adjustable", "adjust"},
        {"defensible", "defens"}, {"irritant", "irrit"}, {"replacement", "replac"}, {"adjustment", "adjust"},
        {"dependent", "depend"}, {"adoption", "adopt"}, {"communism", "commun"}, {"activate", "activ"},
        {"homologous", "homolog"}, {"effective", "effect"}, {"bowdlerize", "bowdler"}, {"probate", "probat"}, {"rate", "rate"},
        {"cease", "ceas"}, {"controller", "control"}, {"roll", "roll"}, {"generalizations", "gener"}, {"oscillators", "oscil"},
        {"archaeology", "archaeolog"}, {"possibly", "possibl"}, {"is", "is"}, {"a", "a"}, {"x86", "x86"}, {"yyy", "yyi"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char word[32];
        strcpy(word, table[i][0]);
        word[sx_word_stem(word, strlen(word))] = '\0';
        assert_string_equal(word, table[i][1]);
    }
}

static bool take_three(const char *word, size_t length, sx_word_kind kind, void *user)
{
    (void)word, (void)length, (void)kind;
    return ++*(int *)user < 3;
}

static void test_ends_and_limits(void **state)
{
    int count = 0;
    (void)state;
    assert_false(sx_words_split("a b c d e", 9, take_three, &count));
    assert_int_equal(count, 3);
    /* A word longer than any, in capitals and small letters by turns, and one of two bytes a letter. */
    char *text = malloc(100000);
    for (size_t i = 0; i < 100000; i++)
        text[i] = "aB"[i % 2];
    sx_buffer buffer = {0};
    assert_true(sx_words_split(text, 100000, note, &buffer));
    sx_buffer_reset(&buffer);
    for (size_t i = 0; i < 100000; i++)
        text[i] = "\xd0\xb5"[i % 2];
    assert_true(sx_words_split(text, 100000, note, &buffer));
    assert_true(buffer.length > 0);
    sx_buffer_clear(&buffer);
    free(text);
}

static void test_any_bytes(void **state)
{
    uint64_t seed = 7;
    (void)state;
    for (int round = 0; round < 3000; round++) {
        char text[200];
        for (size_t i = 0; i < sizeof text; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            unsigned pick = (unsigned)(seed >> 60);
            text[i] = pick < 10 ? "aBz_09.-/:"[pick] : (char)(seed >> 40);
        }
        sx_buffer one = {0}, two = {0};
        assert_true(sx_words_split(text, sizeof text, note, &one));
        assert_true(sx_words_split(text, sizeof text, note, &two));
        assert_int_equal(one.length, two.length);
        sx_buffer_clear(&one);
        sx_buffer_clear(&two);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_stems),
        cmocka_unit_test(test_ends_and_limits),
        cmocka_unit_test(test_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
