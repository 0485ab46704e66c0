/* full_test.c - a store that fills: custody is refused, then attempts pause, then results are dropped; ends
 * never. */
#include <criterion/criterion.h>

#include "tests/region/node_fixture.h"

TestSuite(full, .init = fixture_set_up, .fini = fixture_tear_down);

/* Of the margin above the watermark: a fifth of the store. */
static void leave_free(double share)
{
    fixture.store_free_bytes = (uint64_t)(share / 5 * (1 << 30));
}

Test(full, refuses_custody_then_pauses_then_goes_on)
{
    static const struct row before[] = {{"assign 1.1", TAKEN_1}, {0}};
    static const struct row full[] = {
        {"assign 2.1", "up REFUSED 2:1.0.0 store_full"},
        {"w1 join", W1_JOINED},
        {"ask explain 1",
         "up ANSWER 77 {rows:[{id:#1 state:'ready' where:'eu' attempt:1 attempts_max:1 age_ms:0 "
         "reason:'store_full' dup_possible:no type:'command' priority:'normal' stale:no "
         "considered:[{names:['eu'] text:'its store is full: dispatch pauses'}]}]}"},
        {"later 5000", ""},
        {0}};
    static const struct row room[] = {{"later 1000", "+grants 1, w1 ASSIGN 1:1.1.1"},
                                      {"assign 2.1", "+envelopes 2, +states 2 ready, up TAKEN 2:1.0.0"},
                                      {0}};
    fixture_connect();
    fixture_run(before);
    leave_free(0.2);
    fixture_run(full);
    leave_free(0.9);
    fixture_run(room);
}

Test(full, takes_custody_of_less_than_the_broker_takes_tasks)
{
    static const struct row rows[] = {{"assign 1.1", TAKEN_1}, {0}};
    fixture_connect();
    leave_free(0.6);
    fixture_run(rows);
}

Test(full, records_an_end_without_its_result_and_an_error_without_its_story)
{
    static const struct row before[] = {
        {"w1 join slots=3", W1_JOINED},
        {"assign 1.1; 2.1; 3.1 retries=1",
         "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, +envelopes 3, +states 3 "
         "ready, up TAKEN 1:1.0.0, up TAKEN 2:1.0.0, up TAKEN 3:1.0.0 | +grants 1, w1 ASSIGN 1:1.1.1, w1 "
         "ASSIGN 2:1.1.1, w1 ASSIGN 3:1.1.1 1/2"},
        {0}};
    static const struct row full[] = {
        {"w1 outcome 1:1.1.1 completed exit=0 output=600",
         "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 completed "
         "result_dropped eu/w1 1/1, -envelopes 1"},
        {"w1 outcome 2:1.1.1 completed exit=0",
         "+outcomes 2, +states 2 ended, w1 SETTLED 2:1.1.1 recorded, up OUTCOME 2:1.1.1 completed eu/w1 1/1 "
         "exit 0, -envelopes 2"},
        {"w1 outcome 3:1.1.1 failed exit=1", "+states 3 delayed, w1 SETTLED 3:1.1.1 recorded, -grants 1"},
        {0}};
    fixture_connect();
    fixture_run(before);
    leave_free(0.1);
    fixture_run(full);
}
