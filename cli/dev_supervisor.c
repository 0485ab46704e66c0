/* dev_supervisor.c - see dev_supervisor.h.
 *
 *     STARTING --every region and worker is live--> RUNNING
 *        |  a node died, or 30 s passed                | Ctrl-C
 *        +---------------------> STOPPING <------------+
 *
 * STOPPING goes tier by tier, workers first: they end their tasks and return them while their region still
 * listens, so that nothing is marked as a possible duplicate. A second Ctrl-C kills. */
#include "cli/dev_supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/dev_control.h"
#include "cli/dev_state.h"
#include "cli/table.h"

enum { READY_WAIT_MS = 30 * 1000 };

/* How long a tier may take to end by itself. A worker gives its tasks 5 s between TERM and KILL. */
static const unsigned stop_wait_ms[DEV_TIER_COUNT] = {10 * 1000, 10 * 1000, 15 * 1000};

uint64_t dev_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void log_path(const struct supervisor *supervisor, const struct dev_node *node, char *path,
                     size_t size)
{
    snprintf(path, size, "%s/log/%s.log", supervisor->plan->absolute, node->file);
}

/* Common to all children: signals as they were, and no life without the supervisor. */
static void become_child(const struct supervisor *supervisor)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != supervisor->self)
        _exit(EXIT_FAILURE); /* it died before the line above */
    setpgid(0, 0);           /* Ctrl-C is for the supervisor, which stops the nodes in order */
    sigprocmask(SIG_SETMASK, &supervisor->inherited, NULL);
}

