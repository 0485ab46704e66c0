#include "engine/map.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { IDS = 50000 };

static struct task_id ids[IDS + 1];

static const struct task_id *id_of(const void *owner, uint32_t value)
{
    (void)owner;
    return &ids[value];
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return *state >> 33;
}

static void make_ids(void)
{
    uint64_t random = 99;
    for (uint32_t i = 1; i <= IDS; i++)
        for (int j = 0; j < TASK_ID_BYTES; j++)
            ids[i].bytes[j] = (uint8_t)next_random(&random);
}

Test(map, an_empty_map_finds_nothing)
{
    struct map map;
    make_ids();
    map_init(&map, 1, id_of, NULL);
    cr_assert_eq(map_find(&map, &ids[1]), 0);
    map_release(&map);
}

Test(map, finds_every_entry_after_every_put_while_it_grows)
{
    struct map map;
    make_ids();
    map_init(&map, 42, id_of, NULL);
    for (uint32_t i = 1; i <= 3000; i++) {
        cr_assert(map_put(&map, &ids[i], i));
        for (uint32_t j = 1; j <= i; j += 1 + i / 50)
            cr_assert_eq(map_find(&map, &ids[j]), j);
        cr_assert_eq(map_find(&map, &ids[i]), i);
        cr_assert_eq(map_find(&map, &ids[i + 1]), 0);
    }
    cr_assert_eq(map.entries, 3000);
    map_release(&map);
}

Test(map, agrees_with_an_array_under_random_puts_removes_and_replaces)
{
    struct map map;
    static bool in[IDS + 1];
    uint64_t random = 5;
    uint32_t entries = 0;
    make_ids();
    map_init(&map, 42, id_of, NULL);
    for (int step = 0; step < 600000; step++) {
        uint32_t range = (uint32_t)(step / 12) + 1; /* grows all the time */
        uint32_t i = (uint32_t)(next_random(&random) % (range < IDS ? range : IDS)) + 1;
        cr_assert_eq(map_find(&map, &ids[i]), in[i] ? i : 0);
        if (!in[i]) {
            cr_assert(map_put(&map, &ids[i], i));
            entries++;
        } else if (next_random(&random) % 3 == 0) {
            map_replace(&map, &ids[i], i);
            continue;
        } else {
            map_remove(&map, &ids[i]);
            entries--;
        }
        in[i] = !in[i];
        cr_assert_eq(map.entries, entries);
    }
    for (uint32_t i = 1; i <= IDS; i++)
        cr_assert_eq(map_find(&map, &ids[i]), in[i] ? i : 0);
    map_release(&map);
}

Test(map, a_queue_of_constant_length_never_grows)
{
    struct map map;
    make_ids();
    map_init(&map, 3, id_of, NULL);
    for (uint32_t i = 1; i <= IDS; i++) {
        cr_assert(map_put(&map, &ids[i], i));
        if (i > 20)
            map_remove(&map, &ids[i - 20]);
    }
    cr_assert_eq(map.now.capacity, 64);
    cr_assert_eq(map.old.capacity, 0);
    map_release(&map);
}

Test(map, a_growth_is_spread_over_the_operations_after_it)
{
    struct map map;
    make_ids();
    map_init(&map, 3, id_of, NULL);
    uint32_t moved = 0;
    for (uint32_t i = 1; i <= 20000; i++) {
        cr_assert(map_put(&map, &ids[i], i));
        if (map.old.capacity != 0) {
            cr_assert_leq(map.moved, moved + 8);
            moved = map.moved;
        } else {
            moved = 0;
        }
    }
    map_release(&map);
}

Test(map, ids_that_differ_in_one_bit_are_told_apart)
{
    struct map map;
    map_init(&map, 11, id_of, NULL);
    memset(ids, 0, sizeof ids);
    for (uint32_t i = 1; i <= 128; i++) {
        ids[i].bytes[(i - 1) / 8] = (uint8_t)(1u << (i - 1) % 8);
        cr_assert(map_put(&map, &ids[i], i));
    }
    for (uint32_t i = 1; i <= 128; i++)
        cr_assert_eq(map_find(&map, &ids[i]), i);
    map_release(&map);
}
