/* code_outline.c - from a syntax tree (an array of nodes) to definitions and places to cut, in one pass.
 *
 * The nodes open at a moment are kept on a stack. A node that begins a line is a place to cut, unless comments or attributes
 * stand directly before it: these are the place then, so that a definition keeps its documentation. What is wrapped around a
 * definition (decorators, export, template<>) belongs to it. */
#include "code_outline.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "code_grammars.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 160, SIGNATURE_BYTES = 400, CHAIN = 16 };

/* What a grammar's kind of node is, by the language's row. */
typedef struct kind_role {
    const sx_code_rule *rule; /* the first of its rules; more may follow for the same kind */
    bool comment, attached, wrapper, import;
} kind_role;

typedef struct open_node {
    uint32_t node, start; /* start: with what stands before it */
    uint32_t place;       /* that begins with it, or SX_CODE_NONE */
    uint32_t item;        /* that it is, or SX_CODE_NONE */
} open_node;

typedef struct outliner {
    const sx_code_language *language;
    const sx_code_tree *tree;
    const char *text;
    size_t length;
    kind_role *roles;
    uint32_t role_count;
    uint16_t name_field, body_field, declarator_field;
    sx_code_outline *outline;
    size_t item_capacity, place_capacity, open_capacity, depth;
    open_node *open;
    /* Comments and attributes waiting for the node they belong to. */
    bool waits;
    size_t wait_depth;
    uint32_t wait_place, wait_end;
    uint32_t looked_at;           /* where the last node was asked whether it begins a line */
    uint32_t line, line_counted;  /* lines before line_counted */
    sx_error *error;
} outliner;

/* ---- Kinds and roles ---- */

static uint16_t field_numbered(const sx_code_tree *tree, const char *name, size_t length)
{
    uint32_t count = tree->pack->field_count(tree->grammar);
    for (uint32_t i = 1; i <= count; i++) {
        const char *known = tree->pack->field_name(tree->grammar, i);
        if (known && strlen(known) == length && !memcmp(known, name, length))
            return (uint16_t)i;
    }
    return UINT16_MAX; /* no node has it */
}

static bool assign_roles(outliner *o)
{
    const sx_code_tree *tree = o->tree;
    o->role_count = tree->pack->kind_count(tree->grammar);
    o->roles = sx_calloc(o->role_count, sizeof *o->roles);
    for (uint32_t i = 0; o->roles && i < o->role_count; i++) {
        const char *name = tree->pack->kind_name(tree->grammar, i);
        kind_role *role = &o->roles[i];
        if (!name)
            continue;
        role->comment = sx_word_in(o->language->comments, name);
        role->attached = sx_word_in(o->language->attached, name);
        role->wrapper = sx_word_in(o->language->wrappers, name);
        role->import = sx_word_in(o->language->imports, name);
        for (const sx_code_rule *rule = o->language->rules; rule->node && !role->rule; rule++)
            if (sx_word_in(rule->node, name))
                role->rule = rule;
    }
    o->name_field = field_numbered(tree, "name", 4);
    o->body_field = field_numbered(tree, "body", 4);
    o->declarator_field = field_numbered(tree, "declarator", 10);
    return o->roles != NULL;
}

static const char *kind_of(const outliner *o, uint32_t node)
{
    uint16_t kind = o->tree->nodes[node].kind;
    const char *name = kind == SX_CODE_ERROR_KIND ? NULL : o->tree->pack->kind_name(o->tree->grammar, kind);
    return name ? name : "";
}

/* The first child in a role, or SX_CODE_NONE. */
static uint32_t child_in(const outliner *o, uint32_t node, uint16_t field)
{
    const sx_code_node *nodes = o->tree->nodes;
    for (uint32_t i = node + 1; i < nodes[node].next; i = nodes[i].next)
        if (nodes[i].field == field)
            return i;
    return SX_CODE_NONE;
}

static uint32_t child_named(const outliner *o, uint32_t node, const char *role)
{
    return child_in(o, node, field_numbered(o->tree, role, strlen(role)));
}

static uint32_t child_of_kind(const outliner *o, uint32_t node, const char *kind)
{
    const sx_code_node *nodes = o->tree->nodes;
    for (uint32_t i = node + 1; i < nodes[node].next; i = nodes[i].next)
        if (!strcmp(kind_of(o, i), kind))
            return i;
    return SX_CODE_NONE;
}

