/* http_parser.c - HTTP/1.1 requests as bytes: request line and headers (RFC 9112, sections 3 and 5), chunks (section 7.1).
 *
 * The grammar is taken by the letter, without the leniencies that section 2.2 and others allow: whoever stands between a client
 * and this server must never see another request than the server does.
 */
#include "http_parser.h"

#include <string.h>

const char sx_http_too_long[] = "the body is too long";

enum { MAX_EXTENSION = 256, MAX_TRAILER = 4096 };

static bool is_token_byte(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

bool sx_text_equals_fold(sx_text text, const char *wanted)
{
    if (text.length != strlen(wanted))
        return false;
    for (size_t i = 0; i < text.length; i++)
        if (lower((unsigned char)text.data[i]) != lower((unsigned char)wanted[i]))
            return false;
    return true;
}

sx_text sx_http_header_value(const sx_http_header *headers, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (sx_text_equals_fold(headers[i].name, name))
            return headers[i].value;
    return (sx_text){NULL, 0};
}

size_t sx_http_head_end(const char *data, size_t length, size_t *scanned)
{
    /* a line end seen earlier may be half of the empty line */
    size_t at = *scanned > 3 ? *scanned - 3 : 0;
    while (at < length) {
        const char *found = memchr(data + at, '\n', length - at);
        if (!found)
            break;
        size_t next = (size_t)(found - data) + 1;
        if (next < length && data[next] == '\n')
            return next + 1;
        if (next + 1 < length && data[next] == '\r' && data[next + 1] == '\n')
            return next + 2;
        at = next;
    }
    *scanned = length;
    return 0;
}

/* ---- Request line ---- */

static int refuse(int status, const char **problem, const char *what)
{
    *problem = what;
    return status;
}

/* The line from *at on, without its CRLF. */
static bool next_line(const char *data, size_t length, size_t *at, sx_text *line)
{
    const char *end = memchr(data + *at, '\n', length - *at);
    size_t stop = end ? (size_t)(end - data) : 0;
    if (!end || stop == *at || data[stop - 1] != '\r')
        return false;
    *line = (sx_text){data + *at, stop - 1 - *at};
    *at = stop + 1;
    return true;
}

static int read_target(sx_http_head *head, const char **problem)
{
    sx_text target = head->target;
    for (size_t i = 0; i < target.length; i++)
        if ((unsigned char)target.data[i] <= ' ' || (unsigned char)target.data[i] >= 127)
            return refuse(400, problem, "the target of the request has a byte that must be percent-encoded");
    /* absolute form, as proxies send it: the path begins behind the authority */
    if (target.length > 7 && target.data[0] != '/') {
        size_t scheme = strncmp(target.data, "http://", 7) == 0                         ? 7
                        : target.length > 8 && strncmp(target.data, "https://", 8) == 0 ? 8
                                                                                        : 0;
        const char *path = scheme ? memchr(target.data + scheme, '/', target.length - scheme) : NULL;
        if (scheme) {
            size_t skip = path ? (size_t)(path - target.data) : target.length;
            target = (sx_text){target.data + skip, target.length - skip};
            if (!target.length)
                target = (sx_text){head->target.data + scheme - 1, 1}; /* no path: "/" */
        }
    }
    if (!target.length || (target.data[0] != '/' && !(target.length == 1 && target.data[0] == '*')))
        return refuse(400, problem, "the target of the request is no path");
    const char *mark = memchr(target.data, '?', target.length);
    size_t path = mark ? (size_t)(mark - target.data) : target.length;
    head->path = (sx_text){target.data, path};
    head->query = mark ? (sx_text){mark + 1, target.length - path - 1} : (sx_text){"", 0};
    return 0;
}

static int read_request_line(sx_http_head *head, sx_text line, const char **problem)
{
    size_t method = 0, target;
    while (method < line.length && is_token_byte((unsigned char)line.data[method]))
        method++;
    if (!method || method == line.length || line.data[method] != ' ')
        return refuse(400, problem, "the request line does not begin with a method and a space");
    head->method = (sx_text){line.data, method};
    const char *space = memchr(line.data + method + 1, ' ', line.length - method - 1);
    if (!space)
        return refuse(400, problem, "the request line has no version");
    target = (size_t)(space - line.data) - method - 1;
    head->target = (sx_text){line.data + method + 1, target};
    sx_text version = {space + 1, line.length - method - target - 2};
    if (version.length != 8 || memcmp(version.data, "HTTP/", 5) != 0 || version.data[5] < '0' || version.data[5] > '9' ||
        version.data[6] != '.' || version.data[7] < '0' || version.data[7] > '9')
        return refuse(400, problem, "the request line does not end in a version of HTTP");
    if (version.data[5] != '1')
        return refuse(505, problem, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    head->http10 = version.data[7] == '0';
    head->keep_alive = !head->http10;
    return read_target(head, problem);
}

/* ---- Headers ---- */

static int read_header(sx_http_head *head, sx_text line, const char **problem)
{
    size_t name = 0, begin, end = line.length;
    while (name < line.length && is_token_byte((unsigned char)line.data[name]))
        name++;
    if (!name || name == line.length || line.data[name] != ':')
        return refuse(400, problem, "a header line is not NAME: VALUE");
    for (begin = name + 1; begin < end && (line.data[begin] == ' ' || line.data[begin] == '\t');)
        begin++;
    while (end > begin && (line.data[end - 1] == ' ' || line.data[end - 1] == '\t'))
        end--;
    for (size_t i = begin; i < end; i++)
        if (((unsigned char)line.data[i] < ' ' && line.data[i] != '\t') || line.data[i] == 127)
            return refuse(400, problem, "a header has a control character");
    if (head->header_count == SX_HTTP_MAX_HEADERS)
        return refuse(431, problem, "the request has more than 100 headers");
    head->headers[head->header_count++] = (sx_http_header){{line.data, name}, {line.data + begin, end - begin}};
    return 0;
}

/* Whether a list such as that of Connection has the word. */
static bool list_has(sx_text list, const char *word)
{
    for (size_t at = 0; at < list.length;) {
        size_t end = at, stop;
        while (end < list.length && list.data[end] != ',')
            end++;
        stop = end;
        while (at < stop && (list.data[at] == ' ' || list.data[at] == '\t'))
            at++;
        while (stop > at && (list.data[stop - 1] == ' ' || list.data[stop - 1] == '\t'))
            stop--;
        if (sx_text_equals_fold((sx_text){list.data + at, stop - at}, word))
            return true;
        at = end + 1;
    }
    return false;
}

static int read_length(sx_http_head *head, sx_text value, const char **problem)
{
    if (head->has_length)
        return refuse(400, problem, "more than one Content-Length");
    if (!value.length || value.length > 18)
        return refuse(400, problem, "Content-Length is no length");
    head->length = 0;
    for (size_t i = 0; i < value.length; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return refuse(400, problem, "Content-Length is no length");
        head->length = head->length * 10 + (uint64_t)(value.data[i] - '0');
    }
    head->has_length = true;
    return 0;
}

/* What the headers say about the message itself. */
static int read_framing(sx_http_head *head, const char **problem)
{
    size_t hosts = 0;
    for (size_t i = 0; i < head->header_count; i++) {
        sx_text name = head->headers[i].name, value = head->headers[i].value;
        int status = 0;
        if (sx_text_equals_fold(name, "content-length")) {
            status = read_length(head, value, problem);
        } else if (sx_text_equals_fold(name, "transfer-encoding")) {
            if (head->chunked || !sx_text_equals_fold(value, "chunked"))
                status = refuse(501, problem, "Transfer-Encoding is something else than chunked, once");
            head->chunked = true;
        } else if (sx_text_equals_fold(name, "host")) {
            hosts++;
        } else if (sx_text_equals_fold(name, "connection")) {
            if (list_has(value, "close"))
                head->keep_alive = false;
            else if (head->http10 && list_has(value, "keep-alive"))
                head->keep_alive = true;
        } else if (sx_text_equals_fold(name, "expect")) {
            if (!sx_text_equals_fold(value, "100-continue"))
                status = refuse(417, problem, "Expect is something else than 100-continue");
            head->expects_continue = !head->http10;
        }
        if (status)
            return status;
    }
    if (head->chunked && head->has_length)
        return refuse(400, problem, "Content-Length and Transfer-Encoding in one request");
    if (head->chunked && head->http10)
        return refuse(400, problem, "Transfer-Encoding in a request of HTTP/1.0");
    if (hosts > 1 || (!hosts && !head->http10))
        return refuse(400, problem, hosts ? "more than one Host" : "the Host header is missing");
    return 0;
}

int sx_http_parse_head(const char *data, size_t length, sx_http_head *head, const char **problem)
{
    size_t at = 0;
    sx_text line;
    head->header_count = 0;
    head->chunked = head->has_length = head->expects_continue = false;
    head->length = 0;
    head->method = head->target = head->path = head->query = (sx_text){"", 0};
    if (memchr(data, 0, length))
        return refuse(400, problem, "the head of the request has a NUL byte");
    if (!next_line(data, length, &at, &line))
        return refuse(400, problem, "a line does not end in CR LF");
    int status = read_request_line(head, line, problem);
    if (status)
        return status;
    for (;;) {
        if (!next_line(data, length, &at, &line))
            return refuse(400, problem, "a line does not end in CR LF");
        if (!line.length)
            break;
        if (line.data[0] == ' ' || line.data[0] == '\t')
            return refuse(400, problem, "a header is folded over several lines");
        if ((status = read_header(head, line, problem)))
            return status;
    }
    return read_framing(head, problem);
}

/* ---- Chunks ---- */

enum { SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER, TRAILER_LF };

static int hex_value(unsigned char c)
{
    c = lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte outside of the data. */
static void take_byte(sx_http_chunks *chunks, unsigned char c, size_t have, uint64_t most)
{
    const char *problem = NULL;
    switch (chunks->state) {
    case SIZE:
        if (hex_value(c) >= 0 && chunks->digits < 15) {
            chunks->left = chunks->left * 16 + (uint64_t)hex_value(c);
            chunks->digits++;
        } else if (!chunks->digits || (c != ';' && c != '\r')) {
            problem = "the size of a chunk is wrong";
        } else {
            chunks->state = c == ';' ? EXTENSION : SIZE_LF;
            chunks->extension = 0;
        }
        break;
    case EXTENSION:
        if (c == '\r')
            chunks->state = SIZE_LF;
        else if (c < ' ' || c == 127 || ++chunks->extension > MAX_EXTENSION)
            problem = "the extension of a chunk is wrong";
        break;
    case SIZE_LF:
        if (c != '\n')
            problem = "the line with the size of a chunk does not end in CR LF";
        else if (chunks->left > most || have > most - chunks->left)
            problem = sx_http_too_long;
        chunks->state = chunks->left ? DATA : TRAILER;
        chunks->line = 0;
        break;
    case DATA_CR:
        problem = c == '\r' ? NULL : "a chunk does not end in CR LF";
        chunks->state = DATA_LF;
        break;
    case DATA_LF:
        problem = c == '\n' ? NULL : "a chunk does not end in CR LF";
        chunks->state = SIZE;
        chunks->left = chunks->digits = 0;
        break;
    case TRAILER:
        if (c == '\r')
            chunks->state = TRAILER_LF;
        else if (c == '\n' || !c || ++chunks->trailer > MAX_TRAILER)
            problem = "the lines behind the last chunk are wrong";
        else
            chunks->line++;
        break;
    default:
        problem = c == '\n' ? NULL : "the lines behind the last chunk are wrong";
        chunks->done = !chunks->line;
        chunks->state = TRAILER;
        chunks->line = 0;
    }
    chunks->problem = problem;
}

size_t sx_http_take_chunks(sx_http_chunks *chunks, const char *data, size_t length, sx_buffer *body, uint64_t most)
{
    size_t at = 0;
    while (at < length && !chunks->done && !chunks->problem) {
        if (chunks->state != DATA) {
            take_byte(chunks, (unsigned char)data[at++], body->length, most);
            continue;
        }
        size_t take = chunks->left < length - at ? (size_t)chunks->left : length - at;
        if (!sx_buffer_append(body, data + at, take))
            chunks->problem = sx_http_too_long;
        at += take;
        chunks->left -= take;
        if (!chunks->left)
            chunks->state = DATA_CR;
    }
    return at;
}

bool sx_percent_decode(char *text, size_t *length)
{
    size_t kept = 0;
    for (size_t i = 0; i < *length; i++) {
        if (text[i] != '%') {
            text[kept++] = text[i];
            continue;
        }
        int high = i + 2 < *length ? hex_value((unsigned char)text[i + 1]) : -1;
        int low = i + 2 < *length ? hex_value((unsigned char)text[i + 2]) : -1;
        if (high < 0 || low < 0 || (!high && !low))
            return false;
        text[kept++] = (char)(high * 16 + low);
        i += 2;
    }
    *length = kept;
    return true;
}
