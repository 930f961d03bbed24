/* page_words.h - where the pages of a document begin and where its lines stand in the file, kept in its metadata, and the page and lines of
 * a passage made of that. */
#ifndef SX_INDEX_PAGE_WORDS_H
#define SX_INDEX_PAGE_WORDS_H

#include "../doc/document.h"
#include "../store/place_words.h"

/* The values of these keys; malloc'ed, NULL on no memory. */
char *sx_pages_to_words(const sx_document *document);
char *sx_lines_to_words(const sx_document *document);
/* Puts what they say of a hit in place of the keys: "page", "last_page" when it ends on another one, and "pages"; "source_line", and
 * "source_end_line" when it ends on another one. Metadata without the keys stay as they are. */
sx_status sx_places_resolve(sx_hit *hit, sx_error *error);

#endif
