/* dev_delay_test.c - one direction of a slow line, in virtual time. */
#include "cli/dev_delay.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { MS = 1000 };

static const struct line quiet = {.rtt_us = 80 * MS};

static uint32_t push(struct delay *delay, const char *text, uint64_t now_us)
{
    return delay_push(delay, (struct bytes){(const uint8_t *)text, strlen(text)}, now_us);
}

/* What is due at `now_us`, taken; "" if nothing is. */
static const char *take(struct delay *delay, uint64_t now_us)
{
    static char text[256];
    struct bytes due = delay_due(delay, now_us);
    cr_assert_lt(due.size, sizeof text);
    if (due.size > 0)
        memcpy(text, due.data, due.size);
    text[due.size] = '\0';
    if (due.size > 0)
        delay_take(delay, due.size);
    return text;
}

Test(dev_delay, half_the_round_trip_each_way)
{
    struct delay delay;
    delay_init(&delay, &quiet, 1);
    cr_expect_eq(delay_next_us(&delay), UINT64_MAX);
    push(&delay, "a", 1000);
    push(&delay, "b", 2000);
    cr_expect_eq(delay_next_us(&delay), 1000 + 40 * MS);
    cr_expect_str_eq(take(&delay, 40 * MS), "");
    cr_expect_str_eq(take(&delay, 1000 + 40 * MS), "a");
    cr_expect_str_eq(take(&delay, 1000 + 40 * MS), "");
    cr_expect_str_eq(take(&delay, 2000 + 40 * MS), "b");
    cr_expect_eq(delay.held_bytes, 0);
    delay_release(&delay);
}

Test(dev_delay, part_of_what_is_due_may_be_taken)
{
    struct delay delay;
    delay_init(&delay, &quiet, 1);
    push(&delay, "abc", 0);
    delay_take(&delay, 1);
    cr_expect_str_eq(take(&delay, 40 * MS), "bc");
    delay_release(&delay);
}

Test(dev_delay, jitter_changes_the_time_and_never_the_order)
{
    static const struct line line = {.rtt_us = 80 * MS, .jitter_us = 30 * MS};
    struct delay delay;
    uint64_t least_us = UINT64_MAX, most_us = 0, before_us = 0;
    delay_init(&delay, &line, 42);
    for (uint64_t i = 0; i < 2000; i++) {
        uint64_t now_us = i * 1000 * MS; /* far apart: each stands for itself */
        push(&delay, "x", now_us);
        uint64_t due_us = delay_next_us(&delay), way_us = due_us - now_us;
        cr_assert_geq(due_us, before_us);
        before_us = due_us;
        least_us = way_us < least_us ? way_us : least_us;
        most_us = way_us > most_us ? way_us : most_us;
        cr_assert_str_eq(take(&delay, due_us), "x");
    }
    cr_expect(least_us >= 10 * MS && least_us < 11 * MS, "%lu", (unsigned long)least_us);
    cr_expect(most_us <= 70 * MS && most_us > 69 * MS, "%lu", (unsigned long)most_us);
    for (int i = 0; i < 26; i++) { /* close together: none overtakes */
        char letter[2] = {(char)('a' + i), '\0'};
        push(&delay, letter, before_us + (uint64_t)i);
    }
    char all[32] = "";
    for (const char *some; (some = take(&delay, UINT64_MAX))[0] != '\0';)
        strcat(all, some);
    cr_expect_str_eq(all, "abcdefghijklmnopqrstuvwxyz");
    delay_release(&delay);
}

Test(dev_delay, a_lost_segment_comes_a_retransmission_later_and_all_behind_it_waits)
{
    static const struct line line = {.rtt_us = 80 * MS, .loss_ppm = LOSS_PPM_MAX};
    struct delay delay;
    uint32_t lost = 0, late = 0;
    delay_init(&delay, &line, 7);
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t now_us = i * 1000 * 1000 * MS;
        bool is_lost = push(&delay, "x", now_us) > 0;
        uint64_t way_us = delay_next_us(&delay) - now_us;
        lost += is_lost;
        late += way_us > 40 * MS;
        cr_assert_eq(is_lost, way_us >= (40 + 80 + RETRANSMIT_MS_MIN) * MS, "%lu", (unsigned long)way_us);
        push(&delay, "y", now_us + 1);
        cr_assert_str_eq(take(&delay, now_us + way_us), "x");
        cr_assert_gt(delay_next_us(&delay), now_us + way_us - 1, "y waits for x");
        cr_assert_str_eq(take(&delay, UINT64_MAX), "y");
    }
    cr_expect(lost > 400 && lost < 600, "%u of 1000 were lost at 50%%", lost);
    cr_expect_eq(lost, late);
    delay_release(&delay);
}

Test(dev_delay, with_more_behind_it_a_lost_segment_costs_a_round_trip)
{
    static const struct line line = {.rtt_us = 80 * MS, .loss_ppm = 100 * 1000};
    enum { BYTES = 10 * SEGMENT_BYTES };
    static uint8_t bytes[BYTES];
    struct delay delay;
    uint64_t quickest_us = UINT64_MAX;
    for (int i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)(i / SEGMENT_BYTES);
    for (uint64_t seed = 1; seed < 200; seed++) {
        size_t taken = 0;
        delay_init(&delay, &line, seed * 2654435761);
        uint32_t lost = delay_push(&delay, (struct bytes){bytes, BYTES}, 0);
        uint64_t at_us = delay_next_us(&delay), last_us = 0;
        while ((at_us = delay_next_us(&delay)) != UINT64_MAX) {
            struct bytes due = delay_due(&delay, at_us);
            cr_assert_eq(memcmp(due.data, bytes + taken, due.size), 0, "in order");
            cr_assert(taken == 0 || at_us >= last_us);
            taken += due.size;
            last_us = at_us;
            delay_take(&delay, due.size);
        }
        cr_assert_eq(taken, BYTES, "nothing is lost for good");
        cr_assert_eq(lost == 0, last_us == 40 * MS);
        if (lost > 0 && last_us < quickest_us)
            quickest_us = last_us;
    }
    cr_expect_eq(quickest_us, (40 + 80) * MS);
    delay_release(&delay);
}
