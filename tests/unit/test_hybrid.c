/* test_hybrid.c - the candidates for a query, against a plain computation: standard scores of cosine and BM25 under the type's
 * weights, over the best of both lists; filters, thresholds, ties; the words a type takes from a query. */
#include "store_support.h"

#include "index/hybrid.h"

enum { CHUNKS = 240, DIMENSIONS = 6, VOCABULARY = 20, WORDS = 12, DEPTH = 30, IN_DOCUMENT = 4 };

typedef struct chunk {
    int64_t id;
    float vector[DIMENSIONS];
    double similarity, words;
    uint32_t semantic_rank, keyword_rank;
    double score;
    bool odd; /* of a document whose number is odd */
} chunk;

typedef struct fixture {
    sx_database *database;
    sx_collection_row collection;
    int64_t recipe;
    chunk chunks[CHUNKS];
} fixture;

/* Frequent words are small numbers. */
static size_t random_words(char *text, size_t size, int count)
{
    size_t length = 0;
    for (int i = 0; i < count; i++)
        length += (size_t)snprintf(text + length, size - length, "word%cx ", 'a' + (int)(VOCABULARY * next_unit() * next_unit()));
    return length;
}

static void commit(fixture *f, int document, const float (*vectors)[DIMENSIONS], char (*texts)[512], size_t count)
{
    sx_error error = {0};
    sx_chunk_row rows[IN_DOCUMENT] = {{0}};
    char path[32];
    snprintf(path, sizeof path, "%03d.txt", document);
    for (size_t i = 0; i < count; i++) {
        uint64_t number = (uint64_t)document * IN_DOCUMENT + i;
        rows[i] = (sx_chunk_row){.vector = put_vector(f->database, f->recipe, number, vectors[i]),
                                 .index = (uint32_t)i,
                                 .text = texts[i],
                                 .text_length = strlen(texts[i]),
                                 .headings = (char *)"[]",
                                 .hash = hash_of_number(number)};
    }
    sx_document_row row = {.root = (char *)"/r", .path = path, .title = (char *)"t",
                           .metadata = (char *)(document % 2 ? "{\"odd\":true}" : "{\"odd\":false}")};
    OK(sx_store_document_commit(f->database, f->collection.id, &row, rows, count, &error));
}

static int open_empty(void **state)
{
    if (make_test_folder(state))
        return -1;
    fixture *f = calloc(1, sizeof *f);
    f->database = open_named("t.db");
    f->recipe = make_recipe(f->database, "m", DIMENSIONS, true);
    f->collection = open_collection(f->database, "c", f->recipe);
    *state = f;
    return 0;
}

