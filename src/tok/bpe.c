/* bpe.c - byte pair encoding: pieces and merges as a tokenizer's files give them.
 *
 * Byte-level tokenizers (GPT-2 and its descendants) spell every byte as a printable character. Their pieces are translated to
 * plain bytes once, here, so that splitting works on the text's own bytes and needs no spelling. Merges are kept as pairs of
 * ids in one hash table. tiktoken's files have no merges: there the rank of a pair is the id of the two pieces joined. */
#include "bpe_internal.h"

#include "../base/code_point.h"
#include "../base/error.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BITS = 12, SHOWN = 60 };

/* GPT-2 lets the bytes that are printable in Latin-1 stand for themselves and gives the others, in order, U+0100 onwards. */
static bool is_printable(unsigned byte)
{
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

uint32_t sx_byte_character(unsigned char byte)
{
    if (is_printable(byte))
        return byte;
    if (byte <= 0x20)
        return 0x100u + byte;
    return byte == 0xad ? 0x143 : 0x121 + (byte - 0x7fu);
}

int sx_character_byte(uint32_t code)
{
    if (code < 0x100)
        return is_printable(code) ? (int)code : -1;
    if (code <= 0x120)
        return (int)(code - 0x100);
    if (code <= 0x142)
        return (int)(code - 0x121 + 0x7f);
    return code == 0x143 ? 0xad : -1;
}

/* The bytes a spelling stands for; false when a character of it stands for none. */
static bool translate(sx_text spelling, sx_buffer *bytes)
{
    sx_buffer_reset(bytes);
    for (size_t i = 0; i < spelling.length;) {
        sx_code_point point = sx_utf8_decode(spelling.data + i, spelling.length - i);
        int byte = point.valid ? sx_character_byte(point.code) : -1;
        if (byte < 0)
            return false;
        sx_buffer_append_byte(bytes, (char)byte);
        i += point.length;
    }
    return true;
}

/* Pieces with a character that is no byte (special tokens, mostly) cannot come out of text and are left out. */
static sx_status translate_vocabulary(sx_bpe *bpe, sx_error *error)
{
    sx_buffer bytes = {0};
    sx_status status = SX_OK;
    for (uint32_t id = 0; id < bpe->vocabulary->count && !status; id++) {
        sx_text spelling = sx_vocabulary_piece_text(bpe->vocabulary, id);
        uint32_t found;
        if (!spelling.data || !sx_vocabulary_find(bpe->vocabulary, spelling, &found) || found != id ||
            !translate(spelling, &bytes))
            continue;
        sx_text text = {bytes.length ? bytes.data : "", bytes.length};
        if (bytes.failed || sx_vocabulary_add(&bpe->translated, text, id) != SX_VOCABULARY_OK)
            status = sx_fail_nomem(error, spelling.length);
    }
    sx_buffer_clear(&bytes);
    return status;
}

static void fill_tables(sx_bpe *bpe)
{
    static const char digits[] = "0123456789ABCDEF";
    for (unsigned byte = 0; byte < 256; byte++) {
        char plain = (char)byte;
        char fallback[6] = {'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>'};
        bpe->byte_ids[byte] = bpe->fallback_ids[byte] = sx_bpe_none;
        if (bpe->by_bytes || byte < 0x80)
            sx_vocabulary_find(bpe->plain, (sx_text){&plain, 1}, &bpe->byte_ids[byte]);
        if (bpe->options.byte_fallback)
            sx_vocabulary_find(bpe->vocabulary, (sx_text){fallback, sizeof fallback}, &bpe->fallback_ids[byte]);
    }
}

sx_status sx_bpe_open(const sx_vocabulary *vocabulary, const sx_bpe_options *options, sx_bpe **out, sx_error *error)
{
    *out = NULL;
    sx_bpe *bpe = sx_calloc(1, sizeof *bpe);
    if (!bpe)
        return sx_fail_nomem(error, sizeof *bpe);
    bpe->vocabulary = bpe->plain = vocabulary;
    bpe->options = *options;
    bpe->prefix = sx_strndup(options->continuing_prefix.data, options->continuing_prefix.length);
    bpe->suffix = sx_strndup(options->end_suffix.data, options->end_suffix.length);
    bpe->options.continuing_prefix.data = bpe->prefix;
    bpe->options.end_suffix.data = bpe->suffix;
    sx_status status = bpe->prefix && bpe->suffix ? SX_OK : sx_fail_nomem(error, options->continuing_prefix.length);
    if (!status && options->byte_level) {
        bpe->by_bytes = true;
        bpe->plain = &bpe->translated;
        status = translate_vocabulary(bpe, error);
    }
    if (status) {
        sx_bpe_close(bpe);
        return status;
    }
    *out = bpe;
    return SX_OK;
}

void sx_bpe_close(sx_bpe *bpe)
{
    if (!bpe)
        return;
    sx_vocabulary_clear(&bpe->translated);
    free(bpe->pairs);
    free(bpe->prefix);
    free(bpe->suffix);
    free(bpe);
}

/* ---- Merges ------------------------------------------------------------------------------------------------------ */

static uint64_t pair_key(uint32_t left, uint32_t right)
{
    return ((uint64_t)left << 32 | right) + 1;
}

/* Where the pair is, or the free place where it would be put. */
static sx_bpe_pair *pair_place(sx_bpe_pair *pairs, unsigned bits, uint64_t key)
{
    size_t mask = ((size_t)1 << bits) - 1;
    uint64_t hash = key * 0x9e3779b97f4a7c15u;
    size_t at = (size_t)((hash ^ hash >> 29) * 0xbf58476d1ce4e5b9u >> (64 - bits));
    while (pairs[at].key && pairs[at].key != key)
        at = (at + 1) & mask;
    return &pairs[at];
}

bool sx_bpe_find_pair(const sx_bpe *bpe, uint32_t left, uint32_t right, uint32_t *rank, uint32_t *joined)
{
    if (!bpe->pairs)
        return false;
    const sx_bpe_pair *pair = pair_place(bpe->pairs, bpe->bits, pair_key(left, right));
    *rank = pair->rank;
    *joined = pair->joined;
    return pair->key != 0;
}

static bool grow_pairs(sx_bpe *bpe)
{
    unsigned bits = bpe->pairs ? bpe->bits + 1 : FIRST_BITS;
    sx_bpe_pair *pairs = sx_calloc((size_t)1 << bits, sizeof *pairs);
    if (!pairs)
        return false;
    for (size_t i = 0; bpe->pairs && i < (size_t)1 << bpe->bits; i++)
        if (bpe->pairs[i].key)
            *pair_place(pairs, bits, bpe->pairs[i].key) = bpe->pairs[i];
    free(bpe->pairs);
    bpe->pairs = pairs;
    bpe->bits = bits;
    return true;
}

static sx_status no_piece(const char *path, uint32_t rank, sx_text side, const char *what, sx_error *error)
{
    return sx_fail(error, SX_E_FORMAT, "%s: merge %u: %s \"%.*s\" is not in the vocabulary", path, rank, what,
                   side.length > SHOWN ? SHOWN : (int)side.length, side.length ? side.data : "");
}

sx_status sx_bpe_add_merge(sx_bpe *bpe, sx_text left, sx_text right, uint32_t rank, const char *path, sx_error *error)
{
    uint32_t left_id, right_id, joined_id;
    if (!sx_vocabulary_find(bpe->vocabulary, left, &left_id))
        return no_piece(path, rank, left, "the left side", error);
    if (!sx_vocabulary_find(bpe->vocabulary, right, &right_id))
        return no_piece(path, rank, right, "the right side", error);
    size_t prefix = bpe->options.continuing_prefix.length;
    if (right.length < prefix)
        return sx_fail(error, SX_E_FORMAT, "%s: merge %u: the right side has %zu bytes, the continuing prefix %zu", path, rank,
                       right.length, prefix);
    sx_buffer joined = {0};
    sx_buffer_append(&joined, left.data, left.length);
    sx_buffer_append(&joined, right.data + prefix, right.length - prefix);
    sx_text text = {joined.length ? joined.data : "", joined.length};
    sx_status status = joined.failed ? sx_fail_nomem(error, left.length + right.length) : SX_OK;
    if (!status && !sx_vocabulary_find(bpe->vocabulary, text, &joined_id))
        status = no_piece(path, rank, text, "the whole", error);
    if (!status && bpe->merge_count == UINT32_MAX - 1)
        status = sx_fail(error, SX_E_LIMIT, "%s: merge %u: too many merges", path, rank);
    if (!status && (!bpe->pairs || bpe->pair_count >= (size_t)1 << (bpe->bits - 1)) && !grow_pairs(bpe))
        status = sx_fail_nomem(error, ((size_t)2 << bpe->bits) * sizeof *bpe->pairs);
    if (!status) {
        /* A pair listed again counts at its later place, as in tokenizers. */
        sx_bpe_pair *pair = pair_place(bpe->pairs, bpe->bits, pair_key(left_id, right_id));
        bpe->pair_count += pair->key == 0;
        *pair = (sx_bpe_pair){pair_key(left_id, right_id), bpe->merge_count++, joined_id};
    }
    sx_buffer_clear(&joined);
    return status;
}

sx_status sx_bpe_merge_by_rank(sx_bpe *bpe, sx_error *error)
{
    if (bpe->merge_count)
        return sx_fail(error, SX_E_INVALID, "BPE: %u merges were added, so pairs cannot be merged by the rank of the whole",
                       bpe->merge_count);
    bpe->by_rank = bpe->by_bytes = true;
    bpe->options.ignore_merges = true;
    return SX_OK;
}

/* SentencePiece's mark of a space, and whether a piece has it anywhere but at its beginning. */
static const sx_text space_mark = {"\xe2\x96\x81", 3};

static bool has_mark_inside(sx_text piece)
{
    size_t at = 0;
    while (piece.length - at >= space_mark.length && memcmp(piece.data + at, space_mark.data, space_mark.length) == 0)
        at += space_mark.length;
    return memmem(piece.data + at, piece.length - at, space_mark.data, space_mark.length) != NULL;
}

/* A token is a piece, and a merge makes one. Where no piece goes across a place in the text, nothing happens across it: the
 * words on its two sides can be split apart, and remembered. The mark must be a piece, or it would be fused with its neighbours. */
static bool words_are_apart(const sx_bpe *bpe)
{
    uint32_t id;
    if (bpe->by_bytes || bpe->by_rank || bpe->options.ignore_merges || bpe->options.continuing_prefix.length ||
        bpe->options.end_suffix.length || !sx_vocabulary_find(bpe->plain, space_mark, &id))
        return false;
    for (id = 0; id < bpe->plain->count; id++) {
        sx_text piece = sx_vocabulary_piece_text(bpe->plain, id);
        if (piece.data && has_mark_inside(piece))
            return false;
    }
    return true;
}

sx_status sx_bpe_finish(sx_bpe *bpe, sx_error *error)
{
    fill_tables(bpe);
    bpe->words_apart = words_are_apart(bpe);
    for (unsigned byte = 0; byte < 256 && bpe->by_rank; byte++)
        if (bpe->byte_ids[byte] == sx_bpe_none)
            return sx_fail(error, SX_E_FORMAT, "BPE: byte 0x%02x has no rank, so not every text can be spelt", byte);
    if (bpe->options.has_unknown && bpe->options.unknown_id >= bpe->vocabulary->count)
        return sx_fail(error, SX_E_FORMAT, "BPE: the unknown token's id is %u, but the vocabulary ends at %u",
                       bpe->options.unknown_id, bpe->vocabulary->count);
    return SX_OK;
}

void sx_bpe_describe(const sx_bpe *bpe, sx_buffer *buffer)
{
    const sx_bpe_options *options = &bpe->options;
    sx_buffer_printf(buffer, "bpe byte_level %d byte_fallback %d fuse_unknown %d ignore_merges %d unknown %lld by_rank %d\n",
                     options->byte_level, options->byte_fallback, options->fuse_unknown, options->ignore_merges,
                     options->has_unknown ? (long long)options->unknown_id : -1LL, bpe->by_rank);
    sx_buffer_printf(buffer, "prefix %zu:", options->continuing_prefix.length);
    sx_buffer_append(buffer, bpe->prefix, options->continuing_prefix.length);
    sx_buffer_printf(buffer, "\nsuffix %zu:", options->end_suffix.length);
    sx_buffer_append(buffer, bpe->suffix, options->end_suffix.length);
    sx_buffer_printf(buffer, "\nmerges %u\n", bpe->pair_count);
    /* In the order of their ranks: what the ranks are does not matter. */
    uint64_t *keys = sx_calloc(bpe->merge_count, sizeof *keys);
    if (!keys) {
        buffer->failed = true;
        return;
    }
    for (size_t i = 0; bpe->pairs && i < (size_t)1 << bpe->bits; i++)
        if (bpe->pairs[i].key)
            keys[bpe->pairs[i].rank] = bpe->pairs[i].key;
    for (uint32_t rank = 0; rank < bpe->merge_count; rank++) {
        if (!keys[rank])
            continue;
        unsigned char bytes[8];
        for (int i = 0; i < 8; i++)
            bytes[i] = (unsigned char)((keys[rank] - 1) >> (56 - 8 * i));
        sx_buffer_append(buffer, bytes, sizeof bytes);
    }
    free(keys);
}
