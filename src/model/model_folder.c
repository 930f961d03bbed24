/* model_folder.c - reading a sentence-transformers folder (modules.json and the modules' configs) or a plain Hugging Face one.
 *
 * The reference is sentence-transformers 5: which files it reads, in which order of precedence, and with which defaults. What
 * would change the vectors and is not understood is refused by name, never passed over.
 */
#include "model_folder.h"

#include "config_file.h"

#include "../base/error.h"
#include "../base/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- Lengths, prompts, weights ---- */

/* The file that limits texts and may ask for lower case, under the first of its names that is there with anything in it. */
static sx_status open_sentence_config(const sx_model_folder *folder, sx_config_file *file, sx_error *error)
{
    static const char *const names[] = {
        "sentence_bert_config.json",      "sentence_roberta_config.json", "sentence_distilbert_config.json",
        "sentence_camembert_config.json", "sentence_albert_config.json",  "sentence_xlm-roberta_config.json",
        "sentence_xlnet_config.json",
    };
    sx_status status = SX_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && !status; i++) {
        status = sx_config_open(folder->transformer, names[i], JSON_OBJECT, file, error);
        if (status || json_object_size(file->root) || i + 1 == sizeof names / sizeof *names)
            break;
        sx_config_close(file);
    }
    return status;
}

static sx_status read_lengths(sx_model_folder *folder, sx_error *error)
{
    sx_config_file file = {0}, tokenizer = {0};
    uint32_t length = 0, longest = folder->architecture.longest;
    sx_status status = SX_OK;
    if (folder->kind == SX_MODEL_STATIC)
        return SX_OK;
    if (folder->kind == SX_MODEL_EMBEDDER) /* a CrossEncoder has none */
        status = open_sentence_config(folder, &file, error);
    if (status)
        goto out;
    if ((status = sx_config_size(&file, "max_seq_length", 1, &length, error)) ||
        (status = sx_config_flag(&file, "do_lower_case", &folder->lower_case, error)))
        goto out;
    if (!length) {
        if ((status = sx_config_open(folder->transformer, "tokenizer_config.json", JSON_OBJECT, &tokenizer, error)))
            goto out;
        double number = json_number_value(json_object_get(tokenizer.root, "model_max_length"));
        length = number >= 1.0 && number < longest ? (uint32_t)number : longest;
    }
    folder->max_length = length < longest ? length : longest;
out:
    sx_config_close(&file);
    sx_config_close(&tokenizer);
    return status;
}

static sx_status read_prompts(sx_model_folder *folder, sx_error *error)
{
    sx_config_file file;
    const char *key, *chosen = NULL;
    json_t *value;
    folder->similarity = "cosine";
    folder->default_prompt = "";
    sx_status status = sx_config_open(folder->path, "config_sentence_transformers.json", JSON_OBJECT, &file, error);
    if (status || !file.root)
        goto out;
    if ((status = sx_config_string(&file, "similarity_fn_name", &folder->arena, &folder->similarity, error)) ||
        (status = sx_config_string(&file, "default_prompt_name", &folder->arena, &chosen, error)))
        goto out;
    json_t *prompts = json_object_get(file.root, "prompts");
    if (prompts && !json_is_object(prompts) && !json_is_null(prompts)) {
        status = sx_config_wrong_type(&file, "prompts", "an object", error);
        goto out;
    }
    folder->prompts = sx_arena_alloc(&folder->arena, (json_object_size(prompts) + 1) * sizeof *folder->prompts);
    if (!folder->prompts) {
        status = sx_fail_nomem(error, json_object_size(prompts) * sizeof *folder->prompts);
        goto out;
    }
    json_object_foreach(prompts, key, value) {
        sx_named_prompt *prompt = &folder->prompts[folder->prompt_count];
        if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value)) {
            status = sx_fail(error, SX_E_FORMAT, "%s: prompts: \"%s\": expected a string without NUL", file.path, key);
            goto out;
        }
        prompt->name = sx_arena_strndup(&folder->arena, key, strlen(key));
        prompt->text = sx_arena_strndup(&folder->arena, json_string_value(value), json_string_length(value));
        if (!prompt->name || !prompt->text) {
            status = sx_fail_nomem(error, json_string_length(value));
            goto out;
        }
        folder->prompt_count++;
        if (chosen && strcmp(chosen, prompt->name) == 0) {
            folder->default_prompt = prompt->text;
            chosen = NULL;
        }
    }
    if (chosen)
        status = sx_fail(error, SX_E_FORMAT, "%s: default_prompt_name: \"%s\" is not among the prompts", file.path, chosen);
out:
    sx_config_close(&file);
    return status;
}

static bool has_ending(const char *name, const char *ending)
{
    size_t length = strlen(name), part = strlen(ending);
    return length > part && strcmp(name + length - part, ending) == 0;
}

/* Weights other than the model's own lie beside bge-m3's. */
static bool is_head(const char *name)
{
    return strncmp(name, "sparse_linear.", strlen("sparse_linear.")) == 0 ||
           strncmp(name, "colbert_linear.", strlen("colbert_linear.")) == 0;
}

/* What else a folder without weights that can be read may hold. */
static const char *other_format(const char *name)
{
    static const char *const formats[][2] = {
        {".onnx", "ONNX"}, {"onnx", "ONNX"}, {"openvino", "OpenVINO"}, {"tf_model.h5", "TensorFlow"},
        {"flax_model.msgpack", "Flax"}, {"rust_model.ot", "rust-bert"}, {".mlmodel", "Core ML"}, {".gguf", "GGUF"},
    };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(name, formats[i][0]) == 0 || (formats[i][0][0] == '.' && has_ending(name, formats[i][0])))
            return formats[i][1];
    return NULL;
}

