/* served_models.c - names to models, loading on demand, unloading by age and by a ceiling.
 *
 * One lock guards the table; loading happens outside of it, marked in the entry, so that requests for other models go on.
 */
#include "served_models.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/file.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { MAX_NAMES = 6, ROLES = 3, LOAD_WAIT_SECONDS = 60 };
static const char *const role_names[ROLES] = {"none", "query", "document"};

typedef struct entry {
    sx_served_model view;            /* first: what callers hold is a pointer to it */
    char *name, *reference, *folder; /* folder NULL: remote */
    char *names[MAX_NAMES];          /* others it answers to */
    size_t name_count;
    sx_model *model;
    bool loaded, loading;
    unsigned users;
    int64_t used_ns;
    sx_served_model_listing listing;
    char sha256[72];
    pthread_mutex_t remote_lock;
    sx_embedder *remote[ROLES];
    sx_database *cache; /* of its remotes; NULL: none, or not opened yet */
} entry;

struct sx_served_models {
    sx_served_models_options options;
    entry *entries;
    size_t count;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something was loaded, or failed to */
    bool stopped;
};

static int64_t now_ns(void)
{
    return sx_system_clock.monotonic_ns(sx_system_clock.user);
}

static void say(sx_served_models *models, sx_log_level level, const char *format, const char *name, double seconds)
{
    char line[512];
    if (!models->options.log)
        return;
    snprintf(line, sizeof line, format, name, seconds);
    models->options.log(level, line, models->options.log_user);
}

/* ---- Names ---- */

static bool add_name(entry *to, const char *name)
{
    if (!name || !*name || to->name_count == MAX_NAMES)
        return true;
    return (to->names[to->name_count] = sx_strdup(name)) && ++to->name_count;
}

static bool is_any_of(const char *text, const sx_known_model *known)
{
    return (known->alias && strcasecmp(text, known->alias) == 0) || strcasecmp(text, known->name) == 0 ||
           strcasecmp(text, known->hub) == 0;
}

static bool add_known_names(entry *to)
{
    const sx_known_model *known;
    const char *folder_name = to->folder ? sx_path_name(to->folder) : "";
    for (size_t i = 0; (known = sx_models_known(i)); i++)
        if (is_any_of(to->reference, known) || is_any_of(folder_name, known))
            return add_name(to, known->alias) && add_name(to, known->name) && add_name(to, known->hub);
    return true;
}

static sx_status fill_entry(sx_served_models *models, entry *to, const char *given, sx_error *error)
{
    const char *equals = strchr(given, '='), *reference = equals ? equals + 1 : given;
    bool bad = false;
    to->reference = sx_strdup(reference);
    to->name = equals ? sx_strndup(given, (size_t)(equals - given)) : sx_strdup(reference);
    if (!to->reference || !to->name)
        return sx_fail_nomem(error, strlen(given));
    if (!*to->name || !*to->reference)
        return sx_fail(error, SX_E_INVALID, "--model '%s': not MODEL or NAME=MODEL", given);
    if (sx_models_is_remote(reference) || strncmp(reference, "fake:", 5) == 0) {
        const char *colon = strrchr(reference, reference[strcspn(reference, "#")] ? '#' : ':');
        bad = !add_name(to, colon ? colon + 1 : NULL);
    } else {
        sx_status status = sx_models_resolve(&models->options.embedder.places, reference, &to->folder, error);
        if (status)
            return status;
        char *slash = strrchr(to->folder, '/');
        if (slash && !slash[1])
            *slash = '\0';
        /* a path says nothing to clients, the folder's name does */
        if (!equals && strchr(reference, '/') && sx_file_exists(reference)) {
            free(to->name);
            to->name = sx_strdup(sx_path_name(to->folder));
        }
        bad = !to->name || !add_name(to, to->reference) || !add_name(to, sx_path_name(to->folder)) || !add_known_names(to);
    }
    return bad ? sx_fail_nomem(error, strlen(given)) : SX_OK;
}

