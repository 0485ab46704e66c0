/* router.c - see router.h.
 *
 * A ROUTER's monitor names file descriptors and not peers. A message tells the descriptor of the connection
 * it came by (ZMQ_SRCFD, from the body: the routing id frame lost its properties in libzmq 4.3.4).
 * Descriptors are used again, so the monitor is read before a new peer is noted: with one I/O thread, what it
 * says about a descriptor was written before the first message of the next connection on it. */
#include "host/router.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/log.h"
#include "proto/assert.h"
#include "proto/limits.h"

enum { MESSAGE_FRAMES_MAX = 1 + ENVELOPE_FRAMES_MAX + 1 };

void socket_set(void *socket, int option, int value)
{
    ASSERT(zmq_setsockopt(socket, option, &value, sizeof value) == 0);
}

void socket_set_limits(void *socket, const char *endpoint, int queue_messages)
{
    const int64_t message_bytes_max = FRAME_BYTES_MAX + 4096;
    ASSERT(zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &message_bytes_max, sizeof message_bytes_max) == 0);
    socket_set(socket, ZMQ_SNDHWM, queue_messages);
    socket_set(socket, ZMQ_RCVHWM, queue_messages);
    socket_set(socket, ZMQ_LINGER, 0);
    socket_set(socket, ZMQ_HANDSHAKE_IVL, 5000);
    socket_set(socket, ZMQ_IPV6, strchr(endpoint, '[') != NULL);
}

/* ---- monitors ---- */

void *monitor_open(void *context, void *socket, const char *name, int events)
{
    void *monitor = zmq_socket(context, ZMQ_PAIR);
    if (monitor == NULL || zmq_socket_monitor(socket, name, events) != 0)
        host_fatal("cannot watch a socket: %s; raise the limit of open files (ulimit -n)",
                   zmq_strerror(errno));
    socket_set(monitor, ZMQ_LINGER, 0);
    socket_set(monitor, ZMQ_RCVHWM, 0); /* a full monitor would hold up the I/O thread */
    if (zmq_connect(monitor, name) != 0)
        host_fatal("cannot watch a socket: %s", zmq_strerror(errno));
    return monitor;
}

bool monitor_receive(void *monitor, uint16_t *ret_event, int32_t *ret_value)
{
    uint8_t event[6];
    int size = zmq_recv(monitor, event, sizeof event, ZMQ_DONTWAIT);
    if (size < 0)
        return false;
    char address[256];
    zmq_recv(monitor, address, sizeof address, 0); /* always follows; the endpoint is known */
    memcpy(ret_event, event, sizeof *ret_event);
    memcpy(ret_value, event + 2, sizeof *ret_value);
    return size == sizeof event;
}

static void read_monitor(struct router *router)
{
    uint16_t event;
    int32_t connection;
    while (monitor_receive(router->monitor, &event, &connection)) {
        if (connection < 0)
            continue;
        if (event == ZMQ_EVENT_ACCEPTED)
            peers_connected(&router->peers, connection);
        else
            peers_disconnected(&router->peers, connection);
    }
}

/* ---- open and close ---- */

bool endpoint_is_local(const char *endpoint)
{
    static const char *const local[] = {"tcp://127.",
                                        "tcp://localhost:", "tcp://[::1]:", "tcp://lo:", "ipc://"};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (strncmp(endpoint, local[i], strlen(local[i])) == 0)
            return true;
    return false;
}

static _Noreturn void fail_bind(const char *endpoint, int code)
{
    const char *way_out = "write it like tcp://127.0.0.1:7700";
    if (code == EADDRINUSE)
        way_out = "another process has that port: stop it, or configure another port";
    if (code == EADDRNOTAVAIL || code == ENODEV)
        way_out = "this machine has no such address: use one of its own";
    if (code == EACCES)
        way_out = "this user may not use that port: use one above 1023";
    host_fatal("cannot listen on %s: %s; %s", endpoint, zmq_strerror(code), way_out);
}

void router_open(struct router *router, void *context, enum port port, const char *endpoint)
{
    char name[64];
    memset(router, 0, sizeof *router);
    router->port = port;
    peers_init(&router->peers);
    router->socket = zmq_socket(context, ZMQ_ROUTER);
    if (router->socket == NULL)
        host_fatal("cannot make a socket: %s; raise the limit of open files (ulimit -n)",
                   zmq_strerror(errno));
    socket_set_limits(router->socket, endpoint,
                      port == PORT_CLIENT ? CLIENT_QUEUE_MESSAGES : CHILD_QUEUE_MESSAGES);
    socket_set(router->socket, ZMQ_ROUTER_MANDATORY, 1);
    socket_set(router->socket, ZMQ_BACKLOG, 1024);
    snprintf(name, sizeof name, "inproc://monitor-of-port-%d", (int)port);
    router->monitor =
        monitor_open(context, router->socket, name, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED);
    if (zmq_bind(router->socket, endpoint) != 0)
        fail_bind(endpoint, errno);
}

void router_close(struct router *router, int linger_ms)
{
    if (router->socket == NULL)
        return;
    zmq_socket_monitor(router->socket, NULL, 0);
    zmq_close(router->monitor);
    socket_set(router->socket, ZMQ_LINGER, linger_ms);
    zmq_close(router->socket);
    peers_release(&router->peers);
    memset(router, 0, sizeof *router);
}

