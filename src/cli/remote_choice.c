/* remote_choice.c - models that run elsewhere: which one the settings mean, its address, its key, and how hard it may be asked.
 *
 * Keys come from the environment or settings files only, never from a flag: arguments can be read by everybody on the machine.
 */
#include "remote_choice.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

/* Settings of a service; a second name where people know one. */
static const struct {
    const char *service, *key, *other_key, *url;
} services[] = {
    {"openai", "OPENAI_API_KEY", NULL, "OPENAI_BASE_URL"},
    {"azure", "AZURE_OPENAI_API_KEY", "AZURE_API_KEY", "AZURE_OPENAI_ENDPOINT"},
    {"cohere", "COHERE_API_KEY", "CO_API_KEY", NULL},
    {"voyage", "VOYAGE_API_KEY", "VOYAGEAI_API_KEY", NULL},
    {"jina", "JINA_API_KEY", NULL, NULL},
    {"gemini", "GEMINI_API_KEY", "GOOGLE_API_KEY", NULL},
    {"mistral", "MISTRAL_API_KEY", NULL, NULL},
    {"ollama", "OLLAMA_API_KEY", NULL, "OLLAMA_HOST"},
    {"tei", "TEI_API_KEY", NULL, "EMBEDDING_SERVICE_URL"},
    {"remote", "EMBEDDING_SERVICE_API_KEY", NULL, "EMBEDDING_SERVICE_URL"},
};

static size_t service_of(const char *reference)
{
    size_t i = 0, length = strcspn(reference, ":@");
    while (i < sizeof services / sizeof *services &&
           (strlen(services[i].service) != length || strncmp(services[i].service, reference, length) != 0))
        i++;
    return i;
}

const char *sx_cli_key_setting(const char *reference)
{
    size_t which = service_of(reference);
    return which < sizeof services / sizeof *services ? services[which].key : "";
}

static const char *setting(sx_cli *cli, const char *name)
{
    return name ? sx_cli_setting_value(&cli->settings, name, NULL) : NULL;
}

/* The file of prices and limits: the one that is named, or the usual one where it exists. */
static sx_status find_prices(sx_cli *cli, sx_error *error)
{
    const char *named = setting(cli, "SEXTANT_PRICES"), *folder = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (cli->prices_path)
        return SX_OK;
    if (named) {
        if (!sx_file_exists(named))
            return sx_fail(error, SX_E_NOT_FOUND, "SEXTANT_PRICES: %s: not found", named);
        cli->prices_path = sx_strdup(named);
        return cli->prices_path ? SX_OK : sx_fail_nomem(error, strlen(named));
    }
    bool moved = folder && folder[0] == '/';
    if (!moved && (!home || !*home))
        return SX_OK;
    cli->prices_path = sx_path_join(moved ? folder : home, moved ? "sextant/prices.json" : ".config/sextant/prices.json");
    if (!cli->prices_path)
        return sx_fail_nomem(error, 4096);
    if (!sx_file_exists(cli->prices_path)) {
        free(cli->prices_path);
        cli->prices_path = NULL;
    }
    return SX_OK;
}

sx_status sx_cli_read_remote(sx_cli *cli, const char *reference, sx_remote_options *options, sx_error *error)
{
    *options = (sx_remote_options){0};
    if (!sx_models_is_remote(reference))
        return SX_OK;
    if (sx_cli_flag(cli, "offline")) {
        sx_fail(error, SX_E_NETWORK, "model %s: --offline is set, and it is reached by the network", reference);
        sx_hint(error, "use a local model: -m minilm, or -m FOLDER");
        return SX_E_NETWORK;
    }
    sx_status status = find_prices(cli, error);
    size_t which = service_of(reference);
    if (status || which == sizeof services / sizeof *services)
        return status;
    const sx_cli_value *timeout = sx_cli_get(cli, "timeout");
    if (timeout->text && !(timeout->number > 0))
        return sx_fail(error, SX_E_INVALID, "--timeout: '%s' is not above 0", timeout->text);
    const char *key = setting(cli, services[which].key);
    *options = (sx_remote_options){
        .size = sizeof *options,
        .api_key = key ? key : setting(cli, services[which].other_key),
        .base_url = setting(cli, services[which].url),
        .api_version = setting(cli, "AZURE_OPENAI_API_VERSION"),
        .ca_file = setting(cli, "SSL_CERT_FILE"),
        .overrides = cli->prices_path,
        .max_concurrent = (unsigned)sx_cli_count(cli, "max-concurrent"),
        .requests_per_minute = (uint32_t)sx_cli_count(cli, "requests-per-minute"),
        .tokens_per_minute = (uint32_t)sx_cli_count(cli, "tokens-per-minute"),
        .timeout_s = timeout->number,
        .tokenizer = sx_cli_has(cli, "tokenizer") ? sx_cli_text(cli, "tokenizer") : setting(cli, "EMBEDDING_TOKENIZER"),
    };
    if (!options->api_version)
        options->api_version = setting(cli, "OPENAI_API_VERSION");
    return SX_OK;
}

