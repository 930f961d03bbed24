/* loopback.h - a small HTTP server in threads of the test program, which answers as the test says, faults included. */
#ifndef SX_TESTS_LOOPBACK_H
#define SX_TESTS_LOOPBACK_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct loopback_request {
    char *head;          /* request line and headers */
    char *body;
    size_t body_length;
} loopback_request;

typedef struct loopback {
    int listener;
    unsigned port;
    pthread_t thread;
    atomic_uint connections, requests, active;
    /* Writes the reply to the socket; false closes the connection. Called in a thread of the connection's own. */
    bool (*answer)(struct loopback *server, int socket, const loopback_request *request);
    void *user;
} loopback;

typedef struct loopback_connection {
    loopback *server;
    int socket;
} loopback_connection;

static inline void loopback_write(int socket, const void *data, size_t length)
{
    const char *at = data;
    while (length) {
        ssize_t written = send(socket, at, length, MSG_NOSIGNAL);
        if (written <= 0)
            return;
        at += written;
        length -= (size_t)written;
    }
}

static inline void loopback_reply(int socket, int code, const char *headers, const void *body, size_t length)
{
    char head[1024];
    int written = snprintf(head, sizeof head, "HTTP/1.1 %d Whatever\r\nContent-Length: %zu\r\n%s\r\n", code, length, headers);
    loopback_write(socket, head, (size_t)written);
    loopback_write(socket, body, length);
}

static inline bool loopback_read_request(int socket, loopback_request *request)
{
    size_t used = 0, room = 1 << 16, head = 0, body = 0;
    char *data = malloc(room);
    for (;;) {
        ssize_t got = recv(socket, data + used, room - used - 1, 0);
        if (got <= 0)
            break;
        used += (size_t)got;
        data[used] = '\0';
        char *end = head ? NULL : strstr(data, "\r\n\r\n");
        if (end) {
            head = (size_t)(end - data) + 4;
            char *length = strcasestr(data, "\r\ncontent-length:");
            body = length && length < end ? strtoull(length + 17, NULL, 10) : 0;
        }
        if (head && used >= head + body) {
            *request = (loopback_request){strndup(data, head), malloc(body + 1), body};
            memcpy(request->body, data + head, body);
            request->body[body] = '\0';
            free(data);
            return true;
        }
        if (room - used < 1 << 15)
            data = realloc(data, room *= 2);
    }
    free(data);
    return false;
}

static inline void *loopback_serve(void *user)
{
    loopback_connection connection = *(loopback_connection *)user;
    free(user);
    loopback_request request;
    for (bool more = true; more && loopback_read_request(connection.socket, &request);) {
        atomic_fetch_add(&connection.server->requests, 1);
        more = connection.server->answer(connection.server, connection.socket, &request);
        free(request.head);
        free(request.body);
    }
    close(connection.socket);
    atomic_fetch_sub(&connection.server->active, 1);
    return NULL;
}

static inline void *loopback_accept(void *user)
{
    loopback *server = user;
    for (;;) {
        int socket = accept(server->listener, NULL, NULL);
        if (socket < 0)
            return NULL;
        atomic_fetch_add(&server->connections, 1);
        loopback_connection *connection = malloc(sizeof *connection);
        *connection = (loopback_connection){server, socket};
        pthread_t thread;
        atomic_fetch_add(&server->active, 1);
        if (pthread_create(&thread, NULL, loopback_serve, connection) == 0)
            pthread_detach(thread);
        else
            atomic_fetch_sub(&server->active, 1);
    }
}

static inline bool loopback_start(loopback *server, bool (*answer)(loopback *, int, const loopback_request *), void *user)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    memset(server, 0, sizeof *server);
    server->answer = answer;
    server->user = user;
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (server->listener < 0 || bind(server->listener, (struct sockaddr *)&address, sizeof address) ||
        listen(server->listener, 64) || getsockname(server->listener, (struct sockaddr *)&address, &length))
        return false;
    server->port = ntohs(address.sin_port);
    return pthread_create(&server->thread, NULL, loopback_accept, server) == 0;
}

/* After the clients have closed their connections: waits for the threads that served them. */
static inline void loopback_stop(loopback *server)
{
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
    while (atomic_load(&server->active))
        usleep(1000);
}

#endif
