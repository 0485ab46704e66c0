/* peer.h - a peer as a node names it: the port it came in by and a number that is never used again.
 *
 * The host numbers peers per connection, so a number stands for one session and no leftover of an old one can
 * be taken for the new one. The node numbers its own sessions with its parent: the first message to a
 * PORT_PARENT peer with a new number makes the host open a new connection and drop the one before. */
#ifndef MERIDIAN_ENGINE_PEER_H
#define MERIDIAN_ENGINE_PEER_H

#include <stdint.h>

enum port { PORT_CLIENT = 1, PORT_CHILD = 2, PORT_PARENT = 3 };

static inline uint64_t peer_make(enum port port, uint64_t number)
{
    return (uint64_t)port << 56 | number;
}

static inline enum port peer_port(uint64_t peer)
{
    return (enum port)(peer >> 56);
}

static inline uint64_t peer_number(uint64_t peer)
{
    return peer & (UINT64_MAX >> 8);
}

#endif