sx_status sx_cli_read_fallback(sx_cli *cli, sx_embedder_options *options, sx_error *error)
{
    if (!sx_cli_has(cli, "fallback")) /* eval's --split is another */
        return SX_OK;
    const char *model = sx_cli_text(cli, "fallback");
    options->split = (unsigned)sx_cli_count(cli, "split");
    options->split_schedule = sx_cli_flag(cli, "split-schedule");
    if (!model) {
        if (sx_cli_text(cli, "split") || options->split_schedule)
            return sx_fail(error, SX_E_INVALID, "--split and --split-schedule: which model takes the other part? (--fallback MODEL)");
        return SX_OK;
    }
    options->fallback = model;
    return sx_cli_read_remote(cli, model, &options->fallback_remote, error);
}

/* EMBEDDING_PROVIDER=remote: the service at EMBEDDING_SERVICE_URL, with a name only when one was set. */
static sx_status service_reference(sx_cli *cli, const sx_cli_value *model, const char *source, char **reference, sx_error *error)
{
    const char *url = setting(cli, "EMBEDDING_SERVICE_URL");
    if (!url) {
        sx_fail(error, SX_E_INVALID, "%s: 'remote': no URL of the service was given", source);
        sx_hint(error, "set EMBEDDING_SERVICE_URL");
        return SX_E_INVALID;
    }
    if (asprintf(reference, "remote@%s%s%s", url, model->source ? "#" : "", model->source ? model->text : "") < 0)
        *reference = NULL;
    return *reference ? SX_OK : sx_fail_nomem(error, strlen(url));
}

sx_status sx_cli_provider_reference(sx_cli *cli, char **reference, sx_error *error)
{
    const sx_cli_value *model = sx_cli_get(cli, "model");
    const char *source = NULL, *provider = sx_cli_setting_value(&cli->settings, "EMBEDDING_PROVIDER", &source);
    *reference = NULL;
    if (model->given || !provider || strcmp(provider, "local") == 0)
        return SX_OK;
    size_t which = service_of(provider);
    if (which == sizeof services / sizeof *services || strpbrk(provider, ":@"))
        return sx_fail(error, SX_E_INVALID, "%s: '%s' is not one of local, openai, remote", source, provider);
    if (model->source && sx_models_is_remote(model->text))
        return SX_OK; /* not a bare name: it says itself where it runs */
    if (strcmp(provider, "remote") == 0)
        return service_reference(cli, model, source, reference, error);
    if (!model->source) {
        sx_fail(error, SX_E_INVALID, "%s: '%s': which of its models?", source, provider);
        sx_hint(error, "set EMBEDDING_MODEL, or give -m %s:NAME", provider);
        return SX_E_INVALID;
    }
    if (asprintf(reference, "%s:%s", provider, model->text) < 0)
        *reference = NULL;
    return *reference ? SX_OK : sx_fail_nomem(error, strlen(model->text));
}

sx_status sx_cli_require_local(const char *reference, sx_error *error)
{
    if (!sx_models_is_remote(reference))
        return SX_OK;
    sx_fail(error, SX_E_UNSUPPORTED, "model %s: it runs elsewhere, and this needs a model on this machine", reference);
    sx_hint(error, "use a local model: -m minilm, or -m FOLDER");
    return SX_E_UNSUPPORTED;
}

sx_status sx_cli_check_shared_cache(const sx_cli *cli, sx_error *error)
{
    const sx_cli_value *value = sx_cli_get(cli, "shared-cache");
    const char *user = value->given ? strstr(value->text, "://") : NULL;
    const char *at = user ? strrchr(user, '@') : NULL, *colon = user ? strchr(user + 3, ':') : NULL;
    if (!user || (!(at && colon && colon < at) && !strstr(user, "password=")))
        return SX_OK;
    sx_fail(error, SX_E_INVALID, "--shared-cache: a password on the command line can be read by everyone on this machine");
    sx_hint(error, "put the URL into the setting SHARED_CACHE_URL (environment, --env-file); PostgreSQL also reads ~/.pgpass");
    return SX_E_INVALID;
}
