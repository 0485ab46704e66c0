/* input.h - the bytes that libFuzzer made, read as a script of choices.
 *
 * Is: a cursor. Where the bytes have ended every choice is 0, and 0 is the most ordinary choice everywhere: a
 * short input is a plain story, and each further byte makes it stranger. Is not: the bytes of a peer; those
 * are made of choices (frames.h) or taken raw (take_run). */
#ifndef MERIDIAN_TESTS_FUZZ_INPUT_H
#define MERIDIAN_TESTS_FUZZ_INPUT_H

#include "proto/bytes.h"

struct input {
    const uint8_t *at, *end;
};

static inline bool input_is_over(const struct input *input)
{
    return input->at == input->end;
}

static inline uint32_t take_byte(struct input *input)
{
    return input_is_over(input) ? 0 : *input->at++;
}

/* `bound` from 1 to 256. */
static inline uint32_t take_below(struct input *input, uint32_t bound)
{
    return take_byte(input) % bound;
}

/* Small ones cost a byte; then come all widths, and the edges of each. */
static inline uint64_t take_number(struct input *input)
{
    uint32_t first = take_byte(input);
    if (first < 0xe0)
        return first;
    uint32_t size = 1u << (first >> 2 & 3); /* 1, 2, 4 or 8 bytes */
    uint64_t value = 0;
    if ((first & 3) == 0)
        return size == 8 ? UINT64_MAX : (1ull << 8 * size) - 1;
    if ((first & 3) == 1)
        return 1ull << (8 * size - 1);
    for (uint32_t i = 0; i < size; i++)
        value = value << 8 | take_byte(input);
    return value;
}

/* Up to `max` of the bytes as they are; at most 255. */
static inline struct bytes take_run(struct input *input, size_t max)
{
    size_t size = take_byte(input), left = (size_t)(input->end - input->at);
    size = size < max ? size : max;
    size = size < left ? size : left;
    struct bytes run = {input->at, size};
    input->at += size;
    return run;
}

#endif
