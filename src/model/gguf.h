/* gguf.h - the metadata of a .gguf file: named values that say what its tensors are. */
#ifndef SX_MODEL_GGUF_H
#define SX_MODEL_GGUF_H

#include "tensors.h"

typedef enum sx_gguf_type {
    SX_GGUF_UINT8, SX_GGUF_INT8, SX_GGUF_UINT16, SX_GGUF_INT16, SX_GGUF_UINT32, SX_GGUF_INT32, SX_GGUF_FLOAT32, SX_GGUF_BOOL,
    SX_GGUF_STRING, SX_GGUF_ARRAY, SX_GGUF_UINT64, SX_GGUF_INT64, SX_GGUF_FLOAT64
} sx_gguf_type;

typedef struct sx_gguf_value {
    sx_text key;
    sx_gguf_type type;           /* of the elements when `array` */
    bool array;
    size_t count;                /* elements; 1 when no array */
    const unsigned char *data;   /* in the file, every length in it checked */
} sx_gguf_value;

typedef struct sx_gguf {
    const char *path;
    sx_gguf_value *values;       /* in ascending order of key */
    size_t count;
} sx_gguf;

/* NULL when there is none. */
const sx_gguf_value *sx_gguf_find(const sx_gguf *gguf, const char *key);

/* Each leaves *value as it is when the key is missing (*found, which may be NULL, false); SX_E_FORMAT names the key when it is
 * of another kind. Integers of any width are taken, and floats of both. */
sx_status sx_gguf_unsigned(const sx_gguf *gguf, const char *key, uint64_t *value, bool *found, sx_error *error);
sx_status sx_gguf_number(const sx_gguf *gguf, const char *key, double *value, bool *found, sx_error *error);
sx_status sx_gguf_boolean(const sx_gguf *gguf, const char *key, bool *value, bool *found, sx_error *error);
sx_status sx_gguf_string(const sx_gguf *gguf, const char *key, sx_text *value, bool *found, sx_error *error);
/* An array of strings, in the arena: *count texts that point into the file. */
sx_status sx_gguf_strings(const sx_gguf *gguf, const char *key, sx_arena *arena, sx_text **values, size_t *count,
                          sx_error *error);
/* An array of numbers or booleans as doubles, in the arena. */
sx_status sx_gguf_numbers(const sx_gguf *gguf, const char *key, sx_arena *arena, double **values, size_t *count,
                          sx_error *error);

#endif
