/* mail_attachment.c - what is attached to a message: which reader it goes to, by its name as a file's, else by the type it is
 * sent as.
 *
 * Many programs send everything as application/octet-stream, so a name says more. Messages are not read from here: those that
 * stand in the message as they are have been read as parts of it, and any other way would nest without bounds. */
#include "mail_attachment.h"

#include "document.h"
#include "mailbox.h"

#include "../base/file.h"

#include <string.h>

/* Signatures and keys are no words. */
static bool is_to_be_left(const char *type)
{
    static const char *const types[] = {
        "application/pgp-signature",   "application/pgp-keys",           "application/pgp-encrypted", "application/ms-tnef",
        "application/pkcs7-signature", "application/x-pkcs7-signature",  "application/applefile",     "multipart/appledouble",
        "text/calendar",
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(type, types[i]))
            return true;
    return false;
}

/* By the name; NULL: it says nothing. *known: it says that the kind is not read. */
static const char *kind_of(const char *name, bool *not_read)
{
    const char *why = NULL, *dot = strrchr(sx_path_name(name), '.');
    *not_read = false;
    if (!dot || !dot[1])
        return NULL;
    const char *kind = sx_media_type_of(name, &why);
    *not_read = why != NULL;
    return kind;
}

const char *sx_attachment_text_type(const char *name, const char *type)
{
    bool not_read;
    const char *kind = kind_of(name, &not_read);
    if (is_to_be_left(type) || not_read)
        return NULL;
    if (!kind && strcmp(type, "text/rtf"))
        kind = type;
    if (!kind || strncmp(kind, "text/", 5))
        return NULL;
    return strcmp(kind, "text/html") ? "text/plain" : kind;
}

const char *sx_attachment_media_type(const char *name, const char *type)
{
    bool not_read;
    const char *kind = kind_of(name, &not_read);
    if (is_to_be_left(type) || not_read)
        return NULL;
    if (!kind)
        kind = strcmp(type, "text/rtf") ? type : "application/rtf";
    return sx_media_type_is_read(kind) && strcmp(kind, sx_mail_media_type) && strcmp(kind, sx_mailbox_media_type) ? kind : NULL;
}
