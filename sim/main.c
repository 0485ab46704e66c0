/* main.c - meridian-sim: run seeds, print what broke and how to see it again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim.h"

static const char usage[] =
    "usage: meridian-sim [--seed N | --seeds A..B] [--tasks 300] [--regions 3] [--workers 2]\n"
    "                    [--trace] [--coverage] [--no-faults]\n"
    "Runs a whole cluster in virtual time, once per seed, and checks its invariants. The same seed is the "
    "same\n"
    "run: meridian-sim --seed 17 --trace shows how it came to what meridian-sim --seeds 1..200 reported.\n";

struct arguments {
    struct sim_options options;
    uint64_t first, last;
    bool coverage;
};

static bool number(const char *text, uint64_t most, uint64_t *ret_number)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || value > most)
        return false;
    *ret_number = value;
    return true;
}

static bool seeds(char *text, struct arguments *arguments)
{
    char *dots = strstr(text, "..");
    if (dots == NULL)
        return false;
    *dots = '\0';
    return number(text, UINT32_MAX, &arguments->first) && number(dots + 2, UINT32_MAX, &arguments->last);
}

static bool parse(int argc, char **argv, struct arguments *arguments)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        uint64_t value = 0;
        if (strcmp(name, "--trace") == 0)
            arguments->options.trace = true;
        else if (strcmp(name, "--coverage") == 0)
            arguments->coverage = true;
        else if (strcmp(name, "--no-faults") == 0)
            arguments->options.faults = false;
        else if (++i == argc)
            return false;
        else if (strcmp(name, "--seeds") == 0 && seeds(argv[i], arguments))
            continue;
        else if (!number(argv[i], UINT32_MAX, &value))
            return false;
        else if (strcmp(name, "--seed") == 0)
            arguments->first = arguments->last = value;
        else if (strcmp(name, "--tasks") == 0)
            arguments->options.tasks = (uint32_t)value;
        else if (strcmp(name, "--regions") == 0)
            arguments->options.regions = (uint32_t)value;
        else if (strcmp(name, "--workers") == 0)
            arguments->options.workers = (uint32_t)value;
        else if (strcmp(name, "--clients") == 0)
            arguments->options.clients = (uint32_t)value;
        else if (strcmp(name, "--duration") == 0)
            arguments->options.duration_ms = (uint32_t)value * 1000;
        else
            return false;
    }
    return arguments->first <= arguments->last;
}

/* Which trace codes were reached at all: a branch that no seed takes is not tested by them. */
static void print_coverage(const uint64_t *traces)
{
    static const char *const names[] = {
#define X(name, level, text) #name,
        TRACE_CODES(X)
#undef X
    };
    for (int code = 0; code < TRACE_CODE_COUNT; code++)
        printf("%12llu %s\n", (unsigned long long)traces[code], names[code]);
}

int main(int argc, char **argv)
{
    static struct sim sim;
    static uint64_t traces[TRACE_CODE_COUNT];
    struct arguments arguments = {{.faults = true}, 1, 1, false};
    uint64_t failed = 0;
    if (!parse(argc, argv, &arguments)) {
        fputs(usage, stderr);
        return 2;
    }
    for (uint64_t seed = arguments.first; seed <= arguments.last; seed++) {
        arguments.options.seed = seed;
        printf("seed %llu: ", (unsigned long long)seed);
        fflush(stdout); /* it is known even if an assertion ends the run */
        if (!sim_init(&sim, &arguments.options, cluster_roles)) {
            printf("at most %d tasks, 5 regions and %d nodes\n", TASKS_MAX_SIM, NODES_MAX);
            return 2;
        }
        sim_run(&sim);
        printf("%s after %.1f s, %u faults, hash %016llx\n", sim.failed ? "FAILED" : "good",
               (double)sim.now_ns / 1e9, sim.fault_count, (unsigned long long)sim.hash);
        failed += sim.failed;
        for (int code = 0; code < TRACE_CODE_COUNT; code++)
            traces[code] += sim.traces[code];
        sim_release(&sim);
    }
    if (arguments.coverage)
        print_coverage(traces);
    printf("%llu of %llu seeds failed\n", (unsigned long long)failed,
           (unsigned long long)(arguments.last - arguments.first + 1));
    return failed == 0 ? 0 : 1;
}
