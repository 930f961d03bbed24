/* family.c - the table of families: by which names each publishes its tensors. */
#include "family.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* BERT and those that kept its names. */
#define BERT_NAMES                                                                                                            \
    .words = "embeddings.word_embeddings", .positions = "embeddings.position_embeddings",                                     \
    .token_types = "embeddings.token_type_embeddings", .embedding_norm = "embeddings.LayerNorm",                              \
    .embedding_projection = "embeddings_project", .layer = "encoder.layer.%u.", .query = "attention.self.query",              \
    .key = "attention.self.key", .value = "attention.self.value", .attention_output = "attention.output.dense",               \
    .attention_norm = "attention.output.LayerNorm", .up = "intermediate.dense", .down = "output.dense",                       \
    .feed_forward_norm = "output.LayerNorm"

static const sx_tensor_names bert_names = {.prefixes = {"", "bert."}, BERT_NAMES};
static const sx_tensor_names roberta_names = {.prefixes = {"", "roberta."}, BERT_NAMES};
static const sx_tensor_names electra_names = {.prefixes = {"", "electra."}, BERT_NAMES};

static const sx_tensor_names mpnet_names = {
    .prefixes = {"", "mpnet."},
    .words = "embeddings.word_embeddings",
    .positions = "embeddings.position_embeddings",
    .embedding_norm = "embeddings.LayerNorm",
    .layer = "encoder.layer.%u.",
    .query = "attention.attn.q",
    .key = "attention.attn.k",
    .value = "attention.attn.v",
    .attention_output = "attention.attn.o",
    .attention_norm = "attention.LayerNorm",
    .up = "intermediate.dense",
    .down = "output.dense",
    .feed_forward_norm = "output.LayerNorm",
    .relative_bias = "encoder.relative_attention_bias",
};

static const sx_tensor_names distilbert_names = {
    .prefixes = {"", "distilbert."},
    .words = "embeddings.word_embeddings",
    .positions = "embeddings.position_embeddings",
    .embedding_norm = "embeddings.LayerNorm",
    .layer = "transformer.layer.%u.",
    .query = "attention.q_lin",
    .key = "attention.k_lin",
    .value = "attention.v_lin",
    .attention_output = "attention.out_lin",
    .attention_norm = "sa_layer_norm",
    .up = "ffn.lin1",
    .down = "ffn.lin2",
    .feed_forward_norm = "output_layer_norm",
};

static const sx_tensor_names albert_names = {
    .prefixes = {"", "albert."},
    .words = "embeddings.word_embeddings",
    .positions = "embeddings.position_embeddings",
    .token_types = "embeddings.token_type_embeddings",
    .embedding_norm = "embeddings.LayerNorm",
    .embedding_projection = "encoder.embedding_hidden_mapping_in",
    .layer = "encoder.albert_layer_groups.%u.albert_layers.0.",
    .query = "attention.query",
    .key = "attention.key",
    .value = "attention.value",
    .attention_output = "attention.dense",
    .attention_norm = "attention.LayerNorm",
    .up = "ffn",
    .down = "ffn_output",
    .feed_forward_norm = "full_layer_layer_norm",
};

static const sx_tensor_names modernbert_names = {
    .prefixes = {"", "model."},
    .words = "embeddings.tok_embeddings",
    .embedding_norm = "embeddings.norm",
    .layer = "layers.%u.",
    .mixed = "attn.Wqkv",
    .attention_output = "attn.Wo",
    .attention_norm = "attn_norm",
    .gated = "mlp.Wi",
    .down = "mlp.Wo",
    .feed_forward_norm = "mlp_norm",
    .final_norm = "final_norm",
};

