/* index_jobs.c - a queue of indexing jobs and the one thread that works on them.
 *
 * The thread is there only while there is something to do. What a job tells of itself is written under the lock into the job, and
 * read from there by whoever asks.
 */
#include "index_jobs.h"
#include "hits_json.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/json_writer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_JOBS = 64, MOST_PROBLEMS = 20 };

typedef enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_DONE, JOB_FAILED, JOB_STOPPED } job_state;
static const char *const state_names[] = {"queued", "running", "done", "failed", "stopped"};

typedef struct index_task {
    uint64_t id; /* 0: the place is free */
    const sx_index_source *source;
    char *collection;
    const char *model; /* as it is served */
    job_state state;
    volatile int stop;
    int64_t created_s, began_s, ended_s;
    char phase[64], unit[16];
    sx_progress progress;
    sx_error error;
    sx_buffer result; /* "documents":{...},... */
} index_task;

struct sx_index_jobs {
    sx_index_jobs_options options;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    index_task tasks[MOST_JOBS];
    uint64_t last_id;
    bool working, stopped;
};

static int64_t now_s(void)
{
    return sx_system_clock.wall_ns(sx_system_clock.user) / 1000000000;
}

sx_status sx_index_jobs_open(const sx_index_jobs_options *options, sx_index_jobs **out, sx_error *error)
{
    sx_index_jobs *jobs = *out = sx_calloc(1, sizeof *jobs);
    if (!jobs)
        return sx_fail_nomem(error, sizeof *jobs);
    jobs->options = *options;
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_cond_init(&jobs->ended, NULL);
    return SX_OK;
}

static bool is_open(const index_task *task)
{
    return task->id && (task->state == JOB_QUEUED || task->state == JOB_RUNNING);
}

static void clear_task(index_task *task)
{
    free(task->collection);
    sx_buffer_clear(&task->result);
    *task = (index_task){0};
}

void sx_index_jobs_stop(sx_index_jobs *jobs)
{
    if (!jobs)
        return;
    pthread_mutex_lock(&jobs->lock);
    jobs->stopped = true;
    for (size_t i = 0; i < MOST_JOBS; i++)
        jobs->tasks[i].stop = 1;
    pthread_mutex_unlock(&jobs->lock);
}

void sx_index_jobs_close(sx_index_jobs *jobs)
{
    if (!jobs)
        return;
    sx_index_jobs_stop(jobs);
    pthread_mutex_lock(&jobs->lock);
    while (jobs->working)
        pthread_cond_wait(&jobs->ended, &jobs->lock);
    pthread_mutex_unlock(&jobs->lock);
    for (size_t i = 0; i < MOST_JOBS; i++)
        clear_task(&jobs->tasks[i]);
    pthread_cond_destroy(&jobs->ended);
    pthread_mutex_destroy(&jobs->lock);
    free(jobs);
}

/* ---- Working ---- */

typedef struct job_run {
    sx_index_jobs *jobs;
    index_task *task;
} job_run;

static void set_name(char *to, size_t capacity, const char *name)
{
    size_t length = name ? strnlen(name, capacity - 1) : 0;
    if (length)
        memcpy(to, name, length);
    to[length] = '\0';
}

static void show(const sx_progress *progress, void *user)
{
    job_run *run = user;
    index_task *task = run->task;
    pthread_mutex_lock(&run->jobs->lock);
    task->progress = *progress;
    set_name(task->phase, sizeof task->phase, progress->phase);
    set_name(task->unit, sizeof task->unit, progress->unit);
    pthread_mutex_unlock(&run->jobs->lock);
}

/* The model that the collection was made with, malloc'ed; of a new one the server's first. */
static sx_status collection_model(sx_index_jobs *jobs, sx_database *database, const char *name, char **model,
                                  uint32_t *dimensions, sx_error *error)
{
    sx_database_status *there = NULL;
    *dimensions = 0;
    *model = NULL;
    sx_status status = sx_database_list(database, &there, error);
    for (size_t i = 0; !status && i < there->collection_count && !*model; i++)
        if (strcmp(there->collections[i].name, name) == 0) {
            *model = sx_strdup(there->collections[i].model);
            *dimensions = there->collections[i].dimensions;
        }
    sx_database_status_free(there);
    if (!status && !*model)
        *model = sx_strdup(jobs->options.model);
    return status ? status : *model ? SX_OK : sx_fail_nomem(error, 64);
}

