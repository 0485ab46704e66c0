/* ledger_test.c - the books of a node: counts, grants and their records, restore by the highest fence. */
#include "engine/ledger.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { RECORDS = 4096, RECORD_BYTES = 2100 };

static struct ledger *ledger;
static struct outputs outputs;
static struct event event;
static struct {
    enum table table;
    uint64_t number;
    size_t size;
    uint8_t bytes[RECORD_BYTES];
} * records;
static uint32_t record_count;

static void begin(void)
{
    static const struct ledger_options options = {
        .tasks_max = 10000, .children = {.beat_ms = 1000, .grace_ms = 10000, .role = "worker"}};
    ledger = calloc(1, sizeof *ledger);
    cr_assert_not_null(ledger);
    ledger_init(ledger, &options, NULL);
    ledger_begin_step(ledger, &event);
}

static void set_up(void)
{
    cr_assert(outputs_init(&outputs));
    outputs_begin_step(&outputs);
    records = calloc(RECORDS, sizeof *records);
    cr_assert_not_null(records);
    event = (struct event){.now_ns = 1000 * NANOSECONDS_PER_MS, .wall_ms = 1000000};
    begin();
}

static void tear_down(void)
{
    ledger_release(ledger);
    free(ledger);
    free(records);
    outputs_release(&outputs);
}

TestSuite(ledger, .init = set_up, .fini = tear_down);

/* ---- a store of the last content of each record ---- */

static uint32_t find(enum table table, uint64_t number)
{
    uint32_t at = 0;
    while (at < record_count && (records[at].table != table || records[at].number != number))
        at++;
    return at;
}

/* The end of a step: its writes become the store. Returns how many records it put. */
static uint32_t end_step(void)
{
    uint32_t puts = 0;
    ledger_end_step(ledger, &outputs);
    for (uint32_t i = 0; i < outputs.write_count; i++) {
        const struct write *write = &outputs.writes[i];
        uint32_t at = find(write->table, write->number);
        if (write->kind == WRITE_ERASE) {
            cr_assert_lt(at, record_count, "what is erased was there");
            records[at] = records[--record_count];
            continue;
        }
        puts++;
        record_count += at == record_count;
        cr_assert_lt(record_count, RECORDS);
        cr_assert_leq(write->value.size, RECORD_BYTES);
        records[at].table = write->table;
        records[at].number = write->number;
        records[at].size = write->value.size;
        cr_assert(pieces_copy(&outputs, &write->value, records[at].bytes, NULL, NULL));
    }
    outputs_close(&outputs);
    outputs_reset(&outputs);
    outputs_begin_step(&outputs);
    ledger_begin_step(ledger, &event);
    return puts;
}

static uint32_t stored(enum table table)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < record_count; i++)
        count += records[i].table == table;
    return count;
}

static void restart(void)
{
    ledger_release(ledger);
    free(ledger);
    begin();
    for (int table = 0; table < TABLE_COUNT; table++)
        for (uint64_t number = 1; table_is_restored((enum table)table) && number < 10000; number++) {
            uint32_t at = find((enum table)table, number);
            if (at == record_count)
                continue;
            event.record.table = (enum table)table;
            event.record.number = number;
            event.record.value = (struct bytes){records[at].bytes, records[at].size};
            cr_assert(ledger_restore(ledger, &event));
        }
    ledger_start(ledger, &outputs);
}

/* ---- a child and tasks ---- */

static struct child *join(const char *name, uint64_t number)
{
    static uint8_t frame[512];
    struct writer writer;
    struct message_header header;
    struct hello hello = {.name = bytes_of(name),
                          .role = bytes_of("worker"),
                          .instance = {(uint8_t)name[1]},
                          .boot = 1,
                          .version_min = 1,
                          .version_max = 1,
                          .profiles = bytes_of("\x91\x93\x91\xa1t\x90\x64")};
    struct child *child;
    writer_init(&writer, frame, sizeof frame);
    message_write_header(&writer, MESSAGE_HELLO, 1);
    hello_write(&writer, &hello);
    cr_assert_eq(message_read(writer_bytes(&writer), &header), READER_OK);
    event.peer = peer_make(PORT_CHILD, number);
    cr_assert_eq(children_on_message(&ledger->children, &event, &header, &outputs, &child), CHILD_NOTHING);
    child = children_by_name(&ledger->children, bytes_of(name));
    cr_assert_not_null(child);
    child->state = CHILD_LIVE;
    return child;
}

