/* check_wire.c - the judge's eyes on the wires: every frame as it leaves. See check.c for the invariants. */
#include "engine/task.h"
#include "proto/message.h"
#include "sim/check.h"

/* Where the frame goes. */
struct way {
    struct sim_node *from;
    uint32_t to, to_life;
};

static uint32_t known_task(struct sim *sim, const struct way *way, const struct task_id *id)
{
    uint32_t task = sim_task_of(sim, id);
    if (task == TASKS_MAX_SIM)
        violation(sim, 0, "%s names a task that was never submitted", way->from->name);
    return task;
}

/* A grant record: child u32, then (arrival u64, fence) each. */
static bool grant_on_disk(const struct sim *sim, const struct sim_node *node, uint32_t task,
                          struct fence fence)
{
    const struct disk_table *grants = &node->disk.tables[TABLE_GRANTS];
    uint8_t wanted[8 + FENCE_BYTES];
    patch_uint64(wanted, 0, check_arrivals(sim, node)[task]);
    fence_encode(fence, wanted + 8);
    for (size_t i = 0; i < grants->count; i++) {
        struct bytes value = grants->records[i].value;
        for (size_t at = 4; at + sizeof wanted <= value.size; at += sizeof wanted)
            if (memcmp(value.data + at, wanted, sizeof wanted) == 0)
                return true;
    }
    return false;
}

/* Is there anything on the region's disk that tells that this attempt has ended? */
static bool end_on_disk(struct sim *sim, const struct sim_node *region, uint32_t task, struct fence fence)
{
    if (on_disk(sim, region, TABLE_OUTCOMES, task))
        return true;
    const struct disk_record *record =
        disk_find(&region->disk, TABLE_STATES, check_arrivals(sim, region)[task]);
    struct task state; /* its fence: the last grant that has ended */
    return record != NULL && task_record_read(record->value, &state, sim->now_ns, WALL_START_MS) &&
           fence_compare(state.fence, fence) >= 0;
}

static void on_custody(struct sim *sim, const struct way *way, uint32_t task,
                       const struct assign_entry *entry)
{
    struct checked *checked = &sim->checks->tasks[task];
    bool again = entry->fence.custody == checked->custody && checked->holder == way->to;
    if (entry->fence.custody <= checked->custody && !again)
        violation(sim, 3, "custody %u of task %u goes to %s after custody %u", entry->fence.custody, task,
                  sim->nodes[way->to].name, checked->custody);
    checked->custody = entry->fence.custody;
    checked->holder = way->to;
}

static void on_attempt(struct sim *sim, const struct way *way, uint32_t task,
                       const struct assign_entry *entry)
{
    struct checked *checked = &sim->checks->tasks[task];
    struct attempt *attempt = check_attempt(sim, task, entry->fence);
    for (uint32_t i = 0; i < checked->attempt_count && attempt == NULL; i++)
        if (checked->attempts[i].region == way->from->index &&
            fence_compare(checked->attempts[i].fence, entry->fence) > 0)
            violation(sim, 3, "%s assigns task %u under %s after %s", way->from->name, task,
                      check_fence_text(entry->fence, 0), check_fence_text(checked->attempts[i].fence, 1));
    if (attempt != NULL) {
        if (attempt->worker != way->to || attempt->worker_life != way->to_life)
            violation(sim, 3, "%s assigns task %u under %s to a second worker", way->from->name, task,
                      check_fence_text(entry->fence, 0));
        attempt->dup_possible |= entry->flags & ASSIGN_DUP_POSSIBLE;
        return;
    }
    if (checked->attempt_count == ATTEMPTS_MAX_SIM) {
        violation(sim, 12, "task %u is assigned a %dth time", task, ATTEMPTS_MAX_SIM + 1);
        return;
    }
    checked->attempts[checked->attempt_count++] =
        (struct attempt){.fence = entry->fence,
                         .region = way->from->index,
                         .worker = way->to,
                         .worker_life = way->to_life,
                         .dup_possible = entry->flags & ASSIGN_DUP_POSSIBLE};
}

static void on_assign(struct sim *sim, const struct way *way, struct reader *reader)
{
    struct assign_entry entry;
    if (!assign_entry_read(reader, &entry))
        return;
    uint32_t task = known_task(sim, way, &entry.id);
    if (sim->failed)
        return;
    /* One batch may hold a grant and its end: then the disk tells of the end alone, which is as good. */
    if (!grant_on_disk(sim, way->from, task, entry.fence) && !end_on_disk(sim, way->from, task, entry.fence))
        violation(sim, 6, "%s assigns task %u under %s without a grant on its disk", way->from->name, task,
                  check_fence_text(entry.fence, 0));
    if (way->from->index == 0)
        on_custody(sim, way, task, &entry);
    else
        on_attempt(sim, way, task, &entry);
}

