/* family.h - the families of models by the model_type of their config.json: who reads their configuration, and where their
 * tensors are called what.
 */
#ifndef SX_MODEL_FAMILY_H
#define SX_MODEL_FAMILY_H

#include "architecture.h"
#include "config_file.h"

/* Fills in what the family's config.json says. family and names are set already,
 * and what most have: rope_scale and embedding_scale 1, first_attention_norm. */
typedef sx_status sx_family_reader(const sx_config_file *file, sx_arena *arena, sx_architecture *architecture, sx_error *error);

typedef struct sx_family {
    const char *model_type;
    sx_family_reader *read;
    const sx_tensor_names *names;
} sx_family;

/* NULL for a model_type that is not supported. */
const sx_family *sx_family_find(const char *model_type);
/* The supported ones, with commas, cut where the space ends. */
void sx_family_list(char *text, size_t size);

extern const sx_tensor_names sx_t5_gated_names;

/* family_bert.c */
sx_family_reader sx_read_bert_config, sx_read_roberta_config, sx_read_electra_config, sx_read_mpnet_config,
    sx_read_distilbert_config, sx_read_albert_config, sx_read_t5_config;
/* family_rotary.c */
sx_family_reader sx_read_modernbert_config, sx_read_llama_config, sx_read_mistral_config, sx_read_qwen2_config,
    sx_read_qwen3_config, sx_read_gemma3_config;
/* family_nomic.c */
sx_family_reader sx_read_nomic_bert_config;

#endif
