/* map.h - task id to a 32-bit value: the per-task index of a node.
 *
 * Is: open addressing over 8-byte slots (a 32-bit piece of the id's hash, a value), that grows incrementally:
 * a growth moves a few slots with every later operation, so no step pays for the whole table. The ids
 * themselves live with their owner, who gives a function from value to id.
 *
 * Is not: a container of tasks; 0 is no value. It never shrinks. The hash is not secret; ids are mixed with a
 * seed from the host so that a client cannot aim collisions.
 *
 * Cost: find, put, remove: O(1) expected; 11 to 22 bytes per entry, for a moment half as much again while it
 * grows. */
#ifndef MERIDIAN_ENGINE_MAP_H
#define MERIDIAN_ENGINE_MAP_H

#include "proto/id.h"

struct map_slot {
    uint32_t hash;
    uint32_t value; /* 0 = empty; UINT32_MAX = left, only in a table that is being emptied */
};

struct map_table {
    struct map_slot *slots;
    uint32_t capacity; /* power of two, or 0 */
    uint32_t used;     /* entries put or moved in and not yet removed; not kept up to date in `old` */
};

typedef const struct task_id *(*map_id_of)(const void *owner, uint32_t value);

struct map {
    struct map_table now; /* receives every new entry */
    struct map_table old; /* being emptied into `now`; capacity 0 when not growing */
    uint32_t moved;       /* slots of `old` already moved */
    uint32_t entries;
    uint64_t seed;
    map_id_of id_of;
    const void *owner;
};

/* Values are 1 .. UINT32_MAX - 1. */
void map_init(struct map *map, uint64_t seed, map_id_of id_of, const void *owner);
void map_release(struct map *map);
/* 0 if `id` is not in the map. */
uint32_t map_find(const struct map *map, const struct task_id *id);
/* The id must not be in the map. False if the system has no memory; nothing is changed then. */
bool map_put(struct map *map, const struct task_id *id, uint32_t value);
/* The id must be in the map; id_of is still asked about its value during the call. */
void map_remove(struct map *map, const struct task_id *id);
/* Give the entry of `id` another value (the owner's id_of knows both). */
void map_replace(struct map *map, const struct task_id *id, uint32_t value);

#endif
