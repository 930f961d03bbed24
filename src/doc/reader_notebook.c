/* reader_notebook.c - the text of Jupyter notebooks (nbformat 4, and 3 with its worksheets): Markdown cells read as Markdown,
 * code cells as code, in order. Outputs and pictures are left out: they are made from the code, and bury it. */
#include "reader.h"

#include "../base/error.h"
#include "../base/json_reader.h"

#include <string.h>

typedef struct notebook {
    sx_document *document;
    sx_writer writer;
    sx_json json;
    sx_buffer key, value, source;
    const char *language; /* of the kernel */
} notebook;

/* A string, or an array of strings that follow each other. */
static void read_source(notebook *n)
{
    sx_text text;
    sx_buffer_reset(&n->source);
    if (sx_json_peek(&n->json) == SX_JSON_ARRAY) {
        sx_json_array(&n->json);
        while (sx_json_element(&n->json)) {
            if (sx_json_peek(&n->json) != SX_JSON_STRING)
                sx_json_skip(&n->json);
            else if (sx_json_string(&n->json, &n->value, &text))
                sx_buffer_append(&n->source, text.data, text.length);
        }
    } else if (sx_json_peek(&n->json) == SX_JSON_STRING) {
        if (sx_json_string(&n->json, &n->value, &text))
            sx_buffer_append(&n->source, text.data, text.length);
    } else {
        sx_json_skip(&n->json);
    }
}

static sx_status read_cell(notebook *n, sx_error *error)
{
    enum { TEXT, CODE, MARKDOWN, HEADING } kind = TEXT;
    uint64_t level = 1;
    sx_text key, text;
    sx_buffer_reset(&n->source);
    if (sx_json_peek(&n->json) != SX_JSON_OBJECT) {
        sx_json_skip(&n->json);
        return SX_OK;
    }
    sx_json_object(&n->json);
    while (sx_json_member(&n->json, &n->key, &key)) {
        if (sx_text_is(key, "cell_type") && sx_json_peek(&n->json) == SX_JSON_STRING) {
            if (sx_json_string(&n->json, &n->value, &text))
                kind = sx_text_is(text, "code")       ? CODE
                       : sx_text_is(text, "markdown") ? MARKDOWN
                       : sx_text_is(text, "heading")  ? HEADING
                                                      : TEXT;
        } else if (sx_text_is(key, "level") && sx_json_peek(&n->json) == SX_JSON_NUMBER) {
            sx_json_unsigned(&n->json, &level);
        } else if (sx_text_is(key, "source") || sx_text_is(key, "input")) {
            read_source(n);
        } else {
            sx_json_skip(&n->json);
        }
    }
    const char *source = n->source.data ? n->source.data : "";
    if (n->json.problem || n->source.failed)
        return SX_OK; /* said at the end */
    if (kind == MARKDOWN)
        return sx_writer_part(&n->writer, sx_read_markdown, source, n->source.length, error);
    sx_writer_block(&n->writer, kind == CODE      ? SX_BLOCK_CODE
                                : kind == HEADING ? SX_BLOCK_HEADING
                                                  : SX_BLOCK_PARAGRAPH,
                    level < 6 ? (unsigned)level : 6, source, n->source.length);
    return SX_OK;
}

static sx_status read_cells(notebook *n, sx_error *error)
{
    sx_status status = SX_OK;
    if (sx_json_peek(&n->json) != SX_JSON_ARRAY) {
        sx_json_skip(&n->json);
        return SX_OK;
    }
    sx_json_array(&n->json);
    while (!status && sx_json_element(&n->json))
        status = read_cell(n, error);
    return status;
}

/* A string member named `wanted` of the object that comes next (or of the first object in an array) into *words. */
static void read_member(notebook *n, const char *wanted, const char **words)
{
    sx_text key, text;
    sx_json *json = &n->json;
    if (sx_json_peek(json) != SX_JSON_OBJECT) {
        sx_json_skip(json);
        return;
    }
    sx_json_object(json);
    while (sx_json_member(json, &n->key, &key)) {
        if (!sx_text_is(key, wanted) || sx_json_peek(json) != SX_JSON_STRING)
            sx_json_skip(json);
        else if (sx_json_string(json, &n->value, &text) && !(*words)[0])
            *words = sx_document_words(n->document, text.data, text.length);
    }
}

/* {"kernelspec": {"language": "python"}, "language_info": {"name": "python"}, "title": "...", "authors": [{"name": "..."}]} */
static void read_metadata(notebook *n)
{
    sx_text key, text;
    sx_json *json = &n->json;
    if (sx_json_peek(json) != SX_JSON_OBJECT) {
        sx_json_skip(json);
        return;
    }
    sx_json_object(json);
    while (sx_json_member(json, &n->key, &key)) {
        if (sx_text_is(key, "kernelspec")) {
            read_member(n, "language", &n->language);
        } else if (sx_text_is(key, "language_info")) {
            read_member(n, "name", &n->language);
        } else if (sx_text_is(key, "title") && sx_json_peek(json) == SX_JSON_STRING) {
            if (sx_json_string(json, &n->value, &text))
                sx_document_set_title(n->document, text.data, text.length);
        } else if (sx_text_is(key, "authors") && sx_json_peek(json) == SX_JSON_ARRAY) {
            sx_json_array(json);
            while (sx_json_element(json))
                read_member(n, "name", &n->document->author);
        } else {
            sx_json_skip(json);
        }
    }
}

sx_status sx_read_notebook(sx_document *document, sx_block_list *blocks, sx_error *error)
{
    notebook n = {.document = document, .language = ""};
    sx_status status = SX_OK;
    sx_text key;
    size_t mark = document->length >= 3 && !memcmp(document->text, "\xef\xbb\xbf", 3) ? 3 : 0;
    sx_writer_begin(&n.writer, blocks);
    sx_json_begin(&n.json, document->text + mark, document->length - mark, "notebook");
    sx_json_object(&n.json);
    while (!status && sx_json_member(&n.json, &n.key, &key)) {
        if (sx_text_is(key, "cells")) {
            status = read_cells(&n, error);
        } else if (sx_text_is(key, "worksheets") && sx_json_peek(&n.json) == SX_JSON_ARRAY) {
            sx_json_array(&n.json);
            while (!status && sx_json_element(&n.json)) {
                if (sx_json_peek(&n.json) != SX_JSON_OBJECT) {
                    sx_json_skip(&n.json);
                    continue;
                }
                sx_json_object(&n.json);
                while (!status && sx_json_member(&n.json, &n.key, &key)) {
                    if (sx_text_is(key, "cells"))
                        status = read_cells(&n, error);
                    else
                        sx_json_skip(&n.json);
                }
            }
        } else if (sx_text_is(key, "metadata")) {
            read_metadata(&n);
        } else {
            sx_json_skip(&n.json);
        }
    }
    if (!status)
        sx_json_end(&n.json);
    if (!status && n.json.problem)
        status = sx_fail(error, SX_E_UNSUPPORTED, "damaged notebook: byte %zu: %s", n.json.problem_position, n.json.problem);
    else if (!status && (n.source.failed || n.value.failed || n.key.failed))
        status = sx_fail_nomem(error, document->length);
    if (!status && n.language[0]) /* as metadata only: the text is not all in it */
        status = sx_document_add_member(document, "language", n.language, error);
    if (!status)
        status = sx_writer_finish(&n.writer, "notebook", document, error);
    sx_buffer_clear(&n.writer.out);
    sx_buffer_clear(&n.key);
    sx_buffer_clear(&n.value);
    sx_buffer_clear(&n.source);
    return status;
}
