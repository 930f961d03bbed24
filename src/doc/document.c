/* document.c - reading a file into text with metadata: the table of readers, and the steps all of them share. */
#include "document.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../text/encoding.h"
#include "child.h"
#include "code_grammars.h"
#include "mailbox.h"

#include <stdlib.h>
#include <string.h>

/* Counts up when a reader begins to give other text, blocks or titles for the same file: documents are then read again. */
const uint32_t sx_reader_version = 4;

/* How a kind's bytes come to its reader. */
typedef enum reader_input {
    INPUT_TEXT,  /* decoded to UTF-8 */
    INPUT_BYTES, /* as they are */
    INPUT_CHILD  /* as they are, in a process of its own: forms that are easily made to break their parsers */
} reader_input;

static const struct {
    const char *media_type;
    const char *extensions; /* besides these, media_types.c lists what is read as text/plain */
    sx_reader read;
    reader_input input;
    const char *what; /* of readers in a child, for messages */
} readers[] = {
    {"text/plain", "txt text log", sx_read_plain, INPUT_TEXT, NULL},
    {"text/markdown", "md markdown mkd mkdn mdown mdx rmd qmd", sx_read_markdown, INPUT_TEXT, NULL},
    {"text/x-rst", "rst rest", sx_read_rst, INPUT_TEXT, NULL},
    {"text/org", "org", sx_read_org, INPUT_TEXT, NULL},
    {"text/x-tex", "tex ltx latex", sx_read_tex, INPUT_TEXT, NULL},
    {"text/html", "html htm xhtml xht", sx_read_html, INPUT_TEXT, NULL},
    {"application/pdf", "pdf", sx_read_pdf, INPUT_BYTES, NULL},
    {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx docm dotx", sx_read_docx, INPUT_CHILD,
     "the .docx reader"},
    {"application/vnd.oasis.opendocument.text", "odt ott", sx_read_odt, INPUT_CHILD, "the .odt reader"},
    {"application/epub+zip", "epub", sx_read_epub, INPUT_CHILD, "the EPUB reader"},
    {"application/rtf", "rtf", sx_read_rtf, INPUT_BYTES, NULL},
    {"application/x-ipynb+json", "ipynb", sx_read_notebook, INPUT_TEXT, NULL},
    {sx_mail_media_type, "eml", sx_read_mail, INPUT_BYTES, NULL},
    {sx_mailbox_media_type, "mbox", sx_read_mailbox, INPUT_BYTES, NULL},
};
enum { READERS = sizeof readers / sizeof readers[0] };

static const char *reader_of_extension(const char *path)
{
    const char *name = sx_path_name(path), *dot = strrchr(name, '.');
    char extension[16];
    size_t length = dot && dot != name ? strlen(dot + 1) : 0; /* .pdf is a hidden file's name */
    if (!length || length >= sizeof extension)
        return NULL;
    for (size_t i = 0; i <= length; i++)
        extension[i] = (char)(dot[1 + i] >= 'A' && dot[1 + i] <= 'Z' ? dot[1 + i] | 0x20 : dot[1 + i]);
    for (size_t i = 0; i < READERS; i++)
        if (sx_word_in(readers[i].extensions, extension))
            return readers[i].media_type;
    return NULL;
}

/* The row of the table, or READERS. */
static size_t reader_of_type(const char *media_type)
{
    size_t i = 0;
    while (i < READERS && strcmp(media_type, readers[i].media_type))
        i++;
    return i;
}

bool sx_media_type_is_read(const char *media_type)
{
    return reader_of_type(media_type) < READERS;
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

/* The bytes as UTF-8 become the document's text; taken over when they are that as they stand. */
static sx_status decode(char **bytes, size_t length, sx_reader read, sx_document *document, sx_error *error)
{
    sx_decoded decoded = {0};
    char label[41];
    bool declared = read == sx_read_html && sx_html_declared_charset(*bytes, length, label);
    sx_status status = sx_decode(*bytes, length, declared ? label : NULL, &decoded, error);
    if (status)
        return status;
    document->is_file_bytes = decoded.is_bytes && read != sx_read_html && read != sx_read_notebook;
    document->owned = decoded.is_bytes ? *bytes : decoded.text;
    document->length = decoded.length;
    if (decoded.is_bytes)
        *bytes = NULL;
    decoded.text = NULL;
    document->text = document->owned;
    document->encoding = sx_arena_strndup(&document->arena, decoded.encoding, strlen(decoded.encoding));
    if (!document->encoding)
        status = sx_fail_nomem(error, sizeof decoded.encoding);
    sx_decoded_clear(&decoded);
    return status;
}

/* Everything after the bytes are in memory. Takes over `bytes` (malloc'ed) in every case. */
static sx_status parse_owned(char *bytes, size_t length, const char *media_type, const char *language, sx_document *document,
                             sx_error *error)
{
    sx_status status = SX_OK;
    sx_block_list blocks = {0};
    size_t reader = reader_of_type(media_type);
    *document = (sx_document){.title = "", .author = "", .date = "", .note = "", .metadata = "", .encoding = "utf-8",
                              .language = language};
    blocks.arena = &document->arena;
    if (reader == READERS) {
        status = sx_fail(error, SX_E_UNSUPPORTED, "no reader for %s", media_type);
        goto out;
    }
    document->media_type = readers[reader].media_type;
    sx_sha256_of(bytes, length, &document->content);
    if (readers[reader].input == INPUT_TEXT) {
        status = decode(&bytes, length, readers[reader].read, document, error);
        if (status)
            goto out;
    } else {
        document->text = document->owned = bytes;
        document->length = length;
        bytes = NULL;
    }
    if (sx_encoding_is_blank(document->text, document->length)) {
        status = sx_fail(error, SX_E_UNSUPPORTED, "empty file");
        goto out;
    }
    if (readers[reader].input == INPUT_CHILD)
        status = sx_child_read(readers[reader].read, readers[reader].what, &sx_reader_limits, document, &blocks, error);
    else
        status = readers[reader].read(document, &blocks, error);
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

uint32_t sx_document_page(const sx_document *document, uint64_t place)
{
    size_t low = 0, high = document->page_count;
    while (low < high) { /* the first page that begins behind the place */
        size_t middle = low + (high - low) / 2;
        if (document->page_starts[middle] <= place)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint32_t)low;
}

void sx_document_clear(sx_document *document)
{
    free(document->owned);
    sx_arena_clear(&document->arena);
    *document = (sx_document){0};
}
