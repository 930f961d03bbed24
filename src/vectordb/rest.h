/* rest.h - what all vector databases spoken to by HTTP and JSON need: the server's address and key, requests that are tried again
 * while the server is busy or away, and errors that name server, call and answer.
 *
 * A request is built into rest->path and rest->body (sx_rest_begin, then appends), sent by sx_rest_call, and its answer read with
 * the strict reader of base/json_reader.h. Everything that is sent may be sent twice: whoever calls sees to that.
 */
#ifndef SX_VECTORDB_REST_H
#define SX_VECTORDB_REST_H

#include "vector_store.h"

#include "../base/buffer.h"
#include "../base/json_reader.h"
#include "../net/http_pool.h"

/* How a kind of server is addressed. */
typedef struct sx_rest_service {
    const char *name;            /* "chroma": the URL's scheme; with an "s" behind it, https */
    uint16_t port, secure_port;  /* where the URL names none */
    const char *key_header;      /* "api-key: ", put before the key */
    const char *const *headers;  /* further ones, NULL at the end; or NULL */
    /* Of a server that answers 200 to everything: the status that this answer stands for (200: it was done). NULL: statuses
     * are. */
    long (*meaning)(const sx_buffer *reply);
} sx_rest_service;

typedef struct sx_rest {
    const sx_rest_service *service;
    char *shown;           /* the server, for messages: URL without user, password, key and settings */
    char *base;            /* "https://host:8000" */
    char *url_path;        /* what stands behind the host, percent-encoded, without slashes at its ends; "" */
    bool secure, local;    /* https; the host is this machine */
    uint32_t batch;        /* ?batch=N of the URL: records in a request; 0: not said */
    char *key;             /* as given, or NULL; never part of a message */
    char *password;        /* of the URL, decoded, or NULL; neither */
    char *lines[8];        /* headers */
    size_t line_count;
    uint32_t attempts;
    int64_t timeout_ns;
    sx_clock clock;
    sx_log_callback log;
    void *log_user;
    uint64_t random;       /* state of the jitter */
    sx_http_pool *pool;
    sx_http_exchange exchange; /* reply: of the last call */
    sx_buffer path, body;  /* of the request being built */
    sx_buffer address, label;
    bool meant;            /* the status of the last answer is what it means, not what HTTP said */
} sx_rest;

/* Zero *rest before. Connects to nothing yet. */
sx_status sx_rest_open(sx_rest *rest, const sx_rest_service *service, const char *url, const sx_vector_store_options *options,
                       sx_error *error);
void sx_rest_close(sx_rest *rest);

/* Empties path and body and begins the path with `path`, which is taken as it is. */
void sx_rest_begin(sx_rest *rest, const char *path);
/* Appends one segment or query value, percent-encoded (RFC 3986, all but unreserved characters). */
void sx_rest_add_segment(sx_rest *rest, const char *text);

/* Sends what was built. what: for messages, "upsert into docs". Tries again after 408, 425, 429 and 5xx, after a connection that
 * failed or was cut, and obeys Retry-After. SX_OK for 2xx; SX_E_NOT_FOUND 404, SX_E_EXISTS 409, SX_E_DENIED 401 and 403,
 * SX_E_LIMIT 413, SX_E_INVALID other 4xx; SX_E_BUSY 429 and 503 to the last, SX_E_NETWORK 5xx and no answer to the last. */
sx_status sx_rest_call(sx_rest *rest, const char *method, const char *what, const char *collection, sx_error *error);

/* Deletes what stands at the path that was built: SX_E_NOT_FOUND when it is not there. It is looked at first, since the answer
 * to a deletion can be lost, and then its next try (which libcurl may make unasked) finds nothing. */
sx_status sx_rest_drop(sx_rest *rest, const char *collection, sx_error *error);

/* Begins reading the last call's answer. */
void sx_rest_read(sx_rest *rest, sx_json *json);
/* As sx_rest_read, for an answer that is an object: checks all of it and leaves the reader at the value of `key`. */
sx_status sx_rest_result(sx_rest *rest, const char *key, sx_json *value, sx_error *error);
/* In a checked answer: whether the object that the reader stands at has the member, other than null; *value then stands at it. */
bool sx_rest_find(const sx_json *object, const char *key, sx_json *value);
/* The same, for a string, which is copied into *text (malloc'ed), and for a whole number. */
char *sx_rest_find_string(const sx_json *object, const char *key);
bool sx_rest_find_count(const sx_json *object, const char *key, uint64_t *count);
/* For a reader that has failed: SX_E_FORMAT naming server, call, place and what is wrong there. */
sx_status sx_rest_bad_answer(sx_rest *rest, const sx_json *json, sx_error *error);
/* For an answer that can be read, but says what cannot be. */
sx_status sx_rest_odd_answer(sx_rest *rest, sx_error *error, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* What the server says in an answer (its message, or the beginning of whatever it sent), keys taken out, as one line. */
void sx_rest_explain(const sx_rest *rest, char *to, size_t size);

#endif
