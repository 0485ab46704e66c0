/* reader.h - a bounded cursor over msgpack bytes that came from a peer or from a record.
 *
 * Is:      the only way bytes from outside become values. Depth, counts and sizes are checked before they are
 *          used; nothing is allocated; what it returns points into the bytes it was given.
 * Is not:  a tree builder, or a second opinion on meaning (message.h, task.h know the fields).
 * Errors:  sticky: after the first error every read returns a zero value, and `error` keeps the first cause.
 *          A caller may therefore read a whole message and look once at the end.
 * Cost:    O(bytes read). */
#ifndef MERIDIAN_PROTO_READER_H
#define MERIDIAN_PROTO_READER_H

#include "proto/bytes.h"

enum reader_error {
    READER_OK = 0,
    READER_TRUNCATED, /* the bytes end inside a value */
    READER_TYPE,      /* another type than asked for */
    READER_RANGE,     /* a number, a length or a count outside its bounds */
    READER_DEPTH,     /* nested deeper than FRAME_DEPTH_MAX */
    READER_TRAILING,  /* bytes behind the last value */
};

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    enum reader_error error;
};

enum reader_type {
    TYPE_NIL,
    TYPE_BOOL,
    TYPE_UINT,
    TYPE_INT,
    TYPE_FLOAT,
    TYPE_STR,
    TYPE_BIN,
    TYPE_ARRAY,
    TYPE_MAP,
    TYPE_NONE /* at the end, or not readable */
};

void reader_init(struct reader *reader, struct bytes bytes);
/* "truncated", "wrong type", ... for the error a peer is shown. */
const char *reader_error_text(enum reader_error error);

/* The type of the next value; does not move. */
enum reader_type reader_peek(const struct reader *reader);

/* Number of elements (of pairs, for a map), at most `max`. A count that the remaining bytes cannot hold is an
 * error at once: a loop over the result is bounded by the frame. */
uint32_t read_array(struct reader *reader, uint32_t max);
uint32_t read_map(struct reader *reader, uint32_t max);

uint64_t read_uint(struct reader *reader, uint64_t max);
int64_t read_int(struct reader *reader);
bool read_bool(struct reader *reader);
/* Consumes a nil if there is one; says whether it did. */
bool read_nil(struct reader *reader);

/* Length within [min, max]; the view points into the reader's bytes. */
struct bytes read_bin(struct reader *reader, size_t min, size_t max);
struct bytes read_str(struct reader *reader, size_t min, size_t max);
/* A str of 1 to NAME_BYTES_MAX bytes without spaces and control characters: names are shown in terminals. */
struct bytes read_name(struct reader *reader);
/* A str or a bin: arguments and paths are bytes on Unix, whatever a language calls them. */
struct bytes read_text(struct reader *reader, size_t max);

/* One whole value of any type, checked to its end (depth, truncation): its exact bytes. */
struct bytes read_raw(struct reader *reader);
/* The bytes of the value of `key` in an encoded map; size 0 if it has none, or is no map. O(map). */
struct bytes read_map_value(struct bytes map, const char *key);
/* Skip the rest of an array of which `read` of `count` elements were read: trailing fields are ignored. */
void read_skip(struct reader *reader, uint32_t count, uint32_t read);

static inline bool reader_failed(const struct reader *reader)
{
    return reader->error != READER_OK;
}

/* Record `error` if none is recorded yet. */
void reader_fail(struct reader *reader, enum reader_error error);
/* Error unless every byte was consumed. */
void reader_finish(struct reader *reader);

#endif
