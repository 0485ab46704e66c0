/* route_test.c - which region a task goes to, and when it waits. */
#include <criterion/criterion.h>

#include "tests/broker/node_fixture.h"

TestSuite(route, .init = fixture_set_up, .fini = fixture_tear_down);

Test(route, goes_to_the_nearest_ring_with_credit_and_spills)
{
    static const struct row rows[] = {
        {"eu up slots=1", "eu WELCOME"},
        {"us up slots=8", "us WELCOME"},
        {"eu beat rtt=12", ""},
        {"us beat rtt=80", ""},
        {"c1 submit 1-4", "c1 ACCEPTED 1 accepted 2 accepted 3 accepted 4 accepted"},
        {"go", "eu ASSIGN 1.1 2.1, us ASSIGN 3.1 4.1"},
        {"eu outcome 1.1 completed", "eu SETTLED 1.1 recorded"},
        {"c1 submit 5", "c1 ACCEPTED 5 accepted"},
        {"go", "eu ASSIGN 5.1"},
        {0}};
    fixture_run(rows);
}

Test(route, prefers_within_a_ring_more_credit_then_the_name)
{
    static const struct row rows[] = {{"us up slots=2", "us WELCOME"},
                                      {"eu up slots=2", "eu WELCOME"},
                                      {"ap up slots=3", "ap WELCOME"},
                                      {"us beat rtt=13", ""},
                                      {"eu beat rtt=14", ""},
                                      {"ap beat rtt=12", ""},
                                      {"c1 submit 1-6",
                                       "c1 ACCEPTED 1 accepted 2 accepted 3 accepted 4 accepted "
                                       "5 accepted 6 accepted"},
                                      /* 6, 5; then 4 4 4: ap, eu, us; 3 3 3: ap */
                                      {"go", "ap ASSIGN 1.1 2.1 3.1 6.1, eu ASSIGN 4.1, us ASSIGN 5.1"},
                                      {0}};
    fixture_run(rows);
}

Test(route, keeps_to_the_required_region)
{
    static const struct row rows[] = {{"eu up slots=4", "eu WELCOME"},
                                      {"c1 submit 1 region=us / 2", "c1 ACCEPTED 1 accepted 2 accepted"},
                                      {"go", "eu ASSIGN 2.1"},
                                      {"c1 watch 1", "c1 PENDING 1 ready(no_region)"},
                                      {"us up slots=4", "us WELCOME, us ASSIGN 1.1"},
                                      {0}};
    fixture_run(rows);
}

Test(route, keeps_to_type_and_capabilities_and_one_class_never_blocks_another)
{
    static const struct row rows[] = {
        {"eu up slots=4", "eu WELCOME"},
        {"c1 submit 1 type=resize / 2 cap=gpu / 3", "c1 ACCEPTED 1 accepted 2 accepted 3 accepted"},
        {"go", "eu ASSIGN 3.1"},
        {"c1 watch 1 2", "c1 PENDING 1 ready(no_capable_worker) 2 ready(no_capable_worker)"},
        {"us up slots=1 cap=gpu", "us WELCOME, us ASSIGN 2.1"},
        {"ap up slots=1 type=resize", "ap WELCOME, ap ASSIGN 1.1"},
        {0}};
    fixture_run(rows);
}

Test(route, gives_twice_the_slots_of_a_class_and_the_window_over_all)
{
    static const struct row rows[] = {{"eu up slots=1", "eu WELCOME"},
                                      {"c1 submit 1-3", "c1 ACCEPTED 1 accepted 2 accepted 3 accepted"},
                                      {"go", "eu ASSIGN 1.1 2.1"},
                                      {"c1 watch 3", "c1 PENDING 3 ready(no_credit)"},
                                      {"eu beat slots=10", ""},
                                      {"go", "eu ASSIGN 3.1"},
                                      {"c1 submit 4", "c1 ACCEPTED 4 accepted"},
                                      {"go", ""}, /* window */
                                      {"eu outcome 1.1 completed", "eu SETTLED 1.1 recorded"},
                                      {"go", "eu ASSIGN 4.1"},
                                      {"eu beat slots=0", ""},
                                      {"eu outcome 2.1 completed", "eu SETTLED 2.1 recorded"},
                                      {"c1 submit 5", "c1 ACCEPTED 5 accepted"},
                                      {"go", ""}, /* nothing is recalled, nothing given */
                                      {0}};
    fixture.options.window = 3;
    fixture_new_broker();
    fixture_act("start");
    fixture_run(rows);
}

