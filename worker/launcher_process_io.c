/* launcher_process_io.c - one loop over two descriptors: requests of the agent, and ended children.
 *
 * It has no PDEATHSIG itself: it must outlive its agent for a moment, to kill what the tasks left. It blocks
 * the terminal's signals for the same reason; the agent's end is its only order to stop. */
#define _GNU_SOURCE
#include "worker/launcher_process_io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/assert.h"
#include "proto/bug.h"
#include "worker/descendants_io.h"
#include "worker/launcher_wire_io.h"
#include "worker/program_io.h"

enum {
    KILL_ALL_MS = 10000,
    STRAYS_MAX = 1024,
    LOOK_AGAIN_MS = 10,
    LOOKS_MAX = 100,                     /* so a second in all: what has no environment then never had one */
    ENVIRONMENT_BYTES_MAX = 2200 * 1024, /* more than the kernel lets a program have */
    MARK_BYTES = 64,
    NOT_EXECUTED = 127,
};

/* One running task: its main process, which leads its session and group, and how its descendants are known.
 */
struct run {
    pid_t pid; /* 0 = the slot is empty */
    char task_mark[MARK_BYTES], fence_mark[MARK_BYTES];
};

struct launcher_process {
    int socket, signals;
    struct run *runs; /* by slot */
    uint32_t run_capacity, run_count;
    uint32_t looks_left; /* for re-parented processes that could not be told yet */
    bool look_again;
};

static void mark_run(struct run *run, const struct request *request)
{
    char hex[TASK_ID_HEX + 1];
    uint8_t fence[FENCE_BYTES];
    hex_encode((struct bytes){request->id.bytes, TASK_ID_BYTES}, hex);
    snprintf(run->task_mark, MARK_BYTES, VARIABLE_TASK "=%s", hex);
    fence_encode(request->fence, fence);
    hex_encode((struct bytes){fence, FENCE_BYTES}, hex);
    snprintf(run->fence_mark, MARK_BYTES, VARIABLE_FENCE "=%s", hex);
}

/* The slot's run, made if there was none so far; NULL if the system has no memory. */
static struct run *run_of(struct launcher_process *launcher, uint32_t slot)
{
    if (slot >= launcher->run_capacity) {
        uint32_t capacity = slot + 1 > 2 * launcher->run_capacity ? slot + 1 : 2 * launcher->run_capacity;
        struct run *runs = realloc(launcher->runs, capacity * sizeof *runs);
        if (runs == NULL)
            return NULL;
        memset(runs + launcher->run_capacity, 0, (capacity - launcher->run_capacity) * sizeof *runs);
        launcher->runs = runs;
        launcher->run_capacity = capacity;
    }
    return &launcher->runs[slot];
}

static void tell(const struct launcher_process *launcher, enum report_kind kind, uint32_t slot, int value)
{
    struct report report = {.kind = kind, .slot = slot, .value = value};
    (void)report_send(launcher->socket, &report); /* a gone agent shows as the end of the socket */
}

/* In the child: a session of its own, the launcher's death as its own, three descriptors, and no signal
 * blocked. A failure is told to the agent on the launcher's socket, which exec closes. */
static _Noreturn void become_program(const struct launcher_process *launcher, uint32_t slot, pid_t parent,
                                     const int *descriptors)
{
    sigset_t none;
    setsid();
    if (!BUG(ORPHANED_PROCESS))
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(NOT_EXECUTED);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int error = 0;
    for (int to = 0; to <= 2 && error == 0; to++)
        if (dup2(descriptors[START_INPUT + to], to) < 0)
            error = errno;
    if (error == 0)
        error = program_exec(descriptors[START_PROGRAM]);
    tell(launcher, REPORT_NOT_STARTED, slot, error);
    _exit(NOT_EXECUTED);
}

static void start(struct launcher_process *launcher, const struct request *request, const int *descriptors)
{
    struct run *run = run_of(launcher, request->slot);
    int error = run == NULL ? ENOMEM : 0;
    for (int i = 0; i < START_DESCRIPTORS; i++)
        if (descriptors[i] < 0)
            error = EMFILE; /* the kernel passes on what fits and drops the rest */
    pid_t parent = getpid(), pid = error == 0 ? fork() : -1;
    if (pid == 0)
        become_program(launcher, request->slot, parent, descriptors);
    if (pid < 0) {
        tell(launcher, REPORT_NOT_STARTED, request->slot, error != 0 ? error : errno);
        tell(launcher, REPORT_ENDED, request->slot, NOT_EXECUTED << 8);
        return;
    }
    ASSERT(run->pid == 0);
    run->pid = pid;
    mark_run(run, request);
    launcher->run_count++;
    tell(launcher, REPORT_STARTED, request->slot, 0);
}

/* The whole group; while the child has not come to its setsid yet, there is only the child. A stopped group
 * must run again to see a TERM. */
static void stop(const struct launcher_process *launcher, uint32_t slot, int signal_number)
{
    pid_t pid = slot < launcher->run_capacity ? launcher->runs[slot].pid : 0;
    if (pid == 0)
        return; /* it has ended, and the agent will read so */
    if (kill(-pid, signal_number) != 0)
        kill(pid, signal_number);
    kill(-pid, SIGCONT);
}

