/* The wires between children and parents, with nodes that only count: inside a session all comes in order and
 * without a gap, whatever happens to it, unless somebody is hostile. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "proto/message.h"
#include "sim/sim.h"

enum { SAY_MS = 40, SESSION_MS = 7000, PEERS_MAX = 100000 };

struct counting {
    uint64_t session, session_ns, say_ns;
    struct link up, down; /* of a worker; `down` counts what it has heard */
};

static uint64_t heard[PEERS_MAX]; /* by a region: the last sequence of each peer */
static struct link links[PEERS_MAX];
static uint64_t gaps, messages, answers, sessions;

static void *make_node(const struct sim_node *node)
{
    (void)node;
    return take_memory(1, sizeof(struct counting));
}

static void say(struct outputs *outputs, uint64_t peer, struct link *link)
{
    write_array(outputs_message(outputs, peer, MESSAGE_ANSWER, link, 0), 0);
    outputs_message_end(outputs);
}

static bool is_next(const struct event *event, uint64_t *last)
{
    struct message_header header;
    if (message_read(event->frame, &header) != READER_OK || header.kind != MESSAGE_ANSWER)
        return false;
    if (header.sequence == 0)
        return true; /* its session had ended when the batch was closed: it was given no number */
    bool next = header.sequence == *last + 1;
    *last = header.sequence;
    return next;
}

static void begin_session(struct counting *worker, const struct event *event, struct outputs *outputs)
{
    worker->session++;
    sessions++;
    worker->session_ns = event->now_ns;
    worker->up = worker->down = (struct link){.sent = 0};
    worker->say_ns = event->now_ns + SAY_MS * MS;
    say(outputs, peer_make(PORT_PARENT, worker->session), &worker->up);
}

static void step_worker(void *self, const struct event *event, struct outputs *outputs)
{
    struct counting *worker = self;
    if (event->kind == EVENT_START ||
        (event->kind == EVENT_LINK_DOWN && peer_number(event->peer) == worker->session)) {
        begin_session(worker, event, outputs);
    } else if (event->kind == EVENT_TIMEOUT && event->now_ns > worker->session_ns + SESSION_MS * MS) {
        begin_session(worker, event, outputs);
    } else if (event->kind == EVENT_TIMEOUT) {
        worker->say_ns = event->now_ns + SAY_MS * MS;
        say(outputs, peer_make(PORT_PARENT, worker->session), &worker->up);
    } else if (event->kind == EVENT_MESSAGE && peer_number(event->peer) == worker->session) {
        answers++;
        gaps += !is_next(event, &worker->down.received);
    }
}

static uint64_t deadline_of_worker(const void *self)
{
    return ((const struct counting *)self)->say_ns;
}

static void step_region(void *self, const struct event *event, struct outputs *outputs)
{
    uint64_t number = peer_number(event->peer);
    (void)self;
    if (event->kind != EVENT_MESSAGE || peer_port(event->peer) != PORT_CHILD)
        return;
    cr_assert_lt(number, PEERS_MAX);
    messages++;
    gaps += !is_next(event, &heard[number]);
    say(outputs, event->peer, &links[number]);
}

static void step_nothing(void *self, const struct event *event, struct outputs *outputs)
{
    (void)self, (void)event, (void)outputs;
}

static uint64_t deadline_never(const void *self)
{
    (void)self;
    return DEADLINE_NEVER;
}

static bool never_done(const void *self)
{
    (void)self;
    return false;
}

static const struct role counters[3] = {
    {"broker", make_node, free, step_nothing, deadline_never, never_done},
    {"region", make_node, free, step_region, deadline_never, never_done},
    {"worker", make_node, free, step_worker, deadline_of_worker, never_done},
};

static bool is_hostile(const struct fault *fault)
{
    return strcmp(fault_text(fault), "hostile link") == 0 || strcmp(fault_text(fault), "stranger") == 0;
}

/* Nobody serves the client: the run ends when that is noticed, after all faults. */
static void run(uint64_t seed, bool hostile)
{
    static struct sim sim;
    struct sim_options options = {.seed = seed,
                                  .tasks = 1,
                                  .regions = 1,
                                  .workers = 2,
                                  .clients = 1,
                                  .duration_ms = 60000,
                                  .faults = true};
    memset(heard, 0, sizeof heard);
    memset(links, 0, sizeof links);
    cr_assert(sim_init(&sim, &options, counters));
    for (uint32_t i = 0; i < sim.fault_count; i++)
        if (is_hostile(&sim.faults[i]) != hostile)
            sim.options.left_out |= 1ull << i;
    sim_run(&sim);
    sim_release(&sim);
}

Test(network, a_session_is_in_order_and_without_gaps, .timeout = 100)
{
    for (uint64_t seed = 1; seed <= 30; seed++)
        run(seed, false);
    cr_assert_eq(gaps, 0);
    cr_assert_gt(sessions, 100);
    cr_assert_gt(messages, 10000);
    cr_assert_gt(answers, messages / 2);
}

Test(network, a_hostile_wire_leaves_gaps, .timeout = 100)
{
    for (uint64_t seed = 1; seed <= 30; seed++)
        run(seed, true);
    cr_assert_gt(gaps, 0);
}
