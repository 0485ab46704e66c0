/* restored_test.c - a store that is put back from a backup: what was granted after the copy is not known, so
 * nothing of it may be granted, believed or left unmarked. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "engine/task.h"
#include "tests/broker/node_fixture.h"

/* The first custody above the floor is 16777217, 2^24 + 1; above the second 33554433. */

static struct records backup[TABLE_COUNT];

static void copy_records(struct records *to, const struct records *from)
{
    *to = (struct records){.all = calloc(from->count + 1, sizeof *to->all), from->count, from->count + 1};
    for (uint32_t i = 0; i < from->count; i++) {
        const struct record *record = &from->all[i];
        to->all[i] = (struct record){record->number, malloc(record->size + 1), record->size};
        memcpy(to->all[i].bytes, record->bytes, record->size);
    }
}

static void release(struct records *tables)
{
    for (int table = 0; table < TABLE_COUNT; table++) {
        for (uint32_t i = 0; i < tables[table].count; i++)
            free(tables[table].all[i].bytes);
        free(tables[table].all);
    }
    memset(tables, 0, TABLE_COUNT * sizeof *tables);
}

static void back_up(void)
{
    release(backup);
    for (int table = 0; table < TABLE_COUNT; table++)
        copy_records(&backup[table], &fixture.tables[table]);
}

static void start_with(uint32_t restored)
{
    fixture.options.restored = restored;
    fixture_act("restart");
    fixture.options.restored = 0;
}

/* The copy takes the store's place, for the `times`th time. */
static void put_back(uint32_t times)
{
    release(fixture.tables);
    for (int table = 0; table < TABLE_COUNT; table++)
        copy_records(&fixture.tables[table], &backup[table]);
    start_with(times);
}

static void tear_down(void)
{
    release(backup);
    fixture_tear_down();
}

TestSuite(restored, .init = fixture_set_up, .fini = tear_down);

Test(restored, custody_is_above_all_that_were_given_out)
{
    static const struct row lost[] = {{"eu up slots=1", "eu WELCOME, eu ASSIGN 1.1"},
                                      {"eu outcome 1.1 returned", "eu SETTLED 1.1 recorded"},
                                      {"go", "eu ASSIGN 1.2"},
                                      {0}};
    static const struct row now[] = {{"eu hello 1 slots=1", "eu WELCOME"},
                                     {"eu inventory 1.2 running", "eu STOP 1.2"},
                                     {"eu end", ""},
                                     {"go", "eu ASSIGN 1.16777217 dup"},
                                     {"eu outcome 1.2 completed worker=w1", "eu SETTLED 1.2 stale"},
                                     {"eu outcome 1.16777217 completed", "eu SETTLED 1.16777217 recorded"},
                                     {"c1 watch 1", "c1 RESULT 1 completed dup"},
                                     {0}};
    fixture_act("c1 submit 1");
    back_up();
    fixture_run(lost);
    put_back(1);
    fixture_run(now);
}

Test(restored, the_floor_is_kept_and_rises_with_each_restore)
{
    static const struct row first[] = {{"eu up slots=4", "eu WELCOME, eu ASSIGN 1.16777217 dup"},
                                       {"restart", ""},
                                       {"eu hello 2 slots=4", "eu WELCOME"},
                                       {"eu end", ""},
                                       {"go", "eu ASSIGN 1.16777218 dup"},
                                       {"c1 submit 2", "c1 ACCEPTED 2 accepted"},
                                       {"go", "eu ASSIGN 2.16777217 dup"},
                                       {0}};
    static const struct row second[] = {{"eu hello 3 slots=4", "eu WELCOME"},
                                        {"eu end", ""},
                                        {"go", "eu ASSIGN 2.33554433 dup 1.33554433 dup"},
                                        {0}};
    fixture_act("c1 submit 1");
    start_with(1);
    fixture_run(first);
    back_up();
    put_back(1);
    fixture_run(second);
}

Test(restored, the_same_copy_a_second_time_is_above_the_first)
{
    static const struct row first[] = {{"eu up slots=1", "eu WELCOME, eu ASSIGN 1.16777217 dup"}, {0}};
    static const struct row second[] = {{"eu up slots=1", "eu WELCOME, eu ASSIGN 1.33554433 dup"}, {0}};
    fixture_act("c1 submit 1");
    back_up();
    put_back(1);
    fixture_run(first);
    put_back(2);
    fixture_run(second);
}

/* The operator numbers the restores: the third is above the second, whichever copies they were of. */
Test(restored, an_old_copy_after_a_newer_one_is_above_both)
{
    static const struct row second[] = {{"eu up slots=1", "eu WELCOME, eu ASSIGN 1.33554433 dup"}, {0}};
    static const struct row third[] = {{"eu up slots=1", "eu WELCOME, eu ASSIGN 1.50331649 dup"}, {0}};
    static struct records oldest[TABLE_COUNT];
    fixture_act("c1 submit 1");
    back_up();
    memcpy(oldest, backup, sizeof oldest);
    memset(backup, 0, sizeof backup);
    start_with(1);
    back_up();
    put_back(2);
    fixture_run(second);
    release(backup);
    memcpy(backup, oldest, sizeof backup);
    put_back(3);
    fixture_run(third);
}

