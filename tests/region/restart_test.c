/* restart_test.c - a new region from the records of the old one. */
#include <criterion/criterion.h>

#include "tests/region/node_fixture.h"

TestSuite(restart, .init = fixture_set_up, .fini = fixture_tear_down);

#define TABLE(name, ...) REGION_TABLE(restart, name, __VA_ARGS__)

TABLE(restart_keeps_waiting_tasks,
      {"assign 1.1; 2.3 dup priority=high", "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, "
                                            "+states 2 ready dup, up TAKEN 1:1.0.0, up TAKEN 2:3.0.0"},
      {"restart", ""}, {"start", "+meta 1, up HELLO boot 2"},
      {"welcome", "up INVENTORY 1:1.0.0 waiting, up INVENTORY 2:3.0.0 waiting, up END"},
      {"w1 join slots=2", "+children 1, w1 WELCOME | +grants 1, w1 ASSIGN 2:3.2.1 dup, w1 ASSIGN 1:1.2.1"})

TABLE(restart_keeps_what_a_worker_has, {"w1 join slots=2", W1_JOINED},
      {"assign 1.1; 2.1",
       "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, up TAKEN 1:1.0.0, up TAKEN "
       "2:1.0.0 | +grants 1, w1 ASSIGN 1:1.1.1, w1 ASSIGN 2:1.1.1"},
      {"w1 taken 1:1.1.1", ""}, {"restart", ""}, {"start", "+meta 1, up HELLO boot 2"},
      {"welcome", "up INVENTORY 1:1.1.1 waiting, up INVENTORY 2:1.1.1 waiting, up END"},
      {"w1 hello slots=2", "w1 WELCOME"}, {"w1 inventory 1:1.1.1 running 4000; 2:1.1.1 waiting", ""},
      {"w1 end", ""},
      {"w1 outcome 1:1.1.1 completed exit=0", "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up "
                                              "OUTCOME 1:1.1.1 completed eu/w1 1/1 exit 0, -envelopes 1"},
      {"w1 outcome 2:1.1.1 failed exit=1",
       "+outcomes 2, +states 2 ended, w1 SETTLED 2:1.1.1 recorded, up OUTCOME 2:1.1.1 failed exit_status "
       "eu/w1 1/1 exit 1, -grants 1, -envelopes 2"})

TABLE(restart_raises_the_epoch_and_fences_grow, {"w1 join", W1_JOINED},
      {"assign 1.1 retries=1", GIVEN_1 " 1/2"}, {"restart", ""}, {"start", "+meta 1, up HELLO boot 2"},
      {"welcome", "up INVENTORY 1:1.1.1 waiting, up END"}, {"w1 hello", "w1 WELCOME"},
      {"w1 inventory 1:1.1.1 running 10", ""}, {"w1 end", ""},
      {"w1 outcome 1:1.1.1 failed exit=1",
       "+attempts 1, +states 1 delayed, w1 SETTLED 1:1.1.1 recorded, -grants 1"},
      {"later 800", "+grants 2, w1 ASSIGN 1:1.2.2 2/2"},
      {"w1 outcome 1:1.2.2 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.2.2 recorded, up OUTCOME 1:1.2.2 completed eu/w1 2/2 "
       "exit 0 after 1 eu/w1 failed exit_status exit 1, -grants 2, -envelopes 1"})

