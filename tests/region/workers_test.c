/* workers_test.c - workers that fall silent, come back, restart, hold what they should not. */
#include <criterion/criterion.h>

#include "tests/region/node_fixture.h"

TestSuite(workers, .init = fixture_set_up, .fini = fixture_tear_down);

#define TABLE(name, ...) REGION_TABLE(workers, name, __VA_ARGS__)

TABLE(a_lost_workers_task_is_marked_before_it_is_given_again, {"w1 join", W1_JOINED}, {"w2 join", W2_JOINED},
      {"assign 1.1 retries=1", GIVEN_1 " 1/2"}, {"w1 silent", ""}, {"later 9000", ""},
      {"later 1000", "+attempts 1, +states 1 ready dup, +grants 2, w2 ASSIGN 1:1.1.2 dup 2/3, -grants 1"},
      {"w1 outcome 1:1.1.1 completed exit=0", "w1 GREET"},
      {"w2 outcome 1:1.1.2 completed exit=0",
       "+outcomes 1, +states 1 ended dup, w2 SETTLED 1:1.1.2 recorded, up OUTCOME 1:1.1.2 completed dup "
       "eu/w2 2/3 exit 0 after 1 eu/w1 lost worker_lost, -grants 2, -envelopes 1"})

TABLE(a_lost_workers_cancelled_task_may_still_run, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"stop 1.1", "+states 1 granted cancelling, w1 STOP 1:1.1.1"}, {"w1 silent", ""},
      {"later 10000", "+outcomes 1, +states 1 ended dup cancelling, up OUTCOME 1:1.1.1 cancelled dup "
                      "may_still_run eu/w1 1/1, -grants 1, -envelopes 1"})

TABLE(a_suspect_gets_no_work_and_keeps_what_it_has, {"w1 join", W1_JOINED}, {"w1 silent", ""},
      {"later 3000", ""}, {"assign 1.1", TAKEN_1}, {"later 1000", ""},
      {"w1 beat", "+grants 1, w1 ASSIGN 1:1.1.1"})

TABLE(a_suspect_that_speaks_again_keeps_its_task, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"w1 silent", ""}, {"later 9000", ""}, {"w1 beat", ""},
      {"w1 outcome 1:1.1.1 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 completed eu/w1 1/1 "
       "exit 0, -grants 1, -envelopes 1"})

TABLE(a_cut_worker_that_comes_back_keeps_its_task, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"w1 down", ""}, {"later 5000", ""}, {"w1 hello", "w1 WELCOME"},
      {"w1 inventory 1:1.1.1 running 5000", ""}, {"w1 end", ""},
      {"w1 outcome 1:1.1.1 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 completed eu/w1 1/1 "
       "exit 0, -grants 1, -envelopes 1"})

TABLE(what_the_same_life_does_not_claim_is_sent_again, {"w1 join slots=2", W1_JOINED},
      {"assign 1.1; 2.1",
       "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, up TAKEN 1:1.0.0, up TAKEN "
       "2:1.0.0 | +grants 1, w1 ASSIGN 1:1.1.1, w1 ASSIGN 2:1.1.1"},
      {"w1 down", ""}, {"w1 hello slots=2", "w1 WELCOME"}, {"w1 inventory 2:1.1.1 waiting", ""},
      {"w1 end", "w1 ASSIGN 1:1.1.1"})

TABLE(what_a_new_life_does_not_claim_is_lost, {"w1 join slots=2", W1_JOINED},
      {"assign 1.1; 2.1",
       "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, up TAKEN 1:1.0.0, up TAKEN "
       "2:1.0.0 | +grants 1, w1 ASSIGN 1:1.1.1, w1 ASSIGN 2:1.1.1"},
      {"w1 down", ""}, {"w1 hello slots=2 boot=2", "w1 WELCOME"}, {"w1 inventory 2:1.1.1 ended", ""},
      {"w1 end", "+attempts 1, +states 1 ready dup, +grants 2, w1 ASSIGN 1:1.1.2 dup 2/2"},
      {"w1 outcome 2:1.1.1 completed exit=0",
       "+outcomes 2, +states 2 ended, w1 SETTLED 2:1.1.1 recorded, up OUTCOME 2:1.1.1 completed eu/w1 1/1 "
       "exit 0, -grants 1, -envelopes 2"})

