/* watches.c - see watches.h. */
#include "broker/watches.h"

#include <stdlib.h>

#include "broker/broker_state.h"
#include "engine/rows.h"
#include "proto/assert.h"

#define uthash_fatal(message) ASSERT(!message)
#include <uthash.h>

/* Left to the rest of the step, which may still have as many grants and ended ids to write. */
enum { ANSWER_ROOM_LEFT = 1100, DROPPED_PER_STEP = 4096 };

struct pusher_by_peer {
    uint64_t peer;
    uint32_t pusher;
    UT_hash_handle hh;
};

static struct watch *node_at(const struct watches *watches, uint32_t index)
{
    return slab_at(&watches->nodes, index);
}

static struct poll *poll_at(const struct watches *watches, uint32_t index)
{
    return slab_at(&watches->polls, index);
}

static struct pusher *pusher_at(const struct watches *watches, uint32_t index)
{
    return slab_at(&watches->pushers, index);
}

static bool poll_before(void *owner, uint32_t a, uint32_t b)
{
    const struct poll *first = poll_at(owner, a), *second = poll_at(owner, b);
    return first->deadline_ns != second->deadline_ns ? first->deadline_ns < second->deadline_ns : a < b;
}

static void poll_place(void *owner, uint32_t item, uint32_t position)
{
    poll_at(owner, item)->timer = position;
}

void watches_init(struct watches *watches)
{
    memset(watches, 0, sizeof *watches);
    slab_init(&watches->nodes, sizeof(struct watch), WATCHES_MAX);
    slab_init(&watches->polls, sizeof(struct poll), POLLS_MAX);
    slab_init(&watches->pushers, sizeof(struct pusher), PUSHERS_MAX);
    heap_init(&watches->poll_timers, (struct heap_owner){watches, poll_before, poll_place});
}

void watches_release(struct watches *watches)
{
    struct pusher_by_peer *entry, *next;
    HASH_ITER(hh, watches->by_peer, entry, next)
    {
        HASH_DEL(watches->by_peer, entry);
        free(entry);
    }
    heap_release(&watches->poll_timers);
    slab_release(&watches->pushers);
    slab_release(&watches->polls);
    slab_release(&watches->nodes);
}

/* ---- pushers ---- */

/* The pusher is told nothing more. Its nodes are dropped a few thousand at a time; the last one frees it. */
static void pusher_gone(struct watches *watches, struct pusher_by_peer *entry)
{
    uint32_t index = entry->pusher;
    struct pusher *pusher = pusher_at(watches, index);
    pusher->gone = true;
    HASH_DEL(watches->by_peer, entry);
    free(entry);
    if (pusher->watches == 0) {
        slab_give(&watches->pushers, index);
    } else if (pusher->first != 0) {
        pusher->listed = true;
        pusher->next_gone = watches->first_gone;
        watches->first_gone = index;
    }
}

/* Clients go without a word: those that lapsed make room for new ones. */
static void reclaim_pushers(struct watches *watches, uint64_t now_ns)
{
    struct pusher_by_peer *entry, *next;
    if (now_ns < watches->reclaim_ns)
        return;
    watches->reclaim_ns = now_ns + 1000 * NANOSECONDS_PER_MS;
    HASH_ITER(hh, watches->by_peer, entry, next)
    {
        if (pusher_at(watches, entry->pusher)->lapse_ns <= now_ns)
            pusher_gone(watches, entry);
    }
}

uint32_t watches_pusher(struct watches *watches, uint64_t peer, uint64_t now_ns)
{
    struct pusher_by_peer *entry;
    HASH_FIND(hh, watches->by_peer, &peer, sizeof peer, entry);
    if (entry == NULL) {
        if (watches->pushers.live >= PUSHERS_MAX)
            reclaim_pushers(watches, now_ns);
        entry = malloc(sizeof *entry);
        uint32_t index = entry == NULL ? 0 : slab_take(&watches->pushers);
        if (index == 0) {
            free(entry);
            return 0;
        }
        *entry = (struct pusher_by_peer){.peer = peer, .pusher = index};
        HASH_ADD(hh, watches->by_peer, peer, sizeof entry->peer, entry);
        pusher_at(watches, index)->peer = peer;
    }
    pusher_at(watches, entry->pusher)->lapse_ns = now_ns + PUSH_LAPSE_MS * NANOSECONDS_PER_MS;
    return entry->pusher;
}

/* To the head of its task's list. */
static void link_node(struct watches *watches, struct task *task, uint32_t index)
{
    node_at(watches, index)->next_of_task = task->watch;
    if (task->watch != 0)
        node_at(watches, task->watch)->previous_of_task = index;
    task->watch = index;
}

