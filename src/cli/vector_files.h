/* vector_files.h - files of vectors on the command line: importing them, and searching in them. */
#ifndef SX_CLI_VECTOR_FILES_H
#define SX_CLI_VECTOR_FILES_H

#include "cli.h"

/* Makes a collection of the files. One alone may be a collection's own export. *chunks is 0 for that. */
sx_status sx_cli_import_files(sx_cli *cli, sx_database *database, const char *name, const char *const *paths, size_t count,
                              uint64_t *chunks, sx_error *error);
sx_status sx_cli_search_files(sx_cli *cli, const char *const *paths, size_t count, sx_text query,
                              const sx_search_options *options,
                              sx_hits **hits, sx_error *error);

#endif
