/* region.c - fuzz target: region_step under any story of its broker, its workers, time and restarts. */
#include "region/region.h"

#include <string.h>

#include "region/region_state.h"
#include "tests/fuzz/bench_checks.h"
#include "tests/fuzz/play.h"

enum { ACTS_MAX = 100 };

BENCH_NODE(region)

static void *make(void)
{
    struct region_options options;
    region_options_default(&options);
    strcpy(options.name, "eu");
    options.worker_grace_ms = 5000;
    options.retry_base_ms = 100;
    options.retry_cap_ms = 2000;
    options.tasks_max = 2000;
    options.window = 300;
    return region_new(&options);
}

static bool done(const void *self)
{
    return region_done(self);
}

static const struct ledger *ledger(const void *self)
{
    return &((const struct region *)self)->tasks;
}

static void on_process(const struct process *process)
{
    (void)process;
    check(false, "a region starts no processes");
}

static const struct bench_node node = {
    .make = make,
    BENCH_FUNCTIONS(region),
    .done = done,
    .ledger = ledger,
    .on_message = play_note,
    .on_process = on_process,
    .on_restart = play_restart,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    play_begin("worker");
    bench_begin(&node);
    for (int i = 0; i < ACTS_MAX && !input_is_over(&input); i++) {
        uint32_t byte = take_byte(&input);
        if ((byte & 3) == 3)
            bench_act(&input);
        else if (byte & 1)
            play_child(&input);
        else
            play_parent(&input, false);
        if (byte < 0xc0) /* else the next event comes into the same batch, before what is due */
            bench_settle();
    }
    bench_end();
    return 0;
}
