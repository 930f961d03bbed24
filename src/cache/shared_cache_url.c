/* shared_cache_url.c - the address of a shared cache (RFC 3986), and keeping what is secret in it out of messages.
 *
 * A message about a URL that cannot be read shows nothing of it: where the password ends is then not known.
 */
#include "shared_cache_internal.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <libpq-fe.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REDIS_PORT = 6379, MOST_DATABASES = 1 << 20 };
static const char form[] = "redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER] or postgresql://[USER[:PASSWORD]@]HOST[:PORT]/NAME";

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit = (char)tolower((unsigned char)digit);
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Percent-decodes in place; false for a bad escape or a NUL byte. */
static bool decode(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (*from == '%') {
            int high = hex_value(from[1]), low = high < 0 ? -1 : hex_value(from[2]);
            if (low < 0 || (!high && !low))
                return false;
            *to++ = (char)(high * 16 + low);
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return true;
}

/* Digits up to the end, not above `most`. */
static bool read_number(const char *text, unsigned long most, unsigned long *number)
{
    size_t length = strspn(text, "0123456789");
    *number = 0;
    if (!length || length > 9 || text[length])
        return false;
    *number = strtoul(text, NULL, 10);
    return *number <= most;
}

static sx_status refuse(sx_error *error, const char *reason)
{
    sx_fail(error, SX_E_INVALID, "shared cache: %s", reason);
    sx_hint(error, "it is written %s; other characters in a password as %%XX", form);
    return SX_E_INVALID;
}

/* text: a copy of what stands behind "redis://", cut into pieces. */
static sx_status read_redis(char *text, sx_shared_url *url, sx_error *error)
{
    unsigned long port = REDIS_PORT, database = 0;
    char *path = strchr(text, '/'), *at, *colon;
    if (strpbrk(text, "?#"))
        return refuse(error, "a redis URL has no ? or # here");
    if (path)
        *path++ = '\0';
    if ((at = strrchr(text, '@'))) {
        *at++ = '\0';
        if ((colon = strchr(text, ':'))) {
            *colon++ = '\0';
            if (!decode(colon) || !(url->password = sx_strdup(colon)))
                return refuse(error, "the password cannot be read");
        }
        if (!decode(text) || (*text && !(url->user = sx_strdup(text))))
            return refuse(error, "the user cannot be read");
        if (url->user && !url->password)
            return refuse(error, "a user without a password");
        text = at;
    }
    if (*text == '[') { /* an IPv6 address */
        char *end = strchr(++text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return refuse(error, "the host cannot be read");
        colon = end[1] ? end + 1 : NULL;
        *end = '\0';
    } else {
        colon = strchr(text, ':');
    }
    if (colon) {
        *colon++ = '\0';
        if (!read_number(colon, UINT16_MAX, &port) || !port)
            return refuse(error, "the port is no number from 1 to 65535");
    }
    if (path && *path && !read_number(path, MOST_DATABASES, &database))
        return refuse(error, "what stands behind the / of a redis URL is the number of its database");
    if (!*text || strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:-_") != strlen(text))
        return refuse(error, "the host is missing or cannot be read");
    url->host = sx_strdup(text);
    url->port = (uint16_t)port;
    url->database = (uint32_t)database;
    url->is_redis = true;
    const char *shown = strchr(text, ':') ? "redis://[%s]:%lu/%lu" : "redis://%s:%lu/%lu";
    if (!url->host || asprintf(&url->shown, shown, text, port, database) < 0) {
        url->shown = NULL;
        return sx_fail_nomem(error, strlen(text));
    }
    return SX_OK;
}

static sx_status read_postgres(const char *text, sx_shared_url *url, sx_error *error)
{
    char *problem = NULL;
    PQconninfoOption *options = PQconninfoParse(text, &problem);
    PQfreemem(problem); /* it may quote the password */
    if (!options)
        return refuse(error, "the postgresql URL cannot be read");
    PQconninfoFree(options);
    const char *from = strrchr(text, '@'), *start = strstr(text, "://") + 3;
    from = from ? from + 1 : start;
    if (asprintf(&url->shown, "postgresql://%.*s", (int)strcspn(from, "?#"), from) < 0) {
        url->shown = NULL;
        return sx_fail_nomem(error, strlen(text));
    }
    return SX_OK;
}

sx_status sx_shared_url_read(const char *text, sx_shared_url *url, sx_error *error)
{
    static const struct {
        const char *scheme;
        bool known, redis;
    } schemes[] = {
        {"redis://", true, true},
        {"postgresql://", true, false},
        {"postgres://", true, false},
        {"rediss://", false, true},
    };
    sx_status status = SX_E_INVALID;
    *url = (sx_shared_url){0};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t length = strlen(schemes[i].scheme);
        if (strncasecmp(text, schemes[i].scheme, length) != 0)
            continue;
        if (!schemes[i].known) {
            sx_fail(error, SX_E_UNSUPPORTED, "shared cache: rediss (Redis over TLS) is not supported");
            sx_hint(error, "a tunnel (stunnel, ssh) or PostgreSQL with sslmode=verify-full keeps the connection secret");
            return SX_E_UNSUPPORTED;
        }
        char *copy = sx_strdup(text + length);
        url->text = sx_strdup(text);
        if (!copy || !url->text)
            status = sx_fail_nomem(error, strlen(text));
        else
            status = schemes[i].redis ? read_redis(copy, url, error) : read_postgres(text, url, error);
        free(copy);
        if (status)
            sx_shared_url_clear(url);
        return status;
    }
    return refuse(error, "the URL begins neither with redis:// nor with postgresql://");
}

void sx_shared_url_clear(sx_shared_url *url)
{
    free(url->text);
    free(url->shown);
    free(url->host);
    free(url->user);
    free(url->password);
    *url = (sx_shared_url){0};
}

void sx_shared_mask(char *message, const char *secret)
{
    size_t length = secret ? strlen(secret) : 0;
    if (!length)
        return;
    for (char *at = message; (at = strstr(at, secret));) {
        size_t kept = length < 3 ? length : 3;
        memset(at, '*', kept);
        memmove(at + kept, at + length, strlen(at + length) + 1);
        at += kept;
    }
}
