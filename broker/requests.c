/* requests.c - WATCH, RECEIVED and CANCEL, about tasks by id; DRAIN and FORGET, about nodes by name. */
#include "broker/broker_state.h"
#include "engine/rows.h"

/* The fields that these requests may have; which of them a kind takes, its reader says. */
struct request {
    struct task_id ids[FRAME_ENTRIES_MAX];
    uint32_t count;
    uint64_t wait_ms, deadline_ms;
    bool push;
    struct bytes node;
};

enum request_field { FIELD_IDS = 1, FIELD_WAIT = 2, FIELD_PUSH = 4, FIELD_NODE = 8, FIELD_DEADLINE = 16 };

static void read_ids(struct reader *reader, struct request *request)
{
    request->count = read_array(reader, FRAME_ENTRIES_MAX);
    for (uint32_t i = 0; i < request->count; i++) {
        struct bytes id = read_bin(reader, TASK_ID_BYTES, TASK_ID_BYTES);
        if (id.size == TASK_ID_BYTES)
            memcpy(request->ids[i].bytes, id.data, TASK_ID_BYTES);
    }
}

static const struct {
    const char *name;
    enum request_field field;
    const char *expected;
} request_fields[] = {
    {"ids", FIELD_IDS, "ids: an array of up to 1024 ids of 16 bytes (bin)"},
    {"wait_ms", FIELD_WAIT, "wait_ms: milliseconds, 0 to 30000"},
    {"push", FIELD_PUSH, "push: true or false"},
    {"node", FIELD_NODE, "node: REGION or REGION/WORKER, 1 to 129 bytes"},
    {"deadline_ms", FIELD_DEADLINE, "deadline_ms: milliseconds, 0 to 49 days"},
};

enum { REQUEST_FIELD_COUNT = sizeof request_fields / sizeof request_fields[0] };

static void read_field(struct reader *reader, enum request_field field, struct request *request)
{
    switch (field) {
    case FIELD_IDS:
        read_ids(reader, request);
        return;
    case FIELD_WAIT:
        request->wait_ms = read_uint(reader, WAIT_MS_MAX);
        return;
    case FIELD_PUSH:
        request->push = read_bool(reader);
        return;
    case FIELD_NODE:
        request->node = read_str(reader, 1, 2 * NAME_BYTES_MAX + 1);
        return;
    case FIELD_DEADLINE:
        request->deadline_ms = read_uint(reader, DURATION_MS_MAX);
        return;
    }
}

/* Read a body with any of `allowed` fields and all of `required`; a fault is answered here. */
static bool read_request(struct broker *broker, const struct event *event,
                         const struct message_header *header, uint32_t allowed, uint32_t required,
                         struct request *ret_request, struct outputs *outputs)
{
    struct reader reader;
    uint32_t seen = 0;
    reader_init(&reader, header->body);
    memset(ret_request, 0, sizeof *ret_request);
    uint32_t pairs = read_map(&reader, UINT32_MAX); /* the first field that is none ends the loop */
    for (uint32_t i = 0; i < pairs && !reader_failed(&reader); i++) {
        struct bytes key = read_str(&reader, 0, NAME_BYTES_MAX);
        int at = 0;
        while (at < REQUEST_FIELD_COUNT && !bytes_are(key, request_fields[at].name))
            at++;
        if (at == REQUEST_FIELD_COUNT || !(request_fields[at].field & allowed & ~seen)) {
            broker_refuse_field(broker, event, header->sequence, key, outputs);
            return false;
        }
        seen |= request_fields[at].field;
        read_field(&reader, request_fields[at].field, ret_request);
        if (reader_failed(&reader)) {
            broker_refuse(broker, event, header->sequence, ERROR_INVALID_FIELD, request_fields[at].expected,
                          outputs);
            return false;
        }
    }
    if (reader_failed(&reader) || (seen & required) != required) {
        broker_refuse(broker, event, header->sequence, ERROR_MALFORMED,
                      "body: a map; a required field is missing", outputs);
        return false;
    }
    return true;
}

/* ---- WATCH ---- */

static void write_ids(struct writer *writer, const char *key, const struct task_id *ids, uint32_t count)
{
    write_str(writer, key);
    write_array(writer, count);
    for (uint32_t i = 0; i < count; i++)
        write_bin(writer, (struct bytes){ids[i].bytes, TASK_ID_BYTES});
}

