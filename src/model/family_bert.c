/* family_bert.c - configurations of BERT and the families that changed little: learned positions or relative ones.
 *
 * Defaults are those of transformers' configuration classes. What a field may say without changing the vectors is passed over;
 * what would change them and is not done here is refused with field and value.
 */
#include "family_fields.h"

#include "../base/error.h"

#include <math.h>
#include <string.h>

static float inverse_root(uint32_t size)
{
    return (float)(1.0 / sqrt((double)size));
}

/* All products and norms have biases, norms stand after the residual, Q . K is divided by the root of the head size. */
static sx_status finish_bert(const sx_config_file *file, const char *hidden_key, const char *heads_key, sx_architecture *a,
                             sx_error *error)
{
    sx_status status = sx_read_head_size(file, hidden_key, heads_key, a, error);
    if (status)
        return status;
    if (a->first_position >= a->positions)
        return sx_fail(error, SX_E_FORMAT, "%s: max_position_embeddings: %u leaves no room behind pad_token_id %u", file->path,
                       a->positions, a->first_position - 1);
    if (!a->embedding_size)
        a->embedding_size = a->hidden_size;
    a->key_heads = a->heads;
    sx_limit_longest(a, a->positions - a->first_position);
    a->attention_scale = inverse_root(a->head_size);
    a->placement = SX_NORM_AFTER;
    a->embedding_norm = true;
    a->mixed_bias = a->output_bias = a->feed_forward_bias = a->norm_bias = true;
    return SX_OK;
}

sx_status sx_read_bert_config(const sx_config_file *file, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    uint32_t vocabulary = strcmp(a->family, "roberta") == 0 ? 50265 : 30522;
    const sx_size_field sizes[] = {
        {"num_hidden_layers", &a->layers, 12},
        {"num_attention_heads", &a->heads, 12},
        {"hidden_size", &a->hidden_size, 768},
        {"intermediate_size", &a->intermediate_size, 3072},
        {"vocab_size", &a->vocabulary_size, vocabulary},
        {"max_position_embeddings", &a->positions, 512},
        {"type_vocab_size", &a->token_types, 2},
    };
    sx_status status;
    if ((status = sx_read_sizes(file, sizes, sizeof sizes / sizeof *sizes, error)) ||
        (status = sx_read_activation(file, "hidden_act", "gelu", arena, &a->activation, error)) ||
        (status = sx_read_epsilon(file, "layer_norm_eps", 1e-12, a, error)) ||
        (status = sx_expect_text(file, "position_embedding_type", arena, "absolute", error)) ||
        (status = sx_expect_flag(file, "is_decoder", false, error)))
        return status;
    return finish_bert(file, "hidden_size", "num_attention_heads", a, error);
}

/* Positions are counted from behind padding_idx, and padding in a text stays there. */
static void count_from_padding(sx_architecture *a, uint32_t padding)
{
    a->first_position = padding + 1;
    a->skip_padding = true;
    a->padding_id = padding;
}

sx_status sx_read_roberta_config(const sx_config_file *file, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    uint32_t padding = 1;
    sx_status status = sx_config_size(file, "pad_token_id", 0, &padding, error);
    if (status)
        return status;
    count_from_padding(a, padding);
    return sx_read_bert_config(file, arena, a, error);
}

sx_status sx_read_electra_config(const sx_config_file *file, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    const sx_size_field sizes[] = {
        {"num_hidden_layers", &a->layers, 12},
        {"num_attention_heads", &a->heads, 4},
        {"hidden_size", &a->hidden_size, 256},
        {"embedding_size", &a->embedding_size, 128},
        {"intermediate_size", &a->intermediate_size, 1024},
        {"vocab_size", &a->vocabulary_size, 30522},
        {"max_position_embeddings", &a->positions, 512},
        {"type_vocab_size", &a->token_types, 2},
    };
    sx_status status;
    if ((status = sx_read_sizes(file, sizes, sizeof sizes / sizeof *sizes, error)) ||
        (status = sx_read_activation(file, "hidden_act", "gelu", arena, &a->activation, error)) ||
        (status = sx_read_epsilon(file, "layer_norm_eps", 1e-12, a, error)) ||
        (status = sx_expect_text(file, "position_embedding_type", arena, "absolute", error)) ||
        (status = sx_expect_flag(file, "is_decoder", false, error)))
        return status;
    a->embedding_projection = a->embedding_size != a->hidden_size;
    return finish_bert(file, "hidden_size", "num_attention_heads", a, error);
}

