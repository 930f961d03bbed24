/* batch_advance.c - a job of the Batch API from step to step, each in the database before the next begins.
 *
 * A crash leaves the job at a step, and the step is done again: an upload whose id was lost is harmless; making the batch looks
 * for it first (batch_job.c); what came back is stored block by block, each block with its texts' states and its cost in one
 * transaction, so that nothing is entered twice.
 */
#include "batch_work.h"
#include "pipeline_internal.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../provider/batch_files.h"
#include "../provider/batch_job.h"
#include "../store/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK_TEXTS = 256 };

bool sx_batch_at_end(const sx_batch_row *row)
{
    return row->step == SX_BATCH_STORED || row->step == SX_BATCH_DROPPED;
}

static sx_status set_text(char **to, const char *text, sx_error *error)
{
    char *copy = text[0] ? sx_strdup(text) : NULL;
    if (text[0] && !copy)
        return sx_fail_nomem(error, strlen(text));
    free(*to);
    *to = copy;
    return SX_OK;
}

static sx_status take_state(sx_batch_row *row, const sx_batch_state *state, sx_error *error)
{
    sx_status status = set_text(&row->batch_id, state->id, error);
    if (!status)
        status = set_text(&row->status, state->status, error);
    if (!status)
        status = set_text(&row->output_id, state->output_file, error);
    if (!status)
        status = set_text(&row->error_id, state->error_file, error);
    if (!status && state->message[0])
        status = set_text(&row->message, state->message, error);
    return status;
}

/* ---- The first steps ---- */

static sx_status upload(sx_database *database, sx_batch_row *row, sx_batch_service *service, sx_error *error)
{
    sx_file_map map = {0};
    sx_sha256 hash;
    char id[128];
    char *path = sx_store_batch_path(database, &row->file);
    if (!path)
        return sx_fail_nomem(error, 256);
    sx_status status = sx_file_map_open(path, &map, error);
    if (status)
        sx_hint(error, "`sextant batch cancel %lld` gives the job up; nothing was paid for it", (long long)row->id);
    if (!status) {
        sx_sha256_of(map.data, map.length, &hash);
        if (memcmp(&hash, &row->file, sizeof hash) != 0)
            status = sx_fail(error, SX_E_MISMATCH, "%s: the file was changed since it was prepared", path);
    }
    if (!status)
        status = sx_batch_upload(service, sx_path_name(path), (const char *)map.data, map.length, id, error);
    if (!status)
        status = set_text(&row->file_id, id, error);
    if (!status) {
        row->step = SX_BATCH_UPLOADED;
        status = sx_store_batch_save(database, row, error);
    }
    sx_file_map_close(&map);
    free(path);
    return status;
}

static sx_status create(sx_database *database, sx_batch_row *row, sx_batch_service *service, sx_error *error)
{
    char mark[SX_SHA256_HEX];
    sx_batch_state state = {0};
    bool asked = row->asked;
    sx_sha256_hex(&row->file, mark);
    row->asked = true;
    sx_status status = sx_store_batch_save(database, row, error);
    if (!status)
        status = sx_batch_create(service, row->file_id, mark, asked, &state, error);
    if (!status)
        status = take_state(row, &state, error);
    if (status)
        return status;
    row->step = SX_BATCH_CREATED;
    status = sx_store_batch_save(database, row, error);
    char *path = sx_store_batch_path(database, &row->file);
    if (!status && path)
        (void)unlink(path); /* the service has it; a file that stays behind is harmless */
    free(path);
    return status;
}

static sx_status look(sx_database *database, sx_batch_row *row, sx_batch_service *service, sx_error *error)
{
    sx_batch_state state = {0};
    sx_status status = sx_batch_get(service, row->batch_id, &state, error);
    if (!status && strcmp(state.id, row->batch_id) != 0)
        status = sx_fail(error, SX_E_PROVIDER, "batch %lld: the service describes another one, '%.60s'", (long long)row->id,
                         state.id);
    if (!status)
        status = take_state(row, &state, error);
    if (status)
        return status;
    if (sx_batch_is_over(state.status))
        row->step = SX_BATCH_FINISHED;
    return sx_store_batch_save(database, row, error);
}

/* ---- What came back ---- */

typedef struct collection {
    sx_database *database;
    sx_batch_row *row;
    const sx_wire_target *target;
    const sx_clock *clock;
    sx_provider_info info;
    sx_ledger_job job;
    sx_sha256 *hashes;
    unsigned char *states, *seen;
    size_t count;
    /* the block in hand */
    size_t places[BLOCK_TEXTS];
    sx_vector_row rows[BLOCK_TEXTS];
    float *vectors;
    size_t held;
    uint64_t tokens;
} collection;

