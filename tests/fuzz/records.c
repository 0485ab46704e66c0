/* records.c - fuzz target: records as a store might give them back, through the readers of the engine.
 *
 * The store seals its records (store/lmdb_io.h), so a node takes what it restores for its own and asserts
 * that. The readers do not: whatever the bytes are, they say no or yield a ledger that can be started, asked
 * and released. The input is a list of records; the first that is refused ends the restore, as it ends a
 * node's start. */
#include <stdlib.h>

#include "engine/ledger.h"
#include "tests/fuzz/bench_checks.h"
#include "tests/fuzz/input.h"

enum { RECORDS_MAX = 64, TASKS_MAX = 100, RECORD_ROOM = 4096 };

static struct outputs outputs;

/* A state that was read is written and read again as the same. */
static void check_state(const struct event *event)
{
    uint8_t first_bytes[RECORD_ROOM], second_bytes[RECORD_ROOM];
    struct writer first, second;
    struct task task, again;
    struct bytes record = event->record.value;
    if (!task_record_read(record, &task, event->now_ns, event->wall_ms))
        return;
    if (task.state != TASK_DELAYED && task.state != TASK_READY)
        return; /* a granted one is written with the fence below its own */
    writer_init(&first, first_bytes, sizeof first_bytes);
    writer_init(&second, second_bytes, sizeof second_bytes);
    task_record_write(&first, &task, event->now_ns, event->wall_ms);
    check(task_record_read(writer_bytes(&first), &again, event->now_ns, event->wall_ms),
          "a state that was written is read");
    task_record_write(&second, &again, event->now_ns, event->wall_ms);
    check(bytes_equal(writer_bytes(&first), writer_bytes(&second)), "a state is written as it was read");
}

/* As a store gives them: tables in order, numbers ascending. */
static bool take_record(struct input *input, struct event *event)
{
    static const enum table tables[] = {TABLE_CLASSES, TABLE_CHILDREN, TABLE_STATES, TABLE_GRANTS,
                                        TABLE_ENDED};
    enum { TABLES = sizeof tables / sizeof tables[0] };
    uint32_t byte = take_byte(input), at = 0;
    while (at < TABLES && tables[at] != event->record.table)
        at++;
    if (at == TABLES)
        at = 0;
    for (uint32_t skip = byte & 3; skip > 0 && at + 1 < TABLES; skip--)
        at++;
    uint64_t after = tables[at] == event->record.table ? event->record.number : 0;
    uint64_t number = byte >= 0xe0 ? take_number(input) : after + 1 + (byte >> 6);
    if (number <= after)
        return false;
    event->record.table = tables[at];
    event->record.number = number;
    event->record.value = take_run(input, 255);
    return event->record.value.size != 0;
}

static void use(struct ledger *ledger, const struct event *event)
{
    outputs_begin_step(&outputs);
    ledger_begin_step(ledger, event);
    ledger_start(ledger, &outputs);
    ledger_end_step(ledger, &outputs);
    check_ledger(ledger);
    (void)ledger_due(ledger);
    (void)ledger_deadline_ns(ledger);
    (void)ended_expire(ledger->ended, event->wall_ms, &ledger->by_id, &outputs);
    check_step(&outputs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    static struct ledger ledger; /* large, and set up anew each time */
    struct input input = {data, data + size};
    struct ended ended;
    struct ledger_options options = {.tasks_max = TASKS_MAX,
                                     .children = {.beat_ms = 1000, .grace_ms = 10000, .role = "worker"}};
    struct event event = {.kind = EVENT_RESTORE,
                          .now_ns = 1000 * 1000 * NANOSECONDS_PER_MS,
                          .wall_ms = 1750000000000,
                          .record = {.table = TABLE_COUNT}};
    if (!ready)
        check(outputs_init(&outputs), "there is memory for outputs");
    ready = true;
    outputs_reset(&outputs);
    ended_init(&ended, TASKS_MAX, 3600 * 1000, 3600 * 1000);
    ledger_init(&ledger, &options, &ended);
    ledger_begin_step(&ledger, &event);
    bool good = true;
    for (int i = 0; good && i < RECORDS_MAX && take_record(&input, &event); i++) {
        if (event.record.table == TABLE_STATES)
            check_state(&event);
        good = ledger_restore(&ledger, &event);
    }
    if (good)
        use(&ledger, &event);
    ledger_release(&ledger);
    ended_release(&ended);
    return 0;
}
