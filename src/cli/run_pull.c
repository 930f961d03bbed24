/* run_pull.c - `sextant models pull`, and the table of models known by name. */
#include "cli.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

/* Where huggingface_hub's login puts the token: HF_TOKEN, else the file HF_TOKEN_PATH or HF_HOME/token names. Malloc'ed or NULL. */
static char *find_token(sx_cli *cli)
{
    const char *value = sx_cli_setting_value(&cli->settings, "HF_TOKEN", NULL);
    if (value)
        return *value ? sx_strdup(value) : NULL;
    const char *file = sx_cli_setting_value(&cli->settings, "HF_TOKEN_PATH", NULL);
    char *path = file ? sx_strdup(file) : sx_path_join(cli->hub_cache, "../token"), *token = NULL;
    size_t length;
    if (path && sx_file_exists(path) && sx_file_read(path, 4096, &token, &length, NULL, NULL) == SX_OK)
        token[strcspn(token, "\r\n \t")] = '\0';
    free(path);
    if (token && !*token) {
        free(token);
        token = NULL;
    }
    return token;
}

static bool is_offline(sx_cli *cli)
{
    const char *value = sx_cli_setting_value(&cli->settings, "HF_HUB_OFFLINE", NULL);
    return sx_cli_flag(cli, "offline") || (value && *value && strcmp(value, "0") != 0 && strcmp(value, "false") != 0);
}

int sx_cli_models_pull(sx_cli *cli)
{
    sx_error error = {0};
    char *folder = NULL, *token = NULL;
    const sx_cli_value *files = sx_cli_get(cli, "file");
    const char *reference = cli->arguments[0];
    sx_status status = sx_cli_check_reference(reference, &error);
    if (!status && is_offline(cli)) {
        status = sx_fail(&error, SX_E_NETWORK, "model %s: not fetched: --offline or HF_HUB_OFFLINE is set", reference);
        sx_hint(&error, "what is in the cache already works: `sextant models list`");
    }
    if (!status) {
        token = find_token(cli);
        sx_cli_install_signals();
        sx_pull_options options = {.size = sizeof options,
                                   .endpoint = sx_cli_setting_value(&cli->settings, "HF_ENDPOINT", NULL),
                                   .token = token,
                                   .revision = sx_cli_text(cli, "revision"),
                                   .patterns = files->all,
                                   .pattern_count = files->all_count,
                                   .progress = sx_cli_report_progress,
                                   .progress_user = cli,
                                   .stop = sx_cli_stop_flag()};
        status = sx_models_pull(&cli->places, reference, &options, &folder, &error);
    }
    free(token);
    sx_cli_end_progress(cli);
    if (status)
        return sx_cli_fail(cli, &error);
    int code = SX_EXIT_DONE;
    if (cli->json) {
        sx_buffer json = {0};
        sx_buffer_append_byte(&json, '{');
        sx_cli_member_text(&json, "model", reference);
        sx_cli_member_text(&json, "folder", folder);
        sx_buffer_append_byte(&json, '}');
        code = sx_cli_print_json(cli, &json);
    } else if (!cli->quiet) {
        sx_cli_say("%s\n", folder);
    }
    sx_free(folder);
    return code;
}

static void append_known(sx_buffer *json, const sx_known_model *model)
{
    sx_buffer_append_byte(json, '{');
    sx_cli_member_text(json, "alias", model->alias ? model->alias : model->name);
    sx_cli_member_text(json, "hub", model->hub);
    sx_cli_member_text(json, "kind", model->kind);
    sx_cli_member_text(json, "family", model->family);
    sx_cli_member_text(json, "pooling", *model->pooling ? model->pooling : NULL);
    sx_cli_member_text(json, "query_prompt", model->query_prompt);
    sx_cli_member_text(json, "passage_prompt", model->passage_prompt);
    sx_cli_member_text(json, "licence", *model->licence ? model->licence : NULL);
    sx_cli_member_integer(json, "dimensions", model->dimensions);
    sx_cli_member_integer(json, "max_length", model->max_length);
    sx_cli_member_integer(json, "parameters", (uint64_t)((double)model->millions * 1e6 + 0.5));
    sx_buffer_append_byte(json, '}');
}

int sx_cli_print_known_models(sx_cli *cli)
{
    const sx_known_model *model;
    if (cli->json) {
        sx_buffer json = {0};
        sx_buffer_append_string(&json, "{\"known\":[");
        for (size_t i = 0; (model = sx_models_known(i)); i++) {
            sx_buffer_append_string(&json, i ? "," : "");
            append_known(&json, model);
        }
        sx_buffer_append_string(&json, "]}");
        return sx_cli_print_json(cli, &json);
    }
    sx_cli_say("%-24s  %-58s  %-13s  %5s  %6s  %8s  %s\n", "alias", "hub", "kind", "dims", "tokens", "params", "licence");
    for (size_t i = 0; (model = sx_models_known(i)); i++)
        sx_cli_say("%-24s  %-58s  %-13s  %5u  %6u  %7.1fM  %s\n", model->alias ? model->alias : model->name, model->hub, model->kind,
                   model->dimensions, model->max_length, (double)model->millions, model->licence);
    return SX_EXIT_DONE;
}
