/* attempts.c - the only place that decides what the end of an attempt means.
 *
 *   worker says      asked for?            then
 *   completed        -                     the task has completed (even if a cancel was on its way)
 *   failed           cancel                cancelled
 *                    -                     an error: again after a back-off while retries are left, else
 * failed cancelled        cancel, deadline      cancelled, expired time limit            an error with reason
 * timeout
 *                    -                     ready again
 *   returned,        cancel                cancelled
 *   not_held         -                     ready again at the head, nothing counted; after a beat if it was
 *                                          returned by a worker that has no room and does not drain
 *   (lost)           cancel                cancelled, may still run
 *                    -                     marked dup_possible, ready again at once; failed at poison_limit
 * A fence that is not the last granted changes nothing: it is settled as stale, counted and shown as late. */
#include "proto/assert.h"
#include "proto/bug.h"
#include "region/region_state.h"

enum {
    RESULT_BYTES_MAX = FRAME_BYTES_MAX - 64 * 1024,
    ROOM_TO_END = 5 * FRAME_ENTRIES_MAX / 2, /* a messageful of refused tasks cannot all end in one step */
};

/* min(base * 2^errors, cap), plus or minus a fifth. */
static uint64_t back_off_ms(const struct region *region, uint32_t errors)
{
    uint64_t pause = region->options.retry_base_ms;
    for (uint32_t i = 1; i < errors && pause < region->options.retry_cap_ms; i++)
        pause *= 2;
    if (pause > region->options.retry_cap_ms)
        pause = region->options.retry_cap_ms;
    uint64_t fifth = pause / 5;
    return pause - fifth + region->random % (2 * fifth + 1);
}

static void fail_or_retry(struct region *region, uint32_t index, const struct attempt_end *end,
                          bool permanent, struct outputs *outputs)
{
    struct task *task = ledger_task(&region->tasks, index);
    struct attempt_end failed = *end;
    failed.end = TASK_FAILED;
    bool again = !permanent && task->errors < task->retries && !ledger_is_expired(&region->tasks, task);
    if (!again) {
        region_end(region, index, &failed, outputs);
        return;
    }
    region_remember(region, index, &failed, outputs);
    task->errors++;
    region->counters.retried++;
    uint64_t pause_ms = back_off_ms(region, task->errors);
    outputs_trace(outputs, TRACE_TASK_RETRY, &task->id, pause_ms, task->errors);
    ledger_requeue(&region->tasks, index, READY_TAIL, pause_ms, REASON_BACKOFF, outputs);
}

static void give_back(struct region *region, uint32_t index, struct outputs *outputs)
{
    ledger_requeue(&region->tasks, index, READY_HEAD, 0, REASON_NONE, outputs);
    region->dispatch = true;
}

/* Its worker has no room for it: asked again at once it would say the same, as fast as disks go. */
static void give_back_later(struct region *region, uint32_t index, struct outputs *outputs)
{
    ledger_requeue(&region->tasks, index, READY_HEAD, region->options.beat_ms, REASON_BACKOFF, outputs);
}

static bool is_set(struct bytes result, const char *key)
{
    struct bytes value = read_map_value(result, key);
    return value.size > 0 && value.data[0] != 0xc0; /* nil */
}

static const char *failure_reason(const struct outcome_entry *entry)
{
    if (is_set(entry->outcome, "signal"))
        return "signal";
    if (is_set(entry->outcome, "exit"))
        return "exit_status";
    return entry->flags & OUTCOME_PERMANENT ? "cannot_start" : "error";
}

