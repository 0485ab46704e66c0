/* Each judge of the simulator, broken on purpose: what a wrong node would do, and what is said of it. */
#include <criterion/criterion.h>

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
    judged.now_ns++;                                                 /* in another batch */
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
    judged.checks->tasks[5].now.doubled = true;
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

static void forgetting_frame(void)
{
    struct writer *writer = judge_frame(MESSAGE_FORGETTING);
    write_map(writer, 2);
    write_str(writer, "node");
    write_str(writer, "eu");
    write_str(writer, "tasks");
    write_uint(writer, 0);
    judge_send(BROKER, BROKER);
}

static void put_region(uint64_t number, bool forgotten)
{
    struct writer *writer = judge_put(TABLE_CHILDREN, number);
    write_array(writer, 4);
    write_str(writer, "eu");
    write_bin(writer, bytes_of("0123456789abcdef"));
    write_uint(writer, 1);
    write_bool(writer, forgotten);
    judge_commit(BROKER);
}

Test(judges, see_a_region_forgotten_in_memory_alone)
{
    put_region(8, true);
    judged.now_ns += MS;
    put_region(9, false); /* it came back in the same batch */
    judge_erase(TABLE_CHILDREN, 1);
    judge_commit(BROKER);
    forgetting_frame();
    JUDGE_IS_SILENT();
    judged.now_ns += MS;
    forgetting_frame();
    JUDGE_SAYS("FORGETTING leaves, and the broker's disk does not say that eu is forgotten");
}
