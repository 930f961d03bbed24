/* clusters.c - sx_clusters_find: what a collection is about, group by group, and what belongs to no group.
 *
 * A passage is the farther from everything the less it is like its nearest five; a center says little about that, since a small
 * tight group far from its center is no outlier. */
#include "cluster_names.h"
#include "products.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../store/sql.h"
#include "../vec/topk.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_TYPICAL = 3, DEFAULT_OUTLIERS = 5, MOST_SHOWN = 1000, NEAREST = 5, LOOKED_THROUGH = 16 };

typedef struct clusters_run {
    sx_database *database;
    sx_clusters_options options;
    const char *collection;
    sx_gathered gathered;
    sx_kmeans kmeans;
    sx_thread_pool *pool;
    sx_reporter reporter;
    sx_clusters *out;
} clusters_run;

static void clear_passages(sx_cluster_passage *passages, size_t count)
{
    for (size_t i = 0; passages && i < count; i++)
        sx_excerpt_clear(&passages[i].passage);
    free(passages);
}

void sx_clusters_free(sx_clusters *clusters)
{
    if (!clusters)
        return;
    for (size_t c = 0; c < clusters->count; c++) {
        free(clusters->clusters[c].name);
        clear_passages(clusters->clusters[c].typical, clusters->clusters[c].typical_count);
    }
    free(clusters->clusters);
    clear_passages(clusters->outliers, clusters->outlier_count);
    free(clusters);
}

static sx_status show(clusters_run *run, size_t row, double similarity, sx_cluster_passage *out, sx_error *error)
{
    *out = (sx_cluster_passage){.similarity = similarity, .cluster = run->kmeans.clusters[row]};
    return sx_excerpt_read(run->database, run->gathered.chunks[row], SX_EXCERPT_BYTES, &out->passage, error);
}

/* The nearest to the middle, each of another document; from the same ones again where that leaves too few. */
static sx_status fill_typical(clusters_run *run, const sx_topk *nearest, sx_cluster *cluster, sx_error *error)
{
    size_t wanted = run->options.typical, shown = 0;
    bool *taken = sx_calloc(nearest->count + 1, sizeof *taken);
    cluster->typical = sx_calloc(wanted, sizeof *cluster->typical);
    sx_status status = taken && cluster->typical ? SX_OK : sx_fail_nomem(error, wanted * sizeof *cluster->typical);
    for (int any = 0; any < 2 && !status; any++)
        for (size_t i = 0; i < nearest->count && shown < wanted && !status; i++) {
            size_t row = (size_t)nearest->items[i].id;
            bool fresh = !taken[i];
            for (size_t j = 0; j < nearest->count && fresh && !any; j++)
                fresh = !taken[j] || run->gathered.documents[nearest->items[j].id] != run->gathered.documents[row];
            if (!fresh)
                continue;
            taken[i] = true;
            status = show(run, row, (double)nearest->items[i].score, &cluster->typical[shown], error);
            shown += !status;
            cluster->typical_count = shown;
        }
    free(taken);
    return status;
}

typedef struct member {
    uint32_t cluster;
    int64_t document;
} member;

static int by_member(const void *a, const void *b)
{
    const member *first = a, *second = b;
    if (first->cluster != second->cluster)
        return first->cluster < second->cluster ? -1 : 1;
    return (first->document > second->document) - (first->document < second->document);
}

static sx_status count_documents(clusters_run *run, sx_error *error)
{
    size_t count = run->gathered.count;
    member *members = sx_calloc(count ? count : 1, sizeof *members);
    if (!members)
        return sx_fail_nomem(error, count * sizeof *members);
    for (size_t i = 0; i < count; i++)
        members[i] = (member){run->kmeans.clusters[i], run->gathered.documents[i]};
    qsort(members, count, sizeof *members, by_member);
    for (size_t i = 0; i < count; i++)
        if (!i || by_member(&members[i], &members[i - 1]))
            run->out->clusters[members[i].cluster].documents++;
    free(members);
    return SX_OK;
}

static sx_status describe_clusters(clusters_run *run, sx_error *error)
{
    sx_clusters *out = run->out;
    size_t count = run->kmeans.count;
    char **names = sx_calloc(count + 1, sizeof *names);
    sx_topk *nearest = sx_calloc(count + 1, sizeof *nearest);
    out->clusters = sx_calloc(count + 1, sizeof *out->clusters);
    sx_status status = names && nearest && out->clusters ? SX_OK : sx_fail_nomem(error, count * sizeof *out->clusters);
    if (!status)
        status = sx_names_of_clusters(run->database, &run->gathered, &run->kmeans, names, error);
    if (status)
        goto out;
    out->count = count;
    for (size_t c = 0; c < count; c++) {
        out->clusters[c].name = names[c];
        out->clusters[c].passages = run->kmeans.sizes[c];
        names[c] = NULL;
        if (!status && !sx_topk_open(&nearest[c], (size_t)run->options.typical * LOOKED_THROUGH))
            status = sx_fail_nomem(error, run->options.typical * LOOKED_THROUGH * sizeof(sx_ranked));
    }
    for (size_t i = 0; i < run->gathered.count && !status; i++) {
        uint32_t c = run->kmeans.clusters[i];
        sx_topk_offer(&nearest[c], (int64_t)i, run->kmeans.similarities[i]);
        out->clusters[c].cohesion += (double)run->kmeans.similarities[i] / (double)run->kmeans.sizes[c];
    }
    for (size_t c = 0; c < count && !status; c++) {
        sx_topk_sort(&nearest[c]);
        status = fill_typical(run, &nearest[c], &out->clusters[c], error);
    }
    if (!status)
        status = count_documents(run, error);
out:
    for (size_t c = 0; c < count; c++) {
        if (nearest)
            sx_topk_close(&nearest[c]);
        if (names)
            free(names[c]);
    }
    free(nearest);
    free(names);
    return status;
}

