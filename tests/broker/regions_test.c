/* regions_test.c - sessions of regions, claims and sweeps, loss: where custody goes. */
#include <criterion/criterion.h>

#include "broker/broker_state.h"
#include "tests/broker/node_fixture.h"

TestSuite(regions, .init = fixture_set_up, .fini = fixture_tear_down);

Test(regions, say_hello_before_anything_else)
{
    static const struct row rows[] = {{"eu hello 3 slots=1", "eu WELCOME"},
                                      {"c1 submit 1", "c1 ACCEPTED 1 accepted"},
                                      {"go", ""}, /* before END it is given nothing */
                                      {"eu end", ""},
                                      {"go", "eu ASSIGN 1.1"},
                                      {"eu down", ""},
                                      {0}};
    fixture_run(rows);
    struct played_region *eu = fixture_region("eu");
    eu->peer = peer_make(PORT_CHILD, 99);
    fixture_act("eu beat");
    cr_expect_str_eq(fixture.text, "eu GREET");
    fixture_act("eu outcome 1.1 completed");
    cr_expect_str_eq(fixture.text, "eu GREET", "an outcome counts only within a session");
    cr_expect_eq(fixture_state_count("granted"), 1);
}

Test(regions, are_refused_by_name_version_role_and_boot)
{
    static const struct row rows[] = {{"eu hello 3 version=2", "eu ERROR unknown_version"},
                                      {"eu hello 3 role=worker", "eu ERROR wrong_port"},
                                      {"eu hello 3", "eu WELCOME"},
                                      {"eu hello 2", "eu ERROR stale_boot"},
                                      {"eu hello 1 instance=2", "eu ERROR name_in_use"},
                                      {"eu hello 3", "eu WELCOME"},
                                      {"eu hello 4", "eu WELCOME"},
                                      {"eu hello 3", "eu ERROR stale_boot"},
                                      {"restart", ""},
                                      {"eu hello 3", "eu ERROR stale_boot"},
                                      {"eu hello 9 instance=2", "eu ERROR name_in_use"},
                                      {"eu silent", ""},
                                      {"later 10000", ""},
                                      {"eu hello 1 instance=2", "eu WELCOME"},
                                      {0}};
    fixture_run(rows);
    cr_expect_eq(fixture.tables[TABLE_CHILDREN].count, 1);
}

Test(regions, that_left_make_room_for_another_instance_once_they_hold_nothing)
{
    static const struct row rows[] = {{"eu up slots=1", "eu WELCOME"},
                                      {"c1 submit 1", "c1 ACCEPTED 1 accepted"},
                                      {"go", "eu ASSIGN 1.1"},
                                      {"eu bye", ""},
                                      {"eu hello 1 instance=2 slots=1", "eu ERROR name_in_use"},
                                      {"eu hello 1 slots=1", "eu WELCOME"},
                                      {"eu inventory 1.1 ended", ""},
                                      {"eu end", ""},
                                      {"eu outcome 1.1 completed", "eu SETTLED 1.1 recorded"},
                                      {"go", ""},
                                      {"eu bye", ""},
                                      {"eu hello 1 instance=2 slots=1", "eu WELCOME"},
                                      {0}};
    fixture_run(rows);
}

Test(regions, end_their_session_by_a_gap_or_garbage)
{
    static const struct row rows[] = {{"eu up slots=1", "eu WELCOME"},
                                      {"eu gap", "eu ERROR malformed"},
                                      {"eu beat", "eu GREET"},
                                      {"eu up", "eu WELCOME"},
                                      {"eu garbage", ""},
                                      {"eu beat", "eu GREET"},
                                      {"eu hello 1", "eu WELCOME"},
                                      {"eu taken 1.1", "eu ERROR malformed"}, /* before END */
                                      {"eu beat", "eu GREET"},
                                      {0}};
    fixture_run(rows);
}

Test(regions, are_told_when_a_client_calls_at_their_port_and_the_reverse)
{
    struct writer *writer = fixture_client_frame(MESSAGE_HELLO);
    write_array(writer, 0);
    fixture_client_deliver(1);
    cr_expect_str_eq(fixture.text, "c1 ERROR wrong_port");
    fixture_act("eu up");
    struct played_region *eu = fixture_region("eu");
    write_map(fixture_region_frame(eu, MESSAGE_SUBMIT), 0);
    fixture_region_deliver(eu);
    cr_expect_str_eq(fixture.text, "eu WELCOME, eu ERROR wrong_port");
}

