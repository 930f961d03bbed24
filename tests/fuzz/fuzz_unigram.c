/* fuzz_unigram.c - any pieces and scores, any text: the tokens lie one behind the other and cover the text, and their
 * score is that of the best way there is, found by the plainest algorithm. */
#include "base/memory.h"
#include "tok/unigram.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECES = 24, MOST_TEXT = 64 };

typedef struct cover {
    const sx_vocabulary *vocabulary;
    const char *text;
    const double *scores;
    double unknown_score, score;
    uint32_t at;
} cover;

static void put(void *user, uint32_t id, uint32_t start, uint32_t end)
{
    cover *c = user;
    if (start != c->at)
        abort();
    if (end < start || id >= c->vocabulary->count)
        abort();
    c->at = end;
    sx_text piece = sx_vocabulary_piece_text(c->vocabulary, id);
    if (id != 0 && (piece.length != end - start || memcmp(piece.data, c->text + start, piece.length) != 0))
        abort();
    if (id != 0)
        c->score += c->scores[id];
    else
        for (uint32_t i = start; i < end; i++) /* of ASCII text: a character a byte */
            c->score += c->unknown_score;
}

static double best_score(const sx_vocabulary *vocabulary, const double *scores, double unknown, const char *text, size_t length)
{
    double best[MOST_TEXT + 1] = {0};
    for (size_t end = 1; end <= length; end++) {
        bool found = false, alone = false;
        for (size_t start = 0; start < end; start++) {
            for (uint32_t id = 0; id < vocabulary->count; id++) {
                sx_text piece = sx_vocabulary_piece_text(vocabulary, id);
                if (piece.length != end - start || memcmp(piece.data, text + start, piece.length) != 0)
                    continue;
                alone |= piece.length == 1;
                if (!found || best[start] + scores[id] > best[end])
                    best[end] = best[start] + scores[id];
                found = true;
            }
        }
        if (!alone && (!found || best[end - 1] + unknown > best[end]))
            best[end] = best[end - 1] + unknown;
    }
    return best[length];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sx_vocabulary vocabulary = {0};
    double scores[PIECES] = {0}, lowest = 0;
    uint32_t count = 1;
    size_t at = 0;
    sx_vocabulary_add(&vocabulary, (sx_text){"\x01unknown", 8}, 0);
    while (count < PIECES && at + 2 < size && data[at] != 0xff) {
        size_t length = data[at] % 6 + 1u;
        double score = -(double)(data[at + 1] % 32) / 4;
        at += 2;
        if (length > size - at)
            break;
        char piece[8];
        for (size_t i = 0; i < length; i++)
            piece[i] = (char)('a' + data[at + i] % 4);
        at += length;
        if (sx_vocabulary_add(&vocabulary, (sx_text){piece, length}, count) != SX_VOCABULARY_OK)
            continue;
        lowest = score < lowest ? score : lowest;
        scores[count++] = score;
    }
    char text[MOST_TEXT];
    size_t length = 0;
    for (; at < size && length < MOST_TEXT; at++)
        text[length++] = (char)('a' + data[at] % 6);
    sx_unigram *unigram;
    if (sx_unigram_open(&vocabulary, 0, false, &unigram, NULL))
        abort();
    for (uint32_t id = 0; id < count; id++)
        if (sx_unigram_add_score(unigram, id, scores[id], NULL))
            abort();
    if (sx_unigram_finish(unigram, "fuzz", NULL))
        abort();
    sx_unigram_memory *memory = sx_unigram_memory_open();
    cover c = {.vocabulary = &vocabulary, .text = text, .scores = scores, .unknown_score = lowest - 10};
    if (!memory || !sx_unigram_split(unigram, memory, text, length, put, &c) || c.at != length)
        abort();
    /* Quarters add up without rounding. */
    if (c.score != best_score(&vocabulary, scores, lowest - 10, text, length))
        abort();
    sx_unigram_memory_close(memory);
    sx_unigram_close(unigram);
    sx_vocabulary_clear(&vocabulary);
    return 0;
}
