/* node_regions.c - the regions that a test plays. */
#include "tests/broker/node_regions.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static uint8_t frame_bytes[FRAME_ROOM];
static struct writer frame;

struct writer *fixture_region_frame(struct played_region *region, enum message_kind kind)
{
    bool counted = kind != MESSAGE_HEARTBEAT;
    writer_init(&frame, frame_bytes, sizeof frame_bytes);
    message_write_header(&frame, kind, counted ? ++region->sent : 0);
    return &frame;
}

void fixture_region_deliver(struct played_region *region)
{
    fixture_step((struct event){.kind = EVENT_MESSAGE, .peer = region->peer, .frame = writer_bytes(&frame)});
}

/* One profile out of "slots=N type=X cap=X"; what is not said stays. */
static struct bytes profiles_of(struct played_region *region, const struct words *words)
{
    static uint8_t bytes[512];
    struct writer writer;
    region->slots = (uint32_t)words_number(words, "slots", region->slots);
    if (words_option(words, "type") != NULL)
        strcpy(region->type, words_option(words, "type"));
    if (words_option(words, "cap") != NULL)
        strcpy(region->capability, words_option(words, "cap"));
    struct profile profile = {.type_count = 1, .slots = region->slots};
    profile.types[0] = bytes_of(region->type[0] != '\0' ? region->type : "noop");
    profile.capability_count = region->capability[0] != '\0';
    profile.capabilities[0] = bytes_of(region->capability);
    writer_init(&writer, bytes, sizeof bytes);
    write_array(&writer, 1);
    profile_write(&writer, &profile);
    return writer_bytes(&writer);
}

static void hello(struct played_region *region, uint64_t boot, const struct words *words)
{
    struct hello hello = {.name = bytes_of(region->name),
                          .role = bytes_of("region"),
                          .boot = boot,
                          .version_min = 1,
                          .version_max = 1};
    if (words_option(words, "role") != NULL)
        hello.role = bytes_of(words_option(words, "role"));
    hello.version_min = hello.version_max = (uint32_t)words_number(words, "version", 1);
    hello.instance[0] = (uint8_t)words_number(words, "instance", 1);
    hello.instance[1] = (uint8_t)region->name[0];
    hello.profiles = profiles_of(region, words);
    region->peer = peer_make(PORT_CHILD, ++fixture.next_peer);
    region->sent = region->received = 0;
    region->silent = false;
    hello_write(fixture_region_frame(region, MESSAGE_HELLO), &hello);
    fixture_region_deliver(region);
}

/* "T.C": the task and the fence that a real region would report. */
static struct fence read_fenced(const char *word, struct task_id *ret_id)
{
    unsigned task, custody;
    cr_assert_eq(sscanf(word, "%u.%u", &task, &custody), 2, "not T.C: %s", word);
    *ret_id = fixture_id(task);
    return (struct fence){custody, 7, 1};
}

static void inventory(struct played_region *region, const struct words *words)
{
    static const char *const status[] = {"waiting", "running", "ended"};
    uint32_t rows = 0;
    fixture_region_frame(region, MESSAGE_INVENTORY);
    write_array(&frame, 1);
    size_t count_offset = write_array_open(&frame);
    for (int i = 2; i + 1 < words->count; i += 2, rows++) {
        struct inventory_row row = {.running_ms = 5};
        row.fence = read_fenced(words->all[i], &row.id);
        while (row.status < HELD_STATUS_COUNT && strcmp(status[row.status], words->all[i + 1]) != 0)
            row.status++;
        inventory_row_write(&frame, &row);
    }
    patch_count(frame_bytes, count_offset, rows);
    fixture_region_deliver(region);
}

static void end_inventory(struct played_region *region)
{
    write_array(fixture_region_frame(region, MESSAGE_END), 0);
    fixture_region_deliver(region);
}

/* A beat that tells of outcomes which w1 reported too late. */
static void beat_late(struct played_region *region, const struct words *words)
{
    uint8_t bytes[4096];
    struct writer writer;
    writer_init(&writer, bytes, sizeof bytes);
    write_array(&writer, (uint32_t)words->count - 2);
    for (int i = 2; i < words->count; i++) {
        struct late_entry entry = {.end = TASK_COMPLETED, .worker = bytes_of("w1")};
        entry.fence = read_fenced(words->all[i], &entry.id);
        late_entry_write(&writer, &entry);
    }
    struct heartbeat heartbeat = {.clock_us = 1, .children = 2, .late = writer_bytes(&writer)};
    heartbeat_write(fixture_region_frame(region, MESSAGE_HEARTBEAT), &heartbeat);
    fixture_region_deliver(region);
}

