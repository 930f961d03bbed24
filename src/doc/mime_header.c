/* mime_header.c - header fields of messages (RFC 5322) and what MIME lets stand in them: encoded words (RFC 2047), parameters
 * (RFC 2045), parameters in pieces and in other encodings (RFC 2231).
 *
 * Mail is read as it is found, not as it should be: bytes that are no ASCII are converted from what they most plausibly are, and what
 * does not follow the grammar stays as it stands. Every function is linear in what it looks at. */
#include "mime_header.h"

#include "../base/base64.h"
#include "../base/memory.h"
#include "../text/encoding.h"
#include "reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LONGEST_VALUE = 1 << 16, MOST_PIECES = 100, LONGEST_CHARSET = 40 };

static bool is_blank_byte(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* The length of a field's name, or 0 when the line is no field. */
static size_t name_of(const char *line, size_t length)
{
    size_t used = 0;
    while (used < length && line[used] > ' ' && line[used] < 0x7f && line[used] != ':')
        used++;
    size_t colon = used;
    while (colon < length && (line[colon] == ' ' || line[colon] == '\t'))
        colon++;
    return used && colon < length && line[colon] == ':' ? used : 0;
}

size_t sx_mime_head(const char *text, size_t length, size_t *body)
{
    sx_line line;
    size_t at = 0;
    bool any = false;
    for (; sx_line_at(text, length, at, &line); at = line.next) {
        const char *start = text + line.start;
        size_t size = line.end - line.start;
        if (!size) {
            *body = line.next;
            return line.start;
        }
        bool folded = any && (start[0] == ' ' || start[0] == '\t');
        bool envelope = size > 6 && (!strncmp(start, "From ", 5) || !strncmp(start, ">From ", 6));
        if (!folded && !name_of(start, size) && !(envelope && !at))
            break;
        any = true;
    }
    *body = at;
    return at;
}

bool sx_mime_field(sx_text head, const char *name, sx_text *value)
{
    sx_line line;
    size_t size = strlen(name), end = 0;
    const char *found = NULL;
    for (size_t at = 0; sx_line_at(head.data, head.length, at, &line); at = line.next) {
        const char *start = head.data + line.start;
        bool folded = line.end > line.start && (start[0] == ' ' || start[0] == '\t');
        if (found && !folded)
            break;
        if (!found && !folded && name_of(start, line.end - line.start) == size && !strncasecmp(start, name, size))
            found = (const char *)memchr(start, ':', line.end - line.start) + 1;
        end = line.end;
    }
    if (found)
        *value = (sx_text){found, (size_t)(head.data + end - found)};
    return found != NULL;
}

/* ---- Words ---- */

static void append_decoded(sx_buffer *words, const char *bytes, size_t length, const char *charset)
{
    sx_decoded decoded;
    if (!length || sx_decode(bytes, length, charset, &decoded, NULL)) { /* what is no text becomes U+FFFD at the end */
        sx_buffer_append(words, bytes, length);
        return;
    }
    sx_buffer_append(words, decoded.is_bytes ? bytes : decoded.text, decoded.length);
    sx_decoded_clear(&decoded);
}

typedef struct encoded_word {
    char charset[LONGEST_CHARSET + 1];
    bool base64;
    const char *text;
    size_t length, whole; /* of the encoded text; of all of it */
} encoded_word;

/* "=?charset*language?B?...?=" at the beginning of text. */
static bool take_encoded_word(const char *text, size_t length, encoded_word *word)
{
    size_t at = 2, used = 0;
    if (length < 8 || text[0] != '=' || text[1] != '?')
        return false;
    while (at < length && text[at] > ' ' && text[at] != '?' && text[at] != '*' && used < LONGEST_CHARSET)
        word->charset[used++] = text[at++];
    word->charset[used] = '\0';
    while (at < length && text[at] > ' ' && text[at] != '?') /* the language */
        at++;
    if (!used || at + 3 >= length || text[at] != '?' || text[at + 2] != '?')
        return false;
    char form = (char)(text[at + 1] | 0x20);
    if (form != 'b' && form != 'q')
        return false;
    word->base64 = form == 'b';
    word->text = text + at + 3;
    for (at += 3; at + 1 < length && text[at] != '\n'; at++) {
        if (text[at] == '?' && text[at + 1] == '=') {
            word->length = (size_t)(text + at - word->text);
            word->whole = at + 2;
            return true;
        }
    }
    return false;
}

static void append_bytes(sx_buffer *bytes, const encoded_word *word)
{
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < word->length; i++) {
        char byte = word->text[i];
        int value;
        if (word->base64) {
            if ((value = sx_base64_digit(byte)) < 0)
                continue;
            bits = bits << 6 | (uint32_t)value;
            held += 6;
            if (held >= 8)
                sx_buffer_append_byte(bytes, (char)(bits >> (held -= 8)));
        } else if (byte == '=' && i + 2 < word->length && (value = sx_hex_pair(word->text + i + 1)) >= 0) {
            sx_buffer_append_byte(bytes, (char)value);
            i += 2;
        } else {
            sx_buffer_append_byte(bytes, byte == '_' ? ' ' : byte);
        }
    }
}

