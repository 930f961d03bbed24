/* test_encoding.c - finding encodings and decoding: known samples, damaged ones, and random bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "text/encoding.h"

#include <stdlib.h>
#include <string.h>

typedef struct sample {
    const char *bytes;
    size_t length;
    const char *declared, *encoding, *text; /* encoding NULL: refused with text as message; text NULL: the bytes themselves */
} sample;

#define BYTES(literal) literal, sizeof(literal) - 1

static const sample samples[] = {
    {BYTES(""), NULL, "utf-8", NULL},
    {BYTES("plain ascii\n"), NULL, "utf-8", NULL},
    {BYTES("na\xc3\xafve \xe2\x82\xac \xf0\x9f\x99\x82"), NULL, "utf-8", NULL},
    {BYTES("\xef\xbb\xbfwith a mark"), NULL, "utf-8", NULL},
    {BYTES("na\xc3\xafve"), "iso-8859-1", "utf-8", NULL},
    {BYTES("Stra\xdf"
           "e, gr\xfc\xdf"
           "en, sch\xf6n"),
     NULL, "windows-1252",
     "Stra\xc3\x9f"
     "e, gr\xc3\xbc\xc3\x9f"
     "en, sch\xc3\xb6n"},
    {BYTES("\x93quoted\x94 \x96 5 \x80"), NULL, "windows-1252", "\xe2\x80\x9cquoted\xe2\x80\x9d \xe2\x80\x93 5 \xe2\x82\xac"},
    {BYTES("caf\xe9"), "ISO-8859-1", "windows-1252", "caf\xc3\xa9"},
    {BYTES("\xcf\xf0\xe8\xe2\xe5\xf2, \xec\xe8\xf0"), NULL, "windows-1251",
     "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82, \xd0\xbc\xd0\xb8\xd1\x80"},
    {BYTES("\x82\xb1\x82\xea\x82\xcd\x93\xfa\x96{\x8c\xea\x82\xc5\x82\xb7\x81"
           "B"),
     NULL, "shift-jis",
     "\xe3\x81\x93\xe3\x82\x8c\xe3\x81\xaf\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x81\xa7\xe3\x81\x99\xe3\x80\x82"},
    {BYTES("\xd5\xe2\xca\xc7\xd6\xd0\xce\xc4\xb5\xc4\xce\xc4\xd5\xc2\xa1\xa3"), NULL, "gb18030",
     "\xe8\xbf\x99\xe6\x98\xaf\xe4\xb8\xad\xe6\x96\x87\xe7\x9a\x84\xe6\x96\x87\xe7\xab\xa0\xe3\x80\x82"},
    {BYTES("\xff\xfeh\0i\0\n\0"), NULL, "utf-16le", "hi\n"},
    {BYTES("\xfe\xff\0h\0i\xd8\x3d\xde\x42"), NULL, "utf-16be", "hi\xf0\x9f\x99\x82"},
    {BYTES("\xff\xfe\0\0h\0\0\0i\0\0\0"), NULL, "utf-32le", "hi"},
    {BYTES("\0\0\xfe\xff\0\0\0h\0\0\x20\xac"), NULL, "utf-32be", "h\xe2\x82\xac"},
    {BYTES("n\0o\0 \0m\0a\0r\0k\0"), NULL, "utf-16le", "no mark"},
    {BYTES("\0n\0o\0 \0m\0a\0r\0k"), NULL, "utf-16be", "no mark"},
    {BYTES("n\0\0\0o\0\0\0 \0\0\0m\0\0\0"), NULL, "utf-32le", "no m"},
    {BYTES("\x1f\x04@\x04 \0"
           "2\x04"
           "5\x04"
           "B\x04"),
     NULL, "utf-16le", "\xd0\x9f\xd1\x80 \xd0\xb2\xd0\xb5\xd1\x82"},
    {BYTES("\xff\xfe"
           "a\0\0\xd8"
           "b\0"),
     NULL, "utf-16le, 1 invalid sequence replaced",
     "a\xef\xbf\xbd"
     "b"},
    {BYTES("\xff\xfe"
           "a\0\0\xdc\0\xdc"
           "b\0c\0d\0e\0f\0g\0h\0i\0j\0k\0l\0m\0n\0x"),
     NULL, "utf-16le, 3 invalid sequences replaced",
     "a\xef\xbf\xbd\xef\xbf\xbd"
     "bcdefghijklmn\xef\xbf\xbd"},
    {BYTES("\xc3\xa9t\xc3\xa9 na\xc3\xafve \xff d\xc3\xa9j\xc3\xa0"), NULL, "utf-8, 1 invalid sequence replaced",
     "\xc3\xa9t\xc3\xa9 na\xc3\xafve \xef\xbf\xbd d\xc3\xa9j\xc3\xa0"},
    {BYTES("\xef\xbb\xbfonly \xff here"), NULL, "utf-8, 1 invalid sequence replaced", "only \xef\xbf\xbd here"},
    {BYTES("\x90 and \x8d: undefined in the code page, as caf\xe9 is not"), NULL, "windows-1252, 2 invalid sequences replaced",
     "\xef\xbf\xbd and \xef\xbf\xbd: undefined in the code page, as caf\xc3\xa9 is not"},
    {BYTES("text with a NUL \0 byte"), NULL, "utf-8, 1 NUL byte", NULL},
    {BYTES("ab\0cd"), NULL, NULL, "binary file (NUL byte at 2)"},
    {BYTES("\x7f"
           "ELF\1\1\1\0\0\0\0\0"),
     NULL, NULL, "binary file (NUL byte at 7)"},
    {BYTES("\1\2\3\4abc"), NULL, NULL, "binary file (4 control bytes in 7)"},
    {BYTES("\x80\1\2\3\xff\xfe"
           "ab"),
     NULL, NULL, "binary file (3 control bytes in 8)"},
    {BYTES("\x1b$B$3$l\x1b(B"), "iso-2022-jp", "iso-2022-jp", "\xe3\x81\x93\xe3\x82\x8c"},
    {BYTES("caf\xe9"), "no-such-encoding", "windows-1252", "caf\xc3\xa9"},
    {BYTES("caf\xe9"), "utf-8//IGNORE", "windows-1252", "caf\xc3\xa9"},
    {BYTES("\xe1\xe2\xe3"), "iso-8859-7", "iso-8859-7", "\xce\xb1\xce\xb2\xce\xb3"},
};

