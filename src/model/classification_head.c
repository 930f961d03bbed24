/* classification_head.c - heads of transformers' ...ForSequenceClassification, as data: one or two linear layers on one state.
 *
 * The first layer, with its activation and sometimes a norm, is BERT's pooler or the "classifier.dense" of later families; the
 * second one gives a logit for each label. Which activation makes scores of logits is sentence-transformers' rule
 * (CrossEncoder.get_default_activation_fn): the config's, else sigmoid for one label and none for several.
 */
#include "classification_head.h"

#include "config_file.h"
#include "pooling.h"

#include "../base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names without ".weight"; prefixes of the encoder's part of the file are tried before `hidden`. */
typedef struct head_family {
    const char *family;
    const char *prefixes[3];
    const char *hidden;          /* NULL: none */
    sx_activation activation;
    const char *norm;            /* NULL: none */
    const char *output;
    bool hidden_bias, output_bias;
    unsigned pooling;
} head_family;

static const head_family families[] = {
    {"bert", {"bert.", ""}, "pooler.dense", SX_ACTIVATION_TANH, NULL, "classifier", true, true, SX_POOLING_CLS},
    {"albert", {"albert.", ""}, "pooler", SX_ACTIVATION_TANH, NULL, "classifier", true, true, SX_POOLING_CLS},
    {"roberta", {""}, "classifier.dense", SX_ACTIVATION_TANH, NULL, "classifier.out_proj", true, true, SX_POOLING_CLS},
    {"xlm-roberta", {""}, "classifier.dense", SX_ACTIVATION_TANH, NULL, "classifier.out_proj", true, true, SX_POOLING_CLS},
    {"camembert", {""}, "classifier.dense", SX_ACTIVATION_TANH, NULL, "classifier.out_proj", true, true, SX_POOLING_CLS},
    {"mpnet", {""}, "classifier.dense", SX_ACTIVATION_TANH, NULL, "classifier.out_proj", true, true, SX_POOLING_CLS},
    {"electra", {""}, "classifier.dense", SX_ACTIVATION_GELU, NULL, "classifier.out_proj", true, true, SX_POOLING_CLS},
    {"distilbert", {""}, "pre_classifier", SX_ACTIVATION_RELU, NULL, "classifier", true, true, SX_POOLING_CLS},
    {"modernbert", {""}, "head.dense", SX_ACTIVATION_GELU, "head.norm", "classifier", false, true, SX_POOLING_CLS},
    {"qwen3", {""}, NULL, SX_ACTIVATION_NONE, NULL, "score", false, false, SX_POOLING_LAST_TOKEN},
};

static const head_family *find_family(const char *name)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(families[i].family, name) == 0)
            return &families[i];
    return NULL;
}

/* config.json's own words for ModernBERT's variants. */
static sx_status read_variant(const sx_config_file *file, head_family *family, bool *norm_bias, sx_classification_head *head,
                              sx_arena *arena, sx_error *error)
{
    if (strcmp(family->family, "modernbert") != 0)
        return SX_OK;
    static const struct {
        const char *name;
        sx_activation activation;
    } known[] = {{"gelu", SX_ACTIVATION_GELU}, {"relu", SX_ACTIVATION_RELU}, {"silu", SX_ACTIVATION_SILU},
                 {"gelu_pytorch_tanh", SX_ACTIVATION_GELU_TANH}, {"gelu_new", SX_ACTIVATION_GELU_TANH},
                 {"tanh", SX_ACTIVATION_TANH}};
    const char *pooling = "cls", *activation = "gelu";
    double epsilon = 1e-5;
    sx_status status;
    if ((status = sx_config_string(file, "classifier_pooling", arena, &pooling, error)) ||
        (status = sx_config_string(file, "classifier_activation", arena, &activation, error)) ||
        (status = sx_config_flag(file, "classifier_bias", &family->hidden_bias, error)) ||
        (status = sx_config_flag(file, "norm_bias", norm_bias, error)) ||
        (status = sx_config_real(file, "norm_eps", 0.0, 1.0, &epsilon, error)))
        return status;
    head->norm_epsilon = (float)epsilon;
    if (strcmp(pooling, "cls") != 0 && strcmp(pooling, "mean") != 0)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: classifier_pooling: \"%s\" is not supported", file->path, pooling);
    family->pooling = strcmp(pooling, "mean") == 0 ? SX_POOLING_MEAN : SX_POOLING_CLS;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(activation, known[i].name) == 0) {
            family->activation = known[i].activation;
            return SX_OK;
        }
    }
    return sx_fail(error, SX_E_UNSUPPORTED, "%s: classifier_activation: \"%s\" is not supported", file->path, activation);
}

/* A path that does not begin with "torch." is somebody's own code: sentence-transformers falls back to the default too. */
static sx_status read_activation(const sx_config_file *file, const char *folder, sx_classification_head *head, sx_error *error)
{
    json_t *own = json_object_get(file->root, "sentence_transformers");
    const char *name = json_string_value(json_object_get(own, "activation_fn"));
    sx_config_file newer = {0};
    sx_status status = SX_OK;
    if (!name)
        name = json_string_value(json_object_get(file->root, "sbert_ce_default_activation_function"));
    if (!name) { /* sentence-transformers 5.4 and later write it there */
        status = sx_config_open(folder, "config_sentence_transformers.json", JSON_OBJECT, &newer, error);
        name = json_string_value(json_object_get(newer.root, "activation_fn"));
    }
    head->activation = head->output.outputs == 1 ? SX_ACTIVATION_SIGMOID : SX_ACTIVATION_NONE;
    if (!status && name && strncmp(name, "torch.", strlen("torch.")) == 0 && !sx_activation_of_torch(name, &head->activation))
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: activation_fn: \"%s\" is not supported", file->path, name);
    sx_config_close(&newer);
    return status;
}

