/* wire.c - from a model reference and settings to a service's address and form; requests begun, space and recipe described.
 *
 * References: SERVICE:NAME at the vendor's own address (or the one of the settings), SERVICE@URL or SERVICE@URL#NAME anywhere
 * else.
 */
#include "wire_internal.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/hash.h"
#include "../base/json_writer.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../text/encoding.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static const struct {
    const char *service;
    const sx_wire_form *form;
    const char *host;         /* the vendor's own; NULL: every user has another */
    const char *suffix;       /* of URLs people copy: taken off */
    bool one_model;           /* needs no name */
    bool keyless;             /* the own address needs no key */
    sx_wire_role_namer *role; /* NULL: no field for it */
} services[] = {
    {"openai", &sx_wire_openai, "https://api.openai.com/v1", "/embeddings", false, false, NULL},
    {"azure", &sx_wire_azure, NULL, "/openai", false, false, NULL},
    {"cohere", &sx_wire_cohere, "https://api.cohere.com", "/v2", false, false, sx_wire_role_cohere},
    {"voyage", &sx_wire_voyage, "https://api.voyageai.com/v1", "/embeddings", false, false, sx_wire_role_voyage},
    {"jina", &sx_wire_jina, "https://api.jina.ai/v1", "/embeddings", false, false, sx_wire_role_jina},
    {"gemini", &sx_wire_gemini, "https://generativelanguage.googleapis.com/v1beta", "/models", false, false, sx_wire_role_gemini},
    {"mistral", &sx_wire_mistral, "https://api.mistral.ai/v1", "/embeddings", false, false, NULL},
    {"ollama", &sx_wire_ollama, "http://127.0.0.1:11434", "/api", false, true, NULL},
    {"tei", &sx_wire_tei, NULL, "/embed", true, true, sx_wire_role_tei},
    {"remote", &sx_wire_remote, NULL, "/embed", true, true, NULL},
};
enum { SERVICE_COUNT = sizeof services / sizeof *services, LONGEST_URL = 2048, LONGEST_KEY = 4096 };

static size_t service_of(const char *reference)
{
    size_t i = 0;
    for (; reference && i < SERVICE_COUNT; i++) {
        size_t length = strlen(services[i].service);
        if (strncmp(reference, services[i].service, length) == 0 && (reference[length] == ':' || reference[length] == '@'))
            return i;
    }
    return SERVICE_COUNT;
}

bool sx_wire_is_remote(const char *reference)
{
    return reference && service_of(reference) < SERVICE_COUNT;
}

int sx_models_is_remote(const char *reference)
{
    return sx_wire_is_remote(reference);
}

/* ---- Targets ---- */

/* OLLAMA_HOST is often "0.0.0.0" or "host:port", as the server itself takes it. */
static char *ollama_url(const char *host)
{
    char *url = NULL;
    if (strstr(host, "://"))
        return sx_strdup(host);
    bool everywhere = strncmp(host, "0.0.0.0", 7) == 0;
    const char *rest = everywhere ? host + 7 : host;
    bool port = strchr(rest, ':') != NULL;
    return asprintf(&url, "http://%s%s%s", everywhere ? "127.0.0.1" : "", rest, port ? "" : ":11434") < 0 ? NULL : url;
}

