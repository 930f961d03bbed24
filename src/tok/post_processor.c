/* post_processor.c - BertProcessing, RobertaProcessing, TemplateProcessing, ByteLevel and a Sequence of these, all turned
 * into two templates: a list of special tokens and texts for one text, and one for two. */
#include "post_processor.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN = 80, MOST_ITEMS = 1024 };

typedef struct post_reader {
    const char *path;
    const sx_vocabulary *vocabulary;
    sx_post_processor *post;
    sx_error *error;
} post_reader;

void sx_post_processor_clear(sx_post_processor *post)
{
    free(post->single.items);
    free(post->pair.items);
    *post = (sx_post_processor){0};
}

static bool put_item(sx_post_template *template, sx_post_kind kind, uint32_t id, uint32_t type)
{
    void *items = template->items;
    bool room = sx_reserve(&items, &template->capacity, template->count + 1, sizeof *template->items);
    template->items = items;
    if (room)
        template->items[template->count++] = (sx_post_item){kind, id, type};
    return room;
}

static void count_around(sx_post_processor *post)
{
    bool behind = false;
    post->before = post->after = 0;
    for (size_t i = 0; i < post->single.count; i++) {
        if (post->single.items[i].kind != SX_POST_TOKEN)
            behind = true;
        else if (behind)
            post->after++;
        else
            post->before++;
    }
}

bool sx_post_processor_set_bert(sx_post_processor *post, uint32_t class, uint32_t separator)
{
    sx_post_template *one = &post->single, *two = &post->pair;
    one->count = two->count = 0;
    bool done = put_item(one, SX_POST_TOKEN, class, 0) && put_item(one, SX_POST_FIRST, 0, 0) &&
                put_item(one, SX_POST_TOKEN, separator, 0) && put_item(two, SX_POST_TOKEN, class, 0) &&
                put_item(two, SX_POST_FIRST, 0, 0) && put_item(two, SX_POST_TOKEN, separator, 0) &&
                put_item(two, SX_POST_SECOND, 0, 1) && put_item(two, SX_POST_TOKEN, separator, 1);
    count_around(post);
    return done;
}

/* <s> A </s> and <s> A </s> </s> B </s>, all of type 0. */
static bool set_roberta(sx_post_processor *post, uint32_t class, uint32_t separator)
{
    sx_post_template *one = &post->single, *two = &post->pair;
    one->count = two->count = 0;
    return put_item(one, SX_POST_TOKEN, class, 0) && put_item(one, SX_POST_FIRST, 0, 0) &&
           put_item(one, SX_POST_TOKEN, separator, 0) && put_item(two, SX_POST_TOKEN, class, 0) &&
           put_item(two, SX_POST_FIRST, 0, 0) && put_item(two, SX_POST_TOKEN, separator, 0) &&
           put_item(two, SX_POST_TOKEN, separator, 0) && put_item(two, SX_POST_SECOND, 0, 0) &&
           put_item(two, SX_POST_TOKEN, separator, 0);
}

bool sx_post_processor_set_none(sx_post_processor *post)
{
    post->single.count = post->pair.count = 0;
    bool done = put_item(&post->single, SX_POST_FIRST, 0, 0) && put_item(&post->pair, SX_POST_FIRST, 0, 0) &&
                put_item(&post->pair, SX_POST_SECOND, 0, 1);
    count_around(post);
    return done;
}

static sx_status fail(const post_reader *r, const char *problem)
{
    return sx_fail(r->error, SX_E_FORMAT, "%s: post_processor: %s", r->path, problem);
}

static sx_status check_id(const post_reader *r, const json_t *value, uint32_t *id)
{
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || number >= SX_VOCABULARY_LIMIT)
        return fail(r, "a token's id must be a whole number in range");
    *id = (uint32_t)number;
    if (!sx_vocabulary_piece_text(r->vocabulary, *id).data)
        return sx_fail(r->error, SX_E_FORMAT, "%s: post_processor: there is no token with id %u (the vocabulary ends at %u)",
                       r->path, *id, r->vocabulary->count);
    return SX_OK;
}

