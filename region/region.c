/* region.c - the region's events. Each goes to the file that knows it (region_state.h lists them). */
#include <stdlib.h>

#include "proto/assert.h"
#include "proto/text.h"
#include "region/region_state.h"

void region_options_default(struct region_options *options)
{
    *options = (struct region_options){
        .beat_ms = 1000,
        .worker_grace_ms = 10000,
        .retry_base_ms = 1000,
        .retry_cap_ms = 300000,
        .poison_limit = 3,
        .window = WINDOW_TASKS,
        .payload_bytes_max = PAYLOAD_BYTES_MAX,
        .tasks_max = 20000000,
        .reconnect_min_ms = 50,
        .reconnect_max_ms = 1000,
        .watermark_percent = 80,
    };
}

struct region *region_new(const struct region_options *options)
{
    struct region *region = calloc(1, sizeof *region);
    if (region == NULL)
        return NULL;
    region->options = *options;
    struct ledger_options ledger = {
        .tasks_max = options->tasks_max,
        .children = {.beat_ms = options->beat_ms, .grace_ms = options->worker_grace_ms, .role = "worker"},
    };
    ledger_init(&region->tasks, &ledger, NULL);
    uplink_init(&region->uplink, options->name, "region", options->reconnect_min_ms,
                options->reconnect_max_ms);
    room_init(&region->room, options->watermark_percent);
    return region;
}

void region_free(struct region *region)
{
    if (region == NULL)
        return;
    ledger_release(&region->tasks);
    free(region);
}

/* ---- start ---- */

/* META 1: [instance, boot, epoch] */
static void restore_meta(struct region *region, struct bytes value)
{
    struct reader reader;
    reader_init(&reader, value);
    uint32_t fields = read_array(&reader, 16);
    struct bytes instance = read_bin(&reader, INSTANCE_BYTES, INSTANCE_BYTES);
    region->boot = read_uint(&reader, UINT64_MAX);
    region->epoch = (uint32_t)read_uint(&reader, UINT32_MAX);
    read_skip(&reader, fields, 3);
    ASSERT(!reader_failed(&reader)); /* the store's seal was good: we wrote this */
    memcpy(region->instance, instance.data, INSTANCE_BYTES);
}

void region_put_meta(struct region *region, struct outputs *outputs)
{
    struct writer *writer = outputs_put(outputs, TABLE_META, 1, 0);
    write_array(writer, 3);
    write_bin(writer, (struct bytes){region->instance, INSTANCE_BYTES});
    write_uint(writer, region->boot);
    write_uint(writer, region->epoch);
    outputs_put_end(outputs);
}

static void restore(struct region *region, const struct event *event)
{
    if (event->record.table == TABLE_META) {
        restore_meta(region, event->record.value);
        return;
    }
    bool good = ledger_restore(&region->tasks, event);
    ASSERT(good); /* likewise */
}

static void update_profiles(struct region *region)
{
    struct writer writer;
    writer_init(&writer, region->profiles, sizeof region->profiles);
    children_profiles(&region->tasks.children, &writer);
    uplink_profiles(&region->uplink, writer_bytes(&writer));
}

static void start(struct region *region, const struct event *event, struct outputs *outputs)
{
    if (region->boot == 0)
        memcpy(region->instance, event->random, INSTANCE_BYTES);
    region->boot++;
    ledger_start(&region->tasks, outputs);
    uint32_t epoch = (uint32_t)(event->wall_ms / 1000);
    if (region->epoch >= epoch)
        epoch = region->epoch + 1;
    if (region->tasks.highest_epoch >= epoch)
        epoch = region->tasks.highest_epoch + 1;
    region->epoch = epoch;
    region_put_meta(region, outputs);
    children_start(&region->tasks.children, event, region->epoch);
    update_profiles(region);
    region->uplink.epoch_seen = region->epoch;
    uplink_start(&region->uplink, event, outputs, region->instance, region->boot);
    region->dispatch = true;
}

/* ---- messages ---- */

static void refuse(const struct event *event, uint64_t sequence, enum error_code code, const char *reason,
                   struct outputs *outputs)
{
    error_write_body(outputs_message(outputs, event->peer, MESSAGE_ERROR, NULL, sequence), code, reason);
    outputs_message_end(outputs);
    outputs_trace(outputs, TRACE_MESSAGE_REFUSED, NULL, code, event->peer);
}

/* What cannot be read, is of another version or of no kind. */
static void refuse_frame(const struct event *event, const struct message_header *header,
                         enum error_code fault, enum reader_error error, struct outputs *outputs)
{
    char reason[VERSION_REASON_BYTES];
    struct text text;
    if (fault == ERROR_MALFORMED) {
        refuse(event, 0, fault, reader_error_text(error), outputs);
        return;
    }
    version_reason(header->version, header->version, reason);
    if (fault == ERROR_UNKNOWN_KIND) {
        text_init(&text, reason, sizeof reason);
        text_add_bytes(&text, header->kind_text);
        text_add(&text, ": no such kind of message; kinds are listed in PROTOCOL.md");
    }
    refuse(event, 0, fault, reason, outputs);
}

