/* test_rerank.c - what becomes of candidates: re-ranking against plain computations, equal passages folded, neighbours joined, and as
 * many hits as were asked for whatever that takes. */
#include "index_support.h"

#include "index/rerank.h"

#include <ctype.h>
#include <math.h>

enum { DIMENSIONS = 8, COPIES = 120, PARTS = 200 };

typedef struct rerank_fixture {
    char *folder;
    sx_database *database;
    sx_embedder *embedder;
    char *story; /* the text of story.txt */
} rerank_fixture;

static void index_folder(rerank_fixture *fixture, const char *name, const char *collection, const sx_chunk_options *chunk)
{
    sx_error error;
    sx_index_report *report;
    char *path = join(fixture->folder, name);
    const char *paths[] = {path};
    sx_index_options options = {.size = sizeof options, .collection = collection, .paths = paths, .path_count = 1};
    if (chunk)
        options.chunk = *chunk;
    assert_ok(sx_index(fixture->database, fixture->embedder, &options, &report, &error));
    assert_int_equal(report->documents.failed + report->documents.skipped, 0);
    sx_index_report_free(report);
    free(path);
}

static int setup(void **state)
{
    static const char *const words[] = {"harbour", "Boats", "quince", "vat", "copper", "morning", "fleet", "salt"};
    sx_error error;
    rerank_fixture *fixture = calloc(1, sizeof *fixture);
    fixture->folder = make_folder();
    char *path = join(fixture->folder, "t.db");
    for (int i = 0; i < 60; i++) {
        char name[64], text[256];
        snprintf(name, sizeof name, "words/%02d.txt", i);
        snprintf(text, sizeof text, "%s %s, %s. %s_%d", words[i % 8], words[i / 8], words[(i * 5 + 3) % 8], words[i % 3], i);
        write_file(fixture->folder, name, text);
        write_file(fixture->folder, "kept/note.md", "# Tides\n\nHigh water at noon.\n");
    }
    for (int i = 0; i < COPIES; i++) {
        char name[64];
        snprintf(name, sizeof name, "copies/%03d.txt", i);
        write_file(fixture->folder, name, i < COPIES - 4 ? "the same text everywhere" : name);
    }
    char *story = fixture->story = calloc(PARTS, 64);
    for (int i = 0; i < PARTS; i++)
        sprintf(story + strlen(story), "part %d t\xc3\xa4lls more%s ", i, i % 7 ? "" : ".\n\nAnd then");
    write_file(fixture->folder, "stories/story.txt", story);
    write_file(fixture->folder, "stories/other.txt", "nothing of the kind, but long enough to be cut into a few pieces of its own, one after another");
    assert_ok(sx_database_open(path, NULL, &fixture->database, &error));
    free(path);
    fixture->embedder = open_embedder("fake:a", fixture->database, NULL);
    sx_chunk_options overlapping = {.size = sizeof overlapping, .strategy = "chars", .chunk_size = 60, .overlap = 20};
    sx_chunk_options adjacent = {.size = sizeof adjacent, .strategy = "chars", .chunk_size = 50, .overlap = -1};
    index_folder(fixture, "words", "words", NULL);
    index_folder(fixture, "copies", "copies", NULL);
    index_folder(fixture, "stories", "overlapping", &overlapping);
    index_folder(fixture, "stories", "adjacent", &adjacent);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    rerank_fixture *fixture = *state;
    sx_embedder_close(fixture->embedder);
    sx_database_close(fixture->database);
    free(fixture->story);
    remove_folder(fixture->folder);
    free(fixture);
    return 0;
}

static sx_hits *search(rerank_fixture *fixture, const char *query, sx_search_options options)
{
    sx_error error;
    sx_hits *hits;
    options.size = sizeof options;
    assert_ok(sx_search(fixture->database, fixture->embedder, (sx_text){query, strlen(query)}, &options, &hits, &error));
    return hits;
}

/* Whether a word stands in an ASCII text, plainly. */
static bool has_word(const char *text, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = text; (at = strcasestr(at, word)); at++) {
        bool begins = at == text || !(isalnum((unsigned char)at[-1]) || at[-1] == '_');
        if (begins && !(isalnum((unsigned char)at[length]) || at[length] == '_'))
            return true;
    }
    return false;
}

