/* gguf_tokenizer.c - a GGUF file's tokenizer, told as the tokenizer.json it was once made from, and read as such.
 *
 * Facts: the keys tokenizer.ggml.* of ggml's docs/gguf.md, and what llama.cpp's converter makes of Hugging Face tokenizers:
 * - "bert": WordPiece. A piece that begins a word is written with U+2581 before it, one that continues it without "##".
 * - "gpt2": byte-level BPE with its merges; "pre" names the regular expression that cuts the text.
 * - "llama": SentencePiece's BPE without merges: two pieces join when the whole is a piece, that of the highest score first.
 * - "t5": SentencePiece's Unigram with scores and a compiled normalisation.
 */
#include "gguf_tokenizer.h"
#include "tokenizer_internal.h"

#include "../base/error.h"
#include "../base/json_reader.h"
#include "../base/json_writer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char word_mark[] = "\xe2\x96\x81"; /* U+2581 */
enum { WORD_MARK = 3 };

/* printf formats of the stages, as tokenizer.json spells them. */
static const char bert_stages[] =
    "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,\"strip_accents\":null,"
    "\"lowercase\":%s},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"model\":{\"type\":\"WordPiece\","
    "\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,\"unk_token\":";
static const char split_stage[] =
    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"behavior\":\"Isolated\",\"invert\":false,"
    "\"pattern\":{\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|%s|"
    " ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"}},"
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":false,\"use_regex\":false}]},";
static const char byte_level_stage[] =
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":%s,\"trim_offsets\":true,\"use_regex\":true},";
static const char bpe_model[] =
    "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,"
    "\"fuse_unk\":%s,\"byte_fallback\":%s,\"ignore_merges\":%s,\"unk_token\":";
static const char metaspace_stage[] =
    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},"
    "{\"type\":\"Metaspace\",\"replacement\":\"%s\",\"add_prefix_space\":%s}]},";

typedef struct cut {
    const char *pre;
    const char *digits;      /* NULL: GPT-2's own expression */
    bool compose, ignore_merges, classify; /* NFC; a whole piece is taken at once; texts stand between bos and separator */
} cut;

/* llama.cpp's names; those of one line cut alike. */
static const cut cuts[] = {
    {"gpt-2", NULL, false, false, false},           {"roberta-bpe", NULL, false, false, true},
    {"jina-v1-en", NULL, false, false, true},       {"jina-v2-es", NULL, false, false, true},
    {"jina-v2-de", NULL, false, false, true},       {"jina-v2-code", NULL, false, false, true},
    {"modern-bert", NULL, true, false, true},       {"olmo", NULL, true, false, false},
    {"qwen2", "\\\\p{N}", true, false, false},      {"deepseek-r1-qwen", "\\\\p{N}", true, false, false},
    {"llama-bpe", "\\\\p{N}{1,3}", false, true, false}, {"llama3", "\\\\p{N}{1,3}", false, true, false},
};

typedef struct writer {
    const sx_gguf_vocabulary *vocabulary;
    sx_buffer json;
    sx_vocabulary ids;       /* of "llama": piece to id */
    const cut *cut;          /* of "gpt2" */
    bool bert, gpt2, llama, t5;
    sx_error *error;
} writer;

static bool is_model(const writer *w, const char *name)
{
    return sx_text_is(w->vocabulary->model, name);
}

static int type_of(const writer *w, size_t id)
{
    const double *types = w->vocabulary->types;
    return types ? (int)types[id] : SX_GGUF_TOKEN_NORMAL;
}

/* Whether a token is looked for in the text itself. */
static bool is_added(const writer *w, size_t id)
{
    const sx_gguf_vocabulary *v = w->vocabulary;
    const int64_t named[] = {v->bos, v->eos, v->unknown, v->separator, v->padding, v->cls, v->mask};
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (named[i] == (int64_t)id)
            return true;
    int type = type_of(w, id);
    return type == SX_GGUF_TOKEN_CONTROL || type == SX_GGUF_TOKEN_USER_DEFINED || type == SX_GGUF_TOKEN_UNKNOWN;
}

