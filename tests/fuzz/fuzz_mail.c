/* fuzz_mail.c - a message, or (first byte odd) a mailbox: text and blocks are sound, and every place of the file is one. */
#include "doc/document.h"
#include "text/encoding.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sx_document document;
    if (!size || sx_document_parse(data + 1, size - 1, data[0] & 1 ? "application/mbox" : "message/rfc822", &document, NULL))
        return 0;
    uint64_t at = 0, lines = 1;
    for (size_t i = 1; i < size; i++)
        lines += data[i] == '\n';
    if (sx_encoding_utf8_prefix(document.text, document.length) != document.length)
        abort();
    for (size_t i = 0; i < document.block_count; i++) {
        const sx_block *block = &document.blocks[i];
        if (block->start < at || block->end <= block->start || block->end > document.length ||
            !sx_encoding_is_blank(document.text + at, block->start - at))
            abort();
        at = block->end;
    }
    for (size_t i = 0; i < document.source_place_count; i++) {
        const sx_source_place *place = &document.source_places[i];
        if (place->start >= document.length || place->line < 1 || place->line > lines || (i && place[-1].start >= place->start))
            abort();
    }
    sx_document_clear(&document);
    return 0;
}