/* The prefix under which the file has the hidden layer; the first one when it has none, for the message. */
static void name_hidden(const head_family *family, const sx_tensors *file, char *name, size_t capacity)
{
    char tensor[160];
    for (int i = 0; i == 0 || (i < 3 && family->prefixes[i]); i++) {
        snprintf(tensor, sizeof tensor, "%s%s.weight", family->prefixes[i], family->hidden);
        if (i == 0 || sx_tensors_find(file, tensor))
            snprintf(name, capacity, "%s%s", family->prefixes[i], family->hidden);
        if (sx_tensors_find(file, tensor))
            return;
    }
}

static sx_status load(const sx_config_file *config, const char *folder, const char *name, const sx_tensors *file,
                      const sx_kernels *kernels, sx_classification_head *head, sx_arena *arena, sx_error *error)
{
    const head_family *known = find_family(name);
    if (!known)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: model_type: cross-encoders of type \"%s\" are not supported", config->path,
                       name);
    head_family family = *known;
    bool norm_bias = false;
    char hidden[160], norm[160];
    size_t width = head->width;
    sx_status status = read_variant(config, &family, &norm_bias, head, arena, error);
    if (!status && family.hidden) {
        name_hidden(&family, file, hidden, sizeof hidden);
        status = sx_dense_load(file, hidden, width, width, family.hidden_bias, family.activation, kernels, &head->hidden, error);
    }
    if (!status && family.norm) {
        snprintf(norm, sizeof norm, "%s.weight", family.norm);
        status = sx_dense_vector(file, norm, width, kernels, &head->norm_weight, error);
        snprintf(norm, sizeof norm, "%s.bias", family.norm);
        if (!status && norm_bias)
            status = sx_dense_vector(file, norm, width, kernels, &head->norm_bias, error);
    }
    size_t labels = json_object_size(json_object_get(config->root, "id2label"));
    if (!status)
        status = sx_dense_load(file, family.output, width, 0, family.output_bias, SX_ACTIVATION_NONE, kernels, &head->output,
                               error);
    if (status)
        return status;
    if (labels && labels != head->output.outputs)
        return sx_fail(error, SX_E_FORMAT, "%s: id2label has %zu labels, but tensor %s.weight of %s has %zu rows", config->path,
                       labels, family.output, file->path, head->output.outputs);
    double padding = json_number_value(json_object_get(config->root, "pad_token_id"));
    head->has_padding = json_is_number(json_object_get(config->root, "pad_token_id")) && padding >= 0 && padding < UINT32_MAX;
    head->padding_id = head->has_padding ? (uint32_t)padding : 0;
    head->pooling = family.pooling;
    head->parameters = head->hidden.parameters + head->output.parameters + (head->norm_weight ? width : 0) +
                       (head->norm_bias ? width : 0);
    return read_activation(config, folder, head, error);
}

sx_status sx_classification_head_open(const char *folder, const char *family, size_t width, const sx_tensors *file,
                                      const sx_kernels *kernels, sx_classification_head *head, sx_error *error)
{
    sx_config_file config;
    sx_arena arena = {0};
    memset(head, 0, sizeof *head);
    head->width = width;
    sx_status status = sx_config_open(folder, "config.json", JSON_OBJECT, &config, error);
    if (!status)
        status = load(&config, folder, family, file, kernels, head, &arena, error);
    sx_config_close(&config);
    sx_arena_clear(&arena);
    if (status)
        sx_classification_head_clear(head);
    return status;
}

void sx_classification_head_clear(sx_classification_head *head)
{
    sx_dense_clear(&head->hidden);
    sx_dense_clear(&head->output);
    free(head->norm_weight);
    free(head->norm_bias);
    memset(head, 0, sizeof *head);
}

void sx_classification_head_run(const sx_classification_head *head, const sx_kernels *kernels, const float *states,
                                size_t stride, const uint32_t *ids, size_t rows, float *scratch, float *logits)
{
    size_t width = head->width;
    float *pooled = scratch, *hidden = scratch + width;
    if (head->pooling == SX_POOLING_LAST_TOKEN && head->has_padding)
        while (rows > 1 && ids[rows - 1] == head->padding_id)
            rows--;
    sx_pool(kernels, head->pooling, states, stride, rows, 0, width, pooled);
    if (head->hidden.outputs) {
        sx_dense_apply(&head->hidden, kernels, pooled, width, 1, hidden, width);
        pooled = hidden;
    }
    if (head->norm_weight) {
        sx_norm_job job = {.in = pooled, .in_stride = width, .out = pooled, .out_stride = width, .rows = 1, .width = width,
                           .weight = head->norm_weight, .bias = head->norm_bias, .epsilon = head->norm_epsilon};
        kernels->norm(&job);
    }
    sx_dense_apply(&head->output, kernels, pooled, width, 1, logits, head->output.outputs);
}

void sx_classification_head_scores(const sx_classification_head *head, const sx_kernels *kernels, const float *logits,
                                   size_t count, float *scores)
{
    if (head->activation == SX_ACTIVATION_NONE)
        memmove(scores, logits, count * sizeof *scores);
    else
        kernels->activate(head->activation, logits, scores, count);
}
