/* run_verify.c - `sextant models verify`: a model beside what another program made of it.
 *
 * The weights' SHA-256 beside the one recorded at import; vectors (or a cross-encoder's logits or scores) beside a .npy file; and
 * token ids beside those in the records, since where vectors differ it is mostly because the tokens do. */
#include "models.h"
#include "input_choice.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/hash.h"
#include "../base/json_reader.h"
#include "../base/json_writer.h"
#include "../base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Texts whose tokens differ that are shown. */
enum { SHOWN = 5, ID_BYTES = 64 };

/* ---- Reference files ---- */

typedef struct npy_array {
    sx_file_map map;
    const float *values;
    size_t rows, columns;
} npy_array;

/* Format 1.0 to 3.0, little-endian float32, C order, two dimensions, or one for columns of one. The header is a Python literal
 * in a fixed form. */
static sx_status open_npy(const char *path, npy_array *array, sx_error *error)
{
    *array = (npy_array){0};
    sx_status status = sx_file_map_open(path, &array->map, error);
    if (status)
        return status;
    const unsigned char *data = array->map.data;
    size_t length = array->map.length, header = 0, start = 0;
    if (length >= 12 && memcmp(data, "\x93NUMPY", 6) == 0) {
        start = data[6] == 1 ? 10 : 12;
        header = data[6] == 1 ? (size_t)data[8] | (size_t)data[9] << 8
                              : (size_t)data[8] | (size_t)data[9] << 8 | (size_t)data[10] << 16 | (size_t)data[11] << 24;
    }
    if (!start || header > 65536 || length - start < header)
        return sx_fail(error, SX_E_FORMAT, "%s: not a .npy file", path);
    char *text = sx_strndup((const char *)data + start, header);
    if (!text)
        return sx_fail_nomem(error, header);
    const char *shape = strstr(text, "'shape': (");
    unsigned long long rows = 0, columns = 1;
    size_t bytes;
    char after = 0;
    int sizes = shape ? sscanf(shape, "'shape': (%llu, %llu", &rows, &columns) : 0;
    if (sizes == 1 && (sscanf(shape, "'shape': (%llu,%c", &rows, &after) != 2 || after != ')'))
        sizes = 0;
    if (!strstr(text, "'<f4'") || !strstr(text, "'fortran_order': False") || sizes < 1)
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: expected little-endian float32 in C order with two dimensions", path);
    else if (!sx_multiply(rows, columns, &bytes) || !sx_multiply(bytes, sizeof(float), &bytes) ||
             bytes != length - start - header)
        status = sx_fail(error, SX_E_FORMAT, "%s: %llu x %llu values need another size than the %zu bytes there", path, rows,
                         columns, length - start - header);
    else if ((start + header) % sizeof(float))
        status = sx_fail(error, SX_E_FORMAT, "%s: the values are not aligned", path);
    free(text);
    array->values = (const float *)(const void *)(data + start + header);
    array->rows = rows;
    array->columns = columns;
    return status;
}

/* A record's further members. */
typedef struct record_facts {
    uint32_t *ids; /* NULL: the record has none */
    size_t count;
    char *query;   /* NULL: none */
    size_t query_length;
} record_facts;

static void facts_clear(record_facts *facts)
{
    free(facts->ids);
    free(facts->query);
    *facts = (record_facts){0};
}

static bool read_ids(sx_json *json, record_facts *facts)
{
    size_t capacity = 0;
    uint64_t id;
    bool memory = sx_reserve((void **)&facts->ids, &capacity, 1, sizeof *facts->ids);
    sx_json_array(json);
    while (memory && sx_json_element(json)) {
        if (!sx_json_unsigned(json, &id) || (id > UINT32_MAX && !sx_json_reject(json, "larger than any token id")))
            break;
        memory = sx_reserve((void **)&facts->ids, &capacity, facts->count + 1, sizeof *facts->ids);
        if (memory)
            facts->ids[facts->count++] = (uint32_t)id;
    }
    return memory;
}

