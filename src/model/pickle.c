/* pickle.c - an interpreter of the part of Python's pickle language in which PyTorch writes state dictionaries.
 *
 * Language: the comments of Lib/pickletools.py in CPython, and PEP 307, 3154 and 574. A pickle is a program for a stack
 * machine that can call anything it names; here a call is only noted down, and only for names that the caller allows. Values,
 * steps, the stack and the memo are bounded.
 */
#include "pickle.h"

#include "../base/error.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    OP_MARK = '(', OP_STOP = '.', OP_BINFLOAT = 'G', OP_BININT = 'J', OP_BININT1 = 'K', OP_BININT2 = 'M', OP_NONE = 'N',
    OP_BINPERSID = 'Q', OP_REDUCE = 'R', OP_BINSTRING = 'T', OP_SHORT_BINSTRING = 'U', OP_BINUNICODE = 'X', OP_APPEND = 'a',
    OP_BUILD = 'b', OP_GLOBAL = 'c', OP_APPENDS = 'e', OP_BINGET = 'h', OP_LONG_BINGET = 'j', OP_BINPUT = 'q',
    OP_LONG_BINPUT = 'r', OP_SETITEM = 's', OP_TUPLE = 't', OP_SETITEMS = 'u', OP_EMPTY_DICT = '}', OP_EMPTY_LIST = ']',
    OP_EMPTY_TUPLE = ')', OP_BINBYTES = 'B', OP_SHORT_BINBYTES = 'C', OP_PROTO = 0x80, OP_TUPLE1 = 0x85, OP_TUPLE2 = 0x86,
    OP_TUPLE3 = 0x87, OP_NEWTRUE = 0x88, OP_NEWFALSE = 0x89, OP_LONG1 = 0x8a, OP_SHORT_BINUNICODE = 0x8c,
    OP_BINUNICODE8 = 0x8d, OP_BINBYTES8 = 0x8e, OP_STACK_GLOBAL = 0x93, OP_MEMOIZE = 0x94, OP_FRAME = 0x95
};

enum { VALUES_MAX = 2000000, STEPS_MAX = 8000000, MEMO_MAX = 2000000, NAME_MAX_BYTES = 200 };

typedef struct machine {
    const unsigned char *data;
    size_t length, at;
    size_t opcode_at;      /* of the instruction being carried out */
    const char *name;
    const char *const *allowed;
    sx_arena *arena;
    sx_pickle_value **stack; /* NULL stands for a mark */
    size_t depth, stack_capacity;
    sx_pickle_value **memo;
    size_t memo_count, memo_capacity;
    size_t values;
    sx_error *error;
} machine;

static sx_status broken(const machine *m, const char *problem)
{
    return sx_fail(m->error, SX_E_FORMAT, "%s: byte %zu of the pickle: %s", m->name, m->opcode_at, problem);
}

static sx_status take(machine *m, uint64_t count, const unsigned char **bytes)
{
    if (count > m->length - m->at)
        return sx_fail(m->error, SX_E_FORMAT,
                       "%s: byte %zu of the pickle: %" PRIu64 " bytes are needed, but only %zu are left", m->name,
                       m->opcode_at, count, m->length - m->at);
    *bytes = m->data + m->at;
    m->at += count;
    return SX_OK;
}

/* A little-endian number of up to 8 bytes. */
static sx_status take_number(machine *m, unsigned size, uint64_t *number)
{
    const unsigned char *bytes = NULL;
    sx_status status = take(m, size, &bytes);
    *number = 0;
    for (unsigned i = size; !status && i-- > 0;)
        *number = *number << 8 | bytes[i];
    return status;
}

static sx_status push(machine *m, sx_pickle_value *value)
{
    if (!sx_reserve((void **)&m->stack, &m->stack_capacity, m->depth + 1, sizeof *m->stack))
        return sx_fail_nomem(m->error, m->depth * sizeof *m->stack);
    m->stack[m->depth++] = value;
    return SX_OK;
}

static sx_status new_value(machine *m, sx_pickle_type type, sx_pickle_value **value)
{
    if (++m->values > VALUES_MAX)
        return sx_fail(m->error, SX_E_LIMIT, "%s: the pickle has more than %d values", m->name, VALUES_MAX);
    *value = sx_arena_alloc(m->arena, sizeof **value);
    if (!*value)
        return sx_fail_nomem(m->error, sizeof **value);
    (*value)->type = type;
    return SX_OK;
}

