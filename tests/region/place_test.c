/* place_test.c - which worker gets which task, and what nobody can run. */
#include <criterion/criterion.h>

#include "tests/region/node_fixture.h"

TestSuite(place, .init = fixture_set_up, .fini = fixture_tear_down);

#define TABLE(name, ...) REGION_TABLE(place, name, __VA_ARGS__)

TABLE(
    least_tasks_wins, {"w1 join slots=2", W1_JOINED}, {"w2 join slots=4", W2_JOINED},
    {"assign 1.1; 2.1; 3.1; 4.1; 5.1; 6.1; 7.1",
     "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, +envelopes 3, +states 3 "
     "ready, +envelopes 4, +states 4 ready, +envelopes 5, +states 5 ready, +envelopes 6, +states 6 ready, "
     "+envelopes 7, +states 7 ready, up TAKEN 1:1.0.0, up TAKEN 2:1.0.0, up TAKEN 3:1.0.0, up TAKEN 4:1.0.0, "
     "up TAKEN 5:1.0.0, up TAKEN 6:1.0.0, up TAKEN 7:1.0.0 | +grants 2, +grants 1, w2 ASSIGN 1:1.1.1, w2 "
     "ASSIGN 3:1.1.1, w2 ASSIGN 5:1.1.1, w2 ASSIGN 6:1.1.1, w1 ASSIGN 2:1.1.1, w1 ASSIGN 4:1.1.1"})

TABLE(a_class_without_a_slot_blocks_no_other, {"w1 join types=resize", W1_JOINED},
      {"assign 1.1; 2.1 type=resize; 3.1 type=resize capabilities=gpu; 4.1 type=resize",
       "+classes 1, +envelopes 1, +states 1 ready, +classes 2, +envelopes 2, +states 2 ready, +classes 3, "
       "+envelopes 3, +states 3 ready, +envelopes 4, +states 4 ready, up TAKEN 1:1.0.0, up TAKEN 2:1.0.0, up "
       "TAKEN 3:1.0.0, up TAKEN 4:1.0.0 | +grants 1, w1 ASSIGN 2:1.1.1 1/4"},
      {"w2 join types=resize capabilities=gpu+disk",
       "+children 2, w2 WELCOME | +grants 2, w2 ASSIGN 3:1.1.1 1/4"},
      {"w2 outcome 3:1.1.1 completed exit=0",
       "+outcomes 3, +states 3 ended, w2 SETTLED 3:1.1.1 recorded, up OUTCOME 3:1.1.1 completed eu/w2 1/4 "
       "exit 0, -grants 2, -envelopes 3 | +grants 3, w2 ASSIGN 4:1.1.1 1/4"})

TABLE(capabilities_in_any_order_are_one_class,
      {"w1 join types=resize capabilities=gpu+disk slots=2", W1_JOINED},
      {"assign 1.1 type=resize capabilities=gpu+disk; 2.1 type=resize capabilities=disk+gpu",
       "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, up TAKEN 1:1.0.0, up TAKEN "
       "2:1.0.0 | +grants 1, w1 ASSIGN 1:1.1.1 1/4, w1 ASSIGN 2:1.1.1 1/4"})

TABLE(profiles_may_change, {"w1 join slots=1", W1_JOINED},
      {"assign 1.1; 2.1", "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, up "
                          "TAKEN 1:1.0.0, up TAKEN 2:1.0.0 | +grants 1, w1 ASSIGN 1:1.1.1"},
      {"w1 beat slots=2", "+grants 2, w1 ASSIGN 2:1.1.1"}, {"w1 beat slots=1", ""},
      {"w1 outcome 1:1.1.1 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 completed eu/w1 1/1 "
       "exit 0, -grants 1, -envelopes 1"},
      {"assign 3.1", "+envelopes 3, +states 3 ready, up TAKEN 3:1.0.0"},
      {"w1 outcome 2:1.1.1 completed exit=0",
       "+outcomes 2, +states 2 ended, w1 SETTLED 2:1.1.1 recorded, up OUTCOME 2:1.1.1 completed eu/w1 1/1 "
       "exit 0, -grants 2, -envelopes 2 | +grants 3, w1 ASSIGN 3:1.1.1"})

