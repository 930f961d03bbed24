/* settings.c - named settings: environment, --env-file, .env of the working directory, configuration file.
 *
 * A .env that merely lies in the working directory came with a checkout: it may set keys, model and sizes, but not where texts
 * and keys are sent, nor which files are written. Files hold KEY=VALUE lines; `export`, quotes and # comments are understood.
 */
#include "settings.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SETTINGS_FILE = 1024 * 1024 };

/* What a .env of the working directory may set. */
static const char *const harmless[] = {
    "EMBEDDING_MODEL", "EMBEDDING_DIMENSIONS", "EMBEDDING_BATCH_SIZE", "CHUNK_SIZE", "OVERLAP_SIZE", "MAX_RESULTS", "HF_TOKEN",
    "COST_ALERT_USD", "EMBEDDING_TOKENIZER",
};
/* What would lead texts and keys elsewhere. */
static const char *const endpoints[] = {
    "EMBEDDING_PROVIDER", "EMBEDDING_SERVICE_URL", "OPENAI_BASE_URL", "AZURE_OPENAI_ENDPOINT", "OLLAMA_HOST", "HF_ENDPOINT",
    "COST_ALERT_URL",
    "SHARED_CACHE_URL", "SSL_CERT_FILE",
};
/* What says where things lie: left alone there, with a note. */
static const char *const places[] = {
    "SEXTANT_DB",          "DB_DIR",           "SEXTANT_MODELS", "SEXTANT_GRAMMARS", "COLLECTION_NAME",
    "EMBEDDING_CACHE_DIR", "EMBEDDING_DEVICE", "HF_HOME",        "HF_HUB_CACHE",
    "HF_TOKEN_PATH",       "SEXTANT_PRICES",      "LLM_MODEL",
};

static bool is_among(const char *key, const char *const *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}
#define IS_AMONG(key, keys) is_among(key, keys, sizeof keys / sizeof *keys)

static bool is_key_of_service(const char *key)
{
    size_t length = strlen(key), tail = strlen("_API_KEY");
    return length > tail && strcmp(key + length - tail, "_API_KEY") == 0;
}

static void clear_setting(sx_cli_setting *row)
{
    free(row->key);
    free(row->value);
    free(row->source);
    free(row->file);
}

static bool add(sx_cli_settings *settings, const char *key, const char *value, const char *file, size_t line)
{
    sx_cli_setting row = {.key = sx_strdup(key), .value = sx_strdup(value), .file = sx_strdup(file)};
    if (asprintf(&row.source, "%s in %s: line %zu", key, file, line) < 0)
        row.source = NULL;
    if (!row.key || !row.value || !row.source || !row.file ||
        !sx_reserve((void **)&settings->rows, &settings->capacity, settings->count + 1, sizeof row)) {
        clear_setting(&row);
        return false;
    }
    settings->rows[settings->count++] = row;
    return true;
}

/* Decodes the text behind the = in place. Returns NULL for an open quote or text behind a closing one. */
static char *decode_value(char *text)
{
    text += strspn(text, " \t");
    char quote = *text;
    if (quote != '"' && quote != '\'') {
        for (char *at = text; *at; at++)
            if (*at == '#' && (at == text || at[-1] == ' ' || at[-1] == '\t')) {
                *at = '\0';
                break;
            }
        size_t length = strlen(text);
        while (length && isspace((unsigned char)text[length - 1]))
            text[--length] = '\0';
        return text;
    }
    char *to = text, *from = text + 1;
    for (; *from && *from != quote; from++) {
        if (quote == '"' && *from == '\\' && from[1]) {
            from++;
            *to++ = *from == 'n' ? '\n' : *from == 't' ? '\t' : *from;
        } else {
            *to++ = *from;
        }
    }
    if (!*from)
        return NULL;
    from++;
    from += strspn(from, " \t");
    bool clean = !*from || *from == '#';
    *to = '\0';
    return clean ? text : NULL;
}

/* Splits one line; *key is NULL for an empty line or a comment. False when it is no KEY=VALUE. */
static bool split_line(char *line, char **key, char **value)
{
    *key = NULL;
    line += strspn(line, " \t");
    if (!*line || *line == '#')
        return true;
    if (strncmp(line, "export ", 7) == 0)
        line += 7 + strspn(line + 7, " \t");
    size_t length = strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    char *equals = line + length + strspn(line + length, " \t");
    if (length == 0 || isdigit((unsigned char)*line) || *equals != '=')
        return false;
    line[length] = '\0';
    *value = decode_value(equals + 1);
    *key = line;
    return *value != NULL;
}

