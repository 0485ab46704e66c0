/* shrink.h - a smaller run that fails too: fewer nodes, clients, tasks, faults, less time. */
#ifndef MERIDIAN_SIM_SHRINK_H
#define MERIDIAN_SIM_SHRINK_H

#include "sim/sim.h"

/* How a run ended: 0, it was good; else its failure, equal for two runs that broke the same invariant or
 * ended with the same signal. */
typedef int shrink_trial(const struct sim_options *options);

/* Runs it in a process of its own, so that a failed assertion is a failure like another; so is taking more
 * than a minute. */
shrink_trial shrink_try;

/* The run with `options` has this failure, which is not 0. Prints what it finds on the way; returns the
 * smallest that `trial` says to have the same failure. Whatever fails otherwise (a bug beside it, a run
 * without an end) is as good as one that does not fail. */
struct sim_options shrink(const struct sim_options *options, int failure, shrink_trial *trial);

#endif
