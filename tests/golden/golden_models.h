/* golden_models.h - what the tests of 8-bit arithmetic and of storage share: the fixture texts, models opened, vectors, cosines. */
#ifndef SX_TESTS_GOLDEN_GOLDEN_MODELS_H
#define SX_TESTS_GOLDEN_GOLDEN_MODELS_H

#include "kern/kernels.h"
#include "model/recipe.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PATH_BYTES = 4096 };

typedef struct corpus {
    json_t *lines;
    sx_text *texts;
    size_t count;
} corpus;

static inline corpus read_corpus(void)
{
    corpus c = {.lines = json_array()};
    json_error_t problem;
    FILE *file = fopen(SX_FIXTURES "/texts.jsonl", "rb");
    assert_non_null(file);
    for (json_t *line; (line = json_loadf(file, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &problem));)
        json_array_append_new(c.lines, line);
    fclose(file);
    c.count = json_array_size(c.lines);
    assert_in_range(c.count, 400, 10000);
    c.texts = calloc(c.count, sizeof *c.texts);
    assert_non_null(c.texts);
    for (size_t i = 0; i < c.count; i++) {
        const json_t *text = json_object_get(json_array_get(c.lines, i), "text");
        c.texts[i] = (sx_text){json_string_value(text), json_string_length(text)};
    }
    return c;
}

static inline void corpus_free(corpus *c)
{
    json_decref(c->lines);
    free(c->texts);
}

static inline const char *model_folder(const char *variable)
{
    const char *folder = getenv(variable);
    if (!folder || !*folder)
        fail_msg("%s is not set: run `make model`, which fetches the weights and says what to set", variable);
    return folder;
}

static inline sx_model *open_model(const char *folder, const char *precision, const char *storage, uint64_t cpu_mask)
{
    sx_model_options options = {
        .size = sizeof options, .precision = precision, .storage = storage, .cpu_mask = cpu_mask};
    sx_model *model;
    sx_error error = {0};
    if (sx_model_open(folder, &options, &model, &error))
        fail_msg("%s: %s", folder, error.message);
    return model;
}

/* `group` texts in a call; the caller frees. */
static inline float *embed_texts(const sx_model *model, unsigned threads, const sx_text *texts, size_t count, size_t group)
{
    sx_session_options session_options = {.size = sizeof session_options, .threads = threads};
    sx_session *session;
    sx_error error = {0};
    size_t width = sx_model_describe(model)->dimensions;
    float *vectors = calloc(count * width, sizeof *vectors);
    assert_non_null(vectors);
    if (sx_session_open(model, &session_options, &session, &error))
        fail_msg("%s", error.message);
    for (size_t first = 0; first < count; first += group) {
        size_t some = count - first < group ? count - first : group;
        if (sx_session_embed(session, texts + first, some, NULL, vectors + first * width, NULL, &error))
            fail_msg("%s", error.message);
    }
    sx_session_close(session);
    return vectors;
}

static inline double cosine(const float *a, const float *b, size_t width)
{
    double dot = 0.0, first = 0.0, second = 0.0;
    for (size_t i = 0; i < width; i++) {
        dot += (double)a[i] * b[i];
        first += (double)a[i] * a[i];
        second += (double)b[i] * b[i];
    }
    return dot / sqrt(first * second);
}

typedef struct likeness {
    double mean, least;
} likeness;

static inline likeness compare_vectors(const float *a, const float *b, size_t count, size_t width)
{
    likeness found = {0.0, 1.0};
    for (size_t i = 0; i < count; i++) {
        double c = cosine(a + i * width, b + i * width, width);
        assert_true(isfinite(c));
        found.mean += c / (double)count;
        found.least = c < found.least ? c : found.least;
    }
    return found;
}

#endif
