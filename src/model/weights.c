/* weights.c - from tensors in a file to panels in memory.
 *
 * First every tensor is found and its shape compared, which gives a list of jobs and a total size; then one mapping is made
 * for all floats, and the jobs, cut into panels, are shared among threads by a counter. Rows go straight from the map to the
 * panel where they are aligned floats of one tensor, else by way of a small buffer.
 */
#include "weights.h"

#include "../base/error.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 256, MAX_SOURCES = 3, ALIGN_FLOATS = 16, HUGE_PAGE = 2 * 1024 * 1024 };

/* One matrix (or vector: rows 1) to be filled from one or several tensors below each other. */
typedef struct fill_job {
    const sx_tensor *sources[MAX_SOURCES];
    unsigned source_count;
    float scale;               /* of the first source; the others are taken as they are */
    size_t rows_each, columns; /* of each source */
    float **target;            /* where the pointer goes */
    size_t place;              /* floats from the beginning of the memory */
    bool packed;
    size_t first_unit;         /* number of its first panel (or of the whole vector) among all units */
} fill_job;

typedef struct loader {
    const sx_architecture *architecture;
    const sx_tensors *file;
    const sx_tensor_names *names;
    const char *prefix;
    sx_weights *weights;
    fill_job *jobs;
    size_t job_count, job_capacity;
    size_t floats, units;
    size_t deepest;            /* most columns of a packed matrix */
    _Atomic size_t next_unit;
    _Atomic int no_memory;
} loader;

/* ---- Finding ---- */

static sx_status find(loader *load, const char *layer, const char *name, const char *ending, size_t rows, size_t columns,
                      const sx_tensor **tensor, sx_error *error)
{
    char full[NAME_MAX_BYTES], expected[64], found[64];
    const char *path = load->file->path;
    snprintf(full, sizeof full, "%s%s%s%s", load->prefix, layer, name, ending);
    *tensor = sx_tensors_find(load->file, full);
    if (!*tensor)
        return sx_fail(error, SX_E_FORMAT, "%s: tensor %s is missing", path, full);
    const sx_tensor *t = *tensor;
    bool fits = rows ? t->rank == 2 && t->shape[0] == rows && t->shape[1] == columns : t->rank == 1 && t->shape[0] == columns;
    if (!fits) {
        if (rows)
            snprintf(expected, sizeof expected, "[%zu, %zu]", rows, columns);
        else
            snprintf(expected, sizeof expected, "[%zu]", columns);
        snprintf(found, sizeof found,
                 t->rank == 1   ? "[%zu]"
                 : t->rank == 2 ? "[%zu, %zu]"
                                : "rank other than 1 and 2",
                 t->shape[0], t->shape[1]);
        return sx_fail(error, SX_E_FORMAT, "%s: tensor %s: shape %s, but config.json makes it %s", path, full, found, expected);
    }
    if (t->dtype == SX_DTYPE_OTHER)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: tensor %s: dtype %s is not supported (F32, F16 and BF16 are)", path, full,
                       t->dtype_name);
    return SX_OK;
}

