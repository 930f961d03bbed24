/* rewrite.c - origins of characters that replace others or are added, as tokenizers' NormalizedString::transform has them. */
#include "rewrite.h"

#include <string.h>

void sx_rewrite_change(sx_rewrite *rewrite, uint32_t code, int change)
{
    const sx_working_text *from = rewrite->from;
    size_t begin = rewrite->at, end = begin;
    if (change > 0 || begin >= from->length) {
        while (begin > 0 && ((unsigned char)from->bytes[--begin] & 0xc0) == 0x80)
            ;
    } else {
        end = rewrite->at += sx_working_text_at(from, begin).length;
        for (; change < 0 && rewrite->at < from->length; change++)
            rewrite->at += sx_working_text_at(from, rewrite->at).length;
    }
    if (begin == end)
        sx_working_text_put_code(rewrite->to, code, rewrite->base, rewrite->base);
    else
        sx_rewrite_put(rewrite, code, begin, end);
}

size_t sx_working_text_ascii_end(const sx_working_text *text, size_t at)
{
    for (uint64_t word; text->length - at >= sizeof word; at += sizeof word) {
        memcpy(&word, text->bytes + at, sizeof word);
        if (word & 0x8080808080808080u)
            break;
    }
    while (at < text->length && (unsigned char)text->bytes[at] < 0x80)
        at++;
    return at;
}
