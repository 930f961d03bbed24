/* document.c - reading a file into text with metadata: the table of readers, and the steps all of them share. */
#include "document.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../text/encoding.h"
#include "reader.h"

#include <stdlib.h>
#include <string.h>

/* Counts up when a reader begins to give other text, blocks or titles for the same file: documents are then read again. */
const uint32_t sx_reader_version = 1;

static const struct {
    const char *media_type;
    const char *extensions; /* besides these, media_types.c lists what is read as text/plain */
    sx_reader read;
} readers[] = {
    {"text/plain", "txt text log", sx_read_plain},
    {"text/markdown", "md markdown mkd mkdn mdown mdx rmd qmd", sx_read_markdown},
    {"text/x-rst", "rst rest", sx_read_rst},
    {"text/html", "html htm xhtml xht", sx_read_html},
};
enum { READERS = sizeof readers / sizeof readers[0] };

static bool list_has(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; *at;) {
        size_t span = strcspn(at, " ");
        if (span == length && !memcmp(at, word, length))
            return true;
        at += span + (at[span] == ' ');
    }
    return false;
}

static const char *reader_of_extension(const char *path)
{
    const char *dot = strrchr(sx_path_name(path), '.');
    char extension[16];
    size_t length = dot ? strlen(dot + 1) : 0;
    if (!length || length >= sizeof extension)
        return NULL;
    for (size_t i = 0; i <= length; i++)
        extension[i] = (char)(dot[1 + i] >= 'A' && dot[1 + i] <= 'Z' ? dot[1 + i] | 0x20 : dot[1 + i]);
    for (size_t i = 0; i < READERS; i++)
        if (list_has(readers[i].extensions, extension))
            return readers[i].media_type;
    return NULL;
}

const char *sx_media_type_of(const char *path, const char **why)
{
    const char *media_type = reader_of_extension(path);
    if (why)
        *why = NULL;
    if (media_type)
        return media_type;
    sx_kind_by_name kind = sx_kind_of_name(path);
    if (why)
        *why = kind.why;
    return kind.media_type;
}

/* Everything after the bytes are in memory. Takes over `bytes` (malloc'ed) in every case. */
static sx_status parse_owned(char *bytes, size_t length, const char *media_type, const char *language, sx_document *document,
                             sx_error *error)
{
    sx_status status = SX_OK;
    sx_block_list blocks = {0};
    sx_decoded decoded = {0};
    sx_reader read = NULL;
    *document = (sx_document){.title = "", .language = language};
    blocks.arena = &document->arena;
    for (size_t i = 0; i < READERS; i++) {
        if (!strcmp(media_type, readers[i].media_type)) {
            read = readers[i].read;
            document->media_type = readers[i].media_type;
        }
    }
    if (!read) {
        status = sx_fail(error, SX_E_UNSUPPORTED, "no reader for %s", media_type);
        goto out;
    }
    sx_sha256_of(bytes, length, &document->content);
    char label[41];
    bool declared = read == sx_read_html && sx_html_declared_charset(bytes, length, label);
    status = sx_decode(bytes, length, declared ? label : NULL, &decoded, error);
    if (status)
        goto out;
    document->is_file_bytes = decoded.is_bytes && read != sx_read_html;
    document->owned = decoded.is_bytes ? bytes : decoded.text;
    document->length = decoded.length;
    if (decoded.is_bytes)
        bytes = NULL;
    decoded.text = NULL;
    document->text = document->owned;
    document->encoding = sx_arena_strndup(&document->arena, decoded.encoding, strlen(decoded.encoding));
    if (!document->encoding) {
        status = sx_fail_nomem(error, sizeof decoded.encoding);
        goto out;
    }
    if (sx_encoding_is_blank(document->text, document->length)) {
        status = sx_fail(error, SX_E_UNSUPPORTED, "empty file");
        goto out;
    }
    status = read(document, &blocks, error);
    if (status)
        goto out;
    sx_block *kept = blocks.failed ? NULL : sx_arena_alloc(&document->arena, blocks.count * sizeof *kept);
    if (!kept) {
        status = sx_fail_nomem(error, blocks.count * sizeof *kept);
        goto out;
    }
    if (blocks.count)
        memcpy(kept, blocks.blocks, blocks.count * sizeof *kept);
    document->blocks = kept;
    document->block_count = blocks.count;
    for (size_t i = 0; i < blocks.count && !document->title[0]; i++)
        if (kept[i].kind == SX_BLOCK_HEADING && kept[i].level == 1)
            document->title = kept[i].heading;
out:
    free(bytes);
    free(blocks.blocks);
    sx_decoded_clear(&decoded);
    if (status)
        sx_document_clear(document);
    return status;
}

sx_status sx_document_read(const char *path, size_t maximum, sx_document *document, struct stat *file_status, sx_error *error)
{
    *document = (sx_document){0};
    const char *why;
    const char *media_type = sx_media_type_of(path, &why);
    if (!media_type)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s", why);
    char *bytes;
    size_t length;
    sx_status status = sx_file_read(path, maximum, &bytes, &length, file_status, error);
    if (status)
        return status;
    bool source = !strcmp(media_type, "text/plain");
    return parse_owned(bytes, length, media_type, source ? sx_kind_of_name(path).language : "", document, error);
}

sx_status sx_document_parse(const void *data, size_t length, const char *media_type, sx_document *document, sx_error *error)
{
    *document = (sx_document){0};
    char *copy = sx_strndup(data, length);
    if (!copy)
        return sx_fail_nomem(error, length);
    return parse_owned(copy, length, media_type, "", document, error);
}

void sx_document_clear(sx_document *document)
{
    free(document->owned);
    sx_arena_clear(&document->arena);
    *document = (sx_document){0};
}
