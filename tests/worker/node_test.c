/* node_test.c - step tables of the worker node: in this state, this event: these outputs (node_fixture.h). */
#include <criterion/criterion.h>

#include "tests/worker/node_fixture.h"

TestSuite(worker, .init = fixture_set_up, .fini = fixture_tear_down);

#define TABLE(name, ...)                                                                                     \
    Test(worker, name)                                                                                       \
    {                                                                                                        \
        static const struct row rows[] = {__VA_ARGS__, {0}};                                                 \
        fixture_connect();                                                                                   \
        fixture_run(rows);                                                                                   \
    }

TABLE(runs_a_command_and_forgets_it_when_settled, {"assign 1.1 command", "start 0 1.1"}, {"started 0", ""},
      {"ended 0 exit 0", "OUTCOME 1.1 completed dead"}, {"settled 1.1", ""}, {"later 5000", ""},
      {"stop 1.1", "OUTCOME 1.1 not_held dead"})

TABLE(runs_a_handler, {"assign 1.1 resize", "start 0 1.1"})

TABLE(ends_a_noop_in_the_same_step,
      {"assign 1.1 noop 2.1 noop 3.1 noop", "OUTCOME 1.1 completed dead, OUTCOME 2.1 completed dead, "
                                            "OUTCOME 3.1 completed dead"})

TABLE(tells_how_a_process_ended, {"assign 1.1 command 2.1 command", "start 0 1.1, start 1 2.1"},
      {"ended 0 exit 3", "OUTCOME 1.1 failed dead"}, {"ended 1 signal 9", "OUTCOME 2.1 failed dead"},
      {"assign 3.1 command 4.1 command", "start 1 3.1, start 0 4.1"},
      {"ended 1 error 2", "OUTCOME 3.1 failed dead permanent"},
      {"ended 0 error 11", "OUTCOME 4.1 failed dead"})

TABLE(reports_taken_once_after_50_ms, {"assign 1.1 command", "start 0 1.1"}, {"later 20", ""},
      {"assign 2.1 command", "start 1 2.1"}, {"later 29", ""}, {"later 1", "TAKEN 1.1, TAKEN 2.1"},
      {"later 500", ""}, {"ended 0 exit 0", "OUTCOME 1.1 completed dead"})

TABLE(reports_no_taken_when_the_outcome_left_before, {"assign 1.1 command", "start 0 1.1"}, {"later 40", ""},
      {"ended 0 exit 0", "OUTCOME 1.1 completed dead"}, {"later 100", ""})

TABLE(answers_a_repeated_assign_with_what_is, {"assign 1.1 command", "start 0 1.1"},
      {"assign 1.1 command", ""}, {"later 50", "TAKEN 1.1"}, {"assign 1.1 command", ""},
      {"later 0", "TAKEN 1.1"}, {"ended 0 exit 0", "OUTCOME 1.1 completed dead"},
      {"assign 1.1 command", "OUTCOME 1.1 completed dead"})

TABLE(ignores_a_lower_fence, {"assign 1.2 command", "start 0 1.2"}, {"assign 1.1 command", ""},
      {"stop 1.1", "OUTCOME 1.1 not_held dead"})

TABLE(a_newer_attempt_ends_the_older_one, {"assign 1.1 command", "start 0 1.1"},
      {"assign 1.2 command", "terminate 0, start 1 1.2"}, {"ended 0 signal 15", "OUTCOME 1.1 cancelled dead"},
      {"ended 1 exit 0", "OUTCOME 1.2 completed dead"}, {"settled 1.2", ""},
      {"assign 1.1 command", "OUTCOME 1.1 cancelled dead"}, {"settled 1.1", ""})

TABLE(waits_for_a_slot_in_order_of_arrival,
      {"assign 1.1 command 2.1 command 3.1 command 4.1 resize", "start 0 1.1, start 1 2.1"},
      {"later 50", "TAKEN 1.1, TAKEN 2.1"}, {"ended 1 exit 0", "OUTCOME 2.1 completed dead, start 1 3.1"},
      {"ended 0 exit 0", "OUTCOME 1.1 completed dead, start 0 4.1"}, {"started 0", ""})

