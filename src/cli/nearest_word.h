/* nearest_word.h - what somebody may have meant who mistyped a verb or an option. */
#ifndef SX_CLI_NEAREST_WORD_H
#define SX_CLI_NEAREST_WORD_H

/* The nearest of the words considered so far; best NULL: none is near. A word that begins with what was typed counts as near. */
typedef struct sx_cli_nearest {
    const char *word, *best;
    unsigned distance; /* only what is nearer is taken */
} sx_cli_nearest;
sx_cli_nearest sx_cli_nearest_begin(const char *word);
void sx_cli_nearest_consider(sx_cli_nearest *nearest, const char *candidate);
/* The verb, or group of verbs, that is nearest to a name; NULL when none is near. */
const char *sx_cli_nearest_verb(const char *name);

#endif
