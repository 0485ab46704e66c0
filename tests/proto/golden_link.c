/* golden_link.c - the fixed examples of what a child and its parent say to each other. See golden.h. */
#include "tests/proto/golden.h"

static const uint8_t instance[INSTANCE_BYTES] = {0x3e, 0x5a, 0x90, 0x1c, 0x77, 0x42, 0x4b, 0x6d,
                                                 0x9f, 0x10, 0x2b, 0xc8, 0x64, 0xd1, 0x05, 0xfa};

static void write_profiles(struct writer *writer)
{
    static const struct profile profile = {
        .types = {{(const uint8_t *)"command", 7}, {(const uint8_t *)"resize", 6}},
        .capabilities = {{(const uint8_t *)"gpu", 3}},
        .type_count = 2,
        .capability_count = 1,
        .slots = 2,
    };
    write_array(writer, 1);
    profile_write(writer, &profile);
}

static struct bytes profiles(void)
{
    static uint8_t data[64];
    struct writer writer;
    writer_init(&writer, data, sizeof data);
    write_profiles(&writer);
    return writer_bytes(&writer);
}

/* The frame of entries as engine/outputs.c writes it: the count is patched when the frame closes. */
static void begin_entries(struct writer *writer, enum message_kind kind, uint64_t sequence, uint32_t count)
{
    message_write_header(writer, kind, sequence);
    write_array(writer, 1);
    size_t offset = write_array_open(writer);
    patch_count(writer->data, offset, count);
}

static void write_empty(struct writer *writer, enum message_kind kind, uint64_t sequence)
{
    message_write_header(writer, kind, sequence);
    write_array(writer, 0);
}

static void write_greet(struct writer *writer)
{
    write_empty(writer, MESSAGE_GREET, 0);
}

static void write_hello(struct writer *writer)
{
    struct hello hello = {
        .name = bytes_of("w1"),
        .role = bytes_of("worker"),
        .boot = 3,
        .version_min = 1,
        .version_max = 1,
        .profiles = profiles(),
        .epoch_seen = golden_fence.epoch,
    };
    memcpy(hello.instance, instance, sizeof instance);
    message_write_header(writer, MESSAGE_HELLO, 1);
    hello_write(writer, &hello);
}

static void write_welcome(struct writer *writer)
{
    static const struct welcome welcome = {1, 0x691fd280, 1000, 10000, 1763693312000};
    message_write_header(writer, MESSAGE_WELCOME, 1);
    welcome_write(writer, &welcome);
}

static void write_inventory(struct writer *writer)
{
    begin_entries(writer, MESSAGE_INVENTORY, 2, 2);
    inventory_row_write(writer, &(struct inventory_row){golden_id, golden_fence, HELD_ENDED, 812});
    inventory_row_write(writer, &(struct inventory_row){golden_other_id, golden_fence, HELD_RUNNING, 4021});
}

static void write_end(struct writer *writer)
{
    write_empty(writer, MESSAGE_END, 3);
}

static void write_heartbeat(struct writer *writer)
{
    static const struct heartbeat heartbeat = {86400000000, 3600000000, 250000, 3,
                                               {NULL, 0},   0,          2,      {NULL, 0}};
    message_write_header(writer, MESSAGE_HEARTBEAT, 0);
    heartbeat_write(writer, &heartbeat);
}

static void write_heartbeat_profiles(struct writer *writer)
{
    const struct heartbeat heartbeat = {86401000000, 0, 0, 0, profiles(), HEARTBEAT_DRAINING, 0, {NULL, 0}};
    message_write_header(writer, MESSAGE_HEARTBEAT, 0);
    heartbeat_write(writer, &heartbeat);
}

static void write_heartbeat_late(struct writer *writer)
{
    uint8_t late[128];
    struct writer entries;
    writer_init(&entries, late, sizeof late);
    size_t count = write_array_open(&entries);
    late_entry_write(&entries, &(struct late_entry){golden_id, golden_fence, TASK_COMPLETED, bytes_of("w1")});
    patch_count(late, count, 1);
    const struct heartbeat heartbeat = {86402000000, 3602000000, 250000, 3,
                                        {NULL, 0},   0,          2,      writer_bytes(&entries)};
    message_write_header(writer, MESSAGE_HEARTBEAT, 0);
    heartbeat_write(writer, &heartbeat);
}

static void write_settled(struct writer *writer)
{
    begin_entries(writer, MESSAGE_SETTLED, 4, 2);
    settled_entry_write(writer, &(struct settled_entry){golden_id, golden_fence, SETTLED_RECORDED});
    settled_entry_write(writer, &(struct settled_entry){golden_other_id, golden_fence, SETTLED_STALE});
}

static void write_command_envelope(struct writer *writer)
{
    write_map(writer, 2);
    write_str(writer, "id");
    write_bin(writer, (struct bytes){golden_id.bytes, TASK_ID_BYTES});
    write_str(writer, "argv");
    write_array(writer, 2);
    write_str(writer, "echo");
    write_str(writer, "hello");
}

static void write_assign(struct writer *writer)
{
    begin_entries(writer, MESSAGE_ASSIGN, 2, 1);
    assign_entry_write_head(writer, &(struct assign_entry){golden_id, golden_fence, 41, 0, 1, 1, {NULL, 0}});
    write_command_envelope(writer);
}