/* It may have ended there after the copy: its fence is used up. */
Test(restored, a_grant_of_the_copy_that_nobody_claims_is_made_anew)
{
    static const struct row rows[] = {{"eu up slots=2", "eu WELCOME, eu ASSIGN 1.16777217 dup"}, {0}};
    fixture_act("eu up slots=2");
    fixture_act("c1 submit 1");
    fixture_act("go");
    back_up();
    fixture_act("eu outcome 1.1 completed");
    put_back(1);
    fixture_run(rows);
}

Test(restored, a_grant_of_the_copy_that_is_claimed_goes_on)
{
    static const struct row rows[] = {{"eu hello 1 slots=2", "eu WELCOME"},
                                      {"eu inventory 1.1 running", ""},
                                      {"eu end", ""},
                                      {"go", ""},
                                      {"eu outcome 1.1 completed", "eu SETTLED 1.1 recorded"},
                                      {"eu outcome 1.1 completed", "eu SETTLED 1.1 recorded"},
                                      {"c1 watch 1", "c1 RESULT 1 completed dup"},
                                      {0}};
    fixture_act("eu up slots=2");
    fixture_act("c1 submit 1");
    fixture_act("go");
    back_up();
    put_back(1);
    fixture_run(rows);
}

/* The ended id keeps few bits of its custody: the first one of the lost history must not look like ours. */
Test(restored, an_outcome_of_the_lost_history_is_stale_after_the_end_too)
{
    static const struct row lost[] = {{"us up slots=1", "us WELCOME, us ASSIGN 1.1"}, {0}};
    static const struct row now[] = {{"eu up slots=1", "eu WELCOME, eu ASSIGN 1.16777217 dup"},
                                     {"eu outcome 1.16777217 completed", "eu SETTLED 1.16777217 recorded"},
                                     {"us up slots=1", "us WELCOME"},
                                     {"us outcome 1.1 failed worker=w1", "us SETTLED 1.1 stale"},
                                     {"us outcome 9.1 failed worker=w1", "us SETTLED 9.1 unknown"},
                                     {"c1 watch 1", "c1 RESULT 1 completed dup"},
                                     {0}};
    fixture_act("c1 submit 1");
    back_up();
    fixture_run(lost);
    put_back(1);
    fixture_run(now);
}

/* However many restores and grants: an ended id knows below which floor its custody was, also after a
 * restart. */
Test(restored, an_outcome_of_the_lost_history_is_stale_after_three_restores_too)
{
    static const struct row lost[] = {{"us up slots=1", "us WELCOME, us ASSIGN 1.1"}, {0}};
    static const struct row now[] = {
        {"eu up slots=1", "eu WELCOME, eu ASSIGN 1.50331649 dup"},
        {"eu outcome 1.50331649 returned", "eu SETTLED 1.50331649 recorded"},
        {"go", "eu ASSIGN 1.50331650 dup"},
        {"eu outcome 1.50331650 completed", "eu SETTLED 1.50331650 recorded"},
        {"restart", ""},
        {"us up slots=1", "us WELCOME"},
        {"us outcome 1.1 failed worker=w1", "us SETTLED 1.1 stale"},
        {"us outcome 1.2 failed worker=w1", "us SETTLED 1.2 stale"},
        {"us outcome 1.50331650 failed worker=w1", "us SETTLED 1.50331650 recorded"},
        {0}};
    fixture_act("c1 submit 1");
    back_up();
    fixture_run(lost);
    put_back(3);
    fixture_run(now);
}

/* Another region than the copy says has it by now, or had it. */
Test(restored, what_was_placed_elsewhere_meanwhile_is_stopped_there)
{
    static const struct row now[] = {{"us hello 1 slots=1", "us WELCOME"},
                                     {"us inventory 1.2 running 7.1 running", "us STOP 1.2 7.1"},
                                     {"us end", ""},
                                     {"us outcome 1.2 cancelled worker=w1", "us SETTLED 1.2 stale"},
                                     {"us outcome 7.1 cancelled worker=w1", "us SETTLED 7.1 unknown"},
                                     {"later 11000", "us ASSIGN 1.16777217 dup"},
                                     {0}};
    fixture_act("eu up slots=1");
    fixture_act("c1 submit 1");
    fixture_act("go");
    back_up();
    put_back(1);
    fixture_run(now);
}

/* The copy's grant is lost again, and this time the task ends by it: what the lost history made of it is
 * late. */
Test(restored, an_outcome_of_the_lost_history_is_stale_after_an_end_by_loss_too)
{
    static const struct row now[] = {{"c1 cancel 1", "c1 CANCELLING 1 cancelling(cancelling)"},
                                     {"later 11000", ""},
                                     {"us up slots=1", "us WELCOME"},
                                     {"us outcome 1.2 completed worker=w1", "us SETTLED 1.2 stale"},
                                     {"c1 watch 1", "c1 RESULT 1 cancelled(may_still_run) dup"},
                                     {0}};
    fixture_act("eu up slots=1");
    fixture_act("c1 submit 1");
    fixture_act("go");
    back_up();
    put_back(1);
    fixture_run(now);
}

