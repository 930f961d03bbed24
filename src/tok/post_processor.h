/* post_processor.h - the "post_processor" of tokenizer.json: which special tokens stand around one text or two, and whether
 * offsets leave out the white space of their tokens. */
#ifndef SX_TOK_POST_PROCESSOR_H
#define SX_TOK_POST_PROCESSOR_H

#include "sextant.h"
#include "vocabulary.h"

#include <jansson.h>

typedef enum sx_post_kind { SX_POST_TOKEN, SX_POST_FIRST, SX_POST_SECOND } sx_post_kind;

typedef struct sx_post_item {
    sx_post_kind kind;  /* a special token, the first text or the second */
    uint32_t id;        /* of the special token */
    uint32_t type;      /* token type */
} sx_post_item;

typedef struct sx_post_template {
    sx_post_item *items;
    size_t count, capacity;
} sx_post_template;

enum { SX_MOST_TRIMS = 4 };

/* Zero-initialise. */
typedef struct sx_post_processor {
    sx_post_template single, pair; /* pair with count 0: the file has none */
    size_t before, after;          /* special tokens of `single` before the text and behind it */
    unsigned trims;                /* how often offsets are trimmed (processors in a row may each do it) */
    bool trim_prefix[SX_MOST_TRIMS]; /* the one space of a first token is taken for one that was added */
} sx_post_processor;

/* NULL or JSON null: nothing is added. Ids must be in the vocabulary. SX_E_UNSUPPORTED names an unknown type. */
sx_status sx_post_processor_read(const json_t *component, const char *path, const sx_vocabulary *vocabulary,
                                 sx_post_processor *post, sx_error *error);
/* [CLS] A [SEP] and [CLS] A [SEP] B [SEP], the second text with its [SEP] of type 1. */
bool sx_post_processor_set_bert(sx_post_processor *post, uint32_t class, uint32_t separator);
/* Texts alone, the second of type 1, where nothing else was said. */
bool sx_post_processor_set_none(sx_post_processor *post);
void sx_post_processor_clear(sx_post_processor *post);

#endif
