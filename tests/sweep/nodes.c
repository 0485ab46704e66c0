/* nodes.c - sweep_nodes: the job of 100 tasks in the simulator, without faults but one: at the Nth commit of
 * the whole cluster, or the Nth growth of a slab, for every N. See docs/simulation.md, "Sweeps".
 *
 * The judges of the simulator (sim/check.h) say whether a run was good; an assertion of a node is bad too, so
 * each run is a process. All sources of the nodes are built for this program with slabs that grow by 4 items
 * rather than 4,096, and their memory comes from here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sweep/job.h"
#include "tests/sweep/memory.h"

static const char usage[] =
    "usage: sweep_nodes [commit-fails | commit-untold | commit-last | growth-fails | growths-fail]...\n"
    "                   [--only N] [--trace] [--jobs 2]\n"
    "  commit-fails   nothing of the Nth commit is on disk, and its node stops and starts again\n"
    "  commit-untold  the Nth commit is on disk, and its node stops before anything of it leaves\n"
    "  commit-last    what the Nth commit held back leaves, and its node stops\n"
    "  growth-fails   the Nth growth of a slab finds no memory\n"
    "  growths-fail   nor do those of the two seconds behind it\n"
    "Without a name: all of them, for every N.\n";

enum { NO_MEMORY_MS = 2000, RUN_SECONDS_MAX = 60, FAILURES_MAX = 10, JOBS_MAX = 16 };

/* What happens, and where; and how often it could have happened. */
struct plan {
    enum commit_fate fate; /* COMMIT_GOOD: it is about growth */
    uint64_t nth;          /* 0: never */
    uint64_t lasts_ns;     /* growth: so long, from the Nth on */
};

static struct {
    struct plan plan;
    uint64_t commits, growths;
    uint64_t until_ns; /* no slab grows before */
    bool in_step;      /* of a node, other than RESTORE: at its start it may end for want of memory */
    uint64_t refused;  /* growths */
    struct role roles[3];
    struct sim sim;
} run;

/* ---- what happens to a run ---- */

static enum commit_fate decide(void *context, const struct sim_node *node, const struct batch *batch)
{
    (void)context;
    (void)node;
    (void)batch;
    run.commits++;
    return run.plan.nth == run.commits ? run.plan.fate : COMMIT_GOOD;
}

static bool may_grow(void)
{
    if (!run.in_step)
        return true;
    run.growths++;
    if (run.plan.fate == COMMIT_GOOD && run.plan.nth == run.growths)
        run.until_ns = run.sim.now_ns + run.plan.lasts_ns + 1;
    bool may = run.sim.now_ns >= run.until_ns;
    run.refused += !may;
    return may;
}

void *sweep_malloc(size_t size)
{
    return may_grow() ? malloc(size) : NULL;
}

void *sweep_realloc(void *memory, size_t size)
{
    return may_grow() ? realloc(memory, size) : NULL;
}

#define WATCHED(index, node)                                                                                 \
    static void step_##node(void *self, const struct event *event, struct outputs *outputs)                  \
    {                                                                                                        \
        run.in_step = event->kind != EVENT_RESTORE;                                                          \
        cluster_roles[index].step(self, event, outputs);                                                     \
        run.in_step = false;                                                                                 \
    }

WATCHED(0, broker)
WATCHED(1, region)
WATCHED(2, worker)

static bool run_job(struct plan plan, bool trace)
{
    struct sim_options options = job_options();
    memcpy(run.roles, cluster_roles, sizeof run.roles);
    run.roles[0].step = step_broker;
    run.roles[1].step = step_region;
    run.roles[2].step = step_worker;
    options.fate = decide;
    options.trace = trace;
    run.plan = plan;
    if (!sim_init(&run.sim, &options, run.roles))
        return false;
    sim_run(&run.sim);
    return !run.sim.failed;
}

/* ---- every N ---- */

struct kind {
    const char *name;
    struct plan plan;
};

