/* network.c - wires between children and parents: order kept, time not; and how their ends go. */
#include <stdlib.h>

#include "proto/assert.h"
#include "sim/wire.h"

enum { NOTICE_MS_MAX = 30 };

static void link_down(struct sim *sim, const struct sim_node *node, uint64_t peer, uint64_t delay_ns)
{
    timeline_add(&sim->timeline, (struct occasion){.at_ns = sim->now_ns + delay_ns,
                                                   .what = HAPPENS_LINK_DOWN,
                                                   .node = node->index,
                                                   .life = node->life,
                                                   .number = peer});
}

static uint64_t notice_ns(struct sim *sim)
{
    return dice_below(&sim->dice, NOTICE_MS_MAX * MS) + 1000;
}

uint64_t wire_peer_at_parent(const struct sim *sim, const struct wire *wire)
{
    return peer_make(PORT_CHILD, (uint64_t)(wire - sim->wires) + 1);
}

static uint64_t peer_at_child(const struct wire *wire)
{
    return peer_make(PORT_PARENT, wire->session);
}

struct wire_queue *wire_queue(struct wire *wire, bool up)
{
    return up ? &wire->up : &wire->down;
}

struct wire *network_wire(const struct sim *sim, const struct sim_node *child)
{
    return child->wire == 0 ? NULL : &sim->wires[child->wire - 1];
}

static bool has_node(const struct sim *sim, const struct wire *wire, bool child)
{
    const struct sim_node *node = &sim->nodes[child ? wire->child : wire->parent];
    if (child && wire->stranger)
        return wire->child_open;
    return node->alive && node->life == (child ? wire->child_life : wire->parent_life);
}

static uint64_t cut_until_ns(const struct sim *sim, const struct wire *wire, bool up)
{
    const struct sim_node *child = &sim->nodes[wire->child];
    return up ? child->cut_up_until_ns : child->cut_down_until_ns;
}

/* ---- frames on their way ---- */

/* Frames beyond the first `keep` never arrive; their arrivals find the queue empty. */
static void lose(struct wire_queue *queue, size_t keep)
{
    while (queue->count > keep)
        free(queue->frames[queue->first + --queue->count].data);
}

static void make_room(struct wire_queue *queue)
{
    if (queue->first + queue->count < queue->capacity)
        return;
    if (queue->first > queue->capacity / 2) {
        memmove(queue->frames, queue->frames + queue->first, queue->count * sizeof *queue->frames);
        queue->first = 0;
        return;
    }
    queue->capacity = queue->capacity == 0 ? 16 : 2 * queue->capacity;
    queue->frames = realloc(queue->frames, queue->capacity * sizeof *queue->frames);
    ASSERT(queue->frames != NULL);
}

void wire_push(struct sim *sim, struct wire *wire, bool up, struct frame frame)
{
    struct wire_queue *queue = wire_queue(wire, up);
    const struct sim_node *child = &sim->nodes[wire->child];
    uint64_t at_ns = sim->now_ns;
    make_room(queue);
    queue->frames[queue->first + queue->count++] = frame;
    if (child->slow_link_until_ns > sim->now_ns) { /* each byte waits for those before it */
        at_ns = queue->last_ns > at_ns ? queue->last_ns : at_ns;
        at_ns += frame.size * MS / child->link_bytes_per_ms;
    }
    at_ns += child->latency_ns + dice_below(&sim->dice, sim->jitter_us * 1000ull);
    queue->last_ns = at_ns > queue->last_ns ? at_ns : queue->last_ns + 1;
    timeline_add(&sim->timeline, (struct occasion){.at_ns = queue->last_ns,
                                                   .what = HAPPENS_ARRIVAL,
                                                   .number = (uint64_t)(wire - sim->wires),
                                                   .detail = up});
}

