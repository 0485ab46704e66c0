/* story.h - why a task may have run twice, for people: the attempts before its last one, and what came too
 * late.
 *
 * Put together from the history in its outcome (once it has ended) and from the late outcomes that the broker
 * remembers. One line for each: who, and what became of it there. */
#ifndef MERIDIAN_CLI_STORY_H
#define MERIDIAN_CLI_STORY_H

#include "client/outcome.h"

enum { STORY_LINES_MAX = 16, STORY_WHO_BYTES = 136, STORY_WHAT_BYTES = 136 };

struct story {
    struct {
        char who[STORY_WHO_BYTES], what[STORY_WHAT_BYTES];
    } lines[STORY_LINES_MAX]; /* the first of them, if there are more */
    unsigned count;
};

/* `row` is one of QUERY tasks; `outcome` NULL while the task has none. */
void story_tell(struct story *story, struct bytes row, const struct outcome *outcome);
/* In one line: "us/w1: attempt 1 lost; us/w1: completed too late, 12 s ago". Returns `to`. */
const char *story_text(const struct story *story, char *to, size_t size);

#endif
