/* fields.c - see fields.h. */
#include "sim/fields.h"

#include "proto/limits.h"

struct bytes field(struct bytes map, const char *name)
{
    struct reader reader;
    reader_init(&reader, map);
    uint32_t pairs = read_map(&reader, 1024);
    for (uint32_t i = 0; i < pairs && !reader_failed(&reader); i++) {
        struct bytes key = read_str(&reader, 0, NAME_BYTES_MAX), value = read_raw(&reader);
        if (bytes_are(key, name))
            return value;
    }
    return (struct bytes){map.data, 0};
}

static struct reader reader_of(struct bytes map, const char *name)
{
    struct reader reader;
    reader_init(&reader, field(map, name));
    return reader;
}

struct bytes field_text(struct bytes map, const char *name)
{
    struct reader reader = reader_of(map, name);
    return read_str(&reader, 0, FRAME_BYTES_MAX);
}

uint64_t field_uint(struct bytes map, const char *name)
{
    struct reader reader = reader_of(map, name);
    return read_uint(&reader, UINT64_MAX);
}

bool field_bool(struct bytes map, const char *name)
{
    struct reader reader = reader_of(map, name);
    return read_bool(&reader);
}

uint32_t field_array(struct bytes map, const char *name, struct reader *ret_reader)
{
    *ret_reader = reader_of(map, name);
    return read_array(ret_reader, INVENTORY_ROWS_MAX);
}

bool field_bin(struct bytes map, const char *name, void *to, size_t size)
{
    struct reader reader = reader_of(map, name);
    struct bytes value = read_bin(&reader, size, size);
    if (value.size == size)
        memcpy(to, value.data, size);
    return value.size == size;
}
