/* host.c - the nodes' host in virtual time: steps, batches, commits, crashes. See sim.h and engine/step.h. */
#include <stdio.h>
#include <stdlib.h>

#include "proto/assert.h"
#include "sim/sim.h"

enum { GATHER_US_MAX = 300, COMMIT_US_MIN = 200, COMMIT_US_MAX = 6000, SLOW_COMMIT_MS_MAX = 4000 };

void *take_memory(size_t count, size_t size)
{
    void *memory = calloc(count == 0 ? 1 : count, size);
    ASSERT(memory != NULL);
    return memory;
}

static void happens(struct sim *sim, const struct sim_node *node, enum happening what, uint64_t at_ns)
{
    timeline_add(&sim->timeline,
                 (struct occasion){.at_ns = at_ns, .what = what, .node = node->index, .life = node->life});
}

/* ---- a batch: from the arena of the outputs to the disk and out ---- */

/* A record as the transaction sees it: what was put up to this batch is there, what it erases still is. */
static bool copy_record(void *context, enum table table, uint64_t number, uint32_t part, uint8_t *to,
                        size_t size)
{
    const struct disk *view = context;
    const struct disk_table *in = &view->tables[table];
    size_t done = 0;
    for (size_t at = disk_seek(view, table, number, part == PART_ALL ? 0 : part);
         at < in->count && in->records[at].number == number; at++) {
        struct bytes value = in->records[at].value;
        if ((part != PART_ALL && in->records[at].part != part) || value.size > size - done)
            break;
        memcpy(to + done, value.data, value.size);
        done += value.size;
    }
    return done == size;
}

static struct bytes copy_pieces(struct sim *sim, struct sim_node *node, const struct pieces *pieces,
                                const char *what)
{
    uint8_t *data = take_memory(pieces->size, 1);
    if (!pieces_copy(&node->outputs, pieces, data, copy_record, &node->view))
        violation(sim, 6, "%s: %s refers to a record that is not there, or of another size", node->name,
                  what);
    return (struct bytes){data, pieces->size};
}

static void gather_writes(struct sim *sim, struct sim_node *node, struct batch *batch)
{
    const struct outputs *outputs = &node->outputs;
    batch->puts = take_memory(outputs->write_count, sizeof *batch->puts);
    batch->erases = take_memory(outputs->write_count, sizeof *batch->erases);
    for (uint32_t i = 0; i < outputs->write_count; i++) {
        const struct write *write = &outputs->writes[i];
        if (write->kind == WRITE_ERASE) {
            batch->erases[batch->erase_count++] = *write;
            continue;
        }
        for (uint32_t e = 0; e < batch->erase_count; e++)
            if (batch->erases[e].table == write->table && batch->erases[e].number == write->number)
                violation(sim, 6, "%s: put after erase of %s %llu in one batch", node->name,
                          table_text(write->table), (unsigned long long)write->number);
        struct disk_put *put = &batch->puts[batch->put_count++];
        *put = (struct disk_put){write->table, write->number, write->part,
                                 copy_pieces(sim, node, &write->value, table_text(write->table))};
        disk_put(&node->view, put->table, put->number, put->part, put->value);
    }
}

static struct frame message_frame(struct sim *sim, struct sim_node *node, const struct message *message)
{
    struct bytes bytes = copy_pieces(sim, node, &message->frame, message_kind_text(message->kind));
    return (struct frame){message->peer, (uint8_t *)bytes.data, bytes.size, message->kind};
}

static struct batch *gather(struct sim *sim, struct sim_node *node)
{
    struct outputs *outputs = &node->outputs;
    struct batch *batch = take_memory(1, sizeof *batch);
    outputs_close(outputs);
    batch->closed_ns = sim->now_ns;
    gather_writes(sim, node, batch);
    batch->frames = take_memory(outputs->message_count, sizeof *batch->frames);
    for (uint32_t i = 0; i < outputs->message_count; i++) {
        const struct message *message = &outputs->messages[outputs->order[i]];
        if (!message->immediate)
            batch->frames[batch->frame_count++] = message_frame(sim, node, message);
    }
    for (uint32_t i = 0; i < batch->erase_count; i++)
        disk_erase(&node->view, batch->erases[i].table, batch->erases[i].number);
    batch->processes = take_memory(outputs->process_count, sizeof *batch->processes);
    memcpy(batch->processes, outputs->processes, outputs->process_count * sizeof *batch->processes);
    batch->process_count = outputs->process_count;
    return batch;
}

