/* contract_odd.c - names, texts and metadata that nobody expects, mistakes of the caller, a server that is not there. */
#include "contract.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Collections and records with names and texts that nobody expects. */
static sx_status check_odd(const sx_vector_record *record, void *user, sx_error *error)
{
    const sx_vector_record *all = user;
    for (size_t i = 0; all[i].id; i++) {
        if (strcmp(all[i].id, record->id) != 0)
            continue;
        if (record->text.length != all[i].text.length || memcmp(record->text.data, all[i].text.data, record->text.length) != 0)
            contract_fail("record %s: another text of %zu bytes, not %zu", record->id, record->text.length, all[i].text.length);
        if (!contract_same_json(record->metadata, all[i].metadata))
            contract_fail("record %s: metadata %s, not %s", record->id, record->metadata ? record->metadata : "(none)",
                          all[i].metadata ? all[i].metadata : "(none)");
        if ((record->document && *record->document) != (all[i].document && *all[i].document) ||
            (record->document && all[i].document && strcmp(record->document, all[i].document) != 0))
            contract_fail("record %s: document %s", record->id, record->document ? record->document : "(none)");
        if (!contract_same_vector(record->vector, all[i].vector, DIMENSIONS))
            contract_fail("record %s: another vector", record->id);
        return SX_OK;
    }
    contract_fail("scan gives record %s, which was never put", record->id);
}

/* What a server cannot hold must be refused by the record's name, before anything of the call is there. */
static void refuse_long(sx_vector_store *store, const sx_vector_record *record)
{
    const char *name = "contract_long";
    sx_error error;
    if (record->text.length <= contract_settings.longest_text)
        return;
    contract_make_collection(store, name, &contract_plain);
    contract_expect(store->class->upsert(store, name, record, 1, &error), SX_E_LIMIT, &error, "upsert of a long text");
    if (!strstr(error.message, record->id) || contract_count(store, name))
        contract_fail("the record is not named, or it is there: %s", error.message);
    contract_expect(store->class->drop(store, name, &error), SX_OK, &error, "drop");
}

void contract_odd(sx_vector_store *store)
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
        contract_make_vector(555 + i, DIMENSIONS, vectors[i]);
        all[i].vector = vectors[i];
        if (contract_settings.longest_text && all[i].text.length > contract_settings.longest_text) {
            refuse_long(store, &all[i]);
            all[i].text.length = contract_settings.longest_text;
        }
    }
    sx_error error;
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        contract_make_collection(store, names[n], &contract_plain);
        contract_expect(store->class->upsert(store, names[n], all, RECORDS, &error), SX_OK, &error, names[n]);
    }
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        contract_finish(store, names[n]);
        contract_expect(store->class->scan(store, names[n], check_odd, all, &error), SX_OK, &error, "scan");
        if (contract_count(store, names[n]) != RECORDS)
            contract_fail("%s holds %llu records", names[n], (unsigned long long)contract_count(store, names[n]));
        const char *ids[] = {all[0].id, all[2].id};
        uint64_t removed;
        contract_expect(store->class->remove(store, names[n], ids, 2, &removed, &error), SX_OK, &error, "remove");
        if (removed != 2 || contract_count(store, names[n]) != RECORDS - 2)
            contract_fail("%s: %llu removed", names[n], (unsigned long long)removed);
        contract_expect(store->class->drop(store, names[n], &error), SX_OK, &error, "drop");
    }
    free(text);
}

/* A NUL byte comes back as it was, or is refused by the record's name, and then nothing of the call is lost or half there. */
void contract_nul_bytes(sx_vector_store *store)
{
    const char *name = "contract_nul";
    contract_made one;
    sx_error error;
    contract_make(1, 1, &one);
    sx_vector_record pair[3] = {
        contract_record(&one),
        {.id = "with nul", .text = {"a\0b", 3}, .metadata = "{\"x\": \"a\\u0000b\"}", .vector = one.vector}};
    contract_make_collection(store, name, &contract_plain);
    sx_status status = store->class->upsert(store, name, pair, 2, &error);
    if (status) {
        if (!strstr(error.message, "with nul"))
            contract_fail("the record is not named: %s", error.message);
        if (contract_count(store, name) != 0)
            contract_fail("a refused call left %llu records", (unsigned long long)contract_count(store, name));
    } else {
        contract_expect(store->class->scan(store, name, check_odd, pair, &error), SX_OK, &error, "scan");
        if (contract_count(store, name) != 2)
            contract_fail("%llu records", (unsigned long long)contract_count(store, name));
    }
    contract_expect(store->class->drop(store, name, &error), SX_OK, &error, "drop");
}

void contract_mistakes(sx_vector_store *store)
{
    const char *name = "contract_mistakes";
    contract_made one, two;
    sx_vector_hit *hits;
    size_t count;
    sx_error error;
    contract_make(1, 1, &one);
    contract_make(2, 1, &two);
    sx_vector_record pair[2] = {contract_record(&one), contract_record(&two)};
    contract_make_collection(store, name, &contract_plain);
    contract_expect(store->class->drop(store, name, &error), SX_OK, &error, "drop");
    contract_expect(store->class->upsert(store, name, pair, 2, &error), SX_E_NOT_FOUND, &error, "upsert into nothing");
    if (!strstr(error.message, name))
        contract_fail("the collection is not named: %s", error.message);
    contract_expect(store->class->query(store, name, one.vector, 3, NULL, NULL, 0, &hits, &count, &error), SX_E_NOT_FOUND, &error,
                    "query of nothing");
    contract_expect(store->class->scan(store, name, contract_check_record, NULL, &error), SX_E_NOT_FOUND, &error,
                    "scan of nothing");
    contract_make_collection(store, name, &contract_plain);
    contract_expect(store->class->query(store, name, one.vector, 3, NULL, NULL, 0, &hits, &count, &error), SX_OK, &error,
                    "query of an empty one");
    if (count)
        contract_fail("%zu hits in an empty collection", count);
    sx_vector_hits_free(hits, count);
    two.vector[5] = NAN;
    if (!store->class->upsert(store, name, pair, 2, &error))
        contract_fail("a vector with NaN was taken");
    if (!strstr(error.message, two.id))
        contract_fail("the record is not named: %s", error.message);
    contract_make(2, 1, &two);
    pair[1].metadata = "{\"broken\": ";
    if (!store->class->upsert(store, name, pair, 2, &error))
        contract_fail("broken metadata was taken");
    if (!strstr(error.message, two.id))
        contract_fail("the record is not named: %s", error.message);
    if (contract_count(store, name) != 0)
        contract_fail("refused calls left %llu records", (unsigned long long)contract_count(store, name));
    contract_expect(store->class->drop(store, name, &error), SX_OK, &error, "drop");
}

void contract_wrong_address(sx_vector_store *store)
{
    char url[256];
    const sx_vector_store_options options = {.api_key = "sesame", .timeout_s = 5, .attempts = 2};
    sx_vector_store *other = NULL;
    sx_vector_space space;
    sx_error error = {0};
    snprintf(url, sizeof url, "%.*s://127.0.0.1:1/nothing", (int)strcspn(contract_settings.url, ":"), contract_settings.url);
    sx_status status = sx_vector_store_open(url, &options, &other, &error);
    if (!status)
        status = other->class->describe(other, "x", &space, NULL, &error);
    contract_expect(status, SX_E_NETWORK, &error, "a server that is not there");
    if (!strstr(error.message, "127.0.0.1") || strstr(error.message, "sesame"))
        contract_fail("the server is not named, or the key is: %s", error.message);
    sx_vector_store_close(other);
}
