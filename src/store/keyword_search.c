/* keyword_search.c - BM25 over a collection's keyword index as of one snapshot.
 *
 * All postings of the query's words are read first: how many living chunks have a word is part of every score, and a chunk that
 * went since must not count. Then they are scored into one sum for each chunk. Without a bound on what could still matter this
 * touches every posting, which at two bytes each is quicker than the pages they lie in are read.
 *
 * Which chunks there are and how long they are is read once for as long as nothing is written: the handle keeps that (a view).
 */
#include "store_keyword.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "keyword_parts.h"
#include "store_filters.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct search_part {
    int64_t part;
    uint32_t first, count; /* its chunks' places among all */
} search_part;

typedef struct hit_place {
    uint32_t place;
    unsigned char frequencies;
} hit_place;

/* What all queries of a version of the database have in common. */
typedef struct sx_keyword_view {
    sx_snapshot_version version;
    int64_t collection;
    search_part *parts;
    size_t part_count, part_capacity;
    /* for each place: parts in order, then those that wait */
    int64_t *chunks; /* 0: it has gone */
    uint32_t *lengths;
    size_t count, chunks_capacity, lengths_capacity;
    /* words of those that wait: the bytes of all, one after another */
    unsigned char *words;
    size_t *words_end;
    size_t words_capacity, words_end_capacity, waiting_first, words_length;
    double living, text_words, head_words; /* of those living, together */
} sx_keyword_view;

typedef struct keyword_search {
    sx_database *database;
    const sx_keyword_query *query;
    const sx_keyword_view *view;
    double *scores;  /* for each place */
    hit_place *hits; /* of the word in hand */
    size_t hit_count, hits_capacity;
    double average;
} keyword_search;

enum { MOST_KEPT_CHUNKS = 1 << 22 };

static void free_view(sx_keyword_view *view)
{
    if (!view)
        return;
    free(view->parts);
    free(view->chunks);
    free(view->lengths);
    free(view->words);
    free(view->words_end);
    free(view);
}

void sx_keyword_forget_view(sx_database *database)
{
    free_view(database->keyword_view);
    database->keyword_view = NULL;
}

static sx_status fail_damaged(const sx_database *database, int64_t part, sx_error *error)
{
    sx_status status = sx_fail(error, SX_E_FORMAT, "%s: the keyword index is damaged: part %lld", database->path,
                               (long long)part);
    sx_hint(error, "restore a backup, or delete the collection and index again");
    return status;
}

static bool reserve(sx_keyword_view *view, size_t more)
{
    return sx_reserve((void **)&view->chunks, &view->chunks_capacity, view->count + more, sizeof *view->chunks) &&
           sx_reserve((void **)&view->lengths, &view->lengths_capacity, view->count + more, sizeof *view->lengths);
}

static sx_status load_parts(sx_database *database, sx_keyword_view *view, sx_error *error)
{
    sqlite3_stmt *statement;
    bool row = true;
    sx_status status = sx_sql_start(database,
                                    "SELECT id, count, chunks, lengths FROM keyword_part WHERE collection = ? ORDER BY id",
                                    &statement, error, "i", view->collection);
    while (!status && !(status = sx_sql_step(database, statement, &row, error)) && row) {
        int64_t part = sqlite3_column_int64(statement, 0), count = sqlite3_column_int64(statement, 1);
        const unsigned char *chunks = sqlite3_column_blob(statement, 2), *lengths = sqlite3_column_blob(statement, 3);
        if (count < 0 || (uint64_t)count + view->count > UINT32_MAX / 2 ||
            (int64_t)sqlite3_column_bytes(statement, 2) != count * 8 || (int64_t)sqlite3_column_bytes(statement, 3) != count * 4)
            status = fail_damaged(database, part, error);
        else if (!sx_reserve((void **)&view->parts, &view->part_capacity, view->part_count + 1, sizeof *view->parts) ||
                 !reserve(view, (size_t)count))
            status = sx_fail_nomem(error, (size_t)count * sizeof *view->chunks);
        if (status) {
            sqlite3_reset(statement);
            break;
        }
        view->parts[view->part_count++] = (search_part){part, (uint32_t)view->count, (uint32_t)count};
        for (int64_t i = 0; i < count; i++) {
            view->chunks[view->count] = (int64_t)sx_little64(chunks + i * 8);
            view->lengths[view->count++] = sx_little32(lengths + i * 4);
        }
    }
    return status;
}