static void write_text(writer *w, sx_text text)
{
    sx_json_write_string(&w->json, text.data, text.length);
}

static void write(writer *w, const char *text)
{
    sx_buffer_append_string(&w->json, text);
}

static void write_added(writer *w)
{
    const sx_gguf_vocabulary *v = w->vocabulary;
    bool first = true;
    write(w, "\"added_tokens\":[");
    for (size_t id = 0; id < v->count; id++) {
        if (!is_added(w, id) || v->tokens[id].length == 0)
            continue;
        bool strip = (int64_t)id == v->mask && (w->gpt2 || w->t5);
        bool user = type_of(w, id) == SX_GGUF_TOKEN_USER_DEFINED;
        sx_buffer_printf(&w->json, "%s{\"id\":%zu,\"single_word\":false,\"rstrip\":false,\"normalized\":%s,",
                         first ? "" : ",", id, user && w->gpt2 ? "true" : "false");
        sx_buffer_printf(&w->json, "\"lstrip\":%s,\"special\":%s,\"content\":", strip ? "true" : "false",
                         user ? "false" : "true");
        write_text(w, v->tokens[id]);
        write(w, "}");
        first = false;
    }
    write(w, "],");
}

/* The spelling that tokenizer.json has; *prefix comes before it. */
static sx_text bert_piece(const writer *w, size_t id, const char **prefix)
{
    sx_text text = w->vocabulary->tokens[id];
    *prefix = "";
    if (text.length > WORD_MARK && memcmp(text.data, word_mark, WORD_MARK) == 0)
        return (sx_text){text.data + WORD_MARK, text.length - WORD_MARK};
    if (is_added(w, id) || (text.length > 1 && text.data[0] == '[' && text.data[text.length - 1] == ']'))
        return text;
    *prefix = "##";
    return text;
}

/* Whether the vocabulary was made of lower-case text: the file does not say. */
static bool is_lower_case(const writer *w)
{
    for (size_t id = 0; id < w->vocabulary->count; id++) {
        const char *prefix;
        sx_text piece = bert_piece(w, id, &prefix);
        if (is_added(w, id) || (piece.length && piece.data[0] == '['))
            continue;
        for (size_t i = 0; i < piece.length; i++)
            if (piece.data[i] >= 'A' && piece.data[i] <= 'Z')
                return false;
    }
    return true;
}

static void write_bert(writer *w)
{
    const sx_gguf_vocabulary *v = w->vocabulary;
    sx_buffer_printf(&w->json, bert_stages, is_lower_case(w) ? "true" : "false");
    write_text(w, v->tokens[v->unknown]);
    write(w, ",\"vocab\":{");
    for (size_t id = 0; id < v->count; id++) {
        const char *prefix;
        sx_text piece = bert_piece(w, id, &prefix);
        write(w, id ? "," : "");
        size_t at = w->json.length + 1;
        write_text(w, piece);
        if (*prefix && sx_buffer_room(&w->json, 2)) { /* "##" goes behind the opening quote */
            memmove(w->json.data + at + 2, w->json.data + at, w->json.length - at);
            memcpy(w->json.data + at, prefix, 2);
            w->json.length += 2;
        }
        sx_buffer_printf(&w->json, ":%zu", id);
    }
    write(w, "}}");
}

