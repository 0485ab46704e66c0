/* submit.c - SUBMIT: validated whole, then task by task accepted, known already, put off or refused.
 *
 * A fault of structure (a field of the wrong type, an unknown one) refuses the whole message with the task's
 * index: a client that sends it is broken. A fault of meaning (too large, too old, another body) refuses that
 * task alone. */
#include "broker/broker_state.h"
#include "proto/text.h"

enum {
    RETRY_AFTER_MS = 1000,
    ENVELOPE_BYTES_MAX = FRAME_BYTES_MAX - 1024, /* room for the head of the ASSIGN that carries it down */
};

#define OLDEST_ID_MS 1577836800000ull /* 2020: before UUIDv7 */

/* The parsed body; the tasks' bytes point into the frame. */
struct submit {
    struct bytes tasks[FRAME_ENTRIES_MAX];
    uint32_t count;
    bool watch;
};

/* "tasks[17].retries: 0 to 1000" */
static void name_fault(char *to, size_t size, uint32_t index, const char *reason)
{
    struct text text;
    text_init(&text, to, size);
    text_add(&text, "tasks[");
    text_add_number(&text, index);
    text_add(&text, "].");
    text_add(&text, reason);
}

/* The id of a task whose parsing ended before it: the reply names it all the same. */
static void find_id(struct bytes envelope, struct task_fields *fields)
{
    struct reader reader;
    reader_init(&reader, envelope);
    uint32_t pairs = read_map(&reader, UINT32_MAX);
    for (uint32_t i = 0; i < pairs && !reader_failed(&reader) && !fields->has_id; i++) {
        if (!bytes_are(read_str(&reader, 0, NAME_BYTES_MAX), "id")) {
            (void)read_raw(&reader);
            continue;
        }
        struct bytes id = read_bin(&reader, TASK_ID_BYTES, TASK_ID_BYTES);
        fields->has_id = id.size == TASK_ID_BYTES;
        if (fields->has_id)
            memcpy(fields->id.bytes, id.data, TASK_ID_BYTES);
    }
}

static bool is_structural(enum error_code code)
{
    return code != ERROR_NONE && code != ERROR_TOO_LARGE;
}

/* False with `ret_field` empty if the body is malformed, else with the name of an unknown or repeated field.
 */
static bool read_body(struct bytes body, struct submit *submit, struct bytes *ret_field)
{
    struct reader reader;
    bool seen_tasks = false, seen_watch = false;
    reader_init(&reader, body);
    *ret_field = (struct bytes){body.data, 0};
    uint32_t pairs = read_map(&reader, UINT32_MAX);
    for (uint32_t i = 0; i < pairs && !reader_failed(&reader); i++) {
        struct bytes key = read_str(&reader, 0, NAME_BYTES_MAX);
        if (bytes_are(key, "tasks") && !seen_tasks) {
            seen_tasks = true;
            submit->count = read_array(&reader, FRAME_ENTRIES_MAX);
            for (uint32_t at = 0; at < submit->count; at++)
                submit->tasks[at] = read_raw(&reader);
        } else if (bytes_are(key, "watch") && !seen_watch) {
            seen_watch = true;
            submit->watch = read_bool(&reader);
        } else {
            *ret_field = key;
            return false;
        }
    }
    return !reader_failed(&reader) && seen_tasks && submit->count > 0;
}

/* What ACCEPTED says of one task. */
struct verdict {
    struct task_id id;
    const char *status;
    enum error_code code;
    const char *reason, *state;
    uint32_t retry_after_ms;
};

static void write_verdict(struct writer *writer, const struct verdict *verdict)
{
    bool refused = verdict->code != ERROR_NONE;
    uint32_t pairs = 2 + (refused ? 2 : 0) + (verdict->retry_after_ms != 0) + (verdict->state != NULL);
    write_map(writer, pairs);
    write_str(writer, "id");
    write_bin(writer, (struct bytes){verdict->id.bytes, TASK_ID_BYTES});
    write_str(writer, "status");
    write_str(writer, verdict->status);
    if (refused) {
        write_str(writer, "code");
        write_str(writer, error_code_text(verdict->code));
        write_str(writer, "reason");
        write_str(writer, verdict->reason);
    }
    if (verdict->retry_after_ms != 0) {
        write_str(writer, "retry_after_ms");
        write_uint(writer, verdict->retry_after_ms);
    }
    if (verdict->state != NULL) {
        write_str(writer, "state");
        write_str(writer, verdict->state);
    }
}

