/* print_index.c - what an index run has done, in words and as JSON. */
#include "index_run.h"
#include "legs.h"
#include "money.h"

#include "../base/file.h"

#include <stdio.h>
#include <string.h>

int sx_cli_print_index_json(sx_cli *cli, const sx_embedder *embedder, const sx_index_report *report)
{
    sx_buffer json = {0};
    sx_buffer_append_byte(&json, '{');
    sx_cli_member_counts(&json, "documents", (sx_cli_count_of[]){{"total", report->documents.total},
                                                                 {"added", report->documents.added},
                                                                 {"changed", report->documents.changed},
                                                                 {"removed", report->documents.removed},
                                                                 {"unchanged", report->documents.unchanged},
                                                                 {"skipped", report->documents.skipped},
                                                                 {"failed", report->documents.failed},
                                                                 {NULL}});
    sx_cli_member_counts(&json, "chunks", (sx_cli_count_of[]){{"total", report->chunks.total},
                                                              {"embedded", report->chunks.embedded},
                                                              {"cached", report->chunks.cached},
                                                              {"failed", report->chunks.failed},
                                                              {NULL}});
    if (sx_cli_text(cli, "shared-cache"))
        sx_cli_member_cache_use(&json, &report->cache);
    if (report->windows.total) {
        sx_cli_member_counts(&json, "windows", (sx_cli_count_of[]){{"total", report->windows.total},
                                                                   {"embedded", report->windows.embedded},
                                                                   {"cached", report->windows.cached},
                                                                   {"tokens", report->windows.tokens},
                                                                   {NULL}});
    }
    sx_cli_member_integer(&json, "tokens", report->tokens);
    sx_cli_member_integer(&json, "truncated", report->truncated);
    sx_cli_member_cost(&json, "cost_usd", &report->cost);
    sx_cli_member_legs(&json, embedder);
    if (report->left.texts) {
        sx_cli_key(&json, "left");
        sx_buffer_append_byte(&json, '{');
        sx_cli_member_integer(&json, "chunks", report->left.texts);
        sx_cli_member_integer(&json, "tokens", report->left.tokens);
        sx_cli_member_cost(&json, "cost_usd", &report->left);
        sx_buffer_append_byte(&json, '}');
    }
    sx_cli_member_number(&json, "seconds", report->seconds);
    sx_cli_member_problems(&json, "failed", report->failed, report->failed_count);
    sx_cli_member_problems(&json, "skipped", report->skipped, report->skipped_count);
    sx_cli_member_problems(&json, "notes", report->notes, report->note_count);
    sx_buffer_append_byte(&json, '}');
    return sx_cli_print_json(cli, &json);
}

/* "3 added, 1 changed": only what there is. */
static void add_part(char *text, size_t capacity, uint64_t count, const char *what)
{
    if (!count)
        return;
    char number[32];
    size_t used = strlen(text);
    sx_cli_human_count(count, number);
    snprintf(text + used, capacity - used, "%s%s %s", used ? ", " : "", number, what);
}

/* A file given by its name; of those that stand in a folder -v tells. */
static bool is_named(const sx_cli *cli, const char *document)
{
    for (size_t i = 0; i < cli->argument_count; i++)
        if (!strcmp(sx_path_name(cli->arguments[i]), sx_path_name(document)))
            return true;
    return false;
}

void sx_cli_print_index(sx_cli *cli, const sx_index_report *report, bool dry_run)
{
    char documents[256] = "", chunks[256] = "", windows[256] = "", total[32], chunk_total[32], tokens[32], cost[96];
    add_part(documents, sizeof documents, report->documents.added, "added");
    add_part(documents, sizeof documents, report->documents.changed, "changed");
    add_part(documents, sizeof documents, report->documents.removed, "removed");
    add_part(documents, sizeof documents, report->documents.unchanged, "unchanged");
    add_part(documents, sizeof documents, report->documents.skipped, "skipped");
    add_part(documents, sizeof documents, report->documents.failed, "failed");
    add_part(chunks, sizeof chunks, report->chunks.embedded, dry_run ? "to embed" : "embedded");
    add_part(chunks, sizeof chunks, report->chunks.cached, "from the cache");
    add_part(chunks, sizeof chunks, report->chunks.failed, "failed");
    sx_cli_human_count(report->documents.total, total);
    sx_cli_human_count(report->chunks.total, chunk_total);
    sx_cli_human_count(report->tokens, tokens);
    if (!cli->quiet) {
        sx_cli_say("%sDocuments: %s%s%s\n", dry_run ? "Nothing was changed. " : "", total, *documents ? ": " : "", documents);
        sx_cli_say("Chunks: %s%s%s\n", chunk_total, *chunks ? ": " : "", chunks);
        if (report->windows.total) {
            add_part(windows, sizeof windows, report->windows.embedded, dry_run ? "to embed" : "embedded");
            add_part(windows, sizeof windows, report->windows.cached, "from the cache");
            sx_cli_human_count(report->windows.tokens, tokens);
            sx_cli_say("Windows of sentences, to find where to cut: %s; %s tokens\n", *windows ? windows : "none", tokens);
            sx_cli_human_count(report->tokens, tokens);
        }
        sx_cli_human_cost(&report->cost, false, cost);
        bool free_of_charge = report->cost.usd == 0 && !report->cost.unpriced_tokens;
        sx_cli_say("%s tokens in %.1f s%s%s\n", tokens, report->seconds, free_of_charge ? "" : ", cost: ",
                   free_of_charge ? "" : cost);
        if (sx_cli_text(cli, "shared-cache") && !dry_run)
            sx_cli_note_cache_use(cli, &report->cache);
        if (report->truncated)
            sx_cli_say("%llu chunks were cut to fit the model\n", (unsigned long long)report->truncated);
    }
    for (size_t i = 0; i < report->skipped_count && cli->verbose; i++)
        sx_cli_note(cli, "skipped %s: %s", report->skipped[i].document, report->skipped[i].reason);
    for (size_t i = 0; i < report->note_count; i++)
        if (cli->verbose || is_named(cli, report->notes[i].document))
            sx_cli_note(cli, "%s: %s", report->notes[i].document, report->notes[i].reason);
    if (report->skipped_count && !cli->verbose)
        sx_cli_note(cli, "%zu skipped; -v says which and why", report->skipped_count);
}

void sx_cli_name_failed(sx_cli *cli, const sx_index_report *report)
{
    for (size_t i = 0; i < report->failed_count; i++) {
        const sx_problem *problem = &report->failed[i];
        if (problem->chunk >= 0)
            sx_cli_complain(cli, "%s: chunk %lld: %s", problem->document, (long long)problem->chunk, problem->reason);
        else
            sx_cli_complain(cli, "%s: %s", problem->document, problem->reason);
    }
}

void sx_cli_hint_at_secrets(sx_cli *cli, const sx_index_report *report)
{
    for (size_t i = 0; i < report->failed_count; i++)
        if (strncmp(report->failed[i].reason, "held back: ", 11) == 0) {
            sx_cli_note(cli, "what was held back was sent nowhere; --allow-secrets sends it");
            return;
        }
}
