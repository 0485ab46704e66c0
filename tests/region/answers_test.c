/* answers_test.c - ASK: rows of tasks and workers, explain, drain. */
#include <criterion/criterion.h>

#include "tests/region/node_fixture.h"

TestSuite(answers, .init = fixture_set_up, .fini = fixture_tear_down);

#define TABLE(name, ...) REGION_TABLE(answers, name, __VA_ARGS__)

TABLE(ask_tasks_tells_where_they_are, {"w1 join", W1_JOINED},
      {"assign 1.1; 2.1 priority=high; 3.1 type=paint; 4.1 deadline_ms=5 age=9",
       "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, +classes 2, +envelopes 3, "
       "+states 3 ready, +envelopes 4, +states 4 ready, up TAKEN 1:1.0.0, up TAKEN 2:1.0.0, up TAKEN "
       "3:1.0.0, up TAKEN 4:1.0.0 | +outcomes 4, +states 4 ended, +grants 1, w1 ASSIGN 2:1.1.1, up OUTCOME "
       "4:1.0.0 expired deadline 1/1, -envelopes 4"},
      {"w1 taken 2:1.1.1", ""},
      {"ask tasks 1 2 3 4 9",
       "up ANSWER 77 {rows:[{id:#1 state:'ready' where:'eu' attempt:1 attempts_max:1 age_ms:0 "
       "reason:'no_credit' dup_possible:no type:'command' priority:'normal' stale:no} {id:#2 state:'running' "
       "where:'eu/w1' attempt:1 attempts_max:1 age_ms:0 reason:'' dup_possible:no type:'command' "
       "priority:'high' stale:no} {id:#3 state:'ready' where:'eu' attempt:1 attempts_max:4 age_ms:0 "
       "reason:'no_capable_worker' dup_possible:no type:'paint' priority:'normal' stale:no} {id:#4 "
       "state:'expired' where:'eu' attempt:1 attempts_max:1 age_ms:9 reason:'' dup_possible:no "
       "type:'command' priority:'normal' stale:no}]}"})

TABLE(ask_tasks_tells_of_retries_marks_and_cancels, {"w1 join slots=2", W1_JOINED},
      {"assign 1.1 retries=2; 2.1 dup",
       "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready dup, up TAKEN 1:1.0.0, up "
       "TAKEN 2:1.0.0 | +grants 1, w1 ASSIGN 1:1.1.1 1/3, w1 ASSIGN 2:1.1.1 dup"},
      {"w1 outcome 1:1.1.1 failed exit=1", "+attempts 1, +states 1 delayed, w1 SETTLED 1:1.1.1 recorded"},
      {"stop 2.1", "+states 2 granted dup cancelling, w1 STOP 2:1.1.1"},
      {"ask tasks 1 2", "up ANSWER 77 {rows:[{id:#1 state:'delayed' where:'eu' attempt:2 attempts_max:3 "
                        "age_ms:0 reason:'backoff' dup_possible:no type:'command' priority:'normal' "
                        "stale:no} {id:#2 state:'cancelling' where:'eu/w1' attempt:1 attempts_max:1 age_ms:0 "
                        "reason:'sent' dup_possible:yes type:'command' priority:'normal' stale:no}]}"},
      {"w1 silent", ""}, {"later 3000", "+grants 2, w1 ASSIGN 1:1.1.2 2/3"},
      {"ask tasks 2",
       "up ANSWER 77 {rows:[{id:#2 state:'cancelling' where:'eu/w1' attempt:1 attempts_max:1 age_ms:3000 "
       "reason:'suspect' dup_possible:yes type:'command' priority:'normal' stale:no}]}"})

