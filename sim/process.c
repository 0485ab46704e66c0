/* process.c - the tasks' processes: how long they run and how they end is drawn when they start. */
#include <errno.h>

#include "proto/assert.h"
#include "sim/sim.h"

static void plan(struct sim *sim, const struct sim_node *node, const struct sim_process *process,
                 enum happening what, uint64_t after_ns)
{
    timeline_add(&sim->timeline, (struct occasion){.at_ns = sim->now_ns + after_ns,
                                                   .what = what,
                                                   .node = node->index,
                                                   .life = node->life,
                                                   .number = (uint64_t)(process - node->processes),
                                                   .detail = process->number});
}

static uint64_t run_ns(struct sim *sim)
{
    static const uint64_t most_ms[] = {5, 50, 400, 400, 2000, 2000, 9000, 30000};
    return dice_below(&sim->dice, most_ms[dice_below(&sim->dice, 8)] * MS) + MS;
}

static void start(struct sim *sim, struct sim_node *node, const struct process *wanted)
{
    struct sim_process *process = &node->processes[wanted->slot];
    if (process->number != 0)
        violation(sim, 6, "%s: PROCESS_START in slot %u, which runs one already", node->name, wanted->slot);
    *process = (struct sim_process){.number = ++sim->processes_started,
                                    .id = wanted->id,
                                    .fence = wanted->fence,
                                    .deaf = dice_percent(&sim->dice, 20)};
    uint64_t kind = dice_below(&sim->dice, 100);
    if (kind < 2)
        process->start_error = kind == 0 ? ENOENT : EAGAIN;
    else if (kind < 14)
        process->exit_status = (int)dice_between(&sim->dice, 1, 255);
    else if (kind < 18)
        process->signal = 11;
    if (process->start_error != 0) {
        plan(sim, node, process, HAPPENS_PROCESS_ENDED, MS);
        return;
    }
    check_process_start(sim, node, wanted);
    plan(sim, node, process, HAPPENS_PROCESS_STARTED, dice_below(&sim->dice, 2 * MS));
    plan(sim, node, process, HAPPENS_PROCESS_ENDED, 2 * MS + run_ns(sim));
}

void process_perform(struct sim *sim, struct sim_node *node, const struct process *process)
{
    ASSERT(process->slot < SLOTS_MAX_SIM);
    struct sim_process *running = &node->processes[process->slot];
    bool dies = false;
    switch (process->action) {
    case PROCESS_START:
        start(sim, node, process);
        return;
    case PROCESS_TERMINATE:
        dies = running->number != 0 && !running->deaf;
        break;
    case PROCESS_KILL:
        dies = running->number != 0;
        break;
    }
    if (!dies || running->start_error != 0)
        return;
    running->signal = process->action == PROCESS_KILL ? 9 : 15;
    plan(sim, node, running, HAPPENS_PROCESS_ENDED, 2 * MS + dice_below(&sim->dice, 50 * MS));
}

void process_happens(struct sim *sim, const struct occasion *occasion)
{
    struct sim_node *node = &sim->nodes[occasion->node];
    struct sim_process *process = &node->processes[occasion->number];
    if (process->number != occasion->detail)
        return; /* it ended earlier than was planned */
    struct event event = {.kind = EVENT_PROCESS_STARTED, .process = {.slot = (uint32_t)occasion->number}};
    if (occasion->what == HAPPENS_PROCESS_ENDED) {
        event.kind = EVENT_PROCESS_ENDED;
        event.process.started = process->start_error == 0;
        event.process.exit_status = process->signal != 0 ? -1 : process->exit_status;
        event.process.signal = process->signal;
        event.process.start_error = process->start_error;
        event.process.output = bytes_of("out");
        event.process.error = bytes_of("");
        check_process_end(sim, node, process);
        process->number = 0;
    }
    node_step(sim, node, &event, NULL);
}
