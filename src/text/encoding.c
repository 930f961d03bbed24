/* encoding.c - what encoding bytes are in, and turning them into UTF-8.
 *
 * The order of trust: a byte order mark; UTF-8, which other encodings' text hardly ever is by chance; UTF-16 and UTF-32 without
 * a mark, told by what their units decode to; a declared encoding; at last statistics of neighbouring bytes. For the statistics
 * each candidate gives every non-ASCII character a mark between 0 (never seen in that language family) and 1 (typical); the
 * mean, weighted by bytes, is compared. Ranges are those of JIS X 0208 (Shift_JIS), GB 2312 inside GB 18030, and the two
 * Windows code pages.
 * U+FFFD stands for each maximal invalid part (Unicode 15, section 3.9) and their number is part of the encoding's name. */
#include "encoding.h"

#include "../base/buffer.h"
#include "../base/error.h"

#include <errno.h>
#include <iconv.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

enum { SAMPLE = 256 * 1024 };
static const char replacement[] = "\xef\xbf\xbd";

/* ---- UTF-8 ---- */

/* Length of the well-formed sequence at `at`, or 0; *invalid is then the length of the maximal invalid part (at least 1). */
static size_t utf8_sequence(const unsigned char *at, size_t left, size_t *invalid)
{
    unsigned char lead = at[0], low = 0x80, high = 0xbf;
    size_t need;
    *invalid = 1;
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf) {
        need = 2;
    } else if ((lead & 0xf0) == 0xe0) {
        need = 3;
        low = lead == 0xe0 ? 0xa0 : 0x80;
        high = lead == 0xed ? 0x9f : 0xbf;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        need = 4;
        low = lead == 0xf0 ? 0x90 : 0x80;
        high = lead == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    for (size_t i = 1; i < need; i++) {
        if (i >= left || at[i] < low || at[i] > high) {
            *invalid = i;
            return 0;
        }
        low = 0x80;
        high = 0xbf;
    }
    return need;
}

size_t sx_encoding_utf8_prefix(const void *data, size_t length)
{
    const unsigned char *bytes = data;
    size_t at = 0, invalid;
    while (at < length) {
        uint64_t eight;
        if (length - at >= sizeof eight) {
            memcpy(&eight, bytes + at, sizeof eight);
            if (!(eight & UINT64_C(0x8080808080808080))) {
                at += sizeof eight;
                continue;
            }
        }
        size_t step = utf8_sequence(bytes + at, length - at, &invalid);
        if (!step)
            break;
        at += step;
    }
    return at;
}

static bool append_code_point(sx_buffer *buffer, uint32_t code)
{
    char *room = sx_buffer_room(buffer, 4);
    if (!room)
        return false;
    buffer->length += (size_t)utf8proc_encode_char((utf8proc_int32_t)code, (utf8proc_uint8_t *)room);
    return true;
}

static bool is_space(uint32_t code)
{
    if (code <= 0x20)
        return code == ' ' || (code >= '\t' && code <= '\r');
    return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200b) || code == 0x2028 ||
           code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x2060 || code == 0x3000 || code == 0xfeff;
}

bool sx_encoding_is_blank(const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        utf8proc_int32_t code;
        utf8proc_ssize_t step = utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(length - at), &code);
        if (step <= 0 || !is_space((uint32_t)code))
            return false;
        at += (size_t)step;
    }
    return true;
}

/* ---- Results ---- */

static sx_status finish(sx_buffer *buffer, const char *name, size_t replaced, sx_decoded *decoded, sx_error *error)
{
    size_t length = buffer->length, asked = buffer->capacity;
    char *text = sx_buffer_take(buffer);
    if (!text)
        return sx_fail_nomem(error, asked);
    *decoded = (sx_decoded){.text = text, .length = length};
    if (replaced)
        snprintf(decoded->encoding, sizeof decoded->encoding, "%.40s, %zu invalid sequence%s replaced", name, replaced,
                 replaced == 1 ? "" : "s");
    else
        snprintf(decoded->encoding, sizeof decoded->encoding, "%.40s", name);
    return SX_OK;
}

