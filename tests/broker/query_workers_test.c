/* query_workers_test.c - QUERY workers: pages in the order of names, and what is remembered of regions that
 * are away. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/broker/node_fixture.h"

TestSuite(query_workers, .init = fixture_set_up, .fini = fixture_tear_down);

static void clear(void)
{
    fixture.text_size = 0;
    fixture.text[0] = '\0';
}

/* From the first one, or behind `after`. */
static void ask_workers(const char *after)
{
    clear();
    struct writer *writer = fixture_client_frame(MESSAGE_QUERY);
    write_map(writer, after == NULL ? 1 : 2);
    write_str(writer, "what");
    write_str(writer, "workers");
    if (after != NULL) {
        write_str(writer, "after");
        write_str(writer, after);
    }
    fixture_client_deliver(1);
}

/* The ASK that came last. */
static struct ask last_ask(void)
{
    struct ask ask;
    cr_assert_eq(fixture.kind, MESSAGE_ASK);
    cr_assert(ask_read(fixture.body, &ask));
    return ask;
}

/* `region` has workers w1 .. wCOUNT, each row padded to some size. */
static void answer(const char *region, uint64_t request, uint32_t count, uint32_t padding, bool more)
{
    struct writer *writer = fixture_region_frame(fixture_region(region), MESSAGE_ANSWER);
    clear();
    answer_write_head(writer, request);
    write_map(writer, 2);
    write_str(writer, "rows");
    write_array(writer, count);
    for (uint32_t i = 1; i <= count; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%u", i);
        write_map(writer, 4);
        write_str(writer, "region");
        write_str(writer, region);
        write_str(writer, "name");
        write_str(writer, name);
        write_str(writer, "stale");
        write_bool(writer, false);
        write_str(writer, "padding");
        write_bin_head(writer, padding);
        memset(writer->data + writer->size, 0, padding);
        writer->size += padding;
    }
    write_str(writer, "more");
    write_bool(writer, more);
    fixture_region_deliver(fixture_region(region));
}

/* "eu/w1, us/w1 stale, more" of the ROWS that came last. */
static const char *rows(void)
{
    static char text[4096];
    struct reader reader;
    size_t at = 0;
    cr_assert_eq(fixture.kind, MESSAGE_ROWS);
    reader_init(&reader, fixture_value(fixture.body, "rows"));
    text[0] = '\0';
    for (uint32_t count = read_array(&reader, 4096), i = 0; i < count; i++) {
        struct bytes row = read_raw(&reader);
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s/", i == 0 ? "" : ", ",
                               fixture_text(row, "region"));
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", fixture_text(row, "name"),
                               fixture_value(row, "stale").data[0] == 0xc3 ? " stale" : "");
    }
    if (fixture_value(fixture.body, "more").data[0] == 0xc3)
        snprintf(text + at, sizeof text - at, ", more");
    return text;
}

Test(query_workers, are_what_the_regions_say_in_the_order_of_names)
{
    ask_workers(NULL);
    cr_expect_str_eq(rows(), "");
    fixture_act("us up");
    fixture_act("eu up");
    ask_workers(NULL);
    cr_expect_str_eq(fixture.text, "us ASK, eu ASK");
    uint64_t request = last_ask().request;
    answer("us", request, 1, 0, false);
    cr_expect_str_eq(fixture.text, "");
    answer("eu", request, 2, 0, false);
    cr_expect_str_eq(rows(), "eu/w1, eu/w2, us/w1");
}

Test(query_workers, of_a_region_that_is_away_or_silent_stand_there_stale)
{
    fixture_act("eu up");
    fixture_act("us up");
    ask_workers(NULL);
    uint64_t request = last_ask().request;
    answer("us", request, 1, 0, false);
    answer("eu", request, 2, 0, false);
    fixture_act("eu down");
    ask_workers(NULL);
    cr_expect_str_eq(fixture.text, "us ASK");
    fixture_act("later 500");
    cr_expect_str_eq(rows(), "eu/w1 stale, eu/w2 stale, us/w1 stale");
    fixture_act("eu up");
    ask_workers(NULL);
    request = last_ask().request;
    answer("us", request, 1, 0, false);
    answer("eu", request, 1, 0, false);
    cr_expect_str_eq(rows(), "eu/w1, us/w1");
}