static sx_status find_outliers(clusters_run *run, sx_error *error)
{
    sx_clusters *out = run->out;
    size_t count = run->gathered.count, k = count > NEAREST ? NEAREST : count ? count - 1 : 0;
    sx_topk farthest = {0};
    uint32_t *ids = NULL;
    float *scores = NULL;
    if (!k)
        return SX_OK;
    ids = sx_calloc(count, k * sizeof *ids);
    scores = sx_calloc(count, k * sizeof *scores);
    out->outliers = sx_calloc(run->options.outliers, sizeof *out->outliers);
    bool opened = sx_topk_open(&farthest, run->options.outliers);
    sx_status status = ids && scores && out->outliers && opened ? SX_OK : sx_fail_nomem(error, count * k * sizeof *ids);
    if (!status)
        status = sx_neighbours(run->gathered.rows, count, run->gathered.dimensions, k, run->pool, run->options.stop,
                               &run->reporter, ids, scores, error);
    for (size_t i = 0; i < count && !status; i++) {
        float sum = 0;
        for (size_t j = 0; j < k; j++)
            sum += scores[i * k + j] / (float)k;
        sx_topk_offer(&farthest, (int64_t)i, -sum);
    }
    if (opened)
        sx_topk_sort(&farthest);
    for (size_t i = 0; i < farthest.count && !status; i++) {
        status = show(run, (size_t)farthest.items[i].id, -(double)farthest.items[i].score, &out->outliers[i], error);
        out->outlier_count += !status;
    }
    sx_topk_close(&farthest);
    free(ids);
    free(scores);
    return status;
}

static sx_status find(clusters_run *run, sx_error *error)
{
    const sx_clusters_options *options = &run->options;
    sx_status status = sx_gather(run->database,
                                 &(sx_gather_request){.collections = &run->collection,
                                                      .collection_count = 1,
                                                      .filters = options->filters,
                                                      .filter_count = options->filter_count,
                                                      .stop = options->stop,
                                                      .verb = "clusters"},
                                 &run->gathered, error);
    run->out->passages = run->gathered.count;
    run->out->chosen = !options->count;
    if (!status)
        status = sx_kmeans_fit(run->gathered.rows, run->gathered.count, run->gathered.dimensions, options->count, run->pool,
                               options->stop, &run->kmeans, error);
    if (!status)
        status = describe_clusters(run, error);
    return status ? status : find_outliers(run, error);
}

static sx_status read_options(const sx_clusters_options *options, sx_clusters_options *known, sx_error *error)
{
    sx_status status = sx_options_read(options, known, sizeof *known, "sx_clusters_options", error);
    if (status)
        return status;
    if (known->count > SX_KMEANS_MOST || known->typical > MOST_SHOWN || known->outliers > MOST_SHOWN)
        return sx_fail(error, SX_E_INVALID, "sx_clusters_options: count %u, at most %d; typical %u, outliers %u, at most %d",
                       known->count, SX_KMEANS_MOST, known->typical, known->outliers, MOST_SHOWN);
    if (known->filter_count && !known->filters)
        return sx_fail(error, SX_E_INVALID, "sx_clusters_options: filters is NULL with count %zu", known->filter_count);
    known->typical = known->typical ? known->typical : DEFAULT_TYPICAL;
    known->outliers = known->outliers ? known->outliers : DEFAULT_OUTLIERS;
    return SX_OK;
}

sx_status sx_clusters_find(sx_database *database, const sx_clusters_options *options, sx_clusters **out, sx_error *error)
{
    clusters_run run = {.database = database};
    if (out)
        *out = NULL;
    if (!database || !out)
        return sx_fail(error, SX_E_INVALID, "sx_clusters_find: an argument is NULL");
    sx_status status = read_options(options, &run.options, error);
    if (status)
        return status;
    run.collection = run.options.collection ? run.options.collection : "default";
    run.reporter = sx_reporter_begin(run.options.progress, run.options.progress_user);
    run.out = sx_calloc(1, sizeof *run.out);
    if (!run.out)
        return sx_fail_nomem(error, sizeof *run.out);
    status = sx_thread_pool_open(run.options.threads, &run.pool, error);
    if (!status)
        status = sx_snapshot_begin(database, error);
    if (!status) {
        status = find(&run, error);
        sx_snapshot_end(database);
    }
    run.out->seconds = (double)(sx_system_clock.monotonic_ns(NULL) - run.reporter.began_ns) / 1e9;
    sx_kmeans_clear(&run.kmeans);
    sx_gathered_clear(&run.gathered);
    sx_thread_pool_close(run.pool);
    if (status) {
        sx_clusters_free(run.out);
        run.out = NULL;
    }
    *out = run.out;
    return status;
}
