/* access_log.c - the access log: one write(2) a line, so that lines of several threads and processes do not mix. */
#include "access_log.h"

#include "router.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/json_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct sx_access_log {
    int descriptor;
    _Atomic uint64_t dropped;
};

sx_status sx_access_log_open(int descriptor, sx_access_log **out, sx_error *error)
{
    sx_access_log *log = *out = sx_calloc(1, sizeof *log);
    if (!log)
        return sx_fail_nomem(error, sizeof *log);
    log->descriptor = descriptor;
    return SX_OK;
}

void sx_access_log_close(sx_access_log *log)
{
    free(log);
}

uint64_t sx_access_log_dropped(const sx_access_log *log)
{
    return log ? atomic_load(&log->dropped) : 0;
}

static void text(sx_buffer *line, const char *key, const char *value, size_t length)
{
    enum { LONGEST = 200 };
    sx_buffer_printf(line, ",\"%s\":", key);
    sx_json_write_string(line, value, length < LONGEST ? length : LONGEST);
}

static void count(sx_buffer *line, const char *key, uint64_t value)
{
    if (value)
        sx_buffer_printf(line, ",\"%s\":%llu", key, (unsigned long long)value);
}

static void milliseconds(sx_buffer *line, const char *key, int64_t ns)
{
    if (ns)
        sx_buffer_printf(line, ",\"%s\":%.3f", key, (double)ns / 1e6);
}

void sx_access_log_write(sx_access_log *log, const sx_request *request, const sx_response *response, uint64_t sent,
                         int64_t duration_ns)
{
    if (!log)
        return;
    int64_t wall = sx_system_clock.wall_ns(sx_system_clock.user);
    time_t seconds = (time_t)(wall / 1000000000);
    struct tm parts;
    char when[32];
    sx_buffer line = {.maximum = 16 * 1024};
    gmtime_r(&seconds, &parts);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &parts);
    sx_buffer_printf(&line, "{\"time\":\"%s.%03dZ\"", when, (int)(wall / 1000000 % 1000));
    text(&line, "id", request->id, strlen(request->id));
    text(&line, "peer", request->peer, strlen(request->peer));
    text(&line, "method", request->method.data, request->method.length);
    text(&line, "path", request->path.data, request->path.length);
    sx_buffer_printf(&line, ",\"status\":%d", response->status);
    milliseconds(&line, "ms", duration_ns);
    count(&line, "bytes_in", request->body_length);
    count(&line, "bytes_out", sent);
    if (request->key_name)
        text(&line, "key", request->key_name, strlen(request->key_name));
    if (request->model)
        text(&line, "model", request->model, strlen(request->model));
    count(&line, "inputs", request->inputs);
    count(&line, "tokens", request->tokens);
    count(&line, "truncated", request->truncated);
    count(&line, "cached", request->cached);
    milliseconds(&line, "queue_ms", request->queue_ns);
    milliseconds(&line, "inference_ms", request->inference_ns);
    if (atomic_load(&request->gone))
        sx_buffer_append_string(&line, ",\"gone\":true");
    if (response->error)
        text(&line, "error", response->error, strlen(response->error));
    sx_buffer_append_string(&line, "}\n");
    if (line.failed || write(log->descriptor, line.data, line.length) != (ssize_t)line.length)
        atomic_fetch_add(&log->dropped, 1);
    sx_buffer_clear(&line);
}
