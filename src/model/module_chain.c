/* module_chain.c - sentence-transformers' modules that work on one vector: Dense, LayerNorm, Normalize. */
#include "module_chain.h"

#include "config_file.h"
#include "pooling.h"

#include "../base/error.h"

#include <stdlib.h>
#include <string.h>

static const float layer_norm_epsilon = 1e-5f; /* torch.nn.LayerNorm's, which the module does not change */

static sx_status open_file(const char *folder, sx_module *module, sx_tensors **file, sx_error *error)
{
    static const char *const names[] = {"model.safetensors", "pytorch_model.bin"};
    sx_status status = sx_weights_file_in(folder, names, 2, &module->file, error);
    return status ? status : sx_tensors_open(module->file, file, error);
}

static sx_status read_text(const sx_config_file *config, const char *key, const char **value, sx_error *error)
{
    json_t *field = json_object_get(config->root, key);
    if (field && !json_is_null(field) && !json_is_string(field))
        return sx_config_wrong_type(config, key, "a string", error);
    if (json_is_string(field))
        *value = json_string_value(field);
    return SX_OK;
}

/* Newer versions can put a Dense elsewhere than on the sentence's vector, or around a residual: other numbers, so refused. */
static sx_status check_place(const sx_config_file *config, sx_error *error)
{
    const char *from = "sentence_embedding", *to = NULL;
    bool residual = false;
    sx_status status;
    if ((status = read_text(config, "module_input_name", &from, error)) ||
        (status = read_text(config, "module_output_name", &to, error)) ||
        (status = sx_config_flag(config, "use_residual", &residual, error)))
        return status;
    if (strcmp(from, "sentence_embedding") != 0 || (to && strcmp(to, from) != 0))
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: a Dense module from %s to %s is not supported", config->path, from,
                       to ? to : from);
    return residual ? sx_fail(error, SX_E_UNSUPPORTED, "%s: use_residual is not supported", config->path) : SX_OK;
}

static sx_status open_dense(const sx_config_file *config, const sx_module_entry *entry, size_t inputs,
                            const sx_kernels *kernels, sx_module *module, sx_tensors **file, sx_error *error)
{
    uint32_t in = 0, out = 0;
    bool bias = true;
    const char *name = NULL;
    sx_activation activation;
    sx_status status;
    if ((status = check_place(config, error)) || (status = sx_config_size(config, "in_features", 1, &in, error)) ||
        (status = sx_config_size(config, "out_features", 1, &out, error)) ||
        (status = sx_config_flag(config, "bias", &bias, error)) ||
        (status = read_text(config, "activation_function", &name, error)))
        return status;
    if (!in || !out || !name)
        return sx_fail(error, SX_E_FORMAT, "%s: %s: missing", config->path,
                       !in    ? "in_features"
                       : !out ? "out_features"
                              : "activation_function");
    if (in != inputs)
        return sx_fail(error, SX_E_FORMAT, "%s: in_features is %u, but the module before gives %zu", config->path, in, inputs);
    if (!sx_activation_of_torch(name, &activation))
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: activation_function: \"%s\" is not supported", config->path, name);
    if ((status = open_file(entry->path, module, file, error)))
        return status;
    return sx_dense_load(*file, "linear", in, out, bias, activation, kernels, &module->dense, error);
}

static sx_status open_layer_norm(const sx_config_file *config, const sx_module_entry *entry, size_t inputs,
                                 const sx_kernels *kernels, sx_module *module, sx_tensors **file, sx_error *error)
{
    uint32_t width = 0;
    sx_status status = sx_config_size(config, "dimension", 1, &width, error);
    if (status)
        return status;
    if (width != inputs)
        return sx_fail(error, SX_E_FORMAT, "%s: dimension is %u, but the module before gives %zu", config->path, width, inputs);
    if ((status = open_file(entry->path, module, file, error)) ||
        (status = sx_dense_vector(*file, "norm.weight", width, kernels, &module->weight, error)))
        return status;
    return sx_dense_vector(*file, "norm.bias", width, kernels, &module->bias, error);
}

