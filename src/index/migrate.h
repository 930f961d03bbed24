/* migrate.h - the inside of sx_migrate: the job, and its comparison of the two sides. */
#ifndef SX_INDEX_MIGRATE_H
#define SX_INDEX_MIGRATE_H

#include "embedder.h"

#include "../base/memory.h"

/* A document on its way to the other side. */
typedef struct migrate_document {
    sx_document_row row;    /* the source's, with the id of the other side's */
    sx_document_state state;/* the source's */
    sx_chunk_row *chunks;
    size_t count;
} migrate_document;

typedef struct migrate_job {
    sx_database *database;
    sx_embedder *embedder;
    sx_migrate_options options;
    sx_migrate_report *report;
    sx_collection_row from, to;
    bool from_leased, to_leased;
    sx_pipeline *pipeline;
    migrate_document *documents; /* of the window in hand */
    size_t document_count, chunk_count, bytes;
    sx_arena texts;
    size_t failed_capacity;
    sx_progress progress;
    int64_t began_ns, shown_ns;
} migrate_job;

/* Fills report->comparison. */
sx_status sx_migrate_compare(migrate_job *job, sx_error *error);

sx_status sx_migrate_stop_status(sx_error *error);
bool sx_migrate_stopped(const migrate_job *job);

#endif
