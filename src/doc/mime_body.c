/* mime_body.c - bodies of messages (RFC 2045): base64 and quoted-printable, and the parts of a multipart (RFC 2046).
 *
 * Decoders take what mail really holds: base64 with strange characters in it, quoted-printable with stray equals signs. */
#include "mime_body.h"

#include "../base/base64.h"
#include "reader.h"

#include <string.h>

/* ---- Transfer encodings ---- */

typedef struct line_list {
    sx_buffer *list; /* may be NULL */
    uint32_t at;     /* line of the body */
} line_list;

static void note_line(line_list *lines)
{
    if (lines->list)
        sx_buffer_append(lines->list, &lines->at, sizeof lines->at);
}

/* Lines of files end with a newline; a carriage return alone ends lines of text only. */
static void count_line(line_list *lines, sx_text body, const sx_line *line)
{
    lines->at += line->next > line->start && body.data[line->next - 1] == '\n';
}

/* Lines of the result are noted when they begin. */
static void decode_base64(sx_text body, sx_buffer *out, line_list *lines)
{
    uint32_t bits = 0;
    unsigned held = 0;
    note_line(lines);
    for (size_t i = 0; i < body.length; i++) {
        int value = sx_base64_digit(body.data[i]);
        lines->at += body.data[i] == '\n';
        if (body.data[i] == '=')
            held = 0; /* some agents put several encoded texts into one part */
        if (value < 0)
            continue;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held < 8)
            continue;
        held -= 8;
        sx_buffer_append_byte(out, (char)(bits >> held));
        if ((char)(bits >> held) == '\n')
            note_line(lines);
    }
}

static void decode_quoted(sx_text body, sx_buffer *out, line_list *lines)
{
    sx_line line;
    bool fresh = true; /* the next byte begins a line */
    for (size_t at = 0; sx_line_at(body.data, body.length, at, &line); at = line.next) {
        size_t end = line.end;
        while (end > line.start && (body.data[end - 1] == ' ' || body.data[end - 1] == '\t')) /* added on the way */
            end--;
        bool soft = end > line.start && body.data[end - 1] == '=';
        end -= soft;
        if (fresh)
            note_line(lines);
        for (size_t i = line.start; i < end; i++) {
            int value = body.data[i] == '=' && i + 2 < end ? sx_hex_pair(body.data + i + 1) : -1;
            sx_buffer_append_byte(out, value < 0 ? body.data[i] : (char)value);
            i += value < 0 ? 0 : 2;
            if (value == '\n')
                note_line(lines);
        }
        fresh = !soft;
        count_line(lines, body, &line);
        if (fresh && line.next > line.end)
            sx_buffer_append_byte(out, '\n');
    }
}

static void copy_plain(sx_text body, sx_buffer *out, line_list *lines)
{
    sx_line line;
    sx_buffer_append(out, body.data, body.length);
    for (size_t at = 0; lines->list && sx_line_at(body.data, body.length, at, &line); at = line.next) {
        note_line(lines);
        count_line(lines, body, &line);
    }
}

bool sx_mime_decode(const char *encoding, sx_text body, sx_buffer *out, sx_buffer *lines)
{
    static const char *const plain[] = {"", "7bit", "8bit", "binary", "7-bit", "8-bit"};
    line_list list = {lines, 0};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (!strcmp(encoding, plain[i])) {
            copy_plain(body, out, &list);
            return true;
        }
    }
    if (!strcmp(encoding, "base64"))
        decode_base64(body, out, &list);
    else if (!strcmp(encoding, "quoted-printable"))
        decode_quoted(body, out, &list);
    else
        return false;
    return true;
}

/* ---- Parts ---- */

/* The next boundary line at or behind `at`, or false. */
static bool find_boundary(sx_text body, const char *boundary, size_t at, sx_line *line, bool *closes)
{
    size_t size = strlen(boundary);
    for (; sx_line_at(body.data, body.length, at, line); at = line->next) {
        const char *start = body.data + line->start;
        size_t length = line->end - line->start;
        if (length < size + 2 || start[0] != '-' || start[1] != '-' || memcmp(start + 2, boundary, size))
            continue;
        size_t rest = size + 2;
        *closes = length >= rest + 2 && start[rest] == '-' && start[rest + 1] == '-';
        rest += *closes ? 2 : 0;
        while (rest < length && (start[rest] == ' ' || start[rest] == '\t'))
            rest++;
        if (rest == length)
            return true;
    }
    return false;
}

bool sx_mime_next_part(sx_text body, const char *boundary, size_t *at, sx_text *part)
{
    sx_line line;
    bool closes;
    if (!find_boundary(body, boundary, *at, &line, &closes) || closes) {
        *at = body.length;
        return false;
    }
    size_t start = line.next;
    bool ended = find_boundary(body, boundary, start, &line, &closes);
    size_t end = ended ? line.start : body.length;
    *at = end;
    if (ended && end > start && body.data[end - 1] == '\n') /* the line end belongs to the boundary */
        end -= end - 1 > start && body.data[end - 2] == '\r' ? 2 : 1;
    *part = (sx_text){body.data + start, end - start};
    return true;
}