static void lexical_is_similarity_and_words(void **state)
{
    rerank_fixture *fixture = *state;
    sx_hits *plain = search(fixture, "boats HARBOUR copper?", (sx_search_options){.collection = "words", .mode = "semantic", .count = 60});
    sx_hits *hits = search(fixture, "boats HARBOUR copper?", (sx_search_options){.collection = "words", .mode = "semantic", .count = 60,
                                                                                .rerank = "lexical"});
    assert_string_equal(hits->rerank, "lexical");
    assert_int_equal(hits->count, plain->count);
    bool moved = false;
    for (size_t i = 0; i < hits->count; i++) {
        const sx_hit *hit = &hits->hits[i];
        double overlap = (has_word(hit->text, "boats") + has_word(hit->text, "harbour") + has_word(hit->text, "copper")) / 3.0;
        assert_true(fabs(hit->score - (0.7 * hit->similarity + 0.3 * overlap)) < 1e-9);
        assert_true(!i || hit->score <= hits->hits[i - 1].score);
        moved = moved || strcmp(hit->document, plain->hits[i].document) != 0;
    }
    assert_true(moved);
    /* Only the first ten: the others follow as they were. */
    sx_hits *few = search(fixture, "boats HARBOUR copper?", (sx_search_options){.collection = "words", .mode = "semantic", .count = 60,
                                                                               .rerank = "lexical", .rerank_count = 10});
    for (size_t i = 10; i < few->count; i++)
        assert_string_equal(few->hits[i].document, plain->hits[i].document);
    sx_hits_free(plain);
    sx_hits_free(hits);
    sx_hits_free(few);
}

static void margins_are_maximal(void **state)
{
    rerank_fixture *fixture = *state;
    sx_error error;
    sx_hits *plain = search(fixture, "a question", (sx_search_options){.collection = "words", .mode = "semantic", .count = 60});
    sx_hits *hits = search(fixture, "a question", (sx_search_options){.collection = "words", .mode = "semantic", .count = 60,
                                                                     .rerank = "mmr"});
    assert_int_equal(hits->count, plain->count);
    size_t count = plain->count;
    float *vectors = calloc(count, DIMENSIONS * sizeof *vectors);
    bool *taken = calloc(count, sizeof *taken);
    size_t *chosen = calloc(count, sizeof *chosen);
    for (size_t i = 0; i < count; i++) {
        sx_receipt receipt;
        sx_text text = {plain->hits[i].text, plain->hits[i].text_length};
        assert_ok(sx_embedder_embed(fixture->embedder, &text, 1, vectors + i * DIMENSIONS, &receipt, NULL, &error));
    }
    for (size_t place = 0; place < count; place++) {
        size_t best = SIZE_MAX;
        double most = 0;
        for (size_t i = 0; i < count; i++) {
            double nearest = place ? -2 : 0;
            for (size_t j = 0; j < place; j++) {
                double dot = 0;
                for (size_t k = 0; k < DIMENSIONS; k++)
                    dot += (double)vectors[i * DIMENSIONS + k] * (double)vectors[chosen[j] * DIMENSIONS + k];
                nearest = dot > nearest ? dot : nearest;
            }
            double margin = 0.7 * plain->hits[i].similarity - 0.3 * nearest;
            if (!taken[i] && (best == SIZE_MAX || margin > most)) {
                best = i;
                most = margin;
            }
        }
        taken[best] = true;
        chosen[place] = best;
        assert_string_equal(hits->hits[place].document, plain->hits[best].document);
        assert_true(fabs(hits->hits[place].score - most) < 1e-5);
    }
    free(vectors);
    free(taken);
    free(chosen);
    sx_hits_free(plain);
    sx_hits_free(hits);
}

