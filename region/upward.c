/* upward.c - the region as a child of the broker: what it is told, and what it tells.
 *
 * Custody comes with ASSIGN and is confirmed by TAKEN after the commit. It goes with an OUTCOME that the
 * broker has SETTLED, or with OUTCOME(returned). The broker's fence is (custody, 0, 0); this region answers
 * with its own epoch and attempt behind the custody. */
#include "proto/assert.h"
#include "proto/bug.h"
#include "region/region_state.h"

enum {
    ENTRY_BYTES = 64,
    ROOM_TO_BEGIN_ANEW =
        3 * FRAME_ENTRIES_MAX, /* forgetting and accepting, while others of the message come */
};

static struct writer *entry_up(struct region *region, enum message_kind kind, struct outputs *outputs)
{
    uint32_t message;
    return outputs_entry(outputs, uplink_peer(&region->uplink), kind, &region->uplink.link, ENTRY_BYTES,
                         &message);
}

static void send_taken(struct region *region, const struct task *task, struct outputs *outputs)
{
    if (!uplink_is_up(&region->uplink))
        return;
    struct taken_entry entry = {.id = task->id, .fence = region_fence_above(task)};
    taken_entry_write(entry_up(region, MESSAGE_TAKEN, outputs), &entry);
    outputs_entry_end(outputs);
}

static void send_refused(struct region *region, const struct assign_entry *assign, enum error_code code,
                         struct outputs *outputs)
{
    region->counters.refused++;
    outputs_trace(outputs, TRACE_TASK_REFUSED, &assign->id, code, 0);
    if (!uplink_is_up(&region->uplink))
        return;
    struct refused_entry entry = {
        .id = assign->id, .fence = assign->fence, .code = bytes_of(error_code_text(code))};
    refused_entry_write(entry_up(region, MESSAGE_REFUSED, outputs), &entry);
    outputs_entry_end(outputs);
}

/* An OUTCOME that stands for no record: returned, not_held. */
static void send_bare_outcome(struct region *region, const struct task_id *id, struct fence fence,
                              enum task_end end, uint32_t flags, struct outputs *outputs)
{
    if (!uplink_is_up(&region->uplink))
        return; /* the broker finds it unclaimed in the next session */
    struct outcome_entry entry = {.id = *id, .fence = fence, .end = end, .flags = OUTCOME_DEAD | flags};
    struct writer *writer = entry_up(region, MESSAGE_OUTCOME, outputs);
    outcome_entry_write_head(writer, &entry);
    write_map(writer, 0);
    outputs_entry_end(outputs);
}

static void forget_ended(struct region *region, uint32_t index, struct outputs *outputs)
{
    outputs_erase(outputs, TABLE_OUTCOMES, ledger_task(&region->tasks, index)->arrival);
    ledger_forget(&region->tasks, index, outputs);
}

void region_return(struct region *region, uint32_t index, struct outputs *outputs)
{
    struct task *task = ledger_task(&region->tasks, index);
    ASSERT(!task_is_granted(task) && task->state != TASK_ENDED);
    outputs_trace(outputs, TRACE_TASK_RETURNED, &task->id, 0, 0);
    write_map(outputs_put(outputs, TABLE_OUTCOMES, task->arrival, 0), 0);
    outputs_put_end(outputs);
    /* Kept until the broker has it: the same custody must not be begun here a second time. */
    ledger_keep_ended(&region->tasks, index, TASK_RETURNED, 1, outputs);
    region_report(region, index, outputs);
    if (BUG(RETURNED_FORGOTTEN))
        forget_ended(region, index, outputs);
}

/* ---- ASSIGN ---- */