TABLE(stops_what_runs_with_term_then_kill, {"assign 1.1 command", "start 0 1.1"}, {"stop 1.1", "terminate 0"},
      {"stop 1.1", ""}, {"later 4999", "TAKEN 1.1"}, {"later 1", "kill 0"},
      {"ended 0 signal 9", "OUTCOME 1.1 cancelled dead"}, {"later 900", ""})

TABLE(a_stop_that_comes_too_late_is_answered_with_the_end, {"assign 1.1 command", "start 0 1.1"},
      {"ended 0 exit 4", "OUTCOME 1.1 failed dead"}, {"stop 1.1", "OUTCOME 1.1 failed dead"})

TABLE(stops_what_waits_at_once, {"assign 1.1 command 2.1 command 3.1 command", "start 0 1.1, start 1 2.1"},
      {"stop 3.1", "OUTCOME 3.1 cancelled dead"}, {"ended 0 exit 0", "OUTCOME 1.1 completed dead"})

TABLE(recalls_only_what_has_not_started,
      {"assign 1.1 command 2.1 command 3.1 command", "start 0 1.1, start 1 2.1"}, {"recall 1.1", ""},
      {"recall 3.1", "OUTCOME 3.1 returned dead"}, {"recall 9.1", "OUTCOME 9.1 not_held dead"})

TABLE(returns_a_type_it_does_not_offer, {"assign 1.1 paint", "OUTCOME 1.1 returned dead"})

TABLE(fails_a_task_it_cannot_read, {"assign 1.1 bad", "OUTCOME 1.1 failed dead permanent"})

TABLE(spools_what_is_unsettled_for_a_second, {"assign 1.1 noop", "OUTCOME 1.1 completed dead"},
      {"later 999", ""}, {"later 1", "put spool 1"}, {"later 5000", ""}, {"settled 1.1", "erase spool 1"})

TABLE(spools_at_link_loss_and_sends_again,
      {"assign 1.1 command 2.1 noop 3.1 command", "OUTCOME 2.1 completed dead, start 0 1.1, start 1 3.1"},
      {"ended 0 exit 0", "OUTCOME 1.1 completed dead"}, {"down", ""}, {"later 0", "put spool 1, put spool 2"},
      {"later 100", "HELLO boot 1"}, {"ended 1 exit 0", ""}, {"later 0", "put spool 3"},
      {"welcome", "INVENTORY 1.1 ended, INVENTORY 2.1 ended, INVENTORY 3.1 ended, END"},
      {"later 0", "OUTCOME 1.1 completed dead, OUTCOME 2.1 completed dead, OUTCOME 3.1 completed dead"},
      {"settled 2.1", "erase spool 1"}, {"settled 1.1", "erase spool 2"}, {"settled 3.1", "erase spool 3"},
      {"down", ""}, {"later 100", "HELLO boot 1"}, {"welcome", "END"})

TABLE(shows_what_it_holds_in_a_new_session,
      {"assign 1.1 command 2.1 command 3.1 command", "start 0 1.1, start 1 2.1"}, {"down", ""},
      {"later 100", "HELLO boot 1"},
      {"welcome", "INVENTORY 1.1 running, INVENTORY 2.1 running, INVENTORY 3.1 waiting, END"},
      {"later 0", "TAKEN 1.1, TAKEN 2.1"})

TABLE(restores_the_spool_and_raises_the_boot,
      {"assign 1.1 noop 2.1 command", "OUTCOME 1.1 completed dead, start 0 2.1"},
      {"later 1000", "put spool 1, TAKEN 2.1"}, {"restart", ""}, {"start", "put meta 1, HELLO boot 2"},
      {"welcome", "INVENTORY 1.1 ended, END"}, {"later 0", "OUTCOME 1.1 completed dead"},
      {"assign 3.1 noop", "OUTCOME 3.1 completed dead"}, {"later 1000", "put spool 2"},
      {"settled 1.1", "erase spool 1"})

