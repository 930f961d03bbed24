/* json_writer.c - writing JSON (RFC 8259) strings and the shortest numbers that read back as the same value.
 *
 * A vector file is mostly digits, and printf with a retry for each precision takes over a microsecond a number. Here the float
 * and the two borders of its rounding interval are scaled in double precision to nine integer digits; the shortest multiple of a
 * power of ten safely inside the interval is the answer. The products of doubles are off by less than 1e-6 of the last digit, the
 * margin is 1e-5, so a doubtful case costs a digit and never the value. What lies outside the exact powers of ten goes by printf.
 */
#include "json_writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char digits_of_hex[] = "0123456789abcdef";

/* Length of the well-formed UTF-8 sequence at text, or 0; then *bad is the length of the maximal subpart to replace
 * (Unicode 15, section 3.9, table 3-7). */
static size_t sequence_length(const unsigned char *text, size_t length, size_t *bad)
{
    unsigned char lead = text[0];
    size_t need = lead < 0x80                    ? 1
                  : lead >= 0xc2 && lead <= 0xdf ? 2
                  : (lead & 0xf0) == 0xe0        ? 3
                  : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                 : 0;
    *bad = 1;
    for (size_t i = 1; i < need; i++) {
        unsigned char low = 0x80, high = 0xbf;
        if (i == 1) {
            low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
            high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        }
        if (i >= length || text[i] < low || text[i] > high) {
            *bad = i;
            return 0;
        }
    }
    return need;
}

static void write_escape(sx_buffer *buffer, unsigned char byte)
{
    const char *short_form = NULL;
    switch (byte) {
    case '"': short_form = "\\\""; break;
    case '\\': short_form = "\\\\"; break;
    case '\b': short_form = "\\b"; break;
    case '\f': short_form = "\\f"; break;
    case '\n': short_form = "\\n"; break;
    case '\r': short_form = "\\r"; break;
    case '\t': short_form = "\\t"; break;
    default: break;
    }
    char long_form[] = {'\\', 'u', '0', '0', digits_of_hex[byte >> 4], digits_of_hex[byte & 15]};
    if (short_form)
        sx_buffer_append(buffer, short_form, 2);
    else
        sx_buffer_append(buffer, long_form, sizeof long_form);
}

/* U+0085, U+2028 and U+2029 end lines for some readers (Python's str.splitlines()), which would cut a line of JSONL in two. */
static const char *line_end(const unsigned char *bytes, size_t step)
{
    if (step == 2 && bytes[0] == 0xc2 && bytes[1] == 0x85)
        return "\\u0085";
    if (step == 3 && bytes[0] == 0xe2 && bytes[1] == 0x80 && (bytes[2] == 0xa8 || bytes[2] == 0xa9))
        return bytes[2] == 0xa8 ? "\\u2028" : "\\u2029";
    return NULL;
}

bool sx_json_write_string(sx_buffer *buffer, const char *text, size_t length)
{
    if (!text)
        return sx_buffer_append_string(buffer, "null");
    const unsigned char *bytes = (const unsigned char *)text;
    sx_buffer_append_byte(buffer, '"');
    size_t plain = 0; /* start of what can be copied as it is */
    for (size_t i = 0; i < length;) {
        unsigned char byte = bytes[i];
        size_t bad, step = byte < 0x80 ? 1 : sequence_length(bytes + i, length - i, &bad);
        const char *end = line_end(bytes + i, step);
        if (step && byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7f && !end) {
            i += step;
            continue;
        }
        sx_buffer_append(buffer, text + plain, i - plain);
        if (end)
            sx_buffer_append_string(buffer, end);
        else if (step)
            write_escape(buffer, byte);
        else
            sx_buffer_append_string(buffer, "\xef\xbf\xbd");
        i += step ? step : bad;
        plain = i;
    }
    sx_buffer_append(buffer, text + plain, length - plain);
    return sx_buffer_append_byte(buffer, '"');
}

/* digits without a point, value = 0.digits x 10^exponent. Positional notation where people expect it, else scientific. */
static bool write_decimal(sx_buffer *buffer, bool negative, const char *digits, int count, int exponent)
{
    char text[64];
    int used = 0;
    if (negative)
        text[used++] = '-';
    if (exponent > -4 && exponent <= 16) {
        if (exponent <= 0) {
            text[used++] = '0';
            text[used++] = '.';
            for (int i = exponent; i < 0; i++)
                text[used++] = '0';
            memcpy(text + used, digits, (size_t)count);
            used += count;
        } else {
            for (int i = 0; i < exponent || i < count; i++) {
                if (i == exponent)
                    text[used++] = '.';
                text[used++] = i < count ? digits[i] : '0';
            }
            if (count <= exponent) {
                text[used++] = '.';
                text[used++] = '0';
            }
        }
    } else {
        text[used++] = digits[0];
        if (count > 1) {
            text[used++] = '.';
            memcpy(text + used, digits + 1, (size_t)count - 1);
            used += count - 1;
        }
        used += snprintf(text + used, sizeof text - (size_t)used, "e%+03d", exponent - 1);
    }
    return sx_buffer_append(buffer, text, (size_t)used);
}

/* By printf: the fewest significant digits between `from` and `to` that read back as the value. */
static bool write_by_printf(sx_buffer *buffer, double value, bool is_float, int from, int to)
{
    char text[64];
    for (int precision = from; precision <= to; precision++) {
        snprintf(text, sizeof text, "%.*e", precision - 1, value);
        double back = strtod(text, NULL);
        if (is_float ? (float)back == (float)value && strtof(text, NULL) == (float)value : back == value)
            break;
    }
    /* "d.ddde+xx": the digits and the exponent are taken out, so the locale's decimal point does not matter. */
    char digits[32];
    int count = 0;
    char *at = text + (text[0] == '-');
    for (; *at && *at != 'e'; at++)
        if (*at >= '0' && *at <= '9' && count < (int)sizeof digits)
            digits[count++] = *at;
    long exponent = *at == 'e' ? strtol(at + 1, NULL, 10) : 0;
    while (count > 1 && digits[count - 1] == '0')
        count--;
    return write_decimal(buffer, text[0] == '-', digits, count, (int)exponent + 1);
}

