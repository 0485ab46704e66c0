/* broker.c - the broker's events. Each goes to the file that knows it (broker_state.h lists them).
 *
 * Dispatch waits for TIMEOUT: the host gives one as soon as its sockets are drained, so the ASSIGNs of
 * everything that came meanwhile leave together. */
#include "broker/broker_state.h"

#include <stdlib.h>

#include "proto/assert.h"
#include "proto/text.h"

void broker_options_default(struct broker_options *options)
{
    *options = (struct broker_options){
        .beat_ms = 1000,
        .region_grace_ms = 60000,
        .rerun_max = 3,
        .window = WINDOW_TASKS,
        .payload_bytes_max = PAYLOAD_BYTES_MAX,
        .result_ttl_ms = 24ull * 3600 * 1000,
        .dedupe_ttl_ms = 24ull * 3600 * 1000,
        .dedupe_ids_max = 4000000,
        .tasks_max = 20000000,
        .watermark_percent = 80,
    };
}

struct broker *broker_new(const struct broker_options *options)
{
    struct broker *broker = calloc(1, sizeof *broker);
    if (broker == NULL)
        return NULL;
    broker->options = *options;
    ended_init(&broker->ended, options->dedupe_ids_max, options->result_ttl_ms, options->dedupe_ttl_ms);
    struct ledger_options ledger = {
        .tasks_max = options->tasks_max,
        .children = {.beat_ms = options->beat_ms, .grace_ms = options->region_grace_ms, .role = "region"},
    };
    ledger_init(&broker->tasks, &ledger, &broker->ended);
    watches_init(&broker->watches);
    room_init(&broker->room, options->watermark_percent);
    return broker;
}

void broker_free(struct broker *broker)
{
    if (broker == NULL)
        return;
    queries_release(&broker->queries);
    watches_release(&broker->watches);
    ledger_release(&broker->tasks);
    ended_release(&broker->ended);
    free(broker);
}

/* ---- start ---- */

/* META 1: [instance, boot, epoch, custody floor, restored at] */
enum { META_FIELDS = 5, META_FIELDS_MIN = 3 };

static void restore_meta(struct broker *broker, struct bytes value)
{
    struct reader reader;
    reader_init(&reader, value);
    uint32_t fields = read_array(&reader, 16);
    struct bytes instance = read_bin(&reader, INSTANCE_BYTES, INSTANCE_BYTES);
    broker->boot = read_uint(&reader, UINT64_MAX);
    broker->epoch = (uint32_t)read_uint(&reader, UINT32_MAX);
    if (fields > META_FIELDS_MIN)
        broker->custody_floor = (uint32_t)read_uint(&reader, UINT32_MAX);
    if (fields > META_FIELDS_MIN + 1)
        broker->restored_ms = read_uint(&reader, UINT64_MAX);
    read_skip(&reader, fields, META_FIELDS);
    ASSERT(!reader_failed(&reader)); /* the store's seal was good: we wrote this */
    memcpy(broker->instance, instance.data, INSTANCE_BYTES);
}

static void restore(struct broker *broker, const struct event *event)
{
    if (event->record.table == TABLE_META) {
        restore_meta(broker, event->record.value);
        return;
    }
    bool good = ledger_restore(&broker->tasks, event);
    ASSERT(good); /* likewise */
}

/* The newest ids, for lists: arrival numbers have no holes but those of tasks that were forgotten. */
static void restore_recent(struct broker *broker)
{
    const struct ledger *tasks = &broker->tasks;
    uint64_t first = tasks->next_arrival > RECENT_MAX ? tasks->next_arrival - RECENT_MAX : 1;
    const struct task_id *found[RECENT_MAX] = {NULL};
    for (uint32_t index = tasks->tasks.next_fresh; index-- > 1;) { /* restored in the order of arrival */
        const struct task *task = ledger_task(tasks, index);
        if (task->arrival < first)
            break;
        found[task->arrival - first] = &task->id;
    }
    for (uint64_t number = broker->ended.first; number < broker->ended.next; number++) {
        const struct ended_entry *entry = ended_at(&broker->ended, ended_value(number));
        if (ended_arrival(entry) >= first)
            found[ended_arrival(entry) - first] = &entry->id;
    }
    for (uint32_t i = 0; i < RECENT_MAX; i++)
        if (found[i] != NULL)
            broker->recent.ids[broker->recent.next++ % RECENT_MAX] = *found[i];
}

static void start(struct broker *broker, const struct event *event, struct outputs *outputs)
{
    if (broker->options.restored > 0 && !broker_raise_floor(broker, event, outputs))
        return;
    if (broker->boot == 0)
        memcpy(broker->instance, event->random, INSTANCE_BYTES);
    broker->boot++;
    uint32_t wall_s = (uint32_t)(event->wall_ms / 1000);
    broker->epoch = broker->epoch + 1 > wall_s ? broker->epoch + 1 : wall_s;
    struct writer *writer = outputs_put(outputs, TABLE_META, 1, 0);
    write_array(writer, META_FIELDS);
    write_bin(writer, (struct bytes){broker->instance, INSTANCE_BYTES});
    write_uint(writer, broker->boot);
    write_uint(writer, broker->epoch);
    write_uint(writer, broker->custody_floor);
    write_uint(writer, broker->restored_ms);
    outputs_put_end(outputs);
    ledger_start(&broker->tasks, outputs);
    broker_mark_restored(broker);
    restore_recent(broker);
    children_start(&broker->tasks.children, event, broker->epoch);
    broker->dispatch = true;
}

