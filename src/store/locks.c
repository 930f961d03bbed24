/* locks.c - Linux open-file-description locks (fcntl(2), F_OFD_SETLK) on bytes of PATH-locks.
 *
 * They belong to the open file, not to the process: two handles in one process exclude each other as two processes do, closing
 * another descriptor of the file drops nothing, and the kernel releases them when the last descriptor goes, kill -9 included. */
#include "locks.h"

#include "../base/clock.h"
#include "../base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

void sx_back_off(unsigned attempt)
{
    int64_t milliseconds = attempt < 6 ? (int64_t)1 << attempt : 50;
    uint32_t jitter = 0;
    if (getrandom(&jitter, sizeof jitter, GRND_NONBLOCK) != sizeof jitter)
        jitter = (uint32_t)sx_system_clock.monotonic_ns(sx_system_clock.user);
    int64_t duration = milliseconds * 1000000;
    sx_system_clock.sleep_ns(duration / 2 + (int64_t)(jitter % (uint32_t)duration), sx_system_clock.user);
}

sx_status sx_locks_open(sx_locks *locks, const char *database, sx_error *error)
{
    *locks = (sx_locks){.descriptor = -1};
    if (asprintf(&locks->path, "%s-locks", database) < 0) {
        locks->path = NULL;
        return sx_fail_nomem(error, 64);
    }
    locks->descriptor = open(locks->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (locks->descriptor >= 0)
        return SX_OK;
    int reason = errno;
    sx_status status = sx_fail_errno(error, reason, "%s: cannot be opened for writing", locks->path);
    if (reason == EACCES || reason == EPERM || reason == EROFS) {
        status = SX_E_READ_ONLY;
        if (error)
            error->code = status;
        sx_hint(error, "a database needs a folder this user may write to, also for searching");
    }
    sx_locks_close(locks);
    return status;
}

void sx_locks_close(sx_locks *locks)
{
    if (locks->descriptor >= 0)
        close(locks->descriptor);
    free(locks->path);
    *locks = (sx_locks){.descriptor = -1};
}

sx_status sx_locks_try(sx_locks *locks, int64_t byte, sx_lock_mode mode, bool *got, sx_error *error)
{
    struct flock lock = {.l_type = mode == SX_LOCK_EXCLUSIVE ? F_WRLCK
                                   : mode == SX_LOCK_SHARED  ? F_RDLCK
                                                             : F_UNLCK,
                         .l_whence = SEEK_SET,
                         .l_start = byte,
                         .l_len = 1};
    *got = false;
    int result;
    do
        result = fcntl(locks->descriptor, F_OFD_SETLK, &lock);
    while (result != 0 && errno == EINTR);
    if (result == 0) {
        *got = true;
        return SX_OK;
    }
    if (errno == EAGAIN || errno == EACCES)
        return SX_OK;
    return sx_fail_errno(error, errno, "%s: byte %lld cannot be locked", locks->path, (long long)byte);
}

sx_status sx_locks_wait(sx_locks *locks, int64_t byte, sx_lock_mode mode, const volatile int *stop, sx_error *error)
{
    for (unsigned attempt = 0;; attempt++) {
        bool got;
        sx_status status = sx_locks_try(locks, byte, mode, &got, error);
        if (status || got)
            return status;
        if (stop && *stop)
            return sx_fail(error, SX_E_STOPPED, "%s: stopped while waiting for another process", locks->path);
        sx_back_off(attempt);
    }
}

void sx_locks_drop(sx_locks *locks, int64_t byte)
{
    bool got;
    (void)sx_locks_try(locks, byte, SX_LOCK_NONE, &got, NULL);
}

bool sx_locks_held_elsewhere(const sx_locks *locks, int64_t byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(locks->descriptor, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

sx_status sx_locks_join(sx_locks *locks, sx_error *error)
{
    for (;;) {
        uint64_t random;
        if (getrandom(&random, sizeof random, 0) != sizeof random)
            return sx_fail_errno(error, errno, "%s: no random number for this process", locks->path);
        int64_t worker = (int64_t)(random % ((uint64_t)SX_LOCK_FIRST_LEASE - SX_LOCK_FIRST_WORKER)) + SX_LOCK_FIRST_WORKER;
        bool got;
        sx_status status = sx_locks_try(locks, worker, SX_LOCK_EXCLUSIVE, &got, error);
        if (status)
            return status;
        if (got) {
            locks->worker = worker;
            return SX_OK;
        }
    }
}
