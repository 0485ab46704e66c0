/* children_test.c - a parent's view of its children: round trips, offers, who may have a name, forgetting.
 * Sessions and losses as a node sees them: tests/region/workers_test.c. */
#include "engine/children.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct children *children;
static struct classes *classes;
static struct outputs outputs;
static struct event event;
static uint8_t frame[16384], profiles[8192];

static void set_up(void)
{
    static const struct children_options options = {.beat_ms = 1000, .grace_ms = 10000, .role = "worker"};
    children = calloc(1, sizeof *children);
    classes = calloc(1, sizeof *classes);
    cr_assert(children != NULL && classes != NULL);
    cr_assert(outputs_init(&outputs));
    outputs_begin_step(&outputs);
    event = (struct event){.now_ns = 1000000 * NANOSECONDS_PER_MS, .wall_ms = 5};
    children_init(children, &options, classes);
    children_begin_step(children, &event);
    children_start(children, &event, 7);
}

static void tear_down(void)
{
    children_release(children);
    classes_release(classes);
    free(children);
    free(classes);
    outputs_release(&outputs);
}

TestSuite(children, .init = set_up, .fini = tear_down);

static enum child_news receive(uint64_t peer, enum message_kind kind, uint64_t sequence, struct bytes body)
{
    struct message_header header = {.version = 1, .kind = kind, .sequence = sequence, .body = body};
    struct child *child;
    event.peer = peer_make(PORT_CHILD, peer);
    children_begin_step(children, &event);
    return children_on_message(children, &event, &header, &outputs, &child);
}

static struct bytes offer(const char *type, uint32_t slots)
{
    struct writer writer;
    struct profile profile = {.types = {bytes_of(type)}, .type_count = 1, .slots = slots};
    writer_init(&writer, profiles, sizeof profiles);
    write_array(&writer, 1);
    profile_write(&writer, &profile);
    return writer_bytes(&writer);
}

static struct child *hello(const char *name, uint64_t peer, uint8_t instance, struct bytes offered)
{
    struct writer writer;
    struct hello body = {.name = bytes_of(name),
                         .role = bytes_of("worker"),
                         .instance = {instance},
                         .boot = 1,
                         .version_min = 1,
                         .version_max = 1,
                         .profiles = offered};
    writer_init(&writer, frame, sizeof frame);
    hello_write(&writer, &body);
    receive(peer, MESSAGE_HELLO, 1, writer_bytes(&writer));
    return children_by_name(children, bytes_of(name));
}

static struct child *join(const char *name, uint64_t peer, struct bytes offered)
{
    struct child *child = hello(name, peer, (uint8_t)name[1], offered);
    cr_assert_not_null(child);
    receive(peer, MESSAGE_END, 2, bytes_of("\x90"));
    cr_assert_eq(child->state, CHILD_SWEEPING);
    child->state = CHILD_LIVE;
    return child;
}

static void beat(uint64_t peer, uint64_t echo_us, uint64_t held_us)
{
    struct writer writer;
    struct heartbeat heartbeat = {.clock_us = 1, .echo_us = echo_us, .echo_held_us = held_us};
    writer_init(&writer, frame, sizeof frame);
    heartbeat_write(&writer, &heartbeat);
    receive(peer, MESSAGE_HEARTBEAT, 0, writer_bytes(&writer));
}

static void later(uint64_t ms)
{
    for (; ms > 0; ms -= ms < 500 ? ms : 500) {
        event.now_ns += (ms < 500 ? ms : 500) * NANOSECONDS_PER_MS;
        children_begin_step(children, &event);
        children_on_timeout(children, &event, &outputs);
        outputs_reset(&outputs);
        outputs_begin_step(&outputs);
    }
}

/* ---- round trips ---- */

