/* The real nodes in the simulation, on a few seeds; script/test runs many more. */
#include <criterion/criterion.h>

#include "sim/sim.h"

static struct sim sim;

static uint64_t run(uint64_t seed)
{
    struct sim_options options = {.seed = seed, .tasks = 100, .regions = 2, .workers = 4, .faults = true};
    cr_assert(sim_init(&sim, &options, cluster_roles));
    sim_run(&sim);
    cr_assert(!sim.failed, "seed %llu", (unsigned long long)seed);
    uint64_t hash = sim.hash;
    sim_release(&sim);
    return hash;
}

Test(cluster, the_same_events_give_the_same_bytes, .timeout = 60)
{
    for (uint64_t seed = 1001; seed <= 1005; seed++)
        cr_assert_eq(run(seed), run(seed));
}

Test(cluster, other_seeds_are_other_runs, .timeout = 60)
{
    cr_assert_neq(run(1001), run(1002));
}
