/* late_test.c - outcomes that came too late, and the lists of what is marked. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "broker/broker_state.h"
#include "tests/broker/node_fixture.h"

TestSuite(late, .init = fixture_set_up, .fini = fixture_tear_down);

/* The ids of "tasks" with these keys set to true, in the order of the rows: "3 1"; "+" behind them if there
 * are more. What regions are asked is left unanswered. */
static const char *listed(const char *keys, uint32_t limit)
{
    static char text[4096];
    static const char *const names[] = {"late", "dup", "open"};
    uint32_t pairs = 2;
    for (int i = 0; i < 3; i++)
        pairs += strstr(keys, names[i]) != NULL;
    struct writer *writer = fixture_client_frame(MESSAGE_QUERY);
    write_map(writer, pairs);
    write_str(writer, "what");
    write_str(writer, "tasks");
    write_str(writer, "limit");
    write_uint(writer, limit);
    for (int i = 0; i < 3; i++)
        if (strstr(keys, names[i]) != NULL) {
            write_str(writer, names[i]);
            write_bool(writer, true);
        }
    fixture_client_deliver(1);
    if (fixture.kind != MESSAGE_ROWS)
        fixture_act("later 500");
    cr_assert_eq(fixture.kind, MESSAGE_ROWS);
    struct reader reader;
    size_t at = 0;
    reader_init(&reader, fixture_value(fixture.body, "rows"));
    text[0] = '\0';
    for (uint32_t count = read_array(&reader, 4096), i = 0; i < count; i++) {
        struct bytes id = fixture_value(read_raw(&reader), "id");
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%u", i == 0 ? "" : " ",
                               fixture_number(id.data + id.size - TASK_ID_BYTES));
    }
    if (fixture_value(fixture.body, "more").data[0] == 0xc3)
        strcat(text, "+");
    return text;
}

/* "eu/w1 completed" of the row at `at` of the ROWS that came last, one for each late outcome. */
static const char *late_outcomes(uint32_t at)
{
    static char text[1024];
    struct reader reader;
    reader_init(&reader, fixture_value(fixture.body, "rows"));
    cr_assert_gt(read_array(&reader, 4096), at);
    while (at-- > 0)
        (void)read_raw(&reader);
    struct bytes row = read_raw(&reader);
    reader_init(&reader, fixture_value(row, "late_outcomes"));
    text[0] = '\0';
    for (uint32_t count = read_array(&reader, 100); count > 0; count--) {
        struct bytes note = read_raw(&reader);
        char part[128];
        snprintf(part, sizeof part, "%s%s", text[0] == '\0' ? "" : ", ", fixture_text(note, "where"));
        strcat(text, part);
        snprintf(part, sizeof part, " %s", fixture_text(note, "end"));
        strcat(text, part);
    }
    return text;
}

/* Tasks 1 and 2 were at eu when it was cut off; both run again at us, and 1 has ended there. */
static void lose_eu(void)
{
    fixture_act("eu up slots=1");
    fixture_act("c1 submit 1-2");
    fixture_act("go");
    fixture_act("us up slots=4");
    fixture_act("eu silent");
    fixture_act("later 10000");
    fixture_act("us outcome 1.2 completed worker=us/w2");
}

Test(late, outcomes_of_a_region_that_was_lost)
{
    lose_eu();
    cr_expect_str_eq(listed("late", 50), "");
    fixture_act("eu hello 1 slots=1");
    fixture_act("eu inventory 1.1 ended 2.1 ended");
    fixture_act("eu end");
    fixture_act("eu outcome 1.1 completed worker=eu/w1");
    cr_expect_str_eq(fixture.text, "eu SETTLED 1.1 stale");
    cr_expect_str_eq(listed("late", 50), "1");
    cr_expect_str_eq(late_outcomes(0), "eu/w1 completed");
    fixture_act("eu outcome 2.1 failed worker=eu/w1");
    cr_expect_str_eq(listed("late", 50), "2 1");
    cr_expect_str_eq(late_outcomes(0), "eu/w1 failed");
    fixture_act("us outcome 2.2 completed worker=us/w2");
    cr_expect_str_eq(listed("late", 50), "2 1", "the mark goes with the task to the ended ids");
    cr_expect_str_eq(listed("late open", 50), "");
    cr_expect_str_eq(listed("late", 1), "2+");
}

Test(late, is_not_what_never_ran)
{
    lose_eu();
    fixture_act("eu hello 1 slots=1");
    fixture_act("eu inventory 1.1 waiting 2.1 waiting");
    cr_expect_str_eq(fixture.text, "eu STOP 1.1 2.1");
    fixture_act("eu end");
    fixture_act("eu outcome 1.1 cancelled");
    fixture_act("eu outcome 2.1 not_held");
    cr_expect_str_eq(listed("late", 50), "");
    cr_expect_str_eq(listed("dup", 50), "2 1");
}

