/* client_test.c - the library over loopback, with a small node in a thread: it accepts what it is given,
 * pushes ends at once, and counts what it hears. */
#include "client/client.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <zmq.h>

#include "proto/message.h"
#include "proto/task.h"

enum { PATIENCE_MS = 10000, POLL_MS = 5, FRAME_BYTES = 4 * 1024 * 1024, OUTPUT_BYTES = 1000 };

struct node {
    pthread_t thread;
    void *context, *socket;
    char endpoint[128];
    atomic_bool stop;
    atomic_uint submits, tasks, received, queries;
    atomic_bool mute;    /* answers nothing */
    atomic_bool garbles; /* says nonsense before each answer */
    uint8_t frame[FRAME_BYTES];
};

/* ---- the node ---- */

static void begin(struct node *node, struct writer *writer, enum message_kind kind, uint64_t sequence)
{
    writer_init(writer, node->frame, sizeof node->frame);
    message_write_header(writer, kind, sequence);
}

static void answer(struct node *node, zmq_msg_t *peer, const struct writer *writer)
{
    cr_assert_geq(zmq_send(node->socket, zmq_msg_data(peer), zmq_msg_size(peer), ZMQ_SNDMORE), 0);
    cr_assert_geq(zmq_send(node->socket, writer->data, writer->size, 0), 0);
}

static void write_id(struct writer *writer, struct task_id id)
{
    write_str(writer, "id");
    write_bin(writer, (struct bytes){id.bytes, TASK_ID_BYTES});
}

static void write_end(struct writer *writer, struct task_id id)
{
    static const uint8_t output[OUTPUT_BYTES];
    write_map(writer, 3);
    write_id(writer, id);
    write_str(writer, "state");
    write_str(writer, "completed");
    write_str(writer, "outcome");
    write_map(writer, 1);
    write_str(writer, "result");
    write_map(writer, 2);
    write_str(writer, "exit");
    write_int(writer, 0);
    write_str(writer, "output");
    write_bin(writer, (struct bytes){output, sizeof output});
}

static uint32_t read_tasks(struct bytes body, struct task_id *ids, bool *ret_watch)
{
    static struct task_fields fields;
    struct reader reader;
    uint32_t count = 0;
    *ret_watch = false;
    reader_init(&reader, body);
    uint32_t pairs = read_map(&reader, 2);
    for (uint32_t i = 0; i < pairs; i++) {
        if (bytes_are(read_str(&reader, 1, NAME_BYTES_MAX), "watch")) {
            *ret_watch = read_bool(&reader);
            continue;
        }
        count = read_array(&reader, FRAME_ENTRIES_MAX);
        for (uint32_t at = 0; at < count; at++) {
            cr_assert_eq(task_parse(read_raw(&reader), PAYLOAD_BYTES_MAX, &fields).code, ERROR_NONE);
            ids[at] = fields.id;
        }
    }
    cr_assert(!reader_failed(&reader));
    return count;
}

static void on_submit(struct node *node, zmq_msg_t *peer, const struct message_header *header)
{
    struct task_id ids[FRAME_ENTRIES_MAX];
    struct writer writer;
    bool watch;
    uint32_t count = read_tasks(header->body, ids, &watch);
    node->submits++;
    node->tasks += count;
    begin(node, &writer, MESSAGE_ACCEPTED, header->sequence);
    write_map(&writer, 2);
    write_str(&writer, "epoch");
    write_uint(&writer, 1);
    write_str(&writer, "tasks");
    write_array(&writer, count);
    for (uint32_t i = 0; i < count; i++) {
        write_map(&writer, 2);
        write_id(&writer, ids[i]);
        write_str(&writer, "status");
        write_str(&writer, "accepted");
    }
    answer(node, peer, &writer);
    for (uint32_t i = 0; i < count && watch; i += 128) {
        uint32_t ends = count - i < 128 ? count - i : 128;
        begin(node, &writer, MESSAGE_RESULT, 0);
        write_map(&writer, 1);
        write_str(&writer, "results");
        write_array(&writer, ends);
        for (uint32_t at = i; at < i + ends; at++)
            write_end(&writer, ids[at]);
        answer(node, peer, &writer);
    }
}

