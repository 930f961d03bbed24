/* normalizer.c - the chain of normalisers of tokenizer.json, with the results and the origins of the tokenizers library
 * (its normalizers/ and NormalizedString).
 *
 * Each step rewrites the whole text into the spare one, and they change places; what a step finds nothing to do in stays. */
#include "normalizer.h"

#include "../base/error.h"
#include "../text/unicode.h"
#include "normal_form.h"
#include "precompiled.h"
#include "regex.h"

#include <stdlib.h>
#include <string.h>

enum { DEEPEST_SEQUENCE = 32, MOST_STEPS = 1000 };

typedef enum step_kind {
    STEP_BERT, STEP_NFC, STEP_NFD, STEP_NFKC, STEP_NFKD, STEP_LOWERCASE, STEP_STRIP_ACCENTS, STEP_STRIP, STEP_REPLACE,
    STEP_PREPEND, STEP_PRECOMPILED, STEP_NMT, STEP_BYTE_LEVEL, STEP_KINDS
} step_kind;

static const char *const step_names[STEP_KINDS] = {
    "BertNormalizer", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "Replace", "Prepend", "Precompiled",
    "Nmt", "ByteLevel"
};

struct sx_normalizer_step {
    step_kind kind;
    sx_bert_normalizer bert;
    bool left, right;            /* Strip */
    sx_regex *regex;             /* Replace */
    bool literal;
    sx_text pattern;             /* Replace's, for the description */
    sx_text content;             /* Replace's, Prepend's */
    sx_precompiled *precompiled;
};

/* --- Reading --- */

typedef struct reader {
    const char *path;
    sx_arena *arena;
    sx_normalizer *normalizer;
    sx_error *error;
} reader;

static sx_status read_text(const reader *r, const json_t *object, const char *type, const char *key, sx_text *text)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value))
        return sx_fail(r->error, SX_E_FORMAT, "%s: normalizer %s: '%s' is no string", r->path, type, key);
    text->length = json_string_length(value);
    text->data = sx_arena_strndup(r->arena, json_string_value(value), text->length);
    return text->data ? SX_OK : sx_fail_nomem(r->error, text->length);
}

/* A boolean that may be missing. */
static sx_status read_boolean(const reader *r, const json_t *object, const char *type, const char *key, bool *value)
{
    const json_t *found = json_object_get(object, key);
    if (found && !json_is_boolean(found))
        return sx_fail(r->error, SX_E_FORMAT, "%s: normalizer %s: '%s' is neither true nor false", r->path, type, key);
    if (found)
        *value = json_is_true(found);
    return SX_OK;
}

static sx_status read_bert(const reader *r, const json_t *object, sx_bert_normalizer *bert)
{
    *bert = (sx_bert_normalizer){.clean_text = true, .chinese = true, .lowercase = true};
    const char *type = step_names[STEP_BERT];
    sx_status status = read_boolean(r, object, type, "clean_text", &bert->clean_text);
    if (status == SX_OK)
        status = read_boolean(r, object, type, "handle_chinese_chars", &bert->chinese);
    if (status == SX_OK)
        status = read_boolean(r, object, type, "lowercase", &bert->lowercase);
    bert->strip_accents = bert->lowercase; /* unless it says otherwise */
    if (status == SX_OK && !json_is_null(json_object_get(object, "strip_accents")))
        status = read_boolean(r, object, type, "strip_accents", &bert->strip_accents);
    return status;
}

static sx_status read_replace(const reader *r, const json_t *object, sx_normalizer_step *step)
{
    const char *type = step_names[STEP_REPLACE];
    const json_t *pattern = json_object_get(object, "pattern");
    const char *key = json_object_get(pattern, "String") ? "String" : "Regex";
    if (!json_is_object(pattern) || json_object_size(pattern) != 1 || !json_object_get(pattern, key))
        return sx_fail(r->error, SX_E_UNSUPPORTED, "%s: normalizer Replace: 'pattern' is neither {\"String\": ...} nor "
                       "{\"Regex\": ...}", r->path);
    step->literal = key[0] == 'S';
    sx_status status = read_text(r, pattern, type, key, &step->pattern);
    if (status == SX_OK)
        status = read_text(r, object, type, "content", &step->content);
    if (status == SX_OK)
        status = sx_regex_open(step->pattern, step->literal, r->path, &step->regex, r->error);
    return status;
}

