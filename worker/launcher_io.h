/* launcher_io.h - starts the tasks' processes, captures what they print, and ends them with all they started.
 *
 * Is:      the agent's side of the launcher: a single-threaded process of its own, forked before the agent
 *          has a thread or a zmq context, that is the parent of every task's process. The agent makes the
 *          pipes and passes them over; the launcher reports ends. The functions below fit `struct
 *          host_launcher` of the host.
 * Is not:  pure, thread-safe, or a judge of outcomes (worker.c).
 * Promises: each task runs in a session and process group of its own. When its main process has ended, what
 *          is left of the group, and every re-parented descendant that still carries the task's fence in its
 *          environment, is killed. When the agent ends in any way, the launcher kills every descendant, then
 *          itself ends. When the launcher ends, the agent kills every descendant and exits with status 1.
 * Units:   slots are the worker's, 0 .. ; output_bytes per stream, the first bytes are kept.
 * Cost:    one descriptor for the host to poll; per running task two descriptors and what it printed, at
 *          most 2 * output_bytes. */
#ifndef MERIDIAN_WORKER_LAUNCHER_IO_H
#define MERIDIAN_WORKER_LAUNCHER_IO_H

#include <zmq.h>

#include "engine/outputs.h"
#include "engine/step.h"

enum { LAUNCHER_OUTPUT_BYTES_MAX = 512 * 1024 };

/* The command line of one configured handler: at least one word, ended by NULL. The order is that of
 * worker_options.handlers; a builtin has its place too, with `words` NULL. */
struct launcher_handler {
    char *const *words;
};

struct launcher_options {
    size_t output_bytes; /* kept per stream, at most LAUNCHER_OUTPUT_BYTES_MAX */
    const struct launcher_handler
        *handlers; /* `struct process.handler` indexes it; must outlive the launcher */
    uint32_t handler_count;
};

struct launcher;

/* Fork the launcher process. Must come before any thread, zmq context or store exists in this process.
 * Ignores SIGPIPE, raises the soft limit of open files to the hard one, makes this process a sub-reaper.
 * NULL with errno set if the system refuses. */
struct launcher *launcher_fork(const struct launcher_options *options);
/* Ends the launcher and every process of every task, waits for it, frees. */
void launcher_close(struct launcher *launcher);

/* Always 1, written if `max` allows: readable when launcher_next_event has something to do. */
int launcher_fill_poll(void *self, zmq_pollitem_t *items, int max);
/* Does a bounded amount of work; true with an EVENT_PROCESS_* in `ret_event` (kind and process only; captured
 * bytes are valid until the next call). False: poll before calling again. Exits the process if the launcher
 * process is gone. */
bool launcher_next_event(void *self, struct event *ret_event);
/* Start, terminate or kill. `envelope` is the task map of a start, copied before return. What goes wrong with
 * a start comes back as its PROCESS_ENDED. */
void launcher_perform(void *self, const struct outputs *outputs, const struct process *process,
                      struct bytes envelope);

#endif
