/* duplicates.c - sx_duplicates: passages and documents that are there more than once, word by word or nearly.
 *
 * Equal texts are found by their hashes; one of each goes on. Every pair of those is then compared, in two steps. With p the part
 * of a vector in a subspace of few dimensions and r the length of the rest, a . b <= p(a) . p(b) + r(a) r(b) (Cauchy and
 * Schwarz), so the product of short rows (p, r) rules out nearly all pairs for certain, at a tenth of the work. Pairs that stay
 * are compared whole. What is alike is joined (union-find), so no list of pairs is kept, however many there are. */
#include "products.h"
#include "subspace.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/hash.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../base/ranking.h"
#include "../store/sql.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SHORT_WIDTH = 47, SHORT_LEAST = 96, DEFAULT_GROUPS = 1000 };
static const double slack = 1e-4; /* more than float sums are off by */

/* Who belongs together: numbers 0 .. count - 1, the least of a set being its root. */
typedef struct sets {
    uint32_t *parents;
    size_t count;
} sets;

static uint32_t root_of(sets *of, uint32_t number)
{
    while (of->parents[number] != number) {
        of->parents[number] = of->parents[of->parents[number]];
        number = of->parents[number];
    }
    return number;
}

static void join(sets *of, uint32_t a, uint32_t b)
{
    a = root_of(of, a);
    b = root_of(of, b);
    if (a < b)
        of->parents[b] = a;
    else
        of->parents[a] = b;
}

static sx_status open_sets(sets *of, size_t count, sx_error *error)
{
    of->count = count;
    of->parents = sx_calloc(count ? count : 1, sizeof *of->parents);
    for (size_t i = 0; of->parents && i < count; i++)
        of->parents[i] = (uint32_t)i;
    return of->parents ? SX_OK : sx_fail_nomem(error, count * sizeof *of->parents);
}

/* ---- Pairs ---- */

typedef struct pair_run {
    const float *rows;
    size_t width;
    const uint32_t *who; /* the number that a compared row has in the sets */
    size_t compared;
    double threshold;
    float limit; /* of the short products */
    sets *sets;
    pthread_mutex_t lock;
} pair_run;

static bool look_at_tile(void *user, size_t first_row, size_t rows, size_t first_column, size_t columns, const float *scores,
                         size_t stride)
{
    pair_run *run = user;
    for (size_t i = 0; i < rows; i++) {
        size_t a = first_row + i;
        for (size_t j = first_column > a ? 0 : a + 1 - first_column; j < columns; j++) {
            if (!(scores[i * stride + j] >= run->limit))
                continue;
            uint32_t one = run->who[a], other = run->who[first_column + j];
            pthread_mutex_lock(&run->lock);
            bool joined = root_of(run->sets, one) == root_of(run->sets, other);
            pthread_mutex_unlock(&run->lock);
            if (joined ||
                sx_ranking_cosine(run->rows + one * run->width, run->rows + other * run->width, run->width) < run->threshold)
                continue;
            pthread_mutex_lock(&run->lock);
            join(run->sets, one, other);
            pthread_mutex_unlock(&run->lock);
        }
    }
    return true;
}

/* (p, r) of each compared row. */
static void shorten(const pair_run *run, const float *basis, float *brief)
{
    for (size_t i = 0; i < run->compared; i++) {
        const float *row = run->rows + run->who[i] * run->width;
        float *to = brief + i * (SHORT_WIDTH + 1);
        double rest = 0;
        for (size_t d = 0; d < run->width; d++)
            rest += (double)row[d] * (double)row[d];
        for (size_t j = 0; j < SHORT_WIDTH; j++) {
            double sum = 0;
            for (size_t d = 0; d < run->width; d++)
                sum += (double)(row[d] * basis[j * run->width + d]);
            to[j] = (float)sum;
            rest -= sum * sum;
        }
        to[SHORT_WIDTH] = rest > 0 ? (float)sqrt(rest) : 0;
    }
}

