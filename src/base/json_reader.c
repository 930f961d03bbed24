/* json_reader.c - a strict pull parser for bulk JSON (RFC 8259), reading in place.
 *
 * Strict means: UTF-8 is checked (no overlong forms, no surrogates), control characters in strings, lone surrogate escapes,
 * leading zeros, trailing commas and a byte-order mark are refused, and nesting is bounded. Strings are scanned eight bytes at
 * a time: a word without quotation mark, backslash, control character or non-ASCII byte needs no closer look. */
#include "json_reader.h"

#include "code_point.h"
#include "error.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>

enum { LONGEST_NUMBER = 512 };
static const uint64_t low_bits = 0x0101010101010101u, high_bits = 0x8080808080808080u;

static bool fail_at(sx_json *json, size_t position, const char *problem)
{
    if (!json->problem) {
        json->problem = problem;
        json->problem_position = position;
        json->want_value = false;
    }
    return false;
}

bool sx_json_reject(sx_json *json, const char *problem)
{
    return fail_at(json, json->position, problem);
}

sx_status sx_json_fail(const sx_json *json, sx_status code, sx_error *error)
{
    return sx_fail(error, code, "%s: byte %zu: %s", json->name ? json->name : "JSON", json->problem_position,
                   json->problem ? json->problem : "no problem was found");
}

void sx_json_begin(sx_json *json, const void *data, size_t length, const char *name)
{
    *json = (sx_json){.data = data, .length = length, .name = name, .want_value = true};
}

static void skip_space(sx_json *json)
{
    while (json->position < json->length) {
        unsigned char byte = json->data[json->position];
        if (byte != ' ' && byte != '\n' && byte != '\r' && byte != '\t')
            break;
        json->position++;
    }
}

/* At the first byte of a value? Sets the problem when not. */
static bool at_value(sx_json *json)
{
    if (json->problem)
        return false;
    if (!json->want_value)
        return fail_at(json, json->position, "no value is expected here");
    skip_space(json);
    if (json->position >= json->length)
        return fail_at(json, json->length, "the text ends where a value is expected");
    return true;
}

sx_json_type sx_json_peek(sx_json *json)
{
    if (!at_value(json))
        return SX_JSON_BAD;
    switch (json->data[json->position]) {
    case '{':
        return SX_JSON_OBJECT;
    case '[':
        return SX_JSON_ARRAY;
    case '"':
        return SX_JSON_STRING;
    case 't':
    case 'f':
        return SX_JSON_BOOLEAN;
    case 'n':
        return SX_JSON_NULL;
    case '-':
    case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        return SX_JSON_NUMBER;
    default:
        fail_at(json, json->position, "a value is expected");
        return SX_JSON_BAD;
    }
}

static bool is_object(const sx_json *json)
{
    unsigned level = json->depth - 1;
    return json->objects[level / 64] >> (level % 64) & 1;
}

static bool enter(sx_json *json, unsigned char bracket, const char *problem)
{
    if (!at_value(json))
        return false;
    if (json->data[json->position] != bracket)
        return fail_at(json, json->position, problem);
    if (json->depth == SX_JSON_MAX_DEPTH)
        return fail_at(json, json->position, "nested more than 128 deep");
    uint64_t bit = (uint64_t)1 << (json->depth % 64);
    if (bracket == '{')
        json->objects[json->depth / 64] |= bit;
    else
        json->objects[json->depth / 64] &= ~bit;
    json->depth++;
    json->position++;
    json->fresh = true;
    json->want_value = false;
    return true;
}

bool sx_json_object(sx_json *json)
{
    return enter(json, '{', "expected an object");
}

bool sx_json_array(sx_json *json)
{
    return enter(json, '[', "expected an array");
}

/* Behind the opening bracket, a comma or a closing bracket: whether another item follows. */
static bool next_item(sx_json *json, bool object, unsigned char bracket)
{
    if (json->problem)
        return false;
    if (json->want_value)
        return fail_at(json, json->position, "the value before was not read");
    if (json->depth == 0 || is_object(json) != object)
        return fail_at(json, json->position, object ? "not inside an object" : "not inside an array");
    skip_space(json);
    if (json->position >= json->length)
        return fail_at(json, json->length, object ? "the text ends inside an object" : "the text ends inside an array");
    unsigned char byte = json->data[json->position];
    if (byte == bracket) {
        json->position++;
        json->depth--;
        json->fresh = false;
        return false;
    }
    if (!json->fresh) {
        if (byte != ',')
            return fail_at(json, json->position, object ? "expected ',' or '}'" : "expected ',' or ']'");
        json->position++;
    }
    json->fresh = false;
    return true;
}

