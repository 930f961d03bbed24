/* index_run.h - what the files of `sextant index` share. */
#ifndef SX_CLI_INDEX_RUN_H
#define SX_CLI_INDEX_RUN_H

#include "cli.h"

/* print_index.c */
int sx_cli_print_index_json(sx_cli *cli, const sx_embedder *embedder, const sx_index_report *report);
void sx_cli_print_index(sx_cli *cli, const sx_index_report *report, bool dry_run);
void sx_cli_name_failed(sx_cli *cli, const sx_index_report *report);
/* When something was held back for a key in it: what lets it through. */
void sx_cli_hint_at_secrets(sx_cli *cli, const sx_index_report *report);

/* run_watch.c: index --watch. Runs once over everything, then again for each burst of changes, until a signal. */
int sx_cli_index_watch(sx_cli *cli, sx_database *database, sx_embedder *embedder, sx_index_options *options);

#endif
