/* index_window.c - a window of chunks slides over the documents to do.
 *
 * Chunks of many small documents are gathered until the window is full, so that batches are full across documents; a huge
 * document passes through in several windows, and only its text and the places of its chunks stay in memory meanwhile.
 * Vectors are stored by content as each batch comes back; a document is committed when all its chunks are through, with
 * others in one transaction, and until then its old chunks stay searchable. So a kill loses no vector, and shows no half
 * document.
 */
#include "estimate.h"
#include "index_cut.h"
#include "index_records.h"

#include "../base/buffer.h"
#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/json_writer.h"
#include "../base/memory.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW_TOKENS = 65536,
    WINDOW_TOKENS_REMOTE = 1 << 23, /* many requests are in flight at once, and all of a window must be back before the next */
    WINDOW_BATCHES = 8,          /* or this many full batches, when that is more */
    WINDOW_CHUNKS = 8192,
    WINDOW_DOCUMENTS = 1024,
    WINDOW_BYTES = 64 << 20,     /* of documents' files */
    LARGE_FILE = 1 << 20,
    MOST_ROUNDS = 3,
    LOOKUP_BLOCK = 512
};
static const int64_t publish_interval_ns = 30000000000;

typedef struct window_chunk {
    index_work *work;
    size_t index;
} window_chunk;

typedef struct index_window {
    index_job *job;
    index_work *first, **last; /* open documents, in order */
    size_t document_count;
    uint64_t bytes, tokens, token_limit, byte_limit;
    size_t next_pending;
    index_container *reading;  /* a file of many documents, before its end */
    sx_pipeline_item *items;
    window_chunk *chunks;
    size_t count;
    sx_arena texts;            /* those that are not simply a part of the document's text */
} index_window;

/* ---- Filling ---- */

/* A document that fills many windows moves the progress with each. Chunks overlap, so its bytes bound the sum. */
static void count_bytes(index_job *job, index_work *work, size_t index)
{
    const sx_chunk *chunk = &work->cut->list.chunks[index];
    uint64_t bytes = chunk->end - chunk->start, left = work->bytes - work->bytes_counted;
    if (bytes > left)
        bytes = left;
    work->bytes_counted += bytes;
    job->progress.bytes_done += bytes;
}

/* What cannot be embedded has failed; it has its hash all the same. */
static sx_status fail_chunk(index_window *window, index_work *work, size_t index, const char *reason, sx_error *error)
{
    index_cut *cut = work->cut;
    sx_buffer buffer = {0};
    bool made = sx_chunk_embedded_text(&cut->list.chunks[index], work->document.text, &buffer);
    if (made)
        sx_sha256_of(buffer.data, buffer.length, &cut->hashes[index]);
    sx_buffer_clear(&buffer);
    cut->reasons[index] = made ? sx_strdup(reason) : NULL;
    if (!cut->reasons[index])
        return sx_fail_nomem(error, 160);
    count_bytes(window->job, work, index);
    cut->finished++;
    cut->failed++;
    return SX_OK;
}

static sx_status add_chunk(index_window *window, index_work *work, size_t index, sx_error *error)
{
    const index_job *job = window->job;
    char problem[320] = "";
    const sx_chunk *chunk = &work->cut->list.chunks[index];
    sx_text text = {work->document.text + chunk->start, (size_t)(chunk->end - chunk->start)};
    if (chunk->header && chunk->header[0]) {
        sx_buffer buffer = {0};
        char *copy = NULL;
        if (sx_chunk_embedded_text(chunk, work->document.text, &buffer))
            copy = sx_arena_strndup(&window->texts, buffer.data, buffer.length);
        text = (sx_text){copy, buffer.length};
        sx_buffer_clear(&buffer);
        if (!copy)
            return sx_fail_nomem(error, text.length);
    }
    if (job->options.batch_api && !job->options.dry_run) {
        sx_status status = sx_embedder_batch_problem(job->embedder, text, problem, error);
        if (status || problem[0])
            return status ? status : fail_chunk(window, work, index, problem, error);
    }
    window->items[window->count] = (sx_pipeline_item){.text = text, .tokens = chunk->tokens};
    window->chunks[window->count++] = (window_chunk){work, index};
    window->tokens += chunk->tokens;
    return SX_OK;
}

static bool is_full(const index_window *window)
{
    return window->count >= WINDOW_CHUNKS || window->tokens >= window->token_limit;
}

