/* config_file.c - reading configuration files of a few kilobytes with jansson, field by field.
 *
 * All numbers are read as reals: transformers writes 10^30 as a whole number where it means "no limit".
 */
#include "config_file.h"

#include "../base/error.h"
#include "../base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_MAX = 16 * 1024 * 1024, SIZE_FIELD_MAX = 1 << 24 };

void sx_config_close(sx_config_file *file)
{
    json_decref(file->root);
    free(file->path);
    file->root = NULL;
    file->path = NULL;
}

sx_status sx_config_open(const char *folder, const char *name, json_type type, sx_config_file *file, sx_error *error)
{
    char *data = NULL;
    size_t length;
    json_error_t problem;
    file->root = NULL;
    file->path = sx_path_join(folder, name);
    if (!file->path)
        return sx_fail_nomem(error, strlen(folder) + strlen(name));
    if (!sx_file_exists(file->path))
        return SX_OK;
    sx_status status = sx_file_read(file->path, CONFIG_MAX, &data, &length, NULL, error);
    if (status)
        return status;
    /* as reals: transformers writes 10^30 as a whole number where it means "no limit" */
    file->root = json_loadb(data, length, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &problem);
    free(data);
    if (!file->root)
        return sx_fail(error, SX_E_FORMAT, "%s: line %d: %s", file->path, problem.line, problem.text);
    if (json_typeof(file->root) != type)
        return sx_fail(error, SX_E_FORMAT, "%s: not a JSON %s", file->path, type == JSON_ARRAY ? "array" : "object");
    return SX_OK;
}

sx_status sx_config_wrong_type(const sx_config_file *file, const char *key, const char *expected, sx_error *error)
{
    return sx_fail(error, SX_E_FORMAT, "%s: %s: expected %s", file->path, key, expected);
}

sx_status sx_config_size(const sx_config_file *file, const char *key, uint32_t least, uint32_t *value, sx_error *error)
{
    json_t *field = json_object_get(file->root, key);
    if (!field || json_is_null(field))
        return SX_OK;
    double number = json_number_value(field);
    if (!json_is_number(field) || number != floor(number))
        return sx_config_wrong_type(file, key, "a whole number", error);
    if (number < least || number > SIZE_FIELD_MAX)
        return sx_fail(error, SX_E_FORMAT, "%s: %s: %.0f is not within %u .. %d", file->path, key, number, least, SIZE_FIELD_MAX);
    *value = (uint32_t)number;
    return SX_OK;
}

sx_status sx_config_flag(const sx_config_file *file, const char *key, bool *value, sx_error *error)
{
    json_t *field = json_object_get(file->root, key);
    if (!field || json_is_null(field))
        return SX_OK;
    if (!json_is_boolean(field))
        return sx_config_wrong_type(file, key, "true or false", error);
    *value = json_is_true(field);
    return SX_OK;
}

sx_status sx_config_string(const sx_config_file *file, const char *key, sx_arena *arena, const char **value, sx_error *error)
{
    json_t *field = json_object_get(file->root, key);
    if (!field || json_is_null(field))
        return SX_OK;
    if (!json_is_string(field))
        return sx_config_wrong_type(file, key, "a string", error);
    char *copy = sx_arena_strndup(arena, json_string_value(field), json_string_length(field));
    if (!copy)
        return sx_fail_nomem(error, json_string_length(field));
    *value = copy;
    return SX_OK;
}

sx_status sx_config_real(const sx_config_file *file, const char *key, double least, double most, double *value,
                         sx_error *error)
{
    json_t *field = json_object_get(file->root, key);
    if (!field || json_is_null(field))
        return SX_OK;
    if (!json_is_number(field))
        return sx_config_wrong_type(file, key, "a number", error);
    double number = json_number_value(field);
    if (!(number >= least && number <= most))
        return sx_fail(error, SX_E_FORMAT, "%s: %s: %g is not within %g .. %g", file->path, key, number, least, most);
    *value = number;
    return SX_OK;
}
