/* test_explore.c - duplicates, clusters, labels and maps: what was planted is found, as a plain computation finds it; the same
 * for any number of threads; nothing, one passage and equal passages. */
#include "store_support.h"

#include "explore/kmeans.h"
#include "explore/products.h"

enum { DIMENSIONS = 24, RANDOM = 700, PAIRS = 40, MOST = 1000 };

typedef struct fixture {
    sx_database *database;
    sx_collection_row collection;
    int64_t recipe;
    size_t documents;
} fixture;

static int open_empty(void **state)
{
    if (make_test_folder(state))
        return -1;
    fixture *f = calloc(1, sizeof *f);
    f->database = open_named("t.db");
    f->recipe = make_recipe(f->database, "m", DIMENSIONS, true);
    f->collection = open_collection(f->database, "default", f->recipe);
    random_seed = 99;
    *state = f;
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

/* A document of one passage; the vector is scaled to length 1. */
static void add(fixture *f, const char *text, const char *metadata, const float *direction)
{
    sx_error error = {0};
    float vector[DIMENSIONS];
    double square = 0;
    char path[32];
    snprintf(path, sizeof path, "%05zu.txt", f->documents);
    for (int i = 0; i < DIMENSIONS; i++)
        square += (double)direction[i] * direction[i];
    for (int i = 0; i < DIMENSIONS; i++)
        vector[i] = square > 0 ? (float)(direction[i] / sqrt(square)) : 0;
    sx_chunk_row chunk = {.vector = put_vector(f->database, f->recipe, f->documents, vector),
                          .text = (char *)text,
                          .text_length = strlen(text),
                          .headings = (char *)"[]",
                          .hash = hash_of_number(f->documents)};
    sx_document_row row = {.root = (char *)"/r", .path = path, .metadata = (char *)metadata};
    OK(sx_store_document_commit(f->database, f->collection.id, &row, &chunk, 1, &error));
    f->documents++;
}

/* The direction, and some of another at random. */
static void near(const float *direction, double distance, float *out)
{
    float other[DIMENSIONS];
    random_vector(other, DIMENSIONS);
    for (int i = 0; i < DIMENSIONS; i++)
        out[i] = (float)(direction[i] + distance * other[i]);
}

static void axis(int which, float *out)
{
    memset(out, 0, DIMENSIONS * sizeof *out);
    out[which] = 1;
}

/* ---- Duplicates ---- */

static size_t number_of(const char *document)
{
    return (size_t)strtoul(document, NULL, 10);
}

static double product(const float *a, const float *b)
{
    double sum = 0, aa = 0, bb = 0;
    for (int i = 0; i < DIMENSIONS; i++) {
        sum += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return sum / sqrt(aa * bb);
}

static sx_duplicate_report *duplicates(fixture *f, sx_duplicates_options options)
{
    sx_error error = {0};
    sx_duplicate_report *report;
    options.size = sizeof options;
    OK(sx_duplicates(f->database, &options, &report, &error));
    return report;
}

/* Sets of all pairs at least as similar as the threshold, by comparing each with each. */
static void plain_sets(const float (*vectors)[DIMENSIONS], size_t count, double threshold, size_t *set)
{
    for (size_t i = 0; i < count; i++)
        set[i] = i;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (product(vectors[i], vectors[j]) >= threshold && set[i] != set[j]) {
                size_t from = set[i] > set[j] ? set[i] : set[j], to = set[i] > set[j] ? set[j] : set[i];
                for (size_t k = 0; k < count; k++)
                    if (set[k] == from)
                        set[k] = to;
            }
}

static void duplicates_are_those_of_a_comparison_of_all_pairs(void **state)
{
    fixture *f = *state;
    sx_error error = {0};
    float(*vectors)[DIMENSIONS] = calloc(MOST, sizeof *vectors);
    size_t count = 0, set[MOST];
    OK(sx_store_begin(f->database, &error));
    for (; count < RANDOM; count++)
        random_vector(vectors[count], DIMENSIONS);
    for (int i = 0; i < PAIRS; i++, count++) /* pairs and chains, at distances around the threshold */
        near(vectors[i % 3 ? (size_t)i * 7 : count - 1], 0.05 + 0.02 * (i % 20), vectors[count]);
    for (size_t i = 0; i < count; i++) {
        char text[32];
        snprintf(text, sizeof text, "passage %zu", i);
        add(f, text, NULL, vectors[i]);
    }
    OK(sx_store_commit(f->database, &error));
    for (double threshold = 0.97; threshold > 0.7; threshold -= 0.13) {
        uint64_t groups = 0, redundant = 0;
        plain_sets((const float(*)[DIMENSIONS])vectors, count, threshold, set);
        for (size_t i = 0; i < count; i++) {
            size_t members = 0;
            for (size_t j = 0; j < count; j++)
                members += set[j] == i;
            groups += members > 1;
            redundant += members > 1 ? members - 1 : 0;
        }
        assert_true(groups > 5);
        for (unsigned threads = 1; threads <= 3; threads += 2) {
            sx_duplicate_report *report = duplicates(f, (sx_duplicates_options){.threshold = threshold, .threads = threads});
            assert_int_equal(report->passages, count);
            assert_int_equal(report->passage_groups, groups);
            assert_int_equal(report->redundant_passages, redundant);
            assert_int_equal(report->document_groups, groups); /* each has one passage */
            for (size_t g = 0; g < report->group_count; g++) {
                const sx_duplicate_group *group = &report->groups[g];
                size_t first = number_of(group->members[0].passage.document);
                double least = 1;
                assert_false(group->exact);
                for (size_t m = 0; m < group->count; m++) {
                    size_t member = number_of(group->members[m].passage.document);
                    double similarity = product(vectors[member], vectors[first]);
                    assert_int_equal(set[member], set[first]);
                    assert_true(fabs(group->members[m].similarity - similarity) < 1e-5);
                    least = similarity < least ? similarity : least;
                }
                assert_true(fabs(group->least - least) < 1e-5);
            }
            sx_duplicate_report_free(report);
        }
    }
    free(vectors);
}

static void equal_texts_come_first(void **state)
{
    fixture *f = *state;
    float vector[DIMENSIONS], other[DIMENSIONS];
    axis(0, vector);
    axis(1, other);
    add(f, "copper", NULL, vector);
    add(f, "quince", NULL, other);
    add(f, "quince", NULL, other);
    vector[5] = 0.01f;
    add(f, "copper, nearly", NULL, vector);
    vector[5] = 0.02f;
    add(f, "copper, also", NULL, vector);
    sx_duplicate_report *report = duplicates(f, (sx_duplicates_options){0});
    assert_true(report->threshold == 0.95 && report->group_count == 2 && report->redundant_passages == 3);
    assert_true(report->groups[0].exact && report->groups[0].count == 2);
    assert_string_equal(report->groups[0].members[1].passage.text, "quince");
    assert_true(!report->groups[1].exact && report->groups[1].count == 3);
    assert_string_equal(report->groups[1].members[0].passage.text, "copper"); /* the oldest first */
    sx_duplicate_report_free(report);
    report = duplicates(f, (sx_duplicates_options){.most_groups = 1});
    assert_true(report->group_count == 1 && report->passage_groups == 2);
    sx_duplicate_report_free(report);
    report = duplicates(f, (sx_duplicates_options){.threshold = 1});
    assert_true(report->group_count == 1 && report->groups[0].exact);
    sx_duplicate_report_free(report);
}

static void nothing_and_one(void **state)
{
    fixture *f = *state;
    sx_error error = {0};
    float vector[DIMENSIONS];
    axis(3, vector);
    for (int there = 0; there < 2; there++) {
        sx_clusters *clusters;
        sx_map *map;
        sx_duplicate_report *report = duplicates(f, (sx_duplicates_options){0});
        assert_true(report->passages == (uint64_t)there && report->group_count == 0 && report->document_count == 0);
        sx_duplicate_report_free(report);
        OK(sx_clusters_find(f->database, NULL, &clusters, &error));
        assert_true(clusters->passages == (uint64_t)there && clusters->count == (size_t)there && clusters->outlier_count == 0);
        sx_clusters_free(clusters);
        OK(sx_map_make(f->database, NULL, &map, &error));
        assert_true(map->count == (size_t)there && map->passages == (uint64_t)there && map->width == 0 && map->height == 0);
        for (const char *const *format = (const char *const[]){"svg", "png", "html", "json", NULL}; *format; format++) {
            char *data;
            size_t length;
            OK(sx_map_draw(map, *format, NULL, &data, &length, &error));
            assert_true(length > 0);
            free(data);
        }
        sx_map_free(map);
        if (!there)
            add(f, "alone", NULL, vector);
    }
}

/* ---- Clusters ---- */

static const int sizes[] = {60, 40, 25};
static const char *const subjects[] = {"harbour boats with a tide and number", "copper quince lantern of number",
                                       "violin concert in winter number"};

static void add_clouds(fixture *f)
{
    sx_error error = {0};
    OK(sx_store_begin(f->database, &error));
    for (int i = 0; i < sizes[0]; i++) /* in turns, so that places say nothing */
        for (int c = 0; c < 3; c++) {
            float centre[DIMENSIONS], vector[DIMENSIONS];
            char text[128], metadata[64];
            axis(c, centre);
            near(centre, 0.4, vector);
            snprintf(text, sizeof text, "%s %d", subjects[c], i);
            snprintf(metadata, sizeof metadata, "{\"subject\":\"s%d\"}", c);
            if (i < sizes[c])
                add(f, text, metadata, vector);
        }
    float lonely[DIMENSIONS];
    axis(20, lonely);
    add(f, "like nothing else", NULL, lonely);
    OK(sx_store_commit(f->database, &error));
}

static void check_clouds(const sx_clusters *clusters)
{
    static const char *const words[] = {"harbour", "copper", "violin"};
    assert_int_equal(clusters->passages, 126);
    assert_int_equal(clusters->count, 3);
    uint64_t spare = 0; /* the lonely one is in one of them */
    for (size_t c = 0; c < 3; c++) {
        const sx_cluster *cluster = &clusters->clusters[c];
        spare += cluster->passages - (uint64_t)sizes[c];
        assert_true(cluster->passages == (uint64_t)sizes[c] || cluster->passages == (uint64_t)sizes[c] + 1);
        assert_int_equal(cluster->documents, cluster->passages);
        assert_true(cluster->cohesion > 0.85 && cluster->cohesion < 1);
        assert_int_equal(cluster->typical_count, 3);
        for (size_t t = 0; t < 3; t++) {
            assert_non_null(strstr(cluster->typical[t].passage.text, words[c]));
            assert_true(t == 0 || cluster->typical[t].similarity <= cluster->typical[t - 1].similarity);
        }
        bool named = false;
        for (const char *at = subjects[c]; at; at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL) {
            char word[16] = {0};
            memcpy(word, at, strcspn(at, " ") < 15 ? strcspn(at, " ") : 15);
            named = named || (strlen(word) > 4 && strcmp(word, "number") && strstr(cluster->name, word));
        }
        if (!named)
            fail_msg("cluster %zu is called %s", c, cluster->name);
        assert_null(strstr(cluster->name, "number")); /* which is in all of them */
    }
    assert_int_equal(spare, 1);
    assert_true(clusters->outlier_count == 5 && clusters->outliers[0].similarity < clusters->outliers[1].similarity);
    assert_string_equal(clusters->outliers[0].passage.text, "like nothing else");
}

static void clouds_are_clusters(void **state)
{
    fixture *f = *state;
    sx_error error = {0};
    add_clouds(f);
    for (uint32_t count = 0; count <= 3; count += 3)
        for (unsigned threads = 1; threads <= 2; threads++) {
            sx_clusters *clusters;
            sx_clusters_options options = {.size = sizeof options, .count = count, .threads = threads};
            OK(sx_clusters_find(f->database, &options, &clusters, &error));
            assert_int_equal(clusters->chosen, count == 0);
            check_clouds(clusters);
            sx_clusters_free(clusters);
        }
}

static void kmeans_of_few_rows(void **state)
{
    sx_error error = {0};
    sx_kmeans found = {0};
    float rows[40][DIMENSIONS];
    sx_thread_pool *pool;
    (void)state;
    OK(sx_thread_pool_open(2, &pool, &error));
    OK(sx_kmeans_fit(rows[0], 0, DIMENSIONS, 3, pool, NULL, &found, &error));
    assert_int_equal(found.count, 0);
    sx_kmeans_clear(&found);
    for (int i = 0; i < 40; i++)
        axis(i % 2, rows[i]); /* two different rows, however often */
    for (size_t wanted = 1; wanted <= 5; wanted += 2) {
        OK(sx_kmeans_fit(rows[0], 40, DIMENSIONS, wanted, pool, NULL, &found, &error));
        assert_int_equal(found.count, wanted == 1 ? 1 : 2);
        uint64_t sum = 0;
        for (size_t c = 0; c < found.count; c++)
            sum += found.sizes[c];
        assert_int_equal(sum, 40);
        for (int i = 0; i < 40 && found.count == 2; i++)
            assert_true(found.clusters[i] == found.clusters[i % 2] && fabsf(found.similarities[i] - 1) < 1e-5f);
        assert_true(found.count == 1 || found.clusters[0] != found.clusters[1]);
        sx_kmeans_clear(&found);
    }
    volatile int stop = 1;
    assert_int_equal(sx_kmeans_fit(rows[0], 40, DIMENSIONS, 2, pool, &stop, &found, &error), SX_E_STOPPED);
    assert_null(found.centers);
    sx_thread_pool_close(pool);
}

/* ---- Labels ---- */

static const float angles[][2] = {{1, 0}, {0.8f, 0.6f}, {0, 1}, {-1, 0}};
static const char *const labels[] = {"east", "east", "north", "west"};

static void votes_by_similarity(void **state)
{
    (void)state;
    sx_error error = {0};
    sx_examples *examples;
    sx_label label;
    OK(sx_examples_make(angles[0], labels, 4, 2, &examples, &error));
    assert_int_equal(sx_examples_count(examples), 4);
    assert_string_equal(sx_examples_label(examples, 0), "east");
    assert_string_equal(sx_examples_label(examples, 2), "west");
    assert_null(sx_examples_label(examples, 3));
    const float query[] = {0.6f * 5, 0.8f * 5}; /* cosines 0.6, 0.96, 0.8, -0.6; lengths do not matter */
    sx_classify_options options = {.size = sizeof options, .neighbours = 3};
    OK(sx_classify(examples, &options, query, 1, &label, &error));
    assert_string_equal(label.label, "east");
    assert_true(fabs(label.confidence - (0.6 + 0.96) / (0.6 + 0.96 + 0.8)) < 1e-5 && fabs(label.similarity - 0.96) < 1e-5);
    options.neighbours = 2;
    OK(sx_classify(examples, &options, query, 1, &label, &error));
    assert_true(fabs(label.confidence - 0.96 / (0.96 + 0.8)) < 1e-5);
    options.neighbours = 4; /* what is unlike does not vote */
    OK(sx_classify(examples, &options, query, 1, &label, &error));
    assert_true(fabs(label.confidence - (0.6 + 0.96) / (0.6 + 0.96 + 0.8)) < 1e-5);
    options = (sx_classify_options){.size = sizeof options, .neighbours = 3, .threshold = 0.97};
    OK(sx_classify(examples, &options, query, 1, &label, &error));
    assert_true(!label.label && label.confidence > 0.6);
    options = (sx_classify_options){.size = sizeof options, .neighbours = 3, .confidence = 0.7};
    OK(sx_classify(examples, &options, query, 1, &label, &error));
    assert_null(label.label);
    const float nowhere[] = {0, 0}, wrong[] = {1, NAN};
    OK(sx_classify(examples, NULL, nowhere, 1, &label, &error));
    assert_true(!label.label && label.confidence == 0);
    OK(sx_classify(examples, NULL, NULL, 0, NULL, &error));
    assert_int_equal(sx_classify(examples, NULL, wrong, 1, &label, &error), SX_E_INVALID);
    options = (sx_classify_options){.size = sizeof options, .neighbours = 1001};
    assert_int_equal(sx_classify(examples, &options, query, 1, &label, &error), SX_E_INVALID);
    sx_examples_free(examples);
    assert_int_equal(sx_examples_make(angles[0], (const char *const[]){"a", ""}, 2, 2, &examples, &error), SX_E_INVALID);
    assert_null(examples);
}

/* Each by the others: the examples that stand together are right, the one alone among others is not. */
static void examples_judged_by_the_others(void **state)
{
    (void)state;
    sx_error error = {0};
    sx_examples *examples;
    sx_classify_judgement judgement;
    const float rows[][2] = {{1, 0}, {1, 0.1f}, {0, 1}, {0.1f, 1}, {1, 0.05f}};
    const char *const names[] = {"a", "a", "b", "b", "b"};
    sx_classify_options options = {.size = sizeof options, .neighbours = 1};
    OK(sx_examples_make(rows[0], names, 5, 2, &examples, &error));
    OK(sx_classify_judge(examples, &options, &judgement, &error));
    /* The last lies between the first two: they take its label and it theirs. */
    assert_true(judgement.examples == 5 && judgement.right == 2 && judgement.none == 0);
    assert_true(fabs(judgement.accuracy - 0.4) < 1e-9 && fabs(judgement.commonest - 0.6) < 1e-9);
    options.neighbours = 2;
    options.confidence = 0.9; /* the two that have one of each are not sure */
    OK(sx_classify_judge(examples, &options, &judgement, &error));
    assert_true(judgement.none >= 2);
    sx_examples_free(examples);
}

static void labels_of_a_collection(void **state)
{
    fixture *f = *state;
    sx_error error = {0};
    sx_examples *examples;
    sx_classify_judgement judgement;
    add_clouds(f);
    OK(sx_examples_of_collection(f->database, NULL, "subject", &examples, &error));
    assert_int_equal(sx_examples_count(examples), 125); /* the lonely one has no label */
    OK(sx_classify_judge(examples, NULL, &judgement, &error));
    assert_true(judgement.accuracy == 1 && fabs(judgement.commonest - 60.0 / 125) < 1e-9);
    sx_examples_free(examples);
    assert_int_equal(sx_examples_of_collection(f->database, NULL, "mood", &examples, &error), SX_E_NOT_FOUND);
    assert_null(examples);
}

/* ---- Maps ---- */

static sx_map *make_map(fixture *f, sx_map_options options)
{
    sx_error error = {0};
    sx_map *map;
    options.size = sizeof options;
    OK(sx_map_make(f->database, &options, &map, &error));
    for (size_t i = 0; i < map->count; i++) {
        const sx_map_point *point = &map->points[i];
        assert_true(point->x >= 0 && point->x <= map->width && point->y >= 0 && point->y <= map->height);
        assert_true(point->group < map->group_count);
    }
    assert_true(map->width <= 1 && map->height <= map->width);
    return map;
}

/* The nearest point of each is of the same cloud, and the clouds are the groups. */
static void clouds_stay_together(void **state)
{
    fixture *f = *state;
    add_clouds(f);
    sx_map *first = make_map(f, (sx_map_options){.measure = 1, .threads = 1, .clusters = 3});
    assert_int_equal(first->count, 126);
    assert_int_equal(first->group_count, 3);
    size_t astray = 0;
    for (size_t i = 0; i + 1 < first->count; i++) {
        size_t nearest = i;
        double best = 10;
        for (size_t j = 0; j < first->count; j++) {
            double x = (double)first->points[i].x - first->points[j].x, y = (double)first->points[i].y - first->points[j].y;
            if (j != i && x * x + y * y < best) {
                best = x * x + y * y;
                nearest = j;
            }
        }
        astray += first->points[i].passage.text[0] != first->points[nearest].passage.text[0];
    }
    assert_true(astray <= 2);
    assert_true(first->preserved > 0.3 && first->preserved <= 1 && first->preserved_pca <= 1);
    sx_map *second = make_map(f, (sx_map_options){.measure = 1, .threads = 2, .clusters = 3});
    for (size_t i = 0; i < first->count; i++) /* to the bit, for any number of threads */
        assert_true(first->points[i].x == second->points[i].x && first->points[i].y == second->points[i].y &&
                    first->points[i].group == second->points[i].group);
    sx_map_free(first);
    sx_map_free(second);
}

static void groups_by_a_key_and_samples(void **state)
{
    fixture *f = *state;
    sx_error error = {0};
    sx_map *map;
    add_clouds(f);
    map = make_map(f, (sx_map_options){.color_by = "subject", .layout = "pca"});
    assert_int_equal(map->group_count, 4);
    static const char *const names[] = {"s0", "s1", "s2", "(none)"};
    for (size_t g = 0; g < 4; g++) {
        assert_string_equal(map->groups[g].name, names[g]);
        assert_int_equal(map->groups[g].count, g < 3 ? sizes[g] : 1);
    }
    for (size_t i = 0; i < map->count; i++)
        assert_true(map->points[i].group == (map->points[i].passage.text[0] == 'h'   ? 0u
                                             : map->points[i].passage.text[0] == 'c' ? 1u
                                             : map->points[i].passage.text[0] == 'v' ? 2u
                                                                                     : 3u));
    assert_true(isnan(map->preserved));
    sx_map_free(map);
    map = make_map(f, (sx_map_options){.most_points = 20});
    assert_true(map->count == 20 && map->passages == 126);
    sx_map_free(map);
    map = make_map(f, (sx_map_options){.filters = (const char *const[]){"subject=s2"}, .filter_count = 1});
    assert_true(map->count == 25 && map->passages == 25);
    sx_map_free(map);
    sx_map_options wrong = {.size = sizeof wrong, .layout = "circle"};
    assert_int_equal(sx_map_make(f->database, &wrong, &map, &error), SX_E_INVALID);
    assert_non_null(strstr(error.message, "circle"));
    volatile int stop = 1;
    wrong = (sx_map_options){.size = sizeof wrong, .stop = &stop};
    assert_int_equal(sx_map_make(f->database, &wrong, &map, &error), SX_E_STOPPED);
    assert_null(map);
}

/* All in one place: a picture of one spot, no division by nothing. */
static void equal_passages(void **state)
{
    fixture *f = *state;
    sx_error error = {0};
    float vector[DIMENSIONS];
    axis(2, vector);
    for (int i = 0; i < 50; i++)
        add(f, "the same", NULL, vector);
    sx_map *map = make_map(f, (sx_map_options){.measure = 1});
    assert_int_equal(map->group_count, 1);
    sx_map_free(map);
    sx_clusters *clusters;
    OK(sx_clusters_find(f->database, NULL, &clusters, &error));
    assert_true(clusters->count == 1 && clusters->clusters[0].passages == 50 && fabs(clusters->clusters[0].cohesion - 1) < 1e-5);
    sx_clusters_free(clusters);
    sx_duplicate_report *report = duplicates(f, (sx_duplicates_options){0});
    assert_true(report->group_count == 1 && report->groups[0].exact && report->redundant_passages == 49);
    sx_duplicate_report_free(report);
}

/* ---- Neighbours ---- */

static void neighbours_are_the_nearest(void **state)
{
    enum { COUNT = 600, K = 7 };
    sx_error error = {0};
    float(*rows)[DIMENSIONS] = calloc(COUNT, sizeof *rows);
    uint32_t *ids = calloc(COUNT * K, sizeof *ids);
    float *scores = calloc(COUNT * K, sizeof *scores);
    (void)state;
    random_seed = 5;
    for (int i = 0; i < COUNT; i++)
        random_vector(rows[i], DIMENSIONS);
    for (unsigned threads = 1; threads <= 3; threads++) {
        sx_thread_pool *pool;
        OK(sx_thread_pool_open(threads, &pool, &error));
        OK(sx_neighbours(rows[0], COUNT, DIMENSIONS, K, pool, NULL, NULL, ids, scores, &error));
        sx_thread_pool_close(pool);
        for (size_t i = 0; i < COUNT; i += 13) {
            size_t better = 0;
            double last = product(rows[i], rows[ids[i * K + K - 1]]);
            for (size_t j = 0; j < K; j++) {
                assert_true(ids[i * K + j] != i && fabs(scores[i * K + j] - product(rows[i], rows[ids[i * K + j]])) < 1e-5);
                assert_true(j == 0 || scores[i * K + j] <= scores[i * K + j - 1]);
            }
            for (size_t j = 0; j < COUNT; j++)
                better += j != i && product(rows[i], rows[j]) > last + 1e-6;
            assert_true(better < K);
        }
    }
    free(rows);
    free(ids);
    free(scores);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, open_empty, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(duplicates_are_those_of_a_comparison_of_all_pairs),
        WITH_FIXTURE(equal_texts_come_first),
        WITH_FIXTURE(nothing_and_one),
        WITH_FIXTURE(clouds_are_clusters),
        cmocka_unit_test(kmeans_of_few_rows),
        cmocka_unit_test(votes_by_similarity),
        cmocka_unit_test(examples_judged_by_the_others),
        WITH_FIXTURE(labels_of_a_collection),
        WITH_FIXTURE(clouds_stay_together),
        WITH_FIXTURE(groups_by_a_key_and_samples),
        WITH_FIXTURE(equal_passages),
        cmocka_unit_test(neighbours_are_the_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
