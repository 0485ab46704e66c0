/* ledger_claims.c - after HELLO a child says what it holds; what it does not say is dealt with.
 *
 * Each row either names an open grant of this child (it is stamped with the session) or a stray: unknown
 * here, or under an old fence. Strays that may still act are told to stop and count as busy slots until they
 * answer. After END the unstamped grants are swept, as many per step as there is room. */
#include "engine/ledger.h"
#include "proto/assert.h"
#include "proto/bug.h"

/* Epochs are seconds of a wall clock, or one more with each start. One beyond this (the year 2072) was made
 * up; ours must rise above what is reported and still fit. */
#define EPOCH_REPORTED_MAX (UINT32_MAX / 4 * 3)

static void stop_stray(struct child *child, const struct inventory_row *row, struct outputs *outputs)
{
    struct stop_entry entry = {.id = row->id, .fence = row->fence, .mode = STOP_CANCEL};
    uint32_t message;
    stop_entry_write(
        outputs_entry(outputs, child->peer, MESSAGE_STOP, &child->link, ASSIGN_HEAD_BYTES, &message), &entry);
    outputs_entry_end(outputs);
    strays_add(&child->strays, &row->id, row->fence);
    outputs_trace(outputs, TRACE_STRAY_STOPPED, &row->id, child->number, 0);
}

static void claim_row(struct ledger *ledger, struct child *child, const struct inventory_row *row,
                      struct outputs *outputs)
{
    if (row->fence.epoch > ledger->highest_epoch)
        ledger->highest_epoch = row->fence.epoch;
    uint32_t index = ledger_find(ledger, &row->id);
    struct task *task = index == 0 ? NULL : ledger_task(ledger, index);
    bool mine = task != NULL && ledger_holder(ledger, task) == child && fence_names(task->fence, row->fence);
    if (!mine) {
        /* An ended one is settled when its OUTCOME comes. */
        if (row->status != HELD_ENDED && !BUG(STRAY_NOT_STOPPED))
            stop_stray(child, row, outputs);
        return;
    }
    task->stamp = child->stamp;
    task->flags &= (uint8_t)~TASK_STOPPED;
    task->reason = REASON_NONE;
    if (row->status == HELD_RUNNING)
        ledger_mark_running(ledger, index, row->running_ms);
    if (task->flags & (TASK_CANCELLING | TASK_TIMED_OUT | TASK_EXPIRING))
        ledger_stop(ledger, index, STOP_CANCEL, outputs); /* unanswered in the session before */
}

bool ledger_claim(struct ledger *ledger, struct child *child, struct bytes body, struct outputs *outputs)
{
    struct reader reader;
    reader_init(&reader, body);
    uint32_t fields = read_array(&reader, 16);
    uint32_t rows = fields == 0 ? 0 : read_array(&reader, INVENTORY_ROWS_MAX);
    for (uint32_t i = 0; i < rows; i++) {
        struct inventory_row row;
        if (!inventory_row_read(&reader, &row) || row.fence.epoch > EPOCH_REPORTED_MAX)
            return false;
        claim_row(ledger, child, &row, outputs);
    }
    return !reader_failed(&reader);
}

uint32_t ledger_next_unclaimed(struct ledger *ledger, struct child *child)
{
    bool all = child->lost || child->left_empty; /* nothing can be claimed any more */
    ASSERT(all || child->state == CHILD_SWEEPING);
    if (all || child->sweep_grant == 0)
        child->sweep_grant = child->first_grant;
    while (child->sweep_grant != 0) {
        const struct grant *grant = slab_at(&ledger->grants, child->sweep_grant);
        for (uint32_t index = grant->first; index != 0; index = ledger_task(ledger, index)->next)
            if (all || ledger_task(ledger, index)->stamp != child->stamp)
                return index;
        if (grant->next == 0)
            break; /* stay on the last one: it is looked at again, which is cheap, and nothing is forgotten */
        child->sweep_grant = grant->next;
    }
    return 0;
}
