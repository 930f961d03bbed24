/* gguf_tokenizer.h - a tokenizer out of what a GGUF file says about it. */
#ifndef SX_TOK_GGUF_TOKENIZER_H
#define SX_TOK_GGUF_TOKENIZER_H

#include "sextant.h"

#include <stdbool.h>
#include <stdint.h>

/* token_type: ggml's numbers. */
enum { SX_GGUF_TOKEN_NORMAL = 1, SX_GGUF_TOKEN_UNKNOWN, SX_GGUF_TOKEN_CONTROL, SX_GGUF_TOKEN_USER_DEFINED, SX_GGUF_TOKEN_UNUSED,
       SX_GGUF_TOKEN_BYTE };

/* The values of tokenizer.ggml.*; ids are -1 where the file says nothing. */
typedef struct sx_gguf_vocabulary {
    const char *path;        /* of the file, for messages */
    sx_text model, pre;      /* "bert", "gpt2", "llama" or "t5"; how gpt2's text is cut */
    const sx_text *tokens;
    const double *scores;    /* NULL: none */
    const double *types;     /* NULL: all normal */
    size_t count;
    const sx_text *merges;
    size_t merge_count;
    int64_t bos, eos, unknown, separator, padding, cls, mask;
    int add_bos, add_eos, add_separator, add_space_prefix; /* -1: the file says nothing */
    const unsigned char *charsmap; /* normalisation of "t5"; NULL: none */
    size_t charsmap_length;
} sx_gguf_vocabulary;

/* SX_E_UNSUPPORTED names a model or way of cutting that is not known. */
sx_status sx_tokenizer_of_gguf(const sx_gguf_vocabulary *vocabulary, sx_tokenizer **out, sx_error *error);

#endif
