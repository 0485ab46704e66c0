/* client.h - the C library: hand in tasks, hear of their ends, ask questions.
 *
 * Is:      blocking calls on top of the pure session (session.h) with one socket. Tasks are batched, sent
 * again with the same id until the node has answered, held back when the node says so, and watched until they
 * have ended. Is not:  thread-safe: one thread per client; any number of clients per process. Ids:     drawn
 * here (UUIDv7) when a task has none, once; a task that is sent again keeps its id. Memory:  arguments are
 * copied; views in an event are good until the next call on the same client. */
#ifndef MERIDIAN_CLIENT_CLIENT_H
#define MERIDIAN_CLIENT_CLIENT_H

#include "client/outcome.h"

struct client;

enum client_status {
    CLIENT_OK,
    CLIENT_TIMEOUT,   /* nothing within timeout_ms; the call may be made again */
    CLIENT_FULL,      /* too many open tasks: take events first */
    CLIENT_TOO_LARGE, /* no frame can hold it, or the payload passes 1 MiB: never sent, never retried */
    CLIENT_KNOWN,     /* this id is open here already */
    CLIENT_INVALID,   /* the endpoint or a field cannot be right; client_problem names it */
    CLIENT_NO_MEMORY,
};

/* What to run: `arguments` (a command) or `type` (a handler). Zero means absent, everywhere. */
struct client_task {
    const uint8_t *id;            /* 16 bytes, or NULL: drawn here */
    const char *const *arguments; /* argument_count strings */
    uint32_t argument_count;
    const char *type;
    struct bytes payload;
    const char *const *environment; /* environment_count strings "NAME=value" */
    uint32_t environment_count;
    const char *working_directory; /* absolute */
    const char *priority;          /* critical, high, normal, low */
    const char *region;
    const char *const *capabilities; /* capability_count names */
    uint32_t capability_count;
    uint64_t delay_ms, timeout_ms, deadline_ms;
    int retries; /* -1: the node's default */
};

enum client_event_kind {
    CLIENT_ACCEPTED, /* the node keeps it */
    CLIENT_REFUSED,  /* for good: `code`, `reason` */
    CLIENT_ENDED,    /* `outcome` */
    CLIENT_UNKNOWN,  /* its outcome cannot be known any more: `code`, `reason` */
};

struct client_event {
    enum client_event_kind kind;
    uint8_t id[TASK_ID_BYTES];
    uint64_t tag;   /* as given with the task */
    bool duplicate; /* ACCEPTED: the node had it already */
    struct bytes code, reason;
    struct outcome outcome;
};

struct client_options {
    uint32_t tasks_max;       /* 65,536 open tasks */
    uint32_t batch_tasks_max; /* 1,024 tasks in one message */
};

void client_options_default(struct client_options *options);
/* `endpoint` as zmq has it, tcp://host:port. No connection is made before there is something to say.
 * NULL if the endpoint is not one or the system has no memory; errno says which (EINVAL, ENOMEM). */
struct client *client_open(const char *endpoint, const struct client_options *options);
/* Sends what RECEIVED is due (at most 200 ms), then frees everything. NULL is fine. */
void client_close(struct client *client);

/* Hand in a task; it is sent with the next client_next or client_call. `watch`: hear of its end too. */
enum client_status client_submit(struct client *client, const struct client_task *task, uint64_t tag,
                                 bool watch, uint8_t ret_id[TASK_ID_BYTES]);
/* Hear of the end of a task that was handed in earlier, here or elsewhere. */
enum client_status client_watch(struct client *client, const uint8_t id[TASK_ID_BYTES], uint64_t tag);
/* The next event, waiting up to `timeout_ms` for one (0: only what is there). A signal ends the wait early,
 * with CLIENT_TIMEOUT: the caller may have something to look at. */
enum client_status client_next(struct client *client, uint64_t timeout_ms, struct client_event *ret_event);
/* One request with one reply, as PROTOCOL.md has it: kind "QUERY", "CANCEL", "DRAIN", "FORGET", "WATCH",
 * "RECEIVED"; `body` is an encoded map. `patience_ms`: how long the node may take on purpose (wait_ms). The
 * reply's kind and body are views. */
enum client_status client_call(struct client *client, const char *kind, struct bytes body,
                               uint32_t patience_ms, uint64_t timeout_ms, struct bytes *ret_kind,
                               struct bytes *ret_body);

/* Tasks handed in whose last event has not come. */
uint32_t client_open_tasks(const struct client *client);
/* "throttled", "store_full", "draining" while the node holds this client back, else "". */
const char *client_pressure(const struct client *client);
/* Has the node ever answered? */
bool client_heard(const struct client *client);
/* What was wrong, after CLIENT_INVALID or CLIENT_TOO_LARGE: one line that names the field. */
const char *client_problem(const struct client *client);

#endif
