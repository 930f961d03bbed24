/* config_file.h - fields of a small JSON configuration file, checked as they are read, with errors that name file and field. */
#ifndef SX_MODEL_CONFIG_FILE_H
#define SX_MODEL_CONFIG_FILE_H

#include "sextant.h"

#include "../base/memory.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct sx_config_file {
    char *path;
    json_t *root; /* NULL: the file is not there. Numbers are reals, see config_file.c */
} sx_config_file;

/* A missing file is no error here: root stays NULL. Close in any case. */
sx_status sx_config_open(const char *folder, const char *name, json_type type, sx_config_file *file, sx_error *error);
void sx_config_close(sx_config_file *file);

sx_status sx_config_wrong_type(const sx_config_file *file, const char *key, const char *expected, sx_error *error);
/* Fields that are absent or null leave *value alone. */
sx_status sx_config_size(const sx_config_file *file, const char *key, uint32_t least, uint32_t *value, sx_error *error);
sx_status sx_config_flag(const sx_config_file *file, const char *key, bool *value, sx_error *error);
/* least <= *value <= most. */
sx_status sx_config_real(const sx_config_file *file, const char *key, double least, double most, double *value,
                         sx_error *error);
/* A string of the file, copied into the arena. */
sx_status sx_config_string(const sx_config_file *file, const char *key, sx_arena *arena, const char **value, sx_error *error);

#endif
