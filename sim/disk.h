/* disk.h - the store of a simulated node: what its last commit left, and nothing else. */
#ifndef MERIDIAN_SIM_DISK_H
#define MERIDIAN_SIM_DISK_H

#include "store/record.h"

struct disk_record {
    uint64_t number;
    uint32_t part;
    struct bytes value; /* owned */
};

struct disk_table {
    struct disk_record *records; /* by (number, part) */
    size_t count, capacity;
};

struct disk {
    struct disk_table tables[TABLE_COUNT];
    uint64_t bytes;
};

/* Copies the value. */
void disk_put(struct disk *disk, enum table table, uint64_t number, uint32_t part, struct bytes value);
/* All parts of the number. */
void disk_erase(struct disk *disk, enum table table, uint64_t number);
/* The first record at or behind (number, part): an index into the table. */
size_t disk_seek(const struct disk *disk, enum table table, uint64_t number, uint32_t part);
/* NULL if there is none; any part of the number. */
const struct disk_record *disk_find(const struct disk *disk, enum table table, uint64_t number);
void disk_wipe(struct disk *disk);
/* `to` becomes what `from` is. */
void disk_copy(struct disk *to, const struct disk *from);

#endif
