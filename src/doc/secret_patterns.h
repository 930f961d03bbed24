/* secret_patterns.h - keys and passwords inside of texts, found by their form. */
#ifndef SX_DOC_SECRET_PATTERNS_H
#define SX_DOC_SECRET_PATTERNS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct sx_secret {
    const char *kind;     /* "GitHub token" */
    size_t start, end;    /* bytes in the text */
} sx_secret;

/* The first secret that begins at `from` or later. Go on with from = found->end. */
bool sx_secret_find(const char *text, size_t length, size_t from, sx_secret *found);
/* What people are told instead of the secret: "held back: AWS access key id in line 3 (not sent to openai)". */
void sx_secret_reason(const char *kind, size_t line, const char *provider, char *reason, size_t size);
/* The line of a place, from 1. */
size_t sx_secret_line(const char *text, size_t place);

#endif
