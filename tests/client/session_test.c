/* session_test.c - step tables of the session: in this state, this event: these messages, these events. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/client/session_fixture.h"

/* Watched twice, unknown at the first answer and handed in again: replies of one commit leave in the order of
 * their kinds, ACCEPTED before the RESULT that was made first. */
Test(session, what_an_older_watch_did_not_know_is_not_unknown)
{
    static const struct row rows[] = {
        {"submit B", ""},
        {"watch A", ""},
        {"step", "@1 #1 SUBMIT B; @1 #2 WATCH A"},
        {"accepted #1 B=ok", ""},
        {"wait 1", ""},
        {"submit C", ""},
        {"step", "@1 #3 SUBMIT C"},
        {"epoch 2", ""},
        {"accepted #3 C=ok", "@1 #4 WATCH A"},
        {"result #2 unknown:A", ""},
        {"take", "B accepted; C accepted; A unknown not_found"},
        {"submit+ A", ""},
        {"step", "@1 #5 SUBMIT+ A"},
        {"accepted #5 A=ok", ""},
        {"result #4 unknown:A", ""},
        {"take", "A accepted"},
        {"wait 10000", "@1 #6 WATCH A"},
        {"result #6 unknown:A", ""},
        {"take", "A unknown not_found"},
        {0},
    };
    fixture_table(rows);
}

Test(session, tasks_gather_into_one_message_and_duplicate_counts_as_accepted)
{
    fixture_table((struct row[]){
        {"step", ""}, /* nothing to say: no connection */
        {"submit A B C", ""},
        {"step", "@1 #1 SUBMIT A B C"},
        {"accepted #1 A=ok B=duplicate C=ok", ""},
        {"take", "A accepted; B duplicate; C accepted"},
        {"wait 100000", ""},
        {NULL, NULL},
    });
}

Test(session, an_unanswered_message_goes_again_with_the_same_ids_on_a_new_connection)
{
    fixture_table((struct row[]){
        {"submit A B", ""},
        {"step", "@1 #1 SUBMIT A B"},
        {"submit C", ""},
        {"step", "@1 #2 SUBMIT C"},
        {"wait 2999", ""},
        {"wait 1", ""}, /* given up; a pause of 38 to 63 ms */
        {"wait 37", ""},
        {"wait 1", "@2 #3 SUBMIT A B C"},
        {"accepted #1 A=ok B=ok", ""}, /* too late: another connection */
        {"take", ""},
        {"wait 5999", ""}, /* the patience has doubled */
        {"wait 1", ""},
        {"wait 75", "@3 #4 SUBMIT A B C"},
        {"accepted #4 A=duplicate B=ok C=ok", ""},
        {"take", "A duplicate; B accepted; C accepted"},
        {NULL, NULL},
    });
}

Test(session, a_broken_connection_is_replaced_after_a_pause_that_doubles)
{
    fixture_table((struct row[]){
        {"submit A", ""},
        {"step", "@1 #1 SUBMIT A"},
        {"down", ""},
        {"submit B", ""},
        {"wait 37", ""},
        {"wait 1", "@2 #2 SUBMIT A B"},
        {"down", ""},
        {"wait 74", ""},
        {"wait 1", "@3 #3 SUBMIT A B"},
        {"accepted #3 A=ok B=ok", ""}, /* heard: the pause starts small again */
        {"down", ""},
        {"take", "A accepted; B accepted"},
        {"submit C", ""},
        {"wait 38", "@4 #4 SUBMIT C"},
        {NULL, NULL},
    });
}

Test(session, throttled_tasks_wait_as_long_as_the_node_says)
{
    struct fixture *fixture = fixture_open(NULL);
    fixture_run(fixture, (struct row[]){
                             {"submit A B C", ""},
                             {"step", "@1 #1 SUBMIT A B C"},
                             {"accepted #1 A=ok B=throttled:500 C=throttled:400", ""},
                             {"take", "A accepted"},
                             {NULL, NULL},
                         });
    cr_assert_str_eq(session_pressure(fixture->session), "throttled");
    cr_assert_eq(session_unaccepted(fixture->session), 2);
    fixture_run(fixture, (struct row[]){
                             {"wait 499", ""},
                             {"wait 1", "@1 #2 SUBMIT B C"},
                             {"accepted #2 B=ok C=ok", ""},
                             {"take", "B accepted; C accepted"},
                             {NULL, NULL},
                         });
    cr_assert_str_eq(session_pressure(fixture->session), "");
    cr_assert_eq(session_resent(fixture->session), 2);
    fixture_close(fixture);
}

