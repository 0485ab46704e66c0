/* assign_test.c - what the broker gives, asks back and settles, and what it is told: step tables
 * (node_fixture.h). */
#include <criterion/criterion.h>

#include "tests/region/node_fixture.h"

TestSuite(assign, .init = fixture_set_up, .fini = fixture_tear_down);

#define TABLE(name, ...) REGION_TABLE(assign, name, __VA_ARGS__)

TABLE(takes_a_task_and_gives_it_to_a_worker, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"w1 taken 1:1.1.1", ""},
      {"w1 outcome 1:1.1.1 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 completed eu/w1 1/1 "
       "exit 0, -grants 1, -envelopes 1"},
      {"settled 1.1", "-outcomes 1, -states 1"})

TABLE(keeps_a_task_until_a_worker_comes,
      {"assign 1.1; 2.1", "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, up "
                          "TAKEN 1:1.0.0, up TAKEN 2:1.0.0"},
      {"w1 join", "+children 1, w1 WELCOME | +grants 1, w1 ASSIGN 1:1.1.1"},
      {"w2 join", "+children 2, w2 WELCOME | +grants 2, w2 ASSIGN 2:1.1.1"})

TABLE(same_custody_again_is_answered_again, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"assign 1.1", "up TAKEN 1:1.1.1"},
      {"w1 outcome 1:1.1.1 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 completed eu/w1 1/1 "
       "exit 0, -grants 1, -envelopes 1"},
      {"assign 1.1", "up OUTCOME 1:1.1.1 completed eu/w1 1/1 exit 0"})

TABLE(a_lower_custody_changes_nothing, {"w1 join", W1_JOINED},
      {"assign 1.3",
       "+classes 1, +envelopes 1, +states 1 ready, up TAKEN 1:3.0.0 | +grants 1, w1 ASSIGN 1:3.1.1"},
      {"assign 1.2", ""}, {"stop 1.2", "up OUTCOME 1:2.0.0 not_held"}, {"settled 1.2", ""},
      {"w1 outcome 1:3.1.1 completed", "+outcomes 1, +states 1 ended, w1 SETTLED 1:3.1.1 recorded, up "
                                       "OUTCOME 1:3.1.1 completed eu/w1 1/1, -grants 1, -envelopes 1"},
      {"settled 1.2", ""}, {"settled 1.3", "-outcomes 1, -states 1"})

TABLE(adopts_what_it_runs_under_a_higher_custody, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"assign 1.2", "+states 1 granted, up TAKEN 1:2.1.1"},
      {"w1 outcome 1:1.1.1 failed exit=1",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:2.1.1 failed exit_status "
       "eu/w1 1/1 ran as 1:1.1.1 exit 1, -grants 1, -envelopes 1"},
      {"settled 1.2", "-outcomes 1, -states 1"})

TABLE(a_completed_one_is_reported_under_the_new_custody, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"w1 outcome 1:1.1.1 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 completed eu/w1 1/1 "
       "exit 0, -grants 1, -envelopes 1"},
      {"assign 1.2", "+states 1 ended, up OUTCOME 1:2.1.1 completed eu/w1 1/1 ran as 1:1.1.1 exit 0"},
      {"settled 1.1", ""}, {"settled 1.2", "-outcomes 1, -states 1"})

TABLE(a_cancelled_one_runs_again_under_a_new_custody, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"stop 1.1", "+states 1 granted cancelling, w1 STOP 1:1.1.1"},
      {"w1 outcome 1:1.1.1 cancelled",
       "+outcomes 1, +states 1 ended cancelling, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 cancelled "
       "cancelled eu/w1 1/1, -grants 1, -envelopes 1"},
      {"assign 1.2", "+envelopes 2, +states 2 ready, up TAKEN 1:2.0.0, -outcomes 1, -states 1 | +grants 2, "
                     "w1 ASSIGN 1:2.1.1"})

TABLE(a_higher_custody_lifts_the_cancel, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"stop 1.1", "+states 1 granted cancelling, w1 STOP 1:1.1.1"},
      {"assign 1.2 dup", "+states 1 granted dup, up TAKEN 1:2.1.1"},
      {"w1 outcome 1:1.1.1 cancelled",
       "+states 1 ready dup, w1 SETTLED 1:1.1.1 recorded, -grants 1 | +grants 2, w1 ASSIGN 1:2.1.2 dup"})

