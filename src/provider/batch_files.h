/* batch_files.h - the files of OpenAI's Batch API: requests as JSON lines, and the lines that come back.
 *
 * One text is one request, so each has an answer or an error of its own. Its custom_id is the hash of the text and that of the
 * recipe, so a line is understood by itself, whatever its place in the file.
 */
#ifndef SX_PROVIDER_BATCH_FILES_H
#define SX_PROVIDER_BATCH_FILES_H

#include "wire.h"

#include "../base/hash.h"

/* What the service takes in one file (platform.openai.com/docs/guides/batch), and the length of an id with its NUL. */
enum { SX_BATCH_REQUESTS = 50000, SX_BATCH_BYTES = 200000000, SX_BATCH_ID = 2 * (SX_SHA256_HEX - 1) + 2 };

void sx_batch_id_make(const sx_sha256 *text, const sx_sha256 *recipe, char id[SX_BATCH_ID]);
/* False for an id of another form or another recipe. */
bool sx_batch_id_read(sx_text id, const sx_sha256 *recipe, sx_sha256 *text);

/* Requests on their way into a file. Zero-initialise, set the first five. */
typedef struct sx_batch_writer {
    const sx_wire_target *target;
    const char *role;
    const sx_sha256 *recipe;
    size_t max_requests, max_bytes; /* SX_BATCH_REQUESTS, SX_BATCH_BYTES or less */
    sx_buffer file;
    size_t count;
    sx_wire_request request;        /* room */
    sx_buffer line;
} sx_batch_writer;

/* Adds a text, its prompt before it; hash: of the text without. *full: it was not added, since the file must end before it.
 * SX_E_LIMIT: it fits into no file. */
sx_status sx_batch_writer_add(sx_batch_writer *writer, sx_text text, const sx_sha256 *hash, bool *full, sx_error *error);
/* For the next file. */
void sx_batch_writer_reset(sx_batch_writer *writer);
void sx_batch_writer_clear(sx_batch_writer *writer);

/* The texts of a batch, in ascending order of their hashes, and which of them a line was read for (a byte each). */
typedef struct sx_batch_expected {
    const sx_sha256 *hashes;
    unsigned char *seen;
    size_t count;
} sx_batch_expected;

/* One line: `body` is the reply of the embeddings route when message is "", else the text has failed for that reason. */
typedef struct sx_batch_line {
    size_t index;        /* of its text */
    sx_text body;
    char message[256];   /* keys removed */
} sx_batch_line;

typedef struct sx_batch_refusals {
    size_t count;        /* lines that were passed over: no JSON, an id that is not in the batch, one that came before */
    char first[256];     /* which was the first, and why */
} sx_batch_refusals;

typedef sx_status (*sx_batch_visit)(const sx_batch_line *line, void *user, sx_error *error);
/* Visits the lines of an output or error file. What stands in both files, or twice in one, counts once: the second is refused. */
sx_status sx_batch_file_read(const sx_wire_target *target, const sx_sha256 *recipe, const char *data, size_t length,
                             const sx_batch_expected *expected, sx_batch_visit visit, void *user, sx_batch_refusals *refusals,
                             sx_error *error);

#endif
