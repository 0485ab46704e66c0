/* outcome.c - the outcome of a task as the client will see it: one map, put once, reported until it is
 * settled.
 *
 * The record ends at the head of "history"; the entries are records of their own (ATTEMPTS) and are spliced
 * behind it when the OUTCOME is built. History lists the attempts before the one that ended the task. */
#include "proto/assert.h"
#include "proto/bug.h"
#include "region/region_state.h"

enum {
    HISTORY_BYTES_MAX = 16 * 1024,
    HISTORY_ENTRY_BYTES = 512, /* bound of one */
    OUTCOME_HEAD_BYTES = 64,
    RESULT_FIELDS = 3,
};

struct fence region_fence_above(const struct task *task)
{
    return (struct fence){(uint32_t)task->custody, task->fence.epoch, task->fence.attempt};
}

static void write_where(struct writer *writer, const struct region *region, const char *worker)
{
    uint8_t text[2 * NAME_BYTES_MAX + 1];
    size_t name = strlen(region->options.name), size = 0;
    if (worker[0] != '\0') {
        memcpy(text, region->options.name, name);
        text[name] = '/';
        size_t rest = strlen(worker);
        memcpy(text + name + 1, worker, rest);
        size = name + 1 + rest;
    }
    write_str_bytes(writer, (struct bytes){text, size});
}

static bool has_room(const struct region *region, size_t size, const struct outputs *outputs)
{
    return room_for_result(&region->room, region->tasks.tasks.live, size, outputs);
}

/* Its result, or none if the store has no room for it; the reason then says so. */
static struct bytes fitting_result(struct region *region, const struct task *task,
                                   const struct attempt_end *end, const char **ret_reason,
                                   struct outputs *outputs)
{
    size_t size = end->result.size;
    *ret_reason = end->reason;
    room_learn(&region->room, size);
    if (has_room(region, size, outputs))
        return end->result;
    outputs_trace(outputs, TRACE_RESULT_DROPPED, &task->id, size, end->end);
    *ret_reason = "result_dropped";
    return (struct bytes){end->result.data, 0};
}

void region_end(struct region *region, uint32_t index, const struct attempt_end *end, struct outputs *outputs)
{
    const struct task *task = ledger_task(&region->tasks, index);
    const char *reason;
    struct bytes result = fitting_result(region, task, end, &reason, outputs);
    uint8_t fence[FENCE_BYTES];
    fence_encode(task->fence, fence); /* what its process was given, whatever custody it is reported under */
    struct writer *writer = outputs_put(outputs, TABLE_OUTCOMES, task->arrival, 0);
    size_t from = writer->size;
    write_map(writer, 7);
    write_str(writer, "reason");
    write_str(writer, reason);
    write_str(writer, "worker");
    write_where(writer, region, end->worker);
    write_str(writer, "attempt");
    write_uint(writer, task_attempt(task));
    write_str(writer, "attempts_max");
    write_uint(writer, task_attempts_max(task));
    write_str(writer, "fence");
    write_bin(writer, (struct bytes){fence, FENCE_BYTES});
    write_str(writer, "result");
    if (result.size == 0)
        write_nil(writer);
    size_t size = writer->size - from;
    outputs_put_borrow(outputs, result);
    from = writer->size;
    write_str(writer, "history");
    write_array(writer, task->history_count);
    size += result.size + (writer->size - from);
    outputs_put_end(outputs);
    ledger_keep_ended(&region->tasks, index, end->end, (uint32_t)size, outputs);
    region_report(region, index, outputs);
    if (BUG(OUTCOME_NOT_KEPT))
        ledger_forget(&region->tasks, index, outputs);
    region->dispatch = true;
}

/* The raw value of `key` in a worker's result map; nil if there is none. */
static void write_result_field(struct writer *writer, struct bytes result, const char *key)
{
    struct bytes value = read_map_value(result, key);
    write_str(writer, key);
    if (value.size == 0 || value.size > 9)
        write_nil(writer);
    else
        write_raw(writer, value);
}

void region_remember(struct region *region, uint32_t index, const struct attempt_end *end,
                     struct outputs *outputs)
{
    struct task *task = ledger_task(&region->tasks, index);
    if (task->history_size > HISTORY_BYTES_MAX || task->history_count == UINT8_MAX ||
        !has_room(region, HISTORY_ENTRY_BYTES, outputs))
        return; /* the counts go on; the story is long enough, or there is no room for it */
    struct writer *writer = outputs_put(outputs, TABLE_ATTEMPTS, task->arrival, task->history_count);
    size_t from = writer->size;
    write_map(writer, 4 + RESULT_FIELDS);
    write_str(writer, "attempt");
    write_uint(writer, task_attempt(task));
    write_str(writer, "worker");
    write_where(writer, region, end->worker);
    write_str(writer, "end");
    write_str(writer, end->lost ? "lost" : task_end_text(end->end));
    write_str(writer, "reason");
    write_str(writer, end->reason);
    write_result_field(writer, end->result, "exit");
    write_result_field(writer, end->result, "signal");
    write_result_field(writer, end->result, "run_ms");
    task->history_size = (uint16_t)(task->history_size + (writer->size - from));
    task->history_count++;
    outputs_put_end(outputs);
}

void region_report(struct region *region, uint32_t index, struct outputs *outputs)
{
    const struct task *task = ledger_task(&region->tasks, index);
    ASSERT(task->state == TASK_ENDED);
    if (!uplink_is_up(&region->uplink) || (region->report_next != 0 && index >= region->report_next))
        return; /* its turn comes */
    struct outcome_entry entry = {
        .id = task->id,
        .fence = region_fence_above(task),
        .end = (enum task_end)task->end,
        .flags = OUTCOME_DEAD | (task->flags & TASK_DUP_POSSIBLE ? OUTCOME_DUP_POSSIBLE : 0),
    };
    uint32_t message;
    size_t history_size = task->end == TASK_RETURNED ? 0 : task->history_size; /* a bare map has none */
    size_t bound = OUTCOME_HEAD_BYTES + task->outcome_size + history_size;
    struct writer *writer = outputs_entry(outputs, uplink_peer(&region->uplink), MESSAGE_OUTCOME,
                                          &region->uplink.link, bound, &message);
    outcome_entry_write_head(writer, &entry);
    outputs_message_record(outputs, TABLE_OUTCOMES, task->arrival, 0, task->outcome_size);
    if (history_size > 0)
        outputs_message_record(outputs, TABLE_ATTEMPTS, task->arrival, PART_ALL, history_size);
    outputs_entry_end(outputs);
}
