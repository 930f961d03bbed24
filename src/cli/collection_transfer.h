/* collection_transfer.h - `collections export --to` and `collections import --from`, which run_collections.c hands on. */
#ifndef SX_CLI_COLLECTION_TRANSFER_H
#define SX_CLI_COLLECTION_TRANSFER_H

#include "cli.h"

int sx_cli_export_to_store(sx_cli *cli);
int sx_cli_import_from_store(sx_cli *cli);
/* A vector database that an option names: its URL, and the key that the settings have for it. Refuses a password in the URL,
 * which everyone on the machine could read, and any at all with --offline. from: of two, where records come from. */
sx_status sx_cli_read_store(sx_cli *cli, const char *option, bool from, sx_store_place *place, sx_error *error);

#endif
