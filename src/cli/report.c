/* report.c - what the program says: results on standard output, everything else on standard error. */
#include "cli.h"

#include "../base/error.h"
#include "../base/json_writer.h"

#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_error_json(const char *code, const char *message, const char *hint)
{
    sx_buffer buffer = {0};
    sx_buffer_append_string(&buffer, "{\"error\":{");
    sx_cli_member_text(&buffer, "code", code);
    sx_cli_member_text(&buffer, "message", message);
    sx_cli_member_text(&buffer, "hint", hint && *hint ? hint : NULL);
    sx_buffer_append_string(&buffer, "}}\n");
    if (!buffer.failed)
        fwrite(buffer.data, 1, buffer.length, stdout);
    sx_buffer_clear(&buffer);
}

bool sx_cli_output_is_closed(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return ferror(stdout) && poll(&output, 1, 0) == 1 && (output.revents & POLLERR);
}

static int exit_code_of(sx_status status)
{
    switch (status) {
    case SX_OK: return SX_EXIT_DONE;
    case SX_E_INVALID: return SX_EXIT_USAGE;
    case SX_E_STOPPED: return SX_EXIT_INTERRUPTED;
    default: return SX_EXIT_FAILED;
    }
}

int sx_cli_fail(sx_cli *cli, const sx_error *error)
{
    sx_cli_end_progress(cli);
    if (sx_cli_output_is_closed())
        return SX_EXIT_FAILED;
    fprintf(stderr, "sextant: %s\n", error->message);
    if (error->hint[0])
        fprintf(stderr, "hint: %s\n", error->hint);
    if (cli->json)
        print_error_json(sx_status_name(error->code), error->message, error->hint);
    return exit_code_of(error->code);
}

int sx_cli_usage(sx_cli *cli, const char *hint, const char *format, ...)
{
    sx_error error;
    char message[sizeof error.message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    sx_fail(&error, SX_E_INVALID, "%s", message);
    if (hint)
        sx_hint(&error, "%s", hint);
    return sx_cli_fail(cli, &error);
}

static void print_line(sx_cli *cli, const char *prefix, const char *format, va_list arguments)
{
    sx_error line; /* for its one-line rule: control characters out, UTF-8 kept whole */
    char message[sizeof line.message];
    vsnprintf(message, sizeof message, format, arguments);
    sx_fail(&line, SX_OK, "%s", message);
    sx_cli_end_progress(cli);
    fprintf(stderr, "%s%s\n", prefix, line.message);
}

void sx_cli_note(sx_cli *cli, const char *format, ...)
{
    if (cli->quiet)
        return;
    va_list arguments;
    va_start(arguments, format);
    print_line(cli, "", format, arguments);
    va_end(arguments);
}

void sx_cli_warn(sx_cli *cli, const char *format, ...)
{
    if (cli->quiet)
        return;
    va_list arguments;
    va_start(arguments, format);
    print_line(cli, "sextant: warning: ", format, arguments);
    va_end(arguments);
}

void sx_cli_complain(sx_cli *cli, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_line(cli, "sextant: ", format, arguments);
    va_end(arguments);
}

void sx_cli_log(sx_log_level level, const char *message, void *user)
{
    sx_cli *cli = user;
    if (level == SX_LOG_ERROR)
        sx_cli_complain(cli, "%s", message);
    else if (level == SX_LOG_WARNING)
        sx_cli_warn(cli, "%s", message);
    else if (cli->verbose)
        sx_cli_note(cli, "%s", message);
}

static void human_seconds(double seconds, char text[32])
{
    if (seconds < 60)
        snprintf(text, 32, "%.0fs", seconds);
    else if (seconds < 3600)
        snprintf(text, 32, "%.0fm%02.0fs", (double)(long)(seconds / 60), seconds - 60 * (double)(long)(seconds / 60));
    else if (seconds < 360000)
        snprintf(text, 32, "%.0fh%02.0fm", (double)(long)(seconds / 3600),
                 (double)(long)((seconds - 3600 * (double)(long)(seconds / 3600)) / 60));
    else
        snprintf(text, 32, "days");
}

/* embedding [########........] 512/1,024 chunks  310/s  2s left */
void sx_cli_report_progress(const sx_progress *progress, void *user)
{
    sx_cli *cli = user;
    if (!cli->progress)
        return;
    enum { BAR = 24 };
    char bar[BAR + 1], done[32], total[32], left[48] = "", time[32], line[256];
    size_t filled = progress->total ? (size_t)((double)progress->done / (double)progress->total * BAR) : 0;
    for (size_t i = 0; i < BAR; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR] = '\0';
    sx_cli_human_count(progress->done, done);
    sx_cli_human_count(progress->total, total);
    if (progress->seconds_left >= 0) {
        human_seconds(progress->seconds_left, time);
        snprintf(left, sizeof left, "  %s left", time);
    }
    if (progress->total)
        snprintf(line, sizeof line, "%s [%s] %s/%s %s  %.0f/s%s", progress->phase, bar, done, total, progress->unit,
                 progress->rate, left);
    else
        snprintf(line, sizeof line, "%s %s %s  %.0f/s", progress->phase, done, progress->unit, progress->rate);
    fprintf(stderr, "\r\033[K%.*s", (int)cli->width - 1, line);
    fflush(stderr);
    cli->line_open = true;
}

void sx_cli_end_progress(sx_cli *cli)
{
    if (cli->line_open)
        fputs("\r\033[K", stderr);
    cli->line_open = false;
}

void sx_cli_say(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    /* A file's name or text must not move the terminal's cursor; our own line ends stay. C1 controls are U+0080..U+009F. */
    for (char *at = text; *at; at++) {
        unsigned char c = (unsigned char)*at;
        if ((c < 0x20 && c != '\n') || c == 0x7f)
            *at = ' ';
        else if (c == 0xc2 && (unsigned char)at[1] >= 0x80 && (unsigned char)at[1] < 0xa0)
            at[0] = at[1] = ' ';
    }
    fwrite(text, 1, (size_t)length, stdout);
    free(text);
}

void sx_cli_human_bytes(uint64_t bytes, char text[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit < 4) {
        value /= 1024;
        unit++;
    }
    snprintf(text, 32, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

void sx_cli_human_count(uint64_t count, char text[32])
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count), to = 0;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            text[to++] = ',';
        text[to++] = digits[i];
    }
    text[to] = '\0';
}

