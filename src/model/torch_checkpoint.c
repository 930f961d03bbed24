/* torch_checkpoint.c - the tensors of a file that torch.save wrote (.bin, .pt, .pth), read without executing anything.
 *
 * Formats: torch/serialization.py and torch/_utils.py of PyTorch. Since 1.6 a zip archive: PREFIX/data.pkl, a pickled state
 * dictionary whose tensors refer to storages, and PREFIX/data/KEY, their bytes. Before, one stream: pickles of a magic number,
 * of the protocol's version, of facts about the system, of the dictionary and of the list of storage keys, then for each key
 * the number of elements and the elements.
 */
#include "tensors_internal.h"

#include "../base/error.h"
#include "pickle.h"
#include "torch_zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* All that a pickled state dictionary may name. */
static const char *const allowed[] = {
    "collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_parameter", "torch.FloatStorage", "torch.HalfStorage", "torch.BFloat16Storage",
    "torch.DoubleStorage", "torch.LongStorage", "torch.IntStorage", "torch.ShortStorage", "torch.CharStorage",
    "torch.ByteStorage", "torch.BoolStorage", "torch.Size", "torch.device", "torch.float32", "torch.float16",
    "torch.bfloat16", "torch.float64", "torch.int64", NULL};

static const struct storage_type {
    const char *global;
    const char *dtype_name;
    sx_dtype dtype;
    size_t size;
} storage_types[] = {
    {"torch.FloatStorage", "F32", SX_DTYPE_F32, 4},  {"torch.HalfStorage", "F16", SX_DTYPE_F16, 2},
    {"torch.BFloat16Storage", "BF16", SX_DTYPE_BF16, 2}, {"torch.DoubleStorage", "F64", SX_DTYPE_F64, 8},
    {"torch.LongStorage", "I64", SX_DTYPE_I64, 8},   {"torch.IntStorage", "I32", SX_DTYPE_OTHER, 4},
    {"torch.ShortStorage", "I16", SX_DTYPE_OTHER, 2}, {"torch.CharStorage", "I8", SX_DTYPE_OTHER, 1},
    {"torch.ByteStorage", "U8", SX_DTYPE_OTHER, 1},  {"torch.BoolStorage", "BOOL", SX_DTYPE_OTHER, 1},
};

/* PROTO 2, LONG1 of ten bytes 0x1950a86a20f9469cfc6c, STOP; and as protocol 3 to 5 begin. */
static const unsigned char magic[] = {0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};
enum { MAGIC_AT = 2, PROTOCOL_VERSION = 1001 };

typedef struct stream_storage {
    sx_text key;
    const unsigned char *data; /* behind the count of elements; NULL until found */
    size_t size, elements;     /* of the type that the dictionary gives it */
} stream_storage;

typedef struct checkpoint {
    sx_tensors *tensors;
    const char *path;
    const unsigned char *data;
    size_t length;
    sx_zip zip;
    sx_text prefix;            /* of the zip's entries */
    bool is_zip;
    stream_storage *storages;  /* of the old format, in ascending order of key */
    size_t storage_count, storage_capacity;
    size_t visits, copied;     /* values looked at, bytes of copied views: both bounded */
    sx_error *error;
} checkpoint;

static sx_text text_of(const char *literal)
{
    return (sx_text){literal, strlen(literal)};
}

/* What a tensor's persistent id says. */
typedef struct storage {
    const struct storage_type *type;
    sx_text key;
    size_t elements, bytes;
} storage;

static const sx_pickle_value *item(const sx_pickle_value *value, size_t index, sx_pickle_type type)
{
    return index < value->count && value->items[index]->type == type ? value->items[index] : NULL;
}

