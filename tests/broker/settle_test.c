/* settle_test.c - the end of a task: what is written, who is told, and that it ends once. */
#include <criterion/criterion.h>

#include "tests/broker/node_fixture.h"

TestSuite(settle, .init = fixture_set_up, .fini = fixture_tear_down);

Test(settle, puts_the_outcome_in_the_batch_that_says_recorded)
{
    static const struct row rows[] = {
        {"eu up slots=1", "put children 1, eu WELCOME"},
        {"c1 submit 5", "put classes 1, put envelopes 1, put states 1, c1 ACCEPTED 5 accepted"},
        {"go", "put grants 1, eu ASSIGN 5.1"},
        {"eu taken 5.1", ""},
        {"eu outcome 5.1 completed", "put outcomes 1, put ended 1, eu SETTLED 5.1 recorded, "
                                     "erase grants 1, erase envelopes 1, erase states 1"},
        {"eu outcome 5.1 completed", "eu SETTLED 5.1 recorded"},
        {0}};
    fixture.shows_writes = true;
    fixture_run(rows);
    cr_expect_eq(fixture_counter("completed"), 1, "once");
}

Test(settle, of_what_the_broker_ends_itself_is_as_durable)
{
    static const struct row rows[] = {
        {"c1 submit 5", "put classes 1, put envelopes 1, put states 1, c1 ACCEPTED 5 accepted"},
        {"c1 cancel 5", "put outcomes 1, put ended 1, c1 CANCELLING 5 ended(cancelled), "
                        "erase envelopes 1, erase states 1"},
        {0}};
    fixture.shows_writes = true;
    fixture_run(rows);
}

Test(settle, happens_once_the_first_recorded_end_wins)
{
    static const struct row rows[] = {
        {"eu up slots=1", "eu WELCOME"},
        {"us up slots=1", "us WELCOME"},
        {"c1 submit 1 region=eu / 2 region=us", "c1 ACCEPTED 1 accepted 2 accepted"},
        {"go", "eu ASSIGN 1.1, us ASSIGN 2.1"},
        {"us outcome 1.1 failed", "us SETTLED 1.1 stale"}, /* not its task */
        {"us outcome 2.2 failed", "us SETTLED 2.2 stale"}, /* not its fence */
        {"eu outcome 1.1 completed", "eu SETTLED 1.1 recorded"},
        {"eu outcome 1.1 failed", "eu SETTLED 1.1 recorded"},
        {"us outcome 1.2 failed", "us SETTLED 1.2 stale"},
        {"us outcome 9.1 failed", "us SETTLED 9.1 unknown"},
        {"c1 watch 1", "c1 RESULT 1 completed"},
        {0}};
    fixture_run(rows);
    cr_expect_eq(fixture_counter("completed"), 1);
    cr_expect_eq(fixture_counter("failed"), 0);
    cr_expect_eq(fixture_counter("late"), 3);
}

Test(settle, takes_each_of_the_four_ends)
{
    static const struct row rows[] = {
        {"eu up slots=2", "eu WELCOME"},
        {"c1 submit 1-4", "c1 ACCEPTED 1 accepted 2 accepted 3 accepted 4 accepted"},
        {"go", "eu ASSIGN 1.1 2.1 3.1 4.1"},
        {"eu outcome 1.1 completed", "eu SETTLED 1.1 recorded"},
        {"eu outcome 2.1 failed", "eu SETTLED 2.1 recorded"},
        {"eu outcome 3.1 cancelled dup", "eu SETTLED 3.1 recorded"},
        {"eu outcome 4.1 expired", "eu SETTLED 4.1 recorded"},
        {"c1 watch 1-4", "c1 RESULT 1 completed 2 failed(exit_status) 3 cancelled(exit_status) dup "
                         "4 expired(exit_status)"},
        {0}};
    fixture_run(rows);
    static const char *const ends[] = {"completed", "failed", "cancelled", "expired"};
    for (int i = 0; i < 4; i++)
        cr_expect_eq(fixture_counter(ends[i]), 1, "%s", ends[i]);
    cr_expect_eq(fixture_state_count("ended"), 4);
    cr_expect_eq(fixture_state_count("granted"), 0);
}