static entry *find(sx_served_models *models, sx_text name)
{
    char text[256];
    size_t length = name.length;
    if (length > 7 && memcmp(name.data + length - 7, ":latest", 7) == 0)
        length -= 7;
    if (length >= sizeof text)
        return NULL;
    memcpy(text, name.data, length);
    text[length] = '\0';
    if (strlen(text) != length)
        return NULL;
    for (size_t i = 0; i < models->count; i++)
        if (strcasecmp(models->entries[i].name, text) == 0)
            return &models->entries[i];
    for (size_t i = 0; i < models->count; i++)
        for (size_t j = 0; j < models->entries[i].name_count; j++)
            if (strcasecmp(models->entries[i].names[j], text) == 0)
                return &models->entries[i];
    return NULL;
}

/* ---- Loading ---- */

static void copy_text(char *to, size_t capacity, const char *from)
{
    snprintf(to, capacity, "%s", from ? from : "");
}

static sx_status load_local(sx_served_models *models, entry *to, sx_error *error)
{
    const sx_embedder_options *asked = &models->options.embedder;
    sx_model_options options = {.size = sizeof options,
                                .pooling = asked->pooling,
                                .max_length = asked->max_length,
                                .cpu_mask = asked->cpu_mask,
                                .hash_folder = asked->places.cache_folder,
                                .precision = asked->precision,
                                .storage = asked->storage};
    sx_status status = sx_model_open(to->folder, &options, &to->model, error);
    if (status)
        return status;
    if ((status = sx_batcher_open(to->model, &models->options.batcher, &to->view.batcher, error))) {
        sx_model_close(to->model);
        to->model = NULL;
        return status;
    }
    const sx_model_info *info = sx_model_describe(to->model);
    to->view.model = to->model;
    to->view.info = info;
    to->view.tokenizer = sx_model_tokenizer(to->model);
    to->view.outputs = info->outputs;
    to->view.dimensions = info->dimensions;
    to->view.max_length = info->max_length;
    return SX_OK;
}

/* Without its cache a remote model is served all the same. */
static void open_cache(sx_served_models *models, entry *to)
{
    sx_error error = {0};
    char line[sizeof error.message + 256];
    const sx_served_models_options *asked = &models->options;
    sx_database_options options = {.size = sizeof options, .log = asked->log, .log_user = asked->log_user};
    if (to->cache || !asked->cache || !sx_database_open(asked->cache, &options, &to->cache, &error) || !asked->log)
        return;
    snprintf(line, sizeof line, "%.200s: vectors are not kept: %s", to->name, error.message);
    asked->log(SX_LOG_WARNING, line, asked->log_user);
}

static sx_status open_remote(sx_served_models *models, entry *to, size_t role, sx_error *error)
{
    sx_embedder_options options = models->options.embedder;
    open_cache(models, to);
    options.cache = to->cache;
    options.size = sizeof options;
    options.model = to->reference;
    options.role = role_names[role];
    sx_status status = sx_embedder_open(&options, &to->remote[role], error);
    if (status)
        return status;
    const sx_embedder_info *info = sx_embedder_describe(to->remote[role]);
    to->view.dimensions = info->dimensions;
    to->view.max_length = info->max_length;
    to->view.outputs = SX_OUTPUT_DENSE;
    return SX_OK;
}

/* With the lock held: what others may see of a model that was just loaded. */
static void fill_listing(entry *to)
{
    sx_served_model_listing *listing = &to->listing;
    const sx_model_info *info = to->view.info;
    listing->loaded = listing->known = true;
    listing->loads++;
    listing->loaded_unix_s = sx_system_clock.wall_ns(sx_system_clock.user) / 1000000000;
    listing->outputs = to->view.outputs;
    listing->dimensions = to->view.dimensions;
    listing->max_length = to->view.max_length;
    listing->bytes = info ? info->weights_bytes : 0;
    listing->parameters = info ? info->parameters : 0;
    copy_text(listing->family, sizeof listing->family, info ? info->family : sx_embedder_describe(to->remote[0])->provider);
    copy_text(listing->precision, sizeof listing->precision, info ? info->precision : "");
    copy_text(listing->kind, sizeof listing->kind, info ? info->kind : "remote");
    copy_text(to->sha256, sizeof to->sha256, info ? info->weights_sha256 : "");
}

