/* timeline.h - what will happen in a simulation, by virtual time and then by order of adding. */
#ifndef MERIDIAN_SIM_TIMELINE_H
#define MERIDIAN_SIM_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum happening {
    HAPPENS_CLOSE,           /* the gathered outputs of `node` become a batch */
    HAPPENS_COMMIT,          /* the oldest batch of `node` is on its disk */
    HAPPENS_WAKE,            /* the deadline of `node` */
    HAPPENS_ARRIVAL,         /* the oldest frame on wire `number` in direction `detail` */
    HAPPENS_LINK_DOWN,       /* `node` learns that its peer `number` is gone */
    HAPPENS_PROCESS_STARTED, /* in slot `number` of `node`; `detail` is the process */
    HAPPENS_PROCESS_ENDED,   /* likewise */
    HAPPENS_REQUEST,         /* frame `number` of the clients reaches `node` from peer `detail` */
    HAPPENS_REPLY,           /* a frame reaches client `number` */
    HAPPENS_CLIENT,          /* client `number` acts, unless `detail` is no longer its timer */
    HAPPENS_BACKUP,          /* copy `number` of the broker's store is made */
    HAPPENS_FAULT,           /* fault `number` of the plan begins */
    HAPPENS_FAULT_END,       /* and ends */
    HAPPENS_RESTART,         /* `node`, if it is still down */
};

struct occasion {
    uint64_t at_ns, order;
    enum happening what;
    uint32_t node, life; /* of a node: nothing happens to a later life of it */
    uint64_t number, detail;
    uint8_t *frame; /* REQUEST, REPLY: owned; freed with the timeline or by who takes the occasion */
    size_t frame_size;
};

struct timeline {
    struct occasion *occasions; /* a heap */
    size_t count, capacity;
    uint64_t added;
};

void timeline_add(struct timeline *timeline, struct occasion occasion);
bool timeline_take(struct timeline *timeline, struct occasion *ret_occasion);
void timeline_release(struct timeline *timeline);

#endif
