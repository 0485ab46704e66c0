/* frames.c - see frames.h: the world that values are drawn from, the table of messages, and the last changes.
 */
#include "tests/fuzz/frame_parts.h"

enum { FRAME_ROOM = 8 * 1024 * 1024, ANY_DEPTH_MAX = 14, WORLD_IDS = 16, CROWD_MAX = FRAME_ENTRIES_MAX };

static uint8_t frame_bytes[FRAME_ROOM];
uint32_t frame_crowd;

/* ---- values ---- */

static const char *const names[] = {"eu", "us", "ap", "w1", "w2", "eu/w1", "us/w2", "w1/", "/", ""};
const char *const frame_types[5] = {"noop", "job", "command", "other", ""};
const char *const frame_capabilities[4] = {"gpu", "disk", "", "a-capability-with-a-rather-long-name"};

struct task_id frame_id(uint32_t number)
{
    struct task_id id = {{0xb0}};
    for (int i = 0; i < 4; i++)
        id.bytes[12 + i] = (uint8_t)(number >> (24 - 8 * i));
    return id;
}

void cast_add(struct cast *cast, const struct task_id *id, struct fence fence)
{
    uint32_t at = cast->count++ % CAST_MAX;
    cast->grants[at].id = *id;
    cast->grants[at].fence = fence;
}

/* A grant that is known: 0 is the newest. NULL if there are none. */
static const struct task_id *cast_look(const struct cast *cast, uint32_t back, struct fence *ret_fence)
{
    uint32_t kept = cast->count < CAST_MAX ? cast->count : CAST_MAX;
    if (kept == 0)
        return NULL;
    uint32_t at = (cast->count - 1 - back % kept) % CAST_MAX;
    *ret_fence = cast->grants[at].fence;
    return &cast->grants[at].id;
}

struct task_id frame_pick_id(struct frame_maker *maker)
{
    struct fence fence;
    uint32_t byte = take_byte(maker->input);
    if (frame_crowd != 0)
        return frame_id(2048 * (1 + byte % 4) + frame_crowd);
    const struct task_id *known = byte < 0xc0 ? NULL : cast_look(maker->cast, byte, &fence);
    if (byte < 0xf0)
        return known != NULL ? *known : frame_id(byte % WORLD_IDS);
    uint64_t ago_ms = take_number(maker->input) * 600000;
    const uint64_t random[2] = {byte, 0};
    return task_id_make(maker->wall_ms > ago_ms ? maker->wall_ms - ago_ms : 0, random);
}

struct fence frame_new_fence(struct frame_maker *maker)
{
    uint32_t byte = take_byte(maker->input);
    struct fence fence = {1 + (byte & 3), 0, 0};
    if (maker->grants_attempts != (byte >= 0xf8))
        fence.epoch = 7 + (byte >> 2 & 1);
    if (fence.epoch != 0)
        fence.attempt = 1 + (byte >> 3 & 7);
    if (byte == 0xff) {
        fence.custody = (uint32_t)take_number(maker->input);
        fence.epoch = (uint32_t)take_number(maker->input);
        fence.attempt = (uint32_t)take_number(maker->input);
    }
    return fence;
}

void frame_pick_grant(struct frame_maker *maker, struct task_id *ret_id, struct fence *ret_fence)
{
    uint32_t byte = take_byte(maker->input), twist = byte >> 5;
    const struct task_id *known =
        cast_look(maker->cast, frame_crowd != 0 ? frame_crowd - 1 : byte & 31, ret_fence);
    if (known == NULL || twist == 7) {
        *ret_id = frame_pick_id(maker);
        *ret_fence = frame_new_fence(maker);
        return;
    }
    *ret_id = *known;
    if (ret_fence->epoch == 0 && twist != 6) { /* a region says which of its attempts it was */
        ret_fence->epoch = 7;
        ret_fence->attempt = 1;
    }
    ret_fence->custody += (uint32_t)(twist == 3) - (uint32_t)(twist == 4);
    ret_fence->attempt += twist == 5;
}

