/* batch_gather.c - texts on their way into jobs of the Batch API, and what became of them.
 *
 * A text goes into a job unless it has its vector, is in one already, or would be refused by the pipeline anyway. The file of
 * requests lies beside the database, flushed, before the job is entered: from then on any process can go on with it.
 */
#include "batch_work.h"
#include "embedder.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "../doc/secret_patterns.h"
#include "../provider/batch_files.h"
#include "../provider/batch_job.h"
#include "../provider/provider_remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What comes back for one file is read into memory: at most so many bytes of it. */
static const size_t largest_reply_file = (size_t)512 << 20;
enum { BYTES_PER_VALUE = 16, BYTES_PER_LINE = 1024 };

struct sx_batch_gathering {
    sx_batch_writer writer;
    sx_hash_set met;       /* in this file or one before it */
    sx_sha256 *hashes;     /* in the file in hand */
    size_t capacity;
    sx_buffer joined;      /* prompt and text */
    double usd, file_usd;  /* estimates: of files that are entered, of the one in hand */
    bool retry_failed;
};
typedef struct sx_batch_gathering sx_batch_gathering;

static sx_status remote_of(sx_embedder *embedder, sx_provider_remote **remote, sx_error *error)
{
    sx_provider *provider = embedder->provider;
    *remote = NULL;
    if (embedder->fallback)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: the Batch API does not go with a fallback", embedder->model);
    if (provider->class != &sx_provider_remote_class)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: the Batch API is there for openai: and openai@URL only", embedder->model);
    sx_provider_remote *found = (sx_provider_remote *)provider;
    sx_status status = sx_batch_service_check(&found->target, error);
    if (!status && found->target.no_dimensions && found->target.dimensions)
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: dimensions cannot be cut here for what comes from the Batch API",
                         embedder->model);
    if (!status && !embedder->cache)
        status = sx_fail(error, SX_E_INVALID, "%s: the Batch API needs a database to keep its jobs in", embedder->model);
    if (!status)
        *remote = found;
    return status;
}

sx_status sx_embedder_batch_begin(sx_embedder *embedder, int retry_failed, const volatile int *stop, sx_error *error)
{
    sx_provider_remote *remote;
    if (!embedder || embedder->gathering)
        return sx_fail(error, SX_E_INVALID, "sx_embedder_batch_begin: no embedder, or begun already");
    sx_status status = remote_of(embedder, &remote, error);
    if (status)
        return status;
    sx_batch_gathering *gathering = sx_calloc(1, sizeof *gathering);
    if (!gathering)
        return sx_fail_nomem(error, sizeof *gathering);
    size_t most = largest_reply_file / ((size_t)embedder->info.dimensions * BYTES_PER_VALUE + BYTES_PER_LINE);
    gathering->writer = (sx_batch_writer){.target = &remote->target,
                                          .role = remote->role,
                                          .recipe = &embedder->recipe,
                                          .max_requests = most && most < SX_BATCH_REQUESTS ? most : SX_BATCH_REQUESTS,
                                          .max_bytes = SX_BATCH_BYTES};
    gathering->retry_failed = retry_failed != 0;
    status = sx_store_batch_lock(embedder->cache, stop, error);
    if (status)
        free(gathering);
    else
        embedder->gathering = gathering;
    return status;
}

/* ---- Files ---- */

static sx_status check_budget(const sx_embedder *embedder, const sx_batch_gathering *gathering, sx_error *error)
{
    double all = gathering->usd + gathering->file_usd;
    if (embedder->budget_usd <= 0 || all <= embedder->budget_usd)
        return SX_OK;
    return sx_fail(error, SX_E_LIMIT, "%s: the budget of $%.6g would be passed: batches so far cost about $%.6g, the next $%.6g",
                   embedder->model, embedder->budget_usd, gathering->usd, gathering->file_usd);
}

