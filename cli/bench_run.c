/* bench_run.c - the loop of a measurement: raw libzmq, frames copied from a template, ids that are array
 * indices. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <zmq.h>

#include "cli/bench.h"
#include "proto/id.h"
#include "proto/limits.h"
#include "proto/message.h"

enum {
    FIRST_ANSWER_MS = 3000,
    SILENCE_MS = 15000, /* without any message: what is open counts as lost */
    WATCH_REPEAT_MS = 10000,
    RECEIVED_IDS = 512,
    PROGRESS_MS = 500,
    TICK_NS = 100 * 1000000,
    NONE = UINT32_MAX,
};

struct flight {
    uint64_t scheduled_ns;
    uint32_t accept_us, result_us; /* NONE until then */
};

struct run {
    const struct bench_options *options;
    struct bench_report *report;
    void *context, *sockets[PRODUCERS_MAX];
    struct flight *flights;
    uint64_t sent, open; /* open: accepted or on the way, not ended */
    uint64_t start_ns, heard_ns, watch_ns, progress_ns;
    uint64_t sequence;
    uint8_t *frame; /* header and template, room for a batch */
    size_t task_bytes, head_bytes;
    uint8_t id_prefix[12];
    uint8_t received[PRODUCERS_MAX][RECEIVED_IDS][TASK_ID_BYTES];
    uint32_t received_count[PRODUCERS_MAX];
    bool broken;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- frames ---- */

/* One task map; the id is its first field, at a fixed offset. */
enum { ID_OFFSET = 1 + 3 + 2 };

static void make_template(struct run *run)
{
    const struct bench_options *options = run->options;
    size_t room = 256 + options->payload_bytes, size = (size_t)options->batch * room + 256;
    uint8_t *task = malloc(room), *payload = malloc(options->payload_bytes + 1);
    struct writer writer;
    run->frame = malloc(size);
    if (task == NULL || payload == NULL || run->frame == NULL)
        abort();
    if (getrandom(payload, options->payload_bytes > 256 ? 256 : options->payload_bytes, 0) < 0)
        abort();
    for (size_t i = 256; i < options->payload_bytes; i++)
        payload[i] = payload[i % 256];
    writer_init(&writer, task, room);
    write_map(&writer, 3);
    write_str(&writer, "id");
    write_bin(&writer, (struct bytes){run->id_prefix, 0});
    writer.size = ID_OFFSET - 2;
    memcpy(task + ID_OFFSET - 2, "\xc4\x10", 2);
    memcpy(task + ID_OFFSET, run->id_prefix, sizeof run->id_prefix);
    writer.size = ID_OFFSET + TASK_ID_BYTES;
    write_str(&writer, "type");
    write_str(&writer, options->type);
    write_str(&writer, "payload");
    write_bin(&writer, (struct bytes){payload, options->payload_bytes});
    run->task_bytes = writer.size;
    struct writer frame;
    writer_init(&frame, run->frame, size);
    message_write_header(&frame, MESSAGE_SUBMIT, 0);
    write_map(&frame, 2);
    write_str(&frame, "watch");
    write_bool(&frame, !options->submit_only);
    write_str(&frame, "tasks");
    size_t count_at = write_array_open(&frame);
    patch_count(run->frame, count_at, options->batch);
    run->head_bytes = frame.size;
    for (uint32_t i = 0; i < options->batch; i++)
        write_raw(&frame, (struct bytes){task, run->task_bytes});
    free(task);
    free(payload);
}

static void send_bytes(struct run *run, uint32_t producer, const void *data, size_t size)
{
    if (zmq_send(run->sockets[producer], data, size, ZMQ_DONTWAIT) < 0)
        run->broken = true; /* the high-water mark: tasks of this frame count as lost */
}

static void send_batch(struct run *run, uint64_t scheduled_ns)
{
    uint32_t batch = run->options->batch;
    uint32_t producer = (uint32_t)(run->sent / batch % run->options->producers);
    for (uint32_t i = 0; i < batch; i++) {
        uint8_t *id = run->frame + run->head_bytes + i * run->task_bytes + ID_OFFSET;
        uint32_t index = (uint32_t)(run->sent + i);
        for (int byte = 0; byte < 4; byte++)
            id[12 + byte] = (uint8_t)(index >> (24 - 8 * byte));
        run->flights[index] = (struct flight){scheduled_ns, NONE, NONE};
    }
    send_bytes(run, producer, run->frame, run->head_bytes + batch * run->task_bytes);
    run->sent += batch;
    run->open += batch;
}

static void send_received(struct run *run, uint32_t producer)
{
    uint8_t buffer[RECEIVED_IDS * (TASK_ID_BYTES + 2) + 64];
    struct writer writer;
    writer_init(&writer, buffer, sizeof buffer);
    message_write_header(&writer, MESSAGE_RECEIVED, ++run->sequence);
    write_map(&writer, 1);
    write_str(&writer, "ids");
    write_array(&writer, run->received_count[producer]);
    for (uint32_t i = 0; i < run->received_count[producer]; i++)
        write_bin(&writer, (struct bytes){run->received[producer][i], TASK_ID_BYTES});
    send_bytes(run, producer, buffer, writer.size);
    run->received_count[producer] = 0;
}

/* A WATCH with push renews all watches of a client, whichever ids it names. */
static void renew_watches(struct run *run)
{
    for (uint32_t producer = 0; producer < run->options->producers; producer++) {
        uint8_t buffer[64];
        struct writer writer;
        writer_init(&writer, buffer, sizeof buffer);
        message_write_header(&writer, MESSAGE_WATCH, ++run->sequence);
        write_map(&writer, 2);
        write_str(&writer, "ids");
        write_array(&writer, 0);
        write_str(&writer, "push");
        write_bool(&writer, true);
        send_bytes(run, producer, buffer, writer.size);
    }
}

/* ---- replies ---- */

static struct flight *flight_of(struct run *run, struct bytes id)
{
    if (id.size != TASK_ID_BYTES || memcmp(id.data, run->id_prefix, sizeof run->id_prefix) != 0)
        return NULL;
    uint32_t index =
        (uint32_t)id.data[12] << 24 | (uint32_t)id.data[13] << 16 | (uint32_t)id.data[14] << 8 | id.data[15];
    return index < run->sent ? &run->flights[index] : NULL;
}

static uint32_t passed_us(uint64_t from_ns, uint64_t to_ns)
{
    uint64_t us = to_ns > from_ns ? (to_ns - from_ns) / 1000 : 0;
    return us < NONE ? (uint32_t)us : NONE - 1;
}

static void on_verdict(struct run *run, struct bytes id, struct bytes status, uint64_t at_ns)
{
    struct flight *flight = flight_of(run, id);
    struct bench_report *report = run->report;
    bool accepted = bytes_are(status, "accepted"), duplicate = bytes_are(status, "duplicate");
    if (flight == NULL)
        return;
    report->accepted += accepted;
    report->duplicates += duplicate;
    report->throttled += bytes_are(status, "throttled");
    report->refused += bytes_are(status, "refused");
    flight->accept_us = passed_us(flight->scheduled_ns, at_ns);
    if (run->options->submit_only || !(accepted || duplicate))
        run->open--;
}

static void on_result(struct run *run, uint32_t producer, struct bytes id, struct bytes state, uint64_t at_ns)
{
    struct flight *flight = flight_of(run, id);
    if (flight == NULL)
        return;
    if (flight->result_us != NONE) {
        run->report->doubled++;
        return;
    }
    flight->result_us = passed_us(flight->scheduled_ns, at_ns);
    run->open--;
    run->report->completed += bytes_are(state, "completed");
    run->report->failed += !bytes_are(state, "completed");
    memcpy(run->received[producer][run->received_count[producer]++], id.data, TASK_ID_BYTES);
    if (run->received_count[producer] == RECEIVED_IDS)
        send_received(run, producer);
}

/* The entries of "tasks" (ACCEPTED) or "results" (RESULT): id and status or state of each. */
static void on_entries(struct run *run, uint32_t producer, struct reader *reader, bool results,
                       uint64_t at_ns)
{
    uint32_t count = read_array(reader, UINT16_MAX);
    for (uint32_t i = 0; i < count && !reader_failed(reader); i++) {
        struct bytes id = {NULL, 0}, text = {NULL, 0};
        uint32_t pairs = read_map(reader, 64);
        for (uint32_t pair = 0; pair < pairs && !reader_failed(reader); pair++) {
            struct bytes key = read_str(reader, 0, NAME_BYTES_MAX);
            if (bytes_are(key, "id"))
                id = read_bin(reader, 0, TASK_ID_BYTES);
            else if (bytes_are(key, results ? "state" : "status"))
                text = read_str(reader, 0, NAME_BYTES_MAX);
            else
                (void)read_raw(reader);
        }
        if (results)
            on_result(run, producer, id, text, at_ns);
        else
            on_verdict(run, id, text, at_ns);
    }
}

static void on_frame(struct run *run, uint32_t producer, struct bytes frame)
{
    struct message_header header;
    uint64_t at_ns = now_ns();
    run->heard_ns = at_ns;
    if (message_read(frame, &header) != READER_OK)
        return;
    bool accepted = header.kind == MESSAGE_ACCEPTED, result = header.kind == MESSAGE_RESULT;
    if (header.kind == MESSAGE_ERROR) {
        struct error_body error;
        if (error_read_body(header.body, &error) == READER_OK)
            fprintf(stderr, "meridian bench: refused: %.*s\n", (int)error.reason.size,
                    (const char *)error.reason.data);
        run->broken = true;
    }
    if (!accepted && !result)
        return;
    struct reader reader;
    reader_init(&reader, header.body);
    uint32_t pairs = read_map(&reader, 64);
    for (uint32_t i = 0; i < pairs && !reader_failed(&reader); i++) {
        struct bytes key = read_str(&reader, 0, NAME_BYTES_MAX);
        if (bytes_are(key, "tasks") || bytes_are(key, "results"))
            on_entries(run, producer, &reader, result, at_ns);
        else
            (void)read_raw(&reader);
    }
}

/* Every message that is there; false if there was none. */
static bool drain(struct run *run)
{
    bool any = false;
    for (uint32_t producer = 0; producer < run->options->producers; producer++) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        while (zmq_msg_recv(&frame, run->sockets[producer], ZMQ_DONTWAIT) >= 0) {
            on_frame(run, producer, (struct bytes){zmq_msg_data(&frame), zmq_msg_size(&frame)});
            any = true;
        }
        zmq_msg_close(&frame);
    }
    return any;
}

