/* pre_tokenizer_read.c - reading the "pre_tokenizer" of tokenizer.json, and its canonical description.
 *
 * Fields that may be left out, and what is then meant, are those of the tokenizers library; a field that it demands is demanded
 * here too. */
#include "pre_tokenizer_internal.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../text/utf8.h"

#include <stdlib.h>
#include <string.h>

/* What is being read, for messages. */
typedef struct component {
    const json_t *json;
    const char *path, *type;
    sx_arena *arena;
    sx_error *error;
} component;

enum { DEEPEST_SEQUENCE = 32 };

static sx_status missing(const component *c, const char *field, const char *expected)
{
    const json_t *value = json_object_get(c->json, field);
    return sx_fail(c->error, SX_E_FORMAT, "%s: pre_tokenizer %s: '%s' is %s, not %s", c->path, c->type, field,
                   value ? "something else" : "missing", expected);
}

/* A boolean; `otherwise` when it is left out, unless `required`. */
static sx_status read_bool(const component *c, const char *field, bool required, bool otherwise, bool *value)
{
    const json_t *json = json_object_get(c->json, field);
    if (!json && required)
        return missing(c, field, "true or false");
    if (json && !json_is_boolean(json) && (required || !json_is_null(json)))
        return missing(c, field, "true or false");
    *value = json_is_boolean(json) ? json_is_true(json) : otherwise;
    return SX_OK;
}

static sx_status copy_text(const component *c, const json_t *string, sx_text *text)
{
    size_t length = json_string_length(string);
    char *copy = sx_arena_strndup(c->arena, json_string_value(string), length);
    if (!copy)
        return sx_fail_nomem(c->error, length);
    *text = (sx_text){copy, length};
    return SX_OK;
}

/* A string of exactly one character. */
static sx_status read_character(const component *c, const char *field, sx_text *text)
{
    const json_t *json = json_object_get(c->json, field);
    if (!json_is_string(json) || sx_utf8_count(json_string_value(json), json_string_length(json)) != 1)
        return missing(c, field, "one character");
    return copy_text(c, json, text);
}

static sx_status read_behavior(const component *c, bool required, sx_split_behavior *behavior)
{
    static const char *const names[] = {"Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    const json_t *json = json_object_get(c->json, "behavior");
    *behavior = SX_SPLIT_ISOLATED;
    if (!json && !required)
        return SX_OK;
    if (!json_is_string(json))
        return missing(c, "behavior", "a string");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(json_string_value(json), names[i]) == 0) {
            *behavior = (sx_split_behavior)i;
            return SX_OK;
        }
    return sx_fail(c->error, SX_E_UNSUPPORTED, "%s: pre_tokenizer %s: 'behavior' is '%s', which is not known", c->path, c->type,
                   json_string_value(json));
}

static sx_status read_split(const component *c, sx_pre_tokenizer_step *step)
{
    const json_t *pattern = json_object_get(c->json, "pattern");
    const json_t *string = json_object_get(pattern, "String"), *regex = json_object_get(pattern, "Regex");
    if (json_object_size(pattern) != 1 || !(json_is_string(string) || json_is_string(regex)))
        return missing(c, "pattern", "one of {\"String\": ...} and {\"Regex\": ...}");
    sx_status status = copy_text(c, string ? string : regex, &step->pattern);
    if (!status)
        status = read_behavior(c, true, &step->behavior);
    if (!status)
        status = read_bool(c, "invert", true, false, &step->invert);
    if (status)
        return status;
    step->kind = SX_PRE_TOKENIZER_SPLIT_LITERAL;
    if (string && step->pattern.length)
        return SX_OK;
    step->kind = SX_PRE_TOKENIZER_SPLIT_SCANNER;
    step->scanner = string ? NULL : sx_split_pattern_find(step->pattern);
    if (step->scanner)
        return SX_OK;
    /* The empty string matches between all characters, as the empty regular expression does. */
    step->kind = SX_PRE_TOKENIZER_SPLIT_REGEX;
    sx_buffer where = {0};
    sx_buffer_printf(&where, "%s: pre_tokenizer Split", c->path);
    status = where.failed ? sx_fail_nomem(c->error, where.length)
                          : sx_regex_open(step->pattern, false, where.data, &step->regex, c->error);
    sx_buffer_clear(&where);
    return status;
}

/* Old files say add_prefix_space and str_rep; str_rep is never looked at. add_prefix_space false without a scheme, which newer
 * tokenizers refuse, meant that nothing is put before a piece. */