/* The chunks of a part are not always in the order of their ids, so the dead are looked for in sorted copies of neither: there
 * are few of them, and a pass over the part for each hundred is quick. */
static sx_status mark_dead(sx_database *database, sx_keyword_view *view, const search_part *part, sx_error *error)
{
    sqlite3_stmt *statement;
    bool row = true;
    int64_t *dead = NULL;
    size_t count = 0, capacity = 0;
    sx_status status = sx_sql_start(database, "SELECT chunk FROM keyword_dead WHERE part = ? ORDER BY chunk", &statement,
                                    error, "i", part->part);
    while (!status && !(status = sx_sql_step(database, statement, &row, error)) && row) {
        if (!sx_reserve((void **)&dead, &capacity, count + 1, sizeof *dead)) {
            sqlite3_reset(statement);
            status = sx_fail_nomem(error, sizeof *dead);
            break;
        }
        dead[count++] = sqlite3_column_int64(statement, 0);
    }
    for (uint32_t i = part->first; count && !status && i < part->first + part->count; i++) {
        size_t low = 0, high = count;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (dead[middle] < view->chunks[i])
                low = middle + 1;
            else
                high = middle;
        }
        if (low < count && dead[low] == view->chunks[i])
            view->chunks[i] = 0;
    }
    free(dead);
    return status;
}

static sx_status load_waiting(sx_database *database, sx_keyword_view *view, sx_error *error)
{
    sqlite3_stmt *statement;
    bool row = true;
    size_t waiting = 0;
    view->waiting_first = view->count;
    sx_status status = sx_sql_start(database,
                                    "SELECT chunk, length, words FROM keyword_chunk WHERE collection = ? AND part = 0"
                                    " ORDER BY chunk",
                                    &statement, error, "i", view->collection);
    while (!status && !(status = sx_sql_step(database, statement, &row, error)) && row) {
        const void *words = sqlite3_column_blob(statement, 2);
        size_t length = (size_t)sqlite3_column_bytes(statement, 2);
        if (length % SX_KEYWORD_ENTRY)
            status = fail_damaged(database, 0, error);
        else if (!reserve(view, 1) ||
                 !sx_reserve((void **)&view->words, &view->words_capacity, view->words_length + length, 1) ||
                 !sx_reserve((void **)&view->words_end, &view->words_end_capacity, waiting + 1, sizeof *view->words_end))
            status = sx_fail_nomem(error, length);
        if (status) {
            sqlite3_reset(statement);
            break;
        }
        if (length)
            memcpy(view->words + view->words_length, words, length);
        view->words_length += length;
        view->words_end[waiting++] = view->words_length;
        view->chunks[view->count] = sqlite3_column_int64(statement, 0);
        view->lengths[view->count++] = (uint32_t)sqlite3_column_int64(statement, 1);
    }
    return status;
}

static sx_status load_view(sx_database *database, sx_keyword_view *view, sx_error *error)
{
    sx_status status = load_parts(database, view, error);
    for (size_t i = 0; i < view->part_count && !status; i++)
        status = mark_dead(database, view, &view->parts[i], error);
    if (!status)
        status = load_waiting(database, view, error);
    for (size_t i = 0; i < view->count && !status; i++)
        if (view->chunks[i]) {
            view->living++;
            view->text_words += view->lengths[i] & 0xffff;
            view->head_words += view->lengths[i] >> 16;
        }
    return status;
}

/* The handle's view of the collection, read anew when anything was written since. */
static sx_status find_view(sx_database *database, int64_t collection, sx_error *error)
{
    sx_snapshot_version version = {0};
    sx_keyword_view *view = database->keyword_view;
    sx_status status = database->writing ? SX_OK : sx_snapshot_version_read(database, &version, error);
    if (status)
        return status;
    if (view && !database->writing && view->collection == collection && sx_snapshot_version_same(view->version, version))
        return SX_OK;
    sx_keyword_forget_view(database);
    view = sx_calloc(1, sizeof *view);
    if (!view)
        return sx_fail_nomem(error, sizeof *view);
    view->version = version;
    view->collection = collection;
    status = load_view(database, view, error);
    if (status)
        free_view(view);
    else
        database->keyword_view = view;
    return status;
}

