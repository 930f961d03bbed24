/* weights_fill.c - weights read, packed and quantised.
 *
 * One mapping is made for all floats, and the jobs, cut into panels, are shared among threads by a counter. Rows go straight from
 * the map to the panel where they are aligned floats of one tensor, else by way of a small buffer.
 */
#include "weights_fill.h"

#include "smoothing.h"

#include "../base/error.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HUGE_PAGE = 2 * 1024 * 1024 };

static void fill_vector(const sx_fill *fill, const sx_fill_job *job)
{
    float *out = fill->weights->memory + job->place;
    size_t total = 0;
    for (unsigned i = 0; i < job->source_count; i++) {
        sx_tensor_read(job->sources[i], fill->weights->kernels, 0, job->sources[i]->elements, out + total);
        total += job->sources[i]->elements;
    }
    for (size_t j = 0; job->offset != 0.0f && j < total; j++)
        out[j] += job->offset;
}

/* Rows `first` .. `first + count - 1` of the matrix a job's sources make, as floats. */
static void read_rows(const sx_fill *fill, const sx_fill_job *job, size_t first, size_t count, float *rows)
{
    size_t columns = job->columns, source = 0, row = first;
    while (row >= job->sources[source]->shape[0])
        row -= job->sources[source++]->shape[0];
    for (size_t i = 0; i < count; i++, row++) {
        if (row == job->sources[source]->shape[0]) {
            source++;
            row = 0;
        }
        sx_tensor_read(job->sources[source], fill->weights->kernels, row * columns, columns, rows + i * columns);
    }
}

static size_t row_count(const sx_fill_job *job)
{
    size_t total = 0;
    for (unsigned i = 0; i < job->source_count; i++)
        total += job->sources[i]->shape[0];
    return total;
}

/* The rows where they lie, when they are aligned floats of one tensor; else read into `rows`. */
static const float *find_rows(const sx_fill *fill, const sx_fill_job *job, size_t first, size_t count, float *rows)
{
    size_t source = 0, row = first;
    while (row >= job->sources[source]->shape[0])
        row -= job->sources[source++]->shape[0];
    const sx_tensor *tensor = job->sources[source];
    if (tensor->dtype != SX_DTYPE_F32 || row + count > tensor->shape[0] || (uintptr_t)tensor->data % _Alignof(float) != 0) {
        read_rows(fill, job, first, count, rows);
        return rows;
    }
    return (const float *)(const void *)tensor->data + row * job->columns;
}

/* Drops the whole pages of these rows from memory, so that a file is never there twice, as it is and packed; the file still has
 * them, should they be asked for again. */
static void release_rows(const sx_fill *fill, const sx_fill_job *job, size_t first, size_t count)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (unsigned i = 0; i < job->source_count && count; i++) {
        const sx_tensor *tensor = job->sources[i];
        const sx_file_map *map = &fill->file->maps[tensor->file];
        const unsigned char *mapped = map->data;
        size_t rows = tensor->shape[0];
        if (!rows)
            continue;
        size_t some = first >= rows ? 0 : rows - first < count ? rows - first : count;
        uintptr_t begin = ((uintptr_t)tensor->data + tensor->bytes / rows * first + page - 1) / page * page;
        uintptr_t end = ((uintptr_t)tensor->data + tensor->bytes / rows * (first + some)) / page * page;
        bool inside = map->length && tensor->data >= mapped && tensor->data + tensor->bytes <= mapped + map->length;
        if (some && inside && begin < end)
            madvise((void *)begin, end - begin, MADV_DONTNEED);
        count -= some;
        first = some ? 0 : first - rows;
    }
}

static size_t rows_at_once(const sx_weights *weights)
{
    size_t width = weights->kernels->panel_width;
    return weights->int8 && weights->int8->panel_width > width ? weights->int8->panel_width : width;
}

static void fill_panel(sx_fill *fill, const sx_fill_job *job, size_t panel, float *rows)
{
    const sx_kernels *kernels = fill->weights->kernels;
    size_t columns = job->columns, first = panel * kernels->panel_width, left = row_count(job) - first;
    size_t count = left < kernels->panel_width ? left : kernels->panel_width;
    size_t held = kernels->panel_width * columns, bytes = sx_panel_bytes(job->format);
    void *out = (unsigned char *)(fill->weights->memory + job->place) + first * columns * bytes;
    const float *data = find_rows(fill, job, first, count, rows);
    if (job->format == SX_PANEL_F32) {
        kernels->pack(data, columns, count, columns, 1.0f, out);
        return;
    }
    float *packed = rows + fill->deepest * rows_at_once(fill->weights);
    kernels->pack(data, columns, count, columns, 1.0f, packed);
    if (job->format == SX_PANEL_BF16) {
        kernels->to_bf16(packed, out, held);
        return;
    }
    kernels->to_f16(packed, out, held);
    const uint16_t *halves = out;
    unsigned infinite = 0;
    for (size_t i = 0; i < held; i++)
        infinite |= (halves[i] & 0x7fff) == 0x7c00;
    if (infinite && job->refuse_large)
        atomic_store(&fill->too_large, job);
}

