/* remote_counter.c - tokens of remote models for chunk budgets, rate limits and cost, without asking the service.
 *
 * OpenAI's text-embedding-3-large, -3-small and -ada-002 use cl100k_base without special tokens. Its published file of ranks is
 * installed apart (scripts/install-openai-ranks), so it may be missing; nothing but the estimate gets worse then.
 */
#include "remote_counter.h"
#include "token_estimate.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../model/model_folder.h"
#include "../model/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { KEPT_TOKENS = 1 << 18, SPECIAL_TOKENS = 2 };
static const char own_encoding[] = "cl100k_base";

typedef struct remote_counter {
    sx_tokenizer *tokenizer; /* NULL: bytes, or an estimate */
    sx_encoding scratch;
    char *name;              /* the tokenizer's */
    uint32_t limit, prompt;  /* of an estimate, which gives way to bytes; the prompt's bytes */
} remote_counter;

static size_t count_bytes(void *user, const char *text, size_t length, uint32_t *starts, size_t capacity)
{
    (void)user;
    size_t start = 0;
    for (size_t i = 0; starts && i < length && i < capacity; i++) {
        if (((unsigned char)text[i] & 0xc0) != 0x80) /* a code point is not cut, whatever its bytes count */
            start = i;
        starts[i] = (uint32_t)start;
    }
    return length;
}

static size_t count_estimated(void *user, const char *text, size_t length, uint32_t *starts, size_t capacity)
{
    (void)user;
    return sx_estimate_tokens(text, length, starts, capacity);
}

/* What might be too long is taken for it. */
static size_t count_estimated_whole(void *user, const char *text, size_t length)
{
    const remote_counter *counter = user;
    size_t most = length + counter->prompt + SPECIAL_TOKENS;
    return most > counter->limit ? most : sx_estimate_tokens(text, length, NULL, 0) + counter->prompt + SPECIAL_TOKENS;
}

static size_t count_tokens(void *user, const char *text, size_t length, uint32_t *starts, size_t capacity)
{
    remote_counter *counter = user;
    sx_encode_options options = {.size = sizeof options, .no_special = 1};
    if (sx_tokenizer_encode(counter->tokenizer, (sx_text){text, length}, &options, &counter->scratch, NULL))
        return SIZE_MAX;
    size_t count = counter->scratch.count;
    if (starts && count)
        memcpy(starts, counter->scratch.starts, (count < capacity ? count : capacity) * sizeof *starts);
    if (counter->scratch.capacity > KEPT_TOKENS)
        sx_encoding_clear(&counter->scratch);
    return count;
}

static bool has_cl100k(const char *service, const char *model)
{
    const char *slash = strrchr(model, '/'), *name = slash ? slash + 1 : model; /* routers put the vendor before it */
    bool speaks_openai = strcmp(service, "openai") == 0 || strcmp(service, "azure") == 0;
    return speaks_openai && (strncmp(name, "text-embedding-3-", 17) == 0 || strcmp(name, "text-embedding-ada-002") == 0);
}

/* OpenAI's ranks where they are installed; SX_E_NOT_FOUND where they are not. */
static sx_status open_ranks(remote_counter *own, const sx_places *places, const char *encoding, sx_error *error)
{
    char *path = NULL;
    if (!places || !places->models_folder)
        return sx_fail(error, SX_E_NOT_FOUND, "tokenizer %s: no folder of models to look for it", encoding);
    if (asprintf(&path, "%s/openai-ranks/%s.tiktoken", places->models_folder, encoding) < 0)
        return sx_fail_nomem(error, strlen(places->models_folder));
    sx_status status = sx_tokenizer_open(path, &own->tokenizer, error);
    free(path);
    return status;
}

static bool is_encoding(const char *name)
{
    static const char *const encodings[] = {"cl100k_base", "o200k_base", "p50k_base", "r50k_base"};
    size_t i = 0, count = sizeof encodings / sizeof *encodings;
    while (i < count && strcmp(encodings[i], name) != 0)
        i++;
    return i < count;
}

