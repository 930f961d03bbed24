/* tensor_index.c - weights cut into several files, and the JSON that says which tensor lies in which.
 *
 * model.safetensors.index.json and pytorch_model.bin.index.json are {"metadata": {...}, "weight_map": {tensor: file}}, as
 * save_pretrained of transformers writes them; the files lie beside the index.
 */
#include "tensors_internal.h"

#include "../base/error.h"
#include "../base/json_reader.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const size_t index_max = (size_t)64 << 20;

typedef struct placing {
    const char *tensor;
    unsigned file;      /* of the files in the order of the index */
    bool found;
} placing;

typedef struct index_reader {
    sx_tensors *tensors;
    const char *path;
    sx_json json;
    sx_buffer key, value;
    const char **files;
    size_t file_count, file_capacity;
    placing *placings;   /* sorted by name once all are read */
    size_t count, capacity;
    sx_error *error;
} index_reader;

static sx_status find_file(index_reader *r, sx_text name, unsigned *file)
{
    if (name.length == 0 || name.length > NAME_MAX || name.data[0] == '.' || memchr(name.data, '/', name.length) ||
        memchr(name.data, '\0', name.length))
        return sx_fail(r->error, SX_E_FORMAT, "%s: \"%.*s\" is no name of a file in the same folder", r->path,
                       name.length < 100 ? (int)name.length : 100, name.data);
    for (size_t i = r->file_count; i-- > 0;) {
        if (sx_text_is(name, r->files[i])) {
            *file = (unsigned)i;
            return SX_OK;
        }
    }
    if (r->file_count == SX_TENSOR_FILES_MAX)
        return sx_fail(r->error, SX_E_LIMIT, "%s: more than %d files are named", r->path, SX_TENSOR_FILES_MAX);
    const char *copy = sx_arena_strndup(&r->tensors->arena, name.data, name.length);
    if (!copy || !sx_reserve((void **)&r->files, &r->file_capacity, r->file_count + 1, sizeof *r->files))
        return sx_fail_nomem(r->error, name.length);
    *file = (unsigned)r->file_count;
    r->files[r->file_count++] = copy;
    return SX_OK;
}

static sx_status read_map(index_reader *r)
{
    sx_text tensor, name;
    sx_json_object(&r->json);
    while (sx_json_member(&r->json, &r->key, &tensor)) {
        if (!sx_json_string(&r->json, &r->value, &name))
            break;
        if (memchr(tensor.data, '\0', tensor.length)) {
            sx_json_reject(&r->json, "a tensor's name contains NUL");
            break;
        }
        placing here = {.tensor = sx_arena_strndup(&r->tensors->arena, tensor.data, tensor.length)};
        if (!here.tensor || !sx_reserve((void **)&r->placings, &r->capacity, r->count + 1, sizeof *r->placings))
            return sx_fail_nomem(r->error, tensor.length);
        sx_status status = find_file(r, name, &here.file);
        if (status)
            return status;
        r->placings[r->count++] = here;
    }
    return SX_OK;
}

static int compare_placings(const void *a, const void *b)
{
    return strcmp(((const placing *)a)->tensor, ((const placing *)b)->tensor);
}

static sx_status read_index(index_reader *r)
{
    bool has_map = false;
    sx_text key;
    sx_json_object(&r->json);
    while (sx_json_member(&r->json, &r->key, &key)) {
        if (sx_text_is(key, "weight_map") && !has_map) {
            has_map = true;
            sx_status status = read_map(r);
            if (status)
                return status;
        } else {
            sx_json_skip(&r->json);
        }
    }
    sx_json_end(&r->json);
    if (r->json.problem)
        return sx_json_fail(&r->json, SX_E_FORMAT, r->error);
    if (r->count == 0)
        return sx_fail(r->error, SX_E_FORMAT, "%s: %s", r->path, has_map ? "weight_map is empty" : "weight_map is missing");
    qsort(r->placings, r->count, sizeof *r->placings, compare_placings);
    for (size_t i = 1; i < r->count; i++)
        if (compare_placings(&r->placings[i - 1], &r->placings[i]) == 0)
            return sx_fail(r->error, SX_E_FORMAT, "%s: tensor %s is named twice", r->path, r->placings[i].tensor);
    return SX_OK;
}

/* Opens the files; every tensor in them must be where the index says. */
static sx_status open_files(index_reader *r)
{
    size_t folder = (size_t)(sx_path_name(r->path) - r->path);
    for (size_t i = 0; i < r->file_count; i++) {
        char *path = sx_calloc(folder + strlen(r->files[i]) + 1, 1);
        if (!path)
            return sx_fail_nomem(r->error, folder + strlen(r->files[i]) + 1);
        memcpy(path, r->path, folder);
        memcpy(path + folder, r->files[i], strlen(r->files[i]));
        size_t first = r->tensors->count;
        sx_status status = sx_tensors_add_file(r->tensors, path, r->error);
        free(path);
        if (status)
            return status;
        if (r->tensors->gguf)
            return sx_fail(r->error, SX_E_UNSUPPORTED, "%s: %s is a GGUF file, which no index joins", r->path, r->files[i]);
        for (size_t t = first; t < r->tensors->count; t++) {
            const char *name = r->tensors->tensors[t].name;
            const placing wanted = {.tensor = name};
            placing *place = bsearch(&wanted, r->placings, r->count, sizeof wanted, compare_placings);
            if (!place)
                return sx_fail(r->error, SX_E_MISMATCH, "%s: %s holds tensor %s, which the index does not name", r->path,
                               r->files[i], name);
            if (place->file != i)
                return sx_fail(r->error, SX_E_MISMATCH, "%s: tensor %s should be in %s, but %s holds it", r->path, name,
                               r->files[place->file], r->files[i]);
            place->found = true;
        }
    }
    for (size_t i = 0; i < r->count; i++)
        if (!r->placings[i].found)
            return sx_fail(r->error, SX_E_MISMATCH, "%s: tensor %s should be in %s, but is not", r->path,
                           r->placings[i].tensor, r->files[r->placings[i].file]);
    return SX_OK;
}

sx_status sx_tensor_index_add(sx_tensors *tensors, const char *path, sx_error *error)
{
    index_reader r = {.tensors = tensors, .error = error};
    char *data = NULL;
    size_t length;
    sx_status status = sx_file_read(path, index_max, &data, &length, NULL, error);
    r.path = sx_arena_strndup(&tensors->arena, path, strlen(path));
    if (!status && !r.path)
        status = sx_fail_nomem(error, strlen(path));
    if (!status) {
        tensors->path = r.path;
        sx_json_begin(&r.json, data, length, r.path);
        status = read_index(&r);
    }
    if (!status)
        status = open_files(&r);
    free(data);
    free(r.files);
    free(r.placings);
    sx_buffer_clear(&r.key);
    sx_buffer_clear(&r.value);
    return status;
}
