/* static_model.c - model2vec's models and sentence-transformers' StaticEmbedding.
 *
 * Quantised vocabularies (model2vec) have fewer rows than tokens: `mapping` says which row is a token's, and `weights` by how
 * much it counts. Sums are taken in double, as model2vec does where there are weights.
 */
#include "static_model.h"

#include "config_file.h"

#include "../base/error.h"
#include "../base/json_reader.h"
#include "../text/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_MAX_TOKENS = 512 };
static const size_t longest_tokenizer = (size_t)1 << 30;

static bool is_bytes(const sx_tensor *tensor)
{
    return strcmp(tensor->dtype_name, "I8") == 0 && tensor->bytes == tensor->elements;
}

/* ---- Opening ---- */

static sx_status read_mapping(const sx_tensors *file, const sx_tensor *tensor, sx_static_model *model, sx_error *error)
{
    const char *path = sx_tensor_path(file, tensor);
    if (tensor->rank != 1 || tensor->dtype != SX_DTYPE_I64)
        return sx_fail(error, SX_E_FORMAT, "%s: tensor mapping: expected I64 of one dimension, not %s of %u", path,
                       tensor->dtype_name, tensor->rank);
    model->mapping = sx_calloc(tensor->elements ? tensor->elements : 1, sizeof *model->mapping);
    if (!model->mapping)
        return sx_fail_nomem(error, tensor->elements * sizeof *model->mapping);
    for (size_t i = 0; i < tensor->elements; i++) {
        int64_t row;
        memcpy(&row, tensor->data + i * sizeof row, sizeof row);
        if (row < 0 || (uint64_t)row >= model->rows)
            return sx_fail(error, SX_E_FORMAT, "%s: tensor mapping: token %zu means row %lld, but embeddings has %zu", path, i,
                           (long long)row, model->rows);
        model->mapping[i] = (uint32_t)row;
    }
    model->tokens = tensor->elements;
    return SX_OK;
}

static sx_status read_weights(const sx_tensors *file, const sx_tensor *tensor, sx_static_model *model, sx_error *error)
{
    const char *path = sx_tensor_path(file, tensor);
    if (tensor->rank != 1 || tensor->elements != model->tokens)
        return sx_fail(error, SX_E_FORMAT, "%s: tensor weights: %zu values, but there are %zu tokens", path, tensor->elements,
                       model->tokens);
    if (tensor->dtype != SX_DTYPE_F64 && tensor->dtype != SX_DTYPE_F32 && tensor->dtype != SX_DTYPE_F16)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: tensor weights: dtype %s is not supported", path, tensor->dtype_name);
    model->weights = sx_calloc(tensor->elements ? tensor->elements : 1, sizeof *model->weights);
    if (!model->weights)
        return sx_fail_nomem(error, tensor->elements * sizeof *model->weights);
    for (size_t i = 0; i < tensor->elements; i++) {
        if (tensor->dtype == SX_DTYPE_F64) {
            memcpy(&model->weights[i], tensor->data + i * sizeof *model->weights, sizeof *model->weights);
        } else {
            float value;
            sx_tensor_read(tensor, sx_kernels_for(SX_CPU_C), i, 1, &value);
            model->weights[i] = value;
        }
    }
    return SX_OK;
}

sx_status sx_static_model_open(const sx_tensors *file, sx_static_model *model, sx_error *error)
{
    memset(model, 0, sizeof *model);
    const sx_tensor *table = sx_tensors_find(file, "embedding.weight");
    if (!table)
        table = sx_tensors_find(file, "embeddings");
    if (!table)
        return sx_fail(error, SX_E_FORMAT, "%s: tensor embeddings is missing", file->path);
    if (table->rank != 2 || !table->shape[0] || !table->shape[1] || table->shape[0] > UINT32_MAX || table->shape[1] > UINT32_MAX)
        return sx_fail(error, SX_E_FORMAT, "%s: tensor %s: %u dimensions or none of rows and columns, but 2 are expected",
                       file->path, table->name, table->rank);
    if (table->dtype == SX_DTYPE_OTHER && !is_bytes(table))
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: tensor %s: dtype %s is not supported", file->path, table->name,
                       table->dtype_name);
    model->embeddings = table;
    model->rows = model->tokens = table->shape[0];
    model->width = table->shape[1];
    const sx_tensor *mapping = sx_tensors_find(file, "mapping"), *weights = sx_tensors_find(file, "weights");
    sx_status status = mapping ? read_mapping(file, mapping, model, error) : SX_OK;
    if (!status && weights)
        status = read_weights(file, weights, model, error);
    model->parameters = table->elements + (weights ? weights->elements : 0);
    if (status)
        sx_static_model_clear(model);
    return status;
}

void sx_static_model_clear(sx_static_model *model)
{
    free(model->mapping);
    free(model->weights);
    memset(model, 0, sizeof *model);
}

/* ---- Rules ---- */

typedef struct tokenizer_facts {
    char *unknown_piece;   /* model.unk_token */
    uint64_t unknown_id;   /* model.unk_id, of Unigram */
    bool has_unknown_id;
    uint64_t truncation;   /* truncation.max_length; 0: none */
} tokenizer_facts;

