/* attempts_test.c - what the end of an attempt means: retries, time limits, cancels, late outcomes. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/region/node_fixture.h"

TestSuite(attempts, .init = fixture_set_up, .fini = fixture_tear_down);

#define TABLE(name, ...) REGION_TABLE(attempts, name, __VA_ARGS__)

TABLE(an_error_is_tried_again_after_a_back_off, {"w1 join", W1_JOINED},
      {"assign 1.1 type=resize retries=2", TAKEN_1},
      {"w1 join types=resize", "w1 WELCOME | +grants 1, w1 ASSIGN 1:1.1.1 1/3"},
      {"w1 outcome 1:1.1.1 failed exit=3",
       "+attempts 1, +states 1 delayed, w1 SETTLED 1:1.1.1 recorded, -grants 1"},
      {"later 799", ""}, {"later 1", "+grants 2, w1 ASSIGN 1:1.1.2 2/3"},
      {"w1 outcome 1:1.1.2 failed signal=11",
       "+attempts 1, +states 1 delayed, w1 SETTLED 1:1.1.2 recorded, -grants 2"},
      {"later 1599", ""}, {"later 1", "+grants 3, w1 ASSIGN 1:1.1.3 3/3"},
      {"w1 outcome 1:1.1.3 failed", "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.3 recorded, up OUTCOME "
                                    "1:1.1.3 failed error eu/w1 3/3 after 1 eu/w1 failed exit_status exit 3 "
                                    "after 2 eu/w1 failed signal signal 11, -grants 3, -envelopes 1"},
      {"settled 1.1", "-outcomes 1, -states 1, -attempts 1"})

TABLE(a_permanent_error_is_not_tried_again, {"w1 join", W1_JOINED}, {"assign 1.1 retries=5", GIVEN_1 " 1/6"},
      {"w1 outcome 1:1.1.1 failed permanent",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 failed cannot_start "
       "eu/w1 1/6, -grants 1, -envelopes 1"})

TABLE(a_task_without_retries_fails_at_once, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"w1 outcome 1:1.1.1 failed signal=9",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 failed signal eu/w1 "
       "1/1 signal 9, -grants 1, -envelopes 1"})

TABLE(a_retry_uses_another_worker_if_the_first_is_busy, {"w1 join", W1_JOINED}, {"w2 join", W2_JOINED},
      {"assign 1.1 retries=1", GIVEN_1 " 1/2"},
      {"w1 outcome 1:1.1.1 failed exit=1",
       "+attempts 1, +states 1 delayed, w1 SETTLED 1:1.1.1 recorded, -grants 1"},
      {"assign 2.1", "+envelopes 2, +states 2 ready, up TAKEN 2:1.0.0 | +grants 2, w1 ASSIGN 2:1.1.1"},
      {"later 800", "+grants 3, w2 ASSIGN 1:1.1.2 2/2"},
      {"w2 outcome 1:1.1.2 completed exit=0",
       "+outcomes 1, +states 1 ended, w2 SETTLED 1:1.1.2 recorded, up OUTCOME 1:1.1.2 completed eu/w2 2/2 "
       "exit 0 after 1 eu/w1 failed exit_status exit 1, -grants 3, -envelopes 1"})

TABLE(the_time_limit_runs_from_the_start, {"w1 join", W1_JOINED}, {"assign 1.1 timeout_ms=1000", GIVEN_1},
      {"later 600", ""}, {"w1 taken 1:1.1.1 50", ""}, {"later 949", ""}, {"later 1", "w1 STOP 1:1.1.1"},
      {"w1 outcome 1:1.1.1 cancelled signal=15",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 failed timeout eu/w1 "
       "1/1 signal 15, -grants 1, -envelopes 1"})

TABLE(the_time_limit_runs_from_the_assign_if_nothing_is_said, {"w1 join", W1_JOINED},
      {"assign 1.1 timeout_ms=1000 retries=1", GIVEN_1 " 1/2"}, {"later 999", ""},
      {"later 1", "w1 STOP 1:1.1.1"},
      {"w1 outcome 1:1.1.1 cancelled signal=9",
       "+attempts 1, +states 1 delayed, w1 SETTLED 1:1.1.1 recorded, -grants 1"},
      {"later 800", "+grants 2, w1 ASSIGN 1:1.1.2 2/2"}, {"later 1000", "w1 STOP 1:1.1.2"})

TABLE(a_late_stop_is_sent_once, {"w1 join", W1_JOINED}, {"assign 1.1 timeout_ms=1000", GIVEN_1},
      {"later 1000", "w1 STOP 1:1.1.1"}, {"w1 taken 1:1.1.1 1000", ""}, {"later 5000", ""},
      {"w1 outcome 1:1.1.1 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 completed eu/w1 1/1 "
       "exit 0, -grants 1, -envelopes 1"})

TABLE(the_deadline_ends_what_waits, {"assign 1.1 deadline_ms=500 age=200", TAKEN_1}, {"later 299", ""},
      {"later 1", "+outcomes 1, +states 1 ended, up OUTCOME 1:1.0.0 expired deadline 1/1, -envelopes 1"})

TABLE(the_deadline_ends_what_waits_for_a_retry, {"w1 join", W1_JOINED},
      {"assign 1.1 deadline_ms=500 retries=3", GIVEN_1 " 1/4"},
      {"w1 outcome 1:1.1.1 failed exit=1",
       "+attempts 1, +states 1 delayed, w1 SETTLED 1:1.1.1 recorded, -grants 1"},
      {"later 500", "+outcomes 1, +states 1 ended, up OUTCOME 1:1.1.1 expired deadline 2/4 after 1 eu/w1 "
                    "failed exit_status exit 1, -envelopes 1"})

TABLE(the_deadline_stops_what_runs, {"w1 join", W1_JOINED},
      {"assign 1.1 deadline_ms=500 timeout_ms=300", GIVEN_1}, {"later 300", "w1 STOP 1:1.1.1"},
      {"later 200", ""},
      {"w1 outcome 1:1.1.1 cancelled signal=15",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 expired deadline eu/w1 "
       "1/1 signal 15, -grants 1, -envelopes 1"})

TABLE(no_retry_after_the_deadline, {"w1 join", W1_JOINED},
      {"assign 1.1 deadline_ms=500 retries=3", GIVEN_1 " 1/4"}, {"later 500", "w1 STOP 1:1.1.1"},
      {"w1 outcome 1:1.1.1 failed exit=1",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 failed exit_status "
       "eu/w1 1/4 exit 1, -grants 1, -envelopes 1"})

TABLE(an_age_beyond_the_deadline_ends_it_at_once, {"w1 join", W1_JOINED},
      {"assign 1.1 deadline_ms=500 age=500",
       TAKEN_1 " | +outcomes 1, +states 1 ended, up OUTCOME 1:1.0.0 expired deadline 1/1, -envelopes 1"})

TABLE(cancelled_though_nobody_asked_is_given_again, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"w1 outcome 1:1.1.1 cancelled",
       "+states 1 ready, w1 SETTLED 1:1.1.1 recorded, -grants 1 | +grants 2, w1 ASSIGN 1:1.1.2"})

TABLE(returned_counts_nothing, {"w1 join", W1_JOINED}, {"w2 join", W2_JOINED},
      {"assign 1.1; 2.1; 3.1", "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, "
                               "+envelopes 3, +states 3 ready, up TAKEN 1:1.0.0, up TAKEN 2:1.0.0, up TAKEN "
                               "3:1.0.0 | +grants 2, +grants 1, w1 ASSIGN 1:1.1.1, w2 ASSIGN 2:1.1.1"},
      {"w1 beat draining", ""},
      {"w1 outcome 1:1.1.1 returned", "+states 1 ready, w1 SETTLED 1:1.1.1 recorded, -grants 1"},
      {"w2 outcome 2:1.1.1 completed exit=0", "+outcomes 2, +states 2 ended, w2 SETTLED 2:1.1.1 recorded, up "
                                              "OUTCOME 2:1.1.1 completed eu/w2 1/1 exit 0, "
                                              "-grants 2, -envelopes 2 | +grants 3, w2 ASSIGN 1:1.1.2"})

TABLE(returned_without_a_drain_is_given_again_after_a_beat, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"w1 outcome 1:1.1.1 returned", "+states 1 delayed, w1 SETTLED 1:1.1.1 recorded, -grants 1"},
      {"later 999", ""}, {"later 1", "+grants 2, w1 ASSIGN 1:1.1.2"})

TABLE(returned_under_a_cancel_is_cancelled, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"stop 1.1", "+states 1 granted cancelling, w1 STOP 1:1.1.1"},
      {"w1 outcome 1:1.1.1 returned",
       "+outcomes 1, +states 1 ended cancelling, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 cancelled "
       "cancelled eu/w1 1/1, -grants 1, -envelopes 1"})

TABLE(not_held_under_a_cancel_is_cancelled, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"stop 1.1", "+states 1 granted cancelling, w1 STOP 1:1.1.1"},
      {"w1 outcome 1:1.1.1 not_held",
       "+outcomes 1, +states 1 ended cancelling, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 cancelled "
       "cancelled eu/w1 1/1, -grants 1, -envelopes 1"})

TABLE(not_held_and_perhaps_alive_is_marked, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"w1 outcome 1:1.1.1 not_held alive",
       "+states 1 ready dup, w1 SETTLED 1:1.1.1 recorded, -grants 1 | +grants 2, w1 ASSIGN 1:1.1.2 dup"})

TABLE(refused_by_a_worker_is_given_again_after_a_beat, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"w1 refused 1:1.1.1", "+states 1 delayed, -grants 1"}, {"later 999", ""},
      {"later 1", "+grants 2, w1 ASSIGN 1:1.1.2"})

TABLE(an_old_fence_changes_nothing, {"w1 join", W1_JOINED}, {"assign 1.1 retries=3", GIVEN_1 " 1/4"},
      {"w1 outcome 1:1.1.1 failed exit=1",
       "+attempts 1, +states 1 delayed, w1 SETTLED 1:1.1.1 recorded, -grants 1"},
      {"later 800", "+grants 2, w1 ASSIGN 1:1.1.2 2/4"},
      {"w1 outcome 1:1.1.1 completed exit=0", "w1 SETTLED 1:1.1.1 stale"},
      {"w1 outcome 1:9.1.1 completed exit=0", "w1 SETTLED 1:9.1.1 stale"}, {"w1 taken 1:1.1.1 5", ""},
      {"w1 refused 1:1.1.1", ""}, {"w1 outcome 7:1.1.1 completed exit=0", "w1 SETTLED 7:1.1.1 unknown"},
      {"w1 outcome 1:1.1.2 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.2 recorded, up OUTCOME 1:1.1.2 completed eu/w1 2/4 "
       "exit 0 after 1 eu/w1 failed exit_status exit 1, -grants 2, -envelopes 1"},
      {"w1 outcome 1:1.1.2 completed exit=0", "w1 SETTLED 1:1.1.2 recorded"},
      {"w1 outcome 1:1.1.1 completed exit=0", "w1 SETTLED 1:1.1.1 stale"})

TABLE(another_worker_cannot_end_it, {"w1 join", W1_JOINED}, {"w2 join", W2_JOINED}, {"assign 1.1", GIVEN_1},
      {"w2 outcome 1:1.1.1 completed exit=0", "w2 SETTLED 1:1.1.1 stale"}, {"w2 refused 1:1.1.1", ""},
      {"w2 taken 1:1.1.1 5", ""})

TABLE(several_outcomes_in_one_message, {"w1 join slots=3", W1_JOINED},
      {"assign 1.1; 2.1; 3.1 retries=1",
       "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, +envelopes 3, +states 3 "
       "ready, up TAKEN 1:1.0.0, up TAKEN 2:1.0.0, up TAKEN 3:1.0.0 | +grants 1, w1 ASSIGN 1:1.1.1, w1 "
       "ASSIGN 2:1.1.1, w1 ASSIGN 3:1.1.1 1/2"},
      {"w1 outcome 1:1.1.1 completed exit=0; 2:1.1.1 failed exit=2; 3:1.1.1 failed exit=3",
       "+outcomes 1, +states 1 ended, +outcomes 2, +states 2 ended, +attempts 3, +states 3 delayed, w1 "
       "SETTLED 1:1.1.1 recorded, w1 SETTLED 2:1.1.1 recorded, w1 SETTLED 3:1.1.1 recorded, up OUTCOME "
       "1:1.1.1 completed eu/w1 1/1 exit 0, up OUTCOME 2:1.1.1 failed exit_status eu/w1 1/1 exit 2, "
       "-envelopes 1, -envelopes 2, -grants 1"},
      {"later 800", "+grants 2, w1 ASSIGN 3:1.1.2 2/2"})

TABLE(a_cancelled_retry_that_waits_is_cancelled_at_once, {"w1 join", W1_JOINED},
      {"assign 1.1 retries=3", GIVEN_1 " 1/4"},
      {"w1 outcome 1:1.1.1 failed exit=7",
       "+attempts 1, +states 1 delayed, w1 SETTLED 1:1.1.1 recorded, -grants 1"},
      {"stop 1.1", "+outcomes 1, +states 1 ended, up OUTCOME 1:1.1.1 cancelled cancelled 2/4 after 1 eu/w1 "
                   "failed exit_status exit 7, -envelopes 1"},
      {"later 5000", ""})

TABLE(refused_by_a_worker_under_a_cancel_is_cancelled, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"stop 1.1", "+states 1 granted cancelling, w1 STOP 1:1.1.1"},
      {"w1 refused 1:1.1.1", "+outcomes 1, +states 1 ended cancelling, up OUTCOME 1:1.1.1 cancelled "
                             "cancelled eu/w1 1/1, -grants 1, -envelopes 1"},
      {"later 2000", ""})

/* The pause before the next attempt: whether it is over after `ms`. */
static bool tried_again_after(unsigned ms)
{
    char text[32];
    snprintf(text, sizeof text, "later %u", ms - 1);
    fixture_act(text);
    cr_expect_str_empty(fixture.text, "not before %u ms", ms);
    fixture_act("later 1");
    return strstr(fixture.text, "w1 ASSIGN 1:1.1.") != NULL;
}

