/* check_wire.c - frames between parents and children: what they may say when they leave, and what the judge
 * learns when they arrive. See check.c for the invariants. */
#include "engine/task.h"
#include "proto/message.h"
#include "sim/check.h"

static uint32_t known_task(struct sim *sim, const struct way *way, const struct task_id *id)
{
    uint32_t task = sim_task_of(sim, id);
    if (task == TASKS_MAX_SIM)
        violation(sim, 0, "%s names a task that was never submitted", way->from->name);
    return task;
}

/* ---- ASSIGN ---- */

/* Is there anything on the region's disk that tells that this attempt has ended? */
static bool end_on_disk(struct sim *sim, const struct sim_node *node, uint32_t task, struct fence fence)
{
    const struct booked *booked = check_booked(sim, node->index, task);
    return on_disk(sim, node, TABLE_OUTCOMES, task) ||
           (booked->stored && fence_compare(booked->ended, fence) >= 0);
}

static void on_custody(struct sim *sim, const struct way *way, uint32_t task,
                       const struct assign_entry *entry)
{
    struct checked *checked = &sim->checks->tasks[task];
    bool again = entry->fence.custody == checked->custody && checked->holder == way->to;
    if (entry->fence.custody <= checked->custody && !again)
        violation(sim, 3, "custody %u of task %u goes to %s, after custody %u went to %s",
                  entry->fence.custody, task, sim->nodes[way->to].name, checked->custody,
                  checked->holder == 0 ? "a region before the restore" : sim->nodes[checked->holder].name);
    checked->custody = checked->now.custody = entry->fence.custody;
    checked->holder = way->to;
    check_booked(sim, 0, task)->sent_wire = way->wire;
    if (!again)
        progress_granted(sim, way->from, task);
}

/* The mark that an ASSIGN carries is on the disk of who sends it, as long as the task lives there. */
static void check_mark(struct sim *sim, const struct way *way, uint32_t task,
                       const struct assign_entry *entry)
{
    const struct booked *booked = check_booked(sim, way->from->index, task);
    bool lives = booked->stored && booked->state != TASK_ENDED;
    if (entry->flags & ASSIGN_DUP_POSSIBLE && lives && !(booked->flags & TASK_DUP_POSSIBLE))
        violation(sim, 4, "%s assigns task %u under %s as dup_possible, and its disk does not say so",
                  way->from->name, task, check_fence_text(entry->fence, 0));
}

static void on_assign(struct sim *sim, const struct way *way, struct reader *reader)
{
    struct assign_entry entry;
    if (!assign_entry_read(reader, &entry))
        return;
    uint32_t task = known_task(sim, way, &entry.id);
    if (sim->failed)
        return;
    const struct booked *booked = check_booked(sim, way->from->index, task);
    bool granted = booked->grant != 0 && fence_compare(booked->granted, entry.fence) == 0;
    /* One batch may hold a grant and its end: then the disk tells of the end alone, which is as good. */
    if (!granted && !end_on_disk(sim, way->from, task, entry.fence) &&
        !(is_broker(way->from) && sim->checks->tasks[task].now.recorded_end != 0))
        violation(sim, 6, "%s assigns task %u under %s without a grant on its disk", way->from->name, task,
                  check_fence_text(entry.fence, 0));
    check_mark(sim, way, task, &entry);
    if (is_broker(way->from)) {
        on_custody(sim, way, task, &entry);
        return;
    }
    attempts_assigned(sim, way, task, &entry);
    attempts_on_the_way(sim, way, task, entry.fence);
    room_assigned(sim, way, task);
}

/* ---- SETTLED, OUTCOME, TAKEN ---- */