static sx_status read_metaspace(const component *c, sx_pre_tokenizer_step *step)
{
    static const char *const names[] = {"always", "first", "never"};
    const json_t *scheme = json_object_get(c->json, "prepend_scheme");
    bool add_prefix_space;
    sx_status status = read_character(c, "replacement", &step->pattern);
    if (!status)
        status = read_bool(c, "split", false, true, &step->split);
    if (!status)
        status = read_bool(c, "add_prefix_space", false, true, &add_prefix_space);
    if (status)
        return status;
    step->behavior = SX_SPLIT_MERGED_WITH_NEXT;
    step->prepend = add_prefix_space ? SX_PREPEND_ALWAYS : SX_PREPEND_NEVER;
    if (!scheme)
        return SX_OK;
    if (!json_is_string(scheme))
        return missing(c, "prepend_scheme", "a string");
    size_t i = 0;
    while (i < 3 && strcmp(json_string_value(scheme), names[i]) != 0)
        i++;
    if (i == 3)
        return sx_fail(c->error, SX_E_UNSUPPORTED, "%s: pre_tokenizer Metaspace: 'prepend_scheme' is '%s', which is not known",
                       c->path, json_string_value(scheme));
    step->prepend = (sx_prepend_scheme)i;
    if (!add_prefix_space && step->prepend != SX_PREPEND_NEVER)
        return sx_fail(c->error, SX_E_FORMAT,
                       "%s: pre_tokenizer Metaspace: 'add_prefix_space' is false but 'prepend_scheme' '%s'", c->path, names[i]);
    return SX_OK;
}

static sx_status read_byte_level(const component *c, sx_pre_tokenizer_step *step)
{
    bool trim_offsets; /* matters only to the post-processor of that name */
    sx_status status = read_bool(c, "add_prefix_space", true, false, &step->add_prefix_space);
    if (!status)
        status = read_bool(c, "trim_offsets", true, false, &trim_offsets);
    if (!status)
        status = read_bool(c, "use_regex", false, true, &step->use_regex);
    step->scanner = &sx_split_gpt2;
    return status;
}

static sx_status read_digits(const component *c, sx_pre_tokenizer_step *step)
{
    bool individual = false;
    sx_status status = read_bool(c, "individual_digits", true, false, &individual);
    step->behavior = individual ? SX_SPLIT_ISOLATED : SX_SPLIT_CONTIGUOUS;
    return status;
}

static sx_status read_fixed_length(const component *c, sx_pre_tokenizer_step *step)
{
    const json_t *length = json_object_get(c->json, "length");
    step->characters = 5;
    if (!length)
        return SX_OK;
    if (!json_is_integer(length) || json_integer_value(length) < 1)
        return missing(c, "length", "a number from 1 on");
    step->characters = (size_t)json_integer_value(length);
    return SX_OK;
}

static sx_status read_delimiter(const component *c, sx_pre_tokenizer_step *step)
{
    step->behavior = SX_SPLIT_REMOVED;
    return read_character(c, "delimiter", &step->pattern);
}

static sx_status read_punctuation(const component *c, sx_pre_tokenizer_step *step)
{
    return read_behavior(c, false, &step->behavior);
}

static const struct {
    const char *type;
    sx_pre_tokenizer_kind kind;
    sx_status (*read)(const component *c, sx_pre_tokenizer_step *step); /* NULL: it has no fields */
} types[] = {
    {"BertPreTokenizer", SX_PRE_TOKENIZER_BERT, NULL},
    {"Whitespace", SX_PRE_TOKENIZER_WHITESPACE, NULL},
    {"WhitespaceSplit", SX_PRE_TOKENIZER_WHITESPACE_SPLIT, NULL},
    {"Punctuation", SX_PRE_TOKENIZER_PUNCTUATION, read_punctuation},
    {"Digits", SX_PRE_TOKENIZER_DIGITS, read_digits},
    {"CharDelimiterSplit", SX_PRE_TOKENIZER_CHARACTER, read_delimiter},
    {"UnicodeScripts", SX_PRE_TOKENIZER_SCRIPTS, NULL},
    {"FixedLength", SX_PRE_TOKENIZER_FIXED_LENGTH, read_fixed_length},
    {"Split", SX_PRE_TOKENIZER_SPLIT_LITERAL, read_split},
    {"ByteLevel", SX_PRE_TOKENIZER_BYTE_LEVEL, read_byte_level},
    {"Metaspace", SX_PRE_TOKENIZER_METASPACE, read_metaspace},
};

