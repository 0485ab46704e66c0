/* bench.h - one measurement against a running cluster: what is asked for, what came out.
 *
 * Closed loop: at most in_flight tasks are unfinished; a new one goes when one ends. Open loop: tasks go at
 * `rate`, whatever the cluster does, and a latency counts from the instant that was scheduled, so that a
 * stall is not hidden (coordinated omission). Tasks are no-ops inside the worker unless `type` says
 * otherwise. */
#ifndef MERIDIAN_CLI_BENCH_H
#define MERIDIAN_CLI_BENCH_H

#include <stdbool.h>
#include <stdint.h>

enum { PRODUCERS_MAX = 64, BENCH_TASKS_MAX = 20000000 };

struct bench_options {
    const char *server;
    uint64_t tasks, duration_ms; /* duration 0: until `tasks` have gone */
    uint64_t rate;               /* tasks/s; 0 = closed loop */
    uint32_t batch, producers, in_flight;
    uint64_t payload_bytes;
    const char *type;
    bool submit_only;
    bool progress;
};

/* Latencies in us, one per task that got so far; sorted. */
struct bench_latencies {
    uint32_t *us;
    uint64_t count;
};

struct bench_report {
    uint64_t submitted, accepted, duplicates, throttled, refused, completed, failed, lost, doubled;
    double seconds, cpu_seconds; /* cpu: of this process */
    struct bench_latencies accept, result;
};

enum bench_status { BENCH_OK, BENCH_UNAVAILABLE, BENCH_ENDPOINT };

/* Runs one measurement; blocks. The report's arrays are malloc'ed. */
enum bench_status bench_run(const struct bench_options *options, struct bench_report *ret_report);
/* The latency that `per_100000` of 100,000 do not pass; 0 without any. */
uint32_t latency_at(const struct bench_latencies *latencies, uint32_t per_100000);

#endif
