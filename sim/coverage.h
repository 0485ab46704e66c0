/* coverage.h - which trace codes the runs have reached: what no seed reaches, no seed tests. */
#ifndef MERIDIAN_SIM_COVERAGE_H
#define MERIDIAN_SIM_COVERAGE_H

#include "sim/sim.h"

/* Prints how often each was reached, then those that were not. False if one is missing without an
 * explanation. */
bool coverage_print(const uint64_t traces[TRACE_CODE_COUNT]);

#endif
