/* sextant.h - the whole public interface of libsextant, and its manual.
 *
 * Sextant turns text into embedding vectors with its own encoder, keeps them in a database, keeps them fresh, and
 * searches them. The shortest useful program:
 *
 *     sx_error error;
 *     sx_model *model;
 *     sx_session *session;
 *     float vector[384];
 *     sx_text text = {"hello, world", 12};
 *     if (sx_model_open("all-MiniLM-L6-v2", NULL, &model, &error) ||
 *         sx_session_open(model, NULL, &session, &error) ||
 *         sx_session_embed(session, &text, 1, NULL, vector, NULL, &error))
 *         fprintf(stderr, "%s\n", error.message);
 *     sx_session_close(session);
 *     sx_model_close(model);
 *
 * Rules that hold everywhere
 *   Status      Functions that can fail return sx_status: SX_OK (0) or a negative code. The last argument is an
 *               optional sx_error owned by the caller; on failure it holds one line that names the thing, the place
 *               and the values that disagree, and often a hint what to do. On success it is left alone.
 *   Ownership   A function that makes something stores it in *out, or NULL on failure; the caller ends it with the
 *               matching _close or _free. Closing NULL does nothing. Strings in structs that the library fills belong
 *               to the object they came from and live as long as it does.
 *   Options     Options structs begin with `size` = sizeof(the struct); a field that is zero means its default;
 *               NULL for the whole struct means all defaults. Non-zero bytes beyond what this version knows are
 *               refused with SX_E_INVALID rather than ignored.
 *   Threads     No global mutable state. A sx_tokenizer and a sx_model are immutable once open: any number of threads
 *               may use one. A sx_session, sx_embedder and sx_database belong to one thread at a time.
 *   Text        UTF-8 bytes with a length; NUL bytes are allowed. Invalid UTF-8 is read as U+FFFD, one for each maximal
 *               invalid part (Unicode 15, section 3.9, "U+FFFD substitution of maximal subparts"). Offsets are bytes.
 *   Vectors     float32, row-major, row i for text i.
 *   The library never prints, exits or reads the environment; logging and progress are callbacks.
 */
#ifndef SEXTANT_H
#define SEXTANT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SX_API __attribute__((visibility("default")))
#else
#define SX_API
#endif

#define SX_VERSION_MAJOR 0
#define SX_VERSION_MINOR 1
#define SX_VERSION_PATCH 0

/* "0.1.0" of the library that is running, which may differ from the header's. */
SX_API const char *sx_version(void);

/* ---- Status and errors ------------------------------------------------------------------------------------------ */

typedef enum sx_status {
    SX_OK = 0,
    SX_E_INVALID = -1,     /* the call itself is wrong: a NULL, an unknown option, a size that makes no sense */
    SX_E_NOMEM = -2,       /* memory could not be had */
    SX_E_IO = -3,          /* the operating system refused a read, write or open */
    SX_E_NOT_FOUND = -4,   /* no such file, model, collection, document */
    SX_E_FORMAT = -5,      /* a file is damaged or not what it claims to be */
    SX_E_UNSUPPORTED = -6, /* well-formed, but this version cannot do it */
    SX_E_MISMATCH = -7,    /* two things that must agree do not: model and collection, dimensions, versions */
    SX_E_LIMIT = -8,       /* a stated limit was exceeded: text too long under strict, file too large */
    SX_E_BUSY = -9,        /* somebody else holds it, and waiting was not wanted or took too long */
    SX_E_STOPPED = -10,    /* the caller asked to stop; what was done so far is kept */
    SX_E_FULL = -11,       /* no space left on the device */
    SX_E_READ_ONLY = -12,  /* no permission to write there */
    SX_E_PROVIDER = -13,   /* an embedding provider failed for good */
    SX_E_EXISTS = -14,     /* it is there already */
    SX_E_INTERNAL = -15,   /* a defect of Sextant itself */
    SX_E_NETWORK = -16,    /* no connection, a connection cut off, no answer in time */
    SX_E_DENIED = -17      /* a service refused: no key, a wrong one, or one without the right */
} sx_status;

typedef struct sx_error {
    sx_status code;
    char message[1024]; /* "what: where: why", one line, UTF-8, NUL-terminated */
    char hint[512];     /* what to do about it, or "" */
} sx_error;

/* "not_found" for SX_E_NOT_FOUND and so on: stable, for machines. */
SX_API const char *sx_status_name(sx_status status);

/* ---- Callbacks and common types --------------------------------------------------------------------------------- */

typedef struct sx_text {
    const char *data; /* length bytes of UTF-8; may be NULL when length is 0 */
    size_t length;
} sx_text;

typedef enum sx_log_level { SX_LOG_ERROR, SX_LOG_WARNING, SX_LOG_INFO, SX_LOG_DEBUG } sx_log_level;
typedef void (*sx_log_callback)(sx_log_level level, const char *message, void *user);

/* How far a long operation is. `total` is known before the first report of a phase. */
typedef struct sx_progress {
    const char *phase;   /* "scanning", "embedding", "publishing" ... */
    const char *unit;    /* what done and total count: "files", "chunks" */
    uint64_t done, total;
    uint64_t tokens;     /* tokens embedded so far in this operation */
    double seconds;      /* since the operation began */
    double rate;         /* units a second over the last few seconds */
    double seconds_left; /* estimate; negative when unknown */
} sx_progress;
typedef void (*sx_progress_callback)(const sx_progress *progress, void *user);

/* What became of one input. Nothing is cut, skipped or replaced without a trace here. */
typedef struct sx_receipt {
    sx_status status;        /* SX_OK, or why this input has no vector; its row is then all NaN */
    uint32_t tokens;         /* tokens the model saw, special tokens and prompt included */
    uint32_t dropped_tokens; /* tokens cut off the end to fit the maximum length */
    uint8_t truncated;       /* dropped_tokens > 0 */
    uint8_t cached;          /* the vector came from the cache */
    uint8_t empty;           /* nothing but white space */
    uint8_t retries;         /* attempts beyond the first, at most 255 */
    const char *message;     /* why it failed, or NULL; valid until the next call on the same object */
} sx_receipt;

/* ---- Tokenizer --------------------------------------------------------------------------------------------------- */

typedef struct sx_tokenizer sx_tokenizer;

/* A growable list of tokens, owned by the caller and reused from call to call. Zero-initialise it. */
typedef struct sx_encoding {
    uint32_t *ids;
    uint32_t *starts;  /* byte offset of the token's first byte in the text; 0 for special tokens added */
    uint32_t *ends;    /* one past its last byte; 0 for special tokens added */
    size_t count;      /* tokens in the arrays */
    size_t dropped;    /* tokens beyond max_length that were left out */
    size_t capacity;
    void *scratch;     /* the library's own, kept from call to call */
} sx_encoding;

typedef struct sx_encode_options {
    size_t size;
    int no_special;      /* do not add [CLS], [SEP] and the like */
    uint32_t max_length; /* most tokens, special tokens included; 0: no limit */
} sx_encode_options;

/* Opens tokenizer.json of a model folder (or the file itself); where there is none, vocab.txt or vocab.json and merges.txt, with
 * tokenizer_config.json; or a file of ranks of OpenAI's, which its name tells apart: cl100k_base.tiktoken, o200k_base.tiktoken,
 * p50k_base.tiktoken, r50k_base.tiktoken (special tokens in a text are then ordinary text). Truncation and padding settings inside the file are ignored: the caller's options rule.
 * Errors: SX_E_NOT_FOUND, SX_E_FORMAT, SX_E_UNSUPPORTED naming the component. */
SX_API sx_status sx_tokenizer_open(const char *path, sx_tokenizer **out, sx_error *error);
SX_API void sx_tokenizer_close(sx_tokenizer *tokenizer);

/* Token ids of one text, identical to Hugging Face tokenizers'. Texts of 4 GiB and more are refused (SX_E_LIMIT). */
SX_API sx_status sx_tokenizer_encode(const sx_tokenizer *tokenizer, sx_text text, const sx_encode_options *options,
                                     sx_encoding *encoding, sx_error *error);
SX_API void sx_encoding_clear(sx_encoding *encoding);

SX_API uint32_t sx_tokenizer_vocabulary_size(const sx_tokenizer *tokenizer);
/* The piece of a token id as the vocabulary spells it ("##ing"); {NULL, 0} for an id that is none. */
SX_API sx_text sx_tokenizer_piece(const sx_tokenizer *tokenizer, uint32_t id);

/* ---- Model and session ------------------------------------------------------------------------------------------- */

typedef struct sx_model sx_model;
typedef struct sx_session sx_session;

typedef struct sx_model_options {
    size_t size;
    const char *pooling;     /* overrides the folder's: cls mean max mean_sqrt_len weightedmean lasttoken */
    uint32_t max_length;     /* at most the positions the architecture has; 0: what the folder says */
    uint32_t dimensions;     /* Matryoshka truncation: the first so many of the vector, before a last Normalize; 0: all */
    int no_normalize;        /* leave out the folder's last Normalize module */
    uint64_t cpu_mask;       /* instruction sets to use, SX_CPU_*; 0: all this machine has */
    const char *hash_folder; /* where sha-256 sums of weights are remembered between runs; NULL: nowhere */
    const char *precision;   /* of the layers' products: "f32" (NULL too) or "int8": several times as fast, with vectors in the same
                              * space whose cosine to those of f32 is 0.998 or so; the recipe tells them apart */
    const char *storage;     /* of the matrices in memory, with precision f32: "f32"; "f16": halves, in half the memory; NULL: halves
                              * where the file has halves, else floats. What is published as f16 or bf16 stays so and gives the same
                              * bits in any storage; what is not is rounded once, which the recipe tells */
} sx_model_options;

enum {
    SX_CPU_C = 1,
    SX_CPU_AVX2 = 2,
    SX_CPU_AVX512 = 4,
    SX_CPU_AVX512_VNNI = 8,
    SX_CPU_AVX_VNNI = 16,
    SX_CPU_NEON = 32,        /* 64-bit ARM; then with dot products, and with matrix products, of bytes */
    SX_CPU_NEON_DOT = 64,
    SX_CPU_NEON_I8MM = 128
};

