/* wire_vendors.c - Cohere (v2/embed), Voyage, Jina, Gemini (batchEmbedContents) and Mistral, each as its own reference describes
 * it.
 *
 * Where a service would cut a text that is too long without a word, it is asked not to: the text is then refused, and named.
 */
#include "wire_internal.h"

#include <stdio.h>

/* ---- Roles ---- */

typedef struct role_name {
    const char *role, *value;
} role_name;

static bool find_role(const char *role, const role_name *names, size_t count, const char **value)
{
    for (size_t i = 0; i < count; i++)
        if (sx_wire_role_is(role, names[i].role)) {
            *value = names[i].value;
            return true;
        }
    return false;
}

static sx_status name_role(const sx_wire_target *target, const char *role, const role_name *names, size_t count,
                           const char **value, sx_error *error)
{
    char known[160] = "";
    if (find_role(role, names, count, value))
        return SX_OK;
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", names[i].role);
    }
    return sx_wire_no_such_role(target, role, known, error);
}
#define NAME_ROLE(names) name_role(target, role, names, sizeof names / sizeof *names, value, error)

/* Models since version 3 want an input_type; a plain text is taken for a document. */
sx_status sx_wire_role_cohere(const sx_wire_target *target, const char *role, const char **value, sx_error *error)
{
    static const role_name names[] = {{"query", "search_query"},
                                      {"document", "search_document"},
                                      {"none", "search_document"},
                                      {"classification", "classification"},
                                      {"clustering", "clustering"}};
    return NAME_ROLE(names);
}

sx_status sx_wire_role_voyage(const sx_wire_target *target, const char *role, const char **value, sx_error *error)
{
    static const role_name names[] = {{"query", "query"}, {"document", "document"}, {"none", NULL}};
    return NAME_ROLE(names);
}

/* Models before version 3 have no tasks; those for code have their own. */
sx_status sx_wire_role_jina(const sx_wire_target *target, const char *role, const char **value, sx_error *error)
{
    static const role_name names[] = {
        {"query", "retrieval.query"},       {"document", "retrieval.passage"},    {"none", NULL},
        {"text-matching", "text-matching"}, {"classification", "classification"}, {"separation", "separation"}};
    static const role_name code[] = {{"query", "nl2code.query"}, {"document", "nl2code.passage"}, {"none", NULL}};
    static const role_name without[] = {{"query", NULL}, {"document", NULL}, {"none", NULL}};
    static const char *const old[] = {"jina-embeddings-v2", "jina-clip", "jina-colbert", "jina-embedding-b"};
    *value = NULL;
    if (role && strchr(role, '.')) {
        *value = role; /* a task by its own name */
        return SX_OK;
    }
    for (size_t i = 0; i < sizeof old / sizeof *old; i++)
        if (strncmp(target->model, old[i], strlen(old[i])) == 0)
            return NAME_ROLE(without);
    if (strncmp(target->model, "jina-code-embeddings", 20) == 0)
        return NAME_ROLE(code);
    return NAME_ROLE(names);
}

/* Only gemini-embedding-001 and those before it have task types; later models want the task as a prompt. */
sx_status sx_wire_role_gemini(const sx_wire_target *target, const char *role, const char **value, sx_error *error)
{
    static const role_name names[] = {
        {"query", "RETRIEVAL_QUERY"},         {"document", "RETRIEVAL_DOCUMENT"}, {"none", NULL},
        {"classification", "CLASSIFICATION"}, {"clustering", "CLUSTERING"},       {"similarity", "SEMANTIC_SIMILARITY"},
        {"code", "CODE_RETRIEVAL_QUERY"},     {"question", "QUESTION_ANSWERING"}, {"fact", "FACT_VERIFICATION"}};
    static const role_name without[] = {{"query", NULL}, {"document", NULL}, {"none", NULL}};
    if (strncmp(target->model, "gemini-embedding-2", 18) == 0)
        return NAME_ROLE(without);
    return NAME_ROLE(names);
}

/* ---- Cohere ---- */

