/* process.c - the tasks' processes: how they run and end, the workload says when they start. */
#include "proto/assert.h"
#include "sim/node.h"
#include "sim/workload.h"

enum { LAUNCHER_KEEPS = 64 * 1024 }; /* of what a process prints */

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

static void start(struct sim *sim, struct sim_node *node, const struct process *wanted)
{
    struct sim_process *process = &node->processes[wanted->slot];
    if (process->number != 0)
        violation(sim, 6, "%s: PROCESS_START in slot %u, which runs one already", node->name, wanted->slot);
    struct run run = workload_run(sim, &wanted->id);
    *process = (struct sim_process){.number = ++sim->processes_started,
                                    .id = wanted->id,
                                    .fence = wanted->fence,
                                    .exit_status = run.exit_status,
                                    .signal = run.signal,
                                    .start_error = run.start_error,
                                    .deaf = run.deaf,
                                    .worker_down = run.worker_down,
                                    .output_bytes = run.output_bytes,
                                    .output_cut = run.output_cut};
    if (process->start_error != 0) {
        plan(sim, node, process, HAPPENS_PROCESS_ENDED, MS);
        return;
    }
    check_process_start(sim, node, wanted);
    plan(sim, node, process, HAPPENS_PROCESS_STARTED, dice_below(&sim->dice, 2 * MS));
    if (run.run_ns != NEVER)
        plan(sim, node, process, HAPPENS_PROCESS_ENDED, 2 * MS + run.run_ns);
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
    running->worker_down = false;
    running->signal = process->action == PROCESS_KILL ? 9 : 15;
    plan(sim, node, running, HAPPENS_PROCESS_ENDED, 2 * MS + dice_below(&sim->dice, 50 * MS));
}

/* It took its worker's agent with it: the machine starts another one soon. */
static void worker_goes_down(struct sim *sim, struct sim_node *node)
{
    node_crash(sim, node);
    node_happens(sim, node, HAPPENS_RESTART, sim->now_ns + dice_below(&sim->dice, 3000 * MS));
}

void process_happens(struct sim *sim, const struct occasion *occasion)
{
    static uint8_t output[LAUNCHER_KEEPS];
    struct sim_node *node = &sim->nodes[occasion->node];
    struct sim_process *process = &node->processes[occasion->number];
    if (process->number != occasion->detail)
        return; /* it ended earlier than was planned */
    struct event event = {.kind = EVENT_PROCESS_STARTED, .process = {.slot = (uint32_t)occasion->number}};
    if (occasion->what == HAPPENS_PROCESS_ENDED && process->worker_down) {
        worker_goes_down(sim, node);
        return;
    }
    if (occasion->what == HAPPENS_PROCESS_ENDED) {
        ASSERT(process->output_bytes <= sizeof output);
        event.kind = EVENT_PROCESS_ENDED;
        event.process.started = process->start_error == 0;
        event.process.exit_status = process->signal != 0 ? -1 : process->exit_status;
        event.process.signal = process->signal;
        event.process.start_error = process->start_error;
        event.process.output = (struct bytes){output, process->output_bytes};
        event.process.error = bytes_of("");
        event.process.output_cut = process->output_cut;
        check_process_end(sim, node, process);
        process->number = 0;
    }
    node_step(sim, node, &event, NULL);
}
