/* interpose.h - a library between a program and the disk: counts, fails, shortens and logs what is written
 * below one directory. LMDB and our own code call it without knowing.
 *
 * Is:      write, pwrite, writev, ftruncate, truncate, rename, unlink, fsync, fdatasync, for files whose path
 *          begins with `under`. Linked before the store (sweep_store), or preloaded into the real program and
 * armed by MERIDIAN_INTERPOSE="UNDER writes|syncs NTH once|onward ERROR-NUMBER|short" (sweep_broker.py). Is
 * not:  a model of a disk: what a power cut would leave is computed from the log (image.h). Blind:   writes
 * through a map are not seen. The store maps its file for reading only; sweep_store checks it. Threads: the
 * log is for programs that write from one thread; counting and failing is for all.
 */
#ifndef MERIDIAN_TESTS_SWEEP_INTERPOSE_H
#define MERIDIAN_TESTS_SWEEP_INTERPOSE_H

#include <stdbool.h>
#include <stdint.h>

/* A write to a file that was opened O_DSYNC is both: it is counted as a sync. */
enum interpose_calls { INTERPOSE_WRITES, INTERPOSE_SYNCS };

struct interpose_plan {
    const char *under; /* NULL: nothing is looked at */
    enum interpose_calls calls;
    uint64_t nth; /* the call that fails, from 1; 0 = none */
    bool onward;  /* and all behind it */
    int error;    /* errno; 0 = a write of half the bytes (a sync then fails with EIO) */
    int log;      /* a file descriptor, or -1 */
};

void interpose_arm(const struct interpose_plan *plan);
/* Calls of the planned kind so far. */
uint64_t interpose_count(void);

/* ---- the log: records, each with `size` bytes behind it ----
 * Of one file: data.mdb, which is made as data.new and renamed. */

enum interpose_what {
    INTERPOSE_WRITE,       /* the bytes written at `offset` */
    INTERPOSE_WRITE_DSYNC, /* likewise, and they are on disk */
    INTERPOSE_LENGTH,      /* the file is `offset` bytes long */
    INTERPOSE_SYNC,        /* all of the file that was written before is on disk */
    INTERPOSE_SYNC_FAILED, /* nobody knows what of it is, and nobody will write it again */
    INTERPOSE_RENAMED,     /* it is data.mdb now */
    INTERPOSE_NAMES_SYNC,  /* its name is on disk */
    INTERPOSE_REMOVED,     /* it is gone: data.new of a life before */
    INTERPOSE_MARK,        /* the program's own: `offset` is its number, `size` 0 */
};

struct interpose_record {
    uint32_t what, size;
    uint64_t offset;
};

void interpose_mark(uint64_t number);

#endif
