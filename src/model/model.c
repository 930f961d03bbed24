/* model.c - opening a model: folder, weights, tokenizer, and the facts about it.
 *
 * The three slow things run side by side: packing on all cores, reading the tokenizer in one thread, and hashing the weights in
 * another, which nobody waits for before the hash is asked for.
 */
#include "model.h"

#include "config_file.h"
#include "gguf_model.h"
#include "pooling.h"
#include "recommended_prompts.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/options.h"
#include "../tok/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- The weights' hashes ---- */

static sx_status hash_file(sx_model *model, const char *path, sx_buffer *sums, char hex[SX_SHA256_HEX])
{
    sx_sha256 hash;
    sx_status status = sx_file_sha256(path, model->hash_folder, &hash, &model->hash_error);
    if (status)
        return status;
    sx_sha256_hex(&hash, hex);
    sx_buffer_append_string(sums, hex);
    return SX_OK;
}

static void *hash_main(void *argument)
{
    sx_model *model = argument;
    char hex[SX_SHA256_HEX];
    sx_buffer sums = {0};
    sx_sha256 hash;
    bool single = model->file->file_count == 1 && strcmp(model->file->paths[0], model->folder.weights) == 0;
    sx_status status = hash_file(model, model->folder.weights, &sums, model->weights_hex);
    for (unsigned i = 0; i < model->file->file_count && !single && !status; i++)
        status = hash_file(model, model->file->paths[i], &sums, hex);
    for (size_t i = 0; i < model->chain.count && !status; i++)
        if (model->chain.modules[i].file)
            status = hash_file(model, model->chain.modules[i].file, &sums, hex);
    if (!status && sums.failed)
        status = sx_fail_nomem(&model->hash_error, 0);
    if (!status && sums.length == SX_SHA256_HEX - 1) {
        memcpy(model->identity_hex, model->weights_hex, sizeof model->identity_hex);
    } else if (!status) {
        sx_sha256_of(sums.data, sums.length, &hash);
        sx_sha256_hex(&hash, model->identity_hex);
    }
    sx_buffer_clear(&sums);
    model->hash_status = status;
    return NULL;
}

static void hash_begin(sx_model *model)
{
    model->hashing = pthread_create(&model->hasher, NULL, hash_main, model) == 0;
    if (!model->hashing)
        hash_main(model);
}

sx_status sx_model_weights_hash(const sx_model *model, const char **hex, sx_error *error)
{
    sx_model *shared = (sx_model *)model; /* the fields below the lock are the model's one mutable part */
    pthread_mutex_lock(&shared->lock);
    if (shared->hashing)
        pthread_join(shared->hasher, NULL);
    shared->hashing = false;
    pthread_mutex_unlock(&shared->lock);
    *hex = model->identity_hex;
    if (model->hash_status && error)
        *error = model->hash_error;
    return model->hash_status;
}

/* ---- Opening ---- */

typedef struct tokenizer_job {
    const sx_model *model;
    sx_tokenizer *tokenizer;
    sx_status status;
    sx_error error;
} tokenizer_job;

static void *tokenizer_main(void *argument)
{
    tokenizer_job *job = argument;
    job->status = job->model->file->gguf
                      ? sx_gguf_tokenizer_open(job->model->file, &job->tokenizer, &job->error)
                      : sx_tokenizer_open(job->model->folder.transformer, &job->tokenizer, &job->error);
    return NULL;
}

/* The encoder, packed by all cores, and the head behind it; or the table. */
static sx_status open_weights(sx_model *model, sx_error *error)
{
    const sx_model_folder *folder = &model->folder;
    sx_thread_pool *pool = NULL;
    if (folder->kind == SX_MODEL_STATIC)
        return SX_OK;
    sx_status status = sx_thread_pool_open(0, &pool, error);
    if (!status)
        status = sx_weights_open(&folder->architecture, model->file, model->kernels, model->int8, model->storage,
                                 model->max_length, pool, &model->weights, error);
    sx_thread_pool_close(pool);
    if (status)
        return status;
    sx_encoder_init(&model->encoder, &folder->architecture, model->weights);
    uint32_t width = folder->architecture.hidden_size;
    if (folder->kind == SX_MODEL_CROSS_ENCODER)
        return sx_classification_head_open(folder->transformer, folder->architecture.family, width, model->file, model->kernels,
                                           &model->head, error);
    return sx_token_outputs_open(folder->transformer, width, model->kernels, &model->tokens, error);
}