/* What a model can give: sx_model_info.outputs, sx_embed_options.outputs. */
enum {
    SX_OUTPUT_DENSE = 1,     /* one vector for a text */
    SX_OUTPUT_SPARSE = 2,    /* a weight for some of its token ids (bge-m3) */
    SX_OUTPUT_MULTI = 4,     /* a vector for each of its tokens (bge-m3) */
    SX_OUTPUT_SCORES = 8     /* labels of a pair of texts: sx_session_score (cross-encoders) */
};

typedef struct sx_model_info {
    const char *folder;
    const char *family;      /* "bert"; "static" */
    const char *pooling;     /* "mean"; "" when there is none */
    const char *similarity;  /* "cosine" */
    const char *weights_file;   /* the index where there are several */
    const char *weights_sha256; /* of that file, 64 hexadecimal digits */
    const char *precision;   /* "f32", "f32/f16w" (weights rounded to halves), "int8/2": the arithmetic's precision class, with a
                              * revision when not the reference */
    const char *storage;     /* "f32", "f16", "bf16": how the file holds the weights */
    const char *kernels;     /* "avx512": the instruction set in use */
    uint64_t weights_bytes;
    uint64_t parameters;
    uint32_t dimensions, max_length, layers, hidden_size, heads, vocabulary_size; /* dimensions 0: gives no vectors */
    int normalized;          /* vectors have length 1 */
    const char *kind;        /* "embedder", "cross-encoder", "static" */
    unsigned outputs;        /* SX_OUTPUT_* */
    uint32_t multi_dimensions; /* of the vectors of SX_OUTPUT_MULTI */
    uint32_t labels;         /* of SX_OUTPUT_SCORES */
} sx_model_info;

/* Opens a sentence-transformers, model2vec or plain Hugging Face folder, or a .gguf file. A plain folder is a cross-encoder
 * when its config.json names a ForSequenceClassification architecture, and else an embedder with mean pooling, as
 * sentence-transformers makes of it. Weights are mapped; matrices are packed for the CPU. max_length of sx_model_info is 0
 * for static models without a limit.
 * Errors name the file, the field and the numbers that disagree. */
SX_API sx_status sx_model_open(const char *folder, const sx_model_options *options, sx_model **out, sx_error *error);
SX_API void sx_model_close(sx_model *model);
SX_API const sx_model_info *sx_model_describe(const sx_model *model);
SX_API const sx_tokenizer *sx_model_tokenizer(const sx_model *model);

/* The prompt for a role or prompt name: "query", "document", any name in the folder, or "none" (the folder's default
 * prompt, as sentence-transformers' encode() does). "" when the folder has none for it. Where a known model's own files say
 * nothing at all (bge-*-v1.5, e5-*), "query" and "document" are what its authors recommend. SX_E_NOT_FOUND for a name that is
 * neither a role nor in the folder. */
SX_API sx_status sx_model_prompt(const sx_model *model, const char *name, const char **prompt, sx_error *error);
typedef struct sx_prompt {
    const char *name, *text;
    const char *source;  /* "files": the model's; "recommended": by its authors, see sx_models_known */
} sx_prompt;
/* The prompts in turn, from 0; returns 0 beyond the last. */
SX_API int sx_model_prompt_at(const sx_model *model, size_t index, sx_prompt *prompt);

typedef struct sx_session_options {
    size_t size;
    unsigned threads;    /* 0: all cores */
} sx_session_options;

/* Scratch memory and worker threads for one caller at a time. */
SX_API sx_status sx_session_open(const sx_model *model, const sx_session_options *options, sx_session **out,
                                 sx_error *error);
SX_API void sx_session_close(sx_session *session);
/* The model it was opened with; NULL for NULL. */
SX_API const sx_model *sx_session_model(const sx_session *session);

typedef struct sx_embed_options {
    size_t size;
    const char *prompt;  /* put before each text; NULL: the folder's default prompt; "": none */
    int strict;          /* a text that does not fit fails (SX_E_LIMIT in its receipt) instead of being cut */
    unsigned outputs;    /* SX_OUTPUT_DENSE, _SPARSE, _MULTI, all of one pass; 0: dense */
    uint32_t dimensions; /* rows are the first so many of the vector, as sx_model_options says it; 0: the model's */
    int normalize;       /* 1: vectors get length 1; -1: they are left what they are before a last Normalize; 0: as the model does */
} sx_embed_options;

/* Embeds count texts into vectors (count x dimensions floats, the model's or the options', caller's; may be NULL when outputs are asked for without
 * SX_OUTPUT_DENSE). receipts (count, caller's) may be NULL, but then a failed text fails the call. The same text gives the
 * same bits whatever it is batched with and however many threads run. SX_E_UNSUPPORTED: the model has no such output. */
SX_API sx_status sx_session_embed(sx_session *session, const sx_text *texts, size_t count,
                                  const sx_embed_options *options, float *vectors, sx_receipt *receipts,
                                  sx_error *error);

/* A text that is tokens already, as the model takes them: special tokens included. */
typedef struct sx_tokens {
    const uint32_t *ids;
    size_t count;
} sx_tokens;
/* As sx_session_embed, without tokenizer and prompt; a text of more tokens than the model takes fails (SX_E_LIMIT). Not for
 * static models and cross-encoders (SX_E_UNSUPPORTED). */
SX_API sx_status sx_session_embed_tokens(sx_session *session, const sx_tokens *texts, size_t count,
                                         const sx_embed_options *options, float *vectors, sx_receipt *receipts,
                                         sx_error *error);

/* What one text has beside its vector. What was not asked for, and all of a text that failed, is empty. */
typedef struct sx_text_outputs {
    const uint32_t *ids;   /* token ids, ascending, without those of cls, eos, pad and unknown */
    const float *weights;  /* a lexical weight above 0 for each */
    size_t weight_count;
    const float *vectors;  /* vector_count x multi_dimensions floats; vectors of length 1, one for each token but the first */
    size_t vector_count;
} sx_text_outputs;
/* For each text of the last sx_session_embed that asked for SX_OUTPUT_SPARSE or SX_OUTPUT_MULTI, in order; *count of them. They
 * are the session's, until its next call. NULL when nothing was asked for. */
SX_API const sx_text_outputs *sx_session_outputs(const sx_session *session, size_t *count);

typedef struct sx_score_options {
    size_t size;
    int strict;            /* a pair that does not fit fails instead of being cut */
} sx_score_options;

/* A cross-encoder's opinion of (query, text) for each of count texts. logits and scores are count x labels floats, the caller's,
 * either may be NULL: the head's output, and the same behind the activation the model is published with (sigmoid for one
 * label unless said otherwise). A pair that is too long loses tokens from the end of its longer text. receipts as in
 * sx_session_embed; `empty` is about the text. SX_E_UNSUPPORTED: the model is no cross-encoder. */
SX_API sx_status sx_session_score(sx_session *session, sx_text query, const sx_text *texts, size_t count,
                                  const sx_score_options *options, float *logits, float *scores, sx_receipt *receipts,
                                  sx_error *error);

/* The tokens that sx_session_embed, with this prompt (NULL: the folder's default; "": none), would feed the model for a text; with
 * a query (not NULL; cross-encoders only) those of the pair. Cut to what the model takes. *tokens are the session's until its
 * next call. */
SX_API sx_status sx_session_tokens(sx_session *session, const sx_text *query, sx_text text, const char *prompt, sx_tokens *tokens,
                                   sx_error *error);

/* ---- Places and model files -------------------------------------------------------------------------------------- */

/* Where things lie. The program fills it from flags and environment; the library reads no environment. All may be NULL. */
typedef struct sx_places {
    size_t size;
    const char *models_folder;   /* imported models: <models_folder>/<name>/ with a model.json beside the files */
    const char *hub_cache;       /* Hugging Face cache: holds models--org--name/ */
    const char *cache_folder;    /* remembered weight hashes */
} sx_places;

typedef struct sx_model_entry {
    char *name;        /* alias or org/name, as one would give it to -m */
    char *folder;      /* or the .gguf file */
    char *source;      /* "imported", "hub cache" */
    char *family;
    char *sha256;      /* of the weights, "" when not known yet */
    char *licence;     /* "" when not known */
    uint64_t bytes;    /* of all files of weights */
    uint32_t dimensions, max_length; /* 0: none, or not known */
    char *kind;        /* "embedder", "cross-encoder", "static"; "" when not known */
} sx_model_entry;
typedef struct sx_model_list {
    sx_model_entry *entries;
    size_t count;
} sx_model_list;

/* The folder a model reference means: a path, an imported name or alias ("minilm"), or org/name in the hub cache.
 * *folder is malloc'ed; the caller frees it with sx_free. */
SX_API sx_status sx_models_resolve(const sx_places *places, const char *reference, char **folder, sx_error *error);
/* Whether a reference names a model that runs elsewhere ("openai:NAME", "tei@URL" ...; docs/providers.md), which has no folder. */
SX_API int sx_models_is_remote(const char *reference);
SX_API sx_status sx_models_list(const sx_places *places, sx_model_list **out, sx_error *error);
SX_API void sx_model_list_free(sx_model_list *list);
/* Copies a model folder (or a .gguf file, into a folder of its own) into models_folder under a name, after opening it once and, when sha256 is not NULL, comparing its
 * weights. Atomic: a crash leaves the old state. */
SX_API sx_status sx_models_import(const sx_places *places, const char *folder, const char *name, const char *sha256,
                                  sx_error *error);
SX_API sx_status sx_models_remove(const sx_places *places, const char *name, sx_error *error);
SX_API void sx_free(void *memory);