static void unload(entry *of)
{
    sx_batcher_close(of->view.batcher);
    sx_model_close(of->model);
    for (size_t i = 0; i < ROLES; i++) {
        sx_embedder_close(of->remote[i]);
        of->remote[i] = NULL;
    }
    sx_database_close(of->cache);
    of->cache = NULL;
    of->model = NULL;
    of->view.batcher = NULL;
    of->view.model = NULL;
    of->view.info = NULL;
    of->view.tokenizer = NULL;
    of->loaded = of->listing.loaded = false;
    of->listing.bytes = 0;
}

static uint64_t loaded_bytes(const sx_served_models *models)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < models->count; i++)
        sum += models->entries[i].loaded ? models->entries[i].listing.bytes : 0;
    return sum;
}

/* With the lock held: unloads idle models, longest idle first, until `bytes` more stay below the ceiling. */
static sx_status make_room(sx_served_models *models, const entry *for_whom, uint64_t bytes, sx_error *error)
{
    uint64_t most = models->options.max_memory;
    while (most && loaded_bytes(models) + bytes > most) {
        entry *oldest = NULL;
        for (size_t i = 0; i < models->count; i++) {
            entry *at = &models->entries[i];
            if (at != for_whom && at->loaded && at->model && !at->users && (!oldest || at->used_ns < oldest->used_ns))
                oldest = at;
        }
        if (!oldest) {
            sx_fail(error, SX_E_LIMIT, "%s: its weights take %llu bytes, but only %llu of %llu are free", for_whom->name,
                    (unsigned long long)bytes,
                    (unsigned long long)(most > loaded_bytes(models) ? most - loaded_bytes(models) : 0),
                    (unsigned long long)most);
            sx_hint(error, "--max-model-memory sets the ceiling");
            return SX_E_LIMIT;
        }
        say(models, SX_LOG_INFO, "%s: unloaded to make room", oldest->name, 0);
        unload(oldest);
    }
    return SX_OK;
}

/* With the lock held, which is let go while loading. The weights of a model that was loaded before are known to fit beforehand.
 */
static sx_status load(sx_served_models *models, entry *to, sx_error *error)
{
    int64_t start = now_ns();
    uint64_t expected = to->listing.known ? to->listing.parameters : 0; /* bytes, for the leanest precision */
    sx_status status = make_room(models, to, expected, error);
    if (status)
        return status;
    to->loading = true;
    pthread_mutex_unlock(&models->lock);
    status = to->folder ? load_local(models, to, error) : open_remote(models, to, 0, error);
    pthread_mutex_lock(&models->lock);
    to->loading = false;
    if (!status && (status = make_room(models, to, to->view.info ? to->view.info->weights_bytes : 0, error)))
        unload(to);
    if (!status) {
        to->loaded = true;
        fill_listing(to);
        to->used_ns = now_ns();
        say(models, SX_LOG_INFO, "%s: loaded in %.2f s", to->name, (double)(now_ns() - start) / 1e9);
    }
    pthread_cond_broadcast(&models->changed);
    return status;
}

sx_status sx_served_models_open(const sx_served_models_options *options, sx_served_models **out, sx_error *error)
{
    sx_status status = SX_OK;
    sx_served_models *models = *out = sx_calloc(1, sizeof *models);
    if (!models)
        return sx_fail_nomem(error, sizeof *models);
    models->options = *options;
    pthread_mutex_init(&models->lock, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&models->changed, &clock);
    pthread_condattr_destroy(&clock);
    models->entries = sx_calloc(options->count, sizeof *models->entries);
    if (!models->entries)
        status = sx_fail_nomem(error, options->count * sizeof *models->entries);
    for (size_t i = 0; i < options->count && !status; i++, models->count++) {
        entry *to = &models->entries[i];
        pthread_mutex_init(&to->remote_lock, NULL);
        status = fill_entry(models, to, options->references[i], error);
        sx_text name = {to->name, to->name ? strlen(to->name) : 0};
        if (!status && find(models, name))
            status = sx_fail(error, SX_E_EXISTS, "--model %s: the name is given to %s already", options->references[i],
                             find(models, name)->reference);
        to->view.name = to->listing.name = to->name;
        to->view.index = i;
        to->view.reference = to->reference;
        to->view.sha256 = to->sha256;
    }
    if (!status && models->count) {
        pthread_mutex_lock(&models->lock);
        status = load(models, &models->entries[0], error);
        pthread_mutex_unlock(&models->lock);
    }
    if (status) {
        sx_served_models_close(models);
        *out = NULL;
    }
    return status;
}

