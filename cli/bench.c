/* bench.c - meridian bench: options and report. The measurement is bench_run.c. */
#include "cli/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cluster.h"
#include "proto/limits.h"

enum { TASKS_DEFAULT = 100000, BATCH_DEFAULT = 128, IN_FLIGHT_DEFAULT = 8192, PAYLOAD_DEFAULT = 256 };

static const struct argp_option bench_options[] = {
    {"tasks", 'n', "N", 0, "So many tasks (default: 100000)", 0},
    {"duration", 'd', "DURATION", 0, "Instead: submit for so long", 0},
    {"batch", 'b', "N", 0, "Tasks per message, 1 to 1024 (default: 128)", 0},
    {"producers", 'P', "N", 0, "Connections (default: 1)", 0},
    {"payload", 'p', "SIZE", 0, "Of each task (default: 256)", 0},
    {"rate", 'r', "TASKS/S", 0, "Open loop: submit at this rate, count latency from the scheduled instant",
     0},
    {"in-flight", 'f', "N", 0, "Closed loop: unfinished tasks at most (default: 8192)", 0},
    {"type", 't', "TYPE", 0, "Handler (default: noop, inside the worker)", 0},
    {"submit-only", 'q', NULL, 0, "Only queue the tasks; do not wait for results", 0},
    {0},
};

struct bench_input {
    struct common_options common;
    struct bench_options bench;
};

