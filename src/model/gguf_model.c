/* gguf_model.c - from the metadata of a .gguf file to an architecture, the facts of a model, and a tokenizer.
 *
 * Keys: ggml's docs/gguf.md ("ARCHITECTURE.block_count" ...); names of tensors and what each architecture leaves unsaid:
 * llama.cpp (llama-arch, llama-model) and its converter. The converter permutes no rows for the families here, and Gemma's norms
 * already have their 1 added. RoBERTa and XLM-RoBERTa are "bert" whose position table has lost the rows of padding. GELU is exact
 * where the model was trained with the exact one, though llama.cpp computes the approximation.
 */
#include "gguf_model.h"

#include "../base/error.h"
#include "../base/json_reader.h"
#include "../tok/gguf_tokenizer.h"
#include "family_fields.h"
#include "gguf.h"
#include "pooling.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define EMBEDDING_NAMES .prefixes = {""}, .words = "token_embd", .positions = "position_embd", .token_types = "token_types", \
    .embedding_norm = "token_embd_norm", .layer = "blk.%u.", .attention_output = "attn_output", .down = "ffn_down"
#define SEPARATE_NAMES .query = "attn_q", .key = "attn_k", .value = "attn_v"

static const sx_tensor_names bert_names = {
    EMBEDDING_NAMES, SEPARATE_NAMES, .attention_norm = "attn_output_norm", .up = "ffn_up",
    .feed_forward_norm = "layer_output_norm"};
static const sx_tensor_names nomic_names = {
    EMBEDDING_NAMES, .mixed = "attn_qkv", .attention_norm = "attn_output_norm", .gate = "ffn_gate", .up = "ffn_up",
    .feed_forward_norm = "layer_output_norm"};
static const sx_tensor_names modern_names = {
    EMBEDDING_NAMES, .mixed = "attn_qkv", .attention_norm = "attn_norm", .gated = "ffn_up", .feed_forward_norm = "ffn_norm",
    .final_norm = "output_norm"};
static const sx_tensor_names qwen_names = {
    EMBEDDING_NAMES, SEPARATE_NAMES, .query_norm = "attn_q_norm", .key_norm = "attn_k_norm", .attention_norm = "attn_norm",
    .gate = "ffn_gate", .up = "ffn_up", .feed_forward_norm = "ffn_norm", .final_norm = "output_norm"};
static const sx_tensor_names gemma_names = {
    EMBEDDING_NAMES, SEPARATE_NAMES, .query_norm = "attn_q_norm", .key_norm = "attn_k_norm", .attention_norm = "attn_norm",
    .attention_after_norm = "post_attention_norm", .gate = "ffn_gate", .up = "ffn_up", .feed_forward_norm = "ffn_norm",
    .feed_forward_after_norm = "post_ffw_norm", .final_norm = "output_norm"};
static const sx_tensor_names t5_names = {
    .prefixes = {""}, .words = "token_embd", .layer = "enc.blk.%u.", SEPARATE_NAMES, .attention_output = "attn_o",
    .attention_norm = "attn_norm", .gate = "ffn_gate", .up = "ffn_up", .down = "ffn_down", .feed_forward_norm = "ffn_norm",
    .relative_bias = "enc.blk.0.attn_rel_b", .final_norm = "enc.output_norm"};

/* What the architecture's name alone says. */
typedef struct gguf_family {
    const char *architecture, *family;
    const sx_tensor_names *names;
    sx_norm_placement placement;
    sx_activation activation;
    bool rms, gated, causal, embedding_norm, head_norms, rotary, dense_first;
    double rope_theta;       /* where the file does not say */
    unsigned pattern;        /* of so many layers one has no window; 0: none has one */
} gguf_family;

