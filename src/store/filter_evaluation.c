/* filter_evaluation.c - whether a filter holds for a document or one of its chunks.
 *
 * A filter is evaluated here, on rows, rather than turned into SQL: SQLite's json_each takes ten times as long as our own reader, and
 * nothing that a user wrote ever becomes part of a statement. Where the chunk is not known yet, logic with three values (Kleene 1938)
 * tells whether the document can be passed over as a whole. */
#include "filter_internal.h"
#include "place_words.h"
#include "store_places.h"

#include "../base/json_reader.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_NUMBERS = 10000 };

/* ---- Values ---- */

static int compare_texts(sx_text a, sx_text b)
{
    size_t least = a.length < b.length ? a.length : b.length;
    int order = least ? memcmp(a.data, b.data, least) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

/* * stands for any characters, / too; ? for one, where it is no letter (names in Ruby may end with it). One star is tried at a time, which
 * is enough, so it takes |pattern| * |text|. */
static bool glob_matches(sx_text pattern, sx_text text, bool letter)
{
    size_t p = 0, t = 0, star = SIZE_MAX, resume = 0;
    while (t < text.length) {
        if (p < pattern.length && pattern.data[p] == '*') {
            star = ++p;
            resume = t;
        } else if (p < pattern.length && pattern.data[p] == '?' && !letter) {
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
    if (test == TEST_EQUAL && !wanted->is_pattern)
        return compare_texts(actual->text, wanted->text) == 0;
    if (test == TEST_EQUAL)
        return glob_matches(wanted->text, actual->text, true);
    if (test == TEST_GLOB)
        return glob_matches(wanted->text, actual->text, false);
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
        sx_filter_note_number(actual);
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
    if (node->test != TEST_EQUAL || node->count != 1 || node->asks != KEY_METADATA)
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

/* ---- Chunks ---- */

static bool names_in(const filter_node *node, sx_text text)
{
    filter_value actual = {.text = text};
    return text_passes(node, &actual);
}

/* A name with its scope, or any end of it that begins behind a dot: Account.login is login too. */
static bool symbol_passes(const filter_node *node, sx_text name)
{
    for (size_t at = 0; at < name.length;) {
        if (names_in(node, (sx_text){name.data + at, name.length - at}))
            return true;
        const char *dot = memchr(name.data + at, '.', name.length - at);
        at = dot ? (size_t)(dot - name.data) + 1 : name.length;
    }
    return false;
}

typedef struct symbol_search {
    const filter_node *node;
    bool found;
} symbol_search;

static bool look_at_symbol(sx_text name, sx_text kind, uint32_t line, void *user)
{
    symbol_search *search = user;
    (void)line;
    search->found = search->node->asks == KEY_SYMBOL ? symbol_passes(search->node, name) : names_in(search->node, kind);
    return !search->found;
}

static bool any_symbol_passes(const filter_node *node, sx_text symbols)
{
    symbol_search search = {.node = node};
    sx_symbols_each(symbols, look_at_symbol, &search);
    return search.found;
}

static bool any_heading_passes(const filter_node *node, sx_text headings)
{
    sx_buffer buffer = {0};
    sx_json json;
    if (!headings.data)
        return false;
    sx_json_begin(&json, headings.data, headings.length, "headings");
    bool found = member_passes(node, &json, &buffer);
    sx_buffer_clear(&buffer);
    return found;
}

/* Whether one of the numbers from first to last passes. */
static bool any_number_passes(const filter_node *node, int64_t first, int64_t last)
{
    if (first <= 0)
        return false;
    for (size_t i = 0; node->test <= TEST_AT_LEAST && i < node->count; i++) {
        const filter_value *wanted = &node->values[i];
        /* Of all numbers in between the least passes < and <=, the greatest > and >=. */
        bool passes = wanted->is_number &&
                      (node->test == TEST_EQUAL ? (double)first <= wanted->number && wanted->number <= (double)last &&
                                                      wanted->number == (double)(int64_t)wanted->number
                       : node->test == TEST_LESS    ? (double)first < wanted->number
                       : node->test == TEST_AT_MOST ? (double)first <= wanted->number
                       : node->test == TEST_MORE    ? (double)last > wanted->number
                                                    : (double)last >= wanted->number);
        if (passes)
            return true;
    }
    char digits[32];
    for (int64_t number = first; node->test > TEST_AT_LEAST && number <= last && number - first < MOST_NUMBERS; number++) {
        snprintf(digits, sizeof digits, "%lld", (long long)number);
        if (names_in(node, (sx_text){digits, strlen(digits)}))
            return true;
    }
    return false;
}

/* The words about pages and lines in a document's metadata, once for all its chunks. */
static void read_places(sx_filter *filter, const sx_filter_subject *subject)
{
    sx_buffer buffer = {0};
    sx_json json;
    sx_text name, words;
    if (subject->id && subject->id == filter->places_of)
        return;
    filter->places_of = subject->id;
    sx_buffer_reset(&filter->pages);
    sx_buffer_reset(&filter->lines);
    if (!subject->metadata.data)
        return;
    sx_json_begin(&json, subject->metadata.data, subject->metadata.length, "metadata");
    (void)sx_json_object(&json);
    while (sx_json_member(&json, &buffer, &name)) {
        sx_buffer *to = sx_text_is(name, SX_PAGES_KEY) ? &filter->pages : sx_text_is(name, SX_LINES_KEY) ? &filter->lines : NULL;
        if (!to || sx_json_peek(&json) != SX_JSON_STRING)
            (void)sx_json_skip(&json);
        else if (sx_json_string(&json, &buffer, &words))
            sx_buffer_append(to, words.data, words.length);
    }
    sx_buffer_clear(&buffer);
}

static bool place_passes(sx_filter *filter, const filter_node *node, const sx_filter_subject *subject)
{
    const sx_filter_chunk *chunk = subject->chunk;
    int64_t first = chunk->start_line, last = chunk->end_line;
    read_places(filter, subject);
    if (node->asks == KEY_PAGE) {
        const char *words = filter->pages.length ? filter->pages.data : "";
        first = sx_page_of(words, chunk->start, NULL);
        last = sx_page_of(words, chunk->end > chunk->start ? chunk->end - 1 : chunk->start, NULL);
    } else if (filter->lines.length) {
        first = sx_line_of(filter->lines.data, chunk->start_line);
        last = sx_line_of(filter->lines.data, chunk->end_line);
    }
    return any_number_passes(node, first, last > first ? last : first);
}

/* ---- All of it ---- */

static bool is_of_chunks(filter_key key)
{
    return key == KEY_PAGE || key == KEY_LINE || key == KEY_HEADING || key == KEY_SYMBOL || key == KEY_KIND;
}

static sx_text base_name(sx_text path)
{
    const char *slash = path.length ? memrchr(path.data, '/', path.length) : NULL;
    return slash ? (sx_text){slash + 1, path.length - (size_t)(slash + 1 - path.data)} : path;
}

static bool own_key_passes(sx_filter *filter, const filter_node *node, const sx_filter_subject *subject)
{
    switch (node->asks) {
    case KEY_DATE: return day_passes(node, subject->modified_ns);
    case KEY_PATH: return names_in(node, subject->document);
    case KEY_FILE: return names_in(node, base_name(subject->document));
    case KEY_HEADING: return any_heading_passes(node, subject->chunk->headings);
    case KEY_SYMBOL:
    case KEY_KIND: return any_symbol_passes(node, subject->chunk->symbols);
    case KEY_PAGE:
    case KEY_LINE: return place_passes(filter, node, subject);
    default: return false;
    }
}

static filter_verdict judge_condition(sx_filter *filter, filter_node *node, const sx_filter_subject *subject, bool *damaged)
{
    bool passes;
    if (node->asks == KEY_DOCUMENT || node->asks == KEY_ROOT) {
        passes = names_in(node, node->asks == KEY_ROOT ? subject->root : subject->document);
    } else {
        if (!subject->id || subject->id != node->known_of)
            node->known_passes = metadata_passes(node, subject->metadata, &node->known_there, damaged);
        node->known_of = *damaged ? 0 : subject->id;
        passes = node->known_passes;
        if (!node->known_there && is_of_chunks(node->asks) && !subject->chunk)
            return VERDICT_MAYBE;
        if (!node->known_there && node->asks != KEY_METADATA)
            passes = own_key_passes(filter, node, subject);
    }
    return passes != node->opposite ? VERDICT_YES : VERDICT_NO;
}

static filter_verdict judge(sx_filter *filter, filter_node *node, const sx_filter_subject *subject, bool *damaged)
{
    if (node->kind == KIND_CONDITION)
        return judge_condition(filter, node, subject, damaged);
    if (node->kind == KIND_NOT)
        return (filter_verdict)(VERDICT_YES - judge(filter, node->child, subject, damaged));
    /* "and" is the least of its parts, "or" the greatest. */
    filter_verdict sum = node->kind == KIND_AND ? VERDICT_YES : VERDICT_NO;
    for (filter_node *child = node->child; child; child = child->next) {
        filter_verdict one = judge(filter, child, subject, damaged);
        if (node->kind == KIND_AND ? one < sum : one > sum)
            sum = one;
        if (sum == (node->kind == KIND_AND ? VERDICT_NO : VERDICT_YES))
            break;
    }
    return sum;
}

bool sx_filter_holds(sx_filter *filter, const sx_filter_subject *subject, bool *damaged)
{
    return judge(filter, filter->root, subject, damaged) != VERDICT_NO;
}