static sx_status push_new(machine *m, sx_pickle_type type, sx_pickle_value **value)
{
    sx_status status = new_value(m, type, value);
    return status ? status : push(m, *value);
}

static sx_status push_integer(machine *m, sx_pickle_type type, int64_t integer)
{
    sx_pickle_value *value;
    sx_status status = push_new(m, type, &value);
    if (!status)
        value->integer = integer;
    return status;
}

static sx_status push_text(machine *m, sx_pickle_type type, unsigned size_bytes)
{
    uint64_t size;
    const unsigned char *bytes = NULL;
    sx_pickle_value *value;
    sx_status status = take_number(m, size_bytes, &size);
    if (!status)
        status = take(m, size, &bytes);
    if (!status)
        status = push_new(m, type, &value);
    if (!status)
        value->text = (sx_text){(const char *)bytes, size};
    return status;
}

static sx_status pop(machine *m, sx_pickle_value **value)
{
    if (m->depth == 0 || !m->stack[m->depth - 1])
        return broken(m, "the stack is empty");
    *value = m->stack[--m->depth];
    return SX_OK;
}

/* Where the values above the last mark begin; the mark itself is one below. */
static sx_status find_mark(const machine *m, size_t *first)
{
    size_t i = m->depth;
    while (i > 0 && m->stack[i - 1])
        i--;
    if (i == 0)
        return broken(m, "no mark is on the stack");
    *first = i;
    return SX_OK;
}

static sx_status append(machine *m, sx_pickle_value *to, sx_pickle_value *const *items, size_t count)
{
    if (to->count + count > to->capacity) {
        size_t capacity = to->capacity * 2 > to->count + count ? to->capacity * 2 : to->count + count;
        sx_pickle_value **grown = sx_arena_alloc(m->arena, capacity * sizeof *grown);
        if (!grown)
            return sx_fail_nomem(m->error, capacity * sizeof *grown);
        if (to->count)
            memcpy(grown, to->items, to->count * sizeof *grown);
        to->items = grown;
        to->capacity = capacity;
    }
    if (count)
        memcpy(to->items + to->count, items, count * sizeof *items);
    to->count += count;
    return SX_OK;
}

/* The uppermost `count` values become one tuple. */
static sx_status make_tuple(machine *m, size_t count)
{
    for (size_t i = 1; i <= count; i++)
        if (m->depth < i || !m->stack[m->depth - i])
            return broken(m, "the stack is empty");
    sx_pickle_value *tuple;
    sx_status status = new_value(m, SX_PICKLE_TUPLE, &tuple);
    if (!status)
        status = append(m, tuple, m->stack + m->depth - count, count);
    if (status)
        return status;
    m->depth -= count;
    return push(m, tuple);
}

static sx_status make_marked_tuple(machine *m)
{
    size_t first = 0;
    sx_status status = find_mark(m, &first);
    if (!status)
        status = make_tuple(m, m->depth - first);
    if (status)
        return status;
    sx_pickle_value *tuple = m->stack[m->depth - 1];
    m->depth -= 2; /* the tuple and the mark */
    return push(m, tuple);
}

/* Values from `first` on go into the list or dictionary below them; `below` is how many marks lie between (0 or 1). */
static sx_status add_to(machine *m, sx_pickle_type type, size_t first, size_t below)
{
    if (first < 1 + below || !m->stack[first - 1 - below])
        return broken(m, "nothing to add items to");
    sx_pickle_value *to = m->stack[first - 1 - below];
    if (to->type != type)
        return broken(m, type == SX_PICKLE_LIST ? "items are added to what is no list"
                                                : "items are set in what is no dictionary");
    if (type == SX_PICKLE_DICT && (m->depth - first) % 2)
        return broken(m, "a key without a value");
    sx_status status = append(m, to, m->stack + first, m->depth - first);
    m->depth = first - below;
    return status;
}

static sx_status add_marked(machine *m, sx_pickle_type type)
{
    size_t first = 0;
    sx_status status = find_mark(m, &first);
    return status ? status : add_to(m, type, first, 1);
}

