/* bench.c - see bench.h: steps and batches, the disk, time. What is checked of the outputs: bench_checks.c.
 */
#include "tests/fuzz/bench.h"

#include <stdlib.h>

#include "proto/assert.h"
#include "tests/fuzz/bench_checks.h"
#include "tests/fuzz/story.h"

#define STORE_BYTES (64ull * 1024 * 1024)
#define START_NS (1000ull * 1000 * NANOSECONDS_PER_MS)
#define START_WALL_MS 1750000000000ull

enum { TIMEOUTS_MAX = 20000, PASSES_MAX = 300 };

struct bench bench;

/* ---- the node ---- */

void bench_event(struct event event)
{
    event.now_ns = bench.now_ns;
    event.wall_ms = bench.wall_ms;
    event.random[0] = ++bench.drawn * 0x9e3779b97f4a7c15;
    event.random[1] = bench.drawn * 0xc2b2ae3d27d4eb4f;
    event.store_max_bytes = STORE_BYTES;
    event.store_free_bytes = bench.store_free_bytes;
    if (event.kind == EVENT_MESSAGE) { /* exactly as many bytes as it has: a read behind them is seen */
        uint8_t *copy = malloc(event.frame.size == 0 ? 1 : event.frame.size);
        ASSERT(copy != NULL);
        if (event.frame.size != 0)
            memcpy(copy, event.frame.data, event.frame.size);
        event.frame.data = bench.kept[bench.kept_count++] = copy;
    }
    uint32_t traces = bench.outputs.trace_count;
    story_event(&event);
    outputs_begin_step(&bench.outputs);
    bench.node->step(bench.self, &event, &bench.outputs);
    story_traces(&bench.outputs, traces);
    check_step(&bench.outputs);
    if (outputs_full(&bench.outputs) || bench.kept_count == sizeof bench.kept / sizeof bench.kept[0])
        bench_commit();
}

void bench_message(uint64_t peer, struct bytes frame)
{
    if (peer_port(peer) == PORT_CLIENT)
        check_request(peer);
    bench_event((struct event){.kind = EVENT_MESSAGE, .peer = peer, .frame = frame});
}

static void restore(void)
{
    for (int table = 0; table < TABLE_COUNT; table++) {
        const struct disk_table *in = &bench.disk.tables[table];
        for (size_t i = 0; i < in->count && table_is_restored((enum table)table); i++)
            bench_event((struct event){.kind = EVENT_RESTORE,
                                       .record = {.table = (enum table)table,
                                                  .number = in->records[i].number,
                                                  .part = in->records[i].part,
                                                  .value = in->records[i].value}});
    }
    bench_event((struct event){.kind = EVENT_START});
}

static void start(void)
{
    bench.self = bench.node->make();
    ASSERT(bench.self != NULL);
    restore();
    bench_commit();
}

static void drop_batch(void)
{
    outputs_reset(&bench.outputs);
    for (uint32_t i = 0; i < bench.kept_count; i++)
        free(bench.kept[i]);
    bench.kept_count = 0;
}

/* ---- a batch ---- */

static bool look_up(void *context, enum table table, uint64_t number, uint32_t part, uint8_t *to, size_t size)
{
    const struct disk *disk = context;
    const struct disk_table *in = &disk->tables[table];
    size_t done = 0;
    for (size_t at = disk_seek(disk, table, number, part == PART_ALL ? 0 : part);
         at < in->count && in->records[at].number == number; at++) {
        struct bytes value = in->records[at].value;
        if ((part != PART_ALL && in->records[at].part != part) || value.size > size - done)
            break;
        memcpy(to + done, value.data, value.size);
        done += value.size;
    }
    return done == size;
}

static struct bytes copy_pieces(const struct pieces *pieces)
{
    uint8_t *bytes = malloc(pieces->size + 1);
    ASSERT(bytes != NULL);
    check(pieces_copy(&bench.outputs, pieces, bytes, look_up, &bench.disk),
          "a record that is referred to is there, and has that size");
    return (struct bytes){bytes, pieces->size};
}

static void put_all(void)
{
    for (uint32_t i = 0; i < bench.outputs.write_count; i++) {
        const struct write *write = &bench.outputs.writes[i];
        if (write->kind != WRITE_PUT)
            continue;
        struct bytes value = copy_pieces(&write->value);
        disk_put(&bench.disk, write->table, write->number, write->part, value);
        free((void *)value.data);
    }
}

static void erase_all(void)
{
    for (uint32_t i = 0; i < bench.outputs.write_count; i++)
        if (bench.outputs.writes[i].kind == WRITE_ERASE)
            disk_erase(&bench.disk, bench.outputs.writes[i].table, bench.outputs.writes[i].number);
}

