/* region.h - the region node: holds tasks that the broker gave it, runs their attempts on its workers,
 * decides about retries, time limits and lost workers, and reports one outcome per task.
 *
 * Is:      pure (engine/step.h). region.c is the table of events; attempts.c decides what an ended attempt
 * means, place.c chooses the worker. Is not:  an ingress yet: regions open no client port. */
#ifndef MERIDIAN_REGION_REGION_H
#define MERIDIAN_REGION_REGION_H

#include "engine/outputs.h"
#include "engine/step.h"
#include "proto/limits.h"

struct region_options {
    char name[NAME_BYTES_MAX + 1];
    uint32_t beat_ms;           /* 1,000: towards workers */
    uint32_t worker_grace_ms;   /* 10,000: silence after which a worker is lost */
    uint32_t retry_base_ms;     /* 1,000: back-off after the first error */
    uint32_t retry_cap_ms;      /* 300,000 */
    uint32_t poison_limit;      /* 3: lost workers after which a task fails */
    uint32_t window;            /* 65,536: tasks one worker may hold */
    uint64_t payload_bytes_max; /* 1 MiB */
    uint32_t tasks_max;         /* 20,000,000 */
    uint32_t reconnect_min_ms;  /* 50: first pause before a new session with the broker */
    uint32_t reconnect_max_ms;  /* 1,000 */
    uint32_t watermark_percent; /* 80 */
};

struct region;

void region_options_default(struct region_options *options);
struct region *region_new(const struct region_options *options);
void region_free(struct region *region);
void region_step(struct region *region, const struct event *event, struct outputs *outputs);
uint64_t region_deadline_ns(const struct region *region);
bool region_done(const struct region *region);

#endif
