/* test_batch_files.c - the Batch API's files: ids, splitting, and lines that come back in any order or damaged. */
#include "base/hash.h"
#include "provider/batch_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sx_sha256 hash_of(const char *text)
{
    sx_sha256 hash;
    sx_sha256_of(text, strlen(text), &hash);
    return hash;
}

static void open_target(sx_wire_target *target)
{
    sx_error error = {0};
    sx_remote_options options = {.size = sizeof options, .api_key = "sk-batch-secret-0123456789"};
    assert_int_equal(sx_wire_target_open("openai:text-embedding-3-small", &options, target, &error), SX_OK);
}

static void test_ids(void **state)
{
    sx_sha256 text = hash_of("a"), recipe = hash_of("r"), other = hash_of("s"), read;
    char id[SX_BATCH_ID], again[SX_BATCH_ID];
    sx_batch_id_make(&text, &recipe, id);
    sx_batch_id_make(&text, &recipe, again);
    assert_string_equal(id, again);
    assert_int_equal(strlen(id), SX_BATCH_ID - 1);
    assert_true(sx_batch_id_read((sx_text){id, strlen(id)}, &recipe, &read));
    assert_memory_equal(&read, &text, sizeof read);
    assert_false(sx_batch_id_read((sx_text){id, strlen(id)}, &other, &read));
    assert_false(sx_batch_id_read((sx_text){id, strlen(id) - 1}, &recipe, &read));
    id[64] = '_';
    assert_false(sx_batch_id_read((sx_text){id, strlen(id)}, &recipe, &read));
}

static void test_split(void **state)
{
    sx_wire_target target = {0};
    sx_error error = {0};
    sx_sha256 recipe = hash_of("r");
    bool full;
    open_target(&target);
    sx_batch_writer writer = {.target = &target, .role = "none", .recipe = &recipe, .max_requests = 3, .max_bytes = 2000};
    for (int i = 0; i < 4; i++) {
        char text[8];
        snprintf(text, sizeof text, "t%d", i);
        sx_sha256 hash = hash_of(text);
        assert_int_equal(sx_batch_writer_add(&writer, (sx_text){text, strlen(text)}, &hash, &full, &error), SX_OK);
        assert_int_equal(full, i == 3);
    }
    assert_int_equal(writer.count, 3);
    assert_non_null(strstr(writer.file.data, "\"method\": \"POST\", \"url\": \"/v1/embeddings\""));
    assert_null(strstr(writer.file.data, "secret"));
    sx_batch_writer_reset(&writer);
    writer.max_requests = 100;
    size_t added = 0;
    for (full = false; !full; added += !full) {
        sx_sha256 hash = hash_of("x");
        assert_int_equal(sx_batch_writer_add(&writer, (sx_text){"line\none", 8}, &hash, &full, &error), SX_OK);
        assert_true(writer.file.length <= 2000);
    }
    size_t lines = 0;
    for (size_t i = 0; i < writer.file.length; i++)
        lines += writer.file.data[i] == '\n';
    assert_int_equal(lines, added);
    assert_in_range(added, 2, 10);
    char *large = calloc(1, 3000);
    memset(large, 'a', 2999);
    sx_sha256 hash = hash_of(large);
    assert_int_equal(sx_batch_writer_add(&writer, (sx_text){large, 2999}, &hash, &full, &error), SX_E_LIMIT);
    free(large);
    sx_batch_writer_clear(&writer);
    sx_wire_target_close(&target);
}

typedef struct seen_lines {
    char answers[4][256];
    size_t count;
} seen_lines;

static sx_status note(const sx_batch_line *line, void *user, sx_error *error)
{
    seen_lines *seen = user;
    snprintf(seen->answers[line->index], 256, "%s%.*s", line->message, (int)line->body.length,
             line->body.data ? line->body.data : "");
    seen->count++;
    return SX_OK;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(sx_sha256));
}

static void test_lines(void **state)
{
    sx_wire_target target = {0};
    sx_error error = {0};
    sx_sha256 recipe = hash_of("r"), hashes[4] = {hash_of("a"), hash_of("b"), hash_of("c"), hash_of("d")};
    unsigned char marks[4] = {0};
    char ids[4][SX_BATCH_ID];
    sx_buffer file = {0};
    seen_lines seen = {0};
    sx_batch_refusals refusals = {0};
    open_target(&target);
    qsort(hashes, 4, sizeof *hashes, compare);
    for (int i = 0; i < 4; i++)
        sx_batch_id_make(&hashes[i], &recipe, ids[i]);
    sx_buffer_printf(&file, "{\"custom_id\":\"%s\",\"response\":{\"status_code\":200,\"body\":{\"data\":[1]}},\"error\":null}\n",
                     ids[2]);
    sx_buffer_printf(&file, "{\"custom_id\":\"%s\",\"response\":null,\"error\":{\"code\":\"batch_expired\",\"message\":\"late "
                            "sk-batch-secret-0123456789\"}}\n", ids[0]);
    sx_buffer_printf(&file, "{\"custom_id\":\"%s\",\"response\":{\"status_code\":200,\"body\":{\"data\":[9]}}}\n", ids[2]);
    sx_buffer_printf(&file, "{\"custom_id\":\"stranger\",\"response\":{\"status_code\":200,\"body\":{}}}\n\nnot json\n");
    sx_buffer_printf(&file, "{\"error\":null,\"response\":{\"body\":{\"error\":{\"message\":\"we refuse\"}},\"status_code\":400},"
                            "\"custom_id\":\"%s\"}", ids[1]);
    sx_batch_expected expected = {hashes, marks, 4};
    assert_int_equal(sx_batch_file_read(&target, &recipe, file.data, file.length, &expected, note, &seen, &refusals, &error),
                     SX_OK);
    assert_int_equal(seen.count, 3);
    assert_string_equal(seen.answers[2], "{\"data\":[1]}");
    assert_non_null(strstr(seen.answers[0], "batch_expired"));
    assert_null(strstr(seen.answers[0], "secret"));
    assert_non_null(strstr(seen.answers[1], "we refuse"));
    assert_int_equal(marks[3], 0);
    assert_int_equal(refusals.count, 3);
    assert_non_null(strstr(refusals.first, "came before"));
    sx_buffer_clear(&file);
    sx_wire_target_close(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ids), cmocka_unit_test(test_split), cmocka_unit_test(test_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
