/* run_embed.c - `sextant embed`: texts in, vectors and receipts out, in bounded memory and input order. */
#include "batch.h"
#include "embed_outputs.h"
#include "embed_parts.h"
#include "legs.h"
#include "money.h"
#include "output.h"
#include "input_choice.h"
#include "remote_choice.h"

#include "../base/clock.h"
#include "../base/compressed.h"
#include "../base/error.h"
#include "../base/json_writer.h"
#include "../base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BATCH_TEXTS = 1024,
    REMOTE_TEXTS = 8192, /* enough for many requests at once: all must be back before the next */
    OUTPUTS_TEXTS = 64,
    BATCH_BYTES = 16 * 1024 * 1024,
    NPY_HEADER = 128,
    SHOWN_VALUES = 6
};

typedef enum embed_format { AS_JSON, AS_JSONL, AS_NPY, AS_BIN, AS_BASE64, AS_CHUNKS, AS_TABLE } embed_format;
static const char *const format_names[] = {"json", "jsonl", "npy", "bin", "base64", "chunks"};

typedef struct embed_run {
    sx_cli *cli;
    embed_format format;
    bool one_a_line; /* chunks of a jsonl input */
    sx_records *reader;
    sx_database *database;
    sx_embedder *embedder;
    const sx_embedder_info *info;
    unsigned outputs;     /* SX_OUTPUT_* */
    sx_session *session;  /* where more than vectors are wanted: these pass by the cache */
    uint32_t multi_width;
    sx_cli_output output, side;
    const char *side_path;
    sx_cli_parts *parts; /* chunks into a file: they gather part by part */
    sx_buffer line;
    size_t room;        /* texts in hand at once: BATCH_TEXTS, or enough for many requests at once */
    sx_record *items; /* REMOTE_TEXTS, as texts and receipts */
    sx_text *texts;
    sx_receipt *receipts;
    float *vectors;
    size_t count; /* items of the batch in hand */
    uint64_t index, rows, failed, tokens, cached, truncated, invalid, held;
    int64_t started_ns;
} embed_run;

static bool ends_in(const char *path, const char *suffix)
{
    size_t length = sx_compression_stem(path), tail = strlen(suffix);
    return length > tail && strncmp(path + length - tail, suffix, tail) == 0;
}

static embed_format decide_format(const sx_cli *cli)
{
    const char *asked = sx_cli_text(cli, "format"), *path = sx_cli_text(cli, "output");
    for (size_t i = 0; asked && i < sizeof format_names / sizeof *format_names; i++)
        if (strcmp(asked, format_names[i]) == 0)
            return (embed_format)i;
    if (cli->json)
        return AS_JSON;
    if (path && strcmp(path, "-") != 0)
        return ends_in(path, ".npy") ? AS_NPY : ends_in(path, ".jsonl") ? AS_JSONL : ends_in(path, ".bin") ? AS_BIN : AS_JSON;
    return isatty(STDOUT_FILENO) ? AS_TABLE : AS_JSON;
}

static bool is_rows(const embed_run *run)
{
    return run->format == AS_NPY || run->format == AS_BIN;
}

/* What stands before and behind the items. Side files of npy and bin have the same shape as json, without vectors. */
static void append_head(embed_run *run, sx_buffer *line)
{
    sx_buffer_append_byte(line, '{');
    sx_cli_member_text(line, "model", sx_cli_text(run->cli, "model"));
    sx_cli_member_text(line, "space", run->info->space);
    sx_cli_member_text(line, "recipe", run->info->recipe);
    sx_cli_member_integer(line, "dimensions", run->info->dimensions);
    sx_cli_key(line, "data");
    sx_buffer_append_byte(line, '[');
}

