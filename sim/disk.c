/* disk.c - see disk.h. */
#include "sim/disk.h"

#include <stdlib.h>

#include "proto/assert.h"

size_t disk_seek(const struct disk *disk, enum table table, uint64_t number, uint32_t part)
{
    const struct disk_table *in = &disk->tables[table];
    size_t low = 0, high = in->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct disk_record *record = &in->records[middle];
        bool less = record->number != number ? record->number < number : record->part < part;
        if (less)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct disk_record *disk_find(const struct disk *disk, enum table table, uint64_t number)
{
    size_t at = disk_seek(disk, table, number, 0);
    const struct disk_table *in = &disk->tables[table];
    return at < in->count && in->records[at].number == number ? &in->records[at] : NULL;
}

void disk_put(struct disk *disk, enum table table, uint64_t number, uint32_t part, struct bytes value)
{
    struct disk_table *in = &disk->tables[table];
    size_t at = disk_seek(disk, table, number, part);
    uint8_t *copy = malloc(value.size + 1);
    ASSERT(copy != NULL);
    memcpy(copy, value.data, value.size);
    value.data = copy;
    disk->bytes += value.size;
    if (at < in->count && in->records[at].number == number && in->records[at].part == part) {
        disk->bytes -= in->records[at].value.size;
        free((void *)in->records[at].value.data);
        in->records[at].value = value;
        return;
    }
    if (in->count == in->capacity) {
        in->capacity = in->capacity == 0 ? 64 : 2 * in->capacity;
        in->records = realloc(in->records, in->capacity * sizeof *in->records);
        ASSERT(in->records != NULL);
    }
    memmove(&in->records[at + 1], &in->records[at], (in->count++ - at) * sizeof *in->records);
    in->records[at] = (struct disk_record){number, part, value};
}

void disk_erase(struct disk *disk, enum table table, uint64_t number)
{
    struct disk_table *in = &disk->tables[table];
    size_t from = disk_seek(disk, table, number, 0), to = from;
    for (; to < in->count && in->records[to].number == number; to++) {
        disk->bytes -= in->records[to].value.size;
        free((void *)in->records[to].value.data);
    }
    if (to != from)
        memmove(&in->records[from], &in->records[to], (in->count - to) * sizeof *in->records);
    in->count -= to - from;
}

void disk_wipe(struct disk *disk)
{
    for (int table = 0; table < TABLE_COUNT; table++) {
        for (size_t i = 0; i < disk->tables[table].count; i++)
            free((void *)disk->tables[table].records[i].value.data);
        free(disk->tables[table].records);
    }
    memset(disk, 0, sizeof *disk);
}

void disk_copy(struct disk *to, const struct disk *from)
{
    disk_wipe(to);
    for (int table = 0; table < TABLE_COUNT; table++)
        for (size_t i = 0; i < from->tables[table].count; i++) {
            const struct disk_record *record = &from->tables[table].records[i];
            disk_put(to, (enum table)table, record->number, record->part, record->value);
        }
}
