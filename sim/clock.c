/* clock.c - what time it is on the machine of a node: clocks begin anywhere, drift, and are set. */
#include "sim/sim.h"

enum { MILLION = 1000000 };

/* What `clock` has gained on virtual time after `passed_ns`. */
static int64_t gained_ns(const struct sim_clock *clock, uint64_t passed_ns)
{
    return (int64_t)passed_ns / MILLION * clock->drift_ppm;
}

uint64_t node_now_ns(const struct sim *sim, const struct sim_node *node)
{
    uint64_t passed_ns = sim->now_ns - node->clock.since_ns;
    return node->clock.base_ns + passed_ns + (uint64_t)gained_ns(&node->clock, passed_ns);
}

uint64_t node_wall_ms(const struct sim *sim, const struct sim_node *node)
{
    int64_t gained_ms = gained_ns(&node->clock, sim->now_ns) / (int64_t)MS;
    return WALL_START_MS + sim->now_ns / MS + (uint64_t)(gained_ms + node->clock.wall_ahead_ms);
}

uint64_t node_time_of(const struct sim_node *node, uint64_t node_ns)
{
    const struct sim_clock *clock = &node->clock;
    if (node_ns <= clock->base_ns)
        return clock->since_ns;
    uint64_t passed_ns = node_ns - clock->base_ns;
    uint64_t steps = passed_ns / (uint64_t)(MILLION + clock->drift_ppm) + 1;
    return clock->since_ns + (passed_ns - (uint64_t)((int64_t)steps * clock->drift_ppm)) + 1000;
}

void node_boot_machine(struct sim *sim, struct sim_node *node, uint64_t uptime_ns)
{
    node->clock.since_ns = sim->now_ns;
    node->clock.base_ns = uptime_ns;
}