static sx_status write_gpt2(writer *w)
{
    const sx_gguf_vocabulary *v = w->vocabulary;
    bool first = true;
    write(w, w->cut->compose ? "\"normalizer\":{\"type\":\"NFC\"}," : "\"normalizer\":null,");
    if (w->cut->digits)
        sx_buffer_printf(&w->json, split_stage, w->cut->digits);
    else
        sx_buffer_printf(&w->json, byte_level_stage, v->add_space_prefix == 1 ? "true" : "false");
    sx_buffer_printf(&w->json, bpe_model, "false", "false", w->cut->ignore_merges ? "true" : "false");
    write(w, "null,\"vocab\":{");
    for (size_t id = 0; id < v->count; id++) {
        if (is_added(w, id) || type_of(w, id) == SX_GGUF_TOKEN_UNUSED)
            continue;
        write(w, first ? "" : ",");
        write_text(w, v->tokens[id]);
        sx_buffer_printf(&w->json, ":%zu", id);
        first = false;
    }
    write(w, "},\"merges\":[");
    for (size_t i = 0; i < v->merge_count; i++) {
        write(w, i ? "," : "");
        write_text(w, v->merges[i]);
    }
    write(w, "]}");
    return SX_OK;
}

typedef struct merge {
    double score;
    uint32_t left, right, whole;
} merge;

/* The order in which transformers lists the merges of such a vocabulary. */
static int compare_merges(const void *a, const void *b)
{
    const merge *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    if (x->whole != y->whole)
        return x->whole < y->whole ? -1 : 1;
    if (x->left != y->left)
        return x->left < y->left ? -1 : 1;
    return (x->right > y->right) - (x->right < y->right);
}

/* Every way to make a piece out of two others. */
static sx_status find_merges(writer *w, merge **merges, size_t *count)
{
    const sx_gguf_vocabulary *v = w->vocabulary;
    size_t capacity = 0;
    for (size_t id = 0; id < v->count; id++) {
        if (sx_vocabulary_add(&w->ids, v->tokens[id], (uint32_t)id) == SX_VOCABULARY_NOMEM)
            return sx_fail_nomem(w->error, v->count);
    }
    for (size_t id = 0; id < v->count; id++) {
        int type = type_of(w, id);
        if (type != SX_GGUF_TOKEN_NORMAL && type != SX_GGUF_TOKEN_USER_DEFINED)
            continue;
        sx_text whole = v->tokens[id];
        for (size_t i = 1; i < whole.length; i++) {
            uint32_t left, right;
            sx_text begin = {whole.data, i}, end = {whole.data + i, whole.length - i};
            if (((unsigned char)*end.data & 0xc0) == 0x80 || !sx_vocabulary_find(&w->ids, begin, &left) ||
                !sx_vocabulary_find(&w->ids, end, &right))
                continue;
            if (!sx_reserve((void **)merges, &capacity, *count + 1, sizeof **merges))
                return sx_fail_nomem(w->error, *count * sizeof **merges);
            (*merges)[(*count)++] = (merge){v->scores[id], left, right, (uint32_t)id};
        }
    }
    if (*count)
        qsort(*merges, *count, sizeof **merges, compare_merges);
    return SX_OK;
}

static sx_status write_llama(writer *w)
{
    const sx_gguf_vocabulary *v = w->vocabulary;
    merge *merges = NULL;
    size_t count = 0;
    if (!v->scores)
        return sx_fail(w->error, SX_E_FORMAT, "%s: tokenizer.ggml.scores is missing", v->path);
    sx_status status = find_merges(w, &merges, &count);
    if (status)
        goto out;
    write(w, "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[");
    if (v->add_space_prefix != 0)
        write(w, "{\"type\":\"Prepend\",\"prepend\":\"\xe2\x96\x81\"},");
    write(w, "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xe2\x96\x81\"}]},\"pre_tokenizer\":null,");
    sx_buffer_printf(&w->json, bpe_model, "true", "true", "false");
    if (v->unknown >= 0)
        write_text(w, v->tokens[v->unknown]);
    else
        write(w, "null");
    write(w, ",\"vocab\":{");
    for (size_t id = 0; id < v->count; id++) {
        write(w, id ? "," : "");
        write_text(w, v->tokens[id]);
        sx_buffer_printf(&w->json, ":%zu", id);
    }
    write(w, "},\"merges\":[");
    for (size_t i = 0; i < count; i++) {
        write(w, i ? ",[" : "[");
        write_text(w, v->tokens[merges[i].left]);
        write(w, ",");
        write_text(w, v->tokens[merges[i].right]);
        write(w, "]");
    }
    write(w, "]}");
out:
    free(merges);
    return status;
}

