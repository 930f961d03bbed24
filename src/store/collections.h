/* collections.h - what the files of this folder need of one another about collections and their segments. */
#ifndef SX_STORE_COLLECTIONS_H
#define SX_STORE_COLLECTIONS_H

#include "sql.h"

/* SX_E_NOT_FOUND with a hint that lists what is there. */
sx_status sx_store_no_collection(sx_database *database, const char *name, sx_error *error);
/* The lease of a collection that has no name yet. */
sx_status sx_store_hold(sx_database *database, int64_t collection, sx_error *error);
/* By exact name, hidden ones too; row->id 0 when there is none. */
sx_status sx_store_load_collection(sx_database *database, const char *name, sx_collection_row *row, sx_error *error);
/* Deletes a collection and its hidden companions in one step, by taking their names; their rows follow (_finish_deletions). */
sx_status sx_store_make_nameless(sx_database *database, int64_t collection, sx_error *error);
/* Ends deletions that a process began and did not finish. */
sx_status sx_store_finish_deletions(sx_database *database, sx_error *error);
/* Removes the claims of processes that died. They hinder nobody, but a text that nobody asks for again keeps its row. */
sx_status sx_store_drop_dead_claims(sx_database *database, sx_error *error);
/* Removes a segment's file; what cannot be removed is swept later. */
void sx_store_unlink_segment(sx_database *database, const char *file);
/* Removes files of the vectors folder that no row refers to and no living process may be about to publish. */
sx_status sx_store_sweep_files(sx_database *database, sx_error *error);

#endif
