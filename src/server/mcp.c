/* mcp.c - the Model Context Protocol over JSON-RPC 2.0, server side, as modelcontextprotocol.io specifies it (revisions
 * 2024-11-05 to 2025-11-25).
 *
 * Of the protocol: initialize with version negotiation, ping, tools/list, tools/call, notifications, batches (which one revision
 * has). A table says what tools there are and what arguments each takes; the schemas in tools/list and the checks of tools/call
 * come from it. What is wrong with a message is an error of JSON-RPC; what goes wrong in a tool is a result marked isError, which
 * the assistant reads. */
#include "mcp.h"

#include "../base/error.h"
#include "../base/json_writer.h"

#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { PARSE_ERROR = -32700, INVALID_REQUEST = -32600, NO_METHOD = -32601, INVALID_PARAMS = -32602, INTERNAL_ERROR = -32603 };
enum { MOST_OF_A_BATCH = 100, MOST_FILTERS = 32 };

/* Newest first: what is offered to a client that asks for one we do not know. */
static const char *const revisions[] = {"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"};
static const char structured_from[] = "2025-06-18";

/* ---- Tools ---- */

typedef enum argument_kind { TEXT, WHOLE, TEXTS, CHOICE } argument_kind;

typedef struct argument {
    const char *name;
    argument_kind kind;
    size_t offset;
    uint32_t least, most; /* of a whole number */
    const char *choices;  /* separated by | */
    const char *about;
} argument;

#define AT(field) offsetof(sx_mcp_arguments, field)
static const argument arguments[] = {
    {"query", TEXT, AT(query), 0, 0, NULL, "what to look for, in words or as code; whole questions work well"},
    {"collection", TEXT, AT(collection), 0, 0, NULL, "the collection; left out: the one the server was started with"},
    {"count", WHOLE, AT(count), 1, 50, NULL, "most results (default 5)"},
    {"type", CHOICE, AT(type), 0, 0, "general|code_search|error_analysis|documentation",
     "kind of question (default general); error_analysis reads stack traces, whole ones as printed"},
    {"mode", CHOICE, AT(mode), 0, 0, "hybrid|semantic|keyword", "by meaning and words, by meaning, or by words (default hybrid)"},
    {"filters", TEXTS, AT(filters), 0, 0, NULL,
     "conditions that must all hold, such as \"language=python\", \"path^=src/\", \"symbol=parse_*\", \"kind=class\" or \"page>=3\""},
    {"prefer", TEXT, AT(prefer), 0, 0, NULL, "kinds of definitions to put first, such as \"function,method\""},
    {"text", TEXT, AT(text), 0, 0, NULL, "code or prose to find the like of"},
    {"id", TEXT, AT(id), 0, 0, NULL, "id of a passage, as search gives it"},
    {"document", TEXT, AT(document), 0, 0, NULL, "an indexed file as search names it, or its absolute path; with line"},
    {"line", WHOLE, AT(line), 1, UINT32_MAX, NULL, "a line of the document"},
    {"before", WHOLE, AT(before), 0, 20, NULL, "how many passages before it too (default 0)"},
    {"after", WHOLE, AT(after), 0, 20, NULL, "how many passages after it too (default 0)"},
};
enum { ARGUMENTS = sizeof arguments / sizeof *arguments };

typedef struct tool {
    const char *name, *about;
    const char *takes;    /* names of arguments, separated by spaces */
    const char *required; /* one of them, or NULL */
    size_t offset;
} tool;

static const tool tools[] = {
    {"search", "Search the indexed code and documents by meaning and by words. Gives passages with file, lines and id.",
     "query collection count type mode filters prefer", "query", offsetof(sx_mcp, search)},
    {"similar",
     "Find passages like a given one: by its id, by an indexed file and line, or by a text. The passage itself is left out.",
     "text id document line collection count filters", NULL, offsetof(sx_mcp, similar)},
    {"collections", "List the collections that can be searched, and the model each was made with.", "", NULL,
     offsetof(sx_mcp, collections)},
    {"passage", "Read an indexed passage again by its id, with neighbouring ones of the same file.", "id before after collection",
     "id", offsetof(sx_mcp, passage)},
};
enum { TOOLS = sizeof tools / sizeof *tools };

