/* pre_tokenizer.h - the "pre_tokenizer" of tokenizer.json: a chain of steps that cut the text into pieces, some rewriting it. */
#ifndef SX_TOK_PRE_TOKENIZER_H
#define SX_TOK_PRE_TOKENIZER_H

#include "../base/buffer.h"
#include "../base/memory.h"
#include "working_text.h"

#include <jansson.h>

/* BertPreTokenizer, Whitespace, WhitespaceSplit, Punctuation, Digits, CharDelimiterSplit, UnicodeScripts, Split, ByteLevel,
 * Metaspace, FixedLength; a Sequence is unfolded. */
typedef struct sx_pre_tokenizer_step sx_pre_tokenizer_step;

/* Zero-initialise. Immutable once read. */
typedef struct sx_pre_tokenizer {
    sx_pre_tokenizer_step *steps;
    size_t count, capacity;
    bool only_bert;     /* the one step is a BertPreTokenizer: callers may take the fast way */
    bool byte_level;    /* a ByteLevel step is there: pieces stay plain bytes, and the model's vocabulary is spelt in byte
                         * characters (GPT-2's table); the mapping itself is never carried out */
} sx_pre_tokenizer;

/* As sx_normalizer_read. */
sx_status sx_pre_tokenizer_read(const json_t *component, const char *path, sx_arena *arena, sx_pre_tokenizer *pre_tokenizer,
                                sx_error *error);
void sx_pre_tokenizer_clear(sx_pre_tokenizer *pre_tokenizer);
/* The text comes with no pieces (it is one); after it text->pieces is what the model sees. `first`: whether the text stands at
 * the very beginning of the input, not behind an added token (Metaspace's prepend_scheme "first"). Swaps as
 * sx_normalizer_run. */
void sx_pre_tokenizer_run(const sx_pre_tokenizer *pre_tokenizer, bool first, sx_working_text *text, sx_working_text *spare);
void sx_pre_tokenizer_describe(const sx_pre_tokenizer *pre_tokenizer, sx_buffer *buffer);

#endif
