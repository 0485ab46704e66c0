/* check.c - the judge: invariants of the cluster, from what goes over the wires and what lies on the disks.
 *
 *  0  the contract of the messages themselves         1  accepted: ended, or a live record at the broker
 *  2  a recorded end never changes, nor what of it    3  fences grow; a fence starts once; a late one changes
 *     is told                                            nothing
 *  4  a second start beside an open one is marked     6  nothing leaves before its records are on disk
 *  7  no grant beyond what the child has room for     9  of every open grant somebody below knows
 * 10  SETTLED means recorded; until then it is kept  11  counters equal what is stored
 * 12  no priority starves; when the faults are over everything ends and nothing is left behind
 *
 * (The numbers are those of the cluster's invariants; 5 and 8 are about what regions cannot do yet:
 * at_most_once tasks, and tasks of their own clients.) It never asks a node. */
#include "sim/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void violation(struct sim *sim, int invariant, const char *format, ...)
{
    va_list arguments;
    if (sim->failed)
        return; /* the first one is the one to look at */
    sim->failed = true;
    sim->broken = invariant;
    printf("seed %llu: invariant %d broken at %.6f s: ", (unsigned long long)sim->options.seed, invariant,
           (double)sim->now_ns / 1e9);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

void check_init(struct sim *sim)
{
    struct checks *checks = sim->checks = take_memory(1, sizeof *checks);
    checks->tasks = take_memory(sim->options.tasks, sizeof *checks->tasks);
    checks->books = take_memory(sim->node_count, sizeof *checks->books);
    checks->wards = take_memory(sim->node_count, sizeof *checks->wards);
    for (uint32_t i = 0; i < sim->node_count; i++)
        if (!is_worker(&sim->nodes[i]))
            book_init(sim, &checks->books[i]);
}

void check_release(struct sim *sim)
{
    struct checks *checks = sim->checks;
    for (uint32_t task = 0; task < sim->options.tasks; task++)
        free(checks->tasks[task].attempts);
    for (uint32_t i = 0; i < sim->node_count; i++) {
        book_release(&checks->books[i]);
        free(checks->wards[i].held);
    }
    free(checks->tasks);
    free(checks->books);
    free(checks->wards);
    free(checks);
    sim->checks = NULL;
}

struct attempt *check_attempt(struct sim *sim, uint32_t task, struct fence fence)
{
    struct checked *checked = &sim->checks->tasks[task];
    for (uint32_t i = 0; i < checked->attempt_count; i++)
        if (fence_compare(checked->attempts[i].fence, fence) == 0)
            return &checked->attempts[i];
    return NULL;
}

const char *check_fence_text(struct fence fence, int which)
{
    static char text[2][40];
    snprintf(text[which], sizeof text[which], "%u.%u.%u", fence.custody, fence.epoch, fence.attempt);
    return text[which];
}

uint64_t check_hash(struct bytes bytes)
{
    uint64_t hash = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < bytes.size; i++)
        hash = (hash ^ bytes.data[i]) * 0x100000001b3ull;
    return hash;
}

/* ---- what clients were told ---- */

void check_unknown(struct sim *sim, uint32_t task, uint64_t heard_ns)
{
    const struct checked *checked = &sim->checks->tasks[task];
    /* What was said before the last restore may arrive behind it. */
    uint64_t accepted_ns = checked->now.accepted_ns, restored_ns = sim->checks->restored_ns;
    bool heard = accepted_ns != 0 && accepted_ns >= restored_ns && heard_ns >= accepted_ns;
    if (heard || !checked->lost)
        violation(sim, 1, "a client is told that task %u is not known, which was accepted", task);
}

void check_told(struct sim *sim, uint32_t task, struct bytes result)
{
    uint64_t hash = check_hash(result);
    bool was_sent = hash == sim->checks->tasks[task].now.result_hash || restored_was_told(sim, task, hash);
    if (!check_is_evicted(result) && !was_sent)
        violation(sim, 2, "a client is told another result of task %u than the broker sent", task);
}

/* ---- the end ---- */

static void check_empty(struct sim *sim, const struct sim_node *node, enum table table)
{
    const struct disk_table *in = &node->disk.tables[table];
    if (in->count == 0)
        return;
    uint32_t task = is_worker(node) ? TASKS_MAX_SIM : book_task_of(sim, node, in->records[0].number);
    violation(sim, 12, "%s still has %zu %s at the end, the first %llu (task %u, if it is an arrival)",
              node->name, in->count, table_text(table), (unsigned long long)in->records[0].number, task);
}

static void check_hands(struct sim *sim, const struct sim_node *worker)
{
    const struct ward *ward = &sim->checks->wards[worker->index];
    for (uint32_t i = 0; i < ward->held_count; i++)
        if (ward->held[i].started)
            violation(sim, 12, "%s still has task %u under %s in its hands at the end", worker->name,
                      ward->held[i].task, check_fence_text(ward->held[i].fence, 0));
}

void check_end(struct sim *sim)
{
    if (!clients_done(sim))
        violation(sim, 12, "%u tasks have not ended", clients_open(sim));
    for (uint32_t i = 0; i < sim->node_count; i++) {
        const struct sim_node *node = &sim->nodes[i];
        if (node_is_gone(sim, node))
            continue; /* it took along what it had */
        check_empty(sim, node, TABLE_STATES);
        check_empty(sim, node, TABLE_GRANTS);
        check_empty(sim, node, TABLE_ATTEMPTS);
        check_empty(sim, node, TABLE_SPOOL);
        if (is_broker(node))
            continue;
        check_empty(sim, node, TABLE_OUTCOMES);
        check_empty(sim, node, TABLE_ENVELOPES);
        check_hands(sim, node);
    }
}
