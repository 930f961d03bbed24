/* test_code.c - source files in 16 languages through the installed grammars: definitions with their lines, chunks that keep what
 * chunk.h promises on whole and on damaged files, and an edit that changes the chunk of the edited function only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "base/file.h"
#include "chunk_documents.h"
#include "doc/code_outline.h"
#include "needs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each definition's line and name, written down by hand from the files. */
static const struct {
    const char *file, *language, *definitions;
} samples[] = {
    {"stack.py", "python", "7 dump_stack, 11 Stack, 14 __init__, 18 depth, 21 push, 29 load_stack, 30 inner"},
    {"stack.c", "c", "5 STACK_MAX, 7 stack, 12 order, 14 stack_peek, 17 stack_push, 23 stack_top, 29 stack_print"},
    {"stack.cpp", "cpp", "3 store, 7 Stack, 9 Stack, 10 ~Stack, 11 push, 12 top, 20 push, 25 operator==, 32 run_stack"},
    {"stack.js", "javascript", "4 readStack, 8 Stack, 11 constructor, 15 push, 19 of, 25 topOf, 27 eachOf, 31 dropAll"},
    {"stack.ts", "typescript", "3 Container, 4 size, 7 Pair, 9 Order, 15 Stack, 18 push, 22 size, 27 makeStack, 31 sortStack"},
    {"stack_view.tsx", "typescript", "3 Props, 5 StackView, 15 StackTitle"},
    {"stack.go", "go", "6 Stack, 10 Sizer, 11 Size, 15 Push, 19 Size, 24 NewStack"},
    {"stack.rs", "rust", "5 Stack, 9 Sized2, 10 size, 13 Stack<T>, 15 push, 20 pop, 25 Order, 30 helpers, 31 twice, 36 main"},
    {"Stack.java", "java", "7 Stack, 10 Stack, 15 push, 19 Visitor, 20 visit, 23 Order, 25 Node, 26 depth"},
    {"Stack.cs", "csharp", "4 Store, 7 Stack, 11 Stack, 13 Count, 16 Push, 21 Peek, 24 ISizer, 26 Size, 29 Order"},
    {"stack.rb", "ruby", "3 Store, 5 Stack, 8 initialize, 13 push, 17 load, 23 run_stack"},
    {"stack.php", "php", "8 Stack, 12 push, 17 count, 23 Sizer, 25 size, 28 Loud, 30 shout, 36 run_stack"},
    {"stack.sh", "shell", "6 push, 10 size"},
    {"Stack.kt", "kotlin", "6 Stack, 9 push, 13 size, 16 empty, 20 Registry, 21 find, 26 runStack"},
    {"Stack.swift", "swift", "4 Stack, 7 push, 11 size, 16 Sizer, 17 measure, 20 Holder, 21 init, 25 runStack"},
    {"stack.sql", "sql", "2 stack_items, 7 stack_top, 11 stack_push, 15 stack_order"},
    {"stack.lua", "lua", "4 push, 8 size, 12 helper, 17 run"},
};
enum { SAMPLES = sizeof samples / sizeof *samples };

static sx_grammars *grammars;

static char *read_sample(size_t index, size_t *length)
{
    char path[512], *text;
    sx_error error;
    snprintf(path, sizeof path, "%s/code/%s", SX_FIXTURES, samples[index].file);
    assert_int_equal(sx_file_read(path, 1 << 20, &text, length, NULL, &error), SX_OK);
    return text;
}

static void test_definitions(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        size_t length;
        char *text = read_sample(i, &length);
        sx_code_outline outline;
        sx_buffer found = {0};
        assert_int_equal(sx_code_outline_make(grammars, samples[i].language, text, length, &outline, NULL), SX_OK);
        assert_null(outline.why);
        for (size_t j = 0; j < outline.item_count; j++)
            sx_buffer_printf(&found, "%s%u %s", j ? ", " : "", outline.items[j].line, outline.items[j].name);
        assert_string_equal(found.data, samples[i].definitions);
        sx_buffer_clear(&found);
        sx_code_outline_clear(&outline);
        free(text);
    }
}