static int hex_digit(unsigned char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    unsigned char lower = byte | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The code unit of \uXXXX at text[0], -1 when it is none. */
static int32_t code_unit(const unsigned char *text, size_t left)
{
    if (left < 6 || text[0] != '\\' || text[1] != 'u')
        return -1;
    int32_t unit = 0;
    for (int i = 2; i < 6; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

/* Checks the escape at `at`: its length in the input, 0 after a failure. *code is the code point it stands for. */
static unsigned read_escape(sx_json *json, size_t at, uint32_t *code)
{
    const unsigned char *text = json->data + at;
    size_t left = json->length - at;
    if (left < 2)
        return fail_at(json, at, "the text ends inside a string");
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (text[1] != 'u') {
        const char *found = text[1] ? strchr(names, text[1]) : NULL;
        if (!found)
            return fail_at(json, at, "an unknown escape in a string");
        *code = (unsigned char)values[found - names];
        return 2;
    }
    int32_t unit = code_unit(text, left);
    if (unit < 0)
        return fail_at(json, at, "\\u needs four hexadecimal digits");
    *code = (uint32_t)unit;
    if (unit < 0xd800 || unit > 0xdfff)
        return 6;
    int32_t low = unit < 0xdc00 ? code_unit(text + 6, left - 6) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return fail_at(json, at, "a surrogate escape without its other half");
    *code = 0x10000 + ((uint32_t)unit - 0xd800) * 0x400 + ((uint32_t)low - 0xdc00);
    return 12;
}

/* Checks the string whose quotation mark is next and moves behind it. *start and *end enclose its content. */
static bool scan_string(sx_json *json, size_t *start, size_t *end, bool *escapes)
{
    const unsigned char *data = json->data;
    size_t at = json->position + 1, length = json->length;
    *start = at;
    *escapes = false;
    for (;;) {
        while (length - at >= 8) {
            uint64_t word;
            memcpy(&word, data + at, 8);
            uint64_t quote = word ^ (low_bits * '"'), slash = word ^ (low_bits * '\\');
            uint64_t special = word | (word - low_bits * 0x20) | (quote - low_bits) | (slash - low_bits);
            if (special & high_bits)
                break;
            at += 8;
        }
        if (at >= length)
            return fail_at(json, length, "the text ends inside a string");
        unsigned char byte = data[at];
        if (byte == '"')
            break;
        if (byte == '\\') {
            uint32_t code;
            unsigned used = read_escape(json, at, &code);
            if (used == 0)
                return false;
            *escapes = true;
            at += used;
        } else if (byte >= 0x80) {
            sx_code_point point = sx_utf8_decode((const char *)data + at, length - at);
            if (!point.valid)
                return fail_at(json, at, "invalid UTF-8 in a string");
            at += point.length;
        } else if (byte < 0x20) {
            return fail_at(json, at, "a control character in a string");
        } else {
            at++;
        }
    }
    *end = at;
    json->position = at + 1;
    return true;
}

/* Decodes checked content with escapes; the result is never longer than the input. */
static bool decode_string(sx_json *json, size_t start, size_t end, sx_buffer *buffer, sx_text *value)
{
    if (!buffer)
        return fail_at(json, start - 1, "a string with escapes, where none are allowed");
    sx_buffer_reset(buffer);
    char *room = sx_buffer_room(buffer, end - start);
    if (!room)
        return fail_at(json, start - 1, "a string too long to be held in memory");
    char *to = room;
    for (size_t at = start; at < end;) {
        const unsigned char *slash = memchr(json->data + at, '\\', end - at);
        size_t plain = (slash ? (size_t)(slash - json->data) : end) - at;
        memcpy(to, json->data + at, plain);
        to += plain;
        at += plain;
        if (slash) {
            uint32_t code;
            at += read_escape(json, at, &code);
            to += sx_utf8_encode(code, to);
        }
    }
    *to = '\0';
    buffer->length = (size_t)(to - room);
    *value = (sx_text){room, buffer->length};
    return true;
}

static bool read_string(sx_json *json, sx_buffer *buffer, sx_text *value)
{
    size_t start, end;
    bool escapes;
    if (!scan_string(json, &start, &end, &escapes))
        return false;
    if (escapes)
        return decode_string(json, start, end, buffer, value);
    *value = (sx_text){(const char *)json->data + start, end - start};
    return true;
}

/* Reads a key and its colon; value NULL: only checks it. */
static bool read_key(sx_json *json, sx_buffer *buffer, sx_text *key)
{
    skip_space(json);
    if (json->position >= json->length || json->data[json->position] != '"')
        return fail_at(json, json->position, "expected a member's name in quotation marks");
    size_t start, end;
    bool escapes;
    if (key ? !read_string(json, buffer, key) : !scan_string(json, &start, &end, &escapes))
        return false;
    skip_space(json);
    if (json->position >= json->length || json->data[json->position] != ':')
        return fail_at(json, json->position, "expected ':'");
    json->position++;
    json->want_value = true;
    return true;
}

bool sx_json_member(sx_json *json, sx_buffer *buffer, sx_text *key)
{
    *key = (sx_text){"", 0};
    return next_item(json, true, '}') && read_key(json, buffer, key);
}

bool sx_json_element(sx_json *json)
{
    if (!next_item(json, false, ']'))
        return false;
    json->want_value = true;
    return true;
}

bool sx_json_string(sx_json *json, sx_buffer *buffer, sx_text *value)
{
    *value = (sx_text){"", 0};
    if (!at_value(json))
        return false;
    if (json->data[json->position] != '"')
        return fail_at(json, json->position, "expected a string");
    json->want_value = false;
    return read_string(json, buffer, value);
}

static size_t digits(const sx_json *json, size_t at)
{
    size_t from = at;
    while (at < json->length && json->data[at] >= '0' && json->data[at] <= '9')
        at++;
    return at - from;
}

/* Checks the number that is next and moves behind it; *start is its first byte. */
static bool scan_number(sx_json *json, size_t *start, bool *whole)
{
    if (sx_json_peek(json) != SX_JSON_NUMBER)
        return fail_at(json, json->position, "expected a number");
    size_t at = json->position;
    *start = at;
    *whole = true;
    if (json->data[at] == '-')
        at++;
    size_t count = digits(json, at);
    if (count == 0)
        return fail_at(json, at, "a number without digits");
    if (count > 1 && json->data[at] == '0')
        return fail_at(json, at, "a number with a leading zero");
    at += count;
    if (at < json->length && json->data[at] == '.') {
        *whole = false;
        count = digits(json, at + 1);
        if (count == 0)
            return fail_at(json, at, "a number without digits behind its point");
        at += 1 + count;
    }
    if (at < json->length && (json->data[at] | 0x20) == 'e') {
        *whole = false;
        at++;
        if (at < json->length && (json->data[at] == '+' || json->data[at] == '-'))
            at++;
        count = digits(json, at);
        if (count == 0)
            return fail_at(json, at, "a number without digits in its exponent");
        at += count;
    }
    json->position = at;
    json->want_value = false;
    return true;
}

bool sx_json_integer(sx_json *json, int64_t *value)
{
    *value = 0;
    size_t at;
    bool whole;
    if (!scan_number(json, &at, &whole))
        return false;
    if (!whole)
        return fail_at(json, at, "expected a whole number");
    size_t start = at;
    bool negative = json->data[at] == '-';
    int64_t number = 0;
    for (at += negative; at < json->position; at++) {
        int digit = json->data[at] - '0';
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, negative ? -digit : digit, &number))
            return fail_at(json, start, "a whole number that does not fit 64 bits");
    }
    *value = number;
    return true;
}

bool sx_json_unsigned(sx_json *json, uint64_t *value)
{
    *value = 0;
    size_t at;
    bool whole;
    if (!scan_number(json, &at, &whole))
        return false;
    if (!whole || json->data[at] == '-')
        return fail_at(json, at, "expected a whole number of at least 0");
    size_t start = at;
    uint64_t number = 0;
    for (; at < json->position; at++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(json->data[at] - '0'), &number))
            return fail_at(json, start, "a whole number that does not fit 64 bits");
    *value = number;
    return true;
}

