/* node_fixture.h - a worker node on a bench of its own: events in as text, outputs out as text.
 *
 * A task is named TASK.ATTEMPT, the attempt being the fence.
 *   events:  start, welcome, assign T.A TYPE ..., stop T.A, recall T.A, settled T.A, started SLOT,
 *            ended SLOT exit|signal|error N, later MS (and TIMEOUTs while they are due), down, drain, ask MS,
 *            restart (a new node from the records)
 *   outputs: in the order puts, erases, messages as they leave, processes; HEARTBEATs are left out. */
#ifndef MERIDIAN_TESTS_WORKER_NODE_FIXTURE_H
#define MERIDIAN_TESTS_WORKER_NODE_FIXTURE_H

#include "engine/outputs.h"
#include "proto/link.h"
#include "proto/message.h"
#include "worker/worker.h"

enum { TEXT_BYTES = 4096, RECORDS = 64, RECORD_BYTES = 4096, FRAME_BYTES = 64 * 1024 };

struct record {
    enum table table; /* TABLE_COUNT = free */
    uint64_t number;
    size_t size;
    uint8_t bytes[RECORD_BYTES];
};

struct fixture {
    struct worker_options options;
    struct worker *worker;
    struct outputs outputs;
    struct record records[RECORDS];
    uint64_t now_ns, store_free_bytes;
    uint64_t peer;     /* of the newest HELLO */
    uint64_t sequence; /* of the last message of the region */
    char text[TEXT_BYTES];
    uint8_t frame[FRAME_BYTES];
};

extern struct fixture fixture;

/* One row of a step table, ended by a row of NULL. */
struct row {
    const char *event, *outputs;
};

void fixture_set_up(void);
void fixture_tear_down(void);
/* A new node from the options and the records, as after a restart. */
void fixture_new_worker(void);
/* START and WELCOME of a first session. */
void fixture_connect(void);
/* One event; what came out is in fixture.text. */
void fixture_act(const char *event);
void fixture_run(const struct row *rows);

/* A frame of the region in fixture.frame, with the next sequence. */
struct writer fixture_begin_frame(enum message_kind kind);
struct writer fixture_stop_frame(unsigned task, unsigned attempt, enum stop_mode mode);
/* A task map of type "command", of a handler's type, or "bad". */
void fixture_write_task(struct writer *writer, const char *type);

#endif