/* Definitions on several lines, given as values, and behind what is not in the grammar. */
static const struct {
    const char *language, *text, *definitions;
} fragments[] = {
    {"lua", "local a = function(x)\n  return x\nend\nmodule.b = function()\nend\nlocal c, d = f(), g\nlocal e = 1\n", "1 a, 4 b"},
    {"java", "class A {\n    @Foo({1, 2})\n    @Override\n    public int\n    size() { return 1; }\n}\n", "1 A, 5 size"},
    {"c", "typedef struct {\n    int a;\n} pair;\n\nstatic int\nsum(void)\n{\n    return 1;\n}\n", "1 pair, 6 sum"},
    {"go", "package a\n\ntype B interface {\n\tC() int\n\tD(x int) error\n}\n", "3 B, 4 C, 5 D"},
    {"cpp",
     "namespace a {\n\nint first() {\n  return 1;\n}\n\nB::B(int c)\n    :\n#if D\n      e_(1),\n#endif\n      c_(c) {\n  go(c);\n}\n\n"
     "int second() {\n  return 2;\n}\n\nbool B::third(int x) const {\n  return x > 0 && x < 100 && first() + second() < 3;\n}\n} // namespace a\n",
     "1 a, 3 first, 12 c_, 16 second, 20 third"}, /* the constructor that is damaged goes by what is left of it */
    {"javascript", "// @flow\nimport type {A} from './a';\n\nfunction b(c: A): ?string {\n  return null;\n}\n\nconst d = (e: number): void => {};\n",
     "4 b, 8 d"},
};

static void test_fragments(void **state)
{
    for (size_t i = 0; i < sizeof fragments / sizeof *fragments; i++) {
        sx_code_outline outline;
        sx_buffer found = {0};
        const char *text = fragments[i].text;
        assert_int_equal(sx_code_outline_make(grammars, fragments[i].language, text, strlen(text), &outline, NULL), SX_OK);
        if (outline.why)
            fail_msg("fragment %zu: %s", i, outline.why);
        for (size_t j = 0; j < outline.item_count; j++)
            sx_buffer_printf(&found, "%s%u %s", j ? ", " : "", outline.items[j].line, outline.items[j].name);
        assert_string_equal(found.data, fragments[i].definitions);
        sx_buffer_clear(&found);
        sx_code_outline_clear(&outline);
    }
}

/* Chunks of a text; the caller clears the list. */
static void cut(char *text, size_t length, const char *language, uint32_t size, const char *header, sx_document *document,
                sx_chunk_plan *plan, sx_token_counter *counter, sx_chunk_list *list)
{
    sx_error error;
    sx_chunk_context context = {.grammars = grammars, .path = "src/stack", .project = "sextant"};
    sx_chunk_options options = {.size = sizeof options, .chunk_size = size, .header = header};
    make_document(text, length, "", false, document);
    document->language = language;
    *counter = make_counter((counter_kind)0, 2, 0, 0);
    assert_int_equal(sx_chunk_plan_make_for(&options, document, &context, counter, plan, &error), SX_OK);
    assert_string_equal(plan->strategy, "code");
    assert_int_equal(sx_chunk_document_in(document, plan, &context, counter, list, &error), SX_OK);
}

static uint64_t generator = 0x9e3779b97f4a7c15u;

static size_t below(size_t bound)
{
    generator ^= generator << 13;
    generator ^= generator >> 7;
    generator ^= generator << 17;
    return bound ? (size_t)(generator >> 32) % bound : 0;
}