TABLE(a_new_life_is_noticed_though_its_first_session_broke, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"w1 down", ""}, {"w1 hello boot=2", "w1 WELCOME"}, {"w1 down", ""}, {"w1 hello boot=2", "w1 WELCOME"},
      {"w1 end", "+attempts 1, +states 1 ready dup, +grants 2, w1 ASSIGN 1:1.1.2 dup 2/2, -grants 1"})

TABLE(an_older_life_is_refused, {"w1 hello boot=3", W1_JOINED}, {"w1 hello boot=2", "w1 ERROR stale_boot"})

TABLE(another_instance_under_a_live_name_is_refused, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"w1 hello instance=200", "w1 ERROR name_in_use"}, {"w1 silent", ""}, {"later 9500", ""},
      {"w1 hello instance=201", "w1 ERROR name_in_use"}, {"w1 silent", ""},
      {"later 500", "+attempts 1, +states 1 ready dup, -grants 1"},
      {"w1 hello instance=202", "+children 2, w1 WELCOME, -children 1"},
      {"w1 end", "+grants 2, w1 ASSIGN 1:1.1.2 dup 2/2"})

TABLE(a_name_is_free_after_bye, {"w1 join", W1_JOINED}, {"w1 bye", ""},
      {"w1 hello instance=200", "+children 2, w1 WELCOME, -children 1"})

TABLE(a_newer_session_supersedes, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1}, {"w1 hello", "w1 WELCOME"},
      {"w1 inventory 1:1.1.1 waiting", ""}, {"w1 end", ""})

TABLE(strays_are_stopped_and_count_as_busy, {"w1 hello", W1_JOINED},
      {"w1 inventory 7:1.1.1 running 100", "w1 STOP 7:1.1.1"}, {"w1 end", ""}, {"assign 1.1", TAKEN_1},
      {"w1 outcome 7:1.1.1 cancelled", "w1 SETTLED 7:1.1.1 unknown | +grants 1, w1 ASSIGN 1:1.1.1"})

TABLE(what_ended_under_an_old_fence_is_no_stray, {"w1 hello", W1_JOINED}, {"w1 inventory 7:1.1.1 ended", ""},
      {"w1 end", ""}, {"assign 1.1", GIVEN_1},
      {"w1 outcome 7:1.1.1 completed exit=0", "w1 SETTLED 7:1.1.1 unknown"})

TABLE(what_had_ended_before_frees_no_strays_slot, {"w1 hello", W1_JOINED},
      {"w1 inventory 7:1.1.1 running 100; 8:1.1.1 ended", "w1 STOP 7:1.1.1"}, {"w1 end", ""},
      {"assign 1.1", TAKEN_1}, {"w1 outcome 8:1.1.1 completed exit=0", "w1 SETTLED 8:1.1.1 unknown"},
      {"w1 outcome 7:1.1.1 cancelled", "w1 SETTLED 7:1.1.1 unknown | +grants 1, w1 ASSIGN 1:1.1.1"})

TABLE(a_stray_that_answers_twice_frees_one_slot, {"w1 hello slots=2", W1_JOINED},
      {"w1 inventory 7:1.1.1 running 100; 8:1.1.1 running 100", "w1 STOP 7:1.1.1, w1 STOP 8:1.1.1"},
      {"w1 end", ""},
      {"assign 1.1; 2.1",
       "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, up TAKEN 1:1.0.0, up TAKEN "
       "2:1.0.0"},
      {"w1 outcome 7:1.1.1 completed exit=0", "w1 SETTLED 7:1.1.1 unknown | +grants 1, w1 ASSIGN 1:1.1.1"},
      {"w1 outcome 7:1.1.1 not_held", "w1 SETTLED 7:1.1.1 unknown"},
      {"w1 outcome 8:1.1.1 cancelled", "w1 SETTLED 8:1.1.1 unknown | +grants 2, w1 ASSIGN 2:1.1.1"})