/* A model known by name: what its authors publish about it. "" where nothing is said. What a model's own files say rules. */
typedef struct sx_known_model {
    const char *alias;   /* short name, or NULL */
    const char *name;    /* last part of the hub's name */
    const char *hub;     /* org/name */
    const char *licence; /* SPDX */
    const char *kind;    /* "embedder", "static", "cross-encoder" */
    const char *family;  /* model_type */
    const char *pooling;
    const char *query_prompt, *passage_prompt; /* as the authors recommend */
    uint32_t dimensions; /* 0: it gives no vectors */
    uint32_t max_length; /* tokens */
    float millions;      /* of parameters */
} sx_known_model;
/* The known models in turn, from 0; NULL beyond the last. */
SX_API const sx_known_model *sx_models_known(size_t index);

typedef struct sx_pull_options {
    size_t size;
    const char *endpoint;        /* NULL: "https://huggingface.co" */
    const char *token;           /* for private and gated models; NULL: none */
    const char *revision;        /* branch, tag or commit; NULL: "main". A reference may also say org/name@revision */
    const char *const *patterns; /* shell patterns of the files to fetch ("*.gguf"); NULL: what a model needs */
    size_t pattern_count;
    sx_progress_callback progress; /* in megabytes; what was there already counts as done */
    void *progress_user;
    const volatile int *stop;    /* non-zero ends the call with SX_E_STOPPED; what came is kept and taken up next time */
} sx_pull_options;

/* Fetches a model from a hub into the Hugging Face cache (places->hub_cache), where Python's tools find it too. reference: an alias of a
 * known model or org/name. Files come with resume after a cut connection or an earlier call, are compared with the hub's
 * size and hash, and appear in a snapshot only when all are there. *folder: the snapshot's, free with sx_free.
 * Errors: SX_E_NOT_FOUND, SX_E_DENIED (no right), SX_E_NETWORK (after several tries), SX_E_FORMAT (a wrong hash), SX_E_FULL. */
SX_API sx_status sx_models_pull(const sx_places *places, const char *reference, const sx_pull_options *options, char **folder,
                                sx_error *error);

/* ---- Database ----------------------------------------------------------------------------------------------------- */

typedef struct sx_database sx_database;

typedef struct sx_database_options {
    size_t size;
    int must_exist;         /* SX_E_NOT_FOUND instead of creating it */
    uint64_t cache_limit;   /* bytes of vectors that nothing refers to; 0: 1 GiB */
    sx_log_callback log;
    void *log_user;
} sx_database_options;

/* Opens or creates a database (SQLite, write-ahead log) and its folder of mapped vectors beside it, PATH-vectors. Any number
 * of processes may have it open. An older version is migrated after a backup copy, a newer one refused (SX_E_MISMATCH). */
SX_API sx_status sx_database_open(const char *path, const sx_database_options *options, sx_database **out,
                                  sx_error *error);
SX_API void sx_database_close(sx_database *database);

/* A consistent copy while others work; the target must not exist. */
SX_API sx_status sx_database_backup(sx_database *database, const char *target, sx_error *error);
/* Makes `path` a copy of the backup file; refused (SX_E_EXISTS) when `path` exists unless replace is set, and SX_E_BUSY while
 * others have it open. The backup is checked before anything is replaced. */
SX_API sx_status sx_database_restore(const char *backup, const char *path, int replace, sx_error *error);

typedef struct sx_collection_info {
    char *name, *model, *space, *recipe;
    uint32_t dimensions;
    uint64_t documents, chunks, vectors, pending, failed, bytes;
    char *moving_to;     /* the model it is being migrated to, or NULL */
    uint64_t moved;      /* of its documents, those that are on the other side already */
    char *kept_model;    /* the model it was migrated from, while that side is kept; or NULL */
    char *dropped_to;    /* what is kept of vectors whose floats were dropped ("int8"), or NULL */
    uint64_t dropped;    /* how many of its vectors that are */
} sx_collection_info;
typedef struct sx_cache_info {
    uint64_t entries, bytes, limit, hits, misses;
    double hit_rate; /* (hits + shared_hits) / (hits + shared_hits + misses), 0 when there were none */
    uint64_t referenced_entries, referenced_bytes; /* vectors kept because collections use them */
    uint64_t shared_hits; /* found in a shared cache, not here */
} sx_cache_info;
typedef struct sx_database_status {
    sx_collection_info *collections;
    size_t collection_count;
    sx_cache_info cache;
} sx_database_status;
/* Counts everything, which takes a while in large collections. */
SX_API sx_status sx_database_describe(sx_database *database, sx_database_status **out, sx_error *error);
/* Only which collections there are and what they were made with, at once whatever their size; all counts are 0. */
SX_API sx_status sx_database_list(sx_database *database, sx_database_status **out, sx_error *error);
SX_API void sx_database_status_free(sx_database_status *status);

SX_API sx_status sx_collection_rename(sx_database *database, const char *name, const char *new_name, sx_error *error);
SX_API sx_status sx_collection_delete(sx_database *database, const char *name, sx_error *error);
/* format: "jsonl" (one chunk a line), "json" ({version, model, dimensions, embeddings}), "npy" (a folder with
 * embeddings.npy, metadata.json, model_info.json), "arrow" (Arrow's IPC file format, a row a chunk). target "-" with jsonl: standard
 * output; a name in .gz or .zst is compressed. Atomic. Stable order. */
SX_API sx_status sx_collection_export(sx_database *database, const char *name, const char *format, const char *target,
                                      sx_error *error);
/* Takes back what the jsonl export wrote, compressed or not. The collection must not exist. */
SX_API sx_status sx_collection_import(sx_database *database, const char *name, const char *source, sx_error *error);

/* A collection in a vector database of others (docs/vector-databases.md). */
typedef struct sx_store_place {
    const char *url;         /* postgresql://USER@HOST/DATABASE, chroma://HOST:PORT ... */
    const char *collection;  /* its name there; NULL: the same as here */
    const char *key;         /* API key, or PostgreSQL's password; NULL: none */
} sx_store_place;

typedef struct sx_copy_options {
    size_t size;
    /* Of a collection that is made there. NULL and 0: the server's defaults. */
    const char *element;     /* "f32", "f16" */
    const char *index;       /* "hnsw", "ivfflat", "none" */
    uint32_t m, ef_construction, ef_search, lists;
    int prune;               /* take out of the target what the source has not */
    double timeout_s;        /* of one request; 0: 60 */
    sx_progress_callback progress;
    void *progress_user;
    const volatile int *stop;
    sx_log_callback log;
    void *log_user;
} sx_copy_options;

typedef struct sx_copy_report {
    uint64_t records;        /* written, whether they were there already or not */
    uint64_t left_out;       /* chunks without a vector, which a vector database has no place for */
    uint64_t count;          /* in the target afterwards, as it counts */
    uint64_t extra;          /* of those, what the source has not (left over from earlier, or others'); without those pruned */
    uint64_t pruned;
    double seconds, rate;    /* records a second */
} sx_copy_report;

/* Writes a collection to a vector database, and makes it there when it is missing. A record's id comes from root, document, number and hash
 * of its chunk, so what was interrupted is said again, and nothing is doubled. At the end the target's count is compared: SX_E_MISMATCH when
 * records are missing there. */
SX_API sx_status sx_collection_export_to(sx_database *database, const char *name, const sx_store_place *to,
                                         const sx_copy_options *options, sx_copy_report *report, sx_error *error);
/* Takes back what sx_collection_export_to wrote, wherever it was copied since. The collection must not exist here; it appears when all of it
 * is there. Exporting it as JSON lines then gives the same bytes as the collection it came from. */
SX_API sx_status sx_collection_import_from(sx_database *database, const char *name, const sx_store_place *from,
                                           const sx_copy_options *options, sx_copy_report *report, sx_error *error);
/* From one vector database into another, ids and all; for any records, whoever wrote them. from->collection is needed. */
SX_API sx_status sx_collection_copy(const sx_store_place *from, const sx_store_place *to, const sx_copy_options *options,
                                    sx_copy_report *report, sx_error *error);

/* What a vector database says of a collection; what it does not say is NULL or 0. */
typedef struct sx_store_info {
    char *model, *space;     /* what made the vectors, as written there by an export */
    char *similarity;        /* "cosine", "dot", "l2" */
    uint32_t dimensions;
    uint64_t records;
} sx_store_info;
/* place->collection is needed. SX_E_NOT_FOUND. */
SX_API sx_status sx_store_describe(const sx_store_place *place, sx_store_info **out, sx_error *error);
SX_API void sx_store_info_free(sx_store_info *info);

/* Texts of at most `most` chunks, spread evenly over the collection, in order. One block: free *texts with sx_free. */
SX_API sx_status sx_collection_sample(sx_database *database, const char *name, size_t most, sx_text **texts, size_t *count,
                                      sx_error *error);

/* Takes unreferenced vectors out until at most `bytes` remain (least recently used first); *removed counts entries. */
SX_API sx_status sx_cache_prune(sx_database *database, uint64_t bytes, uint64_t *removed, sx_error *error);
/* JSONL of every cached vector (recipe, hash, vector) and back. *count: entries written or taken. */
SX_API sx_status sx_cache_export(sx_database *database, const char *target, uint64_t *count, sx_error *error);
SX_API sx_status sx_cache_import(sx_database *database, const char *source, uint64_t *count, sx_error *error);

/* ---- Cost: what was spent, from the database's ledger ---------------------------------------------------------------- */

/* What was spent, or would be. Days are UTC's, as on bills. */
typedef struct sx_spend {
    uint64_t requests;
    uint64_t texts;           /* embedded */
    uint64_t cached;          /* found instead */
    uint64_t tokens;          /* charged for, by the service's own count */
    uint64_t unpriced_tokens; /* of those, with a model whose price is not known: that is not for nothing */
    double usd;               /* for the others; local work costs 0 */
} sx_spend;

typedef struct sx_cost_options {
    size_t size;
    const char *by;           /* "day", "month", "job", "collection", "model"; NULL: "month" */
    const char *since, *until;/* "2026", "2026-11" or "2026-11-21", all of it included; NULL: everything */
    const char *collection;   /* only this one; NULL: all */
} sx_cost_options;

