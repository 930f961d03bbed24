/* document.h - reading a file into text with metadata, by its kind. */
#ifndef SX_DOC_DOCUMENT_H
#define SX_DOC_DOCUMENT_H

#include "sextant.h"
#include "../base/hash.h"
#include "../base/memory.h"

#include <stdbool.h>
#include <sys/stat.h>

typedef enum sx_block_kind {
    SX_BLOCK_HEADING,
    SX_BLOCK_PARAGRAPH,
    SX_BLOCK_CODE,
    SX_BLOCK_LIST,
    SX_BLOCK_TABLE,
    SX_BLOCK_OTHER
} sx_block_kind;

/* The structure a reader found, as ranges of the text in ascending order, not overlapping. Gaps between blocks are blank. */
typedef struct sx_block {
    sx_block_kind kind;
    uint8_t level;          /* headings: 1 is outermost */
    uint64_t start, end;    /* bytes of text; a heading's range includes its markup (underline, #) */
    const char *heading;    /* headings: the words without markup; else NULL */
} sx_block;

/* Where text that was extracted stands in the file: from byte `start` of the text on, its lines are the file's from `line` on; or all of
 * it comes from that line (fixed). */
typedef struct sx_source_place {
    uint64_t start;
    uint32_t line;
    uint32_t fixed;
} sx_source_place;

typedef struct sx_document {
    const char *text;       /* UTF-8, valid. For UTF-8 (and ASCII) plain text, Markdown and rst: the file's bytes unchanged, a
                               byte order mark included, as long as they are valid UTF-8; else the decoded or extracted text */
    size_t length;
    int is_file_bytes;      /* offsets into text are offsets into the file */
    const char *media_type; /* text/plain text/markdown text/x-rst text/html, and what document.c's table lists */
    const char *encoding;   /* what it was read as */
    const char *title;      /* from the document itself, "" when it has none */
    const char *author, *date; /* as it says, the date as YYYY-MM-DD where it has that form; "" when it says none */
    const char *note;       /* what the report should say of a document that is read all the same ("page 3 has no text"), or "" */
    const char *metadata;   /* further keys as a JSON object, or "" */
    const char *language;   /* "python" for source files by extension, "en" when the document says so, "" otherwise */
    sx_block *blocks;
    size_t block_count;
    uint64_t *page_starts;  /* where in text each page begins, ascending; page 1 first */
    size_t page_count;      /* 0: the kind has no pages */
    sx_source_place *source_places; /* ascending; of kinds whose lines are not the file's */
    size_t source_place_count;
    sx_sha256 content;      /* of the file's bytes */
    sx_arena arena;         /* holds all of it but text */
    char *owned;            /* text's memory */
    void *prepared;         /* the readers' own: what was made ready before a child began */
} sx_document;

/* Of the readers: part of the settings that say whether a document read earlier must be read again. */
extern const uint32_t sx_reader_version;

/* The media type a path's name says (by extension; "text/plain" for unknown text), or NULL for kinds that no reader takes yet
 * or that are no text (images, archives, pdf, docx ...); *why then says it ("PDF is not read by this version"). */
const char *sx_media_type_of(const char *path, const char **why);
/* Whether sx_document_parse knows it. */
bool sx_media_type_is_read(const char *media_type);

/* Reads a regular file of at most `maximum` bytes. What is no text (NUL bytes without a UTF-16/32 form, unless they are few in
 * clean UTF-8; many control bytes), an empty or blank file, or a kind without a reader is SX_E_UNSUPPORTED with a short reason
 * as message (no path in it: "binary file (NUL byte at 17)"); invalid UTF-8 is read in the most plausible 8-bit encoding
 * (windows-1252 when nothing speaks against it; never replaced in silence: `encoding` says it). A kind or size the file cannot
 * be is SX_E_FORMAT / SX_E_LIMIT; what the system refuses is SX_E_IO and friends. file_status may be NULL. */
sx_status sx_document_read(const char *path, size_t maximum, sx_document *document, struct stat *file_status,
                           sx_error *error);
/* The same from memory, for a media type. The text is copied. */
sx_status sx_document_parse(const void *data, size_t length, const char *media_type, sx_document *document,
                            sx_error *error);
/* The page that a place of the text is on, from 1; 0 when there are no pages. */
uint32_t sx_document_page(const sx_document *document, uint64_t place);
void sx_document_clear(sx_document *document);

#endif
