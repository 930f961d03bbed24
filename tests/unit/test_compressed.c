/* test_compressed.c - compressed files in and out, damaged and cut ones, and JSON documents cut into values at every piece size. */
#include "base/compressed.h"
#include "base/json_stream.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/sx-compressed-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static const char *write_file(const char *name, const void *data, size_t length)
{
    FILE *file = fopen(path_of(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    return path_of(name);
}

static void compress(sx_compression how, const char *data, size_t length, size_t piece, sx_buffer *out)
{
    sx_compressor *compressor;
    assert_int_equal(sx_compressor_open(how, &compressor, NULL), SX_OK);
    for (size_t at = 0; at < length; at += piece)
        assert_int_equal(sx_compressor_add(compressor, data + at, length - at < piece ? length - at : piece, false, out, NULL),
                         SX_OK);
    assert_int_equal(sx_compressor_add(compressor, "", 0, true, out, NULL), SX_OK);
    sx_compressor_close(compressor);
}

static sx_status read_all(const char *path, size_t piece, sx_buffer *out, sx_error *error)
{
    sx_source *source;
    sx_status status = sx_source_open(path, &source, error);
    for (size_t got = 1; !status && got;) {
        char *room = sx_buffer_room(out, piece);
        status = sx_source_read(source, room, piece, &got, error);
        out->length += got;
    }
    sx_source_close(source);
    return status;
}

static char *make_text(size_t length)
{
    char *text = malloc(length);
    uint32_t state = 7;
    for (size_t i = 0; i < length; i++) {
        state = state * 1664525u + 1013904223u;
        text[i] = "abcdefgh 0123\n"[(state >> 24) % 14];
    }
    return text;
}

static void test_round_trip(void **state)
{
    (void)state;
    static const struct {
        sx_compression how;
        const char *name;
    } kinds[] = {{SX_GZIP, "a.gz"}, {SX_ZSTD, "a.zst"}, {SX_GZIP, "no-suffix"}, {SX_ZSTD, "other"}};
    static const size_t lengths[] = {0, 1, 70000, 700001};
    for (size_t k = 0; k < 4; k++)
        for (size_t l = 0; l < 4; l++) {
            char *text = make_text(lengths[l]);
            sx_buffer packed = {0}, back = {0};
            compress(kinds[k].how, text, lengths[l], 4096, &packed);
            size_t first = packed.length;
            compress(kinds[k].how, text, lengths[l], 1 << 20, &packed); /* a second member */
            const char *path = write_file(kinds[k].name, packed.data, packed.length);
            assert_int_equal(read_all(path, 5000, &back, NULL), SX_OK);
            assert_int_equal(back.length, 2 * lengths[l]);
            assert_memory_equal(back.data, text, lengths[l]);
            /* Cut anywhere but between the members it is an error. */
            for (size_t cut = 4; cut < packed.length; cut += packed.length / 50 + 1) {
                sx_error error = {0};
                if (cut == first)
                    continue;
                sx_buffer_reset(&back);
                path = write_file(kinds[k].name, packed.data, cut);
                assert_int_equal(read_all(path, 5000, &back, &error), SX_E_FORMAT);
                assert_non_null(strstr(error.message, "byte "));
            }
            /* A changed byte is noticed; in a name or time of gzip's header it says nothing. */
            for (size_t at = 12; at < packed.length && lengths[l] > 1; at += packed.length / 40 + 1) {
                sx_buffer_reset(&back);
                packed.data[at] ^= 0x10;
                path = write_file(kinds[k].name, packed.data, packed.length);
                sx_status status = read_all(path, 5000, &back, NULL);
                assert_true(status == SX_E_FORMAT || (back.length == 2 * lengths[l] && !memcmp(back.data, text, lengths[l])));
                packed.data[at] ^= 0x10;
            }
            sx_buffer_clear(&packed);
            sx_buffer_clear(&back);
            free(text);
        }
}

static void expect_failure(const char *name, const void *data, size_t length, sx_status wanted, const char *says)
{
    sx_buffer back = {0};
    sx_error error = {0};
    assert_int_equal(read_all(write_file(name, data, length), 4096, &back, &error), wanted);
    if (!strstr(error.message, says))
        fail_msg("\"%s\" does not say \"%s\"", error.message, says);
    sx_buffer_clear(&back);
}

static void test_refused(void **state)
{
    (void)state;
    sx_buffer packed = {0}, back = {0};
    expect_failure("false.gz", "plain text", 10, SX_E_FORMAT, "named .gz");
    expect_failure("false.zst", "plain text", 10, SX_E_FORMAT, "named .zst");
    expect_failure("empty.gz", "", 0, SX_E_FORMAT, "named .gz");
    compress(SX_GZIP, "hello", 5, 5, &packed);
    sx_buffer_append(&packed, "\0\0\0", 3);
    assert_int_equal(read_all(write_file("padded.gz", packed.data, packed.length), 4096, &back, NULL), SX_OK);
    assert_int_equal(back.length, 5);
    sx_buffer_append(&packed, "junk", 4);
    expect_failure("junk.gz", packed.data, packed.length, SX_E_FORMAT, "behind the last gzip member");
    packed.length = 0;
    compress(SX_ZSTD, "hello", 5, 5, &packed);
    sx_buffer_append(&packed, "junk", 4);
    expect_failure("junk.zst", packed.data, packed.length, SX_E_FORMAT, "damaged Zstandard");
    sx_buffer_clear(&packed);
    sx_buffer_clear(&back);
}

/* 1.5 GiB of zeros in 50 KB: refused, in little memory. */
static void test_bomb(void **state)
{
    (void)state;
    sx_buffer packed = {0};
    sx_compressor *compressor;
    char *zeros = calloc(1, 1 << 20);
    assert_int_equal(sx_compressor_open(SX_ZSTD, &compressor, NULL), SX_OK);
    for (int i = 0; i < 1536; i++)
        assert_int_equal(sx_compressor_add(compressor, zeros, 1 << 20, i == 1535, &packed, NULL), SX_OK);
    sx_compressor_close(compressor);
    write_file("bomb.zst", packed.data, packed.length);
    sx_source *source;
    sx_error error = {0};
    sx_status status = sx_source_open(path_of("bomb.zst"), &source, &error);
    assert_int_equal(status, SX_OK);
    for (size_t got = 1; !status && got;)
        status = sx_source_read(source, zeros, 1 << 20, &got, &error);
    assert_int_equal(status, SX_E_LIMIT);
    assert_non_null(strstr(error.message, "thousand"));
    sx_source_close(source);
    free(zeros);
    sx_buffer_clear(&packed);
}

/* ---- JSON documents ---- */

static void test_stream(void **state)
{
    (void)state;
    sx_buffer text = {0};
    sx_buffer_append_string(&text, "\xef\xbb\xbf { \"version\" : \"1.0\", \"n\":-12.5e3 ,\"embeddings\"\n:[");
    enum { ELEMENTS = 20000 };
    for (int i = 0; i < ELEMENTS; i++)
        sx_buffer_printf(&text, "%s{\"id\":\"a%d\\\"]}\\\\\",\"embedding\":[1,2,[3]]}", i ? " ,\n" : "", i);
    sx_buffer_append_string(&text, "],\"late\":true}\n");
    const char *path = write_file("document.json", text.data, text.length);
    sx_json_stream stream;
    sx_text key, value;
    uint64_t place;
    bool more;
    assert_int_equal(sx_json_stream_open(&stream, path, NULL), SX_OK);
    assert_int_equal(sx_json_stream_enter(&stream, NULL), SX_OK);
    assert_int_equal(sx_json_stream_next(&stream, &key, &more, NULL), SX_OK);
    assert_true(more && sx_text_is(key, "\"version\""));
    assert_int_equal(sx_json_stream_value(&stream, &value, &place, NULL), SX_OK);
    assert_true(sx_text_is(value, "\"1.0\"") && place == 18);
    assert_int_equal(sx_json_stream_next(&stream, &key, &more, NULL), SX_OK);
    assert_int_equal(sx_json_stream_value(&stream, &value, &place, NULL), SX_OK);
    assert_true(sx_text_is(value, "-12.5e3"));
    assert_int_equal(sx_json_stream_next(&stream, &key, &more, NULL), SX_OK);
    assert_true(more && sx_text_is(key, "\"embeddings\""));
    assert_int_equal(sx_json_stream_enter(&stream, NULL), SX_OK);
    int count = 0;
    while (!sx_json_stream_next(&stream, NULL, &more, NULL) && more) {
        char expected[64];
        snprintf(expected, sizeof expected, "{\"id\":\"a%d\\\"]}\\\\\",\"embedding\":[1,2,[3]]}", count++);
        assert_int_equal(sx_json_stream_value(&stream, &value, &place, NULL), SX_OK);
        assert_true(sx_text_is(value, expected));
        assert_memory_equal(text.data + place, expected, value.length);
    }
    assert_int_equal(count, ELEMENTS);
    assert_int_equal(sx_json_stream_next(&stream, &key, &more, NULL), SX_OK);
    assert_true(more && sx_text_is(key, "\"late\""));
    assert_int_equal(sx_json_stream_skip(&stream, NULL), SX_OK);
    assert_int_equal(sx_json_stream_next(&stream, &key, &more, NULL), SX_OK);
    assert_false(more);
    assert_int_equal(sx_json_stream_end(&stream, NULL), SX_OK);
    sx_json_stream_close(&stream);
    sx_buffer_clear(&text);
}

static void test_stream_damaged(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "byte 0: the text ends where a value"}, {"7", "expected an object"},         {"{\"a\":[1", "byte 7: the text ends inside"},
        {"{\"a\" 1}", "byte 5: expected ':'"},       {"{\"a\":1 \"b\":2}", "expected ','"}, {"{\"a\":1}}", "something follows"},
        {"{a:1}", "byte 1: a key is expected"},      {"{\"a\":\"x", "inside a value"},     {"{\"a\":}", "a value is expected"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_json_stream stream;
        sx_error error = {0};
        bool more = true;
        const char *path = write_file("damaged.json", cases[i].text, strlen(cases[i].text));
        sx_status status = sx_json_stream_open(&stream, path, &error);
        if (!status)
            status = sx_json_stream_enter(&stream, &error);
        while (!status && !(status = sx_json_stream_next(&stream, NULL, &more, &error)) && more)
            status = sx_json_stream_skip(&stream, &error);
        if (!status)
            status = sx_json_stream_end(&stream, &error);
        assert_int_equal(status, SX_E_FORMAT);
        if (!strstr(error.message, cases[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].text, error.message, cases[i].says);
        sx_json_stream_close(&stream);
    }
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_refused),        cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_stream),     cmocka_unit_test(test_stream_damaged),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
