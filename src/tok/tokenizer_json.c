/* tokenizer_json.c - reading tokenizer.json as the Hugging Face tokenizers library writes it (its version "1.0").
 *
 * Members may come in any order, so the small ones are kept as they are until the vocabulary is known. A component of a type this
 * version does not have is SX_E_UNSUPPORTED with its name; truncation, padding and decoder do not concern encoding. */
#include "tokenizer_internal.h"

#include "../base/error.h"
#include "../base/json_reader.h"

#include <stdio.h>
#include <string.h>

enum { SHOWN = 80 }; /* bytes of a text from the file in a message */

typedef struct template_piece {
    bool sequence;    /* the text, else a special token */
    sx_text name;
} template_piece;

typedef struct reader {
    sx_tokenizer *tokenizer;
    const char *data;
    sx_json json;          /* where the reading is */
    const char *field;     /* what is being read, for errors */
    sx_buffer key_buffer, buffer;
    sx_error *error;
    /* offsets of values read later; 0: absent */
    size_t added_tokens, normalizer, pre_tokenizer, post_processor;
    bool has_model;
} reader;

static sx_status fail_format(reader *r, const char *problem)
{
    if (r->json.problem)
        return sx_fail(r->error, SX_E_FORMAT, "%s: %s: byte %zu: %s", r->tokenizer->path, r->field, r->json.problem_position,
                       r->json.problem);
    return sx_fail(r->error, SX_E_FORMAT, "%s: %s: %s", r->tokenizer->path, r->field, problem);
}

static sx_status unsupported(reader *r, sx_text type)
{
    return sx_fail(r->error, SX_E_UNSUPPORTED, "%s: %s of type \"%.*s\" is not supported", r->tokenizer->path, r->field,
                   type.length > SHOWN ? SHOWN : (int)type.length, type.data);
}

static int shown(sx_text text)
{
    return text.length > SHOWN ? SHOWN : (int)text.length;
}

static bool next_member(reader *r, sx_text *key)
{
    return sx_json_member(&r->json, &r->key_buffer, key);
}

/* A string that lives as long as the tokenizer. */
static bool keep_string(reader *r, sx_text *text)
{
    sx_text found;
    if (!sx_json_string(&r->json, &r->buffer, &found))
        return false;
    char *copy = sx_arena_strndup(&r->tokenizer->arena, found.data, found.length);
    if (!copy)
        return sx_json_reject(&r->json, "no memory for a string");
    *text = (sx_text){copy, found.length};
    return true;
}

static bool read_id(reader *r, uint32_t *id)
{
    uint64_t number;
    if (!sx_json_unsigned(&r->json, &number))
        return false;
    if (number >= SX_VOCABULARY_LIMIT)
        return sx_json_reject(&r->json, "an id out of range (4194304 and more)");
    *id = (uint32_t)number;
    return true;
}

/* Reads the value at an offset remembered before. The whole text was checked then. */
static void go_to(reader *r, size_t offset)
{
    size_t length = r->json.length;
    sx_json_begin(&r->json, r->data, length, r->tokenizer->path);
    r->json.position = offset;
}

static sx_status read_vocabulary(reader *r)
{
    sx_vocabulary *vocabulary = &r->tokenizer->vocabulary;
    sx_text piece;
    r->field = "model.vocab";
    if (vocabulary->entries)
        return fail_format(r, "is there twice");
    sx_json_object(&r->json);
    while (next_member(r, &piece)) {
        uint64_t id;
        if (!sx_json_unsigned(&r->json, &id))
            break;
        sx_vocabulary_result result =
            id < SX_VOCABULARY_LIMIT ? sx_vocabulary_add(vocabulary, piece, (uint32_t)id) : SX_VOCABULARY_RANGE;
        if (result == SX_VOCABULARY_OK)
            continue;
        if (result == SX_VOCABULARY_NOMEM)
            return sx_fail_nomem(r->error, r->json.length);
        const char *why = result == SX_VOCABULARY_SAME_TEXT ? "the piece is there twice"
                          : result == SX_VOCABULARY_SAME_ID ? "another piece has this id"
                                                            : "the id is out of range";
        return sx_fail(r->error, SX_E_FORMAT, "%s: model.vocab: \"%.*s\": id %llu: %s", r->tokenizer->path, shown(piece),
                       piece.data, (unsigned long long)id, why);
    }
    return r->json.problem ? fail_format(r, NULL) : SX_OK;
}

