/* writer.h - msgpack into a fixed buffer that the caller owns.
 *
 * Is:      msgpack-c's packer behind a bounds check, plus the two fixed-width forms that are patched later.
 * Is not:  growable: writing past `capacity` is our own mistake (callers size their buffers from the bounded
 *          inputs) and is asserted.
 * Cost:    one copy of what is written; no allocation. */
#ifndef MERIDIAN_PROTO_WRITER_H
#define MERIDIAN_PROTO_WRITER_H

#include "proto/bytes.h"

struct writer {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

void writer_init(struct writer *writer, uint8_t *data, size_t capacity);

void write_nil(struct writer *writer);
void write_bool(struct writer *writer, bool value);
void write_uint(struct writer *writer, uint64_t value);
void write_int(struct writer *writer, int64_t value);
void write_array(struct writer *writer, uint32_t count);
void write_map(struct writer *writer, uint32_t pairs);
void write_str(struct writer *writer, const char *text);
void write_str_bytes(struct writer *writer, struct bytes text);
void write_bin(struct writer *writer, struct bytes value);
/* Only the head of a bin of `size` bytes: its content follows from elsewhere (a record, a frame). */
void write_bin_head(struct writer *writer, uint32_t size);
/* Bytes that already are msgpack, or no msgpack at all: copied as they are. */
void write_raw(struct writer *writer, struct bytes bytes);

/* An array32 head whose count is not known yet; returns the offset for patch_count. */
size_t write_array_open(struct writer *writer);
/* A uint64 in its 9-byte form; returns the offset for patch_uint64. */
size_t write_uint64_open(struct writer *writer);
void patch_count(uint8_t *data, size_t offset, uint32_t count);
void patch_uint64(uint8_t *data, size_t offset, uint64_t value);

static inline struct bytes writer_bytes(const struct writer *writer)
{
    return (struct bytes){writer->data, writer->size};
}

#endif
