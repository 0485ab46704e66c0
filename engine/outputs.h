/* outputs.h - what a step wants done: writes, messages, processes, traces; four typed arrays and one arena.
 *
 * Is: append-only during the steps of one batch; read by the host afterwards; then reset. Values and frames
 * are chains of pieces: literal bytes (in the arena), borrowed bytes (in the event's frame, which the host
 * keeps until the batch has left) and records (spliced from the store by the host after the batch's puts and
 * before its erases). Messages to one peer of one kind coalesce into frames of up to FRAME_BYTES_SOFT or
 * 1,024 entries.
 *
 * Is not: I/O. Sequence numbers are given when the batch closes (outputs_close), from the counter in the
 * peer's `struct link`, in the order of message kinds per peer.
 *
 * Invariants: one value or message is written at a time (begun, then ended, before the next begins; traces
 * may come between). A link counts for one peer: the first message to another peer starts it at 1 again, and
 * messages of the earlier peer still in the batch leave with sequence 0, which nobody takes.
 *
 * Bounds: a step appends at most STEP_OPERATIONS_MAX operations (records put or erased, messages without
 * entries, entries in messages). Long work keeps a cursor and asks outputs_room(). All memory is taken by
 * outputs_init, for the largest batch; pages that are never touched cost nothing.
 *
 * Cost: appending is O(1); the arena is one copy of every literal. */
#ifndef MERIDIAN_ENGINE_OUTPUTS_H
#define MERIDIAN_ENGINE_OUTPUTS_H

#include "engine/trace.h"
#include "proto/id.h"
#include "proto/message.h"
#include "proto/writer.h"
#include "store/record.h"

enum {
    STEP_OPERATIONS_MAX = 4096,
    BATCH_OPERATIONS = 4096,       /* the host closes a batch at or above this */
    BATCH_BYTES = 8 * 1024 * 1024, /* likewise, counted over values and frames */
};

enum piece_kind { PIECE_LITERAL, PIECE_BORROWED, PIECE_RECORD };

struct piece {
    enum piece_kind kind;
    uint32_t next; /* index + 1 of the following piece, 0 = last */
    size_t size;   /* exact, also for records: nodes keep the encoded lengths */
    union {
        size_t offset;       /* literal: in the arena */
        const uint8_t *data; /* borrowed */
        struct {
            uint64_t number;
            uint32_t part;
            enum table table;
        } record;
    };
};

struct pieces {
    uint32_t first, last; /* index + 1 */
    size_t size;
};

enum write_kind { WRITE_PUT, WRITE_ERASE /* all parts of a number */ };

struct write {
    enum write_kind kind;
    enum table table;
    uint64_t number;
    uint32_t part;
    struct pieces value; /* PUT */
};

/* One direction pair of counted messages with a peer. Owned by the node's child or uplink; never moves. */
struct link {
    uint64_t peer;     /* whom `sent` counts for; kept by outputs.c */
    uint64_t sent;     /* sequence of the last message given out */
    uint64_t received; /* sequence of the last message taken */
};

struct message {
    uint64_t peer;
    enum message_kind kind;
    struct link *link; /* counted at close; NULL for clients, where `sequence` is echoed */
    bool immediate;    /* leaves without waiting for the disk (HEARTBEAT) */
    bool open;         /* still taking entries */
    bool has_entries;
    struct pieces frame;
    uint32_t entries;
    size_t sequence_offset; /* in the arena */
    size_t count_offset;    /* in the arena, if has_entries */
};

enum process_action { PROCESS_START, PROCESS_TERMINATE /* SIGTERM to its group */, PROCESS_KILL };

struct process {
    enum process_action action;
    uint32_t slot;
    /* START: */
    struct task_id id;
    struct fence fence;
    uint32_t attempt;
    struct pieces envelope; /* the task map */
    uint32_t handler;       /* index of the handler configured for the type; UINT32_MAX for a command */
};

struct trace {
    enum trace_code code;
    struct task_id id; /* zero if none */
    uint64_t a, b;     /* as the code says */
};

