/* ledger.h - the tasks of a node: what it keeps, in which state, and to which child each is granted.
 *
 * Is:      a part that nodes are composed of (struct broker, struct region), with the verbs accept, assign,
 * requeue, end, forget; each appends the records that make it last. The node decides; the ledger keeps the
 * books. Is not:  a scheduler and not a superclass: it never calls into a node and knows no roles.
 * Invariants: a task is in at most one of: a ready queue, a grant's list. counts[] equals the sum over
 * states. Every grant is in the same batch as the ASSIGN that tells of it (or in an earlier one). Records:
 * accept puts envelope and state; assign one grant record per GRANT_TASKS_MAX tasks, child and step; requeue
 *          rewrites the state with the ended fence; forget erases. At restore the highest fence above the
 * state's own wins, so a grant record need not be touched when one of its tasks moves on. Files:   ledger.c
 * verbs, ledger_grants.c grants and their records, ledger_restore.c, ledger_claims.c (INVENTORY). */
#ifndef MERIDIAN_ENGINE_LEDGER_H
#define MERIDIAN_ENGINE_LEDGER_H

#include "engine/children.h"
#include "engine/classes.h"
#include "engine/ended.h"
#include "engine/heap.h"
#include "engine/map.h"
#include "engine/outputs.h"
#include "engine/ready.h"
#include "engine/slab.h"
#include "engine/step.h"
#include "engine/task.h"

enum {
    GRANT_TASKS_MAX = 90,   /* fits a record that needs no cutting */
    GRANT_REWRITE_MIN = 16, /* smaller records are not worth writing again */
    ASSIGN_HEAD_BYTES = 80, /* bound of an ASSIGN entry without its envelope */
};

/* Tasks granted to one child in one step: the unit of a grant record. */
struct grant {
    uint64_t number;
    uint32_t child;          /* its number */
    uint32_t first;          /* list of living tasks */
    uint32_t live, total;    /* total: as last written */
    uint32_t next, previous; /* in the child's list */
    uint32_t next_dirty;
    bool dirty; /* to be written at the end of this step */
};

struct ledger {
    struct slab tasks, grants;
    struct map by_id; /* to a task, or with ENDED_BIT to an ended one */
    struct heap timers;
    struct classes classes;
    struct ready ready;
    struct children children;
    struct ended *ended;      /* NULL where ended ids are not kept (a region) */
    uint64_t now_ns, wall_ms; /* of the running step */
    uint64_t next_arrival, next_grant;
    uint32_t counts[TASK_STATE_COUNT];
    uint32_t first_dirty;
    uint32_t new_grants;    /* of this step: their records are put at its end */
    uint32_t highest_epoch; /* seen in any fence restored or reported */
};

struct ledger_options {
    uint32_t tasks_max;
    struct children_options children;
};

void ledger_init(struct ledger *ledger, const struct ledger_options *options, struct ended *ended);
void ledger_release(struct ledger *ledger);
void ledger_begin_step(struct ledger *ledger, const struct event *event);
/* Writes what the step left open: grants, ended ids. The last thing in every step. */
void ledger_end_step(struct ledger *ledger, struct outputs *outputs);
/* Operations that the step may still append when the records of its new grants are counted: one per child
 * that was given something, which may be as many as the ASSIGNs. */
uint32_t ledger_room(const struct ledger *ledger, const struct outputs *outputs);

static inline struct task *ledger_task(const struct ledger *ledger, uint32_t index)
{
    return slab_at(&ledger->tasks, index);
}

/* A living task by its id, 0 if there is none. */
uint32_t ledger_find(const struct ledger *ledger, const struct task_id *id);
/* An ended one, NULL if there is none. */
struct ended_entry *ledger_find_ended(const struct ledger *ledger, const struct task_id *id);

/* ---- verbs ---- */

/* What a node accepts: the parsed fields, the exact bytes, and what comes with it from above. */
struct acceptance {
    struct task_id id;
    const struct task_fields *fields;
    struct bytes envelope; /* borrowed until the batch has left */
    struct fence fence;    /* custody it is held under */
    uint64_t age_ms;
    uint8_t flags, reruns;
};

/* Keep a new task: DELAYED if its delay is not over, else READY. 0 if there is no room (tasks_max, classes).
 */
