/* reader.h - what the readers share: lines, and the list of blocks they fill. Internal to src/doc. */
#ifndef SX_DOC_READER_H
#define SX_DOC_READER_H

#include "../base/buffer.h"
#include "document.h"

#include <stdbool.h>

/* Blocks in the making; moved into the document's arena at the end. */
typedef struct sx_block_list {
    sx_block *blocks;
    size_t count, capacity;
    sx_arena *arena; /* for heading words */
    bool failed;     /* no memory; checked once at the end */
} sx_block_list;

/* heading may be NULL; it is copied with white space runs as single spaces. Empty ranges are left out. */
void sx_blocks_add(sx_block_list *list, sx_block_kind kind, unsigned level, size_t start, size_t end, const char *heading,
                   size_t heading_length);

/* A reader fills document's blocks, title and language from document->text; the HTML reader also puts extracted text in place
 * of it. */
typedef sx_status (*sx_reader)(sx_document *document, sx_block_list *blocks, sx_error *error);
sx_status sx_read_plain(sx_document *document, sx_block_list *blocks, sx_error *error);
sx_status sx_read_markdown(sx_document *document, sx_block_list *blocks, sx_error *error);
sx_status sx_read_rst(sx_document *document, sx_block_list *blocks, sx_error *error);
sx_status sx_read_org(sx_document *document, sx_block_list *blocks, sx_error *error);
sx_status sx_read_tex(sx_document *document, sx_block_list *blocks, sx_error *error);
sx_status sx_read_html(sx_document *document, sx_block_list *blocks, sx_error *error);

/* Of kinds that are taken apart in a child process: the document's text is the file's bytes, and extracted text takes its
 * place. */
sx_status sx_read_pdf(sx_document *document, sx_block_list *blocks, sx_error *error); /* starts its children itself */
sx_status sx_read_docx(sx_document *document, sx_block_list *blocks, sx_error *error);
sx_status sx_read_odt(sx_document *document, sx_block_list *blocks, sx_error *error);
sx_status sx_read_epub(sx_document *document, sx_block_list *blocks, sx_error *error);
sx_status sx_read_rtf(sx_document *document, sx_block_list *blocks, sx_error *error);
/* The halves of these that run in the child: pdftotext's listing, and RTF with its converters (prepared; may be NULL). */
sx_status sx_read_pdf_listing(sx_document *document, sx_block_list *blocks, sx_error *error);
sx_status sx_read_rtf_groups(sx_document *document, sx_block_list *blocks, sx_error *error);
sx_status sx_read_mail(sx_document *document, sx_block_list *blocks, sx_error *error);
sx_status sx_read_mailbox(sx_document *document, sx_block_list *blocks, sx_error *error);
sx_status sx_read_notebook(sx_document *document, sx_block_list *blocks, sx_error *error);

/* ---- Text that a reader writes ---- */

/* Blocks with a blank line between them, for readers whose text is not the file's. Set blocks, and maxima through
 * sx_writer_begin. */
typedef struct sx_writer {
    sx_buffer out;
    sx_block_list *blocks;
    bool joins; /* the last block may be extended */
} sx_writer;
void sx_writer_begin(sx_writer *writer, sx_block_list *blocks);
/* Adds a block. The text's white space at both ends is left out (at its beginning only whole lines of it), invalid UTF-8
 * becomes U+FFFD, control characters and soft hyphens vanish, ligatures (U+FB00 to U+FB06) become their letters. Blank text
 * adds nothing. */
void sx_writer_block(sx_writer *writer, sx_block_kind kind, unsigned level, const char *text, size_t length);
/* As one line more of the last block when that was added by sx_writer_line too and is of the same kind; else a new block. */
void sx_writer_line(sx_writer *writer, sx_block_kind kind, const char *text, size_t length);
/* Adds what another reader makes of a part (UTF-8), with that reader's blocks. A part without text adds nothing. */
sx_status sx_writer_part(sx_writer *writer, sx_reader read, const char *text, size_t length, sx_error *error);
/* Adds a document that was read, its headings `level` deeper. */
void sx_writer_document(sx_writer *writer, const sx_document *document, unsigned level);
/* Puts the text into the document. SX_E_UNSUPPORTED when there is none: `what` is "Word document". Releases the writer in any
 * case. */
sx_status sx_writer_finish(sx_writer *writer, const char *what, sx_document *document, sx_error *error);
/* As much as fits of a text, cleaned as above and with single spaces, in the document's arena; "" for NULL and on no memory. */
const char *sx_document_words(sx_document *document, const char *text, size_t length);
/* Sets title unless it says nothing ("untitled", "Microsoft Word - x.doc"). */
void sx_document_set_title(sx_document *document, const char *text, size_t length);
void sx_document_set_author(sx_document *document, const char *text, size_t length);
/* Adds a member to the document's metadata. */
sx_status sx_document_add_member(sx_document *document, const char *key, const char *value, sx_error *error);
/* Takes YYYY-MM-DD from the beginning, else the words as they are. */
void sx_document_set_date(sx_document *document, const char *text, size_t length);

/* The encoding label that an HTML file's first bytes declare, or false. */
bool sx_html_declared_charset(const void *data, size_t length, char label[41]);

/* What two hexadecimal digits stand for; -1 when they are none. */
int sx_hex_pair(const char digits[2]);
/* A copy in the arena with runs of white space (and NUL) as one space, trimmed. NULL on no memory. */
char *sx_words_copy(sx_arena *arena, const char *text, size_t length);
/* Sets the document's language to the primary part of a tag ("en-GB" gives "en"); leaves it when the tag makes no sense. */
void sx_document_set_language(sx_document *document, const char *tag, size_t length);

/* Heading words without inline markup, appended to words. */
void sx_markdown_words(const char *text, size_t length, sx_buffer *words);
void sx_rst_words(const char *text, size_t length, sx_buffer *words);

/* One line of text: [start, end) without its line end, next is where the following begins. */
typedef struct sx_line {
    size_t start, end, next;
    size_t indent;  /* columns of leading spaces and tabs (tab stops of 4 in Markdown's sense) */
    size_t content; /* offset of the first byte that is neither space nor tab */
    bool blank;
} sx_line;

/* The line at `at`; false at the end of text. A byte order mark at the text's beginning counts as indentation of no width. */
bool sx_line_at(const char *text, size_t length, size_t at, sx_line *line);

/* What the scanners of lines keep: the block being built. */
typedef struct sx_open_block {
    sx_block_kind kind;
    size_t start, end;
    bool open;
} sx_open_block;

/* Adds the open block to the list, if there is one. */
void sx_open_block_close(sx_open_block *block, sx_block_list *list);
/* Puts a line into the open block when it is of this kind, else closes it and opens a new one. */
void sx_open_block_extend(sx_open_block *block, sx_block_list *list, sx_block_kind kind, const sx_line *line);

/* What a path's extension says. */
typedef struct sx_kind_by_name {
    const char *media_type; /* NULL: not read */
    const char *why;        /* then the reason */
    const char *language;   /* "python" or "" */
} sx_kind_by_name;
sx_kind_by_name sx_kind_of_name(const char *path);

#endif
