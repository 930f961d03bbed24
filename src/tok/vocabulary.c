/* vocabulary.c - pieces by text (open addressing, linear probing, at most half full) and by id. */
#include "vocabulary.h"

#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BITS = 10 };
static const uint32_t no_piece = UINT32_MAX;

void sx_vocabulary_clear(sx_vocabulary *vocabulary)
{
    sx_buffer_clear(&vocabulary->bytes);
    free(vocabulary->pieces);
    free(vocabulary->slots);
    *vocabulary = (sx_vocabulary){0};
}

/* FNV's upper bits are the better mixed ones, but see little of the last byte: one more multiplication spreads it. */
static size_t first_slot(uint64_t hash, unsigned bits)
{
    return (size_t)(((hash ^ hash >> 32) * 0x9e3779b97f4a7c15u) >> (64 - bits));
}

/* memcmp for what is short: pieces have a few bytes, of which two loads that overlap see all. */
static inline bool same_bytes(const char *a, const char *b, size_t length)
{
    uint64_t a8, b8, a8_end, b8_end;
    uint32_t a4, b4, a4_end, b4_end;
    if (length > 16)
        return memcmp(a, b, length) == 0;
    if (length >= 8) {
        memcpy(&a8, a, 8);
        memcpy(&b8, b, 8);
        memcpy(&a8_end, a + length - 8, 8);
        memcpy(&b8_end, b + length - 8, 8);
        return ((a8 ^ b8) | (a8_end ^ b8_end)) == 0;
    }
    if (length >= 4) {
        memcpy(&a4, a, 4);
        memcpy(&b4, b, 4);
        memcpy(&a4_end, a + length - 4, 4);
        memcpy(&b4_end, b + length - 4, 4);
        return ((a4 ^ b4) | (a4_end ^ b4_end)) == 0;
    }
    for (size_t i = 0; i < length; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

bool sx_vocabulary_find_hashed(const sx_vocabulary *vocabulary, uint64_t hash, sx_text prefix, const char *text,
                               size_t length, uint32_t *id)
{
    if (!vocabulary->slots)
        return false;
    size_t mask = ((size_t)1 << vocabulary->bits) - 1;
    for (size_t at = first_slot(hash, vocabulary->bits);; at = (at + 1) & mask) {
        sx_vocabulary_slot slot = vocabulary->slots[at];
        if (slot.number == 0)
            return false;
        if (slot.check != (uint32_t)hash)
            continue;
        const char *bytes = vocabulary->bytes.data + slot.offset;
        if (slot.length == prefix.length + length && same_bytes(bytes, prefix.data, prefix.length) &&
            same_bytes(bytes + prefix.length, text, length)) {
            *id = slot.number - 1;
            return true;
        }
    }
}

bool sx_vocabulary_find(const sx_vocabulary *vocabulary, sx_text text, uint32_t *id)
{
    uint64_t hash = sx_hash_bytes(sx_hash_start, text.data, text.length);
    return sx_vocabulary_find_hashed(vocabulary, hash, (sx_text){0}, text.data, text.length, id);
}

sx_text sx_vocabulary_piece_text(const sx_vocabulary *vocabulary, uint32_t id)
{
    if (id >= vocabulary->count || vocabulary->pieces[id].length == no_piece)
        return (sx_text){NULL, 0};
    return (sx_text){vocabulary->bytes.data + vocabulary->pieces[id].offset, vocabulary->pieces[id].length};
}

static void put_slot(sx_vocabulary_slot *slots, unsigned bits, uint64_t hash, uint32_t id, sx_vocabulary_piece piece)
{
    size_t mask = ((size_t)1 << bits) - 1, at = first_slot(hash, bits);
    while (slots[at].number)
        at = (at + 1) & mask;
    slots[at] = (sx_vocabulary_slot){(uint32_t)hash, id + 1, piece.offset, piece.length};
}

static bool grow_slots(sx_vocabulary *vocabulary)
{
    unsigned bits = vocabulary->slots ? vocabulary->bits + 2 : FIRST_BITS;
    sx_vocabulary_slot *slots = sx_calloc((size_t)1 << bits, sizeof *slots);
    if (!slots)
        return false;
    size_t old = vocabulary->slots ? (size_t)1 << vocabulary->bits : 0;
    for (size_t i = 0; i < old; i++)
        if (vocabulary->slots[i].number) {
            uint32_t id = vocabulary->slots[i].number - 1;
            sx_text text = sx_vocabulary_piece_text(vocabulary, id);
            put_slot(slots, bits, sx_hash_bytes(sx_hash_start, text.data, text.length), id, vocabulary->pieces[id]);
        }
    free(vocabulary->slots);
    vocabulary->slots = slots;
    vocabulary->bits = bits;
    return true;
}

sx_vocabulary_result sx_vocabulary_name(sx_vocabulary *vocabulary, sx_text text, uint32_t id)
{
    if (id >= SX_VOCABULARY_LIMIT)
        return SX_VOCABULARY_RANGE;
    if (id < vocabulary->count && vocabulary->pieces[id].length != no_piece)
        return SX_VOCABULARY_SAME_ID;
    void *pieces = vocabulary->pieces;
    bool room = sx_reserve(&pieces, &vocabulary->capacity, (size_t)id + 1, sizeof *vocabulary->pieces);
    vocabulary->pieces = pieces;
    size_t offset = vocabulary->bytes.length;
    if (!room || offset > UINT32_MAX - 1 || text.length >= UINT32_MAX ||
        !sx_buffer_append(&vocabulary->bytes, text.data, text.length))
        return SX_VOCABULARY_NOMEM;
    while (vocabulary->count <= id)
        vocabulary->pieces[vocabulary->count++].length = no_piece;
    vocabulary->pieces[id] = (sx_vocabulary_piece){(uint32_t)offset, (uint32_t)text.length};
    return SX_VOCABULARY_OK;
}

sx_vocabulary_result sx_vocabulary_add(sx_vocabulary *vocabulary, sx_text text, uint32_t id)
{
    uint64_t hash = sx_hash_bytes(sx_hash_start, text.data, text.length);
    uint32_t other;
    if (sx_vocabulary_find_hashed(vocabulary, hash, (sx_text){0}, text.data, text.length, &other))
        return SX_VOCABULARY_SAME_TEXT;
    if ((!vocabulary->slots || vocabulary->entries >= (size_t)1 << (vocabulary->bits - 1)) && !grow_slots(vocabulary))
        return SX_VOCABULARY_NOMEM;
    sx_vocabulary_result result = sx_vocabulary_name(vocabulary, text, id);
    if (result != SX_VOCABULARY_OK)
        return result;
    put_slot(vocabulary->slots, vocabulary->bits, hash, id, vocabulary->pieces[id]);
    vocabulary->entries++;
    if (text.length > vocabulary->longest)
        vocabulary->longest = (uint32_t)text.length;
    return SX_VOCABULARY_OK;
}

sx_vocabulary_result sx_vocabulary_replace(sx_vocabulary *vocabulary, sx_text text, uint32_t id)
{
    uint64_t hash = sx_hash_bytes(sx_hash_start, text.data, text.length);
    size_t mask = ((size_t)1 << vocabulary->bits) - 1, at = first_slot(hash, vocabulary->bits);
    uint32_t other;
    sx_vocabulary_result result = SX_VOCABULARY_SAME_TEXT;
    if (sx_vocabulary_find(vocabulary, text, &other))
        result = sx_vocabulary_name(vocabulary, text, id);
    if (result != SX_VOCABULARY_OK)
        return result;
    while (vocabulary->slots[at].number != other + 1)
        at = (at + 1) & mask;
    vocabulary->slots[at].number = id + 1;
    return SX_VOCABULARY_OK;
}
