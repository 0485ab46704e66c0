/* faults.c - what goes wrong, planned from the seed before the run starts: each seed draws which kinds there
 * are at all, how many and how long, then when and to whom. */
#include <stdio.h>

#include "sim/node.h"

enum {
    FAULTS_FROM_MS = 3000,
    FAULTS_PER_MINUTE = 30,
    STEP_MS_MAX = 60 * 60 * 1000,
    LINK_BYTES_PER_MS_MAX = 64,
    UPTIME_MS_MAX = 20000,
    FREE_PERCENT_MAX = 25,  /* just above the watermark */
    FREE_PERCENT_LEAST = 4, /* below the last mark of engine/room.h */
};

enum { BROKER = 1, REGIONS = 2, WORKERS = 4, CHILDREN = REGIONS | WORKERS, ALL = BROKER | CHILDREN };

static void restart_later(struct sim *sim, const struct sim_node *node, uint64_t at_ns)
{
    timeline_add(&sim->timeline,
                 (struct occasion){.at_ns = at_ns, .what = HAPPENS_RESTART, .node = node->index});
}

/* ---- nodes and their machines ---- */

static void crash(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    node_crash(sim, node);
    restart_later(sim, node, fault->until_ns);
}

static void power_cut(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    crash(sim, node, fault);
    node_boot_machine(sim, node, fault->draw % UPTIME_MS_MAX * MS);
}

static void stop_process(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    (void)sim;
    node->paused_until_ns = node->alive ? fault->until_ns : 0;
}

static void drain(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    (void)fault;
    node_drain(sim, node);
}

static void step_wall(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    (void)sim;
    node->clock.wall_ahead_ms += (int64_t)(fault->draw % (2 * STEP_MS_MAX)) - STEP_MS_MAX;
}

/* ---- disks ---- */

static void slow_disk(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    (void)sim;
    node->slow_disk_until_ns = fault->until_ns;
}

static void hang_disk(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    (void)sim;
    node->hung_disk_until_ns = fault->until_ns;
}

static void fail_commit(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    (void)sim, (void)fault;
    node->commit_fails = node->alive;
}

static void fill_disk(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    (void)sim;
    node->full_disk_until_ns = fault->until_ns;
    bool nearly_nothing = fault->draw >> 32 & 1;
    node->free_percent = (uint32_t)(fault->draw % (nearly_nothing ? FREE_PERCENT_LEAST : FREE_PERCENT_MAX));
}

static void wipe(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    crash(sim, node, fault);
    node_wipe(sim, node);
}

static void restore_backup(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    backup_put_back(sim, node, fault);
    restart_later(sim, node, fault->until_ns);
}

/* ---- links ---- */

/* The next child behind `child` (NULL: the first) whose link to its parent is the node's: its own, or of the
 * broker all that lead to it. */
static struct sim_node *next_link(struct sim *sim, const struct sim_node *node, struct sim_node *child)
{
    uint32_t index = child == NULL ? 1 : child->index + 1;
    for (; index < sim->node_count; index++)
        if (index == node->index || (node->index == 0 && sim->nodes[index].parent == 0))
            return &sim->nodes[index];
    return NULL;
}

static void cut(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    (void)fault;
    for (struct sim_node *child = NULL; (child = next_link(sim, node, child)) != NULL;)
        if (child->wire != 0)
            wire_cut(sim, network_wire(sim, child));
}

static void mute(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    for (struct sim_node *child = NULL; (child = next_link(sim, node, child)) != NULL;)
        child->cut_up_until_ns = fault->until_ns;
}

static void deafen(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    for (struct sim_node *child = NULL; (child = next_link(sim, node, child)) != NULL;)
        child->cut_down_until_ns = fault->until_ns;
}

static void partition(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    mute(sim, node, fault);
    deafen(sim, node, fault);
}

/* Connections may outlive a partition, or be reset by what comes first through it. */
static void cut_sometimes(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    if (fault->draw & 1)
        cut(sim, node, fault);
}

static void slow_link(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    for (struct sim_node *child = NULL; (child = next_link(sim, node, child)) != NULL;) {
        child->slow_link_until_ns = fault->until_ns;
        child->link_bytes_per_ms = (uint32_t)(fault->draw % LINK_BYTES_PER_MS_MAX) + 1;
    }
}

static void be_hostile(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    for (struct sim_node *child = NULL; (child = next_link(sim, node, child)) != NULL;) {
        child->hostile_until_ns = fault->until_ns;
        child->trick = (uint32_t)(fault->draw % TRICK_COUNT);
    }
}

static void let_stranger_in(struct sim *sim, struct sim_node *node, const struct fault *fault)
{
    (void)fault;
    hostile_stranger(sim, node);
}

/* ---- the plan ---- */

static const struct {
    const char *name;
    unsigned whom;
    void (*begins)(struct sim *, struct sim_node *, const struct fault *);
    void (*ends)(struct sim *, struct sim_node *, const struct fault *);
} kinds[] = {
    {"crash", ALL, crash, NULL},
    {"power cut", ALL, power_cut, NULL},
    {"pause", ALL, stop_process, NULL},
    {"drain", ALL, drain, NULL},
    {"wall clock step", ALL, step_wall, NULL},
    {"slow disk", ALL, slow_disk, NULL},
    {"hung disk", ALL, hang_disk, NULL},
    {"failed commit", ALL, fail_commit, NULL},
    {"full disk", ALL, fill_disk, NULL},
    {"wiped store", CHILDREN, wipe, NULL}, /* what the broker has acknowledged is only there */
    {"cut", ALL, cut, NULL},
    {"partition", ALL, partition, cut_sometimes},
    {"mute", ALL, mute, cut_sometimes},
    {"deaf", ALL, deafen, cut_sometimes},
    {"slow link", ALL, slow_link, NULL},
    {"hostile link", ALL, be_hostile, cut},
    {"stranger", CHILDREN, let_stranger_in, NULL},
    {"restored backup", BROKER, restore_backup, NULL},         /* planned by backup.c */
    {"departure", CHILDREN, departure_begins, departure_ends}, /* planned by departures.c */
};

