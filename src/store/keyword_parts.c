/* keyword_parts.c - parts of the keyword index: made of the chunks that wait, and merged in tiers, as log-structured indexes are
 * (O'Neil and others 1996), so that each posting is written a logarithmic number of times.
 *
 * A part is never changed. Chunks that went since stand in keyword_dead and are left out when their part is merged or when more
 * than a quarter of it is dead. Words are merged in their order, one at a time, so memory holds no more than one word's postings.
 */
#include "keyword_parts.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { FAN_IN = 8, FIRST_TIER = 1024, LARGEST_MERGED = 65536 };

/* ---- Writing a part ---- */

typedef struct part_writer {
    sx_database *database;
    int64_t collection, part;
    sx_buffer chunks, lengths, postings;
    uint32_t count;      /* chunks so far */
    uint64_t word;       /* whose postings are in hand */
    bool has_word;
    uint32_t last;       /* number of the word's last chunk, plus 1 */
} part_writer;

static void append_little(sx_buffer *buffer, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        sx_buffer_append_byte(buffer, (char)(value >> 8 * i));
}

/* The row comes first: what follows needs its id. Its lists are filled in at the end. */
static sx_status begin_part(part_writer *writer, sx_database *database, int64_t collection, sx_error *error)
{
    *writer = (part_writer){.database = database, .collection = collection};
    sx_status status = sx_sql_do(database, "INSERT INTO keyword_part(collection, count, chunks, lengths) VALUES (?, 0, x'', x'')",
                                 error, "i", collection);
    writer->part = sqlite3_last_insert_rowid(database->sqlite);
    return status;
}

static void add_to_part(part_writer *writer, int64_t chunk, uint32_t length)
{
    append_little(&writer->chunks, (uint64_t)chunk, 8);
    append_little(&writer->lengths, length, 4);
    writer->count++;
}

static sx_status end_word(part_writer *writer, sx_error *error)
{
    if (!writer->has_word)
        return SX_OK;
    if (writer->postings.failed)
        return sx_fail_nomem(error, writer->postings.length);
    writer->has_word = false;
    return sx_sql_do(writer->database, "INSERT INTO keyword_posting(part, word, data) VALUES (?, ?, ?)", error, "iib", writer->part,
                     (int64_t)writer->word, writer->postings.data, writer->postings.length);
}

/* Words in ascending order, the numbers of a word too. */
static sx_status add_posting(part_writer *writer, uint64_t word, uint32_t number, unsigned char frequencies, sx_error *error)
{
    sx_status status = SX_OK;
    if (!writer->has_word || writer->word != word) {
        status = end_word(writer, error);
        sx_buffer_reset(&writer->postings);
        writer->word = word;
        writer->has_word = true;
        writer->last = 0;
    }
    uint32_t distance = number + 1 - writer->last;
    for (; distance >= 0x80; distance >>= 7)
        sx_buffer_append_byte(&writer->postings, (char)(distance | 0x80));
    sx_buffer_append_byte(&writer->postings, (char)distance);
    sx_buffer_append_byte(&writer->postings, (char)frequencies);
    writer->last = number + 1;
    return status;
}

static sx_status end_part(part_writer *writer, sx_error *error)
{
    sx_status status = end_word(writer, error);
    if (!status && (writer->chunks.failed || writer->lengths.failed))
        status = sx_fail_nomem(error, writer->chunks.length);
    if (!status && !writer->count)
        status = sx_sql_do(writer->database, "DELETE FROM keyword_part WHERE id = ?", error, "i", writer->part);
    else if (!status)
        status = sx_sql_do(writer->database, "UPDATE keyword_part SET count = ?, chunks = ?, lengths = ? WHERE id = ?", error,
                           "ibbi", (int64_t)writer->count, writer->chunks.data, writer->chunks.length, writer->lengths.data,
                           writer->lengths.length, writer->part);
    return status;
}

static void clear_writer(part_writer *writer)
{
    sx_buffer_clear(&writer->chunks);
    sx_buffer_clear(&writer->lengths);
    sx_buffer_clear(&writer->postings);
}

/* ---- From what waits ---- */

typedef struct waiting_posting {
    uint64_t word;
    uint32_t number;
    unsigned char frequencies;
} waiting_posting;