static void batch_free(struct batch *batch)
{
    for (uint32_t i = 0; i < batch->put_count; i++)
        free((void *)batch->puts[i].value.data);
    for (uint32_t i = 0; i < batch->frame_count; i++)
        free(batch->frames[i].data);
    free(batch->puts);
    free(batch->erases);
    free(batch->frames);
    free(batch->processes);
    free(batch);
}

static void reset_outputs(struct sim_node *node)
{
    outputs_reset(&node->outputs);
    node->immediate_seen = 0;
    for (uint32_t i = 0; i < node->kept_count; i++)
        free(node->kept[i].data);
    node->kept_count = 0;
}

static void start_commit(struct sim *sim, const struct sim_node *node)
{
    const struct batch *batch = node->batches;
    uint64_t us = dice_between(&sim->dice, COMMIT_US_MIN, COMMIT_US_MAX);
    if (sim->now_ns < node->slow_disk_until_ns)
        us += dice_below(&sim->dice, SLOW_COMMIT_MS_MAX * 1000);
    if (batch->put_count + batch->erase_count == 0)
        us = 1; /* nothing to write: it only waited for its turn */
    happens(sim, node, HAPPENS_COMMIT, sim->now_ns + us * 1000);
}

/* Two deliberate mistakes (docs/simulation.md): what leaves before the commit. */
#if defined(BUG_MESSAGE_BEFORE_COMMIT)
static const bool early[MESSAGE_KIND_COUNT] = {[0 ... MESSAGE_KIND_COUNT - 1] = true};
#elif defined(BUG_SETTLED_BEFORE_RECORD)
static const bool early[MESSAGE_KIND_COUNT] = {[MESSAGE_SETTLED] = true};
#else
static const bool early[MESSAGE_KIND_COUNT] = {false};
#endif

static void send_frames(struct sim *sim, struct sim_node *node, struct batch *batch, bool committed)
{
    for (uint32_t i = 0; i < batch->frame_count && !sim->failed; i++) {
        if (early[batch->frames[i].kind] == committed)
            continue;
        check_frame(sim, node, &batch->frames[i]);
        network_send(sim, node, batch->frames[i]);
        batch->frames[i].data = NULL;
    }
}

void node_close_batch(struct sim *sim, struct sim_node *node)
{
    const struct outputs *outputs = &node->outputs;
    if (outputs->write_count + outputs->message_count + outputs->process_count == 0) {
        reset_outputs(node); /* nothing borrows from the frames any more */
        return;
    }
    struct batch *batch = gather(sim, node);
    reset_outputs(node);
    if (batch->put_count + batch->erase_count + batch->frame_count + batch->process_count == 0) {
        batch_free(batch);
        return;
    }
    send_frames(sim, node, batch, false);
    bool idle = node->batches == NULL;
    *node->batches_end = batch;
    node->batches_end = &batch->next;
    if (idle)
        start_commit(sim, node);
}

static struct batch *pop_batch(struct sim_node *node)
{
    struct batch *batch = node->batches;
    node->batches = batch->next;
    if (node->batches == NULL)
        node->batches_end = &node->batches;
    return batch;
}

/* The transaction: all puts, then all erases. */
static void apply(struct sim *sim, struct sim_node *node, struct batch *batch)
{
    check_before_commit(sim, node, batch);
    for (uint32_t i = 0; i < batch->put_count; i++) {
        const struct disk_put *put = &batch->puts[i];
        disk_put(&node->disk, put->table, put->number, put->part, put->value);
    }
    for (uint32_t i = 0; i < batch->erase_count; i++)
        disk_erase(&node->disk, batch->erases[i].table, batch->erases[i].number);
    check_after_commit(sim, node, batch);
}

/* It stops at a commit as options.fate said, and is started again. */
static void stop_at_commit(struct sim *sim, struct sim_node *node, enum commit_fate fate)
{
    while (fate == COMMIT_FAILS && node->batches != NULL)
        batch_free(pop_batch(node)); /* nothing is written behind a failure */
    node_crash(sim, node);
    happens(sim, node, HAPPENS_RESTART, sim->now_ns + dice_below(&sim->dice, 3000 * MS));
}

