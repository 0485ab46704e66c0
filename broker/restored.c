/* restored.c - a broker whose store was put back from a backup: it does not know what it did afterwards.
 *
 * In the history that is lost any task may have been granted, run and ended, and ids accepted that are
 * unknown now. So every grant from here on has a custody above all that were given out (the floor), every
 * task that lived in the backup is marked, and what regions still hold of the lost history is refused like
 * anything under an old custody: stopped when claimed, stale when it ended, unknown without a task. Nothing
 * is rewritten at the start: a custody below the floor is the mark until the next grant, which raises the
 * custody and puts the state. New tasks begin at the floor. */
#include "broker/broker_state.h"
#include "proto/bug.h"

#define FLOOR_STEP (1u << 24)                /* more grants than any task has had */
#define FLOORS_MAX (UINT32_MAX / FLOOR_STEP) /* 255 */

_Static_assert(FLOORS_MAX == BROKER_RESTORES_MAX, "as many restores as there are floors");

/* At least one step above the copy's own floor, which is enough for a copy of the newest history. An older
 * copy does not know how high the floor has been since; the operator does, who numbers the starts with it. At
 * the last floor there is nothing above what was given out, and the broker must not go on. */
bool broker_raise_floor(struct broker *broker, const struct event *event, struct outputs *outputs)
{
    uint32_t floors = broker->custody_floor / FLOOR_STEP + 1;
    if (floors < broker->options.restored && !BUG(RESTORES_UNCOUNTED))
        floors = broker->options.restored;
    if (floors > FLOORS_MAX) {
        broker->no_floor_left = broker->draining = true;
        return false;
    }
    if (!BUG(CUSTODY_AFTER_RESTORE_FALLS))
        broker->custody_floor = floors * FLOOR_STEP;
    broker->restored_ms = event->wall_ms;
    outputs_trace(outputs, TRACE_BACKUP_RESTORED, NULL, broker->custody_floor, broker->tasks.tasks.live);
    return true;
}

bool broker_is_restored(const struct broker *broker, const struct task *task)
{
    return task->fence.custody < broker->custody_floor;
}

void broker_mark_restored(struct broker *broker)
{
    for (uint32_t index = 1; index < broker->tasks.tasks.next_fresh; index++) {
        struct task *task = ledger_task(&broker->tasks, index);
        if (broker_is_restored(broker, task) && !BUG(RESTORED_UNMARKED))
            task->flags |= TASK_DUP_POSSIBLE;
    }
}

bool broker_may_have_run(const struct broker *broker, const struct task_id *id)
{
    uint64_t made_ms = task_id_time_ms(id), now_ms = broker->tasks.wall_ms;
    if (BUG(LOST_ID_UNMARKED) || broker->restored_ms == 0 ||
        now_ms > broker->restored_ms + broker->ended.dedupe_ttl_ms)
        return false; /* never, or nobody may submit an id as old any more */
    bool made_since = made_ms > broker->restored_ms && made_ms <= now_ms;
    return !made_since; /* ids that do not tell their time may be old too */
}

struct fence broker_next_fence(const struct broker *broker, const struct task *task)
{
    uint32_t last = task->fence.custody;
    return (struct fence){.custody = (last > broker->custody_floor ? last : broker->custody_floor) + 1};
}