static int by_word(const void *a, const void *b)
{
    const waiting_posting *first = a, *second = b;
    if (first->word != second->word)
        return first->word < second->word ? -1 : 1;
    return (first->number > second->number) - (first->number < second->number);
}

static sx_status fail_damaged(const sx_database *database, const char *what, int64_t id, sx_error *error)
{
    sx_status status = sx_fail(error, SX_E_FORMAT, "%s: the keyword index is damaged: %s %lld", database->path, what, (long long)id);
    sx_hint(error, "index the collection again, or restore a backup");
    return status;
}

static sx_status read_waiting(part_writer *writer, waiting_posting **postings, size_t *count, sx_error *error)
{
    sqlite3_stmt *statement;
    size_t capacity = 0;
    bool row = true;
    sx_status status = sx_sql_start(writer->database,
                                    "SELECT chunk, length, words FROM keyword_chunk WHERE collection = ? AND part = 0"
                                    " ORDER BY chunk",
                                    &statement, error, "i", writer->collection);
    while (!status && !(status = sx_sql_step(writer->database, statement, &row, error)) && row) {
        int64_t chunk = sqlite3_column_int64(statement, 0);
        const unsigned char *words = sqlite3_column_blob(statement, 2);
        size_t length = (size_t)sqlite3_column_bytes(statement, 2), entries = length / SX_KEYWORD_ENTRY;
        if (length % SX_KEYWORD_ENTRY)
            status = fail_damaged(writer->database, "the words of chunk", chunk, error);
        else if (!sx_reserve((void **)postings, &capacity, *count + entries, sizeof **postings))
            status = sx_fail_nomem(error, entries * sizeof **postings);
        if (status) {
            sqlite3_reset(statement);
            break;
        }
        for (size_t i = 0; i < entries; i++, words += SX_KEYWORD_ENTRY)
            (*postings)[(*count)++] = (waiting_posting){sx_little64(words), writer->count, words[8]};
        add_to_part(writer, chunk, (uint32_t)sqlite3_column_int64(statement, 1));
    }
    return status;
}

sx_status sx_keyword_flush(sx_database *database, int64_t collection, sx_error *error)
{
    part_writer writer;
    waiting_posting *postings = NULL;
    size_t count = 0;
    sx_status status = begin_part(&writer, database, collection, error);
    if (!status)
        status = read_waiting(&writer, &postings, &count, error);
    if (!status && count)
        qsort(postings, count, sizeof *postings, by_word);
    for (size_t i = 0; i < count && !status; i++)
        status = add_posting(&writer, postings[i].word, postings[i].number, postings[i].frequencies, error);
    if (!status)
        status = end_part(&writer, error);
    if (!status)
        status = sx_sql_do(database, "UPDATE keyword_chunk SET part = ?, words = NULL WHERE collection = ? AND part = 0", error,
                           "ii", writer.part, collection);
    free(postings);
    clear_writer(&writer);
    return status;
}

/* ---- Merging ---- */

typedef struct merge_source {
    int64_t part;
    uint32_t count, live;
    uint32_t *numbers; /* each chunk's number in the new part; UINT32_MAX: it has gone */
    sqlite3_stmt *statement;
    uint64_t word; /* of the row the statement stands on */
    bool row;
} merge_source;

typedef struct part_size {
    int64_t part;
    uint32_t count, dead;
} part_size;

static sx_status step_source(sx_database *database, merge_source *source, sx_error *error)
{
    sx_status status = sx_sql_step(database, source->statement, &source->row, error);
    if (!status && source->row)
        source->word = (uint64_t)sqlite3_column_int64(source->statement, 0);
    return status;
}

static bool is_dead(const int64_t *dead, size_t count, int64_t chunk)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (dead[middle] < chunk)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && dead[low] == chunk;
}

static sx_status read_dead(sx_database *database, int64_t part, int64_t **dead, size_t *count, sx_error *error)
{
    sqlite3_stmt *statement;
    size_t capacity = 0;
    bool row = true;
    sx_status status = sx_sql_start(database, "SELECT chunk FROM keyword_dead WHERE part = ? ORDER BY chunk", &statement, error,
                                    "i", part);
    while (!status && !(status = sx_sql_step(database, statement, &row, error)) && row) {
        if (!sx_reserve((void **)dead, &capacity, *count + 1, sizeof **dead)) {
            sqlite3_reset(statement);
            return sx_fail_nomem(error, sizeof **dead);
        }
        (*dead)[(*count)++] = sqlite3_column_int64(statement, 0);
    }
    return status;
}

