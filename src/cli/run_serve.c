/* run_serve.c - `sextant serve`: flags and settings into what the server wants to know. */
#include "cli.h"
#include "money.h"
#include "remote_choice.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../base/process_limits.h"
#include "../server/server.h"

#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TOKENS_A_THREAD = 512, FEWEST_BATCH_TOKENS = 1024, ARENAS = 2, LARGE_BLOCK = 1 << 20 };

static void say_ready(void *user, unsigned port)
{
    sx_cli *cli = user;
    const char *path = sx_cli_text(cli, "uds-path");
    if (port)
        sx_cli_note(cli, "serving at http://%s:%u (stop with Ctrl-C)", sx_cli_text(cli, "host"), port);
    if (path)
        sx_cli_note(cli, "serving at %s", path);
}

/* glibc gives each thread an arena of its own, keeps what requests took, and learns from large blocks to keep larger ones: what
 * is resident would creep up for hours. */
static void bound_allocator(void)
{
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, ARENAS);
    mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
    mallopt(M_TRIM_THRESHOLD, 8 * LARGE_BLOCK);
#endif
}

/* The models of -m, each made the same from any working directory; else the one of the settings. */
static sx_status read_models(sx_cli *cli, const char ***out, size_t *count, sx_error *error)
{
    const sx_cli_value *given = sx_cli_get(cli, "model");
    *count = given->all_count ? given->all_count : 1;
    const char **list = *out = sx_calloc(*count, sizeof *list);
    if (!list)
        return sx_fail_nomem(error, *count * sizeof *list);
    if (given->all_count) {
        memcpy(list, given->all, *count * sizeof *list);
        return SX_OK;
    }
    char *reference = NULL;
    sx_status status = sx_cli_model_reference(cli, &reference, error);
    list[0] = reference;
    return status;
}

/* Remote models share one set of keys and limits: those of the first. */
static sx_status read_remote(sx_cli *cli, const char *const *models, size_t count, sx_remote_options *remote, sx_error *error)
{
    for (size_t i = 0; i < count; i++) {
        const char *equals = strchr(models[i], '='), *reference = equals ? equals + 1 : models[i];
        if (!sx_models_is_remote(reference))
            continue;
        sx_status status = sx_cli_read_remote(cli, reference, remote, error);
        return status ? status : sx_cli_read_money(cli, remote, error);
    }
    return SX_OK;
}

static sx_status open_log(sx_cli *cli, int *descriptor, sx_error *error)
{
    const char *path = sx_cli_text(cli, "access-log");
    *descriptor = -1;
    if (!path)
        return SX_OK;
    if (strcmp(path, "-") == 0)
        *descriptor = dup(STDOUT_FILENO);
    else
        *descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return *descriptor < 0 ? sx_fail_errno(error, errno, "%s: cannot be written", path) : SX_OK;
}

static sx_token_ids read_token_ids(const sx_cli *cli)
{
    const char *given = sx_cli_text(cli, "token-ids");
    return strcmp(given, "model") == 0    ? SX_TOKEN_IDS_MODEL
           : strcmp(given, "cl100k") == 0 ? SX_TOKEN_IDS_CL100K
                                          : SX_TOKEN_IDS_REFUSE;
}

static double seconds_of(const sx_cli *cli, const char *option)
{
    return sx_cli_get(cli, option)->number;
}

