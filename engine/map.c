/* map.c - see map.h.
 *
 * Linear probing. An entry leaves `now` by moving its followers back, so `now` has no tombstones and a long
 * life of puts and removes does not wear it out. `old` receives nothing more: its entries leave as tombstones
 * until it is empty. Slots keep the hash, so neither a probe nor a move asks for an id it does not need. */
#include "engine/map.h"

#include <stdlib.h>

#include "proto/assert.h"

enum {
    MAP_CAPACITY_MIN = 64,
    MAP_MOVE_SLOTS = 8, /* of `old`, with every put and remove: it is empty long before `now` is full */
};

#define MAP_DELETED UINT32_MAX

static uint32_t hash_of(const struct map *map, const struct task_id *id)
{
    uint64_t words[2];
    memcpy(words, id->bytes, sizeof words);
    uint64_t hash = map->seed;
    for (int i = 0; i < 2; i++) {
        hash ^= words[i];
        hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9ull;
        hash = (hash ^ hash >> 27) * 0x94d049bb133111ebull;
        hash ^= hash >> 31;
    }
    return (uint32_t)hash;
}

void map_init(struct map *map, uint64_t seed, map_id_of id_of, const void *owner)
{
    *map = (struct map){.seed = seed, .id_of = id_of, .owner = owner};
}

void map_release(struct map *map)
{
    free(map->now.slots);
    free(map->old.slots);
    map_init(map, map->seed, map->id_of, map->owner);
}

/* The slot of `id`, or NULL. Both tables keep at least one empty slot, which ends every probe. */
static struct map_slot *probe(const struct map *map, const struct map_table *table, uint32_t hash,
                              const struct task_id *id)
{
    if (table->capacity == 0)
        return NULL;
    uint32_t mask = table->capacity - 1;
    for (uint32_t at = hash & mask; table->slots[at].value != 0; at = (at + 1) & mask) {
        const struct map_slot *slot = &table->slots[at];
        if (slot->hash == hash && slot->value != MAP_DELETED &&
            task_id_equal(map->id_of(map->owner, slot->value), id))
            return &table->slots[at];
    }
    return NULL;
}

static struct map_slot *find_slot(const struct map *map, const struct task_id *id)
{
    uint32_t hash = hash_of(map, id);
    struct map_slot *slot = probe(map, &map->now, hash, id);
    return slot != NULL ? slot : probe(map, &map->old, hash, id);
}

uint32_t map_find(const struct map *map, const struct task_id *id)
{
    const struct map_slot *slot = find_slot(map, id);
    return slot == NULL ? 0 : slot->value;
}

static void place(struct map_table *table, struct map_slot slot)
{
    uint32_t mask = table->capacity - 1, at = slot.hash & mask;
    while (table->slots[at].value != 0)
        at = (at + 1) & mask;
    table->slots[at] = slot;
    table->used++;
}

static void move_some(struct map *map)
{
    for (int i = 0; i < MAP_MOVE_SLOTS && map->moved < map->old.capacity; i++) {
        struct map_slot *slot = &map->old.slots[map->moved++];
        if (slot->value == 0 || slot->value == MAP_DELETED)
            continue;
        place(&map->now, *slot);
        slot->value = MAP_DELETED; /* not 0: slots behind it are still probed for */
    }
    if (map->old.capacity != 0 && map->moved == map->old.capacity) {
        free(map->old.slots);
        map->old = (struct map_table){NULL, 0, 0};
    }
}

static bool grow(struct map *map)
{
    ASSERT(map->old.capacity == 0);
    ASSERT(map->now.capacity <= UINT32_MAX / 4);
    uint32_t capacity = map->now.capacity == 0 ? MAP_CAPACITY_MIN : 2 * map->now.capacity;
    struct map_slot *slots = calloc(capacity, sizeof *slots);
    if (slots == NULL)
        return false;
    map->old = map->now;
    map->now = (struct map_table){slots, capacity, 0};
    map->moved = 0;
    return true;
}

bool map_put(struct map *map, const struct task_id *id, uint32_t value)
{
    ASSERT(value != 0 && value != MAP_DELETED);
    if (map->now.used + 1 > map->now.capacity / 4 * 3 && !grow(map))
        return false;
    place(&map->now, (struct map_slot){hash_of(map, id), value});
    map->entries++;
    move_some(map);
    return true;
}

/* Empty a slot of `now`: followers whose probe runs over the hole move into it. */
static void close_hole(struct map_table *table, uint32_t hole)
{
    uint32_t mask = table->capacity - 1;
    for (uint32_t at = (hole + 1) & mask; table->slots[at].value != 0; at = (at + 1) & mask) {
        uint32_t home = table->slots[at].hash & mask;
        if (((at - home) & mask) < ((at - hole) & mask))
            continue; /* its home lies behind the hole */
        table->slots[hole] = table->slots[at];
        hole = at;
    }
    table->slots[hole] = (struct map_slot){0, 0};
    table->used--;
}

void map_remove(struct map *map, const struct task_id *id)
{
    uint32_t hash = hash_of(map, id);
    struct map_slot *slot = probe(map, &map->now, hash, id);
    if (slot != NULL) {
        close_hole(&map->now, (uint32_t)(slot - map->now.slots));
    } else {
        slot = probe(map, &map->old, hash, id);
        ASSERT(slot != NULL);
        slot->value = MAP_DELETED;
    }
    map->entries--;
    move_some(map);
}

void map_replace(struct map *map, const struct task_id *id, uint32_t value)
{
    ASSERT(value != 0 && value != MAP_DELETED);
    struct map_slot *slot = find_slot(map, id);
    ASSERT(slot != NULL);
    slot->value = value;
}