static void append_tail(embed_run *run, sx_buffer *line, bool rows)
{
    sx_buffer_append_string(line, "]");
    if (rows) {
        sx_cli_member_integer(line, "rows", run->rows);
        sx_cli_member_integer(line, "failed", run->failed);
    }
    sx_cache_use use = {0};
    sx_embedder_cache_use(run->embedder, &use, NULL);
    sx_cli_key(line, "usage");
    sx_buffer_append_byte(line, '{');
    sx_cli_member_integer(line, "tokens", run->tokens);
    sx_cli_member_integer(line, "cached", run->cached);
    if (sx_cli_text(run->cli, "shared-cache"))
        sx_cli_member_cache_use(line, &use);
    sx_spend spent;
    if (strcmp(run->info->provider, "local") != 0 && !sx_embedder_spent(run->embedder, &spent, NULL))
        sx_cli_member_cost(line, "cost_usd", &spent);
    sx_cli_member_legs(line, run->embedder);
    sx_buffer_append_string(line, "}}\n");
}

static sx_status flush_line(embed_run *run, sx_cli_output *output, sx_error *error)
{
    if (run->line.failed)
        return sx_fail_nomem(error, run->line.length);
    sx_status status = sx_cli_output_write(output, run->line.data ? run->line.data : "", run->line.length, error);
    sx_buffer_reset(&run->line);
    return status;
}

/* Format 1.0 of NumPy's .npy: magic, version, length of the header, a Python literal padded to a multiple of 64. */
static void make_npy_header(char header[NPY_HEADER], uint64_t rows, uint32_t dimensions)
{
    memset(header, ' ', NPY_HEADER);
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)((NPY_HEADER - 10) & 0xff);
    header[9] = (char)((NPY_HEADER - 10) >> 8);
    int length = snprintf(header + 10, NPY_HEADER - 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (%llu, %u), }",
                          (unsigned long long)rows, dimensions);
    header[10 + length] = ' ';
    header[NPY_HEADER - 1] = '\n';
}

static void append_receipt(sx_buffer *line, const sx_receipt *receipt)
{
    sx_cli_member_integer(line, "tokens", receipt->tokens);
    sx_cli_member_boolean(line, "truncated", receipt->truncated);
    sx_cli_member_integer(line, "dropped_tokens", receipt->dropped_tokens);
    sx_cli_member_boolean(line, "cached", receipt->cached);
    if (receipt->empty)
        sx_cli_member_boolean(line, "empty", true);
    if (receipt->retries)
        sx_cli_member_integer(line, "retries", receipt->retries);
}

static void append_problem(sx_buffer *line, const sx_record *item)
{
    sx_cli_key(line, "error");
    sx_buffer_append_byte(line, '{');
    sx_cli_member_text(line, "code", sx_status_name(item->status));
    sx_cli_member_text(line, "message", item->problem ? item->problem : "failed");
    sx_buffer_append_byte(line, '}');
}

static void append_identity(sx_buffer *line, uint64_t index, const sx_record *item)
{
    sx_buffer_append_byte(line, '{');
    sx_cli_member_integer(line, "index", index);
    if (item->id) {
        sx_cli_key(line, "id");
        sx_buffer_append_string(line, item->id);
    }
}

/* One item in a textual format. */
static sx_status write_item(embed_run *run, uint64_t index, const sx_record *item, const sx_receipt *receipt,
                            const float *vector, const sx_text_outputs *outputs, sx_error *error)
{
    sx_buffer *line = &run->line;
    bool lines = run->format == AS_JSONL || run->one_a_line;
    if (!lines && index)
        sx_buffer_append_string(line, ",\n");
    if (run->format == AS_CHUNKS) {
        sx_buffer_append_byte(line, '{');
        if (item->members) {
            sx_buffer_append_string(line, item->members);
        } else {
            sx_cli_key(line, "text");
            sx_json_write_string(line, item->text, item->text ? item->length : 0);
        }
    } else {
        append_identity(line, index, item);
        if (!item->status)
            append_receipt(line, receipt);
    }
    if (item->status) {
        append_problem(line, item);
    } else if (run->outputs & SX_OUTPUT_DENSE) {
        sx_cli_key(line, "embedding");
        if (run->format == AS_BASE64)
            sx_json_write_base64(line, vector, run->info->dimensions * sizeof *vector);
        else
            sx_json_write_floats(line, vector, run->info->dimensions);
    }
    if (!item->status && outputs)
        sx_cli_write_outputs(line, run->outputs, outputs, run->multi_width);
    sx_buffer_append_string(line, lines ? "}\n" : "}");
    return flush_line(run, &run->output, error);
}

