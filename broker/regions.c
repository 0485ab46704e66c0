/* regions.c - what regions say, and what becomes of tasks whose region is lost.
 *
 * Custody moves only here: TAKEN confirms it, REFUSED and `returned` give it back, an outcome ends it, and
 * the loss of a region (or its restart without the task) ends the grant. */
#include "broker/broker_state.h"
#include "proto/assert.h"
#include "proto/bug.h"

/* A RESULT with one outcome and the ids of all others that were asked for still fits a frame. */
enum { OUTCOME_BYTES_MAX = FRAME_BYTES_MAX - 64 * 1024 };

static void on_taken(struct broker *broker, struct child *region, struct reader *reader,
                     struct outputs *outputs)
{
    struct taken_entry entry;
    (void)region;
    (void)outputs;
    if (!taken_entry_read(reader, &entry))
        return;
    uint32_t index = ledger_find(&broker->tasks, &entry.id);
    if (index == 0)
        return;
    struct task *task = ledger_task(&broker->tasks, index);
    if (task_is_granted(task) && fence_names(task->fence, entry.fence))
        task->reason = REASON_NONE; /* no longer only sent */
}

enum { REFUSED_PAUSE_MS_MAX = 60000 };

/* What a region's refusal means for the wait until the task is placed again: what passes soon, a beat. The
 * rest (no room for its class, a task that a region of another version cannot read) may take long, so the
 * pause grows with the task's age, by an eighth each time. */
static const struct {
    const char *code;
    enum task_reason reason;
    bool passes_soon;
} refusals[] = {
    {"store_full", REASON_STORE_FULL, true},
    {"draining", REASON_BACKOFF, true},
    {"throttled", REASON_THROTTLED, false},
    {NULL, REASON_REFUSED, false},
};

static uint64_t pause_after_refusal_ms(const struct broker *broker, const struct task *task, bool passes_soon)
{
    if (task->flags & TASK_CANCELLING)
        return 1; /* it ends when this is over: a messageful of ends would not fit a step */
    uint64_t pause_ms = passes_soon ? 0 : task_age_ms(task, broker->tasks.now_ns) / 8;
    if (pause_ms > REFUSED_PAUSE_MS_MAX)
        pause_ms = REFUSED_PAUSE_MS_MAX;
    return pause_ms > broker->options.beat_ms ? pause_ms : broker->options.beat_ms;
}

static void on_refused(struct broker *broker, struct child *region, struct reader *reader,
                       struct outputs *outputs)
{
    struct refused_entry entry;
    if (!refused_entry_read(reader, &entry))
        return;
    uint32_t index = ledger_find(&broker->tasks, &entry.id);
    struct task *task = index == 0 ? NULL : ledger_task(&broker->tasks, index);
    if (task == NULL || ledger_holder(&broker->tasks, task) != region ||
        !fence_names(task->fence, entry.fence))
        return;
    outputs_trace(outputs, TRACE_TASK_RETURNED, &task->id, region->number, 0);
    int at = 0;
    while (refusals[at].code != NULL && !bytes_are(entry.code, refusals[at].code))
        at++;
    ledger_requeue(&broker->tasks, index, READY_HEAD,
                   pause_after_refusal_ms(broker, task, refusals[at].passes_soon), refusals[at].reason,
                   outputs);
}

/* A region gives a task back unrun: cancelled if that was asked, else placed again. */
static void on_returned(struct broker *broker, struct child *region, uint32_t index,
                        const struct outcome_entry *entry, struct outputs *outputs)
{
    struct task *task = ledger_task(&broker->tasks, index);
    outputs_trace(outputs, TRACE_TASK_RETURNED, &task->id, region->number, 0);
    if (entry->flags & OUTCOME_DUP_POSSIBLE ||
        (entry->end == TASK_NOT_HELD && !(entry->flags & OUTCOME_DEAD)))
        task->flags |= TASK_DUP_POSSIBLE;
    if (task->flags & TASK_CANCELLING)
        broker_end(broker, index, TASK_CANCELLED, "cancelled", outputs);
    else
        ledger_requeue(&broker->tasks, index, READY_HEAD, 0, REASON_NONE, outputs);
}

