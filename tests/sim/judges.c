/* Each judge of the simulator, broken on purpose: what a wrong node would do, and what is said of it. */
#include <criterion/criterion.h>

#include "sim/clients.h"
#include "tests/sim/judge_fixture.h"

TestSuite(judges, .init = judge_set_up, .fini = judge_tear_down, .timeout = 30);

static const struct fence first = {1, 7, 1}, second = {1, 7, 2}, moved = {2, 9, 1};

/* ---- 0, 1, 2: messages, acknowledged tasks, ends ---- */

Test(judges, are_silent_about_a_task_that_goes_well)
{
    judge_in_custody(3);
    judge_assigned(W1, 3, first, false);
    judge_started(W1, 3, first);
    struct sim_process process = {.id = judge_id(3), .fence = first};
    check_process_end(&judged, &judged.nodes[W1], &process);
    judge_outcome_frame(3, first, TASK_COMPLETED);
    judge_send(W1, EU);
    judge_arrive(W1, EU);
    write_map(judge_put(TABLE_OUTCOMES, 4), 0);
    judge_put_state(EU, 3, TASK_ENDED, first, 0);
    judge_erase(TABLE_GRANTS, 100 * W1 + 4);
    judge_commit(EU);
    judge_settled_frame(3, first);
    judge_send(EU, W1);
    judge_arrive(EU, W1);
    judge_outcome_frame(3, first, TASK_COMPLETED);
    judge_send(EU, BROKER);
    judge_put_ended(3, TASK_COMPLETED);
    judge_erase(TABLE_STATES, 4);
    judge_erase(TABLE_GRANTS, 4);
    judge_commit(BROKER);
    judge_settled_frame(3, first);
    judge_send(BROKER, EU);
    judge_arrive(BROKER, EU);
    judge_erase(TABLE_OUTCOMES, 4);
    judge_erase(TABLE_STATES, 4);
    judge_commit(EU);
    check_drained(&judged, &judged.nodes[W1]);
    JUDGE_IS_SILENT();
    cr_assert_eq(judged.checks->wards[W1].held_count, 0);
    cr_assert_eq(judged.checks->books[BROKER].open_count + judged.checks->books[EU].open_count, 0);
}

Test(judges, see_what_is_no_message)
{
    judge_frame(MESSAGE_END)->size -= 3;
    judge_send(EU, BROKER);
    JUDGE_SAYS("invariant 0 broken");
}

Test(judges, see_a_task_accepted_as_new_twice)
{
    judge_accepted(5);
    JUDGE_IS_SILENT();
    judge_accepted(5);
    JUDGE_SAYS("task 5 is accepted as new, and was accepted before");
}

Test(judges, see_an_accepted_task_vanish)
{
    judge_accepted(5);
    judge_erase(TABLE_STATES, 6);
    judge_commit(BROKER);
    JUDGE_SAYS("invariant 1 broken at 1.000000 s: accepted task 5 is neither ended nor alive");
}

Test(judges, see_an_accepted_task_gone_after_a_restart)
{
    judge_accepted(5);
    disk_wipe(&judged.nodes[BROKER].disk);
    check_restart(&judged, &judged.nodes[BROKER]);
    JUDGE_SAYS("accepted task 5 is neither ended nor alive");
}

Test(judges, see_an_end_change)
{
    judge_accepted(5);
    judge_put_ended(5, TASK_COMPLETED);
    judge_commit(BROKER);
    judge_put_ended(5, TASK_CANCELLED);
    judge_commit(BROKER);
    JUDGE_SAYS("the end of task 5 was recorded as completed, now as cancelled");
}

Test(judges, see_an_outcome_written_again)
{
    judge_accepted(5);
    write_map(judge_put(TABLE_OUTCOMES, 6), 0);
    judge_commit(BROKER);
    write_array(judge_put(TABLE_OUTCOMES, 6), 0);
    judge_commit(BROKER);
    JUDGE_SAYS("invariant 2 broken");
}

