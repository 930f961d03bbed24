/* cluster_names.h - the words that tell a group of texts from the others. */
#ifndef SX_EXPLORE_CLUSTER_NAMES_H
#define SX_EXPLORE_CLUSTER_NAMES_H

#include "kmeans.h"

typedef struct sx_names sx_names;
sx_status sx_names_open(size_t clusters, sx_names **out, sx_error *error);
void sx_names_close(sx_names *names);
sx_status sx_names_add(sx_names *names, size_t cluster, const char *text, size_t length, sx_error *error);
/* "harbour, quince, copper", malloc'ed; "cluster 3" when its texts have no words. NULL on no memory. */
char *sx_names_choose(const sx_names *names, size_t cluster);

/* Reads texts of each cluster, at most some hundreds, and names them all: names[i] malloc'ed. */
sx_status sx_names_of_clusters(sx_database *database, const sx_gathered *gathered, const sx_kmeans *clusters, char **names,
                               sx_error *error);

#endif
