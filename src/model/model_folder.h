/* model_folder.h - what the files of a model's folder say, checked, before any weight is looked at. */
#ifndef SX_MODEL_MODEL_FOLDER_H
#define SX_MODEL_MODEL_FOLDER_H

#include "architecture.h"
#include "module_chain.h"

typedef enum sx_model_kind {
    SX_MODEL_EMBEDDER,      /* an encoder, a pooling, perhaps modules behind it */
    SX_MODEL_CROSS_ENCODER, /* an encoder and a classification head, for pairs of texts */
    SX_MODEL_STATIC         /* a table of token vectors, perhaps modules behind it */
} sx_model_kind;

typedef struct sx_named_prompt {
    const char *name, *text;
} sx_named_prompt;

/* Strings live in the arena. */
typedef struct sx_model_folder {
    const char *path;              /* as given */
    const char *transformer;       /* folder of config.json, weights and tokenizer: path or a folder in it */
    const char *weights;           /* the file of the encoder's or table's weights, or the index of its shards */
    sx_model_kind kind;

    sx_architecture architecture;  /* config.json; of a static model only the family's name */

    /* modules.json and what it names */
    unsigned poolings;             /* SX_POOLING_*; 0: not an embedder */
    bool include_prompt;           /* prompt tokens are pooled too */
    sx_module_entry *modules;      /* behind the pooling */
    size_t module_count;
    bool model2vec;                /* a static model by model2vec's rules for texts */
    uint32_t max_length;           /* tokens, special tokens included; 0: no limit (static models) */
    bool lower_case;               /* sentence-transformers lowers the text before the tokenizer */

    /* config_sentence_transformers.json */
    sx_named_prompt *prompts;
    size_t prompt_count;
    const char *default_prompt;    /* its text, or "" */
    const char *similarity;
    const sx_known_model *recommended; /* whose prompts serve the roles query and document; NULL: the folder's own do */

    sx_arena arena;
} sx_model_folder;

/* Errors name the file, the field and the values. */
sx_status sx_model_folder_read(const char *path, sx_model_folder *folder, sx_error *error);
void sx_model_folder_clear(sx_model_folder *folder);

/* Part of the above, in model_modules.c: which kind of model it is, and its modules. */
sx_status sx_model_folder_read_modules(sx_model_folder *folder, sx_error *error);

/* As sx_model_prompt. */
sx_status sx_model_folder_prompt(const sx_model_folder *folder, const char *name, const char **prompt, sx_error *error);

#endif
