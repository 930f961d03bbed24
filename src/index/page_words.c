/* page_words.c - where the pages of a document begin and where its lines stand in the file, kept in its metadata, and the page and lines of
 * a passage made of that.
 *
 * A page belongs to a passage, but what the database keeps of passages has no room for it, and a document's pages are the same
 * for all its passages. So they stand once, as one string, since other vector databases take only plain values. */
#include "page_words.h"

#include "../base/buffer.h"
#include "../base/error.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

char *sx_pages_to_words(const sx_document *document)
{
    sx_buffer words = {0};
    for (size_t i = 0; i < document->page_count; i++)
        sx_buffer_printf(&words, i ? " %llu" : "%llu", (unsigned long long)document->page_starts[i]);
    return sx_buffer_take(&words);
}

char *sx_lines_to_words(const sx_document *document)
{
    sx_buffer words = {0};
    uint64_t at = 0, line = 1;
    for (size_t i = 0; i < document->source_place_count; i++) {
        const sx_source_place *place = &document->source_places[i];
        for (; at < place->start; at++)
            line += document->text[at] == '\n';
        sx_buffer_printf(&words, "%s%llu%c%u", i ? " " : "", (unsigned long long)line, place->fixed ? '=' : ':', place->line);
    }
    return sx_buffer_take(&words);
}

static void resolve_pages(json_t *object, const sx_hit *hit)
{
    const char *words = json_string_value(json_object_get(object, SX_PAGES_KEY));
    if (!words)
        return;
    int64_t all, first = sx_page_of(words, hit->start, &all), last = sx_page_of(words, hit->end > hit->start ? hit->end - 1 : hit->start, &all);
    json_object_set_new(object, "page", json_integer(first));
    json_object_set_new(object, "pages", json_integer(all));
    if (last != first)
        json_object_set_new(object, "last_page", json_integer(last));
    json_object_del(object, SX_PAGES_KEY);
}

static void resolve_lines(json_t *object, const sx_hit *hit)
{
    const char *words = json_string_value(json_object_get(object, SX_LINES_KEY));
    if (!words)
        return;
    int64_t first = sx_line_of(words, hit->start_line), last = sx_line_of(words, hit->end_line);
    if (first)
        json_object_set_new(object, "source_line", json_integer(first));
    if (last > first)
        json_object_set_new(object, "source_end_line", json_integer(last));
    json_object_del(object, SX_LINES_KEY);
}

sx_status sx_places_resolve(sx_hit *hit, sx_error *error)
{
    if (!hit->metadata || (!strstr(hit->metadata, "\"" SX_PAGES_KEY "\"") && !strstr(hit->metadata, "\"" SX_LINES_KEY "\"")))
        return SX_OK;
    json_t *object = json_loads(hit->metadata, 0, NULL);
    resolve_pages(object, hit);
    resolve_lines(object, hit);
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(object);
    if (!text)
        return sx_fail_nomem(error, strlen(hit->metadata));
    free(hit->metadata);
    hit->metadata = text;
    return SX_OK;
}
