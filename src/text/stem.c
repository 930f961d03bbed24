/* stem.c - cuts English endings off, so that "bindings", "binding" and "bind" are one word to the keyword index.
 *
 * The algorithm of M. F. Porter, "An algorithm for suffix stripping", Program 14 (1980), with the two departures its author
 * published later: -bli is -ble, and -logi is -log. A word is seen as [C](VC)^m[V] of runs of consonants and vowels, and m decides
 * whether an ending may go.
 */
#include "words.h"

#include <string.h>

enum { SHORTEST = 3 };

typedef struct stem_rule {
    const char *ending, *instead;
} stem_rule;

static bool is_consonant(const char *word, size_t at)
{
    switch (word[at]) {
    case 'a': case 'e': case 'i': case 'o': case 'u': return false;
    /* y is a vowel behind a consonant; a run of them alternates, so the one before it says which. */
    case 'y': {
        size_t first = at;
        while (first > 0 && word[first - 1] == 'y')
            first--;
        bool starts_consonant = first == 0 || !is_consonant(word, first - 1);
        return starts_consonant == ((at - first) % 2 == 0);
    }
    default: return true;
    }
}

/* m: how often a consonant follows a vowel. */
static unsigned measure(const char *word, size_t length)
{
    unsigned count = 0;
    for (size_t i = 1; i < length; i++)
        count += is_consonant(word, i) && !is_consonant(word, i - 1);
    return count;
}

static bool has_vowel(const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!is_consonant(word, i))
            return true;
    return false;
}

static bool ends_double(const char *word, size_t length)
{
    return length >= 2 && word[length - 1] == word[length - 2] && is_consonant(word, length - 1);
}

/* Consonant, vowel, consonant other than w, x, y: after it a short word has kept its e ("hope", not "hop"). */
static bool ends_short(const char *word, size_t length)
{
    return length >= 3 && is_consonant(word, length - 3) && !is_consonant(word, length - 2) && is_consonant(word, length - 1) &&
           !strchr("wxy", word[length - 1]);
}

static bool ends_with(const char *word, size_t length, const char *ending)
{
    size_t size = strlen(ending);
    return length >= size && memcmp(word + length - size, ending, size) == 0;
}

/* The first rule whose ending fits is the only one tried; it holds when more than `least` measures stay. */
static size_t apply(char *word, size_t length, const stem_rule *rules, size_t count, unsigned least)
{
    for (size_t i = 0; i < count; i++) {
        if (!ends_with(word, length, rules[i].ending))
            continue;
        size_t stem = length - strlen(rules[i].ending), size = strlen(rules[i].instead);
        if (measure(word, stem) <= least)
            return length;
        memcpy(word + stem, rules[i].instead, size);
        return stem + size;
    }
    return length;
}

static size_t cut_plural(const char *word, size_t length)
{
    if (word[length - 1] != 's')
        return length;
    if (ends_with(word, length, "sses") || ends_with(word, length, "ies"))
        return length - 2;
    return ends_with(word, length, "ss") ? length : length - 1;
}

static size_t cut_past(char *word, size_t length)
{
    if (ends_with(word, length, "eed"))
        return measure(word, length - 3) > 0 ? length - 1 : length;
    size_t stem = ends_with(word, length, "ed") ? length - 2 : ends_with(word, length, "ing") ? length - 3 : length;
    if (stem == length || !has_vowel(word, stem))
        return length;
    bool wants_e = ends_with(word, stem, "at") || ends_with(word, stem, "bl") || ends_with(word, stem, "iz");
    if (!wants_e && ends_double(word, stem) && !strchr("lsz", word[stem - 1]))
        return stem - 1;
    if (wants_e || (measure(word, stem) == 1 && ends_short(word, stem)))
        word[stem++] = 'e';
    return stem;
}

static size_t cut_last(const char *word, size_t length)
{
    static const char *const endings[] = {"al",   "ance", "ence", "er",  "ic",  "able", "ible", "ant", "ement", "ment",
                                          "ent",  "ion",  "ou",   "ism", "ate", "iti",  "ous",  "ive", "ize"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (!ends_with(word, length, endings[i]))
            continue;
        size_t stem = length - strlen(endings[i]);
        bool fits = measure(word, stem) > 1;
        if (strcmp(endings[i], "ion") == 0)
            fits = fits && stem > 0 && (word[stem - 1] == 's' || word[stem - 1] == 't');
        return fits ? stem : length;
    }
    return length;
}

size_t sx_word_stem(char *word, size_t length)
{
    static const stem_rule suffixes[] = {
        {"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"}, {"anci", "ance"}, {"izer", "ize"},   {"bli", "ble"},
        {"alli", "al"},     {"entli", "ent"},   {"eli", "e"},     {"ousli", "ous"}, {"ization", "ize"}, {"ation", "ate"},
        {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"}, {"fulness", "ful"}, {"ousness", "ous"}, {"aliti", "al"},
        {"iviti", "ive"},   {"biliti", "ble"},  {"logi", "log"},
    };
    static const stem_rule endings[] = {
        {"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"}, {"ical", "ic"}, {"ful", ""}, {"ness", ""},
    };
    if (length < SHORTEST)
        return length;
    for (size_t i = 0; i < length; i++)
        if (word[i] < 'a' || word[i] > 'z')
            return length;
    length = cut_plural(word, length);
    if (length >= SHORTEST)
        length = cut_past(word, length);
    if (word[length - 1] == 'y' && has_vowel(word, length - 1))
        word[length - 1] = 'i';
    length = apply(word, length, suffixes, sizeof suffixes / sizeof *suffixes, 0);
    length = apply(word, length, endings, sizeof endings / sizeof *endings, 0);
    length = cut_last(word, length);
    if (length > 2 && word[length - 1] == 'e') {
        unsigned stem = measure(word, length - 1);
        if (stem > 1 || (stem == 1 && !ends_short(word, length - 1)))
            length--;
    }
    if (word[length - 1] == 'l' && ends_double(word, length) && measure(word, length) > 1)
        length--;
    return length;
}