/* ("storage", torch.FloatStorage, key, location, elements), in the old format with a sixth item: a view of another storage. */
static sx_status read_storage(const checkpoint *c, const sx_pickle_value *reference, const char *where, storage *out)
{
    const sx_pickle_value *id = reference->items[0];
    if (id->type != SX_PICKLE_TUPLE || id->count < 5 || !sx_pickle_text_is(id->items[0], "storage"))
        return sx_fail(c->error, SX_E_FORMAT, "%s: tensor %s refers to something that is no storage", c->path, where);
    const sx_pickle_value *type = item(id, 1, SX_PICKLE_GLOBAL), *key = item(id, 2, SX_PICKLE_TEXT);
    const sx_pickle_value *elements = item(id, 4, SX_PICKLE_INTEGER);
    if (!type || !key || !elements || elements->integer < 0)
        return sx_fail(c->error, SX_E_FORMAT, "%s: tensor %s: its storage lacks type, key or size", c->path, where);
    if (id->count > 5 && id->items[5]->type != SX_PICKLE_NONE)
        return sx_fail(c->error, SX_E_UNSUPPORTED,
                       "%s: tensor %s: a storage that is a view of another one; save again as safetensors", c->path, where);
    out->type = NULL;
    for (size_t i = 0; i < sizeof storage_types / sizeof *storage_types; i++)
        if (sx_pickle_text_is(type, storage_types[i].global))
            out->type = &storage_types[i];
    if (!out->type)
        return sx_fail(c->error, SX_E_UNSUPPORTED, "%s: tensor %s: a storage of type %.*s", c->path, where,
                       (int)type->text.length, type->text.data);
    out->key = key->text;
    out->elements = (size_t)elements->integer;
    if (!sx_multiply(out->elements, out->type->size, &out->bytes))
        return sx_fail(c->error, SX_E_FORMAT, "%s: tensor %s: a storage of %zu elements", c->path, where, out->elements);
    return SX_OK;
}

static int compare_keys(const void *a, const void *b)
{
    const stream_storage *x = a, *y = b;
    if (x->key.length != y->key.length)
        return x->key.length < y->key.length ? -1 : 1;
    return x->key.length ? memcmp(x->key.data, y->key.data, x->key.length) : 0;
}

static stream_storage *find_stream_storage(const checkpoint *c, sx_text key)
{
    const stream_storage wanted = {.key = key};
    return c->storage_count ? bsearch(&wanted, c->storages, c->storage_count, sizeof wanted, compare_keys) : NULL;
}

/* The bytes of a storage, their number checked. */
static sx_status storage_data(const checkpoint *c, const storage *from, const char *where, const unsigned char **data)
{
    size_t bytes;
    if (c->is_zip) {
        char name[64];
        if (from->key.length > 32)
            return sx_fail(c->error, SX_E_FORMAT, "%s: tensor %s: a storage key of %zu bytes", c->path, where,
                           from->key.length);
        memcpy(name, "data/", 5);
        memcpy(name + 5, from->key.data, from->key.length);
        const sx_zip_entry *entry = sx_zip_find(&c->zip, c->prefix, (sx_text){name, 5 + from->key.length});
        if (!entry)
            return sx_fail(c->error, SX_E_FORMAT, "%s: tensor %s: the archive has no entry data/%.*s", c->path, where,
                           (int)from->key.length, from->key.data);
        *data = entry->data;
        bytes = entry->bytes;
    } else {
        const stream_storage *found = find_stream_storage(c, from->key);
        if (!found || !found->data)
            return sx_fail(c->error, SX_E_FORMAT, "%s: tensor %s: storage %.*s is not in the file", c->path, where,
                           (int)from->key.length, from->key.data);
        *data = found->data;
        bytes = found->size * found->elements;
    }
    if (bytes != from->bytes)
        return sx_fail(c->error, SX_E_FORMAT,
                       "%s: tensor %s: its storage should have %zu elements of %s, %zu bytes, but has %zu", c->path, where,
                       from->elements, from->type->dtype_name, from->bytes, bytes);
    return SX_OK;
}

