/* run_duplicates.c - `sextant duplicates`: what a collection holds more than once. */
#include "cli.h"
#include "excerpts.h"
#include "model_choice.h"

#include <string.h>

static void write_group(sx_buffer *json, const sx_duplicate_group *group, bool documents)
{
    sx_buffer_append_byte(json, '{');
    sx_cli_member_boolean(json, "exact", group->exact != 0);
    sx_cli_member_number(json, "least_similarity", group->least);
    sx_cli_member_integer(json, "count", group->count);
    sx_cli_key(json, documents ? "documents" : "passages");
    sx_buffer_append_byte(json, '[');
    for (size_t i = 0; i < group->count; i++) {
        const sx_duplicate *member = &group->members[i];
        sx_buffer_append_string(json, i ? ",{" : "{");
        sx_cli_member_number(json, "similarity", member->similarity);
        if (documents)
            sx_cli_member_number(json, "shared", member->shared);
        sx_cli_member_excerpt(json, &member->passage);
        sx_buffer_append_byte(json, '}');
    }
    sx_buffer_append_string(json, "]}");
}

static void write_groups(sx_buffer *json, const char *key, const sx_duplicate_group *groups, size_t count, bool documents)
{
    sx_cli_key(json, key);
    sx_buffer_append_byte(json, '[');
    for (size_t g = 0; g < count; g++) {
        if (g)
            sx_buffer_append_byte(json, ',');
        write_group(json, &groups[g], documents);
    }
    sx_buffer_append_byte(json, ']');
}

static int print_json(sx_cli *cli, const sx_duplicate_report *report)
{
    sx_buffer json = {0};
    sx_buffer_append_byte(&json, '{');
    sx_cli_member_text(&json, "collection", sx_cli_text(cli, "collection"));
    sx_cli_member_number(&json, "threshold", report->threshold);
    sx_cli_member_integer(&json, "passages", report->passages);
    sx_cli_member_integer(&json, "documents", report->documents);
    sx_cli_member_integer(&json, "redundant_passages", report->redundant_passages);
    sx_cli_member_integer(&json, "redundant_documents", report->redundant_documents);
    sx_cli_member_integer(&json, "passage_groups_found", report->passage_groups);
    sx_cli_member_integer(&json, "document_groups_found", report->document_groups);
    write_groups(&json, "passage_groups", report->groups, report->group_count, false);
    write_groups(&json, "document_groups", report->document_list, report->document_count, true);
    sx_cli_member_number(&json, "seconds", report->seconds);
    sx_buffer_append_byte(&json, '}');
    return sx_cli_print_json(cli, &json);
}

static void print_group(const sx_duplicate_group *group, bool documents, bool several)
{
    enum { MOST_SHOWN = 8 };
    sx_cli_say("%s, %zu times", group->exact ? "equal" : "alike", group->count);
    if (!group->exact)
        sx_cli_say(" (%.3f and more)", group->least);
    sx_cli_say("\n");
    for (size_t i = 0; i < group->count && i < MOST_SHOWN; i++) {
        const sx_duplicate *member = &group->members[i];
        sx_cli_say("  %s%s%s", several ? member->passage.collection : "", several ? ": " : "", member->passage.document);
        if (!documents)
            sx_cli_say(":%u", member->passage.start_line);
        else if (!group->exact)
            sx_cli_say("  (%.0f %% of its passages)", member->shared * 100);
        sx_cli_say("\n");
    }
    if (group->count > MOST_SHOWN)
        sx_cli_say("  and %zu more\n", group->count - MOST_SHOWN);
    if (!documents)
        sx_cli_say_excerpt(&group->members[0].passage, "    ");
}

static void print(const sx_duplicate_report *report, bool several)
{
    char passages[32], redundant[32];
    sx_cli_human_count(report->passages, passages);
    sx_cli_human_count(report->redundant_passages, redundant);
    for (size_t g = 0; g < report->document_count; g++) {
        if (!g)
            sx_cli_say("Documents\n");
        print_group(&report->document_list[g], true, several);
    }
    for (size_t g = 0; g < report->group_count; g++) {
        if (!g)
            sx_cli_say("%sPassages\n", report->document_count ? "\n" : "");
        print_group(&report->groups[g], false, several);
    }
    sx_cli_say("%s%s of %s passages say again what others say (%llu %s); %llu of %llu documents\n",
               report->group_count || report->document_count ? "\n" : "", redundant, passages,
               (unsigned long long)report->passage_groups, report->passage_groups == 1 ? "group" : "groups",
               (unsigned long long)report->redundant_documents, (unsigned long long)report->documents);
    if (report->passage_groups > report->group_count || report->document_groups > report->document_count)
        sx_cli_say("The largest groups are shown; --count shows more.\n");
}

int sx_cli_duplicates(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    sx_duplicate_report *report = NULL;
    const sx_cli_value *also = sx_cli_get(cli, "with"), *filters = sx_cli_get(cli, "filter"),
                       *threshold = sx_cli_get(cli, "threshold");
    sx_duplicates_options options = {
        .size = sizeof options,
        .collection = sx_cli_text(cli, "collection"),
        .also = also->all,
        .also_count = also->all_count,
        .threshold = threshold->number,
        .filters = filters->all,
        .filter_count = filters->all_count,
        .most_groups = (uint32_t)sx_cli_count(cli, "count"),
        .threads = (unsigned)sx_cli_count(cli, "threads"),
        .progress = cli->progress ? sx_cli_report_progress : NULL,
        .progress_user = cli,
        .stop = sx_cli_stop_flag(),
    };
    if (!(threshold->number > 0 && threshold->number <= 1))
        return sx_cli_usage(cli, NULL, "duplicates: --threshold %s: a similarity above 0 and at most 1", threshold->text);
    sx_status status = sx_cli_open_database(cli, cli->db_path, false, &database, &error);
    if (!status)
        status = sx_duplicates(database, &options, &report, &error);
    sx_cli_end_progress(cli);
    int code = status ? sx_cli_fail(cli, &error) : SX_EXIT_DONE;
    if (!status && cli->json)
        code = print_json(cli, report);
    else if (!status)
        print(report, also->all_count > 0);
    sx_duplicate_report_free(report);
    sx_database_close(database);
    return code;
}