Test(regions, claim_what_they_hold_and_are_sent_the_rest_again)
{
    static const struct row rows[] = {
        {"eu up slots=3", "eu WELCOME"},
        {"c1 submit 1-4", "c1 ACCEPTED 1 accepted 2 accepted 3 accepted 4 accepted"},
        {"go", "eu ASSIGN 1.1 2.1 3.1 4.1"},
        {"eu taken 1.1", ""},
        {"eu down", ""},
        {"later 5000", ""},
        {"eu hello 1", "eu WELCOME"},
        {"eu inventory 1.1 waiting 2.1 running", ""},
        {"eu inventory 3.1 ended", ""},
        {"eu end", ""},
        {"go", "eu ASSIGN 4.1"},
        {"eu outcome 3.1 completed", "eu SETTLED 3.1 recorded"},
        {"later 20000", ""},
        {0}};
    fixture_run(rows);
    cr_expect_eq(fixture_state_count("granted"), 3);
    cr_expect_eq(fixture_counter("reruns"), 0);
}

Test(regions, stop_strays)
{
    static const struct row rows[] = {
        {"eu up slots=1", "eu WELCOME"},
        {"c1 submit 1 2", "c1 ACCEPTED 1 accepted 2 accepted"},
        {"go", "eu ASSIGN 1.1 2.1"},
        {"us hello 1 slots=1", "us WELCOME"},
        /* unknown; of another region; under an old fence; ended, which its OUTCOME will tell */
        {"us inventory 7.1 waiting 1.1 running 2.0 running 8.1 ended", "us STOP 7.1 1.1 2.0"},
        {"us end", ""},
        {"us outcome 8.1 completed", "us SETTLED 8.1 unknown"},
        {"us outcome 7.1 cancelled", "us SETTLED 7.1 unknown"},
        {"us outcome 1.1 completed", "us SETTLED 1.1 stale"},
        {"us outcome 2.0 cancelled", "us SETTLED 2.0 stale"},
        {"eu outcome 1.1 completed", "eu SETTLED 1.1 recorded"},
        {0}};
    fixture_run(rows);
    cr_expect_eq(fixture_counter("late"), 2);
}

/* Its own end and the answer to the STOP may both come: one place is free, not two. */
Test(regions, that_answer_twice_for_a_stray_have_room_for_one)
{
    static const struct row rows[] = {{"eu hello 1 slots=2", "eu WELCOME"},
                                      {"eu inventory 11.1 running 12.1 running", "eu STOP 11.1 12.1"},
                                      {"eu end", ""},
                                      {"c1 submit 1 2", "c1 ACCEPTED 1 accepted 2 accepted"},
                                      {"go", ""},
                                      {"eu outcome 11.1 completed", "eu SETTLED 11.1 unknown"},
                                      {"go", "eu ASSIGN 1.1"},
                                      {"eu outcome 11.1 not_held", "eu SETTLED 11.1 unknown"},
                                      {"go", ""},
                                      {"eu outcome 12.1 cancelled", "eu SETTLED 12.1 unknown"},
                                      {"go", "eu ASSIGN 2.1"},
                                      {0}};
    fixture.options.window = 2;
    fixture_new_broker();
    fixture_act("start");
    fixture_run(rows);
}

Test(regions, with_more_strays_than_credit_get_no_work)
{
    static const struct row rows[] = {{"eu hello 1 slots=2", "eu WELCOME"},
                                      {"eu inventory 11.1 running 12.1 running", "eu STOP 11.1 12.1"},
                                      {"eu end", ""},
                                      {"c1 submit 1", "c1 ACCEPTED 1 accepted"},
                                      {"go", ""},
                                      {"eu outcome 11.1 cancelled", "eu SETTLED 11.1 unknown"},
                                      {"go", "eu ASSIGN 1.1"},
                                      {0}};
    fixture.options.window = 2;
    fixture_new_broker();
    fixture_act("start");
    fixture_run(rows);
}

Test(regions, that_restarted_lose_what_they_do_not_claim)
{
    static const struct row rows[] = {{"eu up slots=2", "eu WELCOME"},
                                      {"c1 submit 1-3", "c1 ACCEPTED 1 accepted 2 accepted 3 accepted"},
                                      {"go", "eu ASSIGN 1.1 2.1 3.1"},
                                      {"c1 cancel 2", "eu STOP 2.1, c1 CANCELLING 2 cancelling(cancelling)"},
                                      {"eu hello 2", "eu WELCOME"},
                                      {"eu inventory 1.1 waiting", ""},
                                      {"eu end", ""},
                                      {"go", "eu ASSIGN 3.2"}, /* never started: no mark */
                                      {"c1 watch 2", "c1 RESULT 2 cancelled(cancelled)"},
                                      {"eu outcome 3.1 completed", "eu SETTLED 3.1 stale"},
                                      {"eu outcome 3.2 completed", "eu SETTLED 3.2 recorded"},
                                      {0}};
    fixture_run(rows);
    cr_expect_eq(fixture_counter("late"), 1);
}