/* Sizes or strides. */
static sx_status read_sizes(const checkpoint *c, const sx_pickle_value *value, const char *where, size_t sizes[],
                            unsigned *rank) {
    if (sx_pickle_calls(value, "torch.Size") && value->count == 2)
        value = value->items[1];
    if (value->type != SX_PICKLE_TUPLE && value->type != SX_PICKLE_LIST)
        return sx_fail(c->error, SX_E_FORMAT, "%s: tensor %s: its shape is no tuple", c->path, where);
    if (value->count > SX_TENSOR_MAX_RANK)
        return sx_fail(c->error, SX_E_UNSUPPORTED, "%s: tensor %s has more than %d dimensions", c->path, where,
                       SX_TENSOR_MAX_RANK);
    for (size_t i = 0; i < value->count; i++) {
        if (value->items[i]->type != SX_PICKLE_INTEGER || value->items[i]->integer < 0)
            return sx_fail(c->error, SX_E_FORMAT, "%s: tensor %s: a size or stride that is no number from 0 on", c->path,
                           where);
        sizes[i] = (size_t)value->items[i]->integer;
    }
    *rank = (unsigned)value->count;
    return SX_OK;
}

/* Whether the strides are those of a row-major array. Dimensions of size 1 have any stride. */
static bool is_contiguous(const sx_tensor *tensor, const size_t strides[])
{
    size_t expected = 1;
    for (unsigned i = tensor->rank; i-- > 0; expected *= tensor->shape[i])
        if (tensor->shape[i] != 1 && strides[i] != expected)
            return false;
    return true;
}

/* A row-major copy of a view whose every element lies within the storage. */
static sx_status copy_view(checkpoint *c, sx_tensor *tensor, const unsigned char *data, const size_t strides[], size_t size)
{
    c->copied += tensor->bytes;
    if (c->copied > c->length)
        return sx_fail(c->error, SX_E_LIMIT, "%s: tensor %s: views that must be copied have more bytes than the file's %zu",
                       c->path, tensor->name, c->length);
    unsigned char *copy = sx_arena_alloc(&c->tensors->arena, tensor->bytes);
    if (!copy)
        return sx_fail_nomem(c->error, tensor->bytes);
    size_t index[SX_TENSOR_MAX_RANK] = {0}, from = 0;
    for (size_t i = 0; i < tensor->elements; i++) {
        memcpy(copy + i * size, data + from * size, size);
        for (unsigned d = tensor->rank; d-- > 0;) {
            from += strides[d];
            if (++index[d] < tensor->shape[d])
                break;
            from -= strides[d] * tensor->shape[d];
            index[d] = 0;
        }
    }
    tensor->data = copy;
    return SX_OK;
}

/* Arguments: storage, offset, sizes, strides, and what does not matter to data. */
static sx_status read_view(checkpoint *c, const sx_pickle_value *call, sx_tensor *tensor)
{
    const char *where = tensor->name;
    const sx_pickle_value *reference = item(call, 1, SX_PICKLE_REFERENCE), *offset = item(call, 2, SX_PICKLE_INTEGER);
    size_t strides[SX_TENSOR_MAX_RANK];
    unsigned stride_count;
    storage from;
    const unsigned char *data = NULL;
    if (!reference || !offset || call->count < 5 || offset->integer < 0)
        return sx_fail(c->error, SX_E_FORMAT, "%s: tensor %s lacks a storage, an offset, a shape or strides", c->path, where);
    sx_status status = read_storage(c, reference, where, &from);
    if (!status)
        status = read_sizes(c, call->items[3], where, tensor->shape, &tensor->rank);
    if (!status)
        status = read_sizes(c, call->items[4], where, strides, &stride_count);
    if (!status && stride_count != tensor->rank)
        status = sx_fail(c->error, SX_E_FORMAT, "%s: tensor %s has %u dimensions but %u strides", c->path, where,
                         tensor->rank, stride_count);
    if (!status)
        status = storage_data(c, &from, where, &data);
    if (status)
        return status;
    tensor->dtype = from.type->dtype;
    tensor->dtype_name = from.type->dtype_name;
    tensor->elements = 1;
    size_t last = (size_t)offset->integer, reach;
    bool fits = true;
    for (unsigned i = 0; i < tensor->rank; i++) {
        fits = fits && sx_multiply(tensor->elements, tensor->shape[i], &tensor->elements);
        if (tensor->shape[i] > 1)
            fits = fits && sx_multiply(tensor->shape[i] - 1, strides[i], &reach) && !__builtin_add_overflow(last, reach,
                                                                                                            &last);
    }
    if (!fits || (tensor->elements ? last >= from.elements : (size_t)offset->integer > from.elements))
        return sx_fail(c->error, SX_E_FORMAT, "%s: tensor %s reaches beyond its storage of %zu elements", c->path, where,
                       from.elements);
    if (tensor->elements > from.elements)
        return sx_fail(c->error, SX_E_UNSUPPORTED, "%s: tensor %s has %zu elements, more than its storage's %zu (expanded)",
                       c->path, where, tensor->elements, from.elements);
    tensor->bytes = tensor->elements * from.type->size;
    tensor->data = data + (size_t)offset->integer * from.type->size;
    if (tensor->elements == 0 || is_contiguous(tensor, strides))
        return SX_OK;
    return copy_view(c, tensor, tensor->data, strides, from.type->size);
}

