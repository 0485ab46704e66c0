/* node.c - a node's life in the simulation: start, steps, wake-ups, crash, drain. */
#include <stdio.h>
#include <stdlib.h>

#include "proto/assert.h"
#include "sim/node.h"

enum { GATHER_US_MAX = 300, LATE_MS_MAX = 20 };

void node_happens(struct sim *sim, const struct sim_node *node, enum happening what, uint64_t at_ns)
{
    timeline_add(&sim->timeline,
                 (struct occasion){.at_ns = at_ns, .what = what, .node = node->index, .life = node->life});
}

uint64_t node_ready_ns(const struct sim *sim, const struct sim_node *node)
{
    uint64_t at_ns = sim->now_ns;
    if (node_pipeline_full(node) && outputs_full(&node->outputs))
        at_ns = (node->batches->durable_ns > at_ns ? node->batches->durable_ns : at_ns) + 1;
    return node->paused_until_ns > at_ns ? node->paused_until_ns : at_ns;
}

static void log_traces(struct sim *sim, const struct sim_node *node, uint32_t from)
{
    static const struct {
        const char *name, *text;
    } codes[TRACE_CODE_COUNT] = {
#define X(name, level, text) {#name, text},
        TRACE_CODES(X)
#undef X
    };
    for (uint32_t i = from; i < node->outputs.trace_count; i++) {
        const struct trace *trace = &node->outputs.traces[i];
        sim->traces[trace->code]++;
        if (sim->options.trace)
            printf("%12.6f %-8s %s %s a=%llu b=%llu\n", (double)sim->now_ns / 1e9, node->name,
                   sim_id_text(&trace->id), codes[trace->code].name, (unsigned long long)trace->a,
                   (unsigned long long)trace->b);
    }
}

static void send_immediate(struct sim *sim, struct sim_node *node)
{
    for (; node->immediate_seen < node->outputs.message_count; node->immediate_seen++) {
        const struct message *message = &node->outputs.messages[node->immediate_seen];
        if (message->immediate)
            network_send(sim, node, batch_frame(sim, node, message));
    }
}

void node_schedule_wake(struct sim *sim, struct sim_node *node)
{
    uint64_t deadline_ns = node->role->deadline_ns(node->self);
    if (deadline_ns == DEADLINE_NEVER)
        return;
    uint64_t at_ns = node_time_of(node, deadline_ns);
    at_ns = at_ns > sim->now_ns ? at_ns : sim->now_ns;
    at_ns += 1000 + dice_below(&sim->dice, dice_percent(&sim->dice, 5) ? 20 * MS : MS / 10);
    if (at_ns >= node->wake_ns)
        return;
    node->wake_ns = at_ns;
    node_happens(sim, node, HAPPENS_WAKE, at_ns);
}

static void keep_frame(struct sim_node *node, struct frame frame)
{
    if (node->kept_count == node->kept_capacity) {
        node->kept_capacity = node->kept_capacity == 0 ? 64 : 2 * node->kept_capacity;
        node->kept = realloc(node->kept, node->kept_capacity * sizeof *node->kept);
        ASSERT(node->kept != NULL);
    }
    node->kept[node->kept_count++] = frame;
}

/* A full disk is full of something else. What is not on it yet has taken its room. */
static uint64_t free_bytes(const struct sim *sim, const struct sim_node *node)
{
    uint64_t room = STORE_BYTES;
    if (node->full_disk_until_ns > sim->now_ns)
        room = STORE_BYTES / 100 * node->free_percent;
    uint64_t used = node->disk.bytes > node->view.bytes ? node->disk.bytes : node->view.bytes;
    return room > used ? room - used : 0;
}

/* Takes `keep`, the frame that the event borrows from, if there is one. */
void node_step(struct sim *sim, struct sim_node *node, struct event *event, struct frame *keep)
{
    uint32_t traced = node->outputs.trace_count;
    event->now_ns = node_now_ns(sim, node);
    event->wall_ms = node_wall_ms(sim, node);
    event->random[0] = dice_bits(&sim->dice);
    event->random[1] = dice_bits(&sim->dice);
    event->store_max_bytes = STORE_BYTES;
    event->store_free_bytes = free_bytes(sim, node);
    event->commit_age_ms =
        node->batches == NULL ? 0 : (uint32_t)((sim->now_ns - node->batches->closed_ns) / MS);
    if (keep != NULL)
        keep_frame(node, *keep);
    outputs_begin_step(&node->outputs);
    node->role->step(node->self, event, &node->outputs);
    log_traces(sim, node, traced);
    send_immediate(sim, node);
    if (node_pipeline_full(node)) {
        /* closed when the older batch is on disk */
    } else if (outputs_full(&node->outputs)) {
        node_close_batch(sim, node);
    } else if (!node->closing) {
        node->closing = true;
        node_happens(sim, node, HAPPENS_CLOSE, sim->now_ns + dice_below(&sim->dice, GATHER_US_MAX * 1000));
    }
    node_schedule_wake(sim, node);
}

void node_start(struct sim *sim, struct sim_node *node)
{
    if (node->alive || node->departed != 0)
        return;
    node->alive = true;
    disk_copy(&node->view, &node->disk);
    if (node->index == 0)
        backup_starts(sim, node);
    node->self = node->role->make(node);
    ASSERT(node->self != NULL);
    for (int table = 0; table < TABLE_COUNT; table++) {
        const struct disk_table *in = &node->disk.tables[table];
        for (size_t i = 0; i < in->count && table_is_restored((enum table)table); i++) {
            struct event event = {.kind = EVENT_RESTORE,
                                  .record = {.table = (enum table)table,
                                             .number = in->records[i].number,
                                             .part = in->records[i].part,
                                             .value = in->records[i].value}};
            node_step(sim, node, &event, NULL);
        }
    }
    struct event start = {.kind = EVENT_START};
    node_step(sim, node, &start, NULL);
    check_restart(sim, node);
}

void node_crash(struct sim *sim, struct sim_node *node)
{
    if (!node->alive)
        return;
    node_lose_batches(sim, node);
    node->role->free(node->self);
    node->self = NULL;
    node->alive = false;
    node->life++;
    node->closing = false;
    node->draining = false;
    node->wake_ns = NEVER;
    node->paused_until_ns = 0;
    node->session = 0;
    node->wire = 0;
    node_reset_outputs(node);
    memset(node->processes, 0, sizeof node->processes); /* they die with their agent */
    network_node_gone(sim, node);
}

void node_wipe(struct sim *sim, struct sim_node *node)
{
    ASSERT(!node->alive);
    disk_wipe(&node->disk);
    check_store_replaced(sim, node);
}

void node_drain(struct sim *sim, struct sim_node *node)
{
    struct event event = {.kind = EVENT_DRAIN};
    if (!node->alive || node->draining || node_ready_ns(sim, node) > sim->now_ns)
        return;
    node->draining = true;
    node_step(sim, node, &event, NULL);
}

/* The process of a drained node ends when all that it said has left; its machine starts another one soon. */
void node_stop_drained(struct sim *sim, struct sim_node *node)
{
    const struct outputs *outputs = &node->outputs;
    bool idle = node->batches == NULL && outputs->write_count + outputs->message_count == 0;
    if (!node->alive || !idle || !node->role->done(node->self))
        return; /* an operator's DRAIN comes to it as a message, unknown to the host */
    check_drained(sim, node);
    node_crash(sim, node);
    node_happens(sim, node, HAPPENS_RESTART, sim->now_ns + dice_below(&sim->dice, 3000 * MS));
}
