/* code_pack.c - the door of the shared object that holds tree-sitter's runtime and the grammars; see code_pack.h.
 *
 * No part of the library: scripts/install-grammars compiles it with the runtime's header, the list of grammars in SX_GRAMMARS
 * (GRAMMAR(python) GRAMMAR(c) ...) and what they are in SX_GRAMMARS_IDENTITY. Trees are walked with a cursor,
 * without recursion. */
#include "code_pack.h"

#include <stdlib.h>
#include <string.h>
#include <tree_sitter/api.h>

#define GRAMMAR(name) const TSLanguage *tree_sitter_##name(void);
SX_GRAMMARS
#undef GRAMMAR

static const struct {
    const char *name;
    const TSLanguage *(*language)(void);
} grammars[] = {
#define GRAMMAR(name) {#name, tree_sitter_##name},
    SX_GRAMMARS
#undef GRAMMAR
};
enum { GRAMMARS = sizeof grammars / sizeof grammars[0], OPERATIONS_PER_CALL = 100 };

static const char *grammar_name(uint32_t grammar)
{
    return grammars[grammar].name;
}

static uint32_t kind_count(uint32_t grammar)
{
    return ts_language_symbol_count(grammars[grammar].language());
}

static const char *kind_name(uint32_t grammar, uint32_t kind)
{
    return ts_language_symbol_name(grammars[grammar].language(), (TSSymbol)kind);
}

static uint32_t field_count(uint32_t grammar)
{
    return ts_language_field_count(grammars[grammar].language());
}

static const char *field_name(uint32_t grammar, uint32_t field)
{
    return ts_language_field_name_for_id(grammars[grammar].language(), (TSFieldId)field);
}

typedef struct source {
    const char *text;
    uint32_t length;
} source;

static const char *read_source(void *payload, uint32_t at, TSPoint position, uint32_t *length)
{
    const source *from = payload;
    (void)position;
    *length = at < from->length ? from->length - at : 0;
    return from->text + (at < from->length ? at : from->length);
}

/* The runtime asks after each hundred operations. */
static bool is_enough(TSParseState *state)
{
    uint64_t *calls_left = state->payload;
    return *calls_left == 0 || --*calls_left == 0;
}

typedef struct node_list {
    sx_code_node *nodes;
    uint32_t count, capacity, most;
} node_list;

static sx_code_outcome add(node_list *list, TSNode node, TSFieldId field)
{
    if (list->count == list->most)
        return SX_CODE_TOO_MUCH_WORK;
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity ? list->capacity * 2 : 1024;
        sx_code_node *nodes = realloc(list->nodes, capacity * sizeof *nodes);
        if (!nodes)
            return SX_CODE_NO_MEMORY;
        list->nodes = nodes;
        list->capacity = capacity;
    }
    list->nodes[list->count++] = (sx_code_node){
        .start = ts_node_start_byte(node),
        .end = ts_node_end_byte(node),
        .kind = ts_node_is_error(node) ? (uint16_t)SX_CODE_ERROR_KIND : ts_node_symbol(node),
        .field = field,
    };
    return SX_CODE_PARSED;
}

/* Fills in `next` of the nodes that end before a node of this depth begins. */
static void close_down_to(node_list *list, const uint32_t *open, uint32_t *depth, uint32_t to)
{
    while (*depth > to)
        list->nodes[open[--*depth]].next = list->count;
}

static sx_code_outcome collect(const TSTree *tree, node_list *list)
{
    uint32_t *open = NULL, open_count = 0, open_capacity = 0, depth = 0; /* the way from the root, by number */
    sx_code_outcome outcome = SX_CODE_PARSED;
    TSTreeCursor cursor = ts_tree_cursor_new(ts_tree_root_node(tree));
    for (bool more = true; more && outcome == SX_CODE_PARSED;) {
        TSNode node = ts_tree_cursor_current_node(&cursor);
        bool named = ts_node_is_named(node);
        close_down_to(list, open, &open_count, depth);
        if (named) {
            if (open_count == open_capacity) {
                open_capacity = open_capacity ? open_capacity * 2 : 256;
                uint32_t *grown = realloc(open, open_capacity * sizeof *open);
                if (!grown) {
                    outcome = SX_CODE_NO_MEMORY;
                    break;
                }
                open = grown;
            }
            outcome = add(list, node, ts_tree_cursor_current_field_id(&cursor));
            if (outcome != SX_CODE_PARSED)
                break;
            open[open_count++] = list->count - 1;
        }
        /* What stands below a token without a name is of no use, and would have no parent here. */
        if (named && ts_tree_cursor_goto_first_child(&cursor)) {
            depth++;
            continue;
        }
        while (more && !ts_tree_cursor_goto_next_sibling(&cursor)) {
            more = ts_tree_cursor_goto_parent(&cursor);
            depth -= more;
        }
    }
    close_down_to(list, open, &open_count, 0);
    ts_tree_cursor_delete(&cursor);
    free(open);
    return outcome;
}

static sx_code_outcome parse(uint32_t grammar, const char *text, uint32_t length, uint64_t most_operations, uint32_t most_nodes,
                             sx_code_node **nodes, uint32_t *count)
{
    *nodes = NULL;
    *count = 0;
    TSParser *parser = ts_parser_new();
    if (!parser)
        return SX_CODE_NO_MEMORY;
    sx_code_outcome outcome = SX_CODE_REFUSED;
    if (ts_parser_set_language(parser, grammars[grammar].language())) {
        source from = {text, length};
        uint64_t calls_left = most_operations / OPERATIONS_PER_CALL + 1;
        TSInput input = {.payload = &from, .read = read_source, .encoding = TSInputEncodingUTF8};
        TSParseOptions options = {.payload = &calls_left, .progress_callback = is_enough};
        TSTree *tree = ts_parser_parse_with_options(parser, NULL, input, options);
        node_list list = {.most = most_nodes};
        outcome = tree ? collect(tree, &list) : SX_CODE_TOO_MUCH_WORK;
        if (outcome == SX_CODE_PARSED) {
            *nodes = list.nodes;
            *count = list.count;
        } else {
            free(list.nodes);
        }
        ts_tree_delete(tree);
    }
    ts_parser_delete(parser);
    return outcome;
}

static void release(sx_code_node *nodes)
{
    free(nodes);
}

const sx_code_pack *sextant_code_pack(void);

__attribute__((visibility("default"))) const sx_code_pack *sextant_code_pack(void)
{
    static const sx_code_pack pack = {
        .version = SX_CODE_PACK_VERSION,
        .grammar_count = GRAMMARS,
        .identity = SX_GRAMMARS_IDENTITY,
        .grammar_name = grammar_name,
        .kind_count = kind_count,
        .kind_name = kind_name,
        .field_count = field_count,
        .field_name = field_name,
        .parse = parse,
        .release = release,
    };
    return &pack;
}
