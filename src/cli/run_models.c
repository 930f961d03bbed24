/* run_models.c - `sextant models list|info|import|verify|remove`. */
#include "cli.h"
#include "records.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/hash.h"
#include "../base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *model_argument(const sx_cli *cli)
{
    return cli->argument_count ? cli->arguments[0] : sx_cli_text(cli, "model");
}

static void append_entry(sx_buffer *json, const sx_model_entry *entry)
{
    sx_buffer_append_byte(json, '{');
    sx_cli_member_text(json, "name", entry->name);
    sx_cli_member_text(json, "folder", entry->folder);
    sx_cli_member_text(json, "source", entry->source);
    sx_cli_member_text(json, "family", entry->family);
    sx_cli_member_text(json, "sha256", *entry->sha256 ? entry->sha256 : NULL);
    sx_cli_member_text(json, "licence", *entry->licence ? entry->licence : NULL);
    sx_cli_member_integer(json, "bytes", entry->bytes);
    sx_cli_member_integer(json, "dimensions", entry->dimensions);
    sx_cli_member_integer(json, "max_length", entry->max_length);
    sx_buffer_append_byte(json, '}');
}

int sx_cli_models_list(sx_cli *cli)
{
    if (sx_cli_flag(cli, "known"))
        return sx_cli_print_known_models(cli);
    sx_error error = {0};
    sx_model_list *list = NULL;
    sx_status status = sx_models_list(&cli->places, &list, &error);
    if (status)
        return sx_cli_fail(cli, &error);
    int code = SX_EXIT_DONE;
    if (cli->json) {
        sx_buffer json = {0};
        sx_buffer_append_string(&json, "{\"models\":[");
        for (size_t i = 0; i < list->count; i++) {
            sx_buffer_append_string(&json, i ? "," : "");
            append_entry(&json, &list->entries[i]);
        }
        sx_buffer_append_string(&json, "]}");
        code = sx_cli_print_json(cli, &json);
    } else if (!list->count) {
        sx_cli_say("No models yet; `sextant models pull minilm` fetches one, `sextant models import FOLDER` takes a copy you have.\n");
    } else {
        sx_cli_say("%-40s  %5s  %6s  %10s  %-9s  %s\n", "model", "dims", "tokens", "size", "from", "licence");
        for (size_t i = 0; i < list->count; i++) {
            const sx_model_entry *entry = &list->entries[i];
            char bytes[32];
            sx_cli_human_bytes(entry->bytes, bytes);
            sx_cli_say("%-40s  %5u  %6u  %10s  %-9s  %s\n", entry->name, entry->dimensions, entry->max_length, bytes,
                       entry->source, entry->licence);
        }
    }
    sx_model_list_free(list);
    return code;
}

/* Resolves and opens a model given as argument or -m. */
static sx_status open_model(sx_cli *cli, sx_model **model, sx_error *error)
{
    char *folder = NULL;
    const char *name = model_argument(cli);
    sx_status status = sx_cli_check_reference(name, error);
    if (!status)
        status = sx_models_resolve(&cli->places, name, &folder, error);
    if (!status) {
        sx_model_options options = {.size = sizeof options, .hash_folder = cli->cache_folder};
        status = sx_model_open(folder, &options, model, error);
    }
    sx_free(folder);
    return status;
}

/* What the registry knows of the folder: copied, since the list is freed. */
static sx_status find_entry(const sx_cli *cli, const char *folder, char **licence, char **sha256, sx_error *error)
{
    sx_model_list *list = NULL;
    sx_status status = sx_models_list(&cli->places, &list, error);
    for (size_t i = 0; !status && i < list->count; i++)
        if (strcmp(list->entries[i].folder, folder) == 0) {
            *licence = sx_strdup(list->entries[i].licence);
            *sha256 = sx_strdup(list->entries[i].sha256);
        }
    sx_model_list_free(list);
    return status;
}

