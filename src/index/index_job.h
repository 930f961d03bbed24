/* index_job.h - one run of sx_index: its state, and the phases its files hold.
 *
 *   index_job.c     options, collection, lease; the order of the phases
 *   index_target.c  paths -> roots
 *   index_add.c     sx_add: documents from memory instead of files
 *   index_changed.c what of the paths is looked at at all
 *   index_scan.c    walking: unchanged or to do; removal of what is gone
 *   index_read.c    one document: reading, comparing, cutting
 *   sentence_vectors.c   what the strategy semantic compares while it cuts
 *   index_records.c, index_rows.c, index_container.c   files of many documents: which they hold, and their way through the run
 *   index_window.c  chunks of many documents through the pipeline; committing finished documents
 *   index_report.c  what is told: report, problems, progress
 */
#ifndef SX_INDEX_INDEX_JOB_H
#define SX_INDEX_INDEX_JOB_H

#include "embedder.h"
#include "index_target.h"

#include "../doc/document.h"
#include "../doc/walk.h"

#include <jansson.h>

enum { SX_PROGRESS_SAMPLES = 64 };

typedef struct index_pending {  /* a document to be looked into */
    const char *path;           /* below its root; in job->names */
    uint64_t size;              /* of the file, as the scan saw it */
    uint32_t target;
} index_pending;

/* The paths below a target's root that are looked at: sorted, none in another; "" is all of it. */
typedef struct index_only {
    char **paths;
    size_t count, capacity;
} index_only;

typedef struct index_progress {
    const char *phase, *unit;
    uint64_t total, done;             /* units */
    uint64_t bytes_total, bytes_done; /* what the estimate goes by: files differ much in size */
    uint64_t window_bytes, window_texts, window_start; /* of the window being embedded; window_start: texts finished before it */
    int64_t shown_ns;
    struct { int64_t ns; uint64_t done, bytes; } samples[SX_PROGRESS_SAMPLES];
    size_t sample_count;
} index_progress;

typedef struct index_job {
    sx_database *database;
    sx_embedder *embedder;
    sx_index_options options;
    sx_chunk_options chunk;
    char chunk_strategy[32], chunk_unit[16], chunk_header[SX_HEADER_TEMPLATE]; /* when they come from the collection's settings */
    sx_walk_options walk;
    json_t *metadata;             /* the user's keys */
    bool whole_metadata;          /* they are all that a document has of the user's: others, recorded earlier, go */
    struct sx_grammars *grammars; /* parsers of code, NULL: none */
    sx_sha256 settings;           /* of all that decides the chunks */
    sx_collection_row collection; /* id 0: none yet (dry run) */
    int64_t recipe;
    bool leased;
    sx_pipeline *pipeline;
    const sx_new_document *given; /* sx_add: pending[i] is given[i], with given_metadata[i]; NULL: files */
    json_t **given_metadata;
    sx_token_counter counter;     /* the provider's, failing once the job is to stop: cutting a large text takes seconds */
    sx_index_targets targets;
    index_only *only;             /* of each target */

    /* Found by the scan. */
    index_pending *pending;
    size_t pending_count, pending_capacity;
    sx_arena names;
    struct index_blind { const char *path; uint32_t target; } *blind; /* could not be read: nothing below is known to be gone */
    size_t blind_count, blind_capacity;
    int64_t more_documents;       /* records of unchanged files, less the files: the scan counts files */
    bool in_transaction;
    unsigned transaction_writes;
    int64_t transaction_began;

    sx_index_report *report;
    size_t failed_capacity, skipped_capacity, note_capacity;
    sx_hash_set counted;          /* dry run, and what a budget leaves: texts counted already */
    bool ended;                   /* cutting a document failed for a reason that is the run's */
    bool out_of_budget;           /* from now on nothing is embedded, only counted */
    index_progress progress;
    int64_t began_ns, published_ns;
} index_job;