/* Stores the block with all that goes with it, or nothing. */
static sx_status store_block(collection *work, sx_error *error)
{
    sx_batch_row *row = work->row;
    sx_sha256 hashes[BLOCK_TEXTS];
    uint64_t stored = row->stored, tokens = row->tokens;
    if (!work->held)
        return SX_OK;
    for (size_t i = 0; i < work->held; i++)
        hashes[i] = work->hashes[work->places[i]];
    sx_spend spend = {.requests = work->held,
                      .texts = work->held,
                      .tokens = work->tokens,
                      .usd = row->price > 0 ? row->price * (double)work->tokens / 1e6 : 0};
    int64_t job = work->job.id;
    sx_status status = sx_store_begin(work->database, error);
    if (status)
        return status;
    row->stored += work->held;
    row->tokens += work->tokens;
    status = sx_store_put(work->database, row->recipe, hashes, work->held, work->vectors, work->rows, NULL, error);
    for (size_t i = 0; !status && i < work->held; i++)
        status = sx_store_batch_item(work->database, row->id, &hashes[i], SX_BATCH_ITEM_STORED, NULL, error);
    if (!status)
        status = sx_ledger_add(work->database, &work->job, &spend, work->clock->wall_ns(work->clock->user), error);
    if (!status)
        status = sx_store_batch_save(work->database, row, error);
    if (!status)
        status = sx_store_commit(work->database, error);
    if (status) {
        sx_store_rollback(work->database);
        work->job.id = job;
        row->stored = stored;
        row->tokens = tokens;
        return status;
    }
    for (size_t i = 0; i < work->held; i++)
        work->states[work->places[i]] = SX_BATCH_ITEM_STORED;
    work->held = 0;
    work->tokens = 0;
    return SX_OK;
}

static sx_status fail_item(collection *work, size_t place, const char *reason, sx_error *error)
{
    work->states[place] = SX_BATCH_ITEM_FAILED;
    return sx_store_batch_item(work->database, work->row->id, &work->hashes[place], SX_BATCH_ITEM_FAILED, reason, error);
}

static sx_status take_line(const sx_batch_line *line, void *user, sx_error *error)
{
    collection *work = user;
    sx_wire_reply reply = {0};
    char buffer[160];
    if (work->states[line->index] == SX_BATCH_ITEM_STORED)
        return SX_OK; /* before a crash */
    if (line->message[0])
        return fail_item(work, line->index, line->message, error);
    float *vector = work->vectors + work->held * work->row->dimensions;
    work->target->form->read(work->target, line->body.data, line->body.length, 1, work->row->dimensions, vector,
                             work->row->dimensions, &reply);
    if (reply.verdict != SX_WIRE_OK)
        return fail_item(work, line->index, reply.message, error);
    sx_receipt receipt = {.tokens = (uint32_t)reply.tokens};
    const char *fault = sx_pipeline_fault_of(&work->info, &receipt, vector, buffer, sizeof buffer);
    if (fault)
        return fail_item(work, line->index, fault, error);
    work->places[work->held] = line->index;
    work->rows[work->held] = (sx_vector_row){.tokens = receipt.tokens};
    work->tokens += reply.tokens;
    work->held++;
    return work->held == BLOCK_TEXTS ? store_block(work, error) : SX_OK;
}

static sx_status read_file(collection *work, sx_batch_service *service, const char *id, sx_batch_refusals *refusals,
                           sx_error *error)
{
    sx_buffer data = {0};
    sx_batch_expected expected = {work->hashes, work->seen, work->count};
    if (!id)
        return SX_OK;
    sx_status status = sx_batch_download(service, id, &data, error);
    if (!status)
        status = sx_batch_file_read(work->target, &work->row->recipe_hash, data.data ? data.data : "", data.length, &expected,
                                    take_line, work, refusals, error);
    if (!status)
        status = store_block(work, error);
    sx_buffer_clear(&data);
    return status;
}

/* The last step: what no line was read for has failed, and the job is done. */
static sx_status finish(collection *work, const sx_batch_refusals *refusals, sx_error *error)
{
    sx_batch_row *row = work->row;
    char reason[320];
    bool failed_whole = row->message && row->status && strcmp(row->status, "failed") == 0;
    snprintf(reason, sizeof reason, "the batch ended (%s) without it%s%s", row->status ? row->status : "?",
             failed_whole ? ": " : "", failed_whole ? row->message : "");
    sx_status status = sx_store_begin(work->database, error);
    if (status)
        return status;
    for (size_t i = 0; i < work->count && !status; i++)
        if (work->states[i] == SX_BATCH_ITEM_PENDING)
            status = fail_item(work, i, reason, error);
    row->failed = 0;
    for (size_t i = 0; i < work->count; i++)
        row->failed += work->states[i] == SX_BATCH_ITEM_FAILED;
    if (!status && refusals->count) {
        snprintf(reason, sizeof reason, "%zu lines were passed over; the first: %s", refusals->count, refusals->first);
        status = set_text(&row->message, reason, error);
    }
    row->step = SX_BATCH_STORED;
    if (!status)
        status = sx_store_batch_tidy(work->database, row->id, error);
    if (!status)
        status = sx_store_batch_save(work->database, row, error);
    if (!status)
        status = sx_store_commit(work->database, error);
    if (status) {
        sx_store_rollback(work->database);
        row->step = SX_BATCH_FINISHED;
    }
    return status;
}

