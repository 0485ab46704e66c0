/* golden_client.c - the fixed examples of what clients ask and nodes answer. See golden.h. */
#include "tests/proto/golden.h"

enum { EPOCH = 0x691fd27e };

static void write_key_uint(struct writer *writer, const char *key, uint64_t value)
{
    write_str(writer, key);
    write_uint(writer, value);
}

static void write_key_str(struct writer *writer, const char *key, const char *value)
{
    write_str(writer, key);
    write_str(writer, value);
}

static void write_key_bool(struct writer *writer, const char *key, bool value)
{
    write_str(writer, key);
    write_bool(writer, value);
}

static void write_key_nil(struct writer *writer, const char *key)
{
    write_str(writer, key);
    write_nil(writer);
}

static void write_key_array(struct writer *writer, const char *key, uint32_t count)
{
    write_str(writer, key);
    write_array(writer, count);
}

static void write_id(struct writer *writer, const struct task_id *id)
{
    write_bin(writer, (struct bytes){id->bytes, TASK_ID_BYTES});
}

static void write_key_id(struct writer *writer, const char *key, const struct task_id *id)
{
    write_str(writer, key);
    write_id(writer, id);
}

/* A request, or a reply that starts with the node's epoch. */
static void begin(struct writer *writer, enum message_kind kind, uint64_t sequence, uint32_t pairs)
{
    message_write_header(writer, kind, sequence);
    write_map(writer, pairs);
}

static void begin_reply(struct writer *writer, enum message_kind kind, uint64_t sequence, uint32_t more_pairs)
{
    begin(writer, kind, sequence, 1 + more_pairs);
    write_key_uint(writer, "epoch", EPOCH);
}

/* ---- SUBMIT and ACCEPTED ---- */

static void write_submit(struct writer *writer)
{
    begin(writer, MESSAGE_SUBMIT, 1, 1);
    write_key_array(writer, "tasks", 1);
    write_map(writer, 2);
    write_key_id(writer, "id", &golden_id);
    write_key_array(writer, "argv", 2);
    write_str(writer, "echo");
    write_str(writer, "hello");
}

static void write_submit_every_field(struct writer *writer)
{
    begin(writer, MESSAGE_SUBMIT, 2, 2);
    write_key_array(writer, "tasks", 2);
    write_map(writer, 12);
    write_key_id(writer, "id", &golden_id);
    write_key_array(writer, "argv", 3);
    write_str(writer, "sh");
    write_str(writer, "-c");
    write_str(writer, "wc -c");
    write_str(writer, "payload");
    write_bin(writer, bytes_of("some input"));
    write_str(writer, "env");
    write_map(writer, 1);
    write_key_str(writer, "LANG", "C");
    write_key_str(writer, "cwd", "/srv");
    write_key_str(writer, "priority", "high");
    write_key_str(writer, "region", "ap");
    write_key_array(writer, "capabilities", 1);
    write_str(writer, "gpu");
    write_key_uint(writer, "delay_ms", 500);
    write_key_uint(writer, "timeout_ms", 60000);
    write_key_uint(writer, "deadline_ms", 3600000);
    write_key_uint(writer, "retries", 2);
    write_map(writer, 3);
    write_key_id(writer, "id", &golden_other_id);
    write_key_str(writer, "type", "resize");
    write_str(writer, "payload");
    write_bin(writer, bytes_of("cat.jpg 640"));
    write_key_bool(writer, "watch", true);
}

static void write_accepted(struct writer *writer)
{
    begin_reply(writer, MESSAGE_ACCEPTED, 1, 2);
    write_key_str(writer, "held", "root");
    write_key_array(writer, "tasks", 4);
    write_map(writer, 2);
    write_key_id(writer, "id", &golden_id);
    write_key_str(writer, "status", "accepted");
    write_map(writer, 3);
    write_key_id(writer, "id", &golden_other_id);
    write_key_str(writer, "status", "duplicate");
    write_key_str(writer, "state", "running");
    write_map(writer, 5);
    write_key_id(writer, "id", &golden_id);
    write_key_str(writer, "status", "throttled");
    write_key_str(writer, "code", "throttled");
    write_key_str(writer, "reason", "20000000 tasks are held, the most allowed");
    write_key_uint(writer, "retry_after_ms", 1000);
    write_map(writer, 4);
    write_key_id(writer, "id", &golden_other_id);
    write_key_str(writer, "status", "refused");
    write_key_str(writer, "code", "too_large");
    write_key_str(writer, "reason", "payload: larger than limits.payload_bytes");
}