static sx_status decode_broken_utf8(const unsigned char *bytes, size_t length, sx_decoded *decoded, sx_error *error)
{
    sx_buffer buffer = {.maximum = SIZE_MAX / 4};
    size_t replaced = 0;
    if (length >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3)) {
        bytes += 3;
        length -= 3;
    }
    for (size_t at = 0; at < length;) {
        size_t valid = sx_encoding_utf8_prefix(bytes + at, length - at), invalid;
        sx_buffer_append(&buffer, bytes + at, valid);
        at += valid;
        if (at < length && !utf8_sequence(bytes + at, length - at, &invalid)) {
            sx_buffer_append(&buffer, replacement, 3);
            replaced++;
            at += invalid;
        }
    }
    return finish(&buffer, "utf-8", replaced, decoded, error);
}

/* ---- UTF-16 and UTF-32 ---- */

typedef struct wide_form {
    const char *name;
    unsigned unit; /* bytes */
    bool big;
    const char *mark;
    unsigned mark_length;
} wide_form;

/* UTF-32 first: its little-endian mark begins with UTF-16's. */
static const wide_form wide_forms[] = {
    {"utf-32le", 4, false, "\xff\xfe\0\0", 4},
    {"utf-32be", 4, true, "\0\0\xfe\xff", 4},
    {"utf-16le", 2, false, "\xff\xfe", 2},
    {"utf-16be", 2, true, "\xfe\xff", 2},
};
enum { WIDE_FORMS = sizeof wide_forms / sizeof wide_forms[0], NO_CODE = 0x110000 };

/* The code point at `at`, NO_CODE when there is none; *step is how many bytes it took. */
static uint32_t wide_code(const wide_form *form, const unsigned char *at, size_t left, size_t *step)
{
    if (left < form->unit) {
        *step = left;
        return NO_CODE;
    }
    uint32_t code = 0;
    for (unsigned i = 0; i < form->unit; i++)
        code = code << 8 | at[form->big ? i : form->unit - 1 - i];
    *step = form->unit;
    if (form->unit == 4)
        return code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? NO_CODE : code;
    if (code < 0xd800 || code > 0xdfff)
        return code;
    if (code >= 0xdc00 || left < 4)
        return NO_CODE;
    uint32_t second = form->big ? (uint32_t)at[2] << 8 | at[3] : (uint32_t)at[3] << 8 | at[2];
    if (second < 0xdc00 || second > 0xdfff)
        return NO_CODE;
    *step = 4;
    return 0x10000 + ((code - 0xd800) << 10) + (second - 0xdc00);
}

/* Unassigned, private or C1 control. */
static bool is_unlikely(uint32_t code)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    return category == UTF8PROC_CATEGORY_CN || category == UTF8PROC_CATEGORY_CO ||
           (category == UTF8PROC_CATEGORY_CC && code >= 0x80);
}

/* How much like text the units are: negative when they are not, else higher for more likely. Right byte order shows in
 * neighbours of one block (equal upper bytes) and in plain spaces and line ends. */
static double wide_plausibility(const wide_form *form, const unsigned char *bytes, size_t length)
{
    size_t total = 0, bad = 0, ascii = 0, same = 0, step;
    uint32_t before = NO_CODE;
    for (size_t at = 0; at < length && at < SAMPLE; at += step) {
        uint32_t code = wide_code(form, bytes + at, length - at, &step);
        total++;
        bool control = code < 0x20 && !is_space(code) && code != 0x1b;
        if (code == NO_CODE || control) {
            bad++;
        } else if (code >= 0x80) {
            bad += is_unlikely(code);
        } else {
            ascii++;
        }
        same += before != NO_CODE && code >> 8 == before >> 8;
        before = code;
    }
    if (!total || (double)bad > 0.02 * (double)total)
        return -1;
    return (double)same / (double)total + 2.0 * (double)ascii / (double)total;
}

static sx_status decode_wide(const wide_form *form, const unsigned char *bytes, size_t length, sx_decoded *decoded,
                             sx_error *error)
{
    sx_buffer buffer = {.maximum = SIZE_MAX / 4};
    size_t replaced = 0, step;
    for (size_t at = 0; at < length; at += step) {
        uint32_t code = wide_code(form, bytes + at, length - at, &step);
        replaced += code == NO_CODE;
        append_code_point(&buffer, code == NO_CODE ? 0xfffd : code);
    }
    return finish(&buffer, form->name, replaced, decoded, error);
}

