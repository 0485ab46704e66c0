/* options.h - the command line of meridian-sim, read and written: what is printed repeats the run. */
#ifndef MERIDIAN_SIM_OPTIONS_H
#define MERIDIAN_SIM_OPTIONS_H

#include <stdio.h>

#include "sim/sim.h"

struct arguments {
    struct sim_options options;
    uint64_t first, last; /* seeds */
    bool coverage, shrink, help;
    bool bugs; /* list the deliberate ones, in a build that has them */
};

extern const char options_usage[];

/* argv as main has it, with NULL behind the last. False: a word is wrong; stderr says which, and what it
 * takes. */
bool options_read(int argc, char **argv, struct arguments *ret_arguments);
/* The command line that repeats a run with these options, and with the deliberate bug that was chosen. */
void options_print(FILE *to, const struct sim_options *options);

#endif
