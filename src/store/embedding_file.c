/* embedding_file.c - files of vectors that others, or we, have written: which kind one is, its head, its elements in turn.
 *
 * A document is walked through member by member. Its head mostly stands before the array; where it does not, the array is passed
 * over once to find it. Elements are cut out of the file one at a time, so the first is there at once and memory holds one. */
#include "embedding_file.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/json_stream.h"
#include "../base/memory.h"
#include "../vec/segment.h"
#include "arrow_reader.h"
#include "embedding_element.h"
#include "npy_file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct sx_embedding_file {
    char *path, *metadata_path; /* numpy: of the array and of metadata.json, or NULL */
    sx_embedding_head head;
    sx_json_stream stream;      /* stands before the next element */
    bool open, has_metadata;
    sx_npy_reader rows;
    sx_arrow_reader *arrow;
    sx_buffer object;           /* a row of it */
    sx_embedding_scratch scratch;
    uint64_t next;              /* element */
};

const sx_embedding_head *sx_embedding_file_head(const sx_embedding_file *file)
{
    return &file->head;
}

void sx_embedding_file_close(sx_embedding_file *file)
{
    if (!file)
        return;
    if (file->open)
        sx_json_stream_close(&file->stream);
    sx_npy_close(&file->rows);
    sx_arrow_close(file->arrow);
    sx_buffer_clear(&file->object);
    sx_embedding_scratch_clear(&file->scratch);
    free(file->path);
    free(file->metadata_path);
    free(file->head.version);
    free(file->head.model);
    free(file->head.space_json);
    free(file);
}

/* ---- The head ---- */

static bool key_is(sx_text quoted, const char *key)
{
    size_t length = strlen(key);
    return quoted.length == length + 2 && memcmp(quoted.data + 1, key, length) == 0;
}

static bool is_array_key(sx_text quoted)
{
    return key_is(quoted, "embeddings") || key_is(quoted, "data");
}

static sx_status read_head_text(sx_embedding_file *file, sx_text raw, uint64_t place, char **out, sx_error *error)
{
    sx_json json;
    sx_text text = {0};
    sx_json_begin(&json, raw.data, raw.length, file->path);
    if (sx_json_peek(&json) == SX_JSON_NUMBER)
        sx_json_raw(&json, &text); /* a version may be 2.0 */
    else if (!sx_json_null(&json))
        sx_json_string(&json, &file->scratch.value, &text);
    if (json.problem || (text.length && memchr(text.data, 0, text.length)))
        return sx_fail(error, SX_E_FORMAT, "%s: byte %llu: %s", file->path, (unsigned long long)(place + json.problem_position),
                       json.problem ? json.problem : "a NUL byte in a name");
    free(*out);
    *out = text.data ? sx_strndup(text.data, text.length) : NULL;
    return *out || !text.data ? SX_OK : sx_fail_nomem(error, text.length);
}

static sx_status read_head_member(sx_embedding_file *file, sx_json_stream *stream, sx_text key, sx_error *error)
{
    sx_embedding_head *head = &file->head;
    char **text = key_is(key, "version")                              ? &head->version
                  : key_is(key, "model") || key_is(key, "model_name") ? &head->model
                  : key_is(key, "space_json")                         ? &head->space_json
                                                                      : NULL;
    bool number = key_is(key, "dimensions") || key_is(key, "embedding_dimension");
    if (!text && !number)
        return sx_json_stream_skip(stream, error);
    sx_text raw;
    uint64_t place;
    sx_status status = sx_json_stream_value(stream, &raw, &place, error);
    if (status || text)
        return status ? status : read_head_text(file, raw, place, text, error);
    sx_json json;
    uint64_t dimensions = 0;
    sx_json_begin(&json, raw.data, raw.length, file->path);
    if (!sx_json_unsigned(&json, &dimensions) || dimensions < 1 || dimensions > SX_SEGMENT_DIMENSIONS)
        return sx_fail(error, SX_E_FORMAT, "%s: byte %llu: dimensions: 1 to %d can be", file->path, (unsigned long long)place,
                       SX_SEGMENT_DIMENSIONS);
    head->dimensions = (uint32_t)dimensions;
    return SX_OK;
}

