/* task_test.c - the table of moves, and the state record over a restart. */
#include "engine/task.h"

#include <criterion/criterion.h>
#include <signal.h>

#define SECOND 1000000000ull

/* 'x' where the row's state may become the column's: none, delayed, ready, granted, running, ended. */
static const char *const moves[TASK_STATE_COUNT] = {
    [TASK_NONE] = ".xxx.x",    [TASK_DELAYED] = "x.xx.x", [TASK_READY] = "xx.x.x",
    [TASK_GRANTED] = "xxx.xx", [TASK_RUNNING] = "xxx..x", [TASK_ENDED] = "x.....",
};

Test(task, moves_as_the_table_says)
{
    for (int from = 0; from < TASK_STATE_COUNT; from++)
        for (int to = 0; to < TASK_STATE_COUNT; to++) {
            struct task task = {.state = (uint8_t)from};
            if (moves[from][to] != 'x')
                continue;
            task_move(&task, (enum task_state)to);
            cr_expect_eq(task.state, to);
        }
}

static void move(enum task_state from, enum task_state to)
{
    struct task task = {.state = (uint8_t)from};
    task_move(&task, to);
}

Test(task, an_ended_one_never_runs_again, .signal = SIGABRT)
{
    move(TASK_ENDED, TASK_READY);
}

Test(task, nothing_runs_that_was_not_granted, .signal = SIGABRT)
{
    move(TASK_READY, TASK_RUNNING);
}

Test(task, a_running_one_is_not_granted_again, .signal = SIGABRT)
{
    move(TASK_RUNNING, TASK_GRANTED);
}

Test(task, counts_attempts_of_every_kind)
{
    struct task task = {.retries = 3};
    cr_expect_eq(task_attempt(&task), 1);
    cr_expect_eq(task_attempts_max(&task), 4);
    task.errors = 1;
    task.losses = 2;
    task.reruns = 1;
    cr_expect_eq(task_attempt(&task), 5);
    cr_expect_eq(task_attempts_max(&task), 7, "losses and reruns do not use up retries");
}

/* What a child reports, against what was granted. */
static const struct {
    struct fence granted, reported;
    bool named;
} names[] = {
    {{3, 7, 2}, {3, 7, 2}, true}, {{3, 7, 2}, {3, 7, 1}, false}, {{3, 7, 2}, {3, 6, 2}, false},
    {{3, 0, 0}, {3, 7, 2}, true}, {{3, 0, 0}, {2, 7, 2}, false}, {{3, 0, 0}, {3, 0, 0}, true},
};

Test(task, a_brokers_grant_is_named_by_its_custody)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        cr_expect_eq(fence_names(names[i].granted, names[i].reported), names[i].named, "row %zu", i);
}

/* ---- the record ---- */

static uint8_t buffer[512];

static struct bytes record_of(const struct task *task, uint64_t now_ns, uint64_t wall_ms)
{
    struct writer writer;
    writer_init(&writer, buffer, sizeof buffer);
    task_record_write(&writer, task, now_ns, wall_ms);
    return writer_bytes(&writer);
}

static struct task sample(enum task_state state)
{
    return (struct task){
        .id = {{1, 2, 3}},
        .body_hash = 0x123456789abcdef0,
        .born_ns = (int64_t)(100 * SECOND),
        .fence = {4, 1700000000, 6},
        .envelope_size = 300,
        .outcome_size = 77,
        .timeout_ms = 5000,
        .deadline_ms = 60000,
        .first_grant_ms = 12,
        .class = 9,
        .retries = 1000,
        .errors = 999,
        .history_size = 16000,
        .state = (uint8_t)state,
        .priority = PRIORITY_LOW,
        .end = TASK_EXPIRED,
        .flags = TASK_DUP_POSSIBLE | TASK_CANCELLING | TASK_TIMED_OUT | TASK_STOPPED,
        .losses = 2,
        .reruns = 3,
        .history_count = 255,
    };
}

