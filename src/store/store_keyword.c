/* store_keyword.c - keeping the keyword index in step with the chunks. */
#include "store_keyword.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/memory.h"
#include "collections.h"
#include "keyword_parts.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Chunks that wait before they become a part; a search reads those that wait one by one. */
enum { MOST_WAITING = 1024, REBUILD_REPORT = 20000, FORGET_BATCH = 5000 };

uint64_t sx_keyword_hash(const char *word, size_t length, sx_word_kind kind)
{
    return XXH3_64bits_withSeed(word, length, kind);
}

typedef struct chunk_word {
    uint64_t word;
    unsigned char text, head; /* frequencies */
} chunk_word;

typedef struct chunk_words {
    chunk_word *items;
    size_t count, capacity;
    size_t text_length, head_length;
    bool head; /* which part is being split */
} chunk_words;

static bool add_word(const char *word, size_t length, sx_word_kind kind, void *user)
{
    chunk_words *words = user;
    if (!sx_reserve((void **)&words->items, &words->capacity, words->count + 1, sizeof *words->items))
        return false;
    words->items[words->count++] = (chunk_word){sx_keyword_hash(word, length, kind), !words->head, words->head};
    if (words->head)
        words->head_length++;
    else
        words->text_length++;
    return true;
}

static int by_word(const void *a, const void *b)
{
    const chunk_word *first = a, *second = b;
    return (first->word > second->word) - (first->word < second->word);
}

static unsigned char most(unsigned value)
{
    return (unsigned char)(value < SX_KEYWORD_MOST_FREQUENCY ? value : SX_KEYWORD_MOST_FREQUENCY);
}

/* Sorts the words and counts equal ones into one. */
static void count_words(chunk_words *words)
{
    size_t kept = 0;
    if (words->count)
        qsort(words->items, words->count, sizeof *words->items, by_word);
    for (size_t i = 0; i < words->count; i++) {
        if (!kept || words->items[kept - 1].word != words->items[i].word) {
            words->items[kept++] = words->items[i];
            continue;
        }
        chunk_word *same = &words->items[kept - 1];
        same->text = most((unsigned)same->text + words->items[i].text);
        same->head = most((unsigned)same->head + words->items[i].head);
    }
    words->count = kept;
}

static unsigned char *encode(const chunk_words *words, size_t *length)
{
    unsigned char *bytes = sx_calloc(words->count, SX_KEYWORD_ENTRY), *at = bytes;
    *length = words->count * SX_KEYWORD_ENTRY;
    for (size_t i = 0; bytes && i < words->count; i++) {
        for (int j = 0; j < 8; j++)
            *at++ = (unsigned char)(words->items[i].word >> 8 * j);
        *at++ = (unsigned char)(words->items[i].text | words->items[i].head << 4);
    }
    return bytes;
}

static int64_t limited_length(const chunk_words *words)
{
    size_t text = words->text_length < SX_KEYWORD_MOST_LENGTH ? words->text_length : SX_KEYWORD_MOST_LENGTH;
    size_t head = words->head_length < SX_KEYWORD_MOST_LENGTH ? words->head_length : SX_KEYWORD_MOST_LENGTH;
    return (int64_t)(text | head << 16);
}

/* What counts as head: the title and the headings. They are JSON, whose quotes and brackets part words as spaces do. */
static bool write_head(sx_buffer *head, const char *title, const char *headings)
{
    if (title)
        sx_buffer_append_string(head, title);
    sx_buffer_append_byte(head, '\n');
    if (headings)
        sx_buffer_append_string(head, headings);
    return !head->failed;
}

/* Takes out what a kept chunk had before, unless that is what it has now. */
static sx_status remove_old(sx_database *database, int64_t id, int64_t print, bool *same, sx_error *error)
{
    int64_t known;
    sx_status status = sx_sql_number(database, "SELECT 1 FROM keyword_chunk WHERE chunk = ? AND print = ?", 0, &known, error, "ii",
                                     id, print);
    *same = known != 0;
    if (status || *same)
        return status;
    status = sx_sql_do(database,
                       "INSERT OR IGNORE INTO keyword_dead(part, chunk) SELECT part, chunk FROM keyword_chunk"
                       " WHERE chunk = ? AND part > 0",
                       error, "i", id);
    return status ? status : sx_sql_do(database, "DELETE FROM keyword_chunk WHERE chunk = ?", error, "i", id);
}

static sx_status add(sx_database *database, int64_t collection, const char *title, int64_t id, sx_text text, const char *headings,
                     bool kept, sx_error *error)
{
    chunk_words words = {0};
    sx_buffer head = {0};
    unsigned char *bytes = NULL;
    size_t length = 0;
    bool same = false;
    sx_status status = write_head(&head, title, headings) ? SX_OK : sx_fail_nomem(error, head.length);
    if (status)
        goto out;
    int64_t print = (int64_t)XXH3_64bits_withSeed(text.data, text.length, XXH3_64bits(head.data, head.length));
    if (kept && ((status = remove_old(database, id, print, &same, error)) || same))
        goto out;
    bool whole = sx_words_split(text.data, text.length, add_word, &words);
    words.head = true;
    whole = whole && sx_words_split(head.data, head.length, add_word, &words);
    if (whole) {
        count_words(&words);
        bytes = encode(&words, &length);
    }
    if (!bytes) {
        status = sx_fail_nomem(error, words.count * sizeof *words.items);
        goto out;
    }
    status = sx_sql_do(database, "INSERT INTO keyword_chunk(chunk, collection, part, print, length, words) VALUES (?, ?, 0, ?, ?, ?)",
                       error, "iiiib", id, collection, print, limited_length(&words), bytes, length);
out:
    free(bytes);
    free(words.items);
    sx_buffer_clear(&head);
    return status;
}