Test(regions, that_never_got_a_cancelled_task_are_not_sent_it_again)
{
    static const struct row rows[] = {
        {"eu up slots=2", "eu WELCOME"},
        {"c1 submit 1 2", "c1 ACCEPTED 1 accepted 2 accepted"},
        {"go", "eu ASSIGN 1.1 2.1"},
        {"eu down", ""},
        {"c1 cancel 1", "c1 CANCELLING 1 cancelling(cancelling)"},
        {"eu hello 1", "eu WELCOME"},
        {"eu end", ""},
        {"c1 cancel 2", "c1 CANCELLING 2 cancelling(cancelling)"}, /* between END and the sweep */
        {"go", ""},
        {"c1 watch 1 2", "c1 RESULT 1 cancelled(cancelled) 2 cancelled(cancelled)"},
        {0}};
    fixture_run(rows);
}

Test(regions, lost_after_their_grace_lose_their_tasks_which_run_again_marked)
{
    static const struct row rows[] = {{"eu up slots=2", "eu WELCOME"},
                                      {"c1 submit 1 2", "c1 ACCEPTED 1 accepted 2 accepted"},
                                      {"go", "eu ASSIGN 1.1 2.1"},
                                      {"c1 cancel 2", "eu STOP 2.1, c1 CANCELLING 2 cancelling(cancelling)"},
                                      {"us up slots=2", "us WELCOME"},
                                      {"eu silent", ""},
                                      {"later 9000", ""},
                                      {"later 2000", "us ASSIGN 1.2 dup"},
                                      {"c1 watch 2", "c1 RESULT 2 cancelled(may_still_run) dup"},
                                      {"eu beat", "eu GREET"},
                                      {"eu hello 1", "eu WELCOME"},
                                      {"eu inventory 1.1 running 2.1 ended", "eu STOP 1.1"},
                                      {"eu end", ""},
                                      {"eu outcome 1.1 completed", "eu SETTLED 1.1 stale"},
                                      {"us outcome 1.2 completed", "us SETTLED 1.2 recorded"},
                                      {"c1 watch 1", "c1 RESULT 1 completed dup"},
                                      {0}};
    fixture_run(rows);
    cr_expect_eq(fixture_counter("reruns"), 1);
    cr_expect_eq(fixture_counter("late"), 1);
}

Test(regions, lost_too_often_fail_the_task)
{
    static const struct row rows[] = {{"c1 submit 1", "c1 ACCEPTED 1 accepted"},
                                      {"eu up slots=1", "eu WELCOME, eu ASSIGN 1.1"},
                                      {"eu silent", ""},
                                      {"us up slots=1", "us WELCOME"},
                                      {"later 11000", "us ASSIGN 1.2 dup"},
                                      {"us silent", ""},
                                      {"later 11000", ""},
                                      {"c1 watch 1", "c1 RESULT 1 failed(regions_lost) dup"},
                                      {0}};
    fixture.options.rerun_max = 1;
    fixture_new_broker();
    fixture_act("start");
    fixture_run(rows);
}

Test(regions, that_were_lost_report_too_late_of_a_task_whose_end_was_their_loss)
{
    static const struct row rows[] = {{"c1 submit 1 2", "c1 ACCEPTED 1 accepted 2 accepted"},
                                      {"eu up slots=2", "eu WELCOME, eu ASSIGN 1.1 2.1"},
                                      {"c1 cancel 2", "eu STOP 2.1, c1 CANCELLING 2 cancelling(cancelling)"},
                                      {"eu silent", ""},
                                      {"later 11000", ""},
                                      {"c1 watch 1", "c1 RESULT 1 failed(regions_lost) dup"},
                                      {"c1 watch 2", "c1 RESULT 2 cancelled(may_still_run) dup"},
                                      {"eu hello 1", "eu WELCOME"},
                                      {"eu inventory 1.1 ended 2.1 ended", ""},
                                      {"eu end", ""},
                                      {"eu outcome 1.1 completed", "eu SETTLED 1.1 stale"},
                                      {"eu outcome 2.1 completed", "eu SETTLED 2.1 stale"},
                                      {"c1 watch 1", "c1 RESULT 1 failed(regions_lost) dup"},
                                      {0}};
    fixture.options.rerun_max = 0;
    fixture_new_broker();
    fixture_act("start");
    fixture_run(rows);
    cr_expect_eq(fixture_counter("late"), 2);
}

