/* import_files.c - collections of vectors that were made elsewhere.
 *
 * A file says by which model its vectors were made, and that cannot be believed: a wrong name would give searches without sense
 * and without an error. So some of its texts are embedded again, and their vectors must point the same way. */
#include "import_files.h"

#include "../base/error.h"
#include "../base/json_writer.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../base/ranking.h"
#include "../store/import_target.h"
#include "../vec/exact.h"

#include <stdlib.h>
#include <string.h>

enum { CHECKED = 4, CHECKED_FROM = 64, LONGEST_CHECKED = 4000 };
static const double least_cosine = 0.9;
static const char *const kind_names[] = {"json", "array", "jsonl", "npy", "arrow", "export"};

void sx_vectors_info_free(sx_vectors_info *info)
{
    if (!info)
        return;
    free(info->version);
    free(info->model);
    free(info);
}

sx_status sx_vectors_describe(const char *path, sx_vectors_info **out, sx_error *error)
{
    if (out)
        *out = NULL;
    if (!path || !out)
        return sx_fail(error, SX_E_INVALID, "sx_vectors_describe: path or out is NULL");
    sx_embedding_file *file;
    sx_status status = sx_embedding_file_open(path, &file, error);
    if (status)
        return status;
    const sx_embedding_head *head = sx_embedding_file_head(file);
    sx_vectors_info *info = sx_calloc(1, sizeof *info);
    if (info) {
        info->kind = kind_names[head->kind];
        info->dimensions = head->dimensions;
        info->searchable = head->space_json != NULL;
        info->version = head->version ? sx_strdup(head->version) : NULL;
        info->model = head->model ? sx_strdup(head->model) : NULL;
    }
    if (!info || (head->version && !info->version) || (head->model && !info->model)) {
        sx_vectors_info_free(info);
        info = NULL;
        status = sx_fail_nomem(error, sizeof *info);
    }
    *out = info;
    sx_embedding_file_close(file);
    return status;
}

/* ---- Are they what they are said to be? ---- */

static sx_status check_space(const char *path, const char *space_json, const sx_embedder *embedder, sx_error *error)
{
    sx_sha256 hash;
    sx_sha256_of(space_json, strlen(space_json), &hash);
    if (memcmp(&hash, &embedder->space, sizeof hash) == 0)
        return SX_OK;
    char hex[SX_SHA256_HEX];
    sx_sha256_hex(&hash, hex);
    return sx_fail(error, SX_E_MISMATCH, "%s: its vectors are of space %.12s, those of model %s of space %.12s", path, hex,
                   embedder->model, embedder->space_hex);
}

static sx_status compare(const char *path, sx_embedder *embedder, const sx_embedding_item *item, uint32_t *checked, double *least,
                         sx_error *error)
{
    uint32_t dimensions = embedder->info.dimensions;
    float *vector = sx_calloc(dimensions, sizeof *vector);
    if (!vector)
        return sx_fail_nomem(error, dimensions * sizeof *vector);
    sx_text text = {item->content.data, item->content.length};
    sx_receipt receipt = {0};
    sx_status status = sx_embedder_embed(embedder, &text, 1, vector, &receipt, NULL, error);
    if (!status && !receipt.status && !receipt.truncated) {
        double cosine = sx_ranking_cosine(vector, item->vector.data, dimensions);
        if (!*checked || cosine < *least)
            *least = cosine;
        ++*checked;
        if (!(cosine >= least_cosine)) {
            status = sx_fail(error, SX_E_MISMATCH,
                             "%s: element %llu: its vector is not what model %s makes of its text (cosine %.3f)",
                             path, (unsigned long long)item->number, embedder->model, cosine);
            sx_hint(error, "-m names the model that made them; or embed the texts again: sextant embed -i TEXTS.jsonl -m MODEL "
                           "--format chunks -o NEW.json");
        }
    }
    free(vector);
    return status;
}

sx_status sx_check_vectors(const char *path, sx_embedder *embedder, uint32_t *checked, double *least, sx_error *error)
{
    sx_embedding_file *file;
    sx_embedding_item item = {0};
    sx_status status = sx_embedding_file_open(path, &file, error);
    if (status)
        return status;
    const sx_embedding_head *head = sx_embedding_file_head(file);
    bool more = true;
    unsigned compared = 0;
    if (head->space_json)
        status = check_space(path, head->space_json, embedder, error);
    for (unsigned i = 0; !status && !head->space_json && i < CHECKED_FROM && compared < CHECKED; i++) {
        status = sx_embedding_file_next(file, &item, &more, error);
        if (status || !more)
            break;
        if (item.vector.length != embedder->info.dimensions) {
            status = sx_fail(error, SX_E_MISMATCH, "%s: vectors of %zu numbers, but model %s makes %u", path, item.vector.length,
                             embedder->model, embedder->info.dimensions);
            sx_hint(error, "-m names the model that made them");
        } else if (item.content.length && item.content.length <= LONGEST_CHECKED) {
            compared++;
            status = compare(path, embedder, &item, checked, least, error);
        }
    }
    sx_embedding_item_clear(&item);
    sx_embedding_file_close(file);
    return status;
}

