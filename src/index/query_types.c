/* query_types.c - the kinds of questions, and the words of a query as each kind weighs them.
 *
 * The numbers stand where the figures of docs/quality.md are flat around them, on every set of that kind.
 */
#include "hybrid.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/memory.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 100, MOST_TERMS = 1000, CODE_DIGITS = 8, DIGEST_DIGITS = 12, TIME_SIGNS = 2 };

/* In standard scores. With so much for the innermost frame, the frames of a stack trace come in their order before what is only alike. */
#define TRACE_WEIGHT 8.0
#define KIND_WEIGHT 0.5

static const sx_query_type types[] = {
    {.name = "general", .semantic_weight = 0.55, .keyword_weight = 0.45, .depth = DEPTH, .whole_weight = 0, .pair_weight = 1,
     .head_weight = 1, .k1 = 1.2, .b = 0.75, .kind_weight = KIND_WEIGHT},
    {.name = "code_search", .semantic_weight = 0.87, .keyword_weight = 0.13, .depth = DEPTH, .whole_weight = 1, .pair_weight = 1,
     .head_weight = 1, .k1 = 1.2, .b = 0.75, .kind_weight = KIND_WEIGHT},
    {.name = "error_analysis", .semantic_weight = 0.5, .keyword_weight = 0.5, .depth = DEPTH, .whole_weight = 1, .pair_weight = 1,
     .head_weight = 1, .k1 = 1.2, .b = 0.75, .drops_noise = true, .trace_weight = TRACE_WEIGHT, .kind_weight = KIND_WEIGHT},
    {.name = "documentation", .semantic_weight = 0.9, .keyword_weight = 0.1, .depth = DEPTH, .whole_weight = 0,
     .pair_weight = 1, .head_weight = 1, .k1 = 1.2, .b = 0.75, .kind_weight = KIND_WEIGHT},
};

sx_status sx_query_type_find(const char *name, const sx_query_type **type, sx_error *error)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(name ? name : "general", types[i].name) == 0) {
            *type = &types[i];
            return SX_OK;
        }
    sx_status status = sx_fail(error, SX_E_INVALID, "query type %s: is not known", name);
    sx_hint(error, "there are general, code_search, error_analysis and documentation");
    return status;
}

sx_status sx_search_mode_find(const char *name, sx_search_mode *mode, sx_error *error)
{
    static const char *const names[] = {
        [SX_SEARCH_HYBRID] = "hybrid", [SX_SEARCH_SEMANTIC] = "semantic", [SX_SEARCH_KEYWORD] = "keyword"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name ? name : "hybrid", names[i]) == 0) {
            *mode = (sx_search_mode)i;
            return SX_OK;
        }
    sx_status status = sx_fail(error, SX_E_INVALID, "search mode %s: is not known", name);
    sx_hint(error, "there are hybrid, semantic and keyword");
    return status;
}

/* ---- Noise of error messages ---- */

static bool is_name_byte(unsigned char byte)
{
    return isalnum(byte) || byte == '_' || byte >= 0x80;
}

static size_t digits_at(const char *text, size_t length)
{
    size_t count = 0;
    while (count < length && isdigit((unsigned char)text[count]))
        count++;
    return count;
}

static size_t hex_at(const char *text, size_t length)
{
    size_t count = 0;
    while (count < length && isxdigit((unsigned char)text[count]))
        count++;
    return count;
}

/* Bytes of noise at the beginning of a name: an address (more digits than an error code has), a digest, a date or a time. */
static size_t noise_at(const char *text, size_t length)
{
    if (length > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        size_t digits = hex_at(text + 2, length - 2);
        return digits > CODE_DIGITS ? digits + 2 : 0;
    }
    size_t hex = hex_at(text, length), decimal = 0;
    for (size_t i = 0; i < hex; i++)
        decimal += isdigit((unsigned char)text[i]) != 0;
    if (hex >= DIGEST_DIGITS && decimal && (hex == length || !is_name_byte((unsigned char)text[hex])))
        return hex;
    size_t at = digits_at(text, length), signs = 0;
    while (at && at + 1 < length && strchr(":-/T", text[at]) && isdigit((unsigned char)text[at + 1])) {
        signs++;
        at += 1 + digits_at(text + at + 1, length - at - 1);
    }
    return signs >= TIME_SIGNS ? at : 0;
}

static bool follows(const char *text, size_t at, const char *word)
{
    size_t length = strlen(word);
    return at >= length && strncasecmp(text + at - length, word, length) == 0 &&
           (at == length || !is_name_byte((unsigned char)text[at - length - 1]));
}

/* Copies the text with noise made blank. A number behind "line" or behind a name and a colon is a place in a file that another
 * build has elsewhere. */
static bool drop_noise(sx_text text, sx_buffer *buffer)
{
    for (size_t at = 0; at < text.length;) {
        bool starts = at == 0 || !is_name_byte((unsigned char)text.data[at - 1]);
        size_t noise = starts ? noise_at(text.data + at, text.length - at) : 0;
        if (!noise && starts && isdigit((unsigned char)text.data[at]) &&
            (follows(text.data, at, "line ") || (at >= 2 && text.data[at - 1] == ':' && is_name_byte((unsigned char)text.data[at - 2]))))
            noise = digits_at(text.data + at, text.length - at);
        if (noise)
            sx_buffer_append_byte(buffer, ' ');
        else
            sx_buffer_append_byte(buffer, text.data[at]);
        at += noise ? noise : 1;
    }
    return !buffer->failed;
}

/* ---- Words ---- */

typedef struct term_list {
    const sx_query_type *type;
    sx_keyword_term *items;
    size_t count, capacity;
    bool failed;
} term_list;

static bool add_term(const char *word, size_t length, sx_word_kind kind, void *user)
{
    term_list *list = user;
    double weight = kind == SX_WORD_WHOLE ? list->type->whole_weight : kind == SX_WORD_PAIR ? list->type->pair_weight : 1;
    uint64_t hash = sx_keyword_hash(word, length, kind);
    if (weight <= 0)
        return true;
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].word == hash)
            return true;
    if (list->count == MOST_TERMS) /* a whole document as a query: its beginning says what it is about */
        return false;
    if (!sx_reserve((void **)&list->items, &list->capacity, list->count + 1, sizeof *list->items)) {
        list->failed = true;
        return false;
    }
    list->items[list->count++] = (sx_keyword_term){hash, weight};
    return true;
}

sx_status sx_query_terms(sx_text text, const sx_query_type *type, sx_keyword_term **terms, size_t *count, sx_error *error)
{
    term_list list = {.type = type};
    sx_buffer clean = {0};
    *terms = NULL;
    *count = 0;
    if (type->drops_noise) {
        list.failed = !drop_noise(text, &clean);
        text = (sx_text){clean.data, clean.length};
    }
    if (!list.failed)
        (void)sx_words_split(text.data, text.length, add_term, &list);
    sx_buffer_clear(&clean);
    if (list.failed) {
        free(list.items);
        return sx_fail_nomem(error, text.length);
    }
    *terms = list.items;
    *count = list.count;
    return SX_OK;
}