/* The one that now holds it reported its end. */
static void on_end(struct region *region, struct child *worker, uint32_t index,
                   const struct outcome_entry *entry, struct outputs *outputs)
{
    struct task *task = ledger_task(&region->tasks, index);
    bool cancelling = task->flags & TASK_CANCELLING, timed_out = task->flags & TASK_TIMED_OUT;
    struct attempt_end end = {
        .end = entry->end, .reason = "", .result = entry->outcome, .worker = worker->name};
    switch (entry->end) {
    case TASK_COMPLETED:
        worker->done++;
        if (task->first_grant_ms != 0) /* a restart forgets when a granted task was first granted */
            histogram_add(&worker->latency,
                          (task_age_ms(task, region->tasks.now_ns) + 1 - task->first_grant_ms) * 1000);
        region_end(region, index, &end, outputs);
        return;
    case TASK_FAILED:
        worker->done++;
        end.reason = failure_reason(entry);
        if (cancelling) {
            end.end = TASK_CANCELLED;
            end.reason = "cancelled";
            region_end(region, index, &end, outputs);
        } else {
            fail_or_retry(region, index, &end, entry->flags & OUTCOME_PERMANENT, outputs);
        }
        return;
    case TASK_CANCELLED:
    case TASK_EXPIRED:
        if (cancelling || task->flags & TASK_EXPIRING) {
            end.end = cancelling ? TASK_CANCELLED : TASK_EXPIRED;
            end.reason = cancelling ? "cancelled" : "deadline";
            region_end(region, index, &end, outputs);
        } else if (timed_out) {
            end.reason = "timeout";
            fail_or_retry(region, index, &end, false, outputs);
        } else {
            give_back(region, index, outputs);
        }
        return;
    case TASK_RETURNED:
    case TASK_NOT_HELD:
        outputs_trace(outputs, TRACE_TASK_RETURNED, &task->id, worker->number, 0);
        if (entry->end == TASK_NOT_HELD && !(entry->flags & OUTCOME_DEAD))
            task->flags |= TASK_DUP_POSSIBLE;
        if (cancelling) {
            end.end = TASK_CANCELLED;
            end.reason = "cancelled";
            end.result = (struct bytes){entry->outcome.data, 0};
            region_end(region, index, &end, outputs);
        } else if (entry->end == TASK_RETURNED && !worker->draining) {
            give_back_later(region, index, outputs);
        } else {
            give_back(region, index, outputs);
        }
        return;
    case TASK_END_COUNT:
        break;
    }
    ASSERT(!"an end that the reader refuses");
}

static enum settled_status judge(struct region *region, struct child *worker,
                                 const struct outcome_entry *entry, struct outputs *outputs)
{
    uint32_t index = ledger_find(&region->tasks, &entry->id);
    if (index == 0)
        return SETTLED_UNKNOWN;
    const struct task *task = ledger_task(&region->tasks, index);
    bool last = fence_compare(task->fence, entry->fence) == 0;
    if (task->state == TASK_ENDED)
        return last && !(task->flags & TASK_GRANT_LOST) ? SETTLED_RECORDED : SETTLED_STALE;
    if (BUG(FENCE_UNCHECKED) && task_is_granted(task)) {
        last = true;
        worker = ledger_holder(&region->tasks, task);
    }
    if (!last || ledger_holder(&region->tasks, task) != worker)
        return SETTLED_STALE;
    on_end(region, worker, index, entry, outputs);
    return SETTLED_RECORDED;
}

/* Can it be passed on? It goes one level deeper into the frame above, together with a history: fields are no
 * arrays or maps, and all together leave that room. */
static bool result_fits(struct bytes result)
{
    struct reader reader;
    reader_init(&reader, result);
    uint32_t pairs = read_map(&reader, 64);
    for (uint32_t i = 0; i < pairs && !reader_failed(&reader); i++) {
        (void)read_str(&reader, 0, NAME_BYTES_MAX);
        enum reader_type type = reader_peek(&reader);
        if (type == TYPE_ARRAY || type == TYPE_MAP)
            return false;
        (void)read_raw(&reader);
    }
    return !reader_failed(&reader) && result.size <= RESULT_BYTES_MAX;
}

