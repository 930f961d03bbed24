/* code_grammars.c - opening the shared object with the parsers of programming languages (code_pack.h), and parsing a
 * file with the grammar of its language that reads it best. */
#include "code_grammars.h"

#include "../base/error.h"
#include "../base/file.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* Larger files are data as a rule; their trees would take some hundred MiB. */
static const size_t most_bytes = 4u << 20;
/* A parser does two to four operations for a byte; wrong text costs more, but must not cost minutes. */
enum { OPERATIONS_PER_BYTE = 40, LEAST_OPERATIONS = 100000 };
/* Trees with larger parts in error say little about the text. */
enum { WORST_ERROR_PERCENT = 40 };

struct sx_grammars {
    void *object;
    const sx_code_pack *pack;
};

sx_status sx_grammars_open(const char *path, sx_grammars **out, sx_error *error)
{
    *out = NULL;
    if (!path || path[0] != '/')
        return sx_fail(error, SX_E_INVALID, "grammars %s: the path must be absolute", path ? path : "NULL");
    if (!sx_file_exists(path))
        return sx_fail(error, SX_E_NOT_FOUND, "grammars %s: there is no such file", path);
    sx_grammars *grammars = sx_calloc(1, sizeof *grammars);
    if (!grammars)
        return sx_fail_nomem(error, sizeof *grammars);
    sx_status status = SX_OK;
    grammars->object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *door = grammars->object ? dlsym(grammars->object, SX_CODE_PACK_SYMBOL) : NULL;
    sx_code_pack_door open = NULL;
    if (!door) {
        const char *why = dlerror();
        status = sx_fail(error, SX_E_FORMAT, "grammars %s: %s", path, why ? why : "not made by install-grammars");
    } else {
        memcpy(&open, &door, sizeof open); /* ISO C has no cast from object to function pointers */
        grammars->pack = open();
        if (grammars->pack->version != SX_CODE_PACK_VERSION)
            status = sx_fail(error, SX_E_UNSUPPORTED, "grammars %s: version %u of the interface, this program needs %u", path,
                             grammars->pack->version, (unsigned)SX_CODE_PACK_VERSION);
    }
    if (status)
        sx_grammars_close(grammars);
    else
        *out = grammars;
    return status;
}

void sx_grammars_close(sx_grammars *grammars)
{
    if (!grammars)
        return;
    if (grammars->object)
        dlclose(grammars->object);
    free(grammars);
}

const char *sx_grammars_identity(const sx_grammars *grammars)
{
    return grammars ? grammars->pack->identity : "";
}

const char *sx_code_label(const char *language)
{
    const sx_code_language *row = sx_code_language_named(language);
    return row ? row->label : language;
}

bool sx_word_in(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; *at;) {
        size_t span = strcspn(at, " ");
        if (span == length && !memcmp(at, word, length))
            return true;
        at += span + (at[span] == ' ');
    }
    return false;
}

bool sx_grammars_read(const sx_grammars *grammars, const char *language)
{
    const sx_code_language *row = sx_code_language_named(language);
    for (uint32_t i = 0; grammars && row && i < grammars->pack->grammar_count; i++)
        if (sx_word_in(row->grammars, grammars->pack->grammar_name(i)))
            return true;
    return false;
}

/* Bytes inside of nodes that are errors. */
static uint64_t bytes_in_error(const sx_code_node *nodes, uint32_t count)
{
    uint64_t bytes = 0;
    uint32_t covered = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (nodes[i].kind != SX_CODE_ERROR_KIND || nodes[i].end <= covered)
            continue;
        bytes += nodes[i].end - (nodes[i].start > covered ? nodes[i].start : covered);
        covered = nodes[i].end;
    }
    return bytes;
}

/* The same without what was read all the same: definitions and comments found again behind an error. One preprocessor line in
 * the middle of a statement can make the whole file an error, with nearly all of its functions whole in it. -1: no memory. */
static int64_t bytes_lost(const sx_code_language *language, const sx_code_tree *tree)
{
    enum { DEEPEST = 64 };
    struct region {
        uint32_t next;
        bool lost;
    } open[DEEPEST];
    const sx_code_node *nodes = tree->nodes;
    uint32_t kinds = tree->pack->kind_count(tree->grammar);
    size_t depth = 0;
    int64_t lost = 0;
    bool *found = sx_calloc(kinds, sizeof *found);
    if (!found)
        return -1;
    for (uint32_t i = 0; i < kinds; i++) {
        const char *name = tree->pack->kind_name(tree->grammar, i);
        found[i] = name && sx_word_in(language->comments, name);
        for (const sx_code_rule *rule = language->rules; name && rule->node && !found[i]; rule++)
            found[i] = sx_word_in(rule->node, name);
    }
    for (uint32_t i = 0; i < tree->count; i++) {
        while (depth && open[depth - 1].next <= i)
            depth--;
        bool inside = depth && open[depth - 1].lost, is_error = nodes[i].kind == SX_CODE_ERROR_KIND;
        if (depth == DEEPEST || (is_error ? inside : !inside || nodes[i].kind >= kinds || !found[nodes[i].kind]))
            continue;
        lost += is_error ? (int64_t)(nodes[i].end - nodes[i].start) : -(int64_t)(nodes[i].end - nodes[i].start);
        open[depth++] = (struct region){nodes[i].next, is_error};
    }
    free(found);
    return lost;
}

sx_status sx_code_parse(const sx_grammars *grammars, const sx_code_language *language, const char *text, size_t length,
                        sx_code_tree *tree, sx_error *error)
{
    *tree = (sx_code_tree){.why = "no grammar of its language is installed"};
    if (length > most_bytes) {
        tree->why = "larger than 4 MiB";
        return SX_OK;
    }
    uint64_t work = (uint64_t)length * OPERATIONS_PER_BYTE + LEAST_OPERATIONS, wrong = 0;
    for (uint32_t i = 0; i < grammars->pack->grammar_count && (!tree->nodes || wrong); i++) {
        if (!sx_word_in(language->grammars, grammars->pack->grammar_name(i)))
            continue;
        sx_code_node *nodes;
        uint32_t count;
        sx_code_outcome outcome =
            grammars->pack->parse(i, text, (uint32_t)length, work, (uint32_t)length + 1024, &nodes, &count);
        if (outcome == SX_CODE_NO_MEMORY) {
            sx_code_tree_clear(tree);
            return sx_fail_nomem(error, length);
        }
        if (outcome != SX_CODE_PARSED) {
            if (!tree->nodes)
                tree->why = outcome == SX_CODE_REFUSED ? "the parser refuses its grammar" : "parsing it takes too long";
            continue;
        }
        uint64_t errors = bytes_in_error(nodes, count);
        if (tree->nodes && errors >= wrong) {
            grammars->pack->release(nodes);
            continue;
        }
        sx_code_tree_clear(tree);
        *tree = (sx_code_tree){.pack = grammars->pack, .grammar = i, .nodes = nodes, .count = count};
        wrong = errors;
    }
    const uint64_t most = (uint64_t)length * WORST_ERROR_PERCENT / 100;
    int64_t lost = tree->nodes && wrong > most ? bytes_lost(language, tree) : 0;
    if (lost < 0) {
        sx_code_tree_clear(tree);
        return sx_fail_nomem(error, tree->count);
    }
    if ((uint64_t)lost > most) {
        sx_code_tree_clear(tree);
        tree->why = "too much of it is not in the grammar of its language";
    }
    return SX_OK;
}

void sx_code_tree_clear(sx_code_tree *tree)
{
    if (tree->nodes)
        tree->pack->release(tree->nodes);
    *tree = (sx_code_tree){0};
}
