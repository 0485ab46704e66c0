/* nodes.c - see nodes.h. */
#include "tests/stress/nodes.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/run.h"

enum { PORTS_OF_A_NODE = 2, ANOTHER_LIFE_S = 60 /* a node that takes longer to end hangs */ };

/* Ports are counted from the first one: a node listens on its own, and on the next for clients. */
static const struct {
    const char *role, *name;
    enum node_name parent;
    const char *settings;
} nodes_of[NODE_COUNT] = {
    [NODE_BROKER] = {"broker", "broker", NODE_BROKER, "region_grace = 3s\n"},
    [NODE_EU] = {"region", "eu", NODE_BROKER, "worker_grace = 3s\nretry_base = 100ms\n"},
    [NODE_US] = {"region", "us", NODE_BROKER, "worker_grace = 3s\nretry_base = 100ms\n"},
    [NODE_EU_W1] = {"worker", "w1", NODE_EU, "slots = 16\n"},
    [NODE_EU_W2] = {"worker", "w2", NODE_EU, "slots = 16\n"},
    [NODE_US_W1] = {"worker", "w1", NODE_US, "slots = 16\n"},
};

static void must(bool done, const char *what)
{
    if (done)
        return;
    fprintf(stderr, "stress: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int port_of(const struct nodes *nodes, enum node_name name)
{
    return nodes->first_port + PORTS_OF_A_NODE * (int)name;
}

static void config_path(const struct nodes *nodes, enum node_name name, char *to, size_t size)
{
    snprintf(to, size, "%s/%d.ini", nodes->directory, (int)name);
}

static void write_config(const struct nodes *nodes, enum node_name name)
{
    char path[96];
    config_path(nodes, name, path, sizeof path);
    FILE *file = fopen(path, "w");
    must(file != NULL, path);
    fprintf(file, "[node]\ndata = %s/%d\nlog_level = warn\n[store]\nmax_bytes = 256MiB\n", nodes->directory,
            (int)name);
    fprintf(file, "[%s]\n%s", nodes_of[name].role, nodes_of[name].settings);
    if (name == NODE_BROKER)
        fprintf(file, "clients = tcp://127.0.0.1:%d\nregions = tcp://127.0.0.1:%d\nbeat = 100ms\n",
                port_of(nodes, name) + 1, port_of(nodes, name));
    else
        fprintf(file, "name = %s\nparent = tcp://127.0.0.1:%d\nreconnect_max = 200ms\n", nodes_of[name].name,
                port_of(nodes, nodes_of[name].parent));
    if (name == NODE_EU || name == NODE_US)
        fprintf(file, "workers = tcp://127.0.0.1:%d\nbeat = 100ms\n", port_of(nodes, name));
    if (strcmp(nodes_of[name].role, "worker") == 0)
        fprintf(file, "commands = allow\nspool_after = 20ms\n[type noop]\nbuiltin = noop\n");
    must(fclose(file) == 0, path);
}

static void start(struct nodes *nodes, enum node_name name)
{
    char path[96];
    config_path(nodes, name, path, sizeof path);
    pid_t process = fork();
    must(process >= 0, "fork");
    if (process == 0) { /* the clients' threads are not in this process: nothing but exec is safe */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl("/proc/self/exe", "stress_host", "node", nodes_of[name].role, path, (char *)NULL);
        _exit(127);
    }
    nodes->processes[name] = process;
}

static void note_end(struct nodes *nodes, enum node_name name, int status, int signal_number)
{
    nodes->processes[name] = 0;
    bool right = signal_number == SIGKILL ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
                                          : WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (right && signal_number != 0)
        return;
    nodes->wrong++;
    fprintf(stderr, "stress: %s %s ended with %s %d %s\n", nodes_of[name].role, nodes_of[name].name,
            WIFEXITED(status) ? "status" : "signal",
            WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
            signal_number == 0         ? "unasked"
            : signal_number == SIGKILL ? "before SIGKILL"
                                       : "on SIGTERM");
}

static void end(struct nodes *nodes, enum node_name name, int signal_number)
{
    int status;
    if (nodes->processes[name] == 0)
        return;
    kill(nodes->processes[name], signal_number);
    alarm(ANOTHER_LIFE_S);
    must(waitpid(nodes->processes[name], &status, 0) > 0, "waitpid");
    alarm(0);
    note_end(nodes, name, status, signal_number);
}

void nodes_open(struct nodes *nodes, int first_port)
{
    *nodes = (struct nodes){.directory = "/tmp/meridian-stress-XXXXXX", .first_port = first_port};
    must(mkdtemp(nodes->directory) != NULL, "a directory in /tmp");
    for (int name = 0; name < NODE_COUNT; name++) {
        write_config(nodes, (enum node_name)name);
        start(nodes, (enum node_name)name);
    }
}

void nodes_close(struct nodes *nodes)
{
    char command[96];
    for (int name = NODE_COUNT; name-- > 0;)
        end(nodes, (enum node_name)name, SIGTERM);
    if (nodes->wrong != 0) {
        fprintf(stderr, "stress: stores are left in %s\n", nodes->directory);
        return;
    }
    snprintf(command, sizeof command, "rm -r %s", nodes->directory);
    must(system(command) == 0, command);
}

void nodes_restart(struct nodes *nodes, enum node_name name, int signal_number)
{
    end(nodes, name, signal_number);
    start(nodes, name);
}

bool nodes_all_run(struct nodes *nodes)
{
    for (int name = 0; name < NODE_COUNT; name++) {
        int status;
        if (nodes->processes[name] != 0 && waitpid(nodes->processes[name], &status, WNOHANG) > 0)
            note_end(nodes, (enum node_name)name, status, 0);
    }
    return nodes->wrong == 0;
}

void nodes_server(const struct nodes *nodes, char *to, size_t size)
{
    snprintf(to, size, "tcp://127.0.0.1:%d", port_of(nodes, NODE_BROKER) + 1);
}

int nodes_be_one(char **arguments)
{
    return cli_run(arguments[0], arguments[1], 0, NULL, 0);
}
