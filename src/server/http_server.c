/* http_server.c - listening, the loop over events, deadlines, and an orderly end. */
#include "http_connection.h"

#include "../base/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_LISTENERS = 8, EVENTS = 256, SCRATCH = 64 * 1024, BACKLOG = 1024, ACCEPTS = 64, SWEEP_MS = 250 };
static const int64_t sweep_ns = 250000000;
static const double hard_seconds = 5; /* beyond the grace, for handlers to notice */

/* ---- Listening ---- */

static sx_status add_listener(sx_http_server *server, int descriptor, sx_error *error)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &server->listeners[server->listener_count]};
    if (listen(descriptor, BACKLOG) || epoll_ctl(server->poll, EPOLL_CTL_ADD, descriptor, &event)) {
        int why = errno;
        close(descriptor);
        return sx_fail_errno(error, why, "listening");
    }
    server->listeners[server->listener_count++] = descriptor;
    return SX_OK;
}

static sx_status listen_at(sx_http_server *server, const struct addrinfo *address, sx_error *error)
{
    const sx_http_options *options = &server->options;
    int on = 1, descriptor = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return sx_fail_errno(error, errno, "%s: socket", options->host);
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->ai_family == AF_INET6)
        setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(descriptor, address->ai_addr, address->ai_addrlen)) {
        int why = errno;
        close(descriptor);
        sx_fail_errno(error, why, "%s port %s: cannot listen", options->host, options->port);
        if (error && why == EADDRINUSE)
            error->code = SX_E_BUSY;
        return error ? error->code : SX_E_IO;
    }
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    if (getsockname(descriptor, (struct sockaddr *)&bound, &length) == 0)
        server->port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                         : ((struct sockaddr_in *)&bound)->sin_port);
    return add_listener(server, descriptor, error);
}

static sx_status listen_tcp(sx_http_server *server, sx_error *error)
{
    const sx_http_options *options = &server->options;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    int failure = getaddrinfo(options->host, options->port, &hints, &found);
    if (failure)
        return sx_fail(error, SX_E_INVALID, "%s port %s: %s", options->host, options->port, gai_strerror(failure));
    sx_status status = SX_OK;
    for (struct addrinfo *at = found; at && !status && server->listener_count < MAX_LISTENERS; at = at->ai_next) {
        status = listen_at(server, at, error);
        if (!strcmp(options->port, "0"))
            break; /* a second address would get another port */
    }
    freeaddrinfo(found);
    return status;
}

/* A socket that a server which was killed left behind is replaced; one that somebody listens on is not. */
static sx_status listen_unix(sx_http_server *server, sx_error *error)
{
    const char *path = server->options.unix_path;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat found;
    if (strlen(path) >= sizeof address.sun_path)
        return sx_fail(error, SX_E_LIMIT, "%s: a path of %zu bytes, but a socket's has at most %zu", path, strlen(path),
                       sizeof address.sun_path - 1);
    strcpy(address.sun_path, path);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return sx_fail_errno(error, errno, "%s: socket", path);
    if (lstat(path, &found) == 0 && S_ISSOCK(found.st_mode)) {
        if (connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0) {
            close(descriptor);
            return sx_fail(error, SX_E_BUSY, "%s: somebody listens there already", path);
        }
        unlink(path);
    }
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address)) {
        int why = errno;
        close(descriptor);
        return sx_fail_errno(error, why, "%s: cannot listen", path);
    }
    if (!(server->unix_path = sx_strdup(path))) {
        close(descriptor);
        return sx_fail_nomem(error, strlen(path));
    }
    return add_listener(server, descriptor, error);
}