static sx_status add_top(machine *m, sx_pickle_type type, size_t count)
{
    if (m->depth < count)
        return broken(m, "the stack is empty");
    for (size_t i = 1; i <= count; i++)
        if (!m->stack[m->depth - i])
            return broken(m, "the stack is empty");
    return add_to(m, type, m->depth - count, 0);
}

static sx_status push_global(machine *m, sx_text module, sx_text name)
{
    if (module.length > NAME_MAX_BYTES || name.length > NAME_MAX_BYTES)
        return broken(m, "a global with a name beyond all measure");
    for (const char *const *allowed = m->allowed; *allowed; allowed++) {
        size_t length = strlen(*allowed);
        if (length == module.length + 1 + name.length && memcmp(*allowed, module.data, module.length) == 0 &&
            (*allowed)[module.length] == '.' && memcmp(*allowed + module.length + 1, name.data, name.length) == 0) {
            sx_pickle_value *value;
            sx_status status = push_new(m, SX_PICKLE_GLOBAL, &value);
            if (!status)
                value->text = (sx_text){*allowed, length};
            return status;
        }
    }
    sx_status status = sx_fail(m->error, SX_E_UNSUPPORTED,
                               "%s: byte %zu of the pickle: loading this file would execute %.*s.%.*s; refused", m->name,
                               m->opcode_at, (int)module.length, module.data, (int)name.length, name.data);
    sx_hint(m->error, "only weights are read: save the state dictionary as safetensors, from a source you trust");
    return status;
}

static sx_status take_line(machine *m, sx_text *line)
{
    const unsigned char *begin = m->data + m->at;
    const unsigned char *end = memchr(begin, '\n', m->length - m->at);
    if (!end)
        return broken(m, "a line without an end");
    *line = (sx_text){(const char *)begin, (size_t)(end - begin)};
    m->at += line->length + 1;
    return SX_OK;
}

static sx_status do_global(machine *m)
{
    sx_text module, name;
    sx_status status = take_line(m, &module);
    if (!status)
        status = take_line(m, &name);
    return status ? status : push_global(m, module, name);
}

static sx_status do_stack_global(machine *m)
{
    sx_pickle_value *module, *name;
    sx_status status = pop(m, &name);
    if (!status)
        status = pop(m, &module);
    if (status)
        return status;
    if (module->type != SX_PICKLE_TEXT || name->type != SX_PICKLE_TEXT)
        return broken(m, "a global whose name is no text");
    return push_global(m, module->text, name->text);
}

/* OrderedDict() becomes a dictionary, filled from a list of pairs when there is one (as Python 2 wrote it). */
static sx_status make_dictionary(machine *m, const sx_pickle_value *arguments)
{
    sx_pickle_value *value;
    sx_status status = push_new(m, SX_PICKLE_DICT, &value);
    if (status || arguments->count == 0)
        return status;
    const sx_pickle_value *pairs = arguments->items[0];
    if (arguments->count != 1 || (pairs->type != SX_PICKLE_LIST && pairs->type != SX_PICKLE_TUPLE))
        return broken(m, "an OrderedDict of something other than pairs");
    for (size_t i = 0; i < pairs->count && !status; i++) {
        const sx_pickle_value *pair = pairs->items[i];
        if ((pair->type != SX_PICKLE_LIST && pair->type != SX_PICKLE_TUPLE) || pair->count != 2)
            return broken(m, "an OrderedDict of something other than pairs");
        status = append(m, value, pair->items, 2);
    }
    return status;
}

static sx_status do_reduce(machine *m)
{
    sx_pickle_value *arguments, *global, *call;
    sx_status status = pop(m, &arguments);
    if (!status)
        status = pop(m, &global);
    if (status)
        return status;
    if (global->type != SX_PICKLE_GLOBAL || arguments->type != SX_PICKLE_TUPLE)
        return broken(m, "a call of what is no global, or without arguments");
    if (sx_pickle_text_is(global, "collections.OrderedDict"))
        return make_dictionary(m, arguments);
    status = push_new(m, SX_PICKLE_CALL, &call);
    if (!status)
        status = append(m, call, &global, 1);
    return status ? status : append(m, call, arguments->items, arguments->count);
}

