/* wire_errors.c - what a refusal of a remote service means, and messages from which keys are taken out.
 *
 * Error bodies differ more than replies do: OpenAI, Voyage, Azure and Mistral send {"error":{message,type,param,code}}, Gemini
 * {"error":{code,message,status,details}}, TEI {"error":"...","error_type":"..."}, Ollama {"error":"..."}, Cohere
 * {"message":"..."}, FastAPI services {"detail":"..."} or {"detail":[{"loc":[...],"msg":"..."}]}, and proxies in between send
 * HTML. All of them are looked for in whatever comes.
 */
#include "wire_internal.h"

#include "../base/json_writer.h"

#include <ctype.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { MOST_DETAIL = 256 * 1024, SHORTEST_KEY = 8, TELLING_PART = 5 };

bool sx_wire_says(const char *text, const char *part)
{
    return strcasestr(text, part) != NULL;
}

/* ---- Redaction ---- */

static bool in_word(char byte)
{
    return isalnum((unsigned char)byte) || byte == '-' || byte == '_' || byte == '*' || byte == '.';
}

/* A key, a part of one (services show "sk-ab***yz"), or what looks like one. */
static bool is_secret(const char *word, size_t length, const char *key)
{
    static const char *const beginnings[] = {"sk-", "pa-", "al-", "jina_", "AIza", "hf_", "xoxb-", "ghp_"};
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        size_t part = strlen(beginnings[i]);
        if (length >= part + 12 && strncmp(word, beginnings[i], part) == 0)
            return true;
    }
    if (length > 3 && strncmp(word, "sk-", 3) == 0)
        return true;
    size_t whole = key ? strlen(key) : 0;
    if (whole < SHORTEST_KEY)
        return whole && length == whole && memcmp(word, key, length) == 0;
    for (size_t i = 0; i + SHORTEST_KEY <= length; i++) /* its beginning anywhere, glued to something else */
        if (memcmp(word + i, key, SHORTEST_KEY) == 0)
            return true;
    /* Beginning or end of the key, with stars or dots for the rest, or cut off by a length limit. */
    size_t alike = 0, tail = 0;
    while (alike < length && alike < whole && word[alike] == key[alike])
        alike++;
    while (tail < length && tail < whole && word[length - 1 - tail] == key[whole - 1 - tail])
        tail++;
    bool masked = memchr(word, '*', length) || (length > 3 && strstr(word, "...") && strstr(word, "...") < word + length);
    return alike >= SHORTEST_KEY || tail >= SHORTEST_KEY || (masked && (alike >= 2 || tail >= 2)) ||
           (alike == length && length >= TELLING_PART);
}

void sx_wire_redact(const sx_wire_target *target, const char *text, char *to, size_t size)
{
    sx_buffer buffer = {.maximum = 1 << 20};
    const char *key = target ? target->api_key : NULL;
    size_t whole = key ? strlen(key) : 0;
    for (const char *at = text; *at;) {
        if (whole >= SHORTEST_KEY && strncmp(at, key, whole) == 0) { /* also where a key holds what words do not */
            sx_buffer_append_string(&buffer, "[key]");
            at += whole;
            continue;
        }
        size_t length = 0;
        while (in_word(at[length]) && !(length && whole >= SHORTEST_KEY && strncmp(at + length, key, whole) == 0))
            length++;
        if (length && is_secret(at, length, key)) {
            sx_buffer_append_string(&buffer, "[key]");
        } else if (length) {
            sx_buffer_append(&buffer, at, length);
        } else {
            unsigned char byte = (unsigned char)*at;
            length = 1;
            sx_buffer_append_byte(&buffer, byte < 0x20 || byte == 0x7f ? ' ' : *at);
        }
        at += length;
    }
    /* Invalid UTF-8 becomes U+FFFD by way of the writer of JSON's strings; then the text is cut at a character. */
    sx_buffer quoted = {.maximum = 1 << 20};
    sx_json_write_string(&quoted, buffer.data ? buffer.data : "", buffer.length);
    sx_json json;
    sx_text value = {"", 0};
    sx_buffer decoded = {.maximum = 1 << 20};
    sx_json_begin(&json, quoted.data ? quoted.data : "\"\"", quoted.data ? quoted.length : 2, NULL);
    if (!sx_json_string(&json, &decoded, &value))
        value = (sx_text){"", 0};
    size_t fits = value.length < size ? value.length : size - 1;
    while (fits && fits < value.length && ((unsigned char)value.data[fits] & 0xc0) == 0x80)
        fits--;
    memcpy(to, value.data, fits);
    to[fits] = '\0';
    sx_buffer_clear(&decoded);
    sx_buffer_clear(&quoted);
    sx_buffer_clear(&buffer);
}

