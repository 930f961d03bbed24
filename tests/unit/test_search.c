/* test_search.c - sx_search over an indexed tree with the fake provider, against a plain comparison with every chunk; and the
 * chunk functions, which cut as index does. */
#include "index_support.h"

#include <math.h>

enum { FILES = 30, DIMENSIONS = 8 };

typedef struct search_fixture {
    char *folder, *docs;
    sx_database *database;
    sx_embedder *embedder;
} search_fixture;

static void index_all(search_fixture *fixture)
{
    sx_error error;
    sx_index_report *report;
    const char *paths[] = {fixture->docs};
    sx_index_options options = {.size = sizeof options, .paths = paths, .path_count = 1};
    assert_ok(sx_index(fixture->database, fixture->embedder, &options, &report, &error));
    assert_int_equal(report->documents.failed + report->documents.skipped, 0);
    sx_index_report_free(report);
}

static int setup(void **state)
{
    sx_error error;
    search_fixture *fixture = calloc(1, sizeof *fixture);
    fixture->folder = make_folder();
    fixture->docs = join(fixture->folder, "docs");
    char *path = join(fixture->folder, "t.db");
    for (int i = 0; i < FILES; i++) {
        char name[32], text[128];
        snprintf(name, sizeof name, "docs/f%02d.%s", i, i % 3 ? "txt" : "py");
        snprintf(text, sizeof text, "only text %d", i);
        write_file(fixture->folder, name, text);
    }
    write_file(fixture->folder, "docs/guide.md", "# Guide\n\nWelcome.\n\n## First steps\n\nBegin here.\n");
    assert_ok(sx_database_open(path, NULL, &fixture->database, &error));
    free(path);
    fixture->embedder = open_embedder("fake:a?max_texts=8", fixture->database, NULL);
    index_all(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    search_fixture *fixture = *state;
    sx_embedder_close(fixture->embedder);
    sx_database_close(fixture->database);
    free(fixture->docs);
    remove_folder(fixture->folder);
    free(fixture);
    return 0;
}

static sx_hits *search(search_fixture *fixture, const char *query, sx_search_options options)
{
    sx_error error;
    sx_hits *hits;
    options.size = sizeof options;
    assert_ok(sx_search(fixture->database, fixture->embedder, (sx_text){query, strlen(query)}, &options, &hits, &error));
    return hits;
}

static void the_same_text_comes_first(void **state)
{
    search_fixture *fixture = *state;
    sx_hits *hits = search(fixture, "only text 7", (sx_search_options){0});
    assert_int_equal(hits->count, 5);
    assert_string_equal(hits->collection, "default");
    assert_string_equal(hits->mode, "hybrid");
    assert_true(hits->milliseconds >= 0);
    const sx_hit *hit = &hits->hits[0];
    assert_true(fabs(hit->similarity - 1) < 1e-5 && hit->semantic_rank == 1 && hit->keyword_rank == 1);
    assert_string_equal(hit->document, "f07.txt");
    char *real = realpath(fixture->docs, NULL);
    assert_string_equal(hit->root, real);
    free(real);
    assert_int_equal(hit->index, 0);
    assert_int_equal(hit->start, 0);
    assert_int_equal(hit->end, 11);
    assert_int_equal(hit->start_line, 1);
    assert_int_equal(hit->text_length, 11);
    assert_string_equal(hit->text, "only text 7");
    assert_non_null(strstr(hit->metadata, "text/plain"));
    for (size_t i = 0; i < hits->count; i++) {
        assert_int_equal(hits->hits[i].rank, i + 1);
        assert_true(i == 0 || hits->hits[i].score <= hits->hits[i - 1].score);
    }
    sx_hits_free(hits);
    hits = search(fixture, "only text 7", (sx_search_options){.mode = "semantic"});
    assert_string_equal(hits->mode, "semantic");
    for (size_t i = 0; i < hits->count; i++)
        assert_true(hits->hits[i].score == hits->hits[i].similarity && hits->hits[i].semantic_rank == i + 1);
    sx_hits_free(hits);
}

/* All hits in order are what comparing the vectors one by one gives. */
static void the_order_is_exact(void **state)
{
    search_fixture *fixture = *state;
    sx_error error;
    for (int q = 0; q < 20; q++) {
        char query[32];
        snprintf(query, sizeof query, "question %d", q);
        sx_hits *hits = search(fixture, query, (sx_search_options){.count = 100, .mode = "semantic"});
        assert_true(hits->count >= FILES + 1);
        float vector[DIMENSIONS], other[DIMENSIONS];
        sx_receipt receipt;
        sx_text text = {query, strlen(query)};
        assert_ok(sx_embedder_embed(fixture->embedder, &text, 1, vector, &receipt, NULL, &error));
        for (size_t i = 0; i < hits->count; i++) {
            if (strstr(hits->hits[i].document, "guide"))
                continue; /* embedded with its header */
            text = (sx_text){hits->hits[i].text, hits->hits[i].text_length};
            assert_ok(sx_embedder_embed(fixture->embedder, &text, 1, other, &receipt, NULL, &error));
            double dot = 0;
            for (int j = 0; j < DIMENSIONS; j++)
                dot += (double)vector[j] * other[j];
            assert_true(fabs(dot - hits->hits[i].similarity) < 1e-5);
            assert_true(i == 0 || hits->hits[i].similarity <= hits->hits[i - 1].similarity);
        }
        sx_hits_free(hits);
    }
}

static void thresholds_and_filters(void **state)
{
    search_fixture *fixture = *state;
    sx_hits *hits = search(fixture, "only text 7", (sx_search_options){.count = 100, .threshold = 0.999, .has_threshold = 1});
    assert_int_equal(hits->count, 1);
    sx_hits_free(hits);
    hits = search(fixture, "only text 7", (sx_search_options){.count = 100, .threshold = -2, .has_threshold = 1});
    assert_true(hits->count > FILES);
    sx_hits_free(hits);
    const char *filters[] = {"language=python", "document!=f00.py"};
    hits = search(fixture, "only text 7", (sx_search_options){.count = 100, .filters = filters, .filter_count = 2});
    assert_int_equal(hits->count, FILES / 3 - 1);
    for (size_t i = 0; i < hits->count; i++)
        assert_non_null(strstr(hits->hits[i].document, ".py"));
    sx_hits_free(hits);
    hits = search(fixture, "only text 7", (sx_search_options){.count = 3, .filters = filters, .filter_count = 1});
    assert_int_equal(hits->count, 3); /* the filter comes before the cut */
    sx_hits_free(hits);
}

static void headings_and_headers(void **state)
{
    search_fixture *fixture = *state;
    sx_error error;
    char *path = join(fixture->docs, "guide.md");
    sx_chunks *chunks;
    assert_ok(sx_chunk_file(path, NULL, NULL, NULL, &chunks, &error));
    assert_string_equal(chunks->media_type, "text/markdown");
    assert_string_equal(chunks->title, "Guide");
    assert_true(chunks->count >= 1);
    for (size_t i = 0; i < chunks->count; i++)
        assert_true(chunks->chunks[i].start < chunks->chunks[i].end && chunks->chunks[i].end <= chunks->length);
    sx_chunks_free(chunks);
    free(path);
    const char *filters[] = {"document=guide.md"};
    sx_hits *hits = search(fixture, "anything", (sx_search_options){.count = 10, .filters = filters, .filter_count = 1});
    assert_true(hits->count >= 1);
    bool found = false;
    for (size_t i = 0; i < hits->count; i++)
        for (uint32_t j = 0; j < hits->hits[i].heading_count; j++)
            found |= !strcmp(hits->hits[i].headings[j], "Guide");
    assert_true(found);
    sx_hits_free(hits);
}

static void changes_are_seen_at_once(void **state)
{
    search_fixture *fixture = *state;
    write_file(fixture->folder, "docs/f07.txt", "now something else");
    index_all(fixture);
    sx_hits *hits = search(fixture, "only text 7", (sx_search_options){.threshold = 0.999, .has_threshold = 1});
    assert_int_equal(hits->count, 0);
    sx_hits_free(hits);
    hits = search(fixture, "now something else", (sx_search_options){.count = 1});
    assert_true(hits->hits[0].similarity > 0.999);
    sx_hits_free(hits);
}

static void queries_are_not_stored(void **state)
{
    search_fixture *fixture = *state;
    sx_error error;
    sx_database_status *before, *after;
    assert_ok(sx_database_describe(fixture->database, &before, &error));
    sx_hits_free(search(fixture, "a secret question", (sx_search_options){0}));
    assert_ok(sx_database_describe(fixture->database, &after, &error));
    assert_int_equal(before->cache.entries, after->cache.entries);
    assert_int_equal(before->cache.referenced_entries, after->cache.referenced_entries);
    sx_database_status_free(before);
    sx_database_status_free(after);
}

static void wrong_calls_are_refused(void **state)
{
    search_fixture *fixture = *state;
    sx_error error;
    sx_hits *hits;
    sx_embedder *other = open_embedder("fake:b", NULL, NULL);
    sx_text query = {"x", 1};
    assert_int_equal(sx_search(fixture->database, other, query, NULL, &hits, &error), SX_E_MISMATCH);
    assert_null(hits);
    assert_non_null(strstr(error.message, "fake:a"));
    sx_embedder_close(other);
    sx_search_options options = {.size = sizeof options, .collection = "nowhere"};
    assert_int_equal(sx_search(fixture->database, fixture->embedder, query, &options, &hits, &error), SX_E_NOT_FOUND);
    assert_int_equal(sx_search(fixture->database, fixture->embedder, (sx_text){" \n", 2}, NULL, &hits, &error), SX_E_INVALID);
    assert_int_equal(sx_search(fixture->database, NULL, query, NULL, &hits, &error), SX_E_INVALID);
    assert_int_equal(sx_search(fixture->database, fixture->embedder, query, NULL, NULL, &error), SX_E_INVALID);
    const char *filters[] = {"nothing"};
    options = (sx_search_options){.size = sizeof options, .filters = filters, .filter_count = 1};
    assert_int_equal(sx_search(fixture->database, fixture->embedder, query, &options, &hits, &error), SX_E_INVALID);
    sx_hits_free(NULL);
    sx_chunks *chunks;
    assert_int_equal(sx_chunk_file("/nowhere/at/all.txt", NULL, NULL, NULL, &chunks, &error), SX_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "/nowhere/at/all.txt"));
    assert_null(chunks);
    assert_int_equal(sx_chunk_file(NULL, NULL, NULL, NULL, &chunks, &error), SX_E_INVALID);
    sx_chunks_free(NULL);
}