/* Into the list of its pusher, and out of it. */
static void own(struct watches *watches, uint32_t index)
{
    struct pusher *pusher = pusher_at(watches, node_at(watches, index)->pusher);
    node_at(watches, index)->next_of_owner = pusher->first;
    if (pusher->first != 0)
        node_at(watches, pusher->first)->previous_of_owner = index;
    pusher->first = index;
}

static void disown(struct watches *watches, uint32_t index)
{
    struct watch *node = node_at(watches, index);
    if (node->next_of_owner != 0)
        node_at(watches, node->next_of_owner)->previous_of_owner = node->previous_of_owner;
    if (node->previous_of_owner != 0)
        node_at(watches, node->previous_of_owner)->next_of_owner = node->next_of_owner;
    else
        pusher_at(watches, node->pusher)->first = node->next_of_owner;
    node->next_of_owner = node->previous_of_owner = 0;
}

bool watches_push(struct watches *watches, struct task *task, uint32_t pusher)
{
    for (uint32_t at = task->watch; at != 0; at = node_at(watches, at)->next_of_task)
        if (node_at(watches, at)->pusher == pusher)
            return true;
    uint32_t index = slab_take(&watches->nodes);
    if (index == 0)
        return false;
    *node_at(watches, index) = (struct watch){.id = task->id, .pusher = pusher};
    link_node(watches, task, index);
    own(watches, index);
    pusher_at(watches, pusher)->watches++;
    return true;
}

/* ---- polls ---- */

uint32_t watches_poll(struct watches *watches, uint64_t peer, uint64_t sequence, uint64_t deadline_ns)
{
    uint32_t index = slab_take(&watches->polls);
    if (index == 0)
        return 0;
    *poll_at(watches, index) = (struct poll){.peer = peer, .sequence = sequence, .deadline_ns = deadline_ns};
    if (!heap_insert(&watches->poll_timers, index)) {
        slab_give(&watches->polls, index);
        return 0;
    }
    return index;
}

bool watches_poll_add(struct watches *watches, const struct task_id *id, struct task *task,
                      uint32_t poll_index)
{
    uint32_t index = slab_take(&watches->nodes);
    if (index == 0)
        return false;
    struct poll *poll = poll_at(watches, poll_index);
    *node_at(watches, index) = (struct watch){.id = *id, .next_of_owner = poll->first, .poll = poll_index};
    if (task != NULL)
        link_node(watches, task, index);
    poll->first = index;
    poll->count++;
    return true;
}

void watches_on_end(struct watches *watches, struct task *task)
{
    uint32_t next;
    for (uint32_t at = task->watch; at != 0; at = next) {
        struct watch *node = node_at(watches, at);
        next = node->next_of_task;
        node->next_of_task = node->previous_of_task = 0;
        if (node->poll != 0) {
            struct poll *poll = poll_at(watches, node->poll);
            if (!poll->due) {
                poll->due = true;
                poll->next_due = watches->first_due;
                watches->first_due = node->poll;
            }
            continue; /* the node is freed with its poll */
        }
        disown(watches, at);
        if (watches->last_push != 0)
            node_at(watches, watches->last_push)->next_of_task = at;
        else
            watches->first_push = at;
        watches->last_push = at;
    }
    task->watch = 0;
}

/* Take a poll's node out of the list of its task, if the task still lives. */
static void unlink_node(struct broker *broker, uint32_t index)
{
    struct watches *watches = &broker->watches;
    uint32_t task_index = ledger_find(&broker->tasks, &node_at(watches, index)->id);
    if (task_index == 0)
        return;
    uint32_t *head = &ledger_task(&broker->tasks, task_index)->watch;
    const struct watch *node = node_at(watches, index);
    if (node->previous_of_task == 0 && *head != index)
        return; /* the task came only after its watch */
    if (node->next_of_task != 0)
        node_at(watches, node->next_of_task)->previous_of_task = node->previous_of_task;
    if (node->previous_of_task != 0)
        node_at(watches, node->previous_of_task)->next_of_task = node->next_of_task;
    else
        *head = node->next_of_task;
}

static void free_poll(struct broker *broker, uint32_t index)
{
    struct watches *watches = &broker->watches;
    struct poll *poll = poll_at(watches, index);
    uint32_t next;
    for (uint32_t at = poll->first; at != 0; at = next) {
        next = node_at(watches, at)->next_of_owner;
        unlink_node(broker, at);
        slab_give(&watches->nodes, at);
    }
    if (poll->timer != 0)
        heap_remove(&watches->poll_timers, poll->timer);
    slab_give(&watches->polls, index);
}

