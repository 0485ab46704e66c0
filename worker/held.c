/* held.c - see held.h. */
#include "worker/held.h"

#include "proto/assert.h"

static const struct task_id *id_of(const void *owner, uint32_t index)
{
    const struct held_table *table = owner;
    const struct held *held = slab_at(&table->items, index);
    return &held->id;
}

void held_init(struct held_table *table, uint32_t entries_max, uint32_t blocks_max)
{
    memset(table, 0, sizeof *table);
    slab_init(&table->items, sizeof(struct held), entries_max);
    slab_init(&table->blocks, sizeof(struct chain_block), blocks_max);
    map_init(&table->newest, 0, id_of, table);
}

void held_release(struct held_table *table)
{
    map_release(&table->newest);
    slab_release(&table->items);
    slab_release(&table->blocks);
}

void held_seed(struct held_table *table, uint64_t seed)
{
    ASSERT(table->newest.entries == 0);
    table->newest.seed = seed;
}

static struct held *item(const struct held_table *table, uint32_t index)
{
    return index == 0 ? NULL : slab_at(&table->items, index);
}

struct held *held_newest(const struct held_table *table, const struct task_id *id)
{
    return item(table, map_find(&table->newest, id));
}

struct held *held_find(const struct held_table *table, const struct task_id *id, struct fence fence)
{
    struct held *held = held_newest(table, id);
    while (held != NULL && fence_compare(held->fence, fence) != 0)
        held = item(table, held->older);
    return held;
}

/* Put a new entry into its task's chain, which falls in fence. False if the map has no memory. */
static bool enter_chain(struct held_table *table, struct held *held)
{
    struct held *newer = held_newest(table, &held->id);
    if (newer == NULL)
        return map_put(&table->newest, &held->id, held->index);
    if (fence_compare(newer->fence, held->fence) < 0) {
        held->older = newer->index;
        map_replace(&table->newest, &held->id, held->index);
        return true;
    }
    struct held *older = item(table, newer->older);
    for (; older != NULL && fence_compare(older->fence, held->fence) > 0; older = item(table, newer->older))
        newer = older;
    held->older = newer->older;
    newer->older = held->index;
    return true;
}

struct held *held_add(struct held_table *table, const struct task_id *id, struct fence fence)
{
    ASSERT(held_find(table, id, fence) == NULL);
    uint32_t index = slab_take(&table->items);
    if (index == 0)
        return NULL;
    struct held *held = slab_at(&table->items, index);
    held->index = index;
    held->id = *id;
    held->fence = fence;
    if (!enter_chain(table, held)) {
        slab_give(&table->items, index);
        return NULL;
    }
    held->known = true;
    return held;
}

static void leave_chain(struct held_table *table, const struct held *held)
{
    struct held *newer = held_newest(table, &held->id);
    if (newer == held && held->older == 0) {
        map_remove(&table->newest, &held->id);
    } else if (newer == held) {
        map_replace(&table->newest, &held->id, held->older);
    } else {
        while (newer->older != held->index)
            newer = item(table, newer->older);
        newer->older = held->older;
    }
}

void held_drop(struct held_table *table, struct held *held)
{
    ASSERT(held->known);
    leave_chain(table, held);
    chain_release(&table->blocks, &held->bytes);
    if (held->status == HELD_ENDED)
        table->ended--;
    held->known = false;
    slab_give(&table->items, held->index);
}

struct held *held_at(const struct held_table *table, uint32_t index)
{
    ASSERT(index != 0 && index < held_limit(table));
    struct held *held = slab_at(&table->items, index);
    return held->known ? held : NULL;
}
