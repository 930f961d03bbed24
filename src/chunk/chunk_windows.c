/* chunk_windows.c - windows of a fixed number of tokens or code points, each repeating the end of the one before. A
 * window of characters ends where it ends, as the classic form does; one of tokens ends with a word if it can, since
 * half words are other tokens. */
#include "chunk_internal.h"

/* The part of a window of tokens in which a word's end is looked for. */
enum { WORD_SHARE = 4 };

static size_t window_cut(const sx_chunker *chunker, size_t start, size_t fresh, size_t ceiling, size_t hard_end,
                         const void *context)
{
    (void)context;
    const char *text = chunker->text;
    if (ceiling >= hard_end)
        return hard_end;
    if (chunker->plan->in_tokens) {
        size_t low = ceiling - (ceiling - start) / WORD_SHARE;
        for (size_t at = ceiling; at >= low && at > fresh; at--)
            if (sx_blank_before(text, fresh, at))
                return at;
    }
    return sx_grapheme_back(text, fresh, chunker->length, ceiling);
}

sx_status sx_chunk_windows(sx_chunker *chunker)
{
    const char *text = chunker->text;
    size_t start = 0, fresh = 0, end = chunker->length;
    while (sx_skip_blank(text, end, fresh) < end) {
        size_t cut, begin = start;
        sx_status status = sx_chunk_place(chunker, &begin, fresh, end, window_cut, NULL, &cut);
        if (status != SX_OK)
            return status;
        fresh = cut;
        start = sx_overlap_start(chunker, begin, cut);
    }
    return SX_OK;
}
