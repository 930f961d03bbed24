/* pgvector_schema.c - the registry of collections, and one table for each.
 *
 * sextant_registry says what each collection was made with, so collections of several models live side by side. The table of a
 * collection is called sextant_collection_NAME; a name too long for PostgreSQL's 63 bytes is cut and gets a part of its SHA-256.
 * Texts that PostgreSQL cannot hold (a NUL byte, broken UTF-8) stand in text_bytes as they are.
 */
#include "pgvector_internal.h"

#include "../base/code_point.h"
#include "../base/error.h"
#include "../base/hash.h"
#include "../base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_IDENTIFIER = 63, MOST_NAME = 1024, HNSW_SINCE = 500, HALF_SINCE = 700 };
static const char prefix[] = "sextant_collection_";

static const char create_registry[] =
    "CREATE TABLE IF NOT EXISTS sextant_registry (name text COLLATE \"C\" PRIMARY KEY, relation text NOT NULL UNIQUE, model text,"
    " space text, dimensions integer NOT NULL, similarity text NOT NULL, element text NOT NULL, index text NOT NULL,"
    " m integer NOT NULL, ef_construction integer NOT NULL, ef_search integer NOT NULL, lists integer NOT NULL,"
    " built_rows bigint NOT NULL DEFAULT 0, created timestamptz NOT NULL DEFAULT now())";
static const char find_text[] =
    "SELECT relation, model, space, dimensions, similarity, element, index, m, ef_construction, ef_search,"
    " lists, built_rows FROM sextant_registry WHERE name = $1";

bool sx_pg_is_half(const sx_pg_collection *collection)
{
    return strcmp(collection->element, "f16") == 0;
}

bool sx_pg_index_is_narrower(const sx_pg_collection *collection)
{
    return !sx_pg_is_half(collection) && collection->dimensions > SX_PG_INDEXED_DIMENSIONS &&
           collection->dimensions <= SX_PG_INDEXED_HALF_DIMENSIONS;
}

void sx_pg_forget(sx_pg *pg)
{
    free(pg->known.name);
    free(pg->known.relation);
    free(pg->known.model);
    free(pg->known.space);
    free(pg->known.similarity);
    free(pg->known.element);
    free(pg->known.index);
    pg->known = (sx_pg_collection){0};
}

/* ---- Finding ---- */

static sx_status fail_not_found(sx_pg *pg, sx_error *error)
{
    PGresult *result = NULL;
    sx_buffer names = {0};
    bool list = sx_pg_query(pg, "SELECT name FROM sextant_registry ORDER BY created LIMIT 20", NULL, 0, &result, NULL) == SX_OK;
    for (int row = 0; list && row < PQntuples(result); row++)
        sx_buffer_printf(&names, "%s%s", row ? ", " : "", PQgetvalue(result, row, 0));
    sx_fail(error, SX_E_NOT_FOUND, "there is no such collection");
    if (names.length && !names.failed)
        sx_hint(error, "there are: %s", names.data);
    PQclear(result);
    sx_buffer_clear(&names);
    pg->again = false;
    return SX_E_NOT_FOUND;
}

sx_status sx_pg_find(sx_pg *pg, const char *collection, sx_error *error)
{
    sx_pg_collection *known = &pg->known;
    const sx_pg_value name = {.data = collection};
    PGresult *result;
    bool failed = false;
    if (known->name && strcmp(known->name, collection) == 0)
        return SX_OK;
    sx_pg_forget(pg);
    sx_status status = sx_pg_query(pg, find_text, &name, 1, &result, error);
    if (status && strcmp(pg->state, "42P01") == 0) /* no registry yet */
        return fail_not_found(pg, error);
    if (status)
        return status;
    if (!PQntuples(result)) {
        PQclear(result);
        return fail_not_found(pg, error);
    }
    *known = (sx_pg_collection){
        .relation = sx_pg_text(result, 0, 0, &failed),
        .model = sx_pg_text(result, 0, 1, &failed),
        .space = sx_pg_text(result, 0, 2, &failed),
        .dimensions = (uint32_t)sx_pg_integer(result, 0, 3),
        .similarity = sx_pg_text(result, 0, 4, &failed),
        .element = sx_pg_text(result, 0, 5, &failed),
        .index = sx_pg_text(result, 0, 6, &failed),
        .m = (uint32_t)sx_pg_integer(result, 0, 7),
        .ef_construction = (uint32_t)sx_pg_integer(result, 0, 8),
        .ef_search = (uint32_t)sx_pg_integer(result, 0, 9),
        .lists = (uint32_t)sx_pg_integer(result, 0, 10),
        .built_rows = (uint64_t)sx_pg_integer(result, 0, 11),
    };
    PQclear(result);
    known->name = sx_strdup(collection);
    if (failed || !known->name || !known->dimensions || known->dimensions > SX_PG_MOST_DIMENSIONS) {
        status = failed || !known->name ? sx_fail_nomem(error, strlen(collection))
                                        : sx_fail(error, SX_E_FORMAT, "the registry says %u dimensions", known->dimensions);
        sx_pg_forget(pg);
    }
    return status;
}

