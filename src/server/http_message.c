/* http_message.c - small things about requests and responses. */
#include "http_message.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

sx_text sx_request_header(const sx_request *request, const char *name)
{
    return sx_http_header_value(request->headers, request->header_count, name);
}

void sx_response_header(sx_response *response, const char *name, const char *format, ...)
{
    char value[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(value, sizeof value, format, arguments);
    va_end(arguments);
    size_t kept = 0;
    for (size_t i = 0; value[i]; i++)
        if ((unsigned char)value[i] >= ' ' && value[i] != 127)
            value[kept++] = value[i];
    sx_buffer_printf(&response->headers, "%s: %.*s\r\n", name, (int)kept, value);
}

const char *sx_http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {424, "Failed Dependency"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}

bool sx_request_parameter(sx_request *request, const char *name, sx_text *value)
{
    sx_text query = request->query;
    size_t wanted = strlen(name);
    for (size_t at = 0; at < query.length;) {
        const char *end = memchr(query.data + at, '&', query.length - at);
        size_t stop = end ? (size_t)(end - query.data) : query.length;
        if (stop - at > wanted && memcmp(query.data + at, name, wanted) == 0 && query.data[at + wanted] == '=') {
            size_t length = stop - at - wanted - 1;
            char *copy = sx_arena_strndup(&request->arena, query.data + at + wanted + 1, length);
            for (size_t i = 0; copy && i < length; i++)
                if (copy[i] == '+')
                    copy[i] = ' ';
            if (!copy || !sx_percent_decode(copy, &length))
                return false;
            *value = (sx_text){copy, length};
            return true;
        }
        at = stop + 1;
    }
    return false;
}
