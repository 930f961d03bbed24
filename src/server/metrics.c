/* metrics.c - figures by route and model, under the names that text-embeddings-inference has made known (te_*), and own ones.
 *
 * Counters are atomic; a series exists once something was counted in it. Histograms have fixed buckets, so that p50, p95 and p99
 * can be had from them over any span of time: histogram_quantile(0.99, rate(te_request_duration_bucket[5m])).
 */
#include "metrics.h"

#include "router.h"

#include "../base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 18, STATUSES = 600, EXTRAS = 8 };
static const double bounds[BUCKETS] = {0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03,
                                       0.05,   0.1,   0.2,   0.3,   0.5,   1,      2.5,  10,   60};

typedef struct histogram {
    _Atomic uint64_t buckets[BUCKETS + 1]; /* the last: beyond all bounds */
    _Atomic uint64_t sum_ns;
} histogram;

typedef struct series {
    _Atomic uint64_t count, success, inputs, tokens, truncated, cached;
    histogram duration, tokenization, queue, inference;
} series;

static const char *const error_kinds[] = {"unauthorized", "not_found", "timeout", "overloaded",
                                          "cancelled",    "unhealthy", "backend", "validation"};
enum { KINDS = sizeof error_kinds / sizeof *error_kinds };

struct sx_metrics {
    size_t routes, models;    /* the last model slot: none */
    _Atomic(series *) *table; /* (routes + 1) x (models + 1); the last route: none was found */
    _Atomic uint64_t failures[KINDS];
    _Atomic uint64_t statuses[STATUSES];
    struct {
        sx_metrics_extra *write;
        void *user;
    } extras[EXTRAS];
    size_t extra_count;
};

sx_status sx_metrics_open(size_t models, sx_metrics **out, sx_error *error)
{
    sx_metrics *metrics = *out = sx_calloc(1, sizeof *metrics);
    if (!metrics)
        return sx_fail_nomem(error, sizeof *metrics);
    metrics->routes = sx_route_count();
    metrics->models = models;
    metrics->table = sx_calloc((metrics->routes + 1) * (models + 1), sizeof *metrics->table);
    if (!metrics->table) {
        free(metrics);
        *out = NULL;
        return sx_fail_nomem(error, (models + 1) * sizeof *metrics->table);
    }
    return SX_OK;
}

void sx_metrics_close(sx_metrics *metrics)
{
    if (!metrics)
        return;
    for (size_t i = 0; i < (metrics->routes + 1) * (metrics->models + 1); i++)
        free(atomic_load(&metrics->table[i]));
    free(metrics->table);
    free(metrics);
}

void sx_metrics_add_extra(sx_metrics *metrics, sx_metrics_extra *write, void *user)
{
    if (metrics->extra_count == EXTRAS)
        return;
    metrics->extras[metrics->extra_count].write = write;
    metrics->extras[metrics->extra_count++].user = user;
}

static series *series_of(sx_metrics *metrics, size_t route, size_t model)
{
    _Atomic(series *) *slot = &metrics->table[route * (metrics->models + 1) + model];
    series *there = atomic_load(slot);
    if (there)
        return there;
    series *fresh = sx_calloc(1, sizeof *fresh);
    if (fresh && atomic_compare_exchange_strong(slot, &there, fresh))
        return fresh;
    free(fresh);
    return there;
}

static void observe(histogram *of, int64_t ns)
{
    size_t at = 0;
    double seconds = (double)ns / 1e9;
    while (at < BUCKETS && seconds > bounds[at])
        at++;
    atomic_fetch_add(&of->buckets[at], 1);
    atomic_fetch_add(&of->sum_ns, (uint64_t)ns);
}

void sx_metrics_count(sx_metrics *metrics, const sx_request *request, const sx_response *response, size_t model_index,
                      int64_t duration_ns)
{
    size_t route = request->route ? sx_route_index(request->route) : metrics->routes;
    series *of = series_of(metrics, route, model_index < metrics->models ? model_index : metrics->models);
    if (response->status > 0 && response->status < STATUSES)
        atomic_fetch_add(&metrics->statuses[response->status], 1);
    for (size_t i = 0; response->error && i < KINDS; i++)
        if (strcmp(error_kinds[i], response->error) == 0)
            atomic_fetch_add(&metrics->failures[i], 1);
    if (!of)
        return;
    atomic_fetch_add(&of->count, 1);
    if (response->status < 400)
        atomic_fetch_add(&of->success, 1);
    atomic_fetch_add(&of->inputs, request->inputs);
    atomic_fetch_add(&of->tokens, request->tokens);
    atomic_fetch_add(&of->truncated, request->truncated);
    atomic_fetch_add(&of->cached, request->cached);
    observe(&of->duration, duration_ns);
    if (request->inference_ns) {
        observe(&of->queue, request->queue_ns);
        observe(&of->inference, request->inference_ns);
    }
    if (request->tokenization_ns)
        observe(&of->tokenization, request->tokenization_ns);
}