/* Inside the object: reads the head's members, until the array when it stands behind them all. *kind is set by what it meets. */
static sx_status scan_object(sx_embedding_file *file, sx_json_stream *stream, sx_embedding_kind *kind, sx_error *error)
{
    bool more, array = false, element = false, first = true;
    sx_text key;
    sx_status status;
    while (!(status = sx_json_stream_next(stream, &key, &more, error)) && more) {
        bool begins_export = first && key_is(key, "document");
        first = false;
        if (begins_export) {
            *kind = SX_EMBEDDINGS_EXPORT;
            return SX_OK;
        }
        if (is_array_key(key)) {
            sx_json_type type;
            if ((status = sx_json_stream_peek(stream, &type, error)))
                return status;
            array = array || type == SX_JSON_ARRAY;
            if (array && file->head.version && file->head.model)
                break;
            status = sx_json_stream_skip(stream, error);
        } else {
            element = element || key_is(key, "embedding") || key_is(key, "vector");
            status = read_head_member(file, stream, key, error);
        }
        if (status)
            return status;
    }
    if (status)
        return status;
    if (!array && !element) {
        status = sx_fail(error, SX_E_FORMAT, "%s: holds neither an array \"embeddings\" nor an \"embedding\"", file->path);
        sx_hint(error, "what can be imported: docs/files.md");
        return status;
    }
    *kind = array ? SX_EMBEDDINGS_DOCUMENT : SX_EMBEDDINGS_LINES;
    return SX_OK;
}

static sx_status check_version(const sx_embedding_file *file, sx_error *error)
{
    const char *version = file->head.version;
    if (!version || ((version[0] == '1' || version[0] == '2') && (version[1] == '.' || !version[1])))
        return SX_OK;
    sx_fail(error, SX_E_MISMATCH, "%s: version \"%s\": 1.x and 2.x can be read", file->path, version);
    sx_hint(error, "make the vectors again from the texts: sextant embed -i TEXTS.jsonl -m %s --format chunks -o NEW.json",
            file->head.model ? file->head.model : "MODEL");
    return SX_E_MISMATCH;
}

/* Puts the stream before the first element. */
static sx_status find_elements(sx_embedding_file *file, sx_error *error)
{
    sx_json_stream *stream = &file->stream;
    sx_json_type type;
    sx_text key;
    bool more;
    sx_status status = sx_json_stream_open(stream, file->path, error);
    file->open = !status;
    if (status || file->head.kind == SX_EMBEDDINGS_LINES)
        return status;
    status = sx_json_stream_enter(stream, error);
    if (file->head.kind == SX_EMBEDDINGS_ARRAY)
        return status;
    while (!status && !(status = sx_json_stream_next(stream, &key, &more, error)) && more) {
        bool wanted = is_array_key(key);
        status = sx_json_stream_peek(stream, &type, error);
        if (!status && wanted && type == SX_JSON_ARRAY)
            return sx_json_stream_enter(stream, error);
        if (!status)
            status = sx_json_stream_skip(stream, error);
    }
    return status ? status : sx_fail(error, SX_E_FORMAT, "%s: changed while it was read", file->path);
}

