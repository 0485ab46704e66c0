/* hostile.c - a link on which somebody plays tricks: frames are left out, repeated, exchanged, replaced by
 * those of other sessions, given an entry more or made nonsense; and strangers who connect to a parent.
 *
 * All of it must be refused, not believed. What cannot be told from the truth is not played: who knows
 * instance and boot of a child is that child until links are encrypted, and a parent's ASSIGN is an order. A
 * hostile link ends with a cut: a gap that no later frame shows is found when its session ends. */
#include <stdlib.h>

#include "proto/assert.h"
#include "proto/link.h"
#include "sim/wire.h"

enum {
    TRICK_PERCENT = 12,
    OVERHEAR_PERCENT = 10,
    OVERHEARD_MAX = sizeof((struct sim *)0)->overheard / sizeof(struct frame),
    FORGED_ROOM = 256,
    HEADER_BYTES_MIN = 5, /* what every frame has at least: array, version, kind */
    STRANGER_FRAMES_MAX = 6,
};

static struct frame copy_frame(const struct frame *frame)
{
    struct frame copy = *frame;
    copy.data = take_memory(frame->size, 1);
    memcpy(copy.data, frame->data, frame->size);
    copy.injected = true;
    return copy;
}

static void overhear(struct sim *sim, const struct frame *frame)
{
    struct frame *place = &sim->overheard[dice_below(&sim->dice, OVERHEARD_MAX)];
    if (!dice_percent(&sim->dice, OVERHEAR_PERCENT))
        return;
    free(place->data);
    *place = copy_frame(frame);
}

/* A frame that somebody sent some time ago; data NULL if nothing was heard yet. */
static struct frame say_again(struct sim *sim, uint64_t peer)
{
    const struct frame *heard = &sim->overheard[dice_below(&sim->dice, OVERHEARD_MAX)];
    struct frame frame = {.data = NULL};
    if (heard->data != NULL)
        frame = copy_frame(heard);
    frame.peer = peer;
    return frame;
}

/* ---- tricks with a frame that is being sent ---- */

static void leave_out(struct sim *sim, struct wire *wire, bool up, struct frame frame)
{
    (void)sim, (void)wire, (void)up; /* as all of these */
    free(frame.data);
}

static void repeat(struct sim *sim, struct wire *wire, bool up, struct frame frame)
{
    struct frame copy = copy_frame(&frame);
    wire_push(sim, wire, up, frame);
    wire_push(sim, wire, up, copy);
}

static void exchange(struct sim *sim, struct wire *wire, bool up, struct frame frame)
{
    wire_push(sim, wire, up, frame);
    struct wire_queue *queue = wire_queue(wire, up);
    if (queue->count < 2)
        return;
    struct frame *last = &queue->frames[queue->first + queue->count - 1];
    frame = last[0];
    last[0] = last[-1];
    last[-1] = frame;
}

/* A frame behind `frame` that could not be told from the true next one: beats are not counted, and a number
 * of another session may happen to be the next here. */
static bool would_pass(const struct frame *frame, const struct frame *foreign)
{
    struct message_header here, there;
    if (message_read((struct bytes){frame->data, frame->size}, &here) != READER_OK ||
        message_read((struct bytes){foreign->data, foreign->size}, &there) != READER_OK)
        return false;
    return here.sequence == 0 || there.sequence == 0 || there.sequence == here.sequence + 1;
}

static void add_foreign(struct sim *sim, struct wire *wire, bool up, struct frame frame)
{
    struct frame foreign = say_again(sim, frame.peer);
    if (foreign.data != NULL && would_pass(&frame, &foreign)) {
        free(foreign.data);
        foreign.data = NULL;
    }
    wire_push(sim, wire, up, frame);
    if (foreign.data != NULL)
        wire_push(sim, wire, up, foreign);
}

/* Cut short, which leaves what its first entries say, or with another header: a changed byte in the midst of
 * a body would be another truth. */
static void garble(struct sim *sim, struct wire *wire, bool up, struct frame frame)
{
    frame.injected = !dice_percent(&sim->dice, 50);
    if (frame.injected)
        frame.data[dice_below(&sim->dice, HEADER_BYTES_MIN)] = (uint8_t)dice_bits(&sim->dice);
    else
        frame.size = (size_t)dice_below(&sim->dice, frame.size);
    wire_push(sim, wire, up, frame);
}