int sx_cli_print_json(sx_cli *cli, sx_buffer *buffer)
{
    sx_buffer_append_byte(buffer, '\n');
    bool failed = buffer->failed;
    if (!failed)
        fwrite(buffer->data, 1, buffer->length, stdout);
    sx_buffer_clear(buffer);
    if (!failed)
        return SX_EXIT_DONE;
    sx_error error;
    sx_fail(&error, SX_E_NOMEM, "result: no memory to write it down");
    return sx_cli_fail(cli, &error);
}

void sx_cli_key(sx_buffer *buffer, const char *key)
{
    char last = buffer->length ? buffer->data[buffer->length - 1] : '{';
    if (last != '{' && last != '[')
        sx_buffer_append_byte(buffer, ',');
    sx_json_write_string(buffer, key, strlen(key));
    sx_buffer_append_byte(buffer, ':');
}

void sx_cli_member_text(sx_buffer *buffer, const char *key, const char *value)
{
    sx_cli_key(buffer, key);
    sx_json_write_string(buffer, value, value ? strlen(value) : 0);
}

void sx_cli_member_integer(sx_buffer *buffer, const char *key, uint64_t value)
{
    sx_cli_key(buffer, key);
    sx_buffer_printf(buffer, "%llu", (unsigned long long)value);
}

void sx_cli_member_counts(sx_buffer *buffer, const char *key, const sx_cli_count_of *counts)
{
    sx_cli_key(buffer, key);
    sx_buffer_append_byte(buffer, '{');
    for (; counts->name; counts++)
        sx_cli_member_integer(buffer, counts->name, counts->count);
    sx_buffer_append_byte(buffer, '}');
}

void sx_cli_member_problems(sx_buffer *buffer, const char *key, const sx_problem *problems, size_t count)
{
    sx_cli_key(buffer, key);
    sx_buffer_append_byte(buffer, '[');
    for (size_t i = 0; i < count; i++) {
        sx_buffer_append_string(buffer, i ? ",{" : "{");
        sx_cli_member_text(buffer, "document", problems[i].document);
        if (problems[i].chunk >= 0)
            sx_cli_member_integer(buffer, "chunk", (uint64_t)problems[i].chunk);
        sx_cli_member_text(buffer, "reason", problems[i].reason);
        sx_buffer_append_byte(buffer, '}');
    }
    sx_buffer_append_byte(buffer, ']');
}

void sx_cli_member_number(sx_buffer *buffer, const char *key, double value)
{
    sx_cli_key(buffer, key);
    sx_json_write_double(buffer, value);
}

void sx_cli_member_boolean(sx_buffer *buffer, const char *key, bool value)
{
    sx_cli_key(buffer, key);
    sx_buffer_append_string(buffer, value ? "true" : "false");
}

static double hit_rate(const sx_cache_use *use)
{
    uint64_t found = use->hits + use->shared_hits;
    return found + use->misses ? (double)found / (double)(found + use->misses) : 0;
}

void sx_cli_member_cache_use(sx_buffer *buffer, const sx_cache_use *use)
{
    sx_cli_key(buffer, "cache");
    sx_buffer_append_byte(buffer, '{');
    sx_cli_member_integer(buffer, "hits", use->hits);
    sx_cli_member_integer(buffer, "shared_hits", use->shared_hits);
    sx_cli_member_integer(buffer, "misses", use->misses);
    sx_cli_member_integer(buffer, "shared_unreachable", use->shared_unreachable);
    sx_cli_member_number(buffer, "hit_rate", hit_rate(use));
    sx_buffer_append_byte(buffer, '}');
}

void sx_cli_note_cache_use(sx_cli *cli, const sx_cache_use *use)
{
    sx_cli_note(cli, "found: %llu in the cache, %llu in the shared cache; %llu in neither (hit rate %.1f %%)",
                (unsigned long long)use->hits, (unsigned long long)use->shared_hits, (unsigned long long)use->misses,
                hit_rate(use) * 100);
}