static void on_commit(struct sim *sim, struct sim_node *node)
{
    struct batch *batch = pop_batch(node);
    const struct sim_options *options = &sim->options;
    enum commit_fate fate = COMMIT_GOOD;
    if (options->fate != NULL && batch->put_count + batch->erase_count != 0)
        fate = options->fate(options->fate_context, node, batch);
    if (fate != COMMIT_FAILS)
        apply(sim, node, batch);
    if (fate == COMMIT_GOOD || fate == COMMIT_LAST) {
        send_frames(sim, node, batch, true);
        for (uint32_t i = 0; i < batch->process_count && !sim->failed; i++)
            process_perform(sim, node, &batch->processes[i]);
    }
    batch_free(batch);
    if (fate != COMMIT_GOOD)
        stop_at_commit(sim, node, fate);
    else if (node->batches != NULL)
        start_commit(sim, node);
    else
        node_close_batch(sim, node);
}

/* ---- steps ---- */

static void log_traces(struct sim *sim, const struct sim_node *node, uint32_t from)
{
    static const struct {
        const char *name, *text;
    } codes[TRACE_CODE_COUNT] = {
#define X(name, level, text) {#name, text},
        TRACE_CODES(X)
#undef X
    };
    for (uint32_t i = from; i < node->outputs.trace_count; i++) {
        const struct trace *trace = &node->outputs.traces[i];
        sim->traces[trace->code]++;
        if (sim->options.trace)
            printf("%12.6f %-8s %s %s a=%llu b=%llu\n", (double)sim->now_ns / 1e9, node->name,
                   sim_id_text(&trace->id), codes[trace->code].name, (unsigned long long)trace->a,
                   (unsigned long long)trace->b);
    }
}

static void send_immediate(struct sim *sim, struct sim_node *node)
{
    for (; node->immediate_seen < node->outputs.message_count; node->immediate_seen++) {
        const struct message *message = &node->outputs.messages[node->immediate_seen];
        if (message->immediate)
            network_send(sim, node, message_frame(sim, node, message));
    }
}

static void schedule_wake(struct sim *sim, struct sim_node *node)
{
    uint64_t deadline_ns = node->role->deadline_ns(node->self);
    if (deadline_ns == DEADLINE_NEVER)
        return;
    uint64_t at_ns = deadline_ns > sim->now_ns ? deadline_ns : sim->now_ns;
    at_ns += 1000 + dice_below(&sim->dice, dice_percent(&sim->dice, 5) ? 20 * MS : MS / 10);
    if (at_ns >= node->wake_ns)
        return;
    node->wake_ns = at_ns;
    happens(sim, node, HAPPENS_WAKE, at_ns);
}

static void keep_frame(struct sim_node *node, struct frame frame)
{
    if (node->kept_count == node->kept_capacity) {
        node->kept_capacity = node->kept_capacity == 0 ? 64 : 2 * node->kept_capacity;
        node->kept = realloc(node->kept, node->kept_capacity * sizeof *node->kept);
        ASSERT(node->kept != NULL);
    }
    node->kept[node->kept_count++] = frame;
}

/* Takes `keep`, the frame that the event borrows from, if there is one. */
void node_step(struct sim *sim, struct sim_node *node, struct event *event, struct frame *keep)
{
    uint32_t traced = node->outputs.trace_count;
    event->now_ns = sim->now_ns;
    event->wall_ms = WALL_START_MS + sim->now_ns / MS;
    event->random[0] = dice_bits(&sim->dice);
    event->random[1] = dice_bits(&sim->dice);
    event->store_max_bytes = STORE_BYTES;
    event->store_free_bytes = STORE_BYTES - node->disk.bytes;
    event->commit_age_ms =
        node->batches == NULL ? 0 : (uint32_t)((sim->now_ns - node->batches->closed_ns) / MS);
    if (keep != NULL)
        keep_frame(node, *keep);
    outputs_begin_step(&node->outputs);
    node->role->step(node->self, event, &node->outputs);
    log_traces(sim, node, traced);
    send_immediate(sim, node);
    if (outputs_full(&node->outputs)) {
        node_close_batch(sim, node);
    } else if (node->batches == NULL && !node->closing) {
        node->closing = true;
        happens(sim, node, HAPPENS_CLOSE, sim->now_ns + dice_below(&sim->dice, GATHER_US_MAX * 1000));
    }
    schedule_wake(sim, node);
}

void node_start(struct sim *sim, struct sim_node *node)
{
    if (node->alive)
        return;
    node->alive = true;
    disk_copy(&node->view, &node->disk);
    node->self = node->role->make(node);
    ASSERT(node->self != NULL);
    for (int table = 0; table < TABLE_COUNT; table++) {
        const struct disk_table *in = &node->disk.tables[table];
        for (size_t i = 0; i < in->count && table_is_restored((enum table)table); i++) {
            struct event event = {.kind = EVENT_RESTORE,
                                  .record = {.table = (enum table)table,
                                             .number = in->records[i].number,
                                             .part = in->records[i].part,
                                             .value = in->records[i].value}};
            node_step(sim, node, &event, NULL);
        }
    }
    struct event start = {.kind = EVENT_START};
    node_step(sim, node, &start, NULL);
    check_restart(sim, node);
}