/* What an OUTCOME is to this broker: recorded now or before, late, or about nothing it knows. */
static enum settled_status judge(struct broker *broker, struct child *region,
                                 const struct outcome_entry *entry, struct outputs *outputs)
{
    uint32_t index = ledger_find(&broker->tasks, &entry->id);
    if (index == 0) {
        const struct ended_entry *ended = ledger_find_ended(&broker->tasks, &entry->id);
        if (ended == NULL)
            return SETTLED_UNKNOWN;
        return ended_by_custody(ended, entry->fence.custody) ? SETTLED_RECORDED : SETTLED_STALE;
    }
    struct task *task = ledger_task(&broker->tasks, index);
    bool named = ledger_holder(&broker->tasks, task) == region && fence_names(task->fence, entry->fence);
    if (!named && !(BUG(CUSTODY_UNCHECKED) && task_is_granted(task)))
        return SETTLED_STALE;
    if (BUG(RETRY_IN_BOTH_TIERS) && entry->end == TASK_FAILED && task->reruns++ < broker->options.rerun_max) {
        ledger_requeue(&broker->tasks, index, READY_HEAD, 0, REASON_NONE, outputs);
    } else if (entry->end == TASK_RETURNED || entry->end == TASK_NOT_HELD) {
        on_returned(broker, region, index, entry, outputs);
    } else if (entry->outcome.size > OUTCOME_BYTES_MAX) {
        if (entry->flags & OUTCOME_DUP_POSSIBLE)
            task->flags |= TASK_DUP_POSSIBLE;
        broker_end(broker, index, entry->end, "outcome_too_large", outputs);
    } else {
        broker_settle(broker, index, entry, outputs);
    }
    return SETTLED_RECORDED;
}

static void on_outcome(struct broker *broker, struct child *region, struct reader *reader,
                       struct outputs *outputs)
{
    struct outcome_entry entry;
    if (!outcome_entry_read(reader, &entry))
        return;
    enum settled_status status = judge(broker, region, &entry, outputs);
    if (status == SETTLED_STALE) {
        bool ran = entry.end != TASK_NOT_HELD && entry.end != TASK_RETURNED;
        region->late += ran;
        broker->counters.late += ran;
        if (ran)
            broker_on_late_outcome(broker, region, &entry, outputs);
        outputs_trace(outputs, TRACE_OUTCOME_STALE, &entry.id, region->number, entry.end);
    } else if (status == SETTLED_UNKNOWN) {
        outputs_trace(outputs, TRACE_OUTCOME_UNKNOWN, &entry.id, region->number, 0);
    } else {
        region->done++;
    }
    if (status != SETTLED_RECORDED)
        strays_answered(&region->strays, &entry.id, (struct fence){.custody = entry.fence.custody});
    struct settled_entry settled = {.id = entry.id, .fence = entry.fence, .status = status};
    uint32_t message;
    settled_entry_write(
        outputs_entry(outputs, region->peer, MESSAGE_SETTLED, &region->link, ASSIGN_HEAD_BYTES, &message),
        &settled);
    outputs_entry_end(outputs);
    broker->dispatch = true;
}

/* Which function reads an entry of a message of entries. */
static const struct {
    enum message_kind kind;
    void (*on_entry)(struct broker *, struct child *, struct reader *, struct outputs *);
    uint32_t entries_max;
} messages[] = {
    {MESSAGE_TAKEN, on_taken, FRAME_ENTRIES_MAX},
    {MESSAGE_REFUSED, on_refused, FRAME_ENTRIES_MAX},
    {MESSAGE_OUTCOME, on_outcome, OUTCOME_ENTRIES_MAX},
};

static void on_entries(struct broker *broker, struct child *region, const struct message_header *header,
                       struct outputs *outputs)
{
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        if (messages[i].kind != header->kind)
            continue;
        struct reader reader;
        reader_init(&reader, header->body);
        uint32_t count = read_array(&reader, 16) == 0 ? 0 : read_array(&reader, messages[i].entries_max);
        for (uint32_t entry = 0; entry < count && !reader_failed(&reader); entry++)
            messages[i].on_entry(broker, region, &reader, outputs);
        if (reader_failed(&reader)) {
            broker->counters.malformed++;
            child_end_session(&broker->tasks.children, region,
                              outputs); /* its next session begins from facts */
        }
    }
}