typedef enum trust { TRUST_ALL, TRUST_LITTLE } trust;

/* The working directory's .env: decides whether a setting is taken. */
static bool may_set(sx_cli_settings *settings, const char *key, const char *value, size_t line)
{
    if (IS_AMONG(key, harmless) || is_key_of_service(key))
        return true;
    if (IS_AMONG(key, endpoints) && *value && !sx_cli_setting_value(settings, key, NULL) && !settings->refused) {
        settings->refused = true;
        snprintf(settings->refused_key, sizeof settings->refused_key, "%s", key);
        snprintf(settings->refused_source, sizeof settings->refused_source, ".env: line %zu", line);
    } else if (IS_AMONG(key, places)) {
        size_t used = strlen(settings->note);
        snprintf(settings->note + used, sizeof settings->note - used, "%s%s", used ? ", " : "", key);
    }
    return false;
}

static sx_status load_file(sx_cli_settings *settings, const char *path, trust how, bool optional, sx_error *error)
{
    char *data = NULL;
    size_t length = 0;
    sx_error problem;
    sx_status status = sx_file_read(path, MAX_SETTINGS_FILE, &data, &length, NULL, &problem);
    if (status) {
        if (optional && (status == SX_E_NOT_FOUND || how == TRUST_LITTLE))
            return SX_OK;
        return sx_fail(error, status, "settings: %s", problem.message);
    }
    char *at = data;
    for (size_t line = 1; at && !status; line++) {
        char *next = strchr(at, '\n'), *key, *value;
        if (next)
            *next++ = '\0';
        size_t end = strlen(at);
        if (end && at[end - 1] == '\r')
            at[end - 1] = '\0';
        if (line == 1 && strncmp(at, "\xef\xbb\xbf", 3) == 0)
            at += 3;
        bool good = split_line(at, &key, &value);
        if (!good && how == TRUST_ALL) {
            status = sx_fail(error, SX_E_FORMAT, "settings: %s: line %zu: expected KEY=VALUE", path, line);
            sx_hint(error, "values with spaces at the ends or # in them are put in quotes");
        } else if (good && key && (how == TRUST_ALL || may_set(settings, key, value, line))) {
            if (!add(settings, key, value, path, line))
                status = sx_fail_nomem(error, strlen(value));
        }
        at = next;
    }
    free(data);
    return status;
}

static char *default_config(void)
{
    const char *folder = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char *path = NULL;
    if (folder && folder[0] == '/')
        return sx_path_join(folder, "sextant/config");
    if (home && *home && asprintf(&path, "%s/.config/sextant/config", home) >= 0)
        return path;
    return NULL;
}

sx_status sx_cli_settings_load(sx_cli_settings *settings, const char *env_file, const char *config, sx_error *error)
{
    sx_status status = SX_OK;
    if (env_file)
        status = load_file(settings, env_file, TRUST_ALL, false, error);
    /* --env-file .env names it, and so trusts it. */
    if (!status)
        status = load_file(settings, ".env", TRUST_LITTLE, true, error);
    if (!status && config) {
        status = load_file(settings, config, TRUST_ALL, false, error);
    } else if (!status) {
        char *path = default_config();
        if (path)
            status = load_file(settings, path, TRUST_ALL, true, error);
        free(path);
    }
    return status;
}

void sx_cli_settings_clear(sx_cli_settings *settings)
{
    for (size_t i = 0; i < settings->count; i++)
        clear_setting(&settings->rows[i]);
    free(settings->rows);
    *settings = (sx_cli_settings){0};
}

const char *sx_cli_setting_value(sx_cli_settings *settings, const char *key, const char **source)
{
    const char *value = getenv(key);
    if (value && *value) {
        if (source)
            *source = key;
        return value;
    }
    for (size_t i = 0; i < settings->count; i++)
        if (strcmp(settings->rows[i].key, key) == 0 && *settings->rows[i].value) {
            if (source)
                *source = settings->rows[i].source;
            return settings->rows[i].value;
        }
    return NULL;
}

sx_status sx_cli_settings_check_endpoints(const sx_cli_settings *settings, sx_error *error)
{
    if (!settings->refused)
        return SX_OK;
    sx_fail(error, SX_E_INVALID, "%s: %s: a .env of the working directory may not say where texts and keys are sent",
            settings->refused_source, settings->refused_key);
    sx_hint(error, "if you trust this file, name it: --env-file .env");
    return SX_E_INVALID;
}
