/* place_words.c - reading the words that say where pages and lines are. */
#include "place_words.h"

#include <stdbool.h>
#include <stdlib.h>

int64_t sx_page_of(const char *words, uint64_t place, int64_t *all)
{
    int64_t page = 0, count = 0;
    for (char *end; *words; words = end + (*end == ' ')) {
        unsigned long long start = strtoull(words, &end, 10);
        if (end == words)
            break;
        count++;
        if (start <= place)
            page = count;
        else if (!all)
            break;
    }
    if (all)
        *all = count;
    return page;
}

int64_t sx_line_of(const char *words, uint32_t line)
{
    int64_t found = 0;
    for (char *end; *words; words = end + (*end == ' ')) {
        unsigned long first = strtoul(words, &end, 10), source;
        if (end == words || (*end != ':' && *end != '=') || first > line)
            break;
        bool fixed = *end == '=';
        words = end + 1;
        source = strtoul(words, &end, 10);
        found = (int64_t)source + (fixed ? 0 : (int64_t)(line - first));
    }
    return found;
}
