/* workload.c - see workload.h. Each seed draws its own mix: which manners there are at all, how long runs
 * take, whether priorities matter, how large the payloads are. */
#include "sim/workload.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/assert.h"

enum {
    SUBMIT_UNTIL_MS = 60000,
    FLOOD_UNTIL_MS = 1000,
    PAYLOAD_SMALL = 64,
    PAYLOAD_LARGE = 20000,
    PAYLOAD_HUGE = 300 * 1024,
    OUTPUT_KEPT = 64 * 1024,
    RUN_MS_MAX = 30000,
    RUN_MS_MEAN = 2700,
    RUN_SCALE_MAX = 8,
    FILL_MS = 60000,
    REST_MS = 300000,
    TASK_MS = 12000,  /* a run takes 2.7 s in the mean (draw_run_ns), few tasks have more than two */
    AT_ONCE_MAX = 16, /* a client hands in so few at a time that more slots do not help */
};

/* One seed's mix. */
struct mix {
    uint64_t until_ms;
    uint8_t manners[MANNER_COUNT]; /* weights */
    unsigned priorities_percent, region_percent, disk_percent, payload_percent, cancel_percent;
    bool one_class; /* all tasks compete for the same slots */
    uint32_t
        spared; /* node index of a region that no task requires, so that it may leave for good; 0 = none */
};

static const uint8_t manner_weights[MANNER_COUNT] = {
    [RUNS_WELL] = 100,      [RUNS_FLAKY] = 12,     [RUNS_INTO_SIGNAL] = 3, [RUNS_FOR_EVER] = 3,
    [RUNS_WORKER_DOWN] = 1, [PRINTS_TOO_MUCH] = 2, [STARTS_SELDOM] = 2,    [STARTS_NEVER] = 1,
};

/* A region that has a worker at all, or 0 for any. */
static uint32_t draw_region(struct sim *sim)
{
    const struct sim_node *node = &sim->nodes[dice_below(&sim->dice, sim->node_count)];
    return node->parent; /* of a worker its region, else the broker: any */
}

static struct mix draw_mix(struct sim *sim)
{
    struct mix mix = {.until_ms = dice_percent(&sim->dice, 30) ? FLOOD_UNTIL_MS : SUBMIT_UNTIL_MS,
                      .priorities_percent = dice_percent(&sim->dice, 50) ? 30 : 95,
                      .region_percent = dice_percent(&sim->dice, 70) ? 10 : 0,
                      .disk_percent = dice_percent(&sim->dice, 70) ? 10 : 0,
                      .payload_percent = dice_percent(&sim->dice, 30) ? 20 : 2,
                      .cancel_percent = dice_percent(&sim->dice, 20) ? 40 : 8,
                      .one_class = dice_percent(&sim->dice, 15),
                      .spared = draw_region(sim)};
    for (int manner = 0; manner < MANNER_COUNT; manner++)
        mix.manners[manner] =
            manner == RUNS_WELL || dice_percent(&sim->dice, 60) ? manner_weights[manner] : 0;
    return mix;
}

static enum manner draw_manner(struct sim *sim, const struct mix *mix)
{
    uint64_t sum = 0;
    for (int manner = 0; manner < MANNER_COUNT; manner++)
        sum += mix->manners[manner];
    uint64_t at = dice_below(&sim->dice, sum);
    int manner = 0;
    for (; at >= mix->manners[manner]; manner++)
        at -= mix->manners[manner];
    return (enum manner)manner;
}

/* ---- the tasks ---- */

static uint64_t sometimes(struct sim *sim, unsigned percent, uint64_t least, uint64_t most)
{
    return dice_percent(&sim->dice, percent) ? dice_between(&sim->dice, least, most) : 0;
}

static size_t draw_payload(struct sim *sim, const struct mix *mix)
{
    if (!dice_percent(&sim->dice, mix->payload_percent))
        return 0;
    uint64_t kind = dice_below(&sim->dice, 100);
    return (size_t)dice_below(&sim->dice, kind < 80   ? PAYLOAD_SMALL
                                          : kind < 98 ? PAYLOAD_LARGE
                                                      : PAYLOAD_HUGE);
}