static sx_status compare_all(pair_run *run, sx_thread_pool *pool, const volatile int *stop, sx_reporter *reporter,
                             const char *phase, sx_error *error)
{
    bool brief = run->width >= SHORT_LEAST;
    size_t width = brief ? SHORT_WIDTH + 1 : run->width;
    float *rows = sx_calloc(run->compared ? run->compared : 1, width * sizeof(float)), *basis = NULL, *sample = NULL;
    sx_status status = rows ? SX_OK : sx_fail_nomem(error, run->compared * width * sizeof(float));
    if (!status && brief) {
        basis = sx_calloc(SHORT_WIDTH, run->width * sizeof(float));
        status = basis ? sx_subspace_fit(run->rows, run->sets->count, run->width, SHORT_WIDTH, NULL, basis, error)
                       : sx_fail_nomem(error, SHORT_WIDTH * run->width * sizeof(float));
        if (!status)
            shorten(run, basis, rows);
    } else if (!status) {
        for (size_t i = 0; i < run->compared; i++)
            memcpy(rows + i * width, run->rows + run->who[i] * width, width * sizeof(float));
    }
    run->limit = (float)(run->threshold - slack);
    if (!status)
        status = sx_products_run(&(sx_products){.rows = rows,
                                                .count = run->compared,
                                                .width = width,
                                                .upper = true,
                                                .pool = pool,
                                                .visit = look_at_tile,
                                                .user = run,
                                                .stop = stop,
                                                .reporter = reporter,
                                                .phase = phase},
                                 error);
    free(sample);
    free(basis);
    free(rows);
    return status;
}

/* ---- Equal texts ---- */

typedef struct hashed {
    sx_sha256 hash;
    uint32_t number;
} hashed;

static int by_hash(const void *a, const void *b)
{
    const hashed *first = a, *second = b;
    int order = memcmp(first->hash.bytes, second->hash.bytes, SX_SHA256_BYTES);
    return order ? order : (first->number > second->number) - (first->number < second->number);
}

/* Joins equals; who: the first of each, ascending. The list is sorted. */
static size_t join_equals(hashed *list, size_t count, sets *of, uint32_t *who)
{
    size_t distinct = 0;
    qsort(list, count, sizeof *list, by_hash);
    for (size_t i = 1; i < count; i++)
        if (!memcmp(list[i].hash.bytes, list[i - 1].hash.bytes, SX_SHA256_BYTES))
            join(of, list[i].number, list[i - 1].number);
    for (size_t i = 0; i < count; i++)
        if (of->parents[i] == i)
            who[distinct++] = (uint32_t)i;
    return distinct;
}

static sx_status hash_texts(sx_database *database, const sx_gathered *gathered, hashed *list, sx_error *error)
{
    sx_status status = SX_OK;
    for (size_t i = 0; i < gathered->count && !status; i++) {
        sqlite3_stmt *statement;
        bool row = false;
        status = sx_sql_start(database, "SELECT text FROM chunk WHERE id = ?", &statement, error, "i", gathered->chunks[i]);
        if (!status)
            status = sx_sql_step(database, statement, &row, error);
        if (status)
            break;
        list[i].number = (uint32_t)i;
        if (row) {
            const void *text = sqlite3_column_blob(statement, 0);
            sx_sha256_of(text ? text : "", (size_t)sqlite3_column_bytes(statement, 0), &list[i].hash);
            sqlite3_reset(statement);
        }
    }
    return status;
}

/* ---- A kind of thing: passages or documents ---- */

typedef struct kind {
    size_t count;
    const float *rows;
    size_t width;
    hashed *hashes;   /* sorted by join_equals */
    sx_sha256 *equal; /* by number */
    sets sets;
    uint32_t *who;
} kind;

static sx_status open_kind(kind *of, size_t count, size_t width, sx_error *error)
{
    of->count = count;
    of->width = width;
    of->hashes = sx_calloc(count ? count : 1, sizeof *of->hashes);
    of->equal = sx_calloc(count ? count : 1, sizeof *of->equal);
    of->who = sx_calloc(count ? count : 1, sizeof *of->who);
    if (!of->hashes || !of->equal || !of->who)
        return sx_fail_nomem(error, count * sizeof *of->hashes);
    return open_sets(&of->sets, count, error);
}

static void close_kind(kind *of)
{
    free(of->hashes);
    free(of->equal);
    free(of->who);
    free(of->sets.parents);
}

static sx_status group_kind(kind *of, double threshold, sx_thread_pool *pool, const volatile int *stop, sx_reporter *reporter,
                            const char *phase, sx_error *error)
{
    pair_run run = {.rows = of->rows,
                    .width = of->width,
                    .who = of->who,
                    .threshold = threshold,
                    .sets = &of->sets,
                    .lock = PTHREAD_MUTEX_INITIALIZER};
    for (size_t i = 0; i < of->count; i++)
        of->equal[i] = of->hashes[i].hash;
    run.compared = join_equals(of->hashes, of->count, &of->sets, of->who);
    return compare_all(&run, pool, stop, reporter, phase, error);
}

/* ---- The report ---- */

typedef struct found_group {
    uint32_t root, count;
    size_t first; /* in the list of members */
    bool exact;
} found_group;