static void send_result(uint32_t task, const char *state, const char *told, bool dup)
{
    struct writer *writer = judge_frame(MESSAGE_RESULT);
    write_map(writer, 1);
    write_str(writer, "results");
    write_array(writer, 1);
    write_map(writer, 4);
    write_str(writer, "id");
    judge_write_id(writer, task);
    write_str(writer, "state");
    write_str(writer, state);
    write_str(writer, "dup_possible");
    write_bool(writer, dup);
    write_str(writer, "outcome");
    write_str(writer, told);
    judge_send(BROKER, BROKER);
}

static void record_end(uint32_t task, const char *outcome)
{
    judge_accepted(task);
    judge_put_ended(task, TASK_CANCELLED);
    write_str(judge_put(TABLE_OUTCOMES, task + ARRIVAL_OF_0), outcome);
    judge_commit(BROKER);
}

Test(judges, see_watchers_told_another_outcome_than_the_record)
{
    record_end(5, "so");
    send_result(5, "cancelled", "so", false);
    JUDGE_IS_SILENT();
    record_end(6, "so");
    send_result(6, "cancelled", "not so", false);
    JUDGE_SAYS("RESULT tells another outcome of task 6 than the broker has recorded");
}

Test(judges, see_a_result_change)
{
    record_end(5, "so");
    send_result(5, "cancelled", "so", false);
    send_result(5, "cancelled", "so", true);
    JUDGE_SAYS("the result of task 5 has changed");
}

Test(judges, see_a_result_before_its_end)
{
    judge_accepted(5);
    send_result(5, "cancelled", "so", false);
    JUDGE_SAYS("RESULT leaves before the end of task 5 is on disk");
}

Test(judges, see_another_state_told_than_recorded)
{
    record_end(5, "so");
    send_result(5, "expired", "so", false);
    JUDGE_SAYS("RESULT says task 5 is expired; recorded is cancelled");
}

Test(judges, see_a_client_told_otherwise)
{
    struct writer *writer = judge_frame(MESSAGE_RESULT);
    size_t from = writer->size;
    write_map(writer, 1);
    write_str(writer, "outcome");
    write_str(writer, "what nobody sent");
    check_told(&judged, 5, (struct bytes){writer->data + from, writer->size - from});
    JUDGE_SAYS("a client is told another result of task 5");
}

/* ---- 3, 4: fences and marks ---- */

Test(judges, see_custody_go_to_two)
{
    judge_in_custody(5);
    judge_in_custody(6);
    JUDGE_IS_SILENT();
    judged.checks->tasks[6].custody = 2; /* it has moved on, and comes again under the older one */
    judge_assign_frame(6, (struct fence){1, 0, 0}, false);
    judge_send(BROKER, EU);
    JUDGE_SAYS("custody 1 of task 6 goes to eu, after custody 2");
}

Test(judges, see_fences_fall)
{
    judge_in_custody(5);
    judge_assigned(W1, 5, second, false);
    check_booked(&judged, EU, 5)->granted = (struct fence){0, 0, 0}; /* as after a lost disk */
    judge_assigned(W1, 5, first, false);
    JUDGE_SAYS("eu assigns task 5 under 1.7.1 after 1.7.2");
}

Test(judges, see_one_fence_given_to_two_workers)
{
    judge_in_custody(5);
    judge_assigned(W1, 5, first, false);
    judge_assign_frame(5, first, false);
    judge_send(EU, W2);
    JUDGE_SAYS("eu assigns task 5 under 1.7.1 to eu/w2, and did so to eu/w1 before");
}

Test(judges, see_a_start_that_nobody_assigned)
{
    judge_in_custody(5);
    judge_assigned(W1, 5, first, false);
    judge_started(W2, 5, first);
    JUDGE_SAYS("eu/w2 starts task 5 under 1.7.1, which was not assigned to it");
}

Test(judges, see_a_fence_start_twice)
{
    judge_in_custody(5);
    judge_assigned(W1, 5, first, false);
    judge_started(W1, 5, first);
    judge_started(W1, 5, first);
    JUDGE_SAYS("eu/w1 starts task 5 a second time under 1.7.1");
}