/* ---- Importing ---- */

typedef struct import_run {
    sx_database *database;
    const char *name;
    sx_import_options options;
    sx_import_target *target;
    char *space_json, *model; /* of the first file */
    bool normalized;
} import_run;

static sx_status same(const char *path, const char *what, const char *mine, const char *first, const char *first_path,
                      sx_error *error)
{
    if (!mine || !first || strcmp(mine, first) == 0)
        return SX_OK;
    return sx_fail(error, SX_E_MISMATCH, "%s: %s %.100s, but %s says %.100s", path, what, mine, first_path, first);
}

/* What the vectors may be compared with: what the file itself says, else the embedder's space, else nothing but one another. */
static sx_status decide_space(import_run *run, const sx_embedding_head *head, uint32_t dimensions, sx_error *error)
{
    const sx_embedder *embedder = run->options.embedder;
    const char *model = run->options.model ? run->options.model
                        : head->model      ? head->model
                        : embedder         ? embedder->model
                                           : "unknown";
    run->model = sx_strdup(model);
    if (head->space_json) {
        run->space_json = sx_strdup(head->space_json);
    } else if (embedder) {
        run->space_json = sx_strdup(embedder->provider->info.space_json);
    } else {
        sx_buffer json = {0};
        sx_buffer_printf(&json, "{\"dimensions\":%u,\"imported\":", dimensions);
        sx_json_write_string(&json, model, strlen(model));
        sx_buffer_append_string(&json, ",\"similarity\":\"cosine\"}");
        run->space_json = sx_buffer_take(&json);
    }
    if (!run->model || !run->space_json)
        return sx_fail_nomem(error, strlen(model) + 64);
    /* Canonical JSON: the words cannot stand inside one of its strings, whose quotes would be escaped. */
    run->normalized = strstr(run->space_json, "\"normalized\":true") != NULL;
    return sx_import_begin(run->database, run->name, run->model, run->space_json, dimensions, &run->target, error);
}

static sx_status import_file(import_run *run, const char *path, sx_error *error)
{
    sx_embedding_file *file;
    sx_embedding_item item = {0};
    sx_status status = sx_embedding_file_open(path, &file, error);
    if (status)
        return status;
    const sx_embedding_head *head = sx_embedding_file_head(file);
    const char *first = run->options.paths[0];
    bool more = true;
    if (head->kind == SX_EMBEDDINGS_EXPORT)
        status = sx_fail(error, SX_E_INVALID, "%s: a collection's own export can only be imported alone", path);
    if (!status && run->target)
        status = same(path, "model", run->options.model ? NULL : head->model, run->model, first, error);
    if (!status && run->target)
        status = same(path, "space", head->space_json, run->space_json, first, error);
    while (!status && !(status = sx_embedding_file_next(file, &item, &more, error)) && more) {
        if (run->options.stop && *run->options.stop)
            status = sx_fail(error, SX_E_STOPPED, "import: interrupted; nothing was imported");
        if (!status && !run->target)
            status = decide_space(run, head, (uint32_t)item.vector.length, error);
        if (!status && run->normalized)
            sx_exact_normalize(item.vector.data, item.vector.length);
        if (!status)
            status = sx_import_add(run->target, path, &item, error);
    }
    sx_embedding_item_clear(&item);
    sx_embedding_file_close(file);
    return status;
}

sx_status sx_collection_import_files(sx_database *database, const char *name, const sx_import_options *options,
                                     sx_import_report *report, sx_error *error)
{
    import_run run = {.database = database, .name = name};
    sx_import_report own;
    report = report ? report : &own;
    *report = (sx_import_report){.least_cosine = 1};
    if (!database || !name || !*name || !options)
        return sx_fail(error, SX_E_INVALID, "sx_collection_import_files: an argument is NULL");
    sx_status status = sx_options_read(options, &run.options, sizeof run.options, "sx_import_options", error);
    if (!status && (!run.options.path_count || !run.options.paths))
        status = sx_fail(error, SX_E_INVALID, "sx_import_options: no paths");
    for (size_t i = 0; !status && i < run.options.path_count; i++)
        if (!run.options.paths[i])
            status = sx_fail(error, SX_E_INVALID, "sx_import_options: path %zu is NULL", i);
        else if (run.options.embedder)
            status = sx_check_vectors(run.options.paths[i], run.options.embedder, &report->checked, &report->least_cosine, error);
    for (size_t i = 0; !status && i < run.options.path_count; i++)
        status = import_file(&run, run.options.paths[i], error);
    if (!status && !run.target)
        status = sx_fail(error, SX_E_FORMAT, "%s: holds no vector", run.options.paths[0]);
    if (!status)
        status = sx_import_finish(run.target, &report->documents, &report->chunks, error);
    sx_import_close(run.target);
    free(run.space_json);
    free(run.model);
    return status;
}
