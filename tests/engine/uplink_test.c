/* uplink_test.c - a child's session with its parent: HELLO, WELCOME, beats, silence, back-off. */
#include "engine/uplink.h"

#include <criterion/criterion.h>

static struct uplink uplink;
static struct outputs outputs;
static struct event event;
static uint64_t sequence;
static uint8_t instance[INSTANCE_BYTES] = {9};

static const uint8_t no_profiles[] = {0x90};

static void set_up(void)
{
    cr_assert(outputs_init(&outputs));
    outputs_begin_step(&outputs);
    event = (struct event){.now_ns = 1000000 * NANOSECONDS_PER_MS, .wall_ms = 5};
    sequence = 0;
    uplink_init(&uplink, "eu", "region", 50, 1000);
    uplink_profiles(&uplink, (struct bytes){no_profiles, sizeof no_profiles});
}

static void tear_down(void)
{
    outputs_release(&outputs);
}

TestSuite(uplink, .init = set_up, .fini = tear_down);

static uint8_t frame[4096], body[256];

/* The one message that the last step sent; its body is valid until the next call. */
static struct message_header sent(void)
{
    struct message_header header;
    outputs_close(&outputs);
    cr_assert_eq(outputs.message_count, 1, "one message, not %u", outputs.message_count);
    cr_expect_eq(outputs.messages[0].peer, uplink_peer(&uplink));
    const struct pieces *pieces = &outputs.messages[0].frame;
    cr_assert(pieces_copy(&outputs, pieces, frame, NULL, NULL));
    cr_assert_eq(message_read((struct bytes){frame, pieces->size}, &header), READER_OK);
    outputs_reset(&outputs);
    outputs_begin_step(&outputs);
    return header;
}

static enum uplink_news receive(enum message_kind kind, uint64_t number, struct bytes content)
{
    struct message_header header = {.version = 1, .kind = kind, .sequence = number, .body = content};
    event.peer = uplink_peer(&uplink);
    return uplink_on_message(&uplink, &event, &header, &outputs);
}

static enum uplink_news receive_welcome(uint64_t number)
{
    struct writer writer;
    writer_init(&writer, body, sizeof body);
    struct welcome welcome = {.version = 1, .epoch = 3, .beat_ms = 1000, .grace_ms = 60000};
    welcome_write(&writer, &welcome);
    return receive(MESSAGE_WELCOME, number, writer_bytes(&writer));
}

static enum uplink_news receive_beat(uint64_t clock_us)
{
    struct writer writer;
    writer_init(&writer, body, sizeof body);
    struct heartbeat heartbeat = {.clock_us = clock_us};
    heartbeat_write(&writer, &heartbeat);
    return receive(MESSAGE_HEARTBEAT, 0, writer_bytes(&writer));
}

static enum uplink_news later(uint64_t ms)
{
    event.now_ns += ms * NANOSECONDS_PER_MS;
    return uplink_on_timeout(&uplink, &event, &outputs);
}

static void start(void)
{
    uplink_start(&uplink, &event, &outputs, instance, 4);
}

static void come_up(void)
{
    start();
    sent();
    cr_assert_eq(receive_welcome(1), UPLINK_WELCOME);
    uplink_synced(&uplink, &event, &outputs);
    sent();
}

Test(uplink, hello_says_who_it_is)
{
    uplink.epoch_seen = 77;
    start();
    struct message_header header = sent();
    struct hello hello;
    cr_expect_eq(header.kind, MESSAGE_HELLO);
    cr_expect_eq(header.sequence, 1);
    cr_assert(hello_read(header.body, &hello));
    cr_expect(bytes_are(hello.name, "eu"));
    cr_expect(bytes_are(hello.role, "region"));
    cr_expect_eq(hello.boot, 4);
    cr_expect_eq(hello.epoch_seen, 77);
    cr_expect_eq(hello.instance[0], 9);
    cr_expect_not(uplink_is_up(&uplink));
}

Test(uplink, is_up_after_end)
{
    start();
    sent();
    cr_expect_eq(receive_welcome(1), UPLINK_WELCOME);
    cr_expect_eq(uplink.state, UPLINK_SYNCING);
    cr_expect_not(uplink_is_up(&uplink));
    uplink_synced(&uplink, &event, &outputs);
    struct message_header header = sent();
    cr_expect_eq(header.kind, MESSAGE_END);
    cr_expect_eq(header.sequence, 2);
    cr_expect(uplink_is_up(&uplink));
    cr_expect_eq(uplink.parent_epoch, 3);
}