Test(children, the_round_trip_is_measured_and_smoothed)
{
    struct child *child = join("w1", 1, offer("t", 1));
    uint64_t now_us = event.now_ns / 1000;
    beat(1, 0, 0);
    cr_expect_eq(child->rtt_us, 0, "nothing echoed, nothing measured");
    beat(1, now_us - 20000, 15000);
    cr_expect_eq(child->rtt_us, 5001, "without the time that the child held it");
    beat(1, now_us - 13000, 0);
    cr_expect_eq(child->rtt_us, (5001 * 7 + 13001) / 8);
}

/* echo, held: clocks that cannot be. */
static const int64_t wrong[][2] = {{1000, 0}, {-5000, 5001}, {-5000, INT64_MAX}, {-900000000, 0}};

Test(children, an_impossible_echo_measures_nothing)
{
    struct child *child = join("w1", 1, offer("t", 1));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        beat(1, event.now_ns / 1000 + (uint64_t)wrong[i][0], (uint64_t)wrong[i][1]);
        if (i < 3)
            cr_expect_eq(child->rtt_us, 0, "row %zu", i);
    }
}

/* ---- offers ---- */

Test(children, slots_of_a_class_follow_the_profiles)
{
    struct task_fields resize = {.type = bytes_of("resize")}, blur = {.type = bytes_of("blur")};
    bool reused;
    struct child *child = join("w1", 1, offer("resize", 3));
    uint16_t first = classes_of(classes, &resize, &outputs, &reused);
    cr_expect_eq(child_class(children, child, first)->slots, 3);
    uint16_t second = classes_of(classes, &blur, &outputs, &reused);
    cr_expect_eq(child_class(children, child, second)->slots, 0, "a class that came later");
    child_class(children, child, first)->granted = 2;
    hello("w1", 1, '1', offer("blur", 4));
    cr_expect_eq(child_class(children, child, first)->slots, 0);
    cr_expect_eq(child_class(children, child, second)->slots, 4);
    cr_expect_eq(child_class(children, child, first)->granted, 2, "what is granted stays counted");
}

Test(children, hello_with_wrong_profiles_begins_no_session)
{
    static const struct {
        const char *bytes;
        size_t size;
    } rows[] = {{"\x01", 1},
                {"\x91\x90", 2},
                {"\x91\x93\x91\x01\x90\x01", 6},
                {"\x91\x93\x91\xa1\n\x90\x01", 7},
                {"\x91\x93\x91\xa1t\x91\xa1\x7f\x01", 9},
                {"\x91\x93\x91\xa1t\x90\xce\x00\x01\x00\x01", 11}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct child *child =
            hello("w1", i + 1, '1', (struct bytes){(const uint8_t *)rows[i].bytes, rows[i].size});
        cr_expect(child == NULL || child->peer == 0, "row %zu", i);
    }
    cr_expect_eq(children->refused, sizeof rows / sizeof rows[0]);
}

Test(children, at_most_64_kinds_are_offered_above)
{
    uint8_t encoded[PROFILES_BYTES_MAX];
    struct writer writer;
    struct reader reader;
    char name[16], type[16];
    for (uint32_t i = 0; i < PROFILES_MAX + 10; i++) {
        snprintf(name, sizeof name, "w%u", i);
        snprintf(type, sizeof type, "t%u", i);
        join(name, i + 1, offer(type, 1));
    }
    writer_init(&writer, encoded, sizeof encoded);
    cr_expect_eq(children_profiles(children, &writer), PROFILES_MAX);
    reader_init(&reader, writer_bytes(&writer));
    cr_expect_eq(read_array(&reader, PROFILES_MAX), PROFILES_MAX);
}

/* ---- names ---- */

Test(children, a_name_is_free_once_its_bearer_is_lost)
{
    struct child *first = join("w1", 1, offer("t", 1));
    uint32_t number = first->number;
    hello("w1", 2, 99, offer("t", 1));
    cr_expect_eq(first->instance[0], '1', "not while it lives");
    later(11000);
    cr_expect(first->lost);
    struct child *second = hello("w1", 3, 99, offer("t", 1));
    cr_expect_eq(second->instance[0], 99);
    cr_expect_gt(second->number, number, "numbers are not used again");
}

