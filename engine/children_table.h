/* children_table.h - what children.c, children_hello.c and children_table.c share; nobody else includes it.
 */
#ifndef MERIDIAN_ENGINE_CHILDREN_TABLE_H
#define MERIDIAN_ENGINE_CHILDREN_TABLE_H

#include "engine/children.h"

/* children_table.c */
struct child *children_by_peer(const struct children *children, uint64_t peer);
void children_bind(struct children *children, struct child *child, uint64_t peer);
void children_unbind(struct children *children, struct child *child);
/* A new child without a session. NULL at CHILDREN_MAX or when the system has no memory. */
struct child *children_add(struct children *children, uint32_t number, struct bytes name);
void children_remove(struct children *children, struct child *child, struct outputs *outputs);
void child_put_record(const struct child *child, struct outputs *outputs);
/* Drop children that are lost or left, hold nothing and were forgotten or have not been heard for long. */
void children_forget_old(struct children *children, struct outputs *outputs);
/* At most PROFILES_MAX good profiles; their slots together. */
bool profiles_are_good(struct bytes profiles, uint32_t *ret_slots);
/* Check and take over an encoded array of profiles. False, and no change, if it is not a good one. */
bool child_take_profiles(struct children *children, struct child *child, struct bytes profiles);

/* children_hello.c */
void children_on_hello(struct children *children, const struct event *event,
                       const struct message_header *header, struct outputs *outputs);

#endif
