/* image.c - see image.h. */
#include "tests/sweep/image.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/assert.h"
#include "tests/sweep/replay.h"

enum { SECTOR_BYTES = 512, PAGE_BYTES = 4096, META_BYTES = 2 * PAGE_BYTES };

/* A sector as a write left it in the cache; perhaps it goes to disk like this. */
struct version {
    uint64_t offset; /* of the sector */
    bool gone;       /* on disk already */
    uint8_t bytes[SECTOR_BYTES];
};

struct builder {
    struct image *image; /* the disk */
    struct image cache;  /* the file as the running system sees it */
    bool renamed;        /* in the running system */
    struct dice *dice;
    struct version *versions; /* since the last sync, in their order */
    size_t count, capacity;
    unsigned percent_meta, percent_other; /* how likely a sector is written before the cut */
    bool whole_writes;                    /* the pages of one write fare alike */
};

bool write_log_load(int file, struct write_log *ret_log)
{
    struct stat status;
    *ret_log = (struct write_log){.count = 0};
    if (fstat(file, &status) != 0)
        return false;
    ret_log->size = (size_t)status.st_size;
    ret_log->bytes = malloc(ret_log->size + 1);
    ret_log->records = malloc((ret_log->size / sizeof(struct interpose_record) + 1) * sizeof(size_t));
    if (ret_log->bytes == NULL || ret_log->records == NULL ||
        pread(file, ret_log->bytes, ret_log->size, 0) != (ssize_t)ret_log->size)
        return false;
    for (size_t at = 0; at + sizeof(struct interpose_record) <= ret_log->size;) {
        struct interpose_record record;
        memcpy(&record, ret_log->bytes + at, sizeof record);
        ret_log->records[ret_log->count++] = at;
        at += sizeof record + record.size;
    }
    return true;
}

void write_log_release(struct write_log *log)
{
    free(log->bytes);
    free(log->records);
    *log = (struct write_log){.count = 0};
}

static void grow(struct image *image, uint64_t size)
{
    if (size <= image->size)
        return;
    if (size > image->capacity) {
        image->capacity = 2 * (size_t)size;
        image->bytes = realloc(image->bytes, image->capacity);
        ASSERT(image->bytes != NULL);
    }
    memset(image->bytes + image->size, 0, (size_t)size - image->size);
    image->size = (size_t)size;
}

static void put_bytes(struct image *image, uint64_t offset, const uint8_t *bytes, size_t size)
{
    grow(image, offset + size);
    memcpy(image->bytes + offset, bytes, size);
}

static void version_to_disk(struct builder *builder, struct version *version)
{
    uint64_t left = builder->cache.size - version->offset;
    put_bytes(builder->image, version->offset, version->bytes,
              left < SECTOR_BYTES ? (size_t)left : (size_t)SECTOR_BYTES);
    version->gone = true;
}

static void note_version(struct builder *builder, uint64_t offset)
{
    if (builder->count == builder->capacity) {
        builder->capacity = builder->capacity == 0 ? 1024 : 2 * builder->capacity;
        builder->versions = realloc(builder->versions, builder->capacity * sizeof *builder->versions);
        ASSERT(builder->versions != NULL);
    }
    struct version *version = &builder->versions[builder->count++];
    uint64_t left = builder->cache.size - offset;
    *version = (struct version){.offset = offset};
    memcpy(version->bytes, builder->cache.bytes + offset,
           left < SECTOR_BYTES ? (size_t)left : (size_t)SECTOR_BYTES);
}

static void note_write(struct builder *builder, uint64_t offset, const uint8_t *bytes, size_t size)
{
    put_bytes(&builder->cache, offset, bytes, size);
    for (uint64_t sector = offset / SECTOR_BYTES; sector * SECTOR_BYTES < offset + size; sector++)
        note_version(builder, sector * SECTOR_BYTES);
}

/* A page that was written to goes to disk whole, as it is in the cache. */
static void page_to_disk(struct builder *builder, uint64_t page)
{
    uint64_t offset = page * PAGE_BYTES, left = builder->cache.size - offset;
    put_bytes(builder->image, offset, builder->cache.bytes + offset,
              left < PAGE_BYTES ? (size_t)left : (size_t)PAGE_BYTES);
}

