/* review_restore_test.c - a restart with a lower limit of tasks than are held, and with a task too many. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "engine/ledger.h"

static struct ledger *ledger;

static bool restore(enum table table, uint64_t number, struct bytes value)
{
    struct event event = {.kind = EVENT_RESTORE, .record = {table, number, 0, value}};
    return ledger_restore(ledger, &event);
}

static void open_ledger(void)
{
    static const struct ledger_options options = {.tasks_max = 1};
    ledger = calloc(1, sizeof *ledger);
    cr_assert_not_null(ledger);
    ledger_init(ledger, &options, NULL);
    cr_assert(restore(TABLE_CLASSES, 1, bytes_of("\x93\xa1t\x90\xa0")));
}

static void close_ledger(void)
{
    ledger_release(ledger);
    free(ledger);
}

TestSuite(review_restore, .init = open_ledger, .fini = close_ledger);

static bool restore_ready(uint64_t arrival, uint8_t id)
{
    uint8_t bytes[256];
    struct writer writer;
    struct task task = {.id = {{id}}, .class = 1, .state = TASK_READY, .priority = PRIORITY_NORMAL};
    writer_init(&writer, bytes, sizeof bytes);
    task_record_write(&writer, &task, 0, 0);
    return restore(TABLE_STATES, arrival, writer_bytes(&writer));
}

Test(review_restore, what_was_accepted_is_restored_whatever_the_limit_is_now)
{
    enum { TASKS = 3 };
    for (uint8_t i = 1; i <= TASKS; i++)
        cr_expect(restore_ready(i, i), "task %d", i);
    cr_expect_eq(ledger->counts[TASK_READY], TASKS);
}

Test(review_restore, two_tasks_of_one_id_are_refused)
{
    cr_expect(restore_ready(1, 7));
    cr_expect_not(restore_ready(2, 7));
}

/* A clock that says the year 2,400,000, and what is written then. */
Test(review_restore, no_wall_clock_makes_a_record_that_is_none)
{
    static const uint64_t wall_ms[] = {77303951790835000, UINT64_MAX, 1750000000000};
    uint8_t bytes[256];
    struct task task = {.id = {{1}}, .class = 1, .state = TASK_READY, .priority = PRIORITY_NORMAL};
    for (int i = 0; i < 3; i++) {
        struct writer writer;
        writer_init(&writer, bytes, sizeof bytes);
        task_record_write(&writer, &task, 1000, i == 0 ? 0 : wall_ms[i - 1]);
        cr_assert(task_record_read(writer_bytes(&writer), &task, 1000, wall_ms[i]), "%d", i);
        cr_expect_gt(task_age_ms(&task, 1000), 0, "it has been there all that time");
    }
}