static sx_status read_model(reader *r)
{
    sx_wordpiece *model = &r->tokenizer->wordpiece;
    sx_text key, type = {0};
    bool has_vocabulary = false, has_prefix = false, has_longest = false, has_merges = false;
    sx_status status = SX_OK;
    r->field = "model";
    sx_json_object(&r->json);
    while (!status && next_member(r, &key)) {
        if (sx_text_is(key, "type")) {
            r->field = "model.type";
            keep_string(r, &type);
            if (type.data && !sx_text_is(type, "WordPiece")) {
                r->field = "model";
                return unsupported(r, type);
            }
        } else if (sx_text_is(key, "unk_token")) {
            r->field = "model.unk_token";
            if (!sx_json_null(&r->json))
                keep_string(r, &model->unknown);
        } else if (sx_text_is(key, "continuing_subword_prefix")) {
            r->field = "model.continuing_subword_prefix";
            if (!sx_json_null(&r->json))
                has_prefix = keep_string(r, &model->prefix);
        } else if (sx_text_is(key, "max_input_chars_per_word")) {
            r->field = "model.max_input_chars_per_word";
            uint64_t longest;
            has_longest = sx_json_unsigned(&r->json, &longest);
            model->longest_word = longest > UINT32_MAX ? UINT32_MAX : (uint32_t)longest;
        } else if (sx_text_is(key, "vocab") && sx_json_peek(&r->json) == SX_JSON_OBJECT) {
            has_vocabulary = true;
            status = read_vocabulary(r);
        } else {
            has_merges |= sx_text_is(key, "merges") || sx_text_is(key, "unk_id");
            if (sx_text_is(key, "vocab"))
                r->field = "model.vocab";
            sx_json_skip(&r->json);
        }
        r->field = r->json.problem ? r->field : "model";
    }
    if (status)
        return status;
    if (r->json.problem)
        return fail_format(r, NULL);
    if (!type.data && has_merges)
        return unsupported(r, (sx_text){"BPE or Unigram", 14}); /* old files do not say; only WordPiece has neither */
    if (!has_vocabulary)
        return fail_format(r, "there is no vocabulary (model.vocab, an object of pieces and ids)");
    if (!model->unknown.data)
        return fail_format(r, "there is no unknown token (model.unk_token)");
    if (!has_prefix)
        model->prefix = (sx_text){"##", 2};
    if (!has_longest)
        model->longest_word = 100;
    r->has_model = true;
    return SX_OK;
}

static sx_status read_added_tokens(reader *r)
{
    char where[64];
    size_t index = 0;
    r->field = "added_tokens";
    if (r->added_tokens == 0)
        return SX_OK;
    go_to(r, r->added_tokens);
    if (sx_json_null(&r->json))
        return SX_OK;
    sx_json_array(&r->json);
    while (sx_json_element(&r->json)) {
        sx_added_token token = {0};
        sx_text key, content = {0};
        bool has_id = false, has_normalized = false;
        snprintf(where, sizeof where, "added_tokens[%zu]", index++);
        r->field = where;
        sx_json_object(&r->json);
        while (next_member(r, &key)) {
            if (sx_text_is(key, "id"))
                has_id = read_id(r, &token.id);
            else if (sx_text_is(key, "content"))
                sx_json_string(&r->json, &r->buffer, &content);
            else if (sx_text_is(key, "special"))
                sx_json_boolean(&r->json, &token.special);
            else if (sx_text_is(key, "single_word"))
                sx_json_boolean(&r->json, &token.single_word);
            else if (sx_text_is(key, "lstrip"))
                sx_json_boolean(&r->json, &token.lstrip);
            else if (sx_text_is(key, "rstrip"))
                sx_json_boolean(&r->json, &token.rstrip);
            else if (sx_text_is(key, "normalized"))
                has_normalized = sx_json_boolean(&r->json, &token.normalized);
            else
                sx_json_skip(&r->json);
        }
        if (r->json.problem)
            break;
        if (!has_id || !content.data)
            return fail_format(r, has_id ? "has no content" : "has no id");
        if (!has_normalized)
            token.normalized = !token.special;
        token.content = content;
        sx_status status = sx_tokenizer_add_token(r->tokenizer, &token, where, r->error);
        if (status)
            return status;
    }
    sx_status status = r->json.problem ? fail_format(r, NULL) : SX_OK;
    r->field = "added_tokens";
    return status;
}

