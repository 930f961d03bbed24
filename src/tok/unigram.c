/* unigram.c - the most probable cut of a piece under a unigram language model (Kudo 2018), as tokenizers' models/unigram
 * finds it: Viterbi from left to right over the code points, in double precision, the earlier candidate winning a tie.
 *
 * A code point that is no piece by itself may always stand alone as unknown, at ten below the worst score. Neighbouring unknowns
 * are joined before their text is looked up; so joined text that happens to be a piece is that piece, and with byte_fallback
 * anything else becomes its bytes' pieces if all of them exist. A piece of n bytes costs O(n * longest piece). */
#include "unigram.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "piece_trie.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

static const double unknown_penalty = 10.0;
static const uint32_t nowhere = UINT32_MAX;

struct sx_unigram {
    const sx_vocabulary *vocabulary;
    double *scores;          /* by id */
    size_t room;
    uint32_t count;
    int64_t unknown_id;
    double unknown_score;
    bool byte_fallback;      /* asked for */
    bool has_byte[256];
    uint32_t byte_ids[256];
    sx_piece_trie trie;
};

/* The best way to a place in the piece: where its last token begins, and which one that is. */
typedef struct best_path {
    double score;
    uint32_t start; /* `nowhere`: not reached yet */
    uint32_t id;
} best_path;

struct sx_unigram_memory {
    best_path *paths;
    size_t room;
    uint32_t *ends;  /* where the tokens end, last first */
    size_t end_room;
};

sx_status sx_unigram_open(const sx_vocabulary *vocabulary, int64_t unknown_id, bool byte_fallback, sx_unigram **out,
                          sx_error *error)
{
    sx_unigram *unigram = sx_calloc(1, sizeof *unigram);
    *out = unigram;
    if (!unigram)
        return sx_fail_nomem(error, sizeof *unigram);
    unigram->vocabulary = vocabulary;
    unigram->unknown_id = unknown_id;
    unigram->byte_fallback = byte_fallback;
    return SX_OK;
}

void sx_unigram_close(sx_unigram *unigram)
{
    if (!unigram)
        return;
    free(unigram->scores);
    sx_piece_trie_clear(&unigram->trie);
    free(unigram);
}

sx_status sx_unigram_add_score(sx_unigram *unigram, uint32_t id, double score, sx_error *error)
{
    if (id != unigram->count)
        return sx_fail(error, SX_E_INTERNAL, "unigram: a score for id %u where %u is due", id, unigram->count);
    void *scores = unigram->scores;
    bool room = sx_reserve(&scores, &unigram->room, (size_t)id + 1, sizeof *unigram->scores);
    unigram->scores = scores;
    if (!room)
        return sx_fail_nomem(error, ((size_t)id + 1) * sizeof *unigram->scores);
    unigram->scores[unigram->count++] = score;
    return SX_OK;
}

/* The piece with exactly this text; false when there is none. */
static bool find_piece(const sx_unigram *unigram, const char *text, size_t length, uint32_t *id)
{
    uint32_t node = 0;
    for (size_t i = 0; i < length; i++)
        if (!(node = sx_piece_trie_child(&unigram->trie, node, (unsigned char)text[i])))
            return false;
    *id = unigram->trie.units[node].id;
    return *id != SX_TRIE_NO_PIECE;
}

sx_status sx_unigram_finish(sx_unigram *unigram, const char *path, sx_error *error)
{
    if (unigram->unknown_id == SX_UNIGRAM_NO_UNKNOWN)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: model.unk_id: a Unigram model without an unknown token is not supported",
                       path);
    if (unigram->unknown_id < 0 || unigram->unknown_id >= unigram->count)
        return sx_fail(error, SX_E_FORMAT, "%s: model.unk_id: %lld is no id of the vocabulary of %u pieces", path,
                       (long long)unigram->unknown_id, unigram->count);
    double lowest = DBL_MAX;
    for (uint32_t id = 0; id < unigram->count; id++)
        lowest = unigram->scores[id] < lowest ? unigram->scores[id] : lowest;
    unigram->unknown_score = lowest - unknown_penalty;
    sx_status status = sx_piece_trie_build(&unigram->trie, unigram->vocabulary, unigram->count, error);
    if (status)
        return status;
    static const char digits[] = "0123456789ABCDEF";
    for (unsigned byte = 0; unigram->byte_fallback && byte < 256; byte++) {
        const char piece[] = {'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>'};
        unigram->has_byte[byte] = find_piece(unigram, piece, sizeof piece, &unigram->byte_ids[byte]);
    }
    return SX_OK;
}