static void fail_attempt(unsigned attempt)
{
    char text[64];
    snprintf(text, sizeof text, "w1 outcome 1:1.1.%u failed exit=1", attempt);
    fixture_act(text);
}

/* Its grant ended with the loss, and the task was given back: nobody records what the worker says of it now.
 */
TABLE(the_end_of_a_lost_attempt_comes_too_late_although_it_was_the_last, {"w1 join", W1_JOINED},
      {"assign 1.1", GIVEN_1}, {"w1 silent", ""},
      {"later 10000", "+attempts 1, +states 1 ready dup, -grants 1"},
      {"recall 1.1", "+outcomes 1, +states 1 ended dup, up OUTCOME 1:1.1.1 returned dup, -envelopes 1"},
      {"w1 hello", "w1 WELCOME"}, {"w1 inventory 1:1.1.1 ended", ""}, {"w1 end", ""},
      {"w1 outcome 1:1.1.1 completed", "w1 SETTLED 1:1.1.1 stale"}, {"restart", ""},
      {"start", "+meta 1, up HELLO boot 2"},
      {"welcome", "up INVENTORY 1:1.1.1 ended, up END, up OUTCOME 1:1.1.1 returned dup"},
      {"w1 hello", "w1 WELCOME"}, {"w1 inventory 1:1.1.1 ended", ""}, {"w1 end", ""},
      {"w1 outcome 1:1.1.1 completed", "w1 SETTLED 1:1.1.1 stale"})

