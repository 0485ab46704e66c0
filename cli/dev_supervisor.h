/* dev_supervisor.h - the parent of every node of a development cluster.
 *
 * Is:      starts all nodes, says when the cluster is up, does to single nodes what is asked (kill, start,
 * pause, resume, partition, heal: dev_requests.c), reports those that die by themselves, stops everything in
 * the order in which nothing is lost or marked. Is not:  a restarter: a node that died stays dead until `dev
 * start`. It opens no ZeroMQ context (it forks), keeps no pid files (it is the parent), and its nodes die
 * with it. */
#ifndef MERIDIAN_CLI_DEV_SUPERVISOR_H
#define MERIDIAN_CLI_DEV_SUPERVISOR_H

#include "cli/dev.h"

struct shim;

/* Runs the cluster until Ctrl-C, TERM or HUP. The plan is opened, filled and written; `shim` is open, or NULL
 * without the sandbox. Returns the exit status. */
int dev_supervise(struct dev_plan *plan, struct shim *shim, int listener);

#endif