/* What ends a session that is up, and what does not. */
Test(uplink, counted_messages_come_without_a_gap)
{
    come_up();
    cr_expect_eq(receive(MESSAGE_ASSIGN, 2, bytes_of("")), UPLINK_MESSAGE);
    cr_expect_eq(receive_beat(5), UPLINK_NOTHING);
    cr_expect_eq(receive(MESSAGE_STOP, 3, bytes_of("")), UPLINK_MESSAGE);
    cr_expect_eq(receive(MESSAGE_STOP, 5, bytes_of("")), UPLINK_ENDED, "a gap");
    cr_expect_eq(uplink.state, UPLINK_DOWN);
    cr_expect_eq(receive(MESSAGE_STOP, 6, bytes_of("")), UPLINK_NOTHING, "a leftover");
}

Test(uplink, a_repeated_number_is_a_gap_too)
{
    come_up();
    cr_expect_eq(receive(MESSAGE_ASSIGN, 1, bytes_of("")), UPLINK_ENDED);
}

Test(uplink, nothing_counts_before_welcome)
{
    start();
    sent();
    cr_expect_eq(receive(MESSAGE_ASSIGN, 1, bytes_of("")), UPLINK_ENDED);
}

Test(uplink, a_second_welcome_ends_it)
{
    come_up();
    cr_expect_eq(receive_welcome(2), UPLINK_ENDED);
}

Test(uplink, a_garbled_welcome_ends_it)
{
    start();
    sent();
    cr_expect_eq(receive(MESSAGE_WELCOME, 1, bytes_of("\x91\x01")), UPLINK_ENDED);
}

Test(uplink, greet_makes_it_say_hello_again)
{
    come_up();
    cr_expect_eq(receive(MESSAGE_GREET, 0, bytes_of("\x90")), UPLINK_ENDED);
    uint64_t session = uplink.session;
    cr_expect_eq(later(50), UPLINK_NOTHING);
    cr_expect_eq(sent().kind, MESSAGE_HELLO);
    cr_expect_eq(uplink.session, session + 1, "on a new connection");
}

Test(uplink, messages_of_an_older_session_are_left_overs)
{
    come_up();
    uint64_t old = uplink_peer(&uplink);
    receive(MESSAGE_GREET, 0, bytes_of("\x90"));
    later(50);
    struct message_header header = {.version = 1, .kind = MESSAGE_GREET};
    event.peer = old;
    cr_expect_eq(uplink_on_message(&uplink, &event, &header, &outputs), UPLINK_NOTHING);
    cr_expect_eq(uplink_on_link_down(&uplink, &event, &outputs), UPLINK_NOTHING);
    cr_expect_eq(uplink.state, UPLINK_HELLO_SENT);
}

Test(uplink, an_error_waits_longer_than_a_lost_connection)
{
    uint8_t text[64];
    struct writer writer;
    writer_init(&writer, text, sizeof text);
    error_write_body(&writer, ERROR_NAME_IN_USE, "another");
    start();
    sent();
    cr_expect_eq(receive(MESSAGE_ERROR, 0, writer_bytes(&writer)), UPLINK_ENDED);
    cr_expect_eq(outputs.traces[0].code, TRACE_PARENT_REFUSED);
    cr_expect_eq(outputs.traces[0].a, ERROR_NAME_IN_USE);
    outputs_reset(&outputs);
    event.peer = 0;
    cr_expect_geq(uplink.retry_ns - event.now_ns, 400 * NANOSECONDS_PER_MS);
}

/* The pause before try n lies between half and the whole of min * 2^n, up to the cap. */
Test(uplink, the_back_off_doubles_within_its_bounds)
{
    static const uint64_t pause_ms[] = {50, 100, 200, 400, 800, 1000, 1000, 1000};
    start();
    for (size_t i = 0; i < sizeof pause_ms / sizeof pause_ms[0]; i++)
        for (int high = 0; high < 2; high++) {
            struct uplink copy = uplink;
            event.peer = uplink_peer(&uplink);
            event.random[0] = high ? pause_ms[i] / 2 : 0;
            cr_expect_eq(uplink_on_link_down(&uplink, &event, &outputs), UPLINK_ENDED);
            uint64_t pause_ns = uplink.retry_ns - event.now_ns;
            cr_expect_eq(pause_ns, (high ? pause_ms[i] : pause_ms[i] / 2) * NANOSECONDS_PER_MS, "try %zu", i);
            if (!high)
                uplink = copy;
            else
                later(pause_ms[i]);
        }
}

