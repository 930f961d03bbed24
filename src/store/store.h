/* store.h - the database as the pipeline sees it: recipes, vectors by content, claims, collections, documents, chunks.
 *
 * SQLite holds the truth (docs/database.md draws the tables); mapped vector files beside it can be rebuilt from it at any
 * time. Any number of processes work on one database: write-ahead log, short IMMEDIATE transactions with busy retry, never
 * an embedding inside a transaction. What a process holds (a collection's job, texts it is embedding) is tied to a byte it
 * has locked in PATH-locks (Linux open-file-description locks), so the kernel gives it back the moment the process dies.
 *
 * The public functions on sx_database (open, close, backup, describe, export ...) are implemented in this folder too.
 * All functions: one thread at a time per sx_database. Errors name the database file.
 */
#ifndef SX_STORE_STORE_H
#define SX_STORE_STORE_H

#include "sextant.h"
#include "../base/hash.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- Transactions ---- */

/* BEGIN IMMEDIATE with unlimited patience (SX_E_BUSY is never returned; waits with back-off until the lock is free).
 * Nested use is a programming error. */
sx_status sx_store_begin(sx_database *database, sx_error *error);
sx_status sx_store_commit(sx_database *database, sx_error *error);
/* Rolls back if a transaction is open; safe on error paths. */
void sx_store_rollback(sx_database *database);
/* Functions below that write open their own transaction unless one is open already. */

/* ---- Recipes ---- */

typedef struct sx_recipe_row {
    int64_t id;
    const char *json;        /* canonical JSON of the recipe (model/recipe.h) */
    const char *space_json;
    sx_sha256 hash, space;   /* SHA-256 of the two */
    const char *model;       /* reference as the user gave it, for messages and lists */
    uint32_t dimensions;
} sx_recipe_row;
/* Finds or inserts by hash; sets row->id. */
sx_status sx_store_recipe(sx_database *database, sx_recipe_row *row, sx_error *error);

/* ---- Vectors: (recipe, SHA-256 of the text) -> vector ---- */

typedef struct sx_vector_row {
    int64_t id;              /* 0: not stored */
    uint32_t tokens, dropped_tokens;
} sx_vector_row;

/* rows[i] for hashes[i]. vectors: count x dimensions floats or NULL; rows of missing ones are left alone. Reads only; what was
 * found is noted in memory and its access time written with the next write transaction or at close (the write lock is never
 * taken). */
sx_status sx_store_lookup(sx_database *database, int64_t recipe, const sx_sha256 *hashes, size_t count,
                          sx_vector_row *rows, float *vectors, sx_error *error);

/* From now on, for this handle: a text that has no vector of one recipe is served with that of another, whose vectors were proven to
 * be of the same space (spaces.h). One pair at a time; other 0: no more. */
void sx_store_stand_in(sx_database *database, int64_t recipe, int64_t other);

/* From now on, for this handle: texts are found by vectors of which only a packed form is left, if they are packed for this
 * collection; those packed for others are as if they were not there. 0: none are found. Taking and releasing leases sets it. */
void sx_store_own_packed(sx_database *database, int64_t collection);

typedef enum sx_claim { SX_CLAIM_MINE, SX_CLAIM_STORED, SX_CLAIM_OTHER } sx_claim;
/* Says who embeds each text. MINE: nobody has it, and from now on this process must put or release it. STORED: it is stored
 * (look it up). OTHER: another living process is embedding it: ask again later. Claims of dead processes are taken over. The same
 * hash twice in one call: the second is OTHER. Keeps two processes from embedding one text. */
sx_status sx_store_claim(sx_database *database, int64_t recipe, const sx_sha256 *hashes, size_t count, sx_claim *claims,
                         sx_error *error);
/* Stores vectors (count x dimensions) of claimed texts and ends the claims; ids may be NULL. Adds to each vector's `computed`
 * counter, which stays 1 for ever if nothing is embedded twice. */
sx_status sx_store_put(sx_database *database, int64_t recipe, const sx_sha256 *hashes, size_t count, const float *vectors,
                       const sx_vector_row *receipts, int64_t *ids, sx_error *error);
sx_status sx_store_release(sx_database *database, int64_t recipe, const sx_sha256 *hashes, size_t count,
                           sx_error *error);