/* One step along "declarator": int *f(void) is a pointer's declarator around a function's around a name.
 * References have no role. */
static uint32_t declarator_in(const outliner *o, uint32_t node)
{
    uint32_t child = child_in(o, node, o->declarator_field);
    const char *kind = kind_of(o, node);
    size_t length = strlen(kind);
    bool declarator = length > 11 && !strcmp(kind + length - 11, "_declarator");
    return child == SX_CODE_NONE && declarator && o->tree->nodes[node].next > node + 1 ? node + 1 : child;
}

/* The first node in the child of that kind is one of `kinds`. */
static bool first_in_kind_is(const outliner *o, uint32_t node, const char *kind, size_t length, const char *kinds)
{
    const sx_code_node *nodes = o->tree->nodes;
    for (uint32_t i = node + 1; i < nodes[node].next; i = nodes[i].next) {
        const char *name = kind_of(o, i);
        if (strlen(name) == length && !memcmp(name, kind, length))
            return nodes[i].next > i + 1 && sx_word_in(kinds, kind_of(o, i + 1));
    }
    return false;
}

static bool rule_holds(const outliner *o, const sx_code_rule *rule, uint32_t node)
{
    const char *when = rule->when;
    if (!when)
        return true;
    size_t length = strcspn(when, "=~");
    if (when[0] == '.')
        return first_in_kind_is(o, node, when + 1, length - 1, when + length + 1);
    uint32_t child = child_in(o, node, field_numbered(o->tree, when, length));
    if (!when[length])
        return child != SX_CODE_NONE;
    const char *kinds = when + length + 1;
    if (when[length] == '=')
        return child != SX_CODE_NONE && sx_word_in(kinds, kind_of(o, child));
    for (unsigned i = 0; i < CHAIN && child != SX_CODE_NONE; i++) {
        uint32_t inner = declarator_in(o, child);
        if (sx_word_in(kinds, kind_of(o, child))) /* not a pointer to one: int (*f)(void) */
            return inner == SX_CODE_NONE || strcmp(kind_of(o, inner), "parenthesized_declarator") != 0;
        child = inner;
    }
    return false;
}

/* ---- Names and signatures ---- */

/* [start, end) of the text on one line: white space runs are one space, a long one ends with "...". */
static const char *one_line(outliner *o, uint32_t start, uint32_t end, size_t most)
{
    char *line = sx_arena_alloc(&o->outline->arena, most + 4);
    size_t used = 0;
    bool blank = false;
    if (!line)
        return NULL;
    for (uint32_t i = start; i < end; i++) {
        unsigned char byte = (unsigned char)o->text[i];
        if (byte <= ' ' || byte == 0x7f) {
            blank = used > 0;
            continue;
        }
        if (used + 2 >= most) {
            while (used && ((unsigned char)line[used - 1] & 0xc0) == 0x80)
                used--;
            used -= used && (unsigned char)line[used - 1] >= 0xc0; /* no half characters */
            memcpy(line + used, "...", 3);
            used += 3;
            break;
        }
        if (blank)
            line[used++] = ' ';
        blank = false;
        line[used++] = (char)byte;
    }
    line[used] = '\0';
    return line;
}

static uint32_t name_node(const outliner *o, const sx_code_rule *rule, uint32_t node)
{
    if (rule->name)
        return rule->name[0] == '.' ? child_of_kind(o, node, rule->name + 1) : child_named(o, node, rule->name);
    uint32_t name = child_in(o, node, o->name_field);
    uint32_t at = name == SX_CODE_NONE ? declarator_in(o, node) : SX_CODE_NONE;
    for (unsigned i = 0; i < CHAIN && at != SX_CODE_NONE; i++) {
        name = at;
        at = declarator_in(o, at);
    }
    return name;
}

/* "Stack::push" defines push of Stack: after the last separator stands the name. Not inside of brackets: operator()(A::B). */
static void part_name(const outliner *o, sx_code_item *item, char *name)
{
    const char *separators = o->language->separators;
    size_t width = !strcmp(separators, "::") ? 2 : 1, length = strlen(name), last = 0, nested = 0;
    if (!separators[0] || !strncmp(name, "operator", 8))
        return;
    for (size_t i = 0; i + width < length; i++) {
        nested += name[i] == '<' || name[i] == '(' || name[i] == '[';
        nested -= nested && (name[i] == '>' || name[i] == ')' || name[i] == ']');
        bool here = width == 2 ? !memcmp(name + i, "::", 2) : strchr(separators, name[i]) != NULL;
        if (here && !nested && i)
            last = i;
    }
    if (!last)
        return;
    name[last] = '\0';
    item->scope = name;
    item->name = name + last + width;
}

