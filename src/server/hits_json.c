/* hits_json.c - hits of a search (docs/searching.md lists the members) and reports of indexing, as JSON. */
#include "hits_json.h"

#include "../base/json_writer.h"

#include <stdbool.h>
#include <string.h>

static void text_member(sx_buffer *to, const char *before, const char *text)
{
    sx_buffer_append_string(to, before);
    sx_json_write_string(to, text, text ? strlen(text) : 0);
}

static void number_member(sx_buffer *to, const char *before, double value)
{
    sx_buffer_append_string(to, before);
    sx_json_write_double(to, value);
}

void sx_hit_write_place(sx_buffer *to, const sx_hit *hit)
{
    number_member(to, ",\"score\":", hit->score);
    number_member(to, ",\"similarity\":", hit->similarity);
    text_member(to, ",\"root\":", hit->root);
    text_member(to, ",\"document\":", hit->document);
    sx_buffer_printf(to, ",\"index\":%u,\"start\":%llu,\"end\":%llu,\"start_line\":%u,\"end_line\":%u,\"headings\":[", hit->index,
                     (unsigned long long)hit->start, (unsigned long long)hit->end, hit->start_line, hit->end_line);
    for (uint32_t i = 0; i < hit->heading_count; i++)
        text_member(to, i ? "," : "", hit->headings[i]);
    sx_buffer_append_string(to, "],\"symbols\":");
    sx_buffer_append_string(to, hit->symbols && *hit->symbols ? hit->symbols : "[]");
    sx_buffer_append_string(to, ",\"metadata\":");
    sx_buffer_append_string(to, hit->metadata && *hit->metadata ? hit->metadata : "{}");
}

void sx_hits_write_members(sx_buffer *to, sx_text query, const sx_hits *hits)
{
    sx_buffer_append_string(to, "\"query\":");
    sx_json_write_string(to, query.length ? query.data : "", query.length);
    text_member(to, ",\"collection\":", hits->collection);
    text_member(to, ",\"mode\":", hits->mode);
    text_member(to, ",\"type\":", hits->type);
    text_member(to, ",\"rerank\":", hits->rerank);
    number_member(to, ",\"ms\":", hits->milliseconds);
    sx_buffer_append_string(to, ",\"hits\":[");
    for (size_t i = 0; i < hits->count; i++) {
        const sx_hit *hit = &hits->hits[i];
        sx_buffer_printf(to, "%s{\"rank\":%u", i ? "," : "", hit->rank);
        sx_hit_write_place(to, hit);
        sx_buffer_printf(to,
                         ",\"semantic_rank\":%u,\"keyword_rank\":%u,\"joined\":%u,\"folded\":%u,\"text\":", hit->semantic_rank,
                         hit->keyword_rank, hit->joined, hit->folded);
        sx_json_write_string(to, hit->text, hit->text_length);
        if (hit->why)
            text_member(to, ",\"why\":", hit->why);
        sx_buffer_append_byte(to, '}');
    }
    sx_buffer_append_byte(to, ']');
}

static void write_problems(sx_buffer *to, const sx_problem *problems, size_t count, const char *state, const char *name,
                           bool *any)
{
    for (size_t i = 0; i < count; i++) {
        sx_buffer_printf(to, "%s{\"state\":\"%s\",\"%s\":", *any ? "," : "", state, name);
        sx_json_write_string(to, problems[i].document, strlen(problems[i].document));
        if (problems[i].chunk >= 0)
            sx_buffer_printf(to, ",\"chunk\":%lld", (long long)problems[i].chunk);
        text_member(to, ",\"reason\":", problems[i].reason);
        sx_buffer_append_byte(to, '}');
        *any = true;
    }
}

void sx_report_write_members(sx_buffer *to, const sx_index_report *report, size_t most, const char *name)
{
    bool any = false;
    sx_buffer_printf(to,
                     "\"documents\":{\"total\":%llu,\"added\":%llu,\"changed\":%llu,\"removed\":%llu,\"unchanged\":%llu,"
                     "\"skipped\":%llu,\"failed\":%llu}",
                     (unsigned long long)report->documents.total, (unsigned long long)report->documents.added,
                     (unsigned long long)report->documents.changed, (unsigned long long)report->documents.removed,
                     (unsigned long long)report->documents.unchanged, (unsigned long long)report->documents.skipped,
                     (unsigned long long)report->documents.failed);
    sx_buffer_printf(to,
                     ",\"chunks\":{\"total\":%llu,\"embedded\":%llu,\"cached\":%llu,\"failed\":%llu},\"tokens\":%llu,"
                     "\"truncated\":%llu",
                     (unsigned long long)report->chunks.total, (unsigned long long)report->chunks.embedded,
                     (unsigned long long)report->chunks.cached, (unsigned long long)report->chunks.failed,
                     (unsigned long long)report->tokens, (unsigned long long)report->truncated);
    if (report->windows.total)
        sx_buffer_printf(to, ",\"windows\":{\"total\":%llu,\"embedded\":%llu,\"cached\":%llu,\"tokens\":%llu}",
                         (unsigned long long)report->windows.total, (unsigned long long)report->windows.embedded,
                         (unsigned long long)report->windows.cached, (unsigned long long)report->windows.tokens);
    number_member(to, ",\"seconds\":", report->seconds);
    sx_buffer_append_string(to, ",\"problems\":[");
    write_problems(to, report->failed, report->failed_count < most ? report->failed_count : most, "failed", name, &any);
    write_problems(to, report->skipped, report->skipped_count < most ? report->skipped_count : most, "skipped", name, &any);
    sx_buffer_append_byte(to, ']');
}
