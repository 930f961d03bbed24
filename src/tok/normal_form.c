/* normal_form.c - NFC, NFD, NFKC and NFKD (Unicode Standard Annex 15) with origins.
 *
 * Decomposition, canonical ordering (D109) and composition (D117) over utf8proc's tables. tokenizers has its tables from
 * version 9 of the standard; characters that came later are left alone, though utf8proc knows them, because token ids
 * must not depend on who knows more characters. How origins follow a character through reordering and composition is that
 * of the library too: each member of a decomposition but the first is "added", a composition takes one place less. */
#include "normal_form.h"

#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { MOST_DECOMPOSED = 18, FEW = 32, CLASSES = 256 };

typedef struct code_range {
    uint32_t first, last;
} code_range;

/* Combining marks that came after version 9. Between two marks of version 9 one range covers everything. */
static const code_range later_marks[] = {
    {0x07fd, 0x07fd}, {0x0898, 0x08d3}, {0x09fe, 0x09fe}, {0x0afa, 0x0aff}, {0x0b55, 0x0b55}, {0x0c04, 0x0c3c},
    {0x0cf3, 0x0d00}, {0x0d3b, 0x0d3c}, {0x0d81, 0x0d81}, {0x0eba, 0x0eba}, {0x0ece, 0x0ece}, {0x1715, 0x1715},
    {0x180f, 0x180f}, {0x1abf, 0x1ace}, {0x1cf7, 0x1cf7}, {0x1df6, 0x1dfa}, {0xa82c, 0xa82c}, {0xa8ff, 0xa8ff},
    {0x10d24, 0x10f85}, {0x11070, 0x11074}, {0x110c2, 0x110c2}, {0x11145, 0x11146}, {0x111c9, 0x111c9}, {0x111ce, 0x111cf},
    {0x11241, 0x11241}, {0x1133b, 0x1133b}, {0x1145e, 0x1145e}, {0x1182c, 0x11a99}, {0x11d31, 0x13455}, {0x16f4f, 0x16f4f},
    {0x16f7f, 0x16f87}, {0x16fe4, 0x16ff1}, {0x1cf00, 0x1cf46}, {0x1e08f, 0x1e4ef},
};

/* Characters with a decomposition that came after it, likewise. */
static const code_range later_decompositions[] = {
    {0x32ff, 0x32ff}, {0xa7f2, 0xa7f4}, {0xab69, 0xab69}, {0x10781, 0x107ba}, {0x11938, 0x11938}, {0x1e030, 0x1e06d},
    {0x1f16c, 0x1f16c}, {0x1fbf0, 0x1fbf9},
};

enum { VEDIC_ARDHAVISARGA = 0x1cf2, VEDIC_ROTATED_ARDHAVISARGA = 0x1cf3, DIVES_AKURU_AU = 0x11938,
       HANGUL_BEFORE_FINALS = 0x11a7 };

static bool is_in(const code_range *ranges, size_t count, uint32_t code)
{
    size_t low = 0;
    while (low < count) {
        size_t middle = (low + count) / 2;
        if (code > ranges[middle].last)
            low = middle + 1;
        else if (code < ranges[middle].first)
            count = middle;
        else
            return true;
    }
    return false;
}

static bool is_later_mark(uint32_t code)
{
    return is_in(later_marks, sizeof later_marks / sizeof later_marks[0], code);
}

bool sx_is_combining_mark(uint32_t code)
{
    if (code < 0x300 || code > SX_LAST_CODE_POINT)
        return false;
    if (code == VEDIC_ARDHAVISARGA || code == VEDIC_ROTATED_ARDHAVISARGA) /* letters since version 12 */
        return true;
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    return category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME && !is_later_mark(code);
}

static unsigned combining_class(uint32_t code)
{
    if (code < 0x300 || code > SX_LAST_CODE_POINT)
        return 0;
    unsigned value = (unsigned)utf8proc_get_property((utf8proc_int32_t)code)->combining_class;
    return value && is_later_mark(code) ? 0 : value;
}

static unsigned decompose(uint32_t code, bool compatible, uint32_t to[MOST_DECOMPOSED])
{
    to[0] = code;
    if (code < 0xa0 || code > SX_LAST_CODE_POINT ||
        is_in(later_decompositions, sizeof later_decompositions / sizeof later_decompositions[0], code))
        return 1;
    int boundary = 0;
    utf8proc_int32_t codes[MOST_DECOMPOSED];
    utf8proc_option_t options = compatible ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT : UTF8PROC_DECOMPOSE;
    utf8proc_ssize_t count = utf8proc_decompose_char((utf8proc_int32_t)code, codes, MOST_DECOMPOSED, options, &boundary);
    if (count < 1 || count > MOST_DECOMPOSED)
        return 1;
    for (utf8proc_ssize_t i = 0; i < count; i++)
        to[i] = (uint32_t)codes[i];
    return (unsigned)count;
}

/* The primary composite of a pair; 0: none. The filler before the Hangul final consonants is none of them, but utf8proc 2.8
 * composes it away. */
static uint32_t compose_pair(uint32_t first, uint32_t second)
{
    if (second < 0x300 || first < '<' || second == HANGUL_BEFORE_FINALS)
        return 0;
    utf8proc_int32_t pair[2] = {(utf8proc_int32_t)first, (utf8proc_int32_t)second};
    if (utf8proc_normalize_utf32(pair, 2, UTF8PROC_STABLE | UTF8PROC_COMPOSE) != 1 || pair[0] == DIVES_AKURU_AU)
        return 0;
    return (uint32_t)pair[0];
}