/* A marked text may hold some lone surrogates or control characters and still be text; a third of nonsense is not. */
static bool marked_is_text(const wide_form *form, const unsigned char *bytes, size_t length)
{
    size_t total = 0, bad = 0, step;
    for (size_t at = 0; at < length && at < SAMPLE; at += step) {
        uint32_t code = wide_code(form, bytes + at, length - at, &step);
        total++;
        bad += code == NO_CODE || (code < 0x20 && !is_space(code) && code != 0x1b) || is_unlikely(code);
    }
    return bad <= 2 + total / 8;
}

static const wide_form *form_by_mark(const unsigned char *bytes, size_t length)
{
    for (size_t i = 0; i < WIDE_FORMS; i++) {
        const wide_form *form = &wide_forms[i];
        if (length >= form->mark_length && !memcmp(bytes, form->mark, form->mark_length) &&
            marked_is_text(form, bytes + form->mark_length, length - form->mark_length))
            return form;
    }
    return NULL;
}

static const wide_form *form_without_mark(const unsigned char *bytes, size_t length)
{
    const wide_form *best = NULL;
    double best_score = 0.3;
    for (size_t i = 0; i < WIDE_FORMS; i++) {
        if (length < 4 || length % wide_forms[i].unit)
            continue;
        double score = wide_plausibility(&wide_forms[i], bytes, length);
        if (score > best_score) {
            best_score = score;
            best = &wide_forms[i];
        }
    }
    return best;
}

/* ---- 8-bit and multi-byte encodings by statistics ---- */

