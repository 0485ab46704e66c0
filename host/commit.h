/* commit.h - the commit thread: an actor that performs one batch at a time and gives it back.
 *
 * Is:      the only thread that touches the store once it runs.
 * Is not:  a queue: the loop hands over a batch when none is under way.
 * Errors:  a failed commit ends the process here, with the reason: nothing of that batch has left, and a
 *          restart finds the state of the batch before.
 */
#ifndef MERIDIAN_HOST_COMMIT_H
#define MERIDIAN_HOST_COMMIT_H

#include <czmq.h>

#include "host/batch.h"

struct commit {
    zactor_t *actor;
    void *pipe;          /* its raw socket, for the loop's poll */
    struct batch *batch; /* under way; NULL = idle */
};

void commit_open(struct commit *commit, struct store *store);
/* Waits for the batch under way. */
void commit_close(struct commit *commit);
void commit_hand_over(struct commit *commit, struct batch *batch);
/* The batch that is done, or NULL; waits at most `wait_ms` (-1 = until it is). */
struct batch *commit_take_back(struct commit *commit, int wait_ms);

#endif