static sx_status check_seconds(const sx_cli *cli, sx_error *error)
{
    static const char *const names[] = {"read-timeout", "idle-timeout", "grace", "idle-unload"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (seconds_of(cli, names[i]) < 0 || (i < 2 && seconds_of(cli, names[i]) <= 0))
            return sx_fail(error, SX_E_INVALID, "--%s: %s is no time", names[i], sx_cli_text(cli, names[i]));
    return SX_OK;
}

/* NAME=PATH of --source; the names are cut out of *texts. */
static sx_status read_sources(sx_cli *cli, sx_index_source **out, char ***texts, size_t *count, sx_error *error)
{
    const sx_cli_value *given = sx_cli_get(cli, "source");
    sx_index_source *list = *out = sx_calloc(given->all_count + 1, sizeof *list);
    *texts = sx_calloc(given->all_count + 1, sizeof **texts);
    if (!list || !*texts)
        return sx_fail_nomem(error, given->all_count * sizeof *list);
    for (*count = 0; *count < given->all_count; ++*count) {
        const char *text = given->all[*count], *equals = strchr(text, '=');
        if (!equals || equals == text || !equals[1])
            return sx_fail(error, SX_E_INVALID, "--source '%s': not NAME=PATH", text);
        char *name = (*texts)[*count] = sx_strndup(text, (size_t)(equals - text));
        if (!name)
            return sx_fail_nomem(error, strlen(text));
        if (access(equals + 1, R_OK))
            return sx_fail_errno(error, errno, "--source %s: %s", name, equals + 1);
        for (size_t i = 0; i < *count; i++)
            if (strcmp(list[i].name, name) == 0)
                return sx_fail(error, SX_E_EXISTS, "--source %s: the name is given twice", name);
        list[*count] = (sx_index_source){name, equals + 1};
    }
    return SX_OK;
}

static sx_http_options http_options(const sx_cli *cli)
{
    uint64_t body = sx_cli_count(cli, "max-body");
    bool only_unix = sx_cli_text(cli, "uds-path") && !sx_cli_get(cli, "host")->given && !sx_cli_get(cli, "port")->given;
    return (sx_http_options){
        .host = only_unix ? NULL : sx_cli_text(cli, "host"),
        .port = sx_cli_text(cli, "port"),
        .unix_path = sx_cli_text(cli, "uds-path"),
        .max_connections = (unsigned)sx_cli_count(cli, "max-connections"),
        .max_handlers = (unsigned)sx_cli_count(cli, "max-concurrent-requests"),
        .max_head = 32 * 1024,
        .max_body_memory = body > UINT64_MAX / 8 ? body : body * 8,
        .read_seconds = seconds_of(cli, "read-timeout"),
        .write_seconds = 30,
        .idle_seconds = seconds_of(cli, "idle-timeout"),
        .grace_seconds = seconds_of(cli, "grace"),
    };
}

int sx_cli_serve(sx_cli *cli)
{
    sx_error error = {0};
    const char **models = NULL;
    size_t count = 0, source_count = 0;
    sx_index_source *sources = NULL;
    char **source_names = NULL;
    char *ranks = NULL;
    sx_remote_options remote = {0};
    int log = -1;
    unsigned threads = (unsigned)sx_cli_count(cli, "threads");
    uint64_t tokens = sx_cli_count(cli, "max-batch-tokens");
    if (!threads)
        threads = sx_core_count();
    if (!tokens)
        tokens =
            (uint64_t)threads * TOKENS_A_THREAD > FEWEST_BATCH_TOKENS ? (uint64_t)threads * TOKENS_A_THREAD : FEWEST_BATCH_TOKENS;
    sx_status status = check_seconds(cli, &error);
    if (!status)
        status = read_models(cli, &models, &count, &error);
    if (!status)
        status = read_remote(cli, models, count, &remote, &error);
    if (!status)
        status = read_sources(cli, &sources, &source_names, &source_count, &error);
    if (!status)
        status = open_log(cli, &log, &error);
    if (!status && asprintf(&ranks, "%s/openai-ranks/cl100k_base.tiktoken", cli->models_folder ? cli->models_folder : ".") < 0) {
        ranks = NULL;
        status = sx_fail_nomem(&error, 64);
    }
    if (!status) {
        const sx_cli_value *origins = sx_cli_get(cli, "cors-allow-origin");
        sx_server_options options = {
            .http = http_options(cli),
            .models = {.references = models,
                       .count = count,
                       .embedder = {.size = sizeof options.models.embedder,
                                    .places = cli->places,
                                    .max_length = (uint32_t)sx_cli_count(cli, "max-length"),
                                    .threads = threads,
                                    .precision = sx_cli_text(cli, "precision"),
                                    .storage = sx_cli_text(cli, "storage"),
                                    .remote = remote},
                       .batcher = {.max_batch_tokens = (uint32_t)tokens,
                                   .max_queue_tokens = sx_cli_count(cli, "max-queue-tokens"),
                                   .threads = threads},
                       .idle_seconds = seconds_of(cli, "idle-unload"),
                       .max_memory = sx_cli_count(cli, "max-model-memory"),
                       .any_name = sx_cli_flag(cli, "any-model-name"),
                       .cache = cli->cache_path,
                       .log = sx_cli_log,
                       .log_user = cli},
            .database = cli->db_path,
            .sources = sources,
            .source_count = source_count,
            .key_file = sx_cli_text(cli, "api-key-file"),
            .allow_unauthenticated = sx_cli_flag(cli, "allow-unauthenticated"),
            .allow_origins = origins->all,
            .allow_origin_count = origins->all_count,
            .token_ids = read_token_ids(cli),
            .cl100k_path = ranks,
            .auto_truncate = !sx_cli_flag(cli, "no-auto-truncate"),
            .max_body = sx_cli_count(cli, "max-body"),
            .max_inputs = (size_t)sx_cli_count(cli, "max-client-batch-size"),
            .access_log = log,
            .ready = say_ready,
            .log = sx_cli_log,
            .user = cli,
        };
        bound_allocator();
        status = sx_server_run(&options, getenv("NOTIFY_SOCKET"), &error);
    }
    if (log >= 0)
        close(log);
    if (!sx_cli_get(cli, "model")->all_count && models)
        free((void *)models[0]);
    for (size_t i = 0; source_names && i < sx_cli_get(cli, "source")->all_count; i++)
        free(source_names[i]);
    free(source_names);
    free(sources);
    free(models);
    free(ranks);
    if (status != SX_E_STOPPED)
        return status ? sx_cli_fail(cli, &error) : SX_EXIT_DONE;
    /* Threads that did not end in time still use what would be freed on the way out. */
    sx_cli_warn(cli, "%s", error.message);
    fflush(NULL);
    _exit(SX_EXIT_DONE);
}
