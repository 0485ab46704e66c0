/* restart_test.c - a new broker from the records of the old one: what it still knows. */
#include <criterion/criterion.h>

#include "tests/broker/node_fixture.h"

TestSuite(restart, .init = fixture_set_up, .fini = fixture_tear_down);

Test(restart, keeps_what_is_queued_in_its_order)
{
    static const struct row rows[] = {
        {"c1 submit 3 / 1 priority=critical / 2 cap=gpu", "c1 ACCEPTED 3 accepted 1 accepted 2 accepted"},
        {"restart", ""},
        {"c1 watch 3 1 2", "c1 PENDING 3 ready(no_region) 1 ready(no_region) 2 ready(no_region)"},
        {"c1 submit 4", "c1 ACCEPTED 4 accepted"},
        {"eu up slots=4", "eu WELCOME, eu ASSIGN 1.1 3.1 4.1"},
        {"us up slots=4 cap=gpu", "us WELCOME, us ASSIGN 2.1"},
        {0}};
    fixture_run(rows);
}

Test(restart, leaves_what_is_granted_with_its_region)
{
    static const struct row rows[] = {
        {"eu up slots=2", "eu WELCOME"},
        {"us up slots=2", "us WELCOME"},
        {"c1 submit 1 2 region=eu / 3 region=us", "c1 ACCEPTED 1 accepted 2 accepted 3 accepted"},
        {"go", "eu ASSIGN 1.1 2.1, us ASSIGN 3.1"},
        {"restart", ""},
        {"us up slots=2", "us WELCOME, us ASSIGN 3.1"},
        {"later 5000", ""},
        {"c1 watch 1 3", "c1 PENDING 1 granted 3 granted"},
        {"eu hello 1 slots=2", "eu WELCOME"},
        {"eu inventory 1.1 ended 2.1 running", ""},
        {"eu end", ""},
        {"eu outcome 1.1 completed", "eu SETTLED 1.1 recorded"},
        {"go", ""},
        {"c1 watch 1 2", "c1 RESULT 1 completed pending 2"},
        {0}};
    fixture_run(rows);
    cr_expect_eq(fixture_state_count("granted"), 2);
}

Test(restart, counts_the_grace_of_a_region_anew)
{
    static const struct row rows[] = {{"eu up slots=2", "eu WELCOME"},
                                      {"c1 submit 1", "c1 ACCEPTED 1 accepted"},
                                      {"go", "eu ASSIGN 1.1"},
                                      {"restart", ""},
                                      {"us up slots=2", "us WELCOME"},
                                      {"later 9000", ""},
                                      {"later 2000", "us ASSIGN 1.2 dup"},
                                      {"restart", ""},
                                      {"us up slots=2", "us WELCOME, us ASSIGN 1.2 dup"},
                                      {0}};
    fixture_run(rows);
}

Test(restart, of_a_region_in_the_meantime_is_noticed)
{
    static const struct row rows[] = {{"eu up slots=2", "eu WELCOME"},
                                      {"c1 submit 1 2", "c1 ACCEPTED 1 accepted 2 accepted"},
                                      {"go", "eu ASSIGN 1.1 2.1"},
                                      {"restart", ""},
                                      {"eu hello 2 slots=2", "eu WELCOME"},
                                      {"eu inventory 1.1 waiting", ""},
                                      {"eu end", ""},
                                      {"go", "eu ASSIGN 2.2"},
                                      {0}};
    fixture_run(rows);
}

Test(restart, keeps_custody_growing)
{
    static const struct row rows[] = {{"eu up slots=2", "eu WELCOME"},
                                      {"c1 submit 1", "c1 ACCEPTED 1 accepted"},
                                      {"go", "eu ASSIGN 1.1"},
                                      {"eu outcome 1.1 returned", "eu SETTLED 1.1 recorded"},
                                      {"restart", ""},
                                      {"eu up slots=2", "eu WELCOME, eu ASSIGN 1.2"},
                                      {"restart", ""},
                                      {"eu hello 2 slots=2", "eu WELCOME"},
                                      {"eu end", ""},
                                      {"go", "eu ASSIGN 1.3"},
                                      {"eu outcome 1.2 completed", "eu SETTLED 1.2 stale"},
                                      {0}};
    fixture_run(rows);
}

Test(restart, keeps_ends_and_cancels)
{
    static const struct row rows[] = {{"eu up slots=2", "eu WELCOME"},
                                      {"c1 submit 1-3", "c1 ACCEPTED 1 accepted 2 accepted 3 accepted"},
                                      {"go", "eu ASSIGN 1.1 2.1 3.1"},
                                      {"eu outcome 1.1 completed dup", "eu SETTLED 1.1 recorded"},
                                      {"c1 cancel 2", "eu STOP 2.1, c1 CANCELLING 2 cancelling(cancelling)"},
                                      {"restart", ""},
                                      {"c1 watch 1", "c1 RESULT 1 completed dup"},
                                      {"c1 submit 1", "c1 ACCEPTED 1 duplicate:completed"},
                                      {"eu hello 1 slots=2", "eu WELCOME"},
                                      {"eu inventory 2.1 running 3.1 running", "eu STOP 2.1"},
                                      {"eu end", ""},
                                      {"eu outcome 1.1 completed", "eu SETTLED 1.1 recorded"},
                                      {0}};
    fixture_run(rows);
}

