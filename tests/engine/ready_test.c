/* ready_test.c - order within a priority, between priorities, and the ring of classes. */
#include "engine/ready.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { TASKS_MAX = 100000 };

static struct ready *ready;
static struct slab tasks;

static void set_up(void)
{
    ready = calloc(1, sizeof *ready);
    cr_assert_not_null(ready);
    slab_init(&tasks, sizeof(struct task), TASKS_MAX);
}

static void tear_down(void)
{
    slab_release(&tasks);
    free(ready);
}

TestSuite(ready, .init = set_up, .fini = tear_down);

static uint32_t add(uint16_t class, enum priority priority, enum ready_end end)
{
    uint32_t index = slab_take(&tasks);
    cr_assert_neq(index, 0);
    struct task *task = slab_at(&tasks, index);
    task->class = class;
    task->priority = priority & 15;
    ready_add(ready, &tasks, index, end);
    return index;
}

static uint32_t take(uint16_t class)
{
    uint32_t index = ready_peek(ready, class);
    if (index != 0)
        ready_take(ready, &tasks, index);
    return index;
}

Test(ready, first_come_first_served)
{
    uint32_t first = add(1, PRIORITY_NORMAL, READY_TAIL), second = add(1, PRIORITY_NORMAL, READY_TAIL);
    cr_expect_eq(ready->count, 2);
    cr_expect_eq(take(1), first);
    cr_expect_eq(take(1), second);
    cr_expect_eq(take(1), 0);
    cr_expect_eq(ready->count, 0);
}

Test(ready, what_comes_back_is_first)
{
    uint32_t first = add(1, PRIORITY_NORMAL, READY_TAIL);
    uint32_t back = add(1, PRIORITY_NORMAL, READY_HEAD);
    uint32_t last = add(1, PRIORITY_NORMAL, READY_TAIL);
    cr_expect_eq(take(1), back);
    cr_expect_eq(take(1), first);
    cr_expect_eq(take(1), last);
}

Test(ready, leaves_from_the_middle_and_both_ends)
{
    uint32_t all[5];
    for (int i = 0; i < 5; i++)
        all[i] = add(1, PRIORITY_HIGH, READY_TAIL);
    ready_remove(ready, &tasks, all[2]);
    ready_remove(ready, &tasks, all[0]);
    ready_remove(ready, &tasks, all[4]);
    cr_expect_eq(take(1), all[1]);
    cr_expect_eq(take(1), all[3]);
    cr_expect_eq(take(1), 0);
}

/* How many of each priority were taken while all had something to run. */
static void share(int turns, uint32_t counts[PRIORITY_COUNT])
{
    for (int turn = 0; turn < turns; turn++) {
        const struct task *task = slab_at(&tasks, ready_peek(ready, 1));
        enum priority priority = (enum priority)task->priority;
        counts[priority]++;
        take(1);
        add(1, priority, READY_TAIL);
    }
}

Test(ready, priorities_share_64_to_16_to_4_to_1)
{
    uint32_t counts[PRIORITY_COUNT] = {0};
    for (int priority = 0; priority < PRIORITY_COUNT; priority++)
        for (int i = 0; i < 3; i++)
            add(1, (enum priority)priority, READY_TAIL);
    share(85 * 100, counts);
    cr_expect(abs((int)counts[PRIORITY_CRITICAL] - 6400) <= 64, "%u", counts[PRIORITY_CRITICAL]);
    cr_expect(abs((int)counts[PRIORITY_HIGH] - 1600) <= 16, "%u", counts[PRIORITY_HIGH]);
    cr_expect(abs((int)counts[PRIORITY_NORMAL] - 400) <= 4, "%u", counts[PRIORITY_NORMAL]);
    cr_expect(abs((int)counts[PRIORITY_LOW] - 100) <= 1, "%u", counts[PRIORITY_LOW]);
}

Test(ready, low_is_served_under_a_flood_of_high)
{
    uint32_t low = add(1, PRIORITY_LOW, READY_TAIL);
    int turns = 0;
    for (int i = 0; i < 40; i++)
        add(1, PRIORITY_HIGH, READY_TAIL);
    while (take(1) != low)
        turns++;
    cr_expect_leq(turns, 17, "16 high ones for a low one, not %d", turns);
}

