/* parent.c - see parent.h. */
#include "host/parent.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host/log.h"
#include "host/router.h"
#include "proto/assert.h"

enum {
    CONNECT_TIMEOUT_MS = 5000,
    /* Every way in which a connection, or the attempt at one, ends. */
    EVENTS_OVER = ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_CLOSE_FAILED |
                  ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                  ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH,
};

static void *connect_socket(struct parent *parent)
{
    void *socket = zmq_socket(parent->context, ZMQ_DEALER);
    if (socket == NULL)
        host_fatal("cannot make a socket: %s; raise the limit of open files (ulimit -n)",
                   zmq_strerror(errno));
    /* Not ZMQ_IMMEDIATE: HELLO waits in the queue for the one connection that this socket will ever have. */
    socket_set_limits(socket, parent->endpoint, CHILD_QUEUE_MESSAGES);
    socket_set(socket, ZMQ_RECONNECT_IVL, -1);
    socket_set(socket, ZMQ_CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS);
    return socket;
}

void parent_open(struct parent *parent, void *context, const char *endpoint)
{
    *parent = (struct parent){.context = context, .endpoint = endpoint};
    /* libzmq only reads the endpoint here; a parent that is not there yet is no mistake. */
    void *socket = connect_socket(parent);
    if (zmq_connect(socket, endpoint) != 0)
        host_fatal("cannot use the parent endpoint %s: %s; write it like tcp://127.0.0.1:7701", endpoint,
                   zmq_strerror(errno));
    zmq_close(socket);
}

void parent_close(struct parent *parent, int linger_ms)
{
    if (parent->socket == NULL)
        return;
    zmq_socket_monitor(parent->socket, NULL, 0);
    zmq_close(parent->monitor);
    socket_set(parent->socket, ZMQ_LINGER, linger_ms);
    zmq_close(parent->socket);
    parent->socket = parent->monitor = NULL;
}

static void begin_session(struct parent *parent, uint64_t number)
{
    char name[64];
    parent_close(parent, 0);
    parent->number = number;
    parent->down = parent->gone = false;
    parent->socket = connect_socket(parent);
    snprintf(name, sizeof name, "inproc://monitor-of-session-%" PRIu64, number);
    parent->monitor = monitor_open(parent->context, parent->socket, name, EVENTS_OVER);
    if (zmq_connect(parent->socket, parent->endpoint) != 0)
        parent->down = true;
}

static void read_monitor(struct parent *parent)
{
    uint16_t event;
    int32_t value;
    while (monitor_receive(parent->monitor, &event, &value))
        parent->down = true;
}

/* One message; a frame too many makes it an empty one, which the node refuses. */
static bool receive(struct parent *parent, zmq_msg_t *frame)
{
    if (zmq_msg_recv(frame, parent->socket, ZMQ_DONTWAIT) < 0)
        return false;
    bool more = zmq_msg_more(frame);
    if (more) {
        zmq_msg_close(frame);
        zmq_msg_init(frame);
    }
    while (more) {
        zmq_msg_t surplus;
        zmq_msg_init(&surplus);
        more = zmq_msg_recv(&surplus, parent->socket, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&surplus);
        zmq_msg_close(&surplus);
    }
    return true;
}

bool parent_receive(struct parent *parent, zmq_msg_t *frame, uint64_t *ret_peer)
{
    if (parent->socket == NULL)
        return false;
    *ret_peer = peer_make(PORT_PARENT, parent->number);
    if (receive(parent, frame))
        return true;
    read_monitor(parent);
    if (!parent->down)
        return false;
    if (receive(parent, frame))
        return true;
    parent_close(parent, 0);
    parent->gone = true;
    return false;
}

void parent_send(struct parent *parent, uint64_t peer, zmq_msg_t *frame)
{
    uint64_t number = peer_number(peer);
    if (number > parent->number)
        begin_session(parent, number);
    if (number < parent->number || parent->socket == NULL) {
        zmq_msg_close(frame);
        return;
    }
    if (zmq_msg_send(frame, parent->socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(frame);
        parent->down = true;
    }
}

bool parent_next_gone(struct parent *parent, uint64_t *ret_peer)
{
    if (!parent->gone)
        return false;
    parent->gone = false;
    *ret_peer = peer_make(PORT_PARENT, parent->number);
    return true;
}
