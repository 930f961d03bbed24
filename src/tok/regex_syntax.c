/* regex_syntax.c - Oniguruma's syntax (its document RE, version 6.9) rewritten for PCRE2 (pcre2pattern(3)).
 *
 * One pass over the pattern. Everything whose meaning differs is spelt out: character types by the properties Oniguruma takes
 * them from, dots by what they exclude, options m and x by their effect. An interval followed by + or a second quantifier
 * of any kind repeats what is before it, so the output remembers where the last atom began. Sets within sets and
 * intersections, which PCRE2 lacks, become alternatives and look-aheads of one character. */
#include "regex_syntax.h"

#include "../base/code_point.h"
#include "../base/error.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { DEEPEST = 100, MOST_NAME = 64, NO_ATOM = -1 };

#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
/* A quirk of Oniguruma: outside classes the numbers among Latin-1's signs are word characters too. */
#define LONE_WORD WORD "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"
#define SPACE "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define LINE_END "\\x{a}-\\x{d}\\x{85}\\x{2028}\\x{2029}"

typedef struct translation {
    const char *pattern;
    size_t length, at;
    const char *where;
    sx_buffer *out;
    sx_error *error;
    bool named;           /* a group has a name: plain groups then do not capture */
    unsigned depth;
} translation;

/* The options in force, which end with the group they are in. */
typedef struct options {
    bool any, extended, ignore_case; /* m: the dot takes line ends too; x; i */
} options;

static sx_status fail(const translation *t, sx_status status, const char *what)
{
    return sx_fail(t->error, status, "%s: regular expression '%.*s', byte %zu: %s", t->where,
                   (int)(t->length > 200 ? 200 : t->length), t->pattern, t->at, what);
}

static bool has(const translation *t, const char *text)
{
    size_t length = strlen(text);
    return t->length - t->at >= length && !memcmp(t->pattern + t->at, text, length);
}

static bool skip(translation *t, const char *text)
{
    if (!has(t, text))
        return false;
    t->at += strlen(text);
    return true;
}

static void put(const translation *t, const char *text)
{
    sx_buffer_append_string(t->out, text);
}

static void put_code(sx_buffer *out, uint32_t code)
{
    sx_buffer_printf(out, "\\x{%x}", (unsigned)code);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Up to `most` digits of the base; how many there were. */
static size_t read_number(translation *t, unsigned base, size_t most, uint32_t *value)
{
    size_t count = 0;
    *value = 0;
    for (; count < most && t->at < t->length; count++, t->at++) {
        int digit = hex_digit(t->pattern[t->at]);
        if (digit < 0 || (unsigned)digit >= base || *value > (UINT32_MAX - 15) / base)
            break;
        *value = *value * base + (unsigned)digit;
    }
    return count;
}

static sx_status read_character(translation *t, uint32_t *code)
{
    sx_code_point point = sx_utf8_decode(t->pattern + t->at, t->length - t->at);
    if (!point.valid)
        return fail(t, SX_E_FORMAT, "invalid UTF-8");
    t->at += point.length;
    *code = point.code;
    return SX_OK;
}

/* --- Character properties --- */

static bool compiles(const char *pattern)
{
    int code;
    PCRE2_SIZE place;
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &code, &place, NULL);
    pcre2_code_free(compiled);
    return compiled != NULL;
}