/* ---- receive ---- */

/* All frames of one message; those that are too many are dropped and make the count larger than the room. */
struct parts {
    zmq_msg_t parts[MESSAGE_FRAMES_MAX];
    int count;
};

static bool receive_parts(void *socket, struct parts *parts)
{
    bool more = true;
    parts->count = 0;
    while (more) {
        zmq_msg_t surplus;
        zmq_msg_t *part = parts->count < MESSAGE_FRAMES_MAX ? &parts->parts[parts->count] : &surplus;
        zmq_msg_init(part);
        if (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(part);
            return parts->count != 0; /* a message arrives whole: only its first frame may be missing */
        }
        more = zmq_msg_more(part);
        if (part == &surplus)
            zmq_msg_close(part);
        parts->count += parts->count <= MESSAGE_FRAMES_MAX;
    }
    return true;
}

static void close_parts(struct parts *parts)
{
    for (int i = 0; i < parts->count && i < MESSAGE_FRAMES_MAX; i++)
        zmq_msg_close(&parts->parts[i]);
}

/* The key of the message's peer, and which part is its body: -1 if there is not exactly one. */
static int split(struct parts *parts, struct peer_key *ret_key)
{
    zmq_msg_t *part = parts->parts;
    size_t id_size = zmq_msg_size(&part[0]);
    peer_key_begin(ret_key, zmq_msg_data(&part[0]), id_size <= ROUTING_ID_BYTES_MAX ? id_size : 0);
    const struct peer_key bare = *ret_key;
    int count = parts->count <= MESSAGE_FRAMES_MAX ? parts->count : MESSAGE_FRAMES_MAX;
    if (parts->count == 2 && zmq_msg_size(&part[1]) != 0)
        return 1;
    for (int i = 1; i < count; i++) {
        if (!peer_key_add(ret_key, zmq_msg_data(&part[i]), zmq_msg_size(&part[i])))
            break;
        if (zmq_msg_size(&part[i]) == 0) /* the delimiter */
            return i + 2 == parts->count ? i + 1 : -1;
    }
    *ret_key = bare;
    return -1;
}

/* The peer of a message that came by `connection`. */
static struct peer *know_peer(struct router *router, const struct peer_key *key, int connection)
{
    struct peer *peer = peers_find(&router->peers, key);
    if (peer != NULL && (connection < 0 || peer->ending || peer->connection == connection))
        return peer;
    if (peer != NULL) /* a routing id that its client chose, on a new connection */
        peers_end(&router->peers, peer);
    read_monitor(router);
    return peers_add(&router->peers, key, connection);
}

bool router_receive(struct router *router, zmq_msg_t *frame, uint64_t *ret_peer)
{
    struct parts parts;
    struct peer_key key;
    if (router->socket == NULL)
        return false;
    if (!receive_parts(router->socket, &parts)) {
        read_monitor(router);
        if (TAILQ_EMPTY(&router->peers.ending))
            return false;
        /* What a peer sent before its connection broke is there by now: still nothing means heard to the end.
         */
        if (!receive_parts(router->socket, &parts)) {
            peers_end_all(&router->peers);
            return false;
        }
    }
    int body = split(&parts, &key);
    zmq_msg_t *last =
        &parts.parts[(parts.count <= MESSAGE_FRAMES_MAX ? parts.count : MESSAGE_FRAMES_MAX) - 1];
    struct peer *peer = know_peer(router, &key, zmq_msg_get(last, ZMQ_SRCFD));
    peer->requests++;
    *ret_peer = peer_make(router->port, peer->number);
    if (body >= 0)
        zmq_msg_move(frame, &parts.parts[body]);
    close_parts(&parts);
    return true;
}

/* ---- send ---- */

static bool send_bytes(void *socket, const void *data, size_t size)
{
    return zmq_send(socket, data, size, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0;
}

static bool send_envelope(void *socket, const struct peer_key *key)
{
    if (!send_bytes(socket, key->bytes + 1, key->id_size))
        return false;
    size_t at = 1 + key->id_size;
    for (uint32_t i = 0; i < key->frames; i++) {
        size_t size = (size_t)key->bytes[at] << 8 | key->bytes[at + 1];
        if (!send_bytes(socket, key->bytes + at + 2, size))
            return false;
        at += 2 + size;
    }
    return true;
}

void router_send(struct router *router, uint64_t number, zmq_msg_t *frame)
{
    struct peer *peer = router->socket == NULL ? NULL : peers_numbered(&router->peers, peer_number(number));
    if (peer == NULL || !send_envelope(router->socket, &peer->key) ||
        zmq_msg_send(frame, router->socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(frame);
        if (peer != NULL)
            peers_end(&router->peers, peer);
        return;
    }
    if (peer->requests > 0)
        peer->requests--;
    if (peer->one_request && peer->requests == 0)
        peers_end(&router->peers, peer);
}

bool router_next_gone(struct router *router, uint64_t *ret_peer)
{
    uint64_t number;
    if (!peers_next_gone(&router->peers, &number))
        return false;
    *ret_peer = peer_make(router->port, number);
    return true;
}
