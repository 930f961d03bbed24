/* filter_expression.c - a recursive-descent parser for filters, and the evaluation of what it made.
 *
 * A filter is evaluated here, on a document's row, rather than turned into SQL: SQLite's json_each takes ten times as long as our own
 * reader, and nothing that a user wrote ever becomes part of a statement. Depth, conditions and values are limited, so that neither the
 * parser's stack nor the time for a document depends on who wrote the filter. */
#include "filter_expression.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/json_reader.h"
#include "../base/memory.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { MOST_DEPTH = 64, MOST_CONDITIONS = 1000, MOST_VALUES = 10000, MOST_BYTES = 1 << 20 };

typedef enum filter_kind { KIND_CONDITION, KIND_AND, KIND_OR, KIND_NOT } filter_kind;
typedef enum filter_test { TEST_EQUAL, TEST_LESS, TEST_AT_MOST, TEST_MORE, TEST_AT_LEAST, TEST_PREFIX, TEST_GLOB } filter_test;

typedef struct filter_value {
    sx_text text;
    double number;
    bool is_number;
} filter_value;

typedef struct filter_node filter_node;
struct filter_node {
    filter_kind kind;
    filter_node *child, *next; /* of AND, OR, NOT: the first one; each child's follower */
    /* of a condition */
    filter_test test;
    bool opposite;             /* !=, !~, not in: holds exactly when the test does not */
    unsigned needs;
    sx_text key;
    filter_value *values;      /* one of them must pass */
    size_t count;
};

struct sx_filter {
    sx_arena arena;
    filter_node *root;
    unsigned needs;
};

/* ---- Reading ---- */

typedef struct filter_reader {
    const char *text;
    size_t at;
    unsigned depth, groups;    /* groups: open parentheses, without those of a list */
    size_t conditions, values;
    sx_filter *filter;
    sx_error *error;
} filter_reader;

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static size_t skip_space(const char *text, size_t at)
{
    while (is_space(text[at]))
        at++;
    return at;
}

/* As many bytes as are shown, without half a character at the end. */
static int shown(const char *text, size_t most)
{
    size_t length = strnlen(text, most + 1);
    if (length <= most)
        return (int)length;
    length = most;
    while (length && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    return (int)length;
}

static sx_status fail_at(filter_reader *reader, size_t place, const char *what)
{
    const char *text = reader->text, *rest = text + place;
    size_t column = 1; /* in characters */
    for (size_t i = 0; i < place; i++)
        column += ((unsigned char)text[i] & 0xc0) != 0x80;
    if (*rest)
        sx_fail(reader->error, SX_E_INVALID, "filter \"%.*s%s\": column %zu, at \"%.*s\": %s", shown(text, 200), text,
                strlen(text) > 200 ? "..." : "", column, shown(rest, 30), rest, what);
    else
        sx_fail(reader->error, SX_E_INVALID, "filter \"%.*s%s\": at its end: %s", shown(text, 200), text,
                strlen(text) > 200 ? "..." : "", what);
    sx_hint(reader->error, "for example language=python and year>=2020, or document^=src/; see docs/searching.md");
    return SX_E_INVALID;
}

static sx_status fail_limit(filter_reader *reader, const char *what, size_t most)
{
    return sx_fail(reader->error, SX_E_LIMIT, "filter: more than %zu %s", most, what);
}

/* Bytes of the keyword when it stands at a place as a word of its own, in lower or upper case; else 0. */
static size_t keyword(const char *text, size_t at, const char *word)
{
    size_t length = strlen(word);
    if (strncasecmp(text + at, word, length) != 0)
        return 0;
    char after = text[at + length];
    return is_space(after) || after == '(' || after == '\0' ? length : 0;
}

/* Bytes of the operator at a place, or 0. */
static size_t operator_at(const char *text, size_t at, filter_test *test, bool *opposite)
{
    static const struct {
        const char *sign;
        filter_test test;
        bool opposite;
    } operators[] = {
        {"!=", TEST_EQUAL, true}, {"!~", TEST_GLOB, true},    {"<=", TEST_AT_MOST, false}, {">=", TEST_AT_LEAST, false},
        {"^=", TEST_PREFIX, false}, {"=", TEST_EQUAL, false}, {"<", TEST_LESS, false},     {">", TEST_MORE, false},
        {"~", TEST_GLOB, false},
    };
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        size_t length = strlen(operators[i].sign);
        if (strncmp(text + at, operators[i].sign, length) == 0) {
            *test = operators[i].test;
            *opposite = operators[i].opposite;
            return length;
        }
    }
    return 0;
}

