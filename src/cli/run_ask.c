/* run_ask.c - `sextant ask`: an answer from the collection's passages, with its sources. */
#include "money.h"
#include "remote_choice.h"
#include "search_choice.h"

#include "../base/error.h"
#include "../base/json_writer.h"
#include "../base/memory.h"
#include "../server/hits_json.h"

#include <stdlib.h>
#include <string.h>

/* "gpt-4o-mini" is openai's; NULL: none is set. malloc'ed. */
static sx_status find_llm(const sx_cli *cli, char **reference, sx_error *error)
{
    const char *given = sx_cli_text(cli, "llm");
    *reference = NULL;
    if (!given || !*given || sx_cli_flag(cli, "show-prompt"))
        return SX_OK;
    if (sx_models_is_remote(given))
        *reference = sx_strdup(given);
    else if (asprintf(reference, "openai:%s", given) < 0)
        *reference = NULL;
    return *reference ? SX_OK : sx_fail_nomem(error, strlen(given));
}

static void print_piece(const char *text, size_t length, void *user)
{
    (void)user;
    sx_cli_say("%.*s", (int)length, text);
    fflush(stdout);
}

static void print_sources(const sx_answer *answer)
{
    printf("\nSources:\n");
    for (size_t i = 0; i < answer->sources->count; i++) {
        const sx_hit *hit = &answer->sources->hits[i];
        sx_cli_say("[%u] %s:%u", hit->rank, hit->document, hit->start_line);
        for (uint32_t j = 0; j < hit->heading_count; j++)
            sx_cli_say("%s%s", j ? " > " : "  ", hit->headings[j]);
        putchar('\n');
    }
}

static void note_use(sx_cli *cli, const sx_answer *answer)
{
    char cost[96], prompt[32], given[32];
    if (!answer->spent.requests)
        return;
    sx_cli_human_cost(&answer->spent, answer->spent.unpriced_tokens > 0, cost);
    sx_cli_human_count(answer->prompt_tokens, prompt);
    sx_cli_human_count(answer->answer_tokens, given);
    if (answer->prompt_tokens || answer->answer_tokens)
        sx_cli_note(cli, "tokens: %s of the prompt, %s of the answer; %s", prompt, given, cost);
    else
        sx_cli_note(cli, "tokens: the service did not say; about %u of the prompt, counted with %s", answer->context_tokens,
                    answer->counted_by);
}

/* What a reader should know besides the answer. */
static void warn(sx_cli *cli, const sx_answer *answer)
{
    for (const char *line = answer->withheld; line && *line;) {
        size_t length = strcspn(line, "\n");
        sx_cli_warn(cli, "%.*s", (int)length, line);
        line += length + (line[length] == '\n');
    }
    for (size_t i = 0; i < answer->citation_count; i++)
        if (!answer->citations[i].valid)
            sx_cli_warn(cli, "the answer cites [Source %u], and there is no such source", answer->citations[i].source);
}

static void print_answer(sx_cli *cli, const sx_answer *answer, bool sent)
{
    const sx_hits *sources = answer->sources;
    if (!sources->count) {
        sx_cli_say("Nothing in %s answers this%s; no model was asked.\n", sources->collection,
                   answer->withheld ? " that may be sent" : sx_cli_text(cli, "threshold") ? " above the threshold" : "");
        return;
    }
    if (!sent) {
        sx_cli_say("%s\n\n", answer->instructions);
        sx_cli_say("%s\n", answer->prompt);
    } else if (answer->length && answer->text[answer->length - 1] != '\n') {
        putchar('\n');
    }
    print_sources(answer);
    fflush(stdout);
    if (!sent)
        sx_cli_note(cli, sx_cli_flag(cli, "show-prompt") ? "this is the prompt; nothing was sent (%u tokens, counted with %s)"
                                                         : "no chat model is set (--llm, LLM_MODEL): this is the prompt (%u tokens, "
                                                           "counted with %s)",
                    answer->context_tokens, answer->counted_by);
    else
        note_use(cli, answer);
}

static void append_text(sx_buffer *json, const char *key, const char *text, size_t length)
{
    sx_cli_key(json, key);
    if (text)
        sx_json_write_string(json, text, length);
    else
        sx_buffer_append_string(json, "null");
}

