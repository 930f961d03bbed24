/* unicode.h - character classes and mappings, as the Hugging Face tokenizers library has them.
 *
 * The tables come from utf8proc; where tokenizers is pinned to other versions of Unicode (it takes categories from version 8 of
 * the standard and letter case from version 17), a small table of exceptions in unicode.c follows it, because token ids
 * must not depend on who knows more characters. */
#ifndef SX_TEXT_UNICODE_H
#define SX_TEXT_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

enum { SX_MOST_DECOMPOSED = 4 };

/* General categories Cc, Cf, Co and Cs; unassigned code points are none of these. */
bool sx_unicode_is_other(uint32_t code);
/* Category Mn. */
bool sx_unicode_is_nonspacing_mark(uint32_t code);
/* Categories Pc, Pd, Ps, Pe, Pi, Pf, Po. */
bool sx_unicode_is_punctuation(uint32_t code);
/* Property White_Space. */
bool sx_unicode_is_space(uint32_t code);
/* What Python's str.strip() and str.isspace() take for white space: White_Space and U+001C-U+001F. */
bool sx_unicode_is_python_space(uint32_t code);
/* Letter, mark, decimal digit, connector punctuation or join control: \w of Unicode Technical Standard 18. */
bool sx_unicode_is_word(uint32_t code);
/* The blocks of Chinese characters that BERT sets apart. */
bool sx_unicode_is_chinese(uint32_t code);

/* What the splitting patterns of byte pair encodings tell apart, as of Unicode 16 (Oniguruma in tokenizers 0.22 and 0.23, and
 * the regular expressions of tiktoken 0.14): general categories and the property White_Space, as bits. */
enum {
    SX_CLASS_UPPER = 1,        /* Lu */
    SX_CLASS_LOWER = 2,        /* Ll */
    SX_CLASS_TITLE = 4,        /* Lt */
    SX_CLASS_MODIFIER = 8,     /* Lm */
    SX_CLASS_OTHER = 16,       /* Lo */
    SX_CLASS_LETTER = 31,      /* L: all of these */
    SX_CLASS_MARK = 32,        /* M */
    SX_CLASS_NUMBER = 64,      /* N */
    SX_CLASS_PUNCTUATION = 128, /* P */
    SX_CLASS_SYMBOL = 256,     /* S */
    SX_CLASS_SPACE = 512,
    SX_CLASS_NEWLINE = 1024    /* CR and LF, besides SX_CLASS_SPACE */
};
unsigned sx_unicode_classes(uint32_t code);
/* Categories Nd, Nl and No as of Unicode 17, Rust's char::is_numeric. */
bool sx_unicode_is_numeric(uint32_t code);

/* The script a character belongs to, as a number of this library; SX_SCRIPT_ANY fits every script. */
enum { SX_SCRIPT_ANY = 0 };
unsigned sx_unicode_script(uint32_t code);

/* Canonical combining class. */
unsigned sx_unicode_combining_class(uint32_t code);
/* Full canonical decomposition; returns how many code points (1-4) were written. */
unsigned sx_unicode_decompose(uint32_t code, uint32_t to[SX_MOST_DECOMPOSED]);
/* Lower case; returns how many code points (1 or 2) were written. */
unsigned sx_unicode_lower(uint32_t code, uint32_t to[2]);

#endif
