/* heap.h - a binary min-heap of 32-bit items in an order their owner gives, with removal from the middle.
 *
 * Is: the timers of a node. Keys and positions live with the items' owner (two functions), so a timer costs 4
 * bytes here. The heap keeps no time of its own: equal keys come out in the order that `before` gives them.
 *
 * Cost: insert, remove, change: O(log n); top: O(1). Memory grows by doubling (slab's rule: false at no
 * memory). */
#ifndef MERIDIAN_ENGINE_HEAP_H
#define MERIDIAN_ENGINE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct heap_owner {
    void *owner;
    /* Is item a due before item b? Total order: ties are broken by something stable (arrival number). */
    bool (*before)(void *owner, uint32_t a, uint32_t b);
    /* Remember where the item is; position 0 = not in the heap, positions start at 1. */
    void (*place)(void *owner, uint32_t item, uint32_t position);
};

struct heap {
    uint32_t *items; /* items[1 .. count] */
    uint32_t count, capacity;
    struct heap_owner owner;
};

void heap_init(struct heap *heap, struct heap_owner owner);
void heap_release(struct heap *heap);
/* The first item, 0 if empty. Items are never 0. */
uint32_t heap_top(const struct heap *heap);
bool heap_insert(struct heap *heap, uint32_t item);
void heap_remove(struct heap *heap, uint32_t position);
/* The item at `position` got another key. */
void heap_changed(struct heap *heap, uint32_t position);

#endif
