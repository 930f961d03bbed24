/* wire_internal.h - what the wire forms share: the table of forms, starting a request, reading vectors, and what errors mean. */
#ifndef SX_PROVIDER_WIRE_INTERNAL_H
#define SX_PROVIDER_WIRE_INTERNAL_H

#include "wire.h"

#include "../base/json_reader.h"

extern const sx_wire_form sx_wire_openai, sx_wire_compatible, sx_wire_azure;
extern const sx_wire_form sx_wire_cohere, sx_wire_voyage, sx_wire_voyage_elsewhere, sx_wire_jina, sx_wire_gemini, sx_wire_mistral;
extern const sx_wire_form sx_wire_ollama, sx_wire_tei, sx_wire_remote;

/* ---- Requests ---- */

/* What a role is called by the service: *value NULL when nothing is sent. SX_E_NOT_FOUND for a role it has not. */
typedef sx_status sx_wire_role_namer(const sx_wire_target *target, const char *role, const char **value, sx_error *error);
/* The namer of the target's service; forms without such a field know "query", "document" and "none" and send nothing. */
sx_status sx_wire_role_value(const sx_wire_target *target, const char *role, const char **value, sx_error *error);
sx_wire_role_namer sx_wire_role_cohere, sx_wire_role_voyage, sx_wire_role_jina, sx_wire_role_gemini, sx_wire_role_tei;
bool sx_wire_role_is(const char *role, const char *name); /* NULL and "" are "none" */
sx_status sx_wire_no_such_role(const sx_wire_target *target, const char *role, const char *known, sx_error *error);

/* Checks the texts, empties the request and sets method, url (base_url and path) and headers. Paths hold no user's text. */
sx_status sx_wire_begin(const sx_wire_target *target, const sx_text *texts, size_t count, const char *path,
                        sx_wire_request *request, sx_error *error);
/* As sx_wire_begin for a request without texts. */
sx_status sx_wire_begin_info(const sx_wire_target *target, const char *method, const char *path, sx_wire_request *request,
                             sx_error *error);
/* SX_OK, or SX_E_NOMEM when something did not fit. */
sx_status sx_wire_finish(const sx_wire_request *request, sx_error *error);
void sx_wire_key(sx_buffer *body, const char *key);  /* ,"key": with a comma unless it is the first */
void sx_wire_member(sx_buffer *body, const char *key, const char *value);
void sx_wire_texts(sx_buffer *body, const char *key, const sx_text *texts, size_t count);
/* The dimensions asked for as a member of this name, unless none were or the server refused it. */
void sx_wire_dimensions(sx_buffer *body, const char *key, const sx_wire_target *target);
/* Appends a part of a path with everything escaped but letters, digits and "-._~". */
void sx_wire_escape(sx_buffer *url, const char *part);

/* ---- Replies ---- */

typedef struct sx_wire_reading {
    const sx_wire_target *target;
    sx_wire_reply *reply;
    sx_json json;
    sx_buffer key, text;   /* room for strings with escapes */
    size_t count, done;    /* vectors expected and read */
    uint32_t dimensions;   /* of a row: known or fixed by the first vector; 0: not yet */
    uint32_t sent;         /* of the vectors as the server sends them; 0: not yet */
    float *vectors;
    size_t room;
    unsigned char *seen;   /* a byte for each row */
    size_t row;            /* in an array of objects: the one in hand */
    bool failed;
} sx_wire_reading;

/* A member of an object, and what reads its value; all others are passed over. */
typedef struct sx_wire_field {
    const char *name;
    void (*read)(sx_wire_reading *reading);
} sx_wire_field;

/* Reads a reply whose outermost value is an object of these members, and checks all of it; ends in {0}. */
void sx_wire_read_reply(const sx_wire_field *fields, const sx_wire_target *target, const char *body, size_t length, size_t count,
                        uint32_t dimensions, float *vectors, size_t room, sx_wire_reply *reply);
/* As above for a reply of any kind: reads the outermost value. */
void sx_wire_read_value(void (*read)(sx_wire_reading *reading), const sx_wire_target *target, const char *body, size_t length,
                        size_t count, uint32_t dimensions, float *vectors, size_t room, sx_wire_reply *reply);
/* Reads the next value, an object of these members; anything else is a fault of the JSON. */
void sx_wire_read_object(sx_wire_reading *reading, const sx_wire_field *fields);
/* The same where anything else is passed over. */
void sx_wire_read_optional(sx_wire_reading *reading, const sx_wire_field *fields);
/* Reads the next value, an array of numbers or a string of base64, into a row. */
bool sx_wire_read_vector(sx_wire_reading *reading, size_t row);
/* Reads the next value, an array of vectors in the order of the texts. */
void sx_wire_read_rows(sx_wire_reading *reading);
/* Reads the next value as a count; anything but a whole number counts as not said. */
void sx_wire_read_count(sx_wire_reading *reading, uint64_t *count);
/* Reads a member "error" in a reply of 2xx: a service that says so there has failed. */
void sx_wire_read_error(sx_wire_reading *reading);
/* A reply that is damaged or fails a check: the first such message stays. */
bool sx_wire_fault(sx_wire_reading *reading, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* {"data":[{"index":i,"embedding":[...]}],"usage":{...}}: OpenAI's form, which many took over. */
void sx_wire_read_list(const sx_wire_target *target, const char *body, size_t length, size_t count, uint32_t dimensions,
                       float *vectors, size_t room, sx_wire_reply *reply);

/* ---- Errors ---- */

/* What an error's body says, as far as it is understood; strings are shortened to fit. */
typedef struct sx_wire_detail {
    char message[200], type[64], code[64], param[64];
    bool per_day;          /* a quota by the day or month is used up */
} sx_wire_detail;

void sx_wire_read_detail(const char *body, size_t length, sx_wire_detail *detail);
/* Puts "[key]" for the key and all that looks like one, makes it one line of UTF-8 and writes it to `to`. */
void sx_wire_redact(const sx_wire_target *target, const char *text, char *to, size_t size);
/* The meaning of a refusal, the same for all services; *named below are extra. */
void sx_wire_refuse(const sx_wire_target *target, long status, const char *body, size_t length, sx_wire_reply *reply);
bool sx_wire_says(const char *text, const char *part); /* contains it, whatever the case */
/* The environment variable that the program takes the service's key from, NULL for none. */
const char *sx_wire_key_variable(const char *service);

/* ---- Prices and limits ---- */

/* Fills limits, model_dimensions, price and known of the target. overrides: path or NULL. */
sx_status sx_wire_look_up(sx_wire_target *target, const char *overrides, sx_error *error);

#endif