/* Bytes of "in", "not in" before a list or of "prefix", at a place behind white space; else 0. */
static size_t word_operator_at(const char *text, size_t at, bool *list, bool *opposite)
{
    size_t length = keyword(text, at, "not"), from = at;
    *opposite = length > 0 && is_space(text[at + length]);
    if (*opposite)
        from = skip_space(text, at + length);
    length = keyword(text, from, "in");
    *list = length && text[skip_space(text, from + length)] == '(';
    if (*list)
        return from + length - at;
    *opposite = false;
    length = keyword(text, at, "prefix");
    return length && is_space(text[at + length]) ? length : 0;
}

/* Whether what follows reads like a condition: [not] [(] key operator. Else "and" is a word of the value before it. */
static bool is_condition_at(const char *text, size_t at)
{
    filter_test test;
    bool list, opposite;
    for (size_t word; (at = skip_space(text, at)), text[at] == '(' || (word = keyword(text, at, "not"));)
        at += text[at] == '(' ? 1 : word;
    if (text[at] == '"' || text[at] == '\'') {
        char quote = text[at++];
        while (text[at] && text[at] != quote)
            at += text[at] == '\\' && text[at + 1] ? 2 : 1;
        at += text[at] == quote;
    } else {
        size_t from = at;
        while (text[at] && !is_space(text[at]) && !strchr("(),\"'", text[at]) && !operator_at(text, at, &test, &opposite))
            at++;
        if (at == from)
            return false;
    }
    bool spaced = is_space(text[at]);
    at = skip_space(text, at);
    return operator_at(text, at, &test, &opposite) || (spaced && word_operator_at(text, at, &list, &opposite));
}

static sx_status take_quoted(filter_reader *reader, sx_text *out)
{
    const char *text = reader->text;
    size_t from = reader->at, length = 0;
    char quote = text[from];
    char *copy = sx_arena_strndup(&reader->filter->arena, text + from, strlen(text + from));
    if (!copy)
        return sx_fail_nomem(reader->error, strlen(text));
    size_t at = from + 1;
    while (text[at] && text[at] != quote) {
        at += text[at] == '\\' && text[at + 1];
        copy[length++] = text[at++];
    }
    if (!text[at])
        return fail_at(reader, from, "this quote is never closed");
    reader->at = at + 1;
    *out = (sx_text){copy, length};
    return SX_OK;
}

/* A key up to its operator, which is left to be read. */
static sx_status take_key(filter_reader *reader, sx_text *out)
{
    const char *text = reader->text;
    filter_test test;
    bool list, opposite;
    size_t from = reader->at, at = from;
    if (text[at] == '"' || text[at] == '\'')
        return take_quoted(reader, out);
    while (text[at] && text[at] != '(' && text[at] != ')' && !operator_at(text, at, &test, &opposite) &&
           !(at > from && is_space(text[at - 1]) && word_operator_at(text, at, &list, &opposite)))
        at++;
    reader->at = at;
    while (at > from && is_space(text[at - 1]))
        at--;
    *out = (sx_text){text + from, at - from};
    return at > from ? SX_OK : fail_at(reader, from, "a condition is expected here, like key=value");
}