/* Waits on the sockets' own descriptors: zmq_poll counts in milliseconds, and spinning through the rest would
 * take the processor from what is measured. A descriptor tells of changes only, hence the look at the sockets
 * before. */
static void receive_all(struct run *run, uint64_t wait_ns)
{
    struct pollfd descriptors[PRODUCERS_MAX];
    struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000),
                            .tv_nsec = (long)(wait_ns % 1000000000)};
    if (drain(run) || wait_ns == 0)
        return;
    for (uint32_t producer = 0; producer < run->options->producers; producer++) {
        size_t size = sizeof descriptors[producer].fd;
        descriptors[producer].events = POLLIN;
        zmq_getsockopt(run->sockets[producer], ZMQ_FD, &descriptors[producer].fd, &size);
    }
    ppoll(descriptors, run->options->producers, &wait, NULL);
    drain(run);
}

/* ---- the loop ---- */

static bool may_send(const struct run *run, uint64_t at_ns)
{
    const struct bench_options *options = run->options;
    bool room = run->sent + options->batch <= BENCH_TASKS_MAX;
    bool wanted = options->duration_ms == 0 ? run->sent < options->tasks
                                            : at_ns - run->start_ns < options->duration_ms * 1000000;
    return room && wanted && !run->broken;
}

/* When the next batch is due in the open loop. */
static uint64_t due_ns(const struct run *run)
{
    return run->start_ns + (uint64_t)((double)run->sent * 1e9 / (double)run->options->rate);
}

