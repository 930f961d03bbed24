/* options.h - reading a caller's options struct whose size may be that of another version of the header. */
#ifndef SX_BASE_OPTIONS_H
#define SX_BASE_OPTIONS_H

#include "sextant.h"

/* Copies a caller's struct (which begins with its size_t size) into `to`, zeroing what the caller's version lacks. options
 * NULL: all zero. Non-zero bytes beyond known_size, or a size too small to hold the size field, give SX_E_INVALID. */
sx_status sx_options_read(const void *options, void *to, size_t known_size, const char *name, sx_error *error);

#endif