Test(uplink, the_back_off_is_at_most_a_third_of_the_grace)
{
    come_up();
    uplink.grace_ms = 300;
    uplink.tries = 20;
    event.peer = uplink_peer(&uplink);
    event.random[0] = 50;
    uplink_on_link_down(&uplink, &event, &outputs);
    cr_expect_eq(uplink.retry_ns - event.now_ns, 100 * NANOSECONDS_PER_MS);
}

Test(uplink, a_welcome_begins_the_back_off_anew)
{
    start();
    uplink.tries = 7;
    receive_welcome(1);
    cr_expect_eq(uplink.tries, 0);
}

Test(uplink, beats_once_per_beat)
{
    come_up();
    cr_expect_eq(later(0), UPLINK_NOTHING);
    cr_expect_eq(sent().kind, MESSAGE_HEARTBEAT, "the first at once");
    cr_expect_eq(uplink_deadline_ns(&uplink), event.now_ns + 1000 * NANOSECONDS_PER_MS);
    later(999);
    cr_expect_eq(outputs.message_count, 0);
    later(1);
    struct message_header header = sent();
    cr_expect_eq(header.kind, MESSAGE_HEARTBEAT);
    cr_expect_eq(header.sequence, 0);
}

Test(uplink, a_beat_echoes_the_parents_clock)
{
    struct heartbeat heartbeat;
    come_up();
    receive_beat(123456);
    later(20);
    cr_assert(heartbeat_read(sent().body, &heartbeat));
    cr_expect_eq(heartbeat.echo_us, 123456);
    cr_expect_eq(heartbeat.echo_held_us, 20000);
    cr_expect_eq(heartbeat.clock_us, event.now_ns / 1000);
}

Test(uplink, profiles_leave_with_the_next_beat_and_only_once)
{
    struct heartbeat heartbeat;
    come_up();
    later(0);
    sent();
    uplink_profiles(&uplink, (struct bytes){no_profiles, sizeof no_profiles});
    cr_expect_leq(uplink_deadline_ns(&uplink), event.now_ns, "at once");
    later(0);
    cr_assert(heartbeat_read(sent().body, &heartbeat));
    cr_expect_eq(heartbeat.profiles.size, 1);
    later(1000);
    cr_assert(heartbeat_read(sent().body, &heartbeat));
    cr_expect_eq(heartbeat.profiles.size, 0);
}

Test(uplink, three_silent_beats_end_it)
{
    come_up();
    for (int i = 0; i < 29; i++)
        cr_expect_eq(later(100), UPLINK_NOTHING);
    cr_expect_eq(later(100), UPLINK_ENDED);
}

Test(uplink, any_message_is_a_beat)
{
    come_up();
    for (int i = 0; i < 50; i++) {
        cr_expect_eq(receive_beat(1), UPLINK_NOTHING);
        for (int step = 0; step < 20; step++)
            cr_expect_eq(later(100), UPLINK_NOTHING);
    }
}

Test(uplink, a_pause_of_its_own_is_not_the_parents_silence)
{
    come_up();
    later(10);
    cr_expect_eq(later(60000), UPLINK_NOTHING);
    cr_expect(uplink_is_up(&uplink));
}

Test(uplink, an_unanswered_hello_is_given_up)
{
    start();
    sent();
    cr_expect_eq(later(2999), UPLINK_NOTHING);
    cr_expect_eq(later(1), UPLINK_ENDED);
}

Test(uplink, bye_is_the_last_word)
{
    come_up();
    uplink_bye(&uplink, 3, &outputs);
    struct message_header header = sent();
    struct reader reader;
    cr_expect_eq(header.kind, MESSAGE_BYE);
    reader_init(&reader, header.body);
    cr_expect_eq(read_array(&reader, 1), 1);
    cr_expect_eq(read_uint(&reader, 9), 3, "what it takes along");
    cr_expect_eq(uplink_deadline_ns(&uplink), DEADLINE_NEVER);
    cr_expect_eq(later(3600000), UPLINK_NOTHING);
    cr_expect_eq(outputs.message_count, 0);
}

Test(uplink, no_bye_without_a_session)
{
    start();
    sent();
    uplink_bye(&uplink, 3, &outputs);
    cr_expect_eq(outputs.message_count, 0);
    cr_expect_eq(uplink_deadline_ns(&uplink), DEADLINE_NEVER);
}