TABLE(the_attempts_of_other_regions_count, {"w1 join", W1_JOINED},
      {"assign 1.1 attempt=3 dup retries=2", "+classes 1, +envelopes 1, +states 1 ready dup, up TAKEN "
                                             "1:1.0.0 | +grants 1, w1 ASSIGN 1:1.1.1 dup 3/5"},
      {"w1 outcome 1:1.1.1 failed exit=1",
       "+attempts 1, +states 1 delayed dup, w1 SETTLED 1:1.1.1 recorded, -grants 1"})

TABLE(refuses_what_it_cannot_read,
      {"assign 1.1 bad; 2.1",
       "+classes 1, +envelopes 1, +states 1 ready, up TAKEN 2:1.0.0, up REFUSED 1:1.0.0 unknown_field"})

TABLE(cancels_what_waits, {"assign 1.1", TAKEN_1},
      {"stop 1.1", "+outcomes 1, +states 1 ended, up OUTCOME 1:1.0.0 cancelled cancelled 1/1, -envelopes 1"},
      {"stop 1.1", ""}, {"settled 1.1", "-outcomes 1, -states 1"})

TABLE(cancels_what_runs_once_per_session, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"stop 1.1", "+states 1 granted cancelling, w1 STOP 1:1.1.1"}, {"stop 1.1", ""},
      {"w1 outcome 1:1.1.1 cancelled signal=15",
       "+outcomes 1, +states 1 ended cancelling, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 cancelled "
       "cancelled eu/w1 1/1 signal 15, -grants 1, -envelopes 1"},
      {"settled 1.1", "-outcomes 1, -states 1"})

TABLE(a_cancel_that_comes_too_late_changes_nothing, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"stop 1.1", "+states 1 granted cancelling, w1 STOP 1:1.1.1"},
      {"w1 outcome 1:1.1.1 completed exit=0",
       "+outcomes 1, +states 1 ended cancelling, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 completed "
       "eu/w1 1/1 exit 0, -grants 1, -envelopes 1"})

TABLE(an_error_under_a_cancel_is_a_cancel, {"w1 join", W1_JOINED}, {"assign 1.1 retries=3", GIVEN_1 " 1/4"},
      {"stop 1.1", "+states 1 granted cancelling, w1 STOP 1:1.1.1"},
      {"w1 outcome 1:1.1.1 failed exit=1",
       "+outcomes 1, +states 1 ended cancelling, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 cancelled "
       "cancelled eu/w1 1/4 exit 1, -grants 1, -envelopes 1"})

TABLE(a_cancel_of_what_failed_before_it_is_answered_with_the_end, {"w1 join", W1_JOINED},
      {"assign 1.1", GIVEN_1},
      {"w1 outcome 1:1.1.1 failed exit=1",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 failed exit_status "
       "eu/w1 1/1 exit 1, -grants 1, -envelopes 1"},
      {"stop 1.1", ""}, {"settled 1.1", "-outcomes 1, -states 1"})

TABLE(recalls_only_what_waits, {"w1 join", W1_JOINED},
      {"assign 1.1; 2.1; 3.1 retries=1",
       "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, +envelopes 3, +states 3 "
       "ready, up TAKEN 1:1.0.0, up TAKEN 2:1.0.0, up TAKEN 3:1.0.0 | +grants 1, w1 ASSIGN 1:1.1.1"},
      {"recall 1.1", ""},
      {"recall 2.1", "+outcomes 2, +states 2 ended, up OUTCOME 2:1.0.0 returned, -envelopes 2"},
      {"recall 2.1", ""} /* its outcome is on its way */, {"recall 9.4", "up OUTCOME 9:4.0.0 not_held"},
      {"w1 outcome 1:1.1.1 completed",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 completed eu/w1 1/1, "
       "-grants 1, -envelopes 1 | +grants 2, w1 ASSIGN 3:1.1.1 1/2"},
      {"w1 outcome 3:1.1.1 failed exit=1",
       "+attempts 3, +states 3 delayed, w1 SETTLED 3:1.1.1 recorded, -grants 2"},
      {"recall 3.1", "+outcomes 3, +states 3 ended, up OUTCOME 3:1.1.1 returned, -envelopes 3"})

TABLE(returns_what_may_have_run_with_its_mark,
      {"assign 1.1 dup", "+classes 1, +envelopes 1, +states 1 ready dup, up TAKEN 1:1.0.0"},
      {"recall 1.1", "+outcomes 1, +states 1 ended dup, up OUTCOME 1:1.0.0 returned dup, -envelopes 1"})