/* Gives the living chunks of a part their numbers in the new one. */
static sx_status take_chunks(part_writer *writer, merge_source *source, sx_error *error)
{
    sx_database *database = writer->database;
    sqlite3_stmt *statement;
    int64_t *dead = NULL;
    size_t dead_count = 0;
    bool row = false;
    sx_status status = read_dead(database, source->part, &dead, &dead_count, error);
    source->numbers = status ? NULL : sx_calloc(source->count, sizeof *source->numbers);
    if (!status && !source->numbers)
        status = sx_fail_nomem(error, source->count * sizeof *source->numbers);
    if (!status)
        status = sx_sql_start(database, "SELECT chunks, lengths FROM keyword_part WHERE id = ?", &statement, error, "i",
                              source->part);
    if (!status)
        status = sx_sql_step(database, statement, &row, error);
    if (row) {
        const unsigned char *chunks = sqlite3_column_blob(statement, 0), *lengths = sqlite3_column_blob(statement, 1);
        if ((size_t)sqlite3_column_bytes(statement, 0) != (size_t)source->count * 8 ||
            (size_t)sqlite3_column_bytes(statement, 1) != (size_t)source->count * 4)
            status = fail_damaged(database, "part", source->part, error);
        for (uint32_t i = 0; i < source->count && !status; i++) {
            int64_t chunk = (int64_t)sx_little64(chunks + (size_t)i * 8);
            bool gone = is_dead(dead, dead_count, chunk);
            source->numbers[i] = gone ? UINT32_MAX : writer->count;
            if (!gone)
                add_to_part(writer, chunk, sx_little32(lengths + (size_t)i * 4));
        }
        sqlite3_reset(statement);
    }
    free(dead);
    return status;
}

static sx_status take_word(part_writer *writer, merge_source *source, sx_error *error)
{
    sx_status status = SX_OK;
    sx_postings postings = sx_postings_of(sqlite3_column_blob(source->statement, 1),
                                          (size_t)sqlite3_column_bytes(source->statement, 1), source->count);
    while (!status && sx_postings_next(&postings))
        if (source->numbers[postings.number] != UINT32_MAX)
            status = add_posting(writer, source->word, source->numbers[postings.number], postings.frequencies, error);
    if (!status && postings.damaged)
        status = fail_damaged(writer->database, "postings of part", source->part, error);
    return status;
}

static sx_status merge_words(part_writer *writer, merge_source *sources, size_t count, sx_error *error)
{
    sx_status status = SX_OK;
    for (size_t i = 0; i < count && !status; i++) {
        status = sx_sql_start_once(writer->database, "SELECT word, data FROM keyword_posting WHERE part = ? ORDER BY word",
                                   &sources[i].statement, error);
        if (!status) {
            sqlite3_bind_int64(sources[i].statement, 1, sources[i].part);
            status = step_source(writer->database, &sources[i], error);
        }
    }
    while (!status) {
        const merge_source *least = NULL;
        for (size_t i = 0; i < count; i++)
            /* The table's order is that of signed integers. */
            if (sources[i].row && (!least || (int64_t)sources[i].word < (int64_t)least->word))
                least = &sources[i];
        if (!least)
            break;
        uint64_t word = least->word;
        for (size_t i = 0; i < count && !status; i++)
            if (sources[i].row && sources[i].word == word && !(status = take_word(writer, &sources[i], error)))
                status = step_source(writer->database, &sources[i], error);
    }
    for (size_t i = 0; i < count; i++)
        sqlite3_finalize(sources[i].statement);
    return status;
}

static sx_status name_new_part(part_writer *writer, const merge_source *source, sx_error *error)
{
    sx_status status = SX_OK;
    uint32_t first = UINT32_MAX, end = 0;
    for (uint32_t i = 0; i < source->count; i++)
        if (source->numbers[i] != UINT32_MAX) {
            first = source->numbers[i] < first ? source->numbers[i] : first;
            end = source->numbers[i] + 1;
        }
    for (uint32_t i = first; i < end && !status; i++)
        status = sx_sql_do(writer->database, "UPDATE keyword_chunk SET part = ? WHERE chunk = ?", error, "ii", writer->part,
                           (int64_t)sx_little64((const unsigned char *)writer->chunks.data + (size_t)i * 8));
    return status;
}