static void write_pending(struct broker *broker, struct writer *writer, const struct task_id *ids,
                          uint32_t count)
{
    write_str(writer, "pending");
    write_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct task *task = ledger_task(&broker->tasks, ledger_find(&broker->tasks, &ids[i]));
        bool waits = task->state == TASK_READY;
        enum task_reason reason = waits ? route_reason(broker, task->class) : (enum task_reason)task->reason;
        write_map(writer, 3);
        write_str(writer, "id");
        write_bin(writer, (struct bytes){ids[i].bytes, TASK_ID_BYTES});
        write_str(writer, "state");
        write_str(writer, task_shown_state(task));
        write_str(writer, "reason");
        write_str(writer, task_reason_text(reason));
    }
}

/* Ids sorted by what is known of them. */
struct sorted {
    struct task_id pending[FRAME_ENTRIES_MAX], unknown[FRAME_ENTRIES_MAX];
    const struct ended_entry *ended[FRAME_ENTRIES_MAX];
    uint32_t pending_count, unknown_count, ended_count;
};

static void sort_ids(const struct broker *broker, const struct task_id *ids, uint32_t count,
                     struct sorted *ret_sorted)
{
    size_t bytes = 0;
    ret_sorted->pending_count = ret_sorted->unknown_count = ret_sorted->ended_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct ended_entry *ended = ledger_find_ended(&broker->tasks, &ids[i]);
        if (ended != NULL) {
            size_t size = RESULT_HEAD_BYTES + ended->outcome_size;
            bool fits = ret_sorted->ended_count == 0 || bytes + size < FRAME_BYTES_SOFT - 64 * 1024;
            if (fits) {
                ret_sorted->ended[ret_sorted->ended_count++] = ended;
                bytes += size;
                continue;
            }
            ret_sorted->pending[ret_sorted->pending_count++] = ids[i];
        } else if (ledger_find(&broker->tasks, &ids[i]) != 0) {
            ret_sorted->pending[ret_sorted->pending_count++] = ids[i];
        } else {
            ret_sorted->unknown[ret_sorted->unknown_count++] = ids[i];
        }
    }
}

void broker_write_watch_reply(struct broker *broker, uint64_t peer, uint64_t sequence,
                              const struct task_id *ids, uint32_t count, struct outputs *outputs)
{
    struct sorted sorted;
    sort_ids(broker, ids, count, &sorted);
    bool result = sorted.ended_count > 0;
    struct writer *writer =
        outputs_message(outputs, peer, result ? MESSAGE_RESULT : MESSAGE_PENDING, NULL, sequence);
    write_map(writer, result ? 4 : 3);
    write_str(writer, "epoch");
    write_uint(writer, broker->epoch);
    if (result) {
        write_str(writer, "results");
        write_array(writer, sorted.ended_count);
        for (uint32_t i = 0; i < sorted.ended_count; i++)
            broker_write_result(outputs, writer, sorted.ended[i]);
        write_ids(writer, "pending", sorted.pending, sorted.pending_count);
    } else {
        write_pending(broker, writer, sorted.pending, sorted.pending_count);
    }
    write_ids(writer, "unknown", sorted.unknown, sorted.unknown_count);
    outputs_message_end(outputs);
}

static bool push_watches(struct broker *broker, const struct event *event, const struct request *request)
{
    uint32_t pusher = watches_pusher(&broker->watches, event->peer, event->now_ns);
    if (pusher == 0)
        return false;
    for (uint32_t i = 0; i < request->count; i++) {
        uint32_t task = ledger_find(&broker->tasks, &request->ids[i]);
        if (task != 0 && !watches_push(&broker->watches, ledger_task(&broker->tasks, task), pusher))
            return false;
    }
    return true;
}

