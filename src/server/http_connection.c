/* http_connection.c - one connection: a state machine that reads requests, hands them over and writes responses.
 *
 * Reading stops while a request is in hand, so that a client cannot pile up requests; only its hanging up is watched for, and
 * marks the request as gone. The handler's thread writes the response itself, as far as the socket takes it at once: that
 * saves a change of threads in the way of every answer.
 */
#include "http_connection.h"

#include "../base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_BYTES = 64 * 1024,       /* = size of the server's scratch */
    BYTES_PER_SECOND = 64 * 1024, /* who moves data this fast never meets a deadline */
    LINGER_BYTES = 16 << 20,
    FIRST_BODY = 64 * 1024
};
static const int64_t second_ns = 1000000000, linger_ns = 2000000000;

int64_t sx_http_now(void)
{
    return sx_system_clock.monotonic_ns(sx_system_clock.user);
}

/* ---- State ---- */

static void watch(sx_connection *connection, uint32_t events)
{
    if (connection->hung_up || events == connection->events)
        return;
    struct epoll_event event = {.events = events, .data.ptr = connection};
    epoll_ctl(connection->server->poll, EPOLL_CTL_MOD, connection->descriptor, &event);
    connection->events = events;
}

/* Nothing can come any more, and hanging up would be reported for ever. */
static void stop_watching(sx_connection *connection)
{
    if (!connection->hung_up)
        epoll_ctl(connection->server->poll, EPOLL_CTL_DEL, connection->descriptor, NULL);
    connection->hung_up = true;
    connection->events = 0;
}

static double allowed_seconds(const sx_connection *connection)
{
    const sx_http_options *options = &connection->server->options;
    double moved = (double)connection->moved / BYTES_PER_SECOND;
    switch (connection->state) {
    case SX_CONNECTION_HEAD: return options->read_seconds;
    case SX_CONNECTION_BODY: return options->read_seconds + moved;
    case SX_CONNECTION_WRITING: return options->write_seconds + moved;
    case SX_CONNECTION_LINGERING: return (double)linger_ns / (double)second_ns;
    default: return options->idle_seconds;
    }
}

static void set_state(sx_connection *connection, sx_connection_state state)
{
    connection->state = state;
    connection->since_ns = sx_http_now();
    connection->moved = 0;
}

static void drop_request(sx_connection *connection)
{
    sx_request *request = connection->request;
    atomic_fetch_sub(&connection->server->body_bytes, connection->body_counted);
    connection->body_counted = 0;
    connection->request = NULL;
    sx_buffer_clear(&connection->body);
    sx_buffer_clear(&connection->head);
    sx_buffer_clear(&connection->response.body);
    sx_buffer_clear(&connection->response.headers);
    connection->response = (sx_response){0};
    connection->chunks = (sx_http_chunks){0};
    connection->written = 0;
    if (!request)
        return;
    sx_arena_clear(&request->arena);
    free(request);
}

void sx_connection_open(sx_http_server *server, int descriptor, const char *peer)
{
    sx_connection *connection = sx_calloc(1, sizeof *connection);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = connection};
    if (!connection || epoll_ctl(server->poll, EPOLL_CTL_ADD, descriptor, &event)) {
        free(connection);
        close(descriptor);
        return;
    }
    connection->server = server;
    connection->descriptor = descriptor;
    connection->events = event.events;
    connection->number = ++server->last_number;
    snprintf(connection->peer, sizeof connection->peer, "%s", peer);
    connection->next = server->connections;
    if (connection->next)
        connection->next->previous = connection;
    server->connections = connection;
    atomic_fetch_add(&server->count, 1);
    set_state(connection, SX_CONNECTION_IDLE);
}