/* Names in lower case without spaces, hyphens and underscores, as the content of a class. */
static const struct {
    const char *name, *content;
} properties[] = {
    {"alnum", "\\p{Alphabetic}\\p{Nd}"},
    {"alpha", "\\p{Alphabetic}"},
    {"ascii", "\\x{0}-\\x{7f}"},
    {"blank", "\\x{9}\\p{Zs}"},
    {"cntrl", "\\p{Cc}"},
    {"digit", "\\p{Nd}"},
    {"lower", "\\p{Lowercase}"},
    {"upper", "\\p{Uppercase}"},
    {"punct", "\\p{P}\\p{S}"},
    {"space", SPACE},
    {"word", WORD},
    {"xdigit", "0-9A-Fa-f"},
    {"letter", "\\p{L}"}, {"casedletter", "\\p{L&}"}, {"uppercaseletter", "\\p{Lu}"},
    {"lowercaseletter", "\\p{Ll}"}, {"titlecaseletter", "\\p{Lt}"}, {"modifierletter", "\\p{Lm}"},
    {"otherletter", "\\p{Lo}"}, {"mark", "\\p{M}"}, {"combiningmark", "\\p{M}"},
    {"nonspacingmark", "\\p{Mn}"}, {"spacingmark", "\\p{Mc}"}, {"enclosingmark", "\\p{Me}"},
    {"number", "\\p{N}"}, {"decimalnumber", "\\p{Nd}"}, {"letternumber", "\\p{Nl}"},
    {"othernumber", "\\p{No}"}, {"punctuation", "\\p{P}"}, {"connectorpunctuation", "\\p{Pc}"},
    {"dashpunctuation", "\\p{Pd}"}, {"openpunctuation", "\\p{Ps}"}, {"closepunctuation", "\\p{Pe}"},
    {"initialpunctuation", "\\p{Pi}"}, {"finalpunctuation", "\\p{Pf}"}, {"otherpunctuation", "\\p{Po}"},
    {"symbol", "\\p{S}"}, {"mathsymbol", "\\p{Sm}"}, {"currencysymbol", "\\p{Sc}"},
    {"modifiersymbol", "\\p{Sk}"}, {"othersymbol", "\\p{So}"}, {"separator", "\\p{Z}"},
    {"spaceseparator", "\\p{Zs}"}, {"lineseparator", "\\p{Zl}"}, {"paragraphseparator", "\\p{Zp}"},
    {"other", "\\p{C}"}, {"control", "\\p{Cc}"}, {"format", "\\p{Cf}"}, {"unassigned", "\\p{Cn}"},
    {"privateuse", "\\p{Co}"}, {"surrogate", "\\p{Cs}"}, {"any", "\\x{0}-\\x{10ffff}"},
    {"assigned", "\\P{Cn}"}, {"lc", "\\p{L&}"},
};

/* One character's worth of pattern: the content of a class, and alternatives to it that no class can hold. */
typedef struct set {
    sx_buffer items, others; /* others: "|[^...]|..." */
} set;

static void set_clear(set *s)
{
    sx_buffer_clear(&s->items);
    sx_buffer_clear(&s->others);
}

static void set_add(set *s, const char *content, bool complement)
{
    if (complement)
        sx_buffer_printf(&s->others, "|[^%s]", content);
    else
        sx_buffer_append_string(&s->items, content);
}

/* Writes the set as a pattern that matches one character. */
static void set_put(const set *s, bool negated, sx_buffer *out)
{
    if (!s->others.length && !s->items.length) {
        sx_buffer_append_string(out, negated ? "(?s:.)" : "(?!)");
        return;
    }
    if (!s->others.length) {
        sx_buffer_append_string(out, negated ? "[^" : "[");
        sx_buffer_append(out, s->items.data, s->items.length);
        sx_buffer_append_byte(out, ']');
        return;
    }
    sx_buffer_append_string(out, negated ? "(?:(?!" : "(?:");
    if (s->items.length) {
        sx_buffer_append_byte(out, '[');
        sx_buffer_append(out, s->items.data, s->items.length);
        sx_buffer_append_byte(out, ']');
        sx_buffer_append(out, s->others.data, s->others.length);
    } else {
        sx_buffer_append(out, s->others.data + 1, s->others.length - 1);
    }
    sx_buffer_append_string(out, negated ? ")(?s:.))" : ")");
    if (s->items.failed || s->others.failed)
        out->failed = true;
}