static double weighted(const keyword_search *search, uint32_t text, uint32_t head)
{
    return text + search->query->head_weight * head;
}

/* ---- One word ---- */

static bool add_hit(keyword_search *search, uint32_t place, unsigned char frequencies)
{
    if (!search->view->chunks[place])
        return true;
    if (!sx_reserve((void **)&search->hits, &search->hits_capacity, search->hit_count + 1, sizeof *search->hits))
        return false;
    search->hits[search->hit_count++] = (hit_place){place, frequencies};
    return true;
}

static sx_status find_in_part(keyword_search *search, const search_part *part, uint64_t word, sx_error *error)
{
    sqlite3_stmt *statement;
    bool row = false, room = true;
    sx_status status = sx_sql_start(search->database, "SELECT data FROM keyword_posting WHERE part = ? AND word = ?", &statement,
                                    error, "ii", part->part, (int64_t)word);
    if (!status)
        status = sx_sql_step(search->database, statement, &row, error);
    if (!row)
        return status;
    sx_postings postings =
        sx_postings_of(sqlite3_column_blob(statement, 0), (size_t)sqlite3_column_bytes(statement, 0), part->count);
    while (room && sx_postings_next(&postings))
        room = add_hit(search, part->first + postings.number, postings.frequencies);
    sqlite3_reset(statement);
    if (!room)
        return sx_fail_nomem(error, search->hit_count * sizeof *search->hits);
    return postings.damaged ? fail_damaged(search->database, part->part, error) : SX_OK;
}

static bool find_waiting(keyword_search *search, uint64_t word)
{
    for (size_t i = search->view->waiting_first; i < search->view->count; i++) {
        size_t at = i - search->view->waiting_first, start = at ? search->view->words_end[at - 1] : 0;
        size_t low = 0, high = (search->view->words_end[at] - start) / SX_KEYWORD_ENTRY, end = high;
        const unsigned char *words = search->view->words + start;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (sx_little64(words + middle * SX_KEYWORD_ENTRY) < word)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < end && sx_little64(words + low * SX_KEYWORD_ENTRY) == word &&
            !add_hit(search, (uint32_t)i, words[low * SX_KEYWORD_ENTRY + 8]))
            return false;
    }
    return true;
}

static void score_word(keyword_search *search, double weight)
{
    const sx_keyword_query *query = search->query;
    double frequency = 0;
    /* With a head that counts nothing, a word that only heads have is in no chunk. */
    for (size_t i = 0; i < search->hit_count; i++)
        frequency += (search->hits[i].frequencies & 15) || query->head_weight > 0;
    double idf = log1p((search->view->living - frequency + 0.5) / (frequency + 0.5));
    for (size_t i = 0; i < search->hit_count; i++) {
        uint32_t place = search->hits[i].place, length = search->view->lengths[place];
        double times = weighted(search, search->hits[i].frequencies & 15, search->hits[i].frequencies >> 4);
        double size = search->average > 0 ? weighted(search, length & 0xffff, length >> 16) / search->average : 0;
        double norm = times + query->k1 * (1 - query->b + query->b * size);
        if (times > 0 && norm > 0)
            search->scores[place] += weight * idf * times * (query->k1 + 1) / norm;
    }
}

static sx_status score_all(keyword_search *search, sx_error *error)
{
    sx_status status = SX_OK;
    for (size_t i = 0; i < search->query->term_count && !status; i++) {
        search->hit_count = 0;
        for (size_t j = 0; j < search->view->part_count && !status; j++)
            status = find_in_part(search, &search->view->parts[j], search->query->terms[i].word, error);
        if (!status && !find_waiting(search, search->query->terms[i].word))
            status = sx_fail_nomem(error, search->hit_count * sizeof *search->hits);
        if (!status)
            score_word(search, search->query->terms[i].weight);
    }
    return status;
}

static sx_status score_chunks(keyword_search *search, int64_t collection, sx_error *error)
{
    sx_status status = find_view(search->database, collection, error);
    if (status)
        return status;
    const sx_keyword_view *view = search->view = search->database->keyword_view;
    if (view->living > 0)
        search->average = (view->text_words + search->query->head_weight * view->head_words) / view->living;
    search->scores = sx_calloc(view->count, sizeof *search->scores);
    if (!search->scores)
        return sx_fail_nomem(error, view->count * sizeof *search->scores);
    return score_all(search, error);
}