static sx_status read_normalizer(reader *r)
{
    sx_bert_normalizer *bert = &r->tokenizer->bert_normalizer;
    sx_text key, type = {0};
    bool strip = false, has_strip = false;
    r->field = "normalizer";
    r->tokenizer->normalizer_type = SX_NORMALIZER_NONE;
    if (r->normalizer == 0)
        return SX_OK;
    go_to(r, r->normalizer);
    if (sx_json_null(&r->json))
        return SX_OK;
    *bert = (sx_bert_normalizer){.clean_text = true, .chinese = true, .lowercase = true};
    sx_json_object(&r->json);
    while (next_member(r, &key)) {
        if (sx_text_is(key, "type")) {
            keep_string(r, &type);
            if (type.data && !sx_text_is(type, "BertNormalizer"))
                return unsupported(r, type);
        } else if (sx_text_is(key, "clean_text")) {
            sx_json_boolean(&r->json, &bert->clean_text);
        } else if (sx_text_is(key, "handle_chinese_chars")) {
            sx_json_boolean(&r->json, &bert->chinese);
        } else if (sx_text_is(key, "lowercase")) {
            sx_json_boolean(&r->json, &bert->lowercase);
        } else if (sx_text_is(key, "strip_accents")) {
            has_strip = !sx_json_null(&r->json) && sx_json_boolean(&r->json, &strip);
        } else {
            sx_json_skip(&r->json);
        }
    }
    if (r->json.problem || !type.data)
        return fail_format(r, "has no type");
    bert->strip_accents = has_strip ? strip : bert->lowercase;
    r->tokenizer->normalizer_type = SX_NORMALIZER_BERT;
    return SX_OK;
}

/* The "type" of the component that begins here; the rest of it is passed over. */
static sx_status read_type(reader *r, sx_text *type)
{
    sx_text key;
    sx_json_object(&r->json);
    while (next_member(r, &key)) {
        if (sx_text_is(key, "type"))
            keep_string(r, type);
        else
            sx_json_skip(&r->json);
    }
    return r->json.problem || !type->data ? fail_format(r, "has no type") : SX_OK;
}

static sx_status read_pre_tokenizer(reader *r)
{
    sx_text type = {0};
    sx_status status;
    r->field = "pre_tokenizer";
    if (r->pre_tokenizer)
        go_to(r, r->pre_tokenizer);
    if (r->pre_tokenizer == 0 || sx_json_null(&r->json))
        return sx_fail(r->error, SX_E_UNSUPPORTED, "%s: there is no pre_tokenizer; BertPreTokenizer is supported",
                       r->tokenizer->path);
    status = read_type(r, &type);
    if (status)
        return status;
    if (!sx_text_is(type, "BertPreTokenizer"))
        return unsupported(r, type);
    r->tokenizer->pre_tokenizer_type = SX_PRE_TOKENIZER_BERT;
    return SX_OK;
}