typedef struct found_groups {
    found_group *groups;
    size_t count;
    uint32_t *members; /* group after group, ascending */
    uint64_t redundant;
} found_groups;

static int exact_first(const void *a, const void *b)
{
    const found_group *first = a, *second = b;
    if (first->exact != second->exact)
        return first->exact ? -1 : 1;
    if (first->count != second->count)
        return first->count > second->count ? -1 : 1;
    return (first->root > second->root) - (first->root < second->root);
}

static sx_status list_groups(kind *of, found_groups *out, sx_error *error)
{
    size_t at = 0;
    uint32_t *sizes = sx_calloc(of->count ? of->count : 1, sizeof *sizes);
    size_t *places = sx_calloc(of->count ? of->count : 1, sizeof *places);
    out->members = sx_calloc(of->count ? of->count : 1, sizeof *out->members);
    out->groups = sx_calloc(of->count / 2 + 1, sizeof *out->groups);
    sx_status status = sizes && places && out->members && out->groups ? SX_OK : sx_fail_nomem(error, of->count * sizeof *places);
    for (size_t i = 0; i < of->count && !status; i++)
        sizes[root_of(&of->sets, (uint32_t)i)]++;
    for (size_t i = 0; i < of->count && !status; i++)
        if (sizes[i] > 1) {
            places[i] = out->count;
            out->groups[out->count++] = (found_group){.root = (uint32_t)i, .first = at, .exact = true};
            at += sizes[i];
            out->redundant += sizes[i] - 1;
        }
    for (size_t i = 0; i < of->count && !status; i++) {
        uint32_t root = of->sets.parents[i];
        if (sizes[root] < 2)
            continue;
        found_group *group = &out->groups[places[root]];
        out->members[group->first + group->count++] = (uint32_t)i;
        group->exact = group->exact && !memcmp(of->equal[i].bytes, of->equal[root].bytes, SX_SHA256_BYTES);
    }
    if (!status)
        qsort(out->groups, out->count, sizeof *out->groups, exact_first);
    free(sizes);
    free(places);
    return status;
}

static void clear_list(sx_duplicate_group *groups, size_t count)
{
    for (size_t i = 0; groups && i < count; i++) {
        for (size_t j = 0; j < groups[i].count; j++)
            sx_excerpt_clear(&groups[i].members[j].passage);
        free(groups[i].members);
    }
    free(groups);
}

void sx_duplicate_report_free(sx_duplicate_report *report)
{
    if (!report)
        return;
    clear_list(report->groups, report->group_count);
    clear_list(report->document_list, report->document_count);
    free(report);
}

typedef struct duplicate_run {
    sx_database *database;
    sx_duplicates_options options;
    sx_gathered gathered;
    sx_thread_pool *pool;
    sx_reporter reporter;
    kind passages, documents;
    uint32_t *document_of;   /* per passage: number of its document */
    uint32_t *first_passage; /* per document */
    float *means;
} duplicate_run;

/* The share of the document's passages whose group has a passage of another of these documents. */
static double share_of(duplicate_run *run, uint32_t document, const uint32_t *others, size_t other_count, const uint32_t *starts,
                       const uint32_t *sorted)
{
    size_t shared = 0, all = starts[document + 1] - starts[document];
    for (size_t i = starts[document]; i < starts[document + 1]; i++) {
        uint32_t root = root_of(&run->passages.sets, sorted[i]);
        bool found = false;
        for (size_t o = 0; o < other_count && !found; o++)
            for (size_t j = starts[others[o]]; others[o] != document && j < starts[others[o] + 1] && !found; j++)
                found = root_of(&run->passages.sets, sorted[j]) == root;
        shared += found;
    }
    return all ? (double)shared / (double)all : 0;
}

