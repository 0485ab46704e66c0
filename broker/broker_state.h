/* broker_state.h - the broker node's insides, shared by the files of this folder only.
 *
 * submit.c       SUBMIT
 * requests.c     WATCH, RECEIVED, CANCEL, DRAIN, FORGET
 * watches.c      who wants to hear of which task's end
 * query.c        QUERY: rows of its own, asked for at the regions, put together
 * query_rows.c   what they are put together from
 * query_workers.c  rows of workers, in pages
 * regions.c      messages of regions; grants that end by loss
 * route.c        which region: constraints, then geo_nearest with credit
 * late.c         outcomes that came too late
 * settle.c       the one place where a task ends here
 * restored.c     what a store put back from a backup cannot know */
#ifndef MERIDIAN_BROKER_BROKER_STATE_H
#define MERIDIAN_BROKER_BROKER_STATE_H

#include "broker/broker.h"
#include "broker/query.h"
#include "broker/watches.h"
#include "engine/ledger.h"
#include "engine/room.h"

enum { RECENT_MAX = 256, LATE_NOTES_MAX = 256 };

/* The newest accepted ids, for `task list`. */
struct recent {
    struct task_id ids[RECENT_MAX];
    uint64_t next; /* ids[next % RECENT_MAX] is written next */
};

/* The newest outcomes that came too late, for people. */
struct late_note {
    struct task_id id;
    struct fence fence;
    enum task_end end;
    uint64_t at_ns;
    char where[2 * NAME_BYTES_MAX + 2]; /* ap/w1 */
};

struct late_notes {
    struct late_note notes[LATE_NOTES_MAX];
    uint64_t next; /* notes[next % LATE_NOTES_MAX] is written next */
};

struct broker_counters {
    uint64_t submitted, accepted, duplicates, conflicts, throttled, refused, store_full;
    uint64_t completed, failed, cancelled, expired;
    uint64_t reruns, late, malformed, evicted, dropped;
};

struct broker {
    struct broker_options options;
    struct ledger tasks;
    struct ended ended;
    struct watches watches;
    struct queries queries;
    struct recent recent;
    struct late_notes late;
    struct broker_counters counters;
    struct task_fields parsed[FRAME_ENTRIES_MAX]; /* of the SUBMIT in hand */
    uint8_t instance[INSTANCE_BYTES];
    uint64_t boot;
    uint32_t epoch;
    uint32_t custody_floor; /* no custody granted before the last restored backup is as high; durable */
    uint64_t restored_ms;   /* wall time of the start from it, 0 = never; durable */
    bool dispatch;          /* something became ready, or credit came free */
    bool more_work;         /* a cursor stopped for want of room */
    bool draining;
    bool no_floor_left;   /* restored once too often: ends at START */
    bool full;            /* above the watermark */
    uint64_t receipts_ns; /* when what clients have received is put, 0 = nothing to put */
    struct room room;
};

/* ---- submit.c, requests.c ---- */
void broker_on_submit(struct broker *broker, const struct event *event, const struct message_header *header,
                      struct outputs *outputs);
void broker_on_watch(struct broker *broker, const struct event *event, const struct message_header *header,
                     struct outputs *outputs);
void broker_on_received(struct broker *broker, const struct event *event, const struct message_header *header,
                        struct outputs *outputs);
void broker_on_cancel(struct broker *broker, const struct event *event, const struct message_header *header,
                      struct outputs *outputs);
void broker_on_drain_request(struct broker *broker, const struct event *event,
                             const struct message_header *header, struct outputs *outputs);
void broker_on_forget(struct broker *broker, const struct event *event, const struct message_header *header,
                      struct outputs *outputs);
/* The reply to a WATCH: RESULT with those of `ids` that have ended, as far as they fit, else PENDING. */
void broker_write_watch_reply(struct broker *broker, uint64_t peer, uint64_t sequence,
                              const struct task_id *ids, uint32_t count, struct outputs *outputs);
