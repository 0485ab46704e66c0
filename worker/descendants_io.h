/* descendants_io.h - finds and ends the processes that this process is the parent of, or became the parent
 * of as a sub-reaper.
 *
 * Is not:  a tracker of process trees: a child whose parent ended comes to the sub-reaper by itself, so one
 *          level is all there ever is to look at, again and again. */
#ifndef MERIDIAN_WORKER_DESCENDANTS_IO_H
#define MERIDIAN_WORKER_DESCENDANTS_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The children of the main thread now (it is who forks and who inherits), at most `max`; 0 also when /proc
 * does not tell. */
size_t descendants_list(pid_t *to, size_t max);
/* KILL every child, and theirs as they come to us, and reap them, until none is left or `limit_ms` has passed
 * (a process can hang in the kernel). */
void descendants_kill_all(int limit_ms);
/* The environment `pid` was started with; returns its size, 0 if it cannot be read. Variables end with NUL.
 */
size_t descendants_environment(pid_t pid, char *to, size_t max);

#endif
