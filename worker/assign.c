/* assign.c - what the region says to its worker: ASSIGN, STOP, SETTLED; and what it hears back at once:
 * INVENTORY after WELCOME, TAKEN for what runs longer than a moment. */
#include "proto/bug.h"
#include "worker/worker_node.h"

#include <errno.h>

#include "proto/assert.h"
#include "worker/result.h"

enum { HANDLER_COMMAND = -1, HANDLER_UNKNOWN = -2, ROW_BYTES_MAX = 64 };

static int handler_of(const struct worker *worker, const struct task_fields *fields)
{
    if (fields->argument_count != 0)
        return worker->options.commands ? HANDLER_COMMAND : HANDLER_UNKNOWN;
    for (uint32_t i = 0; i < worker->options.handler_count; i++)
        if (bytes_are(fields->type, worker->options.handlers[i].type))
            return (int)i;
    return HANDLER_UNKNOWN;
}

/* ---- ASSIGN ---- */

/* It was told before, perhaps in another session: say where it is now. */
static void answer_known(struct worker *worker, struct held *held, struct outputs *outputs)
{
    switch (held->status) {
    case HELD_ENDED:
        spool_send(worker, held, outputs);
        break;
    case HELD_RUNNING:
        if (!held->unreported)
            TAILQ_INSERT_HEAD(&worker->unreported, held, line);
        held->unreported = true;
        break;
    case HELD_WAITING:
    case HELD_STATUS_COUNT:
        break;
    }
}

static void stop_waiting(struct worker *worker, struct held *held, enum task_end end,
                         const struct event *event, struct outputs *outputs)
{
    TAILQ_REMOVE(&worker->waiting, held, line);
    chain_release(&worker->held.blocks, &held->bytes);
    spool_end(worker, held, end, OUTCOME_DEAD, event, outputs);
}

/* A newer attempt of a task of which an older one is still here: nobody wants the older one any more. */
static void end_older(struct worker *worker, struct held *older, const struct event *event,
                      struct outputs *outputs)
{
    if (older->status == HELD_WAITING)
        stop_waiting(worker, older, TASK_CANCELLED, event, outputs);
    else if (older->status == HELD_RUNNING)
        slots_stop(worker, older, STOP_CAUSE_CANCEL, event, outputs);
}

/* The task map is none this worker understands, though its region accepted it. */
static void fail_unreadable(struct worker *worker, struct held *held, const struct event *event,
                            struct outputs *outputs)
{
    struct process_end end = {.started = false, .exit_status = -1, .start_error = EINVAL};
    uint32_t flags;
    enum task_end judged = result_judge(&end, &flags);
    result_encode(&worker->held.blocks, &held->bytes, &end, 0);
    spool_end(worker, held, judged, flags, event, outputs);
}

/* The region grants it again, here or elsewhere: the worker drains, has no memory or no such handler. */
static void give_back(struct worker *worker, const struct assign_entry *entry, struct outputs *outputs)
{
    spool_answer(worker, &entry->id, entry->fence, TASK_RETURNED, outputs);
}

static void begin(struct worker *worker, struct held *held, const struct assign_entry *entry,
                  const struct event *event, struct outputs *outputs)
{
    bool behind_others = !TAILQ_EMPTY(&worker->waiting);
    held->attempt = entry->attempt;
    if (slots_any_free(&worker->slots) && !behind_others) {
        slots_start(worker, held, entry->envelope, event, outputs);
    } else if (chain_append(&worker->held.blocks, &held->bytes, entry->envelope)) {
        held->status = HELD_WAITING; /* the region counts otherwise than we do; nothing is lost by waiting */
        TAILQ_INSERT_TAIL(&worker->waiting, held, line);
    } else {
        held_drop(&worker->held, held);
        give_back(worker, entry, outputs);
    }
}

