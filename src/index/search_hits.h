/* search_hits.h - from a window's groups of passages to the hits of sextant.h. */
#ifndef SX_INDEX_SEARCH_HITS_H
#define SX_INDEX_SEARCH_HITS_H

#include "search_window.h"

/* The first plan->count groups become hits; texts of the window move into them. SX_E_NOT_FOUND: a document went away meanwhile. */
sx_status sx_search_hits_fill(sx_database *database, sx_search_window *window, const sx_search_plan *plan, sx_hits *hits, sx_error *error);
/* Takes the hits away, and leaves what the search was. */
void sx_search_hits_clear(sx_hits *hits);
void sx_search_hit_clear(sx_hit *hit);
/* Where a passage stands, and its text, which moves into the hit; no scores. SX_E_NOT_FOUND: its document went away meanwhile. */
sx_status sx_search_hit_place(sx_database *database, sx_chunk_row *chunk, sx_hit *hit, sx_error *error);

#endif
