/* commit.h - the commit thread: an actor that makes batches durable in order and gives them back.
 *
 * Is:      the only thread that touches the store once it runs.
 * Is not:  a queue: it holds at most COMMIT_DEPTH batches. While one waits for the flush that makes it
 *          durable the next is written, and the flush of the next is that flush (docs/adr/0007).
 * Invariant: a batch is given back when it and all earlier ones are on disk, and in the order in which they
 *          were handed over. One without writes reads nothing that is not on disk.
 * Errors:  a failed commit ends the process here, with the reason: nothing of that batch or of the one before
 *          that waited for it has left, and a restart finds a state that has all that did leave.
 */
#ifndef MERIDIAN_HOST_COMMIT_H
#define MERIDIAN_HOST_COMMIT_H

#include <czmq.h>

#include "host/batch.h"

enum { COMMIT_DEPTH = 2 };

struct commit {
    zactor_t *actor;
    void *pipe;                          /* its raw socket, for the loop's poll */
    struct batch *batches[COMMIT_DEPTH]; /* under way, oldest first */
    int count;
};

void commit_open(struct commit *commit, struct store *store);
/* No batch may be under way. */
void commit_close(struct commit *commit);
/* Not while COMMIT_DEPTH are under way. */
void commit_hand_over(struct commit *commit, struct batch *batch);
/* The oldest batch if it is done, or NULL; waits at most `wait_ms` (-1 = until it is). */
struct batch *commit_take_back(struct commit *commit, int wait_ms);

#endif