int sx_cli_models_info(sx_cli *cli)
{
    sx_error error = {0};
    sx_model *model = NULL;
    char *licence = NULL, *recorded = NULL;
    sx_status status = open_model(cli, &model, &error);
    if (!status)
        status = find_entry(cli, sx_model_describe(model)->folder, &licence, &recorded, &error);
    int code = SX_EXIT_DONE;
    if (status) {
        code = sx_cli_fail(cli, &error);
        goto out;
    }
    const sx_model_info *info = sx_model_describe(model);
    if (cli->json) {
        sx_buffer json = {0};
        sx_buffer_append_byte(&json, '{');
        sx_cli_member_text(&json, "name", model_argument(cli));
        sx_cli_member_text(&json, "folder", info->folder);
        sx_cli_member_text(&json, "kind", info->kind);
        sx_cli_member_text(&json, "family", info->family);
        sx_cli_member_text(&json, "pooling", info->pooling);
        sx_cli_member_text(&json, "similarity", info->similarity);
        sx_cli_member_boolean(&json, "normalized", info->normalized);
        sx_cli_member_integer(&json, "dimensions", info->dimensions);
        sx_cli_member_integer(&json, "max_length", info->max_length);
        sx_cli_member_boolean(&json, "sparse", info->outputs & SX_OUTPUT_SPARSE);
        sx_cli_member_integer(&json, "multi_dimensions", info->multi_dimensions);
        sx_cli_member_integer(&json, "labels", info->labels);
        sx_cli_member_integer(&json, "layers", info->layers);
        sx_cli_member_integer(&json, "hidden_size", info->hidden_size);
        sx_cli_member_integer(&json, "heads", info->heads);
        sx_cli_member_integer(&json, "vocabulary_size", info->vocabulary_size);
        sx_cli_member_integer(&json, "parameters", info->parameters);
        sx_cli_member_text(&json, "weights_file", info->weights_file);
        sx_cli_member_integer(&json, "weights_bytes", info->weights_bytes);
        sx_cli_member_text(&json, "sha256", info->weights_sha256);
        sx_cli_member_text(&json, "precision", info->precision);
        sx_cli_member_text(&json, "storage", info->storage);
        sx_cli_member_text(&json, "kernels", info->kernels);
        sx_cli_member_text(&json, "licence", licence && *licence ? licence : NULL);
        sx_buffer_append_byte(&json, '}');
        code = sx_cli_print_json(cli, &json);
    } else {
        char bytes[32], parameters[32];
        sx_cli_human_bytes(info->weights_bytes, bytes);
        sx_cli_human_count(info->parameters, parameters);
        sx_cli_say("model        %s\nfolder       %s\nfamily       %s, %u layers, %u heads, hidden size %u\n",
                   model_argument(cli), info->folder, info->family, info->layers, info->heads, info->hidden_size);
        if (info->outputs & SX_OUTPUT_SCORES)
            sx_cli_say("scores       %u label%s for a pair of texts\n", info->labels, info->labels == 1 ? "" : "s");
        else
            sx_cli_say("vectors      %u dimensions%s%s%s, %s similarity%s%s\n", info->dimensions, *info->pooling ? ", " : "",
                       info->pooling, info->normalized ? ", normalised" : "", info->similarity,
                       info->outputs & SX_OUTPUT_SPARSE ? ", sparse weights" : "",
                       info->outputs & SX_OUTPUT_MULTI ? ", multi-vectors" : "");
        if (info->max_length)
            sx_cli_say("longest      %u tokens\n", info->max_length);
        sx_cli_say("vocabulary   %u\n", info->vocabulary_size);
        sx_cli_say("weights      %s (%s, %s parameters, %s)\nsha-256      %s\nkernels      %s, %s\n", info->weights_file, bytes,
                   parameters, info->storage, info->weights_sha256, info->kernels, info->precision);
        if (licence && *licence)
            sx_cli_say("licence      %s\n", licence);
    }
out:
    free(licence);
    free(recorded);
    sx_model_close(model);
    return code;
}

