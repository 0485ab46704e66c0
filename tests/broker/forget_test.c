/* forget_test.c - `region forget`: a region that never comes back, what becomes of its tasks, and of those
 * who come under its name all the same. */
#include <criterion/criterion.h>

#include "broker/broker_state.h"
#include "tests/broker/node_fixture.h"

TestSuite(forget, .init = fixture_set_up, .fini = fixture_tear_down);

Test(forget, ends_the_wait_at_once)
{
    static const struct row rows[] = {
        {"eu up slots=2 rtt=1", "put children 1, eu WELCOME"},
        {"c1 submit 1 2", "put classes 1, put envelopes 1, put states 1, put envelopes 2, put states 2, c1 "
                          "ACCEPTED 1 accepted 2 accepted"},
        {"go", "put grants 1, eu ASSIGN 1.1 2.1"},
        {"us up slots=2", "put children 2, us WELCOME"},
        {"eu down", ""},
        {"c1 forget eu", "put children 1, c1 FORGETTING eu 2"},
        {"go", "put states 2, put states 1, put grants 2, us ASSIGN 1.2 dup 2.2 dup, erase grants 1"},
        {"c1 forget eu", "c1 FORGETTING eu 0"}, /* asked again, say after a lost reply */
        {"later 1000", "erase children 1"},
        {"c1 forget eu", "c1 ERROR not_found"},
        {0}};
    fixture.shows_writes = true;
    fixture_run(rows);
    cr_expect_eq(fixture_counter("reruns"), 2);
}

Test(forget, is_for_regions_that_are_gone)
{
    fixture_act("eu up slots=1");
    fixture_act("c1 forget eu");
    cr_expect_str_eq(fixture.text, "c1 ERROR connected");
    cr_expect_str_eq(fixture.reason,
                     "eu: is connected; only a region that is gone is forgotten. Stop it first, or "
                     "wait until it has missed three beats (`suspect`)");
    fixture_act("c1 forget eu/w1");
    cr_expect_str_eq(fixture.text, "c1 ERROR invalid_field");
    fixture_act("c1 forget ap");
    cr_expect_str_eq(fixture.text, "c1 ERROR not_found");
    cr_expect_str_eq(fixture.reason, "ap: no region of this name is known; see `meridian region list`");
    fixture_act("c1 submit 1");
    fixture_act("go");
    cr_expect_eq(fixture_state_count("granted"), 1, "nothing has happened to eu");
}

/* A cut cable ends no connection: the session stays up for as long as the grace. */
Test(forget, takes_a_silent_region_at_its_word)
{
    static const struct row rows[] = {{"eu up slots=1", "eu WELCOME"},
                                      {"c1 submit 1", "c1 ACCEPTED 1 accepted"},
                                      {"go", "eu ASSIGN 1.1"},
                                      {"us up slots=1", "us WELCOME"},
                                      {"eu silent", ""},
                                      {"later 4000", ""},
                                      {"c1 forget eu", "c1 FORGETTING eu 1"},
                                      {"go", "us ASSIGN 1.2 dup"},
                                      {"eu outcome 1.1 completed", "eu GREET"}, /* its session is over */
                                      {0}};
    fixture_run(rows);
}

Test(forget, goes_on_after_a_restart)
{
    static const struct row rows[] = {{"eu up slots=2", "eu WELCOME"},
                                      {"c1 submit 1 2", "c1 ACCEPTED 1 accepted 2 accepted"},
                                      {"go", "eu ASSIGN 1.1 2.1"},
                                      {"eu down", ""},
                                      {"c1 forget eu", "c1 FORGETTING eu 2"},
                                      {"restart", ""}, /* before any grant has ended */
                                      {"us up slots=2", "us WELCOME, us ASSIGN 2.2 dup 1.2 dup"},
                                      {"later 1000", ""},
                                      {"restart", ""},
                                      {"c1 forget eu", "c1 ERROR not_found"},
                                      {0}};
    fixture_run(rows);
    cr_expect_eq(fixture.tables[TABLE_CHILDREN].count, 1);
}

Test(forget, ends_what_is_being_cancelled_or_was_lost_too_often)
{
    static const struct row rows[] = {
        {"eu up slots=2", "eu WELCOME"},
        {"c1 submit 1 2", "c1 ACCEPTED 1 accepted 2 accepted"},
        {"go", "eu ASSIGN 1.1 2.1"},
        {"c1 cancel 1", "eu STOP 1.1, c1 CANCELLING 1 cancelling(cancelling)"},
        {"eu down", ""},
        {"c1 forget eu", "c1 FORGETTING eu 2"},
        {"go", ""},
        {"c1 watch 1 2", "c1 RESULT 1 cancelled(may_still_run) dup 2 failed(regions_lost) dup"},
        {0}};
    fixture.options.rerun_max = 0;
    fixture_new_broker();
    fixture_act("start");
    fixture_run(rows);
}

/* The same store, the same boot: it was only cut off. Its attempts are stopped, its outcomes are late. */
Test(forget, admits_it_as_new_when_it_comes_back)
{
    static const struct row rows[] = {{"eu up slots=3", "eu WELCOME"},
                                      {"c1 submit 1-3", "c1 ACCEPTED 1 accepted 2 accepted 3 accepted"},
                                      {"go", "eu ASSIGN 1.1 2.1 3.1"},
                                      {"eu down", ""},
                                      {"c1 forget eu", "c1 FORGETTING eu 3"},
                                      {"us up slots=1", "us WELCOME, us ASSIGN 1.2 dup 2.2 dup"},
                                      {"us outcome 1.2 completed", "us SETTLED 1.2 recorded"},
                                      {"eu hello 1 slots=3", "eu WELCOME"},
                                      {"eu inventory 1.1 ended 2.1 running 3.1 waiting", "eu STOP 2.1 3.1"},
                                      {"eu end", ""},
                                      {"go", "eu ASSIGN 3.2 dup"},
                                      {"eu outcome 1.1 completed worker=w1", "eu SETTLED 1.1 stale"},
                                      {"eu outcome 2.1 completed worker=w1", "eu SETTLED 2.1 stale"},
                                      {"eu outcome 3.1 cancelled", "eu SETTLED 3.1 stale"},
                                      {"us outcome 2.2 completed", "us SETTLED 2.2 recorded"},
                                      {"eu outcome 3.2 completed", "eu SETTLED 3.2 recorded"},
                                      {"c1 submit 4-5", "c1 ACCEPTED 4 accepted 5 accepted"},
                                      {"us down", ""},
                                      {"go", "eu ASSIGN 4.1 5.1"},
                                      {0}};
    fixture_run(rows);
    cr_expect_eq(fixture_counter("late"), 3);
}

/* Before its grants have ended there is no telling which of them it could still claim: it has to wait. */
Test(forget, lets_nobody_in_before_its_grants_have_ended)
{
    static const struct row rows[] = {{"eu up slots=1", "eu WELCOME"},
                                      {"c1 submit 1", "c1 ACCEPTED 1 accepted"},
                                      {"go", "eu ASSIGN 1.1"},
                                      {"eu down", ""},
                                      {"c1 forget eu", "c1 FORGETTING eu 1"},
                                      {0}};
    static const char *const bearers[] = {"eu hello 1", "eu hello 2", "eu hello 1 instance=2"};
    fixture_run(rows);
    for (size_t i = 0; i < sizeof bearers / sizeof bearers[0]; i++) {
        fixture_act("%s slots=1", bearers[i]);
        cr_expect_str_eq(fixture.text, "eu ERROR name_in_use");
    }
}
