/* watches.h - who wants to hear of which task's end. Memory only: a restart forgets, clients ask again.
 *
 * A poll is one WATCH request that waits: answered once, when one of its tasks has ended or its time is over.
 * A pusher is a DEALER client that has results pushed; its watches lapse 30 s after its last WATCH with push.
 * A watch is a node in two lists: of its task (task.watch), and of its poll or pusher. Those of a pusher that
 * is gone are dropped over as many steps as it takes.
 * Bounds: WATCHES_MAX nodes, POLLS_MAX polls, PUSHERS_MAX pushers; above them the request is answered
 * throttled. */
#ifndef MERIDIAN_BROKER_WATCHES_H
#define MERIDIAN_BROKER_WATCHES_H

#include "engine/ledger.h"

enum { WATCHES_MAX = 8 * 1024 * 1024, POLLS_MAX = 65536, PUSHERS_MAX = 65536, PUSH_LAPSE_MS = 30000 };

struct watch {
    struct task_id id;
    uint32_t next_of_task; /* once the task has ended: of the pushes that are due */
    uint32_t previous_of_task;
    uint32_t next_of_owner;
    uint32_t previous_of_owner; /* of a pusher only */
    uint32_t poll;              /* 0 = of a pusher */
    uint32_t pusher;            /* 0 = of a poll */
};

struct poll {
    uint64_t peer, sequence, deadline_ns;
    uint32_t first, count;
    uint32_t timer; /* position in the heap */
    bool due;       /* one of its tasks ended: to be answered at the end of the step */
    uint32_t next_due;
};

struct pusher {
    uint64_t peer;
    uint64_t lapse_ns;
    uint32_t first;   /* its watches of tasks that live */
    uint32_t watches; /* those, and those whose push is due */
    uint32_t next_gone;
    bool gone, listed; /* listed: among those whose watches are to be dropped */
};

struct pusher_by_peer;

struct watches {
    struct slab nodes, polls, pushers;
    struct heap poll_timers;
    struct pusher_by_peer *by_peer; /* uthash */
    uint32_t first_due;             /* polls to be answered */
    uint32_t first_push, last_push; /* watches of ended tasks whose result is to be pushed */
    uint32_t first_gone;            /* pushers whose watches are to be dropped */
    uint64_t reclaim_ns;            /* pushers that lapsed are not looked for again before */
};

struct broker;

void watches_init(struct watches *watches);
void watches_release(struct watches *watches);
/* Push: register `peer` (or renew all its watches). 0 if there is no room. */
uint32_t watches_pusher(struct watches *watches, uint64_t peer, uint64_t now_ns);
/* Add a watch of `task` for `pusher`, unless it has one. False if there is no room. */
bool watches_push(struct watches *watches, struct task *task, uint32_t pusher);
/* Begin a poll; then poll_add for each id, with its task if it lives. 0 if there is no room. */
uint32_t watches_poll(struct watches *watches, uint64_t peer, uint64_t sequence, uint64_t deadline_ns);
bool watches_poll_add(struct watches *watches, const struct task_id *id, struct task *task, uint32_t poll);
/* `task` ended: its pushes and polls become due. The task's list is empty afterwards. */
void watches_on_end(struct watches *watches, struct task *task);
/* End of step: send the pushes and answer the polls that are due, as far as the step has room. */
void watches_answer(struct broker *broker, struct outputs *outputs);
/* TIMEOUT: answer the polls whose time is over with PENDING. True if there is more to do. */
bool watches_on_timeout(struct broker *broker, struct outputs *outputs);
void watches_on_peer_gone(struct watches *watches, uint64_t peer);
uint64_t watches_deadline_ns(const struct watches *watches);

#endif