/* Wait for the ids; the reply is due when one ends or the time is over. */
static bool poll_watches(struct broker *broker, const struct event *event, uint64_t sequence,
                         const struct request *request)
{
    uint64_t deadline_ns = event->now_ns + request->wait_ms * NANOSECONDS_PER_MS;
    uint32_t poll = watches_poll(&broker->watches, event->peer, sequence, deadline_ns);
    if (poll == 0)
        return false;
    for (uint32_t i = 0; i < request->count; i++) {
        uint32_t index = ledger_find(&broker->tasks, &request->ids[i]);
        struct task *task = index == 0 ? NULL : ledger_task(&broker->tasks, index);
        if (!watches_poll_add(&broker->watches, &request->ids[i], task, poll))
            return true; /* the rest is asked for again with the next WATCH */
    }
    return true;
}

void broker_on_watch(struct broker *broker, const struct event *event, const struct message_header *header,
                     struct outputs *outputs)
{
    struct request request;
    if (!read_request(broker, event, header, FIELD_IDS | FIELD_WAIT | FIELD_PUSH, FIELD_IDS, &request,
                      outputs))
        return;
    bool ended = false, waiting = false;
    for (uint32_t i = 0; i < request.count; i++) {
        ended = ended || ledger_find_ended(&broker->tasks, &request.ids[i]) != NULL;
        waiting = waiting || ledger_find(&broker->tasks, &request.ids[i]) != 0;
    }
    bool room = true;
    if (request.push)
        room = push_watches(broker, event, &request);
    else if (!ended && waiting && request.wait_ms > 0 &&
             (room = poll_watches(broker, event, header->sequence, &request)))
        return;
    if (!room) {
        broker->counters.throttled++;
        broker_refuse(broker, event, header->sequence, ERROR_THROTTLED,
                      "too many watches: ask again in a second", outputs);
        return;
    }
    broker_write_watch_reply(broker, event->peer, header->sequence, request.ids, request.count, outputs);
}

/* ---- RECEIVED, CANCEL ---- */

/* Only the order of eviction hangs on receipts, so they wait for each other and cost no commit of their own.
 */
enum { RECEIPTS_AFTER_MS = 1000 };

void broker_on_received(struct broker *broker, const struct event *event, const struct message_header *header,
                        struct outputs *outputs)
{
    struct request request;
    if (!read_request(broker, event, header, FIELD_IDS, FIELD_IDS, &request, outputs))
        return;
    for (uint32_t i = 0; i < request.count; i++) {
        uint32_t value = map_find(&broker->tasks.by_id, &request.ids[i]);
        if (value & ENDED_BIT)
            ended_received(&broker->ended, value);
    }
    if (ended_has_receipts(&broker->ended) && broker->receipts_ns == 0)
        broker->receipts_ns = event->now_ns + RECEIPTS_AFTER_MS * NANOSECONDS_PER_MS;
    struct writer *writer = outputs_message(outputs, event->peer, MESSAGE_DONE, NULL, header->sequence);
    write_map(writer, 1);
    write_str(writer, "epoch");
    write_uint(writer, broker->epoch);
    outputs_message_end(outputs);
}

/* Cancel is durable here, then goes down; a task that nobody holds ends at once. */
static void cancel(struct broker *broker, const struct task_id *id, struct outputs *outputs)
{
    uint32_t index = ledger_find(&broker->tasks, id);
    if (index == 0)
        return;
    struct task *task = ledger_task(&broker->tasks, index);
    if (!task_is_granted(task)) {
        broker_end(broker, index, TASK_CANCELLED, "cancelled", outputs);
        return;
    }
    if (!(task->flags & TASK_CANCELLING)) {
        task->flags |= TASK_CANCELLING;
        ledger_put_state(&broker->tasks, index, outputs);
        outputs_trace(outputs, TRACE_TASK_CANCELLING, id, ledger_holder(&broker->tasks, task)->number, 0);
    }
    ledger_stop(&broker->tasks, index, STOP_CANCEL, outputs);
}

static void write_cancelled(struct broker *broker, struct writer *writer, const struct task_id *id)
{
    uint32_t index = ledger_find(&broker->tasks, id);
    const struct ended_entry *ended = ledger_find_ended(&broker->tasks, id);
    const char *state = index != 0      ? task_shown_state(ledger_task(&broker->tasks, index))
                        : ended != NULL ? task_end_text(ended_end(ended))
                                        : "";
    write_map(writer, 3);
    write_str(writer, "id");
    write_bin(writer, (struct bytes){id->bytes, TASK_ID_BYTES});
    write_str(writer, "status");
    write_str(writer, index != 0 ? "cancelling" : ended != NULL ? "ended" : "unknown");
    write_str(writer, "state");
    write_str(writer, state);
}

