/* review_watches_test.c - many watches of one task: their end must not cost their number squared. */
#include <criterion/criterion.h>

#include "tests/broker/node_fixture.h"

TestSuite(review_watches, .init = fixture_set_up, .fini = fixture_tear_down);

static void poll_the_same_id(uint64_t wait_ms)
{
    struct task_id id = fixture_id(1);
    struct writer *writer = fixture_client_frame(MESSAGE_WATCH);
    write_map(writer, 2);
    write_str(writer, "ids");
    write_array(writer, FRAME_ENTRIES_MAX);
    for (int i = 0; i < FRAME_ENTRIES_MAX; i++)
        write_bin(writer, (struct bytes){id.bytes, TASK_ID_BYTES});
    write_str(writer, "wait_ms");
    write_uint(writer, wait_ms);
    fixture_client_deliver(1);
}

/* 300,000 of them: 4 * 10^10 steps if each walked past the others. */
Test(review_watches, polls_that_end_in_the_order_of_their_beginning, .timeout = 20)
{
    enum { POLLS = 300 };
    fixture_act("start");
    fixture_act("c1 submit 1");
    fixture.is_mute = true;
    for (uint64_t i = 0; i < POLLS; i++)
        poll_the_same_id(1000 + i);
    fixture_act("later 2000");
    cr_expect_eq(fixture.open_count, 0, "all are answered");
    fixture.is_mute = false;
    static const struct row rows[] = {{"c1 watch 1 wait=5000", ""},
                                      {"c2 watch 1 wait=100", ""},
                                      {"c3 watch 1 wait=5000", ""},
                                      {"later 100", "c2 PENDING 1 ready(no_region)"},
                                      {0}};
    fixture_run(rows);
}
