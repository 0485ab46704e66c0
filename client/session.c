/* session.c - see session.h: what a session remembers, one step, and when the next one is due.
 *
 * A step takes its event, then sends what may be sent: calls, watches, RECEIVED, tasks. A connection is given
 * up when a request stays unanswered past its time; everything unanswered then goes out again on a new one.
 */
#include "client/session_state.h"

#include <stdlib.h>

#include "proto/assert.h"

void session_options_default(struct session_options *options)
{
    *options = (struct session_options){
        .tasks_max = 65536,
        .batch_tasks_max = FRAME_ENTRIES_MAX,
        .unanswered_max = 256,
        .unanswered_bytes_max = 8 * 1024 * 1024,
        .reply_timeout_ms = 3000,
        .reply_timeout_max_ms = 30000,
        .reconnect_min_ms = 50,
        .reconnect_max_ms = 1000,
        .watch_repeat_ms = 10000,
        .received_after_ms = 20,
    };
}

static const struct task_id *id_of(const void *owner, uint32_t value)
{
    const struct session *session = owner;
    return &((const struct session_task *)slab_at(&session->tasks, value))->id;
}

static uint32_t power_of_two_above(uint32_t value)
{
    uint32_t power = 1;
    while (power < value)
        power *= 2;
    return power;
}

struct session *session_new(const struct session_options *options)
{
    ASSERT(options->tasks_max >= 1 && options->tasks_max <= 1u << 24);
    ASSERT(options->batch_tasks_max >= 1 && options->batch_tasks_max <= FRAME_ENTRIES_MAX);
    ASSERT(options->unanswered_max >= 1 && options->unanswered_max <= 900);
    struct session *session = calloc(1, sizeof *session);
    uint32_t ring = power_of_two_above(2 * options->tasks_max);
    struct session_happening *happenings = calloc(ring, sizeof *happenings);
    if (session == NULL || happenings == NULL) {
        free(session);
        free(happenings);
        return NULL;
    }
    session->options = *options;
    session->happenings = happenings;
    session->happening_mask = ring - 1;
    session->reply_timeout_ms = options->reply_timeout_ms;
    session->reconnect_ms = options->reconnect_min_ms;
    slab_init(&session->tasks, sizeof(struct session_task), options->tasks_max);
    map_init(&session->by_id, options->hash_seed, id_of, session);
    TAILQ_INIT(&session->queue);
    TAILQ_INIT(&session->watched);
    TAILQ_INIT(&session->unanswered);
    TAILQ_INIT(&session->free_requests);
    for (int i = 0; i < SESSION_REQUESTS_MAX; i++)
        TAILQ_INSERT_TAIL(&session->free_requests, &session->requests[i], link);
    return session;
}

static void task_drop(struct session *session, struct session_task *task)
{
    map_remove(&session->by_id, &task->id);
    free(task->bytes);
    slab_give(&session->tasks, task->index);
}

static void drop_all(struct session *session, struct session_tasks *tasks)
{
    struct session_task *task;
    while ((task = TAILQ_FIRST(tasks)) != NULL) {
        TAILQ_REMOVE(tasks, task, link);
        task_drop(session, task);
    }
}

void session_free(struct session *session)
{
    if (session == NULL)
        return;
    struct session_event event;
    do
        session->received_count = 0; /* nobody is told any more */
    while (session_next(session, &event));
    drop_all(session, &session->queue);
    drop_all(session, &session->watched);
    struct session_request *request;
    TAILQ_FOREACH(request, &session->unanswered, link)
    {
        drop_all(session, &request->tasks);
    }
    for (uint32_t i = 0; i < SESSION_CALLS_MAX; i++)
        session_call_end(session, i);
    map_release(&session->by_id);
    slab_release(&session->tasks);
    free(session->happenings);
    free(session);
}

/* ---- tasks and their events ---- */

struct session_task *session_find(const struct session *session, const struct task_id *id)
{
    uint32_t index = map_find(&session->by_id, id);
    return index == 0 ? NULL : slab_at(&session->tasks, index);
}

/* The event handed out last has been dealt with: forget its task if that was its last. */
static void release_given(struct session *session)
{
    struct session_task *task = session->given;
    session->given = NULL;
    if (task == NULL)
        return;
    if (session->given_ended)
        watch_taken(session, &task->id);
    task_drop(session, task);
}

