/* cluster_names.c - a word names a cluster when many of its texts have it and few of the others: what counts is p log(p / q),
 * with p and q the shares of texts with the word inside and outside (the word's part of the Kullback-Leibler divergence). So
 * there is no list of words to leave out, and it works in every language that puts spaces between words. Forms of one English
 * word count as one (text/words.h); the shortest form met is shown. */
#include "cluster_names.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../text/lower.h"
#include "../text/unicode.h"
#include "../text/utf8.h"
#include "../text/words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_WORDS = 3, LEAST_LETTERS = 3, MOST_WORDS = 1 << 20, TEXTS_OF_EACH = 300, TEXT_BYTES = 4096 };

typedef struct named_word {
    uint64_t hash; /* of the stem; 0: the place is free */
    char *shown;
    uint32_t last;    /* the text that counted it last */
    uint32_t *counts; /* texts, for each cluster */
} named_word;

struct sx_names {
    size_t clusters;
    uint64_t *texts;
    uint32_t number; /* of texts so far */
    named_word *words;
    size_t count, places; /* places is a power of two */
    sx_arena arena;
    sx_buffer lower;
};

sx_status sx_names_open(size_t clusters, sx_names **out, sx_error *error)
{
    sx_names *names = sx_calloc(1, sizeof *names);
    *out = names;
    if (names) {
        names->clusters = clusters;
        names->places = 1024;
        names->texts = sx_calloc(clusters ? clusters : 1, sizeof *names->texts);
        names->words = sx_calloc(names->places, sizeof *names->words);
        if (names->texts && names->words)
            return SX_OK;
    }
    sx_names_close(names);
    *out = NULL;
    return sx_fail_nomem(error, sizeof *names);
}

void sx_names_close(sx_names *names)
{
    if (!names)
        return;
    sx_arena_clear(&names->arena);
    sx_buffer_clear(&names->lower);
    free(names->words);
    free(names->texts);
    free(names);
}

static named_word *place_of(named_word *words, size_t places, uint64_t hash)
{
    size_t at = (size_t)hash & (places - 1);
    while (words[at].hash && words[at].hash != hash)
        at = (at + 1) & (places - 1);
    return &words[at];
}

static bool grow(sx_names *names)
{
    size_t places = names->places * 2;
    named_word *words = sx_calloc(places, sizeof *words);
    if (!words)
        return false;
    for (size_t i = 0; i < names->places; i++)
        if (names->words[i].hash)
            *place_of(words, places, names->words[i].hash) = names->words[i];
    free(names->words);
    names->words = words;
    names->places = places;
    return true;
}

/* FNV-1a; never 0. */
static uint64_t hash_word(const char *word, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)word[i]) * 0x100000001b3u;
    hash ^= hash >> 32;
    return hash ? hash : 1;
}

static bool count_word(sx_names *names, size_t cluster, const char *word, size_t length)
{
    char stem[SX_WORD_BYTES];
    memcpy(stem, word, length);
    uint64_t hash = hash_word(stem, sx_word_stem(stem, length));
    named_word *entry = place_of(names->words, names->places, hash);
    if (!entry->hash) {
        if (names->count == MOST_WORDS)
            return true;
        entry->hash = hash;
        entry->shown = sx_arena_strndup(&names->arena, word, length);
        entry->counts = sx_arena_alloc(&names->arena, names->clusters * sizeof *entry->counts);
        if (!entry->shown || !entry->counts)
            return false;
        names->count++;
    } else if (length < strlen(entry->shown)) {
        memcpy(entry->shown, word, length);
        entry->shown[length] = '\0';
    }
    if (entry->last != names->number) {
        entry->last = names->number;
        entry->counts[cluster]++;
    }
    return names->count * 2 < names->places || grow(names);
}

