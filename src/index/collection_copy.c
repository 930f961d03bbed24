/* collection_copy.c - collections between the database and vector databases of others, and between two of those.
 *
 * The JSON lines export and import are the database's one form of a whole collection, so they are used here too, through a pipe:
 * one thread has the database, the other the vector database. Export: lines become records, upserted in batches by ids that
 * depend on the chunk alone; said again after an interruption it changes nothing that is there. Import: records come in the
 * server's order, so their lines are kept in an unlinked file beside the database and given to the import in the order of
 * documents.
 */
#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../store/file_output.h"
#include "../store/sql.h"
#include "hash_set.h"
#include "transfer_record.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 512 };

typedef struct copy_job {
    sx_copy_options options;
    sx_copy_report *report;
    sx_vector_store *to;
    const char *name; /* of the collection there */
    int64_t began;
    uint64_t total;
    const char *phase;
    sx_hash_set ids; /* of all that was written */
    /* a batch of records of another store */
    sx_transfer_record *batch;
    sx_vector_record views[BATCH];
    size_t batched;
    uint32_t dimensions;
} copy_job;

/* ---- What all have in common ---- */

static double seconds_since(int64_t began)
{
    return (double)(sx_system_clock.monotonic_ns(sx_system_clock.user) - began) / 1e9;
}

static sx_status tell(copy_job *job, uint64_t done, sx_error *error)
{
    double seconds = seconds_since(job->began), rate = seconds > 0 ? (double)done / seconds : 0;
    if (job->options.stop && *job->options.stop)
        return sx_fail(error, SX_E_STOPPED, "%s: stopped after %llu records; the same call goes on from there", job->name,
                       (unsigned long long)done);
    if (job->options.progress) {
        const sx_progress progress = {.phase = job->phase,
                                      .unit = "records",
                                      .done = done,
                                      .total = job->total,
                                      .seconds = seconds,
                                      .rate = rate,
                                      .seconds_left = rate > 0 && job->total >= done ? (double)(job->total - done) / rate : -1};
        job->options.progress(&progress, job->options.progress_user);
    }
    return SX_OK;
}

static sx_status begin_job(copy_job *job, const sx_copy_options *options, sx_copy_report *report, const char *call,
                           sx_error *error)
{
    *report = (sx_copy_report){0};
    job->report = report;
    job->began = sx_system_clock.monotonic_ns(sx_system_clock.user);
    return sx_options_read(options, &job->options, sizeof job->options, call, error);
}

static sx_status open_store(const copy_job *job, const sx_store_place *place, sx_vector_store **store, sx_error *error)
{
    const sx_vector_store_options options = {
        .api_key = place->key, .timeout_s = job->options.timeout_s, .log = job->options.log, .log_user = job->options.log_user};
    return sx_vector_store_open(place->url, &options, store, error);
}

static sx_status make_target(copy_job *job, const sx_vector_space *space, sx_error *error)
{
    sx_vector_space wanted = *space;
    const sx_copy_options *options = &job->options;
    if (options->element)
        wanted.element = options->element;
    if (options->index)
        wanted.index = options->index;
    wanted.m = options->m ? options->m : wanted.m;
    wanted.ef_construction = options->ef_construction ? options->ef_construction : wanted.ef_construction;
    wanted.ef_search = options->ef_search ? options->ef_search : wanted.ef_search;
    wanted.lists = options->lists ? options->lists : wanted.lists;
    job->dimensions = space->dimensions;
    job->batch = sx_calloc(BATCH, sizeof *job->batch);
    return job->batch ? job->to->class->create(job->to, job->name, &wanted, error)
                      : sx_fail_nomem(error, BATCH * sizeof *job->batch);
}

/* Each id counts once, however often the source gives it. */
static sx_status note_id(copy_job *job, const char *id, bool *added, sx_error *error)
{
    sx_sha256 hash;
    sx_sha256_of(id, strlen(id), &hash);
    return sx_hash_set_add(&job->ids, &hash, added, error);
}