int sx_cli_models_import(sx_cli *cli)
{
    sx_error error = {0};
    const char *folder = cli->arguments[0], *asked = sx_cli_text(cli, "name");
    char *real = asked ? NULL : realpath(folder, NULL);
    const char *name = asked ? asked : real ? sx_path_name(real) : sx_path_name(folder);
    sx_status status = sx_models_import(&cli->places, folder, name, sx_cli_text(cli, "sha256"), &error);
    int code = SX_EXIT_DONE;
    if (status) {
        code = sx_cli_fail(cli, &error);
    } else if (cli->json) {
        sx_buffer json = {0};
        sx_buffer_append_byte(&json, '{');
        sx_cli_member_text(&json, "imported", name);
        sx_buffer_append_byte(&json, '}');
        code = sx_cli_print_json(cli, &json);
    } else if (!cli->quiet) {
        sx_cli_say("imported as %s\n", name);
    }
    free(real);
    return code;
}

int sx_cli_models_remove(sx_cli *cli)
{
    sx_error error = {0};
    sx_status status = sx_models_remove(&cli->places, cli->arguments[0], &error);
    if (status)
        return sx_cli_fail(cli, &error);
    if (cli->json) {
        sx_buffer json = {0};
        sx_buffer_append_byte(&json, '{');
        sx_cli_member_text(&json, "removed", cli->arguments[0]);
        sx_buffer_append_byte(&json, '}');
        return sx_cli_print_json(cli, &json);
    }
    if (!cli->quiet)
        sx_cli_say("removed %s\n", cli->arguments[0]);
    return SX_EXIT_DONE;
}

/* ---- verify ---- */

typedef struct npy_array {
    sx_file_map map;
    const float *values;
    size_t rows, columns;
} npy_array;

/* Format 1.0 to 3.0, little-endian float32, C order, two dimensions. The header is a Python literal in a fixed form. */
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
    unsigned long long rows = 0, columns = 0;
    size_t bytes;
    if (!strstr(text, "'<f4'") || !strstr(text, "'fortran_order': False") || !shape ||
        sscanf(shape, "'shape': (%llu, %llu", &rows, &columns) != 2)
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

typedef struct comparison {
    double largest, smallest_cosine;
    size_t count;
} comparison;

static void compare_row(comparison *found, const float *a, const float *b, size_t count)
{
    double dot = 0, left = 0, right = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = fabs((double)a[i] - (double)b[i]);
        if (!(difference <= found->largest))
            found->largest = isnan(difference) ? HUGE_VAL : difference;
        dot += (double)a[i] * (double)b[i];
        left += (double)a[i] * (double)a[i];
        right += (double)b[i] * (double)b[i];
    }
    double cosine = left > 0 && right > 0 ? dot / sqrt(left * right) : left == right ? 1 : 0;
    if (cosine < found->smallest_cosine)
        found->smallest_cosine = cosine;
    found->count++;
}

static sx_status compare_all(sx_cli *cli, sx_model *model, comparison *found, sx_error *error)
{
    npy_array array = {0};
    sx_session *session = NULL;
    sx_cli_reader *reader = NULL;
    const char *path = sx_cli_text(cli, "vectors");
    uint32_t dimensions = sx_model_describe(model)->dimensions;
    sx_session_options options = {.size = sizeof options, .threads = (unsigned)sx_cli_count(cli, "threads")};
    sx_cli_input input = {.path = sx_cli_text(cli, "texts"), .fallback = "jsonl", .text_column = "text", .id_column = "id"};
    float *vector = sx_calloc(dimensions, sizeof *vector);
    sx_status status = vector ? open_npy(path, &array, error) : sx_fail_nomem(error, dimensions * sizeof *vector);
    if (!status && array.columns != dimensions)
        status = sx_fail(error, SX_E_MISMATCH, "%s: %zu dimensions, but the model has %u", path, array.columns, dimensions);
    if (!status)
        status = sx_cli_reader_open(&input, &reader, error);
    if (!status)
        status = sx_session_open(model, &options, &session, error);
    for (bool more = true; more && !status;) {
        sx_cli_item item;
        status = sx_cli_reader_next(reader, &item, &more, error);
        if (!status && more && item.status)
            status = sx_fail(error, item.status, "%s", item.problem ? item.problem : "a text failed");
        if (!status && more && found->count >= array.rows)
            status = sx_fail(error, SX_E_MISMATCH, "%s: %zu rows, but %s has more texts", path, array.rows, input.path);
        if (!status && more) {
            sx_text text = {item.text, item.length};
            status = sx_session_embed(session, &text, 1, NULL, vector, NULL, error);
        }
        if (!status && more)
            compare_row(found, vector, array.values + found->count * array.columns, array.columns);
        sx_cli_item_clear(&item);
    }
    if (!status && found->count != array.rows)
        status = sx_fail(error, SX_E_MISMATCH, "%s: %zu rows, but %s has %zu texts", path, array.rows, input.path, found->count);
    sx_session_close(session);
    sx_cli_reader_close(reader);
    sx_file_map_close(&array.map);
    free(vector);
    return status;
}

