/* collection_transfer.h - what speaks to vector databases of others: `collections export --to` and `collections import --from`,
 * which run_collections.c hands on, and `search --store`. */
#ifndef SX_CLI_COLLECTION_TRANSFER_H
#define SX_CLI_COLLECTION_TRANSFER_H

#include "cli.h"

int sx_cli_export_to_store(sx_cli *cli);
int sx_cli_import_from_store(sx_cli *cli);
/* A vector database that an option names, by its URL or by a NAME for which VECTOR_STORE_URL_NAME is set, and the key that the
 * settings have for it. Refuses a password in a URL of the command line, which everyone on the machine could read, and any
 * database at all with --offline. from: of two, where records come from. */
sx_status sx_cli_read_store(sx_cli *cli, const char *option, bool from, sx_store_place *place, sx_error *error);

/* `search --store`: with the model that the database names, or that of -m. */
sx_status sx_cli_search_store(sx_cli *cli, sx_text query, const sx_search_options *options, sx_hits **hits, sx_error *error);

#endif
