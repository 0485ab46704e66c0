/* launcher_test.c - the launcher with real processes: what they get, what comes back, and that none stays. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/writer.h"
#include "worker/launcher_io.h"

enum { LIMIT_MS = 20000, TASK_BYTES = 1280 * 1024, OUTPUT_BYTES = 64 * 1024 };

static uint8_t task_bytes[TASK_BYTES];

/* A task map of argv and whatever else is given. */
struct task {
    const char *argv[8];
    const char *cwd, *variable, *value;
    struct bytes payload;
};

static struct bytes task_map(const struct task *task)
{
    struct writer writer;
    uint32_t arguments = 0;
    writer_init(&writer, task_bytes, sizeof task_bytes);
    while (task->argv[arguments] != NULL)
        arguments++;
    write_map(&writer, 1 + (task->cwd != NULL) + (task->variable != NULL) + (task->payload.size != 0));
    write_str(&writer, "argv");
    write_array(&writer, arguments);
    for (uint32_t i = 0; i < arguments; i++)
        write_str(&writer, task->argv[i]);
    if (task->cwd != NULL) {
        write_str(&writer, "cwd");
        write_str(&writer, task->cwd);
    }
    if (task->variable != NULL) {
        write_str(&writer, "env");
        write_map(&writer, 1);
        write_str(&writer, task->variable);
        write_str(&writer, task->value);
    }
    if (task->payload.size != 0) {
        write_str(&writer, "payload");
        write_bin(&writer, task->payload);
    }
    return writer_bytes(&writer);
}

static struct launcher *new_launcher(void)
{
    struct launcher_options options = {.output_bytes = OUTPUT_BYTES};
    struct launcher *launcher = launcher_fork(&options);
    cr_assert_not_null(launcher);
    return launcher;
}

static void start(struct launcher *launcher, uint32_t slot, const struct task *task)
{
    struct process process = {.action = PROCESS_START,
                              .slot = slot,
                              .id = {{0xab, 0xcd}},
                              .fence = {1, 2, 3 + slot},
                              .attempt = 7,
                              .handler = UINT32_MAX};
    launcher_perform(launcher, NULL, &process, task_map(task));
}

