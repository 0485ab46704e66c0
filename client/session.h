/* session.h - a client's side of its conversation with a node: tasks handed in, watched and taken back.
 *
 * Is:      pure (engine/step.h): verbs of the caller change state only, session_step turns events and state
 *          into messages. Tasks go out many per message, are sent again with the same id until the node has
 *          answered for them, wait when the node says `throttled` or `store_full`, and are watched (pushed
 *          results, the watch repeated) until they have ended.
 * Is not:  a socket (client_io.c), nor the installed interface (client.h). It never draws an id: the caller
 *          gives one, and it stays the task's for ever.
 * Bounded: at most `tasks_max` open tasks; session_submit says SESSION_FULL above it and the caller waits.
 * Owns:    the encoded tasks given to session_submit (on SESSION_OK), copies of results until taken.
 * Peers:   messages go to peer_make(PORT_PARENT, n); a new n asks the host for a new connection.
 * Cost:    every verb O(1); a step O(entries sent and received). */
#ifndef MERIDIAN_CLIENT_SESSION_H
#define MERIDIAN_CLIENT_SESSION_H

#include "engine/outputs.h"
#include "engine/step.h"
#include "proto/limits.h"

enum { SESSION_CALLS_MAX = 16, SESSION_CODE_BYTES_MAX = 32, SESSION_REASON_BYTES_MAX = 160 };

struct session_options {
    uint32_t tasks_max;            /* 65,536: open tasks, from session_submit to the taken end */
    uint32_t batch_tasks_max;      /* 1,024: tasks in one SUBMIT */
    uint32_t unanswered_max;       /* 256: SUBMIT messages without their reply, at most 900 */
    uint64_t unanswered_bytes_max; /* 8 MiB: of encoded tasks in them (one message always may go) */
    uint32_t reply_timeout_ms;     /* 3,000: silence after which a connection is given up; doubles ... */
    uint32_t reply_timeout_max_ms; /* 30,000: ... up to this while nothing is heard */
    uint32_t reconnect_min_ms;     /* 50: pause before a new connection; doubles, with jitter ... */
    uint32_t reconnect_max_ms;     /* 1,000: ... up to this */
    uint32_t watch_repeat_ms;      /* 10,000: a node forgets a watch after 30 s */
    uint32_t received_after_ms;    /* 20: RECEIVED waits so long for company */
    uint64_t hash_seed;            /* random, for the table of ids */
};

enum session_status {
    SESSION_OK,
    SESSION_FULL,      /* tasks_max or SESSION_CALLS_MAX reached: take events, try again */
    SESSION_KNOWN,     /* this id is open here already */
    SESSION_TOO_LARGE, /* no frame can hold it: never sent */
    SESSION_NO_MEMORY,
};

enum session_event_kind {
    SESSION_ACCEPTED, /* the node keeps the task; without a watch this is the last event of it */
    SESSION_REFUSED,  /* the node refused it for good (code, reason) */
    SESSION_ENDED,    /* `result`: the entry of the RESULT message (client/outcome.h reads it) */
    SESSION_UNKNOWN,  /* the outcome cannot be known: the node no longer knows the id (code, reason) */
    SESSION_EVENT_KIND_COUNT
};

struct session_event {
    enum session_event_kind kind;
    struct task_id id;
    uint64_t tag;
    bool duplicate;            /* ACCEPTED: the node had it already */
    struct bytes code, reason; /* REFUSED, UNKNOWN */
    struct bytes result;       /* ENDED: one raw msgpack map */
};

struct session;

void session_options_default(struct session_options *options);
/* Options are copied. NULL if the system has no memory. */
struct session *session_new(const struct session_options *options);
void session_free(struct session *session);

void session_step(struct session *session, const struct event *event, struct outputs *outputs);
/* 0 = a step has something to send now. */
uint64_t session_deadline_ns(const struct session *session);

/* Hand in a task. `envelope` is malloc'ed, one whole task map that carries `id`; taken on SESSION_OK only.
 *   tag     comes back in every event of the task
 *   watch   the end is reported (ENDED or UNKNOWN), and told RECEIVED once the caller has moved on */
enum session_status session_submit(struct session *session, const struct task_id *id, uint8_t *envelope,
                                   size_t size, uint64_t tag, bool watch);
/* Watch a task that was handed in earlier or by somebody else. */
enum session_status session_watch(struct session *session, const struct task_id *id, uint64_t tag);

/* The next event; its views are good until the next session_next, session_submit or session_watch, which also
 * counts as having dealt with this one. */
bool session_next(struct session *session, struct session_event *ret_event);
bool session_has_next(const struct session *session);

/* One request of any kind with one reply: QUERY, CANCEL, DRAIN, FORGET, a long-polling WATCH. Sent again on
 * a new connection until session_call_end, so it must be one that may arrive twice. `body` is copied.
 *   patience_ms  how long the node may take on purpose (wait_ms), on top of reply_timeout_ms */
enum session_status session_call(struct session *session, enum message_kind kind, struct bytes body,
                                 uint32_t patience_ms, uint32_t *ret_call);
/* True once the reply is there; its view is good until session_call_end. */
bool session_call_reply(const struct session *session, uint32_t call, enum message_kind *ret_kind,
                        struct bytes *ret_body);
void session_call_end(struct session *session, uint32_t call);

/* Why tasks are not being sent: "throttled", "store_full", "draining", or "" while nothing holds them. */
const char *session_pressure(const struct session *session);
/* When the node was last heard; 0 = never. */
uint64_t session_heard_ns(const struct session *session);
/* Open tasks, and of these the ones the node has not yet answered for. */
uint32_t session_open(const struct session *session);
bool session_is_full(const struct session *session);
uint32_t session_unaccepted(const struct session *session);
/* Messages from the node that made no sense, and times a task was sent again. For reports. */
uint64_t session_malformed(const struct session *session);
uint64_t session_resent(const struct session *session);
/* The caller takes no more events and has dealt with the last one: RECEIVED leaves with the next step ... */
void session_finish(struct session *session);
/* ... and until it is answered the session owes. */
bool session_owes(const struct session *session);

#endif
