#include "engine/heap.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { ITEMS = 4000 };

static uint64_t keys[ITEMS + 1];
static uint32_t positions[ITEMS + 1];

static bool before(void *owner, uint32_t a, uint32_t b)
{
    (void)owner;
    return keys[a] != keys[b] ? keys[a] < keys[b] : a < b;
}

static void place(void *owner, uint32_t item, uint32_t position)
{
    (void)owner;
    positions[item] = position;
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return *state >> 33;
}

static void check(const struct heap *heap)
{
    for (uint32_t at = 1; at <= heap->count; at++) {
        cr_assert_eq(positions[heap->items[at]], at);
        if (at > 1)
            cr_assert(!before(NULL, heap->items[at], heap->items[at / 2]));
    }
}

/* The slow truth: the first of all items that are in the heap. */
static uint32_t first_of_all(void)
{
    uint32_t best = 0;
    for (uint32_t item = 1; item <= ITEMS; item++)
        if (positions[item] != 0 && (best == 0 || before(NULL, item, best)))
            best = item;
    return best;
}

Test(heap, equal_keys_come_out_in_the_owners_order)
{
    struct heap heap;
    heap_init(&heap, (struct heap_owner){NULL, before, place});
    cr_assert_eq(heap_top(&heap), 0);
    for (uint32_t item = ITEMS; item >= 1; item--) {
        keys[item] = item / 100;
        cr_assert(heap_insert(&heap, item));
    }
    for (uint32_t item = 1; item <= ITEMS; item++) {
        cr_assert_eq(heap_top(&heap), item);
        heap_remove(&heap, 1);
        cr_assert_eq(positions[item], 0);
    }
    cr_assert_eq(heap_top(&heap), 0);
    heap_release(&heap);
}

Test(heap, agrees_with_a_search_under_random_inserts_removes_and_changes)
{
    struct heap heap;
    heap_init(&heap, (struct heap_owner){NULL, before, place});
    uint64_t random = 7;
    for (int step = 0; step < 20000; step++) {
        uint32_t item = (uint32_t)(next_random(&random) % ITEMS) + 1;
        if (positions[item] == 0) {
            keys[item] = next_random(&random) % 500;
            cr_assert(heap_insert(&heap, item));
        } else if (next_random(&random) % 2 == 0) {
            heap_remove(&heap, positions[item]);
        } else {
            keys[item] = next_random(&random) % 500;
            heap_changed(&heap, positions[item]);
        }
        if (step % 100 == 0)
            check(&heap);
        if (step % 10 == 0)
            cr_assert_eq(heap_top(&heap), first_of_all());
    }
    heap_release(&heap);
}