void node_crash(struct sim *sim, struct sim_node *node)
{
    if (!node->alive)
        return;
    if (node->batches != NULL && dice_percent(&sim->dice, 50))
        apply(sim, node, node->batches); /* the disk had it, nobody heard of it */
    while (node->batches != NULL)
        batch_free(pop_batch(node));
    node->role->free(node->self);
    node->self = NULL;
    node->alive = false;
    node->life++;
    node->closing = false;
    node->draining = false;
    node->wake_ns = NEVER;
    node->paused_until_ns = 0;
    node->session = 0;
    node->wire = 0;
    reset_outputs(node);
    memset(node->processes, 0, sizeof node->processes); /* they die with their agent */
    network_node_gone(sim, node);
}

void node_wipe(struct sim *sim, struct sim_node *node)
{
    ASSERT(!node->alive);
    (void)sim; /* as all of these */
    disk_wipe(&node->disk);
    memset(node->arrivals, 0, sizeof node->arrivals);
}

void node_drain(struct sim *sim, struct sim_node *node)
{
    struct event event = {.kind = EVENT_DRAIN};
    if (!node->alive || node->draining)
        return;
    node->draining = true;
    node_step(sim, node, &event, NULL);
}

/* The process of a drained node ends when all that it said has left; its machine starts another one soon. */
static void stop_drained(struct sim *sim, struct sim_node *node)
{
    const struct outputs *outputs = &node->outputs;
    bool idle = node->batches == NULL && outputs->write_count + outputs->message_count == 0;
    if (!node->draining || !idle || !node->role->done(node->self))
        return;
    node_crash(sim, node);
    happens(sim, node, HAPPENS_RESTART, sim->now_ns + dice_below(&sim->dice, 3000 * MS));
}

/* ---- the run ---- */

static struct sim_node *add_node(struct sim *sim, const struct role *role, uint32_t parent)
{
    struct sim_node *node = &sim->nodes[sim->node_count];
    node->role = role;
    node->index = sim->node_count++;
    node->parent = parent;
    node->wake_ns = NEVER;
    node->batches_end = &node->batches;
    ASSERT(outputs_init(&node->outputs));
    return node;
}

bool sim_init(struct sim *sim, const struct sim_options *options, const struct role roles[3])
{
    static const char *const regions[] = {"eu", "us", "ap", "sa", "af"};
    if (options->regions < 1 || options->regions > 5 || options->tasks > TASKS_MAX_SIM ||
        1 + options->regions * (1 + options->workers) > NODES_MAX)
        return false;
    memset(sim, 0, sizeof *sim);
    sim->options = *options;
    sim->roles = roles;
    sim->dice.state = options->seed * 0x2545f4914f6cdd1dull + 1;
    sim->now_ns = 1000 * MS; /* a machine has been up for a while */
    sim->nodes = take_memory(NODES_MAX, sizeof *sim->nodes);
    strcpy(add_node(sim, &roles[0], 0)->name, "broker");
    for (uint32_t r = 0; r < options->regions; r++) {
        struct sim_node *region = add_node(sim, &roles[1], 0);
        strcpy(region->name, regions[r]);
        for (uint32_t w = 1; w <= options->workers; w++)
            snprintf(add_node(sim, &roles[2], region->index)->name, NAME_ROOM, "%s/w%u", regions[r],
                     (unsigned)w);
    }
    check_init(sim);
    clients_init(sim);
    faults_plan(sim);
    return true;
}

void sim_release(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        node_crash(sim, node);
        disk_wipe(&node->disk);
        disk_wipe(&node->view);
        outputs_release(&node->outputs);
        free(node->kept);
    }
    network_release(sim);
    clients_release(sim);
    check_release(sim);
    timeline_release(&sim->timeline);
    free(sim->nodes);
}

/* A QUERY is a batch of its own: what it is told can then be compared with the disk (check_wire.c). */
static bool is_query(struct bytes frame)
{
    struct message_header header;
    return message_read(frame, &header) == READER_OK && header.kind == MESSAGE_QUERY;
}

