/* options.c - reading a caller's options struct whose size may be that of another version of the header. */
#include "options.h"

#include "error.h"

#include <string.h>

sx_status sx_options_read(const void *options, void *to, size_t known_size, const char *name, sx_error *error)
{
    memset(to, 0, known_size);
    memcpy(to, &known_size, sizeof known_size);
    if (!options)
        return SX_OK;
    size_t size;
    memcpy(&size, options, sizeof size);
    if (size < sizeof size || size > 65536)
        return sx_fail(error, SX_E_INVALID, "%s: size is %zu; set it to sizeof(%s)", name, size, name);
    const unsigned char *bytes = options;
    for (size_t i = known_size; i < size; i++)
        if (bytes[i])
            return sx_fail(error, SX_E_INVALID, "%s: byte %zu is set, but this version (%s) knows only %zu bytes", name, i,
                           sx_version(), known_size);
    memcpy(to, options, size < known_size ? size : known_size);
    memcpy(to, &known_size, sizeof known_size);
    return SX_OK;
}
