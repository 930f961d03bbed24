/* page_words.h - where the pages of a document begin, kept in its metadata, and the page of a passage made of that. */
#ifndef SX_INDEX_PAGE_WORDS_H
#define SX_INDEX_PAGE_WORDS_H

#include "../doc/document.h"

/* In a document's metadata: places in the text where its pages begin, "0 1841 3960". */
#define SX_PAGES_KEY "page_starts"

/* The value of that key; malloc'ed, NULL on no memory. */
char *sx_pages_to_words(const sx_document *document);
/* Puts what it says of [start, end) in place of the key: "page", "last_page" when the range ends on another one, and "pages".
 * Metadata without the key stay as they are. *metadata is malloc'ed JSON. */
sx_status sx_pages_resolve(char **metadata, uint64_t start, uint64_t end, sx_error *error);

#endif
