/* random.h - numbers that look random and are the same in every run: a failing test fails again. */
#ifndef MERIDIAN_TESTS_PROTO_RANDOM_H
#define MERIDIAN_TESTS_PROTO_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state;
};

/* splitmix64 */
static inline uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static inline uint64_t random_below(struct random *random, uint64_t bound)
{
    return random_next(random) % bound;
}

/* All widths are equally likely, so that every msgpack encoding of a number is met. */
static inline uint64_t random_width(struct random *random)
{
    uint64_t value = random_next(random);
    return value >> random_below(random, 64);
}

#endif
