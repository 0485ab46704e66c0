/* broker.c - fuzz target: broker_step under any story of clients, regions, time and restarts. */
#include "broker/broker.h"

#include "broker/broker_state.h"
#include "tests/fuzz/bench_checks.h"
#include "tests/fuzz/play.h"

enum { CLIENTS = 3, ACTS_MAX = 100, WAIT_LONGEST_MS = WAIT_MS_MAX + 2000 };

static uint64_t clients[CLIENTS]; /* their present connections */
static uint64_t next_client;
static bool plain[CLIENTS]; /* it has asked nothing with sequence 0, whose reply cannot be told from a push */

BENCH_NODE(broker)

static void *make(void)
{
    struct broker_options options;
    broker_options_default(&options);
    options.region_grace_ms = 10000;
    options.dedupe_ids_max = 100;
    options.result_ttl_ms = 3600 * 1000;
    options.tasks_max = 2000;
    options.window = 300;
    return broker_new(&options);
}

static bool done(const void *self)
{
    return broker_done(self);
}

static const struct ledger *ledger(const void *self)
{
    return &((const struct broker *)self)->tasks;
}

static void connect_client(uint32_t number)
{
    clients[number] = peer_make(PORT_CLIENT, next_client++);
    plain[number] = true;
}

static void on_restart(void)
{
    play_restart();
    for (uint32_t i = 0; i < CLIENTS; i++)
        connect_client(i);
}

static void on_process(const struct process *process)
{
    (void)process;
    check(false, "a broker starts no processes");
}

static const struct bench_node node = {
    .make = make,
    BENCH_FUNCTIONS(broker),
    .done = done,
    .ledger = ledger,
    .on_message = play_note,
    .on_process = on_process,
    .on_restart = on_restart,
};

/* One request of a client. Numbers are its own affair: they repeat, and are sometimes 0. */
static void play_client(struct input *input)
{
    static const enum message_kind kinds[] = {MESSAGE_SUBMIT, MESSAGE_WATCH,  MESSAGE_QUERY,
                                              MESSAGE_CANCEL, MESSAGE_SUBMIT, MESSAGE_RECEIVED,
                                              MESSAGE_DRAIN,  MESSAGE_FORGET};
    enum { KINDS = sizeof kinds / sizeof kinds[0] };
    uint32_t byte = take_byte(input), client = byte % CLIENTS, what = byte / CLIENTS;
    struct frame_maker maker = {
        .input = input, .cast = &bench.down, .role = "", .name = "", .wall_ms = bench.wall_ms};
    if (what == 80) {
        bench_event((struct event){.kind = EVENT_LINK_DOWN, .peer = clients[client]});
        connect_client(client);
        return;
    }
    if (what == 81) {
        plain[client] = false;
        bench_message(clients[client], take_run(input, 255));
        return;
    }
    uint64_t sequence = 1 + take_number(input);
    enum message_kind kind =
        what < 72 ? kinds[what % KINDS] : (enum message_kind)(sequence % MESSAGE_KIND_COUNT);
    struct bytes frame = frame_make(&maker, kind, sequence);
    struct message_header header;
    plain[client] = plain[client] && message_read(frame, &header) == READER_OK && header.sequence != 0;
    bench_message(clients[client], frame);
}

/* However long a request may wait: by then each has had its reply. */
static void check_replies(void)
{
    bench_pass(WAIT_LONGEST_MS);
    for (uint32_t i = 0; i < bench.peer_count; i++)
        for (uint32_t client = 0; client < CLIENTS; client++)
            if (bench.peers[i].peer == clients[client] && plain[client])
                check(bench.peers[i].replies == bench.peers[i].requests,
                      "a client gets a reply to each request");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    next_client = 1;
    play_begin("region");
    on_restart();
    bench_begin(&node);
    for (int i = 0; i < ACTS_MAX && !input_is_over(&input); i++) {
        uint32_t byte = take_byte(&input);
        if ((byte & 3) == 3)
            bench_act(&input);
        else if ((byte & 3) == 2)
            play_client(&input);
        else if (byte & 1)
            play_child(&input);
        else
            play_client(&input);
        if (byte < 0xc0) /* else the next event comes into the same batch, before what is due */
            bench_settle();
    }
    check_replies();
    bench_end();
    return 0;
}
