/* session_submit.c - the way of a task up to the node's answer for it: queue, SUBMIT, ACCEPTED.
 *
 * A frame takes tasks from the head of the queue until it would pass 256 KiB or batch_tasks_max; a larger
 * task goes alone. Tasks that come back (throttled, no reply) return to the head, in their old order. */
#include "client/session_state.h"

#include <stdlib.h>

#include "proto/assert.h"

enum {
    SUBMIT_HEAD_ROOM = 128, /* header, keys and counts around the tasks */
    SPLICE_BYTES_MIN = 512, /* shorter tasks are copied: cheaper than a piece of their own */
    SUBMITS_PER_STEP = 8,   /* keeps a step within its operations and pieces */
    PAUSE_MS_MAX = 60000,
    PAUSE_MS = 1000, /* where the node named no time */
    PAIRS_MAX = 32,
};

/* What the next message takes from the head of the queue. */
static void note_size(const struct session *session, size_t *count, size_t *size)
{
    const struct session_task *task;
    *count = *size = 0;
    TAILQ_FOREACH(task, &session->queue, link)
    {
        bool fits = *size + task->size <= FRAME_BYTES_SOFT - SUBMIT_HEAD_ROOM;
        if (*count != 0 && (!fits || task->alone || *count == session->options.batch_tasks_max))
            break;
        (*count)++;
        *size += task->size;
        if (task->alone)
            break;
    }
}

static bool any_watched(const struct session *session, size_t count)
{
    const struct session_task *task = TAILQ_FIRST(&session->queue);
    for (size_t i = 0; i < count; i++, task = TAILQ_NEXT(task, link))
        if (task->watch)
            return true;
    return false;
}

static void write_submit(struct session *session, struct session_request *request, size_t count,
                         struct outputs *outputs)
{
    bool watch = any_watched(session, count);
    struct writer *writer =
        outputs_message(outputs, session_peer(session), MESSAGE_SUBMIT, NULL, request->sequence);
    write_map(writer, watch ? 2 : 1);
    if (watch) {
        write_str(writer, "watch");
        write_bool(writer, true);
    }
    write_str(writer, "tasks");
    write_array(writer, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        struct session_task *task = TAILQ_FIRST(&session->queue);
        TAILQ_REMOVE(&session->queue, task, link);
        TAILQ_INSERT_TAIL(&request->tasks, task, link);
        struct bytes envelope = {task->bytes, task->size};
        if (envelope.size < SPLICE_BYTES_MIN)
            write_raw(writer, envelope);
        else
            outputs_message_borrow(outputs, envelope);
        session->resent += task->sends != 0;
        task->sends++;
        task->state = TASK_SENT;
    }
    outputs_message_end(outputs);
}

/* May one more SUBMIT be on its way? A node that holds us back is asked with one at a time. */
static bool window_open(const struct session *session)
{
    uint32_t unanswered_max = session->pressure[0] != '\0' ? 1 : session->options.unanswered_max;
    return session->submits_unanswered < unanswered_max &&
           (session->submits_unanswered == 0 ||
            session->submit_bytes_unanswered < session->options.unanswered_bytes_max) &&
           !TAILQ_EMPTY(&session->free_requests);
}

void submit_flush(struct session *session, uint64_t now_ns, struct outputs *outputs)
{
    if (TAILQ_EMPTY(&session->queue) || now_ns < session->resume_at_ns)
        return;
    for (int i = 0; i < SUBMITS_PER_STEP && window_open(session) && !TAILQ_EMPTY(&session->queue); i++) {
        if (outputs_room(outputs) == 0)
            break;
        size_t count, size;
        note_size(session, &count, &size);
        struct session_request *request = session_request_take(session, MESSAGE_SUBMIT, now_ns);
        ASSERT(request != NULL);
        request->bytes = size;
        session->submits_unanswered++;
        session->submit_bytes_unanswered += size;
        write_submit(session, request, count, outputs);
    }
}

