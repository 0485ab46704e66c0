/* worker_node.h - the inside of the worker node; private to worker/worker.c, assign.c, slots.c, spool.c.
 *
 * An attempt's way: ASSIGN -> (waiting ->) running -> ended -> SETTLED. Three lines keep the attempts that
 * something must still be done about, each in the order of its time:
 *   waiting     no slot was free; the envelope is kept in `bytes`
 *   unreported  running, and neither TAKEN nor OUTCOME told the region since
 *   fresh       ended, only in memory: to the spool when old enough, or at once without a session
 * Long sweeps are cursors over the table's indices: `inventory` in a session that is being synced, `resend`
 * after it. Both go on with every TIMEOUT; worker_deadline_ns is 0 as long as there is such work. */
#ifndef MERIDIAN_WORKER_WORKER_NODE_H
#define MERIDIAN_WORKER_WORKER_NODE_H

#include "engine/room.h"
#include "engine/uplink.h"
#include "proto/task.h"
#include "worker/held.h"
#include "worker/worker.h"

enum {
    OUTCOME_HEAD_BYTES = 64,   /* bound of an OUTCOME entry before its map */
    PROFILE_BYTES_MAX = 16384, /* bound of the encoded profiles */
    STOPS_A_STEP = 1024,       /* processes told to end in one step */
};

enum stop_cause { STOP_CAUSE_NONE, STOP_CAUSE_CANCEL, STOP_CAUSE_DRAIN };

/* One place for a process. */
struct slot {
    uint32_t held; /* index, 0 = free */
    enum stop_cause cause;
    bool will_kill;   /* told TERM, in the line of those that KILL awaits */
    uint64_t kill_ns; /* when TERM was not enough */
    TAILQ_ENTRY(slot) line;
};
TAILQ_HEAD(slot_line, slot);

struct slots {
    struct slot *all;
    uint32_t count;
    uint32_t *free; /* a stack of slot numbers */
    uint32_t free_count;
    struct slot_line stopping; /* told TERM, in the order of kill_ns */
    uint32_t drain_cursor;     /* slots below it were told to end */
};

struct worker {
    struct worker_options options;
    struct uplink uplink;
    struct held_table held;
    struct slots slots;
    struct held_line waiting, unreported, fresh;
    uint64_t spool_next; /* key of the next record */
    uint64_t spool_retry_ns;
    struct room room;
    uint32_t inventory, resend; /* next index, 0 = nothing to do */
    uint8_t instance[INSTANCE_BYTES];
    uint64_t boot;
    bool seeded, has_identity, started;
    bool draining, done;
    uint64_t drain_ns; /* running tasks are told to end then */
    uint8_t profiles[PROFILE_BYTES_MAX];
};

/* ---- slots.c: processes ---- */
bool slots_init(struct slots *slots, uint32_t count);
void slots_release(struct slots *slots);
static inline bool slots_any_free(const struct slots *slots)
{
    return slots->free_count != 0;
}
/* A slot must be free. `envelope` is borrowed from the event's frame, or size 0 if the attempt keeps it. */
void slots_start(struct worker *worker, struct held *held, struct bytes envelope, const struct event *event,
                 struct outputs *outputs);
/* TERM now, KILL after the grace. Asking again changes only the cause. */
void slots_stop(struct worker *worker, struct held *held, enum stop_cause cause, const struct event *event,
                struct outputs *outputs);
/* The region knows, by TAKEN or OUTCOME: it leaves the line of the unreported. */
void slots_reported(struct worker *worker, struct held *held);
void slots_on_started(struct worker *worker, const struct event *event);
/* The attempt has ended; its slot goes to the first one waiting. */
void slots_on_ended(struct worker *worker, const struct event *event, struct outputs *outputs);
/* Those that outlived the grace; all of them once the drain's deadline has passed. */
void slots_on_timeout(struct worker *worker, const struct event *event, struct outputs *outputs);
uint64_t slots_deadline_ns(const struct worker *worker);

/* ---- spool.c: outcomes ---- */
/* The attempt, in no line and without a slot, has ended: keep it until SETTLED, and tell the region. The
 * result map is in `bytes`; if that is empty it is a plain one. */
void spool_end(struct worker *worker, struct held *held, enum task_end end, uint32_t flags,
               const struct event *event, struct outputs *outputs);
/* Tell (again) how it ended; in a session that is not up, or without room, the sweep does it later. */
void spool_send(struct worker *worker, struct held *held, struct outputs *outputs);
/* An OUTCOME about nothing that is kept, nor runs: returned or not held. */
void spool_answer(struct worker *worker, const struct task_id *id, struct fence fence, enum task_end end,
                  struct outputs *outputs);
void spool_settle(struct worker *worker, struct held *held, struct outputs *outputs);
void spool_restore(struct worker *worker, const struct event *event);
/* Send what the session has not seen, put on disk what is due. */
void spool_on_timeout(struct worker *worker, const struct event *event, struct outputs *outputs);
uint64_t spool_deadline_ns(const struct worker *worker);

/* ---- assign.c: what the region says ---- */
/* False if it cannot be read to its end. */
bool assign_on_message(struct worker *worker, const struct event *event, const struct message_header *header,
                       struct outputs *outputs);
/* INVENTORY rows of a session that was welcomed, then END; goes on with every TIMEOUT. */
void assign_inventory(struct worker *worker, const struct event *event, struct outputs *outputs);
/* TAKEN(started) for the unreported, once the oldest has waited long enough. */
void assign_flush_taken(struct worker *worker, const struct event *event, struct outputs *outputs);
uint64_t assign_taken_deadline_ns(const struct worker *worker);

/* ---- worker.c ---- */
void worker_drain(struct worker *worker, const struct event *event, uint64_t deadline_ms,
                  struct outputs *outputs);

#endif
