/* main.c - meridian-sim: run seeds, print what broke and how to see it again. */
#include <malloc.h>
#include <stdio.h>
#include <time.h>

#include "proto/bug.h"
#include "sim/coverage.h"
#include "sim/options.h"
#include "sim/shrink.h"

struct totals {
    uint64_t runs, failed, virtual_ns;
    uint64_t traces[TRACE_CODE_COUNT];
};

/* The seed is printed first, and even if an assertion ends the run. */
static void run_seed(struct sim_options options, uint64_t seed, struct totals *totals)
{
    static struct sim sim;
    options.seed = seed;
    printf("seed %llu: ", (unsigned long long)seed);
    fflush(stdout);
    if (!sim_init(&sim, &options, cluster_roles))
        return; /* options.c keeps to the bounds */
    printf("%u regions, %u workers, %u clients, %u tasks, %u faults: ", sim.options.regions,
           sim.options.workers, sim.options.clients, sim.options.tasks, sim.fault_count);
    fflush(stdout);
    uint64_t begin_ns = sim.now_ns;
    sim_run(&sim);
    printf("%s after %.1f s, hash %016llx\n", sim.failed ? "FAILED" : "good",
           (double)(sim.now_ns - begin_ns) / 1e9, (unsigned long long)sim.hash);
    totals->runs++;
    totals->failed += sim.failed;
    totals->virtual_ns += sim.now_ns - begin_ns;
    for (int code = 0; code < TRACE_CODE_COUNT; code++)
        totals->traces[code] += sim.traces[code];
    sim_release(&sim);
}

static int shrink_seed(const struct arguments *arguments)
{
    static struct sim sim;
    struct sim_options options = arguments->options;
    options.seed = arguments->first;
    options.trace = false;
    int failure = shrink_try(&options);
    if (failure == 0) {
        printf("seed %llu does not fail with these options: nothing to shrink\n",
               (unsigned long long)options.seed);
        return 1;
    }
    if (!sim_init(&sim, &options, cluster_roles))
        return 2;
    options = sim.options; /* what was drawn is now fixed */
    for (uint32_t i = sim.fault_count; i < FAULTS_MAX; i++)
        options.left_out |= 1ull << i;
    sim_release(&sim);
    options = shrink(&options, failure, shrink_try);
    printf("smallest: ");
    options_print(stdout, &options);
    return 0;
}

static int list_bugs(void)
{
#ifdef MERIDIAN_BUGS
    for (int bug = BUG_NONE + 1; bug < BUG_COUNT; bug++)
        printf("%s\t%s\n", bug_text((enum bug)bug), bug_what((enum bug)bug));
#endif
    return 0;
}

/* Nodes reserve far more address space than they use. Left to itself malloc takes it from its heap, whose
 * pages stay: a process grew by 20 MB a second, without a leak. */
enum { OWN_MAPPING_BYTES = 256 * 1024 };

int main(int argc, char **argv)
{
    static struct totals totals;
    struct arguments arguments;
    bool complete = true;
    mallopt(M_MMAP_THRESHOLD, OWN_MAPPING_BYTES);
    if (!options_read(argc, argv, &arguments))
        return 2;
    if (arguments.help) {
        fputs(options_usage, stdout);
        return 0;
    }
    if (arguments.bugs)
        return list_bugs();
    if (arguments.shrink)
        return shrink_seed(&arguments);
    for (uint64_t seed = arguments.first; seed <= arguments.last; seed++)
        run_seed(arguments.options, seed, &totals);
    if (arguments.coverage)
        complete = coverage_print(totals.traces);
    double virtual_s = (double)totals.virtual_ns / 1e9, cpu_s = (double)clock() / CLOCKS_PER_SEC;
    printf("%.0f virtual s in %.1f s of processor time: %.0f virtual s per s\n", virtual_s, cpu_s,
           virtual_s / (cpu_s > 0.001 ? cpu_s : 0.001));
    printf("%llu of %llu seeds failed\n", (unsigned long long)totals.failed, (unsigned long long)totals.runs);
    return totals.failed == 0 && complete ? 0 : 1;
}
