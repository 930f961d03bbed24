/* chunk_header_template.c - headers made of a template or of parts, and what they may cost.
 *
 * A template is text with names in braces: "[{project}][{module}]". What is not known leaves nothing behind, nor do brackets
 * around nothing. docs/code.md lists the names. */
#include "chunk_internal.h"

#include "../base/error.h"
#include "../base/file.h"

#include <string.h>

/* A header longer than this is no context but a text of its own, whatever the budget. */
enum { HEADER_BYTES = 4096, NAME_BYTES = 64 };

/* ---- What a header may cost ---- */

sx_status sx_header_measure(sx_chunker *chunker, const char *text, size_t length, size_t *tokens, bool *is_short)
{
    const sx_token_counter *counter = chunker->counter;
    *tokens = counter && length ? counter->count(counter->user, text, length, NULL, 0) : 0;
    if (*tokens == SIZE_MAX)
        return sx_fail(chunker->error, SX_E_NOMEM, "counting the tokens of a header of %zu bytes failed", length);
    *is_short = chunker->token_budget == SIZE_MAX || *tokens <= chunker->token_budget / sx_chunk_tuned.header_share;
    if (!*is_short || chunker->unit_budget == SIZE_MAX)
        return SX_OK;
    size_t characters = 0;
    for (size_t i = 0; i < length; i++)
        characters += ((unsigned char)text[i] & 0xc0) != 0x80;
    *is_short = characters <= chunker->unit_budget / sx_chunk_tuned.header_share;
    return SX_OK;
}

static sx_status keep_header(sx_chunker *chunker, size_t length, size_t tokens, sx_header *header)
{
    header->text = sx_arena_strndup(&chunker->list->arena, chunker->scratch.data, length);
    header->length = length;
    header->tokens = tokens;
    return header->text ? SX_OK : sx_fail_nomem(chunker->error, length);
}

sx_status sx_header_join(sx_chunker *chunker, const char *const *parts, size_t count, sx_header *header)
{
    sx_buffer *scratch = &chunker->scratch;
    size_t first = count, bytes = 0;
    while (first > 0 && bytes + strlen(parts[first - 1]) + 3 <= HEADER_BYTES)
        bytes += strlen(parts[--first]) + 3;
    header->text = "";
    header->length = header->tokens = 0;
    for (; first < count; first++) {
        sx_buffer_reset(scratch);
        for (size_t i = first; i < count; i++) {
            sx_buffer_append_string(scratch, i > first ? " > " : "");
            sx_buffer_append_string(scratch, parts[i]);
        }
        if (scratch->failed)
            return sx_fail_nomem(chunker->error, bytes);
        size_t tokens;
        bool is_short;
        sx_status status = sx_header_measure(chunker, scratch->data, scratch->length, &tokens, &is_short);
        if (status != SX_OK)
            return status;
        if (is_short)
            return keep_header(chunker, scratch->length, tokens, header);
    }
    return SX_OK;
}

/* ---- Templates ---- */