/* A document between reading and committing. */
typedef struct index_work {
    struct index_work *next;
    sx_document_row row;
    sx_document document;
    struct index_cut *cut;      /* its chunks */
    bool is_new;                /* nothing of it was committed before */
    bool left;                  /* the budget ended before all its chunks were embedded: it stays as it is */
    struct index_container *container; /* the file it is a record of, or NULL */
    uint64_t bytes;             /* of the file */
    uint64_t bytes_counted;     /* of those, in the progress already */
} index_work;

/* ---- index_job.c ---- */
/* The phases, with options and report set. */
sx_status sx_index_run(index_job *job, sx_error *error);
/* Releases all but given, given_metadata and the report. */
void sx_index_close(index_job *job);

/* The root of documents that are no files. */
#define SX_ADDED_ROOT "api:"

/* ---- index_changed.c ---- */
/* Fills job->only, once the targets have their roots. */
sx_status sx_index_changed_find(index_job *job, sx_error *error);
void sx_index_changed_clear(index_job *job);

/* ---- index_scan.c ---- */
/* Walks all targets: counts, marks what is to do in the database, fills job->pending. */
sx_status sx_index_scan(index_job *job, sx_error *error);
/* Takes out the documents the scan has not met. */
sx_status sx_index_remove_unmet(index_job *job, sx_error *error);
/* Documents that stand in the collection a second time, under a root inside of a root of this run, go. */
sx_status sx_index_absorb_roots(index_job *job, sx_error *error);
/* Write transactions of many small steps: begin when none is open; step counts and commits now and then; end commits. */
sx_status sx_index_transaction(index_job *job, sx_error *error);
sx_status sx_index_transaction_step(index_job *job, sx_error *error);
sx_status sx_index_transaction_end(index_job *job, sx_error *error);

/* ---- index_read.c ---- */
/* A document that is no file. */
typedef struct index_given {
    sx_text text;
    const char *media_type;
    uint32_t line; /* of a file that it stands on, 0: of none; fixed: with all its lines */
    bool fixed;
} index_given;
/* As sx_index_read, of a text; job->metadata is the document's. */
sx_status sx_index_read_given(index_job *job, const index_pending *pending, const index_given *given, index_work **out, sx_error *error);
/* The row of a document, with root and path set where there is none. */
sx_status sx_index_find_row(index_job *job, const index_pending *pending, sx_document_row *row, sx_error *error);
/* The document has no text that can be had: skipped (its chunks go) or failed (its old chunks stay). */
sx_status sx_index_note(index_job *job, sx_document_row *row, sx_document_state state, const char *reason, sx_error *error);
/* What was said of a file, without its path where the report names it beside. */
const char *sx_index_reason(const sx_error *problem, const char *path);
void sx_index_record_file(sx_document_row *row, const struct stat *status, int64_t scanned_ns);
/* Reads a pending document and cuts it. *out NULL: nothing is left to do for it (unchanged, skipped, failed, gone). */
sx_status sx_index_read(index_job *job, const index_pending *pending, index_work **out, sx_error *error);
void sx_index_work_free(index_work *work);
/* Whether a document's metadata (JSON or NULL) holds the user's keys as given for this run. */
bool sx_index_metadata_current(const index_job *job, const char *metadata);
/* Bytes that reading a file of this size may take. */
uint64_t sx_index_memory_need(uint64_t file_size);
uint64_t sx_index_memory_used(void);

/* ---- index_window.c ---- */
/* Reads, embeds and commits everything pending. */
sx_status sx_index_process(index_job *job, sx_error *error);

/* ---- index_report.c ---- */
sx_status sx_index_report_make(sx_index_report **report, sx_error *error);
sx_status sx_index_add_failed(index_job *job, const char *document, int64_t chunk, const char *reason, sx_error *error);
sx_status sx_index_add_skipped(index_job *job, const char *document, const char *reason, sx_error *error);
sx_status sx_index_add_note(index_job *job, const char *document, const char *reason, sx_error *error);
void sx_index_phase(index_job *job, const char *phase, const char *unit, uint64_t total, uint64_t bytes_total);
void sx_index_show(index_job *job, bool now);
int64_t sx_index_now(const index_job *job);
bool sx_index_stopped(const index_job *job);
sx_status sx_index_stop_status(sx_error *error);

#endif
