/* step.h - the contract between a node (pure) and its host (which owns clocks, sockets, disk and processes).
 *
 * A node is a struct with two functions:
 *     void x_step(struct x *, const struct event *, struct outputs *);
 *     uint64_t x_deadline_ns(const struct x *);
 * The host gives one event at a time; the step appends to the outputs and returns. It never calls out, never
 * blocks, never re-enters. The same events give the same outputs, byte for byte.
 *
 * The host's side (host/ and sim/ both keep it):
 *  1. After every step it asks x_deadline_ns and delivers TIMEOUT not before that time; late is allowed.
 * Sockets are drained (up to a batch) before a TIMEOUT; at least one TIMEOUT comes per batch once it is due.
 *  2. The outputs of the steps since the last batch are one batch. Its writes are one transaction; its
 * messages and processes leave only after that commit and the commits of all earlier batches are on disk. A
 * batch without writes waits for the earlier ones too. Messages marked `immediate` (HEARTBEAT) alone do not
 * wait.
 *  3. A frame given in an event stays where it is until the batch with that step's outputs has left: writes
 * and messages may borrow from it (outputs_borrow).
 *  4. A commit error ends the process. Fullness is foreseen from `store_free_bytes` and refused by the node.
 *  5. A restart is one RESTORE per record (tables in record.h's order, keys ascending), then START, then the
 * rest. */
#ifndef MERIDIAN_ENGINE_STEP_H
#define MERIDIAN_ENGINE_STEP_H

#include "engine/peer.h"
#include "proto/bytes.h"
#include "store/record.h"

struct outputs;

#define NANOSECONDS_PER_MS 1000000ull
#define DEADLINE_NEVER UINT64_MAX

enum event_kind {
    EVENT_RESTORE,         /* one record */
    EVENT_START,           /* all records were restored */
    EVENT_TIMEOUT,         /* x_deadline_ns has passed */
    EVENT_MESSAGE,         /* a frame from `peer` */
    EVENT_LINK_DOWN,       /* the connection of `peer` is gone, or a message to it could not be sent */
    EVENT_DRAIN,           /* the operator wants this node to end: SIGTERM */
    EVENT_PROCESS_STARTED, /* worker: the process of `slot` runs */
    EVENT_PROCESS_ENDED,   /* worker: it ended, or could not be started */
};

struct process_end {
    uint32_t slot;
    bool started;    /* false: the program could not be executed */
    int exit_status; /* -1 if a signal ended it */
    int signal;      /* 0 if it exited */
    int start_error; /* errno if not started */
    struct bytes output,
        error; /* captured up to the limit; not started: `error` names the path, if one failed */
    bool output_cut, error_cut; /* more was printed than kept */
};

struct event {
    enum event_kind kind;
    uint64_t now_ns;  /* CLOCK_BOOTTIME of the host; never goes back */
    uint64_t wall_ms; /* wall clock, may jump */
    uint64_t random[2];
    uint64_t store_free_bytes; /* before store.max_bytes, less what earlier steps put and is not committed */
    uint64_t store_max_bytes;
    uint32_t commit_age_ms; /* age of the oldest batch handed to the disk and not yet committed */
    uint64_t peer;          /* MESSAGE, LINK_DOWN: peer.h */
    struct bytes frame;     /* MESSAGE: all frames behind the routing id but the empty delimiter */
    struct {
        enum table table;
        uint64_t number;
        uint32_t part;
        struct bytes value;
    } record;                   /* RESTORE */
    struct process_end process; /* PROCESS_*; STARTED uses slot only */
};

/* How a host holds any node. */
struct node {
    void *self;
    void (*step)(void *self, const struct event *event, struct outputs *outputs);
    uint64_t (*deadline_ns)(const void *self);
};

#endif