static void on_assign(struct worker *worker, const struct assign_entry *entry, const struct event *event,
                      struct outputs *outputs)
{
    struct held *held = held_find(&worker->held, &entry->id, entry->fence);
    struct held *newest = held_newest(&worker->held, &entry->id);
    struct task_fields fields;
    if (worker->uplink.epoch_seen < entry->fence.epoch)
        worker->uplink.epoch_seen = entry->fence.epoch;
    if (held != NULL && !BUG(REPEATED_ASSIGN_STARTS)) {
        answer_known(worker, held, outputs);
        return;
    }
    if (newest != NULL && fence_compare(entry->fence, newest->fence) < 0)
        return; /* stale: a later grant was made since */
    if (newest != NULL)
        end_older(worker, newest, event, outputs);
    if (worker->draining) {
        give_back(worker, entry, outputs);
        return;
    }
    bool readable = task_parse(entry->envelope, SIZE_MAX, &fields).code == ERROR_NONE;
    int handler = readable ? handler_of(worker, &fields) : HANDLER_UNKNOWN;
    if (readable && handler == HANDLER_UNKNOWN) {
        give_back(worker, entry, outputs);
        return;
    }
    if (worker->held.items.live < worker->options.window)
        held = held_add(&worker->held, &entry->id, entry->fence);
    if (held == NULL) {
        give_back(worker, entry, outputs);
        return;
    }
    held->handler = (uint32_t)handler; /* a command is UINT32_MAX, as struct process has it */
    if (!readable)
        fail_unreadable(worker, held, event, outputs);
    else if (handler >= 0 && worker->options.handlers[handler].builtin_noop)
        spool_end(worker, held, TASK_COMPLETED, OUTCOME_DEAD, event, outputs);
    else
        begin(worker, held, entry, event, outputs);
}

static void read_assign(struct worker *worker, struct reader *reader, const struct event *event,
                        struct outputs *outputs)
{
    struct assign_entry entry;
    if (assign_entry_read(reader, &entry))
        on_assign(worker, &entry, event, outputs);
}

/* ---- STOP and SETTLED ---- */

static void read_stop(struct worker *worker, struct reader *reader, const struct event *event,
                      struct outputs *outputs)
{
    struct stop_entry entry;
    if (!stop_entry_read(reader, &entry))
        return;
    struct held *held = held_find(&worker->held, &entry.id, entry.fence);
    if (held == NULL) {
        spool_answer(worker, &entry.id, entry.fence, TASK_NOT_HELD, outputs);
        return;
    }
    bool recall = entry.mode == STOP_RECALL;
    switch (held->status) {
    case HELD_WAITING:
        stop_waiting(worker, held, recall ? TASK_RETURNED : TASK_CANCELLED, event, outputs);
        break;
    case HELD_RUNNING:
        if (!recall) /* a recall comes too late: its end is the answer */
            slots_stop(worker, held, STOP_CAUSE_CANCEL, event, outputs);
        break;
    case HELD_ENDED:
        spool_send(worker, held, outputs);
        break;
    case HELD_STATUS_COUNT:
        break;
    }
}

static void read_settled(struct worker *worker, struct reader *reader, const struct event *event,
                         struct outputs *outputs)
{
    struct settled_entry entry;
    (void)event; /* nothing about it has a time */
    if (!settled_entry_read(reader, &entry))
        return;
    /* Recorded, stale or unknown: in each case nobody waits for it any more. */
    struct held *held = held_find(&worker->held, &entry.id, entry.fence);
    if (held != NULL && held->status == HELD_ENDED)
        spool_settle(worker, held, outputs);
}

/* ---- ASK ---- */

static uint64_t read_deadline_ms(struct bytes body, uint64_t otherwise)
{
    struct reader reader;
    reader_init(&reader, body);
    uint32_t pairs = read_map(&reader, 64);
    for (uint32_t i = 0; i < pairs && !reader_failed(&reader); i++) {
        struct bytes key = read_str(&reader, 0, NAME_BYTES_MAX);
        if (bytes_are(key, "deadline_ms") && reader_peek(&reader) == TYPE_UINT)
            return read_uint(&reader, DURATION_MS_MAX);
        read_raw(&reader);
    }
    return otherwise;
}

static bool on_ask(struct worker *worker, const struct event *event, struct bytes body,
                   struct outputs *outputs)
{
    struct ask ask;
    if (!ask_read(body, &ask))
        return false;
    if (bytes_are(ask.question, "drain"))
        worker_drain(worker, event, read_deadline_ms(ask.body, worker->options.drain_deadline_ms), outputs);
    struct writer *writer =
        outputs_message(outputs, uplink_peer(&worker->uplink), MESSAGE_ANSWER, &worker->uplink.link, 0);
    answer_write_head(writer, ask.request);
    write_map(writer, 0); /* a drain has begun; of any other question: the region knows as much as we do */
    outputs_message_end(outputs);
    return true;
}