/* `ids` and `query` of an item, which may have neither. */
static sx_status read_facts(const sx_record *item, const char *path, size_t row, record_facts *facts, sx_error *error)
{
    sx_buffer object = {0}, key = {0}, value = {0};
    sx_status status = SX_OK;
    bool memory = true;
    *facts = (record_facts){0};
    if (!item->members)
        return SX_OK;
    sx_buffer_append_byte(&object, '{');
    sx_buffer_append_string(&object, item->members);
    if (!sx_buffer_append_byte(&object, '}'))
        return sx_fail_nomem(error, object.length);
    sx_json json;
    sx_text name, text;
    sx_json_begin(&json, object.data, object.length, path);
    sx_json_object(&json);
    while (memory && sx_json_member(&json, &key, &name)) {
        if (sx_text_is(name, "ids") && sx_json_peek(&json) == SX_JSON_ARRAY && !facts->ids) {
            memory = read_ids(&json, facts);
        } else if (sx_text_is(name, "query") && sx_json_peek(&json) == SX_JSON_STRING && !facts->query) {
            if (sx_json_string(&json, &value, &text))
                memory = (facts->query = sx_strndup(text.data, facts->query_length = text.length)) != NULL;
        } else if (!sx_json_skip(&json)) {
            break;
        }
    }
    if (!memory)
        status = sx_fail_nomem(error, object.length);
    else if (json.problem)
        status = sx_fail(error, SX_E_FORMAT, "%s: record %zu: ids: expected an array of token ids (%s)", path, row + 1,
                         json.problem);
    if (status)
        facts_clear(facts);
    sx_buffer_clear(&object);
    sx_buffer_clear(&key);
    sx_buffer_clear(&value);
    return status;
}

/* ---- Comparing ---- */

typedef struct difference {
    double largest, smallest_cosine;
} difference;

static void compare_row(difference *found, const float *a, const float *b, size_t count)
{
    double dot = 0, left = 0, right = 0;
    for (size_t i = 0; i < count; i++) {
        double apart = fabs((double)a[i] - (double)b[i]);
        if (!(apart <= found->largest))
            found->largest = isnan(apart) ? HUGE_VAL : apart;
        dot += (double)a[i] * (double)b[i];
        left += (double)a[i] * (double)a[i];
        right += (double)b[i] * (double)b[i];
    }
    double cosine = left > 0 && right > 0 ? dot / sqrt(left * right) : left == right ? 1 : 0;
    if (!(cosine >= found->smallest_cosine))
        found->smallest_cosine = isnan(cosine) ? -1 : cosine;
}

/* A text whose tokens are not the reference's. */
typedef struct token_difference {
    size_t row;
    char id[ID_BYTES];
    size_t place;             /* of the first token that differs */
    size_t found_count, wanted_count;
    bool has_found, has_wanted;
    uint32_t found, wanted;   /* the tokens there */
} token_difference;

typedef struct comparison {
    sx_cli *cli;
    sx_model *model;
    sx_session *session;
    const char *texts_path, *vectors_path, *prompt;
    npy_array array;
    uint32_t width;           /* of a row */
    bool scores;              /* a cross-encoder's */
    float *row, *second_row;
    difference vectors, second; /* second: a cross-encoder's scores, vectors being its logits */
    size_t texts, with_ids, different;
    token_difference shown[SHOWN];
} comparison;

static sx_status compare_tokens(comparison *run, const sx_record *item, const record_facts *facts, sx_error *error)
{
    sx_tokens tokens;
    sx_text text = {item->text, item->length}, query = {facts->query, facts->query_length};
    sx_status status = sx_session_tokens(run->session, run->scores ? &query : NULL, text, run->prompt, &tokens, error);
    if (status)
        return status;
    size_t place = 0, least = tokens.count < facts->count ? tokens.count : facts->count;
    while (place < least && tokens.ids[place] == facts->ids[place])
        place++;
    run->with_ids++;
    if (place == tokens.count && place == facts->count)
        return SX_OK;
    if (run->different < SHOWN) {
        token_difference *shown = &run->shown[run->different];
        *shown = (token_difference){.row = run->texts, .place = place, .found_count = tokens.count, .wanted_count = facts->count,
                                    .has_found = place < tokens.count, .has_wanted = place < facts->count};
        snprintf(shown->id, sizeof shown->id, "%s", item->id ? item->id : "");
        shown->found = shown->has_found ? tokens.ids[place] : 0;
        shown->wanted = shown->has_wanted ? facts->ids[place] : 0;
    }
    run->different++;
    return SX_OK;
}

