/* test_keyword.c - the keyword index: its scores against a plain computation over the texts, in step with the chunks whatever
 * happens to them, and made for databases that had none. */
#include "store_support.h"

#include "store/schema.h"
#include "store/store_keyword.h"

enum { MOST_CHUNKS = 6000, MOST_WORDS = 60, VOCABULARY = 400 };

/* ---- The plain computation ---- */

typedef struct plain_chunk {
    int64_t id;
    uint64_t words[2][400];
    size_t lengths[2]; /* of the text, of the head */
} plain_chunk;

typedef struct plain_words {
    plain_chunk *chunk;
    int part;
} plain_words;

static bool add_plain(const char *word, size_t length, sx_word_kind kind, void *user)
{
    plain_words *words = user;
    assert_true(words->chunk->lengths[words->part] < 400);
    words->chunk->words[words->part][words->chunk->lengths[words->part]++] = sx_keyword_hash(word, length, kind);
    return true;
}

static size_t read_plain(sx_database *database, int64_t collection, plain_chunk *chunks)
{
    sqlite3_stmt *statement;
    size_t count = 0;
    assert_int_equal(sqlite3_prepare_v2(database->sqlite,
                                        "SELECT c.id, c.text, d.title || ' ' || coalesce(c.headings, '') FROM chunk c"
                                        " JOIN document d ON d.id = c.document WHERE c.collection = ? AND c.vector IS NOT NULL"
                                        " ORDER BY c.id",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    sqlite3_bind_int64(statement, 1, collection);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        assert_true(count < MOST_CHUNKS);
        plain_chunk *chunk = &chunks[count++];
        *chunk = (plain_chunk){.id = sqlite3_column_int64(statement, 0)};
        for (int part = 0; part < 2; part++)
            assert_true(sx_words_split((const char *)sqlite3_column_text(statement, 1 + part),
                                       (size_t)sqlite3_column_bytes(statement, 1 + part), add_plain, &(plain_words){chunk, part}));
    }
    sqlite3_finalize(statement);
    return count;
}

static double plain_frequency(const plain_chunk *chunk, uint64_t word, double head_weight)
{
    double times[2] = {0};
    for (int part = 0; part < 2; part++) {
        for (size_t i = 0; i < chunk->lengths[part]; i++)
            times[part] += chunk->words[part][i] == word;
        times[part] = times[part] > 15 ? 15 : times[part];
    }
    return times[0] + head_weight * times[1];
}

static double plain_score(const plain_chunk *chunks, size_t count, const plain_chunk *of, const sx_keyword_query *query)
{
    double score = 0, total = 0;
    for (size_t i = 0; i < count; i++)
        total += (double)chunks[i].lengths[0] + query->head_weight * (double)chunks[i].lengths[1];
    double length = ((double)of->lengths[0] + query->head_weight * (double)of->lengths[1]) / (total / (double)count);
    for (size_t t = 0; t < query->term_count; t++) {
        double having = 0, times = plain_frequency(of, query->terms[t].word, query->head_weight);
        if (times == 0)
            continue;
        for (size_t i = 0; i < count; i++)
            having += plain_frequency(&chunks[i], query->terms[t].word, query->head_weight) > 0;
        score += query->terms[t].weight * log(1 + ((double)count - having + 0.5) / (having + 0.5)) * times * (query->k1 + 1) /
                 (times + query->k1 * (1 - query->b + query->b * length));
    }
    return score;
}

static int by_id(const void *a, const void *b)
{
    const plain_chunk *first = a, *second = b;
    return (first->id > second->id) - (first->id < second->id);
}

/* ---- Documents at random ---- */

/* Frequent words are short numbers: frequencies fall as in language. */
static size_t random_text(char *text, size_t size)
{
    size_t length = 0, words = next_random() % MOST_WORDS;
    for (size_t i = 0; i < words; i++) {
        unsigned word = (unsigned)(VOCABULARY * next_unit() * next_unit() * next_unit());
        length += (size_t)snprintf(text + length, size - length, i % 7 ? "word%uq " : "some.Thing%u ", word);
    }
    return length;
}

static void commit_random(sx_database *database, int64_t collection, int64_t recipe, unsigned number, size_t count)
{
    sx_error error = {0};
    sx_chunk_row *chunks = calloc(count, sizeof *chunks);
    char(*texts)[2048] = calloc(count, sizeof *texts), path[32], title[32];
    float vector[4];
    OK(sx_store_begin(database, &error)); /* one flush to the disk for a document */
    snprintf(path, sizeof path, "%u.txt", number);
    snprintf(title, sizeof title, "Title %u", (unsigned)(next_random() % 3));
    for (size_t i = 0; i < count; i++) {
        size_t length = random_text(texts[i], sizeof texts[i]);
        bool failed = next_random() % 20 == 0;
        sx_sha256 hash;
        sx_sha256_of(texts[i], length, &hash);
        int64_t id = 0;
        random_vector(vector, 4);
        if (!failed)
            OK(sx_store_put(database, recipe, &hash, 1, vector, &(sx_vector_row){.tokens = 1}, &id, &error));
        chunks[i] = (sx_chunk_row){.vector = id,
                                   .index = (uint32_t)i,
                                   .text = texts[i],
                                   .text_length = length,
                                   .hash = hash,
                                   .headings = (char *)(next_random() % 2 ? "[\"Word1q heading\"]" : "[]"),
                                   .reason = (char *)(failed ? "failed" : NULL)};
    }
    sx_document_row row = {.root = (char *)"/r", .path = path, .title = title, .metadata = (char *)(number % 2 ? "{\"odd\":true}" : NULL)};
    OK(sx_store_document_commit(database, collection, &row, chunks, count, &error));
    OK(sx_store_commit(database, &error));
    free(chunks);
    free(texts);
}

/* The headings or the title change and the texts stay, so chunks keep their ids. */
static void change_title(sx_database *database, int64_t collection, int64_t document)
{
    sx_error error = {0};
    sqlite3_stmt *statement;
    sx_chunk_row chunks[64] = {{0}};
    size_t count = 0;
    char path[32];
    assert_int_equal(sqlite3_prepare_v2(database->sqlite,
                                        "SELECT c.vector, c.text, c.hash, d.path FROM chunk c JOIN document d ON d.id = c.document"
                                        " WHERE d.id = ? ORDER BY number",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    sqlite3_bind_int64(statement, 1, document);
    for (; sqlite3_step(statement) == SQLITE_ROW; count++) {
        chunks[count].vector = sqlite3_column_int64(statement, 0);
        chunks[count].index = (uint32_t)count;
        chunks[count].text = sx_strdup((const char *)sqlite3_column_text(statement, 1));
        chunks[count].text_length = (size_t)sqlite3_column_bytes(statement, 1);
        chunks[count].reason = chunks[count].vector ? NULL : sx_strdup("failed");
        chunks[count].headings = sx_strdup("[\"changed\"]");
        memcpy(&chunks[count].hash, sqlite3_column_blob(statement, 2), 32);
        snprintf(path, sizeof path, "%s", (const char *)sqlite3_column_text(statement, 3));
    }
    sqlite3_finalize(statement);
    sx_document_row row = {.root = (char *)"/r", .path = path, .title = (char *)"Another title"};
    if (count)
        OK(sx_store_document_commit(database, collection, &row, chunks, count, &error));
    for (size_t i = 0; i < count; i++)
        sx_chunk_row_clear(&chunks[i]);
}

/* ---- Comparing ---- */

static bool split_term(const char *word, size_t length, sx_word_kind kind, void *user)
{
    sx_keyword_query *query = user;
    sx_keyword_term *terms = (sx_keyword_term *)query->terms;
    uint64_t hash = sx_keyword_hash(word, length, kind);
    for (size_t i = 0; i < query->term_count; i++)
        if (terms[i].word == hash)
            return true;
    terms[query->term_count++] = (sx_keyword_term){hash, kind == SX_WORD_PLAIN ? 1 : 0.5};
    return query->term_count < 60;
}

static void check_against_plain(sx_database *database, int64_t collection)
{
    sx_error error = {0};
    plain_chunk *chunks = calloc(MOST_CHUNKS, sizeof *chunks);
    size_t count = read_plain(database, collection, chunks);
    sx_keyword_match *matches = calloc(MOST_CHUNKS, sizeof *matches);
    assert_int_equal(scalar(database, "SELECT count(*) FROM keyword_chunk"),
                     scalar(database, "SELECT count(*) FROM chunk WHERE vector IS NOT NULL"));
    for (int round = 0; round < 3; round++) {
        char text[2048];
        sx_keyword_term terms[64];
        sx_keyword_query query = {
            .terms = terms, .k1 = 0.5 + next_unit(), .b = next_unit(), .head_weight = round == 1 ? 0 : 2 * next_unit()};
        size_t length = (size_t)snprintf(text, sizeof text, "title 2 word%uq word3q changed nowhere some.Thing1",
                                         (unsigned)(next_random() % 50));
        (void)sx_words_split(text, length, split_term, &query);
        size_t found, better = 0, positive = 0;
        OK(sx_store_keyword_search(database, collection, &query, NULL, 0, MOST_CHUNKS, matches, &found, NULL, 0, NULL, &error));
        for (size_t i = 0; i < found; i++) {
            const plain_chunk key = {.id = matches[i].chunk}, *of = bsearch(&key, chunks, count, sizeof key, by_id);
            assert_non_null(of);
            if (i % 40 == 0) /* one in forty is enough to find a fault */
                assert_true(fabs(plain_score(chunks, count, of, &query) - matches[i].score) < 1e-9 * (1 + matches[i].score));
            better += i > 0 && (matches[i].score > matches[i - 1].score ||
                                (matches[i].score == matches[i - 1].score && matches[i].chunk < matches[i - 1].chunk));
        }
        assert_int_equal(better, 0);
        for (size_t j = 0; j < count; j++)
            for (size_t t = 0; t < query.term_count; t++)
                if (plain_frequency(&chunks[j], terms[t].word, query.head_weight) > 0) {
                    positive++;
                    break;
                }
        assert_int_equal(found, positive);
        /* The first ten alone are the same ten, and known chunks get their scores. */
        sx_keyword_match first[10];
        size_t few;
        int64_t also[2] = {found > 11 ? matches[11].chunk : 1, INT64_MAX};
        double scores[2];
        OK(sx_store_keyword_search(database, collection, &query, NULL, 0, 10, first, &few, also, 2, scores, &error));
        assert_int_equal(few, found < 10 ? found : 10);
        for (size_t i = 0; i < few; i++)
            assert_true(first[i].chunk == matches[i].chunk && first[i].score == matches[i].score);
        assert_true(scores[1] == 0 && (found <= 11 || scores[0] == matches[11].score));
    }
    free(matches);
    free(chunks);
}

/* What a search sees is what it sees when the index is thrown away and made again. */
static void check_against_new(sx_database *database, int64_t collection)
{
    sx_error error = {0};
    enum { MOST = 500 };
    sx_keyword_match before[MOST], after[MOST];
    size_t found[2];
    sx_keyword_term terms[64];
    sx_keyword_query query = {.terms = terms, .k1 = 1.2, .b = 0.75, .head_weight = 1};
    static const char text[] = "word1q word2q word30q title another heading";
    (void)sx_words_split(text, strlen(text), split_term, &query);
    OK(sx_store_keyword_search(database, collection, &query, NULL, 0, MOST, before, &found[0], NULL, 0, NULL, &error));
    OK(sx_sql_run(database, "DELETE FROM counter WHERE name = 'words_version'", &error));
    OK(sx_keyword_prepare(database, &error));
    OK(sx_store_keyword_search(database, collection, &query, NULL, 0, MOST, after, &found[1], NULL, 0, NULL, &error));
    assert_int_equal(found[0], found[1]);
    for (size_t i = 0; i < found[0]; i++)
        assert_true(before[i].chunk == after[i].chunk && fabs(before[i].score - after[i].score) < 1e-9);
    assert_int_equal(scalar(database, "SELECT count(*) FROM keyword_dead"), 0);
}

static void test_in_step(void **state)
{
    (void)state;
    sx_error error = {0};
    sx_database *database = open_named("keyword.db");
    int64_t recipe = make_recipe(database, "m", 4, true);
    sx_collection_row one = open_collection(database, "one", recipe), two = open_collection(database, "two", recipe);
    for (unsigned round = 0; round < 300; round++) {
        unsigned choice = (unsigned)(next_random() % 10);
        if (choice < 7)
            commit_random(database, next_random() % 5 ? one.id : two.id, recipe, (unsigned)(next_random() % 60), next_random() % 40);
        else if (choice == 7)
            OK(sx_store_document_remove(database, 1 + (int64_t)(next_random() % 60), &error));
        else if (choice == 8)
            change_title(database, one.id, 1 + (int64_t)(next_random() % 60));
        if (round % 150 == 100) {
            check_against_plain(database, one.id);
            check_against_plain(database, two.id);
        }
    }
    for (unsigned number = 0; number < 100; number++) /* enough for parts to merge */
        commit_random(database, one.id, recipe, 1000 + number, 39);
    assert_true(scalar(database, "SELECT count(*) FROM keyword_part") > 0);
    for (unsigned number = 0; number < 60; number++)
        commit_random(database, one.id, recipe, 1000 + number, 3);
    check_against_plain(database, one.id);
    check_against_new(database, one.id);
    check_against_plain(database, one.id);
    check_whole(database);
    OK(sx_collection_delete(database, "one", &error));
    assert_int_equal(scalar(database, "SELECT count(*) FROM keyword_part WHERE collection = 1"), 0);
    assert_int_equal(scalar(database, "SELECT count(*) FROM keyword_posting p WHERE p.part NOT IN (SELECT id FROM keyword_part)"), 0);
    assert_int_equal(scalar(database, "SELECT count(*) FROM keyword_chunk WHERE collection = 1"), 0);
    check_against_plain(database, two.id);
    check_whole(database);
    sx_collection_row_clear(&one);
    sx_collection_row_clear(&two);
    sx_database_close(database);
}

static void test_tiers(void **state)
{
    (void)state;
    sx_error error = {0};
    sx_database *database = open_named("tiers.db");
    int64_t recipe = make_recipe(database, "m", 4, true), vector;
    sx_collection_row row = open_collection(database, "c", recipe);
    float ones[4] = {1};
    vector = put_vector(database, recipe, 1, ones);
    OK(sx_store_begin(database, &error));
    int64_t vectors[64];
    for (size_t i = 0; i < 64; i++)
        vectors[i] = vector;
    for (unsigned i = 0; i < 150; i++) { /* 9,600 chunks: nine parts of 1,024, of which eight became one */
        char path[32];
        snprintf(path, sizeof path, "file%u", i);
        OK(commit_document(database, row.id, "/r", path, NULL, vectors, 64, NULL, &error));
    }
    OK(sx_store_commit(database, &error));
    assert_int_equal(scalar(database, "SELECT count(*) FROM keyword_part"), 2);
    assert_int_equal(scalar(database, "SELECT max(count) FROM keyword_part"), 8192);
    sx_keyword_term term = {sx_keyword_hash("149", 3, SX_WORD_PLAIN), 1};
    sx_keyword_query query = {.terms = &term, .term_count = 1, .k1 = 1.2, .b = 0.75, .head_weight = 1};
    sx_keyword_match matches[100];
    size_t found;
    OK(sx_store_keyword_search(database, row.id, &query, NULL, 0, 100, matches, &found, NULL, 0, NULL, &error));
    assert_int_equal(found, 64);
    const char *filters[] = {"document=file149"}, *none[] = {"document=file1"};
    OK(sx_store_keyword_search(database, row.id, &query, filters, 1, 100, matches, &found, NULL, 0, NULL, &error));
    assert_int_equal(found, 64);
    OK(sx_store_keyword_search(database, row.id, &query, none, 1, 100, matches, &found, NULL, 0, NULL, &error));
    assert_int_equal(found, 0);
    /* Damage is an error that says so. */
    term.word = sx_keyword_hash("chunk", 5, SX_WORD_PLAIN);
    OK(sx_sql_run(database, "UPDATE keyword_posting SET data = x'ffffffffffffffff'", &error));
    assert_int_equal(sx_store_keyword_search(database, row.id, &query, NULL, 0, 100, matches, &found, NULL, 0, NULL, &error),
                     SX_E_FORMAT);
    OK(sx_sql_run(database, "UPDATE keyword_part SET chunks = x'00'", &error));
    assert_int_equal(sx_store_keyword_search(database, row.id, &query, NULL, 0, 100, matches, &found, NULL, 0, NULL, &error),
                     SX_E_FORMAT);
    sx_collection_row_clear(&row);
    sx_database_close(database);
}

static void run_sql_file(const char *database, const char *source)
{
    sx_error error = {0};
    char *text;
    size_t length;
    sqlite3 *sqlite;
    OK(sx_file_read(source, 1 << 20, &text, &length, NULL, &error));
    assert_int_equal(sqlite3_open(database, &sqlite), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sqlite, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(sqlite);
    free(text);
}

/* A database from before there was a keyword index. */
static void test_migration(void **state)
{
    (void)state;
    sx_error error = {0};
    sx_collection_row row;
    char *path = in_folder("old.db");
    run_sql_file(path, SX_FIXTURES "/database/version-1.sql");
    free(path);
    sx_database *database = open_named("old.db");
    assert_int_equal(scalar(database, "PRAGMA user_version"), SX_SCHEMA_VERSION);
    assert_int_equal(scalar(database, "SELECT count(*) FROM keyword_chunk"), 2);
    OK(sx_store_collection_find(database, "kept", &row, &error));
    check_against_plain(database, row.id);
    check_whole(database);
    sx_collection_row_clear(&row);
    sx_database_close(database);
}

/* The index is made again when its words are of another version of the program, and when there is none, as behind the step from
 * version 3. */
static void test_made_again(void **state)
{
    (void)state;
    sx_error error = {0};
    sx_database *database = open_named("again.db");
    int64_t recipe = make_recipe(database, "m", 4, true);
    sx_collection_row row = open_collection(database, "c", recipe);
    for (unsigned number = 0; number < 80; number++)
        commit_random(database, row.id, recipe, number, 30);
    OK(sx_sql_run(database,
                  "DELETE FROM keyword_chunk; DELETE FROM keyword_part; DELETE FROM keyword_posting; DELETE FROM keyword_dead;"
                  "DELETE FROM counter WHERE name = 'words_version'",
                  &error));
    sx_database_close(database);
    database = open_named("again.db");
    assert_int_equal(scalar(database, "SELECT count(*) FROM keyword_part"), 2);
    check_against_plain(database, row.id);
    OK(sx_sql_run(database, "UPDATE counter SET value = 77 WHERE name = 'words_version'; DELETE FROM keyword_posting", &error));
    sx_database_close(database);
    database = open_named("again.db");
    check_against_plain(database, row.id);
    check_whole(database);
    sx_collection_row_clear(&row);
    sx_database_close(database);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_in_step, make_test_folder, remove_test_folder),
        cmocka_unit_test_setup_teardown(test_tiers, make_test_folder, remove_test_folder),
        cmocka_unit_test_setup_teardown(test_migration, make_test_folder, remove_test_folder),
        cmocka_unit_test_setup_teardown(test_made_again, make_test_folder, remove_test_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
