/* room.h - how full the store is, and what may still be written: the only place that knows the marks.
 *
 * Is:      a part that nodes are composed of. It is told the store's free bytes with every event and what the
 * running step has put since; it answers whether there is room for a thing. Nothing is counted twice and
 * nothing is forgotten: the host takes from the free bytes what earlier batches may still write.
 * Is not:  what makes room (engine/ended.h evicts), and not what happens at a mark (that is the nodes').
 * Marks, from the full store down. `margin` is what lies above the watermark, `spare` END_BYTES per living
 * task, so that the end of each can always be recorded:
 *     new work     refused below           margin + spare       (SUBMIT; received results are evicted)
 *     custody      refused below           margin / 2 + spare   (ASSIGN to a region)
 *     grants       pause below             margin / 4 + spare, and what all granted tasks may still bring
 *     results      are dropped below       margin / 8 + spare   (an end is recorded without its result)
 *     ends         of bounded size         always
 * What a granted task may bring is learned: the size of outcomes, quick to rise and slow to fall, but never
 * more than margin / 4, so that one task can run whatever the sizes are. Below max_bytes the map has a
 * quarter more for copies on write and deletions (docs/storage-format.md), which no mark touches. Cost: O(1),
 * no memory. */
#ifndef MERIDIAN_ENGINE_ROOM_H
#define MERIDIAN_ENGINE_ROOM_H

#include "engine/outputs.h"
#include "engine/step.h"

enum {
    END_BYTES = 256,          /* an end without its result, over what its task's own records gave back */
    RESULT_SMALL_BYTES = 320, /* outcomes up to this size are ends of bounded size: never dropped */
};

struct room {
    uint32_t watermark_percent;
    uint64_t free_bytes, max_bytes; /* when the running step began; max_bytes 0 = no bound */
    uint64_t step_disk_bytes;       /* of the outputs, then */
    uint64_t outcome_bytes;         /* what a granted task may still bring */
    uint64_t now_ns, say_ns;        /* a pause is traced not before say_ns */
    bool paused;                    /* grants wait for room */
};

void room_init(struct room *room, uint32_t watermark_percent);
/* First thing in every step. */
void room_begin_step(struct room *room, const struct event *event, const struct outputs *outputs);

bool room_for_new(const struct room *room, uint32_t living, const struct outputs *outputs);
bool room_for_custody(const struct room *room, uint32_t living, const struct outputs *outputs);
/* One grant more beside `granted`; sets `paused`, and leaves it only with some room to spare. */
bool room_for_grant(struct room *room, uint32_t living, uint32_t granted, struct outputs *outputs);
/* A record of `size` bytes above the mark below which only ends are written. */
bool room_for_record(const struct room *room, uint32_t living, size_t size, const struct outputs *outputs);
/* A result (or a piece of history) of `size` bytes: small ones always. */
bool room_for_result(const struct room *room, uint32_t living, size_t size, const struct outputs *outputs);
/* An outcome of `size` bytes came. */
void room_learn(struct room *room, size_t size);

#endif
