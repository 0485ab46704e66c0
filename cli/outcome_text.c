/* outcome_text.c - see outcome_text.h. */
#include "cli/outcome_text.h"

#include <stdio.h>
#include <string.h>

#include "cli/json.h"
#include "cli/selector.h"

enum { CAUSE_BYTES = 256 };

/* "exit status 3", "signal 9 (Killed)", "ran longer than its timeout" */
static void describe(const struct outcome *outcome, char to[CAUSE_BYTES])
{
    static const struct {
        const char *reason, *text;
    } known[] = {
        {"timeout", "ran longer than its timeout"},
        {"workers_lost", "its workers were lost again and again"},
        {"regions_lost", "its regions were lost again and again"},
        {"deadline", "its deadline passed"},
        {"result_dropped", "the store was full, its result was dropped"},
        {"may_still_run", "cancelled, but whoever held it was lost: it may still run"},
    };
    if (bytes_are(outcome->reason, "exit_status") && outcome->exited) {
        snprintf(to, CAUSE_BYTES, "exit status %lld", (long long)outcome->exit_status);
        return;
    }
    if (bytes_are(outcome->reason, "signal") && outcome->signalled) {
        snprintf(to, CAUSE_BYTES, "signal %llu (%s)", (unsigned long long)outcome->signal,
                 strsignal((int)outcome->signal));
        return;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (bytes_are(outcome->reason, known[i].reason)) {
            snprintf(to, CAUSE_BYTES, "%s", known[i].text);
            return;
        }
    struct bytes text = outcome->message.size > 0 ? outcome->message : outcome->reason;
    snprintf(to, CAUSE_BYTES, "%.*s", (int)text.size, (const char *)text.data);
}

static void report(const struct outcome *outcome)
{
    char id[TASK_ID_SHORT_HEX + 1], cause[CAUSE_BYTES];
    short_id(&outcome->id, id);
    describe(outcome, cause);
    fprintf(stderr, "task %s %.*s", id, (int)outcome->state.size, (const char *)outcome->state.data);
    if (cause[0] != '\0' && !bytes_are(outcome->state, cause))
        fprintf(stderr, ": %s", cause);
    if (outcome->worker.size > 0)
        fprintf(stderr, " on %.*s, attempt %llu of %llu", (int)outcome->worker.size,
                (const char *)outcome->worker.data, (unsigned long long)outcome->attempt,
                (unsigned long long)outcome->attempts_max);
    fputc('\n', stderr);
}

enum exit_code outcome_pass_through(const struct outcome *outcome)
{
    char id[TASK_ID_SHORT_HEX + 1];
    short_id(&outcome->id, id);
    if (outcome->output.size > 0)
        fwrite(outcome->output.data, 1, outcome->output.size, stdout);
    fflush(stdout);
    if (outcome->error.size > 0)
        fwrite(outcome->error.data, 1, outcome->error.size, stderr);
    if (outcome->output_cut || outcome->error_cut)
        fprintf(stderr, "task %s: %s cut: more was printed than the worker keeps (output_bytes)\n", id,
                outcome->output_cut && outcome->error_cut ? "output and error were"
                : outcome->output_cut                     ? "output was"
                                                          : "error was");
    if (outcome->dup_possible)
        fprintf(stderr, "task %s: may have run more than once (dup_possible)\n", id);
    bool completed = bytes_are(outcome->state, "completed");
    if (!completed)
        report(outcome);
    else if (!outcome->has_outcome)
        fprintf(stderr, "task %s completed; its result was kept for result_ttl and is gone\n", id);
    else if (!outcome->has_result && outcome->reason.size > 0)
        report(outcome);
    return completed ? EXIT_OK : EXIT_TASK_FAILED;
}

static void print_member(const char *name, struct bytes value)
{
    printf(",\"%s\":", name);
    json_print_bytes(stdout, value);
}

static void print_number(const char *name, bool known, long long value)
{
    if (known)
        printf(",\"%s\":%lld", name, value);
    else
        printf(",\"%s\":null", name);
}

void outcome_print_json(const struct outcome *outcome)
{
    char id[TASK_ID_HEX + 1], fence[FENCE_HEX + 1] = "";
    hex_encode((struct bytes){outcome->id.bytes, TASK_ID_BYTES}, id);
    if (outcome->fence.size == FENCE_BYTES)
        hex_encode(outcome->fence, fence);
    printf("{\"id\":\"%s\"", id);
    print_member("state", outcome->state);
    printf(",\"dup_possible\":%s", outcome->dup_possible ? "true" : "false");
    print_member("reason", outcome->reason);
    print_member("worker", outcome->worker);
    print_number("attempt", outcome->has_outcome, (long long)outcome->attempt);
    print_number("attempts_max", outcome->has_outcome, (long long)outcome->attempts_max);
    printf(",\"fence\":\"%s\"", fence);
    print_number("exit", outcome->exited, outcome->exit_status);
    print_number("signal", outcome->signalled, (long long)outcome->signal);
    print_number("run_ms", outcome->has_result, (long long)outcome->run_ms);
    print_member("output", outcome->output);
    print_member("error", outcome->error);
    printf(",\"output_cut\":%s,\"error_cut\":%s", outcome->output_cut ? "true" : "false",
           outcome->error_cut ? "true" : "false");
    print_member("message", outcome->message);
    printf(",\"history\":");
    if (outcome->history.size == 0 || !json_print(stdout, outcome->history))
        printf("[]");
    putchar('}');
}

static void print_fact(const char *name, struct bytes value)
{
    if (value.size > 0)
        printf("%-14s%.*s\n", name, (int)value.size, (const char *)value.data);
}

void outcome_print_facts(const struct outcome *outcome)
{
    char fence[FENCE_HEX + 1];
    print_fact("reason", outcome->reason);
    print_fact("message", outcome->message);
    print_fact("where", outcome->worker);
    if (outcome->worker.size > 0)
        printf("%-14s%llu of %llu\n", "attempt", (unsigned long long)outcome->attempt,
               (unsigned long long)outcome->attempts_max);
    if (outcome->fence.size == FENCE_BYTES) {
        hex_encode(outcome->fence, fence);
        printf("%-14s%s\n", "fence", fence);
    }
    if (outcome->exited)
        printf("%-14s%lld\n", "exit", (long long)outcome->exit_status);
    if (outcome->signalled)
        printf("%-14s%llu\n", "signal", (unsigned long long)outcome->signal);
    if (outcome->has_result)
        printf("%-14s%llu ms\n%-14s%zu bytes%s, error %zu bytes%s: meridian task result\n", "ran",
               (unsigned long long)outcome->run_ms, "output", outcome->output.size,
               outcome->output_cut ? " (cut)" : "", outcome->error.size, outcome->error_cut ? " (cut)" : "");
}
