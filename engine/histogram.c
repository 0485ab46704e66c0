/* histogram.c - see histogram.h. */
#include "engine/histogram.h"

#include "proto/assert.h"

/* The position of the highest bit gives the doubling, the two bits behind it the quarter. */
static uint32_t bucket_of(uint64_t value)
{
    if (value < 4)
        return (uint32_t)value;
    if (value > UINT32_MAX)
        value = UINT32_MAX;
    uint32_t doubling = 63 - (uint32_t)__builtin_clzll(value);
    return 4 * (doubling - 1) + (uint32_t)(value >> (doubling - 2) & 3);
}

static uint64_t upper_bound(uint32_t bucket)
{
    if (bucket < 4)
        return bucket;
    uint32_t doubling = bucket / 4 + 1;
    return ((4ull + bucket % 4 + 1) << (doubling - 2)) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    uint32_t bucket = bucket_of(value);
    ASSERT(bucket < HISTOGRAM_BUCKETS);
    histogram->counts[bucket]++;
    histogram->total++;
}

uint64_t histogram_at(const struct histogram *histogram, uint32_t per_mille)
{
    uint64_t wanted = ((uint64_t)histogram->total * per_mille + 999) / 1000, seen = 0;
    if (histogram->total == 0)
        return 0;
    for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->counts[bucket];
        if (seen >= wanted)
            return upper_bound(bucket);
    }
    return UINT32_MAX;
}