typedef struct sx_cost_row {
    char *key;                /* the day, month, job's number, collection ("": none) or model */
    uint64_t jobs;
    sx_spend spend;
    int unpriced;             /* nothing in it has a price */
    char *verb, *collection, *provider, *model; /* by job only, else NULL */
    int64_t began_ns;         /* by job: since 1970 */
} sx_cost_row;

typedef struct sx_cost_report {
    sx_cost_row *rows;
    size_t count;
    sx_spend total;
} sx_cost_report;
SX_API sx_status sx_database_cost(sx_database *database, const sx_cost_options *options, sx_cost_report **out, sx_error *error);
SX_API void sx_cost_report_free(sx_cost_report *report);

/* ---- Embedder: a model behind a provider, with the cache ------------------------------------------------------------ */

typedef struct sx_embedder sx_embedder;

/* How remote services are reached; all may be NULL or 0. The library reads no environment: the program fills this from it. */
typedef struct sx_remote_options {
    size_t size;
    const char *api_key;       /* of the service the model names */
    const char *base_url;      /* instead of the vendor's address; a reference with @URL names its own */
    const char *api_version;   /* Azure's */
    const char *overrides;     /* JSON file with prices and limits, see docs/providers.md */
    unsigned max_concurrent;   /* requests in flight; 0: 10 */
    uint32_t requests_per_minute, tokens_per_minute; /* 0: the table's, or none */
    double timeout_s;          /* of one request; 0: 120 */
    double budget_usd;         /* stops (SX_E_LIMIT) before the spend of this embedder would pass it; 0: none */
    double alert_usd;          /* once a month's spend in the database passes it: a warning in its log; 0: none */
    const char *alert_url;     /* and a POST of JSON there, once a month; NULL: none */
    int allow_secrets;         /* send texts that hold keys or passwords too */
    const char *ca_file;       /* PEM file of the authorities that may vouch for the service; NULL: the system's */
    const char *tokenizer;     /* counts the model's tokens: a model that is here, tokenizer.json, cl100k_base and the like;
                                * NULL: the overrides', or the model's own where it is known, or else an estimate that never
                                * passes its limit */
} sx_remote_options;

typedef struct sx_embedder_options {
    size_t size;
    const char *model;       /* a reference as sx_models_resolve takes it, or "fake:NAME" (tests: deterministic vectors) */
    sx_places places;        /* places.size 0: none */
    const char *pooling;     /* these six as in sx_model_options and sx_embed_options */
    uint32_t max_length;
    uint32_t dimensions;
    int no_normalize;
    const char *prompt;      /* exact prompt; NULL: by role */
    const char *role;        /* "query", "document", "none" (default) or a prompt name */
    int strict;
    unsigned threads;        /* 0: all cores */
    uint32_t batch_size;     /* texts in one provider batch; 0: chosen by tokens */
    uint64_t cpu_mask;
    sx_database *cache;      /* NULL: no cache. Must outlive the embedder. */
    const char *precision;   /* as in sx_model_options */
    sx_remote_options remote; /* remote.size 0: none */
    const char *storage;     /* as in sx_model_options */
    /* Behind the cache: a server that many machines share, redis://[:PASSWORD@]HOST[:PORT][/NUMBER] or postgresql://...; NULL:
     * none. What it does not answer is embedded; trouble with it goes to the cache's log once and fails nothing. */
    const char *shared_cache;
    uint64_t shared_cache_ttl_s; /* how long vectors are kept there; 0: 30 days */
    /* A second source of the same vectors. It takes over while the model fails, and the model while it fails. Both must be of one
     * space, by their making or proven in the cache's database (sx_space_prove); else SX_E_MISMATCH. Collections, space and recipe
     * are the model's; vectors that the second one made are kept under its own recipe. */
    const char *fallback;
    sx_remote_options fallback_remote; /* size 0: none */
    unsigned split;          /* percent of the texts, chosen by their hashes, that go to the fallback all the time */
    int split_schedule;      /* shift by 10, 25, 50, 90, 100 percent while it does well; how far that is is kept in the cache */
    /* The model of `model`, open already: its weights are shared instead of loaded again. It was opened with the same pooling,
     * lengths, precision and storage, and must outlive the embedder. NULL: opened by the embedder. Without effect on remote models. */
    const sx_model *opened;
} sx_embedder_options;

typedef struct sx_embedder_info {
    const char *model;     /* the reference as given */
    const char *provider;  /* "local", "fake" */
    const char *space;     /* 64 hexadecimal digits: which vectors may be compared */
    const char *recipe;    /* 64 hexadecimal digits: exactly how a vector is made */
    const char *recipe_json; /* canonical JSON the recipe hash was taken of */
    const char *prompt;
    uint32_t dimensions, max_length;
} sx_embedder_info;

SX_API sx_status sx_embedder_open(const sx_embedder_options *options, sx_embedder **out, sx_error *error);
SX_API void sx_embedder_close(sx_embedder *embedder);
SX_API const sx_embedder_info *sx_embedder_describe(const sx_embedder *embedder);
/* The local model behind it, or NULL. */
SX_API const sx_model *sx_embedder_model(const sx_embedder *embedder);
/* As sx_session_embed, through cache, batching, retries and isolation of bad items; receipts is required. `stop` may be
 * NULL; when *stop becomes non-zero the call ends with SX_E_STOPPED and keeps in the cache what was done. */
SX_API sx_status sx_embedder_embed(sx_embedder *embedder, const sx_text *texts, size_t count, float *vectors,
                                   sx_receipt *receipts, const volatile int *stop, sx_error *error);

/* Where texts were looked for before they were embedded; equal texts of a call count once. */
typedef struct sx_cache_use {
    uint64_t hits;        /* in the cache */
    uint64_t shared_hits; /* not there, but in the shared cache */
    uint64_t misses;      /* in neither */
    uint64_t shared_unreachable; /* of the misses: the shared cache was not asked or did not answer */
} sx_cache_use;
/* Of sx_embedder_embed, since the embedder was opened. */
SX_API sx_status sx_embedder_cache_use(const sx_embedder *embedder, sx_cache_use *out, sx_error *error);
/* Asks a shared cache's server what it holds: vectors (Redis: all keys of the database number) and the bytes they take. *name: the
 * URL without user and password, malloc'ed, set also when the server cannot be asked (SX_E_NETWORK, SX_E_DENIED, SX_E_BUSY). */
SX_API sx_status sx_shared_cache_describe(const char *url, char **name, uint64_t *entries, uint64_t *bytes, sx_error *error);

/* What one of the sources has done since the embedder was opened. */
typedef struct sx_embedder_leg {
    const char *model;
    int open;             /* it failed lately and is left alone for a while */
    unsigned split;       /* percent of the texts that are its own */
    uint64_t batches, errors; /* that came back from it; of those, failed for other reasons than their texts */
    uint64_t taken_over;  /* batches of the other source that it did */
    double p50_ms, p95_ms; /* from handing a batch to it until it was back; NaN: none yet */
    sx_spend spent;       /* cached: 0 */
} sx_embedder_leg;
/* Fills at most `capacity` of them; *count: 0 without a fallback, else 2. */
SX_API sx_status sx_embedder_legs(const sx_embedder *embedder, sx_embedder_leg *legs, size_t capacity, size_t *count,
                                  sx_error *error);

/* ---- Files of vectors, of other programs or our own (docs/files.md) ------------------------------------------------------- */

typedef struct sx_vectors_info {
    const char *kind;    /* "json", "array", "jsonl", "npy", "arrow"; "export": sx_collection_import reads it */
    char *version, *model; /* as the file says; NULL: it does not */
    uint32_t dimensions; /* 0: it does not say */
    int searchable;      /* it says with what its vectors may be compared */
} sx_vectors_info;
/* Reads the head of a file (or folder with embeddings.npy). SX_E_MISMATCH: of a version that cannot be read; the hint says how
 * to make the vectors again. */
SX_API sx_status sx_vectors_describe(const char *path, sx_vectors_info **out, sx_error *error);
SX_API void sx_vectors_info_free(sx_vectors_info *info);

typedef struct sx_import_options {
    size_t size;
    const char *const *paths;
    size_t path_count;
    const char *model;     /* what to call the vectors' model; NULL: as the first file does */
    sx_embedder *embedder; /* of the model the vectors are said to be of: the first texts are embedded again and compared.
                            * NULL: files that do not say it themselves cannot be searched by text */
    const volatile int *stop;
} sx_import_options;
typedef struct sx_import_report {
    uint64_t documents, chunks;
    uint32_t checked;      /* vectors that were compared with the embedder's */
    double least_cosine;   /* of those */
} sx_import_report;
/* Makes a collection of vectors made elsewhere, from one file or several. All or nothing. SX_E_MISMATCH names the two things that
 * disagree: versions, dimensions, models, or a vector that the embedder makes differently (cosine below 0.9). */
SX_API sx_status sx_collection_import_files(sx_database *database, const char *name, const sx_import_options *options,
                                            sx_import_report *report, sx_error *error);

/* What the embedder has spent since it was opened. */
SX_API sx_status sx_embedder_spent(const sx_embedder *embedder, sx_spend *out, sx_error *error);
/* What embedding the texts would cost: those in the cache nothing, equal ones once, the others by the model's own tokens. Adds to
 * *sum, so that many calls make one estimate. */
SX_API sx_status sx_embedder_estimate(sx_embedder *embedder, const sx_text *texts, size_t count, sx_spend *sum, sx_error *error);

/* ---- Two sources of one model ------------------------------------------------------------------------------------------ */

/* Embeds a fixed list of texts (languages, code, lengths) with both and compares. When each pair of vectors agrees (cosine at least
 * 0.999, no component of the vectors at length 1 farther apart than 0.02, lengths within 1 %) this is written into the database with
 * date, figures and both recipes. From then on searches take queries of either for collections of the other, and either may be the
 * other's fallback. The recipes stay different. */