sx_status sx_read_albert_config(const sx_config_file *file, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    const sx_size_field sizes[] = {
        {"num_hidden_layers", &a->layers, 12},
        {"num_hidden_groups", &a->tied_layers, 1},
        {"num_attention_heads", &a->heads, 64},
        {"hidden_size", &a->hidden_size, 4096},
        {"embedding_size", &a->embedding_size, 128},
        {"intermediate_size", &a->intermediate_size, 16384},
        {"vocab_size", &a->vocabulary_size, 30000},
        {"max_position_embeddings", &a->positions, 512},
        {"type_vocab_size", &a->token_types, 2},
    };
    sx_status status;
    if ((status = sx_read_sizes(file, sizes, sizeof sizes / sizeof *sizes, error)) ||
        (status = sx_read_activation(file, "hidden_act", "gelu_new", arena, &a->activation, error)) ||
        (status = sx_read_epsilon(file, "layer_norm_eps", 1e-12, a, error)) ||
        (status = sx_expect_number(file, "inner_group_num", 1.0, error)) ||
        (status = sx_expect_text(file, "position_embedding_type", arena, "absolute", error)))
        return status;
    if (a->tied_layers > a->layers)
        return sx_fail(error, SX_E_FORMAT, "%s: num_hidden_groups: %u, but num_hidden_layers is %u", file->path, a->tied_layers,
                       a->layers);
    a->embedding_projection = true;
    return finish_bert(file, "hidden_size", "num_attention_heads", a, error);
}

sx_status sx_read_distilbert_config(const sx_config_file *file, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    const sx_size_field sizes[] = {
        {"n_layers", &a->layers, 6},
        {"n_heads", &a->heads, 12},
        {"dim", &a->hidden_size, 768},
        {"hidden_dim", &a->intermediate_size, 3072},
        {"vocab_size", &a->vocabulary_size, 30522},
        {"max_position_embeddings", &a->positions, 512},
    };
    sx_status status;
    if ((status = sx_read_sizes(file, sizes, sizeof sizes / sizeof *sizes, error)) ||
        (status = sx_read_activation(file, "activation", "gelu", arena, &a->activation, error)))
        return status;
    a->norm_epsilon = 1e-12f; /* by the code of the model */
    return finish_bert(file, "dim", "n_heads", a, error);
}

/* transformers' MPNet has padding_idx 1 and 32 buckets up to a distance of 128, whatever the configuration says; only the size
 * of the table comes from there. */
sx_status sx_read_mpnet_config(const sx_config_file *file, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    const sx_size_field sizes[] = {
        {"num_hidden_layers", &a->layers, 12},
        {"num_attention_heads", &a->heads, 12},
        {"hidden_size", &a->hidden_size, 768},
        {"intermediate_size", &a->intermediate_size, 3072},
        {"vocab_size", &a->vocabulary_size, 30527},
        {"max_position_embeddings", &a->positions, 512},
    };
    sx_status status;
    if ((status = sx_read_sizes(file, sizes, sizeof sizes / sizeof *sizes, error)) ||
        (status = sx_read_activation(file, "hidden_act", "gelu", arena, &a->activation, error)) ||
        (status = sx_read_epsilon(file, "layer_norm_eps", 1e-12, a, error)) ||
        (status = sx_expect_number(file, "relative_attention_num_buckets", 32.0, error)))
        return status;
    a->relative_buckets = 32;
    a->relative_distance = 128;
    count_from_padding(a, 1);
    return finish_bert(file, "hidden_size", "num_attention_heads", a, error);
}

/* "relu", "gated-gelu": the activation, and whether its result is a factor. */
static sx_status read_feed_forward(const sx_config_file *file, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    const char *key = "feed_forward_proj", *kind = "relu";
    sx_status status = sx_config_string(file, key, arena, &kind, error);
    if (status)
        return status;
    if (strcmp(kind, "gated-gelu") == 0)
        kind = "gated-gelu_new"; /* as transformers takes it */
    a->gated = strncmp(kind, "gated-", 6) == 0;
    if (a->gated)
        a->names = &sx_t5_gated_names;
    return sx_activation_of_name(file, key, a->gated ? kind + 6 : kind, &a->activation, error);
}

sx_status sx_read_t5_config(const sx_config_file *file, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    const sx_size_field sizes[] = {
        {"num_layers", &a->layers, 6},
        {"num_heads", &a->heads, 8},
        {"d_model", &a->hidden_size, 512},
        {"d_kv", &a->head_size, 64},
        {"d_ff", &a->intermediate_size, 2048},
        {"vocab_size", &a->vocabulary_size, 32128},
        {"relative_attention_num_buckets", &a->relative_buckets, 32},
        {"relative_attention_max_distance", &a->relative_distance, 128},
    };
    sx_status status;
    if ((status = sx_read_sizes(file, sizes, sizeof sizes / sizeof *sizes, error)) ||
        (status = read_feed_forward(file, arena, a, error)) ||
        (status = sx_read_epsilon(file, "layer_norm_epsilon", 1e-6, a, error)) ||
        (status = sx_expect_flag(file, "is_decoder", false, error)))
        return status;
    a->embedding_size = a->hidden_size;
    a->key_heads = a->heads;
    sx_limit_longest(a, SX_LONGEST_TEXT);
    a->attention_scale = 1.0f;
    a->placement = SX_NORM_BEFORE;
    a->rms = true;
    a->final_norm = true;
    return SX_OK;
}