static bool is_ascii_letter(unsigned char byte)
{
    return (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
}

/* Quotes, dashes, ellipsis, non-breaking space, sections and the like at the places both Windows code pages share. */
static bool is_shared_sign(unsigned char byte)
{
    static const unsigned char signs[] = {0x84, 0x85, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x99,
                                          0xa0, 0xa7, 0xa9, 0xab, 0xae, 0xb0, 0xb1, 0xb7, 0xbb};
    return memchr(signs, byte, sizeof signs) != NULL;
}

static double mark_1252(const unsigned char *at, unsigned char before, unsigned char after)
{
    unsigned char byte = at[0];
    if (is_shared_sign(byte) || byte == 0x80 || byte == 0xbf || byte == 0xa1 || byte == 0xa3 || byte == 0xb2 || byte == 0xb5)
        return 0.8;
    bool letter = byte >= 0xc0 && byte != 0xd7 && byte != 0xf7;
    bool other_case =
        byte == 0x8a || byte == 0x8c || byte == 0x8e || byte == 0x9a || byte == 0x9c || byte == 0x9e || byte == 0x9f;
    if (!letter && !other_case)
        return byte >= 0xa0 ? 0.3 : 0.05;
    if (byte >= 0xc0 && byte <= 0xde && before >= 'a' && before <= 'z')
        return 0.15; /* a capital after a small letter */
    if (is_ascii_letter(before) || is_ascii_letter(after))
        return byte == 0xd0 || byte == 0xde || byte == 0xf0 || byte == 0xfe ? 0.5 : 1;
    return before >= 0x80 || after >= 0x80 ? 0.2 : 0.7;
}

static bool is_cyrillic_1251(unsigned char byte)
{
    return byte >= 0xc0 || byte == 0xa8 || byte == 0xb8 || byte == 0xb2 || byte == 0xb3 || byte == 0xaa || byte == 0xba ||
           byte == 0xaf || byte == 0xbf || byte == 0xa5 || byte == 0xb4;
}

static double mark_1251(const unsigned char *at, unsigned char before, unsigned char after)
{
    unsigned char byte = at[0];
    if (!is_cyrillic_1251(byte))
        return is_shared_sign(byte) || byte == 0xb9 ? 0.8 : 0.05;
    if (is_ascii_letter(before) || is_ascii_letter(after))
        return 0.1;
    bool capital = byte >= 0xc0 && byte <= 0xdf;
    if (capital && before >= 0xe0)
        return 0.1;
    if (byte == 0xda || byte == 0xdc || byte == 0xfa || byte == 0xdd || byte == 0xf9)
        return 0.4; /* hard sign, capital soft sign, e and shcha are rare */
    return is_cyrillic_1251(before) || is_cyrillic_1251(after) ? 1 : 0.7;
}

/* Both return how many bytes the character takes, 0 when it is none. */
static size_t mark_shift_jis(const unsigned char *at, size_t left, double *mark)
{
    unsigned char lead = at[0];
    if (lead >= 0xa1 && lead <= 0xdf) {
        *mark = 0.15; /* half-width katakana */
        return 1;
    }
    if (!((lead >= 0x81 && lead <= 0x9f) || (lead >= 0xe0 && lead <= 0xfc)) || left < 2)
        return 0;
    unsigned char trail = at[1];
    if (trail < 0x40 || trail == 0x7f || trail > 0xfc)
        return 0;
    if ((lead == 0x81 && trail <= 0xac) || (lead == 0x82 && trail >= 0x4f) || (lead == 0x83 && trail <= 0x96))
        *mark = 1; /* punctuation, full-width letters, kana */
    else if (lead >= 0x88 && lead <= 0x98)
        *mark = 0.9; /* level 1 kanji */
    else
        *mark = (lead >= 0x99 && lead <= 0x9f) || (lead >= 0xe0 && lead <= 0xea) ? 0.3 : 0.1;
    return 2;
}

static size_t mark_gb18030(const unsigned char *at, size_t left, double *mark)
{
    unsigned char lead = at[0];
    if (lead < 0x81 || lead == 0xff || left < 2)
        return 0;
    unsigned char trail = at[1];
    if (trail >= 0x30 && trail <= 0x39) {
        if (left < 4 || at[2] < 0x81 || at[2] == 0xff || at[3] < 0x30 || at[3] > 0x39)
            return 0;
        *mark = 0.1;
        return 4;
    }
    if (trail < 0x40 || trail == 0x7f || trail == 0xff)
        return 0;
    if (trail < 0xa1 || lead < 0xa1)
        *mark = 0.1; /* GBK's additions */
    else if (lead <= 0xa3 || (lead >= 0xb0 && lead <= 0xd7))
        *mark = 0.95; /* punctuation, full-width letters, level 1 hanzi */
    else
        *mark = lead >= 0xd8 && lead <= 0xf7 ? 0.35 : 0.2;
    return 2;
}

typedef struct candidate {
    const char *name, *converter; /* for people, for iconv */
    double (*single)(const unsigned char *at, unsigned char before, unsigned char after);
    size_t (*multiple)(const unsigned char *at, size_t left, double *mark);
} candidate;

static const candidate candidates[] = {
    {"windows-1252", "CP1252", mark_1252, NULL},
    {"windows-1251", "CP1251", mark_1251, NULL},
    {"shift-jis", "CP932", NULL, mark_shift_jis},
    {"gb18030", "GB18030", NULL, mark_gb18030},
};
enum { CANDIDATES = sizeof candidates / sizeof candidates[0] };

/* The mean mark of the non-ASCII characters in a sample. */
static double plausibility(const candidate *who, const unsigned char *bytes, size_t length)
{
    double sum = 0;
    size_t weight = 0, wrong = 0;
    for (size_t at = 0; at < length;) {
        if (bytes[at] < 0x80) {
            at++;
            continue;
        }
        double mark = 0;
        size_t step = 1;
        if (who->single) {
            mark = who->single(bytes + at, at ? bytes[at - 1] : ' ', at + 1 < length ? bytes[at + 1] : ' ');
        } else {
            step = who->multiple(bytes + at, length - at, &mark);
            if (!step) {
                wrong += length - at > 3; /* the sample may end inside a character */
                step = 1;
            }
        }
        sum += mark * (double)step;
        weight += step;
        at += step;
    }
    if (!weight)
        return 0;
    return sum / (double)weight - 2.0 * (double)wrong / (double)weight;
}

static const candidate *most_plausible(const unsigned char *bytes, size_t length)
{
    size_t first = 0;
    while (first < length && bytes[first] < 0x80)
        first++;
    first = first > 64 ? first - 64 : 0;
    size_t sample = length - first < SAMPLE ? length - first : SAMPLE;
    size_t high = 0;
    for (size_t i = 0; i < sample; i++)
        high += bytes[first + i] >= 0x80;
    const candidate *best = &candidates[0];
    if (high < 8 && high * 3 < sample)
        return best;                                                     /* too little to go by */
    double best_score = plausibility(best, bytes + first, sample) + 0.1; /* what speaks against it must speak clearly */
    for (size_t i = 1; i < CANDIDATES; i++) {
        double score = plausibility(&candidates[i], bytes + first, sample);
        if (score > best_score && score >= 0.5) {
            best_score = score;
            best = &candidates[i];
        }
    }
    return best;
}

/* ---- Conversion ---- */

static sx_status convert(const char *name, const char *converter, const unsigned char *bytes, size_t length, sx_decoded *decoded,
                         sx_error *error)
{
    iconv_t handle = iconv_open("UTF-8", converter);
    if (handle == (iconv_t)-1)
        return errno == ENOMEM ? sx_fail_nomem(error, 0)
                               : sx_fail(error, SX_E_UNSUPPORTED, "text in %s, which this system cannot convert", name);
    sx_buffer buffer = {.maximum = SIZE_MAX / 4};
    char *in = (char *)(uintptr_t)bytes; /* iconv's type lacks the const it keeps */
    size_t left = length, replaced = 0;
    while (left && !buffer.failed) {
        size_t want = left < 4096 ? left * 4 + 16 : left + left / 2;
        char *out = sx_buffer_room(&buffer, want), *begin = out;
        if (!out)
            break;
        size_t result = iconv(handle, &in, &left, &out, &want);
        int why = errno;
        buffer.length += (size_t)(out - begin);
        if (result == (size_t)-1 && why == E2BIG)
            continue;
        if (result == (size_t)-1) {
            sx_buffer_append(&buffer, replacement, 3);
            replaced++;
            size_t skipped = why == EINVAL ? left : 1;
            in += skipped;
            left -= skipped;
        }
    }
    iconv_close(handle);
    return finish(&buffer, name, replaced, decoded, error);
}

/* Labels as web pages write them, to the encoding that is meant (WHATWG Encoding Standard): pages that say latin-1 mean
 * windows-1252. */
static const struct {
    const char *label, *name, *converter;
} labels[] = {
    {"iso-8859-1", "windows-1252", "CP1252"},
    {"latin1", "windows-1252", "CP1252"},
    {"latin-1", "windows-1252", "CP1252"},
    {"us-ascii", "windows-1252", "CP1252"},
    {"ascii", "windows-1252", "CP1252"},
    {"windows-1252", "windows-1252", "CP1252"},
    {"gb2312", "gb18030", "GB18030"},
    {"gbk", "gb18030", "GB18030"},
    {"gb18030", "gb18030", "GB18030"},
    {"shift_jis", "shift-jis", "CP932"},
    {"shift-jis", "shift-jis", "CP932"},
    {"sjis", "shift-jis", "CP932"},
    {"x-sjis", "shift-jis", "CP932"},
    {"windows-31j", "shift-jis", "CP932"},
    {"euc-kr", "euc-kr", "CP949"},
    {"ks_c_5601-1987", "euc-kr", "CP949"},
    {"iso-8859-9", "windows-1254", "CP1254"},
    {"tis-620", "windows-874", "CP874"},
};

/* Fills name and converter for a declared label; false for labels that cannot be, or that say nothing about 8-bit text. */
static bool resolve_label(const char *declared, char name[41], char converter[41])
{
    size_t length = strlen(declared);
    if (!length || length > 40)
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)declared[i];
        if (!is_ascii_letter(byte) && !(byte >= '0' && byte <= '9') && byte != '-' && byte != '_')
            return false;
        name[i] = converter[i] = (char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
    }
    name[length] = converter[length] = '\0';
    if (!strncmp(name, "utf", 3) || !strncmp(name, "ucs", 3) || !strncmp(name, "iso-10646", 9) || !strncmp(name, "unicode", 7))
        return false;
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
        if (!strcmp(name, labels[i].label)) {
            snprintf(name, 41, "%s", labels[i].name);
            snprintf(converter, 41, "%s", labels[i].converter);
            return true;
        }
    }
    iconv_t handle = iconv_open("UTF-8", converter);
    if (handle == (iconv_t)-1)
        return false;
    iconv_close(handle);
    return true;
}

