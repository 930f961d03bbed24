/* watch.c - sx_watch_...: what changes below some paths, told by the kernel (inotify(7)), gathered into bursts.
 *
 * Every folder that a walk would enter is watched. inotify tells names in watched folders, so a folder that is new is itself
 * named as changed: what was put into it before its own watch stood is found by looking at all of it. Where the kernel cannot
 * tell (its queue ran over, there are more folders than it watches, a path went away), the answer is to look at everything.
 * Editors that write a new file and rename it over the old one give one name like all others.
 *
 * Nothing is read here: the answer is only where to look, and looking twice is harmless. */
#include "watch.h"
#include "index_target.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../doc/walk.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { SETTLE_MS = 300, MOST_MS = 5000, POLL_MS = 10000, MOST_CHANGES = 10000, LOOK_AT_STOP_MS = 200, EVENT_BYTES = 64 * 1024 };

static const uint32_t events_wanted = IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_FROM |
                                      IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK;

typedef struct watched {
    int number; /* the kernel's */
    char *path; /* absolute */
} watched;

struct sx_watch {
    sx_watch_options options;
    sx_index_targets targets;
    char *excludes_file;
    int descriptor;   /* -1: polling */
    watched *folders; /* by number */
    size_t count, capacity;
    char **changes;
    size_t change_count, change_capacity;
    bool everything, lost; /* lost: a path is away; it is looked for now and then */
    char reason[256];
    sx_burst burst;
    sx_error *error; /* of the call that is going on */
};

/* ---- Bursts ---- */

void sx_burst_note(sx_burst *burst, int64_t now_ns)
{
    if (!burst->any)
        burst->first_ns = now_ns;
    burst->any = true;
    burst->last_ns = now_ns;
}

int64_t sx_burst_left(const sx_burst *burst, int64_t settle_ns, int64_t most_ns, int64_t now_ns)
{
    if (!burst->any)
        return -1;
    int64_t quiet = burst->last_ns + settle_ns - now_ns, end = burst->first_ns + most_ns - now_ns;
    int64_t left = quiet < end ? quiet : end;
    return left > 0 ? left : 0;
}

/* ---- What has changed ---- */

static void forget_changes(sx_watch *watch)
{
    for (size_t i = 0; i < watch->change_count; i++)
        free(watch->changes[i]);
    watch->change_count = 0;
}

static void note_everything(sx_watch *watch, const char *reason)
{
    watch->everything = true;
    snprintf(watch->reason, sizeof watch->reason, "%s", reason);
    sx_burst_note(&watch->burst, sx_system_clock.monotonic_ns(sx_system_clock.user));
}

/* Takes the path over. */
static sx_status note_change(sx_watch *watch, char *path)
{
    if (!path)
        return sx_fail_nomem(watch->error, 256);
    sx_burst_note(&watch->burst, sx_system_clock.monotonic_ns(sx_system_clock.user));
    bool known = watch->everything || (watch->change_count && !strcmp(watch->changes[watch->change_count - 1], path));
    if (!known && watch->change_count == MOST_CHANGES) {
        note_everything(watch, "many files changed at once");
        known = true;
    }
    if (known) {
        free(path);
        return SX_OK;
    }
    if (!sx_reserve((void **)&watch->changes, &watch->change_capacity, watch->change_count + 1, sizeof *watch->changes)) {
        free(path);
        return sx_fail_nomem(watch->error, sizeof *watch->changes);
    }
    watch->changes[watch->change_count++] = path;
    return SX_OK;
}

/* ---- Watched folders ---- */

