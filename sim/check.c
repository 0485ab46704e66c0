/* check.c - the judge: invariants of the cluster, from what goes over the wires and what lies on the disks.
 *
 *  0  the contract of the messages themselves        1  accepted: ended, or a live record at the broker
 *  2  a recorded end never changes                   3  fences grow; a fence starts once; a late one changes
 * nothing 4  a second start beside an open one is marked    6  nothing leaves before its records are on disk
 * 10  SETTLED means recorded; until then it is kept 11  counters equal what is stored
 * 12  when the faults are over everything ends and nothing is left behind
 *
 * It never asks a node. A task's attempts are known from the ASSIGNs that left regions, their starts and ends
 * from the processes, their records from the SETTLEDs that left. */
#include "sim/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/task.h"
#include "proto/message.h"
#include "proto/task.h"

void violation(struct sim *sim, int invariant, const char *format, ...)
{
    va_list arguments;
    if (sim->failed)
        return; /* the first one is the one to look at */
    sim->failed = true;
    printf("seed %llu: invariant %d broken at %.6f s: ", (unsigned long long)sim->options.seed, invariant,
           (double)sim->now_ns / 1e9);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

void check_init(struct sim *sim)
{
    sim->checks = take_memory(1, sizeof *sim->checks);
}

void check_release(struct sim *sim)
{
    free(sim->checks);
    sim->checks = NULL;
}

uint64_t *check_arrivals(const struct sim *sim, const struct sim_node *node)
{
    return sim->checks->arrivals[node->index];
}

struct attempt *check_attempt(struct sim *sim, uint32_t task, struct fence fence)
{
    struct checked *checked = &sim->checks->tasks[task];
    for (uint32_t i = 0; i < checked->attempt_count; i++)
        if (fence_compare(checked->attempts[i].fence, fence) == 0)
            return &checked->attempts[i];
    return NULL;
}

bool on_disk(const struct sim *sim, const struct sim_node *node, enum table table, uint32_t task)
{
    return check_arrivals(sim, node)[task] != 0 &&
           disk_find(&node->disk, table, check_arrivals(sim, node)[task]) != NULL;
}

static bool is_broker(const struct sim_node *node)
{
    return node->index == 0;
}

/* ---- the disks ---- */

static uint32_t task_of_arrival(const struct sim *sim, const struct sim_node *node, uint64_t number)
{
    uint32_t task = 0;
    while (task < sim->options.tasks && check_arrivals(sim, node)[task] != number)
        task++;
    return task < sim->options.tasks ? task : TASKS_MAX_SIM;
}

static void on_envelope(struct sim *sim, struct sim_node *node, const struct disk_put *put)
{
    struct task_id id;
    uint32_t former = task_of_arrival(sim, node, put->number);
    if (former != TASKS_MAX_SIM)
        check_arrivals(sim, node)[former] = 0; /* numbers begin again behind what a restart finds */
    if (field_bin(put->value, "id", &id, sizeof id) && sim_task_of(sim, &id) != TASKS_MAX_SIM)
        check_arrivals(sim, node)[sim_task_of(sim, &id)] = put->number;
    else
        violation(sim, 0, "%s: an envelope without a task that was submitted", node->name);
}

/* A region's state names the last grant that has ended: recorded, if that end was reported. */
static void on_state(struct sim *sim, const struct sim_node *node, const struct disk_put *put)
{
    struct task state;
    if (is_broker(node) || !task_record_read(put->value, &state, sim->now_ns, WALL_START_MS))
        return;
    uint32_t task = sim_task_of(sim, &state.id);
    struct attempt *attempt = task == TASKS_MAX_SIM ? NULL : check_attempt(sim, task, state.fence);
    if (attempt != NULL)
        attempt->recorded |= attempt->reported;
}

/* [wall_ms, [id, hash, size, arrival and bits], ...]: the low two bits are the end. */
static void on_ended(struct sim *sim, const struct disk_put *put)
{
    struct reader reader;
    reader_init(&reader, put->value);
    uint32_t fields = read_array(&reader, INVENTORY_ROWS_MAX);
    read_uint(&reader, UINT64_MAX);
    for (uint32_t i = 1; i < fields && !reader_failed(&reader); i++) {
        struct task_id id = {{0}};
        uint32_t parts = read_array(&reader, 16);
        struct bytes bytes = read_bin(&reader, TASK_ID_BYTES, TASK_ID_BYTES);
        if (bytes.size == TASK_ID_BYTES)
            memcpy(id.bytes, bytes.data, TASK_ID_BYTES);
        read_skip(&reader, parts < 3 ? parts : 3, 1);
        uint8_t end = 1 + (read_uint(&reader, UINT64_MAX) & 3);
        read_skip(&reader, parts, 4);
        uint32_t task = sim_task_of(sim, &id);
        if (task == TASKS_MAX_SIM || reader_failed(&reader)) {
            violation(sim, 0, "a record of ended ids that cannot be read");
            return;
        }
        struct checked *checked = &sim->checks->tasks[task];
        if (checked->recorded_end == 0)
            sim->checks->ended++;
        else if (checked->recorded_end != end)
            violation(sim, 2, "task %s: recorded as %s, now as %s", sim_id_text(&id),
                      task_end_text((enum task_end)(checked->recorded_end - 1)),
                      task_end_text((enum task_end)(end - 1)));
        checked->recorded_end = end;
    }
}

/* A new outcome of a region: not answered yet. */
static void on_outcome(struct sim *sim, const struct sim_node *node, uint64_t number)
{
    uint32_t task = task_of_arrival(sim, node, number);
    if (task != TASKS_MAX_SIM)
        sim->checks->tasks[task].answered &= ~(1u << node->index);
}

/* A child's outcome may go when its parent has answered for it. */
static void on_erase(struct sim *sim, const struct sim_node *node, const struct write *erase)
{
    const struct disk_record *record = disk_find(&node->disk, erase->table, erase->number);
    uint32_t task = TASKS_MAX_SIM;
    if (record == NULL || is_broker(node))
        return;
    if (erase->table == TABLE_OUTCOMES) {
        uint8_t fence[FENCE_BYTES];
        task = task_of_arrival(sim, node, erase->number);
        if (task != TASKS_MAX_SIM && field_bin(record->value, "fence", fence, sizeof fence) &&
            fence_decode(fence).custody < sim->checks->tasks[task].custody)
            return; /* the broker wants it run again: the old end no longer counts */
    } else if (erase->table == TABLE_SPOOL) {
        struct reader reader;
        struct outcome_entry entry;
        reader_init(&reader, record->value);
        if (outcome_entry_read(&reader, &entry))
            task = sim_task_of(sim, &entry.id);
    }
    if (task != TASKS_MAX_SIM && !(sim->checks->tasks[task].answered & 1u << node->index))
        violation(sim, 10, "%s drops the outcome of task %u before it was settled", node->name, task);
}

void check_before_commit(struct sim *sim, struct sim_node *node, const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->put_count; i++) {
        const struct disk_put *put = &batch->puts[i];
        const struct disk_record *old = disk_find(&node->disk, put->table, put->number);
        if (put->table == TABLE_ENVELOPES)
            on_envelope(sim, node, put);
        else if (put->table == TABLE_ENDED)
            on_ended(sim, put);
        else if (put->table == TABLE_STATES)
            on_state(sim, node, put);
        else if (put->table == TABLE_OUTCOMES && !is_broker(node))
            on_outcome(sim, node, put->number);
        else if (put->table == TABLE_OUTCOMES && is_broker(node) && old != NULL &&
                 !bytes_equal(old->value, put->value))
            violation(sim, 2, "the outcome of arrival %llu is written again",
                      (unsigned long long)put->number);
    }
    for (uint32_t i = 0; i < batch->erase_count; i++)
        on_erase(sim, node, &batch->erases[i]);
}

