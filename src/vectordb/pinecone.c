/* pinecone.c - Pinecone (REST) as a store of vectors: pinecones://api.pinecone.io[/CLOUD/REGION].
 *
 * A collection is a serverless index, made in CLOUD and REGION (aws, us-east-1), with one namespace, the default one. The model
 * and the space are tags of the index; tags hold few characters, so other ones are written there as +XX. Records are written and
 * read at the index's own host, which the service names; the key is sent there only when it is the service's own domain.
 * What is written can be read some moments later: the service says so, and sx_pinecone_finish waits for it.
 *
 * Written by the service's published interface of version 2025-04 (pinecone-io/pinecone-api) and tested on a stand-in made by it;
 * the service itself was not tried.
 */
#include "pinecone_internal.h"

#include "../base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_NAME = 45, LONGEST_TAG = 120, READY_TRIES = 120, PORT_OF_EMULATOR = 5080 };
static const int64_t ready_wait_ns = 1000000000;

static const char *const headers[] = {"X-Pinecone-Api-Version: 2025-04", NULL};
static const sx_rest_service service = {"pinecone", PORT_OF_EMULATOR, 443, "Api-Key: ", headers, NULL};
static const char name_prefix[] = "sextant-";
static const char *const metrics[][2] = {{"cosine", "cosine"}, {"dotproduct", "dot"}, {"euclidean", "l2"}};

static void forget(sx_pinecone *p)
{
    sx_rest_store_forget(&p->store);
    p->store.rest.base = p->control;
    free(p->data);
    p->data = NULL;
    p->last[0] = '\0';
    p->written = 0;
}

static void pinecone_close(sx_vector_store *store)
{
    forget((sx_pinecone *)store);
    sx_rest_store_close(store);
}

static sx_status pinecone_open(const char *url, const sx_vector_store_options *options, sx_vector_store **out, sx_error *error)
{
    sx_status status = sx_rest_store_open(sizeof(sx_pinecone), &sx_vector_pinecone, &service, url, options, out, error);
    if (!status)
        ((sx_pinecone *)*out)->control = ((sx_pinecone *)*out)->store.rest.base;
    return status;
}

void sx_pinecone_begin_control(sx_pinecone *p, const char *path)
{
    p->store.rest.base = p->control;
    sx_rest_begin(&p->store.rest, path);
}

void sx_pinecone_begin(sx_pinecone *p, const char *path)
{
    p->store.rest.base = p->data;
    sx_rest_begin(&p->store.rest, path);
}

sx_status sx_pinecone_call(sx_pinecone *p, const char *method, const char *what, sx_error *error)
{
    sx_status status = sx_rest_call(&p->store.rest, method, what, p->store.known, error);
    if (status == SX_E_NOT_FOUND)
        forget(p);
    return status;
}

/* ---- Collections ---- */

static bool is_plain_name(const char *name)
{
    size_t length = strlen(name);
    return length && length <= LONGEST_NAME && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length &&
           name[0] != '-' && name[length - 1] != '-';
}

static bool is_tag_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr(";@_-. ", c);
}

static sx_status write_tag(sx_pinecone *p, const char *key, const char *value, sx_error *error)
{
    char text[LONGEST_TAG + 1];
    size_t used = 0;
    for (const char *at = value; *at; at++) {
        size_t need = is_tag_character(*at) ? 1 : 3;
        if (used + need > LONGEST_TAG)
            return sx_fail(error, SX_E_UNSUPPORTED, "%s: %s takes more than the %d characters of a tag: %.200s",
                           p->store.base.name, key, LONGEST_TAG, value);
        used += (size_t)snprintf(text + used, sizeof text - used, need == 1 ? "%c" : "+%02X", (unsigned char)*at);
    }
    text[used] = '\0';
    sx_rest_write_member(&p->store.rest.body, key, text);
    return SX_OK;
}

static char *read_tag(const sx_json *tags, const char *key)
{
    char *text = sx_rest_find_string(tags, key), *to = text;
    for (const char *at = text; at && *at; to++) {
        unsigned byte;
        if (*at == '+' && at[1] && at[2] && sscanf(at + 1, "%2x", &byte) == 1) {
            *to = (char)byte;
            at += 3;
        } else {
            *to = *at++;
        }
    }
    if (to)
        *to = '\0';
    return text;
}

