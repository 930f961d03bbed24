/* fuzz_normalizer.c - a chain of normalisers and a text from the bytes. The first byte chooses what the bytes up to the first
 * 0xff are: steps by number, a pattern to replace by, or a precompiled map as it is; the rest is the text. */
#include "base/code_point.h"
#include "tok/normalizer.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const simple[] = {"NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "Nmt", "ByteLevel",
                                     "BertNormalizer"};

static json_t *make_base64(const uint8_t *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t count = 0;
    char *text = malloc(size / 3 * 4 + 4);
    if (!text)
        return NULL;
    for (size_t i = 0; i < size; i += 3) {
        size_t there = size - i < 3 ? size - i : 3;
        uint32_t bits = (uint32_t)data[i] << 16 | (there > 1 ? (uint32_t)data[i + 1] << 8 : 0) | (there > 2 ? data[i + 2] : 0u);
        for (size_t k = 0; k < 4; k++)
            text[count++] = k <= there ? digits[bits >> (18 - 6 * k) & 63] : '=';
    }
    json_t *string = json_stringn(text, count);
    free(text);
    return string;
}

static json_t *make_chain(uint8_t kind, const uint8_t *data, size_t size)
{
    if (kind % 3 == 1)
        return json_pack("{s:s, s:{s:o*}, s:s}", "type", "Replace", "pattern", kind & 64 ? "String" : "Regex",
                         json_stringn((const char *)data, size), "content", kind & 128 ? "\xc3\xa9" : "");
    if (kind % 3 == 2)
        return json_pack("{s:s, s:o*}", "type", "Precompiled", "precompiled_charsmap", make_base64(data, size));
    json_t *steps = json_array();
    for (size_t i = 0; i < size && i < 8; i++)
        json_array_append_new(steps, data[i] & 128 ? json_pack("{s:s, s:s}", "type", "Prepend", "prepend", "_")
                                                   : json_pack("{s:s}", "type", simple[data[i] % 10]));
    return json_pack("{s:s, s:o*}", "type", "Sequence", "normalizers", steps);
}

/* The bytes as valid UTF-8. */
static size_t make_text(const uint8_t *data, size_t size, char *to)
{
    size_t length = 0;
    for (size_t i = 0; i < size;) {
        sx_code_point point = sx_utf8_decode((const char *)data + i, size - i);
        length += sx_utf8_encode(point.valid ? point.code : 0x300u + data[i], to + length);
        i += point.length;
    }
    return length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 4096)
        return 0;
    const uint8_t *chain = data + 1, *split = memchr(chain, 0xff, size - 1);
    if (!split)
        return 0;
    json_t *component = make_chain(data[0], chain, (size_t)(split - chain));
    char *text = malloc(4 * size);
    sx_arena arena = {0};
    sx_normalizer normalizer = {0};
    sx_working_text working = {0}, spare = {0};
    if (text && component && sx_normalizer_read(component, "fuzz", &arena, &normalizer, NULL) == SX_OK) {
        size_t length = make_text(split + 1, size - (size_t)(split + 1 - data), text);
        sx_working_text_put_original(&working, text, 0, length);
        sx_normalizer_run(&normalizer, &working, &spare);
        if (!working.no_memory && working.length) {
            if (!sx_utf8_valid(working.bytes, working.length, NULL))
                abort();
            for (size_t i = 0; i < working.length; i++)
                if (working.starts[i] > working.ends[i] || working.ends[i] > length)
                    abort();
        }
    }
    sx_normalizer_clear(&normalizer);
    sx_arena_clear(&arena);
    sx_working_text_clear(&working);
    sx_working_text_clear(&spare);
    json_decref(component);
    free(text);
    return 0;
}