static sx_status put_batch(copy_job *job, sx_error *error)
{
    sx_status status = SX_OK;
    for (size_t i = 0; i < job->batched && !status; i++) {
        bool added;
        status = note_id(job, job->views[i].id, &added, error);
    }
    if (!status && job->batched)
        status = job->to->class->upsert(job->to, job->name, job->views, job->batched, error);
    job->batched = 0;
    job->report->records = job->ids.count;
    return status ? status : tell(job, job->report->records, error);
}

typedef struct prune_job {
    copy_job *job;
    char **ids;
    size_t count, capacity;
} prune_job;

static sx_status find_extra(const sx_vector_record *record, void *user, sx_error *error)
{
    prune_job *prune = user;
    bool added;
    sx_status status = note_id(prune->job, record->id, &added, error);
    if (status || !added)
        return status;
    if (!sx_reserve((void **)&prune->ids, &prune->capacity, prune->count + 1, sizeof *prune->ids) ||
        !(prune->ids[prune->count] = sx_strdup(record->id)))
        return sx_fail_nomem(error, 64);
    prune->count++;
    return SX_OK;
}

static sx_status prune_target(copy_job *job, sx_error *error)
{
    prune_job prune = {.job = job};
    sx_status status = job->to->class->scan(job->to, job->name, find_extra, &prune, error);
    if (!status && prune.count)
        status =
            job->to->class->remove(job->to, job->name, (const char *const *)prune.ids, prune.count, &job->report->pruned, error);
    for (size_t i = 0; i < prune.count; i++)
        free(prune.ids[i]);
    free(prune.ids);
    return status;
}

/* Index, count, compare. */
static sx_status end_target(copy_job *job, sx_error *error)
{
    sx_copy_report *report = job->report;
    sx_vector_store *to = job->to;
    sx_vector_space space;
    sx_status status = SX_OK;
    job->phase = "indexing";
    if (to->class->finish)
        status = to->class->finish(to, job->name, error);
    if (!status)
        status = to->class->describe(to, job->name, &space, &report->count, error);
    if (!status && report->count > report->records && job->options.prune) {
        status = prune_target(job, error);
        if (!status)
            status = to->class->describe(to, job->name, &space, &report->count, error);
    }
    if (!status && report->count < report->records)
        status = sx_fail(error, SX_E_MISMATCH, "%s: %s holds %llu records of the %llu that were written", to->name, job->name,
                         (unsigned long long)report->count, (unsigned long long)report->records);
    report->extra = !status ? report->count - report->records : 0;
    return status;
}

static void end_job(copy_job *job)
{
    sx_copy_report *report = job->report;
    report->seconds = seconds_since(job->began);
    report->rate = report->seconds > 0 ? (double)report->records / report->seconds : 0;
    for (size_t i = 0; job->batch && i < BATCH; i++)
        sx_transfer_record_clear(&job->batch[i]);
    free(job->batch);
    sx_hash_set_clear(&job->ids);
    sx_vector_store_close(job->to);
}

static bool place_is_whole(const sx_store_place *place)
{
    return place && place->url && *place->url;
}

/* ---- The database's side of the pipe, in a thread of its own ---- */

typedef struct database_side {
    sx_database *database;
    const char *name;
    bool imports;
    int own, other; /* ends of the pipe: this side's, and the one that is not used here */
    sx_status status;
    sx_error error;
} database_side;

static void *database_main(void *user)
{
    database_side *side = user;
    char path[64];
    sigset_t pipe_signal;
    /* A reader that has gone is an error of write, and no reason to end the process. */
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
    snprintf(path, sizeof path, "/proc/self/fd/%d", side->own);
    side->status = side->imports ? sx_collection_import(side->database, side->name, path, &side->error)
                                 : sx_collection_export(side->database, side->name, "jsonl", path, &side->error);
    close(side->own);
    return NULL;
}

