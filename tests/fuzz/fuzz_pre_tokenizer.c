/* fuzz_pre_tokenizer.c - a component, a NUL byte and a text: whatever can be read runs on the text; the pieces ascend, are not
 * empty, and come from the text. Text that is no UTF-8 is passed over, as encoding repairs it first. */
#include "base/buffer.h"
#include "text/utf8.h"
#include "tok/pre_tokenizer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte of an input chooses one; 0: the component is in the input. */
static const char *const components[] = {
    "",
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true}",
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},"
    "{\"type\":\"Metaspace\",\"replacement\":\"\xe2\x96\x81\"}]}",
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true},"
    "{\"type\":\"Digits\",\"individual_digits\":false},{\"type\":\"UnicodeScripts\"},{\"type\":\"FixedLength\"}]}",
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}|"
    " ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"},"
    "\"behavior\":\"Isolated\",\"invert\":false}",
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a*|\\\\b\"},\"behavior\":\"MergedWithNext\",\"invert\":true}",
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Punctuation\",\"behavior\":\"Contiguous\"},"
    "{\"type\":\"Whitespace\"}]}",
};
enum { COMPONENTS = sizeof components / sizeof components[0] };

static void check(const sx_working_text *text, size_t original)
{
    for (size_t i = 0; i < text->piece_count; i++) {
        const sx_piece *piece = &text->pieces[i];
        if (piece->begin >= piece->end || piece->end > text->length || (i && piece->begin < text->pieces[i - 1].end))
            abort();
        if (text->starts[piece->begin] > original || text->ends[piece->end - 1] > original)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *component = components[data[0] % COMPONENTS], *bytes = (const char *)data + 1;
    size_t length = strlen(component), left = size - 1;
    if (length == 0) {
        const char *end = memchr(bytes, 0, left);
        if (!end)
            return 0;
        component = bytes;
        length = (size_t)(end - bytes);
        bytes = end + 1;
        left -= length + 1;
    }
    json_t *json = json_loadb(component, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    sx_arena arena = {0};
    sx_pre_tokenizer pre_tokenizer = {0};
    sx_working_text text = {0}, spare = {0};
    sx_buffer description = {0};
    sx_error error;
    if (json && sx_utf8_valid(bytes, left, NULL) && !sx_pre_tokenizer_read(json, "fuzz", &arena, &pre_tokenizer, &error)) {
        sx_working_text_put_original(&text, bytes, 0, left);
        sx_pre_tokenizer_run(&pre_tokenizer, true, &text, &spare);
        if (!text.no_memory)
            check(&text, left);
        sx_pre_tokenizer_describe(&pre_tokenizer, &description);
    }
    json_decref(json);
    sx_buffer_clear(&description);
    sx_working_text_clear(&text);
    sx_working_text_clear(&spare);
    sx_pre_tokenizer_clear(&pre_tokenizer);
    sx_arena_clear(&arena);
    return 0;
}
