/* index_report.c - what an index run tells: its report with every problem named, and its progress.
 *
 * The rate and the time left are taken over the last seconds, the time left by bytes, since files differ much in size.
 */
#include "index_job.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

static const int64_t show_interval_ns = 100000000, sample_interval_ns = 250000000, rate_window_ns = 8000000000;

int64_t sx_index_now(const index_job *job)
{
    return job->embedder->clock.monotonic_ns(job->embedder->clock.user);
}

bool sx_index_stopped(const index_job *job)
{
    return job->options.stop && *job->options.stop;
}

sx_status sx_index_stop_status(sx_error *error)
{
    sx_fail(error, SX_E_STOPPED, "indexing was stopped; what was done so far is kept");
    sx_hint(error, "the same call goes on where this one ended");
    return SX_E_STOPPED;
}

sx_status sx_index_report_make(sx_index_report **report, sx_error *error)
{
    *report = sx_calloc(1, sizeof **report);
    return *report ? SX_OK : sx_fail_nomem(error, sizeof **report);
}

static void free_problems(sx_problem *problems, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(problems[i].document);
        free(problems[i].reason);
    }
    free(problems);
}

void sx_index_report_free(sx_index_report *report)
{
    if (!report)
        return;
    free_problems(report->failed, report->failed_count);
    free_problems(report->skipped, report->skipped_count);
    free_problems(report->notes, report->note_count);
    free(report);
}

static sx_status add_problem(sx_problem **problems, size_t *count, size_t *capacity, const char *document, int64_t chunk,
                             const char *reason, sx_error *error)
{
    sx_problem problem = {sx_strdup(document), chunk, sx_strdup(reason)};
    if (!problem.document || !problem.reason ||
        !sx_reserve((void **)problems, capacity, *count + 1, sizeof **problems)) {
        free(problem.document);
        free(problem.reason);
        return sx_fail_nomem(error, sizeof problem);
    }
    (*problems)[(*count)++] = problem;
    return SX_OK;
}

sx_status sx_index_add_failed(index_job *job, const char *document, int64_t chunk, const char *reason, sx_error *error)
{
    return add_problem(&job->report->failed, &job->report->failed_count, &job->failed_capacity, document, chunk, reason,
                       error);
}

sx_status sx_index_add_skipped(index_job *job, const char *document, const char *reason, sx_error *error)
{
    job->report->documents.skipped++;
    return add_problem(&job->report->skipped, &job->report->skipped_count, &job->skipped_capacity, document, -1, reason,
                       error);
}

sx_status sx_index_add_note(index_job *job, const char *document, const char *reason, sx_error *error)
{
    return add_problem(&job->report->notes, &job->report->note_count, &job->note_capacity, document, -1, reason, error);
}

void sx_index_phase(index_job *job, const char *phase, const char *unit, uint64_t total, uint64_t bytes_total)
{
    job->progress = (index_progress){.phase = phase, .unit = unit, .total = total, .bytes_total = bytes_total};
    sx_index_show(job, true);
}

/* Bytes done, those of the window in hand by the share of its texts that are finished. */
static uint64_t bytes_done(const index_job *job)
{
    const index_progress *progress = &job->progress;
    if (!progress->window_texts)
        return progress->bytes_done;
    uint64_t finished = sx_pipeline_count(job->pipeline)->texts - progress->window_start;
    double share = (double)finished / (double)progress->window_texts;
    uint64_t done = progress->bytes_done + (uint64_t)((double)progress->window_bytes * (share < 1 ? share : 1));
    return done < progress->bytes_total ? done : progress->bytes_total; /* overlapping chunks count twice */
}

static void sample(index_progress *progress, int64_t now, uint64_t bytes)
{
    size_t count = progress->sample_count;
    if (count && now - progress->samples[count - 1].ns < sample_interval_ns)
        return;
    size_t old = 0;
    while (old < count && (now - progress->samples[old].ns > rate_window_ns || count - old >= SX_PROGRESS_SAMPLES))
        old++;
    memmove(progress->samples, progress->samples + old, (count - old) * sizeof *progress->samples);
    count -= old;
    progress->samples[count].ns = now;
    progress->samples[count].done = progress->done;
    progress->samples[count].bytes = bytes;
    progress->sample_count = count + 1;
}

void sx_index_show(index_job *job, bool now_please)
{
    index_progress *progress = &job->progress;
    int64_t now = sx_index_now(job);
    if (!job->options.progress || !progress->phase || (!now_please && now - progress->shown_ns < show_interval_ns))
        return;
    progress->shown_ns = now;
    uint64_t bytes = bytes_done(job);
    sample(progress, now, bytes);
    sx_progress shown = {
        .phase = progress->phase,
        .unit = progress->unit,
        .done = progress->done,
        .total = progress->total,
        .tokens = job->pipeline ? sx_pipeline_count(job->pipeline)->tokens : 0,
        .seconds = (double)(now - job->began_ns) / 1e9,
        .seconds_left = -1,
    };
    double span = (double)(now - progress->samples[0].ns) / 1e9;
    if (span > 0) {
        shown.rate = (double)(progress->done - progress->samples[0].done) / span;
        double byte_rate = (double)(bytes - progress->samples[0].bytes) / span;
        if (byte_rate > 0 && progress->bytes_total >= bytes)
            shown.seconds_left = (double)(progress->bytes_total - bytes) / byte_rate;
    }
    job->options.progress(&shown, job->options.progress_user);
}