/* The memory goes at the end of the round of events, so that whoever still holds the pointer sees `closed`. */
void sx_connection_close(sx_connection *connection)
{
    sx_http_server *server = connection->server;
    if (connection->closed)
        return;
    connection->closed = true;
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        server->connections = connection->next;
    if (connection->next)
        connection->next->previous = connection->previous;
    atomic_fetch_sub(&server->count, 1);
    close(connection->descriptor);
    drop_request(connection);
    sx_buffer_clear(&connection->input);
    connection->next = server->closed;
    server->closed = connection;
}

/* ---- Writing ---- */

static void make_head(sx_connection *connection)
{
    sx_response *response = &connection->response;
    sx_buffer *head = &connection->head;
    char date[64];
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    head->maximum = 64 * 1024;
    sx_buffer_printf(head, "HTTP/1.1 %d %s\r\ndate: %s\r\nx-request-id: %s\r\ncontent-length: %zu\r\n", response->status,
                     sx_http_reason(response->status), date, connection->request->id, response->body.length);
    if (response->body.length || response->content_type)
        sx_buffer_printf(head, "content-type: %s\r\n", response->content_type ? response->content_type : "application/json");
    if (!connection->keep)
        sx_buffer_append_string(head, "connection: close\r\n");
    else if (connection->http10)
        sx_buffer_append_string(head, "connection: keep-alive\r\n");
    if (response->headers.length)
        sx_buffer_append(head, response->headers.data, response->headers.length);
    sx_buffer_append_string(head, "\r\n");
}

/* Memory ran out somewhere on the way: an answer that needs none. */
static void settle_response(sx_connection *connection)
{
    sx_response *response = &connection->response;
    if (!response->status)
        response->status = 200;
    if (response->body.failed || response->headers.failed) {
        sx_buffer_clear(&response->body);
        sx_buffer_clear(&response->headers);
        response->body.failed = response->headers.failed = false;
        response->status = 503;
        response->error = "no_memory";
        connection->keep = false;
    }
    if (response->close || connection->server->stopping)
        connection->keep = false;
    make_head(connection); /* when not even that succeeds, the connection ends */
    connection->server->calls.settled(connection->server->calls.user, connection->request, response);
}

