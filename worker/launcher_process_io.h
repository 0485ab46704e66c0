/* launcher_process_io.h - the launcher process itself: the parent of every task's process. launcher_io.h says
 * what it promises. */
#ifndef MERIDIAN_WORKER_LAUNCHER_PROCESS_IO_H
#define MERIDIAN_WORKER_LAUNCHER_PROCESS_IO_H

/* Runs until the agent's end of `socket` is closed; then every descendant is killed and the process ends. */
_Noreturn void launcher_process_run(int socket);

#endif
