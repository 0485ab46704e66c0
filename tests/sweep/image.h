/* image.h - what a power cut leaves of data.mdb, computed from the log of its writes and syncs.
 *
 * Is:      everything that was synced, and of the rest a drawn part: any sector of 512 bytes may be there in
 *          any version since the last sync, or not; in any order, the length of the file as well. A sector is
 *          never torn (a disk's own promise, and all that LMDB's meta pages need). After a failed sync what
 *          was not synced is drawn once and for ever, unless it is written again, though the system's cache,
 *          and so the next process, still sees it all.
 * Is not:  a file system. What it models of names: data.new becomes data.mdb by the rename, or by the sync of
 *          the directory behind it at the latest.
 * Cost:    one pass over the log for each image.
 */
#ifndef MERIDIAN_TESTS_SWEEP_IMAGE_H
#define MERIDIAN_TESTS_SWEEP_IMAGE_H

#include <stddef.h>

#include "sim/dice.h"
#include "tests/sweep/interpose.h"

struct write_log {
    uint8_t *bytes;
    size_t size;
    size_t *records; /* offsets into bytes */
    size_t count;
};

struct image {
    uint8_t *bytes;
    size_t size, capacity;
    bool in_place;           /* it is data.mdb, not data.new */
    uint32_t durable, begun; /* as marked before the cut (replay.h) */
};

bool write_log_load(int file, struct write_log *ret_log);
void write_log_release(struct write_log *log);

/* The image after the first `records` of the log. `ignores_syncs`: a disk that lies, for a control. */
void image_build(struct image *image, const struct write_log *log, size_t records, struct dice *dice,
                 bool ignores_syncs);
void image_release(struct image *image);

#endif
