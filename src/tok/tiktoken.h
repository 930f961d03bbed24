/* tiktoken.h - OpenAI's encodings: their names, how they cut text, and the files of ranks they are published as. */
#ifndef SX_TOK_TIKTOKEN_H
#define SX_TOK_TIKTOKEN_H

#include "split_patterns.h"

#include <stdint.h>

typedef struct sx_openai_special {
    const char *text;
    uint32_t id;
} sx_openai_special;

typedef struct sx_openai_encoding {
    const char *name;
    const sx_split_pattern *split;
    uint32_t ranks;                /* pieces in its file */
    sx_openai_special special[6];  /* ends with text NULL; never found in text, which is all ordinary here */
} sx_openai_encoding;

/* "cl100k_base", "o200k_base", "p50k_base", "r50k_base"; NULL for any other name. */
const sx_openai_encoding *sx_openai_encoding_find(const char *name, size_t length);

#endif