static enum priority draw_priority(struct sim *sim, const struct mix *mix)
{
    uint64_t kind = dice_below(&sim->dice, 100);
    if (!dice_percent(&sim->dice, mix->priorities_percent))
        return PRIORITY_NORMAL;
    if (mix->priorities_percent < 90)
        return (enum priority)dice_below(&sim->dice, PRIORITY_COUNT);
    return kind < 70   ? PRIORITY_CRITICAL
           : kind < 90 ? PRIORITY_HIGH
           : kind < 96 ? PRIORITY_NORMAL
                       : PRIORITY_LOW;
}

static void draw_work(struct sim *sim, const struct mix *mix, uint32_t number, struct work *work)
{
    const uint64_t name[2] = {(uint64_t)number << 8 | dice_bits(&sim->dice) << 32, dice_bits(&sim->dice)};
    uint64_t type = dice_below(&sim->dice, 100);
    work->submit_ns = sim->now_ns + dice_below(&sim->dice, mix->until_ms) * MS;
    work->id = task_id_make(WALL_START_MS + work->submit_ns / MS, name);
    work->cancel_ns = NEVER;
    if (dice_percent(&sim->dice, mix->cancel_percent))
        work->cancel_ns = work->submit_ns + dice_below(&sim->dice, 8000 * MS);
    work->manner = draw_manner(sim, mix);
    work->type = mix->one_class || type < 70 ? TYPE_COMMAND : type < 95 ? TYPE_JOB : TYPE_NOOP;
    work->priority = draw_priority(sim, mix);
    work->delay_ms = sometimes(sim, 10, 1, 10000);
    work->region = !mix->one_class && dice_percent(&sim->dice, mix->region_percent) ? draw_region(sim) : 0;
    if (work->region == mix->spared)
        work->region = 0;
    work->needs_disk = !mix->one_class && dice_percent(&sim->dice, mix->disk_percent);
    work->class = work->type * 2 + work->needs_disk;
    for (uint32_t i = 1; i <= work->region; i++)
        work->class += sim->nodes[i].parent == 0 ? TASK_TYPE_COUNT * 2 : 0;
    ASSERT(work->class < CLASSES_MAX_SIM);
    work->timeout_ms = sometimes(sim, work->manner == RUNS_FOR_EVER ? 100 : 15, 100, 4000);
    work->deadline_ms = sometimes(sim, 6, 100, 60000);
    work->retries = dice_percent(&sim->dice, 50) ? (uint32_t)dice_below(&sim->dice, 5) : RETRIES_UNSAID;
    work->says_normal = dice_percent(&sim->dice, 50);
    work->payload_bytes = draw_payload(sim, mix);
    work->map = workload_map(sim, work);
}

/* ---- how long it may take ---- */

static uint32_t capable_slots(const struct sim *sim, const struct work *work)
{
    uint32_t slots = 0;
    for (uint32_t i = 1; i < sim->node_count; i++) {
        const struct sim_node *node = &sim->nodes[i];
        bool there = node->parent != 0 && (work->region == 0 || work->region == node->parent) &&
                     !node_is_gone(sim, node);
        if (there && (!work->needs_disk || strcmp(strchr(node->name, '/'), "/w1") == 0))
            slots += SLOTS_SIM;
    }
    return slots < AT_ONCE_MAX ? slots : AT_ONCE_MAX;
}

bool workload_can_run(const struct sim *sim)
{
    for (uint32_t i = 0; i < sim->workload->count; i++)
        if (capable_slots(sim, &sim->workload->tasks[i]) == 0)
            return false;
    return true;
}

/* Half of the seeds have runs that keep all slots busy for FILL_MS: who is lost, drained or late then is
 * missed. */
static uint32_t draw_run_scale(struct sim *sim)
{
    uint64_t workers = 0, work_ms = (uint64_t)sim->options.tasks * RUN_MS_MEAN;
    for (uint32_t i = 1; i < sim->node_count; i++)
        workers += sim->nodes[i].parent != 0;
    uint64_t scale = workers * SLOTS_SIM * FILL_MS / (work_ms + 1);
    if (dice_percent(&sim->dice, 50) || scale <= 1)
        return 1;
    return scale < RUN_SCALE_MAX ? (uint32_t)scale : RUN_SCALE_MAX;
}

