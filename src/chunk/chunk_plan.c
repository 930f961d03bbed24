/* chunk_plan.c - options checked and completed, and every number of the chunker that one may want to tune.
 *
 * The classic forms are those of the common splitters: 512 tokens with 50 repeated, 1000 characters with 200 repeated,
 * five sentences with one repeated, three paragraphs. Chunks by headings are kept short, since encoders of 256 or 512
 * positions were trained on texts of that length and a vector of several subjects is near none of them. */
#include "chunk_internal.h"

#include "../base/error.h"
#include "../base/options.h"

#include <string.h>

const uint32_t sx_chunker_version = 5;

const sx_chunk_tuning sx_chunk_tuned = {
    .small_section_percent = 33,
    .merged_section_percent = 100,
    .least_fill_percent = 40,
    .balance_slack_percent = 12,
    .balance_pieces = 6,
    .header_headings = 1,
    .header_share = 3,
    .own_code_percent = 20,
    .tiny_code_percent = 6,
    .drift_percentile = 80,
    .bytes_per_token = 64,
};

/* The form of the seed that embeds code bases: file type, language, kind and name. */
static const char header_tags[] = "[{LANGUAGE}] [{LANGUAGE}] {Kind}: {name}";

typedef enum unit_rule { ANY_UNIT, ONLY_TOKENS, ONLY_CHARS, NO_UNIT } unit_rule;

/* Defaults in tokens, for when a counter is there, and in code points, for when none is; counted strategies use `chars`. */
typedef struct strategy_entry {
    const char *name;
    sx_chunk_method method;
    unit_rule unit;
    struct { uint32_t size, overlap; } tokens, chars;
} strategy_entry;

static const strategy_entry strategies[] = {
    {"recursive", SX_CHUNK_RECURSIVE, ANY_UNIT, {256, 50}, {1000, 200}},
    {"tokens", SX_CHUNK_TOKENS, ONLY_TOKENS, {512, 50}, {0, 0}},
    {"chars", SX_CHUNK_CHARS, ONLY_CHARS, {0, 0}, {1000, 200}},
    {"sentences", SX_CHUNK_SENTENCES, NO_UNIT, {0, 0}, {5, 1}},
    {"paragraphs", SX_CHUNK_PARAGRAPHS, NO_UNIT, {0, 0}, {3, 0}},
    {"markdown", SX_CHUNK_SECTIONS, ANY_UNIT, {256, 32}, {1000, 100}},
    {"rst", SX_CHUNK_SECTIONS, ANY_UNIT, {256, 32}, {1000, 100}},
    {"html", SX_CHUNK_SECTIONS, ANY_UNIT, {256, 32}, {1000, 100}},
    {"code", SX_CHUNK_CODE, ANY_UNIT, {256, 0}, {1000, 0}},
    {"semantic", SX_CHUNK_SEMANTIC, ANY_UNIT, {256, 0}, {1000, 0}},
};

/* Markdown and reStructuredText are cut recursively too: chunks filled over several short sections are found more often than
 * one chunk for each, as docs/quality.md shows. */
static const struct {
    const char *media_type, *strategy;
} automatic[] = {
    {"text/html", "html"},
};

static const strategy_entry *find_strategy(const char *name)
{
    for (size_t i = 0; i < sizeof strategies / sizeof *strategies; i++)
        if (strcmp(strategies[i].name, name) == 0)
            return &strategies[i];
    return NULL;
}

bool sx_chunk_method_of(const char *strategy, sx_chunk_method *method)
{
    const strategy_entry *entry = find_strategy(strategy);
    if (entry)
        *method = entry->method;
    return entry != NULL;
}

static const char *strategy_for(const char *media_type)
{
    for (size_t i = 0; media_type && i < sizeof automatic / sizeof *automatic; i++)
        if (strcmp(automatic[i].media_type, media_type) == 0)
            return automatic[i].strategy;
    return "recursive";
}

/* tokens or code points, from the asked unit, what the strategy can do, and whether anybody can count tokens. */
static sx_status choose_unit(const strategy_entry *entry, const char *unit, const sx_token_counter *counter, bool *in_tokens,
                             sx_error *error)
{
    bool tokens_asked = unit && strcmp(unit, "tokens") == 0;
    if (unit && !tokens_asked && strcmp(unit, "chars") != 0) {
        sx_fail(error, SX_E_INVALID, "chunk unit \"%.40s\": not known", unit);
        sx_hint(error, "units are tokens and chars");
        return SX_E_INVALID;
    }
    if (unit && (entry->unit == NO_UNIT || (entry->unit == ONLY_CHARS && tokens_asked) ||
                 (entry->unit == ONLY_TOKENS && !tokens_asked))) {
        sx_fail(error, SX_E_INVALID, "chunk unit \"%.40s\": strategy %s counts %s", unit, entry->name,
                entry->unit == ONLY_CHARS ? "chars" : entry->name);
        sx_hint(error, "leave the unit out, or take strategy recursive");
        return SX_E_INVALID;
    }
    *in_tokens = tokens_asked || entry->unit == ONLY_TOKENS || (entry->unit == ANY_UNIT && !unit && counter);
    if (*in_tokens && !counter) {
        sx_fail(error, SX_E_INVALID, "chunk size in tokens: there is no model to count them");
        sx_hint(error, "name a model, or use unit chars");
        return SX_E_INVALID;
    }
    return SX_OK;
}