TABLE(a_lost_worker_that_claims_the_old_fence_is_told_to_stop, {"w1 join", W1_JOINED}, {"w2 join", W2_JOINED},
      {"assign 1.1", GIVEN_1}, {"w1 silent", ""},
      {"later 10000", "+attempts 1, +states 1 ready dup, +grants 2, w2 ASSIGN 1:1.1.2 dup 2/2, -grants 1"},
      {"w1 beat", "w1 GREET"}, {"w1 hello", "w1 WELCOME"},
      {"w1 inventory 1:1.1.1 running 12000", "w1 STOP 1:1.1.1"}, {"w1 end", ""},
      {"assign 2.1", "+envelopes 2, +states 2 ready, up TAKEN 2:1.0.0"},
      {"w1 outcome 1:1.1.1 completed exit=0", "w1 SETTLED 1:1.1.1 stale | +grants 3, w1 ASSIGN 2:1.1.1"},
      {"w2 outcome 1:1.1.2 completed exit=0",
       "+outcomes 1, +states 1 ended dup, w2 SETTLED 1:1.1.2 recorded, up OUTCOME 1:1.1.2 completed dup "
       "eu/w2 2/2 exit 0 after 1 eu/w1 lost worker_lost, -grants 2, -envelopes 1"})

TABLE(what_a_lost_worker_reports_too_late_is_told_to_the_broker_once, {"w1 join", W1_JOINED},
      {"w2 join", W2_JOINED}, {"assign 1.1", GIVEN_1}, {"w1 silent", ""},
      {"later 10000", "+attempts 1, +states 1 ready dup, +grants 2, w2 ASSIGN 1:1.1.2 dup 2/2, -grants 1"},
      {"w1 hello", "w1 WELCOME"}, {"w1 inventory 1:1.1.1 ended", ""}, {"w1 end", ""},
      {"w1 outcome 1:1.1.1 completed exit=0", "w1 SETTLED 1:1.1.1 stale"},
      {"later 1000", "up late 1:1.1.1 completed w1"}, {"later 1000", ""})

TABLE(also_when_the_task_has_gone_meanwhile, {"w1 join", W1_JOINED}, {"w2 join", W2_JOINED},
      {"assign 1.1", GIVEN_1}, {"w1 silent", ""},
      {"later 10000", "+attempts 1, +states 1 ready dup, +grants 2, w2 ASSIGN 1:1.1.2 dup 2/2, -grants 1"},
      {"w2 outcome 1:1.1.2 completed exit=0",
       "+outcomes 1, +states 1 ended dup, w2 SETTLED 1:1.1.2 recorded, up OUTCOME 1:1.1.2 completed dup "
       "eu/w2 2/2 exit 0 after 1 eu/w1 lost worker_lost, -grants 2, -envelopes 1"},
      {"settled 1.1", "-outcomes 1, -states 1, -attempts 1"}, {"w1 hello", "w1 WELCOME"},
      {"w1 inventory 1:1.1.1 running 12000", "w1 STOP 1:1.1.1"}, {"w1 end", ""},
      {"w1 outcome 1:1.1.1 cancelled", "w1 SETTLED 1:1.1.1 unknown"},
      {"later 1000", "up late 1:1.1.1 cancelled w1"})

TABLE(a_stop_is_sent_again_to_the_next_session, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"stop 1.1", "+states 1 granted cancelling, w1 STOP 1:1.1.1"}, {"w1 down", ""},
      {"w1 hello", "w1 WELCOME"}, {"w1 inventory 1:1.1.1 running 10", "w1 STOP 1:1.1.1"}, {"w1 end", ""})

