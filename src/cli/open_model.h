/* open_model.h - opens the models that a verb names besides, or instead of, the one of -m. */
#ifndef SX_CLI_OPEN_MODEL_H
#define SX_CLI_OPEN_MODEL_H

#include "cli.h"

/* given NULL: what -m or the settings say. dimensions 0: what --dimensions says, else all. cache: the database, or NULL.
 * Batch size, precision, longest text, shared cache, address, keys, budget: as the verb's options say. */
sx_status sx_cli_open_model(sx_cli *cli, const char *given, const char *role, uint32_t dimensions, sx_database *cache,
                            sx_embedder **out, sx_error *error);
/* The same with a precision of its own. */
sx_status sx_cli_open_model_as(sx_cli *cli, const char *given, const char *role, uint32_t dimensions, const char *precision,
                               sx_database *cache, sx_embedder **out, sx_error *error);
/* The program's database as a cache, created when it is not there; with --no-cache *out is NULL. */
sx_status sx_cli_open_cache(sx_cli *cli, sx_database **out, sx_error *error);

/* Texts of a file (lines, jsonl, json, csv by its name), read whole. */
typedef struct sx_cli_texts {
    sx_text *texts;
    size_t count, capacity;
} sx_cli_texts;
sx_status sx_cli_read_texts(const char *path, sx_cli_texts *out, sx_error *error);
/* Adds a copy. */
sx_status sx_cli_add_text(sx_cli_texts *texts, const char *text, size_t length, sx_error *error);
void sx_cli_clear_texts(sx_cli_texts *texts);

/* Embeds all: count x dimensions, *vectors malloc'ed. A text that fails fails the call. tokens may be NULL. */
sx_status sx_cli_embed_texts(sx_cli *cli, sx_embedder *embedder, const sx_text *texts, size_t count, const char *what,
    float **vectors,
                             uint64_t *tokens, sx_error *error);

#endif