static const gguf_family families[] = {
    {"bert", "bert", &bert_names, SX_NORM_AFTER, SX_ACTIVATION_GELU, .embedding_norm = true},
    {"nomic-bert", "nomic_bert", &nomic_names, SX_NORM_AFTER, SX_ACTIVATION_SILU, .gated = true, .embedding_norm = true,
     .rotary = true, .rope_theta = 10000},
    {"modern-bert", "modernbert", &modern_names, SX_NORM_BEFORE, SX_ACTIVATION_GELU, .gated = true, .embedding_norm = true,
     .rotary = true, .rope_theta = 160000, .pattern = 3, .dense_first = true},
    {"qwen2", "qwen2", &qwen_names, SX_NORM_BEFORE, SX_ACTIVATION_SILU, .rms = true, .gated = true, .causal = true,
    .rotary = true, .rope_theta = 10000}, {"qwen3", "qwen3", &qwen_names, SX_NORM_BEFORE, SX_ACTIVATION_SILU, .rms = true,
    .gated = true, .causal = true, .head_norms = true, .rotary = true, .rope_theta = 10000}, {"gemma3", "gemma3_text",
    &gemma_names, SX_NORM_AROUND, SX_ACTIVATION_GELU_TANH, .rms = true, .gated = true, .causal = true, .head_norms = true,
    .rotary = true, .rope_theta = 1000000, .pattern = 6}, {"gemma-embedding", "gemma3_text", &gemma_names, SX_NORM_AROUND,
    SX_ACTIVATION_GELU_TANH, .rms = true, .gated = true, .head_norms = true, .rotary = true, .rope_theta = 1000000,
    .pattern = 6}, {"t5encoder", "t5", &t5_names, SX_NORM_BEFORE, SX_ACTIVATION_RELU, .rms = true}, };

enum { LOCAL_ROPE = 10000, T5_DISTANCE = 128 };

/* Keys are the architecture's name and this. */
typedef struct keys {
    const sx_gguf *gguf;
    const char *architecture;
    char text[128];
} keys;

static const char *key(keys *k, const char *name)
{
    snprintf(k->text, sizeof k->text, "%s.%s", k->architecture, name);
    return k->text;
}

static sx_status read_size(keys *k, const char *name, bool required, uint32_t *size, sx_error *error)
{
    uint64_t value = *size;
    bool found;
    sx_status status = sx_gguf_unsigned(k->gguf, key(k, name), &value, &found, error);
    if (status)
        return status;
    if (required && !found)
        return sx_fail(error, SX_E_FORMAT, "%s: metadata %s is missing", k->gguf->path, k->text);
    if (found && (value == 0 || value > INT32_MAX))
        return sx_fail(error, SX_E_FORMAT, "%s: metadata %s is %" PRIu64, k->gguf->path, k->text, value);
    *size = (uint32_t)value;
    return SX_OK;
}

static sx_status read_real(keys *k, const char *name, double standard, float *value, sx_error *error)
{
    double number = standard;
    sx_status status = sx_gguf_number(k->gguf, key(k, name), &number, NULL, error);
    if (!status && !(number > 0 && number < 1e30))
        status = sx_fail(error, SX_E_FORMAT, "%s: metadata %s is %g", k->gguf->path, k->text, number);
    *value = (float)number;
    return status;
}

static const sx_tensor *find(const sx_tensors *file, const char *name, const char *end)
{
    char full[64];
    snprintf(full, sizeof full, "%s%s", name, end);
    return sx_tensors_find(file, full);
}

/* Rows of a table, 0 when the file has none. */
static uint32_t rows(const sx_tensors *file, const char *name)
{
    const sx_tensor *table = name ? find(file, name, ".weight") : NULL;
    return table && table->rank == 2 && table->shape[0] <= INT32_MAX ? (uint32_t)table->shape[0] : 0;
}

/* Which layers have a window. */
static sx_status read_windows(keys *k, const gguf_family *family, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    uint32_t size = 0, pattern = family->pattern;
    double *each = NULL;
    size_t count = 0;
    sx_status status = read_size(k, "attention.sliding_window", false, &size, error);
    if (status || size == 0 || pattern == 0)
        return status;
    const sx_gguf_value *value = sx_gguf_find(k->gguf, key(k, "attention.sliding_window_pattern"));
    if (value && value->array)
        status = sx_gguf_numbers(k->gguf, k->text, arena, &each, &count, error);
    else
        status = read_size(k, "attention.sliding_window_pattern", false, &pattern, error);
    if (!status && each && count < a->layers)
        status = sx_fail(error, SX_E_FORMAT, "%s: metadata %s has %zu values for %u layers", k->gguf->path, k->text, count,
                         a->layers);
    bool *windowed = status ? NULL : sx_arena_alloc(arena, a->layers * sizeof *windowed);
    if (!status && !windowed)
        status = sx_fail_nomem(error, a->layers * sizeof *windowed);
    for (uint32_t i = 0; !status && i < a->layers; i++)
        windowed[i] = each ? each[i] != 0 : (i + !family->dense_first) % pattern != 0;
    a->windowed = windowed;
    a->window = a->causal ? size - 1 : size / 2;
    return status;
}