TABLE(drains_and_waits_for_what_runs,
      {"assign 1.1 command 2.1 command 3.1 command", "start 0 1.1, start 1 2.1"},
      {"drain", "OUTCOME 3.1 returned dead"}, {"assign 4.1 command", "OUTCOME 4.1 returned dead"},
      {"later 20", ""}, {"ended 0 exit 0", "OUTCOME 1.1 completed dead"}, {"settled 3.1", ""},
      {"settled 1.1", ""}, {"later 29979", "TAKEN 2.1"}, {"later 1", "terminate 1"}, {"later 5000", "kill 1"},
      {"ended 1 signal 9", "OUTCOME 2.1 returned dead"}, {"settled 2.1", "BYE kept 0"})

TABLE(drains_when_the_region_asks, {"assign 1.1 command", "start 0 1.1"}, {"ask 100", "ANSWER"},
      {"later 100", "TAKEN 1.1, terminate 0"}, {"ended 0 exit 0", "OUTCOME 1.1 returned dead"},
      {"later 1000", "put spool 1, BYE kept 1"})

TABLE(drains_without_a_region_onto_the_disk, {"assign 1.1 command", "start 0 1.1"}, {"down", ""},
      {"drain", ""}, {"ended 0 exit 0", ""}, {"later 0", "put spool 1"})

TABLE(is_done_at_once_when_it_has_nothing, {"drain", "BYE kept 0"}, {"later 100000", ""})

Test(worker, is_done_after_bye)
{
    fixture_connect();
    fixture_act("assign 1.1 command");
    fixture_act("drain");
    fixture_act("ended 0 exit 0");
    cr_expect(!worker_done(fixture.worker));
    fixture_act("settled 1.1");
    cr_expect(worker_done(fixture.worker));
    cr_expect_eq(worker_deadline_ns(fixture.worker), DEADLINE_NEVER);
}

Test(worker, keeps_outcomes_in_memory_while_the_disk_is_full)
{
    static const struct row full[] = {
        {"assign 1.1 noop", "OUTCOME 1.1 completed dead"}, {"later 3000", ""}, {0}};
    static const struct row room[] = {{"later 1001", "put spool 1"}, {0}};
    fixture_connect();
    fixture.store_free_bytes = 1000;
    fixture_run(full);
    fixture.store_free_bytes = 1 << 30;
    fixture_run(room);
}

Test(worker, returns_grants_above_its_window)
{
    static const struct row rows[] = {
        {"assign 1.1 noop 2.1 noop 3.1 noop",
         "OUTCOME 1.1 completed dead, OUTCOME 2.1 completed dead, OUTCOME 3.1 returned dead"},
        {"settled 1.1", ""},
        {"assign 4.1 noop", "OUTCOME 4.1 completed dead"},
        {0}};
    fixture.options.window = 2;
    fixture_new_worker();
    fixture_connect();
    fixture_run(rows);
}

Test(worker, returns_what_it_has_no_memory_to_keep)
{
    static const struct row rows[] = {{"assign 1.1 command 2.1 command 3.1 command 4.1 command",
                                       "OUTCOME 4.1 returned dead, start 0 1.1, start 1 2.1"},
                                      {"ended 0 exit 0", "OUTCOME 1.1 completed dead, start 0 3.1"},
                                      {0}};
    fixture.options.memory_blocks = 1;
    fixture_new_worker();
    fixture_connect();
    fixture_run(rows);
}

Test(worker, offers_no_command_unless_allowed)
{
    static const struct row rows[] = {{"assign 1.1 command", "OUTCOME 1.1 returned dead"}, {0}};
    fixture.options.commands = false;
    fixture_new_worker();
    fixture_connect();
    fixture_run(rows);
}

/* More than one step may carry: rows and outcomes come over several, all of them and once. What the region
 * says about a row before it has seen our END counts too. */
