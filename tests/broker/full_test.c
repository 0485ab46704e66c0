/* full_test.c - a store that fills: dispatch pauses, results are dropped before ends are, and it drains. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "engine/room.h"
#include "tests/broker/node_fixture.h"

TestSuite(full, .init = fixture_set_up, .fini = fixture_tear_down);

/* Of the margin above the watermark: a fifth of the store. */
static void leave_free(double share)
{
    fixture.store_free_bytes = (uint64_t)(share / 5 * (double)fixture.store_max_bytes);
}

Test(full, dispatch_pauses_and_goes_on_when_there_is_room)
{
    static const struct row full[] = {{"c1 submit 5", "c1 ACCEPTED 5 refused:store_full"},
                                      {"go", ""},
                                      {"c1 watch 1", "c1 PENDING 1 ready(store_full)"},
                                      {"later 3000", ""},
                                      {0}};
    static const struct row room[] = {
        {"later 1000", "eu ASSIGN 1.1 2.1"}, {"c1 watch 3", "c1 PENDING 3 ready(no_credit)"}, {0}};
    fixture_act("c1 submit 1-4");
    leave_free(0.2);
    fixture_act("eu up slots=1");
    fixture_run(full);
    leave_free(0.9);
    fixture_run(room);
}

Test(full, what_runs_is_not_touched_by_a_pause)
{
    static const struct row full[] = {{"eu outcome 1.1 completed", "eu SETTLED 1.1 recorded"},
                                      {"go", ""},
                                      {"c1 watch 1", "c1 RESULT 1 completed"},
                                      {"c1 cancel 3", "c1 CANCELLING 3 ended(cancelled)"},
                                      {"c1 watch 4", "c1 PENDING 4 ready(store_full)"},
                                      {0}};
    fixture_act("eu up slots=1");
    fixture_act("c1 submit 1-4");
    fixture_act("go");
    leave_free(0.2);
    fixture_run(full);
}

static void play_outcome(uint32_t task, size_t output_bytes)
{
    struct played_region *eu = fixture_region("eu");
    struct writer *writer = fixture_region_frame(eu, MESSAGE_OUTCOME);
    struct outcome_entry entry = {.id = fixture_id(task), .fence = {1, 7, 1}, .end = TASK_COMPLETED};
    write_array(writer, 1);
    write_array(writer, 1);
    outcome_entry_write_head(writer, &entry);
    write_map(writer, 5);
    write_str(writer, "reason");
    write_str(writer, "");
    write_str(writer, "worker");
    write_str(writer, "eu/w1");
    write_str(writer, "attempt");
    write_uint(writer, 3);
    write_str(writer, "result");
    write_bin_head(writer, (uint32_t)output_bytes);
    memset(writer->data + writer->size, 'r', output_bytes);
    writer->size += output_bytes;
    write_str(writer, "history");
    write_array(writer, 0);
    fixture_region_deliver(eu);
}

Test(full, an_end_is_recorded_without_its_result_which_says_so)
{
    fixture_act("eu up slots=2");
    fixture_act("c1 submit watch 1-3");
    fixture_act("go");
    leave_free(0.1);
    fixture_act("go");
    play_outcome(1, 100000);
    cr_expect_str_eq(fixture.text, "eu SETTLED 1.1 recorded, c1 RESULT pushed 1 completed(result_dropped)");
    const struct record *outcome = fixture_record(TABLE_OUTCOMES, 1);
    cr_assert_not_null(outcome);
    cr_expect_lt(outcome->size, RESULT_SMALL_BYTES);
    struct bytes map = {outcome->bytes, outcome->size};
    cr_expect_str_eq(fixture_text(map, "worker"), "eu/w1");
    cr_expect_eq(fixture_uint(map, "attempt"), 3);
    fixture_act("go");
    play_outcome(2, 10); /* small enough to be an end itself */
    cr_expect_str_eq(fixture.text, "eu SETTLED 2.1 recorded, c1 RESULT pushed 2 completed");
    leave_free(0.9);
    fixture_act("go");
    play_outcome(3, 100000);
    cr_expect_str_eq(fixture.text, "eu SETTLED 3.1 recorded, c1 RESULT pushed 3 completed");
    cr_expect_eq(fixture_counter("dropped"), 1);
}

Test(full, what_was_received_goes_first_after_a_restart_too)
{
    static const struct row before[] = {{"c1 submit 1-3", "c1 ACCEPTED 1 accepted 2 accepted 3 accepted"},
                                        {"c1 cancel 1-3", "c1 CANCELLING 1 ended(cancelled) 2 "
                                                          "ended(cancelled) 3 ended(cancelled)"},
                                        {"c1 received 1 3", "c1 DONE"},
                                        {0}};
    static const struct row after[] = {
        {"later 1100", ""},
        {"c1 watch 1-3", "c1 RESULT 1 cancelled(erased) 2 cancelled(cancelled) 3 cancelled(erased)"},
        {0}};
    fixture_run(before);
    cr_expect_eq(fixture.puts[TABLE_ENDED], 0, "a receipt is no commit");
    fixture_act("later 1100");
    cr_expect_eq(fixture.puts[TABLE_ENDED], 1, "all of them are one record");
    fixture_act("later 5000");
    cr_expect_eq(fixture.puts[TABLE_ENDED], 0, "once");
    fixture_act("restart");
    leave_free(0.9);
    fixture_run(after);
}

Test(full, of_classes_with_tasks_is_refused_and_those_without_are_reused)
{
    fixture.is_mute = true;
    for (uint32_t first = 1; first <= 4096; first += 1024) {
        struct writer *writer = fixture_client_frame(MESSAGE_SUBMIT);
        write_map(writer, 1);
        write_str(writer, "tasks");
        write_array(writer, 1024);
        for (uint32_t task = first; task < first + 1024; task++) {
            char type[16];
            struct task_id id = fixture_id(task);
            snprintf(type, sizeof type, "type%u", task);
            write_map(writer, 2);
            write_str(writer, "id");
            write_bin(writer, (struct bytes){id.bytes, TASK_ID_BYTES});
            write_str(writer, "type");
            write_str(writer, type);
        }
        fixture_client_deliver(1);
    }
    fixture.is_mute = false;
    cr_expect_eq(fixture_state_count("ready"), 4096);
    static const struct row rows[] = {{"eu up slots=1 type=late", "eu WELCOME"},
                                      {"c1 submit 5000 type=late", "c1 ACCEPTED 5000 refused:too_many"},
                                      {"c1 cancel 77", "c1 CANCELLING 77 ended(cancelled)"},
                                      {"c1 submit 5000 type=late", "c1 ACCEPTED 5000 accepted"},
                                      {"go", "eu ASSIGN 5000.1"}, /* what eu offers was looked at anew */
                                      {"restart", ""},
                                      {"c1 submit 5001 type=late", "c1 ACCEPTED 5001 accepted"},
                                      {"eu hello 1 slots=1 type=late", "eu WELCOME"},
                                      {"eu end", ""},
                                      {"go", "eu ASSIGN 5000.1 5001.1"},
                                      {0}};
    fixture_run(rows);
}