static sx_status start_side(database_side *side, pthread_t *thread, sx_error *error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return sx_fail_errno(error, errno, "a pipe cannot be made");
    side->own = side->imports ? ends[0] : ends[1];
    side->other = side->imports ? ends[1] : ends[0];
    int problem = pthread_create(thread, NULL, database_main, side);
    if (!problem)
        return SX_OK;
    close(ends[0]);
    close(ends[1]);
    return sx_fail_errno(error, problem, "a thread cannot be started");
}

/* ---- Export ---- */

static sx_status read_lines(copy_job *job, int descriptor, sx_error *error)
{
    sx_lines lines = {0};
    char path[64];
    sx_text line;
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    sx_status status = sx_lines_open(&lines, path, error);
    close(descriptor); /* the other side must see it when nobody reads any more */
    while (!status && !(status = sx_lines_next(&lines, &line, error)) && line.data) {
        sx_transfer_record *record = &job->batch[job->batched];
        status = sx_transfer_from_line(record, line, error);
        if (!status && !record->has_vector) {
            job->report->left_out++;
        } else if (!status && record->vector.length != job->dimensions) {
            status = sx_fail(error, SX_E_FORMAT, "a vector has %zu dimensions, the collection %u", record->vector.length,
                             job->dimensions);
        } else if (!status) {
            job->views[job->batched++] = sx_transfer_view(record);
            if (job->batched == BATCH)
                status = put_batch(job, error);
        }
    }
    if (!status)
        status = put_batch(job, error);
    sx_lines_close(&lines);
    return status;
}

static sx_status export_records(copy_job *job, sx_database *database, const char *name, sx_error *error)
{
    database_side side = {.database = database, .name = name};
    pthread_t thread;
    sx_status status = start_side(&side, &thread, error);
    if (status)
        return status;
    status = read_lines(job, side.other, error);
    pthread_join(thread, NULL);
    /* When this side ended first the other one fails because of that. */
    if (!status && side.status)
        status = sx_fail(error, side.status, "%s", side.error.message);
    return status;
}

/* A space's own word for what a vector database calls it. */
static sx_status similarity_in(const char *space_json, const char **similarity, sx_error *error)
{
    sx_json json;
    sx_text key, word = {"cosine", 6};
    sx_buffer scratch = {0};
    sx_json_begin(&json, space_json, strlen(space_json), "space");
    sx_json_object(&json);
    while (sx_json_member(&json, &scratch, &key)) {
        if (sx_text_is(key, "similarity") && sx_json_peek(&json) == SX_JSON_STRING)
            sx_json_string(&json, NULL, &word);
        else
            sx_json_skip(&json);
    }
    sx_buffer_clear(&scratch);
    bool dot = sx_text_is(word, "dot") || sx_text_is(word, "dot_product");
    if (json.problem)
        return sx_json_fail(&json, SX_E_FORMAT, error);
    if (!dot && !sx_text_is(word, "cosine"))
        return sx_fail(error, SX_E_UNSUPPORTED, "similarity %.*s has no counterpart there", (int)word.length, word.data);
    *similarity = dot ? "dot" : "cosine";
    return SX_OK;
}

static sx_status space_of(sx_database *database, const sx_collection_row *row, sx_vector_space *space, uint64_t *total,
                          sx_error *error)
{
    sqlite3_stmt *statement;
    bool found = false;
    int64_t count = 0;
    sx_status status = sx_sql_number(
        database, "SELECT count(c.vector) FROM document d CROSS JOIN chunk c ON c.document = d.id WHERE d.collection = ?", 0,
        &count, error, "i", row->id);
    *total = (uint64_t)count;
    if (!status)
        status = sx_sql_start(database, "SELECT space_json FROM recipe WHERE id = ?", &statement, error, "i", row->recipe);
    if (!status)
        status = sx_sql_step(database, statement, &found, error);
    if (status)
        return status;
    *space = (sx_vector_space){.dimensions = row->dimensions, .model = row->model, .space = row->space_hash};
    if (!found)
        return sx_fail(error, SX_E_FORMAT, "%s: recipe %lld is missing", database->path, (long long)row->recipe);
    const char *text = (const char *)sqlite3_column_text(statement, 0);
    status = similarity_in(text ? text : "", &space->similarity, error);
    sqlite3_reset(statement);
    return status;
}

