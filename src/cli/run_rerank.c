/* run_rerank.c - `sextant rerank`: a cross-encoder's opinion of texts for one query, best first. */
#include "input_choice.h"

#include "../base/error.h"
#include "../base/json_writer.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH_TEXTS = 64, SHOWN_BYTES = 100 };

/* What is kept of a text: without its words, but for their beginning where a person reads the result. */
typedef struct rerank_entry {
    uint64_t index;
    char *id;      /* as JSON */
    char *shown;
    float score, raw;
    sx_status status;
    char *problem;
} rerank_entry;

typedef struct rerank_run {
    sx_cli *cli;
    sx_text query;
    sx_model *model;
    sx_session *session;
    sx_records *reader;
    rerank_entry *entries;
    size_t count, capacity;
    uint64_t failed, truncated, invalid;
} rerank_run;

static sx_status open_model(rerank_run *run, sx_error *error)
{
    sx_cli *cli = run->cli;
    char *reference = NULL, *folder = NULL;
    sx_status status = sx_cli_model_reference(cli, &reference, error);
    if (!status)
        status = sx_models_resolve(&cli->places, reference, &folder, error);
    if (!status) {
        sx_model_options options = {.size = sizeof options, .max_length = (uint32_t)sx_cli_count(cli, "max-length"),
                                    .hash_folder = cli->cache_folder};
        status = sx_model_open(folder, &options, &run->model, error);
    }
    if (!status) {
        const sx_model_info *info = sx_model_describe(run->model);
        if (!(info->outputs & SX_OUTPUT_SCORES)) {
            status = sx_fail(error, SX_E_UNSUPPORTED, "%s: the model is of the kind \"%s\" and scores no pairs of texts",
                             reference, info->kind);
            sx_hint(error, "give a cross-encoder with -m, for example cross-encoder/ms-marco-MiniLM-L6-v2");
        } else if (info->labels != 1) {
            status = sx_fail(error, SX_E_UNSUPPORTED, "%s: the model gives %u labels a pair; ranking needs one", reference,
                             info->labels);
        }
    }
    if (!status) {
        sx_session_options options = {.size = sizeof options, .threads = (unsigned)sx_cli_count(cli, "threads")};
        status = sx_session_open(run->model, &options, &run->session, error);
    }
    sx_free(folder);
    free(reference);
    return status;
}

static void complain(rerank_run *run, rerank_entry *entry, sx_status status, const char *problem)
{
    entry->status = status;
    entry->problem = sx_strdup(problem ? problem : sx_status_name(status));
    run->failed++;
    sx_cli_complain(run->cli, "item %llu%s%s: %s", (unsigned long long)entry->index, entry->id ? " " : "",
                    entry->id ? entry->id : "", entry->problem ? entry->problem : "failed");
}

/* Makes an entry of an item, taking its id over. */
static sx_status take_item(rerank_run *run, sx_record *item, sx_error *error)
{
    if (!sx_reserve((void **)&run->entries, &run->capacity, run->count + 1, sizeof *run->entries))
        return sx_fail_nomem(error, (run->count + 1) * sizeof *run->entries);
    rerank_entry *entry = &run->entries[run->count];
    *entry = (rerank_entry){.index = run->count, .id = item->id};
    item->id = NULL;
    run->count++;
    if (item->status) {
        complain(run, entry, item->status, item->problem);
        return SX_OK;
    }
    run->invalid += !sx_cli_is_utf8(item->text, item->length);
    if (run->cli->json)
        return SX_OK;
    entry->shown = sx_strndup(item->text, item->length < SHOWN_BYTES ? item->length : SHOWN_BYTES);
    return entry->shown ? SX_OK : sx_fail_nomem(error, SHOWN_BYTES);
}

/* Reads and scores the next texts; *more false at the end. */
static sx_status score_batch(rerank_run *run, bool *more, sx_error *error)
{
    sx_record items[BATCH_TEXTS] = {0};
    sx_text texts[BATCH_TEXTS];
    size_t places[BATCH_TEXTS], count = 0, read = 0;
    float logits[BATCH_TEXTS], scores[BATCH_TEXTS];
    sx_receipt receipts[BATCH_TEXTS];
    sx_status status = SX_OK;
    *more = true;
    while (read < BATCH_TEXTS && !status) {
        status = sx_records_next(run->reader, &items[read], more, error);
        if (status || !*more)
            break;
        if (!items[read].status) {
            places[count] = run->count;
            texts[count++] = (sx_text){items[read].text, items[read].length};
        }
        status = take_item(run, &items[read++], error);
    }
    if (!status && count)
        status = sx_session_score(run->session, run->query, texts, count, NULL, logits, scores, receipts, error);
    for (size_t i = 0; i < count && !status; i++) {
        rerank_entry *entry = &run->entries[places[i]];
        entry->score = scores[i];
        entry->raw = logits[i];
        run->truncated += receipts[i].truncated;
        if (receipts[i].status)
            complain(run, entry, receipts[i].status, receipts[i].message);
    }
    for (size_t i = 0; i < BATCH_TEXTS; i++)
        sx_record_clear(&items[i]);
    return status;
}

