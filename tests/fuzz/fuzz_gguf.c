/* fuzz_gguf.c - any bytes as a GGUF file: refused or read, never a crash; every value of the metadata can be asked for. */
#include "model/gguf.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const sx_gguf *gguf, const char *key)
{
    sx_arena arena = {0};
    sx_error error;
    uint64_t whole;
    double number, *numbers;
    bool yes, found;
    sx_text text, *texts;
    size_t count;
    sx_gguf_unsigned(gguf, key, &whole, &found, &error);
    sx_gguf_number(gguf, key, &number, &found, &error);
    sx_gguf_boolean(gguf, key, &yes, &found, &error);
    sx_gguf_string(gguf, key, &text, &found, &error);
    sx_gguf_strings(gguf, key, &arena, &texts, &count, &error);
    sx_gguf_numbers(gguf, key, &arena, &numbers, &count, &error);
    sx_arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const sx_kernels *kernels;
    sx_tensors *file;
    sx_error error;
    if (!kernels)
        kernels = sx_kernels_for(SX_CPU_C);
    if (sx_tensors_parse(data, size, "fuzz", &file, &error))
        return 0;
    for (size_t i = 0; i < file->count; i++) {
        const sx_tensor *tensor = &file->tensors[i];
        float values[3];
        if (tensor->bytes && (tensor->data < data || tensor->data + tensor->bytes > data + size))
            abort();
        for (size_t j = 0; tensor->dtype != SX_DTYPE_OTHER && j + 3 <= tensor->elements; j += 3)
            sx_tensor_read(tensor, kernels, j, 3, values);
    }
    for (size_t i = 0; file->gguf && i < file->gguf->count; i++) {
        sx_text key = file->gguf->values[i].key;
        char name[256];
        if (key.length >= sizeof name || memchr(key.data, '\0', key.length))
            continue;
        memcpy(name, key.data, key.length);
        name[key.length] = '\0';
        if (sx_gguf_find(file->gguf, name) != &file->gguf->values[i])
            abort();
        ask(file->gguf, name);
    }
    sx_tensors_close(file);
    return 0;
}