static size_t unquoted_end(const filter_reader *reader, size_t at, bool in_list)
{
    const char *text = reader->text;
    size_t begin = at, open = 0;
    for (; text[at]; at++) {
        if (text[at] == '(')
            open++;
        else if (text[at] == ')' && open)
            open--;
        else if (text[at] == ')' && (in_list || reader->groups))
            return at;
        else if (text[at] == ',' && in_list && !open)
            return at;
        if (in_list || !(at == begin || is_space(text[at - 1]) || text[at - 1] == ')'))
            continue;
        size_t word = keyword(text, at, "and");
        word = word ? word : keyword(text, at, "or");
        if (word && is_condition_at(text, at + word))
            return at;
    }
    return at;
}

static void note_number(filter_value *value)
{
    char copy[64], *end;
    size_t length = value->text.length;
    if (!length || length >= sizeof copy || strspn(value->text.data, "+-.0123456789eE") < length)
        return;
    memcpy(copy, value->text.data, length);
    copy[length] = '\0';
    errno = 0;
    value->number = strtod(copy, &end);
    value->is_number = *end == '\0' && errno == 0;
}

static sx_status take_value(filter_reader *reader, bool in_list, filter_value *value)
{
    const char *text = reader->text;
    reader->at = skip_space(text, reader->at);
    if (++reader->values > MOST_VALUES)
        return fail_limit(reader, "values", MOST_VALUES);
    if (text[reader->at] == '"' || text[reader->at] == '\'') {
        sx_status status = take_quoted(reader, &value->text);
        if (status)
            return status;
    } else {
        size_t from = reader->at, to = unquoted_end(reader, from, in_list);
        reader->at = to;
        while (text[to] && to > from && is_space(text[to - 1]))
            to--;
        value->text = (sx_text){text + from, to - from};
    }
    note_number(value);
    return SX_OK;
}

static sx_status take_list(filter_reader *reader, filter_node *node)
{
    const char *text = reader->text;
    size_t capacity = 0;
    reader->at = skip_space(text, reader->at) + 1;
    for (;;) {
        if (node->count == capacity) {
            size_t grown = capacity ? capacity * 2 : 4;
            filter_value *values = sx_arena_alloc(&reader->filter->arena, grown * sizeof *values);
            if (!values)
                return sx_fail_nomem(reader->error, grown * sizeof *values);
            if (capacity)
                memcpy(values, node->values, capacity * sizeof *values);
            node->values = values;
            capacity = grown;
        }
        size_t place = reader->at;
        sx_status status = take_value(reader, true, &node->values[node->count]);
        if (status)
            return status;
        reader->at = skip_space(text, reader->at);
        char next = text[reader->at];
        if (!node->values[node->count].text.length && text[skip_space(text, place)] == next)
            return fail_at(reader, reader->at, "a value is expected here");
        node->count++;
        if (next != ',' && next != ')')
            return fail_at(reader, reader->at, next ? "a comma or ) is expected here" : "the list is not closed with )");
        reader->at++;
        if (next == ')')
            return SX_OK;
    }
}

static bool key_is(const filter_node *node, const char *name)
{
    return sx_text_is(node->key, name);
}

static sx_status new_node(filter_reader *reader, filter_kind kind, filter_node **out)
{
    *out = sx_arena_alloc(&reader->filter->arena, sizeof **out);
    if (!*out)
        return sx_fail_nomem(reader->error, sizeof **out);
    (*out)->kind = kind;
    return SX_OK;
}

