/* page_words.c - where the pages of a document begin, kept in its metadata, and the page of a passage made of that.
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

/* Pages that begin at or before the place. */
static json_int_t page_of(const char *words, uint64_t place, json_int_t *all)
{
    json_int_t page = 0;
    *all = 0;
    for (char *end; *words; words = end + (*end == ' ')) {
        unsigned long long start = strtoull(words, &end, 10);
        if (end == words)
            break;
        ++*all;
        if (start <= place)
            page = *all;
    }
    return page;
}

sx_status sx_pages_resolve(char **metadata, uint64_t start, uint64_t end, sx_error *error)
{
    if (!*metadata || !strstr(*metadata, "\"" SX_PAGES_KEY "\""))
        return SX_OK;
    json_t *object = json_loads(*metadata, 0, NULL);
    const char *words = json_string_value(json_object_get(object, SX_PAGES_KEY));
    char *text = NULL;
    if (words) {
        json_int_t all, first = page_of(words, start, &all), last = page_of(words, end > start ? end - 1 : start, &all);
        json_object_set_new(object, "page", json_integer(first));
        json_object_set_new(object, "pages", json_integer(all));
        if (last != first)
            json_object_set_new(object, "last_page", json_integer(last));
        json_object_del(object, SX_PAGES_KEY);
        text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    }
    json_decref(object);
    if (!words)
        return SX_OK;
    if (!text)
        return sx_fail_nomem(error, strlen(*metadata));
    free(*metadata);
    *metadata = text;
    return SX_OK;
}
