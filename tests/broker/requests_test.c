/* requests_test.c - CANCEL and DRAIN, and requests that are none. */
#include <criterion/criterion.h>

#include "tests/broker/node_fixture.h"

TestSuite(requests, .init = fixture_set_up, .fini = fixture_tear_down);

Test(requests, cancel_ends_a_queued_task_at_once)
{
    static const struct row rows[] = {
        {"c1 submit 1 / 2 delay=60000", "c1 ACCEPTED 1 accepted 2 accepted"},
        {"c1 cancel 1 2 9", "c1 CANCELLING 1 ended(cancelled) 2 ended(cancelled) 9 unknown"},
        {"c1 cancel 1", "c1 CANCELLING 1 ended(cancelled)"},
        {"eu up slots=4", "eu WELCOME"},
        {"later 61000", ""},
        {0}};
    fixture_run(rows);
    cr_expect_eq(fixture_counter("cancelled"), 2);
}

Test(requests, cancel_of_a_granted_task_is_durable_and_goes_down_once_per_session)
{
    static const struct row rows[] = {
        {"eu up slots=2", "put children 1, eu WELCOME"},
        {"c1 submit 1", "put classes 1, put envelopes 1, put states 1, c1 ACCEPTED 1 accepted"},
        {"go", "put grants 1, eu ASSIGN 1.1"},
        {"c1 cancel 1", "put states 1, eu STOP 1.1, c1 CANCELLING 1 cancelling(cancelling)"},
        {"c1 cancel 1", "c1 CANCELLING 1 cancelling(cancelling)"},
        {"eu hello 1", "eu WELCOME"},
        {"eu inventory 1.1 running", "eu STOP 1.1"},
        {"eu end", ""},
        {"restart", "put meta 1"},
        {"c1 watch 1", "c1 PENDING 1 cancelling"},
        {"eu hello 1", "eu WELCOME"},
        {"eu inventory 1.1 running", "eu STOP 1.1"},
        {"eu end", ""},
        {"eu outcome 1.1 cancelled", "put outcomes 1, put ended 1, eu SETTLED 1.1 recorded, erase grants 1, "
                                     "erase envelopes 1, erase states 1"},
        {0}};
    fixture.shows_writes = true;
    fixture_run(rows);
}

Test(requests, cancel_that_comes_too_late_changes_nothing)
{
    static const struct row rows[] = {{"eu up slots=2", "eu WELCOME"},
                                      {"c1 submit 1", "c1 ACCEPTED 1 accepted"},
                                      {"go", "eu ASSIGN 1.1"},
                                      {"c1 cancel 1", "eu STOP 1.1, c1 CANCELLING 1 cancelling(cancelling)"},
                                      {"eu outcome 1.1 completed", "eu SETTLED 1.1 recorded"},
                                      {"c1 watch 1", "c1 RESULT 1 completed"},
                                      {"c1 cancel 1", "c1 CANCELLING 1 ended(completed)"},
                                      {0}};
    fixture_run(rows);
}

Test(requests, cancel_takes_512_at_most)
{
    fixture_act("c1 submit watch 1-1000");
    fixture_act("c1 cancel 1-513");
    cr_expect_str_eq(fixture.text, "c1 ERROR too_many");
    fixture_act("c1 cancel 1-512");
    cr_expect_leq(fixture.operations_max, STEP_OPERATIONS_MAX);
    fixture_act("go");
    cr_expect_eq(fixture_state_count("ready"), 488);
}

static void drain(const char *node)
{
    fixture_act("go");
    struct writer *writer = fixture_client_frame(MESSAGE_DRAIN);
    write_map(writer, 2);
    write_str(writer, "node");
    write_str(writer, node);
    write_str(writer, "deadline_ms");
    write_uint(writer, 7000);
    fixture_client_deliver(1);
}