Test(restored, marks_are_durable_with_the_grant_and_need_no_rewriting_before)
{
    static const struct row rows[] = {{"eu up slots=2", "eu WELCOME, eu ASSIGN 1.16777217 dup"},
                                      {"restart", ""},
                                      {"eu up slots=2", "eu WELCOME, eu ASSIGN 1.16777217 dup"},
                                      {0}};
    fixture_act("c1 submit 1 / 2 region=us / 3 delay=60000");
    start_with(1);
    cr_expect_eq(fixture.puts[TABLE_STATES], 0);
    cr_expect_eq(fixture.puts[TABLE_META], 1);
    fixture_run(rows);
    fixture_act("eu outcome 1.16777217 completed");
    cr_expect_str_eq(fixture.text, "eu SETTLED 1.16777217 recorded");
    fixture_act("later 60000");
    cr_expect_str_eq(fixture.text, "eu ASSIGN 3.16777217 dup");
}

static struct task_id made_at(uint64_t wall_ms, uint64_t number)
{
    return task_id_make(wall_ms, (uint64_t[2]){number, ~number});
}

static bool is_marked(struct task_id id)
{
    struct writer *writer = fixture_client_frame(MESSAGE_SUBMIT);
    write_map(writer, 1);
    write_str(writer, "tasks");
    write_array(writer, 1);
    write_map(writer, 2);
    write_str(writer, "id");
    write_bin(writer, (struct bytes){id.bytes, TASK_ID_BYTES});
    write_str(writer, "type");
    write_str(writer, "echo");
    fixture_client_deliver(1);
    cr_assert(strstr(fixture.text, "accepted"), "%s", fixture.text);
    struct task task;
    uint32_t last = fixture.tables[TABLE_STATES].count - 1;
    const struct record *record = &fixture.tables[TABLE_STATES].all[last];
    cr_assert(task_record_read((struct bytes){record->bytes, record->size}, &task, 0, fixture.wall_ms));
    cr_assert(task_id_equal(&task.id, &id));
    return (task.flags & TASK_DUP_POSSIBLE) != 0;
}

/* A client that heard `accepted` in the lost history submits it again: it may have run. */
Test(restored, ids_that_may_be_of_the_lost_history_are_marked)
{
    uint64_t restored_ms = fixture.wall_ms;
    cr_expect_not(is_marked(made_at(restored_ms, 1)), "nothing was restored yet");
    start_with(1);
    cr_expect(is_marked(made_at(restored_ms - 1000, 2)));
    cr_expect(is_marked(fixture_id(3)), "it does not tell its time");
    fixture_act("later 5000");
    cr_expect_not(is_marked(made_at(restored_ms + 2000, 4)));
    fixture_act("restart");
    cr_expect(is_marked(made_at(restored_ms - 2000, 5)));
    cr_expect_not(is_marked(made_at(restored_ms + 3000, 6)));
    fixture.wall_ms += fixture.options.dedupe_ttl_ms;
    fixture_act("go");
    cr_expect_not(is_marked(fixture_id(7)), "as long as ids are known, and no longer");
}

Test(restored, what_came_since_is_not_marked_by_a_later_start)
{
    start_with(1);
    fixture_act("later 5000");
    cr_expect_not(is_marked(made_at(fixture.wall_ms, 1)));
    fixture_act("restart");
    fixture_act("eu up slots=1 type=echo");
    cr_expect(strstr(fixture.text, "ASSIGN"), "%s", fixture.text);
    cr_expect_null(strstr(fixture.text, "dup"), "%s", fixture.text);
}

Test(restored, a_broker_without_a_floor_above_the_last_does_not_start)
{
    static const struct row rows[] = {{"eu up slots=1", "eu WELCOME"},
                                      {"c1 submit 1", "c1 ACCEPTED 1 accepted"},
                                      {"go", "eu ASSIGN 1.4278190081 dup"},
                                      {0}};
    start_with(BROKER_RESTORES_MAX);
    cr_assert_not(broker_done(fixture.broker));
    back_up();
    fixture.options.restored = 1;
    fixture_act("restart");
    cr_expect(broker_done(fixture.broker));
    cr_expect(broker_no_floor_left(fixture.broker));

    put_back(0);
    fixture_run(rows);
}

Test(restored, records_without_a_floor_are_read)
{
    static const struct row rows[] = {{"eu up slots=1", "eu WELCOME, eu ASSIGN 1.1"}, {0}};
    fixture_act("c1 submit 1");
    struct record *meta = &fixture.tables[TABLE_META].all[0];
    cr_assert_eq(meta->bytes[0], 0x95);
    meta->bytes[0] = 0x93; /* a floor and a time of 0 take a byte each */
    meta->size -= 2;
    fixture_act("restart");
    fixture_run(rows);
}