sx_status sx_keyword_add(sx_database *database, int64_t collection, const sx_document_row *document, int64_t id,
                         const sx_chunk_row *chunk, bool kept, sx_error *error)
{
    if (!chunk->vector)
        return SX_OK;
    return add(database, collection, document->title, id, (sx_text){chunk->text, chunk->text_length}, chunk->headings, kept,
               error);
}

sx_status sx_keyword_settle(sx_database *database, int64_t collection, sx_error *error)
{
    int64_t waiting;
    sx_status status = sx_sql_number(database, "SELECT count(*) FROM keyword_chunk WHERE collection = ? AND part = 0", 0, &waiting,
                                     error, "i", collection);
    if (status || waiting < MOST_WAITING)
        return status;
    status = sx_keyword_flush(database, collection, error);
    return status ? status : sx_keyword_merge(database, collection, error);
}

/* ---- Deleting ---- */

sx_status sx_keyword_forget(sx_database *database, int64_t collection, bool *more, sx_error *error)
{
    int64_t part = 0;
    sx_scope scope;
    *more = true;
    sx_status status = sx_scope_enter(database, &scope, error);
    if (status)
        return status;
    status = sx_sql_number(database, "SELECT id FROM keyword_part WHERE collection = ? LIMIT 1", 0, &part, error, "i", collection);
    if (!status && part) {
        status = sx_sql_do(database, "DELETE FROM keyword_posting WHERE part = ?", error, "i", part);
        if (!status)
            status = sx_sql_do(database, "DELETE FROM keyword_dead WHERE part = ?", error, "i", part);
        if (!status)
            status = sx_sql_do(database, "DELETE FROM keyword_part WHERE id = ?", error, "i", part);
    } else if (!status) {
        status = sx_sql_do(database,
                           "DELETE FROM keyword_chunk WHERE chunk IN (SELECT c.id FROM chunk c JOIN keyword_chunk k"
                           " ON k.chunk = c.id WHERE c.collection = ? AND c.vector IS NOT NULL LIMIT ?)",
                           error, "ii", collection, (int64_t)FORGET_BATCH);
        *more = !status && sqlite3_changes(database->sqlite) > 0;
    }
    return sx_scope_leave(database, &scope, status, error);
}

/* ---- Making the whole again ---- */

typedef struct rebuild {
    sx_database *database;
    int64_t done, total, last; /* last: the id entered last */
} rebuild;

static sx_status add_stored(rebuild *work, sqlite3_stmt *statement, int64_t *collection, sx_error *error)
{
    work->last = sqlite3_column_int64(statement, 0);
    int64_t of = sqlite3_column_int64(statement, 1);
    *collection = of;
    sx_text text = {(const char *)sqlite3_column_text(statement, 2), (size_t)sqlite3_column_bytes(statement, 2)};
    const char *headings = (const char *)sqlite3_column_text(statement, 3);
    const char *title = (const char *)sqlite3_column_text(statement, 4);
    if (!text.data || (!headings && sqlite3_column_type(statement, 3) != SQLITE_NULL) ||
        (!title && sqlite3_column_type(statement, 4) != SQLITE_NULL))
        return sx_fail_nomem(error, text.length);
    return add(work->database, of, title, work->last, text, headings, false, error);
}

static sx_status rebuild_all(sx_database *database, sx_error *error)
{
    rebuild work = {.database = database};
    sx_status status = sx_sql_run(database,
                                  "DELETE FROM keyword_chunk; DELETE FROM keyword_part; DELETE FROM keyword_posting;"
                                  "DELETE FROM keyword_dead",
                                  error);
    if (!status)
        status = sx_sql_number(database, "SELECT count(*) FROM chunk WHERE vector IS NOT NULL", 0, &work.total, error, "");
    if (!status && work.total >= REBUILD_REPORT)
        sx_store_log(database, SX_LOG_INFO, "%s: the keyword index of %lld chunks is being made", database->path,
                     (long long)work.total);
    bool row = true;
    while (!status && row) {
        sqlite3_stmt *statement;
        int64_t collection = 0;
        status = sx_sql_start(database,
                              "SELECT c.id, c.collection, c.text, c.headings, d.title FROM chunk c JOIN document d"
                              " ON d.id = c.document WHERE c.id > ? AND c.vector IS NOT NULL ORDER BY c.id LIMIT 1",
                              &statement, error, "i", work.last);
        if (!status)
            status = sx_sql_step(database, statement, &row, error);
        if (status || !row)
            break;
        status = add_stored(&work, statement, &collection, error);
        sqlite3_reset(statement);
        if (!status && ++work.done % 64 == 0)
            status = sx_keyword_settle(database, collection, error);
        if (!status && work.done % REBUILD_REPORT == 0)
            sx_store_log(database, SX_LOG_INFO, "%s: keyword index: %lld of %lld chunks", database->path, (long long)work.done,
                         (long long)work.total);
    }
    return status;
}

sx_status sx_keyword_prepare(sx_database *database, sx_error *error)
{
    int64_t version;
    static const char question[] = "SELECT value FROM counter WHERE name = 'words_version'";
    sx_status status = sx_sql_number(database, question, 0, &version, error, "");
    if (status || version == SX_WORDS_VERSION)
        return status;
    sx_scope scope;
    if ((status = sx_scope_enter(database, &scope, error)))
        return status;
    status = rebuild_all(database, error);
    if (!status)
        status = sx_sql_do(database, "INSERT OR REPLACE INTO counter(name, value) VALUES ('words_version', ?)", error, "i",
                           (int64_t)SX_WORDS_VERSION);
    return sx_scope_leave(database, &scope, status, error);
}