static void refuse(struct broker *broker, struct verdict *verdict, const char *status, enum error_code code,
                   const char *reason, uint32_t retry_after_ms)
{
    bool throttled = code == ERROR_THROTTLED;
    broker->counters.store_full += code == ERROR_STORE_FULL;
    broker->counters.throttled += throttled;
    broker->counters.refused += !throttled;
    verdict->status = status;
    verdict->code = code;
    verdict->reason = reason;
    verdict->retry_after_ms = retry_after_ms;
}

static void judge_known(struct broker *broker, struct verdict *verdict, bool same_body, const char *state,
                        struct outputs *outputs)
{
    if (same_body) {
        broker->counters.duplicates++;
        verdict->status = "duplicate";
        verdict->state = state;
        outputs_trace(outputs, TRACE_TASK_DUPLICATE, &verdict->id, 0, 0);
        return;
    }
    broker->counters.conflicts++;
    refuse(broker, verdict, "refused", ERROR_CONFLICT, "id: known with another body; choose a new id", 0);
    outputs_trace(outputs, TRACE_TASK_CONFLICT, &verdict->id, 0, 0);
}

/* An id that already lives or ended here. False if it is new. */
static bool is_known(struct broker *broker, struct verdict *verdict, uint64_t body_hash, uint32_t *ret_task,
                     struct outputs *outputs)
{
    *ret_task = ledger_find(&broker->tasks, &verdict->id);
    if (*ret_task != 0) {
        const struct task *task = ledger_task(&broker->tasks, *ret_task);
        judge_known(broker, verdict, task->body_hash == body_hash,
                    task_state_text((enum task_state)task->state), outputs);
        return true;
    }
    const struct ended_entry *ended = ledger_find_ended(&broker->tasks, &verdict->id);
    if (ended == NULL)
        return false;
    judge_known(broker, verdict, ended->body_hash == (uint32_t)body_hash, task_end_text(ended_end(ended)),
                outputs);
    return true;
}

static bool is_too_old(const struct broker *broker, const struct task_id *id)
{
    /* An id of random bytes can look like a UUIDv7 of any year; only a time in which one was drawn counts. */
    uint64_t made_ms = task_id_time_ms(id), now_ms = broker->tasks.wall_ms;
    if (made_ms < OLDEST_ID_MS)
        return false;
    return made_ms + broker->ended.dedupe_ttl_ms < now_ms || made_ms < broker->ended.horizon_ms;
}

/* Accept one task or say why not. Returns its index if it lives here now. */
static uint32_t take(struct broker *broker, const struct event *event, struct bytes envelope, uint32_t at,
                     struct verdict *verdict, struct outputs *outputs)
{
    struct task_fields *fields = &broker->parsed[at];
    uint32_t task = 0;
    verdict->id = fields->id;
    if (!fields->has_id) {
        uint64_t random[2] = {event->random[0] + 0x9e3779b97f4a7c15ull * (at + 1), event->random[1] + at};
        verdict->id = task_id_make(event->wall_ms, random);
    }
    if (is_known(broker, verdict, fields->body_hash, &task, outputs))
        return task;
    if (fields->has_id && is_too_old(broker, &verdict->id)) {
        refuse(broker, verdict, "refused", ERROR_TOO_OLD,
               "id: older than dedupe.ttl; its outcome is unknown here", 0);
        return 0;
    }
    if (broker->draining) {
        refuse(broker, verdict, "refused", ERROR_DRAINING, "this node is shutting down", RETRY_AFTER_MS);
        return 0;
    }
    if (!room_for_new(&broker->room, broker->tasks.tasks.live, outputs)) {
        refuse(broker, verdict, "refused", ERROR_STORE_FULL,
               "the store is above its watermark; try again later", RETRY_AFTER_MS);
        return 0;
    }
    fields->timeout_ms = 0; /* of an attempt: the region's business, which reads it in the envelope */
    struct acceptance acceptance = {
        .id = verdict->id,
        .fields = fields,
        .envelope = envelope,
        .fence = {.custody = broker->custody_floor},
        .flags = fields->has_id && broker_may_have_run(broker, &verdict->id) ? TASK_DUP_POSSIBLE : 0,
    };
    task = ledger_accept(&broker->tasks, &acceptance, outputs);
    if (task == 0 && broker->tasks.classes.count == CLASSES_MAX &&
        broker->tasks.tasks.live < broker->options.tasks_max) {
        refuse(broker, verdict, "refused", ERROR_TOO_MANY,
               "type, capabilities, region: tasks of 4096 different combinations are held, the most there "
               "can be",
               0);
        return 0;
    }
    if (task == 0) {
        refuse(broker, verdict, "throttled", ERROR_THROTTLED, "limits.tasks tasks are held, the most allowed",
               RETRY_AFTER_MS);
        return 0;
    }
    verdict->status = "accepted";
    broker->counters.accepted++;
    broker->recent.ids[broker->recent.next++ % RECENT_MAX] = verdict->id;
    return task;
}