sx_status sx_collection_export_to(sx_database *database, const char *name, const sx_store_place *to,
                                  const sx_copy_options *options, sx_copy_report *report, sx_error *error)
{
    copy_job job = {.phase = "exporting"};
    sx_collection_row row = {0};
    sx_vector_space space;
    sx_copy_report own;
    if (!database || !name || !*name || !place_is_whole(to))
        return sx_fail(error, SX_E_INVALID, "sx_collection_export_to: an argument is NULL");
    sx_status status = begin_job(&job, options, report ? report : &own, "sx_copy_options", error);
    if (status)
        return status;
    job.name = to->collection ? to->collection : name;
    status = sx_store_collection_find(database, name, &row, error);
    if (!status)
        status = space_of(database, &row, &space, &job.total, error);
    if (!status)
        status = open_store(&job, to, &job.to, error);
    if (!status)
        status = make_target(&job, &space, error);
    if (!status)
        status = export_records(&job, database, name, error);
    if (!status)
        status = end_target(&job, error);
    end_job(&job);
    sx_collection_row_clear(&row);
    return status;
}

/* ---- From one store to another ---- */

static sx_status take_copy(const sx_vector_record *record, void *user, sx_error *error)
{
    copy_job *job = user;
    sx_transfer_record *kept = &job->batch[job->batched];
    sx_vector_record *view = &job->views[job->batched];
    sx_buffer_reset(&kept->rest); /* of the id */
    sx_buffer_reset(&kept->document);
    sx_buffer_reset(&kept->text);
    sx_buffer_reset(&kept->metadata);
    sx_buffer_append_string(&kept->rest, record->id);
    sx_buffer_append_string(&kept->document, record->document ? record->document : "");
    sx_buffer_append(&kept->text, record->text.length ? record->text.data : "", record->text.length);
    sx_buffer_append_string(&kept->metadata, record->metadata ? record->metadata : "");
    if (kept->rest.failed || kept->document.failed || kept->text.failed || kept->metadata.failed ||
        !sx_reserve((void **)&kept->vector.data, &kept->vector.capacity, job->dimensions, sizeof(float)))
        return sx_fail_nomem(error, record->text.length);
    memcpy(kept->vector.data, record->vector, job->dimensions * sizeof(float));
    *view = (sx_vector_record){.id = kept->rest.data,
                               .document = record->document ? kept->document.data : NULL,
                               .text = {kept->text.data, kept->text.length},
                               .metadata = record->metadata ? kept->metadata.data : NULL,
                               .vector = kept->vector.data};
    return ++job->batched == BATCH ? put_batch(job, error) : SX_OK;
}

sx_status sx_collection_copy(const sx_store_place *from, const sx_store_place *to, const sx_copy_options *options,
                             sx_copy_report *report, sx_error *error)
{
    copy_job job = {.phase = "copying"};
    sx_vector_store *source = NULL;
    sx_vector_space space;
    sx_copy_report own;
    if (!place_is_whole(from) || !place_is_whole(to) || !from->collection || !*from->collection)
        return sx_fail(error, SX_E_INVALID, "sx_collection_copy: an argument is NULL");
    sx_status status = begin_job(&job, options, report ? report : &own, "sx_copy_options", error);
    if (status)
        return status;
    job.name = to->collection ? to->collection : from->collection;
    if (strcmp(from->url, to->url) == 0 && strcmp(from->collection, job.name) == 0)
        return sx_fail(error, SX_E_INVALID, "%s: source and target are the same collection", job.name);
    status = open_store(&job, from, &source, error);
    if (!status)
        status = source->class->describe(source, from->collection, &space, &job.total, error);
    if (!status)
        status = open_store(&job, to, &job.to, error);
    if (!status)
        status = make_target(&job, &space, error);
    if (!status)
        status = source->class->scan(source, from->collection, take_copy, &job, error);
    if (!status)
        status = put_batch(&job, error);
    if (!status)
        status = end_target(&job, error);
    end_job(&job);
    sx_vector_store_close(source);
    return status;
}