void sx_served_models_close(sx_served_models *models)
{
    if (!models)
        return;
    for (size_t i = 0; models->entries && i < models->options.count; i++) {
        entry *at = &models->entries[i];
        if (!at->reference)
            continue;
        unload(at);
        pthread_mutex_destroy(&at->remote_lock);
        for (size_t j = 0; j < at->name_count; j++)
            free(at->names[j]);
        free(at->name);
        free(at->reference);
        free(at->folder);
    }
    free(models->entries);
    pthread_cond_destroy(&models->changed);
    pthread_mutex_destroy(&models->lock);
    free(models);
}

/* ---- Use ---- */

/* With the lock held. */
static sx_status use(sx_served_models *models, entry *of, sx_error *error)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LOAD_WAIT_SECONDS;
    of->users++; /* so that nobody unloads it meanwhile */
    sx_status status = SX_OK;
    while (!of->loaded && !status) {
        if (!of->loading)
            status = load(models, of, error);
        else if (pthread_cond_timedwait(&models->changed, &models->lock, &until) == ETIMEDOUT)
            status = sx_fail(error, SX_E_BUSY, "%s: still loading", of->name);
    }
    if (status)
        of->users--;
    return status;
}

static sx_status no_such_name(sx_served_models *models, sx_text name, sx_error *error)
{
    char served[512] = "";
    for (size_t i = 0; i < models->count; i++) {
        size_t used = strlen(served);
        snprintf(served + used, sizeof served - used, "%s%s", i ? ", " : "", models->entries[i].name);
    }
    sx_fail(error, SX_E_NOT_FOUND, "model '%.*s' is not served here; these are: %s", (int)(name.length < 200 ? name.length : 200),
            name.data, served);
    sx_hint(error, "start the server with --model, or with --any-model-name to answer every name with the first model");
    return SX_E_NOT_FOUND;
}

sx_status sx_served_models_acquire(sx_served_models *models, sx_text name, unsigned outputs, sx_served_model **out,
                                   sx_error *error)
{
    sx_status status = SX_OK;
    entry *chosen = NULL;
    *out = NULL;
    pthread_mutex_lock(&models->lock);
    if (name.length && !(chosen = find(models, name)) && !models->options.any_name)
        status = no_such_name(models, name, error);
    for (size_t i = 0; i < models->count && !chosen && !status; i++) {
        entry *at = &models->entries[i];
        if (at->listing.known && !(at->listing.outputs & outputs))
            continue;
        if (!(status = use(models, at, error)) && !(at->view.outputs & outputs))
            at->users--;
        else
            chosen = at;
        if (chosen && !status)
            *out = &chosen->view;
    }
    if (!status && !chosen)
        status = sx_fail(error, SX_E_UNSUPPORTED, "no model that is served here %s",
                         outputs & SX_OUTPUT_DENSE    ? "gives vectors"
                         : outputs & SX_OUTPUT_SCORES ? "is a cross-encoder, which reranks"
                         : outputs & SX_OUTPUT_SPARSE ? "gives sparse vectors"
                                                      : "gives a vector for each token");
    if (!status && !*out && !(status = use(models, chosen, error)))
        *out = &chosen->view;
    if (!status)
        chosen->used_ns = now_ns();
    pthread_mutex_unlock(&models->lock);
    if (!status && !((*out)->outputs & outputs)) {
        const char *kind = chosen->listing.kind;
        sx_served_models_release(models, *out);
        *out = NULL;
        status = sx_fail(error, SX_E_UNSUPPORTED, "model '%s' is of the kind \"%s\" and %s", chosen->name, kind,
                         outputs & SX_OUTPUT_SCORES   ? "scores no pairs of texts"
                         : outputs & SX_OUTPUT_SPARSE ? "gives no sparse vectors"
                                                      : "gives no vectors");
    }
    return status;
}

const char *sx_served_models_name(sx_served_models *models, sx_text name)
{
    const entry *found = name.length ? find(models, name) : NULL; /* names never change */
    return found ? found->name : NULL;
}

bool sx_served_models_has(sx_served_models *models, sx_text name)
{
    return sx_served_models_name(models, name);
}