static sx_status open_parts(sx_model *model, sx_error *error)
{
    tokenizer_job job = {.model = model};
    pthread_t thread;
    bool beside = pthread_create(&thread, NULL, tokenizer_main, &job) == 0;
    sx_status status = open_weights(model, error);
    if (beside)
        pthread_join(thread, NULL);
    else
        tokenizer_main(&job);
    model->tokenizer = job.tokenizer;
    if (!status && job.status) {
        status = job.status;
        if (error)
            *error = job.error;
    }
    return status;
}

static sx_status apply_length(sx_model *model, uint32_t asked, sx_error *error)
{
    /* The folder's limit is what its authors chose; asked for, a text may be as long as there are positions. */
    uint32_t usual = model->folder.max_length, most = usual;
    if (model->folder.kind != SX_MODEL_STATIC && asked > usual)
        most = model->folder.architecture.longest;
    model->max_length = asked ? asked : usual;
    if (most && model->max_length > most)
        return sx_fail(error, SX_E_INVALID, "max_length: %u, but %s takes at most %u tokens", model->max_length,
                       model->folder.path, most);
    return SX_OK;
}

static sx_status apply_pooling(sx_model *model, const char *asked, sx_error *error)
{
    const sx_model_folder *folder = &model->folder;
    model->poolings = folder->poolings;
    if (asked && !folder->poolings)
        return sx_fail(error, SX_E_INVALID, "pooling: \"%s\", but %s is a %s model without pooling", asked, folder->path,
                       folder->kind == SX_MODEL_STATIC ? "static" : "cross-encoder");
    if (asked && !(model->poolings = sx_pooling_of_name(asked))) {
        sx_fail(error, SX_E_INVALID, "pooling: \"%s\" is none", asked);
        sx_hint(error, "one of cls mean max mean_sqrt_len weightedmean lasttoken");
        return SX_E_INVALID;
    }
    model->pooled_width = folder->kind == SX_MODEL_STATIC
                              ? (uint32_t)model->table.width
                              : folder->architecture.hidden_size * sx_pooling_count(model->poolings);
    return SX_OK;
}

/* The modules behind the pooling, and what the caller's options make of them. */
static sx_status apply_modules(sx_model *model, const sx_model_options *options, sx_error *error)
{
    const sx_model_folder *folder = &model->folder;
    size_t count = folder->module_count;
    bool last = count && folder->modules[count - 1].kind == SX_MODULE_NORMALIZE;
    sx_status status = sx_module_chain_open(folder->modules, count - last, model->pooled_width, model->kernels, &model->chain,
                                            error);
    if (status)
        return status;
    uint32_t width = (uint32_t)model->chain.outputs;
    model->normalize = last && !options->no_normalize;
    model->dimensions = options->dimensions ? options->dimensions : width;
    if (model->dimensions > width)
        return sx_fail(error, SX_E_INVALID, "dimensions: %u, but the vectors of %s have %u", model->dimensions, folder->path,
                       width);
    return SX_OK;
}

/* What kind of model it is: a .gguf file says it in its metadata, a folder in its files. */
static sx_status read_folder(sx_model *model, const char *path, sx_error *error)
{
    const char *ending = ".gguf";
    size_t length = strlen(path);
    struct stat found;
    if (length <= strlen(ending) || strcmp(path + length - strlen(ending), ending) != 0 || stat(path, &found) != 0 ||
        S_ISDIR(found.st_mode))
        return sx_model_folder_read(path, &model->folder, error);
    sx_status status = sx_tensors_open(path, &model->file, error);
    if (!status && !model->file->gguf)
        status = sx_fail(error, SX_E_FORMAT, "%s: not a GGUF file", path);
    return status ? status : sx_model_folder_of_gguf(model->file, &model->folder, error);
}

static sx_status apply_precision(sx_model *model, const sx_model_options *options, sx_error *error)
{
    if (!options->precision || strcmp(options->precision, "f32") == 0)
        return SX_OK;
    if (strcmp(options->precision, "int8") != 0) {
        sx_fail(error, SX_E_INVALID, "precision: \"%s\" is none", options->precision);
        sx_hint(error, "one of f32 int8");
        return SX_E_INVALID;
    }
    if (model->folder.kind == SX_MODEL_STATIC)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: precision int8: a static model has no products that it would make faster",
                       model->folder.path);
    model->int8 = sx_int8_kernels_for(options->cpu_mask);
    return SX_OK;
}

