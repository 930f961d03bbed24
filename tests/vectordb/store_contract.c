/* store_contract.c - what every vector store has to do, written once against the table of functions and run on a real server.
 *
 *     store_contract URL [--key KEY] [--restart COMMAND] [--rounds] [--only CASE] [--verbose]
 *
 * A driver (a Python or shell script beside this file) starts a server of its own on a free port, and gives
 *   URL                what sx_vector_store_open takes: postgresql://keeper@127.0.0.1:12345/postgres, chroma://127.0.0.1:12345
 * ...
 *   --key KEY          the options' api_key
 *   --restart COMMAND  run by /bin/sh in the middle of a load: it must kill the server (SIGKILL, or a crash as users have it),
 * start it again on the same port with the same data, and return 0 when it answers again, within 30 s. Without it the case
 * `restart` says that it was not run.
 *   --rounds           the server does not keep the bits of float32 (it scales vectors to length 1, say): then vectors are
 * compared within 1e-6
 *   --only CASE        one case
 * A line for each case: "ok NAME", or "FAILED NAME: why" and exit code 1. Collections of earlier runs are dropped first.
 */
#include "../../src/vectordb/vector_store.h"

#include <jansson.h>

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DIMENSIONS = 24, ID_SIZE = 64 };

static struct {
    const char *url, *key, *restart, *only;
    bool rounds, verbose;
} settings;
static const char *current = "start";

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fail(const char *format, ...)
{
    char message[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    printf("FAILED %s: %s\n", current, message);
    fflush(stdout);
    _exit(1);
}

static void expect(sx_status got, sx_status wanted, const sx_error *error, const char *what)
{
    if (got == wanted)
        return;
    fail("%s: %s, not %s: %s", what, got ? sx_status_name(got) : "ok", wanted ? sx_status_name(wanted) : "ok",
         got ? error->message : "");
}

static void log_line(sx_log_level level, const char *message, void *user)
{
    if (settings.verbose)
        fprintf(stderr, "%d: %s\n", (int)level, message);
}

static sx_vector_store *connect_store(void)
{
    const sx_vector_store_options options = {.api_key = settings.key, .timeout_s = 30, .attempts = 12, .log = log_line};
    sx_vector_store *store = NULL;
    sx_error error;
    expect(sx_vector_store_open(settings.url, &options, &store, &error), SX_OK, &error, "open");
    return store;
}

/* ---- Records made from a number ---- */

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

/* Of length 1, all different. */
static void make_vector(uint64_t seed, uint32_t dimensions, float *vector)
{
    double sum = 0;
    for (uint32_t i = 0; i < dimensions; i++) {
        vector[i] = (float)((double)(mix(seed * 65537 + i) >> 11) / 9007199254740992.0 - 0.5);
        sum += (double)vector[i] * (double)vector[i];
    }
    for (uint32_t i = 0; i < dimensions; i++)
        vector[i] = (float)((double)vector[i] / sqrt(sum));
}

typedef struct made {
    char id[ID_SIZE], document[64], text[160], metadata[256];
    float vector[DIMENSIONS];
} made;

/* Record `number` in its version `version`: what differs between versions is text, metadata and vector. */
static void make(uint64_t number, uint64_t version, made *to)
{
    snprintf(to->id, sizeof to->id, "record-%06llu", (unsigned long long)number);
    snprintf(to->document, sizeof to->document, "folder/document %llu.md", (unsigned long long)number / 10);
    snprintf(to->text, sizeof to->text, "Text of record %llu, version %llu: æøå 文字 \"quoted\" \\ back\nsecond line",
             (unsigned long long)number, (unsigned long long)version);
    snprintf(to->metadata, sizeof to->metadata,
             "{\"number\": %llu, \"version\": %llu, \"kind\": \"%s\", \"even\": %s, \"ratio\": 2.5, \"rare\": %s, \"nested\": "
             "{\"list\": [1, \"a\", "
             "null]}}",
             (unsigned long long)number, (unsigned long long)version, number % 3 ? "letter" : "invoice",
             number % 2 ? "false" : "true", number % 300 == 7 ? "true" : "false");
    make_vector(number * 1000 + version, DIMENSIONS, to->vector);
}

static sx_vector_record record_of(const made *from)
{
    return (sx_vector_record){.id = from->id,
                              .document = from->document,
                              .text = {from->text, strlen(from->text)},
                              .metadata = from->metadata,
                              .vector = from->vector};
}

static const sx_vector_space plain = {.dimensions = DIMENSIONS, .model = "contract-model", .space = "aa11"};

static void make_collection(sx_vector_store *store, const char *name, const sx_vector_space *space)
{
    sx_error error;
    sx_status status = store->class->drop(store, name, &error);
    if (status != SX_E_NOT_FOUND)
        expect(status, SX_OK, &error, "drop what an earlier run left");
    expect(store->class->create(store, name, space, &error), SX_OK, &error, "create");
}

static void finish(sx_vector_store *store, const char *name)
{
    sx_error error;
    if (store->class->finish)
        expect(store->class->finish(store, name, &error), SX_OK, &error, "finish");
}

static void put(sx_vector_store *store, const char *name, uint64_t first, uint64_t count, uint64_t version)
{
    made *all = calloc(count, sizeof *all);
    sx_vector_record *records = calloc(count, sizeof *records);
    sx_error error;
    for (uint64_t i = 0; i < count; i++) {
        make(first + i, version, &all[i]);
        records[i] = record_of(&all[i]);
    }
    expect(store->class->upsert(store, name, records, count, &error), SX_OK, &error, "upsert");
    free(records);
    free(all);
}

static uint64_t count_of(sx_vector_store *store, const char *name)
{
    sx_vector_space space;
    sx_error error;
    uint64_t count = UINT64_MAX;
    expect(store->class->describe(store, name, &space, &count, &error), SX_OK, &error, "describe");
    return count;
}

/* ---- Reading all back ---- */

typedef struct expectation {
    uint64_t first, count;
    const unsigned char *versions; /* of each record; 0: it must not be there */
    unsigned char any_below;       /* not 0: versions 1..any_below are all right, as long as text, metadata and vector agree */
    unsigned char *seen;
} expectation;

static bool same_json(const char *a, const char *b)
{
    json_t *first = json_loads(a ? a : "{}", JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL),
           *second = json_loads(b ? b : "{}", JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool same = first && second && json_equal(first, second);
    json_decref(first);
    json_decref(second);
    return same;
}

static bool same_vector(const float *a, const float *b, uint32_t dimensions)
{
    for (uint32_t i = 0; i < dimensions; i++)
        if (settings.rounds ? fabsf(a[i] - b[i]) > 1e-6f : memcmp(&a[i], &b[i], sizeof *a) != 0)
            return false;
    return true;
}

static sx_status check_record(const sx_vector_record *record, void *user, sx_error *error)
{
    expectation *wanted = user;
    unsigned long long number, version = 0;
    made should;
    if (sscanf(record->id, "record-%llu", &number) != 1 || number < wanted->first || number >= wanted->first + wanted->count)
        fail("scan gives record %s, which was never put", record->id);
    size_t at = number - wanted->first;
    if (wanted->seen[at]++)
        fail("scan gives record %s twice", record->id);
    if (!record->text.data || sscanf(record->text.data, "Text of record %llu, version %llu", &number, &version) != 2)
        fail("record %s has the text %.*s", record->id, (int)record->text.length, record->text.data);
    if (wanted->any_below ? version < 1 || version > wanted->any_below : version != wanted->versions[at])
        fail("record %s has version %llu", record->id, version);
    make(wanted->first + at, version, &should);
    if (record->text.length != strlen(should.text) || memcmp(record->text.data, should.text, record->text.length) != 0)
        fail("record %s: another text", record->id);
    if (!record->document || strcmp(record->document, should.document) != 0)
        fail("record %s: document %s, not %s", record->id, record->document ? record->document : "(none)", should.document);
    if (!same_json(record->metadata, should.metadata))
        fail("record %s: metadata %s, not %s", record->id, record->metadata ? record->metadata : "(none)", should.metadata);
    if (!same_vector(record->vector, should.vector, DIMENSIONS))
        fail("record %s: another vector", record->id);
    return SX_OK;
}

static void check_all(sx_vector_store *store, const char *name, uint64_t first, uint64_t count, const unsigned char *versions,
                      unsigned char any_below)
{
    expectation wanted = {first, count, versions, any_below, calloc(count, 1)};
    uint64_t there = 0;
    sx_error error;
    expect(store->class->scan(store, name, check_record, &wanted, &error), SX_OK, &error, "scan");
    for (uint64_t i = 0; i < count; i++) {
        bool should = any_below || versions[i];
        there += should;
        if (wanted.seen[i] != should)
            fail("record %llu is %s", (unsigned long long)(first + i), should ? "lost" : "there, though it was removed");
    }
    free(wanted.seen);
    if (count_of(store, name) != there)
        fail("describe counts %llu records, and there are %llu", (unsigned long long)count_of(store, name),
             (unsigned long long)there);
}

/* ---- Cases ---- */

static void collections(sx_vector_store *store)
{
    const char *name = "contract_collections";
    sx_vector_space space, other = plain;
    uint64_t count;
    sx_error error;
    make_collection(store, name, &plain);
    expect(store->class->create(store, name, &plain, &error), SX_OK, &error, "create what is there");
    expect(store->class->describe(store, name, &space, &count, &error), SX_OK, &error, "describe");
    if (count != 0 || space.dimensions != DIMENSIONS || !space.model || strcmp(space.model, "contract-model") != 0 ||
        !space.space || strcmp(space.space, "aa11") != 0 || (space.similarity && strcmp(space.similarity, "cosine") != 0))
        fail("describe: %u dimensions, model %s, space %s, similarity %s, %llu records", space.dimensions,
             space.model ? space.model : "-", space.space ? space.space : "-", space.similarity ? space.similarity : "-",
             (unsigned long long)count);
    other.dimensions = DIMENSIONS + 1;
    expect(store->class->create(store, name, &other, &error), SX_E_MISMATCH, &error, "create with other dimensions");
    if (!strstr(error.message, "24") || !strstr(error.message, "25") || !strstr(error.message, name))
        fail("the error names neither both dimensions nor the collection: %s", error.message);
    other = plain;
    other.model = "another-model";
    expect(store->class->create(store, name, &other, &error), SX_E_MISMATCH, &error, "create with another model");
    if (!strstr(error.message, "another-model") || !strstr(error.message, "contract-model"))
        fail("the error does not name both models: %s", error.message);
    put(store, name, 0, 10, 1);
    expect(store->class->drop(store, name, &error), SX_OK, &error, "drop");
    expect(store->class->drop(store, name, &error), SX_E_NOT_FOUND, &error, "drop again");
    expect(store->class->describe(store, name, &space, NULL, &error), SX_E_NOT_FOUND, &error, "describe what was dropped");
    make_collection(store, name, &other); /* nothing of the old one is left */
    if (count_of(store, name) != 0)
        fail("a collection made again holds %llu records", (unsigned long long)count_of(store, name));
    expect(store->class->drop(store, name, &error), SX_OK, &error, "drop");
}

static void records(sx_vector_store *store)
{
    enum { COUNT = 700 };
    const char *name = "contract_records", *gone[] = {"record-000003", "record-000699", "never was", "record-000400"};
    unsigned char versions[COUNT];
    uint64_t removed = 0;
    sx_error error;
    made twice[3];
    sx_vector_record both[3];
    make_collection(store, name, &plain);
    expect(store->class->upsert(store, name, NULL, 0, &error), SX_OK, &error, "upsert of nothing");
    memset(versions, 1, sizeof versions);
    put(store, name, 0, COUNT, 1);
    check_all(store, name, 0, COUNT, versions, 0);
    put(store, name, 0, COUNT, 1); /* the same again */
    check_all(store, name, 0, COUNT, versions, 0);
    finish(store, name);
    put(store, name, 100, 150, 2);
    memset(versions + 100, 2, 150);
    check_all(store, name, 0, COUNT, versions, 0);
    expect(store->class->remove(store, name, gone, 4, &removed, &error), SX_OK, &error, "remove");
    if (removed != 3)
        fail("remove says %llu of 3", (unsigned long long)removed);
    expect(store->class->remove(store, name, gone, 4, NULL, &error), SX_OK, &error, "remove what is gone");
    expect(store->class->remove(store, name, NULL, 0, NULL, &error), SX_OK, &error, "remove nothing");
    versions[3] = versions[699] = versions[400] = 0;
    check_all(store, name, 0, COUNT, versions, 0);
    put(store, name, 400, 1, 3);
    versions[400] = 3;
    for (int i = 0; i < 3; i++) { /* the same id three times in one call: the last one counts */
        make(500, (uint64_t)(4 + i), &twice[i]);
        both[i] = record_of(&twice[i]);
    }
    expect(store->class->upsert(store, name, both, 3, &error), SX_OK, &error, "upsert of one id three times");
    versions[500] = 6;
    check_all(store, name, 0, COUNT, versions, 0);
    finish(store, name);
    check_all(store, name, 0, COUNT, versions, 0);
    expect(store->class->drop(store, name, &error), SX_OK, &error, "drop");
}

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
    made one;
    double *all = calloc(records_count, sizeof *all);
    size_t passing = 0, found = 0, count;
    sx_vector_hit *hits;
    sx_error error;
    make_vector(query, DIMENSIONS, vector);
    for (uint64_t i = 0; i < records_count; i++) {
        make(i, 1, &one);
        double similarity = similarity_of(kind, vector, one.vector, DIMENSIONS);
        if ((!matches || matches(i)) && (!threshold || similarity >= *threshold))
            all[passing++] = similarity;
    }
    qsort(all, passing, sizeof *all, descending);
    *wanted = passing < most ? passing : most;
    expect(store->class->query(store, name, vector, most, threshold, filters, filter_count, &hits, &count, &error), SX_OK, &error,
           "query");
    if (count > most)
        fail("%zu hits, though %u were asked for", count, most);
    for (size_t i = 0; i < count; i++) {
        unsigned long long number;
        if (sscanf(hits[i].id, "record-%llu", &number) != 1 || number >= records_count || (matches && !matches(number)))
            fail("hit %s does not pass the filter", hits[i].id);
        make(number, 1, &one);
        double similarity = similarity_of(kind, vector, one.vector, DIMENSIONS);
        if (fabs(hits[i].similarity - similarity) > 2e-4)
            fail("hit %s has similarity %g, not %g", hits[i].id, hits[i].similarity, similarity);
        if (i && hits[i].similarity > hits[i - 1].similarity)
            fail("hit %zu is nearer than the one before it", i);
        if (threshold && hits[i].similarity < *threshold)
            fail("hit %s is below the threshold: %g", hits[i].id, hits[i].similarity);
        if (hits[i].text_length != strlen(one.text) || memcmp(hits[i].text, one.text, hits[i].text_length) != 0 ||
            !same_json(hits[i].metadata, one.metadata) || !hits[i].document || strcmp(hits[i].document, one.document) != 0)
            fail("hit %s has another text, document or metadata", hits[i].id);
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
    sx_vector_space space = plain;
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
    make_collection(store, name, &space);
    put(store, name, 0, COUNT, 1);
    finish(store, name);
    size_t found = 0, should = 0, wanted;
    for (uint64_t q = 0; q < QUERIES; q++) {
        found += ask(store, name, kind, COUNT, 900000 + q, 10, NULL, NULL, 0, NULL, &wanted);
        should += wanted;
    }
    if (found < should * 0.95)
        fail("%s: recall@10 is %g", kind, (double)found / (double)should);
    double threshold = strcmp(kind, "l2") == 0 ? -1.0 : 0.5;
    found = should = 0;
    for (uint64_t q = 0; q < QUERIES; q++) {
        found += ask(store, name, kind, COUNT, 900000 + q, 50, &threshold, NULL, 0, NULL, &wanted);
        should += wanted;
    }
    if (!should || found < should * 0.95)
        fail("%s: %zu of %zu hits above the threshold", kind, found, should);
    for (size_t i = 0; i < sizeof filtered / sizeof *filtered; i++) {
        found = should = 0;
        for (uint64_t q = 0; q < 5; q++) {
            found += ask(store, name, kind, COUNT, 800000 + q, 10, NULL, filtered[i].filters, filtered[i].count,
                         filtered[i].matches, &wanted);
            should += wanted;
        }
        if (found < should * 0.95)
            fail("%s, filter %s: %zu of %zu hits", kind, filtered[i].what, found, should);
    }
    /* More than any index gives at once, and more than there are. */
    found = ask(store, name, kind, COUNT, 700000, COUNT + 100, NULL, NULL, 0, NULL, &wanted);
    if (found != COUNT)
        fail("%s: %zu of all %d", kind, found, COUNT);
    expect(store->class->drop(store, name, &error), SX_OK, &error, "drop");
}

static void query(sx_vector_store *store)
{
    static const char *const kinds[] = {"cosine", "dot", "l2"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        query_with(store, kinds[i]);
}

/* Collections and records with names and texts that nobody expects. */
static sx_status check_odd(const sx_vector_record *record, void *user, sx_error *error)
{
    const sx_vector_record *all = user;
    for (size_t i = 0; all[i].id; i++) {
        if (strcmp(all[i].id, record->id) != 0)
            continue;
        if (record->text.length != all[i].text.length || memcmp(record->text.data, all[i].text.data, record->text.length) != 0)
            fail("record %s: another text of %zu bytes, not %zu", record->id, record->text.length, all[i].text.length);
        if (!same_json(record->metadata, all[i].metadata))
            fail("record %s: metadata %s, not %s", record->id, record->metadata ? record->metadata : "(none)",
                 all[i].metadata ? all[i].metadata : "(none)");
        if ((record->document && *record->document) != (all[i].document && *all[i].document) ||
            (record->document && all[i].document && strcmp(record->document, all[i].document) != 0))
            fail("record %s: document %s", record->id, record->document ? record->document : "(none)");
        if (!same_vector(record->vector, all[i].vector, DIMENSIONS))
            fail("record %s: another vector", record->id);
        return SX_OK;
    }
    fail("scan gives record %s, which was never put", record->id);
}

static void odd(sx_vector_store *store)
{
    enum { LONG = 200000, RECORDS = 11 };
    char long_name[301], *text = malloc(LONG);
    float vectors[RECORDS][DIMENSIONS];
    memset(long_name, 'n', 300);
    long_name[300] = '\0';
    for (size_t i = 0; i < LONG; i++)
        text[i] = (char)('a' + i % 26);
    const char *const names[] = {"contract \"odd\"'s; DROP TABLE x; -- /\\%20 {name}",
                                 "x",
                                 "контракт 契約 ✓",
                                 long_name,
                                 "Contract_Case",
                                 "contract_case"};
    sx_vector_record all[RECORDS + 1] = {
        {.id = "a/b c\"d'e\\f", .document = "a \"b\" 'c' \\ d/é.md", .text = {"", 0}, .metadata = "{}"},
        {.id = "文字 ✓ é", .text = {"no document, no metadata", 24}},
        {.id = "line\nbreak\ttab",
         .document = "x",
         .text = {"\t\n\r \x01\x1f\x7f", 7},
         .metadata = "{\"a\\tb\\n\": \"c\\r\\u0001\"}"},
        {.id = "big", .document = "x", .text = {text, LONG}, .metadata = "{\"k\": 1}"},
        {.id = "keys",
         .text = {"k", 1},
         .metadata = "{\"\": \"empty key\", \"a.b\": 1, \"$and\": \"x\", \"id\": \"not me\", \"text\": \"nor me\", "
                     "\"vector\": [1, 2], \"document\": \"nor me\", \"metadata\": {}}"},
        {.id = "kinds",
         .text = {"k", 1},
         .metadata = "{\"null\": null, \"list\": [true, false, null, 1.5, {\"a\": []}], \"big\": 9007199254740993, "
                     "\"small\": -0.125, \"words\": [\"a\", \"b\"], \"empty\": []}"},
        {.id = "1", .text = {"a number as id", 14}, .metadata = "{\"a\": {\"b\": {\"c\": {\"d\": \"deep\"}}}}"},
        {.id = "00000000-0000-4000-8000-000000000000", .text = {"a uuid as id", 12}},
        {.id = "{\"json\": [1]}", .text = {"{\"json\": [1]}", 13}, .metadata = "{\"json\": \"{\\\"a\\\": 1}\"}"},
        {.id = "UPPER", .text = {"upper", 5}, .metadata = "{\"A\": 1, \"a\": 2}"},
        {.id = "upper", .text = {"lower", 5}, .metadata = "{\"emoji\": \"\\ud83d\\ude00 😀\"}"},
    };
    for (size_t i = 0; i < RECORDS; i++) {
        make_vector(555 + i, DIMENSIONS, vectors[i]);
        all[i].vector = vectors[i];
    }
    sx_error error;
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        make_collection(store, names[n], &plain);
        expect(store->class->upsert(store, names[n], all, RECORDS, &error), SX_OK, &error, names[n]);
    }
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        finish(store, names[n]);
        expect(store->class->scan(store, names[n], check_odd, all, &error), SX_OK, &error, "scan");
        if (count_of(store, names[n]) != RECORDS)
            fail("%s holds %llu records", names[n], (unsigned long long)count_of(store, names[n]));
        const char *ids[] = {all[0].id, all[2].id};
        uint64_t removed;
        expect(store->class->remove(store, names[n], ids, 2, &removed, &error), SX_OK, &error, "remove");
        if (removed != 2 || count_of(store, names[n]) != RECORDS - 2)
            fail("%s: %llu removed", names[n], (unsigned long long)removed);
        expect(store->class->drop(store, names[n], &error), SX_OK, &error, "drop");
    }
    free(text);
}

/* A NUL byte comes back as it was, or is refused by the record's name, and then nothing of the call is lost or half there. */
static void nul_bytes(sx_vector_store *store)
{
    const char *name = "contract_nul";
    made one;
    sx_error error;
    make(1, 1, &one);
    sx_vector_record pair[3] = {
        record_of(&one), {.id = "with nul", .text = {"a\0b", 3}, .metadata = "{\"x\": \"a\\u0000b\"}", .vector = one.vector}};
    make_collection(store, name, &plain);
    sx_status status = store->class->upsert(store, name, pair, 2, &error);
    if (status) {
        if (!strstr(error.message, "with nul"))
            fail("the record is not named: %s", error.message);
        if (count_of(store, name) != 0)
            fail("a refused call left %llu records", (unsigned long long)count_of(store, name));
    } else {
        expect(store->class->scan(store, name, check_odd, pair, &error), SX_OK, &error, "scan");
        if (count_of(store, name) != 2)
            fail("%llu records", (unsigned long long)count_of(store, name));
    }
    expect(store->class->drop(store, name, &error), SX_OK, &error, "drop");
}

static void mistakes(sx_vector_store *store)
{
    const char *name = "contract_mistakes";
    made one, two;
    sx_vector_hit *hits;
    size_t count;
    sx_error error;
    make(1, 1, &one);
    make(2, 1, &two);
    sx_vector_record pair[2] = {record_of(&one), record_of(&two)};
    make_collection(store, name, &plain);
    expect(store->class->drop(store, name, &error), SX_OK, &error, "drop");
    expect(store->class->upsert(store, name, pair, 2, &error), SX_E_NOT_FOUND, &error, "upsert into nothing");
    if (!strstr(error.message, name))
        fail("the collection is not named: %s", error.message);
    expect(store->class->query(store, name, one.vector, 3, NULL, NULL, 0, &hits, &count, &error), SX_E_NOT_FOUND, &error,
           "query of nothing");
    expect(store->class->scan(store, name, check_record, NULL, &error), SX_E_NOT_FOUND, &error, "scan of nothing");
    make_collection(store, name, &plain);
    expect(store->class->query(store, name, one.vector, 3, NULL, NULL, 0, &hits, &count, &error), SX_OK, &error,
           "query of an empty one");
    if (count)
        fail("%zu hits in an empty collection", count);
    sx_vector_hits_free(hits, count);
    two.vector[5] = NAN;
    if (!store->class->upsert(store, name, pair, 2, &error))
        fail("a vector with NaN was taken");
    if (!strstr(error.message, two.id))
        fail("the record is not named: %s", error.message);
    make(2, 1, &two);
    pair[1].metadata = "{\"broken\": ";
    if (!store->class->upsert(store, name, pair, 2, &error))
        fail("broken metadata was taken");
    if (!strstr(error.message, two.id))
        fail("the record is not named: %s", error.message);
    if (count_of(store, name) != 0)
        fail("refused calls left %llu records", (unsigned long long)count_of(store, name));
    expect(store->class->drop(store, name, &error), SX_OK, &error, "drop");
}

static void wrong_address(sx_vector_store *store)
{
    char url[256];
    const sx_vector_store_options options = {.api_key = "sesame", .timeout_s = 5, .attempts = 2};
    sx_vector_store *other = NULL;
    sx_vector_space space;
    sx_error error = {0};
    snprintf(url, sizeof url, "%.*s://127.0.0.1:1/nothing", (int)strcspn(settings.url, ":"), settings.url);
    sx_status status = sx_vector_store_open(url, &options, &other, &error);
    if (!status)
        status = other->class->describe(other, "x", &space, NULL, &error);
    expect(status, SX_E_NETWORK, &error, "a server that is not there");
    if (!strstr(error.message, "127.0.0.1") || strstr(error.message, "sesame"))
        fail("the server is not named, or the key is: %s", error.message);
    sx_vector_store_close(other);
}

/* ---- Many at once ---- */

typedef struct worker {
    const char *name;
    uint64_t seed;
    atomic_bool *stop;
    uint64_t rounds;
} worker;

enum { SHARED = 240, WRITES = 12 };

/* Two writers put the same records in different versions and different batches. */
static void *write_many(void *user)
{
    worker *self = user;
    sx_vector_store *store = connect_store();
    for (uint64_t round = 1; round <= WRITES; round++)
        for (uint64_t first = 0; first < SHARED; first += 60)
            put(store, self->name, (first + self->seed * 60 * round) % SHARED, 60, round);
    sx_vector_store_close(store);
    return NULL;
}

static void *read_many(void *user)
{
    worker *self = user;
    sx_vector_store *store = connect_store();
    sx_error error;
    while (!atomic_load(self->stop)) {
        unsigned char seen[SHARED] = {0};
        expectation wanted = {0, SHARED, NULL, WRITES, seen};
        float vector[DIMENSIONS];
        sx_vector_hit *hits;
        size_t count;
        make_vector(self->seed + self->rounds, DIMENSIONS, vector);
        expect(store->class->query(store, self->name, vector, 10, NULL, NULL, 0, &hits, &count, &error), SX_OK, &error,
               "query meanwhile");
        if (count != 10)
            fail("%zu of 10 hits while others write", count);
        sx_vector_hits_free(hits, count);
        expect(store->class->scan(store, self->name, check_record, &wanted, &error), SX_OK, &error, "scan meanwhile");
        for (int i = 0; i < SHARED; i++)
            if (!seen[i])
                fail("record %d is not in a scan while others write", i);
        self->rounds++;
    }
    sx_vector_store_close(store);
    return NULL;
}

static void concurrent(sx_vector_store *store)
{
    const char *name = "contract_concurrent";
    atomic_bool stop = false;
    worker workers[4];
    pthread_t threads[4];
    sx_error error;
    make_collection(store, name, &plain);
    put(store, name, 0, SHARED, 1);
    finish(store, name);
    for (int i = 0; i < 4; i++) {
        workers[i] = (worker){.name = name, .seed = (uint64_t)i, .stop = &stop};
        pthread_create(&threads[i], NULL, i < 2 ? write_many : read_many, &workers[i]);
    }
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    atomic_store(&stop, true);
    pthread_join(threads[2], NULL);
    pthread_join(threads[3], NULL);
    if (!workers[2].rounds || !workers[3].rounds)
        fail("the readers did not come to read");
    check_all(store, name, 0, SHARED, NULL, WRITES);
    expect(store->class->drop(store, name, &error), SX_OK, &error, "drop");
}

/* ---- The server goes down in the middle ---- */

static atomic_bool restarted;

static void *restart_server(void *user)
{
    usleep(150000);
    int code = system(settings.restart);
    if (code != 0)
        fail("the restart command ended with %d", code);
    atomic_store(&restarted, true);
    return NULL;
}

static void restart(sx_vector_store *store)
{
    enum { BATCH = 500, MOST = 40000 };
    const char *name = "contract_restart";
    unsigned char *versions = calloc(MOST, 1);
    pthread_t thread;
    uint64_t count = 0, after = 0;
    sx_error error;
    if (!settings.restart) {
        printf("not run: restart (no --restart COMMAND)\n");
        free(versions);
        return;
    }
    make_collection(store, name, &plain);
    atomic_store(&restarted, false);
    pthread_create(&thread, NULL, restart_server, NULL);
    /* New records and old ones put again, until the server is back, and then some more. */
    while (after < 3 && count < MOST) {
        put(store, name, count, BATCH, 1);
        memset(versions + count, 1, BATCH);
        if (count) {
            uint64_t old = mix(count) % count / BATCH * BATCH;
            put(store, name, old, BATCH, 2);
            memset(versions + old, 2, BATCH);
        }
        count += BATCH;
        after += atomic_load(&restarted);
    }
    pthread_join(thread, NULL);
    finish(store, name);
    check_all(store, name, 0, count, versions, 0);
    /* A connection that died while nothing was asked is no error either. */
    pthread_create(&thread, NULL, restart_server, NULL);
    pthread_join(thread, NULL);
    check_all(store, name, 0, count, versions, 0);
    if (settings.verbose)
        fprintf(stderr, "restart: %llu records\n", (unsigned long long)count);
    expect(store->class->drop(store, name, &error), SX_OK, &error, "drop");
    free(versions);
}

int main(int argument_count, char **arguments)
{
    static const struct {
        const char *name;
        void (*run)(sx_vector_store *store);
    } cases[] = {
        {"collections", collections},
        {"records", records},
        {"query", query},
        {"odd", odd},
        {"nul_bytes", nul_bytes},
        {"mistakes", mistakes},
        {"wrong_address", wrong_address},
        {"concurrent", concurrent},
        {"restart", restart},
    };
    for (int i = 1; i < argument_count; i++) {
        const char *word = arguments[i], *value = i + 1 < argument_count ? arguments[i + 1] : NULL;
        if (strcmp(word, "--rounds") == 0)
            settings.rounds = true;
        else if (strcmp(word, "--verbose") == 0)
            settings.verbose = true;
        else if (strcmp(word, "--key") == 0 && value)
            settings.key = value, i++;
        else if (strcmp(word, "--restart") == 0 && value)
            settings.restart = value, i++;
        else if (strcmp(word, "--only") == 0 && value)
            settings.only = value, i++;
        else
            settings.url = word;
    }
    if (!settings.url) {
        fprintf(stderr, "store_contract URL [--key KEY] [--restart COMMAND] [--rounds] [--only CASE] [--verbose]\n");
        return 2;
    }
    sx_vector_store *store = connect_store();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (settings.only && strcmp(settings.only, cases[i].name) != 0)
            continue;
        current = cases[i].name;
        cases[i].run(store);
        printf("ok %s\n", current);
        fflush(stdout);
    }
    sx_vector_store_close(store);
    return 0;
}
