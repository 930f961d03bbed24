/* migrate.c - sx_migrate: a collection's chunks embedded with another model, beside it, until the new side takes its place.
 *
 * The new side is a hidden collection (store/shadows.h) that is brought into step with the old one document by document:
 * each bears a hash of what its source was, so that a run after a kill, or after an `index` in between, does only what is
 * missing. Texts come from the chunks, not from files, which need not exist any more. All the while the lease keeps others
 * from changing the old side. */
#include "migrate.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/options.h"
#include "../chunk/chunk.h"
#include "../store/shadows.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW_DOCUMENTS = 512, WINDOW_CHUNKS = 2048, WINDOW_BYTES = 16 << 20, LOOKUP_BLOCK = 512, MOST_TRIES = 5 };

static const int64_t show_interval_ns = 100000000;

static int64_t now(const migrate_job *job)
{
    return job->embedder->clock.monotonic_ns(job->embedder->clock.user);
}

bool sx_migrate_stopped(const migrate_job *job)
{
    return job->options.stop && *job->options.stop;
}

sx_status sx_migrate_stop_status(sx_error *error)
{
    sx_fail(error, SX_E_STOPPED, "migrating was stopped; what was done so far is kept, and searches see the old side");
    sx_hint(error, "the same call goes on where this one ended");
    return SX_E_STOPPED;
}

static void show(migrate_job *job, bool at_once)
{
    int64_t time = now(job);
    if (!job->options.progress || (!at_once && time - job->shown_ns < show_interval_ns))
        return;
    job->shown_ns = time;
    sx_progress *progress = &job->progress;
    progress->seconds = (double)(time - job->began_ns) / 1e9;
    progress->rate = progress->seconds > 0 ? (double)progress->done / progress->seconds : 0;
    progress->seconds_left =
        progress->rate > 0 && progress->total >= progress->done ? (double)(progress->total - progress->done) / progress->rate
            : -1;
    job->options.progress(progress, job->options.progress_user);
}

static void begin_phase(migrate_job *job, const char *phase, const char *unit, uint64_t total)
{
    job->progress = (sx_progress){.phase = phase, .unit = unit, .total = total, .tokens = job->progress.tokens,
        .seconds_left = -1};
    show(job, true);
}

static void advanced(const sx_pipeline_counts *counts, void *user)
{
    migrate_job *job = user;
    job->progress.tokens = counts->tokens;
    show(job, false);
}

static sx_status add_problem(migrate_job *job, const char *document, int64_t chunk, const char *reason, sx_error *error)
{
    sx_migrate_report *report = job->report;
    if (!sx_reserve((void **)&report->failed, &job->failed_capacity, report->failed_count + 1, sizeof *report->failed))
        return sx_fail_nomem(error, sizeof *report->failed);
    sx_problem *problem = &report->failed[report->failed_count++];
    *problem = (sx_problem){sx_strdup(document), chunk, sx_strdup(reason)};
    return problem->document && problem->reason ? SX_OK : sx_fail_nomem(error, 64);
}

/* ---- Chunks that are too long for the new model ---- */

typedef struct headed_counter {
    const sx_token_counter *counter;
    const char *header;
} headed_counter;

static size_t count_embedded(const sx_token_counter *counter, const char *text, size_t length)
{
    if (counter->count_embedded)
        return counter->count_embedded(counter->user, text, length);
    if (!counter->count)
        return 0;
    size_t tokens = counter->count(counter->user, text, length, NULL, 0);
    return tokens == SIZE_MAX ? SIZE_MAX : tokens + counter->special + counter->prompt;
}

static size_t headed_count(void *user, const char *text, size_t length, uint32_t *starts, size_t capacity)
{
    const headed_counter *headed = user;
    return headed->counter->count(headed->counter->user, text, length, starts, capacity);
}

static size_t headed_count_embedded(void *user, const char *text, size_t length)
{
    const headed_counter *headed = user;
    sx_buffer whole = {0};
    sx_buffer_append_string(&whole, headed->header);
    sx_buffer_append_byte(&whole, '\n');
    sx_buffer_append(&whole, text, length);
    size_t tokens = whole.failed ? SIZE_MAX : count_embedded(headed->counter, whole.data, whole.length);
    sx_buffer_clear(&whole);
    return tokens;
}

