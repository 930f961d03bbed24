/* chunk_documents.h - documents and counters for the tests of the chunker, made without readers and models, and the
 * chunker's promises checked by code that shares nothing with it. */
#ifndef SX_TESTS_CHUNK_DOCUMENTS_H
#define SX_TESTS_CHUNK_DOCUMENTS_H

#include "base/buffer.h"
#include "chunk/chunk.h"

#include <string.h>

static inline bool is_space(const char *text, size_t length, size_t at, size_t *bytes)
{
    static const char *const wide[] = {
        "\xc2\x85", "\xc2\xa0", "\xe1\x9a\x80", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f",
        "\xe3\x80\x80", "\xe2\x80\x80", "\xe2\x80\x81", "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85",
        "\xe2\x80\x86", "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a"};
    unsigned char byte = (unsigned char)text[at];
    *bytes = 1;
    if (byte < 0x80)
        return byte == ' ' || (byte >= 9 && byte <= 13) || (byte >= 28 && byte <= 31);
    if (byte != 0xc2 && (byte < 0xe1 || byte > 0xe3))
        return false;
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        *bytes = strlen(wide[i]);
        if (length - at >= *bytes && memcmp(text + at, wide[i], *bytes) == 0)
            return true;
    }
    *bytes = 1;
    return false;
}

static inline bool is_blank(const char *text, size_t length)
{
    size_t bytes;
    for (size_t at = 0; at < length; at += bytes)
        if (!is_space(text, length, at, &bytes))
            return false;
    return true;
}

/* A document over `text` (kept by the caller). With structure, lines that begin with # are headings and what blank lines
 * separate are blocks, roughly as in Markdown; without, there are no blocks. */
static inline void make_document(const char *text, size_t length, const char *title, bool structure, sx_document *document)
{
    memset(document, 0, sizeof *document);
    document->text = text;
    document->length = length;
    document->title = title;
    document->media_type = structure ? "text/markdown" : "text/plain";
    document->encoding = "utf-8";
    document->language = "";
    if (!structure)
        return;
    size_t capacity = 8;
    for (size_t i = 0; i < length; i++)
        capacity += text[i] == '\n';
    document->blocks = sx_arena_alloc(&document->arena, capacity * sizeof *document->blocks);
    bool in_block = false;
    for (size_t line = 0, end; line < length; line = end + 1) {
        const char *feed = memchr(text + line, '\n', length - line);
        end = feed ? (size_t)(feed - text) : length;
        if (is_blank(text + line, end - line)) {
            in_block = false;
        } else if (text[line] == '#') {
            size_t level = 0, words;
            while (line + level < end && text[line + level] == '#')
                level++;
            words = line + level + (line + level < end && text[line + level] == ' ');
            sx_block block = {.kind = SX_BLOCK_HEADING, .level = (uint8_t)(level > 6 ? 6 : level), .start = line, .end = end};
            block.heading = sx_arena_strndup(&document->arena, text + words, end - words);
            document->blocks[document->block_count++] = block;
            in_block = false;
        } else if (in_block) {
            document->blocks[document->block_count - 1].end = end;
        } else {
            sx_block block = {.kind = SX_BLOCK_PARAGRAPH, .start = line, .end = end};
            document->blocks[document->block_count++] = block;
            in_block = true;
        }
    }
}

static inline void note(uint32_t *starts, size_t capacity, size_t *count, size_t at)
{
    if (starts && *count < capacity)
        starts[*count] = (uint32_t)at;
    ++*count;
}

static inline size_t count_words(void *user, const char *text, size_t length, uint32_t *starts, size_t capacity)
{
    (void)user;
    size_t count = 0, bytes;
    bool inside = false;
    for (size_t at = 0; at < length; at += bytes) {
        bool space = is_space(text, length, at, &bytes);
        if (!space && !inside)
            note(starts, capacity, &count, at);
        inside = !space;
    }
    return count;
}

static inline size_t count_bytes(void *user, const char *text, size_t length, uint32_t *starts, size_t capacity)
{
    (void)user;
    (void)text;
    for (size_t at = 0; starts && at < length && at < capacity; at++)
        starts[at] = (uint32_t)at;
    return length;
}

static inline size_t count_fours(void *user, const char *text, size_t length, uint32_t *starts, size_t capacity)
{
    (void)user;
    (void)text;
    size_t count = 0;
    for (size_t at = 0; at < length; at += 4)
        note(starts, capacity, &count, at);
    return count;
}

static inline size_t count_more_for_slices(void *user, const char *text, size_t length, uint32_t *starts, size_t capacity)
{
    size_t count = count_words(user, text, length, starts, capacity);
    return starts ? count : count + count / 3 + length % 5;
}

static inline size_t count_lies(void *user, const char *text, size_t length, uint32_t *starts, size_t capacity)
{
    (void)user;
    (void)text;
    for (size_t i = 0; starts && i < capacity && i < 1000; i++)
        starts[i] = (uint32_t)(i * 2654435761u);
    if (starts)
        return 3;
    return length < 4 ? length : length * 5 / 2 + length % 7 * 10;
}

/* Counters by kind: one token for each word, byte, four bytes; per word, but slices count more than the whole, and differently at
 * each length; and one whose numbers and offsets mean nothing. */