/* ---- The best ---- */

static bool is_better(sx_keyword_match a, sx_keyword_match b)
{
    return a.score != b.score ? a.score > b.score : a.chunk < b.chunk;
}

static int by_rank(const void *a, const void *b)
{
    const sx_keyword_match *first = a, *second = b;
    return is_better(*first, *second) ? -1 : is_better(*second, *first);
}

/* A heap whose root is the worst of those kept. */
static void sift_down(sx_keyword_match *heap, size_t count, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && is_better(heap[child], heap[child + 1]))
            child++;
        if (!is_better(heap[at], heap[child]))
            return;
        sx_keyword_match swap = heap[at];
        heap[at] = heap[child];
        heap[child] = swap;
    }
}

static void sift_up(sx_keyword_match *heap, size_t at)
{
    for (size_t parent; at && is_better(heap[parent = (at - 1) / 2], heap[at]); at = parent) {
        sx_keyword_match swap = heap[at];
        heap[at] = heap[parent];
        heap[parent] = swap;
    }
}

static bool has_id(const int64_t *ids, size_t count, int64_t id, size_t *at)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    *at = low;
    return low < count && ids[low] == id;
}

static void choose(const keyword_search *search, const int64_t *allowed, size_t allowed_count, size_t count,
                   sx_keyword_match *matches, size_t *found)
{
    size_t at;
    for (size_t i = 0; i < search->view->count; i++) {
        sx_keyword_match match = {search->view->chunks[i], search->scores[i]};
        if (match.score <= 0 || (*found == count && (!count || !is_better(match, matches[0]))) ||
            (allowed && !has_id(allowed, allowed_count, match.chunk, &at)))
            continue;
        if (*found < count) {
            matches[*found] = match;
            sift_up(matches, (*found)++);
        } else {
            matches[0] = match;
            sift_down(matches, count, 0);
        }
    }
    if (*found)
        qsort(matches, *found, sizeof *matches, by_rank);
}

/* Most places are none of those wanted, which a bit for the last digits of an id tells in most cases. */
static void look_up(const keyword_search *search, const int64_t *also, size_t also_count, double *also_scores)
{
    uint64_t bits[64] = {0};
    size_t at;
    for (size_t i = 0; i < also_count; i++)
        bits[also[i] / 64 % 64] |= (uint64_t)1 << also[i] % 64;
    for (size_t i = 0; also_count && i < search->view->count; i++) {
        int64_t chunk = search->view->chunks[i];
        if (search->scores[i] > 0 && (bits[chunk / 64 % 64] >> chunk % 64 & 1) && has_id(also, also_count, chunk, &at))
            also_scores[at] = search->scores[i];
    }
}

sx_status sx_store_keyword_search(sx_database *database, int64_t collection, const sx_keyword_query *query,
                                  const char *const *filters, size_t filter_count, size_t count, sx_keyword_match *matches,
                                  size_t *found, const int64_t *also, size_t also_count, double *also_scores, sx_error *error)
{
    *found = 0;
    keyword_search search = {.database = database, .query = query};
    int64_t *allowed = NULL;
    size_t allowed_count = 0;
    sx_status status = sx_snapshot_begin(database, error);
    if (!status && query->term_count)
        status = score_chunks(&search, collection, error);
    if (!status && filter_count)
        status = sx_filter_chunks(database, collection, filters, filter_count, &allowed, &allowed_count, error);
    sx_snapshot_end(database);
    if (!status) {
        for (size_t i = 0; i < also_count; i++)
            also_scores[i] = 0;
    }
    if (!status && search.view) {
        if (!filter_count || allowed_count)
            choose(&search, filter_count ? allowed : NULL, allowed_count, count, matches, found);
        look_up(&search, also, also_count, also_scores);
    }
    free(allowed);
    free(search.scores);
    free(search.hits);
    /* What was read inside a write transaction may be undone, and much is not worth its memory. */
    if (database->keyword_view && (database->writing || database->keyword_view->count > MOST_KEPT_CHUNKS))
        sx_keyword_forget_view(database);
    return status;
}
