/* commit.c - what lies between a node and its disk: up to two batches, of which the younger is in its
 * transaction while the older waits for the flush that makes it durable. Nothing of a batch leaves before it
 * and all older ones are durable; a crash leaves none, the older or both on the disk. */
#include "proto/assert.h"
#include "proto/bug.h"
#include "sim/node.h"

enum { COMMIT_US_MIN = 200, COMMIT_US_MAX = 6000, SLOW_COMMIT_MS_MAX = 4000, RESTART_MS_MAX = 3000 };

/* Does it leave before the commit? Only by a deliberate mistake. */
static bool is_early(enum message_kind kind)
{
    return BUG(MESSAGE_BEFORE_COMMIT) || (BUG(SETTLED_BEFORE_RECORD) && kind == MESSAGE_SETTLED);
}

static void send_frames(struct sim *sim, struct sim_node *node, struct batch *batch, bool committed)
{
    for (uint32_t i = 0; i < batch->frame_count && !sim->failed; i++) {
        if (is_early(batch->frames[i].kind) == committed)
            continue;
        check_frame(sim, node, &batch->frames[i]);
        network_send(sim, node, batch->frames[i]);
        batch->frames[i].data = NULL;
    }
}

bool node_pipeline_full(const struct sim_node *node)
{
    return node->batch_count == PIPELINE_DEPTH;
}

static void hand_over(struct sim *sim, struct sim_node *node, struct batch *batch)
{
    uint64_t us = dice_between(&sim->dice, COMMIT_US_MIN, COMMIT_US_MAX);
    if (sim->now_ns < node->slow_disk_until_ns)
        us += dice_below(&sim->dice, SLOW_COMMIT_MS_MAX * 1000);
    if (batch->put_count + batch->erase_count == 0)
        us = 1; /* nothing to write: it only waits for its turn */
    uint64_t from_ns = node->hung_disk_until_ns > sim->now_ns ? node->hung_disk_until_ns : sim->now_ns;
    batch->durable_ns = from_ns + us * 1000;
    if (batch->durable_ns <= node->durable_ns)
        batch->durable_ns = node->durable_ns + 1;
    node->durable_ns = batch->durable_ns;
    *node->batches_end = batch;
    node->batches_end = &batch->next;
    node->batch_count++;
    node_happens(sim, node, HAPPENS_COMMIT, batch->durable_ns);
}

void node_close_batch(struct sim *sim, struct sim_node *node)
{
    const struct outputs *outputs = &node->outputs;
    ASSERT(!node_pipeline_full(node));
    if (outputs->write_count + outputs->message_count + outputs->process_count == 0) {
        node_reset_outputs(node); /* nothing borrows from the frames any more */
        return;
    }
    struct batch *batch = batch_gather(sim, node);
    node_reset_outputs(node);
    if (batch->put_count + batch->erase_count + batch->frame_count + batch->process_count == 0) {
        batch_free(batch);
        return;
    }
    send_frames(sim, node, batch, false);
    hand_over(sim, node, batch);
}

static struct batch *pop_batch(struct sim_node *node)
{
    struct batch *batch = node->batches;
    node->batches = batch->next;
    if (node->batches == NULL)
        node->batches_end = &node->batches;
    node->batch_count--;
    return batch;
}

/* The transaction: all puts, then all erases. */
static void apply(struct sim *sim, struct sim_node *node, const struct batch *batch)
{
    check_before_commit(sim, node, batch);
    for (uint32_t i = 0; i < batch->put_count; i++) {
        const struct disk_put *put = &batch->puts[i];
        disk_put(&node->disk, put->table, put->number, put->part, put->value);
        sim_hash(sim, put->value.data, put->value.size);
    }
    for (uint32_t i = 0; i < batch->erase_count; i++)
        disk_erase(&node->disk, batch->erases[i].table, batch->erases[i].number);
    check_after_commit(sim, node, batch);
}

static enum commit_fate fate_of(struct sim *sim, const struct sim_node *node, const struct batch *batch)
{
    const struct sim_options *options = &sim->options;
    if (batch->put_count + batch->erase_count == 0)
        return COMMIT_GOOD;
    if (node->commit_fails) /* after a failed flush nobody knows what is on disk */
        return dice_percent(&sim->dice, 50) ? COMMIT_FAILS : COMMIT_UNTOLD;
    return options->fate == NULL ? COMMIT_GOOD : options->fate(options->fate_context, node, batch);
}

/* The process ends at a commit; somebody starts it again. */
static void stop_at_commit(struct sim *sim, struct sim_node *node, enum commit_fate fate)
{
    while (fate == COMMIT_FAILS && node->batches != NULL)
        batch_free(pop_batch(node)); /* nothing is written behind a failure */
    node_crash(sim, node);
    node_happens(sim, node, HAPPENS_RESTART, sim->now_ns + dice_below(&sim->dice, RESTART_MS_MAX * MS));
}

void node_on_commit(struct sim *sim, struct sim_node *node)
{
    struct batch *batch = pop_batch(node);
    enum commit_fate fate = fate_of(sim, node, batch);
    if (fate != COMMIT_FAILS)
        apply(sim, node, batch);
    if (fate == COMMIT_GOOD || fate == COMMIT_LAST) {
        backup_answers(node);
        send_frames(sim, node, batch, true);
        for (uint32_t i = 0; i < batch->process_count && !sim->failed; i++)
            process_perform(sim, node, &batch->processes[i]);
    }
    batch_free(batch);
    if (fate != COMMIT_GOOD)
        stop_at_commit(sim, node, fate);
    else if (!node->closing)
        node_close_batch(sim, node);
}

void node_lose_batches(struct sim *sim, struct sim_node *node)
{
    uint64_t kept = dice_below(&sim->dice, node->batch_count + 1);
    for (; node->batches != NULL; kept -= kept > 0) {
        struct batch *batch = pop_batch(node);
        if (kept > 0)
            apply(sim, node, batch); /* the disk had it, nobody heard of it */
        batch_free(batch);
    }
    node->durable_ns = 0;
    node->commit_fails = false;
}
