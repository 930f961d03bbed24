/* pickle.h - reading Python pickles as data: a tree of values, nothing of which is ever executed. */
#ifndef SX_MODEL_PICKLE_H
#define SX_MODEL_PICKLE_H

#include "sextant.h"

#include "../base/memory.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum sx_pickle_type {
    SX_PICKLE_NONE,
    SX_PICKLE_BOOLEAN,
    SX_PICKLE_INTEGER,
    SX_PICKLE_FLOAT,
    SX_PICKLE_TEXT,
    SX_PICKLE_BYTES,
    SX_PICKLE_TUPLE,
    SX_PICKLE_LIST,
    SX_PICKLE_DICT,      /* items: key, value, key, value ... in the order written; a key may come twice */
    SX_PICKLE_GLOBAL,    /* text: "module.name" */
    SX_PICKLE_CALL,      /* items: the global, then the arguments; what Python would have called */
    SX_PICKLE_REFERENCE  /* items[0]: the persistent id */
} sx_pickle_type;

/* Lives in the arena. Values are shared, and a list may hold itself: walk to a fixed depth only. */
typedef struct sx_pickle_value {
    sx_pickle_type type;
    size_t count, capacity;  /* of items */
    union {
        int64_t integer;     /* also of a boolean */
        double number;
        sx_text text;
        struct sx_pickle_value **items;
    };
} sx_pickle_value;

/* Reads one pickle of protocol 2 to 5 at the beginning of `data`; *used: its length. Globals not in `allowed` (full names,
 * NULL at the end) are SX_E_UNSUPPORTED and named, as are opcodes that PyTorch does not write. Texts point into data.
 * `name` is the file, for messages. */
sx_status sx_pickle_read(const unsigned char *data, size_t length, const char *name, const char *const *allowed,
                         sx_arena *arena, sx_pickle_value **value, size_t *used, sx_error *error);

bool sx_pickle_text_is(const sx_pickle_value *value, const char *text);
/* Whether the value is a call of the global. */
bool sx_pickle_calls(const sx_pickle_value *value, const char *global);

#endif
