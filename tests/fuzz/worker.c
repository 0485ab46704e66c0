/* worker.c - fuzz target: worker_step under any story of its region, its processes, time and restarts. */
#include "worker/worker.h"

#include <string.h>

#include "tests/fuzz/bench_checks.h"
#include "tests/fuzz/play.h"

enum { ACTS_MAX = 200, SLOTS = 3 };

static enum { SLOT_FREE, SLOT_STARTING, SLOT_RUNNING } slots[SLOTS];

static void *make(void)
{
    struct worker_options options;
    worker_options_default(&options);
    strcpy(options.name, "w1");
    options.slots = SLOTS;
    options.commands = true;
    options.handler_count = 2;
    strcpy(options.handlers[0].type, "job");
    strcpy(options.handlers[1].type, "noop");
    options.handlers[1].builtin_noop = true;
    options.window = 200;
    options.memory_blocks = 512;
    return worker_new(&options);
}

BENCH_NODE(worker)

static bool done(const void *self)
{
    return worker_done(self);
}

static void on_process(const struct process *process)
{
    check(process->slot < SLOTS, "a process has one of the slots");
    if (process->action != PROCESS_START)
        return; /* how it takes that, the script says */
    check(slots[process->slot] == SLOT_FREE, "a process starts in a free slot");
    slots[process->slot] = SLOT_STARTING;
}

static void on_restart(void)
{
    memset(slots, 0, sizeof slots); /* processes die with their agent */
    play_restart();
}

static const struct bench_node node = {
    .make = make,
    BENCH_FUNCTIONS(worker),
    .done = done,
    .on_message = play_note,
    .on_process = on_process,
    .on_restart = on_restart,
};

/* A process starts, ends, or could not be started. The launcher says so only of what it was told to start. */
static void play_process(struct input *input)
{
    uint32_t byte = take_byte(input), slot = byte % SLOTS, how = byte / SLOTS;
    if (slots[slot] == SLOT_STARTING && how % 4 == 3) {
        slots[slot] = SLOT_RUNNING;
        bench_event((struct event){.kind = EVENT_PROCESS_STARTED, .process = {.slot = slot}});
        return;
    }
    if (slots[slot] == SLOT_FREE)
        return;
    bool started = slots[slot] == SLOT_RUNNING || how % 4 != 2;
    bool signalled = started && how % 8 == 4;
    struct process_end end = {.slot = slot,
                              .started = started,
                              .exit_status = signalled || !started ? -1 : (int)take_byte(input),
                              .signal = signalled ? (int)take_below(input, 64) : 0,
                              .start_error = started ? 0 : 1 + (int)take_below(input, 40),
                              .output_cut = how & 8,
                              .error_cut = how & 16};
    static const uint8_t much[60000];
    end.output = how & 32 ? (struct bytes){much, sizeof much} : take_run(input, 255);
    end.error = take_run(input, 255);
    slots[slot] = SLOT_FREE;
    bench_event((struct event){.kind = EVENT_PROCESS_ENDED, .process = end});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    play_begin("");
    on_restart();
    bench_begin(&node);
    for (int i = 0; i < ACTS_MAX && !input_is_over(&input); i++) {
        uint32_t byte = take_byte(&input);
        if ((byte & 3) == 3)
            bench_act(&input);
        else if (byte & 1)
            play_process(&input);
        else
            play_parent(&input, true);
        if (byte < 0xc0) /* else the next event comes into the same batch, before what is due */
            bench_settle();
    }
    bench_end();
    return 0;
}