void broker_on_child_message(struct broker *broker, const struct event *event,
                             const struct message_header *header, struct outputs *outputs)
{
    struct child *region;
    switch (children_on_message(&broker->tasks.children, event, header, outputs, &region)) {
    case CHILD_NOTHING:
        return;
    case CHILD_INVENTORY:
        if (!ledger_claim(&broker->tasks, region, header->body, outputs)) {
            broker->counters.malformed++;
            child_end_session(&broker->tasks.children, region, outputs);
        }
        return;
    case CHILD_LATE:
        broker_on_late_entries(broker, region, header->body, outputs);
        return;
    case CHILD_SYNCED:
        broker->more_work = true;
        return;
    case CHILD_MESSAGE:
        if (header->kind == MESSAGE_ANSWER)
            query_on_answer(broker, region, header->body, outputs);
        else
            on_entries(broker, region, header, outputs);
        return;
    }
}

/* The region that held it is lost: what on_partition = rerun means. */
static void lost(struct broker *broker, struct child *region, uint32_t index, struct outputs *outputs)
{
    struct task *task = ledger_task(&broker->tasks, index);
    region->lost_grants++;
    if (!BUG(RERUN_UNMARKED))
        task->flags |= TASK_DUP_POSSIBLE; /* it may have started there, and its end is not recorded */
    task->flags |= TASK_GRANT_LOST;
    task->reruns++;
    outputs_trace(outputs, TRACE_TASK_LOST, &task->id, region->number, task->reruns);
    if (task->flags & TASK_CANCELLING) {
        broker_end(broker, index, TASK_CANCELLED, "may_still_run", outputs);
    } else if (task->reruns > broker->options.rerun_max) {
        broker_end(broker, index, TASK_FAILED, "regions_lost", outputs);
    } else {
        broker->counters.reruns++;
        ledger_requeue(&broker->tasks, index, READY_HEAD, 0, REASON_NONE, outputs);
    }
}

/* Same boot: it never got the ASSIGN; a higher boot: it never committed it. Either way it never started it,
 * unless the grant is older than a restored backup: then it may have ended, and its fence is used up. */
static void unclaimed(struct broker *broker, struct child *region, uint32_t index, struct outputs *outputs)
{
    struct task *task = ledger_task(&broker->tasks, index);
    if (task->flags & TASK_CANCELLING)
        broker_end(broker, index, TASK_CANCELLED, "cancelled", outputs);
    else if (!region->restarted && (BUG(RESTORED_GRANT_REPEATED) || !broker_is_restored(broker, task)))
        ledger_assign_again(&broker->tasks, index, region, outputs);
    else
        ledger_requeue(&broker->tasks, index, READY_HEAD, 0, REASON_NONE, outputs);
}

/* Deal with the region's grants that need it, as far as the step has room. True when done. */
static bool sweep(struct broker *broker, struct child *region, struct outputs *outputs)
{
    while (outputs_room(outputs) >= 512 && !outputs_full(outputs)) {
        uint32_t index = ledger_next_unclaimed(&broker->tasks, region);
        if (index == 0)
            return true;
        if (region->lost)
            lost(broker, region, index, outputs);
        else
            unclaimed(broker, region, index, outputs);
    }
    return false;
}

void broker_sweep(struct broker *broker, struct outputs *outputs)
{
    struct children *regions = &broker->tasks.children;
    for (uint32_t i = 0; i < regions->count; i++) {
        struct child *region = regions->all[i];
        bool has_work = (region->lost && region->first_grant != 0 && region->granted > 0) ||
                        region->state == CHILD_SWEEPING;
        if (!has_work)
            continue;
        broker->dispatch = true;
        if (!sweep(broker, region, outputs)) {
            broker->more_work = true;
            return;
        }
        if (region->state == CHILD_SWEEPING) {
            region->state = CHILD_LIVE;
            region->restarted = false;
        }
    }
}