/* Whole files, then copies with bytes changed, parts doubled and ends cut off: all ASCII, so they stay UTF-8. */
static void test_promises(void **state)
{
    static const char *const headers[] = {NULL, "tags", "[{project}][{module}] {symbol} {signature}"};
    (void)state;
    for (unsigned round = 0; round < 40 * SAMPLES; round++) {
        size_t index = round % SAMPLES, length;
        char *text = read_sample(index, &length);
        if (round >= SAMPLES) {
            for (size_t changes = below(8); changes > 0; changes--)
                text[below(length)] = "{}()[]\n\"'#/*;: \tx"[below(17)];
            length -= below(4) ? 0 : below(length / 2);
        }
        sx_document document;
        sx_chunk_plan plan;
        sx_token_counter counter;
        sx_chunk_list list;
        cut(text, length, samples[index].language, round < SAMPLES ? 48 : (uint32_t)(12 + below(90)), headers[round % 3],
            &document, &plan, &counter, &list);
        assert_null(broken_promise(&document, &plan, &counter, &list));
        sx_chunk_list_clear(&list);
        free(text);
    }
}

static size_t chunk_texts(char *text, sx_sha256 hashes[64])
{
    sx_document document;
    sx_chunk_plan plan;
    sx_token_counter counter;
    sx_chunk_list list;
    sx_buffer embedded = {0};
    cut(text, strlen(text), "c", 64, NULL, &document, &plan, &counter, &list);
    size_t count = list.count;
    assert_true(count < 64);
    for (size_t i = 0; i < count; i++) {
        assert_true(sx_chunk_embedded_text(&list.chunks[i], text, &embedded));
        sx_sha256_of(embedded.data, embedded.length, &hashes[i]);
    }
    sx_buffer_clear(&embedded);
    sx_chunk_list_clear(&list);
    return count;
}

static void test_edit_changes_one_chunk(void **state)
{
    (void)state;
    sx_buffer text = {0}, edited = {0};
    for (int i = 0; i < 20; i++) {
        for (int copy = 0; copy < 2; copy++) {
            sx_buffer *to = copy ? &edited : &text;
            sx_buffer_printf(to, "/* Number %d. */\nint function_%d(int value)\n{\n    int sum = value * %d;\n", i, i, i);
            if (copy && i == 7)
                sx_buffer_append_string(to, "    sum = sum + 1000 + value;\n");
            sx_buffer_append_string(to, "    for (int j = 0; j < value; j++)\n        sum += j;\n    return sum;\n}\n\n");
        }
    }
    sx_sha256 before[64], after[64];
    size_t count = chunk_texts(text.data, before), changed = 0;
    assert_int_equal(count, 20);
    assert_int_equal(chunk_texts(edited.data, after), count);
    for (size_t i = 0; i < count; i++)
        changed += memcmp(&before[i], &after[i], sizeof before[i]) != 0;
    assert_int_equal(changed, 1);
    sx_buffer_clear(&text);
    sx_buffer_clear(&edited);
}

static void test_without_grammars(void **state)
{
    (void)state;
    sx_code_outline outline;
    sx_grammars *none;
    sx_error error;
    assert_int_equal(sx_code_outline_make(NULL, "python", "x = 1\n", 6, &outline, NULL), SX_OK);
    assert_non_null(outline.why);
    sx_code_outline_clear(&outline);
    assert_int_equal(sx_grammars_open("grammars.so", &none, &error), SX_E_INVALID);
    assert_int_equal(sx_grammars_open("/nowhere/grammars.so", &none, &error), SX_E_NOT_FOUND);
    assert_int_equal(sx_grammars_open(SX_FIXTURES "/code/stack.c", &none, &error), SX_E_FORMAT);
}

int main(void)
{
    const char *path = getenv("SX_TEST_GRAMMARS");
    sx_error error;
    if (lacks("SX_TEST_GRAMMARS", "scripts/install-grammars prints its value"))
        return SKIPPED;
    if (sx_grammars_open(path, &grammars, &error) != SX_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definitions),
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_promises),
        cmocka_unit_test(test_edit_changes_one_chunk),
        cmocka_unit_test(test_without_grammars),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sx_grammars_close(grammars);
    return failed;
}
