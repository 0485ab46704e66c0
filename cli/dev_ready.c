/* dev_ready.c - asks the broker until every region and every worker of the plan is live. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cluster.h"
#include "cli/dev.h"
#include "proto/reader.h"

enum { ASK_EVERY_MS = 50, REPLY_WAIT_MS = 1000, SILENT_MS = 2000 };

struct ready {
    const struct dev_plan *plan;
    struct client *client;
    bool live[DEV_NODES_MAX];
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A row of "regions" has a name, one of "workers" its region too. */
static void read_row(struct ready *ready, struct bytes row)
{
    struct bytes region = map_text(row, "region"), name = map_text(row, "name"),
                 state = map_text(row, "state");
    char full[DEV_NAME_BYTES_MAX + 1];
    if (state.size != strlen("live") || memcmp(state.data, "live", state.size) != 0 || map_bool(row, "stale"))
        return;
    snprintf(full, sizeof full, "%.*s%s%.*s", (int)region.size, (const char *)region.data,
             region.size == 0 ? "" : "/", (int)name.size, (const char *)name.data);
    /* A region further away than a QUERY waits never tells of its workers in time: it counts them, too. */
    bool all_there = region.size == 0 && map_number(row, "workers") >= ready->plan->workers;
    for (unsigned i = 0; i < ready->plan->node_count; i++) {
        const struct dev_node *node = &ready->plan->nodes[i];
        bool of_region = node->tier == DEV_WORKER && bytes_are(name, ready->plan->regions[node->region]);
        if (strcmp(node->name, full) == 0 || (all_there && of_region))
            ready->live[i] = true;
    }
}

/* One QUERY; a reply that does not come in time is not an error: the next one will. */
static void ask(struct ready *ready, const char *what)
{
    uint8_t space[64];
    struct writer writer;
    struct bytes kind, reply;
    writer_init(&writer, space, sizeof space);
    write_map(&writer, 1);
    write_str(&writer, "what");
    write_str(&writer, what);
    if (client_call(ready->client, "QUERY", writer_bytes(&writer), 0, REPLY_WAIT_MS, &kind, &reply) !=
            CLIENT_OK ||
        kind.size != strlen("ROWS") || memcmp(kind.data, "ROWS", kind.size) != 0)
        return;
    struct reader rows;
    reader_init(&rows, map_value(reply, "rows"));
    for (uint32_t left = read_array(&rows, UINT16_MAX); left > 0 && !reader_failed(&rows); left--)
        read_row(ready, read_raw(&rows));
}

static bool all_live(const struct ready *ready)
{
    for (unsigned i = 0; i < ready->plan->node_count; i++)
        if (ready->plan->nodes[i].tier != DEV_BROKER && !ready->live[i])
            return false;
    return true;
}

/* "us, ap, eu/w1": who is missing. Of workers only those whose region is there: only it knows of them. */
static void name_missing(const struct ready *ready)
{
    const struct dev_plan *plan = ready->plan;
    const char *separator = " ";
    for (unsigned i = 1; i < plan->node_count; i++) {
        const struct dev_node *node = &plan->nodes[i];
        bool known = node->tier == DEV_REGION || ready->live[1 + node->region];
        if (ready->live[i] || !known)
            continue;
        fprintf(stderr, "%s%s", separator, node->name);
        separator = ", ";
    }
}

static void say_waiting(const struct ready *ready, unsigned wait_ms)
{
    fprintf(stderr, "meridian: waiting for");
    name_missing(ready);
    fprintf(stderr, ", for %u s at most%s. Their logs are in %s/log\n", wait_ms / 1000,
            ready->plan->sandbox ? "; slow and lossy links take longer" : "", ready->plan->directory);
}

static void say_not_up(const struct ready *ready, unsigned wait_ms)
{
    fprintf(stderr, "meridian: not up after %u s:", wait_ms / 1000);
    name_missing(ready);
    fprintf(stderr, ". Their logs are in %s/log%s\n", ready->plan->directory,
            ready->plan->sandbox ? "; or is the network too bad? Try less --rtt, --jitter or --loss" : "");
}

static bool wait_until_live(struct ready *ready, unsigned wait_ms)
{
    bool said = false;
    for (uint64_t start_ms = now_ms(); now_ms() - start_ms < wait_ms;) {
        memset(ready->live, 0, sizeof ready->live);
        ask(ready, "regions");
        ask(ready, "workers");
        if (all_live(ready))
            return true;
        if (!said && now_ms() - start_ms >= SILENT_MS) {
            say_waiting(ready, wait_ms);
            said = true;
        }
        poll(NULL, 0, ASK_EVERY_MS);
    }
    return false;
}

int dev_ready_wait(const struct dev_plan *plan, unsigned wait_ms)
{
    struct ready ready = {.plan = plan};
    struct client_options options;
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", dev_plan_clients_port(plan));
    client_options_default(&options);
    options.tasks_max = 1; /* it asks only */
    ready.client = client_open(endpoint, &options);
    if (ready.client == NULL) {
        fprintf(stderr, "meridian: cannot open a socket to %s\n", endpoint);
        return EXIT_FAILURE;
    }
    bool live = wait_until_live(&ready, wait_ms);
    if (!live)
        say_not_up(&ready, wait_ms);
    client_close(ready.client);
    return live ? EXIT_OK : EXIT_UNAVAILABLE;
}
