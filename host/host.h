/* host.h - the live host: it owns the clock, the sockets, the disk and the processes of one pure node.
 *
 * Is:      the loop that keeps the contract of engine/step.h with real time, libzmq and LMDB: a step per
 *          event, outputs gathered into batches, one transaction per batch, nothing leaves before its commit.
 * Is not:  a judge of messages: it neither reads nor writes a body.
 * Threads: the caller's thread runs the node and the sockets; one actor commits. Nothing else is shared.
 * Peers:   every number that a node has seen ends with one LINK_DOWN, but for a session that the node itself
 *          replaced. A client's request that came with a request id has a number of its own, which ends when
 *          its reply has left.
 * Errors:  what the world does wrong (a port in use, a locked store, a failed sync) is said on stderr with a
 *          way out and ends the process with exit code 1. A peer's errors never do.
 */
#ifndef MERIDIAN_HOST_HOST_H
#define MERIDIAN_HOST_HOST_H

#include <zmq.h>

#include "engine/outputs.h"
#include "engine/step.h"

/* What runs the processes of a worker (worker/launcher_io.h); NULL for every other node.
 * The memory that an event points into stays valid until the next next_event. */
struct host_launcher {
    void *self;
    /* Write the file descriptors and events to wait for, at most `max`; returns how many there are. If that
     * is more than `max` nothing counts as written, and the host asks again with more room. */
    int (*fill_poll)(void *self, zmq_pollitem_t *items, int max);
    /* The next EVENT_PROCESS_*; false when there is none now. Never blocks. Called at least once per turn of
     * the loop, whatever was polled. Sets `kind` and `process` only; time and the rest are the host's. */
    bool (*next_event)(void *self, struct event *ret_event);
    /* Do what the node asked, after its batch is on disk. `envelope` (START only) is the task map in one
     * piece, borrowed for the call. */
    void (*perform)(void *self, const struct outputs *outputs, const struct process *process,
                    struct bytes envelope);
};

struct host_options {
    const char *role;               /* "broker", "region", "worker": whose store it is */
    const char *node;               /* name in the log, "broker", "eu", "eu/w1" */
    const char *data;               /* directory for the store; NULL = no store, the node may write nothing */
    uint64_t store_max_bytes;       /* what the store may use; the map is a quarter larger */
    const char *clients;            /* endpoint of the client port (bound), NULL = none */
    const char *children;           /* endpoint of the child port (bound), NULL = none */
    const char *parent;             /* endpoint of the parent's child port (connected), NULL = none */
    struct host_launcher *launcher; /* NULL = the node asks for no processes */
    enum trace_level log_level;     /* traces below it are not logged */
    bool insecure;                  /* may listen beyond this machine */
};

/* Restore, start and run `node` until done() says so; returns the exit code of the process. The first SIGTERM
 * or SIGINT is delivered as EVENT_DRAIN, the second ends the process at once. Blocks these signals and
 * ignores SIGPIPE for good: call it once per process, with no zmq context or second thread yet. */
int host_run(const struct host_options *options, struct node node, bool (*done)(const void *self));

#endif
