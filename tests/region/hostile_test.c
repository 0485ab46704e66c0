/* hostile_test.c - frames that are wrong, too many, too deep, or come in at the wrong door. */
#include <criterion/criterion.h>

#include "engine/peer.h"
#include "tests/region/node_fixture.h"

TestSuite(hostile, .init = fixture_set_up, .fini = fixture_tear_down);

static void deliver(uint64_t peer, const void *bytes, size_t size)
{
    fixture.text[0] = '\0';
    fixture_step((struct event){.kind = EVENT_MESSAGE, .peer = peer, .frame = {bytes, size}});
}

static void connect_worker(void)
{
    fixture_connect();
    fixture_act("w1 join");
    fixture.text[0] = '\0';
}

Test(hostile, a_client_is_told_of_the_other_port)
{
    static const enum message_kind kinds[] = {MESSAGE_SUBMIT, MESSAGE_WATCH,    MESSAGE_CANCEL,
                                              MESSAGE_QUERY,  MESSAGE_RECEIVED, MESSAGE_DRAIN};
    connect_worker();
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct writer writer = fixture_begin_child("w1", kinds[i]);
        write_map(&writer, 0);
        fixture.text[0] = '\0';
        fixture_deliver_child("w1", &writer);
        cr_expect_str_eq(fixture.text, "w1 ERROR wrong_port", "%s: %s", message_kind_text(kinds[i]),
                         fixture.text);
    }
}

Test(hostile, another_role_is_told_of_the_other_port)
{
    connect_worker();
    struct writer writer;
    writer_init(&writer, fixture.frame, sizeof fixture.frame);
    message_write_header(&writer, MESSAGE_HELLO, 1);
    struct hello hello = {.name = bytes_of("us"),
                          .role = bytes_of("region"),
                          .boot = 1,
                          .version_min = 1,
                          .version_max = 1,
                          .profiles = bytes_of("\x90")};
    hello_write(&writer, &hello);
    deliver(peer_make(PORT_CHILD, 0), fixture.frame, writer.size);
    cr_expect_str_eq(fixture.text, "w1 ERROR wrong_port");
}

Test(hostile, bytes_that_are_no_message_are_refused)
{
    static const struct {
        const char *bytes, *text;
    } rows[] = {
        {"", "w1 ERROR malformed"},
        {"\xc1", "w1 ERROR malformed"},
        {"\x94\x01", "w1 ERROR malformed"},
        {"\x94\x01\xa5TAKEN\x02\x90\x90", "w1 ERROR malformed"},
        {"\x94\x01\xa4TAKE\x02\x90", "w1 ERROR unknown_kind"},
        {"\x94\x02\xa5TAKEN\x02\x90", "w1 ERROR unknown_version"},
    };
    connect_worker();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        deliver(peer_make(PORT_CHILD, 0), rows[i].bytes, strlen(rows[i].bytes));
        cr_expect_str_eq(fixture.text, rows[i].text, "row %zu: %s", i, fixture.text);
    }
    fixture_act("w1 taken 1:1.1.1");
    cr_expect_str_empty(fixture.text, "its session goes on");
}

/* A grant may have been in it: only the next session's INVENTORY shows that it did not come. */
Test(hostile, what_the_broker_garbles_ends_the_session)
{
    connect_worker();
    deliver(fixture.parent, "\xc1", 1);
    cr_expect_str_empty(fixture.text);
    fixture_act("assign 1.1");
    cr_expect_str_empty(fixture.text, "a session that has ended brings nothing");
}

Test(hostile, a_cut_entry_ends_the_workers_session)
{
    connect_worker();
    struct writer writer = fixture_begin_child("w1", MESSAGE_OUTCOME);
    write_array(&writer, 1);
    write_array(&writer, 1);
    write_array(&writer, 1);
    write_nil(&writer);
    fixture_deliver_child("w1", &writer);
    fixture_act("w1 taken 1:1.1.1");
    cr_expect_str_eq(fixture.text, "w1 GREET");
}