static sx_status put_special(reader *r, bool before, uint32_t id)
{
    if (!sx_tokenizer_piece(r->tokenizer, id).data)
        return sx_fail(r->error, SX_E_FORMAT, "%s: %s: there is no token with id %u (the vocabulary ends at %u)",
                       r->tokenizer->path, r->field, id, sx_tokenizer_vocabulary_size(r->tokenizer));
    return sx_tokenizer_add_special(r->tokenizer, before, id) ? SX_OK : sx_fail_nomem(r->error, sizeof id);
}

/* BertProcessing: {"sep": ["[SEP]", 102], "cls": ["[CLS]", 101]}. */
static sx_status read_bert_processing(reader *r)
{
    sx_text key, text;
    uint32_t ids[2] = {0};
    bool found[2] = {false};
    sx_json_object(&r->json);
    while (next_member(r, &key)) {
        int which = sx_text_is(key, "cls") ? 0 : sx_text_is(key, "sep") ? 1 : -1;
        if (which < 0) {
            sx_json_skip(&r->json);
            continue;
        }
        sx_json_array(&r->json);
        if (sx_json_element(&r->json) && sx_json_string(&r->json, &r->buffer, &text) && sx_json_element(&r->json))
            found[which] = read_id(r, &ids[which]);
        if (sx_json_element(&r->json))
            sx_json_reject(&r->json, "a token and its id are expected, and nothing more");
    }
    if (r->json.problem || !found[0] || !found[1])
        return fail_format(r, "BertProcessing needs cls and sep, each a token and its id");
    sx_status status = put_special(r, true, ids[0]);
    return status ? status : put_special(r, false, ids[1]);
}

/* One piece of a template: {"SpecialToken": {"id": "[CLS]", "type_id": 0}} or {"Sequence": {"id": "A", "type_id": 0}}. */
static sx_status read_template_piece(reader *r, template_piece *piece)
{
    sx_text kind, key;
    bool known = false;
    *piece = (template_piece){0};
    sx_json_object(&r->json);
    while (next_member(r, &kind)) {
        piece->sequence = sx_text_is(kind, "Sequence");
        known = piece->sequence || sx_text_is(kind, "SpecialToken");
        uint64_t type = 0;
        sx_json_object(&r->json);
        while (next_member(r, &key)) {
            if (sx_text_is(key, "id"))
                keep_string(r, &piece->name);
            else if (sx_text_is(key, "type_id"))
                sx_json_unsigned(&r->json, &type);
            else
                sx_json_skip(&r->json);
        }
        if (!r->json.problem && type != 0)
            return sx_fail(r->error, SX_E_UNSUPPORTED, "%s: %s.single: type_id %llu; only 0 is supported", r->tokenizer->path,
                           r->field, (unsigned long long)type);
    }
    if (r->json.problem || !known || !piece->name.data)
        return fail_format(r, "single holds something that is neither a Sequence nor a SpecialToken with an id");
    if (piece->sequence && !sx_text_is(piece->name, "A"))
        return fail_format(r, "single holds another sequence than A");
    return SX_OK;
}

/* The ids a special token of a template stands for: special_tokens.NAME.ids. */
static sx_status put_template_token(reader *r, size_t special_tokens, bool before, sx_text name)
{
    sx_text key, field;
    bool found = false;
    go_to(r, special_tokens);
    sx_json_object(&r->json);
    while (next_member(r, &key)) {
        if (found || key.length != name.length || memcmp(key.data, name.data, name.length) != 0) {
            sx_json_skip(&r->json);
            continue;
        }
        sx_json_object(&r->json);
        while (next_member(r, &field)) {
            if (!sx_text_is(field, "ids")) {
                sx_json_skip(&r->json);
                continue;
            }
            sx_json_array(&r->json);
            while (sx_json_element(&r->json)) {
                uint32_t id = 0;
                if (!read_id(r, &id))
                    break;
                sx_status status = put_special(r, before, id);
                if (status)
                    return status;
                found = true;
            }
        }
    }
    if (r->json.problem)
        return fail_format(r, NULL);
    if (!found)
        return sx_fail(r->error, SX_E_FORMAT, "%s: %s.special_tokens: no ids for \"%.*s\"", r->tokenizer->path, r->field,
                       shown(name), name.data);
    return SX_OK;
}

