/* models.h - what `models` verbs share. */
#ifndef SX_CLI_MODELS_H
#define SX_CLI_MODELS_H

#include "cli.h"

/* The model as named: argument, else -m or the settings. */
const char *sx_cli_model_argument(const sx_cli *cli);
/* Resolves and opens it. */
sx_status sx_cli_open_named_model(sx_cli *cli, sx_model **model, sx_error *error);
/* What the registry knows of a folder, malloc'ed; left alone where it knows nothing. */
sx_status sx_cli_find_model_entry(const sx_cli *cli, const char *folder, char **licence, char **sha256, sx_error *error);

#endif
