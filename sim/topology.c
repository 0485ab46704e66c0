/* topology.c - the cluster of a seed: how many nodes, where they stand, how far apart, what their clocks
 * show. */
#include <stdio.h>

#include "proto/assert.h"
#include "sim/node.h"

enum {
    REGIONS_USUAL = 3,
    WORKERS_USUAL = 12,
    CLIENTS_USUAL = 4,
    TASKS_USUAL = 300,
    TASKS_MANY = 900,
    DURATION_MS = 120000,
    UPTIME_S_MAX = 30 * 24 * 3600,
    DRIFT_PPM_MAX = 300,
    SKEW_MS_MAX = 5 * 60 * 1000,
    LAN_US_MIN = 50,
    LAN_US_MAX = 400,
    CLIENTS_DICE = 1000,
    SMALL_QUEUE_MIN = 24,
    SMALL_QUEUE_MAX = 128,
    USUAL_QUEUE = 131072, /* host/router.h */
};

/* Round trips between datacenters of large clouds, in ms, rounded; a region bears the name of its site. */
static const char *const sites[REGIONS_MAX_SIM] = {"eu", "us", "ap", "sa", "af", "me", "oc", "jp"};
static const uint16_t rtt_ms[REGIONS_MAX_SIM][REGIONS_MAX_SIM] = {
    {0, 90, 160, 205, 155, 120, 270, 230},  {90, 0, 220, 115, 225, 190, 200, 150},
    {160, 220, 0, 325, 300, 90, 95, 70},    {205, 115, 325, 0, 340, 300, 310, 260},
    {155, 225, 300, 340, 0, 230, 410, 360}, {120, 190, 90, 300, 230, 0, 240, 160},
    {270, 200, 95, 310, 410, 240, 0, 105},  {230, 150, 70, 260, 360, 160, 105, 0},
};

static uint64_t lan_ns(struct dice *dice)
{
    return dice_between(dice, LAN_US_MIN, LAN_US_MAX) * 1000;
}

/* A little skew and drift is everybody's, more of it some seeds'. */
static void draw_clock(struct dice *dice, struct sim *sim, struct sim_node *node, bool bad)
{
    node_boot_machine(sim, node, dice_between(dice, 1, UPTIME_S_MAX) * 1000 * MS);
    node->clock.drift_ppm = (int32_t)dice_below(dice, 2 * DRIFT_PPM_MAX + 1) - DRIFT_PPM_MAX;
    node->clock.wall_ahead_ms = (int64_t)dice_below(dice, 100) - 50;
    if (bad)
        node->clock.wall_ahead_ms += (int64_t)dice_below(dice, 2 * SKEW_MS_MAX) - SKEW_MS_MAX;
}

static struct sim_node *add_node(struct sim *sim, struct dice *dice, const struct role *role, uint32_t parent,
                                 bool bad_clock)
{
    struct sim_node *node = &sim->nodes[sim->node_count];
    node->role = role;
    node->index = sim->node_count++;
    node->parent = parent;
    node->wake_ns = NEVER;
    node->batches_end = &node->batches;
    node->latency_ns = lan_ns(dice);
    draw_clock(dice, sim, node, bad_clock);
    ASSERT(outputs_init(&node->outputs));
    return node;
}

/* Most seeds are small: more of them fit into an hour. */
static uint32_t draw_count(struct dice *dice, uint32_t least, uint32_t usual, uint32_t most)
{
    uint64_t bound = dice_percent(dice, 80) && usual > least ? usual : most;
    return (uint32_t)dice_between(dice, least, bound > least ? bound : least);
}

static void draw_sizes(struct dice *dice, struct sim_options *options)
{
    /* Each is drawn even if it is given: the others stay what they are in the seed. */
    const struct sim_options drawn = {
        .regions = draw_count(dice, 1, REGIONS_USUAL, REGIONS_MAX_SIM),
        .workers = draw_count(dice, 1, WORKERS_USUAL, WORKERS_MAX_SIM),
        .clients = draw_count(dice, 1, CLIENTS_USUAL, CLIENTS_MAX_SIM),
        .tasks = draw_count(dice, 20, TASKS_USUAL, TASKS_MANY),
    };
    if (options->regions == 0)
        options->regions = drawn.regions;
    if (options->workers == 0)
        options->workers = drawn.workers;
    if (options->clients == 0)
        options->clients = drawn.clients;
    if (options->tasks == 0)
        options->tasks = drawn.tasks;
    if (options->duration_ms == 0)
        options->duration_ms = DURATION_MS;
}

/* The first region has one at least, others may have none. */
static void spread_workers(struct dice *dice, const struct sim_options *options,
                           uint32_t workers[REGIONS_MAX_SIM])
{
    for (uint32_t i = 0; i < options->workers; i++)
        workers[i < options->regions ? i : dice_below(dice, options->regions)]++;
}

static void add_region(struct sim *sim, struct dice *dice, uint32_t site, uint32_t workers, bool bad_clocks)
{
    struct sim_node *region = add_node(sim, dice, &sim->roles[1], 0, bad_clocks);
    snprintf(region->name, NAME_ROOM, "%s", sites[site]);
    region->latency_ns += rtt_ms[sim->broker_site][site] * MS / 2;
    for (uint32_t w = 1; w <= workers; w++) {
        struct sim_node *worker = add_node(sim, dice, &sim->roles[2], region->index, bad_clocks);
        snprintf(worker->name, NAME_ROOM, "%s/w%u", sites[site], (unsigned)w);
        if (dice_percent(dice, 10)) /* not every worker stands in its region's datacenter */
            worker->latency_ns += dice_below(dice, 60 * MS);
    }
}

uint64_t topology_client_latency_ns(const struct sim *sim, uint32_t client)
{
    struct dice dice = {sim->options.seed * 0x9fb21c651e98df25ull + CLIENTS_DICE + client};
    uint64_t site = dice_below(&dice, REGIONS_MAX_SIM);
    return lan_ns(&dice) + rtt_ms[sim->broker_site][site] * MS / 2;
}

bool topology_draw(struct sim *sim)
{
    struct dice dice = {sim->options.seed * 0x9fb21c651e98df25ull + 7};
    struct sim_options *options = &sim->options;
    uint32_t workers[REGIONS_MAX_SIM] = {0};
    draw_sizes(&dice, options);
    if (options->regions > REGIONS_MAX_SIM || options->workers > WORKERS_MAX_SIM ||
        options->clients > CLIENTS_MAX_SIM || options->tasks > TASKS_MAX_SIM)
        return false;
    spread_workers(&dice, options, workers);
    bool bad_clocks = dice_percent(&dice, 40), rough = dice_percent(&dice, 50);
    sim->broker_site = (uint32_t)dice_below(&dice, REGIONS_MAX_SIM);
    sim->jitter_us = (uint32_t)dice_between(&dice, 20, rough ? 20000 : 1000);
    sim->high_water = USUAL_QUEUE;
    if (options->faults && dice_percent(&dice, 20))
        sim->high_water = (uint32_t)dice_between(&dice, SMALL_QUEUE_MIN, SMALL_QUEUE_MAX);
    sim->nodes = take_memory(1 + options->regions + options->workers, sizeof *sim->nodes);
    snprintf(add_node(sim, &dice, &sim->roles[0], 0, bad_clocks)->name, NAME_ROOM, "broker");
    for (uint32_t site = 0; site < options->regions; site++)
        add_region(sim, &dice, site, workers[site], bad_clocks);
    return true;
}