static sx_status add_chunks(index_window *window, index_work *work, sx_error *error)
{
    sx_status status = SX_OK;
    while (!status && !is_full(window) && work->cut->next < work->cut->list.count) {
        size_t index = work->cut->next++;
        if (work->cut->held && work->cut->held[index])
            status = fail_chunk(window, work, index, work->cut->held[index], error);
        else
            status = add_chunk(window, work, index, error);
    }
    return status;
}

/* A file whose records are all read and committed is done. */
static sx_status settle(index_window *window, index_container *container, sx_error *error)
{
    if (container->open || container == window->reading)
        return SX_OK;
    sx_status status = sx_index_container_finish(window->job, container, error);
    sx_index_container_free(container);
    return status;
}

/* Whether the next document is to wait until those in hand are committed. */
static bool must_wait(index_window *window, uint64_t size)
{
    const index_job *job = window->job;
    if (!window->document_count) {
        if (job->options.max_memory)
            malloc_trim(0); /* what the documents before held */
        return false;
    }
    if (window->document_count >= WINDOW_DOCUMENTS || window->bytes + size > window->byte_limit)
        return true;
    return job->options.max_memory &&
           sx_index_memory_used() + sx_index_memory_need(size) > job->options.max_memory;
}

static sx_status take_work(index_window *window, index_work *work, sx_error *error)
{
    *window->last = work;
    window->last = &work->next;
    window->document_count++;
    window->bytes += work->bytes;
    return add_chunks(window, work, error);
}

static sx_status read_file(index_window *window, const index_pending *pending, sx_error *error)
{
    index_job *job = window->job;
    index_work *work = NULL;
    bool holds_records = !job->given && sx_index_holds_records(job, pending);
    sx_status status = SX_OK;
    if (pending->size >= LARGE_FILE) /* reading it takes a while: nobody should wait for that */
        status = sx_index_transaction_end(job, error);
    window->next_pending++;
    if (!status && holds_records)
        status = sx_index_container_open(job, pending, &window->reading, error);
    else if (!status)
        status = sx_index_read(job, pending, &work, error);
    if (status)
        return status;
    if (work)
        return take_work(window, work, error);
    if (!window->reading) { /* not read: pictures take no time, and would make the rest seem to take none */
        job->progress.done++;
        job->progress.bytes_total -= pending->size < job->progress.bytes_total ? pending->size : job->progress.bytes_total;
    }
    return SX_OK;
}

static sx_status read_record(index_window *window, sx_error *error)
{
    index_container *container = window->reading;
    index_work *work = NULL;
    bool more;
    sx_status status = sx_index_container_next(window->job, container, &work, &more, error);
    if (!status && work)
        status = take_work(window, work, error);
    if (status || more)
        return status;
    window->job->progress.done++;
    window->job->progress.bytes_done += container->pending.size;
    window->reading = NULL;
    return settle(window, container, error);
}

/* Fills the window with chunks of documents in hand, then of further ones. */
static sx_status fill(index_window *window, sx_error *error)
{
    index_job *job = window->job;
    sx_status status = SX_OK;
    window->count = 0;
    window->tokens = 0;
    sx_arena_clear(&window->texts);
    for (index_work *work = window->first; !status && work && !is_full(window); work = work->next)
        status = add_chunks(window, work, error);
    while (!status && !is_full(window) && (window->reading || window->next_pending < job->pending_count)) {
        const index_pending *pending = window->reading ? NULL : &job->pending[window->next_pending];
        if (sx_index_stopped(job)) {
            status = sx_index_stop_status(error);
            break;
        }
        if (must_wait(window, pending ? pending->size : 0))
            break;
        status = pending ? read_file(window, pending, error) : read_record(window, error);
        sx_index_show(job, false);
    }
    sx_status ended = sx_index_transaction_end(job, status ? NULL : error);
    return status ? status : ended;
}

/* ---- Embedding ---- */

static sx_status take_receipts(index_window *window, sx_error *error)
{
    for (size_t i = 0; i < window->count; i++) {
        const sx_receipt *receipt = &window->items[i].receipt;
        index_cut *cut = window->chunks[i].work->cut;
        size_t index = window->chunks[i].index;
        if (!window->items[i].reached)
            continue;
        if (receipt->status) {
            cut->reasons[index] = sx_strdup(receipt->message ? receipt->message : sx_status_name(receipt->status));
            if (!cut->reasons[index])
                return sx_fail_nomem(error, 64);
        }
        count_bytes(window->job, window->chunks[i].work, index);
        cut->hashes[index] = window->items[i].hash;
        cut->finished++;
        cut->failed += receipt->status != SX_OK;
        cut->truncated += !receipt->status && receipt->truncated;
        if (!receipt->status && receipt->cached) {
            cut->cached++;
        } else if (!receipt->status) {
            cut->embedded++;
            cut->tokens += receipt->tokens;
        }
    }
    return SX_OK;
}

