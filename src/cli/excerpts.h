/* excerpts.h - showing a passage and where it stands, for verbs that look at a collection as a whole. */
#ifndef SX_CLI_EXCERPTS_H
#define SX_CLI_EXCERPTS_H

#include "cli.h"

/* Its members, without braces. */
void sx_cli_member_excerpt(sx_buffer *json, const sx_excerpt *passage);
/* The first words on one line. */
void sx_cli_say_excerpt(const sx_excerpt *passage, const char *indent);

#endif
