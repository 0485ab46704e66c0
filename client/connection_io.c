/* connection_io.c - see connection_io.h. */
#include "client/connection_io.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/peer.h"
#include "proto/assert.h"
#include "proto/limits.h"

enum {
    CONNECT_TIMEOUT_MS = 3000,
    HANDSHAKE_TIMEOUT_MS = 5000,
    FRAME_ROOM = 4096, /* replies are bounded by FRAME_BYTES_MAX and little more */
    /* Every way in which a connection, or the attempt at one, ends. */
    EVENTS_OVER = ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_CLOSE_FAILED |
                  ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                  ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH,
};

static bool is_endpoint(const char *endpoint)
{
    static const char scheme[] = "tcp://";
    size_t size = strlen(endpoint);
    const char *colon = strrchr(endpoint, ':');
    if (size >= ENDPOINT_BYTES_MAX || strncmp(endpoint, scheme, sizeof scheme - 1) != 0)
        return false;
    const char *host = endpoint + sizeof scheme - 1;
    if (colon <= host || colon[1] < '1' || colon[1] > '9')
        return false;
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    return *end == '\0' && port <= 65535;
}

bool connection_open(struct connection *connection, const char *endpoint)
{
    *connection = (struct connection){.context = NULL};
    if (!is_endpoint(endpoint)) {
        errno = EINVAL;
        return false;
    }
    snprintf(connection->endpoint, sizeof connection->endpoint, "%s", endpoint);
    connection->context = zmq_ctx_new();
    return connection->context != NULL;
}

static void close_sockets(struct connection *connection)
{
    if (connection->socket != NULL) {
        zmq_socket_monitor(connection->socket, NULL, 0);
        zmq_close(connection->socket);
    }
    if (connection->monitor != NULL)
        zmq_close(connection->monitor);
    connection->socket = connection->monitor = NULL;
}

void connection_close(struct connection *connection)
{
    close_sockets(connection);
    if (connection->context != NULL)
        while (zmq_ctx_term(connection->context) != 0 && errno == EINTR)
            continue;
    connection->context = NULL;
}

static void set(void *socket, int option, int value)
{
    ASSERT(zmq_setsockopt(socket, option, &value, sizeof value) == 0);
}

static bool open_sockets(struct connection *connection)
{
    const int64_t message_bytes_max = FRAME_BYTES_MAX + FRAME_ROOM;
    char name[64];
    connection->socket = zmq_socket(connection->context, ZMQ_DEALER);
    connection->monitor = zmq_socket(connection->context, ZMQ_PAIR);
    if (connection->socket == NULL || connection->monitor == NULL)
        return false;
    ASSERT(zmq_setsockopt(connection->socket, ZMQ_MAXMSGSIZE, &message_bytes_max, sizeof message_bytes_max) ==
           0);
    set(connection->socket, ZMQ_SNDHWM, 0); /* the session bounds what is unanswered */
    set(connection->socket, ZMQ_LINGER, 0);
    set(connection->socket, ZMQ_RECONNECT_IVL, -1);
    set(connection->socket, ZMQ_CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS);
    set(connection->socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_TIMEOUT_MS);
    set(connection->socket, ZMQ_IPV6, strchr(connection->endpoint, '[') != NULL);
    set(connection->monitor, ZMQ_LINGER, 0);
    set(connection->monitor, ZMQ_RCVHWM, 0); /* a full monitor would hold up the I/O thread */
    snprintf(name, sizeof name, "inproc://connection-%" PRIu64, connection->number);
    return zmq_socket_monitor(connection->socket, name, EVENTS_OVER) == 0 &&
           zmq_connect(connection->monitor, name) == 0 &&
           zmq_connect(connection->socket, connection->endpoint) == 0;
}

static void begin(struct connection *connection, uint64_t number)
{
    close_sockets(connection);
    connection->number = number;
    connection->lost = false;
    connection->down =
        !open_sockets(connection); /* no descriptors, no such host: tried again by the session */
}

void connection_send(struct connection *connection, const struct outputs *outputs,
                     const struct message *message)
{
    zmq_msg_t frame;
    uint64_t number = peer_number(message->peer);
    if (number > connection->number)
        begin(connection, number);
    if (number < connection->number || connection->down || connection->socket == NULL)
        return;
    if (zmq_msg_init_size(&frame, message->frame.size) != 0) {
        connection->down = true; /* no memory: what is unsent is sent again on the next connection */
        return;
    }
    bool whole = pieces_copy(outputs, &message->frame, zmq_msg_data(&frame), NULL, NULL);
    ASSERT(whole); /* a session borrows, it has no records */
    if (zmq_msg_send(&frame, connection->socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&frame);
        connection->down = true;
    }
}

static void read_monitor(struct connection *connection)
{
    char event[ENDPOINT_BYTES_MAX + 16];
    while (connection->monitor != NULL &&
           zmq_recv(connection->monitor, event, sizeof event, ZMQ_DONTWAIT) >= 0)
        connection->down = true; /* both frames of any event that was asked for */
}

/* One frame; of a message of several, an empty one, which the session counts as malformed. */
static bool receive(struct connection *connection, zmq_msg_t *frame)
{
    if (connection->socket == NULL || zmq_msg_recv(frame, connection->socket, ZMQ_DONTWAIT) < 0)
        return false;
    if (!zmq_msg_more(frame))
        return true;
    bool more = true;
    while (more) {
        zmq_msg_close(frame);
        zmq_msg_init(frame);
        more = zmq_msg_recv(frame, connection->socket, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(frame);
    }
    zmq_msg_close(frame);
    zmq_msg_init(frame);
    return true;
}

bool connection_receive(struct connection *connection, zmq_msg_t *frame, uint64_t *ret_peer)
{
    *ret_peer = peer_make(PORT_PARENT, connection->number);
    if (receive(connection, frame))
        return true;
    read_monitor(connection);
    if (!connection->down)
        return false;
    if (receive(connection, frame)) /* came between the look at the socket and the one at the monitor */
        return true;
    close_sockets(connection);
    connection->down = false;
    connection->lost = true;
    return false;
}

bool connection_lost(struct connection *connection, uint64_t *ret_peer)
{
    if (!connection->lost)
        return false;
    connection->lost = false;
    *ret_peer = peer_make(PORT_PARENT, connection->number);
    return true;
}

bool connection_wait(struct connection *connection, long wait_ms)
{
    zmq_pollitem_t items[] = {
        {.socket = connection->socket, .events = ZMQ_POLLIN},
        {.socket = connection->monitor, .events = ZMQ_POLLIN},
    };
    bool open = connection->socket != NULL && !connection->down;
    if (connection->down)
        return true;
    return zmq_poll(items, open ? 2 : 0, wait_ms) >= 0 || errno != EINTR;
}
