/* story.h - what happens on the bench, told on stderr for people: `script/fuzz again` asks for it. */
#ifndef MERIDIAN_TESTS_FUZZ_STORY_H
#define MERIDIAN_TESTS_FUZZ_STORY_H

#include "engine/outputs.h"
#include "engine/step.h"

/* Is it asked for? Nothing is said otherwise. */
bool story_is_told(void);
void story_event(const struct event *event);
/* What the node had to say about it, from trace `first` on. */
void story_traces(const struct outputs *outputs, uint32_t first);
void story_message(uint64_t peer, enum message_kind kind, struct bytes frame);

#endif