uint64_t frame_pick_ms(struct frame_maker *maker)
{
    static const uint64_t usual[] = {0, 1, 40, 1000, 5000, 60000, DURATION_MS_MAX, DURATION_MS_MAX + 1};
    uint32_t byte = take_byte(maker->input);
    return byte < 0xe0 ? usual[byte % 8] : take_number(maker->input);
}

/* ---- parts ---- */

void part_text(struct writer *writer, struct frame_maker *maker)
{
    write_str_bytes(writer, take_run(maker->input, RUN_MAX));
}

static void write_any(struct writer *writer, struct frame_maker *maker, uint32_t depth)
{
    uint32_t byte = take_byte(maker->input), count = byte >> 4 & 3;
    switch (depth < ANY_DEPTH_MAX ? byte & 7 : byte & 3) {
    case 0:
        write_nil(writer);
        return;
    case 1:
        write_uint(writer, take_number(maker->input));
        return;
    case 2:
        write_bool(writer, count != 0);
        return;
    case 3:
        write_int(writer, -(int64_t)(take_number(maker->input) >> 1));
        return;
    case 4:
        part_text(writer, maker);
        return;
    case 5:
        part_payload(writer, maker);
        return;
    case 6:
        write_array(writer, count);
        break;
    default:
        write_map(writer, count);
        count *= 2;
        break;
    }
    for (uint32_t i = 0; i < count; i++)
        write_any(writer, maker, depth + 1);
}

void part_any(struct writer *writer, struct frame_maker *maker)
{
    write_any(writer, maker, 0);
}

void part_id(struct writer *writer, struct frame_maker *maker)
{
    struct task_id id = frame_pick_id(maker);
    write_bin(writer, (struct bytes){id.bytes, TASK_ID_BYTES});
}

void part_ids(struct writer *writer, struct frame_maker *maker)
{
    frame_write_many(writer, maker, part_id);
}

void part_ms(struct writer *writer, struct frame_maker *maker)
{
    write_uint(writer, frame_pick_ms(maker));
}

void part_number(struct writer *writer, struct frame_maker *maker)
{
    write_uint(writer, take_number(maker->input));
}

void part_truth(struct writer *writer, struct frame_maker *maker)
{
    write_bool(writer, take_byte(maker->input) % 4 != 3);
}

void part_name(struct writer *writer, struct frame_maker *maker)
{
    write_str(writer, PICK(maker, names));
}

void part_payload(struct writer *writer, struct frame_maker *maker)
{
    uint64_t size = take_number(maker->input);
    if (frame_crowd != 0 || writer->size > FRAME_BYTES_MAX)
        size %= 256;
    size = size < PAYLOAD_BYTES_MAX + 2 ? size : PAYLOAD_BYTES_MAX + 2;
    write_bin_head(writer, (uint32_t)size);
    memset(writer->data + writer->size, 'p', size);
    writer->size += size;
}

void frame_write_many(struct writer *writer, struct frame_maker *maker, write_part write)
{
    uint32_t byte = take_byte(maker->input), count = byte < 0xef ? 1 + byte % 4 : 0;
    bool many = byte >= 0xf0 && frame_crowd == 0;
    if (many)
        count = CROWD_MAX >> (byte & 3);
    struct input from = *maker->input;
    write_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        if (many) {
            *maker->input = from;
            frame_crowd = i + 1;
        }
        write(writer, maker);
    }
    if (many)
        frame_crowd = 0;
}

/* A pair too many: with an unknown key, or one that stands there already. */
static void write_strange(struct writer *writer, struct frame_maker *maker, const struct pair *pairs,
                          uint32_t count)
{
    uint32_t which = take_below(maker->input, count + 2);
    if (which >= 2) {
        write_str(writer, pairs[which - 2].key);
        pairs[which - 2].write(writer, maker);
        return;
    }
    if (which == 0)
        write_str(writer, "colour");
    else
        part_any(writer, maker);
    part_any(writer, maker);
}

