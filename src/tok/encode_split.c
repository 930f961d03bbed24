/* encode_split.c - the short way of encodings that only cut and merge (OpenAI's): pieces are taken from the text itself, and
 * nothing is copied unless the text is invalid UTF-8. */
#include "tiktoken.h"
#include "tokenizer_internal.h"

#include "../text/utf8.h"

/* A token of the piece. One that holds part of a character stands for all of it. */
static void put_token(void *user, uint32_t id, uint32_t start, uint32_t end)
{
    sx_encoder *e = user;
    size_t first = e->piece_begin + start, last = e->piece_begin + end;
    if (!e->valid) {
        sx_encoder_put(e, id, e->working->starts[first], e->working->ends[last - 1]);
        return;
    }
    first = sx_utf8_floor(e->text.data, e->text.length, first);
    while (last < e->text.length && ((unsigned char)e->text.data[last] & 0xc0) == 0x80)
        last++;
    sx_encoder_put(e, id, (uint32_t)first, (uint32_t)last);
}

void sx_encode_split(sx_encoder *e, size_t from, size_t to)
{
    const sx_tokenizer *tokenizer = e->tokenizer;
    sx_encode_scratch *scratch = sx_encode_open_scratch(e);
    if (!scratch)
        return;
    const char *bytes = e->text.data;
    e->valid = sx_utf8_valid(bytes + from, to - from, NULL);
    if (!e->valid) {
        if (!sx_normalize_part(tokenizer, bytes, from, to, &scratch->text, &scratch->spare)) {
            e->no_memory = true;
            return;
        }
        e->working = &scratch->text;
        bytes = scratch->text.bytes;
        from = 0;
        to = scratch->text.length;
    }
    for (size_t at = from, end; at < to && !e->no_memory; at = end) {
        end = sx_split_pattern_next(tokenizer->openai->split, bytes, to, at);
        e->piece_begin = at;
        e->no_memory |= !sx_bpe_split(tokenizer->bpe, scratch->bpe, bytes + at, end - at, put_token, e);
    }
}
