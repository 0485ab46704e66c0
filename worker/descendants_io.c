/* descendants_io.c - see descendants_io.h. */
#define _GNU_SOURCE
#include "worker/descendants_io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN_A_ROUND = 1024, ROUND_MS = 2 };

size_t descendants_list(pid_t *to, size_t max)
{
    char path[48];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    size_t count = 0;
    int pid;
    while (count < max && fscanf(file, "%d", &pid) == 1)
        to[count++] = pid;
    fclose(file);
    return count;
}

void descendants_kill_all(int limit_ms)
{
    static pid_t pids[CHILDREN_A_ROUND];
    for (int passed_ms = 0; passed_ms <= limit_ms; passed_ms += ROUND_MS) {
        size_t count = descendants_list(pids, CHILDREN_A_ROUND);
        for (size_t i = 0; i < count; i++)
            kill(pids[i], SIGKILL);
        pid_t reaped;
        do
            reaped = waitpid(-1, NULL, WNOHANG);
        while (reaped > 0);
        if (reaped < 0 && errno == ECHILD)
            return;
        poll(NULL, 0, ROUND_MS);
    }
}

size_t descendants_environment(pid_t pid, char *to, size_t max)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    size_t size = 0;
    ssize_t got;
    while (size < max && (got = read(file, to + size, max - size)) > 0)
        size += (size_t)got;
    close(file);
    return size;
}