/* ---- What the bytes are ---- */

typedef struct byte_facts {
    size_t nuls, first_nul, controls, high; /* controls without NUL and what text files hold */
} byte_facts;

static byte_facts count_bytes(const unsigned char *bytes, size_t length)
{
    byte_facts facts = {0};
    size_t histogram[256] = {0};
    for (size_t i = 0; i < length; i++)
        histogram[bytes[i]]++;
    facts.nuls = histogram[0];
    if (facts.nuls)
        facts.first_nul = (size_t)((const unsigned char *)memchr(bytes, 0, length) - bytes);
    for (unsigned i = 1; i < 0x20; i++)
        if (!(i >= '\b' && i <= '\r') && i != 0x1b && i != 0x1a)
            facts.controls += histogram[i];
    facts.controls += histogram[0x7f];
    for (unsigned i = 0x80; i < 256; i++)
        facts.high += histogram[i];
    return facts;
}

/* Are the bytes UTF-8 with a few accidents? Latin and Cyrillic 8-bit text has hardly a well-formed sequence in it. */
static bool is_mostly_utf8(const unsigned char *bytes, size_t length)
{
    size_t good = 0, bad = 0, invalid;
    for (size_t at = 0; at < length;) {
        size_t step = utf8_sequence(bytes + at, length - at, &invalid);
        good += step > 1;
        bad += step == 0;
        at += step ? step : invalid;
    }
    return good >= 2 * bad;
}

