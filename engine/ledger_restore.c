/* ledger_restore.c - a restart: records come back in the order of their tables, then queues are built once.
 */
#include "engine/ledger.h"
#include "proto/assert.h"
#include "proto/bug.h"

static bool restore_state(struct ledger *ledger, uint64_t arrival, struct bytes record)
{
    struct task task;
    if (!task_record_read(record, &task, ledger->now_ns, ledger->wall_ms) || task.state == TASK_NONE ||
        task.class == 0 || task.class > ledger->classes.count || map_find(&ledger->by_id, &task.id) != 0)
        return false;
    if (ledger->tasks.live ==
        ledger->tasks.items_max) { /* limits.tasks was lowered: what was accepted stays */
        ledger->tasks.items_max++;
        ledger->grants.items_max++;
    }
    uint32_t index = slab_take(&ledger->tasks);
    if (index == 0 || !slab_reserve(&ledger->grants, ledger->tasks.live))
        return false;
    enum task_state state = (enum task_state)task.state;
    if (state == TASK_GRANTED || state == TASK_RUNNING)
        state = TASK_READY;    /* who has it, the grants say */
    if (state == TASK_DELAYED) /* it waits for its own delay, or since an attempt at placing it */
        task.reason = task.first_grant_ms == 0 ? REASON_DELAY : REASON_BACKOFF;
    task.state = TASK_NONE;
    task.arrival = arrival;
    *ledger_task(ledger, index) = task;
    ledger_move(ledger, ledger_task(ledger, index), state);
    ledger->classes.tasks[task.class]++;
    ledger->next_arrival = arrival + 1;
    if (task.fence.epoch > ledger->highest_epoch)
        ledger->highest_epoch = task.fence.epoch;
    return map_put(&ledger->by_id, &task.id, index);
}

bool ledger_restore(struct ledger *ledger, const struct event *event)
{
    uint64_t number = event->record.number;
    struct bytes value = event->record.value;
    switch (event->record.table) {
    case TABLE_CLASSES:
        return classes_restore(&ledger->classes, number, value);
    case TABLE_CHILDREN:
        return children_restore(&ledger->children, number, value);
    case TABLE_STATES:
        return restore_state(ledger, number, value);
    case TABLE_GRANTS:
        return grants_restore(ledger, number, value);
    case TABLE_ENDED:
        if (BUG(ENDED_FORGOTTEN_AT_RESTART))
            return true;
        return ledger->ended != NULL && ended_restore(ledger->ended, number, value, &ledger->by_id);
    case TABLE_META:
    case TABLE_ENVELOPES:
    case TABLE_OUTCOMES:
    case TABLE_ATTEMPTS:
    case TABLE_SPOOL:
    case TABLE_COUNT:
        break;
    }
    return false;
}

static void drop_empty_grants(struct ledger *ledger, struct child *child, struct outputs *outputs)
{
    uint32_t next;
    for (uint32_t index = child->first_grant; index != 0; index = next) {
        struct grant *grant = slab_at(&ledger->grants, index);
        next = grant->next;
        if (grant->live > 0)
            continue;
        /* Written in the next step: erasing thousands at once would pass a step's bound. */
        grant->dirty = true;
        grant->next_dirty = ledger->first_dirty;
        ledger->first_dirty = index;
    }
    (void)outputs;
}

void ledger_start(struct ledger *ledger, struct outputs *outputs)
{
    uint32_t granted = 0;
    for (uint32_t index = 1; index < ledger->tasks.next_fresh; index++) {
        struct task *task = ledger_task(ledger, index);
        if (task->grant != 0) {
            ledger_move(ledger, task, TASK_GRANTED);
            task->flags &= (uint8_t)~TASK_GRANT_LOST; /* of the grant before */
            granted++;
        } else if (task->state == TASK_READY) {
            ready_add(&ledger->ready, &ledger->tasks, index, READY_TAIL);
        }
        if (task->fence.epoch > ledger->highest_epoch)
            ledger->highest_epoch = task->fence.epoch;
        ledger_arm_restored(ledger, index);
    }
    if (ledger->ended != NULL && ledger->ended->next > ledger->ended->first) {
        uint64_t newest = 0;
        for (uint64_t number = ledger->ended->first; number < ledger->ended->next; number++) {
            uint32_t value = ended_value(number);
            uint64_t arrival = ended_arrival(ended_at(ledger->ended, value));
            newest = arrival > newest ? arrival : newest;
        }
        if (newest >= ledger->next_arrival)
            ledger->next_arrival = newest + 1;
    }
    for (uint32_t i = 0; i < ledger->children.count; i++)
        drop_empty_grants(ledger, ledger->children.all[i], outputs);
    if (BUG(COUNTED_TWICE_AT_RESTART))
        ledger->counts[TASK_GRANTED] += granted;
    outputs_trace(outputs, TRACE_RESTORED, NULL, ledger->tasks.live, granted);
}