static sx_status drop_part(sx_database *database, int64_t part, sx_error *error)
{
    sx_status status = sx_sql_do(database, "DELETE FROM keyword_posting WHERE part = ?", error, "i", part);
    if (!status)
        status = sx_sql_do(database, "DELETE FROM keyword_dead WHERE part = ?", error, "i", part);
    if (!status)
        status = sx_sql_do(database, "DELETE FROM keyword_part WHERE id = ?", error, "i", part);
    return status;
}

static sx_status merge_parts(sx_database *database, int64_t collection, const part_size *sizes, size_t count, sx_error *error)
{
    part_writer writer = {0};
    merge_source *sources = sx_calloc(count, sizeof *sources);
    if (!sources)
        return sx_fail_nomem(error, count * sizeof *sources);
    sx_status status = begin_part(&writer, database, collection, error);
    for (size_t i = 0; i < count && !status; i++) {
        sources[i] = (merge_source){.part = sizes[i].part, .count = sizes[i].count};
        status = take_chunks(&writer, &sources[i], error);
    }
    if (!status)
        status = merge_words(&writer, sources, count, error);
    for (size_t i = 0; i < count && !status; i++)
        status = name_new_part(&writer, &sources[i], error);
    if (!status)
        status = end_part(&writer, error);
    for (size_t i = 0; i < count; i++) {
        if (!status)
            status = drop_part(database, sizes[i].part, error);
        free(sources[i].numbers);
    }
    free(sources);
    clear_writer(&writer);
    return status;
}

static unsigned tier_of(const part_size *size)
{
    unsigned tier = 0;
    for (uint32_t least = FIRST_TIER * FAN_IN; size->count - size->dead >= least && least < LARGEST_MERGED * FAN_IN; least *= FAN_IN)
        tier++;
    return tier;
}

static sx_status read_sizes(sx_database *database, int64_t collection, part_size **sizes, size_t *count, sx_error *error)
{
    sqlite3_stmt *statement;
    size_t capacity = 0;
    bool row = true;
    sx_status status = sx_sql_start(database,
                                    "SELECT id, count, (SELECT count(*) FROM keyword_dead WHERE part = id) FROM keyword_part"
                                    " WHERE collection = ? ORDER BY id",
                                    &statement, error, "i", collection);
    while (!status && !(status = sx_sql_step(database, statement, &row, error)) && row) {
        if (!sx_reserve((void **)sizes, &capacity, *count + 1, sizeof **sizes)) {
            sqlite3_reset(statement);
            return sx_fail_nomem(error, sizeof **sizes);
        }
        int64_t chunks = sqlite3_column_int64(statement, 1), dead = sqlite3_column_int64(statement, 2);
        int64_t part = sqlite3_column_int64(statement, 0);
        if (chunks < 0 || chunks > INT32_MAX || dead < 0 || dead > chunks) {
            sqlite3_reset(statement);
            return fail_damaged(database, "part", part, error);
        }
        (*sizes)[(*count)++] = (part_size){part, (uint32_t)chunks, (uint32_t)dead};
    }
    return status;
}

sx_status sx_keyword_merge(sx_database *database, int64_t collection, sx_error *error)
{
    part_size *sizes = NULL, *chosen = NULL;
    size_t count = 0, wanted = 0;
    sx_status status = read_sizes(database, collection, &sizes, &count, error);
    if (!status && !(chosen = sx_calloc(count, sizeof *chosen)))
        status = sx_fail_nomem(error, count * sizeof *chosen);
    /* Parts of the smallest tier that is full; those of the last tier stay as they are. */
    for (unsigned tier = 0; !status && wanted < FAN_IN && tier < 2; tier++) {
        wanted = 0;
        for (size_t i = 0; i < count && wanted < FAN_IN; i++)
            if (tier_of(&sizes[i]) == tier)
                chosen[wanted++] = sizes[i];
    }
    if (!status && wanted == FAN_IN)
        status = merge_parts(database, collection, chosen, wanted, error);
    else
        for (size_t i = 0; i < count && !status; i++)
            if (sizes[i].dead > sizes[i].count / 4)
                status = merge_parts(database, collection, &sizes[i], 1, error);
    free(chosen);
    free(sizes);
    return status;
}