static void settled_by_region(struct sim *sim, const struct way *way, uint32_t task,
                              const struct settled_entry *entry)
{
    struct checked *checked = &sim->checks->tasks[task];
    bool known = false; /* it may have passed the outcome on since */
    for (uint32_t i = 0; i < checked->attempt_count; i++) {
        struct attempt *attempt = &checked->attempts[i];
        int order = fence_compare(attempt->fence, entry->fence);
        if (order > 0 && attempt->region == way->from->index)
            violation(sim, 3, "%s records an outcome of task %u under %s, after %s", way->from->name, task,
                      check_fence_text(entry->fence, 0), check_fence_text(attempt->fence, 1));
        known |= order == 0 && attempt->recorded;
        attempt->recorded |= order == 0;
    }
    if (!known && !end_on_disk(sim, way->from, task, entry->fence))
        violation(sim, 10, "%s settles task %u under %s, of which it has recorded no end", way->from->name,
                  task, check_fence_text(entry->fence, 0));
}

static void on_settled(struct sim *sim, const struct way *way, struct reader *reader)
{
    struct settled_entry entry;
    if (!settled_entry_read(reader, &entry))
        return;
    uint32_t task = known_task(sim, way, &entry.id);
    if (sim->failed || entry.status != SETTLED_RECORDED)
        return;
    const struct checked *checked = &sim->checks->tasks[task];
    if (!is_broker(way->from)) {
        settled_by_region(sim, way, task, &entry);
        return;
    }
    bool given_back = checked->now.given_back == entry.fence.custody;
    bool was_granted = entry.fence.custody != 0 && entry.fence.custody <= checked->custody; /* not forged */
    if (entry.fence.custody != checked->now.custody && was_granted)
        violation(sim, 3, "the broker records an outcome of task %u under custody %u; it is held under %u",
                  task, entry.fence.custody, checked->now.custody);
    if (checked->now.recorded_end == 0 && !given_back)
        violation(sim, 10, "the broker settles task %u for %s, of which it has recorded no end", task,
                  sim->nodes[way->to].name);
}

static void on_outcome(struct sim *sim, const struct way *way, struct reader *reader)
{
    struct outcome_entry entry;
    if (!outcome_entry_read(reader, &entry))
        return;
    uint32_t task = known_task(sim, way, &entry.id);
    if (sim->failed)
        return;
    if (is_worker(way->from)) { /* its outcome is in memory at first */
        attempts_over(sim, way->from, task, entry.fence);
        return;
    }
    struct checked *checked = &sim->checks->tasks[task];
    bool superseded = entry.fence.custody < checked->now.custody;
    if (entry.end >= TASK_RETURNED && entry.fence.custody == checked->now.custody)
        checked->now.given_back = checked->now.custody;
    if (entry.end < TASK_RETURNED && !superseded && !on_disk(sim, way->from, TABLE_OUTCOMES, task))
        violation(sim, 10, "%s reports the end of task %u under %s, which it has not recorded",
                  way->from->name, task, check_fence_text(entry.fence, 0));
}

/* A region's TAKEN is custody; a worker's only says that a process runs. */
static void on_taken(struct sim *sim, const struct way *way, struct reader *reader)
{
    struct taken_entry entry;
    if (!taken_entry_read(reader, &entry) || is_worker(way->from))
        return;
    uint32_t task = known_task(sim, way, &entry.id);
    if (sim->failed)
        return;
    const struct booked *booked = check_booked(sim, way->from->index, task);
    bool gone = booked->answered || booked->arrival == 0; /* it has ended since, and is settled */
    if (booked->arrival == 0 || (!booked->stored && !gone))
        violation(sim, 6, "%s takes task %u under custody %u, which is not on its disk", way->from->name,
                  task, entry.fence.custody);
}

/* ---- HELLO, INVENTORY, END ---- */