/* ---- Writing ---- */

typedef struct writing {
    sx_metrics *metrics;
    sx_served_models *models;
    sx_buffer *to;
} writing;

static void begin(sx_buffer *to, const char *name, const char *type, const char *help)
{
    sx_buffer_printf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* route="/embed",method="single",model="minilm" */
static void labels(const writing *w, size_t route, size_t model, char *text, size_t capacity)
{
    const sx_route *of = route < w->metrics->routes ? sx_route_at(route) : NULL;
    sx_served_model_listing listing = {.name = ""};
    if (model < w->metrics->models)
        sx_served_models_describe(w->models, model, &listing);
    char safe[128];
    size_t kept = 0;
    for (size_t i = 0; listing.name[i] && kept + 2 < sizeof safe; i++)
        if (listing.name[i] != '"' && listing.name[i] != '\\' && (unsigned char)listing.name[i] >= ' ')
            safe[kept++] = listing.name[i];
    safe[kept] = '\0';
    snprintf(text, capacity, "route=\"%s\",method=\"%s\",model=\"%s\"", of ? of->path : "none", of ? of->method : "none", safe);
}

typedef uint64_t series_value(series *of);
static uint64_t value_count(series *of)
{
    return atomic_load(&of->count);
}
static uint64_t value_success(series *of)
{
    return atomic_load(&of->success);
}
static uint64_t value_inputs(series *of)
{
    return atomic_load(&of->inputs);
}
static uint64_t value_tokens(series *of)
{
    return atomic_load(&of->tokens);
}
static uint64_t value_truncated(series *of)
{
    return atomic_load(&of->truncated);
}
static uint64_t value_cached(series *of)
{
    return atomic_load(&of->cached);
}
static histogram *histogram_duration(series *of)
{
    return &of->duration;
}
static histogram *histogram_tokenization(series *of)
{
    return &of->tokenization;
}
static histogram *histogram_queue(series *of)
{
    return &of->queue;
}
static histogram *histogram_inference(series *of)
{
    return &of->inference;
}

static void write_counters(const writing *w, const char *name, const char *help, series_value *value)
{
    char text[512];
    begin(w->to, name, "counter", help);
    for (size_t i = 0; i < (w->metrics->routes + 1) * (w->metrics->models + 1); i++) {
        series *of = atomic_load(&w->metrics->table[i]);
        if (!of)
            continue;
        labels(w, i / (w->metrics->models + 1), i % (w->metrics->models + 1), text, sizeof text);
        sx_buffer_printf(w->to, "%s{%s} %llu\n", name, text, (unsigned long long)value(of));
    }
}

static void write_histograms(const writing *w, const char *name, const char *help, histogram *(*pick)(series *))
{
    char text[512];
    begin(w->to, name, "histogram", help);
    for (size_t i = 0; i < (w->metrics->routes + 1) * (w->metrics->models + 1); i++) {
        series *of = atomic_load(&w->metrics->table[i]);
        histogram *values = of ? pick(of) : NULL;
        uint64_t sum = 0;
        if (!of)
            continue;
        labels(w, i / (w->metrics->models + 1), i % (w->metrics->models + 1), text, sizeof text);
        for (size_t b = 0; b < BUCKETS; b++) {
            sum += atomic_load(&values->buckets[b]);
            sx_buffer_printf(w->to, "%s_bucket{%s,le=\"%g\"} %llu\n", name, text, bounds[b], (unsigned long long)sum);
        }
        sum += atomic_load(&values->buckets[BUCKETS]);
        sx_buffer_printf(w->to, "%s_bucket{%s,le=\"+Inf\"} %llu\n%s_sum{%s} %.6f\n%s_count{%s} %llu\n", name, text,
                         (unsigned long long)sum, name, text, (double)atomic_load(&values->sum_ns) / 1e9, name, text,
                         (unsigned long long)sum);
    }
}

static void write_models(const writing *w)
{
    static const char *const names[] = {"te_queue_size",
                                        "te_batch_next_size",
                                        "te_batch_next_tokens",
                                        "sextant_queue_texts",
                                        "sextant_queue_tokens",
                                        "sextant_batches_total",
                                        "sextant_batch_texts_total",
                                        "sextant_batch_tokens_total",
                                        "sextant_dropped_texts_total",
                                        "sextant_model_loaded",
                                        "sextant_model_bytes",
                                        "sextant_remote_cost_usd_total"};
    static const char *const helps[] = {"Requests that wait for the engine.",
                                        "Texts of the last batch.",
                                        "Tokens of the last batch.",
                                        "Texts that wait for the engine.",
                                        "Tokens that wait for the engine, estimated.",
                                        "Passes through the engine.",
                                        "Texts in these.",
                                        "Tokens in these.",
                                        "Texts not embedded since their client hung up.",
                                        "Whether the model is in memory.",
                                        "Bytes of its weights in memory.",
                                        "Spent on a remote model since the start."};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        begin(w->to, names[n], strstr(names[n], "_total") ? "counter" : "gauge", helps[n]);
        for (size_t i = 0; i < w->metrics->models; i++) {
            char text[512];
            sx_batcher_figures f = {0};
            sx_served_model_listing listing;
            sx_spend spent;
            sx_served_models_batcher(w->models, i, &f);
            sx_served_models_describe(w->models, i, &listing);
            sx_served_models_spent(w->models, i, &spent);
            labels(w, w->metrics->routes, i, text, sizeof text);
            double values[] = {(double)f.queued_requests,
                               (double)f.last_batch_texts,
                               (double)f.last_batch_tokens,
                               (double)f.queued_texts,
                               (double)f.queued_tokens,
                               (double)f.batches,
                               (double)f.texts,
                               (double)f.tokens,
                               (double)f.dropped,
                               listing.loaded,
                               (double)listing.bytes,
                               spent.usd};
            sx_buffer_printf(w->to, "%s{%s} %.17g\n", names[n], strstr(text, "model="), values[n]);
        }
    }
}