static void run_task(sx_index_jobs *jobs, index_task *task)
{
    job_run run = {jobs, task};
    sx_error error = {0};
    sx_lent_database *lent = NULL;
    sx_embedder *embedder = NULL;
    sx_index_report *report = NULL;
    char *model = NULL;
    const char *served = NULL;
    uint32_t dimensions;
    sx_status status = sx_database_lend(jobs->options.pool, true, &lent, &error);
    if (!status)
        status = collection_model(jobs, lent->database, task->collection, &model, &dimensions, &error);
    if (!status)
        status = sx_lent_embedder(jobs->options.pool, lent, model, dimensions, &embedder, &served, &error);
    if (!status) {
        sx_index_options options = {.size = sizeof options,
                                    .collection = task->collection,
                                    .paths = &task->source->path,
                                    .path_count = 1,
                                    .progress = show,
                                    .progress_user = &run,
                                    .stop = &task->stop};
        status = sx_index(lent->database, embedder, &options, &report, &error);
    }
    sx_database_return(jobs->options.pool, lent);
    pthread_mutex_lock(&jobs->lock);
    task->model = served;
    if (report)
        sx_report_write_members(&task->result, report, MOST_PROBLEMS, "document");
    task->error = error;
    task->ended_s = now_s();
    task->state = !status ? JOB_DONE : status == SX_E_STOPPED ? JOB_STOPPED : JOB_FAILED;
    pthread_mutex_unlock(&jobs->lock);
    free(model);
    sx_index_report_free(report);
}

/* With the lock held: the next job in the order they came. */
static index_task *next_task(sx_index_jobs *jobs)
{
    index_task *next = NULL;
    for (size_t i = 0; i < MOST_JOBS; i++) {
        index_task *task = &jobs->tasks[i];
        if (task->id && task->state == JOB_QUEUED && task->stop) {
            task->state = JOB_STOPPED;
            task->ended_s = now_s();
        }
        if (task->id && task->state == JOB_QUEUED && (!next || task->id < next->id))
            next = task;
    }
    return next;
}

static void *work(void *user)
{
    sx_index_jobs *jobs = user;
    index_task *task;
    pthread_mutex_lock(&jobs->lock);
    while ((task = next_task(jobs))) {
        task->state = JOB_RUNNING;
        task->began_s = now_s();
        pthread_mutex_unlock(&jobs->lock);
        run_task(jobs, task);
        pthread_mutex_lock(&jobs->lock);
    }
    jobs->working = false;
    pthread_cond_broadcast(&jobs->ended);
    pthread_mutex_unlock(&jobs->lock);
    return NULL;
}

/* ---- Asking ---- */

/* With the lock held: a free place, or the one of the job that ended first. */
static index_task *free_place(sx_index_jobs *jobs)
{
    index_task *place = NULL;
    for (size_t i = 0; i < MOST_JOBS; i++) {
        index_task *task = &jobs->tasks[i];
        if (!task->id)
            return task;
        if (!is_open(task) && (!place || task->id < place->id))
            place = task;
    }
    return place;
}

static const sx_index_source *find_source(const sx_index_jobs *jobs, sx_text name)
{
    for (size_t i = 0; i < jobs->options.source_count; i++) {
        const sx_index_source *source = &jobs->options.sources[i];
        if (strlen(source->name) == name.length && memcmp(source->name, name.data, name.length) == 0)
            return source;
    }
    return NULL;
}

/* With the lock held. */
static sx_status queue(sx_index_jobs *jobs, const sx_index_source *source, sx_text collection, uint64_t *id, sx_error *error)
{
    pthread_t thread;
    if (jobs->stopped)
        return sx_fail(error, SX_E_STOPPED, "the server is ending");
    for (size_t i = 0; i < MOST_JOBS; i++) {
        const index_task *task = &jobs->tasks[i];
        if (is_open(task) && !task->stop && task->source == source && strlen(task->collection) == collection.length &&
            memcmp(task->collection, collection.data, collection.length) == 0)
            return sx_fail(error, SX_E_EXISTS, "job %llu indexes %s into %s already", (unsigned long long)task->id, source->name,
                           task->collection);
    }
    index_task *task = free_place(jobs);
    if (!task)
        return sx_fail(error, SX_E_BUSY, "%d jobs wait already", MOST_JOBS);
    char *name = sx_strndup(collection.data, collection.length);
    if (!name)
        return sx_fail_nomem(error, collection.length);
    clear_task(task);
    *task = (index_task){.id = ++jobs->last_id, .source = source, .collection = name, .created_s = now_s()};
    *id = task->id;
    if (jobs->working)
        return SX_OK;
    int problem = pthread_create(&thread, NULL, work, jobs);
    if (problem) {
        clear_task(task);
        return sx_fail_errno(error, problem, "a thread for the job could not be started");
    }
    pthread_detach(thread);
    jobs->working = true;
    return SX_OK;
}

sx_status sx_index_jobs_start(sx_index_jobs *jobs, sx_text name, sx_text collection, uint64_t *id, sx_error *error)
{
    const sx_index_source *source = find_source(jobs, name);
    if (!source) {
        sx_fail(error, SX_E_NOT_FOUND, "no source '%.*s'", (int)(name.length < 200 ? name.length : 200), name.data);
        sx_hint(error, "the server is told its sources when it is started: --source NAME=PATH; GET /v1/jobs lists them");
        return SX_E_NOT_FOUND;
    }
    pthread_mutex_lock(&jobs->lock);
    sx_status status = queue(jobs, source, collection, id, error);
    pthread_mutex_unlock(&jobs->lock);
    return status;
}