void sx_mime_words(sx_text value, sx_buffer *words)
{
    sx_buffer bytes = {0}; /* of encoded words in a row: a character may be divided among them */
    encoded_word word, before = {.charset = ""};
    size_t plain = 0, gap = 0; /* where what is not written begins; where the white space after an encoded word does */
    if (value.length > LONGEST_VALUE)
        value.length = LONGEST_VALUE;
    size_t at = 0;
    while (at < value.length) {
        const char *next = memchr(value.data + at, '=', value.length - at);
        at = next ? (size_t)(next - value.data) : value.length;
        if (at == value.length || !take_encoded_word(next, value.length - at, &word)) {
            at += at < value.length;
            continue;
        }
        for (gap = plain; gap < at && is_blank_byte(value.data[gap]); gap++)
            ;
        bool follows = before.charset[0] && gap == at;
        if (!follows || strcasecmp(word.charset, before.charset)) {
            append_decoded(words, bytes.data, bytes.length, before.charset);
            sx_buffer_reset(&bytes);
        }
        if (!follows)
            append_decoded(words, value.data + plain, at - plain, NULL);
        append_bytes(&bytes, &word);
        before = word;
        at += word.whole;
        plain = at;
    }
    append_decoded(words, bytes.data, bytes.length, before.charset);
    append_decoded(words, value.data + plain, value.length - plain, NULL);
    words->failed = words->failed || bytes.failed;
    sx_buffer_clear(&bytes);
}

/* ---- Parameters ---- */

/* Skips white space and comments, which nest. */
static size_t skip_space(sx_text value, size_t at)
{
    size_t depth = 0;
    for (; at < value.length; at++) {
        char byte = value.data[at];
        if (depth && byte == '\\')
            at++;
        else if (byte == '(')
            depth++;
        else if (depth && byte == ')')
            depth--;
        else if (!depth && !is_blank_byte(byte))
            break;
    }
    return at < value.length ? at : value.length;
}