/* T5 shares one table of words between encoder and decoder, which is stored under either name. */
#define T5_NAMES(WORDS, UP)                                                                                                   \
    .prefixes = {"", "transformer."}, .words = WORDS, .layer = "encoder.block.%u.", .query = "layer.0.SelfAttention.q",       \
    .key = "layer.0.SelfAttention.k", .value = "layer.0.SelfAttention.v", .attention_output = "layer.0.SelfAttention.o",      \
    .attention_norm = "layer.0.layer_norm", .gate = "layer.1.DenseReluDense.wi_0", .up = "layer.1.DenseReluDense." UP,        \
    .down = "layer.1.DenseReluDense.wo", .feed_forward_norm = "layer.1.layer_norm",                                           \
    .relative_bias = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias", .final_norm = "encoder.final_layer_norm"

static const sx_tensor_names t5_other_names = {T5_NAMES("encoder.embed_tokens", "wi")};
static const sx_tensor_names t5_names = {.other = &t5_other_names, T5_NAMES("shared", "wi")};
static const sx_tensor_names t5_gated_other_names = {T5_NAMES("encoder.embed_tokens", "wi_1")};
const sx_tensor_names sx_t5_gated_names = {.other = &t5_gated_other_names, T5_NAMES("shared", "wi_1")};

/* Llama's names, which Mistral and Qwen kept; query_norm and key_norm came with Qwen 3. */
#define LLAMA_NAMES                                                                                                           \
    .prefixes = {"", "model."}, .words = "embed_tokens", .layer = "layers.%u.", .query = "self_attn.q_proj",                  \
    .key = "self_attn.k_proj", .value = "self_attn.v_proj", .query_norm = "self_attn.q_norm",                                 \
    .key_norm = "self_attn.k_norm", .attention_output = "self_attn.o_proj", .attention_norm = "input_layernorm",              \
    .gate = "mlp.gate_proj", .up = "mlp.up_proj", .down = "mlp.down_proj", .final_norm = "norm"

static const sx_tensor_names llama_names = {LLAMA_NAMES, .feed_forward_norm = "post_attention_layernorm"};
static const sx_tensor_names gemma3_names = {
    LLAMA_NAMES,
    .attention_after_norm = "post_attention_layernorm",
    .feed_forward_norm = "pre_feedforward_layernorm",
    .feed_forward_after_norm = "post_feedforward_layernorm",
};

static const sx_tensor_names nomic_bert_names = {
    .prefixes = {"", "bert.", "nomic_bert."},
    .words = "embeddings.word_embeddings",
    .token_types = "embeddings.token_type_embeddings",
    .embedding_norm = "emb_ln",
    .layer = "encoder.layers.%u.",
    .mixed = "attn.Wqkv",
    .attention_output = "attn.out_proj",
    .attention_norm = "norm1",
    .gate = "mlp.fc12",
    .up = "mlp.fc11",
    .down = "mlp.fc2",
    .feed_forward_norm = "norm2",
};

static const sx_family families[] = {
    {"albert", sx_read_albert_config, &albert_names},
    {"bert", sx_read_bert_config, &bert_names},
    {"camembert", sx_read_roberta_config, &roberta_names},
    {"distilbert", sx_read_distilbert_config, &distilbert_names},
    {"electra", sx_read_electra_config, &electra_names},
    {"gemma3_text", sx_read_gemma3_config, &gemma3_names},
    {"llama", sx_read_llama_config, &llama_names},
    {"mistral", sx_read_mistral_config, &llama_names},
    {"modernbert", sx_read_modernbert_config, &modernbert_names},
    {"mpnet", sx_read_mpnet_config, &mpnet_names},
    {"nomic_bert", sx_read_nomic_bert_config, &nomic_bert_names},
    {"qwen2", sx_read_qwen2_config, &llama_names},
    {"qwen3", sx_read_qwen3_config, &llama_names},
    {"roberta", sx_read_roberta_config, &roberta_names},
    {"t5", sx_read_t5_config, &t5_names},
    {"xlm-roberta", sx_read_roberta_config, &roberta_names},
};

const sx_family *sx_family_find(const char *model_type)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(model_type, families[i].model_type) == 0)
            return &families[i];
    return NULL;
}

void sx_family_list(char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof families / sizeof *families && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", families[i].model_type);
}
