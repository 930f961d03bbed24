/* store_contract.c - what every vector store has to do, written once against the table of functions and run on a real server.
 *
 *     store_contract URL [--key KEY] [--restart COMMAND] [--rounds] [--longest-text N] [--only CASE] [--verbose]
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
 *   --longest-text N   the server takes no text of more bytes: then a longer one must be refused by the record's name
 *   --only CASE        one case
 * A line for each case: "ok NAME", or "FAILED NAME: why" and exit code 1. Collections of earlier runs are dropped first.
 */
#include "contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void collections(sx_vector_store *store)
{
    const char *name = "contract_collections";
    sx_vector_space space, other = contract_plain;
    uint64_t count;
    sx_error error;
    contract_make_collection(store, name, &contract_plain);
    contract_expect(store->class->create(store, name, &contract_plain, &error), SX_OK, &error, "create what is there");
    contract_expect(store->class->describe(store, name, &space, &count, &error), SX_OK, &error, "describe");
    if (count != 0 || space.dimensions != DIMENSIONS || !space.model || strcmp(space.model, "contract-model") != 0 ||
        !space.space || strcmp(space.space, "aa11") != 0 || (space.similarity && strcmp(space.similarity, "cosine") != 0))
        contract_fail("describe: %u dimensions, model %s, space %s, similarity %s, %llu records", space.dimensions,
                      space.model ? space.model : "-", space.space ? space.space : "-", space.similarity ? space.similarity : "-",
                      (unsigned long long)count);
    other.dimensions = DIMENSIONS + 1;
    contract_expect(store->class->create(store, name, &other, &error), SX_E_MISMATCH, &error, "create with other dimensions");
    if (!strstr(error.message, "24") || !strstr(error.message, "25") || !strstr(error.message, name))
        contract_fail("the error names neither both dimensions nor the collection: %s", error.message);
    other = contract_plain;
    other.model = "another-model";
    contract_expect(store->class->create(store, name, &other, &error), SX_E_MISMATCH, &error, "create with another model");
    if (!strstr(error.message, "another-model") || !strstr(error.message, "contract-model"))
        contract_fail("the error does not name both models: %s", error.message);
    contract_put(store, name, 0, 10, 1);
    contract_expect(store->class->drop(store, name, &error), SX_OK, &error, "drop");
    contract_expect(store->class->drop(store, name, &error), SX_E_NOT_FOUND, &error, "drop again");
    contract_expect(store->class->describe(store, name, &space, NULL, &error), SX_E_NOT_FOUND, &error,
                    "describe what was dropped");
    contract_make_collection(store, name, &other); /* nothing of the old one is left */
    if (contract_count(store, name) != 0)
        contract_fail("a collection contract_made again holds %llu records", (unsigned long long)contract_count(store, name));
    contract_expect(store->class->drop(store, name, &error), SX_OK, &error, "drop");
}

static void records(sx_vector_store *store)
{
    enum { COUNT = 700 };
    const char *name = "contract_records", *gone[] = {"record-000003", "record-000699", "never was", "record-000400"};
    unsigned char versions[COUNT];
    uint64_t removed = 0;
    sx_error error;
    contract_made twice[3];
    sx_vector_record both[3];
    contract_make_collection(store, name, &contract_plain);
    contract_expect(store->class->upsert(store, name, NULL, 0, &error), SX_OK, &error, "upsert of nothing");
    memset(versions, 1, sizeof versions);
    contract_put(store, name, 0, COUNT, 1);
    contract_check_all(store, name, 0, COUNT, versions, 0);
    contract_put(store, name, 0, COUNT, 1); /* the same again */
    contract_check_all(store, name, 0, COUNT, versions, 0);
    contract_finish(store, name);
    contract_put(store, name, 100, 150, 2);
    memset(versions + 100, 2, 150);
    contract_check_all(store, name, 0, COUNT, versions, 0);
    contract_expect(store->class->remove(store, name, gone, 4, &removed, &error), SX_OK, &error, "remove");
    if (removed != 3)
        contract_fail("remove says %llu of 3", (unsigned long long)removed);
    contract_expect(store->class->remove(store, name, gone, 4, NULL, &error), SX_OK, &error, "remove what is gone");
    contract_expect(store->class->remove(store, name, NULL, 0, NULL, &error), SX_OK, &error, "remove nothing");
    versions[3] = versions[699] = versions[400] = 0;
    contract_check_all(store, name, 0, COUNT, versions, 0);
    contract_put(store, name, 400, 1, 3);
    versions[400] = 3;
    for (int i = 0; i < 3; i++) { /* the same id three times in one call: the last one counts */
        contract_make(500, (uint64_t)(4 + i), &twice[i]);
        both[i] = contract_record(&twice[i]);
    }
    contract_expect(store->class->upsert(store, name, both, 3, &error), SX_OK, &error, "upsert of one id three times");
    versions[500] = 6;
    contract_check_all(store, name, 0, COUNT, versions, 0);
    contract_finish(store, name);
    contract_check_all(store, name, 0, COUNT, versions, 0);
    contract_expect(store->class->drop(store, name, &error), SX_OK, &error, "drop");
}

int main(int argument_count, char **arguments)
{
    static const struct {
        const char *name;
        void (*run)(sx_vector_store *store);
    } cases[] = {
        {"collections", collections},
        {"records", records},
        {"query", contract_query},
        {"odd", contract_odd},
        {"nul_bytes", contract_nul_bytes},
        {"mistakes", contract_mistakes},
        {"wrong_address", contract_wrong_address},
        {"concurrent", contract_concurrent},
        {"restart", contract_restart},
    };
    for (int i = 1; i < argument_count; i++) {
        const char *word = arguments[i], *value = i + 1 < argument_count ? arguments[i + 1] : NULL;
        if (strcmp(word, "--rounds") == 0)
            contract_settings.rounds = true;
        else if (strcmp(word, "--verbose") == 0)
            contract_settings.verbose = true;
        else if (strcmp(word, "--key") == 0 && value)
            contract_settings.key = value, i++;
        else if (strcmp(word, "--restart") == 0 && value)
            contract_settings.restart = value, i++;
        else if (strcmp(word, "--longest-text") == 0 && value)
            contract_settings.longest_text = strtoul(value, NULL, 10), i++;
        else if (strcmp(word, "--only") == 0 && value)
            contract_settings.only = value, i++;
        else
            contract_settings.url = word;
    }
    if (!contract_settings.url) {
        fprintf(stderr, "store_contract URL [--key KEY] [--restart COMMAND] [--rounds] [--longest-text N] [--only CASE] "
                        "[--verbose]\n");
        return 2;
    }
    sx_vector_store *store = contract_connect();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (contract_settings.only && strcmp(contract_settings.only, cases[i].name) != 0)
            continue;
        contract_current = cases[i].name;
        cases[i].run(store);
        printf("ok %s\n", contract_current);
        fflush(stdout);
    }
    sx_vector_store_close(store);
    return 0;
}
