/* loop.c - the live host with a small node of its own, over loopback and on a real disk.
 *
 * The host runs in a process of its own (host_run keeps signals and the ZeroMQ context to itself); the test
 * speaks to it by raw sockets, kills it, and looks into its store afterwards. */
#include "host/host.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/reader.h"
#include "store/lmdb_io.h"

enum { ANSWER_MS = 5000, STORE_BYTES = 32 * 1024 * 1024 };

/* ---- the node: a notebook. The first byte of a client's frame says what to do with it. ----
 *   n   note it, answer with the note as spliced from the store; the note before is erased in the same batch
 *   f   the same, without erasing anything
 *   d   answer from TIMEOUT, 60 ms later
 *   i   answer at once, ahead of the commit
 *   u   open session number `size of the frame` with the parent and send HELLO on it
 *   ?   answer with the counts below, one byte each
 *   q   end */
struct notebook {
    uint64_t notes;
    uint8_t restored, starts, client_downs, child_downs, parent_downs, parent_messages, drains, empties;
    uint64_t child; /* the last one that spoke */
    uint64_t waiting_peer, deadline_ns;
    bool ends_on_drain, ended;
};

static void answer(struct outputs *outputs, uint64_t peer, uint64_t sequence, struct bytes body)
{
    struct writer *writer = outputs_message(outputs, peer, MESSAGE_DONE, NULL, sequence);
    write_bin(writer, body);
    outputs_message_end(outputs);
}

static void note(struct notebook *notebook, const struct event *event, struct outputs *outputs)
{
    uint64_t number = ++notebook->notes;
    outputs_put(outputs, TABLE_STATES, number, 0);
    outputs_put_borrow(outputs, event->frame);
    outputs_put_end(outputs);
    struct writer *writer = outputs_message(outputs, event->peer, MESSAGE_DONE, NULL, number);
    write_bin_head(writer, (uint32_t)event->frame.size);
    outputs_message_record(outputs, TABLE_STATES, number, 0, event->frame.size);
    outputs_message_end(outputs);
    if (event->frame.data[0] == 'n' && number > 1)
        outputs_erase(outputs, TABLE_STATES, number - 1);
}

static void on_client(struct notebook *notebook, const struct event *event, struct outputs *outputs)
{
    const uint8_t counts[] = {notebook->restored,    notebook->starts,       notebook->client_downs,
                              notebook->child_downs, notebook->parent_downs, notebook->parent_messages,
                              notebook->drains,      notebook->empties};
    if (event->frame.size == 0) {
        notebook->empties++;
        answer(outputs, event->peer, 0, bytes_of("empty"));
        return;
    }
    switch (event->frame.data[0]) {
    case 'n':
    case 'f':
        note(notebook, event, outputs);
        break;
    case 'd':
        notebook->waiting_peer = event->peer;
        notebook->deadline_ns = event->now_ns + 60 * NANOSECONDS_PER_MS;
        break;
    case 'i':
        answer(outputs, event->peer, 0, event->frame);
        outputs_message_immediate(outputs);
        break;
    case 'u':
        answer(outputs, peer_make(PORT_PARENT, event->frame.size), event->frame.size, bytes_of("hello"));
        answer(outputs, event->peer, 0, bytes_of("up"));
        break;
    case '?':
        answer(outputs, event->peer, 0, (struct bytes){counts, sizeof counts});
        break;
    case 'q':
        notebook->ended = true;
        answer(outputs, event->peer, 0, bytes_of("bye"));
        break;
    }
}

static void on_message(struct notebook *notebook, const struct event *event, struct outputs *outputs)
{
    if (peer_port(event->peer) == PORT_CLIENT)
        on_client(notebook, event, outputs);
    else if (peer_port(event->peer) == PORT_CHILD)
        answer(outputs, event->peer, peer_number(event->peer), event->frame);
    else
        notebook->parent_messages++;
}

static void on_down(struct notebook *notebook, uint64_t peer)
{
    notebook->client_downs += peer_port(peer) == PORT_CLIENT;
    notebook->child_downs += peer_port(peer) == PORT_CHILD;
    notebook->parent_downs += peer_port(peer) == PORT_PARENT;
}

