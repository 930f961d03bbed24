/* api_errors.c - errors as OpenAI, TEI, Ollama, Cohere and the seeds' services write them. */
#include "api_errors.h"

#include "../base/json_writer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void member(sx_buffer *to, const char *key, const char *value)
{
    sx_buffer_printf(to, "%s\"%s\":", to->length && to->data[to->length - 1] != '{' ? "," : "", key);
    sx_json_write_string(to, value, value ? strlen(value) : 0);
}

static const char *openai_type(int status)
{
    return status == 401 || status == 403 ? "authentication_error"
           : status == 429                ? "rate_limit_error"
           : status >= 500                ? "server_error"
                                          : "invalid_request_error";
}

static const char *tei_type(int status)
{
    return status == 429 ? "Overloaded" : status == 503 ? "Unhealthy" : status >= 500 || status == 424 ? "Backend" : "Validation";
}

/* For metrics. */
static const char *kind_of(int status)
{
    return status == 401 || status == 403   ? "unauthorized"
           : status == 404 || status == 405 ? "not_found"
           : status == 408                  ? "timeout"
           : status == 429                  ? "overloaded"
           : status == 499                  ? "cancelled"
           : status == 503                  ? "unhealthy"
           : status >= 500 || status == 424 ? "backend"
                                            : "validation";
}

static void write_error(const sx_request *request, sx_response *response, int status, const char *param, const char *code,
                        const char *message, const char *hint)
{
    sx_buffer *to = &response->body;
    sx_buffer_clear(to);
    to->maximum = 64 * 1024;
    response->status = status;
    response->content_type = NULL;
    response->error = kind_of(status);
    sx_buffer_append_byte(to, '{');
    switch (request->form) {
    case SX_FORM_OPENAI:
        sx_buffer_append_string(to, "\"error\":{");
        member(to, "message", message);
        member(to, "type", openai_type(status));
        member(to, "param", param);
        member(to, "code", code);
        sx_buffer_append_byte(to, '}');
        break;
    case SX_FORM_TEI:
        member(to, "error", message);
        member(to, "error_type", tei_type(status));
        break;
    case SX_FORM_COHERE: member(to, "message", message); break;
    case SX_FORM_OLLAMA:
    case SX_FORM_SEED: member(to, "error", message); break;
    case SX_FORM_SEXTANT:
        sx_buffer_append_string(to, "\"error\":{");
        member(to, "code", code ? code : kind_of(status));
        member(to, "message", message);
        member(to, "hint", hint ? hint : "");
        sx_buffer_append_byte(to, '}');
        break;
    }
    sx_buffer_append_byte(to, '}');
}

void sx_api_fail(const sx_request *request, sx_response *response, int status, const char *param, const char *code,
                 const char *format, ...)
{
    char message[1400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    write_error(request, response, status, param, code, message, NULL);
}

void sx_api_invalid(const sx_request *request, sx_response *response, const char *param, const char *format, ...)
{
    char message[1400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    write_error(request, response, request->form == SX_FORM_TEI ? 422 : 400, param, NULL, message, NULL);
}

void sx_api_fail_error(const sx_request *request, sx_response *response, const char *param, const sx_error *error)
{
    bool tei = request->form == SX_FORM_TEI;
    int status = 500;
    const char *code = NULL;
    switch (error->code) {
    case SX_E_INVALID:
    case SX_E_UNSUPPORTED:
    case SX_E_LIMIT: status = tei ? 422 : 400; break;
    case SX_E_NOT_FOUND: status = 404; break;
    case SX_E_EXISTS:
    case SX_E_MISMATCH: status = 409; break;
    case SX_E_BUSY:
        status = 429;
        sx_response_header(response, "retry-after", "1");
        break;
    case SX_E_STOPPED:
    case SX_E_NOMEM: status = 503; break;
    case SX_E_FULL: status = 507; break;
    case SX_E_PROVIDER:
    case SX_E_NETWORK:
    case SX_E_DENIED: status = tei ? 424 : 502; break;
    default: status = tei ? 424 : 500;
    }
    if (request->form == SX_FORM_SEXTANT)
        code = sx_status_name(error->code);
    char message[sizeof error->message + sizeof error->hint + 4];
    bool joined = error->hint[0] && request->form != SX_FORM_SEXTANT;
    snprintf(message, sizeof message, "%s%s%s", error->message, joined ? "; " : "", joined ? error->hint : "");
    write_error(request, response, status, param, code, message, error->hint);
}
