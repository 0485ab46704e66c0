/* The clocks of the simulated machines, and the command line of the simulator. */
#include <criterion/criterion.h>

#include "sim/options.h"

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

static bool parse(const char *line, struct arguments *ret_arguments)
{
    static char text[512];
    char *words[64];
    int count = 0;
    snprintf(text, sizeof text, "%s", line);
    for (char *word = strtok(text, " \n"); word != NULL; word = strtok(NULL, " \n"))
        words[count++] = word;
    return options_read(count, words, ret_arguments);
}

Test(options, what_is_printed_repeats_the_run)
{
    static const char *const lines[] = {
        "meridian-sim --seed 17",
        "meridian-sim --seed 17 --regions 8 --workers 100 --clients 20 --tasks 4096 --duration 86400",
        "meridian-sim --seed 4294967295 --no-faults",
        "meridian-sim --seed 1 --workers 3 --only-faults 0,7,63",
        "meridian-sim --seed 1 --only-faults none",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct arguments arguments;
        char printed[512] = "";
        cr_assert(parse(lines[i], &arguments), "%s", lines[i]);
        arguments.options.seed = arguments.first; /* as main does for each seed */
        FILE *to = fmemopen(printed, sizeof printed, "w");
        options_print(to, &arguments.options);
        fclose(to);
        printed[strcspn(printed, "\n")] = '\0';
        cr_assert_str_eq(printed, lines[i]);
    }
}

Test(options, wrong_words_are_refused)
{
    static const char *const lines[] = {
        "meridian-sim --seed",        "meridian-sim --seed x",           "meridian-sim --seeds 9..3",
        "meridian-sim --regions 9",   "meridian-sim --workers 101",      "meridian-sim --clients 0",
        "meridian-sim --tasks 4097",  "meridian-sim --only-faults 64",   "meridian-sim --only-faults 1,",
        "meridian-sim --only-faults", "meridian-sim --what 3",           "meridian-sim 17",
        "meridian-sim --seed -1",     "meridian-sim --duration 9999999",
    };
    struct arguments arguments;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        cr_assert(!parse(lines[i], &arguments), "%s", lines[i]);
}