/* The region's ANSWER to the ASK that is in fixture.body. */
static void answer_drain(const char *code, const char *reason)
{
    struct ask ask;
    cr_assert_eq(fixture.kind, MESSAGE_ASK);
    cr_assert(ask_read(fixture.body, &ask));
    cr_expect(bytes_are(ask.question, "drain"));
    cr_expect_str_eq(fixture_text(ask.body, "node"), "eu/w2");
    cr_expect_eq(fixture_uint(ask.body, "deadline_ms"), 7000);
    struct played_region *eu = fixture_region("eu");
    struct writer *writer = fixture_region_frame(eu, MESSAGE_ANSWER);
    answer_write_head(writer, ask.request);
    write_map(writer, code == NULL ? 0 : 2);
    if (code != NULL) {
        write_str(writer, "code");
        write_str(writer, code);
        write_str(writer, "reason");
        write_str(writer, reason);
    }
    fixture_region_deliver(eu);
}

Test(requests, drain_asks_the_region_and_tells_its_answer)
{
    fixture_act("eu up slots=1");
    drain("eu/w2");
    cr_expect_str_eq(fixture.text, "eu ASK");
    answer_drain(NULL, NULL);
    cr_expect_str_eq(fixture.text, "eu ASK, c1 DONE");
    drain("eu/w2");
    answer_drain("not_found", "node: no such worker");
    cr_expect_str_eq(fixture.text, "eu ASK, c1 ERROR not_found");
    cr_expect_str_eq(fixture.reason, "node: no such worker");
    drain("eu/w2");
    fixture_act("later 500");
    cr_expect_str_eq(fixture.text, "c1 ERROR not_found", "it did not answer");
    drain("us/w2");
    cr_expect_str_eq(fixture.text, "c1 ERROR not_found");
    drain("eu");
    cr_expect_str_eq(fixture.text, "c1 ERROR invalid_field");
}

static void deliver(uint32_t version, const char *kind, const uint8_t *body, size_t size)
{
    uint8_t bytes[256];
    struct writer writer;
    fixture_act("go");
    writer_init(&writer, bytes, sizeof bytes);
    write_array(&writer, 4);
    write_uint(&writer, version);
    write_str(&writer, kind);
    write_uint(&writer, 0);
    write_raw(&writer, (struct bytes){body, size});
    fixture.open_count = 0;
    fixture_step((struct event){
        .kind = EVENT_MESSAGE, .peer = peer_make(PORT_CLIENT, 1), .frame = writer_bytes(&writer)});
}

Test(requests, of_another_version_or_kind_are_refused_by_name)
{
    static const uint8_t empty[] = {0x80}, cut[] = {0x81, 0xa1}, none[] = {0xc0};
    deliver(2, "SUBMIT", empty, 1);
    cr_expect_str_eq(fixture.text, "c1 ERROR unknown_version");
    cr_expect_str_eq(fixture.reason, "version: 2 was offered, this node speaks 1");
    deliver(1, "DANCE", empty, 1);
    cr_expect_str_eq(fixture.text, "c1 ERROR unknown_kind");
    cr_expect(strncmp(fixture.reason, "DANCE: ", 7) == 0);
    deliver(1, "SUBMIT", cut, sizeof cut);
    cr_expect_str_eq(fixture.text, "c1 ERROR malformed");
    static const char *const kinds[] = {"SUBMIT", "WATCH", "RECEIVED", "CANCEL", "DRAIN", "FORGET"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        deliver(1, kinds[i], none, 1);
        cr_expect_str_eq(fixture.text, "c1 ERROR malformed", "%s", kinds[i]);
        deliver(1, kinds[i], empty, 1);
        cr_expect_str_eq(fixture.text, "c1 ERROR malformed", "%s", kinds[i]);
    }
    cr_expect_eq(fixture_counter("malformed"), 15);
}

Test(requests, with_many_unknown_fields_name_the_first)
{
    struct writer *writer = fixture_client_frame(MESSAGE_WATCH);
    write_map(writer, 9);
    for (char name[] = "k0"; name[1] < '9'; name[1]++) {
        write_str(writer, name);
        write_nil(writer);
    }
    fixture_client_deliver(1);
    cr_expect_str_eq(fixture.text, "c1 ERROR unknown_field");
    cr_expect(strncmp(fixture.reason, "k0: ", 4) == 0);
}
