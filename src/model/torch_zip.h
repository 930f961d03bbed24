/* torch_zip.h - the directory of a zip archive whose entries are stored, not compressed. */
#ifndef SX_MODEL_TORCH_ZIP_H
#define SX_MODEL_TORCH_ZIP_H

#include "sextant.h"

#include "../base/memory.h"

typedef struct sx_zip_entry {
    sx_text name;               /* points into the archive */
    const unsigned char *data;
    size_t bytes;
} sx_zip_entry;

typedef struct sx_zip {
    sx_zip_entry *entries;      /* in ascending order of name */
    size_t count;
} sx_zip;

/* Entries live in the arena. SX_E_UNSUPPORTED: compressed or encrypted entries; SX_E_FORMAT: anything that does not lie within
 * the archive, and names that are there twice. `path` is for messages. */
sx_status sx_zip_read(const unsigned char *data, size_t length, const char *path, sx_arena *arena, sx_zip *zip, sx_error *error);
/* The entry prefix + name; NULL when there is none. */
const sx_zip_entry *sx_zip_find(const sx_zip *zip, sx_text prefix, sx_text name);

#endif