_Noreturn static void become_node(const struct supervisor *supervisor, const struct dev_node *node)
{
    become_child(supervisor);
    char log[PATH_MAX + DEV_NAME_BYTES_MAX + 16], configuration[PATH_MAX + DEV_NAME_BYTES_MAX + 16];
    log_path(supervisor, node, log, sizeof log);
    snprintf(configuration, sizeof configuration, "%s/%s.ini", supervisor->plan->absolute, node->file);
    int output = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (output < 0 || input < 0) {
        fprintf(stderr, "meridian: cannot open %s: %s\n", log, strerror(errno));
        _exit(EXIT_FAILURE);
    }
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    char program[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    program[size < 0 ? 0 : size] = '\0';
    char *const arguments[] = {"meridian", (char *)dev_tier_text(node->tier), "run", "-c", configuration,
                               NULL};
    execv(program, arguments);
    execv("/proc/self/exe", arguments); /* the program's file was replaced while it ran */
    fprintf(stderr, "meridian: cannot run %s: %s\n", program, strerror(errno));
    _exit(EXIT_FAILURE);
}

bool dev_start_node(struct supervisor *supervisor, struct dev_node *node)
{
    pid_t pid = fork();
    if (pid == 0)
        become_node(supervisor, node);
    if (pid < 0) {
        fprintf(stderr, "meridian: cannot start %s: %s\n", node->name, strerror(errno));
        return false;
    }
    node->pid = pid;
    node->since_ms = dev_now_ms();
    return true;
}

/* It has the listeners from here on; the supervisor keeps the switches. */
static bool start_shim(struct supervisor *supervisor)
{
    supervisor->shim_pid = fork();
    if (supervisor->shim_pid == 0) {
        become_child(supervisor);
        shim_run(supervisor->shim);
    }
    shim_close_listeners(supervisor->shim);
    return supervisor->shim_pid > 0;
}

static bool start_ready_wait(struct supervisor *supervisor)
{
    supervisor->ready = fork();
    if (supervisor->ready == 0) {
        become_child(supervisor);
        _exit(dev_ready_wait(supervisor->plan, READY_WAIT_MS));
    }
    return supervisor->ready > 0;
}

/* "./x" for a relative directory, as a person would type it. */
static const char *here(const char *directory)
{
    return directory[0] == '/' || strncmp(directory, "./", 2) == 0 || strncmp(directory, "../", 3) == 0
               ? ""
               : "./";
}

static void print_sandbox(const struct dev_plan *plan)
{
    static const struct table_column columns[] = {
        {"LINK", 0, false}, {"RTT", 0, true}, {"JITTER", 0, true}, {"LOSS", 0, true}};
    printf("sandbox  the broker is in %s; a silent region is lost after " DEV_SANDBOX_REGION_GRACE
           ", a worker after " DEV_WORKER_GRACE "\n",
           plan->regions[plan->broker_region]);
    struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
    for (unsigned i = 0; i < plan->region_count; i++) {
        const struct line *line = &plan->lines[i];
        table_cell(table, "%s - broker", plan->regions[i]);
        table_cell(table, "%.0f ms", (double)line->rtt_us / 1000);
        table_cell(table, "%.0f ms", (double)line->jitter_us / 1000);
        table_cell(table, "%g%%", (double)line->loss_ppm / 10000);
    }
    table_print(table, stdout);
    printf("try      meridian dev partition %s | heal %s | pause %s/w1 | resume %s/w1 | status\n",
           plan->regions[plan->region_count - 1], plan->regions[plan->region_count - 1], plan->regions[0],
           plan->regions[0]);
}

static void print_running(const struct dev_plan *plan)
{
    printf("broker   tcp://127.0.0.1:%u\n", dev_plan_clients_port(plan));
    printf("regions ");
    for (unsigned i = 0; i < plan->region_count; i++)
        printf(" %s", plan->regions[i]);
    printf(", %u worker%s each, %u slot%s each\n", plan->workers, plan->workers == 1 ? "" : "s", plan->slots,
           plan->slots == 1 ? "" : "s");
    if (plan->sandbox)
        print_sandbox(plan);
    printf("data     %s%s   logs %s%s/log\n", here(plan->directory), plan->directory, here(plan->directory),
           plan->directory);
    printf("Ctrl-C stops everything; your tasks stay.\n");
    fflush(stdout);
}

/* The last line of the node's log, "" if there is none. */
static void last_log_line(const struct supervisor *supervisor, const struct dev_node *node, char *line,
                          size_t size)
{
    char path[PATH_MAX + DEV_NAME_BYTES_MAX + 16], tail[1024];
    log_path(supervisor, node, path, sizeof path);
    line[0] = '\0';
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    off_t end = lseek(file, 0, SEEK_END);
    ssize_t got =
        pread(file, tail, sizeof tail - 1, end < (off_t)sizeof tail ? 0 : end - (off_t)sizeof tail + 1);
    close(file);
    while (got > 0 && tail[got - 1] == '\n')
        got--;
    if (got <= 0)
        return;
    tail[got] = '\0';
    const char *newline = strrchr(tail, '\n');
    snprintf(line, size, "%s", newline == NULL ? tail : newline + 1);
}

static void report_death(const struct supervisor *supervisor, const struct dev_node *node, int status)
{
    char how[64], line[1024];
    bool drained = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_OK;
    if (drained && supervisor->phase == DEV_RUNNING) {
        fprintf(stderr, "meridian: %s was drained and has ended. Start it again: meridian dev start %s\n",
                node->name, node->name);
        return;
    }
    if (WIFSIGNALED(status))
        snprintf(how, sizeof how, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(how, sizeof how, "exit status %d", WEXITSTATUS(status));
    last_log_line(supervisor, node, line, sizeof line);
    const char *directory = supervisor->plan->directory;
    fprintf(stderr, "meridian: %s ended by itself: %s; the last line of %s%s/log/%s.log: %s\n", node->name,
            how, here(directory), directory, node->file, line);
    if (supervisor->phase == DEV_RUNNING)
        fprintf(stderr, "meridian: start it again with: meridian dev start %s\n", node->name);
}

static unsigned signal_tier(const struct supervisor *supervisor, int tier, int signal_number)
{
    unsigned alive = 0;
    for (unsigned i = 0; i < supervisor->plan->node_count; i++) {
        const struct dev_node *node = &supervisor->plan->nodes[i];
        if ((int)node->tier != tier || node->pid == 0)
            continue;
        alive++;
        if (signal_number != 0)
            kill(node->pid, signal_number);
    }
    return alive;
}

/* Goes down to the next tier that has nodes alive, and tells them to end. */
static void stop_next_tier(struct supervisor *supervisor)
{
    while (supervisor->stopping >= 0 && signal_tier(supervisor, supervisor->stopping, 0) == 0) {
        supervisor->stopping--;
        if (supervisor->stopping >= 0) {
            signal_tier(supervisor, supervisor->stopping, SIGTERM);
            supervisor->stop_deadline_ms = dev_now_ms() + stop_wait_ms[supervisor->stopping];
        }
    }
}

/* A paused node or a cut link would only make the end slower, and tasks marked that need not be. */
static void undo_faults(struct supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->plan->node_count; i++) {
        dev_heal(supervisor, &supervisor->plan->nodes[i]);
        dev_resume(&supervisor->plan->nodes[i]);
    }
}

static void stop(struct supervisor *supervisor, int exit_status)
{
    if (supervisor->phase == DEV_STOPPING)
        return;
    supervisor->phase = DEV_STOPPING;
    supervisor->exit_status = exit_status;
    if (supervisor->ready > 0)
        kill(supervisor->ready, SIGKILL);
    supervisor->stopping = DEV_TIER_COUNT; /* above the first */
    undo_faults(supervisor);
    stop_next_tier(supervisor);
}

static void kill_all(const struct supervisor *supervisor)
{
    for (int tier = DEV_TIER_COUNT - 1; tier >= 0; tier--)
        signal_tier(supervisor, tier, SIGKILL);
}

static void on_stop_deadline(struct supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->plan->node_count; i++) {
        const struct dev_node *node = &supervisor->plan->nodes[i];
        if ((int)node->tier == supervisor->stopping && node->pid != 0)
            fprintf(stderr, "meridian: %s did not stop in %u s: killed\n", node->name,
                    stop_wait_ms[supervisor->stopping] / 1000);
    }
    signal_tier(supervisor, supervisor->stopping, SIGKILL);
    supervisor->stop_deadline_ms = dev_now_ms() + stop_wait_ms[supervisor->stopping];
}