void network_arrival(struct sim *sim, const struct occasion *occasion)
{
    struct wire *wire = &sim->wires[occasion->number];
    bool up = occasion->detail != 0;
    struct wire_queue *queue = wire_queue(wire, up);
    struct sim_node *to = &sim->nodes[up ? wire->parent : wire->child];
    if (queue->count == 0)
        return; /* lost on the way */
    uint64_t cut_ns = cut_until_ns(sim, wire, up), later_ns = node_ready_ns(sim, to);
    later_ns = cut_ns > later_ns ? cut_ns : later_ns;
    if (later_ns > sim->now_ns) {
        struct occasion later = *occasion;
        later.at_ns = later_ns;
        timeline_add(&sim->timeline, later);
        return;
    }
    struct frame frame = queue->frames[queue->first++];
    queue->count--;
    /* Leftovers of a closed child end still reach the parent; nothing reaches a child that has closed. */
    bool heard = up || (wire->child_open && !wire->stranger);
    if (!heard || !has_node(sim, wire, !up)) {
        free(frame.data);
        return;
    }
    if (!frame.injected)
        check_arrival(sim, to, &frame);
    struct event event = {.kind = EVENT_MESSAGE, .peer = frame.peer, .frame = {frame.data, frame.size}};
    node_step(sim, to, &event, &frame);
}

/* ---- how wires begin and end ---- */

void wire_close(struct sim *sim, struct wire *wire, bool at_child)
{
    struct wire_queue *out = wire_queue(wire, at_child);
    bool *mine = at_child ? &wire->child_open : &wire->parent_open;
    bool other_open = at_child ? wire->parent_open : wire->child_open;
    if (!*mine)
        return;
    *mine = false;
    lose(wire_queue(wire, !at_child), 0);
    if (dice_percent(&sim->dice, 50))
        lose(out, dice_below(&sim->dice, out->count + 1));
    bool cut = cut_until_ns(sim, wire, at_child) > sim->now_ns;
    if (!other_open || cut || dice_percent(&sim->dice, 20))
        return; /* a machine that loses its power says nothing */
    const struct sim_node *other = &sim->nodes[at_child ? wire->parent : wire->child];
    if (has_node(sim, wire, !at_child) && !(wire->stranger && !at_child))
        link_down(sim, other, at_child ? wire_peer_at_parent(sim, wire) : peer_at_child(wire),
                  notice_ns(sim));
}

void wire_cut(struct sim *sim, struct wire *wire)
{
    if (has_node(sim, wire, true) && wire->child_open)
        link_down(sim, &sim->nodes[wire->child], peer_at_child(wire), notice_ns(sim));
    if (has_node(sim, wire, false) && wire->parent_open)
        link_down(sim, &sim->nodes[wire->parent], wire_peer_at_parent(sim, wire), notice_ns(sim));
    wire->child_open = wire->parent_open = false;
    lose(&wire->up, dice_percent(&sim->dice, 50) ? wire->up.count : 0); /* leftovers may arrive */
    lose(&wire->down, 0);
}

struct wire *wire_open(struct sim *sim, struct sim_node *child, uint64_t session)
{
    if (sim->wire_count == sim->wire_capacity) {
        sim->wire_capacity = sim->wire_capacity == 0 ? 64 : 2 * sim->wire_capacity;
        sim->wires = realloc(sim->wires, sim->wire_capacity * sizeof *sim->wires);
        ASSERT(sim->wires != NULL);
    }
    struct sim_node *parent = &sim->nodes[child->parent];
    struct wire *wire = &sim->wires[sim->wire_count++];
    *wire = (struct wire){.child = child->index,
                          .child_life = child->life,
                          .parent = parent->index,
                          .parent_life = parent->life,
                          .session = session,
                          .child_open = true,
                          .parent_open = parent->alive};
    return wire;
}

static void begin_session(struct sim *sim, struct sim_node *child, uint64_t session)
{
    if (child->wire != 0)
        wire_close(sim, network_wire(sim, child), true);
    wire_open(sim, child, session);
    child->session = session;
    child->wire = sim->wire_count;
}

/* The parent's socket had no room for a frame: it takes the peer for gone. The connection is still there, and
 * what comes by it next is a new peer's. */