/* One item of npy or bin: its row, and its receipt in the side file. */
static sx_status write_row(embed_run *run, uint64_t index, const sx_record *item, const sx_receipt *receipt,
                           const float *vector, sx_error *error)
{
    sx_buffer *line = &run->line;
    sx_status status = SX_OK;
    if (!item->status)
        status = sx_cli_output_write(&run->output, vector, run->info->dimensions * sizeof *vector, error);
    if (status || !run->side.file)
        return status;
    if (index)
        sx_buffer_append_string(line, ",\n");
    append_identity(line, index, item);
    if (item->status) {
        append_problem(line, item);
    } else {
        sx_cli_member_integer(line, "row", run->rows);
        append_receipt(line, receipt);
    }
    sx_buffer_append_byte(line, '}');
    return flush_line(run, &run->side, error);
}

static void show_item(embed_run *run, uint64_t index, const sx_record *item, const sx_receipt *receipt, const float *vector)
{
    if (item->status)
        return;
    size_t shown = run->info->dimensions < SHOWN_VALUES ? run->info->dimensions : SHOWN_VALUES;
    sx_cli_say("%3llu  %.*s%s\n     %u tokens%s%s, %u dimensions: [", (unsigned long long)index,
               (int)(item->length > 60 ? 60 : item->length), item->text, item->length > 60 ? "..." : "", receipt->tokens,
               receipt->truncated ? ", cut" : "", receipt->cached ? ", cached" : "", run->info->dimensions);
    for (size_t i = 0; i < shown; i++)
        sx_cli_say("%s%.5f", i ? ", " : "", (double)vector[i]);
    sx_cli_say("%s]\n", shown < run->info->dimensions ? ", ..." : "");
}

static sx_status write_batch(embed_run *run, sx_error *error)
{
    sx_status status = SX_OK;
    size_t embedded = 0, output_count;
    const sx_text_outputs *outputs = sx_session_outputs(run->session, &output_count);
    for (size_t i = 0; i < run->count && !status; i++, run->index++) {
        sx_record *item = &run->items[i];
        const sx_receipt *receipt = NULL;
        const float *vector = NULL;
        const sx_text_outputs *beside = NULL;
        if (!item->status) {
            receipt = &run->receipts[embedded];
            vector = run->vectors + embedded * run->info->dimensions;
            beside = embedded < output_count ? &outputs[embedded] : NULL;
            embedded++;
            if (receipt->status) {
                item->status = receipt->status;
                item->problem = sx_strdup(receipt->message ? receipt->message : sx_status_name(receipt->status));
            }
        }
        if (item->status) {
            run->failed++;
            sx_cli_complain(run->cli, "item %llu%s%s: %s", (unsigned long long)run->index, item->id ? " " : "",
                            item->id ? item->id : "", item->problem ? item->problem : "failed");
            run->held += item->problem && strncmp(item->problem, "held back: ", 11) == 0;
        } else {
            run->tokens += receipt->tokens;
            run->cached += receipt->cached;
            run->truncated += receipt->truncated;
        }
        if (run->format == AS_TABLE)
            show_item(run, run->index, item, receipt, vector);
        else if (is_rows(run))
            status = write_row(run, run->index, item, receipt, vector, error);
        else
            status = write_item(run, run->parts ? i : run->index, item, receipt, vector, beside, error);
        run->rows += !item->status;
    }
    return status;
}

static sx_status read_batch(embed_run *run, bool *more, sx_error *error)
{
    sx_status status = SX_OK;
    size_t bytes = 0, most = run->session ? OUTPUTS_TEXTS : run->room;
    *more = true;
    for (run->count = 0; run->count < most && bytes < BATCH_BYTES; run->count++) {
        status = sx_records_next(run->reader, &run->items[run->count], more, error);
        if (status || !*more)
            break;
        bytes += run->items[run->count].length;
    }
    return status;
}

static void clear_batch(embed_run *run)
{
    for (size_t i = 0; i < run->room; i++)
        sx_record_clear(&run->items[i]);
    run->count = 0;
}