/* ---- messages ---- */

void broker_refuse(struct broker *broker, const struct event *event, uint64_t sequence, enum error_code code,
                   const char *reason, struct outputs *outputs)
{
    broker->counters.malformed++;
    error_write_body(outputs_message(outputs, event->peer, MESSAGE_ERROR, NULL, sequence), code, reason);
    outputs_message_end(outputs);
    outputs_trace(outputs, TRACE_MESSAGE_REFUSED, NULL, code, event->peer);
}

void broker_refuse_named(struct broker *broker, const struct event *event, uint64_t sequence,
                         enum error_code code, struct bytes name, const char *what, struct outputs *outputs)
{
    char reason[192];
    struct text text;
    text_init(&text, reason, sizeof reason);
    text_add_bytes(&text, (struct bytes){name.data, name.size < NAME_BYTES_MAX ? name.size : NAME_BYTES_MAX});
    text_add(&text, what);
    broker_refuse(broker, event, sequence, code, reason, outputs);
}

void broker_refuse_field(struct broker *broker, const struct event *event, uint64_t sequence,
                         struct bytes field, struct outputs *outputs)
{
    broker_refuse_named(broker, event, sequence, ERROR_UNKNOWN_FIELD, field,
                        ": no such field of this request, or given twice", outputs);
}

static const struct {
    enum message_kind kind;
    void (*on_request)(struct broker *, const struct event *, const struct message_header *,
                       struct outputs *);
} requests[] = {
    {MESSAGE_SUBMIT, broker_on_submit},     {MESSAGE_WATCH, broker_on_watch},
    {MESSAGE_RECEIVED, broker_on_received}, {MESSAGE_CANCEL, broker_on_cancel},
    {MESSAGE_QUERY, broker_on_query},       {MESSAGE_DRAIN, broker_on_drain_request},
    {MESSAGE_FORGET, broker_on_forget},
};

static void on_request(struct broker *broker, const struct event *event, const struct message_header *header,
                       struct outputs *outputs)
{
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        if (requests[i].kind == header->kind) {
            requests[i].on_request(broker, event, header, outputs);
            return;
        }
    }
    bool link = header->kind != MESSAGE_KIND_COUNT;
    broker_refuse_named(
        broker, event, header->sequence, link ? ERROR_WRONG_PORT : ERROR_UNKNOWN_KIND, header->kind_text,
        link ? ": this port is for clients; regions connect to [broker] regions, workers to their region"
             : ": no such kind of message; kinds are listed in PROTOCOL.md",
        outputs);
}

static bool is_request(enum message_kind kind)
{
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        if (requests[i].kind == kind)
            return true;
    return false;
}

static void on_message(struct broker *broker, const struct event *event, struct outputs *outputs)
{
    struct message_header header;
    enum reader_error error = message_read(event->frame, &header);
    if (error != READER_OK) {
        broker_refuse(broker, event, 0, ERROR_MALFORMED, reader_error_text(error), outputs);
        return;
    }
    if (header.version < PROTOCOL_VERSION_MIN || header.version > PROTOCOL_VERSION_MAX) {
        char reason[VERSION_REASON_BYTES];
        version_reason(header.version, header.version, reason);
        broker_refuse(broker, event, header.sequence, ERROR_UNKNOWN_VERSION, reason, outputs);
        return;
    }
    bool from_region = peer_port(event->peer) == PORT_CHILD;
    if (from_region && is_request(header.kind))
        broker_refuse(broker, event, header.sequence, ERROR_WRONG_PORT,
                      "this port is for regions; clients connect to [broker] clients", outputs);
    else if (from_region)
        broker_on_child_message(broker, event, &header, outputs);
    else
        on_request(broker, event, &header, outputs);
}

/* ---- time ---- */

/* A timer came due: a delay is over, or a deadline has passed. */
static void on_due(struct broker *broker, uint32_t index, struct outputs *outputs)
{
    struct task *task = ledger_task(&broker->tasks, index);
    bool expired = ledger_is_expired(&broker->tasks, task);
    if (task_is_granted(task)) {
        task->flags |= TASK_DEADLINE_BELOW;
        ledger_arm(&broker->tasks, index);
    } else if (task->flags & TASK_CANCELLING) { /* refused by its region since */
        broker_end(broker, index, TASK_CANCELLED, "cancelled", outputs);
    } else if (expired) {
        outputs_trace(outputs, TRACE_TASK_EXPIRED, &task->id, task->deadline_ms, 0);
        broker_end(broker, index, TASK_EXPIRED, "deadline", outputs);
    } else {
        ledger_wake(&broker->tasks, index);
        broker->dispatch = true;
    }
}

