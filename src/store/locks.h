/* locks.h - who is alive and who holds what, in locks the kernel drops when their holder dies. */
#ifndef SX_STORE_LOCKS_H
#define SX_STORE_LOCKS_H

#include "sextant.h"

#include <stdbool.h>
#include <stdint.h>

/* Bytes of PATH-locks. The file stays empty: a lock needs no byte to be there. */
enum {
    SX_LOCK_OPEN = 0,     /* shared by everyone who has the database open; exclusive: restore, migration */
    SX_LOCK_SETUP = 1,    /* exclusive while a database is created or checked at open */
    SX_LOCK_EVICTION = 2, /* shared by jobs, which rely on vectors not yet referred to; exclusive: eviction */
    SX_LOCK_BATCHES = 3,  /* exclusive while jobs at a provider's batch interface are moved on */
    SX_LOCK_FIRST_WORKER = 16
};
/* From here on, one byte for each collection's job; below, one for each worker id. */
#define SX_LOCK_FIRST_LEASE ((int64_t)1 << 40)

typedef enum sx_lock_mode { SX_LOCK_NONE, SX_LOCK_SHARED, SX_LOCK_EXCLUSIVE } sx_lock_mode;

typedef struct sx_locks {
    int descriptor; /* -1: closed */
    char *path;
    int64_t worker; /* this handle's id; its byte is locked */
} sx_locks;

/* Opens (creating) database-locks without locking anything. */
sx_status sx_locks_open(sx_locks *locks, const char *database, sx_error *error);
void sx_locks_close(sx_locks *locks);
/* Takes a worker id nobody alive has. */
sx_status sx_locks_join(sx_locks *locks, sx_error *error);
/* Sets this handle's lock of a byte; *got false when another holds it. */
sx_status sx_locks_try(sx_locks *locks, int64_t byte, sx_lock_mode mode, bool *got, sx_error *error);
/* As sx_locks_try, waiting with back-off. *stop (may be NULL) non-zero ends it with SX_E_STOPPED. */
sx_status sx_locks_wait(sx_locks *locks, int64_t byte, sx_lock_mode mode, const volatile int *stop, sx_error *error);
void sx_locks_drop(sx_locks *locks, int64_t byte);
/* Whether another handle holds this byte. Errors count as yes: what is in doubt is left alone. */
bool sx_locks_held_elsewhere(const sx_locks *locks, int64_t byte);

/* Sleeps for the attempt-th try: 1 ms doubling to 50 ms, with jitter so that waiters do not march in step. */
void sx_back_off(unsigned attempt);

#endif
