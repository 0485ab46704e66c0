/* reader.c - msgpack, read with suspicion. One function (take_head) knows the format; the rest ask it. */
#include "proto/reader.h"

#include "proto/limits.h"

/* A value's first bytes: what it is, and its number, length or count. */
struct head {
    enum reader_type type;
    uint64_t value; /* number (bits of it), length or count */
    uint32_t bytes; /* of the head itself; a number lies wholly in it */
    bool extension; /* msgpack ext: only ever skipped */
};

void reader_init(struct reader *reader, struct bytes bytes)
{
    const uint8_t *end = bytes.size == 0 ? bytes.data : bytes.data + bytes.size; /* no bytes may be NULL */
    *reader = (struct reader){.at = bytes.data, .end = end, .error = READER_OK};
}

const char *reader_error_text(enum reader_error error)
{
    static const char *const text[] = {"no error",     "truncated",       "wrong type",
                                       "out of range", "nested too deep", "bytes behind the last value"};
    return text[error];
}

void reader_fail(struct reader *reader, enum reader_error error)
{
    if (reader->error == READER_OK)
        reader->error = error;
}

void reader_finish(struct reader *reader)
{
    if (!reader_failed(reader) && reader->at != reader->end)
        reader_fail(reader, READER_TRAILING);
}

static uint64_t big_endian(const uint8_t *from, uint32_t size)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < size; i++)
        value = value << 8 | from[i];
    return value;
}

static uint64_t sign_extend(uint64_t value, uint32_t size)
{
    uint64_t sign = 1ull << (8 * size - 1);
    return (value ^ sign) - sign;
}

/* Tags 0xc0..0xdf, in order: type, and how many bytes follow the tag as number, length or count. */
static const struct {
    uint8_t type, size;
} tags[32] = {
    {TYPE_NIL, 0},  {TYPE_NONE, 0}, {TYPE_BOOL, 0}, {TYPE_BOOL, 0}, {TYPE_BIN, 1},   {TYPE_BIN, 2},
    {TYPE_BIN, 4},  {TYPE_BIN, 1},  {TYPE_BIN, 2},  {TYPE_BIN, 4},  {TYPE_FLOAT, 4}, {TYPE_FLOAT, 8},
    {TYPE_UINT, 1}, {TYPE_UINT, 2}, {TYPE_UINT, 4}, {TYPE_UINT, 8}, {TYPE_INT, 1},   {TYPE_INT, 2},
    {TYPE_INT, 4},  {TYPE_INT, 8},  {TYPE_BIN, 0},  {TYPE_BIN, 0},  {TYPE_BIN, 0},   {TYPE_BIN, 0},
    {TYPE_BIN, 0},  {TYPE_STR, 1},  {TYPE_STR, 2},  {TYPE_STR, 4},  {TYPE_ARRAY, 2}, {TYPE_ARRAY, 4},
    {TYPE_MAP, 2},  {TYPE_MAP, 4},
};

static bool head_of_tag(const uint8_t *at, size_t left, struct head *head)
{
    uint8_t tag = at[0];
    uint32_t size = tags[tag - 0xc0].size;
    if (1 + (size_t)size > left)
        return false;
    head->type = (enum reader_type)tags[tag - 0xc0].type;
    head->bytes = 1 + size;
    head->value = big_endian(at + 1, size);
    if (head->type == TYPE_INT) {
        head->value = sign_extend(head->value, size);
        if ((int64_t)head->value >= 0)
            head->type = TYPE_UINT;
    }
    if (tag == 0xc3)
        head->value = 1;
    bool fixed_extension = tag >= 0xd4 && tag <= 0xd8;
    head->extension = fixed_extension || (tag >= 0xc7 && tag <= 0xc9);
    if (fixed_extension)
        head->value = 1ull << (tag - 0xd4);
    if (head->extension)
        head->value += 1; /* the extension's type byte */
    return true;
}

/* Look at the next value's head. False at the end, inside a cut head, or at the one unused tag. */
static bool look(const struct reader *reader, struct head *head)
{
    size_t left = (size_t)(reader->end - reader->at);
    if (reader_failed(reader) || left == 0)
        return false;
    uint8_t tag = reader->at[0];
    *head = (struct head){.bytes = 1};
    if (tag < 0x80) {
        head->type = TYPE_UINT;
        head->value = tag;
    } else if (tag < 0x90) {
        head->type = TYPE_MAP;
        head->value = tag & 15;
    } else if (tag < 0xa0) {
        head->type = TYPE_ARRAY;
        head->value = tag & 15;
    } else if (tag < 0xc0) {
        head->type = TYPE_STR;
        head->value = tag & 31;
    } else if (tag >= 0xe0) {
        head->type = TYPE_INT;
        head->value = (uint64_t)(int64_t)(int8_t)tag;
    } else {
        return head_of_tag(reader->at, left, head);
    }
    return true;
}

/* Consume a head of one of two types (pass the same twice for one). */
static bool take(struct reader *reader, enum reader_type type, enum reader_type other, struct head *head)
{
    if (!look(reader, head)) {
        reader_fail(reader, READER_TRUNCATED);
        return false;
    }
    if ((head->type != type && head->type != other) || head->extension) {
        reader_fail(reader, READER_TYPE);
        return false;
    }
    reader->at += head->bytes;
    return true;
}

enum reader_type reader_peek(const struct reader *reader)
{
    struct head head;
    if (!look(reader, &head) || head.extension)
        return TYPE_NONE;
    return head.type;
}