static void fill_quantised(const sx_fill *fill, const sx_fill_job *job, size_t panel, float *rows)
{
    const sx_int8_kernels *int8 = fill->weights->int8;
    sx_linear *linear = job->linear;
    size_t columns = job->columns, width = int8->panel_width, first = panel * width, left = row_count(job) - first;
    size_t count = left < width ? left : width, padded = (linear->outputs + width - 1) / width * width;
    int32_t *sums = (int32_t *)(void *)(linear->column_scales + padded);
    int8->pack(find_rows(fill, job, first, count, rows), columns, count, columns, linear->factors,
               (unsigned char *)linear->quantised + panel * sx_int8_panel_bytes(int8, columns), linear->column_scales + first,
               sums + first);
}

/* The largest weight each input meets, then the factors, in its place. */
static void fill_factors(const sx_fill *fill, const sx_fill_job *job, float *row)
{
    float *largest = fill->weights->memory + job->place;
    size_t total = row_count(job);
    memset(largest, 0, job->columns * sizeof *largest);
    for (size_t i = job->first_row; i < total; i++)
        fill->weights->kernels->largest(find_rows(fill, job, i, 1, row), largest, job->columns);
    sx_smoothing_factors(job->norm->weight, job->norm->bias, largest, job->columns, largest);
}

/* A panel's rows; all rows of what is no panel. */
static void release_unit(const sx_fill *fill, const sx_fill_job *job, size_t panel)
{
    size_t width = job->linear ? fill->weights->int8->panel_width : fill->weights->kernels->panel_width;
    if (job->phase == SX_FILL_PANELS)
        release_rows(fill, job, panel * width, width);
    else
        release_rows(fill, job, 0, SIZE_MAX);
}

static void fill_work(void *user, unsigned worker)
{
    (void)worker; /* units are taken by a counter */
    sx_fill *fill = user;
    size_t width = rows_at_once(fill->weights) + fill->weights->kernels->panel_width;
    float *rows = sx_aligned_calloc(64, fill->deepest * width, sizeof *rows);
    if (!rows) {
        atomic_store(&fill->no_memory, 1);
        return;
    }
    size_t job = 0;
    for (size_t unit; (unit = atomic_fetch_add(&fill->next_unit, 1)) < fill->units;) {
        while (job + 1 < fill->job_count && fill->jobs[job + 1].first_unit <= unit)
            job++;
        const sx_fill_job *found = &fill->jobs[job];
        if (found->phase != fill->phase)
            continue;
        if (found->phase == SX_FILL_VECTORS)
            fill_vector(fill, found);
        else if (found->phase == SX_FILL_FACTORS)
            fill_factors(fill, found, rows);
        else if (found->linear)
            fill_quantised(fill, found, unit - found->first_unit, rows);
        else
            fill_panel(fill, found, unit - found->first_unit, rows);
        release_unit(fill, found, unit - found->first_unit);
    }
    free(rows);
}

/* Names the weight that no half can hold. */
static sx_status refuse_large(const sx_fill *fill, const sx_fill_job *job, sx_error *error)
{
    const float most = 65520.0f; /* from here on a float is rounded to infinity */
    for (unsigned i = 0; i < job->source_count; i++) {
        const sx_tensor *tensor = job->sources[i];
        for (size_t k = 0; k < tensor->elements; k++) {
            float x;
            sx_tensor_read(tensor, fill->weights->kernels, k, 1, &x);
            if (x < most && x > -most)
                continue;
            sx_fail(error, SX_E_UNSUPPORTED, "%s: tensor %s: weight %g is too large for a half, which holds 65504 at most",
                    sx_tensor_path(fill->file, tensor), tensor->name, (double)x);
            sx_hint(error, "storage f32 takes it");
            return SX_E_UNSUPPORTED;
        }
    }
    return sx_fail(error, SX_E_UNSUPPORTED, "%s: a weight is too large for a half", fill->file->path);
}

sx_status sx_weights_fill(sx_fill *fill, sx_thread_pool *pool, sx_error *error)
{
    sx_weights *weights = fill->weights;
    size_t bytes;
    if (!sx_multiply(fill->floats, sizeof(float), &bytes) || bytes > SIZE_MAX - HUGE_PAGE)
        return sx_fail_nomem(error, SIZE_MAX);
    bytes = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return sx_fail_nomem(error, bytes);
    madvise(memory, bytes, MADV_HUGEPAGE);
    weights->memory = memory;
    weights->memory_bytes = bytes;
    for (size_t i = 0; i < fill->job_count; i++)
        *fill->jobs[i].target = weights->memory + fill->jobs[i].place;
    for (int phase = 0; phase < SX_FILL_PHASES; phase++) {
        fill->phase = (sx_fill_phase)phase;
        atomic_store(&fill->next_unit, 0);
        sx_thread_pool_run(pool, fill_work, fill);
    }
    if (atomic_load(&fill->no_memory))
        return sx_fail_nomem(error, fill->deepest * rows_at_once(weights) * sizeof(float));
    if (atomic_load(&fill->too_large))
        return refuse_large(fill, atomic_load(&fill->too_large), error);
    for (size_t i = 0; i < fill->job_count; i++) /* pages that two panels share */
        release_rows(fill, &fill->jobs[i], 0, SIZE_MAX);
    return SX_OK;
}