/* The tokenizer of a model that is here, and how many tokens that model takes. */
static sx_status open_model(remote_counter *own, const sx_places *places, const char *reference, uint32_t *limit, sx_error *error)
{
    char *folder = NULL;
    sx_model_folder model = {0};
    sx_status status = sx_models_resolve(places, reference, &folder, error);
    if (!status && sx_model_is_gguf(folder))
        status = sx_fail(error, SX_E_UNSUPPORTED, "tokenizer %s: a GGUF file's cannot be used for a remote model", reference);
    if (!status)
        status = sx_tokenizer_open(folder, &own->tokenizer, error);
    if (!status) {
        status = sx_model_folder_read(folder, &model, error);
        *limit = model.max_length;
        sx_model_folder_clear(&model);
    }
    free(folder);
    return status;
}

static sx_status open_named(remote_counter *own, const sx_places *places, const char *name, uint32_t *limit, sx_error *error)
{
    sx_status status;
    own->name = sx_strdup(name);
    if (!own->name)
        return sx_fail_nomem(error, strlen(name));
    if (is_encoding(name)) {
        status = open_ranks(own, places, name, error);
        if (status == SX_E_NOT_FOUND)
            sx_hint(error, "scripts/install-openai-ranks installs it");
        return status;
    }
    struct stat file;
    bool is_file = strchr(name, '/') && stat(name, &file) == 0 && S_ISREG(file.st_mode) && !sx_model_is_gguf(name);
    status = is_file ? sx_tokenizer_open(name, &own->tokenizer, error) : open_model(own, places, name, limit, error);
    if (status == SX_E_NOT_FOUND)
        sx_hint(error, "the tokenizer is that of a local model (`sextant models list`), a tokenizer.json, or cl100k_base");
    return status;
}

/* Special tokens that the tokenizer puts around any text. */
static sx_status count_special(remote_counter *own, sx_token_counter *counter, sx_error *error)
{
    sx_status status = sx_tokenizer_encode(own->tokenizer, (sx_text){"", 0}, NULL, &own->scratch, error);
    counter->special = status ? 0 : (uint32_t)own->scratch.count;
    return status;
}

sx_status sx_remote_counter_open(const sx_remote_counting *asked, sx_token_counter *counter, const char **name, sx_error *error)
{
    const char *prompt = asked->prompt ? asked->prompt : "";
    uint32_t limit_of_model = 0;
    sx_status status = SX_OK;
    remote_counter *own = sx_calloc(1, sizeof *own);
    *counter = (sx_token_counter){.count = count_bytes, .special = SPECIAL_TOKENS, .limit = asked->limit, .user = own};
    *name = "bytes";
    if (!own)
        return sx_fail_nomem(error, sizeof *own);
    if (asked->tokenizer && asked->tokenizer[0]) {
        status = open_named(own, asked->places, asked->tokenizer, &limit_of_model, error);
        *name = own->name;
        counter->limit = asked->limit ? asked->limit : limit_of_model;
    } else if (has_cl100k(asked->service, asked->model)) {
        status = open_ranks(own, asked->places, own_encoding, error);
        *name = status ? *name : own_encoding;
        status = status == SX_E_NOT_FOUND ? SX_OK : status; /* a damaged file is said, not passed over */
    }
    if (!status && own->tokenizer) {
        counter->count = count_tokens;
        status = count_special(own, counter, error);
    } else if (!status && asked->limit) {
        *name = "estimate";
        counter->count = count_estimated;
        counter->count_embedded = count_estimated_whole;
        own->limit = asked->limit;
        own->prompt = strlen(prompt) < UINT32_MAX / 2 ? (uint32_t)strlen(prompt) : UINT32_MAX / 2;
    }
    size_t of_prompt = !status && *prompt ? counter->count(own, prompt, strlen(prompt), NULL, 0) : 0;
    counter->prompt = of_prompt < UINT32_MAX ? (uint32_t)of_prompt : UINT32_MAX;
    if (status)
        sx_remote_counter_close(counter);
    return status;
}

bool sx_remote_counter_is_exact(const sx_token_counter *counter)
{
    const remote_counter *own = counter->user;
    return own && own->tokenizer;
}

void sx_remote_counter_close(sx_token_counter *counter)
{
    remote_counter *own = counter->user;
    if (own) {
        sx_tokenizer_close(own->tokenizer);
        sx_encoding_clear(&own->scratch);
        free(own->name);
    }
    free(own);
    *counter = (sx_token_counter){0};
}
