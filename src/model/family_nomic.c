/* family_nomic.c - configurations of Nomic's BERT: rotary positions and a gated product in a post-norm encoder.
 *
 * Published folders use GPT-2's names for sizes, and switches for what the authors' code can do; transformers 5 writes BERT's
 * names for the one combination it knows. Both are read, and where a folder has both, they have to agree.
 */
#include "family_fields.h"

#include "../base/error.h"

#include <math.h>
#include <string.h>

/* Switches of the published form. Their defaults are those of the authors' configuration class, which are not Nomic's models'. */
static sx_status read_switches(const sx_config_file *file, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    const char *activation = "gelu_new";
    bool first = true, second = true;
    double fraction = 0.0;
    sx_status status;
    a->mixed_bias = true;
    if ((status = sx_config_string(file, "activation_function", arena, &activation, error)) ||
        (status = sx_config_real(file, "rotary_emb_fraction", 0.0, 1.0, &fraction, error)) ||
        (status = sx_config_flag(file, "qkv_proj_bias", &a->mixed_bias, error)) ||
        (status = sx_config_flag(file, "mlp_fc1_bias", &first, error)) ||
        (status = sx_config_flag(file, "mlp_fc2_bias", &second, error)) ||
        (status = sx_expect_flag(file, "prenorm", false, error)) ||
        (status = sx_expect_flag(file, "parallel_block", false, error)) ||
        (status = sx_expect_flag(file, "use_rms_norm", false, error)) ||
        (status = sx_expect_flag(file, "causal", false, error)) ||
        (status = sx_expect_flag(file, "scale_attn_weights", true, error)) ||
        (status = sx_expect_flag(file, "rotary_emb_interleaved", false, error)) ||
        (status = sx_expect_null(file, "rotary_emb_scale_base", error)) ||
        (status = sx_expect_null(file, "rotary_scaling_factor", error)) ||
        (status = sx_expect_number(file, "moe_every_n_layers", 0.0, error)))
        return status;
    if (fraction != 1.0)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: rotary_emb_fraction: %g is not supported", file->path, fraction);
    if (first != second)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: mlp_fc2_bias: %s is not supported where mlp_fc1_bias is %s", file->path,
                       second ? "true" : "false", first ? "true" : "false");
    a->feed_forward_bias = first;
    if (strcmp(activation, "swiglu") == 0)
        a->activation = SX_ACTIVATION_SILU;
    else if (strcmp(activation, "geglu") == 0)
        a->activation = SX_ACTIVATION_GELU;
    else
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: activation_function: \"%s\" is not supported", file->path, activation);
    return SX_OK;
}

sx_status sx_read_nomic_bert_config(const sx_config_file *file, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    uint32_t positions = 2048;
    struct {
        const char *published, *key;
        uint32_t *value, initial;
    } sizes[] = {
        {"n_layer", "num_hidden_layers", &a->layers, 12},
        {"n_head", "num_attention_heads", &a->heads, 12},
        {"n_embd", "hidden_size", &a->hidden_size, 768},
        {"n_inner", "intermediate_size", &a->intermediate_size, 3072},
        {"n_positions", "max_position_embeddings", &positions, 2048},
        {"vocab_size", "vocab_size", &a->vocabulary_size, 30528},
        {"type_vocab_size", "type_vocab_size", &a->token_types, 2},
    };
    bool published = json_object_get(file->root, "n_embd") != NULL;
    sx_status status = SX_OK;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && !status; i++) {
        uint32_t other = 0;
        *sizes[i].value = sizes[i].initial;
        status = sx_config_size(file, sizes[i].published, 1, sizes[i].value, error);
        if (!status)
            status = sx_config_size(file, sizes[i].key, 1, &other, error);
        if (!status && other && published && json_is_number(json_object_get(file->root, sizes[i].published)) &&
            other != *sizes[i].value)
            return sx_fail(error, SX_E_FORMAT, "%s: %s is %u, but %s is %u", file->path, sizes[i].published, *sizes[i].value,
                           sizes[i].key, other);
        if (other)
            *sizes[i].value = other;
    }
    a->rope_theta = published ? 10000.0f : 1000.0f;
    if (status || (status = sx_read_head_size(file, "hidden_size", "num_attention_heads", a, error)) ||
        (status = sx_read_epsilon(file, published ? "layer_norm_epsilon" : "layer_norm_eps", published ? 1e-5 : 1e-12, a,
                                  error)) ||
        (status = sx_read_rope(file, published ? "rotary_emb_base" : "rope_theta", NULL, arena, &a->rope_theta, &a->rope_scale,
                               error)))
        return status;
    status = published ? read_switches(file, arena, a, error)
                       : sx_read_activation(file, "hidden_act", "silu", arena, &a->activation, error);
    if (status || (!published && (status = sx_config_size(file, "head_dim", 1, &a->head_size, error))))
        return status;
    a->output_bias = a->mixed_bias;
    a->embedding_size = a->hidden_size;
    a->key_heads = a->heads;
    sx_limit_longest(a, positions);
    a->attention_scale = (float)(1.0 / sqrt((double)a->head_size));
    a->placement = SX_NORM_AFTER;
    a->embedding_norm = a->norm_bias = true;
    a->gated = true;
    return SX_OK;
}
