/* index_support.h - what the tests of pipeline, index and search share: a clock that only moves when somebody sleeps,
 * temporary folders, files, and a fake provider's embedder. */
#ifndef SX_TESTS_INDEX_SUPPORT_H
#define SX_TESTS_INDEX_SUPPORT_H

#include "sextant.h"

#include "base/clock.h"
#include "base/file.h"
#include "index/embedder.h"
#include "provider/provider_classes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct fake_clock {
    int64_t now, slept, longest;
    volatile int *stop; /* set when stop_at has come; may be NULL */
    int64_t stop_at;
} fake_clock;

static inline int64_t fake_now(void *user)
{
    return ((fake_clock *)user)->now;
}

static inline void fake_sleep(int64_t duration, void *user)
{
    fake_clock *clock = user;
    if (duration <= 0)
        return;
    clock->now += duration;
    clock->slept += duration;
    if (duration > clock->longest)
        clock->longest = duration;
    if (clock->stop && clock->now >= clock->stop_at)
        *clock->stop = 1;
}

static inline sx_clock clock_of(fake_clock *clock)
{
    return (sx_clock){fake_now, fake_now, fake_sleep, clock};
}

#define assert_ok(call)                                                                                                       \
    do {                                                                                                                      \
        sx_status status_ = (call);                                                                                           \
        if (status_)                                                                                                          \
            fail_msg("%s: %s: %s", #call, sx_status_name(status_), error.message);                                            \
    } while (0)

static inline char *make_folder(void)
{
    char pattern[] = "/tmp/sextant-test-XXXXXX";
    assert_non_null(mkdtemp(pattern));
    return strdup(pattern);
}

static inline void remove_folder(char *folder)
{
    char command[4200];
    snprintf(command, sizeof command, "chmod -R u+rwx '%s'; rm -rf '%s'", folder, folder);
    assert_int_equal(system(command), 0);
    free(folder);
}

static inline char *join(const char *a, const char *b)
{
    char *path = sx_path_join(a, b);
    assert_non_null(path);
    return path;
}

static inline void write_file(const char *folder, const char *name, const char *text)
{
    char *path = join(folder, name), *slash = strrchr(path, '/');
    *slash = '\0';
    sx_error error;
    assert_ok(sx_make_folders(path, &error));
    *slash = '/';
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
    free(path);
}

static inline sx_embedder *open_embedder(const char *reference, sx_database *cache, fake_clock *clock)
{
    sx_error error;
    sx_embedder *embedder;
    sx_embedder_options options = {.size = sizeof options, .model = reference, .cache = cache};
    sx_clock injected = {0};
    if (clock)
        injected = clock_of(clock);
    assert_ok(sx_embedder_open_clocked(&options, clock ? &injected : NULL, &embedder, &error));
    return embedder;
}

static inline const sx_fake_counts *counts_of(const sx_embedder *embedder)
{
    return sx_provider_fake_counts(embedder->provider);
}

#endif
