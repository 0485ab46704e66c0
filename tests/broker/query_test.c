/* query_test.c - QUERY: rows of the broker's own, completed by the regions that hold the tasks. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/broker/node_fixture.h"

TestSuite(query, .init = fixture_set_up, .fini = fixture_tear_down);

/* {"what": what, ...}: `pairs` pairs in all, the others are written by the caller. */
static struct writer *begin(const char *what, uint32_t pairs)
{
    fixture.text_size = 0;
    fixture.text[0] = '\0';
    struct writer *writer = fixture_client_frame(MESSAGE_QUERY);
    write_map(writer, pairs);
    write_str(writer, "what");
    write_str(writer, what);
    return writer;
}

static void ask(const char *what)
{
    begin(what, 1);
    fixture_client_deliver(1);
}

static void ask_id(const char *what, uint32_t task)
{
    struct writer *writer = begin(what, 2);
    struct task_id id = fixture_id(task);
    write_str(writer, "id");
    write_bin(writer, (struct bytes){id.bytes, TASK_ID_BYTES});
    fixture_client_deliver(1);
}

static void ask_open(uint32_t limit)
{
    struct writer *writer = begin("tasks", 3);
    write_str(writer, "open");
    write_bool(writer, true);
    write_str(writer, "limit");
    write_uint(writer, limit);
    fixture_client_deliver(1);
}

static void resolve(const char *suffix)
{
    struct writer *writer = begin("resolve", 2);
    write_str(writer, "short");
    write_str(writer, suffix);
    fixture_client_deliver(1);
}

/* Row `at` of the ROWS that came last. */
static struct bytes row(uint32_t at)
{
    struct reader reader;
    cr_assert_eq(fixture.kind, MESSAGE_ROWS);
    reader_init(&reader, fixture_value(fixture.body, "rows"));
    uint32_t count = read_array(&reader, 4096);
    cr_assert_lt(at, count);
    for (uint32_t i = 0; i < at; i++)
        (void)read_raw(&reader);
    return read_raw(&reader);
}

static uint32_t number_of(struct bytes map)
{
    struct bytes id = fixture_value(map, "id");
    return fixture_number(id.data + id.size - TASK_ID_BYTES);
}

static bool is_stale(struct bytes map)
{
    return fixture_value(map, "stale").data[0] == 0xc3;
}

/* "3 ready eu no_credit stale, 2 ..." */
static const char *rows_text(void)
{
    static char text[4096];
    struct reader reader;
    size_t at = 0;
    cr_assert_eq(fixture.kind, MESSAGE_ROWS);
    reader_init(&reader, fixture_value(fixture.body, "rows"));
    uint32_t count = read_array(&reader, 4096);
    text[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        struct bytes map = read_raw(&reader);
        bool placed = fixture_value(map, "where").size > 0;
        const char *where = placed ? fixture_text(map, "where") : "", *reason = fixture_text(map, "reason");
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%u %s%s%s%s%s%s", i == 0 ? "" : ", ",
                               number_of(map), fixture_text(map, "state"), where[0] == '\0' ? "" : " ", where,
                               reason[0] == '\0' ? "" : " ", reason, is_stale(map) ? " stale" : "");
    }
    return text;
}

/* The ASK that came last, as the region read it. */
static struct ask question(void)
{
    static uint8_t copy[BODY_ROOM];
    struct ask ask;
    cr_assert_eq(fixture.kind, MESSAGE_ASK);
    memcpy(copy, fixture.body.data, fixture.body.size);
    cr_assert(ask_read((struct bytes){copy, fixture.body.size}, &ask));
    return ask;
}