static void send_due(struct run *run, uint64_t at_ns)
{
    const struct bench_options *options = run->options;
    if (options->rate == 0) {
        while (may_send(run, at_ns) && run->open + options->batch <= options->in_flight)
            send_batch(run, now_ns());
        return;
    }
    while (may_send(run, at_ns) && due_ns(run) <= at_ns)
        send_batch(run, due_ns(run));
}

static uint64_t wait_ns(const struct run *run, uint64_t at_ns)
{
    if (run->options->rate == 0 || !may_send(run, at_ns))
        return TICK_NS;
    uint64_t due = due_ns(run);
    return due <= at_ns ? 0 : due - at_ns;
}

static void show_progress(struct run *run, uint64_t at_ns)
{
    if (!run->options->progress || at_ns - run->progress_ns < PROGRESS_MS * 1000000ull)
        return;
    run->progress_ns = at_ns;
    uint64_t done =
        run->options->submit_only ? run->report->accepted : run->report->completed + run->report->failed;
    fprintf(stderr, "\r%llu sent, %llu done, %.0f/s ", (unsigned long long)run->sent,
            (unsigned long long)done, (double)done * 1e9 / (double)(at_ns - run->start_ns));
}

static bool loop(struct run *run)
{
    run->start_ns = run->watch_ns = run->progress_ns = now_ns();
    for (;;) {
        uint64_t at_ns = now_ns();
        send_due(run, at_ns);
        if (run->open == 0 && !may_send(run, at_ns))
            return true;
        receive_all(run, wait_ns(run, at_ns));
        at_ns = now_ns();
        if (run->heard_ns == 0 && at_ns - run->start_ns > FIRST_ANSWER_MS * 1000000ull)
            return false;
        if (run->heard_ns != 0 && at_ns - run->heard_ns > SILENCE_MS * 1000000ull)
            return true;
        if (at_ns - run->watch_ns > WATCH_REPEAT_MS * 1000000ull) {
            run->watch_ns = at_ns;
            renew_watches(run);
        }
        show_progress(run, at_ns);
    }
}

