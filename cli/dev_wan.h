/* dev_wan.h - how slow and how bad each link of the sandbox is: the words of --rtt, --jitter, --loss and
 * --broker-in, checked against the regions of the plan.
 *
 * Is:      the distances. What they do to bytes is cli/dev_delay.h, who forwards the bytes cli/dev_shim.h.
 * Meaning: the broker lives in one of the regions (the first, or --broker-in). The link of region X has the
 * round trip of the pair (X, the broker's region); in the broker's own region, and between a region and its
 * workers, it is 0 and clean. A pair of two other regions is taken and used by no link: regions do not speak
 * to each other.
 * Errors:  a word that is wrong is a usage error, which names it: exit 2. */
#ifndef MERIDIAN_CLI_DEV_WAN_H
#define MERIDIAN_CLI_DEV_WAN_H

#include <stdbool.h>
#include <stdint.h>

struct dev_plan;

enum { RTT_MS_MAX = 60 * 1000, LOSS_PPM_MAX = 500 * 1000 };

/* One link, as a packet sees it. Both ways are alike. */
struct line {
    uint64_t rtt_us;
    uint64_t jitter_us; /* each way takes half the round trip, up to this more or less */
    uint32_t loss_ppm;  /* segments lost, of a million */
};

/* As given; NULL where not. */
struct dev_wan_options {
    const char *rtt, *jitter, *loss, *broker_in;
    bool sandbox;
};

/* Any of them asks for the sandbox. */
bool dev_wan_is_wanted(const struct dev_wan_options *options);
/* Fills `sandbox`, `broker_region` and `lines` of a plan whose regions are known. */
void dev_wan_fill(struct dev_plan *plan, const struct dev_wan_options *options);

#endif