/* The one reply to a request that cannot be served. `reason` names the field and the way out. */
void broker_refuse(struct broker *broker, const struct event *event, uint64_t sequence, enum error_code code,
                   const char *reason, struct outputs *outputs);
/* Likewise with the reason "name: what", what a peer sent made printable. */
void broker_refuse_named(struct broker *broker, const struct event *event, uint64_t sequence,
                         enum error_code code, struct bytes name, const char *what, struct outputs *outputs);
/* Likewise for an unknown or repeated field, named in the reason. */
void broker_refuse_field(struct broker *broker, const struct event *event, uint64_t sequence,
                         struct bytes field, struct outputs *outputs);
/* ---- regions.c ---- */
void broker_on_child_message(struct broker *broker, const struct event *event,
                             const struct message_header *header, struct outputs *outputs);
/* Go on ending the grants of lost regions and dealing with what sweeping ones did not claim. */
void broker_sweep(struct broker *broker, struct outputs *outputs);

/* ---- restored.c ---- */
/* At START from a restored backup, before META is put: the floor rises. False: it cannot, and nothing was
 * changed but that the broker is done. */
bool broker_raise_floor(struct broker *broker, const struct event *event, struct outputs *outputs);
/* At every START: the marks of tasks that have lived since before the backup. */
void broker_mark_restored(struct broker *broker);
/* It was granted, if ever, before the last restored backup: what became of it since is not known. */
bool broker_is_restored(const struct broker *broker, const struct task *task);
/* A submitted id may be one that was accepted, and run, in what a restored backup has forgotten. */
bool broker_may_have_run(const struct broker *broker, const struct task_id *id);
/* The fence of a task's next grant. */
struct fence broker_next_fence(const struct broker *broker, const struct task *task);

/* ---- route.c ---- */
/* The region that a task of `class` goes to now, NULL if none has credit. */
struct child *route_choose(struct broker *broker, uint16_t class);
/* Tasks of `class` that `region` may still be given. */
uint32_t route_credit(const struct broker *broker, struct child *region, uint16_t class);
/* Why no task of `class` can go anywhere now. */
enum task_reason route_reason(struct broker *broker, uint16_t class);
/* Why `region` would not be given a task of `class`: "" if it would. Written to `to` (size bytes). */
void route_explain(struct broker *broker, struct child *region, uint16_t class, char *to, size_t size);
void broker_dispatch(struct broker *broker, struct outputs *outputs);

/* ---- late.c ---- */
/* A region's outcome was refused as stale, and an attempt of it had run. */
void broker_on_late_outcome(struct broker *broker, const struct child *region,
                            const struct outcome_entry *entry, struct outputs *outputs);
/* The late entries of a region's HEARTBEAT: outcomes of workers that it refused. */
void broker_on_late_entries(struct broker *broker, const struct child *region, struct bytes body,
                            struct outputs *outputs);
/* An outcome of the task came late, of one that lives or of one that has ended. */
bool broker_was_late(struct broker *broker, const struct task_id *id);
/* The LATE_FIELDS pairs of a row: "late" and "late_outcomes", the newest LATE_SHOWN_MAX of the task. */
enum { LATE_FIELDS = 2, LATE_SHOWN_MAX = 4 };
void broker_write_late(struct broker *broker, struct writer *writer, const struct task_id *id);

/* ---- settle.c ---- */
/* A region's outcome: recorded, its watchers told. `entry.outcome` is borrowed from the event's frame. */
void broker_settle(struct broker *broker, uint32_t task, const struct outcome_entry *entry,
                   struct outputs *outputs);
/* The broker itself ends a task that no region holds (any more). */
void broker_end(struct broker *broker, uint32_t task, enum task_end end, const char *reason,
                struct outputs *outputs);
/* One result {"id", "state", "dup_possible", "outcome"} of an ended task. */
void broker_write_result(struct outputs *outputs, struct writer *writer, const struct ended_entry *entry);
enum { RESULT_HEAD_BYTES = 96 };

#endif
