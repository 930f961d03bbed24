/* family_rotary.c - configurations of families with rotary positions: ModernBERT, and those that began as decoders.
 *
 * Defaults are those of transformers' configuration classes; fields are understood as its versions 4 and 5 write them.
 */
#include "family_fields.h"

#include "../base/error.h"

#include <math.h>

enum { ROPE_DEFAULT = 10000 };

static sx_status allocate_windows(sx_arena *arena, uint32_t layers, bool **windowed, sx_error *error)
{
    *windowed = sx_arena_alloc(arena, layers * sizeof **windowed);
    return *windowed ? SX_OK : sx_fail_nomem(error, layers * sizeof **windowed);
}

sx_status sx_read_modernbert_config(const sx_config_file *file, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    uint32_t positions, local = 0, every = 0;
    const sx_size_field sizes[] = {
        {"num_hidden_layers", &a->layers, 22},
        {"num_attention_heads", &a->heads, 12},
        {"hidden_size", &a->hidden_size, 768},
        {"intermediate_size", &a->intermediate_size, 1152},
        {"vocab_size", &a->vocabulary_size, 50368},
        {"max_position_embeddings", &positions, 8192},
        {"local_attention", &local, 128},
        {"global_attn_every_n_layers", &every, 3},
    };
    bool *windowed;
    sx_status status;
    a->rope_theta = 160000.0f;
    a->rope_local_theta = ROPE_DEFAULT;
    if ((status = sx_read_sizes(file, sizes, sizeof sizes / sizeof *sizes, error)) ||
        (status = sx_read_head_size(file, "hidden_size", "num_attention_heads", a, error)) ||
        (status = sx_read_activation(file, "hidden_activation", "gelu", arena, &a->activation, error)) ||
        (status = sx_read_epsilon(file, "norm_eps", 1e-5, a, error)) ||
        (status = sx_config_flag(file, "attention_bias", &a->mixed_bias, error)) ||
        (status = sx_config_flag(file, "mlp_bias", &a->feed_forward_bias, error)) ||
        (status = sx_config_flag(file, "norm_bias", &a->norm_bias, error)) ||
        (status = sx_expect_null(file, "rope_scaling", error)) ||
        (status = sx_read_rope(file, "global_rope_theta", "full_attention", arena, &a->rope_theta, &a->rope_scale, error)) ||
        (status = sx_read_rope(file, "local_rope_theta", "sliding_attention", arena, &a->rope_local_theta, NULL, error)) ||
        (status = allocate_windows(arena, a->layers, &windowed, error)))
        return status;
    for (uint32_t i = 0; i < a->layers; i++)
        windowed[i] = i % every != 0;
    if ((status = sx_read_layer_types(file, windowed, a->layers, error)))
        return status;
    a->windowed = windowed;
    a->window = local / 2;
    a->output_bias = a->mixed_bias;
    a->embedding_size = a->hidden_size;
    a->key_heads = a->heads;
    sx_limit_longest(a, positions);
    a->attention_scale = (float)(1.0 / sqrt((double)a->head_size));
    a->placement = SX_NORM_BEFORE;
    a->embedding_norm = a->final_norm = true;
    a->first_attention_norm = false;
    a->gated = true;
    return SX_OK;
}

/* What differs among the families that began as decoders. */
typedef struct decoder_defaults {
    uint32_t layers, heads, key_heads, hidden_size, intermediate_size, vocabulary_size, positions;
    uint32_t head_size;        /* 0: hidden_size / heads */
    const char *activation_key, *activation;
    float rope_theta;
} decoder_defaults;