/* A character under way. */
typedef struct member {
    uint32_t code;
    int change; /* as for sx_rewrite_change */
    unsigned combining_class;
} member;

/* A list that rarely grows beyond its first room. */
typedef struct members {
    member *data;
    size_t count, capacity; /* capacity 0: data is few */
    member few[FEW];
} members;

typedef struct normal_form {
    sx_rewrite *rewrite;
    bool compatible, compose;
    members pending; /* non-starters since the last starter, to be put in canonical order */
    members blocked; /* those behind the composee that did not compose with it */
    member composee;
    bool has_composee;
} normal_form;

static bool members_add(members *list, member added)
{
    size_t room = list->capacity ? list->capacity : FEW;
    if (list->count == room) {
        member *moved = sx_realloc_array(list->capacity ? list->data : NULL, room * 2, sizeof *moved);
        if (!moved)
            return false;
        if (!list->capacity)
            memcpy(moved, list->few, sizeof list->few);
        list->data = moved;
        list->capacity = room * 2;
    }
    list->data[list->count++] = added;
    return true;
}

static void put(normal_form *form, member one)
{
    sx_rewrite_change(form->rewrite, one.code, one.change);
}

static void flush_composee(normal_form *form)
{
    if (form->has_composee)
        put(form, form->composee);
    for (size_t i = 0; i < form->blocked.count; i++)
        put(form, form->blocked.data[i]);
    form->blocked.count = 0;
    form->has_composee = false;
}

/* Takes the next character in canonical order. */
static void compose(normal_form *form, member next)
{
    if (!form->compose || (!form->has_composee && next.combining_class)) {
        put(form, next);
        return;
    }
    if (form->has_composee) {
        const members *blocked = &form->blocked;
        bool open = !blocked->count || blocked->data[blocked->count - 1].combining_class < next.combining_class;
        uint32_t composite = open ? compose_pair(form->composee.code, next.code) : 0;
        if (composite) {
            form->composee.code = composite;
            form->composee.change += next.change - 1;
            return;
        }
        if (next.combining_class) {
            if (!members_add(&form->blocked, next))
                form->rewrite->to->no_memory = true;
            return;
        }
        flush_composee(form);
    }
    form->composee = next;
    form->has_composee = true;
}

/* Stable; by insertion where there are few, else by counting. */
static bool sort(members *list)
{
    if (list->count <= FEW) {
        for (size_t i = 1; i < list->count; i++) {
            member one = list->data[i];
            size_t to = i;
            for (; to > 0 && list->data[to - 1].combining_class > one.combining_class; to--)
                list->data[to] = list->data[to - 1];
            list->data[to] = one;
        }
        return true;
    }
    size_t places[CLASSES + 1] = {0};
    member *sorted = sx_calloc(list->count, sizeof *sorted);
    if (!sorted)
        return false;
    for (size_t i = 0; i < list->count; i++)
        places[list->data[i].combining_class + 1]++;
    for (size_t i = 1; i < CLASSES; i++)
        places[i] += places[i - 1];
    for (size_t i = 0; i < list->count; i++)
        sorted[places[list->data[i].combining_class]++] = list->data[i];
    memcpy(list->data, sorted, list->count * sizeof *sorted);
    free(sorted);
    return true;
}

static void flush_pending(normal_form *form)
{
    if (!sort(&form->pending))
        form->rewrite->to->no_memory = true;
    for (size_t i = 0; i < form->pending.count; i++)
        compose(form, form->pending.data[i]);
    form->pending.count = 0;
}

static void take(normal_form *form, uint32_t code)
{
    uint32_t codes[MOST_DECOMPOSED];
    unsigned count = decompose(code, form->compatible, codes);
    for (unsigned i = 0; i < count; i++) {
        member one = {codes[i], i > 0, combining_class(codes[i])};
        if (one.combining_class) {
            if (!members_add(&form->pending, one))
                form->rewrite->to->no_memory = true;
        } else {
            if (form->pending.count)
                flush_pending(form);
            compose(form, one);
        }
    }
}

void sx_normal_form(sx_rewrite *rewrite, bool compatible, bool composed)
{
    const sx_working_text *from = rewrite->from;
    normal_form form = {.rewrite = rewrite, .compatible = compatible, .compose = composed};
    form.pending.data = form.pending.few;
    form.blocked.data = form.blocked.few;
    size_t at = rewrite->at; /* reading runs ahead of rewriting */
    while (at < from->length && !rewrite->to->no_memory) {
        size_t end = sx_working_text_ascii_end(from, at);
        if (end > at) { /* ASCII composes with what is behind it alone: only its last character has to wait */
            if (form.pending.count)
                flush_pending(&form);
            flush_composee(&form);
            sx_rewrite_copy(rewrite, end - 1);
            take(&form, (unsigned char)from->bytes[end - 1]);
            at = end;
        } else {
            sx_code_point point = sx_utf8_decode(from->bytes + at, from->length - at);
            take(&form, point.code);
            at += point.length;
        }
    }
    flush_pending(&form);
    flush_composee(&form);
    if (form.pending.capacity)
        free(form.pending.data);
    if (form.blocked.capacity)
        free(form.blocked.data);
}