TABLE(restart_keeps_outcomes_until_they_are_settled, {"w1 join", W1_JOINED},
      {"assign 1.1 retries=1", GIVEN_1 " 1/2"},
      {"w1 outcome 1:1.1.1 failed exit=1",
       "+attempts 1, +states 1 delayed, w1 SETTLED 1:1.1.1 recorded, -grants 1"},
      {"later 800", "+grants 2, w1 ASSIGN 1:1.1.2 2/2"},
      {"w1 outcome 1:1.1.2 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.2 recorded, up OUTCOME 1:1.1.2 completed eu/w1 2/2 "
       "exit 0 after 1 eu/w1 failed exit_status exit 1, -grants 2, -envelopes 1"},
      {"restart", ""}, {"start", "+meta 1, up HELLO boot 2"},
      {"welcome", "up INVENTORY 1:1.1.2 ended, up END, up OUTCOME 1:1.1.2 completed eu/w1 2/2 exit 0 after 1 "
                  "eu/w1 failed exit_status exit 1"},
      {"w1 hello", "w1 WELCOME"}, {"w1 inventory 1:1.1.2 ended", ""}, {"w1 end", ""},
      {"w1 outcome 1:1.1.2 completed exit=0", "w1 SETTLED 1:1.1.2 recorded"},
      {"settled 1.1", "-outcomes 1, -states 1, -attempts 1"})

TABLE(restart_keeps_the_back_off, {"w1 join", W1_JOINED}, {"assign 1.1 retries=2", GIVEN_1 " 1/3"},
      {"w1 outcome 1:1.1.1 failed exit=1",
       "+attempts 1, +states 1 delayed, w1 SETTLED 1:1.1.1 recorded, -grants 1"},
      {"later 300", ""}, {"restart", ""}, {"start", "+meta 1, up HELLO boot 2"},
      {"welcome", "up INVENTORY 1:1.1.1 waiting, up END"}, {"w1 join", "w1 WELCOME"}, {"later 499", ""},
      {"later 1", "+grants 1, w1 ASSIGN 1:1.2.2 2/3"})

TABLE(restart_counts_graces_from_itself, {"w1 join", W1_JOINED}, {"w2 join slots=2", W2_JOINED},
      {"assign 1.1", TAKEN_1 " | +grants 1, w2 ASSIGN 1:1.1.1"}, {"later 5000", ""}, {"restart", ""},
      {"start", "+meta 1, up HELLO boot 2"}, {"welcome", "up INVENTORY 1:1.1.1 waiting, up END"},
      {"w2 join slots=2", "w2 WELCOME | w2 ASSIGN 1:1.1.1"}, {"later 9500", ""}, {"later 500", ""})

TABLE(restart_keeps_the_mark, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1}, {"w1 silent", ""},
      {"later 10000", "+attempts 1, +states 1 ready dup, -grants 1"}, {"restart", ""},
      {"start", "+meta 1, up HELLO boot 2"}, {"welcome", "up INVENTORY 1:1.1.1 waiting, up END"},
      {"w1 hello boot=2", W1_JOINED}, {"w1 end", "+grants 1, w1 ASSIGN 1:1.11.2 dup 2/2"})

TABLE(restart_and_the_time_limit, {"w1 join", W1_JOINED}, {"assign 1.1 timeout_ms=8000", GIVEN_1},
      {"w1 taken 1:1.1.1", ""}, {"later 5000", ""}, {"restart", ""}, {"start", "+meta 1, up HELLO boot 2"},
      {"welcome", "up INVENTORY 1:1.1.1 waiting, up END"}, {"w1 hello", "w1 WELCOME"},
      {"w1 inventory 1:1.1.1 running 5500", ""}, {"w1 end", ""}, {"later 2499", ""},
      {"later 1", "w1 STOP 1:1.1.1"})

TABLE(restart_twice_in_a_second, {"restart", ""}, {"start", "+meta 1, up HELLO boot 2"}, {"restart", ""},
      {"start", "+meta 1, up HELLO boot 3"})

TABLE(an_epoch_seen_at_a_worker_is_passed, {"w1 hello", W1_JOINED},
      {"w1 inventory 7:1.50.1 running 10", "w1 STOP 7:1.50.1"}, {"w1 end", "+meta 1"},
      {"w1 outcome 7:1.50.1 cancelled", "w1 SETTLED 7:1.50.1 unknown"},
      {"assign 1.1", TAKEN_1 " | +grants 1, w1 ASSIGN 1:1.51.1"})

