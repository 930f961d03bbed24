/* error.h - filling a caller's sx_error where the fact is known. */
#ifndef SX_BASE_ERROR_H
#define SX_BASE_ERROR_H

#include "sextant.h"

/* Writes the message when error is not NULL and returns code, so that `return sx_fail(...)` reads well. In the
 * result control characters become spaces and bytes that are no UTF-8 '?': a message is one line of text, whatever a file name
 * or a server's reply holds. */
sx_status sx_fail(sx_error *error, sx_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* As sx_fail, with ": strerror(errno_value)" at the end and the status that errno means (SX_E_FULL, SX_E_NOT_FOUND ...). */
sx_status sx_fail_errno(sx_error *error, int errno_value, const char *format, ...) __attribute__((format(printf, 3, 4)));
sx_status sx_fail_nomem(sx_error *error, size_t bytes);
/* Sets the hint of an error already filled; does nothing for NULL. */
void sx_hint(sx_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Does to a text made elsewhere what sx_fail does to its message. */
void sx_make_one_line(char *text);
/* The status an errno value stands for. */
sx_status sx_status_of_errno(int errno_value);

#endif
