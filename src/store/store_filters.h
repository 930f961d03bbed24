/* store_filters.h - from filters to the chunks they allow. */
#ifndef SX_STORE_FILTERS_H
#define SX_STORE_FILTERS_H

#include "sql.h"

/* Ids (ascending, malloc'ed, replacing *ids) of the collection's chunks that pass every filter, some without a vector
 * among them; without filters, of all that have a vector. */
sx_status sx_filter_chunks(sx_database *database, int64_t collection, const char *const *filters, size_t filter_count,
                           int64_t **ids, size_t *count, sx_error *error);

/* Frees what the handle keeps of filters used before. */
void sx_filters_forget(sx_database *database);

/* Gives the connection the SQL function that filters use; returns SQLite's code. */
int sx_filters_register(sqlite3 *sqlite);

#endif
