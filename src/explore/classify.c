/* classify.c - labels by examples: the nearest examples vote, each by its similarity (Cover and Hart 1967; weighted as Dudani
 * 1976). */
#include "gather.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../kern/dot.h"
#include "../store/sql.h"
#include "../vec/exact.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_NEIGHBOURS = 5, MOST_NEIGHBOURS = 1000 };

struct sx_examples {
    size_t count, label_count;
    uint32_t dimensions;
    float *rows;      /* of length 1 */
    int64_t *ids;     /* 0, 1, 2 ... for the scan */
    int64_t *sources; /* the document of each; NULL: each stands for itself */
    uint32_t *labels; /* places in names */
    char **names;     /* ascending, each once */
};

void sx_examples_free(sx_examples *examples)
{
    if (!examples)
        return;
    for (size_t i = 0; examples->names && i < examples->label_count; i++)
        free(examples->names[i]);
    free(examples->names);
    free(examples->labels);
    free(examples->sources);
    free(examples->ids);
    free(examples->rows);
    free(examples);
}

size_t sx_examples_count(const sx_examples *examples)
{
    return examples ? examples->count : 0;
}

const char *sx_examples_label(const sx_examples *examples, size_t index)
{
    return examples && index < examples->label_count ? examples->names[index] : NULL;
}

/* ---- Making ---- */

typedef struct labelled {
    const char *label;
    size_t row;
} labelled;

static int by_label(const void *a, const void *b)
{
    const labelled *first = a, *second = b;
    int order = strcmp(first->label, second->label);
    return order ? order : (first->row > second->row) - (first->row < second->row);
}

static sx_status take_labels(sx_examples *to, const char *const *labels, sx_error *error)
{
    labelled *list = sx_calloc(to->count, sizeof *list);
    to->labels = sx_calloc(to->count, sizeof *to->labels);
    to->names = sx_calloc(to->count, sizeof *to->names);
    to->ids = sx_calloc(to->count, sizeof *to->ids);
    sx_status status = list && to->labels && to->names && to->ids ? SX_OK : sx_fail_nomem(error, to->count * sizeof *list);
    for (size_t i = 0; i < to->count && !status; i++) {
        list[i] = (labelled){labels[i], i};
        to->ids[i] = (int64_t)i;
    }
    if (!status)
        qsort(list, to->count, sizeof *list, by_label);
    for (size_t i = 0; i < to->count && !status; i++) {
        if (!i || strcmp(list[i].label, list[i - 1].label)) {
            to->names[to->label_count] = sx_strdup(list[i].label);
            if (!to->names[to->label_count])
                status = sx_fail_nomem(error, strlen(list[i].label));
            else
                to->label_count++;
        }
        to->labels[list[i].row] = (uint32_t)(to->label_count - 1);
    }
    free(list);
    return status;
}

sx_status sx_examples_make(const float *vectors, const char *const *labels, size_t count, uint32_t dimensions, sx_examples **out,
                           sx_error *error)
{
    size_t floats;
    if (out)
        *out = NULL;
    if (!vectors || !labels || !out || !count || !dimensions)
        return sx_fail(error, SX_E_INVALID, "sx_examples_make: an argument is NULL or 0");
    if (count >= UINT32_MAX || !sx_multiply(count, dimensions, &floats))
        return sx_fail(error, SX_E_LIMIT, "sx_examples_make: %zu examples", count);
    for (size_t i = 0; i < count; i++)
        if (!labels[i] || !*labels[i])
            return sx_fail(error, SX_E_INVALID, "sx_examples_make: example %zu has no label", i);
    for (size_t i = 0; i < floats; i++)
        if (!isfinite(vectors[i]))
            return sx_fail(error, SX_E_INVALID, "sx_examples_make: example %zu: not a finite number", i / dimensions);
    sx_examples *made = sx_calloc(1, sizeof *made);
    if (!made)
        return sx_fail_nomem(error, sizeof *made);
    made->count = count;
    made->dimensions = dimensions;
    made->rows = sx_calloc(floats, sizeof(float));
    sx_status status = made->rows ? take_labels(made, labels, error) : sx_fail_nomem(error, floats * sizeof(float));
    for (size_t i = 0; i < count && !status; i++) {
        memcpy(made->rows + i * dimensions, vectors + i * dimensions, dimensions * sizeof(float));
        sx_exact_normalize(made->rows + i * dimensions, dimensions);
    }
    if (status) {
        sx_examples_free(made);
        made = NULL;
    }
    *out = made;
    return status;
}

