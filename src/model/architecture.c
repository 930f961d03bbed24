/* architecture.c - from config.json to an architecture, and what must hold in every one whoever read it. */
#include "architecture.h"

#include "config_file.h"
#include "family.h"

#include "../base/error.h"

#include <string.h>

sx_status sx_architecture_read(const char *folder, sx_arena *arena, sx_architecture *architecture, sx_error *error)
{
    sx_config_file file;
    const char *name = NULL;
    const sx_family *family;
    memset(architecture, 0, sizeof *architecture);
    sx_status status = sx_config_open(folder, "config.json", JSON_OBJECT, &file, error);
    if (status)
        goto out;
    if (!file.root) {
        status = sx_fail(error, SX_E_NOT_FOUND, "%s: no such file", file.path);
        sx_hint(error, "a model folder holds config.json, model.safetensors and tokenizer.json");
        goto out;
    }
    if ((status = sx_config_string(&file, "model_type", arena, &name, error)))
        goto out;
    if (!name) {
        status = sx_fail(error, SX_E_FORMAT, "%s: model_type: missing", file.path);
        goto out;
    }
    family = sx_family_find(name);
    if (!family) {
        char known[256];
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: model_type: \"%s\" is not supported", file.path, name);
        sx_family_list(known, sizeof known);
        sx_hint(error, "supported are %s", known);
        goto out;
    }
    architecture->family = family->model_type;
    architecture->names = family->names;
    architecture->rope_scale = architecture->embedding_scale = 1.0f;
    architecture->first_attention_norm = true;
    status = family->read(&file, arena, architecture, error);
    if (!status)
        status = sx_architecture_check(architecture, file.path, error);
out:
    sx_config_close(&file);
    return status;
}

/* ---- What every reader ends with ---- */

static sx_status check_sizes(const sx_architecture *a, const char *where, sx_error *error)
{
    const struct {
        const char *what;
        uint32_t value;
    } sizes[] = {
        {"layers", a->layers},
        {"hidden size", a->hidden_size},
        {"intermediate size", a->intermediate_size},
        {"vocabulary", a->vocabulary_size},
        {"embedding size", a->embedding_size},
        {"heads", a->heads},
        {"key heads", a->key_heads},
        {"head size", a->head_size},
        {"longest text", a->longest},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].value == 0 || sizes[i].value > SX_ARCHITECTURE_SIZE_MAX)
            return sx_fail(error, SX_E_FORMAT, "%s: %s: %u is not within 1 .. %d", where, sizes[i].what, sizes[i].value,
                           SX_ARCHITECTURE_SIZE_MAX);
    if (a->heads % a->key_heads)
        return sx_fail(error, SX_E_FORMAT, "%s: %u heads are no multiple of %u key and value heads", where, a->heads,
                       a->key_heads);
    if ((uint64_t)a->heads * a->head_size > SX_ARCHITECTURE_SIZE_MAX)
        return sx_fail(error, SX_E_FORMAT, "%s: %u heads of %u are more than %d together", where, a->heads, a->head_size,
                       SX_ARCHITECTURE_SIZE_MAX);
    return SX_OK;
}

static sx_status check_positions(const sx_architecture *a, const char *where, sx_error *error)
{
    if (a->longest > SX_LONGEST_TEXT)
        return sx_fail(error, SX_E_FORMAT, "%s: texts of %u tokens, but %d is the limit", where, a->longest, SX_LONGEST_TEXT);
    if (a->positions && (uint64_t)a->first_position + a->longest > a->positions)
        return sx_fail(error, SX_E_FORMAT, "%s: texts of %u tokens from position %u on need more than the %u positions there are",
                       where, a->longest, a->first_position, a->positions);
    if (a->skip_padding && a->first_position == 0)
        return sx_fail(error, SX_E_FORMAT, "%s: no position for padding", where);
    if (a->rope_theta > 0.0f && a->head_size % 2)
        return sx_fail(error, SX_E_FORMAT, "%s: rotary positions need heads of an even size, not %u", where, a->head_size);
    if (a->relative_buckets && (a->relative_buckets < 4 || a->relative_buckets / 4 >= a->relative_distance))
        return sx_fail(error, SX_E_FORMAT, "%s: %u relative position buckets do not reach a distance of %u", where,
                       a->relative_buckets, a->relative_distance);
    if (!(a->rope_scale > 0.0f) || !(a->attention_scale > 0.0f))
        return sx_fail(error, SX_E_FORMAT, "%s: a scale is %g, which is not positive", where,
                       a->rope_scale > 0.0f ? (double)a->attention_scale : (double)a->rope_scale);
    return SX_OK;
}

/* A mistake in a table of names shows here, not as a crash. */
static sx_status check_names(const sx_architecture *a, const char *where, sx_error *error)
{
    const sx_tensor_names *names = a->names;
    bool around = a->placement == SX_NORM_AROUND;
    const struct {
        const char *what;
        bool needed;
        const char *name;
    } needs[] = {
        {"word embeddings", true, names->words},
        {"positions", a->positions > 0, names->positions},
        {"token types", a->token_types > 0, names->token_types},
        {"embedding norm", a->embedding_norm, names->embedding_norm},
        {"embedding projection", a->embedding_projection, names->embedding_projection},
        {"layers", true, names->layer},
        {"queries", !names->mixed, names->query},
        {"keys", !names->mixed, names->key},
        {"values", !names->mixed, names->value},
        {"query norm", a->head_norms, names->query_norm},
        {"key norm", a->head_norms, names->key_norm},
        {"attention output", true, names->attention_output},
        {"attention norm", true, names->attention_norm},
        {"norm after attention", around, names->attention_after_norm},
        {"gate", a->gated && !names->gated, names->gate},
        {"feed-forward input", !names->gated, names->up},
        {"feed-forward output", true, names->down},
        {"feed-forward norm", true, names->feed_forward_norm},
        {"norm after feed-forward", around, names->feed_forward_after_norm},
        {"relative bias", a->relative_buckets > 0, names->relative_bias},
        {"final norm", a->final_norm, names->final_norm},
    };
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
        if (needs[i].needed && !needs[i].name)
            return sx_fail(error, SX_E_UNSUPPORTED, "%s: %s: no name is known for its %s", where, a->family, needs[i].what);
    return SX_OK;
}

sx_status sx_architecture_check(const sx_architecture *a, const char *where, sx_error *error)
{
    sx_status status = check_sizes(a, where, error);
    if (!status)
        status = check_positions(a, where, error);
    if (!status && a->embedding_size != a->hidden_size && !a->embedding_projection)
        status = sx_fail(error, SX_E_FORMAT, "%s: embeddings of %u, hidden states of %u, but no projection", where,
                         a->embedding_size, a->hidden_size);
    if (!status && a->tied_layers > a->layers)
        status = sx_fail(error, SX_E_FORMAT, "%s: %u tied layers of %u", where, a->tied_layers, a->layers);
    return status ? status : check_names(a, where, error);
}
