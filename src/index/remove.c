/* remove.c - sx_remove: takes documents out of a collection by path, whether the path still exists or not. */
#include "index_records.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { TRANSACTION_MOST_DOCUMENTS = 256 };

typedef struct removal {
    char **paths;      /* absolute */
    uint64_t *matches; /* of each */
    size_t path_count;
    int64_t *ids;
    size_t count, capacity;
    size_t files_of_records; /* of those: no documents themselves */
} sx_removal;

static sx_status match(const sx_document_row *row, void *user, sx_error *error)
{
    sx_removal *removal = user;
    bool matches = false;
    char *path = sx_path_join(row->root, row->path);
    if (!path)
        return sx_fail_nomem(error, strlen(row->root) + strlen(row->path));
    for (size_t i = 0; i < removal->path_count; i++) {
        if (sx_path_is_in(path, removal->paths[i])) {
            removal->matches[i]++;
            matches = true;
        }
    }
    free(path);
    if (!matches)
        return SX_OK;
    if (!sx_reserve((void **)&removal->ids, &removal->capacity, removal->count + 1, sizeof *removal->ids))
        return sx_fail_nomem(error, sizeof *removal->ids);
    removal->ids[removal->count++] = row->id;
    removal->files_of_records += sx_index_is_container(row);
    return SX_OK;
}

static sx_status resolve(sx_removal *removal, const char *const *paths, size_t count, sx_error *error)
{
    removal->paths = sx_calloc(count, sizeof *removal->paths);
    removal->matches = sx_calloc(count, sizeof *removal->matches);
    if (!removal->paths || !removal->matches)
        return sx_fail_nomem(error, count * sizeof *removal->paths);
    removal->path_count = count;
    for (size_t i = 0; i < count; i++) {
        if (!paths[i])
            return sx_fail(error, SX_E_INVALID, "sx_remove: path %zu is NULL", i);
        sx_status status = sx_index_absolute_path(paths[i], &removal->paths[i], error);
        if (status)
            return status;
    }
    return SX_OK;
}

static sx_status take_out(sx_database *database, const sx_removal *removal, uint64_t *removed, sx_error *error)
{
    for (size_t start = 0; start < removal->count; start += TRANSACTION_MOST_DOCUMENTS) {
        size_t end = start + TRANSACTION_MOST_DOCUMENTS < removal->count ? start + TRANSACTION_MOST_DOCUMENTS : removal->count;
        sx_status status = sx_store_begin(database, error);
        for (size_t i = start; !status && i < end; i++)
            status = sx_store_document_remove(database, removal->ids[i], error);
        if (!status)
            status = sx_store_commit(database, error);
        if (status) {
            sx_store_rollback(database);
            return status;
        }
        *removed += end - start;
    }
    *removed -= removal->files_of_records;
    return SX_OK;
}

sx_status sx_remove(sx_database *database, const char *collection, const char *const *paths, size_t path_count,
                    uint64_t *removed, sx_error *error)
{
    uint64_t count = 0;
    if (removed)
        *removed = 0;
    if (!database || !paths || !path_count)
        return sx_fail(error, SX_E_INVALID, "sx_remove: database or paths is NULL, or there are none");
    sx_collection_row row = {0};
    sx_removal removal = {0};
    bool leased = false;
    sx_status status = sx_store_collection_find(database, collection ? collection : "default", &row, error);
    if (!status)
        status = resolve(&removal, paths, path_count, error);
    if (!status) { /* an index job must not commit what is being taken out */
        status = sx_store_lease(database, row.id, false, NULL, error);
        leased = !status;
    }
    if (!status)
        status = sx_store_documents(database, row.id, NULL, "", match, &removal, error);
    for (size_t i = 0; !status && i < path_count; i++) {
        if (removal.matches[i])
            continue;
        status = sx_fail(error, SX_E_NOT_FOUND, "%s: no document of collection %s lies there; nothing was removed", paths[i],
                         row.name);
    }
    if (!status)
        status = take_out(database, &removal, &count, error);
    if (!status)
        status = sx_store_publish(database, row.id, false, error);
    if (removed)
        *removed = count;
    if (leased)
        sx_store_lease_release(database, row.id);
    for (size_t i = 0; i < removal.path_count; i++)
        free(removal.paths[i]);
    free(removal.paths);
    free(removal.matches);
    free(removal.ids);
    sx_collection_row_clear(&row);
    return status;
}