/* False at the agent's end. */
static bool take_requests(struct launcher_process *launcher)
{
    struct request request;
    int descriptors[START_DESCRIPTORS];
    int got = request_receive(launcher->socket, &request, descriptors);
    if (got <= 0)
        return got < 0;
    switch (request.action) {
    case REQUEST_START:
        start(launcher, &request, descriptors);
        break;
    case REQUEST_TERMINATE:
        stop(launcher, request.slot, SIGTERM);
        break;
    case REQUEST_KILL:
        stop(launcher, request.slot, SIGKILL);
        break;
    }
    for (int i = 0; i < START_DESCRIPTORS; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    return true;
}

static bool has_variable(const char *environment, size_t size, const char *variable)
{
    size_t length = strlen(variable) + 1;
    const char *found = memmem(environment, size, variable, length);
    return found != NULL && (found == environment || found[-1] == '\0');
}

/* Does this re-parented process come from a run that is over? One without our mark is left until the end. One
 * that is between two programs (in execve) has no environment for a moment. */
static bool is_stray(struct launcher_process *launcher, pid_t pid)
{
    static char environment[ENVIRONMENT_BYTES_MAX];
    size_t size = descendants_environment(pid, environment, sizeof environment);
    launcher->look_again |= size == 0;
    if (memmem(environment, size, VARIABLE_FENCE "=", strlen(VARIABLE_FENCE "=")) == NULL)
        return false;
    for (uint32_t slot = 0; slot < launcher->run_capacity; slot++) {
        const struct run *run = &launcher->runs[slot];
        if (run->pid != 0 && has_variable(environment, size, run->task_mark) &&
            has_variable(environment, size, run->fence_mark))
            return false;
    }
    return true;
}

static struct run *find_run(struct launcher_process *launcher, pid_t pid)
{
    for (uint32_t slot = 0; slot < launcher->run_capacity; slot++)
        if (launcher->runs[slot].pid == pid)
            return &launcher->runs[slot];
    return NULL;
}

/* A child with no run was re-parented to us: its parent ended inside or outside of its task's group. */
static void kill_strays(struct launcher_process *launcher)
{
    static pid_t pids[STRAYS_MAX];
    size_t count = descendants_list(pids, STRAYS_MAX);
    launcher->look_again = false;
    if (count <= launcher->run_count)
        return; /* all of them lead runs */
    for (size_t i = 0; i < count; i++)
        if (find_run(launcher, pids[i]) == NULL && is_stray(launcher, pids[i]))
            kill(pids[i], SIGKILL);
}

/* The group is killed while the ended leader is still a zombie: so long its number names no other group. */
static void reap(struct launcher_process *launcher)
{
    struct signalfd_siginfo ignored;
    while (read(launcher->signals, &ignored, sizeof ignored) > 0)
        ; /* one signal may stand for many ends */
    siginfo_t ended = {0};
    while (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid != 0) {
        struct run *run = find_run(launcher, ended.si_pid);
        int status = 0;
        if (run != NULL)
            kill(-ended.si_pid, SIGKILL);
        waitpid(ended.si_pid, &status, 0);
        if (run != NULL) {
            run->pid = 0;
            launcher->run_count--;
        }
        launcher->looks_left = LOOKS_MAX;
        kill_strays(launcher);
        if (run != NULL)
            tell(launcher, REPORT_ENDED, (uint32_t)(run - launcher->runs), status);
        ended.si_pid = 0;
    }
}

/* Nothing of the agent stays open here or in a task: its listening sockets, its log, a pipe of its parent. */
static void close_inherited(int socket)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
    }
    if (socket > STDERR_FILENO + 1)
        close_range(STDERR_FILENO + 1, (unsigned)socket - 1, 0);
    close_range((unsigned)socket + 1, ~0u, 0);
}

/* All signals are blocked rather than ignored: one that is sent to a child between its fork and its own
 * settings waits for it, where an ignored one would be gone. */
static void take_signals(struct launcher_process *launcher)
{
    sigset_t all, children;
    for (int signal_number = 1; signal_number < NSIG; signal_number++)
        signal(signal_number, SIG_DFL);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    launcher->signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
}

_Noreturn void launcher_process_run(int socket)
{
    struct launcher_process launcher = {.socket = socket};
    prctl(PR_SET_NAME, "meridian-launch");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    close_inherited(socket);
    take_signals(&launcher);
    struct pollfd items[] = {{.fd = socket, .events = POLLIN}, {.fd = launcher.signals, .events = POLLIN}};
    bool agent_lives = launcher.signals >= 0;
    while (agent_lives) {
        bool looks = launcher.look_again && launcher.looks_left > 0;
        int ready = poll(items, 2, looks ? LOOK_AGAIN_MS : -1);
        if (ready < 0 && errno != EINTR)
            break;
        if (ready == 0) {
            launcher.looks_left--;
            kill_strays(&launcher);
        }
        if (items[1].revents != 0)
            reap(&launcher);
        if (items[0].revents != 0)
            agent_lives = take_requests(&launcher);
    }
    if (BUG(ORPHANED_PROCESS))
        _exit(0);
    for (uint32_t slot = 0; slot < launcher.run_capacity; slot++)
        stop(&launcher, slot, SIGKILL);
    descendants_kill_all(KILL_ALL_MS);
    _exit(0);
}