static sx_status read_step(const reader *r, const json_t *object, sx_normalizer_step *step)
{
    const char *type = step_names[step->kind];
    sx_status status = SX_OK;
    switch (step->kind) {
    case STEP_BERT:
        return read_bert(r, object, &step->bert);
    case STEP_STRIP:
        step->left = step->right = true;
        status = read_boolean(r, object, type, "strip_left", &step->left);
        return status == SX_OK ? read_boolean(r, object, type, "strip_right", &step->right) : status;
    case STEP_REPLACE:
        return read_replace(r, object, step);
    case STEP_PREPEND:
        return read_text(r, object, type, "prepend", &step->content);
    case STEP_PRECOMPILED: {
        const json_t *map = json_object_get(object, "precompiled_charsmap");
        if (!json_is_string(map))
            return sx_fail(r->error, SX_E_FORMAT, "%s: normalizer Precompiled: 'precompiled_charsmap' is no string", r->path);
        return sx_precompiled_open((sx_text){json_string_value(map), json_string_length(map)}, r->path, &step->precompiled,
                                   r->error);
    }
    default:
        return SX_OK;
    }
}

static sx_status read_component(const reader *r, const json_t *component, unsigned depth)
{
    sx_normalizer *normalizer = r->normalizer;
    if (!component || json_is_null(component))
        return SX_OK;
    const char *type = json_string_value(json_object_get(component, "type"));
    if (!type)
        return sx_fail(r->error, SX_E_FORMAT, "%s: a normalizer without a type", r->path);
    if (!strcmp(type, "Sequence")) {
        const json_t *members = json_object_get(component, "normalizers");
        if (!json_is_array(members) || depth >= DEEPEST_SEQUENCE)
            return sx_fail(r->error, SX_E_FORMAT, "%s: normalizer Sequence: %s", r->path,
                           depth >= DEEPEST_SEQUENCE ? "nested too deeply" : "'normalizers' is no list");
        sx_status status = SX_OK;
        for (size_t i = 0; status == SX_OK && i < json_array_size(members); i++) {
            const json_t *member = json_array_get(members, i);
            if (!json_is_object(member))
                status = sx_fail(r->error, SX_E_FORMAT, "%s: normalizer Sequence: member %zu is no object", r->path, i);
            else
                status = read_component(r, member, depth + 1);
        }
        return status;
    }
    step_kind kind = STEP_BERT;
    while (kind < STEP_KINDS && strcmp(type, step_names[kind]))
        kind++;
    if (kind == STEP_KINDS)
        return sx_fail(r->error, SX_E_UNSUPPORTED, "%s: normalizer '%.60s' is not supported", r->path, type);
    if (normalizer->count == MOST_STEPS)
        return sx_fail(r->error, SX_E_UNSUPPORTED, "%s: a normalizer of more than %d steps", r->path, MOST_STEPS);
    void *steps = normalizer->steps;
    bool room = sx_reserve(&steps, &normalizer->capacity, normalizer->count + 1, sizeof *normalizer->steps);
    normalizer->steps = steps;
    if (!room)
        return sx_fail_nomem(r->error, sizeof *normalizer->steps);
    sx_normalizer_step *step = &normalizer->steps[normalizer->count++];
    *step = (sx_normalizer_step){.kind = kind};
    return read_step(r, component, step);
}

sx_status sx_normalizer_read(const json_t *component, const char *path, sx_arena *arena, sx_normalizer *normalizer,
                             sx_error *error)
{
    const reader r = {path, arena, normalizer, error};
    sx_status status = read_component(&r, component, 0);
    if (status != SX_OK)
        sx_normalizer_clear(normalizer);
    else if (normalizer->count == 1 && normalizer->steps[0].kind == STEP_BERT)
        normalizer->only_bert = &normalizer->steps[0].bert;
    return status;
}