static void write_gauge(sx_buffer *to, const char *name, const char *type, const char *help, uint64_t value)
{
    begin(to, name, type, help);
    sx_buffer_printf(to, "%s %llu\n", name, (unsigned long long)value);
}

void sx_metrics_write(sx_metrics *metrics, sx_served_models *models, const sx_http_figures *http, uint64_t log_dropped,
                      sx_buffer *to)
{
    writing w = {metrics, models, to};
    write_counters(&w, "te_request_count", "Requests.", value_count);
    write_counters(&w, "te_request_success", "Requests answered with a status below 400.", value_success);
    begin(to, "te_request_failure", "counter", "Requests that failed, by kind.");
    for (size_t i = 0; i < KINDS; i++)
        sx_buffer_printf(to, "te_request_failure{err=\"%s\"} %llu\n", error_kinds[i],
                         (unsigned long long)atomic_load(&metrics->failures[i]));
    begin(to, "sextant_responses_total", "counter", "Responses by status.");
    for (size_t i = 0; i < STATUSES; i++)
        if (atomic_load(&metrics->statuses[i]))
            sx_buffer_printf(to, "sextant_responses_total{status=\"%zu\"} %llu\n", i,
                             (unsigned long long)atomic_load(&metrics->statuses[i]));
    write_counters(&w, "te_embed_count", "Texts embedded.", value_inputs);
    write_counters(&w, "sextant_tokens_total", "Tokens the models saw.", value_tokens);
    write_counters(&w, "sextant_truncated_total", "Texts that were cut.", value_truncated);
    write_counters(&w, "sextant_cache_hits_total", "Texts whose vector came from the cache.", value_cached);
    write_histograms(&w, "te_request_duration", "Seconds from the request's head to its answer.", histogram_duration);
    write_histograms(&w, "te_request_tokenization_duration", "Seconds in the tokenizer, where it ran by itself.",
                     histogram_tokenization);
    write_histograms(&w, "te_request_queue_duration", "Seconds before the engine took the first text.", histogram_queue);
    write_histograms(&w, "te_request_inference_duration", "Seconds from then to the last vector.", histogram_inference);
    write_models(&w);
    write_gauge(to, "sextant_connections", "gauge", "Open connections.", http->connections);
    write_gauge(to, "sextant_requests_in_hand", "gauge", "Requests being handled.", http->handlers);
    write_gauge(to, "sextant_body_bytes", "gauge", "Memory of request bodies.", http->body_bytes);
    write_gauge(to, "sextant_refused_connections_total", "counter", "Connections refused since there were too many.",
                http->refused_connections);
    write_gauge(to, "sextant_log_lines_dropped_total", "counter", "Lines of the access log that could not be written.",
                log_dropped);
    for (size_t i = 0; i < metrics->extra_count; i++)
        metrics->extras[i].write(metrics->extras[i].user, to);
}