static void write_assign_custody(struct writer *writer)
{
    begin_entries(writer, MESSAGE_ASSIGN, 5, 1);
    assign_entry_write_head(
        writer, &(struct assign_entry){
                    golden_other_id, golden_custody_fence, 60250, ASSIGN_DUP_POSSIBLE, 2, 4, {NULL, 0}});
    write_map(writer, 3);
    write_str(writer, "type");
    write_str(writer, "resize");
    write_str(writer, "payload");
    write_bin(writer, bytes_of("cat.jpg 640"));
    write_str(writer, "id");
    write_bin(writer, (struct bytes){golden_other_id.bytes, TASK_ID_BYTES});
}

static void write_stop(struct writer *writer)
{
    begin_entries(writer, MESSAGE_STOP, 3, 2);
    stop_entry_write(writer, &(struct stop_entry){golden_id, golden_fence, STOP_CANCEL});
    stop_entry_write(writer, &(struct stop_entry){golden_other_id, golden_fence, STOP_RECALL});
}

static void write_taken(struct writer *writer)
{
    begin_entries(writer, MESSAGE_TAKEN, 4, 1);
    taken_entry_write(writer, &(struct taken_entry){golden_id, golden_fence, true, 50});
}

static void write_refused(struct writer *writer)
{
    begin_entries(writer, MESSAGE_REFUSED, 4, 1);
    refused_entry_write(writer,
                        &(struct refused_entry){golden_id, golden_custody_fence, bytes_of("store_full")});
}

static void write_pair(struct writer *writer, const char *key, uint64_t value)
{
    write_str(writer, key);
    write_uint(writer, value);
}

/* The worker's result map. */
static void write_outcome(struct writer *writer)
{
    begin_entries(writer, MESSAGE_OUTCOME, 5, 1);
    outcome_entry_write_head(
        writer, &(struct outcome_entry){golden_id, golden_fence, TASK_COMPLETED, OUTCOME_DEAD, {NULL, 0}});
    write_map(writer, 8);
    write_pair(writer, "exit", 0);
    write_str(writer, "signal");
    write_nil(writer);
    write_pair(writer, "run_ms", 3);
    write_str(writer, "output");
    write_bin(writer, bytes_of("hello\n"));
    write_str(writer, "error");
    write_bin(writer, bytes_of(""));
    write_str(writer, "output_cut");
    write_bool(writer, false);
    write_str(writer, "error_cut");
    write_bool(writer, false);
    write_str(writer, "message");
    write_str(writer, "");
}

/* An answer to STOP for a task that is not here. */
static void write_outcome_not_held(struct writer *writer)
{
    begin_entries(writer, MESSAGE_OUTCOME, 6, 1);
    outcome_entry_write_head(
        writer,
        &(struct outcome_entry){golden_other_id, golden_fence, TASK_NOT_HELD, OUTCOME_DEAD, {NULL, 0}});
    write_map(writer, 0);
}

static void write_ask_tasks(struct writer *writer)
{
    message_write_header(writer, MESSAGE_ASK, 6);
    ask_write_head(writer, 17, "tasks");
    write_map(writer, 1);
    write_str(writer, "ids");
    write_array(writer, 1);
    write_bin(writer, (struct bytes){golden_id.bytes, TASK_ID_BYTES});
}

static void write_ask_drain(struct writer *writer)
{
    message_write_header(writer, MESSAGE_ASK, 7);
    ask_write_head(writer, 18, "drain");
    write_map(writer, 2);
    write_str(writer, "node");
    write_str(writer, "us/w2");
    write_pair(writer, "deadline_ms", 30000);
}

static void write_answer(struct writer *writer)
{
    message_write_header(writer, MESSAGE_ANSWER, 7);
    answer_write_head(writer, 18);
    write_map(writer, 0);
}

static void write_bye(struct writer *writer)
{
    message_write_header(writer, MESSAGE_BYE, 9);
    write_array(writer, 1);
    write_uint(writer, 0);
}

const struct golden golden_link[] = {
    {"greet", MESSAGE_GREET, write_greet, false},
    {"hello", MESSAGE_HELLO, write_hello, false},
    {"welcome", MESSAGE_WELCOME, write_welcome, false},
    {"inventory", MESSAGE_INVENTORY, write_inventory, true},
    {"end", MESSAGE_END, write_end, false},
    {"heartbeat", MESSAGE_HEARTBEAT, write_heartbeat, false},
    {"heartbeat-profiles", MESSAGE_HEARTBEAT, write_heartbeat_profiles, false},
    {"heartbeat-late", MESSAGE_HEARTBEAT, write_heartbeat_late, false},
    {"settled", MESSAGE_SETTLED, write_settled, true},
    {"assign", MESSAGE_ASSIGN, write_assign, true},
    {"assign-custody", MESSAGE_ASSIGN, write_assign_custody, true},
    {"stop", MESSAGE_STOP, write_stop, true},
    {"taken", MESSAGE_TAKEN, write_taken, true},
    {"refused", MESSAGE_REFUSED, write_refused, true},
    {"outcome", MESSAGE_OUTCOME, write_outcome, true},
    {"outcome-not-held", MESSAGE_OUTCOME, write_outcome_not_held, true},
    {"ask-tasks", MESSAGE_ASK, write_ask_tasks, false},
    {"ask-drain", MESSAGE_ASK, write_ask_drain, false},
    {"answer", MESSAGE_ANSWER, write_answer, false},
    {"bye", MESSAGE_BYE, write_bye, false},
};
const size_t golden_link_count = sizeof golden_link / sizeof golden_link[0];
