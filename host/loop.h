/* loop.h - what the halves of the live host share: run.c (start and end), loop.c (a turn). API: host.h. */
#ifndef MERIDIAN_HOST_LOOP_H
#define MERIDIAN_HOST_LOOP_H

#include "host/batch.h"
#include "host/clock.h"
#include "host/commit.h"
#include "host/host.h"
#include "host/parent.h"
#include "host/router.h"

enum { POLL_ITEMS_OWN = 8 };

struct host {
    const struct host_options *options;
    struct node node;
    struct clock clock;
    struct store *store;
    struct router clients, children;
    struct parent parent;
    struct commit commit;
    struct batch batches[COMMIT_DEPTH + 1]; /* one gathers */
    struct batch *gathering;
    zmq_pollitem_t *poll_items;
    int poll_capacity;
    int signals;              /* signalfd */
    bool signalled, draining; /* a signal came; the node was told */
    uint32_t restored;
};

/* Give the node one event; `kind` and what belongs to it are set, the rest is filled in here. */
void host_step(struct host *host, struct event *event);
/* Wait for something to happen and do all that is due. */
void host_turn(struct host *host);
/* Commit and send everything gathered. */
void host_flush(struct host *host);
void host_grow_poll_items(struct host *host, int count);

#endif
