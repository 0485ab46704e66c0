/* session_watch.c - the way of a task from ACCEPTED to its end: watches repeated, results kept until taken.
 *
 * `watched` is ordered by the time of the last watch, so its head says when the next WATCH is due. A watch is
 * repeated every watch_repeat_ms, and at once when the connection or the node's epoch has changed. */
#include "client/session_state.h"

#include <stdlib.h>

#include "client/outcome.h"
#include "proto/assert.h"

enum {
    WATCHES_PER_STEP = 4,
    RECEIVED_FLUSH = 512, /* ids that do not wait for more company */
    RESULTS_MAX = 65536,  /* rows in one RESULT: bounded by the frame's bytes anyway */
};

void watch_begin(struct session *session, struct session_task *task, uint64_t watched_ns)
{
    task->state = TASK_WATCHED;
    task->watched_ns = watched_ns;
    if (watched_ns == 0)
        TAILQ_INSERT_HEAD(&session->watched, task, link);
    else
        TAILQ_INSERT_TAIL(&session->watched, task, link);
}

static uint64_t watch_due_ns(const struct session *session, const struct session_task *task)
{
    if (task->watched_ns == 0 || task->watched_ns < session->watch_again_ns)
        return 0;
    return task->watched_ns + ns_of_ms(session->options.watch_repeat_ms);
}

static void write_ids_head(struct writer *writer, uint32_t count)
{
    write_str(writer, "ids");
    write_array(writer, count);
}

static void write_watch(struct session *session, uint64_t sequence, uint32_t count, uint64_t now_ns,
                        struct outputs *outputs)
{
    struct writer *writer = outputs_message(outputs, session_peer(session), MESSAGE_WATCH, NULL, sequence);
    write_map(writer, 3);
    write_str(writer, "push");
    write_bool(writer, true);
    write_str(writer, "wait_ms");
    write_uint(writer, 0);
    write_ids_head(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        struct session_task *task = TAILQ_FIRST(&session->watched);
        write_bin(writer, (struct bytes){task->id.bytes, TASK_ID_BYTES});
        task->watched_ns = now_ns;
        TAILQ_REMOVE(&session->watched, task, link);
        TAILQ_INSERT_TAIL(&session->watched, task, link);
    }
    outputs_message_end(outputs);
}

/* How many of the oldest watches are due, up to one message's fill. */
static uint32_t due_watches(const struct session *session, uint64_t now_ns)
{
    const struct session_task *task = TAILQ_FIRST(&session->watched);
    uint32_t count = 0;
    for (; task != NULL && count < FRAME_ENTRIES_MAX && watch_due_ns(session, task) <= now_ns; count++)
        task = TAILQ_NEXT(task, link);
    return count;
}

static bool received_due(const struct session *session, uint64_t now_ns)
{
    uint64_t since_ns = session->received_since_ns;
    return session->received_count >= RECEIVED_FLUSH ||
           (session->received_count != 0 && since_ns != 0 &&
            since_ns + ns_of_ms(session->options.received_after_ms) <= now_ns);
}

/* Not sent again if lost: the node then keeps the result until its time to live has passed. */
static void flush_received(struct session *session, uint64_t now_ns, struct outputs *outputs)
{
    struct session_request *request;
    if (!received_due(session, now_ns) || outputs_room(outputs) == 0 ||
        (request = session_request_take(session, MESSAGE_RECEIVED, now_ns)) == NULL)
        return;
    struct writer *writer =
        outputs_message(outputs, session_peer(session), MESSAGE_RECEIVED, NULL, request->sequence);
    write_map(writer, 1);
    write_ids_head(writer, session->received_count);
    for (uint32_t i = 0; i < session->received_count; i++)
        write_bin(writer, (struct bytes){session->received[i].bytes, TASK_ID_BYTES});
    outputs_message_end(outputs);
    session->received_count = 0;
    session->received_since_ns = 0;
}

