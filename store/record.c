/* record.c - see record.h. */
#include "store/record.h"

#include "proto/assert.h"

const char *table_text(enum table table)
{
    static const char *const text[TABLE_COUNT] = {
#define X(name, text) text,
        STORE_TABLES(X)
#undef X
    };
    ASSERT(table < TABLE_COUNT);
    return text[table];
}

bool table_is_restored(enum table table)
{
    static const bool restored[TABLE_COUNT] = {
        [TABLE_META] = true,   [TABLE_CLASSES] = true, [TABLE_CHILDREN] = true, [TABLE_STATES] = true,
        [TABLE_GRANTS] = true, [TABLE_ENDED] = true,   [TABLE_SPOOL] = true,
    };
    ASSERT(table < TABLE_COUNT);
    return restored[table];
}

/* docs/storage-format.md has the layout: up to INLINE_BYTES_MAX a value among others in a page, of which up
 * to a third may stay empty; above it chunks, each in a page of its own, with a key elsewhere. */
enum { INLINE_BYTES_MAX = 1900, INLINE_HEAD_BYTES = 40, CHUNK_BYTES = 4000, CHUNK_DISK_BYTES = 4096 + 96 };

uint64_t record_disk_bytes(size_t size)
{
    if (size <= INLINE_BYTES_MAX)
        return (size + INLINE_HEAD_BYTES) * 3 / 2;
    return (size / CHUNK_BYTES + 1) * (uint64_t)CHUNK_DISK_BYTES;
}
