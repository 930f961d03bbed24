/* open_model.c - opens the models that migrate, compare and eval name, and embeds lists of texts with them. */
#include "open_model.h"
#include "money.h"
#include "input_choice.h"
#include "remote_choice.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH_TEXTS = 2048 };

static sx_status reference_of(sx_cli *cli, const char *given, char **reference, sx_error *error)
{
    *reference = NULL;
    if (!given)
        return sx_cli_model_reference(cli, reference, error);
    /* As sx_cli_model_reference: a path must mean the same from any working directory. */
    bool is_path = !sx_models_is_remote(given) && (given[0] == '.' || (strchr(given, '/') && sx_file_exists(given)));
    *reference = is_path ? realpath(given, NULL) : NULL;
    if (!*reference)
        *reference = sx_strdup(given);
    return *reference ? SX_OK : sx_fail_nomem(error, strlen(given));
}

sx_status sx_cli_open_model_as(sx_cli *cli, const char *given, const char *role, uint32_t dimensions, const char *precision,
                               sx_database *cache, sx_embedder **out, sx_error *error)
{
    char *reference = NULL;
    *out = NULL;
    sx_status status = reference_of(cli, given, &reference, error);
    if (status)
        return status;
    sx_embedder_options options = {
        .size = sizeof options,
        .model = reference,
        .places = cli->places,
        .role = role,
        .max_length = (uint32_t)sx_cli_count(cli, "max-length"),
        .dimensions = dimensions ? dimensions : (uint32_t)sx_cli_count(cli, "dimensions"),
        .threads = (unsigned)sx_cli_count(cli, "threads"),
        .batch_size = (uint32_t)sx_cli_count(cli, "batch-size"),
        .cache = cache,
        .precision = precision,
        .shared_cache = cache ? sx_cli_text(cli, "shared-cache") : NULL,
        .shared_cache_ttl_s = sx_cli_count(cli, "shared-cache-ttl"),
    };
    status = sx_cli_read_remote(cli, reference, &options.remote, error);
    if (!status)
        status = sx_cli_read_money(cli, &options.remote, error);
    if (!status)
        status = sx_embedder_open(&options, out, error);
    free(reference);
    return status;
}

sx_status sx_cli_open_model(sx_cli *cli, const char *given, const char *role, uint32_t dimensions, sx_database *cache,
                            sx_embedder **out, sx_error *error)
{
    return sx_cli_open_model_as(cli, given, role, dimensions, sx_cli_text(cli, "precision"), cache, out, error);
}

sx_status sx_cli_open_cache(sx_cli *cli, sx_database **out, sx_error *error)
{
    *out = NULL;
    return sx_cli_flag(cli, "no-cache") ? SX_OK : sx_cli_open_database(cli, cli->cache_path, true, out, error);
}

sx_status sx_cli_add_text(sx_cli_texts *texts, const char *text, size_t length, sx_error *error)
{
    char *copy = sx_strndup(text, length);
    if (!copy || !sx_reserve((void **)&texts->texts, &texts->capacity, texts->count + 1, sizeof *texts->texts)) {
        free(copy);
        return sx_fail_nomem(error, length);
    }
    texts->texts[texts->count++] = (sx_text){copy, length};
    return SX_OK;
}

void sx_cli_clear_texts(sx_cli_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        free((void *)(uintptr_t)texts->texts[i].data);
    free(texts->texts);
    *texts = (sx_cli_texts){0};
}

sx_status sx_cli_read_texts(const char *path, sx_cli_texts *out, sx_error *error)
{
    sx_records_input input = {.path = path, .fallback = "lines", .text_column = "text", .id_column = "id"};
    sx_records *reader = NULL;
    sx_record item = {0};
    bool more = true;
    sx_status status = sx_records_open(&input, &reader, error);
    while (!status && !(status = sx_records_next(reader, &item, &more, error)) && more) {
        if (item.status)
            status = sx_fail(error, item.status, "%s: text %zu: %s", path, out->count + 1, item.problem ? item.problem
                : "failed");
        else if (strspn(item.text, " \t\r\n") != item.length)
            status = sx_cli_add_text(out, item.text, item.length, error);
        sx_record_clear(&item);
    }
    sx_record_clear(&item);
    sx_records_close(reader);
    if (!status && !out->count)
        status = sx_fail(error, SX_E_INVALID, "%s: holds no text", path);
    return status;
}

sx_status sx_cli_embed_texts(sx_cli *cli, sx_embedder *embedder, const sx_text *texts, size_t count, const char *what,
    float **vectors,
                             uint64_t *tokens, sx_error *error)
{
    const sx_embedder_info *info = sx_embedder_describe(embedder);
    int64_t began = sx_system_clock.monotonic_ns(NULL);
    sx_progress progress = {.phase = "embedding", .unit = "texts", .total = count, .seconds_left = -1};
    sx_receipt *receipts = sx_calloc(BATCH_TEXTS, sizeof *receipts);
    *vectors = sx_calloc(count, info->dimensions * sizeof(float));
    sx_status status = receipts && *vectors ? SX_OK : sx_fail_nomem(error, count * info->dimensions * sizeof(float));
    for (size_t from = 0; !status && from < count; from += BATCH_TEXTS) {
        size_t batch = count - from < BATCH_TEXTS ? count - from : BATCH_TEXTS;
        status = sx_embedder_embed(embedder, texts + from, batch, *vectors + from * info->dimensions, receipts,
            sx_cli_stop_flag(),
                                   error);
        for (size_t i = 0; !status && i < batch; i++) {
            if (receipts[i].status)
                status = sx_fail(error, receipts[i].status, "%s: %s %zu: %s", info->model, what, from + i + 1,
                                 receipts[i].message ? receipts[i].message : "no vector could be made");
            progress.tokens += receipts[i].tokens;
        }
        progress.done = from + batch;
        progress.seconds = (double)(sx_system_clock.monotonic_ns(NULL) - began) / 1e9;
        progress.rate = progress.seconds > 0 ? (double)progress.done / progress.seconds : 0;
        if (cli->progress && count > BATCH_TEXTS)
            sx_cli_report_progress(&progress, cli);
    }
    sx_cli_end_progress(cli);
    if (tokens)
        *tokens += progress.tokens;
    free(receipts);
    if (status) {
        free(*vectors);
        *vectors = NULL;
    }
    return status;
}