/* Drop watches of pushers that are gone, as many as a step should. */
static void drop_gone(struct broker *broker)
{
    struct watches *watches = &broker->watches;
    for (uint32_t dropped = 0; watches->first_gone != 0 && dropped < DROPPED_PER_STEP;) {
        uint32_t pusher_index = watches->first_gone;
        struct pusher *pusher = pusher_at(watches, pusher_index);
        for (; pusher->first != 0 && dropped < DROPPED_PER_STEP; dropped++) {
            uint32_t index = pusher->first;
            unlink_node(broker, index);
            disown(watches, index);
            slab_give(&watches->nodes, index);
            pusher->watches--;
        }
        if (pusher->first != 0)
            return;
        watches->first_gone = pusher->next_gone;
        pusher->listed = false;
        if (pusher->watches == 0)
            slab_give(&watches->pushers, pusher_index);
    }
}

/* RESULT with what has ended and fits, the rest as pending; or PENDING with state and reason of each. */
static void answer(struct broker *broker, uint32_t index, struct outputs *outputs)
{
    const struct poll *poll = poll_at(&broker->watches, index);
    struct task_id ids[FRAME_ENTRIES_MAX];
    uint32_t left = poll->count; /* the newest comes first; the reply has the order of the request */
    for (uint32_t at = poll->first; at != 0; at = node_at(&broker->watches, at)->next_of_owner)
        ids[--left] = node_at(&broker->watches, at)->id;
    broker_write_watch_reply(broker, poll->peer, poll->sequence, ids, poll->count, outputs);
    free_poll(broker, index);
}

static void push_result(struct broker *broker, const struct watch *node, struct outputs *outputs)
{
    const struct pusher *pusher = pusher_at(&broker->watches, node->pusher);
    const struct ended_entry *entry = ledger_find_ended(&broker->tasks, &node->id);
    if (pusher->gone || pusher->lapse_ns <= broker->tasks.now_ns || entry == NULL)
        return;
    uint32_t message;
    struct writer *writer = outputs_entry(outputs, pusher->peer, MESSAGE_RESULT, NULL,
                                          RESULT_HEAD_BYTES + entry->outcome_size, &message);
    broker_write_result(outputs, writer, entry);
    outputs_entry_end(outputs);
}

/* The first of the pushes that are due. */
static void push_first(struct broker *broker, struct outputs *outputs)
{
    struct watches *watches = &broker->watches;
    uint32_t index = watches->first_push;
    const struct watch *node = node_at(watches, index);
    struct pusher *pusher = pusher_at(watches, node->pusher);
    push_result(broker, node, outputs);
    if (--pusher->watches == 0 && pusher->gone && !pusher->listed)
        slab_give(&watches->pushers, node->pusher);
    watches->first_push = node->next_of_task;
    if (watches->first_push == 0)
        watches->last_push = 0;
    slab_give(&watches->nodes, index);
}

static bool has_room(const struct outputs *outputs)
{
    return outputs_room(outputs) >= ANSWER_ROOM_LEFT && !outputs_full(outputs);
}

void watches_answer(struct broker *broker, struct outputs *outputs)
{
    struct watches *watches = &broker->watches;
    while (watches->first_push != 0 && has_room(outputs))
        push_first(broker, outputs);
    while (watches->first_due != 0 && has_room(outputs)) {
        uint32_t index = watches->first_due;
        watches->first_due = poll_at(watches, index)->next_due;
        answer(broker, index, outputs);
    }
}

bool watches_on_timeout(struct broker *broker, struct outputs *outputs)
{
    struct watches *watches = &broker->watches;
    drop_gone(broker);
    watches_answer(broker, outputs);
    if (watches->first_due != 0)
        return true; /* a poll that is due has its answer coming, and no other */
    for (;;) {
        uint32_t index = heap_top(&watches->poll_timers);
        if (index == 0 || poll_at(watches, index)->deadline_ns > broker->tasks.now_ns)
            return false;
        if (!has_room(outputs))
            return true;
        answer(broker, index, outputs);
    }
}

void watches_on_peer_gone(struct watches *watches, uint64_t peer)
{
    struct pusher_by_peer *entry;
    HASH_FIND(hh, watches->by_peer, &peer, sizeof peer, entry);
    if (entry != NULL)
        pusher_gone(watches, entry);
}

uint64_t watches_deadline_ns(const struct watches *watches)
{
    if (watches->first_push != 0 || watches->first_due != 0 || watches->first_gone != 0)
        return 0;
    uint32_t index = heap_top(&watches->poll_timers);
    return index == 0 ? DEADLINE_NEVER : poll_at(watches, index)->deadline_ns;
}