static void report(embed_run *run)
{
    double seconds = (double)(sx_system_clock.monotonic_ns(NULL) - run->started_ns) / 1e9;
    sx_progress progress = {.phase = "embedding",
                            .unit = "texts",
                            .done = run->index,
                            .tokens = run->tokens,
                            .seconds = seconds,
                            .rate = seconds > 0 ? (double)run->index / seconds : 0,
                            .seconds_left = -1};
    sx_cli_report_progress(&progress, run->cli);
}

static sx_status embed_texts(embed_run *run, size_t count, sx_error *error)
{
    if (!run->session)
        return sx_embedder_embed(run->embedder, run->texts, count, run->vectors, run->receipts, sx_cli_stop_flag(), error);
    sx_embed_options options = {.size = sizeof options, .prompt = run->info->prompt, .strict = sx_cli_flag(run->cli, "strict"),
                                .outputs = run->outputs};
    return sx_session_embed(run->session, run->texts, count, &options, run->vectors, run->receipts, error);
}

/* The texts of the batch in hand, those that can be embedded. */
static size_t gather_texts(embed_run *run)
{
    size_t wanted = 0;
    for (size_t i = 0; i < run->count; i++)
        if (!run->items[i].status)
            run->texts[wanted++] = (sx_text){run->items[i].text, run->items[i].length};
    return wanted;
}

/* The budget has ended: reads the rest of the input to say what is left. */
static sx_status count_left(embed_run *run, size_t wanted, bool more, sx_error *error)
{
    sx_spend left = {0}, spent = {0};
    sx_status status = sx_embedder_estimate(run->embedder, run->texts, wanted, &left, error);
    while (!status && more) {
        clear_batch(run);
        status = read_batch(run, &more, error);
        if (!status)
            status = sx_embedder_estimate(run->embedder, run->texts, gather_texts(run), &left, error);
    }
    if (!status)
        status = sx_embedder_spent(run->embedder, &spent, error);
    if (status)
        return status;
    sx_fail(error, SX_E_LIMIT,
            "embed: the budget of $%s ends here: $%.6f is spent; %llu texts (%llu tokens, about $%.6f) are left",
            sx_cli_text(run->cli, "budget"), spent.usd, (unsigned long long)left.texts, (unsigned long long)left.tokens, left.usd);
    if (run->database)
        sx_hint(error, "what was embedded is in the cache; the same command with another budget goes on from there");
    return SX_E_LIMIT;
}

/* *there: an earlier run has done the batch in hand. */
static sx_status begin_part(embed_run *run, bool *there, sx_error *error)
{
    sx_cli_part_counts counts;
    *there = false;
    if (!run->parts || !run->count)
        return SX_OK;
    sx_status status = sx_cli_parts_next(run->parts, run->items, run->count, there, &counts, &run->output, error);
    if (status || !*there)
        return status;
    run->index += counts.items;
    run->rows += counts.rows;
    run->cached += counts.rows;
    run->tokens += counts.tokens;
    run->truncated += counts.truncated;
    run->invalid += counts.invalid;
    return SX_OK;
}

/* before: as the counts were before the batch. */
static sx_status end_part(embed_run *run, const sx_cli_part_counts *before, sx_error *error)
{
    if (!run->parts || !run->count)
        return SX_OK;
    sx_cli_part_counts counts = {run->index - before->items,   run->rows - before->rows,
                                 run->failed - before->failed, run->tokens - before->tokens,
                                 run->truncated - before->truncated, run->invalid - before->invalid};
    return sx_cli_parts_keep(run->parts, &counts, &run->output, error);
}

