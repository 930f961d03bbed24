/* weights.c - from tensors in a file to panels in memory: which tensors a model has.
 *
 * Every tensor is found and its shape compared, which gives a list of jobs and a total size; weights_fill.c then does the jobs.
 */
#include "weights.h"

#include "position_tables.h"
#include "weights_fill.h"

#include "../base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { NAME_MAX_BYTES = 256, ALIGN_FLOATS = 16 };

/* A part of a matrix: one tensor and the rows it must have. */
typedef struct part {
    const char *name;
    size_t outputs;
} part;

typedef struct loader {
    const sx_architecture *architecture;
    const sx_tensors *file;
    const sx_tensor_names *names;
    const char *prefix;
    sx_weights *weights;
    const sx_tensor *types, *relative;
    sx_storage storage;
    sx_fill fill;
} loader;

/* ---- Finding ---- */

static const sx_tensor *look(const sx_tensors *file, const char *prefix, const char *layer, const char *name, const char *ending)
{
    char full[4 * NAME_MAX_BYTES];
    snprintf(full, sizeof full, "%s%s%s%s", prefix, layer, name, ending);
    return sx_tensors_find(file, full);
}

/* rows 0: a vector of `columns` elements. */
static sx_status find(loader *load, const char *layer, const char *name, const char *ending, size_t rows, size_t columns,
                      const sx_tensor **tensor, sx_error *error)
{
    char expected[64], found[64];
    const sx_tensor *t = *tensor = look(load->file, load->prefix, layer, name, ending);
    if (!t)
        return sx_fail(error, SX_E_FORMAT, "%s: tensor %s%s%s%s is missing", load->file->path, load->prefix, layer, name, ending);
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
        return sx_fail(error, SX_E_FORMAT, "%s: tensor %s: shape %s, but the configuration makes it %s",
                       sx_tensor_path(load->file, t), t->name, found, expected);
    }
    if (t->dtype == SX_DTYPE_OTHER)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: tensor %s: dtype %s is not supported (F32, F16 and BF16 are)",
                       sx_tensor_path(load->file, t), t->name, t->dtype_name);
    return SX_OK;
}

