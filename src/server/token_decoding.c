/* token_decoding.c - pieces joined to text, by the three ways in which vocabularies spell them (the decoders WordPiece, ByteLevel
 * and Metaspace of Hugging Face's tokenizers). What a tokenizer took away (case, accents) does not come back.
 */
#include "token_decoding.h"

#include "../base/code_point.h"

#include <string.h>

static bool starts_with(sx_text piece, const char *prefix)
{
    size_t length = strlen(prefix);
    return piece.length >= length && memcmp(piece.data, prefix, length) == 0;
}

sx_piece_style sx_piece_style_of(const sx_tokenizer *tokenizer)
{
    static const char *const marks[] = {"##", "\xc4\xa0" /* U+0120 */, "\xe2\x96\x81" /* U+2581 */};
    size_t seen[3] = {0}, best = 0;
    uint32_t size = sx_tokenizer_vocabulary_size(tokenizer);
    for (uint32_t id = 0; id < size; id++) {
        sx_text piece = sx_tokenizer_piece(tokenizer, id);
        for (size_t i = 0; i < 3 && piece.data; i++)
            seen[i] += starts_with(piece, marks[i]);
    }
    for (size_t i = 1; i < 3; i++)
        if (seen[i] > seen[best])
            best = i;
    return (sx_piece_style)best;
}

/* The byte that a character of GPT-2's table stands for: printable ones themselves, the others from U+0100 on in order. */
static int byte_of(uint32_t code)
{
    if ((code >= '!' && code <= '~') || (code >= 0xa1 && code <= 0xac) || (code >= 0xae && code <= 0xff))
        return (int)code;
    uint32_t number = code - 0x100;
    if (code < 0x100 || number > 67)
        return -1;
    return number <= 32 ? (int)number : number <= 66 ? (int)(number - 33 + 0x7f) : 0xad;
}

static void append_byte_level(sx_text piece, sx_buffer *to)
{
    for (size_t at = 0; at < piece.length;) {
        sx_code_point point = sx_utf8_decode(piece.data + at, piece.length - at);
        int byte = point.valid ? byte_of(point.code) : -1;
        if (byte >= 0)
            sx_buffer_append_byte(to, (char)byte);
        else /* an added token, spelt as it is */
            sx_buffer_append(to, piece.data + at, point.length);
        at += point.length;
    }
}

static void append_metaspace(sx_text piece, bool first, sx_buffer *to)
{
    for (size_t at = 0; at < piece.length; at++) {
        if (piece.length - at >= 3 && memcmp(piece.data + at, "\xe2\x96\x81", 3) == 0) {
            if (!first || at)
                sx_buffer_append_byte(to, ' ');
            at += 2;
        } else {
            sx_buffer_append_byte(to, piece.data[at]);
        }
    }
}

/* A space is put before a word, but not before what closes a sentence or follows an apostrophe. */
static void append_wordpiece(sx_text piece, bool first, sx_buffer *to)
{
    static const char *const tight[] = {".", "?", "!", ",", "'", "n't", "'m", "'s", "'ve", "'re"};
    bool joins = starts_with(piece, "##");
    bool is_tight = first;
    for (size_t i = 0; i < sizeof tight / sizeof *tight && !is_tight; i++)
        is_tight = piece.length == strlen(tight[i]) && starts_with(piece, tight[i]);
    if (joins && !first) {
        sx_buffer_append(to, piece.data + 2, piece.length - 2);
        return;
    }
    if (!is_tight)
        sx_buffer_append_byte(to, ' ');
    sx_buffer_append(to, piece.data, piece.length);
}

bool sx_decode_tokens(const sx_tokenizer *tokenizer, sx_piece_style style, const uint32_t *ids, size_t count,
                      const uint32_t *special, size_t special_count, sx_buffer *to, uint32_t *bad)
{
    bool first = true;
    for (size_t i = 0; i < count; i++) {
        bool skip = false;
        for (size_t j = 0; j < special_count && !skip; j++)
            skip = special[j] == ids[i];
        sx_text piece = sx_tokenizer_piece(tokenizer, ids[i]);
        if (!piece.data) {
            *bad = ids[i];
            return false;
        }
        if (skip)
            continue;
        if (style == SX_PIECES_BYTE_LEVEL)
            append_byte_level(piece, to);
        else if (style == SX_PIECES_METASPACE)
            append_metaspace(piece, first, to);
        else
            append_wordpiece(piece, first, to);
        first = false;
    }
    return !to->failed;
}
