/* run_transfer.c - `sextant collections export --to`, `import --from`, `copy`, `search --store`: collections in vector databases
 * of others. */
#include "collection_transfer.h"

#include "open_model.h"

#include "../base/error.h"

#include <ctype.h>
#include <string.h>

/* A name stands for the URL that VECTOR_STORE_URL_NAME says. */
static sx_status look_up_name(sx_cli *cli, const char *option, const char *name, const char **url, sx_error *error)
{
    char key[96] = "VECTOR_STORE_URL_";
    size_t used = strlen(key);
    for (const char *at = name; *at && used + 1 < sizeof key; at++)
        key[used++] = isalnum((unsigned char)*at) ? (char)toupper((unsigned char)*at) : '_';
    key[used] = '\0';
    *url = sx_cli_setting_value(&cli->settings, key, NULL);
    if (*url)
        return SX_OK;
    sx_fail(error, SX_E_INVALID, "--%s: %.80s is no URL, and %s is not set", option, name, key);
    sx_hint(error, "give a URL like postgresql://USER@HOST/DATABASE, or set %s to one (environment, --env-file)", key);
    return SX_E_INVALID;
}

sx_status sx_cli_read_store(sx_cli *cli, const char *option, bool from, sx_store_place *place, sx_error *error)
{
    const char *url = sx_cli_text(cli, option);
    if (!strstr(url, "://")) {
        sx_status status = look_up_name(cli, option, url, &url, error);
        if (status)
            return status;
    }
    const char *host = strstr(url, "://"), *at = strrchr(url, '@'), *colon = host ? strchr(host + 3, ':') : NULL;
    if (url == sx_cli_text(cli, option) && ((at && colon && colon < at) || strstr(url, "password="))) {
        sx_fail(error, SX_E_INVALID, "--%s: a password on the command line can be read by everyone on this machine", option);
        sx_hint(
            error,
            "leave it out of the URL and set VECTOR_STORE_API_KEY (environment, --env-file); PostgreSQL also reads ~/.pgpass");
        return SX_E_INVALID;
    }
    if (sx_cli_flag(cli, "offline"))
        return sx_fail(error, SX_E_NETWORK, "--%s: --offline is set, and a vector database is reached by the network", option);
    const char *own = from ? sx_cli_setting_value(&cli->settings, "VECTOR_STORE_FROM_API_KEY", NULL) : NULL;
    *place = (sx_store_place){.url = url, .key = own ? own : sx_cli_setting_value(&cli->settings, "VECTOR_STORE_API_KEY", NULL)};
    return SX_OK;
}

sx_status sx_cli_search_store(sx_cli *cli, sx_text query, const sx_search_options *options, sx_hits **hits, sx_error *error)
{
    sx_store_place place = {0};
    sx_store_info *info = NULL;
    sx_embedder *embedder = NULL;
    sx_search_options own = *options;
    own.mode = sx_cli_get(cli, "mode")->given ? options->mode : "semantic";
    sx_status status = sx_cli_read_store(cli, "store", false, &place, error);
    place.collection = options->collection;
    if (!status)
        status = sx_store_describe(&place, &info, error);
    bool given = sx_cli_get(cli, "model")->given;
    if (!status && !given && (!info->model || strchr(info->model, '@'))) {
        /* The database must not decide to which address the query goes. */
        status = sx_fail(error, SX_E_INVALID, "--store: %s %s", options->collection,
                         info->model ? "was made with a model at an address of its own" : "does not say which model made it");
        sx_hint(error, "name it with -m%s%.200s", info->model ? ": " : "", info->model ? info->model : "");
    }
    if (!status)
        status =
            sx_cli_open_model(cli, given ? NULL : info->model, "query", given ? 0 : info->dimensions, NULL, &embedder, error);
    if (!status)
        status = sx_search_store(&place, embedder, query, &own, hits, error);
    sx_embedder_close(embedder);
    sx_store_info_free(info);
    return status;
}

static sx_copy_options common_options(sx_cli *cli)
{
    return (sx_copy_options){.size = sizeof(sx_copy_options),
                             .progress = cli->progress ? sx_cli_report_progress : NULL,
                             .progress_user = cli,
                             .stop = sx_cli_stop_flag(),
                             .log = sx_cli_log,
                             .log_user = cli};
}

static sx_copy_options target_options(sx_cli *cli)
{
    sx_copy_options options = common_options(cli);
    options.element = sx_cli_text(cli, "element");
    options.index = sx_cli_text(cli, "index");
    options.m = (uint32_t)sx_cli_count(cli, "hnsw-m");
    options.ef_construction = (uint32_t)sx_cli_count(cli, "ef-construction");
    options.ef_search = (uint32_t)sx_cli_count(cli, "ef-search");
    options.lists = (uint32_t)sx_cli_count(cli, "lists");
    options.prune = sx_cli_flag(cli, "prune");
    return options;
}

