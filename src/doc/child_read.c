/* child_read.c - a reader run in a child process: the document goes back through the pipe and is believed only as far as it
 * was checked.
 *
 * Who breaks a parser can write anything into the pipe. So every length is compared with what is there, text must be UTF-8,
 * blocks and pages ascending ranges of it. The form is that of one program on one machine: structures as they lie in memory. */
#include "child.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../text/encoding.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORDS = 7, LONGEST_WORDS = 1 << 20, MESSAGE = sizeof(((sx_error *)0)->message) };
static const char mark[8] = "sx-read";

typedef struct message {
    char mark[8];
    int32_t status;
    char problem[MESSAGE];
    uint64_t text, blocks, pages, words[WORDS]; /* bytes; for blocks and pages their number */
} message;

typedef struct block_message {
    uint64_t start, end, heading; /* bytes of the heading's words + 1; 0: no heading */
    uint32_t kind, level;
} block_message;

typedef struct child_reading {
    sx_reader read;
    sx_document *document;
    sx_block_list *blocks;
} child_reading;

/* The words that travel, in the order of message.words. */
static const char **words_of(sx_document *document, size_t index)
{
    const char **all[WORDS] = {&document->title,    &document->author, &document->date,    &document->note,
                               &document->metadata, &document->language, &document->encoding};
    return all[index];
}

/* ---- In the child ---- */

static void write_all(int out, const void *data, size_t length)
{
    const char *at = data;
    while (length) {
        ssize_t done = write(out, at, length);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            _exit(1);
        at += done;
        length -= (size_t)done;
    }
}

static void work(int out, void *user)
{
    child_reading *reading = user;
    sx_document *document = reading->document;
    sx_error error = {0};
    message head = {.text = 0};
    memcpy(head.mark, mark, sizeof mark);
    head.status = reading->read(document, reading->blocks, &error);
    if (!head.status && reading->blocks->failed)
        head.status = sx_fail_nomem(&error, reading->blocks->count * sizeof(sx_block));
    memcpy(head.problem, error.message, MESSAGE);
    if (!head.status) {
        head.text = document->length;
        head.blocks = reading->blocks->count;
        head.pages = document->page_count;
        for (size_t i = 0; i < WORDS; i++)
            head.words[i] = strlen(*words_of(document, i));
    }
    write_all(out, &head, sizeof head);
    if (head.status)
        return;
    write_all(out, document->text, document->length);
    for (size_t i = 0; i < WORDS; i++)
        write_all(out, *words_of(document, i), head.words[i]);
    write_all(out, document->page_starts, document->page_count * sizeof *document->page_starts);
    sx_buffer blocks = {.maximum = SIZE_MAX / 4};
    for (size_t i = 0; i < head.blocks; i++) {
        const sx_block *block = &reading->blocks->blocks[i];
        block_message row = {block->start, block->end, block->heading ? strlen(block->heading) + 1 : 0, (uint32_t)block->kind,
                             block->level};
        sx_buffer_append(&blocks, &row, sizeof row);
        if (block->heading)
            sx_buffer_append(&blocks, block->heading, strlen(block->heading));
    }
    if (blocks.failed)
        _exit(1);
    if (blocks.length)
        write_all(out, blocks.data, blocks.length);
}

/* ---- In the parent ---- */

typedef struct input {
    const char *at;
    size_t left;
} input;

static const char *take(input *in, uint64_t length)
{
    const char *at = in->at;
    if (length > in->left)
        return NULL;
    in->at += length;
    in->left -= (size_t)length;
    return at;
}

static bool is_boundary(const char *text, size_t length, uint64_t place)
{
    return place == length || (place < length && ((unsigned char)text[place] & 0xc0) != 0x80);
}

static bool take_words(input *in, const message *head, sx_document *document)
{
    for (size_t i = 0; i < WORDS; i++) {
        uint64_t length = head->words[i];
        const char *words = length <= LONGEST_WORDS ? take(in, length) : NULL;
        if (!words || memchr(words, 0, length) || sx_encoding_utf8_prefix(words, length) != length)
            return false;
        *words_of(document, i) = sx_arena_strndup(&document->arena, words, length);
        if (!*words_of(document, i))
            return false;
    }
    return true;
}

