/* import_files.h - what importing files of vectors and searching in them share: whether a file's vectors are an embedder's. */
#ifndef SX_INDEX_IMPORT_FILES_H
#define SX_INDEX_IMPORT_FILES_H

#include "../store/embedding_file.h"
#include "embedder.h"

/* Says no (SX_E_MISMATCH) when dimensions or space differ or, where the file names no space, when the first texts have vectors
 * that the embedder makes otherwise. Adds to *checked and lowers *least. */
sx_status sx_check_vectors(const char *path, sx_embedder *embedder, uint32_t *checked, double *least, sx_error *error);

#endif
