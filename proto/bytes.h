/* bytes.h - a borrowed run of bytes: pointer and length, nothing owned.
 *
 * Is:      the one view type in which wire bytes, record values and strings travel between functions.
 * Is not:  a string (no terminator) or a buffer (it cannot grow). The default ownership of a `struct bytes`
 *          argument is a borrow for the duration of the call; where it is longer, the function says so. */
#ifndef MERIDIAN_PROTO_BYTES_H
#define MERIDIAN_PROTO_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *data;
    size_t size;
};

/* A view of a C string, without its terminator. */
static inline struct bytes bytes_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* The order of names: bytewise, a beginning before what it begins. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static inline bool bytes_are(struct bytes a, const char *text)
{
    return bytes_equal(a, bytes_of(text));
}

#endif
