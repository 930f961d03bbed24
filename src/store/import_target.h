/* import_target.h - a collection being filled with vectors that were made elsewhere. */
#ifndef SX_STORE_IMPORT_TARGET_H
#define SX_STORE_IMPORT_TARGET_H

#include "embedding_file.h"
#include "store.h"

typedef struct sx_import_target sx_import_target;
/* Makes a collection without a name, which nobody sees. model: as the user knows it; space_json: canonical JSON of what the
 * vectors may be compared with. Its recipe says that they were imported, so that the cache never takes them for vectors made
 * here. */
sx_status sx_import_begin(sx_database *database, const char *name, const char *model, const char *space_json, uint32_t dimensions,
                          sx_import_target **out, sx_error *error);
/* `source` names the file: elements that do not say where they come from become documents of this root, named by their ids.
 * Elements of one document must stand together. */
sx_status sx_import_add(sx_import_target *target, const char *source, const sx_embedding_item *item, sx_error *error);
/* Gives the collection its name. SX_E_EXISTS when one has it meanwhile. */
sx_status sx_import_finish(sx_import_target *target, uint64_t *documents, uint64_t *chunks, sx_error *error);
/* What was not finished is taken back. */
void sx_import_close(sx_import_target *target);

#endif
