/* The disks of the simulation, with a worker that writes one record after the other and tells its region of
 * each: what a crash leaves is what was written first, without a hole, and at least what somebody was told
 * of. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "proto/message.h"
#include "sim/sim.h"

enum { WRITE_MS = 2, RECORDS_MAX = 15000 };

struct writing {
    uint64_t number; /* of its newest record */
    uint64_t write_ns, session;
    struct link link;
};

static uint64_t told, written, crashes, lost[4]; /* by batches lost: one record each, about */

static const struct disk_table *records_of(const struct sim_node *node)
{
    return &node->disk.tables[TABLE_ATTEMPTS];
}

static void *make_worker(const struct sim_node *node)
{
    struct writing *worker = take_memory(1, sizeof *worker);
    const struct disk_table *records = records_of(node);
    for (size_t i = 0; i < records->count; i++)
        cr_assert_eq(records->records[i].number, i + 1, "record %zu is %llu", i,
                     (unsigned long long)records->records[i].number);
    worker->number = records->count;
    cr_assert_geq(worker->number, told);
    cr_assert_leq(worker->number, written);
    crashes += written != 0;
    lost[written - worker->number < 3 ? written - worker->number : 3]++;
    written = worker->number;
    return worker;
}

static void *make_nothing(const struct sim_node *node)
{
    (void)node;
    return take_memory(1, 1);
}

static void step_worker(void *self, const struct event *event, struct outputs *outputs)
{
    struct writing *worker = self;
    if (event->kind != EVENT_TIMEOUT && event->kind != EVENT_START)
        return;
    worker->write_ns = event->now_ns + WRITE_MS * MS;
    worker->number++;
    written = worker->number;
    write_nil(outputs_put(outputs, TABLE_ATTEMPTS, worker->number, 0));
    outputs_put_end(outputs);
    uint64_t peer = peer_make(PORT_PARENT, ++worker->session); /* each in a session of its own */
    struct writer *writer = outputs_message(outputs, peer, MESSAGE_ANSWER, &worker->link, 0);
    write_array(writer, 1);
    write_uint(writer, worker->number);
    outputs_message_end(outputs);
}

static uint64_t deadline_of_worker(const void *self)
{
    const struct writing *worker = self;
    return worker->number < RECORDS_MAX ? worker->write_ns : DEADLINE_NEVER;
}

static void step_region(void *self, const struct event *event, struct outputs *outputs)
{
    struct message_header header;
    struct reader reader;
    (void)self, (void)outputs;
    if (event->kind != EVENT_MESSAGE || message_read(event->frame, &header) != READER_OK)
        return;
    reader_init(&reader, header.body);
    read_array(&reader, 1);
    uint64_t number = read_uint(&reader, UINT64_MAX);
    told = number > told ? number : told;
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

static const struct role writers[3] = {
    {"broker", make_nothing, free, step_nothing, deadline_never, never_done},
    {"region", make_nothing, free, step_region, deadline_never, never_done},
    {"worker", make_worker, free, step_worker, deadline_of_worker, never_done},
};

static bool spoils(const struct fault *fault)
{
    static const char *const names[] = {"wiped store", "hostile link", "stranger"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(fault_text(fault), names[i]) == 0)
            return true;
    return false;
}

Test(commit, a_crash_leaves_the_first_records_and_all_that_were_told, .timeout = 100)
{
    static struct sim sim;
    for (uint64_t seed = 1; seed <= 80; seed++) {
        struct sim_options options = {.seed = seed,
                                      .tasks = 1,
                                      .regions = 1,
                                      .workers = 1,
                                      .clients = 1,
                                      .duration_ms = 60000,
                                      .faults = true};
        told = written = 0;
        cr_assert(sim_init(&sim, &options, writers));
        for (uint32_t i = 0; i < sim.fault_count; i++)
            sim.options.left_out |= (uint64_t)spoils(&sim.faults[i]) << i;
        sim_run(&sim); /* until it is noticed that nobody serves the client */
        sim_release(&sim);
    }
    cr_assert_gt(crashes, 20);
    for (int batches = 0; batches < 3; batches++)
        cr_assert_gt(lost[batches], 0, "never lost %d", batches);
}