static void notebook_step(void *self, const struct event *event, struct outputs *outputs)
{
    struct notebook *notebook = self;
    switch (event->kind) {
    case EVENT_RESTORE:
        cr_assert_eq(notebook->starts, 0);
        notebook->restored++;
        notebook->notes = event->record.number;
        break;
    case EVENT_START:
        notebook->starts++;
        break;
    case EVENT_TIMEOUT:
        notebook->deadline_ns = DEADLINE_NEVER;
        answer(outputs, notebook->waiting_peer, 0, bytes_of("late"));
        break;
    case EVENT_MESSAGE:
        on_message(notebook, event, outputs);
        break;
    case EVENT_LINK_DOWN:
        on_down(notebook, event->peer);
        break;
    case EVENT_DRAIN:
        notebook->drains++;
        notebook->ended = notebook->ends_on_drain;
        break;
    case EVENT_PROCESS_STARTED:
    case EVENT_PROCESS_ENDED:
        break;
    }
}

static uint64_t notebook_deadline_ns(const void *self)
{
    return ((const struct notebook *)self)->deadline_ns;
}

static bool notebook_ended(const void *self)
{
    return ((const struct notebook *)self)->ended;
}

/* ---- the process around it ---- */

static char directory[64];
static char clients[64], children[64], parent[64];
static struct host_options options;
static struct notebook notebook;
static pid_t host_process;
static void *context;

static void start_host(void)
{
    host_process = fork();
    cr_assert_geq(host_process, 0);
    if (host_process != 0)
        return;
    char log[96];
    snprintf(log, sizeof log, "%s/log", directory);
    dup2(open(log, O_WRONLY | O_CREAT | O_APPEND, 0600), STDERR_FILENO);
    alarm(50); /* whatever happens to the test, this ends */
    _exit(host_run(&options, (struct node){&notebook, notebook_step, notebook_deadline_ns}, notebook_ended));
}