static void on_message(struct region *region, const struct event *event, struct outputs *outputs)
{
    struct message_header header;
    enum reader_error error = message_read(event->frame, &header);
    bool from_parent = peer_port(event->peer) == PORT_PARENT;
    enum error_code fault = error != READER_OK ? ERROR_MALFORMED
                            : header.version < PROTOCOL_VERSION_MIN || header.version > PROTOCOL_VERSION_MAX
                                ? ERROR_UNKNOWN_VERSION
                            : header.kind == MESSAGE_KIND_COUNT ? ERROR_UNKNOWN_KIND
                                                                : ERROR_NONE;
    if (from_parent && (fault == ERROR_MALFORMED || fault == ERROR_UNKNOWN_VERSION)) {
        region_on_parent_malformed(region, event, outputs);
        return;
    }
    if (fault != ERROR_NONE) {
        region->counters.malformed++;
        if (!from_parent)
            refuse_frame(event, &header, fault, error, outputs);
        return;
    }
    bool request = header.kind == MESSAGE_SUBMIT || header.kind == MESSAGE_WATCH ||
                   header.kind == MESSAGE_CANCEL || header.kind == MESSAGE_QUERY ||
                   header.kind == MESSAGE_RECEIVED || header.kind == MESSAGE_DRAIN;
    if (from_parent)
        region_on_parent_message(region, event, &header, outputs);
    else if (request)
        refuse(event, header.sequence, ERROR_WRONG_PORT,
               "this port is for workers; clients connect to the broker's [broker] clients", outputs);
    else
        region_on_child_message(region, event, &header, outputs);
}

/* ---- time ---- */

/* Tasks that no worker here could run for longer than a worker's grace go back: another region may. */
static void return_incapable(struct region *region, struct outputs *outputs)
{
    struct ledger *tasks = &region->tasks;
    uint64_t now_ns = tasks->now_ns, grace_ns = region->options.worker_grace_ms * NANOSECONDS_PER_MS;
    if (now_ns < region->incapable_check_ns)
        return;
    region->incapable_check_ns = now_ns + region->options.beat_ms * NANOSECONDS_PER_MS;
    uint32_t classes = tasks->ready.ring_count;
    for (uint32_t i = 0; i < classes && tasks->ready.ring != 0; i++) {
        uint16_t class = ready_first_class(&tasks->ready);
        uint64_t *since_ns = &region->incapable_since_ns[class];
        ready_turn(&tasks->ready);
        if (place_reason(region, class) != REASON_NO_CAPABLE_WORKER) {
            *since_ns = 0;
            continue;
        }
        if (*since_ns == 0)
            *since_ns = now_ns;
        if (now_ns - *since_ns < grace_ns || !uplink_is_up(&region->uplink))
            continue;
        uint32_t index;
        while ((index = ready_peek(&tasks->ready, class)) != 0 && outputs_room(outputs) >= 512)
            region_return(region, index, outputs);
        if (index == 0)
            *since_ns = 0; /* the next one waits a whole grace again */
    }
}

static void on_timeout(struct region *region, const struct event *event, struct outputs *outputs)
{
    struct children *workers = &region->tasks.children;
    region->more_work = false;
    children_on_timeout(workers, event, outputs);
    if (uplink_on_timeout(&region->uplink, event, outputs) == UPLINK_ENDED)
        region_on_parent_ended(region);
    region_sweep(region, outputs);
    if (workers->profiles_changed) {
        workers->profiles_changed = false;
        region->uplink.children = 0;
        for (uint32_t i = 0; i < workers->count; i++)
            region->uplink.children += workers->all[i]->peer != 0;
        update_profiles(region);
        region->dispatch = true;
    }
    region_go_on_upward(region, event, outputs);
    uint32_t due;
    while ((due = ledger_due(&region->tasks)) != 0 && outputs_room(outputs) >= 512)
        region_on_due(region, due, outputs);
    return_incapable(region, outputs);
    if (region->dispatch)
        region_dispatch(region, outputs);
}

void region_step(struct region *region, const struct event *event, struct outputs *outputs)
{
    ledger_begin_step(&region->tasks, event);
    room_begin_step(&region->room, event, outputs);
    if (region->room.paused)
        region->dispatch |=
            room_for_grant(&region->room, region->tasks.tasks.live, ledger_granted(&region->tasks), outputs);
    region->random = event->random[0];
    switch (event->kind) {
    case EVENT_RESTORE:
        restore(region, event);
        return;
    case EVENT_START:
        start(region, event, outputs);
        break;
    case EVENT_TIMEOUT:
        on_timeout(region, event, outputs);
        break;
    case EVENT_MESSAGE:
        on_message(region, event, outputs);
        break;
    case EVENT_LINK_DOWN:
        if (peer_port(event->peer) == PORT_CHILD)
            children_on_link_down(&region->tasks.children, event, outputs);
        else if (uplink_on_link_down(&region->uplink, event, outputs) == UPLINK_ENDED)
            region_on_parent_ended(region);
        break;
    case EVENT_DRAIN:
        region->draining = true; /* what it holds is on disk; its next start goes on with it */
        uplink_bye(&region->uplink, region->tasks.tasks.live, outputs);
        region_on_parent_ended(region);
        outputs_trace(outputs, TRACE_DRAIN_STARTED, NULL, region->tasks.tasks.live, 0);
        break;
    case EVENT_PROCESS_STARTED:
    case EVENT_PROCESS_ENDED:
        break; /* regions start no processes */
    }
    ledger_end_step(&region->tasks, outputs);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t region_deadline_ns(const struct region *region)
{
    const struct ledger *tasks = &region->tasks;
    if (region->more_work || (region->dispatch && tasks->ready.count > 0) || tasks->first_dirty != 0 ||
        tasks->children.profiles_changed)
        return 0;
    uint64_t deadline_ns =
        earlier(children_deadline_ns(&tasks->children), uplink_deadline_ns(&region->uplink));
    deadline_ns = earlier(deadline_ns, ledger_deadline_ns(tasks));
    return tasks->ready.count > 0 ? earlier(deadline_ns, region->incapable_check_ns) : deadline_ns;
}

bool region_done(const struct region *region)
{
    return region->draining;
}