void sx_normalizer_clear(sx_normalizer *normalizer)
{
    for (size_t i = 0; i < normalizer->count; i++) {
        sx_regex_close(normalizer->steps[i].regex);
        sx_precompiled_close(normalizer->steps[i].precompiled);
    }
    free(normalizer->steps);
    *normalizer = (sx_normalizer){0};
}

/* --- Steps --- */

static void put_normalised(void *user, uint32_t code, uint32_t start, uint32_t end)
{
    sx_rewrite *rewrite = user;
    sx_rewrite_put(rewrite, code, start, end);
}

static void run_bert(const sx_bert_normalizer *bert, sx_rewrite *rewrite)
{
    const sx_working_text *from = rewrite->from;
    bool memory = true;
    while (rewrite->at < from->length && memory && !rewrite->to->no_memory) {
        unsigned char byte = (unsigned char)from->bytes[rewrite->at];
        int normal = byte < 0x80 ? sx_bert_normalize_ascii(bert, byte) : -1;
        if (normal >= 0) {
            sx_rewrite_put(rewrite, (uint32_t)normal, rewrite->at, rewrite->at + 1);
            rewrite->at++;
        } else {
            rewrite->at = sx_bert_normalize_run(bert, from->bytes, rewrite->at, from->length, put_normalised, rewrite, &memory);
        }
    }
    if (!memory)
        rewrite->to->no_memory = true;
}

static void run_lowercase(sx_rewrite *rewrite)
{
    const sx_working_text *from = rewrite->from;
    for (size_t end; rewrite->at < from->length; rewrite->at = end) {
        end = sx_working_text_ascii_end(from, rewrite->at);
        if (end > rewrite->at) {
            size_t first = rewrite->to->length;
            sx_rewrite_copy(rewrite, end);
            char *bytes = rewrite->to->bytes;
            for (size_t i = first; i < rewrite->to->length; i++)
                bytes[i] = (char)(bytes[i] + (bytes[i] >= 'A' && bytes[i] <= 'Z' ? 'a' - 'A' : 0));
            continue;
        }
        sx_code_point point = sx_working_text_at(from, end);
        end += point.length;
        uint32_t lower[2];
        unsigned count = sx_unicode_lower(point.code, lower);
        for (unsigned i = 0; i < count; i++)
            sx_rewrite_put(rewrite, lower[i], rewrite->at, end);
    }
}

static void run_strip_accents(sx_rewrite *rewrite)
{
    const sx_working_text *from = rewrite->from;
    for (size_t at = sx_working_text_ascii_end(from, 0); at < from->length; at = sx_working_text_ascii_end(from, at)) {
        sx_code_point point = sx_working_text_at(from, at);
        if (sx_is_combining_mark(point.code)) {
            sx_rewrite_copy(rewrite, at);
            rewrite->at += point.length;
        }
        at += point.length;
    }
    sx_rewrite_copy(rewrite, from->length);
}

static void run_strip(const sx_normalizer_step *step, sx_rewrite *rewrite)
{
    const sx_working_text *from = rewrite->from;
    size_t end = from->length, before;
    while (step->left && rewrite->at < end) {
        sx_code_point point = sx_working_text_at(from, rewrite->at);
        if (!sx_unicode_is_space(point.code))
            break;
        rewrite->at += point.length;
    }
    for (; step->right && end > rewrite->at; end = before) {
        before = end - 1;
        while (before > rewrite->at && ((unsigned char)from->bytes[before] & 0xc0) == 0x80)
            before--;
        if (!sx_unicode_is_space(sx_working_text_at(from, before).code))
            break;
    }
    sx_rewrite_copy(rewrite, end);
}