/* Those that the swarm is drawn from come first. */
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] - 2, RESTORED_BACKUP = KIND_COUNT, DEPARTURE };

static unsigned role_bit(const struct sim *sim, const struct sim_node *node)
{
    return 1u << (node->role - sim->roles);
}

/* Some swarms are full of short troubles, some have long ones: within the graces, past a worker's, a
 * region's. */
static uint64_t draw_length_ns(struct dice *dice, uint64_t longest)
{
    static const uint64_t most_ms[] = {300, 2000, WORKER_GRACE_MS + 4000, REGION_GRACE_MS + 10000};
    return (dice_below(dice, most_ms[dice_below(dice, longest)]) + 1) * MS;
}

static uint32_t draw_count(struct dice *dice, uint64_t duration_ms)
{
    /* A third of the seeds has few faults: what is wrong without many should show without noise. */
    uint64_t most = dice_percent(dice, 33) ? 2 : duration_ms * FAULTS_PER_MINUTE / 60000;
    uint64_t count = dice_below(dice, most + 1);
    return (uint32_t)(count < FAULTS_MAX ? count : FAULTS_MAX);
}

/* The few nodes on which much depends are hit more often than the many workers. */
static uint32_t draw_node(const struct sim *sim, struct dice *dice)
{
    uint64_t whom = dice_below(dice, 100), which = dice_bits(dice);
    if (whom < 15)
        return 0;
    if (whom >= 50)
        return (uint32_t)(which % sim->node_count);
    uint32_t region = 0;
    for (uint64_t left = which % sim->options.regions + 1; left > 0; left--)
        for (region++; sim->nodes[region].parent != 0; region++)
            ;
    return region;
}

/* Its own dice: what is drawn elsewhere, and how many nodes and tasks there are, leaves the plan as it is. */
void faults_plan(struct sim *sim)
{
    struct dice dice = {sim->options.seed * 0xd6e8feb86659fd93ull + 3};
    uint64_t duration_ms = sim->options.duration_ms, until_ms = duration_ms / 4 * 3, swarm[KIND_COUNT];
    uint32_t chosen = 0;
    for (uint32_t kind = 0; kind < KIND_COUNT; kind++)
        if (dice_percent(&dice, 50))
            swarm[chosen++] = kind;
    if (chosen == 0)
        swarm[chosen++] = dice_below(&dice, KIND_COUNT);
    uint64_t longest = dice_between(&dice, 1, 4);
    sim->fault_count = sim->options.faults && until_ms > FAULTS_FROM_MS ? draw_count(&dice, duration_ms) : 0;
    sim->calm_ns = sim->now_ns + (sim->options.faults ? duration_ms * MS : 0);
    for (uint32_t i = 0; i < sim->fault_count; i++) {
        struct fault *fault = &sim->faults[i];
        fault->at_ns = sim->now_ns + dice_between(&dice, FAULTS_FROM_MS, until_ms) * MS;
        fault->kind = (uint32_t)swarm[dice_below(&dice, chosen)];
        fault->until_ns = fault->at_ns + draw_length_ns(&dice, longest);
        fault->draw = dice_bits(&dice);
        fault->node = draw_node(sim, &dice);
        if (fault->until_ns > sim->calm_ns)
            fault->until_ns = sim->calm_ns;
        bool fits = kinds[fault->kind].whom & role_bit(sim, &sim->nodes[fault->node]);
        if (!fits)
            continue;
        timeline_add(&sim->timeline,
                     (struct occasion){.at_ns = fault->at_ns, .what = HAPPENS_FAULT, .number = i});
        if (kinds[fault->kind].ends != NULL)
            timeline_add(&sim->timeline,
                         (struct occasion){.at_ns = fault->until_ns, .what = HAPPENS_FAULT_END, .number = i});
    }
    backups_plan(sim, RESTORED_BACKUP);
    departures_plan(sim, DEPARTURE);
}

const char *fault_text(const struct fault *fault)
{
    return kinds[fault->kind].name;
}

static bool is_left_out(const struct sim *sim, const struct fault *fault)
{
    return sim->options.left_out >> (fault - sim->faults) & 1;
}

void fault_happens(struct sim *sim, const struct fault *fault)
{
    struct sim_node *node = &sim->nodes[fault->node];
    if (is_left_out(sim, fault))
        return;
    if (sim->options.trace && fault->until_ns == NEVER)
        printf("%12.6f %-8s FAULT %ld: %s for good\n", (double)sim->now_ns / 1e9, node->name,
               (long)(fault - sim->faults), fault_text(fault));
    else if (sim->options.trace)
        printf("%12.6f %-8s FAULT %ld: %s until %.6f\n", (double)sim->now_ns / 1e9, node->name,
               (long)(fault - sim->faults), fault_text(fault), (double)fault->until_ns / 1e9);
    kinds[fault->kind].begins(sim, node, fault);
}

void fault_ends(struct sim *sim, const struct fault *fault)
{
    if (!is_left_out(sim, fault))
        kinds[fault->kind].ends(sim, &sim->nodes[fault->node], fault);
}