/* The id lives here already. True if that answers the ASSIGN. */
static bool assign_known(struct region *region, uint32_t index, const struct assign_entry *assign,
                         struct outputs *outputs)
{
    struct task *task = ledger_task(&region->tasks, index);
    if (assign->fence.custody < task->custody)
        return true; /* older than what is held: changes nothing */
    bool newer = assign->fence.custody > task->custody;
    bool gave_up = task->end == TASK_CANCELLED || task->end == TASK_RETURNED;
    if (newer && task->state == TASK_ENDED && gave_up) {
        if (outputs_room(outputs) < ROOM_TO_BEGIN_ANEW) {
            send_refused(region, assign, ERROR_THROTTLED, outputs); /* a messageful of these: in a moment */
            return true;
        }
        forget_ended(region, index, outputs); /* it was stopped for an older custody; this one wants it run */
        return false;
    }
    if (newer) {
        outputs_trace(outputs, TRACE_TASK_ADOPTED, &task->id, task->custody, assign->fence.custody);
        task->custody = assign->fence.custody;
        task->flags &= (uint8_t)~TASK_CANCELLING;
    }
    if (assign->flags & ASSIGN_DUP_POSSIBLE)
        task->flags |= TASK_DUP_POSSIBLE;
    if (newer)
        ledger_put_state(&region->tasks, index, outputs);
    if (task->state == TASK_ENDED)
        region_report(region, index, outputs);
    else
        send_taken(region, task, outputs);
    return true;
}

static void on_assign(struct region *region, struct reader *reader, struct outputs *outputs)
{
    struct assign_entry assign;
    struct task_fields fields;
    if (!assign_entry_read(reader, &assign))
        return;
    uint32_t index = ledger_find(&region->tasks, &assign.id);
    if (index != 0 && assign_known(region, index, &assign, outputs))
        return;
    struct task_problem problem = task_parse(assign.envelope, UINT64_MAX, &fields);
    bool room = room_for_custody(&region->room, region->tasks.tasks.live, outputs);
    if (problem.code != ERROR_NONE || region->draining || !room) {
        send_refused(region, &assign,
                     problem.code != ERROR_NONE ? problem.code
                     : region->draining         ? ERROR_DRAINING
                                                : ERROR_STORE_FULL,
                     outputs);
        return;
    }
    fields.body_hash = assign.fence.custody; /* the field's other meaning, in a region: task.custody */
    fields.delay_ms = 0;                     /* waited for at the broker */
    struct acceptance acceptance = {
        .id = assign.id,
        .fields = &fields,
        .envelope = assign.envelope,
        .fence = {.custody = assign.fence.custody},
        .age_ms = assign.age_ms,
        .flags = assign.flags & ASSIGN_DUP_POSSIBLE ? TASK_DUP_POSSIBLE : 0,
        .reruns = (uint8_t)(assign.attempt > 0 ? (assign.attempt - 1) & UINT8_MAX : 0),
    };
    index = ledger_accept(&region->tasks, &acceptance, outputs);
    if (index == 0) {
        send_refused(region, &assign, ERROR_THROTTLED, outputs);
        return;
    }
    region->counters.assigned++;
    uint16_t class = ledger_task(&region->tasks, index)->class;
    if (region->tasks.ready.classes[class].count == 1)
        region->incapable_since_ns[class] = 0; /* no task of it waited before, or it was another class */
    send_taken(region, ledger_task(&region->tasks, index), outputs);
    region->dispatch = true;
}

/* ---- STOP, SETTLED ---- */

static void on_stop(struct region *region, struct reader *reader, struct outputs *outputs)
{
    struct stop_entry stop;
    if (!stop_entry_read(reader, &stop))
        return;
    uint32_t index = ledger_find(&region->tasks, &stop.id);
    struct task *task = index == 0 ? NULL : ledger_task(&region->tasks, index);
    if (task == NULL || task->custody != stop.fence.custody) {
        send_bare_outcome(region, &stop.id, stop.fence, TASK_NOT_HELD, 0, outputs);
        return;
    }
    if (stop.mode == STOP_CANCEL)
        region_cancel(region, index, outputs);
    else if (task->state == TASK_READY || task->state == TASK_DELAYED)
        region_return(region, index, outputs);
    region->dispatch = true;
}

