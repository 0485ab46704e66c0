/* review_peers_test.c - what a peer could do to its parent within one batch, one step or one HELLO. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/ledger.h"

static struct ledger *ledger;
static struct outputs outputs;
static struct event event;
static uint8_t frame[16384];

static void set_up(void)
{
    static const struct ledger_options options = {
        .tasks_max = 10000, .children = {.beat_ms = 1000, .grace_ms = 10000, .role = "worker"}};
    cr_assert(outputs_init(&outputs));
    outputs_begin_step(&outputs);
    ledger = calloc(1, sizeof *ledger);
    cr_assert_not_null(ledger);
    event = (struct event){.now_ns = 1000 * NANOSECONDS_PER_MS, .wall_ms = 1000000};
    ledger_init(ledger, &options, NULL);
    ledger_begin_step(ledger, &event);
    children_start(&ledger->children, &event, 7);
}

static void tear_down(void)
{
    ledger_release(ledger);
    free(ledger);
    outputs_release(&outputs);
}

TestSuite(review_peers, .init = set_up, .fini = tear_down);

static enum child_news receive(uint64_t peer, enum message_kind kind, uint64_t sequence, struct bytes body,
                               struct child **ret_child)
{
    struct message_header header = {.version = 1, .kind = kind, .sequence = sequence, .body = body};
    event.peer = peer_make(PORT_CHILD, peer);
    return children_on_message(&ledger->children, &event, &header, &outputs, ret_child);
}

static void hello(struct bytes name, uint64_t peer, uint8_t instance)
{
    struct writer writer;
    struct child *child;
    struct hello body = {.name = name,
                         .role = bytes_of("worker"),
                         .instance = {instance},
                         .boot = 1,
                         .version_min = 1,
                         .version_max = 1,
                         .profiles = bytes_of("\x90")};
    writer_init(&writer, frame, sizeof frame);
    hello_write(&writer, &body);
    receive(peer, MESSAGE_HELLO, 1, writer_bytes(&writer), &child);
}

/* An INVENTORY of one row that nobody here knows: answered STOP. */
static bool claim_unknown(uint64_t peer, uint32_t epoch)
{
    struct writer writer;
    struct child *child;
    struct inventory_row row = {.id = {{9}}, .fence = {1, epoch, 1}, .status = HELD_RUNNING};
    writer_init(&writer, frame, sizeof frame);
    write_array(&writer, 1);
    write_array(&writer, 1);
    inventory_row_write(&writer, &row);
    cr_assert_eq(receive(peer, MESSAGE_INVENTORY, 2, writer_bytes(&writer), &child), CHILD_INVENTORY);
    return ledger_claim(ledger, child, writer_bytes(&writer), &outputs);
}

/* Names are kept as strings and checked again at a restart. */
Test(review_peers, a_name_that_is_no_name_is_refused)
{
    static const struct bytes names[] = {{(const uint8_t *)"\0", 1},
                                         {(const uint8_t *)"w1\0x", 4},
                                         {(const uint8_t *)"a/b", 3},
                                         {(const uint8_t *)"a b", 3},
                                         {(const uint8_t *)"\x1b[", 2}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        hello(names[i], 10 + i, 1);
        cr_expect_eq(ledger->children.count, 0, "row %zu", i);
        cr_expect_eq(outputs.messages[outputs.message_count - 1].kind, MESSAGE_ERROR, "row %zu", i);
    }
    hello(bytes_of("w\xc3\xbc-1"), 30, 1);
    cr_expect_eq(ledger->children.count, 1);
}

/* The WELCOME to the first bearer of the name is still in the batch when the second one replaces it. */
Test(review_peers, a_replaced_child_leaves_nothing_behind_in_the_batch)
{
    struct child *child;
    hello(bytes_of("w1"), 1, 1);
    receive(1, MESSAGE_BYE, 2, bytes_of("\x91\x00"), &child);
    hello(bytes_of("w1"), 2, 2);
    cr_assert_eq(ledger->children.count, 1);
    for (uint32_t i = 0; i < outputs.message_count; i++)
        cr_expect(outputs.messages[i].link == NULL || outputs.messages[i].peer == peer_make(PORT_CHILD, 2));
    outputs_close(&outputs);
}

Test(review_peers, one_connection_may_change_its_name_within_a_batch)
{
    hello(bytes_of("w1"), 1, 1);
    cr_expect(claim_unknown(1, 5));
    hello(bytes_of("w2"), 1, 2);
    cr_expect(claim_unknown(1, 5));
    outputs_close(&outputs);
    uint32_t stops = 0;
    for (uint32_t i = 0; i < outputs.message_count; i++)
        stops += outputs.messages[i].kind == MESSAGE_STOP;
    cr_expect_eq(stops, 2, "one per session");
}

/* Ours would have to be above it, and could not. */
Test(review_peers, an_epoch_that_leaves_no_room_above_it_is_refused)
{
    hello(bytes_of("w1"), 1, 1);
    cr_expect_not(claim_unknown(1, UINT32_MAX));
    cr_expect_lt(ledger->highest_epoch, UINT32_MAX / 4 * 3 + 1);
}

Test(review_peers, the_beats_of_the_most_children_leave_room_in_every_step)
{
    char name[16];
    for (uint32_t i = 0; i < CHILDREN_MAX; i++) {
        snprintf(name, sizeof name, "w%u", i);
        outputs_reset(&outputs);
        outputs_begin_step(&outputs);
        hello(bytes_of(name), i + 1, 1);
    }
    cr_assert_eq(ledger->children.count, CHILDREN_MAX);
    uint32_t beats = 0, steps = 0;
    event.now_ns += 1000 * NANOSECONDS_PER_MS;
    while (children_deadline_ns(&ledger->children) <= event.now_ns) {
        cr_assert(steps++ < 10);
        outputs_reset(&outputs);
        outputs_begin_step(&outputs);
        ledger_begin_step(ledger, &event);
        children_on_timeout(&ledger->children, &event, &outputs);
        cr_expect_geq(outputs_room(&outputs), 1024, "room for the rest of the step");
        beats += outputs.message_count;
    }
    cr_expect_eq(beats, CHILDREN_MAX);
}