static void dispatch(struct sim *sim, struct occasion *occasion)
{
    struct sim_node *node = &sim->nodes[occasion->node];
    bool current = node->alive && node->life == occasion->life;
    bool alone = false;
    struct event event = {.peer = occasion->number};
    switch (occasion->what) {
    case HAPPENS_CLOSE:
        node->closing = node->closing && !current;
        if (current && node->batches == NULL)
            node_close_batch(sim, node);
        break;
    case HAPPENS_COMMIT:
        if (current)
            on_commit(sim, node);
        break;
    case HAPPENS_WAKE:
        if (!current || occasion->at_ns != node->wake_ns)
            break;
        node->wake_ns = NEVER;
        event.kind = EVENT_TIMEOUT;
        if (node->role->deadline_ns(node->self) <= sim->now_ns)
            node_step(sim, node, &event, NULL);
        else
            schedule_wake(sim, node);
        break;
    case HAPPENS_ARRIVAL:
        network_arrival(sim, occasion);
        break;
    case HAPPENS_LINK_DOWN:
        event.kind = EVENT_LINK_DOWN;
        if (current)
            node_step(sim, node, &event, NULL);
        break;
    case HAPPENS_PROCESS_STARTED:
    case HAPPENS_PROCESS_ENDED:
        if (current)
            process_happens(sim, occasion);
        break;
    case HAPPENS_REQUEST: {
        struct frame frame = {
            .peer = occasion->detail, .data = occasion->frame, .size = occasion->frame_size};
        event = (struct event){.kind = EVENT_MESSAGE, .peer = frame.peer, .frame = {frame.data, frame.size}};
        if (!current)
            break;
        occasion->frame = NULL;
        alone = is_query(event.frame);
        if (alone)
            node_close_batch(sim, node);
        node_step(sim, node, &event, &frame);
        if (alone)
            node_close_batch(sim, node);
        break;
    }
    case HAPPENS_REPLY:
        client_on_reply(sim, occasion);
        break;
    case HAPPENS_CLIENT:
        client_timer(sim, occasion);
        break;
    case HAPPENS_FAULT:
        fault_happens(sim, &sim->faults[occasion->number]);
        break;
    case HAPPENS_RESTART:
        node_start(sim, node);
        break;
    }
    free(occasion->frame);
}

/* A paused node sees nothing until it goes on. Arrivals find their node in network.c. */
static bool put_off(struct sim *sim, const struct occasion *occasion)
{
    static const bool of_node[] = {
        [HAPPENS_CLOSE] = true,           [HAPPENS_COMMIT] = true,        [HAPPENS_LINK_DOWN] = true,
        [HAPPENS_PROCESS_STARTED] = true, [HAPPENS_PROCESS_ENDED] = true, [HAPPENS_REQUEST] = true,
        [HAPPENS_RESTART] = false};
    struct sim_node *node = &sim->nodes[occasion->node];
    if (node->paused_until_ns <= sim->now_ns)
        return false;
    struct occasion later = *occasion;
    later.at_ns = node->paused_until_ns;
    if (occasion->what == HAPPENS_WAKE && occasion->at_ns == node->wake_ns)
        node->wake_ns = later.at_ns;
    else if (!of_node[occasion->what])
        return false;
    timeline_add(&sim->timeline, later);
    return true;
}

void sim_run(struct sim *sim)
{
    uint64_t grace_ns = (REGION_GRACE_MS + 20 * BEAT_MS) * MS, quiet_ns = 0;
    uint64_t bound_ns = sim->calm_ns + 600000 * MS;
    for (uint32_t i = 0; i < sim->node_count; i++)
        timeline_add(&sim->timeline,
                     (struct occasion){.at_ns = sim->now_ns + dice_below(&sim->dice, 100 * MS),
                                       .what = HAPPENS_RESTART,
                                       .node = i});
    struct occasion occasion;
    while (!sim->failed && timeline_take(&sim->timeline, &occasion)) {
        sim->now_ns = occasion.at_ns;
        if (!put_off(sim, &occasion))
            dispatch(sim, &occasion);
        stop_drained(sim, &sim->nodes[occasion.node]);
        if (quiet_ns == 0 && sim->now_ns > sim->calm_ns && clients_done(sim))
            quiet_ns = sim->now_ns + grace_ns;
        if (quiet_ns != 0 && sim->now_ns > quiet_ns)
            break;
        if (sim->now_ns > bound_ns)
            violation(sim, 12, "%u tasks have not ended 600 s after the last fault", clients_open(sim));
    }
    if (!sim->failed)
        check_end(sim);
}
