/* keyword_search.c - BM25 over a collection's keyword index as of one snapshot.
 *
 * All postings of the query's words are read first: how many living chunks have a word is part of every score, and a chunk that
 * went since must not count. Then they are scored into one sum for each chunk. Without a bound on what could still matter this
 * touches every posting, which at two bytes each is quicker than the pages they lie in are read.
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

typedef struct keyword_search {
    sx_database *database;
    int64_t collection;
    const sx_keyword_query *query;
    search_part *parts;
    size_t part_count, part_capacity;
    /* for each place: parts in order, then those that wait */
    int64_t *chunks; /* 0: it has gone */
    uint32_t *lengths;
    double *scores;
    size_t count, chunks_capacity, lengths_capacity;
    /* words of those that wait: the bytes of all, one after another */
    unsigned char *words;
    size_t *words_end;
    size_t words_capacity, words_end_capacity, waiting_first, words_length;
    hit_place *hits; /* of the word in hand */
    size_t hit_count, hits_capacity;
    double living, average;
} keyword_search;

static sx_status fail_damaged(const keyword_search *search, int64_t part, sx_error *error)
{
    sx_status status = sx_fail(error, SX_E_FORMAT, "%s: the keyword index is damaged: part %lld", search->database->path,
                               (long long)part);
    sx_hint(error, "restore a backup, or delete the collection and index again");
    return status;
}

static bool reserve(keyword_search *search, size_t more)
{
    return sx_reserve((void **)&search->chunks, &search->chunks_capacity, search->count + more, sizeof *search->chunks) &&
           sx_reserve((void **)&search->lengths, &search->lengths_capacity, search->count + more, sizeof *search->lengths);
}

static sx_status load_parts(keyword_search *search, sx_error *error)
{
    sqlite3_stmt *statement;
    bool row = true;
    sx_status status = sx_sql_start(search->database,
                                    "SELECT id, count, chunks, lengths FROM keyword_part WHERE collection = ? ORDER BY id",
                                    &statement, error, "i", search->collection);
    while (!status && !(status = sx_sql_step(search->database, statement, &row, error)) && row) {
        int64_t part = sqlite3_column_int64(statement, 0), count = sqlite3_column_int64(statement, 1);
        const unsigned char *chunks = sqlite3_column_blob(statement, 2), *lengths = sqlite3_column_blob(statement, 3);
        if (count < 0 || (uint64_t)count + search->count > UINT32_MAX / 2 ||
            (int64_t)sqlite3_column_bytes(statement, 2) != count * 8 || (int64_t)sqlite3_column_bytes(statement, 3) != count * 4)
            status = fail_damaged(search, part, error);
        else if (!sx_reserve((void **)&search->parts, &search->part_capacity, search->part_count + 1, sizeof *search->parts) ||
                 !reserve(search, (size_t)count))
            status = sx_fail_nomem(error, (size_t)count * sizeof *search->chunks);
        if (status) {
            sqlite3_reset(statement);
            break;
        }
        search->parts[search->part_count++] = (search_part){part, (uint32_t)search->count, (uint32_t)count};
        for (int64_t i = 0; i < count; i++) {
            search->chunks[search->count] = (int64_t)sx_little64(chunks + i * 8);
            search->lengths[search->count++] = sx_little32(lengths + i * 4);
        }
    }
    return status;
}

/* The chunks of a part are not always in the order of their ids, so the dead are looked for in sorted copies of neither: there
 * are few of them, and a pass over the part for each hundred is quick. */
static sx_status mark_dead(keyword_search *search, const search_part *part, sx_error *error)
{
    sqlite3_stmt *statement;
    bool row = true;
    int64_t *dead = NULL;
    size_t count = 0, capacity = 0;
    sx_status status = sx_sql_start(search->database, "SELECT chunk FROM keyword_dead WHERE part = ? ORDER BY chunk", &statement,
                                    error, "i", part->part);
    while (!status && !(status = sx_sql_step(search->database, statement, &row, error)) && row) {
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
            if (dead[middle] < search->chunks[i])
                low = middle + 1;
            else
                high = middle;
        }
        if (low < count && dead[low] == search->chunks[i])
            search->chunks[i] = 0;
    }
    free(dead);
    return status;
}

static sx_status load_waiting(keyword_search *search, sx_error *error)
{
    sqlite3_stmt *statement;
    bool row = true;
    size_t waiting = 0;
    search->waiting_first = search->count;
    sx_status status = sx_sql_start(search->database,
                                    "SELECT chunk, length, words FROM keyword_chunk WHERE collection = ? AND part = 0"
                                    " ORDER BY chunk",
                                    &statement, error, "i", search->collection);
    while (!status && !(status = sx_sql_step(search->database, statement, &row, error)) && row) {
        const void *words = sqlite3_column_blob(statement, 2);
        size_t length = (size_t)sqlite3_column_bytes(statement, 2);
        if (length % SX_KEYWORD_ENTRY)
            status = fail_damaged(search, 0, error);
        else if (!reserve(search, 1) ||
                 !sx_reserve((void **)&search->words, &search->words_capacity, search->words_length + length, 1) ||
                 !sx_reserve((void **)&search->words_end, &search->words_end_capacity, waiting + 1, sizeof *search->words_end))
            status = sx_fail_nomem(error, length);
        if (status) {
            sqlite3_reset(statement);
            break;
        }
        if (length)
            memcpy(search->words + search->words_length, words, length);
        search->words_length += length;
        search->words_end[waiting++] = search->words_length;
        search->chunks[search->count] = sqlite3_column_int64(statement, 0);
        search->lengths[search->count++] = (uint32_t)sqlite3_column_int64(statement, 1);
    }
    return status;
}