/* ---- Making ---- */

/* The table's name, quoted. */
static char *relation_of(const char *collection)
{
    sx_buffer buffer = {0};
    char name[MOST_IDENTIFIER + 1], hex[SX_SHA256_HEX];
    size_t length = strlen(collection), room = MOST_IDENTIFIER - (sizeof prefix - 1);
    if (length <= room && !strchr(collection, '~')) { /* so that no short name can meet a shortened one */
        snprintf(name, sizeof name, "%s%s", prefix, collection);
    } else {
        sx_sha256 hash;
        size_t kept = 0, most = room - 17;
        sx_sha256_of(collection, length, &hash);
        sx_sha256_hex(&hash, hex);
        while (kept < length) {
            size_t next = kept + sx_utf8_decode(collection + kept, length - kept).length;
            if (next > most)
                break;
            kept = next;
        }
        snprintf(name, sizeof name, "%s%.*s~%.16s", prefix, (int)kept, collection, hex);
    }
    sx_pg_append_identifier(&buffer, name);
    return sx_buffer_take(&buffer);
}

/* Creating it is left to the database's owner where this user may not. */
static sx_status make_extension(sx_pg *pg, sx_error *error)
{
    sx_error refused = {0};
    if (pg->version)
        return SX_OK;
    sx_status status = sx_pg_run(pg, "CREATE EXTENSION IF NOT EXISTS vector", &refused);
    if (status) {
        if (pg->again)
            return sx_fail(error, status, "%s", refused.message);
        bool denied = strcmp(pg->state, "42501") == 0;
        sx_fail(error, denied ? SX_E_DENIED : SX_E_UNSUPPORTED, "the database lacks pgvector, and it could not be added: %s",
                refused.message);
        if (denied)
            sx_hint(error, "let an owner of the database run: CREATE EXTENSION vector");
        else
            sx_hint(error, "install pgvector on the server (the package postgresql-NN-pgvector, or the image pgvector/pgvector)");
        return denied ? SX_E_DENIED : SX_E_UNSUPPORTED;
    }
    return sx_pg_find_extension(pg, error);
}

typedef struct create_job {
    const char *collection;
    const sx_vector_space *space;
} create_job;

static sx_status fail_old(const sx_pg *pg, const char *what, const char *since, sx_error *error)
{
    sx_fail(error, SX_E_UNSUPPORTED, "%s needs pgvector %s, and the server has %d.%d.%d", what, since, pg->version / 10000,
            pg->version / 100 % 100, pg->version % 100);
    sx_hint(error, "a newer pgvector on the server, then: ALTER EXTENSION vector UPDATE");
    return SX_E_UNSUPPORTED;
}

static const char *index_of(const sx_vector_space *space)
{
    return space->index ? space->index : "hnsw";
}

static sx_status check_version(const sx_pg *pg, const sx_vector_space *space, sx_error *error)
{
    if (space->element && strcmp(space->element, "f16") == 0 && pg->version < HALF_SINCE)
        return fail_old(pg, "element f16 (halfvec)", "0.7", error);
    if (strcmp(index_of(space), "hnsw") == 0 && pg->version < HNSW_SINCE) {
        fail_old(pg, "an hnsw index", "0.5", error);
        sx_hint(error, "index ivfflat or none does without");
        return SX_E_UNSUPPORTED;
    }
    return SX_OK;
}

static sx_status disagree(const char *what, const char *there, const char *wanted, sx_error *error)
{
    return sx_fail(error, SX_E_MISMATCH, "it is there with %s %s, not %s", what, there, wanted);
}

