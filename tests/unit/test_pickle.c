/* test_pickle.c - what a pickle says is read as a tree; what would run code, or is broken, is refused. */
#include "model/pickle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const allowed[] = {"collections.OrderedDict", "torch.Size", NULL};

static void test_values(void **state)
{
    /* [1, 300, -2, 1 << 40, -1, True, None, 1.5], "b", {"k": torch.Size((3,))} and the persistent id "p", as one tuple */
    static const char pickle[] = "\x80\x02("
                                 "](K\x01M\x2c\x01J\xfe\xff\xff\xff\x8a\x06\0\0\0\0\0\x01\x8a\x01\xff"
                                 "\x88NG\x3f\xf8\0\0\0\0\0\0" "e"
                                 "\x8c\x01" "b"
                                 "ccollections\nOrderedDict\n)Rq\x05X\x01\0\0\0kctorch\nSize\nK\x03\x85\x85Rs" "}b"
                                 "\x8c\x01pQ"
                                 "h\x05" "t." "behind";
    sx_arena arena = {0};
    sx_pickle_value *root;
    size_t used;
    sx_error error = {0};
    if (sx_pickle_read((const unsigned char *)pickle, sizeof pickle - 1, "x", allowed, &arena, &root, &used, &error))
        fail_msg("%s", error.message);
    assert_int_equal(used, sizeof pickle - 1 - strlen("behind"));
    assert_int_equal(root->type, SX_PICKLE_TUPLE);
    assert_int_equal(root->count, 5);
    static const int64_t integers[] = {1, 300, -2, INT64_C(1) << 40, -1, 1};
    const sx_pickle_value *list = root->items[0];
    assert_int_equal(list->type, SX_PICKLE_LIST);
    assert_int_equal(list->count, 8);
    for (int i = 0; i < 6; i++)
        assert_true(list->items[i]->integer == integers[i]);
    assert_int_equal(list->items[5]->type, SX_PICKLE_BOOLEAN);
    assert_int_equal(list->items[6]->type, SX_PICKLE_NONE);
    assert_true(list->items[7]->number == 1.5);
    assert_true(sx_pickle_text_is(root->items[1], "b"));
    const sx_pickle_value *dictionary = root->items[2];
    assert_int_equal(dictionary->type, SX_PICKLE_DICT);
    assert_int_equal(dictionary->count, 2);
    assert_true(sx_pickle_text_is(dictionary->items[0], "k"));
    assert_true(sx_pickle_calls(dictionary->items[1], "torch.Size"));
    assert_false(sx_pickle_calls(dictionary->items[1], "torch.size"));
    assert_int_equal(dictionary->items[1]->items[1]->items[0]->integer, 3);
    assert_int_equal(root->items[3]->type, SX_PICKLE_REFERENCE);
    assert_ptr_equal(root->items[4], dictionary);
    sx_arena_clear(&arena);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *pickle;
        size_t length;
        sx_status status;
        const char *word;
    } cases[] = {
        {"", 0, SX_E_FORMAT, "byte 0"},
        {"\x80\x02N", 3, SX_E_FORMAT, "byte 3"},
        {"\x80\x01N.", 4, SX_E_FORMAT, "protocol"},
        {"\x80\x06N.", 4, SX_E_FORMAT, "protocol"},
        {".", 1, SX_E_FORMAT, "stack is empty"},
        {"NN.", 3, SX_E_FORMAT, "left on the stack"},
        {"(.", 2, SX_E_FORMAT, "stack is empty"},
        {"t.", 2, SX_E_FORMAT, "no mark"},
        {"N\x86.", 3, SX_E_FORMAT, "stack is empty"},
        {"(N\x86.", 4, SX_E_FORMAT, "stack is empty"},
        {"NNa.", 4, SX_E_FORMAT, "no list"},
        {"}Nu.", 4, SX_E_FORMAT, "no mark"},
        {"}(K\1u.", 6, SX_E_FORMAT, "without a value"},
        {"Na.", 3, SX_E_FORMAT, "nothing to add"},
        {"h\0.", 3, SX_E_FORMAT, "never given"},
        {"q\0.", 3, SX_E_FORMAT, "nothing to remember"},
        {"Nr\xff\xff\xff\x7f.", 7, SX_E_LIMIT, "2147483647"},
        {"X\xff\xff\xff\xff" "ab.", 8, SX_E_FORMAT, "4294967295 bytes are needed"},
        {"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", 10, SX_E_FORMAT, "18446744073709551615"},
        {"\x8a\x09" "aaaaaaaaa.", 12, SX_E_FORMAT, "64 bits"},
        {"cposix\nsystem\n.", 15, SX_E_UNSUPPORTED, "would execute posix.system; refused"},
        {"\x8c\x05posix\x8c\x06system\x93.", 17, SX_E_UNSUPPORTED, "would execute posix.system; refused"},
        {"ctorch.Size\n\n.", 14, SX_E_UNSUPPORTED, "refused"},
        {"ctorch\nSiz\n.", 12, SX_E_UNSUPPORTED, "torch.Siz;"},
        {"ctorch", 6, SX_E_FORMAT, "line without an end"},
        {"NN\x93.", 4, SX_E_FORMAT, "no text"},
        {"N)R.", 4, SX_E_FORMAT, "no global"},
        {"ctorch\nSize\nNR.", 15, SX_E_FORMAT, "no global"},
        {"ctorch\nSize\n)RNb.", 17, SX_E_FORMAT, "attributes"},
        {"ccollections\nOrderedDict\nN\x85R.", 29, SX_E_FORMAT, "pairs"},
        {"iposix\nsystem\n.", 15, SX_E_UNSUPPORTED, "opcode 0x69"},
        {"\x82\x01.", 3, SX_E_UNSUPPORTED, "opcode 0x82"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_arena arena = {0};
        sx_pickle_value *value;
        size_t used;
        sx_error error = {0};
        unsigned char *exact = malloc(cases[i].length + !cases[i].length);
        assert_non_null(exact);
        memcpy(exact, cases[i].pickle, cases[i].length);
        sx_status status = sx_pickle_read(exact, cases[i].length, "x", allowed, &arena, &value, &used, &error);
        if (status != cases[i].status || !strstr(error.message, cases[i].word))
            fail_msg("case %zu: status %d: %s", i, status, error.message);
        free(exact);
        sx_arena_clear(&arena);
    }
}

/* A list that holds itself, and lists that hold the one before twice over and over: read at once, since nothing is walked. */
static void test_shared_values(void **state)
{
    unsigned char pickle[1000] = "]q\0h\0a";
    size_t at = 6, used;
    for (unsigned char i = 1; i < 100; i++) {
        const unsigned char step[] = {'h', (unsigned char)(i - 1), 'h', (unsigned char)(i - 1), 0x86, 'q', i};
        memcpy(pickle + at, step, sizeof step);
        at += sizeof step;
    }
    /* all are still on the stack: one tuple of them */
    memmove(pickle + 1, pickle, at);
    pickle[0] = '(';
    memcpy(pickle + at + 1, "t.", 2);
    at += 3;
    sx_arena arena = {0};
    sx_pickle_value *value;
    sx_error error = {0};
    if (sx_pickle_read(pickle, at, "x", allowed, &arena, &value, &used, &error))
        fail_msg("%s", error.message);
    assert_int_equal(value->count, 100);
    assert_ptr_equal(value->items[0]->items[0], value->items[0]);
    assert_ptr_equal(value->items[99]->items[1], value->items[98]);
    sx_arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_refusals), cmocka_unit_test(test_shared_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