static void check_accepted(struct sim *sim, uint32_t task)
{
    const struct checked *checked = &sim->checks->tasks[task];
    const struct sim_node *broker = &sim->nodes[0];
    bool lives = on_disk(sim, broker, TABLE_STATES, task) && on_disk(sim, broker, TABLE_ENVELOPES, task);
    if (checked->accepted && checked->recorded_end == 0 && !lives)
        violation(sim, 1, "accepted task %u is neither ended nor alive at the broker", task);
}

void check_after_commit(struct sim *sim, struct sim_node *node, const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->erase_count && is_broker(node); i++) {
        uint32_t task = task_of_arrival(sim, node, batch->erases[i].number);
        if (batch->erases[i].table == TABLE_STATES && task != TASKS_MAX_SIM)
            check_accepted(sim, task);
    }
}

void check_restart(struct sim *sim, struct sim_node *node)
{
    for (uint32_t task = 0; task < sim->options.tasks && is_broker(node); task++)
        check_accepted(sim, task);
}

void check_store_replaced(struct sim *sim, struct sim_node *node)
{
    memset(sim->checks->arrivals[node->index], 0, sizeof sim->checks->arrivals[0]);
}

void check_drained(struct sim *sim, struct sim_node *node)
{
    for (uint32_t slot = 0; slot < SLOTS_MAX_SIM; slot++)
        if (node->processes[slot].number != 0)
            violation(sim, 12, "%s was drained and leaves, and its slot %u still runs task %u", node->name,
                      slot, sim_task_of(sim, &node->processes[slot].id));
}

