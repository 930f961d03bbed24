/* embedded_file.h - files that are part of the library or the program, as scripts/embed_files.py writes them. */
#ifndef SX_BASE_EMBEDDED_FILE_H
#define SX_BASE_EMBEDDED_FILE_H

#include <stddef.h>

typedef struct sx_embedded_file {
    const char *name, *content_type;
    const unsigned char *data;
    size_t length;
} sx_embedded_file;

#endif