/* Adds to the cache's statistics; written with the next write transaction or at close. */
void sx_store_count(sx_database *database, uint64_t hits, uint64_t misses);
/* The same for texts that only a shared cache had: neither hits nor misses of the database. */
void sx_store_count_shared(sx_database *database, uint64_t hits);
/* The log of the database's options, for others who have something to say; NULL: none. */
sx_log_callback sx_store_log_of(const sx_database *database, void **user);
/* Keeps the unreferenced vectors under the database's cache limit, least recently used out first. Called after a job. */
sx_status sx_store_trim_cache(sx_database *database, sx_error *error);

/* ---- Collections ---- */

typedef struct sx_collection_row {
    int64_t id, recipe;
    char *name, *model, *recipe_hash, *space_hash; /* hashes in hexadecimal */
    char *settings;            /* JSON object: chunk options and the like, as the index job stored them */
    uint32_t dimensions;
} sx_collection_row;
void sx_collection_row_clear(sx_collection_row *row);

/* SX_E_NOT_FOUND with a hint that lists what is there. */
sx_status sx_store_collection_find(sx_database *database, const char *name, sx_collection_row *row, sx_error *error);
/* Finds or creates with this recipe and settings. An existing one is returned as it is: the caller compares recipes. */
sx_status sx_store_collection_open(sx_database *database, const char *name, int64_t recipe, const char *settings,
                                   sx_collection_row *row, sx_error *error);
sx_status sx_store_collection_settings(sx_database *database, int64_t collection, const char *settings, sx_error *error);

/* The right to run a job on a collection. wait false: SX_E_BUSY when another process has it. wait true: until it is free or *stop
 * becomes non-zero (SX_E_STOPPED). Freed by _release, close, or the process's death. */
sx_status sx_store_lease(sx_database *database, int64_t collection, bool wait, const volatile int *stop,
                         sx_error *error);
void sx_store_lease_release(sx_database *database, int64_t collection);

/* ---- Documents: identity is (collection, root, path) ---- */

typedef enum sx_document_state {
    SX_DOCUMENT_PENDING,
    SX_DOCUMENT_DONE,
    SX_DOCUMENT_FAILED,
    SX_DOCUMENT_SKIPPED
} sx_document_state;

typedef struct sx_file_state {  /* what tells that a file is unchanged (cli.md, "Meanings that must not drift") */
    uint64_t device, inode, size;
    int64_t mtime_ns, ctime_ns;
    int64_t scanned_ns;         /* wall clock when it was read: a file changed within the clock's grain of it is racy */
} sx_file_state;

typedef struct sx_document_row {
    int64_t id;                 /* 0: not stored */
    char *root, *path;          /* root: absolute folder; path: below it */
    sx_file_state file;
    sx_sha256 content;          /* of the file's bytes */
    sx_sha256 settings;         /* of all that decides the chunks: reader version, chunk options, recipe's limits */
    sx_document_state state;
    char *reason;               /* of a failure or a skip, or NULL */
    char *media_type, *title, *metadata; /* metadata: JSON object; may be NULL */
    uint64_t chunk_count, failed_chunks;
} sx_document_row;
void sx_document_row_clear(sx_document_row *row);

/* row->id 0 when there is none (not an error). */
sx_status sx_store_document_find(sx_database *database, int64_t collection, const char *root, const char *path,
                                 sx_document_row *row, sx_error *error);
/* Records that work is to be done: inserts or updates the row's state to PENDING without touching its committed chunks (which
 * stay searchable). Sets row->id. */
sx_status sx_store_document_pending(sx_database *database, int64_t collection, sx_document_row *row, sx_error *error);
/* Same content, new file state: updates the file's columns, state, reason and metadata only. */
sx_status sx_store_document_touch(sx_database *database, const sx_document_row *row, sx_error *error);

typedef struct sx_chunk_row {
    int64_t id, document, vector;   /* vector 0: it failed, reason says why */
    uint32_t index, start_line, end_line, tokens;
    uint64_t start, end;
    char *headings;                 /* JSON array of strings */
    char *symbols;                  /* of parsed code: JSON array of {"name", "kind", "line"}; else NULL */
    char *header;
    char *text;
    size_t text_length;
    sx_sha256 hash;                 /* of the embedded text: header and text */
    char *reason;
} sx_chunk_row;
void sx_chunk_row_clear(sx_chunk_row *row);

