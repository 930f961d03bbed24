/* settings.h - named settings from the environment and from files, strongest first. */
#ifndef SX_CLI_SETTINGS_H
#define SX_CLI_SETTINGS_H

#include "sextant.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct sx_cli_setting {
    char *key, *value;
    char *source; /* ".env: line 3" */
    char *file;
} sx_cli_setting;

/* Order: environment, --env-file, .env in the working directory, configuration file. Zero-initialise. */
typedef struct sx_cli_settings {
    sx_cli_setting *rows; /* of the files, strongest first */
    size_t count, capacity;
    bool refused;         /* .env sets an endpoint or provider ... */
    char refused_key[64]; /* ... this one */
    char refused_source[128];
    char note[256]; /* settings of .env that were left alone, or "" */
} sx_cli_settings;

/* env_file and config may be NULL; a NULL config means the default one, which need not exist. */
sx_status sx_cli_settings_load(sx_cli_settings *settings, const char *env_file, const char *config, sx_error *error);
void sx_cli_settings_clear(sx_cli_settings *settings);
/* The strongest value of a setting, or NULL; an empty one counts as not set. *source ("MAX_RESULTS in .env: line 3") may be
 * NULL; it is valid until the next call. */
const char *sx_cli_setting_value(sx_cli_settings *settings, const char *key, const char **source);
/* Whether .env of the working directory sets an endpoint or provider that nothing stronger overrides. */
sx_status sx_cli_settings_check_endpoints(const sx_cli_settings *settings, sx_error *error);

#endif