static bool take_pages(input *in, uint64_t count, sx_document *document)
{
    size_t size;
    if (count > document->length + (1 << 20) || !sx_multiply((size_t)count, sizeof *document->page_starts, &size))
        return false;
    const char *pages = take(in, size);
    document->page_starts = pages ? sx_arena_alloc(&document->arena, size + 1) : NULL;
    if (!document->page_starts)
        return false;
    memcpy(document->page_starts, pages, size);
    document->page_count = (size_t)count;
    uint64_t before = 0;
    for (size_t i = 0; i < count; i++) {
        if (document->page_starts[i] < before || document->page_starts[i] > document->length)
            return false;
        before = document->page_starts[i];
    }
    return true;
}

static bool take_blocks(input *in, uint64_t count, const sx_document *document, sx_block_list *blocks)
{
    uint64_t before = 0;
    for (uint64_t i = 0; i < count; i++) {
        block_message row;
        const char *bytes = take(in, sizeof row), *heading = NULL;
        if (!bytes)
            return false;
        memcpy(&row, bytes, sizeof row);
        if (row.heading) {
            heading = take(in, row.heading - 1);
            if (!heading || sx_encoding_utf8_prefix(heading, row.heading - 1) != row.heading - 1)
                return false;
        }
        if (row.start < before || row.end <= row.start || row.end > document->length || row.kind > SX_BLOCK_OTHER ||
            !is_boundary(document->text, document->length, row.start) || !is_boundary(document->text, document->length, row.end))
            return false;
        before = row.end;
        sx_blocks_add(blocks, (sx_block_kind)row.kind, row.level, row.start, row.end, heading, heading ? row.heading - 1 : 0);
    }
    return true;
}

static bool take_document(input *in, const message *head, sx_document *document, sx_block_list *blocks)
{
    const char *text = take(in, head->text);
    if (!text || sx_encoding_utf8_prefix(text, head->text) != head->text)
        return false;
    char *copy = sx_strndup(text, (size_t)head->text);
    if (!copy)
        return false;
    free(document->owned);
    document->text = document->owned = copy;
    document->length = (size_t)head->text;
    document->is_file_bytes = 0;
    blocks->count = 0;
    return take_words(in, head, document) && take_pages(in, head->pages, document) &&
           take_blocks(in, head->blocks, document, blocks) && !in->left;
}

sx_status sx_child_read(sx_reader read, const char *what, const sx_child_limits *limits, sx_document *document,
                        sx_block_list *blocks, sx_error *error)
{
    child_reading reading = {read, document, blocks};
    sx_buffer output = {0};
    message head;
    sx_status status = sx_child_call(work, &reading, what, limits, &output, error);
    input in = {output.data, output.length};
    if (status)
        goto out;
    const char *bytes = take(&in, sizeof head);
    if (!bytes) {
        status = sx_fail(error, SX_E_LIMIT, "%s ended without a result", what);
        goto out;
    }
    memcpy(&head, bytes, sizeof head);
    if (memcmp(head.mark, mark, sizeof mark) || head.status > 0 || head.status < SX_E_DENIED) {
        status = sx_fail(error, SX_E_FORMAT, "%s gave back what is no document", what);
    } else if (head.status == SX_E_NOMEM) {
        status = sx_fail(error, SX_E_LIMIT, "%s needs more than %zu MiB of memory", what, limits->memory >> 20);
    } else if (head.status) {
        head.problem[MESSAGE - 1] = '\0';
        status = sx_fail(error, (sx_status)head.status, "%s", head.problem);
    } else if (!take_document(&in, &head, document, blocks)) {
        status = sx_fail(error, SX_E_FORMAT, "%s gave back a damaged document", what);
    }
out:
    sx_buffer_clear(&output);
    return status;
}