/* `name` as in \p{name} or [:name:]. */
static sx_status set_add_property(const translation *t, set *s, const char *name, size_t length, bool negated)
{
    char plain[MOST_NAME];
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        char c = name[i];
        if (c == ' ' || c == '-' || c == '_')
            continue;
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if ((!letter && !is_digit(c)) || count + 1 == sizeof plain)
            return fail(t, SX_E_UNSUPPORTED, "a character property of that name is not known");
        plain[count++] = letter ? (char)(c | 0x20) : c;
    }
    plain[count] = '\0';
    for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++)
        if (!strcmp(properties[i].name, plain)) {
            set_add(s, properties[i].content, negated);
            return SX_OK;
        }
    if (!strcmp(plain, "graph") || !strcmp(plain, "print")) {
        /* What is neither white space nor Cc, Cn or Cs; print has the space separators too. */
        const char *outside = plain[0] == 'g' ? SPACE "\\p{Cc}\\p{Cn}\\p{Cs}" : "\\p{Zl}\\p{Zp}\\p{Cc}\\p{Cn}\\p{Cs}";
        set_add(s, outside, !negated);
        return SX_OK;
    }
    char content[MOST_NAME + 16];
    for (int i = 0; i < 2; i++) { /* a script before all else: PCRE2 would take its extensions */
        snprintf(content, sizeof content, i == 0 ? "\\p{sc:%s}" : "\\p{%s}", plain);
        if (compiles(content)) {
            set_add(s, content, negated);
            return SX_OK;
        }
    }
    return fail(t, SX_E_UNSUPPORTED, "a character property of that name is not known");
}

/* Behind \p or \P. */
static sx_status read_property(translation *t, set *s, bool negated)
{
    if (!skip(t, "{")) { /* without braces p is a letter */
        put_code(&s->items, negated ? 'P' : 'p');
        return SX_OK;
    }
    if (skip(t, "^"))
        negated = !negated;
    const char *name = t->pattern + t->at;
    const char *end = memchr(name, '}', t->length - t->at);
    if (!end)
        return fail(t, SX_E_FORMAT, "no } after \\p{");
    sx_status status = set_add_property(t, s, name, (size_t)(end - name), negated);
    if (status == SX_OK)
        t->at = (size_t)(end - t->pattern) + 1;
    return status;
}

/* --- Escapes --- */

/* The escapes that are a set of characters; false when the one at hand, behind the backslash, is not. */
static bool read_set_escape(translation *t, set *s, bool in_class, sx_status *status)
{
    *status = SX_OK;
    char c = t->at < t->length ? t->pattern[t->at] : '\0';
    if (c == '\0' || !strchr("wWsSdDhHpP", c))
        return false;
    t->at++;
    if (c == 'p' || c == 'P') {
        *status = read_property(t, s, c == 'P');
        return true;
    }
    bool negated = c < 'a';
    switch (c | 0x20) {
    case 'w':
        set_add(s, in_class ? WORD : LONE_WORD, negated);
        break;
    case 's':
        set_add(s, SPACE, negated);
        break;
    case 'd':
        set_add(s, "\\p{Nd}", negated);
        break;
    default:
        set_add(s, "0-9A-Fa-f", negated);
    }
    return true;
}

/* An escape for one character, behind the backslash. */
static sx_status read_code_escape(translation *t, bool in_class, uint32_t *code)
{
    static const char letters[] = "tnrfaev";
    static const char values[] = "\t\n\r\f\a\033\v";
    if (t->at >= t->length)
        return fail(t, SX_E_FORMAT, "a backslash at the end");
    char c = t->pattern[t->at];
    const char *letter = strchr(letters, c);
    if (c && letter) {
        t->at++;
        *code = (unsigned char)values[letter - letters];
        return SX_OK;
    }
    if (in_class && c == 'b') {
        t->at++;
        *code = '\b';
        return SX_OK;
    }
    if (skip(t, "x{") || skip(t, "o{")) {
        unsigned base = t->pattern[t->at - 2] == 'x' ? 16 : 8;
        if (!read_number(t, base, 12, code) || !skip(t, "}"))
            return fail(t, SX_E_FORMAT, "a number in braces was expected");
    } else if (skip(t, "x")) {
        read_number(t, 16, 2, code);
    } else if (skip(t, "u")) {
        if (read_number(t, 16, 4, code) != 4)
            return fail(t, SX_E_FORMAT, "\\u takes four hexadecimal digits");
        return SX_OK;
    } else if (c == '0' || (in_class && is_digit(c))) {
        read_number(t, 8, 3, code);
    } else if (skip(t, "c") || skip(t, "C-")) {
        if (t->at >= t->length || (unsigned char)t->pattern[t->at] >= 0x80 || t->pattern[t->at] == '\\')
            return fail(t, SX_E_UNSUPPORTED, "this control character is not supported");
        *code = (unsigned char)t->pattern[t->at++] & 0x1f;
        return SX_OK;
    } else if (c == 'M' && has(t, "M-")) {
        return fail(t, SX_E_UNSUPPORTED, "\\M- is not supported");
    } else {
        return read_character(t, code);
    }
    if (*code > SX_LAST_CODE_POINT || (*code >= 0xd800 && *code < 0xe000))
        return fail(t, SX_E_FORMAT, "no character has this number");
    if (*code >= 0x80 && t->pattern[t->at - 1] != '}')
        return fail(t, SX_E_UNSUPPORTED, "bytes of a character one by one are not supported");
    return SX_OK;
}

