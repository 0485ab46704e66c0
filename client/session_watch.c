/* session_watch.c - the way of a task from ACCEPTED to its end: watches repeated, results kept until taken.
 *
 * `watched` is ordered by the time of the last watch, so its head says when the next WATCH is due. A watch is
 * repeated every watch_repeat_ms, and at once when the connection or the node's epoch has changed. */
#include "client/session_state.h"

#include <stdlib.h>

#include "proto/assert.h"
#include "proto/bug.h"

enum {
    WATCHES_PER_STEP = 4,
    RECEIVED_FLUSH = 512, /* ids that do not wait for more company */
    ROWS_MAX = 65536,     /* entries in one reply: bounded by the frame's bytes anyway */
    PAIRS_MAX = 32,
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
    if (BUG(WATCH_FORGOTTEN_AT_RESTART) && task->watched_ns != 0)
        return DEADLINE_NEVER;
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
    if (copy == NULL)
        return; /* asked again later: the node keeps it */
    memcpy(copy, entry.data, entry.size);
    TAILQ_REMOVE(&session->watched, task, link);
    task->state = TASK_OVER;
    task->bytes = copy;
    task->size = (uint32_t)entry.size;
    session_happen(session, task, SESSION_ENDED, false);
}

/* The id of one entry of `results`; the rest is its reader's business (outcome.h). */
static bool read_end_id(struct bytes entry, struct task_id *ret_id)
{
    struct reader reader;
    bool found = false;
    reader_init(&reader, entry);
    uint32_t pairs = read_map(&reader, PAIRS_MAX);
    for (uint32_t i = 0; i < pairs && !reader_failed(&reader) && !found; i++) {
        found = bytes_are(read_str(&reader, 0, NAME_BYTES_MAX), "id");
        if (!found)
            (void)read_raw(&reader);
    }
    struct bytes id = read_bin(&reader, TASK_ID_BYTES, TASK_ID_BYTES);
    if (!found || id.size != TASK_ID_BYTES)
        return false;
    memcpy(ret_id->bytes, id.data, TASK_ID_BYTES);
    return true;
}

/* Returns how many ends of watched tasks there were. */
static uint32_t on_ended(struct session *session, struct reader *reader)
{
    struct task_id id;
    uint32_t ended = 0, count = read_array(reader, ROWS_MAX);
    for (uint32_t i = 0; i < count && !reader_failed(reader); i++) {
        struct bytes entry = read_raw(reader);
        if (entry.size == 0 || !read_end_id(entry, &id)) {
            reader_fail(reader, READER_TYPE);
            return ended;
        }
        struct session_task *task = session_find(session, &id);
        if (task != NULL && task->state == TASK_WATCHED) {
            end(session, task, entry);
            ended++;
        } else if (task != NULL && task->state != TASK_OVER) {
            task->told_early = true;
        }
    }
    return ended;
}

/* The next watched task of an array of ids; NULL where the task is not watched here. */
static struct session_task *read_watched(const struct session *session, struct reader *reader)
{
    struct bytes raw = read_bin(reader, TASK_ID_BYTES, TASK_ID_BYTES);
    struct task_id id;
    if (raw.size != TASK_ID_BYTES)
        return NULL;
    memcpy(id.bytes, raw.data, TASK_ID_BYTES);
    struct session_task *task = session_find(session, &id);
    return task != NULL && task->state == TASK_WATCHED ? task : NULL;
}

/* A WATCH that left before the task was handed in says nothing of it; its reply may come behind ACCEPTED. */
static void on_unknown(struct session *session, uint64_t sequence, struct reader *reader)
{
    uint32_t count = read_array(reader, ROWS_MAX);
    for (uint32_t i = 0; i < count && !reader_failed(reader); i++) {
        struct session_task *task = read_watched(session, reader);
        if (task == NULL || (sequence != 0 && sequence < task->accepted_sequence))
            continue;
        TAILQ_REMOVE(&session->watched, task, link);
        task->state = TASK_OVER;
        (void)session_explain(task, bytes_of("not_found"), bytes_of("the node does not know this id"));
        session_happen(session, task, SESSION_UNKNOWN, false);
    }
}

/* A RESULT holds what fits; ended tasks that did not fit are among its pending ones: ask for those at once.
 */
static void ask_again(struct session *session, struct bytes pending)
{
    struct reader reader;
    reader_init(&reader, pending);
    uint32_t count = read_array(&reader, ROWS_MAX);
    for (uint32_t i = 0; i < count && !reader_failed(&reader); i++) {
        struct session_task *task = read_watched(session, &reader);
        if (task == NULL)
            continue;
        TAILQ_REMOVE(&session->watched, task, link);
        watch_begin(session, task, 0);
    }
}

void watch_on_result(struct session *session, uint64_t sequence, enum message_kind kind, struct bytes body,
                     uint64_t now_ns)
{
    struct reader reader;
    struct bytes pending = {.size = 0};
    uint32_t ended = 0;
    reader_init(&reader, body);
    uint32_t pairs = read_map(&reader, PAIRS_MAX);
    for (uint32_t i = 0; i < pairs && !reader_failed(&reader); i++) {
        struct bytes key = read_str(&reader, 0, NAME_BYTES_MAX);
        if (bytes_are(key, "epoch"))
            session_note_epoch(session, read_uint(&reader, UINT64_MAX), now_ns);
        else if (bytes_are(key, "results"))
            ended += on_ended(session, &reader);
        else if (bytes_are(key, "unknown"))
            on_unknown(session, sequence, &reader);
        else if (bytes_are(key, "pending"))
            pending = read_raw(&reader);
        else
            (void)read_raw(&reader); /* a later version's */
    }
    if (reader_failed(&reader))
        session->malformed++;
    else if (kind == MESSAGE_RESULT && ended != 0 && pending.size != 0)
        ask_again(session, pending);
}

void watch_taken(struct session *session, const struct task_id *id)
{
    ASSERT(session->received_count < FRAME_ENTRIES_MAX);
    session->received[session->received_count++] = *id;
}
