/* frames_link.c - the bodies of children and parents. See frames.h. */
#include "proto/task.h"
#include "tests/fuzz/frame_parts.h"

enum { PROFILES_ROOM = 1024 };

void body_empty(struct writer *writer, struct frame_maker *maker)
{
    (void)maker; /* GREET and END say nothing */
    write_array(writer, 0);
}

/* ---- children ---- */

/* An array of profiles [types, capabilities, slots]. */
static void write_profiles(struct writer *writer, struct frame_maker *maker)
{
    uint32_t byte = take_byte(maker->input), count = byte % 4 == 3 ? 0 : 1 + byte % 4;
    write_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        struct profile profile = {.slots = take_below(maker->input, 32)};
        profile.types[profile.type_count++] = bytes_of(PICK(maker, frame_types));
        profile.types[profile.type_count++] = bytes_of("job");
        profile.types[profile.type_count++] = bytes_of(COMMAND_TYPE);
        profile.capabilities[profile.capability_count++] = bytes_of(PICK(maker, frame_capabilities));
        profile.slots = profile.slots == 31 ? (uint32_t)take_number(maker->input) : profile.slots + 2;
        profile_write(writer, &profile);
    }
}

void body_hello(struct writer *writer, struct frame_maker *maker)
{
    uint8_t profiles[PROFILES_ROOM];
    struct writer encoded;
    uint32_t byte = take_byte(maker->input), strange = byte >> 4;
    writer_init(&encoded, profiles, sizeof profiles);
    write_profiles(&encoded, maker);
    struct hello hello = {
        .name = bytes_of(maker->name),
        .role = bytes_of(byte % 16 == 15 ? "other" : maker->role),
        .instance = {maker->instance},
        .boot = maker->boot,
        .version_min = strange == 15 ? 2 : 1,
        .version_max = strange == 14 ? 0 : 2,
        .profiles = writer_bytes(&encoded),
        .epoch_seen = strange == 13 ? (uint32_t)take_number(maker->input) : 0,
    };
    hello_write(writer, &hello);
}

void body_heartbeat(struct writer *writer, struct frame_maker *maker)
{
    uint8_t profiles[PROFILES_ROOM];
    struct writer encoded;
    uint32_t byte = take_byte(maker->input);
    writer_init(&encoded, profiles, sizeof profiles);
    if (byte & 1)
        write_profiles(&encoded, maker);
    struct heartbeat heartbeat = {
        .clock_us = maker->now_us + 1,
        .echo_us = byte & 2 ? take_number(maker->input) * 1000 : maker->now_us,
        .echo_held_us = byte & 4 ? take_number(maker->input) : 0,
        .commit_age_ms = byte & 8 ? (uint32_t)take_number(maker->input) : 0,
        .profiles = writer_bytes(&encoded),
        .flags = byte >> 4 & 3,
        .children = byte >> 6,
    };
    heartbeat_write(writer, &heartbeat);
}

void body_bye(struct writer *writer, struct frame_maker *maker)
{
    write_array(writer, 1);
    part_number(writer, maker);
}

void entry_inventory(struct writer *writer, struct frame_maker *maker)
{
    struct inventory_row row = {.status = (enum held_status)take_below(maker->input, HELD_STATUS_COUNT)};
    frame_pick_grant(maker, &row.id, &row.fence);
    row.running_ms = row.status == HELD_RUNNING ? frame_pick_ms(maker) : 0;
    inventory_row_write(writer, &row);
}

void entry_taken(struct writer *writer, struct frame_maker *maker)
{
    uint32_t byte = take_byte(maker->input);
    struct taken_entry entry = {.started = !(byte & 1), .running_ms = byte & 2 ? frame_pick_ms(maker) : 0};
    frame_pick_grant(maker, &entry.id, &entry.fence);
    taken_entry_write(writer, &entry);
}

void entry_refused(struct writer *writer, struct frame_maker *maker)
{
    static const char *const codes[] = {"store_full", "draining", "throttled", "", "another"};
    struct refused_entry entry;
    frame_pick_grant(maker, &entry.id, &entry.fence);
    entry.code = bytes_of(PICK(maker, codes));
    refused_entry_write(writer, &entry);
}

static void write_history(struct writer *writer, struct frame_maker *maker)
{
    uint32_t count = take_below(maker->input, 3);
    write_array(writer, count);
    for (uint32_t i = 0; i < count; i++)
        part_any(writer, maker);
}

static void write_result(struct writer *writer, struct frame_maker *maker)
{
    static const struct pair pairs[] = {{"exit", part_number, true},      {"output", part_payload, true},
                                        {"error", part_text, false},      {"message", part_text, false},
                                        {"signal", part_number, false},   {"run_ms", part_ms, false},
                                        {"output_cut", part_truth, false}};
    WRITE_PAIRS(writer, maker, pairs);
}