/* The content for a match: it comes from the match's last character or, where the match is empty, from what is before. */
static void put_content(const sx_normalizer_step *step, sx_rewrite *rewrite, size_t begin, size_t end)
{
    uint32_t start = rewrite->base, stop = rewrite->base;
    const sx_working_text *origin = end > begin ? rewrite->from : rewrite->to;
    size_t place = end > begin ? end : rewrite->to->length;
    if (place > 0) {
        size_t first = place - 1;
        while (first > 0 && ((unsigned char)origin->bytes[first] & 0xc0) == 0x80)
            first--;
        start = origin->starts[first];
        stop = origin->ends[place - 1];
    }
    sx_working_text_put(rewrite->to, step->content.data, step->content.length, start, stop);
}

/* As Oniguruma's iterator of matches: an empty match right behind another one does not count, nor one in an empty text. */
static void run_replace(const sx_normalizer_step *step, sx_rewrite *rewrite)
{
    const sx_working_text *from = rewrite->from;
    size_t search = 0, last = SIZE_MAX, begin, end;
    while (from->length && search <= from->length && !rewrite->to->no_memory) {
        int found = sx_regex_next(step->regex, from->bytes, from->length, search, &begin, &end);
        if (found < 0)
            rewrite->to->no_memory = true;
        if (found <= 0)
            break;
        search = end;
        if (begin == end) {
            search += end < from->length ? sx_working_text_at(from, end).length : 1;
            if (end == last)
                continue;
        }
        last = end;
        sx_rewrite_copy(rewrite, begin);
        put_content(step, rewrite, begin, end);
        rewrite->at = end;
    }
    sx_rewrite_copy(rewrite, from->length);
}

static void run_prepend(const sx_normalizer_step *step, sx_rewrite *rewrite)
{
    const sx_working_text *from = rewrite->from;
    if (from->length) {
        size_t first = sx_working_text_at(from, 0).length;
        sx_working_text_put(rewrite->to, step->content.data, step->content.length, from->starts[0], from->ends[first - 1]);
    }
    sx_rewrite_copy(rewrite, from->length);
}

/* What SentencePiece's rules nmt_* remove (true), and what they take for a space. */
static bool nmt_removes(uint32_t code)
{
    return (code >= 0x01 && code <= 0x08) || code == 0x0b || (code >= 0x0e && code <= 0x1f) || code == 0x7f || code == 0x8f ||
           code == 0x9f;
}

static bool nmt_is_space(uint32_t code)
{
    return code == '\t' || code == '\n' || code == '\f' || code == '\r' || code == 0x1680 || (code >= 0x200b && code <= 0x200f) ||
           code == 0x2028 || code == 0x2029 || code == 0x2581 || code == 0xfeff || code == SX_REPLACEMENT;
}

static void run_nmt(sx_rewrite *rewrite)
{
    const sx_working_text *from = rewrite->from;
    for (size_t at = 0, end; at < from->length; at = end) {
        sx_code_point point = sx_working_text_at(from, at);
        end = at + point.length;
        bool removed = nmt_removes(point.code);
        if (!removed && !nmt_is_space(point.code))
            continue;
        sx_rewrite_copy(rewrite, at);
        if (!removed)
            sx_rewrite_put(rewrite, ' ', at, end);
        rewrite->at = end;
    }
    sx_rewrite_copy(rewrite, from->length);
}

/* The characters that GPT-2 writes bytes with: printable ones of Latin-1 as they are, the rest from U+0100 on in order. */
static void make_byte_characters(uint16_t codes[256])
{
    uint16_t next = 0x100;
    for (unsigned byte = 0; byte < 256; byte++) {
        bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
        codes[byte] = printable ? (uint16_t)byte : next++;
    }
}

static void run_byte_level(sx_rewrite *rewrite)
{
    const sx_working_text *from = rewrite->from;
    uint16_t codes[256];
    make_byte_characters(codes);
    for (size_t end; rewrite->at < from->length && !rewrite->to->no_memory; rewrite->at = end) {
        end = rewrite->at + sx_working_text_at(from, rewrite->at).length;
        for (size_t i = rewrite->at; i < end; i++)
            sx_rewrite_put(rewrite, codes[(unsigned char)from->bytes[i]], rewrite->at, end);
    }
}

/* --- The chain --- */

