/* replay.h - the recorded job on a real store, each time in a process of its own that may stop anywhere.
 *
 * Is:      open, perform the transactions as the commit thread does (host/commit.c), and say what became
 *          durable; or open what an earlier run left, find out which prefix of the job it holds, and go on
 *          from there to the end. What counts is the whole content of all tables, byte for byte.
 * Is not:  the host: the transactions come from job.h.
 * Reports: in memory that the processes share; a process that ends by a signal or in time is a failure.
 */
#ifndef MERIDIAN_TESTS_SWEEP_REPLAY_H
#define MERIDIAN_TESTS_SWEEP_REPLAY_H

#include "tests/sweep/interpose.h"
#include "tests/sweep/job.h"

/* Marks in the log of interpose.h: kind << 32 | number of transactions. */
enum mark { MARK_BEGUN = 1, MARK_DURABLE };

struct report {
    bool finished;     /* the whole job is on disk */
    bool opened;       /* the store could be opened */
    uint32_t begun;    /* transactions begun, that of the failure included */
    uint32_t durable;  /* transactions that the store says are on disk */
    uint32_t found;    /* replay_recover: transactions that were found on disk */
    uint64_t calls;    /* of the planned kind */
    char problem[800]; /* the store's own words, or what is wrong with what was found */
};

struct replay {
    const struct job *job;
    char data[64];           /* the node's directory */
    uint64_t *contents;      /* shared: [job->count + 1] digests, after so many transactions */
    struct report *report;   /* shared */
    bool acknowledges_early; /* a deliberate mistake: a commit counts as durable before its flush */
};

/* Fills `contents`: the job without a failure. False with report->problem. */
bool replay_init(struct replay *replay, const struct job *job, const char *base);
void replay_release(struct replay *replay);

/* The job from its beginning in a new directory, under `plan` (its `under` is set here). False if the process
 * did not end by itself. */
bool replay_run(struct replay *replay, struct interpose_plan plan);

/* The directory as it is: it must hold a prefix of the job of `least` to `most` transactions, and `further`
 * ones must be possible and lead to the right state. Under `plan`. False: report->problem. */
bool replay_recover(struct replay *replay, uint32_t least, uint32_t most, uint32_t further,
                    struct interpose_plan plan);

/* A new directory with only this data file, `in_place` or still being made. */
bool replay_place_image(struct replay *replay, const uint8_t *bytes, size_t size, bool in_place);

extern const struct interpose_plan replay_no_plan;

#endif