/* The first name of a type in a subtree. */
static uint32_t type_in(const outliner *o, uint32_t node)
{
    for (uint32_t i = node; i < o->tree->nodes[node].next; i++)
        if (!strcmp(kind_of(o, i), "type_identifier"))
            return i;
    return SX_CODE_NONE;
}

/* Where the body of a definition begins: in the role, or by its kind's name, or that of the value that is a function. */
static uint32_t body_of(const outliner *o, uint32_t node)
{
    const sx_code_node *nodes = o->tree->nodes;
    uint32_t body = child_in(o, node, o->body_field);
    for (uint32_t i = node + 1; body == SX_CODE_NONE && i < nodes[node].next; i = nodes[i].next) {
        const char *kind = kind_of(o, i);
        size_t length = strlen(kind);
        if ((length >= 4 && !strcmp(kind + length - 4, "body")) || !strcmp(kind, "block") || !strcmp(kind, "accessor_list") ||
            !strcmp(kind, "body_statement") || !strcmp(kind, "column_definitions"))
            body = i;
        else if (nodes[i].next > i + 1 && (strstr(kind, "function") || strstr(kind, "_specifier")))
            body = child_in(o, i, o->body_field);
    }
    return body;
}

static const char *signature_of(outliner *o, uint32_t node)
{
    const sx_code_node *at = &o->tree->nodes[node];
    uint32_t body = body_of(o, node), end = body == SX_CODE_NONE ? at->end : o->tree->nodes[body].start;
    if (body == SX_CODE_NONE) { /* Go's types, for one, have their body further inside */
        const char *brace = memchr(o->text + at->start, '{', at->end - at->start);
        end = brace && brace > o->text + at->start ? (uint32_t)(brace - o->text) : end;
    }
    for (uint32_t i = node + 1; i < at->next && o->tree->nodes[i].start < end; i = o->tree->nodes[i].next)
        if (o->tree->nodes[i].kind < o->role_count && o->roles[o->tree->nodes[i].kind].comment)
            end = o->tree->nodes[i].start;
    char *line = (char *)one_line(o, at->start, end > at->start ? end : at->end, SIGNATURE_BYTES);
    size_t length = line ? strlen(line) : 0;
    while (length && strchr(" {:=;(", line[length - 1]))
        line[--length] = '\0';
    if (length > 3 && !strcmp(line + length - 3, " =>"))
        line[length - 3] = '\0';
    return line;
}

/* ---- Items and places ---- */

static uint32_t line_of(outliner *o, uint32_t offset)
{
    while (o->line_counted > offset) /* a name stands behind what is defined before it in the same definition */
        o->line -= o->text[--o->line_counted] == '\n';
    while (o->line_counted < offset) {
        const char *feed = memchr(o->text + o->line_counted, '\n', offset - o->line_counted);
        if (!feed) {
            o->line_counted = offset;
            break;
        }
        o->line++;
        o->line_counted = (uint32_t)(feed - o->text) + 1;
    }
    return o->line + 1;
}

/* A definition is on the line of its name, below annotations and types on lines of their own; but where the name comes last, as
 * in typedef struct { ... } name, it is where it begins. */
static uint32_t line_of_definition(outliner *o, uint32_t node, uint32_t name)
{
    const sx_code_node *nodes = o->tree->nodes;
    uint32_t body = body_of(o, node);
    bool last = body != SX_CODE_NONE ? nodes[body].start < nodes[name].start
                                     : memchr(o->text + nodes[node].start, '{', nodes[name].start - nodes[node].start) != NULL;
    return line_of(o, last ? nodes[node].start : nodes[name].start);
}

static uint32_t item_around(const outliner *o)
{
    for (size_t i = o->depth; i-- > 0;)
        if (o->open[i].item != SX_CODE_NONE)
            return o->open[i].item;
    return SX_CODE_NONE;
}

static bool is_type_kind(const char *kind)
{
    return sx_word_in("class struct interface trait impl protocol enum record object union", kind);
}