static sx_status compare(const sx_pg_collection *known, const sx_vector_space *space, sx_error *error)
{
    const struct {
        const char *what, *there, *wanted;
    } texts[] = {
        {"similarity", known->similarity, sx_vector_similarity(space)},
        {"the model", known->model, space->model},
        {"the space", known->space, space->space},
        {"elements of", known->element, space->element},
    };
    if (known->dimensions != space->dimensions)
        return sx_fail(error, SX_E_MISMATCH, "it is there with %u dimensions, not %u", known->dimensions, space->dimensions);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].there && texts[i].wanted && strcmp(texts[i].there, texts[i].wanted) != 0)
            return disagree(texts[i].what, texts[i].there, texts[i].wanted, error);
    return SX_OK;
}

static sx_status insert_collection(sx_pg *pg, const create_job *job, const char *relation, sx_error *error)
{
    const sx_vector_space *space = job->space;
    char dimensions[16], m[16], ef_construction[16], ef_search[16], lists[16];
    const sx_pg_value values[] = {
        {.data = job->collection},
        {.data = relation},
        {.data = space->model},
        {.data = space->space},
        {.data = dimensions},
        {.data = sx_vector_similarity(space)},
        {.data = space->element ? space->element : "f32"},
        {.data = index_of(space)},
        {.data = m},
        {.data = ef_construction},
        {.data = ef_search},
        {.data = lists},
    };
    snprintf(dimensions, sizeof dimensions, "%u", space->dimensions);
    snprintf(m, sizeof m, "%u", space->m ? space->m : 16);
    snprintf(ef_construction, sizeof ef_construction, "%u", space->ef_construction ? space->ef_construction : 128);
    snprintf(ef_search, sizeof ef_search, "%u", space->ef_search ? space->ef_search : 96);
    snprintf(lists, sizeof lists, "%u", space->lists);
    return sx_pg_query(pg,
                       "INSERT INTO sextant_registry (name, relation, model, space, dimensions, similarity, element, index, m,"
                       " ef_construction, ef_search, lists) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
                       values, sizeof values / sizeof *values, NULL, error);
}

static sx_status make_table(sx_pg *pg, const create_job *job, sx_error *error)
{
    sx_buffer text = {0};
    const char *element = job->space->element && strcmp(job->space->element, "f16") == 0 ? "halfvec" : "vector";
    char *relation = relation_of(job->collection);
    sx_status status = relation ? insert_collection(pg, job, relation, error) : sx_fail_nomem(error, MOST_IDENTIFIER);
    if (!status) {
        sx_buffer_printf(&text,
                         "CREATE TABLE %s (id text COLLATE \"C\" PRIMARY KEY, document text, text text NOT NULL, metadata jsonb,"
                         " vector %s(%u) NOT NULL, text_bytes bytea, metadata_bytes bytea)",
                         relation, element, job->space->dimensions);
        status = text.failed ? sx_fail_nomem(error, text.length) : sx_pg_run(pg, text.data, error);
    }
    sx_buffer_clear(&text);
    free(relation);
    return status;
}

/* Making and dropping stand in one line, or two that make the same would fail at each other. */
static sx_status begin_alone(sx_pg *pg, sx_error *error)
{
    return sx_pg_run(pg, "BEGIN; SELECT pg_advisory_xact_lock(7095521734498113378)", error);
}

static sx_status create_work(sx_pg *pg, void *user, sx_error *error)
{
    create_job *job = user;
    sx_error found = {0};
    sx_status status = begin_alone(pg, error);
    if (!status)
        status = make_extension(pg, error);
    if (!status)
        status = check_version(pg, job->space, error);
    if (!status)
        status = sx_pg_run(pg, create_registry, error);
    if (status)
        return status;
    sx_pg_forget(pg);
    status = sx_pg_find(pg, job->collection, &found);
    if (!status)
        status = compare(&pg->known, job->space, error);
    else if (status == SX_E_NOT_FOUND)
        status = make_table(pg, job, error);
    else
        return sx_fail(error, status, "%s", found.message);
    return status ? status : sx_pg_run(pg, "COMMIT", error);
}

static bool is_one_of(const char *word, const char *a, const char *b, const char *c)
{
    return !word || strcmp(word, a) == 0 || strcmp(word, b) == 0 || (c && strcmp(word, c) == 0);
}

