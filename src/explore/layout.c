/* layout.c - a plane on which neighbours stay neighbours, in the manner of UMAP (McInnes, Healy, Melville 2018,
 * arXiv:1802.03426).
 *
 * Each row is tied to its nearest; a tie weighs 1 for the nearest and falls with the distance, at a rate of its own for each row,
 * so that all rows are tied equally strongly whether they lie densely or not. Points begin at the main components. Ties then pull
 * their points together, in turn and as often as they weigh, and for each pull some points drawn at random are pushed away.
 * Nearness on the plane is 1 / (1 + d^2), as in t-SNE, whose heavy tail leaves room between groups. One thread and fixed random
 * numbers: the same picture always. */
#include "layout.h"

#include "random.h"
#include "subspace.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../vec/topk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PUSHES = 5, JUDGED = 2000 };
static const float most_step = 4, first_extent = 10;

sx_status sx_layout_components(const float *rows, size_t count, size_t width, float *points, sx_error *error)
{
    size_t wanted = width < 2 ? width : 2;
    float *basis = sx_calloc(wanted + 1, width * sizeof(float));
    if (!basis)
        return sx_fail_nomem(error, (wanted + 1) * width * sizeof(float));
    float *mean = basis + wanted * width;
    sx_status status = sx_subspace_fit(rows, count, width, wanted, mean, basis, error);
    for (size_t i = 0; i < count && !status; i++)
        for (size_t c = 0; c < 2; c++) {
            double sum = 0;
            for (size_t d = 0; c < wanted && d < width; d++)
                sum += (double)(basis[c * width + d] * (rows[i * width + d] - mean[d]));
            points[2 * i + c] = (float)sum;
        }
    free(basis);
    return status;
}

/* ---- Ties ---- */

typedef struct tie {
    uint32_t from, to;
    float weight;
    double next, every; /* the round when it pulls next; and how often */
} tie;

typedef struct ties {
    tie *list;
    size_t count;
} ties;

/* The rate at which ties of a row fall, such that they sum up to log2(k); by halving. */
static double rate_of(const double *distances, size_t k)
{
    double wanted = log2((double)(k > 1 ? k : 2)), low = 0, high = -1, rate = 1;
    for (int i = 0; i < 64; i++) {
        double sum = 0;
        for (size_t j = 0; j < k; j++)
            sum += exp(-distances[j] / rate);
        if (fabs(sum - wanted) < 1e-5)
            break;
        if (sum > wanted)
            high = rate;
        else
            low = rate;
        rate = high < 0 ? rate * 2 : (low + high) / 2;
        if (rate > 1e12 || rate < 1e-12)
            break;
    }
    return rate;
}

static int by_ends(const void *a, const void *b)
{
    const tie *first = a, *second = b;
    if (first->from != second->from)
        return first->from < second->from ? -1 : 1;
    return (first->to > second->to) - (first->to < second->to);
}

static void tie_row(size_t row, size_t k, const uint32_t *ids, const float *scores, tie *list)
{
    double distances[SX_LAYOUT_NEIGHBOURS], mean = 0;
    for (size_t j = 0; j < k; j++) {
        /* Of unit vectors, without the noise that rounding leaves of equal ones. */
        double square = 2 - 2 * (double)scores[j];
        distances[j] = square > 1e-6 ? sqrt(square) : 0;
    }
    double nearest = distances[0];
    for (size_t j = 0; j < k; j++) {
        distances[j] -= nearest;
        mean += distances[j] / (double)k;
    }
    double rate = mean > 0 ? rate_of(distances, k) : 1;
    rate = rate < mean * 1e-3 ? mean * 1e-3 : rate;
    for (size_t j = 0; j < k; j++)
        list[j] = (tie){(uint32_t)row, ids[j], (float)exp(-distances[j] / rate), 0, 0};
}

/* A tie that both ends name is a + b - ab strong. Each is in the list once from each end. */
static sx_status make_ties(size_t count, size_t k, const uint32_t *ids, const float *scores, ties *out, sx_error *error)
{
    size_t most = 0, used = 0;
    out->list = sx_multiply(count, 2 * k, &most) ? sx_calloc(most, sizeof *out->list) : NULL;
    if (!out->list)
        return sx_fail_nomem(error, most * sizeof *out->list);
    for (size_t i = 0; i < count; i++)
        tie_row(i, k, ids + i * k, scores + i * k, out->list + i * k);
    for (size_t i = 0; i < count * k; i++) {
        const tie *of = &out->list[i];
        out->list[count * k + i] = (tie){of->to, of->from, of->weight, 0, 0};
    }
    qsort(out->list, most, sizeof *out->list, by_ends);
    for (size_t i = 0; i < most; i++) {
        const tie *of = &out->list[i];
        if (used && !by_ends(&out->list[used - 1], of)) {
            float a = out->list[used - 1].weight;
            out->list[used - 1].weight = a + of->weight - a * of->weight;
        } else {
            out->list[used++] = *of;
        }
    }
    out->count = used;
    return SX_OK;
}

/* ---- Moving ---- */

static float clip(float step)
{
    return step > most_step ? most_step : step < -most_step ? -most_step : step;
}

static void pull(float *a, float *b, float rate)
{
    float x = a[0] - b[0], y = a[1] - b[1];
    float strength = -2 / (1 + x * x + y * y) * rate;
    float move_x = clip(strength * x), move_y = clip(strength * y);
    a[0] += move_x;
    a[1] += move_y;
    b[0] -= move_x;
    b[1] -= move_y;
}