/* Checks a base URL and brings it into one form: no slash at the end, scheme and host in lower case. */
static sx_status tidy_url(const char *given, const char *service, const char *suffix, char **out, sx_error *error)
{
    *out = NULL;
    size_t length = strlen(given);
    bool secure = strncasecmp(given, "https://", 8) == 0, plain = strncasecmp(given, "http://", 7) == 0;
    const char *scheme = strstr(given, "://"), *host = scheme ? scheme + 3 : given;
    int shown = (int)strcspn(given, "?#") < 200 ? (int)strcspn(given, "?#") : 200; /* what follows may hold a key */
    if (memchr(host, '@', strcspn(host, "/?#"))) {
        sx_fail(error, SX_E_INVALID, "%s: the URL holds a user name or password", service);
        sx_hint(error, "keys are given in the environment; URLs are stored and shown");
        return SX_E_INVALID;
    }
    if (!secure && !plain)
        return sx_fail(error, SX_E_INVALID, "%s: '%.*s' is no http:// or https:// URL", service, shown, given);
    if (length > LONGEST_URL || !*host || strchr("/:?#", *host))
        return sx_fail(error, SX_E_INVALID, "%s: '%.*s' is no usable URL", service, shown, given);
    for (const char *at = given; *at; at++)
        if ((unsigned char)*at <= ' ' || (unsigned char)*at >= 0x7f || strchr("\"<>\\^`{|}?#", *at))
            return sx_fail(error, SX_E_INVALID, "%s: '%.*s' is no usable base URL: byte %zu", service, shown, given,
                           (size_t)(at - given));
    char *url = sx_strdup(given);
    if (!url)
        return sx_fail_nomem(error, length);
    size_t authority = (size_t)(host - given) + strcspn(host, "/");
    for (size_t i = 0; i < authority; i++)
        url[i] = (char)tolower((unsigned char)url[i]);
    while (length > authority && url[length - 1] == '/')
        url[--length] = '\0';
    size_t tail = strlen(suffix);
    if (length > authority + tail - 1 && strcmp(url + length - tail, suffix) == 0)
        url[length - tail] = '\0';
    *out = url;
    return SX_OK;
}

/* A key is one word of ASCII; spaces and line ends around it come from files it was copied from. */
static sx_status take_key(sx_wire_target *target, const char *given, sx_error *error)
{
    if (!given)
        return SX_OK;
    given += strspn(given, " \t\r\n");
    size_t length = strlen(given);
    while (length && isspace((unsigned char)given[length - 1]))
        length--;
    if (!length)
        return SX_OK;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)given[i] <= ' ' || (unsigned char)given[i] >= 0x7f)
            return sx_fail(error, SX_E_INVALID, "%s: the API key holds a character that no key has (at byte %zu)",
                           target->service, i);
    if (length > LONGEST_KEY)
        return sx_fail(error, SX_E_INVALID, "%s: the API key has %zu bytes", target->service, length);
    target->api_key = sx_strndup(given, length);
    return target->api_key ? SX_OK : sx_fail_nomem(error, length);
}

/* Splits SERVICE:NAME or SERVICE@URL[#NAME]. *url NULL: none named. */
static sx_status split_reference(const char *rest, char **url, char **name, sx_error *error)
{
    *url = *name = NULL;
    if (*rest == ':') {
        *name = sx_strdup(rest + 1);
    } else {
        const char *mark = strchr(rest + 1, '#');
        *url = mark ? sx_strndup(rest + 1, (size_t)(mark - rest - 1)) : sx_strdup(rest + 1);
        *name = sx_strdup(mark ? mark + 1 : "");
    }
    return *name && (*url || *rest == ':') ? SX_OK : sx_fail_nomem(error, strlen(rest));
}

