/* error.c - filling a caller's sx_error; status names. */
#include "error.h"

#include "code_point.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sx_make_one_line(char *text)
{
    size_t length = strlen(text);
    for (size_t at = 0; at < length;) {
        sx_code_point point = sx_utf8_decode(text + at, length - at);
        if (!point.valid)
            memset(text + at, '?', point.length);
        else if (point.code < 0x20 || point.code == 0x7f)
            text[at] = ' ';
        at += point.length;
    }
}

/* snprintf may cut inside a UTF-8 sequence; messages stay valid UTF-8. */
static void drop_cut_sequence(char *text, size_t capacity)
{
    size_t length = strlen(text);
    if (length + 1 < capacity)
        return;
    size_t start = length;
    while (start > 0 && length - start < 4 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (length - start + 1 < need)
        text[start - 1] = '\0';
}

static void set_message(sx_error *error, sx_status code, const char *format, va_list arguments)
{
    error->code = code;
    error->hint[0] = '\0';
    vsnprintf(error->message, sizeof error->message, format, arguments);
    drop_cut_sequence(error->message, sizeof error->message);
    sx_make_one_line(error->message);
}

sx_status sx_fail(sx_error *error, sx_status code, const char *format, ...)
{
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        set_message(error, code, format, arguments);
        va_end(arguments);
    }
    return code;
}

sx_status sx_status_of_errno(int errno_value)
{
    switch (errno_value) {
    case ENOMEM: return SX_E_NOMEM;
    case ENOENT:
    case ENOTDIR: return SX_E_NOT_FOUND;
    case ENOSPC:
    case EDQUOT: return SX_E_FULL;
    case EROFS: return SX_E_READ_ONLY;
    case EEXIST: return SX_E_EXISTS;
    default: return SX_E_IO;
    }
}

sx_status sx_fail_errno(sx_error *error, int errno_value, const char *format, ...)
{
    sx_status code = sx_status_of_errno(errno_value);
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        set_message(error, code, format, arguments);
        va_end(arguments);
        size_t used = strlen(error->message);
        snprintf(error->message + used, sizeof error->message - used, ": %s", strerror(errno_value));
        drop_cut_sequence(error->message, sizeof error->message);
        sx_make_one_line(error->message + used);
    }
    return code;
}

sx_status sx_fail_nomem(sx_error *error, size_t bytes)
{
    return sx_fail(error, SX_E_NOMEM, "memory: %zu bytes could not be had", bytes);
}

void sx_hint(sx_error *error, const char *format, ...)
{
    if (!error)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->hint, sizeof error->hint, format, arguments);
    va_end(arguments);
    drop_cut_sequence(error->hint, sizeof error->hint);
    sx_make_one_line(error->hint);
}

const char *sx_status_name(sx_status status)
{
    switch (status) {
    case SX_OK: return "ok";
    case SX_E_INVALID: return "invalid";
    case SX_E_NOMEM: return "out_of_memory";
    case SX_E_IO: return "io";
    case SX_E_NOT_FOUND: return "not_found";
    case SX_E_FORMAT: return "format";
    case SX_E_UNSUPPORTED: return "unsupported";
    case SX_E_MISMATCH: return "mismatch";
    case SX_E_LIMIT: return "limit";
    case SX_E_BUSY: return "busy";
    case SX_E_STOPPED: return "stopped";
    case SX_E_FULL: return "disk_full";
    case SX_E_READ_ONLY: return "read_only";
    case SX_E_PROVIDER: return "provider";
    case SX_E_EXISTS: return "exists";
    case SX_E_INTERNAL: return "internal";
    case SX_E_NETWORK: return "network";
    case SX_E_DENIED: return "denied";
    }
    return "unknown";
}

#define STRINGIFY_VALUE(value) #value
#define STRINGIFY(value) STRINGIFY_VALUE(value)

const char *sx_version(void)
{
    return STRINGIFY(SX_VERSION_MAJOR) "." STRINGIFY(SX_VERSION_MINOR) "." STRINGIFY(SX_VERSION_PATCH);
}