/* ---- Bodies ---- */

static void copy(char *to, size_t size, const char *from)
{
    if (!*to && from)
        snprintf(to, size, "%s", from);
}

static void copy_value(char *to, size_t size, const json_t *value)
{
    char number[32];
    if (json_is_string(value)) {
        copy(to, size, json_string_value(value));
    } else if (json_is_integer(value)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        copy(to, size, number);
    }
}

/* FastAPI's list of what is wrong with a body. */
static void read_places(const json_t *list, sx_wire_detail *detail)
{
    const json_t *first = json_array_get(list, 0), *place = json_object_get(first, "loc");
    size_t parts = json_array_size(place);
    copy_value(detail->param, sizeof detail->param, json_array_get(place, parts ? parts - 1 : 0));
    const char *says = json_string_value(json_object_get(first, "msg"));
    if (says)
        snprintf(detail->message, sizeof detail->message, "%s%s%s", detail->param, detail->param[0] ? ": " : "", says);
}

static void read_object(const json_t *object, sx_wire_detail *detail, unsigned depth)
{
    static const char *const messages[] = {"message", "error_message", "msg", "detail", "title"};
    if (depth > 4)
        return;
    const json_t *error = json_object_get(object, "error");
    if (json_is_object(error))
        read_object(error, detail, depth + 1);
    else
        copy_value(detail->message, sizeof detail->message, error);
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        const json_t *value = json_object_get(object, messages[i]);
        if (json_is_object(value))
            read_object(value, detail, depth + 1);
        else if (json_is_array(value) && !detail->message[0])
            read_places(value, detail);
        else
            copy_value(detail->message, sizeof detail->message, value);
    }
    copy_value(detail->type, sizeof detail->type, json_object_get(object, "type"));
    copy_value(detail->type, sizeof detail->type, json_object_get(object, "error_type"));
    copy_value(detail->type, sizeof detail->type, json_object_get(object, "status"));
    copy_value(detail->code, sizeof detail->code, json_object_get(object, "code"));
    copy_value(detail->param, sizeof detail->param, json_object_get(object, "param"));
    /* Gemini's reasons and the quotas that are used up. */
    const json_t *details = json_object_get(object, "details");
    for (size_t i = 0; i < json_array_size(details); i++) {
        const json_t *entry = json_array_get(details, i), *violations = json_object_get(entry, "violations");
        const char *reason = json_string_value(json_object_get(entry, "reason"));
        if (reason)
            snprintf(detail->code, sizeof detail->code, "%s", reason);
        for (size_t j = 0; j < json_array_size(violations); j++) {
            const char *quota = json_string_value(json_object_get(json_array_get(violations, j), "quotaId"));
            detail->per_day |= quota && sx_wire_says(quota, "PerDay");
        }
    }
}

/* "an HTML page (502 Bad Gateway)": the title is all that people want of one. */
static void read_page(const char *body, sx_wire_detail *detail)
{
    const char *title = strcasestr(body, "<title"), *start = title ? strchr(title, '>') : NULL;
    const char *end = start ? strchr(start, '<') : NULL;
    int length = end && end - start - 1 < 80 ? (int)(end - start - 1) : 0;
    while (length > 0 && isspace((unsigned char)start[1])) {
        start++;
        length--;
    }
    if (length > 0)
        snprintf(detail->message, sizeof detail->message, "an HTML page instead of JSON (%.*s)", length, start + 1);
    else
        snprintf(detail->message, sizeof detail->message, "an HTML page instead of JSON");
}

