/* check_restored.c - what the broker may forget when its store is put back from a backup, and what it may
 * not.
 *
 * Forgotten: what it said and recorded after the copy: ids that it accepted, ends, results, receipts. The
 * books of the broker go back to what they were when the copy was made, no further, and every rule holds from
 * there on. Never forgotten: custodies rise above all that were ever given out; whatever may have started
 * under a custody of which the copy does not know the end is marked when it starts again, whether it lives in
 * the copy, had ended since, or was accepted since and is submitted again. Of the last the broker can only
 * know by the id: one that was made later than the restore by the broker's own clock may come unmarked. */
#include "engine/task.h"
#include "sim/check.h"

struct standing *check_remember(const struct sim *sim)
{
    struct standing *copy = take_memory(sim->options.tasks, sizeof *copy);
    for (uint32_t task = 0; task < sim->options.tasks; task++)
        copy[task] = sim->checks->tasks[task].now;
    return copy;
}

static void set_back(struct sim *sim, uint32_t task, const struct standing *copy)
{
    struct checked *checked = &sim->checks->tasks[task];
    uint32_t restore = sim->checks->restores;
    const struct booked *booked = check_booked(sim, 0, task);
    const struct standing before = checked->now;
    checked->now = *copy;
    checked->holder = 0; /* no custody of the copy is given out again, not even to the same region */
    checked->lost |= before.accepted_ns != 0 && copy->accepted_ns == 0;
    if (booked->open != 0) /* the grant was on the disk, and its ASSIGN left behind the copy */
        checked->now.custody = booked->granted.custody;
    if (before.result_hash != copy->result_hash)
        checked->lost_hashes[restore] = before.result_hash;
    if (copy->recorded_end != 0)
        return; /* it starts no more */
    checked->now.doubled |= before.doubled;
    checked->forgotten[restore].from = booked->stored ? booked->ended.custody : 0;
    checked->forgotten[restore].to = checked->custody;
}

void check_restored(struct sim *sim, const struct standing *copy)
{
    struct checks *checks = sim->checks;
    check_store_replaced(sim, &sim->nodes[0]);
    checks->ended = 0;
    for (uint32_t task = 0; task < sim->options.tasks; task++) {
        set_back(sim, task, &copy[task]);
        checks->ended += copy[task].recorded_end != 0;
    }
    checks->restored_ns = sim->now_ns;
    checks->restores++;
}

void check_restored_start(struct sim *sim)
{
    uint64_t wall_ms = node_wall_ms(sim, &sim->nodes[0]);
    for (uint32_t task = 0; task < sim->options.tasks && sim->checks->restores != 0; task++) {
        struct checked *checked = &sim->checks->tasks[task];
        bool made_later = task_id_time_ms(&sim->workload->tasks[task].id) > wall_ms;
        bool absent = !check_booked(sim, 0, task)->stored && checked->now.recorded_end == 0;
        struct forgotten *forgotten = &checked->forgotten[sim->checks->restores - 1];
        forgotten->unmarked = absent && made_later;
        checked->now.doubled &= !forgotten->unmarked;
    }
}

bool check_is_lost(const struct sim *sim, uint32_t task)
{
    return sim->checks->tasks[task].lost;
}

/* What the broker can know is decided by the last restore between the two. */
enum restored_pair restored_pair(const struct sim *sim, uint32_t task, struct fence early, struct fence late)
{
    enum restored_pair pair = PAIR_OF_NO_RESTORE;
    bool knows = false;
    for (uint32_t i = sim->checks->restores; i > 0; i--) {
        const struct forgotten *forgotten = &sim->checks->tasks[task].forgotten[i - 1];
        if (early.custody > forgotten->to || late.custody <= forgotten->to)
            continue;
        if (forgotten->unmarked && !knows)
            return PAIR_UNKNOWABLE;
        knows = true;
        if (early.custody > forgotten->from)
            pair = PAIR_FORGOTTEN;
    }
    return pair;
}

bool restored_was_told(const struct sim *sim, uint32_t task, uint64_t hash)
{
    for (uint32_t i = 0; i < sim->checks->restores; i++)
        if (sim->checks->tasks[task].lost_hashes[i] == hash)
            return true;
    return false;
}
