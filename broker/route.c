/* route.c - which region a task goes to: constraints first, then the nearest with credit (geo_nearest).
 *
 * Nearest is by measured round trip in rings of RING_US, so that noise does not decide; within a ring the
 * region with most free credit, then the name. Credit of a class is CREDIT_PER_SLOT times its slots there,
 * less what the region holds of it; over all classes a region holds at most the window. See reference: each
 * policy is a scoring function. */
#include "broker/broker_state.h"
#include "proto/bug.h"
#include "proto/text.h"

enum { RING_US = 5000, CREDIT_PER_SLOT = 2 };

uint32_t route_credit(const struct broker *broker, struct child *region, uint16_t class)
{
    const struct child_class *offer = child_class(&broker->tasks.children, region, class);
    uint64_t limit = (uint64_t)offer->slots * CREDIT_PER_SLOT;
    uint64_t held = offer->granted, window = broker->options.window,
             all = region->granted + region->strays.count;
    if (BUG(CREDIT_UNCOUNTED))
        return offer->slots;
    uint64_t of_class = limit > held ? limit - held : 0;
    uint64_t of_window = window > all ? window - all : 0;
    return (uint32_t)(of_class < of_window ? of_class : of_window);
}

static bool allowed(const struct requirement *requirement, const struct child *region)
{
    return requirement->region.size == 0 || bytes_are(requirement->region, region->name);
}

/* Is `a` the better place? */
static bool better(const struct child *a, uint32_t credit_a, const struct child *b, uint32_t credit_b)
{
    uint32_t ring_a = a->rtt_us / RING_US, ring_b = b->rtt_us / RING_US;
    if (ring_a != ring_b)
        return ring_a < ring_b;
    if (credit_a != credit_b)
        return credit_a > credit_b;
    return memcmp(a->name, b->name, sizeof a->name) < 0;
}

struct child *route_choose(struct broker *broker, uint16_t class)
{
    const struct children *regions = &broker->tasks.children;
    struct requirement requirement;
    struct child *best = NULL;
    uint32_t best_credit = 0;
    classes_requirement(&broker->tasks.classes, class, &requirement);
    for (uint32_t i = 0; i < regions->count; i++) {
        struct child *region = regions->all[i];
        if (!child_may_work(region) || !allowed(&requirement, region))
            continue;
        uint32_t credit = route_credit(broker, region, class);
        if (credit > 0 && (best == NULL || better(region, credit, best, best_credit))) {
            best = region;
            best_credit = credit;
        }
    }
    return best;
}

enum task_reason route_reason(struct broker *broker, uint16_t class)
{
    const struct children *regions = &broker->tasks.children;
    struct requirement requirement;
    bool reachable = false, capable = false;
    classes_requirement(&broker->tasks.classes, class, &requirement);
    for (uint32_t i = 0; i < regions->count; i++) {
        struct child *region = regions->all[i];
        if (!allowed(&requirement, region) || !child_may_work(region))
            continue;
        reachable = true;
        capable = capable || child_class(regions, region, class)->slots > 0;
    }
    if (!reachable)
        return REASON_NO_REGION;
    if (!capable)
        return REASON_NO_CAPABLE_WORKER;
    return broker->room.paused ? REASON_STORE_FULL : REASON_NO_CREDIT;
}

void route_explain(struct broker *broker, struct child *region, uint16_t class, char *to, size_t size)
{
    struct requirement requirement;
    classes_requirement(&broker->tasks.classes, class, &requirement);
    const struct child_class *offer = child_class(&broker->tasks.children, region, class);
    struct text text;
    text_init(&text, to, size);
    if (!allowed(&requirement, region)) {
        text_add(&text, "excluded by --region ");
        text_add_bytes(&text, requirement.region);
    } else if (!child_may_work(region)) {
        text_add(&text, child_state_text(region));
    } else if (offer->slots == 0) {
        text_add(&text, "no worker runs ");
        text_add_bytes(&text, requirement.type);
        for (uint32_t i = 0; i < requirement.capability_count; i++) {
            text_add(&text, i == 0 ? " with " : ", ");
            text_add_bytes(&text, requirement.capabilities[i]);
        }
    } else if (route_credit(broker, region, class) == 0) {
        text_add(&text, "holds ");
        text_add_number(&text, offer->granted);
        text_add(&text, " for ");
        text_add_number(&text, offer->slots);
        text_add(&text, " slots: no credit");
    } else if (broker->room.paused) {
        text_add(&text, "has credit; the broker's store is full");
    }
}

void broker_dispatch(struct broker *broker, struct outputs *outputs)
{
    struct ledger *tasks = &broker->tasks;
    uint32_t barren = 0; /* classes in a row that nobody had credit for */
    while (tasks->ready.count > 0 && barren < tasks->ready.ring_count) {
        if (!room_for_grant(&broker->room, tasks->tasks.live, ledger_granted(tasks), outputs))
            break; /* each step looks whether there is room again */
        if (ledger_room(tasks, outputs) < 512 || outputs_full(outputs)) {
            broker->more_work = true;
            return;
        }
        uint16_t class = ready_first_class(&tasks->ready);
        struct child *region = route_choose(broker, class);
        ready_turn(&tasks->ready);
        if (region == NULL) {
            barren++;
            continue;
        }
        barren = 0;
        uint32_t index = ready_peek(&tasks->ready, class);
        const struct task *task = ledger_task(tasks, index);
        bool restored = broker_is_restored(broker, task);
        ledger_assign(tasks, index, region, broker_next_fence(broker, task), outputs);
        if (restored)
            ledger_put_state(tasks, index, outputs); /* its mark: until now its custody said it */
    }
    broker->dispatch = false;
}
