/* run_look.c - `sextant chunk` and `sextant tokenize`: what would be embedded, and as which tokens. */
#include "model_choice.h"
#include "output.h"
#include "input_choice.h"
#include "remote_choice.h"

#include "../base/error.h"
#include "../base/json_writer.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void append_chunk(sx_buffer *json, const sx_chunks *chunks, size_t index)
{
    const sx_chunk *chunk = &chunks->chunks[index];
    sx_buffer_append_string(json, index ? ",\n{" : "{");
    sx_cli_member_integer(json, "index", index);
    sx_cli_member_integer(json, "start", chunk->start);
    sx_cli_member_integer(json, "end", chunk->end);
    sx_cli_member_integer(json, "start_line", chunk->start_line);
    sx_cli_member_integer(json, "end_line", chunk->end_line);
    sx_cli_member_integer(json, "tokens", chunk->tokens);
    sx_cli_key(json, "headings");
    sx_buffer_append_byte(json, '[');
    for (uint32_t i = 0; i < chunk->heading_count; i++) {
        sx_buffer_append_string(json, i ? "," : "");
        sx_json_write_string(json, chunk->headings[i], strlen(chunk->headings[i]));
    }
    sx_buffer_append_byte(json, ']');
    sx_cli_key(json, "symbols");
    sx_buffer_append_byte(json, '[');
    for (uint32_t i = 0; i < chunk->symbol_count; i++) {
        sx_buffer_append_string(json, i ? ",{" : "{");
        sx_cli_member_text(json, "name", chunk->symbols[i].name);
        sx_cli_member_text(json, "kind", chunk->symbols[i].kind);
        sx_cli_member_text(json, "signature", chunk->symbols[i].signature);
        sx_cli_member_integer(json, "line", chunk->symbols[i].line);
        sx_buffer_append_byte(json, '}');
    }
    sx_buffer_append_byte(json, ']');
    sx_cli_member_text(json, "header", chunk->header ? chunk->header : "");
    sx_cli_key(json, "text");
    sx_json_write_string(json, chunks->text + chunk->start, (size_t)(chunk->end - chunk->start));
    sx_buffer_append_byte(json, '}');
}

static int print_chunks(sx_cli *cli, const char *path, const sx_chunks *chunks)
{
    if (cli->json) {
        sx_buffer json = {.maximum = (size_t)8 << 30};
        sx_buffer_append_byte(&json, '{');
        sx_cli_member_text(&json, "document", path);
        sx_cli_member_text(&json, "media_type", chunks->media_type);
        sx_cli_member_text(&json, "encoding", chunks->encoding);
        sx_cli_member_text(&json, "title", chunks->title);
        sx_cli_member_text(&json, "language", chunks->language && *chunks->language ? chunks->language : NULL);
        sx_cli_member_text(&json, "not_parsed", chunks->not_parsed);
        if (chunks->windows.total) {
            sx_cli_member_counts(&json, "windows", (sx_cli_count_of[]){{"total", chunks->windows.total},
                                                                       {"tokens", chunks->windows.tokens},
                                                                       {NULL}});
        }
        sx_cli_key(&json, "chunks");
        sx_buffer_append_byte(&json, '[');
        for (size_t i = 0; i < chunks->count; i++)
            append_chunk(&json, chunks, i);
        sx_buffer_append_string(&json, "]");
        sx_cli_key(&json, "text"); /* what the offsets count in, which no file holds when it was extracted */
        sx_json_write_string(&json, chunks->text, chunks->length);
        sx_buffer_append_byte(&json, '}');
        return sx_cli_print_json(cli, &json);
    }
    for (size_t i = 0; i < chunks->count; i++) {
        const sx_chunk *chunk = &chunks->chunks[i];
        sx_cli_say("%s--- %zu  lines %u-%u  bytes %llu-%llu  %u tokens", i ? "\n" : "", i, chunk->start_line, chunk->end_line,
                   (unsigned long long)chunk->start, (unsigned long long)chunk->end, chunk->tokens);
        for (uint32_t j = 0; j < chunk->heading_count; j++)
            sx_cli_say("%s%s", j ? " > " : "  ", chunk->headings[j]);
        sx_cli_say("\n%.*s\n", (int)(chunk->end - chunk->start), chunks->text + chunk->start);
    }
    if (!cli->quiet)
        sx_cli_note(cli, "%zu chunks, %s, %s%s%s", chunks->count, chunks->media_type, chunks->encoding,
                    chunks->not_parsed ? ", cut by lines: " : "", chunks->not_parsed ? chunks->not_parsed : "");
    if (!cli->quiet && chunks->windows.total)
        sx_cli_note(cli, "%llu windows of sentences were embedded to find where to cut, %llu tokens",
                    (unsigned long long)chunks->windows.total, (unsigned long long)chunks->windows.tokens);
    return SX_EXIT_DONE;
}

