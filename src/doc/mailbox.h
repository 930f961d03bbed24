/* mailbox.h - the messages of an mbox file. */
#ifndef SX_DOC_MAILBOX_H
#define SX_DOC_MAILBOX_H

#include "sextant.h"

#include <stdbool.h>

extern const char sx_mailbox_media_type[];
extern const char sx_mail_media_type[];

/* The next message, without its "From " line; *at begins at 0 and moves on. False when there is none. */
bool sx_mailbox_next(const char *text, size_t length, size_t *at, sx_text *message);

#endif
