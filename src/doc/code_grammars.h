/* code_grammars.h - the syntax tree of a source file. Internal to src/doc. */
#ifndef SX_DOC_CODE_GRAMMARS_H
#define SX_DOC_CODE_GRAMMARS_H

#include "code_languages.h"
#include "code_outline.h"
#include "code_pack.h"

typedef struct sx_code_tree {
    const char *why; /* no tree: the reason; else NULL */
    const sx_code_pack *pack;
    uint32_t grammar;
    sx_code_node *nodes;
    uint32_t count;
} sx_code_tree;

/* What cannot be parsed is no error: `why` says it. */
sx_status sx_code_parse(const sx_grammars *grammars, const sx_code_language *language, const char *text, size_t length,
                        sx_code_tree *tree, sx_error *error);
void sx_code_tree_clear(sx_code_tree *tree);

/* Whether a list of words separated by spaces holds the word. */
bool sx_word_in(const char *list, const char *word);

#endif
