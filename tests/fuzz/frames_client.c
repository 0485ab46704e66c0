/* frames_client.c - the task map, and the bodies of clients' requests. See frames.h. */
#include "proto/task.h"
#include "tests/fuzz/frame_parts.h"

/* ---- the task map ---- */

static const struct task_id *given_id; /* by the caller of frame_write_task, else drawn */

static void write_task_id(struct writer *writer, struct frame_maker *maker)
{
    if (given_id != NULL)
        write_bin(writer, (struct bytes){given_id->bytes, TASK_ID_BYTES});
    else
        part_id(writer, maker);
}

static void write_type(struct writer *writer, struct frame_maker *maker)
{
    write_str(writer, PICK(maker, frame_types));
}

static void write_priority(struct writer *writer, struct frame_maker *maker)
{
    static const char *const words[] = {"critical", "high", "normal", "low", "urgent"};
    write_str(writer, PICK(maker, words));
}

static void write_capabilities(struct writer *writer, struct frame_maker *maker)
{
    uint32_t count = take_below(maker->input, 3);
    write_array(writer, count);
    for (uint32_t i = 0; i < count; i++)
        write_str(writer, PICK(maker, frame_capabilities));
}

static void write_words(struct writer *writer, struct frame_maker *maker)
{
    uint32_t count = 1 + take_below(maker->input, 3);
    write_array(writer, count);
    for (uint32_t i = 0; i < count; i++)
        part_text(writer, maker);
}

static void write_environment(struct writer *writer, struct frame_maker *maker)
{
    uint32_t count = take_below(maker->input, 3);
    write_map(writer, count);
    for (uint32_t i = 0; i < 2 * count; i++)
        part_text(writer, maker);
}

static void write_directory(struct writer *writer, struct frame_maker *maker)
{
    write_str(writer, take_byte(maker->input) % 4 == 3 ? "here" : "/tmp");
}

void part_task(struct writer *writer, struct frame_maker *maker)
{
    static const struct pair handler[] = {
        {"id", write_task_id, true},      {"type", write_type, true},
        {"delay_ms", part_ms, false},     {"timeout_ms", part_ms, false},
        {"deadline_ms", part_ms, false},  {"retries", part_number, false},
        {"payload", part_payload, false}, {"capabilities", write_capabilities, false},
        {"region", part_name, false},     {"priority", write_priority, false},
    };
    static const struct pair command[] = {
        {"id", write_task_id, true},      {"argv", write_words, true},    {"env", write_environment, false},
        {"cwd", write_directory, false},  {"timeout_ms", part_ms, false}, {"retries", part_number, false},
        {"payload", part_payload, false}, {"type", write_type, false},
    };
    if (take_byte(maker->input) % 4 == 3)
        WRITE_PAIRS(writer, maker, command);
    else
        WRITE_PAIRS(writer, maker, handler);
}

void frame_write_task(struct writer *writer, struct frame_maker *maker, const struct task_id *id)
{
    given_id = id;
    part_task(writer, maker);
    given_id = NULL;
}

/* ---- requests ---- */

static void write_tasks(struct writer *writer, struct frame_maker *maker)
{
    frame_write_many(writer, maker, part_task);
}

void body_submit(struct writer *writer, struct frame_maker *maker)
{
    static const struct pair pairs[] = {{"tasks", write_tasks, true}, {"watch", part_truth, false}};
    WRITE_PAIRS(writer, maker, pairs);
}

void body_ids(struct writer *writer, struct frame_maker *maker)
{
    static const struct pair pairs[] = {{"ids", part_ids, true}};
    WRITE_PAIRS(writer, maker, pairs);
}

void body_watch(struct writer *writer, struct frame_maker *maker)
{
    static const struct pair pairs[] = {
        {"ids", part_ids, true}, {"push", part_truth, false}, {"wait_ms", part_ms, true}};
    WRITE_PAIRS(writer, maker, pairs);
}

static void write_what(struct writer *writer, struct frame_maker *maker)
{
    static const char *const words[] = {"tasks",   "resolve", "explain", "regions",
                                        "workers", "cluster", "weather"};
    write_str(writer, PICK(maker, words));
}

static void write_short(struct writer *writer, struct frame_maker *maker)
{
    static const char *const words[] = {"00000001", "0001", "b0000000000000000000000000000003", "xyz", ""};
    write_str(writer, PICK(maker, words));
}

void body_query(struct writer *writer, struct frame_maker *maker)
{
    static const struct pair pairs[] = {
        {"what", write_what, true},    {"open", part_truth, false}, {"limit", part_number, false},
        {"short", write_short, false}, {"id", part_id, false},      {"ids", part_ids, false},
        {"after", part_name, false},   {"late", part_truth, false}, {"dup", part_truth, false}};
    WRITE_PAIRS(writer, maker, pairs);
}

void body_drain(struct writer *writer, struct frame_maker *maker)
{
    static const struct pair pairs[] = {{"node", part_name, true}, {"deadline_ms", part_ms, false}};
    WRITE_PAIRS(writer, maker, pairs);
}

void body_forget(struct writer *writer, struct frame_maker *maker)
{
    static const struct pair pairs[] = {{"node", part_name, true}};
    WRITE_PAIRS(writer, maker, pairs);
}

void body_error(struct writer *writer, struct frame_maker *maker)
{
    static const char *const codes[] = {"malformed", "throttled",   "store_full",
                                        "draining",  "name_in_use", ""};
    uint32_t strange = take_byte(maker->input);
    if (strange >= 0xf0) {
        part_any(writer, maker);
        return;
    }
    write_map(writer, 2);
    write_str(writer, "code");
    write_str(writer, PICK(maker, codes));
    write_str(writer, "reason");
    part_text(writer, maker);
}
