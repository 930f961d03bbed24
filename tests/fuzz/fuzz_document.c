/* fuzz_document.c - the first byte chooses plain text, Markdown, rst or ignore rules with a path; the rest is the file. */
#include "doc/document.h"
#include "doc/ignore.h"
#include "text/encoding.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_document(const uint8_t *data, size_t size, const char *media_type)
{
    sx_document document;
    if (sx_document_parse(data, size, media_type, &document, NULL))
        return;
    uint64_t at = 0;
    for (size_t i = 0; i < document.block_count; i++) {
        const sx_block *block = &document.blocks[i];
        if (block->start < at || block->end <= block->start || block->end > document.length ||
            !sx_encoding_is_blank(document.text + at, block->start - at))
            abort();
        at = block->end;
    }
    if (!sx_encoding_is_blank(document.text + at, document.length - at) ||
        sx_encoding_utf8_prefix(document.text, document.length) != document.length)
        abort();
    if (document.is_file_bytes && (document.length != size || memcmp(document.text, data, size)))
        abort();
    sx_document_clear(&document);
}

/* The first line is the path, the others are rules. */
static void check_rules(const uint8_t *data, size_t size)
{
    char path[256];
    size_t length = 0;
    while (length < size && length < sizeof path - 1 && data[length] != '\n')
        length++;
    memcpy(path, data, length);
    path[length] = '\0';
    sx_ignore_rules rules = {0};
    if (sx_ignore_add(&rules, (const char *)data + length, size - length)) {
        sx_ignore_check(&rules, path, false);
        sx_ignore_check(&rules, path, true);
    }
    sx_ignore_clear(&rules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const media_types[] = {"text/plain", "text/markdown", "text/x-rst"};
    if (!size)
        return 0;
    unsigned which = data[0] % 4;
    if (which < 3)
        check_document(data + 1, size - 1, media_types[which]);
    else
        check_rules(data + 1, size - 1);
    return 0;
}