uint64_t submit_deadline_ns(const struct session *session)
{
    if (TAILQ_EMPTY(&session->queue) || !window_open(session))
        return DEADLINE_NEVER;
    return session->resume_at_ns;
}

static void queue_again(struct session *session, struct session_request *request, struct session_task *task)
{
    TAILQ_REMOVE(&request->tasks, task, link);
    TAILQ_INSERT_HEAD(&session->queue, task, link);
    task->state = TASK_QUEUED;
}

void submit_requeue(struct session *session, struct session_request *request)
{
    struct session_task *task;
    while ((task = TAILQ_LAST(&request->tasks, session_tasks)) != NULL)
        queue_again(session, request, task);
}

/* ---- the answer ---- */

struct answer {
    struct task_id id;
    struct bytes status, code, reason;
    uint64_t retry_after_ms;
};

static void read_answer_id(struct reader *reader, struct task_id *ret_id)
{
    struct bytes id = read_bin(reader, TASK_ID_BYTES, TASK_ID_BYTES);
    if (id.size == TASK_ID_BYTES)
        memcpy(ret_id->bytes, id.data, TASK_ID_BYTES);
}

static void read_answer(struct reader *reader, struct answer *ret_answer)
{
    *ret_answer = (struct answer){.retry_after_ms = 0};
    uint32_t pairs = read_map(reader, PAIRS_MAX);
    for (uint32_t i = 0; i < pairs && !reader_failed(reader); i++) {
        struct bytes key = read_str(reader, 0, NAME_BYTES_MAX);
        if (read_nil(reader))
            continue;
        if (bytes_are(key, "id"))
            read_answer_id(reader, &ret_answer->id);
        else if (bytes_are(key, "status"))
            ret_answer->status = read_str(reader, 0, NAME_BYTES_MAX);
        else if (bytes_are(key, "code"))
            ret_answer->code = read_str(reader, 0, NAME_BYTES_MAX);
        else if (bytes_are(key, "reason"))
            ret_answer->reason = read_str(reader, 0, PATH_BYTES_MAX);
        else if (bytes_are(key, "retry_after_ms"))
            ret_answer->retry_after_ms = read_uint(reader, UINT64_MAX);
        else
            (void)read_raw(reader); /* a later version's */
    }
}

/* Refusals that pass: the same id is sent again later. */
static bool is_temporary(struct bytes code)
{
    return bytes_are(code, "throttled") || bytes_are(code, "store_full") || bytes_are(code, "draining");
}

static void hold_back(struct session *session, struct bytes code, uint64_t retry_after_ms, uint64_t now_ns)
{
    uint64_t pause_ms = retry_after_ms == 0 ? PAUSE_MS : earlier(retry_after_ms, PAUSE_MS_MAX);
    uint64_t resume_at_ns = now_ns + ns_of_ms(pause_ms);
    if (resume_at_ns > session->resume_at_ns)
        session->resume_at_ns = resume_at_ns;
    size_t size = code.size < SESSION_CODE_BYTES_MAX ? code.size : SESSION_CODE_BYTES_MAX - 1;
    if (size != 0)
        memcpy(session->pressure, code.data, size);
    session->pressure[size] = '\0';
}

static void accept(struct session *session, struct session_request *request, struct session_task *task,
                   bool duplicate, uint64_t now_ns)
{
    if (session->resume_at_ns <= now_ns)
        session->pressure[0] = '\0';
    TAILQ_REMOVE(&request->tasks, task, link);
    session->unaccepted--;
    task->accepted_sequence = request->sequence;
    free(task->bytes);
    task->bytes = NULL;
    task->size = 0;
    session_happen(session, task, SESSION_ACCEPTED, duplicate);
    if (!task->watch)
        task->state = TASK_OVER;
    else /* a duplicate may have ended long ago: ask at once rather than trust the push */
        watch_begin(session, task, duplicate || task->told_early ? 0 : request->sent_ns);
}

