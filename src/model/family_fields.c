/* family_fields.c - reading fields that configurations of several families have. */
#include "family_fields.h"

#include "../base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

sx_status sx_read_sizes(const sx_config_file *file, const sx_size_field *fields, size_t count, sx_error *error)
{
    sx_status status = SX_OK;
    for (size_t i = 0; i < count && !status; i++) {
        *fields[i].value = fields[i].initial;
        status = sx_config_size(file, fields[i].key, 1, fields[i].value, error);
    }
    return status;
}

sx_status sx_read_head_size(const sx_config_file *file, const char *hidden_key, const char *heads_key, sx_architecture *a,
                            sx_error *error)
{
    if (a->hidden_size % a->heads)
        return sx_fail(error, SX_E_FORMAT, "%s: %s %u is no multiple of %s %u", file->path, hidden_key, a->hidden_size, heads_key,
                       a->heads);
    a->head_size = a->hidden_size / a->heads;
    return SX_OK;
}

sx_status sx_activation_of_name(const sx_config_file *file, const char *key, const char *name, sx_activation *activation,
                                sx_error *error)
{
    static const struct {
        const char *name;
        sx_activation activation;
    } known[] = {
        {"gelu", SX_ACTIVATION_GELU},
        {"gelu_python", SX_ACTIVATION_GELU},
        {"gelu_new", SX_ACTIVATION_GELU_TANH},
        {"gelu_fast", SX_ACTIVATION_GELU_TANH},
        {"gelu_pytorch_tanh", SX_ACTIVATION_GELU_TANH},
        {"gelu_python_tanh", SX_ACTIVATION_GELU_TANH},
        {"relu", SX_ACTIVATION_RELU},
        {"silu", SX_ACTIVATION_SILU},
        {"swish", SX_ACTIVATION_SILU},
        {"tanh", SX_ACTIVATION_TANH},
        {"sigmoid", SX_ACTIVATION_SIGMOID},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name) == 0) {
            *activation = known[i].activation;
            return SX_OK;
        }
    }
    return sx_fail(error, SX_E_UNSUPPORTED, "%s: %s: \"%s\" is not supported", file->path, key, name);
}

sx_status sx_read_activation(const sx_config_file *file, const char *key, const char *initial, sx_arena *arena,
                             sx_activation *activation, sx_error *error)
{
    sx_status status = sx_config_string(file, key, arena, &initial, error);
    return status ? status : sx_activation_of_name(file, key, initial, activation, error);
}

sx_status sx_read_epsilon(const sx_config_file *file, const char *key, double initial, sx_architecture *a, sx_error *error)
{
    sx_status status = sx_config_real(file, key, 0.0, 1.0, &initial, error);
    a->norm_epsilon = (float)initial;
    return status;
}

/* ---- Fields that may say one thing only ---- */

sx_status sx_expect_flag(const sx_config_file *file, const char *key, bool expected, sx_error *error)
{
    bool value = expected;
    sx_status status = sx_config_flag(file, key, &value, error);
    if (status || value == expected)
        return status;
    return sx_fail(error, SX_E_UNSUPPORTED, "%s: %s: %s is not supported", file->path, key, value ? "true" : "false");
}

sx_status sx_expect_text(const sx_config_file *file, const char *key, sx_arena *arena, const char *expected, sx_error *error)
{
    const char *value = expected;
    sx_status status = sx_config_string(file, key, arena, &value, error);
    if (status || strcmp(value, expected) == 0)
        return status;
    return sx_fail(error, SX_E_UNSUPPORTED, "%s: %s: \"%s\" is not supported", file->path, key, value);
}

sx_status sx_expect_number(const sx_config_file *file, const char *key, double expected, sx_error *error)
{
    double value = expected;
    sx_status status = sx_config_real(file, key, -1e30, 1e30, &value, error);
    if (status || value == expected)
        return status;
    return sx_fail(error, SX_E_UNSUPPORTED, "%s: %s: %g is not supported", file->path, key, value);
}

sx_status sx_expect_null(const sx_config_file *file, const char *key, sx_error *error)
{
    json_t *field = json_object_get(file->root, key);
    if (!field || json_is_null(field))
        return SX_OK;
    char *value = json_dumps(field, JSON_ENCODE_ANY | JSON_COMPACT);
    sx_status status = sx_fail(error, SX_E_UNSUPPORTED, "%s: %s: %.200s is not supported", file->path, key, value ? value : "");
    free(value);
    return status;
}

