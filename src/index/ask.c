/* ask.c - sx_ask: search, prompt, chat model, citations, and what it cost. */
#include "ask_chat.h"
#include "ask_citations.h"
#include "ask_prompt.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../doc/secret_patterns.h"
#include "../store/ledger.h"

#include <stdlib.h>
#include <string.h>

enum { CONTEXT_TOKENS = 3000 };
static const double default_timeout_s = 600;

void sx_answer_free(sx_answer *answer)
{
    if (!answer)
        return;
    sx_hits_free(answer->sources);
    free(answer->instructions);
    free(answer->prompt);
    free(answer->counted_by);
    free(answer->withheld);
    free(answer->text);
    free(answer->citations);
    free(answer);
}

static sx_status open_target(const sx_ask_options *known, const sx_remote_options *remote, sx_wire_target *target, sx_error *error)
{
    if (!sx_wire_is_remote(known->llm))
        return sx_fail(error, SX_E_INVALID, "ask: %.300s: is no chat model like openai:NAME or openai@URL#NAME", known->llm);
    if (strcspn(known->llm, ":@") != strlen("openai") || strncmp(known->llm, "openai", strlen("openai")) != 0) {
        sx_fail(error, SX_E_UNSUPPORTED, "ask: %.300s: chat models are reached by OpenAI's protocol", known->llm);
        sx_hint(error, "most servers speak it: openai@URL#NAME, for Ollama openai@http://localhost:11434/v1#NAME");
        return SX_E_UNSUPPORTED;
    }
    return sx_wire_target_open(known->llm, remote, target, error);
}

/* A question with a key in it stays here, as texts to be embedded do. */
static sx_status check_question(sx_text question, const char *to, sx_error *error)
{
    sx_secret secret;
    char reason[256];
    if (!sx_secret_find(question.data, question.length, 0, &secret))
        return SX_OK;
    sx_secret_reason(secret.kind, sx_secret_line(question.data, secret.start), to, reason, sizeof reason);
    sx_fail(error, SX_E_DENIED, "question: %s", reason);
    sx_hint(error, "leave the key out, or allow it with --allow-secrets");
    return SX_E_DENIED;
}

static sx_status copy_string(char **to, const char *from, sx_error *error)
{
    *to = sx_strdup(from);
    return *to ? SX_OK : sx_fail_nomem(error, strlen(from));
}

/* What the model was asked and gave; nothing is taken for nothing when prices are not known. */
static sx_status enter_cost(sx_database *database, const sx_clock *clock, const sx_wire_target *target, const char *llm,
                            const sx_chat_reply *reply, sx_answer *answer, sx_error *error)
{
    bool priced = target->price >= 0 && (target->output_price >= 0 || target->price == 0);
    double output = target->output_price >= 0 ? target->output_price : 0;
    uint64_t tokens = reply->prompt_tokens + reply->completion_tokens;
    answer->prompt_tokens = reply->prompt_tokens;
    answer->answer_tokens = reply->completion_tokens;
    answer->spent = (sx_spend){.requests = reply->requests, .tokens = tokens, .unpriced_tokens = priced ? 0 : tokens};
    if (priced)
        answer->spent.usd = ((double)reply->prompt_tokens * target->price + (double)reply->completion_tokens * output) / 1e6;
    if (!reply->requests)
        return SX_OK;
    sx_ledger_job job = {.verb = "ask", .collection = answer->sources->collection, .provider = target->service, .model = llm,
                         .unpriced = !priced};
    return sx_ledger_add(database, &job, &answer->spent, clock->wall_ns(clock->user), error);
}

static sx_status ask_model(sx_database *database, const sx_clock *clock, const sx_ask_options *known, const sx_remote_options *remote,
                           const sx_wire_target *target, sx_answer *answer, sx_error *error)
{
    sx_chat_reply reply = {0};
    double seconds = remote->timeout_s > 0 ? remote->timeout_s : default_timeout_s;
    sx_chat_request request = {
        .target = target,
        .instructions = answer->instructions,
        .prompt = answer->prompt,
        .timeout_ns = (int64_t)(seconds * 1e9),
        .clock = clock,
        .stop = known->stop,
        .piece = known->piece,
        .user = known->user,
    };
    sx_status status = sx_chat_ask(&request, &reply, error);
    sx_status entered = enter_cost(database, clock, target, known->llm, &reply, answer, status ? NULL : error);
    answer->cut = status != SX_OK && reply.begun;
    answer->length = reply.text.length;
    if (reply.begun || !status)
        answer->text = reply.text.data ? sx_buffer_take(&reply.text) : NULL;
    if (answer->text) {
        sx_status cited = sx_ask_citations(answer->text, answer->length, answer->sources->count, &answer->citations,
                                           &answer->citation_count, status ? NULL : error);
        status = status ? status : cited;
    }
    sx_buffer_clear(&reply.text);
    return status ? status : entered;
}

static sx_status read_options(const sx_ask_options *options, sx_ask_options *known, sx_remote_options *remote, sx_error *error)
{
    sx_status status = sx_options_read(options, known, sizeof *known, "sx_ask_options", error);
    *remote = (sx_remote_options){.size = sizeof *remote};
    if (!status && known->remote.size)
        status = sx_options_read(&known->remote, remote, sizeof *remote, "sx_ask_options.remote", error);
    if (!status && !(remote->timeout_s >= 0 && remote->timeout_s < 1e6))
        status = sx_fail(error, SX_E_INVALID, "sx_ask_options: timeout_s is out of range");
    if (!status && !known->context_tokens)
        known->context_tokens = CONTEXT_TOKENS;
    return status;
}

sx_status sx_ask(sx_database *database, sx_embedder *embedder, sx_text question, const sx_ask_options *options, sx_answer **out,
                 sx_error *error)
{
    if (out)
        *out = NULL;
    if (!database || !out || !question.data)
        return sx_fail(error, SX_E_INVALID, "sx_ask: database, question or out is NULL");
    sx_ask_options known;
    sx_remote_options remote;
    sx_wire_target target = {0};
    sx_answer *answer = NULL;
    const sx_clock *clock = embedder ? &embedder->clock : &sx_system_clock;
    sx_status status = read_options(options, &known, &remote, error);
    if (status)
        return status;
    if (known.llm)
        status = open_target(&known, &remote, &target, error);
    if (!status && !remote.allow_secrets && known.llm)
        status = check_question(question, target.service, error);
    if (!status && !(answer = sx_calloc(1, sizeof *answer)))
        status = sx_fail_nomem(error, sizeof *answer);
    if (!status)
        status = sx_search(database, embedder, question, known.search.size ? &known.search : NULL, &answer->sources, error);
    if (!status)
        status = copy_string(&answer->counted_by, sx_ask_counted_by(embedder), error);
    if (!status && !remote.allow_secrets)
        status = sx_ask_withhold(known.llm ? target.service : "a chat model", answer->sources, &answer->withheld, error);
    if (status || !answer->sources->count)
        goto out;
    status = sx_ask_prompt(embedder, question, known.context_tokens, answer->sources, &answer->prompt, &answer->context_tokens, error);
    if (!status)
        status = copy_string(&answer->instructions, sx_ask_instructions, error);
    if (!status && known.llm)
        status = ask_model(database, clock, &known, &remote, &target, answer, error);
out:
    sx_wire_target_close(&target);
    if (status && !(answer && answer->prompt)) {
        sx_answer_free(answer);
        answer = NULL;
    }
    *out = answer;
    return status;
}