/* The document's label, malloc'ed; NULL when it has none. */
static sx_status label_of(sx_database *database, int64_t document, const char *key, char **label, sx_error *error)
{
    sqlite3_stmt *statement;
    bool row = false;
    sx_status status = sx_sql_start(database, "SELECT metadata FROM document WHERE id = ?", &statement, error, "i", document);
    if (!status)
        status = sx_sql_step(database, statement, &row, error);
    *label = NULL;
    if (status || !row)
        return status;
    const char *text = (const char *)sqlite3_column_text(statement, 0);
    json_t *metadata = text ? json_loads(text, 0, NULL) : NULL;
    const json_t *value = json_object_get(metadata, key);
    sqlite3_reset(statement);
    bool given = json_is_string(value) ? *json_string_value(value) != '\0' : json_is_number(value) || json_is_boolean(value);
    if (given) {
        *label = json_is_string(value) ? sx_strdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY);
        if (!*label)
            status = sx_fail_nomem(error, 64);
    }
    json_decref(metadata);
    return status;
}

/* Keeps the rows that have a label, in their order. labels: one for each that is kept. */
static sx_status keep_labelled(sx_database *database, sx_gathered *all, const char *key, char **labels, size_t *kept,
                               sx_error *error)
{
    sx_status status = SX_OK;
    char *label = NULL;
    for (size_t i = 0; i < all->count && !status; i++) {
        if (!i || all->documents[i] != all->documents[i - 1]) {
            free(label);
            status = label_of(database, all->documents[i], key, &label, error);
        }
        if (status || !label)
            continue;
        memmove(all->rows + *kept * all->dimensions, all->rows + i * all->dimensions, all->dimensions * sizeof(float));
        labels[*kept] = sx_strdup(label);
        if (!labels[*kept]) {
            status = sx_fail_nomem(error, strlen(label));
            continue;
        }
        all->chunks[(*kept)++] = all->documents[i];
    }
    free(label);
    return status;
}

sx_status sx_examples_of_collection(sx_database *database, const char *collection, const char *key, sx_examples **out,
                                    sx_error *error)
{
    sx_gathered all = {0};
    char **labels = NULL;
    size_t kept = 0;
    if (out)
        *out = NULL;
    if (!database || !key || !out)
        return sx_fail(error, SX_E_INVALID, "sx_examples_of_collection: an argument is NULL");
    const char *name = collection ? collection : "default";
    sx_status status = sx_snapshot_begin(database, error);
    if (status)
        return status;
    status =
        sx_gather(database, &(sx_gather_request){.collections = &name, .collection_count = 1, .verb = "classify"}, &all, error);
    if (!status) {
        labels = sx_calloc(all.count + 1, sizeof *labels);
        status =
            labels ? keep_labelled(database, &all, key, labels, &kept, error) : sx_fail_nomem(error, all.count * sizeof *labels);
    }
    sx_snapshot_end(database);
    if (!status && !kept)
        status =
            sx_fail(error, SX_E_NOT_FOUND, "collection %s: no document with a vector has the metadata key \"%s\"", name, key);
    if (!status)
        status = sx_examples_make(all.rows, (const char *const *)labels, kept, all.dimensions, out, error);
    if (!status) {
        /* _keep has put the documents of those kept where the chunks were. */
        (*out)->sources = all.chunks;
        all.chunks = NULL;
    }
    for (size_t i = 0; labels && i < kept; i++)
        free(labels[i]);
    free(labels);
    sx_gathered_clear(&all);
    return status;
}

/* ---- Voting ---- */

typedef struct voting {
    const sx_examples *examples;
    sx_classify_options options;
    const sx_dot_kernels *kernels;
    sx_topk nearest;
    double *votes; /* for each label */
    float *query;
} voting;

static sx_status open_voting(voting *of, const sx_examples *examples, const sx_classify_options *options, sx_error *error)
{
    *of = (voting){.examples = examples, .kernels = sx_dot_kernels_for(0)};
    sx_status status = sx_options_read(options, &of->options, sizeof of->options, "sx_classify_options", error);
    if (status)
        return status;
    if (of->options.neighbours > MOST_NEIGHBOURS || !(fabs(of->options.threshold) <= 1) ||
        !(of->options.confidence >= 0 && of->options.confidence <= 1))
        return sx_fail(error, SX_E_INVALID,
                       "sx_classify_options: neighbours %u, at most %d; threshold %g, -1 to 1; confidence %g, 0 to 1",
                       of->options.neighbours, MOST_NEIGHBOURS, of->options.threshold, of->options.confidence);
    of->options.neighbours = of->options.neighbours ? of->options.neighbours : DEFAULT_NEIGHBOURS;
    of->votes = sx_calloc(examples->label_count, sizeof *of->votes);
    of->query = sx_calloc(examples->dimensions, sizeof *of->query);
    if (!of->votes || !of->query || !sx_topk_open(&of->nearest, of->options.neighbours))
        return sx_fail_nomem(error, examples->label_count * sizeof *of->votes);
    return SX_OK;
}