static sx_status keep_bytes(size_t length, size_t nuls, sx_decoded *decoded)
{
    *decoded = (sx_decoded){.length = length, .is_bytes = true};
    if (nuls)
        snprintf(decoded->encoding, sizeof decoded->encoding, "utf-8, %zu NUL byte%s", nuls, nuls == 1 ? "" : "s");
    else
        snprintf(decoded->encoding, sizeof decoded->encoding, "utf-8");
    return SX_OK;
}

sx_status sx_decode(const void *data, size_t length, const char *declared, sx_decoded *decoded, sx_error *error)
{
    const unsigned char *bytes = data;
    *decoded = (sx_decoded){0};
    if (!length)
        return keep_bytes(0, 0, decoded);
    const wide_form *form = form_by_mark(bytes, length);
    if (form)
        return decode_wide(form, bytes + form->mark_length, length - form->mark_length, decoded, error);

    byte_facts facts = count_bytes(bytes, length);
    bool is_utf8 = sx_encoding_utf8_prefix(bytes, length) == length;
    if (facts.nuls) {
        form = form_without_mark(bytes, length);
        if (form)
            return decode_wide(form, bytes, length, decoded, error);
        if (is_utf8 && !facts.controls && facts.nuls <= length / 10)
            return keep_bytes(length, facts.nuls, decoded);
        return sx_fail(error, SX_E_UNSUPPORTED, "binary file (NUL byte at %zu)", facts.first_nul);
    }
    size_t allowed = is_utf8 ? length / 10 : length / 33;
    if (facts.controls > allowed)
        return sx_fail(error, SX_E_UNSUPPORTED, "binary file (%zu control bytes in %zu)", facts.controls, length);

    char name[41], converter[41];
    bool labelled = declared && resolve_label(declared, name, converter);
    bool stateful = labelled && !strncmp(name, "iso-2022-", 9) && memchr(bytes, 0x1b, length);
    if (is_utf8 && !stateful)
        return keep_bytes(length, 0, decoded);
    if (!stateful && ((length >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3)) || is_mostly_utf8(bytes, length)))
        return decode_broken_utf8(bytes, length, decoded, error);
    if (labelled)
        return convert(name, converter, bytes, length, decoded, error);
    const candidate *best = most_plausible(bytes, length);
    return convert(best->name, best->converter, bytes, length, decoded, error);
}

void sx_decoded_clear(sx_decoded *decoded)
{
    free(decoded->text);
    *decoded = (sx_decoded){0};
}