static int report(sx_cli *cli, const char *verb, const char *name, const sx_copy_report *copy)
{
    char records[32], count[32], rest[32];
    sx_cli_end_progress(cli);
    if (cli->json) {
        sx_buffer json = {0};
        sx_buffer_append_byte(&json, '{');
        sx_cli_member_text(&json, verb, name);
        sx_cli_member_integer(&json, "records", copy->records);
        sx_cli_member_integer(&json, "left_out", copy->left_out);
        sx_cli_member_integer(&json, "count", copy->count);
        sx_cli_member_integer(&json, "extra", copy->extra);
        sx_cli_member_integer(&json, "pruned", copy->pruned);
        sx_cli_member_number(&json, "seconds", copy->seconds);
        sx_cli_member_number(&json, "records_per_second", copy->rate);
        sx_buffer_append_byte(&json, '}');
        return sx_cli_print_json(cli, &json);
    }
    if (cli->quiet)
        return SX_EXIT_DONE;
    sx_cli_human_count(copy->records, records);
    sx_cli_human_count(copy->count, count);
    sx_cli_say("%s: %s records in %.1f s (%.0f/s); %s are there\n", verb, records, copy->seconds, copy->rate, count);
    if (copy->left_out) {
        sx_cli_human_count(copy->left_out, rest);
        sx_cli_say("%s chunks without a vector were left out\n", rest);
    }
    if (copy->pruned) {
        sx_cli_human_count(copy->pruned, rest);
        sx_cli_say("%s records that the source does not hold were taken out\n", rest);
    }
    if (copy->extra) {
        sx_cli_human_count(copy->extra, rest);
        sx_cli_say("%s records there are not the source's; --prune takes such records out\n", rest);
    }
    return SX_EXIT_DONE;
}

int sx_cli_export_to_store(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    sx_store_place to;
    sx_copy_report copy = {0};
    const sx_copy_options options = target_options(cli);
    if (sx_cli_text(cli, "output"))
        return sx_cli_usage(cli, NULL, "collections export: --to a vector database or -o into a file, not both");
    sx_status status = sx_cli_read_store(cli, "to", false, &to, &error);
    to.collection = sx_cli_text(cli, "as");
    if (!status)
        status = sx_cli_open_database(cli, cli->db_path, false, &database, &error);
    if (!status) {
        sx_cli_install_signals();
        status = sx_collection_export_to(database, cli->arguments[0], &to, &options, &copy, &error);
    }
    sx_database_close(database);
    return status ? sx_cli_fail(cli, &error) : report(cli, "exported", cli->arguments[0], &copy);
}

int sx_cli_import_from_store(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    sx_store_place from;
    sx_copy_report copy = {0};
    const sx_copy_options options = common_options(cli);
    if (cli->argument_count > 1 || sx_cli_text(cli, "input"))
        return sx_cli_usage(cli, NULL, "collections import: --from a vector database or a file, not both");
    sx_status status = sx_cli_read_store(cli, "from", false, &from, &error);
    from.collection = sx_cli_text(cli, "as");
    if (!status)
        status = sx_cli_open_database(cli, cli->db_path, true, &database, &error);
    if (!status) {
        sx_cli_install_signals();
        status = sx_collection_import_from(database, cli->arguments[0], &from, &options, &copy, &error);
    }
    sx_database_close(database);
    return status ? sx_cli_fail(cli, &error) : report(cli, "imported", cli->arguments[0], &copy);
}

int sx_cli_collections_copy(sx_cli *cli)
{
    sx_error error = {0};
    sx_store_place from, to;
    sx_copy_report copy = {0};
    const sx_copy_options options = target_options(cli);
    if (!sx_cli_text(cli, "from") || !sx_cli_text(cli, "to"))
        return sx_cli_usage(cli, NULL, "collections copy: --from URL and --to URL say where it is and where it goes");
    sx_status status = sx_cli_read_store(cli, "from", true, &from, &error);
    if (!status)
        status = sx_cli_read_store(cli, "to", false, &to, &error);
    if (!status) {
        from.collection = cli->arguments[0];
        to.collection = sx_cli_text(cli, "as");
        sx_cli_install_signals();
        status = sx_collection_copy(&from, &to, &options, &copy, &error);
    }
    return status ? sx_cli_fail(cli, &error) : report(cli, "copied", cli->arguments[0], &copy);
}
