/* judge_fixture.c - see judge_fixture.h. */
#include "tests/sim/judge_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PUTS_MAX = 256, RECORD_ROOM = 1024, FRAME_ROOM = 8192, TASKS = 200 };

struct sim judged;

static int said_fd; /* the reading end of what the judge prints */
static struct disk_put put_list[PUTS_MAX];
static struct write erases[PUTS_MAX];
static uint8_t records[PUTS_MAX][RECORD_ROOM];
static struct writer record;
static struct batch batch;
static uint8_t frame_bytes[FRAME_ROOM];
static struct writer frame;

void judge_set_up(void)
{
    struct sim_options options = {.seed = 1, .tasks = TASKS, .regions = 1, .workers = 2, .clients = 1};
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_geq(dup2(ends[1], STDOUT_FILENO), 0);
    close(ends[1]);
    said_fd = ends[0];
    cr_assert(sim_init(&judged, &options, cluster_roles));
    cr_assert_eq(judged.node_count, 4);
    judged.wires = take_memory(3, sizeof *judged.wires);
    judged.wire_count = judged.wire_capacity = 3;
    for (uint32_t child = EU; child <= W2; child++) {
        struct wire *wire = &judged.wires[child - 1];
        *wire = (struct wire){.child = child, .parent = judged.nodes[child].parent, .session = 1};
        wire->child_open = wire->parent_open = true;
        judged.nodes[child].wire = child;
        judged.nodes[child].session = 1;
        struct writer *writer = judge_put(TABLE_CHILDREN, child);
        write_array(writer, 3);
        write_str(writer, child == EU ? "eu" : child == W1 ? "w1" : "w2");
        write_bin(writer, (struct bytes){(const uint8_t *)"0123456789abcdef", INSTANCE_BYTES});
        write_uint(writer, 1);
        judge_commit(wire->parent);
        judge_offers(child, child == EU ? 4 : 2);
    }
    for (uint32_t i = 0; i < judged.node_count; i++)
        judged.nodes[i].alive = true; /* as far as the judge looks: nothing is stepped */
    for (uint32_t task = 0; task < TASKS; task++) {
        judged.workload->tasks[task].class = 0;
        judged.workload->tasks[task].priority = PRIORITY_NORMAL;
    }
}

void judge_tear_down(void)
{
    for (uint32_t i = 0; i < judged.node_count; i++)
        judged.nodes[i].alive = false;
    sim_release(&judged);
}

const char *judge_said(void)
{
    static char line[512]; /* each test is a process of its own */
    fflush(stdout);
    if (judged.failed && line[0] == '\0' && read(said_fd, line, sizeof line - 1) <= 0)
        return "it failed without a word";
    return line;
}

/* ---- records ---- */

static void end_put(void)
{
    if (record.data != NULL)
        put_list[batch.put_count - 1].value = writer_bytes(&record);
    record.data = NULL;
}

struct writer *judge_put(enum table table, uint64_t number)
{
    end_put();
    cr_assert_lt(batch.put_count, PUTS_MAX);
    writer_init(&record, records[batch.put_count], RECORD_ROOM);
    put_list[batch.put_count++] = (struct disk_put){.table = table, .number = number};
    return &record;
}

void judge_erase(enum table table, uint64_t number)
{
    erases[batch.erase_count++] = (struct write){.kind = WRITE_ERASE, .table = table, .number = number};
}

void judge_commit(uint32_t index)
{
    struct sim_node *node = &judged.nodes[index];
    end_put();
    batch.puts = put_list;
    batch.erases = erases;
    check_before_commit(&judged, node, &batch);
    for (uint32_t i = 0; i < batch.put_count; i++)
        disk_put(&node->disk, put_list[i].table, put_list[i].number, put_list[i].part, put_list[i].value);
    for (uint32_t i = 0; i < batch.erase_count; i++)
        disk_erase(&node->disk, erases[i].table, erases[i].number);
    check_after_commit(&judged, node, &batch);
    batch.put_count = batch.erase_count = 0;
}

struct task_id judge_id(uint32_t task)
{
    return judged.workload->tasks[task].id;
}

void judge_write_id(struct writer *writer, uint32_t task)
{
    struct task_id id = judge_id(task);
    write_bin(writer, (struct bytes){id.bytes, TASK_ID_BYTES});
}

void judge_put_envelope(uint32_t task)
{
    struct writer *writer = judge_put(TABLE_ENVELOPES, task + ARRIVAL_OF_0);
    write_map(writer, 1);
    write_str(writer, "id");
    judge_write_id(writer, task);
}

void judge_put_state(uint32_t node, uint32_t task, enum task_state state, struct fence fence, uint8_t flags)
{
    struct task kept = {.id = judge_id(task),
                        .class = 1,
                        .state = (uint8_t)state,
                        .flags = flags,
                        .fence = fence,
                        .born_ns = (int64_t)judged.now_ns};
    if (node != BROKER)
        kept.custody = fence.custody;
    task_record_write(judge_put(TABLE_STATES, task + ARRIVAL_OF_0), &kept, judged.now_ns, WALL_START_MS);
}