sx_status sx_names_add(sx_names *names, size_t cluster, const char *text, size_t length, sx_error *error)
{
    sx_buffer_reset(&names->lower);
    if (!sx_text_lower(text, length, &names->lower))
        return sx_fail_nomem(error, length);
    const char *lower = names->lower.data;
    size_t end = names->lower.length, letters = 0, first = 0;
    names->number++;
    names->texts[cluster]++;
    for (size_t at = 0; at <= end;) {
        sx_code_point next = at < end ? sx_utf8_decode(lower + at, end - at) : (sx_code_point){0};
        bool letter = at < end && sx_unicode_classes(next.code) & (SX_CLASS_LETTER | SX_CLASS_MARK);
        if (letter && !letters++)
            first = at;
        if (!letter) {
            if (letters >= LEAST_LETTERS && at - first < SX_WORD_BYTES && !count_word(names, cluster, lower + first, at - first))
                return sx_fail_nomem(error, SX_WORD_BYTES);
            letters = 0;
        }
        at += at < end ? next.length : 1;
    }
    return SX_OK;
}

typedef struct candidate {
    const named_word *word;
    double score;
} candidate;

static bool is_better(const candidate *a, const candidate *b)
{
    if (!b->word || a->score != b->score)
        return !b->word || a->score > b->score;
    return strcmp(a->word->shown, b->word->shown) < 0;
}

char *sx_names_choose(const sx_names *names, size_t cluster)
{
    candidate best[NAME_WORDS] = {{0}};
    double inside = (double)names->texts[cluster], outside = 0;
    sx_buffer name = {.maximum = 4096};
    for (size_t c = 0; c < names->clusters; c++)
        outside += c == cluster ? 0 : (double)names->texts[c];
    for (size_t i = 0; i < names->places; i++) {
        const named_word *word = &names->words[i];
        uint32_t here = word->hash ? word->counts[cluster] : 0;
        double elsewhere = 0;
        if (!here || (here < 2 && inside > 3))
            continue;
        for (size_t c = 0; c < names->clusters; c++)
            elsewhere += c == cluster ? 0 : word->counts[c];
        double p = here / inside, q = (elsewhere + 0.5) / (outside + 1);
        /* What is nearly as common elsewhere tells nothing. */
        if (p < 1.5 * q)
            continue;
        candidate one = {word, p * log(p / q)};
        for (size_t b = 0; one.score > 0 && b < NAME_WORDS; b++)
            if (is_better(&one, &best[b])) {
                candidate moved = best[b];
                best[b] = one;
                one = moved;
                if (!one.word)
                    break;
            }
    }
    for (size_t b = 0; b < NAME_WORDS && best[b].word; b++)
        sx_buffer_printf(&name, "%s%s", b ? ", " : "", best[b].word->shown);
    if (!name.length)
        sx_buffer_printf(&name, "cluster %zu", cluster + 1);
    return sx_buffer_take(&name);
}

sx_status sx_names_of_clusters(sx_database *database, const sx_gathered *gathered, const sx_kmeans *clusters, char **names,
                               sx_error *error)
{
    sx_names *words = NULL;
    uint64_t met[SX_KMEANS_MOST] = {0};
    sx_status status = sx_names_open(clusters->count, &words, error);
    for (size_t i = 0; i < gathered->count && !status; i++) {
        uint32_t cluster = clusters->clusters[i];
        uint64_t number = met[cluster]++, size = clusters->sizes[cluster];
        sx_excerpt excerpt;
        /* Spread evenly over the cluster. */
        if (size > TEXTS_OF_EACH && (number + 1) * TEXTS_OF_EACH / size == number * TEXTS_OF_EACH / size)
            continue;
        status = sx_excerpt_read(database, gathered->chunks[i], TEXT_BYTES, &excerpt, error);
        if (!status) {
            status = sx_names_add(words, cluster, excerpt.text, excerpt.text_length, error);
            sx_excerpt_clear(&excerpt);
        }
    }
    for (size_t c = 0; c < clusters->count && !status; c++) {
        names[c] = sx_names_choose(words, c);
        if (!names[c])
            status = sx_fail_nomem(error, 64);
    }
    sx_names_close(words);
    return status;
}