/* What is embedded: in the arena when there is a header. */
static sx_status embedded_text(sx_arena *arena, const sx_chunk_row *chunk, sx_text *text, sx_error *error)
{
    *text = (sx_text){chunk->text, chunk->text_length};
    if (!chunk->header || !*chunk->header)
        return SX_OK;
    size_t header = strlen(chunk->header);
    char *whole = sx_arena_alloc(arena, header + 1 + chunk->text_length + 1);
    if (!whole)
        return sx_fail_nomem(error, header + chunk->text_length);
    memcpy(whole, chunk->header, header);
    whole[header] = '\n';
    memcpy(whole + header + 1, chunk->text, chunk->text_length);
    *text = (sx_text){whole, header + 1 + chunk->text_length};
    return SX_OK;
}

static sx_status copy_part(const sx_chunk_row *chunk, const sx_chunk *part, const char *header, sx_chunk_row *made,
    sx_error *error)
{
    *made = (sx_chunk_row){
        .start = chunk->start + part->start,
        .end = chunk->start + part->end,
        .start_line = chunk->start_line + part->start_line - 1,
        .end_line = chunk->start_line + part->end_line - 1,
        .headings = chunk->headings ? sx_strdup(chunk->headings) : NULL,
        .symbols = chunk->symbols ? sx_strdup(chunk->symbols) : NULL,
        .header = sx_strdup(header),
        .text_length = (size_t)(part->end - part->start),
        .text = sx_strndup(chunk->text + part->start, (size_t)(part->end - part->start)),
    };
    bool whole = (made->headings || !chunk->headings) && (made->symbols || !chunk->symbols) && made->header && made->text;
    return whole ? SX_OK : sx_fail_nomem(error, made->text_length);
}

/* Puts the chunk, or the parts it must be cut into, at the end of the list; the chunk is spent. */
static sx_status take_chunk(migrate_job *job, sx_chunk_row *chunk, sx_chunk_row **list, size_t *count, size_t *capacity,
                            sx_error *error)
{
    const sx_token_counter *counter = &job->embedder->provider->counter;
    sx_arena arena = {0};
    sx_chunk_list parts = {0};
    sx_text text;
    size_t tokens = 0;
    sx_status status = embedded_text(&arena, chunk, &text, error);
    if (!status && counter->limit)
        tokens = count_embedded(counter, text.data, text.length);
    sx_arena_clear(&arena);
    if (!status && tokens == SIZE_MAX)
        status = sx_fail_nomem(error, chunk->text_length);
    if (status)
        return status;
    if (!counter->limit || tokens <= counter->limit) {
        if (!sx_reserve((void **)list, capacity, *count + 1, sizeof **list))
            return sx_fail_nomem(error, sizeof **list);
        (*list)[*count] = *chunk;
        (*list)[(*count)++].tokens = (uint32_t)tokens;
        *chunk = (sx_chunk_row){0};
        return SX_OK;
    }
    /* As when documents are cut, a header takes at most a third. */
    const char *header = chunk->header ? chunk->header : "";
    if (*header && count_embedded(counter, header, strlen(header)) > counter->limit / 3)
        header = "";
    headed_counter headed = {counter, header};
    sx_token_counter own = *counter;
    if (*header) {
        own = (sx_token_counter){.count = headed_count, .count_embedded = headed_count_embedded, .user = &headed,
                                 .special = counter->special, .limit = counter->limit, .prompt = counter->prompt};
        size_t taken = counter->count(counter->user, header, strlen(header), NULL, 0);
        own.prompt += taken == SIZE_MAX ? 0 : (uint32_t)taken + 1;
    }
    sx_document document = {.text = chunk->text, .length = chunk->text_length, .media_type = "text/plain", .encoding = "utf-8",
                            .title = "", .language = ""};
    sx_chunk_options options = {.size = sizeof options, .strategy = "recursive", .chunk_size = counter->limit, .overlap = -1,
                                .unit = "tokens", .no_header = 1};
    sx_chunk_plan plan;
    status = sx_chunk_plan_make(&options, document.media_type, &own, &plan, error);
    if (!status)
        status = sx_chunk_document(&document, &plan, &own, &parts, error);
    if (!status && !sx_reserve((void **)list, capacity, *count + parts.count, sizeof **list))
        status = sx_fail_nomem(error, parts.count * sizeof **list);
    for (size_t i = 0; !status && i < parts.count; i++) {
        status = copy_part(chunk, &parts.chunks[i], header, &(*list)[*count], error);
        ++*count;
    }
    job->report->chunks.cut++;
    sx_chunk_list_clear(&parts);
    return status;
}

