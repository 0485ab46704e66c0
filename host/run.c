/* run.c - see host.h: start and end of the live host. The loop is loop.c. */
#include <czmq.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "host/log.h"
#include "host/loop.h"

enum { LINGER_MS = 500 /* at the end, for what was sent last */ };

static void restore_record(void *context, enum table table, uint64_t number, uint32_t part,
                           struct bytes value)
{
    struct host *host = context;
    struct event event = {.kind = EVENT_RESTORE};
    event.record.table = table;
    event.record.number = number;
    event.record.part = part;
    event.record.value = value;
    if (batch_full(host->gathering) && batch_is_idle(host->gathering))
        batch_reset(host->gathering); /* traces only */
    host_step(host, &event);
    host->restored++;
}

static void refuse_remote(const char *key, const char *endpoint, bool insecure)
{
    if (endpoint != NULL && !insecure && !endpoint_is_local(endpoint))
        host_fatal(
            "%s = %s listens beyond this machine, and nothing on the way is encrypted yet; use an address "
            "of 127.0.0.1, or give --insecure if every host that can reach it is trusted",
            key, endpoint);
}

static void set_signals(struct host *host)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    signal(SIGPIPE, SIG_IGN);
    host->signals = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
    if (host->signals < 0)
        host_fatal("cannot wait for signals: %s", strerror(errno));
    /* At the limit of open files libzmq tries to accept for ever. */
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* Refuses what can be refused before anything is touched; the store's lock comes before the ports, so that a
 * second process with the same file is told about the store. */
static void open_host(struct host *host)
{
    const struct host_options *options = host->options;
    refuse_remote("the client port", options->clients, options->insecure);
    refuse_remote("the children's port", options->children, options->insecure);
    set_signals(host);
    struct store_problem problem;
    struct store_options store = {options->data, options->role, options->store_max_bytes};
    if (options->data != NULL && !store_open(&store, &host->store, &problem))
        host_fatal("%s", problem.text);
    if (host->store != NULL && store_max_bytes(host->store) < options->store_max_bytes)
        log_line(TRACE_WARN,
                 "the disk has room for %" PRIu64 " MiB of the %" PRIu64 " MiB of store.max_bytes",
                 store_max_bytes(host->store) >> 20, options->store_max_bytes >> 20);
    zsys_handler_set(NULL);
    void *context = zsys_init();
    if (context == NULL)
        host_fatal("cannot start ZeroMQ; raise the limit of open files (ulimit -n)");
    if (options->clients != NULL)
        router_open(&host->clients, context, PORT_CLIENT, options->clients);
    if (options->children != NULL)
        router_open(&host->children, context, PORT_CHILD, options->children);
    if (options->parent != NULL)
        parent_open(&host->parent, context, options->parent);
    bool ready = true;
    for (int i = 0; i <= COMMIT_DEPTH; i++)
        ready &= batch_init(&host->batches[i]);
    if (!ready)
        host_fatal("no memory to start; free memory and start again");
    host->gathering = &host->batches[0];
    host_grow_poll_items(host, POLL_ITEMS_OWN);
}

static void start_node(struct host *host)
{
    uint64_t from_ns = clock_now_ns(&host->clock);
    if (host->store != NULL && !store_restore(host->store, restore_record, host))
        host_fatal("%s", store_problem(host->store));
    if (host->store != NULL)
        commit_open(&host->commit, host->store);
    host_step(host, &(struct event){.kind = EVENT_START});
    log_line(TRACE_INFO, "%s up: clients %s, children %s, parent %s; %u records restored in %u ms",
             host->options->role, host->options->clients != NULL ? host->options->clients : "-",
             host->options->children != NULL ? host->options->children : "-",
             host->options->parent != NULL ? host->options->parent : "-", host->restored,
             (unsigned)((clock_now_ns(&host->clock) - from_ns) / NANOSECONDS_PER_MS));
}

static void close_host(struct host *host)
{
    if (host->store != NULL)
        commit_close(&host->commit);
    parent_close(&host->parent, LINGER_MS);
    router_close(&host->children, LINGER_MS);
    router_close(&host->clients, LINGER_MS);
    zsys_shutdown();
    store_close(host->store);
    for (int i = 0; i <= COMMIT_DEPTH; i++)
        batch_release(&host->batches[i]);
    free(host->poll_items);
    close(host->signals);
}

int host_run(const struct host_options *options, struct node node, bool (*done)(const void *self))
{
    struct host *host = calloc(1, sizeof *host);
    log_open(options->node, options->log_level);
    if (host == NULL)
        host_fatal("no memory to start; free memory and start again");
    host->options = options;
    host->node = node;
    open_host(host);
    start_node(host);
    while (!done(node.self))
        host_turn(host);
    host_flush(host);
    log_line(TRACE_INFO, "%s ended", options->role);
    close_host(host);
    free(host);
    return 0;
}