/* The stand-in of the dry run, and of what a budget leaves: which of the window's texts are stored, what the others would
 * cost. */
static sx_status count_only(index_window *window, sx_error *error)
{
    index_job *job = window->job;
    sx_spend *sum = job->options.dry_run ? &job->report->cost : &job->report->left;
    bool known[LOOKUP_BLOCK];
    sx_text texts[LOOKUP_BLOCK];
    uint32_t tokens[LOOKUP_BLOCK];
    size_t places[LOOKUP_BLOCK], block = 0;
    for (size_t i = 0; i < window->count;) {
        for (; i < window->count && block < LOOKUP_BLOCK; i++) {
            if (window->items[i].reached)
                continue;
            texts[block] = window->items[i].text;
            tokens[block] = window->items[i].tokens;
            places[block++] = i;
        }
        uint64_t before = sum->tokens;
        sx_status status = sx_estimate_texts(job->embedder, job->database, job->recipe, &job->counted, texts, tokens,
                                             block, known, sum, error);
        if (!status && job->options.batch_api && job->options.dry_run)
            status = sx_embedder_batch_add(job->embedder, texts, block, error);
        if (status)
            return status;
        job->report->tokens += job->options.dry_run ? sum->tokens - before : 0;
        for (size_t j = 0; j < block; j++) {
            index_work *work = window->chunks[places[j]].work;
            work->cut->finished++;
            work->left = job->out_of_budget;
            work->cut->cached += job->options.dry_run && known[j];
            work->cut->embedded += job->options.dry_run && !known[j];
        }
        block = 0;
    }
    return SX_OK;
}

static sx_status embed(index_window *window, sx_error *error)
{
    index_job *job = window->job;
    if (job->options.dry_run || job->out_of_budget)
        return count_only(window, error);
    job->progress.window_bytes = 0;
    for (size_t i = 0; i < window->count; i++)
        job->progress.window_bytes += window->items[i].text.length;
    job->progress.window_texts = window->count;
    job->progress.window_start = sx_pipeline_count(job->pipeline)->texts;
    sx_status status = sx_pipeline_run(job->pipeline, window->items, window->count, job->options.stop, error);
    job->progress.window_texts = 0;
    /* Also when the run ended early: documents that are through are committed. */
    sx_status taken = take_receipts(window, status ? NULL : error);
    if (!taken && status == SX_E_LIMIT && sx_pipeline_count(job->pipeline)->out_of_budget) {
        job->out_of_budget = true; /* the rest is counted, so that the report can say what is left */
        return count_only(window, error);
    }
    return status ? status : taken;
}

/* ---- Committing ---- */

static char *headings_json(const sx_chunk *chunk)
{
    json_t *headings = json_array();
    for (uint32_t i = 0; i < chunk->heading_count; i++)
        json_array_append_new(headings, json_string(chunk->headings[i]));
    char *text = json_dumps(headings, JSON_COMPACT);
    json_decref(headings);
    return text;
}

/* What is defined in the chunk; NULL for nothing, which also memory's end is: then *failed is set. */
static char *symbols_json(const sx_chunk *chunk, bool *failed)
{
    sx_buffer text = {0};
    for (uint32_t i = 0; i < chunk->symbol_count; i++) {
        const sx_symbol *symbol = &chunk->symbols[i];
        sx_buffer_append_string(&text, i ? ",{\"name\":" : "[{\"name\":");
        sx_json_write_string(&text, symbol->name, strlen(symbol->name));
        sx_buffer_append_string(&text, ",\"kind\":");
        sx_json_write_string(&text, symbol->kind, strlen(symbol->kind));
        sx_buffer_printf(&text, ",\"line\":%u}", symbol->line);
    }
    if (chunk->symbol_count)
        sx_buffer_append_byte(&text, ']');
    *failed = *failed || text.failed;
    return chunk->symbol_count ? sx_buffer_take(&text) : NULL;
}