static sx_status read_template(reader *r)
{
    enum { MOST_PIECES = 64 };
    template_piece pieces[MOST_PIECES];
    size_t count = 0, sequences = 0, special_tokens = 0;
    sx_text key;
    sx_json_object(&r->json);
    while (next_member(r, &key)) {
        if (sx_text_is(key, "special_tokens")) {
            sx_text raw;
            if (sx_json_raw(&r->json, &raw))
                special_tokens = (size_t)(raw.data - r->data);
        } else if (sx_text_is(key, "single") && count == 0) {
            sx_json_array(&r->json);
            while (sx_json_element(&r->json)) {
                if (count == MOST_PIECES)
                    return fail_format(r, "single has more than 64 pieces");
                sx_status status = read_template_piece(r, &pieces[count]);
                if (status)
                    return status;
                sequences += pieces[count++].sequence;
            }
        } else {
            sx_json_skip(&r->json);
        }
    }
    if (r->json.problem || sequences != 1)
        return fail_format(r, "single must hold the sequence A once");
    if (count > 1 && special_tokens == 0)
        return fail_format(r, "special_tokens is missing");
    bool before = true;
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].sequence) {
            before = false;
            continue;
        }
        sx_status status = put_template_token(r, special_tokens, before, pieces[i].name);
        if (status)
            return status;
    }
    return SX_OK;
}

static sx_status read_post_processor(reader *r)
{
    sx_text type = {0};
    sx_status status;
    r->field = "post_processor";
    if (r->post_processor == 0)
        return SX_OK;
    go_to(r, r->post_processor);
    if (sx_json_null(&r->json))
        return SX_OK;
    status = read_type(r, &type);
    if (status)
        return status;
    go_to(r, r->post_processor);
    if (sx_text_is(type, "BertProcessing"))
        return read_bert_processing(r);
    if (sx_text_is(type, "TemplateProcessing"))
        return read_template(r);
    return unsupported(r, type);
}

/* Reads the model and remembers where the rest is. */
static sx_status read_top(reader *r)
{
    sx_text key, raw;
    r->field = "the file";
    sx_json_object(&r->json);
    while (next_member(r, &key)) {
        size_t *place = sx_text_is(key, "added_tokens")     ? &r->added_tokens
                        : sx_text_is(key, "normalizer")     ? &r->normalizer
                        : sx_text_is(key, "pre_tokenizer")  ? &r->pre_tokenizer
                        : sx_text_is(key, "post_processor") ? &r->post_processor
                                                            : NULL;
        if (sx_text_is(key, "model")) {
            sx_status status = read_model(r);
            if (status)
                return status;
            r->field = "the file";
        } else if (!sx_json_raw(&r->json, &raw)) {
            break;
        } else if (place) {
            *place = (size_t)(raw.data - r->data);
        }
    }
    if (!sx_json_end(&r->json))
        return fail_format(r, NULL);
    return r->has_model ? SX_OK : fail_format(r, "there is no model");
}

sx_status sx_tokenizer_read_json(sx_tokenizer *tokenizer, const char *data, size_t length, sx_error *error)
{
    reader r = {.tokenizer = tokenizer, .data = data, .error = error};
    tokenizer->model_type = SX_TOKEN_MODEL_WORDPIECE;
    sx_json_begin(&r.json, data, length, tokenizer->path);
    sx_status status = read_top(&r);
    if (!status)
        status = read_added_tokens(&r);
    if (!status)
        status = read_normalizer(&r);
    if (!status)
        status = read_pre_tokenizer(&r);
    if (!status)
        status = read_post_processor(&r);
    sx_buffer_clear(&r.key_buffer);
    sx_buffer_clear(&r.buffer);
    return status;
}