Test(worker, a_long_inventory_takes_several_steps)
{
    enum { TASKS = 10000 };
    uint32_t rows = 0, outcomes = 0, steps = 0, stopped = 0;
    fixture_connect();
    fixture_act("assign 1.1 command");
    for (unsigned i = 0; i < TASKS; i++) {
        struct writer writer = fixture_begin_frame(MESSAGE_ASSIGN);
        struct assign_entry entry = {.fence = {1, 1, 1}};
        memcpy(entry.id.bytes + 8, &i, sizeof i);
        write_array(&writer, 1);
        write_array(&writer, 1);
        assign_entry_write_head(&writer, &entry);
        fixture_write_task(&writer, "noop");
        struct event event = {.kind = EVENT_MESSAGE, .peer = fixture.peer, .now_ns = fixture.now_ns};
        event.frame = writer_bytes(&writer);
        outputs_begin_step(&fixture.outputs);
        worker_step(fixture.worker, &event, &fixture.outputs);
        outputs_close(&fixture.outputs);
        outputs_reset(&fixture.outputs);
    }
    fixture.store_free_bytes = 0;
    fixture_act("down");
    fixture.text[0] = '\0';
    while (strstr(fixture.text, "HELLO") == NULL)
        fixture_act("later 100");
    struct writer writer = fixture_begin_frame(MESSAGE_WELCOME);
    struct welcome welcome = {.version = 1, .epoch = 1, .beat_ms = 600000, .grace_ms = 1800000};
    welcome_write(&writer, &welcome);
    struct event event = {.kind = EVENT_MESSAGE, .peer = fixture.peer, .frame = writer_bytes(&writer)};
    event.now_ns = fixture.now_ns;
    do {
        outputs_begin_step(&fixture.outputs);
        worker_step(fixture.worker, &event, &fixture.outputs);
        cr_assert(fixture.outputs.operations <= STEP_OPERATIONS_MAX);
        for (uint32_t i = 0; i < fixture.outputs.message_count; i++) {
            rows += fixture.outputs.messages[i].kind == MESSAGE_INVENTORY
                        ? fixture.outputs.messages[i].entries
                        : 0;
            outcomes +=
                fixture.outputs.messages[i].kind == MESSAGE_OUTCOME ? fixture.outputs.messages[i].entries : 0;
        }
        stopped += fixture.outputs.process_count;
        outputs_close(&fixture.outputs);
        outputs_reset(&fixture.outputs);
        event = (struct event){.kind = EVENT_TIMEOUT, .now_ns = fixture.now_ns};
        if (++steps == 1) {
            writer = fixture_stop_frame(1, 1, STOP_CANCEL);
            event = (struct event){.kind = EVENT_MESSAGE, .peer = fixture.peer, .now_ns = fixture.now_ns};
            event.frame = writer_bytes(&writer);
        }
        cr_assert(steps < 100);
    } while (worker_deadline_ns(fixture.worker) <= fixture.now_ns);
    cr_expect_eq(stopped, 1u);
    cr_expect_eq(rows, TASKS + 1);
    cr_expect_eq(outcomes, TASKS);
    cr_expect(steps > 4);
}

/* A grant may have been in it: only the next session's INVENTORY shows that it did not come. */
Test(worker, what_the_region_garbles_ends_the_session)
{
    static const struct row after[] = {{"assign 1.1 command", ""}, {0}};
    fixture_connect();
    struct writer writer = fixture_begin_frame(MESSAGE_SETTLED);
    write_array(&writer, 1);
    write_array(&writer, 0);
    fixture.frame[1]++; /* the version */
    struct event event = {.kind = EVENT_MESSAGE, .peer = fixture.peer, .now_ns = fixture.now_ns};
    event.frame = writer_bytes(&writer);
    outputs_begin_step(&fixture.outputs);
    worker_step(fixture.worker, &event, &fixture.outputs);
    fixture_run(after);
}