static bool takes(const tool *t, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = t->takes; *at;) {
        size_t word = strcspn(at, " ");
        if (word == length && !strncmp(at, name, length))
            return true;
        at += word + (at[word] == ' ');
    }
    return false;
}

static json_t *choices_of(const argument *a)
{
    json_t *list = json_array();
    for (const char *at = a->choices; at && *at;) {
        size_t length = strcspn(at, "|");
        json_array_append_new(list, json_stringn(at, length));
        at += length + (at[length] == '|');
    }
    return list;
}

static json_t *schema_of(const argument *a)
{
    static const char *const types[] = {[TEXT] = "string", [WHOLE] = "integer", [TEXTS] = "array", [CHOICE] = "string"};
    json_t *schema = json_pack("{s:s, s:s}", "type", types[a->kind], "description", a->about);
    if (a->kind == CHOICE)
        json_object_set_new(schema, "enum", choices_of(a));
    if (a->kind == TEXTS)
        json_object_set_new(schema, "items", json_pack("{s:s}", "type", "string"));
    if (a->kind == WHOLE) {
        json_object_set_new(schema, "minimum", json_integer(a->least));
        json_object_set_new(schema, "maximum", json_integer(a->most));
    }
    return schema;
}

static json_t *list_tools(void)
{
    json_t *list = json_array();
    for (size_t i = 0; i < TOOLS; i++) {
        json_t *properties = json_object();
        for (size_t j = 0; j < ARGUMENTS; j++)
            if (takes(&tools[i], arguments[j].name))
                json_object_set_new(properties, arguments[j].name, schema_of(&arguments[j]));
        json_t *schema = json_pack("{s:s, s:o, s:b}", "type", "object", "properties", properties, "additionalProperties", 0);
        if (tools[i].required)
            json_object_set_new(schema, "required", json_pack("[s]", tools[i].required));
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:{s:b}}", "name", tools[i].name, "description", tools[i].about,
                                              "inputSchema", schema, "annotations", "readOnlyHint", 1));
    }
    return json_pack("{s:o}", "tools", list);
}

/* ---- Arguments ---- */

static bool is_choice(const argument *a, const char *value)
{
    json_t *list = choices_of(a), *choice;
    size_t i;
    bool found = false;
    json_array_foreach(list, i, choice) found = found || !strcmp(json_string_value(choice), value);
    json_decref(list);
    return found;
}

static bool read_filters(json_t *value, sx_mcp_arguments *known)
{
    size_t count = json_array_size(value);
    if (!json_is_array(value) || count > MOST_FILTERS)
        return false;
    known->filters = calloc(count + 1, sizeof *known->filters);
    for (size_t i = 0; known->filters && i < count; i++) {
        const char *text = json_string_value(json_array_get(value, i));
        if (!text)
            return false;
        known->filters[known->filter_count++] = text;
    }
    return known->filters != NULL;
}

static bool read_argument(const argument *a, json_t *value, sx_mcp_arguments *known, sx_error *error)
{
    char *place = (char *)known + a->offset;
    const char *text = json_string_value(value);
    switch (a->kind) {
    case TEXT:
    case CHOICE:
        if (text && strlen(text) == json_string_length(value) && (a->kind == TEXT || is_choice(a, text))) {
            memcpy(place, &text, sizeof text);
            return true;
        }
        sx_fail(error, SX_E_INVALID, "%s: %s%s", a->name, a->kind == TEXT ? "is no string" : "is none of ",
                a->kind == TEXT ? "" : a->choices);
        return false;
    case WHOLE:
        if (json_is_integer(value) && json_integer_value(value) >= a->least && json_integer_value(value) <= a->most) {
            uint32_t number = (uint32_t)json_integer_value(value);
            memcpy(place, &number, sizeof number);
            return true;
        }
        sx_fail(error, SX_E_INVALID, "%s: is no whole number from %u to %u", a->name, a->least, a->most);
        return false;
    case TEXTS:
        if (read_filters(value, known))
            return true;
        sx_fail(error, SX_E_INVALID, "%s: is no list of at most %d strings", a->name, MOST_FILTERS);
        return false;
    }
    return false;
}

