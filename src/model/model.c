/* model.c - opening a model: folder, weights, tokenizer, and the facts about it.
 *
 * The three slow things run side by side: packing on all cores, reading the tokenizer in one thread, and hashing the weights in
 * another, which nobody waits for before the hash is asked for.
 */
#include "model.h"

#include "pooling.h"

#include "../base/error.h"
#include "../base/options.h"
#include "../tok/tokenizer.h"

#include <stdlib.h>
#include <string.h>

/* ---- The weights' hash ---- */

static void *hash_main(void *argument)
{
    sx_model *model = argument;
    sx_sha256 hash;
    model->hash_status = sx_file_sha256(model->folder.weights, model->hash_folder, &hash, &model->hash_error);
    if (!model->hash_status)
        sx_sha256_hex(&hash, model->weights_hex);
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
    *hex = model->weights_hex;
    if (model->hash_status && error)
        *error = model->hash_error;
    return model->hash_status;
}

/* ---- Opening ---- */

typedef struct tokenizer_job {
    const char *folder;
    sx_tokenizer *tokenizer;
    sx_status status;
    sx_error error;
} tokenizer_job;

static void *tokenizer_main(void *argument)
{
    tokenizer_job *job = argument;
    job->status = sx_tokenizer_open(job->folder, &job->tokenizer, &job->error);
    return NULL;
}

static sx_status open_weights(sx_model *model, uint64_t cpu_mask, sx_error *error)
{
    sx_thread_pool *pool = NULL;
    sx_status status = sx_tensors_open(model->folder.weights, &model->file, error);
    if (!status)
        status = sx_thread_pool_open(0, &pool, error);
    if (!status)
        status = sx_weights_open(&model->folder.architecture, model->file, sx_kernels_for(cpu_mask), model->max_length, pool,
                                 &model->weights, error);
    sx_thread_pool_close(pool);
    if (!status)
        sx_encoder_init(&model->encoder, &model->folder.architecture, model->weights);
    return status;
}

static sx_status open_parts(sx_model *model, uint64_t cpu_mask, sx_error *error)
{
    tokenizer_job job = {.folder = model->folder.transformer};
    pthread_t thread;
    bool beside = pthread_create(&thread, NULL, tokenizer_main, &job) == 0;
    sx_status status = open_weights(model, cpu_mask, error);
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

/* What the caller's options make of the folder's modules. */
static sx_status apply_options(sx_model *model, const sx_model_options *options, sx_error *error)
{
    const sx_model_folder *folder = &model->folder;
    model->poolings = folder->poolings;
    if (options->pooling) {
        model->poolings = sx_pooling_of_name(options->pooling);
        if (!model->poolings) {
            sx_fail(error, SX_E_INVALID, "pooling: \"%s\" is none", options->pooling);
            sx_hint(error, "one of cls mean max mean_sqrt_len weightedmean lasttoken");
            return SX_E_INVALID;
        }
    }
    model->max_length = options->max_length ? options->max_length : folder->max_length;
    if (model->max_length > folder->max_length)
        return sx_fail(error, SX_E_INVALID, "max_length: %u, but %s takes at most %u tokens", model->max_length, folder->path,
                       folder->max_length);
    model->pooled_width = folder->architecture.hidden_size * sx_pooling_count(model->poolings);
    model->dimensions = options->dimensions ? options->dimensions : model->pooled_width;
    if (model->dimensions > model->pooled_width)
        return sx_fail(error, SX_E_INVALID, "dimensions: %u, but the vectors of %s have %u", model->dimensions, folder->path,
                       model->pooled_width);
    model->normalize = folder->normalize && !options->no_normalize;
    if (options->hash_folder && !(model->hash_folder = sx_strdup(options->hash_folder)))
        return sx_fail_nomem(error, strlen(options->hash_folder));
    if (folder->lower_case) {
        sx_fail(error, SX_E_UNSUPPORTED, "%s: sentence_bert_config.json: do_lower_case is not supported", folder->path);
        sx_hint(error, "where the tokenizer lowers the text itself, it can be set to false");
        return SX_E_UNSUPPORTED;
    }
    return SX_OK;
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
    model->info = (sx_model_info){
        .folder = folder->path,
        .family = folder->architecture.family,
        .pooling = model->pooling_name,
        .similarity = folder->similarity,
        .weights_file = folder->weights,
        .weights_sha256 = model->weights_hex,
        .precision = "f32",
        .storage = sx_dtype_storage(model->weights->storage),
        .kernels = model->weights->kernels->name,
        .weights_bytes = model->file->bytes,
        .parameters = model->weights->parameters,
        .dimensions = model->dimensions,
        .max_length = model->max_length,
        .layers = folder->architecture.layers,
        .hidden_size = folder->architecture.hidden_size,
        .heads = folder->architecture.heads,
        .vocabulary_size = folder->architecture.vocabulary_size,
        .normalized = model->normalize,
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
    if ((status = sx_model_folder_read(folder, &model->folder, error)) || (status = apply_options(model, &given, error)))
        goto out;
    hash_begin(model);
    if ((status = open_parts(model, given.cpu_mask, error)))
        goto out;
    uint32_t special = sx_tokenizer_special_count(model->tokenizer);
    if (model->folder.max_length <= special) {
        status = sx_fail(error, SX_E_FORMAT, "%s: max_seq_length: %u leaves no room beside %u special tokens",
                         model->folder.transformer, model->folder.max_length, special);
        goto out;
    }
    if (model->max_length <= special) {
        status = sx_fail(error, SX_E_INVALID, "max_length: %u leaves no room beside %u special tokens", model->max_length,
                         special);
        goto out;
    }
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
