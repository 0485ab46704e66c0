/* worker.c - the worker node: its options, its identity, and the table of events. The rest is in assign.c,
 * slots.c and spool.c. */
#include "worker/worker.h"

#include <stdlib.h>

#include "proto/assert.h"
#include "proto/bug.h"
#include "worker/worker_node.h"

enum {
    META_IDENTITY = 1,              /* the number of our record in the table META */
    ENTRIES_MAX = 2 * WINDOW_TASKS, /* whatever window an earlier configuration had, its spool fits */
    STORED_META_FIELDS = 2,
    SPOOL_WATERMARK_PERCENT = 80,
};

void worker_options_default(struct worker_options *options)
{
    memset(options, 0, sizeof *options);
    options->slots = 2;
    options->stop_grace_ms = 5000;
    options->spool_after_ms = 1000;
    options->started_flush_ms = 50;
    options->reconnect_min_ms = 50;
    options->reconnect_max_ms = 1000;
    options->drain_deadline_ms = 30000;
    options->window = WINDOW_TASKS;
    options->memory_blocks = 512 * 1024;
}

/* One profile: whatever is offered shares the slots. */
static struct bytes encode_profiles(struct worker *worker)
{
    const struct worker_options *options = &worker->options;
    struct profile profile = {.slots = options->slots, .capability_count = options->capability_count};
    if (options->commands)
        profile.types[profile.type_count++] = bytes_of(COMMAND_TYPE);
    for (uint32_t i = 0; i < options->handler_count; i++)
        profile.types[profile.type_count++] = bytes_of(options->handlers[i].type);
    for (uint32_t i = 0; i < options->capability_count; i++)
        profile.capabilities[i] = bytes_of(options->capabilities[i]);
    struct writer writer;
    writer_init(&writer, worker->profiles, sizeof worker->profiles);
    write_array(&writer, 1);
    profile_write(&writer, &profile);
    return writer_bytes(&writer);
}

struct worker *worker_new(const struct worker_options *options)
{
    ASSERT(options->handler_count <= HANDLERS_MAX);
    ASSERT(options->capability_count <= CAPABILITIES_MAX);
    ASSERT(options->slots > 0 && options->slots <= SLOTS_MAX);
    ASSERT(options->window > 0 && options->window <= WINDOW_TASKS);
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        return NULL;
    worker->options = *options;
    worker->spool_next = 1;
    room_init(&worker->room, SPOOL_WATERMARK_PERCENT);
    TAILQ_INIT(&worker->waiting);
    TAILQ_INIT(&worker->unreported);
    TAILQ_INIT(&worker->fresh);
    held_init(&worker->held, ENTRIES_MAX, options->memory_blocks);
    if (!slots_init(&worker->slots, options->slots)) {
        worker_free(worker);
        return NULL;
    }
    uplink_init(&worker->uplink, options->name, "worker", options->reconnect_min_ms,
                options->reconnect_max_ms);
    uplink_profiles(&worker->uplink, encode_profiles(worker));
    return worker;
}

void worker_free(struct worker *worker)
{
    held_release(&worker->held);
    slots_release(&worker->slots);
    free(worker);
}

/* ---- identity: [instance, boot], durable before the HELLO that shows it ---- */

static void restore_identity(struct worker *worker, struct bytes record)
{
    struct reader reader;
    reader_init(&reader, record);
    uint32_t fields = read_array(&reader, 64);
    struct bytes instance = read_bin(&reader, INSTANCE_BYTES, INSTANCE_BYTES);
    worker->boot = read_uint(&reader, UINT64_MAX - 1);
    ASSERT(fields >= STORED_META_FIELDS && !reader_failed(&reader)); /* our own, under the store's seal */
    memcpy(worker->instance, instance.data, INSTANCE_BYTES);
    worker->has_identity = true;
}

static void on_restore(struct worker *worker, const struct event *event)
{
    ASSERT(!worker->started);
    if (event->record.table == TABLE_META && event->record.number == META_IDENTITY)
        restore_identity(worker, event->record.value);
    else if (event->record.table == TABLE_SPOOL)
        spool_restore(worker, event);
}

static void on_start(struct worker *worker, const struct event *event, struct outputs *outputs)
{
    ASSERT(!worker->started);
    if (!worker->has_identity)
        memcpy(worker->instance, event->random, INSTANCE_BYTES);
    worker->boot++;
    worker->started = true;
    struct writer *writer = outputs_put(outputs, TABLE_META, META_IDENTITY, 0);
    write_array(writer, STORED_META_FIELDS);
    write_bin(writer, (struct bytes){worker->instance, INSTANCE_BYTES});
    write_uint(writer, worker->boot);
    outputs_put_end(outputs);
    outputs_trace(outputs, TRACE_RESTORED, NULL, worker->held.ended, 0);
    uplink_start(&worker->uplink, event, outputs, worker->instance, worker->boot);
}

/* ---- drain ---- */

void worker_drain(struct worker *worker, const struct event *event, uint64_t deadline_ms,
                  struct outputs *outputs)
{
    uint64_t drain_ns = event->now_ns + deadline_ms * NANOSECONDS_PER_MS;
    if (worker->draining && worker->drain_ns <= drain_ns)
        return;
    worker->drain_ns = drain_ns;
    if (worker->draining)
        return;
    worker->draining = true;
    worker->uplink.draining = true;
    worker->uplink.beat_ns = 0; /* the region should know at once */
    outputs_trace(outputs, TRACE_DRAIN_STARTED, NULL, worker->held.items.live - worker->held.ended, 0);
}

