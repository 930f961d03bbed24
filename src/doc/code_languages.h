/* code_languages.h - programming languages as data: which nodes of a grammar's trees are functions, classes, comments and so on.
 * Internal to src/doc. docs/code.md says how a language is added. */
#ifndef SX_DOC_CODE_LANGUAGES_H
#define SX_DOC_CODE_LANGUAGES_H

#include <stddef.h>

/* A node that defines something with a name. */
typedef struct sx_code_rule {
    const char *node; /* its kind in the grammar; several, separated by spaces */
    const char *kind; /* what people call it: "function", "class", "struct" ... */
    /* Only when: "body", it has a child in that role; "value=arrow_function function_expression", the child in that role is one
     * of these; "declarator~function_declarator", following the role inwards meets one of these;
     * ".expression_list=function_definition", the first node in the child of that kind is one of these. NULL: always. */
    const char *when;
    /* Where the name is: a role, or ".kind", the first child of that kind, or "=init", this word. NULL: the role
     * "name", else what "declarator" leads to. */
    const char *name;
    const char *scope; /* the role in whose subtree the first type's name is what this belongs to (Go's receivers), or NULL */
} sx_code_rule;

typedef struct sx_code_language {
    const char *name;     /* as media_types.c says it: sx_document.language */
    const char *label;    /* for people: "C++" */
    const char *grammars; /* the one with the fewest errors reads the file */
    const char *comments; /* kinds of nodes, as all that follow */
    const char *attached; /* what belongs to the node after it, as comments without a blank line do: attributes */
    const char *wrappers; /* what stands around a definition and belongs to it: decorators, export, template<> */
    const char *imports;
    const char *separators; /* of qualified names in definitions: "::" */
    const sx_code_rule *rules; /* up to one without node */
} sx_code_language;

/* The row of a language, or NULL. */
const sx_code_language *sx_code_language_named(const char *name);
/* The rows in order; NULL beyond the last. */
const sx_code_language *sx_code_language_at(size_t index);

#endif
