/* Judges of the simulator broken on purpose: what a broker whose store was put back from a backup may forget,
 * and what it may not. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/sim/judge_fixture.h"

TestSuite(judges_of_restores, .init = judge_set_up, .fini = judge_tear_down, .timeout = 30);

static const struct fence first = {1, 7, 1}, above_floor = {1 << 24 | 1, 9, 1};

static struct disk copy;
static struct standing *standings;

static void back_up(void)
{
    disk_copy(&copy, &judged.nodes[BROKER].disk);
    standings = check_remember(&judged);
}

/* The broker starts at once, and its clock shows `ahead_ms` more than that of the clients. */
static void put_back(int64_t ahead_ms)
{
    judged.now_ns++;
    disk_copy(&judged.nodes[BROKER].disk, &copy);
    check_restored(&judged, standings);
    judged.nodes[BROKER].clock.drift_ppm = 0;
    judged.nodes[BROKER].clock.wall_ahead_ms = ahead_ms;
    check_restored_start(&judged);
    disk_wipe(&copy);
    free(standings);
}

/* A start of the lost history, whose end was recorded by all. */
static void runs_and_ends(uint32_t task)
{
    judge_assigned(W1, task, first, false);
    judge_started(W1, task, first);
    judge_outcome_frame(task, first, TASK_COMPLETED);
    judge_send(W1, EU);
    judge_arrive(W1, EU);
    write_map(judge_put(TABLE_OUTCOMES, task + ARRIVAL_OF_0), 0);
    judge_put_state(EU, task, TASK_ENDED, first, 0);
    judge_commit(EU);
    judge_put_ended(task, TASK_COMPLETED);
    judge_erase(TABLE_STATES, task + ARRIVAL_OF_0);
    judge_erase(TABLE_GRANTS, task + 1);
    judge_commit(BROKER);
}

/* The broker grants it once more, above the floor, and the region begins it anew. */
static void granted_anew(uint32_t task, bool marked)
{
    const struct fence custody = {above_floor.custody, 0, 0};
    judge_put_state(BROKER, task, TASK_READY, (struct fence){0, 0, 0}, marked ? TASK_DUP_POSSIBLE : 0);
    judge_put_grant(task + 1, EU, task, custody);
    judge_commit(BROKER);
    judge_assign_frame(task, custody, marked);
    judge_send(BROKER, EU);
    judge_arrive(BROKER, EU);
    judge_put_envelope(task);
    judge_put_state(EU, task, TASK_READY, custody, 0);
    judge_commit(EU);
    judge_assigned(W2, task, above_floor, marked);
}

/* ---- what is forgotten ---- */

Test(judges_of_restores, are_silent_about_what_came_after_the_copy)
{
    judge_accepted(3);
    back_up();
    judge_in_custody(5);
    runs_and_ends(5);
    put_back(0);
    cr_assert(check_is_lost(&judged, 5) && !check_is_lost(&judged, 3));
    check_unknown(&judged, 5, judged.now_ns - 1);
    judge_accepted(5);
    granted_anew(5, true);
    judge_started(W2, 5, above_floor);
    judge_put_ended(5, TASK_FAILED);
    judge_erase(TABLE_STATES, 5 + ARRIVAL_OF_0);
    judge_commit(BROKER);
    check_restart(&judged, &judged.nodes[BROKER]);
    JUDGE_IS_SILENT();
    cr_assert_eq(judged.checks->ended, 1);
}

/* ---- what is not ---- */

Test(judges_of_restores, see_a_task_of_the_copy_vanish)
{
    judge_accepted(3);
    back_up();
    put_back(0);
    judge_erase(TABLE_STATES, 3 + ARRIVAL_OF_0);
    judge_commit(BROKER);
    JUDGE_SAYS("accepted task 3 is neither ended nor alive");
}

Test(judges_of_restores, see_a_task_of_the_copy_accepted_as_new)
{
    judge_accepted(3);
    back_up();
    put_back(0);
    judge_accepted(3);
    JUDGE_SAYS("task 3 is accepted as new, and was accepted before");
}

Test(judges_of_restores, see_an_end_of_the_copy_change)
{
    judge_in_custody(5);
    runs_and_ends(5);
    back_up();
    put_back(0);
    judge_put_ended(5, TASK_FAILED);
    judge_commit(BROKER);
    JUDGE_SAYS("the end of task 5 was recorded as completed, now as failed");
}