Test(judges, see_an_outcome_recorded_after_a_later_grant)
{
    judge_in_custody(5);
    judge_assigned(W1, 5, first, false);
    judge_assigned(W2, 5, second, true);
    judge_settled_frame(5, first);
    judge_send(EU, W1);
    JUDGE_SAYS("eu records an outcome of task 5 under 1.7.1, after 1.7.2");
}

Test(judges, see_a_double_start_that_is_not_marked)
{
    judge_in_custody(5);
    judge_assigned(W1, 5, first, false);
    judge_started(W1, 5, first);
    judge_assigned(W2, 5, second, true);
    judge_started(W2, 5, second);
    JUDGE_IS_SILENT();
    judge_in_custody(6);
    judge_assigned(W1, 6, first, false);
    judge_started(W1, 6, first);
    judge_assigned(W2, 6, second, false);
    judge_started(W2, 6, second);
    JUDGE_SAYS("invariant 4 broken at 1.000000 s: task 6 was started under 1.7.2 on eu/w2");
}

Test(judges, see_a_mark_that_is_not_on_disk)
{
    judge_in_custody(5);
    judge_assigned(W1, 5, first, false);
    judge_assign_frame(5, first, true);
    judge_send(EU, W1);
    JUDGE_SAYS("eu assigns task 5 under 1.7.1 as dup_possible, and its disk does not say so");
}

Test(judges, see_a_result_that_hides_a_double_start)
{
    record_end(5, "so");
    judged.checks->tasks[5].doubled = true;
    send_result(5, "cancelled", "so", false);
    JUDGE_SAYS("task 5 ran twice, and its RESULT does not say");
}

Test(judges, see_a_completion_without_a_process_that_ended_well)
{
    judge_in_custody(5);
    judge_assigned(W1, 5, first, false);
    judge_started(W1, 5, first);
    uint8_t fence[FENCE_BYTES];
    fence_encode(first, fence);
    judge_put_ended(5, TASK_COMPLETED);
    judge_commit(BROKER);
    struct writer *writer = judge_frame(MESSAGE_RESULT);
    write_map(writer, 1);
    write_str(writer, "results");
    write_array(writer, 1);
    write_map(writer, 3);
    write_str(writer, "id");
    judge_write_id(writer, 5);
    write_str(writer, "state");
    write_str(writer, "completed");
    write_str(writer, "outcome");
    write_map(writer, 1);
    write_str(writer, "fence");
    write_bin(writer, (struct bytes){fence, sizeof fence});
    judge_send(BROKER, BROKER);
    JUDGE_SAYS("task 5 completed under 1.7.1, where no process ended well");
}

/* ---- 6: records before words ---- */

Test(judges, see_an_assign_without_its_grant)
{
    judge_in_custody(5);
    judge_assign_frame(5, moved, false);
    judge_send(EU, W1);
    JUDGE_SAYS("eu assigns task 5 under 2.9.1 without a grant on its disk");
}

Test(judges, see_a_task_taken_and_not_kept)
{
    struct taken_entry entry = {.id = judge_id(5), .fence = {1, 0, 0}};
    judge_accepted(5);
    taken_entry_write(judge_entry(MESSAGE_TAKEN), &entry);
    judge_send(EU, BROKER);
    JUDGE_SAYS("eu takes task 5 under custody 1, which is not on its disk");
}

Test(judges, see_a_hello_before_its_boot_is_on_disk)
{
    const uint8_t no_profiles[] = {0x90};
    struct hello hello = {.name = bytes_of("w1"), .role = bytes_of("worker"), .boot = 2, .version_max = 1};
    hello.profiles = (struct bytes){no_profiles, sizeof no_profiles};
    struct writer *writer = judge_put(TABLE_META, 1);
    write_array(writer, 2);
    write_bin(writer, (struct bytes){hello.instance, INSTANCE_BYTES});
    write_uint(writer, 1);
    judge_commit(W1);
    hello_write(judge_frame(MESSAGE_HELLO), &hello);
    judge_send(W1, EU);
    JUDGE_SAYS("eu/w1 says HELLO as boot 2, and its disk says 1 of this instance");
}