static sx_status add_item(outliner *o, const sx_code_rule *rule, uint32_t node, open_node *self)
{
    const sx_code_node *at = &o->tree->nodes[node];
    sx_code_outline *outline = o->outline;
    bool literal = rule->name && rule->name[0] == '=';
    uint32_t name = literal ? node : name_node(o, rule, node);
    if (name == SX_CODE_NONE || o->tree->nodes[name].end <= o->tree->nodes[name].start)
        return SX_OK;
    if (!sx_reserve((void **)&outline->items, &o->item_capacity, outline->item_count + 1, sizeof *outline->items))
        return sx_fail_nomem(o->error, (outline->item_count + 1) * sizeof *outline->items);
    sx_code_item item = {.start = self->start, .end = at->end, .own = at->start, .parent = item_around(o), .scope = "",
                         .kind = rule->kind, .line = line_of_definition(o, node, name)};
    char *words = literal ? sx_arena_strndup(&outline->arena, rule->name + 1, strlen(rule->name + 1))
                          : (char *)one_line(o, o->tree->nodes[name].start, o->tree->nodes[name].end, NAME_BYTES);
    item.signature = words ? signature_of(o, node) : NULL;
    if (!item.signature)
        return sx_fail_nomem(o->error, SIGNATURE_BYTES);
    item.name = words;
    part_name(o, &item, words);
    uint32_t receiver = rule->scope ? child_named(o, node, rule->scope) : SX_CODE_NONE;
    uint32_t type = receiver != SX_CODE_NONE ? type_in(o, receiver) : SX_CODE_NONE;
    if (type != SX_CODE_NONE) {
        item.scope = one_line(o, o->tree->nodes[type].start, o->tree->nodes[type].end, NAME_BYTES);
        if (!item.scope)
            return sx_fail_nomem(o->error, NAME_BYTES);
    }
    const sx_code_item *around_it = item.parent != SX_CODE_NONE ? &outline->items[item.parent] : NULL;
    if (around_it && !strcmp(around_it->kind, "type") && !strcmp(around_it->name, item.name))
        return SX_OK; /* typedef struct a { ... } a: one thing */
    /* The first definition in what is wrapped around it has all of that. */
    uint32_t place = self->place;
    for (size_t i = o->depth; i-- > 0 && o->open[i].item == SX_CODE_NONE;) {
        const open_node *around = &o->open[i];
        const sx_code_node *wrapper = &o->tree->nodes[around->node];
        uint16_t kind = wrapper->kind;
        bool taken = around->place != SX_CODE_NONE && outline->places[around->place].item != SX_CODE_NONE;
        if (kind >= o->role_count || !o->roles[kind].wrapper || taken)
            break;
        item.start = around->start;
        item.end = wrapper->end;
        place = around->place != SX_CODE_NONE ? around->place : place;
    }
    if (!strcmp(item.kind, "function") && (item.scope[0] || (around_it && is_type_kind(around_it->kind))))
        item.kind = "method";
    uint32_t index = (uint32_t)outline->item_count++;
    outline->items[index] = item;
    self->item = index;
    if (place != SX_CODE_NONE && outline->places[place].item == SX_CODE_NONE)
        outline->places[place].item = index;
    return SX_OK;
}

/* Nothing but blanks stands before it on its line. Asked once for each offset, as nodes often begin where their parents do. */
static bool begins_line(outliner *o, uint32_t offset)
{
    if (offset == o->looked_at)
        return false;
    o->looked_at = offset;
    uint32_t at = offset;
    while (at > 0 && (o->text[at - 1] == ' ' || o->text[at - 1] == '\t' || o->text[at - 1] == '\r'))
        at--;
    return at == 0 || o->text[at - 1] == '\n';
}

static sx_status add_place(outliner *o, uint32_t offset, uint32_t *place)
{
    sx_code_outline *outline = o->outline;
    if (!sx_reserve((void **)&outline->places, &o->place_capacity, outline->place_count + 1, sizeof *outline->places))
        return sx_fail_nomem(o->error, (outline->place_count + 1) * sizeof *outline->places);
    uint8_t depth = o->depth < SX_CODE_DEPTH ? (uint8_t)o->depth : SX_CODE_DEPTH;
    *place = (uint32_t)outline->place_count;
    outline->places[outline->place_count++] = (sx_code_place){.offset = offset, .item = SX_CODE_NONE, .depth = depth};
    return SX_OK;
}