static void on_settled(struct region *region, struct reader *reader, struct outputs *outputs)
{
    struct settled_entry settled;
    if (!settled_entry_read(reader, &settled))
        return;
    uint32_t index = ledger_find(&region->tasks, &settled.id);
    struct task *task = index == 0 ? NULL : ledger_task(&region->tasks, index);
    if (task == NULL || task->state != TASK_ENDED || task->custody != settled.fence.custody)
        return;
    forget_ended(region, index, outputs);
}

static const struct {
    enum message_kind kind;
    void (*on_entry)(struct region *, struct reader *, struct outputs *);
} messages[] = {{MESSAGE_ASSIGN, on_assign}, {MESSAGE_STOP, on_stop}, {MESSAGE_SETTLED, on_settled}};

void region_on_parent_malformed(struct region *region, const struct event *event, struct outputs *outputs)
{
    region->counters.malformed++;
    if (uplink_on_malformed(&region->uplink, event, outputs) == UPLINK_ENDED)
        region_on_parent_ended(region);
}

void region_on_parent_message(struct region *region, const struct event *event,
                              const struct message_header *header, struct outputs *outputs)
{
    switch (uplink_on_message(&region->uplink, event, header, outputs)) {
    case UPLINK_NOTHING:
        return;
    case UPLINK_WELCOME:
        region->inventory_next = 1;
        region->more_work = true;
        return;
    case UPLINK_ENDED:
        region_on_parent_ended(region);
        return;
    case UPLINK_MESSAGE:
        break;
    }
    if (header->kind == MESSAGE_ASK) {
        if (!region_on_ask(region, header->body, outputs))
            region_on_parent_malformed(region, event, outputs);
        return;
    }
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        if (messages[i].kind != header->kind)
            continue;
        struct reader reader;
        reader_init(&reader, header->body);
        uint32_t count = read_array(&reader, 16) == 0 ? 0 : read_array(&reader, FRAME_ENTRIES_MAX);
        for (uint32_t entry = 0; entry < count && !reader_failed(&reader); entry++)
            messages[i].on_entry(region, &reader, outputs);
        if (reader_failed(&reader))
            region_on_parent_malformed(region, event, outputs);
    }
}

/* ---- INVENTORY and what the last session left unanswered ---- */

void region_on_parent_ended(struct region *region)
{
    region->inventory_next = region->report_next = 0;
}

static void write_row(struct region *region, const struct task *task, struct outputs *outputs)
{
    enum held_status status = task->state == TASK_ENDED     ? HELD_ENDED
                              : task->state == TASK_RUNNING ? HELD_RUNNING
                                                            : HELD_WAITING;
    struct inventory_row row = {.id = task->id, .fence = region_fence_above(task), .status = status};
    inventory_row_write(entry_up(region, MESSAGE_INVENTORY, outputs), &row);
    outputs_entry_end(outputs);
}

static void send_inventory(struct region *region, const struct event *event, struct outputs *outputs)
{
    while (region->inventory_next < region->tasks.tasks.next_fresh) {
        if (outputs_room(outputs) < 512)
            return;
        const struct task *task = ledger_task(&region->tasks, region->inventory_next++);
        if (task->state != TASK_NONE)
            write_row(region, task, outputs);
    }
    region->inventory_next = 0;
    uplink_synced(&region->uplink, event, outputs);
    region->report_next = 1;
}

static void send_outcomes(struct region *region, struct outputs *outputs)
{
    while (region->report_next < region->tasks.tasks.next_fresh && !BUG(OUTCOME_NOT_REPEATED)) {
        if (outputs_room(outputs) < 512 || outputs_full(outputs))
            return;
        uint32_t index = region->report_next++;
        if (ledger_task(&region->tasks, index)->state == TASK_ENDED)
            region_report(region, index, outputs);
    }
    region->report_next = 0;
}

void region_go_on_upward(struct region *region, const struct event *event, struct outputs *outputs)
{
    if (region->inventory_next != 0)
        send_inventory(region, event, outputs);
    if (region->report_next != 0)
        send_outcomes(region, outputs);
    if (region->inventory_next != 0 || region->report_next != 0)
        region->more_work = true;
}
