/* run_collections.c - `sextant status`, `collections ...`, `backup`, `restore`, `cache ...`. */
#include "vector_files.h"

#include "../base/error.h"
#include "collection_transfer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void append_collection(sx_buffer *json, const sx_collection_info *collection, bool recipe)
{
    sx_buffer_append_byte(json, '{');
    sx_cli_member_text(json, "name", collection->name);
    sx_cli_member_text(json, "model", collection->model);
    sx_cli_member_text(json, "space", collection->space);
    if (recipe)
        sx_cli_member_text(json, "recipe", collection->recipe);
    sx_cli_member_integer(json, "dimensions", collection->dimensions);
    sx_cli_member_integer(json, "documents", collection->documents);
    sx_cli_member_integer(json, "chunks", collection->chunks);
    sx_cli_member_integer(json, "vectors", collection->vectors);
    sx_cli_member_integer(json, "pending", collection->pending);
    sx_cli_member_integer(json, "failed", collection->failed);
    sx_cli_member_integer(json, "bytes", collection->bytes);
    if (collection->moving_to) {
        sx_cli_key(json, "migrating");
        sx_buffer_append_byte(json, '{');
        sx_cli_member_text(json, "to", collection->moving_to);
        sx_cli_member_integer(json, "done", collection->moved);
        sx_cli_member_integer(json, "total", collection->documents);
        sx_buffer_append_byte(json, '}');
    }
    if (collection->kept_model)
        sx_cli_member_text(json, "kept", collection->kept_model);
    if (collection->dropped_to) {
        sx_cli_key(json, "dropped_f32");
        sx_buffer_append_byte(json, '{');
        sx_cli_member_text(json, "kept", collection->dropped_to);
        sx_cli_member_integer(json, "vectors", collection->dropped);
        sx_buffer_append_byte(json, '}');
    }
    sx_buffer_append_byte(json, '}');
}

static void append_collections(sx_buffer *json, const sx_database_status *there)
{
    sx_cli_key(json, "collections");
    sx_buffer_append_byte(json, '[');
    for (size_t i = 0; i < there->collection_count; i++) {
        sx_buffer_append_string(json, i ? "," : "");
        append_collection(json, &there->collections[i], false);
    }
    sx_buffer_append_byte(json, ']');
}

/* Without the closing brace: `cache stats` may have more to say. */
static void append_cache(sx_buffer *json, const sx_cache_info *cache)
{
    sx_buffer_append_byte(json, '{');
    sx_cli_member_integer(json, "entries", cache->entries);
    sx_cli_member_integer(json, "bytes", cache->bytes);
    sx_cli_member_integer(json, "limit", cache->limit);
    sx_cli_member_integer(json, "hits", cache->hits);
    sx_cli_member_integer(json, "misses", cache->misses);
    sx_cli_member_number(json, "hit_rate", cache->hit_rate);
    sx_cli_member_integer(json, "referenced_entries", cache->referenced_entries);
    sx_cli_member_integer(json, "referenced_bytes", cache->referenced_bytes);
    sx_cli_member_integer(json, "shared_hits", cache->shared_hits);
}

static void print_collections(const sx_database_status *there)
{
    if (!there->collection_count) {
        sx_cli_say("No collections yet; `sextant index PATH` makes one.\n");
        return;
    }
    int widest = 10;
    for (size_t i = 0; i < there->collection_count; i++)
        if (strlen(there->collections[i].name) > (size_t)widest)
            widest = (int)strlen(there->collections[i].name);
    widest = widest > 40 ? 40 : widest;
    sx_cli_say("%-*s  %9s  %9s  %8s  %7s  %10s  %s\n", widest, "collection", "documents", "chunks", "pending", "failed", "size",
               "model");
    for (size_t i = 0; i < there->collection_count; i++) {
        const sx_collection_info *collection = &there->collections[i];
        char documents[32], chunks[32], pending[32], failed[32], bytes[32];
        sx_cli_human_count(collection->documents, documents);
        sx_cli_human_count(collection->chunks, chunks);
        sx_cli_human_count(collection->pending, pending);
        sx_cli_human_count(collection->failed, failed);
        sx_cli_human_bytes(collection->bytes, bytes);
        sx_cli_say("%-*s  %9s  %9s  %8s  %7s  %10s  %s\n", widest, collection->name, documents, chunks, pending, failed, bytes,
                   collection->model);
        if (collection->moving_to)
            sx_cli_say("%*s migrating to %s: %llu/%llu documents\n", widest + 1, "", collection->moving_to,
                       (unsigned long long)collection->moved, (unsigned long long)collection->documents);
        if (collection->kept_model)
            sx_cli_say("%*s its side of %s is kept (migrate --rollback, --drop-old)\n", widest + 1, "", collection->kept_model);
        if (collection->dropped_to) {
            sx_cli_human_count(collection->dropped, chunks);
            sx_cli_say("%*s 32-bit vectors dropped: of %s only %s is kept\n", widest + 1, "", chunks, collection->dropped_to);
        }
    }
}

