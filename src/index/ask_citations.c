/* ask_citations.c - finds citations in an answer. What is in brackets counts when it begins with "Source" and holds nothing but numbers,
 * ranges, commas and the word again; anything else is text. */
#include "ask_citations.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_NUMBERS = 4096, LARGEST = 1000000000, LONGEST = 512 };

typedef struct citation_list {
    sx_citation *items;
    size_t count, capacity, sources;
} citation_list;

static sx_status add(citation_list *list, uint32_t number, sx_error *error)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].source == number)
            return SX_OK;
    if (list->count == MOST_NUMBERS)
        return SX_OK;
    if (!sx_reserve((void **)&list->items, &list->capacity, list->count + 1, sizeof *list->items))
        return sx_fail_nomem(error, sizeof *list->items);
    list->items[list->count++] = (sx_citation){number, number >= 1 && number <= list->sources};
    return SX_OK;
}

static size_t skip(const char *text, size_t at, size_t end, const char *bytes)
{
    while (at < end && strchr(bytes, text[at]) && text[at])
        at++;
    return at;
}

/* The word "source" or "sources" at a place; its length or 0. */
static size_t word_at(const char *text, size_t at, size_t end)
{
    if (end - at < 6 || strncasecmp(text + at, "source", 6) != 0)
        return 0;
    return end - at > 6 && (text[at + 6] == 's' || text[at + 6] == 'S') ? 7 : 6;
}

static size_t number_at(const char *text, size_t at, size_t end, uint32_t *number)
{
    size_t from = at;
    uint64_t value = 0;
    for (; at < end && text[at] >= '0' && text[at] <= '9'; at++)
        value = value < LARGEST ? value * 10 + (uint64_t)(text[at] - '0') : LARGEST;
    *number = value < LARGEST ? (uint32_t)value : LARGEST;
    return at - from;
}

/* A hyphen, an en dash or an em dash between two numbers. */
static size_t dash_at(const char *text, size_t at, size_t end)
{
    if (at < end && text[at] == '-')
        return 1;
    return end - at >= 3 && (memcmp(text + at, "\xe2\x80\x93", 3) == 0 || memcmp(text + at, "\xe2\x80\x94", 3) == 0) ? 3 : 0;
}

/* Reads what stands between brackets; *whole false when it is no citation. With a list NULL it only looks. */
static sx_status read_inside(const char *text, size_t at, size_t end, citation_list *list, bool *whole, sx_error *error)
{
    sx_status status = SX_OK;
    size_t length, numbers = 0;
    *whole = false;
    at = skip(text, at, end, " \t");
    length = word_at(text, at, end);
    if (!length)
        return SX_OK;
    for (at += length; at < end && !status;) {
        uint32_t first, last;
        at = skip(text, at, end, " \t\r\n,;&#:");
        if (at == end)
            break;
        if ((length = word_at(text, at, end)) || (length = end - at > 3 && strncasecmp(text + at, "and", 3) == 0 ? 3 : 0)) {
            at += length;
            continue;
        }
        length = number_at(text, at, end, &first);
        if (!length)
            return SX_OK;
        at += length;
        last = first;
        size_t behind = skip(text, at, end, " \t"), dash = dash_at(text, behind, end);
        if (dash) {
            size_t from = skip(text, behind + dash, end, " \t");
            length = number_at(text, from, end, &last);
            if (!length)
                return SX_OK;
            at = from + length;
        }
        numbers++;
        for (uint32_t n = first; list && !status && n < last && n <= list->sources; n++)
            status = add(list, n, error);
        if (list && !status)
            status = add(list, last >= first ? last : first, error);
        if (list && !status && last < first)
            status = add(list, last, error);
    }
    *whole = numbers > 0;
    return status;
}

sx_status sx_ask_citations(const char *text, size_t length, size_t sources, sx_citation **citations, size_t *count, sx_error *error)
{
    citation_list list = {.sources = sources};
    sx_status status = SX_OK;
    for (size_t at = 0; at < length && !status; at++) {
        if (text[at] != '[')
            continue;
        size_t most = length - at < LONGEST ? length - at : LONGEST;
        const char *close = memchr(text + at, ']', most);
        bool whole = false;
        if (!close)
            continue;
        size_t end = (size_t)(close - text);
        status = read_inside(text, at + 1, end, NULL, &whole, error);
        if (!status && whole)
            status = read_inside(text, at + 1, end, &list, &whole, error);
    }
    *citations = list.items;
    *count = list.count;
    return status;
}
