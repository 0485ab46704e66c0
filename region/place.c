/* place.c - which worker runs a task: those that can and have a free slot, then the least score. */
#include "proto/bug.h"
#include "region/region_state.h"

uint32_t place_free_slots(const struct region *region, struct child *worker, uint16_t class)
{
    const struct child_class *of = child_class(&region->tasks.children, worker, class);
    uint32_t busy = worker->granted + worker->strays.count;
    if (BUG(SLOTS_UNCOUNTED))
        return of->slots;
    if (of->granted >= of->slots || busy >= worker->slots || busy >= region->options.window)
        return 0;
    uint32_t free_slots = worker->slots - busy, free_of_class = of->slots - of->granted;
    return free_slots < free_of_class ? free_slots : free_of_class;
}

static struct child *choose(struct region *region, uint16_t class)
{
    const struct children *workers = &region->tasks.children;
    struct child *best = NULL;
    uint64_t best_score = UINT64_MAX;
    for (uint32_t i = 0; i < workers->count; i++) {
        struct child *worker = workers->all[i];
        if (!child_may_work(worker) || place_free_slots(region, worker, class) == 0)
            continue;
        uint64_t score = place_least_tasks(worker);
        if (score < best_score) {
            best = worker;
            best_score = score;
        }
    }
    return best;
}

enum task_reason place_reason(struct region *region, uint16_t class)
{
    uint32_t slots, busy;
    place_slots(region, class, &slots, &busy);
    if (slots == 0)
        return REASON_NO_CAPABLE_WORKER;
    return region->room.paused ? REASON_STORE_FULL : REASON_NO_CREDIT;
}

void place_slots(struct region *region, uint16_t class, uint32_t *ret_slots, uint32_t *ret_busy)
{
    const struct children *workers = &region->tasks.children;
    *ret_slots = *ret_busy = 0;
    for (uint32_t i = 0; i < workers->count; i++) {
        struct child *worker = workers->all[i];
        if (!child_may_work(worker) || child_class(workers, worker, class)->slots == 0)
            continue;
        uint32_t busy = worker->granted + worker->strays.count;
        *ret_slots += worker->slots;
        *ret_busy += busy < worker->slots ? busy : worker->slots;
    }
}

/* A fence above every earlier one of the task: its custody, this start's epoch, one more attempt. */
static struct fence next_fence(const struct region *region, const struct task *task)
{
    return (struct fence){
        .custody = (uint32_t)task->custody, .epoch = region->epoch, .attempt = task->fence.attempt + 1};
}

/* A peer reported an epoch above ours (an older store was put in place): rise above it, durably. */
static void raise_epoch(struct region *region, struct outputs *outputs)
{
    if (region->tasks.highest_epoch <= region->epoch)
        return;
    region->epoch = region->tasks.highest_epoch + 1;
    region_put_meta(region, outputs);
}

void region_dispatch(struct region *region, struct outputs *outputs)
{
    struct ledger *tasks = &region->tasks;
    uint32_t barren = 0;
    raise_epoch(region, outputs);
    while (tasks->ready.count > 0 && barren < tasks->ready.ring_count) {
        if (!room_for_grant(&region->room, tasks->tasks.live, ledger_granted(tasks), outputs))
            break; /* each step looks whether there is room again */
        if (ledger_room(tasks, outputs) < 512 || outputs_full(outputs)) {
            region->more_work = true;
            return;
        }
        uint16_t class = ready_first_class(&tasks->ready);
        struct child *worker = choose(region, class);
        ready_turn(&tasks->ready);
        if (worker == NULL) {
            barren++;
            continue;
        }
        barren = 0;
        region->incapable_since_ns[class] = 0;
        uint32_t index = ready_peek(&tasks->ready, class);
        ledger_assign(tasks, index, worker, next_fence(region, ledger_task(tasks, index)), outputs);
    }
    region->dispatch = false;
}
