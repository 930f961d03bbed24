/* embed_call.h - what all routes that embed have in common: inputs read from JSON, a model, limits, vectors, receipts.
 *
 *     sx_embed_call call;
 *     sx_embed_call_begin(&call, server, request, response, "input");
 *     ... sx_embed_read_inputs(&call, &json) and the other members ...
 *     if (sx_embed_body_ends(&call, &json) && sx_embed_call_run(&call))
 *         ... write call.vectors ...
 *     sx_embed_call_end(&call);
 *
 * Whatever fails has filled the response with the error in the route's form.
 */
#ifndef SX_SERVER_EMBED_CALL_H
#define SX_SERVER_EMBED_CALL_H

#include "server_internal.h"

#include "../base/json_reader.h"

typedef struct sx_embed_call {
    sx_server *server;
    sx_request *request;
    sx_response *response;
    const char *input_name; /* of the member with the texts, for errors */
    bool failed;            /* the response is an error */

    /* what is asked for */
    sx_text model_name; /* none: the first model that fits */
    sx_text *texts;     /* call's own; the strings live with the request */
    size_t count, text_capacity;
    bool has_ids;        /* token ids instead of texts */
    bool ids_are_models; /* whatever --token-ids says */
    bool is_single;      /* one string rather than a list */
    sx_text role;        /* query, document, passage, search_query ... or a prompt's name; none: the model's default */
    uint32_t dimensions; /* 0: all */
    int normalize;       /* as in sx_embed_options */
    int truncate;        /* 1, 0; -1: the server's default */
    unsigned outputs;    /* 0: SX_OUTPUT_DENSE */
    bool wants_receipts;
    bool refuses_empty;

    /* results */
    sx_served_model *model;
    float *vectors; /* count x width */
    size_t width;
    sx_receipt *receipts;
    sx_text_outputs *token_outputs; /* with SX_OUTPUT_SPARSE or _MULTI */

    /* internal */
    sx_buffer scratch;
    uint32_t *ids;
    size_t id_count, id_capacity;
    size_t *id_starts;
    size_t id_start_capacity;
} sx_embed_call;

void sx_embed_call_begin(sx_embed_call *call, sx_server *server, sx_request *request, sx_response *response,
                         const char *input_name);
/* Begins to read the body, which must be an object. False: the response is the error. */
bool sx_embed_body_begins(sx_embed_call *call, sx_json *json);
/* The next member of the body; false at the end. */
bool sx_embed_body_member(sx_embed_call *call, sx_json *json, sx_text *key);
/* A string of the body, or null (then *value is left alone); it lives with the request. False: something else. */
bool sx_embed_read_string(sx_embed_call *call, sx_json *json, sx_text *value);
/* true, false, or null (then *value is left alone). */
bool sx_embed_read_boolean(sx_json *json, int *value);
/* A whole number from 1 on, or null. */
bool sx_embed_read_dimensions(sx_embed_call *call, sx_json *json);
/* A string, a list of strings, of ids, or of lists of ids. */
bool sx_embed_read_inputs(sx_embed_call *call, sx_json *json);
/* Adds one text. */
bool sx_embed_add_text(sx_embed_call *call, sx_text text);
/* Checks that the body has ended well, for bodies without inputs. */
bool sx_embed_body_closes(sx_embed_call *call, sx_json *json);
/* The same, and that there was an input. */
bool sx_embed_body_ends(sx_embed_call *call, sx_json *json);
/* Chooses the model and embeds. On success all texts have their vectors. Adds the headers about truncation. */
bool sx_embed_call_run(sx_embed_call *call);
/* Only chooses the model (call->model), for what does not embed. outputs: SX_OUTPUT_*. */
bool sx_embed_choose_model(sx_embed_call *call, unsigned outputs);
void sx_embed_call_end(sx_embed_call *call);

/* Tokens of all inputs, for "usage". */
uint64_t sx_embed_total_tokens(const sx_embed_call *call);
/* ,"receipts":[{"tokens":..,"truncated":..,"dropped_tokens":..}] when the request asked for it. */
void sx_embed_write_receipts(const sx_embed_call *call, sx_buffer *to);
/* [[...],[...]] */
void sx_embed_write_rows(const sx_embed_call *call, sx_buffer *to);
/* [...] of text i. */
void sx_embed_write_row(const sx_embed_call *call, size_t index, sx_buffer *to);

#endif