typedef enum counter_kind { BY_WORD, BY_BYTE, BY_FOUR_BYTES, MORE_FOR_SLICES, LIAR, COUNTER_KINDS } counter_kind;
static inline sx_token_counter make_counter(counter_kind kind, uint32_t special, uint32_t prompt, uint32_t limit)
{
    static size_t (*const counts[COUNTER_KINDS])(void *, const char *, size_t, uint32_t *, size_t) = {
        [BY_WORD] = count_words, [BY_BYTE] = count_bytes, [BY_FOUR_BYTES] = count_fours,
        [MORE_FOR_SLICES] = count_more_for_slices, [LIAR] = count_lies};
    sx_token_counter counter = {.count = counts[kind], .special = special, .limit = limit, .prompt = prompt};
    return counter;
}

/* Vectors for strategy semantic that follow from the bytes alone, some of them not to be had. The user counts texts. */
enum { MADE_DIMENSIONS = 3 };
static inline sx_status make_vectors(void *user, const sx_text *texts, size_t count, float *vectors, sx_error *error)
{
    (void)error;
    if (user)
        *(size_t *)user += count;
    for (size_t i = 0; i < count; i++) {
        uint32_t hash = 2166136261u;
        for (size_t j = 0; j < texts[i].length; j++)
            hash = (hash ^ (unsigned char)texts[i].data[j]) * 16777619u;
        for (size_t j = 0; j < MADE_DIMENSIONS; j++)
            vectors[i * MADE_DIMENSIONS + j] = hash % 17 == 0 ? __builtin_nanf("") : (float)(hash >> 8 * j & 255) - 100;
    }
    return SX_OK;
}
static const sx_chunk_context with_vectors = {.embed = make_vectors, .dimensions = MADE_DIMENSIONS};

static inline size_t characters(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

static inline bool splits_character(const sx_document *document, size_t at)
{
    return at < document->length && ((unsigned char)document->text[at] & 0xc0) == 0x80;
}

static inline const char *check_one(const sx_document *document, const sx_chunk_plan *plan, const sx_token_counter *counter,
                             const sx_chunk *chunk)
{
    const char *text = document->text;
    size_t bytes, start = (size_t)chunk->start, end = (size_t)chunk->end, length = end - start;
    if (chunk->start >= chunk->end || chunk->end > document->length)
        return "bounds";
    if (splits_character(document, start) || splits_character(document, end))
        return "code points are cut";
    if (is_space(text, end, start, &bytes))
        return "begins with white space";
    for (size_t back = 1; back <= 3 && back <= length; back++)
        if (is_space(text, end, end - back, &bytes) && bytes == back)
            return "ends with white space";
    if (end < document->length && text[end] == '\n' && text[end - 1] == '\r')
        return "cuts CR LF";
    if (!chunk->header || (chunk->heading_count && !chunk->headings))
        return "no header or headings";
    for (uint32_t i = 0; i < chunk->heading_count; i++)
        if (!chunk->headings[i] || !chunk->headings[i][0])
            return "an empty heading";
    if (!plan->header && chunk->header[0])
        return "a header nobody wanted";

    bool counted = strcmp(plan->strategy, "sentences") == 0 || strcmp(plan->strategy, "paragraphs") == 0;
    if (!counted && !plan->in_tokens && characters(text + start, length) > plan->size)
        return "more characters than asked";
    if (!counter)
        return chunk->tokens ? "tokens without a counter" : NULL;
    sx_buffer embedded = {0};
    if (!sx_chunk_embedded_text(chunk, text, &embedded))
        return "embedded text";
    size_t tokens = counter->count(counter->user, embedded.data, embedded.length, NULL, 0) + counter->special + counter->prompt;
    size_t header = counter->count(counter->user, chunk->header, strlen(chunk->header), NULL, 0);
    sx_buffer_clear(&embedded);
    if (tokens != chunk->tokens)
        return "tokens are not what is embedded";
    size_t most = plan->in_tokens ? plan->size : counter->limit ? counter->limit : SIZE_MAX;
    if (chunk->header[0] && header > most / 3)
        return "the header takes more than a third";
    if (tokens > most && (characters(text + start, length) > 1 || chunk->header[0]))
        return "budget";
    return NULL;
}

/* What chunk.h promises, checked against the chunks with code of its own; NULL when all of it holds, else what does not. */
static inline const char *broken_promise(const sx_document *document, const sx_chunk_plan *plan, const sx_token_counter *counter,
                           const sx_chunk_list *list)
{
    size_t covered = 0, line = 1, line_at = 0;
    for (size_t i = 0; i < list->count; i++) {
        const sx_chunk *chunk = &list->chunks[i];
        const char *broken = check_one(document, plan, counter, chunk);
        if (broken)
            return broken;
        if (i && (chunk->start <= chunk[-1].start || chunk->end <= chunk[-1].end))
            return "order";
        if (chunk->start > covered && !is_blank(document->text + covered, (size_t)chunk->start - covered))
            return "text left out between chunks";
        covered = (size_t)chunk->end;
        for (; line_at < chunk->start; line_at++)
            line += document->text[line_at] == '\n';
        size_t last_line = line;
        for (size_t at = line_at; at + 1 < chunk->end; at++)
            last_line += document->text[at] == '\n';
        if (chunk->start_line != line || chunk->end_line != last_line)
            return "lines";
    }
    size_t mark = list->count == 0 && document->length >= 3 && memcmp(document->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    if (covered < document->length && !is_blank(document->text + covered + mark, document->length - covered - mark))
        return "text left out at the end";
    return NULL;
}

#endif