static sx_status open_json(sx_embedding_file *file, sx_error *error)
{
    sx_json_stream stream;
    sx_json_type type;
    sx_status status = sx_json_stream_open(&stream, file->path, error);
    if (status)
        return status;
    status = sx_json_stream_peek(&stream, &type, error);
    if (!status && type == SX_JSON_ARRAY)
        file->head.kind = SX_EMBEDDINGS_ARRAY;
    else if (!status && !(status = sx_json_stream_enter(&stream, error)))
        status = scan_object(file, &stream, &file->head.kind, error);
    sx_json_stream_close(&stream);
    if (!status && file->head.kind == SX_EMBEDDINGS_LINES) { /* members of an element are no head */
        free(file->head.version);
        free(file->head.space_json);
        file->head.version = file->head.space_json = NULL;
        file->head.dimensions = 0;
    }
    if (!status)
        status = check_version(file, error);
    return status || file->head.kind == SX_EMBEDDINGS_EXPORT ? status : find_elements(file, error);
}

/* ---- NumPy ---- */

/* NAME, NAME.gz or NAME.zst in the folder, or NULL. */
static char *find_in(const char *folder, const char *name)
{
    static const char *const suffixes[] = {"", ".gz", ".zst"};
    for (size_t i = 0; i < 3; i++) {
        char *path = NULL;
        if (asprintf(&path, "%s/%s%s", folder, name, suffixes[i]) < 0)
            return NULL;
        if (sx_file_exists(path))
            return path;
        free(path);
    }
    return NULL;
}

static sx_status read_model_info(sx_embedding_file *file, const char *folder, sx_error *error)
{
    char *path = find_in(folder, "model_info.json"), *array = file->path;
    sx_json_stream stream;
    if (!path)
        return SX_OK;
    file->path = path; /* for messages */
    sx_status status = sx_json_stream_open(&stream, path, error);
    if (!status) {
        bool more;
        sx_text key;
        status = sx_json_stream_enter(&stream, error);
        while (!status && !(status = sx_json_stream_next(&stream, &key, &more, error)) && more)
            status = read_head_member(file, &stream, key, error);
        sx_json_stream_close(&stream);
    }
    if (!status)
        status = check_version(file, error);
    file->path = array;
    free(path);
    return status;
}

static sx_status open_numpy(sx_embedding_file *file, const char *folder, sx_error *error)
{
    file->head.kind = SX_EMBEDDINGS_NUMPY;
    sx_status status = read_model_info(file, folder, error);
    if (!status)
        status = sx_npy_open(&file->rows, file->path, error);
    if (status)
        return status;
    if (file->head.dimensions && file->head.dimensions != file->rows.dimensions)
        return sx_fail(error, SX_E_MISMATCH, "%s: vectors of %u dimensions, but model_info.json says %u", file->path,
                       file->rows.dimensions, file->head.dimensions);
    file->head.dimensions = file->rows.dimensions;
    file->head.count = file->rows.rows;
    file->metadata_path = find_in(folder, "metadata.json");
    if (!file->metadata_path)
        return SX_OK;
    file->has_metadata = true;
    status = sx_json_stream_open(&file->stream, file->metadata_path, error);
    file->open = !status;
    sx_json_type type;
    if (!status)
        status = sx_json_stream_peek(&file->stream, &type, error);
    if (!status && type != SX_JSON_ARRAY)
        status = sx_fail(error, SX_E_FORMAT, "%s: byte 0: an array with an element for each row is expected",
                         file->metadata_path);
    return status ? status : sx_json_stream_enter(&file->stream, error);
}

/* ---- Arrow ---- */

static void take_name(sx_json *json, sx_buffer *scratch, char **out)
{
    sx_text text = {0};
    if (sx_json_null(json) || !sx_json_string(json, scratch, &text))
        return;
    free(*out);
    if (!(*out = sx_strndup(text.data, text.length)))
        sx_json_reject(json, "memory could not be had");
}