static sx_status add_job(loader *load, sx_fill_job job, size_t floats, size_t units, sx_error *error)
{
    if (!sx_reserve((void **)&load->fill.jobs, &load->fill.job_capacity, load->fill.job_count + 1, sizeof *load->fill.jobs))
        return sx_fail_nomem(error, (load->fill.job_count + 1) * sizeof *load->fill.jobs);
    job.place = load->fill.floats;
    job.first_unit = load->fill.units;
    load->fill.jobs[load->fill.job_count++] = job;
    for (unsigned i = 0; i < job.source_count && job.phase != SX_FILL_FACTORS; i++)
        load->weights->parameters += job.sources[i]->elements;
    if (__builtin_add_overflow(load->fill.floats, (floats + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS, &load->fill.floats))
        return sx_fail_nomem(error, floats);
    load->fill.units += units;
    return SX_OK;
}

/* Room for rows x columns floats. */
static sx_status add_room(loader *load, size_t rows, size_t columns, float **target, sx_error *error)
{
    size_t floats;
    if (!sx_multiply(rows, columns, &floats) || floats > SIZE_MAX / sizeof(float) / 2)
        return sx_fail_nomem(error, SIZE_MAX);
    return add_job(load, (sx_fill_job){.target = target}, floats, 0, error);
}

/* Vectors below each other. */
static sx_status add_vector(loader *load, const char *layer, const part *parts, unsigned count, const char *ending,
                            sx_fill_job job, float **target, sx_error *error)
{
    size_t total = 0;
    job.columns = 1;
    job.target = target;
    job.source_count = count;
    for (unsigned i = 0; i < count; i++) {
        sx_status status = find(load, layer, parts[i].name, ending, 0, parts[i].outputs, &job.sources[i], error);
        if (status)
            return status;
        total += parts[i].outputs;
    }
    return add_job(load, job, total, 1, error);
}

/* A bias that the encoder would leave out must not be there. */
static sx_status refuse_bias(const loader *load, const char *layer, const char *name, sx_error *error)
{
    const sx_tensor *tensor = look(load->file, load->prefix, layer, name, ".bias");
    if (!tensor)
        return SX_OK;
    return sx_fail(error, SX_E_UNSUPPORTED, "%s: tensor %s: a bias, but by its configuration this %s model has none here",
                   sx_tensor_path(load->file, tensor), tensor->name, load->architecture->family);
}

/* What a matrix's input is, for the factors of 8-bit integers. */
typedef struct input_source {
    const sx_norm *norm;       /* whose output it is; NULL where that is no norm */
    size_t first_row;          /* outputs before it have no say in the factors */
} input_source;

/* Room and jobs of a matrix in 8-bit integers. */
static sx_status add_quantised(loader *load, sx_fill_job job, input_source input, sx_linear *linear, sx_error *error)
{
    const sx_int8_kernels *int8 = load->weights->int8;
    size_t panels = (linear->outputs + int8->panel_width - 1) / int8->panel_width, width = panels * int8->panel_width, bytes;
    _Static_assert(sizeof(int32_t) == sizeof(float), "scales and sums share an array");
    sx_status status = add_room(load, 2, width, &linear->column_scales, error);
    if (status)
        return status;
    if (input.norm) {
        sx_fill_job factors = job;
        factors.phase = SX_FILL_FACTORS;
        factors.norm = input.norm;
        factors.first_row = input.first_row;
        factors.target = &linear->factors;
        if ((status = add_job(load, factors, linear->inputs, 1, error)))
            return status;
    }
    if (!sx_multiply(panels, sx_int8_panel_bytes(int8, linear->inputs), &bytes))
        return sx_fail_nomem(error, SIZE_MAX);
    job.linear = linear;
    job.target = &linear->quantised;
    return add_job(load, job, (bytes + sizeof(float) - 1) / sizeof(float), panels, error);
}

/* What the numbers of a matrix are: where its input comes from, and in which arithmetic. */
typedef enum arithmetic { IN_FLOAT, AS_LAYER } arithmetic;

/* How a matrix in floating point is held. */
static sx_panel_format choose_format(loader *load, const sx_fill_job *job)
{
    sx_dtype dtype = job->sources[0]->dtype;
    if (load->storage == SX_STORAGE_F32)
        return SX_PANEL_F32;
    for (unsigned i = 1; i < job->source_count; i++)
        if (job->sources[i]->dtype != dtype)
            dtype = SX_DTYPE_OTHER;
    if (dtype == SX_DTYPE_F16 || dtype == SX_DTYPE_BF16)
        return dtype == SX_DTYPE_F16 ? SX_PANEL_F16 : SX_PANEL_BF16;
    if (load->storage == SX_STORAGE_AS_PUBLISHED)
        return SX_PANEL_F32;
    load->weights->rounded = true;
    return SX_PANEL_F16;
}

/* AS_LAYER: in 8-bit integers when the model is opened so. */
static sx_status add_linear(loader *load, const char *layer, const part *parts, unsigned count, size_t inputs, bool bias,
                            arithmetic kind, input_source input, sx_linear *linear, sx_error *error)
{
    sx_fill_job job = {.phase = SX_FILL_PANELS, .source_count = count, .columns = inputs, .target = &linear->panels};
    sx_status status = SX_OK;
    linear->inputs = inputs;
    linear->outputs = 0;
    for (unsigned i = 0; i < count && !status; i++) {
        linear->outputs += parts[i].outputs;
        status = find(load, layer, parts[i].name, ".weight", parts[i].outputs, inputs, &job.sources[i], error);
        if (!status && !bias)
            status = refuse_bias(load, layer, parts[i].name, error);
    }
    if (status)
        return status;
    size_t width = sx_panel_columns(load->weights->kernels, linear->outputs), floats;
    if (!sx_multiply(width, inputs, &floats))
        return sx_fail_nomem(error, SIZE_MAX);
    if (inputs > load->fill.deepest)
        load->fill.deepest = inputs;
    if (load->weights->int8 && kind == AS_LAYER) {
        status = add_quantised(load, job, input, linear, error);
    } else {
        job.format = linear->format = choose_format(load, &job);
        job.refuse_large = load->storage == SX_STORAGE_HALF;
        if (job.format != SX_PANEL_F32)
            floats /= 2; /* panels are of even width */
        status = add_job(load, job, floats, width / load->weights->kernels->panel_width, error);
    }
    if (status || !bias)
        return status;
    return add_vector(load, layer, parts, count, ".bias", (sx_fill_job){0}, &linear->bias, error);
}

static sx_status add_norm(loader *load, const char *layer, const char *name, size_t width, sx_norm *norm, sx_error *error)
{
    const part whole = {name, width};
    sx_fill_job job = {.offset = load->architecture->norm_weight_offset};
    sx_status status = add_vector(load, layer, &whole, 1, ".weight", job, &norm->weight, error);
    if (status)
        return status;
    if (!load->architecture->norm_bias)
        return refuse_bias(load, layer, name, error);
    return add_vector(load, layer, &whole, 1, ".bias", (sx_fill_job){0}, &norm->bias, error);
}

static sx_status add_attention(loader *load, const char *name, const sx_norm *norm, sx_layer *layer, sx_error *error)
{
    const sx_tensor_names *names = load->names;
    const sx_architecture *a = load->architecture;
    size_t queries = (size_t)a->heads * a->head_size, keys = (size_t)a->key_heads * a->head_size;
    const part separate[SX_FILL_SOURCES] = {{names->query, queries}, {names->key, keys}, {names->value, keys}};
    const part together = {names->mixed, queries + 2 * keys}, output = {names->attention_output, a->hidden_size};
    /* Errors in Q and K pass through the softmax and mostly cancel; those in V go straight into the states. So V rules. */
    const input_source input = {norm, queries + keys};
    sx_status status;
    if (names->mixed)
        status = add_linear(load, name, &together, 1, a->hidden_size, a->mixed_bias, AS_LAYER, input, &layer->mixed, error);
    else
        status = add_linear(load, name, separate, 3, a->hidden_size, a->mixed_bias, AS_LAYER, input, &layer->mixed, error);
    if (!status && a->head_norms) {
        const part query = {names->query_norm, a->head_size}, key = {names->key_norm, a->head_size};
        sx_fill_job job = {.offset = a->norm_weight_offset};
        status = add_vector(load, name, &key, 1, ".weight", job, &layer->key_norm, error);
        if (!status)
            status = add_vector(load, name, &query, 1, ".weight", job, &layer->query_norm, error);
    }
    if (status)
        return status;
    return add_linear(load, name, &output, 1, queries, a->output_bias, AS_LAYER,
                      (input_source){0}, &layer->attention_output, error);
}

static sx_status add_feed_forward(loader *load, const char *name, const sx_norm *norm, sx_layer *layer, sx_error *error)
{
    const sx_tensor_names *names = load->names;
    const sx_architecture *a = load->architecture;
    size_t middle = a->intermediate_size;
    const part both[2] = {{names->gate, middle}, {names->up, middle}}, fused = {names->gated, 2 * middle};
    const part down = {names->down, a->hidden_size};
    const part *parts = !a->gated ? &both[1] : names->gated ? &fused : both;
    sx_status status = add_linear(load, name, parts, a->gated && !names->gated ? 2 : 1, a->hidden_size, a->feed_forward_bias,
                                  AS_LAYER, (input_source){norm, 0}, &layer->up, error);
    return status ? status
                  : add_linear(load, name, &down, 1, middle, a->feed_forward_bias, AS_LAYER, (input_source){0},
                               &layer->down, error);
}

/* The norm whose output is the input of a layer's attention; NULL: none (a projection's, or the words' as they are). */
static const sx_norm *norm_before(const loader *load, unsigned index)
{
    const sx_architecture *a = load->architecture;
    const sx_weights *weights = load->weights;
    if (a->placement != SX_NORM_AFTER)
        return index > 0 || a->first_attention_norm ? &weights->layers[index].attention_norm : NULL;
    if (a->tied_layers) /* mostly its own output, since it is run several times */
        return &weights->layers[index].feed_forward_norm;
    if (index > 0)
        return &weights->layers[index - 1].feed_forward_norm;
    return a->embedding_norm && !a->embedding_projection ? &weights->embedding_norm : NULL;
}

static sx_status add_layer(loader *load, unsigned index, sx_layer *layer, sx_error *error)
{
    const sx_tensor_names *names = load->names;
    const sx_architecture *a = load->architecture;
    size_t hidden = a->hidden_size;
    char name[NAME_MAX_BYTES];
    snprintf(name, sizeof name, names->layer, index);
    sx_status status = add_attention(load, name, norm_before(load, index), layer, error);
    if (!status && (index > 0 || a->first_attention_norm))
        status = add_norm(load, name, names->attention_norm, hidden, &layer->attention_norm, error);
    if (!status)
        status = add_feed_forward(load, name, a->placement == SX_NORM_AFTER ? &layer->attention_norm : &layer->feed_forward_norm,
                                  layer, error);
    if (!status)
        status = add_norm(load, name, names->feed_forward_norm, hidden, &layer->feed_forward_norm, error);
    if (status || a->placement != SX_NORM_AROUND)
        return status;
    status = add_norm(load, name, names->attention_after_norm, hidden, &layer->attention_after_norm, error);
    return status ? status
                  : add_norm(load, name, names->feed_forward_after_norm, hidden, &layer->feed_forward_after_norm, error);
}

/* Whether the file has the word embeddings by these names and, where asked, the first layer too. */
static bool names_fit(const loader *load, const sx_tensor_names *names, const char *prefix, bool layers)
{
    char layer[NAME_MAX_BYTES];
    snprintf(layer, sizeof layer, names->layer, 0u);
    return look(load->file, prefix, "", names->words, ".weight") &&
           (!layers || look(load->file, prefix, layer, names->attention_output, ".weight"));
}

/* The names and the prefix that fit the file best, so that an error names a tensor that should be there. */
static void choose_names(loader *load)
{
    load->names = load->architecture->names;
    load->prefix = load->names->prefixes[0];
    for (int layers = 1; layers >= 0; layers--) {
        for (const sx_tensor_names *names = load->architecture->names; names; names = names->other) {
            for (size_t i = 0; i < sizeof names->prefixes / sizeof *names->prefixes && names->prefixes[i]; i++) {
                if (names_fit(load, names, names->prefixes[i], layers)) {
                    load->names = names;
                    load->prefix = names->prefixes[i];
                    return;
                }
            }
        }
    }
}

static sx_status add_embeddings(loader *load, sx_error *error)
{
    const sx_tensor_names *names = load->names;
    const sx_architecture *a = load->architecture;
    sx_weights *weights = load->weights;
    size_t width = a->embedding_size;
    const sx_tensor *positions;
    sx_status status = find(load, "", names->words, ".weight", a->vocabulary_size, width, &weights->words, error);
    if (status)
        return status;
    weights->parameters += weights->words->elements;
    if (a->positions) {
        if ((status = find(load, "", names->positions, ".weight", a->positions, width, &positions, error)))
            return status;
        sx_fill_job job = {.source_count = 1, .columns = 1, .target = &weights->positions};
        job.sources[0] = positions;
        weights->position_stride = width;
        if ((status = add_job(load, job, positions->elements, 1, error)))
            return status;
    } else if (a->token_types && (status = add_room(load, 1, width, &weights->positions, error))) {
        return status;
    }
    if (a->token_types) {
        if ((status = find(load, "", names->token_types, ".weight", a->token_types, width, &load->types, error)))
            return status;
        weights->parameters += load->types->elements;
        if (a->token_types > 1 && (status = add_room(load, 1, width, &weights->second_type, error)))
            return status;
    }
    if (a->embedding_norm && (status = add_norm(load, "", names->embedding_norm, width, &weights->embedding_norm, error)))
        return status;
    const part projection = {names->embedding_projection, a->hidden_size};
    if (!a->embedding_projection)
        return SX_OK;
    return add_linear(load, "", &projection, 1, width, true, IN_FLOAT, (input_source){0}, &weights->embedding_projection, error);
}

static sx_status add_position_tables(loader *load, size_t longest, sx_error *error)
{
    const sx_architecture *a = load->architecture;
    sx_weights *weights = load->weights;
    size_t half = a->head_size / 2;
    sx_status status = SX_OK;
    weights->longest = longest;
    if (a->rope_theta > 0.0f && (status = add_room(load, longest, half, &weights->rotation.cosines, error)) == SX_OK)
        status = add_room(load, longest, half, &weights->rotation.sines, error);
    if (!status && a->rope_local_theta > 0.0f &&
        (status = add_room(load, longest, half, &weights->local_rotation.cosines, error)) == SX_OK)
        status = add_room(load, longest, half, &weights->local_rotation.sines, error);
    if (status || !a->relative_buckets)
        return status;
    status = find(load, "", load->names->relative_bias, ".weight", a->relative_buckets, a->heads, &load->relative, error);
    if (status)
        return status;
    weights->parameters += load->relative->elements;
    return add_room(load, a->heads, 2 * longest - 1, &weights->relative, error);
}

/* ---- What is computed ---- */

/* Most texts are all of token type 0, so its embedding belongs to the positions'. */
static sx_status add_token_types(const loader *load, sx_error *error)
{
    const sx_weights *weights = load->weights;
    size_t width = load->architecture->embedding_size, rows = load->architecture->positions;
    if (!load->types)
        return SX_OK;
    float *row = sx_calloc(width, sizeof *row);
    if (!row)
        return sx_fail_nomem(error, width * sizeof *row);
    sx_tensor_read(load->types, weights->kernels, 0, width, row);
    for (size_t i = 0; i < (rows ? rows : 1); i++)
        weights->kernels->add_scaled(row, 1.0f, weights->positions + i * width, width);
    if (weights->second_type) {
        sx_tensor_read(load->types, weights->kernels, width, width, weights->second_type);
        weights->kernels->add_scaled(row, -1.0f, weights->second_type, width);
    }
    free(row);
    return SX_OK;
}

static sx_status fill_position_tables(const loader *load, sx_error *error)
{
    const sx_architecture *a = load->architecture;
    sx_weights *weights = load->weights;
    if (weights->rotation.cosines)
        sx_rotation_fill(a->rope_theta, a->rope_scale, a->head_size, weights->longest, weights->rotation.cosines,
                         weights->rotation.sines);
    if (weights->local_rotation.cosines)
        sx_rotation_fill(a->rope_local_theta, 1.0f, a->head_size, weights->longest, weights->local_rotation.cosines,
                         weights->local_rotation.sines);
    else
        weights->local_rotation = weights->rotation;
    if (!load->relative)
        return SX_OK;
    float *table = sx_calloc(load->relative->elements, sizeof *table);
    if (!table)
        return sx_fail_nomem(error, load->relative->elements * sizeof *table);
    sx_tensor_read(load->relative, weights->kernels, 0, load->relative->elements, table);
    sx_relative_fill(table, a->relative_buckets, a->relative_distance, a->heads, weights->longest, weights->relative);
    free(table);
    return SX_OK;
}

sx_status sx_weights_open(const sx_architecture *architecture, const sx_tensors *file, const sx_kernels *kernels,
                          const sx_int8_kernels *int8, sx_storage storage, size_t longest, sx_thread_pool *pool,
                          sx_weights **out, sx_error *error)
{
    *out = NULL;
    sx_status status;
    loader load = {.architecture = architecture, .file = file, .storage = storage, .fill = {.file = file}};
    sx_weights *weights = load.weights = load.fill.weights = sx_calloc(1, sizeof *weights);
    if (!weights)
        return sx_fail_nomem(error, sizeof *weights);
    weights->kernels = kernels;
    weights->int8 = int8;
    weights->layer_count = architecture->tied_layers ? architecture->tied_layers : architecture->layers;
    if (weights->layer_count > file->count) { /* before memory is taken for layers that cannot be there */
        status = sx_fail(error, SX_E_FORMAT, "%s: only %zu tensors, but the configuration makes it %zu layers", file->path,
                         file->count, weights->layer_count);
        goto out;
    }
    weights->layers = sx_calloc(weights->layer_count, sizeof *weights->layers);
    if (!weights->layers) {
        status = sx_fail_nomem(error, weights->layer_count * sizeof *weights->layers);
        goto out;
    }
    choose_names(&load);
    status = add_embeddings(&load, error);
    for (unsigned i = 0; i < weights->layer_count && !status; i++)
        status = add_layer(&load, i, &weights->layers[i], error);
    if (!status && architecture->final_norm)
        status = add_norm(&load, "", load.names->final_norm, architecture->hidden_size, &weights->final_norm, error);
    if (status || (status = add_position_tables(&load, longest, error)))
        goto out;
    weights->storage = weights->words->dtype;
    if ((status = sx_weights_fill(&load.fill, pool, error)) || (status = add_token_types(&load, error)) ||
        (status = fill_position_tables(&load, error)))
        goto out;
    *out = weights;
    weights = NULL;
out:
    free(load.fill.jobs);
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
