/* memory.h - allocation with overflow checks, and an arena for things that die together. */
#ifndef SX_BASE_MEMORY_H
#define SX_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* count * size in *product; false when it does not fit a size_t. */
static inline bool sx_multiply(size_t count, size_t size, size_t *product)
{
    return !__builtin_mul_overflow(count, size, product);
}

/* count * size bytes, zeroed, or NULL (also on overflow). count 0 gives a unique pointer. */
void *sx_calloc(size_t count, size_t size);
/* realloc to count * size bytes; NULL on overflow or no memory, the old block then unchanged. */
void *sx_realloc_array(void *memory, size_t count, size_t size);
/* Bytes aligned to `alignment` (a power of two), zeroed; free() releases. NULL on failure. */
void *sx_aligned_calloc(size_t alignment, size_t count, size_t size);
char *sx_strdup(const char *text);
char *sx_strndup(const char *text, size_t length);

/* Makes room for at least `need` elements in a growable array: *array and *capacity are updated. False on no memory. */
bool sx_reserve(void **array, size_t *capacity, size_t need, size_t element_size);

/* An arena: many small objects, released at once. Zero-initialise. */
typedef struct sx_arena_block sx_arena_block;
typedef struct sx_arena {
    sx_arena_block *block;
    size_t used;  /* of the current block */
    size_t total; /* bytes in all blocks */
} sx_arena;
/* Zeroed, aligned to 16; NULL on failure. */
void *sx_arena_alloc(sx_arena *arena, size_t size);
char *sx_arena_strndup(sx_arena *arena, const char *text, size_t length);
/* Releases everything; the arena can be used again. */
void sx_arena_clear(sx_arena *arena);

#endif
