/* id.c - see id.h. */
#include "proto/id.h"

static void put32(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 24);
    to[1] = (uint8_t)(value >> 16);
    to[2] = (uint8_t)(value >> 8);
    to[3] = (uint8_t)value;
}

static uint32_t get32(const uint8_t *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

int fence_compare(struct fence a, struct fence b)
{
    if (a.custody != b.custody)
        return a.custody < b.custody ? -1 : 1;
    if (a.epoch != b.epoch)
        return a.epoch < b.epoch ? -1 : 1;
    if (a.attempt != b.attempt)
        return a.attempt < b.attempt ? -1 : 1;
    return 0;
}

void fence_encode(struct fence fence, uint8_t to[FENCE_BYTES])
{
    put32(to, fence.custody);
    put32(to + 4, fence.epoch);
    put32(to + 8, fence.attempt);
}

struct fence fence_decode(const uint8_t from[FENCE_BYTES])
{
    return (struct fence){get32(from), get32(from + 4), get32(from + 8)};
}

void hex_encode(struct bytes from, char *to)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < from.size; i++) {
        to[2 * i] = digits[from.data[i] >> 4];
        to[2 * i + 1] = digits[from.data[i] & 15];
    }
    to[2 * from.size] = '\0';
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hex_decode(struct bytes text, uint8_t *to, size_t size)
{
    if (text.size != 2 * size)
        return false;
    for (size_t i = 0; i < size; i++) {
        int high = hex_digit(text.data[2 * i]), low = hex_digit(text.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        to[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

uint64_t task_id_time_ms(const struct task_id *id)
{
    if (id->bytes[6] >> 4 != 7 || id->bytes[8] >> 6 != 2)
        return 0;
    uint64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id->bytes[i];
    return ms;
}

struct task_id task_id_make(uint64_t wall_ms, const uint64_t random[2])
{
    struct task_id id;
    for (int i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)(wall_ms >> (40 - 8 * i));
    for (int i = 0; i < 8; i++)
        id.bytes[8 + i] = (uint8_t)(random[0] >> (8 * i));
    id.bytes[6] = (uint8_t)(0x70 | (random[1] & 15));
    id.bytes[7] = (uint8_t)(random[1] >> 8);
    id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3f));
    return id;
}