void sx_wire_read_detail(const char *body, size_t length, sx_wire_detail *detail)
{
    *detail = (sx_wire_detail){.message = ""};
    size_t kept = length < MOST_DETAIL ? length : MOST_DETAIL;
    char *text = malloc(kept + 1);
    if (!text)
        return;
    if (kept)
        memcpy(text, body, kept);
    text[kept] = '\0';
    const char *at = text + strspn(text, " \t\r\n");
    json_error_t problem;
    json_t *root = kept == length ? json_loadb(text, kept, JSON_DECODE_ANY | JSON_ALLOW_NUL, &problem) : NULL;
    if (json_is_array(root))
        read_object(json_array_get(root, 0), detail, 0);
    else if (json_is_object(root))
        read_object(root, detail, 0);
    else if (json_is_string(root))
        copy(detail->message, sizeof detail->message, json_string_value(root));
    else if (*at == '<')
        read_page(at, detail);
    else if (!root)
        snprintf(detail->message, sizeof detail->message, "%.120s", at);
    json_decref(root);
    free(text);
}

/* ---- Meaning ---- */

const char *sx_wire_key_variable(const char *service)
{
    static const char *const variables[][2] = {
        {"openai", "OPENAI_API_KEY"},
        {"azure", "AZURE_OPENAI_API_KEY"},
        {"cohere", "COHERE_API_KEY"},
        {"voyage", "VOYAGE_API_KEY"},
        {"jina", "JINA_API_KEY"},
        {"gemini", "GEMINI_API_KEY"},
        {"mistral", "MISTRAL_API_KEY"},
        {"tei", "TEI_API_KEY"},
        {"remote", "EMBEDDING_SERVICE_API_KEY"},
        {"ollama", "OLLAMA_API_KEY"},
    };
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (strcmp(variables[i][0], service) == 0)
            return variables[i][1];
    return NULL;
}

static void hint(sx_wire_reply *reply, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void hint(sx_wire_reply *reply, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reply->hint, sizeof reply->hint, format, arguments);
    va_end(arguments);
}

static bool is_any(const char *text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (sx_wire_says(text, words[i]))
            return true;
    return false;
}
#define IS_ANY(text, words) is_any(text, words, sizeof words / sizeof *words)

static bool is_bad_key(const sx_wire_detail *detail)
{
    static const char *const codes[] = {"invalid_api_key", "API_KEY_INVALID", "API_KEY_EXPIRED", "AUTH_"};
    static const char *const wrong[] = {"not valid", "invalid", "incorrect", "expired", "revoked"};
    return IS_ANY(detail->code, codes) || strcmp(detail->type, "authentication_error") == 0 ||
           (sx_wire_says(detail->message, "api key") && IS_ANY(detail->message, wrong));
}

static bool is_no_model(const sx_wire_detail *detail)
{
    static const char *const codes[] = {"model_not_found", "DeploymentNotFound", "invalid_model", "INPUT_MODEL_NOT_FOUND"};
    static const char *const missing[] = {"not found", "does not exist", "invalid model", "unknown model",
                                          "not supported for embed"};
    return IS_ANY(detail->code, codes) || (sx_wire_says(detail->message, "model") && IS_ANY(detail->message, missing));
}

/* No money is left, or a quota by the day or month is used up: waiting a minute does not help. */
static bool is_spent(const sx_wire_detail *detail)
{
    static const char *const codes[] = {"insufficient_quota", "billing_hard_limit_reached", "INSUFFICIENT_BALANCE"};
    static const char *const says[] = {"calls / month", "insufficient balance", "insufficient credit",
                                       "credit balance is too low"};
    return detail->per_day || IS_ANY(detail->code, codes) || IS_ANY(detail->type, codes) || IS_ANY(detail->message, says);
}

static bool names_dimensions(const sx_wire_detail *detail)
{
    static const char *const names[] = {"dimensions", "dimension", "dimensionality", "matryoshka"};
    return IS_ANY(detail->param, names) || IS_ANY(detail->message, names);
}

static bool names_role(const sx_wire_detail *detail)
{
    static const char *const names[] = {"prompt_name", "prompt name", "default_prompt", "configuration prompts"};
    return IS_ANY(detail->param, names) || IS_ANY(detail->message, names);
}

static void no_key(const sx_wire_target *target, sx_wire_reply *reply)
{
    const char *variable = sx_wire_key_variable(target->service);
    reply->verdict = SX_WIRE_FATAL;
    if (variable)
        hint(reply, target->api_key ? "%s is set, but the service refuses it: is it whole, and of this service?" : "set %s",
             variable);
}

static void no_model(const sx_wire_target *target, sx_wire_reply *reply)
{
    reply->verdict = SX_WIRE_FATAL;
    if (strcmp(target->service, "ollama") == 0)
        hint(reply, "`ollama pull %.100s` fetches it", target->model);
    else if (strcmp(target->service, "azure") == 0)
        hint(reply, "the name is that of your deployment, not of the model");
    else
        hint(reply, "check the model's name");
}