static void on_settled(struct sim *sim, const struct way *way, struct reader *reader)
{
    struct settled_entry entry;
    if (!settled_entry_read(reader, &entry))
        return;
    uint32_t task = known_task(sim, way, &entry.id);
    if (sim->failed)
        return;
    struct checked *checked = &sim->checks->tasks[task];
    checked->answered |= 1u << way->to;
    if (entry.status != SETTLED_RECORDED)
        return;
    bool given_back = checked->outcome_end[way->to] > TASK_RETURNED; /* returned, not held */
    if (way->from->index == 0) {
        if (entry.fence.custody < checked->custody)
            violation(sim, 3, "the broker records an outcome of task %u under custody %u, after custody %u",
                      task, entry.fence.custody, checked->custody);
        if (checked->recorded_end == 0 && !given_back)
            violation(sim, 10, "the broker settles task %u, of which it has recorded no end", task);
        return;
    }
    bool known = false; /* it may have passed the outcome on since */
    for (uint32_t i = 0; i < checked->attempt_count; i++) {
        struct attempt *attempt = &checked->attempts[i];
        int order = fence_compare(attempt->fence, entry.fence);
        if (order > 0 && attempt->region == way->from->index)
            violation(sim, 3, "%s records an outcome of task %u under %s, after %s", way->from->name, task,
                      check_fence_text(entry.fence, 0), check_fence_text(attempt->fence, 1));
        known |= order == 0 && attempt->recorded;
        attempt->recorded |= order == 0;
    }
    if (!known && !given_back && !end_on_disk(sim, way->from, task, entry.fence))
        violation(sim, 10, "%s settles task %u under %s, of which it has recorded no end", way->from->name,
                  task, check_fence_text(entry.fence, 0));
}

static void on_outcome(struct sim *sim, const struct way *way, struct reader *reader)
{
    struct outcome_entry entry;
    if (!outcome_entry_read(reader, &entry))
        return;
    uint32_t task = known_task(sim, way, &entry.id);
    if (sim->failed)
        return;
    struct checked *checked = &sim->checks->tasks[task];
    checked->outcome_end[way->from->index] = (uint8_t)(entry.end + 1);
    bool kept = entry.end < TASK_RETURNED && way->from->parent == 0; /* a worker's is in memory at first */
    bool superseded = entry.fence.custody < checked->custody;
    if (kept && !superseded && !on_disk(sim, way->from, TABLE_OUTCOMES, task))
        violation(sim, 10, "%s reports the end of task %u, which it has not recorded", way->from->name, task);
}

/* ---- to clients ---- */

static void on_accepted(struct sim *sim, struct bytes entry)
{
    struct task_id id;
    struct bytes status = field_text(entry, "status");
    if (!field_bin(entry, "id", &id, sizeof id) ||
        (!bytes_are(status, "accepted") && !bytes_are(status, "duplicate")))
        return;
    uint32_t task = sim_task_of(sim, &id);
    struct checked *checked = &sim->checks->tasks[task];
    checked->accepted = true;
    if (checked->recorded_end == 0 && !on_disk(sim, &sim->nodes[0], TABLE_STATES, task))
        violation(sim, 6, "ACCEPTED leaves before task %u is on disk", task);
}

/* The fence of the attempt that decided, and whether its process really ended well. */
static void check_truth(struct sim *sim, uint32_t task, struct bytes outcome)
{
    uint8_t bytes[FENCE_BYTES];
    if (!field_bin(outcome, "fence", bytes, sizeof bytes)) {
        violation(sim, 0, "task %u completed, and its outcome names no fence", task);
        return;
    }
    struct fence fence = fence_decode(bytes);
    const struct checked *checked = &sim->checks->tasks[task];
    for (uint32_t i = 0; i < checked->attempt_count; i++) {
        const struct attempt *attempt = &checked->attempts[i];
        bool named = attempt->fence.epoch == fence.epoch && attempt->fence.attempt == fence.attempt;
        if (named && (!attempt->started || attempt->completed))
            return; /* custody may have been renewed; what has not started was a builtin */
    }
    violation(sim, 0, "task %u completed under %s, where no process ended well", task,
              check_fence_text(fence, 0));
}

uint64_t check_hash(struct bytes bytes)
{
    uint64_t hash = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < bytes.size; i++)
        hash = (hash ^ bytes.data[i]) * 0x100000001b3ull;
    return hash;
}

static void on_result(struct sim *sim, struct bytes entry)
{
    struct task_id id;
    if (!field_bin(entry, "id", &id, sizeof id))
        return;
    uint32_t task = sim_task_of(sim, &id);
    struct checked *checked = &sim->checks->tasks[task];
    struct bytes state = field_text(entry, "state");
    uint64_t hash = check_hash(entry);
    if (checked->result_hash != 0 && checked->result_hash != hash)
        violation(sim, 2, "the result of task %u has changed", task);
    checked->result_hash = hash;
    if (checked->recorded_end == 0)
        violation(sim, 6, "RESULT leaves before the end of task %u is on disk", task);
    else if (!bytes_are(state, task_end_text((enum task_end)(checked->recorded_end - 1))))
        violation(sim, 2, "RESULT says task %u is %.*s; recorded is %s", task, (int)state.size,
                  (const char *)state.data, task_end_text((enum task_end)(checked->recorded_end - 1)));
    if (checked->doubled && !field_bool(entry, "dup_possible"))
        violation(sim, 4, "task %u ran twice, and its RESULT does not say that it may have", task);
    if (bytes_are(state, "completed"))
        check_truth(sim, task, field(entry, "outcome"));
}