/* --- Classes --- */

static sx_status translate_class(translation *t, sx_buffer *out);

/* [:name:] at hand; false, with nothing read, when it is something else. */
static bool read_posix(translation *t, set *s, sx_status *status)
{
    if (!has(t, "[:"))
        return false;
    size_t from = t->at + 2, to = from;
    bool negated = from < t->length && t->pattern[from] == '^';
    from = to = from + negated;
    while (to < t->length && ((t->pattern[to] | 0x20) >= 'a' && (t->pattern[to] | 0x20) <= 'z'))
        to++;
    if (to == from || t->length - to < 2 || memcmp(t->pattern + to, ":]", 2))
        return false;
    *status = set_add_property(t, s, t->pattern + from, to - from, negated);
    if (*status == SX_OK)
        t->at = to + 2;
    return true;
}

/* A character of a class, or a range. */
static sx_status read_range(translation *t, set *s)
{
    uint32_t first, last;
    sx_status status = skip(t, "\\") ? read_code_escape(t, true, &first) : read_character(t, &first);
    if (status != SX_OK)
        return status;
    put_code(&s->items, first);
    if (!has(t, "-") || t->length - t->at < 2 || t->pattern[t->at + 1] == ']' || has(t, "-["))
        return SX_OK;
    size_t dash = t->at++;
    if (has(t, "\\") && t->length - t->at >= 2 && strchr("wWsSdDhHpP", t->pattern[t->at + 1])) {
        t->at = dash;
        return fail(t, SX_E_FORMAT, "a set of characters ends a range");
    }
    status = skip(t, "\\") ? read_code_escape(t, true, &last) : read_character(t, &last);
    if (status == SX_OK && last < first)
        status = fail(t, SX_E_FORMAT, "a range from a higher to a lower character");
    if (status != SX_OK)
        return status;
    sx_buffer_append_byte(&s->items, '-');
    put_code(&s->items, last);
    return SX_OK;
}

/* Behind the opening bracket, up to and with the closing one. */
static sx_status translate_class(translation *t, sx_buffer *out)
{
    set s = {0};
    sx_buffer sides = {0}; /* of &&: "(?=...)" each */
    sx_status status = SX_OK;
    bool negated = skip(t, "^"), first = true;
    if (++t->depth > DEEPEST) {
        status = fail(t, SX_E_UNSUPPORTED, "nested too deeply");
        goto out;
    }
    for (;; first = false) {
        if (t->at >= t->length) {
            status = fail(t, SX_E_FORMAT, "no closing bracket");
            goto out;
        }
        if (!first && skip(t, "]"))
            break;
        if (skip(t, "&&")) {
            sx_buffer_append_string(&sides, "(?=");
            set_put(&s, false, &sides);
            sx_buffer_append_byte(&sides, ')');
            set_clear(&s);
            continue;
        }
        if (read_posix(t, &s, &status)) {
            /* added */
        } else if (skip(t, "[")) {
            sx_buffer_append_byte(&s.others, '|');
            status = translate_class(t, &s.others);
        } else {
            size_t at = t->at;
            if (!skip(t, "\\") || !read_set_escape(t, &s, true, &status)) {
                t->at = at;
                status = read_range(t, &s);
            }
        }
        if (status != SX_OK)
            goto out;
    }
    if (!sides.length) {
        set_put(&s, negated, out);
        goto out;
    }
    sx_buffer_append_string(out, negated ? "(?:(?!" : "(?:");
    sx_buffer_append(out, sides.data, sides.length);
    set_put(&s, false, out);
    sx_buffer_append_string(out, negated ? ")(?s:.))" : ")");

out:
    if (sides.failed)
        out->failed = true;
    t->depth--;
    set_clear(&s);
    sx_buffer_clear(&sides);
    return status;
}

