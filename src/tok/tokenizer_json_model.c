/* tokenizer_json_model.c - the "model" of tokenizer.json: WordPiece, WordLevel, BPE and Unigram.
 *
 * The vocabulary goes straight into the tokenizer. Merges are kept as they stand in the file until the vocabulary and the
 * pre-tokenizer are known, whatever order the members come in. Files written before models had a type are told apart by what
 * they hold. */
#include "tokenizer_internal.h"

#include "../base/error.h"
#include "../base/json_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 80 };

typedef struct model_reader {
    sx_model_reading *reading;
    sx_tokenizer *tokenizer;
    sx_json *json;
    const char *field;
    sx_buffer key_buffer, buffer;
    sx_error *error;
    sx_text type;
    bool has_longest, has_object, has_array;
} model_reader;

static int shown(sx_text text)
{
    return text.length > SHOWN ? SHOWN : (int)text.length;
}

static sx_status fail_format(const model_reader *r, const char *problem)
{
    if (r->json->problem)
        return sx_fail(r->error, SX_E_FORMAT, "%s: %s: byte %zu: %s", r->tokenizer->path, r->field, r->json->problem_position,
                       r->json->problem);
    return sx_fail(r->error, SX_E_FORMAT, "%s: %s: %s", r->tokenizer->path, r->field, problem);
}

/* A string that lives as long as the tokenizer; null leaves it alone. */
static bool keep_string(model_reader *r, sx_text *text)
{
    sx_text found;
    if (sx_json_null(r->json) || !sx_json_string(r->json, &r->buffer, &found))
        return false;
    char *copy = sx_arena_strndup(&r->tokenizer->arena, found.data, found.length);
    if (!copy)
        return sx_json_reject(r->json, "no memory for a string");
    *text = (sx_text){copy, found.length};
    return true;
}

static sx_status refuse_piece(const model_reader *r, sx_text piece, uint64_t id, sx_vocabulary_result result)
{
    if (result == SX_VOCABULARY_NOMEM)
        return sx_fail_nomem(r->error, r->json->length);
    const char *why = result == SX_VOCABULARY_SAME_TEXT ? "the piece is there twice"
                      : result == SX_VOCABULARY_SAME_ID ? "another piece has this id"
                                                        : "the id is out of range";
    return sx_fail(r->error, SX_E_FORMAT, "%s: model.vocab: \"%.*s\": id %llu: %s", r->tokenizer->path, shown(piece), piece.data,
                   (unsigned long long)id, why);
}

/* {"piece": id ...} */
static sx_status read_pieces(model_reader *r)
{
    sx_vocabulary *vocabulary = &r->tokenizer->vocabulary;
    sx_text piece;
    sx_json_object(r->json);
    while (sx_json_member(r->json, &r->key_buffer, &piece)) {
        uint64_t id;
        if (!sx_json_unsigned(r->json, &id))
            break;
        sx_vocabulary_result result =
            id < SX_VOCABULARY_LIMIT ? sx_vocabulary_add(vocabulary, piece, (uint32_t)id) : SX_VOCABULARY_RANGE;
        if (result != SX_VOCABULARY_OK)
            return refuse_piece(r, piece, id, result);
    }
    return r->json->problem ? fail_format(r, NULL) : SX_OK;
}

