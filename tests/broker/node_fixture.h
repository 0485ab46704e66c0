/* node_fixture.h - a broker on a bench of its own: events in as text, outputs out as text.
 *
 * Is:      one broker, clients c1 .. c9, up to eight regions by name, and a little store that takes a
 *          step's puts before its messages are read and its erases after. Every step is a batch.
 * Is not:  a host; the clock is virtual.
 * Names:   a task is a number; T.C is task T under custody C. Regions report a fence as (C, 7, 1), as
 *          real ones do. N-M is a range wherever a list of tasks may stand.
 *
 * Events:  start; restart (a new broker from the records); drain; time (one TIMEOUT, now);
 *          go (TIMEOUTs while they are due); later MS (likewise, as time passes; regions beat meanwhile)
 *
 *   cN     submit [watch] TASK... [KEY=VALUE...] [/ TASK...]; watch ID... [wait=MS] [push];
 *          received ID...; cancel ID...; forget NAME; gone
 *          keys of a task: region, cap, type, priority, delay, deadline, timeout, retries, payload (size)
 *          words: no-id, id-last, colour (a field that tasks do not have)
 *
 *   NAME   hello BOOT [slots=N] [cap=X] [type=X] [instance=N] [role=X] [version=N]; end;
 *          inventory [T.C STATUS]...; up [like hello] (boot 1: hello, end, go);
 *          beat [slots=N] [draining] [rtt=MS] [workers=N]; late T.C... (a beat that tells of outcomes w1
 * reported too late); taken T.C; refused T.C [code=X]; outcome T.C END [dup] [dead] [worker=X]; gap; garbage;
 * bye; down; silent (beats no more); heard
 *
 * Outputs: messages in the order in which they leave, HEARTBEATs left out; before them puts and behind
 *          them erases where fixture.shows_writes is set. */
#ifndef MERIDIAN_TESTS_BROKER_NODE_FIXTURE_H
#define MERIDIAN_TESTS_BROKER_NODE_FIXTURE_H

#include "broker/broker.h"
#include "engine/outputs.h"
#include "proto/link.h"
#include "proto/message.h"

enum {
    TEXT_BYTES = 256 * 1024,
    FRAME_ROOM = FRAME_BYTES_MAX + 8192,
    CLIENTS = 10,
    REGIONS = 8,
    OPEN_REQUESTS_MAX = 8192,
    BODY_ROOM = 512 * 1024,
};

struct record {
    uint64_t number;
    uint8_t *bytes;
    size_t size;
};

struct records {
    struct record *all; /* by number */
    uint32_t count, capacity;
};

/* What a test plays of a region. */
struct played_region {
    char name[16];
    uint64_t peer; /* 0 = no session */
    uint64_t sent, received;
    bool silent;
    uint32_t slots, workers;
    char type[24], capability[24];
};

struct fixture {
    struct broker_options options;
    struct broker *broker;
    struct outputs outputs;
    struct records tables[TABLE_COUNT];
    uint64_t now_ns, wall_ms, store_free_bytes, store_max_bytes;
    struct played_region regions[REGIONS];
    uint64_t next_peer;
    uint64_t open_requests[OPEN_REQUESTS_MAX]; /* sequences without a reply */
    uint32_t open_count;
    uint64_t sequence; /* of the last request */
    uint64_t drawn;    /* random numbers so far */
    bool shows_writes, is_mute;
    /* Since the last act: */
    char text[TEXT_BYTES];
    size_t text_size;
    char reason[512]; /* of the last ERROR or refused task */
    uint32_t steps, operations_max;
    size_t bytes_max;
    uint32_t entries[MESSAGE_KIND_COUNT]; /* entries, or messages that have none */
    uint32_t puts[TABLE_COUNT], erases[TABLE_COUNT];
    /* The last message of other kinds than HEARTBEAT: */
    enum message_kind kind;
    uint8_t body_bytes[BODY_ROOM];
    struct bytes body;
};

extern struct fixture fixture;

/* One row of a step table, ended by a row of NULL. */
struct row {
    const char *event, *outputs;
};

void fixture_set_up(void);
void fixture_tear_down(void);
/* One event; what came out is in fixture.text. */
__attribute__((format(printf, 1, 2))) void fixture_act(const char *event, ...);
/* The rows one by one, each with exactly these outputs. */
void fixture_run(const struct row *rows);
/* The rows for another fixture.options: a new broker from the records. */
void fixture_new_broker(void);

/* ---- for what the text does not say ---- */

struct task_id fixture_id(uint32_t task);
struct played_region *fixture_region(const char *name);
/* A frame of `kind` from client `client` (with a new sequence) or from a region (with its next). Append the
 * body, then deliver. */
struct writer *fixture_client_frame(enum message_kind kind);
void fixture_client_deliver(uint32_t client);
struct writer *fixture_region_frame(struct played_region *region, enum message_kind kind);
void fixture_region_deliver(struct played_region *region);
/* The value of `key` in an encoded map, size 0 if there is none. */
struct bytes fixture_value(struct bytes map, const char *key);
uint64_t fixture_uint(struct bytes map, const char *key);
/* The text of `key`, in a buffer of its own until the next call. */
const char *fixture_text(struct bytes map, const char *key);
/* A counter or a state's count out of QUERY "cluster". */
uint64_t fixture_counter(const char *name);
uint64_t fixture_state_count(const char *name);
const struct record *fixture_record(enum table table, uint64_t number);

/* ---- between the fixture's files ---- */

void fixture_step(struct event event);
/* TIMEOUTs while they are due. */
void fixture_go(void);
/* node_outputs.c: close the batch, apply it to the records, say what it holds. */
void fixture_say_outputs(void);
void fixture_release_records(void);
/* Which number stands in an id made by fixture_id; 0 if it was made elsewhere. */
uint32_t fixture_number(const uint8_t *id);

#endif
