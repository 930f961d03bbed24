/* regex.c - matching by PCRE2 (with its JIT compiler where there is one); a literal string is searched for as it is.
 *
 * A compiled pattern is shared by threads; the memory a match works in is not, so a few blocks of it wait in slots that a
 * thread empties by an atomic exchange. The limits keep a hostile pair of pattern and text from running for hours. */
#include "regex.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "regex_syntax.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { SPARE_SLOTS = 16, MATCH_LIMIT = 10 * 1000 * 1000, HEAP_LIMIT_KIB = 64 * 1024, LONGEST_PATTERN = 1024 * 1024 };

struct sx_regex {
    char *literal; /* NULL: a pattern */
    size_t literal_length;
    pcre2_code *code;
    pcre2_match_context *context;
    _Atomic(pcre2_match_data *) spare[SPARE_SLOTS];
};

static sx_status compile(sx_regex *regex, sx_text pattern, const char *where, sx_error *error)
{
    sx_buffer translated = {0};
    sx_status status = sx_regex_translate(pattern, where, &translated, error);
    if (status != SX_OK)
        goto out;
    int code = 0;
    PCRE2_SIZE place = 0;
    regex->code = pcre2_compile((PCRE2_SPTR)translated.data, translated.length, PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE,
                                &code, &place, NULL);
    regex->context = pcre2_match_context_create(NULL);
    if (!regex->code) {
        char text[120] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: regular expression '%.*s': %s", where,
                         (int)(pattern.length > 200 ? 200 : pattern.length), pattern.data, text);
        goto out;
    }
    if (!regex->context) {
        status = sx_fail_nomem(error, sizeof *regex);
        goto out;
    }
    pcre2_set_match_limit(regex->context, MATCH_LIMIT);
    pcre2_set_heap_limit(regex->context, HEAP_LIMIT_KIB);
    pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE); /* without it the interpreter matches */

out:
    sx_buffer_clear(&translated);
    return status;
}

sx_status sx_regex_open(sx_text pattern, bool literal, const char *where, sx_regex **out, sx_error *error)
{
    *out = NULL;
    if (pattern.length > LONGEST_PATTERN)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: a pattern of %zu bytes; at most %d are read", where, pattern.length,
                       LONGEST_PATTERN);
    sx_regex *regex = sx_calloc(1, sizeof *regex);
    if (!regex)
        return sx_fail_nomem(error, sizeof *regex);
    sx_status status = SX_OK;
    if (literal) {
        regex->literal_length = pattern.length;
        regex->literal = sx_strndup(pattern.data, pattern.length);
        if (!regex->literal)
            status = sx_fail_nomem(error, pattern.length);
    } else {
        status = compile(regex, pattern, where, error);
    }
    if (status == SX_OK)
        *out = regex;
    else
        sx_regex_close(regex);
    return status;
}

void sx_regex_close(sx_regex *regex)
{
    if (!regex)
        return;
    for (size_t i = 0; i < SPARE_SLOTS; i++)
        pcre2_match_data_free(atomic_load(&regex->spare[i]));
    pcre2_match_context_free(regex->context);
    pcre2_code_free(regex->code);
    free(regex->literal);
    free(regex);
}

/* The slots are the one thing that changes in a compiled pattern. */
static pcre2_match_data *take_match_data(sx_regex *regex)
{
    for (size_t i = 0; i < SPARE_SLOTS; i++)
        if (atomic_load_explicit(&regex->spare[i], memory_order_relaxed)) {
            pcre2_match_data *data = atomic_exchange(&regex->spare[i], NULL);
            if (data)
                return data;
        }
    return pcre2_match_data_create(1, NULL);
}

static void give_match_data(sx_regex *regex, pcre2_match_data *data)
{
    for (size_t i = 0; i < SPARE_SLOTS; i++) {
        pcre2_match_data *empty = NULL;
        if (atomic_compare_exchange_strong(&regex->spare[i], &empty, data))
            return;
    }
    pcre2_match_data_free(data);
}

int sx_regex_next(const sx_regex *regex, const char *text, size_t length, size_t from, size_t *begin, size_t *end)
{
    if (from > length)
        return 0;
    if (regex->literal) {
        const char *found = text + from;
        if (regex->literal_length)
            found = length > from ? memmem(text + from, length - from, regex->literal, regex->literal_length) : NULL;
        if (!found)
            return 0;
        *begin = (size_t)(found - text);
        *end = *begin + regex->literal_length;
        return 1;
    }
    sx_regex *shared = (sx_regex *)regex;
    pcre2_match_data *data = take_match_data(shared);
    if (!data)
        return -1;
    PCRE2_SPTR subject = (PCRE2_SPTR)(text ? text : "");
    int count = pcre2_match(regex->code, subject, length, from, PCRE2_NO_UTF_CHECK, data, regex->context);
    if (count == PCRE2_ERROR_JIT_STACKLIMIT)
        count = pcre2_match(regex->code, subject, length, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data, regex->context);
    if (count >= 0) {
        const PCRE2_SIZE *place = pcre2_get_ovector_pointer(data);
        *begin = place[0];
        *end = place[1];
    }
    give_match_data(shared, data);
    if (count == PCRE2_ERROR_NOMATCH)
        return 0;
    /* \K in a look-ahead can put the beginning behind the end, or before `from`: no match that a caller could go on from. */
    return count < 0 || *begin > *end || *begin < from ? -1 : 1;
}
