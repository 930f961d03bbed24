/* exact.c - exact search: the kernel scores runs of rows, the heap takes the few that matter. */
#include "exact.h"

#include <math.h>

enum { SCORES = 256 };

static void scan_run(const sx_dot_kernels *kernels, const float *query, size_t dimensions, const float *rows, size_t stride,
                     const int64_t *ids, size_t count, sx_topk *topk)
{
    float scores[SCORES];
    for (size_t done = 0; done < count;) {
        size_t part = count - done < SCORES ? count - done : SCORES;
        kernels->f32(&(sx_dot_job){.queries = query, .query_count = 1, .rows = rows + done * stride, .count = part,
                                   .stride = stride, .dimensions = dimensions, .out = scores});
        for (size_t i = 0; i < part; i++)
            if (sx_topk_wants(topk, scores[i]))
                sx_topk_offer(topk, ids[done + i], scores[i]);
        done += part;
    }
}

size_t sx_exact_lower_bound(const int64_t *ids, size_t count, int64_t id)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool sx_allowed_runs_next(sx_allowed_runs *runs, const sx_id_set *allowed, const int64_t *ids, size_t count)
{
    size_t at = runs->at + runs->length, wanted = runs->wanted;
    while (at < count && wanted < allowed->count && ids[at] != allowed->ids[wanted]) {
        if (ids[at] < allowed->ids[wanted])
            at += sx_exact_lower_bound(ids + at, count - at, allowed->ids[wanted]);
        else
            wanted += sx_exact_lower_bound(allowed->ids + wanted, allowed->count - wanted, ids[at]);
    }
    size_t length = 0;
    while (at + length < count && wanted + length < allowed->count && ids[at + length] == allowed->ids[wanted + length])
        length++;
    *runs = (sx_allowed_runs){at, length, wanted + length};
    return length > 0;
}

void sx_exact_scan(const sx_dot_kernels *kernels, const float *query, size_t dimensions, const float *rows, size_t stride,
                   const int64_t *ids, size_t count, const sx_id_set *allowed, sx_topk *topk)
{
    if (!allowed) {
        scan_run(kernels, query, dimensions, rows, stride, ids, count, topk);
        return;
    }
    for (sx_allowed_runs run = {0}; sx_allowed_runs_next(&run, allowed, ids, count);)
        scan_run(kernels, query, dimensions, rows + run.at * stride, stride, ids + run.at, run.length, topk);
}

void sx_exact_normalize(float *row, size_t dimensions)
{
    double sum = 0;
    for (size_t i = 0; i < dimensions; i++)
        sum += (double)row[i] * row[i];
    if (sum <= 0)
        return;
    double scale = 1 / sqrt(sum);
    for (size_t i = 0; i < dimensions; i++)
        row[i] = (float)(row[i] * scale);
}