/* ---- Import ---- */

typedef struct kept_line {
    char *root, *path;
    uint32_t index;
    uint64_t offset, length;
} kept_line;

typedef struct import_job {
    copy_job copy;
    sx_transfer_record scratch;
    sx_buffer line;
    char *definition;
    kept_line *lines;
    size_t count, capacity;
    FILE *spool;
    uint64_t written;
} import_job;

static sx_status keep_line(const sx_vector_record *record, void *user, sx_error *error)
{
    import_job *job = user;
    sx_transfer_place place;
    sx_status status = sx_transfer_to_line(record, job->copy.dimensions, &job->scratch, &job->line, &place, error);
    if (!status && !sx_reserve((void **)&job->lines, &job->capacity, job->count + 1, sizeof *job->lines))
        status = sx_fail_nomem(error, sizeof *job->lines);
    if (!status && fwrite(job->line.data, 1, job->line.length, job->spool) != job->line.length)
        status = sx_fail_errno(error, errno, "records cannot be kept for sorting");
    if (!status) {
        job->lines[job->count++] = (kept_line){place.root, place.path, place.index, job->written, job->line.length};
        job->written += job->line.length;
        place.root = place.path = NULL;
        if (!job->definition) {
            job->definition = place.definition;
            place.definition = NULL;
        }
        if (job->count % BATCH == 0)
            status = tell(&job->copy, job->count, error);
    }
    sx_transfer_place_clear(&place);
    return status;
}

static int compare_lines(const void *a, const void *b)
{
    const kept_line *first = a, *second = b;
    int order = strcmp(first->root, second->root);
    order = order ? order : strcmp(first->path, second->path);
    return order ? order : first->index < second->index ? -1 : first->index > second->index;
}

static sx_status sort_lines(import_job *job, sx_error *error)
{
    qsort(job->lines, job->count, sizeof *job->lines, compare_lines);
    for (size_t i = 1; i < job->count; i++) {
        if (compare_lines(&job->lines[i - 1], &job->lines[i]) != 0)
            continue;
        sx_fail(error, SX_E_MISMATCH, "chunk %u of %s is there twice: an older version was left when it changed",
                job->lines[i].index, job->lines[i].path);
        sx_hint(error, "`sextant collections export NAME --to URL --prune` takes out what the collection does not hold any more");
        return SX_E_MISMATCH;
    }
    if (fflush(job->spool))
        return sx_fail_errno(error, errno, "records cannot be kept for sorting");
    return SX_OK;
}

/* False when the other side reads no more: it says why. */
static bool write_all(int descriptor, const char *data, size_t length)
{
    while (length) {
        ssize_t wrote = write(descriptor, data, length);
        if (wrote < 0 && errno != EINTR)
            return false;
        data += wrote > 0 ? wrote : 0;
        length -= wrote > 0 ? (size_t)wrote : 0;
    }
    return true;
}

static sx_status send_lines(import_job *job, int descriptor, sx_error *error)
{
    for (size_t i = 0; i < job->count; i++) {
        const kept_line *kept = &job->lines[i];
        sx_buffer_reset(&job->line);
        char *room = sx_buffer_room(&job->line, kept->length);
        if (!room)
            return sx_fail_nomem(error, kept->length);
        for (size_t have = 0; have < kept->length;) {
            ssize_t got = pread(fileno(job->spool), room + have, kept->length - have, (off_t)(kept->offset + have));
            if (got <= 0 && !(got < 0 && errno == EINTR))
                return sx_fail_errno(error, got ? errno : EIO, "records kept for sorting cannot be read");
            have += got > 0 ? (size_t)got : 0;
        }
        job->line.length += kept->length;
        if (i == 0)
            sx_buffer_printf(&job->line, ",\"collection\":%s", job->definition);
        sx_buffer_append_string(&job->line, "}\n");
        if (job->line.failed)
            return sx_fail_nomem(error, kept->length);
        if (!write_all(descriptor, job->line.data, job->line.length))
            return SX_OK;
        sx_status status = (i + 1) % BATCH == 0 ? tell(&job->copy, i + 1, error) : SX_OK;
        if (status)
            return status;
    }
    return SX_OK;
}

