/* dev_delay.c - see dev_delay.h. */
#include "cli/dev_delay.h"

#include <stdlib.h>
#include <string.h>

#include "proto/assert.h"

enum { MILLION = 1000 * 1000, SEGMENTS_TO_NOTICE = 3, TRIES_MAX = 10 };

void delay_init(struct delay *delay, const struct line *line, uint64_t seed)
{
    *delay = (struct delay){.line = line, .random = seed | 1};
    STAILQ_INIT(&delay->queue);
}

void delay_release(struct delay *delay)
{
    while (!STAILQ_EMPTY(&delay->queue)) {
        struct delayed *first = STAILQ_FIRST(&delay->queue);
        STAILQ_REMOVE_HEAD(&delay->queue, next);
        free(first);
    }
    delay->held_bytes = 0;
}

/* xorshift64*: 0 to below - 1 */
static uint64_t draw(struct delay *delay, uint64_t below)
{
    delay->random ^= delay->random >> 12;
    delay->random ^= delay->random << 25;
    delay->random ^= delay->random >> 27;
    return (delay->random * 0x2545f4914f6cdd1d >> 16) % below;
}

static uint64_t one_way_us(struct delay *delay)
{
    uint64_t jitter_us = delay->line->jitter_us;
    uint64_t way_us = delay->line->rtt_us / 2 + draw(delay, 2 * jitter_us + 1);
    return way_us > jitter_us ? way_us - jitter_us : 0;
}

/* How much later a segment comes for being lost; 0 if it is not. `behind`: segments that follow at once. */
static uint64_t retransmission_us(struct delay *delay, size_t behind)
{
    uint64_t late_us = 0, timeout_us = delay->line->rtt_us + RETRANSMIT_MS_MIN * 1000;
    uint64_t pause_us = behind >= SEGMENTS_TO_NOTICE ? delay->line->rtt_us : timeout_us;
    for (int try = 0; try < TRIES_MAX && draw(delay, MILLION) < delay->line->loss_ppm; try++) {
        late_us += pause_us;
        pause_us = pause_us < timeout_us ? timeout_us : 2 * pause_us;
    }
    return late_us;
}

static void append(struct delay *delay, struct bytes bytes)
{
    struct delayed *last = malloc(sizeof *last + bytes.size);
    ASSERT(last != NULL);
    last->due_us = delay->due_us;
    last->from = 0;
    last->size = bytes.size;
    memcpy(last->bytes, bytes.data, bytes.size);
    STAILQ_INSERT_TAIL(&delay->queue, last, next);
    delay->held_bytes += bytes.size;
}

/* Nothing overtakes: what is sent later is never due earlier. */
static void set_due(struct delay *delay, uint64_t due_us)
{
    if (due_us > delay->due_us)
        delay->due_us = due_us;
}

uint32_t delay_push(struct delay *delay, struct bytes bytes, uint64_t now_us)
{
    uint32_t lost = 0;
    size_t first = 0;
    uint64_t arrival_us = now_us + one_way_us(delay); /* what was sent together arrives together */
    set_due(delay, arrival_us);
    for (size_t at = 0; at < bytes.size && delay->line->loss_ppm > 0; at += SEGMENT_BYTES) {
        uint64_t late_us = retransmission_us(delay, (bytes.size - at - 1) / SEGMENT_BYTES);
        if (late_us == 0)
            continue;
        if (at > first)
            append(delay, (struct bytes){bytes.data + first, at - first});
        first = at;
        lost++;
        set_due(delay, arrival_us + late_us);
    }
    append(delay, (struct bytes){bytes.data + first, bytes.size - first});
    return lost;
}

uint64_t delay_end_us(struct delay *delay, uint64_t now_us)
{
    set_due(delay, now_us + one_way_us(delay));
    return delay->due_us;
}

struct bytes delay_due(const struct delay *delay, uint64_t now_us)
{
    const struct delayed *first = STAILQ_FIRST(&delay->queue);
    if (first == NULL || first->due_us > now_us)
        return (struct bytes){NULL, 0};
    return (struct bytes){first->bytes + first->from, first->size - first->from};
}

void delay_take(struct delay *delay, size_t size)
{
    struct delayed *first = STAILQ_FIRST(&delay->queue);
    ASSERT(first != NULL && size <= first->size - first->from);
    first->from += size;
    delay->held_bytes -= size;
    if (first->from < first->size)
        return;
    STAILQ_REMOVE_HEAD(&delay->queue, next);
    free(first);
}

uint64_t delay_next_us(const struct delay *delay)
{
    const struct delayed *first = STAILQ_FIRST(&delay->queue);
    return first == NULL ? UINT64_MAX : first->due_us;
}
