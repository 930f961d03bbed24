/* filter_expression.c - a recursive-descent parser for filters.
 *
 * Depth, conditions and values are limited, so that neither the parser's stack nor the time for a document depends on who wrote the
 * filter. */
#include "filter_internal.h"

#include "../base/error.h"
#include "../base/json_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_DEPTH = 64, MOST_CONDITIONS = 1000, MOST_VALUES = 10000, MOST_BYTES = 1 << 20 };

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

void sx_filter_note_number(filter_value *value)
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
    sx_filter_note_number(value);
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

static const struct {
    const char *name;
    filter_key asks;
    unsigned needs;
} own_keys[] = {
    {"document", KEY_DOCUMENT, SX_FILTER_DOCUMENT},
    {"root", KEY_ROOT, SX_FILTER_ROOT},
    {"date", KEY_DATE, SX_FILTER_METADATA | SX_FILTER_MODIFIED},
    {"path", KEY_PATH, SX_FILTER_METADATA | SX_FILTER_DOCUMENT},
    {"file", KEY_FILE, SX_FILTER_METADATA | SX_FILTER_DOCUMENT},
    {"page", KEY_PAGE, SX_FILTER_METADATA | SX_FILTER_RANGE},
    {"line", KEY_LINE, SX_FILTER_METADATA | SX_FILTER_RANGE},
    {"heading", KEY_HEADING, SX_FILTER_METADATA | SX_FILTER_HEADINGS},
    {"symbol", KEY_SYMBOL, SX_FILTER_METADATA | SX_FILTER_SYMBOLS},
    {"kind", KEY_KIND, SX_FILTER_METADATA | SX_FILTER_SYMBOLS},
};

static unsigned know_key(filter_node *node)
{
    for (size_t i = 0; i < sizeof own_keys / sizeof *own_keys; i++)
        if (sx_text_is(node->key, own_keys[i].name)) {
            node->asks = own_keys[i].asks;
            return own_keys[i].needs;
        }
    node->asks = KEY_METADATA;
    return SX_FILTER_METADATA;
}

/* Names have no stars in them, so that symbol=parse_* needs no other operator. */
static void note_patterns(filter_node *node)
{
    for (size_t i = 0; node->asks == KEY_SYMBOL && i < node->count; i++)
        node->values[i].is_pattern = node->values[i].text.length && memchr(node->values[i].text.data, '*', node->values[i].text.length);
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
    reader->filter->needs |= know_key(node);
    *out = node;
    if (list) {
        status = take_list(reader, node);
        note_patterns(node);
        return status;
    }
    node->values = sx_arena_alloc(&reader->filter->arena, sizeof *node->values);
    if (!node->values)
        return sx_fail_nomem(reader->error, sizeof *node->values);
    node->count = 1;
    status = take_value(reader, false, &node->values[0]);
    note_patterns(node);
    return status;
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
    sx_buffer_clear(&filter->pages);
    sx_buffer_clear(&filter->lines);
    free(filter);
}

unsigned sx_filter_needs(const sx_filter *filter)
{
    return filter->needs;
}