static int wait_host(void)
{
    int status;
    cr_assert_eq(waitpid(host_process, &status, 0), host_process);
    host_process = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void kill_host(void)
{
    kill(host_process, SIGKILL);
    cr_assert_eq(wait_host(), -SIGKILL);
}

static void setup(void)
{
    unsigned port = 20000 + (unsigned)getpid() % 330 * 3;
    strcpy(directory, "/tmp/meridian-host-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    snprintf(clients, sizeof clients, "tcp://127.0.0.1:%u", port);
    snprintf(children, sizeof children, "tcp://127.0.0.1:%u", port + 1);
    snprintf(parent, sizeof parent, "tcp://127.0.0.1:%u", port + 2);
    options = (struct host_options){.role = "broker",
                                    .node = "notebook",
                                    .data = directory,
                                    .store_max_bytes = STORE_BYTES,
                                    .clients = clients,
                                    .children = children,
                                    .parent = parent,
                                    .log_level = TRACE_INFO};
    notebook = (struct notebook){.deadline_ns = DEADLINE_NEVER, .ends_on_drain = true};
}

/* The context comes after the fork: a host cannot be forked with one. */
static void setup_running(void)
{
    setup();
    start_host();
    context = zmq_ctx_new();
}

static void teardown(void)
{
    char command[128];
    if (host_process != 0)
        kill_host();
    snprintf(command, sizeof command, "rm -rf %s", directory);
    cr_assert_eq(system(command), 0);
}

TestSuite(host, .init = setup_running, .fini = teardown);
TestSuite(host_start, .init = setup, .fini = teardown);

static bool log_says(const char *words)
{
    char path[96];
    static char text[65536];
    snprintf(path, sizeof path, "%s/log", directory);
    FILE *file = fopen(path, "r");
    size_t size = file == NULL ? 0 : fread(text, 1, sizeof text - 1, file);
    if (file != NULL)
        fclose(file);
    text[size] = '\0';
    return strstr(text, words) != NULL;
}

/* ---- speaking to it ---- */

static void *connect_to(const char *endpoint, int type)
{
    void *socket = zmq_socket(context, type);
    int wait_ms = ANSWER_MS, linger_ms = 0;
    cr_assert_not_null(socket);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    cr_assert_eq(zmq_connect(socket, endpoint), 0);
    return socket;
}

/* The bin body and the sequence of an answer. */
static struct bytes read_answer(const uint8_t *frame, int size, uint64_t *ret_sequence)
{
    struct message_header header;
    struct reader reader;
    cr_assert_gt(size, 0, "no answer");
    cr_assert_eq(message_read((struct bytes){frame, (size_t)size}, &header), READER_OK);
    cr_assert_eq(header.kind, MESSAGE_DONE);
    *ret_sequence = header.sequence;
    reader_init(&reader, header.body);
    struct bytes body = read_bin(&reader, 0, 2u << 20);
    cr_assert_not(reader_failed(&reader));
    return body;
}

static uint8_t received[2 << 20];

static struct bytes ask(void *socket, const void *frame, size_t size)
{
    uint64_t sequence;
    cr_assert_geq(zmq_send(socket, frame, size, 0), 0);
    int got = zmq_recv(socket, received, sizeof received, 0);
    return read_answer(received, got, &sequence);
}

static struct bytes ask_text(void *socket, const char *text)
{
    return ask(socket, text, strlen(text));
}

enum count { RESTORED, STARTS, CLIENT_DOWNS, CHILD_DOWNS, PARENT_DOWNS, PARENT_MESSAGES, DRAINS, EMPTIES };

static int count_of(void *socket, enum count count)
{
    return ask_text(socket, "?").data[count];
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Asks until the count is there; the asking itself is the wait. */
static bool reaches(void *socket, enum count count, int wanted)
{
    for (uint64_t until_ms = now_ms() + ANSWER_MS; now_ms() < until_ms;)
        if (count_of(socket, count) >= wanted)
            return true;
    return false;
}

/* ---- tests ---- */

Test(host, an_answer_comes_after_its_commit)
{
    void *socket = connect_to(clients, ZMQ_REQ);
    char text[32];
    for (int i = 1; i <= 20; i++) {
        snprintf(text, sizeof text, "first note %d", i);
        cr_assert(bytes_are(ask_text(socket, text), text));
    }
    kill_host();
    struct store *store;
    struct store_problem problem;
    uint8_t have[32];
    cr_assert(store_open(&(struct store_options){directory, "broker", STORE_BYTES}, &store, &problem), "%s",
              problem.text);
    cr_assert(store_begin(store, false));
    for (uint64_t i = 1; i <= 20; i++) {
        snprintf(text, sizeof text, "first note %d", (int)i);
        cr_assert(store_get(store, TABLE_STATES, i, 0, have, strlen(text)), "%s", store_problem(store));
        cr_assert_eq(memcmp(have, text, strlen(text)), 0);
    }
    store_close(store);
}

Test(host, records_are_spliced_after_the_puts_and_before_the_erases)
{
    void *socket = connect_to(clients, ZMQ_DEALER);
    enum { COUNT = 3000 };
    char text[32];
    uint64_t sequence;
    for (int i = 1; i <= COUNT; i++) { /* not waiting, so that batches hold many */
        snprintf(text, sizeof text, "note %d", i);
        cr_assert_gt(zmq_send(socket, text, strlen(text), 0), 0);
    }
    for (int i = 1; i <= COUNT; i++) {
        snprintf(text, sizeof text, "note %d", i);
        struct bytes body = read_answer(received, zmq_recv(socket, received, sizeof received, 0), &sequence);
        cr_assert(bytes_are(body, text), "answers in order");
        cr_assert_eq(sequence, (uint64_t)i);
    }
    kill_host();
    notebook = (struct notebook){.deadline_ns = DEADLINE_NEVER};
    zmq_close(socket);
    zmq_ctx_term(context);
    start_host();
    context = zmq_ctx_new();
    socket = connect_to(clients, ZMQ_REQ);
    cr_assert_eq(count_of(socket, RESTORED), 1, "every note but the last was erased");
    cr_assert_eq(count_of(socket, STARTS), 1);
}

Test(host, large_frames_come_back_whole)
{
    void *socket = connect_to(clients, ZMQ_REQ);
    size_t size = 1 << 20;
    uint8_t *frame = malloc(size);
    for (size_t i = 0; i < size; i++)
        frame[i] = (uint8_t)(i * 31 + (i >> 9));
    frame[0] = 'f';
    struct bytes body = ask(socket, frame, size);
    cr_assert(bytes_equal(body, (struct bytes){frame, size}));
    free(frame);
}

Test(host, an_immediate_message_leaves_and_once)
{
    void *socket = connect_to(clients, ZMQ_DEALER);
    for (int i = 0; i < 100; i++)
        cr_assert(bytes_are(ask_text(socket, "i am quick"), "i am quick"));
    cr_assert(bytes_are(ask_text(socket, "n"), "n"), "nothing came twice");
}

Test(host, a_timeout_comes_late_and_not_early)
{
    void *socket = connect_to(clients, ZMQ_REQ);
    count_of(socket, STARTS);
    uint64_t from_ms = now_ms();
    cr_assert(bytes_are(ask_text(socket, "d"), "late"));
    cr_assert_geq(now_ms() - from_ms, 59);
}

/* ---- envelopes ---- */

Test(host, the_delimiter_of_a_request_is_mirrored)
{
    void *socket = connect_to(clients, ZMQ_REQ);
    cr_assert(bytes_are(ask_text(socket, "f1"), "f1"));
    cr_assert(bytes_are(ask_text(socket, "f2"), "f2"));
    cr_assert_eq(count_of(socket, CLIENT_DOWNS), 0, "one connection is one peer");
}

Test(host, request_ids_are_mirrored_and_an_abandoned_request_does_not_answer_the_next)
{
    void *socket = connect_to(clients, ZMQ_REQ);
    int yes = 1;
    zmq_setsockopt(socket, ZMQ_REQ_RELAXED, &yes, sizeof yes);
    zmq_setsockopt(socket, ZMQ_REQ_CORRELATE, &yes, sizeof yes);
    cr_assert(bytes_are(ask_text(socket, "f0"), "f0"));
    cr_assert_gt(zmq_send(socket, "d", 1, 0), 0);
    cr_assert(bytes_are(ask_text(socket, "f1"), "f1"));
    for (uint64_t until_ms = now_ms() + 100; now_ms() < until_ms;) /* while the late answer comes */
        cr_assert(bytes_are(ask_text(socket, "f2"), "f2"));
}

Test(host, a_proxy_s_envelope_is_mirrored_whole)
{
    void *socket = connect_to(clients, ZMQ_DEALER);
    static const char *const names[] = {"alice", "bob"};
    for (int i = 0; i < 2; i++) {
        zmq_send(socket, "hop", 3, ZMQ_SNDMORE);
        zmq_send(socket, names[i], strlen(names[i]), ZMQ_SNDMORE);
        zmq_send(socket, "", 0, ZMQ_SNDMORE);
        zmq_send(socket, i == 0 ? "d" : "fb", (size_t)i + 1, 0);
    }
    for (int i = 1; i >= 0; i--) { /* bob is answered first */
        char frame[64];
        uint64_t sequence;
        cr_assert_eq(zmq_recv(socket, frame, sizeof frame, 0), 3);
        cr_assert_eq(zmq_recv(socket, frame, sizeof frame, 0), (int)strlen(names[i]));
        cr_assert_eq(memcmp(frame, names[i], strlen(names[i])), 0);
        cr_assert_eq(zmq_recv(socket, frame, sizeof frame, 0), 0);
        struct bytes body = read_answer(received, zmq_recv(socket, received, sizeof received, 0), &sequence);
        cr_assert(bytes_are(body, i == 0 ? "late" : "fb"));
    }
}

Test(host, shapes_that_are_no_message_are_given_on_as_empty)
{
    void *socket = connect_to(clients, ZMQ_DEALER);
    static const struct {
        int frames;
        const char *const frame[12];
    } shapes[] = {
        {1, {""}},
        {2, {"a", "b"}},
        {3, {"", "b", "c"}},
        {2, {"", ""}},
        {12, {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"}},
        {12, {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "", "12"}},
    };
    enum { COUNT = sizeof shapes / sizeof *shapes };
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < shapes[i].frames; j++)
            zmq_send(socket, shapes[i].frame[j], strlen(shapes[i].frame[j]),
                     j + 1 < shapes[i].frames ? ZMQ_SNDMORE : 0);
    void *second = connect_to(clients, ZMQ_REQ);
    cr_assert(reaches(second, EMPTIES, COUNT));
}

Test(host, an_oversized_frame_costs_its_sender_the_connection_and_nothing_else)
{
    void *socket = connect_to(clients, ZMQ_DEALER);
    void *second = connect_to(clients, ZMQ_REQ);
    size_t size = 1400 * 1024;
    uint8_t *frame = calloc(size, 1);
    ask_text(socket, "?");
    zmq_send(socket, frame, size, 0);
    free(frame);
    cr_assert(reaches(second, CLIENT_DOWNS, 1));
    cr_assert(bytes_are(ask_text(second, "f"), "f"));
}

/* ---- links ---- */

Test(host, the_end_of_a_client_and_of_a_child_is_noticed)
{
    void *observer = connect_to(clients, ZMQ_REQ);
    for (int i = 1; i <= 20; i++) { /* descriptors are used again */
        uint64_t number;
        void *client = connect_to(clients, ZMQ_DEALER);
        void *child = connect_to(children, ZMQ_DEALER);
        cr_assert(bytes_are(ask_text(client, "f"), "f"));
        zmq_send(child, "hi", 2, 0);
        read_answer(received, zmq_recv(child, received, sizeof received, 0), &number);
        cr_assert_eq(number, (uint64_t)i, "a number is never used again");
        zmq_close(client);
        zmq_close(child);
        cr_assert(reaches(observer, CLIENT_DOWNS, i));
        cr_assert(reaches(observer, CHILD_DOWNS, i));
    }
    cr_assert_eq(count_of(observer, CLIENT_DOWNS), 20, "each is told once");
    cr_assert_eq(count_of(observer, CHILD_DOWNS), 20);
}

Test(host, what_a_peer_sent_before_it_went_is_heard)
{
    void *observer = connect_to(clients, ZMQ_REQ);
    for (int i = 1; i <= 10; i++) {
        void *client = connect_to(clients, ZMQ_DEALER);
        int linger_ms = ANSWER_MS;
        zmq_setsockopt(client, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
        for (int j = 0; j < 100; j++)
            zmq_send(client, "f", 1, 0);
        zmq_close(client);
        cr_assert(reaches(observer, CLIENT_DOWNS, i));
    }
    kill_host();
    notebook = (struct notebook){.deadline_ns = DEADLINE_NEVER};
    struct store *store;
    struct store_problem problem;
    uint8_t have[1];
    cr_assert(store_open(&(struct store_options){directory, "broker", STORE_BYTES}, &store, &problem));
    cr_assert(store_begin(store, false));
    cr_assert(store_get(store, TABLE_STATES, 1000, 0, have, 1), "%s", store_problem(store));
    store_close(store);
}

/* A ROUTER where the host expects its parent. */
static void *listen_as_parent(void)
{
    void *socket = zmq_socket(context, ZMQ_ROUTER);
    int wait_ms = ANSWER_MS, linger_ms = 0;
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    cr_assert_eq(zmq_bind(socket, parent), 0, "%s", zmq_strerror(errno));
    return socket;
}

/* The sequence of the next message of a child; its routing id is left for a reply. */
static uint64_t hear_child(void *socket, char id[32], int *ret_id_size)
{
    uint64_t sequence;
    *ret_id_size = zmq_recv(socket, id, 32, 0);
    cr_assert_gt(*ret_id_size, 0, "nothing came up");
    struct bytes body = read_answer(received, zmq_recv(socket, received, sizeof received, 0), &sequence);
    cr_assert(bytes_are(body, "hello"));
    return sequence;
}

Test(host, every_session_with_the_parent_is_a_connection_of_its_own)
{
    void *client = connect_to(clients, ZMQ_REQ);
    void *up = listen_as_parent();
    char ids[3][32];
    int sizes[3];
    ask_text(client, "u");
    cr_assert_eq(hear_child(up, ids[1], &sizes[1]), 1);
    ask_text(client, "u"); /* again on the same */
    cr_assert_eq(hear_child(up, ids[0], &sizes[0]), 1);
    cr_assert_eq(memcmp(ids[0], ids[1], (size_t)sizes[1]), 0);
    ask_text(client, "u2");
    cr_assert_eq(hear_child(up, ids[2], &sizes[2]), 2);
    cr_assert_neq(memcmp(ids[2], ids[1], (size_t)sizes[1]), 0);
    ask_text(client, "u"); /* of a superseded session: goes nowhere */
    zmq_send(up, ids[2], (size_t)sizes[2], ZMQ_SNDMORE);
    zmq_send(up, "welcome", 7, 0);
    cr_assert(reaches(client, PARENT_MESSAGES, 1));
    cr_assert_eq(count_of(client, PARENT_DOWNS), 0, "a session that the node ended itself is no news");
    zmq_close(up);
    cr_assert(reaches(client, PARENT_DOWNS, 1));
    up = NULL;
    for (int number = 3; number <= 5; number++) { /* nobody listens: told at once */
        char frame[8] = "uuuuuuu";
        ask(client, frame, (size_t)number);
        cr_assert(reaches(client, PARENT_DOWNS, number - 1));
    }
    up = listen_as_parent();
    ask_text(client, "uuuuuu");
    cr_assert_eq(hear_child(up, ids[0], &sizes[0]), 6, "nothing of earlier sessions was kept");
}

/* ---- start and end ---- */

Test(host, a_signal_drains_and_ends_it)
{
    void *client = connect_to(clients, ZMQ_REQ);
    ask_text(client, "f");
    kill(host_process, SIGTERM);
    cr_assert_eq(wait_host(), 0);
    cr_assert(log_says("notebook info broker up: clients tcp://127.0.0.1"));
    cr_assert(log_says("broker ended"));
}

Test(host_start, a_second_signal_ends_it_at_once)
{
    notebook.ends_on_drain = false;
    start_host();
    context = zmq_ctx_new();
    void *client = connect_to(clients, ZMQ_REQ);
    ask_text(client, "f");
    kill(host_process, SIGTERM);
    cr_assert(reaches(client, DRAINS, 1));
    cr_assert_eq(count_of(client, DRAINS), 1);
    kill(host_process, SIGINT);
    cr_assert_eq(wait_host(), 1);
    cr_assert(log_says("ended at once by a second signal"));
}

Test(host, the_last_answer_still_leaves)
{
    void *client = connect_to(clients, ZMQ_REQ);
    cr_assert(bytes_are(ask_text(client, "q"), "bye"));
    cr_assert_eq(wait_host(), 0);
}

Test(host_start, a_port_in_use_is_refused)
{
    context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_ROUTER);
    cr_assert_eq(zmq_bind(socket, children), 0);
    start_host();
    cr_assert_eq(wait_host(), 1);
    cr_assert(log_says("cannot listen on tcp://127.0.0.1:"));
    cr_assert(log_says("Address already in use; another process has that port"));
}

Test(host_start, listening_beyond_this_machine_is_refused)
{
    options.clients = "tcp://0.0.0.0:20999";
    start_host();
    cr_assert_eq(wait_host(), 1);
    cr_assert(log_says("the client port = tcp://0.0.0.0:20999 listens beyond this machine"));
    cr_assert(log_says("--insecure"));
}

Test(host_start, endpoints_that_are_none_are_refused)
{
    options.clients = "tcp://127.0.0.1:port";
    start_host();
    cr_assert_eq(wait_host(), 1);
    cr_assert(log_says("cannot listen on tcp://127.0.0.1:port: Invalid argument; write it like"));
    options.clients = clients;
    options.parent = "tcp://nowhere";
    start_host();
    cr_assert_eq(wait_host(), 1);
    cr_assert(log_says("cannot use the parent endpoint tcp://nowhere: Invalid argument"));
}

Test(host, a_second_host_with_the_same_store_is_refused)
{
    void *client = connect_to(clients, ZMQ_REQ);
    ask_text(client, "f");
    zmq_close(client);
    zmq_ctx_term(context);
    pid_t first = host_process;
    start_host();
    cr_assert_eq(wait_host(), 1);
    cr_assert(log_says("in use by another process"));
    host_process = first;
}

Test(host, a_commit_that_fails_ends_it_and_what_was_answered_is_there)
{
    void *socket = connect_to(clients, ZMQ_REQ);
    static uint8_t frame[1 << 20];
    int answers = 0;
    memset(frame, 'f', sizeof frame);
    for (; answers < 100; answers++) {
        zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
        cr_assert_gt(zmq_send(socket, frame, sizeof frame, 0), 0);
        int status;
        int ready = 0;
        while (ready == 0 && host_process != 0) {
            ready = zmq_poll(&item, 1, 50);
            if (ready == 0 && waitpid(host_process, &status, WNOHANG) == host_process)
                host_process = 0;
        }
        if (ready == 0) {
            cr_assert(WIFEXITED(status));
            cr_assert_eq(WEXITSTATUS(status), 1);
            break;
        }
        cr_assert_gt(zmq_recv(socket, received, sizeof received, 0), 0);
    }
    cr_assert_lt(answers, 100);
    cr_assert(log_says("MDB_MAP_FULL"));
    cr_assert(log_says("raise store.max_bytes"));
    zmq_close(socket);
    zmq_ctx_term(context);
    notebook = (struct notebook){.deadline_ns = DEADLINE_NEVER};
    options.store_max_bytes *= 4;
    start_host();
    context = zmq_ctx_new();
    socket = connect_to(clients, ZMQ_REQ);
    cr_assert_eq(count_of(socket, RESTORED), answers);
}
