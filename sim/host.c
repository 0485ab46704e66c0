/* host.c - the run: what happens next, to whom, until all is over. See sim.h and engine/step.h. */
#include <stdio.h>
#include <stdlib.h>

#include "proto/assert.h"
#include "sim/node.h"
#include "sim/workload.h"

void sim_hash(struct sim *sim, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        sim->hash = (sim->hash ^ bytes[i]) * 0x100000001b3ull;
    sim->hash ^= sim->now_ns;
}

void *take_memory(size_t count, size_t size)
{
    void *memory = calloc(count == 0 ? 1 : count, size);
    ASSERT(memory != NULL);
    return memory;
}

bool sim_init(struct sim *sim, const struct sim_options *options, const struct role roles[3])
{
    memset(sim, 0, sizeof *sim);
    sim->options = *options;
    sim->roles = roles;
    sim->dice.state = options->seed * 0x2545f4914f6cdd1dull + 1;
    sim->now_ns = 1000 * MS;
    if (!topology_draw(sim))
        return false;
    check_init(sim);
    clients_init(sim);
    faults_plan(sim);
    return true;
}

void sim_release(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        node_crash(sim, node);
        disk_wipe(&node->disk);
        disk_wipe(&node->view);
        outputs_release(&node->outputs);
        free(node->kept);
    }
    network_release(sim);
    backups_release(sim);
    clients_release(sim);
    check_release(sim);
    timeline_release(&sim->timeline);
    free(sim->nodes);
}

static void put_off_until(struct sim *sim, const struct occasion *occasion, uint64_t at_ns)
{
    struct occasion later = *occasion;
    ASSERT(at_ns > sim->now_ns); /* else the run would stand still */
    later.at_ns = at_ns;
    timeline_add(&sim->timeline, later);
}

/* A paused node, or one with a full batch and a full pipeline, sees nothing until it can go on. Arrivals find
 * their node in network.c. */
static bool put_off(struct sim *sim, const struct occasion *occasion)
{
    static const enum {
        NEVER_WAITS,
        WHILE_PAUSED,
        UNTIL_READY
    } waits[] = {[HAPPENS_CLOSE] = WHILE_PAUSED,
                 [HAPPENS_COMMIT] = WHILE_PAUSED,
                 [HAPPENS_WAKE] = UNTIL_READY,
                 [HAPPENS_LINK_DOWN] = UNTIL_READY,
                 [HAPPENS_PROCESS_STARTED] = UNTIL_READY,
                 [HAPPENS_PROCESS_ENDED] = UNTIL_READY,
                 [HAPPENS_REQUEST] = UNTIL_READY,
                 [HAPPENS_RESTART] = NEVER_WAITS};
    struct sim_node *node = &sim->nodes[occasion->node];
    uint64_t at_ns = node->paused_until_ns;
    if (waits[occasion->what] == NEVER_WAITS)
        return false;
    if (occasion->what == HAPPENS_COMMIT && node->hung_disk_until_ns > at_ns)
        at_ns = node->hung_disk_until_ns;
    if (waits[occasion->what] == UNTIL_READY && node->alive && node->life == occasion->life)
        at_ns = node_ready_ns(sim, node);
    if (at_ns <= sim->now_ns)
        return false;
    if (occasion->what == HAPPENS_COMMIT && occasion->life == node->life) {
        node->batches->durable_ns = at_ns;
        if (node->durable_ns < at_ns)
            node->durable_ns = at_ns; /* a younger one may come later still */
    }
    if (occasion->what == HAPPENS_WAKE && occasion->life == node->life) {
        if (occasion->at_ns != node->wake_ns)
            return false; /* not its newest */
        node->wake_ns = at_ns;
    }
    put_off_until(sim, occasion, at_ns);
    return true;
}

/* A QUERY is a batch of its own: what it is told can then be compared with the disk (check_wire.c). */
static bool is_query(struct bytes frame)
{
    struct message_header header;
    return message_read(frame, &header) == READER_OK && header.kind == MESSAGE_QUERY;
}

