/* http_server.h - HTTP/1.1 over TCP and Unix sockets: reads requests within limits, has them handled, writes responses.
 *
 * One thread does all waiting (epoll); a request that is complete goes to a thread of its own. Limits hold while a request is
 * being read: sizes, and deadlines that a client which sends a byte a second does not meet.
 */
#ifndef SX_SERVER_HTTP_SERVER_H
#define SX_SERVER_HTTP_SERVER_H

#include "http_message.h"

typedef struct sx_http_server sx_http_server;

typedef struct sx_http_options {
    const char *host; /* name or address; NULL: none */
    const char *port;
    const char *unix_path;    /* socket to make, mode 0600 before umask; NULL: none */
    unsigned max_connections; /* beyond it the longest idle one is closed, or the new one refused */
    unsigned max_handlers;    /* requests in hand; beyond it 429 */
    size_t max_head;          /* bytes of request line and headers */
    uint64_t max_body_memory; /* of all bodies together; beyond it 503 */
    double read_seconds;      /* for a head; for a body, and the same again for every 64 KiB/s worth of it */
    double write_seconds;     /* without the client taking anything */
    double idle_seconds;      /* between requests */
    double grace_seconds;     /* at the end, for what is in hand */
} sx_http_options;

/* All run in the thread of sx_http_server_run, but for `handle`, `settled` and `finished`. */
typedef struct sx_http_calls {
    /* The head is there: sets route, form, body_limit. False: the response is filled and is the answer. */
    bool (*begin)(void *user, sx_request *request, sx_response *response);
    /* Whether to handle it at once, in the thread that waits for everybody: for what takes microseconds. */
    bool (*is_quick)(void *user, const sx_request *request);
    void (*handle)(void *user, sx_request *request, sx_response *response);
    /* Fills the response to what is no request, or one that cannot be taken; method and path may be empty. */
    void (*refuse)(void *user, sx_request *request, int status, const char *problem, sx_response *response);
    /* The answer is settled and not yet sent: what is counted here has been counted when the client reads it; in any thread. */
    void (*settled)(void *user, sx_request *request, const sx_response *response);
    /* After the response went to the socket, or was given up; in any thread. */
    void (*finished)(void *user, sx_request *request, const sx_response *response, uint64_t sent);
    /* Every quarter of a second, and for SIGHUP. */
    void (*tick)(void *user);
    void (*hang_up)(void *user);
    /* The end has begun: waiting work should end soon once the grace is over (`hard`). */
    void (*stopping)(void *user, bool hard);
    void *user;
} sx_http_calls;

typedef struct sx_http_figures {
    unsigned connections, handlers;
    uint64_t body_bytes, refused_connections;
} sx_http_figures;

/* Listens. SX_E_BUSY: the port is taken. */
sx_status sx_http_server_open(const sx_http_options *options, const sx_http_calls *calls, sx_http_server **out, sx_error *error);
/* Serves until SIGTERM or SIGINT, which must be blocked in all threads as SIGHUP must; or sx_http_server_stop. SX_E_STOPPED: some
 * requests were still in hand after the grace. */
sx_status sx_http_server_run(sx_http_server *server, sx_error *error);
/* From any thread. */
void sx_http_server_stop(sx_http_server *server);
void sx_http_server_close(sx_http_server *server);
/* The port listened on (for port 0), or 0. */
unsigned sx_http_server_port(const sx_http_server *server);
/* From any thread; about right. */
void sx_http_server_describe(const sx_http_server *server, sx_http_figures *figures);

#endif
