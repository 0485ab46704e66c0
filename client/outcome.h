/* outcome.h - the end of a task as a client reads it: one entry of RESULT, parsed.
 *
 * Is:      a view; every `struct bytes` points into the entry. Unknown keys are skipped (later versions add
 * some). Is not:  complete: `history` and `result` stay raw for those who want them (PROTOCOL.md, outcome
 * map). */
#ifndef MERIDIAN_CLIENT_OUTCOME_H
#define MERIDIAN_CLIENT_OUTCOME_H

#include "proto/bytes.h"
#include "proto/id.h"

struct outcome {
    struct task_id id;
    struct bytes state; /* completed, failed, cancelled, expired */
    bool dup_possible;
    bool has_outcome; /* false: the node no longer has more than the state */
    struct bytes reason, worker;
    uint64_t attempt, attempts_max;
    bool has_result; /* false: no process reported (cancelled before it ran, lost) */
    bool exited, signalled;
    int64_t exit_status; /* if exited */
    uint64_t signal;     /* if signalled */
    uint64_t run_ms;
    struct bytes output, error, message;
    bool output_cut, error_cut;
    struct bytes fence;   /* 12 bytes, size 0 if none */
    struct bytes history; /* raw msgpack array, size 0 if none */
};

/* Reads one entry {"id", "state", "dup_possible", "outcome"}. False if it is not one. */
bool outcome_read(struct bytes entry, struct outcome *ret_outcome);

#endif
