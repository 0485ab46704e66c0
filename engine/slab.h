/* slab.h - fixed-size items in chunks that never move, addressed by a 32-bit index.
 *
 * Is: where pure code gets its memory, up to a bound given at the start; at the bound slab_take says no and
 * the node refuses work (`throttled`). Index 0 is never given out and means "none".
 *
 * Is not: thread-safe; a general allocator.
 *
 * Invariants: an index stays valid and its item at the same address until slab_give; given-back items are
 * reused last-in first-out; items are zeroed when taken.
 *
 * Cost: take, give, at: O(1); one malloc per chunk of SLAB_CHUNK_ITEMS items. */
#ifndef MERIDIAN_ENGINE_SLAB_H
#define MERIDIAN_ENGINE_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef SLAB_CHUNK_ITEMS
#define SLAB_CHUNK_ITEMS 4096 /* fewer in tests/sweep, so that more of them grow */
#endif

struct slab {
    uint8_t **chunks;
    uint32_t chunk_count, chunk_capacity;
    uint32_t item_size;
    uint32_t items_max;  /* bound on live items */
    uint32_t next_fresh; /* first index never taken */
    uint32_t free_head;  /* index of the first given-back item, 0 = none; links live in the items */
    uint32_t live;
};

/* `item_size` at least 4. No memory is taken until the first slab_take. */
void slab_init(struct slab *slab, uint32_t item_size, uint32_t items_max);
void slab_release(struct slab *slab);
/* 0 at the bound or when the system has no memory. */
uint32_t slab_take(struct slab *slab);
void slab_give(struct slab *slab, uint32_t index);
/* Memory for `items` live ones: below that and the bound slab_take does not fail. False if there is none. */
bool slab_reserve(struct slab *slab, uint32_t items);

static inline void *slab_at(const struct slab *slab, uint32_t index)
{
    return slab->chunks[index / SLAB_CHUNK_ITEMS] + (size_t)(index % SLAB_CHUNK_ITEMS) * slab->item_size;
}

#endif
