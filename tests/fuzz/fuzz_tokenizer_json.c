/* fuzz_tokenizer_json.c - any bytes as tokenizer.json, and as vocab.txt; what opens must encode. */
#include "tok/tokenizer_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sx_status read_json(sx_tokenizer *tokenizer, const char *data, size_t length, sx_error *error)
{
    return sx_tokenizer_read_json(tokenizer, data, length, NULL, error);
}

static void try_reader(sx_status (*read)(sx_tokenizer *, const char *, size_t, sx_error *), const uint8_t *data, size_t size)
{
    static const char text[] = "The [CLS] F\xc3\xb6o\xcc\x81 \xe4\xb8\xad\xe6\x96\x87 \xff\xf0\x9d\x85\xad\xf0\x9d\x85\xa5 a-b\x01";
    sx_error error = {0};
    sx_tokenizer *tokenizer = sx_calloc(1, sizeof *tokenizer);
    if (!tokenizer)
        return;
    tokenizer->path = sx_strdup("/nowhere/file");
    sx_status status = tokenizer->path ? read(tokenizer, (const char *)data, size, &error) : SX_E_NOMEM;
    if (!status)
        status = sx_tokenizer_finish(tokenizer, &error);
    if (!status) {
        sx_encoding encoding = {0};
        sx_sha256 hash;
        sx_text input = {text, sizeof text - 1};
        if (sx_tokenizer_encode(tokenizer, input, NULL, &encoding, &error) == SX_OK)
            for (size_t i = 0; i < encoding.count; i++)
                if (encoding.ids[i] >= sx_tokenizer_vocabulary_size(tokenizer) || encoding.ends[i] > input.length)
                    abort();
        sx_tokenizer_identity(tokenizer, &hash);
        sx_encoding_clear(&encoding);
    } else if (error.message[0] == '\0') {
        abort(); /* a refusal without a reason */
    }
    sx_tokenizer_close(tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_reader(read_json, data, size);
    try_reader(sx_tokenizer_read_vocab_txt, data, size);
    return 0;
}
