/* region_state.h - the region node's insides, shared by the files of this folder only.
 *
 * region.c    events, start, time
 * upward.c    what the broker says: ASSIGN, STOP, SETTLED; INVENTORY and outcomes towards it
 * attempts.c  what workers say, and what an attempt's end means: retry, time limit, loss, fence
 * outcome.c   the outcome of a task, made once, kept until the broker has recorded it
 * late.c      outcomes that came too late, told to the broker
 * place.c     which worker; place_least_tasks.c is the score
 * answers.c   ASK: rows about tasks and workers, drain */
#ifndef MERIDIAN_REGION_REGION_STATE_H
#define MERIDIAN_REGION_REGION_STATE_H

#include "engine/ledger.h"
#include "engine/room.h"
#include "engine/uplink.h"
#include "region/region.h"

struct region_counters {
    uint64_t assigned, refused, retried, lost, late, malformed;
};

/* Outcomes refused since the last beat, encoded as an array of late entries. */
enum { LATE_ENTRY_BYTES_MAX = 112, LATE_BYTES_MAX = OUTCOME_ENTRIES_MAX * LATE_ENTRY_BYTES_MAX + 5 };
struct late_entries {
    uint8_t bytes[LATE_BYTES_MAX];
    struct writer writer;
    size_t count_at;
    uint32_t count;
};

struct region {
    struct region_options options;
    struct ledger tasks;
    struct uplink uplink;
    struct region_counters counters;
    struct late_entries late;
    uint8_t instance[INSTANCE_BYTES];
    uint64_t boot;
    uint32_t epoch;
    uint8_t profiles[PROFILES_BYTES_MAX]; /* what all workers together offer, encoded */
    uint32_t
        inventory_next; /* WELCOME came: rows of tasks from this index on are still to be sent; 0 = none */
    uint32_t
        report_next; /* session is up: outcomes of tasks from this index on are still to be sent; 0 = none */
    uint64_t incapable_since_ns[CLASSES_MAX + 1]; /* since when no worker could run the class; 0 = one can */
    uint64_t incapable_check_ns;
    bool dispatch, more_work, draining;
    struct room room;
    uint64_t random; /* of the running event, for jitter */
};

/* ---- region.c ---- */
/* Identity and epoch, durable with this step. */
void region_put_meta(struct region *region, struct outputs *outputs);

/* ---- upward.c ---- */
void region_on_parent_message(struct region *region, const struct event *event,
                              const struct message_header *header, struct outputs *outputs);
/* Something of the broker cannot be read: the session ends. */
void region_on_parent_malformed(struct region *region, const struct event *event, struct outputs *outputs);
/* The session with the broker ended: what was not answered is sent again in the next. */
void region_on_parent_ended(struct region *region);
/* Go on with INVENTORY rows and unsent outcomes, as far as the step has room. */
void region_go_on_upward(struct region *region, const struct event *event, struct outputs *outputs);
/* Fence under which the broker knows the task. */
struct fence region_fence_above(const struct task *task);
/* Give a task back that runs nowhere: forgotten here, OUTCOME(returned). */
void region_return(struct region *region, uint32_t task, struct outputs *outputs);

/* ---- attempts.c ---- */
void region_on_child_message(struct region *region, const struct event *event,
                             const struct message_header *header, struct outputs *outputs);
void region_sweep(struct region *region, struct outputs *outputs);
/* A timer came due. */
void region_on_due(struct region *region, uint32_t task, struct outputs *outputs);
/* The broker wants it cancelled. */
void region_cancel(struct region *region, uint32_t task, struct outputs *outputs);

/* ---- outcome.c ---- */
/* How an attempt ended, as the worker said it or as it was found out. */
struct attempt_end {
    enum task_end end;
    const char *reason;  /* of the task if this ends it, and in its history if not */
    struct bytes result; /* the worker's map; size 0 = none */
    const char *worker;  /* name; "" if it never had one */
    bool lost;           /* nobody reported it */
};
/* The task ends here: outcome put, kept and reported. */
void region_end(struct region *region, uint32_t task, const struct attempt_end *end, struct outputs *outputs);
/* The attempt ended but not the task: one entry of its history. */
void region_remember(struct region *region, uint32_t task, const struct attempt_end *end,
                     struct outputs *outputs);
/* Send the outcome of an ENDED task, if the session is up. */
void region_report(struct region *region, uint32_t task, struct outputs *outputs);

/* ---- late.c ---- */
/* An outcome of `worker` came after its attempt was over, and was refused. */
void region_note_late(struct region *region, const struct child *worker, const struct outcome_entry *outcome);

/* ---- place.c ---- */
void region_dispatch(struct region *region, struct outputs *outputs);
/* Slots of `worker` that a task of `class` could have now. */
uint32_t place_free_slots(const struct region *region, struct child *worker, uint16_t class);
/* Why a ready task of `class` waits. */
enum task_reason place_reason(struct region *region, uint16_t class);
/* Workers that run `class`: their slots and how many of those are busy. */
void place_slots(struct region *region, uint16_t class, uint32_t *ret_slots, uint32_t *ret_busy);
/* Score of a worker with a free slot: the least wins. */
uint64_t place_least_tasks(const struct child *worker);

/* ---- answers.c ---- */
/* False if it cannot be read. */
bool region_on_ask(struct region *region, struct bytes body, struct outputs *outputs);

#endif