/* Whether the key may be sent there: to the service's own domain (what stands behind the first point of api.pinecone.io), or to
 * the host that was given itself. */
static bool is_own_host(const sx_pinecone *p, const char *host)
{
    const char *own = strstr(p->control, "://") + 3;
    size_t length = strcspn(host, ":/"), own_length = strcspn(own, ":/");
    if (length == own_length && strncasecmp(host, own, length) == 0)
        return true;
    const char *first = memchr(own, '.', own_length), *domain = own;
    if (first && memchr(first + 1, '.', own_length - (size_t)(first + 1 - own)))
        domain = first + 1;
    size_t rest = own_length - (size_t)(domain - own);
    return length > rest + 1 && host[length - rest - 1] == '.' && strncasecmp(host + length - rest, domain, rest) == 0 &&
           !strchr(host, '/') && !strchr(host, '@');
}

static sx_status learn(sx_pinecone *p, const sx_json *index, const char *collection, sx_error *error)
{
    sx_rest_store *store = &p->store;
    sx_json tags;
    uint64_t dimensions = 0;
    char *metric = sx_rest_find_string(index, "metric"), *host = sx_rest_find_string(index, "host");
    sx_status status = SX_OK;
    store->space = (sx_vector_space){.element = "f32", .index = "hnsw"};
    for (size_t i = 0; metric && i < sizeof metrics / sizeof *metrics; i++)
        if (strcmp(metrics[i][0], metric) == 0)
            store->space.similarity = metrics[i][1];
    sx_rest_find_count(index, "dimension", &dimensions);
    store->space.dimensions = (uint32_t)dimensions;
    if (!dimensions || dimensions > UINT32_MAX || !store->space.similarity)
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: collection %s is no index of dense vectors", store->base.name, collection);
    else if (!host || !is_own_host(p, host))
        status = sx_fail(error, SX_E_DENIED, "%s: collection %s: the key is not sent to another domain's host: %s",
                         store->base.name, collection, host ? host : "none is named");
    if (!status && sx_rest_find(index, "tags", &tags) && sx_json_peek(&tags) == SX_JSON_OBJECT) {
        char *ours = sx_rest_find_string(&tags, "sextant");
        store->ours = ours != NULL;
        free(ours);
        store->space.model = store->model = read_tag(&tags, "sextant_model");
        store->space.space = store->space_hash = read_tag(&tags, "sextant_space");
    }
    if (!status && asprintf(&p->data, "http%s://%s", store->rest.secure ? "s" : "", host) < 0) {
        p->data = NULL;
        status = sx_fail_nomem(error, strlen(host));
    }
    free(metric);
    free(host);
    return status;
}

/* *index: the answer's object, checked. */
static sx_status look_up(sx_pinecone *p, const char *name, const char *collection, bool *ready, sx_json *index, sx_error *error)
{
    sx_json state, value;
    sx_pinecone_begin_control(p, "/indexes/");
    sx_rest_add_segment(&p->store.rest, name);
    sx_status status = sx_rest_call(&p->store.rest, "GET", "look up", collection, error);
    if (!status)
        status = sx_rest_result(&p->store.rest, "status", &state, error);
    if (status)
        return status;
    *ready = false;
    if (!sx_rest_find(&state, "ready", &value) || !sx_json_boolean(&value, ready))
        return sx_rest_odd_answer(&p->store.rest, error, "does not say whether the index is ready");
    sx_rest_read(&p->store.rest, index);
    return SX_OK;
}

sx_status sx_pinecone_find(sx_pinecone *p, const char *collection, sx_error *error)
{
    sx_rest *rest = &p->store.rest;
    char name[SX_REST_NAME_SIZE];
    sx_json index;
    bool ready = false;
    if (sx_rest_store_knows(&p->store, collection))
        return SX_OK;
    forget(p);
    sx_status status = sx_rest_server_name(p->store.base.name, collection, is_plain_name, name_prefix, name, error);
    for (int tries = 0; !status && !ready; tries++) {
        if (tries)
            rest->clock.sleep_ns(ready_wait_ns, rest->clock.user);
        status = look_up(p, name, collection, &ready, &index, error);
        if (!status && !ready && tries == READY_TRIES)
            status =
                sx_fail(error, SX_E_BUSY, "%s: collection %s is not ready after %d s", p->store.base.name, collection, tries);
    }
    if (!status)
        status = learn(p, &index, collection, error);
    if (!status)
        status = sx_rest_store_know(&p->store, collection, name, error);
    if (status)
        forget(p);
    return status;
}