/* A region's row of a task, padded to some size. */
static void write_row(struct writer *writer, uint32_t task, const char *state, const char *where,
                      uint32_t padding)
{
    struct task_id id = fixture_id(task);
    write_map(writer, 6);
    write_str(writer, "id");
    write_bin(writer, (struct bytes){id.bytes, TASK_ID_BYTES});
    write_str(writer, "state");
    write_str(writer, state);
    write_str(writer, "where");
    write_str(writer, where);
    write_str(writer, "reason");
    write_str(writer, "");
    write_str(writer, "stale");
    write_bool(writer, false);
    write_str(writer, "padding");
    write_bin_head(writer, padding);
    memset(writer->data + writer->size, 0, padding);
    writer->size += padding;
}

static struct writer *begin_answer(const char *region, uint64_t request, uint32_t rows)
{
    struct writer *writer = fixture_region_frame(fixture_region(region), MESSAGE_ANSWER);
    fixture.text_size = 0;
    fixture.text[0] = '\0';
    answer_write_head(writer, request);
    write_map(writer, 1);
    write_str(writer, "rows");
    write_array(writer, rows);
    return writer;
}

static void answer_task(const char *region, uint64_t request, uint32_t task, const char *state,
                        const char *where)
{
    write_row(begin_answer(region, request, 1), task, state, where, 0);
    fixture_region_deliver(fixture_region(region));
}

Test(query, tasks_are_the_newest_first)
{
    fixture_act("c1 submit 1-3");
    fixture_act("c1 submit 4 region=us / 5 delay=1000");
    fixture_act("c1 cancel 2");
    ask("tasks");
    cr_expect_str_eq(fixture.text, "c1 ROWS 5");
    cr_expect_str_eq(rows_text(), "5 delayed delay, 4 ready no_region, 3 ready no_region, 2 cancelled, "
                                  "1 ready no_region");
    cr_expect_str_eq(fixture_text(row(0), "type"), "noop");
    cr_expect_str_eq(fixture_text(row(0), "priority"), "normal");
    cr_expect_eq(fixture_uint(row(0), "attempt"), 1);
    cr_expect_eq(fixture_uint(row(0), "attempts_max"), 4);
    static const char *const unknown[] = {"where", "type", "priority", "attempt", "attempts_max", "age_ms"};
    for (int i = 0; i < 6; i++)
        cr_expect_eq(fixture_value(row(3), unknown[i]).size, 0, "an ended task has no %s", unknown[i]);
}

Test(query, tasks_that_a_region_holds_are_asked_for_there)
{
    fixture_act("eu up slots=1");
    fixture_act("c1 submit 1-3");
    fixture_act("go");
    ask("tasks");
    cr_expect_str_eq(fixture.text, "eu ASK");
    struct ask ask = question();
    cr_expect(bytes_are(ask.question, "tasks"));
    struct reader ids;
    reader_init(&ids, fixture_value(ask.body, "ids"));
    cr_expect_eq(read_array(&ids, 9), 2);
    struct writer *writer = begin_answer("eu", ask.request, 2);
    write_row(writer, 2, "running", "eu/w1", 0);
    write_row(writer, 9, "running", "eu/w1", 0); /* not asked for */
    fixture_region_deliver(fixture_region("eu"));
    cr_expect_str_eq(fixture.text, "c1 ROWS 3");
    cr_expect_str_eq(rows_text(), "3 ready no_credit, 2 running eu/w1, 1 granted eu sent stale");
}

Test(query, tasks_of_a_silent_region_come_stale_after_half_a_second)
{
    fixture_act("eu up slots=1");
    fixture_act("us up slots=1");
    fixture_act("c1 submit 1 region=eu / 2 region=us");
    fixture_act("go");
    ask("tasks");
    cr_expect_str_eq(fixture.text, "eu ASK, us ASK");
    uint64_t request = question().request;
    answer_task("us", request, 2, "running", "us/w1");
    cr_expect_str_eq(fixture.text, "");
    fixture_act("later 499");
    cr_expect_str_eq(fixture.text, "");
    fixture_act("later 1");
    cr_expect_str_eq(fixture.text, "c1 ROWS 2");
    cr_expect_str_eq(rows_text(), "2 running us/w1, 1 granted eu sent stale");
    answer_task("eu", request, 1, "running", "eu/w1");
    cr_expect_str_eq(fixture.text, "", "too late");
    fixture_act("eu down");
    ask("tasks");
    cr_expect_str_eq(fixture.text, "us ASK", "one without a session is not asked");
}

