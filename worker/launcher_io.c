/* launcher_io.c - the agent's side: requests wait in a queue until the socket takes them; one epoll
 * descriptor covers the socket and every pipe, so that the host polls one.
 *
 * A slot: IDLE -perform(START)-> RUNNING -ENDED from the launcher-> IDLE. A start that fails here goes to the
 * list of failed ones and comes out as its PROCESS_ENDED with the next call of launcher_next_event. */
#define _GNU_SOURCE
#include "worker/launcher_io.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/assert.h"
#include "proto/task.h"
#include "worker/capture_io.h"
#include "worker/descendants_io.h"
#include "worker/launcher_process_io.h"
#include "worker/launcher_wire_io.h"
#include "worker/program_io.h"

enum { KILL_ALL_MS = 10000, EVENTS_A_ROUND = 64 };

/* What an epoll event is about: a pipe is slot * 2 + stream. */
#define ABOUT_SOCKET UINT64_MAX
#define ABOUT_FAILED (UINT64_MAX - 1)

struct slot {
    bool running;
    bool failed;     /* could not be executed */
    int start_error; /* errno, if failed */
    struct capture output, error;
};

struct queued {
    STAILQ_ENTRY(queued) next;
    struct request request;
    int descriptors[START_DESCRIPTORS];
    int count;
};

struct failed {
    STAILQ_ENTRY(failed) next;
    uint32_t slot;
    int error;
};

struct launcher {
    struct launcher_options options;
    int socket, epoll, failed_event, null;
    pid_t pid;
    STAILQ_HEAD(, queued) queue;
    STAILQ_HEAD(, failed) failed;
    bool waits_for_room; /* EPOLLOUT is on */
    struct slot *slots;
    uint32_t slot_capacity;
    uint32_t ended_slot; /* whose captures the last event showed, if has_ended */
    bool has_ended;
};

/* ---- start and end ---- */

static void raise_open_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* fewer tasks at a time, then; EMFILE names it */
    }
}

