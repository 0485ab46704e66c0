/* watches_test.c - WATCH: polls that wait, results that are pushed, and how both end. */
#include <criterion/criterion.h>

#include "broker/broker_state.h"
#include "tests/broker/node_fixture.h"

TestSuite(watches, .init = fixture_set_up, .fini = fixture_tear_down);

Test(watches, a_poll_is_answered_when_one_of_its_tasks_ends)
{
    static const struct row rows[] = {
        {"eu up slots=2", "eu WELCOME"},
        {"c1 submit 1-3", "c1 ACCEPTED 1 accepted 2 accepted 3 accepted"},
        {"go", "eu ASSIGN 1.1 2.1 3.1"},
        {"c1 watch 1 2 wait=5000", ""},
        {"c2 watch 2 wait=5000", ""},
        {"eu outcome 3.1 completed", "eu SETTLED 3.1 recorded"},
        {"eu outcome 2.1 failed", "eu SETTLED 2.1 recorded, c1 RESULT 2 failed(exit_status) pending 1, c2 "
                                  "RESULT 2 failed(exit_status)"},
        {"eu outcome 1.1 completed dup", "eu SETTLED 1.1 recorded"},
        {"c1 watch 1 2 3 wait=5000", "c1 RESULT 1 completed dup 2 failed(exit_status) 3 completed"},
        {0}};
    fixture_run(rows);
}

Test(watches, a_poll_is_answered_pending_when_its_time_is_over)
{
    static const struct row rows[] = {
        {"c1 submit 1 / 2 region=us / 3 delay=60000", "c1 ACCEPTED 1 accepted 2 accepted 3 accepted"},
        {"c1 watch 1-3 wait=5000", ""},
        {"later 4999", ""},
        {"later 1", "c1 PENDING 1 ready(no_region) 2 ready(no_region) 3 delayed(delay)"},
        {"c1 watch 1 wait=0", "c1 PENDING 1 ready(no_region)"},
        {"later 60000", ""},
        {0}};
    fixture_run(rows);
}

Test(watches, a_poll_names_what_is_unknown_at_its_end_too)
{
    static const struct row rows[] = {
        {"c1 submit 1 2", "c1 ACCEPTED 1 accepted 2 accepted"},
        {"c1 watch 8 9 wait=5000", "c1 PENDING unknown 8 9"},
        {"c1 watch 1 9 wait=5000", ""},
        {"later 5000", "c1 PENDING 1 ready(no_region) unknown 9"},
        {"c1 watch 9 1 2 wait=5000", ""},
        {"c1 cancel 1",
         "c1 RESULT 1 cancelled(cancelled) pending 2 unknown 9, c1 CANCELLING 1 ended(cancelled)"},
        {"c1 watch 1 8 wait=5000", "c1 RESULT 1 cancelled(cancelled) unknown 8"},
        {0}};
    fixture_run(rows);
}

Test(watches, a_poll_that_ends_as_its_task_does_is_answered_once)
{
    static const struct row rows[] = {{"c1 submit 1 deadline=5000 / 2", "c1 ACCEPTED 1 accepted 2 accepted"},
                                      {"c1 watch 1 2 wait=5000", ""},
                                      {"later 5000", "c1 RESULT 1 expired(deadline) pending 2"},
                                      {"c1 watch 2 wait=5000", ""},
                                      {"c2 watch 2 wait=5000", ""},
                                      {"c1 cancel 2",
                                       "c1 RESULT 2 cancelled(cancelled), c2 RESULT 2 cancelled(cancelled), "
                                       "c1 CANCELLING 2 ended(cancelled)"},
                                      {0}};
    fixture_run(rows);
}

Test(watches, results_are_pushed_to_who_asked_with_submit_or_watch)
{
    static const struct row rows[] = {
        {"eu up slots=4", "eu WELCOME"},
        {"c1 submit watch 1 2", "c1 ACCEPTED 1 accepted 2 accepted"},
        {"c2 watch 2 9 push", "c2 PENDING 2 ready(no_credit) unknown 9"},
        {"c2 watch 2 push", "c2 PENDING 2 ready(no_credit)"},
        {"go", "eu ASSIGN 1.1 2.1"},
        {"eu outcome 1.1 completed", "eu SETTLED 1.1 recorded, c1 RESULT pushed 1 completed"},
        {"eu outcome 2.1 completed",
         "eu SETTLED 2.1 recorded, c2 RESULT pushed 2 completed, c1 RESULT pushed 2 completed"},
        {"c2 watch 2 push", "c2 RESULT 2 completed"},
        {0}};
    fixture_run(rows);
}

