/* shrink.c - see shrink.h. Greedy: each change after which it still fails in the same way is kept, from the
 * coarse ones to the fine ones, until none helps any more. Part of the program, not of the archive: it starts
 * processes. */
#include "sim/shrink.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/assert.h"
#include "sim/options.h"

enum {
    TRIES_MAX = 400,
    TRY_S_MAX = 60,
    EXIT_INVARIANT = 64, /* plus its number: not what sanitizers exit with */
};

static void run_quietly(const struct sim_options *options)
{
    static struct sim sim;
    alarm(TRY_S_MAX);
    if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL)
        _exit(0);
    if (!sim_init(&sim, options, cluster_roles))
        _exit(0);
    sim_run(&sim);
    _exit(sim.failed ? EXIT_INVARIANT + sim.broken : 0);
}

int shrink_try(const struct sim_options *options)
{
    int status;
    fflush(stdout);
    pid_t pid = fork();
    ASSERT(pid >= 0);
    if (pid == 0)
        run_quietly(options);
    ASSERT(waitpid(pid, &status, 0) == pid);
    return status;
}

static void print_failure(int failure)
{
    if (WIFSIGNALED(failure) && WTERMSIG(failure) == SIGALRM)
        printf("takes more than %d s", TRY_S_MAX);
    else if (WIFSIGNALED(failure))
        printf("ends with signal %d (%s)", WTERMSIG(failure), strsignal(WTERMSIG(failure)));
    else if (WEXITSTATUS(failure) >= EXIT_INVARIANT)
        printf("breaks invariant %d", WEXITSTATUS(failure) - EXIT_INVARIANT);
    else
        printf("ends with exit status %d", WEXITSTATUS(failure));
}

struct search {
    struct sim_options best;
    int failure; /* of the first run; one that fails in another way is another's */
    shrink_trial *trial;
    uint32_t tries;
    bool smaller; /* something was found in this round */
};

static bool try(struct search *search, const struct sim_options *options)
{
    if (search->tries == TRIES_MAX)
        return false;
    search->tries++;
    if (search->trial(options) != search->failure)
        return false;
    search->best = *options;
    search->smaller = true;
    printf("fails too: ");
    options_print(stdout, options);
    return true;
}

static uint32_t *field_of(struct sim_options *options, size_t offset)
{
    return (uint32_t *)((char *)options + offset);
}

/* The least that fails, from below: 1, 2, 4, ... of `unit`, then the steps between. */
static void lower(struct search *search, size_t offset, uint32_t unit)
{
    uint32_t most = *field_of(&search->best, offset);
    for (uint32_t value = unit; value < most; value *= 2) {
        struct sim_options options = search->best;
        *field_of(&options, offset) = value;
        if (try(search, &options))
            break;
    }
    for (uint32_t by = *field_of(&search->best, offset) / 4; by >= unit; by /= 2) {
        struct sim_options options = search->best;
        *field_of(&options, offset) -= by / unit * unit;
        try(search, &options);
    }
}

static uint32_t kept_faults(const struct sim_options *options, uint32_t kept[FAULTS_MAX])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < FAULTS_MAX; i++)
        if (!(options->left_out >> i & 1))
            kept[count++] = i;
    return count;
}

/* Leave out half of the faults, a quarter, ... one. */
static void leave_out_faults(struct search *search)
{
    uint32_t kept[FAULTS_MAX], count = kept_faults(&search->best, kept);
    for (uint32_t chunk = (count + 1) / 2; chunk >= 1; chunk /= 2) {
        for (uint32_t from = 0; from < count;) {
            struct sim_options options = search->best;
            for (uint32_t i = from; i < from + chunk && i < count; i++)
                options.left_out |= 1ull << kept[i];
            if (try(search, &options))
                count = kept_faults(&search->best, kept);
            else
                from += chunk;
        }
    }
}

struct sim_options shrink(const struct sim_options *options, int failure, shrink_trial *trial)
{
    struct search search = {.best = *options, .failure = failure, .trial = trial, .smaller = true};
    ASSERT(failure != 0);
    printf("seed %llu ", (unsigned long long)options->seed);
    print_failure(failure);
    printf("; looking for a smaller run that does\n");
    while (search.smaller && search.tries < TRIES_MAX) {
        search.smaller = false;
        leave_out_faults(&search);
        lower(&search, offsetof(struct sim_options, regions), 1);
        lower(&search, offsetof(struct sim_options, workers), 1);
        lower(&search, offsetof(struct sim_options, clients), 1);
        lower(&search, offsetof(struct sim_options, tasks), 1);
        lower(&search, offsetof(struct sim_options, duration_ms), 5000);
    }
    printf("%u runs tried\n", search.tries);
    return search.best;
}
