/* dev_shim.c - see dev_shim.h. One loop over poll: which descriptors matter follows each time from the
 * switches and the delays, so there is no state of interest to keep right. */
#include "cli/dev_shim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cli/dev_delay.h"
#include "proto/assert.h"

enum { READ_BYTES = 64 * 1024, BACKLOG = 128, CONNECTIONS_MAX = 2048 };

/* One direction of a connection. */
struct way {
    int from, to;
    uint64_t read_from_us; /* before, the line's handshake is under way */
    struct delay delay;
    bool ended;         /* `from` said its end (or broke): after the bytes, at end_us, `to` is told */
    bool told;          /* and was */
    bool full;          /* `to` takes no more now */
    bool gone;          /* `to` is no more: what comes is dropped */
    int from_at, to_at; /* in the poll items of this turn, -1 = not there */
    uint64_t end_us;
};

struct connection {
    LIST_ENTRY(connection) next;
    unsigned link;
    int child, parent;
    struct way ways[WAY_COUNT];
};

struct forwarder {
    struct shim *shim;
    LIST_HEAD(, connection) connections;
    unsigned count;
    struct pollfd items[1 + DEV_NODES_MAX + 2 * WAY_COUNT * CONNECTIONS_MAX];
    nfds_t item_count;
    int listener_at[DEV_NODES_MAX];
    uint64_t now_us, next_us; /* next_us: when something becomes due by itself */
};

static uint64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- the supervisor's side ---- */

static struct sockaddr_in loopback(unsigned port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A listener on a port that the system chooses. */
static int listen_anywhere(unsigned *ret_port)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener >= 0 && bind(listener, (struct sockaddr *)&address, size) == 0 &&
        listen(listener, BACKLOG) == 0 && getsockname(listener, (struct sockaddr *)&address, &size) == 0) {
        *ret_port = ntohs(address.sin_port);
        return listener;
    }
    fprintf(stderr, "meridian: the sandbox cannot listen on 127.0.0.1: %s\n", strerror(errno));
    if (listener >= 0)
        close(listener);
    return -1;
}

bool shim_open(struct shim *shim, struct dev_plan *plan)
{
    shim->plan = plan;
    shim->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    shim->shared = mmap(NULL, DEV_NODES_MAX * sizeof *shim->shared, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shim->wake < 0 || shim->shared == MAP_FAILED) {
        fprintf(stderr, "meridian: the sandbox cannot start: %s\n", strerror(errno));
        return false;
    }
    for (unsigned i = 0; i < plan->node_count; i++) {
        shim->listeners[i] = -1;
        if (plan->nodes[i].tier == DEV_BROKER)
            continue;
        shim->target_ports[i] = plan->nodes[i].parent_port;
        shim->listeners[i] = listen_anywhere(&plan->nodes[i].parent_port);
        if (shim->listeners[i] < 0)
            return false;
    }
    return true;
}

static unsigned index_of(const struct shim *shim, const struct dev_node *node)
{
    ASSERT(node->tier != DEV_BROKER);
    return (unsigned)(node - shim->plan->nodes);
}

void shim_cut(struct shim *shim, const struct dev_node *node, unsigned cut)
{
    uint64_t one = 1;
    atomic_store(&shim->shared[index_of(shim, node)].cut, cut);
    if (write(shim->wake, &one, sizeof one) < 0)
        ASSERT(errno == EAGAIN); /* it is awake already */
}

const struct shim_shared *shim_link(const struct shim *shim, const struct dev_node *node)
{
    return &shim->shared[index_of(shim, node)];
}

void shim_close_listeners(struct shim *shim)
{
    for (unsigned i = 0; i < shim->plan->node_count; i++)
        if (shim->listeners[i] >= 0)
            close(shim->listeners[i]);
}

/* ---- connections ---- */

static void close_connection(struct forwarder *forwarder, struct connection *connection)
{
    LIST_REMOVE(connection, next);
    forwarder->count--;
    for (int way = 0; way < WAY_COUNT; way++)
        delay_release(&connection->ways[way].delay);
    close(connection->child);
    close(connection->parent);
    free(connection);
}