static void say_unknown(uint32_t task)
{
    struct writer *writer = judge_frame(MESSAGE_PENDING);
    write_map(writer, 1);
    write_str(writer, "unknown");
    write_array(writer, 1);
    judge_write_id(writer, task);
    judge_send(BROKER, BROKER);
}

Test(judges_of_restores, see_a_task_of_the_copy_unknown)
{
    judge_accepted(3);
    back_up();
    judge_accepted(5);
    put_back(0);
    say_unknown(5);
    JUDGE_IS_SILENT();
    say_unknown(3);
    JUDGE_SAYS("the broker says that it does not know task 3, which it has accepted");
}

Test(judges_of_restores, see_a_client_told_unknown_behind_accepted)
{
    back_up();
    judge_accepted(5);
    put_back(0);
    judge_accepted(5);
    check_unknown(&judged, 5, judged.now_ns);
    JUDGE_SAYS("a client is told that task 5 is not known");
}

/* ---- fences ---- */

Test(judges_of_restores, see_a_custody_given_out_again)
{
    judge_accepted(5);
    back_up();
    judge_put_grant(6, EU, 5, (struct fence){1, 0, 0});
    judge_commit(BROKER);
    judge_assign_frame(5, (struct fence){1, 0, 0}, false);
    judge_send(BROKER, EU);
    put_back(0);
    judge_put_grant(6, EU, 5, (struct fence){1, 0, 0});
    judge_commit(BROKER);
    JUDGE_IS_SILENT();
    judge_assign_frame(5, (struct fence){1, 0, 0}, false);
    judge_send(BROKER, EU);
    JUDGE_SAYS("invariant 3 broken at 1.000000 s: custody 1 of task 5 goes to eu, after custody 1 went to a "
               "region before the restore");
}

Test(judges_of_restores, see_a_grant_of_the_copy_sent_again)
{
    judge_in_custody(5);
    back_up();
    put_back(0);
    judge_assign_frame(5, (struct fence){1, 0, 0}, false);
    judge_send(BROKER, EU);
    JUDGE_SAYS("custody 1 of task 5 goes to eu, after custody 1 went to a region before the restore");
}

Test(judges_of_restores, see_an_outcome_of_the_lost_history_recorded)
{
    judge_in_custody(5);
    back_up();
    judge_put_state(BROKER, 5, TASK_READY, (struct fence){1, 0, 0}, TASK_DUP_POSSIBLE);
    judge_put_grant(7, EU, 5, (struct fence){2, 0, 0});
    judge_commit(BROKER);
    judge_assign_frame(5, (struct fence){2, 0, 0}, true);
    judge_send(BROKER, EU);
    put_back(0);
    judge_settled_frame(5, (struct fence){1, 7, 1});
    judged.checks->tasks[5].now.given_back = 1;
    judge_send(BROKER, EU);
    JUDGE_IS_SILENT();
    judge_settled_frame(5, (struct fence){2, 7, 1});
    judge_send(BROKER, EU);
    JUDGE_SAYS("the broker records an outcome of task 5 under custody 2; it is held under 1");
}

/* ---- marks ---- */

Test(judges_of_restores, see_a_task_of_the_copy_start_again_unmarked)
{
    judge_in_custody(5);
    back_up();
    runs_and_ends(5);
    put_back(0);
    granted_anew(5, false);
    JUDGE_IS_SILENT();
    judge_started(W2, 5, above_floor);
    JUDGE_SAYS(
        "invariant 4 broken at 1.000000 s: task 5 was started under 16777217.9.1 on eu/w2 while the end "
        "of 1.7.1 on eu/w1 was forgotten with a restored backup, unmarked");
}

static void lost_and_handed_in_again(int64_t ahead_ms)
{
    back_up();
    judge_in_custody(5);
    runs_and_ends(5);
    judged.now_ns = judged.workload->tasks[5].submit_ns;
    put_back(ahead_ms);
    judge_accepted(5);
    granted_anew(5, false);
    judge_started(W2, 5, above_floor);
}

Test(judges_of_restores, see_a_lost_id_start_again_unmarked)
{
    lost_and_handed_in_again(1000);
    JUDGE_SAYS("was forgotten with a restored backup, unmarked");
}

Test(judges_of_restores, ask_for_no_mark_where_the_id_seems_to_be_made_later)
{
    lost_and_handed_in_again(-1000);
    JUDGE_IS_SILENT();
}
