/* dev_shim.h - the process of the sandbox through which every link between nodes goes: TCP on loopback, made
 * slow, lossy or silent.
 *
 * Is:      a listener and a target per link. The child node connects to the listener, the shim to the target;
 * bytes travel between the two through a delay (cli/dev_delay.h) each way. Runs in a process of its own, so
 * that the supervisor answers however many bytes there are. Is not:  in use without the sandbox.
 * Cut:     like a pulled cable: nothing passes in a direction that is cut, no end of a connection either, and
 * new ones wait in the listener's backlog; those that are given up there never were. When it is whole again,
 * what was held arrives at once and connections go on, those that one side has closed meanwhile with the
 * bytes before their end; TCP's own pauses (it tries again after up to two minutes) are not imitated.
 * Switches and counters lie in memory shared with the supervisor: no messages, nothing to wait for. */
#ifndef MERIDIAN_CLI_DEV_SHIM_H
#define MERIDIAN_CLI_DEV_SHIM_H

#include <stdatomic.h>
#include <stdbool.h>

#include "cli/dev.h"

/* Up: from the child to its parent. */
enum shim_way { WAY_UP, WAY_DOWN, WAY_COUNT };
enum { CUT_UP = 1 << WAY_UP, CUT_DOWN = 1 << WAY_DOWN, CUT_BOTH = CUT_UP | CUT_DOWN };

/* Of one link. `cut` is written by the supervisor, the rest by the shim. */
struct shim_shared {
    _Atomic unsigned cut;
    _Atomic uint64_t bytes[WAY_COUNT];
    _Atomic uint64_t lost_segments;
};

struct shim {
    struct dev_plan *plan;
    struct shim_shared *shared; /* by the index of the child's node in the plan */
    int listeners[DEV_NODES_MAX];
    unsigned target_ports[DEV_NODES_MAX];
    int wake; /* eventfd: look at the switches */
};

/* Binds a listener for each link and puts its port into the plan (`parent_port`). The plan is filled.
 * False after a message on stderr. */
bool shim_open(struct shim *shim, struct dev_plan *plan);
/* The link of a node to its parent; CUT_* bits, 0 = whole. */
void shim_cut(struct shim *shim, const struct dev_node *node, unsigned cut);
const struct shim_shared *shim_link(const struct shim *shim, const struct dev_node *node);
/* The process: forwards until it is killed. Opens no ZeroMQ context. */
_Noreturn void shim_run(struct shim *shim);
/* The supervisor's side: the listeners belong to the process that runs. */
void shim_close_listeners(struct shim *shim);

#endif