static sx_status no_weights(const sx_model_folder *folder, size_t safetensors, const char *other, sx_error *error)
{
    if (safetensors > 1)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: no model.safetensors, and %zu other .safetensors files without an index",
                       folder->transformer, safetensors);
    if (other && strcmp(other, "GGUF") == 0) {
        sx_fail(error, SX_E_NOT_FOUND, "%s: no model.safetensors, but a .gguf file", folder->transformer);
        sx_hint(error, "give the .gguf file itself as the model");
        return SX_E_NOT_FOUND;
    }
    if (other) {
        sx_fail(error, SX_E_UNSUPPORTED, "%s: the weights are there as %s only, which is not supported", folder->transformer,
                other);
        sx_hint(error, "the model's page mostly has model.safetensors or pytorch_model.bin too; fetch that file into the folder");
        return SX_E_UNSUPPORTED;
    }
    sx_fail(error, SX_E_NOT_FOUND, "%s: no model.safetensors and no pytorch_model.bin", folder->transformer);
    sx_hint(error, "a model folder holds config.json, model.safetensors and tokenizer.json");
    return SX_E_NOT_FOUND;
}

/* transformers' names first, then the one other .safetensors file there is. */
static sx_status find_weights(sx_model_folder *folder, sx_error *error)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                        "pytorch_model.bin.index.json"};
    char *path = NULL;
    const char *other = NULL;
    size_t found = 0;
    sx_status status = sx_weights_file_in(folder->transformer, names, 4, &path, NULL);
    if (status == SX_E_NOT_FOUND) {
        status = SX_OK;
        DIR *directory = opendir(folder->transformer);
        if (!directory)
            return sx_fail_errno(error, errno, "%s", folder->transformer);
        for (struct dirent *entry; !status && (entry = readdir(directory));) {
            const char *format = other_format(entry->d_name);
            other = format ? format : other;
            if (!has_ending(entry->d_name, ".safetensors") || is_head(entry->d_name))
                continue;
            found++;
            free(path);
            path = sx_path_join(folder->transformer, entry->d_name);
            status = path ? SX_OK : sx_fail_nomem(error, strlen(folder->transformer));
        }
        closedir(directory);
        if (!status && found != 1)
            status = no_weights(folder, found, other, error);
    } else if (status) {
        sx_fail_nomem(error, strlen(folder->transformer));
    }
    if (!status && !(folder->weights = sx_arena_strndup(&folder->arena, path, strlen(path))))
        status = sx_fail_nomem(error, strlen(path));
    free(path);
    return status;
}

static sx_status read_all(const char *path, sx_model_folder *folder, sx_error *error)
{
    struct stat status_of;
    folder->include_prompt = true;
    folder->path = folder->transformer = sx_arena_strndup(&folder->arena, path, strlen(path));
    if (!folder->path)
        return sx_fail_nomem(error, strlen(path));
    if (stat(path, &status_of) != 0)
        return sx_fail_errno(error, errno, "%s", path);
    if (!S_ISDIR(status_of.st_mode))
        return sx_fail(error, SX_E_FORMAT, "%s: not a folder", path);
    sx_status status = sx_model_folder_read_modules(folder, error);
    if (!status)
        status = read_lengths(folder, error);
    if (!status)
        status = read_prompts(folder, error);
    return status ? status : find_weights(folder, error);
}

sx_status sx_model_folder_read(const char *path, sx_model_folder *folder, sx_error *error)
{
    memset(folder, 0, sizeof *folder);
    sx_status status = read_all(path, folder, error);
    if (status)
        sx_model_folder_clear(folder);
    return status;
}

void sx_model_folder_clear(sx_model_folder *folder)
{
    sx_arena_clear(&folder->arena);
    memset(folder, 0, sizeof *folder);
}

static const char *prompt_named(const sx_model_folder *folder, const char *name)
{
    for (size_t i = 0; i < folder->prompt_count; i++)
        if (strcmp(folder->prompts[i].name, name) == 0)
            return folder->prompts[i].text;
    return NULL;
}

sx_status sx_model_folder_prompt(const sx_model_folder *folder, const char *name, const char **prompt, sx_error *error)
{
    const char *text = prompt_named(folder, name);
    *prompt = "";
    if (strcmp(name, "none") == 0) {
        text = folder->default_prompt;
    } else if (folder->recommended && strcmp(name, "query") == 0) {
        text = folder->recommended->query_prompt;
    } else if (folder->recommended && strcmp(name, "document") == 0) {
        text = folder->recommended->passage_prompt;
    } else if (strcmp(name, "document") == 0) {
        /* the names that encode_document() of sentence-transformers goes through */
        if (!text || !*text)
            text = prompt_named(folder, "passage");
        if (!text || !*text)
            text = prompt_named(folder, "corpus");
    }
    if (!text && strcmp(name, "query") != 0 && strcmp(name, "document") != 0) {
        sx_fail(error, SX_E_NOT_FOUND, "%s: no prompt named \"%s\"", folder->path, name);
        sx_hint(error, "query, document and none always work; this folder has %zu prompts of its own", folder->prompt_count);
        return SX_E_NOT_FOUND;
    }
    if (text)
        *prompt = text;
    return SX_OK;
}
