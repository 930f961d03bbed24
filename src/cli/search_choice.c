/* search_choice.c - the options of a search, the collection's own model, and a cross-encoder where one is named.
 *
 * A search by words alone needs no model, so none is loaded for it, unless similarities are asked for: by a threshold, or by a
 * re-ranking that weighs them. */
#include "search_choice.h"
#include "model_choice.h"

#include "../base/error.h"

#include <stdio.h>
#include <string.h>

enum { MOST_TRIES = 5, MOST_QUERY = 1 << 20 };

/* What --rerank may be besides a model. */
static bool is_reranker(const char *name)
{
    return strcmp(name, "none") == 0 || strcmp(name, "lexical") == 0 || strcmp(name, "mmr") == 0;
}

sx_status sx_cli_searcher_choose(sx_cli *cli, sx_cli_searcher *searcher, sx_error *error)
{
    const sx_cli_value *threshold = sx_cli_get(cli, "threshold"), *filter = sx_cli_get(cli, "filter");
    const char *rerank = sx_cli_text(cli, "rerank");
    *searcher = (sx_cli_searcher){
        .cli = cli,
        .options = {
            .size = sizeof searcher->options,
            .collection = sx_cli_text(cli, "collection"),
            .count = (uint32_t)sx_cli_count(cli, "count"),
            .threshold = threshold->number,
            .has_threshold = threshold->text != NULL,
            .filters = filter->all,
            .filter_count = filter->all_count,
            .mode = sx_cli_text(cli, "mode"),
            .type = sx_cli_text(cli, "type"),
            .rerank = is_reranker(rerank) ? rerank : "model",
            .rerank_count = (uint32_t)sx_cli_count(cli, "rerank-count"),
            .ef_search = (uint32_t)sx_cli_count(cli, "ef-search"),
            .exact = sx_cli_flag(cli, "exact"),
            .keep_duplicates = sx_cli_flag(cli, "keep-duplicates"),
            .join_neighbours = sx_cli_flag(cli, "join"),
            .prefer = sx_cli_text(cli, "prefer"),
        },
    };
    if (!*rerank)
        return sx_fail(error, SX_E_INVALID, "--rerank: is none of none, lexical, mmr and a model");
    return SX_OK;
}

static bool needs_model(const sx_cli_searcher *searcher)
{
    const sx_search_options *options = &searcher->options;
    return strcmp(options->mode, "keyword") != 0 || options->has_threshold || strcmp(options->rerank, "lexical") == 0;
}

static sx_status open_reranker(sx_cli_searcher *searcher, sx_error *error)
{
    sx_cli *cli = searcher->cli;
    const char *name = sx_cli_text(cli, "rerank");
    char *folder = NULL;
    sx_status status = sx_models_resolve(&cli->places, name, &folder, error);
    if (status == SX_E_NOT_FOUND)
        sx_hint(error, "--rerank takes none, lexical, mmr or a cross-encoder; `sextant models list` names what is here");
    if (!status) {
        sx_model_options options = {.size = sizeof options, .hash_folder = cli->cache_folder};
        status = sx_model_open(folder, &options, &searcher->reranker, error);
    }
    if (!status && !(sx_model_describe(searcher->reranker)->outputs & SX_OUTPUT_SCORES)) {
        status = sx_fail(error, SX_E_UNSUPPORTED, "--rerank: %s is a model of the kind \"%s\", which scores no pairs of texts", name,
                         sx_model_describe(searcher->reranker)->kind);
        sx_hint(error, "name a cross-encoder, for example cross-encoder/ms-marco-MiniLM-L6-v2");
    }
    if (!status) {
        sx_session_options options = {.size = sizeof options, .threads = (unsigned)sx_cli_count(cli, "threads")};
        status = sx_session_open(searcher->reranker, &options, &searcher->session, error);
    }
    searcher->options.cross_encoder = searcher->session;
    sx_free(folder);
    return status;
}

sx_status sx_cli_searcher_open(sx_cli_searcher *searcher, sx_error *error)
{
    sx_cli *cli = searcher->cli;
    sx_status status = sx_cli_open_database(cli, cli->db_path, false, &searcher->database, error);
    if (!status)
        status = sx_cli_require_collection(searcher->database, searcher->options.collection, error);
    if (!status && strcmp(searcher->options.rerank, "model") == 0)
        status = open_reranker(searcher, error);
    if (!status && needs_model(searcher))
        status = sx_cli_open_collection_embedder(cli, searcher->database, "query", &searcher->embedder, error);
    return status;
}

sx_status sx_cli_searcher_find(sx_cli_searcher *searcher, sx_text query, sx_hits **hits, sx_error *error)
{
    sx_status status = SX_OK;
    *hits = NULL;
    for (unsigned tries = 0; !status && !*hits; tries++) {
        status = sx_search(searcher->database, searcher->embedder, query, &searcher->options, hits, error);
        if (status != SX_E_MISMATCH || sx_cli_get(searcher->cli, "model")->given || tries == MOST_TRIES)
            break;
        /* The collection was moved to another model since its own was looked up. */
        sx_embedder_close(searcher->embedder);
        status = sx_cli_open_collection_embedder(searcher->cli, searcher->database, "query", &searcher->embedder, error);
    }
    return status;
}

void sx_cli_searcher_close(sx_cli_searcher *searcher)
{
    sx_session_close(searcher->session);
    sx_model_close(searcher->reranker);
    sx_embedder_close(searcher->embedder);
    sx_database_close(searcher->database);
    *searcher = (sx_cli_searcher){0};
}

sx_status sx_cli_join_arguments(const sx_cli *cli, sx_buffer *text, sx_error *error)
{
    bool from_input = cli->argument_count == 1 && strcmp(cli->arguments[0], "-") == 0;
    char part[4096];
    for (size_t length; from_input && (length = fread(part, 1, sizeof part, stdin));) {
        sx_buffer_append(text, part, length);
        if (text->length > MOST_QUERY)
            return sx_fail(error, SX_E_LIMIT, "%s: the query from standard input has more than %d bytes", cli->verb->name, MOST_QUERY);
    }
    for (size_t i = 0; !from_input && i < cli->argument_count; i++) {
        sx_buffer_append_string(text, i ? " " : "");
        sx_buffer_append_string(text, cli->arguments[i]);
    }
    if (text->failed)
        return sx_fail_nomem(error, 4096);
    if (!text->length || strspn(text->data, " \t\r\n") == text->length)
        return sx_fail(error, SX_E_INVALID, "%s: the query is empty", cli->verb->name);
    return SX_OK;
}