static void a_cross_encoder_decides(void **state)
{
    rerank_fixture *fixture = *state;
    sx_error error;
    sx_model *model;
    sx_session *session;
    const char *query = "boats in the harbour";
    assert_ok(sx_model_open(SX_FIXTURES "/families/cross-bert", NULL, &model, &error));
    assert_ok(sx_session_open(model, NULL, &session, &error));
    sx_hits *hits = search(fixture, query, (sx_search_options){.collection = "words", .count = 5, .rerank_count = 40, .cross_encoder = session});
    assert_string_equal(hits->rerank, "model");
    assert_int_equal(hits->count, 5);
    for (size_t i = 0; i < hits->count; i++) {
        float logit, score;
        sx_text text = {hits->hits[i].text, hits->hits[i].text_length};
        assert_ok(sx_session_score(session, (sx_text){query, strlen(query)}, &text, 1, NULL, &logit, &score, NULL, &error));
        assert_true(fabs(hits->hits[i].score - (double)score) < 1e-6);
        assert_true(!i || hits->hits[i].score <= hits->hits[i - 1].score);
    }
    sx_search_options options = {.size = sizeof options, .collection = "words", .cross_encoder = session, .rerank = "none"};
    sx_hits *none;
    assert_ok(sx_search(fixture->database, fixture->embedder, (sx_text){query, strlen(query)}, &options, &none, &error));
    assert_string_equal(none->rerank, "none");
    sx_hits_free(none);
    sx_hits_free(hits);
    sx_session_close(session);
    sx_model_close(model);
    /* A model that gives vectors is none. */
    assert_ok(sx_model_open(SX_FIXTURES "/families/bert", NULL, &model, &error));
    assert_ok(sx_session_open(model, NULL, &session, &error));
    options = (sx_search_options){.size = sizeof options, .collection = "words", .cross_encoder = session};
    assert_int_equal(sx_search(fixture->database, fixture->embedder, (sx_text){"x", 1}, &options, &hits, &error), SX_E_UNSUPPORTED);
    sx_session_close(session);
    sx_model_close(model);
}

static void equal_passages_are_one_hit(void **state)
{
    rerank_fixture *fixture = *state;
    static const char *const modes[] = {"semantic", "hybrid"};
    for (size_t m = 0; m < 2; m++) {
        sx_hits *hits = search(fixture, "the same text everywhere", (sx_search_options){.collection = "copies", .mode = modes[m], .count = 4});
        /* 116 equal texts come first, and yet four hits are found. */
        assert_int_equal(hits->count, 4);
        assert_string_equal(hits->hits[0].text, "the same text everywhere");
        assert_int_equal(hits->hits[0].folded, COPIES - 5);
        for (size_t i = 1; i < hits->count; i++) {
            assert_string_not_equal(hits->hits[i].text, hits->hits[0].text);
            assert_int_equal(hits->hits[i].folded, 0);
            assert_int_equal(hits->hits[i].rank, i + 1);
        }
        sx_hits_free(hits);
    }
    sx_hits *hits = search(fixture, "the same text everywhere",
                           (sx_search_options){.collection = "copies", .count = 20, .keep_duplicates = 1, .mode = "semantic"});
    assert_int_equal(hits->count, 20);
    assert_string_equal(hits->hits[19].text, "the same text everywhere");
    sx_hits_free(hits);
    hits = search(fixture, "the same text everywhere", (sx_search_options){.collection = "copies", .count = 1000, .mode = "semantic"});
    assert_int_equal(hits->count, 5);
    sx_hits_free(hits);
}

/* Every hit is a piece of the document, and no two of them touch. */
static void check_pieces(const rerank_fixture *fixture, const sx_hits *hits)
{
    for (size_t i = 0; i < hits->count; i++) {
        const sx_hit *hit = &hits->hits[i];
        if (strcmp(hit->document, "story.txt") != 0)
            continue;
        assert_int_equal(hit->text_length, hit->end - hit->start);
        assert_memory_equal(hit->text, fixture->story + hit->start, hit->text_length);
        uint32_t lines = 1;
        for (uint64_t at = 0; at < hit->start; at++)
            lines += fixture->story[at] == '\n';
        assert_int_equal(hit->start_line, lines);
        for (uint64_t at = hit->start; at + 1 < hit->end; at++)
            lines += fixture->story[at] == '\n';
        assert_int_equal(hit->end_line, lines);
        for (size_t j = 0; j < i; j++)
            if (strcmp(hits->hits[j].document, "story.txt") == 0)
                assert_true(hits->hits[j].end < hit->start || hits->hits[j].start > hit->end);
    }
}