/* Graces, pauses and the longest single task (REST_MS), then each task its mean time with all its attempts,
 * as often as there are slots for it. One that takes its worker down keeps everybody there waiting for the
 * grace. */
uint64_t workload_rest_ns(const struct sim *sim)
{
    uint64_t rest_ms = REST_MS + REGION_GRACE_MS + WORKER_GRACE_MS;
    for (uint32_t i = 0; i < sim->workload->count; i++) {
        const struct work *work = &sim->workload->tasks[i];
        uint32_t slots = capable_slots(sim, work);
        rest_ms += TASK_MS * sim->workload->run_scale / (slots == 0 ? 1 : slots);
        rest_ms += work->manner == RUNS_WORKER_DOWN ? 4 * WORKER_GRACE_MS : 0;
    }
    return rest_ms * MS;
}

/* ---- all of it ---- */

void workload_init(struct sim *sim)
{
    struct mix mix = draw_mix(sim);
    sim->workload = take_memory(1, sizeof *sim->workload);
    sim->workload->count = sim->options.tasks;
    sim->workload->run_scale = draw_run_scale(sim);
    sim->workload->tasks = take_memory(sim->options.tasks, sizeof *sim->workload->tasks);
    for (uint32_t i = 0; i < sim->workload->count; i++)
        draw_work(sim, &mix, i, &sim->workload->tasks[i]);
}

void workload_release(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->workload->count; i++)
        free((void *)sim->workload->tasks[i].map.data);
    free(sim->workload->tasks);
    free(sim->workload);
    sim->workload = NULL;
}

uint32_t sim_task_of(const struct sim *sim, const struct task_id *id)
{
    uint32_t index = (uint32_t)id->bytes[9] | (uint32_t)id->bytes[10] << 8;
    if (index >= sim->workload->count || !task_id_equal(&sim->workload->tasks[index].id, id))
        return TASKS_MAX_SIM;
    return index;
}

const char *sim_id_text(const struct task_id *id)
{
    static char text[TASK_ID_HEX + 1];
    hex_encode((struct bytes){id->bytes + 9, 2}, text); /* the number of the task, low byte first */
    return text;
}

/* ---- runs ---- */

static uint64_t draw_run_ns(struct sim *sim)
{
    static const uint64_t most_ms[] = {5, 50, 400, 400, 2000, 2000, 9000, RUN_MS_MAX};
    uint64_t run_ns =
        dice_below(&sim->dice, most_ms[dice_below(&sim->dice, 8)] * MS) * sim->workload->run_scale;
    return (run_ns < RUN_MS_MAX * MS ? run_ns : RUN_MS_MAX * MS) + MS;
}

struct run workload_run(struct sim *sim, const struct task_id *id)
{
    uint32_t task = sim_task_of(sim, id);
    struct run run = {.run_ns = draw_run_ns(sim), .deaf = dice_percent(&sim->dice, 20), .output_bytes = 3};
    switch (task == TASKS_MAX_SIM ? RUNS_WELL : sim->workload->tasks[task].manner) {
    case RUNS_WELL:
    case MANNER_COUNT:
        break;
    case RUNS_FLAKY:
        run.exit_status = dice_percent(&sim->dice, 60) ? (int)dice_between(&sim->dice, 1, 255) : 0;
        break;
    case RUNS_INTO_SIGNAL:
        run.signal = 11;
        break;
    case RUNS_FOR_EVER:
        run.run_ns = NEVER;
        break;
    case RUNS_WORKER_DOWN:
        run.worker_down = true;
        break;
    case PRINTS_TOO_MUCH:
        run.output_bytes = OUTPUT_KEPT;
        run.output_cut = true;
        break;
    case STARTS_SELDOM:
        run.start_error = dice_percent(&sim->dice, 60) ? EAGAIN : 0;
        break;
    case STARTS_NEVER:
        run.start_error = ENOENT;
        break;
    }
    return run;
}