static sx_status add_job(loader *load, fill_job job, size_t floats, size_t units, sx_error *error)
{
    if (!sx_reserve((void **)&load->jobs, &load->job_capacity, load->job_count + 1, sizeof *load->jobs))
        return sx_fail_nomem(error, (load->job_count + 1) * sizeof *load->jobs);
    job.place = load->floats;
    job.first_unit = load->units;
    load->jobs[load->job_count++] = job;
    for (unsigned i = 0; i < job.source_count; i++)
        load->weights->parameters += job.sources[i]->elements;
    if (__builtin_add_overflow(load->floats, (floats + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS, &load->floats))
        return sx_fail_nomem(error, floats);
    load->units += units;
    return SX_OK;
}

/* A vector of `names` parts of `width` below each other. */
static sx_status add_vector(loader *load, const char *layer, const char *const *names, unsigned count, const char *ending,
                            size_t width, float scale, float **target, sx_error *error)
{
    fill_job job = {.source_count = count, .scale = scale, .rows_each = 1, .columns = width, .target = target};
    for (unsigned i = 0; i < count; i++) {
        sx_status status = find(load, layer, names[i], ending, 0, width, &job.sources[i], error);
        if (status)
            return status;
    }
    return add_job(load, job, count * width, 1, error);
}

static sx_status add_linear(loader *load, const char *layer, const char *const *names, unsigned count, size_t outputs_each,
                            size_t inputs, float scale, sx_linear *linear, sx_error *error)
{
    fill_job job = {.source_count = count, .scale = scale, .rows_each = outputs_each, .columns = inputs,
                    .target = &linear->panels, .packed = true};
    linear->inputs = inputs;
    linear->outputs = count * outputs_each;
    for (unsigned i = 0; i < count; i++) {
        sx_status status = find(load, layer, names[i], ".weight", outputs_each, inputs, &job.sources[i], error);
        if (status)
            return status;
    }
    size_t width = sx_panel_columns(load->weights->kernels, linear->outputs), floats;
    if (!sx_multiply(width, inputs, &floats))
        return sx_fail_nomem(error, SIZE_MAX);
    if (inputs > load->deepest)
        load->deepest = inputs;
    sx_status status = add_job(load, job, floats, width / load->weights->kernels->panel_width, error);
    return status ? status : add_vector(load, layer, names, count, ".bias", outputs_each, scale, &linear->bias, error);
}

static sx_status add_norm(loader *load, const char *layer, const char *name, sx_norm *norm, sx_error *error)
{
    size_t width = load->architecture->hidden_size;
    sx_status status = add_vector(load, layer, &name, 1, ".weight", width, 1.0f, &norm->weight, error);
    return status ? status : add_vector(load, layer, &name, 1, ".bias", width, 1.0f, &norm->bias, error);
}

static sx_status add_layer(loader *load, unsigned index, sx_layer *layer, sx_error *error)
{
    const sx_tensor_names *family = load->names;
    const sx_architecture *architecture = load->architecture;
    size_t hidden = architecture->hidden_size, middle = architecture->intermediate_size;
    const char *const inputs[MAX_SOURCES] = {family->query, family->key, family->value};
    float scale = (float)(1.0 / sqrt((double)hidden / architecture->heads));
    char name[NAME_MAX_BYTES];
    snprintf(name, sizeof name, family->layer, index);
    sx_status status;
    if ((status = add_linear(load, name, inputs, 3, hidden, hidden, scale, &layer->attention_input, error)) ||
        (status = add_linear(load, name, &family->attention_output, 1, hidden, hidden, 1.0f, &layer->attention_output, error)) ||
        (status = add_norm(load, name, family->attention_norm, &layer->attention_norm, error)) ||
        (status = add_linear(load, name, &family->up, 1, middle, hidden, 1.0f, &layer->up, error)) ||
        (status = add_linear(load, name, &family->down, 1, hidden, middle, 1.0f, &layer->down, error)))
        return status;
    return add_norm(load, name, family->feed_forward_norm, &layer->output_norm, error);
}

static sx_status add_embeddings(loader *load, const sx_tensor **positions, const sx_tensor **types, sx_error *error)
{
    const sx_tensor_names *family = load->names;
    const sx_architecture *architecture = load->architecture;
    sx_weights *weights = load->weights;
    char name[NAME_MAX_BYTES];
    load->prefix = family->prefixes[0];
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s%s.weight", family->prefixes[i], family->words);
        if (sx_tensors_find(load->file, name)) {
            load->prefix = family->prefixes[i];
            break;
        }
    }
    sx_status status;
    if ((status = find(load, "", family->words, ".weight", architecture->vocabulary_size, architecture->hidden_size, &weights->words,
                       error)) ||
        (status = find(load, "", family->positions, ".weight", architecture->positions, architecture->hidden_size, positions, error)) ||
        (status = find(load, "", family->token_types, ".weight", architecture->token_types, architecture->hidden_size, types, error)))
        return status;
    fill_job job = {.source_count = 1, .scale = 1.0f, .rows_each = architecture->positions, .columns = architecture->hidden_size,
                    .target = &weights->positions};
    job.sources[0] = *positions;
    weights->parameters += weights->words->elements + (*types)->elements;
    status = add_job(load, job, (*positions)->elements, 1, error);
    return status ? status : add_norm(load, "", family->embedding_norm, &weights->embedding_norm, error);
}

/* ---- Filling ---- */

static void fill_vector(const loader *load, const fill_job *job)
{
    float *out = load->weights->memory + job->place;
    for (unsigned i = 0; i < job->source_count; i++) {
        size_t count = job->rows_each * job->columns;
        sx_tensor_read(job->sources[i], load->weights->kernels, 0, count, out);
        for (size_t j = 0; i == 0 && job->scale != 1.0f && j < count; j++)
            out[j] *= job->scale;
        out += count;
    }
}

static void fill_panel(const loader *load, const fill_job *job, size_t panel, float *rows)
{
    const sx_kernels *kernels = load->weights->kernels;
    size_t columns = job->columns, first = panel * kernels->panel_width;
    size_t total = job->source_count * job->rows_each;
    size_t count = total - first < kernels->panel_width ? total - first : kernels->panel_width;
    float *out = load->weights->memory + job->place + first * columns;
    size_t source = first / job->rows_each, row = first % job->rows_each;
    const sx_tensor *tensor = job->sources[source];
    if (tensor->dtype == SX_DTYPE_F32 && row + count <= job->rows_each && (uintptr_t)tensor->data % _Alignof(float) == 0) {
        const float *data = (const float *)(const void *)tensor->data;
        kernels->pack(data + row * columns, columns, count, columns, source ? 1.0f : job->scale, out);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        float *to = rows + i * columns;
        source = (first + i) / job->rows_each;
        sx_tensor_read(job->sources[source], kernels, (first + i) % job->rows_each * columns, columns, to);
        for (size_t j = 0; source == 0 && job->scale != 1.0f && j < columns; j++)
            to[j] *= job->scale;
    }
    kernels->pack(rows, columns, count, columns, 1.0f, out);
}