/* The call that rebuilds a tensor, or NULL. */
static const sx_pickle_value *tensor_call(const sx_pickle_value *value)
{
    if (sx_pickle_calls(value, "torch._utils._rebuild_parameter") && value->count > 1)
        value = value->items[1];
    return sx_pickle_calls(value, "torch._utils._rebuild_tensor_v2") || sx_pickle_calls(value, "torch._utils._rebuild_tensor")
               ? value : NULL;
}

static size_t count_tensors(const sx_pickle_value *dictionary)
{
    size_t count = 0;
    for (size_t i = 1; i < dictionary->count; i += 2)
        count += dictionary->items[i - 1]->type == SX_PICKLE_TEXT && tensor_call(dictionary->items[i]);
    return count;
}

/* The dictionary that holds tensors: the whole, or the only value of the whole that is one ("state_dict", "model"). */
static sx_status find_state(const checkpoint *c, const sx_pickle_value *root, const sx_pickle_value **state)
{
    *state = NULL;
    if (root->type != SX_PICKLE_DICT)
        return sx_fail(c->error, SX_E_UNSUPPORTED, "%s: what was saved is no dictionary of tensors", c->path);
    if (count_tensors(root)) {
        *state = root;
        return SX_OK;
    }
    sx_text found = {"", 0};
    for (size_t i = 1; i < root->count; i += 2) {
        const sx_pickle_value *key = root->items[i - 1], *value = root->items[i];
        if (key->type != SX_PICKLE_TEXT || value->type != SX_PICKLE_DICT || !count_tensors(value))
            continue;
        if (*state)
            return sx_fail(c->error, SX_E_UNSUPPORTED,
                           "%s: both %.*s and %.*s hold tensors; which one is the model is not said", c->path,
                           (int)found.length, found.data, (int)key->text.length, key->text.data);
        *state = value;
        found = key->text;
    }
    if (!*state)
        return sx_fail(c->error, SX_E_FORMAT, "%s: the dictionary saved holds no tensors", c->path);
    return SX_OK;
}

static sx_status add_tensors(checkpoint *c, const sx_pickle_value *root)
{
    const sx_pickle_value *state;
    sx_status status = find_state(c, root, &state);
    for (size_t i = 1; !status && i < state->count; i += 2) {
        const sx_pickle_value *call = tensor_call(state->items[i]), *key = state->items[i - 1];
        if (!call || key->type != SX_PICKLE_TEXT)
            continue;
        if (key->text.length && memchr(key->text.data, '\0', key->text.length))
            return sx_fail(c->error, SX_E_FORMAT, "%s: a tensor's name contains NUL", c->path);
        sx_tensor *tensor = sx_tensors_append(c->tensors);
        if (!tensor)
            return sx_fail_nomem(c->error, c->tensors->count * sizeof *tensor);
        tensor->name = sx_arena_strndup(&c->tensors->arena, key->text.data, key->text.length);
        if (!tensor->name)
            return sx_fail_nomem(c->error, key->text.length);
        status = read_view(c, call, tensor);
    }
    return status;
}

