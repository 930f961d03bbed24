/* wire_openai.c - OpenAI's embeddings (platform.openai.com/docs/api-reference/embeddings), servers that speak the same, and
 * Azure.
 *
 * base64 is asked for where it is known to work: a third of the bytes, and exact. Other servers are asked for numbers, which all
 * of them can; both are read whatever was asked.
 */
#include "wire_internal.h"

static void write_body(const sx_wire_target *target, const char *encoding, const sx_text *texts, size_t count, sx_buffer *body)
{
    sx_buffer_append_byte(body, '{');
    if (target->model[0])
        sx_wire_member(body, "model", target->model);
    sx_wire_texts(body, "input", texts, count);
    sx_wire_dimensions(body, "dimensions", target);
    sx_wire_member(body, "encoding_format", encoding);
    sx_buffer_append_byte(body, '}');
}

static sx_status build(const sx_wire_target *target, const char *encoding, const char *role, const sx_text *texts, size_t count,
                       sx_wire_request *request, sx_error *error)
{
    const char *none;
    sx_status status = sx_wire_role_value(target, role, &none, error);
    if (!status)
        status = sx_wire_begin(target, texts, count, "/embeddings", request, error);
    if (status)
        return status;
    write_body(target, encoding, texts, count, &request->body);
    return sx_wire_finish(request, error);
}

static sx_status build_openai(const sx_wire_target *target, const char *role, const sx_text *texts, size_t count,
                              sx_wire_request *request, sx_error *error)
{
    return build(target, "base64", role, texts, count, request, error);
}

static sx_status build_compatible(const sx_wire_target *target, const char *role, const sx_text *texts, size_t count,
                                  sx_wire_request *request, sx_error *error)
{
    return build(target, "float", role, texts, count, request, error);
}

static sx_status build_azure(const sx_wire_target *target, const char *role, const sx_text *texts, size_t count,
                             sx_wire_request *request, sx_error *error)
{
    const char *none;
    sx_status status = sx_wire_role_value(target, role, &none, error);
    if (!status)
        status = sx_wire_begin(target, texts, count, "/openai/deployments/", request, error);
    if (status)
        return status;
    sx_wire_escape(&request->url, target->model);
    sx_buffer_append_string(&request->url, "/embeddings?api-version=");
    sx_wire_escape(&request->url, target->api_version);
    write_body(target, "base64", texts, count, &request->body);
    return sx_wire_finish(request, error);
}

const sx_wire_form sx_wire_openai = {
    .name = "openai", .normalized = true, .build = build_openai, .read = sx_wire_read_list, .refuse = sx_wire_refuse};
/* Whether vectors have length 1 is not known of just any server. */
const sx_wire_form sx_wire_compatible = {
    .name = "openai", .build = build_compatible, .read = sx_wire_read_list, .refuse = sx_wire_refuse};
const sx_wire_form sx_wire_azure = {.name = "azure", .build = build_azure, .read = sx_wire_read_list, .refuse = sx_wire_refuse};
