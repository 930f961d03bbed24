/* code_outline.h - what a source file defines and where it may be cut, from its syntax tree. */
#ifndef SX_DOC_CODE_OUTLINE_H
#define SX_DOC_CODE_OUTLINE_H

#include "sextant.h"
#include "../base/memory.h"

#include <stdbool.h>

/* The parsers of programming languages, opened from the shared object that scripts/install-grammars makes. Any number of threads
 * may use one. */
typedef struct sx_grammars sx_grammars;
/* path must be absolute: nothing is looked for. SX_E_NOT_FOUND: no such file. SX_E_UNSUPPORTED: made for another version. */
sx_status sx_grammars_open(const char *path, sx_grammars **out, sx_error *error);
void sx_grammars_close(sx_grammars *grammars);
/* Which packages of which versions: part of what decides the chunks of code. "" for NULL. */
const char *sx_grammars_identity(const sx_grammars *grammars);
/* Whether a document's language can be parsed. */
bool sx_grammars_read(const sx_grammars *grammars, const char *language);
/* A language's name for people ("C++"); the name itself for those without a row. */
const char *sx_code_label(const char *language);

enum { SX_CODE_NONE = UINT32_MAX };

/* A function, class, type and so on. Items are in the order in which they begin, outer before inner. */
typedef struct sx_code_item {
    uint32_t start, end;   /* with the comments and attributes before it, and what is wrapped around it */
    uint32_t own;          /* where it begins itself */
    uint32_t line;         /* of its name, from 1 */
    uint32_t parent;       /* the item around it, or SX_CODE_NONE */
    const char *name;      /* without scope */
    const char *scope;     /* that the definition itself names (C++'s Stack in Stack::push, Go's receiver), or "" */
    const char *kind;      /* "function", "method", "class" ... */
    const char *signature; /* on one line, without body */
} sx_code_item;

/* A line on which a node begins: a place to cut. The first is at 0. */
typedef struct sx_code_place {
    uint32_t offset;
    uint32_t item;         /* that begins here, or SX_CODE_NONE */
    uint8_t depth;         /* in the tree; SX_CODE_DEPTH for that much and more */
    bool import;           /* an import, include or the like begins here */
} sx_code_place;
enum { SX_CODE_DEPTH = 200 };

typedef struct sx_code_outline {
    const char *why;       /* NULL; or why there is none ("too many errors ..."): items and places are empty then */
    const char *label;     /* "C++" */
    sx_code_item *items;
    sx_code_place *places;
    size_t item_count, place_count;
    sx_arena arena;
} sx_code_outline;

/* grammars may be NULL. What cannot be parsed is no error: `why` says it. */
sx_status sx_code_outline_make(const sx_grammars *grammars, const char *language, const char *text, size_t length,
                               sx_code_outline *outline, sx_error *error);
void sx_code_outline_clear(sx_code_outline *outline);

#endif