static sx_status read_archive(checkpoint *c, sx_arena *arena)
{
    sx_status status = sx_zip_read(c->data, c->length, c->path, arena, &c->zip, c->error);
    if (status)
        return status;
    static const char pickle_name[] = "data.pkl";
    const sx_zip_entry *pickle = NULL;
    for (size_t i = 0; i < c->zip.count; i++) {
        const sx_zip_entry *entry = &c->zip.entries[i];
        size_t length = strlen(pickle_name), before = entry->name.length - length;
        if (entry->name.length <= length || entry->name.data[before - 1] != '/' ||
            memcmp(entry->name.data + before, pickle_name, length) != 0)
            continue;
        if (pickle)
            return sx_fail(c->error, SX_E_FORMAT, "%s: the archive has two entries data.pkl", c->path);
        pickle = entry;
        c->prefix = (sx_text){entry->name.data, before};
    }
    if (!pickle)
        return sx_fail(c->error, SX_E_FORMAT, "%s: a zip archive without data.pkl is no PyTorch checkpoint", c->path);
    const sx_zip_entry *order = sx_zip_find(&c->zip, c->prefix, text_of("byteorder"));
    if (order && (order->bytes < 6 || memcmp(order->data, "little", 6) != 0))
        return sx_fail(c->error, SX_E_UNSUPPORTED, "%s: byte order %.*s; only little is read", c->path,
                       order->bytes < 16 ? (int)order->bytes : 16, (const char *)order->data);
    sx_pickle_value *root;
    size_t used;
    status = sx_pickle_read(pickle->data, pickle->bytes, c->path, allowed, arena, &root, &used, c->error);
    return status ? status : add_tensors(c, root);
}

enum { STORAGE_DEPTH = 10, VISITS_MAX = 10000000 };

/* Notes down the storages that the values of a dictionary refer to, an optimizer's too, since their sizes are needed to find
 * the way through the file. */
static sx_status collect_storages(checkpoint *c, const sx_pickle_value *value, unsigned depth)
{
    sx_status status = SX_OK;
    if (++c->visits > VISITS_MAX)
        return sx_fail(c->error, SX_E_LIMIT, "%s: looking for storages takes more than %d steps", c->path, VISITS_MAX);
    if (value->type == SX_PICKLE_REFERENCE) {
        storage from;
        status = read_storage(c, value, "of the checkpoint", &from);
        if (status)
            return status;
        if (!sx_reserve((void **)&c->storages, &c->storage_capacity, c->storage_count + 1, sizeof *c->storages))
            return sx_fail_nomem(c->error, c->storage_count * sizeof *c->storages);
        c->storages[c->storage_count++] = (stream_storage){from.key, NULL, from.type->size, from.elements};
        return SX_OK;
    }
    if (depth == 0 || (value->type != SX_PICKLE_DICT && value->type != SX_PICKLE_CALL && value->type != SX_PICKLE_TUPLE &&
                       value->type != SX_PICKLE_LIST))
        return SX_OK;
    for (size_t i = 0; i < value->count && !status; i++)
        status = collect_storages(c, value->items[i], depth - 1);
    return status;
}

static sx_status join_storages(checkpoint *c)
{
    size_t kept = 0;
    if (c->storage_count)
        qsort(c->storages, c->storage_count, sizeof *c->storages, compare_keys);
    for (size_t i = 0; i < c->storage_count; i++) {
        stream_storage *here = &c->storages[i], *last = kept ? &c->storages[kept - 1] : NULL;
        if (!last || compare_keys(last, here) != 0)
            c->storages[kept++] = *here;
        else if (last->size != here->size || last->elements != here->elements)
            return sx_fail(c->error, SX_E_FORMAT, "%s: storage %.*s is described in two ways", c->path, (int)here->key.length,
                           here->key.data);
    }
    c->storage_count = kept;
    return SX_OK;
}