/* --- Groups and quantifiers --- */

typedef struct group {
    options saved;   /* to return to behind it */
    size_t begin;    /* in the output */
    unsigned opened; /* groups that options in it opened */
} group;

typedef struct groups {
    group stack[DEEPEST];
    size_t count;
    options now;
    ptrdiff_t atom;  /* where in the output the last atom began; NO_ATOM: there is nothing to repeat */
    bool quantified; /* the atom ends with a quantifier */
} groups;

static sx_status open_group(const translation *t, groups *g, const char *opening)
{
    if (g->count == DEEPEST)
        return fail(t, SX_E_UNSUPPORTED, "nested too deeply");
    g->stack[g->count++] = (group){g->now, t->out->length, 0};
    put(t, opening);
    g->atom = NO_ATOM;
    return SX_OK;
}

/* (?imx-imx) and (?imx-imx:...), behind the question mark. */
static sx_status translate_options(translation *t, groups *g)
{
    options wanted = g->now;
    bool on = true;
    for (; t->at < t->length && t->pattern[t->at] != ')' && t->pattern[t->at] != ':'; t->at++)
        switch (t->pattern[t->at]) {
        case '-':
            on = false;
            break;
        case 'i':
            wanted.ignore_case = on;
            break;
        case 'm':
            wanted.any = on;
            break;
        case 'x':
            wanted.extended = on;
            break;
        default:
            return fail(t, SX_E_UNSUPPORTED, "a group option that is not supported");
        }
    if (t->at >= t->length)
        return fail(t, SX_E_FORMAT, "no end of the group's options");
    const char *opening = wanted.ignore_case ? "(?i:" : "(?-i:";
    if (t->pattern[t->at++] == ':') {
        sx_status status = open_group(t, g, opening);
        g->now = wanted;
        return status;
    }
    /* Alone they hold to the end of the group around them, its later alternatives included. */
    group *around = &g->stack[g->count - 1];
    around->opened++;
    put(t, opening);
    g->now = wanted;
    g->atom = NO_ATOM;
    return SX_OK;
}

/* Copies a name up to and with its end. */
static sx_status copy_name(translation *t, char end)
{
    const char *name = t->pattern + t->at, *stop = memchr(name, end, t->length - t->at);
    if (!stop || stop == name || stop - name > 30)
        return fail(t, SX_E_FORMAT, "a name of 1 to 30 characters was expected");
    for (const char *c = name; c < stop; c++)
        if (!is_digit(*c) && *c != '_' && !((*c | 0x20) >= 'a' && (*c | 0x20) <= 'z'))
            return fail(t, SX_E_UNSUPPORTED, "names other than letters, digits and _ are not supported");
    sx_buffer_append(t->out, name, (size_t)(stop - name));
    t->at += (size_t)(stop - name) + 1;
    return SX_OK;
}

