/* late.c - outcomes that were refused here, because the task had gone on without them: told to the broker,
 * which shows them to people.
 *
 * They go with the next beat, at most OUTCOME_ENTRIES_MAX of them and once: what is lost with a session, or a
 * restart, is missing from `task list --late` and nowhere else. That the task may have run twice is not said
 * here but by its mark, dup_possible, which is durable. */
#include "region/region_state.h"

/* Heads of one byte, but for a name longer than 31; an end of one. */
_Static_assert(LATE_ENTRY_BYTES_MAX >= 1 + 2 + TASK_ID_BYTES + 2 + FENCE_BYTES + 1 + 2 + NAME_BYTES_MAX,
               "room for the longest entry");

void region_note_late(struct region *region, const struct child *worker, const struct outcome_entry *outcome)
{
    struct late_entries *late = &region->late;
    struct writer *writer = &late->writer;
    if (region->uplink.late.size == 0) { /* those before have left */
        writer_init(writer, late->bytes, sizeof late->bytes);
        late->count_at = write_array_open(writer);
        late->count = 0;
    }
    if (late->count == OUTCOME_ENTRIES_MAX)
        return;
    struct late_entry entry = {
        .id = outcome->id, .fence = outcome->fence, .end = outcome->end, .worker = bytes_of(worker->name)};
    late_entry_write(writer, &entry);
    patch_count(late->bytes, late->count_at, ++late->count);
    region->uplink.late = writer_bytes(writer);
}
