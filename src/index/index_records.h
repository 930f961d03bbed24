/* index_records.h - files that hold many documents: records of CSV and JSON, rows of an SQL query, messages of a mailbox. */
#ifndef SX_INDEX_INDEX_RECORDS_H
#define SX_INDEX_INDEX_RECORDS_H

#include "index_job.h"

typedef struct index_records index_records;

/* One document of a file. */
typedef struct index_record {
    char *id;               /* its path below the file's */
    size_t copy;            /* not 0: an id that stands twice is told apart by this number, else it is wrong */
    char *text;
    size_t length;
    const char *media_type;
    json_t *metadata;       /* an object, or NULL */
    uint32_t line;          /* of the file, where it begins; 0: it has no lines */
    bool fixed;             /* all of the text stands on that line */
    char *problem;          /* it is wrong: why, with its place in the file; the others go on */
} index_record;
void sx_index_record_clear(index_record *record);

/* Whether a file of this run is read as records; path is below its root, or for a file named by the caller as it is named. */
bool sx_index_holds_records(const index_job *job, const index_pending *pending);
/* With a record format, what is not of that format is left out where a folder is walked: why, or NULL. */
const char *sx_index_no_records(const index_job *job, const char *path);
/* "csv" or "jsonl" by a file's name; NULL: nobody expects records in it. */
const char *sx_index_format_of_records(const char *path);
sx_status sx_index_records_open(const index_job *job, const char *path, index_records **out, sx_error *error);
/* *more false: there is none left. */
sx_status sx_index_records_next(const index_job *job, index_records *records, index_record *record, bool *more, sx_error *error);
void sx_index_records_close(index_records *records);

/* ---- index_rows.c ---- */

/* Rows of a query over an SQLite file. */
typedef struct index_rows index_rows;
sx_status sx_index_rows_open(const index_job *job, const char *path, index_rows **out, sx_error *error);
sx_status sx_index_rows_next(index_rows *rows, index_record *record, bool *more, sx_error *error);
void sx_index_rows_close(index_rows *rows);
/* Whether there is a write-ahead log beside it, which the file's own times do not tell of. */
bool sx_index_rows_unsettled(const char *path);

/* ---- index_container.c ---- */

/* A file between its first record and the commit of its last. */
typedef struct index_container {
    sx_document_row row;      /* of the file itself: no chunks, but what tells that it is unchanged */
    index_pending pending;
    index_records *records;   /* NULL: read to its end */
    sx_hash_set seen;         /* ids */
    size_t open;              /* of its documents, those in the window */
    uint64_t count, failed;
    bool left;                /* not all of it is done: it is to be read again */
    struct stat file;
    int64_t scanned_ns;
} index_container;

/* Of rows of files that hold records. */
#define SX_RECORDS_MEDIA_TYPE "application/x-records"
bool sx_index_is_container(const sx_document_row *row);
/* Opens the file. *out NULL: it was noted as skipped or failed. */
sx_status sx_index_container_open(index_job *job, const index_pending *pending, index_container **out, sx_error *error);
/* Reads the next record and cuts it. *out NULL: nothing is left to do for it. *more false: that was the last. */
sx_status sx_index_container_next(index_job *job, index_container *container, index_work **out, bool *more, sx_error *error);
/* After the last record was committed: the file is done. */
sx_status sx_index_container_finish(index_job *job, index_container *container, sx_error *error);
void sx_index_container_free(index_container *container);
/* The scan found the file unchanged: so are its documents. */
sx_status sx_index_container_unchanged(index_job *job, const sx_document_row *row, sx_error *error);

#endif
