/* chunk_document.c - the chunks of a document: sets the chunker up, lets the plan's strategy run, and cleans up. */
#include "chunk_internal.h"

#include "../base/error.h"

#include <stdlib.h>
#include <string.h>

static sx_status run_strategy(sx_chunker *chunker)
{
    static const sx_recursive_context plain = {0};
    switch (chunker->method) {
    case SX_CHUNK_RECURSIVE: return sx_chunk_recursively(chunker, 0, chunker->length, &plain);
    case SX_CHUNK_TOKENS:
    case SX_CHUNK_CHARS: return sx_chunk_windows(chunker);
    case SX_CHUNK_SENTENCES:
    case SX_CHUNK_PARAGRAPHS: return sx_chunk_units(chunker);
    case SX_CHUNK_SECTIONS: return sx_chunk_sections(chunker);
    case SX_CHUNK_CODE: return sx_chunk_code(chunker);
    case SX_CHUNK_SEMANTIC: return sx_chunk_semantically(chunker);
    }
    return sx_fail(chunker->error, SX_E_INTERNAL, "chunk method %d", (int)chunker->method);
}

/* White space and a byte order mark are no text. */
static bool is_blank_document(const sx_document *document)
{
    size_t start = document->length >= 3 && memcmp(document->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    return document->length == 0 || sx_skip_blank(document->text, document->length, start) == document->length;
}

sx_status sx_chunk_document(const sx_document *document, const sx_chunk_plan *plan, const sx_token_counter *counter,
                            sx_chunk_list *list, sx_error *error)
{
    return sx_chunk_document_in(document, plan, NULL, counter, list, error);
}

sx_status sx_chunk_document_in(const sx_document *document, const sx_chunk_plan *plan, const sx_chunk_context *context,
                               const sx_token_counter *counter, sx_chunk_list *list, sx_error *error)
{
    static const sx_chunk_context nothing = {0};
    if (!document || !plan || !list)
        return sx_fail(error, SX_E_INVALID, "chunks of a document: NULL argument");
    memset(list, 0, sizeof *list);
    sx_chunker chunker = {.document = document, .text = document->text, .length = document->length, .plan = plan, .context = context ? context : &nothing,
                          .counter = counter, .list = list, .error = error, .cached_section = UINT32_MAX,
                          .scratch = {.maximum = SIZE_MAX / 2}};
    if (!sx_chunk_method_of(plan->strategy, &chunker.method))
        return sx_fail(error, SX_E_INVALID, "chunk strategy \"%.15s\": not known", plan->strategy);
    if (plan->size == 0 || plan->overlap >= plan->size || (plan->in_tokens && !counter))
        return sx_fail(error, SX_E_INVALID, "chunk plan: size %u, overlap %u, %s", plan->size, plan->overlap,
                       plan->in_tokens ? "in tokens" : "in units");
    if (is_blank_document(document))
        return SX_OK;
    sx_status status = sx_sections_find(&chunker);
    if (status == SX_OK && chunker.method == SX_CHUNK_CODE) {
        status = sx_code_outline_make(chunker.context->grammars, document->language, document->text, document->length,
                                      &chunker.outline, error);
        list->not_parsed = chunker.outline.why;
    }
    if (status == SX_OK)
        status = sx_budget_open(&chunker);
    if (status == SX_OK)
        status = run_strategy(&chunker);
    sx_budget_close(&chunker);
    free(chunker.sections);
    free(chunker.block_starts);
    sx_code_outline_clear(&chunker.outline);
    sx_buffer_clear(&chunker.scratch);
    if (status != SX_OK)
        sx_chunk_list_clear(list);
    return status;
}

void sx_chunk_list_clear(sx_chunk_list *list)
{
    if (!list)
        return;
    free(list->chunks);
    sx_arena_clear(&list->arena);
    memset(list, 0, sizeof *list);
}

bool sx_chunk_embedded_text(const sx_chunk *chunk, const char *text, sx_buffer *buffer)
{
    sx_buffer_reset(buffer);
    if (chunk->header[0]) {
        sx_buffer_append_string(buffer, chunk->header);
        sx_buffer_append_byte(buffer, '\n');
    }
    return sx_buffer_append(buffer, text + chunk->start, (size_t)(chunk->end - chunk->start)) && !buffer->failed;
}
