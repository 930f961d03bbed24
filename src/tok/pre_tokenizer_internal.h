/* pre_tokenizer_internal.h - a step of the pre-tokenizer, between its reader and what carries it out. */
#ifndef SX_TOK_PRE_TOKENIZER_INTERNAL_H
#define SX_TOK_PRE_TOKENIZER_INTERNAL_H

#include "pre_tokenizer.h"
#include "regex.h"
#include "split_patterns.h"

typedef enum sx_pre_tokenizer_kind {
    SX_PRE_TOKENIZER_BERT,
    SX_PRE_TOKENIZER_WHITESPACE,
    SX_PRE_TOKENIZER_WHITESPACE_SPLIT,
    SX_PRE_TOKENIZER_PUNCTUATION,
    SX_PRE_TOKENIZER_DIGITS,
    SX_PRE_TOKENIZER_CHARACTER,      /* CharDelimiterSplit */
    SX_PRE_TOKENIZER_SCRIPTS,
    SX_PRE_TOKENIZER_FIXED_LENGTH,
    SX_PRE_TOKENIZER_SPLIT_LITERAL,
    SX_PRE_TOKENIZER_SPLIT_SCANNER,  /* a regular expression that there is a scanner for */
    SX_PRE_TOKENIZER_SPLIT_REGEX,
    SX_PRE_TOKENIZER_BYTE_LEVEL,
    SX_PRE_TOKENIZER_METASPACE
} sx_pre_tokenizer_kind;

/* What becomes of a match: its own piece, nothing, joined to a neighbour, or joined to matches next to it. */
typedef enum sx_split_behavior {
    SX_SPLIT_ISOLATED,
    SX_SPLIT_REMOVED,
    SX_SPLIT_MERGED_WITH_PREVIOUS,
    SX_SPLIT_MERGED_WITH_NEXT,
    SX_SPLIT_CONTIGUOUS
} sx_split_behavior;

typedef enum sx_prepend_scheme { SX_PREPEND_ALWAYS, SX_PREPEND_FIRST, SX_PREPEND_NEVER } sx_prepend_scheme;

struct sx_pre_tokenizer_step {
    sx_pre_tokenizer_kind kind;
    sx_split_behavior behavior;         /* Punctuation, Digits, Split */
    bool invert;                        /* Split: what lies between matches is taken for the matches */
    sx_text pattern;                    /* Split: the string or the regular expression; CharDelimiterSplit and Metaspace: the
                                         * character, as UTF-8 */
    const sx_split_pattern *scanner;
    sx_regex *regex;
    bool add_prefix_space, use_regex;   /* ByteLevel */
    bool split;                         /* Metaspace: a piece begins at each replacement */
    sx_prepend_scheme prepend;          /* Metaspace */
    size_t characters;                  /* FixedLength */
};

#endif