int sx_cli_chunk(sx_cli *cli)
{
    sx_error error = {0};
    sx_chunk_options options;
    sx_chunks *chunks = NULL;
    sx_embedder *embedder = NULL;
    char *reference = NULL;
    sx_cli_read_chunk_options(cli, &options);
    options.size = sizeof options;
    options.grammars = cli->grammars_path;
    sx_status status = sx_cli_model_reference(cli, &reference, &error);
    if (!status) {
        sx_embedder_options wanted = {
            .size = sizeof wanted, .model = reference, .places = cli->places, .role = sx_cli_text(cli, "role"), .threads = 1};
        status = sx_cli_read_remote(cli, reference, &wanted.remote, &error);
        bool sends = options.strategy && strcmp(options.strategy, "semantic") == 0;
        if (!sends && wanted.remote.size && !wanted.remote.api_key && reference[strcspn(reference, ":@")] == ':')
            wanted.remote.api_key = "none"; /* a vendor's known model is counted here, and nothing is sent */
        if (!status)
            status = sx_embedder_open(&wanted, &embedder, &error);
    }
    if (!status)
        status = sx_embedder_chunk_file(embedder, cli->arguments[0], &options, &chunks, &error);
    int code = status ? sx_cli_fail(cli, &error) : print_chunks(cli, cli->arguments[0], chunks);
    sx_chunks_free(chunks);
    sx_embedder_close(embedder);
    free(reference);
    return code;
}

/* ---- tokenize ---- */

static void append_tokens(sx_buffer *json, const sx_tokenizer *tokenizer, const sx_encoding *encoding, const char *id)
{
    sx_buffer_append_byte(json, '{');
    if (id) {
        sx_cli_key(json, "id");
        sx_buffer_append_string(json, id);
    }
    sx_cli_key(json, "tokens");
    sx_buffer_append_byte(json, '[');
    for (size_t i = 0; i < encoding->count; i++) {
        sx_text piece = sx_tokenizer_piece(tokenizer, encoding->ids[i]);
        sx_buffer_append_string(json, i ? ",{" : "{");
        sx_cli_member_integer(json, "id", encoding->ids[i]);
        sx_cli_key(json, "text");
        sx_json_write_string(json, piece.data, piece.length);
        sx_cli_member_integer(json, "start", encoding->starts[i]);
        sx_cli_member_integer(json, "end", encoding->ends[i]);
        sx_buffer_append_byte(json, '}');
    }
    sx_buffer_append_byte(json, ']');
    sx_cli_member_integer(json, "count", encoding->count);
    sx_cli_member_boolean(json, "truncated", encoding->dropped > 0);
    if (encoding->dropped)
        sx_cli_member_integer(json, "dropped_tokens", encoding->dropped);
    sx_buffer_append_string(json, "}\n");
}

static void show_tokens(const sx_tokenizer *tokenizer, const sx_encoding *encoding)
{
    for (size_t i = 0; i < encoding->count; i++) {
        sx_text piece = sx_tokenizer_piece(tokenizer, encoding->ids[i]);
        sx_cli_say("%7u  %5u-%-5u  %.*s\n", encoding->ids[i], encoding->starts[i], encoding->ends[i], (int)piece.length,
                   piece.data ? piece.data : "");
    }
    sx_cli_say("%zu tokens%s\n", encoding->count, encoding->dropped ? ", cut" : "");
}

typedef struct tokenize_run {
    sx_cli *cli;
    const sx_tokenizer *tokenizer;
    sx_encoding encoding;
    sx_buffer line;
    uint64_t index, failed;
} tokenize_run;

