/* model_folder.h - what the files of a model's folder say, checked, before any weight is looked at. */
#ifndef SX_MODEL_MODEL_FOLDER_H
#define SX_MODEL_MODEL_FOLDER_H

#include "architecture.h"

typedef struct sx_named_prompt {
    const char *name, *text;
} sx_named_prompt;

/* Strings live in the arena. */
typedef struct sx_model_folder {
    const char *path;              /* as given */
    const char *transformer;       /* folder of config.json, weights and tokenizer: path or a folder in it */
    const char *weights;           /* the .safetensors file */

    sx_architecture architecture;  /* config.json */

    /* modules.json and what it names */
    unsigned poolings;             /* SX_POOLING_* */
    bool include_prompt;           /* prompt tokens are pooled too */
    bool normalize;
    uint32_t max_length;           /* tokens, special tokens included */
    bool lower_case;               /* sentence-transformers lowers the text before the tokenizer */

    /* config_sentence_transformers.json */
    sx_named_prompt *prompts;
    size_t prompt_count;
    const char *default_prompt;    /* its text, or "" */
    const char *similarity;

    sx_arena arena;
} sx_model_folder;

/* Errors name the file, the field and the values. */
sx_status sx_model_folder_read(const char *path, sx_model_folder *folder, sx_error *error);
void sx_model_folder_clear(sx_model_folder *folder);

/* As sx_model_prompt. */
sx_status sx_model_folder_prompt(const sx_model_folder *folder, const char *name, const char **prompt, sx_error *error);

#endif
