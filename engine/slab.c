/* slab.c - see slab.h. Given-back items form a list through their own first four bytes. */
#include "engine/slab.h"

#include <stdlib.h>
#include <string.h>

#include "proto/assert.h"

void slab_init(struct slab *slab, uint32_t item_size, uint32_t items_max)
{
    ASSERT(item_size >= sizeof(uint32_t));
    ASSERT(items_max < UINT32_MAX);
    *slab = (struct slab){.item_size = item_size, .items_max = items_max, .next_fresh = 1};
}

void slab_release(struct slab *slab)
{
    for (uint32_t i = 0; i < slab->chunk_count; i++)
        free(slab->chunks[i]);
    free(slab->chunks);
    slab_init(slab, slab->item_size, slab->items_max);
}

static bool add_chunk(struct slab *slab)
{
    if (slab->chunk_count == slab->chunk_capacity) {
        uint32_t capacity = slab->chunk_capacity == 0 ? 16 : 2 * slab->chunk_capacity;
        uint8_t **chunks = realloc(slab->chunks, capacity * sizeof *chunks);
        if (chunks == NULL)
            return false;
        slab->chunks = chunks;
        slab->chunk_capacity = capacity;
    }
    uint8_t *chunk = malloc((size_t)SLAB_CHUNK_ITEMS * slab->item_size);
    if (chunk == NULL)
        return false;
    slab->chunks[slab->chunk_count++] = chunk;
    return true;
}

bool slab_reserve(struct slab *slab, uint32_t items)
{
    while ((uint64_t)slab->chunk_count * SLAB_CHUNK_ITEMS <= items)
        if (!add_chunk(slab))
            return false;
    return true;
}

uint32_t slab_take(struct slab *slab)
{
    if (slab->live >= slab->items_max)
        return 0;
    uint32_t index = slab->free_head;
    if (index != 0) {
        memcpy(&slab->free_head, slab_at(slab, index), sizeof slab->free_head);
    } else {
        if (slab->next_fresh / SLAB_CHUNK_ITEMS == slab->chunk_count && !add_chunk(slab))
            return 0;
        index = slab->next_fresh++;
    }
    slab->live++;
    memset(slab_at(slab, index), 0, slab->item_size);
    return index;
}

void slab_give(struct slab *slab, uint32_t index)
{
    ASSERT(index != 0);
    ASSERT(index < slab->next_fresh);
    ASSERT(slab->live > 0);
    memcpy(slab_at(slab, index), &slab->free_head, sizeof slab->free_head);
    slab->free_head = index;
    slab->live--;
}
