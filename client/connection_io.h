/* connection_io.h - the client's one connection at a time to its node: a DEALER socket and its monitor.
 *
 * Is:      one socket per session number (engine/peer.h): the first message to a higher number closes the old
 *          socket and opens a new one. libzmq never reconnects by itself: a queue that outlived its
 * connection would be sent to a node that has restarted, behind the session's back. Is not:  a reader of
 * frames, nor a judge of silence (client/session.h). Errors:  whatever goes wrong ends the connection:
 * connection_lost says so once. Owns:    its context, sockets and copy of the endpoint. */
#ifndef MERIDIAN_CLIENT_CONNECTION_IO_H
#define MERIDIAN_CLIENT_CONNECTION_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

#include "engine/outputs.h"

enum { ENDPOINT_BYTES_MAX = 256 };

struct connection {
    void *context, *socket, *monitor;
    char endpoint[ENDPOINT_BYTES_MAX];
    uint64_t number; /* of the newest socket, 0 = none yet */
    bool down;       /* broken; what had come before may still be received */
    bool lost;       /* to be reported */
};

/* False with errno: EINVAL if `endpoint` is not tcp://host:port, else what the system said. Connects nowhere.
 */
bool connection_open(struct connection *connection, const char *endpoint);
void connection_close(struct connection *connection);

/* Send one message of a closed batch. */
void connection_send(struct connection *connection, const struct outputs *outputs,
                     const struct message *message);
/* The next frame, never waits; `frame` is an initialised message. */
bool connection_receive(struct connection *connection, zmq_msg_t *frame, uint64_t *ret_peer);
/* The connection ended after all that had come by it; true once per connection. */
bool connection_lost(struct connection *connection, uint64_t *ret_peer);
/* Wait until something has come, at most `wait_ms`. False if a signal arrived first. */
bool connection_wait(struct connection *connection, long wait_ms);

#endif