static sx_status compare_vectors(comparison *run, const sx_record *item, const record_facts *facts, sx_error *error)
{
    sx_text text = {item->text, item->length};
    if (run->texts >= run->array.rows)
        return sx_fail(error, SX_E_MISMATCH, "%s: %zu rows, but %s has more texts", run->vectors_path, run->array.rows,
                       run->texts_path);
    const float *wanted = run->array.values + run->texts * run->array.columns;
    if (run->scores) {
        sx_text query = {facts->query, facts->query_length};
        sx_status status = sx_session_score(run->session, query, &text, 1, NULL, run->row, run->second_row, NULL, error);
        if (status)
            return status;
        compare_row(&run->second, run->second_row, wanted, run->width);
    } else {
        sx_embed_options options = {.size = sizeof options, .prompt = run->prompt};
        sx_status status = sx_session_embed(run->session, &text, 1, &options, run->row, NULL, error);
        if (status)
            return status;
    }
    compare_row(&run->vectors, run->row, wanted, run->width);
    return SX_OK;
}

static sx_status compare_record(comparison *run, const sx_record *item, sx_error *error)
{
    record_facts facts;
    if (item->status)
        return sx_fail(error, item->status, "%s", item->problem ? item->problem : "a text failed");
    sx_status status = read_facts(item, run->texts_path, run->texts, &facts, error);
    if (!status && run->scores && !facts.query) {
        status = sx_fail(error, SX_E_FORMAT, "%s: record %zu: no \"query\"", run->texts_path, run->texts + 1);
        sx_hint(error, "the model is a cross-encoder: each record holds a query and a text");
    }
    if (!status && facts.ids)
        status = compare_tokens(run, item, &facts, error);
    if (!status && run->vectors_path)
        status = compare_vectors(run, item, &facts, error);
    facts_clear(&facts);
    run->texts++;
    return status;
}

static sx_status open_comparison(comparison *run, sx_error *error)
{
    const sx_model_info *info = sx_model_describe(run->model);
    sx_session_options options = {.size = sizeof options, .threads = (unsigned)sx_cli_count(run->cli, "threads")};
    run->scores = info->outputs & SX_OUTPUT_SCORES;
    run->width = run->scores ? info->labels : info->dimensions;
    run->vectors.smallest_cosine = run->second.smallest_cosine = 1;
    run->row = sx_calloc(run->width, sizeof *run->row);
    run->second_row = sx_calloc(run->width, sizeof *run->second_row);
    sx_status status = run->row && run->second_row ? SX_OK : sx_fail_nomem(error, run->width * sizeof *run->row);
    const char *role = sx_cli_text(run->cli, "role");
    if (!status && !run->scores && strcmp(role, "none") != 0)
        status = sx_model_prompt(run->model, role, &run->prompt, error);
    if (!status && run->vectors_path)
        status = open_npy(run->vectors_path, &run->array, error);
    if (!status && run->vectors_path && run->array.columns != run->width)
        status = sx_fail(error, SX_E_MISMATCH, "%s: %zu %s, but the model has %u", run->vectors_path, run->array.columns,
                         run->scores ? "labels" : "dimensions", run->width);
    return status ? status : sx_session_open(run->model, &options, &run->session, error);
}

static void close_comparison(comparison *run)
{
    sx_session_close(run->session);
    sx_file_map_close(&run->array.map);
    free(run->row);
    free(run->second_row);
}

