/* added_tokens.h - tokens that are looked for in the text itself, before the model splits it: [MASK] and the like. */
#ifndef SX_TOK_ADDED_TOKENS_H
#define SX_TOK_ADDED_TOKENS_H

#include "piece_trie.h"
#include "sextant.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sx_added_token {
    sx_text content;
    sx_text pattern;   /* what is looked for: the content, normalised when `normalized` */
    uint32_t id;
    bool special;      /* only listed as such; encoding treats it as any other */
    bool single_word;  /* only where no word character is next to it */
    bool lstrip;       /* takes the white space before it */
    bool rstrip;       /* takes the white space behind it */
    bool normalized;   /* looked for in the normalised text */
} sx_added_token;

/* Finds tokens in a text: the leftmost, of those the longest, of those the first given. Zero-initialise. */
typedef struct sx_token_matcher {
    const sx_added_token **tokens; /* special ones first */
    size_t count;
    sx_vocabulary patterns;        /* of them; the number is the index */
    sx_piece_trie trie;
    int only;                      /* the first byte of all of them, -1 when they differ */
} sx_token_matcher;

/* Of the tokens whose `normalized` is as given; special ones go first where patterns are equal. False: no memory. */
bool sx_token_matcher_build(sx_token_matcher *matcher, const sx_added_token *tokens, size_t count, bool normalized);
void sx_token_matcher_clear(sx_token_matcher *matcher);

/* Progress of one search. Zero-initialise. */
typedef struct sx_token_search {
    size_t position; /* where to look on */
    size_t plain;    /* text before this was handed out */
} sx_token_search;

/* The next token in the text: its bytes, stripped white space included, in [*start, *end); the text that belongs to no token
 * before it begins at *plain and ends at *start (none when *plain >= *start). NULL when there is no further token. */
const sx_added_token *sx_token_matcher_next(const sx_token_matcher *matcher, const char *text, size_t length,
                                            sx_token_search *search, size_t *plain, size_t *start, size_t *end);

#endif