static sx_status fit_chunks(migrate_job *job, migrate_document *document, sx_error *error)
{
    sx_chunk_row *list = NULL;
    size_t count = 0, capacity = 0;
    sx_status status = SX_OK;
    for (size_t i = 0; !status && i < document->count; i++)
        status = take_chunk(job, &document->chunks[i], &list, &count, &capacity, error);
    for (size_t i = 0; i < count; i++) {
        list[i].index = (uint32_t)i;
        list[i].vector = 0;
    }
    sx_store_chunks_free(document->chunks, document->count);
    document->chunks = list;
    document->count = count;
    return status;
}

/* ---- A window of documents ---- */

static void clear_window(migrate_job *job)
{
    for (size_t i = 0; i < job->document_count; i++) {
        sx_store_chunks_free(job->documents[i].chunks, job->documents[i].count);
        sx_document_row_clear(&job->documents[i].row);
    }
    job->document_count = job->chunk_count = job->bytes = 0;
    sx_arena_clear(&job->texts);
}

static sx_status take_receipt(migrate_job *job, const migrate_document *document, sx_chunk_row *chunk,
                              const sx_pipeline_item *item, sx_error *error)
{
    const sx_receipt *receipt = &item->receipt;
    chunk->hash = item->hash;
    job->report->chunks.total++;
    if (!receipt->status) {
        chunk->tokens = receipt->tokens;
        job->report->chunks.truncated += receipt->truncated != 0;
        if (receipt->cached) {
            job->report->chunks.cached++;
        } else {
            job->report->chunks.embedded++;
            job->report->tokens += receipt->tokens;
        }
        return SX_OK;
    }
    job->report->chunks.failed++;
    free(chunk->reason);
    chunk->reason = sx_strdup(receipt->message ? receipt->message : sx_status_name(receipt->status));
    if (!chunk->reason)
        return sx_fail_nomem(error, 64);
    return add_problem(job, document->row.path, chunk->index, chunk->reason, error);
}

/* Vectors were stored as batches came back: now their ids. */
static sx_status find_vectors(migrate_job *job, sx_chunk_row **chunks, size_t count, sx_error *error)
{
    sx_sha256 hashes[LOOKUP_BLOCK];
    sx_vector_row rows[LOOKUP_BLOCK];
    sx_status status = SX_OK;
    for (size_t from = 0; !status && from < count; from += LOOKUP_BLOCK) {
        size_t block = count - from < LOOKUP_BLOCK ? count - from : LOOKUP_BLOCK;
        for (size_t i = 0; i < block; i++)
            hashes[i] = chunks[from + i]->hash;
        status = sx_store_lookup(job->database, job->to.recipe, hashes, block, rows, NULL, error);
        for (size_t i = 0; !status && i < block; i++) {
            chunks[from + i]->vector = chunks[from + i]->reason ? 0 : rows[i].id;
            if (!chunks[from + i]->reason && !rows[i].id)
                status = sx_fail(error, SX_E_INTERNAL, "a vector that was just stored has gone");
        }
    }
    return status;
}