/* Writes the file in hand and enters its job. */
static sx_status end_file(sx_embedder *embedder, sx_error *error)
{
    sx_batch_gathering *gathering = embedder->gathering;
    sx_batch_writer *writer = &gathering->writer;
    double price = embedder->provider->info.usd_per_million;
    if (!writer->count)
        return SX_OK;
    sx_status status = check_budget(embedder, gathering, error);
    if (status)
        return status;
    sx_batch_row row = {.recipe = embedder->cache_recipe,
                        .step = SX_BATCH_PREPARED,
                        .provider = (char *)embedder->info.provider,
                        .model = embedder->model,
                        .url = writer->target->base_url,
                        .requests = writer->count,
                        .price = price < 0 ? -1 : price / 2,
                        .created_ns = embedder->clock.wall_ns(embedder->clock.user)};
    sx_sha256_of(writer->file.data, writer->file.length, &row.file);
    char *path = sx_store_batch_path(embedder->cache, &row.file);
    char *folder = path ? sx_strndup(path, (size_t)(sx_path_name(path) - path) - 1) : NULL;
    status = folder ? sx_make_folders(folder, error) : sx_fail_nomem(error, 256);
    if (!status)
        status = sx_file_write_atomic(path, writer->file.data, writer->file.length, error);
    if (!status)
        status = sx_store_batch_add(embedder->cache, &row, gathering->hashes, writer->count, error);
    if (!status) {
        gathering->usd += gathering->file_usd;
        gathering->file_usd = 0;
        sx_batch_writer_reset(writer);
    }
    free(path);
    free(folder);
    return status;
}

/* ---- Texts ---- */

/* Whether the pipeline would send this text. */
static bool is_sendable(const sx_embedder *embedder, sx_text text, uint32_t *tokens)
{
    const sx_provider_remote *remote = (const sx_provider_remote *)embedder->provider;
    const sx_token_counter *counter = &embedder->provider->counter;
    uint32_t limit = embedder->provider->info.max_length;
    sx_secret secret;
    if (sx_wire_text_problem(text) || (!embedder->allow_secrets && sx_secret_find(text.data, text.length, 0, &secret)))
        return false;
    size_t count = remote->exact ? counter->count_embedded ? counter->count_embedded(counter->user, text.data, text.length)
                                                           : counter->count(counter->user, text.data, text.length, NULL, 0)
                                 : text.length + strlen(remote->prompt);
    *tokens = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
    return !remote->exact || !limit || count <= limit;
}

static sx_status join_prompt(sx_embedder *embedder, sx_text *text, sx_error *error)
{
    sx_buffer *joined = &embedder->gathering->joined;
    const char *prompt = embedder->provider->info.prompt;
    if (!prompt[0])
        return SX_OK;
    sx_buffer_reset(joined);
    sx_buffer_append_string(joined, prompt);
    if (!sx_buffer_append(joined, text->data, text->length))
        return sx_fail_nomem(error, text->length);
    *text = (sx_text){joined->data, joined->length};
    return SX_OK;
}

/* Puts a text into the file in hand, ending that first when it is full. */
static sx_status put_text(sx_embedder *embedder, sx_text text, const sx_sha256 *hash, uint32_t tokens, sx_error *error)
{
    sx_batch_gathering *gathering = embedder->gathering;
    double price = embedder->provider->info.usd_per_million;
    bool full = false;
    sx_status status = join_prompt(embedder, &text, error);
    if (!status)
        status = sx_batch_writer_add(&gathering->writer, text, hash, &full, error);
    if (!status && full) {
        status = end_file(embedder, error);
        if (!status)
            status = sx_batch_writer_add(&gathering->writer, text, hash, &full, error);
    }
    if (status)
        return status;
    size_t count = gathering->writer.count;
    if (!sx_reserve((void **)&gathering->hashes, &gathering->capacity, count, sizeof *hash))
        return sx_fail_nomem(error, count * sizeof *hash);
    gathering->hashes[count - 1] = *hash;
    gathering->file_usd += price > 0 ? tokens * price / 2e6 : 0;
    return SX_OK;
}

static sx_status is_stored(sx_embedder *embedder, const sx_sha256 *hash, bool *stored, sx_error *error)
{
    sx_vector_row row = {0};
    sx_status status = sx_store_lookup(embedder->cache, embedder->cache_recipe, hash, 1, &row, NULL, error);
    *stored = row.id != 0;
    return status;
}

