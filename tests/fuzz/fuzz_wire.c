/* fuzz_wire.c - any bytes as a reply of each remote service: believed with all its checks passed, or refused with one line; never
 * a crash, never a value that is not finite, never a byte outside the rows.
 *
 * First byte: the service; second: texts sent, and whether dimensions are known, cut or open; the rest is the body. */
#include "provider/wire.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 16, MOST_TEXTS = 4 };
static const char *const references[] = {"openai:m",     "azure@http://h#m", "cohere:m",         "voyage:m",
                                         "jina:m",       "gemini:m",         "mistral:m",        "ollama:m",
                                         "tei@http://h", "remote@http://h",  "openai@http://h#m"};
static const long codes[] = {400, 401, 404, 413, 422, 429, 500, 503};

static void check_line(const sx_wire_reply *reply)
{
    for (const char *at = reply->message; *at; at++)
        if ((unsigned char)*at < 0x20)
            abort();
    if (strstr(reply->message, "fuzz-key-0123456789"))
        abort();
}

static void check_vectors(const sx_wire_reply *reply, const float *vectors, size_t count)
{
    if (reply->dimensions == 0 || reply->dimensions > ROOM)
        abort();
    for (size_t row = 0; row < count; row++) {
        bool nonzero = false;
        for (uint32_t i = 0; i < reply->dimensions; i++) {
            float value = vectors[row * ROOM + i];
            if (!isfinite(value))
                abort();
            nonzero |= value != 0;
        }
        if (!nonzero)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    sx_remote_options options = {.size = sizeof options, .api_key = "fuzz-key-0123456789"};
    sx_wire_target target;
    if (sx_wire_target_open(references[data[0] % (sizeof references / sizeof *references)], &options, &target, NULL))
        abort();
    size_t count = 1 + data[1] % MOST_TEXTS, length = size - 2;
    uint32_t known = data[1] & 8 ? 2 : 0;
    target.dimensions = data[1] & 16 ? 2 : 0;
    target.no_dimensions |= (data[1] & 32) != 0;
    char *body = malloc(length + 1);
    float *vectors = calloc(count * ROOM, sizeof *vectors);
    if (body && vectors) {
        memcpy(body, data + 2, length);
        sx_wire_reply reply;
        for (size_t i = 0; i < count * ROOM; i++)
            vectors[i] = NAN;
        target.form->read(&target, body, length, count, known, vectors, ROOM, &reply);
        if (reply.verdict == SX_WIRE_OK)
            check_vectors(&reply, vectors, count);
        else
            check_line(&reply);
        target.form->refuse(&target, codes[data[1] >> 5], body, length, &reply);
        if (reply.verdict == SX_WIRE_OK)
            abort();
        check_line(&reply);
        sx_wire_limits limits = {0};
        uint32_t dimensions = 0;
        if (target.form->read_info)
            target.form->read_info(&target, body, length, &limits, &dimensions);
    }
    free(vectors);
    free(body);
    sx_wire_target_close(&target);
    return 0;
}