TABLE(stop_of_what_is_unknown_or_of_another_custody, {"w1 join", W1_JOINED},
      {"assign 1.2",
       "+classes 1, +envelopes 1, +states 1 ready, up TAKEN 1:2.0.0 | +grants 1, w1 ASSIGN 1:2.1.1"},
      {"stop 7.1", "up OUTCOME 7:1.0.0 not_held"}, {"stop 1.1", "up OUTCOME 1:1.0.0 not_held"},
      {"stop 1.3", "up OUTCOME 1:3.0.0 not_held"})

TABLE(outcomes_are_sent_again_in_a_new_session, {"w1 join", W1_JOINED},
      {"assign 1.1; 2.1 retries=1",
       "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, up TAKEN 1:1.0.0, up TAKEN "
       "2:1.0.0 | +grants 1, w1 ASSIGN 1:1.1.1"},
      {"w1 outcome 1:1.1.1 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 completed eu/w1 1/1 "
       "exit 0, -grants 1, -envelopes 1 | +grants 2, w1 ASSIGN 2:1.1.1 1/2"},
      {"w1 outcome 2:1.1.1 failed exit=1",
       "+attempts 2, +states 2 delayed, w1 SETTLED 2:1.1.1 recorded, -grants 2"},
      {"down", ""}, {"later 1000", "up HELLO boot 1 | +grants 3, w1 ASSIGN 2:1.1.2 2/2"},
      {"w1 outcome 2:1.1.2 completed exit=0",
       "+outcomes 2, +states 2 ended, w1 SETTLED 2:1.1.2 recorded, -grants 3, -envelopes 2"},
      {"welcome",
       "up INVENTORY 1:1.1.1 ended, up INVENTORY 2:1.1.2 ended, up END, up OUTCOME 1:1.1.1 completed eu/w1 "
       "1/1 exit 0, up OUTCOME 2:1.1.2 completed eu/w1 2/2 exit 0 after 1 eu/w1 failed exit_status exit 1"},
      {"settled 1.1; 2.1", "-outcomes 1, -states 1, -outcomes 2, -states 2, -attempts 2"})

TABLE(shows_what_it_holds_in_a_new_session, {"w1 join slots=2", W1_JOINED},
      {"assign 1.1; 2.1; 3.1", "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, "
                               "+envelopes 3, +states 3 ready, up TAKEN 1:1.0.0, up TAKEN 2:1.0.0, up TAKEN "
                               "3:1.0.0 | +grants 1, w1 ASSIGN 1:1.1.1, w1 ASSIGN 2:1.1.1"},
      {"w1 taken 1:1.1.1", ""}, {"down", ""}, {"later 1000", "up HELLO boot 1"},
      {"welcome",
       "up INVENTORY 1:1.1.1 running, up INVENTORY 2:1.1.1 waiting, up INVENTORY 3:1.0.0 waiting, up END"})

TABLE(runs_on_while_it_is_cut_off, {"w1 join", W1_JOINED},
      {"assign 1.1; 2.1", "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, up "
                          "TAKEN 1:1.0.0, up TAKEN 2:1.0.0 | +grants 1, w1 ASSIGN 1:1.1.1"},
      {"down", ""},
      {"w1 outcome 1:1.1.1 completed exit=0", "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, "
                                              "-grants 1, -envelopes 1 | +grants 2, w1 ASSIGN 2:1.1.1"},
      {"w1 outcome 2:1.1.1 completed exit=0",
       "+outcomes 2, +states 2 ended, w1 SETTLED 2:1.1.1 recorded, -grants 2, -envelopes 2"},
      {"later 1000", "up HELLO boot 1"},
      {"welcome", "up INVENTORY 1:1.1.1 ended, up INVENTORY 2:1.1.1 ended, up END, up OUTCOME 1:1.1.1 "
                  "completed eu/w1 1/1 exit 0, up OUTCOME 2:1.1.1 completed eu/w1 1/1 exit 0"})

TABLE(drain_before_the_inventory_has_left_ends_the_session, {"assign 1.1", TAKEN_1}, {"down", ""},
      {"later 1000", "up HELLO boot 1"}, {"welcome drain", ""}, {"later 1000", ""})

TABLE(drain_says_bye_and_takes_nothing_more, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"drain", "up BYE"},
      {"w1 outcome 1:1.1.1 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, -grants 1, -envelopes 1"})
