/* slots.c - the processes of the worker. free -> in use -> (told TERM -> told KILL ->) free. */
#include <stdlib.h>

#include "proto/assert.h"
#include "worker/result.h"
#include "worker/worker_node.h"

enum { SIGNAL_KILL = 9, SIGNAL_TERMINATE = 15 }; /* as on Linux, for the log */

bool slots_init(struct slots *slots, uint32_t count)
{
    *slots = (struct slots){.count = count, .free_count = count};
    TAILQ_INIT(&slots->stopping);
    slots->all = calloc(count, sizeof *slots->all);
    slots->free = calloc(count, sizeof *slots->free);
    if (slots->all == NULL || slots->free == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++)
        slots->free[i] = count - 1 - i; /* the lowest is taken first */
    return true;
}

void slots_release(struct slots *slots)
{
    free(slots->all);
    free(slots->free);
}

static uint32_t number_of(const struct slots *slots, const struct slot *slot)
{
    return (uint32_t)(slot - slots->all);
}

void slots_start(struct worker *worker, struct held *held, struct bytes envelope, const struct event *event,
                 struct outputs *outputs)
{
    struct slots *slots = &worker->slots;
    ASSERT(slots->free_count != 0);
    uint32_t number = slots->free[--slots->free_count];
    slots->all[number] = (struct slot){.held = held->index};
    held->status = HELD_RUNNING;
    held->slot = number;
    held->since_ns = event->now_ns;
    struct process *process = outputs_process(outputs, PROCESS_START, number);
    process->id = held->id;
    process->fence = held->fence;
    process->attempt = held->attempt;
    process->handler = held->handler;
    outputs_process_borrow(outputs, envelope);
    uint32_t block = held->bytes.first;
    for (struct bytes run = chain_next(&worker->held.blocks, &held->bytes, &block); run.size != 0;
         run = chain_next(&worker->held.blocks, &held->bytes, &block))
        outputs_process_borrow(outputs, run); /* released when the process has started: the batch has left */
    held->unreported = true;
    TAILQ_INSERT_TAIL(&worker->unreported, held, line);
}

void slots_reported(struct worker *worker, struct held *held)
{
    if (held->unreported)
        TAILQ_REMOVE(&worker->unreported, held, line);
    held->unreported = false;
}

void slots_stop(struct worker *worker, struct held *held, enum stop_cause cause, const struct event *event,
                struct outputs *outputs)
{
    ASSERT(held->status == HELD_RUNNING);
    struct slot *slot = &worker->slots.all[held->slot];
    enum stop_cause before = slot->cause;
    if (before != STOP_CAUSE_CANCEL)
        slot->cause = cause; /* who cancels does not want it back */
    if (before != STOP_CAUSE_NONE)
        return;
    slot->will_kill = true;
    slot->kill_ns = event->now_ns + worker->options.stop_grace_ms * NANOSECONDS_PER_MS;
    TAILQ_INSERT_TAIL(&worker->slots.stopping, slot, line);
    outputs_process(outputs, PROCESS_TERMINATE, held->slot);
    outputs_trace(outputs, TRACE_STOPPED, &held->id, held->slot, SIGNAL_TERMINATE);
}

/* The attempt in the slot that an event of the host names. */
static struct held *held_in(const struct worker *worker, uint32_t number)
{
    ASSERT(number < worker->slots.count);
    struct held *held = held_at(&worker->held, worker->slots.all[number].held);
    ASSERT(held != NULL && held->status == HELD_RUNNING && held->slot == number);
    return held;
}

void slots_on_started(struct worker *worker, const struct event *event)
{
    struct held *held = held_in(worker, event->process.slot);
    chain_release(&worker->held.blocks, &held->bytes); /* the envelope has been used */
    held->since_ns = event->now_ns;
}

static void start_waiting(struct worker *worker, const struct event *event, struct outputs *outputs)
{
    struct held *held = TAILQ_FIRST(&worker->waiting);
    if (held == NULL || worker->draining)
        return;
    TAILQ_REMOVE(&worker->waiting, held, line);
    slots_start(worker, held, (struct bytes){NULL, 0}, event, outputs);
}

void slots_on_ended(struct worker *worker, const struct event *event, struct outputs *outputs)
{
    const struct process_end *process = &event->process;
    struct held *held = held_in(worker, process->slot);
    struct slot *slot = &worker->slots.all[process->slot];
    uint32_t flags;
    enum task_end end = result_judge(process, &flags);
    enum stop_cause cause = slot->cause;
    uint64_t run_ms = process->started ? (event->now_ns - held->since_ns) / NANOSECONDS_PER_MS : 0;
    if (slot->will_kill)
        TAILQ_REMOVE(&worker->slots.stopping, slot, line);
    *slot = (struct slot){.held = 0};
    worker->slots.free[worker->slots.free_count++] = process->slot;
    slots_reported(worker, held); /* the OUTCOME says it */
    chain_release(&worker->held.blocks, &held->bytes);
    if (cause != STOP_CAUSE_DRAIN)
        result_encode(&worker->held.blocks, &held->bytes, process, run_ms); /* no memory: a plain one */
    /* Whatever it ended with after TERM: it did not get to its own end, or nobody can tell. */
    if (cause != STOP_CAUSE_NONE) {
        end = cause == STOP_CAUSE_CANCEL ? TASK_CANCELLED : TASK_RETURNED;
        flags = OUTCOME_DEAD;
    }
    spool_end(worker, held, end, flags, event, outputs);
    start_waiting(worker, event, outputs);
}

static void kill_overdue(struct worker *worker, const struct event *event, struct outputs *outputs)
{
    struct slot *slot;
    for (uint32_t i = 0; i < STOPS_A_STEP; i++) {
        slot = TAILQ_FIRST(&worker->slots.stopping);
        if (slot == NULL || event->now_ns < slot->kill_ns)
            return;
        TAILQ_REMOVE(&worker->slots.stopping, slot, line);
        slot->will_kill = false;
        uint32_t number = number_of(&worker->slots, slot);
        outputs_process(outputs, PROCESS_KILL, number);
        outputs_trace(outputs, TRACE_STOPPED, &held_in(worker, number)->id, number, SIGNAL_KILL);
    }
}

static bool drain_is_due(const struct worker *worker)
{
    return worker->draining && worker->slots.drain_cursor < worker->slots.count;
}

void slots_on_timeout(struct worker *worker, const struct event *event, struct outputs *outputs)
{
    struct slots *slots = &worker->slots;
    kill_overdue(worker, event, outputs);
    if (!drain_is_due(worker) || event->now_ns < worker->drain_ns)
        return;
    for (uint32_t told = 0; told < STOPS_A_STEP && slots->drain_cursor < slots->count; slots->drain_cursor++)
        if (slots->all[slots->drain_cursor].held != 0) {
            slots_stop(worker, held_in(worker, slots->drain_cursor), STOP_CAUSE_DRAIN, event, outputs);
            told++;
        }
}

uint64_t slots_deadline_ns(const struct worker *worker)
{
    const struct slot *slot = TAILQ_FIRST(&worker->slots.stopping);
    uint64_t kill_ns = slot == NULL ? DEADLINE_NEVER : slot->kill_ns;
    uint64_t drain_ns = drain_is_due(worker) ? worker->drain_ns : DEADLINE_NEVER;
    return kill_ns < drain_ns ? kill_ns : drain_ns;
}
