/* http_connection.h - one connection, from the bytes that arrive to those that go out. */
#ifndef SX_SERVER_HTTP_CONNECTION_H
#define SX_SERVER_HTTP_CONNECTION_H

#include "handler_pool.h"
#include "http_server.h"

typedef enum sx_connection_state {
    SX_CONNECTION_IDLE, /* nothing of a next request is there */
    SX_CONNECTION_HEAD,
    SX_CONNECTION_BODY,
    SX_CONNECTION_HANDLING, /* a handler's thread owns request, response and the right to write */
    SX_CONNECTION_WRITING,
    SX_CONNECTION_LINGERING /* answered; what the client still sends is thrown away, so that it can read the answer */
} sx_connection_state;

typedef struct sx_connection sx_connection;
struct sx_connection {
    sx_connection *previous, *next; /* all connections */
    sx_connection *next_finished;
    sx_http_server *server;
    int descriptor;
    uint64_t number;
    char peer[64];
    sx_connection_state state;
    uint32_t events; /* epoll is asked for; 0 after the client hung up */
    bool hung_up, closed;
    bool keep; /* after this response */
    int64_t deadline_ns;
    int64_t since_ns; /* the present state */
    sx_buffer input;  /* bytes not yet used */
    size_t scanned;
    sx_request *request;
    sx_response response;
    sx_buffer body; /* as it arrives */
    sx_http_chunks chunks;
    bool chunked, no_content; /* no_content: HEAD */
    bool http10;
    uint64_t body_length;  /* declared */
    uint64_t body_counted; /* of the server's sum */
    uint64_t moved;        /* bytes received or sent in the present state */
    sx_buffer head;        /* of the response */
    size_t written;        /* of head and body */
};

/* The pieces of the server that connections touch. */
struct sx_http_server {
    sx_http_options options;
    sx_http_calls calls;
    int poll, wake, signals, listeners[8];
    unsigned listener_count;
    unsigned port;
    char *unix_path;
    sx_connection *connections;
    sx_connection *closed; /* to be freed at the end of a round */
    _Atomic unsigned count;
    uint64_t last_number;
    sx_handler_pool *pool;
    _Atomic(sx_connection *) finished; /* a stack: handled, and written as far as the socket took it */
    _Atomic uint64_t body_bytes;
    _Atomic uint64_t refused;
    _Atomic bool stop_asked;
    bool stopping, hard, accept_paused;
    int64_t stop_ns, sweep_ns;
    char *scratch; /* what one read takes at most */
};

int64_t sx_http_now(void);
/* All in the loop's thread. */
void sx_connection_open(sx_http_server *server, int descriptor, const char *peer);
void sx_connection_close(sx_connection *connection);
void sx_connection_event(sx_connection *connection, uint32_t events);
void sx_connection_handled(sx_connection *connection);
void sx_connection_check_deadline(sx_connection *connection, int64_t now);
/* In a handler's thread (sx_handler_work). */
void sx_connection_handle(void *server, void *connection);

#endif
