/* search_choice.h - what search and ask share: how to look, and the models this takes. */
#ifndef SX_CLI_SEARCH_CHOICE_H
#define SX_CLI_SEARCH_CHOICE_H

#include "cli.h"

/* Zero-initialise; close also after a failure. */
typedef struct sx_cli_searcher {
    sx_cli *cli;
    sx_search_options options;
    sx_database *database;
    sx_embedder *embedder;   /* NULL: a search by words needs none */
    sx_model *reranker;      /* of --rerank MODEL, or NULL */
    sx_session *session;     /* its */
} sx_cli_searcher;

/* Reads the options; opens nothing. */
sx_status sx_cli_searcher_choose(sx_cli *cli, sx_cli_searcher *searcher, sx_error *error);
/* Opens the database and the models; SX_E_NOT_FOUND before any model is opened when there is no such collection. */
sx_status sx_cli_searcher_open(sx_cli_searcher *searcher, sx_error *error);
/* Follows a collection that was moved to another model meanwhile. */
sx_status sx_cli_searcher_find(sx_cli_searcher *searcher, sx_text query, sx_hits **hits, sx_error *error);
void sx_cli_searcher_close(sx_cli_searcher *searcher);

/* The arguments of a verb with a space between them, or standard input for "-"; SX_E_INVALID when that is nothing. */
sx_status sx_cli_join_arguments(const sx_cli *cli, sx_buffer *text, sx_error *error);

#endif