static sx_status take_condition(filter_reader *reader, filter_node **out)
{
    filter_node *node;
    bool list = false;
    size_t place = reader->at;
    sx_status status = new_node(reader, KIND_CONDITION, &node);
    if (!status && ++reader->conditions > MOST_CONDITIONS)
        status = fail_limit(reader, "conditions", MOST_CONDITIONS);
    if (!status)
        status = take_key(reader, &node->key);
    if (status)
        return status;
    if (!node->key.length)
        return fail_at(reader, place, "the key is empty");
    reader->at = skip_space(reader->text, reader->at);
    size_t length = operator_at(reader->text, reader->at, &node->test, &node->opposite);
    if (!length) {
        length = word_operator_at(reader->text, reader->at, &list, &node->opposite);
        node->test = list ? TEST_EQUAL : TEST_PREFIX;
    }
    if (!length)
        return fail_at(reader, reader->at, "one of = != < <= > >= ^= ~ !~ in is expected here");
    reader->at += length;
    node->needs = key_is(node, "document") ? SX_FILTER_DOCUMENT
                  : key_is(node, "root")   ? SX_FILTER_ROOT
                  : key_is(node, "date")   ? SX_FILTER_METADATA | SX_FILTER_MODIFIED
                                           : SX_FILTER_METADATA;
    reader->filter->needs |= node->needs;
    *out = node;
    if (list)
        return take_list(reader, node);
    node->values = sx_arena_alloc(&reader->filter->arena, sizeof *node->values);
    if (!node->values)
        return sx_fail_nomem(reader->error, sizeof *node->values);
    node->count = 1;
    return take_value(reader, false, &node->values[0]);
}

static sx_status take_chain(filter_reader *reader, filter_kind kind, filter_node **out);

/* not one, ( expression ), or a condition. */
static sx_status take_one(filter_reader *reader, filter_node **out)
{
    const char *text = reader->text;
    reader->at = skip_space(text, reader->at);
    size_t place = reader->at, word = keyword(text, place, "not");
    bool negated = word && is_condition_at(text, place + word);
    if (!negated && text[place] != '(')
        return take_condition(reader, out);
    if (++reader->depth > MOST_DEPTH)
        return fail_limit(reader, "levels of parentheses and not", MOST_DEPTH);
    sx_status status;
    if (negated) {
        reader->at += word;
        status = new_node(reader, KIND_NOT, out);
        if (!status)
            status = take_one(reader, &(*out)->child);
    } else {
        reader->at++;
        reader->groups++;
        status = take_chain(reader, KIND_OR, out);
        reader->groups--;
        reader->at = skip_space(text, reader->at);
        if (!status && text[reader->at] != ')')
            return fail_at(reader, text[reader->at] ? reader->at : place,
                           text[reader->at] ? "and, or or ) is expected here" : "this parenthesis is never closed");
        reader->at++;
    }
    reader->depth--;
    return status;
}

/* Conditions joined with "or", each of which is some joined with "and". */
static sx_status take_chain(filter_reader *reader, filter_kind kind, filter_node **out)
{
    filter_node *chain = NULL, **tail = out;
    for (;;) {
        sx_status status = kind == KIND_OR ? take_chain(reader, KIND_AND, tail) : take_one(reader, tail);
        if (status)
            return status;
        reader->at = skip_space(reader->text, reader->at);
        size_t word = keyword(reader->text, reader->at, kind == KIND_OR ? "or" : "and");
        if (!word)
            return SX_OK;
        reader->at += word;
        if (!chain) {
            status = new_node(reader, kind, &chain);
            if (status)
                return status;
            chain->child = *out;
            *out = chain;
            tail = &chain->child->next;
        } else {
            tail = &(*tail)->next;
        }
    }
}

sx_status sx_filter_parse(const char *text, sx_filter **out, sx_error *error)
{
    *out = NULL;
    if (!text)
        return sx_fail(error, SX_E_INVALID, "filter: is NULL");
    if (strlen(text) > MOST_BYTES)
        return sx_fail(error, SX_E_LIMIT, "filter: %zu bytes, more than %d", strlen(text), MOST_BYTES);
    sx_filter *filter = sx_calloc(1, sizeof *filter);
    if (!filter)
        return sx_fail_nomem(error, sizeof *filter);
    char *copy = sx_arena_strndup(&filter->arena, text, strlen(text));
    filter_reader reader = {.text = copy, .filter = filter, .error = error};
    sx_status status = copy ? take_chain(&reader, KIND_OR, &filter->root) : sx_fail_nomem(error, strlen(text));
    if (!status && copy[reader.at])
        status = fail_at(&reader, reader.at, copy[reader.at] == ')' ? "no parenthesis is open here" : "and or or is expected here");
    if (status)
        sx_filter_close(filter);
    else
        *out = filter;
    return status;
}

