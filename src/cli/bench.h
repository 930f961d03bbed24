/* bench.h - the parts of `sextant bench`: run_bench.c (figures of this machine), bench_stdio.c (requests from a harness). */
#ifndef SX_CLI_BENCH_H
#define SX_CLI_BENCH_H

#include "cli.h"

/* The model of this run as -m, --max-length and --precision say. */
sx_status sx_cli_bench_open(sx_cli *cli, sx_model **out, sx_error *error);

/* Answers requests on standard input until it closes. */
int sx_cli_bench_stdio(sx_cli *cli);

#endif