static enum session_status task_add(struct session *session, const struct task_id *id, uint64_t tag,
                                    struct session_task **ret_task)
{
    if (session->received_count < FRAME_ENTRIES_MAX)
        release_given(session); /* it may be this very id again */
    if (map_find(&session->by_id, id) != 0)
        return SESSION_KNOWN;
    if (session->tasks.live == session->options.tasks_max)
        return SESSION_FULL;
    uint32_t index = slab_take(&session->tasks);
    if (index == 0)
        return SESSION_NO_MEMORY;
    struct session_task *task = slab_at(&session->tasks, index);
    *task = (struct session_task){.id = *id, .tag = tag, .index = index};
    if (!map_put(&session->by_id, id, index)) {
        slab_give(&session->tasks, index);
        return SESSION_NO_MEMORY;
    }
    *ret_task = task;
    return SESSION_OK;
}

enum session_status session_submit(struct session *session, const struct task_id *id, uint8_t *envelope,
                                   size_t size, uint64_t tag, bool watch)
{
    enum { HEADER_ROOM = 128 };
    if (size > FRAME_BYTES_MAX - HEADER_ROOM)
        return SESSION_TOO_LARGE;
    struct session_task *task;
    enum session_status status = task_add(session, id, tag, &task);
    if (status != SESSION_OK)
        return status;
    task->bytes = envelope;
    task->size = (uint32_t)size;
    task->watch = watch;
    task->state = TASK_QUEUED;
    TAILQ_INSERT_TAIL(&session->queue, task, link);
    session->unaccepted++;
    return SESSION_OK;
}

enum session_status session_watch(struct session *session, const struct task_id *id, uint64_t tag)
{
    struct session_task *task;
    enum session_status status = task_add(session, id, tag, &task);
    if (status != SESSION_OK)
        return status;
    task->watch = true;
    watch_begin(session, task, 0);
    return SESSION_OK;
}

void session_happen(struct session *session, struct session_task *task, enum session_event_kind kind,
                    bool duplicate)
{
    ASSERT(session->happening_count <= session->happening_mask);
    uint32_t at = (session->happening_first + session->happening_count++) & session->happening_mask;
    session->happenings[at] = (struct session_happening){task, kind, duplicate};
}

bool session_explain(struct session_task *task, struct bytes code, struct bytes reason)
{
    if (code.size >= SESSION_CODE_BYTES_MAX)
        code.size = SESSION_CODE_BYTES_MAX - 1;
    if (reason.size >= SESSION_REASON_BYTES_MAX)
        reason.size = SESSION_REASON_BYTES_MAX - 1;
    uint8_t *text = calloc(1, code.size + reason.size + 2);
    free(task->bytes);
    task->bytes = text;
    task->size = 0;
    if (text == NULL)
        return false;
    if (code.size != 0)
        memcpy(text, code.data, code.size);
    if (reason.size != 0)
        memcpy(text + code.size + 1, reason.data, reason.size);
    task->size = (uint32_t)(code.size + reason.size + 2);
    return true;
}

bool session_has_next(const struct session *session)
{
    return session->happening_count != 0;
}

bool session_next(struct session *session, struct session_event *ret_event)
{
    if (session->received_count == FRAME_ENTRIES_MAX && session->connected)
        return false; /* a step must tell these first */
    if (session->received_count == FRAME_ENTRIES_MAX)
        session->received_count = 0; /* nobody there: rather untold than the caller held up */
    release_given(session);
    if (session->happening_count == 0)
        return false;
    struct session_happening happening = session->happenings[session->happening_first];
    session->happening_first = (session->happening_first + 1) & session->happening_mask;
    session->happening_count--;
    struct session_task *task = happening.task;
    *ret_event = (struct session_event){
        .kind = happening.kind, .id = task->id, .tag = task->tag, .duplicate = happening.duplicate};
    if (happening.kind == SESSION_ENDED) {
        ret_event->result = (struct bytes){task->bytes, task->size};
    } else if (happening.kind != SESSION_ACCEPTED && task->size != 0) {
        ret_event->code = bytes_of((const char *)task->bytes);
        ret_event->reason = bytes_of((const char *)task->bytes + ret_event->code.size + 1);
    }
    if (happening.kind != SESSION_ACCEPTED || !task->watch)
        session->given = task;
    session->given_ended = happening.kind == SESSION_ENDED;
    return true;
}