/* META 1: [instance, boot, ...] */
static void on_hello(struct sim *sim, const struct way *way, struct bytes body)
{
    struct ward *ward = &sim->checks->wards[way->from->index];
    const struct disk_record *record = disk_find(&way->from->disk, TABLE_META, 1);
    struct hello hello;
    struct reader reader;
    if (!hello_read(body, &hello))
        return;
    ward->hello_ns = sim->now_ns;
    reader_init(&reader, record == NULL ? (struct bytes){body.data, 0} : record->value);
    read_array(&reader, 16);
    struct bytes instance = read_bin(&reader, INSTANCE_BYTES, INSTANCE_BYTES);
    uint64_t boot = read_uint(&reader, UINT64_MAX);
    bool same = instance.size == INSTANCE_BYTES && memcmp(instance.data, hello.instance, INSTANCE_BYTES) == 0;
    if (reader_failed(&reader) || !same || boot != hello.boot)
        violation(sim, 6, "%s says HELLO as boot %llu, and its disk says %llu of %s instance",
                  way->from->name, (unsigned long long)hello.boot, (unsigned long long)boot,
                  same ? "this" : "another");
}

static void on_row(struct sim *sim, const struct way *way, struct reader *reader)
{
    struct inventory_row row;
    if (!inventory_row_read(reader, &row))
        return;
    uint32_t task = known_task(sim, way, &row.id);
    if (sim->failed)
        return;
    if (is_worker(way->from))
        attempts_listed(sim, way, task, row.fence, way->from->session);
    else
        check_booked(sim, way->from->index, task)->listed_session = way->from->session;
}

/* What is on a region's disk is in its INVENTORY: it begins only after START, and nothing is added before
 * END. */
static void on_end(struct sim *sim, const struct way *way)
{
    if (is_worker(way->from)) {
        attempts_listed_all(sim, way, way->from->session);
        return;
    }
    for (uint32_t task = 0; task < sim->workload->count; task++) {
        const struct booked *booked = check_booked(sim, way->from->index, task);
        if (booked->stored && booked->listed_session != way->from->session)
            violation(sim, 9, "%s says END, and its INVENTORY has no row for task %u, which is on its disk",
                      way->from->name, task);
    }
}

/* ---- one frame that leaves ---- */

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
    ret_way->wire = (uint32_t)number;
    return true;
}

typedef void (*on_entry)(struct sim *, const struct way *, struct reader *);

/* Which messages of entries are looked into when they leave, and how. */
static const on_entry leaving[MESSAGE_KIND_COUNT] = {
    [MESSAGE_ASSIGN] = on_assign, [MESSAGE_SETTLED] = on_settled, [MESSAGE_OUTCOME] = on_outcome,
    [MESSAGE_TAKEN] = on_taken,   [MESSAGE_INVENTORY] = on_row,
};

/* False if it breaks off. */
static bool each_entry(struct sim *sim, const struct way *way, const struct message_header *header,
                       on_entry on_one)
{
    struct reader reader;
    reader_init(&reader, header->body);
    read_array(&reader, 1);
    for (uint32_t left = read_array(&reader, INVENTORY_ROWS_MAX); left > 0 && !sim->failed; left--)
        on_one(sim, way, &reader);
    return sim->failed || !reader_failed(&reader);
}

void check_frame(struct sim *sim, struct sim_node *from, const struct frame *frame)
{
    struct message_header header;
    struct way way;
    if (message_read((struct bytes){frame->data, frame->size}, &header) != READER_OK ||
        header.kind == MESSAGE_KIND_COUNT) {
        violation(sim, 0, "%s sends what is no message", from->name);
        return;
    }
    if (!find_way(sim, from, frame->peer, &way)) {
        violation(sim, 0, "%s sends %s to a peer that it never had", from->name,
                  message_kind_text(header.kind));
        return;
    }
    if (leaving[header.kind] != NULL && !each_entry(sim, &way, &header, leaving[header.kind]))
        violation(sim, 0, "%s sends a malformed %s", way.from->name, message_kind_text(header.kind));
    else if (header.kind == MESSAGE_HELLO)
        on_hello(sim, &way, header.body);
    else if (header.kind == MESSAGE_END)
        on_end(sim, &way);
    else if (peer_port(frame->peer) == PORT_CLIENT)
        check_reply(sim, &header);
}

