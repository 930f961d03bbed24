/* kmeans.c - spherical k-means (Dhillon and Modha 2001): rows go to the center of the largest cosine, centers are means scaled to
 * length 1. The first centers are drawn as in k-means++ (Arthur and Vassilvitskii 2007), by 1 - cosine, from fixed random
 * numbers; several candidates are drawn for each and the one that helps most is taken.
 *
 * How many: on a sample each of some counts is tried, and the one is taken whose simplified silhouette (Vendramin, Campello and
 * Hruschka 2010: distances to centers instead of to all rows) is best. Where even that is low there are no clusters
 * with a number of their own, as in most collections: then there are as many as the cube root of the rows, at most 16. */
#include "kmeans.h"

#include "random.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../kern/dot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double clear_silhouette = 0.5; /* a silhouette that tells clusters apart */
enum { READABLE = 16, ROUNDS = 40, CHOICE_ROUNDS = 12, CHOICE_SAMPLE = 3000, TRIES = 3, BLOCK = 64 };

typedef struct fit {
    const float *rows;
    size_t count, width, wanted, have;
    sx_thread_pool *pool;
    float *centers;
    double *sums;
    uint32_t *clusters;
    float *best, *second; /* cosines with the nearest center and the next */
    const volatile int *stop;
} fit;

/* ---- The first centers ---- */

static float product(const fit *of, size_t a, const float *b)
{
    const float *row = of->rows + a * of->width;
    float sums[8] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 8 <= of->width; i += 8)
        for (size_t j = 0; j < 8; j++)
            sums[j] += row[i + j] * b[i + j];
    for (; i < of->width; i++)
        sum += row[i] * b[i];
    for (size_t j = 0; j < 8; j++)
        sum += sums[j];
    return sum;
}

static double far_from(float cosine)
{
    return cosine < 1 - 1e-5f ? 1 - (double)cosine : 0;
}

static size_t draw(const fit *of, sx_random *random, double total)
{
    double left = sx_random_unit(random) * total;
    size_t last = 0;
    for (size_t i = 0; i < of->count; i++) {
        double distance = far_from(of->best[i]);
        if (distance <= 0)
            continue;
        last = i;
        left -= distance;
        if (left < 0)
            break;
    }
    return last;
}

/* of->best: cosine with the nearest center so far. of->second is used as scratch. */
static void draw_centers(fit *of)
{
    sx_random random = {20};
    for (size_t i = 0; i < of->count; i++)
        of->best[i] = -1;
    for (of->have = 0; of->have < of->wanted; of->have++) {
        double total = 0, least = -1;
        size_t chosen = 0;
        for (size_t i = 0; i < of->count; i++)
            total += far_from(of->best[i]);
        if (total <= 0)
            break;
        for (int try = 0; try < TRIES; try++) {
            size_t candidate = draw(of, &random, total);
            double rest = 0;
            for (size_t i = 0; i < of->count; i += 1 + of->count / CHOICE_SAMPLE) {
                float cosine = product(of, i, of->rows + candidate * of->width);
                rest += far_from(cosine > of->best[i] ? cosine : of->best[i]);
            }
            if (least < 0 || rest < least) {
                least = rest;
                chosen = candidate;
            }
        }
        memcpy(of->centers + of->have * of->width, of->rows + chosen * of->width, of->width * sizeof(float));
        for (size_t i = 0; i < of->count; i++) {
            float cosine = product(of, i, of->rows + chosen * of->width);
            of->best[i] = cosine > of->best[i] ? cosine : of->best[i];
        }
    }
}

/* ---- Rounds ---- */