static void show_messages(void)
{
    for (uint32_t i = 0; i < bench.outputs.message_count; i++) {
        const struct message *message = &bench.outputs.messages[bench.outputs.order[i]];
        struct bytes frame = copy_pieces(&message->frame);
        struct message_header header;
        story_message(message->peer, message->kind, frame);
        check_message(message, frame, &header);
        bench.node->on_message(message->peer, &header);
        free((void *)frame.data);
    }
}

static void show_processes(void)
{
    for (uint32_t i = 0; i < bench.outputs.process_count; i++) {
        const struct process *process = &bench.outputs.processes[i];
        if (process->action == PROCESS_START)
            free((void *)copy_pieces(&process->envelope).data);
        bench.node->on_process(process);
    }
}

void bench_commit(void)
{
    outputs_close(&bench.outputs);
    check_writes(&bench.outputs);
    put_all();
    show_messages();
    show_processes();
    erase_all();
    drop_batch();
    if (bench.node->ledger != NULL)
        check_ledger(bench.node->ledger(bench.self));
}

/* ---- time ---- */

static void time_out(void)
{
    bench_event((struct event){.kind = EVENT_TIMEOUT});
    bench_commit();
}

void bench_settle(void)
{
    bench_commit();
    for (int i = 0; bench.node->deadline_ns(bench.self) <= bench.now_ns; i++) {
        check(i < TIMEOUTS_MAX, "TIMEOUTs that are due come to an end");
        time_out();
    }
    if (bench.node->done != NULL && bench.node->done(bench.self))
        bench_restart(true);
}

static void set_clock(uint64_t now_ns)
{
    bench.wall_ms += now_ns / NANOSECONDS_PER_MS - bench.now_ns / NANOSECONDS_PER_MS;
    bench.now_ns = now_ns;
}

void bench_pass(uint64_t ms)
{
    uint64_t end_ns = bench.now_ns + ms * NANOSECONDS_PER_MS;
    bench_settle();
    for (int i = 0; i < PASSES_MAX && bench.node->deadline_ns(bench.self) < end_ns; i++) {
        set_clock(bench.node->deadline_ns(bench.self));
        bench_settle();
    }
    set_clock(end_ns);
    bench_settle();
}

/* ---- life ---- */

void bench_begin(const struct bench_node *node)
{
    static bool ready;
    if (!ready)
        ASSERT(outputs_init(&bench.outputs));
    ready = true;
    bench.node = node;
    bench.now_ns = START_NS;
    bench.wall_ms = START_WALL_MS;
    bench.store_free_bytes = STORE_BYTES;
    bench.drawn = 0;
    bench.down.count = bench.up.count = 0;
    bench.peer_count = 0;
    start();
}

void bench_restart(bool commit_first)
{
    struct tasks_kept before = {0};
    if (commit_first) {
        bench_commit();
        if (bench.node->ledger != NULL)
            before = tasks_kept(bench.node->ledger(bench.self));
    }
    drop_batch();
    bench.node->free(bench.self);
    bench.peer_count = 0;
    if (bench.node->on_restart != NULL)
        bench.node->on_restart();
    start();
    if (commit_first && bench.node->ledger != NULL)
        check_kept(&before, bench.node->ledger(bench.self));
}

void bench_end(void)
{
    bench_commit();
    if (bench.disk.tables[TABLE_STATES].count + bench.disk.tables[TABLE_SPOOL].count > 0)
        bench_restart(true);
    bench.node->free(bench.self);
    disk_wipe(&bench.disk);
}

void bench_act(struct input *input)
{
    static const uint64_t pauses_ms[] = {1, 50, 500, 1000, 3500, 11000, 61000, 3600000, 90000000};
    uint32_t byte = take_byte(input);
    switch (byte & 7) {
    case 0:
    case 1:
    case 2:
        bench_pass(pauses_ms[(byte >> 3) % (sizeof pauses_ms / sizeof pauses_ms[0])]);
        break;
    case 3: /* the host was stopped: the time is there at once */
        set_clock(bench.now_ns + pauses_ms[(byte >> 3) % 7] * NANOSECONDS_PER_MS);
        break;
    case 4:
        bench.wall_ms += take_number(input) * 1000;
        break;
    case 5:
        bench.store_free_bytes = byte >> 3 == 0 ? STORE_BYTES : STORE_BYTES >> (byte >> 3);
        break;
    case 6:
        bench_restart(byte >> 3 & 1);
        break;
    default:
        bench_event((struct event){.kind = EVENT_DRAIN});
        break;
    }
}