static void all_to_disk(struct builder *builder)
{
    for (size_t i = 0; i < builder->count; i++)
        if (!builder->versions[i].gone)
            page_to_disk(builder, builder->versions[i].offset / PAGE_BYTES);
    grow(builder->image, builder->cache.size);
    builder->count = 0;
}

/* Sectors that the system wrote by itself before the cut. */
static void some_to_disk(struct builder *builder)
{
    bool drawn = false;
    uint64_t end = UINT64_MAX;
    for (size_t i = 0; i < builder->count; i++) {
        struct version *version = &builder->versions[i];
        bool is_meta = version->offset < META_BYTES;
        if (!builder->whole_writes || is_meta || version->offset != end)
            drawn = dice_percent(builder->dice, is_meta ? builder->percent_meta : builder->percent_other);
        end = version->offset + SECTOR_BYTES;
        if (drawn && !version->gone)
            version_to_disk(builder, version);
    }
    if (dice_percent(builder->dice, 50))
        grow(builder->image, builder->cache.size);
    builder->count = 0;
}

/* Its pages go to disk at once, the others stay where they are. */
static void write_synced(struct builder *builder, uint64_t offset, const uint8_t *bytes, size_t size)
{
    uint64_t first = offset / PAGE_BYTES, last = (offset + size - 1) / PAGE_BYTES;
    put_bytes(&builder->cache, offset, bytes, size);
    for (uint64_t page = first; page <= last; page++)
        page_to_disk(builder, page);
    for (size_t i = 0; i < builder->count; i++) {
        uint64_t page = builder->versions[i].offset / PAGE_BYTES;
        builder->versions[i].gone |= page >= first && page <= last;
    }
}

static void note_mark(struct image *image, uint64_t number)
{
    uint32_t count = (uint32_t)number;
    uint32_t *to = number >> 32 == MARK_DURABLE ? &image->durable : &image->begun;
    *to = count > *to ? count : *to;
}

static void replay_record(struct builder *builder, const uint8_t *at, bool ignores_syncs)
{
    struct interpose_record record;
    memcpy(&record, at, sizeof record);
    at += sizeof record;
    switch ((enum interpose_what)record.what) {
    case INTERPOSE_WRITE_DSYNC:
        if (!ignores_syncs)
            write_synced(builder, record.offset, at, record.size);
        else
            note_write(builder, record.offset, at, record.size);
        break;
    case INTERPOSE_WRITE:
        note_write(builder, record.offset, at, record.size);
        break;
    case INTERPOSE_LENGTH:
        ASSERT(record.offset >= builder->cache.size); /* only a refused store is made shorter again */
        grow(&builder->cache, record.offset);
        break;
    case INTERPOSE_SYNC:
        if (!ignores_syncs)
            all_to_disk(builder);
        break;
    case INTERPOSE_SYNC_FAILED:
        some_to_disk(builder);
        break;
    case INTERPOSE_RENAMED:
        builder->renamed = true;
        break;
    case INTERPOSE_NAMES_SYNC:
        builder->image->in_place = builder->renamed;
        break;
    case INTERPOSE_REMOVED:
        builder->image->size = builder->cache.size = builder->count = 0;
        break;
    case INTERPOSE_MARK:
        note_mark(builder->image, record.offset);
        break;
    }
}

void image_build(struct image *image, const struct write_log *log, size_t records, struct dice *dice,
                 bool ignores_syncs)
{
    static const unsigned percents[] = {0, 3, 20, 50, 80, 97, 100};
    enum { COUNT = sizeof percents / sizeof *percents };
    struct builder builder = {.image = image,
                              .dice = dice,
                              .percent_meta = percents[dice_below(dice, COUNT)],
                              .percent_other = percents[dice_below(dice, COUNT)],
                              .whole_writes = dice_percent(dice, 30)};
    image->size = 0;
    image->durable = image->begun = 0;
    image->in_place = false;
    for (size_t i = 0; i < records; i++)
        replay_record(&builder, log->bytes + log->records[i], ignores_syncs);
    some_to_disk(&builder);
    image->in_place |= builder.renamed && dice_percent(dice, 50);
    free(builder.versions);
    image_release(&builder.cache);
}

void image_release(struct image *image)
{
    free(image->bytes);
    *image = (struct image){.size = 0};
}
