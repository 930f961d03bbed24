/* batch.h - what `embed` has of the Batch API. */
#ifndef SX_CLI_BATCH_H
#define SX_CLI_BATCH_H

#include "records.h"

/* Sends the texts of the input as jobs and waits until all jobs of this model are at their end. */
sx_status sx_cli_batch_embed(sx_cli *cli, const sx_cli_input *input, sx_embedder *embedder, sx_error *error);
/* Marks those items that a job should have embedded and has not. */
sx_status sx_cli_batch_mark(sx_embedder *embedder, sx_cli_item *items, size_t count, sx_error *error);
/* 0, or the exit code after saying what does not go with --batch-api. */
int sx_cli_batch_check(sx_cli *cli, const sx_cli_input *input);

#endif