static index_task *find_task(sx_index_jobs *jobs, uint64_t id)
{
    for (size_t i = 0; id && i < MOST_JOBS; i++)
        if (jobs->tasks[i].id == id)
            return &jobs->tasks[i];
    return NULL;
}

sx_status sx_index_jobs_cancel(sx_index_jobs *jobs, uint64_t id, sx_error *error)
{
    pthread_mutex_lock(&jobs->lock);
    index_task *task = find_task(jobs, id);
    if (task && is_open(task)) {
        task->stop = 1;
        next_task(jobs); /* one that waits has ended by that */
    }
    pthread_mutex_unlock(&jobs->lock);
    return task ? SX_OK : sx_fail(error, SX_E_NOT_FOUND, "no job %llu", (unsigned long long)id);
}

static void member(sx_buffer *to, const char *before, const char *text)
{
    sx_buffer_append_string(to, before);
    sx_json_write_string(to, text, text ? strlen(text) : 0);
}

/* With the lock held. */
static void write_task(const index_task *task, sx_buffer *to)
{
    sx_buffer_printf(to, "{\"id\":%llu,\"state\":\"%s\"", (unsigned long long)task->id, state_names[task->state]);
    member(to, ",\"source\":", task->source->name);
    member(to, ",\"collection\":", task->collection);
    if (task->model)
        member(to, ",\"model\":", task->model);
    sx_buffer_printf(to, ",\"created\":%lld", (long long)task->created_s);
    if (task->began_s)
        sx_buffer_printf(to, ",\"started\":%lld", (long long)task->began_s);
    if (task->ended_s)
        sx_buffer_printf(to, ",\"ended\":%lld", (long long)task->ended_s);
    if (task->state == JOB_RUNNING && task->phase[0]) {
        const sx_progress *progress = &task->progress;
        member(to, ",\"progress\":{\"phase\":", task->phase);
        member(to, ",\"unit\":", task->unit);
        sx_buffer_printf(to, ",\"done\":%llu,\"total\":%llu,\"tokens\":%llu,\"rate\":", (unsigned long long)progress->done,
                         (unsigned long long)progress->total, (unsigned long long)progress->tokens);
        sx_json_write_double(to, progress->rate);
        sx_buffer_append_string(to, ",\"seconds\":");
        sx_json_write_double(to, progress->seconds);
        sx_buffer_append_string(to, ",\"seconds_left\":");
        if (progress->seconds_left < 0)
            sx_buffer_append_string(to, "null");
        else
            sx_json_write_double(to, progress->seconds_left);
        sx_buffer_append_byte(to, '}');
    }
    if (task->error.message[0] && task->state == JOB_FAILED) {
        member(to, ",\"error\":{\"code\":", sx_status_name(task->error.code));
        member(to, ",\"message\":", task->error.message);
        member(to, ",\"hint\":", task->error.hint);
        sx_buffer_append_byte(to, '}');
    }
    if (task->result.length) {
        sx_buffer_append_string(to, ",\"result\":{");
        sx_buffer_append(to, task->result.data, task->result.length);
        sx_buffer_append_byte(to, '}');
    }
    sx_buffer_append_byte(to, '}');
}

bool sx_index_jobs_write(sx_index_jobs *jobs, uint64_t id, sx_buffer *to)
{
    pthread_mutex_lock(&jobs->lock);
    const index_task *task = find_task(jobs, id);
    if (task)
        write_task(task, to);
    pthread_mutex_unlock(&jobs->lock);
    return task;
}

void sx_index_jobs_write_all(sx_index_jobs *jobs, sx_buffer *to)
{
    bool any = false;
    sx_buffer_append_string(to, "{\"jobs\":[");
    pthread_mutex_lock(&jobs->lock);
    for (uint64_t below = UINT64_MAX; below;) { /* newest first */
        const index_task *task = NULL;
        for (size_t i = 0; i < MOST_JOBS; i++)
            if (jobs->tasks[i].id < below && jobs->tasks[i].id > (task ? task->id : 0))
                task = &jobs->tasks[i];
        below = task ? task->id : 0;
        if (!task)
            continue;
        if (any)
            sx_buffer_append_byte(to, ',');
        write_task(task, to);
        any = true;
    }
    pthread_mutex_unlock(&jobs->lock);
    sx_buffer_append_string(to, "],\"sources\":[");
    for (size_t i = 0; i < jobs->options.source_count; i++)
        member(to, i ? "," : "", jobs->options.sources[i].name);
    sx_buffer_append_string(to, "]}");
}