static sx_status read_rope(keys *k, const gguf_family *family, sx_architecture *a, sx_error *error)
{
    sx_text scaling = {"none", 4};
    a->rope_scale = 1.0f;
    if (!family->rotary)
        return SX_OK;
    sx_status status = read_real(k, "rope.freq_base", family->rope_theta, &a->rope_theta, error);
    if (!status && family->pattern)
        status = read_real(k, "rope.freq_base_swa", LOCAL_ROPE, &a->rope_local_theta, error);
    if (!status)
        status = sx_gguf_string(k->gguf, key(k, "rope.scaling.type"), &scaling, NULL, error);
    if (!status && sx_text_is(scaling, "linear"))
        return read_real(k, "rope.scaling.factor", 1.0, &a->rope_scale, error);
    if (!status && !sx_text_is(scaling, "none"))
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: metadata %s is \"%.*s\"; linear scaling is supported", k->gguf->path,
                         k->text, scaling.length < 40 ? (int)scaling.length : 40, scaling.data);
    return status;
}

static sx_status read_sizes(keys *k, const gguf_family *family, const sx_tensors *file, sx_architecture *a, sx_error *error)
{
    sx_status status;
    uint32_t context = SX_LONGEST_TEXT;
    if ((status = read_size(k, "block_count", true, &a->layers, error)) ||
        (status = read_size(k, "embedding_length", true, &a->hidden_size, error)) ||
        (status = read_size(k, "feed_forward_length", true, &a->intermediate_size, error)) ||
        (status = read_size(k, "attention.head_count", true, &a->heads, error)) ||
        (status = read_size(k, "context_length", false, &context, error)))
        return status;
    a->key_heads = a->heads;
    a->head_size = a->hidden_size / a->heads;
    if ((status = read_size(k, "attention.head_count_kv", false, &a->key_heads, error)) ||
        (status = read_size(k, "attention.key_length", false, &a->head_size, error)) ||
        (status = read_real(k, family->rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon",
                            family->rms ? 1e-6 : 1e-12, &a->norm_epsilon, error)))
        return status;
    a->embedding_size = a->hidden_size;
    a->vocabulary_size = rows(file, a->names->words);
    a->positions = family->rotary ? 0 : rows(file, a->names->positions);
    a->token_types = rows(file, a->names->token_types);
    sx_limit_longest(a, a->positions && a->positions < context ? a->positions : context);
    return SX_OK;
}

/* What the presence of a tensor tells. */
static void look_at_tensors(const sx_tensors *file, sx_architecture *a)
{
    a->mixed_bias = find(file, "blk.0.attn_q", ".bias") || find(file, "blk.0.attn_qkv", ".bias");
    a->output_bias = find(file, "blk.0.attn_output", ".bias") != NULL;
    a->feed_forward_bias = find(file, "blk.0.ffn_up", ".bias") != NULL;
    a->norm_bias = find(file, "token_embd_norm", ".bias") != NULL;
    a->final_norm = a->names->final_norm != NULL;
    a->first_attention_norm = a->placement == SX_NORM_AFTER || find(file, "blk.0.attn_norm", ".weight") ||
                              find(file, "enc.blk.0.attn_norm", ".weight");
}

static sx_status read_t5(keys *k, const sx_tensors *file, sx_architecture *a, sx_error *error)
{
    a->relative_buckets = 32;
    a->relative_distance = T5_DISTANCE;
    a->attention_scale = 1.0f;
    a->gated = find(file, "enc.blk.0.ffn_gate", ".weight") != NULL;
    if (a->gated)
        a->activation = SX_ACTIVATION_GELU_TANH;
    return read_size(k, "attention.relative_buckets_count", false, &a->relative_buckets, error);
}

static sx_status find_family(const sx_tensors *file, const gguf_family **family, sx_error *error)
{
    sx_text name = {"", 0};
    *family = NULL;
    if (!file->gguf)
        return sx_fail(error, SX_E_INVALID, "%s: no GGUF file", file->path);
    sx_status status = sx_gguf_string(file->gguf, "general.architecture", &name, NULL, error);
    for (size_t i = 0; !status && i < sizeof families / sizeof *families; i++)
        if (sx_text_is(name, families[i].architecture))
            *family = &families[i];
    if (!status && !*family)
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: general.architecture: \"%.*s\" is not supported", file->path,
                         name.length < 60 ? (int)name.length : 60, name.data);
    if (status == SX_E_UNSUPPORTED)
        sx_hint(error, "supported are bert, nomic-bert, modern-bert, qwen2, qwen3, gemma3, gemma-embedding and t5encoder");
    return status;
}