/* "cls": ["[CLS]", 101] */
static sx_status read_named(const post_reader *r, const json_t *component, const char *field, const char *type, uint32_t *id)
{
    const json_t *value = json_object_get(component, field);
    if (json_array_size(value) != 2 || !json_is_string(json_array_get(value, 0)))
        return sx_fail(r->error, SX_E_FORMAT, "%s: post_processor: %s needs cls and sep, each a token and its id", r->path, type);
    return check_id(r, json_array_get(value, 1), id);
}

static sx_status read_flag(const post_reader *r, const json_t *component, const char *field, bool *flag)
{
    const json_t *value = json_object_get(component, field);
    if (!value)
        return SX_OK;
    if (!json_is_boolean(value))
        return sx_fail(r->error, SX_E_FORMAT, "%s: post_processor: %s: expected true or false", r->path, field);
    *flag = json_is_true(value);
    return SX_OK;
}

static sx_status read_trimming(const post_reader *r, const json_t *component)
{
    bool trim = true, prefix = true;
    sx_status status = read_flag(r, component, "trim_offsets", &trim);
    if (!status)
        status = read_flag(r, component, "add_prefix_space", &prefix);
    if (status || !trim)
        return status;
    if (r->post->trims == SX_MOST_TRIMS)
        return sx_fail(r->error, SX_E_UNSUPPORTED, "%s: post_processor: offsets trimmed more than %d times", r->path,
                       SX_MOST_TRIMS);
    r->post->trim_prefix[r->post->trims++] = prefix;
    return SX_OK;
}

/* All ids a special token of a template stands for: special_tokens.NAME.ids. */
static sx_status put_special(const post_reader *r, const json_t *special_tokens, const char *name, uint32_t type,
                             sx_post_template *template)
{
    const json_t *ids = json_object_get(json_object_get(special_tokens, name), "ids");
    if (!json_array_size(ids))
        return sx_fail(r->error, SX_E_FORMAT, "%s: post_processor.special_tokens: no ids for \"%.*s\"", r->path, SHOWN, name);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        uint32_t id;
        sx_status status = check_id(r, json_array_get(ids, i), &id);
        if (status)
            return status;
        if (template->count == MOST_ITEMS)
            return fail(r, "a template of more than 1024 tokens");
        if (!put_item(template, SX_POST_TOKEN, id, type))
            return sx_fail_nomem(r->error, sizeof(sx_post_item));
    }
    return SX_OK;
}

/* {"SpecialToken": {"id": "[CLS]", "type_id": 0}} or {"Sequence": {"id": "A", "type_id": 0}} */
static sx_status read_piece(const post_reader *r, const json_t *piece, const json_t *special_tokens, const char *field,
                            sx_post_template *template)
{
    const json_t *sequence = json_object_get(piece, "Sequence"), *token = json_object_get(piece, "SpecialToken");
    const json_t *body = sequence ? sequence : token, *type_id = json_object_get(body, "type_id");
    const char *name = json_string_value(json_object_get(body, "id"));
    if (!name || json_object_size(piece) != 1)
        return sx_fail(r->error, SX_E_FORMAT, "%s: post_processor.%s holds something that is neither a Sequence nor a "
                       "SpecialToken with an id", r->path, field);
    if (type_id && (!json_is_integer(type_id) || json_integer_value(type_id) < 0))
        return sx_fail(r->error, SX_E_FORMAT, "%s: post_processor.%s: type_id: expected a whole number", r->path, field);
    json_int_t type = json_integer_value(type_id);
    bool single = template == &r->post->single;
    if (type > !single)
        return sx_fail(r->error, SX_E_UNSUPPORTED, "%s: post_processor.%s: type_id %lld; only %s supported", r->path, field,
                       (long long)type, single ? "0 is" : "0 and 1 are");
    if (!sequence)
        return put_special(r, special_tokens, name, (uint32_t)type, template);
    bool first = strcmp(name, "A") == 0;
    if (!first && (single || strcmp(name, "B") != 0))
        return sx_fail(r->error, SX_E_FORMAT, "%s: post_processor.%s holds another sequence than %s", r->path, field,
                       single ? "A" : "A and B");
    bool put = put_item(template, first ? SX_POST_FIRST : SX_POST_SECOND, 0, (uint32_t)type);
    return put ? SX_OK : sx_fail_nomem(r->error, sizeof(sx_post_item));
}

