/* tokenizer_internal.h - what a tokenizer is made of: a pipeline of stages, each chosen by its "type" in tokenizer.json.
 *
 *     text -> added tokens (as written) -> normaliser -> added tokens (normalised) -> pre-tokenizer -> model -> post-processor
 */
#ifndef SX_TOK_TOKENIZER_INTERNAL_H
#define SX_TOK_TOKENIZER_INTERNAL_H

#include "../base/memory.h"
#include "added_tokens.h"
#include "bert_normalizer.h"
#include "tokenizer.h"
#include "vocabulary.h"
#include "wordpiece.h"

typedef enum sx_normalizer_type { SX_NORMALIZER_NONE, SX_NORMALIZER_BERT } sx_normalizer_type;
typedef enum sx_pre_tokenizer_type { SX_PRE_TOKENIZER_BERT } sx_pre_tokenizer_type;
typedef enum sx_token_model_type { SX_TOKEN_MODEL_WORDPIECE } sx_token_model_type;

/* What an ASCII byte becomes behind the normaliser and is for the pre-tokenizer; computed once when opening. */
typedef enum sx_ascii_kind { SX_ASCII_WORD, SX_ASCII_SPACE, SX_ASCII_PUNCTUATION, SX_ASCII_REMOVED } sx_ascii_kind;

struct sx_tokenizer {
    char *path;
    sx_arena arena;             /* texts of everything below */
    sx_vocabulary vocabulary;   /* by text: the model's pieces; by id: added tokens too */

    sx_added_token *added;
    size_t added_count, added_capacity;
    sx_vocabulary added_names;  /* text to index in `added` */
    sx_token_matcher written, normalized;

    sx_normalizer_type normalizer_type;
    sx_bert_normalizer bert_normalizer;
    sx_pre_tokenizer_type pre_tokenizer_type;
    sx_token_model_type model_type;
    sx_wordpiece wordpiece;

    uint32_t *before, *after;   /* special tokens the post-processor puts around a text */
    size_t before_count, after_count, before_capacity, after_capacity;

    unsigned char ascii_kind[128], ascii_code[128];
};

/* Readers: fill a zeroed tokenizer whose path is set. */
sx_status sx_tokenizer_read_json(sx_tokenizer *tokenizer, const char *data, size_t length, sx_error *error);
sx_status sx_tokenizer_read_vocab_txt(sx_tokenizer *tokenizer, const char *data, size_t length, sx_error *error);

/* Appends an added token, texts copied; its id must be the model's or the next free one. `where` names its place for errors. */
sx_status sx_tokenizer_add_token(sx_tokenizer *tokenizer, const sx_added_token *token, const char *where, sx_error *error);
/* Appends to `before` or `after`. */
bool sx_tokenizer_add_special(sx_tokenizer *tokenizer, bool before, uint32_t id);
/* Behind the reader: looks up the unknown piece, builds matchers and tables. */
sx_status sx_tokenizer_finish(sx_tokenizer *tokenizer, sx_error *error);

/* Normalises a text into *bytes; starts and ends (may be NULL) get the origin of each byte. For the tokens that are looked for
 * in normalised text; plain encoding never builds it. */
typedef struct sx_normalized_text {
    char *bytes;
    uint32_t *starts, *ends;
    size_t length, capacity, starts_capacity, ends_capacity;
    bool no_memory;
} sx_normalized_text;
void sx_tokenizer_normalize(const sx_tokenizer *tokenizer, const char *text, size_t from, size_t to,
                            sx_normalized_text *normalized);
void sx_normalized_text_clear(sx_normalized_text *normalized);

#endif