sx_status sx_architecture_of_gguf(const sx_tensors *file, sx_arena *arena, sx_architecture *a, sx_error *error)
{
    const gguf_family *family;
    memset(a, 0, sizeof *a);
    sx_status status = find_family(file, &family, error);
    if (status)
        return status;
    keys k = {.gguf = file->gguf, .architecture = family->architecture};
    a->family = family->family;
    a->names = family->names;
    a->placement = family->placement;
    a->activation = family->activation;
    a->rms = family->rms;
    a->gated = family->gated;
    a->causal = family->causal;
    a->embedding_norm = family->embedding_norm;
    a->head_norms = family->head_norms;
    if ((status = read_sizes(&k, family, file, a, error)) ||
        (status = sx_gguf_boolean(k.gguf, key(&k, "attention.causal"), &a->causal, NULL, error)) ||
        (status = read_rope(&k, family, a, error)) || (status = read_windows(&k, family, arena, a, error)))
        return status;
    a->attention_scale = (float)(1.0 / sqrt((double)a->head_size));
    a->embedding_scale = family->placement == SX_NORM_AROUND ? (float)sqrt((double)a->hidden_size) : 1.0f;
    look_at_tensors(file, a);
    if (family->names == &t5_names && (status = read_t5(&k, file, a, error)))
        return status;
    return sx_architecture_check(a, file->path, error);
}

/* llama.cpp's numbers of poolings. */
static sx_status read_pooling(const sx_tensors *file, sx_model_folder *folder, sx_error *error)
{
    const gguf_family *family;
    sx_status status = find_family(file, &family, error);
    if (status)
        return status;
    keys k = {.gguf = file->gguf, .architecture = family->architecture};
    uint64_t pooling = 0;
    if ((status = sx_gguf_unsigned(k.gguf, key(&k, "pooling_type"), &pooling, NULL, error)))
        return status;
    switch (pooling) {
    case 0:
        folder->poolings = family->causal ? SX_POOLING_LAST_TOKEN : SX_POOLING_MEAN;
        return SX_OK;
    case 1:
        folder->poolings = SX_POOLING_MEAN;
        return SX_OK;
    case 2:
        folder->poolings = SX_POOLING_CLS;
        return SX_OK;
    case 3:
        folder->poolings = SX_POOLING_LAST_TOKEN;
        return SX_OK;
    default:
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: metadata %s is %" PRIu64 "%s", file->path, k.text, pooling,
                       pooling == 4 ? " (a reranker; take its folder of safetensors)" : "");
    }
}

sx_status sx_model_folder_of_gguf(const sx_tensors *file, sx_model_folder *folder, sx_error *error)
{
    sx_status status = sx_architecture_of_gguf(file, &folder->arena, &folder->architecture, error);
    if (!status)
        status = read_pooling(file, folder, error);
    if (status)
        return status;
    if (sx_tensors_find(file, "dense_2.weight") || sx_tensors_find(file, "dense_3.weight"))
        return sx_fail(error, SX_E_UNSUPPORTED,
                       "%s: dense layers behind the pooling are read from folders of safetensors only", file->path);
    folder->path = sx_arena_strndup(&folder->arena, file->path, strlen(file->path));
    folder->modules = sx_arena_alloc(&folder->arena, sizeof *folder->modules);
    if (!folder->path || !folder->modules)
        return sx_fail_nomem(error, sizeof *folder->modules);
    folder->modules[0] = (sx_module_entry){SX_MODULE_NORMALIZE, folder->path};
    folder->module_count = 1;
    folder->transformer = folder->weights = folder->path;
    folder->kind = SX_MODEL_EMBEDDER;
    folder->include_prompt = true;
    folder->max_length = folder->architecture.longest;
    folder->default_prompt = "";
    folder->similarity = "cosine";
    return SX_OK;
}

static sx_status read_id(const sx_gguf *gguf, const char *name, int64_t *id, sx_error *error)
{
    uint64_t value = 0;
    bool found;
    sx_status status = sx_gguf_unsigned(gguf, name, &value, &found, error);
    /* ggml writes -1 as the largest number where there is no such token */
    *id = found && value < INT32_MAX ? (int64_t)value : -1;
    return status;
}

