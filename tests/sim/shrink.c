/* The search for a smaller run, with trials that a table decides: no simulation is run. */
#include "sim/shrink.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>

enum { INVARIANT = 64 << 8, OTHER_INVARIANT = 65 << 8, NO_END = 14 /* SIGALRM */ };
enum { CULPRIT = 3, OTHER_CULPRIT = 9 }; /* faults of the plan */

static const struct sim_options large = {.seed = 17,
                                         .regions = 8,
                                         .workers = 100,
                                         .clients = 20,
                                         .tasks = 900,
                                         .duration_ms = 120000,
                                         .faults = true};

static bool happens(const struct sim_options *options, uint32_t fault)
{
    return !(options->left_out >> fault & 1);
}

/* Without its culprit it fails too, but otherwise; so do runs of one region. Few workers never end. */
static int with_others_beside(const struct sim_options *options)
{
    if (options->workers < 5)
        return NO_END;
    if (options->regions == 1)
        return OTHER_INVARIANT;
    if (happens(options, CULPRIT) && options->tasks >= 7)
        return INVARIANT;
    return happens(options, OTHER_CULPRIT) ? OTHER_INVARIANT : 0;
}

static int without_an_end(const struct sim_options *options)
{
    return happens(options, CULPRIT) ? NO_END : 0;
}

Test(shrink, does_not_drift_to_another_failure, .init = cr_redirect_stdout)
{
    cr_assert_eq(with_others_beside(&large), INVARIANT);
    struct sim_options small = shrink(&large, INVARIANT, with_others_beside);
    cr_expect_eq(with_others_beside(&small), INVARIANT);
    cr_expect_eq(small.left_out, ~(1ull << CULPRIT));
    cr_expect_eq(small.regions, 2);
    cr_expect_eq(small.workers, 5);
    cr_expect_eq(small.tasks, 7);
    cr_expect_eq(small.clients, 1);
    cr_expect_eq(small.duration_ms, 5000);
}

Test(shrink, follows_a_run_without_an_end_if_that_is_what_failed, .init = cr_redirect_stdout)
{
    struct sim_options small = shrink(&large, NO_END, without_an_end);
    cr_expect_eq(small.left_out, ~(1ull << CULPRIT));
    cr_expect_eq(small.workers, 1);
}
