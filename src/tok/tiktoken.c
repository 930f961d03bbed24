/* tiktoken.c - rank files (.tiktoken): a line for each piece, its bytes in Base64 (RFC 4648) and its rank, which is its id.
 *
 * The file does not say how text is cut before it; the encoding's name does, and the file is named after it. Special tokens are
 * not in the file either. As tiktoken's encode_ordinary, text that looks like one is ordinary text. Pieces are spelt in GPT-2's
 * byte characters, as byte-level vocabularies are, so that every piece can be shown. */
#include "tiktoken.h"
#include "tokenizer_internal.h"

#include "../base/base64.h"
#include "../base/code_point.h"
#include "../base/error.h"
#include "../base/file.h"

#include <string.h>

/* Figures from tiktoken 0.14 (openai_public). */
static const sx_openai_encoding encodings[] = {
    {"cl100k_base", &sx_split_cl100k, 100256,
     {{"<|endoftext|>", 100257}, {"<|fim_prefix|>", 100258}, {"<|fim_middle|>", 100259}, {"<|fim_suffix|>", 100260},
      {"<|endofprompt|>", 100276}}},
    {"o200k_base", &sx_split_o200k, 199998, {{"<|endoftext|>", 199999}, {"<|endofprompt|>", 200018}}},
    {"p50k_base", &sx_split_gpt2, 50280, {{"<|endoftext|>", 50256}}},
    {"r50k_base", &sx_split_gpt2, 50256, {{"<|endoftext|>", 50256}}},
};

static const char file_end[] = ".tiktoken";

const sx_openai_encoding *sx_openai_encoding_find(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++)
        if (strlen(encodings[i].name) == length && memcmp(encodings[i].name, name, length) == 0)
            return &encodings[i];
    return NULL;
}

typedef struct rank_reader {
    sx_tokenizer *tokenizer;
    const char *at, *end;
    size_t line;
    sx_buffer piece; /* spelt */
    sx_error *error;
} rank_reader;

static sx_status fail(const rank_reader *r, const char *problem)
{
    return sx_fail(r->error, SX_E_FORMAT, "%s: line %zu: %s", r->tokenizer->path, r->line, problem);
}

static void put_byte(rank_reader *r, unsigned byte)
{
    char spelt[4];
    sx_buffer_append(&r->piece, spelt, sx_utf8_encode(sx_byte_character((unsigned char)byte), spelt));
}

/* Up to the space. */
static sx_status read_piece(rank_reader *r)
{
    unsigned bits = 0, held = 0; /* digits read and not yet part of a byte */
    size_t digits = 0, padding = 0;
    sx_buffer_reset(&r->piece);
    for (; r->at < r->end && *r->at != ' ' && *r->at != '\n'; r->at++) {
        int digit = sx_base64_digit(*r->at);
        if (*r->at == '=' && padding < 2) {
            padding++;
            continue;
        }
        if (digit < 0 || padding)
            return fail(r, "the piece is not in Base64");
        bits = (bits << 6 | (unsigned)digit) & 0x3fff;
        held += 6;
        digits++;
        if (held >= 8) {
            held -= 8;
            put_byte(r, bits >> held & 0xff);
        }
    }
    if (digits == 0 || (digits + padding) % 4 || (bits & ((1u << held) - 1)))
        return fail(r, digits ? "the piece is not in Base64" : "there is no piece");
    return r->piece.failed ? sx_fail_nomem(r->error, r->piece.length) : SX_OK;
}

/* The rest of the line. */
static sx_status read_rank(rank_reader *r, uint32_t *rank)
{
    if (r->at == r->end || *r->at != ' ')
        return fail(r, "a space and a rank are missing behind the piece");
    r->at++;
    if (r->at == r->end || *r->at < '0' || *r->at > '9')
        return fail(r, "the rank is no number");
    for (*rank = 0; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++) {
        *rank = *rank * 10 + (uint32_t)(*r->at - '0');
        if (*rank >= SX_VOCABULARY_LIMIT)
            return fail(r, "the rank is out of range");
    }
    if (r->at < r->end && *r->at == '\r')
        r->at++;
    if (r->at < r->end && *r->at++ != '\n')
        return fail(r, "there is something behind the rank");
    return SX_OK;
}

