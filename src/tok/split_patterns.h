/* split_patterns.h - the regular expressions by which byte pair encodings cut a text, as hand-written scanners.
 *
 * Tokenizers carry one of a few well-known patterns. A scanner gives the same pieces as the regular expression and is many times
 * faster. The pieces of these patterns cover the whole text: where one ends the next begins. */
#ifndef SX_TOK_SPLIT_PATTERNS_H
#define SX_TOK_SPLIT_PATTERNS_H

#include "sextant.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct sx_split_pattern sx_split_pattern;

/* GPT-2's, which is also what ByteLevel does with use_regex; and tiktoken's own two, as tiktoken carries them out. */
extern const sx_split_pattern sx_split_gpt2, sx_split_cl100k, sx_split_o200k;

/* The scanner for a pattern of tokenizer.json as Oniguruma understands it; NULL when there is none for exactly this pattern. */
const sx_split_pattern *sx_split_pattern_find(sx_text pattern);

/* Where the piece ends that begins at `at` < length in valid UTF-8. Text before `at` does not matter. */
size_t sx_split_pattern_next(const sx_split_pattern *pattern, const char *text, size_t length, size_t at);

#endif
