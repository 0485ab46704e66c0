/* review_restore_test.c - a restart with a lower limit of tasks than are held. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "engine/ledger.h"

static struct ledger *ledger;

static bool restore(enum table table, uint64_t number, struct bytes value)
{
    struct event event = {.kind = EVENT_RESTORE, .record = {table, number, 0, value}};
    return ledger_restore(ledger, &event);
}

Test(review_restore, what_was_accepted_is_restored_whatever_the_limit_is_now)
{
    enum { TASKS = 3 };
    static const struct ledger_options options = {.tasks_max = 1};
    uint8_t bytes[256];
    ledger = calloc(1, sizeof *ledger);
    cr_assert_not_null(ledger);
    ledger_init(ledger, &options, NULL);
    cr_assert(restore(TABLE_CLASSES, 1, bytes_of("\x93\xa1t\x90\xa0")));
    for (uint8_t i = 1; i <= TASKS; i++) {
        struct writer writer;
        struct task task = {.id = {{i}}, .class = 1, .state = TASK_READY, .priority = PRIORITY_NORMAL};
        writer_init(&writer, bytes, sizeof bytes);
        task_record_write(&writer, &task, 0, 0);
        cr_expect(restore(TABLE_STATES, i, writer_bytes(&writer)), "task %d", i);
    }
    cr_expect_eq(ledger->counts[TASK_READY], TASKS);
    ledger_release(ledger);
    free(ledger);
}