static void on_outcome(struct region *region, struct child *worker, struct reader *reader,
                       struct outputs *outputs)
{
    struct outcome_entry entry;
    if (!outcome_entry_read(reader, &entry))
        return;
    if (!result_fits(entry.outcome)) { /* how it ended counts all the same */
        region->counters.malformed++;
        entry.outcome.size = 0;
    }
    enum settled_status status = judge(region, worker, &entry, outputs);
    if (status == SETTLED_STALE) {
        bool ran = entry.end != TASK_NOT_HELD && entry.end != TASK_RETURNED;
        worker->late += ran;
        region->counters.late += ran;
        if (ran &&
            ledger_task(&region->tasks, ledger_find(&region->tasks, &entry.id))->flags & TASK_DUP_POSSIBLE)
            region_note_late(region, worker, &entry);
        outputs_trace(outputs, TRACE_OUTCOME_STALE, &entry.id, worker->number, entry.end);
    } else if (status == SETTLED_UNKNOWN) {
        bool ran = entry.end != TASK_NOT_HELD && entry.end != TASK_RETURNED;
        worker->late += ran && worker->was_lost;
        region->counters.late += ran && worker->was_lost;
        if (ran && worker->was_lost)
            region_note_late(region, worker, &entry);
        outputs_trace(outputs, TRACE_OUTCOME_UNKNOWN, &entry.id, worker->number, 0);
    }
    if (status != SETTLED_RECORDED)
        strays_answered(&worker->strays, &entry.id, entry.fence);
    struct settled_entry settled = {.id = entry.id, .fence = entry.fence, .status = status};
    uint32_t message;
    settled_entry_write(
        outputs_entry(outputs, worker->peer, MESSAGE_SETTLED, &worker->link, ASSIGN_HEAD_BYTES, &message),
        &settled);
    outputs_entry_end(outputs);
    region->dispatch = true;
}

static void on_taken(struct region *region, struct child *worker, struct reader *reader,
                     struct outputs *outputs)
{
    struct taken_entry entry;
    (void)outputs;
    if (!taken_entry_read(reader, &entry))
        return;
    uint32_t index = ledger_find(&region->tasks, &entry.id);
    if (index == 0)
        return;
    struct task *task = ledger_task(&region->tasks, index);
    bool mine = task_is_granted(task) && ledger_holder(&region->tasks, task) == worker &&
                fence_compare(task->fence, entry.fence) == 0;
    if (!mine)
        return;
    task->reason = REASON_NONE; /* no longer only sent */
    if (entry.started)
        ledger_mark_running(&region->tasks, index, entry.running_ms);
}

/* A granted task that its worker has not, or no longer: true if it was to be stopped, which ends it. */
static bool end_if_unwanted(struct region *region, uint32_t index, const struct child *worker,
                            struct outputs *outputs)
{
    const struct task *task = ledger_task(&region->tasks, index);
    struct attempt_end end = {.end = TASK_CANCELLED, .reason = "cancelled", .worker = worker->name};
    if (!(task->flags & TASK_CANCELLING)) {
        end.end = TASK_EXPIRED;
        end.reason = "deadline";
    }
    if (!(task->flags & (TASK_CANCELLING | TASK_EXPIRING)))
        return false;
    region_end(region, index, &end, outputs);
    return true;
}

/* A worker refuses what it should have had a slot for: ready again. */
static void on_refused(struct region *region, struct child *worker, struct reader *reader,
                       struct outputs *outputs)
{
    struct refused_entry entry;
    if (!refused_entry_read(reader, &entry))
        return;
    uint32_t index = ledger_find(&region->tasks, &entry.id);
    struct task *task = index == 0 ? NULL : ledger_task(&region->tasks, index);
    if (task == NULL || ledger_holder(&region->tasks, task) != worker ||
        fence_compare(task->fence, entry.fence) != 0)
        return;
    bool room = outputs_room(outputs) >= ROOM_TO_END;
    if (room && end_if_unwanted(region, index, worker, outputs))
        return;
    uint64_t pause_ms = room ? region->options.beat_ms : 1; /* what is unwanted ends when it is over */
    ledger_requeue(&region->tasks, index, READY_HEAD, pause_ms, REASON_BACKOFF, outputs);
}