static sx_status check_name(const char *reference, const char *name, bool needed, sx_error *error)
{
    if (!*name && needed)
        return sx_fail(error, SX_E_INVALID, "%.300s: which model?", reference);
    for (const char *at = name; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            return sx_fail(error, SX_E_INVALID, "%.300s: a model's name with a control character", reference);
    return strlen(name) <= 512 ? SX_OK : sx_fail(error, SX_E_INVALID, "a model's name of %zu bytes", strlen(name));
}

static sx_status set_url(sx_wire_target *target, size_t which, const char *url, const sx_remote_options *options, sx_error *error)
{
    const char *host = services[which].host, *service = services[which].service;
    const char *given = url ? url : options->base_url && *options->base_url ? options->base_url : host;
    if (!given) {
        static const char *const variables[][2] = {{"azure", "AZURE_OPENAI_ENDPOINT"}, {"remote", "EMBEDDING_SERVICE_URL"}};
        sx_fail(error, SX_E_INVALID, "%s: no URL of the service was given", service);
        for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
            if (strcmp(service, variables[i][0]) == 0)
                sx_hint(error, "set %s, or name it: %s@URL#NAME", variables[i][1], service);
        if (strcmp(service, "tei") == 0)
            sx_hint(error, "name it: tei@URL");
        return SX_E_INVALID;
    }
    char *whole = strcmp(service, "ollama") == 0 ? ollama_url(given) : sx_strdup(given);
    sx_status status =
        whole ? tidy_url(whole, service, services[which].suffix, &target->base_url, error) : sx_fail_nomem(error, strlen(given));
    free(whole);
    if (status)
        return status;
    target->is_default_host = host && strcmp(target->base_url, host) == 0;
    /* At another address another server answers: what the vendor promises of its vectors does not hold there. */
    if (!target->is_default_host && target->form == &sx_wire_openai)
        target->form = &sx_wire_compatible;
    if (!target->is_default_host && target->form == &sx_wire_voyage)
        target->form = &sx_wire_voyage_elsewhere;
    return SX_OK;
}

static sx_status take_ca_file(sx_wire_target *target, const char *path, sx_error *error)
{
    if (!sx_file_exists(path))
        return sx_fail(error, SX_E_NOT_FOUND, "%s: no such file of certificate authorities (SSL_CERT_FILE)", path);
    target->ca_file = sx_strdup(path);
    return target->ca_file ? SX_OK : sx_fail_nomem(error, strlen(path));
}

static sx_status require_key(const sx_wire_target *target, size_t which, const char *reference, sx_error *error)
{
    bool own = target->is_default_host || strcmp(target->service, "azure") == 0;
    if (target->api_key || services[which].keyless || !own)
        return SX_OK;
    sx_fail(error, SX_E_DENIED, "%.300s: no API key", reference);
    sx_hint(error, "set %s in the environment, in .env or in a file named by --env-file", sx_wire_key_variable(target->service));
    return SX_E_DENIED;
}

sx_status sx_wire_target_open(const char *reference, const sx_remote_options *options, sx_wire_target *target, sx_error *error)
{
    sx_remote_options known;
    char *url = NULL, *name = NULL;
    *target = (sx_wire_target){0};
    size_t which = service_of(reference);
    if (which == SERVICE_COUNT)
        return sx_fail(error, SX_E_INVALID, "%.300s: no remote model", reference ? reference : "(null)");
    sx_status status =
        sx_options_read(options && options->size ? options : NULL, &known, sizeof known, "sx_embedder_options.remote", error);
    if (!status)
        status = split_reference(reference + strlen(services[which].service), &url, &name, error);
    if (!status)
        status = check_name(reference, name, !services[which].one_model && (!url || which != 0), error);
    if (!status) {
        bool prefixed = strcmp(services[which].service, "gemini") == 0 && strncmp(name, "models/", 7) == 0;
        target->form = services[which].form;
        target->service = sx_strdup(services[which].service);
        target->model = sx_strdup(prefixed ? name + 7 : name);
        target->api_version = known.api_version && *known.api_version ? sx_strdup(known.api_version)
                              : target->form == &sx_wire_azure        ? sx_strdup("2024-10-21")
                                                                      : NULL;
        if (!target->service || !target->model || (target->form == &sx_wire_azure && !target->api_version))
            status = sx_fail_nomem(error, strlen(reference));
    }
    if (!status)
        status = set_url(target, which, url, &known, error);
    if (!status && known.ca_file && *known.ca_file)
        status = take_ca_file(target, known.ca_file, error);
    if (!status)
        status = take_key(target, known.api_key, error);
    if (!status)
        status = require_key(target, which, reference, error);
    if (!status)
        status = sx_wire_look_up(target, known.overrides, error);
    free(url);
    free(name);
    if (status)
        sx_wire_target_close(target);
    return status;
}

void sx_wire_target_close(sx_wire_target *target)
{
    if (!target)
        return;
    free(target->service);
    free(target->model);
    free(target->base_url);
    if (target->api_key)
        explicit_bzero(target->api_key, strlen(target->api_key));
    free(target->api_key);
    free(target->api_version);
    free(target->ca_file);
    free(target->tokenizer);
    *target = (sx_wire_target){0};
}

/* ---- Requests ---- */

static void wipe(sx_buffer *buffer)
{
    if (buffer->data)
        explicit_bzero(buffer->data, buffer->length);
    sx_buffer_clear(buffer);
}

void sx_wire_request_clear(sx_wire_request *request)
{
    sx_buffer_clear(&request->url);
    sx_buffer_clear(&request->body);
    sx_buffer_clear(&request->header);
    wipe(&request->secret_header);
}

const char *sx_wire_text_problem(sx_text text)
{
    if (!text.length)
        return "the text is empty";
    return sx_encoding_is_blank(text.data, text.length) ? "the text is nothing but white space" : NULL;
}

static sx_status check_dimensions(const sx_wire_target *target, sx_error *error)
{
    if (!target->most_dimensions || target->dimensions <= target->most_dimensions)
        return SX_OK;
    return sx_fail(error, SX_E_INVALID, "%s:%s: %u dimensions were asked for, and it has %u", target->service, target->model,
                   target->dimensions, target->most_dimensions);
}

sx_status sx_wire_begin_info(const sx_wire_target *target, const char *method, const char *path, sx_wire_request *request,
                             sx_error *error)
{
    request->method = method;
    sx_buffer_reset(&request->url);
    sx_buffer_reset(&request->body);
    sx_buffer_reset(&request->header);
    sx_buffer_reset(&request->secret_header);
    sx_buffer_append_string(&request->url, target->base_url);
    sx_buffer_append_string(&request->url, path);
    if (strcmp(method, "POST") == 0)
        sx_buffer_append_string(&request->header, "Content-Type: application/json");
    if (target->api_key) {
        const char *name = target->form == &sx_wire_azure    ? "api-key: "
                           : target->form == &sx_wire_gemini ? "x-goog-api-key: "
                                                             : "Authorization: Bearer ";
        sx_buffer_append_string(&request->secret_header, name);
        sx_buffer_append_string(&request->secret_header, target->api_key);
    }
    return sx_wire_finish(request, error);
}

sx_status sx_wire_begin(const sx_wire_target *target, const sx_text *texts, size_t count, const char *path,
                        sx_wire_request *request, sx_error *error)
{
    for (size_t i = 0; i < count; i++) {
        const char *problem = sx_wire_text_problem(texts[i]);
        if (problem)
            return sx_fail(error, SX_E_INVALID, "%s: text %zu of %zu: %s, which the service refuses", target->service, i + 1,
                           count, problem);
    }
    if (!count)
        return sx_fail(error, SX_E_INVALID, "%s: a request without texts", target->service);
    sx_status status = check_dimensions(target, error);
    return status ? status : sx_wire_begin_info(target, "POST", path, request, error);
}

sx_status sx_wire_finish(const sx_wire_request *request, sx_error *error)
{
    bool failed = request->url.failed || request->body.failed || request->header.failed || request->secret_header.failed;
    return failed ? sx_fail_nomem(error, request->body.length) : SX_OK;
}

void sx_wire_key(sx_buffer *body, const char *key)
{
    char last = body->length ? body->data[body->length - 1] : '{';
    if (last != '{' && last != '[')
        sx_buffer_append_byte(body, ',');
    sx_json_write_string(body, key, strlen(key));
    sx_buffer_append_byte(body, ':');
}

void sx_wire_member(sx_buffer *body, const char *key, const char *value)
{
    sx_wire_key(body, key);
    sx_json_write_string(body, value, strlen(value));
}

void sx_wire_texts(sx_buffer *body, const char *key, const sx_text *texts, size_t count)
{
    if (key) {
        sx_wire_key(body, key);
        sx_buffer_append_byte(body, '[');
    }
    for (size_t i = 0; i < count; i++) {
        if (i)
            sx_buffer_append_byte(body, ',');
        sx_json_write_string(body, texts[i].data, texts[i].length);
    }
    if (key)
        sx_buffer_append_byte(body, ']');
}

void sx_wire_dimensions(sx_buffer *body, const char *key, const sx_wire_target *target)
{
    if (!target->dimensions || target->no_dimensions)
        return;
    sx_wire_key(body, key);
    sx_buffer_printf(body, "%u", target->dimensions);
}

void sx_wire_escape(sx_buffer *url, const char *part)
{
    for (; *part; part++) {
        unsigned char byte = (unsigned char)*part;
        if ((byte < 0x80 && isalnum(byte)) || strchr("-._~", byte))
            sx_buffer_append_byte(url, (char)byte);
        else
            sx_buffer_printf(url, "%%%02X", byte);
    }
}

/* ---- Roles, space and recipe ---- */

bool sx_wire_role_is(const char *role, const char *name)
{
    return strcmp(role && *role ? role : "none", name) == 0;
}

sx_status sx_wire_no_such_role(const sx_wire_target *target, const char *role, const char *known, sx_error *error)
{
    sx_fail(error, SX_E_NOT_FOUND, "%s:%s: it has no role '%.80s'", target->service, target->model, role ? role : "none");
    sx_hint(error, "there is: %s", known);
    return SX_E_NOT_FOUND;
}

sx_status sx_wire_role_value(const sx_wire_target *target, const char *role, const char **value, sx_error *error)
{
    *value = NULL;
    for (size_t i = 0; i < SERVICE_COUNT; i++)
        if (services[i].role && strcmp(services[i].service, target->service) == 0)
            return services[i].role(target, role, value, error);
    if (sx_wire_role_is(role, "none") || sx_wire_role_is(role, "query") || sx_wire_role_is(role, "document"))
        return SX_OK;
    return sx_wire_no_such_role(target, role, "query, document, none (all the same to it; --prompt puts a text before)", error);
}

/* Keys in ascending order, no white space. */
static void describe_space(const sx_wire_target *target, uint32_t dimensions, sx_buffer *json)
{
    bool cut = target->no_dimensions && target->dimensions;
    sx_buffer_printf(json, "{\"dimensions\":%u", dimensions);
    if (!target->is_default_host)
        sx_wire_member(json, "endpoint", target->base_url);
    sx_wire_member(json, "model", target->model);
    sx_buffer_printf(json, ",\"normalized\":%s", target->form->normalized || cut ? "true" : "false");
    sx_wire_member(json, "provider", target->service);
    sx_wire_member(json, "similarity", "cosine");
    sx_buffer_append_byte(json, '}');
}

sx_status sx_wire_describe(const sx_wire_target *target, const char *role, const char *prompt, uint32_t dimensions,
                           char **space_json, char **recipe_json, sx_error *error)
{
    const char *input;
    sx_buffer space = {0}, recipe = {0};
    *space_json = *recipe_json = NULL;
    sx_status status = sx_wire_role_value(target, role, &input, error);
    if (!status)
        status = check_dimensions(target, error);
    if (status)
        return status;
    describe_space(target, dimensions, &space);
    if (!space.failed) {
        sx_sha256 hash;
        char hex[SX_SHA256_HEX];
        sx_sha256_of(space.data, space.length, &hash);
        sx_sha256_hex(&hash, hex);
        sx_buffer_append_byte(&recipe, '{');
        sx_wire_member(&recipe, "cut", target->no_dimensions && target->dimensions ? "client" : "service");
        sx_wire_member(&recipe, "input_type", input ? input : "");
        sx_wire_member(&recipe, "prompt", prompt ? prompt : "");
        sx_wire_member(&recipe, "space", hex);
        sx_wire_member(&recipe, "truncation", "refused");
        sx_buffer_append_byte(&recipe, '}');
    }
    *space_json = sx_buffer_take(&space);
    *recipe_json = *space_json ? sx_buffer_take(&recipe) : NULL;
    if (*recipe_json)
        return SX_OK;
    free(*space_json);
    *space_json = NULL;
    sx_buffer_clear(&space);
    sx_buffer_clear(&recipe);
    return sx_fail_nomem(error, 0);
}
