/* dev_ready.c - asks the broker until every region and every worker of the plan is live. */
#include "cli/dev.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#include "cli/commands.h"
#include "cli/dev_control.h"
#include "proto/message.h"

enum { ASK_EVERY_MS = 50, REPLY_WAIT_MS = 1000 };

struct ready {
    const struct dev_plan *plan;
    void *socket;
    uint64_t sequence;
    bool live[DEV_NODES_MAX];
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Reads the text of a row's field into `text`; other types are skipped, longer texts are none of ours. */
static void row_text(struct reader *reader, char *text, size_t size)
{
    if (reader_peek(reader) != TYPE_STR) {
        read_raw(reader);
        return;
    }
    struct bytes value = read_str(reader, 0, SIZE_MAX);
    if (value.size < size) {
        memcpy(text, value.data, value.size);
        text[value.size] = '\0';
    }
}

static bool key_is(struct bytes key, const char *name)
{
    return key.size == strlen(name) && memcmp(key.data, name, key.size) == 0;
}

static void read_row(struct ready *ready, struct reader *reader)
{
    char region[NAME_BYTES_MAX + 1] = "", name[NAME_BYTES_MAX + 1] = "", state[32] = "";
    char full[DEV_NAME_BYTES_MAX + 1];
    bool stale = false;
    uint32_t count = read_map(reader, UINT32_MAX);
    for (uint32_t i = 0; i < count && !reader_failed(reader); i++) {
        struct bytes key = read_str(reader, 0, SIZE_MAX);
        if (key_is(key, "region"))
            row_text(reader, region, sizeof region);
        else if (key_is(key, "name"))
            row_text(reader, name, sizeof name);
        else if (key_is(key, "state"))
            row_text(reader, state, sizeof state);
        else if (key_is(key, "stale") && reader_peek(reader) == TYPE_BOOL)
            stale = read_bool(reader);
        else
            read_raw(reader);
    }
    if (reader_failed(reader) || stale || strcmp(state, "live") != 0)
        return;
    snprintf(full, sizeof full, "%s%s%s", region, region[0] == '\0' ? "" : "/", name);
    for (unsigned i = 0; i < ready->plan->node_count; i++)
        if (strcmp(ready->plan->nodes[i].name, full) == 0)
            ready->live[i] = true;
}

static void read_rows(struct ready *ready, struct bytes frame)
{
    struct message_header header;
    if (message_read(frame, &header) != READER_OK || header.kind != MESSAGE_ROWS ||
        header.sequence != ready->sequence)
        return;
    struct reader reader;
    reader_init(&reader, header.body);
    uint32_t count = read_map(&reader, UINT32_MAX);
    for (uint32_t i = 0; i < count && !reader_failed(&reader); i++) {
        if (!key_is(read_str(&reader, 0, SIZE_MAX), "rows")) {
            read_raw(&reader);
            continue;
        }
        uint32_t rows = read_array(&reader, UINT32_MAX);
        for (uint32_t row = 0; row < rows && !reader_failed(&reader); row++)
            read_row(ready, &reader);
    }
}

/* One QUERY; a reply that does not come in time is not an error: the next one will. */
static void ask(struct ready *ready, const char *what)
{
    uint8_t space[128];
    struct writer writer;
    writer_init(&writer, space, sizeof space);
    message_write_header(&writer, MESSAGE_QUERY, ++ready->sequence);
    write_map(&writer, 1);
    write_str(&writer, "what");
    write_str(&writer, what);
    if (zmq_send(ready->socket, writer.data, writer.size, ZMQ_DONTWAIT) < 0)
        return;
    zmq_msg_t reply;
    zmq_msg_init(&reply);
    if (zmq_msg_recv(&reply, ready->socket, 0) >= 0)
        read_rows(ready, (struct bytes){zmq_msg_data(&reply), zmq_msg_size(&reply)});
    zmq_msg_close(&reply);
}

static bool all_live(const struct ready *ready)
{
    for (unsigned i = 0; i < ready->plan->node_count; i++)
        if (ready->plan->nodes[i].tier != DEV_BROKER && !ready->live[i])
            return false;
    return true;
}

static void name_missing(const struct ready *ready, unsigned wait_ms)
{
    fprintf(stderr, "meridian: not up after %u s:", wait_ms / 1000);
    for (unsigned i = 0; i < ready->plan->node_count; i++)
        if (ready->plan->nodes[i].tier != DEV_BROKER && !ready->live[i])
            fprintf(stderr, " %s", ready->plan->nodes[i].name);
    fprintf(stderr, ". Their logs are in %s/log\n", ready->plan->directory);
}

static bool wait_until_live(struct ready *ready, unsigned wait_ms)
{
    for (uint64_t deadline_ms = now_ms() + wait_ms; now_ms() < deadline_ms;) {
        memset(ready->live, 0, sizeof ready->live);
        ask(ready, "regions");
        ask(ready, "workers");
        if (all_live(ready))
            return true;
        poll(NULL, 0, ASK_EVERY_MS);
    }
    return false;
}

int dev_ready_wait(const struct dev_plan *plan, unsigned wait_ms)
{
    struct ready ready = {.plan = plan};
    void *context = zmq_ctx_new();
    ready.socket = context == NULL ? NULL : zmq_socket(context, ZMQ_DEALER);
    if (ready.socket == NULL) {
        fprintf(stderr, "meridian: cannot open a socket: %s\n", zmq_strerror(zmq_errno()));
        return EXIT_FAILURE;
    }
    char endpoint[64];
    int no_linger = 0, reply_wait_ms = REPLY_WAIT_MS, retry_ms = ASK_EVERY_MS;
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", dev_plan_clients_port(plan));
    zmq_setsockopt(ready.socket, ZMQ_LINGER, &no_linger, sizeof no_linger);
    zmq_setsockopt(ready.socket, ZMQ_RCVTIMEO, &reply_wait_ms, sizeof reply_wait_ms);
    zmq_setsockopt(ready.socket, ZMQ_RECONNECT_IVL, &retry_ms, sizeof retry_ms);
    bool live = zmq_connect(ready.socket, endpoint) == 0 && wait_until_live(&ready, wait_ms);
    if (!live)
        name_missing(&ready, wait_ms);
    zmq_close(ready.socket);
    zmq_ctx_term(context);
    return live ? EXIT_OK : EXIT_UNAVAILABLE;
}
