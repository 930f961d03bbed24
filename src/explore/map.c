/* map.c - sx_map_make: a collection's passages as points on a plane, in groups with names. */
#include "cluster_names.h"
#include "layout.h"
#include "products.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../store/sql.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_POINTS = 10000, MOST_POINTS = 50000, MOST_GROUPS = 20, NEAR = 10, WIDE = 30 };

typedef struct map_run {
    sx_database *database;
    sx_map_options options;
    const char *collection;
    sx_gathered gathered;
    sx_thread_pool *pool;
    sx_reporter reporter;
    sx_map *map;
    float *points, *components;
    uint32_t *ids;
    float *scores;
} map_run;

void sx_map_free(sx_map *map)
{
    if (!map)
        return;
    for (size_t i = 0; map->points && i < map->count; i++)
        sx_excerpt_clear(&map->points[i].passage);
    for (size_t i = 0; map->groups && i < map->group_count; i++)
        free(map->groups[i].name);
    free(map->points);
    free(map->groups);
    free(map->collection);
    free(map->model);
    free(map->color_by);
    free(map);
}

/* ---- Groups ---- */

static sx_status group_by_cluster(map_run *run, sx_error *error)
{
    sx_kmeans clusters = {0};
    sx_map *map = run->map;
    char **names = NULL;
    sx_status status = sx_kmeans_fit(run->gathered.rows, map->count, run->gathered.dimensions, run->options.clusters, run->pool,
                                     run->options.stop, &clusters, error);
    if (status)
        goto out;
    names = sx_calloc(clusters.count + 1, sizeof *names);
    map->groups = sx_calloc(clusters.count + 1, sizeof *map->groups);
    status = names && map->groups ? sx_names_of_clusters(run->database, &run->gathered, &clusters, names, error)
                                  : sx_fail_nomem(error, clusters.count * sizeof *map->groups);
    if (status)
        goto out;
    for (size_t c = 0; c < clusters.count; c++) {
        map->groups[c] = (sx_map_group){.name = names[c], .count = (uint32_t)clusters.sizes[c]};
        names[c] = NULL;
    }
    map->group_count = clusters.count;
    for (size_t i = 0; i < map->count; i++)
        map->points[i].group = clusters.clusters[i];
out:
    for (size_t c = 0; names && c < clusters.count; c++)
        free(names[c]);
    free(names);
    sx_kmeans_clear(&clusters);
    return status;
}

/* A value and the point that has it. */
typedef struct valued {
    char *value;
    uint32_t point, group;
} valued;

static int by_value(const void *a, const void *b)
{
    const valued *first = a, *second = b;
    int order = strcmp(first->value, second->value);
    return order ? order : (first->point > second->point) - (first->point < second->point);
}

typedef struct value_group {
    size_t first, count;
} value_group;

static int larger_first(const void *a, const void *b)
{
    const value_group *first = a, *second = b;
    if (first->count != second->count)
        return first->count > second->count ? -1 : 1;
    return (first->first > second->first) - (first->first < second->first);
}