static void print_cache(const sx_cache_info *cache)
{
    char entries[32], bytes[32], limit[32], used[32], used_bytes[32];
    sx_cli_human_count(cache->entries, entries);
    sx_cli_human_bytes(cache->bytes, bytes);
    sx_cli_human_bytes(cache->limit, limit);
    sx_cli_human_count(cache->referenced_entries, used);
    sx_cli_human_bytes(cache->referenced_bytes, used_bytes);
    sx_cli_say("cache: %s vectors, %s (limit %s for what no collection uses); used by collections: %s, %s; "
               "hit rate %.1f %% of %llu\n",
               entries, bytes, limit, used, used_bytes, cache->hit_rate * 100,
               (unsigned long long)(cache->hits + cache->shared_hits + cache->misses));
    if (cache->shared_hits)
        sx_cli_say("found in a shared cache: %llu\n", (unsigned long long)cache->shared_hits);
}

/* ---- The shared cache's server ---- */

static void append_shared(sx_cli *cli, sx_buffer *json)
{
    const char *url = sx_cli_text(cli, "shared-cache");
    sx_error error = {0};
    char *name = NULL;
    uint64_t entries, bytes;
    if (!url)
        return;
    sx_status status = sx_shared_cache_describe(url, &name, &entries, &bytes, &error);
    sx_cli_key(json, "shared_cache");
    sx_buffer_append_byte(json, '{');
    if (name)
        sx_cli_member_text(json, "url", name);
    sx_cli_member_boolean(json, "reachable", !status);
    if (status) {
        sx_cli_member_text(json, "problem", error.message);
    } else {
        sx_cli_member_integer(json, "entries", entries);
        sx_cli_member_integer(json, "bytes", bytes);
    }
    sx_buffer_append_byte(json, '}');
    free(name);
}

static void print_shared(sx_cli *cli)
{
    const char *url = sx_cli_text(cli, "shared-cache");
    sx_error error = {0};
    char *name = NULL, size[32], count[32];
    uint64_t entries, bytes;
    if (!url)
        return;
    if (sx_shared_cache_describe(url, &name, &entries, &bytes, &error)) {
        sx_cli_say("%s\n", error.message);
    } else {
        sx_cli_human_count(entries, count);
        sx_cli_human_bytes(bytes, size);
        sx_cli_say("shared cache %s: %s entries, %s\n", name, count, size);
    }
    free(name);
}

typedef enum shown { SHOW_ALL, SHOW_COLLECTIONS, SHOW_CACHE } shown;

/* A database that does not exist yet holds nothing, which is no failure: `status` before the first `index`. */
static sx_status describe(sx_cli *cli, const char *path, sx_database_status **there, sx_error *error)
{
    sx_database *database = NULL;
    sx_status status = sx_cli_open_database(cli, path, false, &database, error);
    if (!status)
        status = sx_database_describe(database, there, error);
    sx_database_close(database);
    return status;
}

static int show(sx_cli *cli, const char *path, shown what)
{
    sx_error error = {0};
    sx_database_status *there = NULL;
    sx_database_status nothing = {0};
    sx_status status = describe(cli, path, &there, &error);
    if (status == SX_E_NOT_FOUND && !sx_cli_get(cli, "db")->given)
        status = SX_OK;
    if (status)
        return sx_cli_fail(cli, &error);
    const sx_database_status *state = there ? there : &nothing;
    int code = SX_EXIT_DONE;
    if (cli->json) {
        sx_buffer json = {0};
        if (what == SHOW_CACHE) {
            append_cache(&json, &state->cache);
            append_shared(cli, &json);
            sx_buffer_append_byte(&json, '}');
        } else {
            sx_buffer_append_byte(&json, '{');
            append_collections(&json, state);
            if (what == SHOW_ALL) {
                sx_cli_key(&json, "cache");
                append_cache(&json, &state->cache);
                sx_buffer_append_byte(&json, '}');
            }
            sx_buffer_append_byte(&json, '}');
        }
        code = sx_cli_print_json(cli, &json);
    } else {
        if (what == SHOW_ALL)
            sx_cli_say("%s%s\n\n", path, there ? "" : " (not there yet)");
        if (what != SHOW_CACHE)
            print_collections(state);
        if (what == SHOW_ALL)
            sx_cli_say("\n");
        if (what != SHOW_COLLECTIONS)
            print_cache(&state->cache);
        if (what == SHOW_CACHE)
            print_shared(cli);
    }
    sx_database_status_free(there);
    return code;
}