void broker_on_cancel(struct broker *broker, const struct event *event, const struct message_header *header,
                      struct outputs *outputs)
{
    struct request request;
    if (!read_request(broker, event, header, FIELD_IDS, FIELD_IDS, &request, outputs))
        return;
    if (request.count > OUTCOME_ENTRIES_MAX) {
        broker_refuse(broker, event, header->sequence, ERROR_TOO_MANY, "ids: at most 512 in one CANCEL",
                      outputs);
        return;
    }
    for (uint32_t i = 0; i < request.count; i++)
        cancel(broker, &request.ids[i], outputs);
    struct writer *writer = outputs_message(outputs, event->peer, MESSAGE_CANCELLING, NULL, header->sequence);
    write_map(writer, 2);
    write_str(writer, "epoch");
    write_uint(writer, broker->epoch);
    write_str(writer, "tasks");
    write_array(writer, request.count);
    for (uint32_t i = 0; i < request.count; i++)
        write_cancelled(broker, writer, &request.ids[i]);
    outputs_message_end(outputs);
}

/* ---- DRAIN ---- */

void broker_on_drain_request(struct broker *broker, const struct event *event,
                             const struct message_header *header, struct outputs *outputs)
{
    struct request request;
    if (!read_request(broker, event, header, FIELD_NODE | FIELD_DEADLINE, FIELD_NODE, &request, outputs))
        return;
    const uint8_t *slash = memchr(request.node.data, '/', request.node.size);
    if (slash == NULL) {
        broker_refuse(broker, event, header->sequence, ERROR_INVALID_FIELD,
                      "node: a worker is named REGION/WORKER; regions cannot be drained yet", outputs);
        return;
    }
    struct bytes name = {request.node.data, (size_t)(slash - request.node.data)};
    struct child *region = children_by_name(&broker->tasks.children, name);
    if (region == NULL || region->state != CHILD_LIVE) {
        broker_refuse(broker, event, header->sequence, ERROR_NOT_FOUND,
                      "node: no such region has a session now; see `meridian region list`", outputs);
        return;
    }
    if (!query_drain(broker, event, header->sequence, region, request.node, request.deadline_ms, outputs))
        broker_refuse(broker, event, header->sequence, ERROR_THROTTLED,
                      "too many questions at once: ask again", outputs);
}

/* ---- FORGET ---- */

static const char *const worker_named =
    "node: a region's name, without a slash; a worker is forgotten by its region, "
    "when worker_grace is over";

/* Durable with this step; broker_sweep ends the grants, as those of any lost region. */
void broker_on_forget(struct broker *broker, const struct event *event, const struct message_header *header,
                      struct outputs *outputs)
{
    struct request request;
    if (!read_request(broker, event, header, FIELD_NODE, FIELD_NODE, &request, outputs))
        return;
    if (memchr(request.node.data, '/', request.node.size) != NULL) {
        broker_refuse(broker, event, header->sequence, ERROR_INVALID_FIELD, worker_named, outputs);
        return;
    }
    struct child *region = children_by_name(&broker->tasks.children, request.node);
    if (region == NULL) {
        broker_refuse_named(broker, event, header->sequence, ERROR_NOT_FOUND, request.node,
                            ": no region of this name is known; see `meridian region list`", outputs);
        return;
    }
    if (child_is_heard(region)) {
        broker_refuse_named(broker, event, header->sequence, ERROR_CONNECTED, request.node,
                            ": is connected; only a region that is gone is forgotten. Stop it first, or wait "
                            "until it has missed three beats (`suspect`)",
                            outputs);
        return;
    }
    children_forget(&broker->tasks.children, region, outputs);
    broker->more_work = true;
    struct writer *writer = outputs_message(outputs, event->peer, MESSAGE_FORGETTING, NULL, header->sequence);
    write_map(writer, 3);
    write_str(writer, "epoch");
    write_uint(writer, broker->epoch);
    write_str(writer, "node");
    write_str(writer, region->name);
    write_str(writer, "tasks");
    write_uint(writer, region->granted);
    outputs_message_end(outputs);
}
