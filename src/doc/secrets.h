/* secrets.h - files whose names say that they hold keys or passwords. Internal to src/doc. */
#ifndef SX_DOC_SECRETS_H
#define SX_DOC_SECRETS_H

/* The rule that a file name matches (".env", "*.pem" ...), or NULL when it looks like no secret. Letter case does not matter. */
const char *sx_secret_rule(const char *name);

#endif
