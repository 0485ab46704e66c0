/* late.c - outcomes that came when their attempt was over and the task had gone on without it: refused, and
 * remembered for people.
 *
 * That a task had one is a bit, kept as long as its id is (TASK_LATE, then ended_entry.late). Whose they were
 * is known of the newest LATE_NOTES_MAX since the start. Only a task that is marked dup_possible can have
 * one: an outcome of any other was recorded before, and has only been sent again. */
#include "broker/broker_state.h"
#include "proto/text.h"

/* Among the living, or in its place among the ended ones. False if there is no such task, or it cannot be. */
static bool mark(struct broker *broker, const struct child *region, const struct task_id *id,
                 struct outputs *outputs)
{
    uint32_t index = ledger_find(&broker->tasks, id);
    const struct ended_entry *ended = ledger_find_ended(&broker->tasks, id);
    if (index != 0) {
        struct task *task = ledger_task(&broker->tasks, index);
        /* A region that holds it knows of marks that it has not reported yet. */
        bool marked = task->flags & TASK_DUP_POSSIBLE || ledger_holder(&broker->tasks, task) == region;
        if (marked && !(task->flags & TASK_LATE)) {
            task->flags |= TASK_LATE;
            ledger_put_state(&broker->tasks, index, outputs);
        }
        return marked;
    }
    if (ended == NULL || !(ended->arrival_and_bits & ENDED_DUP))
        return false;
    ended_mark_late(&broker->ended, map_find(&broker->tasks.by_id, id), outputs);
    return true;
}

static struct late_note *add_note(struct broker *broker, const struct task_id *id, struct fence fence,
                                  enum task_end end)
{
    struct late_note *note = &broker->late.notes[broker->late.next++ % LATE_NOTES_MAX];
    *note = (struct late_note){.id = *id, .fence = fence, .end = end, .at_ns = broker->tasks.now_ns};
    return note;
}

/* Who ran it, of a region's outcome map: a worker, or some worker of the region; size 0 if nobody did. */
static struct bytes worker_of(const struct child *region, struct bytes outcome)
{
    struct reader reader;
    reader_init(&reader, read_map_value(outcome, "worker"));
    struct bytes worker = read_str(&reader, 0, 2 * NAME_BYTES_MAX + 1);
    if (worker.size > 0)
        return worker;
    reader_init(&reader, read_map_value(outcome, "history"));
    return read_array(&reader, UINT16_MAX) > 0 ? bytes_of(region->name) : worker;
}

void broker_on_late_outcome(struct broker *broker, const struct child *region,
                            const struct outcome_entry *entry, struct outputs *outputs)
{
    struct bytes worker = worker_of(region, entry->outcome);
    if (worker.size == 0 || !mark(broker, region, &entry->id, outputs))
        return; /* it was stopped before it ever ran, or it is not late */
    struct text where;
    struct late_note *note = add_note(broker, &entry->id, entry->fence, entry->end);
    text_init(&where, note->where, sizeof note->where);
    text_add_bytes(&where, worker);
}

void broker_on_late_entries(struct broker *broker, const struct child *region, struct bytes body,
                            struct outputs *outputs)
{
    struct heartbeat heartbeat;
    struct reader reader;
    if (!heartbeat_read(body, &heartbeat))
        return;
    reader_init(&reader, heartbeat.late);
    uint32_t count = read_array(&reader, OUTCOME_ENTRIES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct late_entry entry;
        if (!late_entry_read(&reader, &entry))
            break;
        if (!mark(broker, region, &entry.id, outputs))
            continue;
        struct text where;
        struct late_note *note = add_note(broker, &entry.id, entry.fence, entry.end);
        text_init(&where, note->where, sizeof note->where);
        text_add(&where, region->name);
        text_add(&where, "/");
        text_add_bytes(&where, entry.worker);
    }
    broker->counters.malformed += reader_failed(&reader);
}

bool broker_was_late(struct broker *broker, const struct task_id *id)
{
    uint32_t index = ledger_find(&broker->tasks, id);
    const struct ended_entry *ended = ledger_find_ended(&broker->tasks, id);
    return index != 0 ? (ledger_task(&broker->tasks, index)->flags & TASK_LATE) != 0
                      : ended != NULL && ended->late;
}

static void write_note(struct broker *broker, struct writer *writer, const struct late_note *note)
{
    uint8_t fence[FENCE_BYTES];
    fence_encode(note->fence, fence);
    write_map(writer, 4);
    write_str(writer, "where");
    write_str(writer, note->where);
    write_str(writer, "end");
    write_str(writer, task_end_text(note->end));
    write_str(writer, "fence");
    write_bin(writer, (struct bytes){fence, FENCE_BYTES});
    write_str(writer, "ago_ms");
    write_uint(writer, (broker->tasks.now_ns - note->at_ns) / NANOSECONDS_PER_MS);
}

void broker_write_late(struct broker *broker, struct writer *writer, const struct task_id *id)
{
    write_str(writer, "late");
    write_bool(writer, broker_was_late(broker, id));
    write_str(writer, "late_outcomes");
    size_t at = write_array_open(writer);
    uint32_t count = 0;
    uint64_t notes = broker->late.next < LATE_NOTES_MAX ? broker->late.next : LATE_NOTES_MAX;
    for (uint64_t i = 1; i <= notes && count < LATE_SHOWN_MAX; i++) {
        const struct late_note *note = &broker->late.notes[(broker->late.next - i) % LATE_NOTES_MAX];
        if (!task_id_equal(&note->id, id))
            continue;
        write_note(broker, writer, note);
        count++;
    }
    patch_count(writer->data, at, count);
}