Test(session, a_full_store_is_asked_with_one_message_at_a_time_until_it_accepts)
{
    struct session_options options;
    session_options_default(&options);
    options.batch_tasks_max = 1;
    struct fixture *fixture = fixture_open(&options);
    fixture_run(fixture, (struct row[]){
                             {"submit A B C", ""},
                             {"step", "@1 #1 SUBMIT A; @1 #2 SUBMIT B; @1 #3 SUBMIT C"},
                             {"accepted #1 A=store_full:1000", ""},
                             {"accepted #2 B=store_full", ""}, /* no time named: a second */
                             {"accepted #3 C=store_full:1000", ""},
                             {"wait 999", ""},
                             {NULL, NULL},
                         });
    cr_assert_str_eq(session_pressure(fixture->session), "store_full");
    fixture_run(fixture, (struct row[]){
                             {"wait 1", "@1 #4 SUBMIT C"},
                             {"accepted #4 C=store_full:1000", ""},
                             {"wait 1000", "@1 #5 SUBMIT C"},
                             {"accepted #5 C=ok", "@1 #6 SUBMIT B; @1 #7 SUBMIT A"},
                             {"error #6 draining", ""},
                             {"accepted #7 A=ok", ""},
                             {"take", "C accepted; A accepted"},
                             {"wait 1000", "@1 #8 SUBMIT B"},
                             {"accepted #8 B=ok", ""},
                             {"take", "B accepted"},
                             {NULL, NULL},
                         });
    cr_assert_str_eq(session_pressure(fixture->session), "");
    fixture_close(fixture);
}

Test(session, refusals_for_good_are_told_and_never_sent_again)
{
    fixture_table((struct row[]){
        {"submit A B C D", ""},
        {"step", "@1 #1 SUBMIT A B C D"},
        {"accepted #1 A=conflict B=ok C=too_old D=code_of_a_later_version", ""},
        {"take", "A refused conflict; B accepted; C refused too_old; D refused code_of_a_later_version"},
        {"wait 100000", ""},
        {NULL, NULL},
    });
}

Test(session, too_old_of_a_task_that_was_sent_before_means_that_nobody_knows)
{
    fixture_table((struct row[]){
        {"submit+ A", ""},
        {"step", "@1 #1 SUBMIT+ A"},
        {"down", ""},
        {"wait 38", "@2 #2 SUBMIT+ A"},
        {"accepted #2 A=too_old", ""},
        {"take", "A unknown too_old"},
        {"submit A", ""}, /* forgotten here */
        {NULL, NULL},
    });
}

Test(session, of_a_message_refused_whole_only_the_culprit_is_refused)
{
    fixture_table((struct row[]){
        {"submit A B C", ""},
        {"step", "@1 #1 SUBMIT A B C"},
        {"error #1 unknown_field", "@1 #2 SUBMIT A; @1 #3 SUBMIT B; @1 #4 SUBMIT C"},
        {"accepted #2 A=ok", ""},
        {"error #3 unknown_field", ""},
        {"accepted #4 C=ok", ""},
        {"take", "A accepted; B refused unknown_field; C accepted"},
        {NULL, NULL},
    });
}

Test(session, pushed_results_are_told_and_received_leaves_in_company)
{
    fixture_table((struct row[]){
        {"submit+ A B", ""},
        {"submit C", ""},
        {"step", "@1 #1 SUBMIT+ A B C"},
        {"accepted #1 A=ok B=ok C=ok", ""},
        {"result #0 ended:BC", ""}, /* C is not watched: not told */
        {"take", "A accepted; B accepted; C accepted; B ended"},
        {"step", ""},
        {"wait 19", ""},
        {"result #0 ended:A", ""},
        {"take", "A ended"},
        {"wait 1", "@1 #2 RECEIVED B A"},
        {"done #2", ""},
        {"result #0 ended:AB", ""}, /* known already */
        {"take", ""},
        {"wait 100000", ""},
        {NULL, NULL},
    });
}

Test(session, a_result_that_overtakes_accepted_is_asked_for_again)
{
    fixture_table((struct row[]){
        {"submit+ A", ""},
        {"step", "@1 #1 SUBMIT+ A"},
        {"result #0 ended:A", ""},
        {"take", ""},
        {"accepted #1 A=ok", "@1 #2 WATCH A"},
        {"result #2 ended:A", ""},
        {"take", "A accepted; A ended"},
        {NULL, NULL},
    });
}

Test(session, a_duplicate_may_have_ended_and_is_watched_at_once)
{
    fixture_table((struct row[]){
        {"submit+ A B", ""},
        {"step", "@1 #1 SUBMIT+ A B"},
        {"accepted #1 A=duplicate B=ok", "@1 #2 WATCH A"},
        {"result #2 ended:A", ""},
        {"take", "A duplicate; B accepted; A ended"},
        {NULL, NULL},
    });
}