sx_unigram_memory *sx_unigram_memory_open(void)
{
    return sx_calloc(1, sizeof(sx_unigram_memory));
}

void sx_unigram_memory_close(sx_unigram_memory *memory)
{
    if (!memory)
        return;
    free(memory->paths);
    free(memory->ends);
    free(memory);
}

static size_t code_point_length(const char *text, size_t left)
{
    unsigned char byte = (unsigned char)text[0];
    size_t length = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    return length < left ? length : left;
}

static void offer(best_path *path, double score, uint32_t start, uint32_t id)
{
    if (path->start == nowhere || score > path->score)
        *path = (best_path){score, start, id};
}

static void fill_paths(const sx_unigram *unigram, best_path *paths, const char *piece, size_t length)
{
    const sx_trie_unit *units = unigram->trie.units;
    paths[0] = (best_path){0.0, 0, 0};
    for (size_t i = 1; i <= length; i++)
        paths[i].start = nowhere;
    for (size_t start = 0, own; start < length; start += own) {
        double score = paths[start].score;
        bool alone = false;
        uint32_t node = 0;
        own = code_point_length(piece + start, length - start);
        for (size_t end = start; end < length;) {
            uint32_t child = units[node].base ^ (unsigned char)piece[end];
            if (units[child].parent != node + 1)
                break;
            node = child;
            end++;
            uint32_t id = units[node].id;
            if (id == SX_TRIE_NO_PIECE)
                continue;
            offer(&paths[end], unigram->scores[id] + score, (uint32_t)start, id);
            alone |= end - start == own;
        }
        if (!alone)
            offer(&paths[start + own], unigram->unknown_score + score, (uint32_t)start, (uint32_t)unigram->unknown_id);
    }
}

/* Text that was unknown, joined from neighbours. */
static void put_unknown(const sx_unigram *unigram, const char *piece, uint32_t start, uint32_t end, sx_piece_sink *sink,
                        void *user)
{
    uint32_t id;
    if (find_piece(unigram, piece + start, end - start, &id)) {
        sink(user, id, start, end);
        return;
    }
    bool spelt = unigram->byte_fallback;
    for (uint32_t i = start; i < end && spelt; i++)
        spelt = unigram->has_byte[(unsigned char)piece[i]];
    if (!spelt) {
        sink(user, (uint32_t)unigram->unknown_id, start, end);
        return;
    }
    for (uint32_t i = start; i < end; i++)
        sink(user, unigram->byte_ids[(unsigned char)piece[i]], start, end);
}

bool sx_unigram_split(const sx_unigram *unigram, sx_unigram_memory *memory, const char *piece, size_t length,
                      sx_piece_sink *sink, void *user)
{
    void *paths = memory->paths, *ends = memory->ends;
    bool room = length < nowhere && sx_reserve(&paths, &memory->room, length + 1, sizeof *memory->paths);
    memory->paths = paths;
    room = room && sx_reserve(&ends, &memory->end_room, length + 1, sizeof *memory->ends);
    memory->ends = ends;
    if (!room)
        return false;
    fill_paths(unigram, memory->paths, piece, length);
    size_t count = 0;
    for (uint32_t end = (uint32_t)length; end > 0; end = memory->paths[end].start)
        memory->ends[count++] = end;
    for (uint32_t start = 0; count > 0;) {
        uint32_t end = memory->ends[--count], id = memory->paths[end].id;
        if (id != (uint32_t)unigram->unknown_id) {
            sink(user, id, start, end);
        } else {
            while (count > 0 && memory->paths[memory->ends[count - 1]].id == (uint32_t)unigram->unknown_id)
                end = memory->ends[--count];
            put_unknown(unigram, piece, start, end, sink, user);
        }
        start = end;
    }
    return true;
}

void sx_unigram_describe(const sx_unigram *unigram, sx_buffer *buffer)
{
    sx_buffer_printf(buffer, "model unigram unknown %lld byte_fallback %d scores", (long long)unigram->unknown_id,
                     unigram->byte_fallback);
    sx_buffer_append_byte(buffer, ' ');
    for (uint32_t id = 0; id < unigram->count; id++) {
        uint64_t bits; /* the very number, whatever digits it was written with */
        char digits[16];
        memcpy(&bits, &unigram->scores[id], sizeof bits);
        for (int i = 15; i >= 0; i--, bits >>= 4)
            digits[i] = "0123456789abcdef"[bits & 15];
        sx_buffer_append(buffer, digits, sizeof digits);
    }
    sx_buffer_append_byte(buffer, '\n');
}
