/* filter_expression.h - conditions on documents and their chunks, from the text that people write to yes or no. docs/searching.md is the manual.
 *
 *     expression  = all { "or" all }
 *     all         = one { "and" one }
 *     one         = "not" one | "(" expression ")" | condition
 *     condition   = key operator value | key ["not"] "in" "(" value { "," value } ")" | key "prefix" value
 *     operator    = "=" | "!=" | "<" | "<=" | ">" | ">=" | "^=" | "~" | "!~"
 *
 * Keys and values may stand in single or double quotes. A value without them goes to the end, or to where "and" or "or" is followed
 * by another condition: so title=Tom and Jerry is one condition, as it always was.
 */
#ifndef SX_STORE_FILTER_EXPRESSION_H
#define SX_STORE_FILTER_EXPRESSION_H

#include "sextant.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct sx_filter sx_filter;

/* SX_E_INVALID names the place, SX_E_LIMIT what there is too much of. */
sx_status sx_filter_parse(const char *text, sx_filter **out, sx_error *error);
void sx_filter_close(sx_filter *filter);

/* What a filter looks at, as bits: only these members of a subject need be filled. */
enum {
    SX_FILTER_METADATA = 1, SX_FILTER_DOCUMENT = 2, SX_FILTER_ROOT = 4, SX_FILTER_MODIFIED = 8,
    SX_FILTER_RANGE = 16, SX_FILTER_HEADINGS = 32, SX_FILTER_SYMBOLS = 64,
    SX_FILTER_CHUNK = SX_FILTER_RANGE | SX_FILTER_HEADINGS | SX_FILTER_SYMBOLS /* any of these: it asks about chunks */
};
unsigned sx_filter_needs(const sx_filter *filter);

typedef struct sx_filter_chunk {
    uint64_t start, end;
    uint32_t start_line, end_line;
    sx_text headings, symbols; /* JSON, as in sx_chunk_row; NULL data: none */
} sx_filter_chunk;

typedef struct sx_filter_subject {
    sx_text metadata;     /* a JSON object; NULL data: none */
    sx_text document, root;
    int64_t modified_ns;  /* since 1970, for the key "date" where the metadata has none */
    int64_t id;           /* of the document: what is known of it is kept until another id comes; 0: not kept */
    const sx_filter_chunk *chunk; /* NULL: whether it may hold for some chunk of the document is asked */
} sx_filter_subject;
/* *damaged is set, and never unset, when the metadata is no JSON object. */
bool sx_filter_holds(sx_filter *filter, const sx_filter_subject *subject, bool *damaged);

#endif
