/* wordpiece.c - greedy longest-match-first splitting of words (Wu et al. 2016; tokenizers' models/wordpiece).
 *
 * Most words are pieces themselves: the hash built while the word was collected finds them at once. For the rest the hashes of
 * all beginnings come from one pass per piece, bounded by the longest piece, so a word of n bytes costs O(n * longest). How long
 * a piece can be is known better after three and six bytes: a table says the length of the longest piece that begins with them,
 * found by the same hash. Beginnings that share an entry share the larger length, which costs a look-up and no piece. */
#include "wordpiece.h"

#include "../base/memory.h"
#include "../text/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { REACH_BITS = 17, FEW = 3, MORE = 6, FAR = UINT8_MAX }; /* FAR: that long or longer */

static uint8_t *reach_of(const sx_wordpiece *model, uint64_t hash)
{
    return &model->reach[((hash ^ hash >> 32) * 0x9e3779b97f4a7c15u) >> (64 - REACH_BITS)];
}

bool sx_wordpiece_prepare(sx_wordpiece *model, const sx_vocabulary *vocabulary)
{
    model->prefix_hash = sx_hash_bytes(sx_hash_start, model->prefix.data, model->prefix.length);
    model->reach = sx_calloc((size_t)1 << REACH_BITS, 1);
    if (!model->reach)
        return false;
    for (uint32_t id = 0; id < vocabulary->count; id++) {
        sx_text piece = sx_vocabulary_piece_text(vocabulary, id);
        size_t prefix = model->prefix.length;
        bool inner = piece.length > prefix && prefix && memcmp(piece.data, model->prefix.data, prefix) == 0;
        uint64_t hash = sx_hash_start;
        for (size_t i = 0; i < piece.length && i < prefix + MORE; i++) {
            hash = sx_hash_byte(hash, (unsigned char)piece.data[i]);
            size_t first = i + 1, later = i + 1 - prefix;
            for (int side = 0; side <= inner; side++) {
                size_t bytes = side ? later : first, length = piece.length - (side ? prefix : 0);
                uint8_t *reach = reach_of(model, hash);
                if ((bytes == FEW || bytes == MORE) && *reach < length)
                    *reach = length < FAR ? (uint8_t)length : FAR;
            }
        }
    }
    return true;
}

void sx_wordpiece_clear(sx_wordpiece *model)
{
    free(model->reach);
    model->reach = NULL;
}

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
    for (size_t i = from; i < end; i++) {
        word->hashes[i] = hash = sx_hash_byte(hash, (unsigned char)word->bytes[i]);
        size_t bytes = i + 1 - from;
        if (bytes != FEW && bytes != MORE)
            continue;
        size_t reach = *reach_of(model, hash);
        if (reach < bytes)
            end = i; /* no piece begins with these bytes */
        else if (reach < FAR && from + reach < end)
            end = from + reach;
    }
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
    sx_wordpiece_split_apart(model, vocabulary, word, sink, undo, user);
}

void sx_wordpiece_split_apart(const sx_wordpiece *model, const sx_vocabulary *vocabulary, sx_word *word, sx_piece_sink *sink,
                              void (*undo)(void *user, size_t pieces), void *user)
{
    uint32_t id;
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
