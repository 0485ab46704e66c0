/* wire.h - what network.c (who is connected to whom) and hostile.c (who lies) share; nobody else includes it.
 */
#ifndef MERIDIAN_SIM_WIRE_H
#define MERIDIAN_SIM_WIRE_H

#include "sim/node.h"

/* A new wire between the child and its parent, open at both ends as far as they live. */
struct wire *wire_open(struct sim *sim, struct sim_node *child, uint64_t session);
/* Behind all that is on its way in this direction. Takes the frame. */
void wire_push(struct sim *sim, struct wire *wire, bool up, struct frame frame);
struct wire_queue *wire_queue(struct wire *wire, bool up);
/* How the parent names the child's end. */
uint64_t wire_peer_at_parent(const struct sim *sim, const struct wire *wire);

#endif