/* ---- WATCH, RESULT, PENDING, RECEIVED, DONE ---- */

static void write_watch(struct writer *writer)
{
    begin(writer, MESSAGE_WATCH, 3, 2);
    write_key_array(writer, "ids", 1);
    write_id(writer, &golden_id);
    write_key_uint(writer, "wait_ms", 5000);
}

static void write_watch_push(struct writer *writer)
{
    begin(writer, MESSAGE_WATCH, 4, 2);
    write_key_array(writer, "ids", 2);
    write_id(writer, &golden_id);
    write_id(writer, &golden_other_id);
    write_key_bool(writer, "push", true);
}

static void write_fence_value(struct writer *writer)
{
    uint8_t encoded[FENCE_BYTES];
    fence_encode(golden_fence, encoded);
    write_str(writer, "fence");
    write_bin(writer, (struct bytes){encoded, FENCE_BYTES});
}

static void write_worker_result(struct writer *writer)
{
    write_str(writer, "result");
    write_map(writer, 8);
    write_key_uint(writer, "exit", 3);
    write_key_nil(writer, "signal");
    write_key_uint(writer, "run_ms", 3);
    write_str(writer, "output");
    write_bin(writer, bytes_of(""));
    write_str(writer, "error");
    write_bin(writer, bytes_of("no\n"));
    write_key_bool(writer, "output_cut", false);
    write_key_bool(writer, "error_cut", false);
    write_key_str(writer, "message", "");
}

/* A command that was lost with its worker once and then failed: both attempts are told. */
static void write_result(struct writer *writer)
{
    begin_reply(writer, MESSAGE_RESULT, 3, 3);
    write_key_array(writer, "results", 1);
    write_map(writer, 4);
    write_key_id(writer, "id", &golden_id);
    write_key_str(writer, "state", "failed");
    write_key_bool(writer, "dup_possible", true);
    write_str(writer, "outcome");
    write_map(writer, 7);
    write_key_str(writer, "reason", "exit_status");
    write_key_str(writer, "worker", "us/w1");
    write_key_uint(writer, "attempt", 2);
    write_key_uint(writer, "attempts_max", 2);
    write_fence_value(writer);
    write_worker_result(writer);
    write_key_array(writer, "history", 1);
    write_map(writer, 7);
    write_key_uint(writer, "attempt", 1);
    write_key_str(writer, "worker", "us/w2");
    write_key_str(writer, "end", "lost");
    write_key_str(writer, "reason", "worker_lost");
    write_key_nil(writer, "exit");
    write_key_nil(writer, "signal");
    write_key_nil(writer, "run_ms");
    write_key_array(writer, "pending", 1);
    write_id(writer, &golden_other_id);
    write_key_array(writer, "unknown", 0);
}

/* What a DEALER client gets unasked: the results alone. */
static void write_result_push(struct writer *writer)
{
    begin(writer, MESSAGE_RESULT, 0, 1);
    write_str(writer, "results");
    patch_count(writer->data, write_array_open(writer), 1);
    write_map(writer, 4);
    write_key_id(writer, "id", &golden_other_id);
    write_key_str(writer, "state", "cancelled");
    write_key_bool(writer, "dup_possible", false);
    write_key_nil(writer, "outcome");
}

static void write_pending(struct writer *writer)
{
    begin_reply(writer, MESSAGE_PENDING, 3, 2);
    write_key_array(writer, "pending", 1);
    write_map(writer, 3);
    write_key_id(writer, "id", &golden_id);
    write_key_str(writer, "state", "ready");
    write_key_str(writer, "reason", "no_credit");
    write_key_array(writer, "unknown", 1);
    write_id(writer, &golden_other_id);
}

static void write_received(struct writer *writer)
{
    begin(writer, MESSAGE_RECEIVED, 5, 1);
    write_key_array(writer, "ids", 1);
    write_id(writer, &golden_id);
}

