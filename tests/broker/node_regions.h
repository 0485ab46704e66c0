/* node_regions.h - the regions that a test plays: their part of the fixture's events (node_fixture.h). */
#ifndef MERIDIAN_TESTS_BROKER_NODE_REGIONS_H
#define MERIDIAN_TESTS_BROKER_NODE_REGIONS_H

#include "tests/broker/node_fixture.h"
#include "tests/broker/words.h"

/* The event of `words`, the first of which is the region's name. */
void region_act(struct played_region *region, const struct words *words);
/* A HEARTBEAT that says nothing new. */
void region_beat(struct played_region *region);

#endif