/* Every frame of a real session, cut at every length and with every byte changed: refused, never more. */
Test(hostile, garbled_messages_of_workers_break_nothing)
{
    static const char valid[] = "w1 outcome 1:1.1.1 failed exit=1";
    connect_worker();
    fixture_act("assign 1.1 retries=9");
    fixture_act("w1 skip"); /* so that the good form is not taken either */
    fixture_act(valid);
    static uint8_t frame[512];
    size_t size = 160;
    memcpy(frame, fixture.frame, size);
    for (size_t at = 0; at < size; at++)
        for (int change = 1; change < 256; change <<= 1) {
            uint8_t copy[512];
            memcpy(copy, frame, size);
            copy[at] ^= (uint8_t)change;
            deliver(peer_make(PORT_CHILD, 0), copy, size);
            deliver(peer_make(PORT_CHILD, 0), copy, at);
        }
    fixture_act("w1 join");
    cr_expect_str_eq(fixture.text, "w1 WELCOME | w1 ASSIGN 1:1.1.1 1/10");
}

Test(hostile, a_message_of_too_many_entries_is_refused_whole)
{
    connect_worker();
    struct writer writer = fixture_begin_up(MESSAGE_STOP);
    write_array(&writer, 1);
    write_array(&writer, FRAME_ENTRIES_MAX + 1);
    for (unsigned i = 0; i <= FRAME_ENTRIES_MAX; i++) {
        struct stop_entry entry = {.id = fixture_id(i & 255), .fence = {.custody = 1}};
        stop_entry_write(&writer, &entry);
    }
    fixture_deliver_up(&writer);
    cr_expect_str_empty(fixture.text);
}

static void send_outcome(unsigned task, struct bytes result)
{
    static uint8_t frame[FRAME_BYTES_MAX];
    struct writer writer;
    writer_init(&writer, frame, sizeof frame);
    fixture_begin_child("w1", MESSAGE_OUTCOME);
    message_write_header(&writer, MESSAGE_OUTCOME, fixture.sessions[0].sequence);
    struct outcome_entry entry = {
        .id = fixture_id(task), .fence = {1, fixture.first_epoch, 1}, .flags = OUTCOME_DEAD};
    write_array(&writer, 1);
    write_array(&writer, 1);
    outcome_entry_write_head(&writer, &entry);
    write_raw(&writer, result);
    fixture.text[0] = '\0';
    fixture_deliver_child("w1", &writer);
}

/* A result map with `arrays` levels in one field and `bytes` of output. */
static struct bytes make_result(int arrays, size_t bytes)
{
    static uint8_t result[FRAME_BYTES_MAX], output[FRAME_BYTES_MAX];
    struct writer writer;
    writer_init(&writer, result, sizeof result);
    write_map(&writer, 4);
    write_str(&writer, "exit");
    write_uint(&writer, 0);
    write_str(&writer, "signal");
    write_nil(&writer);
    write_str(&writer, "output");
    write_bin(&writer, (struct bytes){output, bytes});
    write_str(&writer, "more");
    for (int i = 0; i < arrays; i++)
        write_array(&writer, 1);
    write_nil(&writer);
    return writer_bytes(&writer);
}

/* The deepest that a worker's frame holds is one level too deep for the frame above. */
Test(hostile, a_result_too_deep_to_be_passed_on_is_left_out)
{
    connect_worker();
    fixture_act("assign 1.1");
    send_outcome(1, make_result(FRAME_DEPTH_MAX - 5, 10));
    cr_expect_str_eq(fixture.text, "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME "
                                   "1:1.1.1 completed eu/w1 1/1, -grants 1, -envelopes 1");
}

Test(hostile, a_result_too_large_to_be_passed_on_is_left_out)
{
    connect_worker();
    fixture_act("assign 1.1");
    send_outcome(1, make_result(0, FRAME_BYTES_MAX - 200));
    cr_expect_str_eq(fixture.text, "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME "
                                   "1:1.1.1 completed eu/w1 1/1, -grants 1, -envelopes 1");
}