static void on_other(struct node *node, zmq_msg_t *peer, const struct message_header *header)
{
    struct writer writer;
    struct reader reader;
    reader_init(&reader, header->body);
    (void)read_map(&reader, 8);
    (void)read_str(&reader, 1, NAME_BYTES_MAX);
    if (header->kind == MESSAGE_RECEIVED)
        node->received += read_array(&reader, FRAME_ENTRIES_MAX);
    else
        node->queries++;
    begin(node, &writer, header->kind == MESSAGE_RECEIVED ? MESSAGE_DONE : MESSAGE_ROWS, header->sequence);
    write_map(&writer, 1);
    write_str(&writer, "epoch");
    write_uint(&writer, 1);
    answer(node, peer, &writer);
}

static void garble(struct node *node, zmq_msg_t *peer)
{
    static const char *const nonsense[] = {"", "\xc1", "\x94\x01\xa6RESULT\x00\x80",
                                           "\x94\x02\xa6RESULT\x00\x80"};
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        zmq_send(node->socket, zmq_msg_data(peer), zmq_msg_size(peer), ZMQ_SNDMORE);
        zmq_send(node->socket, nonsense[i], strlen(nonsense[i]), i % 2 == 1 ? ZMQ_SNDMORE : 0);
        if (i % 2 == 1) /* and of several parts */
            zmq_send(node->socket, "more", 4, 0);
    }
}

static void *run_node(void *self)
{
    struct node *node = self;
    while (!node->stop) {
        zmq_msg_t peer, frame;
        struct message_header header;
        zmq_msg_init(&peer);
        zmq_msg_init(&frame);
        if (zmq_msg_recv(&peer, node->socket, 0) >= 0 && zmq_msg_recv(&frame, node->socket, 0) >= 0 &&
            !node->mute) {
            struct bytes bytes = {zmq_msg_data(&frame), zmq_msg_size(&frame)};
            cr_assert_eq(message_read(bytes, &header), READER_OK);
            if (node->garbles)
                garble(node, &peer);
            if (header.kind == MESSAGE_SUBMIT)
                on_submit(node, &peer, &header);
            else
                on_other(node, &peer, &header);
        }
        zmq_msg_close(&peer);
        zmq_msg_close(&frame);
    }
    return NULL;
}

/* `endpoint` may be "tcp://127.0.0.1:*". */
static void node_start(struct node *node, const char *endpoint)
{
    const int poll_ms = POLL_MS, none = 0;
    size_t size = sizeof node->endpoint;
    node->stop = false;
    node->context = zmq_ctx_new();
    node->socket = zmq_socket(node->context, ZMQ_ROUTER);
    zmq_setsockopt(node->socket, ZMQ_RCVTIMEO, &poll_ms, sizeof poll_ms);
    zmq_setsockopt(node->socket, ZMQ_LINGER, &none, sizeof none);
    cr_assert_eq(zmq_bind(node->socket, endpoint), 0, "%s", zmq_strerror(errno));
    zmq_getsockopt(node->socket, ZMQ_LAST_ENDPOINT, node->endpoint, &size);
    cr_assert_eq(pthread_create(&node->thread, NULL, run_node, node), 0);
}

static void node_stop(struct node *node)
{
    node->stop = true;
    pthread_join(node->thread, NULL);
    zmq_close(node->socket);
    zmq_ctx_term(node->context);
}

static struct node *node_new(void)
{
    struct node *node = calloc(1, sizeof *node);
    cr_assert_not_null(node);
    node_start(node, "tcp://127.0.0.1:*");
    return node;
}

static void node_free(struct node *node)
{
    node_stop(node);
    free(node);
}

/* ---- the client ---- */

static enum client_status hand_in(struct client *client, uint64_t tag, bool watch)
{
    return client_submit(client, &(struct client_task){.type = "noop", .retries = -1}, tag, watch, NULL);
}

static struct client_event next(struct client *client)
{
    struct client_event event;
    cr_assert_eq(client_next(client, PATIENCE_MS, &event), CLIENT_OK);
    return event;
}

