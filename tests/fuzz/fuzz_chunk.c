/* fuzz_chunk.c - bytes become options, a counter, blocks and a text; whatever they are, the chunks keep chunk.h's promises.
 *
 * The first eight bytes: strategy, size, overlap, counter and its limit, prompt and special tokens, flags, number of blocks. Then
 * three bytes for each block (gap, length, kind and level), then the text, in which invalid UTF-8 is replaced. */
#include "../unit/chunk_documents.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 8, BLOCK = 3, MOST_TEXT = 1 << 16 };

static size_t valid_length(const uint8_t *data, size_t left)
{
    unsigned first = data[0];
    size_t length = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3
                  : first >= 0xf0 && first < 0xf5 ? 4 : 0;
    if (length == 0 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((data[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (first == 0xe0 && data[1] < 0xa0) || (first == 0xf0 && data[1] < 0x90);
    bool beyond = (first == 0xed && data[1] > 0x9f) || (first == 0xf4 && data[1] > 0x8f);
    return overlong || beyond ? 0 : length;
}

static size_t copy_text(const uint8_t *data, size_t size, char *text)
{
    size_t used = 0;
    for (size_t at = 0; at < size;) {
        size_t length = valid_length(data + at, size - at);
        memcpy(text + used, length ? (const char *)data + at : "?", length ? length : 1);
        used += length ? length : 1;
        at += length ? length : 1;
    }
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const strategies[] = {"auto", "recursive", "tokens", "chars", "sentences", "paragraphs",
                                             "markdown", "rst", "html", "semantic"};
    static const char *const units[] = {NULL, "tokens", "chars", NULL};
    static const char *const titles[] = {"", "Title", "a", "A longer title > with more"};
    if (size < HEAD || size > MOST_TEXT)
        return 0;
    size_t blocks = data[7] <= (size - HEAD) / BLOCK ? data[7] : (size - HEAD) / BLOCK;
    const uint8_t *rest = data + HEAD + blocks * BLOCK;
    char *text = malloc(size + 1);
    sx_block *list_of_blocks = calloc(blocks + 1, sizeof *list_of_blocks);
    if (!text || !list_of_blocks)
        abort();
    sx_document document;
    make_document(text, copy_text(rest, (size_t)(data + size - rest), text), titles[data[6] & 3], false, &document);
    document.media_type = data[6] & 4 ? "text/markdown" : "text/plain";
    uint64_t at = 0;
    for (size_t i = 0; i < blocks; i++) {
        const uint8_t *given = data + HEAD + i * BLOCK;
        sx_block *block = &list_of_blocks[i];
        block->start = at + given[0];
        block->end = block->start + given[1];
        block->kind = given[2] & 1 ? SX_BLOCK_HEADING : SX_BLOCK_PARAGRAPH;
        block->level = given[2] >> 1 & 7;
        block->heading = titles[given[2] >> 4 & 3];
        at = given[2] & 128 ? at : block->end; /* some overlap, which readers promise not to */
    }
    document.blocks = list_of_blocks;
    document.block_count = blocks;

    sx_token_counter counter = make_counter((counter_kind)(data[3] % COUNTER_KINDS), data[5] & 3, data[5] >> 2 & 7, data[4] * 2u);
    const sx_token_counter *counts = data[3] & 128 ? NULL : &counter;
    sx_chunk_options options = {.size = sizeof options, .strategy = strategies[data[0] % 10], .chunk_size = data[1],
                                .overlap = (int32_t)data[2] - 1, .unit = units[data[6] >> 3 & 3], .no_header = data[6] >> 5 & 1};
    sx_chunk_plan plan;
    sx_chunk_list list;
    sx_error error;
    if (sx_chunk_plan_make(&options, document.media_type, counts, &plan, &error) == SX_OK) {
        if (sx_chunk_document_in(&document, &plan, &with_vectors, counts, &list, &error) != SX_OK)
            abort();
        if (broken_promise(&document, &plan, counts, &list))
            abort();
        sx_chunk_list_clear(&list);
    }
    free(list_of_blocks);
    free(text);
    return 0;
}