sx_status sx_pg_create(sx_vector_store *store, const char *collection, const sx_vector_space *space, sx_error *error)
{
    sx_pg *pg = (sx_pg *)store;
    create_job job = {collection, space};
    if (!collection || !*collection || strlen(collection) > MOST_NAME || !space)
        return sx_fail(error, SX_E_INVALID, "%s: create: a collection's name has 1 to %d bytes", store->name, MOST_NAME);
    if (!space->dimensions || space->dimensions > SX_PG_MOST_DIMENSIONS)
        return sx_fail(error, space->dimensions ? SX_E_LIMIT : SX_E_INVALID,
                       "%s: create %s: %u dimensions; pgvector takes 1 to %d", store->name, collection, space->dimensions,
                       SX_PG_MOST_DIMENSIONS);
    if (!is_one_of(space->similarity, "cosine", "dot", "l2"))
        return sx_fail(error, SX_E_INVALID, "%s: create %s: similarity \"%s\"; there are cosine, dot and l2", store->name,
                       collection, space->similarity);
    if (!is_one_of(space->element, "f32", "f16", NULL))
        return sx_fail(error, SX_E_INVALID, "%s: create %s: element \"%s\"; there are f32 and f16", store->name, collection,
                       space->element);
    if (!is_one_of(space->index, "hnsw", "ivfflat", "none"))
        return sx_fail(error, SX_E_INVALID, "%s: create %s: index \"%s\"; there are hnsw, ivfflat and none", store->name,
                       collection, space->index);
    if (space->m > 100 || space->m == 1 || space->ef_construction > 1000 || space->ef_search > 1000 || space->lists > 32768 ||
        (space->ef_construction ? space->ef_construction : 128) < 2 * (space->m ? space->m : 16))
        return sx_fail(error, SX_E_INVALID,
                       "%s: create %s: pgvector takes m 2 to 100, ef_construction 2 m to 1000, ef_search to 1000, lists to 32768",
                       store->name, collection);
    return sx_pg_do(pg, "create", collection, create_work, &job, error);
}

/* ---- Describing and dropping ---- */

typedef struct describe_job {
    const char *collection;
    sx_vector_space *space;
    uint64_t *count;
} describe_job;

static sx_status describe_work(sx_pg *pg, void *user, sx_error *error)
{
    describe_job *job = user;
    PGresult *result = NULL;
    sx_buffer text = {0};
    sx_pg_forget(pg); /* others may have made it anew */
    sx_status status = sx_pg_find(pg, job->collection, error);
    if (status)
        return status;
    const sx_pg_collection *known = &pg->known;
    *job->space = (sx_vector_space){.dimensions = known->dimensions,
                                    .similarity = known->similarity,
                                    .model = known->model,
                                    .space = known->space,
                                    .element = known->element,
                                    .index = known->index,
                                    .m = known->m,
                                    .ef_construction = known->ef_construction,
                                    .ef_search = known->ef_search,
                                    .lists = known->lists};
    if (job->count) {
        sx_buffer_printf(&text, "SELECT count(*) FROM %s", known->relation);
        status = text.failed ? sx_fail_nomem(error, text.length) : sx_pg_query(pg, text.data, NULL, 0, &result, error);
        if (!status)
            *job->count = (uint64_t)sx_pg_integer(result, 0, 0);
        PQclear(result);
    }
    sx_buffer_clear(&text);
    return status;
}

sx_status sx_pg_describe(sx_vector_store *store, const char *collection, sx_vector_space *space, uint64_t *count, sx_error *error)
{
    describe_job job = {collection, space, count};
    return sx_pg_do((sx_pg *)store, "describe", collection, describe_work, &job, error);
}

typedef struct drop_job {
    const char *collection;
    bool tried;
} drop_job;

static sx_status drop_work(sx_pg *pg, void *user, sx_error *error)
{
    drop_job *job = user;
    const sx_pg_value name = {.data = job->collection};
    sx_buffer text = {0};
    sx_status status = begin_alone(pg, error);
    sx_pg_forget(pg);
    if (!status)
        status = sx_pg_find(pg, job->collection, error);
    if (status == SX_E_NOT_FOUND && job->tried)
        return SX_OK; /* the connection went after it was dropped, before that was said */
    if (status)
        return status;
    job->tried = true;
    sx_buffer_printf(&text, "DROP TABLE IF EXISTS %s", pg->known.relation);
    status = text.failed ? sx_fail_nomem(error, text.length) : sx_pg_run(pg, text.data, error);
    sx_buffer_clear(&text);
    if (!status)
        status = sx_pg_query(pg, "DELETE FROM sextant_registry WHERE name = $1", &name, 1, NULL, error);
    if (!status)
        status = sx_pg_run(pg, "COMMIT", error);
    sx_pg_forget(pg);
    return status;
}

sx_status sx_pg_drop(sx_vector_store *store, const char *collection, sx_error *error)
{
    drop_job job = {collection, false};
    return sx_pg_do((sx_pg *)store, "drop", collection, drop_work, &job, error);
}