/* ---- an entry more, under a fence that was never granted ---- */

struct claim {
    struct task_id id;
    struct fence fence;
};

static void forge_outcome(struct writer *writer, const struct claim *claim)
{
    struct outcome_entry entry = {.id = claim->id, .fence = claim->fence, .end = TASK_COMPLETED};
    outcome_entry_write_head(writer, &entry);
    write_map(writer, 0);
}

static void forge_taken(struct writer *writer, const struct claim *claim)
{
    struct taken_entry entry = {.id = claim->id, .fence = claim->fence, .started = true};
    taken_entry_write(writer, &entry);
}

static void forge_refused(struct writer *writer, const struct claim *claim)
{
    struct refused_entry entry = {.id = claim->id, .fence = claim->fence, .code = bytes_of("throttled")};
    refused_entry_write(writer, &entry);
}

static void forge_row(struct writer *writer, const struct claim *claim)
{
    struct inventory_row row = {.id = claim->id, .fence = claim->fence, .status = HELD_RUNNING};
    inventory_row_write(writer, &row);
}

static void forge_settled(struct writer *writer, const struct claim *claim)
{
    struct settled_entry entry = {.id = claim->id, .fence = claim->fence, .status = SETTLED_RECORDED};
    settled_entry_write(writer, &entry);
}

static void forge_stop(struct writer *writer, const struct claim *claim)
{
    struct stop_entry entry = {.id = claim->id, .fence = claim->fence, .mode = STOP_CANCEL};
    stop_entry_write(writer, &entry);
}

static void (*const forge_entry[MESSAGE_KIND_COUNT])(struct writer *, const struct claim *) = {
    [MESSAGE_OUTCOME] = forge_outcome, [MESSAGE_TAKEN] = forge_taken,     [MESSAGE_REFUSED] = forge_refused,
    [MESSAGE_INVENTORY] = forge_row,   [MESSAGE_SETTLED] = forge_settled, [MESSAGE_STOP] = forge_stop,
};

/* A region answers for its custody: towards the broker only another custody is a wrong fence. What is forged
 * twice must not come out as the truth: no custody is 0, none is as high. */
static struct fence wrong_fence(struct sim *sim, struct fence fence)
{
    bool lower = dice_percent(&sim->dice, 50);
    fence.custody = lower ? 0 : fence.custody + 1000;
    fence.attempt += dice_percent(&sim->dice, 50) ? 1000 : 0;
    fence.epoch = dice_percent(&sim->dice, 10) ? UINT32_MAX : fence.epoch;
    return fence;
}

/* The first entry's task under a wrong fence. */
static bool make_claim(struct sim *sim, struct bytes entry, struct claim *ret_claim)
{
    struct reader reader;
    reader_init(&reader, entry);
    read_array(&reader, 16);
    struct bytes id = read_bin(&reader, TASK_ID_BYTES, TASK_ID_BYTES);
    struct bytes fence = read_bin(&reader, FENCE_BYTES, FENCE_BYTES);
    if (reader_failed(&reader))
        return false;
    memcpy(ret_claim->id.bytes, id.data, TASK_ID_BYTES);
    ret_claim->fence = wrong_fence(sim, fence_decode(fence.data));
    return true;
}

static void add_forged(struct sim *sim, struct wire *wire, bool up, struct frame frame)
{
    struct message_header header;
    struct reader reader;
    struct claim claim;
    uint32_t count = 0;
    if (message_read((struct bytes){frame.data, frame.size}, &header) == READER_OK &&
        header.kind != MESSAGE_KIND_COUNT && forge_entry[header.kind] != NULL) {
        reader_init(&reader, header.body);
        read_array(&reader, 1);
        count = read_array(&reader, FRAME_ENTRIES_MAX - 1);
    }
    struct bytes first = count == 0 ? (struct bytes){frame.data, 0} : read_raw(&reader);
    if (count == 0 || reader_failed(&reader) || !make_claim(sim, first, &claim)) {
        wire_push(sim, wire, up, frame);
        return;
    }
    struct writer writer;
    writer_init(&writer, take_memory(frame.size + FORGED_ROOM, 1), frame.size + FORGED_ROOM);
    message_write_header(&writer, header.kind, header.sequence);
    write_array(&writer, 1);
    write_array(&writer, count + 1);
    write_raw(&writer, first);
    for (uint32_t i = 1; i < count; i++)
        write_raw(&writer, read_raw(&reader));
    forge_entry[header.kind](&writer, &claim);
    free(frame.data);
    frame.data = writer.data;
    frame.size = writer.size;
    wire_push(sim, wire, up, frame);
}

