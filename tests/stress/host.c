/* host.c - the live host under ThreadSanitizer: a cluster of real nodes (nodes.h) that are ended and started
 * again while clients in threads hand in tasks and wait for them. A plain main, since Criterion aborts under
 * the sanitizer.
 *
 *     stress_host [--tasks N] [--port P]     6 nodes, 4 clients; ports P to P + 11
 *
 * Exit status 0: every task has completed, every node ended as it was told, nothing was reported. A report
 * ends the process that it is about, at once, with status 66. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/client.h"
#include "tests/stress/nodes.h"

enum {
    CLIENTS = 4,
    TASKS = 4000,
    PORT = 24900,
    TASKS_OF_A_LIFE = 250, /* then a client is closed, and another is opened */
    COMMAND_EVERY = 25,    /* so seldom a task is a process; the others end inside the worker */
    NEXT_MS = 500,
    STANDSTILL_S = 60, /* without any progress it is over */
};

/* When so many of a hundred tasks have ended, this happens to that node. */
static const struct {
    unsigned percent;
    enum node_name name;
    int signal_number;
} blows[] = {
    {5, NODE_EU_W1, SIGTERM},   {10, NODE_BROKER, SIGTERM}, {18, NODE_EU, SIGTERM},
    {25, NODE_US_W1, SIGKILL},  {35, NODE_EU, SIGKILL},     {45, NODE_BROKER, SIGKILL},
    {55, NODE_US, SIGTERM},     {65, NODE_EU_W2, SIGKILL},  {75, NODE_US, SIGKILL},
    {85, NODE_BROKER, SIGTERM}, {92, NODE_US_W1, SIGTERM},
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    unsigned ended, clients_done;
    bool failed;
} progress = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

static char server[64];
static unsigned tasks_of_a_client = TASKS / CLIENTS;

/* ---- clients, each in a thread of its own ---- */

static void report(unsigned ended, unsigned clients_done, bool failed)
{
    pthread_mutex_lock(&progress.lock);
    progress.ended += ended;
    progress.clients_done += clients_done;
    progress.failed |= failed;
    pthread_cond_signal(&progress.moved);
    pthread_mutex_unlock(&progress.lock);
}

static bool submit(struct client *client, unsigned first, unsigned count)
{
    static const char *const command[] = {"true"};
    for (unsigned i = first; i < first + count; i++) {
        struct client_task task = {.type = "noop", .payload = bytes_of("stress"), .retries = -1};
        uint8_t id[TASK_ID_BYTES];
        if (i % COMMAND_EVERY == 0)
            task = (struct client_task){.arguments = command, .argument_count = 1, .retries = 3};
        if (client_submit(client, &task, i, true, id) != CLIENT_OK)
            return false;
    }
    return true;
}

/* False if something else came than what belongs to these tasks: each is accepted, then completes once. */
static bool take_ends(struct client *client, unsigned first, unsigned count)
{
    bool ended[TASKS_OF_A_LIFE] = {false};
    unsigned left = count;
    while (left > 0) {
        struct client_event event;
        enum client_status status = client_next(client, NEXT_MS, &event);
        if (status == CLIENT_TIMEOUT) {
            report(0, 0, false);
            continue;
        }
        if (status != CLIENT_OK)
            return false;
        if (event.kind == CLIENT_ACCEPTED)
            continue;
        bool good = event.kind == CLIENT_ENDED && bytes_are(event.outcome.state, "completed") &&
                    event.tag >= first && event.tag < first + count && !ended[event.tag - first];
        if (!good) {
            fprintf(stderr, "stress: task %u: event %d, state %.*s, %.*s\n", (unsigned)event.tag,
                    (int)event.kind, (int)event.outcome.state.size, (const char *)event.outcome.state.data,
                    (int)event.reason.size, (const char *)event.reason.data);
            return false;
        }
        ended[event.tag - first] = true;
        left--;
        report(1, 0, false);
    }
    return true;
}

static bool live(unsigned first, unsigned count)
{
    struct client_options options;
    client_options_default(&options);
    struct client *client = client_open(server, &options);
    bool good = client != NULL && submit(client, first, count) && take_ends(client, first, count);
    client_close(client);
    return good;
}

static void *be_client(void *unused)
{
    bool good = true;
    for (unsigned first = 0; good && first < tasks_of_a_client; first += TASKS_OF_A_LIFE) {
        unsigned left = tasks_of_a_client - first;
        good = live(first, left < TASKS_OF_A_LIFE ? left : TASKS_OF_A_LIFE);
    }
    report(0, 1, !good);
    return unused;
}

/* ---- the main thread, of which the nodes are children ---- */

static struct timespec standstill(void)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += STANDSTILL_S;
    return at;
}

/* Until so many tasks have ended, or all clients are done. False if nothing moves or something is wrong. */
static bool wait_ended(struct nodes *nodes, unsigned ended)
{
    struct timespec until = standstill();
    int error = 0;
    pthread_mutex_lock(&progress.lock);
    while (error == 0 && progress.ended < ended && progress.clients_done < CLIENTS && !progress.failed &&
           nodes_all_run(nodes)) {
        unsigned seen = progress.ended;
        error = pthread_cond_timedwait(&progress.moved, &progress.lock, &until);
        if (progress.ended != seen)
            until = standstill();
    }
    bool good = error == 0 && !progress.failed && nodes->wrong == 0;
    if (error != 0)
        fprintf(stderr, "stress: %u tasks have ended, and no other in %d s\n", progress.ended, STANDSTILL_S);
    pthread_mutex_unlock(&progress.lock);
    return good;
}

static bool stress(struct nodes *nodes)
{
    pthread_t clients[CLIENTS];
    unsigned tasks = CLIENTS * tasks_of_a_client;
    for (int i = 0; i < CLIENTS; i++)
        if (pthread_create(&clients[i], NULL, be_client, NULL) != 0)
            return false;
    for (size_t i = 0; i < sizeof blows / sizeof blows[0]; i++) {
        if (!wait_ended(nodes, tasks / 100 * blows[i].percent))
            return false;
        nodes_restart(nodes, blows[i].name, blows[i].signal_number);
    }
    if (!wait_ended(nodes, tasks + 1)) /* until the clients are done */
        return false;
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    return true;
}

static unsigned number(const char *option, const char *text)
{
    char *end;
    unsigned long value = text == NULL ? 0 : strtoul(text, &end, 10);
    if (value != 0 && *end == '\0' && value <= 10000000)
        return (unsigned)value;
    fprintf(stderr, "stress: %s: a number from 1 on\n", option);
    exit(2);
}

int main(int argc, char **argv)
{
    struct nodes nodes;
    unsigned port = PORT;
    if (argc == 4 && strcmp(argv[1], "node") == 0)
        return nodes_be_one(argv + 2);
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--tasks") == 0)
            tasks_of_a_client = (number(argv[i], argv[i + 1]) + CLIENTS - 1) / CLIENTS;
        else if (strcmp(argv[i], "--port") == 0)
            port = number(argv[i], argv[i + 1]);
        else {
            fprintf(stderr, "usage: stress_host [--tasks N] [--port P]\n");
            return 2;
        }
    }
    nodes_open(&nodes, (int)port);
    nodes_server(&nodes, server, sizeof server);
    bool good = stress(&nodes);
    nodes.wrong += !good;
    nodes_close(&nodes);
    printf("%u of %u tasks completed, %zu restarts, %d failures\n", progress.ended,
           CLIENTS * tasks_of_a_client, sizeof blows / sizeof blows[0], nodes.wrong);
    return nodes.wrong == 0 ? 0 : 1;
}