TABLE(a_stop_waits_for_a_session, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1}, {"w1 down", ""},
      {"stop 1.1", "+states 1 granted cancelling"}, {"w1 hello", "w1 WELCOME"},
      {"w1 inventory 1:1.1.1 running 10", "w1 STOP 1:1.1.1"}, {"w1 end", ""},
      {"w1 outcome 1:1.1.1 cancelled signal=15",
       "+outcomes 1, +states 1 ended cancelling, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 cancelled "
       "cancelled eu/w1 1/1 signal 15, -grants 1, -envelopes 1"})

TABLE(a_gap_ends_the_session, {"w1 join", W1_JOINED}, {"w1 skip", ""},
      {"w1 outcome 1:1.1.1 completed", "w1 ERROR malformed"}, {"w1 outcome 1:1.1.1 completed", "w1 GREET"},
      {"w1 join", "w1 WELCOME"})

TABLE(nothing_but_inventory_before_end, {"w1 hello", W1_JOINED},
      {"w1 outcome 1:1.1.1 completed", "w1 ERROR malformed"})

TABLE(messages_without_a_session_are_greeted, {"w1 hello", W1_JOINED}, {"w1 bye", ""},
      {"w1 taken 1:1.1.1", "w1 GREET"})

TABLE(a_draining_worker_gets_no_work, {"w1 join slots=2", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"w1 beat draining", ""}, {"assign 2.1", "+envelopes 2, +states 2 ready, up TAKEN 2:1.0.0"},
      {"w2 join", "+children 2, w2 WELCOME | +grants 2, w2 ASSIGN 2:1.1.1"},
      {"w1 outcome 1:1.1.1 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 completed eu/w1 1/1 "
       "exit 0, -grants 1, -envelopes 1"})

TABLE(a_pause_of_the_node_is_nobodys_silence, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"sleep 60000", ""}, {"later 0", ""}, {"later 5000", ""}, {"w1 beat", ""},
      {"w1 outcome 1:1.1.1 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 completed eu/w1 1/1 "
       "exit 0, -grants 1, -envelopes 1"})

TABLE(running_time_counts_over_a_new_session, {"w1 join", W1_JOINED},
      {"assign 1.1 timeout_ms=20000", GIVEN_1}, {"w1 taken 1:1.1.1 100", ""}, {"w1 down", ""},
      {"later 5000", ""}, {"w1 hello", "w1 WELCOME"}, {"w1 inventory 1:1.1.1 running 15000", ""},
      {"w1 end", ""}, {"later 4999", ""}, {"later 1", "w1 STOP 1:1.1.1"})

TABLE(several_lost_at_once, {"w1 join slots=3", W1_JOINED}, {"w2 join slots=3", W2_JOINED},
      {"assign 1.1; 2.1; 3.1",
       "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, +envelopes 3, +states 3 "
       "ready, up TAKEN 1:1.0.0, up TAKEN 2:1.0.0, up TAKEN 3:1.0.0 | +grants 2, +grants 1, w1 ASSIGN "
       "1:1.1.1, w1 ASSIGN 3:1.1.1, w2 ASSIGN 2:1.1.1"},
      {"w1 silent", ""}, {"w2 silent", ""},
      {"later 10000", "+attempts 3, +states 3 ready dup, +attempts 1, +states 1 ready dup, +attempts 2, "
                      "+states 2 ready dup, -grants 1, -grants 2"})

TABLE(a_cancelled_one_that_is_not_claimed, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1}, {"w1 down", ""},
      {"stop 1.1", "+states 1 granted cancelling"}, {"w1 hello", "w1 WELCOME"},
      {"w1 end", "+outcomes 1, +states 1 ended cancelling, up OUTCOME 1:1.1.1 cancelled cancelled eu/w1 1/1, "
                 "-grants 1, -envelopes 1"},
      {"w1 outcome 1:1.1.1 cancelled", "w1 SETTLED 1:1.1.1 recorded"})

