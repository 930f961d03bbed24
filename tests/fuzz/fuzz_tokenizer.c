/* fuzz_tokenizer.c - any bytes as text: offsets ascend and stay inside, and max_length is kept to. */
#include "tok/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte of an input chooses one. */
static const char *const forms[] = {
    "{\"added_tokens\":[{\"id\":1,\"content\":\"[M]\",\"special\":true,\"normalized\":false},"
    "{\"id\":14,\"content\":\"<l>\",\"lstrip\":true,\"normalized\":false},"
    "{\"id\":15,\"content\":\"<r>\",\"rstrip\":true,\"single_word\":true,\"normalized\":false}],"
    "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"strip_accents\":true,\"lowercase\":true},",
    "{\"added_tokens\":[{\"id\":14,\"content\":\"A b\",\"normalized\":true,\"lstrip\":true},"
    "{\"id\":15,\"content\":\"Bb\",\"normalized\":true,\"single_word\":true}],"
    "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"strip_accents\":true,\"lowercase\":true},",
    "{\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":false,\"strip_accents\":false,\"lowercase\":true},",
    "{\"normalizer\":null,",
};
static const char rest[] =
    "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"c\",2],"
    "\"sep\":[\"s\",3]},\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[U]\",\"max_input_chars_per_word\":200,\"vocab\":{"
    "\"[U]\":0,\"[M]\":1,\"c\":2,\"s\":3,\"a\":4,\"b\":5,\"##a\":6,\"##b\":7,\"ab\":8,\"##bab\":9,\"-\":10,"
    "\"##\xf0\x9d\x85\xa5\":11,\"##\xf0\x9d\x85\xad\":12,\"\xe4\xb8\xad\":13}}}";

static sx_tokenizer *make_tokenizer(unsigned form)
{
    sx_tokenizer *tokenizer = sx_calloc(1, sizeof *tokenizer);
    sx_buffer json = {0};
    sx_error error;
    if (!tokenizer)
        abort();
    tokenizer->path = sx_strdup("fuzz");
    sx_buffer_append_string(&json, forms[form % (sizeof forms / sizeof forms[0])]);
    sx_buffer_append_string(&json, rest);
    if (json.failed || sx_tokenizer_read_json(tokenizer, json.data, json.length, NULL, &error) ||
        sx_tokenizer_finish(tokenizer, &error))
        abort();
    sx_buffer_clear(&json);
    return tokenizer;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    sx_tokenizer *tokenizer = make_tokenizer(data[0]);
    uint32_t most = 2 + data[1] % 32;
    sx_text text = {(const char *)data + 2, size - 2};
    sx_encoding whole = {0}, cut = {0};
    sx_encode_options options = {.size = sizeof options, .max_length = most};
    if (sx_tokenizer_encode(tokenizer, text, NULL, &whole, NULL) || sx_tokenizer_encode(tokenizer, text, &options, &cut, NULL))
        abort();
    if (whole.dropped || whole.count < 2 || cut.count > most || cut.count + cut.dropped != whole.count)
        abort();
    for (size_t i = 1; i + 1 < whole.count; i++) {
        if (whole.starts[i] >= whole.ends[i] || whole.ends[i] > text.length || whole.starts[i] < whole.starts[i - 1])
            abort();
        if (i + 1 < cut.count && (cut.ids[i] != whole.ids[i] || cut.ends[i] != whole.ends[i]))
            abort();
    }
    sx_encoding_clear(&whole);
    sx_encoding_clear(&cut);
    sx_tokenizer_close(tokenizer);
    return 0;
}
