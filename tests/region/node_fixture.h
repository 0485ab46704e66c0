/* node_fixture.h - a region node on a bench of its own: events in as text, outputs out as text.
 *
 * Is: a host of one region: a store that applies each step's puts and erases, a broker above and workers
 * below that do what the test says. After each event TIMEOUTs come as long as they are due; each step is a
 * batch of its own, and batches are told apart by " | ".
 *
 * Names: a task is T, held from above as T.CUSTODY; an attempt is T:CUSTODY.EPOCH.ATTEMPT, epochs counted
 * from the first one; a worker is a word that begins with w.
 *
 * events of the host: start, restart (a new node from the records), later MS (with beats and TIMEOUTs),
 * sleep MS (nothing happens for so long), drain; of the broker: welcome [drain]
 * (SIGTERM right behind it), down, silent, assign T.C OPTIONS;
 * ..., stop T.C, recall T.C, settled T.C, ask QUESTION [ARGUMENT]; of a worker: w1 hello OPTIONS, w1
 * inventory ATTEMPT STATUS [RUNNING_MS]; ..., w1 end, w1 join OPTIONS (hello and end), w1 taken ATTEMPT
 * [RUNNING_MS], w1 refused ATTEMPT, w1 outcome ATTEMPT END OPTIONS; ..., w1 beat OPTIONS, w1 silent, w1 down,
 * w1 bye, w1 skip (lose a message).
 *
 * outputs: puts, messages as they leave ("up" is the broker), erases; HEARTBEATs are left out. */
#ifndef MERIDIAN_TESTS_REGION_NODE_FIXTURE_H
#define MERIDIAN_TESTS_REGION_NODE_FIXTURE_H

#include "engine/outputs.h"
#include "proto/link.h"
#include "proto/message.h"
#include "region/region.h"

enum {
    TEXT_BYTES = 64 * 1024,
    RECORDS = 512,
    RECORD_BYTES = 1024,
    SESSIONS = 64,
    FRAME_BYTES = 256 * 1024,
    TASKS = 256
};

struct record {
    enum table table; /* TABLE_COUNT = free */
    uint64_t number;
    uint32_t part;
    size_t size;
    uint8_t bytes[RECORD_BYTES];
};

/* A connection to the region's children port; its index is the peer's number. */
struct session {
    char name[16];
    uint64_t sequence;
    bool beats;
};

struct fixture {
    struct region_options options;
    struct region *region;
    struct outputs outputs;
    struct record records[RECORDS];
    uint64_t now_ns, slept_ms, random;
    uint64_t store_free_bytes;
    uint32_t first_epoch; /* shown as 1 */
    uint64_t parent;      /* peer of the newest HELLO */
    uint64_t sequence;    /* of the broker's last message */
    bool parent_beats;
    struct session sessions[SESSIONS];
    uint32_t session_count;
    struct fence highest[TASKS]; /* sent to a worker so far */
    char text[TEXT_BYTES];
    char profiles[256]; /* as the broker was told last */
    uint32_t children;  /* likewise */
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
void fixture_new_region(void);
/* START and WELCOME of a first session. */
void fixture_connect(void);
/* One event and the TIMEOUTs that follow; what came out is in fixture.text. */
void fixture_act(const char *event);
void fixture_run(const struct row *rows);
/* One step, for events that no text describes. */
void fixture_step(struct event event);
/* A frame of the broker in fixture.frame with the next sequence, and its delivery. */
struct writer fixture_begin_up(enum message_kind kind);
void fixture_deliver_up(const struct writer *writer);
/* Likewise of a worker. */
struct writer fixture_begin_child(const char *name, enum message_kind kind);
void fixture_deliver_child(const char *name, const struct writer *writer);

struct task_id fixture_id(unsigned task);
/* "T:C.E.A"; returns the characters read. */
int fixture_read_attempt(const char *text, struct task_id *ret_id, struct fence *ret_fence);

/* node_text.c: what a step put out, appended to fixture.text and applied to the records. */
void text_of_outputs(void);
void text_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool records_look_up(void *context, enum table table, uint64_t number, uint32_t part, uint8_t *to,
                     size_t size);
void records_clear(void);
/* node_words.c: task maps, result maps and profiles from words like "type=resize". */
void words_write_task(struct writer *writer, const char *words);
void words_write_result(struct writer *writer, const char *words);
void words_write_profiles(struct writer *writer, const char *words);
/* The number behind "name=" in `words`, or `otherwise`. */
long words_number(const char *words, const char *name, long otherwise);
/* The text behind "name=", or `otherwise`; in a static buffer. */
const char *words_text(const char *words, const char *name, const char *otherwise);
bool words_have(const char *words, const char *word);

/* What the first worker's session and the first task, custody 1, put out. */
#define W1_JOINED "+children 1, w1 WELCOME"
#define W2_JOINED "+children 2, w2 WELCOME"
#define TAKEN_1 "+classes 1, +envelopes 1, +states 1 ready, up TAKEN 1:1.0.0"
#define GIVEN_1 TAKEN_1 " | +grants 1, w1 ASSIGN 1:1.1.1"

#define REGION_TABLE(suite, name, ...)                                                                       \
    Test(suite, name)                                                                                        \
    {                                                                                                        \
        static const struct row rows[] = {__VA_ARGS__, {0}};                                                 \
        fixture_connect();                                                                                   \
        fixture_run(rows);                                                                                   \
    }

#endif