static sx_status translate_opening(translation *t, groups *g)
{
    static const char *const same[] = {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"};
    if (has(t, "(*"))
        return fail(t, SX_E_UNSUPPORTED, "callouts are not supported");
    if (skip(t, "(?#")) {
        while (t->at < t->length && t->pattern[t->at] != ')')
            t->at += t->pattern[t->at] == '\\' ? 2 : 1;
        return skip(t, ")") ? SX_OK : fail(t, SX_E_FORMAT, "no end of a comment");
    }
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        if (skip(t, same[i]))
            return open_group(t, g, same[i]);
    if (skip(t, "(?<") || skip(t, "(?'")) {
        char end = t->pattern[t->at - 1] == '<' ? '>' : '\'';
        sx_status status = open_group(t, g, "(?<");
        if (status == SX_OK)
            status = copy_name(t, end);
        put(t, ">");
        return status;
    }
    if (skip(t, "(?("))  {
        uint32_t number;
        if (!read_number(t, 10, 4, &number) || !skip(t, ")"))
            return fail(t, SX_E_UNSUPPORTED, "this condition is not supported");
        char opening[24];
        snprintf(opening, sizeof opening, "(?(%u)", (unsigned)number);
        return open_group(t, g, opening);
    }
    if (skip(t, "(?"))
        return translate_options(t, g);
    t->at++;
    return open_group(t, g, t->named ? "(?:" : "(");
}

static void close_groups(const translation *t, groups *g)
{
    for (unsigned i = 0; i < g->stack[g->count - 1].opened; i++)
        put(t, ")");
}

static sx_status translate_closing(translation *t, groups *g)
{
    if (g->count == 1)
        return fail(t, SX_E_FORMAT, "a closing parenthesis without an opening one");
    close_groups(t, g);
    put(t, ")");
    const group *closed = &g->stack[--g->count];
    g->now = closed->saved;
    g->atom = (ptrdiff_t)closed->begin;
    g->quantified = false;
    t->at++;
    return SX_OK;
}

/* Puts (?:...) around what would be repeated a second time. */
static void wrap_quantified(const translation *t, groups *g)
{
    if (!g->quantified)
        return;
    put(t, "(?:");
    if (!t->out->failed) {
        char *atom = t->out->data + g->atom;
        memmove(atom + 3, atom, t->out->length - 3 - (size_t)g->atom);
        memcpy(atom, "(?:", 3);
    }
    put(t, ")");
}

/* A quantifier at hand; false when the brace is no interval and so a character. */
static bool translate_quantifier(translation *t, groups *g, sx_status *status)
{
    size_t from = t->at;
    bool interval = skip(t, "{"), fixed = false;
    uint32_t low = 0, high = 0;
    char text[48];
    *status = SX_OK;
    if (interval) {
        bool has_low = read_number(t, 10, 6, &low), comma = skip(t, ","), has_high = comma && read_number(t, 10, 6, &high);
        if ((!has_low && !has_high) || !skip(t, "}")) {
            t->at = from;
            return false;
        }
        fixed = !comma;
        if (has_high)
            snprintf(text, sizeof text, "{%u,%u}", (unsigned)low, (unsigned)high);
        else
            snprintf(text, sizeof text, comma ? "{%u,}" : "{%u}", (unsigned)low);
    } else {
        snprintf(text, sizeof text, "%c", t->pattern[t->at++]);
    }
    if (g->atom == NO_ATOM) {
        t->at = from;
        *status = fail(t, SX_E_FORMAT, "a quantifier with nothing to repeat");
        return true;
    }
    wrap_quantified(t, g);
    put(t, text);
    if (!fixed && skip(t, "?")) /* {n}? is a second quantifier */
        put(t, "?");
    else if (!interval && skip(t, "+"))
        put(t, "+");
    g->quantified = true;
    return true;
}

/* --- The pattern --- */

static sx_status translate_reference(translation *t, const char *letter)
{
    char end = t->pattern[t->at++] == '<' ? '>' : '\'';
    sx_buffer_printf(t->out, "\\%s", letter);
    size_t from = t->at;
    bool negative = skip(t, "-");
    uint32_t number;
    if (read_number(t, 10, 4, &number)) {
        if (t->at >= t->length || t->pattern[t->at] != end)
            return fail(t, SX_E_UNSUPPORTED, "this reference is not supported");
        t->at++;
        t->out->length--; /* numbered ones are both written with g */
        sx_buffer_printf(t->out, letter[0] == 'k' ? "g{%s%u}" : "g<%s%u>", negative ? "-" : "", (unsigned)number);
        return SX_OK;
    }
    t->at = from;
    put(t, "<");
    sx_status status = copy_name(t, end);
    put(t, ">");
    return status;
}

/* An escape outside classes, behind the backslash. */
static sx_status translate_escape(translation *t)
{
    set s = {0};
    sx_status status;
    if (read_set_escape(t, &s, false, &status)) {
        if (status == SX_OK)
            set_put(&s, false, t->out);
        set_clear(&s);
        return status;
    }
    char c = t->at < t->length ? t->pattern[t->at] : '\0';
    if (c >= '1' && c <= '9') {
        uint32_t number;
        read_number(t, 10, 3, &number);
        sx_buffer_printf(t->out, "\\g{%u}", (unsigned)number);
        return SX_OK;
    }
    if ((c == 'k' || c == 'g') && t->length - t->at >= 2 && strchr("<'", t->pattern[t->at + 1])) {
        t->at++;
        return translate_reference(t, c == 'k' ? "k" : "g");
    }
    static const struct {
        char letter;
        const char *pattern;
    } others[] = {
        {'b', "(?:(?<=[" LONE_WORD "])(?![" LONE_WORD "])|(?<![" LONE_WORD "])(?=[" LONE_WORD "]))"},
        {'B', "(?:(?<=[" LONE_WORD "])(?=[" LONE_WORD "])|(?<![" LONE_WORD "])(?![" LONE_WORD "]))"},
        {'R', "(?>\\r\\n|[" LINE_END "])"}, {'N', "[^\\n]"}, {'O', "(?s:.)"}, {'X', "\\X"}, {'K', "\\K"},
        {'A', "\\A"}, {'z', "\\z"}, {'Z', "\\Z"}, {'G', "\\G"},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (c == others[i].letter) {
            put(t, others[i].pattern);
            t->at++;
            return SX_OK;
        }
    if (c == 'y' || c == 'Y')
        return fail(t, SX_E_UNSUPPORTED, "text segment boundaries are not supported");
    uint32_t code;
    status = read_code_escape(t, false, &code);
    if (status == SX_OK)
        put_code(t->out, code);
    return status;
}

static void skip_extended(translation *t)
{
    while (t->at < t->length && strchr(" \t\n\r\f\v#", t->pattern[t->at]) && t->pattern[t->at])
        if (t->pattern[t->at++] == '#')
            while (t->at < t->length && t->pattern[t->at] != '\n')
                t->at++;
}

static sx_status translate_atom(translation *t, groups *g)
{
    char c = t->pattern[t->at];
    sx_status status = SX_OK;
    g->atom = (ptrdiff_t)t->out->length;
    g->quantified = false;
    if (skip(t, "[")) {
        status = translate_class(t, t->out);
    } else if (skip(t, "\\")) {
        status = translate_escape(t);
    } else if (c == '^' || c == '$') {
        sx_buffer_append_byte(t->out, c);
        t->at++;
    } else if (skip(t, ".")) {
        put(t, g->now.any ? "(?s:.)" : "[^\\n]");
    } else {
        uint32_t code;
        status = read_character(t, &code);
        if (status == SX_OK)
            put_code(t->out, code);
    }
    return status;
}

sx_status sx_regex_translate(sx_text pattern, const char *where, sx_buffer *out, sx_error *error)
{
    translation t = {.pattern = pattern.data, .length = pattern.length, .where = where, .out = out, .error = error};
    groups g = {.count = 1, .atom = NO_ATOM};
    g.stack[0] = (group){0};
    for (t.at = 0; t.at + 3 < t.length && !t.named; t.at++)
        t.named = has(&t, "(?'") || (has(&t, "(?<") && t.pattern[t.at + 3] != '=' && t.pattern[t.at + 3] != '!');
    t.at = 0;
    sx_status status = SX_OK;
    while (status == SX_OK) {
        if (g.now.extended)
            skip_extended(&t);
        if (t.at >= t.length)
            break;
        char c = t.pattern[t.at];
        if (c == '*' || c == '+' || c == '?' || c == '{') {
            if (translate_quantifier(&t, &g, &status))
                continue;
        }
        if (c == '(') {
            status = translate_opening(&t, &g);
        } else if (c == ')') {
            status = translate_closing(&t, &g);
        } else if (c == '|') {
            put(&t, "|");
            g.atom = NO_ATOM;
            t.at++;
        } else {
            status = translate_atom(&t, &g);
        }
    }
    if (status == SX_OK && g.count > 1)
        status = fail(&t, SX_E_FORMAT, "no closing parenthesis");
    if (status == SX_OK) {
        close_groups(&t, &g);
        sx_buffer_append(out, "", 0);
        if (out->failed)
            status = sx_fail_nomem(error, out->length);
    }
    return status;
}