void sx_limit_longest(sx_architecture *a, uint32_t positions)
{
    a->longest = positions < SX_LONGEST_TEXT ? positions : SX_LONGEST_TEXT;
}

/* ---- Rotary positions ---- */

/* An object of rotary parameters: which kind of scaling, by how much, and the base. */
static sx_status read_rope_object(const sx_config_file *file, sx_arena *arena, double *theta, double *scale, bool scaling,
                                  sx_error *error)
{
    const char *type = "default";
    sx_status status = sx_config_string(file, "type", arena, &type, error);
    if (!status)
        status = sx_config_string(file, "rope_type", arena, &type, error);
    if (!status)
        status = sx_config_real(file, "rope_theta", 1.0, 1e12, theta, error);
    if (!status)
        status = sx_expect_number(file, "partial_rotary_factor", 1.0, error);
    if (status || strcmp(type, "default") == 0)
        return status;
    if (strcmp(type, "linear") == 0 && scaling)
        return sx_config_real(file, "factor", 1.0, 1e6, scale, error);
    return sx_fail(error, SX_E_UNSUPPORTED, "%s: rope_type: \"%s\" is not supported", file->path, type);
}

static sx_status read_rope_part(const sx_config_file *file, const char *key, const char *section, sx_arena *arena, double *theta,
                                double *scale, bool scaling, sx_error *error)
{
    char where[1024];
    json_t *field = json_object_get(file->root, key), *inner;
    if (!field || json_is_null(field))
        return SX_OK;
    if (!json_is_object(field))
        return sx_config_wrong_type(file, key, "an object or null", error);
    inner = section ? json_object_get(field, section) : NULL;
    if (section && !inner && (json_object_get(field, "full_attention") || json_object_get(field, "sliding_attention")))
        return SX_OK;
    if (inner && json_is_null(inner))
        return SX_OK;
    if (inner && !json_is_object(inner))
        return sx_config_wrong_type(file, key, "objects", error);
    snprintf(where, sizeof where, "%s: %s%s%s", file->path, key, inner ? ": " : "", inner ? section : "");
    sx_config_file part = {.path = where, .root = inner ? inner : field};
    return read_rope_object(&part, arena, theta, scale, scaling, error);
}

sx_status sx_read_rope(const sx_config_file *file, const char *theta_key, const char *section, sx_arena *arena, float *theta,
                       float *scale, sx_error *error)
{
    double base = *theta, factor = 1.0;
    sx_status status = sx_config_real(file, theta_key, 1.0, 1e12, &base, error);
    if (!status)
        status = read_rope_part(file, "rope_parameters", section, arena, &base, &factor, scale != NULL, error);
    /* scale NULL is asked for the layers that transformers 4 never scales; its rope_scaling is checked with the others */
    if (!status && scale)
        status = read_rope_part(file, "rope_scaling", NULL, arena, &base, &factor, true, error);
    if (!status)
        status = sx_expect_number(file, "partial_rotary_factor", 1.0, error);
    *theta = (float)base;
    if (scale)
        *scale = (float)factor;
    return status;
}

sx_status sx_read_layer_types(const sx_config_file *file, bool *windowed, uint32_t layers, sx_error *error)
{
    json_t *types = json_object_get(file->root, "layer_types");
    if (!types || json_is_null(types))
        return SX_OK;
    if (!json_is_array(types))
        return sx_config_wrong_type(file, "layer_types", "a list", error);
    if (json_array_size(types) != layers)
        return sx_fail(error, SX_E_FORMAT, "%s: layer_types: %zu entries, but num_hidden_layers is %u", file->path,
                       json_array_size(types), layers);
    for (uint32_t i = 0; i < layers; i++) {
        const char *type = json_string_value(json_array_get(types, i));
        if (!type)
            return sx_config_wrong_type(file, "layer_types", "strings", error);
        windowed[i] = strcmp(type, "sliding_attention") == 0;
        if (!windowed[i] && strcmp(type, "full_attention") != 0)
            return sx_fail(error, SX_E_UNSUPPORTED, "%s: layer_types: \"%s\" is not supported", file->path, type);
    }
    return SX_OK;
}