static sx_status collect(sx_database *database, sx_batch_row *row, sx_batch_service *service, sx_error *error)
{
    sx_batch_refusals refusals = {0};
    collection work = {.database = database,
                       .row = row,
                       .target = service->target,
                       .clock = &service->clock,
                       .info = {.dimensions = row->dimensions, .normalized = service->target->form->normalized},
                       .job = {.verb = "batch",
                               .collection = "",
                               .provider = row->provider,
                               .model = row->model,
                               .space = row->space,
                               .unpriced = row->price < 0}};
    sx_status status = sx_store_batch_items(database, row->id, &work.hashes, &work.states, &work.count, error);
    if (!status) {
        work.seen = sx_calloc(work.count, 1);
        work.vectors = sx_calloc(BLOCK_TEXTS, row->dimensions * sizeof *work.vectors);
        if (!work.seen || !work.vectors)
            status = sx_fail_nomem(error, BLOCK_TEXTS * row->dimensions * sizeof *work.vectors);
    }
    if (!status)
        status = read_file(&work, service, row->output_id, &refusals, error);
    if (!status)
        status = read_file(&work, service, row->error_id, &refusals, error);
    if (!status)
        status = finish(&work, &refusals, error);
    free(work.hashes);
    free(work.states);
    free(work.seen);
    free(work.vectors);
    return status;
}

/* ---- One job ---- */

sx_status sx_batch_move(sx_database *database, sx_batch_row *row, const sx_wire_target *target, const sx_clock *clock,
                        const volatile int *stop, sx_error *error)
{
    sx_batch_service service;
    if (strcmp(target->base_url, row->url) != 0)
        return sx_fail(error, SX_E_INVALID, "batch %lld was made for %s, and the address is %s now", (long long)row->id, row->url,
                       target->base_url);
    sx_status status = sx_batch_service_open(&service, target, clock, stop, error);
    if (!status && row->step == SX_BATCH_PREPARED)
        status = upload(database, row, &service, error);
    if (!status && row->step == SX_BATCH_UPLOADED)
        status = create(database, row, &service, error);
    if (!status && row->step == SX_BATCH_CREATED)
        status = look(database, row, &service, error);
    if (!status && row->step == SX_BATCH_FINISHED)
        status = collect(database, row, &service, error);
    sx_batch_service_close(&service);
    return status;
}

static sx_status find_row(sx_database *database, int64_t id, sx_batch_row *row, sx_error *error)
{
    sx_status status = id > 0 ? sx_store_batch_next(database, id - 1, row, error) : SX_OK;
    if (!status && (id <= 0 || row->id != id))
        status = sx_fail(error, SX_E_NOT_FOUND, "there is no batch %lld in the database", (long long)id);
    return status;
}

static sx_status open_row(sx_database *database, int64_t id, const sx_remote_options *options, sx_batch_row *row,
                          sx_wire_target *target, sx_error *error)
{
    sx_status status = find_row(database, id, row, error);
    if (!status)
        status = sx_wire_target_open(row->model, options, target, error);
    return status;
}

sx_status sx_batch_advance(sx_database *database, int64_t id, const sx_remote_options *options, const volatile int *stop,
                           int *open, sx_error *error)
{
    sx_batch_row row = {0};
    sx_wire_target target = {0};
    if (!database || !open)
        return sx_fail(error, SX_E_INVALID, "sx_batch_advance: an argument is NULL");
    *open = 1;
    sx_status status = sx_store_batch_lock(database, stop, error);
    if (status)
        return status;
    status = open_row(database, id, options, &row, &target, error);
    if (!status && !sx_batch_at_end(&row))
        status = sx_batch_move(database, &row, &target, &sx_system_clock, stop, error);
    *open = !sx_batch_at_end(&row);
    sx_wire_target_close(&target);
    sx_batch_row_clear(&row);
    sx_store_batch_unlock(database);
    return status;
}

