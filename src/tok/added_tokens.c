/* added_tokens.c - finding added tokens in a text, with the rules of tokenizers' added_vocabulary.rs: leftmost longest match,
 * then single_word decides whether it counts, then lstrip and rstrip widen it. */
#include "added_tokens.h"

#include "../base/memory.h"
#include "../text/unicode.h"
#include "../text/utf8.h"

#include <stdlib.h>
#include <string.h>

static bool put_pattern(sx_token_matcher *matcher, const sx_added_token *token)
{
    sx_vocabulary_result result = sx_vocabulary_add(&matcher->patterns, token->pattern, (uint32_t)matcher->count);
    if (result == SX_VOCABULARY_SAME_TEXT)
        return true;
    if (result != SX_VOCABULARY_OK)
        return false;
    unsigned char first = (unsigned char)token->pattern.data[0];
    matcher->only = matcher->count == 0 || matcher->only == first ? first : -1;
    matcher->tokens[matcher->count++] = token;
    return true;
}

bool sx_token_matcher_build(sx_token_matcher *matcher, const sx_added_token *tokens, size_t count, bool normalized)
{
    matcher->tokens = sx_calloc(count, sizeof *matcher->tokens);
    if (!matcher->tokens)
        return false;
    for (int special = 1; special >= 0; special--)
        for (size_t i = 0; i < count; i++)
            if (tokens[i].normalized == normalized && tokens[i].special == special && !put_pattern(matcher, &tokens[i]))
                return false;
    return matcher->count == 0 ||
           sx_piece_trie_build(&matcher->trie, &matcher->patterns, (uint32_t)matcher->count, NULL) == SX_OK;
}

void sx_token_matcher_clear(sx_token_matcher *matcher)
{
    free(matcher->tokens);
    sx_vocabulary_clear(&matcher->patterns);
    sx_piece_trie_clear(&matcher->trie);
    *matcher = (sx_token_matcher){0};
}

static const sx_added_token *match_at(const sx_token_matcher *matcher, const char *text, size_t length, size_t at)
{
    const sx_added_token *found = NULL;
    for (uint32_t node = 0; at < length && (node = sx_piece_trie_child(&matcher->trie, node, (unsigned char)text[at])); at++)
        if (matcher->trie.units[node].id != SX_TRIE_NO_PIECE)
            found = matcher->tokens[matcher->trie.units[node].id];
    return found;
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