/* What the model puts around each text must leave room for some of it. */
static sx_status check_room(const sx_token_counter *counter, uint32_t budget, const char *what, sx_error *error)
{
    uint64_t taken = (uint64_t)counter->special + counter->prompt;
    if (budget > taken)
        return SX_OK;
    sx_fail(error, SX_E_INVALID, "%s %u: the prompt's %u tokens and %u special tokens leave no room for text", what, budget,
            counter->prompt, counter->special);
    return SX_E_INVALID;
}

static sx_status choose_overlap(const strategy_entry *entry, const sx_chunk_options *asked, sx_chunk_plan *plan, sx_error *error)
{
    if (asked->overlap < -1)
        return sx_fail(error, SX_E_INVALID, "chunk overlap %d: must be -1 (none), 0 (default) or more", asked->overlap);
    if (asked->overlap > 0) {
        plan->overlap = (uint32_t)asked->overlap;
        if (plan->overlap < plan->size)
            return SX_OK;
        sx_fail(error, SX_E_INVALID, "chunk overlap %u: not smaller than the chunk size %u", plan->overlap, plan->size);
        if (asked->chunk_size > plan->size)
            sx_hint(error, "the size asked was %u; the model takes no more than %u tokens", asked->chunk_size, plan->size);
        return SX_E_INVALID;
    }
    if (asked->overlap < 0)
        return SX_OK;
    uint32_t usual = plan->in_tokens ? entry->tokens.overlap : entry->chars.overlap;
    /* A default gives way to a small size; of sentences and paragraphs all but one may repeat. */
    uint32_t most = entry->unit == NO_UNIT ? plan->size - 1 : plan->size / 4;
    plan->overlap = usual < most ? usual : most;
    return SX_OK;
}

sx_status sx_chunk_plan_make(const sx_chunk_options *options, const char *media_type, const sx_token_counter *counter,
                             sx_chunk_plan *plan, sx_error *error)
{
    if (!plan)
        return sx_fail(error, SX_E_INVALID, "chunk plan: NULL");
    sx_chunk_options asked;
    sx_status status = sx_options_read(options, &asked, sizeof asked, "sx_chunk_options", error);
    if (status != SX_OK)
        return status;
    memset(plan, 0, sizeof *plan);

    const char *name = asked.strategy && strcmp(asked.strategy, "auto") != 0 ? asked.strategy : strategy_for(media_type);
    const strategy_entry *entry = find_strategy(name);
    if (!entry) {
        sx_fail(error, SX_E_INVALID, "chunk strategy \"%.40s\": not known", name);
        sx_hint(error, "strategies are auto, recursive, tokens, chars, sentences, paragraphs, semantic, markdown, rst, html, code");
        return SX_E_INVALID;
    }
    memcpy(plan->strategy, entry->name, strlen(entry->name) + 1);
    plan->header = !asked.no_header;
    if (asked.header && asked.header[0]) {
        status = sx_header_template_check(asked.header, error);
        if (status != SX_OK)
            return status;
        const char *template = strcmp(asked.header, "tags") == 0 ? header_tags : asked.header;
        memcpy(plan->header_template, template, strlen(template) + 1);
    }
    status = choose_unit(entry, asked.unit, counter, &plan->in_tokens, error);
    if (status != SX_OK)
        return status;

    plan->size = asked.chunk_size ? asked.chunk_size : plan->in_tokens ? entry->tokens.size : entry->chars.size;
    if (counter && counter->limit) {
        status = check_room(counter, counter->limit, "model limit", error);
        if (plan->in_tokens && plan->size > counter->limit)
            plan->size = counter->limit;
    }
    if (status == SX_OK && plan->in_tokens)
        status = check_room(counter, plan->size, "chunk size", error);
    if (status == SX_OK)
        status = choose_overlap(entry, &asked, plan, error);
    return status;
}

sx_status sx_chunk_plan_make_for(const sx_chunk_options *options, const sx_document *document, const sx_chunk_context *context,
                                 const sx_token_counter *counter, sx_chunk_plan *plan, sx_error *error)
{
    sx_chunk_options asked;
    sx_status status = sx_options_read(options, &asked, sizeof asked, "sx_chunk_options", error);
    if (status != SX_OK)
        return status;
    asked.size = sizeof asked;
    bool for_prose = !asked.strategy || strcmp(asked.strategy, "auto") == 0 || strcmp(asked.strategy, "semantic") == 0;
    if (for_prose && context && document->language && sx_grammars_read(context->grammars, document->language))
        asked.strategy = "code";
    return sx_chunk_plan_make(&asked, document->media_type, counter, plan, error);
}
