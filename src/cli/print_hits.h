/* print_hits.h - hits for people and for machines, and opening one in an editor. */
#ifndef SX_CLI_PRINT_HITS_H
#define SX_CLI_PRINT_HITS_H

#include "cli.h"

int sx_cli_print_hits_json(sx_cli *cli, const char *query, const sx_embedder *embedder, const sx_hits *hits);
void sx_cli_print_hits(const sx_cli *cli, const char *query, const sx_hits *hits);

/* open_hit.c: the number that the hit's metadata has under this key; 0: none. And the file's line, where the text's lines are not the
 * file's. */
unsigned long sx_cli_hit_number(const sx_hit *hit, const char *key);
unsigned long sx_cli_hit_line(const sx_hit *hit);
/* open_hit.c: --open N. Becomes the editor; returns, with an exit code, only when that fails. */
int sx_cli_open_hit(sx_cli *cli, const sx_hits *hits, uint64_t number);

#endif
