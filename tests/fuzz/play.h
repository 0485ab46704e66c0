/* play.h - the children and the parent of a node on the bench, played by the script.
 *
 * Each child has a name, an instance, a boot and a session, and counts its messages as a real one does, so
 * that a script of ordinary choices gets far; the choices may also repeat, skip, or belong to an old session.
 * A parent answers the newest session that the node has begun. */
#ifndef MERIDIAN_TESTS_FUZZ_PLAY_H
#define MERIDIAN_TESTS_FUZZ_PLAY_H

#include "tests/fuzz/bench.h"

enum { PLAY_CHILDREN = 4 };

/* `role` of the children that the node has. */
void play_begin(const char *role);
/* One message of a child, or the end of its connection, or a new life of it. */
void play_child(struct input *input);
/* One message of the parent, or the end of the connection. `grants_attempts`: it is a region. */
void play_parent(struct input *input, bool grants_attempts);
/* The node has sent this: sessions and questions are noted. */
void play_note(uint64_t peer, const struct message_header *header);
/* The node has restarted: nobody is connected. */
void play_restart(void);

#endif
