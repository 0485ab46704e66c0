/* outcome_text.c - how a person hears that a task ended, and what a program gets. */
#include "cli/outcome_text.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <string.h>

#define ID "01a1fc93f17e7665afec6fff91d4a07e"

static struct outcome ended(const char *state)
{
    struct outcome outcome = {.state = bytes_of(state)};
    cr_assert(hex_decode(bytes_of(ID), outcome.id.bytes, TASK_ID_BYTES));
    return outcome;
}

/* As us/w1 reported it. */
static struct outcome reported(const char *state, const char *reason)
{
    struct outcome outcome = ended(state);
    outcome.has_outcome = true;
    outcome.reason = bytes_of(reason);
    outcome.worker = bytes_of("us/w1");
    outcome.attempt = 1;
    outcome.attempts_max = 3;
    return outcome;
}

static void redirect(void)
{
    cr_redirect_stdout();
    cr_redirect_stderr();
}

static void assert_passed(const struct outcome *outcome, enum exit_code code, const char *output,
                          const char *error)
{
    cr_assert_eq(outcome_pass_through(outcome), code);
    fflush(stdout);
    fflush(stderr);
    cr_assert_stdout_eq_str(output);
    cr_assert_stderr_eq_str(error);
}

TestSuite(outcome_text, .init = redirect);

Test(outcome_text, output_and_error_pass_through)
{
    struct outcome outcome = reported("completed", "");
    outcome.output = bytes_of("hello\n");
    outcome.error = bytes_of("careful\n");
    assert_passed(&outcome, EXIT_OK, "hello\n", "careful\n");
}

Test(outcome_text, an_exit_status)
{
    struct outcome outcome = reported("failed", "exit_status");
    outcome.exited = true;
    outcome.exit_status = 3;
    outcome.error = bytes_of("no\n");
    assert_passed(&outcome, EXIT_TASK_FAILED, "",
                  "no\ntask 91d4a07e failed: exit status 3 on us/w1, attempt 1 of 3\n");
}

Test(outcome_text, a_signal)
{
    struct outcome outcome = reported("failed", "signal");
    outcome.signalled = true;
    outcome.signal = 9;
    assert_passed(&outcome, EXIT_TASK_FAILED, "",
                  "task 91d4a07e failed: signal 9 (Killed) on us/w1, attempt 1 of 3\n");
}

Test(outcome_text, a_time_limit)
{
    struct outcome outcome = reported("failed", "timeout");
    outcome.signalled = true; /* the signal is how, not why */
    outcome.signal = 15;
    assert_passed(&outcome, EXIT_TASK_FAILED, "",
                  "task 91d4a07e failed: ran longer than its timeout on us/w1, attempt 1 of 3\n");
}

Test(outcome_text, a_message_says_more_than_a_reason)
{
    struct outcome outcome = reported("failed", "cannot_start");
    outcome.message = bytes_of("cannot start: permission denied");
    assert_passed(&outcome, EXIT_TASK_FAILED, "",
                  "task 91d4a07e failed: cannot start: permission denied on us/w1, attempt 1 of 3\n");
}

Test(outcome_text, an_unknown_reason_is_told_as_it_is)
{
    struct outcome outcome = reported("failed", "something_new");
    assert_passed(&outcome, EXIT_TASK_FAILED, "",
                  "task 91d4a07e failed: something_new on us/w1, attempt 1 of 3\n");
}

Test(outcome_text, cancelled_is_said_once)
{
    struct outcome outcome = ended("cancelled");
    outcome.has_outcome = true;
    outcome.reason = bytes_of("cancelled");
    assert_passed(&outcome, EXIT_TASK_FAILED, "", "task 91d4a07e cancelled\n");
}

Test(outcome_text, what_was_cut_and_what_may_have_run_twice)
{
    struct outcome outcome = reported("completed", "");
    outcome.dup_possible = outcome.output_cut = true;
    assert_passed(&outcome, EXIT_OK, "",
                  "task 91d4a07e: output was cut: more was printed than the worker keeps (output_bytes)\n"
                  "task 91d4a07e: may have run more than once (dup_possible)\n");
}

Test(outcome_text, both_were_cut)
{
    struct outcome outcome = reported("completed", "");
    outcome.error_cut = outcome.output_cut = true;
    assert_passed(&outcome, EXIT_OK, "",
                  "task 91d4a07e: output and error were cut: more was printed than the worker keeps "
                  "(output_bytes)\n");
}

Test(outcome_text, a_result_that_is_no_longer_kept)
{
    struct outcome outcome = ended("completed");
    assert_passed(&outcome, EXIT_OK, "",
                  "task 91d4a07e completed; its result was kept for result_ttl and is gone\n");
}

Test(outcome_text, a_result_that_a_full_store_had_no_room_for)
{
    struct outcome outcome = reported("completed", "result_dropped");
    assert_passed(
        &outcome, EXIT_OK, "",
        "task 91d4a07e completed: the store was full, its result was dropped on us/w1, attempt 1 of 3\n");
}

Test(outcome_text, json_of_a_result)
{
    static const uint8_t fence[FENCE_BYTES] = {[3] = 1, [11] = 2};
    struct outcome outcome = reported("failed", "exit_status");
    outcome.has_result = outcome.exited = true;
    outcome.exit_status = -1;
    outcome.run_ms = 12;
    outcome.fence = (struct bytes){fence, sizeof fence};
    outcome.output = bytes_of("a\n");
    outcome.error = bytes_of("\xff");
    outcome_print_json(&outcome);
    fflush(stdout);
    cr_assert_stdout_eq_str("{\"id\":\"" ID "\",\"state\":\"failed\",\"dup_possible\":false,"
                            "\"reason\":\"exit_status\",\"worker\":\"us/w1\",\"attempt\":1,"
                            "\"attempts_max\":3,\"fence\":\"000000010000000000000002\",\"exit\":-1,"
                            "\"signal\":null,\"run_ms\":12,\"output\":\"a\\n\","
                            "\"error\":{\"base64\":\"/w==\"},\"output_cut\":false,\"error_cut\":false,"
                            "\"message\":\"\",\"history\":[]}");
}

Test(outcome_text, json_of_a_result_that_is_no_longer_kept)
{
    struct outcome outcome = ended("completed");
    outcome_print_json(&outcome);
    fflush(stdout);
    cr_assert_stdout_eq_str("{\"id\":\"" ID "\",\"state\":\"completed\",\"dup_possible\":false,"
                            "\"reason\":\"\",\"worker\":\"\",\"attempt\":null,\"attempts_max\":null,"
                            "\"fence\":\"\",\"exit\":null,\"signal\":null,\"run_ms\":null,\"output\":\"\","
                            "\"error\":\"\",\"output_cut\":false,\"error_cut\":false,\"message\":\"\","
                            "\"history\":[]}");
}

Test(outcome_text, facts_of_a_failed_task)
{
    struct outcome outcome = reported("failed", "exit_status");
    outcome.has_result = outcome.exited = true;
    outcome.exit_status = 3;
    outcome.run_ms = 8;
    outcome.output = bytes_of("four");
    outcome_print_facts(&outcome);
    fflush(stdout);
    cr_assert_stdout_eq_str("reason        exit_status\n"
                            "where         us/w1\n"
                            "attempt       1 of 3\n"
                            "exit          3\n"
                            "ran           8 ms\n"
                            "output        4 bytes, error 0 bytes: meridian task result\n");
}
