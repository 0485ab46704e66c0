/* task.h - a living task in memory: 112 bytes, its states and the one table of moves between them.
 *
 * Is:      what broker and region keep per task besides the envelope, which lies in the store. Its durable
 * half is the state record (task_record_write / read), rewritten only when a fact changes that a restart must
 * know. Is not:  a grant (engine/grants.h holds which child has it) or an ended task (engine/ended.h). Units:
 * born_ns and due_ns are times of the host's clock; the *_ms are durations since birth (acceptance). States:
 *      DELAYED --> READY --> GRANTED --> RUNNING
 *         ^          ^ \________/ \________/ |
 *         |__________|______ back ___________|        any but ENDED --> (record erased) or ENDED
 *      ENDED is the region's only: the outcome is recorded here and not yet settled by the broker. */
#ifndef MERIDIAN_ENGINE_TASK_H
#define MERIDIAN_ENGINE_TASK_H

#include "proto/id.h"
#include "proto/link.h"
#include "proto/task.h"

enum task_state {
    TASK_NONE,
    TASK_DELAYED,
    TASK_READY,
    TASK_GRANTED,
    TASK_RUNNING,
    TASK_ENDED,
    TASK_STATE_COUNT
};

/* Why a task is not running, for people. */
#define TASK_REASONS(X)                                                                                      \
    X(NONE, "")                                                                                              \
    X(DELAY, "delay")                                                                                        \
    X(BACKOFF, "backoff")                                                                                    \
    X(NO_CREDIT, "no_credit")                                                                                \
    X(NO_CAPABLE_WORKER, "no_capable_worker")                                                                \
    X(NO_REGION, "no_region")                                                                                \
    X(SUSPECT, "suspect")                                                                                    \
    X(STORE_FULL, "store_full")                                                                              \
    X(THROTTLED, "throttled")                                                                                \
    X(REFUSED, "refused")                                                                                    \
    X(SENT, "sent")

enum task_reason {
#define X(name, text) REASON_##name,
    TASK_REASONS(X)
#undef X
};

enum task_flag {
    TASK_DUP_POSSIBLE = 1, /* an earlier start's end was not recorded when a later attempt began */
    TASK_CANCELLING = 2,   /* a client asked; durable */
    TASK_TIMED_OUT = 4,    /* STOP was sent because the attempt ran too long */
    TASK_EXPIRING = 8,     /* STOP was sent because the deadline passed */
    TASK_DEADLINE_BELOW =
        32, /* broker: passed while a region has it; the region ends it, or it is looked at when back */
    TASK_STOPPED = 16,     /* STOP was sent in the present session with the child */
    TASK_LATE = 64,        /* broker: an outcome of it came when it had gone on without it; durable */
    TASK_GRANT_LOST = 128, /* its last grant ended by loss: an outcome under that fence is late; durable */
};
enum { TASK_DURABLE_FLAGS = TASK_DUP_POSSIBLE | TASK_CANCELLING | TASK_LATE | TASK_GRANT_LOST };

struct task {
    struct task_id id;
    uint64_t arrival;
    union {
        uint64_t body_hash; /* broker */
        uint64_t custody; /* region: custody under which the broker knows it; a running attempt's fence may be
                             older */
    };
    int64_t born_ns;
    uint64_t due_ns;         /* of its one timer; meaning follows from state and flags */
    struct fence fence;      /* last granted */
    uint32_t next, previous; /* in its ready queue, or in its grant's list */
    uint32_t timer_position; /* in the heap, 0 = no timer */
    uint32_t grant;          /* index, 0 = not granted */
    uint32_t envelope_size;
    union {
        uint32_t outcome_size; /* region, ENDED: of the record in OUTCOMES */
        uint32_t watch;        /* broker: first watch, 0 = none */
    };
    uint32_t timeout_ms, deadline_ms;
    uint32_t first_grant_ms; /* region: age at the first grant, + 1; 0 = never granted here */
    uint16_t class;
    uint16_t retries, errors;
    uint16_t history_size; /* bytes in ATTEMPTS */
    uint8_t state;
    uint8_t reason;
    uint8_t priority : 4;
    uint8_t end : 4; /* region, ENDED: enum task_end */
    uint8_t flags;
    uint8_t losses;
    uint8_t reruns;        /* broker: custody placed again after a loss; region: attempts counted elsewhere */
    uint8_t stamp;         /* session of the child that claimed or was sent the grant */
    uint8_t history_count; /* entries in ATTEMPTS */
};

_Static_assert(sizeof(struct task) <= 112, "a queued task is promised to be small");

/* Move `task` to `state`; asserted against the table of moves. */
void task_move(struct task *task, enum task_state state);

const char *task_state_text(enum task_state state);
const char *task_reason_text(enum task_reason reason);

static inline uint64_t task_age_ms(const struct task *task, uint64_t now_ns)
{
    return (uint64_t)((int64_t)now_ns - task->born_ns) / 1000000;
}

/* The number of the current attempt, or of the next if none runs: what people see as ATTEMPT. */
static inline uint32_t task_attempt(const struct task *task)
{
    return (uint32_t)task->errors + task->losses + task->reruns + 1;
}

static inline uint32_t task_attempts_max(const struct task *task)
{
    return (uint32_t)task->retries + task->losses + task->reruns + 1;
}

/* Does a fence that a child reports name the grant `granted`? The broker grants (custody, 0, 0) and is told
 * the region's own (custody, epoch, attempt). */
static inline bool fence_names(struct fence granted, struct fence reported)
{
    return granted.custody == reported.custody &&
           (granted.epoch == 0 || (granted.epoch == reported.epoch && granted.attempt == reported.attempt));
}

/* State record: written at `now_ns`, `wall_ms`; read back with the age advanced by the wall clock's progress.
 */
void task_record_write(struct writer *writer, const struct task *task, uint64_t now_ns, uint64_t wall_ms);
bool task_record_read(struct bytes record, struct task *ret_task, uint64_t now_ns, uint64_t wall_ms);

#endif