static const struct kind kinds[] = {
    {"commit-fails", {.fate = COMMIT_FAILS}},
    {"commit-untold", {.fate = COMMIT_UNTOLD}},
    {"commit-last", {.fate = COMMIT_LAST}},
    {"growth-fails", {.fate = COMMIT_GOOD}},
    {"growths-fail", {.fate = COMMIT_GOOD, .lasts_ns = NO_MEMORY_MS * MS}},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

struct sweep {
    bool chosen[KINDS];
    uint64_t only;
    bool trace;
    unsigned jobs;
    unsigned failures;
};

struct job_process {
    pid_t process; /* 0: none */
    uint64_t nth;
};

static void start(struct job_process *job, const struct kind *kind, uint64_t nth, bool trace)
{
    struct plan plan = kind->plan;
    plan.nth = nth;
    fflush(stdout);
    *job = (struct job_process){fork(), nth};
    if (job->process != 0)
        return;
    alarm(RUN_SECONDS_MAX);
    bool good = run_job(plan, trace);
    fflush(stdout);
    _exit(good ? 0 : 1);
}

static void finish(struct sweep *sweep, struct job_process *job, const struct kind *kind)
{
    int status;
    if (job->process == 0)
        return;
    bool good =
        waitpid(job->process, &status, 0) == job->process && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    job->process = 0;
    if (good)
        return;
    sweep->failures++;
    printf("FAILED: sweep_nodes %s --only %llu --trace\n", kind->name, (unsigned long long)job->nth);
}

static void sweep_kind(struct sweep *sweep, const struct kind *kind, uint64_t count)
{
    struct job_process jobs[JOBS_MAX] = {{0, 0}};
    unsigned before = sweep->failures;
    uint64_t first = sweep->only != 0 ? sweep->only : 1, last = sweep->only != 0 ? sweep->only : count;
    for (uint64_t nth = first; nth <= last && sweep->failures < before + FAILURES_MAX; nth++) {
        struct job_process *job = &jobs[nth % sweep->jobs];
        finish(sweep, job, kind);
        start(job, kind, nth, sweep->trace);
    }
    for (unsigned i = 0; i < sweep->jobs; i++)
        finish(sweep, &jobs[i], kind);
    printf("nodes: %s %llu to %llu: %u failures\n", kind->name, (unsigned long long)first,
           (unsigned long long)last, sweep->failures - before);
}

/* ---- main ---- */

static bool number(const char *text, uint64_t most, uint64_t *ret_number)
{
    char *end;
    *ret_number = strtoull(text, &end, 10);
    return end != text && *end == '\0' && *ret_number >= 1 && *ret_number <= most;
}

static bool parse(int argc, char **argv, struct sweep *sweep)
{
    bool any = false;
    for (int i = 1; i < argc; i++) {
        bool known = false;
        uint64_t value = 0;
        for (int k = 0; k < KINDS; k++)
            if (strcmp(argv[i], kinds[k].name) == 0)
                any = known = sweep->chosen[k] = true;
        if (known)
            continue;
        if (strcmp(argv[i], "--trace") == 0)
            sweep->trace = true;
        else if (i + 1 < argc && strcmp(argv[i], "--only") == 0 && number(argv[++i], UINT64_MAX, &value))
            sweep->only = value;
        else if (i + 1 < argc && strcmp(argv[i], "--jobs") == 0 && number(argv[++i], JOBS_MAX, &value))
            sweep->jobs = (unsigned)value;
        else
            return false;
    }
    for (int k = 0; k < KINDS && !any; k++)
        sweep->chosen[k] = true;
    return true;
}

int main(int argc, char **argv)
{
    struct sweep sweep = {.jobs = 2};
    if (!parse(argc, argv, &sweep)) {
        fputs(usage, stderr);
        return 2;
    }
    if (!run_job((struct plan){.nth = 0}, false)) {
        printf("FAILED: the job itself\n");
        return 1;
    }
    const uint64_t commits = run.commits, growths = run.growths;
    sim_release(&run.sim);
    run.commits = run.growths = 0;
    for (int k = 0; k < KINDS; k++)
        if (sweep.chosen[k])
            sweep_kind(&sweep, &kinds[k], kinds[k].plan.fate == COMMIT_GOOD ? growths : commits);
    printf("%u failures\n", sweep.failures);
    return sweep.failures == 0 ? 0 : 1;
}