Test(query_workers, are_remembered_without_a_client_when_their_number_changes)
{
    fixture_act("eu up");
    fixture_act("eu beat workers=2");
    fixture_act("later 1000");
    cr_expect_str_eq(fixture.text, "eu ASK");
    answer("eu", last_ask().request, 2, 0, false);
    cr_expect_str_eq(fixture.text, "", "nobody waits for it");
    fixture_act("later 5000");
    cr_expect_str_eq(fixture.text, "", "once");
    fixture_act("eu down");
    ask_workers(NULL);
    cr_expect_str_eq(rows(), "eu/w1 stale, eu/w2 stale");
}

/* Its answers are always too late for a client. */
Test(query_workers, of_a_region_further_than_a_client_waits_stand_there_stale)
{
    fixture_act("eu up");
    fixture_act("eu beat workers=2");
    fixture_act("later 1000");
    uint64_t request = last_ask().request;
    fixture_act("later 900");
    answer("eu", request, 2, 0, false);
    ask_workers(NULL);
    request = last_ask().request;
    fixture_act("later 500");
    cr_expect_str_eq(rows(), "eu/w1 stale, eu/w2 stale");
    answer("eu", request, 2, 0, false);
    cr_expect_str_eq(fixture.text, "", "the client has its reply");
}

Test(query_workers, of_a_forgotten_region_are_forgotten)
{
    fixture_act("eu up");
    fixture_act("eu beat workers=2");
    fixture_act("later 1000");
    answer("eu", last_ask().request, 2, 0, false);
    fixture_act("eu bye");
    fixture_act("later 700000");
    ask_workers(NULL);
    cr_expect_str_eq(rows(), "");
}

Test(query_workers, come_in_pages)
{
    enum { WORKERS = 10, ROW_BYTES = 15000 };
    fixture_act("eu up");
    fixture_act("us up");
    ask_workers(NULL);
    uint64_t request = last_ask().request;
    answer("us", request, 8, ROW_BYTES, false);
    answer("eu", request, 9, ROW_BYTES, true);
    cr_expect_str_eq(rows(), "eu/w1, eu/w2, eu/w3, eu/w4, eu/w5, eu/w6, eu/w7, eu/w8, eu/w9, more",
                     "eu has further ones, so it is not yet the turn of us");
    ask_workers("eu/w9");
    cr_expect_str_eq(fixture.text, "eu ASK, us ASK");
    request = last_ask().request;
    answer("us", request, 8, ROW_BYTES, false);
    answer("eu", request, 9, ROW_BYTES, false);
    cr_expect_str_eq(rows(), "eu/w1, eu/w2, eu/w3, eu/w4, eu/w5, eu/w6, eu/w7, eu/w8, eu/w9, us/w1, us/w2, "
                             "us/w3, us/w4, us/w5, us/w6, us/w7, more");
    ask_workers("us/w7");
    cr_expect_str_eq(fixture.text, "us ASK", "regions before it are not asked again");
    cr_expect_str_eq(fixture_text(last_ask().body, "after"), "w7");
    fixture_act("later 500");
    cr_expect_str_eq(rows(), "us/w8 stale");
}

Test(query_workers, a_region_that_was_not_asked_has_no_say)
{
    fixture_act("eu up");
    ask_workers(NULL);
    uint64_t request = last_ask().request;
    fixture_act("us up");
    answer("us", request, 3, 0, false);
    cr_expect_str_eq(fixture.text, "");
    answer("eu", request, 1, 0, false);
    cr_expect_str_eq(rows(), "eu/w1");
    cr_expect_eq(fixture_counter("malformed"), 1);
}

Test(query_workers, of_one_region_count_once)
{
    fixture_act("eu up");
    fixture_act("us up");
    ask_workers(NULL);
    uint64_t request = last_ask().request;
    answer("us", request, 1, 0, false);
    answer("us", request, 2, 0, false);
    cr_expect_str_eq(fixture.text, "", "eu is still waited for");
    answer("eu", request, 1, 0, false);
    cr_expect_str_eq(rows(), "eu/w1, us/w1");
}
