/* faults.c - what goes wrong, planned from the seed before the run starts. */
#include <stdio.h>

#include "sim/sim.h"

enum fault_kind {
    FAULT_CRASH,
    FAULT_CUT,
    FAULT_PARTITION,
    FAULT_PAUSE,
    FAULT_SLOW_DISK,
    FAULT_DRAIN,
    FAULT_WIPE,
    FAULT_KIND_COUNT
};

enum { FAULTS_FROM_MS = 3000, FAULTS_UNTIL_MS = 90000, CALM_MS = 120000, FAULTS_PLANNED_MAX = 30 };

void faults_plan(struct sim *sim)
{
    /* A third of the seeds has few faults: what is wrong without any should show without noise. */
    uint64_t most = dice_percent(&sim->dice, 33) ? 2 : FAULTS_PLANNED_MAX;
    sim->fault_count = sim->options.faults ? (uint32_t)dice_below(&sim->dice, most + 1) : 0;
    sim->calm_ns = sim->fault_count == 0 ? sim->now_ns : CALM_MS * MS;
    for (uint32_t i = 0; i < sim->fault_count; i++) {
        struct fault *fault = &sim->faults[i];
        fault->at_ns = dice_between(&sim->dice, FAULTS_FROM_MS, FAULTS_UNTIL_MS) * MS;
        fault->kind = (uint32_t)dice_below(&sim->dice, FAULT_KIND_COUNT);
        fault->node = (uint32_t)dice_below(&sim->dice, sim->node_count);
        timeline_add(&sim->timeline,
                     (struct occasion){.at_ns = fault->at_ns, .what = HAPPENS_FAULT, .number = i});
    }
}

/* Mostly short, sometimes longer than the grace of a worker, now and then than that of a region. */
static uint64_t length_ns(struct sim *sim)
{
    static const uint64_t most_ms[] = {300, 2000, WORKER_GRACE_MS + 4000, REGION_GRACE_MS + 10000};
    return (dice_below(&sim->dice, most_ms[dice_below(&sim->dice, 4)]) + 1) * MS;
}

void fault_happens(struct sim *sim, const struct fault *fault)
{
    static const char *const names[FAULT_KIND_COUNT] = {"crash",     "cut",   "partition", "pause",
                                                        "slow disk", "drain", "wipe"};
    struct sim_node *node = &sim->nodes[fault->node];
    uint64_t until_ns = sim->now_ns + length_ns(sim);
    if (sim->options.trace)
        printf("%12.6f %-8s FAULT %s until %.6f\n", (double)sim->now_ns / 1e9, node->name, names[fault->kind],
               (double)until_ns / 1e9);
    switch ((enum fault_kind)fault->kind) {
    case FAULT_DRAIN:
        node_drain(sim, node);
        break;
    case FAULT_WIPE:
    case FAULT_CRASH:
        node_crash(sim, node);
        if (fault->kind == FAULT_WIPE &&
            node->index != 0) /* what the broker has acknowledged is only there */
            node_wipe(sim, node);
        timeline_add(&sim->timeline,
                     (struct occasion){.at_ns = until_ns, .what = HAPPENS_RESTART, .node = node->index});
        break;
    case FAULT_CUT:
        if (node->wire != 0)
            wire_cut(sim, &sim->wires[node->wire - 1]);
        break;
    case FAULT_PARTITION:
        node->cut_until_ns = until_ns;
        break;
    case FAULT_PAUSE:
        node->paused_until_ns = node->alive ? until_ns : 0;
        break;
    case FAULT_SLOW_DISK:
        node->slow_disk_until_ns = until_ns;
        break;
    case FAULT_KIND_COUNT:
        break;
    }
}
