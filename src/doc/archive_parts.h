/* archive_parts.h - the parts of a document that is a zip file, and XML as events. Internal to src/doc; for use in a child. */
#ifndef SX_DOC_ARCHIVE_PARTS_H
#define SX_DOC_ARCHIVE_PARTS_H

#include "reader.h"

typedef struct sx_archive_part {
    char *name; /* '/' between folders, no leading one */
    char *data; /* NUL-terminated */
    size_t length;
} sx_archive_part;

typedef struct sx_archive {
    sx_archive_part *parts;
    size_t count, capacity;
    char refused[128]; /* the first name that leads outside ("../../x"), which is not read; else "" */
} sx_archive;

/* Unpacks into memory the parts whose names end with one of `endings` (space between them), at most 256 MiB together. Errors
 * name `what` ("Word document"): SX_E_UNSUPPORTED for damage and encryption, SX_E_LIMIT. */
sx_status sx_archive_read(const void *data, size_t length, const char *endings, const char *what, sx_archive *archive,
                          sx_error *error);
/* NULL: there is none. */
const sx_archive_part *sx_archive_find(const sx_archive *archive, const char *name);
void sx_archive_clear(sx_archive *archive);

/* ---- xml_events.c ---- */

/* One element's attributes, valid during the call. */
typedef struct sx_xml_attributes {
    const unsigned char **all;
    int count;
} sx_xml_attributes;
/* The value of an attribute by its name without prefix; false when it is missing. */
bool sx_xml_attribute(const sx_xml_attributes *attributes, const char *name, const char **value, size_t *length);

/* What is told of a document; names are without prefix. */
typedef struct sx_xml_events {
    void (*start)(void *user, const char *name, const sx_xml_attributes *attributes);
    void (*end)(void *user, const char *name);
    void (*text)(void *user, const char *text, size_t length);
    void *user;
} sx_xml_events;

/* No network, no other files, no entities of the document's own: one that declares any is refused (SX_E_UNSUPPORTED), and so is
 * one nested deeper than 256 elements. The messages name `what` and `part`. */
sx_status sx_xml_read(const void *data, size_t length, const char *what, const char *part, const sx_xml_events *events,
                      sx_error *error);

#endif