TABLE(restart_drops_grants_of_what_moved_on, {"w1 join slots=2", W1_JOINED},
      {"assign 1.1; 2.1 retries=1",
       "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, up TAKEN 1:1.0.0, up TAKEN "
       "2:1.0.0 | +grants 1, w1 ASSIGN 1:1.1.1, w1 ASSIGN 2:1.1.1 1/2"},
      {"w1 outcome 2:1.1.1 failed exit=1", "+attempts 2, +states 2 delayed, w1 SETTLED 2:1.1.1 recorded"},
      {"restart", ""}, {"start", "+meta 1, up HELLO boot 2"},
      {"welcome", "up INVENTORY 1:1.1.1 waiting, up INVENTORY 2:1.1.1 waiting, up END"},
      {"w1 hello slots=2", "w1 WELCOME"}, {"w1 inventory 1:1.1.1 running 10", ""}, {"w1 end", ""},
      {"later 800", "+grants 2, w1 ASSIGN 2:1.2.2 2/2"})

TABLE(restart_does_not_forget_a_cancel, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"stop 1.1", "+states 1 granted cancelling, w1 STOP 1:1.1.1"}, {"restart", ""},
      {"start", "+meta 1, up HELLO boot 2"}, {"welcome", "up INVENTORY 1:1.1.1 waiting, up END"},
      {"w2 join", W2_JOINED}, {"w1 hello", "w1 WELCOME"},
      {"w1 inventory 1:1.1.1 running 10", "w1 STOP 1:1.1.1"}, {"w1 end", ""},
      {"w1 outcome 1:1.1.1 cancelled signal=15",
       "+outcomes 1, +states 1 ended cancelling, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 cancelled "
       "cancelled eu/w1 1/1 signal 15, -grants 1, -envelopes 1"})

TABLE(restart_keeps_a_running_task_under_its_new_custody, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"assign 1.2", "+states 1 granted, up TAKEN 1:2.1.1"}, {"restart", ""},
      {"start", "+meta 1, up HELLO boot 2"}, {"welcome", "up INVENTORY 1:2.1.1 waiting, up END"},
      {"w2 join", W2_JOINED}, {"w1 hello", "w1 WELCOME"}, {"w1 inventory 1:1.1.1 running 10", ""},
      {"w1 end", ""},
      {"w1 outcome 1:1.1.1 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:2.1.1 completed eu/w1 1/1 "
       "ran as 1:1.1.1 exit 0, -grants 1, -envelopes 1"})

TABLE(a_new_life_is_noticed_after_a_restart_of_the_region, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"w1 down", ""}, {"w1 hello boot=2", "w1 WELCOME"}, {"restart", ""},
      {"start", "+meta 1, up HELLO boot 2"}, {"welcome", "up INVENTORY 1:1.1.1 waiting, up END"},
      {"w1 hello boot=2", "w1 WELCOME"},
      {"w1 end", "+attempts 1, +states 1 ready dup, +grants 2, w1 ASSIGN 1:1.2.2 dup 2/2, -grants 1"})

TABLE(a_new_life_is_recorded_when_the_former_one_is_dealt_with, {"w1 join", W1_JOINED},
      {"assign 1.1", GIVEN_1}, {"w1 down", ""}, {"w1 hello boot=2", "w1 WELCOME"},
      {"w1 inventory 1:1.1.1 ended", ""}, {"later 5000", ""}, {"w1 end", ""}, {"later 1000", "+children 1"},
      {"w1 outcome 1:1.1.1 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 completed eu/w1 1/1 "
       "exit 0, -grants 1, -envelopes 1"},
      {"restart", ""}, {"start", "+meta 1, up HELLO boot 2"},
      {"welcome", "up INVENTORY 1:1.1.1 ended, up END, up OUTCOME 1:1.1.1 completed eu/w1 1/1 exit 0"},
      {"w1 hello boot=2", "w1 WELCOME"}, {"w1 end", ""})