static void beat(struct played_region *region, uint32_t rtt_ms, uint32_t flags, struct bytes profiles)
{
    struct heartbeat heartbeat = {
        .clock_us = 1, .flags = flags, .profiles = profiles, .children = region->workers};
    uint64_t now_us = fixture.now_ns / 1000;
    if (rtt_ms != 0)
        heartbeat.echo_us = now_us - rtt_ms * 1000ull;
    heartbeat_write(fixture_region_frame(region, MESSAGE_HEARTBEAT), &heartbeat);
    fixture_region_deliver(region);
}

static void write_outcome(const char *end, const char *worker)
{
    bool completed = strcmp(end, "completed") == 0;
    write_map(&frame, 2);
    write_str(&frame, "reason");
    write_str(&frame, completed ? "" : "exit_status");
    write_str(&frame, "worker");
    write_str(&frame, worker == NULL ? "" : worker);
}

static void outcome(struct played_region *region, const struct words *words)
{
    struct outcome_entry entry = {.end = TASK_COMPLETED};
    entry.fence = read_fenced(words->all[2], &entry.id);
    while (entry.end < TASK_END_COUNT && strcmp(task_end_text(entry.end), words->all[3]) != 0)
        entry.end++;
    entry.flags =
        (words_has(words, "dup") ? OUTCOME_DUP_POSSIBLE : 0) | (words_has(words, "dead") ? OUTCOME_DEAD : 0);
    fixture_region_frame(region, MESSAGE_OUTCOME);
    write_array(&frame, 1);
    write_array(&frame, 1);
    outcome_entry_write_head(&frame, &entry);
    write_outcome(words->all[3], words_option(words, "worker"));
    fixture_region_deliver(region);
}

static void taken(struct played_region *region, const char *word)
{
    struct taken_entry entry = {.started = false};
    entry.fence = read_fenced(word, &entry.id);
    fixture_region_frame(region, MESSAGE_TAKEN);
    write_array(&frame, 1);
    write_array(&frame, 1);
    taken_entry_write(&frame, &entry);
    fixture_region_deliver(region);
}

static void refused(struct played_region *region, const char *word, const char *code)
{
    struct refused_entry entry = {.code = bytes_of(code == NULL ? "store_full" : code)};
    entry.fence = read_fenced(word, &entry.id);
    fixture_region_frame(region, MESSAGE_REFUSED);
    write_array(&frame, 1);
    write_array(&frame, 1);
    refused_entry_write(&frame, &entry);
    fixture_region_deliver(region);
}

void region_beat(struct played_region *region)
{
    beat(region, 0, 0, (struct bytes){NULL, 0});
}

static void act_session(struct played_region *region, const struct words *words)
{
    const char *verb = words->all[1];
    if (strcmp(verb, "hello") == 0) {
        hello(region, strtoull(words->all[2], NULL, 10), words);
    } else if (strcmp(verb, "up") == 0) {
        hello(region, 1, words);
        end_inventory(region);
        fixture_go();
    } else if (strcmp(verb, "end") == 0) {
        end_inventory(region);
    } else if (strcmp(verb, "down") == 0) {
        fixture_step((struct event){.kind = EVENT_LINK_DOWN, .peer = region->peer});
        region->peer = 0;
    } else if (strcmp(verb, "bye") == 0) {
        write_array(fixture_region_frame(region, MESSAGE_BYE), 0);
        fixture_region_deliver(region);
        region->peer = 0;
    } else if (strcmp(verb, "gap") == 0) {
        region->sent++;
        taken(region, "1.1");
    } else {
        cr_assert(strcmp(verb, "garbage") == 0, "no such event: %s", verb);
        write_array(fixture_region_frame(region, MESSAGE_OUTCOME), 1);
        write_array(&frame, 1);
        write_nil(&frame);
        fixture_region_deliver(region);
    }
}

void region_act(struct played_region *region, const struct words *words)
{
    const char *verb = words->all[1];
    if (strcmp(verb, "silent") == 0 || strcmp(verb, "heard") == 0)
        region->silent = verb[0] == 's';
    else if (strcmp(verb, "inventory") == 0)
        inventory(region, words);
    else if (strcmp(verb, "taken") == 0)
        taken(region, words->all[2]);
    else if (strcmp(verb, "refused") == 0)
        refused(region, words->all[2], words_option(words, "code"));
    else if (strcmp(verb, "outcome") == 0)
        outcome(region, words);
    else if (strcmp(verb, "late") == 0)
        beat_late(region, words);
    else if (strcmp(verb, "beat") == 0) {
        region->workers = (uint32_t)words_number(words, "workers", region->workers);
        beat(region, (uint32_t)words_number(words, "rtt", 0),
             words_has(words, "draining") ? HEARTBEAT_DRAINING : 0,
             words_option(words, "slots") != NULL ? profiles_of(region, words) : (struct bytes){NULL, 0});
    } else
        act_session(region, words);
}