void frame_write_pairs(struct writer *writer, struct frame_maker *maker, const struct pair *pairs,
                       uint32_t count)
{
    uint32_t bits = take_byte(maker->input), strange_at = UINT32_MAX, written = 0;
    if (count >= 8)
        bits |= take_byte(maker->input) << 8;
    if (bits >> count & 1)
        strange_at = take_below(maker->input, count);
    for (uint32_t i = 0; i < count; i++) {
        bits ^= (uint32_t)pairs[i].usual << i;
        written += bits >> i & 1;
    }
    write_map(writer, written + (strange_at != UINT32_MAX));
    for (uint32_t i = 0; i < count; i++) {
        if (i == strange_at)
            write_strange(writer, maker, pairs, count);
        if (!(bits >> i & 1))
            continue;
        write_str(writer, pairs[i].key);
        pairs[i].write(writer, maker);
    }
}

/* ---- frames ---- */

/* A kind that is not here is sent with any body at all. */
static const struct {
    enum message_kind kind;
    bool has_entries;
    write_part write;
} shapes[] = {
    {MESSAGE_SUBMIT, false, body_submit},
    {MESSAGE_WATCH, false, body_watch},
    {MESSAGE_RECEIVED, false, body_ids},
    {MESSAGE_CANCEL, false, body_ids},
    {MESSAGE_QUERY, false, body_query},
    {MESSAGE_DRAIN, false, body_drain},
    {MESSAGE_FORGET, false, body_forget},
    {MESSAGE_HELLO, false, body_hello},
    {MESSAGE_INVENTORY, true, entry_inventory},
    {MESSAGE_END, false, body_empty},
    {MESSAGE_HEARTBEAT, false, body_heartbeat},
    {MESSAGE_TAKEN, true, entry_taken},
    {MESSAGE_REFUSED, true, entry_refused},
    {MESSAGE_OUTCOME, true, entry_outcome},
    {MESSAGE_ANSWER, false, body_answer},
    {MESSAGE_BYE, false, body_bye},
    {MESSAGE_WELCOME, false, body_welcome},
    {MESSAGE_ASSIGN, true, entry_assign},
    {MESSAGE_STOP, true, entry_stop},
    {MESSAGE_SETTLED, true, entry_settled},
    {MESSAGE_ASK, false, body_ask},
    {MESSAGE_ERROR, false, body_error},
    {MESSAGE_GREET, false, body_empty},
};

/* Change, cut or insert a few bytes of the frame, or most often none. */
static void spoil(struct writer *writer, struct input *input)
{
    uint32_t byte = take_byte(input);
    for (uint32_t edits = byte < 0xd0 ? 0 : 1 + byte % 4; edits > 0 && writer->size > 1; edits--) {
        size_t at = (take_byte(input) | (size_t)take_byte(input) << 8) % writer->size;
        uint32_t how = take_byte(input);
        if (how % 4 == 0) {
            writer->data[at] ^= (uint8_t)take_byte(input);
        } else if (how % 4 == 1) {
            writer->data[at] = (uint8_t)take_byte(input);
        } else if (how % 4 == 2) {
            writer->size = at;
        } else {
            memmove(writer->data + at + 1, writer->data + at, writer->size - at);
            writer->data[at] = (uint8_t)take_byte(input);
            writer->size++;
        }
    }
}

static struct bytes finish(struct writer *writer, struct input *input)
{
    spoil(writer, input);
    if (writer->size > FRAME_BYTES_MAX)
        writer->size = FRAME_BYTES_MAX;
    return writer_bytes(writer);
}

struct bytes frame_make(struct frame_maker *maker, enum message_kind kind, uint64_t sequence)
{
    struct writer writer;
    size_t at = 0;
    while (at < sizeof shapes / sizeof shapes[0] && shapes[at].kind != kind)
        at++;
    writer_init(&writer, frame_bytes, sizeof frame_bytes);
    message_write_header(&writer, kind, sequence);
    if (at == sizeof shapes / sizeof shapes[0]) {
        part_any(&writer, maker);
    } else if (shapes[at].has_entries) {
        write_array(&writer, 1);
        frame_write_many(&writer, maker, shapes[at].write);
    } else {
        shapes[at].write(&writer, maker);
    }
    return finish(&writer, maker->input);
}

struct bytes frame_with_body(struct input *input, enum message_kind kind, uint64_t sequence,
                             struct bytes body)
{
    struct writer writer;
    writer_init(&writer, frame_bytes, sizeof frame_bytes);
    message_write_header(&writer, kind, sequence);
    write_raw(&writer, body);
    return finish(&writer, input);
}