static const struct {
    enum message_kind kind;
    void (*on_entry)(struct region *, struct child *, struct reader *, struct outputs *);
    uint32_t entries_max;
} messages[] = {
    {MESSAGE_TAKEN, on_taken, FRAME_ENTRIES_MAX},
    {MESSAGE_REFUSED, on_refused, FRAME_ENTRIES_MAX},
    {MESSAGE_OUTCOME, on_outcome, OUTCOME_ENTRIES_MAX},
};

static void drop_session(struct region *region, struct child *worker, struct outputs *outputs)
{
    region->counters.malformed++;
    child_end_session(&region->tasks.children, worker, outputs); /* its next session begins from facts */
}

static void on_entries(struct region *region, struct child *worker, const struct message_header *header,
                       struct outputs *outputs)
{
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        if (messages[i].kind != header->kind)
            continue;
        struct reader reader;
        reader_init(&reader, header->body);
        uint32_t count = read_array(&reader, 16) == 0 ? 0 : read_array(&reader, messages[i].entries_max);
        for (uint32_t entry = 0; entry < count && !reader_failed(&reader); entry++)
            messages[i].on_entry(region, worker, &reader, outputs);
        if (reader_failed(&reader))
            drop_session(region, worker, outputs);
    }
}

void region_on_child_message(struct region *region, const struct event *event,
                             const struct message_header *header, struct outputs *outputs)
{
    struct child *worker;
    switch (children_on_message(&region->tasks.children, event, header, outputs, &worker)) {
    case CHILD_NOTHING:
        return;
    case CHILD_INVENTORY:
        if (!ledger_claim(&region->tasks, worker, header->body, outputs))
            drop_session(region, worker, outputs);
        return;
    case CHILD_LATE: /* workers have nobody below them */
        return;
    case CHILD_SYNCED:
        region->more_work = true;
        return;
    case CHILD_MESSAGE:
        if (header->kind != MESSAGE_ANSWER) /* of a drain: its heartbeats say that it drains */
            on_entries(region, worker, header, outputs);
        return;
    }
}

/* ---- what nobody reports ---- */

static void lost(struct region *region, struct child *worker, uint32_t index, struct outputs *outputs)
{
    struct task *task = ledger_task(&region->tasks, index);
    struct attempt_end end = {
        .end = TASK_FAILED, .reason = "worker_lost", .worker = worker->name, .lost = true};
    worker->lost_grants++;
    region->counters.lost++;
    outputs_trace(outputs, TRACE_TASK_LOST, &task->id, worker->number, task->losses + 1u);
    if (!BUG(LOSS_UNMARKED))
        task->flags |= TASK_DUP_POSSIBLE;
    task->flags |= TASK_GRANT_LOST;
    if (task->flags & TASK_CANCELLING) {
        end.end = TASK_CANCELLED;
        end.reason = "may_still_run";
        region_end(region, index, &end, outputs);
        return;
    }
    if (task->losses + 1u >= region->options.poison_limit) {
        end.reason = "workers_lost";
        outputs_trace(outputs, TRACE_TASK_POISON, &task->id, task->losses + 1u, 0);
        region_end(region, index, &end, outputs);
        return;
    }
    region_remember(region, index, &end, outputs);
    task->losses++;
    outputs_trace(outputs, TRACE_TASK_DUP_POSSIBLE, &task->id, 0, 0);
    give_back(region, index, outputs);
    if (BUG(REQUEUED_TWICE))
        give_back(region, index, outputs);
}

/* The same life of a worker does not claim it: the ASSIGN never came, and no process runs. */
static void unclaimed(struct region *region, struct child *worker, uint32_t index, struct outputs *outputs)
{
    if (end_if_unwanted(region, index, worker, outputs))
        return;
    if (ledger_task(&region->tasks, index)->flags & TASK_TIMED_OUT)
        give_back(region, index, outputs); /* its STOP went to an attempt that never began */
    else
        ledger_assign_again(&region->tasks, index, worker, outputs);
}