Test(query, open_tasks_are_sorted_by_state_then_arrival)
{
    fixture_act("c1 submit 1 delay=60000 / 2 region=us / 3 region=eu / 4 region=eu / 5");
    fixture_act("c1 cancel 5");
    fixture_act("eu up slots=1");
    ask_open(50);
    struct ask ask = question();
    struct writer *writer = begin_answer("eu", ask.request, 2);
    write_row(writer, 3, "ready", "eu", 0);
    write_row(writer, 4, "running", "eu/w1", 0);
    fixture_region_deliver(fixture_region("eu"));
    cr_expect_str_eq(fixture.text, "c1 ROWS 4");
    cr_expect_str_eq(rows_text(), "4 running eu/w1, 2 ready no_region, 3 ready eu, 1 delayed delay");
    fixture_act("eu down");
    ask_open(2);
    cr_expect_str_eq(fixture.text, "c1 ROWS 2 more");
    ask_open(257);
    cr_expect_str_eq(fixture.text, "c1 ERROR invalid_field");
    cr_expect(strncmp(fixture.reason, "limit: ", 7) == 0, "%s", fixture.reason);
}

Test(query, resolves_the_last_digits_of_an_id)
{
    fixture_act("c1 submit 7 8 65543");
    fixture_act("c1 cancel 7");
    resolve("00000008");
    cr_expect_str_eq(fixture.text, "c1 ROWS 1");
    cr_expect_eq(number_of(row(0)), 8);
    resolve("00000007");
    cr_expect_str_eq(fixture.text, "c1 ROWS 1", "ended ones too");
    resolve("0007");
    cr_expect_str_eq(fixture.text, "c1 ROWS 2", "ambiguous");
    resolve("00000009");
    cr_expect_str_eq(fixture.text, "c1 ROWS 0");
    resolve("7");
    cr_expect_str_eq(fixture.text, "c1 ERROR invalid_field");
    cr_expect(strncmp(fixture.reason, "short: ", 7) == 0, "%s", fixture.reason);
}

/* "eu us: text; ap: text" */
static const char *considered(void)
{
    static char text[1024];
    size_t at = 0;
    struct reader reader, names;
    reader_init(&reader, fixture_value(row(0), "considered"));
    uint32_t count = read_array(&reader, 64);
    text[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        struct bytes map = read_raw(&reader);
        reader_init(&names, fixture_value(map, "names"));
        at += (size_t)snprintf(text + at, sizeof text - at, "%s", i == 0 ? "" : "; ");
        for (uint32_t left = read_array(&names, 64); left > 0; left--) {
            struct bytes name = read_str(&names, 1, 64);
            at += (size_t)snprintf(text + at, sizeof text - at, "%.*s%s", (int)name.size,
                                   (const char *)name.data, left > 1 ? " " : "");
        }
        at += (size_t)snprintf(text + at, sizeof text - at, ": %s", fixture_text(map, "text"));
    }
    return text;
}

Test(query, explains_who_was_considered)
{
    fixture_act("eu up slots=4");
    fixture_act("us up slots=4");
    fixture_act("ap up slots=1");
    fixture_act("c1 submit 1-3 region=ap / 4 type=resize cap=gpu / 5");
    fixture_act("go");
    ask_id("explain", 3);
    cr_expect_str_eq(rows_text(), "3 ready no_credit");
    cr_expect_str_eq(considered(), "ap: holds 2 for 1 slots: no credit; eu us: excluded by --region ap");
    ask_id("explain", 4);
    cr_expect_str_eq(considered(), "ap eu us: no worker runs resize with gpu");
    fixture_act("us down");
    fixture_act("eu silent");
    fixture_act("later 3000");
    ask_id("explain", 4);
    cr_expect_str_eq(considered(), "ap: no worker runs resize with gpu; eu: suspect; us: away");
    ask_id("explain", 9);
    cr_expect_str_eq(fixture.text, "c1 ROWS 0");
    ask("explain");
    cr_expect_str_eq(fixture.text, "c1 ERROR invalid_field");
}