TABLE(ask_explain_says_why_it_waits, {"w1 join", W1_JOINED},
      {"assign 1.1; 2.1; 3.1 type=paint; 4.1 retries=1",
       "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, +classes 2, +envelopes 3, "
       "+states 3 ready, +envelopes 4, +states 4 ready, up TAKEN 1:1.0.0, up TAKEN 2:1.0.0, up TAKEN "
       "3:1.0.0, up TAKEN 4:1.0.0 | +grants 1, w1 ASSIGN 1:1.1.1"},
      {"ask explain 1", "up ANSWER 77 {rows:[{id:#1 state:'granted' where:'eu/w1' attempt:1 attempts_max:1 "
                        "age_ms:0 reason:'sent' dup_possible:no type:'command' priority:'normal' stale:no "
                        "considered:[{names:['eu'] text:'runs on w1'}]}]}"},
      {"ask explain 2", "up ANSWER 77 {rows:[{id:#2 state:'ready' where:'eu' attempt:1 attempts_max:1 "
                        "age_ms:0 reason:'no_credit' dup_possible:no type:'command' priority:'normal' "
                        "stale:no considered:[{names:['eu'] text:'1 of 1 slots busy'}]}]}"},
      {"ask explain 3",
       "up ANSWER 77 {rows:[{id:#3 state:'ready' where:'eu' attempt:1 attempts_max:4 age_ms:0 "
       "reason:'no_capable_worker' dup_possible:no type:'paint' priority:'normal' stale:no "
       "considered:[{names:['eu'] text:'no worker runs its type with its capabilities'}]}]}"},
      {"ask explain 9", "up ANSWER 77 {rows:[]}"},
      {"w1 outcome 1:1.1.1 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 completed eu/w1 1/1 "
       "exit 0, -grants 1, -envelopes 1 | +grants 2, w1 ASSIGN 2:1.1.1"},
      {"ask explain 1", "up ANSWER 77 {rows:[{id:#1 state:'completed' where:'eu' attempt:1 attempts_max:1 "
                        "age_ms:0 reason:'' dup_possible:no type:'command' priority:'normal' stale:no "
                        "considered:[{names:['eu'] text:'ended; waits for the broker to record it'}]}]}"},
      {"w1 silent", ""}, {"later 3000", ""},
      {"ask explain 2", "up ANSWER 77 {rows:[{id:#2 state:'granted' where:'eu/w1' attempt:1 attempts_max:1 "
                        "age_ms:3000 reason:'suspect' dup_possible:no type:'command' priority:'normal' "
                        "stale:no considered:[{names:['eu'] text:'held by silent worker w1'}]}]}"})

TABLE(ask_workers, {"w1 join slots=2", W1_JOINED}, {"w2 join types=resize+blur", W2_JOINED},
      {"assign 1.1; 2.1; 3.1", "+classes 1, +envelopes 1, +states 1 ready, +envelopes 2, +states 2 ready, "
                               "+envelopes 3, +states 3 ready, up TAKEN 1:1.0.0, up TAKEN 2:1.0.0, up TAKEN "
                               "3:1.0.0 | +grants 1, w1 ASSIGN 1:1.1.1, w1 ASSIGN 2:1.1.1"},
      {"w1 outcome 1:1.1.1 completed exit=0",
       "+outcomes 1, +states 1 ended, w1 SETTLED 1:1.1.1 recorded, up OUTCOME 1:1.1.1 completed eu/w1 1/1 "
       "exit 0, -envelopes 1 | +grants 2, w1 ASSIGN 3:1.1.1"},
      {"w2 silent", ""}, {"later 3000", ""},
      {"ask workers",
       "up ANSWER 77 {rows:[{region:'eu' name:'w1' state:'live' slots:2 busy:2 done:1 lost:0 late:0 p50_us:0 "
       "p99_us:0 types:['command'] stale:no} {region:'eu' name:'w2' state:'suspect' slots:1 busy:0 done:0 "
       "lost:0 late:0 p50_us:0 p99_us:0 types:['resize' 'blur'] stale:no}] more:no}"},
      {"ask workers w1", "up ANSWER 77 {rows:[{region:'eu' name:'w2' state:'suspect' slots:1 busy:0 done:0 "
                         "lost:0 late:0 p50_us:0 "
                         "p99_us:0 types:['resize' 'blur'] stale:no}] more:no}"},
      {"w2 bye kept=0", ""},
      {"ask workers w1",
       "up ANSWER 77 {rows:[{region:'eu' name:'w2' state:'left' slots:1 busy:0 done:0 lost:0 late:0 p50_us:0 "
       "p99_us:0 types:['resize' 'blur'] stale:no}] more:no}"},
      {"ask workers w2", "up ANSWER 77 {rows:[] more:no}"})