/* ---- requests ---- */

struct session_request *session_request_take(struct session *session, enum message_kind kind, uint64_t now_ns)
{
    struct session_request *request = TAILQ_FIRST(&session->free_requests);
    if (request == NULL)
        return NULL;
    TAILQ_REMOVE(&session->free_requests, request, link);
    TAILQ_INSERT_TAIL(&session->unanswered, request, link);
    uint64_t slot = (uint64_t)(request - session->requests);
    request->sequence = ++session->request_counter << SESSION_SLOT_BITS | slot;
    request->kind = kind;
    request->sent_ns = now_ns;
    request->bytes = 0;
    TAILQ_INIT(&request->tasks);
    return request;
}

void session_request_give(struct session *session, struct session_request *request)
{
    ASSERT(request->sequence != 0 && TAILQ_EMPTY(&request->tasks));
    if (request->kind == MESSAGE_SUBMIT) {
        session->submits_unanswered--;
        session->submit_bytes_unanswered -= request->bytes;
    }
    request->sequence = 0;
    TAILQ_REMOVE(&session->unanswered, request, link);
    TAILQ_INSERT_HEAD(&session->free_requests, request, link);
}

/* ---- the connection ---- */

static uint64_t with_jitter(uint64_t ms, uint64_t random)
{
    return ms - ms / 4 + random % (ms / 2 + 1);
}

/* Give the connection up: what was unanswered is sent again on the next one, after a pause. */
static void disconnect(struct session *session, const struct event *event)
{
    struct session_request *request;
    while ((request = TAILQ_LAST(&session->unanswered, session_requests)) != NULL) {
        if (request->kind == MESSAGE_SUBMIT)
            submit_requeue(session, request);
        session_request_give(session, request);
    }
    call_forget_connection(session);
    session->connected = false;
    session->watch_again_ns = event->now_ns + 1; /* the node watched for the old connection */
    session->connect_at_ns = event->now_ns + ns_of_ms(with_jitter(session->reconnect_ms, event->random[0]));
    session->reconnect_ms = earlier(2 * session->reconnect_ms, session->options.reconnect_max_ms);
}

/* A connection on which something is unanswered and nothing is heard for a while is taken for dead; one that
 * answers others but not this one, after reply_timeout_max. */
static uint64_t reply_due_ns(const struct session *session, uint64_t expected_ns)
{
    uint64_t since_ns = session->heard_ns > expected_ns ? session->heard_ns : expected_ns;
    return earlier(since_ns + ns_of_ms(session->reply_timeout_ms),
                   expected_ns + ns_of_ms(session->options.reply_timeout_max_ms));
}

static uint64_t dead_at_ns(const struct session *session)
{
    const struct session_request *oldest = TAILQ_FIRST(&session->unanswered);
    uint64_t due_ns = oldest == NULL ? DEADLINE_NEVER : reply_due_ns(session, oldest->sent_ns);
    for (int i = 0; i < SESSION_CALLS_MAX; i++) {
        const struct session_call_slot *call = &session->calls[i];
        if (call->state == CALL_SENT)
            due_ns = earlier(due_ns, reply_due_ns(session, call->sent_ns + ns_of_ms(call->patience_ms)));
    }
    return due_ns;
}

static void heard(struct session *session, uint64_t now_ns)
{
    session->heard_ns = now_ns;
    session->reconnect_ms = session->options.reconnect_min_ms;
    session->reply_timeout_ms = session->options.reply_timeout_ms;
}

void session_note_epoch(struct session *session, uint64_t epoch, uint64_t now_ns)
{
    if (session->epoch != 0 && session->epoch != epoch)
        session->watch_again_ns = now_ns; /* the node restarted: its watches were memory */
    session->epoch = epoch;
}

static void on_reply(struct session *session, struct session_request *request,
                     const struct message_header *header, uint64_t now_ns)
{
    if (request->kind == MESSAGE_SUBMIT && header->kind == MESSAGE_ACCEPTED)
        submit_on_accepted(session, request, header->body, now_ns);
    else if (request->kind == MESSAGE_SUBMIT && header->kind == MESSAGE_ERROR)
        submit_on_error(session, request, header->body, now_ns);
    else if (request->kind == MESSAGE_SUBMIT)
        submit_on_nonsense(session, request, now_ns);
    else if (header->kind == MESSAGE_RESULT || header->kind == MESSAGE_PENDING)
        watch_on_result(session, header->sequence, header->kind, header->body, now_ns);
    session_request_give(session, request);
}