static uint32_t take_count(struct reader *reader, enum reader_type type, uint32_t max)
{
    struct head head;
    if (!take(reader, type, type, &head))
        return 0;
    uint64_t least_bytes = head.value * (type == TYPE_MAP ? 2 : 1);
    if (head.value > max)
        reader_fail(reader, READER_RANGE);
    else if (least_bytes > (size_t)(reader->end - reader->at))
        reader_fail(reader, READER_TRUNCATED);
    return reader_failed(reader) ? 0 : (uint32_t)head.value;
}

uint32_t read_array(struct reader *reader, uint32_t max)
{
    return take_count(reader, TYPE_ARRAY, max);
}

uint32_t read_map(struct reader *reader, uint32_t max)
{
    return take_count(reader, TYPE_MAP, max);
}

uint64_t read_uint(struct reader *reader, uint64_t max)
{
    struct head head;
    if (!take(reader, TYPE_UINT, TYPE_UINT, &head))
        return 0;
    if (head.value > max)
        reader_fail(reader, READER_RANGE);
    return reader_failed(reader) ? 0 : head.value;
}

int64_t read_int(struct reader *reader)
{
    struct head head;
    if (!take(reader, TYPE_UINT, TYPE_INT, &head))
        return 0;
    if (head.type == TYPE_UINT && head.value > INT64_MAX)
        reader_fail(reader, READER_RANGE);
    return reader_failed(reader) ? 0 : (int64_t)head.value;
}

bool read_bool(struct reader *reader)
{
    struct head head;
    return take(reader, TYPE_BOOL, TYPE_BOOL, &head) && head.value == 1;
}

bool read_nil(struct reader *reader)
{
    struct head head;
    if (!look(reader, &head) || head.type != TYPE_NIL)
        return false;
    reader->at += head.bytes;
    return true;
}

static struct bytes take_run(struct reader *reader, enum reader_type type, enum reader_type other, size_t min,
                             size_t max)
{
    struct bytes none = {reader->at, 0};
    struct head head;
    if (!take(reader, type, other, &head))
        return none;
    if (head.value < min || head.value > max)
        reader_fail(reader, READER_RANGE);
    else if (head.value > (size_t)(reader->end - reader->at))
        reader_fail(reader, READER_TRUNCATED);
    if (reader_failed(reader))
        return none;
    struct bytes run = {reader->at, (size_t)head.value};
    reader->at += head.value;
    return run;
}

struct bytes read_bin(struct reader *reader, size_t min, size_t max)
{
    return take_run(reader, TYPE_BIN, TYPE_BIN, min, max);
}

struct bytes read_str(struct reader *reader, size_t min, size_t max)
{
    return take_run(reader, TYPE_STR, TYPE_STR, min, max);
}

struct bytes read_name(struct reader *reader)
{
    struct bytes name = read_str(reader, 1, NAME_BYTES_MAX);
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] <= ' ' || name.data[i] == 127)
            reader_fail(reader, READER_RANGE);
    return name;
}

struct bytes read_text(struct reader *reader, size_t max)
{
    return take_run(reader, TYPE_STR, TYPE_BIN, 0, max);
}

/* Walk one value without recursion: `left[depth]` values are still to come at each depth. */
struct bytes read_raw(struct reader *reader)
{
    const uint8_t *from = reader->at;
    uint64_t left[FRAME_DEPTH_MAX + 1] = {1};
    int depth = 0;
    while (depth >= 0 && !reader_failed(reader)) {
        if (left[depth] == 0) {
            depth--;
            continue;
        }
        left[depth]--;
        struct head head;
        if (!look(reader, &head)) {
            reader_fail(reader, READER_TRUNCATED);
            break;
        }
        if (head.type == TYPE_NONE) {
            reader_fail(reader, READER_TYPE);
            break;
        }
        reader->at += head.bytes;
        size_t rest = (size_t)(reader->end - reader->at);
        if (head.type == TYPE_ARRAY || head.type == TYPE_MAP) {
            uint64_t values = head.type == TYPE_MAP ? 2 * head.value : head.value;
            if (values > rest)
                reader_fail(reader, READER_TRUNCATED);
            else if (depth == FRAME_DEPTH_MAX)
                reader_fail(reader, READER_DEPTH);
            else
                left[++depth] = values;
        } else if (head.type == TYPE_STR || head.type == TYPE_BIN) {
            if (head.value > rest)
                reader_fail(reader, READER_TRUNCATED);
            else
                reader->at += head.value;
        }
    }
    if (reader_failed(reader))
        return (struct bytes){from, 0};
    return (struct bytes){from, (size_t)(reader->at - from)};
}

struct bytes read_map_value(struct bytes map, const char *key)
{
    struct reader reader;
    reader_init(&reader, map);
    uint32_t pairs = map.size == 0 ? 0 : read_map(&reader, UINT32_MAX);
    for (uint32_t i = 0; i < pairs && !reader_failed(&reader); i++) {
        struct bytes name = read_str(&reader, 0, SIZE_MAX);
        struct bytes value = read_raw(&reader);
        if (!reader_failed(&reader) && bytes_are(name, key))
            return value;
    }
    return (struct bytes){map.data, 0};
}

void read_skip(struct reader *reader, uint32_t count, uint32_t read)
{
    for (uint32_t i = read; i < count && !reader_failed(reader); i++)
        (void)read_raw(reader); /* only its end matters here */
}
