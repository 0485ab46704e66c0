/* room_test.c - the marks of a store that fills: in their order, and what each needs beside its mark. */
#include <criterion/criterion.h>

#include "engine/room.h"

#define MIB (1024ull * 1024)
#define MAX_BYTES (1000 * MIB) /* margin: 200 MiB and 64 KiB */

static struct room room;
static struct outputs outputs;

static void set_up(void)
{
    room_init(&room, 80);
    cr_assert(outputs_init(&outputs));
}

static void tear_down(void)
{
    outputs_release(&outputs);
}

TestSuite(room, .init = set_up, .fini = tear_down);

static void begin_step(uint64_t free_bytes)
{
    struct event event = {.store_free_bytes = free_bytes, .store_max_bytes = MAX_BYTES};
    outputs_reset(&outputs);
    outputs_begin_step(&outputs);
    room_begin_step(&room, &event, &outputs);
}

/* How many of new work, custody, a grant, a result still have room. */
static int allowed(uint32_t living, uint32_t granted)
{
    return room_for_new(&room, living, &outputs) + room_for_custody(&room, living, &outputs) +
           room_for_grant(&room, living, granted, &outputs) + room_for_result(&room, living, 1000, &outputs);
}

Test(room, goes_in_the_order_of_the_marks)
{
    static const struct {
        uint64_t free_mib;
        int allowed;
    } rows[] = {{900, 4}, {201, 4}, {199, 3}, {101, 3}, {99, 2}, {52, 2}, {49, 1}, {26, 1}, {24, 0}, {0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin_step(rows[i].free_mib * MIB);
        room.paused = false;
        cr_expect_eq(allowed(0, 0), rows[i].allowed, "%llu MiB free: %d",
                     (unsigned long long)rows[i].free_mib, allowed(0, 0));
        cr_expect(room_for_result(&room, 0, RESULT_SMALL_BYTES, &outputs), "an end has always room");
    }
}

Test(room, of_the_ends_of_living_tasks_is_kept)
{
    begin_step(400 * MIB);
    cr_expect_eq(allowed(100000, 0), 4);
    cr_expect_eq(allowed(1000000, 0), 3, "1,000,000 ends need 244 MiB");
    cr_expect_eq(allowed(2000000, 0), 0);
}

Test(room, of_what_granted_tasks_may_bring_is_kept_once_it_was_seen)
{
    begin_step(150 * MIB);
    cr_expect(room_for_grant(&room, 1000, 1000, &outputs), "as much as is taken for granted at first");
    room_learn(&room, 256 * 1024);
    cr_expect_not(room_for_grant(&room, 1000, 1000, &outputs));
    cr_expect(room_for_grant(&room, 1000, 100, &outputs));
    for (int i = 0; i < 10000; i++)
        room_learn(&room, 100);
    cr_expect(room_for_grant(&room, 1000, 1000, &outputs), "small ones since");
}

Test(room, is_there_for_one_task_whatever_it_may_bring)
{
    begin_step(110 * MIB);
    room_learn(&room, 1000 * MIB);
    cr_expect(room_for_grant(&room, 1, 0, &outputs));
    cr_expect_not(room_for_grant(&room, 1, 1, &outputs));
}

Test(room, that_was_missing_comes_back_with_some_to_spare)
{
    begin_step(50 * MIB);
    cr_expect_not(room_for_grant(&room, 0, 0, &outputs));
    cr_expect_eq(outputs.trace_count, 1);
    begin_step(51 * MIB);
    cr_expect_not(room_for_grant(&room, 0, 0, &outputs), "enough to begin with, not to begin again");
    cr_expect_eq(outputs.trace_count, 0, "said once");
    begin_step(70 * MIB);
    cr_expect(room_for_grant(&room, 0, 0, &outputs));
    cr_expect_not(room.paused);
}

Test(room, is_less_by_what_the_step_has_put)
{
    static const uint8_t payload[MIB];
    begin_step(201 * MIB);
    cr_expect(room_for_new(&room, 0, &outputs));
    outputs_put(&outputs, TABLE_ENVELOPES, 1, 0);
    outputs_put_borrow(&outputs, (struct bytes){payload, sizeof payload});
    outputs_put_end(&outputs);
    cr_expect_not(room_for_new(&room, 0, &outputs));
    outputs_begin_step(&outputs); /* the host takes off what earlier steps put */
    struct event event = {.store_free_bytes = 201 * MIB, .store_max_bytes = MAX_BYTES};
    room_begin_step(&room, &event, &outputs);
    cr_expect(room_for_new(&room, 0, &outputs));
}

Test(room, is_not_looked_at_where_there_is_no_bound)
{
    struct event event = {.store_free_bytes = 0, .store_max_bytes = 0};
    room_begin_step(&room, &event, &outputs);
    cr_expect_eq(allowed(1000000, 1000000), 4);
}

Test(room, a_record_takes_at_least_its_bytes)
{
    static const size_t sizes[] = {0, 1, 100, 1000, 1900, 1901, 3991, 3992, 4000, 100000, 1024 * 1024};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        cr_expect_geq(record_disk_bytes(sizes[i]), sizes[i] + 17, "%zu", sizes[i]);
        cr_expect_leq(record_disk_bytes(sizes[i]), 5 * sizes[i] / 2 + 64, "%zu", sizes[i]);
    }
}