/* The value of a metadata key as text, malloc'ed; "(none)" when there is none. NULL on no memory. */
static char *value_of(const sx_excerpt *passage, const char *key)
{
    if (!strcmp(key, "document"))
        return sx_strdup(passage->document);
    json_t *metadata = passage->metadata ? json_loads(passage->metadata, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const json_t *value = json_object_get(metadata, key);
    char *text;
    if (json_is_string(value) && *json_string_value(value))
        text = sx_strdup(json_string_value(value));
    else if (value && !json_is_string(value) && !json_is_null(value))
        text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    else
        text = sx_strdup("(none)");
    json_decref(metadata);
    return text;
}

static sx_status name_groups(map_run *run, const valued *values, const value_group *groups, size_t count, sx_error *error)
{
    sx_map *map = run->map;
    size_t shown = count <= MOST_GROUPS ? count : MOST_GROUPS;
    map->groups = sx_calloc(shown + 1, sizeof *map->groups);
    if (!map->groups)
        return sx_fail_nomem(error, shown * sizeof *map->groups);
    map->group_count = shown;
    for (size_t g = 0; g < count; g++) {
        /* The last of those shown stands for all that have no place. */
        bool other = count > MOST_GROUPS && g >= MOST_GROUPS - 1;
        sx_map_group *group = &map->groups[other ? MOST_GROUPS - 1 : g];
        if (!group->name)
            group->name = sx_strdup(other ? "(others)" : values[groups[g].first].value);
        if (!group->name)
            return sx_fail_nomem(error, 64);
        group->count += (uint32_t)groups[g].count;
        for (size_t i = 0; i < groups[g].count; i++)
            map->points[values[groups[g].first + i].point].group = (uint32_t)(group - map->groups);
    }
    return SX_OK;
}

static sx_status group_by_key(map_run *run, sx_error *error)
{
    const sx_map *map = run->map;
    size_t groups = 0;
    valued *values = sx_calloc(map->count ? map->count : 1, sizeof *values);
    value_group *list = sx_calloc(map->count ? map->count : 1, sizeof *list);
    sx_status status = values && list ? SX_OK : sx_fail_nomem(error, map->count * sizeof *values);
    for (size_t i = 0; i < map->count && !status; i++) {
        values[i] = (valued){.value = value_of(&map->points[i].passage, run->options.color_by), .point = (uint32_t)i};
        if (!values[i].value)
            status = sx_fail_nomem(error, 64);
    }
    if (!status) {
        qsort(values, map->count, sizeof *values, by_value);
        for (size_t i = 0; i < map->count; i++) {
            if (!i || strcmp(values[i].value, values[i - 1].value))
                list[groups++].first = i;
            list[groups - 1].count++;
        }
        qsort(list, groups, sizeof *list, larger_first);
        status = name_groups(run, values, list, groups, error);
    }
    for (size_t i = 0; values && i < map->count; i++)
        free(values[i].value);
    free(values);
    free(list);
    return status;
}

static int by_size(const void *a, const void *b)
{
    float first = *(const float *)a, second = *(const float *)b;
    return (first > second) - (first < second);
}

/* A group's name stands at the middle of its points: half lie to each side, so that a few far away do not matter. */
static sx_status place_names(sx_map *map, sx_error *error)
{
    float *values = sx_calloc(map->count ? map->count : 1, sizeof *values);
    if (!values)
        return sx_fail_nomem(error, map->count * sizeof *values);
    for (size_t g = 0; g < map->group_count; g++) {
        float *axes[2] = {&map->groups[g].x, &map->groups[g].y};
        for (size_t axis = 0; axis < 2; axis++) {
            size_t count = 0;
            for (size_t i = 0; i < map->count; i++)
                if (map->points[i].group == g)
                    values[count++] = axis ? map->points[i].y : map->points[i].x;
            qsort(values, count, sizeof *values, by_size);
            *axes[axis] = count ? values[count / 2] : 0;
        }
    }
    free(values);
    return SX_OK;
}

/* ---- Points ---- */

static sx_status lay_out(map_run *run, sx_error *error)
{
    sx_map *map = run->map;
    const sx_gathered *all = &run->gathered;
    bool components = !strcmp(map->layout, "pca");
    size_t count = all->count, k = count > SX_LAYOUT_NEIGHBOURS ? SX_LAYOUT_NEIGHBOURS : count ? count - 1 : 0;
    sx_status status = SX_OK;
    run->points = sx_calloc(count ? count : 1, 2 * sizeof(float));
    run->components = sx_calloc(count ? count : 1, 2 * sizeof(float));
    run->ids = sx_calloc(k ? count * k : 1, sizeof *run->ids);
    run->scores = sx_calloc(k ? count * k : 1, sizeof *run->scores);
    if (!run->points || !run->components || !run->ids || !run->scores)
        return sx_fail_nomem(error, count * k * sizeof *run->ids);
    if (count)
        status = sx_layout_components(all->rows, count, all->dimensions, run->components, error);
    memcpy(run->points, run->components, 2 * count * sizeof(float));
    if (!status && (!components || run->options.measure))
        status = sx_neighbours(all->rows, count, all->dimensions, k, run->pool, run->options.stop, &run->reporter, run->ids,
                               run->scores, error);
    if (!status && !components && count > 2)
        status = sx_layout_neighbours(count, k, run->ids, run->scores, run->points, run->options.stop, &run->reporter, error);
    map->preserved = map->preserved_pca = NAN;
    if (!status && run->options.measure)
        status = sx_layout_preserved(count, k, run->ids, run->points, NEAR, WIDE, &map->preserved, error);
    if (!status && run->options.measure)
        status = sx_layout_preserved(count, k, run->ids, run->components, NEAR, WIDE, &map->preserved_pca, error);
    if (!status)
        sx_layout_fit(run->points, count, &map->width, &map->height);
    return status;
}

static sx_status read_passages(map_run *run, sx_error *error)
{
    sx_map *map = run->map;
    sx_status status = SX_OK;
    map->points = sx_calloc(run->gathered.count ? run->gathered.count : 1, sizeof *map->points);
    if (!map->points)
        return sx_fail_nomem(error, run->gathered.count * sizeof *map->points);
    for (size_t i = 0; i < run->gathered.count && !status; i++) {
        sx_map_point *point = &map->points[i];
        point->x = run->points[2 * i];
        point->y = run->points[2 * i + 1];
        status = sx_excerpt_read(run->database, run->gathered.chunks[i], SX_EXCERPT_BYTES, &point->passage, error);
        if (!status)
            map->count = i + 1;
        sx_reporter_at(&run->reporter, "reading", "passages", i + 1, run->gathered.count);
    }
    return status;
}

static sx_status describe(map_run *run, sx_error *error)
{
    sx_collection_row row = {0};
    sx_map *map = run->map;
    sx_status status = sx_store_collection_find(run->database, run->collection, &row, error);
    if (!status) {
        map->collection = row.name;
        map->model = row.model;
        row.name = row.model = NULL;
        map->color_by = sx_strdup(run->options.color_by ? run->options.color_by : "clusters");
        if (!map->color_by)
            status = sx_fail_nomem(error, 16);
    }
    sx_collection_row_clear(&row);
    return status;
}

static sx_status make(map_run *run, sx_error *error)
{
    const sx_map_options *options = &run->options;
    sx_status status = describe(run, error);
    if (!status)
        status = sx_gather(run->database,
                           &(sx_gather_request){.collections = &run->collection,
                                                .collection_count = 1,
                                                .filters = options->filters,
                                                .filter_count = options->filter_count,
                                                .most = options->most_points,
                                                .stop = options->stop,
                                                .verb = "map"},
                           &run->gathered, error);
    run->map->passages = run->gathered.total;
    if (!status)
        status = lay_out(run, error);
    if (!status)
        status = read_passages(run, error);
    if (!status)
        status = options->color_by ? group_by_key(run, error) : group_by_cluster(run, error);
    return status ? status : place_names(run->map, error);
}

static sx_status read_options(const sx_map_options *options, sx_map_options *known, sx_error *error)
{
    sx_status status = sx_options_read(options, known, sizeof *known, "sx_map_options", error);
    if (status)
        return status;
    if (!known->layout)
        known->layout = "neighbours";
    if (strcmp(known->layout, "neighbours") && strcmp(known->layout, "pca"))
        return sx_fail(error, SX_E_INVALID, "sx_map_options: layout \"%s\"; there are neighbours and pca", known->layout);
    if (known->clusters > SX_KMEANS_MOST)
        return sx_fail(error, SX_E_INVALID, "sx_map_options: %u clusters, at most %d", known->clusters, SX_KMEANS_MOST);
    if (known->most_points > MOST_POINTS)
        return sx_fail(error, SX_E_INVALID, "sx_map_options: %u points, at most %d", known->most_points, MOST_POINTS);
    if (known->filter_count && !known->filters)
        return sx_fail(error, SX_E_INVALID, "sx_map_options: filters is NULL with count %zu", known->filter_count);
    known->most_points = known->most_points ? known->most_points : DEFAULT_POINTS;
    return SX_OK;
}

sx_status sx_map_make(sx_database *database, const sx_map_options *options, sx_map **out, sx_error *error)
{
    map_run run = {.database = database};
    if (out)
        *out = NULL;
    if (!database || !out)
        return sx_fail(error, SX_E_INVALID, "sx_map_make: an argument is NULL");
    sx_status status = read_options(options, &run.options, error);
    if (status)
        return status;
    run.collection = run.options.collection ? run.options.collection : "default";
    run.reporter = sx_reporter_begin(run.options.progress, run.options.progress_user);
    run.map = sx_calloc(1, sizeof *run.map);
    if (!run.map)
        return sx_fail_nomem(error, sizeof *run.map);
    run.map->layout = !strcmp(run.options.layout, "pca") ? "pca" : "neighbours";
    status = sx_thread_pool_open(run.options.threads, &run.pool, error);
    if (!status) {
        status = sx_snapshot_begin(database, error);
        if (!status) {
            status = make(&run, error);
            sx_snapshot_end(database);
        }
    }
    run.map->seconds = (double)(sx_system_clock.monotonic_ns(NULL) - run.reporter.began_ns) / 1e9;
    free(run.points);
    free(run.components);
    free(run.ids);
    free(run.scores);
    sx_gathered_clear(&run.gathered);
    sx_thread_pool_close(run.pool);
    if (status) {
        sx_map_free(run.map);
        run.map = NULL;
    }
    *out = run.map;
    return status;
}