static bool read_arguments(const tool *t, json_t *given, sx_mcp_arguments *known, sx_error *error)
{
    const char *name;
    json_t *value;
    if (given && !json_is_null(given) && !json_is_object(given)) {
        sx_fail(error, SX_E_INVALID, "arguments: is no object");
        return false;
    }
    json_object_foreach(given, name, value)
    {
        const argument *found = NULL;
        for (size_t i = 0; i < ARGUMENTS; i++)
            if (!strcmp(arguments[i].name, name) && takes(t, name))
                found = &arguments[i];
        if (!found) {
            sx_fail(error, SX_E_INVALID, "%s takes no argument '%.100s'", t->name, name);
            return false;
        }
        if (!json_is_null(value) && !read_argument(found, value, known, error))
            return false;
    }
    if (t->required && json_is_null(json_object_get(given, t->required) ? json_object_get(given, t->required) : json_null())) {
        sx_fail(error, SX_E_INVALID, "%s needs the argument '%s'", t->name, t->required);
        return false;
    }
    return true;
}

/* ---- Replies ---- */

static json_t *make_error(int code, const char *message)
{
    json_t *text = json_string(message);
    return json_pack("{s:i, s:o}", "code", code, "message", text ? text : json_string("a message that is not UTF-8"));
}

static json_t *content_of(const char *text, size_t length)
{
    sx_buffer quoted = {0}; /* writes what is no UTF-8 as replacement characters */
    sx_json_write_string(&quoted, text ? text : "", length);
    json_t *string = quoted.failed ? NULL : json_loadb(quoted.data, quoted.length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    sx_buffer_clear(&quoted);
    return string ? json_pack("[{s:s, s:o}]", "type", "text", "text", string) : NULL;
}

static json_t *call_tool(sx_mcp *mcp, json_t *params, json_t **failure)
{
    const char *name = json_string_value(json_object_get(params, "name"));
    const tool *t = NULL;
    sx_mcp_arguments known = {0};
    sx_error error = {0};
    sx_buffer text = {0}, data = {0};
    json_t *result = NULL;
    for (size_t i = 0; name && i < TOOLS; i++)
        if (!strcmp(tools[i].name, name))
            t = &tools[i];
    if (!t) {
        sx_fail(&error, SX_E_INVALID, name ? "there is no tool '%.100s'" : "the tool's name is missing", name);
        *failure = make_error(INVALID_PARAMS, error.message);
        return NULL;
    }
    if (!read_arguments(t, json_object_get(params, "arguments"), &known, &error)) {
        *failure = make_error(INVALID_PARAMS, error.message);
        goto out;
    }
    sx_mcp_tool work;
    memcpy(&work, (const char *)mcp + t->offset, sizeof work);
    sx_status status = work(mcp->user, &known, &text, &data, &error);
    if (status) {
        sx_buffer_reset(&text);
        sx_buffer_printf(&text, "%s%s%s", error.message, error.hint[0] ? "\n" : "", error.hint);
    }
    json_t *content = text.failed ? NULL : content_of(text.data, text.length);
    result = content ? json_pack("{s:o, s:b}", "content", content, "isError", status != SX_OK) : NULL;
    if (!result)
        *failure = make_error(INTERNAL_ERROR, "memory ran out");
    else if (!status && data.length && mcp->protocol && strcmp(mcp->protocol, structured_from) >= 0)
        json_object_set_new(result, "structuredContent", json_loadb(data.data, data.length, JSON_ALLOW_NUL, NULL));
out:
    free(known.filters);
    sx_buffer_clear(&text);
    sx_buffer_clear(&data);
    return result;
}

static json_t *initialize(sx_mcp *mcp, json_t *params, json_t **failure)
{
    const char *asked = json_string_value(json_object_get(params, "protocolVersion"));
    if (!asked) {
        *failure = make_error(INVALID_PARAMS, "protocolVersion is missing");
        return NULL;
    }
    mcp->protocol = revisions[0];
    for (size_t i = 0; i < sizeof revisions / sizeof *revisions; i++)
        if (!strcmp(revisions[i], asked))
            mcp->protocol = revisions[i];
    return json_pack("{s:s, s:{s:{}}, s:{s:s, s:s}, s:s}", "protocolVersion", mcp->protocol, "capabilities", "tools",
                     "serverInfo", "name", "sextant", "version", sx_version(), "instructions",
                     "Searches collections of code and documents that were indexed on this machine. Use `search` to find where "
                     "something is done or described, `passage` to read more around a result, `similar` to find code like it.");
}

static json_t *do_method(sx_mcp *mcp, const char *method, json_t *params, json_t **failure)
{
    if (params && !json_is_object(params)) {
        *failure = make_error(INVALID_PARAMS, "params: is no object");
        return NULL;
    }
    if (!strcmp(method, "initialize"))
        return initialize(mcp, params, failure);
    if (!strcmp(method, "ping"))
        return json_object();
    if (!strcmp(method, "tools/list"))
        return list_tools();
    if (!strcmp(method, "tools/call"))
        return call_tool(mcp, params, failure);
    sx_error error;
    sx_fail(&error, SX_E_INVALID, "there is no method '%.100s'", method);
    *failure = make_error(NO_METHOD, error.message);
    return NULL;
}

/* The answer to one message, or NULL where there is none. */
static json_t *answer(sx_mcp *mcp, json_t *message)
{
    json_t *id = json_object_get(message, "id"), *failure = NULL, *result = NULL;
    const char *method = json_string_value(json_object_get(message, "method"));
    const char *version = json_string_value(json_object_get(message, "jsonrpc"));
    if (!method && (json_object_get(message, "result") || json_object_get(message, "error")))
        return NULL; /* an answer to something we never asked */
    bool well_formed = method && version && !strcmp(version, "2.0") && (!id || json_is_string(id) || json_is_integer(id));
    if (!well_formed)
        failure = make_error(INVALID_REQUEST, "is no JSON-RPC 2.0 request");
    else if (!id)
        return NULL; /* a notification */
    else
        result = do_method(mcp, method, json_object_get(message, "params"), &failure);
    json_t *said = json_is_string(id) || json_is_integer(id) ? json_incref(id) : json_null();
    if (!result && !failure)
        failure = make_error(INTERNAL_ERROR, "memory ran out");
    return json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "id", said, result ? "result" : "error", result ? result : failure);
}

