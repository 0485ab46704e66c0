/* chain.c - see chain.h. Every block but the last is full. */
#include "worker/chain.h"

#include "proto/assert.h"

static struct chain_block *block_at(const struct slab *blocks, uint32_t index)
{
    return slab_at(blocks, index);
}

static void release_from(struct slab *blocks, uint32_t index)
{
    while (index != 0) {
        uint32_t next = block_at(blocks, index)->next;
        slab_give(blocks, index);
        index = next;
    }
}

/* Behind a new last block; 0 if there is none to be had. */
static uint32_t add_block(struct slab *blocks, struct chain *chain)
{
    uint32_t index = slab_take(blocks);
    if (index == 0)
        return 0;
    if (chain->last == 0)
        chain->first = index;
    else
        block_at(blocks, chain->last)->next = index;
    chain->last = index;
    return index;
}

static void undo(struct slab *blocks, struct chain *chain, struct chain before)
{
    release_from(blocks, before.last == 0 ? chain->first : block_at(blocks, before.last)->next);
    if (before.last != 0)
        block_at(blocks, before.last)->next = 0;
    *chain = before;
}

bool chain_append(struct slab *blocks, struct chain *chain, struct bytes bytes)
{
    const struct chain before = *chain;
    ASSERT(bytes.size < UINT32_MAX - chain->size);
    while (bytes.size != 0) {
        size_t used = chain->size % CHAIN_BLOCK_BYTES;
        if (used == 0 && add_block(blocks, chain) == 0) {
            undo(blocks, chain, before);
            return false;
        }
        size_t room = CHAIN_BLOCK_BYTES - used, size = bytes.size < room ? bytes.size : room;
        memcpy(block_at(blocks, chain->last)->bytes + used, bytes.data, size);
        chain->size += (uint32_t)size;
        bytes = (struct bytes){bytes.data + size, bytes.size - size};
    }
    return true;
}

void chain_release(struct slab *blocks, struct chain *chain)
{
    release_from(blocks, chain->first);
    *chain = (struct chain){0, 0, 0};
}

struct bytes chain_next(const struct slab *blocks, const struct chain *chain, uint32_t *block)
{
    if (*block == 0)
        return (struct bytes){NULL, 0};
    const struct chain_block *at = block_at(blocks, *block);
    size_t size = CHAIN_BLOCK_BYTES;
    if (*block == chain->last)
        size = (chain->size - 1) % CHAIN_BLOCK_BYTES + 1;
    *block = at->next;
    return (struct bytes){at->bytes, size};
}

void chain_write(const struct slab *blocks, const struct chain *chain, struct writer *writer)
{
    uint32_t block = chain->first;
    for (struct bytes run = chain_next(blocks, chain, &block); run.size != 0;
         run = chain_next(blocks, chain, &block))
        write_raw(writer, run);
}