static sx_status embed_all(embed_run *run, sx_error *error)
{
    const volatile int *stop = sx_cli_stop_flag();
    sx_status status = SX_OK;
    for (bool more = true; more && !status;) {
        sx_cli_part_counts before = {run->index, run->rows, run->failed, run->tokens, run->truncated, run->invalid};
        bool there = false;
        status = read_batch(run, &more, error);
        if (!status)
            status = begin_part(run, &there, error);
        if (there) {
            clear_batch(run);
            continue;
        }
        if (!status && sx_cli_flag(run->cli, "batch-api"))
            status = sx_cli_batch_mark(run->embedder, run->items, run->count, error);
        size_t wanted = gather_texts(run);
        for (size_t i = 0; i < wanted; i++)
            run->invalid += !sx_cli_is_utf8(run->texts[i].data, run->texts[i].length);
        if (!status && wanted)
            status = embed_texts(run, wanted, error);
        if (status == SX_E_LIMIT && sx_cli_text(run->cli, "budget"))
            status = count_left(run, wanted, more, error);
        if (!status)
            status = write_batch(run, error);
        if (!status)
            status = end_part(run, &before, error);
        clear_batch(run);
        if (!status && more && *stop)
            status = sx_fail(error, SX_E_STOPPED, "embed: interrupted after %llu texts", (unsigned long long)run->index);
        if (!status && more)
            report(run);
    }
    sx_cli_end_progress(run->cli);
    return status;
}

static sx_status open_outputs(embed_run *run, sx_error *error)
{
    const char *path = sx_cli_text(run->cli, "output");
    bool lines = run->format == AS_JSONL || run->one_a_line;
    struct stat kind;
    if (run->format == AS_CHUNKS && path && strcmp(path, "-") != 0 && (stat(path, &kind) != 0 || S_ISREG(kind.st_mode)))
        return sx_cli_parts_open(path, run->info->recipe, &run->parts, error);
    sx_status status = sx_cli_output_open(&run->output, path, !lines, error);
    if (status)
        return status;
    if (is_rows(run)) {
        char header[NPY_HEADER];
        make_npy_header(header, 0, run->info->dimensions);
        if (run->format == AS_NPY)
            status = sx_cli_output_write(&run->output, header, sizeof header, error);
        if (!status && run->side_path)
            status = sx_cli_output_open(&run->side, run->side_path, true, error);
        if (!status && run->side.file)
            append_head(run, &run->line);
        return status || !run->side.file ? status : flush_line(run, &run->side, error);
    }
    if (run->format == AS_JSON || run->format == AS_BASE64)
        append_head(run, &run->line);
    else if (run->format == AS_CHUNKS && !run->one_a_line)
        sx_buffer_append_byte(&run->line, '[');
    return flush_line(run, &run->output, error);
}

static sx_status close_outputs(embed_run *run, sx_error *error)
{
    sx_status status = SX_OK;
    if (run->parts) {
        status = sx_cli_output_open(&run->output, sx_cli_text(run->cli, "output"), true, error);
        if (!status)
            status = sx_cli_parts_join(run->parts, run->one_a_line, &run->output, error);
        if (!status)
            status = sx_cli_output_commit(&run->output, error);
        if (!status)
            sx_cli_parts_remove(run->parts);
        return status;
    }
    if (is_rows(run)) {
        if (run->failed && !sx_cli_flag(run->cli, "partial")) {
            status = sx_fail(error, SX_E_FORMAT, "%s: not written, since %llu of %llu texts failed",
                             run->output.path ? run->output.path : "standard output", (unsigned long long)run->failed,
                             (unsigned long long)run->index);
            sx_hint(error, "--partial leaves their rows out and names them in the side file; --format jsonl keeps them in place");
            return status;
        }
        char header[NPY_HEADER];
        make_npy_header(header, run->rows, run->info->dimensions);
        if (run->format == AS_NPY)
            status = sx_cli_output_patch(&run->output, header, sizeof header, error);
        if (!status && run->side.file) {
            append_tail(run, &run->line, true);
            status = flush_line(run, &run->side, error);
        }
        if (!status && run->side.file)
            status = sx_cli_output_commit(&run->side, error);
        return status ? status : sx_cli_output_commit(&run->output, error);
    }
    if (run->format == AS_JSON || run->format == AS_BASE64)
        append_tail(run, &run->line, false);
    else if (run->format == AS_CHUNKS && !run->one_a_line)
        sx_buffer_append_string(&run->line, "]\n");
    status = flush_line(run, &run->output, error);
    return status ? status : sx_cli_output_commit(&run->output, error);
}

/* The cache saves work and nothing else: where nobody named a database and the usual place cannot be had, embedding goes on
 * without it. A database that is damaged or of another version is an error all the same. */