Test(session, watches_are_repeated_every_ten_seconds)
{
    fixture_table((struct row[]){
        {"submit+ A", ""},
        {"step", "@1 #1 SUBMIT+ A"},
        {"accepted #1 A=ok", ""},
        {"wait 5000", ""},
        {"watch B", ""},
        {"step", "@1 #2 WATCH B"},
        {"pending #2 pending:B", ""},
        {"wait 4999", ""},
        {"wait 1", "@1 #3 WATCH A"},
        {"pending #3 pending:A", ""},
        {"wait 5000", "@1 #4 WATCH B"},
        {"pending #4 pending:B", ""},
        {"wait 5000", "@1 #5 WATCH A"},
        {NULL, NULL},
    });
}

Test(session, watches_are_repeated_when_the_epoch_changes_or_the_connection)
{
    fixture_table((struct row[]){
        {"watch A B", ""},
        {"step", "@1 #1 WATCH B A"},
        {"pending #1 pending:AB", ""},
        {"wait 1", ""},
        {"epoch 2", ""},
        {"submit C", ""},
        {"step", "@1 #2 SUBMIT C"},
        {"accepted #2 C=ok", "@1 #3 WATCH B A"},
        {"pending #3 pending:AB", ""},
        {"down", ""},
        {"wait 38", "@2 #4 WATCH B A"},
        {NULL, NULL},
    });
}

Test(session, an_id_that_the_node_does_not_know_is_told)
{
    fixture_table((struct row[]){
        {"watch A B C", ""},
        {"step", "@1 #1 WATCH C B A"},
        {"pending #1 pending:A unknown:B", ""},
        {"take", "B unknown not_found"},
        {"wait 10000", "@1 #2 WATCH C A"},
        {"result #2 ended:A unknown:C", ""},
        {"take", "C unknown not_found; A ended"},
        {"wait 20", ""}, /* stamped */
        {"wait 20", "@1 #3 RECEIVED A"},
        {NULL, NULL},
    });
}

Test(session, ended_tasks_that_did_not_fit_into_the_reply_are_asked_for_at_once)
{
    fixture_table((struct row[]){
        {"watch A B C", ""},
        {"step", "@1 #1 WATCH C B A"},
        {"result #1 ended:A pending:BC", "@1 #2 WATCH C B"},
        {"result #2 ended:B pending:C", "@1 #3 WATCH C"},
        {"pending #3 pending:C", ""}, /* not ended: the node pushes */
        {"take", "A ended; B ended"},
        {NULL, NULL},
    });
}

Test(session, a_lost_received_is_not_repeated)
{
    fixture_table((struct row[]){
        {"watch A", ""},
        {"step", "@1 #1 WATCH A"},
        {"result #1 ended:A", ""},
        {"take", "A ended"},
        {"step", ""},
        {"wait 20", "@1 #2 RECEIVED A"},
        {"down", ""},
        {"wait 100000", ""},
        {NULL, NULL},
    });
}

Test(session, replies_that_make_no_sense_cost_a_pause)
{
    struct fixture *fixture = fixture_open(NULL);
    fixture_run(fixture, (struct row[]){
                             {"submit A B", ""},
                             {"step", "@1 #1 SUBMIT A B"},
                             {"accepted #1 B=ok A=ok", ""}, /* in the wrong order */
                             {"wait 999", ""},
                             {"wait 1", "@1 #2 SUBMIT A B"},
                             {"done #2", ""}, /* no answer to a SUBMIT */
                             {"wait 1000", "@1 #3 SUBMIT A B"},
                             {"accepted #3 A=ok", ""}, /* nothing about B */
                             {"take", "A accepted"},
                             {"wait 1000", "@1 #4 SUBMIT B"},
                             {NULL, NULL},
                         });
    cr_assert_eq(session_malformed(fixture->session), 3);
    fixture_close(fixture);
}

Test(session, frames_of_random_bytes_change_nothing)
{
    struct fixture *fixture = fixture_open(NULL);
    fixture_run(fixture, (struct row[]){
                             {"submit+ A", ""},
                             {"step", "@1 #1 SUBMIT+ A"},
                             {NULL, NULL},
                         });
    uint32_t state = 1;
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[64];
        for (size_t at = 0; at < sizeof bytes; at++)
            bytes[at] = (uint8_t)((state = state * 1664525 + 1013904223) >> 24);
        size_t skip = (size_t)i % 3; /* some with a good beginning */
        struct writer writer =
            fixture_reply(fixture, MESSAGE_RESULT, skip == 2 ? fixture->sent[1].sequence : 0);
        if (skip == 0)
            writer.size = 0;
        write_raw(&writer, (struct bytes){bytes, sizeof bytes});
        fixture_reply_end(fixture, &writer);
    }
    fixture_run(fixture, (struct row[]){{"take", ""}, {NULL, NULL}});
    cr_assert_eq(session_open(fixture->session), 1);
    cr_assert_geq(session_malformed(fixture->session), 19000);
    fixture_close(fixture);
}