/* The vectors' rows of a document's chunks. *missing: some are not stored (any more). */
static sx_status find_vectors(index_job *job, const index_cut *cut, sx_chunk_row *rows, bool *missing, sx_error *error)
{
    sx_vector_row found[LOOKUP_BLOCK];
    *missing = false;
    for (size_t start = 0; start < cut->list.count; start += LOOKUP_BLOCK) {
        size_t block = cut->list.count - start < LOOKUP_BLOCK ? cut->list.count - start : LOOKUP_BLOCK;
        memset(found, 0, sizeof found);
        sx_status status = sx_store_lookup(job->database, job->recipe, cut->hashes + start, block, found, NULL, error);
        if (status)
            return status;
        for (size_t i = 0; i < block; i++) {
            if (!cut->reasons[start + i])
                rows[start + i].vector = found[i].id;
            *missing |= !cut->reasons[start + i] && !found[i].id;
        }
    }
    return SX_OK;
}

static sx_status make_rows(const index_work *work, sx_chunk_row *rows, sx_error *error)
{
    bool failed = false;
    const index_cut *cut = work->cut;
    for (size_t i = 0; i < cut->list.count; i++) {
        const sx_chunk *chunk = &cut->list.chunks[i];
        rows[i] = (sx_chunk_row){
            .document = work->row.id,
            .vector = rows[i].vector,
            .index = (uint32_t)i,
            .start_line = chunk->start_line,
            .end_line = chunk->end_line,
            .tokens = chunk->tokens,
            .start = chunk->start,
            .end = chunk->end,
            .headings = headings_json(chunk),
            .symbols = symbols_json(chunk, &failed),
            .header = (char *)chunk->header,
            .text = (char *)work->document.text + chunk->start,
            .text_length = (size_t)(chunk->end - chunk->start),
            .hash = cut->hashes[i],
            .reason = cut->reasons[i],
        };
        if (!rows[i].headings || failed)
            return sx_fail_nomem(error, 64);
    }
    return SX_OK;
}

static void report_chunks(sx_index_report *report, const index_cut *cut)
{
    report->chunks.total += cut->finished;
    report->chunks.embedded += cut->embedded;
    report->chunks.cached += cut->cached;
    report->chunks.failed += cut->failed;
    report->tokens += cut->tokens;
    report->truncated += cut->truncated;
}

static sx_status report_document(index_job *job, const index_work *work, sx_error *error)
{
    const index_cut *cut = work->cut;
    sx_index_report *report = job->report;
    report_chunks(report, cut);
    if (work->left)
        return SX_OK;
    if (cut->failed)
        report->documents.failed++;
    else if (work->is_new)
        report->documents.added++;
    else
        report->documents.changed++;
    sx_status status = SX_OK;
    for (size_t i = 0; !status && i < cut->list.count; i++)
        if (cut->reasons[i])
            status = sx_index_add_failed(job, work->row.path, (int64_t)i, cut->reasons[i], error);
    return status;
}

/* Inside the window's transaction. *committed false: vectors have been pruned from the cache since, the document starts again. */
static sx_status commit_document(index_job *job, index_work *work, bool *committed, sx_error *error)
{
    const index_cut *cut = work->cut;
    bool missing = false;
    *committed = false;
    sx_chunk_row *rows = sx_calloc(cut->list.count, sizeof *rows);
    if (!rows)
        return sx_fail_nomem(error, cut->list.count * sizeof *rows);
    sx_status status = find_vectors(job, cut, rows, &missing, error);
    if (!status && missing && cut->rounds + 1 >= MOST_ROUNDS)
        status = sx_fail(error, SX_E_LIMIT, "%s: its vectors are pruned from the cache faster than it can be committed",
                         work->row.path);
    if (!status && !missing) {
        work->row.chunk_count = cut->list.count;
        work->row.failed_chunks = cut->failed;
        work->row.state = cut->failed ? SX_DOCUMENT_FAILED : SX_DOCUMENT_DONE;
        status = make_rows(work, rows, error);
    }
    if (!status && !missing) {
        status = sx_store_document_commit(job->database, job->collection.id, &work->row, rows, cut->list.count, error);
        *committed = !status;
    }
    for (size_t i = 0; i < cut->list.count; i++) {
        free(rows[i].headings);
        free(rows[i].symbols);
    }
    free(rows);
    return status;
}

/* Takes a committed document out of the window. */
static sx_status close_work(index_window *window, index_work **place, sx_error *error)
{
    index_work *work = *place;
    *place = work->next;
    if (window->last == &work->next)
        window->last = place;
    window->document_count--;
    window->bytes -= work->bytes;
    index_container *container = work->container;
    if (container) {
        container->failed += work->cut->failed != 0;
        container->left |= work->left;
        container->open--;
    } else {
        window->job->progress.done++;
        window->job->progress.bytes_done += work->bytes - work->bytes_counted;
    }
    sx_index_work_free(work);
    return container ? settle(window, container, error) : SX_OK;
}

static bool is_finished(const index_work *work)
{
    return work->cut->finished == work->cut->list.count;
}