static void on_message(struct session *session, const struct event *event)
{
    struct message_header header;
    if (event->peer != session_peer(session) || !session->connected)
        return;
    heard(session, event->now_ns);
    if (message_read(event->frame, &header) != READER_OK || header.version != PROTOCOL_VERSION_MAX) {
        session->malformed++;
        return;
    }
    uint32_t slot = (uint32_t)(header.sequence & ((1u << SESSION_SLOT_BITS) - 1));
    if (header.sequence == 0 && header.kind == MESSAGE_RESULT)
        watch_on_result(session, header.sequence, header.kind, header.body, event->now_ns);
    else if (slot >= SESSION_REQUESTS_MAX)
        call_on_reply(session, &header);
    else if (session->requests[slot].sequence == header.sequence && header.sequence != 0)
        on_reply(session, &session->requests[slot], &header, event->now_ns);
    else
        session->malformed++; /* nothing here waits for it */
}

/* When the next message may leave; 0 = now. */
static uint64_t send_due_ns(const struct session *session)
{
    uint64_t due_ns = earlier(call_deadline_ns(session), watch_deadline_ns(session));
    due_ns = earlier(due_ns, submit_deadline_ns(session));
    if (!session->connected && due_ns < session->connect_at_ns)
        due_ns = session->connect_at_ns;
    return due_ns;
}

static void flush(struct session *session, uint64_t now_ns, struct outputs *outputs)
{
    if (session->received_count != 0 && session->received_since_ns == 0)
        session->received_since_ns = now_ns;
    if (send_due_ns(session) > now_ns)
        return;
    if (!session->connected) {
        session->connection++;
        session->connected = true;
    }
    call_flush(session, now_ns, outputs);
    watch_flush(session, now_ns, outputs);
    submit_flush(session, now_ns, outputs);
}

void session_step(struct session *session, const struct event *event, struct outputs *outputs)
{
    switch (event->kind) {
    case EVENT_MESSAGE:
        on_message(session, event);
        break;
    case EVENT_LINK_DOWN:
        if (event->peer == session_peer(session) && session->connected)
            disconnect(session, event);
        break;
    case EVENT_TIMEOUT: /* only here: the replies that had come are read by now */
        if (dead_at_ns(session) <= event->now_ns) {
            disconnect(session, event);
            session->reply_timeout_ms =
                earlier(2 * session->reply_timeout_ms, session->options.reply_timeout_max_ms);
        }
        break;
    case EVENT_START:
    case EVENT_DRAIN:
    case EVENT_RESTORE:
    case EVENT_PROCESS_STARTED:
    case EVENT_PROCESS_ENDED:
        break;
    }
    flush(session, event->now_ns, outputs);
}

uint64_t session_deadline_ns(const struct session *session)
{
    return earlier(send_due_ns(session), dead_at_ns(session));
}

/* ---- what it is doing ---- */

const char *session_pressure(const struct session *session)
{
    return session->unaccepted == 0 ? "" : session->pressure;
}

uint64_t session_heard_ns(const struct session *session)
{
    return session->heard_ns;
}

uint32_t session_open(const struct session *session)
{
    return session->tasks.live - (session->given != NULL);
}

bool session_is_full(const struct session *session)
{
    return session_open(session) == session->options.tasks_max;
}

uint32_t session_unaccepted(const struct session *session)
{
    return session->unaccepted;
}

uint64_t session_malformed(const struct session *session)
{
    return session->malformed;
}

uint64_t session_resent(const struct session *session)
{
    return session->resent;
}

void session_finish(struct session *session)
{
    if (session->received_count == FRAME_ENTRIES_MAX)
        session->received_count = 0;
    release_given(session);
    session->received_since_ns = 1;
}

bool session_owes(const struct session *session)
{
    const struct session_request *request;
    TAILQ_FOREACH(request, &session->unanswered, link)
    {
        if (request->kind == MESSAGE_RECEIVED)
            return true;
    }
    return session->received_count != 0;
}
