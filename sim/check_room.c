/* check_room.c - windows (invariant 7): a parent grants no more than its child offered, over all and per
 * class.
 *
 * What a child offers is read from its HELLO and HEARTBEATs as they reach the parent. A grant is decided
 * before its batch is on disk, and in between the offer may have shrunk: the most that was offered in the
 * last OFFER_MS counts. */
#include "sim/check.h"

enum { OFFER_MS = 60000, CREDIT_PER_SLOT = 2 };

static bool named(const struct bytes *names, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (bytes_are(names[i], name))
            return true;
    return false;
}

/* Slots for each class that tasks of the run may have; `region`: node index of where they are. */
static void offer_profile(const struct sim *sim, uint32_t region, const struct profile *profile,
                          struct offer *offer)
{
    uint32_t place = 0;
    bool disk = named(profile->capabilities, profile->capability_count, "disk");
    for (uint32_t i = 1; i <= region; i++)
        place += sim->nodes[i].parent == 0;
    offer->slots += profile->slots;
    for (uint32_t type = 0; type < TASK_TYPE_COUNT; type++) {
        if (!named(profile->types, profile->type_count, workload_type_text((enum task_type)type)))
            continue;
        for (uint32_t needs_disk = 0; needs_disk <= disk; needs_disk++) {
            offer->by_class[type * 2 + needs_disk] += profile->slots;
            offer->by_class[place * TASK_TYPE_COUNT * 2 + type * 2 + needs_disk] += profile->slots;
        }
    }
}

void room_offered(struct sim *sim, const struct sim_node *child, struct bytes profiles)
{
    struct ward *ward = &sim->checks->wards[child->index];
    struct offer *offer = &ward->offers[ward->offer_next++ % OFFERS_KEPT];
    struct profile profile;
    struct reader reader;
    *offer = (struct offer){.at_ns = sim->now_ns};
    reader_init(&reader, profiles);
    for (uint32_t left = read_array(&reader, PROFILES_MAX); left > 0 && profile_read(&reader, &profile);
         left--)
        offer_profile(sim, is_worker(child) ? child->parent : child->index, &profile, offer);
}

/* The most lately offered: of `class`, or over all if it is CLASSES_MAX_SIM. The newest offer before the time
 * that counts was still in force when it began. */
static uint32_t most_offered(const struct sim *sim, uint32_t child, uint32_t class)
{
    const struct ward *ward = &sim->checks->wards[child];
    uint32_t most = 0;
    for (uint32_t i = 0; i < OFFERS_KEPT && i < ward->offer_next; i++) {
        const struct offer *offer = &ward->offers[(ward->offer_next - 1 - i) % OFFERS_KEPT];
        uint32_t slots = class == CLASSES_MAX_SIM ? offer->slots : offer->by_class[class];
        most = slots > most ? slots : most;
        if (offer->at_ns + OFFER_MS * MS < sim->now_ns)
            break;
    }
    return most;
}

uint32_t room_slots(const struct sim *sim, uint32_t child)
{
    return most_offered(sim, child, CLASSES_MAX_SIM);
}

void room_granted(struct sim *sim, const struct sim_node *parent, const struct branch *branch, uint32_t task)
{
    uint32_t child = branch->node - 1, class = sim->workload->tasks[task].class;
    uint32_t all = WINDOW_SIM, of_class = CREDIT_PER_SLOT * most_offered(sim, child, class);
    if (!is_broker(parent)) {
        all = room_slots(sim, child);
        of_class = most_offered(sim, child, class);
    }
    if (branch->granted > all)
        violation(sim, 7, "%s grants task %u to %s, which now has %u of it, and may have %u", parent->name,
                  task, sim->nodes[child].name, branch->granted, all);
    if (branch->by_class[class] > of_class)
        violation(sim, 7, "%s grants task %u to %s, which now has %u of its class, and may have %u",
                  parent->name, task, sim->nodes[child].name, branch->by_class[class], of_class);
}

void room_assigned(struct sim *sim, const struct way *way, uint32_t task)
{
    const struct ward *ward = &sim->checks->wards[way->to];
    uint32_t busy = 0, slots = room_slots(sim, way->to);
    for (uint32_t i = 0; i < ward->held_count; i++)
        busy += !ward->held[i].over && (ward->held[i].wire == 0 || ward->held[i].wire == way->wire);
    if (busy > slots)
        violation(sim, 7, "%s assigns task %u to %s, which has %u in its hands with it, and %u slots",
                  way->from->name, task, sim->nodes[way->to].name, busy, slots);
}
