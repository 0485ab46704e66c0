/* store.c - sweep_store: the job of 100 tasks on a real store, with every write and every sync failing once,
 * and the images that power cuts leave. See docs/simulation.md, "Sweeps".
 *
 * After each failure the run must have stopped with a message that names the store and the way out; what is
 * on disk must be the state after one of its transactions, with all that were durable; and the job must go
 * on. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/sweep/image.h"
#include "tests/sweep/replay.h"

static const char usage[] =
    "usage: sweep_store [faults | images | failed-syncs | controls]... [--node broker|region|worker]\n"
    "                   [--images 300] [--seed 1]\n"
    "  faults        fail every write and every sync of the job, one at a time\n"
    "  images        cut the power at drawn moments: --images data files of each node\n"
    "  failed-syncs  likewise, in a life after one that a failed sync ended\n"
    "  controls      deliberate mistakes that the images must find\n"
    "Without a name: all of them. Without --node: the stores of all three.\n";

enum { SOON_RECORDS = 40, WRONG_MAX = 10, FURTHER = 12 /* transactions after what was found */ };

struct sweep {
    struct replay replay;
    uint64_t seed;
    unsigned images;
    const char *only_node; /* NULL: each */
    unsigned failures;     /* what was wrong so far, in all sweeps */
};

static void complain(struct sweep *sweep, const char *where, uint64_t number)
{
    const struct report *report = sweep->replay.report;
    sweep->failures++;
    printf("FAILED: %s store, %s %llu: %s\n", sweep->replay.job->role, where, (unsigned long long)number,
           report->problem);
}

/* ---- every call once ---- */

struct disk_fault {
    const char *text;
    struct interpose_plan plan;
    const char *way_out; /* what the message must tell */
};

/* A disk that is full stays full; the others fail once, and the next life finds them well. */
static const struct disk_fault faults[] = {
    {"EIO at write", {.calls = INTERPOSE_WRITES, .error = EIO, .log = -1}, "disk"},
    {"ENOSPC from write",
     {.calls = INTERPOSE_WRITES, .error = ENOSPC, .onward = true, .log = -1},
     "make room"},
    {"short write", {.calls = INTERPOSE_WRITES, .log = -1}, ""},
    {"EIO at sync", {.calls = INTERPOSE_SYNCS, .error = EIO, .log = -1}, "disk"},
    {"ENOSPC at sync", {.calls = INTERPOSE_SYNCS, .error = ENOSPC, .log = -1}, "make room"},
};

/* For people: which directory, and after a semicolon what to do. */
static bool message_is_clear(struct replay *replay, const char *way_out)
{
    char text[sizeof replay->report->problem];
    snprintf(text, sizeof text, "%s", replay->report->problem);
    const char *advice = strchr(text, ';');
    if (strstr(text, replay->data) != NULL && advice != NULL && strstr(advice, way_out) != NULL)
        return true;
    snprintf(replay->report->problem, sizeof replay->report->problem, "an unclear message: %.700s", text);
    return false;
}

/* False once the job passes without the fault: there is no such call any more. */
static bool fail_call(struct sweep *sweep, const struct disk_fault *fault, uint64_t nth)
{
    struct replay *replay = &sweep->replay;
    struct interpose_plan plan = fault->plan;
    plan.nth = nth;
    bool ended = replay_run(replay, plan);
    const struct report report = *replay->report;
    if (ended && report.finished && report.calls < nth)
        return false;
    if (ended && report.finished)
        snprintf(replay->report->problem, sizeof replay->report->problem, "nobody noticed the failure");
    if (!ended || report.finished || !message_is_clear(replay, fault->way_out) ||
        !replay_recover(replay, report.durable, report.begun, FURTHER, replay_no_plan))
        complain(sweep, fault->text, nth);
    return true;
}

static void sweep_faults(struct sweep *sweep)
{
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        unsigned before = sweep->failures;
        uint64_t nth = 1;
        while (fail_call(sweep, &faults[i], nth) && sweep->failures < before + WRONG_MAX)
            nth++;
        printf("%s store: %s 1 to %llu: %u failures\n", sweep->replay.job->role, faults[i].text,
               (unsigned long long)nth - 1, sweep->failures - before);
    }
}