/* ---- report ---- */

static int compare(const void *a, const void *b)
{
    uint32_t first = *(const uint32_t *)a, second = *(const uint32_t *)b;
    return (first > second) - (first < second);
}

static struct bench_latencies collect(const struct run *run, bool results)
{
    struct bench_latencies latencies = {.us = malloc((run->sent + 1) * sizeof(uint32_t))};
    if (latencies.us == NULL)
        abort();
    for (uint64_t i = 0; i < run->sent; i++) {
        uint32_t us = results ? run->flights[i].result_us : run->flights[i].accept_us;
        if (us != NONE)
            latencies.us[latencies.count++] = us;
    }
    qsort(latencies.us, latencies.count, sizeof(uint32_t), compare);
    return latencies;
}

uint32_t latency_at(const struct bench_latencies *latencies, uint32_t per_100000)
{
    if (latencies->count == 0)
        return 0;
    uint64_t rank = (latencies->count * per_100000 + 99999) / 100000;
    return latencies->us[rank == 0 ? 0 : rank - 1];
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static bool connect_all(struct run *run)
{
    int linger = 0, unlimited = 0;
    run->context = zmq_ctx_new();
    for (uint32_t producer = 0; producer < run->options->producers; producer++) {
        void *socket = run->sockets[producer] = zmq_socket(run->context, ZMQ_DEALER);
        zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
        zmq_setsockopt(socket, ZMQ_SNDHWM, &unlimited, sizeof unlimited);
        zmq_setsockopt(socket, ZMQ_RCVHWM, &unlimited, sizeof unlimited);
        if (zmq_connect(socket, run->options->server) != 0)
            return false;
    }
    return true;
}

/* A UUIDv7's time, version and variant, then random; the last four bytes number the tasks. */
static void make_prefix(struct run *run)
{
    struct timespec now;
    uint64_t random[2];
    clock_gettime(CLOCK_REALTIME, &now);
    if (getrandom(random, sizeof random, 0) < 0)
        abort();
    struct task_id id = task_id_make((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000, random);
    memcpy(run->id_prefix, id.bytes, sizeof run->id_prefix);
}

enum bench_status bench_run(const struct bench_options *options, struct bench_report *ret_report)
{
    struct run *run = calloc(1, sizeof *run);
    uint64_t room = options->duration_ms == 0 ? options->tasks + options->batch : BENCH_TASKS_MAX;
    if (run == NULL || (run->flights = calloc(room, sizeof *run->flights)) == NULL)
        abort();
    *ret_report = (struct bench_report){0};
    run->options = options;
    run->report = ret_report;
    make_prefix(run);
    make_template(run);
    enum bench_status status = BENCH_ENDPOINT;
    double cpu_before = cpu_seconds();
    if (connect_all(run)) {
        status = loop(run) ? BENCH_OK : BENCH_UNAVAILABLE;
        ret_report->seconds = (double)(now_ns() - run->start_ns) / 1e9;
        ret_report->cpu_seconds = cpu_seconds() - cpu_before;
        for (uint32_t producer = 0; producer < options->producers; producer++)
            if (run->received_count[producer] > 0)
                send_received(run, producer);
        receive_all(run, TICK_NS);
    }
    ret_report->submitted = run->sent;
    ret_report->lost = run->open;
    ret_report->accept = collect(run, false);
    ret_report->result = collect(run, true);
    for (uint32_t producer = 0; producer < options->producers; producer++)
        if (run->sockets[producer] != NULL)
            zmq_close(run->sockets[producer]);
    zmq_ctx_term(run->context);
    free(run->frame);
    free(run->flights);
    free(run);
    return status;
}