static sx_status embed_window(migrate_job *job, sx_error *error)
{
    size_t count = 0;
    sx_pipeline_item *items = sx_calloc(job->chunk_count, sizeof *items);
    sx_chunk_row **chunks = sx_calloc(job->chunk_count, sizeof *chunks);
    sx_status status = items && chunks ? SX_OK : sx_fail_nomem(error, job->chunk_count * sizeof *items);
    for (size_t i = 0; !status && i < job->document_count; i++)
        for (size_t j = 0; !status && j < job->documents[i].count; j++) {
            chunks[count] = &job->documents[i].chunks[j];
            items[count].tokens = chunks[count]->tokens;
            status = embedded_text(&job->texts, chunks[count], &items[count].text, error);
            count++;
        }
    if (!status && count)
        status = sx_pipeline_run(job->pipeline, items, count, job->options.stop, error);
    count = 0;
    for (size_t i = 0; !status && i < job->document_count; i++)
        for (size_t j = 0; !status && j < job->documents[i].count; j++, count++)
            status = take_receipt(job, &job->documents[i], chunks[count], &items[count], error);
    if (!status)
        status = find_vectors(job, chunks, count, error);
    free(items);
    free(chunks);
    return status;
}

static sx_status write_document(migrate_job *job, migrate_document *document, sx_error *error)
{
    sx_document_row *row = &document->row;
    sx_status status = SX_OK;
    bool has_chunks = document->count > 0;
    if (!has_chunks && document->state == SX_DOCUMENT_PENDING)
        return sx_store_document_pending(job->database, job->to.id, row, error);
    char *reason = row->reason;
    if (has_chunks || document->state == SX_DOCUMENT_DONE) {
        row->reason = NULL; /* it speaks of the old side's chunks, unless the file itself failed */
        status = sx_store_document_commit(job->database, job->to.id, row, document->chunks, document->count, error);
        row->reason = reason;
    }
    bool by_itself = document->state == SX_DOCUMENT_SKIPPED || (document->state == SX_DOCUMENT_FAILED && !has_chunks);
    if (!status && by_itself) {
        row->state = document->state;
        status = sx_store_document_note(job->database, job->to.id, row, error);
    }
    return status;
}

static sx_status flush_window(migrate_job *job, sx_error *error)
{
    if (!job->document_count)
        return SX_OK;
    sx_status status = embed_window(job, error);
    if (!status)
        status = sx_store_begin(job->database, error);
    for (size_t i = 0; !status && i < job->document_count; i++)
        status = write_document(job, &job->documents[i], error);
    if (!status)
        status = sx_store_commit(job->database, error);
    if (status) {
        sx_store_rollback(job->database);
    } else {
        job->report->documents.moved += job->document_count;
        job->progress.done += job->document_count;
        show(job, false);
    }
    clear_window(job);
    return status;
}

/* ---- Bringing the new side into step ---- */

static sx_status copy_row(const sx_document_row *row, const sx_sha256 *print, sx_document_row *copy, sx_error *error)
{
    const char *const from[] = {row->root, row->path, row->reason, row->media_type, row->title, row->metadata};
    char **const to[] = {&copy->root, &copy->path, &copy->reason, &copy->media_type, &copy->title, &copy->metadata};
    *copy = (sx_document_row){.file = row->file, .content = row->content, .settings = *print};
    for (size_t i = 0; i < sizeof from / sizeof *from; i++)
        if (from[i] && !(*to[i] = sx_strdup(from[i]))) {
            sx_document_row_clear(copy);
            return sx_fail_nomem(error, strlen(from[i]));
        }
    return SX_OK;
}

static sx_status visit_source(const sx_document_row *row, void *user, sx_error *error)
{
    migrate_job *job = user;
    sx_document_row there = {0};
    sx_sha256 print;
    if (sx_migrate_stopped(job))
        return sx_migrate_stop_status(error);
    job->report->documents.total++;
    sx_status status = sx_store_document_print(job->database, row, &print, error);
    if (!status)
        status = sx_store_document_find(job->database, job->to.id, row->root, row->path, &there, error);
    bool same = there.id && !there.failed_chunks && !memcmp(&there.settings, &print, sizeof print);
    sx_document_row_clear(&there);
    if (status)
        return status;
    if (same) {
        job->report->documents.unchanged++;
        job->progress.done++;
        show(job, false);
        return SX_OK;
    }
    migrate_document *document = &job->documents[job->document_count];
    *document = (migrate_document){.state = row->state};
    status = copy_row(row, &print, &document->row, error);
    if (status)
        return status;
    job->document_count++;
    status = sx_store_document_chunks(job->database, row->id, &document->chunks, &document->count, error);
    if (!status)
        status = fit_chunks(job, document, error);
    for (size_t i = 0; i < document->count; i++)
        job->bytes += document->chunks[i].text_length;
    job->chunk_count += document->count;
    if (!status && (job->document_count == WINDOW_DOCUMENTS || job->chunk_count >= WINDOW_CHUNKS || job->bytes >= WINDOW_BYTES))
        status = flush_window(job, error);
    return status;
}

