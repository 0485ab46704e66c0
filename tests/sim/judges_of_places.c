/* Judges of the simulator broken on purpose, the other half: windows, grants, outcomes, counters, the end. */
#include <criterion/criterion.h>

#include "sim/clients.h"
#include "tests/sim/judge_fixture.h"

TestSuite(judges_of_places, .init = judge_set_up, .fini = judge_tear_down, .timeout = 30);

static const struct fence first = {1, 7, 1};

/* ---- 7: windows ---- */

Test(judges_of_places, see_a_class_get_more_than_its_credit)
{
    for (uint32_t task = 0; task < 8; task++)
        judge_in_custody(task); /* 4 slots: 8 tasks */
    JUDGE_IS_SILENT();
    judge_in_custody(8);
    JUDGE_SAYS(
        "invariant 7 broken at 1.000000 s: broker grants task 8 to eu, which now has 9 of its class, and may "
        "have 8");
}

Test(judges_of_places, see_a_full_window)
{
    judge_offers(EU, 1000);
    for (uint32_t task = 0; task < WINDOW_SIM; task++)
        judge_in_custody(task);
    JUDGE_IS_SILENT();
    judge_in_custody(WINDOW_SIM);
    JUDGE_SAYS("which now has 33 of it, and may have 32");
}

Test(judges_of_places, forget_an_offer_that_is_long_gone)
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

Test(judges_of_places, see_a_worker_with_more_in_its_hands_than_slots)
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

Test(judges_of_places, see_a_grant_that_no_worker_knows_of)
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

Test(judges_of_places, see_a_grant_that_no_region_knows_of)
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

Test(judges_of_places, see_an_inventory_without_what_a_worker_runs)
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

Test(judges_of_places, see_an_inventory_without_what_a_region_holds)
{
    judge_in_custody(5);
    say_end(EU);
    JUDGE_SAYS("eu says END, and its INVENTORY has no row for task 5, which is on its disk");
}

/* ---- 10: outcomes ---- */

Test(judges_of_places, see_an_outcome_settled_and_not_recorded)
{
    judge_in_custody(5);
    judge_assigned(W1, 5, first, false);
    judge_settled_frame(5, first);
    judge_send(EU, W1);
    JUDGE_SAYS("eu settles task 5 under 1.7.1, of which it has recorded no end");
}

Test(judges_of_places, see_the_broker_settle_what_it_has_not_recorded)
{
    judge_in_custody(5);
    judge_settled_frame(5, (struct fence){1, 0, 0});
    judge_send(BROKER, EU);
    JUDGE_SAYS("the broker settles task 5 for eu, of which it has recorded no end");
}

Test(judges_of_places, see_an_outcome_reported_and_not_recorded)
{
    judge_in_custody(5);
    judge_outcome_frame(5, first, TASK_FAILED);
    judge_send(EU, BROKER);
    JUDGE_SAYS("eu reports the end of task 5 under 1.7.1, which it has not recorded");
}

Test(judges_of_places, see_a_region_drop_an_outcome)
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

Test(judges_of_places, see_a_worker_drop_an_outcome)
{
    judge_in_custody(5);
    judge_assigned(W1, 5, first, false);
    spool(5, first, 1);
    judge_erase(TABLE_SPOOL, 1);
    judge_commit(W1);
    JUDGE_SAYS(
        "eu/w1 drops the outcome of task 5 under 1.7.1 from its spool, and no SETTLED for it has come");
}

Test(judges_of_places, see_a_drained_worker_leave_with_an_outcome)
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

Test(judges_of_places, see_a_drained_worker_leave_a_process)
{
    judged.nodes[W1].processes[1] = (struct sim_process){.number = 9, .id = judge_id(5)};
    check_drained(&judged, &judged.nodes[W1]);
    JUDGE_SAYS("eu/w1 was drained and leaves, and its slot 1 still runs task 5");
}

/* ---- 11: counters ---- */

static void record_end(uint32_t task, const char *outcome)
{
    judge_accepted(task);
    judge_put_ended(task, TASK_CANCELLED);
    write_str(judge_put(TABLE_OUTCOMES, task + ARRIVAL_OF_0), outcome);
    judge_commit(BROKER);
}

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

Test(judges_of_places, see_a_task_counted_too_much)
{
    judge_accepted(5);
    judge_in_custody(6);
    count_tasks(1, 1, 0);
    JUDGE_IS_SILENT();
    count_tasks(2, 1, 0);
    JUDGE_SAYS("invariant 11 broken at 1.000000 s: the broker counts 3 living tasks and stores 2");
}

Test(judges_of_places, see_a_grant_not_counted)
{
    judge_in_custody(6);
    count_tasks(1, 0, 0);
    JUDGE_SAYS("the broker counts 0 granted tasks and stores grants of 1");
}

Test(judges_of_places, see_an_end_not_counted)
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

Test(judges_of_places, see_a_priority_starve)
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

Test(judges_of_places, see_what_is_left_at_the_end)
{
    judged.clients->open = 0;
    judge_put_grant(1, EU, 5, first);
    judge_commit(BROKER);
    check_end(&judged);
    JUDGE_SAYS("broker still has 1 grants at the end");
}

Test(judges_of_places, see_tasks_that_have_not_ended)
{
    judge_accepted(5);
    check_end(&judged);
    JUDGE_SAYS("tasks have not ended");
}

Test(judges_of_places, see_a_process_that_outlived_its_task)
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

Test(judges_of_places, see_an_accepted_task_unknown)
{
    check_unknown(&judged, 5, 0);
    JUDGE_SAYS("a client is told that task 5 is not known");
}
