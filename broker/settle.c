/* settle.c - the end of a task at the broker: outcome, ended id, watchers, and nothing of it left among the
 * living. */
#include "broker/broker_state.h"
#include "proto/assert.h"

static const char *const result_states[] = {"completed", "failed", "cancelled", "expired"};

void broker_write_result(struct outputs *outputs, struct writer *writer, const struct ended_entry *entry)
{
    write_map(writer, 4);
    write_str(writer, "id");
    write_bin(writer, (struct bytes){entry->id.bytes, TASK_ID_BYTES});
    write_str(writer, "state");
    write_str(writer, result_states[ended_end(entry)]);
    write_str(writer, "dup_possible");
    write_bool(writer, (entry->arrival_and_bits & ENDED_DUP) != 0);
    write_str(writer, "outcome");
    if (entry->outcome_size == 0)
        write_nil(writer); /* its time to live is over */
    else
        outputs_message_record(outputs, TABLE_OUTCOMES, ended_arrival(entry), 0, entry->outcome_size);
}

static void count_end(struct broker *broker, enum task_end end)
{
    uint64_t *const counters[] = {&broker->counters.completed, &broker->counters.failed,
                                  &broker->counters.cancelled, &broker->counters.expired};
    ASSERT((size_t)end < sizeof counters / sizeof counters[0]);
    ++*counters[end];
}

/* The custody whose OUTCOME has been recorded: of a grant that was lost none has, so it gets a number that no
 * grant has had. */
static uint32_t recorded_custody(const struct broker *broker, const struct task *task)
{
    bool lost = task->flags & TASK_GRANT_LOST;
    return lost ? broker_next_fence(broker, task).custody : task->fence.custody;
}

/* The outcome record is put; the task becomes an ended id. */
static void finish(struct broker *broker, uint32_t index, enum task_end end, bool dup, size_t outcome_size,
                   struct outputs *outputs)
{
    struct task *task = ledger_task(&broker->tasks, index);
    uint32_t custody = recorded_custody(broker, task);
    struct ended_entry entry = {
        .id = task->id,
        .body_hash = (uint32_t)task->body_hash,
        .outcome_size = (uint32_t)outcome_size & ENDED_OUTCOME_BYTES_MAX,
        .custody_high = custody >> 24,
        .late = dup && task->flags & TASK_LATE,
        .arrival_and_bits = task->arrival << 8 | (custody & 15) << 4 | (dup ? ENDED_DUP : 0) | end,
    };
    watches_on_end(&broker->watches, task);
    outputs_trace(outputs, TRACE_TASK_ENDED, &task->id, end, 0);
    ledger_forget(&broker->tasks, index, outputs);
    bool room = map_put(&broker->tasks.by_id, &entry.id, ended_add(&broker->ended, &entry));
    ASSERT(room); /* the map has just given up an entry */
    count_end(broker, end);
    broker->dispatch = true;
}

/* The outcome without what makes it large. Returns its size. */
static size_t put_without_result(struct outputs *outputs, uint64_t arrival, struct bytes outcome)
{
    static const char *const kept[] = {"worker", "attempt", "attempts_max", "fence"};
    enum { KEPT = sizeof kept / sizeof kept[0], VALUE_BYTES_MAX = 2 * NAME_BYTES_MAX + 8 };
    struct writer *writer = outputs_put(outputs, TABLE_OUTCOMES, arrival, 0);
    size_t from = writer->size;
    write_map(writer, KEPT + 3);
    write_str(writer, "reason");
    write_str(writer, "result_dropped");
    for (int i = 0; i < KEPT; i++) {
        struct bytes value = read_map_value(outcome, kept[i]);
        write_str(writer, kept[i]);
        if (value.size == 0 || value.size > VALUE_BYTES_MAX)
            write_nil(writer);
        else
            write_raw(writer, value);
    }
    write_str(writer, "result");
    write_nil(writer);
    write_str(writer, "history");
    write_array(writer, 0);
    size_t size = writer->size - from;
    outputs_put_end(outputs);
    return size;
}

void broker_settle(struct broker *broker, uint32_t index, const struct outcome_entry *entry,
                   struct outputs *outputs)
{
    const struct task *task = ledger_task(&broker->tasks, index);
    size_t size = entry->outcome.size;
    room_learn(&broker->room, size);
    if (room_for_result(&broker->room, broker->tasks.tasks.live, size, outputs)) {
        outputs_put(outputs, TABLE_OUTCOMES, task->arrival, 0);
        outputs_put_borrow(outputs, entry->outcome);
        outputs_put_end(outputs);
    } else {
        outputs_trace(outputs, TRACE_RESULT_DROPPED, &task->id, size, entry->end);
        broker->counters.dropped++;
        size = put_without_result(outputs, task->arrival, entry->outcome);
    }
    bool dup = (task->flags & TASK_DUP_POSSIBLE) != 0 || (entry->flags & OUTCOME_DUP_POSSIBLE) != 0;
    finish(broker, index, entry->end, dup, size, outputs);
}

void broker_end(struct broker *broker, uint32_t index, enum task_end end, const char *reason,
                struct outputs *outputs)
{
    const struct task *task = ledger_task(&broker->tasks, index);
    uint8_t fence[FENCE_BYTES];
    fence_encode(task->fence, fence);
    struct writer *writer = outputs_put(outputs, TABLE_OUTCOMES, task->arrival, 0);
    size_t from = writer->size;
    write_map(writer, 7);
    write_str(writer, "reason");
    write_str(writer, reason);
    write_str(writer, "worker");
    write_str(writer, "");
    write_str(writer, "attempt");
    write_uint(writer, task_attempt(task));
    write_str(writer, "attempts_max");
    write_uint(writer, task_attempts_max(task));
    write_str(writer, "fence");
    write_bin(writer, (struct bytes){fence, FENCE_BYTES});
    write_str(writer, "result");
    write_nil(writer);
    write_str(writer, "history");
    write_array(writer, 0);
    size_t size = writer->size - from;
    outputs_put_end(outputs);
    finish(broker, index, end, (task->flags & TASK_DUP_POSSIBLE) != 0, size, outputs);
}