static sx_status read_decoder(const sx_config_file *file, sx_arena *arena, const decoder_defaults *defaults, sx_architecture *a,
                              sx_error *error)
{
    uint32_t positions;
    const sx_size_field sizes[] = {
        {"num_hidden_layers", &a->layers, defaults->layers},
        {"num_attention_heads", &a->heads, defaults->heads},
        {"num_key_value_heads", &a->key_heads, defaults->key_heads},
        {"head_dim", &a->head_size, defaults->head_size},
        {"hidden_size", &a->hidden_size, defaults->hidden_size},
        {"intermediate_size", &a->intermediate_size, defaults->intermediate_size},
        {"vocab_size", &a->vocabulary_size, defaults->vocabulary_size},
        {"max_position_embeddings", &positions, defaults->positions},
    };
    sx_status status;
    json_t *key_heads = json_object_get(file->root, "num_key_value_heads");
    a->causal = true;
    a->rope_theta = defaults->rope_theta;
    if ((status = sx_read_sizes(file, sizes, sizeof sizes / sizeof *sizes, error)) ||
        (!a->head_size && (status = sx_read_head_size(file, "hidden_size", "num_attention_heads", a, error))) ||
        (status = sx_read_activation(file, defaults->activation_key, defaults->activation, arena, &a->activation, error)) ||
        (status = sx_read_epsilon(file, "rms_norm_eps", 1e-6, a, error)) ||
        (status = sx_config_flag(file, "is_causal", &a->causal, error)))
        return status;
    if (!a->key_heads || json_is_null(key_heads))
        a->key_heads = a->heads;
    a->embedding_size = a->hidden_size;
    sx_limit_longest(a, positions);
    a->attention_scale = (float)(1.0 / sqrt((double)a->head_size));
    a->placement = SX_NORM_BEFORE;
    a->rms = true;
    a->final_norm = true;
    a->gated = true;
    return SX_OK;
}

/* One kind of rotary positions for all layers. */
static sx_status read_one_rope(const sx_config_file *file, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    return sx_read_rope(file, "rope_theta", "full_attention", arena, &a->rope_theta, &a->rope_scale, error);
}

/* A window of `size` keys with the query's own as the last; without causality as many on each side. */
static void set_window(sx_architecture *a, const bool *windowed, uint32_t size)
{
    a->windowed = windowed;
    a->window = a->causal ? size - 1 : size;
}

sx_status sx_read_llama_config(const sx_config_file *file, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    static const decoder_defaults defaults = {32, 32, 0, 4096, 11008, 32000, 2048, 0, "hidden_act", "silu", ROPE_DEFAULT};
    sx_status status = read_decoder(file, arena, &defaults, a, error);
    if (status || (status = read_one_rope(file, arena, a, error)) ||
        (status = sx_config_flag(file, "attention_bias", &a->mixed_bias, error)) ||
        (status = sx_config_flag(file, "mlp_bias", &a->feed_forward_bias, error)))
        return status;
    a->output_bias = a->mixed_bias;
    return SX_OK;
}

sx_status sx_read_mistral_config(const sx_config_file *file, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    static const decoder_defaults defaults = {32, 32, 8, 4096, 14336, 32000, 4096 * 32, 0, "hidden_act", "silu", ROPE_DEFAULT};
    uint32_t window = 4096;
    bool *windowed;
    json_t *field = json_object_get(file->root, "sliding_window");
    sx_status status = read_decoder(file, arena, &defaults, a, error);
    if (status || (status = read_one_rope(file, arena, a, error)) ||
        (status = sx_config_size(file, "sliding_window", 1, &window, error)) || json_is_null(field))
        return status;
    if ((status = allocate_windows(arena, a->layers, &windowed, error)))
        return status;
    for (uint32_t i = 0; i < a->layers; i++)
        windowed[i] = true;
    set_window(a, windowed, window);
    return SX_OK;
}

/* Windows of Qwen: none unless use_sliding_window, then in the layers from max_window_layers on or by layer_types. */
static sx_status read_qwen_windows(const sx_config_file *file, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    uint32_t window = 4096, first = 28;
    bool used = false, *windowed;
    json_t *field = json_object_get(file->root, "sliding_window");
    sx_status status;
    if ((status = sx_config_flag(file, "use_sliding_window", &used, error)) ||
        (status = sx_config_size(file, "sliding_window", 1, &window, error)) ||
        (status = sx_config_size(file, "max_window_layers", 0, &first, error)) ||
        (status = allocate_windows(arena, a->layers, &windowed, error)))
        return status;
    used = used && !json_is_null(field);
    for (uint32_t i = 0; i < a->layers; i++)
        windowed[i] = used && i >= first;
    if ((status = sx_read_layer_types(file, windowed, a->layers, error)))
        return status;
    for (uint32_t i = 0; i < a->layers && !used; i++)
        if (windowed[i])
            return sx_fail(error, SX_E_FORMAT, "%s: layer_types: layer %u has a window, but use_sliding_window is false or "
                           "sliding_window null", file->path, i);
    if (used)
        set_window(a, windowed, window);
    return SX_OK;
}

