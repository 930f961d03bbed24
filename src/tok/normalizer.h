/* normalizer.h - the "normalizer" of tokenizer.json: a chain of steps, each a rewriting of the whole text. */
#ifndef SX_TOK_NORMALIZER_H
#define SX_TOK_NORMALIZER_H

#include "../base/buffer.h"
#include "../base/memory.h"
#include "bert_normalizer.h"
#include "working_text.h"

#include <jansson.h>

/* BertNormalizer, NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Replace, Prepend, Precompiled, Nmt, ByteLevel; a
 * Sequence is unfolded into its steps. */
typedef struct sx_normalizer_step sx_normalizer_step;

/* Zero-initialise. Immutable once read. */
typedef struct sx_normalizer {
    sx_normalizer_step *steps;
    size_t count, capacity;
    const sx_bert_normalizer *only_bert; /* set when the one step is a BertNormalizer: callers may take the fast way */
} sx_normalizer;

/* Reads the component (NULL or JSON null: none). `path` is the file for messages. SX_E_UNSUPPORTED names an unknown type or
 * an unknown value. Texts are copied into the arena. */
sx_status sx_normalizer_read(const json_t *component, const char *path, sx_arena *arena, sx_normalizer *normalizer,
                             sx_error *error);
void sx_normalizer_clear(sx_normalizer *normalizer);
/* Rewrites text->bytes with their origins, through spare where a step cannot work in place (they may change places: *text and
 * *spare are swapped as needed). Pieces are not touched. */
void sx_normalizer_run(const sx_normalizer *normalizer, sx_working_text *text, sx_working_text *spare);
/* Appends a canonical description, a line a step, for the tokenizer's identity. */
void sx_normalizer_describe(const sx_normalizer *normalizer, sx_buffer *buffer);

#endif
