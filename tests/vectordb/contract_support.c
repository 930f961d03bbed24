/* contract_support.c - records made from a number, collections filled with them, and reading all back. */
#include "contract.h"

#include <jansson.h>

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct contract_settings contract_settings;
const char *contract_current = "start";

void contract_fail(const char *format, ...)
{
    char message[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    printf("FAILED %s: %s\n", contract_current, message);
    fflush(stdout);
    _exit(1);
}

void contract_expect(sx_status got, sx_status wanted, const sx_error *error, const char *what)
{
    if (got == wanted)
        return;
    contract_fail("%s: %s, not %s: %s", what, got ? sx_status_name(got) : "ok", wanted ? sx_status_name(wanted) : "ok",
                  got ? error->message : "");
}

static void log_line(sx_log_level level, const char *message, void *user)
{
    if (contract_settings.verbose)
        fprintf(stderr, "%d: %s\n", (int)level, message);
}

sx_vector_store *contract_connect(void)
{
    const sx_vector_store_options options = {.api_key = contract_settings.key, .timeout_s = 30, .attempts = 12, .log = log_line};
    sx_vector_store *store = NULL;
    sx_error error;
    contract_expect(sx_vector_store_open(contract_settings.url, &options, &store, &error), SX_OK, &error, "open");
    return store;
}

/* ---- Records made from a number ---- */

uint64_t contract_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

/* Of length 1, all different. */
void contract_make_vector(uint64_t seed, uint32_t dimensions, float *vector)
{
    double sum = 0;
    for (uint32_t i = 0; i < dimensions; i++) {
        vector[i] = (float)((double)(contract_mix(seed * 65537 + i) >> 11) / 9007199254740992.0 - 0.5);
        sum += (double)vector[i] * (double)vector[i];
    }
    for (uint32_t i = 0; i < dimensions; i++)
        vector[i] = (float)((double)vector[i] / sqrt(sum));
}

/* Record `number` in its version `version`: what differs between versions is text, metadata and vector. */
void contract_make(uint64_t number, uint64_t version, contract_made *to)
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
    contract_make_vector(number * 1000 + version, DIMENSIONS, to->vector);
}

sx_vector_record contract_record(const contract_made *from)
{
    return (sx_vector_record){.id = from->id,
                              .document = from->document,
                              .text = {from->text, strlen(from->text)},
                              .metadata = from->metadata,
                              .vector = from->vector};
}

const sx_vector_space contract_plain = {.dimensions = DIMENSIONS, .model = "contract-model", .space = "aa11"};

void contract_make_collection(sx_vector_store *store, const char *name, const sx_vector_space *space)
{
    sx_error error;
    sx_status status = store->class->drop(store, name, &error);
    if (status != SX_E_NOT_FOUND)
        contract_expect(status, SX_OK, &error, "drop what an earlier run left");
    contract_expect(store->class->create(store, name, space, &error), SX_OK, &error, "create");
}

void contract_finish(sx_vector_store *store, const char *name)
{
    sx_error error;
    if (store->class->finish)
        contract_expect(store->class->finish(store, name, &error), SX_OK, &error, "finish");
}

void contract_put(sx_vector_store *store, const char *name, uint64_t first, uint64_t count, uint64_t version)
{
    contract_made *all = calloc(count, sizeof *all);
    sx_vector_record *records = calloc(count, sizeof *records);
    sx_error error;
    for (uint64_t i = 0; i < count; i++) {
        contract_make(first + i, version, &all[i]);
        records[i] = contract_record(&all[i]);
    }
    contract_expect(store->class->upsert(store, name, records, count, &error), SX_OK, &error, "upsert");
    free(records);
    free(all);
}

uint64_t contract_count(sx_vector_store *store, const char *name)
{
    sx_vector_space space;
    sx_error error;
    uint64_t count = UINT64_MAX;
    contract_expect(store->class->describe(store, name, &space, &count, &error), SX_OK, &error, "describe");
    return count;
}

/* ---- Reading all back ---- */

bool contract_same_json(const char *a, const char *b)
{
    json_t *first = json_loads(a ? a : "{}", JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL),
           *second = json_loads(b ? b : "{}", JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool same = first && second && json_equal(first, second);
    json_decref(first);
    json_decref(second);
    return same;
}

bool contract_same_vector(const float *a, const float *b, uint32_t dimensions)
{
    for (uint32_t i = 0; i < dimensions; i++)
        if (contract_settings.rounds ? fabsf(a[i] - b[i]) > 1e-6f : memcmp(&a[i], &b[i], sizeof *a) != 0)
            return false;
    return true;
}

sx_status contract_check_record(const sx_vector_record *record, void *user, sx_error *error)
{
    contract_expectation *wanted = user;
    unsigned long long number, version = 0;
    contract_made should;
    if (sscanf(record->id, "record-%llu", &number) != 1 || number < wanted->first || number >= wanted->first + wanted->count)
        contract_fail("scan gives record %s, which was never put", record->id);
    size_t at = number - wanted->first;
    if (wanted->seen[at]++)
        contract_fail("scan gives record %s twice", record->id);
    if (!record->text.data || sscanf(record->text.data, "Text of record %llu, version %llu", &number, &version) != 2)
        contract_fail("record %s has the text %.*s", record->id, (int)record->text.length, record->text.data);
    if (wanted->any_below ? version < 1 || version > wanted->any_below : version != wanted->versions[at])
        contract_fail("record %s has version %llu", record->id, version);
    contract_make(wanted->first + at, version, &should);
    if (record->text.length != strlen(should.text) || memcmp(record->text.data, should.text, record->text.length) != 0)
        contract_fail("record %s: another text", record->id);
    if (!record->document || strcmp(record->document, should.document) != 0)
        contract_fail("record %s: document %s, not %s", record->id, record->document ? record->document : "(none)",
                      should.document);
    if (!contract_same_json(record->metadata, should.metadata))
        contract_fail("record %s: metadata %s, not %s", record->id, record->metadata ? record->metadata : "(none)",
                      should.metadata);
    if (!contract_same_vector(record->vector, should.vector, DIMENSIONS))
        contract_fail("record %s: another vector", record->id);
    return SX_OK;
}

void contract_check_all(sx_vector_store *store, const char *name, uint64_t first, uint64_t count, const unsigned char *versions,
                        unsigned char any_below)
{
    contract_expectation wanted = {first, count, versions, any_below, calloc(count, 1)};
    uint64_t there = 0;
    sx_error error;
    contract_expect(store->class->scan(store, name, contract_check_record, &wanted, &error), SX_OK, &error, "scan");
    for (uint64_t i = 0; i < count; i++) {
        bool should = any_below || versions[i];
        there += should;
        if (wanted.seen[i] != should)
            contract_fail("record %llu is %s", (unsigned long long)(first + i), should ? "lost" : "there, though it was removed");
    }
    free(wanted.seen);
    if (contract_count(store, name) != there)
        contract_fail("describe counts %llu records, and there are %llu", (unsigned long long)contract_count(store, name),
                      (unsigned long long)there);
}