/* No blank line between the end of the waiting comments and what follows. Some grammars count a comment's line end to it. */
static bool follows_directly(const outliner *o, uint32_t end, uint32_t start)
{
    unsigned lines = end > 0 && o->text[end - 1] == '\n';
    for (uint32_t i = end; i < start; i++) {
        if (o->text[i] == '\n')
            lines++;
        else if (o->text[i] != ' ' && o->text[i] != '\t' && o->text[i] != '\r')
            return false;
    }
    return lines <= 1;
}

/* Where a node really begins, and the place that begins there. */
static sx_status find_place(outliner *o, const sx_code_node *node, bool waiting_kind, open_node *self)
{
    bool waited = o->waits && o->wait_depth == o->depth && follows_directly(o, o->wait_end, node->start);
    bool first = begins_line(o, node->start);
    sx_status status = SX_OK;
    if (o->depth <= o->wait_depth)
        o->waits = false;
    if (waited) {
        self->place = o->wait_place;
        self->start = o->outline->places[o->wait_place].offset;
    } else if (first && node->start > 0 && node->end > node->start) {
        status = add_place(o, node->start, &self->place);
    }
    if (waiting_kind && self->place != SX_CODE_NONE) {
        o->waits = true;
        o->wait_depth = o->depth;
        o->wait_place = self->place;
        o->wait_end = node->end;
    }
    return status;
}

static sx_status push(outliner *o, const open_node *self)
{
    if (!sx_reserve((void **)&o->open, &o->open_capacity, o->depth + 1, sizeof *o->open))
        return sx_fail_nomem(o->error, (o->depth + 1) * sizeof *o->open);
    o->open[o->depth++] = *self;
    return SX_OK;
}

static sx_status walk(outliner *o)
{
    static const kind_role none;
    const sx_code_node *nodes = o->tree->nodes;
    sx_status status = add_place(o, 0, &(uint32_t){0});
    for (uint32_t i = 0; status == SX_OK && i < o->tree->count;) {
        while (o->depth && nodes[o->open[o->depth - 1].node].next <= i)
            o->depth--;
        const sx_code_node *node = &nodes[i];
        const kind_role *role = node->kind < o->role_count ? &o->roles[node->kind] : &none;
        bool waiting_kind = role->comment || role->attached;
        open_node self = {.node = i, .start = node->start, .place = node->start == 0 ? 0 : SX_CODE_NONE, .item = SX_CODE_NONE};
        status = find_place(o, node, waiting_kind, &self);
        if (status == SX_OK && role->import && self.place != SX_CODE_NONE)
            o->outline->places[self.place].import = true;
        if (waiting_kind) {
            i = node->next;
            continue;
        }
        const char *kind = role->rule ? kind_of(o, i) : "";
        for (const sx_code_rule *rule = role->rule; status == SX_OK && rule && rule->node && self.item == SX_CODE_NONE; rule++)
            if (sx_word_in(rule->node, kind) && rule_holds(o, rule, i))
                status = add_item(o, rule, i, &self);
        if (status == SX_OK)
            status = push(o, &self);
        i++;
    }
    return status;
}

sx_status sx_code_outline_make(const sx_grammars *grammars, const char *language, const char *text, size_t length,
                               sx_code_outline *outline, sx_error *error)
{
    *outline = (sx_code_outline){.why = "no grammar of its language is installed", .label = sx_code_label(language)};
    if (!sx_grammars_read(grammars, language))
        return SX_OK;
    sx_code_tree tree;
    outliner o = {.language = sx_code_language_named(language), .tree = &tree, .text = text, .length = length,
                  .outline = outline, .looked_at = UINT32_MAX, .error = error};
    sx_status status = sx_code_parse(grammars, o.language, text, length, &tree, error);
    outline->why = status == SX_OK ? tree.why : NULL;
    if (status == SX_OK && !tree.why) {
        status = assign_roles(&o) ? walk(&o) : sx_fail_nomem(error, o.role_count * sizeof *o.roles);
        free(o.roles);
        free(o.open);
    }
    sx_code_tree_clear(&tree);
    if (status != SX_OK)
        sx_code_outline_clear(outline);
    return status;
}

void sx_code_outline_clear(sx_code_outline *outline)
{
    free(outline->items);
    free(outline->places);
    sx_arena_clear(&outline->arena);
    *outline = (sx_code_outline){.why = "", .label = ""};
}