TABLE(ask_drain_of_a_worker, {"w1 join slots=2", W1_JOINED}, {"assign 1.1", GIVEN_1},
      {"ask drain eu/w1", "w1 ASK, up ANSWER 77 {}"},
      {"assign 2.1", "+envelopes 2, +states 2 ready, up TAKEN 2:1.0.0"},
      {"ask drain eu/w9", "up ANSWER 77 {code:'not_found' reason:'node: no such worker has a session now; "
                          "see `meridian worker list`'}"},
      {"w1 down", ""},
      {"ask drain w1", "up ANSWER 77 {code:'not_found' reason:'node: no such worker has a session now; see "
                       "`meridian worker list`'}"})

TABLE(an_unknown_question_has_an_empty_answer, {"ask weather", "up ANSWER 77 {}"})

Test(answers, workers_are_summed_up_for_the_broker)
{
    fixture_connect();
    cr_expect_str_eq(fixture.profiles, "[]");
    fixture_act("w1 join slots=2");
    fixture_act("w2 join slots=3");
    fixture_act("w3 join types=resize capabilities=gpu slots=1 more=blur more_slots=4");
    cr_expect_str_eq(fixture.profiles, "[[['command'] [] 5] [['resize'] ['gpu'] 1] [['blur'] [] 4]]");
    cr_expect_eq(fixture.children, 3);
    fixture_act("w2 beat draining");
    cr_expect_str_eq(fixture.profiles, "[[['command'] [] 2] [['resize'] ['gpu'] 1] [['blur'] [] 4]]");
    fixture_act("w3 down");
    cr_expect_str_eq(fixture.profiles, "[[['command'] [] 2]]");
    cr_expect_eq(fixture.children, 2);
    fixture_act("w1 silent");
    fixture_act("later 3000");
    cr_expect_str_eq(fixture.profiles, "[]");
    fixture_act("w1 beat");
    cr_expect_str_eq(fixture.profiles, "[[['command'] [] 2]]");
}

Test(answers, a_new_session_with_the_broker_begins_with_all_profiles)
{
    fixture_connect();
    fixture_act("w1 join slots=2");
    fixture_act("down");
    fixture.profiles[0] = '\0';
    fixture_act("later 1000");
    cr_expect_str_eq(fixture.profiles, "[[['command'] [] 2]]");
}

Test(answers, latency_is_counted_from_the_first_grant)
{
    fixture_connect();
    fixture_act("assign 1.1 age=50000; 2.1 age=50000");
    fixture_act("w1 join slots=2");
    fixture_act("later 100");
    fixture_act("w1 outcome 1:1.1.1 completed exit=0");
    fixture_act("ask workers");
    cr_expect(strstr(fixture.text, "p50_us:114687 p99_us:114687") != NULL, "%s", fixture.text);
    fixture_act("restart"); /* when the other was granted is not known any more, so it does not count */
    fixture_act("start");
    fixture_act("welcome");
    fixture_act("w1 hello slots=2");
    fixture_act("w1 inventory 2:1.1.1 running 100");
    fixture_act("w1 end");
    fixture_act("w1 outcome 2:1.1.1 completed exit=0");
    fixture_act("ask workers");
    cr_expect(strstr(fixture.text, "p50_us:0 p99_us:0") != NULL, "%s", fixture.text);
}
