/* fuzz_readers.c - the first byte chooses a reader; the rest is the file, or pdftotext's listing. The readers run in this process: a
 * child would hide what breaks them. */
#include "doc/reader.h"
#include "text/encoding.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const sx_reader readers[] = {sx_read_pdf_listing, sx_read_rtf_groups, sx_read_docx, sx_read_odt,
                                    sx_read_epub,        sx_read_notebook,   sx_read_org,  sx_read_tex};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    size_t which = data[0] % (sizeof readers / sizeof *readers);
    sx_document document = {.title = "", .author = "", .date = "", .note = "", .metadata = "", .encoding = "utf-8", .language = ""};
    sx_block_list blocks = {.arena = &document.arena};
    data++;
    size--;
    if (which >= 5 && sx_encoding_utf8_prefix(data, size) != size)
        return 0; /* these get what was decoded */
    document.text = document.owned = sx_strndup((const char *)data, size);
    document.length = size;
    if (document.owned && !readers[which](&document, &blocks, NULL)) {
        uint64_t at = 0;
        if (sx_encoding_utf8_prefix(document.text, document.length) != document.length)
            abort();
        for (size_t i = 0; i < blocks.count; i++) {
            const sx_block *block = &blocks.blocks[i];
            if (block->start < at || block->end <= block->start || block->end > document.length ||
                !sx_encoding_is_blank(document.text + at, block->start - at))
                abort();
            at = block->end;
        }
        for (size_t i = 0; i < document.page_count; i++)
            if (document.page_starts[i] > document.length || (i && document.page_starts[i] < document.page_starts[i - 1]))
                abort();
    }
    free(blocks.blocks);
    sx_document_clear(&document);
    return 0;
}