static error_t parse_bench(int key, char *text, struct argp_state *state)
{
    struct bench_input *input = state->input;
    struct bench_options *bench = &input->bench;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &input->common;
        return 0;
    case 'n':
        bench->tasks = option_number("tasks", text, 1, BENCH_TASKS_MAX - FRAME_ENTRIES_MAX);
        return 0;
    case 'd':
        bench->duration_ms = option_duration_ms("duration", text);
        return 0;
    case 'b':
        bench->batch = (uint32_t)option_number("batch", text, 1, FRAME_ENTRIES_MAX);
        return 0;
    case 'P':
        bench->producers = (uint32_t)option_number("producers", text, 1, PRODUCERS_MAX);
        return 0;
    case 'p':
        bench->payload_bytes = option_size_bytes("payload", text);
        return 0;
    case 'r':
        bench->rate = option_number("rate", text, 1, 100000000);
        return 0;
    case 'f':
        bench->in_flight = (uint32_t)option_number("in-flight", text, 1, BENCH_TASKS_MAX);
        return 0;
    case 't':
        bench->type = text;
        return 0;
    case 'q':
        bench->submit_only = true;
        return 0;
    case ARGP_KEY_ARG:
        usage_error("%s: bench takes options only", text);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct {
    const char *name;
    uint32_t per_100000;
} percentiles[] = {{"p50", 50000}, {"p90", 90000}, {"p99", 99000}, {"p99.9", 99900}, {"max", 100000}};

enum { PERCENTILE_COUNT = sizeof percentiles / sizeof percentiles[0] };

static double per_second(const struct bench_options *options, const struct bench_report *report)
{
    uint64_t done =
        options->submit_only ? report->accepted + report->duplicates : report->completed + report->failed;
    return report->seconds > 0 ? (double)done / report->seconds : 0;
}

static void print_latencies(const char *name, const struct bench_latencies *latencies)
{
    if (latencies->count == 0)
        return;
    printf("%-18s", name);
    for (int i = 0; i < PERCENTILE_COUNT; i++)
        printf("  %9.2f", latency_at(latencies, percentiles[i].per_100000) / 1e3);
    printf("  ms\n");
}

static void print_table(const struct bench_options *options, const struct bench_report *report)
{
    printf("%llu tasks of %llu bytes, %u per message, %u connection%s, ",
           (unsigned long long)report->submitted, (unsigned long long)options->payload_bytes, options->batch,
           options->producers, options->producers == 1 ? "" : "s");
    if (options->rate > 0)
        printf("open loop at %llu/s\n", (unsigned long long)options->rate);
    else
        printf("closed loop with %u in flight\n", options->in_flight);
    printf("%.0f tasks/s over %.2f s\n", per_second(options, report), report->seconds);
    printf("%-18s", "latency");
    for (int i = 0; i < PERCENTILE_COUNT; i++)
        printf("  %9s", percentiles[i].name);
    putchar('\n');
    print_latencies("submit -> ACCEPTED", &report->accept);
    print_latencies("submit -> RESULT", &report->result);
    printf("accepted %llu, duplicates %llu, throttled %llu, refused %llu, completed %llu, failed %llu, lost "
           "%llu, "
           "reported twice %llu\n",
           (unsigned long long)report->accepted, (unsigned long long)report->duplicates,
           (unsigned long long)report->throttled, (unsigned long long)report->refused,
           (unsigned long long)report->completed, (unsigned long long)report->failed,
           (unsigned long long)report->lost, (unsigned long long)report->doubled);
}

static void print_json_latencies(const char *name, const struct bench_latencies *latencies)
{
    printf(",\"%s\":{\"count\":%llu", name, (unsigned long long)latencies->count);
    for (int i = 0; i < PERCENTILE_COUNT; i++)
        printf(",\"%s\":%u", percentiles[i].name, latency_at(latencies, percentiles[i].per_100000));
    putchar('}');
}

static void print_json(const struct bench_options *options, const struct bench_report *report)
{
    printf(
        "{\"batch\":%u,\"producers\":%u,\"payload_bytes\":%llu,\"rate\":%llu,\"in_flight\":%u,\"submitted\":%"
        "llu,"
        "\"seconds\":%.6f,\"tasks_per_s\":%.1f,\"client_cpu_s\":%.6f,\"accepted\":%llu,\"duplicates\":%llu,"
        "\"throttled\":%llu,\"refused\":%llu,\"completed\":%llu,\"failed\":%llu,\"lost\":%llu,\"reported_"
        "twice\":%llu",
        options->batch, options->producers, (unsigned long long)options->payload_bytes,
        (unsigned long long)options->rate, options->in_flight, (unsigned long long)report->submitted,
        report->seconds, per_second(options, report), report->cpu_seconds,
        (unsigned long long)report->accepted, (unsigned long long)report->duplicates,
        (unsigned long long)report->throttled, (unsigned long long)report->refused,
        (unsigned long long)report->completed, (unsigned long long)report->failed,
        (unsigned long long)report->lost, (unsigned long long)report->doubled);
    print_json_latencies("accept_us", &report->accept);
    print_json_latencies("result_us", &report->result);
    printf("}\n");
}

static void check(const struct bench_options *bench)
{
    uint64_t frame = bench->batch * (bench->payload_bytes + 128);
    if (frame > (bench->batch == 1 ? FRAME_BYTES_MAX : FRAME_BYTES_SOFT))
        usage_error("--batch %u with --payload %llu passes a frame's 256 KiB (1.25 MiB for one task)",
                    bench->batch, (unsigned long long)bench->payload_bytes);
    if (bench->rate == 0 && bench->in_flight < bench->batch)
        usage_error("--in-flight %u: at least --batch (%u)", bench->in_flight, bench->batch);
}

int cli_bench(int argc, char **argv)
{
    static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = bench_options,
        .parser = parse_bench,
        .children = children,
        .doc = "Measure a running cluster whose workers have [type noop] builtin = noop.\v"
               "Few slots bound the throughput: start a cluster with many, as in\n"
               "  meridian dev --slots 1024\n\n"
               "Examples:\n"
               "  meridian bench --batch 128 --tasks 200000\n"
               "  meridian bench --batch 1 --rate 2000 --duration 10s -o json",
    };
    struct bench_input input = {.bench = {.tasks = TASKS_DEFAULT,
                                          .batch = BATCH_DEFAULT,
                                          .producers = 1,
                                          .in_flight = IN_FLIGHT_DEFAULT,
                                          .payload_bytes = PAYLOAD_DEFAULT,
                                          .type = "noop"}};
    struct bench_report report;
    options_parse(&argp, "meridian bench", argc, argv, &input);
    check(&input.bench);
    input.bench.server = server_find(&input.common);
    input.bench.progress = isatty(STDERR_FILENO);
    switch (bench_run(&input.bench, &report)) {
    case BENCH_OK:
        break;
    case BENCH_UNAVAILABLE:
        cluster_unavailable(&input.common);
    case BENCH_ENDPOINT:
        usage_error("--server %s: not an endpoint, as tcp://127.0.0.1:7700", input.bench.server);
    }
    if (input.bench.progress)
        fputs("\r\033[K", stderr);
    if (input.common.output == OUTPUT_TABLE)
        print_table(&input.bench, &report);
    else
        print_json(&input.bench, &report);
    free(report.accept.us);
    free(report.result.us);
    return report.lost + report.failed + report.refused + report.throttled == 0 ? EXIT_OK : EXIT_TASK_FAILED;
}
