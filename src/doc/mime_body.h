/* mime_body.h - bodies of messages: what was encoded for the way, and the parts between boundaries. Internal to src/doc. */
#ifndef SX_DOC_MIME_BODY_H
#define SX_DOC_MIME_BODY_H

#include "../base/buffer.h"
#include "sextant.h"

#include <stdbool.h>
#include <stdint.h>

/* Undoes a Content-Transfer-Encoding (lower case; "" counts as 7bit). False: it is not known. lines (may be NULL) gets a uint32_t for
 * each line of the result: the line of `body` it comes from, from 0. */
bool sx_mime_decode(const char *encoding, sx_text body, sx_buffer *out, sx_buffer *lines);

/* The next part of a multipart body: begins at 0, *at moves on. False when there is no further one. A last part without its closing
 * boundary ends with the body. */
bool sx_mime_next_part(sx_text body, const char *boundary, size_t *at, sx_text *part);

#endif