static void run_step(const sx_normalizer_step *step, sx_rewrite *rewrite)
{
    switch (step->kind) {
    case STEP_BERT:
        run_bert(&step->bert, rewrite);
        break;
    case STEP_NFC:
    case STEP_NFD:
    case STEP_NFKC:
    case STEP_NFKD:
        sx_normal_form(rewrite, step->kind == STEP_NFKC || step->kind == STEP_NFKD,
                       step->kind == STEP_NFC || step->kind == STEP_NFKC);
        break;
    case STEP_LOWERCASE:
        run_lowercase(rewrite);
        break;
    case STEP_STRIP_ACCENTS:
        run_strip_accents(rewrite);
        break;
    case STEP_STRIP:
        run_strip(step, rewrite);
        break;
    case STEP_REPLACE:
        run_replace(step, rewrite);
        break;
    case STEP_PREPEND:
        run_prepend(step, rewrite);
        break;
    case STEP_PRECOMPILED:
        sx_precompiled_rewrite(step->precompiled, rewrite);
        break;
    case STEP_NMT:
        run_nmt(rewrite);
        break;
    case STEP_BYTE_LEVEL:
        run_byte_level(rewrite);
        break;
    case STEP_KINDS:
        break;
    }
}

/* ASCII is in all four normal forms and has no accents. */
static bool changes_ascii(const sx_normalizer_step *step)
{
    return step->kind < STEP_NFC || (step->kind > STEP_NFKD && step->kind != STEP_STRIP_ACCENTS);
}

/* Everything but the pieces. */
static void change_places(sx_working_text *text, sx_working_text *spare)
{
    sx_working_text first = *text, second = *spare;
    *text = second;
    *spare = first;
    text->pieces = first.pieces;
    text->piece_count = first.piece_count;
    text->piece_room = first.piece_room;
    spare->pieces = second.pieces;
    spare->piece_count = second.piece_count;
    spare->piece_room = second.piece_room;
}

void sx_normalizer_run(const sx_normalizer *normalizer, sx_working_text *text, sx_working_text *spare)
{
    uint32_t base = text->length ? text->starts[0] : 0;
    for (size_t i = 0; i < normalizer->count && !text->no_memory; i++) {
        const sx_normalizer_step *step = &normalizer->steps[i];
        if (!changes_ascii(step) && sx_working_text_ascii_end(text, 0) == text->length)
            continue;
        spare->length = 0;
        spare->no_memory = false;
        sx_rewrite rewrite = {.from = text, .to = spare, .base = base};
        run_step(step, &rewrite);
        change_places(text, spare);
    }
}

static void describe_text(sx_buffer *buffer, const char *name, sx_text text)
{
    sx_buffer_printf(buffer, " %s %zu:", name, text.length);
    sx_buffer_append(buffer, text.data, text.length);
}

void sx_normalizer_describe(const sx_normalizer *normalizer, sx_buffer *buffer)
{
    for (size_t i = 0; i < normalizer->count; i++) {
        const sx_normalizer_step *step = &normalizer->steps[i];
        sx_buffer_printf(buffer, "normalizer %s", step_names[step->kind]);
        if (step->kind == STEP_BERT)
            sx_buffer_printf(buffer, " clean %d chinese %d accents %d lowercase %d", step->bert.clean_text, step->bert.chinese,
                             step->bert.strip_accents, step->bert.lowercase);
        if (step->kind == STEP_STRIP)
            sx_buffer_printf(buffer, " left %d right %d", step->left, step->right);
        if (step->kind == STEP_REPLACE)
            describe_text(buffer, step->literal ? "string" : "regex", step->pattern);
        if (step->kind == STEP_REPLACE || step->kind == STEP_PREPEND)
            describe_text(buffer, "content", step->content);
        if (step->kind == STEP_PRECOMPILED) {
            char hex[SX_SHA256_HEX];
            sx_sha256_hex(sx_precompiled_hash(step->precompiled), hex);
            sx_buffer_printf(buffer, " sha256 %s", hex);
        }
        sx_buffer_append_byte(buffer, '\n');
    }
}
