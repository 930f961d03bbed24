/* nearest_word.c - what somebody may have meant who mistyped a verb or an option. */
#include "nearest_word.h"

#include "cli.h"

#include <stdint.h>
#include <string.h>

enum { LONGEST_WORD = 64 };

/* Edit distance, where swapping two neighbours counts once (Damerau, optimal string alignment). */
static unsigned distance(const char *a, const char *b)
{
    size_t m = strlen(a), n = strlen(b);
    if (m > LONGEST_WORD || n > LONGEST_WORD)
        return UINT32_MAX;
    unsigned rows[3][LONGEST_WORD + 1];
    for (size_t j = 0; j <= n; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= m; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= n; j++) {
            unsigned best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[m % 3][n];
}

sx_cli_nearest sx_cli_nearest_begin(const char *word)
{
    return (sx_cli_nearest){.word = word, .distance = (unsigned)strlen(word) / 3 + 2};
}

void sx_cli_nearest_consider(sx_cli_nearest *nearest, const char *candidate)
{
    unsigned d = distance(nearest->word, candidate);
    size_t length = strlen(nearest->word);
    if (length >= 3 && strncmp(candidate, nearest->word, length) == 0)
        d = 1;
    if (d < nearest->distance) {
        nearest->distance = d;
        nearest->best = candidate;
    }
}

const char *sx_cli_nearest_verb(const char *name)
{
    sx_cli_nearest nearest = sx_cli_nearest_begin(name);
    for (const sx_cli_verb *verb = sx_cli_verbs; verb->name; verb++) {
        if (strchr(verb->name, ' ') && !strchr(name, ' '))
            continue;
        sx_cli_nearest_consider(&nearest, verb->name);
    }
    static const char *const groups[] = {"collections", "cache", "models"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        sx_cli_nearest_consider(&nearest, groups[i]);
    return nearest.best;
}