static sx_status read_step(component *c, size_t type, sx_pre_tokenizer *pre_tokenizer)
{
    /* What stands behind ByteLevel sees byte characters, which become bytes again in the end: nothing may put in others. */
    if (pre_tokenizer->byte_level &&
        (types[type].kind == SX_PRE_TOKENIZER_BYTE_LEVEL || types[type].kind == SX_PRE_TOKENIZER_METASPACE))
        return sx_fail(c->error, SX_E_UNSUPPORTED, "%s: pre_tokenizer: %s behind ByteLevel is not supported", c->path, c->type);
    void *steps = pre_tokenizer->steps;
    if (!sx_reserve(&steps, &pre_tokenizer->capacity, pre_tokenizer->count + 1, sizeof *pre_tokenizer->steps))
        return sx_fail_nomem(c->error, sizeof *pre_tokenizer->steps);
    pre_tokenizer->steps = steps;
    sx_pre_tokenizer_step *step = &pre_tokenizer->steps[pre_tokenizer->count++];
    *step = (sx_pre_tokenizer_step){.kind = types[type].kind};
    sx_status status = types[type].read ? types[type].read(c, step) : SX_OK;
    pre_tokenizer->byte_level |= step->kind == SX_PRE_TOKENIZER_BYTE_LEVEL;
    return status;
}

static sx_status read_component(component *c, unsigned depth, sx_pre_tokenizer *pre_tokenizer)
{
    c->type = json_string_value(json_object_get(c->json, "type"));
    if (!c->type)
        return sx_fail(c->error, SX_E_FORMAT, "%s: pre_tokenizer: 'type' is missing", c->path);
    if (strcmp(c->type, "Sequence") != 0) {
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
            if (strcmp(c->type, types[i].type) == 0)
                return read_step(c, i, pre_tokenizer);
        return sx_fail(c->error, SX_E_UNSUPPORTED, "%s: pre_tokenizer of type '%s' is not supported", c->path, c->type);
    }
    const json_t *members = json_object_get(c->json, "pretokenizers");
    if (!json_is_array(members))
        return missing(c, "pretokenizers", "an array");
    if (depth == DEEPEST_SEQUENCE)
        return sx_fail(c->error, SX_E_LIMIT, "%s: pre_tokenizer: more than %d sequences within each other", c->path,
                       DEEPEST_SEQUENCE);
    for (size_t i = 0; i < json_array_size(members); i++) {
        component member = *c;
        member.json = json_array_get(members, i);
        sx_status status = read_component(&member, depth + 1, pre_tokenizer);
        if (status)
            return status;
    }
    return SX_OK;
}

sx_status sx_pre_tokenizer_read(const json_t *json, const char *path, sx_arena *arena, sx_pre_tokenizer *pre_tokenizer,
                                sx_error *error)
{
    component c = {json, path, NULL, arena, error};
    if (!json || json_is_null(json))
        return SX_OK;
    sx_status status = read_component(&c, 0, pre_tokenizer);
    if (status)
        sx_pre_tokenizer_clear(pre_tokenizer);
    else
        pre_tokenizer->only_bert = pre_tokenizer->count == 1 && pre_tokenizer->steps[0].kind == SX_PRE_TOKENIZER_BERT;
    return status;
}

void sx_pre_tokenizer_clear(sx_pre_tokenizer *pre_tokenizer)
{
    for (size_t i = 0; i < pre_tokenizer->count; i++)
        sx_regex_close(pre_tokenizer->steps[i].regex);
    free(pre_tokenizer->steps);
    *pre_tokenizer = (sx_pre_tokenizer){0};
}

void sx_pre_tokenizer_describe(const sx_pre_tokenizer *pre_tokenizer, sx_buffer *buffer)
{
    for (size_t i = 0; i < pre_tokenizer->count; i++) {
        const sx_pre_tokenizer_step *step = &pre_tokenizer->steps[i];
        const char *name = "Split"; /* however it is carried out */
        for (size_t type = 0; type < sizeof types / sizeof types[0]; type++)
            if (types[type].kind == step->kind)
                name = types[type].type;
        bool regex = step->kind == SX_PRE_TOKENIZER_SPLIT_REGEX || step->kind == SX_PRE_TOKENIZER_SPLIT_SCANNER;
        sx_buffer_printf(buffer, "pre-tokenizer %s behavior %d invert %d prefix %d regex %d split %d prepend %d length %zu "
                         "pattern %zu ", name, (int)step->behavior, step->invert, step->add_prefix_space,
                         step->use_regex || regex, step->split, (int)step->prepend, step->characters, step->pattern.length);
        sx_buffer_append(buffer, step->pattern.data, step->pattern.length);
        sx_buffer_append_byte(buffer, '\n');
    }
}
