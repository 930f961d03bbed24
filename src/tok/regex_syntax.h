/* regex_syntax.h - from Oniguruma's syntax of regular expressions to PCRE2's. */
#ifndef SX_TOK_REGEX_SYNTAX_H
#define SX_TOK_REGEX_SYNTAX_H

#include "../base/buffer.h"
#include "sextant.h"

/* Appends the pattern as PCRE2 reads it in UTF, UCP and multi-line mode. What has no counterpart is SX_E_UNSUPPORTED, what is
 * no pattern SX_E_FORMAT, both with the pattern, the byte in it and `where`, the component it is of. */
sx_status sx_regex_translate(sx_text pattern, const char *where, sx_buffer *out, sx_error *error);

#endif