static sx_status write_t5(writer *w)
{
    const sx_gguf_vocabulary *v = w->vocabulary;
    if (!v->scores)
        return sx_fail(w->error, SX_E_FORMAT, "%s: tokenizer.ggml.scores is missing", v->path);
    write(w, "\"normalizer\":");
    if (v->charsmap_length) {
        write(w, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":");
        sx_json_write_base64(&w->json, v->charsmap, v->charsmap_length);
        write(w, "}");
    } else {
        write(w, "null");
    }
    write(w, ",");
    sx_buffer_printf(&w->json, metaspace_stage, word_mark, v->add_space_prefix == 0 ? "false" : "true");
    sx_buffer_printf(&w->json, "\"model\":{\"type\":\"Unigram\",\"byte_fallback\":false,\"unk_id\":%" PRId64 ",\"vocab\":[",
                     v->unknown);
    for (size_t id = 0; id < v->count; id++) {
        write(w, id ? ",[" : "[");
        write_text(w, v->tokens[id]);
        write(w, ",");
        sx_json_write_double(&w->json, v->scores[id]);
        write(w, "]");
    }
    write(w, "]}");
    return SX_OK;
}

static void write_template(writer *w, int64_t before, int64_t after, int type, char text)
{
    if (before >= 0) {
        write(w, "{\"SpecialToken\":{\"id\":");
        write_text(w, w->vocabulary->tokens[before]);
        sx_buffer_printf(&w->json, ",\"type_id\":%d}},", type);
    }
    sx_buffer_printf(&w->json, "{\"Sequence\":{\"id\":\"%c\",\"type_id\":%d}}", text, type);
    if (after >= 0) {
        write(w, ",{\"SpecialToken\":{\"id\":");
        write_text(w, w->vocabulary->tokens[after]);
        sx_buffer_printf(&w->json, ",\"type_id\":%d}}", type);
    }
}

static void write_special(writer *w, int64_t id, bool first)
{
    if (id < 0)
        return;
    write(w, first ? "" : ",");
    write_text(w, w->vocabulary->tokens[id]);
    write(w, ":{\"id\":");
    write_text(w, w->vocabulary->tokens[id]);
    sx_buffer_printf(&w->json, ",\"ids\":[%" PRId64 "],\"tokens\":[", id);
    write_text(w, w->vocabulary->tokens[id]);
    write(w, "]}");
}

/* What stands around a text: what the file says, else llama.cpp's habit for the model. A pair of texts is two texts, the second
 * of which begins with the separator, or with nothing in BERT. */
static void write_post_processor(writer *w)
{
    const sx_gguf_vocabulary *v = w->vocabulary;
    bool classify = w->bert || (w->gpt2 && w->cut->classify);
    int64_t begin = w->bert && v->cls >= 0 ? v->cls : v->bos, end = classify && v->separator >= 0 ? v->separator : v->eos;
    int add_begin = v->add_bos >= 0 ? v->add_bos : classify || w->llama;
    int add_end = v->add_eos > 0 || v->add_separator > 0 || classify ? 1 : v->add_eos < 0 && w->t5;
    int64_t before = add_begin ? begin : -1, after = add_end ? end : -1;
    if (before < 0 && after < 0) {
        write(w, "\"post_processor\":null,");
        return;
    }
    write(w, "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[");
    write_template(w, before, after, 0, 'A');
    write(w, "],\"pair\":[");
    write_template(w, before, after, 0, 'A');
    write(w, ",");
    write_template(w, w->bert || w->llama || before < 0 ? -1 : after, after, w->bert, 'B');
    write(w, "],\"special_tokens\":{");
    write_special(w, before, true);
    write_special(w, after == before ? -1 : after, before < 0);
    write(w, "}},");
}

