/* dense.c - linear layers behind the encoder: packing, applying, and PyTorch's names of activations. */
#include "dense.h"

#include "../base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *torch, *name;
    sx_activation activation;
} activations[] = {
    {"Identity", "identity", SX_ACTIVATION_NONE}, {"Tanh", "tanh", SX_ACTIVATION_TANH},
    {"ReLU", "relu", SX_ACTIVATION_RELU},         {"GELU", "gelu", SX_ACTIVATION_GELU},
    {"Sigmoid", "sigmoid", SX_ACTIVATION_SIGMOID}, {"SiLU", "silu", SX_ACTIVATION_SILU},
};

bool sx_activation_of_torch(const char *name, sx_activation *activation)
{
    const char *dot = strrchr(name, '.');
    if (!dot || strncmp(name, "torch.nn.", strlen("torch.nn.")) != 0)
        return false;
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++) {
        if (strcmp(dot + 1, activations[i].torch) == 0) {
            *activation = activations[i].activation;
            return true;
        }
    }
    return false;
}

const char *sx_activation_name(sx_activation activation)
{
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
        if (activations[i].activation == activation)
            return activations[i].name;
    return "gelu_tanh";
}

static void describe_shape(const size_t *shape, unsigned rank, char *text, size_t capacity)
{
    size_t used = (size_t)snprintf(text, capacity, "[");
    for (unsigned i = 0; i < rank && used < capacity; i++)
        used += (size_t)snprintf(text + used, capacity - used, "%s%zu", i ? ", " : "", shape[i]);
    if (used < capacity)
        snprintf(text + used, capacity - used, "]");
}

/* The tensor "name.ending" with the shape wanted; rows 0 in a wanted matrix: any number of rows. */
static sx_status find(const sx_tensors *file, const char *name, const char *ending, unsigned rank, size_t rows, size_t columns,
                      const sx_tensor **out, sx_error *error)
{
    char full[256], found[128], expected[64];
    snprintf(full, sizeof full, "%s%s%s", name, *name && *ending ? "." : "", ending);
    const sx_tensor *tensor = *out = sx_tensors_find(file, full);
    if (!tensor)
        return sx_fail(error, SX_E_FORMAT, "%s: tensor %s is missing", file->path, full);
    const char *path = sx_tensor_path(file, tensor);
    bool fits = tensor->rank == rank && tensor->shape[rank - 1] == columns &&
                (rank == 1 || (tensor->shape[0] && (!rows || tensor->shape[0] == rows)));
    if (!fits) {
        describe_shape(tensor->shape, tensor->rank, found, sizeof found);
        if (rank == 2 && rows)
            snprintf(expected, sizeof expected, "[%zu, %zu]", rows, columns);
        else
            snprintf(expected, sizeof expected, rank == 2 ? "[rows, %zu]" : "[%zu]", columns);
        return sx_fail(error, SX_E_FORMAT, "%s: tensor %s: shape %s, but %s is expected", path, full, found, expected);
    }
    if (tensor->dtype == SX_DTYPE_OTHER)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: tensor %s: dtype %s is not supported", path, full, tensor->dtype_name);
    return SX_OK;
}

static sx_status read_vector(const sx_tensor *tensor, const sx_kernels *kernels, float **out, sx_error *error)
{
    *out = sx_aligned_calloc(64, sx_panel_columns(kernels, tensor->elements), sizeof **out);
    if (!*out)
        return sx_fail_nomem(error, tensor->elements * sizeof **out);
    sx_tensor_read(tensor, kernels, 0, tensor->elements, *out);
    return SX_OK;
}

sx_status sx_dense_vector(const sx_tensors *file, const char *name, size_t width, const sx_kernels *kernels, float **out,
                          sx_error *error)
{
    const sx_tensor *tensor;
    *out = NULL;
    sx_status status = find(file, name, "", 1, 0, width, &tensor, error);
    return status ? status : read_vector(tensor, kernels, out, error);
}

static sx_status pack(const sx_tensor *weight, const sx_kernels *kernels, float **panels, sx_error *error)
{
    size_t outputs = weight->shape[0], inputs = weight->shape[1], width = kernels->panel_width, floats;
    if (!sx_multiply(sx_panel_columns(kernels, outputs), inputs, &floats))
        return sx_fail_nomem(error, SIZE_MAX);
    float *rows = sx_aligned_calloc(64, inputs * width, sizeof *rows);
    *panels = sx_aligned_calloc(64, floats, sizeof **panels);
    if (!rows || !*panels) {
        free(rows);
        return sx_fail_nomem(error, floats * sizeof **panels);
    }
    for (size_t first = 0; first < outputs; first += width) {
        size_t count = outputs - first < width ? outputs - first : width;
        sx_tensor_read(weight, kernels, first * inputs, count * inputs, rows);
        kernels->pack(rows, inputs, count, inputs, 1.0f, *panels + first * inputs);
    }
    free(rows);
    return SX_OK;
}

sx_status sx_dense_load(const sx_tensors *file, const char *name, size_t inputs, size_t outputs, bool with_bias,
                        sx_activation activation, const sx_kernels *kernels, sx_dense *dense, sx_error *error)
{
    const sx_tensor *weight, *bias = NULL;
    memset(dense, 0, sizeof *dense);
    sx_status status = find(file, name, "weight", 2, outputs, inputs, &weight, error);
    if (!status && with_bias)
        status = find(file, name, "bias", 1, 0, weight->shape[0], &bias, error);
    if (!status)
        status = pack(weight, kernels, &dense->panels, error);
    if (!status && bias)
        status = read_vector(bias, kernels, &dense->bias, error);
    if (status) {
        sx_dense_clear(dense);
        return status;
    }
    dense->inputs = inputs;
    dense->outputs = weight->shape[0];
    dense->activation = activation;
    dense->parameters = weight->elements + (bias ? bias->elements : 0);
    return SX_OK;
}

void sx_dense_clear(sx_dense *dense)
{
    free(dense->panels);
    free(dense->bias);
    memset(dense, 0, sizeof *dense);
}

void sx_dense_apply(const sx_dense *dense, const sx_kernels *kernels, const float *in, size_t in_stride, size_t rows, float *out,
                    size_t out_stride)
{
    sx_gemm job = {.a = in, .a_stride = in_stride, .rows = rows, .columns = dense->outputs, .depth = dense->inputs,
                   .panels = dense->panels, .bias = dense->bias, .out = out, .out_stride = out_stride,
                   .activation = dense->activation};
    kernels->gemm(&job);
}

sx_status sx_weights_file_in(const char *folder, const char *const *names, size_t count, char **path, sx_error *error)
{
    *path = NULL;
    for (size_t i = 0; i < count; i++) {
        char *candidate = sx_path_join(folder, names[i]);
        if (!candidate)
            return sx_fail_nomem(error, strlen(folder));
        if (sx_file_exists(candidate)) {
            *path = candidate;
            return SX_OK;
        }
        free(candidate);
    }
    return sx_fail(error, SX_E_NOT_FOUND, "%s: no %s", folder, names[0]);
}
