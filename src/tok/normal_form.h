/* normal_form.h - Unicode normalization forms, as of the version of Unicode that tokenizers has them from (9). */
#ifndef SX_TOK_NORMAL_FORM_H
#define SX_TOK_NORMAL_FORM_H

#include "rewrite.h"

#include <stdbool.h>

/* Rewrites everything: NFC, NFD, NFKC or NFKD. */
void sx_normal_form(sx_rewrite *rewrite, bool compatible, bool compose);
/* A combining mark (categories Mn, Mc, Me), in that version. */
bool sx_is_combining_mark(uint32_t code);

#endif
