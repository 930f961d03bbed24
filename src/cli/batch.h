/* batch.h - what `embed` and `index` have of the Batch API. */
#ifndef SX_CLI_BATCH_H
#define SX_CLI_BATCH_H

#include "input_choice.h"

/* Sends the texts of the input as jobs and waits until all jobs of this model are at their end. */
sx_status sx_cli_batch_embed(sx_cli *cli, const sx_records_input *input, sx_embedder *embedder, sx_error *error);
/* Marks those items that a job should have embedded and has not. */
sx_status sx_cli_batch_mark(sx_embedder *embedder, sx_record *items, size_t count, sx_error *error);
/* Sends the chunks of an index run as jobs and waits, unless options->no_wait, until all jobs of this model are at their end. */
sx_status sx_cli_batch_index(sx_cli *cli, sx_database *database, sx_embedder *embedder, const sx_index_options *options,
                             sx_error *error);
/* 0, or the exit code after saying what does not go with --batch-api; the second one looks at embed's input too. */
int sx_cli_batch_check(sx_cli *cli);
int sx_cli_batch_check_input(sx_cli *cli, const sx_records_input *input);

#endif