Test(judges, see_a_cancel_promised_and_not_kept)
{
    judge_accepted(5);
    struct writer *writer = judge_frame(MESSAGE_CANCELLING);
    write_map(writer, 1);
    write_str(writer, "tasks");
    write_array(writer, 1);
    write_map(writer, 2);
    write_str(writer, "id");
    judge_write_id(writer, 5);
    write_str(writer, "status");
    write_str(writer, "cancelling");
    judge_send(BROKER, BROKER);
    JUDGE_SAYS("CANCELLING leaves before the broker's disk says that task 5");
}

/* ---- 7: windows ---- */

Test(judges, see_a_class_get_more_than_its_credit)
{
    for (uint32_t task = 0; task < 8; task++)
        judge_in_custody(task); /* 4 slots: 8 tasks */
    JUDGE_IS_SILENT();
    judge_in_custody(8);
    JUDGE_SAYS(
        "invariant 7 broken at 1.000000 s: broker grants task 8 to eu, which now has 9 of its class, and may "
        "have 8");
}

Test(judges, see_a_full_window)
{
    judge_offers(EU, 1000);
    for (uint32_t task = 0; task < WINDOW_SIM; task++)
        judge_in_custody(task);
    JUDGE_IS_SILENT();
    judge_in_custody(WINDOW_SIM);
    JUDGE_SAYS("which now has 33 of it, and may have 32");
}

Test(judges, forget_an_offer_that_is_long_gone)
{
    judge_offers(EU, 1);
    for (uint32_t task = 0; task < 8; task++)
        judge_in_custody(task); /* decided before it was known here */
    JUDGE_IS_SILENT();
    judged.now_ns += 200000 * MS;
    judge_offers(EU, 1);
    judged.now_ns += 200000 * MS;
    judge_offers(EU, 1);
    judge_in_custody(8);
    JUDGE_SAYS("which now has 9 of its class, and may have 2");
}

Test(judges, see_a_worker_with_more_in_its_hands_than_slots)
{
    for (uint32_t task = 0; task < 4; task++)
        judge_in_custody(task);
    judge_assigned(W1, 0, first, false);
    judge_assigned(W1, 1, first, false);
    /* The region takes one for lost, and has room again as far as its own books go. */
    judge_put_state(EU, 0, TASK_READY, first, 0);
    judge_commit(EU);
    JUDGE_IS_SILENT();
    judge_assigned(W1, 2, first, false);
    JUDGE_SAYS("eu assigns task 2 to eu/w1, which has 3 in its hands with it, and 2 slots");
}

/* ---- 9: grants and inventories ---- */

/* Time passes with heartbeats both ways. */
static void pass(uint64_t ms)
{
    for (; ms > 0; ms -= BEAT_MS) {
        struct heartbeat beat = {.clock_us = 1};
        judged.now_ns += BEAT_MS * MS;
        for (uint32_t child = EU; child <= W2; child++) {
            heartbeat_write(judge_frame(MESSAGE_HEARTBEAT), &beat);
            judge_arrive(child, judged.nodes[child].parent);
            judge_arrive(judged.nodes[child].parent, child);
        }
    }
}

static void sync_all(void)
{
    for (uint32_t child = EU; child <= W2; child++) {
        write_array(judge_frame(MESSAGE_END), 0);
        judge_arrive(child, judged.nodes[child].parent);
    }
}

Test(judges, see_a_grant_that_no_worker_knows_of)
{
    sync_all();
    judge_in_custody(5);
    judge_assigned(W1, 5, first, false);
    pass(20000);
    JUDGE_IS_SILENT();
    attempts_restart(&judged, &judged.nodes[W1]); /* it has forgotten, and the region never hears of it */
    pass(20000);
    JUDGE_SAYS(
        "eu has task 5 granted to eu/w1 under 1.7.1, and since 21.500 s there is nobody who knows of it");
}

Test(judges, see_a_grant_that_no_region_knows_of)
{
    sync_all();
    judge_in_custody(5);
    pass(20000);
    JUDGE_IS_SILENT();
    judge_erase(TABLE_STATES, 6);
    judge_commit(EU);
    pass(20000);
    JUDGE_SAYS("broker has task 5 granted to eu under 1.0.0");
}