TABLE(what_is_not_claimed_after_its_time_limit_begins_anew, {"w1 join", W1_JOINED},
      {"assign 1.1 timeout_ms=1000", GIVEN_1}, {"w1 down", ""}, {"later 1000", ""},
      {"w1 hello", "w1 WELCOME"}, {"w1 end", "+states 1 ready, +grants 2, w1 ASSIGN 1:1.1.2, -grants 1"},
      {"later 999", ""}, {"later 1", "w1 STOP 1:1.1.2"})

TABLE(
    what_is_not_claimed_after_its_deadline_expires, {"w1 join", W1_JOINED},
    {"assign 1.1 deadline_ms=1000", GIVEN_1}, {"w1 down", ""}, {"later 1000", ""}, {"w1 hello", "w1 WELCOME"},
    {"w1 end",
     "+outcomes 1, +states 1 ended, up OUTCOME 1:1.1.1 expired deadline eu/w1 1/1, -grants 1, -envelopes 1"})

TABLE(too_many_lost_workers_fail_a_task, {"w1 join", W1_JOINED}, {"assign 1.1 retries=9", GIVEN_1 " 1/10"},
      {"w1 silent", ""}, {"later 10000", "+attempts 1, +states 1 ready dup, -grants 1"},
      {"w2 join", "+children 2, w2 WELCOME | +grants 2, w2 ASSIGN 1:1.1.2 dup 2/11"}, {"w2 silent", ""},
      {"later 10000", "+attempts 1, +states 1 ready dup, -grants 2"},
      {"w3 join", "+children 3, w3 WELCOME | +grants 3, w3 ASSIGN 1:1.1.3 dup 3/12"}, {"w3 silent", ""},
      {"later 10000",
       "+outcomes 1, +states 1 ended dup, up OUTCOME 1:1.1.3 failed dup workers_lost eu/w3 3/12 after 1 "
       "eu/w1 lost worker_lost after 2 eu/w2 lost worker_lost, -grants 3, -envelopes 1"},
      {"settled 1.1", "-outcomes 1, -states 1, -attempts 1"})

TABLE(bye_with_empty_hands_frees_its_tasks_unmarked, {"w1 join slots=2", W1_JOINED},
      {"assign 1.1; 2.1",
       "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, up TAKEN 1:1.0.0, up TAKEN "
       "2:1.0.0 | +grants 1, w1 ASSIGN 1:1.1.1, w1 ASSIGN 2:1.1.1"},
      {"stop 2.1", "+states 2 granted cancelling, w1 STOP 2:1.1.1"},
      {"w1 bye kept=0", "+outcomes 2, +states 2 ended cancelling, +states 1 ready, up OUTCOME 2:1.1.1 "
                        "cancelled cancelled eu/w1 1/1, -envelopes 2, -grants 1"},
      {"w2 join", "+children 2, w2 WELCOME | +grants 2, w2 ASSIGN 1:1.1.2"})

TABLE(bye_with_a_task_keeps_it_for_a_grace, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"w1 bye kept=1", ""}, {"w2 join", W2_JOINED}, {"later 9000", ""},
      {"later 1000", "+attempts 1, +states 1 ready dup, +grants 2, w2 ASSIGN 1:1.1.2 dup 2/2, -grants 1"})

TABLE(bye_of_a_node_that_does_not_say_keeps_it_too, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"w1 bye", ""}, {"w2 join", W2_JOINED}, {"later 5000", ""}, {"w1 hello", "w1 WELCOME"},
      {"w1 inventory 1:1.1.1 running 10", ""}, {"w1 end", ""},
      {"w1 outcome 1:1.1.1 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 completed eu/w1 1/1 "
       "exit 0, -grants 1, -envelopes 1"})

TABLE(bye_and_back_under_a_higher_boot, {"w1 join", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"w1 bye kept=0", "+states 1 ready, -grants 1"}, {"w1 hello boot=2", W1_JOINED},
      {"w1 end", "+grants 2, w1 ASSIGN 1:1.1.2"})
