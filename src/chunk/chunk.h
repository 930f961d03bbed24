/* chunk.h - cutting a document into ranges that fit a budget. */
#ifndef SX_CHUNK_CHUNK_H
#define SX_CHUNK_CHUNK_H

#include "../doc/document.h"

#include <stdbool.h>

/* Changes whenever the same plan may cut the same document differently; part of what identifies a collection's settings. */
extern const uint32_t sx_chunker_version;

/* Counts tokens without knowing a model. */
typedef struct sx_token_counter {
    /* Tokens of text, without special tokens. starts (caller's, room for capacity offsets) may be NULL; when not, the byte
     * offset of each token's first byte is stored, at most capacity of them. Returns the count, or SIZE_MAX on failure. */
    size_t (*count)(void *user, const char *text, size_t length, uint32_t *starts, size_t capacity);
    /* Tokens of a text exactly as it is embedded: the prompt before it, special tokens, and whatever else the model does to it.
     * SIZE_MAX on failure. NULL: count + special + prompt. */
    size_t (*count_embedded)(void *user, const char *text, size_t length);
    void *user;
    uint32_t special;   /* special tokens the model adds to each text */
    uint32_t limit;     /* most tokens the model takes, special tokens included; 0: none */
    uint32_t prompt;    /* tokens of the prompt put before each text, by itself */
} sx_token_counter;

enum { SX_HEADER_TEMPLATE = 256 };

/* Checked and completed options: every field has a meaning, no zero stands for a default. */
typedef struct sx_chunk_plan {
    char strategy[16];
    uint32_t size, overlap;
    bool in_tokens;
    bool header;
    char header_template[SX_HEADER_TEMPLATE]; /* "": the headings; else what is put in their place */
} sx_chunk_plan;

struct sx_grammars;
/* What stands around a document, for cutting it and for templates of headers. All but one may be NULL. */
typedef struct sx_chunk_context {
    const struct sx_grammars *grammars; /* parsers of code; NULL: code is cut by lines */
    const char *path;    /* below its root, with '/' */
    const char *project; /* the root folder's name */
    /* The value of another key, or NULL: the user's metadata. */
    const char *(*value)(void *user, const char *key);
    void *user;
    /* Vectors of texts, for strategy semantic: count x dimensions floats; a row of NaN: that one is not to be had. Texts come in the
     * same order for the same document. */
    sx_status (*embed)(void *user, const sx_text *texts, size_t count, float *vectors, sx_error *error);
    void *embed_user;
    uint32_t dimensions;
} sx_chunk_context;

/* Completes options for a media type ("auto" becomes the strategy for it). counter NULL: characters only. Errors (SX_E_INVALID)
 * name the option: unknown strategy or unit, a unit the strategy does not count in, overlap not smaller than size, tokens without
 * a counter, prompt and special tokens that leave no room for text. */
sx_status sx_chunk_plan_make(const sx_chunk_options *options, const char *media_type, const sx_token_counter *counter,
                             sx_chunk_plan *plan, sx_error *error);
/* The same for a document: "auto" and "semantic" become "code" for source files whose language the context's grammars read. */
sx_status sx_chunk_plan_make_for(const sx_chunk_options *options, const sx_document *document, const sx_chunk_context *context,
                                 const sx_token_counter *counter, sx_chunk_plan *plan, sx_error *error);

/* Cuts. Guarantees, for every strategy and every input:
 *   text[start, end) of each chunk is non-blank, begins and ends at code-point boundaries (and not inside a combining sequence or
 *   CRLF where avoidable); chunks are in ascending order of start, and of end; every non-blank byte of the text is in at least
 *   one chunk (a heading may stand alone in the next chunk's range); tokens(prompt + header + text) + special <= min(asked,
 *   limit) for each chunk, so nothing is ever truncated; lines are right; the header is shortened (outermost headings first,
 *   then dropped) rather than take more than a third of the budget; time O(n log n); the same input gives the same chunks.
 * The one exception: a single code point that costs more than the budget stands alone, without header, in a chunk whose tokens
 * exceed the limit. A document of white space, or of a byte order mark only, has no chunks.
 * In the unit "chars" the size is that of the text alone; the limit still holds for header, text, prompt and special tokens.
 * Sentences and paragraphs have no limit but the counter's. A chunk measured in tokens also spans at most 64 bytes for each token
 * of the budget, since a tokenizer may make one unknown token of a word of any length. Lines end with LF.
 * markdown, rst and html all cut by the document's blocks; a document without blocks is cut recursively.
 * semantic embeds windows of sentences through the context (chunk_semantic.c); the same vectors give the same chunks.
 * code cuts by definitions (docs/code.md); a document that cannot be parsed is cut recursively, which keeps lines whole.
 * A repeated heading of an outer level in the headings list is a fresh section. chunks->text points into the document, which must
 * outlive it unless the caller keeps the document elsewhere. */
typedef struct sx_chunk_list {
    sx_chunk *chunks;
    size_t count;
    sx_arena arena;
    const char *not_parsed; /* strategy code: why the document was cut by lines all the same; NULL: it was parsed */
} sx_chunk_list;
/* As sx_chunk_document, in a context. */
sx_status sx_chunk_document_in(const sx_document *document, const sx_chunk_plan *plan, const sx_chunk_context *context,
                               const sx_token_counter *counter, sx_chunk_list *list, sx_error *error);
sx_status sx_chunk_document(const sx_document *document, const sx_chunk_plan *plan, const sx_token_counter *counter,
                            sx_chunk_list *list, sx_error *error);
void sx_chunk_list_clear(sx_chunk_list *list);

/* What is embedded for a chunk: header, a newline when there is a header, and the text; into buffer (reset first). */
struct sx_buffer;
bool sx_chunk_embedded_text(const sx_chunk *chunk, const char *text, struct sx_buffer *buffer);

#endif
