/* hub_pull.c - one pull: ask what the revision holds, fetch blobs, publish the snapshot.
 *
 * The hub's own protocol, as huggingface_hub speaks it: GET /api/models/NAME/revision/REV lists the files; HEAD NAME/resolve/COMMIT/PATH
 * gives size and hash (X-Linked-Size and X-Linked-Etag for large files, else Content-Length and ETag); GET of the same address, with a
 * Range to go on where an earlier one stopped, gives the bytes, mostly by a redirect to another host.
 */
#include "hub_pull.h"

#include "file_choice.h"
#include "hub_cache.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/hash.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../model/registry.h"
#include "../net/http.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LIST_MAX = 32 * 1024 * 1024, /* bytes of the list of files */
    FILES_MAX = 4096,
    MOST_TRIES = 6,              /* in a row without a byte of progress */
    LONGEST_WAIT_S = 120,
    SLICE_MS = 100,
    REPORT_MS = 100
};

typedef struct remote_file {
    const char *path;
    char etag[160];
    uint64_t size;
    bool there;            /* the blob is in the cache */
} remote_file;

typedef struct pull {
    const sx_pull_options *options;
    const sx_clock *clock;
    sx_http_client *client;
    sx_http_response response;
    sx_hub_repository repository;
    const char *endpoint;
    char name[300];        /* org/name */
    char revision[160];
    char commit[160];
    json_t *list;          /* the hub's answer; paths point into it */
    remote_file *files;
    size_t count;
    uint64_t done, total;  /* bytes */
    uint64_t fetched;      /* bytes that came over the network in this call */
    int64_t began_ns, reported_ns;
    /* the file being fetched */
    remote_file *file;
    int target;
    uint64_t at;           /* bytes of it that are there */
    char *target_path;
} pull;

/* ---- Waiting and trying again ---- */

static bool stopped(const pull *p)
{
    return p->options->stop && *p->options->stop;
}

static void report(pull *p, bool always)
{
    int64_t now = p->clock->monotonic_ns(p->clock->user);
    if (!p->options->progress || (!always && now - p->reported_ns < (int64_t)REPORT_MS * 1000000))
        return;
    p->reported_ns = now;
    double seconds = (double)(now - p->began_ns) * 1e-9, rate = seconds > 0 ? (double)p->fetched / seconds : 0;
    sx_progress progress = {.phase = "fetching", .unit = "MB", .done = p->done / 1000000, .total = p->total / 1000000,
                            .seconds = seconds, .rate = rate / 1e6,
                            .seconds_left = rate > 0 ? (double)(p->total - p->done) / rate : -1};
    p->options->progress(&progress, p->options->progress_user);
}

static sx_status wait_before(pull *p, unsigned attempt, int64_t asked_s, sx_error *error)
{
    int64_t seconds = asked_s >= 0 ? asked_s : (int64_t)1 << (attempt < 6 ? attempt : 6);
    if (seconds > LONGEST_WAIT_S)
        seconds = LONGEST_WAIT_S;
    int64_t end = p->clock->monotonic_ns(p->clock->user) + seconds * 1000000000;
    while (!stopped(p) && p->clock->monotonic_ns(p->clock->user) < end)
        p->clock->sleep_ns((int64_t)SLICE_MS * 1000000, p->clock->user);
    return stopped(p) ? sx_fail(error, SX_E_STOPPED, "%s: stopped", p->name) : SX_OK;
}