Test(settle, of_an_outcome_larger_than_a_result_can_be_says_so)
{
    fixture_act("eu up slots=1");
    fixture_act("c1 submit watch 5");
    fixture_act("go");
    struct played_region *eu = fixture_region("eu");
    struct writer *writer = fixture_region_frame(eu, MESSAGE_OUTCOME);
    struct outcome_entry entry = {.id = fixture_id(5), .fence = {1, 7, 1}, .end = TASK_COMPLETED};
    const uint32_t size = FRAME_BYTES_MAX - 128;
    write_array(writer, 1);
    write_array(writer, 1);
    outcome_entry_write_head(writer, &entry);
    write_map(writer, 1);
    write_str(writer, "result");
    write_bin_head(writer, size);
    memset(writer->data + writer->size, 'r', size);
    writer->size += size;
    fixture_region_deliver(eu);
    cr_expect_str_eq(fixture.text, "eu ASSIGN 5.1, eu SETTLED 5.1 recorded, "
                                   "c1 RESULT pushed 5 completed(outcome_too_large)");
    fixture_act("c1 watch 5 1001-1900");
    cr_expect_eq(fixture.kind, MESSAGE_RESULT);
}

/* ---- grant records ---- */

static void grant_ninety(void)
{
    fixture_act("eu up slots=90");
    fixture_act("c1 submit 1-90");
    fixture_act("go");
    cr_expect_eq(fixture.puts[TABLE_GRANTS], 1);
}

Test(settle, of_all_but_a_few_rewrites_their_grant_and_of_all_erases_it)
{
    grant_ninety();
    size_t whole = fixture_record(TABLE_GRANTS, 1)->size;
    for (int task = 1; task <= 67; task++) {
        fixture_act("eu outcome %d.1 completed", task);
        cr_expect_eq(fixture.puts[TABLE_GRANTS], 0);
    }
    fixture_act("eu outcome 68.1 completed");
    cr_expect_eq(fixture.puts[TABLE_GRANTS], 1, "22 of 90 live: under a quarter");
    cr_expect_lt(fixture_record(TABLE_GRANTS, 1)->size * 4, whole + 16);
    fixture_act("restart");
    cr_expect_eq(fixture_state_count("granted"), 22);
    fixture_act("eu hello 1 slots=90");
    for (int task = 69; task <= 90; task++)
        fixture_act("eu inventory %d.1 running", task);
    fixture_act("eu end");
    fixture_act("go");
    cr_expect_eq(fixture.entries[MESSAGE_ASSIGN], 0);
    for (int task = 69; task <= 90; task++)
        fixture_act("eu outcome %d.1 completed", task);
    cr_expect_eq(fixture.tables[TABLE_GRANTS].count, 0);
    cr_expect_eq(fixture.tables[TABLE_STATES].count, 0);
    cr_expect_eq(fixture.tables[TABLE_ENVELOPES].count, 0);
    cr_expect_eq(fixture.tables[TABLE_OUTCOMES].count, 90);
}

Test(settle, leaves_no_grant_of_an_older_custody_behind)
{
    static const struct row rows[] = {{"eu outcome 90.1 returned", "eu SETTLED 90.1 recorded"},
                                      {"go", "eu ASSIGN 90.2"},
                                      {"restart", ""},
                                      {"eu hello 1 slots=90", "eu WELCOME"},
                                      {"eu inventory 90.2 running", ""},
                                      {"eu outcome 90.1 failed", "eu ERROR malformed"},
                                      {0}};
    grant_ninety();
    fixture_run(rows);
    cr_expect_eq(fixture.tables[TABLE_GRANTS].count, 2);
    cr_expect_eq(fixture_state_count("granted"), 90);
    fixture_act("eu hello 1 slots=90");
    fixture_act("eu inventory 90.2 running");
    fixture_act("eu end");
    fixture_act("go");
    cr_expect_eq(fixture.entries[MESSAGE_ASSIGN], 89, "all but the one that was claimed, same fences");
    cr_expect(strstr(fixture.text, "90.") == NULL);
}
