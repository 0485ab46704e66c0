/* parent.h - the link upward: one DEALER socket per session, on one connection.
 *
 * Is:      the socket of the newest session number that the node used; no automatic reconnect, so that a
 *          session never outlives its connection and nothing queued for one reaches the next.
 * Is not:  a session (engine/uplink.h numbers them and decides when to try again).
 */
#ifndef MERIDIAN_HOST_PARENT_H
#define MERIDIAN_HOST_PARENT_H

#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

struct parent {
    void *context;
    const char *endpoint;
    void *socket, *monitor; /* NULL between sessions */
    uint64_t number;        /* of the newest session */
    bool down;              /* its connection is over; what came before is still read */
    bool gone;              /* over and heard to the end, and the node was not yet told */
};

/* Checks the endpoint (host_fatal); connects nothing yet. */
void parent_open(struct parent *parent, void *context, const char *endpoint);
void parent_close(struct parent *parent, int linger_ms);

bool parent_receive(struct parent *parent, zmq_msg_t *frame, uint64_t *ret_peer);
/* Takes `frame` either way. A higher number than before opens a new connection and drops the one before; a
 * lower one goes nowhere. */
void parent_send(struct parent *parent, uint64_t peer, zmq_msg_t *frame);
bool parent_next_gone(struct parent *parent, uint64_t *ret_peer);

#endif
