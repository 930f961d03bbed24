/* prices_and_limits.c - what is known of the vendors' models: sizes, limits of a request, prices, and the file that overrides it.
 *
 * Figures are those of the vendors' own reference and price pages in 2025, US dollars for a million input tokens. Where a vendor
 * sells packages (Jina) or the name is a user's own (Azure), the price is not known and nothing is assumed. Limits by the minute
 * depend on the account and come with each reply, so there are none here.
 */
#include "wire_internal.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

enum { UNPRICED = -1 };

typedef struct known_model {
    const char *service, *model;
    uint32_t dimensions; /* when nothing is asked */
    uint32_t most;       /* that may be asked for; 0: the service cannot change them */
    uint32_t max_tokens_of_text, max_tokens_of_request;
    double price;
} known_model;

static const known_model models[] = {
    {"openai", "text-embedding-3-small", 1536, 1536, 8192, 300000, 0.02},
    {"openai", "text-embedding-3-large", 3072, 3072, 8192, 300000, 0.13},
    {"openai", "text-embedding-ada-002", 1536, 0, 8192, 300000, 0.10},
    {"cohere", "embed-v4.0", 1536, 1536, 128000, 0, 0.12},
    {"cohere", "embed-english-v3.0", 1024, 0, 512, 0, 0.10},
    {"cohere", "embed-multilingual-v3.0", 1024, 0, 512, 0, 0.10},
    {"cohere", "embed-english-light-v3.0", 384, 0, 512, 0, 0.10},
    {"cohere", "embed-multilingual-light-v3.0", 384, 0, 512, 0, 0.10},
    {"voyage", "voyage-4-large", 1024, 2048, 32000, 120000, 0.12},
    {"voyage", "voyage-4", 1024, 2048, 32000, 320000, 0.06},
    {"voyage", "voyage-4-lite", 1024, 2048, 32000, 1000000, 0.02},
    {"voyage", "voyage-3-large", 1024, 2048, 32000, 120000, 0.18},
    {"voyage", "voyage-3.5", 1024, 2048, 32000, 320000, 0.06},
    {"voyage", "voyage-3.5-lite", 1024, 2048, 32000, 1000000, 0.02},
    {"voyage", "voyage-3", 1024, 0, 32000, 120000, 0.06},
    {"voyage", "voyage-3-lite", 512, 0, 32000, 120000, 0.02},
    {"voyage", "voyage-code-3", 1024, 2048, 32000, 120000, 0.18},
    {"voyage", "voyage-finance-2", 1024, 0, 32000, 120000, 0.12},
    {"voyage", "voyage-multilingual-2", 1024, 0, 32000, 120000, 0.12},
    {"voyage", "voyage-law-2", 1024, 0, 16000, 120000, 0.12},
    {"voyage", "voyage-code-2", 1536, 0, 16000, 120000, 0.12},
    {"jina", "jina-embeddings-v4", 2048, 2048, 32768, 0, UNPRICED},
    {"jina", "jina-embeddings-v3", 1024, 1024, 8192, 0, UNPRICED},
    {"jina", "jina-embeddings-v2-base-en", 768, 0, 8192, 0, UNPRICED},
    {"jina", "jina-embeddings-v2-base-code", 768, 0, 8192, 0, UNPRICED},
    {"gemini", "gemini-embedding-001", 3072, 3072, 2048, 0, 0.15},
    {"gemini", "gemini-embedding-2", 3072, 3072, 8192, 0, UNPRICED},
    {"mistral", "mistral-embed", 1024, 0, 8192, 16384, 0.10},
    {"mistral", "codestral-embed", 1536, 3072, 8192, 16384, 0.15},
};

/* What holds for every model of a service. */
static const struct {
    const char *service;
    sx_wire_limits limits;
    double price;
} services[] = {
    {"openai", {.max_texts = 2048, .max_tokens_of_text = 8192, .max_tokens_of_request = 300000}, UNPRICED},
    {"azure", {.max_texts = 2048, .max_tokens_of_text = 8192}, UNPRICED},
    {"cohere", {.max_texts = 96}, UNPRICED},
    {"voyage", {.max_texts = 1000, .max_tokens_of_request = 120000}, UNPRICED},
    {"jina", {.max_texts = 512}, UNPRICED},
    {"gemini", {.max_texts = 100}, UNPRICED},
    {"mistral", {.max_tokens_of_request = 16384}, UNPRICED},
    {"ollama", {0}, 0},
    {"tei", {.max_texts = 32}, 0}, /* its flag's default, where /info cannot be read */
    {"remote", {.max_texts = 64}, 0},
};

static sx_status read_number(const char *path, const char *name, const char *key, const json_t *value, double *number,
                             sx_error *error)
{
    double given = json_is_number(value) ? json_number_value(value) : -1;
    if (!(given >= 0) || !isfinite(given) || given > 4e9)
        return sx_fail(error, SX_E_FORMAT, "%s: models: %s: %s: expected a number of at least 0", path, name, key);
    *number = given;
    return SX_OK;
}

