/* bench_stdio.c - `sextant bench --stdio`: one JSON request a line on standard input, one reply a line on standard output, so
 * that a harness can run Sextant beside other engines.
 *
 *   {"op":"embed","mode":"own","texts":[...]}    {"ok":true,"ms":12.3,"n":64,"dim":384}
 *   {"op":"embed","ids":[[101,...,102],...]}     the same, without the tokenizer
 *   {"op":"vectors","texts":[...]} (or ids)      the same plus "data": base64 of n x dim little-endian float32
 *   {"op":"tokenize","texts":[...]}              {"ok":true,"ms":..,"tokens":..}; with "return_ids":true also "ids"
 *   what cannot be done                          {"ok":false,"error":"..."}
 *
 * `ms` is from the request being parsed to the vectors being ready. The harness compares directions: where the model does not
 * give vectors of length 1 they are scaled to it, in the time that counts. Neither cache nor database is opened.
 */
#include "bench.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/json_reader.h"
#include "../base/json_writer.h"
#include "../base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum operation { OPERATION_NONE, OPERATION_EMBED, OPERATION_VECTORS, OPERATION_TOKENIZE } operation;

static const size_t longest_request = (size_t)4 << 30;

/* What a request holds; memory is kept from one to the next. */
typedef struct request {
    operation what;
    bool has_texts, has_ids, return_ids;
    sx_buffer bytes;          /* of all texts, end to end */
    uint32_t *ids;            /* of all texts, end to end */
    size_t id_count, id_capacity;
    size_t *ends;             /* of each text in one of the above */
    size_t count, capacity;
} request;

typedef struct stdio_run {
    sx_model *model;
    sx_session *session;
    const sx_model_info *info;
    request request;
    sx_text *texts;
    sx_tokens *tokens;
    float *vectors;
    size_t text_capacity, token_capacity, vector_capacity;
    sx_encoding encoding;
    sx_buffer key, value, reply;
} stdio_run;

static double milliseconds_since(int64_t start_ns)
{
    return 1e-6 * (double)(sx_system_clock.monotonic_ns(sx_system_clock.user) - start_ns);
}

static int64_t now_ns(void)
{
    return sx_system_clock.monotonic_ns(sx_system_clock.user);
}

/* ---- Requests ---- */

static bool end_text(sx_json *json, request *r, size_t end)
{
    if (!sx_reserve((void **)&r->ends, &r->capacity, r->count + 1, sizeof *r->ends))
        return sx_json_reject(json, "no memory");
    r->ends[r->count++] = end;
    return true;
}

static void read_texts(stdio_run *run, sx_json *json)
{
    request *r = &run->request;
    sx_text text;
    sx_json_array(json);
    while (sx_json_element(json)) {
        if (!sx_json_string(json, &run->value, &text))
            return;
        if (!sx_buffer_append(&r->bytes, text.data, text.length)) {
            sx_json_reject(json, "no memory for its texts");
            return;
        }
        if (!end_text(json, r, r->bytes.length))
            return;
    }
}

static void read_ids(sx_json *json, request *r)
{
    uint64_t id;
    sx_json_array(json);
    while (sx_json_element(json)) {
        sx_json_array(json);
        while (sx_json_element(json)) {
            if (!sx_json_unsigned(json, &id))
                return;
            if (id > UINT32_MAX || !sx_reserve((void **)&r->ids, &r->id_capacity, r->id_count + 1, sizeof *r->ids)) {
                sx_json_reject(json, id > UINT32_MAX ? "no token id" : "no memory");
                return;
            }
            r->ids[r->id_count++] = (uint32_t)id;
        }
        if (!end_text(json, r, r->id_count))
            return;
    }
}

static operation operation_of(sx_text name)
{
    return sx_text_is(name, "embed")      ? OPERATION_EMBED
           : sx_text_is(name, "vectors")  ? OPERATION_VECTORS
           : sx_text_is(name, "tokenize") ? OPERATION_TOKENIZE
                                          : OPERATION_NONE;
}