/* As many descriptors as the system allows. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool watch_descriptor(sx_http_server *server, int *descriptor)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = descriptor};
    return *descriptor >= 0 && epoll_ctl(server->poll, EPOLL_CTL_ADD, *descriptor, &event) == 0;
}

sx_status sx_http_server_open(const sx_http_options *options, const sx_http_calls *calls, sx_http_server **out, sx_error *error)
{
    sx_status status = SX_OK;
    sigset_t signals;
    sx_http_server *server = *out = sx_calloc(1, sizeof *server);
    if (!server)
        return sx_fail_nomem(error, sizeof *server);
    server->options = *options;
    server->calls = *calls;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    raise_descriptor_limit();
    server->poll = epoll_create1(EPOLL_CLOEXEC);
    server->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    server->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (server->poll < 0 || !watch_descriptor(server, &server->wake) || !watch_descriptor(server, &server->signals)) {
        status = sx_fail_errno(error, errno, "epoll");
        goto out;
    }
    if (!(server->scratch = malloc(SCRATCH))) {
        status = sx_fail_nomem(error, SCRATCH);
        goto out;
    }
    status = sx_handler_pool_open(options->max_handlers, sx_connection_handle, server, &server->pool, error);
    if (!status && options->host)
        status = listen_tcp(server, error);
    if (!status && options->unix_path)
        status = listen_unix(server, error);
out:
    if (status) {
        sx_http_server_close(server);
        *out = NULL;
    }
    return status;
}

unsigned sx_http_server_port(const sx_http_server *server)
{
    return server->port;
}

void sx_http_server_describe(const sx_http_server *server, sx_http_figures *figures)
{
    *figures = (sx_http_figures){.connections = atomic_load(&server->count),
                                 .handlers = sx_handler_pool_busy(server->pool),
                                 .body_bytes = atomic_load(&server->body_bytes),
                                 .refused_connections = atomic_load(&server->refused)};
}

/* ---- Accepting ---- */

static void describe_peer(const struct sockaddr_storage *address, char *text, size_t capacity)
{
    const void *bytes = address->ss_family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
                                                       : (const void *)&((const struct sockaddr_in *)address)->sin_addr;
    if ((address->ss_family != AF_INET && address->ss_family != AF_INET6) ||
        !inet_ntop(address->ss_family, bytes, text, (socklen_t)capacity))
        snprintf(text, capacity, "unix");
}

/* Room for one more: the connection that has been idle longest goes. */
static bool make_room(sx_http_server *server)
{
    sx_connection *oldest = NULL;
    if (atomic_load(&server->count) < server->options.max_connections)
        return true;
    for (sx_connection *at = server->connections; at; at = at->next)
        if (at->state == SX_CONNECTION_IDLE && (!oldest || at->since_ns < oldest->since_ns))
            oldest = at;
    if (oldest)
        sx_connection_close(oldest);
    return oldest != NULL;
}