void sx_filter_close(sx_filter *filter)
{
    if (!filter)
        return;
    sx_arena_clear(&filter->arena);
    free(filter);
}

unsigned sx_filter_needs(const sx_filter *filter)
{
    return filter->needs;
}

/* ---- Evaluation ---- */

static int compare_texts(sx_text a, sx_text b)
{
    size_t least = a.length < b.length ? a.length : b.length;
    int order = least ? memcmp(a.data, b.data, least) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

/* * stands for any characters, / too; ? for one. One star is tried at a time, which is enough, so it takes |pattern| * |text|. */
static bool glob_matches(sx_text pattern, sx_text text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, resume = 0;
    while (t < text.length) {
        if (p < pattern.length && pattern.data[p] == '*') {
            star = ++p;
            resume = t;
        } else if (p < pattern.length && pattern.data[p] == '?') {
            p++;
            t++;
            while (t < text.length && ((unsigned char)text.data[t] & 0xc0) == 0x80)
                t++;
        } else if (p < pattern.length && pattern.data[p] == text.data[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.length && pattern.data[p] == '*')
        p++;
    return p == pattern.length;
}

/* Numbers compare as numbers when both are some, all else as text: so 9 < 10, and 2024-02-01 < 2024-11. */
static bool value_passes(filter_test test, const filter_value *actual, const filter_value *wanted)
{
    if (test == TEST_EQUAL)
        return compare_texts(actual->text, wanted->text) == 0;
    if (test == TEST_GLOB)
        return glob_matches(wanted->text, actual->text);
    if (test == TEST_PREFIX)
        return actual->text.length >= wanted->text.length &&
               (!wanted->text.length || memcmp(actual->text.data, wanted->text.data, wanted->text.length) == 0);
    int order = actual->is_number && wanted->is_number
                    ? (actual->number > wanted->number) - (actual->number < wanted->number)
                    : compare_texts(actual->text, wanted->text);
    switch (test) {
    case TEST_LESS: return order < 0;
    case TEST_AT_MOST: return order <= 0;
    case TEST_MORE: return order > 0;
    default: return order >= 0;
    }
}

static bool text_passes(const filter_node *node, filter_value *actual)
{
    if (node->test >= TEST_LESS && node->test <= TEST_AT_LEAST)
        note_number(actual);
    for (size_t i = 0; i < node->count; i++)
        if (value_passes(node->test, actual, &node->values[i]))
            return true;
    return false;
}

/* Numbers read as SQLite prints them: whole ones as they are, others with 15 digits. */
static bool print_number(sx_text raw, char printed[64], sx_text *text)
{
    char copy[64];
    if (raw.length >= sizeof copy)
        return false;
    memcpy(copy, raw.data, raw.length);
    copy[raw.length] = '\0';
    errno = 0;
    long long whole = strtoll(copy, NULL, 10);
    if (errno || strpbrk(copy, ".eE"))
        sqlite3_snprintf(64, printed, "%!.15g", strtod(copy, NULL));
    else
        sqlite3_snprintf(64, printed, "%lld", whole);
    *text = (sx_text){printed, strlen(printed)};
    return true;
}

/* Reads the next value; whether it is a scalar that passes. */
static bool scalar_passes(const filter_node *node, sx_json *json, sx_buffer *buffer)
{
    filter_value actual = {0};
    char printed[64];
    sx_text raw;
    bool truth, read;
    switch (sx_json_peek(json)) {
    case SX_JSON_STRING:
        read = sx_json_string(json, buffer, &actual.text);
        break;
    case SX_JSON_NUMBER:
        read = sx_json_raw(json, &raw) && print_number(raw, printed, &actual.text);
        break;
    case SX_JSON_BOOLEAN:
        read = sx_json_boolean(json, &truth);
        actual.text = read && truth ? (sx_text){"true", 4} : (sx_text){"false", 5};
        break;
    case SX_JSON_NULL:
        read = sx_json_null(json);
        actual.text = (sx_text){"null", 4};
        break;
    default:
        (void)sx_json_skip(json);
        return false;
    }
    return read && text_passes(node, &actual);
}

static bool member_passes(const filter_node *node, sx_json *json, sx_buffer *buffer)
{
    if (sx_json_peek(json) != SX_JSON_ARRAY)
        return scalar_passes(node, json, buffer);
    bool found = false;
    (void)sx_json_array(json);
    while (sx_json_element(json))
        found = scalar_passes(node, json, buffer) || found;
    return found;
}

/* Whether text without escapes cannot have this member: then names and values stand in it as they are, but for numbers. */
static bool surely_lacks(sx_text metadata, sx_text text)
{
    return text.length && !memchr(metadata.data, '\\', metadata.length) &&
           !memmem(metadata.data, metadata.length, text.data, text.length);
}

static bool surely_not(const filter_node *node, sx_text metadata)
{
    if (surely_lacks(metadata, node->key))
        return true;
    if (node->test != TEST_EQUAL || node->count != 1 || node->needs & SX_FILTER_MODIFIED)
        return false;
    sx_text value = node->values[0].text;
    bool may_be_number = value.length && strchr("0123456789-.IN", value.data[0]);
    return !may_be_number && surely_lacks(metadata, value);
}

static bool metadata_passes(const filter_node *node, sx_text metadata, bool *there, bool *damaged)
{
    bool found = false;
    sx_buffer buffer = {0};
    sx_json json;
    sx_text name;
    *there = false;
    if (!metadata.data || surely_not(node, metadata))
        return false;
    sx_json_begin(&json, metadata.data, metadata.length, "metadata");
    (void)sx_json_object(&json);
    while (sx_json_member(&json, &buffer, &name)) {
        if (compare_texts(name, node->key) == 0) {
            *there = true;
            found = member_passes(node, &json, &buffer) || found;
        } else {
            (void)sx_json_skip(&json);
        }
    }
    (void)sx_json_end(&json);
    *damaged = *damaged || json.problem;
    sx_buffer_clear(&buffer);
    return found;
}

/* The day a file was changed, in UTC, where its metadata has no date. */
static bool day_passes(const filter_node *node, int64_t modified_ns)
{
    char day[32];
    time_t seconds = (time_t)(modified_ns / 1000000000);
    struct tm parts;
    if (!gmtime_r(&seconds, &parts) || !strftime(day, sizeof day, "%Y-%m-%d", &parts))
        return false;
    filter_value actual = {.text = {day, strlen(day)}};
    return text_passes(node, &actual);
}

static bool condition_holds(const filter_node *node, const sx_filter_subject *subject, bool *damaged)
{
    bool there, passes;
    filter_value actual = {.text = node->needs == SX_FILTER_ROOT ? subject->root : subject->document};
    if (node->needs & SX_FILTER_METADATA) {
        passes = metadata_passes(node, subject->metadata, &there, damaged);
        if (!there && node->needs & SX_FILTER_MODIFIED)
            passes = day_passes(node, subject->modified_ns);
    } else {
        passes = text_passes(node, &actual);
    }
    return passes != node->opposite;
}

static bool node_holds(const filter_node *node, const sx_filter_subject *subject, bool *damaged)
{
    if (node->kind == KIND_CONDITION)
        return condition_holds(node, subject, damaged);
    if (node->kind == KIND_NOT)
        return !node_holds(node->child, subject, damaged);
    for (const filter_node *child = node->child; child; child = child->next)
        if (node_holds(child, subject, damaged) != (node->kind == KIND_AND))
            return node->kind == KIND_OR;
    return node->kind == KIND_AND;
}

bool sx_filter_holds(const sx_filter *filter, const sx_filter_subject *subject, bool *damaged)
{
    return node_holds(filter->root, subject, damaged);
}