static sx_status fill_groups(duplicate_run *run, kind *of, const found_groups *found, bool documents, const uint32_t *starts,
                             const uint32_t *sorted, sx_duplicate_group **out, size_t *count, sx_error *error)
{
    enum { MOST_COMPARED = 50 };
    size_t most = run->options.most_groups ? run->options.most_groups : DEFAULT_GROUPS;
    size_t shown = found->count < most ? found->count : most;
    sx_status status = SX_OK;
    *out = sx_calloc(shown ? shown : 1, sizeof **out);
    if (!*out)
        return sx_fail_nomem(error, shown * sizeof **out);
    for (size_t g = 0; g < shown && !status; g++) {
        const found_group *from = &found->groups[g];
        sx_duplicate_group *group = &(*out)[g];
        const uint32_t *members = found->members + from->first;
        *group = (sx_duplicate_group){.exact = from->exact, .least = 1};
        group->members = sx_calloc(from->count, sizeof *group->members);
        *count = g + 1;
        if (!group->members)
            return sx_fail_nomem(error, from->count * sizeof *group->members);
        for (size_t i = 0; i < from->count && !status; i++) {
            sx_duplicate *member = &group->members[i];
            uint32_t passage = documents ? run->first_passage[members[i]] : members[i];
            status = sx_excerpt_read(run->database, run->gathered.chunks[passage], SX_EXCERPT_BYTES, &member->passage, error);
            if (status)
                break;
            group->count = i + 1;
            member->similarity =
                from->exact ? 1
                            : sx_ranking_cosine(of->rows + members[0] * of->width, of->rows + members[i] * of->width, of->width);
            member->shared = documents ? share_of(run, members[i], members,
                                                  from->count < MOST_COMPARED ? from->count : MOST_COMPARED, starts, sorted)
                                       : 1;
            group->least = member->similarity < group->least ? member->similarity : group->least;
        }
    }
    return status;
}

/* Numbers the documents in the order of their first passages, and takes the mean of the passages of each. */
static int by_document(const void *a, const void *b)
{
    const int64_t *first = a, *second = b;
    return first[0] != second[0] ? (first[0] > second[0]) - (first[0] < second[0])
                                 : (first[1] > second[1]) - (first[1] < second[1]);
}

static sx_status make_documents(duplicate_run *run, uint32_t **starts, uint32_t **sorted, sx_error *error)
{
    const sx_gathered *all = &run->gathered;
    size_t count = all->count, width = all->dimensions, documents = 0;
    int64_t(*pairs)[2] = sx_calloc(count ? count : 1, sizeof *pairs);
    run->document_of = sx_calloc(count ? count : 1, sizeof *run->document_of);
    run->first_passage = sx_calloc(count ? count : 1, sizeof *run->first_passage);
    *starts = sx_calloc(count + 1, sizeof **starts);
    *sorted = sx_calloc(count ? count : 1, sizeof **sorted);
    sx_status status = pairs && run->document_of && run->first_passage && *starts && *sorted
                           ? SX_OK
                           : sx_fail_nomem(error, count * sizeof *pairs);
    if (status)
        goto out;
    for (size_t i = 0; i < count; i++) {
        pairs[i][0] = all->documents[i];
        pairs[i][1] = (int64_t)i;
    }
    qsort(pairs, count, sizeof *pairs, by_document);
    for (size_t i = 0; i < count; i++) {
        if (!i || pairs[i][0] != pairs[i - 1][0]) {
            (*starts)[documents] = (uint32_t)i;
            run->first_passage[documents++] = (uint32_t)pairs[i][1];
        }
        (*sorted)[i] = (uint32_t)pairs[i][1];
        run->document_of[pairs[i][1]] = (uint32_t)(documents - 1);
    }
    (*starts)[documents] = (uint32_t)count;
    run->means = sx_calloc(documents ? documents : 1, width * sizeof(float));
    status = run->means ? open_kind(&run->documents, documents, width, error)
                        : sx_fail_nomem(error, documents * width * sizeof(float));
    if (status)
        goto out;
    run->documents.rows = run->means;
    for (size_t d = 0; d < documents; d++) {
        /* Documents are equal when their passages are, one after another. */
        hashed *hash = &run->documents.hashes[d];
        hash->number = (uint32_t)d;
        for (size_t i = (*starts)[d]; i < (*starts)[d + 1]; i++) {
            const float *row = all->rows + (*sorted)[i] * width;
            for (size_t k = 0; k < width; k++)
                run->means[d * width + k] += row[k];
            sx_sha256_of_two(hash->hash.bytes, SX_SHA256_BYTES, run->passages.equal[(*sorted)[i]].bytes, SX_SHA256_BYTES,
                             &hash->hash);
        }
        double length = 0;
        for (size_t k = 0; k < width; k++)
            length += (double)run->means[d * width + k] * (double)run->means[d * width + k];
        for (size_t k = 0; length > 0 && k < width; k++)
            run->means[d * width + k] = (float)((double)run->means[d * width + k] / sqrt(length));
    }
out:
    free(pairs);
    return status;
}