static sx_status compare_all(comparison *run, sx_error *error)
{
    sx_records *reader = NULL;
    sx_records_input input = {.path = run->texts_path, .fallback = "jsonl", .text_column = "text", .id_column = "id"};
    sx_status status = open_comparison(run, error);
    if (!status)
        status = sx_records_open(&input, &reader, error);
    for (bool more = true; more && !status;) {
        sx_record item;
        status = sx_records_next(reader, &item, &more, error);
        if (!status && more)
            status = compare_record(run, &item, error);
        sx_record_clear(&item);
    }
    if (!status && run->vectors_path && run->texts != run->array.rows)
        status = sx_fail(error, SX_E_MISMATCH, "%s: %zu rows, but %s has %zu texts", run->vectors_path, run->array.rows,
                         run->texts_path, run->texts);
    if (!status && !run->vectors_path && !run->with_ids) {
        status = sx_fail(error, SX_E_FORMAT, "%s: no record has \"ids\"", run->texts_path);
        sx_hint(error, "give token ids with the texts, or vectors with --vectors");
    }
    sx_records_close(reader);
    return status;
}

/* ---- The result ---- */

static void append_token_differences(sx_buffer *json, const comparison *run)
{
    sx_cli_key(json, "token_differences");
    sx_buffer_append_byte(json, '[');
    for (size_t i = 0; i < run->different && i < SHOWN; i++) {
        const token_difference *shown = &run->shown[i];
        sx_buffer_append_string(json, i ? ",{" : "{");
        sx_cli_member_integer(json, "text", shown->row);
        if (*shown->id && strlen(shown->id) + 1 < ID_BYTES) {
            sx_cli_key(json, "id");
            sx_buffer_append_string(json, shown->id);
        }
        sx_cli_member_integer(json, "position", shown->place);
        sx_cli_member_integer(json, "tokens", shown->found_count);
        sx_cli_member_integer(json, "reference_tokens", shown->wanted_count);
        if (shown->has_found)
            sx_cli_member_integer(json, "token", shown->found);
        if (shown->has_wanted)
            sx_cli_member_integer(json, "reference_token", shown->wanted);
        sx_buffer_append_byte(json, '}');
    }
    sx_buffer_append_byte(json, ']');
}

static void print_json(sx_cli *cli, const comparison *run, const char *hex, const char *recorded, const difference *vectors,
                       double tolerance, bool agrees)
{
    sx_buffer json = {0};
    sx_buffer_append_byte(&json, '{');
    sx_cli_member_text(&json, "model", sx_cli_model_argument(cli));
    sx_cli_member_text(&json, "sha256", hex);
    sx_cli_member_text(&json, "recorded", recorded && *recorded ? recorded : NULL);
    if (run->texts_path)
        sx_cli_member_integer(&json, "texts", run->texts);
    if (run->vectors_path) {
        if (run->scores)
            sx_cli_member_text(&json, "compared", vectors == &run->second ? "scores" : "logits");
        sx_cli_member_number(&json, "max_abs_difference", vectors->largest);
        if (!run->scores)
            sx_cli_member_number(&json, "min_cosine", vectors->smallest_cosine);
        sx_cli_member_number(&json, "tolerance", tolerance);
    }
    if (run->with_ids) {
        sx_cli_member_integer(&json, "texts_with_ids", run->with_ids);
        sx_cli_member_integer(&json, "texts_with_other_tokens", run->different);
        append_token_differences(&json, run);
    }
    sx_cli_member_boolean(&json, "agrees", agrees);
    sx_buffer_append_byte(&json, '}');
    sx_cli_print_json(cli, &json);
}

static void say_token(const char *what, bool there, uint32_t id, const sx_tokenizer *tokenizer)
{
    sx_text piece = there ? sx_tokenizer_piece(tokenizer, id) : (sx_text){NULL, 0};
    if (there)
        sx_cli_say("%s %u \"%.*s\"", what, id, (int)piece.length, piece.data ? piece.data : "");
    else
        sx_cli_say("%s nothing", what);
}

