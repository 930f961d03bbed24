/* chunk_recursive.c - recursive splitting: at paragraphs, else lines, else sentences, else words, else characters.
 *
 * The common splitters cut a text at the first separator, then pieces that are too long at the next, and join what is
 * short. The same cuts are found here from left to right: of the places where the chunk in hand can end, the last one of
 * the best kind, provided it fills a fair part of the chunk. So what is left of a long paragraph joins the next instead
 * of standing alone, and the work is linear. */
#include "chunk_internal.h"

/* The last entry of block_starts in [low, high], or 0. */
static size_t last_block(const sx_chunker *chunker, size_t low, size_t high)
{
    size_t from = 0, to = chunker->block_count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (chunker->block_starts[middle] <= high)
            from = middle + 1;
        else
            to = middle;
    }
    size_t start = from ? (size_t)chunker->block_starts[from - 1] : 0;
    return start >= low ? start : 0;
}

/* The least end of a piece from start that leaves no heading alone: inside the first body it reaches; 0 when start is in
 * a body. */
static size_t least_end(const sx_chunker *chunker, size_t start, size_t ceiling)
{
    uint32_t at = sx_section_at(chunker, start);
    while (!chunker->sections[at].has_body && at + 1 < chunker->section_count && chunker->sections[at + 1].start < ceiling)
        at++;
    size_t body = chunker->sections[at].body;
    return start < body && body < ceiling ? body + 1 : 0;
}

/* The last heading in [low, from] that has a body before it and not a bare heading, or 0. */
static size_t last_heading(const sx_chunker *chunker, size_t low, size_t from)
{
    uint32_t at = sx_section_at(chunker, from);
    while (at > 0 && !chunker->sections[at - 1].has_body && chunker->sections[at].start >= low)
        at--;
    return chunker->sections[at].start >= low ? chunker->sections[at].start : 0;
}

/* Where a piece should end at the latest when what is left is to be cut into even pieces. */
static size_t even_end(const sx_chunker *chunker, size_t start, size_t ceiling, size_t hard_end)
{
    uint64_t budget;
    const sx_marks *marks = sx_budget_marks(chunker, &budget);
    if (!marks || ceiling >= hard_end)
        return ceiling;
    uint64_t begin = sx_marks_before(marks, start);
    uint64_t room = sx_marks_before(marks, ceiling) - begin, left = sx_marks_before(marks, hard_end) - begin;
    uint64_t overlap = chunker->plan->overlap < room / 2 ? chunker->plan->overlap : room / 2;
    if (room <= overlap || left <= room)
        return ceiling;
    uint64_t pieces = (left - overlap + room - overlap - 1) / (room - overlap);
    if (pieces < 2 || pieces > sx_chunk_tuned.balance_pieces)
        return ceiling;
    uint64_t share = (left - overlap + pieces - 1) / pieces + overlap;
    share += share * sx_chunk_tuned.balance_slack_percent / 100;
    size_t end = share < room ? sx_marks_find(marks, begin + share) : ceiling;
    return end > start && end < ceiling ? end : ceiling;
}

/* Of the places in [low, from], the last of the best kind; *best says which. 0 for none. */
static size_t best_cut(const sx_chunker *chunker, size_t begin, size_t low, size_t from, size_t hard_end, sx_cut *best)
{
    const char *text = chunker->text;
    size_t found = 0;
    *best = SX_CUT_NONE;
    for (size_t at = from; at >= low && at > begin;) {
        sx_cut cut = sx_cut_at(text, begin, hard_end, at);
        if (cut > *best) {
            *best = cut;
            found = at;
            if (cut == SX_CUT_PARAGRAPH)
                break;
        }
        at--;
        while (at > low && ((unsigned char)text[at] & 0xc0) == 0x80)
            at--;
        /* A chunk never begins with a blank: on to the end of the word before. */
        if (sx_blank_at(text, hard_end, at))
            at = sx_trim_blank(text, begin, at);
    }
    return found;
}

size_t sx_recursive_end(const sx_chunker *chunker, size_t start, size_t fresh, size_t ceiling, size_t hard_end,
                        const void *context)
{
    const sx_recursive_context *how = context;
    const char *text = chunker->text;
    if (sx_skip_blank(text, hard_end, ceiling) == hard_end)
        return hard_end;
    size_t soft = how->balance ? even_end(chunker, start, ceiling, hard_end) : ceiling;
    if (soft <= fresh)
        soft = ceiling;
    size_t low = start + (size_t)((double)(soft - start) * sx_chunk_tuned.least_fill_percent / 100);
    low = low > fresh ? low : fresh + 1;
    size_t from = sx_skip_blank(text, hard_end, soft);
    if (how->use_blocks) {
        size_t least = least_end(chunker, start, soft);
        low = low > least ? low : least;
        size_t heading = last_heading(chunker, low, from);
        if (heading)
            return heading;
        size_t block = last_block(chunker, low, from);
        if (block)
            return block;
    }
    sx_cut kind;
    size_t cut = best_cut(chunker, fresh, low, from, hard_end, &kind);
    if (!cut && soft < ceiling) /* no break in the even piece: any in the largest one */
        cut = best_cut(chunker, fresh, soft, sx_skip_blank(text, hard_end, ceiling), hard_end, &kind);
    if (!cut) /* better a short chunk than a word cut in two */
        cut = best_cut(chunker, fresh, fresh + 1, low, hard_end, &kind);
    return cut ? cut : sx_grapheme_back(text, fresh, chunker->length, ceiling);
}

/* The overlap begins with a sentence or line if one begins in its first half, else with a word. */
static size_t overlap_at_word(const sx_chunker *chunker, size_t start, size_t end)
{
    const char *text = chunker->text;
    size_t from = sx_overlap_start(chunker, start, end), half = from + (end - from) / 2, word = 0;
    for (size_t at = from; at < end;) {
        size_t blank = sx_blank_at(text, end, at), bytes;
        if (blank) {
            at += blank;
            continue;
        }
        sx_cut cut = sx_cut_at(text, start, end, at);
        if (cut >= SX_CUT_SENTENCE && at <= half)
            return at;
        if (cut != SX_CUT_NONE && !word)
            word = at;
        if (word && at > half)
            break;
        sx_code_point_at(text, end, at, &bytes);
        at += bytes;
    }
    return word ? word : from;
}

sx_status sx_chunk_from_left(sx_chunker *chunker, size_t start, size_t end, sx_end_chooser choose, const void *context)
{
    size_t fresh = start;
    while (sx_skip_blank(chunker->text, end, fresh) < end) {
        size_t cut;
        sx_status status = sx_chunk_place(chunker, &start, fresh, end, choose, context, &cut);
        if (status != SX_OK)
            return status;
        fresh = cut;
        start = overlap_at_word(chunker, start, cut);
    }
    return SX_OK;
}

sx_status sx_chunk_recursively(sx_chunker *chunker, size_t start, size_t end, const sx_recursive_context *context)
{
    return sx_chunk_from_left(chunker, start, end, sx_recursive_end, context);
}