static sx_status feed_import(import_job *job, sx_database *database, const char *name, sx_error *error)
{
    database_side side = {.database = database, .name = name, .imports = true};
    pthread_t thread;
    sigset_t pipe_signal, before;
    struct timespec at_once = {0};
    sx_status status = start_side(&side, &thread, error);
    if (status)
        return status;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    status = send_lines(job, side.other, error);
    if (status) /* half of it must not be taken for the whole: this is no JSON */
        (void)write_all(side.other, "\ninterrupted\n", 13);
    close(side.other);
    pthread_join(thread, NULL);
    while (sigtimedwait(&pipe_signal, NULL, &at_once) == SIGPIPE) {
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!status && side.status)
        status = sx_fail(error, side.status, "%s", side.error.message);
    return status;
}

static sx_status open_spool(import_job *job, const sx_database *database, sx_error *error)
{
    char *path = NULL;
    if (asprintf(&path, "%s-import-XXXXXX", database->path) < 0)
        return sx_fail_nomem(error, strlen(database->path));
    int descriptor = mkostemp(path, O_CLOEXEC);
    sx_status status = SX_OK;
    if (descriptor < 0 || unlink(path) || !(job->spool = fdopen(descriptor, "w+"))) {
        status = sx_fail_errno(error, errno, "%s: cannot be made", path);
        if (descriptor >= 0)
            close(descriptor);
    }
    free(path);
    return status;
}

static sx_status import_records(import_job *job, sx_vector_store *from, sx_database *database, const char *name, sx_error *error)
{
    copy_job *copy = &job->copy;
    sx_vector_space space = {0};
    sx_status status = from->class->describe(from, copy->name, &space, &copy->total, error);
    copy->dimensions = space.dimensions;
    if (!status)
        status = open_spool(job, database, error);
    if (!status)
        status = from->class->scan(from, copy->name, keep_line, job, error);
    if (!status)
        status = sort_lines(job, error);
    if (!status && !job->definition)
        status = sx_fail(error, job->count ? SX_E_UNSUPPORTED : SX_E_NOT_FOUND, "%s: %s: %s", from->name, copy->name,
                         job->count ? "no record says which model the collection was made with" : "holds no records");
    copy->phase = "importing";
    if (!status)
        status = feed_import(job, database, name, error);
    if (!status)
        copy->report->records = copy->report->count = job->count;
    return status;
}

sx_status sx_collection_import_from(sx_database *database, const char *name, const sx_store_place *from,
                                    const sx_copy_options *options, sx_copy_report *report, sx_error *error)
{
    import_job job = {.copy = {.phase = "reading"}};
    sx_vector_store *source = NULL;
    sx_copy_report own;
    int64_t other;
    if (!database || !name || !*name || !place_is_whole(from))
        return sx_fail(error, SX_E_INVALID, "sx_collection_import_from: an argument is NULL");
    sx_status status = begin_job(&job.copy, options, report ? report : &own, "sx_copy_options", error);
    if (status)
        return status;
    job.copy.name = from->collection ? from->collection : name;
    status = sx_sql_number(database, "SELECT id FROM collection WHERE name = ?", 0, &other, error, "t", name);
    if (!status && other) /* before everything is read */
        status = sx_fail(error, SX_E_EXISTS, "%s: there is a collection named %s already", database->path, name);
    if (!status)
        status = open_store(&job.copy, from, &source, error);
    if (!status)
        status = import_records(&job, source, database, name, error);
    end_job(&job.copy);
    for (size_t i = 0; i < job.count; i++) {
        free(job.lines[i].root);
        free(job.lines[i].path);
    }
    free(job.lines);
    free(job.definition);
    sx_buffer_clear(&job.line);
    sx_transfer_record_clear(&job.scratch);
    if (job.spool)
        fclose(job.spool);
    sx_vector_store_close(source);
    return status;
}