void sx_mime_token(sx_text value, char *token, size_t capacity)
{
    size_t used = 0;
    for (size_t at = skip_space(value, 0); at < value.length && value.data[at] != ';'; at = skip_space(value, at + 1)) {
        char byte = value.data[at];
        if (used + 1 < capacity)
            token[used++] = (char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
    }
    token[used] = '\0';
}

typedef struct parameter {
    sx_text name, value;
    bool quoted;
} parameter;

/* The parameter whose ';' is at or behind `at`; *at moves behind it. */
static bool next_parameter(sx_text value, size_t *at, parameter *out)
{
    const char *text = value.data;
    size_t i = *at;
    bool inside = false;
    for (; i < value.length && (inside || text[i] != ';'); i++) {
        if (text[i] == '\\' && inside)
            i++;
        else if (text[i] == '"')
            inside = !inside;
    }
    if (i >= value.length)
        return false;
    i = skip_space(value, i + 1);
    out->name = (sx_text){text + i, 0};
    while (i < value.length && text[i] > ' ' && text[i] != '=' && text[i] != ';')
        i++;
    out->name.length = (size_t)(text + i - out->name.data);
    i = skip_space(value, i);
    out->value = (sx_text){text + i, 0};
    out->quoted = false;
    if (i < value.length && text[i] == '=') {
        i = skip_space(value, i + 1);
        out->quoted = i < value.length && text[i] == '"';
        i += out->quoted;
        out->value.data = text + i;
        while (i < value.length && (out->quoted ? text[i] != '"' : text[i] != ';' && !is_blank_byte(text[i])))
            i += text[i] == '\\' && out->quoted && i + 1 < value.length ? 2 : 1;
        out->value.length = (size_t)(text + i - out->value.data);
        i += out->quoted && i < value.length;
    }
    *at = i;
    return true;
}

static void append_unquoted(sx_buffer *words, const parameter *found)
{
    for (size_t i = 0; i < found->value.length; i++) {
        if (found->quoted && found->value.data[i] == '\\' && i + 1 < found->value.length)
            i++;
        if (found->value.data[i] != '\r' && found->value.data[i] != '\n')
            sx_buffer_append_byte(words, found->value.data[i]);
    }
}

static void append_percent(sx_buffer *bytes, sx_text value)
{
    for (size_t i = 0; i < value.length; i++) {
        int code = value.data[i] == '%' && i + 2 < value.length ? sx_hex_pair(value.data + i + 1) : -1;
        sx_buffer_append_byte(bytes, code < 0 ? value.data[i] : (char)code);
        i += code < 0 ? 0 : 2;
    }
}

/* "charset'language'" before an encoded value. */
static void take_charset(sx_text *value, char charset[LONGEST_CHARSET + 1])
{
    const char *end = value->data + value->length, *first = memchr(value->data, '\'', value->length);
    const char *second = first ? memchr(first + 1, '\'', (size_t)(end - first - 1)) : NULL;
    if (!second)
        return;
    snprintf(charset, LONGEST_CHARSET + 1, "%.*s", (int)(first - value->data < LONGEST_CHARSET ? first - value->data : 0), value->data);
    *value = (sx_text){second + 1, (size_t)(end - second - 1)};
}

bool sx_mime_parameter(sx_text value, const char *name, sx_buffer *words)
{
    size_t size = strlen(name), at = 0;
    parameter found;
    sx_text pieces[MOST_PIECES];
    bool encoded[MOST_PIECES], there[MOST_PIECES] = {false};
    if (value.length > LONGEST_VALUE)
        value.length = LONGEST_VALUE;
    while (next_parameter(value, &at, &found)) {
        if (found.name.length < size || strncasecmp(found.name.data, name, size))
            continue;
        const char *rest = found.name.data + size;
        size_t left = found.name.length - size;
        if (!left) { /* the plain form; some agents put encoded words into it */
            sx_buffer raw = {0};
            append_unquoted(&raw, &found);
            sx_mime_words((sx_text){raw.data ? raw.data : "", raw.length}, words);
            sx_buffer_clear(&raw);
            return true;
        }
        unsigned piece = 0;
        size_t digits = 0;
        if (rest[0] != '*')
            continue;
        while (1 + digits < left && digits < 3 && rest[1 + digits] >= '0' && rest[1 + digits] <= '9')
            piece = piece * 10 + (unsigned)(rest[1 + digits++] - '0');
        if (piece < MOST_PIECES && !there[piece]) {
            there[piece] = true;
            encoded[piece] = rest[left - 1] == '*';
            pieces[piece] = found.value;
        }
    }
    char charset[LONGEST_CHARSET + 1] = "";
    sx_buffer bytes = {0};
    for (size_t i = 0; i < MOST_PIECES && there[i]; i++) {
        if (!i && encoded[i])
            take_charset(&pieces[i], charset);
        if (encoded[i])
            append_percent(&bytes, pieces[i]);
        else
            sx_buffer_append(&bytes, pieces[i].data, pieces[i].length);
    }
    append_decoded(words, bytes.data, bytes.length, charset);
    sx_buffer_clear(&bytes);
    return there[0];
}