static size_t place_of(const sx_watch *watch, int number)
{
    size_t low = 0, high = watch->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (watch->folders[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static watched *find_folder(sx_watch *watch, int number)
{
    size_t at = place_of(watch, number);
    return at < watch->count && watch->folders[at].number == number ? &watch->folders[at] : NULL;
}

static void drop_folder(sx_watch *watch, size_t at)
{
    free(watch->folders[at].path);
    memmove(&watch->folders[at], &watch->folders[at + 1], (watch->count - at - 1) * sizeof *watch->folders);
    watch->count--;
}

/* A folder that was moved away takes its watches along, which would tell of changes in a strange place. */
static void drop_tree(sx_watch *watch, const char *path)
{
    for (size_t i = watch->count; i-- > 0;)
        if (sx_path_is_in(watch->folders[i].path, path)) {
            inotify_rm_watch(watch->descriptor, watch->folders[i].number);
            drop_folder(watch, i);
        }
}

static void forget_folders(sx_watch *watch)
{
    for (size_t i = 0; i < watch->count; i++)
        free(watch->folders[i].path);
    watch->count = 0;
    if (watch->descriptor >= 0)
        close(watch->descriptor);
    watch->descriptor = -1;
}

static void begin_polling(sx_watch *watch, const char *why)
{
    char reason[sizeof watch->reason];
    forget_folders(watch);
    forget_changes(watch);
    snprintf(reason, sizeof reason, "%s; looking every %g s instead", why, watch->options.poll_ms / 1000.0);
    note_everything(watch, reason);
}

/* SX_OK also where nothing can be watched: then polling has begun. */
static sx_status add_folder(sx_watch *watch, const char *path)
{
    if (watch->descriptor < 0)
        return SX_OK;
    errno = ENOSPC;
    int number = watch->options.most_folders && watch->count >= watch->options.most_folders
                     ? -1
                     : inotify_add_watch(watch->descriptor, path, events_wanted);
    if (number < 0) {
        if (errno == ENOSPC || errno == ENOMEM)
            begin_polling(watch, "there are more folders than the system watches (fs.inotify.max_user_watches)");
        return SX_OK; /* gone again, or closed to us: then the run tells */
    }
    char *copy = sx_strdup(path);
    size_t at = place_of(watch, number);
    if (!copy || !sx_reserve((void **)&watch->folders, &watch->capacity, watch->count + 1, sizeof *watch->folders)) {
        free(copy);
        return sx_fail_nomem(watch->error, strlen(path));
    }
    if (at < watch->count && watch->folders[at].number == number) { /* known; it may have moved */
        free(watch->folders[at].path);
        watch->folders[at].path = copy;
        return SX_OK;
    }
    memmove(&watch->folders[at + 1], &watch->folders[at], (watch->count - at) * sizeof *watch->folders);
    watch->folders[at] = (watched){number, copy};
    watch->count++;
    return SX_OK;
}

typedef struct tree {
    sx_watch *watch;
    const char *root;
} tree;

static sx_status add_entered(const sx_walk_entry *entry, void *user, sx_error *error)
{
    tree *t = user;
    (void)error;
    if (entry->skip)
        return SX_OK;
    char *path = *entry->relative ? sx_path_join(t->root, entry->relative) : sx_strdup(t->root);
    sx_status status = path ? add_folder(t->watch, path) : sx_fail_nomem(t->watch->error, 256);
    free(path);
    return status;
}

/* Watches the folders of a target, or only what lies at `path` below it. */
static sx_status add_tree(sx_watch *watch, const sx_index_target *target, const char *path)
{
    const char *only = path + strlen(target->absolute);
    only += *only == '/';
    sx_walk_options options = {.folders = true,
                               .excludes_file = watch->excludes_file,
                               .include = watch->options.include,
                               .include_count = watch->options.include_count,
                               .exclude = watch->options.exclude,
                               .exclude_count = watch->options.exclude_count,
                               .only = &only,
                               .only_count = 1};
    tree t = {watch, target->absolute};
    sx_error gone;
    sx_status status = sx_walk(target->absolute, &options, add_entered, &t, &gone);
    return status == SX_E_NOMEM ? sx_fail_nomem(watch->error, 256) : SX_OK; /* what is away is told by the run */
}

static sx_status add_target(sx_watch *watch, const sx_index_target *target)
{
    if (target->is_folder)
        return add_tree(watch, target, target->absolute);
    char *folder = sx_strndup(target->absolute, (size_t)(sx_path_name(target->absolute) - target->absolute - 1));
    sx_status status = folder ? add_folder(watch, *folder ? folder : "/") : sx_fail_nomem(watch->error, 256);
    free(folder);
    return status;
}

static sx_status watch_all(sx_watch *watch)
{
    sx_status status = SX_OK;
    forget_folders(watch);
    watch->descriptor = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->descriptor < 0)
        begin_polling(watch, "the system has no more room for watches (fs.inotify.max_user_instances)");
    for (size_t i = 0; !status && i < watch->targets.count; i++)
        status = add_target(watch, &watch->targets.targets[i]);
    return status;
}

/* ---- Events ---- */

/* The target that a path belongs to, or NULL. */
static const sx_index_target *target_of(const sx_watch *watch, const char *path)
{
    for (size_t i = 0; i < watch->targets.count; i++)
        if (sx_path_is_in(path, watch->targets.targets[i].absolute))
            return &watch->targets.targets[i];
    return NULL;
}

static bool is_target(const sx_watch *watch, const char *path)
{
    for (size_t i = 0; i < watch->targets.count; i++)
        if (!strcmp(path, watch->targets.targets[i].absolute))
            return true;
    return false;
}

static sx_status take_event(sx_watch *watch, const struct inotify_event *event)
{
    if (event->mask & IN_Q_OVERFLOW) { /* folders may be among what was missed */
        note_everything(watch, "more changed at once than the system keeps");
        return watch_all(watch);
    }
    const watched *folder = find_folder(watch, event->wd);
    if (!folder)
        return SX_OK;
    if (event->mask & (IN_IGNORED | IN_UNMOUNT | IN_DELETE_SELF | IN_MOVE_SELF)) {
        if (is_target(watch, folder->path)) {
            watch->lost = true;
            note_everything(watch, "a path is gone");
        }
        if (event->mask & IN_IGNORED)
            drop_folder(watch, (size_t)(folder - watch->folders));
        return SX_OK;
    }
    char *path = event->len ? sx_path_join(folder->path, event->name) : sx_strdup(folder->path);
    if (!path)
        return sx_fail_nomem(watch->error, event->len);
    const sx_index_target *target = target_of(watch, path);
    sx_status status = SX_OK;
    if (target && event->mask & IN_ISDIR && event->mask & IN_MOVED_FROM)
        drop_tree(watch, path);
    else if (target && event->mask & IN_ISDIR && event->mask & (IN_CREATE | IN_MOVED_TO))
        status = add_tree(watch, target, path);
    if (status || !target) {
        free(path);
        return status;
    }
    return note_change(watch, path);
}

static sx_status read_events(sx_watch *watch)
{
    char *bytes = sx_aligned_calloc(_Alignof(struct inotify_event) > 16 ? _Alignof(struct inotify_event) : 16, 1, EVENT_BYTES);
    if (!bytes)
        return sx_fail_nomem(watch->error, EVENT_BYTES);
    sx_status status = SX_OK;
    int descriptor = watch->descriptor;
    while (!status && descriptor == watch->descriptor && descriptor >= 0) { /* it changes when all watches are made anew */
        ssize_t got = read(descriptor, bytes, EVENT_BYTES);
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            status = sx_fail_errno(watch->error, errno, "watching: changes cannot be read");
        if (got <= 0)
            break;
        for (ssize_t at = 0; !status && at < got && descriptor == watch->descriptor;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)(bytes + at);
            status = take_event(watch, event);
            at += (ssize_t)(sizeof *event + event->len);
        }
    }
    free(bytes);
    return status;
}

/* ---- Waiting ---- */

static bool all_are_there(const sx_watch *watch)
{
    struct stat about;
    for (size_t i = 0; i < watch->targets.count; i++)
        if (stat(watch->targets.targets[i].absolute, &about) != 0)
            return false;
    return true;
}

/* Waits for `wait_ns` or until there are events; a little at a time, so that a stop is seen. */
static void wait_a_little(sx_watch *watch, int64_t wait_ns)
{
    int64_t ms = (wait_ns + 999999) / 1000000;
    struct pollfd events = {.fd = watch->descriptor, .events = POLLIN};
    poll(&events, watch->descriptor >= 0, (int)(ms < LOOK_AT_STOP_MS ? ms : LOOK_AT_STOP_MS));
}

static sx_status wait_for_burst(sx_watch *watch, const volatile int *stop)
{
    const sx_clock *clock = &sx_system_clock;
    int64_t settle = (int64_t)watch->options.settle_ms * 1000000, most = (int64_t)watch->options.most_ms * 1000000;
    int64_t poll_at = clock->monotonic_ns(clock->user) + (int64_t)watch->options.poll_ms * 1000000;
    sx_status status = SX_OK;
    while (!status) {
        if (stop && *stop)
            return sx_fail(watch->error, SX_E_STOPPED, "stopped");
        int64_t now = clock->monotonic_ns(clock->user), left = sx_burst_left(&watch->burst, settle, most, now);
        if (!left)
            return SX_OK;
        if (now >= poll_at && left < 0) {
            poll_at = now + (int64_t)watch->options.poll_ms * 1000000;
            if (watch->descriptor < 0 && !watch->lost) {
                note_everything(watch, "");
                return SX_OK;
            }
            if (watch->lost && all_are_there(watch)) {
                watch->lost = false;
                note_everything(watch, "a path is back");
                return watch->options.always_poll ? SX_OK : watch_all(watch);
            }
        }
        int64_t until = left >= 0 ? left : poll_at - now;
        wait_a_little(watch, until > 0 ? until : 0);
        status = watch->descriptor >= 0 ? read_events(watch) : SX_OK;
    }
    return status;
}

sx_status sx_watch_next(sx_watch *watch, const volatile int *stop, sx_watch_news *news, sx_error *error)
{
    if (!watch || !news)
        return sx_fail(error, SX_E_INVALID, "sx_watch_next: watch or news is NULL");
    *news = (sx_watch_news){0};
    watch->error = error;
    if (!watch->burst.any) { /* what the caller has not looked at yet stays when it was stopped */
        forget_changes(watch);
        watch->everything = false;
        watch->reason[0] = '\0';
    }
    sx_status status = wait_for_burst(watch, stop);
    watch->error = NULL;
    if (status)
        return status;
    watch->burst = (sx_burst){0};
    news->everything = watch->everything;
    news->reason = watch->reason;
    if (!watch->everything) {
        news->paths = (const char *const *)watch->changes;
        news->count = watch->change_count;
    }
    return SX_OK;
}

/* ---- Opening and closing ---- */

sx_status sx_watch_open(const sx_watch_options *options, sx_watch **out, sx_error *error)
{
    if (out)
        *out = NULL;
    if (!options || !out)
        return sx_fail(error, SX_E_INVALID, "sx_watch_open: options or out is NULL");
    sx_watch *watch = sx_calloc(1, sizeof *watch);
    if (!watch)
        return sx_fail_nomem(error, sizeof *watch);
    watch->descriptor = -1;
    watch->error = error;
    sx_watch_options *known = &watch->options;
    sx_status status = sx_options_read(options, known, sizeof *known, "sx_watch_options", error);
    if (!status && (!known->paths || !known->path_count))
        status = sx_fail(error, SX_E_INVALID, "sx_watch_options: no paths");
    for (size_t i = 0; !status && i < known->path_count; i++)
        if (!known->paths[i])
            status = sx_fail(error, SX_E_INVALID, "sx_watch_options: paths[%zu] is NULL", i);
    if (!status) {
        known->settle_ms = known->settle_ms ? known->settle_ms : SETTLE_MS;
        known->most_ms = known->most_ms ? known->most_ms : MOST_MS;
        known->poll_ms = known->poll_ms ? known->poll_ms : POLL_MS;
        status = sx_index_targets_find(NULL, 0, known->paths, known->path_count, &watch->targets, error);
    }
    if (!status && known->excludes_file && !(watch->excludes_file = sx_strdup(known->excludes_file)))
        status = sx_fail_nomem(error, strlen(known->excludes_file));
    if (!status && !known->always_poll)
        status = watch_all(watch);
    watch->error = NULL;
    if (status) {
        sx_watch_close(watch);
        return status;
    }
    *out = watch;
    return SX_OK;
}

void sx_watch_close(sx_watch *watch)
{
    if (!watch)
        return;
    forget_folders(watch);
    forget_changes(watch);
    free(watch->folders);
    free(watch->changes);
    free(watch->excludes_file);
    sx_index_targets_clear(&watch->targets);
    free(watch);
}
