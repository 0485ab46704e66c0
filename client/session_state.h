/* session_state.h - the inside of a session, shared by the session_*.c files and nobody else.
 *
 * A task is on exactly one list: `queue` (to be sent), the `tasks` of a request (sent, unanswered), `watched`
 * (accepted, oldest watch first), or none (ended, its last event not yet taken).
 *
 *     session_submit -> queue -> request -> watched -> none -> taken
 *                         ^---------'  (throttled, no reply, connection lost: same id again) */
#ifndef MERIDIAN_CLIENT_SESSION_STATE_H
#define MERIDIAN_CLIENT_SESSION_STATE_H

#include <sys/queue.h>

#include "client/session.h"
#include "engine/map.h"
#include "engine/slab.h"

enum {
    SESSION_REQUESTS_MAX = 1008, /* slots for SUBMIT, WATCH, RECEIVED; calls have their own numbers above */
    SESSION_SLOT_BITS = 10,
    SESSION_REPLY_BYTES_MAX = FRAME_BYTES_MAX,
};
_Static_assert(SESSION_REQUESTS_MAX + SESSION_CALLS_MAX == 1 << SESSION_SLOT_BITS, "slots fill their bits");

enum session_task_state { TASK_QUEUED, TASK_SENT, TASK_WATCHED, TASK_OVER };

struct session_task {
    TAILQ_ENTRY(session_task) link;
    struct task_id id;
    uint64_t tag;
    uint8_t *bytes; /* the envelope until accepted, then the result, or "code\0reason\0" */
    uint32_t size;
    uint32_t index; /* in the slab */
    uint64_t watched_ns;
    uint64_t accepted_sequence; /* of the SUBMIT that ACCEPTED answered; 0 = none in this session */
    enum session_task_state state;
    uint32_t sends;
    bool watch;
    bool told_early; /* its result came before ACCEPTED did: ask again */
    bool alone; /* a message with it was refused whole: it goes by itself, so that only the culprit is refused
                 */
};
TAILQ_HEAD(session_tasks, session_task);

/* One message that awaits its one reply. */
struct session_request {
    TAILQ_ENTRY(session_request) link; /* in `unanswered`, or in `free_requests` */
    uint64_t sequence;                 /* 0 = free */
    enum message_kind kind;
    uint64_t sent_ns;
    size_t bytes;
    struct session_tasks tasks; /* SUBMIT */
};
TAILQ_HEAD(session_requests, session_request);

enum session_call_state { CALL_FREE, CALL_UNSENT, CALL_SENT, CALL_ANSWERED };

struct session_call_slot {
    enum session_call_state state;
    enum message_kind kind, reply_kind;
    uint64_t sequence, sent_ns;
    uint32_t patience_ms;
    uint8_t *body, *reply;
    size_t body_size, reply_size;
};

struct session_happening {
    struct session_task *task;
    enum session_event_kind kind;
    bool duplicate;
};

struct session {
    struct session_options options;
    struct slab tasks;
    struct map by_id;
    struct session_tasks queue, watched;
    struct session_request requests[SESSION_REQUESTS_MAX];
    struct session_requests unanswered, free_requests; /* unanswered: oldest first */
    struct session_call_slot calls[SESSION_CALLS_MAX];
    uint32_t submits_unanswered;
    uint64_t submit_bytes_unanswered;
    uint64_t request_counter;

    struct session_happening *happenings; /* ring; two per task are enough */
    uint32_t happening_mask, happening_first, happening_count;
    struct session_task *given; /* its last event is in the caller's hands */
    bool given_ended;           /* and that was its result */

    struct task_id received[FRAME_ENTRIES_MAX]; /* ends taken, not yet told */
    uint32_t received_count;
    uint64_t received_since_ns; /* 0 = stamped by the next step */

    uint64_t connection; /* number of the newest connection, 0 = none yet */
    bool connected;      /* it is believed to work */
    uint64_t connect_at_ns, reconnect_ms;
    uint64_t reply_timeout_ms; /* now, doubled while nothing is heard */
    uint64_t heard_ns;
    uint64_t epoch;                        /* of the node, 0 = not heard yet */
    uint64_t watch_again_ns;               /* watches older than this are void */
    uint64_t resume_at_ns;                 /* no SUBMIT before */
    char pressure[SESSION_CODE_BYTES_MAX]; /* why */
    uint32_t unaccepted;
    uint64_t malformed, resent;
};

static inline uint64_t session_peer(const struct session *session)
{
    return peer_make(PORT_PARENT, session->connection);
}

static inline uint64_t ns_of_ms(uint64_t ms)
{
    return ms * NANOSECONDS_PER_MS;
}

static inline uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* session.c */
void session_note_epoch(struct session *session, uint64_t epoch, uint64_t now_ns);
struct session_request *session_request_take(struct session *session, enum message_kind kind,
                                             uint64_t now_ns);
void session_request_give(struct session *session, struct session_request *request);
void session_happen(struct session *session, struct session_task *task, enum session_event_kind kind,
                    bool duplicate);
/* Keep "code\0reason\0" with the task. False if there is no memory. */
bool session_explain(struct session_task *task, struct bytes code, struct bytes reason);
struct session_task *session_find(const struct session *session, const struct task_id *id);

/* session_submit.c */
void submit_flush(struct session *session, uint64_t now_ns, struct outputs *outputs);
uint64_t submit_deadline_ns(const struct session *session);
void submit_on_accepted(struct session *session, struct session_request *request, struct bytes body,
                        uint64_t now_ns);
void submit_on_error(struct session *session, struct session_request *request, struct bytes body,
                     uint64_t now_ns);
/* A reply that cannot be one: the tasks are sent again, after a pause. */
void submit_on_nonsense(struct session *session, struct session_request *request, uint64_t now_ns);
/* No reply will come: its tasks are sent again, in their old order. */
void submit_requeue(struct session *session, struct session_request *request);

/* session_watch.c */
void watch_begin(struct session *session, struct session_task *task, uint64_t watched_ns);
void watch_flush(struct session *session, uint64_t now_ns, struct outputs *outputs);
uint64_t watch_deadline_ns(const struct session *session);
/* RESULT or PENDING, in answer to the WATCH `sequence`; 0 = pushed. */
void watch_on_result(struct session *session, uint64_t sequence, enum message_kind kind, struct bytes body,
                     uint64_t now_ns);
void watch_taken(struct session *session, const struct task_id *id);

/* session_call.c */
void call_flush(struct session *session, uint64_t now_ns, struct outputs *outputs);
uint64_t call_deadline_ns(const struct session *session);
void call_on_reply(struct session *session, const struct message_header *header);
void call_forget_connection(struct session *session);

#endif
