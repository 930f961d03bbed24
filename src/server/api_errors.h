/* api_errors.h - an error in the form that the clients of each API read. */
#ifndef SX_SERVER_API_ERRORS_H
#define SX_SERVER_API_ERRORS_H

#include "http_message.h"

/* The answer to a request that cannot be served. `param` names the member that is wrong, `code` says what is (OpenAI's words:
 * "model_not_found"); both may be NULL. Replaces what the response held. */
void sx_api_fail(const sx_request *request, sx_response *response, int status, const char *param, const char *code,
                 const char *format, ...) __attribute__((format(printf, 6, 7)));
/* The request's content is wrong: 422 in TEI's form, else 400. */
void sx_api_invalid(const sx_request *request, sx_response *response, const char *param, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* What the library said. 429 (with Retry-After) for SX_E_BUSY, 404, 400, 502 ... as fits. */
void sx_api_fail_error(const sx_request *request, sx_response *response, const char *param, const sx_error *error);

#endif