/* 10 to a power of at most 308. */
static double power_of_ten(unsigned power)
{
    static const double exact[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (power < sizeof exact / sizeof exact[0])
        return exact[power];
    char digits[16];
    snprintf(digits, sizeof digits, "1e%u", power);
    return strtod(digits, NULL);
}

/* A number as tokenizers' JSON reader takes it, which is not the nearest double: the digits as a whole number, rounded, then
 * scaled by a power of ten, rounded again. Ties between cuts of a text hang on the last bit. `number` is well-formed. */
static double score_of(sx_text number)
{
    uint64_t digits = 0;
    int64_t exponent = 0, written = 0;
    bool fraction = false, full = false, down = false;
    size_t i = 0;
    for (; i < number.length && number.data[i] != 'e' && number.data[i] != 'E'; i++) {
        unsigned digit = (unsigned)(number.data[i] - '0');
        fraction |= number.data[i] == '.';
        if (digit > 9)
            continue;
        full |= digits > (UINT64_MAX - digit) / 10;
        if (!full) {
            digits = digits * 10 + digit;
            exponent -= fraction;
        } else {
            exponent += !fraction;
        }
    }
    for (; i < number.length; i++) {
        down |= number.data[i] == '-';
        if (number.data[i] >= '0' && number.data[i] <= '9' && written < 100000)
            written = written * 10 + (number.data[i] - '0');
    }
    exponent += down ? -written : written;
    double value = (double)digits;
    for (; exponent < -308 && value != 0; exponent += 308)
        value /= 1e308;
    if (value != 0)
        value = exponent < 0 ? value / power_of_ten((unsigned)-exponent) : value * power_of_ten((unsigned)exponent);
    return number.data[0] == '-' ? -value : value;
}

static bool read_score(model_reader *r, double *score)
{
    sx_text number;
    double value;
    sx_json before = *r->json;
    if (!sx_json_number(r->json, &value)) /* one out of range is refused here */
        return false;
    *r->json = before;
    if (!sx_json_raw(r->json, &number))
        return false;
    *score = score_of(number);
    return true;
}

/* ["piece", score] */
static bool read_scored_piece(model_reader *r, sx_text *piece, double *score)
{
    sx_json_array(r->json);
    if (sx_json_element(r->json) && sx_json_string(r->json, &r->buffer, piece) && sx_json_element(r->json) &&
        read_score(r, score) && !sx_json_element(r->json) && !r->json->problem)
        return true;
    if (!r->json->problem)
        sx_json_reject(r->json, "a piece and its score are expected, and nothing more");
    return false;
}

/* [["piece", score] ...]: ids in order. A piece may be there twice (models made from byte pieces have it); the later one is then
 * found by its text. */
static sx_status read_scores(model_reader *r)
{
    sx_model_reading *reading = r->reading;
    sx_vocabulary *vocabulary = &r->tokenizer->vocabulary;
    sx_json_array(r->json);
    while (sx_json_element(r->json)) {
        sx_text piece;
        double score;
        if (!read_scored_piece(r, &piece, &score))
            break;
        uint32_t id = (uint32_t)reading->score_count;
        sx_vocabulary_result result =
            id < SX_VOCABULARY_LIMIT ? sx_vocabulary_add(vocabulary, piece, id) : SX_VOCABULARY_RANGE;
        if (result == SX_VOCABULARY_SAME_TEXT)
            result = sx_vocabulary_replace(vocabulary, piece, id);
        if (result != SX_VOCABULARY_OK)
            return refuse_piece(r, piece, id, result);
        void *scores = reading->scores;
        bool room = sx_reserve(&scores, &reading->score_capacity, reading->score_count + 1, sizeof *reading->scores);
        reading->scores = scores;
        if (!room)
            return sx_fail_nomem(r->error, reading->score_count * sizeof *reading->scores);
        reading->scores[reading->score_count++] = score;
    }
    return r->json->problem ? fail_format(r, NULL) : SX_OK;
}

static sx_status read_vocabulary(model_reader *r)
{
    r->field = "model.vocab";
    if (r->has_object || r->has_array)
        return fail_format(r, "is there twice");
    sx_json_type type = sx_json_peek(r->json);
    r->has_object = type == SX_JSON_OBJECT;
    r->has_array = type == SX_JSON_ARRAY;
    if (r->has_object)
        return read_pieces(r);
    if (r->has_array)
        return read_scores(r);
    sx_json_skip(r->json);
    return SX_OK;
}

static void read_flag(model_reader *r, bool *flag)
{
    if (!sx_json_null(r->json))
        sx_json_boolean(r->json, flag);
}

static sx_status read_member(model_reader *r, sx_text key)
{
    static const char *const fields[] = {"type", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "dropout",
                                         "max_input_chars_per_word", "fuse_unk", "byte_fallback", "ignore_merges", "unk_id",
                                         "merges"};
    static const char *const names[] = {"model.type", "model.unk_token", "model.continuing_subword_prefix",
                                        "model.end_of_word_suffix", "model.dropout", "model.max_input_chars_per_word",
                                        "model.fuse_unk", "model.byte_fallback", "model.ignore_merges", "model.unk_id",
                                        "model.merges"};
    enum { TYPE, UNKNOWN, PREFIX, SUFFIX, DROPOUT, LONGEST, FUSE, FALLBACK, IGNORE, UNKNOWN_ID, MERGES, FIELDS };
    sx_model_reading *reading = r->reading;
    int field = 0;
    if (sx_text_is(key, "vocab"))
        return read_vocabulary(r);
    while (field < FIELDS && !sx_text_is(key, fields[field]))
        field++;
    r->field = field < FIELDS ? names[field] : "model";
    uint64_t longest;
    double dropout;
    switch (field) {
    case TYPE:
        keep_string(r, &r->type);
        break;
    case UNKNOWN:
        keep_string(r, &reading->unknown);
        break;
    case PREFIX:
        reading->has_prefix = keep_string(r, &reading->prefix);
        break;
    case SUFFIX:
        keep_string(r, &reading->suffix);
        break;
    case DROPOUT:
        if (!sx_json_null(r->json) && sx_json_number(r->json, &dropout))
            reading->dropout = dropout != 0;
        break;
    case LONGEST:
        r->has_longest = sx_json_unsigned(r->json, &longest);
        if (r->has_longest)
            r->tokenizer->wordpiece.longest_word = longest > UINT32_MAX ? UINT32_MAX : (uint32_t)longest;
        break;
    case FUSE:
        read_flag(r, &reading->fuse_unknown);
        break;
    case FALLBACK:
        read_flag(r, &reading->byte_fallback);
        break;
    case IGNORE:
        read_flag(r, &reading->ignore_merges);
        break;
    case UNKNOWN_ID:
        reading->has_unknown_id = !sx_json_null(r->json) && sx_json_unsigned(r->json, &reading->unknown_id);
        break;
    case MERGES:
        sx_json_raw(r->json, &reading->merges);
        break;
    default:
        sx_json_skip(r->json);
    }
    return r->json->problem ? fail_format(r, NULL) : SX_OK;
}

static sx_status choose_type(model_reader *r)
{
    static const char *const names[] = {"WordPiece", "WordLevel", "BPE", "Unigram"};
    static const sx_token_model_type types[] = {SX_TOKEN_MODEL_WORDPIECE, SX_TOKEN_MODEL_WORDLEVEL, SX_TOKEN_MODEL_BPE,
                                                SX_TOKEN_MODEL_UNIGRAM};
    sx_tokenizer *tokenizer = r->tokenizer;
    if (!r->type.data) {
        tokenizer->model_type = r->reading->merges.data ? SX_TOKEN_MODEL_BPE
                                : r->has_array          ? SX_TOKEN_MODEL_UNIGRAM
                                                        : SX_TOKEN_MODEL_WORDPIECE;
        return SX_OK;
    }
    for (int i = 0; i < 4; i++)
        if (sx_text_is(r->type, names[i])) {
            tokenizer->model_type = types[i];
            return SX_OK;
        }
    return sx_fail(r->error, SX_E_UNSUPPORTED, "%s: model of type \"%.*s\" is not supported", tokenizer->path, shown(r->type),
                   r->type.data);
}

static sx_status check_members(const model_reader *r)
{
    const sx_tokenizer *tokenizer = r->tokenizer;
    sx_token_model_type type = tokenizer->model_type;
    if (type == SX_TOKEN_MODEL_UNIGRAM ? !r->has_array : !r->has_object)
        return fail_format(r, type == SX_TOKEN_MODEL_UNIGRAM
                                  ? "there is no vocabulary (model.vocab, an array of pieces and scores)"
                                  : "there is no vocabulary (model.vocab, an object of pieces and ids)");
    if ((type == SX_TOKEN_MODEL_WORDPIECE || type == SX_TOKEN_MODEL_WORDLEVEL) && !r->reading->unknown.data)
        return fail_format(r, "there is no unknown token (model.unk_token)");
    if (type == SX_TOKEN_MODEL_BPE && !r->reading->merges.data)
        return fail_format(r, "there are no merges (model.merges)");
    if (type == SX_TOKEN_MODEL_BPE && r->reading->dropout)
        return sx_fail(r->error, SX_E_UNSUPPORTED, "%s: model.dropout: splitting at random is not supported", tokenizer->path);
    return SX_OK;
}

sx_status sx_model_reading_read(sx_model_reading *reading, sx_tokenizer *tokenizer, sx_json *json, sx_error *error)
{
    model_reader r = {.reading = reading, .tokenizer = tokenizer, .json = json, .field = "model", .error = error};
    sx_text key;
    sx_status status = SX_OK;
    if (reading->found)
        return fail_format(&r, "is there twice");
    sx_json_object(json);
    while (!status && sx_json_member(json, &r.key_buffer, &key)) {
        status = read_member(&r, key);
        if (!status)
            r.field = "model";
    }
    if (!status && json->problem)
        status = fail_format(&r, NULL);
    if (!status)
        status = choose_type(&r);
    if (!status)
        status = check_members(&r);
    if (!r.has_longest)
        tokenizer->wordpiece.longest_word = 100;
    sx_buffer_clear(&r.key_buffer);
    sx_buffer_clear(&r.buffer);
    reading->found = true;
    return status;
}

/* One entry of merges: "a b" or ["a", "b"]. */
static sx_status read_merge(model_reader *r, uint32_t rank)
{
    sx_text left, right;
    if (sx_json_peek(r->json) == SX_JSON_ARRAY) {
        sx_json_array(r->json);
        if (!sx_json_element(r->json) || !sx_json_string(r->json, &r->key_buffer, &left) || !sx_json_element(r->json) ||
            !sx_json_string(r->json, &r->buffer, &right) || sx_json_element(r->json) || r->json->problem) {
            if (!r->json->problem)
                sx_json_reject(r->json, "a merge must have two sides");
            return fail_format(r, NULL);
        }
        return sx_bpe_add_merge(r->tokenizer->bpe, left, right, rank, r->tokenizer->path, r->error);
    }
    if (!sx_json_string(r->json, &r->buffer, &left))
        return fail_format(r, NULL);
    const char *space = left.length ? memchr(left.data, ' ', left.length) : NULL;
    size_t first = space ? (size_t)(space - left.data) : 0;
    if (!space || memchr(space + 1, ' ', left.length - first - 1)) {
        sx_json_reject(r->json, "a merge must be two pieces with a space between them");
        return fail_format(r, NULL);
    }
    right = (sx_text){space + 1, left.length - first - 1};
    left.length = first;
    return sx_bpe_add_merge(r->tokenizer->bpe, left, right, rank, r->tokenizer->path, r->error);
}

static sx_status open_bpe(const sx_model_reading *reading, sx_tokenizer *tokenizer, sx_error *error)
{
    sx_bpe_options options = {.byte_level = tokenizer->pre_tokenizer.byte_level, .byte_fallback = reading->byte_fallback,
                              .fuse_unknown = reading->fuse_unknown, .ignore_merges = reading->ignore_merges,
                              .continuing_prefix = reading->prefix, .end_suffix = reading->suffix};
    if (reading->unknown.data) {
        options.has_unknown = sx_vocabulary_find(&tokenizer->vocabulary, reading->unknown, &options.unknown_id);
        /* Byte-level models know every byte; elsewhere a text could not be encoded. */
        if (!options.has_unknown && !options.byte_level)
            return sx_fail(error, SX_E_FORMAT, "%s: the unknown token \"%.*s\" is not in the vocabulary of %u pieces",
                           tokenizer->path, shown(reading->unknown), reading->unknown.data, tokenizer->vocabulary.entries);
    }
    sx_status status = sx_bpe_open(&tokenizer->vocabulary, &options, &tokenizer->bpe, error);
    if (status)
        return status;
    sx_json json;
    model_reader r = {.tokenizer = tokenizer, .json = &json, .field = "model.merges", .error = error};
    sx_json_begin(&json, reading->merges.data, reading->merges.length, tokenizer->path);
    uint32_t rank = 0;
    sx_json_array(&json);
    while (!status && sx_json_element(&json))
        status = read_merge(&r, rank++);
    if (!status && json.problem)
        status = fail_format(&r, NULL);
    sx_buffer_clear(&r.key_buffer);
    sx_buffer_clear(&r.buffer);
    return status ? status : sx_bpe_finish(tokenizer->bpe, error);
}

static sx_status open_unigram(const sx_model_reading *reading, sx_tokenizer *tokenizer, sx_error *error)
{
    int64_t unknown = !reading->has_unknown_id              ? SX_UNIGRAM_NO_UNKNOWN
                      : reading->unknown_id > SX_VOCABULARY_LIMIT ? SX_VOCABULARY_LIMIT
                                                                  : (int64_t)reading->unknown_id;
    sx_status status = sx_unigram_open(&tokenizer->vocabulary, unknown, reading->byte_fallback, &tokenizer->unigram, error);
    for (size_t id = 0; id < reading->score_count && !status; id++)
        status = sx_unigram_add_score(tokenizer->unigram, (uint32_t)id, reading->scores[id], error);
    return status ? status : sx_unigram_finish(tokenizer->unigram, tokenizer->path, error);
}

sx_status sx_model_reading_finish(sx_model_reading *reading, sx_tokenizer *tokenizer, sx_error *error)
{
    if (tokenizer->vocabulary.entries == 0)
        return sx_fail(error, SX_E_FORMAT, "%s: the vocabulary is empty", tokenizer->path);
    tokenizer->wordpiece.unknown = reading->unknown;
    tokenizer->wordpiece.prefix = reading->has_prefix ? reading->prefix : (sx_text){"##", 2};
    if (tokenizer->model_type == SX_TOKEN_MODEL_BPE)
        return open_bpe(reading, tokenizer, error);
    return tokenizer->model_type == SX_TOKEN_MODEL_UNIGRAM ? open_unigram(reading, tokenizer, error) : SX_OK;
}

void sx_model_reading_clear(sx_model_reading *reading)
{
    free(reading->scores);
    *reading = (sx_model_reading){0};
}