Test(children, the_lost_are_forgotten_after_a_while)
{
    join("w1", 1, offer("t", 1));
    struct child *second = join("w2", 2, offer("t", 1));
    for (int i = 0; i < 700; i++) {
        beat(2, 0, 0);
        later(1000);
    }
    cr_expect_null(children_by_name(children, bytes_of("w1")));
    cr_expect_eq(children_by_name(children, bytes_of("w2")), second);
    cr_expect_eq(children->count, 1);
}

static struct bytes record_of(uint8_t *bytes, size_t size, bool with_forgotten)
{
    struct writer writer;
    writer_init(&writer, bytes, size);
    write_array(&writer, with_forgotten ? 4 : 3);
    write_str(&writer, "w1");
    write_bin(&writer, bytes_of("0123456789abcdef"));
    write_uint(&writer, 5);
    if (with_forgotten)
        write_bool(&writer, true);
    return writer_bytes(&writer);
}

/* Records of a program that knew no `forgotten` have three fields. */
Test(children, the_forgotten_are_gone_after_a_restart_too)
{
    uint8_t bytes[64];
    cr_expect(children_restore(children, 1, record_of(bytes, sizeof bytes, false)));
    cr_expect(children_restore(children, 2, record_of(bytes, sizeof bytes, true)));
    cr_expect_str_eq(child_state_text(children->all[0]), "away");
    cr_expect_str_eq(child_state_text(children->all[1]), "forgotten");
    later(1000);
    cr_expect_eq(children->count, 1);
    cr_expect_not(children->all[0]->forgotten);
    cr_expect_eq(children->all[0]->boot, 5);
}

/* As long as something is granted to it, its name is in use; then anybody is new under it. */
Test(children, the_forgotten_come_back_as_others)
{
    struct child *first = join("w1", 1, offer("t", 1));
    uint32_t number = first->number;
    later(4000);
    cr_expect_not(child_is_heard(first), "it is silent");
    first->granted = first->first_grant = 1;
    children_forget(children, first, &outputs);
    cr_expect_eq(first->peer, 0);
    hello("w1", 2, '1', offer("t", 1));
    later(1000);
    cr_expect_eq(children_by_name(children, bytes_of("w1")), first);
    cr_expect_eq(first->peer, 0);
    first->granted = first->first_grant = 0;
    struct child *second = hello("w1", 3, '1', offer("t", 1));
    cr_expect_gt(second->number, number);
    cr_expect_not(second->lost || second->forgotten);
    cr_expect(child_is_heard(second));
}

/* more silence in ms, whether work may go there, state: looked at once per beat */
static const struct {
    uint64_t silent_ms;
    bool may_work;
    const char *state;
} silences[] = {{0, true, "live"},
                {2500, true, "live"},
                {1000, false, "suspect"},
                {6000, false, "suspect"},
                {1000, false, "lost"}};

Test(children, silence_makes_suspect_then_lost)
{
    struct child *child = join("w1", 1, offer("t", 1));
    for (size_t i = 0; i < sizeof silences / sizeof silences[0]; i++) {
        later(silences[i].silent_ms);
        cr_expect_eq(child_may_work(child), silences[i].may_work, "row %zu", i);
        cr_expect_str_eq(child_state_text(child), silences[i].state, "row %zu: %s", i,
                         child_state_text(child));
    }
}

Test(children, a_gap_between_steps_counts_as_one_beat)
{
    struct child *child = join("w1", 1, offer("t", 1));
    event.now_ns += 3600 * 1000 * NANOSECONDS_PER_MS;
    children_begin_step(children, &event);
    children_on_timeout(children, &event, &outputs);
    cr_expect(child_may_work(child));
}