TABLE(no_capable_worker_for_a_grace_returns_it, {"w1 join", W1_JOINED},
      {"assign 1.1 type=paint; 2.1",
       "+classes 1, +envelopes 1, +states 1 ready, +classes 2, +envelopes 2, +states 2 ready, up TAKEN "
       "1:1.0.0, up TAKEN 2:1.0.0 | +grants 1, w1 ASSIGN 2:1.1.1"},
      {"later 10000", ""},
      {"later 1000", "+outcomes 1, +states 1 ended, up OUTCOME 1:1.0.0 returned, -envelopes 1"})

TABLE(a_capable_worker_in_time_keeps_it, {"assign 1.1 type=paint", TAKEN_1}, {"later 9000", ""},
      {"w1 join types=paint", "+children 1, w1 WELCOME | +grants 1, w1 ASSIGN 1:1.1.1 1/4"},
      {"w1 outcome 1:1.1.1 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 completed eu/w1 1/4 "
       "exit 0, -grants 1, -envelopes 1"})

TABLE(slots_of_a_class_are_not_passed, {"w1 join types=resize slots=1 more=blur more_slots=3", W1_JOINED},
      {"assign 1.1 type=resize; 2.1 type=resize; 3.1 type=blur",
       "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, +classes 2, +envelopes 3, "
       "+states 3 ready, up TAKEN 1:1.0.0, up TAKEN 2:1.0.0, up TAKEN 3:1.0.0 | +grants 1, w1 ASSIGN 1:1.1.1 "
       "1/4, w1 ASSIGN 3:1.1.1 1/4"},
      {"w1 outcome 1:1.1.1 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 completed eu/w1 1/4 "
       "exit 0, -envelopes 1 | +grants 2, w1 ASSIGN 2:1.1.1 1/4"})

TABLE(a_second_task_waits_a_whole_grace_too, {"assign 1.1", TAKEN_1}, {"later 5000", ""},
      {"w1 join", "+children 1, w1 WELCOME | +grants 1, w1 ASSIGN 1:1.1.1"},
      {"w1 outcome 1:1.1.1 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 completed eu/w1 1/1 "
       "exit 0, -grants 1, -envelopes 1"},
      {"later 60000", ""}, {"w1 down", ""}, {"assign 2.1", "+envelopes 2, +states 2 ready, up TAKEN 2:1.0.0"},
      {"later 2000", ""}, {"w1 hello", "w1 WELCOME"}, {"w1 end", "+grants 2, w1 ASSIGN 2:1.1.1"})

TABLE(a_returned_class_waits_a_whole_grace_again, {"assign 1.1", TAKEN_1},
      {"later 11000", "+outcomes 1, +states 1 ended, up OUTCOME 1:1.0.0 returned, -envelopes 1"},
      {"later 5000", ""}, {"assign 2.1", "+envelopes 2, +states 2 ready, up TAKEN 2:1.0.0"},
      {"later 9000", ""},
      {"later 2000", "+outcomes 2, +states 2 ended, up OUTCOME 2:1.0.0 returned, -envelopes 2"})

TABLE(a_class_whose_only_task_was_cancelled_waits_a_whole_grace_again, {"assign 1.1", TAKEN_1},
      {"later 5000", ""},
      {"stop 1.1", "+outcomes 1, +states 1 ended, up OUTCOME 1:1.0.0 cancelled cancelled 1/1, -envelopes 1"},
      {"later 60000", ""}, {"assign 2.1", "+envelopes 2, +states 2 ready, up TAKEN 2:1.0.0"},
      {"later 9000", ""},
      {"later 2000", "+outcomes 2, +states 2 ended, up OUTCOME 2:1.0.0 returned, -envelopes 2"})

TABLE(not_returned_while_cut_off, {"assign 1.1", TAKEN_1}, {"down", ""},
      {"later 20000", "up HELLO boot 1 | up HELLO boot 1 | up HELLO boot 1 | up HELLO boot 1 | up HELLO boot "
                      "1 | up HELLO boot 1 | up HELLO boot 1"},
      {"welcome", "up INVENTORY 1:1.0.0 waiting, up END"},
      {"later 2000", "+outcomes 1, +states 1 ended, up OUTCOME 1:1.0.0 returned, -envelopes 1"})