static void write_done(struct writer *writer)
{
    begin_reply(writer, MESSAGE_DONE, 5, 0);
}

/* ---- CANCEL, QUERY, DRAIN, ERROR ---- */

static void write_cancel(struct writer *writer)
{
    begin(writer, MESSAGE_CANCEL, 6, 1);
    write_key_array(writer, "ids", 2);
    write_id(writer, &golden_id);
    write_id(writer, &golden_other_id);
}

static void write_cancelling(struct writer *writer)
{
    begin_reply(writer, MESSAGE_CANCELLING, 6, 1);
    write_key_array(writer, "tasks", 2);
    write_map(writer, 3);
    write_key_id(writer, "id", &golden_id);
    write_key_str(writer, "status", "cancelling");
    write_key_str(writer, "state", "running");
    write_map(writer, 3);
    write_key_id(writer, "id", &golden_other_id);
    write_key_str(writer, "status", "ended");
    write_key_str(writer, "state", "completed");
}

static void write_query_tasks(struct writer *writer)
{
    begin(writer, MESSAGE_QUERY, 7, 3);
    write_key_str(writer, "what", "tasks");
    write_key_bool(writer, "open", true);
    write_key_uint(writer, "limit", 50);
}

static void write_query_resolve(struct writer *writer)
{
    begin(writer, MESSAGE_QUERY, 8, 2);
    write_key_str(writer, "what", "resolve");
    write_key_str(writer, "short", "91d4a07e");
}

static void write_query_explain(struct writer *writer)
{
    begin(writer, MESSAGE_QUERY, 9, 2);
    write_key_str(writer, "what", "explain");
    write_key_id(writer, "id", &golden_other_id);
}

static void begin_rows(struct writer *writer, uint64_t sequence, uint32_t rows)
{
    begin_reply(writer, MESSAGE_ROWS, sequence, 2);
    write_key_bool(writer, "more", false);
    write_key_array(writer, "rows", rows);
}

static void write_task_row(struct writer *writer, uint32_t more_pairs)
{
    write_map(writer, 11 + more_pairs);
    write_key_id(writer, "id", &golden_other_id);
    write_key_str(writer, "state", "ready");
    write_key_str(writer, "where", "ap");
    write_key_uint(writer, "attempt", 1);
    write_key_uint(writer, "attempts_max", 1);
    write_key_uint(writer, "age_ms", 4012);
    write_key_str(writer, "reason", "no_credit");
    write_key_bool(writer, "dup_possible", false);
    write_key_str(writer, "type", "command");
    write_key_str(writer, "priority", "normal");
    write_key_bool(writer, "stale", false);
}

static void write_rows_tasks(struct writer *writer)
{
    begin_rows(writer, 7, 1);
    write_task_row(writer, 0);
}

static void write_rows_resolve(struct writer *writer)
{
    begin_rows(writer, 8, 1);
    write_map(writer, 1);
    write_key_id(writer, "id", &golden_other_id);
}

static void write_rows_explain(struct writer *writer)
{
    begin_rows(writer, 9, 1);
    write_task_row(writer, 1);
    write_key_array(writer, "considered", 2);
    write_map(writer, 2);
    write_key_array(writer, "names", 1);
    write_str(writer, "ap");
    write_key_str(writer, "text", "4 of 4 slots busy");
    write_map(writer, 2);
    write_key_array(writer, "names", 2);
    write_str(writer, "eu");
    write_str(writer, "us");
    write_key_str(writer, "text", "excluded by --region ap");
}

static void write_rows_regions(struct writer *writer)
{
    begin_rows(writer, 10, 1);
    write_map(writer, 7);
    write_key_str(writer, "name", "ap");
    write_key_str(writer, "state", "live");
    write_key_uint(writer, "slots", 4);
    write_key_uint(writer, "held", 5);
    write_key_uint(writer, "rtt_us", 240);
    write_key_uint(writer, "workers", 2);
    write_key_uint(writer, "commit_age_ms", 0);
}

