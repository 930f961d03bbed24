/* filter_expression.h - conditions on documents, from the text that people write to yes or no. docs/searching.md is the manual.
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
enum { SX_FILTER_METADATA = 1, SX_FILTER_DOCUMENT = 2, SX_FILTER_ROOT = 4, SX_FILTER_MODIFIED = 8 };
unsigned sx_filter_needs(const sx_filter *filter);

typedef struct sx_filter_subject {
    sx_text metadata;     /* a JSON object; NULL data: none */
    sx_text document, root;
    int64_t modified_ns;  /* since 1970, for the key "date" where the metadata has none */
} sx_filter_subject;
/* *damaged is set, and never unset, when the metadata is no JSON object. */
bool sx_filter_holds(const sx_filter *filter, const sx_filter_subject *subject, bool *damaged);

#endif
