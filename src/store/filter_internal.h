/* filter_internal.h - what a filter is between reading (filter_expression.c) and evaluation (filter_evaluation.c). */
#ifndef SX_STORE_FILTER_INTERNAL_H
#define SX_STORE_FILTER_INTERNAL_H

#include "filter_expression.h"

#include "../base/buffer.h"
#include "../base/memory.h"

typedef enum filter_kind { KIND_CONDITION, KIND_AND, KIND_OR, KIND_NOT } filter_kind;
typedef enum filter_test { TEST_EQUAL, TEST_LESS, TEST_AT_MOST, TEST_MORE, TEST_AT_LEAST, TEST_PREFIX, TEST_GLOB } filter_test;

typedef struct filter_value {
    sx_text text;
    double number;
    bool is_number;
    bool is_pattern; /* * stands for any characters, although the operator is = */
} filter_value;

/* What a key asks for. Keys other than document and root are the metadata's where it has them. */
typedef enum filter_key {
    KEY_METADATA, KEY_DOCUMENT, KEY_ROOT, KEY_DATE, KEY_PATH, KEY_FILE, KEY_PAGE, KEY_LINE, KEY_HEADING, KEY_SYMBOL, KEY_KIND
} filter_key;

/* Whether something holds, as far as is known. */
typedef enum filter_verdict { VERDICT_NO, VERDICT_MAYBE, VERDICT_YES } filter_verdict;

typedef struct filter_node filter_node;
struct filter_node {
    filter_kind kind;
    filter_node *child, *next; /* of AND, OR, NOT: the first one; each child's follower */
    /* of a condition */
    filter_test test;
    bool opposite;             /* !=, !~, not in: holds exactly when the test does not */
    filter_key asks;
    sx_text key;
    filter_value *values;      /* one of them must pass */
    size_t count;
    /* what the metadata of the last document said, kept for its next chunk */
    int64_t known_of;
    bool known_there, known_passes;
};

struct sx_filter {
    sx_arena arena;
    filter_node *root;
    unsigned needs;
    /* where the pages of the last document begin, and which lines of its file its lines are */
    int64_t places_of;
    sx_buffer pages, lines;
};

/* Reads the value's text as a number, if it is one. */
void sx_filter_note_number(filter_value *value);

#endif