Test(task, its_record_comes_back_whole)
{
    struct task task = sample(TASK_ENDED), back;
    cr_assert(task_record_read(record_of(&task, 110 * SECOND, 5000), &back, 110 * SECOND, 5000));
    cr_expect(task_id_equal(&back.id, &task.id));
    cr_expect_eq(back.body_hash, task.body_hash);
    cr_expect_eq(back.born_ns, task.born_ns);
    cr_expect_eq(fence_compare(back.fence, task.fence), 0);
    cr_expect_eq(back.envelope_size, task.envelope_size);
    cr_expect_eq(back.outcome_size, task.outcome_size);
    cr_expect_eq(back.timeout_ms, task.timeout_ms);
    cr_expect_eq(back.deadline_ms, task.deadline_ms);
    cr_expect_eq(back.first_grant_ms, task.first_grant_ms);
    cr_expect_eq(back.class, task.class);
    cr_expect_eq(back.retries, task.retries);
    cr_expect_eq(back.errors, task.errors);
    cr_expect_eq(back.history_size, task.history_size);
    cr_expect_eq(back.state, TASK_ENDED);
    cr_expect_eq(back.priority, PRIORITY_LOW);
    cr_expect_eq(back.end, TASK_EXPIRED);
    cr_expect_eq(back.flags, TASK_DUP_POSSIBLE | TASK_CANCELLING, "only what a restart must know");
    cr_expect_eq(back.losses, task.losses);
    cr_expect_eq(back.reruns, task.reruns);
    cr_expect_eq(back.history_count, task.history_count);
}

Test(task, a_watch_is_not_kept)
{
    struct task task = sample(TASK_READY), back;
    cr_assert(task_record_read(record_of(&task, 110 * SECOND, 0), &back, 0, 0));
    cr_expect_eq(back.watch, 0);
}

/* At restore a grant counts if its fence is above the record's. */
Test(task, the_record_of_a_granted_one_leaves_its_grant_open)
{
    struct task task = sample(TASK_RUNNING), back;
    cr_assert(task_record_read(record_of(&task, 110 * SECOND, 0), &back, 0, 0));
    cr_expect_lt(fence_compare(back.fence, task.fence), 0);
    cr_expect_eq(fence_compare(back.fence, (struct fence){4, 1700000000, 5}), 0, "but none before it");
    task.fence = (struct fence){.custody = 4}; /* a broker's */
    cr_assert(task_record_read(record_of(&task, 110 * SECOND, 0), &back, 0, 0));
    cr_expect_eq(fence_compare(back.fence, (struct fence){.custody = 3}), 0);
}

/* Age at a restart: what it was, and the wall clock's progress if there was any. */
static const struct {
    uint64_t now_ns, wall_then_ms, wall_now_ms, age_ms;
} ages[] = {
    {50 * SECOND, 1000000, 1030000, 40000},
    {50 * SECOND, 1000000, 900000, 10000}, /* the wall clock was set back */
    {2 * SECOND, 1000000, 8200000, 7210000} /* the machine was started anew */,
};

Test(task, its_age_goes_on_over_a_restart)
{
    for (size_t i = 0; i < sizeof ages / sizeof ages[0]; i++) {
        struct task task = sample(TASK_READY), back;
        struct bytes record = record_of(&task, 110 * SECOND, ages[i].wall_then_ms);
        cr_assert(task_record_read(record, &back, ages[i].now_ns, ages[i].wall_now_ms));
        cr_expect_eq(task_age_ms(&back, ages[i].now_ns), ages[i].age_ms, "row %zu", i);
    }
}

Test(task, a_delay_goes_on_over_a_restart)
{
    struct task task = sample(TASK_DELAYED), back;
    task.due_ns = 130 * SECOND;
    struct bytes record = record_of(&task, 110 * SECOND, 1000000);
    cr_assert(task_record_read(record, &back, 500 * SECOND, 1005000));
    cr_expect_eq(back.due_ns, 515 * SECOND);
}

Test(task, a_delay_that_passed_while_the_machine_was_off_is_over)
{
    struct task task = sample(TASK_DELAYED), back;
    task.due_ns = 130 * SECOND;
    struct bytes record = record_of(&task, 110 * SECOND, 1000000);
    cr_assert(task_record_read(record, &back, 3 * SECOND, 1000000 + 3600000));
    cr_expect_leq(back.due_ns, 3 * SECOND);
}

Test(task, a_damaged_record_is_told)
{
    struct task task = sample(TASK_READY), back;
    struct bytes record = record_of(&task, 110 * SECOND, 0);
    for (size_t size = 0; size < record.size; size++)
        cr_expect_not(task_record_read((struct bytes){record.data, size}, &back, 0, 0), "%zu bytes", size);
    buffer[0] = 0x90; /* an array of none */
    cr_expect_not(task_record_read((struct bytes){buffer, 1}, &back, 0, 0));
}