/* Attributes of a dictionary (_metadata of a state dictionary) say nothing about weights. */
static sx_status do_build(machine *m)
{
    sx_pickle_value *state;
    sx_status status = pop(m, &state);
    if (status)
        return status;
    if (m->depth == 0 || !m->stack[m->depth - 1] || m->stack[m->depth - 1]->type != SX_PICKLE_DICT)
        return broken(m, "attributes are set on what is no dictionary");
    return SX_OK;
}

static sx_status do_persistent(machine *m)
{
    sx_pickle_value *id, *value;
    sx_status status = pop(m, &id);
    if (!status)
        status = push_new(m, SX_PICKLE_REFERENCE, &value);
    return status ? status : append(m, value, &id, 1);
}

static sx_status memo_put(machine *m, uint64_t index)
{
    if (m->depth == 0 || !m->stack[m->depth - 1])
        return broken(m, "nothing to remember");
    if (index >= MEMO_MAX)
        return sx_fail(m->error, SX_E_LIMIT, "%s: byte %zu of the pickle: memo number %" PRIu64 "; at most %d are allowed",
                       m->name, m->opcode_at, index, MEMO_MAX);
    if (!sx_reserve((void **)&m->memo, &m->memo_capacity, index + 1, sizeof *m->memo))
        return sx_fail_nomem(m->error, index * sizeof *m->memo);
    while (m->memo_count <= index)
        m->memo[m->memo_count++] = NULL;
    m->memo[index] = m->stack[m->depth - 1];
    return SX_OK;
}

static sx_status memo_get(machine *m, unsigned size_bytes)
{
    uint64_t index;
    sx_status status = take_number(m, size_bytes, &index);
    if (status)
        return status;
    if (index >= m->memo_count || !m->memo[index])
        return broken(m, "a memo number that was never given");
    return push(m, m->memo[index]);
}

static sx_status memo_put_numbered(machine *m, unsigned size_bytes)
{
    uint64_t index;
    sx_status status = take_number(m, size_bytes, &index);
    return status ? status : memo_put(m, index);
}

static sx_status push_number(machine *m, unsigned char opcode)
{
    uint64_t bits, size;
    sx_status status;
    sx_pickle_value *value;
    switch (opcode) {
    case OP_BININT1:
        status = take_number(m, 1, &bits);
        return status ? status : push_integer(m, SX_PICKLE_INTEGER, (int64_t)bits);
    case OP_BININT2:
        status = take_number(m, 2, &bits);
        return status ? status : push_integer(m, SX_PICKLE_INTEGER, (int64_t)bits);
    case OP_BININT:
        status = take_number(m, 4, &bits);
        return status ? status : push_integer(m, SX_PICKLE_INTEGER, (int32_t)(uint32_t)bits);
    case OP_LONG1:
        status = take_number(m, 1, &size);
        if (!status && size > 8)
            return broken(m, "an integer of more than 64 bits");
        if (!status)
            status = take_number(m, (unsigned)size, &bits);
        if (!status && size > 0 && size < 8 && bits >> (8 * size - 1))
            bits |= UINT64_MAX << 8 * size; /* the sign */
        return status ? status : push_integer(m, SX_PICKLE_INTEGER, (int64_t)bits);
    default: /* BINFLOAT is big-endian */
        status = take_number(m, 8, &bits);
        if (!status)
            status = push_new(m, SX_PICKLE_FLOAT, &value);
        if (status)
            return status;
        bits = __builtin_bswap64(bits);
        memcpy(&value->number, &bits, sizeof bits);
        return SX_OK;
    }
}