static sx_status read_choice(const sx_gguf *gguf, const char *name, int *choice, sx_error *error)
{
    bool value = false, found;
    sx_status status = sx_gguf_boolean(gguf, name, &value, &found, error);
    *choice = found ? value : -1;
    return status;
}

#define TOKENIZER "tokenizer.ggml."

static sx_status read_lists(const sx_gguf *gguf, sx_arena *arena, sx_gguf_vocabulary *v, sx_error *error)
{
    sx_text *tokens = NULL, *merges = NULL;
    double *scores = NULL, *types = NULL;
    size_t score_count = 0, type_count = 0;
    sx_status status;
    if ((status = sx_gguf_strings(gguf, TOKENIZER "tokens", arena, &tokens, &v->count, error)) ||
        (status = sx_gguf_strings(gguf, TOKENIZER "merges", arena, &merges, &v->merge_count, error)) ||
        (status = sx_gguf_numbers(gguf, TOKENIZER "scores", arena, &scores, &score_count, error)) ||
        (status = sx_gguf_numbers(gguf, TOKENIZER "token_type", arena, &types, &type_count, error)))
        return status;
    if (!tokens)
        return sx_fail(error, SX_E_FORMAT, "%s: metadata " TOKENIZER "tokens is missing", gguf->path);
    if ((scores && score_count != v->count) || (types && type_count != v->count))
        return sx_fail(error, SX_E_FORMAT, "%s: %zu tokens, but %zu scores and %zu types", gguf->path, v->count, score_count,
                       type_count);
    for (size_t i = 0; i < v->count && scores; i++)
        if (!isfinite(scores[i]))
            return sx_fail(error, SX_E_FORMAT, "%s: the score of token %zu is not finite", gguf->path, i);
    const sx_gguf_value *charsmap = sx_gguf_find(gguf, TOKENIZER "precompiled_charsmap");
    if (charsmap && (!charsmap->array || (charsmap->type != SX_GGUF_UINT8 && charsmap->type != SX_GGUF_INT8)))
        return sx_fail(error, SX_E_FORMAT, "%s: metadata " TOKENIZER "precompiled_charsmap is no list of bytes", gguf->path);
    v->charsmap = charsmap ? charsmap->data : NULL;
    v->charsmap_length = charsmap ? charsmap->count : 0;
    v->tokens = tokens;
    v->merges = merges;
    v->scores = scores;
    v->types = types;
    return SX_OK;
}

sx_status sx_gguf_tokenizer_open(const sx_tensors *file, sx_tokenizer **out, sx_error *error)
{
    const sx_gguf *gguf = file->gguf;
    sx_gguf_vocabulary v = {.path = file->path};
    sx_arena arena = {0};
    sx_status status;
    *out = NULL;
    if ((status = sx_gguf_string(gguf, TOKENIZER "model", &v.model, NULL, error)) ||
        (status = sx_gguf_string(gguf, TOKENIZER "pre", &v.pre, NULL, error)) ||
        (status = read_id(gguf, TOKENIZER "bos_token_id", &v.bos, error)) ||
        (status = read_id(gguf, TOKENIZER "eos_token_id", &v.eos, error)) ||
        (status = read_id(gguf, TOKENIZER "unknown_token_id", &v.unknown, error)) ||
        (status = read_id(gguf, TOKENIZER "seperator_token_id", &v.separator, error)) ||
        (status = read_id(gguf, TOKENIZER "padding_token_id", &v.padding, error)) ||
        (status = read_id(gguf, TOKENIZER "cls_token_id", &v.cls, error)) ||
        (status = read_id(gguf, TOKENIZER "mask_token_id", &v.mask, error)) ||
        (status = read_choice(gguf, TOKENIZER "add_bos_token", &v.add_bos, error)) ||
        (status = read_choice(gguf, TOKENIZER "add_eos_token", &v.add_eos, error)) ||
        (status = read_choice(gguf, TOKENIZER "add_sep_token", &v.add_separator, error)) ||
        (status = read_choice(gguf, TOKENIZER "add_space_prefix", &v.add_space_prefix, error)) ||
        (status = read_lists(gguf, &arena, &v, error)))
        goto out;
    status = sx_tokenizer_of_gguf(&v, out, error);
out:
    sx_arena_clear(&arena);
    return status;
}