int sx_cli_status(sx_cli *cli)
{
    return show(cli, cli->db_path, SHOW_ALL);
}

int sx_cli_collections_list(sx_cli *cli)
{
    return show(cli, cli->db_path, SHOW_COLLECTIONS);
}

int sx_cli_cache_stats(sx_cli *cli)
{
    return show(cli, cli->cache_path, SHOW_CACHE);
}

int sx_cli_collections_info(sx_cli *cli)
{
    sx_error error = {0};
    sx_database_status *there = NULL;
    const sx_collection_info *found = NULL;
    sx_status status = describe(cli, cli->db_path, &there, &error);
    for (size_t i = 0; !status && i < there->collection_count; i++)
        if (strcmp(there->collections[i].name, cli->arguments[0]) == 0)
            found = &there->collections[i];
    if (!status && !found) {
        status = sx_fail(&error, SX_E_NOT_FOUND, "collection %s: not found in %s", cli->arguments[0], cli->db_path);
        sx_hint(&error, "`sextant collections list` says what is there");
    }
    int code = SX_EXIT_DONE;
    if (status) {
        code = sx_cli_fail(cli, &error);
    } else if (cli->json) {
        sx_buffer json = {0};
        append_collection(&json, found, true);
        code = sx_cli_print_json(cli, &json);
    } else {
        char bytes[32];
        sx_cli_human_bytes(found->bytes, bytes);
        sx_cli_say("name        %s\nmodel       %s\nspace       %s\nrecipe      %s\ndimensions  %u\n", found->name, found->model,
                   found->space, found->recipe, found->dimensions);
        sx_cli_say("documents   %llu\nchunks      %llu\nvectors     %llu\npending     %llu\nfailed      %llu\nsize        %s\n",
                   (unsigned long long)found->documents, (unsigned long long)found->chunks, (unsigned long long)found->vectors,
                   (unsigned long long)found->pending, (unsigned long long)found->failed, bytes);
    }
    sx_database_status_free(there);
    return code;
}

/* One line for people, one object for machines. */
static int done(sx_cli *cli, const char *key, const char *name, const char *count_key, uint64_t count, const char *says)
{
    if (!cli->json) {
        if (!cli->quiet)
            sx_cli_say("%s\n", says);
        return SX_EXIT_DONE;
    }
    sx_buffer json = {0};
    sx_buffer_append_byte(&json, '{');
    sx_cli_member_text(&json, key, name);
    if (count_key)
        sx_cli_member_integer(&json, count_key, count);
    sx_buffer_append_byte(&json, '}');
    return sx_cli_print_json(cli, &json);
}

int sx_cli_collections_rename(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    sx_status status = sx_cli_open_database(cli, cli->db_path, false, &database, &error);
    if (!status)
        status = sx_collection_rename(database, cli->arguments[0], cli->arguments[1], &error);
    sx_database_close(database);
    return status ? sx_cli_fail(cli, &error) : done(cli, "renamed", cli->arguments[1], NULL, 0, "renamed");
}