static sx_status read_request(stdio_run *run, const char *line, size_t length, sx_error *error)
{
    request *r = &run->request;
    sx_json json;
    sx_text key, value, unknown = {"", 0};
    r->what = OPERATION_NONE;
    r->has_texts = r->has_ids = r->return_ids = false;
    r->id_count = r->count = 0;
    sx_buffer_reset(&r->bytes);
    sx_json_begin(&json, line, length, "request");
    sx_json_object(&json);
    while (sx_json_member(&json, &run->key, &key)) {
        if (sx_text_is(key, "op")) {
            if (sx_json_string(&json, NULL, &value) && (r->what = operation_of(value)) == OPERATION_NONE)
                unknown = value;
        } else if ((sx_text_is(key, "texts") || sx_text_is(key, "ids")) && (r->has_texts || r->has_ids)) {
            sx_json_reject(&json, "texts and ids do not go together");
        } else if (sx_text_is(key, "texts")) {
            r->has_texts = true;
            read_texts(run, &json);
        } else if (sx_text_is(key, "ids")) {
            r->has_ids = true;
            read_ids(&json, r);
        } else if (sx_text_is(key, "return_ids")) {
            sx_json_boolean(&json, &r->return_ids);
        } else {
            sx_json_skip(&json); /* mode: we choose for ourselves */
        }
    }
    sx_json_end(&json);
    if (json.problem)
        return sx_json_fail(&json, SX_E_INVALID, error);
    if (r->what == OPERATION_NONE)
        return sx_fail(error, SX_E_INVALID, "op: '%.*s' is not one of embed, vectors, tokenize", (int)unknown.length,
                       unknown.data);
    if (!r->has_texts && !(r->has_ids && r->what != OPERATION_TOKENIZE))
        return sx_fail(error, SX_E_INVALID, "request: %s are missing", r->what == OPERATION_TOKENIZE ? "texts" : "texts or ids");
    return SX_OK;
}

/* Points texts or tokens into what was read, which moves no more. */
static sx_status arrange(stdio_run *run, sx_error *error)
{
    request *r = &run->request;
    if (!sx_reserve((void **)&run->texts, &run->text_capacity, r->count + 1, sizeof *run->texts) ||
        !sx_reserve((void **)&run->tokens, &run->token_capacity, r->count + 1, sizeof *run->tokens))
        return sx_fail_nomem(error, r->count * sizeof *run->texts);
    for (size_t i = 0, start = 0; i < r->count; start = r->ends[i++])
        if (r->has_texts)
            run->texts[i] = (sx_text){r->bytes.data ? r->bytes.data + start : "", r->ends[i] - start};
        else
            run->tokens[i] = (sx_tokens){r->ids + start, r->ends[i] - start};
    return SX_OK;
}

/* ---- Replies ---- */

static void scale_rows(float *rows, size_t count, size_t width)
{
    for (size_t i = 0; i < count; i++) {
        float *row = rows + i * width;
        double sum = 0.0;
        for (size_t j = 0; j < width; j++)
            sum += (double)row[j] * row[j];
        double scale = sum > 0.0 ? 1.0 / sqrt(sum) : 1.0;
        for (size_t j = 0; j < width; j++)
            row[j] = (float)(row[j] * scale);
    }
}

static sx_status answer_embed(stdio_run *run, sx_error *error)
{
    const request *r = &run->request;
    size_t width = run->info->dimensions, bytes;
    if (!sx_multiply(r->count, width * sizeof(float), &bytes) ||
        !sx_reserve((void **)&run->vectors, &run->vector_capacity, r->count * width + 1, sizeof *run->vectors))
        return sx_fail_nomem(error, r->count);
    int64_t start = now_ns();
    sx_status status = r->has_texts
                           ? sx_session_embed(run->session, run->texts, r->count, NULL, run->vectors, NULL, error)
                           : sx_session_embed_tokens(run->session, run->tokens, r->count, NULL, run->vectors, NULL, error);
    if (status)
        return status;
    if (!run->info->normalized)
        scale_rows(run->vectors, r->count, width);
    double took = milliseconds_since(start);
    sx_buffer_append_string(&run->reply, "{\"ok\":true");
    sx_cli_member_number(&run->reply, "ms", took);
    sx_cli_member_integer(&run->reply, "n", r->count);
    sx_cli_member_integer(&run->reply, "dim", width);
    if (r->what == OPERATION_VECTORS) {
        sx_cli_key(&run->reply, "data");
        sx_json_write_base64(&run->reply, run->vectors, bytes);
    }
    sx_buffer_append_byte(&run->reply, '}');
    return SX_OK;
}

