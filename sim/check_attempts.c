/* check_attempts.c - attempts: to whom each is assigned, when its process starts and ends, and what a worker
 * has in its hands until SETTLED has come. */
#include <stdlib.h>

#include "proto/assert.h"
#include "sim/check.h"

/* ---- assigned ---- */

static struct attempt *add_attempt(struct checked *checked)
{
    if (checked->attempt_count == checked->attempt_capacity) {
        checked->attempt_capacity = checked->attempt_capacity == 0 ? 4 : 2 * checked->attempt_capacity;
        checked->attempts = realloc(checked->attempts, checked->attempt_capacity * sizeof *checked->attempts);
        ASSERT(checked->attempts != NULL);
    }
    return &checked->attempts[checked->attempt_count++];
}

void attempts_assigned(struct sim *sim, const struct way *way, uint32_t task,
                       const struct assign_entry *entry)
{
    struct checked *checked = &sim->checks->tasks[task];
    struct attempt *attempt = check_attempt(sim, task, entry->fence);
    bool marked = entry->flags & ASSIGN_DUP_POSSIBLE;
    /* ASSIGNs of one batch to two workers have no order: the session of one of them has ended. */
    for (uint32_t i = 0; i < checked->attempt_count && attempt == NULL; i++)
        if (checked->attempts[i].region == way->from->index &&
            checked->attempts[i].assigned_ns < sim->now_ns &&
            fence_compare(checked->attempts[i].fence, entry->fence) > 0)
            violation(sim, 3, "%s assigns task %u under %s after %s", way->from->name, task,
                      check_fence_text(entry->fence, 0), check_fence_text(checked->attempts[i].fence, 1));
    if (attempt != NULL) {
        if (attempt->worker != way->to || attempt->worker_life != way->to_life)
            violation(sim, 3, "%s assigns task %u under %s to %s, and did so to %s before", way->from->name,
                      task, check_fence_text(entry->fence, 0), sim->nodes[way->to].name,
                      sim->nodes[attempt->worker].name);
        attempt->dup_possible |= marked;
        return;
    }
    if (checked->attempt_count == ATTEMPTS_MAX_SIM) {
        violation(sim, 12, "%s assigns task %u a %dth time", way->from->name, task, ATTEMPTS_MAX_SIM + 1);
        return;
    }
    *add_attempt(checked) = (struct attempt){.fence = entry->fence,
                                             .region = way->from->index,
                                             .worker = way->to,
                                             .worker_life = way->to_life,
                                             .dup_possible = marked,
                                             .assigned_ns = sim->now_ns};
    progress_granted(sim, way->from, task);
}

/* ---- in a worker's hands ---- */

struct holding *attempts_find(const struct sim *sim, uint32_t worker, uint32_t task, struct fence fence)
{
    const struct ward *ward = &sim->checks->wards[worker];
    for (uint32_t i = 0; i < ward->held_count; i++)
        if (ward->held[i].task == task && fence_compare(ward->held[i].fence, fence) == 0)
            return &ward->held[i];
    return NULL;
}

static struct holding *add_holding(struct ward *ward)
{
    if (ward->held_count == ward->held_capacity) {
        ward->held_capacity = ward->held_capacity == 0 ? 8 : 2 * ward->held_capacity;
        ward->held = realloc(ward->held, ward->held_capacity * sizeof *ward->held);
        ASSERT(ward->held != NULL);
    }
    return &ward->held[ward->held_count++];
}

static void drop_holding(struct ward *ward, struct holding *holding)
{
    *holding = ward->held[--ward->held_count];
}

/* A later grant of the same task is in its hands: the worker does not take an older one. */
static bool is_stale(const struct ward *ward, uint32_t task, struct fence fence)
{
    for (uint32_t i = 0; i < ward->held_count; i++)
        if (ward->held[i].task == task && ward->held[i].wire == 0 &&
            fence_compare(ward->held[i].fence, fence) > 0)
            return true;
    return false;
}

void attempts_arrived(struct sim *sim, struct sim_node *worker, uint32_t task, struct fence fence)
{
    struct ward *ward = &sim->checks->wards[worker->index];
    struct holding *holding = attempts_find(sim, worker->index, task, fence);
    if (holding == NULL || holding->wire == 0)
        return; /* it was there already */
    holding->wire = 0;
    holding->since_ns = sim->now_ns;
    if (is_stale(ward, task, fence))
        drop_holding(ward, holding);
}

/* An ASSIGN leaves for it. Those that left by an earlier wire and have not arrived never will. */
void attempts_on_the_way(struct sim *sim, const struct way *way, uint32_t task, struct fence fence)
{
    struct ward *ward = &sim->checks->wards[way->to];
    struct holding *holding = attempts_find(sim, way->to, task, fence);
    for (uint32_t i = ward->held_count; i > 0; i--)
        if (ward->held[i - 1].wire != 0 && ward->held[i - 1].wire != way->wire)
            drop_holding(ward, &ward->held[i - 1]);
    holding = attempts_find(sim, way->to, task, fence);
    if (holding == NULL)
        *add_holding(ward) = (struct holding){.task = task, .fence = fence, .wire = way->wire};
}

void attempts_over(struct sim *sim, const struct sim_node *worker, uint32_t task, struct fence fence)
{
    struct holding *holding = attempts_find(sim, worker->index, task, fence);
    if (holding != NULL)
        holding->over = true;
}