static void say_end(uint32_t child)
{
    judged.checks->wards[child].hello_ns = judged.now_ns;
    judged.nodes[child].session++;
    write_array(judge_frame(MESSAGE_END), 0);
    judge_send(child, judged.nodes[child].parent);
}

Test(judges, see_an_inventory_without_what_a_worker_runs)
{
    struct inventory_row row = {.id = judge_id(5), .fence = first, .status = HELD_RUNNING};
    judge_in_custody(5);
    judge_assigned(W1, 5, first, false);
    judge_started(W1, 5, first);
    judged.nodes[W1].session++;
    inventory_row_write(judge_entry(MESSAGE_INVENTORY), &row);
    judge_send(W1, EU);
    judged.nodes[W1].session--;
    say_end(W1);
    JUDGE_IS_SILENT();
    say_end(W1);
    JUDGE_SAYS("eu/w1 says END, and its INVENTORY has no row for task 5 under 1.7.1, which it holds");
}

Test(judges, see_an_inventory_without_what_a_region_holds)
{
    judge_in_custody(5);
    say_end(EU);
    JUDGE_SAYS("eu says END, and its INVENTORY has no row for task 5, which is on its disk");
}

/* ---- 10: outcomes ---- */

Test(judges, see_an_outcome_settled_and_not_recorded)
{
    judge_in_custody(5);
    judge_assigned(W1, 5, first, false);
    judge_settled_frame(5, first);
    judge_send(EU, W1);
    JUDGE_SAYS("eu settles task 5 under 1.7.1, of which it has recorded no end");
}

Test(judges, see_the_broker_settle_what_it_has_not_recorded)
{
    judge_in_custody(5);
    judge_settled_frame(5, (struct fence){1, 0, 0});
    judge_send(BROKER, EU);
    JUDGE_SAYS("the broker settles task 5 for eu, of which it has recorded no end");
}

Test(judges, see_an_outcome_reported_and_not_recorded)
{
    judge_in_custody(5);
    judge_outcome_frame(5, first, TASK_FAILED);
    judge_send(EU, BROKER);
    JUDGE_SAYS("eu reports the end of task 5 under 1.7.1, which it has not recorded");
}

Test(judges, see_a_region_drop_an_outcome)
{
    judge_in_custody(5);
    write_map(judge_put(TABLE_OUTCOMES, 6), 0);
    judge_put_state(EU, 5, TASK_ENDED, first, 0);
    judge_commit(EU);
    judge_erase(TABLE_OUTCOMES, 6);
    judge_commit(EU);
    JUDGE_SAYS("eu drops the outcome of task 5, held under custody 1, and no SETTLED for it has come");
}

static void spool(uint32_t task, struct fence fence, uint64_t number)
{
    struct outcome_entry entry = {.id = judge_id(task), .fence = fence, .end = TASK_COMPLETED};
    struct writer *writer = judge_put(TABLE_SPOOL, number);
    outcome_entry_write_head(writer, &entry);
    write_map(writer, 0);
    judge_commit(W1);
}

Test(judges, see_a_worker_drop_an_outcome)
{
    judge_in_custody(5);
    judge_assigned(W1, 5, first, false);
    spool(5, first, 1);
    judge_erase(TABLE_SPOOL, 1);
    judge_commit(W1);
    JUDGE_SAYS(
        "eu/w1 drops the outcome of task 5 under 1.7.1 from its spool, and no SETTLED for it has come");
}

Test(judges, see_a_drained_worker_leave_with_an_outcome)
{
    judge_in_custody(5);
    judge_assigned(W1, 5, first, false);
    judge_started(W1, 5, first);
    attempts_over(&judged, &judged.nodes[W1], 5, first);
    spool(5, first, 1);
    check_drained(&judged, &judged.nodes[W1]);
    JUDGE_IS_SILENT();
    disk_wipe(&judged.nodes[W1].disk);
    check_drained(&judged, &judged.nodes[W1]);
    JUDGE_SAYS("the outcome of task 5 under 1.7.1 is neither settled nor in its spool");
}