static sx_status apply_storage(sx_model *model, const sx_model_options *options, sx_error *error)
{
    if (!options->storage)
        return SX_OK;
    if (strcmp(options->storage, "f32") != 0 && strcmp(options->storage, "f16") != 0) {
        sx_fail(error, SX_E_INVALID, "storage: \"%s\" is none", options->storage);
        sx_hint(error, "one of f32 f16");
        return SX_E_INVALID;
    }
    model->storage = strcmp(options->storage, "f32") == 0 ? SX_STORAGE_F32 : SX_STORAGE_HALF;
    if (model->storage == SX_STORAGE_F32)
        return SX_OK;
    if (model->int8)
        return sx_fail(error, SX_E_INVALID, "storage: f16 goes with precision f32; int8 holds weights in 8 bits already");
    if (model->folder.kind == SX_MODEL_STATIC)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: storage f16: a static model's table is used as the file holds it",
                       model->folder.path);
    return SX_OK;
}

static sx_status open_files(sx_model *model, const sx_model_options *options, sx_error *error)
{
    sx_status status = SX_OK;
    if (options->hash_folder && !(model->hash_folder = sx_strdup(options->hash_folder)))
        return sx_fail_nomem(error, strlen(options->hash_folder));
    model->kernels = sx_kernels_for(options->cpu_mask);
    if ((status = apply_precision(model, options, error)) || (status = apply_storage(model, options, error)))
        return status;
    sx_model_folder_recommend(&model->folder);
    if (!model->file)
        status = sx_tensors_open(model->folder.weights, &model->file, error);
    if (!status && model->folder.kind == SX_MODEL_STATIC)
        status = sx_static_model_open(model->file, &model->table, error);
    if (status || (status = apply_length(model, options->max_length, error)) ||
        (status = apply_pooling(model, options->pooling, error)))
        return status;
    return apply_modules(model, options, error);
}

/* Whether transformers gives the model token types: the model has them, and tokenizer_config.json does not leave them out. */
static sx_status read_second_type(sx_model *model, sx_error *error)
{
    sx_config_file file;
    sx_status status = sx_config_open(model->folder.transformer, "tokenizer_config.json", JSON_OBJECT, &file, error);
    json_t *names = json_object_get(file.root, "model_input_names"), *name;
    size_t index;
    model->second_type = model->folder.architecture.token_types > 1;
    if (json_is_array(names) && model->second_type) {
        model->second_type = false;
        json_array_foreach(names, index, name)
            if (json_is_string(name) && strcmp(json_string_value(name), "token_type_ids") == 0)
                model->second_type = true;
    }
    sx_config_close(&file);
    return status;
}

/* What must be looked up in the tokenizer, and agree with it. */
static sx_status join_tokenizer(sx_model *model, sx_error *error)
{
    const sx_model_folder *folder = &model->folder;
    uint32_t special = sx_tokenizer_special_count(model->tokenizer);
    if (folder->kind == SX_MODEL_STATIC)
        return sx_static_model_rules(folder->transformer, folder->model2vec, model->tokenizer, &model->table, error);
    if (folder->max_length <= special)
        return sx_fail(error, SX_E_FORMAT, "%s: max_seq_length: %u leaves no room beside %u special tokens", folder->transformer,
                       folder->max_length, special);
    if (model->max_length <= special)
        return sx_fail(error, SX_E_INVALID, "max_length: %u leaves no room beside %u special tokens", model->max_length, special);
    if (folder->kind == SX_MODEL_CROSS_ENCODER)
        return read_second_type(model, error);
    return model->tokens.sparse.outputs ? sx_token_outputs_exclude(folder->transformer, model->tokenizer, &model->tokens, error)
                                        : SX_OK;
}