/* Commits all documents that are through, in one transaction; their report only counts once that is durable. */
static sx_status commit_finished(index_window *window, sx_error *error)
{
    index_job *job = window->job;
    bool any = false;
    for (const index_work *work = window->first; work; work = work->next)
        any |= is_finished(work);
    if (!any)
        return SX_OK;
    sx_status status = job->options.dry_run ? SX_OK : sx_store_begin(job->database, error);
    for (index_work *work = window->first; !status && work; work = work->next) {
        bool committed = true;
        if (!is_finished(work))
            continue;
        if (!job->options.dry_run && !work->left)
            status = commit_document(job, work, &committed, error);
        if (!status && !committed)
            sx_index_cut_restart(work->cut);
    }
    if (!status && !job->options.dry_run)
        status = sx_store_commit(job->database, error);
    if (status) {
        sx_store_rollback(job->database);
        return status;
    }
    for (index_work **place = &window->first; !status && *place;) {
        if (is_finished(*place)) {
            status = report_document(job, *place, error);
            sx_status closed = close_work(window, place, status ? NULL : error);
            status = status ? status : closed;
        } else {
            place = &(*place)->next;
        }
    }
    sx_index_show(job, false);
    return status;
}

static sx_status publish_now_and_then(index_job *job, sx_error *error)
{
    int64_t now = sx_index_now(job);
    if (job->options.dry_run || now - job->published_ns < publish_interval_ns)
        return SX_OK;
    job->published_ns = now;
    const sx_publish_watch watch = {.stop = job->options.stop};
    return sx_store_publish_watched(job->database, job->collection.id, false, &watch, error);
}

/* Jobs of the Batch API are in the embedder's cache, which holds back what the run would. */
static sx_status check_batch(const index_job *job, sx_error *error)
{
    if (!job->options.batch_api)
        return SX_OK;
    if (job->embedder->cache != job->database)
        return sx_fail(error, SX_E_INVALID, "sx_index_options: batch_api, and the embedder's cache is not this database");
    if (job->embedder->allow_secrets != (job->options.allow_secrets != 0))
        return sx_fail(error, SX_E_INVALID, "sx_index_options: batch_api, and allow_secrets is not the embedder's");
    return SX_OK;
}

sx_status sx_index_process(index_job *job, sx_error *error)
{
    const sx_provider_info *info = &job->embedder->provider->info;
    index_window window = {.job = job, .token_limit = WINDOW_TOKENS, .byte_limit = WINDOW_BYTES};
    uint64_t batches = (uint64_t)info->max_tokens * info->max_in_flight * WINDOW_BATCHES / 2, bytes = 0;
    uint64_t most = info->remote ? WINDOW_TOKENS_REMOTE : 8 * WINDOW_TOKENS;
    if (batches > window.token_limit)
        window.token_limit = batches < most ? batches : most;
    if (job->options.max_memory && job->options.max_memory / 32 < window.byte_limit)
        window.byte_limit = job->options.max_memory / 32;
    window.last = &window.first;
    window.items = sx_calloc(WINDOW_CHUNKS, sizeof *window.items);
    window.chunks = sx_calloc(WINDOW_CHUNKS, sizeof *window.chunks);
    sx_status status =
        window.items && window.chunks ? check_batch(job, error) : sx_fail_nomem(error, WINDOW_CHUNKS * sizeof *window.items);
    for (size_t i = 0; i < job->pending_count; i++)
        bytes += job->pending[i].size;
    sx_index_phase(job, job->options.dry_run ? "counting" : "embedding", "files", job->pending_count, bytes);
    while (!status && (window.first || window.reading || window.next_pending < job->pending_count)) {
        status = fill(&window, error);
        /* Stopped while filling: what is in the window was not begun, only what was finished before counts. */
        if (!status && window.count)
            status = embed(&window, error);
        if (!status) {
            status = commit_finished(&window, error);
        } else {
            commit_finished(&window, NULL);
        }
        if (!status)
            status = publish_now_and_then(job, error);
    }
    while (window.first) {
        index_work *next = window.first->next;
        index_container *container = window.first->container;
        report_chunks(job->report, window.first->cut); /* its vectors are stored: the next run finds them */
        if (container && --container->open == 0 && container != window.reading)
            sx_index_container_free(container);
        sx_index_work_free(window.first);
        window.first = next;
    }
    sx_index_container_free(window.reading);
    sx_index_show(job, true);
    sx_arena_clear(&window.texts);
    free(window.items);
    free(window.chunks);
    return status;
}