/* Parse all tasks; the first structural fault refuses the message. */
static bool parse_all(struct broker *broker, const struct event *event, uint64_t sequence,
                      const struct submit *submit, const char **too_large, struct outputs *outputs)
{
    for (uint32_t at = 0; at < submit->count; at++) {
        struct task_problem problem =
            task_parse(submit->tasks[at], broker->options.payload_bytes_max, &broker->parsed[at]);
        too_large[at] = problem.code == ERROR_TOO_LARGE ? "payload: larger than limits.payload_bytes"
                        : submit->tasks[at].size > ENVELOPE_BYTES_MAX
                            ? "task: encoded larger than a message may be, 1.25 MiB less 1 KiB"
                            : NULL;
        if (is_structural(problem.code)) {
            char reason[128];
            name_fault(reason, sizeof reason, at, problem.reason);
            broker_refuse(broker, event, sequence, problem.code, reason, outputs);
            return false;
        }
    }
    return true;
}

void broker_on_submit(struct broker *broker, const struct event *event, const struct message_header *header,
                      struct outputs *outputs)
{
    struct submit submit = {.watch = false};
    const char *too_large[FRAME_ENTRIES_MAX]; /* why, NULL if it is not */
    struct bytes field;
    if (!read_body(header->body, &submit, &field)) {
        if (field.size > 0)
            broker_refuse_field(broker, event, header->sequence, field, outputs);
        else
            broker_refuse(broker, event, header->sequence, ERROR_MALFORMED,
                          "body: a map with \"tasks\" (1 to 1024 task maps) and, if wanted, \"watch\" (bool)",
                          outputs);
        return;
    }
    if (!parse_all(broker, event, header->sequence, &submit, too_large, outputs))
        return;
    broker->counters.submitted += submit.count;
    uint32_t pusher = submit.watch ? watches_pusher(&broker->watches, event->peer, event->now_ns) : 0;
    struct verdict verdicts[FRAME_ENTRIES_MAX];
    for (uint32_t at = 0; at < submit.count; at++) {
        struct verdict *verdict = &verdicts[at];
        *verdict = (struct verdict){.code = ERROR_NONE};
        if (too_large[at] != NULL) {
            find_id(submit.tasks[at], &broker->parsed[at]);
            verdict->id = broker->parsed[at].id;
            refuse(broker, verdict, "refused", ERROR_TOO_LARGE, too_large[at], 0);
            continue;
        }
        uint32_t task = take(broker, event, submit.tasks[at], at, verdict, outputs);
        if (pusher != 0 && task != 0)
            watches_push(&broker->watches, ledger_task(&broker->tasks, task), pusher);
    }
    struct writer *writer = outputs_message(outputs, event->peer, MESSAGE_ACCEPTED, NULL, header->sequence);
    write_map(writer, 3);
    write_str(writer, "epoch");
    write_uint(writer, broker->epoch);
    write_str(writer, "held");
    write_str(writer, "root");
    write_str(writer, "tasks");
    write_array(writer, submit.count);
    for (uint32_t at = 0; at < submit.count; at++)
        write_verdict(writer, &verdicts[at]);
    outputs_message_end(outputs);
    broker->dispatch = true;
}
