/* room.c - see room.h. */
#include "engine/room.h"

enum {
    MARGIN_MIN_BYTES = 64 * 1024,
    OUTCOME_BYTES_FIRST = 16 * 1024, /* before any outcome was seen */
    FORGETTING = 512,                /* outcomes after which a larger one is half forgotten, about */
};

#define SAY_EVERY_NS (10000 * NANOSECONDS_PER_MS) /* a full store may pause and go on many times a second */

void room_init(struct room *room, uint32_t watermark_percent)
{
    *room = (struct room){.watermark_percent = watermark_percent, .outcome_bytes = OUTCOME_BYTES_FIRST};
}

void room_begin_step(struct room *room, const struct event *event, const struct outputs *outputs)
{
    room->free_bytes = event->store_free_bytes;
    room->max_bytes = event->store_max_bytes;
    room->step_disk_bytes = outputs->disk_bytes;
    room->now_ns = event->now_ns;
}

static uint64_t margin_bytes(const struct room *room)
{
    return room->max_bytes / 100 * (100 - room->watermark_percent) + MARGIN_MIN_BYTES;
}

/* Is there more than `bytes`, and what the ends of all living tasks need? */
static bool has(const struct room *room, uint64_t bytes, uint32_t living, const struct outputs *outputs)
{
    uint64_t put_bytes = outputs->disk_bytes - room->step_disk_bytes;
    uint64_t spare_bytes = (uint64_t)living * END_BYTES;
    return room->max_bytes == 0 || room->free_bytes >= bytes + spare_bytes + put_bytes;
}

bool room_for_new(const struct room *room, uint32_t living, const struct outputs *outputs)
{
    return has(room, margin_bytes(room), living, outputs);
}

bool room_for_custody(const struct room *room, uint32_t living, const struct outputs *outputs)
{
    return has(room, margin_bytes(room) / 2, living, outputs);
}

bool room_for_grant(struct room *room, uint32_t living, uint32_t granted, struct outputs *outputs)
{
    uint64_t quarter_bytes = margin_bytes(room) / 4;
    uint64_t each_bytes = room->outcome_bytes < quarter_bytes ? room->outcome_bytes : quarter_bytes;
    uint64_t needed_bytes = quarter_bytes + (granted + (uint64_t)1) * each_bytes;
    if (room->paused)
        needed_bytes += quarter_bytes / 4;
    room->paused = !has(room, needed_bytes, living, outputs);
    if (room->paused && room->now_ns >= room->say_ns) {
        outputs_trace(outputs, TRACE_DISPATCH_PAUSED, NULL, room->free_bytes, room->max_bytes);
        room->say_ns = room->now_ns + SAY_EVERY_NS;
    }
    return !room->paused;
}

bool room_for_record(const struct room *room, uint32_t living, size_t size, const struct outputs *outputs)
{
    return has(room, margin_bytes(room) / 8 + record_disk_bytes(size), living, outputs);
}

bool room_for_result(const struct room *room, uint32_t living, size_t size, const struct outputs *outputs)
{
    return size <= RESULT_SMALL_BYTES || room_for_record(room, living, size, outputs);
}

void room_learn(struct room *room, size_t size)
{
    uint64_t bytes = record_disk_bytes(size);
    if (bytes > room->outcome_bytes)
        room->outcome_bytes = bytes;
    else
        room->outcome_bytes -= (room->outcome_bytes - bytes) / FORGETTING;
}
