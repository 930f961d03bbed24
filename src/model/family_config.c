/* family_config.c - what config.json says in each family, with the defaults transformers' configuration classes have. */
#include "family.h"

#include "../base/error.h"

#include <math.h>
#include <string.h>

static sx_status read_activation(const sx_config_file *file, const char *key, const char *initial, sx_arena *arena,
                                 sx_activation *activation, sx_error *error)
{
    static const struct {
        const char *name;
        sx_activation activation;
    } known[] = {
        {"gelu", SX_ACTIVATION_GELU},
        {"gelu_new", SX_ACTIVATION_GELU_TANH},
        {"gelu_pytorch_tanh", SX_ACTIVATION_GELU_TANH},
        {"relu", SX_ACTIVATION_RELU},
    };
    const char *name = initial;
    sx_status status = sx_config_string(file, key, arena, &name, error);
    if (status)
        return status;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name) == 0) {
            *activation = known[i].activation;
            return SX_OK;
        }
    }
    return sx_fail(error, SX_E_UNSUPPORTED, "%s: %s: \"%s\" is not supported", file->path, key, name);
}

typedef struct size_field {
    const char *key;
    uint32_t *value, initial;
} size_field;

static sx_status read_sizes(const sx_config_file *file, const size_field *fields, size_t count, sx_error *error)
{
    sx_status status = SX_OK;
    for (size_t i = 0; i < count && !status; i++) {
        *fields[i].value = fields[i].initial;
        status = sx_config_size(file, fields[i].key, 1, fields[i].value, error);
    }
    return status;
}

sx_status sx_read_bert_config(const sx_config_file *file, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    const size_field sizes[] = {
        {"num_hidden_layers", &a->layers, 12},
        {"num_attention_heads", &a->heads, 12},
        {"hidden_size", &a->hidden_size, 768},
        {"intermediate_size", &a->intermediate_size, 3072},
        {"vocab_size", &a->vocabulary_size, 30522},
        {"max_position_embeddings", &a->positions, 512},
        {"type_vocab_size", &a->token_types, 2},
    };
    double epsilon = 1e-12;
    sx_status status = read_sizes(file, sizes, sizeof sizes / sizeof *sizes, error);
    if (status || (status = read_activation(file, "hidden_act", "gelu", arena, &a->activation, error)) ||
        (status = sx_config_real(file, "layer_norm_eps", 0.0, 1.0, &epsilon, error)))
        return status;
    a->norm_epsilon = (float)epsilon;
    if (a->hidden_size % a->heads)
        return sx_fail(error, SX_E_FORMAT, "%s: hidden_size %u is no multiple of num_attention_heads %u", file->path,
                       a->hidden_size, a->heads);
    const char *positions = "absolute";
    bool decoder = false;
    if ((status = sx_config_string(file, "position_embedding_type", arena, &positions, error)) ||
        (status = sx_config_flag(file, "is_decoder", &decoder, error)))
        return status;
    if (strcmp(positions, "absolute") != 0)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: position_embedding_type: \"%s\" is not supported", file->path, positions);
    if (decoder)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: is_decoder: decoders are not supported", file->path);
    a->embedding_size = a->hidden_size;
    a->key_heads = a->heads;
    a->head_size = a->hidden_size / a->heads;
    a->longest = a->positions;
    a->rope_scale = 1.0f;
    a->attention_scale = (float)(1.0 / sqrt((double)a->head_size));
    a->placement = SX_NORM_AFTER;
    a->embedding_norm = true;
    a->first_attention_norm = true;
    a->embedding_scale = 1.0f;
    a->mixed_bias = a->output_bias = a->feed_forward_bias = a->norm_bias = true;
    return SX_OK;
}