Test(regions, are_not_silent_while_this_node_pauses)
{
    static const struct row rows[] = {
        {"c1 submit 1", "c1 ACCEPTED 1 accepted"}, {"eu up slots=1", "eu WELCOME, eu ASSIGN 1.1"}, {0}};
    fixture_run(rows);
    fixture.now_ns += 60000 * NANOSECONDS_PER_MS;
    fixture_act("time");
    cr_expect_eq(fixture_counter("reruns"), 0);
    fixture_act("later 5000");
    cr_expect_eq(fixture_counter("reruns"), 0);
}

Test(regions, that_refuse_for_long_are_asked_at_growing_intervals)
{
    static const struct row rows[] = {{"eu up slots=1", "eu WELCOME"},
                                      {"c1 submit 1", "c1 ACCEPTED 1 accepted"},
                                      {"go", "eu ASSIGN 1.1"},
                                      {"eu refused 1.1 code=throttled", ""},
                                      {"c1 watch 1", "c1 PENDING 1 delayed(throttled)"},
                                      {"later 1000", "eu ASSIGN 1.2"}, /* a beat */
                                      {"later 79000", ""},
                                      {"eu refused 1.2 code=invalid_field", ""},
                                      {"c1 watch 1", "c1 PENDING 1 delayed(refused)"},
                                      {"later 9900", ""},
                                      {"later 200", "eu ASSIGN 1.3"}, /* an eighth of 80 s */
                                      {"eu refused 1.3 code=store_full", ""},
                                      {"c1 watch 1", "c1 PENDING 1 delayed(store_full)"},
                                      {"later 1000", "eu ASSIGN 1.4"}, /* that passes soon */
                                      {0}};
    fixture_run(rows);
}

Test(regions, refuse_and_return_without_a_rerun)
{
    static const struct row rows[] = {
        {"eu up slots=1", "eu WELCOME"},
        {"c1 submit 1 2", "c1 ACCEPTED 1 accepted 2 accepted"},
        {"go", "eu ASSIGN 1.1 2.1"},
        {"eu refused 1.1", ""},
        {"c1 watch 1", "c1 PENDING 1 delayed(store_full)"},
        {"eu refused 1.1", ""},
        {"later 1000", "eu ASSIGN 1.2"},
        {"eu refused 1.1", ""}, /* an old one */
        {"eu outcome 2.1 returned", "eu SETTLED 2.1 recorded"},
        {"go", "eu ASSIGN 2.2"}, /* at once, unmarked */
        {"eu outcome 2.2 not_held dead", "eu SETTLED 2.2 recorded"},
        {"go", "eu ASSIGN 2.3"},
        {"eu outcome 2.3 not_held", "eu SETTLED 2.3 recorded"},
        {"go", "eu ASSIGN 2.4 dup"}, /* it may have run there */
        {"eu outcome 2.3 not_held", "eu SETTLED 2.3 stale"},
        {"c1 cancel 1 2", "eu STOP 1.2 2.4, c1 CANCELLING 1 cancelling(cancelling) 2 cancelling(cancelling)"},
        {"eu refused 1.2", ""},
        {"eu outcome 2.4 returned", "eu SETTLED 2.4 recorded"},
        {"later 1", ""},
        {"c1 watch 1 2", "c1 RESULT 1 cancelled(cancelled) 2 cancelled(cancelled) dup"},
        {0}};
    fixture_run(rows);
    cr_expect_eq(fixture_counter("reruns"), 0);
    cr_expect_eq(fixture_counter("late"), 0);
}

/* ---- more than one step holds ---- */

enum { MANY = 5 * FRAME_ENTRIES_MAX };

static void grant_many(void)
{
    fixture_act("eu up slots=4000");
    for (int i = 0; i < MANY / FRAME_ENTRIES_MAX; i++)
        fixture_act("c1 submit %d-%d", 1 + i * FRAME_ENTRIES_MAX, (i + 1) * FRAME_ENTRIES_MAX);
    cr_expect_leq(fixture.operations_max, STEP_OPERATIONS_MAX);
    fixture_act("go");
    cr_expect_eq(fixture.entries[MESSAGE_ASSIGN], MANY);
    cr_expect_geq(fixture.steps, 2);
}