static sx_status add_text(sx_embedder *embedder, sx_text text, sx_error *error)
{
    sx_sha256 hash;
    uint32_t tokens;
    bool stored = false, added = false;
    int64_t batch = 0;
    sx_batch_item_state state = SX_BATCH_ITEM_PENDING;
    char *reason = NULL;
    if (!is_sendable(embedder, text, &tokens))
        return SX_OK;
    sx_sha256_of(text.data, text.length, &hash);
    sx_status status = is_stored(embedder, &hash, &stored, error);
    if (!status && !stored)
        status = sx_store_batch_of(embedder->cache, embedder->cache_recipe, &hash, &batch, &state, &reason, error);
    free(reason);
    if (status || stored)
        return status;
    if (batch && (state == SX_BATCH_ITEM_PENDING || (state == SX_BATCH_ITEM_FAILED && !embedder->gathering->retry_failed)))
        return SX_OK;
    status = sx_hash_set_add(&embedder->gathering->met, &hash, &added, error);
    if (status || !added)
        return status;
    if (batch)
        status = sx_store_batch_forget(embedder->cache, embedder->cache_recipe, &hash, error);
    return status ? status : put_text(embedder, text, &hash, tokens, error);
}

sx_status sx_embedder_batch_add(sx_embedder *embedder, const sx_text *texts, size_t count, sx_error *error)
{
    if (!embedder || !embedder->gathering || (count && !texts))
        return sx_fail(error, SX_E_INVALID, "sx_embedder_batch_add: not begun, or texts is NULL");
    sx_status status = SX_OK;
    for (size_t i = 0; i < count && !status; i++)
        status = add_text(embedder, texts[i], error);
    return status;
}

sx_status sx_embedder_batch_end(sx_embedder *embedder, int keep, sx_error *error)
{
    if (!embedder || !embedder->gathering)
        return SX_OK;
    sx_batch_gathering *gathering = embedder->gathering;
    sx_status status = keep ? end_file(embedder, error) : SX_OK;
    sx_store_batch_unlock(embedder->cache);
    sx_batch_writer_clear(&gathering->writer);
    sx_hash_set_clear(&gathering->met);
    sx_buffer_clear(&gathering->joined);
    free(gathering->hashes);
    free(gathering);
    embedder->gathering = NULL;
    return status;
}

sx_status sx_embedder_batch_problem(sx_embedder *embedder, sx_text text, char problem[320], sx_error *error)
{
    sx_sha256 hash;
    uint32_t tokens;
    bool stored;
    int64_t batch = 0;
    sx_batch_item_state state = SX_BATCH_ITEM_PENDING;
    char *reason = NULL;
    sx_provider_remote *remote;
    if (!embedder || !problem || (!text.data && text.length))
        return sx_fail(error, SX_E_INVALID, "sx_embedder_batch_problem: an argument is NULL");
    problem[0] = '\0';
    sx_status status = remote_of(embedder, &remote, error);
    if (status || !is_sendable(embedder, text, &tokens))
        return status;
    sx_sha256_of(text.data, text.length, &hash);
    status = is_stored(embedder, &hash, &stored, error);
    if (status || stored)
        return status;
    status = sx_store_batch_of(embedder->cache, embedder->cache_recipe, &hash, &batch, &state, &reason, error);
    if (!status && !batch)
        snprintf(problem, 320, "it is in no batch; the same command sends it");
    else if (!status)
        snprintf(problem, 320, "batch %lld: %s", (long long)batch,
                 state == SX_BATCH_ITEM_PENDING ? "not finished" : reason ? reason : "its vector is gone");
    free(reason);
    return status;
}

/* ---- Moving on ---- */

sx_status sx_embedder_batch_advance(sx_embedder *embedder, const volatile int *stop, uint64_t *open, sx_error *error)
{
    sx_batch_row row = {0};
    sx_provider_remote *remote;
    if (!embedder || !open)
        return sx_fail(error, SX_E_INVALID, "sx_embedder_batch_advance: an argument is NULL");
    *open = 0;
    sx_status status = remote_of(embedder, &remote, error);
    if (!status)
        status = sx_store_batch_lock(embedder->cache, stop, error);
    if (status)
        return status;
    for (int64_t after = 0; !status; after = row.id) {
        status = sx_store_batch_next(embedder->cache, after, &row, error);
        if (status || !row.id)
            break;
        if (row.recipe != embedder->cache_recipe || sx_batch_at_end(&row))
            continue;
        status = sx_batch_move(embedder->cache, &row, &remote->target, &embedder->clock, stop, error);
        *open += !sx_batch_at_end(&row);
    }
    sx_batch_row_clear(&row);
    sx_store_batch_unlock(embedder->cache);
    return status;
}
