/* check.h - what check.c (disks, processes) and check_wire.c (messages) share: the judge's own books. */
#ifndef MERIDIAN_SIM_CHECK_H
#define MERIDIAN_SIM_CHECK_H

#include "proto/link.h"
#include "sim/fields.h"
#include "sim/sim.h"

enum { ATTEMPTS_MAX_SIM = 64 };

/* One ASSIGN of a region to a worker. */
struct attempt {
    struct fence fence;
    uint32_t region, worker, worker_life; /* node indices */
    bool dup_possible, started, completed;
    bool reported; /* its OUTCOME has reached the region */
    bool recorded; /* and is on the region's disk */
};

struct checked {
    bool accepted;        /* the broker said so */
    uint8_t recorded_end; /* on the broker's disk: enum task_end + 1, 0 = none */
    uint32_t custody;     /* highest that the broker gave away, and to whom */
    uint32_t holder;
    uint32_t answered;              /* bit per node: its parent settled its last outcome */
    uint8_t outcome_end[NODES_MAX]; /* of the last OUTCOME that each node sent: enum task_end + 1 */
    bool doubled;                   /* was started twice with no end between */
    uint64_t result_hash;           /* of the first RESULT, 0 = none */
    struct attempt attempts[ATTEMPTS_MAX_SIM];
    uint32_t attempt_count;
};

struct checks {
    struct checked tasks[TASKS_MAX_SIM];
    uint64_t arrivals[NODES_MAX]
                     [TASKS_MAX_SIM]; /* the newest number of each task in the store of each node */
    uint32_t ended;                   /* ids on the broker's disk */
    uint64_t doubled; /* pairs of starts without an end between; all marked, or the run has failed */
};

uint64_t *check_arrivals(const struct sim *sim, const struct sim_node *node);
uint64_t check_hash(struct bytes bytes);
struct attempt *check_attempt(struct sim *sim, uint32_t task, struct fence fence);
bool on_disk(const struct sim *sim, const struct sim_node *node, enum table table, uint32_t task);
/* Two buffers, so that two fences fit one line. */
const char *check_fence_text(struct fence fence, int which);

#endif
