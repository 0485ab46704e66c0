/* dev_delay.h - one direction of a slow line: bytes go in, and come out in their order when they are due.
 *
 * Is:      half the round trip, jitter, and loss as TCP shows it to a program. Pure but for malloc; times are
 * whatever clock the caller has. Is not:  a socket (cli/dev_shim.h), a limit of bandwidth.
 * Loss:    bytes travel in segments of SEGMENT_BYTES. A lost one comes one retransmission later: a round trip
 * if three more segments are right behind it (the receiver's repeated acknowledgements tell the sender), else
 * a round trip and RETRANSMIT_MS_MIN; twice as long each time that it is lost again. All behind it waits for
 * it. Bounds:  DELAY_BYTES_MAX; the caller stops reading at it, as a full window would make it. */
#ifndef MERIDIAN_CLI_DEV_DELAY_H
#define MERIDIAN_CLI_DEV_DELAY_H

#include <sys/queue.h>

#include "cli/dev_wan.h"
#include "proto/bytes.h"

enum {
    SEGMENT_BYTES = 1448,    /* what an Ethernet packet carries */
    RETRANSMIT_MS_MIN = 200, /* the least that Linux waits */
    DELAY_BYTES_MAX = 8 * 1024 * 1024,
};

struct delayed {
    STAILQ_ENTRY(delayed) next;
    uint64_t due_us;
    size_t from, size; /* bytes[from .. size - 1] are left */
    uint8_t bytes[];
};

struct delay {
    const struct line *line;
    STAILQ_HEAD(, delayed) queue;
    size_t held_bytes;
    uint64_t due_us; /* of the last byte that went in: nothing overtakes it */
    uint64_t random; /* state, not 0 */
};

void delay_init(struct delay *delay, const struct line *line, uint64_t seed);
void delay_release(struct delay *delay);
/* Copies `bytes` in. Returns how many segments were lost on the way. */
uint32_t delay_push(struct delay *delay, struct bytes bytes, uint64_t now_us);
/* An end of the stream that is noticed now: when it arrives at the other side. */
uint64_t delay_end_us(struct delay *delay, uint64_t now_us);
/* Bytes that are due, size 0 if none; a view until the next call. `delay_take` removes the first `size`. */
struct bytes delay_due(const struct delay *delay, uint64_t now_us);
void delay_take(struct delay *delay, size_t size);
/* When the next bytes are due; UINT64_MAX if there are none. */
uint64_t delay_next_us(const struct delay *delay);

#endif
