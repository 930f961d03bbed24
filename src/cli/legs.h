/* legs.h - what a model and its fallback did, for the reports of the verbs that embed. */
#ifndef SX_CLI_LEGS_H
#define SX_CLI_LEGS_H

#include "cli.h"

/* "legs":[...]; nothing without a fallback. */
void sx_cli_member_legs(sx_buffer *json, const sx_embedder *embedder);
/* With -v a line for each; and always that a leg was taken out of use, which somebody should look at. */
void sx_cli_note_legs(sx_cli *cli, const sx_embedder *embedder);

#endif