/* The next attempt begins with a clean record, and its repeated report is no late one. */
TABLE(the_end_of_the_attempt_after_a_lost_one_is_recorded, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"w1 silent", ""}, {"later 10000", "+attempts 1, +states 1 ready dup, -grants 1"},
      {"w2 join", "+children 2, w2 WELCOME | +grants 2, w2 ASSIGN 1:1.1.2 dup 2/2"}, {"restart", ""},
      {"start", "+meta 1, up HELLO boot 2"}, {"welcome", "up INVENTORY 1:1.1.2 waiting, up END"},
      {"w2 hello", "w2 WELCOME"}, {"w2 inventory 1:1.1.2 ended", ""}, {"w2 end", ""},
      {"w2 outcome 1:1.1.2 completed",
       "+outcomes 1, +states 1 ended dup, w2 SETTLED 1:1.1.2 recorded, up OUTCOME 1:1.1.2 completed dup "
       "eu/w2 2/2 after 1 eu/w1 lost worker_lost, -grants 2, -envelopes 1"},
      {"w2 outcome 1:1.1.2 completed", "w2 SETTLED 1:1.1.2 recorded"})

Test(attempts, the_back_off_doubles_up_to_its_cap)
{
    static const unsigned pause_ms[] = {1000, 2000, 4000, 5000, 5000, 5000};
    fixture.options.retry_cap_ms = 5000;
    fixture_new_region();
    fixture_connect();
    fixture_act("w1 join");
    fixture_act("assign 1.1 retries=20");
    for (unsigned i = 0; i < sizeof pause_ms / sizeof pause_ms[0]; i++) {
        fixture.random = pause_ms[i] / 5; /* the middle of a fifth to both sides */
        fail_attempt(i + 1);
        cr_expect(tried_again_after(pause_ms[i]), "attempt %u", i + 2);
    }
}

Test(attempts, the_back_off_is_drawn_within_a_fifth)
{
    fixture_connect();
    fixture_act("w1 join");
    fixture_act("assign 1.1 retries=20");
    fixture.random = 400;
    fail_attempt(1);
    cr_expect(tried_again_after(1200));
    fixture.random = 801; /* one more than the range: its lower end */
    fail_attempt(2);
    cr_expect(tried_again_after(1600));
}