static sx_status find_all(duplicate_run *run, sx_duplicate_report *report, sx_error *error)
{
    found_groups passages = {0}, documents = {0};
    uint32_t *starts = NULL, *sorted = NULL;
    const sx_duplicates_options *options = &run->options;
    sx_status status = open_kind(&run->passages, run->gathered.count, run->gathered.dimensions, error);
    run->passages.rows = run->gathered.rows;
    if (!status)
        status = hash_texts(run->database, &run->gathered, run->passages.hashes, error);
    if (!status)
        status =
            group_kind(&run->passages, report->threshold, run->pool, options->stop, &run->reporter, "comparing passages", error);
    if (!status)
        status = make_documents(run, &starts, &sorted, error);
    if (!status)
        status = group_kind(&run->documents, report->threshold, run->pool, options->stop, &run->reporter, "comparing documents",
                            error);
    if (!status)
        status = list_groups(&run->passages, &passages, error);
    if (!status)
        status = list_groups(&run->documents, &documents, error);
    if (!status)
        status = fill_groups(run, &run->passages, &passages, false, starts, sorted, &report->groups, &report->group_count, error);
    if (!status)
        status = fill_groups(run, &run->documents, &documents, true, starts, sorted, &report->document_list,
                             &report->document_count, error);
    report->passages = run->gathered.count;
    report->documents = run->documents.count;
    report->passage_groups = passages.count;
    report->document_groups = documents.count;
    report->redundant_passages = passages.redundant;
    report->redundant_documents = documents.redundant;
    free(passages.groups);
    free(passages.members);
    free(documents.groups);
    free(documents.members);
    free(starts);
    free(sorted);
    return status;
}

static sx_status read_options(const sx_duplicates_options *options, sx_duplicates_options *known, sx_error *error)
{
    sx_status status = sx_options_read(options, known, sizeof *known, "sx_duplicates_options", error);
    if (status)
        return status;
    if (!known->collection)
        known->collection = "default";
    if (known->threshold == 0)
        known->threshold = 0.95;
    if (!(known->threshold > 0 && known->threshold <= 1))
        return sx_fail(error, SX_E_INVALID, "sx_duplicates_options: threshold %g; it is above 0 and at most 1", known->threshold);
    if ((known->also_count && !known->also) || (known->filter_count && !known->filters))
        return sx_fail(error, SX_E_INVALID, "sx_duplicates_options: a list is NULL, its count is not 0");
    for (size_t i = 0; i < known->also_count; i++) {
        if (!known->also[i])
            return sx_fail(error, SX_E_INVALID, "sx_duplicates_options: also[%zu] is NULL", i);
        bool twice = !strcmp(known->also[i], known->collection);
        for (size_t j = 0; j < i; j++)
            twice = twice || !strcmp(known->also[i], known->also[j]);
        if (twice)
            return sx_fail(error, SX_E_INVALID, "sx_duplicates_options: collection %s is named twice", known->also[i]);
    }
    return SX_OK;
}

sx_status sx_duplicates(sx_database *database, const sx_duplicates_options *options, sx_duplicate_report **out, sx_error *error)
{
    duplicate_run run = {.database = database};
    const char **names = NULL;
    bool snapshot = false;
    if (out)
        *out = NULL;
    if (!database || !out)
        return sx_fail(error, SX_E_INVALID, "sx_duplicates: an argument is NULL");
    sx_status status = read_options(options, &run.options, error);
    if (status)
        return status;
    const sx_duplicates_options *known = &run.options;
    sx_duplicate_report *report = sx_calloc(1, sizeof *report);
    names = sx_calloc(known->also_count + 1, sizeof *names);
    if (!report || !names) {
        status = sx_fail_nomem(error, sizeof *report);
        goto out;
    }
    report->threshold = known->threshold;
    names[0] = known->collection;
    for (size_t i = 0; i < known->also_count; i++)
        names[i + 1] = known->also[i];
    run.reporter = sx_reporter_begin(known->progress, known->progress_user);
    status = sx_thread_pool_open(known->threads, &run.pool, error);
    if (!status)
        status = sx_snapshot_begin(database, error);
    snapshot = !status;
    if (!status)
        status = sx_gather(database,
                           &(sx_gather_request){.collections = names,
                                                .collection_count = known->also_count + 1,
                                                .filters = known->filters,
                                                .filter_count = known->filter_count,
                                                .stop = known->stop,
                                                .verb = "duplicates"},
                           &run.gathered, error);
    if (!status)
        status = find_all(&run, report, error);
out:
    if (snapshot)
        sx_snapshot_end(database);
    if (report)
        report->seconds = (double)(sx_system_clock.monotonic_ns(NULL) - run.reporter.began_ns) / 1e9;
    free(names);
    free(run.document_of);
    free(run.first_passage);
    free(run.means);
    close_kind(&run.passages);
    close_kind(&run.documents);
    sx_gathered_clear(&run.gathered);
    sx_thread_pool_close(run.pool);
    if (status) {
        sx_duplicate_report_free(report);
        report = NULL;
    }
    *out = report;
    return status;
}