/* Replaces the document's chunks in one transaction and sets its state (DONE, or FAILED when any chunk has no vector), file
 * state, content hash, metadata. Inserts the document when row->id is 0. */
sx_status sx_store_document_commit(sx_database *database, int64_t collection, sx_document_row *row,
                                   const sx_chunk_row *chunks, size_t count, sx_error *error);
/* The document could not be read or is skipped: state FAILED or SKIPPED with the reason. Its old chunks stay when it FAILED (a
 * passing trouble must not lose content) and go when SKIPPED. */
sx_status sx_store_document_note(sx_database *database, int64_t collection, sx_document_row *row, sx_error *error);
sx_status sx_store_document_remove(sx_database *database, int64_t document, sx_error *error);

typedef sx_status (*sx_document_visit)(const sx_document_row *row, void *user, sx_error *error);
/* Documents whose root is `root` and whose path is `below`, or lies in the folder `below` ("" for all); root NULL: all. Ordered
 * by (root, path). The visitor may write to the database. */
sx_status sx_store_documents(sx_database *database, int64_t collection, const char *root, const char *below,
                             sx_document_visit visit, void *user, sx_error *error);

/* The collection's first root after `after` (NULL: the very first), malloc'ed; NULL when there is none. */
sx_status sx_store_next_root(sx_database *database, int64_t collection, const char *after, char **root, sx_error *error);

/* Marks what a scan has met, in a table of this connection alone; then visits the documents of (root, below) not met. */
sx_status sx_store_scan_begin(sx_database *database, sx_error *error);
sx_status sx_store_scan_met(sx_database *database, int64_t document, sx_error *error);
sx_status sx_store_scan_unmet(sx_database *database, int64_t collection, const char *root, const char *below,
                              sx_document_visit visit, void *user, sx_error *error);

/* ---- Search ---- */

typedef struct sx_candidate {
    int64_t chunk;
    float similarity;
} sx_candidate;
/* The `count` live chunks of the collection nearest to the query (cosine for unit vectors = dot product; the space's similarity
 * decides), best first, ties by chunk id. Uses the mapped segments and, for chunks not yet in one, the rows themselves; the
 * result is as of one snapshot and is always complete. filters as in sx_search_options: applied before the cut, so k matches
 * are found when k exist. *found <= count. */
sx_status sx_store_nearest(sx_database *database, const sx_collection_row *collection, const float *query, size_t count,
                           const char *const *filters, size_t filter_count, sx_candidate *candidates, size_t *found,
                           sx_error *error);
/* How the nearest are looked for. */
typedef struct sx_nearest_options {
    uint32_t ef_search; /* candidates kept on the walk through a graph; 0: SX_HNSW_EF_SEARCH */
    bool exact;         /* every row is compared */
} sx_nearest_options;
/* The same with options (NULL: none). Where a segment has a graph the answer is approximate: SPEED.md says how near. */
sx_status sx_store_nearest_by(sx_database *database, const sx_collection_row *collection, const float *query, size_t count,
                              const char *const *filters, size_t filter_count, const sx_nearest_options *options,
                              sx_candidate *candidates, size_t *found, sx_error *error);
/* The chunk with its document's row (either may be NULL). SX_E_NOT_FOUND when it has gone. */
sx_status sx_store_chunk(sx_database *database, int64_t chunk, sx_chunk_row *row, sx_document_row *document,
                         sx_error *error);
/* Writes what is committed but not yet in mapped segments into a new one, merges small and mostly dead ones, and removes files
 * nothing refers to. force false: only when enough has gathered. Safe to kill at any moment. */
sx_status sx_store_publish(sx_database *database, int64_t collection, bool force, sx_error *error);
/* The same, watched while it makes graphs, which takes seconds to minutes. SX_E_STOPPED: all is published but for a graph, which the
 * next call makes; searches do without it. Any part of watch may be NULL. */
typedef struct sx_publish_watch {
    const volatile int *stop;
    void (*linking)(size_t done, size_t total, void *user); /* vectors that are in the graph */
    void *user;
} sx_publish_watch;
sx_status sx_store_publish_watched(sx_database *database, int64_t collection, bool force, const sx_publish_watch *watch,
                                   sx_error *error);
/* From so many vectors on a segment of this handle has a graph; 0: the measured number. */
void sx_store_graphs_from(sx_database *database, size_t vectors);

#endif
