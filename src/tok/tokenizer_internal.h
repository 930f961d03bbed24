/* tokenizer_internal.h - what a tokenizer is made of: a pipeline of stages, each chosen by its "type" in tokenizer.json.
 *
 *     text -> added tokens (as written) -> normaliser -> added tokens (normalised) -> pre-tokenizer -> model -> post-processor
 */
#ifndef SX_TOK_TOKENIZER_INTERNAL_H
#define SX_TOK_TOKENIZER_INTERNAL_H

#include "../base/memory.h"
#include "added_tokens.h"
#include "bpe.h"
#include "normalizer.h"
#include "post_processor.h"
#include "pre_tokenizer.h"
#include "tokenizer.h"
#include "unigram.h"
#include "vocabulary.h"
#include "word_table.h"
#include "wordpiece.h"
#include "working_text.h"

typedef enum sx_token_model_type {
    SX_TOKEN_MODEL_WORDPIECE,
    SX_TOKEN_MODEL_WORDLEVEL, /* a whole piece or the unknown token */
    SX_TOKEN_MODEL_BPE,
    SX_TOKEN_MODEL_UNIGRAM
} sx_token_model_type;

/* What an ASCII byte becomes behind the normaliser and is for the pre-tokenizer; computed once when opening. */
typedef enum sx_ascii_kind { SX_ASCII_WORD, SX_ASCII_SPACE, SX_ASCII_PUNCTUATION, SX_ASCII_REMOVED } sx_ascii_kind;

struct sx_tokenizer {
    char *path;
    uint64_t serial;            /* no two tokenizers of a process have the same */
    sx_arena arena;             /* texts of everything below */
    sx_vocabulary vocabulary;   /* by text: the model's pieces; by id: added tokens too */

    sx_added_token *added;
    size_t added_count, added_capacity;
    sx_vocabulary added_names;  /* text to index in `added` */
    unsigned char *special_ids; /* a bit an id */
    sx_token_matcher written, normalized;

    sx_normalizer normalizer;
    sx_pre_tokenizer pre_tokenizer;
    sx_token_model_type model_type;
    sx_wordpiece wordpiece;     /* also the unknown token of WordLevel */
    sx_bpe *bpe;
    sx_unigram *unigram;
    const struct sx_openai_encoding *openai; /* the text is cut as this one does, without other stages; usually NULL */
    sx_post_processor post;

    bool direct;                /* BERT's normalizer (or none), pre-tokenizer and WordPiece: text is never copied */
    unsigned char ascii_kind[128], ascii_code[128]; /* for that way */
    uint32_t ascii_piece[128];                      /* what a punctuation mark becomes; UINT32_MAX: not known beforehand */
    sx_word_table words;
};

struct sx_tokenizer_overrides;
/* Readers: fill a zeroed tokenizer whose path is set. overrides may be NULL. */
sx_status sx_tokenizer_read_json(sx_tokenizer *tokenizer, const char *data, size_t length,
                                 const struct sx_tokenizer_overrides *overrides, sx_error *error);
sx_status sx_tokenizer_read_vocab_txt(sx_tokenizer *tokenizer, const char *data, size_t length, sx_error *error);
sx_status sx_tokenizer_read_vocab_json(sx_tokenizer *tokenizer, const char *data, size_t length, sx_error *error);
sx_status sx_tokenizer_read_tiktoken(sx_tokenizer *tokenizer, const char *data, size_t length, sx_error *error);

/* "model" of tokenizer.json, read in two steps: what it says, and - once the pre-tokenizer is known, which says how a vocabulary
 * is spelt - the model itself. Zero-initialise. */
typedef struct sx_model_reading {
    bool found;
    bool dropout;
    bool has_unknown_id;
    uint64_t unknown_id;        /* of Unigram */
    bool byte_fallback, fuse_unknown, ignore_merges;
    sx_text unknown, prefix, suffix;
    bool has_prefix;
    double *scores;             /* of Unigram, by id */
    size_t score_count, score_capacity;
    sx_text merges;             /* the member as it stands in the file; data NULL: none */
} sx_model_reading;

struct sx_json;
/* Reads the value that comes next, the vocabulary going into the tokenizer's. */
sx_status sx_model_reading_read(sx_model_reading *reading, sx_tokenizer *tokenizer, struct sx_json *json, sx_error *error);
sx_status sx_model_reading_finish(sx_model_reading *reading, sx_tokenizer *tokenizer, sx_error *error);
void sx_model_reading_clear(sx_model_reading *reading);

/* What transformers changes in a tokenizer.json when it loads a folder: tokenizer_config.json overrides parts of it. All NULL and
 * false: nothing. */
typedef struct sx_tokenizer_overrides {
    json_t *config;   /* tokenizer_config.json */
    char *path;       /* of it */
    bool active;
    bool bert, chinese; /* the class makes its own BertNormalizer, Chinese characters included */
    bool roberta;     /* the class sets offsets and spaces of its post-processor */
    bool gemma;       /* the class makes its own template of <bos> and <eos> */
} sx_tokenizer_overrides;