Test(route, leaves_out_regions_that_are_suspect_draining_away_or_lost)
{
    static const struct row rows[] = {{"eu up slots=4", "eu WELCOME"},
                                      {"eu silent", ""},
                                      {"later 3000", ""},
                                      {"c1 submit 1", "c1 ACCEPTED 1 accepted"},
                                      {"go", ""},
                                      {"eu beat", ""},
                                      {"go", "eu ASSIGN 1.1"},
                                      {"eu beat draining", ""},
                                      {"c1 submit 2", "c1 ACCEPTED 2 accepted"},
                                      {"go", ""},
                                      {"us up slots=4", "us WELCOME, us ASSIGN 2.1"},
                                      {"us down", ""},
                                      {"c1 submit 3", "c1 ACCEPTED 3 accepted"},
                                      {"go", ""},
                                      {"us hello 1", "us WELCOME"},
                                      {"us inventory 2.1 running", ""},
                                      {"us end", ""},
                                      {"go", "us ASSIGN 3.1"},
                                      {0}};
    fixture_run(rows);
}

Test(route, gives_by_priority_and_what_came_back_first)
{
    static const struct row rows[] = {{"c1 submit 1 priority=low / 2 / 3 priority=high / 4 priority=critical",
                                       "c1 ACCEPTED 1 accepted 2 accepted 3 accepted 4 accepted"},
                                      {"eu up slots=2", "eu WELCOME, eu ASSIGN 4.1 3.1 2.1 1.1"},
                                      {"c1 submit 5 6 priority=high", "c1 ACCEPTED 5 accepted 6 accepted"},
                                      {"eu outcome 3.1 returned", "eu SETTLED 3.1 recorded"},
                                      {"go", "eu ASSIGN 3.2"},
                                      {0}};
    fixture_run(rows);
}

Test(route, waits_for_a_delay_and_ends_at_a_deadline)
{
    static const struct row rows[] = {
        {"eu up slots=1", "eu WELCOME"},
        {"c1 submit 1 delay=2000 / 2 delay=5000 deadline=1000", "c1 ACCEPTED 1 accepted 2 accepted"},
        {"later 999", ""},
        {"c1 watch 1 2", "c1 PENDING 1 delayed(delay) 2 delayed(delay)"},
        {"c2 watch 2 wait=1000", ""},
        {"later 1", "c2 RESULT 2 expired(deadline)"},
        {"later 999", ""},
        {"later 1", "eu ASSIGN 1.1"},
        {"c1 submit 3 4 deadline=500 / 5 region=us deadline=500",
         "c1 ACCEPTED 3 accepted 4 accepted 5 accepted"},
        {"go", "eu ASSIGN 3.1"},
        {"later 500", ""},
        {"c1 watch 3", "c1 PENDING 3 granted(sent)"}, /* its region sees to it */
        {"c1 watch 4 5", "c1 RESULT 4 expired(deadline) 5 expired(deadline)"},
        {"eu outcome 3.1 expired", "eu SETTLED 3.1 recorded"},
        {"c1 submit 6 deadline=500", "c1 ACCEPTED 6 accepted"},
        {"go", "eu ASSIGN 6.1"},
        {"later 600", ""},
        {"eu outcome 6.1 returned", "eu SETTLED 6.1 recorded"},
        {"go", ""}, /* too late to place it again */
        {"c1 watch 6", "c1 RESULT 6 expired(deadline)"},
        {0}};
    fixture_run(rows);
}