/* Takes three members of a file that may be large, and leaves the rest to the tokenizer's own reader. */
static void scan(sx_json *json, tokenizer_facts *facts)
{
    sx_buffer key_buffer = {0}, buffer = {0};
    sx_text key, value;
    sx_json_object(json);
    while (sx_json_member(json, &key_buffer, &key)) {
        bool is_model = sx_text_is(key, "model"), is_truncation = sx_text_is(key, "truncation");
        if ((!is_model && !is_truncation) || sx_json_peek(json) != SX_JSON_OBJECT) {
            sx_json_skip(json);
            continue;
        }
        sx_json_object(json);
        while (sx_json_member(json, &key_buffer, &key)) {
            sx_json_type type = sx_json_peek(json);
            if (is_model && sx_text_is(key, "unk_token") && type == SX_JSON_STRING) {
                free(facts->unknown_piece);
                facts->unknown_piece = sx_json_string(json, &buffer, &value) ? sx_strndup(value.data, value.length) : NULL;
            } else if (is_model && sx_text_is(key, "unk_id") && type == SX_JSON_NUMBER) {
                facts->has_unknown_id = sx_json_unsigned(json, &facts->unknown_id);
            } else if (is_truncation && sx_text_is(key, "max_length") && type == SX_JSON_NUMBER) {
                sx_json_unsigned(json, &facts->truncation);
            } else {
                sx_json_skip(json);
            }
        }
    }
    sx_buffer_clear(&key_buffer);
    sx_buffer_clear(&buffer);
}

static sx_status read_facts(const char *folder, tokenizer_facts *facts, sx_error *error)
{
    char *path = sx_path_join(folder, "tokenizer.json"), *data = NULL;
    size_t length;
    if (!path)
        return sx_fail_nomem(error, strlen(folder));
    sx_status status = sx_file_read(path, longest_tokenizer, &data, &length, NULL, error);
    if (!status) {
        sx_json json;
        sx_json_begin(&json, data, length, path);
        scan(&json, facts);
        if (json.problem)
            status = sx_json_fail(&json, SX_E_FORMAT, error);
    }
    free(data);
    free(path);
    return status;
}

static int compare_lengths(const void *a, const void *b)
{
    uint32_t first = *(const uint32_t *)a, second = *(const uint32_t *)b;
    return first < second ? -1 : first > second;
}

/* int(median) of the tokens' lengths in code points. */
static sx_status median_length(const sx_tokenizer *tokenizer, size_t *median, sx_error *error)
{
    uint32_t size = sx_tokenizer_vocabulary_size(tokenizer);
    uint32_t *lengths = sx_calloc(size ? size : 1, sizeof *lengths);
    size_t count = 0;
    *median = 0;
    if (!lengths)
        return sx_fail_nomem(error, size * sizeof *lengths);
    for (uint32_t id = 0; id < size; id++) {
        sx_text piece = sx_tokenizer_piece(tokenizer, id);
        if (piece.data)
            lengths[count++] = (uint32_t)sx_utf8_count(piece.data, piece.length);
    }
    qsort(lengths, count, sizeof *lengths, compare_lengths);
    if (count)
        *median = count % 2 ? lengths[count / 2] : (lengths[count / 2 - 1] + lengths[count / 2]) / 2;
    free(lengths);
    return SX_OK;
}

/* config.json's max_length: a number, null for none, 512 where it is not named. */
static sx_status read_limit(const char *folder, uint32_t *limit, sx_error *error)
{
    sx_config_file config;
    *limit = DEFAULT_MAX_TOKENS;
    sx_status status = sx_config_open(folder, "config.json", JSON_OBJECT, &config, error);
    if (!status && json_is_null(json_object_get(config.root, "max_length")))
        *limit = 0;
    else if (!status)
        status = sx_config_size(&config, "max_length", 1, limit, error);
    sx_config_close(&config);
    return status;
}

sx_status sx_static_model_rules(const char *folder, bool model2vec, const sx_tokenizer *tokenizer, sx_static_model *model,
                                sx_error *error)
{
    tokenizer_facts facts = {0};
    size_t median;
    sx_status status = read_facts(folder, &facts, error);
    if (!status && !model2vec && facts.truncation && facts.truncation < UINT32_MAX)
        model->max_tokens = (uint32_t)facts.truncation;
    if (status || !model2vec)
        goto out;
    if (facts.has_unknown_id && facts.unknown_id < UINT32_MAX) {
        model->has_unknown = true;
        model->unknown = (uint32_t)facts.unknown_id;
    } else if (facts.unknown_piece) {
        sx_text piece = {facts.unknown_piece, strlen(facts.unknown_piece)};
        model->has_unknown = sx_tokenizer_find(tokenizer, piece, &model->unknown);
    }
    if ((status = read_limit(folder, &model->max_tokens, error)) || (status = median_length(tokenizer, &median, error)))
        goto out;
    model->max_characters = model->max_tokens * median;
out:
    free(facts.unknown_piece);
    return status;
}

/* ---- Running ---- */

void sx_static_model_mean(const sx_static_model *model, const sx_kernels *kernels, const uint32_t *ids, size_t count,
                          double *sums, float *row, float *out)
{
    size_t width = model->width;
    const signed char *bytes = (const signed char *)model->embeddings->data;
    bool whole = is_bytes(model->embeddings);
    memset(sums, 0, width * sizeof *sums);
    for (size_t i = 0; i < count; i++) {
        size_t first = (model->mapping ? model->mapping[ids[i]] : ids[i]) * width;
        double weight = model->weights ? model->weights[ids[i]] : 1.0;
        if (whole)
            for (size_t j = 0; j < width; j++)
                row[j] = bytes[first + j];
        else
            sx_tensor_read(model->embeddings, kernels, first, width, row);
        for (size_t j = 0; j < width; j++)
            sums[j] += row[j] * weight;
    }
    for (size_t j = 0; j < width; j++)
        out[j] = count ? (float)(sums[j] / (double)count) : 0.0f;
}
