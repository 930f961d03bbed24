/* fuzz_config.c - any bytes as each of the JSON files of a model's folder: refused with a message or read, never a crash. The first
 * byte says which file they are; the other files are those of a small folder that is right. */
#include "model/model_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    const char *name, *right;
} files[] = {
    {"config.json", "{\"model_type\":\"bert\",\"vocab_size\":30,\"hidden_size\":8,\"num_hidden_layers\":1,\"num_attention_heads\":2,"
                    "\"intermediate_size\":16,\"max_position_embeddings\":32,\"type_vocab_size\":2,\"hidden_act\":\"gelu\"}"},
    {"modules.json", "[{\"type\":\"sentence_transformers.models.Transformer\",\"path\":\"\"},"
                     "{\"type\":\"sentence_transformers.models.Pooling\",\"path\":\"1_Pooling\"},"
                     "{\"type\":\"sentence_transformers.models.Dense\",\"path\":\"2_Dense\"}]"},
    {"1_Pooling/config.json", "{\"word_embedding_dimension\":8,\"pooling_mode_mean_tokens\":true}"},
    {"2_Dense/config.json", "{\"in_features\":8,\"out_features\":4,\"bias\":true}"},
    {"config_sentence_transformers.json", "{\"prompts\":{\"query\":\"q: \"},\"default_prompt_name\":null}"},
    {"sentence_bert_config.json", "{\"max_seq_length\":32}"},
    {"tokenizer_config.json", "{\"model_max_length\":32}"},
    {"model.safetensors", ""},
};
enum { FILES = sizeof files / sizeof *files, FUZZED = 7 };

static char folder[] = "/tmp/sextant-fuzz-config-XXXXXX";

static void put(size_t file, const void *data, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, files[file].name);
    FILE *opened = fopen(path, "wb");
    if (!opened || fwrite(data, 1, size, opened) != size || fclose(opened))
        abort();
}

static void clear_folder(void)
{
    char path[128];
    for (size_t i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
        unlink(path);
    }
    for (int i = 1; i <= 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, i == 1 ? "1_Pooling" : "2_Dense");
        rmdir(path);
    }
    rmdir(folder);
}

static void make_folder(void)
{
    char path[128];
    if (!mkdtemp(folder))
        abort();
    for (int i = 1; i <= 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, i == 1 ? "1_Pooling" : "2_Dense");
        if (mkdir(path, 0700))
            abort();
    }
    for (size_t i = 0; i < FILES; i++)
        put(i, files[i].right, strlen(files[i].right));
    atexit(clear_folder);
}

static void check(sx_status status, const sx_error *error)
{
    if (status && (status != error->code || !error->message[0] || status == SX_E_INTERNAL || status == SX_E_NOMEM))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int made;
    sx_model_folder read;
    sx_module_chain chain = {0};
    sx_error error = {0};
    if (size == 0)
        return 0;
    if (!made++)
        make_folder();
    size_t file = data[0] % FUZZED;
    put(file, data + 1, size - 1);
    sx_status status = sx_model_folder_read(folder, &read, &error);
    check(status, &error);
    if (!status) {
        const char *prompt;
        check(sx_model_folder_prompt(&read, "query", &prompt, &error), &error);
        status = sx_module_chain_open(read.modules, read.module_count, 8, sx_kernels_for(SX_CPU_C), &chain, &error);
        check(status, &error); /* there are no weights: always refused, unless no module has any */
        sx_module_chain_clear(&chain);
        sx_model_folder_clear(&read);
    }
    put(file, files[file].right, strlen(files[file].right));
    return 0;
}
