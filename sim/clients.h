/* clients.h - who uses the cluster: two kinds of clients, and their connections to the broker.
 *
 * A CLIENT_SESSION is the shipped session (client/session.h) stepped in virtual time, with a caller that
 * hands in tasks, watches, cancels and asks (clients_session.c). A CLIENT_ASKING is a script of REQ requests
 * that does what the session would not: an id again with the same body and with another one, cancels at
 * random, a drain of a worker, results asked for after they were received (clients_asking.c). Both lose
 * connections and patience; any of them may go away without a word, and a session's program may be started
 * anew.
 *
 * Task i belongs to client i modulo their number. Regions open no client port yet: the broker is everybody's
 * ingress. */
#ifndef MERIDIAN_SIM_CLIENTS_H
#define MERIDIAN_SIM_CLIENTS_H

#include "client/session.h"
#include "sim/workload.h"

enum { NO_CALL = UINT32_MAX };

/* What its client knows of a task. */
struct told {
    bool handed, watched; /* in the session of this life */
    bool accepted, ended, received;
    uint64_t accepted_ns; /* when it was told so last */
    uint64_t again_ns;    /* ended: asked about once more then; NEVER */
    uint64_t cancel_ns;
    uint64_t submit_ns; /* not before: put off when it was throttled */
};

enum client_kind { CLIENT_SESSION, CLIENT_ASKING };

struct client {
    enum client_kind kind;
    uint32_t index;
    uint64_t connection; /* its peer number at the broker, 0 = none */
    uint32_t broker_life;
    bool noticed;            /* that the broker of this connection is gone */
    uint64_t up_ns, down_ns; /* arrivals of the newest frames: a connection keeps their order */
    uint64_t latency_ns;     /* one way, without the jitter of all links */
    uint64_t stalled_ns;     /* nothing gets through before */
    uint64_t timer;          /* the newest on the timeline */
    uint64_t leaves_ns;      /* goes away without a word; NEVER */
    bool gone;

    /* CLIENT_ASKING */
    uint64_t sequence; /* of the newest request */
    enum message_kind asked;
    bool waiting, other_body;

    /* CLIENT_SESSION */
    struct session_options options;
    struct session *session;
    uint64_t session_connection; /* the session's own number of it */
    uint64_t restart_ns;         /* its program starts anew; NEVER */
    uint32_t cancel_call, other_call;
};

struct clients {
    struct client all[CLIENTS_MAX_SIM];
    struct told *told; /* per task */
    uint32_t count, open;
    uint64_t connections, timers;
    struct outputs outputs; /* of one step of a session */
};

/* ---- clients.c ---- */
/* A new connection; the broker hears of the end of the former one sooner, later or never. */
void client_connect(struct sim *sim, struct client *client);
/* Takes the frame. */
void client_send(struct sim *sim, struct client *client, struct bytes frame);
void client_set_timer(struct sim *sim, struct client *client, uint64_t at_ns);
/* The broker that it is connected to, or the connection, has ended, and this is the time to hear of it. */
bool client_hears_of_end(struct sim *sim, struct client *client);
struct told *client_told_of(const struct sim *sim, struct bytes map);
/* Bodies of requests: the DRAIN of a drawn node, the FORGET of one that is gone or of any, any QUERY, ids. */
void client_write_drain(struct sim *sim, struct writer *writer);
void client_write_forget(struct sim *sim, struct writer *writer);
/* May a good request of this kind be answered ERROR with `code`? */
bool client_may_fail(enum message_kind asked, struct bytes code);
void client_write_query(struct sim *sim, struct writer *writer);
void client_write_ids(const struct sim *sim, struct writer *writer, const uint32_t *picked, uint32_t count);
/* Numbers of up to `max` of the client's tasks that are wanted, from a drawn one on. */
typedef bool (*wanted)(const struct sim *sim, uint32_t task);
uint32_t client_pick(struct sim *sim, const struct client *client, wanted is_wanted, uint32_t *to,
                     uint32_t max);
/* Its client knows the end of the task. */
void client_knows_end(struct sim *sim, uint32_t task);
/* Its client is told that nobody knows the task (any more): it hands it in again, or gives it up. */
void client_on_unknown(struct sim *sim, uint32_t task);

/* ---- clients_session.c, clients_asking.c ---- */
void session_client_init(struct sim *sim, struct client *client);
void session_client_acts(struct sim *sim, struct client *client);
void session_client_reply(struct sim *sim, struct client *client, struct bytes frame);
void asking_client_acts(struct sim *sim, struct client *client);
void asking_client_reply(struct sim *sim, struct client *client, const struct message_header *header);

#endif
