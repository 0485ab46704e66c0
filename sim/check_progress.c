/* check_progress.c - what must not stand still: open grants of which nobody below knows (invariant 9), and
 * tasks of a low priority while others of their class are granted.
 *
 * Priorities are paid 64:16:4:1 (SEMANTICS, ready order): between two grants of one priority there are at
 * most as many of the others as their weights together exceed its own. Twice that and a batchful is too long.
 */
#include "engine/task.h"
#include "sim/check.h"

enum { LOOK_MS = 500, ORPHAN_MS = 8000, BATCH_SLACK = 64, COMMIT_MS_MAX = 500, HEARD_MS = 3 * BEAT_MS };

/* ---- priorities ---- */

static uint32_t passed_max(enum priority priority)
{
    static const uint32_t weights[PRIORITY_COUNT] = {64, 16, 4, 1};
    uint32_t sum = 0;
    for (int i = 0; i < PRIORITY_COUNT; i++)
        sum += weights[i];
    return 2 * (sum / weights[priority]) + BATCH_SLACK;
}

static struct turn *turn_of(const struct sim *sim, struct book *book, uint32_t task)
{
    const struct work *work = &sim->workload->tasks[task];
    return &book->turns[work->class][work->priority];
}

void progress_waits(struct sim *sim, struct book *book, uint32_t task, uint64_t ready_ns)
{
    struct booked *booked = &book->tasks[task];
    struct turn *turn = turn_of(sim, book, task);
    bool waited = booked->ready_ns != NEVER, waits = ready_ns != NEVER;
    if (waits && (turn->waiting == 0 || ready_ns < turn->since_ns))
        *turn =
            (struct turn){.since_ns = ready_ns, .waiting = turn->waiting}; /* perhaps only after a delay */
    turn->waiting += waits;
    turn->waiting -= waited;
    booked->ready_ns = waits && waited && booked->ready_ns < ready_ns ? booked->ready_ns : ready_ns;
}

/* A task of that class and priority that waits since `since_ns`; TASKS_MAX_SIM if there is none. */
static uint32_t waiting_since(const struct sim *sim, const struct book *book, uint32_t class, int priority,
                              uint64_t since_ns)
{
    for (uint32_t task = 0; task < sim->workload->count; task++)
        if (sim->workload->tasks[task].class == class &&
            (int)sim->workload->tasks[task].priority == priority && book->tasks[task].ready_ns <= since_ns)
            return task;
    return TASKS_MAX_SIM;
}

void progress_granted(struct sim *sim, const struct sim_node *node, uint32_t task)
{
    struct book *book = &sim->checks->books[node->index];
    const struct work *work = &sim->workload->tasks[task];
    for (int priority = 0; priority < PRIORITY_COUNT; priority++) {
        struct turn *turn = &book->turns[work->class][priority];
        bool its_turn = priority == (int)work->priority || turn->since_ns > sim->now_ns;
        turn->passed = its_turn || turn->waiting == 0 ? 0 : turn->passed + 1;
        if (turn->passed != 0 && turn->passed <= passed_max((enum priority)priority))
            continue;
        uint32_t waits = turn->passed == 0 ? TASKS_MAX_SIM
                                           : waiting_since(sim, book, work->class, priority, turn->since_ns);
        if (waits != TASKS_MAX_SIM)
            violation(sim, 12,
                      "task %u (%s) waits at %s since %.3f s, and %u others of its class went before it",
                      waits, priority_text((enum priority)priority), node->name,
                      (double)book->tasks[waits].ready_ns / 1e9, turn->passed);
        turn->passed = 0;
        if (turn->since_ns < sim->now_ns)
            turn->since_ns = sim->now_ns;
    }
}

/* ---- grants that nobody below knows of ---- */

/* It runs, and its disk is not behind. */
static bool is_well(const struct sim *sim, const struct sim_node *node)
{
    return node->alive && node->paused_until_ns <= sim->now_ns &&
           (node->batches == NULL || node->batches->closed_ns + COMMIT_MS_MAX * MS > sim->now_ns);
}

static bool in_session(const struct sim *sim, const struct sim_node *child)
{
    const struct ward *ward = &sim->checks->wards[child->index];
    const struct sim_node *parent = &sim->nodes[child->parent];
    const struct wire *wire = child->wire == 0 ? NULL : &sim->wires[child->wire - 1];
    return wire != NULL && ward->synced_wire == child->wire && wire->child_open && wire->parent_open &&
           ward->heard_up_ns + HEARD_MS * MS > sim->now_ns &&
           ward->heard_down_ns + HEARD_MS * MS > sim->now_ns && is_well(sim, child) && is_well(sim, parent);
}

static bool is_known_below(const struct sim *sim, const struct sim_node *child, uint32_t task,
                           struct fence fence)
{
    if (is_worker(child)) {
        const struct holding *holding = attempts_find(sim, child->index, task, fence);
        const struct attempt *attempt = check_attempt((struct sim *)sim, task, fence);
        bool told = attempt != NULL && attempt->reported;
        return holding != NULL && (holding->wire == 0 || holding->wire == child->wire) && !told;
    }
    const struct booked *below = check_booked(sim, child->index, task);
    bool on_its_way =
        check_booked(sim, 0, task)->sent_wire == child->wire && below->arrived_custody != fence.custody;
    return (below->stored && below->custody == fence.custody) || on_its_way;
}

static void look_at(struct sim *sim, const struct sim_node *node, struct book *book, uint32_t task)
{
    struct booked *booked = &book->tasks[task];
    const struct sim_node *child = &sim->nodes[book_holder(book, booked)];
    if (!in_session(sim, child) || is_known_below(sim, child, task, booked->granted)) {
        booked->orphan_ns = 0;
        return;
    }
    if (booked->orphan_ns == 0)
        booked->orphan_ns = sim->now_ns;
    if (sim->now_ns - booked->orphan_ns > ORPHAN_MS * MS)
        violation(sim, 9,
                  "%s has task %u granted to %s under %s, and since %.3f s there is nobody who knows of it",
                  node->name, task, child->name, check_fence_text(booked->granted, 0),
                  (double)booked->orphan_ns / 1e9);
}

void progress_look(struct sim *sim)
{
    if (sim->now_ns < sim->checks->look_ns)
        return;
    sim->checks->look_ns = sim->now_ns + LOOK_MS * MS;
    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct book *book = &sim->checks->books[i];
        for (uint32_t k = 0; k < book->open_count && !sim->failed; k++)
            look_at(sim, &sim->nodes[i], book, book->open[k]);
    }
}