static void renumber(struct sim *sim, uint32_t index)
{
    struct sim_node *child = &sim->nodes[sim->wires[index].child];
    bool newest = child->wire == index + 1 && !sim->wires[index].stranger;
    sim->wires[index].parent_open = false;
    if (!newest)
        return;
    struct wire *renewed = wire_open(sim, child, child->session), *old = &sim->wires[index];
    renewed->up.last_ns = old->up.last_ns;
    renewed->down.last_ns = old->down.last_ns;
    child->wire = sim->wire_count;
}

void network_node_gone(struct sim *sim, const struct sim_node *node)
{
    for (uint32_t i = 0; i < sim->wire_count; i++) {
        struct wire *wire = &sim->wires[i];
        if (wire->child == node->index && wire->child_life + 1 == node->life && !wire->stranger)
            wire_close(sim, wire, true);
        if (wire->parent == node->index && wire->parent_life + 1 == node->life)
            wire_close(sim, wire, false);
    }
}

void network_release(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->wire_count; i++) {
        lose(&sim->wires[i].up, 0);
        lose(&sim->wires[i].down, 0);
        free(sim->wires[i].up.frames);
        free(sim->wires[i].down.frames);
    }
    for (size_t i = 0; i < sizeof sim->overheard / sizeof sim->overheard[0]; i++)
        free(sim->overheard[i].data);
    free(sim->wires);
}

/* ---- sending ---- */

/* False: it does not fit (EAGAIN), and is gone. */
static bool send_on(struct sim *sim, struct wire *wire, bool up, struct frame frame)
{
    if (wire_queue(wire, up)->count >= sim->high_water) {
        free(frame.data);
        return false;
    }
    if (sim->nodes[wire->child].hostile_until_ns > sim->now_ns)
        hostile_push(sim, wire, up, frame);
    else
        wire_push(sim, wire, up, frame);
    return true;
}

static void send_up(struct sim *sim, struct sim_node *from, struct frame frame)
{
    uint64_t session = peer_number(frame.peer);
    if (session > from->session)
        begin_session(sim, from, session);
    struct wire *wire = network_wire(sim, from);
    bool open = wire != NULL && session == wire->session && wire->child_open;
    if (open && wire->parent_open && has_node(sim, wire, false)) {
        frame.peer = wire_peer_at_parent(sim, wire);
        if (send_on(sim, wire, true, frame))
            return;
        wire_close(sim, wire, true);
        link_down(sim, from, peer_at_child(wire), 1000);
        return;
    }
    free(frame.data);
    if (open && from->cut_up_until_ns <= sim->now_ns && dice_percent(&sim->dice, 80))
        link_down(sim, from, peer_at_child(wire), notice_ns(sim)); /* refused, or reset */
}

static void send_down(struct sim *sim, struct sim_node *from, struct frame frame)
{
    uint64_t index = peer_number(frame.peer) - 1, peer = frame.peer;
    struct wire *wire = index < sim->wire_count ? &sim->wires[index] : NULL;
    bool mine = wire != NULL && wire->parent == from->index && wire->parent_life == from->life;
    if (mine && wire->child_open && wire->parent_open && has_node(sim, wire, true)) {
        frame.peer = peer_at_child(wire);
        if (send_on(sim, wire, false, frame))
            return;
        renumber(sim, (uint32_t)index);
        link_down(sim, from, peer, 1000);
        return;
    }
    free(frame.data);
    if (mine && from->alive && !wire->parent_open)
        return; /* it knows */
    if (mine)
        link_down(sim, from, peer, 1000); /* EHOSTUNREACH */
}

void network_send(struct sim *sim, struct sim_node *from, struct frame frame)
{
    sim_hash(sim, frame.data, frame.size);
    switch (peer_port(frame.peer)) {
    case PORT_CLIENT:
        client_reply(sim, frame.peer, frame);
        break;
    case PORT_CHILD:
        send_down(sim, from, frame);
        break;
    case PORT_PARENT:
        send_up(sim, from, frame);
        break;
    }
}