static uint32_t accept(uint32_t number, uint64_t delay_ms)
{
    struct task_fields fields = {.type = bytes_of("t"), .priority = PRIORITY_NORMAL, .delay_ms = delay_ms};
    struct acceptance acceptance = {.fields = &fields, .envelope = bytes_of("\x80"), .fence = {.custody = 1}};
    memcpy(acceptance.id.bytes, &number, sizeof number);
    uint32_t index = ledger_accept(ledger, &acceptance, &outputs);
    cr_assert_neq(index, 0);
    return index;
}

static uint32_t find_task(uint32_t number)
{
    struct task_id id = {{0}};
    memcpy(id.bytes, &number, sizeof number);
    return ledger_find(ledger, &id);
}

static void assign(uint32_t index, struct child *child, uint32_t epoch)
{
    struct fence fence = {1, epoch, ledger_task(ledger, index)->fence.attempt + 1};
    ledger_assign(ledger, index, child, fence, &outputs);
}

/* Counters are the sums over states and grants. */
static void check_counts(void)
{
    uint32_t counts[TASK_STATE_COUNT] = {0}, granted = 0;
    for (uint32_t i = 1; i < ledger->tasks.next_fresh; i++) {
        const struct task *task = ledger_task(ledger, i);
        counts[task->state]++;
        granted += task->grant != 0;
        cr_expect_eq(task_is_granted(task), task->grant != 0);
    }
    for (int state = TASK_DELAYED; state < TASK_STATE_COUNT; state++)
        cr_expect_eq(ledger->counts[state], counts[state], "%s", task_state_text((enum task_state)state));
    uint32_t of_children = 0;
    for (uint32_t i = 0; i < ledger->children.count; i++)
        of_children += ledger->children.all[i]->granted;
    cr_expect_eq(of_children, granted);
    cr_expect_eq(ledger->ready.count, counts[TASK_READY]);
}

Test(ledger, accept_puts_envelope_and_state)
{
    accept(1, 0);
    accept(2, 500);
    end_step();
    cr_expect_eq(stored(TABLE_ENVELOPES), 2);
    cr_expect_eq(stored(TABLE_STATES), 2);
    cr_expect_eq(ledger->counts[TASK_READY], 1);
    cr_expect_eq(ledger->counts[TASK_DELAYED], 1);
    cr_expect_eq(ledger_deadline_ns(ledger), event.now_ns + 500 * NANOSECONDS_PER_MS);
    check_counts();
}

Test(ledger, tasks_of_one_step_and_child_share_a_grant_record)
{
    uint32_t tasks[GRANT_TASKS_MAX + 1];
    struct child *w1 = join("w1", 1), *w2 = join("w2", 2);
    for (uint32_t i = 0; i <= GRANT_TASKS_MAX; i++)
        tasks[i] = accept(i + 1, 0);
    end_step();
    for (uint32_t i = 0; i < 10; i++)
        assign(tasks[i], i % 2 ? w1 : w2, 5);
    end_step();
    cr_expect_eq(stored(TABLE_GRANTS), 2);
    for (uint32_t i = 10; i <= GRANT_TASKS_MAX; i++)
        assign(tasks[i], w1, 5);
    end_step();
    cr_expect_eq(stored(TABLE_GRANTS), 3, "a new step, a new record");
    cr_expect_eq(w1->granted, GRANT_TASKS_MAX + 1 - 5);
    check_counts();
}

Test(ledger, a_full_grant_is_followed_by_another)
{
    struct child *w1 = join("w1", 1);
    for (uint32_t i = 0; i <= GRANT_TASKS_MAX; i++)
        assign(accept(i + 1, 0), w1, 5);
    end_step();
    cr_expect_eq(stored(TABLE_GRANTS), 2);
    restart();
    cr_expect_eq(ledger->counts[TASK_GRANTED], GRANT_TASKS_MAX + 1);
    check_counts();
}

Test(ledger, a_grant_without_tasks_is_erased)
{
    struct child *w1 = join("w1", 1);
    uint32_t task = accept(1, 0), other = accept(2, 0);
    end_step();
    assign(task, w1, 5);
    end_step();
    assign(other, w1, 5);
    end_step();
    cr_expect_eq(stored(TABLE_GRANTS), 2);
    ledger_requeue(ledger, task, READY_TAIL, 0, REASON_NONE, &outputs);
    end_step();
    cr_expect_eq(stored(TABLE_GRANTS), 1);
    ledger_forget(ledger, other, &outputs);
    end_step();
    cr_expect_eq(stored(TABLE_GRANTS), 0);
    cr_expect_eq(stored(TABLE_STATES), 1);
    cr_expect_eq(stored(TABLE_ENVELOPES), 1);
    cr_expect_eq(find_task(2), 0);
    check_counts();
}