/* ---- power cuts ---- */

static int new_log(void)
{
    int file = memfd_create("writes", MFD_CLOEXEC);
    if (file < 0)
        abort();
    return file;
}

static bool try_image(struct sweep *sweep, struct image *image)
{
    return replay_place_image(&sweep->replay, image->bytes, image->size, image->in_place) &&
           replay_recover(&sweep->replay, image->durable, image->begun, FURTHER, replay_no_plan);
}

/* Where to cut, from record `from` on: every second time soon behind it, in a store that is being made, or
 * made use of again. */
static size_t draw_cut(struct dice *dice, size_t from, size_t count)
{
    size_t most = count - from;
    if (dice_percent(dice, 50) && most > SOON_RECORDS)
        most = SOON_RECORDS;
    return from + (size_t)dice_below(dice, most + 1);
}

/* Images of cuts behind record `from` or later; the number of those that were wrong. */
static unsigned cut(struct sweep *sweep, int file, size_t from, unsigned images, bool ignores_syncs,
                    bool speaks)
{
    struct write_log log;
    struct image image = {.size = 0};
    struct dice dice = {sweep->seed};
    unsigned wrong = 0;
    if (!write_log_load(file, &log))
        abort();
    for (unsigned i = 0; i < images && wrong < WRONG_MAX; i++) {
        size_t at = draw_cut(&dice, from, log.count);
        image_build(&image, &log, at, &dice, ignores_syncs);
        if (try_image(sweep, &image))
            continue;
        wrong++;
        if (speaks)
            complain(sweep, "image of a cut behind record", at);
    }
    image_release(&image);
    write_log_release(&log);
    return wrong;
}

/* The whole job, logged. */
static bool log_job(struct sweep *sweep, int log)
{
    bool logged =
        replay_run(&sweep->replay, (struct interpose_plan){.log = log}) && sweep->replay.report->finished;
    if (!logged)
        complain(sweep, "a run without a fault", 0);
    return logged;
}

static void sweep_images(struct sweep *sweep)
{
    int log = new_log();
    if (log_job(sweep, log)) {
        unsigned wrong = cut(sweep, log, 0, sweep->images, false, true);
        printf("%s store: %u images of cuts: %u failures\n", sweep->replay.job->role, sweep->images, wrong);
    }
    close(log);
}

static uint64_t count_syncs(struct sweep *sweep)
{
    struct interpose_plan plan = {.calls = INTERPOSE_SYNCS, .nth = UINT64_MAX, .log = -1};
    if (!replay_run(&sweep->replay, plan))
        complain(sweep, "a run without a fault", 0);
    return sweep->replay.report->calls;
}

static size_t log_records(int file)
{
    struct write_log log;
    if (!write_log_load(file, &log))
        abort();
    size_t count = log.count;
    write_log_release(&log);
    return count;
}

/* A life that a failed sync ends; a second one, which finds in the system's cache what is not on disk and
 * never will be by a sync alone; then the cut. */
static void sweep_failed_syncs(struct sweep *sweep)
{
    enum { IMAGES_OF_EACH = 10 };
    struct dice dice = {sweep->seed};
    uint64_t syncs = count_syncs(sweep);
    unsigned before = sweep->failures, images = 0;
    for (; images < sweep->images && sweep->failures < before + WRONG_MAX; images += IMAGES_OF_EACH) {
        struct interpose_plan plan = {.calls = INTERPOSE_SYNCS, .error = EIO, .log = new_log()};
        plan.nth = dice_between(&dice, 1, syncs);
        replay_run(&sweep->replay, plan);
        const struct report first = *sweep->replay.report;
        size_t records = log_records(plan.log);
        plan.nth = 0;
        if (!replay_recover(&sweep->replay, first.durable, first.begun, UINT32_MAX / 2, plan))
            complain(sweep, "the life after failed sync", images);
        sweep->seed++;
        cut(sweep, plan.log, records, IMAGES_OF_EACH, false, true);
        close(plan.log);
    }
    printf("%s store: %u images of cuts after a failed sync: %u failures\n", sweep->replay.job->role, images,
           sweep->failures - before);
}

/* ---- controls ---- */

