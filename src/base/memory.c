/* memory.c - allocation with overflow checks, and an arena. */
#include "memory.h"

#include "sextant.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *sx_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (!sx_multiply(count, size, &bytes))
        return NULL;
    return calloc(1, bytes ? bytes : 1);
}

void *sx_realloc_array(void *memory, size_t count, size_t size)
{
    size_t bytes;
    if (!sx_multiply(count, size, &bytes))
        return NULL;
    return realloc(memory, bytes ? bytes : 1);
}

void *sx_aligned_calloc(size_t alignment, size_t count, size_t size)
{
    size_t bytes;
    if (!sx_multiply(count, size, &bytes) || bytes > SIZE_MAX - alignment)
        return NULL;
    bytes = (bytes + alignment - 1) / alignment * alignment;
    void *memory = aligned_alloc(alignment, bytes ? bytes : alignment);
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

char *sx_strndup(const char *text, size_t length)
{
    if (length == SIZE_MAX)
        return NULL;
    char *copy = malloc(length + 1);
    if (!copy)
        return NULL;
    if (length)
        memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *sx_strdup(const char *text)
{
    return sx_strndup(text, strlen(text));
}

bool sx_reserve(void **array, size_t *capacity, size_t need, size_t element_size)
{
    if (need <= *capacity)
        return true;
    size_t grown = *capacity < SIZE_MAX / 2 ? *capacity * 2 : need;
    if (grown < 16)
        grown = 16;
    if (grown < need)
        grown = need;
    void *moved = sx_realloc_array(*array, grown, element_size);
    if (!moved)
        return false;
    *array = moved;
    *capacity = grown;
    return true;
}

struct sx_arena_block {
    sx_arena_block *next;
    size_t size;
    max_align_t data[];
};

enum { ARENA_BLOCK = 64 * 1024, ARENA_ALIGN = 16 };

void *sx_arena_alloc(sx_arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (!arena->block || arena->block->size - arena->used < size) {
        size_t capacity = size > ARENA_BLOCK ? size : ARENA_BLOCK;
        sx_arena_block *block = malloc(sizeof *block + capacity);
        if (!block)
            return NULL;
        block->next = arena->block;
        block->size = capacity;
        arena->block = block;
        arena->used = 0;
        arena->total += capacity;
    }
    void *memory = (char *)arena->block->data + arena->used;
    arena->used += size;
    return memset(memory, 0, size);
}

char *sx_arena_strndup(sx_arena *arena, const char *text, size_t length)
{
    if (length == SIZE_MAX)
        return NULL;
    char *copy = sx_arena_alloc(arena, length + 1);
    if (copy && length)
        memcpy(copy, text, length);
    return copy;
}

void sx_arena_clear(sx_arena *arena)
{
    while (arena->block) {
        sx_arena_block *next = arena->block->next;
        free(arena->block);
        arena->block = next;
    }
    arena->used = arena->total = 0;
}

void sx_free(void *memory)
{
    free(memory);
}