void attempts_settled(struct sim *sim, struct sim_node *worker, uint32_t task, struct fence fence)
{
    struct holding *holding = attempts_find(sim, worker->index, task, fence);
    struct attempt *attempt = check_attempt(sim, task, fence);
    if (attempt != NULL && attempt->worker == worker->index)
        attempt->settled = true;
    if (holding != NULL && holding->over)
        drop_holding(&sim->checks->wards[worker->index], holding);
}

static void in_spool(struct sim *sim, const struct sim_node *worker, struct bytes record)
{
    struct reader reader;
    struct outcome_entry entry;
    reader_init(&reader, record);
    if (!outcome_entry_read(&reader, &entry) || sim_task_of(sim, &entry.id) == TASKS_MAX_SIM)
        return;
    *add_holding(&sim->checks->wards[worker->index]) = (struct holding){.task = sim_task_of(sim, &entry.id),
                                                                        .fence = entry.fence,
                                                                        .started = true,
                                                                        .over = true,
                                                                        .since_ns = sim->now_ns};
}

void attempts_restart(struct sim *sim, struct sim_node *worker)
{
    const struct disk_table *spool = &worker->disk.tables[TABLE_SPOOL];
    sim->checks->wards[worker->index].held_count = 0;
    for (size_t i = 0; i < spool->count; i++)
        in_spool(sim, worker, spool->records[i].value);
}

/* ---- INVENTORY ---- */

void attempts_listed(struct sim *sim, const struct way *way, uint32_t task, struct fence fence,
                     uint64_t session)
{
    struct holding *holding = attempts_find(sim, way->from->index, task, fence);
    if (holding != NULL)
        holding->listed_session = session;
}

/* What it has no row for it never took: refused, or sent on a link that somebody had spoiled. */
void attempts_listed_all(struct sim *sim, const struct way *way, uint64_t session)
{
    struct ward *ward = &sim->checks->wards[way->from->index];
    for (uint32_t i = ward->held_count; i > 0; i--) {
        struct holding *held = &ward->held[i - 1];
        if (held->wire != 0 || held->since_ns > ward->hello_ns || held->listed_session == session)
            continue;
        if (held->started)
            violation(sim, 9,
                      "%s says END, and its INVENTORY has no row for task %u under %s, which it holds",
                      way->from->name, held->task, check_fence_text(held->fence, 0));
        else
            drop_holding(ward, held);
    }
}

/* ---- processes ---- */

/* Two starts, of which the earlier fence has no recorded end, or one that is forgotten: the later must say
 * so. */
static void check_pair(struct sim *sim, uint32_t task, const struct attempt *early,
                       const struct attempt *late)
{
    enum restored_pair pair = restored_pair(sim, task, early->fence, late->fence);
    if (pair == PAIR_UNKNOWABLE || (early->recorded && pair != PAIR_FORGOTTEN))
        return;
    struct standing *now = &sim->checks->tasks[task].now;
    now->doubled |= late->fence.custody <= now->custody; /* or of a history that is lost: not its result's */
    sim->checks->doubled++;
    if (!late->dup_possible)
        violation(sim, 4, "task %u was started under %s on %s while the end of %s on %s was %s, unmarked",
                  task, check_fence_text(late->fence, 0), sim->nodes[late->worker].name,
                  check_fence_text(early->fence, 1), sim->nodes[early->worker].name,
                  pair == PAIR_FORGOTTEN ? "forgotten with a restored backup" : "not recorded");
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
    struct holding *holding = attempts_find(sim, node->index, task, process->fence);
    if (holding != NULL)
        holding->started = true;
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
    if (attempt == NULL)
        return;
    attempt->completed = process->start_error == 0 && process->signal == 0 && process->exit_status == 0;
    attempts_over(sim, node, task, process->fence);
}

/* ---- drained ---- */

static bool in_spool_table(const struct sim_node *worker, const struct task_id *id, struct fence fence)
{
    const struct disk_table *spool = &worker->disk.tables[TABLE_SPOOL];
    for (size_t i = 0; i < spool->count; i++) {
        struct reader reader;
        struct outcome_entry entry;
        reader_init(&reader, spool->records[i].value);
        if (outcome_entry_read(&reader, &entry) && task_id_equal(&entry.id, id) &&
            fence_compare(entry.fence, fence) == 0)
            return true;
    }
    return false;
}

void check_drained(struct sim *sim, struct sim_node *node)
{
    const struct ward *ward = &sim->checks->wards[node->index];
    for (uint32_t slot = 0; slot < SLOTS_MAX_SIM; slot++)
        if (node->processes[slot].number != 0)
            violation(sim, 12, "%s was drained and leaves, and its slot %u still runs task %u", node->name,
                      slot, sim_task_of(sim, &node->processes[slot].id));
    for (uint32_t i = 0; i < ward->held_count && !sim->failed; i++) {
        const struct holding *held = &ward->held[i];
        if (held->started && !in_spool_table(node, &sim->workload->tasks[held->task].id, held->fence))
            violation(sim, 10,
                      "%s was drained and leaves, and the outcome of task %u under %s is neither settled "
                      "nor in its spool",
                      node->name, held->task, check_fence_text(held->fence, 0));
    }
}
