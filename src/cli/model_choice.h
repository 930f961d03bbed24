/* model_choice.h - which model a verb that works on a collection uses, and the chunk options it was given. */
#ifndef SX_CLI_MODEL_CHOICE_H
#define SX_CLI_MODEL_CHOICE_H

#include "cli.h"

/* The collection's own model when the collection exists and -m was not given, else what -m or the settings say. */
sx_status sx_cli_open_collection_embedder(sx_cli *cli, sx_database *database, const char *role, sx_embedder **out,
                                          sx_error *error);
/* The same for a collection by its name. */
sx_status sx_cli_open_embedder_of(sx_cli *cli, sx_database *database, const char *name, const char *role, sx_embedder **out,
                                  sx_error *error);
/* SX_E_NOT_FOUND, naming what is there, when the database has no such collection: said before a model is opened. */
sx_status sx_cli_require_collection(sx_database *database, const char *name, sx_error *error);
/* size stays 0 when no chunk option was given. */
void sx_cli_read_chunk_options(const sx_cli *cli, sx_chunk_options *options);

#endif
