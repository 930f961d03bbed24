/* output.h - where results go: standard output, or a file that appears only when it is complete. */
#ifndef SX_CLI_OUTPUT_H
#define SX_CLI_OUTPUT_H

#include "cli.h"

typedef struct sx_cli_output {
    FILE *file;
    char *path, *temporary; /* NULL: standard output */
    bool spooled;           /* standard output, held back until it is complete */
} sx_cli_output;

/* path NULL or "-": standard output; whole: held back until commit, so that a failure leaves nothing half-written. */
sx_status sx_cli_output_open(sx_cli_output *output, const char *path, bool whole, sx_error *error);
sx_status sx_cli_output_write(sx_cli_output *output, const void *data, size_t length, sx_error *error);
/* Overwrites bytes at the beginning of an output that is whole or a file. */
sx_status sx_cli_output_patch(sx_cli_output *output, const void *data, size_t length, sx_error *error);
sx_status sx_cli_output_commit(sx_cli_output *output, sx_error *error);
/* Does nothing after a commit. */
void sx_cli_output_abandon(sx_cli_output *output);

#endif
