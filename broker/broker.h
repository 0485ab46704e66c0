/* broker.h - the broker node: takes tasks from clients, keeps each in custody until a region has it and its
 * outcome is recorded, and chooses the region.
 *
 * Is:      pure (engine/step.h). broker.c is the table of events; the client's requests are in
 * broker/requests.c, the regions' messages in broker/regions.c, the choice of region in broker/route.c. Is
 * not:  a runner of attempts: it never retries an error, it only places custody again. */
#ifndef MERIDIAN_BROKER_BROKER_H
#define MERIDIAN_BROKER_BROKER_H

#include "engine/outputs.h"
#include "engine/step.h"

struct broker_options {
    uint32_t beat_ms;           /* 1,000: heartbeat towards regions */
    uint32_t region_grace_ms;   /* 60,000: silence after which a region is lost */
    uint32_t rerun_max;         /* 3: custody placed again after a lost region at most so often */
    uint32_t window;            /* 65,536: tasks one region may hold */
    uint64_t payload_bytes_max; /* 1 MiB */
    uint64_t result_ttl_ms;     /* 24 h: outcomes are kept so long */
    uint64_t dedupe_ttl_ms;     /* 24 h: ended ids are known so long */
    uint32_t dedupe_ids_max;    /* 4,000,000 */
    uint32_t tasks_max;         /* 20,000,000: living tasks; above it SUBMIT is throttled */
    uint32_t watermark_percent; /* 80: of store.max_bytes; above it SUBMIT is refused store_full */
    uint32_t restored;          /* 0: the store is as we left it; else a backup, the nth that is put back; at
                                   most BROKER_RESTORES_MAX */
};

enum { BROKER_RESTORES_MAX = 255 };

struct broker;

void broker_options_default(struct broker_options *options);
/* Allocates the node (its fixed part is large); NULL if the system has no memory. Options are copied. */
struct broker *broker_new(const struct broker_options *options);
void broker_free(struct broker *broker);
void broker_step(struct broker *broker, const struct event *event, struct outputs *outputs);
uint64_t broker_deadline_ns(const struct broker *broker);
/* True once an operator's drain has finished, or when it could not start: the host stops. */
bool broker_done(const struct broker *broker);
/* It could not start: no custody is above all that were given out before so many restores. Nothing was
 * written and nobody was answered. */
bool broker_no_floor_left(const struct broker *broker);

#endif