Test(late, outcomes_that_a_region_refused)
{
    fixture_act("eu up slots=4");
    fixture_act("c1 submit 1-3");
    fixture_act("go");
    fixture_act("eu outcome 1.1 completed dup worker=eu/w2");
    fixture_act("eu outcome 2.1 completed worker=eu/w2");
    fixture_act("eu late 1.1 2.1 3.1 9.1");
    cr_expect_str_eq(fixture.text, "");
    cr_expect_str_eq(listed("late", 50), "3 1",
                     "2 is not marked: its outcome was only sent again; 9 is not known");
    cr_expect_str_eq(late_outcomes(1), "eu/w1 completed");
    for (int i = 0; i < 6; i++)
        fixture_act("eu late 1.1");
    cr_expect_str_eq(listed("late", 50), "3 1");
    cr_expect_str_eq(late_outcomes(1), "eu/w1 completed, eu/w1 completed, eu/w1 completed, eu/w1 completed");
}

Test(late, marks_outlive_a_restart)
{
    fixture_act("eu up slots=4");
    fixture_act("c1 submit 1-4");
    fixture_act("go");
    fixture_act("eu outcome 1.1 completed dup worker=eu/w2");
    fixture_act("eu outcome 2.1 completed dup worker=eu/w2");
    fixture_act("eu late 1.1 3.1");
    fixture_act("restart");
    cr_expect_str_eq(listed("late", 50), "3 1");
    cr_expect_str_eq(late_outcomes(0), "", "whose it was is forgotten");
    cr_expect_str_eq(listed("dup", 50), "2 1");
}

Test(late, lists_name_the_newest_and_both_marks_mean_both)
{
    fixture_act("eu up slots=40");
    fixture_act("c1 submit 1-40");
    fixture_act("go");
    for (int task = 1; task <= 30; task++)
        fixture_act("eu outcome %d.1 completed dup worker=eu/w2", task);
    fixture_act("eu late 7.1 35.1");
    cr_expect_str_eq(listed("dup", 3), "30 29 28+");
    cr_expect_str_eq(listed("dup late", 9), "7", "35 is not known to be marked until eu says so");
    cr_expect_str_eq(listed("dup open", 9), "");
}

Test(late, living_tasks_that_only_their_region_has_marked)
{
    fixture_act("eu up slots=4");
    fixture_act("c1 submit 1-3");
    fixture_act("go");
    fixture_act("eu outcome 1.1 completed dup worker=eu/w2");
    struct writer *writer = fixture_client_frame(MESSAGE_QUERY);
    write_map(writer, 2);
    write_str(writer, "what");
    write_str(writer, "tasks");
    write_str(writer, "dup");
    write_bool(writer, true);
    fixture_client_deliver(1);
    struct ask ask;
    cr_assert_eq(fixture.kind, MESSAGE_ASK);
    cr_assert(ask_read(fixture.body, &ask));
    cr_expect_eq(fixture_uint(ask.body, "marked"), 50);
    uint64_t request = ask.request;
    writer = fixture_region_frame(fixture_region("eu"), MESSAGE_ANSWER);
    answer_write_head(writer, request);
    write_map(writer, 1);
    write_str(writer, "rows");
    write_array(writer, 3);
    for (uint32_t task = 2; task <= 4; task++) { /* 4 is not here */
        struct task_id id = fixture_id(task);
        write_map(writer, 3);
        write_str(writer, "id");
        write_bin(writer, (struct bytes){id.bytes, TASK_ID_BYTES});
        write_str(writer, "state");
        write_str(writer, "running");
        write_str(writer, "dup_possible");
        write_bool(writer, task != 3);
    }
    fixture_region_deliver(fixture_region("eu"));
    cr_assert_eq(fixture.kind, MESSAGE_ROWS);
    struct reader reader;
    reader_init(&reader, fixture_value(fixture.body, "rows"));
    cr_assert_eq(read_array(&reader, 9), 2);
    struct bytes row = read_raw(&reader);
    cr_expect_str_eq(fixture_text(row, "state"), "running");
    cr_expect_eq(fixture_value(row, "late").data[0], 0xc2, "the broker's part of a region's row");
    row = read_raw(&reader);
    cr_expect_str_eq(fixture_text(row, "state"), "completed");
}

Test(late, the_same_id_many_times_still_fits_a_reply)
{
    fixture_act("eu up slots=4");
    fixture_act("c1 submit 1");
    fixture_act("go");
    fixture_act("eu outcome 1.1 completed dup worker=eu/w2");
    for (int i = 0; i < LATE_NOTES_MAX; i++)
        fixture_act("eu late 1.1");
    struct writer *writer = fixture_client_frame(MESSAGE_QUERY);
    struct task_id id = fixture_id(1);
    write_map(writer, 2);
    write_str(writer, "what");
    write_str(writer, "tasks");
    write_str(writer, "ids");
    write_array(writer, QUERY_ROWS_MAX);
    for (uint32_t i = 0; i < QUERY_ROWS_MAX; i++)
        write_bin(writer, (struct bytes){id.bytes, TASK_ID_BYTES});
    fixture_client_deliver(1);
    cr_expect_str_eq(fixture.text, "c1 ROWS 256");
}
