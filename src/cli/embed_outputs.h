/* embed_outputs.h - `embed --outputs`: which of a model's outputs are wanted, and how those beside the vector are written. */
#ifndef SX_CLI_EMBED_OUTPUTS_H
#define SX_CLI_EMBED_OUTPUTS_H

#include "cli.h"
#include "sextant.h"

/* "dense,sparse,multi" to SX_OUTPUT_*. Returns 0, or the exit code of wrong usage after saying what is wrong. */
int sx_cli_read_outputs(sx_cli *cli, unsigned *outputs);
/* The members `sparse` ({"token id": weight}) and `multi` ([[...]]), those that are wanted. */
void sx_cli_write_outputs(sx_buffer *line, unsigned wanted, const sx_text_outputs *outputs, uint32_t width);

#endif
