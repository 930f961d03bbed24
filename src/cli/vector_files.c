/* vector_files.c - files of vectors on the command line: which model is theirs, importing them, searching in them. */
#include "vector_files.h"

#include "open_model.h"

#include "../base/compressed.h"
#include "../base/error.h"

#include <stdlib.h>
#include <string.h>

/* Lines of a collection's export say best themselves what is wrong in them. */
static bool is_lines(const char *path)
{
    size_t stem = sx_compression_stem(path);
    return strcmp(path, "-") == 0 || (stem > 6 && strncmp(path + stem - 6, ".jsonl", 6) == 0);
}

/* The model of -m, else the one the file names. */
static sx_status open_model_of(sx_cli *cli, const sx_vectors_info *info, const char *role, sx_embedder **out, sx_error *error)
{
    const char *named = sx_cli_get(cli, "model")->given ? NULL : info->model;
    return sx_cli_open_model(cli, named, role, 0, NULL, out, error);
}

/* A model that cannot be opened is no reason to leave the vectors out, unless somebody asked for it. */
static sx_status open_for_import(sx_cli *cli, const sx_vectors_info *info, sx_embedder **out, sx_error *error)
{
    bool given = sx_cli_get(cli, "model")->given;
    sx_error reason = {0};
    *out = NULL;
    if (!given && info->searchable)
        return SX_OK;
    if (given || info->model) {
        sx_status status = open_model_of(cli, info, "document", out, &reason);
        if (!status)
            return SX_OK;
        if (given) {
            if (error)
                *error = reason;
            return status;
        }
    }
    sx_cli_warn(cli, "%s%s: the vectors are taken as they are, and cannot be searched by text (-m names their model)",
                info->model ? "their model cannot be opened: " : "the file names no model",
                info->model ? reason.message : "");
    return SX_OK;
}

sx_status sx_cli_import_files(sx_cli *cli, sx_database *database, const char *name, const char *const *paths, size_t count,
                              uint64_t *chunks, sx_error *error)
{
    sx_vectors_info *info = NULL;
    sx_embedder *embedder = NULL;
    sx_error reason = {0};
    *chunks = 0;
    sx_status status = count == 1 && strcmp(paths[0], "-") == 0 ? SX_E_FORMAT : sx_vectors_describe(paths[0], &info, &reason);
    if (count == 1 && (info ? strcmp(info->kind, "export") == 0 : status == SX_E_FORMAT && is_lines(paths[0]))) {
        sx_vectors_info_free(info);
        return sx_collection_import(database, name, paths[0], error);
    }
    if (status) {
        if (error)
            *error = reason;
        return status;
    }
    status = open_for_import(cli, info, &embedder, error);
    sx_import_report report = {0};
    sx_import_options options = {
        .size = sizeof options,
        .paths = paths,
        .path_count = count,
        .model = sx_cli_get(cli, "model")->given ? sx_cli_text(cli, "model") : NULL,
        .embedder = embedder,
        .stop = sx_cli_stop_flag(),
    };
    if (!status)
        status = sx_collection_import_files(database, name, &options, &report, error);
    if (!status && report.checked && cli->verbose)
        sx_cli_note(cli, "%u of the vectors were made again and compared: cosine at least %.4f", report.checked,
                    report.least_cosine);
    *chunks = report.chunks;
    sx_embedder_close(embedder);
    sx_vectors_info_free(info);
    return status;
}

sx_status sx_cli_search_files(sx_cli *cli, const char *const *paths, size_t count, sx_text query,
                              const sx_search_options *options,
                              sx_hits **hits, sx_error *error)
{
    sx_vectors_info *info = NULL;
    sx_embedder *embedder = NULL;
    sx_status status = sx_vectors_describe(paths[0], &info, error);
    if (!status)
        status = open_model_of(cli, info, "query", &embedder, error);
    if (status && info && !sx_cli_get(cli, "model")->given && !(error && error->hint[0]))
        sx_hint(error, "-m names the model that made the vectors");
    if (!status)
        status = sx_search_files(paths, count, embedder, query, options, hits, error);
    sx_embedder_close(embedder);
    sx_vectors_info_free(info);
    return status;
}
