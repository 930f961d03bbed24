/* chunk_api.c - sx_chunk_file and sx_chunk_text: a document cut as index would cut it, for looking at. */
#include "embedder.h"
#include "index_cut.h"
#include "sentence_vectors.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../doc/code_outline.h"
#include "../doc/document.h"
#include "../provider/token_counter.h"

#include <stdlib.h>
#include <string.h>

static const size_t max_file_size = (size_t)1 << 30;

/* What is handed out begins with the public part. */
typedef struct owned_chunks {
    sx_chunks shown;
    sx_document document;
    index_cut *cut;
} owned_chunks;

void sx_chunks_free(sx_chunks *chunks)
{
    owned_chunks *owned = (owned_chunks *)chunks;
    if (!owned)
        return;
    sx_index_cut_free(owned->cut);
    sx_document_clear(&owned->document);
    free(owned);
}

typedef struct sentence_source {
    sx_embedder *embedder;
    sx_index_windows counts;
} sentence_source;

static sx_status embed_sentences(void *user, const sx_text *texts, size_t count, float *vectors, sx_error *error)
{
    sentence_source *source = user;
    bool ends;
    return sx_sentence_vectors(source->embedder->pipeline, texts, count, vectors, source->embedder->info.dimensions, NULL,
                               &source->counts, &ends, error);
}

/* embedder NULL: the model's own counter, and no strategy that compares sentences. */
static sx_status cut(owned_chunks *owned, const char *path, const sx_model *model, const char *prompt, sx_embedder *embedder,
                     const sx_chunk_options *options, sx_error *error)
{
    sx_token_counter counter = {0};
    sx_grammars *grammars = NULL;
    sx_status status = options->grammars ? sx_grammars_open(options->grammars, &grammars, error) : SX_OK;
    sentence_source source = {.embedder = embedder};
    sx_chunk_context context = {.grammars = grammars, .path = path ? sx_path_name(path) : NULL};
    const sx_token_counter *counted_by = embedder ? &embedder->provider->counter : model ? &counter : NULL;
    if (embedder) {
        context.embed = embed_sentences;
        context.embed_user = &source;
        context.dimensions = embedder->info.dimensions;
    }
    if (!status)
        status = model ? sx_model_counter_open(model, prompt, &counter, error) : SX_OK;
    if (!status)
        status = sx_index_cut_make(&owned->document, options, &context, counted_by, &owned->cut, error);
    if (!status)
        owned->shown = (sx_chunks){
            .text = owned->document.text,
            .length = owned->document.length,
            .media_type = owned->document.media_type,
            .encoding = owned->document.encoding,
            .title = owned->document.title,
            .chunks = owned->cut->list.chunks,
            .count = owned->cut->list.count,
            .language = owned->document.language,
            .not_parsed = owned->cut->list.not_parsed,
            .windows = source.counts,
        };
    sx_model_counter_close(&counter);
    sx_grammars_close(grammars);
    return status;
}

static sx_status open_chunks(const sx_chunk_options *options, sx_chunk_options *known, owned_chunks **owned, sx_error *error)
{
    sx_status status = sx_options_read(options, known, sizeof *known, "sx_chunk_options", error);
    if (status)
        return status;
    *owned = sx_calloc(1, sizeof **owned);
    return *owned ? SX_OK : sx_fail_nomem(error, sizeof **owned);
}

/* A reader's reason does not name the file: there are callers that list names and reasons side by side. */
static sx_status name_file(sx_status status, const char *path, const sx_error *problem, sx_error *error)
{
    if (!strncmp(problem->message, path, strlen(path)))
        sx_fail(error, status, "%s", problem->message);
    else
        sx_fail(error, status, "%s: %s", path, problem->message);
    if (problem->hint[0])
        sx_hint(error, "%s", problem->hint);
    return status;
}

static sx_status chunk_file(const char *path, const sx_model *model, const char *prompt, sx_embedder *embedder,
                            const sx_chunk_options *options, sx_chunks **out, sx_error *error)
{
    sx_chunk_options known;
    owned_chunks *owned = NULL;
    sx_status status = open_chunks(options, &known, &owned, error);
    if (status)
        return status;
    sx_error problem = {0};
    status = sx_document_read(path, max_file_size, &owned->document, NULL, &problem);
    if (status)
        status = name_file(status, path, &problem, error);
    else
        status = cut(owned, path, model, prompt, embedder, &known, error);
    if (status)
        sx_chunks_free(&owned->shown);
    else
        *out = &owned->shown;
    return status;
}

sx_status sx_chunk_file(const char *path, const sx_model *model, const char *prompt, const sx_chunk_options *options,
                        sx_chunks **out, sx_error *error)
{
    if (out)
        *out = NULL;
    if (!path || !out)
        return sx_fail(error, SX_E_INVALID, "sx_chunk_file: path or out is NULL");
    return chunk_file(path, model, prompt, NULL, options, out, error);
}

sx_status sx_embedder_chunk_file(sx_embedder *embedder, const char *path, const sx_chunk_options *options, sx_chunks **out,
                                 sx_error *error)
{
    if (out)
        *out = NULL;
    if (!embedder || !path || !out)
        return sx_fail(error, SX_E_INVALID, "sx_embedder_chunk_file: embedder, path or out is NULL");
    return chunk_file(path, NULL, NULL, embedder, options, out, error);
}

sx_status sx_chunk_text(sx_text text, const char *media_type, const sx_model *model, const char *prompt,
                        const sx_chunk_options *options, sx_chunks **out, sx_error *error)
{
    if (out)
        *out = NULL;
    if (!out || (!text.data && text.length))
        return sx_fail(error, SX_E_INVALID, "sx_chunk_text: text or out is NULL");
    sx_chunk_options known;
    owned_chunks *owned = NULL;
    sx_status status = open_chunks(options, &known, &owned, error);
    if (status)
        return status;
    status = sx_document_parse(text.data ? text.data : "", text.length, media_type ? media_type : "text/plain", &owned->document,
                               error);
    if (!status)
        status = cut(owned, NULL, model, prompt, NULL, &known, error);
    if (status)
        sx_chunks_free(&owned->shown);
    else
        *out = &owned->shown;
    return status;
}