/* The texts of a job that was never made are free for another. */
static sx_status drop(sx_database *database, sx_batch_row *row, sx_error *error)
{
    sx_sha256 *hashes = NULL;
    unsigned char *states = NULL;
    size_t count = 0;
    sx_status status = sx_store_begin(database, error);
    if (status)
        return status;
    status = sx_store_batch_items(database, row->id, &hashes, &states, &count, error);
    for (size_t i = 0; i < count && !status; i++)
        status = sx_store_batch_item(database, row->id, &hashes[i], SX_BATCH_ITEM_STORED, NULL, error);
    if (!status)
        status = sx_store_batch_tidy(database, row->id, error);
    row->step = SX_BATCH_DROPPED;
    if (!status)
        status = sx_store_batch_save(database, row, error);
    if (!status)
        status = sx_store_commit(database, error);
    if (status)
        sx_store_rollback(database);
    char *path = status ? NULL : sx_store_batch_path(database, &row->file);
    if (path)
        (void)unlink(path);
    free(path);
    free(hashes);
    free(states);
    return status;
}

sx_status sx_batch_cancel(sx_database *database, int64_t id, const sx_remote_options *options, sx_error *error)
{
    sx_batch_row row = {0};
    sx_wire_target target = {0};
    sx_batch_service service = {0};
    sx_batch_state state = {0};
    bool found = true;
    char mark[SX_SHA256_HEX];
    if (!database)
        return sx_fail(error, SX_E_INVALID, "sx_batch_cancel: database is NULL");
    sx_status status = sx_store_batch_lock(database, NULL, error);
    if (status)
        return status;
    status = find_row(database, id, &row, error);
    bool asked = row.asked || row.step >= SX_BATCH_CREATED;
    if (!status && sx_batch_at_end(&row))
        status = sx_fail(error, SX_E_INVALID, "batch %lld is at its end already", (long long)id);
    if (!status && asked)
        status = sx_wire_target_open(row.model, options, &target, error);
    if (!status && asked)
        status = sx_batch_service_open(&service, &target, NULL, NULL, error);
    if (!status && asked && row.step == SX_BATCH_UPLOADED) {
        sx_sha256_hex(&row.file, mark);
        status = sx_batch_find(&service, row.file_id, mark, &found, &state, error);
        if (!status && found)
            status = take_state(&row, &state, error);
        row.step = found ? SX_BATCH_CREATED : row.step;
    }
    if (!status && (!asked || !found))
        status = drop(database, &row, error);
    else if (!status && row.step == SX_BATCH_CREATED)
        status = sx_batch_stop(&service, row.batch_id, &state, error);
    if (!status && state.status[0] && found) {
        status = take_state(&row, &state, error);
        if (!status)
            status = sx_store_batch_save(database, &row, error);
    }
    sx_batch_service_close(&service);
    sx_wire_target_close(&target);
    sx_batch_row_clear(&row);
    sx_store_batch_unlock(database);
    return status;
}

/* ---- Lists ---- */

static char *take(char **from)
{
    char *text = *from;
    *from = NULL;
    return text;
}

sx_status sx_batch_list(sx_database *database, int64_t id, sx_batch_info **list, size_t *count, sx_error *error)
{
    static const char *const steps[] = {"prepared", "uploaded", "created", "finished", "stored", "dropped"};
    sx_batch_row row = {0};
    size_t capacity = 0;
    if (!database || !list || !count)
        return sx_fail(error, SX_E_INVALID, "sx_batch_list: an argument is NULL");
    *list = NULL;
    *count = 0;
    sx_status status = SX_OK;
    for (int64_t after = id > 0 ? id - 1 : 0; !status; after = row.id) {
        status = id ? find_row(database, id, &row, error) : sx_store_batch_next(database, after, &row, error);
        if (status || !row.id)
            break;
        if (!sx_reserve((void **)list, &capacity, *count + 1, sizeof **list)) {
            status = sx_fail_nomem(error, sizeof **list);
            break;
        }
        (*list)[(*count)++] = (sx_batch_info){
            .id = row.id,
            .created_ns = row.created_ns,
            .model = take(&row.model),
            .batch_id = take(&row.batch_id),
            .status = take(&row.status),
            .message = take(&row.message),
            .step = (unsigned)row.step < sizeof steps / sizeof *steps ? steps[row.step] : "?",
            .requests = row.requests,
            .stored = row.stored,
            .failed = row.failed,
            .tokens = row.tokens,
            .usd = row.price < 0 ? -1 : row.price * (double)row.tokens / 1e6,
        };
        if (id)
            break;
    }
    sx_batch_row_clear(&row);
    if (status) {
        sx_batch_list_free(*list, *count);
        *list = NULL;
        *count = 0;
    }
    return status;
}

void sx_batch_list_free(sx_batch_info *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(list[i].model);
        free(list[i].batch_id);
        free(list[i].status);
        free(list[i].message);
    }
    free(list);
}