/* The worker said BYE with nothing in its hands: the ASSIGN was still on its way. */
static void never_arrived(struct region *region, struct child *worker, uint32_t index,
                          struct outputs *outputs)
{
    if (!end_if_unwanted(region, index, worker, outputs))
        give_back(region, index, outputs);
}

static bool sweep(struct region *region, struct child *worker, struct outputs *outputs)
{
    while (outputs_room(outputs) >= 512) {
        uint32_t index = ledger_next_unclaimed(&region->tasks, worker);
        if (index == 0)
            return true;
        if (worker->left_empty)
            never_arrived(region, worker, index, outputs);
        else if (worker->lost || (worker->restarted && !BUG(RESTART_UNNOTICED)))
            lost(region, worker, index, outputs);
        else
            unclaimed(region, worker, index, outputs);
    }
    return false;
}

void region_sweep(struct region *region, struct outputs *outputs)
{
    struct children *workers = &region->tasks.children;
    for (uint32_t i = 0; i < workers->count; i++) {
        struct child *worker = workers->all[i];
        bool gone = worker->lost || worker->left_empty;
        bool has_work = (gone && worker->granted > 0) || worker->state == CHILD_SWEEPING;
        if (!has_work)
            continue;
        region->dispatch = true;
        if (!sweep(region, worker, outputs)) {
            region->more_work = true;
            return;
        }
        if (worker->state == CHILD_SWEEPING) {
            worker->state = CHILD_LIVE;
            worker->restarted = false;
            workers->profiles_changed = true;
        }
    }
}

/* ---- asked for ---- */

void region_cancel(struct region *region, uint32_t index, struct outputs *outputs)
{
    struct task *task = ledger_task(&region->tasks, index);
    if (task->state == TASK_ENDED)
        return; /* its outcome is on its way */
    if (!task_is_granted(task)) {
        struct attempt_end end = {.end = TASK_CANCELLED, .reason = "cancelled", .worker = ""};
        region_end(region, index, &end, outputs);
        return;
    }
    if (!(task->flags & TASK_CANCELLING)) {
        task->flags |= TASK_CANCELLING;
        ledger_put_state(&region->tasks, index, outputs);
        outputs_trace(outputs, TRACE_TASK_CANCELLING, &task->id, ledger_holder(&region->tasks, task)->number,
                      0);
    }
    ledger_stop(&region->tasks, index, STOP_CANCEL, outputs);
}

void region_on_due(struct region *region, uint32_t index, struct outputs *outputs)
{
    struct task *task = ledger_task(&region->tasks, index);
    bool expired = ledger_is_expired(&region->tasks, task);
    if (task_is_granted(task)) {
        task->flags |= expired ? TASK_EXPIRING : TASK_TIMED_OUT;
        outputs_trace(outputs, expired ? TRACE_TASK_EXPIRED : TRACE_TASK_TIMEOUT, &task->id,
                      expired ? task->deadline_ms : task->timeout_ms, 0);
        ledger_arm(&region->tasks, index);
        ledger_stop(&region->tasks, index, STOP_CANCEL, outputs);
    } else if (task->flags & TASK_CANCELLING) { /* refused by its worker since */
        struct attempt_end end = {.end = TASK_CANCELLED, .reason = "cancelled", .worker = ""};
        region_end(region, index, &end, outputs);
    } else if (expired) {
        struct attempt_end end = {.end = TASK_EXPIRED, .reason = "deadline", .worker = ""};
        outputs_trace(outputs, TRACE_TASK_EXPIRED, &task->id, task->deadline_ms, 0);
        region_end(region, index, &end, outputs);
    } else {
        ledger_wake(&region->tasks, index);
        region->dispatch = true;
    }
}