static void on_node_end(struct supervisor *supervisor, struct dev_node *node, int status)
{
    node->pid = 0;
    node->paused = false;
    node->since_ms = dev_now_ms();
    if (node->kill_reply >= 0) {
        dev_killed(supervisor, node);
    } else if (supervisor->phase != DEV_STOPPING) {
        report_death(supervisor, node, status);
        if (supervisor->phase == DEV_STARTING)
            stop(supervisor, EXIT_FAILURE);
    }
}

static void on_ready_end(struct supervisor *supervisor, int status)
{
    supervisor->ready = 0;
    if (supervisor->phase != DEV_STARTING)
        return;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_OK) {
        stop(supervisor, EXIT_UNAVAILABLE);
        return;
    }
    supervisor->phase = DEV_RUNNING;
    print_running(supervisor->plan);
}

static void on_shim_end(struct supervisor *supervisor)
{
    supervisor->shim_pid = 0;
    fprintf(stderr, "meridian: the process that is the sandbox's links has ended; the cluster stops\n");
    stop(supervisor, EXIT_FAILURE);
}

static void reap(struct supervisor *supervisor)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == supervisor->ready)
            on_ready_end(supervisor, status);
        if (pid == supervisor->shim_pid)
            on_shim_end(supervisor);
        for (unsigned i = 0; i < supervisor->plan->node_count; i++)
            if (supervisor->plan->nodes[i].pid == pid)
                on_node_end(supervisor, &supervisor->plan->nodes[i], status);
    }
    if (supervisor->phase == DEV_STOPPING)
        stop_next_tier(supervisor);
}

static void on_signal(struct supervisor *supervisor)
{
    struct signalfd_siginfo caught;
    if (read(supervisor->signals, &caught, sizeof caught) != sizeof caught)
        return;
    if (caught.ssi_signo == SIGCHLD)
        reap(supervisor);
    else if (supervisor->phase == DEV_STOPPING)
        kill_all(supervisor);
    else
        stop(supervisor, supervisor->phase == DEV_STARTING ? EXIT_FAILURE : EXIT_OK);
}

static void run(struct supervisor *supervisor)
{
    while (supervisor->phase != DEV_STOPPING || supervisor->stopping >= 0) {
        struct pollfd items[] = {{.fd = supervisor->signals, .events = POLLIN},
                                 {.fd = supervisor->listener, .events = POLLIN}};
        int wait_ms = -1;
        if (supervisor->phase == DEV_STOPPING) {
            uint64_t now = dev_now_ms();
            wait_ms = now >= supervisor->stop_deadline_ms ? 0 : (int)(supervisor->stop_deadline_ms - now);
        }
        if (poll(items, 2, wait_ms) == 0)
            on_stop_deadline(supervisor);
        if (items[0].revents != 0)
            on_signal(supervisor);
        if (items[1].revents != 0)
            dev_on_request(supervisor);
    }
}

/* The log of the run before is kept as NODE.log.1. */
static void turn_logs(const struct supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->plan->node_count; i++) {
        char path[PATH_MAX + DEV_NAME_BYTES_MAX + 16], older[PATH_MAX + DEV_NAME_BYTES_MAX + 32];
        log_path(supervisor, &supervisor->plan->nodes[i], path, sizeof path);
        snprintf(older, sizeof older, "%s.1", path);
        if (rename(path, older) != 0 && errno != ENOENT)
            fprintf(stderr, "meridian: %s: %s\n", path, strerror(errno));
    }
}

int dev_supervise(struct dev_plan *plan, struct shim *shim, int listener)
{
    struct supervisor supervisor = {
        .plan = plan, .shim = shim, .listener = listener, .stopping = DEV_TIER_COUNT, .self = getpid()};
    sigset_t watched;
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGHUP);
    sigprocmask(SIG_BLOCK, &watched, &supervisor.inherited);
    supervisor.signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    if (supervisor.signals < 0) {
        fprintf(stderr, "meridian: signalfd: %s\n", strerror(errno));
        return EXIT_FAILURE;
    }
    turn_logs(&supervisor);
    bool started = shim == NULL || start_shim(&supervisor);
    for (unsigned i = 0; i < plan->node_count && started; i++)
        started = dev_start_node(&supervisor, &plan->nodes[i]);
    if (!started || !start_ready_wait(&supervisor))
        stop(&supervisor, EXIT_FAILURE);
    run(&supervisor);
    close(supervisor.signals);
    return supervisor.exit_status;
}