static sx_status read_line(rank_reader *r)
{
    uint32_t rank = 0;
    sx_status status = read_piece(r);
    if (!status)
        status = read_rank(r, &rank);
    if (status)
        return status;
    switch (sx_vocabulary_add(&r->tokenizer->vocabulary, (sx_text){r->piece.data, r->piece.length}, rank)) {
    case SX_VOCABULARY_OK:
        return SX_OK;
    case SX_VOCABULARY_SAME_TEXT:
        return fail(r, "the piece is there twice");
    case SX_VOCABULARY_SAME_ID:
        return fail(r, "the rank is there twice");
    case SX_VOCABULARY_RANGE:
        return fail(r, "the rank is out of range");
    case SX_VOCABULARY_NOMEM:
        break;
    }
    return sx_fail_nomem(r->error, r->piece.length);
}

static sx_status find_encoding(sx_tokenizer *tokenizer, sx_error *error)
{
    const char *name = sx_path_name(tokenizer->path);
    size_t length = strlen(name), tail = sizeof file_end - 1;
    if (length > tail && memcmp(name + length - tail, file_end, tail) == 0)
        tokenizer->openai = sx_openai_encoding_find(name, length - tail);
    if (tokenizer->openai)
        return SX_OK;
    sx_fail(error, SX_E_UNSUPPORTED, "%s: a file of ranks does not say how text is cut, and no encoding of this name is known",
            tokenizer->path);
    sx_hint(error, "known are cl100k_base.tiktoken, o200k_base.tiktoken, p50k_base.tiktoken and r50k_base.tiktoken");
    return SX_E_UNSUPPORTED;
}

sx_status sx_tokenizer_read_tiktoken(sx_tokenizer *tokenizer, const char *data, size_t length, sx_error *error)
{
    rank_reader r = {.tokenizer = tokenizer, .at = data, .end = data + length, .error = error};
    tokenizer->model_type = SX_TOKEN_MODEL_BPE;
    sx_status status = find_encoding(tokenizer, error);
    for (r.line = 1; r.at < r.end && !status; r.line++)
        status = read_line(&r);
    sx_buffer_clear(&r.piece);
    if (status)
        return status;
    const sx_openai_encoding *encoding = tokenizer->openai;
    if (tokenizer->vocabulary.entries != encoding->ranks)
        return sx_fail(error, SX_E_FORMAT, "%s: %u ranks, but %s has %u", tokenizer->path, tokenizer->vocabulary.entries,
                       encoding->name, encoding->ranks);
    for (const sx_openai_special *special = encoding->special; special->text && !status; special++) {
        sx_vocabulary_result named =
            sx_vocabulary_name(&tokenizer->vocabulary, (sx_text){special->text, strlen(special->text)}, special->id);
        if (named != SX_VOCABULARY_OK)
            status = named == SX_VOCABULARY_NOMEM
                         ? sx_fail_nomem(error, strlen(special->text))
                         : sx_fail(error, SX_E_FORMAT, "%s: %s has id %u, which is a piece's rank", tokenizer->path,
                                   special->text, special->id);
    }
    if (!status && !sx_post_processor_set_none(&tokenizer->post))
        status = sx_fail_nomem(error, sizeof tokenizer->post);
    if (!status)
        status = sx_bpe_open(&tokenizer->vocabulary, &(sx_bpe_options){.byte_level = true}, &tokenizer->bpe, error);
    if (!status)
        status = sx_bpe_merge_by_rank(tokenizer->bpe, error);
    return status ? status : sx_bpe_finish(tokenizer->bpe, error);
}