uint32_t ledger_accept(struct ledger *ledger, const struct acceptance *acceptance, struct outputs *outputs);
/* Give a READY task to `child` under `fence` (greater than its last). The state record is not touched. */
void ledger_assign(struct ledger *ledger, uint32_t task, struct child *child, struct fence fence,
                   struct outputs *outputs);
/* Send the ASSIGN of a granted task again, same fence, in the child's present session. */
void ledger_assign_again(struct ledger *ledger, uint32_t task, struct child *child, struct outputs *outputs);
/* Its STOP, once per session. */
void ledger_stop(struct ledger *ledger, uint32_t task, enum stop_mode mode, struct outputs *outputs);
/* A granted task is nobody's again: ready at `end`, or after `delay_ms` with `reason`. Puts the state. */
void ledger_requeue(struct ledger *ledger, uint32_t task, enum ready_end end, uint64_t delay_ms,
                    enum task_reason reason, struct outputs *outputs);
/* Its durable facts changed (a flag): put the state. */
void ledger_put_state(struct ledger *ledger, uint32_t task, struct outputs *outputs);
/* Region: its outcome, `size` bytes, was put under its arrival number; keep it until the parent has recorded
 * it. */
void ledger_keep_ended(struct ledger *ledger, uint32_t task, enum task_end end, uint32_t outcome_size,
                       struct outputs *outputs);
/* Erase every record of the task but its outcome, and the task. */
void ledger_forget(struct ledger *ledger, uint32_t task, struct outputs *outputs);
/* It has run for `running_ms`: TAKEN(started), or a claim. */
void ledger_mark_running(struct ledger *ledger, uint32_t task, uint64_t running_ms);

/* The child that holds it; NULL if it is not granted. */
struct child *ledger_holder(const struct ledger *ledger, const struct task *task);
/* How many are granted. */
static inline uint32_t ledger_granted(const struct ledger *ledger)
{
    return ledger->counts[TASK_GRANTED] + ledger->counts[TASK_RUNNING];
}

static inline bool task_is_granted(const struct task *task)
{
    return task->state == TASK_GRANTED || task->state == TASK_RUNNING;
}

/* ---- timers: one per task ---- */

/* Set the task's timer to the earliest that its state calls for: delay, deadline; for a granted one the
 * deadline only. The time limit of an attempt is set by assign, and by mark_running from then on. */
void ledger_arm(struct ledger *ledger, uint32_t task);
/* The first task whose timer is due, 0 if none. The caller moves or re-arms it. */
uint32_t ledger_due(const struct ledger *ledger);
uint64_t ledger_deadline_ns(const struct ledger *ledger);
/* A delayed task's time has come: ready, at the tail. */
void ledger_wake(struct ledger *ledger, uint32_t task);
/* Its deadline has passed. */
bool ledger_is_expired(const struct ledger *ledger, const struct task *task);

/* ---- claims and sweeps (ledger_claims.c) ---- */

/* INVENTORY of a child: stamp what it claims, tell strays to stop. False if the body is malformed, or has
 * an epoch that nobody can have. */
bool ledger_claim(struct ledger *ledger, struct child *child, struct bytes body, struct outputs *outputs);
/* One grant of `child` that needs attention: of a lost child, or one that left empty-handed, any, of a
 * sweeping one an unclaimed one. 0 when none is left (a sweeping child is then live). */
uint32_t ledger_next_unclaimed(struct ledger *ledger, struct child *child);

/* ---- restore (ledger_restore.c) ---- */

/* One RESTORE event of CLASSES, CHILDREN, STATES, GRANTS or ENDED. False if the record is damaged. */
bool ledger_restore(struct ledger *ledger, const struct event *event);
/* START: queues and timers are built. */
void ledger_start(struct ledger *ledger, struct outputs *outputs);

/* ---- between the ledger's files ---- */
void grant_add(struct ledger *ledger, uint32_t task, struct child *child, struct outputs *outputs);
void grant_remove(struct ledger *ledger, uint32_t task, struct outputs *outputs);
void grants_write(struct ledger *ledger, struct outputs *outputs);
void ledger_arm_restored(struct ledger *ledger, uint32_t task);
bool grants_restore(struct ledger *ledger, uint64_t number, struct bytes record);
void ledger_move(struct ledger *ledger, struct task *task, enum task_state state);

#endif
