/* program_io.h - what a task's process is to execute, packed into an anonymous file that travels as one
 * descriptor, because arguments and environment may be larger than any socket message.
 *
 * Is:      written by the agent from the task map, executed by the child of the launcher.
 * Format:  (within one machine and one version) three u32 counts (directories 0 or 1, arguments,
 *          variables), then that many strings, each ended by NUL; variables as NAME=value, ours last. */
#ifndef MERIDIAN_WORKER_PROGRAM_IO_H
#define MERIDIAN_WORKER_PROGRAM_IO_H

#include "proto/id.h"
#include "proto/task.h"

/* Names of the variables that every task's process has. */
#define VARIABLE_TASK "MERIDIAN_TASK"
#define VARIABLE_ATTEMPT "MERIDIAN_ATTEMPT"
#define VARIABLE_FENCE "MERIDIAN_FENCE"

/* An anonymous file, closed on exec, with its position at 0; -1 with errno set. `handler` is the command line
 * of the configured handler, NULL for a command, whose arguments are the task's. */
int program_write(const struct task_fields *fields, char *const *handler, const struct task_id *id,
                  struct fence fence, uint32_t attempt);

/* An anonymous file of these bytes that cannot be changed any more, position 0; -1 with errno set. */
int input_write(struct bytes payload);

/* In the child: change the directory, set the variables, execute. Returns only if that failed: errno; the
 * path that it was about then stands on standard error. */
int program_exec(int file);

#endif