Test(judges, see_a_drained_worker_leave_a_process)
{
    judged.nodes[W1].processes[1] = (struct sim_process){.number = 9, .id = judge_id(5)};
    check_drained(&judged, &judged.nodes[W1]);
    JUDGE_SAYS("eu/w1 was drained and leaves, and its slot 1 still runs task 5");
}

/* ---- 11: counters ---- */

static void count_tasks(uint64_t ready, uint64_t granted, uint64_t ended)
{
    struct writer *writer = judge_frame(MESSAGE_ROWS);
    write_map(writer, 1);
    write_str(writer, "rows");
    write_array(writer, 1);
    write_map(writer, 2);
    write_str(writer, "epoch");
    write_uint(writer, 1);
    write_str(writer, "tasks");
    write_map(writer, 3);
    write_str(writer, "ready");
    write_uint(writer, ready);
    write_str(writer, "granted");
    write_uint(writer, granted);
    write_str(writer, "ended");
    write_uint(writer, ended);
    judge_send(BROKER, BROKER);
}

Test(judges, see_a_task_counted_too_much)
{
    judge_accepted(5);
    judge_in_custody(6);
    count_tasks(1, 1, 0);
    JUDGE_IS_SILENT();
    count_tasks(2, 1, 0);
    JUDGE_SAYS("invariant 11 broken at 1.000000 s: the broker counts 3 living tasks and stores 2");
}

Test(judges, see_a_grant_not_counted)
{
    judge_in_custody(6);
    count_tasks(1, 0, 0);
    JUDGE_SAYS("the broker counts 0 granted tasks and stores grants of 1");
}

Test(judges, see_an_end_not_counted)
{
    record_end(5, "so");
    judge_erase(TABLE_STATES, 6);
    judge_commit(BROKER);
    count_tasks(0, 0, 0);
    JUDGE_SAYS("the broker counts 0 ended tasks and stores 1");
}

/* ---- 12: nothing stands still, nothing is left ---- */

/* The broker grants it and is rid of it at once. */
static void comes_and_goes(uint32_t task)
{
    judge_in_custody(task);
    judge_put_ended(task, TASK_COMPLETED);
    judge_erase(TABLE_STATES, task + ARRIVAL_OF_0);
    judge_erase(TABLE_GRANTS, task + 1);
    judge_commit(BROKER);
}

Test(judges, see_a_priority_starve)
{
    judged.workload->tasks[0].priority = PRIORITY_HIGH; /* served every sixth time or so */
    for (uint32_t task = 1; task < 60; task++)
        comes_and_goes(task);
    judge_accepted(0);
    for (uint32_t task = 60; task < 120; task++)
        comes_and_goes(task);
    JUDGE_IS_SILENT();
    for (uint32_t task = 120; task < 180; task++)
        comes_and_goes(task);
    JUDGE_SAYS("task 0 (high) waits at broker since 1.000 s, and 75 others of its class went before it");
}

Test(judges, see_what_is_left_at_the_end)
{
    judged.clients->open = 0;
    judge_put_grant(1, EU, 5, first);
    judge_commit(BROKER);
    check_end(&judged);
    JUDGE_SAYS("broker still has 1 grants at the end");
}

Test(judges, see_tasks_that_have_not_ended)
{
    judge_accepted(5);
    check_end(&judged);
    JUDGE_SAYS("tasks have not ended");
}

Test(judges, see_a_process_that_outlived_its_task)
{
    judged.clients->open = 0;
    judge_in_custody(5);
    judge_assigned(W1, 5, first, false);
    judge_started(W1, 5, first);
    disk_wipe(&judged.nodes[BROKER].disk);
    disk_wipe(&judged.nodes[EU].disk);
    check_end(&judged);
    JUDGE_SAYS("eu/w1 still has task 5 under 1.7.1 in its hands at the end");
}

Test(judges, see_an_accepted_task_unknown)
{
    struct task_id id = judge_id(5);
    check_unknown(&judged, &id);
    JUDGE_SAYS("a client is told that task 5 is not known");
}