static void print_text(const comparison *run, const char *hex, const char *recorded, const difference *vectors)
{
    sx_cli_say("sha-256  %s%s\n", hex, recorded && *recorded ? ", as at import" : ", not recorded at an import");
    if (run->with_ids)
        sx_cli_say("tokens   %zu of %zu texts with ids have other tokens\n", run->different, run->with_ids);
    for (size_t i = 0; i < run->different && i < SHOWN; i++) {
        const token_difference *shown = &run->shown[i];
        sx_cli_say("         text %zu%s%s: token %zu: ", shown->row + 1, *shown->id ? ", " : "", shown->id, shown->place);
        say_token("here", shown->has_found, shown->found, sx_model_tokenizer(run->model));
        say_token(", there", shown->has_wanted, shown->wanted, sx_model_tokenizer(run->model));
        sx_cli_say(" (%zu and %zu tokens)\n", shown->found_count, shown->wanted_count);
    }
    if (run->vectors_path && run->scores)
        sx_cli_say("%zu pairs: largest difference %.2e from the model's %s\n", run->texts, vectors->largest,
                   vectors == &run->second ? "scores" : "logits");
    else if (run->vectors_path)
        sx_cli_say("%zu texts: largest difference %.2e, smallest cosine %.7f\n", run->texts, vectors->largest,
                   vectors->smallest_cosine);
}

static sx_status check_weights(sx_cli *cli, const sx_model_info *info, char hex[SX_SHA256_HEX], char **recorded, sx_error *error)
{
    sx_sha256 hash;
    char *licence = NULL;
    sx_status status = sx_cli_find_model_entry(cli, info->folder, &licence, recorded, error);
    free(licence);
    if (!status)
        status = sx_file_sha256(info->weights_file, NULL, &hash, error);
    if (status)
        return status;
    sx_sha256_hex(&hash, hex);
    if (*recorded && **recorded && strcmp(hex, *recorded) != 0) {
        status = sx_fail(error, SX_E_MISMATCH, "%s: sha-256 is %s, at import it was %s", info->weights_file, hex, *recorded);
        sx_hint(error, "the file has changed since: remove the model and import it again");
    }
    return status;
}

int sx_cli_models_verify(sx_cli *cli)
{
    sx_error error = {0};
    char hex[SX_SHA256_HEX] = "", *recorded = NULL;
    comparison run = {.cli = cli, .texts_path = sx_cli_text(cli, "texts"), .vectors_path = sx_cli_text(cli, "vectors")};
    double tolerance = sx_cli_get(cli, "tolerance")->number;
    if (run.vectors_path && !run.texts_path)
        return sx_cli_usage(cli, NULL, "models verify: --vectors needs --texts");
    sx_status status = sx_cli_open_named_model(cli, &run.model, &error);
    if (!status)
        status = check_weights(cli, sx_model_describe(run.model), hex, &recorded, &error);
    if (!status && run.texts_path)
        status = compare_all(&run, &error);
    /* A file of a cross-encoder's results holds one or the other. */
    const difference *vectors = run.scores && run.second.largest < run.vectors.largest ? &run.second : &run.vectors;
    bool agrees = vectors->largest <= tolerance && !run.different;
    int code = status ? sx_cli_fail(cli, &error) : agrees ? SX_EXIT_DONE : SX_EXIT_FAILED;
    if (!status && cli->json)
        print_json(cli, &run, hex, recorded, vectors, tolerance, agrees);
    else if (!status)
        print_text(&run, hex, recorded, vectors);
    if (!status && vectors->largest > tolerance)
        sx_cli_complain(cli, "model %s: differs by %.2e from %s, more than %g", sx_cli_model_argument(cli), vectors->largest,
                        run.vectors_path, tolerance);
    if (!status && run.different)
        sx_cli_complain(cli, "model %s: other tokens than in %s for %zu of %zu texts", sx_cli_model_argument(cli), run.texts_path,
                        run.different, run.with_ids);
    close_comparison(&run);
    free(recorded);
    sx_model_close(run.model);
    return code;
}
