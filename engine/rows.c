/* rows.c - see rows.h. */
#include "engine/rows.h"

#include "proto/assert.h"

const char *task_shown_state(const struct task *task)
{
    return task->flags & TASK_CANCELLING ? "cancelling" : task_state_text((enum task_state)task->state);
}

uint32_t task_state_rank(struct bytes state)
{
    static const char *const order[] = {"running", "cancelling", "granted", "ready", "delayed", "waiting"};
    uint32_t rank = 0;
    while (rank < sizeof order / sizeof order[0] && !bytes_are(state, order[rank]))
        rank++;
    return rank;
}

static void write_where(struct writer *writer, const struct task_row *row)
{
    uint8_t text[2 * NAME_BYTES_MAX + 1];
    size_t size = row->region.size;
    if (size > 0)
        memcpy(text, row->region.data, size);
    if (row->worker.size > 0) {
        text[size++] = '/';
        memcpy(text + size, row->worker.data, row->worker.size);
        size += row->worker.size;
    }
    write_str_bytes(writer, (struct bytes){text, size});
}

void task_row_write(struct writer *writer, const struct ledger *ledger, const struct task *task,
                    const struct task_row *row, uint32_t more_fields)
{
    struct requirement requirement;
    classes_requirement(&ledger->classes, task->class, &requirement);
    write_map(writer, TASK_ROW_FIELDS + more_fields);
    write_str(writer, "id");
    write_bin(writer, (struct bytes){task->id.bytes, TASK_ID_BYTES});
    write_str(writer, "state");
    write_str(writer, row->state);
    write_str(writer, "where");
    write_where(writer, row);
    write_str(writer, "attempt");
    write_uint(writer, task_attempt(task));
    write_str(writer, "attempts_max");
    write_uint(writer, task_attempts_max(task));
    write_str(writer, "age_ms");
    write_uint(writer, task_age_ms(task, ledger->now_ns));
    write_str(writer, "reason");
    write_str(writer, row->reason);
    write_str(writer, "dup_possible");
    write_bool(writer, (task->flags & TASK_DUP_POSSIBLE) != 0);
    write_str(writer, "type");
    write_str_bytes(writer, requirement.type);
    write_str(writer, "priority");
    write_str(writer, priority_text((enum priority)task->priority));
    write_str(writer, "stale");
    write_bool(writer, row->stale);
}
