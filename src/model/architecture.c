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
    architecture->names = &family->names;
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

sx_status sx_architecture_check(const sx_architecture *a, const char *where, sx_error *error)
{
    return check_sizes(a, where, error);
}