/* ---- messages ---- */

typedef void (*read_entry)(struct worker *, struct reader *, const struct event *, struct outputs *);

/* [[entry, ...]]. False from the first on that cannot be read. */
static bool read_entries(struct worker *worker, const struct event *event, struct bytes body,
                         read_entry read_one, struct outputs *outputs)
{
    struct reader reader;
    reader_init(&reader, body);
    uint32_t fields = read_array(&reader, 64);
    uint32_t entries = fields == 0 ? 0 : read_array(&reader, FRAME_ENTRIES_MAX);
    for (uint32_t i = 0; i < entries && !reader_failed(&reader); i++)
        read_one(worker, &reader, event, outputs);
    return !reader_failed(&reader);
}

/* What the region may say before our END has reached it: about rows of the INVENTORY, never a new grant. */
static const struct {
    enum message_kind kind;
    bool before_end;
    read_entry read_one;
} entry_messages[] = {
    {MESSAGE_ASSIGN, false, read_assign},
    {MESSAGE_STOP, true, read_stop},
    {MESSAGE_SETTLED, true, read_settled},
};

bool assign_on_message(struct worker *worker, const struct event *event, const struct message_header *header,
                       struct outputs *outputs)
{
    bool up = uplink_is_up(&worker->uplink);
    if (up && header->kind == MESSAGE_ASK)
        return on_ask(worker, event, header->body, outputs);
    for (size_t i = 0; i < sizeof entry_messages / sizeof entry_messages[0]; i++)
        if (entry_messages[i].kind == header->kind && (up || entry_messages[i].before_end))
            return read_entries(worker, event, header->body, entry_messages[i].read_one, outputs);
    outputs_trace(outputs, TRACE_MESSAGE_REFUSED, NULL, ERROR_UNKNOWN_KIND, event->peer);
    return true;
}

/* ---- INVENTORY and TAKEN ---- */

static uint64_t running_ms(const struct held *held, const struct event *event)
{
    return held->status == HELD_RUNNING ? (event->now_ns - held->since_ns) / NANOSECONDS_PER_MS : 0;
}

void assign_inventory(struct worker *worker, const struct event *event, struct outputs *outputs)
{
    uint32_t message, limit = held_limit(&worker->held);
    while (worker->inventory < limit && outputs_room(outputs) > 1 && !outputs_full(outputs)) {
        const struct held *held = held_at(&worker->held, worker->inventory++);
        if (held == NULL)
            continue;
        struct inventory_row row = {.id = held->id,
                                    .fence = held->fence,
                                    .status = held->status,
                                    .running_ms = running_ms(held, event)};
        struct writer *writer = outputs_entry(outputs, uplink_peer(&worker->uplink), MESSAGE_INVENTORY,
                                              &worker->uplink.link, ROW_BYTES_MAX, &message);
        inventory_row_write(writer, &row);
        outputs_entry_end(outputs);
    }
    if (worker->inventory < limit || outputs_room(outputs) == 0)
        return;
    worker->inventory = 0;
    uplink_synced(&worker->uplink, event, outputs);
    worker->resend = 1;
}

uint64_t assign_taken_deadline_ns(const struct worker *worker)
{
    const struct held *oldest = TAILQ_FIRST(&worker->unreported);
    if (oldest == NULL || !uplink_is_up(&worker->uplink))
        return DEADLINE_NEVER;
    return oldest->since_ns + worker->options.started_flush_ms * NANOSECONDS_PER_MS;
}

void assign_flush_taken(struct worker *worker, const struct event *event, struct outputs *outputs)
{
    uint32_t message;
    struct held *held;
    if (event->now_ns < assign_taken_deadline_ns(worker))
        return;
    while ((held = TAILQ_FIRST(&worker->unreported)) != NULL && outputs_room(outputs) != 0 &&
           !outputs_full(outputs)) {
        struct taken_entry entry = {
            .id = held->id, .fence = held->fence, .started = true, .running_ms = running_ms(held, event)};
        struct writer *writer = outputs_entry(outputs, uplink_peer(&worker->uplink), MESSAGE_TAKEN,
                                              &worker->uplink.link, ROW_BYTES_MAX, &message);
        taken_entry_write(writer, &entry);
        outputs_entry_end(outputs);
        slots_reported(worker, held);
    }
}
