/* batch.h - the outputs of some steps, and everything that must stay until they have left.
 *
 * Is:      outputs, the received frames that they borrow from, and the frames that are built from them.
 * Is not:  a decision what to gather or when to hand it over (loop.c).
 * Life:    gathered by the loop; closed; performed (by the commit thread if it needs the store); sent by the
 *          loop; reset. It belongs to one thread at a time.
 * Invariant: received frames never move: outputs point into them.
 */
#ifndef MERIDIAN_HOST_BATCH_H
#define MERIDIAN_HOST_BATCH_H

#include <zmq.h>

#include "engine/outputs.h"
#include "store/lmdb_io.h"

enum { BATCH_RECEIVED_MAX = 8192, BATCH_RECEIVED_BYTES = 2 * BATCH_BYTES };

struct batch {
    struct outputs outputs;
    zmq_msg_t *received; /* [BATCH_RECEIVED_MAX] */
    uint32_t received_count;
    size_t received_bytes;
    zmq_msg_t *frames; /* by message, once performed */
    uint32_t frame_count;
    struct bytes *envelopes; /* by process, once performed */
    uint8_t *copied;         /* envelopes that were not in one piece already */
    uint64_t *erased;        /* numbers erased so far, for the check of their order */
    uint64_t first_write_ns; /* when the oldest write was gathered; 0 = there is none */
    uint64_t handed_ns;      /* when it was handed over */
    uint32_t messages_seen, traces_seen;
    uint32_t immediate_count; /* messages that left ahead of it */
};

bool batch_init(struct batch *batch);
void batch_release(struct batch *batch);
void batch_reset(struct batch *batch);

/* Room for one more received frame, an initialised empty message; batch_keep keeps it. */
zmq_msg_t *batch_slot(struct batch *batch);
void batch_keep(struct batch *batch);
/* No more steps: hand it over. */
bool batch_full(const struct batch *batch);
/* Nothing in it but what has left already. */
bool batch_is_idle(const struct batch *batch);
bool batch_writes(const struct batch *batch);
bool batch_needs_store(const struct batch *batch);

/* Commit it and build its frames and envelopes: all puts, then the copies, then the erases, one transaction.
 * It is on disk as store_end says: not yet. `store` may be NULL if it does not need one. False:
 * store_problem() says why, and the process must end. */
bool batch_perform(struct batch *batch, struct store *store);

/* Build the frame of a message that needs no record and no commit. */
void batch_build_immediate(const struct batch *batch, const struct message *message, zmq_msg_t *ret_frame);

#endif