/* strtod wants the locale's decimal point, and the library does not own the locale. */
static double slow_number(const unsigned char *text, size_t length)
{
    char copy[LONGEST_NUMBER + 64];
    const char *point = localeconv()->decimal_point;
    size_t point_length = strlen(point), used = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '.' && point_length < 32) {
            memcpy(copy + used, point, point_length);
            used += point_length;
        } else {
            copy[used++] = (char)text[i];
        }
    }
    copy[used] = '\0';
    return strtod(copy, NULL);
}

/* Up to 2^53 times or divided by a power of ten up to 10^22 is one correctly rounded operation (Clinger 1990). */
static bool fast_number(const unsigned char *text, size_t length, double *value)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    uint64_t mantissa = 0;
    int scale = 0, exponent = 0;
    bool behind_point = false, negative = text[0] == '-';
    size_t i = negative;
    for (; i < length && (text[i] | 0x20) != 'e'; i++) {
        if (text[i] == '.') {
            behind_point = true;
            continue;
        }
        if (mantissa > ((uint64_t)1 << 53) / 10 - 1)
            return false;
        mantissa = mantissa * 10 + (uint64_t)(text[i] - '0');
        scale -= behind_point;
    }
    if (i < length) {
        bool down = text[++i] == '-';
        for (i += text[i] == '-' || text[i] == '+'; i < length; i++) {
            if (exponent > 1000)
                return false;
            exponent = exponent * 10 + (text[i] - '0');
        }
        exponent = down ? -exponent : exponent;
    }
    scale += exponent;
    if (scale < -22 || scale > 22)
        return false;
    double number = (double)mantissa;
    number = scale < 0 ? number / powers[-scale] : number * powers[scale];
    *value = negative ? -number : number;
    return true;
}