typedef struct sx_space_proof {
    char *models[2];
    char recipes[2][65];       /* hexadecimal */
    uint32_t dimensions, probes;
    double least_cosine, largest_difference;
    int64_t proven_ns;         /* since 1970 */
} sx_space_proof;
/* *out (may be NULL; models are not set) has the figures also when they are not good enough: SX_E_MISMATCH. SX_E_EXISTS: they
 * are of one space without a proof. The embedders' caches
 * are not used. */
SX_API sx_status sx_space_prove(sx_database *database, sx_embedder *embedder, sx_embedder *other, sx_space_proof *out,
                                sx_error *error);
SX_API sx_status sx_space_list(sx_database *database, sx_space_proof **list, size_t *count, sx_error *error);
SX_API void sx_space_list_free(sx_space_proof *list, size_t count);
/* Takes out what was proven of two models. *chunks (may be NULL): those in collections of one whose vector the other made, which stay
 * until they are indexed again (sx_index_options.force). SX_E_NOT_FOUND: nothing was proven. */
SX_API sx_status sx_space_forget(sx_database *database, const char *model, const char *other, uint64_t *chunks, sx_error *error);

/* ---- Batch API ----------------------------------------------------------------------------------------------------- */

/* OpenAI's Batch API: files of requests that are done within a day at half the price. Each step of a job is in the database
 * before the next begins, so that a crash at any moment never pays for a text twice; the vectors become cached ones. For openai:
 * and openai@URL models; others are SX_E_UNSUPPORTED. */

/* Between begin and end texts are gathered into jobs, but for those that have a vector, are in a job already, hold a secret, or are
 * blank or too long. Those that failed in an earlier job are sent again only with retry_failed. Needs a cache. end(keep 0) gives
 * up what is gathered and not in a full file yet. */
SX_API sx_status sx_embedder_batch_begin(sx_embedder *embedder, int retry_failed, const volatile int *stop, sx_error *error);
SX_API sx_status sx_embedder_batch_add(sx_embedder *embedder, const sx_text *texts, size_t count, sx_error *error);
SX_API sx_status sx_embedder_batch_end(sx_embedder *embedder, int keep, sx_error *error);
/* Takes the embedder's jobs as far as they come without waiting for the service; *open: those that are not at their end. */
SX_API sx_status sx_embedder_batch_advance(sx_embedder *embedder, const volatile int *stop, uint64_t *open, sx_error *error);
/* Why a text that could have been sent has no vector ("batch 3: ..."); "" when it has one, or was never to be sent. */
SX_API sx_status sx_embedder_batch_problem(sx_embedder *embedder, sx_text text, char problem[320], sx_error *error);

typedef struct sx_batch_info {
    int64_t id, created_ns;       /* since 1970 */
    char *model, *batch_id, *status, *message; /* status: the service's word; NULL: nothing said yet */
    const char *step;             /* prepared, uploaded, created, finished, stored, dropped */
    uint64_t requests, stored, failed, tokens;
    double usd;                   /* paid so far; negative: the price is not known */
} sx_batch_info;
/* All jobs, oldest first; id 0: all. SX_E_NOT_FOUND: no job with this id. */
SX_API sx_status sx_batch_list(sx_database *database, int64_t id, sx_batch_info **list, size_t *count, sx_error *error);
SX_API void sx_batch_list_free(sx_batch_info *list, size_t count);
/* As sx_embedder_batch_advance for one job. */
SX_API sx_status sx_batch_advance(sx_database *database, int64_t id, const sx_remote_options *options, const volatile int *stop,
                                  int *open, sx_error *error);
/* Asks the service to end a job; what is done by then is paid for, and comes with the next advance. A job that the service was
 * not asked for yet is dropped. */
SX_API sx_status sx_batch_cancel(sx_database *database, int64_t id, const sx_remote_options *options, sx_error *error);

/* ---- Chunks -------------------------------------------------------------------------------------------------------- */

typedef struct sx_chunk_options {
    size_t size;
    const char *strategy;  /* auto recursive tokens chars sentences paragraphs semantic markdown rst html code; NULL: auto. semantic
                              embeds windows of sentences, and so needs an embedder; source code it leaves to code */
    uint32_t chunk_size;   /* in unit; sentences/paragraphs: how many; 0: the strategy's default */
    int32_t overlap;       /* in unit (sentences, paragraphs likewise); 0: default; -1: none */
    const char *unit;      /* "tokens" or "chars" (code points); NULL: the strategy's default */
    int no_header;         /* do not put the innermost heading before the embedded text */
    const char *header;    /* a template for what is put there instead, "[{project}][{module}]", or "tags" (docs/code.md); NULL: the default */
    const char *grammars;  /* absolute path of the parsers of code (scripts/install-grammars makes them); NULL: code is cut by lines */
} sx_chunk_options;

/* A function, class and so on of a source file. */
typedef struct sx_symbol {
    const char *name;      /* with its scope: "Stack.push" */
    const char *kind;      /* "function", "method", "class", "struct" ... */
    const char *signature; /* without body, on one line */
    uint32_t line;         /* where it is defined, from 1; comments and decorators before it may begin earlier */
} sx_symbol;

typedef struct sx_chunk {
    uint64_t start, end;        /* bytes in the document's text; text[start, end) is the chunk */
    uint32_t start_line, end_line; /* 1-based, inclusive */
    uint32_t tokens;            /* of what is embedded: prompt, header, text and special tokens; 0 without a tokenizer */
    const char *const *headings; /* heading_count strings, outermost first, without markup */
    uint32_t heading_count;
    const char *header;         /* what is put before the text when it is embedded, "" when nothing */
    const sx_symbol *symbols;   /* of parsed code: what begins in the chunk, and what it is a part of when nothing does; in order */
    uint32_t symbol_count;
} sx_chunk;

/* Windows of sentences that were embedded to find where to cut (strategy semantic), beside the chunks themselves. */
typedef struct sx_index_windows {
    uint64_t total, embedded, cached;
    uint64_t tokens;       /* of those embedded */
} sx_index_windows;

typedef struct sx_chunks {
    const char *text;      /* the document's text: the file's bytes for UTF-8 plain text, Markdown and rst; else extracted */
    size_t length;
    const char *media_type; /* "text/plain", "text/markdown", "text/x-rst", "text/html" */
    const char *encoding;  /* "utf-8", "windows-1252" ...: what the file was read as */
    const char *title;     /* or "" */
    sx_chunk *chunks;
    size_t count;
    const char *language;  /* of source files: "python"; "" for others */
    const char *not_parsed; /* source cut by lines: why; NULL otherwise */
    sx_index_windows windows; /* what cutting has embedded */
} sx_chunks;

/* Reads a file and cuts it as `index` would. `model` counts tokens and sets the limit; NULL: character units only. `prompt` is
 * counted in the budget and may be NULL. A file that is no document (binary, unreadable) is an error naming why. */
SX_API sx_status sx_chunk_file(const char *path, const sx_model *model, const char *prompt,
                               const sx_chunk_options *options, sx_chunks **out, sx_error *error);
/* The same with the embedder's own counting, which for remote models is what their limits are kept with: OpenAI's encoding where its
 * ranks are installed, else bytes. */
SX_API sx_status sx_embedder_chunk_file(sx_embedder *embedder, const char *path, const sx_chunk_options *options, sx_chunks **out,
                                        sx_error *error);
SX_API sx_status sx_chunk_text(sx_text text, const char *media_type, const sx_model *model, const char *prompt,
                               const sx_chunk_options *options, sx_chunks **out, sx_error *error);
SX_API void sx_chunks_free(sx_chunks *chunks);

/* ---- Index and search ------------------------------------------------------------------------------------------------ */

typedef struct sx_index_options {
    size_t size;
    const char *collection;       /* NULL: "default"; created when it does not exist */
    const char *const *paths;     /* files and folders */
    size_t path_count;
    sx_chunk_options chunk;       /* chunk.size 0: the collection's, or all defaults; its grammars do not count */
    const char *grammars;         /* as sx_chunk_options.grammars */
    const char *const *include;   /* globs a path below its root must match one of; none: everything */
    size_t include_count;
    const char *const *exclude;   /* globs that leave a path out */
    size_t exclude_count;
    const char *const *metadata;  /* "key=value", added to every document of this run */
    size_t metadata_count;
    int dry_run;                  /* read, chunk and count; change nothing */
    int force;                    /* read every file again, changed or not (vectors still come from the cache) */
    int retry_failed;             /* only what failed before */
    int allow_secrets;            /* index .env files and private keys too */
    int no_wait;                  /* SX_E_BUSY when another process is indexing this collection, instead of waiting */
    uint64_t max_memory;          /* bytes for the whole process; 0: no limit */
    uint64_t max_file_size;       /* larger files are skipped with a reason; 0: 256 MiB */
    sx_progress_callback progress;
    void *progress_user;
    const volatile int *stop;     /* set non-zero (from a signal handler, say) to stop soon; may be NULL */
    /* Through jobs of the Batch API, in two runs. With dry_run, between sx_embedder_batch_begin and _end: chunks are added to jobs,
     * and nothing else changes. Later, when the jobs are at their end, without dry_run: nothing is sent; chunks whose vectors did not
     * come have failed, with the reason. The embedder's cache is the database, and allow_secrets is the same in both. */
    int batch_api;
    const char *excludes_file;    /* git's core.excludesFile: its rules count for what lies in a git repository; may be NULL */
    /* Not NULL: of the paths only these files, and what lies in these folders, is looked at; those that are gone are taken out. Absolute
     * paths, or from the working directory. An ignore file among them stands for its folder. */
    const char *const *changed;
    size_t changed_count;
    /* Not NULL: the files hold records, each of which becomes a document: "csv" (.tsv files with tabs), "tsv", "jsonl", "json" or "lines".
     * Of folders only files with such names are taken. A document's path is FILE/ID; what a record holds besides its text is its metadata.
     * (Mailboxes, .mbox, are always read message by message.) */
    const char *record_format;
    const char *text_column;      /* column or member that holds the text; NULL: "text" */
    const char *id_column;        /* and the id; NULL: "id". Without one a record's number is its id */
    const char *query;            /* not NULL: the files are SQLite's, and the rows of this query are the records; then no record_format */
} sx_index_options;

