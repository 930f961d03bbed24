/* index_cut.c - a document's chunks and what became of each. */
#include "index_cut.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../doc/secret_patterns.h"

#include <stdlib.h>

sx_status sx_index_cut_make(const sx_document *document, const sx_chunk_options *options, const sx_chunk_context *context,
                            const sx_token_counter *counter, index_cut **out, sx_error *error)
{
    *out = NULL;
    index_cut *cut = sx_calloc(1, sizeof *cut);
    if (!cut)
        return sx_fail_nomem(error, sizeof *cut);
    sx_status status = sx_chunk_plan_make_for(options, document, context, counter, &cut->plan, error);
    if (!status)
        status = sx_chunk_document_in(document, &cut->plan, context, counter, &cut->list, error);
    if (!status) {
        cut->hashes = sx_calloc(cut->list.count, sizeof *cut->hashes);
        cut->reasons = sx_calloc(cut->list.count, sizeof *cut->reasons);
        if (!cut->hashes || !cut->reasons)
            status = sx_fail_nomem(error, cut->list.count * sizeof *cut->hashes);
    }
    if (status)
        sx_index_cut_free(cut);
    else
        *out = cut;
    return status;
}

/* The document is looked at as a whole: what is cut in two is a secret in both halves. */
sx_status sx_index_cut_hold_back(index_cut *cut, const sx_document *document, const char *provider, sx_error *error)
{
    sx_secret secret;
    size_t first = 0;
    for (size_t from = 0; sx_secret_find(document->text, document->length, from, &secret); from = secret.end) {
        size_t line = sx_secret_line(document->text, secret.start);
        if (!cut->held && !(cut->held = sx_calloc(cut->list.count, sizeof *cut->held)))
            return sx_fail_nomem(error, cut->list.count * sizeof *cut->held);
        while (first < cut->list.count && cut->list.chunks[first].end <= secret.start)
            first++;
        for (size_t i = first; i < cut->list.count && cut->list.chunks[i].start < secret.end; i++) {
            char reason[160];
            if (cut->held[i] || cut->list.chunks[i].end <= secret.start)
                continue;
            sx_secret_reason(secret.kind, line, provider, reason, sizeof reason);
            if (!(cut->held[i] = sx_strdup(reason)))
                return sx_fail_nomem(error, sizeof reason);
        }
    }
    return SX_OK;
}

static void clear_reasons(index_cut *cut)
{
    for (size_t i = 0; cut->reasons && i < cut->list.count; i++) {
        free(cut->reasons[i]);
        cut->reasons[i] = NULL;
    }
}

void sx_index_cut_restart(index_cut *cut)
{
    clear_reasons(cut);
    cut->next = cut->finished = 0;
    cut->embedded = cut->cached = cut->failed = cut->truncated = 0; /* the tokens stay: they were spent */
    cut->rounds++;
}

void sx_index_cut_free(index_cut *cut)
{
    if (!cut)
        return;
    clear_reasons(cut);
    for (size_t i = 0; cut->held && i < cut->list.count; i++)
        free(cut->held[i]);
    free(cut->held);
    free(cut->reasons);
    free(cut->hashes);
    sx_chunk_list_clear(&cut->list);
    free(cut);
}