static sx_status visit_target(const sx_document_row *row, void *user, sx_error *error)
{
    migrate_job *job = user;
    sx_document_row source = {0};
    sx_status status = sx_store_document_find(job->database, job->from.id, row->root, row->path, &source, error);
    if (!status && !source.id) {
        status = sx_store_document_remove(job->database, row->id, error);
        job->report->documents.removed++;
    }
    sx_document_row_clear(&source);
    return status;
}

static sx_status count_documents(const sx_document_row *row, void *user, sx_error *error)
{
    (void)row;
    (void)error;
    ++*(uint64_t *)user;
    return SX_OK;
}

static sx_status fill(migrate_job *job, sx_error *error)
{
    uint64_t total = 0;
    sx_status status = sx_store_documents(job->database, job->from.id, NULL, "", count_documents, &total, error);
    begin_phase(job, "migrating", "documents", total);
    job->documents = sx_calloc(WINDOW_DOCUMENTS, sizeof *job->documents);
    if (!status && !job->documents)
        status = sx_fail_nomem(error, WINDOW_DOCUMENTS * sizeof *job->documents);
    if (!status)
        status = sx_store_documents(job->database, job->from.id, NULL, "", visit_source, job, error);
    if (!status)
        status = flush_window(job, error);
    if (!status)
        status = sx_store_documents(job->database, job->to.id, NULL, "", visit_target, job, error);
    show(job, true);
    if (status)
        return status;
    begin_phase(job, "publishing", "collections", 1);
    return sx_store_publish(job->database, job->to.id, true, error);
}

/* ---- The two sides ---- */

static sx_status lease_source(migrate_job *job, sx_error *error)
{
    sx_status status;
    unsigned tries = 0;
    do { /* whoever had the lease may have moved the collection: then it is looked for again */
        sx_collection_row_clear(&job->from);
        status = sx_store_collection_find(job->database, job->options.collection, &job->from, error);
        if (status)
            return status;
        status = sx_store_lease(job->database, job->from.id, false, job->options.stop, error);
        if (status == SX_E_BUSY && !job->options.no_wait) {
            begin_phase(job, "waiting for another process that works on this collection", "jobs", 0);
            status = sx_store_lease(job->database, job->from.id, true, job->options.stop, error);
        }
    } while (status == SX_E_MISMATCH && ++tries < MOST_TRIES);
    job->from_leased = !status;
    return status;
}

static sx_status check_sides(migrate_job *job, sx_error *error)
{
    sx_collection_row kept = {0};
    sx_status status = sx_store_shadow_find(job->database, job->from.id, SX_SHADOW_OLD, &kept, error);
    if (!status && !strcmp(job->from.recipe_hash, job->embedder->recipe_hex)) {
        status = sx_fail(error, SX_E_EXISTS, "collection %s: is of model %s already", job->from.name, job->from.model);
        if (kept.id)
            sx_hint(error, "it was migrated from %s; `migrate --rollback` goes back, `--drop-old` deletes the old side",
                kept.model);
    } else if (!status && kept.id) {
        status = sx_fail(error, SX_E_EXISTS, "collection %s: its side of model %s is still kept from an earlier migration",
                         job->from.name, kept.model);
        sx_hint(error, "`migrate --drop-old` deletes it, `migrate --rollback` goes back to it");
    }
    sx_collection_row_clear(&kept);
    if (!status)
        status = sx_store_shadow_find(job->database, job->from.id, SX_SHADOW_NEW, &job->to, error);
    if (!status && job->to.id && strcmp(job->to.recipe_hash, job->embedder->recipe_hex) != 0) {
        status = sx_fail(error, SX_E_EXISTS, "collection %s: is being migrated to %s (recipe %.12s), not to %s (recipe %.12s)",
                         job->from.name, job->to.model, job->to.recipe_hash, job->embedder->model, job->embedder->recipe_hex);
        sx_hint(error, "finish that one, or give it up: `migrate --cancel`");
    }
    return status;
}

