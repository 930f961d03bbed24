/* token_outputs.c - bge-m3's lexical weights and multi-vectors, each a linear layer on every token's state.
 *
 * Weights are max(0, linear(state)); a token that occurs several times keeps its largest one. The vector of the first token
 * (cls) is not part of the multi-vectors.
 */
#include "token_outputs.h"

#include "config_file.h"
#include "pooling.h"

#include "../base/error.h"

#include <stdlib.h>
#include <string.h>

static sx_status open_layer(const char *folder, const char *const names[2], size_t width, size_t outputs,
                            const sx_kernels *kernels, sx_dense *dense, char **path, uint64_t *bytes, sx_error *error)
{
    sx_tensors *file = NULL;
    sx_status status = sx_weights_file_in(folder, names, 2, path, error);
    if (status)
        return status;
    if (!(status = sx_tensors_open(*path, &file, error)))
        status = sx_dense_load(file, "", width, outputs, true, outputs ? SX_ACTIVATION_RELU : SX_ACTIVATION_NONE, kernels, dense,
                               error);
    *bytes += file ? file->bytes : 0;
    sx_tensors_close(file);
    return status;
}

sx_status sx_token_outputs_open(const char *folder, size_t width, const sx_kernels *kernels, sx_token_outputs *outputs,
                                sx_error *error)
{
    static const char *const sparse[] = {"sparse_linear.safetensors", "sparse_linear.pt"};
    static const char *const multi[] = {"colbert_linear.safetensors", "colbert_linear.pt"};
    sx_error missing = {0};
    memset(outputs, 0, sizeof *outputs);
    sx_status status = open_layer(folder, sparse, width, 1, kernels, &outputs->sparse, &outputs->sparse_file, &outputs->bytes,
                                  &missing);
    if (!status || (status == SX_E_NOT_FOUND && !outputs->sparse_file))
        status = open_layer(folder, multi, width, 0, kernels, &outputs->multi, &outputs->multi_file, &outputs->bytes, &missing);
    if (status == SX_E_NOT_FOUND && !outputs->multi_file)
        status = SX_OK;
    outputs->parameters = outputs->sparse.parameters + outputs->multi.parameters;
    if (status) {
        sx_token_outputs_clear(outputs);
        if (error)
            *error = missing;
    }
    return status;
}

/* A special token's text as transformers finds it: a string, or an added token's object. */
static const char *special_text(const sx_config_file *file, const char *key)
{
    json_t *field = json_object_get(file->root, key);
    if (json_is_object(field))
        field = json_object_get(field, "content");
    return json_string_value(field);
}

sx_status sx_token_outputs_exclude(const char *folder, const sx_tokenizer *tokenizer, sx_token_outputs *outputs, sx_error *error)
{
    static const char *const keys[SX_TOKEN_OUTPUT_EXCLUDED][2] = { /* with XLMRobertaTokenizer's defaults */
        {"cls_token", "<s>"}, {"eos_token", "</s>"}, {"pad_token", "<pad>"}, {"unk_token", "<unk>"}};
    sx_config_file own = {0}, map = {0};
    sx_status status = sx_config_open(folder, "tokenizer_config.json", JSON_OBJECT, &own, error);
    if (!status)
        status = sx_config_open(folder, "special_tokens_map.json", JSON_OBJECT, &map, error);
    outputs->excluded_count = 0;
    for (int i = 0; i < SX_TOKEN_OUTPUT_EXCLUDED && !status; i++) {
        const char *text = special_text(&own, keys[i][0]);
        if (!text)
            text = special_text(&map, keys[i][0]);
        if (!text)
            text = keys[i][1];
        if (sx_tokenizer_find(tokenizer, (sx_text){text, strlen(text)}, &outputs->excluded[outputs->excluded_count]))
            outputs->excluded_count++;
    }
    sx_config_close(&own);
    sx_config_close(&map);
    return status;
}

void sx_token_outputs_clear(sx_token_outputs *outputs)
{
    sx_dense_clear(&outputs->sparse);
    sx_dense_clear(&outputs->multi);
    free(outputs->sparse_file);
    free(outputs->multi_file);
    memset(outputs, 0, sizeof *outputs);
}

static bool is_excluded(const sx_token_outputs *outputs, uint32_t id)
{
    for (size_t i = 0; i < outputs->excluded_count; i++)
        if (outputs->excluded[i] == id)
            return true;
    return false;
}

/* Sifts entry `at` down the heap of `count` ids. */
static void sift(uint32_t *ids, float *weights, size_t at, size_t count)
{
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && ids[child + 1] > ids[child])
            child++;
        if (ids[at] >= ids[child])
            return;
        uint32_t id = ids[at];
        float weight = weights[at];
        ids[at] = ids[child];
        weights[at] = weights[child];
        ids[child] = id;
        weights[child] = weight;
    }
}

/* Heap sort: two arrays in step, in place. */
static void sort(uint32_t *ids, float *weights, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift(ids, weights, i, count);
    for (size_t end = count; end-- > 1;) {
        uint32_t id = ids[0];
        float weight = weights[0];
        ids[0] = ids[end];
        weights[0] = weights[end];
        ids[end] = id;
        weights[end] = weight;
        sift(ids, weights, 0, end);
    }
}

size_t sx_token_outputs_sparse(const sx_token_outputs *outputs, const sx_kernels *kernels, const float *states, size_t stride,
                               size_t rows, const uint32_t *tokens, uint32_t *ids, float *weights)
{
    size_t taken = 0, count = 0;
    sx_dense_apply(&outputs->sparse, kernels, states, stride, rows, weights, 1);
    for (size_t i = 0; i < rows; i++) {
        if (weights[i] <= 0.0f || is_excluded(outputs, tokens[i]))
            continue;
        ids[taken] = tokens[i];
        weights[taken++] = weights[i];
    }
    sort(ids, weights, taken);
    for (size_t i = 0; i < taken; i++) {
        if (count && ids[count - 1] == ids[i]) {
            weights[count - 1] = weights[i] > weights[count - 1] ? weights[i] : weights[count - 1];
        } else {
            ids[count] = ids[i];
            weights[count++] = weights[i];
        }
    }
    return count;
}

void sx_token_outputs_multi(const sx_token_outputs *outputs, const sx_kernels *kernels, const float *states, size_t stride,
                            size_t rows, float *vectors)
{
    size_t width = outputs->multi.outputs;
    if (rows < 2)
        return;
    sx_dense_apply(&outputs->multi, kernels, states + stride, stride, rows - 1, vectors, width);
    for (size_t i = 0; i + 1 < rows; i++)
        sx_normalize(vectors + i * width, width);
}