enum { FLOAT_DIGITS = 9, DIGITS = 20 /* of 64 bits */, MOST_POWER = 22 /* of ten that a double holds exactly */ };
static const double exact_powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                      1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static double scale_by_ten(double value, int power)
{
    return power >= 0 ? value * exact_powers[power] : value / exact_powers[-power];
}

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051"
                                  "52535455565758596061626364656667686970717273747576777879808182838485868788899091929394959697"
                                  "9899";

/* Decimal digits of a number below 10^10, two at a time from the last; returns how many. */
static int write_digits(uint64_t number, char digits[DIGITS])
{
    char reversed[DIGITS];
    int at = DIGITS;
    while (number >= 100) {
        at -= 2;
        memcpy(reversed + at, digit_pairs + number % 100 * 2, 2);
        number /= 100;
    }
    at -= number >= 10 ? 2 : 1;
    if (number >= 10)
        memcpy(reversed + at, digit_pairs + number * 2, 2);
    else
        reversed[at] = (char)('0' + number);
    memcpy(digits, reversed + at, (size_t)(DIGITS - at));
    return DIGITS - at;
}

/* The next float above or below a positive normal one. */
static double neighbour(float value, int direction)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits += (uint32_t)direction;
    memcpy(&value, &bits, sizeof bits);
    return (double)value;
}

/* The power of ten that brings the float to nine digits, or one more than that: from its binary exponent, as 2^10 is hardly more
 * than 10^3. */
static int first_power(float size)
{
    uint32_t bits;
    memcpy(&bits, &size, sizeof bits);
    int exponent = (int)(bits >> 23) - 127, tens = (exponent * 1233 >> 12);
    int power = FLOAT_DIGITS - 1 - tens;
    return power > MOST_POWER ? MOST_POWER : power;
}

bool sx_json_write_float(sx_buffer *buffer, float value)
{
    if (!isfinite(value))
        return sx_buffer_append_string(buffer, "null");
    bool negative = signbit(value) != 0;
    if (value == 0)
        return sx_buffer_append_string(buffer, negative ? "-0.0" : "0.0");
    float size = fabsf(value);
    if (size < 1e-12f || size > 1e20f)
        return write_by_printf(buffer, (double)value, true, 1, FLOAT_DIGITS);

    double exact = (double)size;
    double low = (exact + neighbour(size, -1)) / 2, high = (exact + neighbour(size, 1)) / 2;
    int power = first_power(size);
    double scaled = scale_by_ten(exact, power);
    if (scaled >= 1e9)
        scaled = scale_by_ten(exact, --power);
    low = scale_by_ten(low, power) + 1e-5;
    high = scale_by_ten(high, power) - 1e-5;

    /* Whether a multiple lies in the interval is seen in whole numbers first: a division of doubles takes far longer. */
    static const int64_t units[] = {1000, 100, 10, 1};
    int64_t best = (int64_t)(scaled + 0.5), above = (int64_t)high + 1, below = (int64_t)low;
    const bool fits[] = {above / 1000 * 1000 > below, above / 100 * 100 > below, above / 10 * 10 > below, true};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (!fits[i])
            continue;
        int64_t candidate = (int64_t)(scaled / (double)units[i] + 0.5) * units[i];
        if ((double)candidate > low && (double)candidate < high) {
            best = candidate;
            break;
        }
    }
    char digits[DIGITS];
    int count = write_digits((uint64_t)best, digits);
    int exponent = count - power;
    while (count > 1 && digits[count - 1] == '0')
        count--;
    return write_decimal(buffer, negative, digits, count, exponent);
}

bool sx_json_write_double(sx_buffer *buffer, double value)
{
    if (!isfinite(value))
        return sx_buffer_append_string(buffer, "null");
    if (value == 0)
        return sx_buffer_append_string(buffer, signbit(value) ? "-0.0" : "0.0");
    return write_by_printf(buffer, value, false, 15, 17);
}

bool sx_json_write_integer(sx_buffer *buffer, int64_t value)
{
    return sx_buffer_printf(buffer, "%lld", (long long)value);
}

bool sx_json_write_floats(sx_buffer *buffer, const float *values, size_t count)
{
    sx_buffer_append_byte(buffer, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            sx_buffer_append_byte(buffer, ',');
        sx_json_write_float(buffer, values[i]);
    }
    return sx_buffer_append_byte(buffer, ']');
}

bool sx_json_write_base64(sx_buffer *buffer, const void *data, size_t length)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = data;
    char chunk[256];
    size_t used = 0;
    sx_buffer_append_byte(buffer, '"');
    for (size_t i = 0; i < length; i += 3) {
        unsigned long group = (unsigned long)bytes[i] << 16;
        group |= i + 1 < length ? (unsigned long)bytes[i + 1] << 8 : 0;
        group |= i + 2 < length ? bytes[i + 2] : 0;
        chunk[used++] = digits[group >> 18 & 63];
        chunk[used++] = digits[group >> 12 & 63];
        chunk[used++] = i + 1 < length ? digits[group >> 6 & 63] : '=';
        chunk[used++] = i + 2 < length ? digits[group & 63] : '=';
        if (used == sizeof chunk || i + 3 >= length) {
            sx_buffer_append(buffer, chunk, used);
            used = 0;
        }
    }
    return sx_buffer_append_byte(buffer, '"');
}
