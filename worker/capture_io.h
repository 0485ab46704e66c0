/* capture_io.h - one stream of a task's process: the first `limit` bytes are kept, the rest is read and
 * dropped, so that the process never blocks on a full pipe.
 *
 * Cost:    memory grows by doubling with what was printed, up to `limit`; one read of up to 64 KiB a call.
 * Errors:  when the system has no memory for more, the rest counts as cut. */
#ifndef MERIDIAN_WORKER_CAPTURE_IO_H
#define MERIDIAN_WORKER_CAPTURE_IO_H

#include "proto/bytes.h"

struct capture {
    int pipe; /* our end, non-blocking; -1 once closed */
    uint8_t *data;
    size_t size, capacity, limit;
    bool cut;
};

/* Makes the pipe. `ret_pipe` is the process's end, closed on exec. False with errno set. */
bool capture_open(struct capture *capture, size_t limit, int *ret_pipe);
/* Read once. False at the end of the stream, or when there is nothing now. */
bool capture_read(struct capture *capture);
/* The process has ended: what it wrote is in the pipe, at most one pipe's capacity. A descendant that holds
 * the other end and goes on writing cannot keep us longer. Closes the pipe; the data stays. */
void capture_finish(struct capture *capture);
/* Closes and frees; also right for a zeroed capture whose pipe is -1. */
void capture_release(struct capture *capture);

#endif
