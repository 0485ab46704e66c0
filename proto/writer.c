/* writer.c - see writer.h. msgpack-c packs; append() is the only place that touches the buffer. */
#include "proto/writer.h"

#include <msgpack/pack.h>

#include "proto/assert.h"

static int append(void *data, const char *bytes, size_t size)
{
    struct writer *writer = data;
    ASSERT(size <= writer->capacity - writer->size);
    if (size != 0)
        memcpy(writer->data + writer->size, bytes, size);
    writer->size += size;
    return 0;
}

static msgpack_packer packer(struct writer *writer)
{
    return (msgpack_packer){writer, append};
}

void writer_init(struct writer *writer, uint8_t *data, size_t capacity)
{
    *writer = (struct writer){data, 0, capacity};
}

void write_nil(struct writer *writer)
{
    msgpack_packer to = packer(writer);
    msgpack_pack_nil(&to);
}

void write_bool(struct writer *writer, bool value)
{
    msgpack_packer to = packer(writer);
    if (value)
        msgpack_pack_true(&to);
    else
        msgpack_pack_false(&to);
}

void write_uint(struct writer *writer, uint64_t value)
{
    msgpack_packer to = packer(writer);
    msgpack_pack_uint64(&to, value);
}

void write_int(struct writer *writer, int64_t value)
{
    msgpack_packer to = packer(writer);
    msgpack_pack_int64(&to, value);
}

void write_array(struct writer *writer, uint32_t count)
{
    msgpack_packer to = packer(writer);
    msgpack_pack_array(&to, count);
}

void write_map(struct writer *writer, uint32_t pairs)
{
    msgpack_packer to = packer(writer);
    msgpack_pack_map(&to, pairs);
}

void write_str_bytes(struct writer *writer, struct bytes text)
{
    msgpack_packer to = packer(writer);
    msgpack_pack_str(&to, text.size);
    append(writer, (const char *)text.data, text.size);
}

void write_str(struct writer *writer, const char *text)
{
    write_str_bytes(writer, bytes_of(text));
}

void write_bin_head(struct writer *writer, uint32_t size)
{
    msgpack_packer to = packer(writer);
    msgpack_pack_bin(&to, size);
}

void write_bin(struct writer *writer, struct bytes value)
{
    write_bin_head(writer, (uint32_t)value.size);
    append(writer, (const char *)value.data, value.size);
}

void write_raw(struct writer *writer, struct bytes bytes)
{
    append(writer, (const char *)bytes.data, bytes.size);
}

size_t write_array_open(struct writer *writer)
{
    static const char head[5] = {(char)0xdd};
    append(writer, head, sizeof head);
    return writer->size - 4;
}

size_t write_uint64_open(struct writer *writer)
{
    static const char head[9] = {(char)0xcf};
    append(writer, head, sizeof head);
    return writer->size - 8;
}

void patch_count(uint8_t *data, size_t offset, uint32_t count)
{
    for (int i = 0; i < 4; i++)
        data[offset + (size_t)i] = (uint8_t)(count >> (24 - 8 * i));
}

void patch_uint64(uint8_t *data, size_t offset, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        data[offset + (size_t)i] = (uint8_t)(value >> (56 - 8 * i));
}