Test(watches, a_push_lapses_unless_it_is_repeated)
{
    static const struct row rows[] = {
        {"c1 submit watch 1 2", "c1 ACCEPTED 1 accepted 2 accepted"},
        {"later 29000", ""},
        {"c1 cancel 1", "c1 RESULT pushed 1 cancelled(cancelled), c1 CANCELLING 1 ended(cancelled)"},
        {"later 1000", ""},
        {"c2 cancel 2", "c2 CANCELLING 2 ended(cancelled)"},
        {"c1 submit watch 3", "c1 ACCEPTED 3 accepted"},
        {"later 29000", ""},
        {"c1 watch 3 push", "c1 PENDING 3 ready(no_region)"},
        {"later 29000", ""},
        {"c2 cancel 3", "c1 RESULT pushed 3 cancelled(cancelled), c2 CANCELLING 3 ended(cancelled)"},
        {0}};
    fixture_run(rows);
}

Test(watches, a_client_that_is_gone_is_pushed_nothing)
{
    static const struct row rows[] = {{"c1 submit watch 1", "c1 ACCEPTED 1 accepted"},
                                      {"c1 gone", ""},
                                      {"c2 cancel 1", "c2 CANCELLING 1 ended(cancelled)"},
                                      {0}};
    fixture_run(rows);
}

static uint32_t living_watches(void)
{
    return fixture.broker->watches.nodes.live;
}

Test(watches, of_a_client_that_is_gone_are_dropped_while_its_tasks_live)
{
    fixture_act("c1 submit watch 1-20");
    fixture_act("c2 submit watch 1 21");
    cr_expect_eq(living_watches(), 22);
    fixture_act("c1 gone");
    fixture_act("c2 cancel 3");
    fixture_act("go");
    cr_expect_eq(living_watches(), 2, "those of c2");
    fixture_act("c2 cancel 1 21 2");
    cr_expect(strstr(fixture.text, "c2 RESULT pushed 1 cancelled(cancelled) 21 cancelled(cancelled)") != NULL,
              "%s", fixture.text);
    cr_expect_eq(living_watches(), 0);
    cr_expect_eq(fixture.broker->watches.pushers.live, 1);
}

Test(watches, of_a_client_that_is_gone_may_be_more_than_a_step_drops)
{
    fixture.is_mute = true;
    for (int first = 1; first < 10000; first += 1000)
        fixture_act("c1 submit watch %d-%d", first, first + 999);
    cr_expect_eq(living_watches(), 10000);
    fixture_act("c1 gone");
    fixture_act("c2 cancel 9001-9500"); /* some end on the way */
    fixture_act("go");
    cr_expect_eq(living_watches(), 0);
    cr_expect_eq(fixture.broker->watches.pushers.live, 0);
}

Test(watches, received_is_done_and_the_result_stays)
{
    static const struct row rows[] = {{"c1 submit 1", "c1 ACCEPTED 1 accepted"},
                                      {"c1 cancel 1", "c1 CANCELLING 1 ended(cancelled)"},
                                      {"c1 received 1 9", "c1 DONE"},
                                      {"c1 watch 1", "c1 RESULT 1 cancelled(cancelled)"},
                                      {"later 86400000", ""},
                                      {"c1 watch 1", "c1 RESULT 1 cancelled(cancelled)"},
                                      {"later 2000", ""},
                                      {"c1 watch 1", "c1 PENDING unknown 1"},
                                      {0}};
    fixture_run(rows);
    cr_expect_eq(fixture_state_count("ended"), 0);
    cr_expect_eq(fixture.tables[TABLE_OUTCOMES].count, 0);
}

