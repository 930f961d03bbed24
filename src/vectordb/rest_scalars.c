/* rest_scalars.c - top-level scalars of metadata, and filters by them: read, written as JSON, and as tokens.
 *
 * A token is what a property may be asked for in databases whose properties have one type for all records (Weaviate, Milvus): the
 * member as JSON writes it, "kind":"invoice" or "number":5, one string of a list. So any key and any mix of types can be filtered
 * by, and 5 is not "5". Tokens longer than such indexes like are there by their hash.
 */
#include "rest_records.h"

#include "../base/error.h"
#include "../base/hash.h"
#include "../base/json_writer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST_TOKEN = 200 };
static const double largest_whole = 9007199254740992.0; /* 2^53: above, doubles are not exact integers */

bool sx_rest_scalars(const char *metadata, sx_rest_take_scalar take, void *user)
{
    sx_json json;
    sx_buffer name = {0}, value = {0};
    bool taken = true;
    sx_rest_scalar scalar = {0};
    if (!metadata)
        return true;
    sx_json_begin(&json, metadata, strlen(metadata), "metadata");
    sx_json_object(&json);
    while (taken && sx_json_member(&json, &name, &scalar.key)) {
        scalar.type = sx_json_peek(&json);
        if (scalar.type == SX_JSON_STRING)
            taken = sx_json_string(&json, &value, &scalar.text) && take(user, &scalar);
        else if (scalar.type == SX_JSON_NUMBER)
            taken = sx_json_number(&json, &scalar.number) && take(user, &scalar);
        else if (scalar.type == SX_JSON_BOOLEAN)
            taken = sx_json_boolean(&json, &scalar.truth) && take(user, &scalar);
        else
            sx_json_skip(&json);
    }
    sx_buffer_clear(&name);
    sx_buffer_clear(&value);
    return taken && !json.problem;
}

sx_status sx_rest_filter_scalar(const sx_vector_filter *filter, sx_rest_scalar *scalar, sx_error *error)
{
    const char *key = strcmp(filter->key, "document") == 0 ? SX_PROPERTY_DOCUMENT : filter->key;
    *scalar = (sx_rest_scalar){.key = {key, strlen(key)}, .type = SX_JSON_STRING, .text = {filter->value, strlen(filter->value)}};
    if (!filter->is_number)
        return SX_OK;
    sx_json json;
    sx_json_begin(&json, filter->value, strlen(filter->value), "filter");
    scalar->type = sx_json_peek(&json);
    if (scalar->type == SX_JSON_BOOLEAN)
        sx_json_boolean(&json, &scalar->truth);
    else
        sx_json_number(&json, &scalar->number);
    sx_json_end(&json);
    return json.problem ? sx_fail(error, SX_E_INVALID, "filter: the value of %s is neither a number nor true or false: %s",
                                  filter->key, filter->value)
                        : SX_OK;
}

bool sx_rest_write_scalar(sx_buffer *buffer, const sx_rest_scalar *scalar)
{
    if (scalar->type == SX_JSON_STRING)
        return sx_json_write_string(buffer, scalar->text.data, scalar->text.length);
    if (scalar->type == SX_JSON_BOOLEAN)
        return sx_buffer_append_string(buffer, scalar->truth ? "true" : "false");
    if (scalar->number == floor(scalar->number) && fabs(scalar->number) <= largest_whole)
        return sx_json_write_integer(buffer, (int64_t)scalar->number);
    return sx_json_write_double(buffer, scalar->number);
}

bool sx_rest_write_key(sx_buffer *buffer, const char *key)
{
    char last = buffer->length ? buffer->data[buffer->length - 1] : '{';
    if (last != '{' && last != '[')
        sx_buffer_append_byte(buffer, ',');
    sx_json_write_string(buffer, key, strlen(key));
    return sx_buffer_append_byte(buffer, ':');
}

bool sx_rest_write_member(sx_buffer *buffer, const char *key, const char *value)
{
    sx_rest_write_key(buffer, key);
    return value ? sx_json_write_string(buffer, value, strlen(value)) : sx_buffer_append_string(buffer, "null");
}

/* ---- Tokens ---- */

static bool make_token(const sx_rest_scalar *scalar, bool hashed, sx_buffer *token)
{
    sx_buffer_reset(token);
    sx_json_write_string(token, scalar->key.data, scalar->key.length);
    sx_buffer_append_byte(token, ':');
    if (!sx_rest_write_scalar(token, scalar))
        return false;
    if (!hashed && token->length <= LONGEST_TOKEN)
        return true;
    sx_sha256 hash;
    char digits[SX_SHA256_HEX];
    sx_sha256_of(token->data, token->length, &hash);
    sx_sha256_hex(&hash, digits);
    sx_buffer_reset(token);
    return sx_buffer_printf(token, "sha256:%s", digits);
}

typedef struct token_list {
    sx_buffer *body;
    bool hashed;
    sx_buffer token;
} token_list;

static bool write_token(void *user, const sx_rest_scalar *scalar)
{
    token_list *list = user;
    if (!make_token(scalar, list->hashed, &list->token))
        return false;
    if (list->body->data[list->body->length - 1] != '[')
        sx_buffer_append_byte(list->body, ',');
    return sx_json_write_string(list->body, list->token.data, list->token.length);
}

static bool write_user_token(void *user, const sx_rest_scalar *scalar)
{
    static const char ours[] = "sextant_";
    bool reserved = scalar->key.length >= sizeof ours - 1 && memcmp(scalar->key.data, ours, sizeof ours - 1) == 0;
    return reserved || write_token(user, scalar);
}

bool sx_rest_write_tokens(sx_buffer *body, const sx_vector_record *record, bool hashed)
{
    token_list list = {.body = body, .hashed = hashed};
    bool written = sx_buffer_append_byte(body, '[');
    if (written && record->document) {
        const sx_rest_scalar document = {.key = {SX_PROPERTY_DOCUMENT, strlen(SX_PROPERTY_DOCUMENT)},
                                         .type = SX_JSON_STRING,
                                         .text = {record->document, strlen(record->document)}};
        written = write_token(&list, &document);
    }
    written = written && sx_rest_scalars(record->metadata, write_user_token, &list) && sx_buffer_append_byte(body, ']');
    sx_buffer_clear(&list.token);
    return written;
}

sx_status sx_rest_filter_token(const sx_vector_filter *filter, bool hashed, sx_buffer *token, sx_error *error)
{
    sx_rest_scalar scalar;
    sx_status status = sx_rest_filter_scalar(filter, &scalar, error);
    if (status)
        return status;
    return make_token(&scalar, hashed, token) ? SX_OK : sx_fail_nomem(error, scalar.text.length);
}