static void push(float *a, const float *b, float rate, sx_random *random)
{
    float x = a[0] - b[0], y = a[1] - b[1], square = x * x + y * y;
    if (square <= 0) { /* on one spot: apart, anywhere */
        a[0] += (float)(sx_random_unit(random) - 0.5) * rate;
        a[1] += (float)(sx_random_unit(random) - 0.5) * rate;
        return;
    }
    float strength = 2 / ((0.001f + square) * (1 + square)) * rate;
    a[0] += clip(strength * x);
    a[1] += clip(strength * y);
}

static void spread(float *points, size_t count)
{
    sx_random random = {3};
    float largest = 0;
    for (size_t i = 0; i < 2 * count; i++)
        largest = fabsf(points[i]) > largest ? fabsf(points[i]) : largest;
    for (size_t i = 0; i < 2 * count; i++)
        points[i] = (largest > 0 ? points[i] / largest * first_extent : 0) + (float)(sx_random_unit(&random) - 0.5) * 0.02f;
}

sx_status sx_layout_neighbours(size_t count, size_t k, const uint32_t *ids, const float *scores, float *points,
                               const volatile int *stop, sx_reporter *reporter, sx_error *error)
{
    ties all = {0};
    sx_random random = {4};
    float strongest = 0;
    int rounds = count <= 2000 ? 500 : count <= 20000 ? 300 : 200;
    if (!k)
        return SX_OK;
    sx_status status = make_ties(count, k, ids, scores, &all, error);
    for (size_t i = 0; i < all.count; i++)
        strongest = all.list[i].weight > strongest ? all.list[i].weight : strongest;
    for (size_t i = 0; i < all.count; i++) {
        all.list[i].every = (double)(strongest / all.list[i].weight);
        all.list[i].next = all.list[i].every;
    }
    spread(points, count);
    for (int round = 1; round <= rounds && !status; round++) {
        float rate = 1 - (float)(round - 1) / (float)rounds;
        for (size_t i = 0; i < all.count; i++) {
            tie *of = &all.list[i];
            if (of->next > round)
                continue;
            of->next += of->every;
            float *a = points + 2 * of->from;
            pull(a, points + 2 * of->to, rate);
            for (int j = 0; j < PUSHES; j++) {
                size_t other = sx_random_below(&random, count);
                if (other != of->from)
                    push(a, points + 2 * other, rate, &random);
            }
        }
        sx_reporter_at(reporter, "laying out", "rounds", (uint64_t)round, (uint64_t)rounds);
        if (stop && *stop)
            status = sx_fail(error, SX_E_STOPPED, "map: interrupted; nothing was changed");
    }
    free(all.list);
    return status;
}

/* ---- The frame ---- */

void sx_layout_fit(float *points, size_t count, float *width, float *height)
{
    double mean[2] = {0}, xx = 0, xy = 0, yy = 0;
    float low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (size_t i = 0; i < count; i++)
        for (size_t c = 0; c < 2; c++)
            mean[c] += (double)points[2 * i + c] / (double)count;
    for (size_t i = 0; i < count; i++) {
        double x = (double)points[2 * i] - mean[0], y = (double)points[2 * i + 1] - mean[1];
        xx += x * x;
        xy += x * y;
        yy += y * y;
    }
    double angle = 0.5 * atan2(2 * xy, xx - yy), c = cos(angle), s = sin(angle);
    for (size_t i = 0; i < count; i++) {
        double x = (double)points[2 * i] - mean[0], y = (double)points[2 * i + 1] - mean[1];
        points[2 * i] = (float)(c * x + s * y);
        points[2 * i + 1] = (float)(c * y - s * x);
        for (size_t a = 0; a < 2; a++) {
            low[a] = points[2 * i + a] < low[a] ? points[2 * i + a] : low[a];
            high[a] = points[2 * i + a] > high[a] ? points[2 * i + a] : high[a];
        }
    }
    float wide = count ? high[0] - low[0] : 0, tall = count ? high[1] - low[1] : 0;
    float extent = wide > tall ? wide : tall;
    *width = extent > 0 ? wide / extent : 0;
    *height = extent > 0 ? tall / extent : 0;
    for (size_t i = 0; i < count; i++)
        for (size_t a = 0; a < 2; a++)
            points[2 * i + a] = extent > 0 ? (points[2 * i + a] - low[a]) / extent : 0;
}

/* ---- How good it is ---- */

sx_status sx_layout_preserved(size_t count, size_t k, const uint32_t *ids, const float *points, size_t near, size_t wide,
                              double *share, sx_error *error)
{
    size_t judged = count < JUDGED ? count : JUDGED, kept = 0, all = 0;
    sx_topk best;
    near = near < k ? near : k;
    *share = NAN;
    if (!near)
        return SX_OK;
    if (!sx_topk_open(&best, wide))
        return sx_fail_nomem(error, wide * sizeof(sx_ranked));
    for (size_t j = 0; j < judged; j++) {
        size_t row = j * count / judged;
        sx_topk_reset(&best);
        for (size_t i = 0; i < count; i++) {
            float x = points[2 * i] - points[2 * row], y = points[2 * i + 1] - points[2 * row + 1];
            if (i != row && sx_topk_wants(&best, -(x * x + y * y)))
                sx_topk_offer(&best, (int64_t)i, -(x * x + y * y));
        }
        for (size_t n = 0; n < near; n++)
            for (size_t i = 0; i < best.count; i++)
                kept += best.items[i].id == (int64_t)ids[row * k + n];
        all += near;
    }
    sx_topk_close(&best);
    *share = all ? (double)kept / (double)all : NAN;
    return SX_OK;
}