void sx_served_models_release(sx_served_models *models, sx_served_model *model)
{
    entry *of = (entry *)model;
    if (!model)
        return;
    pthread_mutex_lock(&models->lock);
    of->users--;
    of->used_ns = now_ns();
    pthread_mutex_unlock(&models->lock);
}

sx_status sx_served_models_embed_remote(sx_served_models *models, sx_served_model *model, const char *role, const sx_text *texts,
                                        size_t count, float **vectors, sx_receipt *receipts, sx_arena *arena, sx_error *error)
{
    entry *of = (entry *)model;
    size_t which = 0;
    while (which < ROLES && strcmp(role, role_names[which]) != 0)
        which++;
    *vectors = NULL;
    if (which == ROLES)
        return sx_fail(error, SX_E_INVALID, "prompt '%s': a remote model has the roles query and document", role);
    pthread_mutex_lock(&of->remote_lock);
    sx_status status = of->remote[which] ? SX_OK : open_remote(models, of, which, error);
    size_t floats;
    uint32_t dimensions = status ? 0 : sx_embedder_describe(of->remote[which])->dimensions;
    if (!status && (!sx_multiply(count, dimensions, &floats) || !(*vectors = sx_calloc(floats + 1, sizeof **vectors))))
        status = sx_fail_nomem(error, count * sizeof **vectors);
    if (!status)
        status = sx_embedder_embed(of->remote[which], texts, count, *vectors, receipts, NULL, error);
    for (size_t i = 0; i < count && !status; i++)
        if (receipts[i].message)
            receipts[i].message = sx_arena_strndup(arena, receipts[i].message, strlen(receipts[i].message));
    pthread_mutex_unlock(&of->remote_lock);
    if (status) {
        free(*vectors);
        *vectors = NULL;
    }
    return status;
}

size_t sx_served_models_count(const sx_served_models *models)
{
    return models->count;
}

void sx_served_models_describe(sx_served_models *models, size_t index, sx_served_model_listing *listing)
{
    pthread_mutex_lock(&models->lock);
    *listing = models->entries[index].listing;
    pthread_mutex_unlock(&models->lock);
}

bool sx_served_models_batcher(sx_served_models *models, size_t index, sx_batcher_figures *figures)
{
    pthread_mutex_lock(&models->lock);
    entry *of = &models->entries[index];
    bool there = of->loaded && of->view.batcher;
    if (there)
        sx_batcher_describe(of->view.batcher, figures);
    pthread_mutex_unlock(&models->lock);
    return there;
}

void sx_served_models_spent(sx_served_models *models, size_t index, sx_spend *spent)
{
    entry *of = &models->entries[index];
    *spent = (sx_spend){0};
    if (of->folder || pthread_mutex_trylock(&of->remote_lock))
        return; /* in use: the figures come with the next look */
    for (size_t i = 0; i < ROLES; i++) {
        sx_spend one = {0};
        if (of->remote[i] && !sx_embedder_spent(of->remote[i], &one, NULL)) {
            spent->requests += one.requests;
            spent->tokens += one.tokens;
            spent->cached += one.cached;
            spent->usd += one.usd;
        }
    }
    pthread_mutex_unlock(&of->remote_lock);
}

void sx_served_models_sweep(sx_served_models *models)
{
    int64_t now = now_ns();
    if (models->options.idle_seconds <= 0)
        return;
    pthread_mutex_lock(&models->lock);
    for (size_t i = 0; i < models->count; i++) {
        entry *at = &models->entries[i];
        if (!at->loaded || at->loading || at->users || !at->folder ||
            (double)(now - at->used_ns) / 1e9 < models->options.idle_seconds)
            continue;
        say(models, SX_LOG_INFO, "%s: unloaded after %.0f s without a request", at->name, models->options.idle_seconds);
        unload(at);
    }
    pthread_mutex_unlock(&models->lock);
}

void sx_served_models_stop(sx_served_models *models)
{
    pthread_mutex_lock(&models->lock);
    models->stopped = true;
    for (size_t i = 0; i < models->count; i++)
        if (models->entries[i].loaded && models->entries[i].view.batcher)
            sx_batcher_stop(models->entries[i].view.batcher);
    pthread_mutex_unlock(&models->lock);
}