bool sx_json_number(sx_json *json, double *value)
{
    *value = 0;
    size_t at;
    bool whole;
    if (!scan_number(json, &at, &whole))
        return false;
    size_t length = json->position - at;
    if (fast_number(json->data + at, length, value))
        return true;
    if (length > LONGEST_NUMBER)
        return fail_at(json, at, "a number of more than 512 characters");
    *value = slow_number(json->data + at, length);
    if (!isfinite(*value)) {
        *value = 0;
        return fail_at(json, at, "a number too large for a double");
    }
    return true;
}

static bool take_word(sx_json *json, const char *word)
{
    size_t length = strlen(word);
    if (json->length - json->position < length || memcmp(json->data + json->position, word, length) != 0)
        return false;
    json->position += length;
    json->want_value = false;
    return true;
}

bool sx_json_boolean(sx_json *json, bool *value)
{
    *value = false;
    if (!at_value(json))
        return false;
    if (take_word(json, "true"))
        *value = true;
    else if (!take_word(json, "false"))
        return fail_at(json, json->position, "expected true or false");
    return true;
}

bool sx_json_null(sx_json *json)
{
    return at_value(json) && take_word(json, "null");
}

static bool skip_scalar(sx_json *json, sx_json_type type)
{
    size_t start, end;
    bool flag;
    switch (type) {
    case SX_JSON_STRING:
        json->want_value = false;
        return scan_string(json, &start, &end, &flag);
    case SX_JSON_NUMBER:
        return scan_number(json, &start, &flag);
    case SX_JSON_BOOLEAN:
        return sx_json_boolean(json, &flag);
    case SX_JSON_NULL:
        return sx_json_null(json) || fail_at(json, json->position, "a value is expected");
    default:
        return false;
    }
}

bool sx_json_skip(sx_json *json)
{
    unsigned outside = json->depth;
    do {
        sx_json_type type = sx_json_peek(json);
        if (type == SX_JSON_OBJECT)
            sx_json_object(json);
        else if (type == SX_JSON_ARRAY)
            sx_json_array(json);
        else
            skip_scalar(json, type);
        /* On to the next value, or out of the containers that end here. */
        while (!json->problem && json->depth > outside) {
            bool object = is_object(json);
            if (object ? next_item(json, true, '}') && read_key(json, NULL, NULL) : sx_json_element(json))
                break;
        }
    } while (!json->problem && json->want_value);
    return !json->problem;
}

bool sx_json_raw(sx_json *json, sx_text *value)
{
    *value = (sx_text){"", 0};
    if (!at_value(json))
        return false;
    size_t start = json->position;
    if (!sx_json_skip(json))
        return false;
    *value = (sx_text){(const char *)json->data + start, json->position - start};
    return true;
}

bool sx_json_end(sx_json *json)
{
    if (json->problem)
        return false;
    if (json->depth > 0 || json->want_value)
        return fail_at(json, json->position, "the text was not read to its end");
    skip_space(json);
    if (json->position < json->length)
        return fail_at(json, json->position, "something follows the value");
    return true;
}