static sx_status build_cohere(const sx_wire_target *target, const char *role, const sx_text *texts, size_t count,
                              sx_wire_request *request, sx_error *error)
{
    const char *type;
    sx_status status = sx_wire_role_value(target, role, &type, error);
    if (!status)
        status = sx_wire_begin(target, texts, count, "/v2/embed", request, error);
    if (status)
        return status;
    sx_buffer *body = &request->body;
    sx_buffer_append_byte(body, '{');
    sx_wire_member(body, "model", target->model);
    sx_wire_texts(body, "texts", texts, count);
    sx_wire_member(body, "input_type", type);
    sx_buffer_append_string(body, ",\"embedding_types\":[\"float\"],\"truncate\":\"NONE\"");
    sx_wire_dimensions(body, "output_dimension", target);
    sx_buffer_append_byte(body, '}');
    return sx_wire_finish(request, error);
}

static void read_tokens(sx_wire_reading *reading)
{
    sx_wire_read_count(reading, &reading->reply->tokens);
}

static void read_units(sx_wire_reading *reading)
{
    static const sx_wire_field fields[] = {{"input_tokens", read_tokens}, {0}};
    sx_wire_read_optional(reading, fields);
}

/* {"meta":{"billed_units":{"input_tokens":2}}} */
static void read_meta(sx_wire_reading *reading)
{
    static const sx_wire_field fields[] = {{"billed_units", read_units}, {0}};
    sx_wire_read_optional(reading, fields);
}

/* {"float":[[...]]}, or just [[...]] as version 1 had it. */
static void read_by_type(sx_wire_reading *reading)
{
    static const sx_wire_field fields[] = {{"float", sx_wire_read_rows}, {0}};
    if (sx_json_peek(&reading->json) == SX_JSON_ARRAY)
        sx_wire_read_rows(reading);
    else
        sx_wire_read_object(reading, fields);
}

static void read_cohere(const sx_wire_target *target, const char *body, size_t length, size_t count, uint32_t dimensions,
                        float *vectors, size_t room, sx_wire_reply *reply)
{
    static const sx_wire_field fields[] = {{"embeddings", read_by_type}, {"meta", read_meta}, {0}};
    sx_wire_read_reply(fields, target, body, length, count, dimensions, vectors, room, reply);
}

/* ---- Voyage, Jina, Mistral: OpenAI's reply, their own fields ---- */

typedef struct list_fields {
    const char *role, *dimensions, *format, *encoding;
    const char *more; /* members that are always the same */
} list_fields;

static sx_status build_list(const sx_wire_target *target, const list_fields *fields, const char *role, const sx_text *texts,
                            size_t count, sx_wire_request *request, sx_error *error)
{
    const char *value;
    sx_status status = sx_wire_role_value(target, role, &value, error);
    if (!status)
        status = sx_wire_begin(target, texts, count, "/embeddings", request, error);
    if (status)
        return status;
    sx_buffer *body = &request->body;
    sx_buffer_append_byte(body, '{');
    sx_wire_member(body, "model", target->model);
    sx_wire_texts(body, "input", texts, count);
    if (value)
        sx_wire_member(body, fields->role, value);
    sx_buffer_append_string(body, fields->more);
    sx_wire_dimensions(body, fields->dimensions, target);
    sx_wire_member(body, fields->format, fields->encoding);
    sx_buffer_append_byte(body, '}');
    return sx_wire_finish(request, error);
}

static sx_status build_voyage(const sx_wire_target *target, const char *role, const sx_text *texts, size_t count,
                              sx_wire_request *request, sx_error *error)
{
    static const list_fields fields = {"input_type", "output_dimension", "encoding_format", "base64", ",\"truncation\":false"};
    return build_list(target, &fields, role, texts, count, request, error);
}

static sx_status build_jina(const sx_wire_target *target, const char *role, const sx_text *texts, size_t count,
                            sx_wire_request *request, sx_error *error)
{
    static const list_fields fields = {"task", "dimensions", "embedding_type", "float", ""};
    return build_list(target, &fields, role, texts, count, request, error);
}

