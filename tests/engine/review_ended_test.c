/* review_ended_test.c - the ring of ended ids after 2^31 of them: a day at full speed. */
#include <criterion/criterion.h>

#include "engine/ended.h"

static struct ended ended;
static struct map map;
static struct outputs outputs;

static const struct task_id *id_of(const void *owner, uint32_t value)
{
    return &ended_at(owner, value)->id;
}

Test(review_ended, ids_are_found_across_the_wrap_of_their_values)
{
    enum { BEFORE = 100, AFTER = 100 };
    cr_assert(outputs_init(&outputs));
    outputs_begin_step(&outputs);
    ended_init(&ended, 1000, 1000, 1000);
    map_init(&map, 1, id_of, &ended);
    ended.first = ended.next = ENDED_BIT - BEFORE;
    ended.first_chunk = ended.first / ENDED_CHUNK;
    for (uint8_t i = 0; i < BEFORE + AFTER; i++) {
        struct ended_entry entry = {.id = {{i}}, .arrival_and_bits = (uint64_t)(i + 1) << 8};
        cr_assert(map_put(&map, &entry.id, ended_add(&ended, &entry)));
    }
    ended_flush(&ended, 5, &outputs);
    for (uint8_t i = 0; i < BEFORE + AFTER; i++) {
        uint32_t value = map_find(&map, &(struct task_id){{i}});
        cr_assert_neq(value, 0);
        cr_expect_eq(ended_arrival(ended_at(&ended, value)), i + 1u);
    }
    cr_expect_not(ended_expire(&ended, 5000, &map, &outputs));
    cr_expect_eq(map.entries, 0, "and forgotten");
    map_release(&map);
    ended_release(&ended);
    outputs_release(&outputs);
}