static double weighted(const keyword_search *search, uint32_t text, uint32_t head)
{
    return text + search->query->head_weight * head;
}

static sx_status load(keyword_search *search, sx_error *error)
{
    sx_status status = load_parts(search, error);
    for (size_t i = 0; i < search->part_count && !status; i++)
        status = mark_dead(search, &search->parts[i], error);
    if (!status)
        status = load_waiting(search, error);
    double text = 0, head = 0;
    for (size_t i = 0; i < search->count && !status; i++)
        if (search->chunks[i]) {
            search->living++;
            text += search->lengths[i] & 0xffff;
            head += search->lengths[i] >> 16;
        }
    if (search->living > 0)
        search->average = (text + search->query->head_weight * head) / search->living;
    search->scores = status ? NULL : sx_calloc(search->count, sizeof *search->scores);
    return status || search->scores ? status : sx_fail_nomem(error, search->count * sizeof *search->scores);
}

/* ---- One word ---- */

static bool add_hit(keyword_search *search, uint32_t place, unsigned char frequencies)
{
    if (!search->chunks[place])
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
    sx_postings postings = sx_postings_of(sqlite3_column_blob(statement, 0), (size_t)sqlite3_column_bytes(statement, 0), part->count);
    while (room && sx_postings_next(&postings))
        room = add_hit(search, part->first + postings.number, postings.frequencies);
    sqlite3_reset(statement);
    if (!room)
        return sx_fail_nomem(error, search->hit_count * sizeof *search->hits);
    return postings.damaged ? fail_damaged(search, part->part, error) : SX_OK;
}

static bool find_waiting(keyword_search *search, uint64_t word)
{
    for (size_t i = search->waiting_first; i < search->count; i++) {
        size_t at = i - search->waiting_first, start = at ? search->words_end[at - 1] : 0;
        size_t low = 0, high = (search->words_end[at] - start) / SX_KEYWORD_ENTRY, end = high;
        const unsigned char *words = search->words + start;
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
    double idf = log1p((search->living - frequency + 0.5) / (frequency + 0.5));
    for (size_t i = 0; i < search->hit_count; i++) {
        uint32_t place = search->hits[i].place, length = search->lengths[place];
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
        for (size_t j = 0; j < search->part_count && !status; j++)
            status = find_in_part(search, &search->parts[j], search->query->terms[i].word, error);
        if (!status && !find_waiting(search, search->query->terms[i].word))
            status = sx_fail_nomem(error, search->hit_count * sizeof *search->hits);
        if (!status)
            score_word(search, search->query->terms[i].weight);
    }
    return status;
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
    for (size_t i = 0; i < search->count; i++) {
        sx_keyword_match match = {search->chunks[i], search->scores[i]};
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

static void look_up(const keyword_search *search, const int64_t *also, size_t also_count, double *also_scores)
{
    size_t at;
    for (size_t i = 0; i < also_count; i++)
        also_scores[i] = 0;
    for (size_t i = 0; also_count && i < search->count; i++)
        if (search->scores[i] > 0 && has_id(also, also_count, search->chunks[i], &at))
            also_scores[at] = search->scores[i];
}

sx_status sx_store_keyword_search(sx_database *database, int64_t collection, const sx_keyword_query *query,
                                  const char *const *filters, size_t filter_count, size_t count, sx_keyword_match *matches,
                                  size_t *found, const int64_t *also, size_t also_count, double *also_scores, sx_error *error)
{
    *found = 0;
    keyword_search search = {.database = database, .collection = collection, .query = query};
    int64_t *allowed = NULL;
    size_t allowed_count = 0;
    sx_status status = sx_snapshot_begin(database, error);
    if (!status && query->term_count)
        status = load(&search, error);
    if (!status && query->term_count)
        status = score_all(&search, error);
    if (!status && filter_count)
        status = sx_filter_chunks(database, collection, filters, filter_count, &allowed, &allowed_count, error);
    sx_snapshot_end(database);
    if (!status) {
        if (!filter_count || allowed_count)
            choose(&search, filter_count ? allowed : NULL, allowed_count, count, matches, found);
        look_up(&search, also, also_count, also_scores);
    }
    free(allowed);
    free(search.parts);
    free(search.chunks);
    free(search.lengths);
    free(search.scores);
    free(search.words);
    free(search.words_end);
    free(search.hits);
    return status;
}