static sx_status write_json(writer *w)
{
    const sx_gguf_vocabulary *v = w->vocabulary;
    w->bert = is_model(w, "bert");
    w->gpt2 = is_model(w, "gpt2");
    w->llama = is_model(w, "llama");
    w->t5 = is_model(w, "t5");
    if (!w->bert && !w->gpt2 && !w->llama && !w->t5)
        return sx_fail(w->error, SX_E_UNSUPPORTED,
                       "%s: tokenizer.ggml.model is \"%.*s\"; bert, gpt2, llama and t5 are supported", v->path,
                       v->model.length < 60 ? (int)v->model.length : 60, v->model.data);
    if ((w->bert || w->t5) && v->unknown < 0)
        return sx_fail(w->error, SX_E_FORMAT, "%s: tokenizer.ggml.unknown_token_id is missing", v->path);
    for (size_t i = 0; w->gpt2 && i < sizeof cuts / sizeof *cuts; i++)
        if (sx_text_is(v->pre, cuts[i].pre))
            w->cut = &cuts[i];
    if (w->gpt2 && !w->cut)
        return sx_fail(w->error, SX_E_UNSUPPORTED, "%s: tokenizer.ggml.pre is \"%.*s\": how it cuts a text is not known",
                       v->path, v->pre.length < 60 ? (int)v->pre.length : 60, v->pre.data);
    write(w, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,");
    write_added(w);
    write_post_processor(w);
    sx_status status = SX_OK;
    if (w->bert)
        write_bert(w);
    else
        status = w->gpt2 ? write_gpt2(w) : w->llama ? write_llama(w) : write_t5(w);
    write(w, ",\"decoder\":null}");
    if (!status && w->json.failed)
        status = sx_fail_nomem(w->error, w->json.length);
    return status;
}

static sx_status check_ids(const sx_gguf_vocabulary *v, sx_error *error)
{
    const struct {
        const char *name;
        int64_t id;
    } ids[] = {{"bos", v->bos}, {"eos", v->eos}, {"unknown", v->unknown}, {"seperator", v->separator}, {"padding",
    v->padding}, {"cls", v->cls}, {"mask", v->mask}};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (ids[i].id >= 0 && (uint64_t)ids[i].id >= v->count)
            return sx_fail(error, SX_E_FORMAT, "%s: tokenizer.ggml.%s_token_id is %" PRId64 ", but there are %zu tokens",
                           v->path, ids[i].name, ids[i].id, v->count);
    return v->count && v->count < UINT32_MAX ? SX_OK : sx_fail(error, SX_E_FORMAT, "%s: a tokenizer of %zu tokens", v->path,
                                                               v->count);
}

sx_status sx_tokenizer_of_gguf(const sx_gguf_vocabulary *vocabulary, sx_tokenizer **out, sx_error *error)
{
    writer w = {.vocabulary = vocabulary, .error = error};
    sx_tokenizer *tokenizer = NULL;
    *out = NULL;
    sx_status status = check_ids(vocabulary, error);
    if (!status)
        status = write_json(&w);
    if (!status && !(tokenizer = sx_calloc(1, sizeof *tokenizer)))
        status = sx_fail_nomem(error, sizeof *tokenizer);
    if (!status && !(tokenizer->path = sx_strdup(vocabulary->path)))
        status = sx_fail_nomem(error, strlen(vocabulary->path));
    if (!status)
        status = sx_tokenizer_read_json(tokenizer, w.json.data, w.json.length, NULL, error);
    if (!status)
        status = sx_tokenizer_finish(tokenizer, error);
    if (!status) {
        *out = tokenizer;
        tokenizer = NULL;
    }
    sx_tokenizer_close(tokenizer);
    sx_vocabulary_clear(&w.ids);
    sx_buffer_clear(&w.json);
    return status;
}