/* What an export of ours says in the schema's metadata. */
static sx_status read_note(sx_embedding_file *file, sx_text note, sx_error *error)
{
    sx_embedding_head *head = &file->head;
    sx_json json;
    sx_text key;
    uint64_t dimensions = 0;
    sx_json_begin(&json, note.data, note.length, file->path);
    sx_json_object(&json);
    while (sx_json_member(&json, &file->scratch.key, &key)) {
        if (sx_text_is(key, "model"))
            take_name(&json, &file->scratch.value, &head->model);
        else if (sx_text_is(key, "space_json"))
            take_name(&json, &file->scratch.value, &head->space_json);
        else if (sx_text_is(key, "dimensions"))
            sx_json_unsigned(&json, &dimensions);
        else
            sx_json_skip(&json);
    }
    sx_json_end(&json);
    if (json.problem)
        return sx_fail(error, SX_E_FORMAT, "%s: the schema's metadata \"sextant\", byte %zu: %s", file->path, json.problem_position,
                       json.problem);
    if (dimensions > SX_SEGMENT_DIMENSIONS)
        return sx_fail(error, SX_E_FORMAT, "%s: the schema's metadata say %llu dimensions; 1 to %d can be", file->path,
                       (unsigned long long)dimensions, SX_SEGMENT_DIMENSIONS);
    head->dimensions = (uint32_t)dimensions;
    return SX_OK;
}

static bool is_arrow(const char *path)
{
    char begin[8] = {0};
    struct stat there;
    FILE *file = stat(path, &there) == 0 && S_ISREG(there.st_mode) ? fopen(path, "rbe") : NULL;
    size_t length = file ? fread(begin, 1, sizeof begin, file) : 0;
    if (file)
        fclose(file);
    return sx_arrow_is_one(begin, length);
}

static sx_status open_arrow(sx_embedding_file *file, sx_error *error)
{
    file->head.kind = SX_EMBEDDINGS_ARROW;
    sx_status status = sx_arrow_open(file->path, &file->arrow, error);
    if (!status && sx_arrow_note(file->arrow).length)
        status = read_note(file, sx_arrow_note(file->arrow), error);
    return status;
}

static bool is_folder(const char *path)
{
    struct stat there;
    return stat(path, &there) == 0 && S_ISDIR(there.st_mode);
}

sx_status sx_embedding_file_open(const char *path, sx_embedding_file **out, sx_error *error)
{
    *out = NULL;
    if (strcmp(path, "-") == 0)
        return sx_fail(error, SX_E_INVALID, "standard input: files of vectors are read twice; give a file");
    sx_embedding_file *file = sx_calloc(1, sizeof *file);
    if (!file)
        return sx_fail_nomem(error, sizeof *file);
    sx_status status = SX_OK;
    size_t stem = sx_compression_stem(path);
    if (is_folder(path)) {
        file->path = find_in(path, "embeddings.npy");
        status = file->path ? open_numpy(file, path, error)
                            : sx_fail(error, SX_E_NOT_FOUND, "%s: the folder holds no embeddings.npy", path);
    } else if (!(file->path = sx_strdup(path))) {
        status = sx_fail_nomem(error, strlen(path));
    } else if (stem > 4 && strncmp(path + stem - 4, ".npy", 4) == 0) {
        char *folder = sx_strndup(path, (size_t)(sx_path_name(path) - path));
        if (folder && !*folder) {
            free(folder);
            folder = sx_strdup(".");
        }
        /* Beside an array of another name these files are somebody else's. */
        bool whole = strncmp(sx_path_name(path), "embeddings.npy", 14) == 0;
        status = folder ? open_numpy(file, whole ? folder : "/dev/null", error) : sx_fail_nomem(error, strlen(path));
        free(folder);
    } else {
        status = is_arrow(path) ? open_arrow(file, error) : open_json(file, error);
    }
    if (status)
        sx_embedding_file_close(file);
    else
        *out = file;
    return status;
}

/* ---- Elements ---- */