int sx_cli_models_verify(sx_cli *cli)
{
    sx_error error = {0};
    sx_model *model = NULL;
    sx_sha256 hash;
    char hex[SX_SHA256_HEX] = "", *licence = NULL, *recorded = NULL;
    comparison found = {.smallest_cosine = 1};
    bool with_vectors = sx_cli_text(cli, "vectors") != NULL;
    double tolerance = sx_cli_get(cli, "tolerance")->number;
    if (with_vectors != (sx_cli_text(cli, "texts") != NULL))
        return sx_cli_usage(cli, NULL, "models verify: --vectors and --texts go together");
    sx_status status = open_model(cli, &model, &error);
    const sx_model_info *info = status ? NULL : sx_model_describe(model);
    if (!status)
        status = find_entry(cli, info->folder, &licence, &recorded, &error);
    if (!status)
        status = sx_file_sha256(info->weights_file, NULL, &hash, &error);
    if (!status) {
        sx_sha256_hex(&hash, hex);
        if (recorded && *recorded && strcmp(hex, recorded) != 0) {
            status = sx_fail(&error, SX_E_MISMATCH, "%s: sha-256 is %s, at import it was %s", info->weights_file, hex, recorded);
            sx_hint(&error, "the file has changed since: remove the model and import it again");
        }
    }
    if (!status && with_vectors)
        status = compare_all(cli, model, &found, &error);
    bool agrees = found.largest <= tolerance;
    int code = status ? sx_cli_fail(cli, &error) : agrees ? SX_EXIT_DONE : SX_EXIT_FAILED;
    if (!status && cli->json) {
        sx_buffer json = {0};
        sx_buffer_append_byte(&json, '{');
        sx_cli_member_text(&json, "model", model_argument(cli));
        sx_cli_member_text(&json, "sha256", hex);
        sx_cli_member_text(&json, "recorded", recorded && *recorded ? recorded : NULL);
        if (with_vectors) {
            sx_cli_member_integer(&json, "texts", found.count);
            sx_cli_member_number(&json, "max_abs_difference", found.largest);
            sx_cli_member_number(&json, "min_cosine", found.smallest_cosine);
            sx_cli_member_number(&json, "tolerance", tolerance);
        }
        sx_cli_member_boolean(&json, "agrees", agrees);
        sx_buffer_append_byte(&json, '}');
        sx_cli_print_json(cli, &json);
    } else if (!status) {
        sx_cli_say("sha-256  %s%s\n", hex, recorded && *recorded ? ", as at import" : ", not recorded at an import");
        if (with_vectors)
            sx_cli_say("%zu texts: largest difference %.2e, smallest cosine %.7f\n", found.count, found.largest,
                       found.smallest_cosine);
    }
    if (!status && !agrees)
        sx_cli_complain(cli, "model %s: differs by %.2e from %s, more than %g", model_argument(cli), found.largest,
                        sx_cli_text(cli, "vectors"), tolerance);
    free(licence);
    free(recorded);
    sx_model_close(model);
    return code;
}