static sx_status read_tokenizer(sx_wire_target *target, const char *path, const char *name, const json_t *value, sx_error *error)
{
    const char *given = json_string_value(value);
    if (!given || !*given)
        return sx_fail(error, SX_E_FORMAT, "%s: models: %s: tokenizer: expected the name of a model or a file", path, name);
    free(target->tokenizer);
    target->tokenizer = sx_strdup(given);
    return target->tokenizer ? SX_OK : sx_fail_nomem(error, strlen(given));
}

static sx_status apply(sx_wire_target *target, const char *path, const char *name, const json_t *entry, sx_error *error)
{
    struct {
        const char *key;
        uint32_t *to;
    } counts[] = {
        {"dimensions", &target->model_dimensions},
        {"max_texts", &target->limits.max_texts},
        {"max_tokens_of_request", &target->limits.max_tokens_of_request},
        {"max_tokens_of_text", &target->limits.max_tokens_of_text},
        {"requests_per_minute", &target->limits.requests_per_minute},
        {"tokens_per_minute", &target->limits.tokens_per_minute},
    };
    if (!json_is_object(entry))
        return sx_fail(error, SX_E_FORMAT, "%s: models: %s: expected an object", path, name);
    void *at;
    for (at = json_object_iter((json_t *)entry); at; at = json_object_iter_next((json_t *)entry, at)) {
        const char *key = json_object_iter_key(at);
        double number = 0;
        if (strcmp(key, "tokenizer") == 0) {
            sx_status named = read_tokenizer(target, path, name, json_object_iter_value(at), error);
            if (named)
                return named;
            continue;
        }
        sx_status status = read_number(path, name, key, json_object_iter_value(at), &number, error);
        if (status)
            return status;
        if (strcmp(key, "price_per_million") == 0) {
            target->price = number;
            continue;
        }
        if (strcmp(key, "output_price_per_million") == 0) {
            target->output_price = number;
            continue;
        }
        size_t i = 0, count = sizeof counts / sizeof *counts;
        while (i < count && strcmp(counts[i].key, key) != 0)
            i++;
        if (i == count)
            return sx_fail(error, SX_E_FORMAT, "%s: models: %s: unknown member \"%s\"", path, name, key);
        if (number != floor(number))
            return sx_fail(error, SX_E_FORMAT, "%s: models: %s: %s: expected a whole number", path, name, key);
        *counts[i].to = (uint32_t)number;
    }
    return SX_OK;
}

/* General entries first, so that special ones win. */
static sx_status read_overrides(sx_wire_target *target, const char *path, sx_error *error)
{
    json_error_t problem;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &problem);
    if (!root)
        return sx_fail(error, SX_E_FORMAT, "%s: line %d: %s", path, problem.line, problem.text);
    const json_t *entries = json_object_get(root, "models");
    sx_status status = SX_OK;
    if (!json_is_object(entries))
        status = sx_fail(error, SX_E_FORMAT, "%s: expected an object with the member \"models\"", path);
    bool own = target->is_default_host || strcmp(target->service, "azure") == 0;
    for (int special = 0; special < 2 && !status; special++) {
        sx_buffer name = {0};
        sx_buffer_append_string(&name, target->service);
        if (!own)
            sx_buffer_printf(&name, "@%s", target->base_url);
        if (special || own)
            sx_buffer_printf(&name, "%c%s", own ? ':' : '#', special ? target->model : "*");
        if (name.failed)
            status = sx_fail_nomem(error, name.length);
        const json_t *entry = status ? NULL : json_object_get(entries, name.data);
        if (entry) {
            status = apply(target, path, name.data, entry, error);
            target->known = true;
        }
        sx_buffer_clear(&name);
    }
    json_decref(root);
    return status;
}

sx_status sx_wire_look_up(sx_wire_target *target, const char *overrides, sx_error *error)
{
    bool own = target->is_default_host || strcmp(target->service, "azure") == 0;
    target->price = target->output_price = UNPRICED;
    target->no_dimensions = target->form == &sx_wire_remote; /* it has no field for them */
    for (size_t i = 0; i < sizeof services / sizeof *services; i++)
        if (strcmp(services[i].service, target->service) == 0) {
            if (own || services[i].price == 0)
                target->limits = services[i].limits;
            target->price = services[i].price;
        }
    for (size_t i = 0; i < sizeof models / sizeof *models && target->is_default_host; i++) {
        const known_model *row = &models[i];
        if (strcmp(row->service, target->service) != 0 || strcmp(row->model, target->model) != 0)
            continue;
        target->known = true;
        target->model_dimensions = row->dimensions;
        target->limits.max_tokens_of_text = row->max_tokens_of_text;
        if (row->max_tokens_of_request)
            target->limits.max_tokens_of_request = row->max_tokens_of_request;
        target->price = row->price;
        target->most_dimensions = row->most ? row->most : row->dimensions;
        target->no_dimensions = row->most == 0;
    }
    return overrides && *overrides ? read_overrides(target, overrides, error) : SX_OK;
}

bool sx_wire_known_limits(const sx_wire_target *target, sx_wire_limits *limits, uint32_t *dimensions)
{
    *limits = target->limits;
    *dimensions = target->model_dimensions && target->dimensions ? target->dimensions : target->model_dimensions;
    return target->known;
}

double sx_wire_price(const sx_wire_target *target)
{
    return target->price;
}