static void append_use(sx_buffer *json, const sx_answer *answer)
{
    sx_cli_key(json, "usage");
    sx_buffer_append_byte(json, '{');
    sx_cli_member_integer(json, "prompt_tokens", answer->prompt_tokens);
    sx_cli_member_integer(json, "answer_tokens", answer->answer_tokens);
    sx_cli_member_integer(json, "context_tokens", answer->context_tokens);
    sx_cli_member_text(json, "counted_by", answer->counted_by);
    sx_cli_member_cost(json, "cost_usd", &answer->spent);
    sx_buffer_append_byte(json, '}');
}

static int print_json(sx_cli *cli, const char *question, const sx_answer *answer, bool sent, const sx_error *error)
{
    sx_buffer json = {0};
    sx_buffer_append_byte(&json, '{');
    sx_cli_member_text(&json, "question", question);
    append_text(&json, "answer", answer->text, answer->length);
    if (answer->cut)
        sx_cli_member_boolean(&json, "cut", true);
    sx_cli_key(&json, "citations");
    sx_buffer_append_byte(&json, '[');
    for (size_t i = 0; i < answer->citation_count; i++) {
        sx_buffer_append_string(&json, i ? ",{" : "{");
        sx_cli_member_integer(&json, "source", answer->citations[i].source);
        sx_cli_member_boolean(&json, "valid", answer->citations[i].valid);
        sx_buffer_append_byte(&json, '}');
    }
    sx_buffer_append_byte(&json, ']');
    sx_cli_key(&json, "sources");
    sx_buffer_append_byte(&json, '[');
    for (size_t i = 0; i < answer->sources->count; i++) {
        const sx_hit *hit = &answer->sources->hits[i];
        sx_buffer_append_string(&json, i ? ",{" : "{");
        sx_cli_member_integer(&json, "source", hit->rank);
        sx_hit_write_place(&json, hit);
        append_text(&json, "text", hit->text, hit->text_length);
        sx_buffer_append_byte(&json, '}');
    }
    sx_buffer_append_byte(&json, ']');
    if (answer->withheld)
        append_text(&json, "withheld", answer->withheld, strlen(answer->withheld));
    append_use(&json, answer);
    if (!sent && answer->prompt) {
        append_text(&json, "instructions", answer->instructions, strlen(answer->instructions));
        append_text(&json, "prompt", answer->prompt, strlen(answer->prompt));
    }
    if (error->code) {
        sx_cli_key(&json, "error");
        sx_buffer_append_byte(&json, '{');
        sx_cli_member_text(&json, "code", sx_status_name(error->code));
        sx_cli_member_text(&json, "message", error->message);
        sx_cli_member_text(&json, "hint", error->hint);
        sx_buffer_append_byte(&json, '}');
    }
    sx_buffer_append_byte(&json, '}');
    return sx_cli_print_json(cli, &json);
}

int sx_cli_ask(sx_cli *cli)
{
    sx_error error = {0};
    sx_buffer question = {0};
    sx_cli_searcher searcher = {0};
    sx_answer *answer = NULL;
    char *llm = NULL;
    sx_ask_options options = {.size = sizeof options};
    sx_status status = sx_cli_join_arguments(cli, &question, &error);
    if (!status)
        status = sx_cli_searcher_choose(cli, &searcher, &error);
    if (!status)
        status = find_llm(cli, &llm, &error);
    if (!status && llm)
        status = sx_cli_read_remote(cli, llm, &options.remote, &error);
    if (!status)
        status = sx_cli_read_money(cli, &options.remote, &error);
    if (!status)
        status = sx_cli_searcher_open(&searcher, &error);
    if (!status) {
        options.search = searcher.options;
        options.search.count = (uint32_t)sx_cli_count(cli, "contexts");
        options.llm = llm;
        options.context_tokens = (uint32_t)sx_cli_count(cli, "context-tokens");
        options.piece = cli->json ? NULL : print_piece;
        options.stop = sx_cli_stop_flag();
        status = sx_ask(searcher.database, searcher.embedder, (sx_text){question.data, question.length}, &options, &answer, &error);
    }
    int code = SX_EXIT_DONE;
    if (answer) {
        warn(cli, answer);
        if (cli->json) {
            code = print_json(cli, question.data, answer, llm != NULL, &error);
            cli->json = false; /* the object has the error */
        } else if (!status || answer->cut) {
            print_answer(cli, answer, llm != NULL);
        }
    }
    if (status)
        code = sx_cli_fail(cli, &error);
    sx_answer_free(answer);
    sx_cli_searcher_close(&searcher);
    free(llm);
    sx_buffer_clear(&question);
    return code;
}
