/* place_words.h - where the pages of a document begin and where its lines stand in the file: words in its metadata, read here and
 * written by src/index/page_words.c. */
#ifndef SX_STORE_PLACE_WORDS_H
#define SX_STORE_PLACE_WORDS_H

#include <stdint.h>

/* In a document's metadata: places in the text where its pages begin, "0 1841 3960". */
#define SX_PAGES_KEY "page_starts"

/* In a document's metadata: lines of the text and of the file, "1:4 3:12 7=20": from line 1 on the text's lines are the file's from 4 on,
 * and from 7 on all of it stands on line 20. */
#define SX_LINES_KEY "source_lines"

/* The page of a place, from 1; 0: none. *all (may be NULL): how many pages there are. */
int64_t sx_page_of(const char *words, uint64_t place, int64_t *all);
/* The file's line of a line of the text; 0: not known. */
int64_t sx_line_of(const char *words, uint32_t line);

#endif
