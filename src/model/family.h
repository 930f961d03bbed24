/* family.h - the families of models by the model_type of their config.json: where their tensors are called what, and who reads
 * their configuration.
 */
#ifndef SX_MODEL_FAMILY_H
#define SX_MODEL_FAMILY_H

#include "architecture.h"
#include "config_file.h"

/* Fills in what the family's config.json says; family and names are set already. */
typedef sx_status sx_family_reader(const sx_config_file *file, sx_arena *arena, sx_architecture *architecture, sx_error *error);

typedef struct sx_family {
    const char *model_type;
    sx_family_reader *read;
    sx_tensor_names names;
} sx_family;

/* NULL for a model_type that is not supported. */
const sx_family *sx_family_find(const char *model_type);
/* The supported ones, with commas, cut where the space ends. */
void sx_family_list(char *text, size_t size);

/* family_config.c */
sx_family_reader sx_read_bert_config;

#endif