static void no_delay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void init_way(struct forwarder *forwarder, struct way *way, const struct line *line, int from, int to,
                     uint64_t wait_us)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        seed = forwarder->now_us;
    *way = (struct way){.from = from, .to = to, .read_from_us = forwarder->now_us + wait_us};
    delay_init(&way->delay, line, seed);
}

/* The line of a link: distance for regions, none inside one. */
static const struct line *line_of(const struct shim *shim, unsigned link)
{
    static const struct line none;
    const struct dev_node *node = &shim->plan->nodes[link];
    return node->tier == DEV_REGION ? &shim->plan->lines[node->region] : &none;
}

/* The kernel answers connections that wait in the backlog of a cut link. Those that were given up meanwhile
 * would never have come about over a real one. */
static bool is_given_up(int child)
{
    struct pollfd item = {.fd = child, .events = POLLRDHUP};
    return poll(&item, 1, 0) > 0 && item.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

static void accept_child(struct forwarder *forwarder, unsigned link)
{
    const struct shim *shim = forwarder->shim;
    int child = accept4(shim->listeners[link], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (child < 0)
        return;
    if (is_given_up(child)) {
        close(child);
        return;
    }
    struct sockaddr_in target = loopback(shim->target_ports[link]);
    int parent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool going = parent >= 0 &&
                 (connect(parent, (struct sockaddr *)&target, sizeof target) == 0 || errno == EINPROGRESS);
    struct connection *connection = going ? malloc(sizeof *connection) : NULL;
    if (connection == NULL) { /* the parent is not there: refused, as without us */
        struct linger at_once = {.l_onoff = 1};
        setsockopt(child, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(child);
        if (parent >= 0)
            close(parent);
        return;
    }
    no_delay(child);
    no_delay(parent);
    const struct line *line = line_of(shim, link);
    connection->link = link;
    connection->child = child;
    connection->parent = parent;
    /* The parent hears of it half a round trip after the child asked, the child of the parent one later. */
    init_way(forwarder, &connection->ways[WAY_UP], line, child, parent, line->rtt_us);
    init_way(forwarder, &connection->ways[WAY_DOWN], line, parent, child, line->rtt_us / 2);
    LIST_INSERT_HEAD(&forwarder->connections, connection, next);
    forwarder->count++;
}

/* ---- bytes ---- */

static bool is_cut(const struct forwarder *forwarder, unsigned link, enum shim_way way)
{
    return atomic_load(&forwarder->shim->shared[link].cut) & 1u << way;
}

static void end_way(struct forwarder *forwarder, struct way *way)
{
    way->ended = true;
    way->end_us = delay_end_us(&way->delay, forwarder->now_us);
}

static void read_way(struct forwarder *forwarder, struct connection *connection, enum shim_way which)
{
    static uint8_t bytes[READ_BYTES];
    struct way *way = &connection->ways[which];
    struct shim_shared *shared = &forwarder->shim->shared[connection->link];
    ssize_t size = recv(way->from, bytes, sizeof bytes, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        end_way(forwarder, way);
        return;
    }
    atomic_fetch_add(&shared->bytes[which], (uint64_t)size);
    if (way->gone)
        return;
    uint32_t lost = delay_push(&way->delay, (struct bytes){bytes, (size_t)size}, forwarder->now_us);
    atomic_fetch_add(&shared->lost_segments, lost);
}

/* Hands over what is due. A receiver that is gone is noticed by the other way, which reads from it. */
static void write_way(struct forwarder *forwarder, struct way *way)
{
    for (;;) {
        struct bytes due = delay_due(&way->delay, forwarder->now_us);
        if (due.size == 0)
            break;
        ssize_t size = send(way->to, due.data, due.size, MSG_NOSIGNAL);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && errno == EAGAIN) {
            way->full = true;
            return;
        }
        if (size < 0) {
            way->gone = true;
            delay_release(&way->delay);
            break;
        }
        delay_take(&way->delay, (size_t)size);
    }
    if (way->ended && !way->told && way->delay.held_bytes == 0 && forwarder->now_us >= way->end_us) {
        shutdown(way->to, SHUT_WR);
        way->told = true;
    }
}

static bool is_over(const struct connection *connection)
{
    return connection->ways[WAY_UP].told && connection->ways[WAY_DOWN].told;
}

static void pump(struct forwarder *forwarder)
{
    struct connection *connection = LIST_FIRST(&forwarder->connections), *after;
    for (; connection != NULL; connection = after) {
        after = LIST_NEXT(connection, next);
        for (enum shim_way which = WAY_UP; which < WAY_COUNT; which++) {
            struct way *way = &connection->ways[which];
            if (way->from_at >= 0 && forwarder->items[way->from_at].revents != 0)
                read_way(forwarder, connection, which);
            if (way->to_at >= 0 && forwarder->items[way->to_at].revents != 0)
                way->full = false;
            if (!is_cut(forwarder, connection->link, which) && !way->full)
                write_way(forwarder, way);
        }
        if (is_over(connection))
            close_connection(forwarder, connection);
    }
}

/* ---- what to wait for ---- */

static int add_item(struct forwarder *forwarder, int fd, short events)
{
    forwarder->items[forwarder->item_count] = (struct pollfd){.fd = fd, .events = events};
    return (int)forwarder->item_count++;
}

static void wake_at(struct forwarder *forwarder, uint64_t time_us)
{
    if (time_us < forwarder->next_us)
        forwarder->next_us = time_us;
}

static void prepare_way(struct forwarder *forwarder, struct way *way, bool cut)
{
    way->from_at = way->to_at = -1;
    if (cut)
        return;
    if (!way->ended && forwarder->now_us < way->read_from_us)
        wake_at(forwarder, way->read_from_us);
    else if (!way->ended && way->delay.held_bytes < DELAY_BYTES_MAX)
        way->from_at = add_item(forwarder, way->from, POLLIN);
    if (way->full)
        way->to_at = add_item(forwarder, way->to, POLLOUT);
    else if (way->delay.held_bytes > 0)
        wake_at(forwarder, delay_next_us(&way->delay));
    else if (way->ended && !way->told)
        wake_at(forwarder, way->end_us);
}

static void prepare(struct forwarder *forwarder)
{
    struct connection *connection;
    forwarder->item_count = 0;
    forwarder->next_us = UINT64_MAX;
    add_item(forwarder, forwarder->shim->wake, POLLIN);
    for (unsigned link = 0; link < forwarder->shim->plan->node_count; link++) {
        bool open = forwarder->shim->listeners[link] >= 0 && forwarder->count < CONNECTIONS_MAX &&
                    atomic_load(&forwarder->shim->shared[link].cut) == 0;
        forwarder->listener_at[link] =
            open ? add_item(forwarder, forwarder->shim->listeners[link], POLLIN) : -1;
    }
    LIST_FOREACH(connection, &forwarder->connections, next)
    for (enum shim_way which = WAY_UP; which < WAY_COUNT; which++)
        prepare_way(forwarder, &connection->ways[which], is_cut(forwarder, connection->link, which));
}

static void wait_for_something(struct forwarder *forwarder)
{
    struct timespec wait = {0}, *limit = NULL;
    if (forwarder->next_us != UINT64_MAX) {
        uint64_t now_us = clock_us(), left_us = forwarder->next_us > now_us ? forwarder->next_us - now_us : 0;
        wait.tv_sec = (time_t)(left_us / 1000000);
        wait.tv_nsec = (long)(left_us % 1000000 * 1000);
        limit = &wait;
    }
    if (ppoll(forwarder->items, forwarder->item_count, limit, NULL) <= 0)
        for (nfds_t i = 0; i < forwarder->item_count; i++)
            forwarder->items[i].revents = 0;
}

void shim_run(struct shim *shim)
{
    static struct forwarder forwarder; /* large */
    forwarder.shim = shim;
    for (;;) {
        forwarder.now_us = clock_us();
        prepare(&forwarder);
        wait_for_something(&forwarder);
        forwarder.now_us = clock_us();
        uint64_t woken;
        if (forwarder.items[0].revents != 0 && read(shim->wake, &woken, sizeof woken) < 0)
            ASSERT(errno == EAGAIN);
        pump(&forwarder);
        for (unsigned link = 0; link < shim->plan->node_count; link++)
            if (forwarder.listener_at[link] >= 0 && forwarder.items[forwarder.listener_at[link]].revents != 0)
                accept_child(&forwarder, link);
    }
}
