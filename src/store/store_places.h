/* store_places.h - what leads from a place in a file to the chunks that hold it. */
#ifndef SX_STORE_STORE_PLACES_H
#define SX_STORE_STORE_PLACES_H

#include "store.h"

typedef void (*sx_path_visit)(int64_t document, const char *root, const char *path, void *user);
/* Every document of the collection, out of an index: the rows are not read. The visitor may not use the database. */
sx_status sx_store_paths(sx_database *database, int64_t collection, sx_path_visit visit, void *user, sx_error *error);

/* What is defined in a chunk, as in sx_chunk_row, malloc'ed; NULL when nothing is, or the chunk has gone. */
sx_status sx_store_symbols(sx_database *database, int64_t chunk, char **symbols, sx_error *error);

typedef bool (*sx_symbol_visit)(sx_text name, sx_text kind, uint32_t line, void *user);
/* Visits what `symbols` of a row name until the visitor returns false; NULL data: nothing. What is no such list is passed over. */
void sx_symbols_each(sx_text symbols, sx_symbol_visit visit, void *user);

#endif
