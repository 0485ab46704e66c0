/* router.h - a bound port: a ROUTER socket, its monitor and its peers.
 *
 * Is:      frames in and out with the peer's number; the empty delimiter of a REQ socket is taken off and
 *          mirrored; a broken connection is noticed at once by the monitor, or by a send that nobody takes.
 * Is not:  a reader of frames. Nothing that a peer sends is an error here: what has no single body behind its
 *          envelope is given on as an empty frame, for the node to refuse.
 */
#ifndef MERIDIAN_HOST_ROUTER_H
#define MERIDIAN_HOST_ROUTER_H

#include <zmq.h>

#include "engine/peer.h"
#include "host/peers.h"

struct router {
    enum port port;
    void *socket, *monitor;
    struct peers peers;
};

/* Messages that may wait for one peer: above the windows of a child, well below for a client, which gets one
 * reply for each of its requests. */
enum { CHILD_QUEUE_MESSAGES = 131072, CLIENT_QUEUE_MESSAGES = 16384 };

/* Bind `endpoint`; ends the process with the reason if that cannot be (host_fatal). */
void router_open(struct router *router, void *context, enum port port, const char *endpoint);
/* What was sent may still leave for `linger_ms`. */
void router_close(struct router *router, int linger_ms);

/* The next message, never waits. `frame` is an initialised message that receives the body. */
bool router_receive(struct router *router, zmq_msg_t *frame, uint64_t *ret_peer);
/* Takes `frame` either way. A peer that cannot be reached or takes nothing is over: router_next_gone. */
void router_send(struct router *router, uint64_t peer, zmq_msg_t *frame);
/* The next peer whose connection is over, after all that it had sent. */
bool router_next_gone(struct router *router, uint64_t *ret_peer);

/* Is the endpoint reachable from this machine only? */
bool endpoint_is_local(const char *endpoint);
/* Options that every socket of ours has. */
void socket_set(void *socket, int option, int value);
void socket_set_limits(void *socket, const char *endpoint, int queue_messages);
/* The event and its value from a socket monitor; false when there is none. */
bool monitor_receive(void *monitor, uint16_t *ret_event, int32_t *ret_value);
/* Watch `socket`; `name` is unique within the process. */
void *monitor_open(void *context, void *socket, const char *name, int events);

#endif