static bool watch(struct launcher *launcher, int descriptor, uint64_t about)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = about};
    return epoll_ctl(launcher->epoll, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

struct launcher *launcher_fork(const struct launcher_options *options)
{
    int ends[2];
    ASSERT(options->output_bytes <= LAUNCHER_OUTPUT_BYTES_MAX);
    struct launcher *launcher = calloc(1, sizeof *launcher);
    if (launcher == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        free(launcher);
        return NULL;
    }
    launcher->pid = fork();
    if (launcher->pid == 0) {
        close(ends[0]);
        launcher_process_run(ends[1]);
    }
    close(ends[1]);
    launcher->options = *options;
    launcher->socket = ends[0];
    STAILQ_INIT(&launcher->queue);
    STAILQ_INIT(&launcher->failed);
    signal(SIGPIPE, SIG_IGN);
    raise_open_files();
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* should the launcher die, its descendants come to us */
    launcher->epoll = epoll_create1(EPOLL_CLOEXEC);
    launcher->failed_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    launcher->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (launcher->pid > 0 && launcher->epoll >= 0 && launcher->failed_event >= 0 && launcher->null >= 0 &&
        watch(launcher, launcher->socket, ABOUT_SOCKET) &&
        watch(launcher, launcher->failed_event, ABOUT_FAILED))
        return launcher;
    int cause = errno;
    launcher_close(launcher);
    errno = cause;
    return NULL;
}

/* The queue holds its own descriptors, but not the shared one of /dev/null. */
static void queued_free(const struct launcher *launcher, struct queued *queued)
{
    for (int i = 0; i < queued->count; i++)
        if (queued->descriptors[i] >= 0 && queued->descriptors[i] != launcher->null)
            close(queued->descriptors[i]);
    free(queued);
}

void launcher_close(struct launcher *launcher)
{
    while (!STAILQ_EMPTY(&launcher->queue)) {
        struct queued *queued = STAILQ_FIRST(&launcher->queue);
        STAILQ_REMOVE_HEAD(&launcher->queue, next);
        queued_free(launcher, queued);
    }
    while (!STAILQ_EMPTY(&launcher->failed)) {
        struct failed *failed = STAILQ_FIRST(&launcher->failed);
        STAILQ_REMOVE_HEAD(&launcher->failed, next);
        free(failed);
    }
    for (uint32_t i = 0; i < launcher->slot_capacity; i++) {
        capture_release(&launcher->slots[i].output);
        capture_release(&launcher->slots[i].error);
    }
    const int open_descriptors[] = {launcher->socket, launcher->epoll, launcher->failed_event,
                                    launcher->null};
    for (size_t i = 0; i < sizeof open_descriptors / sizeof open_descriptors[0]; i++)
        if (open_descriptors[i] >= 0)
            close(open_descriptors[i]);
    if (launcher->pid > 0)
        waitpid(launcher->pid, NULL, 0); /* its end of the socket has ended: bounded by its own limit */
    free(launcher->slots);
    free(launcher);
}

/* Without it nothing can be started, stopped or known to have ended: this agent is worth nothing more, and
 * its region counts the attempts as lost. */
static _Noreturn void launcher_gone(struct launcher *launcher)
{
    int status = 0;
    pid_t reaped = waitpid(launcher->pid, &status, 0);
    fprintf(stderr,
            "meridian: the launcher process %d is gone (signal %d); every task's process is killed and this "
            "worker ends. Way out: start it again\n",
            (int)launcher->pid, reaped == launcher->pid && WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    descendants_kill_all(KILL_ALL_MS);
    _exit(1);
}

/* ---- requests ---- */

static void want_room(struct launcher *launcher, bool wanted)
{
    struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.u64 = ABOUT_SOCKET};
    if (launcher->waits_for_room == wanted)
        return;
    int changed = epoll_ctl(launcher->epoll, EPOLL_CTL_MOD, launcher->socket, &event);
    ASSERT(changed == 0);
    launcher->waits_for_room = wanted;
}

static void flush_queue(struct launcher *launcher)
{
    struct queued *queued;
    while ((queued = STAILQ_FIRST(&launcher->queue)) != NULL) {
        if (!request_send(launcher->socket, &queued->request, queued->descriptors, queued->count)) {
            if (errno != EAGAIN && errno != EINTR && errno != ETOOMANYREFS && errno != ENOBUFS &&
                errno != ENOMEM)
                launcher_gone(launcher);
            break;
        }
        STAILQ_REMOVE_HEAD(&launcher->queue, next);
        queued_free(launcher, queued);
    }
    want_room(launcher, !STAILQ_EMPTY(&launcher->queue));
}

static struct slot *slot_of(struct launcher *launcher, uint32_t index)
{
    if (index >= launcher->slot_capacity) {
        uint32_t capacity = launcher->slot_capacity == 0 ? 16 : launcher->slot_capacity;
        while (capacity <= index)
            capacity *= 2;
        struct slot *slots = realloc(launcher->slots, capacity * sizeof *slots);
        if (slots == NULL)
            return NULL;
        for (uint32_t i = launcher->slot_capacity; i < capacity; i++)
            slots[i] = (struct slot){.output.pipe = -1, .error.pipe = -1};
        launcher->slots = slots;
        launcher->slot_capacity = capacity;
    }
    return &launcher->slots[index];
}

/* Fill the four descriptors of a start; on an error what was opened stays for the caller to free. */
static int prepare(struct launcher *launcher, const struct process *process, struct bytes envelope,
                   struct slot *slot, struct queued *queued)
{
    struct task_fields fields;
    uint32_t index = process->slot;
    char *const *handler = NULL;
    if (process->handler != UINT32_MAX) {
        ASSERT(process->handler < launcher->options.handler_count);
        handler = launcher->options.handlers[process->handler].words;
    }
    if (task_parse(envelope, SIZE_MAX, &fields).code != ERROR_NONE ||
        (handler == NULL && fields.argument_count == 0))
        return EINVAL;
    int *descriptors = queued->descriptors;
    descriptors[START_PROGRAM] =
        program_write(&fields, handler, &process->id, process->fence, process->attempt);
    if (descriptors[START_PROGRAM] < 0)
        return errno;
    descriptors[START_INPUT] = fields.payload.size == 0 ? launcher->null : input_write(fields.payload);
    if (descriptors[START_INPUT] < 0)
        return errno;
    if (!capture_open(&slot->output, launcher->options.output_bytes, &descriptors[START_OUTPUT]) ||
        !capture_open(&slot->error, launcher->options.output_bytes, &descriptors[START_ERROR]) ||
        !watch(launcher, slot->output.pipe, (uint64_t)index * 2) ||
        !watch(launcher, slot->error.pipe, (uint64_t)index * 2 + 1))
        return errno;
    return 0;
}

static void start_failed(struct launcher *launcher, uint32_t index, int error)
{
    struct failed *failed = malloc(sizeof *failed);
    ASSERT(failed != NULL); /* a few bytes: without them nobody could even say so */
    *failed = (struct failed){.slot = index, .error = error};
    STAILQ_INSERT_TAIL(&launcher->failed, failed, next);
    uint64_t one = 1;
    ssize_t written = write(launcher->failed_event, &one, sizeof one);
    ASSERT(written == (ssize_t)sizeof one);
}

static void start(struct launcher *launcher, const struct process *process, struct bytes envelope)
{
    struct slot *slot = slot_of(launcher, process->slot);
    struct queued *queued = calloc(1, sizeof *queued);
    if (slot == NULL || queued == NULL) {
        free(queued);
        start_failed(launcher, process->slot, ENOMEM);
        return;
    }
    ASSERT(!slot->running);
    if (launcher->has_ended && launcher->ended_slot == process->slot)
        launcher->has_ended = false; /* its captures are replaced here */
    capture_release(&slot->output);
    capture_release(&slot->error);
    *queued = (struct queued){.request = {.action = REQUEST_START,
                                          .slot = process->slot,
                                          .id = process->id,
                                          .fence = process->fence},
                              .descriptors = {-1, -1, -1, -1},
                              .count = START_DESCRIPTORS};
    int error = prepare(launcher, process, envelope, slot, queued);
    if (error != 0) {
        queued_free(launcher, queued);
        capture_release(&slot->output);
        capture_release(&slot->error);
        start_failed(launcher, process->slot, error);
        return;
    }
    slot->running = true;
    slot->failed = false;
    STAILQ_INSERT_TAIL(&launcher->queue, queued, next);
    flush_queue(launcher);
}

static void stop(struct launcher *launcher, uint32_t index, enum request_action action)
{
    if (index >= launcher->slot_capacity || !launcher->slots[index].running)
        return; /* its end is on the way to the worker */
    struct queued *queued = calloc(1, sizeof *queued);
    ASSERT(queued != NULL); /* a stop that is lost would be a task that never ends */
    queued->request = (struct request){.action = action, .slot = index};
    STAILQ_INSERT_TAIL(&launcher->queue, queued, next);
    flush_queue(launcher);
}

void launcher_perform(void *self, const struct outputs *outputs, const struct process *process,
                      struct bytes envelope)
{
    struct launcher *launcher = self;
    (void)outputs; /* the envelope was copied out of it already */
    switch (process->action) {
    case PROCESS_START:
        start(launcher, process, envelope);
        break;
    case PROCESS_TERMINATE:
        stop(launcher, process->slot, REQUEST_TERMINATE);
        break;
    case PROCESS_KILL:
        stop(launcher, process->slot, REQUEST_KILL);
        break;
    }
}

/* ---- events ---- */

int launcher_fill_poll(void *self, zmq_pollitem_t *items, int max)
{
    const struct launcher *launcher = self;
    if (max > 0)
        items[0] = (zmq_pollitem_t){.fd = launcher->epoll, .events = ZMQ_POLLIN};
    return 1;
}

static bool show_failed(struct launcher *launcher, struct event *ret_event)
{
    struct failed *failed = STAILQ_FIRST(&launcher->failed);
    if (failed == NULL)
        return false;
    STAILQ_REMOVE_HEAD(&launcher->failed, next);
    ret_event->kind = EVENT_PROCESS_ENDED;
    ret_event->process =
        (struct process_end){.slot = failed->slot, .exit_status = -1, .start_error = failed->error};
    free(failed);
    return true;
}

static void show_ended(struct launcher *launcher, uint32_t index, int status, struct event *ret_event)
{
    struct slot *slot = &launcher->slots[index];
    capture_finish(&slot->output);
    capture_finish(&slot->error);
    slot->running = false;
    launcher->ended_slot = index;
    launcher->has_ended = true;
    ret_event->kind = EVENT_PROCESS_ENDED;
    ret_event->process = (struct process_end){
        .slot = index,
        .started = !slot->failed,
        .exit_status = !slot->failed && WIFEXITED(status) ? WEXITSTATUS(status) : -1,
        .signal = !slot->failed && WIFSIGNALED(status) ? WTERMSIG(status) : 0,
        .start_error = slot->failed ? slot->start_error : 0,
        .output = {slot->output.data, slot->output.size},
        .error = {slot->error.data, slot->error.size},
        .output_cut = slot->output.cut,
        .error_cut = slot->error.cut,
    };
}

/* One report; true if it is an event for the node. */
static bool take_report(struct launcher *launcher, struct event *ret_event)
{
    struct report report;
    int got = report_receive(launcher->socket, &report);
    if (got == 0)
        launcher_gone(launcher);
    if (got < 0)
        return false;
    ASSERT(report.slot < launcher->slot_capacity && launcher->slots[report.slot].running);
    struct slot *slot = &launcher->slots[report.slot];
    switch (report.kind) {
    case REPORT_STARTED:
        ret_event->kind = EVENT_PROCESS_STARTED;
        ret_event->process = (struct process_end){.slot = report.slot, .started = true};
        return true;
    case REPORT_NOT_STARTED:
        slot->failed = true;
        slot->start_error = report.value;
        return false;
    case REPORT_ENDED:
        break;
    }
    show_ended(launcher, report.slot, report.value, ret_event);
    return true;
}

static void release_ended(struct launcher *launcher)
{
    if (!launcher->has_ended)
        return;
    capture_release(&launcher->slots[launcher->ended_slot].output);
    capture_release(&launcher->slots[launcher->ended_slot].error);
    launcher->has_ended = false;
}

bool launcher_next_event(void *self, struct event *ret_event)
{
    struct launcher *launcher = self;
    struct epoll_event ready[EVENTS_A_ROUND];
    release_ended(launcher);
    if (show_failed(launcher, ret_event))
        return true;
    int count = epoll_wait(launcher->epoll, ready, EVENTS_A_ROUND, 0);
    bool has_report = false;
    for (int i = 0; i < count; i++) {
        uint64_t about = ready[i].data.u64, counted;
        if (about == ABOUT_SOCKET) {
            has_report = (ready[i].events & ~(uint32_t)EPOLLOUT) != 0;
            flush_queue(launcher);
        } else if (about == ABOUT_FAILED) {
            ssize_t got = read(launcher->failed_event, &counted, sizeof counted);
            ASSERT(got == (ssize_t)sizeof counted); /* the list says how many */
        } else {
            struct slot *slot = &launcher->slots[about / 2];
            capture_read(about % 2 == 0 ? &slot->output : &slot->error);
        }
    }
    /* Reports only after the pipes, so that an end finds little left in them. */
    return has_report && take_report(launcher, ret_event);
}