static sx_status open_sides(migrate_job *job, sx_error *error)
{
    int64_t recipe;
    sx_status status = lease_source(job, error);
    if (!status)
        status = check_sides(job, error);
    if (!status)
        status = sx_embedder_recipe(job->embedder, job->database, &recipe, error);
    if (!status && !job->to.id)
        status = sx_store_shadow_make(job->database, job->from.id, recipe, &job->to, error);
    if (!status) {
        status = sx_store_shadow_lease(job->database, job->to.id, error);
        job->to_leased = !status;
    }
    job->report->from = job->from.model ? sx_strdup(job->from.model) : NULL;
    job->report->to = sx_strdup(job->embedder->model);
    return status;
}

static sx_status check_result(const migrate_job *job, sx_error *error)
{
    const sx_migrate_report *report = job->report;
    if (report->chunks.failed && !job->options.allow_failed) {
        sx_fail(error, SX_E_INVALID, "%llu chunks have no vector of model %s; the collection stays with %s",
                (unsigned long long)report->chunks.failed, job->embedder->model, job->from.model);
        sx_hint(error, "the same call tries them again; with --allow-failed it moves without them");
        return SX_E_INVALID;
    }
    if (job->options.least_overlap > 0 && !report->comparison.queries) {
        sx_fail(error, SX_E_MISMATCH, "the sides cannot be compared; the collection stays with %s", job->from.model);
        sx_hint(error, "no sampled chunk fits both models whole: compare with queries of your own (--queries FILE)");
        return SX_E_MISMATCH;
    }
    if (job->options.least_overlap > 0 && report->comparison.overlap < job->options.least_overlap) {
        sx_fail(error, SX_E_MISMATCH, "overlap@%u is %.3f, below %.3f; the collection stays with %s", report->comparison.count,
                report->comparison.overlap, job->options.least_overlap, job->from.model);
        sx_hint(error, "the same call with a smaller --min-overlap moves it, `migrate --cancel` gives it up");
        return SX_E_MISMATCH;
    }
    return SX_OK;
}

static sx_status run(migrate_job *job, sx_error *error)
{
    sx_provider_usage before = job->embedder->provider->usage;
    sx_status status = open_sides(job, error);
    if (!status)
        status = sx_embedder_pipeline(job->embedder, job->database, advanced, job, &job->pipeline, error);
    if (!status) {
        sx_pipeline_name(job->pipeline, "migrate", job->from.name, job->options.allow_secrets != 0);
        status = fill(job, error);
    }
    sx_spend *cost = &job->report->cost;
    const sx_provider *provider = job->embedder->provider;
    *cost = (sx_spend){.requests = provider->usage.requests - before.requests, .texts = job->report->chunks.embedded,
                       .cached = job->report->chunks.cached, .tokens = provider->usage.tokens - before.tokens};
    if (provider->info.usd_per_million < 0)
        cost->unpriced_tokens = cost->tokens;
    else
        cost->usd = provider->usage.usd - before.usd;
    if (!status) {
        begin_phase(job, "comparing", "queries", 0);
        status = sx_migrate_compare(job, error);
    }
    if (!status && !job->options.prepare)
        status = check_result(job, error);
    if (!status && sx_migrate_stopped(job))
        status = sx_migrate_stop_status(error);
    if (!status && !job->options.prepare) {
        status = sx_store_shadow_swap(job->database, job->from.id, SX_SHADOW_NEW, error);
        job->report->cut_over = !status;
    }
    return status;
}

static sx_status read_options(migrate_job *job, const sx_migrate_options *options, sx_error *error)
{
    sx_migrate_options *known = &job->options;
    sx_status status = sx_options_read(options, known, sizeof *known, "sx_migrate_options", error);
    if (!status && known->query_count && (!known->queries || !known->old_queries || !known->new_queries))
        status = sx_fail(error, SX_E_INVALID, "sx_migrate_options: queries need embedders of both sides");
    if (!status && (known->samples > 100000 || known->count > 1000))
        status = sx_fail(error, SX_E_INVALID, "sx_migrate_options: samples are %u (at most 100000), count is %u (at most 1000)",
                         known->samples, known->count);
    if (!known->collection)
        known->collection = "default";
    known->samples = known->samples ? known->samples : 50;
    known->count = known->count ? known->count : 10;
    return status;
}

