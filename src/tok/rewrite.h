/* rewrite.h - from one working text to another, character by character, keeping track of where each came from.
 *
 * The rules are those of NormalizedString::transform in the tokenizers library: a character that replaces one takes its
 * origin, a character that is added takes that of the one before it. */
#ifndef SX_TOK_REWRITE_H
#define SX_TOK_REWRITE_H

#include "../base/code_point.h"
#include "working_text.h"

typedef struct sx_rewrite {
    const sx_working_text *from;
    sx_working_text *to;
    size_t at;    /* the next byte of `from` that is not yet consumed */
    uint32_t base; /* where the original begins: the origin of what is added before everything */
} sx_rewrite;

/* The character of `text` at a place inside it. Invalid bytes count as U+FFFD. */
static inline sx_code_point sx_working_text_at(const sx_working_text *text, size_t at)
{
    unsigned char byte = (unsigned char)text->bytes[at];
    if (byte < 0x80)
        return (sx_code_point){byte, 1, true};
    return sx_utf8_decode(text->bytes + at, text->length - at);
}

/* Consumes up to `end`, taking everything over as it is. */
static inline void sx_rewrite_copy(sx_rewrite *rewrite, size_t end)
{
    sx_working_text_put_part(rewrite->to, rewrite->from, rewrite->at, end);
    rewrite->at = end;
}

/* Writes a character that came from bytes [begin, end) of `from`. */
static inline void sx_rewrite_put(sx_rewrite *rewrite, uint32_t code, size_t begin, size_t end)
{
    sx_working_text_put_code(rewrite->to, code, rewrite->from->starts[begin], rewrite->from->ends[end - 1]);
}

/* Writes a character. change > 0: it is added, and has the origin of the character before the next to consume; otherwise it
 * replaces the next one, and -change more are consumed with it. */
void sx_rewrite_change(sx_rewrite *rewrite, uint32_t code, int change);

/* The first place from `at` on that is no ASCII, or the end. */
size_t sx_working_text_ascii_end(const sx_working_text *text, size_t at);

#endif