/* Best first, failed ones last; equal ones in the order they came. Raw scores order as scores do, without a sigmoid's ties. */
static int compare_entries(const void *a, const void *b)
{
    const rerank_entry *first = a, *second = b;
    if (!first->status != !second->status)
        return first->status ? 1 : -1;
    if (!first->status && first->score != second->score)
        return first->score > second->score ? -1 : 1;
    if (!first->status && first->raw != second->raw)
        return first->raw > second->raw ? -1 : 1;
    return first->index < second->index ? -1 : 1;
}

static void append_identity(sx_buffer *json, const rerank_entry *entry, bool comma)
{
    sx_buffer_append_string(json, comma ? ",{" : "{");
    sx_cli_member_integer(json, "index", entry->index);
    if (entry->id) {
        sx_cli_key(json, "id");
        sx_buffer_append_string(json, entry->id);
    }
}

static int print_json(const rerank_run *run, size_t shown)
{
    sx_buffer json = {.maximum = SIZE_MAX};
    size_t good = run->count - (size_t)run->failed;
    sx_buffer_append_string(&json, "{\"results\":[");
    for (size_t i = 0; i < shown; i++) {
        append_identity(&json, &run->entries[i], i > 0);
        sx_cli_key(&json, "score");
        sx_json_write_float(&json, run->entries[i].score);
        sx_cli_key(&json, "raw_score");
        sx_json_write_float(&json, run->entries[i].raw);
        sx_buffer_append_byte(&json, '}');
    }
    sx_buffer_append_byte(&json, ']');
    if (run->failed) {
        sx_cli_key(&json, "failed");
        sx_buffer_append_byte(&json, '[');
        for (size_t i = good; i < run->count; i++) {
            const rerank_entry *entry = &run->entries[i];
            append_identity(&json, entry, i > good);
            sx_cli_key(&json, "error");
            sx_buffer_append_byte(&json, '{');
            sx_cli_member_text(&json, "code", sx_status_name(entry->status));
            sx_cli_member_text(&json, "message", entry->problem ? entry->problem : "failed");
            sx_buffer_append_string(&json, "}}");
        }
        sx_buffer_append_byte(&json, ']');
    }
    sx_buffer_append_byte(&json, '}');
    return sx_cli_print_json(run->cli, &json);
}

static int print(rerank_run *run)
{
    uint64_t most = sx_cli_count(run->cli, "count");
    size_t shown = run->count - (size_t)run->failed;
    int code = SX_EXIT_DONE;
    if (run->count)
        qsort(run->entries, run->count, sizeof *run->entries, compare_entries);
    if (most && most < shown)
        shown = (size_t)most;
    if (run->cli->json)
        code = print_json(run, shown);
    for (size_t i = 0; i < shown && !run->cli->json; i++)
        sx_cli_say("%3zu  %.4f  %s%s%s\n", i + 1, (double)run->entries[i].score, run->entries[i].id ? run->entries[i].id : "",
                   run->entries[i].id ? "  " : "", run->entries[i].shown);
    return code;
}

static int finish(rerank_run *run)
{
    int code = print(run);
    if (run->truncated)
        sx_cli_warn(run->cli, "%llu of %zu pairs were cut to %u tokens", (unsigned long long)run->truncated, run->count,
                    sx_model_describe(run->model)->max_length);
    if (run->invalid)
        sx_cli_warn(run->cli, "%llu of %zu texts are not UTF-8; what cannot be read counts as U+FFFD",
                    (unsigned long long)run->invalid, run->count);
    return code ? code : run->failed ? SX_EXIT_ITEMS_FAILED : SX_EXIT_DONE;
}

int sx_cli_rerank(sx_cli *cli)
{
    const volatile int *stop = sx_cli_stop_flag();
    rerank_run run = {.cli = cli, .query = {cli->arguments[0], strlen(cli->arguments[0])}};
    sx_records_input input;
    sx_error error = {0};
    sx_cli rest = *cli; /* what follows the query are texts */
    rest.arguments++;
    rest.argument_count--;
    int wrong = sx_cli_input_choose(&rest, "lines", &input);
    if (wrong)
        return wrong;
    sx_status status = sx_records_open(&input, &run.reader, &error);
    if (!status)
        status = open_model(&run, &error);
    for (bool more = true; more && !status;) {
        status = score_batch(&run, &more, &error);
        if (!status && more && *stop)
            status = sx_fail(&error, SX_E_STOPPED, "rerank: interrupted after %zu texts", run.count);
    }
    int code = status ? sx_cli_fail(cli, &error) : finish(&run);
    for (size_t i = 0; i < run.count; i++) {
        free(run.entries[i].id);
        free(run.entries[i].shown);
        free(run.entries[i].problem);
    }
    free(run.entries);
    sx_records_close(run.reader);
    sx_session_close(run.session);
    sx_model_close(run.model);
    return code;
}