Test(client, tells_of_acceptance_and_end_and_says_received_at_close)
{
    struct node *node = node_new();
    struct client *client = client_open(node->endpoint, NULL);
    uint8_t id[TASK_ID_BYTES];
    const struct client_task task = {.type = "noop", .retries = -1};
    cr_assert_eq(client_submit(client, &task, 77, true, id), CLIENT_OK);
    cr_assert_neq(task_id_time_ms((const struct task_id *)id), 0, "a UUIDv7 was drawn");
    cr_assert(!client_heard(client));
    struct client_event event = next(client);
    cr_assert_eq(event.kind, CLIENT_ACCEPTED);
    cr_assert_eq(event.tag, 77);
    cr_assert_arr_eq(event.id, id, sizeof id);
    cr_assert(client_heard(client));
    event = next(client);
    cr_assert_eq(event.kind, CLIENT_ENDED);
    cr_assert(bytes_are(event.outcome.state, "completed"));
    cr_assert_eq(event.outcome.output.size, OUTPUT_BYTES);
    cr_assert_eq(client_open_tasks(client), 0);
    client_close(client);
    cr_assert_eq(node->received, 1);
    node_free(node);
}

Test(client, gathers_tasks_into_messages)
{
    enum { TASKS = 20000 };
    struct node *node = node_new();
    struct client *client = client_open(node->endpoint, NULL);
    for (uint32_t i = 0; i < TASKS; i++)
        cr_assert_eq(hand_in(client, i, true), CLIENT_OK);
    uint32_t ended = 0;
    while (ended < TASKS)
        ended += next(client).kind == CLIENT_ENDED;
    cr_assert_eq(client_open_tasks(client), 0);
    cr_assert_eq(node->tasks, TASKS);
    cr_assert_lt(node->submits, TASKS / 512);
    client_close(client);
    cr_assert_eq(node->received, TASKS);
    node_free(node);
}

Test(client, at_its_bound_says_full_and_goes_on_after_events)
{
    struct node *node = node_new();
    struct client_options options;
    client_options_default(&options);
    options.tasks_max = 2;
    struct client *client = client_open(node->endpoint, &options);
    cr_assert_eq(hand_in(client, 1, false), CLIENT_OK);
    cr_assert_eq(hand_in(client, 2, false), CLIENT_OK);
    cr_assert_eq(hand_in(client, 3, false), CLIENT_FULL);
    next(client);
    cr_assert_eq(hand_in(client, 3, false), CLIENT_OK);
    next(client);
    next(client);
    client_close(client);
    node_free(node);
}

Test(client, sends_the_same_task_again_to_a_node_that_came_back)
{
    struct node *node = node_new();
    struct client *client = client_open(node->endpoint, NULL);
    struct client_event event;
    char endpoint[sizeof node->endpoint];
    node->mute = true;
    cr_assert_eq(hand_in(client, 1, true), CLIENT_OK);
    cr_assert_eq(client_next(client, 50, &event), CLIENT_TIMEOUT);
    snprintf(endpoint, sizeof endpoint, "%s", node->endpoint);
    node_stop(node);
    cr_assert_eq(client_next(client, 50, &event), CLIENT_TIMEOUT);
    node->mute = false;
    node_start(node, endpoint);
    cr_assert_eq(next(client).kind, CLIENT_ACCEPTED);
    cr_assert_eq(next(client).kind, CLIENT_ENDED);
    client_close(client);
    node_free(node);
}

Test(client, a_payload_above_1_mib_is_never_sent)
{
    struct node *node = node_new();
    struct client *client = client_open(node->endpoint, NULL);
    struct client_event event;
    uint8_t *payload = calloc(1, PAYLOAD_BYTES_MAX + 1);
    struct client_task task = {.type = "noop", .payload = {payload, PAYLOAD_BYTES_MAX + 1}, .retries = -1};
    cr_assert_eq(client_submit(client, &task, 0, true, NULL), CLIENT_TOO_LARGE);
    cr_assert_not_null(strstr(client_problem(client), "payload: 1048577 bytes"));
    cr_assert_eq(client_open_tasks(client), 0);
    cr_assert_eq(client_next(client, 0, &event), CLIENT_TIMEOUT);
    cr_assert_eq(node->submits, 0);
    task.payload.size = PAYLOAD_BYTES_MAX;
    cr_assert_eq(client_submit(client, &task, 0, false, NULL), CLIENT_OK);
    cr_assert_eq(next(client).kind, CLIENT_ACCEPTED);
    client_close(client);
    free(payload);
    node_free(node);
}

