/* heap.c - see heap.h. Children of position p are 2p and 2p + 1; every move tells the owner. */
#include "engine/heap.h"

#include <stdlib.h>

#include "proto/assert.h"

void heap_init(struct heap *heap, struct heap_owner owner)
{
    *heap = (struct heap){.owner = owner};
}

void heap_release(struct heap *heap)
{
    free(heap->items);
    heap_init(heap, heap->owner);
}

static bool before(const struct heap *heap, uint32_t a, uint32_t b)
{
    return heap->owner.before(heap->owner.owner, a, b);
}

static void place(struct heap *heap, uint32_t position, uint32_t item)
{
    heap->items[position] = item;
    heap->owner.place(heap->owner.owner, item, position);
}

static void sift_up(struct heap *heap, uint32_t position)
{
    uint32_t item = heap->items[position];
    while (position > 1 && before(heap, item, heap->items[position / 2])) {
        place(heap, position, heap->items[position / 2]);
        position /= 2;
    }
    place(heap, position, item);
}

static void sift_down(struct heap *heap, uint32_t position)
{
    uint32_t item = heap->items[position];
    while (position <= heap->count / 2) {
        uint32_t child = 2 * position;
        if (child < heap->count && before(heap, heap->items[child + 1], heap->items[child]))
            child++;
        if (!before(heap, heap->items[child], item))
            break;
        place(heap, position, heap->items[child]);
        position = child;
    }
    place(heap, position, item);
}

uint32_t heap_top(const struct heap *heap)
{
    return heap->count == 0 ? 0 : heap->items[1];
}

static bool grow(struct heap *heap)
{
    ASSERT(heap->capacity <= UINT32_MAX / 4);
    uint32_t capacity = heap->capacity == 0 ? 64 : 2 * heap->capacity;
    uint32_t *items = realloc(heap->items, ((size_t)capacity + 1) * sizeof *items);
    if (items == NULL)
        return false;
    heap->items = items;
    heap->capacity = capacity;
    return true;
}

bool heap_insert(struct heap *heap, uint32_t item)
{
    ASSERT(item != 0);
    if (heap->count == heap->capacity && !grow(heap))
        return false;
    heap->items[++heap->count] = item;
    sift_up(heap, heap->count);
    return true;
}

void heap_changed(struct heap *heap, uint32_t position)
{
    ASSERT(position >= 1 && position <= heap->count);
    if (position > 1 && before(heap, heap->items[position], heap->items[position / 2]))
        sift_up(heap, position);
    else
        sift_down(heap, position);
}

void heap_remove(struct heap *heap, uint32_t position)
{
    ASSERT(position >= 1 && position <= heap->count);
    uint32_t item = heap->items[position], last = heap->items[heap->count--];
    heap->owner.place(heap->owner.owner, item, 0);
    if (item == last)
        return;
    heap->items[position] = last;
    heap_changed(heap, position);
}
