/* run_clusters.c - `sextant clusters`: what a collection is about. */
#include "cli.h"
#include "excerpts.h"

static void write_passages(sx_buffer *json, const char *key, const sx_cluster_passage *passages, size_t count)
{
    sx_cli_key(json, key);
    sx_buffer_append_byte(json, '[');
    for (size_t i = 0; i < count; i++) {
        sx_buffer_append_string(json, i ? ",{" : "{");
        sx_cli_member_number(json, "similarity", passages[i].similarity);
        sx_cli_member_integer(json, "cluster", passages[i].cluster);
        sx_cli_member_excerpt(json, &passages[i].passage);
        sx_buffer_append_byte(json, '}');
    }
    sx_buffer_append_byte(json, ']');
}

static int print_json(sx_cli *cli, const sx_clusters *found)
{
    sx_buffer json = {0};
    sx_buffer_append_byte(&json, '{');
    sx_cli_member_text(&json, "collection", sx_cli_text(cli, "collection"));
    sx_cli_member_integer(&json, "passages", found->passages);
    sx_cli_member_boolean(&json, "count_was_chosen", found->chosen != 0);
    sx_cli_key(&json, "clusters");
    sx_buffer_append_byte(&json, '[');
    for (size_t c = 0; c < found->count; c++) {
        const sx_cluster *cluster = &found->clusters[c];
        sx_buffer_append_string(&json, c ? ",{" : "{");
        sx_cli_member_text(&json, "name", cluster->name);
        sx_cli_member_integer(&json, "passages", cluster->passages);
        sx_cli_member_integer(&json, "documents", cluster->documents);
        sx_cli_member_number(&json, "cohesion", cluster->cohesion);
        write_passages(&json, "typical", cluster->typical, cluster->typical_count);
        sx_buffer_append_byte(&json, '}');
    }
    sx_buffer_append_byte(&json, ']');
    write_passages(&json, "outliers", found->outliers, found->outlier_count);
    sx_cli_member_number(&json, "seconds", found->seconds);
    sx_buffer_append_byte(&json, '}');
    return sx_cli_print_json(cli, &json);
}

static void print_passage(const sx_cluster_passage *shown)
{
    sx_cli_say("  %.3f  %s:%u\n", shown->similarity, shown->passage.document, shown->passage.start_line);
    sx_cli_say_excerpt(&shown->passage, "         ");
}

static void print(const sx_clusters *found)
{
    for (size_t c = 0; c < found->count; c++) {
        const sx_cluster *cluster = &found->clusters[c];
        sx_cli_say("%s%zu. %s: %llu passages of %llu documents, cohesion %.2f\n", c ? "\n" : "", c + 1, cluster->name,
                   (unsigned long long)cluster->passages, (unsigned long long)cluster->documents, cluster->cohesion);
        for (size_t i = 0; i < cluster->typical_count; i++)
            print_passage(&cluster->typical[i]);
    }
    for (size_t i = 0; i < found->outlier_count; i++) {
        if (!i)
            sx_cli_say("\nLike no other (mean similarity to the nearest five)\n");
        print_passage(&found->outliers[i]);
    }
    if (!found->passages)
        sx_cli_say("The collection has no passages.\n");
}

int sx_cli_clusters(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    sx_clusters *found = NULL;
    const sx_cli_value *filters = sx_cli_get(cli, "filter");
    sx_clusters_options options = {
        .size = sizeof options,
        .collection = sx_cli_text(cli, "collection"),
        .filters = filters->all,
        .filter_count = filters->all_count,
        .count = (uint32_t)sx_cli_count(cli, "count"),
        .typical = (uint32_t)sx_cli_count(cli, "typical"),
        .outliers = (uint32_t)sx_cli_count(cli, "outliers"),
        .threads = (unsigned)sx_cli_count(cli, "threads"),
        .progress = cli->progress ? sx_cli_report_progress : NULL,
        .progress_user = cli,
        .stop = sx_cli_stop_flag(),
    };
    sx_status status = sx_cli_open_database(cli, cli->db_path, false, &database, &error);
    if (!status)
        status = sx_clusters_find(database, &options, &found, &error);
    sx_cli_end_progress(cli);
    int code = status ? sx_cli_fail(cli, &error) : SX_EXIT_DONE;
    if (!status && cli->json)
        code = print_json(cli, found);
    else if (!status)
        print(found);
    sx_clusters_free(found);
    sx_database_close(database);
    return code;
}
