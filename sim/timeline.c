/* timeline.c - see timeline.h. Its own heap, not engine/heap: the judge shares no code with the judged. */
#include "sim/timeline.h"

#include <stdlib.h>

#include "proto/assert.h"

static bool before(const struct occasion *a, const struct occasion *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

void timeline_add(struct timeline *timeline, struct occasion occasion)
{
    if (timeline->count == timeline->capacity) {
        timeline->capacity = timeline->capacity == 0 ? 1024 : 2 * timeline->capacity;
        timeline->occasions = realloc(timeline->occasions, timeline->capacity * sizeof occasion);
        ASSERT(timeline->occasions != NULL);
    }
    occasion.order = timeline->added++;
    size_t at = timeline->count++;
    for (; at > 0 && before(&occasion, &timeline->occasions[(at - 1) / 2]); at = (at - 1) / 2)
        timeline->occasions[at] = timeline->occasions[(at - 1) / 2];
    timeline->occasions[at] = occasion;
}

bool timeline_take(struct timeline *timeline, struct occasion *ret_occasion)
{
    if (timeline->count == 0)
        return false;
    *ret_occasion = timeline->occasions[0];
    struct occasion last = timeline->occasions[--timeline->count];
    size_t at = 0;
    for (size_t child = 1; child < timeline->count; child = 2 * at + 1) {
        if (child + 1 < timeline->count &&
            before(&timeline->occasions[child + 1], &timeline->occasions[child]))
            child++;
        if (!before(&timeline->occasions[child], &last))
            break;
        timeline->occasions[at] = timeline->occasions[child];
        at = child;
    }
    timeline->occasions[at] = last;
    return true;
}

void timeline_release(struct timeline *timeline)
{
    for (size_t i = 0; i < timeline->count; i++)
        free(timeline->occasions[i].frame);
    free(timeline->occasions);
    *timeline = (struct timeline){NULL, 0, 0, 0};
}
