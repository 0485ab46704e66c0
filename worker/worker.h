/* worker.h - the worker node: slots in which processes run, outcomes that are kept until the region recorded
 * them.
 *
 * Is:      pure (engine/step.h). worker.c is the table of events; assign.c has the region's messages, slots.c
 *          the processes, spool.c the outcomes. The process itself is started and ended by
 *          worker/launcher_io.c in the host's hands.
 * Is not:  a judge: it reports how an attempt ended, the region decides what that means. */
#ifndef MERIDIAN_WORKER_WORKER_H
#define MERIDIAN_WORKER_WORKER_H

#include "engine/outputs.h"
#include "engine/step.h"
#include "proto/link.h"

enum { HANDLERS_MAX = 63 }; /* + "command" = PROFILE_TYPES_MAX */

struct worker_handler {
    char type[NAME_BYTES_MAX + 1];
    bool builtin_noop; /* ends at once as completed, inside the worker; for measuring */
};

struct worker_options {
    char name[NAME_BYTES_MAX + 1];
    uint32_t slots;
    bool commands; /* may run argv of tasks */
    struct worker_handler handlers[HANDLERS_MAX];
    uint32_t handler_count;
    char capabilities[CAPABILITIES_MAX][NAME_BYTES_MAX + 1];
    uint32_t capability_count;
    uint32_t stop_grace_ms;     /* 5,000: from TERM to KILL */
    uint32_t spool_after_ms;    /* 1,000: an outcome unsettled so long goes to the store */
    uint32_t started_flush_ms;  /* 50: TAKEN(started) waits so long for its OUTCOME */
    uint32_t reconnect_min_ms;  /* 50 */
    uint32_t reconnect_max_ms;  /* 1,000 */
    uint32_t drain_deadline_ms; /* 30,000: after SIGTERM running tasks may go on so long */
    uint32_t window;            /* 65,536: tasks held and outcomes unsettled; above it a grant is returned */
    uint32_t memory_blocks;     /* 524,288 of 512 bytes: outcomes not spooled yet, envelopes without a slot */
};

struct worker;

void worker_options_default(struct worker_options *options);
/* Options are copied. NULL if the system has no memory. */
struct worker *worker_new(const struct worker_options *options);
void worker_free(struct worker *worker);
void worker_step(struct worker *worker, const struct event *event, struct outputs *outputs);
uint64_t worker_deadline_ns(const struct worker *worker);
/* True once a drain has ended with BYE: the host stops. */
bool worker_done(const struct worker *worker);

#endif