static void stop(struct launcher *launcher, uint32_t slot, enum process_action action)
{
    struct process process = {.action = action, .slot = slot};
    launcher_perform(launcher, NULL, &process, (struct bytes){0});
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void poll_launcher(struct launcher *launcher)
{
    zmq_pollitem_t item;
    cr_assert_eq(launcher_fill_poll(launcher, &item, 1), 1);
    struct pollfd ready = {.fd = item.fd, .events = POLLIN};
    poll(&ready, 1, 100);
}

/* The next event of this kind; others before it are dropped. */
static struct process_end wait_for(struct launcher *launcher, enum event_kind kind)
{
    uint64_t deadline_ms = now_ms() + LIMIT_MS;
    struct event event;
    while (now_ms() < deadline_ms) {
        while (launcher_next_event(launcher, &event))
            if (event.kind == kind)
                return event.process;
        poll_launcher(launcher);
    }
    cr_assert_fail("no event within %d ms", LIMIT_MS);
    return (struct process_end){0};
}

/* Read events until the process has printed something to this file. */
static long wait_for_number(struct launcher *launcher, const char *path)
{
    uint64_t deadline_ms = now_ms() + LIMIT_MS;
    struct event event;
    while (now_ms() < deadline_ms) {
        long number = 0;
        FILE *file = fopen(path, "r");
        if (file != NULL) {
            int got = fscanf(file, "%ld\n", &number);
            fclose(file);
            if (got == 1)
                return number;
        }
        if (launcher != NULL) {
            launcher_next_event(launcher, &event);
            poll_launcher(launcher);
        } else {
            poll(NULL, 0, 10);
        }
    }
    cr_assert_fail("nothing in %s within %d ms", path, LIMIT_MS);
    return 0;
}

static struct process_end run(struct launcher *launcher, const struct task *task)
{
    start(launcher, 0, task);
    return wait_for(launcher, EVENT_PROCESS_ENDED);
}

static void expect_output(struct process_end end, const char *text)
{
    cr_expect(bytes_are(end.output, text), "output is '%.*s'", (int)end.output.size, end.output.data);
}

/* Gone, or a zombie that only its parent can still see. */
static bool is_dead(pid_t pid)
{
    char path[32], state = 'X';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return true;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 'X';
    fclose(file);
    return state == 'Z' || state == 'X';
}

static void wait_dead(pid_t pid)
{
    uint64_t deadline_ms = now_ms() + LIMIT_MS;
    while (!is_dead(pid)) {
        cr_assert(now_ms() < deadline_ms, "process %d lives on", (int)pid);
        poll(NULL, 0, 5);
    }
}

static void temporary_path(char path[32])
{
    strcpy(path, "/tmp/meridian-test-XXXXXX");
    int file = mkstemp(path);
    cr_assert(file >= 0);
    close(file);
}

Test(launcher, reports_exit_status_output_and_error)
{
    struct launcher *launcher = new_launcher();
    struct task task = {.argv = {"sh", "-c", "echo out; echo no >&2; exit 3"}};
    start(launcher, 0, &task);
    cr_expect(wait_for(launcher, EVENT_PROCESS_STARTED).started);
    struct process_end end = wait_for(launcher, EVENT_PROCESS_ENDED);
    cr_expect(end.started);
    cr_expect_eq(end.exit_status, 3);
    cr_expect_eq(end.signal, 0);
    expect_output(end, "out\n");
    cr_expect(bytes_are(end.error, "no\n"));
    cr_expect(!end.output_cut && !end.error_cut);
    launcher_close(launcher);
}

Test(launcher, reports_the_signal_that_ended_it)
{
    struct launcher *launcher = new_launcher();
    struct process_end end = run(launcher, &(struct task){.argv = {"sh", "-c", "kill -SEGV $$"}});
    cr_expect(end.started);
    cr_expect_eq(end.exit_status, -1);
    cr_expect_eq(end.signal, SIGSEGV);
    launcher_close(launcher);
}

Test(launcher, keeps_the_first_bytes_and_says_when_cut)
{
    struct launcher *launcher = new_launcher();
    struct task loud = {.argv = {"sh", "-c", "printf first; head -c 3000000 /dev/zero; echo end >&2"}};
    struct process_end end = run(launcher, &loud);
    cr_expect_eq(end.exit_status, 0, "the process is not stopped by a full pipe");
    cr_expect_eq(end.output.size, (size_t)OUTPUT_BYTES);
    cr_expect(memcmp(end.output.data, "first\0\0", 7) == 0);
    cr_expect(end.output_cut);
    cr_expect(!end.error_cut);
    struct task exact = {.argv = {"head", "-c", "65536", "/dev/zero"}};
    end = run(launcher, &exact);
    cr_expect_eq(end.output.size, (size_t)OUTPUT_BYTES);
    cr_expect(!end.output_cut, "exactly the limit is not cut");
    launcher_close(launcher);
}

Test(launcher, gives_the_payload_as_input)
{
    struct launcher *launcher = new_launcher();
    enum { PAYLOAD = 1024 * 1024 };
    uint8_t *payload = malloc(PAYLOAD);
    for (size_t i = 0; i < PAYLOAD; i++)
        payload[i] = (uint8_t)(i * 31 >> 3);
    struct task count = {.argv = {"wc", "-c"}, .payload = {payload, PAYLOAD}};
    expect_output(run(launcher, &count), "1048576\n");
    struct task head = {.argv = {"head", "-c", "5000"}, .payload = {payload, PAYLOAD}};
    struct process_end end = run(launcher, &head);
    cr_expect(bytes_equal(end.output, (struct bytes){payload, 5000}));
    struct task ignores = {.argv = {"true"}, .payload = {payload, PAYLOAD}};
    cr_expect_eq(run(launcher, &ignores).exit_status, 0);
    expect_output(run(launcher, &(struct task){.argv = {"wc", "-c"}}), "0\n");
    free(payload);
    launcher_close(launcher);
}

Test(launcher, gives_variables_and_directory)
{
    struct launcher *launcher = new_launcher();
    struct task task = {
        .argv = {"sh", "-c", "echo $MERIDIAN_TASK $MERIDIAN_ATTEMPT $MERIDIAN_FENCE $COLOUR; pwd"},
        .cwd = "/usr",
        .variable = "COLOUR",
        .value = "dark blue"};
    expect_output(run(launcher, &task),
                  "abcd0000000000000000000000000000 7 000000010000000200000003 dark blue\n"
                  "/usr\n");
    launcher_close(launcher);
}

Test(launcher, leaks_no_descriptor_and_no_signal_setting)
{
    int inherited = open("/dev/zero", O_RDONLY);
    cr_assert(inherited >= 0);
    struct launcher *launcher = new_launcher();
    struct task descriptors = {
        .argv = {"sh", "-c",
                 "n=3; while [ $n -lt 60 ]; do [ -e /proc/$$/fd/$n ] && echo $n; n=$((n+1)); done"}};
    expect_output(run(launcher, &descriptors), "");
    struct task signals = {.argv = {"grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status"}};
    expect_output(run(launcher, &signals), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    close(inherited);
    launcher_close(launcher);
}

Test(launcher, reports_what_cannot_be_executed)
{
    static const struct {
        struct task task;
        int error;
        const char *path;
    } cases[] = {
        {{.argv = {"/nonexistent/program"}}, ENOENT, "/nonexistent/program"},
        {{.argv = {"no-such-program-in-path"}}, ENOENT, "no-such-program-in-path"},
        {{.argv = {"/etc/passwd"}}, EACCES, "/etc/passwd"},
        {{.argv = {"true"}, .cwd = "/nonexistent"}, ENOENT, "working directory /nonexistent"},
        {{.argv = {"true"}, .cwd = "/etc/passwd"}, ENOTDIR, "working directory /etc/passwd"},
    };
    struct launcher *launcher = new_launcher();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct process_end end = run(launcher, &cases[i].task);
        cr_expect(!end.started, "case %zu", i);
        cr_expect_eq(end.start_error, cases[i].error, "case %zu: %d", i, end.start_error);
        cr_expect(bytes_are(end.error, cases[i].path), "case %zu: %.*s", i, (int)end.error.size,
                  end.error.data);
    }
    struct process_end end = run(launcher, &(struct task){.argv = {"echo", "still", "works"}});
    expect_output(end, "still works\n");
    launcher_close(launcher);
}

Test(launcher, passes_large_arguments)
{
    struct launcher *launcher = new_launcher();
    struct writer writer;
    static char argument[100 * 1000 + 1];
    memset(argument, 'x', sizeof argument - 1);
    writer_init(&writer, task_bytes, sizeof task_bytes);
    write_map(&writer, 1);
    write_str(&writer, "argv");
    write_array(&writer, 15);
    write_str(&writer, "sh");
    write_str(&writer, "-c");
    write_str(&writer, "echo $# ${#10}");
    for (int i = 0; i < 12; i++)
        write_str(&writer, argument);
    struct process process = {.action = PROCESS_START, .handler = UINT32_MAX};
    launcher_perform(launcher, NULL, &process, writer_bytes(&writer));
    expect_output(wait_for(launcher, EVENT_PROCESS_ENDED), "11 100000\n");
    launcher_close(launcher);
}

Test(launcher, runs_the_command_line_of_a_handler)
{
    char *words[] = {"sh", "-c", "cat; echo \" $MERIDIAN_ATTEMPT\"", NULL};
    struct launcher_handler handlers[] = {{.words = NULL}, {.words = words}};
    struct launcher_options options = {
        .output_bytes = OUTPUT_BYTES, .handlers = handlers, .handler_count = 2};
    struct launcher *launcher = launcher_fork(&options);
    struct writer writer;
    writer_init(&writer, task_bytes, sizeof task_bytes);
    write_map(&writer, 2);
    write_str(&writer, "type");
    write_str(&writer, "resize");
    write_str(&writer, "payload");
    write_bin(&writer, bytes_of("picture"));
    struct process process = {.action = PROCESS_START, .handler = 1, .attempt = 2};
    launcher_perform(launcher, NULL, &process, writer_bytes(&writer));
    expect_output(wait_for(launcher, EVENT_PROCESS_ENDED), "picture 2\n");
    launcher_close(launcher);
}

Test(launcher, runs_many_at_once)
{
    enum { MANY = 100 };
    struct launcher *launcher = new_launcher();
    bool seen[MANY] = {false};
    for (uint32_t slot = 0; slot < MANY; slot++)
        start(launcher, slot, &(struct task){.argv = {"sh", "-c", "echo $MERIDIAN_FENCE"}});
    for (int i = 0; i < MANY; i++) {
        struct process_end end = wait_for(launcher, EVENT_PROCESS_ENDED);
        char expected[32];
        snprintf(expected, sizeof expected, "0000000100000002%08x\n", 3 + end.slot);
        expect_output(end, expected);
        cr_expect(!seen[end.slot]);
        seen[end.slot] = true;
    }
    launcher_close(launcher);
}

Test(launcher, terminates_then_kills_the_group)
{
    struct launcher *launcher = new_launcher();
    char path[32], script[200];
    temporary_path(path);
    start(launcher, 0, &(struct task){.argv = {"sleep", "600"}});
    wait_for(launcher, EVENT_PROCESS_STARTED);
    stop(launcher, 0, PROCESS_TERMINATE);
    cr_expect_eq(wait_for(launcher, EVENT_PROCESS_ENDED).signal, SIGTERM);

    snprintf(script, sizeof script, "trap '' TERM; sleep 600 & echo $! > %s; while :; do wait; done", path);
    start(launcher, 0, &(struct task){.argv = {"sh", "-c", script}});
    pid_t grandchild = (pid_t)wait_for_number(launcher, path);
    stop(launcher, 0, PROCESS_TERMINATE);
    stop(launcher, 0, PROCESS_KILL);
    cr_expect_eq(wait_for(launcher, EVENT_PROCESS_ENDED).signal, SIGKILL);
    wait_dead(grandchild);
    unlink(path);
    launcher_close(launcher);
}

Test(launcher, terminates_a_stopped_group)
{
    struct launcher *launcher = new_launcher();
    char path[32], script[100];
    temporary_path(path);
    snprintf(script, sizeof script, "echo $$ > %s; kill -STOP $$; sleep 600", path);
    start(launcher, 0, &(struct task){.argv = {"sh", "-c", script}});
    wait_for_number(launcher, path);
    stop(launcher, 0, PROCESS_TERMINATE);
    cr_expect_eq(wait_for(launcher, EVENT_PROCESS_ENDED).signal, SIGTERM);
    unlink(path);
    launcher_close(launcher);
}

/* Descendants that hold the output open: in the group, in a session of their own, and one that prints on. */
Test(launcher, ends_although_descendants_hold_the_output)
{
    static const char *const left[] = {"sleep 600 &", "setsid sleep 600 &", "yes &", "setsid yes &",
                                       "(setsid sh -c 'trap \"\" TERM HUP; sleep 600' &);"};
    struct launcher *launcher = new_launcher();
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        char path[32], script[200];
        temporary_path(path);
        snprintf(script, sizeof script, "%s echo $! > %s; exit 4", left[i], path);
        struct process_end end = run(launcher, &(struct task){.argv = {"sh", "-c", script}});
        cr_expect_eq(end.exit_status, 4, "%s", left[i]);
        pid_t pid = 0;
        FILE *file = fopen(path, "r");
        if (fscanf(file, "%d", &pid) == 1 && pid != 0)
            wait_dead(pid);
        fclose(file);
        unlink(path);
    }
    launcher_close(launcher);
}

