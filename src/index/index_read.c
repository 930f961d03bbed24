/* index_read.c - one document of an index run: read, compared with what is committed, cut into chunks, described. */
#include "index_job.h"
#include "index_records.h"
#include "index_cut.h"
#include "page_words.h"
#include "sentence_vectors.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "../doc/glob.h"
#include "../doc/left_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_READS = 3 };

/* make_metadata's values, in this order; then those of mail. */
static const char *const own_keys[] = {"author", "date", "encoding", "language", "media_type", "note", "title", SX_PAGES_KEY, SX_LINES_KEY,
                                       "attachments", "cc", "from", "message_id", "subject", "to"};

/* ---- Metadata ---- */

static bool is_own_key(const char *key)
{
    for (size_t i = 0; i < sizeof own_keys / sizeof *own_keys; i++)
        if (!strcmp(own_keys[i], key))
            return true;
    return false;
}

bool sx_index_metadata_current(const index_job *job, const char *metadata)
{
    const char *key;
    json_t *value;
    if (!json_object_size(job->metadata))
        return true;
    json_t *recorded = json_loads(metadata ? metadata : "{}", 0, NULL);
    bool current = recorded != NULL;
    json_object_foreach(job->metadata, key, value)
        current = current && json_equal(json_object_get(recorded, key), value);
    json_decref(recorded);
    return current;
}