/* QUERY cluster is alone in its batch (host.c): what it counts is what is on disk when it leaves. */
static void on_row(struct sim *sim, struct bytes row)
{
    struct bytes tasks = field(row, "tasks");
    const struct disk *disk = &sim->nodes[0].disk;
    if (tasks.size == 0 || field(row, "epoch").size == 0)
        return; /* a row of another QUERY */
    uint64_t living =
        field_uint(tasks, "delayed") + field_uint(tasks, "ready") + field_uint(tasks, "granted");
    if (living != disk->tables[TABLE_STATES].count)
        violation(sim, 11, "the broker counts %llu living tasks and stores %zu", (unsigned long long)living,
                  disk->tables[TABLE_STATES].count);
    if (field_uint(tasks, "ended") != sim->checks->ended)
        violation(sim, 11, "the broker counts %llu ended tasks and stores %u",
                  (unsigned long long)field_uint(tasks, "ended"), sim->checks->ended);
}

/* ---- one frame ---- */

static bool find_way(struct sim *sim, struct sim_node *from, uint64_t peer, struct way *ret_way)
{
    uint64_t number = peer_number(peer);
    *ret_way = (struct way){.from = from, .to = from->parent};
    if (peer_port(peer) != PORT_CHILD)
        return true;
    if (number == 0 || number > sim->wire_count || sim->wires[number - 1].parent != from->index)
        return false;
    ret_way->to = sim->wires[number - 1].child;
    ret_way->to_life = sim->wires[number - 1].child_life;
    return true;
}

/* Which messages are looked into, and how. */
static void (*const on_entry[MESSAGE_KIND_COUNT])(struct sim *, const struct way *, struct reader *) = {
    [MESSAGE_ASSIGN] = on_assign,
    [MESSAGE_SETTLED] = on_settled,
    [MESSAGE_OUTCOME] = on_outcome,
};

static const struct {
    const char *list;
    void (*on_map)(struct sim *, struct bytes map);
} on_reply[MESSAGE_KIND_COUNT] = {
    [MESSAGE_ACCEPTED] = {"tasks", on_accepted},
    [MESSAGE_RESULT] = {"results", on_result},
    [MESSAGE_ROWS] = {"rows", on_row},
};

void check_frame(struct sim *sim, struct sim_node *from, const struct frame *frame)
{
    struct message_header header;
    struct reader reader;
    struct way way;
    if (message_read((struct bytes){frame->data, frame->size}, &header) != READER_OK ||
        header.kind == MESSAGE_KIND_COUNT) {
        violation(sim, 0, "%s sends what is no message", from->name);
        return;
    }
    if (!find_way(sim, from, frame->peer, &way))
        violation(sim, 0, "%s sends %s to a peer that it never had", from->name,
                  message_kind_text(header.kind));
    if (on_entry[header.kind] != NULL) {
        reader_init(&reader, header.body);
        read_array(&reader, 1);
        for (uint32_t left = read_array(&reader, INVENTORY_ROWS_MAX); left > 0 && !sim->failed; left--)
            on_entry[header.kind](sim, &way, &reader);
        if (!sim->failed && reader_failed(&reader))
            violation(sim, 0, "%s sends a malformed %s", from->name, message_kind_text(header.kind));
    } else if (on_reply[header.kind].list != NULL) {
        for (uint32_t left = field_array(header.body, on_reply[header.kind].list, &reader); left > 0; left--)
            on_reply[header.kind].on_map(sim, read_raw(&reader));
    }
}

void check_arrival(struct sim *sim, struct sim_node *to, const struct frame *frame)
{
    struct message_header header;
    struct reader reader;
    struct outcome_entry entry;
    if (to->index == 0 || message_read((struct bytes){frame->data, frame->size}, &header) != READER_OK ||
        header.kind != MESSAGE_OUTCOME)
        return;
    reader_init(&reader, header.body);
    read_array(&reader, 1);
    for (uint32_t left = read_array(&reader, INVENTORY_ROWS_MAX); left > 0; left--)
        if (outcome_entry_read(&reader, &entry) && sim_task_of(sim, &entry.id) != TASKS_MAX_SIM) {
            struct attempt *attempt = check_attempt(sim, sim_task_of(sim, &entry.id), entry.fence);
            if (attempt != NULL)
                attempt->reported = true;
        }
}