typedef struct sx_problem {
    char *document; /* path below its root, or the path given */
    int64_t chunk;  /* -1: the whole document */
    char *reason;
} sx_problem;

typedef struct sx_index_report {
    struct { uint64_t total, added, changed, removed, unchanged, skipped, failed; } documents;
    struct { uint64_t total, embedded, cached, failed; } chunks;
    uint64_t tokens;     /* sent through the model */
    uint64_t truncated;  /* chunks that were cut: 0 unless a single unit did not fit */
    double seconds;
    sx_problem *failed;
    size_t failed_count;
    sx_problem *skipped;
    size_t skipped_count;
    sx_spend cost;       /* of this run; dry run: what the run would cost */
    sx_spend left;       /* what the budget left undone, and would cost: set when the call ends with SX_E_LIMIT */
    sx_cache_use cache;  /* where chunks were looked for */
    sx_problem *notes;   /* of documents that were indexed: an encoding other than UTF-8, pages without text ... */
    size_t note_count;
    sx_index_windows windows; /* strategy semantic; their cost is in cost, their tokens are not in tokens */
} sx_index_report;

/* Reads, chunks, embeds and stores what is new or changed under the paths, and removes what is gone from them. Durable per
 * batch: after a kill the next call goes on where this one was. A missing path is an error, never a deletion. *report is
 * set also when the call stops (SX_E_STOPPED). Items that failed are in the report and do not fail the call. */
SX_API sx_status sx_index(sx_database *database, sx_embedder *embedder, const sx_index_options *options,
                          sx_index_report **report, sx_error *error);
SX_API void sx_index_report_free(sx_index_report *report);

/* Tells when something changes below paths, so that a run of sx_index can follow. By inotify where that can be, else by saying now and
 * then that it is time to look. One thread at a time. */
typedef struct sx_watch sx_watch;
typedef struct sx_watch_options {
    size_t size;
    const char *const *paths;     /* files and folders; these three and their strings must outlive the watch */
    size_t path_count;
    const char *const *include;   /* as in sx_index_options, as far as they say which folders are entered */
    size_t include_count;
    const char *const *exclude;
    size_t exclude_count;
    const char *excludes_file;
    uint32_t settle_ms;           /* how long nothing must have changed for a burst of changes to be over; 0: 300 */
    uint32_t most_ms;             /* a burst that does not end is told after this; 0: 5000 */
    uint32_t poll_ms;             /* between looks where the system cannot tell; 0: 10000 */
    uint32_t most_folders;        /* more of them are polled; 0: as many as the system watches */
    int always_poll;              /* for file systems that tell nothing, as networks' */
} sx_watch_options;
typedef struct sx_watch_news {
    const char *const *paths;     /* what changed, for sx_index_options.changed: absolute, may be gone; valid until the next call */
    size_t count;
    int everything;               /* it is not known what changed: a run over all paths is due */
    const char *reason;           /* of everything, where there is one to tell; else "" */
} sx_watch_news;
/* Watches from now on: what changes before the first sx_watch_next is told by it. Every path must exist. */
SX_API sx_status sx_watch_open(const sx_watch_options *options, sx_watch **out, sx_error *error);
/* Waits for changes and until they have settled. SX_E_STOPPED soon after *stop (may be NULL) is non-zero. */
SX_API sx_status sx_watch_next(sx_watch *watch, const volatile int *stop, sx_watch_news *news, sx_error *error);
SX_API void sx_watch_close(sx_watch *watch);

/* Takes documents under the paths out of a collection; *removed counts them. Paths need not exist any more. */
SX_API sx_status sx_remove(sx_database *database, const char *collection, const char *const *paths, size_t path_count,
                           uint64_t *removed, sx_error *error);

/* A document that is no file. */
typedef struct sx_new_document {
    const char *id;          /* who it is: 1 to 1024 bytes of UTF-8 without control characters */
    sx_text text;
    const char *media_type;  /* as of sx_chunks; NULL: "text/plain" */
    const char *metadata;    /* a JSON object; NULL: none */
} sx_new_document;
typedef struct sx_add_options {
    size_t size;
    const char *collection;  /* NULL: "default"; created when it does not exist */
    sx_chunk_options chunk;  /* chunk.size 0: the collection's, or all defaults */
    int allow_secrets;       /* as in sx_index_options, these three too */
    int no_wait;
    const volatile int *stop;
} sx_add_options;
/* Chunks, embeds and stores documents from memory; one with the id of an earlier one takes its place as a whole, metadata included.
 * What the report counts as added or changed is durable when the call returns. In hits such a document has the root "api:" and its
 * id as path; runs of sx_index leave it alone. count 0: makes the collection, or checks that it is the embedder's. *report is set
 * also when the call fails half-way. */
SX_API sx_status sx_add(sx_database *database, sx_embedder *embedder, const sx_new_document *documents, size_t count,
                        const sx_add_options *options, sx_index_report **report, sx_error *error);
/* Takes added documents out by their ids; those that are not there are passed over. SX_E_BUSY while the collection is indexed. */
SX_API sx_status sx_remove_added(sx_database *database, const char *collection, const char *const *ids, size_t count,
                                 uint64_t *removed, sx_error *error);

typedef struct sx_search_options {
    size_t size;
    const char *collection;       /* NULL: "default" */
    uint32_t count;               /* most hits; 0: 5 */
    double threshold;             /* least similarity (cosine), whatever the mode; used when has_threshold is set */
    int has_threshold;
    const char *const *filters;   /* conditions on metadata, document, symbol, kind, page, line ... (docs/searching.md); all must hold */
    size_t filter_count;
    const char *mode;             /* "hybrid": by meaning and by words; "semantic"; "keyword"; NULL: hybrid */
    const char *type;             /* "general", "code_search", "error_analysis", "documentation": how the two are weighted; NULL: general */
    const char *rerank;           /* "none", "lexical", "mmr", "model"; NULL: none, or "model" with a cross_encoder */
    sx_session *cross_encoder;    /* of a model with SX_OUTPUT_SCORES, for rerank "model" */
    uint32_t rerank_count;        /* how many of the best are looked at again; 0: 50 for "model", 100 for the others */
    uint32_t ef_search;           /* how many candidates a graph search keeps; 0: chosen by what was measured */
    int exact;                    /* compare with every vector, graph or not */
    int keep_duplicates;          /* do not fold passages of equal text into one hit */
    int join_neighbours;          /* neighbouring chunks of a document become one hit */
    const char *prefer;           /* kinds of definitions to lift, parted by commas: "function,method"; NULL: those of the type; "": none */
} sx_search_options;

typedef struct sx_hit {
    uint32_t rank;      /* from 1 */
    double score;       /* what the order goes by: the cosine, the fused or the reranked score */
    double similarity;  /* cosine */
    char *root, *document;
    uint32_t index;     /* of the chunk in its document */
    uint64_t start, end;
    uint32_t start_line, end_line;
    char **headings;
    uint32_t heading_count;
    char *metadata;     /* JSON object */
    char *text;
    size_t text_length;
    uint32_t semantic_rank, keyword_rank; /* its places in the two lists, from 1; 0: not in it */
    uint32_t joined;    /* neighbouring chunks in it beyond the first */
    uint32_t folded;    /* equal passages elsewhere that it stands for */
    char *symbols;      /* of parsed code: JSON array of what is defined in its first chunk, {"name", "kind", "line"}; "[]": nothing */
    char *why;          /* type "error_analysis": which frame of the query's stack trace leads here; NULL: none does */
} sx_hit;
typedef struct sx_hits {
    char *collection;
    const char *mode;   /* as in the options */
    const char *type;
    const char *rerank;
    double milliseconds;
    sx_hit *hits;
    size_t count;
} sx_hits;

/* The chunks that answer the query best. The embedder must be of the collection's space (SX_E_MISMATCH otherwise); open it with role
 * "query". NULL with mode "keyword", which then gives no similarities (NaN). */
SX_API sx_status sx_search(sx_database *database, sx_embedder *embedder, sx_text query, const sx_search_options *options,
                           sx_hits **out, sx_error *error);
SX_API void sx_hits_free(sx_hits *hits);

/* The same in a collection that a vector database holds, as it was exported there or by others: by meaning only (mode NULL or "semantic"),
 * in the database's own order, without re-ranking, folding or joining. Filters are as in sx_search; they look at what the database gives,
 * nearest first, until enough pass. A hit's similarity is of the collection's kind there. place->collection is needed; the embedder's
 * space is compared with the one the database names (SX_E_MISMATCH). SX_E_LIMIT: too few of the nearest 10,000 pass the filters. */
SX_API sx_status sx_search_store(const sx_store_place *place, sx_embedder *embedder, sx_text query, const sx_search_options *options,
                                 sx_hits **out, sx_error *error);

/* A place in an indexed document. */
typedef struct sx_place {
    size_t size;
    const char *path;             /* an indexed file; or NULL, and then */
    const char *root, *document;  /* as of a hit */
    uint32_t index;               /* of the chunk in its document; used without a line */
    uint32_t line;                /* from 1; 0: with path the whole document, else the chunk */
} sx_place;
/* The chunks most like the one at a place (or like a whole document), which is left out itself. Its stored vector is the query, so no
 * model is needed. Of the options mode and type do not count; re-ranking is refused. SX_E_NOT_FOUND when the place is not indexed. */
SX_API sx_status sx_similar(sx_database *database, const sx_place *place, const sx_search_options *options, sx_hits **out, sx_error *error);
/* The chunk at a place and its neighbours in the document, in their order, as hits without scores (NaN). Only what was indexed is read,
 * never the file. A path without a line is the chunk `index`. */
SX_API sx_status sx_passages(sx_database *database, const char *collection, const sx_place *place, uint32_t before, uint32_t after,
                             sx_hits **out, sx_error *error);

/* The same straight in files of vectors, one pass with memory for the hits alone: nothing is imported. Of the options count and
 * threshold count. hits->collection is the first path; a hit's root is its file. */