Test(regions, lost_with_more_than_a_step_holds_are_swept_in_several)
{
    grant_many();
    fixture_act("us up slots=4000");
    fixture_act("eu silent");
    fixture_act("later 9000");
    fixture_act("later 2000");
    cr_expect_leq(fixture.operations_max, STEP_OPERATIONS_MAX);
    cr_expect_eq(fixture.entries[MESSAGE_ASSIGN], MANY);
    cr_expect_eq(fixture_counter("reruns"), MANY);
    cr_expect_eq(fixture_state_count("granted"), MANY);
}

Test(regions, that_claim_nothing_of_much_are_sent_it_again_in_several_steps)
{
    grant_many();
    fixture_act("eu hello 1");
    fixture_act("eu end");
    cr_expect_eq(broker_deadline_ns(fixture.broker), 0);
    fixture_act("time");
    cr_expect_lt(fixture.entries[MESSAGE_ASSIGN], MANY);
    cr_expect_eq(broker_deadline_ns(fixture.broker), 0, "the cursor goes on at once");
    fixture_act("go");
    fixture_act("eu hello 1");
    fixture_act("eu end");
    fixture_act("go");
    cr_expect_eq(fixture.entries[MESSAGE_ASSIGN], MANY);
    cr_expect_leq(fixture.operations_max, STEP_OPERATIONS_MAX);
}

Test(regions, are_not_sent_more_bytes_again_than_a_batch_holds)
{
    fixture_act("eu up slots=20");
    for (int task = 1; task <= 24; task++)
        fixture_act("c1 submit %d payload=1000000", task);
    fixture_act("go");
    cr_expect_eq(fixture.entries[MESSAGE_ASSIGN], 24);
    cr_expect_lt(fixture.bytes_max, BATCH_BYTES + FRAME_BYTES_MAX);
    fixture_act("eu hello 1");
    fixture_act("eu end");
    fixture_act("go");
    cr_expect_eq(fixture.entries[MESSAGE_ASSIGN], 24);
    cr_expect_lt(fixture.bytes_max, BATCH_BYTES + FRAME_BYTES_MAX, "%zu", fixture.bytes_max);
}

Test(regions, may_have_as_many_strays_as_an_inventory_has_rows)
{
    fixture_act("eu hello 1 slots=1");
    struct played_region *eu = fixture_region("eu");
    struct writer *writer = fixture_region_frame(eu, MESSAGE_INVENTORY);
    write_array(writer, 1);
    write_array(writer, INVENTORY_ROWS_MAX);
    for (uint32_t task = 1; task <= INVENTORY_ROWS_MAX; task++) {
        struct inventory_row row = {.id = fixture_id(task), .fence = {1, 7, 1}, .status = HELD_RUNNING};
        inventory_row_write(writer, &row);
    }
    fixture_region_deliver(eu);
    cr_expect_eq(fixture.entries[MESSAGE_STOP], INVENTORY_ROWS_MAX);
}

Test(regions, that_are_forgotten_leave_no_record)
{
    fixture_act("eu up");
    fixture_act("eu bye");
    cr_expect_eq(fixture.tables[TABLE_CHILDREN].count, 1);
    fixture_act("later 601000");
    cr_expect_eq(fixture.tables[TABLE_CHILDREN].count, 0);
}

Test(regions, may_refuse_a_messageful_of_cancelled_tasks)
{
    fixture_act("eu up slots=1000");
    for (int task = 1; task <= FRAME_ENTRIES_MAX; task++) {
        fixture_act("c1 submit %d", task);
        fixture_act("go"); /* a grant record each */
    }
    fixture_act("c1 cancel 1-512");
    fixture_act("c1 cancel 513-1024");
    struct played_region *eu = fixture_region("eu");
    struct writer *writer = fixture_region_frame(eu, MESSAGE_REFUSED);
    write_array(writer, 1);
    write_array(writer, FRAME_ENTRIES_MAX);
    for (uint32_t task = 1; task <= FRAME_ENTRIES_MAX; task++) {
        struct refused_entry entry = {
            .id = fixture_id(task), .fence = {1, 7, 1}, .code = bytes_of("draining")};
        refused_entry_write(writer, &entry);
    }
    fixture_region_deliver(eu);
    fixture_act("later 1");
    cr_expect_eq(fixture_counter("cancelled"), FRAME_ENTRIES_MAX);
    cr_expect_eq(fixture.tables[TABLE_STATES].count, 0);
    cr_expect_eq(fixture.tables[TABLE_GRANTS].count, 0);
}