static sx_status tokenize_item(tokenize_run *run, sx_record *item, sx_error *error)
{
    sx_encode_options options = {.size = sizeof options,
                                 .no_special = sx_cli_flag(run->cli, "no-special"),
                                 .max_length = (uint32_t)sx_cli_count(run->cli, "max-length")};
    sx_error problem = {0};
    if (!item->status) {
        sx_text text = {item->text, item->length};
        item->status = sx_tokenizer_encode(run->tokenizer, text, &options, &run->encoding, &problem);
        if (item->status == SX_E_INVALID || item->status == SX_E_NOMEM) {
            *error = problem;
            return item->status;
        }
        if (item->status)
            item->problem = sx_strdup(problem.message);
    }
    sx_buffer_reset(&run->line);
    if (item->status) {
        run->failed++;
        sx_cli_complain(run->cli, "item %llu: %s", (unsigned long long)run->index, item->problem ? item->problem : "failed");
        sx_buffer_append_byte(&run->line, '{');
        sx_cli_member_integer(&run->line, "index", run->index);
        if (item->id) {
            sx_cli_key(&run->line, "id");
            sx_buffer_append_string(&run->line, item->id);
        }
        sx_cli_key(&run->line, "error");
        sx_buffer_append_byte(&run->line, '{');
        sx_cli_member_text(&run->line, "code", sx_status_name(item->status));
        sx_cli_member_text(&run->line, "message", item->problem ? item->problem : "failed");
        sx_buffer_append_string(&run->line, "}}\n");
    } else {
        append_tokens(&run->line, run->tokenizer, &run->encoding, item->id);
    }
    if (run->line.failed)
        return sx_fail_nomem(error, run->line.length);
    if (run->cli->json)
        fwrite(run->line.data, 1, run->line.length, stdout);
    else if (!item->status)
        show_tokens(run->tokenizer, &run->encoding);
    return ferror(stdout) ? sx_fail(error, SX_E_IO, "standard output: cannot be written") : SX_OK;
}

/* OpenAI's encodings lie in a folder of their own beside the models. */
static sx_status open_ranks(sx_cli *cli, const char *name, sx_tokenizer **out, sx_error *error)
{
    char *path = NULL;
    if (asprintf(&path, "%s/openai-ranks/%s.tiktoken", cli->models_folder, name) < 0)
        return sx_fail_nomem(error, strlen(name));
    sx_status status = sx_tokenizer_open(path, out, error);
    if (status == SX_E_NOT_FOUND)
        sx_hint(error, "scripts/install-openai-ranks of the source tree fetches and checks it");
    free(path);
    return status;
}

/* A .gguf file holds its tokenizer beside the weights: *owner has it then. */
static sx_status open_tokenizer(sx_cli *cli, sx_tokenizer **out, sx_model **owner, sx_error *error)
{
    static const char *const encodings[] = {"cl100k_base", "o200k_base", "p50k_base", "r50k_base"};
    char *reference = NULL, *folder = NULL;
    sx_status status;
    const char *model = sx_cli_text(cli, "model");
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++)
        if (strcmp(model, encodings[i]) == 0)
            return open_ranks(cli, model, out, error);
    status = sx_cli_model_reference(cli, &reference, error);
    if (!status)
        status = sx_models_resolve(&cli->places, reference, &folder, error);
    size_t length = folder ? strlen(folder) : 0;
    if (!status && length > 5 && strcmp(folder + length - 5, ".gguf") == 0)
        status = sx_model_open(folder, NULL, owner, error);
    else if (!status)
        status = sx_tokenizer_open(folder, out, error);
    sx_free(folder);
    free(reference);
    return status;
}

int sx_cli_tokenize(sx_cli *cli)
{
    sx_records_input input;
    int wrong = sx_cli_input_choose(cli, "text", &input);
    if (wrong)
        return wrong;
    tokenize_run run = {.cli = cli, .line = {.maximum = (size_t)4 << 30}};
    sx_error error = {0};
    sx_records *reader = NULL;
    sx_tokenizer *own = NULL;
    sx_model *owner = NULL;
    sx_status status = open_tokenizer(cli, &own, &owner, &error);
    run.tokenizer = owner ? sx_model_tokenizer(owner) : own;
    if (!status)
        status = sx_records_open(&input, &reader, &error);
    for (bool more = !status; more && !status;) {
        sx_record item;
        status = sx_records_next(reader, &item, &more, &error);
        if (!status && more)
            status = tokenize_item(&run, &item, &error);
        sx_record_clear(&item);
        run.index++;
    }
    int code = status ? sx_cli_fail(cli, &error) : run.failed ? SX_EXIT_ITEMS_FAILED : SX_EXIT_DONE;
    sx_records_close(reader);
    sx_encoding_clear(&run.encoding);
    sx_buffer_clear(&run.line);
    sx_tokenizer_close(own);
    sx_model_close(owner);
    return code;
}
