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
sx_status sx_read_html(sx_document *document, sx_block_list *blocks, sx_error *error);

/* The encoding label that an HTML file's first bytes declare, or false. */
bool sx_html_declared_charset(const void *data, size_t length, char label[41]);

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
