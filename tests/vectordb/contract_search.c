/* contract_search.c - what is found: the nearest by each similarity, above a threshold, under filters, and all there are. */
#include "contract.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double similarity_of(const char *kind, const float *a, const float *b, uint32_t dimensions)
{
    double dot = 0, aa = 0, bb = 0, squares = 0;
    for (uint32_t i = 0; i < dimensions; i++) {
        dot += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
        squares += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    }
    return strcmp(kind, "dot") == 0 ? dot : strcmp(kind, "l2") == 0 ? -sqrt(squares) : dot / sqrt(aa * bb);
}

static int descending(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;
    return first > second ? -1 : first < second;
}

/* Asks for `most` under the filters; the numbers for which `matches` is true are those that pass them. Returns how many of the
 * hits belong to the true nearest; *wanted: how many there should be. */
static size_t ask(sx_vector_store *store, const char *name, const char *kind, uint64_t records_count, uint64_t query,
                  uint32_t most, const double *threshold, const sx_vector_filter *filters, size_t filter_count,
                  bool (*matches)(uint64_t), size_t *wanted)
{
    float vector[DIMENSIONS];
    contract_made one;
    double *all = calloc(records_count, sizeof *all);
    size_t passing = 0, found = 0, count;
    sx_vector_hit *hits;
    sx_error error;
    contract_make_vector(query, DIMENSIONS, vector);
    for (uint64_t i = 0; i < records_count; i++) {
        contract_make(i, 1, &one);
        double similarity = similarity_of(kind, vector, one.vector, DIMENSIONS);
        if ((!matches || matches(i)) && (!threshold || similarity >= *threshold))
            all[passing++] = similarity;
    }
    qsort(all, passing, sizeof *all, descending);
    *wanted = passing < most ? passing : most;
    contract_expect(store->class->query(store, name, vector, most, threshold, filters, filter_count, &hits, &count, &error),
                    SX_OK, &error, "query");
    if (count > most)
        contract_fail("%zu hits, though %u were asked for", count, most);
    for (size_t i = 0; i < count; i++) {
        unsigned long long number;
        if (sscanf(hits[i].id, "record-%llu", &number) != 1 || number >= records_count || (matches && !matches(number)))
            contract_fail("hit %s does not pass the filter", hits[i].id);
        contract_make(number, 1, &one);
        double similarity = similarity_of(kind, vector, one.vector, DIMENSIONS);
        if (fabs(hits[i].similarity - similarity) > 2e-4)
            contract_fail("hit %s has similarity %g, not %g", hits[i].id, hits[i].similarity, similarity);
        if (i && hits[i].similarity > hits[i - 1].similarity)
            contract_fail("hit %zu is nearer than the one before it", i);
        if (threshold && hits[i].similarity < *threshold)
            contract_fail("hit %s is below the threshold: %g", hits[i].id, hits[i].similarity);
        if (hits[i].text_length != strlen(one.text) || memcmp(hits[i].text, one.text, hits[i].text_length) != 0 ||
            !contract_same_json(hits[i].metadata, one.metadata) || !hits[i].document ||
            strcmp(hits[i].document, one.document) != 0)
            contract_fail("hit %s has another text, document or metadata", hits[i].id);
        found += *wanted && similarity >= all[*wanted - 1] - 1e-6;
    }
    sx_vector_hits_free(hits, count);
    free(all);
    return found;
}

static bool is_invoice(uint64_t number)
{
    return number % 3 == 0;
}

static bool is_rare(uint64_t number)
{
    return number % 300 == 7;
}

static bool is_number_1234(uint64_t number)
{
    return number == 1234;
}

static bool is_document_20_and_even(uint64_t number)
{
    return number / 10 == 20 && number % 2 == 0;
}

static bool is_nothing(uint64_t number)
{
    return false;
}

static void query_with(sx_vector_store *store, const char *kind)
{
    enum { COUNT = 2000, QUERIES = 20 };
    const char *name = "contract_query";
    sx_vector_space space = contract_plain;
    static const sx_vector_filter invoice[] = {{"kind", "invoice", false}}, rare[] = {{"rare", "true", true}};
    static const sx_vector_filter number[] = {{"number", "1234", true}}, as_text[] = {{"number", "1234", false}};
    static const sx_vector_filter document[] = {{"document", "folder/document 20.md", false}, {"even", "true", true}};
    static const sx_vector_filter none[] = {{"kind", "letter' OR '1'='1", false}},
                                  both[] = {{"kind", "invoice", false}, {"kind", "letter", false}};
    static const struct {
        const char *what;
        const sx_vector_filter *filters;
        size_t count;
        bool (*matches)(uint64_t);
    } filtered[] = {
        {"kind = invoice", invoice, 1, is_invoice},
        {"rare = true (7 of 2000)", rare, 1, is_rare},
        {"number = 1234", number, 1, is_number_1234},
        {"number = \"1234\", which is a number", as_text, 1, is_nothing},
        {"document and even", document, 2, is_document_20_and_even},
        {"no such kind", none, 1, is_nothing},
        {"two kinds at once", both, 2, is_nothing},
    };
    sx_error error;
    space.similarity = kind;
    contract_make_collection(store, name, &space);
    contract_put(store, name, 0, COUNT, 1);
    contract_finish(store, name);
    size_t found = 0, should = 0, wanted;
    for (uint64_t q = 0; q < QUERIES; q++) {
        found += ask(store, name, kind, COUNT, 900000 + q, 10, NULL, NULL, 0, NULL, &wanted);
        should += wanted;
    }
    if (found < should * 0.95)
        contract_fail("%s: recall@10 is %g", kind, (double)found / (double)should);
    double threshold = strcmp(kind, "l2") == 0 ? -1.0 : 0.5;
    found = should = 0;
    for (uint64_t q = 0; q < QUERIES; q++) {
        found += ask(store, name, kind, COUNT, 900000 + q, 50, &threshold, NULL, 0, NULL, &wanted);
        should += wanted;
    }
    if (!should || found < should * 0.95)
        contract_fail("%s: %zu of %zu hits above the threshold", kind, found, should);
    for (size_t i = 0; i < sizeof filtered / sizeof *filtered; i++) {
        found = should = 0;
        for (uint64_t q = 0; q < 5; q++) {
            found += ask(store, name, kind, COUNT, 800000 + q, 10, NULL, filtered[i].filters, filtered[i].count,
                         filtered[i].matches, &wanted);
            should += wanted;
        }
        if (found < should * 0.95)
            contract_fail("%s, filter %s: %zu of %zu hits", kind, filtered[i].what, found, should);
    }
    /* More than any index gives at once, and more than there are. */
    found = ask(store, name, kind, COUNT, 700000, COUNT + 100, NULL, NULL, 0, NULL, &wanted);
    if (found != COUNT)
        contract_fail("%s: %zu of all %d", kind, found, COUNT);
    contract_expect(store->class->drop(store, name, &error), SX_OK, &error, "drop");
}

void contract_query(sx_vector_store *store)
{
    static const char *const kinds[] = {"cosine", "dot", "l2"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        query_with(store, kinds[i]);
}
