/* wordpiece.c - greedy longest-match-first splitting of words (Wu et al. 2016; tokenizers' models/wordpiece).
 *
 * Most words are pieces themselves: the hash built while the word was collected finds them at once. For the rest the hashes of
 * all beginnings come from one pass per piece, bounded by the longest piece, so a word of n bytes costs O(n * longest). */
#include "wordpiece.h"

#include "../text/utf8.h"

#include <stdlib.h>
#include <string.h>

void sx_word_begin(sx_word *word, size_t limit)
{
    word->bytes = word->first_bytes;
    word->starts = word->first_starts;
    word->ends = word->first_ends;
    word->hashes = word->first_hashes;
    word->room = SX_WORD_ROOM;
    word->limit = limit;
    word->heap = NULL;
    word->no_memory = false;
    word->start = word->end = 0;
    sx_word_reset(word);
}

void sx_word_end(sx_word *word)
{
    free(word->heap);
    word->heap = NULL;
}

bool sx_word_grow(sx_word *word, size_t more)
{
    if (word->room - word->length >= more)
        return true;
    size_t room = word->room * 2;
    char *heap = room < SIZE_MAX / 32 ? malloc(room * (sizeof(uint64_t) + 2 * sizeof(uint32_t) + 1)) : NULL;
    if (!heap) {
        word->no_memory = true;
        return false;
    }
    uint64_t *hashes = (uint64_t *)(void *)heap;
    uint32_t *starts = (uint32_t *)(void *)(hashes + room), *ends = starts + room;
    char *bytes = (char *)(ends + room);
    memcpy(bytes, word->bytes, word->length);
    if (!word->plain) {
        memcpy(starts, word->starts, word->length * sizeof *starts);
        memcpy(ends, word->ends, word->length * sizeof *ends);
    }
    free(word->heap);
    word->heap = heap;
    word->hashes = hashes;
    word->starts = starts;
    word->ends = ends;
    word->bytes = bytes;
    word->room = room;
    return true;
}

void sx_word_add(sx_word *word, uint32_t code, uint32_t start, uint32_t end)
{
    if (word->characters == 0)
        word->start = start;
    word->end = end;
    if (word->characters++ >= word->limit || !sx_word_grow(word, 4))
        return;
    unsigned count = sx_utf8_encode(code, word->bytes + word->length);
    if (word->plain && (start != word->start + word->length || end - start != count)) {
        for (size_t i = 0; i < word->length; i++) {
            word->starts[i] = word->start + (uint32_t)i;
            word->ends[i] = word->start + (uint32_t)i + 1;
        }
        word->plain = false;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!word->plain) {
            word->starts[word->length] = start;
            word->ends[word->length] = end;
        }
        word->hash = sx_hash_byte(word->hash, (unsigned char)word->bytes[word->length++]);
    }
}

/* The longest piece at `from`: its end, or `from` when there is none. */
static size_t longest_piece(const sx_wordpiece *model, const sx_vocabulary *vocabulary, const sx_word *word, size_t from,
                            uint32_t *id)
{
    sx_text prefix = from ? model->prefix : (sx_text){0};
    if (vocabulary->longest < prefix.length)
        return from;
    size_t most = vocabulary->longest - prefix.length, end = word->length - from > most ? from + most : word->length;
    uint64_t hash = from ? model->prefix_hash : sx_hash_start;
    for (size_t i = from; i < end; i++)
        word->hashes[i] = hash = sx_hash_byte(hash, (unsigned char)word->bytes[i]);
    for (; end > from; end--) {
        if (end < word->length && ((unsigned char)word->bytes[end] & 0xc0) == 0x80)
            continue;
        if (sx_vocabulary_find_hashed(vocabulary, word->hashes[end - 1], prefix, word->bytes + from, end - from, id))
            return end;
    }
    return from;
}

void sx_wordpiece_split(const sx_wordpiece *model, const sx_vocabulary *vocabulary, sx_word *word, sx_piece_sink *sink,
                        void (*undo)(void *user, size_t pieces), void *user)
{
    uint32_t id;
    if (word->characters > word->limit) {
        sink(user, model->unknown_id, word->start, word->end);
        return;
    }
    if (sx_vocabulary_find_hashed(vocabulary, word->hash, (sx_text){0}, word->bytes, word->length, &id)) {
        sink(user, id, word->start, word->end);
        return;
    }
    size_t pieces = 0;
    for (size_t from = 0, end; from < word->length; from = end) {
        end = longest_piece(model, vocabulary, word, from, &id);
        if (end == from) {
            undo(user, pieces);
            sink(user, model->unknown_id, word->start, word->end);
            return;
        }
        if (word->plain)
            sink(user, id, word->start + (uint32_t)from, word->start + (uint32_t)end);
        else
            sink(user, id, word->starts[from], word->ends[end - 1]);
        pieces++;
    }
}