static json_t *answer_batch(sx_mcp *mcp, json_t *messages)
{
    json_t *replies = json_array(), *message;
    size_t i;
    json_array_foreach(messages, i, message)
    {
        json_t *reply = answer(mcp, message);
        if (reply)
            json_array_append_new(replies, reply);
    }
    if (json_array_size(replies))
        return replies;
    json_decref(replies);
    return NULL;
}

sx_status sx_mcp_answer(sx_mcp *mcp, const char *line, size_t length, sx_buffer *reply, sx_error *error)
{
    sx_buffer_reset(reply);
    if (strspn(line, " \t\r\n") >= length)
        return SX_OK;
    json_error_t problem;
    json_t *message = json_loadb(line, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &problem), *said;
    if (!message) {
        sx_error wrong;
        sx_fail(&wrong, SX_E_FORMAT, "is no JSON: column %d: %.150s", problem.column, problem.text);
        said = json_pack("{s:s, s:n, s:o}", "jsonrpc", "2.0", "id", "error", make_error(PARSE_ERROR, wrong.message));
    } else if (json_is_array(message) && json_array_size(message) && json_array_size(message) <= MOST_OF_A_BATCH) {
        said = answer_batch(mcp, message);
    } else {
        said = answer(mcp, message);
    }
    json_decref(message);
    if (!said)
        return SX_OK;
    char *text = json_dumps(said, JSON_COMPACT);
    json_decref(said);
    bool done = text && sx_buffer_append_string(reply, text);
    free(text);
    return done ? SX_OK : sx_fail_nomem(error, length);
}