void judge_put_grant(uint64_t number, uint32_t child, uint32_t task, struct fence fence)
{
    uint8_t bytes[4 + 8 + FENCE_BYTES] = {0, 0, 0, (uint8_t)child};
    bytes[11] = (uint8_t)(task + ARRIVAL_OF_0);
    fence_encode(fence, bytes + 12);
    write_raw(judge_put(TABLE_GRANTS, number), (struct bytes){bytes, sizeof bytes});
}

void judge_put_ended(uint32_t task, enum task_end end)
{
    struct writer *writer = judge_put(TABLE_ENDED, task + ARRIVAL_OF_0);
    write_array(writer, 2);
    write_uint(writer, 0);
    write_array(writer, 4);
    judge_write_id(writer, task);
    write_uint(writer, 0);
    write_uint(writer, 0);
    write_uint(writer, end);
}

/* ---- frames ---- */

struct writer *judge_frame(enum message_kind kind)
{
    writer_init(&frame, frame_bytes, sizeof frame_bytes);
    message_write_header(&frame, kind, 1);
    return &frame;
}

struct writer *judge_entry(enum message_kind kind)
{
    struct writer *writer = judge_frame(kind);
    write_array(writer, 1);
    write_array(writer, 1);
    return writer;
}

static uint64_t peer_of(uint32_t from, uint32_t to)
{
    if (from == to)
        return peer_make(PORT_CLIENT, 1); /* to a client */
    return judged.nodes[to].parent == from ? peer_make(PORT_CHILD, to) : peer_make(PORT_PARENT, 1);
}

void judge_send(uint32_t from, uint32_t to)
{
    struct frame sent = {.peer = peer_of(from, to), .data = frame.data, .size = frame.size};
    check_frame(&judged, &judged.nodes[from], &sent);
}

void judge_arrive(uint32_t from, uint32_t to)
{
    struct frame come = {.peer = peer_of(to, from), .data = frame.data, .size = frame.size};
    check_arrival(&judged, &judged.nodes[to], &come);
}

void judge_offers(uint32_t child, uint32_t slots)
{
    uint8_t bytes[128];
    struct writer profiles;
    struct profile profile = {.types = {bytes_of(COMMAND_TYPE)}, .type_count = 1, .slots = slots};
    writer_init(&profiles, bytes, sizeof bytes);
    write_array(&profiles, 1);
    profile_write(&profiles, &profile);
    struct heartbeat heartbeat = {.profiles = writer_bytes(&profiles)};
    heartbeat_write(judge_frame(MESSAGE_HEARTBEAT), &heartbeat);
    judge_arrive(child, judged.nodes[child].parent);
}

/* ---- what goes well ---- */

void judge_accepted(uint32_t task)
{
    judge_put_envelope(task);
    judge_put_state(BROKER, task, TASK_READY, (struct fence){0, 0, 0}, 0);
    judge_commit(BROKER);
    struct writer *writer = judge_frame(MESSAGE_ACCEPTED);
    write_map(writer, 1);
    write_str(writer, "tasks");
    write_array(writer, 1);
    write_map(writer, 2);
    write_str(writer, "id");
    judge_write_id(writer, task);
    write_str(writer, "status");
    write_str(writer, "accepted");
    judge_send(BROKER, BROKER);
}

void judge_assign_frame(uint32_t task, struct fence fence, bool marked)
{
    struct assign_entry entry = {
        .id = judge_id(task), .fence = fence, .flags = marked ? ASSIGN_DUP_POSSIBLE : 0, .attempt = 1};
    struct writer *writer = judge_entry(MESSAGE_ASSIGN);
    assign_entry_write_head(writer, &entry);
    write_map(writer, 0);
}

void judge_in_custody(uint32_t task)
{
    const struct fence custody = {1, 0, 0};
    judge_accepted(task);
    judge_put_grant(task + 1, EU, task, custody);
    judge_commit(BROKER);
    judge_assign_frame(task, custody, false);
    judge_send(BROKER, EU);
    judge_arrive(BROKER, EU);
    judge_put_envelope(task);
    judge_put_state(EU, task, TASK_READY, custody, 0);
    judge_commit(EU);
}

void judge_assigned(uint32_t worker, uint32_t task, struct fence fence, bool marked)
{
    judge_put_state(EU, task, TASK_READY, (struct fence){fence.custody, 0, 0},
                    marked ? TASK_DUP_POSSIBLE : 0);
    judge_put_grant(100 * worker + task + 1, worker, task, fence);
    judge_commit(EU);
    judge_assign_frame(task, fence, marked);
    judge_send(EU, worker);
    judge_arrive(EU, worker);
}

void judge_started(uint32_t worker, uint32_t task, struct fence fence)
{
    struct process process = {.action = PROCESS_START, .id = judge_id(task), .fence = fence};
    check_process_start(&judged, &judged.nodes[worker], &process);
}

void judge_outcome_frame(uint32_t task, struct fence fence, enum task_end end)
{
    struct outcome_entry entry = {.id = judge_id(task), .fence = fence, .end = end, .flags = OUTCOME_DEAD};
    struct writer *writer = judge_entry(MESSAGE_OUTCOME);
    outcome_entry_write_head(writer, &entry);
    write_map(writer, 0);
}

void judge_settled_frame(uint32_t task, struct fence fence)
{
    struct settled_entry entry = {.id = judge_id(task), .fence = fence, .status = SETTLED_RECORDED};
    settled_entry_write(judge_entry(MESSAGE_SETTLED), &entry);
}