static void accept_from(sx_http_server *server, int listener)
{
    for (int i = 0; i < ACCEPTS; i++) {
        struct sockaddr_storage address;
        socklen_t length = sizeof address;
        int on = 1, descriptor = accept4(listener, (struct sockaddr *)&address, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (descriptor < 0) {
            /* Out of descriptors: what waits would be reported for ever. The next sweep tries again. */
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                server->accept_paused = true;
            break;
        }
        if (!make_room(server)) {
            atomic_fetch_add(&server->refused, 1);
            close(descriptor);
            continue;
        }
        char peer[64];
        describe_peer(&address, peer, sizeof peer);
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        sx_connection_open(server, descriptor, peer);
    }
    if (server->accept_paused)
        for (unsigned i = 0; i < server->listener_count; i++)
            epoll_ctl(server->poll, EPOLL_CTL_DEL, server->listeners[i], NULL);
}

static void resume_accepting(sx_http_server *server)
{
    server->accept_paused = false;
    for (unsigned i = 0; i < server->listener_count; i++)
        watch_descriptor(server, &server->listeners[i]);
}

/* ---- The loop ---- */

static void begin_stop(sx_http_server *server)
{
    if (server->stopping) { /* asked twice: now */
        server->stop_ns = sx_http_now();
        server->options.grace_seconds = 0;
        return;
    }
    for (unsigned i = 0; i < server->listener_count; i++) {
        for (int round = 0; round < BACKLOG / ACCEPTS; round++)
            accept_from(server, server->listeners[i]); /* who has connected already is served */
        close(server->listeners[i]);
    }
    server->listener_count = 0;
    server->stopping = true;
    server->stop_ns = sx_http_now();
    server->calls.stopping(server->calls.user, false);
}

/* Those that wait for a next request; a connection just accepted may have one on its way, and gets a moment. */
static void close_idle(sx_http_server *server, int64_t now)
{
    for (sx_connection *at = server->connections, *next; at; at = next) {
        next = at->next;
        if (at->state == SX_CONNECTION_IDLE && now - at->since_ns > sweep_ns / 2)
            sx_connection_close(at);
    }
}

static void read_signals(sx_http_server *server)
{
    struct signalfd_siginfo info;
    while (read(server->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP)
            server->calls.hang_up(server->calls.user);
        else
            begin_stop(server);
    }
}

static void take_finished(sx_http_server *server)
{
    sx_connection *next;
    for (sx_connection *at = atomic_exchange(&server->finished, NULL); at; at = next) {
        next = at->next_finished;
        sx_connection_handled(at);
    }
}

static void sweep(sx_http_server *server, int64_t now)
{
    server->sweep_ns = now;
    for (sx_connection *at = server->connections, *next; at; at = next) {
        next = at->next;
        sx_connection_check_deadline(at, now);
    }
    if (server->accept_paused)
        resume_accepting(server);
    if (server->stopping)
        close_idle(server, now);
    server->calls.tick(server->calls.user);
}

static void free_closed(sx_http_server *server)
{
    for (sx_connection *at = server->closed, *next; at; at = next) {
        next = at->next;
        free(at);
    }
    server->closed = NULL;
}

/* True: there is nothing left to wait for, or no time. */
static bool is_over(sx_http_server *server, int64_t now)
{
    double since = (double)(now - server->stop_ns) / 1e9;
    if (!server->stopping)
        return false;
    if (!server->connections)
        return true;
    if (since < server->options.grace_seconds)
        return false;
    if (!server->hard) {
        server->hard = true;
        server->calls.stopping(server->calls.user, true);
        for (sx_connection *at = server->connections, *next; at; at = next) {
            next = at->next;
            if (at->state != SX_CONNECTION_HANDLING)
                sx_connection_close(at);
        }
    }
    return !server->connections || since >= server->options.grace_seconds + hard_seconds;
}

static void dispatch(sx_http_server *server, const struct epoll_event *event)
{
    void *what = event->data.ptr;
    if (what == &server->wake) {
        uint64_t count;
        while (read(server->wake, &count, sizeof count) > 0)
            continue;
    } else if (what == &server->signals) {
        read_signals(server);
    } else if (what >= (void *)server->listeners && what < (void *)(server->listeners + MAX_LISTENERS)) {
        size_t index = (size_t)((int *)what - server->listeners);
        if (index < server->listener_count)
            accept_from(server, server->listeners[index]);
    } else {
        sx_connection *connection = what;
        if (!connection->closed)
            sx_connection_event(connection, event->events);
    }
}

sx_status sx_http_server_run(sx_http_server *server, sx_error *error)
{
    struct epoll_event events[EVENTS];
    server->sweep_ns = sx_http_now();
    for (;;) {
        int count = epoll_wait(server->poll, events, EVENTS, SWEEP_MS);
        if (count < 0 && errno != EINTR)
            return sx_fail_errno(error, errno, "epoll_wait");
        for (int i = 0; i < count; i++)
            dispatch(server, &events[i]);
        take_finished(server);
        if (atomic_load(&server->stop_asked) && !server->stopping)
            begin_stop(server);
        int64_t now = sx_http_now();
        if (now - server->sweep_ns >= sweep_ns)
            sweep(server, now);
        bool over = is_over(server, now);
        free_closed(server);
        if (over)
            break;
    }
    if (!server->connections)
        return SX_OK;
    return sx_fail(error, SX_E_STOPPED, "%u requests were still in hand %.0f s after the grace", atomic_load(&server->count),
                   hard_seconds);
}

void sx_http_server_stop(sx_http_server *server)
{
    uint64_t one = 1;
    atomic_store(&server->stop_asked, true);
    if (write(server->wake, &one, sizeof one) < 0)
        return; /* the loop wakes by itself soon */
}

void sx_http_server_close(sx_http_server *server)
{
    if (!server)
        return;
    while (server->connections)
        sx_connection_close(server->connections);
    free_closed(server);
    sx_handler_pool_close(server->pool);
    for (unsigned i = 0; i < server->listener_count; i++)
        close(server->listeners[i]);
    if (server->unix_path)
        unlink(server->unix_path);
    free(server->unix_path);
    if (server->poll >= 0)
        close(server->poll);
    if (server->wake >= 0)
        close(server->wake);
    if (server->signals >= 0)
        close(server->signals);
    free(server->scratch);
    free(server);
}