static sx_status find_again(sx_rest_store *store, const char *collection, sx_error *error)
{
    return sx_pinecone_find((sx_pinecone *)store, collection, error);
}

static sx_status make(sx_rest_store *store, const char *collection, const sx_vector_space *space, sx_error *error)
{
    sx_pinecone *p = (sx_pinecone *)store;
    sx_buffer *body = &store->rest.body;
    const char *place = store->rest.url_path[0] ? store->rest.url_path : "aws/us-east-1", *slash = strchr(place, '/');
    const char *similarity = sx_vector_similarity(space), *metric = "cosine";
    char name[SX_REST_NAME_SIZE], cloud[32];
    sx_status status = sx_rest_server_name(store->base.name, collection, is_plain_name, name_prefix, name, error);
    if (!status && (!slash || !slash[1] || slash == place || (size_t)(slash - place) >= sizeof cloud))
        status = sx_fail(error, SX_E_INVALID, "%s: behind the host stands CLOUD/REGION, not %s", store->base.name, place);
    if (status)
        return status;
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++)
        if (strcmp(metrics[i][1], similarity) == 0)
            metric = metrics[i][0];
    snprintf(cloud, sizeof cloud, "%.*s", (int)(slash - place), place);
    sx_pinecone_begin_control(p, "/indexes");
    sx_buffer_append_byte(body, '{');
    sx_rest_write_member(body, "name", name);
    sx_buffer_printf(body, ",\"dimension\":%u,\"metric\":\"%s\",\"vector_type\":\"dense\",\"deletion_protection\":\"disabled\"",
                     space->dimensions, metric);
    sx_buffer_append_string(body, ",\"spec\":{\"serverless\":{");
    sx_rest_write_member(body, "cloud", cloud);
    sx_rest_write_member(body, "region", slash + 1);
    sx_buffer_append_string(body, "}},\"tags\":{\"sextant\":\"1\"");
    if (space->model)
        status = write_tag(p, "sextant_model", space->model, error);
    if (!status && space->space)
        status = write_tag(p, "sextant_space", space->space, error);
    sx_buffer_append_string(body, "}}");
    return status ? status : sx_rest_call(&store->rest, "POST", "create", collection, error);
}

static sx_status pinecone_create(sx_vector_store *store, const char *collection, const sx_vector_space *space, sx_error *error)
{
    forget((sx_pinecone *)store);
    return sx_rest_store_create((sx_rest_store *)store, collection, space, find_again, make, error);
}

static sx_status pinecone_describe(sx_vector_store *store, const char *collection, sx_vector_space *space, uint64_t *count,
                                   sx_error *error)
{
    sx_pinecone *p = (sx_pinecone *)store;
    sx_json index;
    bool ready;
    sx_status status = sx_pinecone_find(p, collection, error);
    if (!status) /* what is known may be gone */
        status = look_up(p, p->store.server_name, collection, &ready, &index, error);
    if (status)
        forget(p);
    if (!status && count)
        status = sx_pinecone_count(p, count, error);
    if (!status)
        *space = p->store.space;
    return status;
}

static sx_status pinecone_drop(sx_vector_store *store, const char *collection, sx_error *error)
{
    sx_pinecone *p = (sx_pinecone *)store;
    char name[SX_REST_NAME_SIZE];
    forget(p);
    sx_status status = sx_rest_server_name(store->name, collection, is_plain_name, name_prefix, name, error);
    if (status)
        return status;
    sx_pinecone_begin_control(p, "/indexes/");
    sx_rest_add_segment(&p->store.rest, name);
    return sx_rest_drop(&p->store.rest, collection, error);
}

const sx_vector_store_class sx_vector_pinecone = {
    .name = "pinecone",
    .scheme = "pinecone",
    .open = pinecone_open,
    .close = pinecone_close,
    .create = pinecone_create,
    .describe = pinecone_describe,
    .upsert = sx_pinecone_upsert,
    .remove = sx_pinecone_remove,
    .drop = pinecone_drop,
    .query = sx_pinecone_query,
    .scan = sx_pinecone_scan,
    .finish = sx_pinecone_finish,
};
