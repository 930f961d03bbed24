/* spaces.h - which recipes were proven to give vectors of one space although they come from different sources.
 *
 * A proof names two recipes by hash, so that another model behind the same name, which makes another recipe, has none. The table
 * is made with the first proof; databases without it have none.
 */
#ifndef SX_STORE_SPACES_H
#define SX_STORE_SPACES_H

#include "store.h"

typedef struct sx_space_row {
    sx_sha256 recipes[2], spaces[2];
    const char *models[2];
    uint32_t dimensions, probes;
    double least_cosine, largest_difference;
    int64_t proven_ns; /* since 1970 */
} sx_space_row;

/* Writes a proof down, in place of an earlier one of the same recipes. */
sx_status sx_store_space_add(sx_database *database, const sx_space_row *row, sx_error *error);
/* Visits all, oldest first; strings live during the visit. */
sx_status sx_store_spaces(sx_database *database, sx_status (*visit)(const sx_space_row *row, void *user, sx_error *error),
                          void *user, sx_error *error);
/* Whether the two recipes were proven, in either order. */
sx_status sx_store_space_proven(sx_database *database, const sx_sha256 *recipe, const sx_sha256 *other, bool *proven,
                                sx_error *error);
/* Whether a recipe was proven to give vectors of a space (that is not its own). */
sx_status sx_store_space_of(sx_database *database, const sx_sha256 *recipe, const sx_sha256 *space, bool *proven,
                            sx_error *error);
/* The JSON of the space of a recipe, malloc'ed; NULL when the recipe is not there. */
sx_status sx_store_space_json(sx_database *database, const sx_sha256 *recipe, char **json, sx_error *error);
/* Takes out the proofs of two models, in either order; *removed counts them. */
sx_status sx_store_space_forget(sx_database *database, const char *model, const char *other, uint64_t *removed,
                                sx_error *error);
/* Chunks of named collections whose vector is of another recipe than their collection's, and of this pair of models. */
sx_status sx_store_space_users(sx_database *database, const char *model, const char *other, uint64_t *chunks, sx_error *error);

/* How far a gradual shift between two recipes has come, in percent; -1: none was begun. */
sx_status sx_store_split_get(sx_database *database, const sx_sha256 *recipe, const sx_sha256 *other, int64_t *percent,
                             sx_error *error);
sx_status sx_store_split_set(sx_database *database, const sx_sha256 *recipe, const sx_sha256 *other, int64_t percent,
                             sx_error *error);

#endif
