/* envelope.h - a task of the caller (client.h) as the task map that travels.
 *
 * Is:      the encoder, and the checks that need no node: what proto/task.h would refuse is refused here, by
 * name. Owns:    nothing; the bytes are malloc'ed and the caller's. Cost:    one allocation and one copy of
 * the task. */
#ifndef MERIDIAN_CLIENT_ENVELOPE_H
#define MERIDIAN_CLIENT_ENVELOPE_H

#include "client/client.h"
#include "proto/id.h"

struct envelope {
    uint8_t *bytes;
    size_t size;
};

/* CLIENT_OK, CLIENT_TOO_LARGE, CLIENT_INVALID (both with one line in `problem`) or CLIENT_NO_MEMORY. */
enum client_status envelope_make(const struct client_task *task, const struct task_id *id, char *problem,
                                 size_t problem_size, struct envelope *ret_envelope);

#endif
