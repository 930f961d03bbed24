/* fuzz_html.c - any bytes as an HTML page: no crash, blocks in order and inside the text, valid UTF-8. */
#include "doc/document.h"
#include "text/encoding.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sx_document document;
    if (sx_document_parse(data, size, "text/html", &document, NULL))
        return 0;
    uint64_t at = 0;
    for (size_t i = 0; i < document.block_count; i++) {
        if (document.blocks[i].start < at || document.blocks[i].end <= document.blocks[i].start ||
            document.blocks[i].end > document.length)
            abort();
        at = document.blocks[i].end;
    }
    if (sx_encoding_utf8_prefix(document.text, document.length) != document.length)
        abort();
    sx_document_clear(&document);
    return 0;
}