/* The list of keys is read, and behind it each storage in turn. */
static sx_status read_storages(checkpoint *c, const sx_pickle_value *keys, size_t at)
{
    if (keys->type != SX_PICKLE_LIST)
        return sx_fail(c->error, SX_E_FORMAT, "%s: the list of storages is missing", c->path);
    for (size_t i = 0; i < keys->count; i++) {
        const sx_pickle_value *key = keys->items[i];
        stream_storage *found = key->type == SX_PICKLE_TEXT ? find_stream_storage(c, key->text) : NULL;
        if (!found || found->data)
            return sx_fail(c->error, SX_E_FORMAT, "%s: storage %zu of the list is %s", c->path, i,
                           found ? "there twice" : "one that no tensor uses, so that its size is not known");
        if (c->length - at < 8)
            return sx_fail(c->error, SX_E_FORMAT, "%s: the file ends at byte %zu, before storage %.*s (truncated?)", c->path,
                           c->length, (int)key->text.length, key->text.data);
        uint64_t elements = 0;
        for (int b = 7; b >= 0; b--)
            elements = elements << 8 | c->data[at + (size_t)b];
        at += 8;
        if (elements != found->elements)
            return sx_fail(c->error, SX_E_FORMAT, "%s: storage %.*s has %" PRIu64 " elements, but its tensors expect %zu",
                           c->path, (int)key->text.length, key->text.data, elements, found->elements);
        if (elements > (c->length - at) / found->size)
            return sx_fail(c->error, SX_E_FORMAT,
                           "%s: storage %.*s takes %" PRIu64 " elements of %zu bytes, but only %zu bytes are left (truncated?)",
                           c->path, (int)key->text.length, key->text.data, elements, found->size, c->length - at);
        found->data = c->data + at;
        at += (size_t)elements * found->size;
    }
    if (at != c->length)
        return sx_fail(c->error, SX_E_FORMAT, "%s: the storages end at byte %zu, but the file has %zu", c->path, at,
                       c->length);
    return SX_OK;
}

static sx_status read_stream(checkpoint *c, sx_arena *arena)
{
    sx_pickle_value *parts[4]; /* version, system, state, keys */
    size_t at = MAGIC_AT + sizeof magic, used;
    for (int i = 0; i < 4; i++) {
        sx_status status = sx_pickle_read(c->data + at, c->length - at, c->path, allowed, arena, &parts[i], &used, c->error);
        if (status)
            return status;
        at += used;
        if (i == 0 && (parts[0]->type != SX_PICKLE_INTEGER || parts[0]->integer != PROTOCOL_VERSION))
            return sx_fail(c->error, SX_E_UNSUPPORTED,
                           "%s: not version %d of PyTorch's old format; save again as safetensors", c->path,
                           PROTOCOL_VERSION);
    }
    for (size_t i = 1; parts[1]->type == SX_PICKLE_DICT && i < parts[1]->count; i += 2)
        if (sx_pickle_text_is(parts[1]->items[i - 1], "little_endian") && parts[1]->items[i]->type == SX_PICKLE_BOOLEAN &&
            !parts[1]->items[i]->integer)
            return sx_fail(c->error, SX_E_UNSUPPORTED, "%s: written in big-endian byte order", c->path);
    sx_status status = collect_storages(c, parts[2], STORAGE_DEPTH);
    if (!status)
        status = join_storages(c);
    if (!status)
        status = read_storages(c, parts[3], at);
    return status ? status : add_tensors(c, parts[2]);
}

bool sx_is_torch(const unsigned char *data, size_t length)
{
    if (length >= MAGIC_AT + sizeof magic && data[0] == 0x80 && memcmp(data + MAGIC_AT, magic, sizeof magic) == 0)
        return true;
    /* A safetensors file may begin with these four bytes too; its header's "{" tells. */
    return length > 8 && data[0] == 'P' && data[1] == 'K' && data[2] == 3 && data[3] == 4 && data[8] != '{';
}

sx_status sx_torch_add(sx_tensors *tensors, const unsigned char *data, size_t length, sx_error *error)
{
    checkpoint c = {.tensors = tensors, .path = tensors->paths[tensors->file_count - 1], .data = data, .length = length,
                    .is_zip = data[0] == 'P', .error = error};
    sx_arena arena = {0};
    sx_status status = c.is_zip ? read_archive(&c, &arena) : read_stream(&c, &arena);
    sx_arena_clear(&arena);
    free(c.storages);
    return status;
}