static void write_rows_workers(struct writer *writer)
{
    begin_rows(writer, 11, 1);
    write_map(writer, 12);
    write_key_str(writer, "region", "us");
    write_key_str(writer, "name", "w2");
    write_key_str(writer, "state", "lost");
    write_key_uint(writer, "slots", 2);
    write_key_uint(writer, "busy", 0);
    write_key_uint(writer, "done", 49);
    write_key_uint(writer, "lost", 2);
    write_key_uint(writer, "late", 0);
    write_key_uint(writer, "p50_us", 37000);
    write_key_uint(writer, "p99_us", 95000);
    write_key_array(writer, "types", 1);
    write_str(writer, "command");
    write_key_bool(writer, "stale", false);
}

static void write_rows_cluster(struct writer *writer)
{
    begin_rows(writer, 12, 1);
    write_map(writer, 6);
    write_key_str(writer, "version", "0.1.0");
    write_key_uint(writer, "epoch", EPOCH);
    write_str(writer, "tasks");
    write_map(writer, 4);
    write_key_uint(writer, "delayed", 0);
    write_key_uint(writer, "ready", 1);
    write_key_uint(writer, "granted", 4);
    write_key_uint(writer, "ended", 600);
    write_key_uint(writer, "store_free_bytes", 4294000000);
    write_key_uint(writer, "store_max_bytes", 4294967296);
    write_str(writer, "counters");
    write_map(writer, 1);
    write_key_uint(writer, "accepted", 605);
}

static void write_drain(struct writer *writer)
{
    begin(writer, MESSAGE_DRAIN, 13, 2);
    write_key_str(writer, "node", "us/w2");
    write_key_uint(writer, "deadline_ms", 30000);
}

static void write_forget(struct writer *writer)
{
    begin(writer, MESSAGE_FORGET, 15, 1);
    write_key_str(writer, "node", "ap");
}

static void write_forgetting(struct writer *writer)
{
    begin(writer, MESSAGE_FORGETTING, 15, 3);
    write_key_uint(writer, "epoch", EPOCH);
    write_key_str(writer, "node", "ap");
    write_key_uint(writer, "tasks", 120);
}

static void write_error(struct writer *writer)
{
    message_write_header(writer, MESSAGE_ERROR, 14);
    error_write_body(writer, ERROR_UNKNOWN_KIND, "SING is no message of version 1");
}

const struct golden golden_client[] = {
    {"submit", MESSAGE_SUBMIT, write_submit, false},
    {"submit-every-field", MESSAGE_SUBMIT, write_submit_every_field, false},
    {"accepted", MESSAGE_ACCEPTED, write_accepted, false},
    {"watch", MESSAGE_WATCH, write_watch, false},
    {"watch-push", MESSAGE_WATCH, write_watch_push, false},
    {"result", MESSAGE_RESULT, write_result, false},
    {"result-push", MESSAGE_RESULT, write_result_push, true},
    {"pending", MESSAGE_PENDING, write_pending, false},
    {"received", MESSAGE_RECEIVED, write_received, false},
    {"done", MESSAGE_DONE, write_done, false},
    {"cancel", MESSAGE_CANCEL, write_cancel, false},
    {"cancelling", MESSAGE_CANCELLING, write_cancelling, false},
    {"query-tasks", MESSAGE_QUERY, write_query_tasks, false},
    {"query-resolve", MESSAGE_QUERY, write_query_resolve, false},
    {"query-explain", MESSAGE_QUERY, write_query_explain, false},
    {"rows-tasks", MESSAGE_ROWS, write_rows_tasks, false},
    {"rows-resolve", MESSAGE_ROWS, write_rows_resolve, false},
    {"rows-explain", MESSAGE_ROWS, write_rows_explain, false},
    {"rows-regions", MESSAGE_ROWS, write_rows_regions, false},
    {"rows-workers", MESSAGE_ROWS, write_rows_workers, false},
    {"rows-cluster", MESSAGE_ROWS, write_rows_cluster, false},
    {"drain", MESSAGE_DRAIN, write_drain, false},
    {"forget", MESSAGE_FORGET, write_forget, false},
    {"forgetting", MESSAGE_FORGETTING, write_forgetting, false},
    {"error", MESSAGE_ERROR, write_error, false},
};
const size_t golden_client_count = sizeof golden_client / sizeof golden_client[0];
