/* sentence_vectors.c - windows of sentences through the pipeline, for the chunker. Their vectors stay in the cache, so that a
 * document that is cut again, or after an edit, embeds only what is new in it. */
#include "sentence_vectors.h"
#include "estimate.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <math.h>
#include <stdlib.h>

enum { LOOKUP_BLOCK = 512 };

sx_status sx_sentence_vectors(sx_pipeline *pipeline, const sx_text *texts, size_t count, float *vectors, uint32_t dimensions,
                              const volatile int *stop, sx_index_windows *counts, bool *ends, sx_error *error)
{
    sx_pipeline_item *items = sx_calloc(count, sizeof *items);
    *ends = false;
    if (!items)
        return sx_fail_nomem(error, count * sizeof *items);
    for (size_t i = 0; i < count; i++)
        items[i] = (sx_pipeline_item){.text = texts[i], .vector = vectors + i * (size_t)dimensions};
    sx_status status = sx_pipeline_run(pipeline, items, count, stop, error);
    *ends = status != SX_OK;
    for (size_t i = 0; i < count; i++) {
        const sx_receipt *receipt = &items[i].receipt;
        if (!items[i].reached)
            continue;
        counts->total++;
        counts->cached += !receipt->status && receipt->cached;
        counts->embedded += !receipt->status && !receipt->cached;
        counts->tokens += !receipt->status && !receipt->cached ? receipt->tokens : 0;
        if (receipt->status && receipt->status != SX_E_DENIED && !status)
            status = sx_fail(error, receipt->status, "a window of sentences could not be embedded: %.400s",
                             receipt->message ? receipt->message : sx_status_name(receipt->status));
    }
    free(items);
    return status;
}

/* Adds what the windows would cost to the sum, whose texts are chunks where it tells what is left. */
static sx_status estimate(index_job *job, const sx_text *texts, size_t count, sx_error *error)
{
    bool known[LOOKUP_BLOCK];
    sx_spend *sum = job->options.dry_run ? &job->report->cost : &job->report->left, one = {0};
    sx_status status = sx_estimate_texts(job->embedder, job->database, job->recipe, &job->counted, texts, NULL, count, known,
                                         &one, error);
    sum->tokens += one.tokens;
    sum->unpriced_tokens += one.unpriced_tokens;
    sum->usd += one.usd;
    sum->requests += one.requests;
    if (job->options.dry_run) {
        sum->texts += one.texts;
        sum->cached += one.cached;
        job->report->windows.total += count;
        job->report->windows.tokens += one.tokens;
        for (size_t i = 0; !status && i < count; i++) {
            job->report->windows.cached += known[i];
            job->report->windows.embedded += !known[i];
        }
    }
    return status;
}

static sx_status take_stored(index_job *job, const sx_text *texts, size_t count, float *vectors, sx_error *error)
{
    sx_sha256 hashes[LOOKUP_BLOCK];
    sx_vector_row rows[LOOKUP_BLOCK] = {0};
    for (size_t i = 0; i < count * job->embedder->info.dimensions; i++)
        vectors[i] = NAN;
    for (size_t i = 0; i < count; i++)
        sx_sha256_of(texts[i].data, texts[i].length, &hashes[i]);
    return sx_store_lookup(job->database, job->recipe, hashes, count, rows, vectors, error);
}

sx_status sx_index_sentence_vectors(void *user, const sx_text *texts, size_t count, float *vectors, sx_error *error)
{
    index_job *job = user;
    sx_status status = sx_index_transaction_end(job, error);
    if (!status && !job->options.dry_run && !job->out_of_budget) {
        status = sx_sentence_vectors(job->pipeline, texts, count, vectors, job->embedder->info.dimensions, job->options.stop,
                                     &job->report->windows, &job->ended, error);
        if (status != SX_E_LIMIT || !sx_pipeline_count(job->pipeline)->out_of_budget)
            return status;
        job->out_of_budget = true;
        job->ended = false;
        status = SX_OK;
    }
    for (size_t start = 0; !status && start < count; start += LOOKUP_BLOCK) {
        size_t block = count - start < LOOKUP_BLOCK ? count - start : LOOKUP_BLOCK;
        status = estimate(job, texts + start, block, error);
        if (!status)
            status = take_stored(job, texts + start, block, vectors + start * job->embedder->info.dimensions, error);
    }
    return status;
}