static sx_status open_cache(embed_run *run, sx_error *error)
{
    sx_cli *cli = run->cli;
    sx_status status = sx_cli_open_database(cli, cli->cache_path, true, &run->database, error);
    bool no_place = status == SX_E_READ_ONLY || status == SX_E_NOT_FOUND || status == SX_E_IO;
    if (!no_place || sx_cli_text(cli, "db"))
        return status;
    sx_cli_warn(cli, "embedding without a cache: %s", error->message);
    return SX_OK;
}

/* Sparse weights and multi-vectors come from the engine itself: the cache holds vectors only. */
static sx_status open_session(embed_run *run, const char *reference, sx_error *error)
{
    const sx_model *model = sx_embedder_model(run->embedder);
    if (!model)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: --outputs other than dense needs a local model", reference);
    sx_session_options options = {.size = sizeof options, .threads = (unsigned)sx_cli_count(run->cli, "threads")};
    run->multi_width = sx_model_describe(model)->multi_dimensions;
    return sx_session_open(model, &options, &run->session, error);
}

static sx_status open_embedder(embed_run *run, sx_error *error)
{
    sx_cli *cli = run->cli;
    char *reference = NULL;
    sx_status status = sx_cli_model_reference(cli, &reference, error);
    if (!status && sx_cli_flag(cli, "no-cache") && sx_cli_get(cli, "shared-cache")->given)
        status = sx_fail(error, SX_E_INVALID, "--shared-cache: goes with the cache, which --no-cache leaves out");
    if (!status && run->outputs == SX_OUTPUT_DENSE && !sx_cli_flag(cli, "no-cache"))
        status = open_cache(run, error);
    if (!status) {
        sx_embedder_options options = {
            .size = sizeof options,
            .model = reference,
            .places = cli->places,
            .pooling = sx_cli_text(cli, "pooling"),
            .max_length = (uint32_t)sx_cli_count(cli, "max-length"),
            .dimensions = (uint32_t)sx_cli_count(cli, "dimensions"),
            .no_normalize = sx_cli_flag(cli, "no-normalize"),
            .prompt = sx_cli_text(cli, "prompt"),
            .role = sx_cli_text(cli, "role"),
            .strict = sx_cli_flag(cli, "strict"),
            .threads = (unsigned)sx_cli_count(cli, "threads"),
            .batch_size = (uint32_t)sx_cli_count(cli, "batch-size"),
            .cache = run->database,
            .shared_cache = run->database ? sx_cli_text(cli, "shared-cache") : NULL,
            .shared_cache_ttl_s = sx_cli_count(cli, "shared-cache-ttl"),
            .precision = sx_cli_text(cli, "precision"),
            .storage = sx_cli_text(cli, "storage"),
        };
        status = sx_cli_read_remote(cli, reference, &options.remote, error);
        if (!status)
            status = sx_cli_read_money(cli, &options.remote, error);
        if (!status)
            status = sx_cli_read_fallback(cli, &options, error);
        if (!status)
            status = sx_embedder_open(&options, &run->embedder, error);
    }
    if (!status) {
        run->info = sx_embedder_describe(run->embedder);
        run->room = sx_models_is_remote(reference) ? REMOTE_TEXTS : BATCH_TEXTS;
        run->vectors = sx_calloc(run->room, run->info->dimensions * sizeof(float));
        if (!run->vectors)
            status = sx_fail_nomem(error, run->room * run->info->dimensions * sizeof(float));
    }
    if (!status && run->outputs != SX_OUTPUT_DENSE)
        status = open_session(run, reference, error);
    free(reference);
    return status;
}

