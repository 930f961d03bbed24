/* chunk_marks.c - a bitmap with sums: how many tokens lie before a byte, and at which byte the n-th begins.
 *
 * Rank and select after Jacobson (1989), one sum for each 512 bits: a bit and an eighth for each byte of text, whatever the
 * tokens are, where a list of offsets would take eight bytes for each token. */
#include "chunk_internal.h"

#include <stdlib.h>

enum { WORD_BITS = 64, SUM_WORDS = 8, SUM_BITS = WORD_BITS * SUM_WORDS };

bool sx_marks_make(sx_marks *marks, size_t length)
{
    *marks = (sx_marks){.length = length};
    /* Whole groups and one more, so that no reader has to look where the end is. */
    marks->bits = sx_calloc(length / SUM_BITS + 1, SUM_WORDS * sizeof *marks->bits);
    marks->sums = sx_calloc(length / SUM_BITS + 2, sizeof *marks->sums);
    if (marks->bits && marks->sums)
        return true;
    sx_marks_clear(marks);
    return false;
}

void sx_marks_clear(sx_marks *marks)
{
    free(marks->bits);
    free(marks->sums);
    *marks = (sx_marks){0};
}

void sx_marks_finish(sx_marks *marks)
{
    uint64_t sum = 0;
    size_t groups = marks->length / SUM_BITS + 1;
    for (size_t group = 0; group < groups; group++) {
        marks->sums[group] = sum;
        for (size_t word = 0; word < SUM_WORDS; word++)
            sum += (uint64_t)__builtin_popcountll(marks->bits[group * SUM_WORDS + word]);
    }
    marks->sums[groups] = sum;
    marks->total = sum;
}

uint64_t sx_marks_before(const sx_marks *marks, size_t offset)
{
    if (offset >= marks->length)
        return marks->total;
    uint64_t sum = marks->sums[offset / SUM_BITS];
    size_t last = offset / WORD_BITS;
    for (size_t word = offset / SUM_BITS * SUM_WORDS; word < last; word++)
        sum += (uint64_t)__builtin_popcountll(marks->bits[word]);
    uint64_t below = ((uint64_t)1 << offset % WORD_BITS) - 1;
    return sum + (uint64_t)__builtin_popcountll(marks->bits[last] & below);
}

size_t sx_marks_find(const sx_marks *marks, uint64_t number)
{
    if (number >= marks->total)
        return marks->length;
    /* The last group with no more than `number` marks before it. */
    size_t low = 0, high = marks->length / SUM_BITS + 1;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (marks->sums[middle] <= number)
            low = middle;
        else
            high = middle;
    }
    uint64_t left = number - marks->sums[low];
    size_t word = low * SUM_WORDS;
    for (;;) {
        unsigned here = (unsigned)__builtin_popcountll(marks->bits[word]);
        if (left < here)
            break;
        left -= here;
        word++;
    }
    uint64_t bits = marks->bits[word];
    for (; left; left--)
        bits &= bits - 1;
    return word * WORD_BITS + (size_t)__builtin_ctzll(bits);
}