/* The document's own keys; the user's, of this run or, when this run names none, as they were. */
static char *make_metadata(const index_job *job, const sx_document *document, const char *before)
{
    json_t *metadata = json_object();
    char *pages = document->page_count ? sx_pages_to_words(document) : NULL;
    char *lines = document->source_place_count ? sx_lines_to_words(document) : NULL;
    const char *encoding = strcmp(document->encoding, "utf-8") ? document->encoding : "";
    const char *values[] = {document->author,     document->date, encoding,        document->language,
                            document->media_type, document->note, document->title, pages, lines};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (values[i] && values[i][0])
            json_object_set_new(metadata, own_keys[i], json_string(values[i]));
    free(pages);
    free(lines);
    if (document->metadata[0]) {
        json_t *members = json_loads(document->metadata, JSON_DECODE_ANY, NULL);
        json_object_update(metadata, members);
        json_decref(members);
    }
    const char *key;
    json_t *value;
    if (json_object_size(job->metadata)) {
        json_object_update(metadata, job->metadata);
    } else if (before && !job->whole_metadata) {
        json_t *old = json_loads(before, 0, NULL);
        json_object_foreach(old, key, value)
            if (!is_own_key(key))
                json_object_set(metadata, key, value);
        json_decref(old);
    }
    char *text = json_dumps(metadata, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(metadata);
    return text;
}

/* ---- Memory ---- */

uint64_t sx_index_memory_used(void)
{
    unsigned long long total, resident;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return 0;
    int fields = fscanf(file, "%llu %llu", &total, &resident);
    fclose(file);
    return fields == 2 ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* The file's bytes, its text, blocks, chunks and their rows; measured on prose, where chunks are some hundred bytes. */
uint64_t sx_index_memory_need(uint64_t file_size)
{
    return file_size < UINT64_MAX / 4 - (1 << 20) ? file_size * 4 + (1 << 20) : UINT64_MAX;
}

/* ---- Reading ---- */

void sx_index_work_free(index_work *work)
{
    if (!work)
        return;
    sx_index_cut_free(work->cut);
    sx_document_clear(&work->document);
    sx_document_row_clear(&work->row);
    free(work);
}

static bool set_string(char **field, const char *value)
{
    free(*field);
    *field = value ? sx_strdup(value) : NULL;
    return *field || !value;
}

sx_status sx_index_note(index_job *job, sx_document_row *row, sx_document_state state, const char *reason, sx_error *error)
{
    sx_status status;
    if (state == SX_DOCUMENT_FAILED) {
        job->report->documents.failed++;
        status = sx_index_add_failed(job, row->path, -1, reason, error);
    } else {
        status = sx_index_add_skipped(job, row->path, reason, error);
        memset(&row->content, 0, sizeof row->content);
        row->settings = job->settings;
    }
    if (status || job->options.dry_run)
        return status;
    row->state = state;
    if (!set_string(&row->reason, reason))
        return sx_fail_nomem(error, strlen(reason));
    status = sx_index_transaction(job, error);
    if (!status)
        status = sx_store_document_note(job->database, job->collection.id, row, error);
    return status ? status : sx_index_transaction_step(job, error);
}

sx_status sx_index_find_row(index_job *job, const index_pending *pending, sx_document_row *row, sx_error *error)
{
    const sx_index_target *target = &job->targets.targets[pending->target];
    if (job->collection.id) {
        sx_status status = sx_store_document_find(job->database, job->collection.id, target->root, pending->path, row, error);
        if (status || row->id)
            return status;
    }
    return set_string(&row->root, target->root) && set_string(&row->path, pending->path)
               ? SX_OK
               : sx_fail_nomem(error, strlen(pending->path));
}

void sx_index_record_file(sx_document_row *row, const struct stat *status, int64_t scanned_ns)
{
    row->file = (sx_file_state){
        .device = (uint64_t)status->st_dev,
        .inode = (uint64_t)status->st_ino,
        .size = (uint64_t)status->st_size,
        .mtime_ns = (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec,
        .ctime_ns = (int64_t)status->st_ctim.tv_sec * 1000000000 + status->st_ctim.tv_nsec,
        .scanned_ns = scanned_ns,
    };
}

static bool is_committed(const sx_document_row *row)
{
    static const sx_sha256 none;
    return memcmp(&row->content, &none, sizeof none) != 0;
}

const char *sx_index_reason(const sx_error *error, const char *path)
{
    size_t length = strlen(path);
    if (!strncmp(error->message, path, length) && !strncmp(error->message + length, ": ", 2))
        return error->message + length + 2;
    return error->message;
}

/* The file could not be read as a document: says what that means for it. */
static sx_status take_read_error(index_job *job, const index_pending *pending, sx_document_row *row, const char *path,
                                 const sx_error *problem, sx_error *error)
{
    const char *reason = sx_index_reason(problem, path);
    sx_status status;
    switch (problem->code) {
    case SX_E_UNSUPPORTED:
    case SX_E_LIMIT:
        return sx_index_note(job, row, SX_DOCUMENT_SKIPPED, reason, error);
    case SX_E_NOT_FOUND: /* deleted since the scan */
        status = sx_index_target_check(&job->targets.targets[pending->target], error);
        if (status)
            return status;
        job->report->documents.removed += is_committed(row);
        job->report->documents.total -= !is_committed(row);
        if (!row->id || job->options.dry_run)
            return SX_OK;
        status = sx_index_transaction(job, error);
        if (!status)
            status = sx_store_document_remove(job->database, row->id, error);
        return status ? status : sx_index_transaction_step(job, error);
    default:
        return sx_index_note(job, row, SX_DOCUMENT_FAILED, reason, error);
    }
}

/* Whether an include glob names the very file, which is then read whoever wrote it. */
static bool is_named(const index_job *job, const char *path)
{
    for (size_t i = 0; i < job->walk.include_count; i++)
        if (sx_glob_selects(job->walk.include[i], path) && sx_include_brings_back(job->walk.include[i], NULL))
            return true;
    return false;
}

/* The same but for the lines of the file that it stands on, which move when something is put in before it. */
static bool is_same_metadata(const char *recorded, const char *made)
{
    json_t *before = json_loads(recorded ? recorded : "{}", 0, NULL), *now = json_loads(made, 0, NULL);
    json_object_del(before, SX_LINES_KEY);
    json_object_del(now, SX_LINES_KEY);
    bool same = before && now && json_equal(before, now);
    json_decref(before);
    json_decref(now);
    return same;
}

/* *metadata: what is to be recorded instead of the row's, malloc'ed, or NULL. */
static bool is_current(const index_job *job, const sx_document_row *row, const sx_document *document, char **metadata)
{
    *metadata = NULL;
    if (!is_committed(row) || job->options.force || row->failed_chunks ||
        memcmp(&row->content, &document->content, sizeof row->content) != 0 ||
        memcmp(&row->settings, &job->settings, sizeof row->settings) != 0)
        return false;
    if (!job->whole_metadata)
        return sx_index_metadata_current(job, row->metadata);
    char *made = make_metadata(job, document, NULL);
    bool same = made && is_same_metadata(row->metadata, made);
    if (same && row->metadata && strcmp(made, row->metadata) != 0)
        *metadata = made;
    else
        free(made);
    return same;
}

static sx_status keep_as_it_is(index_job *job, sx_document_row *row, char *metadata, bool is_file, sx_error *error)
{
    bool nothing_new = !is_file && !metadata && row->state == SX_DOCUMENT_DONE;
    job->report->documents.unchanged++;
    row->state = SX_DOCUMENT_DONE;
    if (metadata) {
        free(row->metadata);
        row->metadata = metadata;
    }
    if (job->options.dry_run || nothing_new)
        return SX_OK;
    set_string(&row->reason, NULL);
    sx_status status = sx_index_transaction(job, error);
    if (!status)
        status = sx_store_document_touch(job->database, row, error);
    return status ? status : sx_index_transaction_step(job, error);
}

/* What people should know of a document that was read all the same. */
static sx_status report_oddities(index_job *job, const char *path, const sx_document *document, sx_error *error)
{
    sx_status status = SX_OK;
    if (strcmp(document->encoding, "utf-8")) {
        char reason[160];
        snprintf(reason, sizeof reason, "read as %s", document->encoding);
        status = sx_index_add_note(job, path, reason, error);
    }
    if (!status && document->note[0])
        status = sx_index_add_note(job, path, document->note, error);
    bool of_records = job->given || job->options.record_format || job->options.query;
    const char *format = !of_records && !strcmp(document->media_type, "text/plain") ? sx_index_format_of_records(path) : NULL;
    if (!status && format) {
        char reason[160];
        snprintf(reason, sizeof reason, "read as one text; --input-format %s --text-column NAME makes a document of each record",
                 format);
        status = sx_index_add_note(job, path, reason, error);
    }
    return status;
}

static sx_status describe(index_job *job, index_work *work, sx_error *error)
{
    sx_document_row *row = &work->row;
    const sx_document *document = &work->document;
    char *metadata = make_metadata(job, document, row->metadata);
    row->content = document->content;
    row->settings = job->settings;
    free(row->metadata);
    row->metadata = metadata;
    sx_status status = report_oddities(job, row->path, document, error);
    if (status)
        return status;
    bool done = metadata && set_string(&row->reason, NULL) && set_string(&row->media_type, document->media_type) &&
                set_string(&row->title, document->title);
    return done ? SX_OK : sx_fail_nomem(error, document->length);
}

/* The user's metadata, for templates of headers. */
static const char *user_value(void *user, const char *key)
{
    return json_string_value(json_object_get(user, key));
}

/* Reads a file again that was written to meanwhile: half of each version is neither. One that never rests is taken as it is, and is read
 * again by the next run, since its times differ from those recorded. */
static sx_status read_whole(const char *path, size_t most, sx_document *document, struct stat *file, sx_error *error)
{
    for (unsigned tries = 0;; tries++) {
        struct stat after;
        sx_status status = sx_document_read(path, most, document, file, error);
        bool same = stat(path, &after) != 0 || !file->st_ino ||
                    (after.st_ino == file->st_ino && after.st_size == file->st_size && after.st_mtim.tv_sec == file->st_mtim.tv_sec &&
                     after.st_mtim.tv_nsec == file->st_mtim.tv_nsec);
        if (same || tries == MOST_READS)
            return status;
        sx_document_clear(document);
        *file = (struct stat){0};
    }
}

static sx_status parse_given(const index_job *job, const index_given *given, sx_document *document, sx_error *error)
{
    sx_status status = sx_document_parse(given->text.data ? given->text.data : "", given->text.length,
                                         given->media_type ? given->media_type : "text/plain", document, error);
    if (status)
        return status;
    const char *title = json_string_value(json_object_get(job->metadata, "title"));
    if (title && !document->title[0])
        document->title = sx_arena_strndup(&document->arena, title, strlen(title));
    for (size_t i = 0; given->line && i < document->source_place_count; i++)
        document->source_places[i].line += given->line - 1;
    if (given->line && !document->source_place_count) {
        document->source_places = sx_arena_alloc(&document->arena, sizeof *document->source_places);
        if (document->source_places)
            *document->source_places = (sx_source_place){0, given->line, given->fixed};
        document->source_place_count = 1;
    }
    return document->title && (document->source_places || !given->line) ? SX_OK : sx_fail_nomem(error, 64);
}

/* given NULL: the file at `path`. */
static sx_status read_document(index_job *job, const index_pending *pending, const index_given *given, index_work *work,
                               const char *path, bool *done, sx_error *error)
{
    char *metadata;
    sx_document_row *row = &work->row;
    sx_error problem = {0};
    struct stat file = {0};
    int64_t scanned_ns = job->embedder->clock.wall_ns(job->embedder->clock.user);
    *done = true;
    if (given) {
        problem.code = parse_given(job, given, &work->document, &problem);
    } else {
        problem.code = read_whole(path, (size_t)job->walk.max_file_size, &work->document, &file, &problem);
    }
    if (file.st_ino)
        sx_index_record_file(row, &file, scanned_ns);
    if (problem.code && given && given->line) {
        char reason[sizeof problem.message];
        snprintf(reason, sizeof reason, "line %u: %.400s", given->line, problem.message);
        return sx_index_note(job, row, problem.code == SX_E_NOMEM ? SX_DOCUMENT_FAILED : SX_DOCUMENT_SKIPPED, reason, error);
    }
    if (problem.code)
        return take_read_error(job, pending, row, path, &problem, error);
    if (!given && job->targets.targets[pending->target].is_folder) {
        const char *foreign = sx_left_out_by_text(row->path, work->document.text, work->document.length);
        if (foreign && !is_named(job, row->path))
            return sx_index_note(job, row, SX_DOCUMENT_SKIPPED, foreign, error);
    }
    if (is_current(job, row, &work->document, &metadata))
        return keep_as_it_is(job, row, metadata, !given, error);
    sx_chunk_context context = {.grammars = job->grammars,
                                .path = row->path,
                                .project = sx_path_name(row->root),
                                .value = user_value,
                                .user = job->metadata,
                                .embed = sx_index_sentence_vectors,
                                .embed_user = job,
                                .dimensions = job->embedder->info.dimensions};
    problem.code = sx_index_cut_make(&work->document, &job->chunk, &context, &job->counter, &work->cut, &problem);
    if (problem.code && sx_index_stopped(job))
        return sx_index_stop_status(error);
    if (problem.code && job->ended) {
        sx_fail(error, problem.code, "%s", problem.message);
        if (problem.hint[0])
            sx_hint(error, "%s", problem.hint);
        return problem.code;
    }
    if (problem.code)
        return sx_index_note(job, row, SX_DOCUMENT_FAILED, problem.message, error);
    const sx_provider_info *info = &job->embedder->provider->info;
    if (info->remote && !job->options.allow_secrets) {
        sx_status status = sx_index_cut_hold_back(work->cut, &work->document, info->name, error);
        if (status)
            return status;
    }
    if (!work->cut->list.count)
        return sx_index_note(job, row, SX_DOCUMENT_SKIPPED, "nothing but white space", error);
    work->is_new = !is_committed(row);
    *done = false;
    return describe(job, work, error);
}

/* A record that is new is marked as begun, and every one as met by the scan. */
static sx_status mark(index_job *job, sx_document_row *row, sx_error *error)
{
    sx_status status = SX_OK;
    if (!row->id && !job->options.dry_run) {
        status = sx_index_transaction(job, error);
        if (!status)
            status = sx_store_document_pending(job->database, job->collection.id, row, error);
        if (!status)
            status = sx_index_transaction_step(job, error);
    }
    return status || !row->id ? status : sx_store_scan_met(job->database, row->id, error);
}

sx_status sx_index_read_given(index_job *job, const index_pending *pending, const index_given *given, index_work **out, sx_error *error)
{
    *out = NULL;
    index_work *work = sx_calloc(1, sizeof *work);
    char *path = sx_path_join(job->targets.targets[pending->target].root, pending->path);
    sx_status status = work && path ? sx_index_find_row(job, pending, &work->row, error) : sx_fail_nomem(error, sizeof *work);
    bool done = true;
    if (!status && given && !job->given)
        status = mark(job, &work->row, error);
    if (!status) {
        work->bytes = pending->size;
        uint64_t need = sx_index_memory_need(pending->size), used = sx_index_memory_used();
        if (job->options.max_memory && used && used + need > job->options.max_memory) {
            char reason[160];
            snprintf(reason, sizeof reason, "%llu MiB are needed to read it, %llu MiB in use, the memory limit is %llu MiB",
                     (unsigned long long)need >> 20, (unsigned long long)used >> 20,
                     (unsigned long long)job->options.max_memory >> 20);
            status = sx_index_note(job, &work->row, SX_DOCUMENT_FAILED, reason, error);
        } else {
            status = read_document(job, pending, given, work, path, &done, error);
        }
    }
    free(path);
    if (status || done)
        sx_index_work_free(work);
    else
        *out = work;
    return status;
}

sx_status sx_index_read(index_job *job, const index_pending *pending, index_work **out, sx_error *error)
{
    if (!job->given)
        return sx_index_read_given(job, pending, NULL, out, error);
    const sx_new_document *document = &job->given[pending - job->pending];
    const index_given given = {.text = document->text, .media_type = document->media_type};
    json_decref(job->metadata); /* each has its own */
    job->metadata = json_incref(job->given_metadata[pending - job->pending]);
    return sx_index_read_given(job, pending, &given, out, error);
}
