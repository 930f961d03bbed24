/* fuzz_words.c - any bytes split into words, and as a query of each type: nothing too long, the same words twice. */
#include "index/hybrid.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool check(const char *word, size_t length, sx_word_kind kind, void *user)
{
    uint64_t *sum = user;
    if (!length || length > SX_WORD_BYTES || kind > SX_WORD_PAIR)
        abort();
    *sum = *sum * 31 + sx_keyword_hash(word, length, kind);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"general", "code_search", "error_analysis", "documentation"};
    uint64_t first = 0, second = 0;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    for (size_t i = 0; i < size; i++)
        text[i] = (char)data[i];
    if (!sx_words_split(text, size, check, &first) || !sx_words_split(text, size, check, &second) || first != second)
        abort();
    for (size_t i = 0; i < 4; i++) {
        const sx_query_type *type;
        sx_keyword_term *terms = NULL;
        size_t count = 0;
        if (sx_query_type_find(names[i], &type, NULL) || sx_query_terms((sx_text){text, size}, type, &terms, &count, NULL))
            abort();
        free(terms);
    }
    free(text);
    return 0;
}
