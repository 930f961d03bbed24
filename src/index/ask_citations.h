/* ask_citations.h - the sources an answer cites: [Source 1], [Source 1, 3], [Sources 2-4], [Source 1; Source 2 and 5]. */
#ifndef SX_INDEX_ASK_CITATIONS_H
#define SX_INDEX_ASK_CITATIONS_H

#include "sextant.h"

/* Each source cited once, in the order of the text; valid where it is one of 1 .. sources. *citations is malloc'ed. */
sx_status sx_ask_citations(const char *text, size_t length, size_t sources, sx_citation **citations, size_t *count, sx_error *error);

#endif