static void neighbours_are_joined(void **state)
{
    rerank_fixture *fixture = *state;
    static const char *const collections[] = {"overlapping", "adjacent"};
    for (size_t c = 0; c < 2; c++) {
        uint32_t joined = 0;
        for (uint32_t count = 1; count < 12; count++) {
            char query[32];
            snprintf(query, sizeof query, "part %u", count * 13);
            sx_search_options options = {.collection = collections[c], .count = count, .join_neighbours = 1, .mode = "semantic"};
            sx_hits *hits = search(fixture, query, options);
            check_pieces(fixture, hits);
            for (size_t i = 0; i < hits->count; i++)
                joined += hits->hits[i].joined;
            /* Fewer than asked for only when there are not more. */
            options.count = 100000;
            sx_hits *all = search(fixture, query, options);
            check_pieces(fixture, all);
            assert_true(hits->count == count || hits->count == all->count);
            sx_hits_free(all);
            sx_hits_free(hits);
        }
        if (!c)
            assert_true(joined > 0);
    }
    sx_hits *hits = search(fixture, "part 13", (sx_search_options){.collection = "overlapping", .count = 10, .mode = "semantic"});
    for (size_t i = 0; i < hits->count; i++)
        assert_int_equal(hits->hits[i].joined, 0);
    sx_hits_free(hits);
}

static void the_same_again(void **state)
{
    rerank_fixture *fixture = *state;
    static const char *const rerankers[] = {"none", "lexical", "mmr"};
    for (size_t r = 0; r < 3; r++) {
        sx_search_options options = {.collection = "words", .count = 10, .rerank = rerankers[r]};
        sx_hits *one = search(fixture, "salt and copper", options), *two = search(fixture, "salt and copper", options);
        for (size_t i = 0; i < one->count; i++) {
            assert_string_equal(one->hits[i].document, two->hits[i].document);
            assert_true(one->hits[i].score == two->hits[i].score);
        }
        sx_hits_free(one);
        sx_hits_free(two);
    }
}

static void wrong_options_are_refused(void **state)
{
    rerank_fixture *fixture = *state;
    const sx_search_options wrong[] = {
        {.rerank = "best"}, {.rerank = "model"}, {.mode = "psychic"}, {.type = "poem"}, {.count = 2000000}, {.rerank_count = 2000000},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sx_error error;
        sx_hits *hits;
        sx_search_options options = wrong[i];
        options.size = sizeof options;
        options.collection = "words";
        assert_int_equal(sx_search(fixture->database, fixture->embedder, (sx_text){"x", 1}, &options, &hits, &error), SX_E_INVALID);
        assert_null(hits);
    }
    sx_error error;
    sx_hits *hits;
    sx_search_options options = {.size = sizeof options, .collection = "words", .mode = "keyword", .has_threshold = 1};
    assert_int_equal(sx_search(fixture->database, NULL, (sx_text){"x", 1}, &options, &hits, &error), SX_E_INVALID);
    assert_int_equal(sx_search(fixture->database, NULL, (sx_text){"x", 1}, NULL, &hits, &error), SX_E_INVALID);
    options.has_threshold = 0;
    assert_ok(sx_search(fixture->database, NULL, (sx_text){"boats", 5}, &options, &hits, &error));
    assert_true(hits->count > 0 && isnan(hits->hits[0].similarity));
    assert_string_equal(hits->mode, "keyword");
    sx_hits_free(hits);
    options.rerank = "lexical";
    assert_ok(sx_search(fixture->database, NULL, (sx_text){"boats", 5}, &options, &hits, &error));
    assert_true(fabs(hits->hits[0].score - 0.3) < 1e-9);
    sx_hits_free(hits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lexical_is_similarity_and_words),
        cmocka_unit_test(margins_are_maximal),
        cmocka_unit_test(a_cross_encoder_decides),
        cmocka_unit_test(equal_passages_are_one_hit),
        cmocka_unit_test(neighbours_are_joined),
        cmocka_unit_test(the_same_again),
        cmocka_unit_test(wrong_options_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
