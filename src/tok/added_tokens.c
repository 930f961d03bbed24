/* added_tokens.c - finding added tokens in a text, with the rules of tokenizers' added_vocabulary.rs: leftmost longest match,
 * then single_word decides whether it counts, then lstrip and rstrip widen it. */
#include "added_tokens.h"

#include "../base/memory.h"
#include "../text/unicode.h"
#include "../text/utf8.h"

#include <stdlib.h>
#include <string.h>

static unsigned char first_byte(const sx_added_token *token)
{
    return (unsigned char)token->pattern.data[0];
}

static int compare_tokens(const void *a, const void *b)
{
    const sx_added_token *first = *(const sx_added_token *const *)a, *second = *(const sx_added_token *const *)b;
    if (first_byte(first) != first_byte(second))
        return first_byte(first) < first_byte(second) ? -1 : 1;
    if (first->pattern.length != second->pattern.length)
        return first->pattern.length > second->pattern.length ? -1 : 1;
    if (first->special != second->special)
        return first->special ? -1 : 1;
    return first < second ? -1 : first > second; /* both are of one array */
}

bool sx_token_matcher_build(sx_token_matcher *matcher, const sx_added_token *tokens, size_t count, bool normalized)
{
    matcher->tokens = sx_calloc(count, sizeof *matcher->tokens);
    if (!matcher->tokens)
        return false;
    for (size_t i = 0; i < count; i++)
        if (tokens[i].normalized == normalized)
            matcher->tokens[matcher->count++] = &tokens[i];
    if (matcher->count == 0)
        return true;
    qsort(matcher->tokens, matcher->count, sizeof *matcher->tokens, compare_tokens);
    for (size_t i = 0, byte = 0; byte < 257; byte++) {
        while (i < matcher->count && first_byte(matcher->tokens[i]) < byte)
            i++;
        matcher->buckets[byte] = i;
    }
    unsigned char lowest = first_byte(matcher->tokens[0]);
    matcher->only = first_byte(matcher->tokens[matcher->count - 1]) == lowest ? lowest : -1;
    return true;
}

void sx_token_matcher_clear(sx_token_matcher *matcher)
{
    free(matcher->tokens);
    *matcher = (sx_token_matcher){0};
}

static const sx_added_token *match_at(const sx_token_matcher *matcher, const char *text, size_t length, size_t at)
{
    unsigned char byte = (unsigned char)text[at];
    for (size_t i = matcher->buckets[byte]; i < matcher->buckets[byte + 1]; i++) {
        sx_text pattern = matcher->tokens[i]->pattern;
        if (pattern.length <= length - at && memcmp(text + at, pattern.data, pattern.length) == 0)
            return matcher->tokens[i];
    }
    return NULL;
}

static const sx_added_token *match_from(const sx_token_matcher *matcher, const char *text, size_t length, size_t *at)
{
    for (size_t i = *at; i < length; i++) {
        if (matcher->only >= 0) {
            const char *found = memchr(text + i, matcher->only, length - i);
            if (!found)
                return NULL;
            i = (size_t)(found - text);
        }
        const sx_added_token *token = match_at(matcher, text, length, i);
        if (token) {
            *at = i;
            return token;
        }
    }
    return NULL;
}

static sx_code_point point_before(const char *text, size_t position)
{
    size_t start = sx_utf8_floor(text, position, position - 1);
    return sx_utf8_decode(text + start, position - start);
}

static bool is_single_word(const char *text, size_t length, size_t start, size_t end)
{
    if (start > 0 && sx_unicode_is_word(point_before(text, start).code))
        return false;
    return end == length || !sx_unicode_is_word(sx_utf8_decode(text + end, length - end).code);
}

const sx_added_token *sx_token_matcher_next(const sx_token_matcher *matcher, const char *text, size_t length,
                                            sx_token_search *search, size_t *plain, size_t *start, size_t *end)
{
    if (matcher->count == 0)
        return NULL;
    const sx_added_token *token;
    while ((token = match_from(matcher, text, length, &search->position)) != NULL) {
        size_t first = search->position, last = first + token->pattern.length;
        search->position = last;
        if (token->single_word && !is_single_word(text, length, first, last))
            continue;
        while (token->lstrip && first > search->plain) {
            sx_code_point point = point_before(text, first);
            if (!sx_unicode_is_space(point.code) || point.length > first - search->plain)
                break;
            first -= point.length;
        }
        while (token->rstrip && last < length) {
            sx_code_point point = sx_utf8_decode(text + last, length - last);
            if (!sx_unicode_is_space(point.code))
                break;
            last += point.length;
        }
        *plain = search->plain;
        *start = first;
        *end = last;
        search->plain = last;
        return token;
    }
    return NULL;
}