/* Refused for good. A task sent more than once may have been accepted the time before, and be forgotten by
 * now: `too_old` then says that nobody knows. */
static void refuse(struct session *session, struct session_request *request, struct session_task *task,
                   struct bytes code, struct bytes reason)
{
    bool unknown = bytes_are(code, "too_old") && task->sends > 1;
    TAILQ_REMOVE(&request->tasks, task, link);
    session->unaccepted--;
    task->state = TASK_OVER;
    (void)session_explain(task, code, reason); /* without memory the refusal comes without its reason */
    session_happen(session, task, unknown ? SESSION_UNKNOWN : SESSION_REFUSED, false);
}

static void settle(struct session *session, struct session_request *request, struct session_task *task,
                   const struct answer *answer, uint64_t now_ns)
{
    if (bytes_are(answer->status, "accepted"))
        accept(session, request, task, false, now_ns);
    else if (bytes_are(answer->status, "duplicate"))
        accept(session, request, task, true, now_ns);
    else if (bytes_are(answer->status, "throttled"))
        hold_back(session, bytes_of("throttled"), answer->retry_after_ms, now_ns);
    else if (is_temporary(answer->code))
        hold_back(session, answer->code, answer->retry_after_ms, now_ns);
    else
        refuse(session, request, task, answer->code, answer->reason);
}

/* False unless there is an answer for each task. */
static bool settle_all(struct session *session, struct session_request *request, struct reader *reader,
                       uint64_t now_ns)
{
    uint32_t count = read_array(reader, FRAME_ENTRIES_MAX);
    struct session_task *task = TAILQ_FIRST(&request->tasks);
    for (uint32_t i = 0; i < count && task != NULL; i++) {
        struct answer answer;
        read_answer(reader, &answer);
        if (reader_failed(reader) || !task_id_equal(&answer.id, &task->id))
            return false; /* answers come in the order of the tasks */
        struct session_task *next = TAILQ_NEXT(task, link);
        settle(session, request, task, &answer, now_ns);
        task = next;
    }
    return task == NULL;
}

void submit_on_accepted(struct session *session, struct session_request *request, struct bytes body,
                        uint64_t now_ns)
{
    struct reader reader;
    bool complete = false;
    reader_init(&reader, body);
    uint32_t pairs = read_map(&reader, PAIRS_MAX);
    for (uint32_t i = 0; i < pairs && !reader_failed(&reader); i++) {
        struct bytes key = read_str(&reader, 0, NAME_BYTES_MAX);
        if (bytes_are(key, "epoch"))
            session_note_epoch(session, read_uint(&reader, UINT64_MAX), now_ns);
        else if (bytes_are(key, "tasks") && !complete)
            complete = settle_all(session, request, &reader, now_ns);
        else
            (void)read_raw(&reader); /* a later version's */
    }
    if (complete)
        submit_requeue(session, request); /* what was held back */
    else
        submit_on_nonsense(session, request, now_ns);
}

void submit_on_nonsense(struct session *session, struct session_request *request, uint64_t now_ns)
{
    session->malformed++;
    hold_back(session, bytes_of("malformed"), 0, now_ns);
    submit_requeue(session, request);
}

/* The whole message was refused, though perhaps for one task's sake: of several each is sent by itself. */
void submit_on_error(struct session *session, struct session_request *request, struct bytes body,
                     uint64_t now_ns)
{
    struct error_body error;
    struct session_task *task = TAILQ_FIRST(&request->tasks);
    if (error_read_body(body, &error) != READER_OK) {
        submit_on_nonsense(session, request, now_ns);
    } else if (is_temporary(error.code)) {
        hold_back(session, error.code, 0, now_ns);
        submit_requeue(session, request);
    } else if (TAILQ_NEXT(task, link) != NULL) {
        TAILQ_FOREACH(task, &request->tasks, link)
        {
            task->alone = true;
        }
        submit_requeue(session, request);
    } else {
        refuse(session, request, task, error.code, error.reason);
    }
}