static sx_status step(machine *m, unsigned char opcode)
{
    sx_pickle_value *value;
    uint64_t number;
    switch (opcode) {
    case OP_PROTO:
        if (take_number(m, 1, &number))
            return SX_E_FORMAT;
        return number >= 2 && number <= 5 ? SX_OK : broken(m, "a pickle protocol other than 2 to 5");
    case OP_FRAME: return take_number(m, 8, &number);
    case OP_MARK: return push(m, NULL);
    case OP_NONE: return push_new(m, SX_PICKLE_NONE, &value);
    case OP_NEWTRUE: return push_integer(m, SX_PICKLE_BOOLEAN, 1);
    case OP_NEWFALSE: return push_integer(m, SX_PICKLE_BOOLEAN, 0);
    case OP_BININT1: case OP_BININT2: case OP_BININT: case OP_LONG1: case OP_BINFLOAT: return push_number(m, opcode);
    case OP_SHORT_BINUNICODE: return push_text(m, SX_PICKLE_TEXT, 1);
    case OP_BINUNICODE: return push_text(m, SX_PICKLE_TEXT, 4);
    case OP_BINUNICODE8: return push_text(m, SX_PICKLE_TEXT, 8);
    case OP_SHORT_BINSTRING: return push_text(m, SX_PICKLE_TEXT, 1);
    case OP_BINSTRING: return push_text(m, SX_PICKLE_TEXT, 4);
    case OP_SHORT_BINBYTES: return push_text(m, SX_PICKLE_BYTES, 1);
    case OP_BINBYTES: return push_text(m, SX_PICKLE_BYTES, 4);
    case OP_BINBYTES8: return push_text(m, SX_PICKLE_BYTES, 8);
    case OP_EMPTY_TUPLE: return push_new(m, SX_PICKLE_TUPLE, &value);
    case OP_EMPTY_LIST: return push_new(m, SX_PICKLE_LIST, &value);
    case OP_EMPTY_DICT: return push_new(m, SX_PICKLE_DICT, &value);
    case OP_TUPLE1: return make_tuple(m, 1);
    case OP_TUPLE2: return make_tuple(m, 2);
    case OP_TUPLE3: return make_tuple(m, 3);
    case OP_TUPLE: return make_marked_tuple(m);
    case OP_APPEND: return add_top(m, SX_PICKLE_LIST, 1);
    case OP_APPENDS: return add_marked(m, SX_PICKLE_LIST);
    case OP_SETITEM: return add_top(m, SX_PICKLE_DICT, 2);
    case OP_SETITEMS: return add_marked(m, SX_PICKLE_DICT);
    case OP_GLOBAL: return do_global(m);
    case OP_STACK_GLOBAL: return do_stack_global(m);
    case OP_REDUCE: return do_reduce(m);
    case OP_BUILD: return do_build(m);
    case OP_BINPERSID: return do_persistent(m);
    case OP_BINPUT: return memo_put_numbered(m, 1);
    case OP_LONG_BINPUT: return memo_put_numbered(m, 4);
    case OP_MEMOIZE: return memo_put(m, m->memo_count);
    case OP_BINGET: return memo_get(m, 1);
    case OP_LONG_BINGET: return memo_get(m, 4);
    default:
        return sx_fail(m->error, SX_E_UNSUPPORTED,
                       "%s: byte %zu of the pickle: opcode 0x%02x, which PyTorch does not write into state dictionaries",
                       m->name, m->opcode_at, opcode);
    }
}

sx_status sx_pickle_read(const unsigned char *data, size_t length, const char *name, const char *const *allowed,
                         sx_arena *arena, sx_pickle_value **value, size_t *used, sx_error *error)
{
    machine m = {.data = data, .length = length, .name = name, .allowed = allowed, .arena = arena, .error = error};
    sx_status status = SX_OK;
    *value = NULL;
    for (size_t steps = 0; !status; steps++) {
        const unsigned char *opcode = NULL;
        m.opcode_at = m.at;
        if (steps == STEPS_MAX) {
            status = sx_fail(error, SX_E_LIMIT, "%s: the pickle has more than %d instructions", name, STEPS_MAX);
            break;
        }
        status = take(&m, 1, &opcode);
        if (!status && *opcode == OP_STOP) {
            status = pop(&m, value);
            if (!status && m.depth)
                status = broken(&m, "values are left on the stack");
            break;
        }
        if (!status)
            status = step(&m, *opcode);
    }
    *used = m.at;
    free(m.stack);
    free(m.memo);
    return status;
}

bool sx_pickle_text_is(const sx_pickle_value *value, const char *text)
{
    return (value->type == SX_PICKLE_TEXT || value->type == SX_PICKLE_GLOBAL) && value->text.length == strlen(text) &&
           memcmp(value->text.data, text, value->text.length) == 0;
}

bool sx_pickle_calls(const sx_pickle_value *value, const char *global)
{
    return value->type == SX_PICKLE_CALL && sx_pickle_text_is(value->items[0], global);
}
