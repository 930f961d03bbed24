/* fuzz_bpe.c - any vocabulary, merges, options and word: whatever opens must split, the same way twice, and cover the word in order.
 *
 * Input: a byte of options, a byte more of them, then lines: "p PIECE", "m LEFT RIGHT", and the word behind an empty line. */
#include "base/memory.h"
#include "tok/bpe.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_TOKENS = 1 << 16 };

typedef struct tokens {
    uint32_t ids[MOST_TOKENS];
    size_t count;
    uint32_t end, vocabulary;
    size_t length;
} tokens;

static void check(void *user, uint32_t id, uint32_t start, uint32_t end)
{
    tokens *list = user;
    if (id >= list->vocabulary || start != list->end || end < start || end > list->length)
        abort();
    list->end = end;
    if (list->count < MOST_TOKENS)
        list->ids[list->count++] = id;
}

static sx_text take(const char **at, const char *end, char until)
{
    const char *found = memchr(*at, until, (size_t)(end - *at));
    sx_text text = {*at, (size_t)((found ? found : end) - *at)};
    *at = found ? found + 1 : end;
    return text;
}

static void split_twice(const sx_bpe *bpe, uint32_t vocabulary, sx_text word)
{
    static tokens lists[2];
    sx_bpe_memory *memory = sx_bpe_memory_open();
    for (int i = 0; i < 2 && memory; i++) {
        lists[i].count = 0;
        lists[i].end = 0;
        lists[i].vocabulary = vocabulary;
        lists[i].length = word.length;
        if (!sx_bpe_split(bpe, memory, word.data, word.length, check, &lists[i]))
            abort();
    }
    if (lists[0].count != lists[1].count || memcmp(lists[0].ids, lists[1].ids, lists[0].count * sizeof(uint32_t)) != 0)
        abort();
    sx_bpe_memory_close(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    sx_vocabulary vocabulary = {0};
    const char *lines = (const char *)data + 2, *end = (const char *)data + size;
    bool by_rank = data[0] & 0x80;
    for (unsigned byte = 0; byte < 256 && by_rank; byte++)
        sx_vocabulary_add(&vocabulary, (sx_text){&(char){(char)byte}, 1}, byte);
    for (const char *at = lines; at < end && *at != '\n';) {
        sx_text line = take(&at, end, '\n');
        if (line.length > 2 && line.data[0] == 'p')
            sx_vocabulary_add(&vocabulary, (sx_text){line.data + 2, line.length - 2}, vocabulary.count);
    }
    sx_bpe_options options = {.byte_level = data[0] & 1, .byte_fallback = data[0] & 2, .fuse_unknown = data[0] & 4,
                              .ignore_merges = data[0] & 8, .has_unknown = data[0] & 16, .unknown_id = data[1] & 3,
                              .continuing_prefix = {"##", data[0] & 32 ? 2 : 0}, .end_suffix = {"$", data[0] & 64 ? 1 : 0}};
    sx_bpe *bpe = NULL;
    sx_error error = {0};
    sx_status status = sx_bpe_open(&vocabulary, &options, &bpe, &error);
    const char *at = lines;
    for (uint32_t rank = 0; at < end && *at != '\n' && !status;) {
        sx_text line = take(&at, end, '\n');
        if (line.length > 2 && line.data[0] == 'm' && !by_rank) {
            const char *right = line.data + 2;
            sx_text left = take(&right, line.data + line.length, ' ');
            error.message[0] = '\0';
            if (sx_bpe_add_merge(bpe, left, (sx_text){right, (size_t)(line.data + line.length - right)}, rank++, "lines", &error) &&
                error.message[0] == '\0')
                abort(); /* a refusal without a reason */
        }
    }
    if (!status && by_rank)
        status = sx_bpe_merge_by_rank(bpe, &error);
    if (!status)
        status = sx_bpe_finish(bpe, &error);
    if (!status) {
        split_twice(bpe, vocabulary.count, (sx_text){at, (size_t)(end - at)});
        sx_buffer description = {0};
        sx_bpe_describe(bpe, &description);
        sx_buffer_clear(&description);
    }
    sx_bpe_close(bpe);
    sx_vocabulary_clear(&vocabulary);
    return 0;
}
