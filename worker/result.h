/* result.h - how an attempt ended, as the map that a worker puts into its OUTCOME.
 *
 * {"exit": int or nil, "signal": uint or nil, "run_ms": uint, "output": bin, "error": bin, "output_cut":
 * bool, "error_cut": bool, "message": str} `message` says what an exit status cannot: why nothing was
 * started. */
#ifndef MERIDIAN_WORKER_RESULT_H
#define MERIDIAN_WORKER_RESULT_H

#include "engine/step.h"
#include "proto/link.h"
#include "worker/chain.h"

enum {
    RESULT_STREAM_BYTES_MAX = 512 * 1024, /* two of them and the rest stay below FRAME_BYTES_MAX */
    RESULT_PLAIN_BYTES_MAX = 128,         /* bound of result_write_plain */
};

/* What the end of a process means when nobody asked for it. Flags: OUTCOME_... */
enum task_end result_judge(const struct process_end *end, uint32_t *ret_flags);

/* The map of an ended process into an empty chain. If there is no room for what it printed, that is dropped
 * and counted as cut; false if there is no room at all. */
bool result_encode(struct slab *blocks, struct chain *chain, const struct process_end *end, uint64_t run_ms);

/* The map of an attempt that had no process: exit 0 if it completed, else nil; empty for what is not an end
 * of the task (returned, not held). */
void result_write_plain(struct writer *writer, enum task_end end);

#endif
