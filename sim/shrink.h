/* shrink.h - a smaller run that fails too: fewer nodes, clients, tasks, faults, less time. */
#ifndef MERIDIAN_SIM_SHRINK_H
#define MERIDIAN_SIM_SHRINK_H

#include "sim/sim.h"

/* `options` fail. Each try is a process of its own, so that a failed assertion is a failure like another.
 * Prints what it finds on the way; returns the smallest that fails. */
struct sim_options shrink(const struct sim_options *options);

/* Does a run with these options fail, in a process of its own? */
bool shrink_fails(const struct sim_options *options);

#endif
