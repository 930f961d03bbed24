/* family_fields.h - what the readers of families' configurations share. */
#ifndef SX_MODEL_FAMILY_FIELDS_H
#define SX_MODEL_FAMILY_FIELDS_H

#include "family.h"

typedef struct sx_size_field {
    const char *key;
    uint32_t *value, initial;
} sx_size_field;

/* Whole numbers of at least 1. */
sx_status sx_read_sizes(const sx_config_file *file, const sx_size_field *fields, size_t count, sx_error *error);
/* head_size from hidden_size and heads, which are named as the config does. */
sx_status sx_read_head_size(const sx_config_file *file, const char *hidden_key, const char *heads_key,
                            sx_architecture *architecture, sx_error *error);
/* `initial` is a name, too. */
sx_status sx_read_activation(const sx_config_file *file, const char *key, const char *initial, sx_arena *arena,
                             sx_activation *activation, sx_error *error);
sx_status sx_activation_of_name(const sx_config_file *file, const char *key, const char *name, sx_activation *activation,
                                sx_error *error);
sx_status sx_read_epsilon(const sx_config_file *file, const char *key, double initial, sx_architecture *architecture,
                          sx_error *error);

/* Fields that may only say what is done anyway; SX_E_UNSUPPORTED names field and value. */
sx_status sx_expect_flag(const sx_config_file *file, const char *key, bool expected, sx_error *error);
sx_status sx_expect_text(const sx_config_file *file, const char *key, sx_arena *arena, const char *expected, sx_error *error);
sx_status sx_expect_number(const sx_config_file *file, const char *key, double expected, sx_error *error);
sx_status sx_expect_null(const sx_config_file *file, const char *key, sx_error *error);

/* Tokens a text may have where positions are computed. */
void sx_limit_longest(sx_architecture *architecture, uint32_t positions);

/* Rotary positions, in the fields of transformers 4 (theta_key, rope_scaling) or of 5 (rope_parameters, with `section` in it
 * where layers differ). scale NULL: no scaling is understood. */
sx_status sx_read_rope(const sx_config_file *file, const char *theta_key, const char *section, sx_arena *arena, float *theta,
                       float *scale, sx_error *error);
/* layer_types into windowed, which is already filled for configs that have none. */
sx_status sx_read_layer_types(const sx_config_file *file, bool *windowed, uint32_t layers, sx_error *error);

#endif
