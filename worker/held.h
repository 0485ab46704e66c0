/* held.h - the attempts this worker knows: waiting for a slot, running, or ended and not yet settled.
 *
 * Is:      slab and index by (task id, fence). An attempt is known from its ASSIGN until its SETTLED.
 * Invariants: at most one entry per (id, fence). Entries of one task form a chain from the newest fence,
 * which the map finds, to the oldest: an older attempt may still be ending when the next one is granted.
 * Cost:    find, add, drop: O(1), and the number of attempts of one task held at once. */
#ifndef MERIDIAN_WORKER_HELD_H
#define MERIDIAN_WORKER_HELD_H

#include <sys/queue.h>

#include "engine/map.h"
#include "engine/slab.h"
#include "proto/link.h"
#include "worker/chain.h"

struct held {
    uint32_t index; /* of itself in the slab */
    uint32_t older; /* an earlier attempt of the same task, 0 = none */
    struct task_id id;
    struct fence fence;
    enum held_status status;
    bool known;      /* false: the slab's item is free */
    bool unreported; /* running, and in that line */
    uint32_t attempt, handler;
    struct chain bytes; /* the envelope while it waits or starts; the result map once ended; may be empty */
    uint64_t since_ns;  /* when it started, or ended */
    uint32_t slot;      /* while running */
    uint32_t flags;     /* once ended: OUTCOME_... */
    enum task_end end;
    uint32_t entry_bytes;   /* size of its record in the spool, 0 = not there */
    uint64_t spool_number;  /* key of that record */
    uint64_t sent_session;  /* its OUTCOME left in this session, 0 = in none */
    TAILQ_ENTRY(held) line; /* waiting; running and not yet reported; ended and not spooled */
};
TAILQ_HEAD(held_line, held);

struct held_table {
    struct slab items, blocks;
    struct map newest;
    uint32_t ended; /* entries with status HELD_ENDED */
};

void held_init(struct held_table *table, uint32_t entries_max, uint32_t blocks_max);
void held_release(struct held_table *table);
/* Before the first entry: ids are mixed with it. */
void held_seed(struct held_table *table, uint64_t seed);

/* The entry of the task's newest fence known here, or NULL. */
struct held *held_newest(const struct held_table *table, const struct task_id *id);
struct held *held_find(const struct held_table *table, const struct task_id *id, struct fence fence);
/* The pair must be unknown. NULL at the bound. */
struct held *held_add(struct held_table *table, const struct task_id *id, struct fence fence);
/* Forget it; it must be in no line. Its bytes are released. */
void held_drop(struct held_table *table, struct held *held);
/* For sweeps in the order of indices, 1 .. held_limit() - 1; NULL where nothing is known. */
struct held *held_at(const struct held_table *table, uint32_t index);
static inline uint32_t held_limit(const struct held_table *table)
{
    return table->items.next_fresh;
}

#endif
