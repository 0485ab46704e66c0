/* cluster.c - the real nodes as roles of the simulation, with options that fit its hours into minutes. */
#include <stdio.h>
#include <string.h>

#include "broker/broker.h"
#include "region/region.h"
#include "sim/sim.h"
#include "worker/worker.h"

static void *make_broker(const struct sim_node *node)
{
    struct broker_options options;
    broker_options_default(&options);
    options.beat_ms = BEAT_MS;
    options.region_grace_ms = REGION_GRACE_MS;
    options.window = WINDOW_SIM;
    options.tasks_max = LIVING_MAX_SIM;
    options.restored = node->restored;
    return broker_new(&options);
}

static void *make_region(const struct sim_node *node)
{
    struct region_options options;
    region_options_default(&options);
    snprintf(options.name, sizeof options.name, "%s", node->name);
    options.beat_ms = BEAT_MS;
    options.worker_grace_ms = WORKER_GRACE_MS;
    options.retry_base_ms = 200;
    options.retry_cap_ms = 5000;
    options.tasks_max = 1000000;
    return region_new(&options);
}

static void *make_worker(const struct sim_node *node)
{
    struct worker_options options;
    worker_options_default(&options);
    snprintf(options.name, sizeof options.name, "%s", strchr(node->name, '/') + 1);
    options.slots = SLOTS_SIM;
    options.commands = true;
    options.handler_count = 2;
    strcpy(options.handlers[0].type, "job");
    strcpy(options.handlers[1].type, "noop");
    options.handlers[1].builtin_noop = true;
    options.stop_grace_ms = 1000;
    if (strcmp(options.name, "w1") == 0) {
        options.capability_count = 1;
        strcpy(options.capabilities[0], "disk");
    }
    return worker_new(&options);
}

/* A node's functions behind the untyped ones of a role. */
#define UNTYPED(node)                                                                                        \
    static void free_##node(void *self)                                                                      \
    {                                                                                                        \
        node##_free(self);                                                                                   \
    }                                                                                                        \
    static void step_##node(void *self, const struct event *event, struct outputs *outputs)                  \
    {                                                                                                        \
        node##_step(self, event, outputs);                                                                   \
    }                                                                                                        \
    static uint64_t deadline_##node(const void *self)                                                        \
    {                                                                                                        \
        return node##_deadline_ns(self);                                                                     \
    }                                                                                                        \
    static bool done_##node(const void *self)                                                                \
    {                                                                                                        \
        return node##_done(self);                                                                            \
    }

UNTYPED(broker)
UNTYPED(region)
UNTYPED(worker)

const struct role cluster_roles[3] = {
    {"broker", make_broker, free_broker, step_broker, deadline_broker, done_broker},
    {"region", make_region, free_region, step_region, deadline_region, done_region},
    {"worker", make_worker, free_worker, step_worker, deadline_worker, done_worker},
};