/* An agent in a process of its own starts a task with a grandchild and one in another session, then waits. */
static pid_t agent_with_grandchildren(const char *near, const char *far, const char *own)
{
    pid_t agent = fork();
    if (agent != 0)
        return agent;
    char script[300];
    struct launcher *launcher = new_launcher();
    snprintf(
        script, sizeof script,
        "env -u MERIDIAN_FENCE setsid sleep 600 & echo $! > %s; sleep 600 & echo $! > %s; echo $$ > %s; wait",
        far, near, own);
    start(launcher, 0, &(struct task){.argv = {"sh", "-c", script}});
    for (;;) {
        struct event event;
        while (launcher_next_event(launcher, &event))
            ;
        poll_launcher(launcher);
    }
}

static void kill_agent_and_expect_none(int signal_number, bool launcher_instead)
{
    char paths[3][32];
    pid_t pids[3];
    for (int i = 0; i < 3; i++)
        temporary_path(paths[i]);
    pid_t agent = agent_with_grandchildren(paths[0], paths[1], paths[2]);
    for (int i = 0; i < 3; i++)
        pids[i] = (pid_t)wait_for_number(NULL, paths[i]);
    pid_t victim = agent;
    if (launcher_instead) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)agent, (int)agent);
        victim = (pid_t)wait_for_number(NULL, path);
    }
    kill(victim, signal_number);
    int status;
    cr_assert_eq(waitpid(agent, &status, 0), agent);
    if (launcher_instead)
        cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 1, "the agent ends when its launcher dies");
    for (int i = 0; i < 3; i++) {
        wait_dead(pids[i]);
        unlink(paths[i]);
    }
}

Test(launcher, no_descendant_outlives_its_agent)
{
    kill_agent_and_expect_none(SIGKILL, false);
}

Test(launcher, no_descendant_outlives_the_launcher_and_the_agent_ends)
{
    kill_agent_and_expect_none(SIGKILL, true);
}

/* The terminal's Ctrl-C reaches every process of its group: the launcher must live on until its agent ends.
 */
Test(launcher, outlives_the_signals_of_the_terminal)
{
    struct launcher *launcher = new_launcher();
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    pid_t pid = (pid_t)wait_for_number(NULL, path);
    run(launcher, &(struct task){.argv = {"true"}}); /* it has come to its loop */
    kill(pid, SIGINT);
    kill(pid, SIGTERM);
    kill(pid, SIGHUP);
    expect_output(run(launcher, &(struct task){.argv = {"echo", "here"}}), "here\n");
    launcher_close(launcher);
}