static bool is_worth_another_try(long status)
{
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

/* What a reply other than 2xx means. */
static sx_status refuse(const pull *p, const char *what, sx_error *error)
{
    const sx_http_response *reply = &p->response;
    const char *code = reply->error_code;
    bool gated = strcmp(code, "GatedRepo") == 0;
    sx_status status;
    if (reply->status == 401 || reply->status == 403) {
        status = sx_fail(error, SX_E_DENIED, "%s: %s: HTTP %ld%s%s", p->name, what, reply->status, *code ? ": " : "", code);
        if (gated)
            sx_hint(error, "accept its conditions at %s/%s, then set HF_TOKEN to a token of your account", p->endpoint, p->name);
        else
            sx_hint(error, "%s", p->options->token ? "the token has no right to it, or there is no such model"
                                                   : "there is no such model, or it is private: set HF_TOKEN");
        return status;
    }
    if (reply->status == 404) {
        status = sx_fail(error, SX_E_NOT_FOUND, "%s: %s: not found at %s (revision %s)%s%s", p->name, what, p->endpoint,
                         p->revision, *code ? ": " : "", code);
        sx_hint(error, "check the name's spelling; `sextant models list --known` prints the models known by alias");
        return status;
    }
    status = sx_fail(error, SX_E_NETWORK, "%s: %s: HTTP %ld from %s, after %d tries", p->name, what, reply->status, p->endpoint,
                     MOST_TRIES);
    sx_hint(error, "try again later: what came so far is kept");
    return status;
}

/* Performs a request, again when the fault may pass. *progress (may be NULL) is looked at: when it grew, tries count anew. */
static sx_status perform(pull *p, const sx_http_request *request, const char *what, const uint64_t *progress, bool *resume,
                         sx_error *error)
{
    uint64_t before = progress ? *progress : 0;
    for (unsigned attempt = 0;; attempt++) {
        sx_status status = sx_http_perform(p->client, request, &p->response, error);
        if (status && status != SX_E_NETWORK)
            return status;
        if (!status && !is_worth_another_try(p->response.status))
            return SX_OK;
        if (progress && *progress > before && resume) { /* it came some way: the caller asks for the rest */
            *resume = true;
            return SX_OK;
        }
        if (attempt + 1 == MOST_TRIES) {
            if (status)
                sx_hint(error, "try again: what came so far is kept");
            return status ? status : refuse(p, what, error);
        }
        status = wait_before(p, attempt, status ? -1 : p->response.retry_after_s, error);
        if (status)
            return status;
    }
}

/* ---- The list of files ---- */

static sx_status read_list(pull *p, sx_error *error)
{
    char url[1024];
    json_error_t problem;
    sx_http_request request = {.method = "GET", .url = url, .bearer_token = p->options->token, .follow = true,
                               .stop = p->options->stop};
    snprintf(url, sizeof url, "%s/api/models/%s/revision/%s", p->endpoint, p->name, p->revision);
    sx_status status = perform(p, &request, "the list of its files", NULL, NULL, error);
    if (!status && p->response.status != 200)
        status = refuse(p, "the list of its files", error);
    if (status)
        return status;
    p->list = json_loadb(p->response.body.data ? p->response.body.data : "", p->response.body.length, JSON_REJECT_DUPLICATES,
                         &problem);
    const char *commit = json_string_value(json_object_get(p->list, "sha"));
    json_t *siblings = json_object_get(p->list, "siblings");
    if (!commit || !sx_hub_is_commit(commit) || !json_is_array(siblings))
        return sx_fail(error, SX_E_FORMAT, "%s: the answer is no list of a model's files (sha and siblings)", url);
    if (json_array_size(siblings) > FILES_MAX)
        return sx_fail(error, SX_E_LIMIT, "%s: %zu files; at most %d are taken", p->name, json_array_size(siblings), FILES_MAX);
    snprintf(p->commit, sizeof p->commit, "%s", commit);
    return SX_OK;
}

static sx_status choose_files(pull *p, sx_error *error)
{
    json_t *siblings = json_object_get(p->list, "siblings"), *sibling;
    size_t count = json_array_size(siblings), i, taken = 0;
    const char **paths = sx_calloc(count + 1, sizeof *paths);
    bool *needed = sx_calloc(count + 1, sizeof *needed);
    sx_status status = SX_OK;
    p->files = sx_calloc(count + 1, sizeof *p->files);
    if (!paths || !needed || !p->files) {
        status = sx_fail_nomem(error, count * sizeof *p->files);
        goto out;
    }
    json_array_foreach(siblings, i, sibling) {
        const char *path = json_string_value(json_object_get(sibling, "rfilename"));
        if (path && sx_hub_path_is_safe(path))
            paths[taken++] = path;
    }
    sx_hub_choose_files(paths, taken, p->options->patterns, p->options->pattern_count, needed);
    for (i = 0; i < taken; i++)
        if (needed[i])
            p->files[p->count++].path = paths[i];
    if (!p->count) {
        status = sx_fail(error, SX_E_NOT_FOUND, "%s: none of its %zu files %s", p->name, count,
                         p->options->pattern_count ? "matches the patterns given" : "belongs to a model");
        if (p->options->pattern_count)
            sx_hint(error, "see %s/%s/tree/%s", p->endpoint, p->name, p->revision);
    }
out:
    free(needed);
    free(paths);
    return status;
}

/* Into a URL's path: what RFC 3986 lets stand, and slashes. */
static bool file_url(const pull *p, const char *path, char url[2048])
{
    int length = snprintf(url, 2048, "%s/%s/resolve/%s/", p->endpoint, p->name, p->commit);
    size_t at = length > 0 ? (size_t)length : 2048;
    for (const unsigned char *c = (const unsigned char *)path; *c && at + 4 < 2048; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || strchr("-._~/", *c);
        at += (size_t)snprintf(url + at, 2048 - at, plain ? "%c" : "%%%02X", *c);
    }
    return at + 4 < 2048;
}

static bool etag_is_safe(const char *etag)
{
    return *etag && !etag[strspn(etag, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_")];
}

static sx_status look_at_file(pull *p, remote_file *file, sx_error *error)
{
    char url[2048];
    struct stat found;
    sx_http_request request = {.method = "HEAD", .url = url, .bearer_token = p->options->token, .stop = p->options->stop};
    if (!file_url(p, file->path, url))
        return sx_fail(error, SX_E_LIMIT, "%s: %s: the file's name is too long", p->name, file->path);
    sx_status status = perform(p, &request, file->path, NULL, NULL, error);
    if (status)
        return status;
    const sx_http_response *reply = &p->response;
    if (reply->status < 200 || reply->status >= 400)
        return refuse(p, file->path, error);
    snprintf(file->etag, sizeof file->etag, "%s", *reply->linked_etag ? reply->linked_etag : reply->etag);
    file->size = reply->linked_size != UINT64_MAX ? reply->linked_size : reply->content_length;
    if (!etag_is_safe(file->etag) || file->size == UINT64_MAX)
        return sx_fail(error, SX_E_FORMAT, "%s: %s: the server does not say the file's %s", p->name, file->path,
                       file->size == UINT64_MAX ? "size" : "hash (ETag)");
    char *blob = sx_hub_blob_path(&p->repository, file->etag, "");
    if (!blob)
        return sx_fail_nomem(error, 256);
    file->there = stat(blob, &found) == 0 && S_ISREG(found.st_mode) && (uint64_t)found.st_size == file->size;
    free(blob);
    p->total += file->size;
    return SX_OK;
}

/* ---- One file ---- */

static sx_status start_at(pull *p, uint64_t offset, sx_error *error)
{
    if (offset < p->at) {
        if (ftruncate(p->target, (off_t)offset) != 0)
            return sx_fail_errno(error, errno, "%s: cannot be cut", p->target_path);
        p->done -= p->at - offset;
        p->at = offset;
    }
    return SX_OK;
}

static sx_status begin_body(void *user, const sx_http_response *response, sx_error *error)
{
    pull *p = user;
    if (response->status == 206) {
        if (response->range_begin != p->at || (response->range_total != UINT64_MAX && response->range_total != p->file->size))
            return sx_fail(error, SX_E_FORMAT, "%s: %s: bytes from %llu of %llu were asked for, but %llu of %llu come", p->name,
                           p->file->path, (unsigned long long)p->at, (unsigned long long)p->file->size,
                           (unsigned long long)response->range_begin, (unsigned long long)response->range_total);
        return SX_OK;
    }
    if (response->content_length != UINT64_MAX && response->content_length != p->file->size)
        return sx_fail(error, SX_E_FORMAT, "%s: %s: has %llu bytes by the hub, but %llu come", p->name, p->file->path,
                       (unsigned long long)p->file->size, (unsigned long long)response->content_length);
    return start_at(p, 0, error); /* the whole file comes, whatever was asked for */
}

static sx_status take_bytes(void *user, const void *data, size_t length, sx_error *error)
{
    pull *p = user;
    if (length > p->file->size - p->at)
        return sx_fail(error, SX_E_FORMAT, "%s: %s: more than its %llu bytes come", p->name, p->file->path,
                       (unsigned long long)p->file->size);
    sx_status status = sx_write_all(p->target, data, length, p->target_path, error);
    if (!status) {
        p->at += length;
        p->done += length;
        p->fetched += length;
        report(p, false);
    }
    return status;
}

/* What the etag promises, when it is a hash: SHA-256, or git's SHA-1 over "blob LENGTH" and the content. */
static sx_status check_hash(const pull *p, const char *path, sx_error *error)
{
    const char *etag = p->file->etag;
    size_t digits = strspn(etag, "0123456789abcdef");
    if (etag[digits] || (digits != 40 && digits != 64))
        return SX_OK;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_length = 0;
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "", start[64];
    sx_status status = SX_OK;
    char *block = malloc(1 << 20);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int file = open(path, O_RDONLY | O_CLOEXEC);
    bool good = block && context && EVP_DigestInit_ex(context, digits == 64 ? EVP_sha256() : EVP_sha1(), NULL) == 1;
    if (good && digits == 40) {
        int length = snprintf(start, sizeof start, "blob %llu", (unsigned long long)p->file->size);
        good = EVP_DigestUpdate(context, start, (size_t)length + 1) == 1;
    }
    if (!good)
        status = sx_fail_nomem(error, 1 << 20);
    else if (file < 0)
        status = sx_fail_errno(error, errno, "%s: cannot be read", path);
    for (ssize_t got = 1; !status && got > 0;) {
        got = read(file, block, 1 << 20);
        if (got < 0)
            status = sx_fail_errno(error, errno, "%s: cannot be read", path);
        else if (got > 0)
            EVP_DigestUpdate(context, block, (size_t)got);
    }
    if (!status && EVP_DigestFinal_ex(context, digest, &digest_length) == 1)
        for (unsigned i = 0; i < digest_length; i++)
            sprintf(hex + 2 * i, "%02x", digest[i]);
    if (!status && strcmp(hex, etag) != 0)
        status = sx_fail(error, SX_E_FORMAT, "%s: %s: its hash is %s, but the hub says %s", p->name, p->file->path, hex, etag);
    if (file >= 0)
        close(file);
    EVP_MD_CTX_free(context);
    free(block);
    return status;
}

static sx_status fetch_bytes(pull *p, sx_error *error)
{
    char url[2048];
    if (!file_url(p, p->file->path, url))
        return sx_fail(error, SX_E_LIMIT, "%s: %s: the file's name is too long", p->name, p->file->path);
    while (p->at < p->file->size) {
        bool resume = false;
        sx_http_request request = {.method = "GET", .url = url, .bearer_token = p->options->token, .range_from = p->at,
                                   .follow = true, .begin = begin_body, .sink = take_bytes, .user = p,
                                   .stop = p->options->stop};
        uint64_t before = p->at;
        sx_status status = perform(p, &request, p->file->path, &p->at, &resume, error);
        if (status)
            return status;
        if (resume)
            continue;
        if (p->response.status == 416) { /* what is there does not fit this file */
            if ((status = start_at(p, 0, error)))
                return status;
            if (before == 0)
                return refuse(p, p->file->path, error);
            continue;
        }
        if (p->response.status < 200 || p->response.status >= 300)
            return refuse(p, p->file->path, error);
        if (p->at < p->file->size && p->at <= before)
            return sx_fail(error, SX_E_NETWORK, "%s: %s: the server ends at byte %llu of %llu", p->name, p->file->path,
                           (unsigned long long)p->at, (unsigned long long)p->file->size);
    }
    return SX_OK;
}

/* Fetches into NAME.incomplete, checks, flushes, renames. The lock is held. */
static sx_status fetch_blob(pull *p, const char *blob, sx_error *error)
{
    struct stat found;
    if (stat(blob, &found) == 0 && S_ISREG(found.st_mode) && (uint64_t)found.st_size == p->file->size) {
        p->done += p->file->size; /* another process was faster */
        return SX_OK;
    }
    p->target = open(p->target_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_APPEND, 0644);
    if (p->target < 0 || fstat(p->target, &found) != 0)
        return sx_fail_errno(error, errno, "%s: cannot be opened for writing", p->target_path);
    p->at = (uint64_t)found.st_size;
    p->done += p->at;
    sx_status status = p->at > p->file->size ? start_at(p, 0, error) : SX_OK;
    bool resumed = p->at > 0;
    if (!status)
        status = fetch_bytes(p, error);
    if (!status)
        status = check_hash(p, p->target_path, error);
    if (status == SX_E_FORMAT && resumed) { /* the old beginning may have been damaged: once more from the start */
        if (!(status = start_at(p, 0, error)) && !(status = fetch_bytes(p, error)))
            status = check_hash(p, p->target_path, error);
    }
    if (status == SX_E_FORMAT)
        unlink(p->target_path);
    if (!status && fsync(p->target) != 0)
        status = sx_fail_errno(error, errno, "%s: cannot be written to disk", p->target_path);
    if (!status && rename(p->target_path, blob) != 0)
        status = sx_fail_errno(error, errno, "%s: cannot be renamed", p->target_path);
    return status;
}

static sx_status fetch_file(pull *p, remote_file *file, sx_error *error)
{
    int lock = -1;
    p->file = file;
    p->target = -1;
    p->at = 0;
    p->target_path = sx_hub_blob_path(&p->repository, file->etag, ".incomplete");
    char *blob = sx_hub_blob_path(&p->repository, file->etag, "");
    sx_status status = p->target_path && blob ? SX_OK : sx_fail_nomem(error, 256);
    report(p, true);
    if (!status)
        status = sx_hub_lock(&p->repository, file->etag, p->options->stop, &lock, error);
    if (!status)
        status = fetch_blob(p, blob, error);
    if (p->target >= 0)
        close(p->target);
    if (lock >= 0)
        close(lock);
    free(blob);
    free(p->target_path);
    p->target_path = NULL;
    p->file = NULL;
    return status;
}

/* ---- The whole ---- */

/* alias, org/name, org/name@revision */
static sx_status read_reference(pull *p, const char *reference, sx_error *error)
{
    const char *at = strchr(reference, '@'), *revision = p->options->revision ? p->options->revision : at ? at + 1 : "main";
    char given[300];
    size_t length = at ? (size_t)(at - reference) : strlen(reference);
    if (at && p->options->revision)
        return sx_fail(error, SX_E_INVALID, "model %s: a revision is given twice (%s)", reference, p->options->revision);
    if (length >= sizeof given)
        return sx_fail(error, SX_E_INVALID, "model %.80s...: the name is too long", reference);
    memcpy(given, reference, length);
    given[length] = '\0';
    const sx_known_model *known = sx_known_model_find(given);
    snprintf(p->name, sizeof p->name, "%s", known ? known->hub : given);
    if (!sx_hub_name_is_valid(p->name)) {
        sx_status status = sx_fail(error, SX_E_INVALID, "model %s: neither a known alias nor org/name", reference);
        sx_hint(error, "`sextant models list --known` prints the models known by alias");
        return status;
    }
    if (!sx_hub_revision_is_safe(revision) || strlen(revision) >= sizeof p->revision)
        return sx_fail(error, SX_E_INVALID, "model %s: \"%.80s\" is no revision", reference, revision);
    snprintf(p->revision, sizeof p->revision, "%s", revision);
    return SX_OK;
}

static sx_status fetch_all(pull *p, char **folder, sx_error *error)
{
    sx_status status = SX_OK;
    sx_hub_link *links = sx_calloc(p->count, sizeof *links);
    if (!links)
        return sx_fail_nomem(error, p->count * sizeof *links);
    for (size_t i = 0; i < p->count && !status; i++)
        status = look_at_file(p, &p->files[i], error);
    for (size_t i = 0; i < p->count && !status; i++) {
        remote_file *file = &p->files[i];
        links[i] = (sx_hub_link){.path = file->path, .etag = file->etag};
        if (file->there)
            p->done += file->size;
        else
            status = fetch_file(p, file, error);
    }
    if (!status)
        status = sx_hub_publish(&p->repository, p->commit, p->revision, links, p->count, folder, error);
    if (!status)
        report(p, true);
    free(links);
    return status;
}

sx_status sx_hub_pull(const sx_places *places, const char *reference, const sx_pull_options *options, const sx_clock *clock,
                      char **folder, sx_error *error)
{
    pull p = {.options = options, .clock = clock, .target = -1, .began_ns = clock->monotonic_ns(clock->user)};
    p.endpoint = options->endpoint ? options->endpoint : "https://huggingface.co";
    sx_status status = read_reference(&p, reference, error);
    if (!status)
        status = sx_hub_repository_open(places->hub_cache, p.name, &p.repository, error);
    if (!status)
        status = sx_http_client_open("sextant", LIST_MAX, &p.client, error);
    if (!status)
        status = read_list(&p, error);
    if (!status)
        status = choose_files(&p, error);
    if (!status)
        status = fetch_all(&p, folder, error);
    sx_http_response_clear(&p.response);
    sx_http_client_close(p.client);
    sx_hub_repository_close(&p.repository);
    json_decref(p.list);
    free(p.files);
    return status;
}

sx_status sx_models_pull(const sx_places *places, const char *reference, const sx_pull_options *options, char **folder,
                         sx_error *error)
{
    sx_places known_places;
    sx_pull_options given;
    if (!folder)
        return sx_fail(error, SX_E_INVALID, "sx_models_pull: folder is NULL");
    *folder = NULL;
    sx_status status = sx_options_read(places, &known_places, sizeof known_places, "sx_places", error);
    if (!status)
        status = sx_options_read(options, &given, sizeof given, "sx_pull_options", error);
    if (status)
        return status;
    if (!reference || !*reference || !known_places.hub_cache)
        return sx_fail(error, SX_E_INVALID, "sx_models_pull: %s", known_places.hub_cache ? "the reference is empty"
                                                                                         : "no hub_cache is set");
    if (given.pattern_count && !given.patterns)
        return sx_fail(error, SX_E_INVALID, "sx_models_pull: patterns is NULL");
    return sx_hub_pull(&known_places, reference, &given, &sx_system_clock, folder, error);
}
