/* regex.h - the regular expressions that tokenizer.json carries (Replace, Split), by PCRE2 in UTF and UCP mode. */
#ifndef SX_TOK_REGEX_H
#define SX_TOK_REGEX_H

#include "sextant.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct sx_regex sx_regex; /* immutable once compiled: any number of threads */

/* A pattern in Oniguruma's syntax as tokenizers use it, translated where PCRE2 differs; a literal string is matched as it
 * stands. What cannot be translated is SX_E_UNSUPPORTED with the pattern and the place. `where` names the component. */
sx_status sx_regex_open(sx_text pattern, bool literal, const char *where, sx_regex **out, sx_error *error);
void sx_regex_close(sx_regex *regex);
/* The next match at or after `from` in valid UTF-8; text before `from` is looked back at. 1: [*begin, *end); 0: none;
 * -1: no memory or beyond the match limits. */
int sx_regex_next(const sx_regex *regex, const char *text, size_t length, size_t from, size_t *begin, size_t *end);

#endif
