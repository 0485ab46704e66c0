/* session_bounds_test.c - what a session holds back: sizes of messages, windows, its own table; and calls. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/client/session_fixture.h"

static enum session_status hand_in(struct fixture *fixture, uint32_t number, size_t payload_bytes)
{
    struct task_id id = fixture_id(number);
    size_t size;
    uint8_t *envelope = fixture_envelope(&id, payload_bytes, &size);
    enum session_status status = session_submit(fixture->session, &id, envelope, size, id.bytes[15], true);
    if (status != SESSION_OK)
        free(envelope);
    return status;
}

static void step(struct fixture *fixture)
{
    fixture_step(fixture, EVENT_TIMEOUT, (struct bytes){.size = 0});
}

/* "accepted" for `count` tasks from `first`, in the order in which they were handed in. */
static void accept(struct fixture *fixture, uint32_t message, uint32_t first)
{
    struct writer writer = fixture_reply(fixture, MESSAGE_ACCEPTED, fixture->sent[message].sequence);
    write_map(&writer, 1);
    write_str(&writer, "tasks");
    write_array(&writer, fixture->sent[message].entries);
    for (uint32_t i = 0; i < fixture->sent[message].entries; i++) {
        struct task_id id = fixture_id(first + i);
        write_map(&writer, 2);
        write_str(&writer, "id");
        write_bin(&writer, (struct bytes){id.bytes, TASK_ID_BYTES});
        write_str(&writer, "status");
        write_str(&writer, "accepted");
    }
    fixture_reply_end(fixture, &writer);
}

/* RESULT pushes for `count` tasks from `first`. */
static void push_ends(struct fixture *fixture, uint32_t first, uint32_t count)
{
    struct writer writer = fixture_reply(fixture, MESSAGE_RESULT, 0);
    write_map(&writer, 1);
    write_str(&writer, "results");
    write_array(&writer, count);
    for (uint32_t i = 0; i < count; i++) {
        struct task_id id = fixture_id(first + i);
        write_map(&writer, 1);
        write_str(&writer, "id");
        write_bin(&writer, (struct bytes){id.bytes, TASK_ID_BYTES});
    }
    fixture_reply_end(fixture, &writer);
}

static uint32_t take(struct fixture *fixture)
{
    struct session_event event;
    uint32_t count = 0;
    while (session_next(fixture->session, &event))
        count++;
    return count;
}

Test(session_bounds, a_message_holds_at_most_1024_tasks)
{
    struct fixture *fixture = fixture_open(NULL);
    for (uint32_t i = 0; i < 2000; i++)
        cr_assert_eq(hand_in(fixture, 1000 + i, 10), SESSION_OK);
    step(fixture);
    cr_assert_eq(fixture->sent_count, 2);
    cr_assert_eq(fixture->sent[1].entries, 1024);
    cr_assert_eq(fixture->sent[2].entries, 976);
    fixture_close(fixture);
}

Test(session_bounds, a_message_of_many_closes_before_256_kib_and_a_large_task_goes_alone)
{
    static const size_t payloads[] = {100000, 100000, 100000, PAYLOAD_BYTES_MAX, 100000};
    static const uint32_t entries[] = {2, 1, 1, 1};
    struct fixture *fixture = fixture_open(NULL);
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_eq(hand_in(fixture, 'A' + i, payloads[i]), SESSION_OK);
    step(fixture);
    cr_assert_eq(fixture->sent_count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        const struct sent *sent = &fixture->sent[i + 1];
        cr_assert_eq(sent->entries, entries[i]);
        cr_assert_leq(sent->size, sent->entries > 1 ? FRAME_BYTES_SOFT : FRAME_BYTES_MAX);
    }
    fixture_close(fixture);
}

Test(session_bounds, a_task_that_no_frame_can_hold_is_never_sent)
{
    struct fixture *fixture = fixture_open(NULL);
    cr_assert_eq(hand_in(fixture, 'A', FRAME_BYTES_MAX - 100), SESSION_TOO_LARGE);
    cr_assert_eq(session_deadline_ns(fixture->session), DEADLINE_NEVER);
    cr_assert_eq(session_open(fixture->session), 0);
    fixture_close(fixture);
}

Test(session_bounds, the_table_is_bounded_and_ids_are_open_once)
{
    struct session_options options;
    session_options_default(&options);
    options.tasks_max = 2;
    struct fixture *fixture = fixture_open(&options);
    cr_assert_eq(hand_in(fixture, 'A', 0), SESSION_OK);
    cr_assert_eq(hand_in(fixture, 'A', 0), SESSION_KNOWN);
    cr_assert_eq(hand_in(fixture, 'B', 0), SESSION_OK);
    cr_assert_eq(hand_in(fixture, 'C', 0), SESSION_FULL);
    fixture_run(fixture, (struct row[]){
                             {"step", "@1 #1 SUBMIT+ A B"},
                             {"accepted #1 A=ok B=ok", ""},
                             {"result #0 ended:A", ""},
                             {NULL, NULL},
                         });
    struct session_event event;
    for (int i = 0; i < 3; i++)
        cr_assert(session_next(fixture->session, &event));
    cr_assert_eq(event.kind, SESSION_ENDED);
    cr_assert_eq(session_open(fixture->session), 1, "an end in the caller's hands is not open");
    cr_assert_eq(hand_in(fixture, 'A', 0), SESSION_OK, "and its id may be handed in again at once");
    fixture_close(fixture);
}

