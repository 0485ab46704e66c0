/* ended.h - ids of tasks that ended, so that a resubmit gets its first answer and a result can be asked for.
 *
 * Is:      a ring of 32-byte entries in the order of ending, with one ENDED record per up to ENDED_RECORD_MAX
 * of them. The node's id map points here with ENDED_BIT set. Is not:  the outcomes: those lie in OUTCOMES
 * under the arrival number until result_ttl, or until they were received and room is needed. Bounds:  ids_max
 * entries; the oldest are forgotten first, and any older than dedupe_ttl. Cost:    add, find: O(1); expiry:
 * one operation per entry, as the step has room; received: O(log records), and its record is written again
 * when ended_put_receipts is called, once for all that were received meanwhile. */
#ifndef MERIDIAN_ENGINE_ENDED_H
#define MERIDIAN_ENGINE_ENDED_H

#include "engine/map.h"
#include "engine/outputs.h"
#include "proto/link.h"

#define ENDED_BIT 0x80000000u
/* Entry numbers repeat in the map after so many: all values of 31 bits but the one that the map keeps for
 * itself. */
#define ENDED_VALUES (ENDED_BIT - 1)

enum { ENDED_CHUNK = 4096, ENDED_RECORD_MAX = 50 };

enum ended_flag { ENDED_RECEIVED = 4, ENDED_DUP = 8 }; /* the low two bits are the enum task_end, 0 .. 3 */

struct ended_entry {
    struct task_id id;
    uint32_t body_hash;         /* low half: enough to tell another body */
    uint32_t outcome_size : 23; /* 0 = erased */
    uint32_t custody_high : 8;  /* of the custody that reported the end: it tells restored backups apart */
    uint32_t late : 1;          /* an outcome of it came when it had gone on without it */
    uint64_t arrival_and_bits;  /* arrival << 8 | the lowest 4 bits of that custody << 4 | flags */
};

#define ENDED_OUTCOME_BYTES_MAX (UINT32_MAX >> 9)

_Static_assert(sizeof(struct ended_entry) == 32, "promised: 32 bytes per remembered id");

struct ended_record {
    uint64_t number;  /* in ENDED */
    uint64_t wall_ms; /* of its newest entry */
    uint64_t first;   /* its first entry */
    uint32_t count;
    bool receipts; /* some of its entries were received since it was written */
};

struct ended {
    struct ended_entry *
        *chunks; /* of entries first .. next - 1; chunks[0] holds entry first_chunk * ENDED_CHUNK */
    uint32_t chunk_count, chunk_capacity;
    uint64_t first_chunk;
    uint64_t first, next;         /* entry numbers */
    struct ended_record *records; /* ring */
    uint32_t record_first, record_count, record_capacity;
    uint32_t erase_record; /* offset from record_first: results of records before it were erased */
    uint32_t evict_record; /* offset from record_first of that record */
    uint64_t evictable;    /* results that were received and are still there */
    uint64_t receipts_first,
        receipts_last; /* numbers of records between which some have receipts; 0 = none */
    uint64_t next_number;
    uint32_t open; /* entries at the end of the ring not yet in a record */
    uint32_t ids_max;
    uint64_t result_ttl_ms, dedupe_ttl_ms;
    uint64_t
        horizon_ms; /* wall time of the newest id that was forgotten: older ones are not known any more */
};

void ended_init(struct ended *ended, uint32_t ids_max, uint64_t result_ttl_ms, uint64_t dedupe_ttl_ms);
void ended_release(struct ended *ended);
/* Returns the value for the id map (ENDED_BIT set). The caller puts it there. */
uint32_t ended_add(struct ended *ended, const struct ended_entry *entry);
struct ended_entry *ended_at(const struct ended *ended, uint32_t value);
/* End of step: the entries added since are put as records. Also called by ended_add when a record is full. */
void ended_flush(struct ended *ended, uint64_t wall_ms, struct outputs *outputs);
/* A record of ENDED; its ids are added and, through `map`, found. False if it is not one. */
bool ended_restore(struct ended *ended, uint64_t number, struct bytes record, struct map *map);
/* Forget what is too old or too much, as far as the step has room. True if there is more to do. */
bool ended_expire(struct ended *ended, uint64_t wall_ms, struct map *map, struct outputs *outputs);
/* The client has its result: first to go when room is needed. Durable with the next ended_put_receipts. */
void ended_received(struct ended *ended, uint32_t value);
/* Put the records that have receipts, as far as the step has room. True if there is more to do. */
bool ended_put_receipts(struct ended *ended, struct outputs *outputs);
/* Erase outcomes that were received, going round from the oldest, about `most` of them; returns how many. */
uint32_t ended_evict_received(struct ended *ended, uint32_t most, struct outputs *outputs);
/* Sets `late` of the entry of which the id map has `value`; durable with this step. O(log records). */
void ended_mark_late(struct ended *ended, uint32_t value, struct outputs *outputs);
/* When ended_expire has work next, in wall time; UINT64_MAX if never. */
uint64_t ended_due_wall_ms(const struct ended *ended);

static inline bool ended_has_receipts(const struct ended *ended)
{
    return ended->receipts_last != 0;
}

/* The value in the id map of entry `number`. */
static inline uint32_t ended_value(uint64_t number)
{
    return (uint32_t)(number % ENDED_VALUES) | ENDED_BIT;
}

static inline uint64_t ended_arrival(const struct ended_entry *entry)
{
    return entry->arrival_and_bits >> 8;
}

/* The end was reported under `custody`, as far as the entry can tell. */
static inline bool ended_by_custody(const struct ended_entry *entry, uint32_t custody)
{
    return entry->custody_high == custody >> 24 && (entry->arrival_and_bits >> 4 & 15) == (custody & 15);
}

static inline enum task_end ended_end(const struct ended_entry *entry)
{
    return (enum task_end)(entry->arrival_and_bits & 3);
}

#endif