/* ---- one frame that arrives ---- */

static void assign_arrives(struct sim *sim, const struct way *way, struct reader *reader)
{
    struct assign_entry entry;
    if (!assign_entry_read(reader, &entry) || sim_task_of(sim, &entry.id) == TASKS_MAX_SIM)
        return;
    uint32_t task = sim_task_of(sim, &entry.id);
    struct sim_node *to = &sim->nodes[way->to];
    if (is_worker(to))
        attempts_arrived(sim, to, task, entry.fence);
    else
        check_booked(sim, way->to, task)->arrived_custody = entry.fence.custody;
}

static void settled_arrives(struct sim *sim, const struct way *way, struct reader *reader)
{
    struct settled_entry entry;
    if (!settled_entry_read(reader, &entry) || sim_task_of(sim, &entry.id) == TASKS_MAX_SIM)
        return;
    uint32_t task = sim_task_of(sim, &entry.id);
    struct sim_node *to = &sim->nodes[way->to];
    if (is_worker(to))
        attempts_settled(sim, to, task, entry.fence);
    else
        check_booked(sim, way->to, task)->answered |=
            check_booked(sim, way->to, task)->custody == entry.fence.custody;
}

static void outcome_arrives(struct sim *sim, const struct way *way, struct reader *reader)
{
    struct outcome_entry entry;
    if (!outcome_entry_read(reader, &entry) || way->to == 0 || sim_task_of(sim, &entry.id) == TASKS_MAX_SIM)
        return; /* what the broker is told is told of a custody */
    struct attempt *attempt = check_attempt(sim, sim_task_of(sim, &entry.id), entry.fence);
    if (attempt != NULL)
        attempt->reported = true;
}

static const on_entry arriving[MESSAGE_KIND_COUNT] = {
    [MESSAGE_ASSIGN] = assign_arrives,
    [MESSAGE_SETTLED] = settled_arrives,
    [MESSAGE_OUTCOME] = outcome_arrives,
};

/* By its newest session: what comes late of an older one counts for nothing. */
static void on_offer(struct sim *sim, const struct sim_node *child, uint32_t wire,
                     const struct message_header *header)
{
    struct hello hello;
    struct heartbeat heartbeat;
    uint32_t *newest = &sim->checks->wards[child->index].hello_wire;
    if (sim->wires[wire - 1].stranger || wire < *newest)
        return;
    if (header->kind == MESSAGE_HELLO && hello_read(header->body, &hello)) {
        *newest = wire;
        room_offered(sim, child, hello.profiles);
    } else if (header->kind == MESSAGE_HEARTBEAT && heartbeat_read(header->body, &heartbeat) &&
               heartbeat.profiles.size != 0) {
        room_offered(sim, child, heartbeat.profiles);
    }
}

void check_arrival(struct sim *sim, struct sim_node *to, const struct frame *frame)
{
    struct message_header header;
    struct way way = {.from = &sim->nodes[to->parent], .to = to->index};
    progress_look(sim);
    if (message_read((struct bytes){frame->data, frame->size}, &header) != READER_OK)
        return;
    if (peer_port(frame->peer) == PORT_CHILD) {
        const struct wire *wire = &sim->wires[peer_number(frame->peer) - 1];
        struct sim_node *child = &sim->nodes[wire->child];
        way.from = child;
        on_offer(sim, child, (uint32_t)peer_number(frame->peer), &header);
        sim->checks->wards[child->index].heard_up_ns = sim->now_ns;
        if (header.kind == MESSAGE_END)
            sim->checks->wards[child->index].synced_wire = (uint32_t)peer_number(frame->peer);
    } else {
        sim->checks->wards[to->index].heard_down_ns = sim->now_ns;
    }
    if (header.kind != MESSAGE_KIND_COUNT && arriving[header.kind] != NULL)
        each_entry(sim, &way, &header, arriving[header.kind]);
}