Test(session_bounds, unanswered_messages_are_bounded)
{
    struct session_options options;
    session_options_default(&options);
    options.batch_tasks_max = 1;
    options.unanswered_max = 3;
    struct fixture *fixture = fixture_open(&options);
    fixture_run(fixture, (struct row[]){
                             {"submit A B C D E", ""},
                             {"step", "@1 #1 SUBMIT A; @1 #2 SUBMIT B; @1 #3 SUBMIT C"},
                             {"accepted #2 B=ok", "@1 #4 SUBMIT D"},
                             {"accepted #1 A=ok", "@1 #5 SUBMIT E"},
                             {NULL, NULL},
                         });
    fixture_close(fixture);
}

Test(session_bounds, received_goes_out_at_512_and_never_holds_up_a_caller_without_a_node)
{
    enum { TASKS = 3000 };
    struct fixture *fixture = fixture_open(NULL);
    for (uint32_t i = 0; i < TASKS; i++)
        cr_assert_eq(hand_in(fixture, 1000 + i, 0), SESSION_OK);
    step(fixture);
    uint32_t submits = fixture->sent_count;
    for (uint32_t i = 0; i < submits; i++)
        accept(fixture, i + 1, 1000 + i * 1024);
    cr_assert_eq(take(fixture), TASKS);
    push_ends(fixture, 1000, 600);
    cr_assert_eq(take(fixture), 600);
    step(fixture);
    cr_assert_eq(fixture->sent[fixture->sent_count].kind, MESSAGE_RECEIVED);
    cr_assert_eq(fixture->sent[fixture->sent_count].entries, 600);
    push_ends(fixture, 1600, 1400);
    cr_assert_eq(take(fixture), 1025, "1024 ends wait to be told; the next one is in the caller's hands");
    step(fixture);
    cr_assert_eq(take(fixture), 375);
    push_ends(fixture, 3000, 1000);
    fixture_step(fixture, EVENT_LINK_DOWN, (struct bytes){.size = 0});
    cr_assert_eq(take(fixture), 1000);
    cr_assert_eq(session_open(fixture->session), 0);
    fixture_close(fixture);
}

Test(session_bounds, at_the_end_received_leaves_without_waiting_for_company)
{
    struct fixture *fixture = fixture_open(NULL);
    fixture_run(fixture, (struct row[]){
                             {"watch A", ""},
                             {"step", "@1 #1 WATCH A"},
                             {"result #1 ended:A", ""},
                             {NULL, NULL},
                         });
    struct session_event event;
    cr_assert(!session_owes(fixture->session));
    cr_assert(session_next(fixture->session, &event));
    session_finish(fixture->session);
    cr_assert(session_owes(fixture->session));
    fixture_run(fixture, (struct row[]){{"step", "@1 #2 RECEIVED A"}, {NULL, NULL}});
    cr_assert(session_owes(fixture->session));
    fixture_run(fixture, (struct row[]){{"done #2", ""}, {NULL, NULL}});
    cr_assert(!session_owes(fixture->session));
    fixture_close(fixture);
}

/* ---- calls ---- */

static uint32_t call(struct fixture *fixture, enum message_kind kind, uint32_t patience_ms)
{
    static const uint8_t body[] = {0x80};
    uint32_t number;
    cr_assert_eq(
        session_call(fixture->session, kind, (struct bytes){body, sizeof body}, patience_ms, &number),
        SESSION_OK);
    return number;
}

Test(session_bounds, a_call_is_sent_again_until_it_is_answered)
{
    struct fixture *fixture = fixture_open(NULL);
    enum message_kind kind;
    struct bytes body;
    uint32_t cancel = call(fixture, MESSAGE_CANCEL, 0);
    fixture_run(fixture, (struct row[]){
                             {"step", "@1 #1 CANCEL"},
                             {"wait 3000", ""},
                             {"wait 38", "@2 #2 CANCEL"},
                             {"done #1", ""}, /* of the old connection */
                             {NULL, NULL},
                         });
    cr_assert(!session_call_reply(fixture->session, cancel, &kind, &body));
    fixture_run(fixture, (struct row[]){{"done #2", ""}, {NULL, NULL}});
    cr_assert(session_call_reply(fixture->session, cancel, &kind, &body));
    cr_assert_eq(kind, MESSAGE_DONE);
    cr_assert_gt(body.size, 0);
    session_call_end(fixture->session, cancel);
    fixture_run(fixture, (struct row[]){{"done #2", ""}, {"wait 100000", ""}, {NULL, NULL}});
    fixture_close(fixture);
}

Test(session_bounds, a_call_that_takes_long_on_purpose_does_not_break_the_connection)
{
    struct fixture *fixture = fixture_open(NULL);
    call(fixture, MESSAGE_WATCH, 10000);
    fixture_run(fixture, (struct row[]){
                             {"step", "@1 #1 WATCH"},
                             {"wait 12999", ""},
                             {"wait 1", ""},
                             {"wait 38", "@2 #2 WATCH"},
                             {NULL, NULL},
                         });
    fixture_close(fixture);
}

Test(session_bounds, there_are_sixteen_calls)
{
    static const uint8_t body[] = {0x80};
    struct fixture *fixture = fixture_open(NULL);
    uint32_t number;
    for (int i = 0; i < SESSION_CALLS_MAX; i++)
        call(fixture, MESSAGE_QUERY, 0);
    cr_assert_eq(session_call(fixture->session, MESSAGE_QUERY, (struct bytes){body, 1}, 0, &number),
                 SESSION_FULL);
    session_call_end(fixture->session, 3);
    cr_assert_eq(call(fixture, MESSAGE_QUERY, 0), 3);
    fixture_close(fixture);
}