sx_status sx_read_qwen2_config(const sx_config_file *file, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    static const decoder_defaults defaults = {32, 32, 32, 4096, 22016, 151936, 32768, 0, "hidden_act", "silu", ROPE_DEFAULT};
    sx_status status = read_decoder(file, arena, &defaults, a, error);
    if (status || (status = read_one_rope(file, arena, a, error)))
        return status;
    a->mixed_bias = true;
    return read_qwen_windows(file, arena, a, error);
}

sx_status sx_read_qwen3_config(const sx_config_file *file, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    static const decoder_defaults defaults = {32, 32, 32, 4096, 22016, 151936, 32768, 128, "hidden_act", "silu", ROPE_DEFAULT};
    sx_status status = read_decoder(file, arena, &defaults, a, error);
    if (status || (status = read_one_rope(file, arena, a, error)) ||
        (status = sx_config_flag(file, "attention_bias", &a->mixed_bias, error)))
        return status;
    a->output_bias = a->mixed_bias;
    a->head_norms = true;
    return read_qwen_windows(file, arena, a, error);
}

/* Gemma 3: norms on both sides of a block, weights of norms counted from 1. With use_bidirectional_attention, as in
 * EmbeddingGemma, every query sees keys on both sides, in windows those nearer than sliding_window / 2 + 1. */
sx_status sx_read_gemma3_config(const sx_config_file *file, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    static const decoder_defaults defaults = {26,  8,   4,   2304, 9216, 262208, 131072,
                                              256, "hidden_activation", "gelu_pytorch_tanh", 1000000.0f};
    uint32_t window = 4096, pattern = 6;
    double scalar = 256.0;
    bool both_sides = false, *windowed;
    sx_status status = read_decoder(file, arena, &defaults, a, error);
    a->rope_local_theta = ROPE_DEFAULT;
    if (status ||
        (status = sx_read_rope(file, "rope_theta", "full_attention", arena, &a->rope_theta, &a->rope_scale, error)) ||
        (status = sx_read_rope(file, "rope_local_base_freq", "sliding_attention", arena, &a->rope_local_theta, NULL, error)) ||
        (status = sx_config_flag(file, "attention_bias", &a->mixed_bias, error)) ||
        (status = sx_config_flag(file, "use_bidirectional_attention", &both_sides, error)) ||
        (status = sx_expect_null(file, "attn_logit_softcapping", error)) ||
        (status = sx_config_real(file, "query_pre_attn_scalar", 1e-6, 1e9, &scalar, error)) ||
        (status = sx_config_size(file, "sliding_window", 1, &window, error)) ||
        (status = sx_config_size(file, "_sliding_window_pattern", 1, &pattern, error)) ||
        (status = sx_config_size(file, "sliding_window_pattern", 1, &pattern, error)) ||
        (status = allocate_windows(arena, a->layers, &windowed, error)))
        return status;
    for (uint32_t i = 0; i < a->layers; i++)
        windowed[i] = (i + 1) % pattern != 0;
    if ((status = sx_read_layer_types(file, windowed, a->layers, error)))
        return status;
    if (both_sides) {
        a->causal = false;
        window /= 2;
    }
    set_window(a, windowed, window);
    a->output_bias = a->mixed_bias;
    a->attention_scale = (float)(1.0 / sqrt(scalar));
    a->head_norms = true;
    a->placement = SX_NORM_AROUND;
    a->norm_weight_offset = 1.0f;
    a->embedding_scale = (float)sqrt((double)a->hidden_size);
    return SX_OK;
}
