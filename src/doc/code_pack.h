/* code_pack.h - the boundary between Sextant and the parsers of programming languages.
 *
 * The parsers are tree-sitter's runtime and grammars, in one shared object that scripts/install-grammars makes from pinned
 * packages (code_pack.c is its door) and that Sextant opens when it is there. Only what stands here crosses the boundary, so
 * Sextant is built without tree-sitter's headers, and a pack made for another version of this header is refused by its number. */
#ifndef SX_DOC_CODE_PACK_H
#define SX_DOC_CODE_PACK_H

#include <stdint.h>

enum { SX_CODE_PACK_VERSION = 1 };
#define SX_CODE_PACK_SYMBOL "sextant_code_pack"

/* A named node of a syntax tree. The nodes of a tree are an array in the order in which they begin, parents before children. */
typedef struct sx_code_node {
    uint32_t start, end; /* bytes of the text */
    uint32_t next;       /* number of the first node after this one's subtree */
    uint16_t kind;       /* a number below kind_count; its name is that of the grammar ("function_definition") */
    uint16_t field;      /* the role in its parent ("name", "body"); 0: none */
} sx_code_node;

enum { SX_CODE_ERROR_KIND = UINT16_MAX }; /* what the grammar could not read */

typedef enum sx_code_outcome {
    SX_CODE_PARSED,
    SX_CODE_TOO_MUCH_WORK, /* more operations or nodes than allowed */
    SX_CODE_NO_MEMORY,
    SX_CODE_REFUSED        /* the runtime does not take the grammar */
} sx_code_outcome;

typedef struct sx_code_pack {
    uint32_t version;       /* SX_CODE_PACK_VERSION */
    uint32_t grammar_count;
    const char *identity;   /* packages with their versions: other parsers may give other trees */
    const char *(*grammar_name)(uint32_t grammar); /* "python" */
    uint32_t (*kind_count)(uint32_t grammar);
    const char *(*kind_name)(uint32_t grammar, uint32_t kind);
    uint32_t (*field_count)(uint32_t grammar);     /* fields are numbered from 1 */
    const char *(*field_name)(uint32_t grammar, uint32_t field);
    /* Work is counted, not timed, so that the same text gives the same tree on any machine. *nodes is freed by `release`. */
    sx_code_outcome (*parse)(uint32_t grammar, const char *text, uint32_t length, uint64_t most_operations, uint32_t most_nodes,
                             sx_code_node **nodes, uint32_t *count);
    void (*release)(sx_code_node *nodes);
} sx_code_pack;

typedef const sx_code_pack *(*sx_code_pack_door)(void);

#endif