static bool waiting_to_return(const struct worker *worker)
{
    return worker->draining && !TAILQ_EMPTY(&worker->waiting);
}

/* What has not started goes back; at the end BYE, when nothing is lost by going. */
static void on_drain_progress(struct worker *worker, const struct event *event, struct outputs *outputs)
{
    while (waiting_to_return(worker) && outputs_room(outputs) != 0 && !outputs_full(outputs)) {
        struct held *held = TAILQ_FIRST(&worker->waiting);
        TAILQ_REMOVE(&worker->waiting, held, line);
        chain_release(&worker->held.blocks, &held->bytes);
        spool_end(worker, held, TASK_RETURNED, OUTCOME_DEAD, event, outputs);
    }
    bool idle = TAILQ_EMPTY(&worker->waiting) && worker->slots.free_count == worker->slots.count;
    bool settled = worker->held.items.live == 0;
    bool nobody_answers = !uplink_is_up(&worker->uplink) || event->now_ns >= worker->drain_ns;
    bool safe = settled || (nobody_answers && TAILQ_EMPTY(&worker->fresh)); /* the rest is on disk */
    if (!idle || !safe || outputs_room(outputs) == 0)
        return;
    uplink_bye(&worker->uplink, BUG(BYE_KEEPS_NOTHING) ? 0 : worker->held.items.live, outputs);
    outputs_trace(outputs, TRACE_DRAIN_DONE, NULL, 0, 0);
    worker->done = true;
}

bool worker_done(const struct worker *worker)
{
    return worker->done;
}

/* ---- events ---- */

static void on_news(struct worker *worker, enum uplink_news news, const struct event *event,
                    const struct message_header *header, struct outputs *outputs)
{
    switch (news) {
    case UPLINK_NOTHING:
        break;
    case UPLINK_WELCOME:
        worker->inventory = 1;
        assign_inventory(worker, event, outputs);
        break;
    case UPLINK_MESSAGE:
        if (!assign_on_message(worker, event, header, outputs))
            on_news(worker, uplink_on_malformed(&worker->uplink, event, outputs), event, NULL, outputs);
        break;
    case UPLINK_ENDED: /* what it did not settle is sent in the next one, and spooled meanwhile */
        worker->inventory = worker->resend = 0;
        break;
    }
}

static void on_message(struct worker *worker, const struct event *event, struct outputs *outputs)
{
    struct message_header header;
    if (peer_port(event->peer) != PORT_PARENT || message_read(event->frame, &header) != READER_OK ||
        header.version < PROTOCOL_VERSION_MIN || header.version > PROTOCOL_VERSION_MAX) {
        on_news(worker, uplink_on_malformed(&worker->uplink, event, outputs), event, NULL, outputs);
        return;
    }
    on_news(worker, uplink_on_message(&worker->uplink, event, &header, outputs), event, &header, outputs);
}

static void on_timeout(struct worker *worker, const struct event *event, struct outputs *outputs)
{
    on_news(worker, uplink_on_timeout(&worker->uplink, event, outputs), event, NULL, outputs);
    if (worker->inventory != 0)
        assign_inventory(worker, event, outputs);
    assign_flush_taken(worker, event, outputs);
    slots_on_timeout(worker, event, outputs);
    spool_on_timeout(worker, event, outputs);
}

void worker_step(struct worker *worker, const struct event *event, struct outputs *outputs)
{
    if (!worker->seeded)
        held_seed(&worker->held, event->random[0]);
    worker->seeded = true;
    room_begin_step(&worker->room, event, outputs);
    if (worker->done)
        return;
    switch (event->kind) {
    case EVENT_RESTORE:
        on_restore(worker, event);
        break;
    case EVENT_START:
        on_start(worker, event, outputs);
        break;
    case EVENT_TIMEOUT:
        on_timeout(worker, event, outputs);
        break;
    case EVENT_MESSAGE:
        on_message(worker, event, outputs);
        break;
    case EVENT_LINK_DOWN:
        on_news(worker, uplink_on_link_down(&worker->uplink, event, outputs), event, NULL, outputs);
        break;
    case EVENT_DRAIN:
        worker_drain(worker, event, worker->options.drain_deadline_ms, outputs);
        break;
    case EVENT_PROCESS_STARTED:
        slots_on_started(worker, event);
        break;
    case EVENT_PROCESS_ENDED:
        slots_on_ended(worker, event, outputs);
        break;
    }
    if (worker->draining)
        on_drain_progress(worker, event, outputs);
}

uint64_t worker_deadline_ns(const struct worker *worker)
{
    if (worker->done || !worker->started)
        return DEADLINE_NEVER;
    if (worker->inventory != 0 || waiting_to_return(worker))
        return 0;
    const uint64_t deadlines[] = {uplink_deadline_ns(&worker->uplink), assign_taken_deadline_ns(worker),
                                  slots_deadline_ns(worker), spool_deadline_ns(worker)};
    uint64_t first = DEADLINE_NEVER;
    for (size_t i = 0; i < sizeof deadlines / sizeof deadlines[0]; i++)
        if (deadlines[i] < first)
            first = deadlines[i];
    return first;
}
