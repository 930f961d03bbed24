/* file.h - reading, mapping and atomically writing files; paths. */
#ifndef SX_BASE_FILE_H
#define SX_BASE_FILE_H

#include "sextant.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* A read-only mapping of a whole regular file. Zero-initialise; length 0 has data "" and no mapping. */
typedef struct sx_file_map {
    const unsigned char *data;
    size_t length;
    struct stat status; /* as it was when opened */
} sx_file_map;

/* Refuses what is not a regular file (SX_E_FORMAT) without blocking on pipes and devices. */
sx_status sx_file_map_open(const char *path, sx_file_map *map, sx_error *error);
void sx_file_map_close(sx_file_map *map);

/* Whole file into malloc'ed memory with a NUL after it; SX_E_LIMIT when longer than maximum. Regular files only. *status
 * may be NULL. Reads, does not map: a file that shrinks meanwhile gives a shorter text, never a SIGBUS. */
sx_status sx_file_read(const char *path, size_t maximum, char **data, size_t *length, struct stat *status,
                       sx_error *error);
/* Writes to PATH.tmp-PID-N in the same folder, flushes to disk, renames over path, flushes the folder. */
sx_status sx_file_write_atomic(const char *path, const void *data, size_t length, sx_error *error);
/* write(2) until all is written. */
sx_status sx_write_all(int descriptor, const void *data, size_t length, const char *name, sx_error *error);
/* Ends a file that was written with room at its start: `data` goes there, and everything to disk. */
sx_status sx_write_start(int descriptor, const void *data, size_t length, const char *name, sx_error *error);
/* mkdir -p with mode 0700 for folders made. */
sx_status sx_make_folders(const char *path, sx_error *error);
bool sx_file_exists(const char *path);
/* a/b malloc'ed; NULL on no memory. An empty first part gives b; an absolute b gives b. */
char *sx_path_join(const char *a, const char *b);
/* The last component: points into path. */
const char *sx_path_name(const char *path);

#endif