sx_status sx_migrate(sx_database *database, sx_embedder *embedder, const sx_migrate_options *options,
                     sx_migrate_report **report, sx_error *error)
{
    if (report)
        *report = NULL;
    if (!database || !embedder || !report)
        return sx_fail(error, SX_E_INVALID, "sx_migrate: database, embedder or report is NULL");
    migrate_job job = {.database = database, .embedder = embedder};
    job.report = *report = sx_calloc(1, sizeof **report);
    if (!job.report)
        return sx_fail_nomem(error, sizeof **report);
    job.began_ns = now(&job);
    sx_error local;
    sx_status status = read_options(&job, options, error ? error : &local);
    if (!status)
        status = run(&job, error ? error : &local);
    job.report->seconds = (double)(now(&job) - job.began_ns) / 1e9;
    if (job.documents)
        clear_window(&job);
    free(job.documents);
    sx_pipeline_close(job.pipeline);
    if (job.to_leased)
        sx_store_lease_release(database, job.to.id);
    if (job.from_leased)
        sx_store_lease_release(database, job.from.id);
    sx_collection_row_clear(&job.from);
    sx_collection_row_clear(&job.to);
    return status;
}

void sx_migrate_report_free(sx_migrate_report *report)
{
    if (!report)
        return;
    for (size_t i = 0; i < report->failed_count; i++) {
        free(report->failed[i].document);
        free(report->failed[i].reason);
    }
    free(report->failed);
    free(report->from);
    free(report->to);
    free(report);
}

/* ---- Afterwards ---- */

/* Both sides, leased. *other of the kind; SX_E_NOT_FOUND when there is none. */
static sx_status take_sides(sx_database *database, const char *name, sx_shadow_kind kind, sx_collection_row *row,
                            sx_collection_row *other, sx_error *error)
{
    sx_status status = sx_store_collection_find(database, name ? name : "default", row, error);
    if (!status)
        status = sx_store_lease(database, row->id, false, NULL, error);
    if (status)
        return status;
    status = sx_store_shadow_find(database, row->id, kind, other, error);
    if (!status && !other->id) {
        status = sx_fail(error, SX_E_NOT_FOUND, "collection %s: %s", row->name,
                         kind == SX_SHADOW_OLD ? "no old side is kept" : "no migration is unfinished");
        sx_hint(error, "`sextant status` shows migrations and what is kept of them");
    }
    if (!status)
        status = sx_store_shadow_lease(database, other->id, error);
    if (status)
        sx_store_lease_release(database, row->id);
    return status;
}

sx_status sx_migrate_rollback(sx_database *database, const char *collection, sx_error *error)
{
    if (!database)
        return sx_fail(error, SX_E_INVALID, "sx_migrate_rollback: the database is NULL");
    sx_collection_row row = {0}, kept = {0};
    sx_status status = take_sides(database, collection, SX_SHADOW_OLD, &row, &kept, error);
    if (!status) {
        status = sx_store_shadow_swap(database, row.id, SX_SHADOW_OLD, error);
        sx_store_lease_release(database, kept.id);
        sx_store_lease_release(database, row.id);
    }
    sx_collection_row_clear(&row);
    sx_collection_row_clear(&kept);
    return status;
}

sx_status sx_migrate_drop(sx_database *database, const char *collection, int unfinished, sx_error *error)
{
    if (!database)
        return sx_fail(error, SX_E_INVALID, "sx_migrate_drop: the database is NULL");
    sx_collection_row row = {0}, other = {0};
    sx_status status = take_sides(database, collection, unfinished ? SX_SHADOW_NEW : SX_SHADOW_OLD, &row, &other, error);
    if (!status) {
        status = sx_store_shadow_drop(database, other.id, error);
        sx_store_lease_release(database, row.id);
    }
    sx_collection_row_clear(&row);
    sx_collection_row_clear(&other);
    return status;
}
