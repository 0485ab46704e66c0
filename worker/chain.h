/* chain.h - runs of bytes of any size in fixed blocks, so that outcomes and envelopes cost the slab's memory
 * and nothing else.
 *
 * Is:      append, read, release. A chain of size 0 owns no block.
 * Bounds:  the slab's; at it an append says no and leaves the chain as it was. */
#ifndef MERIDIAN_WORKER_CHAIN_H
#define MERIDIAN_WORKER_CHAIN_H

#include "engine/slab.h"
#include "proto/writer.h"

enum { CHAIN_BLOCK_BYTES = 508 };

struct chain_block {
    uint32_t next; /* 0 = the last */
    uint8_t bytes[CHAIN_BLOCK_BYTES];
};
_Static_assert(sizeof(struct chain_block) == 512, "a block is a round size");

struct chain {
    uint32_t first, last; /* blocks, 0 = none */
    uint32_t size;
};

bool chain_append(struct slab *blocks, struct chain *chain, struct bytes bytes);
void chain_release(struct slab *blocks, struct chain *chain);
/* Copy all of it. */
void chain_write(const struct slab *blocks, const struct chain *chain, struct writer *writer);
/* The chain as views, one after the other: start with `block` = chain->first; size 0 behind the last. */
struct bytes chain_next(const struct slab *blocks, const struct chain *chain, uint32_t *block);

#endif