static void assign_rows(void *user, unsigned worker)
{
    fit *of = user;
    size_t begin, end;
    float scores[SX_KMEANS_MOST * BLOCK];
    const sx_dot_kernels *kernels = sx_dot_kernels_for(0);
    sx_share(of->count, worker, sx_thread_pool_team_size(of->pool), &begin, &end);
    for (size_t first = begin; first < end; first += BLOCK) {
        size_t some = end - first < BLOCK ? end - first : BLOCK;
        kernels->f32(&(sx_dot_job){.queries = of->centers,
                                   .query_count = of->have,
                                   .query_stride = of->width,
                                   .rows = of->rows + first * of->width,
                                   .count = some,
                                   .stride = of->width,
                                   .dimensions = of->width,
                                   .out = scores,
                                   .out_stride = BLOCK});
        for (size_t i = 0; i < some; i++) {
            float best = -2, second = -2;
            uint32_t cluster = 0;
            for (size_t c = 0; c < of->have; c++) {
                float score = scores[c * BLOCK + i];
                if (score > best) {
                    second = best;
                    best = score;
                    cluster = (uint32_t)c;
                } else if (score > second) {
                    second = score;
                }
            }
            of->clusters[first + i] = cluster;
            of->best[first + i] = best;
            of->second[first + i] = second;
        }
    }
}

/* False when the centers stayed where they were. */
static bool move_centers(fit *of)
{
    bool moved = false;
    memset(of->sums, 0, of->have * of->width * sizeof *of->sums);
    for (size_t i = 0; i < of->count; i++) {
        double *sum = of->sums + of->clusters[i] * of->width;
        for (size_t d = 0; d < of->width; d++)
            sum[d] += (double)of->rows[i * of->width + d];
    }
    for (size_t c = 0; c < of->have; c++) {
        double length = 0, along = 0;
        float *center = of->centers + c * of->width;
        for (size_t d = 0; d < of->width; d++)
            length += of->sums[c * of->width + d] * of->sums[c * of->width + d];
        /* An empty cluster, or one whose rows cancel out, keeps its center. */
        for (size_t d = 0; length > 0 && d < of->width; d++) {
            double value = of->sums[c * of->width + d] / sqrt(length);
            along += value * (double)center[d];
            center[d] = (float)value;
        }
        moved = moved || (length > 0 && along < 1 - 1e-6);
    }
    return moved;
}

static void run_rounds(fit *of, int rounds)
{
    draw_centers(of);
    for (int i = 0; i < rounds && of->have; i++) {
        sx_thread_pool_run(of->pool, assign_rows, of);
        if ((of->stop && *of->stop) || !move_centers(of))
            break;
    }
    if (of->have)
        sx_thread_pool_run(of->pool, assign_rows, of);
}

static sx_status open_fit(fit *of, sx_error *error)
{
    size_t count = of->count ? of->count : 1;
    of->wanted = of->wanted < of->count ? of->wanted : of->count;
    of->centers = sx_calloc(of->wanted + 1, of->width * sizeof(float));
    of->sums = sx_calloc(of->wanted + 1, of->width * sizeof(double));
    of->clusters = sx_calloc(count, sizeof *of->clusters);
    of->best = sx_calloc(count, sizeof *of->best);
    of->second = sx_calloc(count, sizeof *of->second);
    if (of->centers && of->sums && of->clusters && of->best && of->second)
        return SX_OK;
    return sx_fail_nomem(error, of->wanted * of->width * sizeof(double));
}

static void close_fit(fit *of)
{
    free(of->centers);
    free(of->sums);
    free(of->clusters);
    free(of->best);
    free(of->second);
}

/* ---- How many ---- */

static double silhouette(const fit *of)
{
    double sum = 0;
    for (size_t i = 0; i < of->count; i++) {
        double own = far_from(of->best[i]), next = far_from(of->second[i]);
        double larger = own > next ? own : next;
        sum += larger > 0 ? (next - own) / larger : 0;
    }
    return of->count ? sum / (double)of->count : 0;
}

