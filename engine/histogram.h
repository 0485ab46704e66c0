/* histogram.h - counts by size in logarithmic buckets: percentiles in 512 bytes.
 *
 * Four buckets per doubling from 1 to 2^32; a percentile is the upper bound of its bucket, at most 19 % too
 * large. Unit: whatever the caller counts, microseconds here. Cost: O(1) to add, O(buckets) to ask. */
#ifndef MERIDIAN_ENGINE_HISTOGRAM_H
#define MERIDIAN_ENGINE_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 128 };

struct histogram {
    uint32_t counts[HISTOGRAM_BUCKETS];
    uint32_t total;
};

void histogram_add(struct histogram *histogram, uint64_t value);
/* The value that `per_mille` of 1,000 do not pass; 0 if nothing was counted. */
uint64_t histogram_at(const struct histogram *histogram, uint32_t per_mille);

#endif