/* The name between the braces that open at text; its length, or 0 when this is no name in braces. */
static size_t name_at(const char *text)
{
    size_t length = strspn(text + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.");
    return text[0] == '{' && length && length < NAME_BYTES && text[1 + length] == '}' ? length : 0;
}

sx_status sx_header_template_check(const char *text, sx_error *error)
{
    if (strlen(text) >= SX_HEADER_TEMPLATE)
        return sx_fail(error, SX_E_INVALID, "header template: %zu bytes, at most %d are taken", strlen(text),
                       SX_HEADER_TEMPLATE - 1);
    bool any = strcmp(text, "tags") == 0;
    for (const char *at = text; *at; at++) {
        size_t length = *at == '{' ? name_at(at) : 0;
        if ((*at == '{' && !length) || *at == '}')
            return sx_fail(error, SX_E_INVALID, "header template \"%.60s\": a brace at %zu without a name in it", text,
                           (size_t)(at - text));
        any = any || length;
        at += length ? length + 1 : 0;
    }
    if (any)
        return SX_OK;
    sx_fail(error, SX_E_INVALID, "header template \"%.60s\": it has no name in braces, so all headers were alike", text);
    sx_hint(error, "a template is \"tags\" or like \"[{project}][{module}] {symbol}\"");
    return SX_E_INVALID;
}

typedef enum letter_case { AS_IT_IS, FIRST_UPPER, ALL_UPPER } letter_case;

static char upper(char letter)
{
    return letter >= 'a' && letter <= 'z' ? (char)(letter - 'a' + 'A') : letter;
}

static void append(sx_buffer *to, const char *value, letter_case how)
{
    for (size_t i = 0; value && value[i]; i++) {
        char byte = how == ALL_UPPER || (how == FIRST_UPPER && i == 0) ? upper(value[i]) : value[i];
        sx_buffer_append_byte(to, (unsigned char)byte < ' ' ? ' ' : byte);
    }
}

/* A path without its last extension; as a module's name with dots for slashes. */
static void append_module(sx_buffer *to, const char *path)
{
    const char *name = sx_path_name(path), *dot = strrchr(name, '.');
    size_t length = dot && dot != name ? (size_t)(dot - path) : strlen(path);
    for (size_t i = 0; i < length; i++)
        sx_buffer_append_byte(to, path[i] == '/' ? '.' : path[i]);
}

/* "Function" for what can be called, "Class" for types that have members: the words of the seed's headers. */
static const char *form_of(const char *kind)
{
    static const char *const called[] = {"function", "method", "procedure", "macro"};
    for (size_t i = 0; i < sizeof called / sizeof *called; i++)
        if (strcmp(kind, called[i]) == 0)
            return "function";
    return kind;
}

static void append_value(const sx_chunker *chunker, const sx_header_facts *facts, const char *name, sx_buffer *to)
{
    const sx_chunk_context *context = chunker->context;
    const char *path = context->path ? context->path : "";
    const char *language = chunker->document->language ? chunker->document->language : "";
    const struct {
        const char *name, *value;
        letter_case how;
    } values[] = {
        {"language", language, AS_IT_IS},         {"Language", sx_code_label(language), AS_IT_IS},
        {"LANGUAGE", language, ALL_UPPER},        {"kind", facts->kind, AS_IT_IS},
        {"Kind", form_of(facts->kind), FIRST_UPPER}, {"name", facts->name, AS_IT_IS},
        {"scope", facts->scope, AS_IT_IS},        {"symbol", facts->symbol, AS_IT_IS},
        {"signature", facts->signature, AS_IT_IS}, {"heading", facts->heading, AS_IT_IS},
        {"headings", facts->headings, AS_IT_IS},  {"title", chunker->document->title, AS_IT_IS},
        {"path", path, AS_IT_IS},                 {"file", sx_path_name(path), AS_IT_IS},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (strcmp(values[i].name, name) == 0) {
            append(to, values[i].value, values[i].how);
            return;
        }
    }
    const char *own = context->value ? context->value(context->user, name) : NULL;
    if (own)
        append(to, own, AS_IT_IS);
    else if (strcmp(name, "project") == 0)
        append(to, context->project, AS_IT_IS);
    else if (strcmp(name, "module") == 0)
        append_module(to, path);
}

/* Takes out brackets around nothing, and what joined words that are not there: blanks, colons and the like at both ends. */
static size_t tidy(char *text, size_t length)
{
    static const char joints[] = " \t:>|,-/.";
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        char open = text[i] == ']' ? '[' : text[i] == ')' ? '(' : '\0';
        if (open && used && text[used - 1] == open)
            used--;
        else if (!(text[i] == ' ' && (!used || text[used - 1] == ' ')))
            text[used++] = text[i];
    }
    size_t from = strspn(text, joints) < used ? strspn(text, joints) : used;
    while (used > from && strchr(joints, text[used - 1]) && !(text[used - 1] == '>' && used > 1 && text[used - 2] != ' '))
        used--; /* List<int> ends with its own */
    memmove(text, text + from, used - from);
    return used - from;
}

sx_status sx_header_fill(sx_chunker *chunker, const sx_header_facts *facts, sx_header *header)
{
    sx_buffer *scratch = &chunker->scratch;
    sx_buffer_reset(scratch);
    for (const char *at = chunker->plan->header_template; *at; at++) {
        size_t length = name_at(at);
        if (!length) {
            sx_buffer_append_byte(scratch, *at);
            continue;
        }
        char name[NAME_BYTES];
        memcpy(name, at + 1, length);
        name[length] = '\0';
        append_value(chunker, facts, name, scratch);
        at += length + 1;
    }
    if (scratch->failed)
        return sx_fail_nomem(chunker->error, HEADER_BYTES);
    header->text = "";
    header->length = header->tokens = 0;
    size_t length = scratch->length ? tidy(scratch->data, scratch->length) : 0;
    length = length < HEADER_BYTES ? length : HEADER_BYTES;
    while (length) {
        length = sx_code_point_start(scratch->data, 0, scratch->length, length);
        size_t tokens;
        bool is_short;
        sx_status status = sx_header_measure(chunker, scratch->data, length, &tokens, &is_short);
        if (status != SX_OK)
            return status;
        if (is_short)
            return keep_header(chunker, length, tokens, header);
        length = length * 3 / 4;
    }
    return SX_OK;
}