void check_unknown(struct sim *sim, const struct task_id *id)
{
    uint32_t task = sim_task_of(sim, id);
    violation(sim, 1, "a client is told that task %u is not known, which was accepted", task);
}

void check_told(struct sim *sim, uint32_t task, struct bytes result)
{
    if (check_hash(result) != sim->checks->tasks[task].result_hash)
        violation(sim, 2, "a client is told another result of task %u than the broker sent", task);
}

static void check_empty(struct sim *sim, const struct sim_node *node, enum table table)
{
    const struct disk_table *in = &node->disk.tables[table];
    if (in->count == 0)
        return;
    uint32_t task = task_of_arrival(sim, node, in->records[0].number);
    violation(sim, 12, "%s still has %zu %s at the end, the first %llu (task %u, if it is an arrival)",
              node->name, in->count, table_text(table), (unsigned long long)in->records[0].number, task);
}

void check_end(struct sim *sim)
{
    if (!clients_done(sim))
        violation(sim, 12, "%u tasks have not ended", clients_open(sim));
    for (uint32_t i = 0; i < sim->node_count; i++) {
        const struct sim_node *node = &sim->nodes[i];
        check_empty(sim, node, TABLE_STATES);
        check_empty(sim, node, TABLE_GRANTS);
        check_empty(sim, node, TABLE_ATTEMPTS);
        check_empty(sim, node, TABLE_SPOOL);
        if (is_broker(node))
            continue;
        check_empty(sim, node, TABLE_OUTCOMES);
        check_empty(sim, node, TABLE_ENVELOPES);
    }
}

/* ---- the processes ---- */

/* Two starts, of which the earlier fence has no recorded end: the later must say so. */
static void check_pair(struct sim *sim, uint32_t task, const struct attempt *early,
                       const struct attempt *late)
{
    if (early->recorded)
        return;
    sim->checks->tasks[task].doubled = true;
    sim->checks->doubled++;
    if (!late->dup_possible)
        violation(sim, 4, "task %u: %s was started while the end of %s was not recorded, unmarked", task,
                  check_fence_text(late->fence, 0), check_fence_text(early->fence, 1));
}

const char *check_fence_text(struct fence fence, int which)
{
    static char text[2][40];
    snprintf(text[which], sizeof text[which], "%u.%u.%u", fence.custody, fence.epoch, fence.attempt);
    return text[which];
}

void check_process_start(struct sim *sim, struct sim_node *node, const struct process *process)
{
    uint32_t task = sim_task_of(sim, &process->id);
    struct attempt *attempt = task == TASKS_MAX_SIM ? NULL : check_attempt(sim, task, process->fence);
    if (attempt == NULL || attempt->worker != node->index) {
        violation(sim, 3, "%s starts task %u under %s, which was not assigned to it", node->name, task,
                  check_fence_text(process->fence, 0));
        return;
    }
    if (attempt->started)
        violation(sim, 3, "%s starts task %u a second time under %s", node->name, task,
                  check_fence_text(process->fence, 0));
    attempt->started = true;
    struct checked *checked = &sim->checks->tasks[task];
    for (uint32_t i = 0; i < checked->attempt_count; i++) {
        const struct attempt *other = &checked->attempts[i];
        if (!other->started || other == attempt)
            continue;
        bool later = fence_compare(other->fence, attempt->fence) > 0;
        check_pair(sim, task, later ? attempt : other, later ? other : attempt);
    }
}

void check_process_end(struct sim *sim, struct sim_node *node, const struct sim_process *process)
{
    uint32_t task = sim_task_of(sim, &process->id);
    struct attempt *attempt = task == TASKS_MAX_SIM ? NULL : check_attempt(sim, task, process->fence);
    (void)node; /* the fence names it */
    if (attempt != NULL)
        attempt->completed = process->start_error == 0 && process->signal == 0 && process->exit_status == 0;
}
