/* file_choice.c - the rules by which files of a repository are fetched or left.
 *
 * A repository often holds the same weights five times (safetensors, PyTorch, TensorFlow, ONNX, OpenVINO). What is read here, and
 * what Python's sentence-transformers would open, is wanted once.
 */
#include "file_choice.h"

#include <ctype.h>
#include <fnmatch.h>
#include <string.h>
#include <strings.h>

static const char *const plain_names[] = {
    "config.json",          "modules.json",       "config_sentence_transformers.json", "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",           "vocab.txt",
    "vocab.json",           "merges.txt",         "sentencepiece.bpe.model",           "spiece.model",
    "tokenizer.model",      "README.md",          "generation_config.json",            "sparse_linear.safetensors",
    "colbert_linear.safetensors",
};

/* Of weights in one folder the first that is there; shards follow their index. */
static const struct {
    const char *index, *shards;
} weight_forms[] = {
    {"model.safetensors", NULL},
    {"model.safetensors.index.json", "model-*-of-*.safetensors"},
    {"pytorch_model.bin", NULL},
    {"pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin"},
};

/* A small tensor file of its own: the safe form when both are there. */
static const char *const single_tensors[] = {"sparse_linear", "colbert_linear"};

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool same_folder(const char *a, const char *b)
{
    size_t length = (size_t)(name_of(a) - a);
    return length == (size_t)(name_of(b) - b) && strncmp(a, b, length) == 0;
}

/* The root, or a module's folder: 1_Pooling, 2_Dense, 0_Transformer. */
static bool is_model_folder(const char *path)
{
    const char *name = name_of(path);
    if (name == path)
        return true;
    const char *c = path;
    while (isdigit((unsigned char)*c))
        c++;
    return c > path && *c == '_' && memchr(path, '/', (size_t)(name - path)) == name - 1;
}

static bool is_configuration(const char *name)
{
    for (size_t i = 0; i < sizeof plain_names / sizeof *plain_names; i++)
        if (strcmp(name, plain_names[i]) == 0)
            return true;
    return fnmatch("sentence_*_config.json", name, 0) == 0 || strncasecmp(name, "LICENSE", 7) == 0 ||
           strncasecmp(name, "LICENCE", 7) == 0 || strncasecmp(name, "NOTICE", 6) == 0;
}

static bool is_there(const char *const *paths, size_t count, const char *beside, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (same_folder(paths[i], beside) && strcmp(name_of(paths[i]), name) == 0)
            return true;
    return false;
}

static bool is_wanted_weight(const char *const *paths, size_t count, const char *path)
{
    const char *name = name_of(path);
    for (size_t i = 0; i < sizeof weight_forms / sizeof *weight_forms; i++) {
        if (is_there(paths, count, path, weight_forms[i].index))
            return strcmp(name, weight_forms[i].index) == 0 ||
                   (weight_forms[i].shards && fnmatch(weight_forms[i].shards, name, 0) == 0);
    }
    return false;
}

static bool is_wanted_tensor(const char *const *paths, size_t count, const char *path)
{
    char safe[64];
    for (size_t i = 0; i < sizeof single_tensors / sizeof *single_tensors; i++) {
        size_t length = strlen(single_tensors[i]);
        if (strncmp(name_of(path), single_tensors[i], length) != 0 || strcmp(name_of(path) + length, ".pt") != 0)
            continue;
        memcpy(safe, single_tensors[i], length);
        strcpy(safe + length, ".safetensors");
        return !is_there(paths, count, path, safe);
    }
    return false;
}

size_t sx_hub_choose_files(const char *const *paths, size_t count, const char *const *patterns, size_t pattern_count,
                           bool *needed)
{
    size_t chosen = 0;
    for (size_t i = 0; i < count; i++) {
        needed[i] = false;
        for (size_t j = 0; j < pattern_count; j++)
            needed[i] = needed[i] || fnmatch(patterns[j], paths[i], 0) == 0;
        if (!pattern_count)
            needed[i] = is_model_folder(paths[i]) && (is_configuration(name_of(paths[i])) ||
                                                      is_wanted_weight(paths, count, paths[i]) ||
                                                      is_wanted_tensor(paths, count, paths[i]));
        chosen += needed[i];
    }
    return chosen;
}