static void test_samples(void **state)
{
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        const sample *s = &samples[i];
        sx_decoded decoded;
        sx_error error = {0};
        sx_status status = sx_decode(s->bytes, s->length, s->declared, &decoded, &error);
        if (!s->encoding) {
            assert_int_equal(status, SX_E_UNSUPPORTED);
            assert_string_equal(error.message, s->text);
            continue;
        }
        if (status)
            fail_msg("sample %zu: %s", i, error.message);
        assert_string_equal(decoded.encoding, s->encoding);
        assert_int_equal(decoded.is_bytes, s->text == NULL);
        if (s->text) {
            assert_int_equal(decoded.length, strlen(s->text));
            assert_string_equal(decoded.text, s->text);
        } else {
            assert_int_equal(decoded.length, s->length);
            assert_null(decoded.text);
        }
        sx_decoded_clear(&decoded);
    }
}

static void test_valid_prefix(void **state)
{
    static const struct {
        const char *bytes;
        size_t length, valid;
    } rows[] = {
        {BYTES("12345678\xc3\xa9"), 10},
        {BYTES("\xc0\x80"), 0},
        {BYTES("a\xe0\x80\x80"), 1},
        {BYTES("\xed\xa0\x80"), 0},
        {BYTES("\xed\x9f\xbf"), 3},
        {BYTES("\xf4\x90\x80\x80"), 0},
        {BYTES("\xf4\x8f\xbf\xbf"), 4},
        {BYTES("\xf0\x8f\xbf\xbf"), 0},
        {BYTES("abcdefghij\xe2\x82"), 10},
        {BYTES("\x80"), 0},
        {BYTES("\xf5"), 0},
        {BYTES("a\0b"), 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(sx_encoding_utf8_prefix(rows[i].bytes, rows[i].length), rows[i].valid);
}

static void test_blank(void **state)
{
    assert_true(sx_encoding_is_blank("", 0));
    assert_true(sx_encoding_is_blank(BYTES("\xef\xbb\xbf \t\r\n\xc2\xa0\xe3\x80\x80")));
    assert_false(sx_encoding_is_blank(BYTES(" \xef\xbb\xbf.")));
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

/* Whatever the bytes: a refusal with a reason, or valid UTF-8 and a name. */
static void test_random_bytes_decode_or_are_refused(void **state)
{
    uint64_t seed = 7;
    unsigned char bytes[64];
    static const char *const labels[] = {NULL, "shift_jis", "gb18030", "euc-kr", "iso-2022-jp", "windows-1251"};
    for (int round = 0; round < 20000; round++) {
        size_t length = next_random(&seed) % sizeof bytes;
        unsigned kind = (unsigned)next_random(&seed) % 4;
        for (size_t i = 0; i < length; i++) {
            unsigned char byte = (unsigned char)next_random(&seed);
            bytes[i] = kind == 0 ? byte : kind == 1 ? byte | 0x80 : kind == 2 && i % 3 ? (byte & 0x1f) + 'a' : byte | 0x20;
        }
        sx_decoded decoded;
        sx_error error = {0};
        sx_status status = sx_decode(bytes, length, labels[next_random(&seed) % 6], &decoded, &error);
        if (status) {
            assert_int_equal(status, SX_E_UNSUPPORTED);
            assert_true(error.message[0] != '\0');
            assert_null(decoded.text);
            continue;
        }
        const char *text = decoded.is_bytes ? (const char *)bytes : decoded.text;
        assert_int_equal(sx_encoding_utf8_prefix(text, decoded.length), decoded.length);
        assert_true(decoded.encoding[0] != '\0');
        sx_decoded_clear(&decoded);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_valid_prefix),
        cmocka_unit_test(test_blank),
        cmocka_unit_test(test_random_bytes_decode_or_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