static void close_voting(voting *of)
{
    sx_topk_close(&of->nearest);
    free(of->votes);
    free(of->query);
}

static void scan(voting *of, size_t first, size_t end)
{
    const sx_examples *examples = of->examples;
    if (first < end)
        sx_exact_scan(of->kernels, of->query, examples->dimensions, examples->rows + first * examples->dimensions,
                      examples->dimensions, examples->ids + first, end - first, NULL, &of->nearest);
}

/* The label of what is in of->nearest. Those that are not similar at all do not vote. */
static sx_label count_votes(voting *of)
{
    sx_label label = {0};
    double all = 0;
    size_t best = 0;
    memset(of->votes, 0, of->examples->label_count * sizeof *of->votes);
    sx_topk_sort(&of->nearest);
    for (size_t i = 0; i < of->nearest.count; i++) {
        double vote = (double)of->nearest.items[i].score;
        vote = vote > 0 ? vote : 0;
        of->votes[of->examples->labels[of->nearest.items[i].id]] += vote;
        all += vote;
    }
    for (size_t i = 1; i < of->examples->label_count; i++)
        if (of->votes[i] > of->votes[best])
            best = i;
    if (all <= 0)
        return label;
    label.confidence = of->votes[best] / all;
    for (size_t i = 0; i < of->nearest.count; i++)
        if (of->examples->labels[of->nearest.items[i].id] == best) {
            label.similarity = (double)of->nearest.items[i].score;
            break;
        }
    if (label.similarity >= of->options.threshold && label.confidence >= of->options.confidence)
        label.label = of->examples->names[best];
    return label;
}

sx_status sx_classify(const sx_examples *examples, const sx_classify_options *options, const float *vectors, size_t count,
                      sx_label *labels, sx_error *error)
{
    voting of;
    if (!examples || (count && (!vectors || !labels)))
        return sx_fail(error, SX_E_INVALID, "sx_classify: an argument is NULL");
    sx_status status = open_voting(&of, examples, options, error);
    for (size_t i = 0; i < count && !status; i++) {
        memcpy(of.query, vectors + i * examples->dimensions, examples->dimensions * sizeof(float));
        for (size_t d = 0; d < examples->dimensions && !status; d++)
            if (!isfinite(of.query[d]))
                status = sx_fail(error, SX_E_INVALID, "sx_classify: vector %zu: not a finite number", i);
        if (status)
            break;
        sx_exact_normalize(of.query, examples->dimensions);
        sx_topk_reset(&of.nearest);
        scan(&of, 0, examples->count);
        labels[i] = count_votes(&of);
    }
    close_voting(&of);
    return status;
}

sx_status sx_classify_judge(const sx_examples *examples, const sx_classify_options *options, sx_classify_judgement *out,
                            sx_error *error)
{
    voting of;
    size_t commonest = 0;
    if (!examples || !out)
        return sx_fail(error, SX_E_INVALID, "sx_classify_judge: an argument is NULL");
    *out = (sx_classify_judgement){.examples = examples->count};
    sx_status status = open_voting(&of, examples, options, error);
    for (size_t i = 0; i < examples->count && !status; i++) {
        memcpy(of.query, examples->rows + i * examples->dimensions, examples->dimensions * sizeof(float));
        sx_topk_reset(&of.nearest);
        /* Passages of its own document would give the answer away. */
        size_t first = 0;
        for (size_t j = 0; j < examples->count; j++)
            if (j == i || (examples->sources && examples->sources[j] == examples->sources[i])) {
                scan(&of, first, j);
                first = j + 1;
            }
        scan(&of, first, examples->count);
        sx_label label = count_votes(&of);
        out->none += !label.label;
        out->right += label.label == examples->names[examples->labels[i]];
    }
    if (!status)
        memset(of.votes, 0, examples->label_count * sizeof *of.votes);
    for (size_t i = 0; i < examples->count && !status; i++) {
        of.votes[examples->labels[i]]++;
        if (of.votes[examples->labels[i]] > of.votes[commonest])
            commonest = examples->labels[i];
    }
    if (!status) {
        out->accuracy = (double)out->right / (double)examples->count;
        out->commonest = of.votes[commonest] / (double)examples->count;
    }
    close_voting(&of);
    return status;
}