static bool confirmed(const sx_cli *cli, const char *question)
{
    char answer[16];
    if (sx_cli_flag(cli, "yes") || cli->json || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return true;
    fprintf(stderr, "%s [y/N] ", question);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

int sx_cli_collections_delete(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    char question[256];
    snprintf(question, sizeof question, "Delete collection %s?", cli->arguments[0]);
    if (!confirmed(cli, question))
        return sx_cli_usage(cli, NULL, "collections delete: not confirmed");
    sx_status status = sx_cli_open_database(cli, cli->db_path, false, &database, &error);
    if (!status)
        status = sx_collection_delete(database, cli->arguments[0], &error);
    sx_database_close(database);
    return status ? sx_cli_fail(cli, &error) : done(cli, "deleted", cli->arguments[0], NULL, 0, "deleted");
}

int sx_cli_collections_export(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    const char *format = sx_cli_text(cli, "format"), *target = sx_cli_text(cli, "output");
    if (sx_cli_text(cli, "to"))
        return sx_cli_export_to_store(cli);
    bool standard = !target || strcmp(target, "-") == 0;
    if (standard && strcmp(format, "jsonl") != 0)
        return sx_cli_usage(cli, NULL, "collections export: --format %s needs -o FILE", format);
    sx_status status = sx_cli_open_database(cli, cli->db_path, false, &database, &error);
    if (!status)
        status = sx_collection_export(database, cli->arguments[0], format, standard ? "-" : target, &error);
    sx_database_close(database);
    if (status)
        return sx_cli_fail(cli, &error);
    return standard ? SX_EXIT_DONE : done(cli, "exported", target, NULL, 0, "exported");
}

/* The file of an import: an argument or -i. */
static const char *import_source(sx_cli *cli, size_t argument)
{
    return cli->argument_count > argument ? cli->arguments[argument] : sx_cli_text(cli, "input");
}

int sx_cli_collections_import(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    const char *source = import_source(cli, 1);
    const char *const *sources = cli->argument_count > 1 ? cli->arguments + 1 : &source;
    uint64_t chunks = 0;
    if (sx_cli_text(cli, "from"))
        return sx_cli_import_from_store(cli);
    if (!source)
        return sx_cli_usage(cli, NULL, "collections import: the FILE to take is missing");
    sx_status status = sx_cli_open_database(cli, cli->db_path, true, &database, &error);
    if (!status)
        status = sx_cli_import_files(cli, database, cli->arguments[0], sources, cli->argument_count > 1 ? cli->argument_count - 1 : 1,
                                     &chunks, &error);
    sx_database_close(database);
    return status ? sx_cli_fail(cli, &error)
                  : done(cli, "imported", cli->arguments[0], chunks ? "chunks" : NULL, chunks, "imported");
}

int sx_cli_backup(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    sx_status status = sx_cli_open_database(cli, cli->db_path, false, &database, &error);
    if (!status)
        status = sx_database_backup(database, cli->arguments[0], &error);
    sx_database_close(database);
    return status ? sx_cli_fail(cli, &error) : done(cli, "backup", cli->arguments[0], NULL, 0, "backed up");
}

int sx_cli_restore(sx_cli *cli)
{
    sx_error error = {0};
    sx_status status = sx_cli_make_folder_of(cli->db_path, &error);
    if (!status)
        status = sx_database_restore(cli->arguments[0], cli->db_path, sx_cli_flag(cli, "force"), &error);
    if (status == SX_E_EXISTS)
        sx_hint(&error, "--force replaces it");
    return status ? sx_cli_fail(cli, &error) : done(cli, "restored", cli->db_path, NULL, 0, "restored");
}

static int prune(sx_cli *cli, uint64_t bytes)
{
    sx_error error = {0};
    sx_database *database = NULL;
    uint64_t removed = 0;
    char says[64];
    sx_status status = sx_cli_open_database(cli, cli->cache_path, false, &database, &error);
    if (!status)
        status = sx_cache_prune(database, bytes, &removed, &error);
    sx_database_close(database);
    snprintf(says, sizeof says, "%llu vectors taken out", (unsigned long long)removed);
    return status ? sx_cli_fail(cli, &error) : done(cli, "cache", cli->cache_path, "removed", removed, says);
}

int sx_cli_cache_prune(sx_cli *cli)
{
    return prune(cli, sx_cli_count(cli, "max-size"));
}

int sx_cli_cache_clear(sx_cli *cli)
{
    return prune(cli, 0);
}

int sx_cli_cache_export(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    uint64_t count = 0;
    const char *target = sx_cli_text(cli, "output");
    bool standard = !target || strcmp(target, "-") == 0;
    char says[64];
    sx_status status = sx_cli_open_database(cli, cli->cache_path, false, &database, &error);
    if (!status)
        status = sx_cache_export(database, standard ? "-" : target, &count, &error);
    sx_database_close(database);
    snprintf(says, sizeof says, "%llu vectors written", (unsigned long long)count);
    if (status)
        return sx_cli_fail(cli, &error);
    return standard ? SX_EXIT_DONE : done(cli, "exported", target, "entries", count, says);
}

int sx_cli_cache_import(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    uint64_t count = 0;
    const char *source = import_source(cli, 0);
    char says[64];
    if (!source)
        return sx_cli_usage(cli, NULL, "cache import: the FILE to take is missing");
    sx_status status = sx_cli_open_database(cli, cli->cache_path, true, &database, &error);
    if (!status)
        status = sx_cache_import(database, source, &count, &error);
    sx_database_close(database);
    snprintf(says, sizeof says, "%llu vectors taken", (unsigned long long)count);
    return status ? sx_cli_fail(cli, &error) : done(cli, "imported", source, "entries", count, says);
}