/* The next element's bytes: of the array, or of the lines. */
static sx_status next_raw(sx_embedding_file *file, sx_text *raw, uint64_t *place, bool *more, sx_error *error)
{
    sx_json_stream *stream = &file->stream;
    sx_status status = file->head.kind == SX_EMBEDDINGS_LINES ? sx_json_stream_more(stream, more, error)
                                                              : sx_json_stream_next(stream, NULL, more, error);
    if (!status && *more)
        return sx_json_stream_value(stream, raw, place, error);
    /* What stands behind the array is read too: a file that is cut off there is not whole. */
    bool rest = file->head.kind == SX_EMBEDDINGS_DOCUMENT;
    while (!status && rest && !(status = sx_json_stream_next(stream, NULL, &rest, error)) && rest)
        status = sx_json_stream_skip(stream, error);
    return status ? status : sx_json_stream_end(stream, error);
}

static sx_status check_dimensions(sx_embedding_file *file, const sx_embedding_item *item, sx_error *error)
{
    if (!file->head.dimensions)
        file->head.dimensions = (uint32_t)item->vector.length;
    if (item->vector.length == file->head.dimensions)
        return SX_OK;
    return sx_fail(error, SX_E_MISMATCH, "%s: element %llu (byte %llu): a vector of %zu numbers, but %s %u", file->path,
                   (unsigned long long)item->number, (unsigned long long)item->place, item->vector.length,
                   item->number ? "those before have" : "the file says", file->head.dimensions);
}

static sx_status next_numpy(sx_embedding_file *file, sx_embedding_item *item, bool *more, sx_error *error)
{
    sx_text raw;
    sx_status status = SX_OK;
    bool beside = false;
    *more = file->rows.row < file->rows.rows;
    if (file->has_metadata)
        status = next_raw(file, &raw, &item->place, &beside, error);
    if (!status && file->has_metadata && beside != *more)
        status = sx_fail(error, SX_E_MISMATCH, "%s: %s %llu elements, but %s has %llu rows", file->metadata_path,
                         beside ? "more than" : "only", (unsigned long long)file->next, file->path,
                         (unsigned long long)file->rows.rows);
    if (!status && !*more)
        status = sx_npy_end(&file->rows, error);
    if (status || !*more)
        return status;
    if (beside)
        status = sx_embedding_read_element(file->metadata_path, raw, false, &file->scratch, item, error);
    if (!status && !sx_reserve((void **)&item->vector.data, &item->vector.capacity, file->head.dimensions, sizeof(float)))
        status = sx_fail_nomem(error, file->head.dimensions * sizeof(float));
    if (!status)
        status = sx_npy_next(&file->rows, item->vector.data, error);
    item->vector.length = file->head.dimensions;
    return status;
}

sx_status sx_embedding_file_next(sx_embedding_file *file, sx_embedding_item *item, bool *more, sx_error *error)
{
    sx_text raw;
    sx_status status;
    do {
        sx_embedding_item_reset(item);
        item->number = file->next;
        *more = false;
        if (file->head.kind == SX_EMBEDDINGS_EXPORT)
            return sx_fail(error, SX_E_INVALID, "%s: a collection's own export, which is read line by line", file->path);
        if (file->head.kind == SX_EMBEDDINGS_NUMPY) {
            status = next_numpy(file, item, more, error);
        } else if (file->head.kind == SX_EMBEDDINGS_ARROW) {
            status = sx_arrow_next(file->arrow, &file->object, &item->vector, more, error);
            raw = (sx_text){file->object.data, file->object.length};
            size_t length = item->vector.length;
            if (!status && *more)
                status = sx_embedding_read_element(file->path, raw, false, &file->scratch, item, error);
            item->vector.length = length; /* a column called `error` says nothing of it */
            if (!status && *more)
                status = check_dimensions(file, item, error);
        } else {
            status = next_raw(file, &raw, &item->place, more, error);
            if (!status && *more)
                status = sx_embedding_read_element(file->path, raw, true, &file->scratch, item, error);
            if (!status && *more && item->vector.length)
                status = check_dimensions(file, item, error);
        }
        file->next++;
    } while (!status && *more && !item->vector.length); /* one that failed, and says so */
    return status;
}
