/* words.h - a text as the words a keyword index counts: prose, identifiers and their parts, names joined by a sign, CJK. */
#ifndef SX_TEXT_WORDS_H
#define SX_TEXT_WORDS_H

#include <stdbool.h>
#include <stddef.h>

/* Another number whenever the same text may give other words: indexes made under another one are made again. */
enum { SX_WORDS_VERSION = 1, SX_WORD_BYTES = 64 };

typedef enum sx_word_kind {
    SX_WORD_PLAIN, /* a word, or a part of an identifier; English endings cut off */
    SX_WORD_WHOLE, /* an identifier of several parts as it stands: get_user_id, httpserver */
    SX_WORD_PAIR   /* two identifiers joined by one sign: nn.functional, vitamin.d, src.index */
} sx_word_kind;

/* A word in lower case without accents, at most SX_WORD_BYTES long (what is longer is cut), never empty. What is joined by a dot,
 * hyphen, slash, backslash, two colons or an arrow is a pair, whichever it was. Returning false ends the splitting. */
typedef bool (*sx_word_visit)(const char *word, size_t length, sx_word_kind kind, void *user);

/* Visits the words in the order of the text; an identifier's parts come before the whole. Any bytes will do: what is no UTF-8
 * parts words. False when the visitor ended it. */
bool sx_words_split(const char *text, size_t length, sx_word_visit visit, void *user);

/* Cuts the English ending off a word of lower-case letters and returns its new length (Porter 1980); other words stay. */
size_t sx_word_stem(char *word, size_t length);

#endif
