/* bert_normalizer.h - BertNormalizer: clean text, set Chinese characters apart, strip accents, lower case. */
#ifndef SX_TOK_BERT_NORMALIZER_H
#define SX_TOK_BERT_NORMALIZER_H

#include "sextant.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All false: the text is left as it is. */
typedef struct sx_bert_normalizer {
    bool clean_text, chinese, strip_accents, lowercase;
} sx_bert_normalizer;

/* Takes one code point of the normalised text, which came from bytes [start, end) of the original. */
typedef void sx_character_sink(void *user, uint32_t code, uint32_t start, uint32_t end);

/* What becomes of an ASCII character: itself or another one, or -1 when it is removed. */
int sx_bert_normalize_ascii(const sx_bert_normalizer *normalizer, unsigned char byte);

/* Normalises from `at` up to the next ASCII character that stays (which is left to the caller) or `end`, and returns where it
 * stopped. Beginning at an ASCII character that stays it does nothing. No more than this needs context, since combining
 * marks never move across ASCII. False in *memory (else untouched) when a rare reordering found no memory. */
size_t sx_bert_normalize_run(const sx_bert_normalizer *normalizer, const char *text, size_t at, size_t end,
                             sx_character_sink *sink, void *user, bool *memory);

#endif
