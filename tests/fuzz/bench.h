/* bench.h - one node on a bench: a script plays its peers, its clock, its disk and its host.
 *
 * Is: the third host of the nodes (engine/step.h), the smallest: steps are gathered into batches, a batch is
 * put on the disk before its messages are shown, a restart gives back what is on the disk. It keeps the
 * host's promises, so whatever goes wrong is the node's doing, and it looks at all that comes out:
 *   - a step appends at most STEP_OPERATIONS_MAX operations, and due TIMEOUTs come to an end
 *   - a frame is within FRAME_BYTES_MAX, read by our own readers, counted without a gap on its link
 *   - what a message refers to is on the disk; nothing is put after it was erased in the same batch
 *   - a client gets at most one reply to each request
 *   - the ledger's counts equal sums over its tasks, and a restart from the disk finds the same tasks and
 * grants Is not: a judge of what the answers mean (sim/check.c is). Use: one per program, `bench`. Memory
 * that the system does not give ends the program. */
#ifndef MERIDIAN_TESTS_FUZZ_BENCH_H
#define MERIDIAN_TESTS_FUZZ_BENCH_H

#include "engine/ledger.h"
#include "engine/outputs.h"
#include "engine/step.h"
#include "sim/disk.h"
#include "tests/fuzz/frames.h"

enum { BENCH_PEERS_MAX = 512 };

struct bench_node {
    bool is_client; /* its messages are requests: neither counted nor of entries */
    void *(*make)(void);
    void (*free)(void *self);
    void (*step)(void *self, const struct event *event, struct outputs *outputs);
    uint64_t (*deadline_ns)(const void *self);
    bool (*done)(const void *self);                   /* NULL: it has no end of its own */
    const struct ledger *(*ledger)(const void *self); /* NULL: it keeps none */
    void (*on_message)(uint64_t peer, const struct message_header *header); /* one has left */
    void (*on_process)(const struct process *process);                      /* likewise; NULL: never */
    void (*on_restart)(void); /* every connection and process is gone; NULL: nothing to do */
};

struct bench {
    const struct bench_node *node;
    void *self;
    struct outputs outputs;
    struct disk disk;
    uint64_t now_ns, wall_ms, store_free_bytes, drawn;
    uint8_t *kept[64]; /* frames that the gathering batch may have borrowed from */
    uint32_t kept_count;
    struct cast down, up; /* what was named in messages to children, and to the parent */
    struct bench_peer {
        uint64_t peer, counted; /* sequence of the last counted message to it */
        uint32_t requests, replies;
    } peers[BENCH_PEERS_MAX];
    uint32_t peer_count;
};

extern struct bench bench;

/* An untyped function for each of a node's own, and a struct bench_node that begins with them. */
#define BENCH_NODE(name)                                                                                     \
    static void bench_free_##name(void *self)                                                                \
    {                                                                                                        \
        name##_free(self);                                                                                   \
    }                                                                                                        \
    static void bench_step_##name(void *self, const struct event *event, struct outputs *outputs)            \
    {                                                                                                        \
        name##_step(self, event, outputs);                                                                   \
    }                                                                                                        \
    static uint64_t bench_deadline_##name(const void *self)                                                  \
    {                                                                                                        \
        return name##_deadline_ns(self);                                                                     \
    }
#define BENCH_FUNCTIONS(name)                                                                                \
    .free = bench_free_##name, .step = bench_step_##name, .deadline_ns = bench_deadline_##name

/* A new node on an empty disk, started. */
void bench_begin(const struct bench_node *node);
/* A last restart, if there is anything on the disk to find, then everything is given back. */
void bench_end(void);

/* One step; `event` has kind, peer, frame and process, the rest is filled in. The frame is copied. */
void bench_event(struct event event);
void bench_message(uint64_t peer, struct bytes frame);
/* The gathering batch is committed, and leaves. */
void bench_commit(void);
/* TIMEOUTs while they are due, each with its commit. */
void bench_settle(void);
/* Time passes; what falls due meanwhile happens at its time, but no more than a few hundred times. */
void bench_pass(uint64_t ms);
/* The process ends, with or without what was gathered, and starts again from its disk. */
void bench_restart(bool commit_first);

/* What one byte of the script can do beside messages: time, clock, disk, restart, SIGTERM. */
void bench_act(struct input *input);

#endif
