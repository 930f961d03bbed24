/* test_base.c - buffers, arenas, errors, hashes, files, options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_error_is_one_line_of_valid_utf8(void **state)
{
    sx_error error = {0};
    assert_int_equal(sx_fail(&error, SX_E_FORMAT, "a\nb\tc"), SX_E_FORMAT);
    assert_string_equal(error.message, "a b c");
    /* a lone continuation, a surrogate, an overlong form, a cut sequence at the end; what is valid stays */
    sx_fail(&error, SX_E_FORMAT, "x\x80y \xed\xa0\x80 \xc0\xaf %s \xe2\x82", "\xc3\xa9\xf0\x9f\x98\x80");
    assert_string_equal(error.message, "x?y ??? ?? \xc3\xa9\xf0\x9f\x98\x80 ??");
    char name[3000];
    for (size_t i = 0; i + 2 < sizeof name; i += 2)
        memcpy(name + i, "\xc3\xa9", 3);
    sx_fail(&error, SX_E_IO, "x%s", name);
    assert_true(strlen(error.message) < sizeof error.message);
    assert_true((strlen(error.message) - 1) % 2 == 0);
    sx_fail_errno(&error, ENOSPC, "file");
    assert_int_equal(error.code, SX_E_FULL);
    assert_non_null(strstr(error.message, "file: "));
    assert_int_equal(sx_fail(NULL, SX_E_IO, "nobody listens"), SX_E_IO);
}

static void test_buffer_keeps_its_maximum(void **state)
{
    sx_buffer buffer = {.maximum = 10};
    assert_true(sx_buffer_append_string(&buffer, "0123456789"));
    assert_false(sx_buffer_append_byte(&buffer, 'x'));
    assert_true(buffer.failed);
    assert_false(sx_buffer_printf(&buffer, "%d", 1));
    assert_string_equal(buffer.data, "0123456789");
    assert_null(sx_buffer_take(&buffer));
    buffer = (sx_buffer){0};
    assert_true(sx_buffer_printf(&buffer, "%s-%d", "a", 7));
    char *taken = sx_buffer_take(&buffer);
    assert_string_equal(taken, "a-7");
    free(taken);
}

static void test_sizes_are_checked(void **state)
{
    assert_null(sx_calloc(SIZE_MAX / 2, 4));
    assert_null(sx_realloc_array(NULL, SIZE_MAX, 2));
    assert_null(sx_aligned_calloc(64, SIZE_MAX / 8, 16));
    sx_arena arena = {0};
    assert_null(sx_arena_alloc(&arena, SIZE_MAX - 3));
    char *a = sx_arena_alloc(&arena, 1), *b = sx_arena_alloc(&arena, 100000), *c = sx_arena_alloc(&arena, 3);
    assert_true(a && b && c && (uintptr_t)b % 16 == 0 && (uintptr_t)c % 16 == 0);
    memset(b, 1, 100000);
    assert_int_equal(*a, 0);
    sx_arena_clear(&arena);
}

static void test_sha256_known_answers(void **state)
{
    /* FIPS 180-4 examples. */
    static const struct { const char *text, *hex; } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_sha256 hash, again;
        char hex[SX_SHA256_HEX];
        sx_sha256_of(cases[i].text, strlen(cases[i].text), &hash);
        sx_sha256_hex(&hash, hex);
        assert_string_equal(hex, cases[i].hex);
        assert_int_equal(sx_sha256_from_hex(hex, &again), SX_OK);
        assert_memory_equal(&hash, &again, sizeof hash);
    }
    sx_sha256 whole, parts;
    sx_sha256_of("abcdef", 6, &whole);
    sx_sha256_of_two("abc", 3, "def", 3, &parts);
    assert_memory_equal(&whole, &parts, sizeof whole);
    assert_int_equal(sx_sha256_from_hex("12", &whole), SX_E_FORMAT);
}

static char *scratch_folder(void)
{
    char *folder = strdup("/tmp/sextant-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return folder;
}

static void remove_tree(const char *folder)
{
    char command[4200];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

static void test_files(void **state)
{
    char *folder = scratch_folder();
    char *path = sx_path_join(folder, "a.bin"), *pipe = sx_path_join(folder, "pipe");
    sx_error error = {0};
    assert_int_equal(sx_file_write_atomic(path, "hello", 5, &error), SX_OK);
    char *data;
    size_t length;
    assert_int_equal(sx_file_read(path, 100, &data, &length, NULL, &error), SX_OK);
    assert_int_equal(length, 5);
    assert_string_equal(data, "hello");
    free(data);
    assert_int_equal(sx_file_read(path, 4, &data, &length, NULL, &error), SX_E_LIMIT);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    sx_file_map map;
    assert_int_equal(sx_file_map_open(pipe, &map, &error), SX_E_FORMAT);
    assert_int_equal(sx_file_map_open(folder, &map, &error), SX_E_FORMAT);
    assert_int_equal(sx_file_map_open("/nowhere/at/all", &map, &error), SX_E_NOT_FOUND);
    assert_int_equal(sx_file_write_atomic("/nowhere/at/all", "", 0, &error), SX_E_NOT_FOUND);
    free(path);
    free(pipe);
    remove_tree(folder);
    free(folder);
}

static void test_file_hash_is_remembered_until_the_file_changes(void **state)
{
    char *folder = scratch_folder();
    char *path = sx_path_join(folder, "weights"), *memory = sx_path_join(folder, "memory/deep");
    sx_error error = {0};
    sx_sha256 first, second, third;
    assert_int_equal(sx_file_write_atomic(path, "abc", 3, &error), SX_OK);
    assert_int_equal(sx_file_sha256(path, memory, &first, &error), SX_OK);
    assert_int_equal(sx_file_sha256(path, memory, &second, &error), SX_OK);
    assert_memory_equal(&first, &second, sizeof first);
    assert_int_equal(sx_file_write_atomic(path, "abd", 3, &error), SX_OK);
    assert_int_equal(sx_file_sha256(path, memory, &third, &error), SX_OK);
    assert_memory_not_equal(&first, &third, sizeof first);
    free(path);
    free(memory);
    remove_tree(folder);
    free(folder);
}

static void test_options_of_other_versions(void **state)
{
    struct known { size_t size; int a; int b; } out;
    struct later { size_t size; int a; int b; long c; } later = {sizeof later, 1, 2, 0};
    sx_error error = {0};
    assert_int_equal(sx_options_read(&later, &out, sizeof out, "known", &error), SX_OK);
    assert_int_equal(out.b, 2);
    later.c = 1;
    assert_int_equal(sx_options_read(&later, &out, sizeof out, "known", &error), SX_E_INVALID);
    struct known older = {offsetof(struct known, b), 5, 77};
    assert_int_equal(sx_options_read(&older, &out, sizeof out, "known", &error), SX_OK);
    assert_int_equal(out.a, 5);
    assert_int_equal(out.b, 0);
    older.size = 0;
    assert_int_equal(sx_options_read(&older, &out, sizeof out, "known", &error), SX_E_INVALID);
    assert_int_equal(sx_options_read(NULL, &out, sizeof out, "known", &error), SX_OK);
    assert_int_equal(out.a, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_is_one_line_of_valid_utf8),
        cmocka_unit_test(test_buffer_keeps_its_maximum),
        cmocka_unit_test(test_sizes_are_checked),
        cmocka_unit_test(test_sha256_known_answers),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_file_hash_is_remembered_until_the_file_changes),
        cmocka_unit_test(test_options_of_other_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