static void describe(sx_model *model)
{
    const sx_model_folder *folder = &model->folder;
    for (unsigned kind = 0; kind < SX_POOLING_KINDS; kind++) {
        if (!(model->poolings >> kind & 1))
            continue;
        if (*model->pooling_name)
            strcat(model->pooling_name, "+");
        strcat(model->pooling_name, sx_pooling_name(kind));
    }
    static const char *const kinds[] = {"embedder", "cross-encoder", "static"};
    bool scores = folder->kind == SX_MODEL_CROSS_ENCODER;
    const sx_architecture *architecture = &folder->architecture;
    model->outputs = (scores ? SX_OUTPUT_SCORES : SX_OUTPUT_DENSE) | (model->tokens.sparse.outputs ? SX_OUTPUT_SPARSE : 0) |
                     (model->tokens.multi.outputs ? SX_OUTPUT_MULTI : 0);
    model->info = (sx_model_info){
        .folder = folder->path,
        .family = architecture->family,
        .pooling = model->pooling_name,
        .similarity = folder->similarity,
        .weights_file = folder->weights,
        .weights_sha256 = model->weights_hex,
        .precision = model->int8 ? "int8/2" : model->weights && model->weights->rounded ? "f32/f16w" : "f32",
        .storage = model->weights ? sx_dtype_storage(model->weights->storage)
                                  : sx_dtype_storage(model->table.embeddings->dtype),
        .kernels = model->int8 ? model->int8->name : model->kernels->name,
        .weights_bytes = model->file->bytes + model->chain.bytes + model->tokens.bytes,
        .parameters = (model->weights ? model->weights->parameters : model->table.parameters) + model->chain.parameters +
                      model->head.parameters + model->tokens.parameters,
        .dimensions = scores ? 0 : model->dimensions,
        .max_length = model->max_length,
        .layers = architecture->layers,
        .hidden_size = model->weights ? architecture->hidden_size : (uint32_t)model->table.width,
        .heads = architecture->heads,
        .vocabulary_size = model->weights ? architecture->vocabulary_size : (uint32_t)model->table.tokens,
        .normalized = model->normalize,
        .kind = kinds[folder->kind],
        .outputs = model->outputs,
        .multi_dimensions = (uint32_t)model->tokens.multi.outputs,
        .labels = (uint32_t)model->head.output.outputs,
    };
}

sx_status sx_model_open(const char *folder, const sx_model_options *options, sx_model **out, sx_error *error)
{
    sx_model_options given;
    if (!out)
        return sx_fail(error, SX_E_INVALID, "sx_model_open: out is NULL");
    *out = NULL;
    if (!folder)
        return sx_fail(error, SX_E_INVALID, "sx_model_open: folder is NULL");
    sx_status status = sx_options_read(options, &given, sizeof given, "sx_model_options", error);
    if (status)
        return status;
    sx_model *model = sx_calloc(1, sizeof *model);
    if (!model)
        return sx_fail_nomem(error, sizeof *model);
    pthread_mutex_init(&model->lock, NULL);
    if ((status = read_folder(model, folder, error)) || (status = open_files(model, &given, error)))
        goto out;
    hash_begin(model);
    if ((status = open_parts(model, error)) || (status = join_tokenizer(model, error)))
        goto out;
    describe(model);
    *out = model;
    model = NULL;
out:
    sx_model_close(model);
    return status;
}

void sx_model_close(sx_model *model)
{
    if (!model)
        return;
    if (model->hashing)
        pthread_join(model->hasher, NULL);
    sx_tokenizer_close(model->tokenizer);
    sx_weights_close(model->weights);
    sx_static_model_clear(&model->table);
    sx_classification_head_clear(&model->head);
    sx_token_outputs_clear(&model->tokens);
    sx_module_chain_clear(&model->chain);
    sx_tensors_close(model->file);
    sx_model_folder_clear(&model->folder);
    free(model->hash_folder);
    pthread_mutex_destroy(&model->lock);
    free(model);
}

const sx_model_info *sx_model_describe(const sx_model *model)
{
    const char *hex;
    if (!model)
        return NULL;
    sx_model_weights_hash(model, &hex, NULL); /* weights_sha256 stays "" when the file could not be read */
    return &model->info;
}

const sx_tokenizer *sx_model_tokenizer(const sx_model *model)
{
    return model ? model->tokenizer : NULL;
}

sx_status sx_model_prompt(const sx_model *model, const char *name, const char **prompt, sx_error *error)
{
    if (!prompt)
        return sx_fail(error, SX_E_INVALID, "sx_model_prompt: prompt is NULL");
    *prompt = NULL;
    if (!model || !name)
        return sx_fail(error, SX_E_INVALID, "sx_model_prompt: %s is NULL", model ? "name" : "model");
    return sx_model_folder_prompt(&model->folder, name, prompt, error);
}

int sx_model_prompt_at(const sx_model *model, size_t index, sx_prompt *prompt)
{
    if (!model || !prompt)
        return 0;
    const sx_known_model *recommended = model->folder.recommended;
    if (recommended && index < 2)
        *prompt = index == 0 ? (sx_prompt){"query", recommended->query_prompt, "recommended"}
                             : (sx_prompt){"document", recommended->passage_prompt, "recommended"};
    else if (!recommended && index < model->folder.prompt_count)
        *prompt = (sx_prompt){model->folder.prompts[index].name, model->folder.prompts[index].text, "files"};
    else
        return 0;
    return 1;
}