void watch_flush(struct session *session, uint64_t now_ns, struct outputs *outputs)
{
    for (int i = 0; i < WATCHES_PER_STEP && outputs_room(outputs) != 0; i++) {
        uint32_t count = due_watches(session, now_ns);
        struct session_request *request =
            count == 0 ? NULL : session_request_take(session, MESSAGE_WATCH, now_ns);
        if (request == NULL)
            break;
        write_watch(session, request->sequence, count, now_ns, outputs);
    }
    flush_received(session, now_ns, outputs);
}

uint64_t watch_deadline_ns(const struct session *session)
{
    uint64_t due_ns = DEADLINE_NEVER;
    const struct session_task *oldest = TAILQ_FIRST(&session->watched);
    if (TAILQ_EMPTY(&session->free_requests))
        return DEADLINE_NEVER;
    if (oldest != NULL)
        due_ns = watch_due_ns(session, oldest);
    if (session->received_count >= RECEIVED_FLUSH || (session->received_count && !session->received_since_ns))
        due_ns = 0;
    else if (session->received_count != 0)
        due_ns = earlier(due_ns, session->received_since_ns + ns_of_ms(session->options.received_after_ms));
    return due_ns;
}

/* ---- what the node says ---- */

static void end(struct session *session, struct session_task *task, struct bytes entry)
{
    uint8_t *copy = malloc(entry.size);
    if (copy == NULL) { /* asked again later: the node keeps it */
        return;
    }
    memcpy(copy, entry.data, entry.size);
    TAILQ_REMOVE(&session->watched, task, link);
    task->state = TASK_OVER;
    task->bytes = copy;
    task->size = (uint32_t)entry.size;
    session_happen(session, task, SESSION_ENDED, false);
}

static void on_ended(struct session *session, struct reader *reader)
{
    struct outcome outcome;
    uint32_t count = read_array(reader, RESULTS_MAX);
    for (uint32_t i = 0; i < count && !reader_failed(reader); i++) {
        struct bytes entry = read_raw(reader);
        if (reader_failed(reader) || !outcome_read_end(entry, &outcome)) {
            session->malformed++;
            continue;
        }
        struct session_task *task = session_find(session, &outcome.id);
        if (task != NULL && task->state == TASK_WATCHED)
            end(session, task, entry);
        else if (task != NULL && task->state != TASK_OVER)
            task->told_early = true;
    }
}

static void on_unknown(struct session *session, struct reader *reader)
{
    uint32_t count = read_array(reader, RESULTS_MAX);
    for (uint32_t i = 0; i < count && !reader_failed(reader); i++) {
        struct bytes raw = read_bin(reader, TASK_ID_BYTES, TASK_ID_BYTES);
        struct task_id id;
        if (raw.size != TASK_ID_BYTES)
            break;
        memcpy(id.bytes, raw.data, TASK_ID_BYTES);
        struct session_task *task = session_find(session, &id);
        if (task == NULL || task->state != TASK_WATCHED)
            continue;
        TAILQ_REMOVE(&session->watched, task, link);
        task->state = TASK_OVER;
        (void)session_explain(task, bytes_of("not_found"), bytes_of("the node does not know this id"));
        session_happen(session, task, SESSION_UNKNOWN, false);
    }
}

void watch_on_result(struct session *session, struct bytes body, uint64_t now_ns)
{
    struct reader reader;
    reader_init(&reader, body);
    uint32_t pairs = read_map(&reader, 32);
    for (uint32_t i = 0; i < pairs && !reader_failed(&reader); i++) {
        struct bytes key = read_str(&reader, 0, NAME_BYTES_MAX);
        if (bytes_are(key, "epoch"))
            session_note_epoch(session, read_uint(&reader, UINT64_MAX), now_ns);
        else if (bytes_are(key, "results"))
            on_ended(session, &reader);
        else if (bytes_are(key, "unknown"))
            on_unknown(session, &reader);
        else
            (void)read_raw(&reader); /* pending: still watched; the rest is a later version's */
    }
    if (reader_failed(&reader))
        session->malformed++;
}

void watch_taken(struct session *session, const struct task_id *id)
{
    ASSERT(session->received_count < FRAME_ENTRIES_MAX);
    session->received[session->received_count++] = *id;
}
