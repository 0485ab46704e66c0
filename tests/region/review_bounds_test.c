/* review_bounds_test.c - the largest messages and the most workers within one step. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "engine/peer.h"
#include "tests/region/node_fixture.h"

TestSuite(review_bounds, .init = fixture_set_up, .fini = fixture_tear_down);

/* ---- steps without text: hundreds of tasks would not fit the fixture's records ---- */

static void quiet_step(struct event event)
{
    event.now_ns = fixture.now_ns;
    event.wall_ms = 1700000000000;
    event.store_free_bytes = event.store_max_bytes = 1 << 30;
    outputs_reset(&fixture.outputs);
    outputs_begin_step(&fixture.outputs);
    region_step(fixture.region, &event, &fixture.outputs);
    outputs_close(&fixture.outputs);
}

/* The entries of `kind` that leave in all steps until nothing is due. */
static uint32_t quiet_run(enum message_kind kind)
{
    uint32_t count = 0;
    for (int i = 0;; i++) {
        cr_assert(i < 1000);
        for (uint32_t m = 0; m < fixture.outputs.message_count; m++)
            count += fixture.outputs.messages[m].kind == kind ? fixture.outputs.messages[m].entries : 0;
        if (region_deadline_ns(fixture.region) > fixture.now_ns)
            return count;
        quiet_step((struct event){.kind = EVENT_TIMEOUT});
    }
}

static struct task_id many_id(uint32_t task)
{
    return (struct task_id){{1, (uint8_t)(task >> 8), (uint8_t)task}};
}

static uint8_t frame[512 * 1024];
static struct writer writer;

static void begin(enum message_kind kind, uint64_t sequence, uint32_t entries)
{
    writer_init(&writer, frame, sizeof frame);
    message_write_header(&writer, kind, sequence);
    write_array(&writer, 1);
    write_array(&writer, entries);
}

static void deliver(uint64_t peer)
{
    quiet_step((struct event){.kind = EVENT_MESSAGE, .peer = peer, .frame = writer_bytes(&writer)});
}

static void quiet_assign(uint32_t first, uint32_t count, uint32_t custody)
{
    begin(MESSAGE_ASSIGN, ++fixture.sequence, count);
    for (uint32_t i = first; i < first + count; i++) {
        struct assign_entry entry = {.id = many_id(i), .fence = {.custody = custody}, .attempt = 1};
        assign_entry_write_head(&writer, &entry);
        words_write_task(&writer, "");
    }
    deliver(fixture.parent);
}

static void quiet_stop(uint32_t count, uint32_t custody)
{
    begin(MESSAGE_STOP, ++fixture.sequence, count);
    for (uint32_t i = 0; i < count; i++) {
        struct stop_entry entry = {.id = many_id(i), .fence = {.custody = custody}};
        stop_entry_write(&writer, &entry);
    }
    deliver(fixture.parent);
}

static void quiet_join(const char *name, uint64_t number, uint32_t slots)
{
    uint8_t profiles[64];
    struct writer offered;
    struct profile profile = {.types = {bytes_of("command")}, .type_count = 1, .slots = slots};
    writer_init(&offered, profiles, sizeof profiles);
    write_array(&offered, 1);
    profile_write(&offered, &profile);
    struct hello hello = {.name = bytes_of(name),
                          .role = bytes_of("worker"),
                          .boot = 1,
                          .version_min = 1,
                          .version_max = 1,
                          .profiles = writer_bytes(&offered)};
    writer_init(&writer, frame, sizeof frame);
    message_write_header(&writer, MESSAGE_HELLO, 1);
    hello_write(&writer, &hello);
    deliver(peer_make(PORT_CHILD, number));
    writer_init(&writer, frame, sizeof frame);
    message_write_header(&writer, MESSAGE_END, 2);
    write_array(&writer, 0);
    deliver(peer_make(PORT_CHILD, number));
    quiet_run(MESSAGE_ASSIGN);
}

/* Each worker's ASSIGN brings a grant record of its own at the end of the step. */
Test(review_bounds, one_task_for_each_of_thousands_of_workers)
{
    enum { WORKERS = 3000 };
    char name[16];
    fixture_connect();
    for (uint32_t i = 0; i < WORKERS; i++) {
        snprintf(name, sizeof name, "w%u", i);
        quiet_join(name, 1000 + i, 1);
    }
    for (uint32_t first = 0; first < WORKERS; first += 1000)
        quiet_assign(first, 1000, 1);
    cr_expect_eq(quiet_run(MESSAGE_ASSIGN), WORKERS);
}

Test(review_bounds, a_messageful_of_refused_tasks_that_were_cancelled)
{
    enum { TASKS_REFUSED = FRAME_ENTRIES_MAX };
    fixture_connect();
    quiet_join("w1", 1000, 2000);
    for (uint32_t first = 0; first < TASKS_REFUSED; first += 8) { /* each in a grant record of its own */
        quiet_assign(first, 8, 1);
        cr_assert_eq(quiet_run(MESSAGE_ASSIGN), 8);
    }
    quiet_stop(TASKS_REFUSED, 1);
    quiet_run(MESSAGE_STOP);
    begin(MESSAGE_REFUSED, 3, TASKS_REFUSED);
    for (uint32_t i = 0; i < TASKS_REFUSED; i++) {
        struct refused_entry entry = {
            .id = many_id(i), .fence = {1, fixture.first_epoch, 1}, .code = bytes_of("throttled")};
        refused_entry_write(&writer, &entry);
    }
    deliver(peer_make(PORT_CHILD, 1000));
    uint32_t ended = quiet_run(MESSAGE_OUTCOME);
    fixture.now_ns += 2 * NANOSECONDS_PER_MS;
    quiet_step((struct event){.kind = EVENT_TIMEOUT});
    ended += quiet_run(MESSAGE_OUTCOME);
    cr_expect_eq(ended, TASKS_REFUSED, "all are cancelled: %u", ended);
}

/* Stopped for an older custody, and wanted again before that was settled. */
Test(review_bounds, a_messageful_of_tasks_that_were_cancelled_under_an_older_custody)
{
    enum { TASKS_AGAIN = FRAME_ENTRIES_MAX };
    fixture_connect();
    quiet_assign(0, TASKS_AGAIN, 1);
    quiet_run(MESSAGE_TAKEN);
    quiet_stop(TASKS_AGAIN, 1);
    quiet_run(MESSAGE_OUTCOME);
    quiet_assign(0, TASKS_AGAIN, 2);
    uint32_t taken = 0, refused = 0;
    for (uint32_t m = 0; m < fixture.outputs.message_count; m++) {
        const struct message *message = &fixture.outputs.messages[m];
        taken += message->kind == MESSAGE_TAKEN ? message->entries : 0;
        refused += message->kind == MESSAGE_REFUSED ? message->entries : 0;
    }
    cr_expect_eq(taken + refused, TASKS_AGAIN, "each is answered");
    cr_expect_gt(taken, 0);
}