static int open_filled(void **state)
{
    if (open_empty(state))
        return -1;
    fixture *f = *state;
    sx_error error = {0};
    sqlite3_stmt *statement;
    random_seed = 4711;
    OK(sx_store_begin(f->database, &error));
    for (int d = 0; d < CHUNKS / IN_DOCUMENT; d++) {
        float vectors[IN_DOCUMENT][DIMENSIONS];
        char texts[IN_DOCUMENT][512];
        for (int i = 0; i < IN_DOCUMENT; i++) {
            random_vector(vectors[i], DIMENSIONS);
            random_words(texts[i], sizeof texts[i], 1 + (int)(next_random() % WORDS));
            memcpy(f->chunks[d * IN_DOCUMENT + i].vector, vectors[i], sizeof vectors[i]);
            f->chunks[d * IN_DOCUMENT + i].odd = d % 2;
        }
        commit(f, d, vectors, texts, IN_DOCUMENT);
    }
    OK(sx_store_commit(f->database, &error));
    assert_int_equal(sqlite3_prepare_v2(f->database->sqlite,
                                        "SELECT c.id FROM chunk c JOIN document d ON d.id = c.document ORDER BY d.path, c.number",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    for (int i = 0; i < CHUNKS; i++) {
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        f->chunks[i].id = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return 0;
}

static int close_all(void **state)
{
    fixture *f = *state;
    sx_collection_row_clear(&f->collection);
    sx_database_close(f->database);
    free(f);
    return remove_test_folder(state);
}

/* ---- The plain computation ---- */

static int by_similarity(const void *a, const void *b)
{
    const chunk *first = *(chunk *const *)a, *second = *(chunk *const *)b;
    return (first->similarity < second->similarity) - (first->similarity > second->similarity);
}

static int by_words(const void *a, const void *b)
{
    const chunk *first = *(chunk *const *)a, *second = *(chunk *const *)b;
    if (first->words != second->words)
        return first->words < second->words ? 1 : -1;
    return (first->id > second->id) - (first->id < second->id);
}

static int by_fused(const void *a, const void *b)
{
    const chunk *first = *(chunk *const *)a, *second = *(chunk *const *)b;
    if (fabs(first->score - second->score) > 1e-12)
        return first->score < second->score ? 1 : -1;
    return (first->id > second->id) - (first->id < second->id);
}

/* Each chunk's true scores; BM25 is the keyword index's own, which test_keyword.c compares with the texts. */
static void score_all(fixture *f, const char *text, const float *vector, const sx_query_type *type)
{
    sx_error error = {0};
    sx_keyword_term *terms;
    size_t term_count, found;
    sx_keyword_match matches[CHUNKS];
    OK(sx_query_terms((sx_text){text, strlen(text)}, type, &terms, &term_count, &error));
    sx_keyword_query query = {terms, term_count, type->k1, type->b, type->head_weight};
    OK(sx_store_keyword_search(f->database, f->collection.id, &query, NULL, 0, CHUNKS, matches, &found, NULL, 0, NULL, &error));
    free(terms);
    for (int i = 0; i < CHUNKS; i++) {
        chunk *of = &f->chunks[i];
        of->similarity = of->words = 0;
        of->semantic_rank = of->keyword_rank = 0;
        for (int k = 0; k < DIMENSIONS; k++)
            of->similarity += (double)of->vector[k] * vector[k];
        for (size_t m = 0; m < found; m++)
            if (matches[m].chunk == of->id)
                of->words = matches[m].score;
    }
}

/* The candidates in their order; returns how many. */
static size_t fuse_plainly(fixture *f, const sx_query_type *type, bool odd_only, double threshold, chunk **order)
{
    chunk *near[CHUNKS], *worded[CHUNKS];
    size_t count = 0, taken = 0;
    double mean[2] = {0}, deviation[2] = {0};
    for (int i = 0; i < CHUNKS; i++)
        if (!odd_only || f->chunks[i].odd) {
            near[count] = worded[count] = &f->chunks[i];
            count++;
        }
    qsort(near, count, sizeof *near, by_similarity);
    qsort(worded, count, sizeof *worded, by_words);
    for (size_t i = 0; i < count && i < type->depth && near[i]->similarity >= threshold; i++)
        near[i]->semantic_rank = (uint32_t)i + 1;
    for (size_t i = 0; i < count && i < type->depth && worded[i]->words > 0; i++)
        worded[i]->keyword_rank = (uint32_t)i + 1;
    for (int i = 0; i < CHUNKS; i++)
        if ((f->chunks[i].semantic_rank || f->chunks[i].keyword_rank) && f->chunks[i].similarity >= threshold)
            order[taken++] = &f->chunks[i];
    for (size_t i = 0; i < taken; i++) {
        mean[0] += order[i]->similarity / (double)taken;
        mean[1] += order[i]->words / (double)taken;
    }
    for (size_t i = 0; i < taken; i++) {
        deviation[0] += pow(order[i]->similarity - mean[0], 2) / (double)taken;
        deviation[1] += pow(order[i]->words - mean[1], 2) / (double)taken;
    }
    for (size_t i = 0; i < taken; i++)
        order[i]->score = type->semantic_weight * (order[i]->similarity - mean[0]) / sqrt(deviation[0]) +
                          (deviation[1] > 0 ? type->keyword_weight * (order[i]->words - mean[1]) / sqrt(deviation[1]) : 0);
    qsort(order, taken, sizeof *order, by_fused);
    return taken;
}

static size_t ask(fixture *f, sx_candidate_query query, size_t count, sx_search_candidate *candidates)
{
    sx_error error = {0};
    size_t found;
    OK(sx_search_candidates(f->database, &f->collection, &query, count, candidates, &found, &error));
    assert_true(found <= count);
    return found;
}

static void check_same(chunk *const *expected, const sx_search_candidate *found, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_true(fabs(found[i].score - expected[i]->score) < 1e-5);
        if (found[i].chunk != expected[i]->id) /* float and double may order two that are nearly equal otherwise */
            assert_true(i + 1 < count && fabs(expected[i]->score - expected[i + 1]->score) < 1e-5);
        else {
            assert_true(fabs((double)found[i].similarity - expected[i]->similarity) < 1e-5);
            assert_int_equal(found[i].keyword_rank, expected[i]->keyword_rank);
            assert_int_equal(found[i].semantic_rank, expected[i]->semantic_rank);
        }
    }
}

/* ---- Tests ---- */

static void the_fused_order_is_that_of_the_formula(void **state)
{
    fixture *f = *state;
    sx_error error = {0};
    static const char *const names[] = {"general", "code_search", "error_analysis", "documentation"};
    for (int q = 0; q < 40; q++) {
        const sx_query_type *named;
        OK(sx_query_type_find(names[q % 4], &named, &error));
        sx_query_type type = *named;
        type.depth = DEPTH; /* so that there are chunks in one list only, and in none */
        float vector[DIMENSIONS];
        char text[512];
        chunk *expected[CHUNKS];
        sx_search_candidate found[CHUNKS];
        random_vector(vector, DIMENSIONS);
        random_words(text, sizeof text, 1 + q % 5);
        bool filtered = q % 3 == 1;
        double threshold = q % 5 == 4 ? 0.3 : -2;
        score_all(f, text, vector, &type);
        size_t count = fuse_plainly(f, &type, filtered, threshold, expected);
        sx_candidate_query query = {.text = {text, strlen(text)}, .vector = vector, .type = &type,
                                    .filters = (const char *const[]){"odd=true"}, .filter_count = filtered,
                                    .threshold = threshold, .has_threshold = threshold > -2};
        /* A larger count looks deeper, so no more than the depth is asked for. */
        size_t wanted = 1 + (size_t)q % DEPTH;
        assert_int_equal(ask(f, query, wanted, found), count < wanted ? count : wanted);
        check_same(expected, found, count < wanted ? count : wanted);
    }
}

/* With one weight alone the order is that list's own, whatever the other says. */
static void a_weight_of_nothing_counts_nothing(void **state)
{
    fixture *f = *state;
    const sx_query_type *named;
    assert_int_equal(sx_query_type_find(NULL, &named, NULL), SX_OK);
    assert_string_equal(named->name, "general");
    sx_query_type meaning = *named, words = *named;
    meaning.keyword_weight = words.semantic_weight = 0;
    meaning.depth = words.depth = CHUNKS;
    const float vector[DIMENSIONS] = {0.6f, 0.8f};
    const char *text = "wordax wordbx wordcx";
    sx_search_candidate found[CHUNKS];
    sx_candidate_query query = {.text = {text, strlen(text)}, .vector = vector, .type = &meaning};
    assert_int_equal(ask(f, query, CHUNKS, found), CHUNKS);
    for (int i = 1; i < CHUNKS; i++)
        assert_true(found[i - 1].similarity >= found[i].similarity && found[i].semantic_rank == (uint32_t)i + 1);
    query.type = &words;
    assert_int_equal(ask(f, query, CHUNKS, found), CHUNKS);
    score_all(f, text, vector, &words);
    chunk *order[CHUNKS];
    for (int i = 0; i < CHUNKS; i++)
        order[i] = &f->chunks[i];
    qsort(order, CHUNKS, sizeof *order, by_words);
    for (int i = 0; i < CHUNKS; i++)
        assert_int_equal(found[i].chunk, order[i]->id);
}

/* Two of two: 1 and -1 standard deviations from the mean, so scores are sums of weights. Ties go to the older chunk. */
static void scores_that_can_be_told_beforehand(void **state)
{
    fixture *f = *state;
    const float vectors[2][DIMENSIONS] = {{1}, {0, 1}};
    char texts[2][512] = {"quince harbour", "copper copper lantern"};
    sx_query_type type = {.semantic_weight = 0.7, .keyword_weight = 0.2, .depth = 10, .head_weight = 1, .k1 = 1.2, .b = 0.75};
    sx_search_candidate found[5];
    commit(f, 0, vectors, texts, 2);
    sx_candidate_query query = {.text = {"copper", 6}, .vector = vectors[0], .type = &type};
    assert_int_equal(ask(f, query, 5, found), 2);
    assert_true(fabs(found[0].score - 0.5) < 1e-9 && fabs(found[1].score + 0.5) < 1e-9); /* 0.7 - 0.2 */
    assert_true(found[0].similarity == 1 && found[0].semantic_rank == 1 && found[0].keyword_rank == 0);
    assert_true(found[1].similarity == 0 && found[1].semantic_rank == 2 && found[1].keyword_rank == 1);
    type.semantic_weight = 0.1;
    assert_int_equal(ask(f, query, 5, found), 2);
    assert_true(fabs(found[0].score - 0.1) < 1e-9 && found[0].keyword_rank == 1);
    type.semantic_weight = type.keyword_weight;
    assert_int_equal(ask(f, query, 5, found), 2);
    assert_true(fabs(found[0].score) < 1e-9 && fabs(found[1].score) < 1e-9 && found[0].chunk < found[1].chunk);
    /* Words that nothing has say nothing; the order is by meaning alone, with its weight. */
    query.text = (sx_text){"violin", 6};
    assert_int_equal(ask(f, query, 5, found), 2);
    assert_true(fabs(found[0].score - type.semantic_weight) < 1e-9 && found[0].similarity == 1);
    /* One alone deviates from nothing. */
    query.has_threshold = true;
    query.threshold = 0.5;
    assert_int_equal(ask(f, query, 5, found), 1);
    assert_true(found[0].score == 0 && found[0].similarity == 1);
    query.threshold = 1.5;
    assert_int_equal(ask(f, query, 5, found), 0);
}

static void one_list_alone(void **state)
{
    fixture *f = *state;
    const sx_query_type *type;
    sx_search_candidate found[CHUNKS];
    const float vector[DIMENSIONS] = {0.6f, 0.8f};
    const char *text = "wordax wordbx";
    chunk *order[CHUNKS];
    assert_int_equal(sx_query_type_find("general", &type, NULL), SX_OK);
    score_all(f, text, vector, type);
    for (int i = 0; i < CHUNKS; i++)
        order[i] = &f->chunks[i];
    sx_candidate_query query = {.text = {text, strlen(text)}, .vector = vector, .type = type, .mode = SX_SEARCH_SEMANTIC};
    qsort(order, CHUNKS, sizeof *order, by_similarity);
    assert_int_equal(ask(f, query, 50, found), 50);
    for (int i = 0; i < 50; i++)
        assert_true(found[i].chunk == order[i]->id && found[i].score == (double)found[i].similarity && !found[i].keyword_rank);
    query.mode = SX_SEARCH_KEYWORD;
    qsort(order, CHUNKS, sizeof *order, by_words);
    assert_int_equal(ask(f, query, 20, found), 20);
    for (int i = 0; i < 20; i++)
        assert_true(found[i].chunk == order[i]->id && found[i].score == order[i]->words && !found[i].semantic_rank &&
                    fabs((double)found[i].similarity - order[i]->similarity) < 1e-5);
    query.vector = NULL; /* no model: no similarities */
    assert_int_equal(ask(f, query, 20, found), 20);
    for (int i = 0; i < 20; i++)
        assert_true(found[i].chunk == order[i]->id && isnan(found[i].similarity));
    /* As many as there are, however deep they stand: matches below the threshold make room for others. */
    query.vector = vector;
    query.has_threshold = true;
    query.threshold = 0.2;
    size_t both = 0;
    for (int i = 0; i < CHUNKS; i++)
        both += order[i]->words > 0 && order[i]->similarity >= 0.2;
    assert_true(both > 10);
    assert_int_equal(ask(f, query, 10, found), 10);
    assert_int_equal(ask(f, query, CHUNKS, found), both);
    for (size_t i = 0; i < both; i++)
        assert_true(found[i].similarity >= 0.2f && (i == 0 || found[i].score <= found[i - 1].score));
}

static void chunks_that_went_are_no_candidates(void **state)
{
    fixture *f = *state;
    sx_error error = {0};
    const sx_query_type *type;
    sx_search_candidate found[CHUNKS];
    assert_int_equal(sx_query_type_find("general", &type, NULL), SX_OK);
    sx_candidate_query query = {.text = {"wordax wordbx wordcx", 20}, .vector = f->chunks[17].vector, .type = type};
    for (int mode = SX_SEARCH_HYBRID; mode <= SX_SEARCH_KEYWORD; mode++) {
        query.mode = (sx_search_mode)mode;
        assert_true(ask(f, query, CHUNKS, found) > 0);
    }
    int64_t document;
    OK(sx_sql_number(f->database, "SELECT document FROM chunk WHERE id = ?", 0, &document, &error, "i", f->chunks[17].id));
    OK(sx_store_document_remove(f->database, document, &error));
    for (int mode = SX_SEARCH_HYBRID; mode <= SX_SEARCH_KEYWORD; mode++) {
        query.mode = (sx_search_mode)mode;
        size_t count = ask(f, query, CHUNKS, found);
        assert_true(count > 0 && (mode == SX_SEARCH_KEYWORD || count == CHUNKS - IN_DOCUMENT));
        for (size_t i = 0; i < count; i++)
            for (int gone = 16; gone < 20; gone++)
                assert_true(found[i].chunk != f->chunks[gone].id);
    }
}

/* A handle keeps what it read for the next search; whoever writes, and whatever is undone, no search may see the old. */
static void what_is_kept_is_as_new_as_the_database(void **state)
{
    fixture *f = *state;
    sx_error error = {0};
    const sx_query_type *type;
    sx_search_candidate found[CHUNKS];
    int64_t documents[2];
    sx_database *other = open_named("t.db");
    assert_int_equal(sx_query_type_find("general", &type, NULL), SX_OK);
    OK(sx_sql_number(other, "SELECT min(id) FROM document WHERE path = '001.txt'", 0, &documents[0], &error, ""));
    OK(sx_sql_number(other, "SELECT min(id) FROM document WHERE path = '003.txt'", 0, &documents[1], &error, ""));
    sx_candidate_query odd = {.text = {"wordax wordbx wordcx worddx", 27}, .vector = f->chunks[0].vector, .type = type,
                              .filters = (const char *const[]){"odd=true"}, .filter_count = 1};
    for (int mode = SX_SEARCH_SEMANTIC; mode <= SX_SEARCH_KEYWORD; mode++) {
        odd.mode = (sx_search_mode)mode;
        size_t all = ask(f, odd, CHUNKS, found), again = ask(f, odd, CHUNKS, found), of_first = 0;
        assert_true(all > IN_DOCUMENT && again == all);
        for (size_t i = 0; i < all; i++) /* the first odd document is chunks 4 to 7 */
            for (int c = IN_DOCUMENT; c < 2 * IN_DOCUMENT; c++)
                of_first += found[i].chunk == f->chunks[c].id;
        assert_true(of_first > 0);
        OK(sx_store_begin(f->database, &error)); /* seen while it is being written, and not when it was undone */
        OK(sx_store_document_remove(f->database, documents[0], &error));
        assert_int_equal(ask(f, odd, CHUNKS, found), all - of_first);
        sx_store_rollback(f->database);
        assert_int_equal(ask(f, odd, CHUNKS, found), all);
        static const char *const values[] = {"{\"odd\":false}", "{\"odd\":true}"};
        for (int writer = 0; writer < 2; writer++)
            for (int value = 0; value < 2; value++) {
                OK(sx_sql_do(writer ? other : f->database, "UPDATE document SET metadata = ? WHERE id = ?", &error, "ti",
                             values[value], documents[0]));
                assert_int_equal(ask(f, odd, CHUNKS, found), value ? all : all - of_first);
            }
    }
    odd.mode = SX_SEARCH_KEYWORD;
    odd.filter_count = 0;
    size_t before = ask(f, odd, CHUNKS, found);
    OK(sx_store_document_remove(other, documents[0], &error));
    size_t between = ask(f, odd, CHUNKS, found);
    OK(sx_store_document_remove(f->database, documents[1], &error));
    assert_true(between < before && ask(f, odd, CHUNKS, found) < between);
    odd.filter_count = 1;
    static const char *const many[] = {"odd=true",          "odd=false",    "document=005.txt",
                                       "document!=005.txt", "document^=00", "odd=true"};
    for (int round = 0; round < 2; round++) /* more filters than lists are kept */
        for (size_t i = 0; i < 6; i++) {
            odd.filters = &many[i];
            for (size_t count = ask(f, odd, CHUNKS, found), k = 0; k < count; k++)
                for (int c = 0; c < CHUNKS; c++)
                    if (f->chunks[c].id == found[k].chunk)
                        assert_true(i == 0 || i == 5 ? f->chunks[c].odd
                                    : i == 1         ? !f->chunks[c].odd
                                    : i == 2         ? c / IN_DOCUMENT == 5
                                    : i == 3         ? c / IN_DOCUMENT != 5
                                                     : c / IN_DOCUMENT < 10);
        }
    sx_database_close(other);
}

static void empty_and_wrong_calls(void **state)
{
    fixture *f = *state;
    sx_error error = {0};
    const sx_query_type *type;
    sx_search_mode mode;
    sx_search_candidate found[4];
    size_t count = 9;
    const float vector[DIMENSIONS] = {1};
    assert_int_equal(sx_query_type_find("general", &type, NULL), SX_OK);
    sx_candidate_query query = {.text = {"word", 4}, .vector = vector, .type = type};
    for (int m = SX_SEARCH_HYBRID; m <= SX_SEARCH_KEYWORD; m++) {
        query.mode = (sx_search_mode)m;
        assert_int_equal(ask(f, query, 4, found), 0); /* nothing is there */
    }
    assert_int_equal(ask(f, query, 0, NULL), 0);
    query.mode = SX_SEARCH_HYBRID;
    query.text = (sx_text){"", 0};
    assert_int_equal(ask(f, query, 4, found), 0);
    query.vector = NULL;
    assert_int_equal(sx_search_candidates(f->database, &f->collection, &query, 4, found, &count, &error), SX_E_INVALID);
    assert_int_equal(count, 0);
    query.mode = SX_SEARCH_KEYWORD;
    query.has_threshold = true;
    assert_int_equal(sx_search_candidates(f->database, &f->collection, &query, 4, found, &count, &error), SX_E_INVALID);
    query.has_threshold = false;
    assert_int_equal(sx_search_candidates(f->database, &f->collection, &query, 4, NULL, &count, &error), SX_E_INVALID);
    assert_int_equal(sx_search_candidates(f->database, &f->collection, NULL, 4, found, &count, &error), SX_E_INVALID);
    query.filter_count = 1;
    assert_int_equal(sx_search_candidates(f->database, &f->collection, &query, 4, found, &count, &error), SX_E_INVALID);
    assert_int_equal(sx_query_type_find("poetry", &type, &error), SX_E_INVALID);
    assert_non_null(strstr(error.message, "poetry"));
    assert_non_null(strstr(error.hint, "error_analysis"));
    assert_int_equal(sx_search_mode_find("both", &mode, &error), SX_E_INVALID);
    assert_true(sx_search_mode_find("semantic", &mode, &error) == SX_OK && mode == SX_SEARCH_SEMANTIC);
}

/* ---- The words of a query ---- */

static bool has_word(const char *type_name, const char *text, const char *word, sx_word_kind kind, double *weight)
{
    sx_error error = {0};
    const sx_query_type *type;
    sx_keyword_term *terms;
    size_t count;
    bool found = false;
    OK(sx_query_type_find(type_name, &type, &error));
    OK(sx_query_terms((sx_text){text, strlen(text)}, type, &terms, &count, &error));
    for (size_t i = 0; i < count; i++)
        if (terms[i].word == sx_keyword_hash(word, strlen(word), kind)) {
            assert_false(found); /* each once */
            found = true;
            *weight = terms[i].weight;
        }
    free(terms);
    return found;
}

static void the_words_a_type_takes(void **state)
{
    double weight;
    (void)state;
    assert_true(has_word("general", "Lantern lantern LANTERN", "lantern", SX_WORD_PLAIN, &weight) && weight == 1);
    assert_true(has_word("code_search", "get_user_id", "get_user_id", SX_WORD_WHOLE, &weight) && weight == 1);
    assert_false(has_word("general", "get_user_id", "get_user_id", SX_WORD_WHOLE, &weight));
    assert_true(has_word("general", "get_user_id", "user", SX_WORD_PLAIN, &weight));
    static const struct {
        const char *text, *word;
        bool kept;
        sx_word_kind kind;
    } noise[] = {
        {"fault at 0x7ffe31a2bc10 in copper", "0x7ffe31a2bc10", false, SX_WORD_WHOLE},
        {"fault at 0x7ffe31a2bc10 in copper", "copper", true, SX_WORD_PLAIN},
        {"exit code 0xc0000005", "0xc0000005", true, SX_WORD_WHOLE}, /* eight digits are an error code */
        {"2024-03-01T12:33:59 quince", "2024", false, SX_WORD_PLAIN},
        {"12:33:59.120 quince", "33", false, SX_WORD_PLAIN},
        {"commit 9f86d081884c7d65 lantern", "9f86d081884c7d65", false, SX_WORD_WHOLE},
        {"main.c:1234: harbour", "1234", false, SX_WORD_PLAIN},
        {"File x, line 4321, in harbour", "4321", false, SX_WORD_PLAIN},
        {"error 1062 duplicate", "1062", true, SX_WORD_PLAIN},
        {"port 5432 refused", "5432", true, SX_WORD_PLAIN},
        {"faced", "face", true, SX_WORD_PLAIN}, /* letters of hexadecimal digits are words all the same */
    };
    for (size_t i = 0; i < sizeof noise / sizeof *noise; i++) {
        if (has_word("error_analysis", noise[i].text, noise[i].word, noise[i].kind, &weight) != noise[i].kept)
            fail_msg("error_analysis of \"%s\": %s should %s", noise[i].text, noise[i].word, noise[i].kept ? "stay" : "go");
        if (!has_word("code_search", noise[i].text, noise[i].word, noise[i].kind, &weight))
            fail_msg("code_search of \"%s\": %s should stay", noise[i].text, noise[i].word);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_fused_order_is_that_of_the_formula, open_filled, close_all),
        cmocka_unit_test_setup_teardown(a_weight_of_nothing_counts_nothing, open_filled, close_all),
        cmocka_unit_test_setup_teardown(scores_that_can_be_told_beforehand, open_empty, close_all),
        cmocka_unit_test_setup_teardown(one_list_alone, open_filled, close_all),
        cmocka_unit_test_setup_teardown(chunks_that_went_are_no_candidates, open_filled, close_all),
        cmocka_unit_test_setup_teardown(what_is_kept_is_as_new_as_the_database, open_filled, close_all),
        cmocka_unit_test_setup_teardown(empty_and_wrong_calls, open_empty, close_all),
        cmocka_unit_test(the_words_a_type_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