static int summarise(embed_run *run)
{
    if (run->truncated)
        sx_cli_warn(run->cli, "%llu of %llu texts were cut to %u tokens; their receipts say how much (--strict refuses them)",
                    (unsigned long long)run->truncated, (unsigned long long)run->index, run->info->max_length);
    if (run->held)
        sx_cli_note(run->cli, "what was held back was sent nowhere; --allow-secrets sends it");
    if (run->invalid)
        sx_cli_warn(run->cli, "%llu of %llu texts are not UTF-8; what cannot be read counts as U+FFFD",
                    (unsigned long long)run->invalid, (unsigned long long)run->index);
    if (sx_cli_text(run->cli, "output") && !run->cli->json)
        sx_cli_note(run->cli, "%llu vectors of %u dimensions, %llu from the cache, %llu failed", (unsigned long long)run->rows,
                    run->info->dimensions, (unsigned long long)run->cached, (unsigned long long)run->failed);
    if (sx_cli_text(run->cli, "shared-cache")) {
        sx_cache_use use = {0};
        sx_embedder_cache_use(run->embedder, &use, NULL);
        sx_cli_note_cache_use(run->cli, &use);
    }
    sx_cli_note_legs(run->cli, run->embedder);
    return run->failed ? SX_EXIT_ITEMS_FAILED : SX_EXIT_DONE;
}

int sx_cli_embed(sx_cli *cli)
{
    const char *target = sx_cli_text(cli, "output");
    embed_run run = {.cli = cli,
                     .format = decide_format(cli),
                     .line = {.maximum = (size_t)4 << 30},
                     .started_ns = sx_system_clock.monotonic_ns(NULL)};
    char *side_path = NULL;
    sx_records_input input;
    int wrong = sx_cli_input_choose(cli, "lines", &input);
    if (wrong)
        return wrong;
    if ((wrong = sx_cli_batch_check_input(cli, &input)))
        return wrong;
    if (sx_cli_text(cli, "prompt") && sx_cli_get(cli, "role")->given)
        return sx_cli_usage(cli, NULL, "embed: --role and --prompt exclude each other");
    if ((wrong = sx_cli_read_outputs(cli, &run.outputs)))
        return wrong;
    if (run.outputs != SX_OUTPUT_DENSE && run.format == AS_TABLE)
        run.format = AS_JSON;
    if (run.outputs != SX_OUTPUT_DENSE && run.format != AS_JSON && run.format != AS_JSONL)
        return sx_cli_usage(cli, NULL, "embed: --outputs other than dense goes with --format json and jsonl only");
    sx_error error = {0};
    sx_status status = SX_OK;
    if (is_rows(&run) && target && strcmp(target, "-") != 0) {
        if (asprintf(&side_path, "%s.json", target) < 0)
            side_path = NULL;
        run.side_path = side_path;
        if (!side_path)
            status = sx_fail_nomem(&error, strlen(target));
    }
    run.items = sx_calloc(REMOTE_TEXTS, sizeof *run.items);
    run.texts = sx_calloc(REMOTE_TEXTS, sizeof *run.texts);
    run.receipts = sx_calloc(REMOTE_TEXTS, sizeof *run.receipts);
    if (!status && (!run.items || !run.texts || !run.receipts))
        status = sx_fail_nomem(&error, REMOTE_TEXTS * sizeof *run.items);
    if (!status)
        status = sx_records_open(&input, &run.reader, &error);
    if (!status) {
        run.one_a_line = run.format == AS_CHUNKS && strcmp(sx_records_format(run.reader), "json") != 0;
        status = open_embedder(&run, &error);
    }
    if (!status && sx_cli_flag(cli, "batch-api"))
        status = sx_cli_batch_embed(cli, &input, run.embedder, &error);
    if (!status && run.format != AS_TABLE)
        status = open_outputs(&run, &error);
    if (!status)
        status = embed_all(&run, &error);
    if (!status && run.format != AS_TABLE)
        status = close_outputs(&run, &error);
    if (status == SX_E_STOPPED && run.database && !error.hint[0])
        sx_hint(&error, "what was embedded is in the cache; the same command goes on from there");
    int code = status ? sx_cli_limit_code(cli, status, sx_cli_fail(cli, &error)) : summarise(&run);
    sx_cli_output_abandon(&run.output);
    sx_cli_output_abandon(&run.side);
    sx_cli_parts_close(run.parts);
    sx_session_close(run.session);
    sx_embedder_close(run.embedder);
    sx_database_close(run.database);
    sx_records_close(run.reader);
    if (run.items)
        clear_batch(&run);
    free(run.items);
    free(run.texts);
    free(run.receipts);
    free(run.vectors);
    sx_buffer_clear(&run.line);
    free(side_path);
    return code;
}