Test(client, calls_have_one_reply_and_bad_ones_are_refused_by_name)
{
    static const uint8_t body[] = "\x81\xa4what\xa7"
                                  "cluster",
                         array[] = "\x90";
    const struct bytes query = {body, sizeof body - 1}, no_map = {array, 1}, cut = {body, 5};
    struct node *node = node_new();
    struct client *client = client_open(node->endpoint, NULL);
    struct bytes kind, reply;
    for (int i = 0; i < 100; i++) { /* each gives its place back */
        cr_assert_eq(client_call(client, "QUERY", query, 0, PATIENCE_MS, &kind, &reply), CLIENT_OK);
        cr_assert(bytes_are(kind, "ROWS"));
        cr_assert_gt(reply.size, 0);
    }
    cr_assert_eq(node->queries, 100);
    cr_assert_eq(client_call(client, "SUBMIT", query, 0, 1, &kind, &reply), CLIENT_INVALID);
    cr_assert_not_null(strstr(client_problem(client), "SUBMIT"));
    cr_assert_eq(client_call(client, "QUERY", no_map, 0, 1, &kind, &reply), CLIENT_INVALID);
    cr_assert_eq(client_call(client, "QUERY", cut, 0, 1, &kind, &reply), CLIENT_INVALID);
    node->mute = true;
    cr_assert_eq(client_call(client, "QUERY", query, 0, 50, &kind, &reply), CLIENT_TIMEOUT);
    client_close(client);
    node_free(node);
}

Test(client, nonsense_from_a_node_is_passed_over)
{
    struct node *node = node_new();
    struct client *client = client_open(node->endpoint, NULL);
    node->garbles = true;
    cr_assert_eq(hand_in(client, 1, true), CLIENT_OK);
    cr_assert_eq(next(client).kind, CLIENT_ACCEPTED);
    cr_assert_eq(next(client).kind, CLIENT_ENDED);
    client_close(client);
    node_free(node);
}

Test(client, without_a_node_waits_as_long_as_it_was_told)
{
    struct node *node = node_new();
    char endpoint[sizeof node->endpoint];
    snprintf(endpoint, sizeof endpoint, "%s", node->endpoint);
    node_free(node); /* now nobody has this port */
    struct client *client = client_open(endpoint, NULL);
    struct client_event event;
    struct timespec before, after;
    cr_assert_eq(hand_in(client, 1, true), CLIENT_OK);
    clock_gettime(CLOCK_MONOTONIC, &before);
    cr_assert_eq(client_next(client, 300, &event), CLIENT_TIMEOUT);
    clock_gettime(CLOCK_MONOTONIC, &after);
    double waited_ms =
        (double)(after.tv_sec - before.tv_sec) * 1e3 + (double)(after.tv_nsec - before.tv_nsec) / 1e6;
    cr_assert_geq(waited_ms, 299);
    cr_assert(!client_heard(client));
    cr_assert_eq(client_open_tasks(client), 1);
    client_close(client);
}

Test(client, refuses_what_is_no_endpoint)
{
    static const char *const bad[] = {"",
                                      "127.0.0.1:7700",
                                      "tcp://",
                                      "tcp://127.0.0.1",
                                      "tcp://127.0.0.1:",
                                      "tcp://127.0.0.1:0",
                                      "tcp://127.0.0.1:65536",
                                      "tcp://127.0.0.1:77x",
                                      "tcp://127.0.0.1:*",
                                      "tcp://:7700",
                                      "udp://127.0.0.1:7700"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        errno = 0;
        cr_assert_null(client_open(bad[i], NULL), "%s", bad[i]);
        cr_assert_eq(errno, EINVAL);
    }
    struct client_options options;
    client_options_default(&options);
    options.batch_tasks_max = 0;
    cr_assert_null(client_open("tcp://127.0.0.1:7700", &options));
    client_close(client_open("tcp://localhost:7700", NULL));
    client_close(NULL);
}