/* 400 and 422: a field, the key or the model may be what is wrong; else it is a text. */
static void read_bad_request(const sx_wire_target *target, const sx_wire_detail *detail, sx_wire_reply *reply)
{
    reply->verdict = SX_WIRE_SPLIT;
    if (is_bad_key(detail))
        no_key(target, reply);
    else if (is_spent(detail))
        reply->verdict = SX_WIRE_FATAL;
    else if (names_role(detail) && !target->no_role)
        reply->verdict = SX_WIRE_WITHOUT_ROLE;
    else if (names_dimensions(detail) && target->dimensions && !target->no_dimensions)
        reply->verdict = SX_WIRE_WITHOUT_DIMENSIONS;
    else if (is_no_model(detail))
        no_model(target, reply);
}

static void read_too_many(const sx_wire_detail *detail, sx_wire_reply *reply)
{
    reply->verdict = SX_WIRE_RETRY;
    if (is_spent(detail)) {
        reply->verdict = SX_WIRE_FATAL;
        hint(reply, "the account's quota is used up: its plan and billing page says what to do");
    } else if (sx_wire_says(detail->message, "request too large")) {
        reply->verdict = SX_WIRE_SPLIT; /* more tokens than the minute allows at all */
    }
}

static void read_not_found(const sx_wire_target *target, const sx_wire_detail *detail, sx_wire_reply *reply)
{
    reply->verdict = SX_WIRE_FATAL;
    if (is_no_model(detail) || target->is_default_host)
        no_model(target, reply);
    else if (target->form == &sx_wire_compatible)
        hint(reply, "is the URL right? Those of OpenAI-compatible servers mostly end in /v1");
    else
        hint(reply, "is the URL right? %.120s", target->base_url);
}

static void read_status(const sx_wire_target *target, long status, const sx_wire_detail *detail, sx_wire_reply *reply)
{
    static const char *const too_long[] = {"context length", "maximum context", "input length exceeds", "too long"};
    switch (status) {
    case 400:
    case 422: read_bad_request(target, detail, reply); return;
    case 413:
    case 424: /* TEI: the model failed at what is in the batch */ reply->verdict = SX_WIRE_SPLIT; return;
    case 401:
    case 403:
        if (is_spent(detail))
            hint(reply, "the account's balance does not cover it");
        else
            no_key(target, reply);
        reply->verdict = SX_WIRE_FATAL;
        return;
    case 402:
        hint(reply, "the service wants to be paid: its billing page says what is missing");
        reply->verdict = SX_WIRE_FATAL;
        return;
    case 404: read_not_found(target, detail, reply); return;
    case 408:
    case 409:
    case 425: reply->verdict = SX_WIRE_RETRY; return;
    case 429: read_too_many(detail, reply); return;
    default: break;
    }
    reply->verdict = status >= 500 && status != 501 && status != 505 ? SX_WIRE_RETRY : SX_WIRE_FATAL;
    if (status >= 300 && status < 400)
        hint(reply, "the service has moved; give its new URL (redirects are not followed, since a key goes with each request)");
    if (status >= 500 && IS_ANY(detail->message, too_long))
        reply->verdict = SX_WIRE_SPLIT; /* some servers take a text that is too long for a fault of their own */
    if (status >= 500 && sx_wire_says(detail->message, "does not support embedding")) {
        reply->verdict = SX_WIRE_FATAL;
        hint(reply, "this is no embedding model");
    }
}

void sx_wire_refuse(const sx_wire_target *target, long status, const char *body, size_t length, sx_wire_reply *reply)
{
    sx_wire_detail detail;
    *reply = (sx_wire_reply){0};
    sx_wire_read_detail(body, length, &detail);
    read_status(target, status, &detail, reply);
    char line[512];
    const char *mark = detail.code[0] && !sx_wire_says(detail.message, detail.code) && !isdigit((unsigned char)detail.code[0])
                           ? detail.code
                           : "";
    snprintf(line, sizeof line, "%s: HTTP %ld%s%s%s%s%s", target->service, status, detail.message[0] ? ": " : "", detail.message,
             *mark ? " (" : "", mark, *mark ? ")" : "");
    sx_wire_redact(target, line, reply->message, sizeof reply->message);
}
