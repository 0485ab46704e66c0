/* workload.h - the tasks of a run: what clients hand in, and what the processes do that the tasks start.
 *
 * Is:      drawn from the seed before the run begins, so that a task is the same whichever client, region or
 *          worker meets it. Judges take from here what a task is (class, priority, delay), never from a node.
 * Is not:  a client (clients.h): when a task is submitted, cancelled or asked for again is written here too,
 *          but who does it, and what it was told, is there. */
#ifndef MERIDIAN_SIM_WORKLOAD_H
#define MERIDIAN_SIM_WORKLOAD_H

#include "proto/task.h"
#include "sim/sim.h"

/* What a task's process does. */
enum manner {
    RUNS_WELL,
    RUNS_FLAKY, /* exits with a status, more often than not */
    RUNS_INTO_SIGNAL,
    RUNS_FOR_EVER, /* until it is stopped; such a task has a time limit */
    RUNS_WORKER_DOWN,
    PRINTS_TOO_MUCH,
    STARTS_SELDOM, /* the machine lacks something for the moment */
    STARTS_NEVER,  /* no such program */
    MANNER_COUNT
};

/* Tasks of one class have equal requirements: type, capability, region. */
enum task_type { TYPE_COMMAND, TYPE_JOB, TYPE_NOOP, TASK_TYPE_COUNT };
enum { CLASSES_MAX_SIM = TASK_TYPE_COUNT * 2 * (REGIONS_MAX_SIM + 1) };

enum { RETRIES_UNSAID = UINT32_MAX };

struct work {
    struct task_id id;
    struct bytes map; /* the task map, malloc'ed */
    enum manner manner;
    enum task_type type;
    enum priority priority;
    bool needs_disk;
    uint32_t region;                            /* node index of the one it requires, 0 = any */
    uint32_t class;                             /* below CLASSES_MAX_SIM */
    uint64_t delay_ms, timeout_ms, deadline_ms; /* 0 = none */
    uint32_t retries;                           /* or RETRIES_UNSAID */
    bool says_normal;                           /* the default in so many words */
    size_t payload_bytes;
    uint64_t submit_ns, cancel_ns; /* not before; NEVER */
};

struct workload {
    struct work *tasks;
    uint32_t count;
    uint32_t run_scale; /* runs take so much longer than usual */
};

/* How one run of a process goes. */
struct run {
    uint64_t run_ns; /* NEVER: it does not end by itself */
    int exit_status, signal, start_error;
    bool deaf; /* to SIGTERM */
    bool worker_down;
    uint32_t output_bytes;
    bool output_cut;
};

void workload_init(struct sim *sim);
void workload_release(struct sim *sim);
/* How long all of it may take at the most with the nodes that are here now, and nothing going wrong any more.
 */
uint64_t workload_rest_ns(const struct sim *sim);
/* Those who are here now can run every task of it. */
bool workload_can_run(const struct sim *sim);
struct run workload_run(struct sim *sim, const struct task_id *id);
/* workload_map.c */
struct bytes workload_map(const struct sim *sim, const struct work *work);
const char *workload_type_text(enum task_type type);
/* The map of the task with this id but another body, malloc'ed: what a node must refuse as a conflict. */
struct bytes workload_other_body(const struct work *work);

#endif
