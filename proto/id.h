/* id.h - task ids and fences: the two names that travel with a task.
 *
 * A task id is 16 bytes chosen by the client (UUIDv7 recommended). People see its last 8 hex digits.
 * A fence is (custody, epoch, attempt), ordered in that order; on the wire it is 12 bytes big-endian,
 * compared bytewise; as text 24 hex digits. custody counts the broker's grants of the task, epoch is the
 * region's start, attempt counts the region's grants. A broker's own ASSIGN carries (custody, 0, 0). */
#ifndef MERIDIAN_PROTO_ID_H
#define MERIDIAN_PROTO_ID_H

#include "proto/bytes.h"

enum { TASK_ID_BYTES = 16, TASK_ID_HEX = 32, TASK_ID_SHORT_HEX = 8, FENCE_BYTES = 12, FENCE_HEX = 24 };

struct task_id {
    uint8_t bytes[TASK_ID_BYTES];
};

struct fence {
    uint32_t custody;
    uint32_t epoch;
    uint32_t attempt;
};

static inline bool task_id_equal(const struct task_id *a, const struct task_id *b)
{
    return memcmp(a->bytes, b->bytes, TASK_ID_BYTES) == 0;
}

/* <0, 0, >0 as `a` is older than, the same as, or newer than `b`. */
int fence_compare(struct fence a, struct fence b);
void fence_encode(struct fence fence, uint8_t to[FENCE_BYTES]);
struct fence fence_decode(const uint8_t from[FENCE_BYTES]);

/* Lower-case hex of `from`, terminated; `to` has room for 2 * from.size + 1. */
void hex_encode(struct bytes from, char *to);
/* Reads exactly 2 * size hex digits; false if `text` has another length or another character. */
bool hex_decode(struct bytes text, uint8_t *to, size_t size);

/* Milliseconds since 1970 in a UUIDv7, or 0 if `id` is not one. */
uint64_t task_id_time_ms(const struct task_id *id);
/* A UUIDv7 of `wall_ms` with 74 random bits out of `random` (both words are used). */
struct task_id task_id_make(uint64_t wall_ms, const uint64_t random[2]);

#endif
