/* The clocks of the simulated machines. */
#include <criterion/criterion.h>

#include "sim/sim.h"

static struct sim sim;

Test(clock, time_of_is_late_by_little_and_never_early)
{
    struct dice dice = {11};
    for (int i = 0; i < 20000; i++) {
        struct sim_node node = {.clock = {.since_ns = dice_below(&dice, 1ull << 40),
                                          .base_ns = dice_below(&dice, 1ull << 50),
                                          .drift_ppm = (int32_t)dice_below(&dice, 1001) - 500}};
        uint64_t wanted_ns = node.clock.base_ns + dice_below(&dice, 1ull << 40);
        sim.now_ns = node_time_of(&node, wanted_ns);
        uint64_t shown_ns = node_now_ns(&sim, &node);
        cr_assert_geq(shown_ns, wanted_ns);
        cr_assert_lt(shown_ns, wanted_ns + 5000);
    }
}

Test(clock, a_machine_that_starts_begins_again)
{
    struct sim_node node = {.clock = {.base_ns = 1ull << 50}};
    sim.now_ns = 77 * MS;
    node_boot_machine(&sim, &node, 3 * MS);
    cr_assert_eq(node_now_ns(&sim, &node), 3 * MS);
    sim.now_ns += 5 * MS;
    cr_assert_eq(node_now_ns(&sim, &node), 8 * MS);
}

Test(clock, the_wall_clock_is_set_without_the_other)
{
    struct sim_node node = {.clock = {.base_ns = 5}};
    sim.now_ns = 1000 * MS;
    uint64_t before_ns = node_now_ns(&sim, &node);
    node.clock.wall_ahead_ms = -400;
    cr_assert_eq(node_wall_ms(&sim, &node), WALL_START_MS + 600);
    cr_assert_eq(node_now_ns(&sim, &node), before_ns);
}
