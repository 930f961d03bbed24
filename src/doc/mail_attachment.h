/* mail_attachment.h - what is attached to a message: which reader it goes to. Internal to src/doc. */
#ifndef SX_DOC_MAIL_ATTACHMENT_H
#define SX_DOC_MAIL_ATTACHMENT_H

/* As which text it is read, like a part of the message: "text/plain" or "text/html"; NULL: it is no text. name: as the sender
 * called it, may be ""; type: in lower case. */
const char *sx_attachment_text_type(const char *name, const char *type);
/* The kind that it is read as otherwise (sx_document_parse); NULL: it is not read. */
const char *sx_attachment_media_type(const char *name, const char *type);

#endif
