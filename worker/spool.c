/* spool.c - outcomes: told to the region, kept until it has recorded them, on disk when that takes long.
 *
 * In memory the result map is in the attempt's chain. Once spooled the chain is released: the record holds
 * the whole OUTCOME entry, and a frame is made by reference to it. */
#include "proto/assert.h"
#include "proto/bug.h"
#include "worker/result.h"
#include "worker/worker_node.h"

static size_t entry_bound(const struct held *held)
{
    if (held->entry_bytes != 0)
        return held->entry_bytes;
    return OUTCOME_HEAD_BYTES + (held->bytes.size != 0 ? held->bytes.size : RESULT_PLAIN_BYTES_MAX);
}

static void write_entry(const struct worker *worker, const struct held *held, struct writer *writer)
{
    struct outcome_entry entry = {
        .id = held->id, .fence = held->fence, .end = held->end, .flags = held->flags};
    outcome_entry_write_head(writer, &entry);
    if (held->bytes.size != 0)
        chain_write(&worker->held.blocks, &held->bytes, writer);
    else
        result_write_plain(writer, held->end);
}

static bool was_sent(const struct worker *worker, const struct held *held)
{
    return held->sent_session == worker->uplink.session;
}

void spool_send(struct worker *worker, struct held *held, struct outputs *outputs)
{
    uint32_t message;
    ASSERT(held->status == HELD_ENDED);
    held->sent_session = 0;
    if (!uplink_is_up(&worker->uplink))
        return;
    if (outputs_room(outputs) == 0) {
        worker->resend = 1;
        return;
    }
    struct writer *writer = outputs_entry(outputs, uplink_peer(&worker->uplink), MESSAGE_OUTCOME,
                                          &worker->uplink.link, entry_bound(held), &message);
    if (held->entry_bytes != 0)
        outputs_message_record(outputs, TABLE_SPOOL, held->spool_number, 0, held->entry_bytes);
    else
        write_entry(worker, held, writer);
    outputs_entry_end(outputs);
    held->sent_session = worker->uplink.session;
}

void spool_answer(struct worker *worker, const struct task_id *id, struct fence fence, enum task_end end,
                  struct outputs *outputs)
{
    uint32_t message;
    struct outcome_entry entry = {.id = *id, .fence = fence, .end = end, .flags = OUTCOME_DEAD};
    if (!uplink_is_up(&worker->uplink))
        return; /* whoever asked has gone with the session, and asks again */
    struct writer *writer =
        outputs_entry(outputs, uplink_peer(&worker->uplink), MESSAGE_OUTCOME, &worker->uplink.link,
                      OUTCOME_HEAD_BYTES + RESULT_PLAIN_BYTES_MAX, &message);
    outcome_entry_write_head(writer, &entry);
    result_write_plain(writer, end);
    outputs_entry_end(outputs);
}

void spool_end(struct worker *worker, struct held *held, enum task_end end, uint32_t flags,
               const struct event *event, struct outputs *outputs)
{
    held->status = HELD_ENDED;
    held->end = end;
    held->flags = flags;
    held->since_ns = event->now_ns;
    worker->held.ended++;
    TAILQ_INSERT_TAIL(&worker->fresh, held, line);
    spool_send(worker, held, outputs);
}

void spool_settle(struct worker *worker, struct held *held, struct outputs *outputs)
{
    ASSERT(held->status == HELD_ENDED);
    if (held->entry_bytes != 0)
        outputs_erase(outputs, TABLE_SPOOL, held->spool_number);
    else
        TAILQ_REMOVE(&worker->fresh, held, line);
    held_drop(&worker->held, held);
}

/* ---- disk ---- */

static void spool_put(struct worker *worker, struct held *held, struct outputs *outputs)
{
    struct writer *writer = outputs_put(outputs, TABLE_SPOOL, worker->spool_next, 0);
    size_t before = writer->size;
    write_entry(worker, held, writer);
    held->entry_bytes = (uint32_t)(writer->size - before);
    outputs_put_end(outputs);
    held->spool_number = worker->spool_next++;
    TAILQ_REMOVE(&worker->fresh, held, line);
    chain_release(&worker->held.blocks, &held->bytes);
    outputs_trace(outputs, TRACE_SPOOLED, &held->id, held->spool_number, 0);
}

void spool_restore(struct worker *worker, const struct event *event)
{
    struct reader reader;
    struct outcome_entry entry;
    if (BUG(OUTCOME_DROPPED_AT_RESTART))
        return;
    reader_init(&reader, event->record.value);
    bool readable = outcome_entry_read(&reader, &entry);
    ASSERT(readable); /* our own record, and the store has checked its seal */
    struct held *held = held_add(&worker->held, &entry.id, entry.fence);
    ASSERT(held != NULL); /* never more records than entries, of the same bound */
    held->status = HELD_ENDED;
    held->end = entry.end;
    held->flags = entry.flags;
    held->entry_bytes = (uint32_t)event->record.value.size;
    held->spool_number = event->record.number;
    worker->held.ended++;
    if (worker->uplink.epoch_seen < entry.fence.epoch)
        worker->uplink.epoch_seen = entry.fence.epoch;
    if (worker->spool_next <= event->record.number)
        worker->spool_next = event->record.number + 1;
}

/* When the oldest outcome that is only in memory is to be put on disk: without a session at once. */
static uint64_t due_ns(const struct worker *worker)
{
    const struct held *held = TAILQ_FIRST(&worker->fresh);
    if (held == NULL)
        return DEADLINE_NEVER;
    uint64_t due = 0;
    if (uplink_is_up(&worker->uplink))
        due = held->since_ns + worker->options.spool_after_ms * NANOSECONDS_PER_MS;
    return due > worker->spool_retry_ns ? due : worker->spool_retry_ns;
}

static void put_due(struct worker *worker, const struct event *event, struct outputs *outputs)
{
    while (due_ns(worker) <= event->now_ns && outputs_room(outputs) != 0 && !outputs_full(outputs)) {
        struct held *held = TAILQ_FIRST(&worker->fresh);
        if (!room_for_record(&worker->room, 0, entry_bound(held),
                             outputs)) { /* the disk is full: it stays in memory, and is asked about again */
            outputs_trace(outputs, TRACE_STORE_FULL, NULL, event->store_free_bytes, event->store_max_bytes);
            worker->spool_retry_ns =
                event->now_ns + (worker->options.spool_after_ms + 1) * NANOSECONDS_PER_MS;
            return;
        }
        spool_put(worker, held, outputs);
    }
}

static void resend_unsent(struct worker *worker, struct outputs *outputs)
{
    uint32_t limit = held_limit(&worker->held);
    while (worker->resend < limit && outputs_room(outputs) != 0 && !outputs_full(outputs)) {
        struct held *held = held_at(&worker->held, worker->resend++);
        if (held != NULL && held->status == HELD_ENDED && !was_sent(worker, held))
            spool_send(worker, held, outputs);
    }
    if (worker->resend >= limit)
        worker->resend = 0;
}

void spool_on_timeout(struct worker *worker, const struct event *event, struct outputs *outputs)
{
    put_due(worker, event, outputs);
    if (worker->resend != 0 && uplink_is_up(&worker->uplink))
        resend_unsent(worker, outputs);
}

uint64_t spool_deadline_ns(const struct worker *worker)
{
    if (worker->resend != 0 && uplink_is_up(&worker->uplink))
        return 0;
    return due_ns(worker);
}
