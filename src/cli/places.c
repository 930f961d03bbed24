/* places.c - where the database, the models and the cache lie, and which model is meant. */
#include "remote_choice.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *home(void)
{
    const char *folder = getenv("HOME");
    if (folder && *folder)
        return folder;
    const struct passwd *user = getpwuid(getuid());
    return user && user->pw_dir && *user->pw_dir ? user->pw_dir : "/";
}

/* $VARIABLE/below, or ~/fallback/below. A relative XDG path is invalid by its specification and counts as unset. */
static char *xdg(const char *variable, const char *fallback, const char *below)
{
    const char *folder = getenv(variable);
    if (folder && folder[0] == '/')
        return sx_path_join(folder, below);
    char *path = NULL;
    return asprintf(&path, "%s/%s/%s", home(), fallback, below) < 0 ? NULL : path;
}

static char *hub_cache(sx_cli_settings *settings)
{
    const char *hub = sx_cli_setting_value(settings, "HF_HUB_CACHE", NULL);
    if (hub)
        return sx_strdup(hub);
    const char *folder = sx_cli_setting_value(settings, "HF_HOME", NULL);
    return folder ? sx_path_join(folder, "hub") : xdg("XDG_CACHE_HOME", ".cache", "huggingface/hub");
}

sx_status sx_cli_find_places(sx_cli *cli, sx_error *error)
{
    sx_cli_settings *settings = &cli->settings;
    const char *folder = sx_cli_setting_value(settings, "DB_DIR", NULL), *db = sx_cli_text(cli, "db");
    const char *cache = sx_cli_setting_value(settings, "EMBEDDING_CACHE_DIR", NULL);
    const char *models = sx_cli_setting_value(settings, "SEXTANT_MODELS", NULL);
    if (db && !*db)
        return sx_fail(error, SX_E_INVALID, "--db: the name of the database is empty");
    cli->db_path = db       ? sx_strdup(db)
                   : folder ? sx_path_join(folder, "sextant.db")
                            : xdg("XDG_DATA_HOME", ".local/share", "sextant/sextant.db");
    bool moved = cache && !sx_cli_get(cli, "db")->given;
    cli->cache_path = moved ? sx_path_join(cache, "sextant.db") : cli->db_path ? sx_strdup(cli->db_path) : NULL;
    cli->cache_folder = cache ? sx_strdup(cache) : xdg("XDG_CACHE_HOME", ".cache", "sextant");
    cli->models_folder = models ? sx_strdup(models) : xdg("XDG_DATA_HOME", ".local/share", "sextant/models");
    cli->hub_cache = hub_cache(settings);
    const char *grammars = sx_cli_setting_value(settings, "SEXTANT_GRAMMARS", NULL);
    cli->grammars_path = grammars ? sx_strdup(grammars) : xdg("XDG_DATA_HOME", ".local/share", "sextant/grammars.so");
    if (cli->grammars_path && !grammars && !sx_file_exists(cli->grammars_path)) {
        free(cli->grammars_path); /* one that is named must be there; without any, code is cut by lines */
        cli->grammars_path = NULL;
    }
    if (!cli->db_path || !cli->cache_path || !cli->cache_folder || !cli->models_folder || !cli->hub_cache)
        return sx_fail_nomem(error, 4096);
    cli->places = (sx_places){.size = sizeof cli->places,
                              .models_folder = cli->models_folder,
                              .hub_cache = cli->hub_cache,
                              .cache_folder = cli->cache_folder};
    return SX_OK;
}

sx_status sx_cli_make_folder_of(const char *path, sx_error *error)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return SX_OK;
    char *folder = sx_strndup(path, (size_t)(slash - path));
    if (!folder)
        return sx_fail_nomem(error, strlen(path));
    sx_status status = sx_make_folders(folder, error);
    free(folder);
    return status;
}

sx_status sx_cli_open_database(sx_cli *cli, const char *path, bool create, sx_database **out, sx_error *error)
{
    *out = NULL;
    sx_status status = create ? sx_cli_make_folder_of(path, error) : SX_OK;
    if (status)
        return status;
    sx_database_options options = {.size = sizeof options, .must_exist = !create, .log = sx_cli_log, .log_user = cli};
    status = sx_database_open(path, &options, out, error);
    if (status == SX_E_NOT_FOUND && !create && !error->hint[0])
        sx_hint(error, "`sextant index PATH` makes one; --db or SEXTANT_DB names another");
    return status;
}

sx_status sx_cli_check_reference(const char *reference, sx_error *error)
{
    return sx_cli_require_local(reference, error);
}

sx_status sx_cli_model_reference(sx_cli *cli, char **reference, sx_error *error)
{
    const sx_cli_value *model = sx_cli_get(cli, "model");
    bool takes_remote = sx_cli_get(cli, "max-concurrent")->option != NULL;
    sx_status status = sx_cli_provider_reference(cli, reference, error);
    if (!status && !takes_remote)
        status = sx_cli_require_local(*reference ? *reference : model->text, error);
    if (status) {
        free(*reference);
        *reference = NULL;
    }
    if (status || *reference)
        return status;
    /* A collection remembers its model: a path must mean the same from any working directory. */
    bool is_path = !sx_models_is_remote(model->text) &&
                   (model->text[0] == '.' || (strchr(model->text, '/') && sx_file_exists(model->text)));
    *reference = is_path ? realpath(model->text, NULL) : NULL;
    if (!*reference)
        *reference = sx_strdup(model->text);
    return *reference ? SX_OK : sx_fail_nomem(error, strlen(model->text));
}
