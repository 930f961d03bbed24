/* money.h - budgets, alerts and amounts of money, for the verbs that spend. */
#ifndef SX_CLI_MONEY_H
#define SX_CLI_MONEY_H

#include "cli.h"

/* Adds --budget, --alert, --alert-url and --allow-secrets to what the model's options are. */
sx_status sx_cli_read_money(sx_cli *cli, sx_remote_options *options, sx_error *error);
/* The exit code of a call that ended with this status: SX_EXIT_LIMIT when it was the budget. */
int sx_cli_limit_code(sx_cli *cli, sx_status status, int code);

/* "$0.0042", "unpriced", "$1.20 + 300 tokens unpriced". unpriced: nothing in it has a price. */
void sx_cli_human_cost(const sx_spend *spend, bool unpriced, char text[96]);
/* Dollars, precise enough that small amounts are not nothing. */
void sx_cli_human_usd(double usd, char text[32]);
/* "cost_usd": the amount, or null when it is not known for all of it. */
void sx_cli_member_cost(sx_buffer *buffer, const char *key, const sx_spend *spend);

#endif
