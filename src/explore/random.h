/* random.h - numbers that look random and are the same in every run (splitmix64: Steele, Lea, Flood 2014). */
#ifndef SX_EXPLORE_RANDOM_H
#define SX_EXPLORE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

typedef struct sx_random {
    uint64_t state;
} sx_random;

static inline uint64_t sx_random_next(sx_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* 0 .. 1, without 1. */
static inline double sx_random_unit(sx_random *random)
{
    return (double)(sx_random_next(random) >> 11) * 0x1p-53;
}

/* 0 .. below - 1; below is at most 2^32. */
static inline size_t sx_random_below(sx_random *random, size_t below)
{
    return (size_t)((sx_random_next(random) >> 32) * (uint64_t)below >> 32);
}

#endif