/* What a worker makes (the result), or a region (the outcome, with a result inside). */
static void write_outcome_map(struct writer *writer, struct frame_maker *maker)
{
    static const struct pair pairs[] = {{"result", write_result, true},
                                        {"reason", part_text, false},
                                        {"worker", part_name, false},
                                        {"attempt", part_number, false},
                                        {"history", write_history, false}};
    uint32_t byte = take_byte(maker->input);
    if (byte >= 0xf0)
        part_any(writer, maker);
    else if (byte & 1)
        write_result(writer, maker);
    else
        WRITE_PAIRS(writer, maker, pairs);
}

void entry_outcome(struct writer *writer, struct frame_maker *maker)
{
    uint32_t byte = take_byte(maker->input);
    struct outcome_entry entry = {.end = (enum task_end)((byte & 15) % TASK_END_COUNT), .flags = byte >> 4};
    frame_pick_grant(maker, &entry.id, &entry.fence);
    outcome_entry_write_head(writer, &entry);
    write_outcome_map(writer, maker);
}

static void write_considered(struct writer *writer, struct frame_maker *maker)
{
    frame_write_many(writer, maker, part_any);
}

static void write_row(struct writer *writer, struct frame_maker *maker)
{
    static const struct pair pairs[] = {{"id", part_id, true},
                                        {"state", part_text, true},
                                        {"worker", part_name, false},
                                        {"reason", part_payload, false},
                                        {"attempt", part_number, false},
                                        {"stale", part_truth, false},
                                        {"considered", write_considered, false}};
    if (take_byte(maker->input) >= 0xf0)
        part_any(writer, maker);
    else
        WRITE_PAIRS(writer, maker, pairs);
}

static void write_rows(struct writer *writer, struct frame_maker *maker)
{
    frame_write_many(writer, maker, write_row);
}

void body_answer(struct writer *writer, struct frame_maker *maker)
{
    static const struct pair pairs[] = {{"rows", write_rows, true},
                                        {"more", part_truth, false},
                                        {"code", part_text, false},
                                        {"reason", part_text, false}};
    uint32_t byte = take_byte(maker->input);
    answer_write_head(writer, byte < 0xf0 ? maker->asked : take_number(maker->input));
    WRITE_PAIRS(writer, maker, pairs);
}

/* ---- parents ---- */

void body_welcome(struct writer *writer, struct frame_maker *maker)
{
    uint32_t byte = take_byte(maker->input);
    struct welcome welcome = {.version = byte & 1 ? (uint32_t)take_number(maker->input) : 1,
                              .epoch = byte & 2 ? (uint32_t)take_number(maker->input) : 5,
                              .beat_ms = byte & 4 ? (uint32_t)take_number(maker->input) : 1000,
                              .grace_ms = byte & 8 ? (uint32_t)take_number(maker->input) : 10000,
                              .wall_ms = maker->wall_ms};
    welcome_write(writer, &welcome);
}

/* A new grant, or one that was made before. */
void entry_assign(struct writer *writer, struct frame_maker *maker)
{
    uint32_t byte = take_byte(maker->input);
    struct assign_entry entry = {.flags = byte >> 2 & 3, .attempt = 1, .attempts_max = 4};
    if (byte & 1) {
        frame_pick_grant(maker, &entry.id, &entry.fence);
    } else {
        entry.id = frame_pick_id(maker);
        entry.fence = frame_new_fence(maker);
    }
    if (byte & 2) {
        entry.age_ms = frame_pick_ms(maker);
        entry.attempt = (uint32_t)take_number(maker->input);
        entry.attempts_max = (uint32_t)take_number(maker->input);
    }
    assign_entry_write_head(writer, &entry);
    if (byte >= 0xf0)
        part_task(writer, maker); /* with an id of its own */
    else
        frame_write_task(writer, maker, &entry.id);
}

/* By the parent's own grants, as ASSIGN names them, or by what the child has said of them. */
static void pick_named(struct frame_maker *maker, struct task_id *ret_id, struct fence *ret_fence)
{
    if (take_byte(maker->input) % 4 == 3) {
        *ret_id = frame_pick_id(maker);
        *ret_fence = frame_new_fence(maker);
    } else {
        frame_pick_grant(maker, ret_id, ret_fence);
    }
}

void entry_stop(struct writer *writer, struct frame_maker *maker)
{
    struct stop_entry entry = {.mode = (enum stop_mode)take_below(maker->input, STOP_MODE_COUNT)};
    pick_named(maker, &entry.id, &entry.fence);
    stop_entry_write(writer, &entry);
}

void entry_settled(struct writer *writer, struct frame_maker *maker)
{
    struct settled_entry entry = {.status =
                                      (enum settled_status)take_below(maker->input, SETTLED_STATUS_COUNT)};
    pick_named(maker, &entry.id, &entry.fence);
    settled_entry_write(writer, &entry);
}

void body_ask(struct writer *writer, struct frame_maker *maker)
{
    static const char *const questions[] = {"tasks", "explain", "workers", "drain", "weather"};
    static const struct pair pairs[] = {{"ids", part_ids, true},
                                        {"id", part_id, false},
                                        {"node", part_name, false},
                                        {"after", part_name, false},
                                        {"deadline_ms", part_ms, false}};
    ask_write_head(writer, take_number(maker->input), PICK(maker, questions));
    WRITE_PAIRS(writer, maker, pairs);
}