static void dispatch(struct sim *sim, struct occasion *occasion)
{
    struct sim_node *node = &sim->nodes[occasion->node];
    bool current = node->alive && node->life == occasion->life;
    bool alone = false;
    struct event event = {.peer = occasion->number};
    switch (occasion->what) {
    case HAPPENS_CLOSE:
        node->closing = node->closing && !current;
        if (current && !node_pipeline_full(node))
            node_close_batch(sim, node);
        break;
    case HAPPENS_COMMIT:
        if (current)
            node_on_commit(sim, node);
        break;
    case HAPPENS_WAKE:
        if (!current || occasion->at_ns != node->wake_ns)
            break;
        node->wake_ns = NEVER;
        event.kind = EVENT_TIMEOUT;
        if (node->role->deadline_ns(node->self) <= node_now_ns(sim, node))
            node_step(sim, node, &event, NULL);
        else
            node_schedule_wake(sim, node);
        break;
    case HAPPENS_ARRIVAL:
        network_arrival(sim, occasion);
        break;
    case HAPPENS_LINK_DOWN:
        event.kind = EVENT_LINK_DOWN;
        if (current)
            node_step(sim, node, &event, NULL);
        break;
    case HAPPENS_PROCESS_STARTED:
    case HAPPENS_PROCESS_ENDED:
        if (current)
            process_happens(sim, occasion);
        break;
    case HAPPENS_REQUEST: {
        struct frame frame = {
            .peer = occasion->detail, .data = occasion->frame, .size = occasion->frame_size};
        event = (struct event){.kind = EVENT_MESSAGE, .peer = frame.peer, .frame = {frame.data, frame.size}};
        if (!current)
            break;
        alone = is_query(event.frame);
        if (alone && node->batches != NULL) { /* it needs the whole pipeline */
            put_off_until(sim, occasion, node->durable_ns + 1);
            return;
        }
        if (alone)
            node_close_batch(sim, node);
        occasion->frame = NULL;
        node_step(sim, node, &event, &frame);
        if (alone)
            node_close_batch(sim, node);
        break;
    }
    case HAPPENS_REPLY:
        client_on_reply(sim, occasion);
        break;
    case HAPPENS_CLIENT:
        client_timer(sim, occasion);
        break;
    case HAPPENS_BACKUP:
        backup_make(sim, (uint32_t)occasion->number);
        break;
    case HAPPENS_FAULT:
        fault_happens(sim, &sim->faults[occasion->number]);
        break;
    case HAPPENS_FAULT_END:
        fault_ends(sim, &sim->faults[occasion->number]);
        break;
    case HAPPENS_RESTART:
        node_start(sim, node);
        break;
    }
    free(occasion->frame);
}

void sim_run(struct sim *sim)
{
    uint64_t grace_ns = (REGION_GRACE_MS + 20 * BEAT_MS) * MS, quiet_ns = 0;
    uint64_t bound_ns = NEVER;
    for (uint32_t i = 0; i < sim->node_count; i++)
        timeline_add(&sim->timeline,
                     (struct occasion){.at_ns = sim->now_ns + dice_below(&sim->dice, 100 * MS),
                                       .what = HAPPENS_RESTART,
                                       .node = i});
    struct occasion occasion;
    while (!sim->failed && timeline_take(&sim->timeline, &occasion)) {
        sim->now_ns = occasion.at_ns;
        if (!put_off(sim, &occasion))
            dispatch(sim, &occasion);
        node_stop_drained(sim, &sim->nodes[occasion.node]);
        if (bound_ns == NEVER && sim->now_ns > sim->calm_ns)
            bound_ns = sim->calm_ns + workload_rest_ns(sim); /* with whom there is now */
        if (quiet_ns == 0 && sim->now_ns > sim->calm_ns && clients_done(sim))
            quiet_ns = sim->now_ns + grace_ns;
        if (quiet_ns != 0 && backups_planned(sim) && !clients_done(sim))
            quiet_ns = 0; /* an id that was lost was handed in again */
        if (quiet_ns != 0 && sim->now_ns > quiet_ns)
            break;
        if (sim->now_ns > bound_ns)
            violation(sim, 12, "%u tasks have not ended %llu s after the last fault", clients_open(sim),
                      (unsigned long long)(bound_ns - sim->calm_ns) / 1000000000);
    }
    if (!sim->failed)
        check_end(sim);
}