SX_API sx_status sx_search_files(const char *const *paths, size_t path_count, sx_embedder *embedder, sx_text query,
                                 const sx_search_options *options, sx_hits **out, sx_error *error);

/* ---- Answers with sources ------------------------------------------------------------------------------------------------ */

typedef struct sx_ask_options {
    size_t size;
    sx_search_options search;     /* how passages are found; size 0: all defaults. count: most sources */
    const char *llm;              /* a chat model: "openai:NAME", or "openai@URL#NAME" of any server that speaks the same; NULL: only the
                                   * prompt is made, and nothing is sent */
    sx_remote_options remote;     /* its key, address and prices; allow_secrets also holds for the prompt. size 0: none */
    uint32_t context_tokens;      /* of the whole prompt; 0: 3000 */
    void (*piece)(const char *text, size_t length, void *user); /* the answer as it comes; may be NULL */
    void *user;
    const volatile int *stop;     /* non-zero ends the answer with SX_E_STOPPED; may be NULL */
} sx_ask_options;

/* A source that the answer names. */
typedef struct sx_citation {
    uint32_t source;
    int valid;                    /* 0: there is no such source */
} sx_citation;

typedef struct sx_answer {
    sx_hits *sources;             /* what the prompt holds; [Source N] is the hit of rank N */
    char *instructions, *prompt;  /* the two messages; NULL without sources */
    uint32_t context_tokens;      /* of both */
    char *counted_by;             /* whose tokens these are: a model, "cl100k_base", "bytes", or "bytes/3" */
    char *withheld;               /* passages held back since they hold keys, one a line; NULL: none */
    char *text;                   /* the answer, as far as it came; NULL when no model was asked */
    size_t length;
    int cut;                      /* it is not whole */
    sx_citation *citations;       /* each source once, in the order of the text */
    size_t citation_count;
    uint64_t prompt_tokens, answer_tokens; /* by the service's count; 0: it did not say */
    sx_spend spent;               /* of the chat model; in the database's ledger too */
} sx_answer;

/* Finds passages for the question, makes a prompt of numbered sources, and streams the answer of a chat model. Without passages (none, or
 * none above the threshold) no model is asked. Passages and questions with keys in them are not sent unless allowed. *out is set also
 * on failure once there is a prompt: what came of a cut answer is kept in it. Errors: those of sx_search; SX_E_DENIED, SX_E_PROVIDER,
 * SX_E_NETWORK, SX_E_FORMAT, SX_E_STOPPED; SX_E_LIMIT: no passage fits, or the answer was cut at the model's limit. */
SX_API sx_status sx_ask(sx_database *database, sx_embedder *embedder, sx_text question, const sx_ask_options *options, sx_answer **out,
                        sx_error *error);
SX_API void sx_answer_free(sx_answer *answer);

/* ---- Moving to another model ------------------------------------------------------------------------------------------- */

typedef struct sx_migrate_options {
    size_t size;
    const char *collection;       /* NULL: "default" */
    const sx_text *queries;       /* to compare both sides with; none: sampled chunks, whose vectors are there already */
    size_t query_count;
    sx_embedder *old_queries, *new_queries; /* for the queries: embedders of both spaces with role "query" */
    uint32_t samples;             /* chunks to compare with; 0: 50 */
    uint32_t count;               /* k of overlap@k; 0: 10 */
    double least_overlap;         /* below it there is no cut-over (SX_E_MISMATCH); 0: none */
    int prepare;                  /* build and compare, but do not cut over */
    int allow_failed;             /* cut over although chunks failed that the old side has */
    int allow_secrets;
    int no_wait;                  /* SX_E_BUSY when another process works on the collection, instead of waiting */
    sx_progress_callback progress;
    void *progress_user;
    const volatile int *stop;
} sx_migrate_options;

typedef struct sx_migrate_comparison {
    uint64_t queries;             /* 0: nothing could be compared */
    int sampled;                  /* they are chunks of the collection */
    uint32_t count;               /* k */
    double overlap;               /* share of the old side's first k hits that the new one has among its own, mean */
    double rank_correlation;      /* Spearman, of each query's similarities to sampled chunks, mean; NaN: none could be ranked */
} sx_migrate_comparison;

typedef struct sx_migrate_report {
    struct { uint64_t total, moved, unchanged, removed; } documents;
    struct { uint64_t total, embedded, cached, failed, cut, truncated; } chunks; /* cut: too long for the new model, so made into several */
    uint64_t tokens;
    double seconds;
    sx_migrate_comparison comparison;
    int cut_over;
    char *from, *to;              /* models */
    sx_problem *failed;
    size_t failed_count;
    sx_spend cost;
} sx_migrate_report;

/* Builds what the collection would be with the embedder's model (role "document") beside it, while searches go on; compares the
 * two; and puts the new one in its place in one transaction. Durable per batch: after a kill the next call goes on where this one
 * was. The old side is kept for _rollback until _drop. Nobody indexes into the collection meanwhile. Chunks keep their places; those
 * too long for the new model are cut into several. *report is set also on failure. Chunks that failed prevent the cut-over
 * (SX_E_INVALID) unless allowed. SX_E_EXISTS: it is of that model already, or another side is kept or being filled. */
SX_API sx_status sx_migrate(sx_database *database, sx_embedder *embedder, const sx_migrate_options *options,
                            sx_migrate_report **report, sx_error *error);
SX_API void sx_migrate_report_free(sx_migrate_report *report);
/* Back to the side that was kept, as it was; the new one becomes a migration that can be finished or dropped. */
SX_API sx_status sx_migrate_rollback(sx_database *database, const char *collection, sx_error *error);
/* Deletes the side that was kept; unfinished: the one that is being filled. Vectors stay in the cache. */
SX_API sx_status sx_migrate_drop(sx_database *database, const char *collection, int unfinished, sx_error *error);

/* ---- Compression (docs/compression.md) ---------------------------------------------------------------------------------- */

typedef struct sx_compress_options {
    size_t size;
    const char *collection;       /* NULL: "default" */
    const char *to;               /* "f16", "int8", "binary", "pca:N", "dims:N" */
    const float *queries;         /* to measure with, query_count x the collection's dimensions; NULL: sampled chunks */
    size_t query_count;
    uint32_t samples;             /* how many of these; 0: 200 */
    uint32_t count;               /* k of recall@k; 0: 10 */
    int dry_run;                  /* measure, change nothing */
    const volatile int *stop;
} sx_compress_options;

typedef struct sx_compress_report {
    char method[32];
    char before[32];              /* what the collection was compressed with; "": nothing */
    uint64_t vectors;
    uint64_t bytes_f32, bytes;    /* of the vectors' floats; of the packed ones */
    uint64_t queries;
    uint32_t count;
    double recall;                /* share of the exact first k that a search finds: candidates by packed scores,
        scored again exactly */
    double recall_alone;          /* by packed scores alone */
    double retained;              /* pca: share of the variance that is kept; else 1 */
    double seconds;
    int done;                     /* searches use it now */
} sx_compress_report;

/* Measures what searches lose when they scan packed vectors, and makes them do so. The vectors themselves stay where they are:
 * the best by packed scores are scored again with them. */
SX_API sx_status sx_compress(sx_database *database, const sx_compress_options *options, sx_compress_report *report,
                             sx_error *error);
/* Searches use the vectors again. SX_E_NOT_FOUND: the collection is not compressed. */
SX_API sx_status sx_compress_undo(sx_database *database, const char *collection, sx_error *error);

typedef struct sx_compress_drop_report {
    char method[32];
    uint64_t vectors;             /* whose floats go, or have gone */
    uint64_t shared;              /* kept whole: other collections use them too */
    uint64_t bytes_before, bytes_after; /* of these vectors in the database */
    uint64_t segment_bytes;       /* of the files beside it, which go */
    uint64_t queries;             /* measured with; 0: nothing is left to drop */
    uint32_t count;
    double recall, recall_alone;  /* as in sx_compress_report: what searches find before, and after */
    double seconds;
    int done;
    int shrunk;                   /* the database file gave its room back; else it is used again for what comes */
} sx_compress_drop_report;

/* Drops the 32-bit vectors of a compressed collection for good (SX_E_NOT_FOUND: it is not compressed): only the packed ones are kept,
 * in the database. Searches, exports and maps then use what these tell; sx_compress_undo is refused. Vectors that other collections use
 * too stay whole. Killed or stopped in between, the next call goes on. `to` must be NULL. SX_E_BUSY: a job is running. */
SX_API sx_status sx_compress_drop(sx_database *database, const sx_compress_options *options, sx_compress_drop_report *report,
                                  sx_error *error);

/* The same search over rows in memory (count x dimensions): best is query_count x k row numbers, best first, UINT32_MAX where
 * there are none. to NULL: exact. Scores are dot products. */
SX_API sx_status sx_compress_try(const char *to, const float *rows, size_t count, uint32_t dimensions, const float *queries,
                                 size_t query_count, uint32_t k, uint32_t *best, sx_error *error);

/* ---- A collection seen as a whole (docs/pictures.md) --------------------------------------------------------------------- */

/* All of these compare by cosine, hold the vectors in memory as floats (SX_E_LIMIT beyond half of the process's memory), and give the same
 * result for the same collection whatever the threads. `threads` 0: all cores. */

/* A passage and where it stands. */
typedef struct sx_excerpt {
    int64_t chunk;
    char *collection, *root, *document, *title, *metadata; /* title, metadata: NULL when there is none */
    uint32_t index, start_line, end_line;
    uint64_t start, end;
    char *text;                   /* its beginning */
    size_t text_length, whole_length;
} sx_excerpt;

typedef struct sx_duplicates_options {
    size_t size;
    const char *collection;       /* NULL: "default" */
    const char *const *also;      /* more collections of the same space */
    size_t also_count;
    double threshold;             /* least cosine, above 0 and at most 1; 0: 0.95 */
    const char *const *filters;   /* as in sx_search_options */
    size_t filter_count;
    uint32_t most_groups;         /* of each kind, the largest; 0: 1000 */
    unsigned threads;
    sx_progress_callback progress;
    void *progress_user;
    const volatile int *stop;
} sx_duplicates_options;

