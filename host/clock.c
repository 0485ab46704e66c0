/* clock.c - see clock.h. */
#include "host/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "host/log.h"
#include "proto/assert.h"

uint64_t clock_now_ns(struct clock *clock)
{
    struct timespec time;
    ASSERT(clock_gettime(CLOCK_BOOTTIME, &time) == 0);
    uint64_t now_ns = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
    if (now_ns > clock->last_ns)
        clock->last_ns = now_ns;
    return clock->last_ns;
}

uint64_t clock_wall_ms(void)
{
    struct timespec time;
    ASSERT(clock_gettime(CLOCK_REALTIME, &time) == 0);
    return (uint64_t)time.tv_sec * 1000u + (uint64_t)time.tv_nsec / 1000000u;
}

/* A system call for each event would cost as much as a step. */
static void fetch_dice(struct clock *clock)
{
    uint8_t *to = (uint8_t *)clock->dice;
    size_t done = 0;
    while (done < sizeof clock->dice) {
        ssize_t got = getrandom(to + done, sizeof clock->dice - done, 0);
        if (got < 0 && errno != EINTR)
            host_fatal("no random numbers: %s; this program needs Linux 3.17 or newer", strerror(errno));
        if (got > 0)
            done += (size_t)got;
    }
    clock->dice_left = CLOCK_DICE;
}

void clock_random(struct clock *clock, uint64_t ret_random[2])
{
    for (int i = 0; i < 2; i++) {
        if (clock->dice_left == 0)
            fetch_dice(clock);
        ret_random[i] = clock->dice[--clock->dice_left];
    }
}
