/* contract_load.c - several connections at once, and a server that dies in the middle of a load and comes back. */
#include "contract.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    sx_vector_store *store = contract_connect();
    for (uint64_t round = 1; round <= WRITES; round++)
        for (uint64_t first = 0; first < SHARED; first += 60)
            contract_put(store, self->name, (first + self->seed * 60 * round) % SHARED, 60, round);
    sx_vector_store_close(store);
    return NULL;
}

static void *read_many(void *user)
{
    worker *self = user;
    sx_vector_store *store = contract_connect();
    sx_error error;
    while (!atomic_load(self->stop)) {
        unsigned char seen[SHARED] = {0};
        contract_expectation wanted = {0, SHARED, NULL, WRITES, seen};
        float vector[DIMENSIONS];
        sx_vector_hit *hits;
        size_t count;
        contract_make_vector(self->seed + self->rounds, DIMENSIONS, vector);
        contract_expect(store->class->query(store, self->name, vector, 10, NULL, NULL, 0, &hits, &count, &error), SX_OK, &error,
                        "query meanwhile");
        if (count != 10)
            contract_fail("%zu of 10 hits while others write", count);
        sx_vector_hits_free(hits, count);
        contract_expect(store->class->scan(store, self->name, contract_check_record, &wanted, &error), SX_OK, &error,
                        "scan meanwhile");
        for (int i = 0; i < SHARED; i++)
            if (!seen[i])
                contract_fail("record %d is not in a scan while others write", i);
        self->rounds++;
    }
    sx_vector_store_close(store);
    return NULL;
}

void contract_concurrent(sx_vector_store *store)
{
    const char *name = "contract_concurrent";
    atomic_bool stop = false;
    worker workers[4];
    pthread_t threads[4];
    sx_error error;
    contract_make_collection(store, name, &contract_plain);
    contract_put(store, name, 0, SHARED, 1);
    contract_finish(store, name);
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
        contract_fail("the readers did not come to read");
    contract_check_all(store, name, 0, SHARED, NULL, WRITES);
    contract_expect(store->class->drop(store, name, &error), SX_OK, &error, "drop");
}

/* ---- The server goes down in the middle ---- */

static atomic_bool restarted;

static void *restart_server(void *user)
{
    usleep(150000);
    int code = system(contract_settings.restart);
    if (code != 0)
        contract_fail("the restart command ended with %d", code);
    atomic_store(&restarted, true);
    return NULL;
}

void contract_restart(sx_vector_store *store)
{
    enum { BATCH = 500, MOST = 40000 };
    const char *name = "contract_restart";
    unsigned char *versions = calloc(MOST, 1);
    pthread_t thread;
    uint64_t count = 0, after = 0;
    sx_error error;
    if (!contract_settings.restart) {
        printf("not run: restart (no --restart COMMAND)\n");
        free(versions);
        return;
    }
    contract_make_collection(store, name, &contract_plain);
    atomic_store(&restarted, false);
    pthread_create(&thread, NULL, restart_server, NULL);
    /* New records and old ones put again, until the server is back, and then some more. */
    while (after < 3 && count < MOST) {
        contract_put(store, name, count, BATCH, 1);
        memset(versions + count, 1, BATCH);
        if (count) {
            uint64_t old = contract_mix(count) % count / BATCH * BATCH;
            contract_put(store, name, old, BATCH, 2);
            memset(versions + old, 2, BATCH);
        }
        count += BATCH;
        after += atomic_load(&restarted);
    }
    pthread_join(thread, NULL);
    contract_finish(store, name);
    contract_check_all(store, name, 0, count, versions, 0);
    /* A connection that died while nothing was asked is no error either. */
    pthread_create(&thread, NULL, restart_server, NULL);
    pthread_join(thread, NULL);
    contract_check_all(store, name, 0, count, versions, 0);
    if (contract_settings.verbose)
        fprintf(stderr, "restart: %llu records\n", (unsigned long long)count);
    contract_expect(store->class->drop(store, name, &error), SX_OK, &error, "drop");
    free(versions);
}
