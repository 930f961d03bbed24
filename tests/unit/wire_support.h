/* wire_support.h - recorded exchanges with remote services, for the tests of the wire forms. */
#ifndef SX_TESTS_WIRE_SUPPORT_H
#define SX_TESTS_WIRE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/wire.h"

static inline void assert_ok(sx_status status)
{
    if (status)
        fail_msg("%s", sx_status_name(status));
}

static inline sx_text text_of(const char *text)
{
    return (sx_text){text, strlen(text)};
}

static inline bool near_number(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

/* {client, method, path, headers, body, response}; the caller's. */
static inline json_t *load_fixture(const char *name)
{
    char path[512];
    json_error_t problem;
    snprintf(path, sizeof path, "%s/wire/%s.json", SX_FIXTURES, name);
    json_t *fixture = json_load_file(path, 0, &problem);
    if (!fixture)
        fail_msg("%s: %s", path, problem.text);
    return fixture;
}

/* The request has the recorded headers: the key's with the key, the content type. */
static inline void check_headers(const sx_wire_request *request, json_t *headers, const char *key)
{
    for (size_t i = 0; i < json_array_size(headers); i++) {
        const char *name = json_string_value(json_array_get(json_array_get(headers, i), 0));
        const char *value = json_string_value(json_array_get(json_array_get(headers, i), 1));
        const char *redacted = strstr(value, "<redacted>");
        char line[256];
        snprintf(line, sizeof line, "%s: %.*s%s", name, redacted ? (int)(redacted - value) : (int)strlen(value), value,
                 redacted ? key : "");
        const char *sent = redacted ? request->secret_header.data : request->header.data;
        if (!sent || strcasecmp(sent, line) != 0)
            fail_msg("%s instead of %s", sent ? sent : "nothing", line);
    }
}

#endif