static void expect_wrong(struct sweep *sweep, const char *mistake, bool ignores_syncs)
{
    int log = new_log();
    if (log_job(sweep, log) && cut(sweep, log, 0, sweep->images, ignores_syncs, false) == 0) {
        snprintf(sweep->replay.report->problem, sizeof sweep->replay.report->problem, "all images are good");
        complain(sweep, mistake, sweep->images);
    } else {
        printf("%s store: %s: caught, as: %s\n", sweep->replay.job->role, mistake,
               sweep->replay.report->problem);
    }
    close(log);
}

static void sweep_controls(struct sweep *sweep)
{
    expect_wrong(sweep, "control, a disk that ignores syncs", true);
    sweep->replay.acknowledges_early = true;
    expect_wrong(sweep, "control, a commit told before its flush", false);
    sweep->replay.acknowledges_early = false;
}

/* ---- main ---- */

static const struct {
    const char *name;
    void (*run)(struct sweep *sweep);
} sweeps[] = {
    {"faults", sweep_faults},
    {"images", sweep_images},
    {"failed-syncs", sweep_failed_syncs},
    {"controls", sweep_controls},
};

enum { SWEEPS = sizeof sweeps / sizeof *sweeps };

/* Whose stores: the roles in the simulator. */
static const char *const nodes[] = {"broker", "region", "worker"};

static bool parse(int argc, char **argv, struct sweep *sweep, bool *chosen)
{
    bool any = false;
    for (int i = 1; i < argc; i++) {
        bool known = false;
        for (int s = 0; s < SWEEPS; s++)
            if (strcmp(argv[i], sweeps[s].name) == 0)
                any = known = chosen[s] = true;
        if (!known && i + 1 < argc && strcmp(argv[i], "--images") == 0)
            sweep->images = (unsigned)strtoul(argv[++i], NULL, 10);
        else if (!known && i + 1 < argc && strcmp(argv[i], "--seed") == 0)
            sweep->seed = strtoull(argv[++i], NULL, 10);
        else if (!known && i + 1 < argc && strcmp(argv[i], "--node") == 0)
            sweep->only_node = argv[++i];
        else if (!known)
            return false;
    }
    for (int s = 0; s < SWEEPS && !any; s++)
        chosen[s] = true;
    bool is_node = sweep->only_node == NULL;
    for (size_t n = 0; n < sizeof nodes / sizeof *nodes; n++)
        is_node |= sweep->only_node != NULL && strcmp(sweep->only_node, nodes[n]) == 0;
    return is_node;
}

static void sweep_node(struct sweep *sweep, const char *role, const char *base, const bool *chosen)
{
    struct job job;
    if (!job_record(role, &job)) {
        printf("FAILED: the job itself fails in the simulator\n");
        sweep->failures++;
        return;
    }
    if (!replay_init(&sweep->replay, &job, base))
        complain(sweep, "the job without a fault", 0);
    for (int s = 0; s < SWEEPS && sweep->failures == 0; s++)
        if (chosen[s])
            sweeps[s].run(sweep);
    replay_release(&sweep->replay);
    job_release(&job);
}

int main(int argc, char **argv)
{
    bool chosen[SWEEPS] = {false};
    struct sweep sweep = {.seed = 1, .images = 300};
    if (!parse(argc, argv, &sweep, chosen)) {
        fputs(usage, stderr);
        return 2;
    }
    /* In memory if there is such a place: what a sync means is computed, not waited for. */
    char base[] = "/dev/shm/meridian-sweep-XXXXXX", other[] = "/tmp/meridian-sweep-XXXXXX";
    const char *directory = mkdtemp(base) != NULL ? base : mkdtemp(other);
    if (directory == NULL) {
        fputs("sweep_store: cannot make a directory in /tmp; make it writable\n", stderr);
        return 2;
    }
    for (uint32_t node = 0; node < sizeof nodes / sizeof *nodes; node++)
        if (sweep.only_node == NULL || strcmp(sweep.only_node, nodes[node]) == 0)
            sweep_node(&sweep, nodes[node], directory, chosen);
    rmdir(directory);
    printf("%u failures\n", sweep.failures);
    return sweep.failures == 0 ? 0 : 1;
}