static sx_status answer_tokenize(stdio_run *run, sx_error *error)
{
    const request *r = &run->request;
    const sx_tokenizer *tokenizer = sx_model_tokenizer(run->model);
    size_t tokens = 0;
    int64_t start = now_ns();
    for (size_t i = 0; i < r->count; i++) {
        sx_status status = sx_tokenizer_encode(tokenizer, run->texts[i], NULL, &run->encoding, error);
        if (status)
            return status;
        tokens += run->encoding.count;
    }
    double took = milliseconds_since(start);
    sx_buffer_append_string(&run->reply, "{\"ok\":true");
    sx_cli_member_number(&run->reply, "ms", took);
    sx_cli_member_integer(&run->reply, "tokens", tokens);
    if (r->return_ids) {
        sx_cli_key(&run->reply, "ids");
        sx_buffer_append_byte(&run->reply, '[');
        for (size_t i = 0; i < r->count; i++) {
            sx_status status = sx_tokenizer_encode(tokenizer, run->texts[i], NULL, &run->encoding, error);
            if (status)
                return status;
            sx_buffer_append_string(&run->reply, i ? ",[" : "[");
            for (size_t t = 0; t < run->encoding.count; t++)
                sx_buffer_printf(&run->reply, "%s%u", t ? "," : "", run->encoding.ids[t]);
            sx_buffer_append_byte(&run->reply, ']');
        }
        sx_buffer_append_byte(&run->reply, ']');
    }
    sx_buffer_append_byte(&run->reply, '}');
    return SX_OK;
}

/* Leaves one line in run->reply. */
static void answer(stdio_run *run, const char *line, size_t length)
{
    sx_error error = {0};
    sx_buffer_clear(&run->reply);
    sx_status status = read_request(run, line, length, &error);
    if (!status)
        status = arrange(run, &error);
    if (!status)
        status = run->request.what == OPERATION_TOKENIZE ? answer_tokenize(run, &error) : answer_embed(run, &error);
    if (!status && run->reply.failed)
        status = sx_fail_nomem(&error, run->reply.length);
    if (status) {
        sx_buffer_clear(&run->reply);
        sx_buffer_append_string(&run->reply, "{\"ok\":false");
        sx_cli_member_text(&run->reply, "error", error.message);
        sx_buffer_append_byte(&run->reply, '}');
    }
    sx_buffer_append_byte(&run->reply, '\n');
}

sx_status sx_cli_bench_open(sx_cli *cli, sx_model **out, sx_error *error)
{
    char *reference = NULL, *folder = NULL;
    *out = NULL;
    sx_status status = sx_cli_model_reference(cli, &reference, error);
    if (!status)
        status = sx_models_resolve(&cli->places, reference, &folder, error);
    if (!status) {
        sx_model_options options = {.size = sizeof options, .max_length = (uint32_t)sx_cli_count(cli, "max-length"),
                                    .precision = sx_cli_text(cli, "precision"), .storage = sx_cli_text(cli, "storage"),
                                    .hash_folder = cli->cache_folder};
        status = sx_model_open(folder, &options, out, error);
    }
    sx_free(folder);
    free(reference);
    return status;
}

int sx_cli_bench_stdio(sx_cli *cli)
{
    stdio_run run = {.reply = {.maximum = longest_request},
                     .value = {.maximum = longest_request},
                     .request.bytes = {.maximum = longest_request}};
    sx_error error = {0};
    char *line = NULL;
    size_t capacity = 0;
    sx_status status = sx_cli_bench_open(cli, &run.model, &error);
    if (!status) {
        run.info = sx_model_describe(run.model);
        if (!(run.info->outputs & SX_OUTPUT_DENSE))
            status = sx_fail(&error, SX_E_UNSUPPORTED, "%s: the model gives no vectors", run.info->folder);
    }
    if (!status) {
        sx_session_options options = {.size = sizeof options, .threads = (unsigned)sx_cli_count(cli, "threads")};
        status = sx_session_open(run.model, &options, &run.session, &error);
    }
    for (ssize_t length; !status && (length = getline(&line, &capacity, stdin)) >= 0;) {
        answer(&run, line, (size_t)length);
        if (fwrite(run.reply.data, 1, run.reply.length, stdout) != run.reply.length || fflush(stdout) != 0)
            status = sx_fail(&error, SX_E_IO, "standard output: cannot be written");
    }
    if (!status && ferror(stdin))
        status = sx_fail(&error, SX_E_IO, "standard input: cannot be read");
    int code = status ? sx_cli_fail(cli, &error) : SX_EXIT_DONE;
    free(line);
    free(run.texts);
    free(run.tokens);
    free(run.vectors);
    free(run.request.ids);
    free(run.request.ends);
    sx_buffer_clear(&run.request.bytes);
    sx_buffer_clear(&run.key);
    sx_buffer_clear(&run.value);
    sx_buffer_clear(&run.reply);
    sx_encoding_clear(&run.encoding);
    sx_session_close(run.session);
    sx_model_close(run.model);
    return code;
}