static sx_status choose_count(const fit *whole, size_t *chosen, sx_error *error)
{
    static const size_t counts[] = {2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 32};
    size_t sample = whole->count < CHOICE_SAMPLE ? whole->count : CHOICE_SAMPLE;
    double best = -2;
    sx_status status = SX_OK;
    float *rows = sx_calloc(sample ? sample : 1, whole->width * sizeof(float));
    if (!rows)
        return sx_fail_nomem(error, sample * whole->width * sizeof(float));
    for (size_t i = 0; i < sample; i++)
        memcpy(rows + i * whole->width, whole->rows + i * whole->count / sample * whole->width, whole->width * sizeof(float));
    *chosen = 1;
    for (size_t c = 0; c < sizeof counts / sizeof *counts && counts[c] * 3 <= sample && !status; c++) {
        fit trial = {
            .rows = rows, .count = sample, .width = whole->width, .wanted = counts[c], .pool = whole->pool, .stop = whole->stop};
        status = open_fit(&trial, error);
        if (!status) {
            run_rounds(&trial, CHOICE_ROUNDS);
            double score = trial.have == counts[c] ? silhouette(&trial) : -2;
            if (score > best + 1e-9) {
                best = score;
                *chosen = counts[c];
            }
        }
        close_fit(&trial);
        if (whole->stop && *whole->stop)
            break;
    }
    if (best<clear_silhouette && * chosen> 1) {
        size_t some = (size_t)lround(cbrt((double)whole->count));
        *chosen = some < READABLE ? some : READABLE;
    }
    free(rows);
    return status;
}

/* ---- The result ---- */

typedef struct sized {
    uint64_t size;
    uint32_t cluster;
} sized;

static int larger_first(const void *a, const void *b)
{
    const sized *first = a, *second = b;
    if (first->size != second->size)
        return first->size > second->size ? -1 : 1;
    return (first->cluster > second->cluster) - (first->cluster < second->cluster);
}

/* Clusters that stayed empty go, the others come in the order of their sizes. */
static sx_status put_in_order(fit *of, sx_kmeans *out, sx_error *error)
{
    sized order[SX_KMEANS_MOST];
    uint32_t new_number[SX_KMEANS_MOST] = {0};
    for (size_t c = 0; c < of->have; c++)
        order[c] = (sized){0, (uint32_t)c};
    for (size_t i = 0; of->have && i < of->count; i++)
        order[of->clusters[i]].size++;
    qsort(order, of->have, sizeof *order, larger_first);
    while (out->count < of->have && order[out->count].size)
        out->count++;
    out->centers = sx_calloc(out->count ? out->count : 1, of->width * sizeof(float));
    out->sizes = sx_calloc(out->count ? out->count : 1, sizeof *out->sizes);
    if (!out->centers || !out->sizes)
        return sx_fail_nomem(error, out->count * of->width * sizeof(float));
    for (size_t c = 0; c < out->count; c++) {
        new_number[order[c].cluster] = (uint32_t)c;
        out->sizes[c] = order[c].size;
        memcpy(out->centers + c * of->width, of->centers + order[c].cluster * of->width, of->width * sizeof(float));
    }
    for (size_t i = 0; i < of->count; i++)
        of->clusters[i] = new_number[of->clusters[i]];
    out->clusters = of->clusters;
    out->similarities = of->best;
    of->clusters = NULL;
    of->best = NULL;
    return SX_OK;
}

sx_status sx_kmeans_fit(const float *rows, size_t count, size_t width, size_t wanted, sx_thread_pool *pool,
                        const volatile int *stop, sx_kmeans *out, sx_error *error)
{
    fit of = {.rows = rows, .count = count, .width = width, .wanted = wanted, .pool = pool, .stop = stop};
    sx_status status = wanted ? SX_OK : choose_count(&of, &of.wanted, error);
    if (!status)
        status = open_fit(&of, error);
    if (!status) {
        run_rounds(&of, ROUNDS);
        status = put_in_order(&of, out, error);
    }
    if (!status && stop && *stop)
        status = sx_fail(error, SX_E_STOPPED, "interrupted; nothing was changed");
    close_fit(&of);
    if (status)
        sx_kmeans_clear(out);
    return status;
}

void sx_kmeans_clear(sx_kmeans *of)
{
    free(of->centers);
    free(of->clusters);
    free(of->similarities);
    free(of->sizes);
    *of = (sx_kmeans){0};
}