static void (*const tricks[TRICK_COUNT])(struct sim *, struct wire *, bool, struct frame) = {
    [TRICK_GAP] = leave_out,       [TRICK_REPEAT] = repeat,     [TRICK_REORDER] = exchange,
    [TRICK_FOREIGN] = add_foreign, [TRICK_FORGED] = add_forged, [TRICK_GARBAGE] = garble,
};

void hostile_push(struct sim *sim, struct wire *wire, bool up, struct frame frame)
{
    uint32_t trick = sim->nodes[wire->child].trick;
    overhear(sim, &frame);
    if (dice_percent(&sim->dice, trick == TRICK_FORGED ? 100 : TRICK_PERCENT))
        tricks[trick](sim, wire, up, frame);
    else
        wire_push(sim, wire, up, frame);
}

/* ---- strangers ---- */

static struct frame hello(struct sim *sim, const struct sim_node *victim)
{
    struct writer writer;
    const char *slash = strchr(victim->name, '/'), *name = slash == NULL ? victim->name : slash + 1;
    const uint8_t no_profiles[] = {0x90};
    struct hello hello = {
        .name = bytes_of(dice_percent(&sim->dice, 70) ? name : "stranger"),
        .role = bytes_of(dice_percent(&sim->dice, 80) ? victim->role->name : "client"),
        .boot = dice_below(&sim->dice, 4),
        .version_min = PROTOCOL_VERSION_MIN,
        .version_max = dice_percent(&sim->dice, 90) ? PROTOCOL_VERSION_MAX : 0,
        .profiles = {no_profiles, sizeof no_profiles},
        .epoch_seen = (uint32_t)dice_bits(&sim->dice),
    };
    uint64_t instance[2] = {dice_bits(&sim->dice), dice_bits(&sim->dice)};
    memcpy(hello.instance, instance, INSTANCE_BYTES);
    writer_init(&writer, take_memory(FORGED_ROOM, 1), FORGED_ROOM);
    message_write_header(&writer, MESSAGE_HELLO, dice_below(&sim->dice, 10) == 0 ? 2 : 1);
    hello_write(&writer, &hello);
    return (struct frame){.data = writer.data, .size = writer.size, .injected = true};
}

static struct frame nonsense(struct sim *sim)
{
    size_t size = (size_t)dice_between(&sim->dice, 0, 64);
    struct frame frame = {.data = take_memory(size, 1), .size = size, .injected = true};
    for (size_t i = 0; i < size; i++)
        frame.data[i] = (uint8_t)dice_bits(&sim->dice);
    return frame;
}

void hostile_stranger(struct sim *sim, const struct sim_node *victim)
{
    struct sim_node *parent = &sim->nodes[victim->parent];
    if (!parent->alive || victim->index == 0)
        return;
    struct wire *wire = wire_open(sim, &sim->nodes[victim->index], NEVER);
    wire->stranger = true;
    uint64_t peer = wire_peer_at_parent(sim, wire);
    for (uint64_t left = dice_between(&sim->dice, 1, STRANGER_FRAMES_MAX); left > 0; left--) {
        uint64_t kind = dice_below(&sim->dice, 3);
        struct frame frame = kind == 0   ? hello(sim, victim)
                             : kind == 1 ? nonsense(sim)
                                         : say_again(sim, peer);
        frame.peer = peer;
        if (frame.data != NULL)
            wire_push(sim, wire, true, frame);
    }
    if (dice_percent(&sim->dice, 70))
        wire_close(sim, wire, true);
}