Test(ready, no_credit_for_the_time_a_priority_had_nothing)
{
    for (int i = 0; i < 1000; i++) {
        add(1, PRIORITY_CRITICAL, READY_TAIL);
        take(1);
    }
    uint32_t counts[PRIORITY_COUNT] = {0};
    for (int i = 0; i < 3; i++) {
        add(1, PRIORITY_CRITICAL, READY_TAIL);
        add(1, PRIORITY_LOW, READY_TAIL);
    }
    share(65 * 4, counts);
    cr_expect_leq(counts[PRIORITY_LOW], 5, "low does not catch up: %u", counts[PRIORITY_LOW]);
}

Test(ready, an_alone_priority_takes_every_turn)
{
    uint32_t counts[PRIORITY_COUNT] = {0};
    add(1, PRIORITY_LOW, READY_TAIL);
    share(500, counts);
    cr_expect_eq(counts[PRIORITY_LOW], 500);
}

Test(ready, classes_come_in_turn)
{
    add(5, PRIORITY_NORMAL, READY_TAIL);
    add(3, PRIORITY_NORMAL, READY_TAIL);
    add(9, PRIORITY_NORMAL, READY_TAIL);
    add(5, PRIORITY_NORMAL, READY_TAIL);
    static const uint16_t order[] = {5, 3, 9, 5, 3, 9};
    cr_expect_eq(ready->ring_count, 3);
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        cr_expect_eq(ready_first_class(ready), order[i], "turn %zu", i);
        ready_turn(ready);
    }
}

Test(ready, a_class_without_tasks_leaves_the_ring)
{
    add(1, PRIORITY_NORMAL, READY_TAIL);
    add(2, PRIORITY_NORMAL, READY_TAIL);
    add(3, PRIORITY_NORMAL, READY_TAIL);
    take(1); /* the first one */
    cr_expect_eq(ready_first_class(ready), 2);
    take(3); /* the last one */
    ready_turn(ready);
    cr_expect_eq(ready_first_class(ready), 2, "alone");
    take(2);
    cr_expect_eq(ready_first_class(ready), 0);
    ready_turn(ready);
    cr_expect_eq(ready->ring_count, 0);
    add(3, PRIORITY_LOW, READY_TAIL);
    cr_expect_eq(ready_first_class(ready), 3);
}

/* A task that is cancelled or has expired at the head did not run in its priority's turn. */
Test(ready, what_leaves_unrun_pays_for_no_turn)
{
    uint32_t low[8], turn = 0;
    for (int i = 0; i < 8; i++)
        low[i] = add(1, PRIORITY_LOW, READY_TAIL);
    for (int i = 0; i < 200; i++)
        add(1, PRIORITY_CRITICAL, READY_TAIL);
    while (take(1) != low[0]) {
    }
    for (int i = 0; i < 6; i++)
        ready_remove(ready, &tasks, low[1 + i]);
    while (take(1) != low[7])
        turn++;
    cr_expect_leq(turn, 64);
}

/* The queues against a plain list, over many random moves. */
Test(ready, many_moves_keep_counts_and_lists)
{
    uint32_t held[64], count = 0, seed = 7;
    for (int i = 0; i < 20000; i++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t draw = seed >> 16;
        if (count < 64 && (draw & 1)) {
            held[count++] = add((uint16_t)(1 + draw / 2 % 5), (enum priority)(draw / 16 % PRIORITY_COUNT),
                                draw & 8 ? READY_HEAD : READY_TAIL);
        } else if (count > 0) {
            uint32_t at = draw % count;
            ready_remove(ready, &tasks, held[at]);
            slab_give(&tasks, held[at]);
            held[at] = held[--count];
        }
        cr_assert_eq(ready->count, count);
    }
    uint32_t taken = 0;
    while (ready_first_class(ready) != 0) {
        cr_assert_neq(take(ready_first_class(ready)), 0, "a class of the ring has a task");
        taken++;
    }
    cr_expect_eq(taken, count);
}