static size_t count_kind(const sx_post_template *template, sx_post_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < template->count; i++)
        count += template->items[i].kind == kind;
    return count;
}

/* Token types may only rise, and the first text comes first: a model is told where type 1 begins, no more. */
static bool rises(const sx_post_template *template)
{
    bool second = false;
    for (size_t i = 0; i < template->count; i++) {
        if ((i > 0 && template->items[i].type < template->items[i - 1].type) ||
            (second && template->items[i].kind == SX_POST_FIRST))
            return false;
        second |= template->items[i].kind == SX_POST_SECOND;
    }
    return true;
}

static sx_status read_template(const post_reader *r, const json_t *component)
{
    static const char *const fields[] = {"single", "pair"};
    sx_post_template *templates[] = {&r->post->single, &r->post->pair};
    const json_t *special_tokens = json_object_get(component, "special_tokens");
    for (int i = 0; i < 2; i++) {
        const json_t *pieces = json_object_get(component, fields[i]);
        templates[i]->count = 0;
        if (i == 1 && !pieces)
            continue; /* no pairs then */
        for (size_t j = 0; j < json_array_size(pieces); j++) {
            sx_status status = read_piece(r, json_array_get(pieces, j), special_tokens, fields[i], templates[i]);
            if (status)
                return status;
        }
    }
    if (count_kind(&r->post->single, SX_POST_FIRST) != 1)
        return fail(r, "single must hold the sequence A once");
    /* Files of models for single texts often have a pair without both, which then is no pair. */
    sx_post_template *pair = &r->post->pair;
    if (count_kind(pair, SX_POST_FIRST) != 1 || count_kind(pair, SX_POST_SECOND) != 1 || !rises(pair))
        pair->count = 0;
    return SX_OK;
}

/* One processor; *adds is set by one that adds tokens. */
static sx_status read_one(const post_reader *r, const json_t *component, bool *adds)
{
    const char *type = json_string_value(json_object_get(component, "type"));
    if (!type)
        return fail(r, "has no type");
    bool bert = strcmp(type, "BertProcessing") == 0, roberta = strcmp(type, "RobertaProcessing") == 0;
    if (strcmp(type, "ByteLevel") == 0)
        return read_trimming(r, component);
    if (!bert && !roberta && strcmp(type, "TemplateProcessing") != 0)
        return sx_fail(r->error, SX_E_UNSUPPORTED, "%s: post_processor of type \"%.*s\" is not supported", r->path, SHOWN, type);
    if (*adds)
        return sx_fail(r->error, SX_E_UNSUPPORTED, "%s: post_processor: a Sequence with two processors that add tokens is not "
                       "supported", r->path);
    *adds = true;
    if (!bert && !roberta)
        return read_template(r, component);
    uint32_t class, separator;
    sx_status status = read_named(r, component, "cls", type, &class);
    if (!status)
        status = read_named(r, component, "sep", type, &separator);
    if (!status && roberta)
        status = read_trimming(r, component);
    if (!status && !(bert ? sx_post_processor_set_bert(r->post, class, separator) : set_roberta(r->post, class, separator)))
        status = sx_fail_nomem(r->error, sizeof(sx_post_item));
    return status;
}

sx_status sx_post_processor_read(const json_t *component, const char *path, const sx_vocabulary *vocabulary,
                                 sx_post_processor *post, sx_error *error)
{
    post_reader r = {path, vocabulary, post, error};
    bool adds = false;
    sx_status status = SX_OK;
    if (!sx_post_processor_set_none(post))
        return sx_fail_nomem(error, sizeof(sx_post_item));
    if (!component || json_is_null(component))
        return SX_OK;
    const char *type = json_string_value(json_object_get(component, "type"));
    if (type && strcmp(type, "Sequence") == 0) {
        const json_t *processors = json_object_get(component, "processors");
        if (!json_is_array(processors))
            return fail(&r, "Sequence has no list \"processors\"");
        for (size_t i = 0; i < json_array_size(processors) && !status; i++)
            status = read_one(&r, json_array_get(processors, i), &adds);
    } else {
        status = read_one(&r, component, &adds);
    }
    count_around(post);
    return status;
}