/* As far as the socket takes it. False: the connection is broken. */
static bool write_some(sx_connection *connection)
{
    const sx_buffer *head = &connection->head, *body = &connection->response.body;
    size_t content = connection->no_content ? 0 : body->length, total = head->length + content;
    while (connection->written < total) {
        struct iovec parts[2];
        int count = 0;
        size_t at = connection->written;
        if (at < head->length)
            parts[count++] = (struct iovec){head->data + at, head->length - at};
        size_t from = at > head->length ? at - head->length : 0;
        if (from < content)
            parts[count++] = (struct iovec){body->data + from, content - from};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
        ssize_t sent = sendmsg(connection->descriptor, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        connection->written += (size_t)sent;
        connection->moved += (uint64_t)sent;
    }
    return true;
}

static bool is_written(const sx_connection *connection)
{
    return connection->written == connection->head.length + (connection->no_content ? 0 : connection->response.body.length);
}

/* The response is out. */
static void complete(sx_connection *connection)
{
    bool keep = connection->keep && !connection->server->stopping;
    drop_request(connection);
    watch(connection, EPOLLIN | EPOLLRDHUP);
    if (keep) {
        set_state(connection, SX_CONNECTION_IDLE);
        return;
    }
    /* Closing with unread bytes would reset the connection, and the client might lose the answer. */
    shutdown(connection->descriptor, SHUT_WR);
    sx_buffer_clear(&connection->input);
    set_state(connection, SX_CONNECTION_LINGERING);
}

/* In the loop's thread, after a first attempt to write. */
static void after_write(sx_connection *connection, bool good)
{
    if (!good || connection->hung_up) {
        sx_connection_close(connection);
    } else if (is_written(connection)) {
        complete(connection);
    } else {
        if (connection->state != SX_CONNECTION_WRITING)
            set_state(connection, SX_CONNECTION_WRITING);
        watch(connection, EPOLLOUT | EPOLLRDHUP);
    }
}

/* Answers in the loop's thread. */
static void respond(sx_connection *connection)
{
    settle_response(connection);
    bool good = !connection->head.failed && write_some(connection);
    connection->server->calls.finished(connection->server->calls.user, connection->request, &connection->response,
                                       connection->written);
    after_write(connection, good);
}

/* ---- Requests ---- */

static sx_request *new_request(sx_connection *connection)
{
    sx_request *request = sx_calloc(1, sizeof *request);
    if (!request)
        return NULL;
    request->connection = connection->number;
    request->method = request->path = request->query = (sx_text){"", 0};
    memcpy(request->peer, connection->peer, sizeof request->peer);
    request->began_ns = request->ready_ns = sx_http_now();
    return request;
}

/* What the log shows must not be able to break its lines. */
static void set_id(sx_request *request)
{
    sx_text given = sx_request_header(request, "x-request-id");
    size_t good = 0;
    while (good < given.length && given.length < sizeof request->id && given.data[good] > ' ' && given.data[good] < 127 &&
           given.data[good] != '"' && given.data[good] != '\\')
        good++;
    if (good && good == given.length) {
        memcpy(request->id, given.data, good);
        return;
    }
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        memset(bytes, 0, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(request->id + 2 * i, 3, "%02x", bytes[i]);
}

/* The bytes cannot be taken for a request, or the rest of it will not be read. */
static void refuse(sx_connection *connection, int status, const char *problem)
{
    if (!connection->request && !(connection->request = new_request(connection))) {
        sx_connection_close(connection);
        return;
    }
    sx_request *request = connection->request;
    if (!request->id[0])
        set_id(request);
    sx_buffer_clear(&connection->response.body);
    sx_buffer_clear(&connection->response.headers);
    connection->response = (sx_response){0};
    connection->keep = false;
    connection->server->calls.refuse(connection->server->calls.user, request, status, problem, &connection->response);
    respond(connection);
}

static sx_text place_of(const char *from, const char *copy, sx_text text)
{
    return text.length ? (sx_text){copy + (text.data - from), text.length} : (sx_text){"", 0};
}

/* Gives the request texts of its own. */
static bool keep_head(sx_request *request, const sx_http_head *head, const char *data, size_t length)
{
    char *copy = sx_arena_strndup(&request->arena, data, length);
    sx_http_header *headers = sx_arena_alloc(&request->arena, (head->header_count + 1) * sizeof *headers);
    if (!copy || !headers)
        return false;
    for (size_t i = 0; i < head->header_count; i++)
        headers[i] = (sx_http_header){place_of(data, copy, head->headers[i].name), place_of(data, copy, head->headers[i].value)};
    request->headers = headers;
    request->header_count = head->header_count;
    request->method = place_of(data, copy, head->method);
    request->query = place_of(data, copy, head->query);
    char *path = sx_arena_strndup(&request->arena, head->path.data, head->path.length);
    size_t path_length = head->path.length;
    bool good = path && sx_percent_decode(path, &path_length);
    request->path = good ? (sx_text){path, path_length} : (sx_text){"", 0};
    return true;
}

static void hand_over(sx_connection *connection)
{
    sx_http_server *server = connection->server;
    sx_request *request = connection->request;
    request->ready_ns = sx_http_now();
    request->body = connection->body.data;
    request->body_length = connection->body.length;
    set_state(connection, SX_CONNECTION_HANDLING);
    if (server->calls.is_quick(server->calls.user, request)) {
        server->calls.handle(server->calls.user, request, &connection->response);
        respond(connection);
    } else if (!sx_handler_pool_run(server->pool, connection)) {
        bool keep = connection->keep;
        server->calls.refuse(server->calls.user, request, 429, "too many requests at once", &connection->response);
        connection->keep = keep;
        respond(connection);
    }
}

void sx_connection_handle(void *user, void *item)
{
    sx_http_server *server = user;
    sx_connection *connection = item;
    bool good = true;
    server->calls.handle(server->calls.user, connection->request, &connection->response);
    settle_response(connection);
    if (atomic_load(&connection->request->gone) || connection->head.failed)
        good = false;
    else
        good = write_some(connection);
    server->calls.finished(server->calls.user, connection->request, &connection->response, connection->written);
    if (!good)
        atomic_store(&connection->request->gone, true);
    sx_connection *first = atomic_load(&server->finished);
    do
        connection->next_finished = first;
    while (!atomic_compare_exchange_weak(&server->finished, &first, connection));
    uint64_t one = 1;
    if (!first && write(server->wake, &one, sizeof one) < 0)
        return; /* cannot be: the counter never gets full */
}

/* Counts what the body takes; false: all bodies together take too much. */
static bool count_body(sx_connection *connection)
{
    sx_http_server *server = connection->server;
    uint64_t now = connection->body.capacity, before = connection->body_counted;
    connection->body_counted = now;
    uint64_t sum = atomic_fetch_add(&server->body_bytes, now - before) + now - before;
    return sum <= server->options.max_body_memory;
}

/* Uses bytes of the input for the body. */
static void take_body(sx_connection *connection)
{
    sx_buffer *input = &connection->input;
    size_t used;
    bool complete_now;
    if (connection->chunked) {
        used = sx_http_take_chunks(&connection->chunks, input->data, input->length, &connection->body,
                                   connection->request->body_limit);
        if (connection->chunks.problem) {
            refuse(connection, connection->chunks.problem == sx_http_too_long ? 413 : 400, connection->chunks.problem);
            return;
        }
        complete_now = connection->chunks.done;
    } else {
        uint64_t left = connection->body_length - connection->body.length;
        used = left < input->length ? (size_t)left : input->length;
        if (!sx_buffer_append(&connection->body, input->data, used)) {
            refuse(connection, 503, "no memory for the body");
            return;
        }
        complete_now = connection->body.length == connection->body_length;
    }
    memmove(input->data, input->data + used, input->length - used);
    input->length -= used;
    connection->moved += used;
    if (!count_body(connection)) {
        refuse(connection, 503, "too many large requests at once");
        return;
    }
    if (complete_now)
        hand_over(connection);
}

static const char continue_line[] = "HTTP/1.1 100 Continue\r\n\r\n";

/* A head is complete. */
static void take_head(sx_connection *connection, size_t end)
{
    sx_http_server *server = connection->server;
    sx_http_head head;
    const char *problem = NULL;
    int status = sx_http_parse_head(connection->input.data, end, &head, &problem);
    sx_request *request = connection->request = new_request(connection);
    if (!request || !keep_head(request, &head, connection->input.data, end)) {
        sx_connection_close(connection);
        return;
    }
    set_id(request);
    if (!status && !request->path.length)
        problem = "the path has a wrong percent-encoding", status = 400;
    if (status) {
        refuse(connection, status, problem);
        return;
    }
    connection->keep = head.keep_alive;
    connection->http10 = head.http10;
    connection->chunked = head.chunked;
    connection->body_length = head.has_length ? head.length : 0;
    connection->no_content = sx_text_equals_fold(request->method, "head");
    memmove(connection->input.data, connection->input.data + end, connection->input.length - end);
    connection->input.length -= end;
    connection->scanned = 0;
    bool has_body = head.chunked || connection->body_length;
    set_state(connection, SX_CONNECTION_BODY);
    if (!server->calls.begin(server->calls.user, request, &connection->response)) {
        connection->keep = connection->keep && !has_body;
        respond(connection);
        return;
    }
    if (connection->body_length > request->body_limit) {
        refuse(connection, 413, sx_http_too_long);
        return;
    }
    if (!has_body) {
        hand_over(connection);
        return;
    }
    connection->body.maximum = request->body_limit + 1;
    if (!connection->chunked && connection->body_length <= FIRST_BODY)
        sx_buffer_room(&connection->body, connection->body_length);
    if (head.expects_continue && !connection->input.length &&
        send(connection->descriptor, continue_line, sizeof continue_line - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        sx_connection_close(connection);
}

/* Passes over empty lines before a request (RFC 9112, section 2.2). */
static void begin_head(sx_connection *connection)
{
    sx_buffer *input = &connection->input;
    size_t skip = 0;
    while (skip + 1 < input->length && input->data[skip] == '\r' && input->data[skip + 1] == '\n')
        skip += 2;
    if (skip) {
        memmove(input->data, input->data + skip, input->length - skip);
        input->length -= skip;
    }
    connection->scanned = 0;
    if (input->length)
        set_state(connection, SX_CONNECTION_HEAD);
    else
        sx_buffer_clear(input); /* an idle connection holds no memory */
}

/* Goes on with the bytes that are there, through as many requests as they hold. */
static void read_on(sx_connection *connection)
{
    sx_buffer *input = &connection->input;
    while (!connection->closed && input->length) {
        if (connection->state == SX_CONNECTION_IDLE) {
            begin_head(connection);
        } else if (connection->state == SX_CONNECTION_HEAD) {
            size_t end = sx_http_head_end(input->data, input->length, &connection->scanned);
            size_t most = connection->server->options.max_head;
            if (end > most || (!end && input->length >= most))
                refuse(connection, 431, "the head of the request is too long");
            else if (end)
                take_head(connection, end);
            else
                return;
        } else if (connection->state == SX_CONNECTION_BODY) {
            take_body(connection);
        } else {
            return;
        }
    }
    if (!connection->closed && connection->state == SX_CONNECTION_IDLE)
        sx_buffer_clear(input);
}

void sx_connection_handled(sx_connection *connection)
{
    after_write(connection, !atomic_load(&connection->request->gone));
    read_on(connection);
}

/* ---- Events ---- */

static void read_input(sx_connection *connection)
{
    char *scratch = connection->server->scratch;
    ssize_t got = recv(connection->descriptor, scratch, READ_BYTES, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR || errno == EWOULDBLOCK))
        return;
    if (got <= 0) {
        sx_connection_close(connection);
        return;
    }
    if (connection->state == SX_CONNECTION_LINGERING) {
        connection->moved += (uint64_t)got;
        if (connection->moved > LINGER_BYTES)
            sx_connection_close(connection);
        return;
    }
    connection->input.maximum = READ_BYTES + connection->server->options.max_head;
    if (!sx_buffer_append(&connection->input, scratch, (size_t)got)) {
        sx_connection_close(connection);
        return;
    }
    read_on(connection);
}

void sx_connection_event(sx_connection *connection, uint32_t events)
{
    switch (connection->state) {
    case SX_CONNECTION_HANDLING:
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
            stop_watching(connection);
            atomic_store(&connection->request->gone, true);
        } else {
            watch(connection, EPOLLRDHUP); /* a next request waits its turn in the socket */
        }
        break;
    case SX_CONNECTION_WRITING:
        if (events & (EPOLLHUP | EPOLLERR))
            sx_connection_close(connection);
        else
            after_write(connection, write_some(connection));
        read_on(connection);
        break;
    default: read_input(connection);
    }
}

void sx_connection_check_deadline(sx_connection *connection, int64_t now)
{
    if (connection->state == SX_CONNECTION_HANDLING)
        return;
    if ((double)(now - connection->since_ns) < allowed_seconds(connection) * (double)second_ns)
        return;
    if (connection->state == SX_CONNECTION_HEAD || connection->state == SX_CONNECTION_BODY)
        refuse(connection, 408,
               connection->state == SX_CONNECTION_HEAD ? "the head of the request did not arrive in time"
                                                       : "the body of the request did not arrive in time");
    else
        sx_connection_close(connection);
}