typedef struct sx_duplicate {
    sx_excerpt passage;           /* of a document: its first one */
    double similarity;            /* to the group's first */
    double shared;                /* of a document: the share of its passages that another of the group has too, or nearly */
} sx_duplicate;
typedef struct sx_duplicate_group {
    int exact;                    /* the texts are equal, byte by byte */
    double least;                 /* the least similarity to the first */
    sx_duplicate *members;        /* oldest first */
    size_t count;
} sx_duplicate_group;
typedef struct sx_duplicate_report {
    uint64_t passages, documents; /* looked at */
    uint64_t redundant_passages, redundant_documents; /* that could go: all of each group but one */
    uint64_t passage_groups, document_groups; /* found; the arrays hold at most most_groups */
    sx_duplicate_group *groups, *document_list; /* exact ones first, then the larger first */
    size_t group_count, document_count;
    double threshold, seconds;
} sx_duplicate_report;

/* Passages that say the same, and documents that do. Two passages are in a group when a chain of pairs at least as similar as the threshold
 * joins them. Every pair is looked at. Documents are compared by the mean of their passages. */
SX_API sx_status sx_duplicates(sx_database *database, const sx_duplicates_options *options, sx_duplicate_report **out, sx_error *error);
SX_API void sx_duplicate_report_free(sx_duplicate_report *report);

typedef struct sx_clusters_options {
    size_t size;
    const char *collection;       /* NULL: "default" */
    const char *const *filters;
    size_t filter_count;
    uint32_t count;               /* of clusters, at most 256; 0: chosen */
    uint32_t typical;             /* passages of each; 0: 3 */
    uint32_t outliers;            /* passages; 0: 5 */
    unsigned threads;
    sx_progress_callback progress;
    void *progress_user;
    const volatile int *stop;
} sx_clusters_options;

typedef struct sx_cluster_passage {
    sx_excerpt passage;
    double similarity;            /* typical: to the middle of the cluster; outliers: mean to the 5 nearest passages */
    uint32_t cluster;
} sx_cluster_passage;
typedef struct sx_cluster {
    char *name;                   /* words that it has and others have not */
    uint64_t passages, documents;
    double cohesion;              /* mean similarity to its middle */
    sx_cluster_passage *typical;  /* of different documents where there are enough; nearest to the middle first */
    size_t typical_count;
} sx_cluster;
typedef struct sx_clusters {
    uint64_t passages;
    int chosen;                   /* the count was */
    sx_cluster *clusters;         /* the largest first */
    size_t count;
    sx_cluster_passage *outliers; /* the farthest from everything first */
    size_t outlier_count;
    double seconds;
} sx_clusters;
/* Groups of passages about one thing (spherical k-means), and those that are like no other. */
SX_API sx_status sx_clusters_find(sx_database *database, const sx_clusters_options *options, sx_clusters **out, sx_error *error);
SX_API void sx_clusters_free(sx_clusters *clusters);

/* Examples with labels, to tell the labels of others by. Immutable: any number of threads may use one. */
typedef struct sx_examples sx_examples;
/* Copies count x dimensions floats, which must be finite, and as many labels, none of them empty. */
SX_API sx_status sx_examples_make(const float *vectors, const char *const *labels, size_t count, uint32_t dimensions, sx_examples **out,
                                  sx_error *error);
/* The passages of a collection whose document has the metadata key: text, numbers and true or false are labels. SX_E_NOT_FOUND: none has. */
SX_API sx_status sx_examples_of_collection(sx_database *database, const char *collection, const char *key, sx_examples **out,
                                           sx_error *error);
SX_API void sx_examples_free(sx_examples *examples);
SX_API size_t sx_examples_count(const sx_examples *examples);
/* The labels in the order of the alphabet; NULL beyond the last. */
SX_API const char *sx_examples_label(const sx_examples *examples, size_t index);

typedef struct sx_classify_options {
    size_t size;
    uint32_t neighbours;          /* that vote, each by its similarity; 0: 5; at most 1000 */
    double threshold;             /* least similarity to the nearest example of the label, else none */
    double confidence;            /* least confidence, else none */
} sx_classify_options;
typedef struct sx_label {
    const char *label;            /* NULL: none. Belongs to the examples */
    double confidence;            /* the label's share of the votes; also of a label that was not given */
    double similarity;            /* to the nearest example of the label */
} sx_label;
/* vectors: count x the examples' dimensions. */
SX_API sx_status sx_classify(const sx_examples *examples, const sx_classify_options *options, const float *vectors, size_t count,
                             sx_label *labels, sx_error *error);

typedef struct sx_classify_judgement {
    uint64_t examples, right, none; /* none: no label was given */
    double accuracy;              /* right of all */
    double commonest;             /* what always saying the commonest label would give */
} sx_classify_judgement;
/* Each example by all the others (those of its own document left out as well). */
SX_API sx_status sx_classify_judge(const sx_examples *examples, const sx_classify_options *options, sx_classify_judgement *out,
                                   sx_error *error);

typedef struct sx_map_options {
    size_t size;
    const char *collection;       /* NULL: "default" */
    const char *const *filters;
    size_t filter_count;
    const char *layout;           /* "neighbours": keeps neighbours together; "pca": the two main components; NULL: neighbours */
    const char *color_by;         /* a metadata key, "document" or "collection"; NULL: by cluster */
    uint32_t clusters;            /* 0: chosen */
    uint32_t most_points;         /* more passages: so many, spread evenly; 0: 10000; at most 50000 */
    int measure;                  /* how well neighbours are preserved */
    unsigned threads;
    sx_progress_callback progress;
    void *progress_user;
    const volatile int *stop;
} sx_map_options;

typedef struct sx_map_point {
    float x, y;                   /* 0 .. 1 both, in one scale; y goes down */
    uint32_t group;
    sx_excerpt passage;
} sx_map_point;
typedef struct sx_map_group {
    char *name;                   /* distinctive words of a cluster; a value of the metadata, "(none)", "(others)" */
    uint32_t count;
    float x, y;                   /* where its name stands */
} sx_map_group;
typedef struct sx_map {
    char *collection, *model, *color_by; /* color_by: "clusters" or the key */
    const char *layout;
    uint64_t passages;            /* of the collection (that pass the filters): more than count when sampled */
    sx_map_point *points;
    size_t count;
    sx_map_group *groups;
    size_t group_count;
    float width, height;          /* what points fill, the larger being 1 */
    double preserved, preserved_pca; /* share of the 10 nearest that are among the 30 nearest in the picture; NaN: not measured */
    double seconds;
} sx_map;

/* Places passages on a plane. An empty collection gives no points. */
SX_API sx_status sx_map_make(sx_database *database, const sx_map_options *options, sx_map **out, sx_error *error);
SX_API void sx_map_free(sx_map *map);

typedef struct sx_draw_options {
    size_t size;
    const char *title;            /* NULL: the collection's name */
    uint32_t width, height;       /* of svg and png in pixels; 0: 1600 x 1200; 200 .. 8000 */
    int dark;                     /* html has both */
} sx_draw_options;
/* format: "svg", "png", "html" (a page that needs nothing else) or "json". *data is malloc'ed. */
SX_API sx_status sx_map_draw(const sx_map *map, const char *format, const sx_draw_options *options, char **data, size_t *length,
                             sx_error *error);

/* ---- This machine ------------------------------------------------------------------------------------------------------ */

typedef struct sx_machine {
    unsigned cores;          /* this process may use */
    uint64_t cpu_mask;       /* SX_CPU_* available */
    const char *kernels;     /* best level's name */
    uint64_t memory_bytes;   /* this process may use: cgroup limit or physical */
    const char *sqlite_version;
} sx_machine;
SX_API void sx_machine_describe(sx_machine *machine);

typedef struct sx_measure_options {
    size_t size;
    unsigned threads;        /* 0: all cores */
    double seconds;          /* for each figure; 0: 0.2 */
    uint64_t cpu_mask;       /* as in sx_model_options */
} sx_measure_options;

/* What the machine gives at most, all threads together; the best of the rounds that fit into the time. */
typedef struct sx_machine_peak {
    unsigned threads;
    double f32_operations;   /* a second: multiplications and additions of fused ones between registers; 0: not measured here */
    double int8_operations;  /* the same of 8-bit dot products (VNNI); 0: the processor has none */
    double read_bytes;       /* from memory, a second */
} sx_machine_peak;
SX_API sx_status sx_measure_peak(const sx_measure_options *options, sx_machine_peak *out, sx_error *error);

/* Operations, as above, of a pass over one text of so many tokens. Static models: 0. */
typedef struct sx_pass_operations {
    double products;         /* of the linear layers */
    double attention;
} sx_pass_operations;
SX_API sx_pass_operations sx_measure_operations(const sx_model *model, uint32_t tokens);

/* One kernel at a shape of the model; every figure of one call. Time is the median of the rounds. */
typedef struct sx_kernel_speed {
    const char *name;        /* "gemm", "attention", "norm", "gelu", "quantize", "gemm-int8", "search" */
    char shape[64];          /* "128 x 384 x 1536" */
    const char *kernels;     /* "avx512": the instruction set */
    unsigned threads;        /* "search" uses all it may, the others one */
    double seconds;
    double operations;       /* 0: not what bounds it */
    double bytes;            /* read from memory; 0: not what bounds it */
    int integer;             /* operations are 8-bit ones */
} sx_kernel_speed;
/* Measures the kernel at this place of the list, from 0 on; SX_E_NOT_FOUND beyond the last. model gives the shapes; NULL: those
 * of a BERT of 384 dimensions. name not NULL: kernels of other names are left out (their seconds are 0). */
SX_API sx_status sx_measure_kernel(const sx_model *model, size_t index, const char *name, const sx_measure_options *options,
                                   sx_kernel_speed *out, sx_error *error);

#ifdef __cplusplus
}
#endif
#endif