Test(query, explains_with_the_words_of_the_region_that_holds_it)
{
    fixture_act("ap up slots=1");
    fixture_act("eu up slots=1");
    fixture_act("c1 submit 1 region=ap");
    fixture_act("go");
    ask_id("explain", 1);
    struct ask ask = question();
    cr_expect(bytes_are(ask.question, "explain"));
    struct task_id id = fixture_id(1);
    struct writer *writer = begin_answer("ap", ask.request, 1);
    write_map(writer, 5);
    write_str(writer, "id");
    write_bin(writer, (struct bytes){id.bytes, TASK_ID_BYTES});
    static const char *const fields[] = {"state", "ready", "where", "ap", "reason", "no_credit"};
    for (int i = 0; i < 6; i++)
        write_str(writer, fields[i]);
    write_str(writer, "considered");
    write_array(writer, 1);
    write_map(writer, 2);
    write_str(writer, "names");
    write_array(writer, 1);
    write_str(writer, "ap/w1");
    write_str(writer, "text");
    write_str(writer, "4 of 4 slots busy");
    fixture_region_deliver(fixture_region("ap"));
    cr_expect_str_eq(fixture_text(row(0), "where"), "ap");
    cr_expect_str_eq(considered(), "ap/w1: 4 of 4 slots busy; eu: excluded by --region ap");
}

/* A row of task 1 with `more` pairs, which the caller appends; the text says what became of it. */
static struct writer *begin_strange_row(uint32_t more)
{
    struct task_id id = fixture_id(1);
    ask_id("explain", 1);
    struct writer *writer = begin_answer("eu", question().request, 1);
    write_map(writer, 1 + more);
    write_str(writer, "id");
    write_bin(writer, (struct bytes){id.bytes, TASK_ID_BYTES});
    return writer;
}

Test(query, a_row_that_cannot_be_passed_on_is_the_brokers_own_and_stale)
{
    fixture_act("eu up slots=1");
    fixture_act("c1 submit 1");
    fixture_act("go");
    struct writer *writer = begin_strange_row(1); /* a key that is no text */
    write_uint(writer, 7);
    write_nil(writer);
    fixture_region_deliver(fixture_region("eu"));
    cr_expect_str_eq(fixture.text, "c1 ROWS 1");
    cr_expect(bytes_are(fixture_value(row(0), "stale"), "\xc3"));
    writer = begin_strange_row(2);
    for (int i = 0; i < 2; i++) {
        write_str(writer, "considered");
        write_array(writer, 0);
    }
    fixture_region_deliver(fixture_region("eu"));
    cr_expect(bytes_are(fixture_value(row(0), "stale"), "\xc3"));
    writer = begin_strange_row(64);
    for (uint32_t i = 0; i < 64; i++) {
        write_str(writer, "more");
        write_uint(writer, i);
    }
    fixture_region_deliver(fixture_region("eu"));
    cr_expect(bytes_are(fixture_value(row(0), "stale"), "\xc3"));
}

Test(query, regions_show_their_state_and_what_they_hold)
{
    fixture_act("eu up slots=4");
    fixture_act("eu beat rtt=20 workers=2");
    fixture_act("us up slots=2");
    fixture_act("us silent");
    fixture_act("ap up slots=2");
    fixture_act("ap beat draining");
    fixture_act("c1 submit 1-3 region=eu");
    fixture_act("later 3000");
    ask("regions");
    cr_expect_str_eq(fixture.text, "c1 ROWS 3");
    static const char *const names[] = {"ap", "eu", "us"}, *const states[] = {"draining", "live", "suspect"};
    for (uint32_t i = 0; i < 3; i++) {
        cr_expect_str_eq(fixture_text(row(i), "name"), names[i]);
        cr_expect_str_eq(fixture_text(row(i), "state"), states[i]);
    }
    cr_expect_eq(fixture_uint(row(1), "slots"), 4);
    cr_expect_eq(fixture_uint(row(1), "held"), 3);
    cr_expect_eq(fixture_uint(row(1), "workers"), 2);
    cr_expect_geq(fixture_uint(row(1), "rtt_us"), 20000);
    fixture_act("later 8000");
    ask("regions");
    cr_expect_str_eq(fixture_text(row(2), "state"), "lost");
}

