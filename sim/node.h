/* node.h - what the files of the simulated host share: batch.c, commit.c, node.c, host.c. Nobody else
 * includes it. */
#ifndef MERIDIAN_SIM_NODE_H
#define MERIDIAN_SIM_NODE_H

#include "sim/sim.h"

enum { PIPELINE_DEPTH = 2 }; /* batches that were handed to the disk and are not known to be on it */

/* batch.c: the outputs as they are now, copied; the node's view of its store has what they put and erase. */
struct batch *batch_gather(struct sim *sim, struct sim_node *node);
void batch_free(struct batch *batch);
struct frame batch_frame(struct sim *sim, struct sim_node *node, const struct message *message);
void node_reset_outputs(struct sim_node *node);

/* commit.c */
bool node_pipeline_full(const struct sim_node *node);
/* The oldest batch is on disk. */
void node_on_commit(struct sim *sim, struct sim_node *node);
/* A crash: of those handed over some are on disk, oldest first. */
void node_lose_batches(struct sim *sim, struct sim_node *node);

/* node.c */
void node_happens(struct sim *sim, const struct sim_node *node, enum happening what, uint64_t at_ns);
void node_schedule_wake(struct sim *sim, struct sim_node *node);
/* From when on it sees what happens to it: not while it is paused, nor with a full batch and a full pipeline.
 */
uint64_t node_ready_ns(const struct sim *sim, const struct sim_node *node);
/* The process of a drained node ends when all that it said has left; its machine starts another one soon. */
void node_stop_drained(struct sim *sim, struct sim_node *node);

#endif