static void make_room(struct broker *broker, struct outputs *outputs)
{
    bool full = !room_for_new(&broker->room, broker->tasks.tasks.live, outputs);
    if (full && !broker->full)
        outputs_trace(outputs, TRACE_STORE_FULL, NULL, broker->room.free_bytes, broker->room.max_bytes);
    broker->full = full;
    if (!full)
        return;
    uint32_t evicted = ended_evict_received(&broker->ended, 1024, outputs);
    broker->counters.evicted += evicted;
    if (evicted == 0)
        return;
    outputs_trace(outputs, TRACE_STORE_EVICTED, NULL, evicted, 0);
}

/* What clients have received, so that it goes first after a restart too. */
static void put_receipts(struct broker *broker, struct outputs *outputs)
{
    if (ended_put_receipts(&broker->ended, outputs))
        broker->more_work = true;
    else
        broker->receipts_ns = 0;
}

static void on_timeout(struct broker *broker, const struct event *event, struct outputs *outputs)
{
    broker->more_work = false;
    watches_answer(broker, outputs); /* what the step before had no room for goes first */
    children_on_timeout(&broker->tasks.children, event, outputs);
    if (broker->tasks.children.profiles_changed) {
        broker->tasks.children.profiles_changed = false;
        broker->dispatch = true;
    }
    broker_sweep(broker, outputs);
    uint32_t due;
    while ((due = ledger_due(&broker->tasks)) != 0 && outputs_room(outputs) >= 512)
        on_due(broker, due, outputs);
    queries_on_timeout(broker, outputs);
    query_watch_workers(broker, outputs);
    if (broker->dispatch)
        broker_dispatch(broker, outputs);
    grants_write(&broker->tasks, outputs); /* now, so that what follows knows how much room is left */
    broker->more_work |= watches_on_timeout(broker, outputs);
    if (outputs_room(outputs) >= 2048) {
        make_room(broker, outputs);
        if (broker->receipts_ns != 0 && broker->receipts_ns <= event->now_ns)
            put_receipts(broker, outputs);
        broker->more_work |= ended_expire(&broker->ended, event->wall_ms, &broker->tasks.by_id, outputs);
    }
}

void broker_step(struct broker *broker, const struct event *event, struct outputs *outputs)
{
    ledger_begin_step(&broker->tasks, event);
    room_begin_step(&broker->room, event, outputs);
    if (broker->room.paused)
        broker->dispatch |=
            room_for_grant(&broker->room, broker->tasks.tasks.live, ledger_granted(&broker->tasks), outputs);
    switch (event->kind) {
    case EVENT_RESTORE:
        restore(broker, event);
        return;
    case EVENT_START:
        start(broker, event, outputs);
        break;
    case EVENT_TIMEOUT:
        on_timeout(broker, event, outputs);
        break;
    case EVENT_MESSAGE:
        on_message(broker, event, outputs);
        break;
    case EVENT_LINK_DOWN:
        if (peer_port(event->peer) == PORT_CHILD)
            children_on_link_down(&broker->tasks.children, event, outputs);
        else
            watches_on_peer_gone(&broker->watches, event->peer);
        break;
    case EVENT_DRAIN:
        broker->draining = true; /* everything accepted is on disk; nothing needs waiting for */
        put_receipts(broker, outputs);
        outputs_trace(outputs, TRACE_DRAIN_STARTED, NULL, broker->tasks.tasks.live, 0);
        break;
    case EVENT_PROCESS_STARTED:
    case EVENT_PROCESS_ENDED:
        break; /* brokers start no processes */
    }
    watches_answer(broker, outputs);
    ledger_end_step(&broker->tasks, outputs);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t broker_deadline_ns(const struct broker *broker)
{
    if (broker->more_work || (broker->dispatch && broker->tasks.ready.count > 0) ||
        broker->tasks.first_dirty != 0 || broker->tasks.children.profiles_changed ||
        (broker->full && broker->ended.evictable > 0)) /* until there is room, or none is left to evict */
        return 0;
    uint64_t deadline_ns = children_deadline_ns(&broker->tasks.children);
    deadline_ns = earlier(deadline_ns, ledger_deadline_ns(&broker->tasks));
    deadline_ns = earlier(deadline_ns, watches_deadline_ns(&broker->watches));
    deadline_ns = earlier(deadline_ns, queries_deadline_ns(&broker->queries));
    if (broker->receipts_ns != 0)
        deadline_ns = earlier(deadline_ns, broker->receipts_ns);
    /* Housekeeping of ended ids follows the wall clock; once a second is often enough. */
    return earlier(deadline_ns, broker->tasks.now_ns + 1000 * NANOSECONDS_PER_MS);
}

bool broker_done(const struct broker *broker)
{
    return broker->draining;
}

bool broker_no_floor_left(const struct broker *broker)
{
    return broker->no_floor_left;
}
