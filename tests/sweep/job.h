/* job.h - the scripted job of the sweeps: 100 tasks through 1 broker, 2 regions and 4 workers, without
 * faults; for a worker's store with silences of the links, see job.c.
 *
 * Is:      the transactions that one node of that run made, in order, to be made again on a real store.
 *          Envelopes, outcomes and the spool get bytes behind them, up to five pages, that stand for
 *          payloads: the simulated tasks are small, and long records take other ways through the store.
 * Is not:  a workload of its own: it is the simulator's (sim/), under one seed.
 */
#ifndef MERIDIAN_TESTS_SWEEP_JOB_H
#define MERIDIAN_TESTS_SWEEP_JOB_H

#include "sim/sim.h"

enum { JOB_TASKS = 100, JOB_REGIONS = 2, JOB_WORKERS = 4 /* over all regions */, JOB_CLIENTS = 4 };

struct job_put {
    enum table table;
    uint64_t number;
    uint32_t part;
    struct bytes value; /* owned */
};

struct job_erase {
    enum table table;
    uint64_t number;
};

/* One transaction: all puts, then all erases. */
struct job_batch {
    struct job_put *puts;
    struct job_erase *erases;
    uint32_t put_count, erase_count;
};

struct job {
    const char *role; /* of the node: its store belongs to that role */
    struct job_batch *batches;
    uint32_t count, capacity;
};

/* The options of the run that all sweeps share. */
struct sim_options job_options(void);

/* Run it and note what the busiest node of that role commits. False if the run itself fails. */
bool job_record(const char *role, struct job *ret_job);
void job_release(struct job *job);

#endif