Test(watches, a_result_outlives_its_outcome)
{
    static const struct row rows[] = {{"c1 submit 1", "c1 ACCEPTED 1 accepted"},
                                      {"c1 cancel 1", "c1 CANCELLING 1 ended(cancelled)"},
                                      {"later 62000", ""},
                                      {"c1 watch 1", "c1 RESULT 1 cancelled(erased)"},
                                      {"restart", ""},
                                      {"c1 watch 1", "c1 RESULT 1 cancelled(erased)"},
                                      {0}};
    fixture.options.result_ttl_ms = 60000;
    fixture_new_broker();
    fixture_act("start");
    fixture_run(rows);
}

Test(watches, a_restart_forgets_them)
{
    static const struct row rows[] = {
        {"c1 submit watch 1", "c1 ACCEPTED 1 accepted"},     {"c2 watch 1 wait=30000", ""}, {"restart", ""},
        {"c1 cancel 1", "c1 CANCELLING 1 ended(cancelled)"}, {"later 30000", ""},           {0}};
    fixture_run(rows);
}

static void request(enum message_kind kind, const char *field, uint64_t value)
{
    struct writer *writer = fixture_client_frame(kind);
    fixture_act("go");
    write_map(writer, 2);
    write_str(writer, "ids");
    write_array(writer, 0);
    write_str(writer, field);
    write_uint(writer, value);
    fixture_client_deliver(1);
}

Test(watches, a_bad_field_is_named)
{
    request(MESSAGE_WATCH, "wait_ms", 30001);
    cr_expect_str_eq(fixture.text, "c1 ERROR invalid_field");
    cr_expect_str_eq(fixture.reason, "wait_ms: milliseconds, 0 to 30000");
    request(MESSAGE_WATCH, "patience", 1);
    cr_expect_str_eq(fixture.text, "c1 ERROR unknown_field");
    cr_expect(strncmp(fixture.reason, "patience: ", 10) == 0);
    request(MESSAGE_RECEIVED, "wait_ms", 1);
    cr_expect_str_eq(fixture.text, "c1 ERROR unknown_field", "of WATCH, not of RECEIVED");
}

/* 512 tasks with one OUTCOME, each watched by every client and polled for. */
static void end_all(struct played_region *region, uint32_t count)
{
    struct writer *writer = fixture_region_frame(region, MESSAGE_OUTCOME);
    write_array(writer, 1);
    write_array(writer, count);
    for (uint32_t task = 1; task <= count; task++) {
        struct outcome_entry entry = {.id = fixture_id(task), .fence = {1, 7, 1}, .end = TASK_COMPLETED};
        outcome_entry_write_head(writer, &entry);
        write_map(writer, 0);
    }
    fixture_region_deliver(region);
}

Test(watches, more_of_them_than_one_step_can_answer_are_answered_in_the_next)
{
    fixture_act("eu up slots=300");
    for (int client = 1; client <= 6; client++)
        fixture_act("c%d submit watch 1-512", client);
    fixture_act("go");
    for (int poll = 0; poll < 2000; poll++)
        fixture_act("c7 watch %d-512 wait=30000", 1 + poll % 512);
    fixture_act("time");
    fixture.is_mute = true;
    end_all(fixture_region("eu"), 512);
    cr_expect_eq(broker_deadline_ns(fixture.broker), 0, "there is more to do");
    cr_expect_leq(fixture.operations_max, STEP_OPERATIONS_MAX);
    for (int i = 0; i < 2000 && broker_deadline_ns(fixture.broker) == 0; i++)
        fixture_step((struct event){.kind = EVENT_TIMEOUT});
    cr_expect_eq(fixture.entries[MESSAGE_RESULT], 6 * 512 + 2000);
    cr_expect_eq(fixture.open_count, 0, "every poll has its one reply");
    cr_expect_eq(fixture_counter("completed"), 512);
}

Test(watches, clients_that_went_without_a_word_do_not_use_up_the_room)
{
    fixture.is_mute = true;
    for (int i = 0; i < 66000; i++) {
        struct writer *writer = fixture_client_frame(MESSAGE_WATCH);
        write_map(writer, 2);
        write_str(writer, "ids");
        write_array(writer, 0);
        write_str(writer, "push");
        write_bool(writer, true);
        fixture.now_ns += NANOSECONDS_PER_MS;
        fixture_client_deliver(1000 + (uint32_t)i);
    }
    fixture.is_mute = false;
    cr_expect_eq(fixture_counter("throttled"), 0);
}
