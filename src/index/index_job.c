/* index_job.c - sx_index: one run over the paths, from options to report.
 *
 * Order: check everything that can be checked, take the collection's lease, scan (totals are known then), embed and commit,
 * remove what is gone, publish. Removal comes last so that a renamed file finds its vectors still there.
 */
#include "index_cut.h"
#include "index_job.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../doc/code_outline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t default_max_file_size = 256u << 20;

/* ---- Settings ---- */

/* The collection remembers its chunk options, so that a later run without any cuts as before. */
static char *settings_json(const sx_chunk_options *chunk)
{
    json_t *settings = json_pack("{s:{s:s, s:I, s:I, s:s, s:b, s:s}}", "chunk", "strategy", chunk->strategy ? chunk->strategy : "auto",
                                 "chunk_size", (json_int_t)chunk->chunk_size, "overlap", (json_int_t)chunk->overlap, "unit",
                                 chunk->unit ? chunk->unit : "", "no_header", chunk->no_header != 0, "header", chunk->header ? chunk->header : "");
    char *text = settings ? json_dumps(settings, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(settings);
    return text;
}

static sx_status read_settings(index_job *job, sx_error *error)
{
    const char *strategy = "auto", *unit = "", *header = "";
    json_int_t chunk_size = 0, overlap = 0;
    int no_header = 0;
    json_t *settings = job->collection.settings ? json_loads(job->collection.settings, 0, NULL) : NULL;
    sx_status status = SX_OK;
    if (settings && json_object_get(settings, "chunk") &&
        json_unpack(settings, "{s:{s?s, s?I, s?I, s?s, s?b, s?s}}", "chunk", "strategy", &strategy, "chunk_size", &chunk_size,
                    "overlap", &overlap, "unit", &unit, "no_header", &no_header, "header", &header)) {
        status = sx_fail(error, SX_E_FORMAT, "collection %s: its settings cannot be read: %.200s", job->collection.name,
                         job->collection.settings);
    } else {
        snprintf(job->chunk_strategy, sizeof job->chunk_strategy, "%s", strategy);
        snprintf(job->chunk_unit, sizeof job->chunk_unit, "%s", unit);
        snprintf(job->chunk_header, sizeof job->chunk_header, "%s", header);
        job->chunk = (sx_chunk_options){
            .size = sizeof job->chunk,
            .strategy = job->chunk_strategy,
            .chunk_size = (uint32_t)chunk_size,
            .overlap = (int32_t)overlap,
            .unit = job->chunk_unit[0] ? job->chunk_unit : NULL,
            .no_header = no_header,
            .header = job->chunk_header[0] ? job->chunk_header : NULL,
        };
    }
    json_decref(settings);
    return status;
}

/* Wrong chunk options fail the call, not each document. */
static sx_status check_chunk_options(const index_job *job, sx_error *error)
{
    static const char *const types[] = {"text/plain", "text/markdown"};
    sx_chunk_plan plan;
    sx_status status = SX_OK;
    for (size_t i = 0; !status && i < sizeof types / sizeof *types; i++)
        status = sx_chunk_plan_make(&job->chunk, types[i], &job->embedder->provider->counter, &plan, error);
    if (!status && job->options.batch_api && strcmp(plan.strategy, "semantic") == 0) {
        status = sx_fail(error, SX_E_UNSUPPORTED, "chunk strategy semantic needs vectors to cut by, which a batch gives only hours later");
        sx_hint(error, "index without the batch API, or take another strategy");
    }
    return status;
}

/* All that decides which chunks a file's bytes give. */
static sx_status hash_settings(index_job *job, sx_error *error)
{
    const sx_token_counter *counter = &job->embedder->provider->counter;
    const char *counted_by = job->embedder->provider->info.tokens_by; /* NULL: by the model itself, which the recipe names */
    char *chunk = settings_json(&job->chunk);
    sx_buffer text = {0};
    if (chunk && counted_by)
        sx_buffer_printf(&text, "counted by %s ", counted_by);
    if (chunk)
        sx_buffer_printf(&text, "cut %d chunker %u grammars %s special %u limit %u prompt %u recipe %s %s", SX_CUT_REVISION, sx_chunker_version,
                         sx_grammars_identity(job->grammars), counter->special,
                         counter->limit, counter->prompt, job->embedder->recipe_hex, chunk);
    if (chunk && job->options.record_format)
        sx_buffer_printf(&text, " records %s %s %s", job->options.record_format, job->options.text_column ? job->options.text_column : "text",
                         job->options.id_column ? job->options.id_column : "id");
    if (chunk && job->options.query)
        sx_buffer_printf(&text, " rows of %s", job->options.query);
    bool made = chunk && !text.failed;
    if (made)
        sx_sha256_of(text.data, text.length, &job->settings);
    free(chunk);
    sx_buffer_clear(&text);
    return made ? SX_OK : sx_fail_nomem(error, 256);
}

/* This run's, or when it names none the collection's. */
static sx_status settle_chunk_options(index_job *job, sx_error *error)
{
    sx_status status = job->options.chunk.size ? SX_OK : read_settings(job, error);
    if (!status)
        status = check_chunk_options(job, error);
    return status ? status : hash_settings(job, error);
}

static sx_status read_metadata(index_job *job, sx_error *error)
{
    job->metadata = json_object();
    if (!job->metadata)
        return sx_fail_nomem(error, 64);
    for (size_t i = 0; i < job->options.metadata_count; i++) {
        const char *pair = job->options.metadata[i];
        const char *equals = pair ? strchr(pair, '=') : NULL;
        if (!equals || equals == pair)
            return sx_fail(error, SX_E_INVALID, "metadata '%s': expected key=value", pair ? pair : "");
        char *key = sx_strndup(pair, (size_t)(equals - pair));
        int failed = !key || json_object_set_new(job->metadata, key, json_string(equals + 1));
        free(key);
        if (failed)
            return sx_fail(error, SX_E_INVALID, "metadata '%s': is not valid UTF-8", pair);
    }
    return SX_OK;
}

static sx_status check_strings(const char *const *strings, size_t count, const char *name, sx_error *error)
{
    if (count && !strings)
        return sx_fail(error, SX_E_INVALID, "sx_index_options: %s is NULL with count %zu", name, count);
    for (size_t i = 0; i < count; i++)
        if (!strings[i])
            return sx_fail(error, SX_E_INVALID, "sx_index_options: %s[%zu] is NULL", name, i);
    return SX_OK;
}

static sx_status check_record_options(const sx_index_options *options, sx_error *error)
{
    static const char *const formats[] = {"csv", "tsv", "jsonl", "json", "lines"};
    bool known = !options->record_format;
    if (options->query && options->record_format)
        return sx_fail(error, SX_E_INVALID, "sx_index_options: query and record_format are both given");
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        known = known || !strcmp(options->record_format, formats[i]);
    return known ? SX_OK : sx_fail(error, SX_E_INVALID, "sx_index_options: record_format '%.40s' is not known", options->record_format);
}

static sx_status read_options(index_job *job, const sx_index_options *options, sx_error *error)
{
    sx_index_options *known = &job->options;
    sx_status status = sx_options_read(options, known, sizeof *known, "sx_index_options", error);
    if (!status && known->chunk.size)
        status = sx_options_read(&known->chunk, &job->chunk, sizeof job->chunk, "sx_index_options.chunk", error);
    if (!status && !known->path_count)
        status = sx_fail(error, SX_E_INVALID, "sx_index_options: no paths");
    if (!status)
        status = check_strings(known->paths, known->path_count, "paths", error);
    if (!status)
        status = check_strings(known->include, known->include_count, "include", error);
    if (!status)
        status = check_strings(known->exclude, known->exclude_count, "exclude", error);
    if (!status)
        status = check_strings(known->metadata, known->metadata_count, "metadata", error);
    if (!status)
        status = check_strings(known->changed, known->changed_count, "changed", error);
    if (!status)
        status = read_metadata(job, error);
    if (!status)
        status = check_record_options(known, error);
    if (!known->collection)
        known->collection = "default";
    job->walk = (sx_walk_options){
        .include = known->include,
        .include_count = known->include_count,
        .exclude = known->exclude,
        .exclude_count = known->exclude_count,
        .allow_secrets = known->allow_secrets != 0,
        .max_file_size = known->max_file_size ? known->max_file_size : default_max_file_size,
        .excludes_file = known->excludes_file,
    };
    return status;
}

/* ---- Collection ---- */

static sx_status check_recipe(const index_job *job, sx_error *error)
{
    const sx_collection_row *collection = &job->collection;
    if (!strcmp(collection->recipe_hash, job->embedder->recipe_hex))
        return SX_OK;
    bool same_space = !strcmp(collection->space_hash, job->embedder->space_hex);
    sx_fail(error, SX_E_MISMATCH, "collection %s: made with model %s (recipe %.12s), not with %s (recipe %.12s)%s",
            collection->name, collection->model, collection->recipe_hash, job->embedder->model, job->embedder->recipe_hex,
            same_space ? ": same model, other prompt, precision or maximum length" : "");
    sx_hint(error, "use the collection's model, or another collection (-c NAME)");
    return SX_E_MISMATCH;
}

static void waiting(index_job *job)
{
    sx_index_phase(job, "waiting for another process that is indexing this collection", "jobs", 0, 0);
}

static sx_status take_lease(index_job *job, sx_error *error)
{
    sx_error busy;
    sx_status status = sx_store_lease(job->database, job->collection.id, false, job->options.stop, &busy);
    if (status == SX_E_BUSY && !job->options.no_wait) {
        waiting(job);
        status = sx_store_lease(job->database, job->collection.id, true, job->options.stop, &busy);
    }
    job->leased = status == SX_OK;
    if (status && error)
        *error = busy;
    return status;
}

static sx_status find_collection(index_job *job, sx_error *error)
{
    sx_error missing;
    sx_status status = sx_store_collection_find(job->database, job->options.collection, &job->collection, &missing);
    if (status == SX_E_NOT_FOUND) {
        job->collection.id = 0;
        return SX_OK;
    }
    if (status) {
        if (error)
            *error = missing;
        return status;
    }
    return check_recipe(job, error);
}

/* The job waited for may have changed the collection's settings; renamed meanwhile, it keeps those seen before. */
static sx_status read_again(index_job *job, sx_error *error)
{
    sx_collection_row now;
    sx_error problem;
    sx_status status = sx_store_collection_find(job->database, job->options.collection, &now, &problem);
    if (status == SX_E_NOT_FOUND)
        return SX_OK;
    if (status) {
        if (error)
            *error = problem;
        return status;
    }
    if (now.id == job->collection.id) {
        sx_collection_row_clear(&job->collection);
        job->collection = now;
    } else {
        sx_collection_row_clear(&now);
    }
    return SX_OK;
}

static sx_status open_collection(index_job *job, sx_error *error)
{
    char *settings = settings_json(&job->chunk);
    if (!settings)
        return sx_fail_nomem(error, 256);
    sx_collection_row_clear(&job->collection);
    sx_status status = sx_store_collection_open(job->database, job->options.collection, job->recipe, settings,
                                                &job->collection, error);
    if (!status)
        status = check_recipe(job, error);
    if (!status)
        status = take_lease(job, error);
    if (!status)
        status = read_again(job, error);
    if (!status && job->options.chunk.size && strcmp(job->collection.settings ? job->collection.settings : "", settings) != 0)
        status = sx_store_collection_settings(job->database, job->collection.id, settings, error);
    free(settings);
    return status;
}

/* ---- The run ---- */

static size_t count_unless_stopped(void *user, const char *text, size_t length, uint32_t *starts, size_t capacity)
{
    index_job *job = user;
    const sx_token_counter *counter = &job->embedder->provider->counter;
    return sx_index_stopped(job) ? SIZE_MAX : counter->count(counter->user, text, length, starts, capacity);
}

static size_t count_embedded_unless_stopped(void *user, const char *text, size_t length)
{
    index_job *job = user;
    const sx_token_counter *counter = &job->embedder->provider->counter;
    return sx_index_stopped(job) ? SIZE_MAX : counter->count_embedded(counter->user, text, length);
}

static void advanced(const sx_pipeline_counts *counts, void *user)
{
    (void)counts;
    sx_index_show(user, false);
}

static sx_status prepare(index_job *job, sx_error *error)
{
    const sx_index_options *options = &job->options;
    sx_status status = options->grammars ? sx_grammars_open(options->grammars, &job->grammars, error) : SX_OK;
    if (!status)
        status = find_collection(job, error);
    if (!status && !job->given)
        status = sx_index_targets_find(job->database, job->collection.id, options->paths, options->path_count, &job->targets,
                                       error);
    if (!status)
        status = settle_chunk_options(job, error);
    if (!status)
        status = sx_embedder_recipe(job->embedder, job->database, &job->recipe, error);
    if (!status && !options->dry_run) {
        status = open_collection(job, error);
        if (!status) /* another job may have created the collection, or changed it, since */
            status = settle_chunk_options(job, error);
    }
    if (!status && !job->given)
        status = sx_index_targets_root(job->database, job->collection.id, &job->targets, error);
    if (!status && !job->given)
        status = sx_index_changed_find(job, error);
    if (!status)
        status = sx_embedder_pipeline(job->embedder, job->database, advanced, job, &job->pipeline, error);
    if (!status)
        sx_pipeline_name(job->pipeline, "index", options->collection, options->allow_secrets != 0);
    return status;
}

static void show_linking(size_t done, size_t total, void *user)
{
    index_job *job = user;
    if (strcmp(job->progress.phase, "linking") != 0 || job->progress.total != total)
        sx_index_phase(job, "linking", "vectors", total, 0);
    job->progress.done = done;
    sx_index_show(job, done == total);
}

static sx_status publish(index_job *job, sx_error *error)
{
    const sx_publish_watch watch = {job->options.stop, show_linking, job};
    sx_index_phase(job, "publishing", "collections", 1, 0);
    sx_status status = sx_store_publish_watched(job->database, job->collection.id, !job->given, &watch, error);
    if (status == SX_E_STOPPED)
        return sx_index_stop_status(error);
    if (!status)
        status = sx_store_trim_cache(job->database, error);
    if (!status)
        job->progress.done = job->progress.total;
    sx_index_show(job, true);
    return status;
}

static void report_cost(index_job *job, const sx_provider_usage *before, const sx_spend *priced)
{
    const sx_provider *provider = job->embedder->provider;
    sx_spend *cost = &job->report->cost;
    cost->requests = provider->usage.requests - before->requests;
    cost->texts = job->report->chunks.embedded + job->report->windows.embedded;
    cost->cached = job->report->chunks.cached + job->report->windows.cached;
    cost->tokens = provider->usage.tokens - before->tokens;
    sx_provider_price(provider, cost);
    cost->unpriced_tokens -= priced->unpriced_tokens;
    cost->usd -= priced->usd;
}

static sx_status stop_at_budget(index_job *job, sx_error *error)
{
    const sx_spend *left = &job->report->left;
    sx_fail(error, SX_E_LIMIT, "the budget of $%.6g ends here: $%.6f is spent; %llu chunks (%llu tokens, about $%.6f) are left",
            job->embedder->budget_usd, job->embedder->provider->usage.usd, (unsigned long long)left->texts,
            (unsigned long long)left->tokens, left->usd);
    sx_hint(error, "everything done so far is kept; the same call with another budget goes on from here");
    return SX_E_LIMIT;
}

static sx_status run(index_job *job, sx_error *error)
{
    sx_provider_usage before = job->embedder->provider->usage;
    sx_spend priced;
    sx_provider_price(job->embedder->provider, &priced);
    sx_status status = prepare(job, error);
    if (!status && !job->given)
        status = sx_index_scan(job, error);
    if (!status)
        status = sx_index_process(job, error);
    if (!job->options.dry_run)
        report_cost(job, &before, &priced);
    if (!status && job->out_of_budget)
        return stop_at_budget(job, error);
    bool removes = !job->given && !job->options.retry_failed;
    if (!status && removes)
        status = sx_index_remove_unmet(job, error);
    if (!status && removes && !job->options.changed)
        status = sx_index_absorb_roots(job, error);
    /* Also when this run changed nothing: one that was killed may have left that to do. */
    if (!status && !job->options.dry_run)
        status = publish(job, error);
    return status;
}

void sx_index_close(index_job *job)
{
    if (job->leased)
        sx_store_lease_release(job->database, job->collection.id);
    if (job->pipeline && job->report)
        job->report->cache = sx_pipeline_count(job->pipeline)->use;
    sx_pipeline_close(job->pipeline);
    sx_hash_set_clear(&job->counted);
    sx_index_changed_clear(job);
    sx_index_targets_clear(&job->targets);
    sx_collection_row_clear(&job->collection);
    sx_arena_clear(&job->names);
    sx_grammars_close(job->grammars);
    free(job->pending);
    free(job->blind);
    json_decref(job->metadata);
}

sx_status sx_index_run(index_job *job, sx_error *error)
{
    job->counter = job->embedder->provider->counter;
    job->counter.count = count_unless_stopped;
    job->counter.count_embedded = job->counter.count_embedded ? count_embedded_unless_stopped : NULL;
    job->counter.user = job;
    job->began_ns = job->published_ns = sx_index_now(job);
    sx_status status = run(job, error);
    job->report->seconds = (double)(sx_index_now(job) - job->began_ns) / 1e9;
    return status;
}

sx_status sx_index(sx_database *database, sx_embedder *embedder, const sx_index_options *options,
                   sx_index_report **report, sx_error *error)
{
    if (report)
        *report = NULL;
    if (!database || !embedder || !options || !report)
        return sx_fail(error, SX_E_INVALID, "sx_index: database, embedder, options or report is NULL");
    index_job job = {.database = database, .embedder = embedder};
    sx_status status = sx_index_report_make(report, error);
    if (status)
        return status;
    job.report = *report;
    status = read_options(&job, options, error);
    if (!status)
        status = sx_index_run(&job, error);
    sx_index_close(&job);
    return status;
}