struct outputs {
    struct write *writes;
    struct message *messages;
    struct process *processes;
    struct trace *traces;
    struct piece *pieces;
    uint32_t write_count, message_count, process_count, trace_count, piece_count;
    uint32_t write_capacity, message_capacity, process_capacity, trace_capacity, piece_capacity;
    struct writer arena;
    uint32_t operations;      /* of the batch so far */
    uint32_t step_operations; /* at the start of the running step */
    size_t bytes;             /* of values and frames, for BATCH_BYTES */
    uint64_t disk_bytes;      /* what the puts may take on disk, at most */
    uint64_t *open_keys;      /* (peer, kind) -> open message, direct mapped */
    uint32_t *open_messages;
    uint32_t *order; /* after outputs_close: message_count message indices in the order they leave */
    /* The value or message being written: */
    struct pieces *chain; /* NULL if none */
    size_t run;           /* where its current literal run starts in the arena */
    uint32_t current;     /* index of the message, if it is one */
    size_t entry_end_max; /* size that the message must not pass with this entry */
};

/* Memory for one batch. False if there is none (the world's error). */
bool outputs_init(struct outputs *outputs);
void outputs_release(struct outputs *outputs);
void outputs_reset(struct outputs *outputs);
/* The host says so before each step: bounds are counted from here. */
void outputs_begin_step(struct outputs *outputs);
/* Operations that the running step may still append. */
uint32_t outputs_room(const struct outputs *outputs);
/* The host should hand the batch over now rather than take another step. */
bool outputs_full(const struct outputs *outputs);

/* ---- values: begin, then any of literal/borrow, then end ---- */

/* Start a put (one operation); the literal is then written through the returned writer (the arena). */
struct writer *outputs_put(struct outputs *outputs, enum table table, uint64_t number, uint32_t part);
/* Close the current literal run of the newest write and append borrowed bytes; more literal may follow. */
void outputs_put_borrow(struct outputs *outputs, struct bytes bytes);
void outputs_put_end(struct outputs *outputs);
void outputs_erase(struct outputs *outputs, enum table table, uint64_t number);

/* ---- messages ---- */

/* A message with a body written by the caller through the returned writer; ended by outputs_message_end.
 * `link` counts it, or NULL and `sequence` is echoed. */
struct writer *outputs_message(struct outputs *outputs, uint64_t peer, enum message_kind kind,
                               struct link *link, uint64_t sequence);
void outputs_message_borrow(struct outputs *outputs, struct bytes bytes);
void outputs_message_record(struct outputs *outputs, enum table table, uint64_t number, uint32_t part,
                            size_t size);
void outputs_message_end(struct outputs *outputs);
/* `link` is about to go: what it still counts in this batch leaves with sequence 0. */
void outputs_forget_link(struct outputs *outputs, const struct link *link);
void outputs_message_immediate(struct outputs *outputs); /* the newest message does not wait for the disk */
/* Size so far of the message being written, its literal included. */
size_t outputs_message_size(const struct outputs *outputs);

/* An entry of a coalesced message [[entry, ...]] (of a pushed RESULT {"results": [entry, ...]}) to `peer`:
 * `bound` is at least the entry's encoded size, spliced bytes included. Returns the index of the message it
 * went into, so that a caller can tell frames apart (a grant record per ASSIGN frame). Then write, borrow,
 * record; end with outputs_entry_end. */
struct writer *outputs_entry(struct outputs *outputs, uint64_t peer, enum message_kind kind,
                             struct link *link, size_t bound, uint32_t *ret_message);
void outputs_entry_end(struct outputs *outputs);

/* ---- processes and traces ---- */
struct process *outputs_process(struct outputs *outputs, enum process_action action, uint32_t slot);
/* Append to the newest process's envelope. */
void outputs_process_borrow(struct outputs *outputs, struct bytes bytes);
void outputs_trace(struct outputs *outputs, enum trace_code code, const struct task_id *id, uint64_t a,
                   uint64_t b);

/* ---- the host's side ---- */

/* Patch counts and sequences and fix the order in which messages leave. After it nothing may be appended. */
void outputs_close(struct outputs *outputs);

/* How a host copies a record of exactly `size` bytes to `to` while it builds frames; false if there is none
 * of that size. `part` may be PART_ALL (store/record.h): all parts of the number in key order. */
typedef bool (*record_lookup)(void *context, enum table table, uint64_t number, uint32_t part, uint8_t *to,
                              size_t size);

/* Copy a chain to `to` (pieces.size bytes). False if a record is missing or of another length than promised.
 */
bool pieces_copy(const struct outputs *outputs, const struct pieces *pieces, uint8_t *to,
                 record_lookup lookup, void *context);

#endif
