/* departures.c - nodes that leave for good: a worker, a region, a datacenter with all its workers.
 *
 * It is a crash after which nobody starts them again; some come back much later, with their disk or an empty
 * one. What stays can run every task of the run: others leave instead, or nobody. Half of the regions have an
 * operator who knows, and says FORGET (the clients do, at their own time); of the others the broker hears
 * nothing, and its grace decides. At the end of a run those that are gone are not looked at. */
#include <stdio.h>

#include "sim/node.h"
#include "sim/workload.h"

enum {
    SEEDS_PERCENT = 40,
    DEPARTURES_MAX = 3,
    FROM_MS = 4000,
    REGION_PERCENT = 70,
    BACK_PERCENT = 35,
    BACK_MS_MIN = REGION_GRACE_MS / 3,
};

/* Bits of a departure's draw. */
enum { WITH_ITS_WORKERS = 1, OPERATOR_KNOWS = 2, DISK_IS_LOST = 4 };

static uint32_t draw_node(const struct sim *sim, struct dice *dice)
{
    bool region = dice_percent(dice, REGION_PERCENT);
    uint32_t from = (uint32_t)dice_below(dice, sim->node_count - 1);
    for (uint32_t i = 0; i < sim->node_count - 1; i++) {
        uint32_t index = 1 + (from + i) % (sim->node_count - 1);
        if ((sim->nodes[index].parent == 0) == region)
            return index;
    }
    return 1;
}

/* Behind the plan of all other faults, with dice of its own: those stay what they are. */
void departures_plan(struct sim *sim, uint32_t kind)
{
    struct dice dice = {sim->options.seed * 0x94d049bb133111ebull + 9};
    uint64_t until_ms = sim->options.duration_ms / 4 * 3, back_ms_max = sim->options.duration_ms;
    bool wanted = dice_percent(&dice, SEEDS_PERCENT) && sim->options.faults && until_ms > FROM_MS;
    uint64_t count = wanted ? dice_between(&dice, 1, DEPARTURES_MAX) : 0;
    for (; count > 0 && sim->fault_count < FAULTS_MAX; count--) {
        struct fault *fault = &sim->faults[sim->fault_count];
        uint64_t at_ms = dice_between(&dice, FROM_MS, until_ms);
        bool back = dice_percent(&dice, BACK_PERCENT);
        uint64_t back_ms = at_ms + dice_between(&dice, BACK_MS_MIN, back_ms_max);
        *fault = (struct fault){.at_ns = sim->now_ns + at_ms * MS,
                                .until_ns = back ? sim->now_ns + back_ms * MS : NEVER,
                                .kind = kind,
                                .draw = dice_bits(&dice),
                                .node = draw_node(sim, &dice)};
        if (back && fault->until_ns > sim->calm_ns)
            fault->until_ns = sim->calm_ns;
        if (back)
            timeline_add(&sim->timeline, (struct occasion){.at_ns = fault->until_ns,
                                                           .what = HAPPENS_FAULT_END,
                                                           .number = sim->fault_count});
        timeline_add(
            &sim->timeline,
            (struct occasion){.at_ns = fault->at_ns, .what = HAPPENS_FAULT, .number = sim->fault_count++});
    }
}

/* Of the node, and of those who go with it: by which fault they are gone (number + 1), 0 if they are here. */
static void set_departed(struct sim *sim, const struct sim_node *node, const struct fault *fault,
                         uint32_t from, uint32_t to)
{
    for (uint32_t i = 1; i < sim->node_count; i++) {
        struct sim_node *one = &sim->nodes[i];
        bool goes = one == node || (fault->draw & WITH_ITS_WORKERS && one->parent == node->index);
        if (goes && one->departed == from)
            one->departed = to;
    }
}

/* True if they have left; false, and nothing has happened, if those who stay could not run every task. */
static bool leave(struct sim *sim, const struct sim_node *node, const struct fault *fault, uint32_t number)
{
    set_departed(sim, node, fault, 0, number);
    if (node->departed == number && workload_can_run(sim))
        return true;
    set_departed(sim, node, fault, number, 0);
    return false;
}

/* The node of the plan, or the next of its role that can be spared. */
void departure_begins(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    uint32_t number = (uint32_t)(fault - sim->faults) + 1, tried = 1;
    const struct sim_node *one = node;
    while (!leave(sim, one, fault, number)) {
        if (tried++ == sim->node_count)
            return;
        do
            one = &sim->nodes[(one->index + 1) % sim->node_count];
        while (one->role != node->role);
    }
    for (uint32_t i = 1; i < sim->node_count; i++) {
        if (sim->nodes[i].departed != number)
            continue;
        node_crash(sim, &sim->nodes[i]);
        if (sim->options.trace)
            printf("%12.6f %-8s has left\n", (double)sim->now_ns / 1e9, sim->nodes[i].name);
    }
}

void departure_ends(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    uint32_t number = (uint32_t)(fault - sim->faults) + 1;
    (void)node;
    for (uint32_t i = 1; i < sim->node_count; i++) {
        struct sim_node *one = &sim->nodes[i];
        if (one->departed != number)
            continue;
        one->departed = 0;
        if (fault->draw & DISK_IS_LOST)
            node_wipe(sim, one);
        node_happens(sim, one, HAPPENS_RESTART, sim->now_ns);
    }
}

bool node_is_gone(const struct sim *sim, const struct sim_node *node)
{
    return node->departed != 0 || sim->nodes[node->parent].departed != 0;
}

const struct sim_node *departure_to_forget(const struct sim *sim)
{
    for (uint32_t i = 1; i < sim->node_count; i++) {
        const struct sim_node *node = &sim->nodes[i];
        if (node->parent == 0 && node->departed != 0 && sim->faults[node->departed - 1].draw & OPERATOR_KNOWS)
            return node;
    }
    return NULL;
}