static void chunks_of_a_text(void **state)
{
    (void)state;
    sx_error error;
    sx_chunks *chunks;
    sx_chunk_options options = {.size = sizeof options, .strategy = "chars", .chunk_size = 10, .overlap = -1};
    sx_text text = {"one two three four five six", 27};
    assert_ok(sx_chunk_text(text, NULL, NULL, NULL, &options, &chunks, &error));
    assert_true(chunks->count >= 3);
    assert_int_equal(chunks->length, 27);
    assert_string_equal(chunks->media_type, "text/plain");
    sx_chunks_free(chunks);
    options.strategy = "tokens";
    assert_int_equal(sx_chunk_text(text, NULL, NULL, NULL, &options, &chunks, &error), SX_E_INVALID);
}

static void the_machine_is_described(void **state)
{
    (void)state;
    sx_machine machine = {0};
    sx_machine_describe(&machine);
    assert_true(machine.cores >= 1 && machine.cores <= 4096);
    assert_true(machine.memory_bytes > 1 << 20);
    assert_true(machine.cpu_mask & SX_CPU_C);
    assert_non_null(machine.kernels);
    assert_true(machine.sqlite_version[0] == '3');
    sx_machine_describe(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_same_text_comes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(the_order_is_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(thresholds_and_filters, setup, teardown),
        cmocka_unit_test_setup_teardown(headings_and_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(changes_are_seen_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(queries_are_not_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_calls_are_refused, setup, teardown),
        cmocka_unit_test(chunks_of_a_text),
        cmocka_unit_test(the_machine_is_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