static sx_status build_mistral(const sx_wire_target *target, const char *role, const sx_text *texts, size_t count,
                               sx_wire_request *request, sx_error *error)
{
    static const list_fields fields = {"", "output_dimension", "encoding_format", "float", ""};
    return build_list(target, &fields, role, texts, count, request, error);
}

/* ---- Gemini ---- */

static sx_status build_gemini(const sx_wire_target *target, const char *role, const sx_text *texts, size_t count,
                              sx_wire_request *request, sx_error *error)
{
    const char *task;
    sx_status status = sx_wire_role_value(target, role, &task, error);
    if (!status)
        status = sx_wire_begin(target, texts, count, "/models/", request, error);
    if (status)
        return status;
    sx_wire_escape(&request->url, target->model);
    sx_buffer_append_string(&request->url, ":batchEmbedContents");
    sx_buffer name = {0};
    sx_buffer_printf(&name, "models/%s", target->model);
    sx_buffer *body = &request->body;
    sx_buffer_append_string(body, "{\"requests\":[");
    for (size_t i = 0; i < count; i++) {
        sx_buffer_append_string(body, i ? ",{" : "{");
        sx_wire_member(body, "model", name.data ? name.data : "");
        sx_wire_key(body, "content");
        sx_buffer_append_string(body, "{\"parts\":[{");
        sx_wire_key(body, "text");
        sx_wire_texts(body, NULL, texts + i, 1);
        sx_buffer_append_string(body, "}]}");
        if (task)
            sx_wire_member(body, "taskType", task);
        sx_wire_dimensions(body, "outputDimensionality", target);
        sx_buffer_append_byte(body, '}');
    }
    sx_buffer_append_string(body, "]}");
    body->failed |= name.failed;
    sx_buffer_clear(&name);
    return sx_wire_finish(request, error);
}

static void read_row(sx_wire_reading *reading)
{
    sx_wire_read_vector(reading, reading->row);
}

/* [{"values":[...]}] */
static void read_values(sx_wire_reading *reading)
{
    static const sx_wire_field fields[] = {{"values", read_row}, {0}};
    sx_json_array(&reading->json);
    for (reading->row = 0; !reading->failed && sx_json_element(&reading->json); reading->row++) {
        size_t before = reading->done;
        sx_wire_read_object(reading, fields);
        if (!reading->json.problem && reading->done == before)
            sx_wire_fault(reading, "entry %zu has no vector", reading->row);
    }
}

static void read_gemini(const sx_wire_target *target, const char *body, size_t length, size_t count, uint32_t dimensions,
                        float *vectors, size_t room, sx_wire_reply *reply)
{
    static const sx_wire_field fields[] = {{"embeddings", read_values}, {"error", sx_wire_read_error}, {0}};
    sx_wire_read_reply(fields, target, body, length, count, dimensions, vectors, room, reply);
}

/* Voyage's reference promises length 1; the others say nothing, or (Gemini) that it holds for the full size only. */
const sx_wire_form sx_wire_cohere = {.name = "cohere", .build = build_cohere, .read = read_cohere, .refuse = sx_wire_refuse};
const sx_wire_form sx_wire_voyage = {
    .name = "voyage", .normalized = true, .build = build_voyage, .read = sx_wire_read_list, .refuse = sx_wire_refuse};
const sx_wire_form sx_wire_voyage_elsewhere = {
    .name = "voyage", .build = build_voyage, .read = sx_wire_read_list, .refuse = sx_wire_refuse};
const sx_wire_form sx_wire_jina = {.name = "jina", .build = build_jina, .read = sx_wire_read_list, .refuse = sx_wire_refuse};
const sx_wire_form sx_wire_gemini = {.name = "gemini", .build = build_gemini, .read = read_gemini, .refuse = sx_wire_refuse};
const sx_wire_form sx_wire_mistral = {
    .name = "mistral", .build = build_mistral, .read = sx_wire_read_list, .refuse = sx_wire_refuse};