static void fill_work(void *user, unsigned worker)
{
    loader *load = user;
    size_t panel_width = load->weights->kernels->panel_width;
    float *rows = sx_aligned_calloc(64, load->deepest * panel_width, sizeof *rows);
    if (!rows) {
        atomic_store(&load->no_memory, 1);
        return;
    }
    size_t job = 0;
    for (size_t unit; (unit = atomic_fetch_add(&load->next_unit, 1)) < load->units;) {
        while (job + 1 < load->job_count && load->jobs[job + 1].first_unit <= unit)
            job++;
        if (load->jobs[job].packed)
            fill_panel(load, &load->jobs[job], unit - load->jobs[job].first_unit, rows);
        else
            fill_vector(load, &load->jobs[job]);
    }
    free(rows);
}

/* Drops a tensor's whole pages from memory; the file still has them. */
static void release_pages(const loader *load, const sx_tensor *tensor)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)tensor->data + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)tensor->data + tensor->bytes) / page * page;
    if (load->file->maps[tensor->file].length && begin < end)
        madvise((void *)begin, end - begin, MADV_DONTNEED);
}

static sx_status fill_all(loader *load, sx_thread_pool *pool, sx_error *error)
{
    sx_weights *weights = load->weights;
    size_t bytes;
    if (!sx_multiply(load->floats, sizeof(float), &bytes) || bytes > SIZE_MAX - HUGE_PAGE)
        return sx_fail_nomem(error, SIZE_MAX);
    bytes = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return sx_fail_nomem(error, bytes);
    madvise(memory, bytes, MADV_HUGEPAGE);
    weights->memory = memory;
    weights->memory_bytes = bytes;
    for (size_t i = 0; i < load->job_count; i++)
        *load->jobs[i].target = weights->memory + load->jobs[i].place;
    sx_thread_pool_run(pool, fill_work, load);
    if (atomic_load(&load->no_memory))
        return sx_fail_nomem(error, load->deepest * weights->kernels->panel_width * sizeof(float));
    for (size_t i = 0; i < load->job_count; i++)
        for (unsigned j = 0; j < load->jobs[i].source_count; j++)
            release_pages(load, load->jobs[i].sources[j]);
    return SX_OK;
}

/* Every text is of token type 0, so its embedding belongs to the position's. */
static sx_status add_token_type(const loader *load, const sx_tensor *types, sx_error *error)
{
    size_t hidden = load->architecture->hidden_size;
    float *row = sx_calloc(hidden, sizeof *row);
    if (!row)
        return sx_fail_nomem(error, hidden * sizeof *row);
    sx_tensor_read(types, load->weights->kernels, 0, hidden, row);
    for (size_t i = 0; i < load->architecture->positions; i++)
        load->weights->kernels->add_scaled(row, 1.0f, load->weights->positions + i * hidden, hidden);
    free(row);
    return SX_OK;
}

sx_status sx_weights_open(const sx_architecture *architecture, const sx_tensors *file, const sx_kernels *kernels,
                          size_t longest, sx_thread_pool *pool, sx_weights **out, sx_error *error)
{
    *out = NULL;
    sx_status status;
    loader load = {.architecture = architecture, .file = file, .names = architecture->names};
    const sx_tensor *positions, *types;
    sx_weights *weights = load.weights = sx_calloc(1, sizeof *weights);
    if (!weights)
        return sx_fail_nomem(error, sizeof *weights);
    weights->kernels = kernels;
    if (architecture->layers > file->count) { /* before memory is taken for layers that cannot be there */
        status = sx_fail(error, SX_E_FORMAT, "%s: %zu tensors, but %u layers according to the configuration", file->path,
                         file->count, architecture->layers);
        goto out;
    }
    weights->layer_count = architecture->layers;
    weights->layers = sx_calloc(architecture->layers, sizeof *weights->layers);
    if (!weights->layers) {
        status = sx_fail_nomem(error, architecture->layers * sizeof *weights->layers);
        goto out;
    }
    status = add_embeddings(&load, &positions, &types, error);
    for (unsigned i = 0; i < architecture->layers && !status; i++)
        status = add_layer(&load, i, &weights->layers[i], error);
    if (status)
        goto out;
    weights->storage = weights->words->dtype;
    if ((status = fill_all(&load, pool, error)) || (status = add_token_type(&load, types, error)))
        goto out;
    *out = weights;
    weights = NULL;
out:
    free(load.jobs);
    sx_weights_close(weights);
    return status;
}

void sx_weights_close(sx_weights *weights)
{
    if (!weights)
        return;
    if (weights->memory)
        munmap(weights->memory, weights->memory_bytes);
    free(weights->layers);
    free(weights);
}