static sx_status open_module(sx_module_chain *chain, const sx_module_entry *entry, sx_module *module, sx_error *error)
{
    sx_config_file config = {0};
    sx_tensors *file = NULL;
    module->kind = entry->kind;
    if (entry->kind == SX_MODULE_NORMALIZE)
        return SX_OK;
    sx_status status = sx_config_open(entry->path, "config.json", JSON_OBJECT, &config, error);
    if (!status && !config.root)
        status = sx_fail(error, SX_E_NOT_FOUND, "%s: no such file, but modules.json names it", config.path);
    if (status)
        goto out;
    if (entry->kind == SX_MODULE_DENSE)
        status = open_dense(&config, entry, chain->outputs, chain->kernels, module, &file, error);
    else
        status = open_layer_norm(&config, entry, chain->outputs, chain->kernels, module, &file, error);
    if (status)
        goto out;
    if (entry->kind == SX_MODULE_DENSE)
        chain->outputs = module->dense.outputs;
    chain->parameters += entry->kind == SX_MODULE_DENSE ? module->dense.parameters : 2 * chain->outputs;
    chain->bytes += file->bytes;
    if (chain->outputs > chain->widest)
        chain->widest = chain->outputs;
out:
    sx_tensors_close(file);
    sx_config_close(&config);
    return status;
}

sx_status sx_module_chain_open(const sx_module_entry *entries, size_t count, size_t inputs, const sx_kernels *kernels,
                               sx_module_chain *chain, sx_error *error)
{
    sx_status status = SX_OK;
    *chain = (sx_module_chain){.kernels = kernels, .inputs = inputs, .outputs = inputs, .widest = inputs};
    chain->modules = sx_calloc(count ? count : 1, sizeof *chain->modules);
    if (!chain->modules)
        return sx_fail_nomem(error, count * sizeof *chain->modules);
    for (size_t i = 0; i < count && !status; i++) {
        chain->count++;
        status = open_module(chain, &entries[i], &chain->modules[i], error);
    }
    if (status)
        sx_module_chain_clear(chain);
    return status;
}

void sx_module_chain_clear(sx_module_chain *chain)
{
    for (size_t i = 0; i < chain->count; i++) {
        sx_dense_clear(&chain->modules[i].dense);
        free(chain->modules[i].weight);
        free(chain->modules[i].bias);
        free(chain->modules[i].file);
    }
    free(chain->modules);
    memset(chain, 0, sizeof *chain);
}

float *sx_module_chain_run(const sx_module_chain *chain, float *const buffers[2])
{
    float *now = buffers[0];
    size_t width = chain->inputs;
    for (size_t i = 0; i < chain->count; i++) {
        const sx_module *module = &chain->modules[i];
        sx_norm_job norm = {.in = now, .in_stride = width, .out = now, .out_stride = width, .rows = 1, .width = width,
                            .weight = module->weight, .bias = module->bias, .epsilon = layer_norm_epsilon};
        float *next = now == buffers[0] ? buffers[1] : buffers[0];
        switch (module->kind) {
        case SX_MODULE_DENSE:
            sx_dense_apply(&module->dense, chain->kernels, now, width, 1, next, module->dense.outputs);
            width = module->dense.outputs;
            now = next;
            break;
        case SX_MODULE_LAYER_NORM:
            chain->kernels->norm(&norm);
            break;
        case SX_MODULE_NORMALIZE:
            sx_normalize(now, width);
            break;
        }
    }
    return now;
}

void sx_module_chain_describe(const sx_module_chain *chain, sx_buffer *buffer)
{
    for (size_t i = 0; i < chain->count; i++) {
        const sx_module *module = &chain->modules[i];
        sx_buffer_append_string(buffer, i ? "," : "");
        if (module->kind == SX_MODULE_DENSE)
            sx_buffer_printf(buffer, "dense(%s)", sx_activation_name(module->dense.activation));
        else
            sx_buffer_append_string(buffer, module->kind == SX_MODULE_NORMALIZE ? "normalize" : "layernorm");
    }
}