Test(restart, keeps_delays_and_deadlines_running)
{
    static const struct row rows[] = {
        {"c1 submit 1 delay=10000 / 2 deadline=10000 / 3 delay=90000",
         "c1 ACCEPTED 1 accepted 2 accepted 3 accepted"},
        {"later 4000", ""},
        {"restart", ""},
        {"eu up slots=1 type=other", "eu WELCOME"},
        {"later 5999", ""},
        {"c1 watch 1 2", "c1 PENDING 1 delayed(delay) 2 ready(no_capable_worker)"},
        {"later 1", ""},
        {"c1 watch 1", "c1 PENDING 1 ready(no_capable_worker)"},
        {"c1 watch 2", "c1 RESULT 2 expired(deadline)"},
        {0}};
    fixture_run(rows);
}

Test(restart, counts_the_time_in_which_the_machine_was_off)
{
    static const struct row before[] = {{"c1 submit 1 delay=10000 / 2 deadline=10000 / 3 delay=90000",
                                         "c1 ACCEPTED 1 accepted 2 accepted 3 accepted"},
                                        {"later 1000", ""},
                                        {0}};
    static const struct row after[] = {{"restart", ""},
                                       {"go", ""},
                                       {"c1 watch 1 3", "c1 PENDING 1 ready(no_region) 3 delayed(delay)"},
                                       {"c1 watch 2", "c1 RESULT 2 expired(deadline)"},
                                       {"later 28999", ""},
                                       {"c1 watch 3", "c1 PENDING 3 delayed(delay)"},
                                       {"later 1", ""},
                                       {"c1 watch 3", "c1 PENDING 3 ready(no_region)"},
                                       {0}};
    fixture_run(before);
    fixture.wall_ms += 60000;
    fixture.now_ns = 30000 * NANOSECONDS_PER_MS; /* the clock of a machine just started */
    fixture_run(after);
}

Test(restart, is_a_new_epoch)
{
    struct bytes body;
    fixture_act("c1 received 1");
    body = fixture.body;
    uint64_t first = fixture_uint(body, "epoch");
    cr_expect_eq(first, fixture.wall_ms / 1000);
    fixture_act("restart");
    fixture_act("c1 received 1");
    cr_expect_eq(fixture_uint(fixture.body, "epoch"), first + 1, "in the same second");
    fixture.wall_ms -= 3600 * 1000;
    fixture_act("restart");
    fixture_act("c1 received 1");
    cr_expect_eq(fixture_uint(fixture.body, "epoch"), first + 2, "the wall clock may jump");
}

Test(restart, keeps_counts_equal_to_sums_with_thousands_of_each)
{
    fixture_act("eu up slots=500");
    for (int i = 0; i < 3; i++)
        fixture_act("c1 submit %d-%d", 1 + i * 1000, (i + 1) * 1000);
    fixture_act("go");
    fixture_act("c1 cancel 1001-1500");
    fixture_act("c1 submit 4001-4100 delay=60000");
    for (int task = 1; task <= 1000; task += 3)
        fixture_act("eu outcome %d.1 completed", task);
    uint64_t granted = fixture_state_count("granted"), ready = fixture_state_count("ready");
    uint64_t ended = fixture_state_count("ended");
    fixture_act("restart");
    fixture_act("go");
    cr_expect_eq(fixture_state_count("granted"), granted);
    cr_expect_eq(fixture_state_count("ready"), ready);
    cr_expect_eq(fixture_state_count("ended"), ended);
    cr_expect_eq(fixture_state_count("delayed"), 100);
    cr_expect_eq(granted + ready + ended + 100, 3100);
}

Test(restart, shows_the_newest_tasks_as_before)
{
    fixture_act("c1 submit 1-300");
    fixture_act("c1 cancel 250-299");
    fixture_act("restart");
    struct writer *writer = fixture_client_frame(MESSAGE_QUERY);
    write_map(writer, 2);
    write_str(writer, "what");
    write_str(writer, "tasks");
    write_str(writer, "limit");
    write_uint(writer, 3);
    fixture_client_deliver(1);
    cr_expect_str_eq(fixture.text, "c1 ROWS 3 more");
    struct reader reader;
    reader_init(&reader, fixture_value(fixture.body, "rows"));
    cr_assert_eq(read_array(&reader, 3), 3);
    for (uint32_t task = 300; task > 297; task--) {
        struct bytes row = read_raw(&reader);
        struct bytes id = fixture_value(row, "id");
        cr_expect_eq(fixture_number(id.data + id.size - TASK_ID_BYTES), task);
        cr_expect_str_eq(fixture_text(row, "state"), task == 300 ? "ready" : "cancelled");
    }
}
