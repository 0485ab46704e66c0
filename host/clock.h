/* clock.h - the only clock and the only dice of a live node.
 *
 * Is:      CLOCK_BOOTTIME (runs on while the machine sleeps, never goes back), wall time, getrandom.
 * Errors:  none: without them the process ends. */
#ifndef MERIDIAN_HOST_CLOCK_H
#define MERIDIAN_HOST_CLOCK_H

#include <stdint.h>

enum { CLOCK_DICE = 256 }; /* random words fetched at once */

struct clock {
    uint64_t last_ns;
    uint64_t dice[CLOCK_DICE];
    uint32_t dice_left;
};

uint64_t clock_now_ns(struct clock *clock);
uint64_t clock_wall_ms(void);
void clock_random(struct clock *clock, uint64_t ret_random[2]);

#endif