Test(query, names_what_is_wrong_with_it)
{
    ask("weather");
    cr_expect_str_eq(fixture.text, "c1 ERROR invalid_field");
    struct writer *writer = begin("tasks", 2);
    write_str(writer, "colour");
    write_nil(writer);
    fixture_client_deliver(1);
    cr_expect_str_eq(fixture.text, "c1 ERROR unknown_field");
    cr_expect(strncmp(fixture.reason, "colour: ", 8) == 0);
    writer = begin("tasks", 2);
    write_str(writer, "open");
    write_str(writer, "yes");
    fixture_client_deliver(1);
    cr_expect_str_eq(fixture.text, "c1 ERROR invalid_field");
    cr_expect(strncmp(fixture.reason, "open: ", 6) == 0, "%s", fixture.reason);
    writer = begin("tasks", 2);
    write_str(writer, "what");
    write_str(writer, "workers");
    fixture_client_deliver(1);
    cr_expect_str_eq(fixture.text, "c1 ERROR unknown_field", "given twice");
}

Test(query, more_than_64_at_once_are_throttled)
{
    fixture_act("eu up");
    for (int i = 0; i < 64; i++)
        ask("workers");
    ask("workers");
    cr_expect_str_eq(fixture.text, "c1 ERROR throttled");
    fixture_act("later 500");
    cr_expect_eq(fixture.entries[MESSAGE_ROWS], 64);
    ask("workers");
    cr_expect_str_eq(fixture.text, "eu ASK");
}

Test(query, cluster_counts_are_the_sums_over_states)
{
    fixture_act("eu up slots=10");
    fixture_act("c1 submit 1-30");
    fixture_act("c1 submit 30 31 delay=1000 / 32 retries=9 / 32");
    fixture_act("go");
    fixture_act("eu outcome 1.1 completed");
    fixture_act("eu outcome 2.1 failed");
    fixture_act("c1 cancel 25");
    cr_expect_eq(fixture_state_count("delayed"), 1);
    cr_expect_eq(fixture_state_count("granted"), 18);
    cr_expect_eq(fixture_state_count("ready"), 10);
    cr_expect_eq(fixture_state_count("ended"), 3);
    uint64_t submitted = fixture_counter("submitted");
    cr_expect_eq(submitted, 34);
    cr_expect_eq(fixture_counter("accepted") + fixture_counter("duplicates") + fixture_counter("throttled") +
                     fixture_counter("refused"),
                 submitted);
    cr_expect_eq(fixture_counter("completed") + fixture_counter("failed") + fixture_counter("cancelled"), 3);
}

Test(query, a_row_larger_than_its_share_of_a_reply_is_not_taken)
{
    fixture_act("eu up slots=8");
    fixture_act("us up slots=8");
    fixture_act("c1 submit 1-8 region=eu / 11-18 region=us");
    fixture_act("go");
    ask("tasks");
    uint64_t request = question().request;
    static const char *const regions[] = {"eu", "us"};
    for (uint32_t i = 0; i < 2; i++) {
        struct writer *writer = begin_answer(regions[i], request, 8);
        for (uint32_t task = 1; task <= 8; task++)
            write_row(writer, 10 * i + task, "running", "w", 100 * 1000);
        fixture_region_deliver(fixture_region(regions[i]));
    }
    cr_expect_str_eq(fixture.text, "c1 ROWS 16");
    cr_expect(is_stale(row(0)));
}