/* Reads the configuration beside the tokenizer's file. A folder without any changes nothing. */
sx_status sx_tokenizer_overrides_read(sx_tokenizer_overrides *overrides, const sx_tokenizer *tokenizer, sx_error *error);
void sx_tokenizer_overrides_clear(sx_tokenizer_overrides *overrides);
/* Changes a component's tree before it is read; *tree may be replaced. */
sx_status sx_tokenizer_override(const sx_tokenizer_overrides *overrides, const sx_tokenizer *tokenizer, const char *component,
                                json_t **tree, sx_error *error);
/* Adds tokens that only the configuration has, and takes its word for how white space around the others is stripped. */
sx_status sx_tokenizer_override_tokens(const sx_tokenizer_overrides *overrides, sx_tokenizer *tokenizer, sx_error *error);

/* A JSON file in the folder of the tokenizer's file; *json is NULL with SX_OK when there is none. *path is malloc'ed. */
sx_status sx_tokenizer_read_beside(const sx_tokenizer *tokenizer, const char *name, char **path, json_t **json, sx_error *error);
sx_status sx_tokenizer_flag(const json_t *config, const char *path, const char *field, bool *flag, sx_error *error);
/* A token as configurations write it: "[CLS]" or {"content": "[CLS]", "lstrip": false ...}. */
sx_status sx_tokenizer_token(const json_t *value, const char *path, const char *field, sx_added_token *token, sx_error *error);
/* The value a configuration gives a field; special_tokens_map.json is the older place. */
const json_t *sx_config_look_up(const json_t *config, const json_t *map, const char *field);
/* Adds the tokens of added_tokens_decoder. */
sx_status sx_config_added_tokens(sx_tokenizer *tokenizer, json_t *config, const char *path, sx_error *error);
/* Adds a special token, unless it is there; one that is not in the vocabulary gets the next id. */
sx_status sx_config_add_special(sx_tokenizer *tokenizer, sx_added_token *token, const char *field, sx_error *error);

/* Appends an added token, texts copied; its id must be the model's or a free one. `where` names its place for errors. */
sx_status sx_tokenizer_add_token(sx_tokenizer *tokenizer, const sx_added_token *token, const char *where, sx_error *error);
/* Makes the normalizer one BertNormalizer. */
sx_status sx_tokenizer_set_bert(sx_tokenizer *tokenizer, const sx_bert_normalizer *bert, sx_error *error);
/* Behind the reader: looks up the unknown piece, builds matchers and tables. */
sx_status sx_tokenizer_finish(sx_tokenizer *tokenizer, sx_error *error);

/* What encoding remembers from call to call; lives in sx_encoding. */
typedef struct sx_encode_scratch {
    sx_working_text text, spare, part;
    sx_bpe_memory *bpe;
    uint64_t bpe_serial;        /* the tokenizer whose words it remembers */
    sx_unigram_memory *unigram;
    sx_word_memory words;       /* of WordPiece */
} sx_encode_scratch;

/* One text being encoded. */
typedef struct sx_encoder {
    const sx_tokenizer *tokenizer;
    sx_encoding *encoding;
    sx_text text;
    size_t total;     /* tokens of the text so far */
    size_t limit;     /* of these are kept */
    size_t base;      /* special tokens before them */
    bool no_memory;
    bool valid;       /* the part being encoded is valid UTF-8 */
    const sx_working_text *working; /* the part behind its pre-tokenizer, and the piece of it that the model has */
    size_t piece_begin;
    const sx_word_memory *split_words; /* NULL: nothing is remembered */
    sx_word word;     /* the last member: only sx_word_begin writes to it before it is used */
} sx_encoder;

/* A token of the text; the last ones taken back again. */
void sx_encoder_put(sx_encoder *encoder, uint32_t id, uint32_t start, uint32_t end);
void sx_encoder_take_back(void *encoder, size_t tokens);
/* Takes the white space at both ends of a token out of its offsets, as the post-processor says. `token` is its text, or with
 * `bytes` the bytes it stands for. */
void sx_trim_offsets(sx_encoder *encoder, sx_text token, bool bytes, size_t index);
/* The way of all tokenizers that are not `direct`: text[from, to), in which no token as written is, through all stages. */
void sx_encode_part(sx_encoder *encoder, size_t from, size_t to);
/* The same for a tokenizer with `openai`. */
void sx_encode_split(sx_encoder *encoder, size_t from, size_t to);
/* The encoding's scratch with the model's memory in it; NULL: no memory, which is noted in the encoder. */
sx_encode_scratch *sx_encode_open_scratch(sx_encoder *encoder);
/* What every text in `normalized` form is made of; for added tokens' patterns too. False: no memory. */
bool sx_normalize_part(const sx_tokenizer *tokenizer, const char *text, size_t from, size_t to, sx_working_text *normalized,
                       sx_working_text *spare);
/* The tokens of a text alone, no more than `limit` of them, behind `base` places left free for special tokens. */
bool sx_encode_tokens(const sx_tokenizer *tokenizer, sx_text text, size_t base, size_t limit, sx_encoding *encoding);
sx_encode_scratch *sx_encoding_scratch(sx_encoding *encoding);
void sx_encode_scratch_free(void *scratch);

#endif