/* Many stragglers: one task of each large grant goes on for ever. */
Test(ledger, a_grant_with_few_left_is_written_again)
{
    struct child *w1 = join("w1", 1);
    uint32_t tasks[80];
    for (uint32_t i = 0; i < 80; i++)
        assign(tasks[i] = accept(i + 1, 0), w1, 5);
    end_step();
    size_t size = records[find(TABLE_GRANTS, 1)].size;
    for (uint32_t i = 0; i < 60; i++)
        ledger_forget(ledger, tasks[i], &outputs);
    end_step();
    cr_expect_eq(records[find(TABLE_GRANTS, 1)].size, size, "a quarter is left: not yet");
    ledger_forget(ledger, tasks[60], &outputs);
    cr_expect_eq(end_step(), 1);
    cr_expect_lt(records[find(TABLE_GRANTS, 1)].size, size / 4 + 20);
    restart();
    cr_expect_eq(ledger->counts[TASK_GRANTED], 19);
    cr_expect_eq(stored(TABLE_GRANTS), 1);
    check_counts();
}

Test(ledger, the_highest_fence_holds_after_a_restart)
{
    struct child *w1 = join("w1", 1), *w2 = join("w2", 2);
    uint32_t moved = accept(1, 0), stays = accept(2, 0), back = accept(3, 0);
    assign(moved, w1, 5);
    assign(stays, w1, 5);
    assign(back, w1, 5);
    end_step();
    ledger_requeue(ledger, moved, READY_TAIL, 0, REASON_NONE, &outputs);
    ledger_requeue(ledger, back, READY_TAIL, 0, REASON_NONE, &outputs);
    assign(moved, w2, 5);
    end_step();
    restart();
    w1 = children_by_name(&ledger->children, bytes_of("w1"));
    w2 = children_by_name(&ledger->children, bytes_of("w2"));
    cr_expect_eq(ledger_holder(ledger, ledger_task(ledger, find_task(1))), w2);
    cr_expect_eq(ledger_holder(ledger, ledger_task(ledger, find_task(2))), w1);
    cr_expect_null(ledger_holder(ledger, ledger_task(ledger, find_task(3))));
    cr_expect_eq(ledger_task(ledger, find_task(1))->fence.attempt, 2);
    cr_expect_eq(ledger_task(ledger, find_task(3))->fence.attempt, 1, "its next fence is higher");
    cr_expect_eq(ledger->highest_epoch, 5);
    check_counts();
}

Test(ledger, a_state_put_while_granted_does_not_end_the_grant)
{
    struct child *w1 = join("w1", 1);
    uint32_t task = accept(1, 0);
    assign(task, w1, 5);
    end_step();
    ledger_task(ledger, task)->flags |= TASK_CANCELLING;
    ledger_put_state(ledger, task, &outputs);
    end_step();
    restart();
    const struct task *back = ledger_task(ledger, find_task(1));
    cr_expect_eq(back->state, TASK_GRANTED);
    cr_expect(back->flags & TASK_CANCELLING);
    cr_expect_eq(back->fence.attempt, 1);
    check_counts();
}

Test(ledger, arrivals_and_grants_number_on_after_a_restart)
{
    struct child *w1 = join("w1", 1);
    assign(accept(1, 0), w1, 5);
    end_step();
    restart();
    w1 = children_by_name(&ledger->children, bytes_of("w1"));
    uint32_t task = accept(2, 0);
    cr_expect_eq(ledger_task(ledger, task)->arrival, 2);
    w1->peer = peer_make(PORT_CHILD, 9);
    assign(task, w1, 6);
    w1->peer = 0;
    end_step();
    cr_expect_eq(stored(TABLE_GRANTS), 2);
    check_counts();
}

Test(ledger, at_its_bound_it_takes_no_more)
{
    struct task_fields fields = {.type = bytes_of("t")};
    struct acceptance acceptance = {.fields = &fields, .envelope = bytes_of("\x80")};
    for (uint32_t i = 1; i <= 10001; i++) {
        memcpy(acceptance.id.bytes, &i, sizeof i);
        cr_assert_eq(ledger_accept(ledger, &acceptance, &outputs) != 0, i <= 10000, "%u", i);
        if (i % 1000 == 0) {
            outputs_reset(&outputs);
            outputs_begin_step(&outputs);
        }
    }
}
