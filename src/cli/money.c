/* money.c - budgets, alerts and amounts of money, for the verbs that spend. */
#include "money.h"

#include "../base/error.h"

#include <string.h>

static sx_status read_amount(const sx_cli *cli, const char *name, double *amount, sx_error *error)
{
    const sx_cli_value *value = sx_cli_get(cli, name);
    if (!value->text)
        return SX_OK;
    if (!(value->number > 0 && value->number < 1e12))
        return sx_fail(error, SX_E_INVALID, "%s: '%s' is not an amount above 0", value->source ? value->source : name,
                       value->text);
    *amount = value->number;
    return SX_OK;
}

sx_status sx_cli_read_money(sx_cli *cli, sx_remote_options *options, sx_error *error)
{
    options->size = sizeof *options;
    options->allow_secrets = sx_cli_flag(cli, "allow-secrets");
    options->alert_url = sx_cli_text(cli, "alert-url");
    if (options->alert_url && strncmp(options->alert_url, "https://", 8) != 0 && strncmp(options->alert_url, "http://", 7) != 0)
        return sx_fail(error, SX_E_INVALID, "alert-url: is no http or https address");
    if (options->alert_url && sx_cli_flag(cli, "offline"))
        options->alert_url = NULL;
    sx_status status = read_amount(cli, "budget", &options->budget_usd, error);
    return status ? status : read_amount(cli, "alert", &options->alert_usd, error);
}

int sx_cli_limit_code(sx_cli *cli, sx_status status, int code)
{
    return status == SX_E_LIMIT && sx_cli_text(cli, "budget") ? SX_EXIT_LIMIT : code;
}

void sx_cli_human_usd(double usd, char text[32])
{
    if (usd == 0 || usd >= 0.995)
        snprintf(text, 32, "$%.*f", usd == 0 ? 0 : 2, usd);
    else
        snprintf(text, 32, "$%.*f", usd >= 0.01 ? 4 : 8, usd);
}

void sx_cli_human_cost(const sx_spend *spend, bool unpriced, char text[96])
{
    char usd[32], tokens[32];
    sx_cli_human_usd(spend->usd, usd);
    sx_cli_human_count(spend->unpriced_tokens, tokens);
    if (unpriced || (spend->unpriced_tokens && spend->unpriced_tokens == spend->tokens))
        snprintf(text, 96, "unpriced");
    else if (spend->unpriced_tokens)
        snprintf(text, 96, "%s + %s tokens unpriced", usd, tokens);
    else
        snprintf(text, 96, "%s", usd);
}

void sx_cli_member_cost(sx_buffer *buffer, const char *key, const sx_spend *spend)
{
    if (!spend->unpriced_tokens) {
        sx_cli_member_number(buffer, key, spend->usd);
        return;
    }
    sx_cli_key(buffer, key);
    sx_buffer_append_string(buffer, "null");
}
